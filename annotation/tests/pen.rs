//! Whose pen it is, what fades, what each tool must look like, what the tracker may say: AN14–AN20.

use std::time::Duration;

use annotation::baton::Drawers;
use annotation::id::{Author, Epoch, Order};
use annotation::op::{Fault, StrokeId};
use annotation::points::{self, Point};
use annotation::sequencer::{InkRights, Sequencer, Verdict};
use annotation::sheet::Sheets;
use annotation::time::CaptureTime;
use annotation::wire::{self, Surface, Tool, op::Body};

#[test]
fn an14_one_leads_and_others_draw_by_grant() {
    let mut w = World::new();
    assert_eq!(w.draw(MENTOR), None, "the first mentor leads until it is said otherwise");
    assert_eq!(w.draw(DESK), Some(Fault::NoPen));
    assert_eq!(w.draw(ROOM), None, "the room draws whoever leads");
    assert_eq!(w.say(MENTOR, grant(DESK, true)), None);
    assert_eq!(w.draw(DESK), None);
    assert_eq!(w.say(MENTOR, grant(DESK, false)), None);
    assert_eq!(w.draw(DESK), Some(Fault::NoPen));
}

#[test]
fn an14_only_lead_and_room_lend_the_pen_and_only_to_those_who_may_draw() {
    let mut w = World::new();
    assert_eq!(w.say(DESK, grant(DESK, true)), Some(Fault::LeadOnly), "nobody lends to themselves");
    assert_eq!(w.say(OBSERVER, grant(DESK, true)), Some(Fault::LeadOnly));
    assert_eq!(w.say(MENTOR, grant(OBSERVER, true)), Some(Fault::Nobody));
    assert_eq!(w.say(MENTOR, Body::Grant(wire::Grant { author: 0, may_draw: true })), Some(Fault::Nobody));
    assert_eq!(w.say(ROOM, grant(DESK, true)), None);
    assert_eq!(w.draw(DESK), None);
}

#[test]
fn an15_the_lead_is_handed_over_by_the_lead_or_named_by_the_room() {
    let mut w = World::new();
    assert_eq!(w.say(DESK, lead(DESK.author)), Some(Fault::LeadOnly));
    assert_eq!(w.say(MENTOR, lead(DESK.author)), None);
    assert_eq!((w.draw(DESK), w.draw(MENTOR)), (None, Some(Fault::NoPen)));
    assert_eq!(w.say(MENTOR, lead(MENTOR.author)), Some(Fault::LeadOnly), "what was handed over is not taken back");
    assert_eq!(w.say(DESK, lead(Author(0))), Some(Fault::RoomOnly));
    assert_eq!(w.say(ROOM, lead(OBSERVER.author)), Some(Fault::Nobody));
    assert_eq!(w.say(ROOM, lead(Author(0))), None);
    assert_eq!((w.draw(DESK), w.draw(MENTOR), w.draw(ROOM)), (Some(Fault::NoPen), Some(Fault::NoPen), None));
}

#[test]
fn an16_lead_and_grants_outlast_a_restart_and_are_in_a_late_joiners_snapshot() {
    let mut w = World::new();
    w.say(MENTOR, grant(DESK, true));
    w.say(ROOM, lead(DESK.author));
    w.say(DESK, grant(MENTOR, true));
    w.s.handle_durable(Order(u64::MAX));
    let again = Sequencer::new(w.s.durable_after(Order(0)).to_vec(), drawers());
    assert_eq!(again.lead(), Some(DESK.author));
    assert!(again.may_draw(MENTOR));
    let mut joiner = Sheets::default();
    joiner.handle_snapshot(&w.s.compacted(), w.s.durable());
    assert_eq!(joiner.state_hash(), w.s.sheets().state_hash());
    assert!(joiner.baton().has_pen(MENTOR.author, &drawers()));
}

