//! Which layers there are, and their encoders, which run only while somebody watches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use annotation::id::FeedId;
use annotation::time::CaptureTime;
use link::id::LayerId;
use link::wire::LayerHealth;

use crate::clock::LocalClock;
use crate::encode::governor::Shed;
use crate::encode::layer::LayerEncoder;
use crate::encode::level::Level;
use crate::encode::{EncoderKind, EncoderSettings};
use crate::output::link::{LayerSpec, LinkHandle};
use crate::picture::{Geometry, Picture};
use crate::timing::pace::Period;

const BITRATE_BPS: std::ops::RangeInclusive<u32> = 100_000..=14_000_000;
/// A whole picture of this many pixels has the configured bitrate, a smaller one its share.
const FULL_PIXELS: u64 = 1280 * 720;

/// What a layer is encoded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerOf {
    Program,
    /// A feed alone, by its index on the board.
    Single(usize),
}

/// One layer that can be encoded.
#[derive(Debug, Clone)]
pub struct LayerPlan {
    pub spec: LayerSpec,
    pub of: LayerOf,
    settings: EncoderSettings,
    /// Size of the pictures it is given.
    pub input: Geometry,
    /// Takes each n-th picture.
    every: u64,
}

impl LayerPlan {
    /// Of the pictures it would take it takes each n-th.
    fn shed_every(&self, shed: Shed) -> u64 {
        let period = self.settings.period.duration();
        match self.of {
            LayerOf::Program => shed.program_every(period),
            LayerOf::Single(_) => shed.single_every(period),
        }
    }

    fn size_when(&self, shed: Shed) -> Geometry {
        let size = self.settings.size;
        let part = |n: usize| (n * 3 / 4) & !1;
        match self.of {
            LayerOf::Program if shed.is_smaller() => Geometry::new(part(size.width), part(size.height)).unwrap_or(size),
            _ => size,
        }
    }
}

/// The program at full, half and quarter size (the last at half rate), and each single feed at its own size. Half the size
/// for a line of 1 Mbit/s, a quarter for one of 0.3 Mbit/s, each with a voice beside it. `vp8`: the same at full and half size for
/// viewers without H.264.
/// `program`: size, cadence and bitrate of the full program. `first_ssrc`: proposed for the first layer, the others follow.
pub fn plan(
    program: EncoderSettings,
    level: Level,
    singles: &[(FeedId, Geometry, Period)],
    first_ssrc: u32,
    vp8: bool,
) -> Vec<LayerPlan> {
    let mut plans: Vec<LayerPlan> = Vec::new();
    let mut add =
        |feed: FeedId, layer: LayerId, of: LayerOf, input: Geometry, size: Geometry, period: Period, every: u64, bps: u32| {
            let spec = LayerSpec {
                feed,
                layer,
                width: size.width as u32,
                height: size.height as u32,
                bitrate_bps: bps,
                ssrc: first_ssrc.wrapping_add(plans.len() as u32),
            };
            let kind = if layer.is_vp8() { EncoderKind::Vp8 } else { program.kind };
            let settings = EncoderSettings { kind, size, period: slower(period, every), bitrate_bps: bps };
            plans.push(LayerPlan { spec, of, settings, input, every });
        };
    let bps = program.bitrate_bps;
    let smaller = |n: usize| Geometry::new((program.size.width / n) & !1, (program.size.height / n) & !1);
    add(FeedId::program(), LayerId::High, LayerOf::Program, program.size, program.size, program.period, 1, bps);
    if let Some(size) = smaller(2) {
        add(FeedId::program(), LayerId::Mid, LayerOf::Program, program.size, size, program.period, 1, (bps / 4).max(100_000));
    }
    if let Some(size) = smaller(4) {
        add(FeedId::program(), LayerId::Low, LayerOf::Program, program.size, size, program.period, 2, (bps / 25).max(100_000));
    }
    let single_bps = |size: Geometry| {
        let share = u64::from(bps) * (size.width * size.height) as u64 / FULL_PIXELS;
        u32::try_from(share).unwrap_or(bps).max(400_000)
    };
    for (index, (feed, size, period)) in singles.iter().enumerate() {
        let every = level.every(*size, *period);
        let bps = single_bps(*size);
        add(feed.clone(), LayerId::High, LayerOf::Single(index), *size, *size, *period, every, bps);
    }
    if vp8 {
        add(FeedId::program(), LayerId::HighVp8, LayerOf::Program, program.size, program.size, program.period, 1, bps);
        if let Some(size) = smaller(2) {
            add(
                FeedId::program(),
                LayerId::LowVp8,
                LayerOf::Program,
                program.size,
                size,
                program.period,
                1,
                (bps / 4).max(100_000),
            );
        }
        for (index, (feed, size, period)) in singles.iter().enumerate() {
            let every = level.every(*size, *period);
            let bps = single_bps(*size);
            add(feed.clone(), LayerId::HighVp8, LayerOf::Single(index), *size, *size, *period, every, bps);
        }
    }
    plans
}

