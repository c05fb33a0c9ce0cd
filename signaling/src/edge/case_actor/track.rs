//! Between the engine's tracker and the pages: which ink is followed, where it lies, the frames it is pinned to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use annotation::id::{Epoch, FeedId};
use annotation::rebase::Similarity;
use annotation::time::CaptureTime;
use annotation::wire::{AnchorXform, TrackState, XformFrame};
use bytes::Bytes;
use link::wire::{Anchor, StillPiece, StillWanted};
use prost::Message;
use sfu::Channel;
use tokio::sync::oneshot;
use tracing::{debug, warn};

use super::Actor;
use crate::authorize::{Action, Phase, authorize};
use crate::claims::{Claims, TokenId};
use crate::edge::store::Command;
use crate::ink_anchors::ANCHORS_MAX;
use crate::stills::{FrameName, Still, Stills};
use crate::texts::Code;
use crate::wire::{self, Eph, server_message};

/// Each transform travels in this many packets, because `eph` does not retransmit.
const REPEATS: usize = 3;
/// What the tracker said within a second, for the log: 60 frames/s x 4 feeds x 8 anchors x ~45 bytes = 86 kB. Policy: drop_newest.
const LOG_BYTES_MAX: usize = 256 * 1024;
/// The same of one case, while this server runs: eight hours of 16 anchors on one feed of 30 frames/s. Policy: drop_newest.
const LOG_CASE_BYTES_MAX: usize = 768 << 20;
/// Anchors that the engine's queue did not take. Policy: drop_oldest.
const WAITING_MAX: usize = 256;
/// How long a frame that was asked for may take to come.
const STILL_WITHIN: Duration = Duration::from_secs(2);

/// Of one link at once.
const WAITERS_MAX: usize = 4;

type Waiter = oneshot::Sender<Result<Still, Code>>;

/// A pinned frame, as a page may name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StillName {
    Kept(String),
    /// From the engine, where it is not kept yet.
    Frame(FrameName),
}

#[derive(Debug, Default)]
pub(super) struct Track {
    xforms: BTreeMap<FeedId, VecDeque<XformFrame>>,
    log: Vec<u8>,
    /// Bytes given to the disk so far.
    logged: usize,
    log_dropped: u64,
    waiting: VecDeque<Anchor>,
    stills: Stills<(TokenId, Waiter)>,
}

impl Track {
    pub(super) fn handle_engine_down(&mut self) {
        self.xforms.clear();
        self.waiting.clear();
        self.stills.handle_engine_down();
    }
}

impl Actor {
    /// In order; a new engine is told everything anew, so without one nothing waits.
    pub(super) fn tell_tracker(&mut self, anchor: Anchor) {
        if !self.case.engine_up() {
            return;
        }
        self.track.waiting.push_back(anchor);
        if self.track.waiting.len() > WAITING_MAX {
            self.track.waiting.pop_front();
        }
        self.flush_anchors();
    }

    fn flush_anchors(&mut self) {
        while let Some(anchor) = self.track.waiting.front() {
            if !self.around.link.anchor(self.case.id(), anchor.clone()) {
                return;
            }
            self.track.waiting.pop_front();
        }
    }

    /// To every page that sees this feed: on `eph` with the two before it, else on the socket; and to the log.
    pub(super) fn handle_xform(&mut self, mut frame: XformFrame) {
        let Some(feed) = FeedId::parse(&frame.feed).ok().filter(|feed| self.knows(feed)) else {
            debug!(case = %self.case.id(), "a transform of no known feed");
            return;
        };
        frame.anchors.retain(is_sound);
        frame.anchors.truncate(ANCHORS_MAX);
        let recent = self.track.xforms.entry(feed.clone()).or_default();
        // Nothing is followed and nothing was: there is nothing to say.
        if frame.anchors.is_empty() && recent.iter().all(|f| f.anchors.is_empty()) {
            return;
        }
        if recent.len() == REPEATS {
            recent.pop_front();
        }
        recent.push_back(frame.clone());
        let packet = Eph { version: crate::SIGNAL_VERSION, xforms: recent.iter().cloned().collect(), ..Default::default() };
        let packet = Bytes::from(packet.encode_to_vec());
        let is_full = self.track.logged + self.track.log.len() >= LOG_CASE_BYTES_MAX;
        if !is_full && self.track.log.len() + frame.encoded_len() < LOG_BYTES_MAX {
            self.track.log.extend(frame.encode_length_delimited_to_vec());
        } else {
            self.track.log_dropped += 1;
        }
        let composed = self.is_composed(&feed);
        let now = self.now();
        for page in self.pages.values().filter(|page| page.sees(&feed, composed)) {
            match page.peer {
                Some(peer) if page.eph_open => {
                    let _ = self.around.sfu.send_data(peer, Channel::Eph, packet.clone());
                    if page.doubts_channels(now) {
                        page.mailbox.send(server_message::Body::Xform(frame.clone()));
                    }
                }
                Some(_) if page.media_up && page.away_since.is_none() => {
                    page.mailbox.send(server_message::Body::Xform(frame.clone()));
                }
                _ => {}
            }
        }
    }

