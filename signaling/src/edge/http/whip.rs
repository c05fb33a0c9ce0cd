//! Cameras that publish: WHIP (RFC 9725). A bearer token of a publisher, an offer in, an answer out; the resource ends
//! with DELETE. The feed is in the path; it becomes the layer `high` of that feed, and is composed by the room's engine.

use annotation::id::FeedId;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::oneshot;

use super::resource::{self, RESOURCE_BYTES, admit, with_cors};
use super::{App, Doors, Problem};
use crate::authorize::Action;
use crate::edge::case_actor::CaseInput;
use crate::texts::Code;

pub(super) async fn open(
    State(app): State<App>,
    Path((case, feed)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let opened = try_open(&app, &case, &feed, &headers, body).await;
    with_cors(opened.unwrap_or_else(|code| Problem(code).into_response()))
}

/// There is nothing to show here (RFC 9725 §4.1), to anybody alike: whether there is such a case is told to its links alone.
pub(super) async fn look() -> Response {
    with_cors(StatusCode::NO_CONTENT.into_response())
}

async fn try_open(
    app: &Doors,
    case: &str,
    feed: &str,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Code> {
    let feed = FeedId::parse(feed).map_err(|_| Code::FeedUnknown)?;
    let (claims, handle) = admit(app, case, headers, Some(Action::Publish(feed.clone()))).await?;
    let sdp = resource::offer(headers, body)?;
    let resource = URL_SAFE_NO_PAD.encode(app.keys.random::<RESOURCE_BYTES>().map_err(|_| Code::ServerFault)?);

    let (reply, opened) = oneshot::channel();
    let (claimed, offer) = (claims.clone(), sdp.clone());
    let input = CaseInput::WhipOpen { claims: claimed, feed: feed.clone(), resource: resource.clone(), offer, reply };
    handle.inputs.send(input).await.map_err(|_| Code::ServerStopping)?;
    let opened = opened.await.map_err(|_| Code::ServerFault)??;
    let location = format!("/whip/{}/{feed}/{resource}", handle.id);
    resource::answer(app, (claims, handle), opened, (resource, location), sdp).await
}
