//! One order, whatever the network does: AN1–AN8.

use std::collections::BTreeMap;

use annotation::baton::Drawers;
use annotation::id::{Author, Epoch, Order};
use annotation::op::Fault;
use annotation::points::{self, Point};
use annotation::sequencer::{InkRights, Sequencer, Verdict};
use annotation::sheet::Sheets;
use annotation::time::CaptureTime;
use annotation::wire::{self, op::Body};
use rand::{Rng as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[test]
fn an1_only_the_next_op_is_taken() {
    let mut s = sequencer(vec![]);
    assert!(matches!(take(&mut s, MENTOR, stroke(1, 1, 1, t(0)), t(1)), Verdict::Taken(_, None)));
    assert_eq!(take(&mut s, MENTOR, stroke(1, 3, 3, t(2)), t(3)), Verdict::Gap);
    assert_eq!(take(&mut s, MENTOR, stroke(1, 1, 1, t(0)), t(4)), Verdict::Known);
    assert!(matches!(take(&mut s, MENTOR, stroke(1, 2, 2, t(2)), t(5)), Verdict::Taken(_, None)));
    assert_eq!(s.sheets().strokes().count(), 2);
}

#[test]
fn an2_nothing_is_durable_before_the_store_says_so() {
    let mut s = sequencer(vec![]);
    take(&mut s, MENTOR, stroke(1, 1, 1, t(0)), t(1));
    assert_eq!(s.durable_seq(Author(1), Epoch(1)), 0);
    assert!(s.durable_after(Order(0)).is_empty());
    s.handle_durable(Order(1));
    assert_eq!(s.durable_seq(Author(1), Epoch(1)), 1);
    assert_eq!(s.durable_after(Order(0)).len(), 1);
}

#[test]
fn an5_a_clear_kills_strokes_in_flight_too_and_spares_later_ones() {
    let mut s = sequencer(vec![]);
    take(&mut s, MENTOR, stroke(1, 1, 1, t(10)), t(11));
    take(&mut s, ROOM, clear(2, 1, t(20)), t(21));
    assert_eq!(s.sheets().strokes().count(), 0);
    // begun before the press, committed after it
    take(&mut s, MENTOR, stroke(1, 2, 2, t(19)), t(22));
    assert_eq!(s.sheets().strokes().count(), 0);
    take(&mut s, MENTOR, stroke(1, 3, 3, t(23)), t(24));
    assert_eq!(s.sheets().strokes().count(), 1);
}

#[test]
fn an6_a_clock_ahead_cannot_make_ink_that_clear_cannot_reach() {
    let mut s = sequencer(vec![]);
    take(&mut s, MENTOR, stroke(1, 1, 1, t(9_999)), t(11));
    take(&mut s, ROOM, clear(2, 1, t(12)), t(13));
    assert_eq!(s.sheets().strokes().count(), 0);
}

#[test]
fn an3_a_refused_op_keeps_its_place_and_its_author_goes_on() {
    let mut s = sequencer(vec![]);
    let verdict = take(&mut s, MENTOR, clear(1, 1, t(5)), t(6));
    assert!(matches!(verdict, Verdict::Taken(ref o, Some(Fault::RoomOnly)) if o.op.as_ref().is_some_and(|op| op.body.is_none())));
    assert!(matches!(take(&mut s, MENTOR, stroke(1, 2, 1, t(7)), t(8)), Verdict::Taken(_, None)));
    // and after a restart as well
    s.handle_durable(Order(2));
    let mut restarted = sequencer(s.durable_after(Order(0)).to_vec());
    assert_eq!(restarted.sheets().state_hash(), s.sheets().state_hash());
    assert!(matches!(take(&mut restarted, MENTOR, undo(1, 3, 1), t(9)), Verdict::Taken(_, None)));
    assert_eq!(restarted.sheets().strokes().count(), 0);
}

#[test]
fn an4_a_client_that_lies_changes_nothing() {
    let lies: Vec<(wire::Op, Fault)> = vec![
        (stroke(2, 1, 1, t(0)), Fault::NotYours),
        (with(stroke(1, 1, 1, t(0)), |s| s.key = Some(wire::StrokeKey { author: 2, epoch: 1, number: 1 })), Fault::NotYours),
        (with(stroke(1, 1, 1, t(0)), |s| s.width = 0), Fault::Width),
        (with(stroke(1, 1, 1, t(0)), |s| s.width = 100_000), Fault::Width),
        (with(stroke(1, 1, 1, t(0)), |s| s.frame = None), Fault::NoFrame),
        (with(stroke(1, 1, 1, t(0)), |s| s.points = Some(Default::default())), Fault::NoPoints),
        (clear(1, 1, t(0)), Fault::RoomOnly),
        (undo(1, 1, 77), Fault::NoSuchStroke),
    ];
    for (op, expected) in lies {
        let mut s = sequencer(vec![]);
        match take(&mut s, MENTOR, op, t(1)) {
            Verdict::Taken(_, fault) => assert_eq!(fault, Some(expected)),
            other => panic!("{other:?}"),
        }
        assert_eq!(s.sheets().strokes().count(), 0);
    }
}

#[test]
fn an9_a_frame_that_was_not_shown_is_refused_and_an_old_one_is_taken_as_told() {
    let mut s = sequencer(vec![]);
    let verdict = s.handle_op(MENTOR, Epoch(1), stroke(1, 1, 1, t(0)), |_| Some(false), t(1));
    assert!(matches!(verdict, Verdict::Taken(_, Some(Fault::FrameMismatch))));
    s.handle_op(MENTOR, Epoch(1), stroke(1, 2, 2, t(0)), |_| None, t(1));
    let told: Vec<bool> = s.sheets().strokes().filter_map(|(_, s)| s.frame.as_ref()).map(|f| f.mapping_as_told).collect();
    assert_eq!(told, [true]);
}

/// 1,500 random schedules: two mentors and the room, packets lost, doubled, late; disconnects; server restarts that forget
/// what was not stored. In the end nothing is lost, nothing doubled, and every replica shows the same.
#[test]
fn an8_no_schedule_loses_or_doubles_an_op() {
    let mut taken_in_total = 0;
    for seed in 0..1_500u64 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut server = sequencer(vec![]);
        let mut stored: Vec<wire::OrderedOp> = Vec::new();
        let mut clients: Vec<Client> = [MENTOR, MENTOR_B, ROOM].into_iter().map(Client::new).collect();
        let mut now = 100u64;
        let mut to_draw = 40;
        while to_draw > 0 || clients.iter().any(|c| !c.outbox.is_empty() || c.replica.applied().0 < server.durable().0) {
            now += rng.random_range(1..400);
            let lossy = to_draw > 0 || rng.random_bool(0.5);
            let client = &mut clients[rng.random_range(0..3)];
            match rng.random_range(0..10) {
                0..=2 if to_draw > 0 => {
                    to_draw -= 1;
                    client.act(&mut rng, t(now));
                }
                3..=6 => {
                    let order: Vec<wire::Op> = if lossy && rng.random_bool(0.3) {
                        client.outbox.iter().rev().cloned().collect()
                    } else {
                        client.outbox.clone()
                    };
                    for op in order {
                        let copies = if lossy { rng.random_range(0..3) } else { 1 };
                        for _ in 0..copies {
                            server.handle_op(client.rights, Epoch(client.rights.author.0), op.clone(), |_| Some(true), t(now));
                        }
                    }
                }
                7 => {
                    // group commit: all that was taken goes to disk
                    let from = stored.len() as u64;
                    server.handle_durable(Order(u64::MAX));
                    stored.extend_from_slice(server.durable_after(Order(from)));
                }
                8 if !lossy || rng.random_bool(0.6) => {
                    let seq = server.durable_seq(client.rights.author, Epoch(client.rights.author.0));
                    client.outbox.retain(|op| op.seq > seq);
                    for ordered in server.durable_after(client.replica.applied()) {
                        client.replica.handle_op(ordered).expect("the server sends in order");
                    }
                }
                9 if rng.random_bool(0.2) => server = sequencer(stored.clone()),
                _ => {}
            }
        }
        let mut seen: BTreeMap<(u32, u32), u32> = BTreeMap::new();
        for op in server.durable_after(Order(0)).iter().filter_map(|o| o.op.as_ref()) {
            *seen.entry((op.author, op.seq)).or_default() += 1;
        }
        for client in &clients {
            for seq in 1..=client.seq {
                assert_eq!(seen.get(&(client.rights.author.0, seq)), Some(&1), "seed {seed}");
            }
            assert_eq!(client.replica.state_hash(), server.sheets().state_hash(), "seed {seed}");
        }
        let mut joiner = Sheets::default();
        joiner.handle_snapshot(&server.compacted(), server.durable());
        assert_eq!(joiner.state_hash(), server.sheets().state_hash(), "seed {seed}: a late joiner");
        taken_in_total += seen.len();
    }
    assert_eq!(taken_in_total, 1_500 * 40);
}