    /// Whether the program shows this feed now.
    fn is_composed(&self, feed: &FeedId) -> bool {
        let newest = self.frames.get(&FeedId::program()).and_then(VecDeque::back);
        newest.is_some_and(|index| index.entries.iter().any(|entry| entry.feed == feed.as_str()))
    }

    /// What is done at each tick.
    pub(super) fn handle_track_tick(&mut self, whole_second: bool) {
        self.flush_anchors();
        self.mend_display();
        let now = self.now();
        for (_, waiter) in self.track.stills.handle_timeout(now) {
            let _ = waiter.send(Err(Code::StillUnknown));
        }
        if whole_second && !self.track.log.is_empty() {
            let bytes = std::mem::take(&mut self.track.log);
            self.track.logged += bytes.len();
            let command = Command::Xforms { case: self.case.id().clone(), at: now, bytes };
            // Past the backlog on purpose: ink never waits for it.
            if !self.backlog.is_empty() || self.around.store.try_send(command).is_err() {
                self.track.log_dropped += 1;
                warn!(case = %self.case.id(), dropped = self.track.log_dropped, "a second of transforms was not logged");
            }
        }
    }

    pub(super) fn handle_still_piece(&mut self, piece: StillPiece) {
        if *self.phase.borrow() == Phase::Ended {
            return;
        }
        let sheets = self.ink.sheets();
        let is_needed = |still: &Still| {
            sheets
                .strokes()
                .filter_map(|(_, s)| s.frame.as_ref())
                .any(|frame| frame.still == still.id || (frame.feed == still.feed.as_str() && frame.capture == still.capture.0))
        };
        if let Some((still, waiters)) = self.track.stills.handle_piece(piece, is_needed) {
            self.ink.handle_still(&still.id, &still.feed, still.capture);
            let covered = self.is_behind_curtain(&still.feed);
            for (_, waiter) in waiters {
                let _ = waiter.send(if covered { Err(Code::FeedCovered) } else { Ok(still.clone()) });
            }
        }
        if self.track.stills.take_runs_changed() {
            for epoch in self.case.epochs() {
                self.tell_stills(epoch);
            }
        }
    }

    /// The stills that can be drawn on, to one page: those of feeds that it may watch.
    pub(super) fn tell_stills(&self, epoch: Epoch) {
        let now = self.now();
        let may = |feed: &FeedId| self.case.may(epoch, &Action::Watch(feed.clone()), now).is_ok();
        if self.case.may(epoch, &Action::Attend, now).is_err() {
            return;
        }
        let info = |s: &Still| wire::StillInfo {
            still: s.id.clone(),
            feed: s.feed.to_string(),
            capture: s.capture.0,
            width: s.width,
            height: s.height,
            geometry: s.geometry,
        };
        let stills = self.track.stills.runs().into_iter().filter(|s| may(&s.feed)).map(info).collect();
        self.tell(epoch, server_message::Body::Stills(wire::Stills { stills }));
    }

    /// The case is over: no picture of it stays in memory.
    pub(super) fn forget_stills(&mut self) {
        self.track.stills.handle_end();
        self.track.xforms.clear();
    }

    /// A frame that was drawn on is asked for, if it is not kept; nobody waits for it.
    pub(super) fn keep_frame(&mut self, feed: FeedId, capture: CaptureTime) {
        let name = FrameName { feed, capture };
        if self.knows(&name.feed) && self.track.stills.of_frame(&name).is_none() {
            let wanted = StillWanted { feed: name.feed.to_string(), capture: capture.0 };
            let _ = self.around.link.want_still(self.case.id(), wanted);
        }
    }

