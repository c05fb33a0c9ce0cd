//! Rehearsal: the engine, pages made of str0m's client side, links that delay and lose, one virtual clock. Same seed, same run.
#![allow(clippy::disallowed_methods)] // Virtual time, too, begins at some instant.

mod busy;
mod camera;
mod clocks;
mod hours;
mod line;
mod lines;
mod lossy;
mod narrow;
mod publishing;
mod redundancy;
mod restart;
mod scenarios;
mod source;
mod standing;
mod strangers;
mod viewer;
mod world;

use std::time::Duration;

use sfu::{Channel, CloseReason, Grants, PeerKind, SfuEvent};
use world::{ALL, World, case, feed, ms};

#[test]
fn for_a_late_joiner_a_keyframe_is_ready_when_it_is_connected() {
    let mut world = World::new(1);
    let first = world.page(ALL, ms(1));
    world.show(first, 0, "program");
    world.source("program");
    world.run(ms(3_000));
    assert!(world.viewer(first).pictures(0).len() > 50);
    let asked = world.keyframes_asked("program");
    // 30 ms each way. The last keyframe is long gone.
    let late = world.page(ALL, ms(30));
    world.show(late, 0, "program");
    world.run(ms(2_000));
    let connected = world.connected_at(late).expect("connected");
    let shown = world.viewer(late).pictures(0);
    let begin = shown.first().expect("a picture");
    assert!(begin.keyframe, "the first packet is one to begin with");
    let waited = begin.at.duration_since(connected);
    assert!(waited <= ms(32), "asked for while keys were agreed on; one way back: {waited:?}");
    assert_eq!(world.keyframes_asked("program"), asked + 1);
}

#[test]
fn a_joiner_just_after_a_keyframe_is_shown_that_one() {
    let mut world = World::new(2);
    let first = world.page(ALL, ms(1));
    world.source("program");
    world.run(ms(1_000));
    world.show(first, 0, "program");
    world.run(ms(200));
    let asked = world.keyframes_asked("program");
    let second = world.page(ALL, ms(1));
    world.run(ms(100));
    world.show(second, 0, "program");
    world.run(ms(5));
    let pictures = world.viewer(second).pictures(0);
    assert!(pictures.first().is_some_and(|p| p.keyframe) && pictures.len() > 20, "{} packets at once", pictures.len());
    assert_eq!(world.keyframes_asked("program"), asked, "nobody had to ask");
    world.run(ms(1_000));
    world.viewer(second).assert_unbroken(0);
}

#[test]
fn pictures_carry_capture_time_and_are_shown_without_delay() {
    let mut world = World::new(3);
    let page = world.page(ALL, ms(1));
    world.show(page, 0, "program");
    world.source("program");
    world.run(ms(1_000));
    let pictures = world.viewer(page).pictures(0);
    assert!(!pictures.is_empty());
    for picture in &pictures {
        assert_eq!(picture.playout_delay, Some((0, 0)));
        let capture = picture.capture.expect("abs-capture-time");
        assert!(capture.rtp_90khz().abs_diff(picture.timestamp) <= 1, "its capture time is its timestamp");
        let age = world.timeline(picture.at).since(capture);
        // The first picture shares the line with the question what it carries.
        let waits = if picture.at < world.at(ms(100)) { ms(40) } else { ms(10) };
        assert!(age >= world::ENCODING && age < world::ENCODING + waits, "{age:?}");
    }
}

#[test]
fn a_viewer_behind_loss_recovers_and_costs_the_other_no_keyframe() {
    let mut world = World::new(4);
    let clean = world.page(ALL, ms(5));
    let lossy = world.page(ALL, ms(20));
    for page in [clean, lossy] {
        world.show(page, 0, "program");
    }
    world.source("program");
    world.run(ms(1_000));
    world.lose(lossy, 0.05);
    let asked = world.keyframes_asked("program");
    world.run(ms(10_000));
    world.lose(lossy, 0.0);
    world.run(ms(1_000));
    assert!(world.lost(lossy) > 40, "the link did lose: {}", world.lost(lossy));
    world.viewer(clean).assert_unbroken(0);
    world.viewer(lossy).assert_unbroken(0);
    assert_eq!(world.keyframes_asked("program"), asked);
    let stats = world.stats(lossy).expect("told once a second");
    assert!(stats.nacks > 0 && stats.packets_out > 500 && stats.rtt.is_some(), "{stats:?}");
}

