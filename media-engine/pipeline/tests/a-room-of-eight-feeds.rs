//! A strategy desk's wall: two planes, IVUS, microscope, room camera, vital signs and an endoscope from the network are ordinary feeds; one
//! that changes its size, dies and returns does so alone.

mod sender;
mod server;

use std::net::SocketAddr;
use std::time::Duration;

use link::frame::{FeedState, FrameIndex};
use sender::{Sender, free_port};
use server::Server;

fn config(port: u16) -> String {
    let feed = |id: &str, kind: &str, ja: &str, en: &str, source: &str| {
        format!(
            "[[feed]]\nid = \"{id}\"\nkind = \"{kind}\"\nname_ja = \"{ja}\"\nname_en = \"{en}\"\nlook_back = false\nmain = {}\nsource = {source}\n",
            id == "field"
        )
    };
    let fluoro = "{ type = \"synthetic-fluoro\" }";
    let field = "{ type = \"synthetic-field\" }";
    let camera = format!(
        "{{ type = \"rtp\", listen = \"127.0.0.1:{port}\", codec = \"h264\", expect = {{ width = 640, height = 480, rate = 15 }} }}"
    );
    [
        "program = { width = 1280, height = 720, layout = \"wall\", align_ms = 200 }\n".to_owned(),
        feed("field", "operative-field", "術野", "Operative field", field),
        feed("front", "fluoroscopy", "透視（正面）", "Fluoroscopy, frontal", fluoro),
        feed("side", "fluoroscopy", "透視（側面）", "Fluoroscopy, lateral", fluoro),
        feed("vitals", "vital-signs", "生体情報", "Vital signs", "{ type = \"synthetic-vitals\" }"),
        feed("ivus", "ivus", "血管内超音波", "IVUS", fluoro),
        feed("scope", "microscope", "顕微鏡", "Microscope", fluoro),
        feed("endo", "endoscope", "内視鏡", "Endoscope", &camera),
        feed("room", "room-camera", "手術室内映像", "Room camera", fluoro),
    ]
    .concat()
}

fn state(index: &FrameIndex, feed: &str) -> FeedState {
    index.entries.iter().find(|e| e.feed == feed).map_or(FeedState::Unspecified, |e| e.state())
}

fn newest(server: &Server) -> Option<&FrameIndex> {
    server.indexes.values().max_by_key(|i| i.composed)
}

fn size_of(server: &Server, feed: &str) -> Option<(u32, u32)> {
    let list = server.feeds.as_ref()?;
    list.feeds.iter().find(|f| f.feed == feed).map(|f| (f.width, f.height))
}

/// Longest pause between two program frames, ms.
fn longest_pause(server: &Server) -> f64 {
    let mut composed: Vec<u64> = server.indexes.values().map(|i| i.composed).collect();
    composed.sort_unstable();
    let pauses = composed.windows(2).map(|w| (w[1] - w[0]) as f64 / 4_294_967.296);
    pauses.fold(0.0, f64::max)
}

#[test]
fn an_endoscope_from_the_network_comes_changes_dies_and_returns_and_seven_others_go_on() {
    let port = free_port();
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    let mut server = Server::start(&config(port));
    let hello = server.accept();
    assert_eq!(hello.feeds.len(), 8);
    server.want(true);
    let live = |feed: &'static str| move |s: &Server| newest(s).is_some_and(|i| state(i, feed) == FeedState::Live);
    server.until("seven feeds", |s| ["field", "front", "side", "vitals", "ivus", "scope"].iter().all(|f| live(f)(s)));
    let Some(placed) = newest(&server).map(|i| i.entries.len()) else { panic!("no frame") };
    assert_eq!(placed, 8, "all stand on the wall, the room camera behind its curtain");
    assert!(newest(&server).is_some_and(|i| state(i, "endo") == FeedState::Lost), "nobody sends yet");

    let sender = Sender::rtp((640, 480), 15, to);
    server.until("the endoscope", live("endo"));
    drop(sender);
    server.until("its loss", |s| newest(s).is_some_and(|i| state(i, "endo") == FeedState::Lost));
    server.until("its sentence", |s| {
        let health = s.health.as_ref();
        health.is_some_and(|h| h.feeds.iter().any(|f| f.feed == "endo" && f.problem.ends_with("[feed.silent]")))
    });
    let _sender = Sender::rtp((1280, 720), 30, to);
    server.until("its return with another picture", |s| live("endo")(s) && size_of(s, "endo") == Some((1280, 720)));
    let rect = newest(&server).and_then(|i| i.entries.iter().find(|e| e.feed == "endo")?.rect);
    let rect = rect.expect("placed");
    assert!((f64::from(rect.w) / f64::from(rect.h) - 16.0 / 9.0).abs() < 0.1, "its place has its new shape: {rect:?}");
    let others = ["front", "side", "vitals", "ivus", "scope"];
    let late: Vec<&FrameIndex> =
        server.indexes.values().filter(|i| others.iter().any(|f| matches!(state(i, f), FeedState::Stale))).collect();
    assert!(late.len() * 50 < server.indexes.len(), "{} of {} frames had a late feed", late.len(), server.indexes.len());
    eprintln!("longest pause of the program {:.0} ms", longest_pause(&server));
    assert!(longest_pause(&server) < Duration::from_millis(1000).as_secs_f64() * 1000.0);
    server.stop();
}