    /// The curtain is drawn: whoever waits for a frame behind it is told so now.
    pub(super) fn drop_covered_waiters(&mut self) {
        if !self.case.curtain().drawn {
            return;
        }
        let feeds: BTreeSet<FeedId> =
            self.track.stills.wanted_feeds().filter(|feed| self.is_behind_curtain(feed)).cloned().collect();
        for (_, waiter) in self.track.stills.take_waiting(|feed| feeds.contains(feed)) {
            let _ = waiter.send(Err(Code::FeedCovered));
        }
    }

    pub(super) fn handle_still_wanted(&mut self, claims: &Claims, name: StillName, reply: Waiter) {
        let now = self.now();
        if let Err(code) = self.still_stands(claims.id) {
            let _ = reply.send(Err(code));
            return;
        }
        let may = |feed: &FeedId| {
            if self.is_behind_curtain(feed) {
                return Err(Code::FeedCovered);
            }
            authorize(claims, &Action::Attend, &self.case.facts(), now)
                .and_then(|()| authorize(claims, &Action::Watch(feed.clone()), &self.case.facts(), now))
                .map_err(|denied| denied.code())
        };
        match name {
            StillName::Kept(id) => {
                let still = self.track.stills.still(&id).ok_or(Code::StillUnknown);
                let _ = reply.send(still.and_then(|still| may(&still.feed).map(|()| still.clone())));
            }
            StillName::Frame(name) => {
                let allowed = if self.knows(&name.feed) { may(&name.feed) } else { Err(Code::FeedUnknown) };
                if let Err(code) = allowed {
                    let _ = reply.send(Err(code));
                    return;
                }
                if let Some(still) = self.track.stills.of_frame(&name) {
                    let _ = reply.send(Ok(still.clone()));
                    return;
                }
                let wanted = StillWanted { feed: name.feed.to_string(), capture: name.capture.0 };
                if self.track.stills.waiting(|(token, _)| *token == claims.id) >= WAITERS_MAX {
                    let _ = reply.send(Err(Code::ServerBusy));
                    return;
                }
                match self.track.stills.handle_wanted(name, now.saturating_add(STILL_WITHIN), (claims.id, reply)) {
                    Err((_, reply)) => drop(reply.send(Err(Code::ServerBusy))),
                    Ok(false) => {}
                    // Without an engine the wait runs out, and says so.
                    Ok(true) => drop(self.around.link.want_still(self.case.id(), wanted)),
                }
            }
        }
    }
}

/// What a tracker can have meant: a state, strokes, and where they lie unless they are lost.
fn is_sound(anchor: &AnchorXform) -> bool {
    let placed = || Similarity::checked(anchor.a, anchor.b, anchor.tx, anchor.ty).is_some();
    let state = match TrackState::try_from(anchor.state) {
        Ok(TrackState::Tracked | TrackState::Unsure) => placed(),
        Ok(TrackState::Lost) => true,
        Ok(TrackState::Unspecified) | Err(_) => false,
    };
    let still = anchor.still.is_empty() || annotation::check::is_still_id(&anchor.still);
    state && still && (1..=ANCHORS_MAX).contains(&anchor.strokes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use annotation::wire::StrokeKey;

    #[test]
    fn a_transform_that_no_tracker_can_mean_is_left_out() {
        let good =
            AnchorXform { strokes: vec![StrokeKey::default()], state: TrackState::Tracked as i32, a: 1.0, ..Default::default() };
        assert!(is_sound(&good));
        assert!(is_sound(&AnchorXform { state: TrackState::Lost as i32, a: f32::NAN, ..good.clone() }), "lost: it lies nowhere");
        for bad in [
            AnchorXform { strokes: vec![], ..good.clone() },
            AnchorXform { state: 0, ..good.clone() },
            AnchorXform { state: 9, ..good.clone() },
            AnchorXform { tx: f32::INFINITY, ..good.clone() },
            AnchorXform { still: "../x".into(), ..good.clone() },
        ] {
            assert!(!is_sound(&bad), "{bad:?}");
        }
    }
}