#[test]
fn the_first_packets_are_repaired_too() {
    let mut world = World::new(5);
    let page = world.page(ALL, ms(20));
    world.run(ms(1_000));
    world.show(page, 0, "program");
    world.source("program");
    world.lose(page, 0.2);
    world.run(ms(2_000));
    world.lose(page, 0.0);
    world.run(ms(1_000));
    let pictures = world.viewer(page).pictures(0);
    let first = pictures.iter().map(|p| p.seq).min();
    assert_eq!(first, Some(1), "even the very first number arrives");
    world.viewer(page).assert_unbroken(0);
}

#[test]
fn numbers_run_on_over_every_assignment_and_pictures_begin_at_keyframes() {
    let mut world = World::new(6);
    let page = world.page(ALL, ms(10));
    world.source("program");
    world.source("fluoro");
    for what in [Some("program"), Some("fluoro"), None, Some("program"), Some("fluoro"), Some("program")] {
        match what {
            Some(name) => world.show(page, 0, name),
            None => world.show_nothing(page, 0),
        }
        world.run(ms(700));
    }
    world.viewer(page).assert_unbroken(0);
    let pictures = world.viewer(page).pictures(0);
    let mut changes = 0;
    for pair in pictures.windows(2) {
        if pair[0].feed != pair[1].feed {
            assert!(pair[1].keyframe, "a change begins at a keyframe");
            assert!(pair[1].timestamp.wrapping_sub(pair[0].timestamp) as i32 > 0, "and later than what was shown");
            changes += 1;
        }
    }
    assert_eq!(changes, 4);
    let between = pictures.iter().filter(|p| p.at > world.at(ms(1_450)) && p.at < world.at(ms(2_100))).count();
    assert_eq!(between, 0, "an empty slot gets nothing");
}

#[test]
fn a_source_that_begins_anew_is_shown_again_without_a_break_in_numbers() {
    let mut world = World::new(7);
    let page = world.page(ALL, ms(10));
    world.show(page, 0, "program");
    world.source("program");
    world.run(ms(1_000));
    world.engine.forget_feed(world.now, &case(), &feed("program"));
    world.restart_source("program");
    world.run(ms(1_000));
    world.viewer(page).assert_unbroken(0);
    assert!(world.viewer(page).pictures(0).last().is_some_and(|p| world.now.duration_since(p.at) < ms(50)));
}

#[test]
fn a_storm_of_requests_is_two_keyframes_a_second() {
    let mut world = World::new(8);
    let pages = [world.page(ALL, ms(5)), world.page(ALL, ms(5)), world.page(ALL, ms(5))];
    for page in pages {
        world.show(page, 0, "program");
    }
    world.source("program");
    world.run(ms(1_500));
    let asked = world.keyframes_asked("program");
    for _ in 0..40 {
        for page in pages {
            world.request_keyframe(page, 0);
        }
        world.run(ms(50));
    }
    let storm = world.keyframes_asked("program") - asked;
    assert!((3..=5).contains(&storm), "{storm} in 2 s");
}

#[test]
fn a_viewer_that_cannot_be_helped_costs_the_others_a_keyframe_every_four_seconds_at_most() {
    let mut world = World::new(20);
    let clean = world.page(ALL, ms(5));
    let lossy = world.page(ALL, ms(30));
    for page in [clean, lossy] {
        world.show(page, 0, "program");
    }
    world.source("program");
    world.run(ms(1_500));
    let asked = world.keyframes_asked("program");
    world.lose(lossy, 0.10);
    for _ in 0..300 {
        // What a browser does all the time while it waits for a picture to begin with.
        world.request_keyframe(lossy, 0);
        world.run(ms(100));
    }
    let cost = world.keyframes_asked("program") - asked;
    assert!((5..=10).contains(&cost), "{cost} in 30 s");
    world.viewer(clean).assert_unbroken(0);
    // Alone, it costs nobody anything.
    world.show_nothing(clean, 0);
    let asked = world.keyframes_asked("program");
    for _ in 0..40 {
        world.request_keyframe(lossy, 0);
        world.run(ms(50));
    }
    assert!(world.keyframes_asked("program") - asked >= 3);
}

