//! Ink that the engine's tracker follows: what it hears and when, and what it may say. AN20, AN23.

use annotation::id::Order;
use annotation::op::StrokeId;
use annotation::wire::{self, Surface, op::Body};
use link::wire::Anchor;
use signaling::ink_room::InkEffect;

use crate::kit::*;

fn anchors(effects: &[InkEffect]) -> Vec<Anchor> {
    effects.iter().filter_map(|e| if let InkEffect::Anchor(anchor) = e { Some(anchor.clone()) } else { None }).collect()
}

fn told(effects: &[InkEffect]) -> Vec<(u32, bool, bool)> {
    let number = |a: &Anchor| a.stroke.as_ref().map_or(0, |k| k.number);
    anchors(effects).iter().map(|a| (number(a), a.committed, a.gone)).collect()
}

#[test]
fn an23_the_tracker_hears_at_pen_down_with_the_commit_and_at_the_end() {
    let mut room = peopled();
    let at = |room: &mut signaling::ink_room::InkRoom, bytes: Vec<u8>, who, ms| {
        room.handle_bytes(page_of(who), &bytes, t(ms)).expect("taken");
        settle(room, t(ms))
    };
    let effects = at(&mut room, live(vec![live_stroke(MENTOR, 1, 0, 4, t(5))]), MENTOR, 6);
    assert_eq!(told(&effects), [(1, false, false)]);
    assert_eq!((anchors(&effects)[0].feed.as_str(), anchors(&effects)[0].capture), ("field", t(5).0));
    assert_eq!(told(&at(&mut room, live(vec![live_stroke(MENTOR, 1, 4, 4, t(5))]), MENTOR, 20)), []);
    assert_eq!(told(&at(&mut room, packet(vec![stroke(MENTOR, 1, t(5))]), MENTOR, 40)), [(1, true, false)]);
    let undo = op(MENTOR, 2, t(50), Body::Undo(wire::Undo { stroke: Some(key(MENTOR, 1)) }));
    assert_eq!(told(&at(&mut room, packet(vec![undo]), MENTOR, 50)), [(1, false, true)]);
    // Cleared: what is dry and what is under the pen.
    at(&mut room, packet(vec![stroke(MENTOR, 3, t(60))]), MENTOR, 61);
    at(&mut room, live(vec![live_stroke(MENTOR, 4, 0, 4, t(62))]), MENTOR, 63);
    let clear = op(ROOM, 1, t(70), Body::ClearAll(wire::ClearAll { up_to: t(70).0 }));
    assert_eq!(told(&at(&mut room, packet(vec![clear]), ROOM, 70)), [(3, false, true), (4, false, true)]);
    // Let go under the pen: after five seconds without a word.
    at(&mut room, live(vec![live_stroke(MENTOR, 5, 0, 4, t(80))]), MENTOR, 81);
    room.handle_timeout(t(5_082));
    assert_eq!(told(&drain(&mut room)), [(5, false, true)]);
}

#[test]
fn an23_what_fades_is_let_go_when_it_is_gone_and_what_is_pinned_is_not() {
    let mut room = peopled();
    let fading = |seq| {
        let stroke = wire::StrokeCommit { fades: true, ..commit(MENTOR, seq, t(5)) };
        op(MENTOR, seq, t(5), Body::Stroke(stroke))
    };
    room.handle_bytes(page_of(MENTOR), &packet(vec![fading(1), fading(2)]), t(100)).expect("taken");
    let pin = op(MENTOR, 3, t(200), Body::Pin(wire::Pin { stroke: Some(key(MENTOR, 2)), pinned: true }));
    room.handle_bytes(page_of(MENTOR), &packet(vec![pin]), t(200)).expect("taken");
    settle(&mut room, t(200));
    // Pages that say nothing are repeated to; the fade comes in its time among that.
    let mut gone = Vec::new();
    let mut now = t(200);
    while now < t(11_000) {
        now = room.poll_timeout().expect("pages to repeat to").max(now);
        room.handle_timeout(now);
        gone.extend(told(&drain(&mut room)).into_iter().map(|g| (g, now)));
    }
    assert_eq!(gone.iter().map(|(g, _)| *g).collect::<Vec<_>>(), [(1, false, true)]);
    assert!((gone[0].1.minus_ns(t(10_100))).abs() < 60_000_000, "ten seconds after it was taken");
}

#[test]
fn an23_a_new_engine_hears_of_all_that_is_there() {
    let mut room = peopled();
    let still = |seq| {
        let mut stroke = commit(MENTOR, seq, t(5));
        if let Some(frame) = &mut stroke.frame {
            frame.surface = Surface::Still as i32;
            frame.still = "s-1".into();
        }
        op(MENTOR, seq, t(5), Body::Stroke(stroke))
    };
    let ops = vec![stroke(MENTOR, 1, t(5)), still(2), stroke(MENTOR, 3, t(6))];
    room.handle_bytes(page_of(MENTOR), &packet(ops), t(9)).expect("taken");
    room.handle_bytes(page_of(MENTOR), &live(vec![live_stroke(MENTOR, 4, 0, 4, t(9))]), t(10)).expect("taken");
    settle(&mut room, t(10));
    for _ in 0..2 {
        room.handle_engine_up(t(20));
        assert_eq!(told(&drain(&mut room)), [(4, false, false), (3, true, false), (1, true, false)]);
    }
}

#[test]
fn an20_the_engines_word_goes_the_way_of_every_op() {
    let mut room = peopled();
    let moving = wire::StrokeCommit { spans: vec![wire::FrameSpan { first: 2, capture: t(30).0 }], ..commit(MENTOR, 1, t(5)) };
    room.handle_bytes(page_of(MENTOR), &packet(vec![op(MENTOR, 1, t(40), Body::Stroke(moving))]), t(40)).expect("taken");
    settle(&mut room, t(40));
    let rebase = |number, tx| wire::Rebase {
        stroke: Some(key(MENTOR, number)),
        spans: vec![wire::Similarity { first: 2, a: 1.0, b: 0.0, tx, ty: -3.0 }],
    };
    room.handle_rebase(rebase(9, 50.0), t(50));
    room.handle_rebase(rebase(1, f32::NAN), t(50));
    assert!(drain(&mut room).is_empty(), "of a stroke that is not there, or by no similarity");
    room.handle_rebase(rebase(1, 50.0), t(50));
    let effects = drain(&mut room);
    assert!(matches!(&effects[..], [InkEffect::Store(ops)] if ops.len() == 1), "not shown before it is on disk: {effects:?}");
    room.handle_stored(Order(2), t(60));
    let seen = packets(&drain(&mut room));
    let to_room: Vec<_> = seen.iter().filter(|(page, _)| *page == page_of(ROOM)).flat_map(|(_, p)| &p.ordered).collect();
    assert!(to_room.iter().any(|o| matches!(o.op.as_ref().and_then(|op| op.body.as_ref()), Some(Body::Rebase(_)))));
    assert!(seen.iter().all(|(_, p)| p.acks.iter().all(|a| a.author != 0)), "nobody is acknowledged for it");
    let shown = room.sheets().stroke(&StrokeId::from(&key(MENTOR, 1))).expect("shown").points();
    let drawn = path(12);
    assert_eq!((shown[1], shown[2].x, shown[2].y), (drawn[1], drawn[2].x + 50, drawn[2].y - 3));
}
