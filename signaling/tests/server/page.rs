//! A page, and a server for it to meet.

use std::path::Path;
use std::time::{Duration, Instant};

use annotation::wire::{ClearAll, FrameRef, Grant, InkPacket, Op, Points, StrokeCommit, StrokeKey, Tool, Undo, op};
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use serde_json::Value;
use signaling::edge::cli::Demo;
use signaling::edge::server::{self, Running};
use signaling::wire::{
    ClientHello, ClientMessage, Refused, ServerMessage, Welcome, client_message as client, server_message as said,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Far longer than anything takes; short enough that a hanging test says where it hangs.
const PATIENCE: Duration = Duration::from_secs(90);

/// Installs the provider of TLS once a process, as `main` does.
pub(crate) fn provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A configuration on free ports with pages of its own, in `home`.
pub(crate) fn config(home: &Path) -> Demo {
    let web_root = home.join("web");
    std::fs::create_dir_all(web_root.join("assets")).expect("a folder");
    std::fs::write(web_root.join("index.html"), "<!doctype html><title>Shirube</title>").expect("written");
    std::fs::write(web_root.join("assets/main-1a2b.js"), "export {};").expect("written");
    Demo {
        data: home.join("data"),
        bind: [127, 0, 0, 1].into(),
        https_port: 0,
        media_port: 0,
        http: Some(0),
        no_engine: true,
        web_root: Some(web_root),
        ..Demo::default()
    }
}

pub(crate) async fn server(home: &Path) -> Running {
    provider();
    start(&config(home)).await
}

/// Another test of this process that begins a program holds whatever is open until that program runs: the lock of a data directory too.
pub(crate) async fn start(config: &Demo) -> Running {
    let began = Instant::now();
    loop {
        match server::start(config).await {
            Err(fault) if fault.to_string().contains("[data.in-use]") && began.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            started => return started.expect("starts"),
        }
    }
}

/// `localhost:PORT` of the plain door.
pub(crate) fn host(server: &Running) -> String {
    let url = server.ready.http_url.as_deref().expect("asked for");
    url.trim_start_matches("http://").to_owned()
}

/// An answer, as far as tests look at it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().expect("a code").to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// One request on a connection of its own. `head`: further header lines, each ending in CRLF.
pub(crate) async fn request(host: &str, method: &str, path: &str, head: &str, body: &str) -> Answer {
    let port = host.rsplit(':').next().expect("a port");
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).await.expect("listens");
    let length = body.len();
    let text =
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{head}\r\n{body}");
    stream.write_all(text.as_bytes()).await.expect("sent");
    let mut bytes = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("answered in time").expect("answered");
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// As [`request`], for a body that is no text: status, head, body.
pub(crate) async fn request_bytes(host: &str, method: &str, path: &str, head: &str) -> (u16, String, Vec<u8>) {
    let port = host.rsplit(':').next().expect("a port");
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).await.expect("listens");
    let text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{head}\r\n");
    stream.write_all(text.as_bytes()).await.expect("sent");
    let mut bytes = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("answered in time").expect("answered");
    let cut = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&bytes[..cut]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, head, bytes[cut + 4..].to_vec())
}

pub(crate) async fn sign_in(host: &str, token: &str) -> Answer {
    request(host, "POST", "/api/session", "", &format!("{{\"token\":\"{token}\"}}")).await
}

