//! Cameras that publish.

use std::time::Duration;

use sfu::{CloseReason, OfferError, PeerId, PeerKind, SfuEvent, VideoCodec};

use crate::camera::Lens;
use crate::viewer::Picture;
use crate::world::{ALL, World, case, feed, ms};

const PLAIN: Lens = Lens { number: 200, codec: VideoCodec::H264, wrong_ns: None, bytes: 1_000 };
const LINE: Duration = Duration::from_millis(40);

/// A page that shows the published feed `scope`, and its publisher.
fn shown(seed: u64, lens: Lens) -> (World, PeerId, PeerId) {
    let mut world = World::new(seed);
    let page = world.page(ALL, ms(10));
    world.show(page, 0, "scope");
    let camera = world.publish("scope", lens, LINE);
    (world, page, camera)
}

/// By how many milliseconds each frame that was shown is stamped later than it was captured.
fn lateness(world: &mut World, camera: PeerId, pictures: &[Picture]) -> Vec<i64> {
    let shot = world.camera(camera).shot.clone();
    // One frame in 33 ms: the nearest before is the one.
    let late = |p: &Picture| {
        let stamped = p.capture.expect("abs-capture-time");
        assert!(stamped.rtp_90khz().abs_diff(p.timestamp) <= 1, "its capture time is its timestamp");
        shot.iter().map(|(_, at)| stamped.minus_ns(*at) / 1_000).filter(|us| *us >= -1_000).min().map(|us| us / 1_000)
    };
    pictures.iter().filter_map(late).collect()
}

#[test]
fn a_published_feed_is_shown_with_times_of_the_case() {
    for (seed, codec) in [(40, VideoCodec::H264), (41, VideoCodec::Vp8)] {
        let (mut world, page, camera) = shown(seed, Lens { codec, ..PLAIN });
        world.run(ms(3_000));
        assert_eq!(world.published("scope"), [(codec, true)]);
        let pictures = world.viewer(page).pictures(0);
        assert!(pictures.len() > 150, "{}", pictures.len());
        world.viewer(page).assert_unbroken(0);
        // The first few were shot before there was a connection, and come all at once.
        for pair in pictures[60..].windows(2) {
            let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp) as i32;
            assert!(step == 0 || (2_900..3_100).contains(&step), "{step}");
        }
        // What the line takes cannot be told from here when the camera says nothing: 7 ms of 40, one frame later.
        assert!(lateness(&mut world, camera, &pictures).iter().all(|late| (5..=8).contains(late)));
    }
}

#[test]
fn a_camera_that_says_when_it_captured_is_believed_if_its_clock_can_be() {
    let (mut world, page, camera) = shown(42, Lens { wrong_ns: Some(0), ..PLAIN });
    world.run(ms(2_000));
    let pictures = world.viewer(page).pictures(0);
    assert!(pictures.len() > 100);
    assert!(lateness(&mut world, camera, &pictures).iter().all(|late| *late == 0), "the very moment");
    let (mut world, page, camera) = shown(43, Lens { wrong_ns: Some(3_600_000_000_000), ..PLAIN });
    world.run(ms(2_000));
    let pictures = world.viewer(page).pictures(0);
    assert!(pictures.len() > 100);
    assert!(lateness(&mut world, camera, &pictures).iter().all(|late| (5..=8).contains(late)), "an hour wrong");
}

#[test]
fn a_late_viewer_costs_the_publisher_one_keyframe() {
    let (mut world, page, camera) = shown(44, PLAIN);
    world.run(ms(3_000));
    let asked = world.camera(camera).asked;
    let late: Vec<_> = (0..3).map(|_| world.page(ALL, ms(10))).collect();
    for page in &late {
        world.show(*page, 0, "scope");
    }
    world.run(ms(1_000));
    assert_eq!(world.camera(camera).asked, asked + 1);
    for page in &late {
        world.viewer(*page).assert_unbroken(0);
        let (connected, first) = (world.connected_at(*page).expect("connected"), world.viewer(*page).pictures(0)[0].clone());
        assert!(first.keyframe && first.at - connected <= LINE * 2 + ms(10 + 34), "{:?}", first.at - connected);
    }
    world.viewer(page).assert_unbroken(0);
    assert!(!world.events.iter().any(|e| matches!(e, SfuEvent::KeyframeWanted { feed, .. } if feed.as_str() == "scope")));
}

#[test]
fn loss_on_the_way_in_is_repaired() {
    let (mut world, page, camera) = shown(45, PLAIN);
    world.run(ms(1_000));
    world.lose(camera, 0.05);
    world.run(ms(5_000));
    world.lose(camera, 0.0);
    world.run(ms(1_000));
    assert!(world.lost(camera) > 10);
    world.viewer(page).assert_unbroken(0);
    let pictures = world.viewer(page).pictures(0);
    for pair in pictures.windows(2) {
        assert!(pair[1].timestamp.wrapping_sub(pair[0].timestamp) as i32 >= 0, "frames in order, late ones in their place");
    }
}

