//! One page's WebSocket: Hello first, then messages both ways until one side ends it. A page that is refused reads why
//! on the socket, because a browser hides the answer to a refused upgrade.

use std::time::Duration;

use annotation::id::Epoch;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, info};

use super::session::token_of_cookie;
use super::{App, Doors, Problem, from_own_page};
use crate::authorize::Action;
use crate::claims::{Claims, TokenId};
use crate::edge::case_actor::{CaseHandle, CaseInput, Joined, Parting, Welcoming};
use crate::edge::keys::Resume;
use crate::edge::mailbox::{Closing, Mailbox, Outbox, mailbox};
use crate::edge::metrics::{At, count_refusal};
use crate::edge::store::NoEpoch;
use crate::texts::Code;
use crate::wire::{ClientHello, ClientMessage, ServerMessage, client_message, server_message};

/// Longest message of a page.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// A page says something every second, and its browser answers our pings: this long without a sign, it is gone.
const SILENT_AFTER: Duration = Duration::from_secs(10);
const PING_EVERY: Duration = Duration::from_secs(3);
/// One message that the network does not take in this time, and the page is too slow.
const SEND_WITHIN: Duration = Duration::from_secs(5);
/// For the last words.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// A page sends ~65 messages a second while it draws on the socket; one that sends more than this is slowed down.
const MESSAGES_PER_S: u32 = 400;

#[derive(Debug, Deserialize)]
pub(super) struct Named {
    id: String,
}

pub(super) async fn upgrade(
    State(app): State<App>,
    named: Result<Query<Named>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|_| Code::RequestMalformed)?;
    if !from_own_page(&headers) {
        return Err(Problem(Code::OriginRefused));
    }
    let named = named.map_err(|_| Code::RequestMalformed)?;
    let id = TokenId::parse(&named.id).ok_or(Code::SessionMissing)?;
    let token = token_of_cookie(&headers, id).map(str::to_owned);
    let upgrade = upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let admitted = match &token {
            Some(token) => app.admit(token, &Action::Join).await,
            None => Err(Code::SessionMissing),
        };
        // The cookie's name is the browser's word; the id inside the token is ours.
        match admitted
            .and_then(|(claims, case)| if claims.id == id { Ok((claims, case.clone())) } else { Err(Code::LinkInvalid) })
        {
            Ok((claims, case)) => serve(&app, socket, claims, case).await,
            Err(code) => refuse(socket, Closing { code, last: true }).await,
        }
    }))
}

async fn serve(app: &Doors, mut socket: WebSocket, claims: Claims, case: CaseHandle) {
    let hello = match timeout(HELLO_WITHIN, hello(&mut socket)).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(Some(code))) => return refuse(socket, Closing { code, last: true }).await,
        Ok(Err(None)) => return,
        Err(_) => return refuse(socket, Closing { code: Code::PageSilent, last: false }).await,
    };
    if hello.version != crate::SIGNAL_VERSION {
        return refuse(socket, Closing { code: Code::VersionUnsupported, last: true }).await;
    }
    let (mailbox, outbox) = mailbox();
    let (epoch, joined) = match join(app, &claims, &case, &hello, &mailbox).await {
        Ok(joined) => joined,
        Err(code) => {
            let again =
                matches!(code, Code::ServerStopping | Code::CaseFull | Code::ServerBusy | Code::StoreFull | Code::StoreFailing);
            return refuse(socket, Closing { code, last: !again }).await;
        }
    };
    let (sink, stream) = socket.split();
    let reading = read(app, stream, &case, epoch, joined.connection, &mailbox);
    let parting = {
        let writing = write(sink, outbox);
        tokio::pin!(reading, writing);
        tokio::select! {
            parting = &mut reading => {
                // Let a reason that the reader gave get out.
                if mailbox.is_closing() {
                    writing.await;
                }
                parting
            }
            slow = &mut writing => {
                if slow {
                    app.counters.pages_slow.add(1);
                }
                Parting::Broke
            }
        }
    };
    // The case outlives its pages; if it is gone, so is the server.
    let _ = case.inputs.send(CaseInput::Gone { epoch, connection: joined.connection, parting }).await;
}

/// `Err(None)`: the page went without a word.
async fn hello(socket: &mut WebSocket) -> Result<ClientHello, Option<Code>> {
    loop {
        match socket.recv().await {
            Some(Ok(Message::Binary(bytes))) => {
                return match ClientMessage::decode(bytes).map(|message| message.body) {
                    Ok(Some(client_message::Body::Hello(hello))) => Ok(hello),
                    _ => Err(Some(Code::MessageMalformed)),
                };
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Text(_))) => return Err(Some(Code::MessageMalformed)),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(None),
        }
    }
}