#[test]
fn a_voice_reaches_those_who_may_hear_and_only_while_it_may_speak() {
    let mut world = World::new(9);
    let mentor = world.page(ALL, ms(20));
    let room = world.page(ALL, ms(5));
    let deaf = world.page(Grants { hear: false, ..ALL }, ms(5));
    let muted = world.page(Grants { speak: false, ..ALL }, ms(5));
    world.run(ms(1_000));
    world.talk(mentor, -25);
    world.talk(muted, -25);
    world.run(ms(1_000));
    let heard = world.viewer(room).voices();
    assert!(heard.len() > 40, "{} packets", heard.len());
    assert!(heard.iter().all(|v| v.from == mentor.0), "the muted one is not among them");
    assert!(world.viewer(deaf).voices().is_empty());
    assert!(world.viewer(mentor).voices().is_empty(), "nobody hears himself");
    assert!(world.events.iter().any(|e| matches!(e, SfuEvent::Voice { peer, speaking: true, .. } if *peer == mentor)));
    assert!(!world.events.iter().any(|e| matches!(e, SfuEvent::Voice { peer, .. } if *peer == muted)));
    let slot =
        |from| move |e: &SfuEvent| matches!(e, SfuEvent::VoiceSlot { peer, slot: 0, from: f } if *peer == room && *f == from);
    assert!(world.events.iter().any(slot(Some(mentor))));

    world.grant(mentor, Grants { speak: false, ..ALL });
    world.run(ms(20));
    let so_far = world.viewer(room).voices().len();
    world.run(ms(500));
    assert_eq!(world.viewer(room).voices().len(), so_far, "cut off at once");
    assert!(world.events.iter().any(slot(None)));
    assert!(world.events.iter().any(|e| matches!(e, SfuEvent::Voice { peer, speaking: false, .. } if *peer == mentor)));

    // Another speaks in the same slot: numbers and time run on.
    world.grant(muted, ALL);
    world.run(ms(500));
    let voices = world.viewer(room).voices();
    assert!(voices.last().is_some_and(|v| v.from == muted.0 && v.slot == 0));
    for pair in voices.windows(2) {
        assert_eq!(pair[1].seq, pair[0].seq + 1);
        assert!(pair[1].timestamp.wrapping_sub(pair[0].timestamp) as i32 > 0);
    }
}

#[test]
fn data_goes_both_ways_on_every_channel() {
    let mut world = World::new(10);
    let page = world.page(ALL, ms(10));
    // Before it is open: ctl waits, the others are too late when they could leave.
    world.send(page, Channel::Ctl, b"early snapshot");
    world.send(page, Channel::Ink, b"early point");
    world.run(ms(1_000));
    for channel in Channel::ALL {
        assert!(
            world
                .events
                .iter()
                .any(|e| matches!(e, SfuEvent::ChannelOpen { peer, channel: c } if *peer == page && *c == channel))
        );
        world.send(page, channel, channel.label().as_bytes());
        world.viewer(page).say(channel, &[channel.id() as u8; 900]);
    }
    world.run(ms(200));
    let got = world.viewer(page).data();
    assert_eq!(got[0], (Channel::Ctl, b"early snapshot".to_vec()));
    assert!(!got.iter().any(|(_, d)| d == b"early point"));
    for channel in Channel::ALL {
        assert!(got.contains(&(channel, channel.label().as_bytes().to_vec())), "{channel:?}: {got:?}");
        assert!(world.events.iter().any(
            |e| matches!(e, SfuEvent::Data { peer, channel: c, bytes, .. } if *peer == page && *c == channel && bytes[..] == [channel.id() as u8; 900])
        ));
    }
}

#[test]
fn ctl_is_whole_and_in_order_behind_loss() {
    let mut world = World::new(11);
    let page = world.page(ALL, ms(20));
    world.run(ms(1_000));
    world.lose(page, 0.1);
    let snapshot = vec![7u8; 40_000];
    for n in 0..20u8 {
        world.send(page, Channel::Ctl, &[&[n], &snapshot[..]].concat());
    }
    // 800 kB; each lost piece costs SCTP a second or more: why ink does not travel here.
    world.run(ms(60_000));
    let order: Vec<u8> = world.viewer(page).data().iter().map(|(_, d)| d[0]).collect();
    assert_eq!(order, (0..20).collect::<Vec<u8>>());
}

