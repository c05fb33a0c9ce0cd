//! Pages that lie, and pages that shout: nothing of it reaches the others, and all of it has an end. AN4, AN9, AN13, AN14, AN22.

use annotation::op::OP_BYTES_MAX;
use annotation::wire::{self, InkPacket, op::Body};
use link::frame::{FrameEntry, FrameIndex};
use prost::Message;
use signaling::ink_room::{InkEffect, InkFault, InkRoom};

use crate::kit::*;

#[test]
fn an14_nobody_draws_without_the_pen_not_even_wet() {
    let mut room = peopled();
    for who in [DESK, OBSERVER] {
        room.handle_bytes(page_of(who), &live(vec![live_stroke(who, 1, 0, 4, t(5))]), t(6)).expect("read");
        assert!(drain(&mut room).is_empty(), "wet ink without the pen is neither relayed nor confirmed");
    }
    room.handle_bytes(page_of(DESK), &packet(vec![stroke(DESK, 1, t(5))]), t(7)).expect("read");
    assert_eq!(refusals(&settle(&mut room, t(7))), ["ink.no-pen"]);
    room.handle_bytes(page_of(OBSERVER), &packet(vec![stroke(OBSERVER, 1, t(5))]), t(7)).expect("read");
    assert_eq!(refusals(&settle(&mut room, t(7))), ["ink.may-not-draw"]);
    assert_eq!(room.counts().1, 0);
    room.handle_bytes(page_of(MENTOR), &packet(vec![op(MENTOR, 1, t(8), grant(DESK, true))]), t(8)).expect("read");
    assert!(settle(&mut room, t(8)).contains(&InkEffect::Pen));
    assert!(room.may_draw(page_of(DESK)));
    room.handle_bytes(page_of(DESK), &live(vec![live_stroke(DESK, 2, 0, 4, t(9))]), t(10)).expect("read");
    let shown = packets(&drain(&mut room));
    assert_eq!(shown.iter().filter(|(_, p)| !p.live.is_empty()).count(), 3, "to the three others");
}

#[test]
fn an4_who_lies_about_author_role_room_or_frame_changes_nothing() {
    let mut room = peopled();
    let entry = |feed: &str, at: u64| FrameEntry { feed: feed.into(), capture: t(at).0, ..Default::default() };
    for at in [5, 38, 71] {
        room.handle_frame(&FrameIndex {
            program: "program".into(),
            rtp_ts: t(at).rtp_90khz(),
            layout_rev: 1,
            entries: vec![entry("field", at), entry("fluoro", at - 3)],
            ..Default::default()
        });
    }
    let before = room.sheets().state_hash();
    let with = |change: &dyn Fn(&mut wire::StrokeCommit)| {
        let mut stroke = commit(MENTOR, 1, t(5));
        change(&mut stroke);
        op(MENTOR, 1, t(80), Body::Stroke(stroke))
    };
    fn frame_of(s: &mut wire::StrokeCommit) -> &mut wire::FrameRef {
        s.frame.get_or_insert_default()
    }
    let span = |first, at: u64| wire::FrameSpan { first, capture: t(at).0 };
    let lies: Vec<(&str, wire::Op, &str)> = vec![
        ("another's name", wire::Op { author: 1, ..stroke(MENTOR, 1, t(5)) }, "ink.not-yours"),
        ("another's page", wire::Op { epoch: 3, ..stroke(MENTOR, 1, t(5)) }, "ink.not-yours"),
        ("the engine's name", wire::Op { author: 0, epoch: 0, ..stroke(MENTOR, 1, t(5)) }, "ink.not-yours"),
        ("another's stroke", with(&|s| s.key = Some(key(DESK, 1))), "ink.not-yours"),
        ("undo of another's", op(MENTOR, 1, t(9), Body::Undo(wire::Undo { stroke: Some(key(DESK, 1)) })), "ink.not-yours"),
        ("the room's clear", op(MENTOR, 1, t(9), Body::ClearAll(wire::ClearAll { up_to: t(9).0 })), "ink.room-only"),
        ("the room's ink off", op(MENTOR, 1, t(9), Body::InkOff(wire::InkOff { off: true })), "ink.room-only"),
        (
            "the engine's word",
            op(MENTOR, 1, t(9), Body::Rebase(wire::Rebase { stroke: Some(key(MENTOR, 1)), spans: vec![] })),
            "ink.engine-only",
        ),
        ("an observer's pen", op(MENTOR, 1, t(9), grant(OBSERVER, true)), "ink.nobody"),
        ("another frame's feed", with(&|s| frame_of(s).feed = "fluoro".into()), "ink.frame-mismatch"),
        ("a feed not shown", with(&|s| frame_of(s).feed = "ivus".into()), "ink.frame-mismatch"),
        ("a layout not shown", with(&|s| frame_of(s).layout_rev = 2), "ink.frame-mismatch"),
        ("a program not there", with(&|s| frame_of(s).program = "wall".into()), "ink.frame-mismatch"),
        ("a frame to come", with(&|s| frame_of(s).capture = t(9_000).0), "ink.frame-mismatch"),
        ("a span never shown", with(&|s| s.spans = vec![span(0, 5), span(3, 39)]), "ink.frame-mismatch"),
        ("a span to come", with(&|s| s.spans = vec![span(0, 5), span(3, 9_000)]), "ink.frame-mismatch"),
    ];
    for (name, lie, code) in lies {
        let mut room = peopled_like(&room);
        room.handle_bytes(page_of(MENTOR), &packet(vec![lie]), t(80)).expect("read");
        let effects = settle(&mut room, t(80));
        assert_eq!(refusals(&effects), [code], "{name}");
        let others = packets(&effects).into_iter().filter(|(page, _)| *page != page_of(MENTOR));
        assert!(
            others.flat_map(|(_, p)| p.ordered).all(|o| o.op.is_some_and(|op| op.body.is_none())),
            "{name} reached the others"
        );
        assert_eq!(room.counts().1, 0, "{name}");
    }
    room.handle_bytes(page_of(MENTOR), &packet(vec![with(&|s| s.spans = vec![span(0, 5), span(3, 38)])]), t(80)).expect("read");
    assert!(refusals(&settle(&mut room, t(80))).is_empty(), "and the truth is taken");
    assert_ne!(room.sheets().state_hash(), before);
}