#[test]
fn an17_what_fades_is_gone_ten_seconds_after_it_was_taken() {
    let mut w = World::new();
    w.stroke(MENTOR, |s| s.fades = true);
    let taken = w.now;
    let shown = *w.s.sheets().shown().next().expect("shown").0;
    let seen = |ms: u64| {
        w.s.sheets().stroke(&shown).expect("not purged by looking").opacity(taken.saturating_add(Duration::from_millis(ms)))
    };
    assert_eq!((seen(0), seen(8_000), seen(10_000)), (1.0, 1.0, 0.0));
    assert!((seen(9_000) - 0.5).abs() < 1e-6);
    // The log's own clock is the next op.
    w.now = taken.saturating_add(Duration::from_millis(9_500));
    w.stroke(MENTOR, |_| {});
    assert!(w.s.sheets().has_stroke(&shown));
    w.now = taken.saturating_add(Duration::from_secs(10));
    w.stroke(MENTOR, |_| {});
    assert!(!w.s.sheets().has_stroke(&shown));
}

#[test]
fn an17_a_pin_keeps_a_fading_stroke_and_its_end_lets_it_fade_from_then() {
    let mut w = World::new();
    w.stroke(MENTOR, |s| s.fades = true);
    let key = w.last_key(MENTOR);
    let id = StrokeId::from(&key);
    assert_eq!(w.say(DESK, pin(key, true)), Some(Fault::LeadOnly), "neither its author nor the lead");
    assert_eq!(w.say(ROOM, pin(key, true)), None);
    w.later(60);
    assert_eq!(w.s.sheets().stroke(&id).expect("kept").opacity(w.now), 1.0);
    assert_eq!(w.say(MENTOR, pin(key, false)), None);
    let let_go = w.now;
    assert_eq!(w.s.sheets().stroke(&id).and_then(|s| s.gone_at()), Some(let_go.saturating_add(Duration::from_secs(10))));
    w.later(11);
    assert_eq!(w.say(MENTOR, pin(key, true)), Some(Fault::NoSuchStroke), "what is gone stays gone");
}

#[test]
fn an12_a_joiner_sees_what_a_chain_of_pins_kept() {
    let mut w = World::new();
    w.stroke(MENTOR, |s| s.fades = true);
    let key = w.last_key(MENTOR);
    for (wait, pinned) in [(5, true), (100, false), (5, true), (100, false)] {
        w.later(wait);
        assert_eq!(w.say(MENTOR, pin(key, pinned)), None);
    }
    w.s.handle_durable(Order(u64::MAX));
    let mut joiner = Sheets::default();
    joiner.handle_snapshot(&w.s.compacted(), w.s.durable());
    assert!(joiner.has_stroke(&StrokeId::from(&key)));
    assert_eq!(joiner.state_hash(), w.s.sheets().state_hash());
}

