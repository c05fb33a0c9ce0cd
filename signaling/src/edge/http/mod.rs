//! The browser's door: routes, and what every answer has in common. Each request is answered within a time and a size;
//! each error has a stable code and a sentence in two languages.

mod engine;
mod files;
mod problem;
mod refusals;
mod resource;
mod session;
mod socket;
mod still;
mod whep;
mod whip;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, patch, post};
use link::id::CaseId;
use sfu::SfuHandle;
use tokio::sync::mpsc;

pub use self::engine::FarEngines;
pub use self::problem::Problem;
pub use self::refusals::Refusals;
use super::case_actor::{CaseHandle, CaseInput};
use super::clock::Timeline;
use super::directory::Directory;
use super::engine_link::LinkCommands;
use super::keys::Keys;
use super::listener::Place;
use super::metrics::{self, Counters};
use super::store::{AuditRow, Command, Store, TokenStanding};
use super::turn::Turn;
use crate::authorize::{Action, CaseFacts, Phase, authorize};
use crate::claims::{Claims, TokenId};
use crate::texts::Code;

/// Longest body: an SDP offer of a page with every codec is ~20 kB.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// From the head of a request to its answer, a slow body included. A WebSocket's life is not counted.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// How often it is looked whether the audit left refusals out.
const SUM_UP_EVERY: Duration = Duration::from_secs(10);
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
    pub refusals: Refusals,
    /// For players and cameras; pages are told by their case.
    pub turn: Option<Arc<Turn>>,
    pub far_engines: FarEngines,
}

/// The other end, put into each request by the listener.
#[derive(Debug, Clone)]
pub struct Caller {
    pub address: SocketAddr,
    pub place: Arc<Place>,
}

pub type App = Arc<Doors>;

pub fn router(app: App) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/metrics", get(figures))
        .route("/api/session", post(session::open))
        .route("/api/reopen", post(session::reopen))
        .route("/ws", get(socket::upgrade))
        .route("/engine/{case}/{part}", get(engine::upgrade))
        .route("/engine/{case}/whip/{ssrc}", post(engine::carry))
        .route("/engine/{case}/whip/{ssrc}/{resource}", patch(engine::patch_carried).delete(engine::end_carried))
        .route("/whep/{case}", post(whep::open).get(whep::look).options(resource::options))
        .route(
            "/whep/{case}/{resource}",
            patch(resource::patch_player).delete(resource::end_player).get(resource::look_at_player).options(resource::options),
        )
        .route("/whip/{case}/{feed}", post(whip::open).get(whip::look).options(resource::options))
        .route(
            "/whip/{case}/{feed}/{resource}",
            patch(resource::patch_camera).delete(resource::end_camera).get(resource::look_at_camera).options(resource::options),
        )
        .route("/api/still/{case}/{name}", get(still::kept))
        .route("/api/still/{case}/{name}/{capture}", get(still::of_frame))
        .route("/api/{*rest}", any(|| async { Problem(Code::NotFound) }))
        .fallback(files::serve)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(app.clone(), around))
        .with_state(app)
}

/// Another method than those in `Allow`, which the router adds. Players and cameras may be pages of other sites.
async fn not_allowed(uri: Uri) -> Response {
    let response = Problem(Code::MethodNotAllowed).into_response();
    let ported = ["/whip/", "/whep/"].iter().any(|door| uri.path().starts_with(door));
    if ported { resource::with_cors(response) } else { response }
}

