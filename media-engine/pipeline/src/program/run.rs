//! The program loop: waits for the main feed, aligns, composes, tells the server which picture is where, encodes.
//!
//! While the main feed is dead a timer takes over at its period, so that the program goes on and shows the state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use annotation::id::FeedId;
use annotation::time::CaptureTime;
use link::frame::{FeedState, FrameEntry, FrameIndex, Rect};
use link::wire::{FeedHealth, Health, LayerHealth, to_server};

use super::align::{Aligner, Inset};
use super::compositor;
use super::layout::Place;
use crate::board::{Board, CapturedFrame, LinkUp, State};
use crate::clock::LocalClock;
use crate::encode::EncoderSettings;
use crate::encode::layer::LayerEncoder;
use crate::health;
use crate::output::link::{LayerSpec, LinkHandle};
use crate::picture::{Geometry, Picture, PicturePool};
use crate::timing::case_clock::CaseClock;
use crate::timing::stamps::StrictStamps;

const HEALTH_EVERY: Duration = Duration::from_secs(1);
const LAYOUT_REV: u32 = 1;

/// One feed of the program, in layout order; the first is the main feed.
#[derive(Debug, Clone)]
pub struct ProgramFeed {
    /// Index on the board.
    pub feed: usize,
    pub place: Place,
    pub period: Duration,
}

/// The program's own state. Runs on one thread.
#[derive(Debug)]
pub struct Program {
    feeds: Vec<ProgramFeed>,
    layers: Vec<LayerSpec>,
    settings: EncoderSettings,
    clock: LocalClock,
    case_clock: Arc<CaseClock>,
    board: Arc<Board>,
    link: LinkHandle,

    canvas: PicturePool,
    stamps: StrictStamps,
    aligner: Aligner,
    encoders: BTreeMap<usize, LayerEncoder>,
    link_id: Option<u64>,
    wanted: BTreeSet<usize>,
    ssrcs: Vec<u32>,
    /// The main frame that waits for its companions.
    pending: Option<CapturedFrame>,
    /// Capture of the last main frame composed, and when the last program frame was made, case timeline.
    last_main: Option<CaptureTime>,
    last_made: Option<CaptureTime>,
    /// Since when somebody watches on this link.
    began: Option<CaptureTime>,
    /// Last image of each feed, for when it is dead.
    held: Vec<Option<Arc<Picture>>>,
    states: Vec<FeedState>,
    next_health: CaptureTime,
    skipped: u64,
}

/// What to do next.
enum Step {
    Stop,
    Wishes { up: Option<LinkUp>, layers: BTreeSet<usize>, keyframes: BTreeSet<usize>, bitrates: BTreeMap<usize, u32> },
    Health,
    Compose(Vec<Shown>, CaptureTime),
}

/// What one rectangle is to show.
struct Shown {
    frame: Option<CapturedFrame>,
    state: FeedState,
}

impl Program {
    #[allow(clippy::too_many_arguments, reason = "built once, by the engine")]
    pub fn new(
        feeds: Vec<ProgramFeed>,
        layers: Vec<LayerSpec>,
        settings: EncoderSettings,
        align_bound: Duration,
        clock: LocalClock,
        case_clock: Arc<CaseClock>,
        board: Arc<Board>,
        link: LinkHandle,
    ) -> Self {
        Program {
            canvas: PicturePool::new(settings.size),
            stamps: StrictStamps::new(),
            aligner: Aligner::new(align_bound, feeds.len().saturating_sub(1)),
            encoders: BTreeMap::new(),
            link_id: None,
            wanted: BTreeSet::new(),
            ssrcs: Vec::new(),
            pending: None,
            last_main: None,
            last_made: None,
            began: None,
            held: vec![None; feeds.len()],
            states: vec![FeedState::Lost; feeds.len()],
            next_health: clock.now(),
            skipped: 0,
            feeds,
            layers,
            settings,
            clock,
            case_clock,
            board,
            link,
        }
    }

    /// Until the engine stops.
    pub fn run(mut self) {
        let board = self.board.clone();
        loop {
            let step = self.step(board.lock());
            match step {
                Step::Stop => return,
                Step::Wishes { up, layers, keyframes, bitrates } => self.handle_wishes(up, layers, keyframes, bitrates),
                Step::Health => self.report_health(),
                Step::Compose(shown, t) => self.compose(shown, t),
            }
        }
    }

