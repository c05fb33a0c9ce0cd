//! Players: WHEP (draft-ietf-wish-whep-04). A bearer token, an offer in, an answer out; the resource ends with DELETE.

use annotation::id::FeedId;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sfu::{Grants, PeerKind};
use tokio::sync::oneshot;

use super::problem::NotYet;
use super::resource::{self, RESOURCE_BYTES, admit, with_cors};
use super::{App, Doors, Problem};
use crate::authorize::Action;
use crate::edge::case_actor::CaseInput;
use crate::texts::Code;

#[derive(Debug, Deserialize)]
pub(super) struct Wish {
    feed: Option<String>,
    layer: Option<String>,
    audio: Option<Audio>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Audio {
    /// All who speak, on one track.
    Mix,
    None,
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

/// A generic player asks by HEAD whether WHEP is spoken here (draft-ietf-wish-whep-04 §4.2). The same for every case, known or not.
pub(super) async fn look() -> Response {
    with_cors((StatusCode::OK, [(header::CONTENT_TYPE, resource::SDP)]).into_response())
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
    let hear = wish.audio == Some(Audio::Mix);
    if hear {
        // Whoever listens is seen to be there: people do by their page.
        if claims.role.is_person() {
            return Err(Code::DeniedRole);
        }
        app.admit_to(claims.clone(), &handle.id, &Action::Listen).await?;
    }
    let sdp = resource::offer(headers, body)?;
    let resource = URL_SAFE_NO_PAD.encode(app.keys.random::<RESOURCE_BYTES>().map_err(|_| Code::ServerFault)?);

    let (reply, opened) = oneshot::channel();
    let input = CaseInput::WhepOpen {
        claims: claims.clone(),
        feed: feed.clone(),
        layer: wish.layer.unwrap_or_default(),
        hear,
        resource: resource.clone(),
        offer: sdp.clone(),
        reply,
    };
    handle.inputs.send(input).await.map_err(|_| Code::ServerStopping)?;
    let opened: Result<(_, PeerKind, Grants), Code> = opened.await.map_err(|_| Code::ServerFault)?;
    let (peer, kind, grants) = match opened {
        Err(Code::FeedUnknown) => return Ok(NotYet(Code::FeedUnknown).into_response()),
        opened => opened?,
    };
    let location = format!("/whep/{}/{resource}", handle.id);
    resource::answer(app, (claims, handle), (peer, kind, grants), (resource, location), sdp).await
}