/// The request that opens the socket of the page with this id, as a browser makes it.
pub(crate) fn upgrade(host: &str, id: &str, cookie: &str, origin: &str) -> Request {
    let port = host.rsplit(':').next().expect("a port");
    let mut request = format!("ws://127.0.0.1:{port}/ws?id={id}").into_client_request().expect("a request");
    let headers = request.headers_mut();
    headers.insert("host", host.parse().expect("a value"));
    headers.insert("cookie", cookie.parse().expect("a value"));
    headers.insert("origin", origin.parse().expect("a value"));
    request
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A page of one person. It reads at all times, as a browser does: one that answers no ping for ten seconds is taken for gone, however long
/// the test looks elsewhere.
pub(crate) struct Page {
    sink: SplitSink<Socket, Message>,
    heard: UnboundedReceiver<Message>,
    reading: JoinHandle<()>,
    pub(crate) welcome: Welcome,
    seq: u32,
}

impl Drop for Page {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Page {
    /// Signs in, opens the socket and says Hello; `resume` from an earlier Welcome, or empty.
    pub(crate) async fn open(host: &str, token: &str, resume: &str) -> Result<Page, Refused> {
        Page::silent(host, token).await.hello(resume, 1).await
    }

    /// Signed in, with an open socket on which nothing was said yet.
    pub(crate) async fn silent(host: &str, token: &str) -> Page {
        let answer = sign_in(host, token).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let id = answer.json()["id"].as_str().expect("an id").to_owned();
        let cookie = answer.header("set-cookie").and_then(|c| c.split(';').next()).expect("a cookie").to_owned();
        Page::upgraded(upgrade(host, &id, &cookie, &format!("http://{host}"))).await
    }

    pub(crate) async fn connect(request: Request, resume: &str, version: u32) -> Result<Page, Refused> {
        Page::upgraded(request).await.hello(resume, version).await
    }

    async fn upgraded(request: Request) -> Page {
        let (socket, _) = connect_async(request).await.expect("upgraded");
        let (sink, mut stream) = socket.split();
        let (tell, heard) = unbounded_channel();
        let reading = tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                if tell.send(message).is_err() {
                    return;
                }
            }
        });
        Page { sink, heard, reading, welcome: Welcome::default(), seq: 0 }
    }

    pub(crate) async fn hello(self, resume: &str, version: u32) -> Result<Page, Refused> {
        let mut page = self;
        let hello = ClientHello { version, software: "test".into(), resume: resume.into(), language: "en".into() };
        page.say(client::Body::Hello(hello)).await;
        match page.next().await {
            Some(said::Body::Welcome(welcome)) => {
                page.welcome = welcome;
                Ok(page)
            }
            Some(said::Body::Refused(refused)) => Err(refused),
            other => panic!("neither welcome nor refusal: {other:?}"),
        }
    }

    /// The next message; `None` when the server has closed.
    pub(crate) async fn next(&mut self) -> Option<said::Body> {
        loop {
            let message = timeout(PATIENCE, self.heard.recv()).await.expect("something is said in time");
            match message {
                Some(Message::Binary(bytes)) => return ServerMessage::decode(bytes).expect("reads").body,
                Some(Message::Close(_)) | None => return None,
                Some(_) => {}
            }
        }
    }

    /// Reads on until `wanted` finds what it looks for.
    pub(crate) async fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(said::Body) -> Option<T>) -> T {
        // Figures come each second: what never comes is not waited for for ever.
        let found = timeout(PATIENCE, async {
            loop {
                let Some(body) = self.next().await else { panic!("closed before: {what}") };
                if let Some(found) = wanted(body) {
                    return found;
                }
            }
        });
        found.await.unwrap_or_else(|_| panic!("not in time: {what}"))
    }

    pub(crate) async fn refusal(&mut self) -> Refused {
        self.until("a refusal", |body| if let said::Body::Refused(refused) = body { Some(refused) } else { None }).await
    }

    /// May be sent to a server that has closed; what then is read says so.
    pub(crate) async fn say(&mut self, body: client::Body) {
        let bytes = ClientMessage { body: Some(body) }.encode_to_vec();
        let _ = self.sink.send(Message::Binary(bytes.into())).await;
    }

    pub(crate) async fn say_raw(&mut self, message: Message) {
        let _ = self.sink.send(message).await;
    }

    /// As a page that is closed.
    pub(crate) async fn leave(mut self) {
        let farewell = CloseFrame { code: CloseCode::Away, reason: Default::default() };
        let _ = self.sink.send(Message::Close(Some(farewell))).await;
        // To the end of the handshake: a socket that is dropped with something unread resets the connection, farewell and all.
        while self.next().await.is_some() {}
    }

    pub(crate) async fn say_ink(&mut self, ops: Vec<Op>) {
        let case_id = self.welcome.case_info.as_ref().map(|case| case.case_id.clone()).unwrap_or_default();
        self.say(client::Body::Ink(InkPacket { version: 1, ops, case_id, ..Default::default() })).await;
    }

    /// A short stroke on the field, numbered by its op.
    pub(crate) fn stroke(&mut self) -> Op {
        let at = now();
        let key = StrokeKey { author: self.welcome.author, epoch: self.welcome.epoch, number: self.seq + 1 };
        let frame = FrameRef { feed: "field".into(), capture: at, program: "program".into(), ..Default::default() };
        let points = Points { x: vec![8000, 10, 10], y: vec![4000, 5, -5], pressure: Default::default() };
        let stroke = StrokeCommit {
            key: Some(key),
            tool: Tool::Pen as i32,
            width: 34,
            frame: Some(frame),
            began: at,
            points: Some(points),
            ..Default::default()
        };
        self.op(op::Body::Stroke(stroke))
    }

    pub(crate) fn undo(&mut self, number: u32) -> Op {
        let stroke = Some(StrokeKey { author: self.welcome.author, epoch: self.welcome.epoch, number });
        self.op(op::Body::Undo(Undo { stroke }))
    }

    pub(crate) fn clear(&mut self) -> Op {
        self.op(op::Body::ClearAll(ClearAll { up_to: now() }))
    }

    pub(crate) fn grant(&mut self, author: u32, may_draw: bool) -> Op {
        self.op(op::Body::Grant(Grant { author, may_draw }))
    }

    fn op(&mut self, body: op::Body) -> Op {
        self.seq += 1;
        Op { author: self.welcome.author, epoch: self.welcome.epoch, seq: self.seq, at: now(), body: Some(body) }
    }

    /// Ops sent before a break were numbered already.
    pub(crate) fn go_on_from(&mut self, seq: u32) {
        self.seq = seq;
    }

    /// Until this page's op `seq` is acknowledged, or refused: its code.
    pub(crate) async fn acknowledged(&mut self, seq: u32) -> Result<(), String> {
        self.until("an acknowledgement", |body| {
            let said::Body::Ink(packet) = body else { return None };
            if let Some(refusal) = packet.refused.iter().find(|r| r.seq == seq) {
                return Some(Err(refusal.code.clone()));
            }
            packet.acks.iter().any(|ack| ack.seq >= seq).then_some(Ok(()))
        })
        .await
    }

    /// Until the order `order` came, by snapshot or by ink; all ordered ops on the way.
    pub(crate) async fn ordered(&mut self, order: u64) -> Vec<annotation::wire::OrderedOp> {
        let mut got = Vec::new();
        self.until("ordered ops", |body| {
            match body {
                said::Body::Snapshot(piece) => got.extend(piece.ops),
                said::Body::Ink(packet) => got.extend(packet.ordered),
                _ => {}
            }
            got.iter().any(|op| op.order >= order).then_some(())
        })
        .await;
        got
    }
}

/// NTP 32.32 on this machine's clock, as a page that has steered to the server has it.
pub(crate) fn now() -> u64 {
    let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    annotation::time::CaptureTime::from_unix(unix).0
}

/// Counts rows of the server's own database, as another program that reads it.
pub(crate) async fn count(home: &Path, sql: &'static str) -> i64 {
    use sqlx::{ConnectOptions, Row};
    let path = home.join("data/shirube.sqlite");
    let mut db = sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.expect("opens");
    sqlx::query(sql).fetch_one(&mut db).await.expect("reads").get(0)
}

/// One value of the server's own database.
pub(crate) async fn blob(home: &Path, sql: &'static str) -> Vec<u8> {
    use sqlx::{ConnectOptions, Row};
    let path = home.join("data/shirube.sqlite");
    let mut db = sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.expect("opens");
    sqlx::query(sql).fetch_one(&mut db).await.expect("reads").get(0)
}
