//! An engine that runs elsewhere: the link's two connections, each as a WebSocket of bytes, and WHIP sessions that carry its layers. The
//! engine dials out only; its token is an engine's, of this case; what goes through is what goes through the sockets on one
//! machine, so nothing of it is decided twice.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use link::control::take_message;
use link::id::CaseId;
use link::wire::{ToServer, to_server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::info;

use super::resource::{self, RESOURCE_BYTES};
use super::{App, Doors, Problem, bearer};
use crate::authorize::Action;
use crate::claims::Claims;
use crate::edge::case_actor::{CaseHandle, CaseInput};
use crate::edge::engine_link::Part;
use crate::texts::Code;

/// One piece of either stream. The engine cuts them anywhere.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// A Hello with every feed and layer.
const HELLO_BYTES_MAX: usize = 64 * 1024;
const PING_EVERY: Duration = Duration::from_secs(2);
/// The engine answers pings: this long without anything, it is gone.
const SILENT_AFTER: Duration = Duration::from_secs(8);
const SEND_WITHIN: Duration = Duration::from_secs(5);

pub(super) async fn upgrade(
    State(app): State<App>,
    Path((case, part)): Path<(String, String)>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let part = match part.as_str() {
        "control" => Part::Control,
        "media" => Part::Media,
        _ => return Err(Problem(Code::NotFound)),
    };
    let upgrade = upgrade.map_err(|_| Code::RequestMalformed)?;
    let case = CaseId::parse(&case).map_err(|_| Code::CaseUnknown)?;
    let token = bearer(&headers)?.to_owned();
    may(&app, &token, &case).await?;
    // An engine that comes again after a cut takes the place of itself: nobody waits until the old line is found to be dead.
    let newer = (part == Part::Control).then(|| app.far_engines.take_place(&case));
    let upgrade = upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let why = tokio::select! {
            why = relay(&app, socket, &token, &case, part) => why,
            () = replaced(newer) => "it came again",
        };
        info!(%case, ?part, why, "an engine from afar left");
    }))
}

async fn may<'a>(app: &'a Doors, token: &str, case: &CaseId) -> Result<(Claims, &'a CaseHandle), Code> {
    let claims = app.claims_of(token, Action::Compose.as_str())?;
    app.admit_to(claims, case, &Action::Compose).await
}

/// The control connections of far engines, the newest of each case.
#[derive(Debug, Default)]
pub struct FarEngines(Mutex<BTreeMap<CaseId, watch::Sender<()>>>);

impl FarEngines {
    /// From now on this one is the newest; what is returned ends when another is.
    fn take_place(&self, case: &CaseId) -> watch::Receiver<()> {
        let (newest, until_newer) = watch::channel(());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(case.clone(), newest);
        until_newer
    }
}

async fn replaced(newer: Option<watch::Receiver<()>>) {
    match newer {
        Some(mut newer) => while newer.changed().await.is_ok() {},
        None => std::future::pending().await,
    }
}

/// WHIP for one layer of a far engine, named by the SSRC that it announced on its control connection. Its packets are the link's.
pub(super) async fn carry(
    State(app): State<App>,
    Path((case, ssrc)): Path<(String, u32)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    try_carry(&app, &case, ssrc, &headers, body).await.unwrap_or_else(|code| Problem(code).into_response())
}

