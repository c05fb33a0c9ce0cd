//! The tracker's thread: takes new frames off the board, words off the link, and hands on what the host says. It reads what others have put there
//! and waits for nobody: frames it is too slow for are gone from the board and counted, composing and encoding never notice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use link::frame::FeedState;
use link::wire::{Anchor, StillWanted, to_server};

use super::host::{Host, Output, StillJob};
use crate::board::{Board, CapturedFrame};
use crate::clock::LocalClock;
use crate::display::worker::{InkDesk, Word as InkWord};
use crate::output::link::LinkHandle;
use crate::timing::case_clock::{CaseClock, Generation};

/// Words of the server that wait: strokes begun, committed and gone. Policy: drop_newest; ink not known of leaves the live picture by itself.
const WORDS_MAX: usize = 256;
/// The longest wait for a change: states that end with time are looked at so often.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Stills that wait for the encoder. Policy: drop_newest; words then stand for the ink.
pub const STILLS_MAX: usize = 8;
/// Of a feed's frames that wait, so many are looked at, the newest: whoever falls behind must not stay behind.
const WAITING_MAX: usize = 2;
/// Everything of the server's in this kind is drawn by us: there is nothing to draw on.
const NOT_DRAWN_ON: &str = "vital-signs";
const FLUOROSCOPY: &str = "fluoroscopy";

/// From the link.
#[derive(Debug)]
pub enum Word {
    Anchor(Anchor),
    StillWanted(StillWanted),
    /// The link ended, and with it what the server asked for.
    LinkLost,
}

/// Hands words to the tracker without ever waiting.
#[derive(Debug, Clone)]
pub struct Ear(SyncSender<Word>);

impl Ear {
    /// False when there was no room.
    pub fn tell(&self, word: Word) -> bool {
        self.0.try_send(word).is_ok()
    }
}

pub fn channel() -> (Ear, Receiver<Word>) {
    let (sender, receiver) = sync_channel(WORDS_MAX);
    (Ear(sender), receiver)
}

/// What the thread of the tracker needs.
#[derive(Debug)]
pub struct Runner {
    pub clock: LocalClock,
    pub case_clock: Arc<CaseClock>,
    pub board: Arc<Board>,
    pub link: LinkHandle,
    pub words: Receiver<Word>,
    pub stills: SyncSender<StillJob>,
    pub sent: Receiver<String>,
    /// The room's display, which draws what is followed.
    pub display: Option<Arc<InkDesk>>,
}

/// What one look at the board brought.
#[derive(Default)]
struct Look {
    generation: Generation,
    /// (index, frame), oldest first by feed.
    frames: Vec<(usize, CapturedFrame)>,
    /// Feeds that can be drawn on, and whether they are there.
    feeds: Vec<(usize, bool)>,
    /// Of those that show X-ray and have it off: the image held.
    held: Vec<(usize, CapturedFrame)>,
    /// Of those that play what was captured before: what they show.
    looped: Vec<(usize, CapturedFrame)>,
    /// The link there is.
    link: Option<u64>,
    dropped: u64,
}

