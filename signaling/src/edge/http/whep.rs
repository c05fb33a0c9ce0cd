//! Players: WHEP (draft-ietf-wish-whep-03). A bearer token, an offer in, an answer out; the resource ends with DELETE.

use annotation::id::FeedId;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use link::id::CaseId;
use serde::Deserialize;
use sfu::{Grants, PeerKind};
use tokio::sync::oneshot;
use tracing::info;

use super::session::body_fault;
use super::{App, Doors, Problem, bearer};
use crate::authorize::Action;
use crate::claims::{Claims, FeedScope};
use crate::edge::case_actor::{CaseHandle, CaseInput, WhepWord, media_code};
use crate::texts::Code;

/// Random bytes of a resource's name.
pub(super) const RESOURCE_BYTES: usize = 16;
/// Candidates taken from one PATCH.
const CANDIDATES_MAX: usize = 32;

#[derive(Debug, Deserialize)]
pub(super) struct Wish {
    feed: Option<String>,
    layer: Option<String>,
}

pub(super) async fn open(
    State(app): State<App>,
    Path(case): Path<String>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    with_cors(try_open(&app, &case, wish, &headers, body).await.unwrap_or_else(|code| Problem(code).into_response()))
}

async fn try_open(
    app: &Doors,
    case: &str,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Code> {
    let wish = wish.map_err(|_| Code::RequestMalformed)?.0;
    let feed = FeedId::parse(wish.feed.as_deref().unwrap_or("program")).map_err(|_| Code::FeedUnknown)?;
    let (claims, handle) = admit(app, case, headers, Some(Action::Watch(feed.clone()))).await?;
    if !is(headers, "application/sdp") {
        return Err(Code::RequestMalformed);
    }
    let body = body.map_err(|fault| body_fault(&fault))?;
    let sdp = String::from_utf8(body.to_vec()).map_err(|_| Code::RequestMalformed)?;
    let resource = URL_SAFE_NO_PAD.encode(app.keys.random::<RESOURCE_BYTES>().map_err(|_| Code::ServerFault)?);

    let (reply, opened) = oneshot::channel();
    let layer = wish.layer.unwrap_or_default();
    let input = CaseInput::WhepOpen { claims: claims.clone(), feed: feed.clone(), layer, resource: resource.clone(), reply };
    handle.inputs.send(input).await.map_err(|_| Code::ServerStopping)?;
    let (peer, layer) = opened.await.map_err(|_| Code::ServerFault)??;
    let grants = Grants { see: true, hear: false, speak: false };
    match app.sfu.offer(peer, handle.id.clone(), PeerKind::Whep { feed, layer }, grants, sdp).await {
        Ok(answer) => {
            let location = format!("/whep/{}/{resource}", handle.id);
            let headers = [(header::CONTENT_TYPE, "application/sdp".to_owned()), (header::LOCATION, location)];
            Ok((StatusCode::CREATED, headers, answer).into_response())
        }
        Err(fault) => {
            info!(case = %handle.id, code = fault.code(), %fault, "a player's offer was not answered");
            let _ = tell(handle, claims, resource, WhepWord::Delete).await;
            Err(media_code(&fault))
        }
    }
}

/// Candidates of the player's (RFC 8840 `trickle-ice-sdpfrag`). A new offer of ICE (`ice-ufrag` changed) is not taken.
pub(super) async fn trickle(
    State(app): State<App>,
    Path((case, resource)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let done = async {
        let (claims, handle) = admit(&app, &case, &headers, None).await?;
        if !is(&headers, "application/trickle-ice-sdpfrag") {
            return Err(Code::RequestMalformed);
        }
        let body = body.map_err(|fault| body_fault(&fault))?;
        let text = std::str::from_utf8(&body).map_err(|_| Code::RequestMalformed)?;
        tell(handle, claims, resource, WhepWord::Candidates(candidates(text))).await
    };
    with_cors(answered(done.await, StatusCode::NO_CONTENT))
}

pub(super) async fn end(State(app): State<App>, Path((case, resource)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let done = async {
        let (claims, handle) = admit(&app, &case, &headers, None).await?;
        tell(handle, claims, resource, WhepWord::Delete).await
    };
    with_cors(answered(done.await, StatusCode::OK))
}

/// For pages of other sites that hold a token of theirs.
pub(super) async fn options() -> Response {
    with_cors(StatusCode::NO_CONTENT.into_response())
}

/// `action`: nothing where the resource, not a feed, is named; the case checks that it is this token's.
pub(super) async fn admit<'a>(
    app: &'a Doors,
    case: &str,
    headers: &HeaderMap,
    action: Option<Action>,
) -> Result<(Claims, &'a CaseHandle), Code> {
    let claims = app.keys.open_token(bearer(headers)?).map_err(|_| Code::LinkInvalid)?;
    let case = CaseId::parse(case).map_err(|_| Code::CaseUnknown)?;
    let action = action.unwrap_or_else(|| {
        Action::Watch(match &claims.feeds {
            FeedScope::Only(feeds) => feeds.first().cloned().unwrap_or_else(FeedId::program),
            FeedScope::All => FeedId::program(),
        })
    });
    app.admit_to(claims, &case, &action).await
}

async fn tell(handle: &CaseHandle, claims: Claims, resource: String, word: WhepWord) -> Result<(), Code> {
    let (reply, done) = oneshot::channel();
    let input = CaseInput::Whep { claims, resource, word, reply };
    handle.inputs.send(input).await.map_err(|_| Code::ServerStopping)?;
    done.await.map_err(|_| Code::ServerFault)?
}

pub(super) fn answered(done: Result<(), Code>, good: StatusCode) -> Response {
    match done {
        Ok(()) => good.into_response(),
        Err(code) => Problem(code).into_response(),
    }
}

pub(super) fn candidates(fragment: &str) -> Vec<String> {
    let lines = fragment.lines().map(str::trim).filter(|line| line.starts_with("a=candidate:"));
    lines.take(CANDIDATES_MAX).map(|line| line["a=".len()..].to_owned()).collect()
}

pub(super) fn is(headers: &HeaderMap, media_type: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type)
}

/// Tokens travel in a header that no other site's page has by itself, so any origin may ask.
pub(super) fn with_cors(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST, PATCH, DELETE, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type, If-Match"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Location, Link, ETag"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
        (HeaderName::from_static("accept-post"), "application/sdp"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_read_out_of_a_fragment() {
        let fragment = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n\
            a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0\r\na=end-of-candidates\r\n";
        let found = candidates(fragment);
        assert_eq!(found, ["candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0"]);
    }
}