#[test]
fn a_page_that_takes_nothing_is_closed_not_waited_for() {
    let mut world = World::new(12);
    let page = world.page(ALL, ms(5));
    let other = world.page(ALL, ms(5));
    world.show(other, 0, "program");
    world.source("program");
    world.run(ms(1_000));
    world.lose(page, 1.0);
    for _ in 0..300 {
        world.send(page, Channel::Ctl, &[0; 20_000]);
    }
    assert_eq!(world.closed(page), Some(CloseReason::Overrun));
    world.run(ms(500));
    world.viewer(other).assert_unbroken(0);
}

#[test]
fn revoking_sight_stops_pictures_with_the_call_and_giving_it_back_begins_anew() {
    let mut world = World::new(13);
    let page = world.page(ALL, ms(10));
    world.show(page, 0, "program");
    world.source("program");
    world.run(ms(1_000));
    assert_eq!(world.watchers("program"), 1);
    world.grant(page, Grants { see: false, ..ALL });
    assert_eq!(world.watchers("program"), 0);
    world.run(ms(11));
    let so_far = world.viewer(page).pictures(0).len();
    world.run(ms(1_000));
    assert_eq!(world.viewer(page).pictures(0).len(), so_far);
    world.grant(page, ALL);
    world.run(ms(500));
    assert!(world.viewer(page).pictures(0)[so_far].keyframe);
    world.viewer(page).assert_unbroken(0);
}

#[test]
fn a_peer_of_garbage_ends_alone_if_at_all() {
    let mut world = World::new(14);
    let good = world.page(ALL, ms(5));
    let bad = world.page(ALL, ms(5));
    world.show(good, 0, "program");
    world.source("program");
    world.run(ms(1_000));
    for length in 0..400 {
        world.garbage(bad, length * 4);
        world.run(ms(2));
    }
    world.run(ms(1_000));
    assert_eq!(world.engine.counters().faults, 0);
    assert_eq!(world.closed(good), None);
    world.viewer(good).assert_unbroken(0);
}

#[test]
fn a_page_that_goes_silent_is_given_up_and_its_layer_with_it() {
    let mut world = World::new(15);
    let page = world.page(ALL, ms(5));
    world.show(page, 0, "program");
    world.source("program");
    world.run(ms(1_000));
    world.lose(page, 1.0);
    world.run(ms(10_000));
    assert_eq!(world.closed(page), None, "a cut of ten seconds is survived");
    world.run(ms(10_000));
    assert_eq!(world.closed(page), Some(CloseReason::Silent));
    assert_eq!(world.watchers("program"), 0);
    assert_eq!(world.engine.n_peers(), 0);
}

#[test]
fn a_player_that_checks_its_way_once_and_only_reports_is_not_cut_off() {
    let mut world = World::new(53);
    let kind = PeerKind::Whep { feed: feed("program"), layer: Some(link::id::LayerId::High) };
    let player = world.player(kind, Grants { see: true, hear: false, speak: false }, ms(20));
    world.source("program");
    world.run(ms(2_000));
    world.check_no_more(player);
    world.run(ms(60_000));
    assert_eq!(world.closed(player), None);
    assert!(world.viewer(player).pictures(0).last().is_some_and(|p| world.now - p.at < ms(100)));
    world.lose(player, 1.0);
    world.run(ms(20_000));
    assert_eq!(world.closed(player), Some(CloseReason::Silent), "and when it reports no more it is gone");
}

#[test]
fn a_recorder_to_whom_nobody_speaks_and_which_only_reports_is_not_cut_off() {
    let mut world = World::new(54);
    let kind = PeerKind::Whep { feed: feed("program"), layer: None };
    let recorder = world.player(kind, Grants { see: true, hear: true, speak: false }, ms(20));
    world.run(ms(2_000));
    world.check_no_more(recorder);
    world.run(ms(60_000));
    assert_eq!(world.closed(recorder), None);
    world.lose(recorder, 1.0);
    world.run(ms(20_000));
    assert_eq!(world.closed(recorder), Some(CloseReason::Silent), "and when it reports no more it is gone");
}