async fn try_carry(
    app: &Doors,
    case: &str,
    ssrc: u32,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Code> {
    let case = CaseId::parse(case).map_err(|_| Code::CaseUnknown)?;
    let (claims, handle) = may(app, bearer(headers)?, &case).await?;
    let offer = resource::offer(headers, body)?;
    let layer = app.link.layer_of(&case, ssrc).ok_or(Code::LayerUnknown)?;
    let resource = URL_SAFE_NO_PAD.encode(app.keys.random::<RESOURCE_BYTES>().map_err(|_| Code::ServerFault)?);
    let (reply, opened) = oneshot::channel();
    let input = CaseInput::CarryOpen { claims: claims.clone(), layer, resource: resource.clone(), offer: offer.clone(), reply };
    handle.inputs.send(input).await.map_err(|_| Code::ServerStopping)?;
    let opened = opened.await.map_err(|_| Code::ServerFault)??;
    let location = format!("/engine/{case}/whip/{ssrc}/{resource}");
    resource::answer(app, (claims, handle), opened, (resource, location), offer).await
}

pub(super) async fn patch_carried(
    State(app): State<App>,
    Path((case, _, resource)): Path<(String, u32, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let named = resource::named_by_engine(&app, &case, resource, &headers).await;
    resource::patched(&app, named, &headers, body).await
}

pub(super) async fn end_carried(
    State(app): State<App>,
    Path((case, _, resource)): Path<(String, u32, String)>,
    headers: HeaderMap,
) -> Response {
    resource::ended(resource::named_by_engine(&app, &case, resource, &headers).await).await
}

/// Bytes both ways until one side ends, or the token is worth nothing any more; says why.
async fn relay(app: &Doors, socket: WebSocket, token: &str, case: &CaseId, part: Part) -> &'static str {
    let Ok(link) = app.link.dial(part, case).await else { return "the server's link does not listen" };
    info!(%case, ?part, "an engine from afar");
    let (mut from_link, mut to_link) = link.into_split();
    let (mut sink, mut source) = socket.split();
    let up = async {
        let mut gate = Gate { case, head: Some(BytesMut::new()).filter(|_| part == Part::Control) };
        loop {
            match timeout(SILENT_AFTER, source.next()).await {
                Err(_) => return "it was silent",
                Ok(None | Some(Err(_)) | Some(Ok(Message::Close(_)))) => return "it hung up",
                Ok(Some(Ok(Message::Binary(bytes)))) => match gate.pass(&bytes, &mut to_link).await {
                    Ok(true) => {}
                    Ok(false) => return "it said that it serves another case",
                    Err(_) => return "the link ended",
                },
                Ok(Some(Ok(_))) => {}
            }
        }
    };
    let down = async {
        let mut ticks = interval(PING_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buffer = BytesMut::with_capacity(16 * 1024);
        loop {
            let message = tokio::select! {
                _ = ticks.tick() => {
                    if may(app, token, case).await.is_err() {
                        let reason = "its token is not valid any more";
                        let _ = sink.send(Message::Close(Some(CloseFrame { code: close_code::POLICY, reason: reason.into() }))).await;
                        return reason;
                    }
                    Message::Ping(bytes::Bytes::new())
                }
                read = from_link.read_buf(&mut buffer) => match read {
                    Ok(0) | Err(_) => return "the link ended",
                    Ok(_) => Message::Binary(buffer.split().freeze()),
                },
            };
            buffer.reserve(16 * 1024);
            if !matches!(timeout(SEND_WITHIN, sink.send(message)).await, Ok(Ok(()))) {
                return "it does not read";
            }
        }
    };
    tokio::select! {
        why = up => why,
        why = down => why,
    }
}

/// Lets an engine say only that it serves the case of its token: its Hello is read before anything passes.
struct Gate<'a> {
    case: &'a CaseId,
    /// Until the Hello was whole.
    head: Option<BytesMut>,
}

impl Gate<'_> {
    async fn pass(&mut self, bytes: &[u8], to_link: &mut OwnedWriteHalf) -> io::Result<bool> {
        let Some(head) = &mut self.head else {
            to_link.write_all(bytes).await?;
            return Ok(true);
        };
        head.extend_from_slice(bytes);
        match take_message::<ToServer>(&mut head.clone()) {
            Ok(None) if head.len() < HELLO_BYTES_MAX => Ok(true),
            Ok(Some(ToServer { body: Some(to_server::Body::Hello(hello)) })) if hello.case_id == self.case.as_str() => {
                to_link.write_all(head).await?;
                self.head = None;
                Ok(true)
            }
            // Why it will not start, said before any Hello, names no case.
            Ok(Some(ToServer { body: Some(to_server::Body::Refused(_)) })) => {
                to_link.write_all(head).await?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}
