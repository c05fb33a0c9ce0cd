//! Ink through the real server and the real database, without pictures: how soon a late joiner has everything that was drawn, and
//! how soon an op that was drawn is on disk and acknowledged, and how soon the room's *clear* is everywhere while pages flood the case with ink. Pages are WebSockets of this program. One line of JSON, last.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use annotation::id::Order;
use annotation::points::{self, Point};
use annotation::sheet::Sheets;
use annotation::time::CaptureTime;
use annotation::wire::{ClearAll, FrameRef, InkPacket, LiveStroke, Op, OrderedOp, StrokeCommit, StrokeKey, Tool, op::Body};
use anyhow::{Context, Result, bail, ensure};
use benches::{machine, stats::Percentiles};
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use signaling::edge::{cli::Demo, server, store};
use signaling::wire::{
    ClientHello, ClientMessage, Leave, ServerMessage, Welcome, client_message as client, server_message as said,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};
use tokio_tungstenite::{WebSocketStream, client_async};

/// Objects on the glass when somebody joins late.
const OBJECTS: u32 = 500;
const JOINS: usize = 100;
/// Cases side by side that draw at once, each with two pages.
const CASES: usize = 8;
/// One op of each page in this time.
const OP_EVERY: Duration = Duration::from_millis(100);
const DRAW_FOR: Duration = Duration::from_secs(10);
/// Pages that send ink as fast as the server takes their bytes, and how often the room clears meanwhile.
const FLOODING: usize = 6;
const CLEARS: u32 = 100;
const CLEAR_EVERY: Duration = Duration::from_millis(100);
/// Longer than that after the last press: something stands still.
const LAST_WITHIN: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let home = tempfile::tempdir()?;
    eprintln!("ink: late joins");
    let joins = late_joins(home.path()).await?;
    let home = tempfile::tempdir()?;
    eprintln!("ink: until it is on disk");
    let (acknowledged, seen) = durable(home.path()).await?;
    let home = tempfile::tempdir()?;
    eprintln!("ink: clear in a flood");
    let (cleared, flood) = clear_in_a_flood(home.path()).await?;
    let told = serde_json::json!({
        "machine": machine::describe(),
        "late_join_ms": { "objects": OBJECTS, "from": "WebSocket opened", "to": "last piece applied", "is": joins, "budget": 300 },
        "acknowledged_ms": { "from": "op sent", "to": "on disk and acknowledged", "pages": CASES * 2, "is": acknowledged, "budget": 50 },
        "seen_ms": { "from": "op sent", "to": "ordered, at the other page of the case", "is": seen },
        "clear_in_a_flood_ms": { "from": "the room's clear sent", "to": "at the desk's page", "flooding": FLOODING, "packets_per_s": flood, "is": cleared, "budget": 200 },
    });
    println!("{told}");
    Ok(())
}

async fn late_joins(home: &Path) -> Result<Option<Percentiles>> {
    seed(home).await?;
    let running = server::start(&config(home, 1)?).await?;
    let host = address(&running)?;
    let mut samples = Vec::new();
    // Each link comes in 64 times at once.
    let tokens = &running.ready.tokens;
    let mut sessions = Vec::new();
    for token in [&tokens.room, &tokens.mentor, &tokens.desk] {
        sessions.push(sign_in(host, token).await?);
    }
    for session in sessions.iter().cycle().take(JOINS) {
        let began = Instant::now();
        let mut page = Page::open(host, session).await?;
        let mut sheets = Sheets::default();
        loop {
            if let said::Body::Snapshot(piece) = page.next().await? {
                sheets.handle_snapshot(&piece.ops, Order(if piece.last { piece.up_to } else { 0 }));
                if piece.last {
                    break;
                }
            }
        }
        samples.push(began.elapsed().as_secs_f64() * 1_000.0);
        ensure!(sheets.strokes().count() == OBJECTS as usize, "{} objects of {OBJECTS} came", sheets.strokes().count());
        // A farewell: without one its place is kept for its return, and a link has eight.
        page.say(client::Body::Leave(Leave {})).await?;
        while page.next().await.is_ok() {}
    }
    running.stop().await;
    Ok(Percentiles::of(&samples))
}

