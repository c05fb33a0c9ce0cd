//! An error reply: a stable code, and what to say to people (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::edge::metrics::{At, count_refusal};
use crate::texts::Code;

/// Answers with the code's status and sentences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem(pub Code);

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Problem(code)
    }
}

#[derive(Serialize)]
struct Body {
    code: &'static str,
    title: &'static str,
    status: u16,
    message_ja: &'static str,
    message_en: &'static str,
}

fn status(code: Code) -> StatusCode {
    match code {
        Code::LinkExpired | Code::LinkInvalid | Code::LinkRevoked | Code::SessionMissing => StatusCode::UNAUTHORIZED,
        Code::LinkOtherCase | Code::OriginRefused | Code::DeniedRole | Code::DeniedFeed => StatusCode::FORBIDDEN,
        Code::CaseUnknown | Code::FeedUnknown | Code::NotFound | Code::MediaUnknown | Code::WebMissing | Code::StillUnknown => {
            StatusCode::NOT_FOUND
        }
        Code::CaseEnded => StatusCode::GONE,
        Code::CaseFull | Code::MediaFull | Code::MediaBusy | Code::MediaStopped => StatusCode::SERVICE_UNAVAILABLE,
        Code::ServerBusy | Code::ServerStopping => StatusCode::SERVICE_UNAVAILABLE,
        Code::FeedTaken
        | Code::FeedCovered
        | Code::FeedMasked
        | Code::CameraNotAllowed
        | Code::CameraTaken
        | Code::CameraCovered
        | Code::VersionUnsupported
        | Code::MediaMismatch
        | Code::PageReplaced
        | Code::InkOtherCase => StatusCode::CONFLICT,
        Code::MessageMalformed | Code::RequestMalformed | Code::InkMalformed => StatusCode::BAD_REQUEST,
        Code::LayerUnknown => StatusCode::BAD_REQUEST,
        Code::MediaOffer => StatusCode::UNPROCESSABLE_ENTITY,
        Code::RequestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::RequestTimeout | Code::PageSlow | Code::PageSilent => StatusCode::REQUEST_TIMEOUT,
        Code::RequestMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::PreconditionMissing => StatusCode::PRECONDITION_REQUIRED,
        Code::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::InkTooFast => StatusCode::TOO_MANY_REQUESTS,
        Code::MediaUnsupported => StatusCode::NOT_IMPLEMENTED,
        Code::RequestTooOften => StatusCode::TOO_MANY_REQUESTS,
        Code::StoreFull | Code::StoreFailing => StatusCode::SERVICE_UNAVAILABLE,
        Code::ServerFault => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// When it is worth asking again, seconds (RFC 9110 §10.2.3): limits on how often give one back each second, places become free as people
/// leave, a restart takes a few. `None`: not by waiting.
fn again_after(code: Code) -> Option<u16> {
    match code {
        Code::RequestTooOften | Code::InkTooFast | Code::MediaBusy | Code::ServerBusy => Some(1),
        Code::ServerStopping | Code::MediaStopped => Some(5),
        _ if status(code) == StatusCode::SERVICE_UNAVAILABLE => Some(10),
        _ => None,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        told(self.0, status(self.0), again_after(self.0))
    }
}

/// Of a player that came before its picture: nothing is wrong with it, and it may ask again soon.
/// Source: draft-ietf-wish-whep-04, *Session Management*.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotYet(pub(super) Code);

/// As long as a camera takes from its connection to its first picture.
const NOT_YET_AFTER_S: u16 = 2;

impl IntoResponse for NotYet {
    fn into_response(self) -> Response {
        told(self.0, StatusCode::CONFLICT, Some(NOT_YET_AFTER_S))
    }
}

fn told(code: Code, status: StatusCode, again_after: Option<u16>) -> Response {
    count_refusal(At::Http, code.as_str());
    let body =
        Body { code: code.as_str(), title: code.en(), status: status.as_u16(), message_ja: code.ja(), message_en: code.en() };
    let text = serde_json::to_string(&body).unwrap_or_default();
    let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], text).into_response();
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = again_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_may_come_again_is_told_when() {
        for code in Code::ALL {
            let response = Problem(*code).into_response();
            let waits = matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), waits, "{code}");
        }
    }
}
