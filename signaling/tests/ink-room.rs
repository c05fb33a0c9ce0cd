//! The ink of a case from the pages' side: what goes to whom, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use annotation::baton::Drawers;
use annotation::id::{Author, Epoch, Order};
use annotation::points::{self, Point};
use annotation::sheet::Sheets;
use annotation::time::CaptureTime;
use annotation::wire::{self, InkPacket, OrderedOp, op::Body};
use link::frame::{FrameEntry, FrameIndex};
use link::id::CaseId;
use prost::Message;
use rand::{Rng as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use signaling::ink_room::{InkAct, InkEffect, InkFault, InkRights, InkRoom, REPEAT_MS};

#[test]
fn a_stroke_is_shown_to_others_and_acknowledged_only_when_it_is_on_disk() {
    let mut room = room_of_two();
    room.handle_bytes(MENTOR_PAGE, &ops(vec![stroke(1, 1, t(5))]), t(6)).expect("ink");
    let effects = drain(&mut room);
    let [InkEffect::Anchor(_), InkEffect::Store(stored)] = &effects[..] else {
        panic!("only the tracker and the store hear of it: {effects:?}")
    };
    assert_eq!(stored.len(), 1);
    room.handle_stored(Order(1), t(9));
    let sent = packets(drain(&mut room));
    assert_eq!(sent[&MENTOR_PAGE].iter().flat_map(|p| &p.acks).map(|a| a.seq).collect::<Vec<_>>(), [1]);
    assert_eq!(sent[&ROOM_PAGE].iter().flat_map(|p| &p.ordered).map(|o| o.order).collect::<Vec<_>>(), [1]);
}

#[test]
fn wet_ink_reaches_the_other_page_at_once_and_is_repeated_from_what_it_has() {
    let mut room = room_of_two();
    room.handle_bytes(MENTOR_PAGE, &live(1, 0, 6, t(5)), t(6)).expect("ink");
    let first = packets(drain(&mut room));
    assert_eq!(first[&MENTOR_PAGE][0].live_acks[0].have, 6);
    assert_eq!(first[&ROOM_PAGE][0].live[0].points.as_ref().map(|p| p.x.len()), Some(6));
    let seen = InkPacket { version: 1, live_acks: vec![wire::LiveAck { key: Some(key(1)), have: 6 }], ..Default::default() };
    room.handle_bytes(ROOM_PAGE, &seen.encode_to_vec(), t(7)).expect("ink");
    room.handle_bytes(MENTOR_PAGE, &live(1, 6, 2, t(5)), t(8)).expect("ink");
    let next = packets(drain(&mut room));
    let relayed = &next[&ROOM_PAGE][0].live[0];
    assert_eq!((relayed.first, relayed.points.as_ref().map(|p| p.x.len())), (6, Some(2)));
}

#[test]
fn points_beyond_a_gap_are_not_taken_and_the_author_hears_how_far_it_is() {
    let mut room = room_of_two();
    room.handle_bytes(MENTOR_PAGE, &live(1, 0, 4, t(5)), t(6)).expect("ink");
    room.handle_bytes(MENTOR_PAGE, &live(1, 8, 4, t(5)), t(7)).expect("ink");
    let sent = packets(drain(&mut room));
    assert_eq!(sent[&MENTOR_PAGE].iter().flat_map(|p| &p.live_acks).map(|a| a.have).collect::<Vec<_>>(), [4, 4]);
}

#[test]
fn the_rooms_clear_fans_out_before_it_is_on_disk_and_stops_the_stroke_under_the_pen() {
    let mut room = room_of_two();
    room.handle_bytes(MENTOR_PAGE, &live(1, 0, 4, t(5)), t(6)).expect("ink");
    drain(&mut room);
    room.handle_bytes(ROOM_PAGE, &ops(vec![clear(2)]), t(8)).expect("ink");
    let effects = drain(&mut room);
    assert!(effects.contains(&InkEffect::Audit { author: Author(2), act: InkAct::Clear }));
    let sent = packets(effects);
    assert_eq!(sent[&MENTOR_PAGE][0].clears[0].up_to, t(7).0);
    room.handle_bytes(MENTOR_PAGE, &live(1, 4, 4, t(5)), t(9)).expect("ink");
    let after = packets(drain(&mut room));
    assert!(!after.contains_key(&ROOM_PAGE), "a cleared stroke is relayed no more");
}

#[test]
fn a_mentor_cannot_clear_for_others() {
    let mut room = room_of_two();
    room.handle_bytes(MENTOR_PAGE, &ops(vec![clear(1)]), t(8)).expect("read");
    let sent = packets(drain(&mut room));
    assert_eq!(sent[&MENTOR_PAGE][0].refused[0].code, "ink.room-only");
    assert!(!sent.contains_key(&ROOM_PAGE));
}

#[test]
fn a_refusal_that_was_lost_comes_again_with_its_void_until_the_page_confirms() {
    let mut room = room_of_two();
    room.handle_bytes(MENTOR_PAGE, &ops(vec![clear(1)]), t(8)).expect("read");
    drain(&mut room); // the first telling is lost
    room.handle_stored(Order(1), t(9));
    let refused = |effects: Vec<InkEffect>, page: Epoch| {
        let sent = packets(effects).remove(&page).unwrap_or_default();
        sent.iter().flat_map(|p| &p.refused).map(|r| (r.seq, r.code.clone())).collect::<Vec<_>>()
    };
    let told = vec![(1, "ink.room-only".to_owned())];
    assert_eq!(refused(drain(&mut room), MENTOR_PAGE), told, "with the void in its order");
    room.handle_timeout(t(9 + REPEAT_MS));
    assert_eq!(refused(drain(&mut room), MENTOR_PAGE), told, "and with every repeat of it");
    let has = InkPacket { version: 1, have_order: 1, ..Default::default() };
    room.handle_bytes(MENTOR_PAGE, &has.encode_to_vec(), t(100)).expect("ink");
    drain(&mut room);
    room.handle_timeout(t(200));
    assert_eq!(refused(drain(&mut room), MENTOR_PAGE), [], "confirmed");
    assert_eq!(refused(drain(&mut room), ROOM_PAGE), [], "nobody else's matter");
}

#[test]
fn a_stroke_on_a_frame_that_did_not_hold_its_feed_is_refused() {
    let mut room = room_of_two();
    let entry = |feed: &str, capture: CaptureTime| FrameEntry { feed: feed.into(), capture: capture.0, ..Default::default() };
    let frame = FrameIndex {
        program: "program".into(),
        rtp_ts: t(5).rtp_90khz(),
        layout_rev: 1,
        entries: vec![entry("field", t(5)), entry("fluoro", t(3))],
        ..Default::default()
    };
    room.handle_frame(&frame);
    let mut lie = stroke(1, 1, t(5));
    if let Some(Body::Stroke(s)) = &mut lie.body
        && let Some(f) = &mut s.frame
    {
        f.feed = "fluoro".into(); // its capture is the field's
    }
    room.handle_bytes(MENTOR_PAGE, &ops(vec![lie, stroke(2, 2, t(5))]), t(8)).expect("read");
    let effects = drain(&mut room);
    let stored: Vec<&OrderedOp> =
        effects.iter().filter_map(|e| if let InkEffect::Store(s) = e { Some(s) } else { None }).flatten().collect();
    assert!(stored[0].op.as_ref().is_some_and(|o| o.body.is_none()), "kept as a void");
    let Some(Some(Body::Stroke(good))) = stored[1].op.as_ref().map(|o| o.body.clone()) else { panic!("taken") };
    assert!(!good.frame.expect("a frame").mapping_as_told, "checked against the index, not taken as told");
    assert_eq!(packets(effects)[&MENTOR_PAGE][0].refused[0].code, "ink.frame-mismatch");
}

#[test]
fn a_late_joiner_gets_all_ink_in_few_pieces() {
    let stored: Vec<OrderedOp> = (1..=500u32)
        .map(|n| OrderedOp { order: u64::from(n), received: t(0).0, op: Some(stroke(n, n, t(u64::from(n)))) })
        .collect();
    let mut room = room_with(stored);
    room.handle_join(ROOM_PAGE, ROOM, t(600));
    let (sheets, pieces) = joined(&mut room);
    assert!(pieces <= 3, "{pieces} pieces");
    assert_eq!(sheets.strokes().count(), 500);
}

#[test]
fn a_late_joiner_is_spared_what_no_longer_shows_and_still_knows_what_arrived() {
    let mut log: Vec<OrderedOp> = (1..=3_000u32)
        .map(|n| OrderedOp { order: u64::from(n), received: t(0).0, op: Some(stroke(n, n, t(u64::from(n)))) })
        .collect();
    let up_to = wire::ClearAll { up_to: t(2_990).0 };
    let clear = wire::Op { author: 2, epoch: 2, seq: 1, at: t(2_991).0, body: Some(Body::ClearAll(up_to)) };
    log.push(OrderedOp { order: 3_001, received: t(2_991).0, op: Some(clear) });
    let mut whole = Sheets::default();
    for op in &log {
        whole.handle_op(op).expect("in order");
    }
    let mut room = room_with(log);
    room.handle_join(ROOM_PAGE, ROOM, t(3_600));
    let (sheets, pieces) = joined(&mut room);
    assert_eq!(pieces, 1);
    assert_eq!(sheets.state_hash(), whole.state_hash());
    assert_eq!(sheets.strokes().count(), 10);
}

#[test]
fn a_commit_cannot_say_that_its_stroke_began_later_than_it_was_seen() {
    let mut room = room_of_two();
    room.handle_bytes(MENTOR_PAGE, &live(1, 0, 4, t(3_600_000)), t(6)).expect("ink");
    room.handle_bytes(ROOM_PAGE, &ops(vec![clear(2)]), t(8)).expect("ink");
    room.handle_bytes(MENTOR_PAGE, &ops(vec![stroke(1, 1, t(3_600_000))]), t(500)).expect("ink");
    assert_eq!(room.counts().1, 0, "the mark came back at pen-up");
}

#[test]
fn repeats_of_one_page_are_not_multiplied_to_the_others() {
    let mut room = room_of_two();
    let mut packet = InkPacket::decode(&live(1, 0, 4, t(5))[..]).expect("ours");
    packet.live[0].lifted = true;
    packet.live = vec![packet.live[0].clone(); 64];
    let bytes = packet.encode_to_vec();
    let mut to_room = 0;
    for i in 0..40 {
        room.handle_bytes(MENTOR_PAGE, &bytes, t(6 + i)).expect("ink");
        to_room += packets(drain(&mut room)).remove(&ROOM_PAGE).map_or(0, |p| p.len());
    }
    assert_eq!(to_room, 1);
}

#[test]
fn a_page_that_lies_all_day_does_not_fill_the_log() {
    let mut room = room_of_two();
    let mut seq = 0;
    let mut stored = 0;
    let mut audits = 0;
    for i in 0..10_000u64 {
        let lie = |seq| wire::Op { seq, ..clear(1) };
        let _ = room.handle_bytes(MENTOR_PAGE, &ops(vec![lie(seq + 1)]), t(10 + i));
        for effect in drain(&mut room) {
            match effect {
                InkEffect::Store(o) => {
                    stored += o.len();
                    seq += 1;
                }
                InkEffect::Audit { .. } => audits += 1,
                _ => {}
            }
        }
    }
    assert!(stored <= 64 + 11, "{stored} voids in 10 s");
    assert!(audits <= 11, "{audits} audit rows in 10 s");
}

#[test]
fn a_frame_from_the_future_or_of_a_stranger_is_refused() {
    let mut room = room_of_two();
    let entry = FrameEntry { feed: "field".into(), capture: t(5).0, ..Default::default() };
    let frame = FrameIndex {
        program: "program".into(),
        rtp_ts: t(5).rtp_90khz(),
        layout_rev: 1,
        entries: vec![entry],
        ..Default::default()
    };
    room.handle_frame(&frame);
    let with = |seq: u32, change: fn(&mut wire::FrameRef)| {
        let mut op = stroke(seq, seq, t(5));
        if let Some(Body::Stroke(s)) = &mut op.body
            && let Some(f) = &mut s.frame
        {
            change(f);
        }
        op
    };
    let lies = vec![
        with(1, |f| f.capture = t(3_600_000).0),
        with(2, |f| f.program = "stranger".into()),
        with(3, |f| {
            f.feed = "stranger".into();
            f.program_rtp_ts = 7;
        }),
    ];
    room.handle_bytes(MENTOR_PAGE, &ops(lies), t(8)).expect("read");
    let refused: Vec<String> =
        packets(drain(&mut room))[&MENTOR_PAGE].iter().flat_map(|p| &p.refused).map(|r| r.code.clone()).collect();
    assert_eq!(refused, ["ink.frame-mismatch"; 3]);
}

#[test]
fn strangers_and_broken_packets_are_told_so() {
    let mut room = room_of_two();
    assert!(matches!(room.handle_bytes(Epoch(99), &ops(vec![]), t(1)), Err(InkFault::NotJoined)));
    assert!(matches!(room.handle_bytes(MENTOR_PAGE, &[0xFF; 40], t(1)), Err(InkFault::Malformed(_))));
    assert!(matches!(room.handle_bytes(MENTOR_PAGE, &[0; 60_000], t(1)), Err(InkFault::TooLong(_))));
    let future = InkPacket { version: 9, ..Default::default() };
    assert!(matches!(room.handle_bytes(MENTOR_PAGE, &future.encode_to_vec(), t(1)), Err(InkFault::Version(9))));
}

#[test]
fn an14a_a_stroke_ends_where_the_pen_was_taken_back_and_is_kept_up_to_there() {
    // The desk (3) draws by grant; the room takes the pen back while its stroke is under way.
    const DESK: InkRights = InkRights { author: Author(3), may_draw: true, is_room: false };
    const DESK_PAGE: Epoch = Epoch(3);
    let drawers = Drawers { lead: Some(Author(1)), people: [Author(1), Author(2), Author(3)].into() };
    let mut room = InkRoom::new(CaseId::parse("demo").expect("an id"), vec![], drawers);
    room.handle_join(ROOM_PAGE, ROOM, t(0));
    room.handle_join(DESK_PAGE, DESK, t(0));
    let grant = |seq: u32, may_draw: bool| {
        let body = Some(Body::Grant(wire::Grant { author: 3, may_draw }));
        ops(vec![wire::Op { author: 2, epoch: 2, seq, at: t(1).0, body }])
    };
    let desks = |packet: Vec<u8>| {
        let mut packet = InkPacket::decode(packet.as_slice()).expect("ours");
        let key = |k: &mut Option<wire::StrokeKey>| {
            if let Some(k) = k {
                (k.author, k.epoch) = (3, 3);
            }
        };
        packet.live.iter_mut().for_each(|l| key(&mut l.key));
        for op in &mut packet.ops {
            (op.author, op.epoch) = (3, 3);
            if let Some(Body::Stroke(s)) = &mut op.body {
                key(&mut s.key);
            }
        }
        packet.encode_to_vec()
    };
    room.handle_bytes(ROOM_PAGE, &grant(1, true), t(1)).expect("ink");
    room.handle_bytes(DESK_PAGE, &desks(live(1, 0, 12, t(5))), t(6)).expect("ink");
    room.handle_bytes(ROOM_PAGE, &grant(2, false), t(8)).expect("ink");
    room.handle_bytes(DESK_PAGE, &desks(live(1, 12, 8, t(5))), t(9)).expect("ink");
    drain(&mut room);
    // Its commit holds 30 points, 18 of them drawn after the pen was gone; a second stroke was begun without it.
    room.handle_bytes(DESK_PAGE, &desks(ops(vec![stroke(1, 1, t(5)), stroke(2, 2, t(9))])), t(400)).expect("ink");
    let stored: Vec<OrderedOp> = drain(&mut room)
        .into_iter()
        .filter_map(|e| if let InkEffect::Store(ops) = e { Some(ops) } else { None })
        .flatten()
        .collect();
    let body = |n: usize| stored[n].op.as_ref().and_then(|op| op.body.clone());
    let Some(Body::Stroke(kept)) = body(0) else { panic!("the stroke is kept: {stored:?}") };
    let points = points::decode(kept.points.as_ref().expect("points")).expect("ours");
    assert_eq!((points.len(), points.last().map(|p| p.x)), (12, Some(110)), "up to where the pen was taken back");
    assert!(body(1).is_none(), "what was begun without the pen is refused");
    // One whose commit comes too late is gone, as it is from the pages.
    room.handle_bytes(ROOM_PAGE, &grant(3, true), t(500)).expect("ink");
    room.handle_bytes(DESK_PAGE, &desks(live(3, 0, 12, t(505))), t(506)).expect("ink");
    room.handle_bytes(ROOM_PAGE, &grant(4, false), t(508)).expect("ink");
    room.handle_timeout(t(6_000));
    room.handle_bytes(DESK_PAGE, &desks(ops(vec![stroke(3, 3, t(505))])), t(6_001)).expect("ink");
    let sent = packets(drain(&mut room));
    assert_eq!(sent[&DESK_PAGE].iter().flat_map(|p| &p.refused).map(|r| r.code.as_str()).collect::<Vec<_>>(), ["ink.no-pen"]);
}

#[test]
fn an28_a_fifth_hand_is_lent_no_pen_and_textures_outlast_a_restart() {
    let people: Vec<Author> = (1..=6).map(Author).collect();
    let drawers = || Drawers { lead: Some(Author(1)), people: people.iter().copied().collect() };
    let mut room = InkRoom::new(CaseId::parse("demo").expect("an id"), vec![], drawers());
    room.handle_join(ROOM_PAGE, ROOM, t(0));
    let say = |room: &mut InkRoom, seq: u32, author: u32, may_draw: bool| {
        let body = Some(Body::Grant(wire::Grant { author, may_draw }));
        room.handle_bytes(ROOM_PAGE, &ops(vec![wire::Op { author: 2, epoch: 2, seq, at: t(1).0, body }]), t(1)).expect("ink");
        let effects = drain(room);
        let stored = effects.iter().filter_map(|e| if let InkEffect::Store(ops) = e { Some(ops.clone()) } else { None });
        (stored.flatten().collect::<Vec<_>>(), packets(effects))
    };
    let mut log = Vec::new();
    for (seq, author) in [(1, 5), (2, 3), (3, 4)] {
        log.extend(say(&mut room, seq, author, true).0);
    }
    let (stored, told) = say(&mut room, 4, 6, true);
    assert_eq!(told[&ROOM_PAGE].iter().flat_map(|p| &p.refused).map(|r| r.code.as_str()).collect::<Vec<_>>(), ["ink.no-texture"]);
    log.extend(stored);
    log.extend(say(&mut room, 5, 3, false).0);
    let (stored, told) = say(&mut room, 6, 6, true);
    assert!(told.values().flatten().all(|p| p.refused.is_empty()), "one has yielded");
    log.extend(stored);
    let all = |room: &InkRoom| people.iter().map(|a| room.textures().of(*a)).collect::<Vec<_>>();
    assert_eq!(all(&room), [Some(0), None, None, Some(3), Some(1), Some(2)]);
    let again = InkRoom::new(CaseId::parse("demo").expect("an id"), log, drawers());
    assert_eq!(all(&again), all(&room));
}

#[test]
fn a_frame_of_the_looping_run_is_kept_when_it_is_drawn_on() {
    let mut room = room_of_two();
    let mut packet = InkPacket::decode(live(1, 0, 4, t(5)).as_slice()).expect("ours");
    for l in &mut packet.live {
        l.frame = Some(wire::FrameRef { surface: wire::Surface::Run as i32, feed: "fluoro-run".into(), ..frame(t(3)) });
    }
    let bytes = packet.encode_to_vec();
    room.handle_bytes(MENTOR_PAGE, &bytes, t(6)).expect("ink");
    room.handle_bytes(MENTOR_PAGE, &bytes, t(7)).expect("ink");
    let kept: Vec<InkEffect> = drain(&mut room).into_iter().filter(|e| matches!(e, InkEffect::Keep { .. })).collect();
    assert_eq!(kept, [InkEffect::Keep { feed: annotation::id::FeedId::parse("fluoro-run").expect("an id"), capture: t(3) }]);
}

#[test]
fn an_abandoned_stroke_is_let_go_and_the_pages_hear_of_it() {
    let mut room = room_of_two();
    room.handle_bytes(MENTOR_PAGE, &live(1, 0, 4, t(5)), t(6)).expect("ink");
    drain(&mut room);
    room.handle_leave(MENTOR_PAGE, t(100));
    let due = room.poll_timeout().expect("a deadline");
    assert!((due.minus_ns(t(5_100))).abs() < 1_000_000);
    room.handle_timeout(due);
    let sent = packets(drain(&mut room));
    assert!(sent[&ROOM_PAGE][0].live[0].lifted);
    assert_eq!(room.poll_timeout(), None);
}

/// 300 schedules with a third of all packets lost in both directions: every page ends with the log's ink.
#[test]
fn packets_lost_both_ways_still_leave_every_page_with_the_same_ink() {
    for seed in 0..300u64 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut room = room_of_two();
        let mut pages: BTreeMap<Epoch, Sheets> = [(MENTOR_PAGE, Sheets::default()), (ROOM_PAGE, Sheets::default())].into();
        let mut outbox: Vec<wire::Op> = Vec::new();
        let mut now = 10;
        for step in 0u32.. {
            now += REPEAT_MS / 2;
            if step < 12 {
                outbox.push(stroke(step + 1, step + 1, t(now)));
            }
            for page in [MENTOR_PAGE, ROOM_PAGE] {
                let ops = if page == MENTOR_PAGE { outbox.clone() } else { vec![] };
                let packet = InkPacket {
                    version: 1,
                    ops,
                    case_id: "demo".into(),
                    have_order: pages[&page].applied().0,
                    ..Default::default()
                };
                if rng.random_bool(0.67) {
                    room.handle_bytes(page, &packet.encode_to_vec(), t(now)).expect("ink");
                }
            }
            room.handle_timeout(t(now));
            let mut effects = drain(&mut room);
            while let Some(effect) = (!effects.is_empty()).then(|| effects.remove(0)) {
                match effect {
                    InkEffect::Store(ops) => {
                        room.handle_stored(Order(ops.last().map_or(0, |o| o.order)), t(now + 1));
                        effects.extend(drain(&mut room));
                    }
                    InkEffect::Send { page, packet } if rng.random_bool(0.67) => {
                        let packet = InkPacket::decode(packet).expect("ours");
                        let sheets = pages.get_mut(&page).expect("joined");
                        for op in &packet.ordered {
                            if op.order <= sheets.applied().0 + 1 {
                                sheets.handle_op(op).expect("in order");
                            }
                        }
                        if page == MENTOR_PAGE {
                            outbox.retain(|o| packet.acks.iter().all(|a| o.seq > a.seq));
                        }
                    }
                    _ => {}
                }
            }
            if step >= 12 && outbox.is_empty() && pages.values().all(|p| p.applied() == Order(12)) {
                break;
            }
            assert!(step < 2_000, "seed {seed} does not end: {:?}", pages.values().map(Sheets::applied).collect::<Vec<_>>());
        }
        assert_eq!(pages[&MENTOR_PAGE].state_hash(), pages[&ROOM_PAGE].state_hash());
        assert_eq!(pages[&ROOM_PAGE].strokes().count(), 12);
    }
}