#[test]
fn a_two_second_cut_heals_within_a_second() {
    let mut world = World::new(16);
    let page = world.page(ALL, ms(10));
    world.show(page, 0, "program");
    world.source("program");
    world.run(ms(2_000));
    world.lose(page, 1.0);
    world.run(ms(2_000));
    world.lose(page, 0.0);
    let back = world.now;
    // What a browser does when pictures miss.
    world.request_keyframe(page, 0);
    world.run(ms(1_000));
    let begun = world.viewer(page).pictures(0).into_iter().find(|p| p.at > back && p.keyframe).expect("a keyframe");
    assert!(begun.at.duration_since(back) < Duration::from_secs(1));
    assert_eq!(world.closed(page), None);
}

#[test]
fn after_a_cut_a_page_is_given_a_keyframe_as_soon_as_it_is_heard() {
    let mut world = World::new(31);
    let page = world.page(ALL, ms(20));
    world.show(page, 0, "program");
    world.source("program");
    world.run(ms(3_000));
    let asked = world.keyframes_asked("program");
    world.lose(page, 1.0);
    world.run(ms(2_000));
    assert_eq!(world.keyframes_asked("program"), asked, "nobody asks for one who is not there");
    let back = world.now;
    world.lose(page, 0.0);
    world.run(ms(1_000));
    let keyframe = world.viewer(page).pictures(0).into_iter().find(|p| p.keyframe && p.at > back).expect("a keyframe");
    let waited = keyframe.at.duration_since(back);
    // A packet to it, its report back, a frame and its encoding, and the way there.
    assert!(waited <= ms(200), "{waited:?}");
    assert_eq!(world.keyframes_asked("program"), asked + 1);
    let returned = |e: &&SfuEvent| matches!(e, SfuEvent::Returned { peer } if *peer == page);
    assert_eq!(world.events.iter().filter(returned).count(), 1);
}

#[test]
fn a_page_on_a_whole_line_and_a_player_that_seldom_reports_have_not_returned_from_anywhere() {
    let mut world = World::new(32);
    let page = world.page(ALL, ms(20));
    let kind = PeerKind::Whep { feed: feed("program"), layer: Some(link::id::LayerId::High) };
    let player = world.player(kind, Grants { see: true, hear: false, speak: false }, ms(20));
    world.show(page, 0, "program");
    world.run(ms(3_000));
    world.source("program");
    world.run(ms(5_000));
    world.lose(player, 1.0);
    world.run(ms(2_000));
    world.lose(player, 0.0);
    world.run(ms(1_000));
    assert!(!world.events.iter().any(|e| matches!(e, SfuEvent::Returned { .. })));
}

#[test]
fn a_player_is_shown_its_feed() {
    let mut world = World::new(17);
    let kind = PeerKind::Whep { feed: feed("program"), layer: Some(link::id::LayerId::High) };
    let player = world.player(kind, Grants { see: true, ..Grants::default() }, ms(10));
    world.source("program");
    world.run(ms(1_000));
    assert!(world.viewer(player).pictures(0).len() > 50);
    world.viewer(player).assert_unbroken(0);
}

#[test]
fn a_new_connection_of_the_same_page_takes_the_place_of_the_old() {
    let mut world = World::new(18);
    let page = world.page(ALL, ms(10));
    world.show(page, 0, "program");
    world.source("program");
    world.run(ms(1_000));
    world.reconnect(page);
    world.run(ms(1_000));
    assert!(world.viewer(page).pictures(0).len() > 30, "what it showed is shown again");
    world.viewer(page).assert_unbroken(0);
    assert_eq!((world.closed(page), world.engine.n_peers(), world.watchers("program")), (None, 1, 1));
}

#[test]
fn a_page_that_moves_and_restarts_ice_goes_on_where_it_was() {
    let mut world = World::new(19);
    let page = world.page(ALL, ms(10));
    world.show(page, 0, "program");
    world.source("program");
    world.run(ms(1_000));
    let before = world.viewer(page).pictures(0).len();
    world.restart_ice(page, PeerKind::Client);
    world.run(ms(2_000));
    world.send(page, Channel::Ctl, b"still here");
    world.run(ms(500));
    assert!(world.viewer(page).pictures(0).len() > before + 100);
    assert!(world.viewer(page).data().contains(&(Channel::Ctl, b"still here".to_vec())));
    world.viewer(page).assert_unbroken(0);
    assert_eq!((world.closed(page), world.watchers("program")), (None, 1));
    let connected = world.events.iter().filter(|e| matches!(e, SfuEvent::Connected { .. })).count();
    assert_eq!(connected, 1, "the same connection");
}