    /// Waits until there is something to do.
    fn step(&mut self, mut state: MutexGuard<'_, State>) -> Step {
        let board = self.board.clone();
        loop {
            if state.stop {
                return Step::Stop;
            }
            let wishes = &mut state.wishes;
            if wishes.up.as_ref().map(|u| u.id) != self.link_id
                || wishes.layers != self.wanted
                || !wishes.keyframes.is_empty()
                || !wishes.bitrates.is_empty()
            {
                return Step::Wishes {
                    up: wishes.up.clone(),
                    layers: wishes.layers.clone(),
                    keyframes: std::mem::take(&mut wishes.keyframes),
                    bitrates: std::mem::take(&mut wishes.bitrates),
                };
            }
            let local = self.clock.now();
            if local >= self.next_health {
                return Step::Health;
            }
            let mut wait = self.next_health.since(local);
            if let Some((now, _)) = self.case_clock.stamp(local)
                && self.link_id.is_some()
                && !self.encoders.is_empty()
            {
                match self.due(&state, now) {
                    Ok(t) => return Step::Compose(self.shown(&state, t, now), t),
                    Err(Some(at)) => wait = wait.min(at.since(now)),
                    Err(None) => {}
                }
            }
            // Never zero: a deadline of this very nanosecond is looked at again a moment later.
            state = board.wait(state, wait.max(Duration::from_micros(50)));
        }
    }

    /// The time of the program frame to make now, or when to look again.
    fn due(&mut self, state: &State, now: CaptureTime) -> Result<CaptureTime, Option<CaptureTime>> {
        let Some(main) = self.feeds.first() else { return Err(None) };
        let newest = state.feeds[main.feed].newest();
        if self.pending.is_none() {
            self.pending = newest.filter(|f| self.last_main.is_none_or(|last| f.capture > last)).cloned();
        }
        if let Some(pending) = &self.pending {
            let t = pending.capture;
            let insets: Vec<Inset> = self
                .feeds
                .iter()
                .skip(1)
                .map(|f| {
                    let newest = state.feeds[f.feed].newest().map(|f| f.capture);
                    Inset { newest, period: f.period, state: health::state(newest, f.period, now) }
                })
                .collect();
            return match self.aligner.wait_until(t, &insets, now) {
                None => Ok(t),
                Some(at) => Err(Some(at)),
            };
        }
        // The main feed is silent: a timer takes over once it counts as late.
        let began = *self.began.get_or_insert(now);
        let late_at = newest.map_or(began, |f| f.capture).saturating_add(health::stale_after(main.period));
        let due = self.last_made.map_or(late_at, |made| late_at.max(made.saturating_add(main.period)));
        if due <= now { Ok(now) } else { Err(Some(due)) }
    }

    fn shown(&self, state: &State, t: CaptureTime, now: CaptureTime) -> Vec<Shown> {
        self.feeds
            .iter()
            .enumerate()
            .map(|(n, f)| {
                let slot = &state.feeds[f.feed];
                let newest = slot.newest().map(|f| f.capture);
                let frame = match &self.pending {
                    Some(pending) if n == 0 => Some(pending.clone()),
                    _ => slot.newest_at(t).cloned(),
                };
                // A feed whose first picture is younger than this frame has none in it yet.
                let state = if frame.is_some() { health::state(newest, f.period, now) } else { FeedState::Lost };
                Shown { frame, state }
            })
            .collect()
    }

    fn compose(&mut self, shown: Vec<Shown>, t: CaptureTime) {
        let timer = self.pending.take().is_none();
        if !timer {
            self.last_main = Some(t);
        }
        let local = self.clock.now();
        self.last_made = self.case_clock.stamp(local).map(|(now, _)| now);
        if !self.encoders.values().any(LayerEncoder::has_room) {
            self.skipped += 1;
            return;
        }
        for (n, s) in shown.iter().enumerate() {
            if let Some(frame) = &s.frame {
                self.held[n] = Some(frame.picture.clone());
            }
            if self.states[n] != s.state {
                let feed = &self.feeds[n].place.feed;
                tracing::info!(%feed, from = ?self.states[n], to = ?s.state, "feed state");
                self.states[n] = s.state;
            }
        }
        let (feeds, held) = (&self.feeds, &self.held);
        let canvas = self.canvas.draw(|canvas| {
            compositor::clear(canvas);
            for (n, s) in shown.iter().enumerate() {
                let rect = feeds[n].place.picture;
                if let Some(picture) = &held[n] {
                    compositor::blit(canvas, picture, rect);
                }
                if s.state == FeedState::Lost {
                    compositor::mark_dead(canvas, rect);
                }
            }
        });
        let capture = self.stamps.stamp(t);
        let Some((composed, _)) = self.case_clock.stamp(self.clock.now()) else { return };
        let index = self.frame_index(&shown, capture, composed);
        // Without its index a frame would be a picture of unknown age: then it is not sent.
        let Some(number) = self.link.send_control(to_server::Body::Frame(index)) else {
            self.skipped += 1;
            return;
        };
        for encoder in self.encoders.values_mut() {
            encoder.push(&canvas, capture, number, self.clock.now());
        }
    }

