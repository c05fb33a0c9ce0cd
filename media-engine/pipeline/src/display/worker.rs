//! The thread that paints ink: hears the server's words and the tracker's, and makes tiles for the newest picture. It may fail or be slow; then it
//! is begun anew from a snapshot, and the pictures go on without it.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annotation::op::StrokeId;
use annotation::time::CaptureTime;
use annotation::wire::XformFrame;
use link::wire::{InkHeard, InkShown, to_server};

use super::insets::{Insets, Pinned};
use super::letters::Letters;
use super::paint::{self, Tile};
use super::view::{InkFault, InkView, Look, Surfaced};
use super::words::{Language, NoInk, Words};
use crate::clock::LocalClock;
use crate::output::link::LinkHandle;
use crate::timing::case_clock::CaseClock;
use crate::tracker::host::StillJob;

/// Words that wait. Policy: when it is full all are let go of, and the ink is begun anew.
const WORDS_MAX: usize = 1_024;
/// The tracker's word on the very frame is awaited so long; then the frame before it tells.
const XFORM_WAIT: Duration = Duration::from_millis(12);
const JOIN_EVERY: Duration = Duration::from_secs(1);
/// After a failure; doubled with each that follows, up to the second.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(30);
/// Tiles kept at once, in pictures of 4K some 40 MB. Marks beyond it are painted anew each time.
const TILES_KEPT: usize = 128;

/// Runs before each picture is painted: a rehearsal lets the ink's path fail so.
pub type Trial = Arc<dyn Fn() + Send + Sync>;

#[derive(Debug)]
pub enum Word {
    Shown(Box<InkShown>),
    Xform(XformFrame),
    /// A frame that was drawn on.
    Pinned(StillJob),
    LinkUp,
    LinkLost,
}

/// What to paint for. `now`: case timeline.
#[derive(Debug, Clone)]
pub struct Job {
    pub number: u64,
    pub pictures: Vec<Surfaced>,
    /// Of the composed picture, px.
    pub wide: usize,
    pub now: CaptureTime,
}

#[derive(Debug, Clone)]
pub struct Painted {
    pub number: u64,
    pub tiles: Vec<Arc<Tile>>,
    pub none: Option<NoInk>,
}

#[derive(Debug, Default)]
struct Inbox {
    words: VecDeque<Word>,
    overflown: bool,
    job: Option<Job>,
    painted: Option<Painted>,
    stop: bool,
}

/// Where the ink's thread meets those who tell it and those who wait for it, never for long.
#[derive(Debug, Default)]
pub struct InkDesk {
    inbox: Mutex<Inbox>,
    changed: Condvar,
}

impl InkDesk {
    pub fn tell(&self, word: Word) {
        let mut inbox = self.lock();
        if inbox.words.len() >= WORDS_MAX {
            inbox.words.clear();
            inbox.overflown = true;
        }
        inbox.words.push_back(word);
        drop(inbox);
        self.changed.notify_all();
    }

    pub fn post(&self, job: Job) {
        self.lock().job = Some(job);
        self.changed.notify_all();
    }

    pub fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }

    /// Number of the newest picture that ink was painted for.
    pub fn painted(&self) -> Option<u64> {
        self.lock().painted.as_ref().map(|p| p.number)
    }

    /// The ink of this picture, if it is there in time.
    pub fn wait(&self, number: u64, at_most: Duration) -> Option<Painted> {
        let missing = |inbox: &mut Inbox| inbox.painted.as_ref().is_none_or(|p| p.number < number) && !inbox.stop;
        let (inbox, _) = self.changed.wait_timeout_while(self.lock(), at_most, missing).unwrap_or_else(PoisonError::into_inner);
        inbox.painted.clone().filter(|p| p.number == number)
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread needs.
pub struct Worker {
    pub desk: Arc<InkDesk>,
    pub clock: LocalClock,
    pub case_clock: Arc<CaseClock>,
    pub link: LinkHandle,
    pub language: Language,
    pub font: Option<PathBuf>,
    pub trial: Option<Trial>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("language", &self.language).field("font", &self.font).finish_non_exhaustive()
    }
}

/// One thing to do.
struct Turn {
    words: VecDeque<Word>,
    overflown: bool,
    job: Option<Job>,
}

/// A mark as it looked, and its tile.
type Kept = (Look, Arc<Tile>);