#[test]
fn packets_of_1400_bytes_are_cut_to_fit_a_path_of_1300_also_where_the_way_in_loses() {
    for (seed, codec) in [(53, VideoCodec::H264), (54, VideoCodec::Vp8)] {
        // As GStreamer's and FFmpeg's payloaders make them: 1,400 bytes with the header.
        let (mut world, page, camera) = shown(seed, Lens { codec, bytes: 1_387, ..PLAIN });
        world.run(ms(2_000));
        let before = world.viewer(page).pictures(0).len();
        assert!(before > 100, "{before} packets");
        world.viewer(page).assert_unbroken(0);
        world.lose(camera, 0.05);
        world.run(ms(5_000));
        world.lose(camera, 0.0);
        world.run(ms(1_000));
        assert!(world.lost(camera) > 10);
        world.viewer(page).assert_unbroken(0);
        let pictures = world.viewer(page).pictures(0);
        assert!(pictures.windows(2).all(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp) as i32 >= 0), "in their places");
        assert!(pictures.last().is_some_and(|p| world.now - p.at < ms(50)), "to the end");
        let counters = world.engine.counters();
        assert!(counters.cut_packets > 300 && counters.bad_packets == 0, "{counters:?}");
        // UDP and IPv6 headers are 48 bytes.
        assert!(world.largest <= 1_300 - 48, "{} bytes", world.largest);
    }
}

#[test]
fn a_publisher_that_falls_silent_is_down_and_up_again_when_it_speaks() {
    let (mut world, page, camera) = shown(46, PLAIN);
    world.run(ms(2_000));
    world.camera(camera).off = true;
    world.run(ms(4_900));
    assert_eq!(world.published("scope").len(), 1, "stale, but not yet gone");
    world.run(ms(300));
    assert_eq!(world.published("scope"), [(VideoCodec::H264, true), (VideoCodec::H264, false)]);
    world.camera(camera).off = false;
    world.run(ms(2_000));
    assert_eq!(world.published("scope").last(), Some(&(VideoCodec::H264, true)));
    world.viewer(page).assert_unbroken(0);
    assert!(world.viewer(page).pictures(0).last().is_some_and(|p| world.now - p.at < ms(50)));
    assert_eq!(world.closed(camera), None);
}

#[test]
fn a_camera_that_checks_its_way_once_and_never_again_is_not_cut_off() {
    let (mut world, page, camera) = shown(52, PLAIN);
    world.run(ms(2_000));
    world.check_no_more(camera);
    world.run(ms(60_000));
    assert_eq!((world.closed(camera), world.published("scope").len()), (None, 1));
    assert!(world.viewer(page).pictures(0).last().is_some_and(|p| world.now - p.at < ms(50)));
}

#[test]
fn a_publisher_that_is_cut_off_or_says_goodbye_is_down_before_it_is_closed() {
    for goodbye in [true, false] {
        let (mut world, _, camera) = shown(47, PLAIN);
        world.run(ms(2_000));
        if goodbye {
            world.close(camera);
            world.run(ms(200));
        } else {
            world.lose(camera, 1.0);
            world.run(ms(40_000));
        }
        let expected = if goodbye { CloseReason::Hangup } else { CloseReason::Silent };
        assert_eq!(world.closed(camera), Some(expected));
        let place = |wanted: fn(&SfuEvent) -> bool| world.events.iter().position(wanted).expect("told");
        let down = place(|e| matches!(e, SfuEvent::Published { up: false, .. }));
        assert!(down < place(|e| matches!(e, SfuEvent::Closed { .. })));
        assert_eq!(world.published("scope").len(), 2);
    }
}

#[test]
fn a_new_publisher_takes_the_place_of_the_old_and_viewers_go_on() {
    let (mut world, page, old) = shown(48, PLAIN);
    world.run(ms(2_000));
    let new = world.publish("scope", Lens { number: 201, codec: VideoCodec::Vp8, ..PLAIN }, LINE);
    world.run(ms(2_000));
    assert_eq!((world.closed(old), world.closed(new)), (Some(CloseReason::Replaced), None));
    let told = world.published("scope");
    assert_eq!(told, [(VideoCodec::H264, true), (VideoCodec::H264, false), (VideoCodec::Vp8, true)]);
    world.viewer(page).assert_unbroken(0);
    assert_eq!(world.viewer(page).pictures(0).last().map(|p| p.feed), Some(201));
}

