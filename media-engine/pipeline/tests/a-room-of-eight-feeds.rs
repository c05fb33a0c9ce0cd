//! A strategy desk's wall: two planes, IVUS, microscope, room camera, vital signs and an endoscope from the network are ordinary feeds; one
//! that changes its size, dies and returns does so alone.

mod sender;
mod server;

use std::net::SocketAddr;

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

#[test]
fn an_endoscope_from_the_network_comes_changes_dies_and_returns_and_seven_others_go_on() {
    let port = free_port();
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    let mut server = Server::start(&config(port));
    let hello = server.accept();
    assert_eq!(hello.feeds.len(), 8);
    server.want(true);
    let live = |feed: &'static str| move |s: &Server| newest(s).is_some_and(|i| state(i, feed) == FeedState::Live);
    let others = ["field", "front", "side", "vitals", "ivus", "scope"];
    server.until("seven feeds", |s| others.iter().all(|f| live(f)(s)));
    let Some(placed) = newest(&server).map(|i| i.entries.len()) else { panic!("no frame") };
    assert_eq!(placed, 8, "all stand on the wall, the room camera behind its curtain");
    assert!(newest(&server).is_some_and(|i| state(i, "endo") == FeedState::Lost), "nobody sends yet");

    let sender = Sender::rtp((640, 480), 15, to);
    server.until("the endoscope", live("endo"));
    drop(sender);
    server.until("its loss, beside the others", |s| {
        let lost = newest(s).filter(|i| state(i, "endo") == FeedState::Lost);
        lost.is_some_and(|i| others.iter().all(|f| state(i, f) == FeedState::Live))
    });
    server.until("its sentence", |s| {
        let health = s.health.as_ref();
        health.is_some_and(|h| h.feeds.iter().any(|f| f.feed == "endo" && f.problem.ends_with("[feed.silent]")))
    });
    let _sender = Sender::rtp((1280, 720), 30, to);
    server.until("its return with another picture", |s| live("endo")(s) && size_of(s, "endo") == Some((1280, 720)));
    let rect = newest(&server).and_then(|i| i.entries.iter().find(|e| e.feed == "endo")?.rect);
    let rect = rect.expect("placed");
    assert!((f64::from(rect.w) / f64::from(rect.h) - 16.0 / 9.0).abs() < 0.1, "its place has its new shape: {rect:?}");
    server.until("the others beside it", |s| live("endo")(s) && others.iter().all(|f| live(f)(s)));
    server.stop();
}