struct Client {
    rights: InkRights,
    seq: u32,
    outbox: Vec<wire::Op>,
    replica: Sheets,
}

impl Client {
    fn new(rights: InkRights) -> Self {
        Client { rights, seq: 0, outbox: vec![], replica: Sheets::default() }
    }

    fn act(&mut self, rng: &mut ChaCha8Rng, now: CaptureTime) {
        self.seq += 1;
        let author = self.rights.author.0;
        let key = wire::StrokeKey { author, epoch: author, number: rng.random_range(1..20) };
        let to = rng.random_range(1..4);
        let op = match rng.random_range(0..9) {
            0 if self.rights.is_room => clear(author, self.seq, now),
            1 => undo(author, self.seq, key.number),
            2 => op(author, self.seq, Body::Pin(wire::Pin { stroke: Some(key), pinned: rng.random_bool(0.5) })),
            3 => op(author, self.seq, Body::Grant(wire::Grant { author: to, may_draw: rng.random_bool(0.7) })),
            4 if self.rights.is_room => op(author, self.seq, Body::Lead(wire::Lead { author: to })),
            _ => with(stroke(author, self.seq, self.seq, now), |s| s.fades = rng.random_bool(0.5)),
        };
        self.outbox.push(op);
    }
}

const MENTOR: InkRights = InkRights { author: Author(1), may_draw: true, is_room: false };
const MENTOR_B: InkRights = InkRights { author: Author(3), may_draw: true, is_room: false };
const ROOM: InkRights = InkRights { author: Author(2), may_draw: true, is_room: true };

