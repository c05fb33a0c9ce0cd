//! Cameras that publish: WHIP (RFC 9725). A bearer token of a publisher, an offer in, an answer out; the resource ends
//! with DELETE. The feed is in the path; it becomes the layer `high` of that feed, and is composed by the room's engine.

use annotation::id::FeedId;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sfu::{Grants, PeerKind};
use tokio::sync::oneshot;
use tracing::info;

use super::session::body_fault;
use super::whep::{RESOURCE_BYTES, admit, answered, candidates, is, with_cors};
use super::{App, Doors, Problem};
use crate::authorize::Action;
use crate::claims::Claims;
use crate::edge::case_actor::{CaseHandle, CaseInput, WhepWord, media_code};
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

async fn try_open(
    app: &Doors,
    case: &str,
    feed: &str,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Code> {
    let feed = FeedId::parse(feed).map_err(|_| Code::FeedUnknown)?;
    let (claims, handle) = admit(app, case, headers, Some(Action::Publish(feed.clone()))).await?;
    if !is(headers, "application/sdp") {
        return Err(Code::RequestMalformed);
    }
    let body = body.map_err(|fault| body_fault(&fault))?;
    let sdp = String::from_utf8(body.to_vec()).map_err(|_| Code::RequestMalformed)?;
    let resource = URL_SAFE_NO_PAD.encode(app.keys.random::<RESOURCE_BYTES>().map_err(|_| Code::ServerFault)?);

    let (reply, opened) = oneshot::channel();
    let input = CaseInput::WhipOpen { claims: claims.clone(), feed: feed.clone(), resource: resource.clone(), reply };
    handle.inputs.send(input).await.map_err(|_| Code::ServerStopping)?;
    let peer = opened.await.map_err(|_| Code::ServerFault)??;
    // A camera sends; it is shown and told nothing.
    let kind = PeerKind::Whip { feed: feed.clone() };
    match app.sfu.offer(peer, handle.id.clone(), kind, Grants::default(), sdp).await {
        Ok(answer) => {
            let location = format!("/whip/{}/{feed}/{resource}", handle.id);
            let headers = [(header::CONTENT_TYPE, "application/sdp".to_owned()), (header::LOCATION, location)];
            Ok((StatusCode::CREATED, headers, answer).into_response())
        }
        Err(fault) => {
            info!(case = %handle.id, code = fault.code(), %fault, "a camera's offer was not answered");
            let _ = tell(handle, claims, resource, WhepWord::Delete).await;
            Err(media_code(&fault))
        }
    }
}

/// Candidates of the camera's (RFC 8840).
pub(super) async fn trickle(
    State(app): State<App>,
    Path((case, feed, resource)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let done = async {
        let feed = FeedId::parse(&feed).map_err(|_| Code::FeedUnknown)?;
        let (claims, handle) = admit(&app, &case, &headers, Some(Action::Publish(feed))).await?;
        if !is(&headers, "application/trickle-ice-sdpfrag") {
            return Err(Code::RequestMalformed);
        }
        let body = body.map_err(|fault| body_fault(&fault))?;
        let text = std::str::from_utf8(&body).map_err(|_| Code::RequestMalformed)?;
        tell(handle, claims, resource, WhepWord::Candidates(candidates(text))).await
    };
    with_cors(answered(done.await, StatusCode::NO_CONTENT))
}

pub(super) async fn end(
    State(app): State<App>,
    Path((case, feed, resource)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let done = async {
        let feed = FeedId::parse(&feed).map_err(|_| Code::FeedUnknown)?;
        let (claims, handle) = admit(&app, &case, &headers, Some(Action::Publish(feed))).await?;
        tell(handle, claims, resource, WhepWord::Delete).await
    };
    with_cors(answered(done.await, StatusCode::OK))
}

async fn tell(handle: &CaseHandle, claims: Claims, resource: String, word: WhepWord) -> Result<(), Code> {
    let (reply, done) = oneshot::channel();
    handle.inputs.send(CaseInput::Whip { claims, resource, word, reply }).await.map_err(|_| Code::ServerStopping)?;
    done.await.map_err(|_| Code::ServerFault)?
}
