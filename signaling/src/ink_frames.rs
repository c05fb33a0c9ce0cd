//! The frame indexes that went out, to check what ink names: was that frame shown, with that feed in it, captured then? (AN9)

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use annotation::id::FeedId;
use annotation::time::CaptureTime;
use annotation::wire::{FrameRef, FrameSpan, StrokeCommit, Surface};
use link::frame::FrameIndex;

/// Frame indexes kept of each picture to check what ops name: 30 s at 60 frames/s.
const FRAMES_KEPT: usize = 1_800;
/// Pictures (programs and single feeds) whose indexes are kept; of more, the earliest by name.
const PICTURES_MAX: usize = 40;
/// Stills whose frames are known. Policy: drop_oldest; ink on it is then taken as told.
const STILLS_MAX: usize = 256;
/// Frames of looping runs that are remembered as asked for.
const RUNS_MAX: usize = 64;
/// A frame cannot be from later than this ahead of the server's own time.
const FUTURE: Duration = Duration::from_millis(250);

/// The last frame indexes of one picture.
#[derive(Debug, Default)]
struct Ring {
    by_time: BTreeMap<u32, FrameIndex>,
    order: VecDeque<u32>,
}

#[derive(Debug, Default)]
pub(crate) struct FrameRings {
    rings: BTreeMap<String, Ring>,
    /// By id: feed and capture. The oldest first.
    stills: VecDeque<(String, String, u64)>,
    /// Frames of looping runs that were drawn on, lately. Policy: drop_oldest.
    runs: VecDeque<(String, u64)>,
}

impl FrameRings {
    pub(crate) fn handle_frame(&mut self, frame: &FrameIndex) {
        if !self.rings.contains_key(&frame.program) && self.rings.len() >= PICTURES_MAX {
            return;
        }
        let kept = self.rings.entry(frame.program.clone()).or_default();
        if kept.by_time.insert(frame.rtp_ts, frame.clone()).is_none() {
            kept.order.push_back(frame.rtp_ts);
        }
        if kept.order.len() > FRAMES_KEPT
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.by_time.remove(&oldest);
        }
    }

    /// A mark begins: a frame of a looping run is to be kept, once, since it goes with the next run. Which.
    pub(crate) fn handle_run(&mut self, frame: &FrameRef) -> Option<(FeedId, CaptureTime)> {
        let name = (frame.feed.clone(), frame.capture);
        if frame.surface != Surface::Run as i32 || self.runs.contains(&name) {
            return None;
        }
        if self.runs.len() == RUNS_MAX {
            self.runs.pop_front();
        }
        self.runs.push_back(name);
        Some((FeedId::parse(&frame.feed).ok()?, CaptureTime(frame.capture)))
    }

    pub(crate) fn handle_still(&mut self, still: &str, feed: &FeedId, capture: CaptureTime) {
        if self.stills.len() == STILLS_MAX {
            self.stills.pop_front();
        }
        self.stills.push_back((still.to_owned(), feed.to_string(), capture.0));
    }

    /// Whether all that a stroke names was shown; `None` where the entries have left the ring.
    pub(crate) fn fit(&self, stroke: &StrokeCommit, now: CaptureTime) -> Option<bool> {
        let frame = stroke.frame.as_ref()?;
        let future = now.saturating_add(FUTURE).0;
        if frame.capture > future || stroke.spans.iter().any(|s| s.capture > future) {
            return Some(false);
        }
        // A still is a picture of its own: no program showed it. One of before a restart may not be known yet.
        if frame.surface == Surface::Still as i32 {
            let known = self.stills.iter().rev().find(|(id, ..)| *id == frame.still);
            return known.map(|(_, feed, capture)| *feed == frame.feed && *capture == frame.capture);
        }
        match (self.frame_fits(frame), self.spans_fit(frame, &stroke.spans)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }
    }

    /// A single feed shown alone names itself as the program. What names a program or feed that the ring shows not to exist
    /// cannot have been seen.
    fn frame_fits(&self, frame: &FrameRef) -> Option<bool> {
        let Some(known) = self.rings.get(&frame.program) else {
            // Before the first index of a restarted server nothing is known; afterwards a stranger is a stranger.
            return if self.rings.is_empty() { None } else { Some(false) };
        };
        let Some(index) = known.by_time.get(&frame.program_rtp_ts) else {
            let newest = known.order.back().and_then(|ts| known.by_time.get(ts));
            let feed_exists = newest.is_some_and(|i| i.entries.iter().any(|e| e.feed == frame.feed));
            return if feed_exists { None } else { Some(false) };
        };
        Some(
            index.layout_rev == frame.layout_rev
                && index.entries.iter().any(|e| {
                    // A page that does not know geometry names none.
                    let same_shape = e.geometry == frame.geometry || e.geometry == 0 || frame.geometry == 0;
                    e.feed == frame.feed && e.capture == frame.capture && same_shape
                }),
        )
    }

    /// Frames that a stroke was drawn over: each must have been in the same program, as far as the ring reaches back.
    fn spans_fit(&self, frame: &FrameRef, spans: &[FrameSpan]) -> Option<bool> {
        if spans.is_empty() {
            return Some(true);
        }
        let known = self.rings.get(&frame.program)?;
        let captures: std::collections::BTreeSet<u64> = known
            .by_time
            .values()
            .flat_map(|index| &index.entries)
            .filter(|entry| entry.feed == frame.feed)
            .map(|entry| entry.capture)
            .collect();
        let reaches_back_to = *captures.first()?;
        if spans.iter().any(|s| s.capture >= reaches_back_to && !captures.contains(&s.capture)) {
            return Some(false);
        }
        spans.iter().all(|s| s.capture >= reaches_back_to).then_some(true)
    }
}