/// What the thread has between two turns.
struct Hand {
    letters: Letters,
    words: Words,
    view: InkView,
    tiles: BTreeMap<(StrokeId, usize, usize), Kept>,
    insets: Insets,
    /// The engine's own: they outlive the link.
    pinned: Pinned,
    linked: bool,
    /// It failed; not tried again before then.
    failed: Option<CaptureTime>,
    /// It failed, and no ink has been painted since.
    broken: bool,
    again_after: Duration,
    next_join: CaptureTime,
}

impl Worker {
    /// Until told to stop.
    pub fn run(self) {
        let mut hand = Hand {
            letters: Letters::new(self.font.as_deref()),
            words: Words::new(self.language),
            view: InkView::default(),
            tiles: BTreeMap::new(),
            insets: Insets::default(),
            pinned: Pinned::default(),
            linked: false,
            failed: None,
            broken: false,
            again_after: AGAIN_AFTER,
            next_join: self.clock.now(),
        };
        let mut waiting: Option<(Job, CaptureTime)> = None;
        while let Some(turn) = self.turn(waiting.as_ref().map(|(_, until)| *until)) {
            let local = self.clock.now();
            let now = self.case_clock.stamp(local).map(|(now, _)| now);
            if turn.overflown {
                tracing::warn!("ink comes faster than it is read; it is begun anew");
                hand.begin(local);
            }
            if let Some(job) = turn.job {
                waiting = Some((job, local.saturating_add(XFORM_WAIT)));
            }
            let done = catch_unwind(AssertUnwindSafe(|| self.work(&mut hand, turn.words, now, waiting.as_ref(), local)));
            match done {
                Ok(Ok(Some(painted))) => {
                    waiting = None;
                    self.desk.lock().painted = Some(painted);
                    self.desk.changed.notify_all();
                }
                Ok(Ok(None)) => {}
                Ok(Err(fault)) => self.fail(&mut hand, &fault.to_string(), local, &mut waiting),
                Err(_) => self.fail(&mut hand, "a panic", local, &mut waiting),
            }
            self.join(&mut hand);
        }
    }

    /// Waits until there is something to do; `None`: the engine stops.
    fn turn(&self, until: Option<CaptureTime>) -> Option<Turn> {
        let wait = until.map_or(JOIN_EVERY / 4, |until| until.since(self.clock.now())).max(Duration::from_micros(100));
        let idle = |inbox: &mut Inbox| !inbox.stop && inbox.words.is_empty() && inbox.job.is_none();
        let (mut inbox, _) =
            self.desk.changed.wait_timeout_while(self.desk.lock(), wait, idle).unwrap_or_else(PoisonError::into_inner);
        (!inbox.stop).then(|| Turn {
            words: std::mem::take(&mut inbox.words),
            overflown: std::mem::take(&mut inbox.overflown),
            job: inbox.job.take(),
        })
    }

    fn work(
        &self,
        hand: &mut Hand,
        words: VecDeque<Word>,
        now: Option<CaptureTime>,
        waiting: Option<&(Job, CaptureTime)>,
        local: CaptureTime,
    ) -> Result<Option<Painted>, InkFault> {
        for word in words {
            self.hear(hand, word, now.unwrap_or(CaptureTime::UNKNOWN), local)?;
        }
        let Some((job, until)) = waiting else { return Ok(None) };
        for covered in job.pictures.iter().filter(|p| p.is_hidden()) {
            hand.pinned.forget(&covered.feed);
        }
        let none = hand.none();
        if none.is_some() || hand.view.is_over() {
            hand.tiles.clear();
            hand.insets.clear();
            // Who points is seen also while what was drawn is not.
            let tiles = if none == Some(NoInk::Off) { hand.rings(job) } else { Vec::new() };
            return Ok(Some(Painted { number: job.number, tiles, none }));
        }
        if local < *until && job.pictures.iter().any(|p| hand.view.awaits(p)) {
            return Ok(None);
        }
        if let Some(trial) = &self.trial {
            trial();
        }
        let tiles = hand.paint(job);
        // It works: the next failure is a new one.
        (hand.broken, hand.again_after) = (false, AGAIN_AFTER);
        Ok(Some(Painted { number: job.number, tiles, none: None }))
    }

