//! Another layout for the program, live.

mod server;

use link::frame::FrameIndex;
use link::wire::{SetLayout, to_engine};
use server::{CONFIG, Server, timestamp};

fn ids(index: &FrameIndex) -> Vec<&str> {
    index.entries.iter().map(|e| e.feed.as_str()).collect()
}

#[test]
fn it_is_there_without_a_keyframe_or_an_interruption() {
    let mut server = Server::start(CONFIG);
    let hello = server.accept();
    assert_eq!(hello.layout, "field-large");
    assert!(["fluoroscopy-large", "biplane", "quad", "single", "wall"].iter().all(|l| hello.layouts.iter().any(|h| h == l)));
    server.want(true);
    server.until("pictures", |s| s.frames() > 60);
    let mut rev = 1;
    let mut switches = Vec::new();
    for (layout, placed) in [
        ("fluoroscopy-large", vec!["field", "fluoro", "fluoro-run", "vitals"]),
        ("quad", vec!["field", "fluoro", "fluoro-run", "vitals"]),
        ("single", vec!["field"]),
        ("wall", vec!["field", "fluoro", "vitals", "fluoro-run"]),
        ("field-large", vec!["field", "fluoro", "vitals"]),
    ] {
        server.send(to_engine::Body::Layout(SetLayout { layout: layout.into() }));
        rev += 1;
        server.until("the new layout", |s| s.indexes.values().any(|i| i.layout_rev == rev));
        let first = server.indexes.values().filter(|i| i.layout_rev == rev).min_by_key(|i| i.composed).expect("just seen");
        assert_eq!(ids(first), placed, "{layout}");
        switches.push(first.rtp_ts);
        for a in &first.entries {
            let r = a.rect.expect("a rectangle");
            assert!(r.x + r.w <= 640 && r.y + r.h <= 360, "{layout}: {r:?}");
        }
        server.until("its name", |s| s.feeds.as_ref().is_some_and(|f| f.layout == layout));
        let frames = server.frames();
        server.until("more of it", |s| s.frames() > frames + 10);
    }
    server.send(to_engine::Body::Layout(SetLayout { layout: "of somebody else".into() }));
    let frames = server.frames();
    server.until("that it goes on", |s| s.frames() > frames + 10);
    assert!(server.indexes.values().all(|i| i.layout_rev <= rev));
    // Some come by themselves, every ten seconds and when this machine stood still; by chance at a switch.
    let at_switch = switches.iter().filter(|ts| server.keyframes().contains(ts)).count();
    assert!(at_switch < switches.len(), "every switch came with a keyframe");
    // No interruption: one stream, whose packets and frames follow each other across every switch. How soon one is there is measured by
    // `soak --figures`.
    assert!(server.others.is_empty(), "a stream beside the one that was asked for");
    let number = |p: &[u8]| u16::from_be_bytes([p[2], p[3]]);
    for pair in server.packets.windows(2) {
        assert_eq!(number(&pair[1]), number(&pair[0]).wrapping_add(1), "a stream that began anew");
        assert!(timestamp(&pair[1]).wrapping_sub(timestamp(&pair[0])) < 1 << 31, "time that began anew");
    }
    server.stop();
}
