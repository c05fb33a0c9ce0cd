//! Pinned frames for pages: the frame that ink was drawn on, for freezing and for insets. From memory, never cached anywhere.
//! A page names its id, as its socket does; the cookie of that name says who it is.

use annotation::check::is_still_id;
use annotation::id::FeedId;
use annotation::time::CaptureTime;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use link::id::CaseId;
use tokio::sync::oneshot;

use super::session::{Named, claims_of_page};
use super::{App, Problem, from_own_page};
use crate::authorize::Action;
use crate::edge::case_actor::{CaseInput, StillName};
use crate::stills::FrameName;
use crate::texts::Code;

type Asked = Result<Query<Named>, QueryRejection>;

/// A still by its id, as transforms and strokes name it.
pub(super) async fn kept(
    State(app): State<App>,
    Path((case, still)): Path<(String, String)>,
    named: Asked,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !is_still_id(&still) {
        return Err(Problem(Code::StillUnknown));
    }
    answer(app, &case, StillName::Kept(still), named, &headers).await
}

/// The frame of a feed captured at, or last before, a time (NTP 32.32 in decimal; 0: the newest). Asked of the engine where it
/// is not kept.
pub(super) async fn of_frame(
    State(app): State<App>,
    Path((case, feed, capture)): Path<(String, String, String)>,
    named: Asked,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let feed = FeedId::parse(&feed).map_err(|_| Code::FeedUnknown)?;
    let capture = CaptureTime(capture.parse().map_err(|_| Code::RequestMalformed)?);
    answer(app, &case, StillName::Frame(FrameName { feed, capture }), named, &headers).await
}

async fn answer(app: App, case: &str, name: StillName, named: Asked, headers: &HeaderMap) -> Result<Response, Problem> {
    if !from_own_page(headers) {
        return Err(Problem(Code::OriginRefused));
    }
    let case = CaseId::parse(case).map_err(|_| Code::CaseUnknown)?;
    let Query(named) = named.map_err(|_| Code::RequestMalformed)?;
    let claims = claims_of_page(&app, headers, named.id.as_deref())?;
    let (claims, handle) = app.admit_to(claims, &case, &Action::Attend).await?;
    let (reply, answer) = oneshot::channel();
    handle.inputs.send(CaseInput::Still { claims, name, reply }).await.map_err(|_| Code::ServerStopping)?;
    let still = answer.await.map_err(|_| Code::ServerFault)??;
    let headers = [
        (header::CONTENT_TYPE, "image/jpeg".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin".to_owned()),
        (HeaderName::from_static("shirube-still"), still.id),
        (HeaderName::from_static("shirube-capture"), still.capture.0.to_string()),
    ];
    Ok((StatusCode::OK, headers, still.jpeg).into_response())
}