fn slower(period: Period, every: u64) -> Period {
    let (frames, seconds) = period.rate();
    Period::from_rate(frames, seconds * every).unwrap_or(period)
}

#[derive(Debug)]
struct Running {
    encoder: LayerEncoder,
    offered: u64,
}

/// The encoders of one link. Runs on the program's thread.
#[derive(Debug)]
pub struct Layers {
    plans: Vec<LayerPlan>,
    bitrates: Vec<u32>,
    ssrcs: Vec<u32>,
    wanted: BTreeSet<usize>,
    running: BTreeMap<usize, Running>,
    shed: Shed,
    /// Pictures due at an encoder since the last look, and those of them that it had no room for.
    due: u64,
    without_room: u64,
    clock: LocalClock,
    link: LinkHandle,
}

impl Layers {
    pub fn new(plans: Vec<LayerPlan>, clock: LocalClock, link: LinkHandle) -> Self {
        let bitrates = plans.iter().map(|p| p.settings.bitrate_bps).collect();
        Layers {
            plans,
            bitrates,
            ssrcs: Vec::new(),
            wanted: BTreeSet::new(),
            running: BTreeMap::new(),
            shed: Shed::Nothing,
            due: 0,
            without_room: 0,
            clock,
            link,
        }
    }

    /// Another link has other SSRCs and perhaps another timeline; without one nothing is encoded.
    pub fn begin_link(&mut self, ssrcs: Vec<u32>) {
        self.running.clear();
        self.ssrcs = ssrcs;
    }

    pub fn wanted(&self) -> &BTreeSet<usize> {
        &self.wanted
    }

    /// Exactly these are encoded from now on.
    pub fn want(&mut self, layers: BTreeSet<usize>) {
        if layers != self.wanted {
            tracing::info!(wanted = layers.len(), "layers wanted");
        }
        self.wanted = layers;
        self.running.retain(|layer, _| self.wanted.contains(layer));
        self.start_missing();
    }

    pub fn request_keyframe(&mut self, layer: usize) {
        if let Some(running) = self.running.get_mut(&layer) {
            running.encoder.request_keyframe();
        }
    }

    pub fn set_bitrate(&mut self, layer: usize, bps: u32) {
        let bps = bps.clamp(*BITRATE_BPS.start(), *BITRATE_BPS.end());
        if let Some(bitrate) = self.bitrates.get_mut(layer) {
            *bitrate = bps;
        }
        if let Some(running) = self.running.get_mut(&layer) {
            running.encoder.set_bitrate(bps);
        }
    }

    pub fn is_watched(&self, of: LayerOf) -> bool {
        self.running.keys().any(|&layer| self.plans.get(layer).is_some_and(|p| p.of == of))
    }

    /// Feeds that somebody watches alone, by their index on the board.
    pub fn singles(&self) -> BTreeSet<usize> {
        let single = |layer: &usize| match self.plans.get(*layer).map(|p| p.of) {
            Some(LayerOf::Single(feed)) => Some(feed),
            _ => None,
        };
        self.running.keys().filter_map(single).collect()
    }

    pub fn single_size(&self, feed: usize) -> Option<Geometry> {
        self.plans.iter().find(|p| p.of == LayerOf::Single(feed)).map(|p| p.input)
    }

    /// The layers that take the next picture of `of`. Call once a picture: a layer at half rate takes every second.
    pub fn takers(&mut self, of: LayerOf) -> Vec<usize> {
        let mut takers = Vec::new();
        for (&layer, running) in &mut self.running {
            let Some(plan) = self.plans.get(layer).filter(|p| p.of == of) else { continue };
            let due = running.offered.is_multiple_of(plan.every * plan.shed_every(self.shed));
            running.offered += 1;
            self.due += u64::from(due);
            if due && running.encoder.has_room() {
                takers.push(layer);
            } else if due {
                running.encoder.count_dropped();
                self.without_room += 1;
            }
        }
        takers
    }

    pub fn push(&mut self, takers: &[usize], picture: &Arc<Picture>, capture: CaptureTime, after_control: u64) {
        for layer in takers {
            if let Some(running) = self.running.get_mut(layer) {
                running.encoder.push(picture, capture, after_control, self.clock.now());
            }
        }
    }

    /// Less is made from now on, or more again.
    pub fn set_shed(&mut self, shed: Shed) {
        let resized = self.shed.is_smaller() != shed.is_smaller();
        self.shed = shed;
        if resized {
            let plans = &self.plans;
            self.running.retain(|layer, _| plans.get(*layer).is_some_and(|p| p.of != LayerOf::Program));
            self.start_missing();
        }
    }