#[test]
fn what_the_engine_makes_nobody_else_may_publish() {
    let mut world = World::new(49);
    world.source("program");
    world.source("fluoro");
    world.run(ms(500));
    for name in ["program", "fluoro"] {
        let kind = PeerKind::Whip { feed: feed(name) };
        let (_, offer) = crate::viewer::Viewer::camera(world.now, ([198, 51, 100, 77], 4_000).into(), PLAIN);
        let answer = world.engine.handle_offer(world.now, PeerId(77), case(), kind, ALL, &offer);
        assert_eq!(answer, Err(OfferError::FeedTaken));
    }
    // And the other way round: what is published the engine cannot talk over.
    world.publish("scope", PLAIN, LINE);
    world.run(ms(1_000));
    world.source("scope");
    let page = world.page(ALL, ms(10));
    world.show(page, 0, "scope");
    world.run(ms(1_000));
    assert!(world.viewer(page).pictures(0).iter().all(|p| p.feed == 200));
    assert!(world.engine.counters().bad_packets > 0);
}

/// (sequence number, RTP timestamp, SSRC, whether a keyframe begins) of what the tap was given.
fn given(world: &World) -> Vec<(u16, u32, u32, bool)> {
    let read = |p: &bytes::Bytes| {
        let word = |at: usize| u32::from_be_bytes([p[at], p[at + 1], p[at + 2], p[at + 3]]);
        (u16::from_be_bytes([p[2], p[3]]), word(4), word(8), p[12] == 0x78)
    };
    world.tapped.iter().map(read).collect()
}

#[test]
fn a_tap_is_given_the_feed_from_a_keyframe_on_and_over_a_change_of_publisher() {
    let (mut world, page, _) = shown(50, PLAIN);
    world.run(ms(2_000));
    world.tap("scope", Some(7));
    world.run(ms(2_000));
    world.publish("scope", PLAIN, ms(5));
    world.run(ms(2_000));
    let given = given(&world);
    assert!(given.len() > 300 && given[0].3, "{}", given.len());
    for pair in given.windows(2) {
        assert_eq!((pair[1].0, pair[1].2), (pair[0].0.wrapping_add(1), 7));
        assert!(pair[1].1.wrapping_sub(pair[0].1) as i32 >= 0);
    }
    let seen = world.viewer(page).pictures(0).last().map(|p| p.timestamp);
    assert!(given.iter().any(|g| Some(g.1) == seen), "the same timestamps as viewers");
    world.tap("scope", None);
    let before = world.tapped.len();
    world.run(ms(500));
    assert_eq!(world.tapped.len(), before);
}

#[test]
fn a_tap_without_a_viewer_gets_its_keyframe_and_one_that_was_full_goes_on_at_the_next() {
    let mut world = World::new(51);
    let camera = world.publish("scope", PLAIN, LINE);
    world.run(ms(2_000));
    world.tap("scope", Some(7));
    world.run(ms(1_000));
    assert!(given(&world).first().is_some_and(|g| g.3));
    let asked = world.camera(camera).asked;
    world.tap_is_full = true;
    world.run(ms(200));
    world.tap_is_full = false;
    let before = world.tapped.len();
    world.run(ms(1_000));
    let given = given(&world);
    assert!(given[before].3, "a keyframe");
    assert!(given.windows(2).all(|p| p[1].0 == p[0].0.wrapping_add(1)), "and no hole in the numbers");
    let asked = world.camera(camera).asked - asked;
    assert!((1..=2).contains(&asked), "{asked}");
    assert!(world.engine.counters().tap_drops > 0);
}

#[test]
fn who_cannot_decode_a_tap_gets_a_keyframe_and_one_that_asks_on_and_on_few() {
    let (mut world, page, camera) = shown(52, PLAIN);
    world.tap("scope", Some(7));
    world.run(ms(2_000));
    let (asked, before) = (world.camera(camera).asked, world.tapped.len());
    world.refresh_tap("scope");
    world.run(ms(400));
    assert_eq!(world.camera(camera).asked - asked, 1);
    assert!(given(&world)[before..].iter().any(|g| g.3), "a keyframe, and no hole in the numbers");
    assert!(given(&world).windows(2).all(|p| p[1].0 == p[0].0.wrapping_add(1)));
    for name in ["program", "glasses"] {
        world.refresh_tap(name);
    }
    // Nothing but asking, 100 times a second for 20 s, though a page watches too.
    world.run(ms(12_000));
    let asked = world.camera(camera).asked;
    for _ in 0..2_000 {
        world.refresh_tap("scope");
        world.run(ms(10));
    }
    let asked = world.camera(camera).asked - asked;
    assert!((3..=9).contains(&asked), "{asked}: at 0, 0.5, 1.5, 3.5 s and every 4 s");
    let counters = world.engine.counters();
    assert!(counters.tap_refreshes <= 10 && counters.keyframes_denied > 1_900, "{counters:?}");
    world.viewer(page).assert_unbroken(0);

    world.tap("scope", None);
    let before = world.camera(camera).asked;
    world.run(ms(12_000));
    world.refresh_tap("scope");
    world.run(ms(500));
    assert_eq!(world.camera(camera).asked, before, "nobody takes it");
}
