//! The privacy curtain: from the press on nothing that the room's camera captures leaves the engine; an engine that was not told has
//! it drawn.

mod server;

use annotation::time::CaptureTime;
use link::frame::{FeedState, FrameEntry, FrameIndex};
use link::wire::{Curtain, StillWanted, to_engine};
use server::{Server, timeline};

const CONFIG: &str = r#"
    program = { width = 640, height = 360, layout = "field-large" }

    [[feed]]
    id = "field"
    kind = "operative-field"
    name_ja = "術野"
    name_en = "Field"
    main = true
    source = { type = "synthetic-field" }

    [[feed]]
    id = "camera"
    kind = "room-camera"
    name_ja = "手術室内映像"
    name_en = "Room camera"
    source = { type = "synthetic-field" }
"#;

fn camera(index: &FrameIndex) -> &FrameEntry {
    index.entries.iter().find(|e| e.feed == "camera").expect("it is in every frame")
}

/// All frames so far, of the program and of the camera alone, by when they were composed.
fn frames(server: &Server) -> Vec<&FrameIndex> {
    let mut all: Vec<&FrameIndex> = server.indexes.values().chain(server.single_indexes.values()).collect();
    all.sort_by_key(|i| i.composed);
    all
}

fn draw(server: &mut Server, drawn: bool) {
    server.send(to_engine::Body::Curtain(Curtain { drawn }));
}

fn begin(server: &mut Server) {
    let hello = server.accept();
    assert_eq!(
        hello.feeds.iter().map(|f| (f.feed.as_str(), f.curtain)).collect::<Vec<_>>(),
        [("field", false), ("camera", true)]
    );
    server.want_these(&[("program", "high"), ("camera", "high")]);
}

#[test]
fn what_the_camera_captures_after_the_press_stays_in_the_room() {
    let mut server = Server::start(CONFIG);
    begin(&mut server);
    server.until("frames of both", |s| s.indexes.len() > 20 && s.single_indexes.len() > 2);
    assert!(
        frames(&server).iter().all(|i| (camera(i).state(), camera(i).capture) == (FeedState::Curtain, 0)),
        "nobody said that it is lifted"
    );
    draw(&mut server, false);
    server
        .until("the camera", |s| s.single_indexes.len() > 30 && s.indexes.values().any(|i| camera(i).state() == FeedState::Live));
    server.until("the camera's pictures with the tracker", |s| s.health.as_ref().is_some_and(|h| !h.curtain));

    let pressed = timeline();
    draw(&mut server, true);
    server.until("the curtain", |s| frames(s).last().is_some_and(|i| camera(i).state() == FeedState::Curtain));
    server.send(to_engine::Body::Still(StillWanted { feed: "camera".into(), capture: 0 }));
    server.send(to_engine::Body::Still(StillWanted { feed: "camera".into(), capture: pressed.0 }));
    let (so_far, alone) = (server.indexes.len(), server.single_indexes.len());
    server.until("frames behind the curtain", |s| s.indexes.len() > so_far + 50 && s.single_indexes.len() > alone + 5);
    server.until("that it is known", |s| s.health.as_ref().is_some_and(|h| h.curtain));
    let drawn = frames(&server).into_iter().position(|i| i.composed > pressed.0 && camera(i).state() == FeedState::Curtain);
    let after = frames(&server).split_off(drawn.expect("just seen"));
    let first = CaptureTime(after[0].composed);
    assert!(after.iter().all(|i| (camera(i).state(), camera(i).capture) == (FeedState::Curtain, 0)));
    assert!(frames(&server).iter().all(|i| CaptureTime(camera(i).capture) < first), "captured behind the curtain");
    // The first frame that was begun after the press was heard of already has it: two periods of 25 a second, and a machine that stood still.
    assert!(first.since(pressed).as_secs() < 60, "{:?} after the press", first.since(pressed));
    assert!(server.pieces.is_empty(), "a still of the camera left the engine");
    assert!(server.without_index.is_empty());

    draw(&mut server, false);
    server.until("the camera again", |s| frames(s).last().is_some_and(|i| camera(i).state() == FeedState::Live));
    // Another server, or the same one started anew: it has to say so itself.
    server.hang_up();
    begin(&mut server);
    server.until("frames on the new link", |s| s.indexes.len() > 20 && s.single_indexes.len() > 2);
    assert!(frames(&server).iter().all(|i| camera(i).state() == FeedState::Curtain));
    server.stop();
}
