//! An engine as far as the link shows it: Hello, health, frame indexes, and what it is told.

use std::path::Path;
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
use tokio::time::timeout;

const PING_EVERY: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(90);

/// An engine that was taken.
pub(crate) struct Engine {
    control: UnixStream,
    _media: UnixStream,
    buffer: BytesMut,
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
        let mut control = UnixStream::connect(sockets.join("control.sock")).await.expect("listens");
        let mut buffer = BytesMut::new();
        let mut out = BytesMut::new();
        write_message(&mut out, &ToServer { body: Some(said::Body::Hello(hello)) });
        control.write_all(&out).await.expect("sent");
        let ack = match next(&mut control, &mut buffer).await {
            Some(told::Body::Hello(ack)) => ack,
            Some(told::Body::Refused(refused)) => return Err((refused.code, refused.message)),
            other => panic!("neither taken nor refused: {other:?}"),
        };
        let mut media = UnixStream::connect(sockets.join("media.sock")).await.expect("listens");
        let mut first = BytesMut::new();
        link::record::write_record(&mut first, ack.link_id.as_bytes()).expect("fits");
        media.write_all(&first).await.expect("sent");
        Ok(Engine { control, _media: media, buffer })
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
        let mut out = BytesMut::new();
        write_message(&mut out, &ToServer { body: Some(body) });
        self.control.write_all(&out).await.expect("sent");
    }

    /// Until it is told what `wanted` looks for.
    pub(crate) async fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(told::Body) -> Option<T>) -> T {
        // Figures come each second: what never comes is not waited for for ever.
        let found = timeout(PATIENCE, async {
            loop {
                // One that says nothing for three seconds is taken for dead, however slow this machine's disk is.
                let Ok(body) = timeout(PING_EVERY, next(&mut self.control, &mut self.buffer)).await else {
                    self.say(said::Body::Clock(ClockPing { t1: 1 })).await;
                    continue;
                };
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

async fn next(control: &mut UnixStream, buffer: &mut BytesMut) -> Option<told::Body> {
    loop {
        if let Some(message) = take_message::<ToEngine>(buffer).expect("well formed") {
            return message.body;
        }
        match timeout(PATIENCE, control.read_buf(buffer)).await.expect("something is said in time") {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}