#[test]
fn an18_each_tool_has_its_points_and_nothing_of_another() {
    let reference = Some(wire::Reference { x1: 0, y1: 0, x2: 200, y2: 0, length_um: 2_000 });
    let still = |s: &mut wire::StrokeCommit, surface: Surface, id: &str| {
        if let Some(f) = &mut s.frame {
            f.surface = surface as i32;
            f.still = id.into();
        }
    };
    type Change = Box<dyn Fn(&mut wire::StrokeCommit)>;
    let tool = |tool: Tool, n: usize| -> Change { Box::new(move |s| shape(s, tool, n)) };
    let and = |first: Change, then: Change| -> Change {
        Box::new(move |s| {
            first(s);
            then(s)
        })
    };
    let span = |first, capture| wire::FrameSpan { first, capture };
    let cases: Vec<(&str, Change, Option<Fault>)> = vec![
        ("a pen's dot", tool(Tool::Pen, 1), None),
        ("an arrow", tool(Tool::Arrow, 2), None),
        ("an arrow of three", tool(Tool::Arrow, 3), Some(Fault::ToolPoints)),
        ("an ellipse of one", tool(Tool::Ellipse, 1), Some(Fault::ToolPoints)),
        ("a pin", tool(Tool::Pin, 1), None),
        ("a pin of two", tool(Tool::Pin, 2), Some(Fault::ToolPoints)),
        ("no tool", tool(Tool::Unspecified, 2), Some(Fault::Tool)),
        ("tool 77", Box::new(|s| s.tool = 77), Some(Fault::Tool)),
        ("a text", and(tool(Tool::Text, 1), Box::new(|s| s.text = "ここ".into())), None),
        ("a text without words", tool(Tool::Text, 1), Some(Fault::Text)),
        ("a text turned round", and(tool(Tool::Text, 1), Box::new(|s| s.text = "ab\u{202E}c".into())), Some(Fault::Text)),
        ("a pen that says something", Box::new(|s| s.text = "x".into()), Some(Fault::Text)),
        ("a measurement", and(tool(Tool::Measure, 2), Box::new(move |s| s.reference = reference)), None),
        ("one without a reference", tool(Tool::Measure, 2), Some(Fault::Reference)),
        ("a pen with a reference", Box::new(move |s| s.reference = reference), Some(Fault::Reference)),
        (
            "a reference of no length",
            and(tool(Tool::Measure, 2), Box::new(|s| s.reference = Some(Default::default()))),
            Some(Fault::Reference),
        ),
        ("spans", Box::new(move |s| s.spans = vec![span(0, 5), span(1, 6)]), None),
        ("spans that go back", Box::new(move |s| s.spans = vec![span(1, 5), span(0, 6)]), Some(Fault::Spans)),
        ("spans beyond the points", Box::new(move |s| s.spans = vec![span(2, 5)]), Some(Fault::Spans)),
        (
            "spans on a frozen frame",
            Box::new(move |s| {
                still(s, Surface::Frozen, "");
                s.spans = vec![span(0, 5)]
            }),
            Some(Fault::Spans),
        ),
        (
            "too many spans",
            Box::new(move |s| {
                shape(s, Tool::Pen, 100);
                s.spans = (0..65).map(|i| span(i, 5)).collect()
            }),
            Some(Fault::Spans),
        ),
        ("a still", Box::new(move |s| still(s, Surface::Still, "s-1")), None),
        ("a still without a name", Box::new(move |s| still(s, Surface::Still, "")), Some(Fault::Surface)),
        ("a still that is a path", Box::new(move |s| still(s, Surface::Still, "../s")), Some(Fault::Surface)),
        ("a live picture with a still", Box::new(move |s| still(s, Surface::Live, "s-1")), Some(Fault::Surface)),
        (
            "surface 9",
            Box::new(|s| {
                if let Some(f) = &mut s.frame {
                    f.surface = 9
                }
            }),
            Some(Fault::Surface),
        ),
    ];
    for (name, change, expected) in cases {
        let mut w = World::new();
        assert_eq!(w.stroke(MENTOR, change), expected, "{name}");
    }
}

#[test]
fn an20_the_engine_moves_a_stroke_drawn_over_a_moving_picture_once() {
    let mut w = World::new();
    w.stroke(MENTOR, |s| s.spans = vec![wire::FrameSpan { first: 1, capture: 6 }]);
    let key = w.last_key(MENTOR);
    let rebase =
        |first, tx| wire::Rebase { stroke: Some(key), spans: vec![wire::Similarity { first, a: 1.0, b: 0.0, tx, ty: 0.0 }] };
    assert_eq!(w.s.handle_rebase(wire::Rebase { stroke: None, ..rebase(1, 5.0) }, w.now), None);
    assert_eq!(w.s.handle_rebase(rebase(1, f32::NAN), w.now), None);
    let ordered = w.s.handle_rebase(rebase(1, 5.0), w.now).expect("taken");
    assert_eq!(ordered.op.map(|op| (op.author, op.epoch, op.seq)), Some((0, 0, 1)));
    assert_eq!(w.s.handle_rebase(rebase(1, 9.0), w.now), None, "said already");
    let shown = w.s.sheets().stroke(&StrokeId::from(&key)).expect("shown");
    let original = points::decode(shown.stroke.points.as_ref().expect("points")).expect("sound");
    let drawn = shown.points();
    assert_eq!((drawn[0], drawn[1].x), (original[0], original[1].x + 5), "the log keeps what was drawn, too");
}