    fn frame_index(&self, shown: &[Shown], capture: CaptureTime, composed: CaptureTime) -> FrameIndex {
        let Geometry { width, height } = self.settings.size;
        let entries = self.feeds.iter().zip(shown).map(|(f, s)| {
            let r = f.place.picture;
            FrameEntry {
                rect: Some(Rect { x: r.x as u32, y: r.y as u32, w: r.w as u32, h: r.h as u32 }),
                feed: f.place.feed.as_str().to_owned(),
                capture: s.frame.as_ref().map_or(0, |f| f.capture.0),
                state: s.state.into(),
            }
        });
        FrameIndex {
            program: FeedId::program().as_str().to_owned(),
            rtp_ts: capture.rtp_90khz(),
            layout_rev: LAYOUT_REV,
            width: width as u32,
            height: height as u32,
            entries: entries.collect(),
            composed: composed.0,
        }
    }

    fn handle_wishes(
        &mut self,
        up: Option<LinkUp>,
        layers: BTreeSet<usize>,
        keyframes: BTreeSet<usize>,
        bitrates: BTreeMap<usize, u32>,
    ) {
        let id = up.as_ref().map(|u| u.id);
        if id != self.link_id {
            // Another link has other SSRCs and perhaps another timeline.
            self.encoders.clear();
            self.link_id = id;
            self.ssrcs = up.map(|u| u.ssrcs).unwrap_or_default();
            self.pending = None;
            self.last_main = None;
            self.last_made = None;
            self.began = None;
        }
        if layers != self.wanted {
            tracing::info!(wanted = layers.len(), "layers wanted");
        }
        self.wanted = layers;
        self.encoders.retain(|layer, _| self.wanted.contains(layer));
        self.start_missing_encoders();
        for layer in keyframes {
            if let Some(encoder) = self.encoders.get_mut(&layer) {
                encoder.request_keyframe();
            }
        }
        for (layer, bps) in bitrates {
            if layer == 0 {
                self.settings.bitrate_bps = bps.clamp(100_000, 14_000_000);
            }
            if let Some(encoder) = self.encoders.get_mut(&layer) {
                encoder.set_bitrate(self.settings.bitrate_bps);
            }
        }
    }

    fn start_missing_encoders(&mut self) {
        if self.link_id.is_none() {
            return;
        }
        for &layer in &self.wanted {
            let Some(&ssrc) = self.ssrcs.get(layer) else { continue };
            if self.encoders.contains_key(&layer) {
                continue;
            }
            let link = self.link.clone();
            match LayerEncoder::start(&self.settings, ssrc, self.clock, move |frame| link.send_frame(layer, frame)) {
                Ok(encoder) => {
                    self.encoders.insert(layer, encoder);
                }
                Err(e) => tracing::error!(layer, error = %e, "the encoder does not start; trying again in a second"),
            }
        }
    }

    /// Once a second: what every feed and layer does; and an encoder that failed is started anew.
    #[allow(clippy::needless_update, reason = "the wire may grow by fields that this engine does not measure")]
    fn report_health(&mut self) {
        self.next_health = self.clock.now().saturating_add(HEALTH_EVERY);
        let failed: Vec<usize> = self
            .encoders
            .iter()
            .filter_map(|(&layer, encoder)| {
                let error = encoder.error()?;
                tracing::error!(layer, error, "the encoder failed; starting it anew");
                Some(layer)
            })
            .collect();
        failed.iter().for_each(|layer| drop(self.encoders.remove(layer)));
        self.start_missing_encoders();
        let Some((now, _)) = self.case_clock.stamp(self.clock.now()) else { return };
        if self.link_id.is_none() {
            return;
        }
        let feeds = self.board.read(|state| {
            let health = |f: &ProgramFeed| {
                let slot = &state.feeds[f.feed];
                let newest = slot.newest().map(|f| f.capture);
                let feed_state = health::state(newest, f.period, now);
                let problem = match feed_state {
                    FeedState::Lost if slot.problem.is_empty() => {
                        "No picture arrives; check the source and its cable.".to_owned()
                    }
                    _ => slot.problem.clone(),
                };
                FeedHealth {
                    feed: f.place.feed.as_str().to_owned(),
                    state: feed_state.into(),
                    capture: newest.map_or(0, |c| c.0),
                    frames: slot.total,
                    problem,
                    ..FeedHealth::default()
                }
            };
            self.feeds.iter().map(health).collect()
        });
        let layers = self.encoders.iter().map(|(&layer, encoder)| {
            let mut stats = self.link.take_stats(layer);
            let (p50, p99) = stats.capture_to_rtp.take_percentiles();
            LayerHealth {
                layer: self.layers.get(layer).map(LayerSpec::reference),
                frames: stats.frames,
                bytes: stats.bytes,
                dropped: stats.dropped + encoder.dropped() + self.skipped,
                encode_us_p50: stats.encode.take_percentiles().0,
                capture_to_rtp_us_p50: p50,
                capture_to_rtp_us_p99: p99,
            }
        });
        let uncertainty = self.case_clock.uncertainty_ns().unwrap_or(0) / 1000;
        let body =
            Health { feeds, layers: layers.collect(), clock_uncertainty_us: u32::try_from(uncertainty).unwrap_or(u32::MAX) };
        if self.link.send_control(to_server::Body::Health(body)).is_none() {
            tracing::debug!("health not sent: the server does not read");
        }
    }
}