/// Time-out, counters, and the headers that every answer carries.
async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    app.counters.requests.add(1);
    if let Some(caller) = request.extensions().get::<Caller>()
        && !caller.place.is_known()
        && app.has_token(request.headers())
    {
        caller.place.become_known();
    }
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
        let claims = self.claims_of(token, action.as_str())?;
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
        if allowed.is_ok() && self.store.token_shown(claims.id, now) == TokenStanding::Revoked {
            allowed = Err(Code::LinkRevoked);
        }
        match (allowed, handle) {
            (Ok(()), Some(handle)) => Ok((claims, handle)),
            (Ok(()), None) => Err(if ended { Code::CaseEnded } else { Code::CaseUnknown }),
            (Err(code), _) => {
                self.audit_refusal(&claims.case, format!("token:{}", claims.id), claims.role.as_str(), action.as_str(), code);
                Err(code)
            }
        }
    }

    /// Of a token that this server signed. What is none is a refusal of nobody known.
    pub(super) fn claims_of(&self, token: &str, act: &'static str) -> Result<Claims, Code> {
        self.keys.open_token(token).map_err(|_| {
            if let Some(first) = self.directory.all().next() {
                self.audit_refusal(&first.id, "-".into(), "-", act, Code::LinkInvalid);
            }
            Code::LinkInvalid
        })
    }

    /// Whether the request shows a token of this server that is not over. Opens nothing: it tells whose connections are spared
    /// when there are too many.
    fn has_token(&self, headers: &HeaderMap) -> bool {
        let now = self.timeline.now();
        let good = |token: &str| self.keys.open_token(token).is_ok_and(|claims| !claims.is_expired(now));
        bearer(headers).is_ok_and(good) || session::tokens_of_cookies(headers).take(4).any(good)
    }

    /// Access is given only where its row will be kept: the row is on its way, or the door stays shut.
    fn audit_entry(&self, claims: &Claims, act: &'static str) -> Result<(), Code> {
        let row = AuditRow {
            at: self.timeline.now(),
            case: claims.case.clone(),
            who: format!("token:{}", claims.id),
            role: claims.role.as_str(),
            act,
            outcome: "ok",
        };
        let refusing = || self.store.disk().borrow().code().unwrap_or(Code::ServerBusy);
        self.store.try_send(Command::Audit(row)).map_err(|_| refusing())
    }

    fn audit_refusal(&self, case: &CaseId, who: String, role: &'static str, act: &'static str, outcome: Code) {
        let at = self.timeline.now();
        if !self.refusals.handle(at) {
            return;
        }
        let row = AuditRow { at, case: case.clone(), who, role, act, outcome: outcome.as_str() };
        if self.store.try_send(Command::Audit(row)).is_err() {
            self.refusals.leave_out(at);
        }
    }

    /// Looks after the doors until the server stops: withdrawn links, and what the audit left out.
    pub async fn watch(self: Arc<Self>) {
        let (told, mut heard) = mpsc::channel::<(TokenId, CaseId)>(16);
        let watching = self.store.clone().watch_withdrawn(told);
        let summing_up = async {
            let mut every = tokio::time::interval(SUM_UP_EVERY);
            loop {
                every.tick().await;
                self.sum_up().await;
            }
        };
        let telling = async {
            while let Some((token, case)) = heard.recv().await {
                if let Some(case) = self.directory.case(&case) {
                    let _ = case.inputs.send(CaseInput::Revoked(token)).await;
                }
            }
        };
        tokio::join!(watching, summing_up, telling);
    }

    async fn sum_up(&self) {
        let at = self.timeline.now();
        let (Some(n), Some(first)) = (self.refusals.poll_left_out(at), self.directory.all().next()) else { return };
        let row =
            AuditRow { at, case: first.id.clone(), who: format!("{n} more"), role: "-", act: "refusals", outcome: "left-out" };
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

/// To the machine itself under its own name, or to a bearer whose role may read it. A proxy's requests are not the machine's own,
/// nor are those of a page whose name was made to point here.
async fn figures(State(app): State<App>, caller: axum::Extension<Caller>, headers: HeaderMap) -> Result<Response, Problem> {
    let proxied = headers.contains_key("x-forwarded-for") || headers.contains_key(header::FORWARDED);
    if proxied || !caller.address.ip().to_canonical().is_loopback() || !names_this_machine(&headers) {
        app.admit(bearer(&headers)?, &Action::ReadMetrics).await?;
    }
    let text = metrics::render(
        &app.directory,
        &app.counters,
        &app.link,
        (app.sfu.dropped(), &app.sfu.figures()),
        app.store.disk().borrow().code(),
    );
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// `Host` is localhost or a loopback address.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().is_loopback();
    }
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.parse::<u16>().is_ok() { name } else { host });
    name.eq_ignore_ascii_case("localhost")
        || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
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
    fn figures_are_asked_for_under_the_machines_own_name() {
        for own in ["localhost", "localhost:8443", "127.0.0.1:9090", "[::1]:8443", "[::1]"] {
            assert!(names_this_machine(&headers(None, own)), "{own}");
        }
        for stranger in ["shirube.example", "evil.example:8443", "192.0.2.1", "[2001:db8::1]:80", "localhost.evil.example:80"] {
            assert!(!names_this_machine(&headers(None, stranger)), "{stranger}");
        }
        assert!(!names_this_machine(&HeaderMap::new()));
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
