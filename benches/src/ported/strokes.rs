//! What a page without a browser draws.

use std::time::{SystemTime, UNIX_EPOCH};

use annotation::time::CaptureTime;
use annotation::wire::{ClearAll, FrameRef, InkPacket, Op, Points, StrokeCommit, StrokeKey, Tool, op};

use crate::talker::Talker;

fn now() -> u64 {
    CaptureTime::from_unix(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()).0
}

/// Ops of this page from `first` on: numbers that it has not used.
pub fn packet(page: &Talker, first: u32, bodies: impl IntoIterator<Item = op::Body>) -> InkPacket {
    let (author, epoch, at) = (page.welcome.author, page.welcome.epoch, now());
    let ops = (first..).zip(bodies).map(|(seq, body)| Op { author, epoch, seq, at, body: Some(body) }).collect();
    let case_id = page.welcome.case_info.as_ref().map(|case| case.case_id.clone()).unwrap_or_default();
    InkPacket { version: 1, ops, case_id, ..Default::default() }
}

/// A pen stroke of 201 points, some 400 bytes.
pub fn stroke(page: &Talker, number: u32) -> op::Body {
    let at = now();
    let points = Points {
        x: std::iter::once(4_000).chain((0..200).map(|i| i % 90 - 45)).collect(),
        y: std::iter::once(4_000).chain((0..200).map(|i| 40 - i % 80)).collect(),
        pressure: Default::default(),
    };
    let frame = FrameRef { feed: "program".into(), capture: at, program: "program".into(), ..Default::default() };
    op::Body::Stroke(StrokeCommit {
        key: Some(StrokeKey { author: page.welcome.author, epoch: page.welcome.epoch, number }),
        tool: Tool::Pen as i32,
        width: 34,
        frame: Some(frame),
        began: at,
        points: Some(points),
        ..Default::default()
    })
}

/// Everything that was drawn until now.
pub fn clear() -> op::Body {
    op::Body::ClearAll(ClearAll { up_to: now() })
}