const MENTOR_PAGE: Epoch = Epoch(1);
const ROOM_PAGE: Epoch = Epoch(2);
const MENTOR: InkRights = InkRights { author: Author(1), may_draw: true, is_room: false };
const ROOM: InkRights = InkRights { author: Author(2), may_draw: true, is_room: true };

fn room_with(stored: Vec<OrderedOp>) -> InkRoom {
    let drawers = Drawers { lead: Some(Author(1)), people: [Author(1), Author(2)].into() };
    InkRoom::new(CaseId::parse("demo").expect("an id"), stored, drawers)
}

fn room_of_two() -> InkRoom {
    let mut room = room_with(vec![]);
    room.handle_join(MENTOR_PAGE, MENTOR, t(0));
    room.handle_join(ROOM_PAGE, ROOM, t(0));
    drain(&mut room);
    room
}

fn drain(room: &mut InkRoom) -> Vec<InkEffect> {
    std::iter::from_fn(|| room.poll_effect()).collect()
}

/// A joiner's sheets from its snapshot, and how many pieces that took.
fn joined(room: &mut InkRoom) -> (Sheets, usize) {
    let mut sheets = Sheets::default();
    let mut pieces = 0;
    let mut last = false;
    for effect in drain(room) {
        if let InkEffect::Snapshot { piece, .. } = effect {
            assert!(piece.len() <= 64_000);
            let piece = wire::Snapshot::decode(piece).expect("ours");
            assert!(!last, "the last piece is last");
            last = piece.last;
            pieces += 1;
            sheets.handle_snapshot(&piece.ops, if last { Order(piece.up_to) } else { Order(0) });
        }
    }
    assert!(last);
    (sheets, pieces)
}