/// Author 1 leads; the others have no pen but by grant, the room apart.
fn sequencer(stored: Vec<wire::OrderedOp>) -> Sequencer {
    Sequencer::new(stored, Drawers { lead: Some(Author(1)), people: [1, 2, 3].map(Author).into() })
}

/// A page's epoch equals its author's number here.
fn take(s: &mut Sequencer, rights: InkRights, op: wire::Op, now: CaptureTime) -> Verdict {
    s.handle_op(rights, Epoch(rights.author.0), op, |_| Some(true), now)
}

fn t(ms: u64) -> CaptureTime {
    CaptureTime::from_unix(std::time::Duration::from_millis(1_790_000_000_000 + ms))
}

fn op(author: u32, seq: u32, body: Body) -> wire::Op {
    wire::Op { author, epoch: author, seq, at: t(0).0, body: Some(body) }
}

fn stroke(author: u32, seq: u32, number: u32, began: CaptureTime) -> wire::Op {
    let points = points::encode(&[Point { x: 10, y: 20, pressure: 255 }, Point { x: 400, y: 300, pressure: 90 }]);
    let frame = wire::FrameRef {
        feed: "field".into(),
        capture: began.0,
        program: "program".into(),
        program_rtp_ts: began.rtp_90khz(),
        layout_rev: 1,
        mapping_as_told: false,
        ..Default::default()
    };
    let commit = wire::StrokeCommit {
        key: Some(wire::StrokeKey { author, epoch: author, number }),
        tool: wire::Tool::Pen as i32,
        width: 34,
        frame: Some(frame),
        began: began.0,
        points: Some(points),
        ..Default::default()
    };
    op(author, seq, Body::Stroke(commit))
}

fn with(mut op: wire::Op, change: impl FnOnce(&mut wire::StrokeCommit)) -> wire::Op {
    if let Some(Body::Stroke(s)) = op.body.as_mut() {
        change(s);
    }
    op
}

fn undo(author: u32, seq: u32, number: u32) -> wire::Op {
    op(author, seq, Body::Undo(wire::Undo { stroke: Some(wire::StrokeKey { author, epoch: author, number }) }))
}

fn clear(author: u32, seq: u32, up_to: CaptureTime) -> wire::Op {
    op(author, seq, Body::ClearAll(wire::ClearAll { up_to: up_to.0 }))
}