/// A fresh room that has relayed the same frames.
fn peopled_like(_: &InkRoom) -> InkRoom {
    let mut room = peopled();
    let entry = |feed: &str, at: u64| FrameEntry { feed: feed.into(), capture: t(at).0, ..Default::default() };
    for at in [5, 38, 71] {
        room.handle_frame(&FrameIndex {
            program: "program".into(),
            rtp_ts: t(at).rtp_90khz(),
            layout_rev: 1,
            entries: vec![entry("field", at), entry("fluoro", at - 3)],
            ..Default::default()
        });
    }
    room
}

#[test]
fn an21_a_packet_of_another_case_is_refused_whole() {
    let mut room = peopled();
    let mut mixed = InkPacket::decode(&packet(vec![stroke(MENTOR, 1, t(5))])[..]).expect("ours");
    mixed.live = vec![live_stroke(MENTOR, 2, 0, 4, t(6))];
    mixed.case_id = "other".into();
    assert_eq!(room.handle_bytes(page_of(MENTOR), &mixed.encode_to_vec(), t(7)), Err(InkFault::OtherCase));
    // Nor may ink keep quiet about where it belongs; how far a page is may be said without.
    mixed.case_id.clear();
    assert_eq!(room.handle_bytes(page_of(MENTOR), &mixed.encode_to_vec(), t(8)), Err(InkFault::OtherCase));
    assert!(drain(&mut room).is_empty());
    let far = InkPacket { version: 1, have_order: 1, ..Default::default() };
    room.handle_bytes(page_of(MENTOR), &far.encode_to_vec(), t(9)).expect("read");
}

#[test]
fn an22_who_shouts_is_slowed_before_anybody_hears() {
    let mut room = peopled();
    let (mut taken, mut relayed, mut too_fast, mut seq) = (0, 0, 0, 0);
    // Ten seconds of a page that says everything at once, 500 packets a second.
    for i in 0..5_000u64 {
        let now = t(10 + i * 2);
        let ops: Vec<wire::Op> = (1..=8).map(|n| stroke(MENTOR, seq + n, now)).collect();
        let wet = (0..8).map(|n| live_stroke(MENTOR, 1_000_000 + (i as u32) * 8 + n, 0, 40, now)).collect();
        let shout = InkPacket { version: 1, ops, live: wet, case_id: "demo".into(), ..Default::default() };
        too_fast += usize::from(room.handle_bytes(page_of(MENTOR), &shout.encode_to_vec(), now) == Err(InkFault::TooFast));
        for effect in settle(&mut room, now) {
            match effect {
                InkEffect::Store(ops) => {
                    taken += ops.len();
                    seq += ops.len() as u32;
                }
                InkEffect::Send { page, packet } if page == page_of(ROOM) => {
                    let live = InkPacket::decode(packet).expect("ours").live;
                    relayed += live.iter().filter_map(|l| l.points.as_ref()).map(|p| p.x.len()).sum::<usize>();
                }
                _ => {}
            }
        }
    }
    assert!(taken <= 256 + 20 * 10 + 8, "{taken} ops taken in ten seconds");
    assert!(relayed <= 8_192 + 2_000 * 10 + 320, "{relayed} points relayed in ten seconds");
    assert!(too_fast > 1_000, "and it was told");
    // The room's clear is heard at once, whoever shouts.
    room.handle_bytes(
        page_of(ROOM),
        &packet(vec![op(ROOM, 1, t(10_100), Body::ClearAll(wire::ClearAll { up_to: t(10_100).0 }))]),
        t(10_100),
    )
    .expect("taken");
    assert!(packets(&drain(&mut room)).iter().any(|(page, p)| *page == page_of(MENTOR) && !p.clears.is_empty()));
}

#[test]
fn an22_a_page_that_says_only_noise_costs_one_look_each() {
    let mut room = peopled();
    let outcomes: Vec<_> = (0..2_000u64).map(|i| room.handle_bytes(page_of(MENTOR), &[0xFF; 900], t(i / 10))).collect();
    let looked_at = outcomes.iter().filter(|o| matches!(o, Err(InkFault::Malformed(_)))).count();
    assert!(looked_at <= 600 + 60, "{looked_at} of 2,000 in 0.2 s");
    assert!(drain(&mut room).is_empty());
}

#[test]
fn an10_an_op_too_long_or_a_packet_too_long_is_not_taken() {
    let mut room = peopled();
    let mut long = commit(MENTOR, 1, t(5));
    long.points = Some(wire::Points { x: vec![-100_000; 4_096], y: vec![-100_000; 4_096], pressure: vec![9; 4_096] });
    let long = op(MENTOR, 1, t(5), Body::Stroke(long));
    assert!(long.encoded_len() > OP_BYTES_MAX / 2);
    room.handle_bytes(page_of(MENTOR), &packet(vec![long]), t(6)).expect("read");
    assert_eq!(refusals(&settle(&mut room, t(6))), ["ink.points"], "beyond every picture");
    assert!(matches!(room.handle_bytes(page_of(MENTOR), &vec![0; 50_000], t(7)), Err(InkFault::TooLong(50_000))));
}