impl Runner {
    /// Until the engine stops.
    pub fn run(self) {
        let mut host = Host::default();
        let mut totals = BTreeMap::new();
        let mut generation = Generation::default();
        let mut unknown = 0;
        let mut link = None;
        while !self.board.is_stopped() {
            let look = self.look(&mut host, &mut totals);
            if look.generation != generation {
                generation = look.generation;
                host.begin_generation();
            }
            self.board.lock().tracker.handle_skipped(look.dropped);
            host.end_feeds(|index| look.feeds.iter().any(|(feed, _)| *feed == index));
            self.sent.try_iter().for_each(|id| host.handle_still_sent(id));
            let mut waiting: BTreeMap<usize, usize> = BTreeMap::new();
            look.frames.iter().for_each(|(index, _)| *waiting.entry(*index).or_default() += 1);
            for (index, frame) in look.frames {
                let later = waiting.get_mut(&index).map_or(0, |n| {
                    *n -= 1;
                    *n
                });
                let Some(picture) = &frame.own else { continue };
                if later >= WAITING_MAX {
                    host.keep_frame(index, frame.capture, picture);
                    self.board.lock().tracker.handle_skipped(1);
                } else {
                    let began = self.clock.now();
                    let out = host.handle_frame(index, frame.capture, picture);
                    let took = self.clock.now().since(began);
                    self.hand_on(out);
                    self.board.lock().tracker.handle_frame(took, host.states(index));
                }
            }
            for (index, frame) in &look.held {
                if let Some(picture) = &frame.own {
                    self.hand_on(host.handle_held(*index, frame.capture, picture));
                }
            }
            for (index, frame) in &look.looped {
                if let Some(picture) = &frame.own {
                    host.handle_looped(*index, frame.origin(), picture);
                }
            }
            if look.link != link {
                link = look.link;
                if link.is_some() {
                    self.hand_on(host.handle_link_up());
                }
            }
            for word in self.words.try_iter() {
                let out = match word {
                    Word::Anchor(anchor) => host.handle_anchor(&anchor),
                    Word::StillWanted(wanted) => host.handle_still_wanted(&wanted).map(Output::Still).into_iter().collect(),
                    Word::LinkLost => {
                        host.forget_anchors();
                        Vec::new()
                    }
                };
                self.hand_on(out);
            }
            let Some((now, _)) = self.case_clock.stamp(self.clock.now()) else { continue };
            for (index, _) in look.feeds.iter().filter(|(_, there)| !there) {
                self.hand_on(host.handle_down(*index));
            }
            self.hand_on(host.handle_time(now));
            if host.unknown > unknown {
                tracing::debug!(anchors = host.unknown - unknown, "ink was named on feeds or frames that are not there");
                unknown = host.unknown;
            }
        }
    }

    /// Frames newer than those handled; waits for a change when there are none.
    fn look(&self, host: &mut Host, totals: &mut BTreeMap<usize, u64>) -> Look {
        let now = self.case_clock.stamp(self.clock.now()).map(|(now, _)| now);
        let mut state = self.board.lock();
        for turn in 0..2 {
            let link = state.wishes.up.as_ref().map(|up| up.id);
            let mut look = Look { generation: state.generation, link, ..Look::default() };
            for f in state.arrangement.all().filter(|f| f.kind != NOT_DRAWN_ON) {
                // A feed behind the curtain is let go of, with all that was kept of it.
                let Some(slot) = state.feeds.get(f.feed).filter(|slot| !slot.is_covered()) else { continue };
                host.begin_feed(f.feed, f.place.feed.clone(), f.kind == FLUOROSCOPY);
                // X-ray off holds its last image, and ink on it.
                let shown = now.map(|now| slot.state(f.period, now));
                let there = shown.is_none_or(|shown| matches!(shown, FeedState::Live | FeedState::XrayOff));
                look.feeds.push((f.feed, there));
                if shown == Some(FeedState::XrayOff) {
                    look.held.extend(slot.newest().filter(|n| n.origin.is_none()).map(|n| (f.feed, n.clone())));
                }
                look.looped.extend(slot.newest().filter(|n| n.origin.is_some()).map(|n| (f.feed, n.clone())));
                let known = host.newest(f.feed);
                let before = look.frames.len();
                look.frames.extend(
                    slot.frames
                        .iter()
                        .filter(|n| n.origin.is_none() && known.is_none_or(|k| n.capture > k))
                        .map(|n| (f.feed, n.clone())),
                );
                let taken = (look.frames.len() - before) as u64;
                let total = totals.insert(f.feed, slot.total).filter(|t| *t <= slot.total).unwrap_or(slot.total);
                look.dropped += (slot.total - total).saturating_sub(taken);
            }
            if turn == 1 || !look.frames.is_empty() || state.stop {
                return look;
            }
            state = self.board.wait(state, LOOK_EVERY);
        }
        Look::default()
    }

    fn hand_on(&self, out: impl IntoIterator<Item = Output>) {
        for output in out {
            let body = match output {
                Output::Xform(frame) => {
                    if let Some(display) = &self.display {
                        display.tell(InkWord::Xform(frame.clone()));
                    }
                    to_server::Body::Xform(frame)
                }
                Output::Rebased(rebased) => to_server::Body::Rebased(rebased),
                Output::Still(job) => {
                    if let Some(display) = &self.display {
                        display.tell(InkWord::Pinned(job.clone()));
                    }
                    if self.stills.try_send(job).is_err() {
                        tracing::warn!("stills are asked for faster than they are made");
                    }
                    continue;
                }
            };
            if self.link.send_control(body).is_none() {
                tracing::debug!("a transform was not sent: the server does not read");
            }
        }
    }
}