/// With a resume key of this person and case the page keeps its number, and so its ink's.
async fn join(
    app: &Doors,
    claims: &Claims,
    case: &CaseHandle,
    hello: &ClientHello,
    mailbox: &Mailbox,
) -> Result<(Epoch, Joined), Code> {
    let author = *case.authors.get(&claims.person).ok_or(Code::LinkInvalid)?;
    let kept = app.keys.open_resume(&hello.resume).ok().filter(|kept| kept.case == case.id && kept.author == author);
    let epoch = match kept {
        Some(kept) => kept.epoch,
        None => app.store.next_epoch(&case.id).await.map_err(no_epoch)?,
    };
    let resume = app.keys.sign_resume(&Resume { case: case.id.clone(), author, epoch });
    let (reply, answer) = oneshot::channel();
    let welcome = Welcoming { resume };
    let input = CaseInput::Join { claims: claims.clone(), epoch, mailbox: mailbox.clone(), welcome, reply };
    case.inputs.send(input).await.map_err(|_| Code::ServerStopping)?;
    let joined = answer.await.map_err(|_| Code::ServerFault)??;
    Ok((epoch, joined))
}

fn no_epoch(fault: NoEpoch) -> Code {
    match fault {
        NoEpoch::Refusing(disk) => disk.code().unwrap_or(Code::ServerBusy),
        _ => Code::ServerStopping,
    }
}

/// Until the page ends it, falls silent or says nonsense.
async fn read(
    app: &Doors,
    mut stream: SplitStream<WebSocket>,
    case: &CaseHandle,
    epoch: Epoch,
    connection: u64,
    mailbox: &Mailbox,
) -> Parting {
    let mut window = app.timeline.now();
    let mut taken = 0;
    loop {
        let message = match timeout(SILENT_AFTER, stream.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(fault))) => {
                debug!(page = epoch.0, %fault, "the socket broke");
                return Parting::Broke;
            }
            Ok(None) => return Parting::Broke,
            Err(_) => {
                mailbox.close(Code::PageSilent, false);
                return Parting::Broke;
            }
        };
        match message {
            Message::Binary(bytes) => {
                let at = app.timeline.now();
                app.counters.page_messages.add(1);
                let Ok(message) = ClientMessage::decode(bytes) else {
                    info!(case = %case.id, page = epoch.0, "a message that cannot be read");
                    mailbox.close(Code::MessageMalformed, true);
                    return Parting::Closed;
                };
                if let Some(client_message::Body::Leave(_)) = message.body {
                    return Parting::Left;
                }
                if case.inputs.send(CaseInput::Page { epoch, connection, message, at }).await.is_err() {
                    return Parting::Broke;
                }
            }
            Message::Text(_) => {
                mailbox.close(Code::MessageMalformed, true);
                return Parting::Closed;
            }
            Message::Close(frame) => {
                // A page that is closed or left says 1000 or 1001; anything else is a break, and it may come back.
                let farewell = frame.is_some_and(|f| matches!(f.code, close_code::NORMAL | close_code::AWAY));
                return if farewell { Parting::Left } else { Parting::Broke };
            }
            Message::Ping(_) | Message::Pong(_) => {}
        }
        taken += 1;
        let passed = app.timeline.now().since(window);
        if taken >= MESSAGES_PER_S {
            // The network's own back-pressure slows such a page down.
            sleep(Duration::from_secs(1).saturating_sub(passed)).await;
        }
        if taken >= MESSAGES_PER_S || passed > Duration::from_secs(1) {
            window = app.timeline.now();
            taken = 0;
        }
    }
}

/// Until told to close, or the network does not take a message in time. True: the page was too slow.
async fn write(mut sink: SplitSink<WebSocket, Message>, outbox: Outbox) -> bool {
    let Outbox { mut messages, mut closing } = outbox;
    let mut ping = interval(PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let told = loop {
        let message = tokio::select! {
            biased;
            told = closing.wait_for(Option::is_some) => match told {
                Ok(told) => break *told,
                Err(_) => break None,
            },
            message = messages.recv() => match message {
                Some(bytes) => Message::Binary(bytes),
                None => break None,
            },
            _ = ping.tick() => Message::Ping(Bytes::new()),
        };
        match timeout(SEND_WITHIN, sink.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return false,
            Err(_) => return true,
        }
    };
    let Some(told) = told else { return false };
    let slow = told.code == Code::PageSlow;
    let last_words = async {
        // What was said before the end belongs before it, unless that is too much.
        while let (false, Ok(bytes)) = (slow, messages.try_recv()) {
            sink.send(Message::Binary(bytes)).await?;
        }
        say_goodbye(&mut sink, told).await
    };
    let _ = timeout(CLOSE_WITHIN, last_words).await;
    slow
}

async fn refuse(mut socket: WebSocket, closing: Closing) {
    info!(code = %closing.code, "a page was refused");
    let _ = timeout(CLOSE_WITHIN, say_goodbye(&mut socket, closing)).await;
}

async fn say_goodbye<S>(sink: &mut S, closing: Closing) -> Result<(), axum::Error>
where
    S: SinkExt<Message, Error = axum::Error> + Unpin,
{
    count_refusal(At::Page, closing.code.as_str());
    let refused = ServerMessage { body: Some(server_message::Body::Refused(closing.code.refused(closing.last))) };
    sink.send(Message::Binary(refused.encode_to_vec().into())).await?;
    let code = if closing.last { close_code::POLICY } else { close_code::AGAIN };
    sink.send(Message::Close(Some(CloseFrame { code, reason: closing.code.as_str().into() }))).await
}
