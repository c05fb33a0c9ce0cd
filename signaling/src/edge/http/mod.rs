//! The browser's door: routes, and what every answer has in common. Each request is answered within a time and a size;
//! each error has a stable code and a sentence in two languages.

mod files;
mod problem;
mod resource;
mod session;
mod socket;
mod whep;
mod whip;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, patch, post};
use link::id::CaseId;
use sfu::SfuHandle;

pub use self::problem::Problem;
use super::case_actor::CaseHandle;
use super::clock::Timeline;
use super::directory::Directory;
use super::engine_link::LinkCommands;
use super::keys::Keys;
use super::metrics::{self, Counters};
use super::store::{AuditRow, Store, TokenStanding};
use crate::authorize::{Action, CaseFacts, Phase, authorize};
use crate::claims::Claims;
use crate::texts::Code;

/// Longest body: an SDP offer of a page with every codec is ~20 kB.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// From the head of a request to its answer, a slow body included. A WebSocket's life is not counted.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Only the page itself runs, loads and connects; nobody frames it.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
    font-src 'self'; media-src 'self' blob: mediastream:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What every door needs.
#[derive(Debug)]
pub struct Doors {
    pub keys: Keys,
    pub store: Store,
    pub directory: Directory,
    /// Cases of earlier days: their links say that they have ended.
    pub ended: BTreeSet<CaseId>,
    pub timeline: Timeline,
    pub sfu: SfuHandle,
    pub link: LinkCommands,
    pub counters: Arc<Counters>,
    pub web_root: PathBuf,
}

/// Of the other end, put into each request by the listener.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub SocketAddr);

pub type App = Arc<Doors>;

pub fn router(app: App) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/metrics", get(figures))
        .route("/api/session", post(session::open))
        .route("/ws", get(socket::upgrade))
        .route("/whep/{case}", post(whep::open).options(resource::options))
        .route("/whep/{case}/{resource}", patch(resource::patch_player).delete(resource::end_player).options(resource::options))
        .route("/whip/{case}/{feed}", post(whip::open).options(resource::options))
        .route(
            "/whip/{case}/{feed}/{resource}",
            patch(resource::patch_camera).delete(resource::end_camera).options(resource::options),
        )
        .route("/api/{*rest}", any(|| async { Problem(Code::NotFound) }))
        .fallback(files::serve)
        .method_not_allowed_fallback(|| async { Problem(Code::MethodNotAllowed) })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(app.clone(), around))
        .with_state(app)
}

/// Time-out, counters, and the headers that every answer carries.
async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    app.counters.requests.add(1);
    let answer = tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await;
    let mut response = answer.unwrap_or_else(|_| Problem(Code::RequestTimeout).into_response());
    if response.status().is_client_error() || response.status().is_server_error() {
        app.counters.refused.add(1);
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("permissions-policy"), "camera=(self), microphone=(self), geolocation=(), usb=()"),
        // Pages are isolated, which also gives them finer clocks.
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

impl Doors {
    /// A token of this server and the case it names, if it may do `action` there now. Asks [`authorize`], and the store
    /// whether the token was withdrawn.
    pub async fn admit(&self, token: &str, action: &Action) -> Result<(Claims, &CaseHandle), Code> {
        let claims = self.keys.open_token(token).map_err(|_| Code::LinkInvalid)?;
        let case = claims.case.clone();
        self.admit_to(claims, &case, action).await
    }

    /// As [`Self::admit`], where the request names the case.
    pub async fn admit_to(&self, claims: Claims, case: &CaseId, action: &Action) -> Result<(Claims, &CaseHandle), Code> {
        let now = self.timeline.now();
        let handle = self.directory.case(case);
        let ended = self.ended.contains(case);
        let phase = handle.map_or(if ended { Phase::Ended } else { Phase::Live }, |handle| *handle.phase.borrow());
        let mut allowed = authorize(&claims, action, &CaseFacts { case, phase }, now).map_err(|denied| denied.code());
        if allowed.is_ok() && self.standing(&claims).await? == TokenStanding::Revoked {
            allowed = Err(Code::LinkRevoked);
        }
        match (allowed, handle) {
            (Ok(()), Some(handle)) => Ok((claims, handle)),
            (Ok(()), None) => Err(Code::CaseUnknown),
            (Err(code), _) => {
                self.audit(&claims, action.as_str(), code).await;
                Err(code)
            }
        }
    }

    async fn standing(&self, claims: &Claims) -> Result<TokenStanding, Code> {
        self.store.token_shown(claims.id, self.timeline.now()).await.map_err(|_| Code::ServerStopping)
    }

    async fn audit(&self, claims: &Claims, act: &'static str, outcome: Code) {
        self.audit_outcome(claims, act, outcome.as_str()).await;
    }

    async fn audit_outcome(&self, claims: &Claims, act: &'static str, outcome: &'static str) {
        let row = AuditRow {
            at: self.timeline.now(),
            case: claims.case.clone(),
            who: format!("token:{}", claims.id),
            role: claims.role.as_str(),
            act,
            outcome,
        };
        // The store is gone only while the server stops.
        let _ = self.store.audit(row).await;
    }
}

/// The token of an `Authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Result<&str, Code> {
    let value = headers.get(header::AUTHORIZATION).ok_or(Code::SessionMissing)?;
    let (scheme, token) = value.to_str().ok().and_then(|v| v.split_once(' ')).ok_or(Code::LinkInvalid)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(Code::LinkInvalid) }
}

/// True unless a browser says that another site's page sent this (RFC 6454 §7; RFC 6455 §10.2).
fn from_own_page(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    matches!((authority, host), (Some(origin), Some(host)) if origin.eq_ignore_ascii_case(host))
}

/// To the machine itself, or to a bearer whose role may read it. A proxy's requests are not the machine's own.
async fn figures(State(app): State<App>, peer: axum::Extension<PeerAddress>, headers: HeaderMap) -> Result<Response, Problem> {
    let proxied = headers.contains_key("x-forwarded-for") || headers.contains_key(header::FORWARDED);
    if proxied || !peer.0.0.ip().to_canonical().is_loopback() {
        app.admit(bearer(&headers)?, &Action::ReadMetrics).await?;
    }
    let text = metrics::render(&app.directory, &app.counters, &app.link, app.sfu.dropped());
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(origin: Option<&str>, host: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().expect("a value"));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().expect("a value"));
        }
        headers
    }

    #[test]
    fn sg4_only_pages_of_this_server_may_connect() {
        assert!(from_own_page(&headers(Some("https://localhost:8443"), "localhost:8443")));
        assert!(from_own_page(&headers(None, "localhost:8443")), "a tool, not a browser");
        for stranger in ["https://evil.example", "https://localhost:8444", "https://localhost:8443.evil.example", "null"] {
            assert!(!from_own_page(&headers(Some(stranger), "localhost:8443")), "{stranger}");
        }
    }
}