#[test]
fn an20_nobody_but_the_engine_moves_a_stroke() {
    let mut w = World::new();
    w.stroke(MENTOR, |s| s.spans = vec![wire::FrameSpan { first: 1, capture: 6 }]);
    let key = w.last_key(MENTOR);
    let spans = vec![wire::Similarity { first: 0, a: 1.0, b: 0.0, tx: 900.0, ty: 0.0 }];
    let before = w.s.sheets().stroke(&StrokeId::from(&key)).map(|s| s.points());
    for who in [MENTOR, DESK, ROOM, OBSERVER] {
        assert_eq!(w.say(who, Body::Rebase(wire::Rebase { stroke: Some(key), spans: spans.clone() })), Some(Fault::EngineOnly));
    }
    assert_eq!(w.s.sheets().stroke(&StrokeId::from(&key)).map(|s| s.points()), before);
    w.stroke(MENTOR, |_| {});
    let still = wire::Rebase { stroke: Some(w.last_key(MENTOR)), spans };
    assert_eq!(w.s.handle_rebase(still, w.now), None, "not drawn over a moving picture");
}

const MENTOR: InkRights = InkRights { author: Author(1), may_draw: true, is_room: false };
const ROOM: InkRights = InkRights { author: Author(2), may_draw: true, is_room: true };
const DESK: InkRights = InkRights { author: Author(3), may_draw: true, is_room: false };
const OBSERVER: InkRights = InkRights { author: Author(4), may_draw: false, is_room: false };

fn drawers() -> Drawers {
    Drawers { lead: Some(MENTOR.author), people: [1, 2, 3].map(Author).into() }
}

/// A sequencer and the next number of each person's page; pages are named like their people.
struct World {
    s: Sequencer,
    seq: [u32; 5],
    now: CaptureTime,
}

impl World {
    fn new() -> Self {
        let now = CaptureTime::from_unix(Duration::from_secs(1_790_000_000));
        World { s: Sequencer::new(vec![], drawers()), seq: [0; 5], now }
    }

    fn later(&mut self, seconds: u64) {
        self.now = self.now.saturating_add(Duration::from_secs(seconds));
    }

    fn say(&mut self, who: InkRights, body: Body) -> Option<Fault> {
        let author = who.author.0;
        self.seq[author as usize] += 1;
        let op = wire::Op { author, epoch: author, seq: self.seq[author as usize], at: self.now.0, body: Some(body) };
        match self.s.handle_op(who, Epoch(author), op, |_| Some(true), self.now) {
            Verdict::Taken(_, fault) => fault,
            other => panic!("{other:?}"),
        }
    }

    fn draw(&mut self, who: InkRights) -> Option<Fault> {
        self.stroke(who, |_| {})
    }

    fn stroke(&mut self, who: InkRights, change: impl Fn(&mut wire::StrokeCommit)) -> Option<Fault> {
        let number = self.seq[who.author.0 as usize] + 1;
        let frame = wire::FrameRef { feed: "field".into(), capture: 5, program: "program".into(), ..Default::default() };
        let mut commit = wire::StrokeCommit {
            key: Some(wire::StrokeKey { author: who.author.0, epoch: who.author.0, number }),
            width: 34,
            frame: Some(frame),
            began: self.now.0,
            ..Default::default()
        };
        shape(&mut commit, Tool::Pen, 2);
        change(&mut commit);
        self.say(who, Body::Stroke(commit))
    }

    fn last_key(&self, who: InkRights) -> wire::StrokeKey {
        let author = who.author.0;
        wire::StrokeKey { author, epoch: author, number: self.seq[author as usize] }
    }
}

fn shape(s: &mut wire::StrokeCommit, tool: Tool, n: usize) {
    s.tool = tool as i32;
    let points: Vec<Point> = (0..n as i32).map(|i| Point { x: 100 + i * 40, y: 90 - i, pressure: 255 }).collect();
    s.points = Some(points::encode(&points));
}

fn grant(to: InkRights, may_draw: bool) -> Body {
    Body::Grant(wire::Grant { author: to.author.0, may_draw })
}

fn lead(author: Author) -> Body {
    Body::Lead(wire::Lead { author: author.0 })
}

fn pin(stroke: wire::StrokeKey, pinned: bool) -> Body {
    Body::Pin(wire::Pin { stroke: Some(stroke), pinned })
}