#[test]
fn a_page_that_moved_unseen_is_shown_a_keyframe_as_soon_as_it_comes_by_its_new_way() {
    for silent in [200, 400, 600, 2_000] {
        let mut world = World::new(21);
        let page = world.page(ALL, ms(10));
        world.show(page, 0, "program");
        world.source("program");
        world.run(ms(3_000));
        // Its NAT forgot it: nothing passes either way until it looks for another.
        world.lose(page, 1.0);
        world.run(ms(silent));
        world.lose(page, 0.0);
        let asked = world.keyframes_asked("program");
        world.restart_ice(page, PeerKind::Client);
        let moved = world.now;
        world.run(ms(2_000));
        let keyframe = world.viewer(page).pictures(0).into_iter().find(|p| p.keyframe && p.at > moved).expect("a keyframe");
        let waited = keyframe.at.duration_since(moved);
        // Its check, a frame, and the way to it.
        assert!(waited <= ms(120), "after {silent} ms: {waited:?}");
        assert_eq!(world.keyframes_asked("program"), asked + 1, "after {silent} ms");
    }
}

#[test]
fn a_player_that_hears_gets_all_who_speak_on_one_track() {
    let mut world = World::new(20);
    let kind = || PeerKind::Whep { feed: feed("program"), layer: Some(link::id::LayerId::High) };
    let deaf = world.player(kind(), Grants { see: true, ..Grants::default() }, ms(10));
    let player = world.player(kind(), Grants { see: true, hear: true, speak: false }, ms(10));
    let (mentor, room) = (world.page(ALL, ms(20)), world.page(ALL, ms(5)));
    world.run(ms(1_000));
    world.talk(mentor, -25);
    world.talk(room, -25);
    world.run(ms(2_000));
    let mixed = world.viewer(player).voices();
    assert!((90..=102).contains(&mixed.len()), "one track of 20 ms packets: {}", mixed.len());
    for pair in mixed.windows(2) {
        assert_eq!((pair[1].seq, pair[1].timestamp.wrapping_sub(pair[0].timestamp)), (pair[0].seq + 1, 960));
    }
    assert!(world.viewer(deaf).voices().is_empty());
    world.grant(mentor, Grants { speak: false, ..ALL });
    world.grant(room, Grants { speak: false, ..ALL });
    world.run(ms(1_000));
    let so_far = world.viewer(player).voices().len();
    world.run(ms(1_000));
    assert_eq!(world.viewer(player).voices().len(), so_far, "nothing is sent while nobody speaks");
}

#[test]
fn who_asks_again_for_what_is_too_old_is_given_a_keyframe_without_asking_for_one() {
    let mut world = World::new(51);
    // By satellite: whatever is asked for again left 700 ms ago at the least.
    let page = world.page(ALL, ms(350));
    let other = world.page(ALL, ms(10));
    for page in [page, other] {
        world.show(page, 0, "program");
    }
    world.source("program");
    world.run(ms(6_000));
    let asked = world.keyframes_asked("program");
    world.lose(page, 0.3);
    world.run(ms(300));
    world.lose(page, 0.0);
    let over = world.now;
    world.run(ms(3_000));
    let keyframe = world.viewer(page).pictures(0).into_iter().find(|p| p.at > over && p.keyframe).expect("a keyframe");
    assert!(keyframe.at.duration_since(over) <= ms(1_600), "{:?}", keyframe.at.duration_since(over));
    let late: u64 = world.stats(page).map(|s| s.tracks.iter().map(|t| t.late).sum()).unwrap_or(0);
    assert!(late > 0, "it was the late requests");
    world.run(ms(10_000));
    let cost = world.keyframes_asked("program") - asked;
    assert!(cost <= 3, "and not for ever: {cost}");
    world.viewer(other).assert_unbroken(0);
}