    /// Pictures due at an encoder since the last call, and those of them that it had no room for.
    pub fn take_due(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.due), std::mem::take(&mut self.without_room))
    }

    /// Once a second: an encoder that failed is started anew.
    pub fn mend(&mut self) {
        self.running.retain(|layer, running| {
            let error = running.encoder.error();
            if let Some(error) = &error {
                tracing::error!(layer, error, "the encoder failed; starting it anew");
            }
            error.is_none()
        });
        self.start_missing();
    }

    /// `skipped`: program frames that were not sent at all.
    pub fn health(&self, skipped: u64) -> Vec<LayerHealth> {
        let health = |(&layer, running): (&usize, &Running)| {
            let mut stats = self.link.take_stats(layer);
            let (p50, p99) = stats.capture_to_rtp.take_percentiles();
            let program = self.plans.get(layer).is_some_and(|p| p.of == LayerOf::Program);
            LayerHealth {
                layer: self.plans.get(layer).map(|p| p.spec.reference()),
                frames: stats.frames,
                bytes: stats.bytes,
                dropped: stats.dropped + running.encoder.dropped() + if program { skipped } else { 0 },
                encode_us_p50: stats.encode.take_percentiles().0,
                capture_to_rtp_us_p50: p50,
                capture_to_rtp_us_p99: p99,
            }
        };
        self.running.iter().map(health).collect()
    }

    fn start_missing(&mut self) {
        for &layer in &self.wanted {
            let (Some(&ssrc), Some(plan)) = (self.ssrcs.get(layer), self.plans.get(layer)) else { continue };
            if self.running.contains_key(&layer) {
                continue;
            }
            let bitrate_bps = self.bitrates.get(layer).copied().unwrap_or(plan.settings.bitrate_bps);
            let settings = EncoderSettings { bitrate_bps, size: plan.size_when(self.shed), ..plan.settings };
            let link = self.link.clone();
            match LayerEncoder::start(&settings, plan.input, ssrc, self.clock, move |frame| link.send_frame(layer, frame)) {
                Ok(encoder) => {
                    self.running.insert(layer, Running { encoder, offered: 0 });
                }
                Err(e) => tracing::error!(layer, error = %e, "the encoder does not start; trying again in a second"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_names_three_layers_of_the_program_and_each_feed_at_its_own_size() {
        let size = |w, h| Geometry::new(w, h).expect("even");
        let program =
            EncoderSettings { kind: EncoderKind::X264, size: size(1280, 720), period: Period::NTSC_30, bitrate_bps: 2_500_000 };
        let id = |text: &str| FeedId::parse(text).expect("an id");
        let sixty = Period::from_rate(60, 1).expect("sane");
        let singles = [(id("field"), size(1280, 720), sixty), (id("fluoro"), size(512, 512), Period::HZ_30)];
        let plans = plan(program, Level::L31, &singles, 7, false);
        let shown: Vec<_> = plans
            .iter()
            .map(|p| (p.spec.feed.as_str(), p.spec.layer.as_str(), p.spec.width, p.spec.height, p.every, p.spec.ssrc))
            .collect();
        let want = [
            ("program", "high", 1280, 720, 1, 7),
            ("program", "mid", 640, 360, 1, 8),
            ("program", "low", 320, 180, 2, 9),
            ("field", "high", 1280, 720, 2, 10),
            ("fluoro", "high", 512, 512, 1, 11),
        ];
        assert_eq!(shown, want, "60 a second at 1280x720 is over level 3.1");
        assert_eq!(plan(program, Level::L42, &singles, 7, false)[3].every, 1);
        let with_vp8 = plan(program, Level::L31, &singles, 7, true);
        assert!(with_vp8[..5].iter().zip(&plans).all(|(a, b)| a.spec == b.spec), "the others stay as they are");
        let vp8: Vec<_> = with_vp8[5..].iter().map(|p| (p.spec.feed.as_str(), p.spec.layer.as_str(), p.settings.kind)).collect();
        let kind = EncoderKind::Vp8;
        let want = [
            ("program", "high-vp8", kind),
            ("program", "low-vp8", kind),
            ("field", "high-vp8", kind),
            ("fluoro", "high-vp8", kind),
        ];
        assert_eq!(vp8, want);
        assert_eq!(plans[0].size_when(Shed::Smaller), size(960, 540));
        assert_eq!(plans[3].size_when(Shed::Smaller), size(1280, 720), "a feed alone is slower then, not smaller");
        assert_eq!((plans[3].shed_every(Shed::SinglesHalf), plans[0].shed_every(Shed::Smaller)), (2, 1));
        assert_eq!(plans[2].settings.period.rate(), (30_000, 2002));
        assert!(plans.windows(2).take(2).all(|w| w[0].settings.bitrate_bps > w[1].settings.bitrate_bps));
    }
}
