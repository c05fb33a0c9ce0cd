//! An engine that runs elsewhere: the same words through WebSockets, by its own token and for its own case only.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use link::control::{take_message, write_message};
use link::wire::{ClockPing, ToEngine, ToServer, to_engine as told, to_server as said};
use signaling::edge::keys::unsigned_token_id;
use signaling::edge::store::revoke_file;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::engine::hello;
use crate::page::{Page, host, now, request, server};

const PATIENCE: Duration = Duration::from_secs(90);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn dial(host: &str, path: &str, token: &str) -> Result<Socket, Error> {
    let mut request = format!("ws://{host}/engine/{path}").into_client_request().expect("a request");
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    connect_async(request).await.map(|(socket, _)| socket)
}

async fn status(host: &str, path: &str, token: &str) -> u16 {
    match dial(host, path, token).await {
        Err(Error::Http(answer)) => answer.status().as_u16(),
        other => panic!("not refused: {:?}", other.map(|_| ())),
    }
}

/// A control connection that reads and pings at all times, as an engine's does: one that says nothing for six seconds is taken for dead,
/// however slow this machine is.
struct Control {
    sink: Arc<Mutex<SplitSink<Socket, Message>>>,
    heard: UnboundedReceiver<Message>,
    tasks: [JoinHandle<()>; 2],
    buffer: BytesMut,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Control {
    async fn dial(host: &str, token: &str) -> Self {
        let (sink, mut stream) = dial(host, "demo/control", token).await.expect("taken").split();
        let (tell, heard) = unbounded_channel();
        let reading = tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                if tell.send(message).is_err() {
                    return;
                }
            }
        });
        Control { sink: Arc::new(Mutex::new(sink)), heard, tasks: [reading, tokio::spawn(async {})], buffer: BytesMut::new() }
    }

    /// From its Hello on.
    fn ping(&mut self) {
        let sink = self.sink.clone();
        self.tasks[1] = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if say(&sink, said::Body::Clock(ClockPing { t1: 1 })).await.is_err() {
                    return;
                }
            }
        });
    }

    async fn say(&self, body: said::Body) {
        say(&self.sink, body).await.expect("sent");
    }

    /// `None`: the server ended it.
    async fn next(&mut self) -> Option<told::Body> {
        loop {
            if let Some(ToEngine { body }) = take_message(&mut self.buffer).expect("well formed") {
                return body;
            }
            match timeout(PATIENCE, self.heard.recv()).await.expect("something is said in time")? {
                Message::Binary(bytes) => self.buffer.extend_from_slice(&bytes),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }
}

async fn say(sink: &Mutex<SplitSink<Socket, Message>>, body: said::Body) -> Result<(), Error> {
    let mut out = BytesMut::new();
    write_message(&mut out, &ToServer { body: Some(body) });
    // Cut anywhere, as a stream is.
    let half = out.split_to(out.len() / 2);
    let mut sink = sink.lock().await;
    for piece in [half, out] {
        sink.send(Message::binary(piece.to_vec())).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sg2_an_engine_from_afar_is_taken_by_its_own_token_for_its_own_case() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    for other in [&tokens.room, &tokens.publisher, &tokens.vendor] {
        assert_eq!(status(&host, "demo/control", other).await, 403);
    }
    assert_eq!(status(&host, "demo/control", "nonsense").await, 401);
    assert_eq!(status(&host, "other/control", &tokens.engine).await, 403);
    assert_eq!(status(&host, "demo/elsewhere", &tokens.engine).await, 404);

    let mut room = Page::open(&host, &tokens.room, "").await.expect("enters");
    // The right token, and a Hello of another case.
    let mut liar = Control::dial(&host, &tokens.engine).await;
    liar.say(said::Body::Hello(hello("other"))).await;
    assert!(liar.next().await.is_none());

    let mut control = Control::dial(&host, &tokens.engine).await;
    control.say(said::Body::Hello(hello("demo"))).await;
    let Some(told::Body::Hello(ack)) = control.next().await else { panic!("not taken") };
    control.say(said::Body::Clock(ClockPing { t1: 7 })).await;
    while !matches!(control.next().await.expect("answered"), told::Body::Clock(pong) if pong.t1 == 7) {}
    control.ping();
    let mut media = dial(&host, "demo/media", &tokens.engine).await.expect("taken");
    let mut first = BytesMut::new();
    link::record::write_record(&mut first, ack.link_id.as_bytes()).expect("fits");
    media.send(Message::binary(first.to_vec())).await.expect("sent");
    room.until("its feeds", |body| {
        matches!(body, signaling::wire::server_message::Body::Feeds(list) if !list.feeds.is_empty()).then_some(())
    })
    .await;

    // A layer by WHIP: by this token alone, and only what was announced.
    let path = |ssrc: u32| format!("/engine/demo/whip/{ssrc}");
    let head = |token: &str| format!("Authorization: Bearer {token}\r\nContent-Type: application/sdp\r\n");
    let post = async |ssrc: u32, token: &str| request(&host, "POST", &path(ssrc), &head(token), &crate::whip::offer()).await;
    assert_eq!(post(11, &tokens.publisher).await.code(), "denied.role");
    assert_eq!(post(99, &tokens.engine).await.code(), "layer.unknown");
    let carried = post(11, &tokens.engine).await;
    assert_eq!(carried.status, 201, "{}", carried.body);
    let resource = carried.header("location").expect("a resource").to_owned();
    assert!(resource.starts_with("/engine/demo/whip/11/"), "{resource}");
    assert_eq!(request(&host, "DELETE", &resource, &head(&tokens.viewer), "").await.code(), "denied.role");
    assert_eq!(request(&host, "DELETE", &resource, &head(&tokens.engine), "").await.status, 200);
    assert_eq!(request(&host, "DELETE", &resource, &head(&tokens.engine), "").await.code(), "media.unknown");

    // Cut off and back before anybody noticed: it takes its own place.
    let mut again = Control::dial(&host, &tokens.engine).await;
    while control.next().await.is_some() {}
    let mut control = loop {
        again.say(said::Body::Hello(hello("demo"))).await;
        match again.next().await {
            Some(told::Body::Hello(_)) => break again,
            // The old link is on its way out.
            Some(told::Body::Refused(refused)) => assert_eq!(refused.code, "link.case-taken"),
            other => panic!("{other:?}"),
        }
        again = Control::dial(&host, &tokens.engine).await;
    };
    control.ping();

    // A token that is withdrawn ends what it opened.
    let id = unsigned_token_id(&tokens.engine).expect("a token");
    let database = home.path().join("data/shirube.sqlite");
    revoke_file(&database, id, annotation::time::CaptureTime(now())).await.expect("written");
    while control.next().await.is_some() {}
    assert_eq!(status(&host, "demo/control", &tokens.engine).await, 401);
    server.stop().await;
}