fn packets(effects: Vec<InkEffect>) -> BTreeMap<Epoch, Vec<InkPacket>> {
    let mut out: BTreeMap<Epoch, Vec<InkPacket>> = BTreeMap::new();
    for effect in effects {
        if let InkEffect::Send { page, packet } = effect {
            out.entry(page).or_default().push(InkPacket::decode(packet).expect("ours"));
        }
    }
    out
}

fn t(ms: u64) -> CaptureTime {
    CaptureTime::from_unix(Duration::from_millis(1_790_000_000_000 + ms))
}

fn key(number: u32) -> wire::StrokeKey {
    wire::StrokeKey { author: 1, epoch: 1, number }
}

fn frame(capture: CaptureTime) -> wire::FrameRef {
    wire::FrameRef {
        feed: "field".into(),
        capture: capture.0,
        program: "program".into(),
        program_rtp_ts: capture.rtp_90khz(),
        layout_rev: 1,
        mapping_as_told: false,
        ..Default::default()
    }
}

fn some_points(first: u32, n: u32) -> wire::Points {
    let points: Vec<Point> = (first..first + n).map(|i| Point { x: i as i32 * 10, y: 500, pressure: 255 }).collect();
    points::encode(&points)
}

fn stroke(number: u32, seq: u32, began: CaptureTime) -> wire::Op {
    let commit = wire::StrokeCommit {
        key: Some(key(number)),
        tool: wire::Tool::Pen as i32,
        width: 34,
        frame: Some(frame(began)),
        began: began.0,
        points: Some(some_points(0, 30)),
        ..Default::default()
    };
    wire::Op { author: 1, epoch: 1, seq, at: began.0, body: Some(Body::Stroke(commit)) }
}

fn clear(author: u32) -> wire::Op {
    let body = Some(Body::ClearAll(wire::ClearAll { up_to: t(7).0 }));
    wire::Op { author, epoch: author, seq: 1, at: t(7).0, body }
}

fn ops(ops: Vec<wire::Op>) -> Vec<u8> {
    InkPacket { version: 1, ops, case_id: "demo".into(), ..Default::default() }.encode_to_vec()
}

fn live(number: u32, first: u32, n: u32, began: CaptureTime) -> Vec<u8> {
    let live = wire::LiveStroke {
        key: Some(key(number)),
        tool: wire::Tool::Pen as i32,
        width: 34,
        frame: Some(frame(began)),
        began: began.0,
        first,
        points: Some(some_points(first, n)),
        lifted: false,
        ..Default::default()
    };
    InkPacket { version: 1, live: vec![live], case_id: "demo".into(), ..Default::default() }.encode_to_vec()
}