    fn hear(&self, hand: &mut Hand, word: Word, now: CaptureTime, local: CaptureTime) -> Result<(), InkFault> {
        match word {
            Word::LinkUp => {
                hand.linked = true;
                hand.begin(local);
            }
            Word::LinkLost => {
                hand.linked = false;
                hand.begin(local);
            }
            Word::Pinned(still) => hand.pinned.handle(&still),
            _ if hand.failed.is_some() => {}
            Word::Xform(frame) => hand.view.handle_xform(&frame),
            Word::Shown(shown) => {
                let shown = *shown;
                if shown.over {
                    hand.view.handle_over();
                    hand.pinned = Pinned::default();
                }
                if let Some(pointer) = shown.pointer {
                    hand.view.handle_pointer(pointer, now);
                }
                if let Some(authors) = shown.authors {
                    hand.view.handle_authors(authors);
                }
                if !shown.snapshot.is_empty() {
                    hand.view.handle_snapshot(&shown.snapshot, now)?;
                }
                if !shown.packet.is_empty()
                    && let Some(heard) = hand.view.handle_packet(&shown.packet, now)?
                {
                    // One that is not sent is no loss: the server says it again.
                    let _ = self.link.send_control(to_server::Body::Ink(heard));
                }
            }
        }
        Ok(())
    }

    fn fail(&self, hand: &mut Hand, why: &str, local: CaptureTime, waiting: &mut Option<(Job, CaptureTime)>) {
        tracing::error!(
            why,
            again_ms = hand.again_after.as_millis() as u64,
            "the display's ink failed; pictures go on without it"
        );
        hand.begin(local);
        hand.broken = true;
        hand.failed = Some(local.saturating_add(hand.again_after));
        hand.again_after = (hand.again_after * 2).min(AGAIN_AFTER_MAX);
        if let Some((job, _)) = waiting.take() {
            self.desk.lock().painted = Some(Painted { number: job.number, tiles: Vec::new(), none: Some(NoInk::Failed) });
            self.desk.changed.notify_all();
        }
    }

    /// Asks for the ink, until it is there.
    fn join(&self, hand: &mut Hand) {
        let local = self.clock.now();
        if hand.failed.is_some_and(|until| until > local) || !hand.linked {
            return;
        }
        if hand.failed.take().is_some() {
            hand.next_join = local;
        }
        if !hand.view.is_whole() && !hand.view.is_over() && hand.next_join <= local {
            hand.next_join = local.saturating_add(JOIN_EVERY);
            let _ = self.link.send_control(to_server::Body::Ink(InkHeard { join: true, ..InkHeard::default() }));
        }
    }
}

impl Hand {
    /// Nothing is known any more.
    fn begin(&mut self, local: CaptureTime) {
        self.view = InkView::default();
        self.tiles.clear();
        self.insets.clear();
        self.failed = None;
        self.next_join = local;
    }

    fn none(&self) -> Option<NoInk> {
        if self.failed.is_some() || (self.broken && self.linked && !self.view.is_whole()) {
            Some(NoInk::Failed)
        } else if self.view.is_over() {
            None
        } else if !self.linked || !self.view.is_whole() {
            Some(NoInk::NoServer)
        } else {
            self.view.is_off().then_some(NoInk::Off)
        }
    }

    /// Marks that look as before are not painted again.
    fn paint(&mut self, job: &Job) -> Vec<Arc<Tile>> {
        let mut before = std::mem::take(&mut self.tiles);
        let mut out = Vec::new();
        let (marks, lost) = self.view.scene(&job.pictures, job.now);
        for mark in marks {
            let key = (mark.id, mark.look.rect.x, mark.look.rect.y);
            let kept = before.remove(&key).filter(|(look, _)| *look == mark.look).map(|(_, tile)| tile);
            let tile = kept.or_else(|| paint::mark(&mark, job.wide, &self.letters, self.words).map(Arc::new));
            let Some(tile) = tile else { continue };
            out.push(tile.clone());
            if self.tiles.len() < TILES_KEPT {
                self.tiles.insert(key, (mark.look, tile));
            }
        }
        let (pictures, at) = (&job.pictures, (job.wide, job.now));
        out.extend(self.insets.paint(&lost, pictures, &self.pinned, at, &self.letters, self.words));
        out.extend(self.rings(job));
        out
    }

    fn rings(&self, job: &Job) -> Vec<Arc<Tile>> {
        let rings = self.view.rings(&job.pictures, job.now);
        rings.iter().filter_map(|ring| paint::ring(ring, job.wide, &self.letters, self.words)).map(Arc::new).collect()
    }
}
