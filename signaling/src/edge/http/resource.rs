//! What WHIP and WHEP resources have in common: tokens, PATCH, DELETE, and what other sites' pages may know.
//! Source: RFC 9725; draft-ietf-wish-whep-04 (SPEC.md, *WHIP and WHEP, row by row*).

use annotation::id::FeedId;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use link::id::CaseId;
use sfu::{Grants, PeerId, PeerKind};
use tokio::sync::oneshot;
use tracing::info;

use super::session::body_fault;
use super::{App, Doors, Problem, bearer};
use crate::authorize::Action;
use crate::claims::{Claims, FeedScope};
use crate::edge::case_actor::{CaseHandle, CaseInput, Ported, ResourceWord, media_code};
use crate::edge::turn;
use crate::ice_session::{Fragment, IfMatch, fragment_of};
use crate::texts::Code;

/// Random bytes of a resource's name.
pub(super) const RESOURCE_BYTES: usize = 16;
pub(super) const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// What every PATCH and DELETE names.
pub(super) struct Named<'a> {
    claims: Claims,
    handle: &'a CaseHandle,
    resource: String,
}

impl Named<'_> {
    async fn tell(&self, word: ResourceWord) -> Result<Ported, Code> {
        let (reply, done) = oneshot::channel();
        let input = CaseInput::Resource { claims: self.claims.clone(), resource: self.resource.clone(), word, reply };
        self.handle.inputs.send(input).await.map_err(|_| Code::ServerStopping)?;
        done.await.map_err(|_| Code::ServerFault)?
    }
}

/// Offers to the media thread and answers 201, or takes the resource back.
pub(super) async fn answer(
    app: &Doors,
    (claims, handle): (Claims, &CaseHandle),
    (peer, kind, grants): (PeerId, PeerKind, Grants),
    (resource, location): (String, String),
    sdp: String,
) -> Result<Response, Code> {
    match app.sfu.offer(peer, handle.id.clone(), kind, grants, sdp).await {
        Ok(answer) => {
            let (token_ends, case) = (claims.expires_unix_s, handle.id.clone());
            let named = Named { claims, handle, resource };
            let Ported::Tag(tag) = named.tell(ResourceWord::Tag).await? else { return Err(Code::ServerFault) };
            let headers = [(header::CONTENT_TYPE, SDP.to_owned()), (header::LOCATION, location), (header::ETAG, tag)];
            let mut response = (StatusCode::CREATED, headers, answer).into_response();
            let now = app.timeline.now().to_unix().as_secs();
            let relay = app.turn.as_ref().map(|turn| turn.server_unrenewed(now, &case, peer.0, token_ends));
            for link in relay.iter().flat_map(turn::links) {
                response.headers_mut().append(header::LINK, HeaderValue::try_from(link).map_err(|_| Code::ServerFault)?);
            }
            Ok(response)
        }
        Err(fault) => {
            info!(case = %handle.id, code = fault.code(), fault = %fault.to_string().escape_debug(), "a player's or camera's offer was not answered");
            let _ = Named { claims, handle, resource }.tell(ResourceWord::Delete).await;
            Err(media_code(&fault))
        }
    }
}

