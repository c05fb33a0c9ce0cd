//! Layers and single feeds on demand, against a listening server.

mod server;

use std::collections::BTreeSet;

use annotation::time::CaptureTime;
use link::frame::FeedState;
use pipeline::encode::rtp;
use server::{CONFIG, Server, timestamp};

#[test]
fn three_layers_of_the_program_share_their_timestamps_and_the_lowest_has_half_the_rate() {
    let mut server = Server::start(CONFIG);
    let hello = server.accept();
    let declared: Vec<_> = hello.layers.iter().map(|l| (l.feed.as_str(), l.layer.as_str(), l.width, l.height)).collect();
    let want = [
        ("program", "high", 640, 360),
        ("program", "mid", 320, 180),
        ("program", "low", 160, 90),
        ("field", "high", 1280, 720),
        ("fluoro", "high", 512, 512),
        ("vitals", "high", 1280, 400),
        ("fluoro-run", "high", 512, 512),
    ];
    assert_eq!(declared[..want.len()], want);
    assert!(hello.layers[want.len()..].iter().all(|l| l.codec == "VP8"), "the rest is for those without H.264");
    server.want_these(&[("program", "high"), ("program", "mid"), ("program", "low")]);
    server.until("frames of all layers", |s| s.frames() >= 60 && s.frames_of(1) >= 60 && s.frames_of(2) >= 30);
    for layer in [1, 2] {
        let strays = server.others[&layer].iter().filter(|p| !server.indexes.contains_key(&timestamp(p))).count();
        assert_eq!(strays, 0, "layer {layer} carries the program's timestamps");
    }
    // Of two frames the lowest layer has one, or none where this machine had no room for it.
    let of_low: BTreeSet<u32> = server.others[&2].iter().map(|p| timestamp(p)).collect();
    let in_low: Vec<bool> = server.in_order().iter().map(|i| of_low.contains(&i.rtp_ts)).collect();
    let both = in_low.windows(2).filter(|w| *w == [true, true]).count();
    assert!(both * 8 < of_low.len(), "{both} times two in a row: {in_low:?}");

    server.want_these(&[("program", "low")]);
    server.until("a health of the lowest layer alone", |s| {
        s.health.as_ref().is_some_and(|h| h.layers.len() == 1 && h.layers[0].layer.as_ref().is_some_and(|l| l.layer == "low"))
    });
    // What was on its way may still come.
    server.until("frames of the lowest alone", |s| {
        let last = s.packets.last().map_or(0, |p| timestamp(p));
        let after = s.others[&2].iter().filter(|p| rtp::marker(p) && (timestamp(p).wrapping_sub(last) as i32) > 0);
        after.count() >= 10
    });
    assert!(server.without_index.is_empty());
    server.stop();
}

#[test]
fn a_single_feed_comes_at_its_own_size_with_an_index_of_its_own_while_nobody_watches_the_program() {
    let mut server = Server::start(CONFIG);
    server.accept();
    server.want_these(&[("fluoro", "high"), ("vitals", "high")]);
    server.until("both feeds", |s| s.frames_of(4) >= 20 && s.frames_of(5) >= 20);
    assert!(server.indexes.is_empty() && server.packets.is_empty(), "the program is not composed");
    let mut own = 0;
    for ((feed, ts), index) in &server.single_indexes {
        let want = if feed == "fluoro" { (512, 512) } else { (1280, 400) };
        assert_eq!((index.width, index.height, index.layout_rev), (want.0, want.1, 1));
        let [entry] = &index.entries[..] else { panic!("one rectangle") };
        let rect = entry.rect.expect("a rectangle");
        assert_eq!((entry.feed.as_str(), rect.x, rect.y, rect.w, rect.h), (feed.as_str(), 0, 0, want.0, want.1));
        // A machine that is busy may be late; then the held picture is sent once more under a later timestamp.
        let ahead = ts.wrapping_sub(CaptureTime(entry.capture).rtp_90khz()) as i32;
        assert!(entry.capture == 0 || ahead >= 0, "a time before its picture");
        own += usize::from(entry.state() == FeedState::Live && ahead == 0);
    }
    assert!(own > 0, "the timestamp is the capture");
    server.until("a health", |s| s.health.as_ref().is_some_and(|h| h.layers.len() == 2));
    server.want_these(&[]);
    server.until_quiet();
    let frames = server.frames_of(4);
    server.want_these(&[("fluoro", "high")]);
    server.until("the feed again", |s| s.frames_of(4) >= frames + 5);
    server.stop();
}

#[test]
fn health_says_what_the_pictures_of_each_feed_are_like() {
    let mut server = Server::start(CONFIG);
    server.accept();
    server.until("a second of every feed", |s| {
        let seen = |f: &link::wire::FeedHealth| f.feed == "fluoro-run" || (f.frames > 50 && f.period_us > 0);
        s.health.as_ref().is_some_and(|h| h.feeds.len() == 4 && h.feeds.iter().all(seen))
    });
    let health = server.health.take().expect("just seen");
    for (feed, size, period_us) in
        [("field", (1280, 720), 40_000), ("fluoro", (512, 512), 33_333), ("vitals", (1280, 400), 40_000)]
    {
        let f = health.feeds.iter().find(|f| f.feed == feed).expect("reported");
        assert_eq!((f.width, f.height, f.black_permille, f.frozen_permille), (size.0, size.1, 0, 0), "{feed}");
        assert!((17..200).contains(&f.luma_mean), "{feed}: {}", f.luma_mean);
        // A machine that is busy skips pictures, never adds any.
        assert!(f.period_us + 100 > period_us, "{feed}: {}", f.period_us);
    }
    server.stop();
}

#[test]
fn vp8_is_encoded_for_those_who_ask_for_it_and_begins_with_a_keyframe() {
    let mut server = Server::start(CONFIG);
    let hello = server.accept();
    let at = |feed: &str, layer: &str| hello.layers.iter().position(|l| l.feed == feed && l.layer == layer).expect("declared");
    let (program, single) = (at("program", "high-vp8"), at("fluoro", "high-vp8"));
    assert_eq!(hello.layers[program].codec, "VP8");
    server.want_these(&[("program", "high-vp8"), ("fluoro", "high-vp8")]);
    server.until("frames of both", |s| s.frames_of(program) >= 30 && s.frames_of(single) >= 30);
    assert!(server.packets.is_empty(), "no H.264 beside it");
    for layer in [program, single] {
        let packets = &server.others[&layer];
        assert!(rtp::begins_vp8_keyframe(&packets[0]), "a decoder can begin");
        let keyframes = packets.iter().filter(|p| rtp::begins_vp8_keyframe(p)).count();
        assert!(keyframes * 4 < 30, "most frames are none: {keyframes}");
        assert!(packets.iter().all(|p| p.len() <= 1120));
    }
    let strays = server.others[&program].iter().filter(|p| !server.indexes.contains_key(&timestamp(p))).count();
    assert_eq!(strays, 0, "it carries the program's timestamps");
    let layer = Some(link::wire::LayerRef { feed: "program".into(), layer: "high-vp8".into() });
    server.send(link::wire::to_engine::Body::Keyframe(link::wire::Keyframe { layer }));
    let keyframes = |s: &Server| s.others[&program].iter().filter(|p| rtp::begins_vp8_keyframe(p)).count();
    let before = keyframes(&server);
    server.until("the keyframe asked for", |s| keyframes(s) > before);
    server.stop();
}
