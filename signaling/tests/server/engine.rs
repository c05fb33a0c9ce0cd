//! An engine as far as the link shows it: Hello, health, frame indexes, and what it is told.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use link::control::{take_message, write_message};
use link::frame::FeedState;
use link::wire::{
    ClockPing, FeedHealth, FeedInfo, Health, Hello, LayerHealth, LayerInfo, LayerRef, ToEngine, ToServer, TrackerHealth,
    to_engine as told, to_server as said,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const PING_EVERY: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(90);

/// An engine that was taken. It pings at all times, as one does: one that says nothing for three seconds is taken for dead, however slow
/// this machine's disk is.
pub(crate) struct Engine {
    reader: OwnedReadHalf,
    writer: Arc<Mutex<OwnedWriteHalf>>,
    pinging: JoinHandle<()>,
    _media: UnixStream,
    buffer: BytesMut,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.pinging.abort();
    }
}

fn feed(id: &str) -> FeedInfo {
    FeedInfo {
        feed: id.into(),
        kind: id.into(),
        name_ja: id.into(),
        name_en: id.into(),
        width: 1280,
        height: 720,
        period_us: 33_333,
        ..Default::default()
    }
}

fn layer(feed: &str, layer: &str, ssrc: u32) -> LayerInfo {
    LayerInfo {
        feed: feed.into(),
        layer: layer.into(),
        ssrc,
        codec: "H264".into(),
        width: 1280,
        height: 720,
        bitrate_bps: 1_000_000,
    }
}

pub(crate) fn hello(case: &str) -> Hello {
    Hello {
        version: link::LINK_VERSION,
        engine: "test".into(),
        software: "test-engine 1".into(),
        case_id: case.into(),
        feeds: ["program", "field", "fluoro"].map(feed).into(),
        layers: vec![
            layer("program", "high", 11),
            layer("program", "mid", 12),
            layer("program", "low", 13),
            layer("field", "high", 14),
            layer("fluoro", "high", 15),
        ],
        layouts: ["field-large", "quad"].map(str::to_owned).into(),
        layout: "field-large".into(),
        timing: "aligned".into(),
        masked: Vec::new(),
    }
}

impl Engine {
    /// Dials the server whose home this is; `Err`: the code and sentence of the refusal.
    pub(crate) async fn dial(home: &Path, hello: Hello) -> Result<Engine, (String, String)> {
        let sockets = home.join("data/link");
        let (mut reader, mut writer) = UnixStream::connect(sockets.join("control.sock")).await.expect("listens").into_split();
        let mut buffer = BytesMut::new();
        let mut out = BytesMut::new();
        write_message(&mut out, &ToServer { body: Some(said::Body::Hello(hello)) });
        writer.write_all(&out).await.expect("sent");
        let ack = match next(&mut reader, &mut buffer).await {
            Some(told::Body::Hello(ack)) => ack,
            Some(told::Body::Refused(refused)) => return Err((refused.code, refused.message)),
            other => panic!("neither taken nor refused: {other:?}"),
        };
        let mut media = UnixStream::connect(sockets.join("media.sock")).await.expect("listens");
        let mut first = BytesMut::new();
        link::record::write_record(&mut first, ack.link_id.as_bytes()).expect("fits");
        media.write_all(&first).await.expect("sent");
        let writer = Arc::new(Mutex::new(writer));
        let pings = writer.clone();
        let pinging = tokio::spawn(async move {
            loop {
                tokio::time::sleep(PING_EVERY).await;
                if write(&pings, said::Body::Clock(ClockPing { t1: 1 })).await.is_err() {
                    return;
                }
            }
        });
        Ok(Engine { reader, writer, pinging, _media: media, buffer })
    }

    /// As `dial`, in the place of an engine that hung up a moment ago and may not be known to be gone yet.
    pub(crate) async fn dial_after(home: &Path, hello: Hello) -> Engine {
        let taken = timeout(PATIENCE, async {
            loop {
                match Engine::dial(home, hello.clone()).await {
                    Err((code, _)) if code == "link.case-taken" => tokio::time::sleep(Duration::from_millis(10)).await,
                    taken => return taken.expect("is taken"),
                }
            }
        });
        taken.await.expect("the engine before is known to be gone")
    }

    pub(crate) async fn say(&mut self, body: said::Body) {
        write(&self.writer, body).await.expect("sent");
    }

    /// Until it is told what `wanted` looks for.
    pub(crate) async fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(told::Body) -> Option<T>) -> T {
        // Figures come each second: what never comes is not waited for for ever.
        let found = timeout(PATIENCE, async {
            loop {
                let body = next(&mut self.reader, &mut self.buffer).await;
                let Some(body) = body else { panic!("closed before: {what}") };
                if let Some(found) = wanted(body) {
                    return found;
                }
            }
        });
        found.await.unwrap_or_else(|_| panic!("not in time: {what}"))
    }

    /// The field is black, the program is encoded.
    pub(crate) async fn say_health(&mut self) {
        let field =
            FeedHealth { feed: "field".into(), state: FeedState::Live as i32, black_permille: 1000, ..Default::default() };
        let program = LayerRef { feed: "program".into(), layer: "high".into() };
        let layer = LayerHealth { layer: Some(program), frames: 7, encode_us_p50: 4_000, ..Default::default() };
        let tracker = TrackerHealth { frames: 900, skipped: 3, anchors: 2, tracked_permille: 975, ..Default::default() };
        let health = Health {
            feeds: vec![field],
            layers: vec![layer],
            clock_uncertainty_us: 50,
            tracker: Some(tracker),
            shed: "singles-half".into(),
            ..Default::default()
        };
        self.say(said::Body::Health(health)).await;
    }
}

async fn write(writer: &Mutex<OwnedWriteHalf>, body: said::Body) -> std::io::Result<()> {
    let mut out = BytesMut::new();
    write_message(&mut out, &ToServer { body: Some(body) });
    writer.lock().await.write_all(&out).await
}

async fn next(reader: &mut OwnedReadHalf, buffer: &mut BytesMut) -> Option<told::Body> {
    loop {
        if let Some(message) = take_message::<ToEngine>(buffer).expect("well formed") {
            return message.body;
        }
        match timeout(PATIENCE, reader.read_buf(buffer)).await.expect("something is said in time") {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}
