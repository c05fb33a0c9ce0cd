//! Packets of published feeds for whoever composes them.

use std::time::Instant;

use annotation::id::FeedId;
use bytes::Bytes;
use link::id::CaseId;

use super::Engine;
use crate::api::Moment;
use crate::route::rewrite::SeqRewrite;

/// One listener of one published feed.
#[derive(Debug)]
#[allow(dead_code)] // Read when publishers are let in.
pub(super) struct Tap {
    ssrc: u32,
    seq: SeqRewrite,
}

/// A packet for the tap of a feed: whole, header first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tapped {
    pub case: CaseId,
    pub feed: FeedId,
    pub packet: Bytes,
}

impl Engine {
    /// From now on packets of this published feed come out of `poll_tapped` with this SSRC; `None`: no more.
    pub fn tap(&mut self, _now: Instant, case: &CaseId, feed: &FeedId, ssrc: Option<u32>) {
        let key = (case.clone(), feed.clone());
        match ssrc {
            Some(ssrc) => {
                self.taps.insert(key, Tap { ssrc, seq: SeqRewrite::default() });
            }
            None => {
                self.taps.remove(&key);
            }
        }
    }

    /// What time it is in the cases, for the times of published feeds.
    pub fn set_timeline(&mut self, now: Moment) {
        self.timeline = Some(now);
    }

    pub fn poll_tapped(&mut self) -> Option<Tapped> {
        self.tapped.pop_front()
    }
}