/// Writes the objects where the server will find them.
async fn seed(home: &Path) -> Result<()> {
    // As the server makes it: it will hold keys.
    std::fs::DirBuilder::new().mode(0o700).create(home.join("data"))?;
    let mut opened = store::Opened::open(&home.join("data/shirube.sqlite")).await?;
    let case = link::id::CaseId::parse("demo")?;
    opened.load_case(&case).await?;
    let (store, writer) = opened.start();
    let ops = (1..=OBJECTS).map(|n| OrderedOp { order: n.into(), received: now(), op: Some(stroke(2, 1, n)) }).collect();
    store.send(store::Command::Ops { case, ops, stored: tokio::sync::watch::channel(Order(0)).0 }).await?;
    drop(store);
    writer.await?;
    Ok(())
}

async fn durable(home: &Path) -> Result<(Option<Percentiles>, Option<Percentiles>)> {
    let running = server::start(&config(home, CASES)?).await?;
    let host = address(&running)?;
    let first = [&running.ready.tokens.mentor, &running.ready.tokens.room];
    let more = running.ready.more.iter().flat_map(|case| [&case.tokens.mentor, &case.tokens.room]);
    let mut pages = Vec::new();
    for (i, token) in first.into_iter().chain(more).enumerate() {
        let session = sign_in(host, token).await?;
        let page = Page::open(host, &session).await?;
        // Hands are not in step.
        let wait = OP_EVERY.mul_f64(i as f64 / (2 * CASES) as f64);
        pages.push(tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            page.draw().await
        }));
    }
    let (mut acknowledged, mut said_at, mut seen_at) = (Vec::new(), Vec::new(), Vec::new());
    for (i, page) in pages.into_iter().enumerate() {
        let drawn = page.await??;
        acknowledged.extend(drawn.acknowledged);
        said_at.extend(drawn.said.into_iter().map(|(key, at)| ((i / 2, key), at)));
        seen_at.extend(drawn.seen.into_iter().map(|(key, at)| ((i / 2, key), at)));
    }
    running.stop().await;
    let said: std::collections::BTreeMap<_, Instant> = said_at.into_iter().collect();
    let seen: Vec<f64> =
        seen_at.iter().filter_map(|(key, at)| Some(at.duration_since(*said.get(key)?).as_secs_f64() * 1_000.0)).collect();
    Ok((Percentiles::of(&acknowledged), Percentiles::of(&seen)))
}