pub(super) async fn patch_player(
    State(app): State<App>,
    Path((case, resource)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let named = named(&app, &case, None, resource, &headers).await;
    with_cors(patched(&app, named, &headers, body).await)
}

pub(super) async fn patch_camera(
    State(app): State<App>,
    Path((case, feed, resource)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let named = named(&app, &case, Some(&feed), resource, &headers).await;
    with_cors(patched(&app, named, &headers, body).await)
}

pub(super) async fn end_player(
    State(app): State<App>,
    Path((case, resource)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let named = named(&app, &case, None, resource, &headers).await;
    with_cors(ended(named).await)
}

pub(super) async fn end_camera(
    State(app): State<App>,
    Path((case, feed, resource)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let named = named(&app, &case, Some(&feed), resource, &headers).await;
    with_cors(ended(named).await)
}

/// For pages of other sites that hold a token of theirs, and for clients that ask what may be posted (RFC 9725 §4.2).
pub(super) async fn options() -> Response {
    with_cors(StatusCode::OK.into_response())
}

/// A resource has nothing to show (RFC 9725 §4.1), but is there, or not, for whom it belongs to.
pub(super) async fn look_at_player(
    State(app): State<App>,
    Path((case, resource)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let named = named(&app, &case, None, resource, &headers).await;
    with_cors(looked_at(named).await)
}

pub(super) async fn look_at_camera(
    State(app): State<App>,
    Path((case, feed, resource)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let named = named(&app, &case, Some(&feed), resource, &headers).await;
    with_cors(looked_at(named).await)
}

async fn looked_at(named: Result<Named<'_>, Code>) -> Response {
    let there = async { named?.tell(ResourceWord::Look).await };
    there.await.map_or_else(|code| Problem(code).into_response(), |_| StatusCode::NO_CONTENT.into_response())
}

async fn named<'a>(
    app: &'a Doors,
    case: &str,
    feed: Option<&str>,
    resource: String,
    headers: &HeaderMap,
) -> Result<Named<'a>, Code> {
    let action = match feed {
        Some(feed) => Some(Action::Publish(FeedId::parse(feed).map_err(|_| Code::FeedUnknown)?)),
        None => None,
    };
    let (claims, handle) = admit(app, case, headers, action).await?;
    Ok(Named { claims, handle, resource })
}

/// As [`named`], of a layer that a far engine carries.
pub(super) async fn named_by_engine<'a>(
    app: &'a App,
    case: &str,
    resource: String,
    headers: &HeaderMap,
) -> Result<Named<'a>, Code> {
    let (claims, handle) = admit(app, case, headers, Some(Action::Compose)).await?;
    Ok(Named { claims, handle, resource })
}

pub(super) async fn ended(named: Result<Named<'_>, Code>) -> Response {
    let done = async { named?.tell(ResourceWord::Delete).await };
    done.await.map_or_else(|code| Problem(code).into_response(), |_| StatusCode::OK.into_response())
}

/// Candidates (204), or an ICE restart (200, with the new credentials and the new entity-tag).
pub(super) async fn patched(
    app: &Doors,
    named: Result<Named<'_>, Code>,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let done = async {
        let named = named?;
        if !is(headers, FRAGMENT) {
            return Err(Code::RequestMediaType);
        }
        let body = body.map_err(|fault| body_fault(&fault))?;
        let fragment = Fragment::parse(std::str::from_utf8(&body).map_err(|_| Code::RequestMalformed)?)?;
        let if_match = IfMatch::parse(headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok()));
        match named.tell(ResourceWord::Patch { if_match, fragment }).await? {
            Ported::Done | Ported::Tag(_) => Ok(StatusCode::NO_CONTENT.into_response()),
            Ported::Restart { peer, kind, grants, offer, candidates } => {
                let answer = app.sfu.offer(peer, named.handle.id.clone(), kind, grants, offer.clone()).await;
                let answer = answer.map_err(|fault| media_code(&fault))?;
                let word = ResourceWord::Restarted { offer, candidates };
                let Ported::Tag(tag) = named.tell(word).await? else { return Err(Code::ServerFault) };
                let headers = [(header::CONTENT_TYPE, FRAGMENT.to_owned()), (header::ETAG, tag)];
                Ok((StatusCode::OK, headers, fragment_of(&answer)).into_response())
            }
        }
    };
    done.await.unwrap_or_else(|code| Problem(code).into_response())
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

/// The offer of a POST.
pub(super) fn offer(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<String, Code> {
    if !is(headers, SDP) {
        return Err(Code::RequestMediaType);
    }
    let body = body.map_err(|fault| body_fault(&fault))?;
    String::from_utf8(body.to_vec()).map_err(|_| Code::RequestMalformed)
}

fn is(headers: &HeaderMap, media_type: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type)
}

/// Tokens travel in a header that no other site's page has by itself, so any origin may ask.
pub(super) fn with_cors(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST, PATCH, DELETE, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type, If-Match"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Location, Link, ETag, Accept-Patch, Accept-Post, Retry-After, Allow"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
        (HeaderName::from_static("accept-post"), SDP),
        (HeaderName::from_static("accept-patch"), FRAGMENT),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
