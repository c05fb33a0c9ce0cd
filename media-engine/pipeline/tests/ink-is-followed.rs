//! The whole engine over its sockets: a stroke on the generated field is followed frame by frame, its frame arrives as a still.

mod server;

use annotation::wire::{StrokeKey, TrackState};
use link::wire::{Anchor, StillWanted, to_engine};
use server::{CONFIG, Server};

#[test]
fn a_stroke_is_followed_and_its_frame_arrives_as_a_still() {
    let mut server = Server::start(CONFIG);
    server.accept();
    server.want(true);
    let field = |s: &Server| {
        let newest = s.newest()?;
        newest.entries.iter().find(|e| e.feed == "field").map(|e| e.capture).filter(|c| *c != 0)
    };
    server.until("ten frames", |s| s.indexes.len() > 10 && field(s).is_some());
    let capture = field(&server).expect("just seen");
    let x: Vec<i32> = (0..10).map(|i| 8_000 + 50 * i).collect();
    let stroke = StrokeKey { author: 3, epoch: 1, number: 1 };
    let anchor =
        Anchor { stroke: Some(stroke), feed: "field".into(), capture, y: vec![3_000; 10], x, width: 40, ..Anchor::default() };
    server.send(to_engine::Body::Anchor(anchor.clone()));
    let tracked = |s: &Server| s.xforms.iter().filter(|f| f.anchors[0].state() == TrackState::Tracked).count();
    server.until("thirty frames of it, followed", |s| s.xforms.len() >= 30 && tracked(s) > 0);
    for frame in &server.xforms {
        assert_eq!((frame.feed.as_str(), frame.anchors.len(), frame.anchors[0].strokes[0]), ("field", 1, stroke));
        assert!(frame.capture >= capture);
    }
    let whole = |s: &Server, still: &str| {
        let pieces: Vec<_> = s.pieces.iter().filter(|p| p.still == still).collect();
        pieces.first().is_some_and(|p| pieces.iter().map(|q| q.data.len()).sum::<usize>() == p.total as usize)
    };
    server.until("the name of a still", |s| s.xforms.last().is_some_and(|f| !f.anchors[0].still.is_empty()));
    let still = server.xforms.last().expect("just seen").anchors[0].still.clone();
    assert!(whole(&server, &still), "named only when it is whole");
    let first = server.pieces.iter().find(|p| p.still == still).expect("just seen");
    assert_eq!((first.feed.as_str(), first.capture), ("field", capture));
    assert!(first.data.starts_with(&[0xFF, 0xD8]));

    server.pieces.clear();
    server.send(to_engine::Body::Still(StillWanted { feed: "fluoro".into(), capture: 0 }));
    server.until("a still that was asked for", |s| s.pieces.first().is_some_and(|p| p.feed == "fluoro" && whole(s, &p.still)));

    server.send(to_engine::Body::Anchor(Anchor { gone: true, feed: String::new(), ..anchor }));
    // Gone ink is followed no more, once the word is there.
    server.until("frames without it", |s| {
        let last = s.xforms.last().map_or(0, |f| f.capture);
        s.indexes.values().filter(|i| i.entries.iter().any(|e| e.feed == "field" && e.capture > last)).count() > 50
    });
    server.stop();
}
