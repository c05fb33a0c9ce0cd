//! Small things to build ink from.

use std::time::Duration;

use annotation::baton::Drawers;
use annotation::id::{Author, Epoch};
use annotation::points::{self, Point};
use annotation::time::CaptureTime;
use annotation::wire::{self, InkPacket, OrderedOp, op::Body};
use link::id::CaseId;
use prost::Message;
use signaling::ink_room::{InkEffect, InkRights, InkRoom};

pub(crate) const ROOM: InkRights = InkRights { author: Author(1), may_draw: true, is_room: true };
pub(crate) const MENTOR: InkRights = InkRights { author: Author(2), may_draw: true, is_room: false };
pub(crate) const DESK: InkRights = InkRights { author: Author(3), may_draw: true, is_room: false };
pub(crate) const OBSERVER: InkRights = InkRights { author: Author(4), may_draw: false, is_room: false };

pub(crate) fn t(ms: u64) -> CaptureTime {
    CaptureTime::from_unix(Duration::from_millis(1_790_000_000_000 + ms))
}

pub(crate) fn case(id: &str) -> CaseId {
    CaseId::parse(id).expect("an id")
}

pub(crate) fn drawers() -> Drawers {
    Drawers { lead: Some(MENTOR.author), people: [ROOM, MENTOR, DESK].map(|r| r.author).into() }
}

pub(crate) fn ink_room(id: &str, stored: Vec<OrderedOp>) -> InkRoom {
    InkRoom::new(case(id), stored, drawers())
}

/// With one page of each person, named like its author.
pub(crate) fn peopled() -> InkRoom {
    let mut room = ink_room("demo", vec![]);
    for rights in [ROOM, MENTOR, DESK, OBSERVER] {
        room.handle_join(page_of(rights), rights, t(0));
    }
    drain(&mut room);
    room
}

pub(crate) fn page_of(rights: InkRights) -> Epoch {
    Epoch(rights.author.0)
}

pub(crate) fn drain(room: &mut InkRoom) -> Vec<InkEffect> {
    std::iter::from_fn(|| room.poll_effect()).collect()
}

/// Stored ops count as on disk at once.
pub(crate) fn settle(room: &mut InkRoom, now: CaptureTime) -> Vec<InkEffect> {
    let mut all = Vec::new();
    loop {
        let effects = drain(room);
        if effects.is_empty() {
            return all;
        }
        for effect in &effects {
            if let InkEffect::Store(ops) = effect {
                room.handle_stored(annotation::id::Order(ops.last().map_or(0, |o| o.order)), now);
            }
        }
        all.extend(effects);
    }
}

/// Codes by op; each is said again with its void.
pub(crate) fn refusals(effects: &[InkEffect]) -> Vec<String> {
    let said = packets(effects).into_iter().flat_map(|(_, p)| p.refused).map(|r| ((r.author, r.seq), r.code));
    said.collect::<std::collections::BTreeMap<_, _>>().into_values().collect()
}

pub(crate) fn packets(effects: &[InkEffect]) -> Vec<(Epoch, InkPacket)> {
    let packet = |effect: &InkEffect| match effect {
        InkEffect::Send { page, packet } => Some((*page, InkPacket::decode(packet.clone()).expect("ours"))),
        _ => None,
    };
    effects.iter().filter_map(packet).collect()
}

pub(crate) fn packet(ops: Vec<wire::Op>) -> Vec<u8> {
    InkPacket { version: 1, ops, case_id: "demo".into(), ..Default::default() }.encode_to_vec()
}

pub(crate) fn live(strokes: Vec<wire::LiveStroke>) -> Vec<u8> {
    InkPacket { version: 1, live: strokes, case_id: "demo".into(), ..Default::default() }.encode_to_vec()
}

pub(crate) fn op(who: InkRights, seq: u32, now: CaptureTime, body: Body) -> wire::Op {
    wire::Op { author: who.author.0, epoch: page_of(who).0, seq, at: now.0, body: Some(body) }
}

pub(crate) fn key(who: InkRights, number: u32) -> wire::StrokeKey {
    wire::StrokeKey { author: who.author.0, epoch: page_of(who).0, number }
}

pub(crate) fn frame(feed: &str, capture: CaptureTime) -> wire::FrameRef {
    wire::FrameRef {
        feed: feed.into(),
        capture: capture.0,
        program: "program".into(),
        program_rtp_ts: capture.rtp_90khz(),
        layout_rev: 1,
        ..Default::default()
    }
}

pub(crate) fn path(n: i32) -> Vec<Point> {
    (0..n).map(|i| Point { x: 1_000 + i * 20, y: 900 - i * 3, pressure: 255 }).collect()
}

pub(crate) fn commit(who: InkRights, number: u32, began: CaptureTime) -> wire::StrokeCommit {
    wire::StrokeCommit {
        key: Some(key(who, number)),
        tool: wire::Tool::Pen as i32,
        width: 34,
        frame: Some(frame("field", began)),
        began: began.0,
        points: Some(points::encode(&path(12))),
        ..Default::default()
    }
}

/// A stroke numbered like its op.
pub(crate) fn stroke(who: InkRights, seq: u32, began: CaptureTime) -> wire::Op {
    op(who, seq, began, Body::Stroke(commit(who, seq, began)))
}

pub(crate) fn live_stroke(who: InkRights, number: u32, first: u32, n: i32, began: CaptureTime) -> wire::LiveStroke {
    wire::LiveStroke {
        key: Some(key(who, number)),
        tool: wire::Tool::Pen as i32,
        width: 34,
        frame: Some(frame("field", began)),
        began: began.0,
        first,
        points: Some(points::encode(&path(first as i32 + n)[first as usize..])),
        ..Default::default()
    }
}

pub(crate) fn grant(to: InkRights, may_draw: bool) -> Body {
    Body::Grant(wire::Grant { author: to.author.0, may_draw })
}