/// From the room's *clear* to the desk, while pages of the mentor's flood the case. And the flood's packets a second.
async fn clear_in_a_flood(home: &Path) -> Result<(Option<Percentiles>, f64)> {
    let running = server::start(&config(home, 1)?).await?;
    let host = address(&running)?;
    let tokens = &running.ready.tokens;
    let over = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicU64::new(0));
    let session = sign_in(host, &tokens.mentor).await?;
    let mut hands = Vec::new();
    for _ in 0..FLOODING {
        let page = Page::open(host, &session).await?;
        hands.push(tokio::spawn(page.flood(over.clone(), sent.clone())));
    }
    let mut room = Page::open(host, &sign_in(host, &tokens.room).await?).await?;
    let mut desk = Page::open(host, &sign_in(host, &tokens.desk).await?).await?;
    let (last, done) = tokio::sync::watch::channel(u64::MAX);
    let heard = tokio::spawn(async move {
        let mut heard = std::collections::BTreeMap::new();
        while heard.keys().next_back().is_none_or(|newest| *newest < *done.borrow()) {
            let body = desk.next().await?;
            let at = Instant::now();
            if let said::Body::Ink(packet) = body {
                for clear in &packet.clears {
                    heard.entry(clear.up_to).or_insert(at);
                }
            }
        }
        Ok::<_, anyhow::Error>(heard)
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (author, epoch) = (room.welcome.author, room.welcome.epoch);
    let case_id = room.welcome.case_info.as_ref().map(|c| c.case_id.clone()).unwrap_or_default();
    let (began, before) = (Instant::now(), sent.load(Ordering::Relaxed));
    let mut said = Vec::new();
    for seq in 1..=CLEARS {
        let at = now();
        let op = Op { author, epoch, seq, at, body: Some(Body::ClearAll(ClearAll { up_to: at })) };
        let packet = InkPacket { version: 1, ops: vec![op], case_id: case_id.clone(), ..Default::default() };
        said.push((at, Instant::now()));
        room.say(client::Body::Ink(packet)).await?;
        let rest = tokio::time::sleep(CLEAR_EVERY);
        tokio::pin!(rest);
        loop {
            tokio::select! {
                () = &mut rest => break,
                message = room.next() => drop(message?),
            }
        }
    }
    let flood = (sent.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64();
    last.send_replace(said.last().map_or(0, |(at, _)| *at));
    let heard = tokio::time::timeout(LAST_WITHIN, heard).await.context("the last clear never came")???;
    over.store(true, Ordering::Relaxed);
    for hand in hands {
        hand.abort();
    }
    running.stop().await;
    // A later one clears as much and more.
    let first = |at: &u64| heard.range(at..).map(|(_, heard)| *heard).min();
    let samples: Vec<f64> =
        said.iter().filter_map(|(at, said)| Some(first(at)?.duration_since(*said).as_secs_f64() * 1_000.0)).collect();
    ensure!(samples.len() == CLEARS as usize, "{} clears of {CLEARS} were heard", samples.len());
    Ok((Percentiles::of(&samples), flood.round()))
}

#[derive(Default)]
struct Drawn {
    acknowledged: Vec<f64>,
    /// (author, seq) and when.
    said: Vec<((u32, u32), Instant)>,
    seen: Vec<((u32, u32), Instant)>,
}

struct Page {
    socket: WebSocketStream<TcpStream>,
    welcome: Welcome,
}

/// Address, token id, cookie.
struct Session {
    id: String,
    cookie: String,
}

impl Page {
    async fn open(host: SocketAddr, session: &Session) -> Result<Self> {
        let mut request = format!("ws://localhost:{}/ws?id={}", host.port(), session.id).into_client_request()?;
        request.headers_mut().insert("cookie", session.cookie.parse()?);
        let (socket, _) = client_async(request, TcpStream::connect(host).await?).await?;
        let mut page = Page { socket, welcome: Welcome::default() };
        let hello = ClientHello { version: 1, software: "bench".into(), resume: String::new(), language: "en".into() };
        page.say(client::Body::Hello(hello)).await?;
        match page.next().await? {
            said::Body::Welcome(welcome) => page.welcome = welcome,
            other => bail!("no welcome: {other:?}"),
        }
        Ok(page)
    }

    async fn say(&mut self, body: client::Body) -> Result<()> {
        let bytes = ClientMessage { body: Some(body) }.encode_to_vec();
        Ok(self.socket.send(Message::Binary(bytes.into())).await?)
    }

    async fn next(&mut self) -> Result<said::Body> {
        loop {
            match self.socket.next().await.context("the server closed")?? {
                Message::Binary(bytes) => {
                    if let Some(body) = ServerMessage::decode(bytes)?.body {
                        return Ok(body);
                    }
                }
                Message::Close(_) => bail!("the server closed"),
                _ => {}
            }
        }
    }

    /// Ink without pause, as fast as the server takes the bytes; hears what it is told and minds nothing.
    async fn flood(self, over: Arc<AtomicBool>, sent: Arc<AtomicU64>) -> Result<()> {
        let (author, epoch) = (self.welcome.author, self.welcome.epoch);
        let case_id = self.welcome.case_info.as_ref().map(|c| c.case_id.clone()).unwrap_or_default();
        let (mut out, mut hear) = self.socket.split();
        let ears = tokio::spawn(async move { while let Some(Ok(_)) = hear.next().await {} });
        let mut number = 0;
        while !over.load(Ordering::Relaxed) {
            number += 1;
            let op = stroke(author, epoch, number);
            let live = match op.body.clone() {
                Some(Body::Stroke(s)) => LiveStroke {
                    key: s.key.map(|key| StrokeKey { number: number + 1_000_000, ..key }),
                    tool: s.tool,
                    width: s.width,
                    frame: s.frame,
                    began: s.began,
                    points: s.points,
                    ..Default::default()
                },
                _ => LiveStroke::default(),
            };
            let packet =
                InkPacket { version: 1, ops: vec![op], live: vec![live], case_id: case_id.clone(), ..Default::default() };
            let bytes = ClientMessage { body: Some(client::Body::Ink(packet)) }.encode_to_vec();
            out.send(Message::Binary(bytes.into())).await?;
            sent.fetch_add(1, Ordering::Relaxed);
        }
        ears.abort();
        Ok(())
    }

    /// A stroke now and then; a page's packets say how far it is, as the web client's do.
    async fn draw(mut self) -> Result<Drawn> {
        let mut drawn = Drawn::default();
        let (author, epoch) = (self.welcome.author, self.welcome.epoch);
        let case_id = self.welcome.case_info.as_ref().map(|c| c.case_id.clone()).unwrap_or_default();
        let mut due = tokio::time::interval(OP_EVERY);
        let began = Instant::now();
        let (mut seq, mut have, mut acknowledged) = (0u32, 0u64, 0u32);
        // Repeats are the page's own affair; this line loses nothing.
        while began.elapsed() < DRAW_FOR || acknowledged < seq {
            ensure!(began.elapsed() < DRAW_FOR * 2, "{} of {seq} ops acknowledged", acknowledged);
            tokio::select! {
                _ = due.tick() => {
                    let mut ops = Vec::new();
                    if began.elapsed() < DRAW_FOR {
                        seq += 1;
                        ops.push(stroke(author, epoch, seq));
                        ops[0].seq = seq;
                        drawn.said.push(((author, seq), Instant::now()));
                    }
                    let packet = InkPacket { version: 1, ops, have_order: have, case_id: case_id.clone(), ..Default::default() };
                    self.say(client::Body::Ink(packet)).await?;
                }
                message = self.next() => if let said::Body::Ink(packet) = message? {
                    let at = Instant::now();
                    let before = have;
                    for ordered in packet.ordered.iter().filter(|o| o.order > before) {
                        have = have.max(ordered.order);
                        if let Some(op) = ordered.op.as_ref().filter(|op| op.author != author) {
                            drawn.seen.push(((op.author, op.seq), at));
                        }
                    }
                    ensure!(packet.refused.is_empty(), "refused: {:?}", packet.refused);
                    for ack in packet.acks.iter().filter(|a| a.author == author) {
                        let known = acknowledged;
                        for (_, said) in drawn.said.iter().filter(|((_, s), _)| *s > known && *s <= ack.seq) {
                            drawn.acknowledged.push(at.duration_since(*said).as_secs_f64() * 1_000.0);
                        }
                        acknowledged = acknowledged.max(ack.seq);
                    }
                },
            }
        }
        Ok(drawn)
    }
}

fn config(home: &Path, cases: usize) -> Result<Demo> {
    // The server wants pages to serve; here nobody loads any.
    std::fs::write(home.join("index.html"), "<!doctype html>")?;
    Ok(Demo {
        data: home.join("data"),
        bind: [127, 0, 0, 1].into(),
        https_port: 0,
        media_port: 0,
        http: Some(0),
        no_engine: true,
        web_root: Some(home.to_owned()),
        cases,
        ..Demo::default()
    })
}

fn address(running: &server::Running) -> Result<SocketAddr> {
    let url = running.ready.http_url.as_deref().context("no plain door")?;
    let port = url.rsplit(':').next().and_then(|p| p.trim_end_matches('/').parse().ok()).context("no port")?;
    Ok(SocketAddr::from(([127, 0, 0, 1], port)))
}

async fn sign_in(host: SocketAddr, token: &str) -> Result<Session> {
    let mut stream = TcpStream::connect(host).await?;
    let body = format!("{{\"token\":\"{token}\"}}");
    let head = format!("POST /api/session HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n", host.port());
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    let cookie = head.lines().find_map(|l| l.to_ascii_lowercase().starts_with("set-cookie:").then(|| l[11..].trim()));
    let cookie = cookie.and_then(|c| c.split(';').next()).context("no cookie")?.to_owned();
    let body: serde_json::Value = serde_json::from_str(body)?;
    Ok(Session { id: body["id"].as_str().context("no id")?.to_owned(), cookie })
}

/// A curve of 60 points, as a hand leaves them after simplification.
fn stroke(author: u32, epoch: u32, number: u32) -> Op {
    let at = now();
    let of = number as i32;
    let path: Vec<Point> = (0..60)
        .map(|i| Point { x: 200 + of % 100 * 140 + i * 9, y: 300 + of / 100 * 900 + (i * i) % 170, pressure: 200 })
        .collect();
    let frame = FrameRef { feed: "field".into(), capture: at, program: "program".into(), layout_rev: 1, ..Default::default() };
    let commit = StrokeCommit {
        key: Some(StrokeKey { author, epoch, number }),
        tool: Tool::Pen as i32,
        width: 34,
        frame: Some(frame),
        began: at,
        points: Some(points::encode(&path)),
        ..Default::default()
    };
    Op { author, epoch, seq: number, at, body: Some(Body::Stroke(commit)) }
}

fn now() -> u64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    CaptureTime::from_unix(unix).0
}
