//! Sources whose pictures arrive by themselves: from the network, from a camera, from a capture card. One place decodes, stamps and
//! watches them all.
//!
//! Life: [`PreparedArriving`] opens nothing, for a camera may be switched on later; the feed's own thread starts a [`receiver`], takes
//! pictures from it as they come, each at the size that it has, and when it fails says why ([`trouble`]) and begins again. Nothing
//! of it touches another feed.

use std::sync::Arc;
use std::time::Duration;

use annotation::time::CaptureTime;

use self::receiver::{Patience, Receiver, Sample};
use self::trouble::Trouble;
use super::{Prepared, Source, SourceInfo};
use crate::clock::LocalClock;
use crate::config::source::{CaptureClock, SourceConfig};
use crate::picture::{Geometry, Picture};
use crate::refusal::Refusal;
use crate::timing::arrival::ArrivalClock;
use crate::timing::pace::Period;

pub mod receiver;
pub mod recipe;
pub mod trouble;

/// One picture as it came.
#[derive(Debug, Clone)]
pub struct Arrived {
    pub picture: Arc<Picture>,
    /// As it is to be shown: pixels need not be square.
    pub native: (usize, usize),
    /// Local clock.
    pub capture: CaptureTime,
    pub came: CaptureTime,
}

/// Delivers pictures when they come.
pub trait Arriving: Send {
    /// The next picture; `None`: none came within `wait`. An error is one sentence and how long to rest; it is called again after that.
    fn next(&mut self, wait: Duration) -> Result<Option<Arrived>, (String, Duration)>;
}

/// A source that was not opened yet: what it is taken for, and how it is received.
#[derive(Debug)]
pub struct PreparedArriving {
    config: SourceConfig,
}

impl PreparedArriving {
    /// `None`: a source of another kind. The error: what this machine lacks.
    pub fn open(config: &SourceConfig) -> Option<Result<Self, Refusal>> {
        let elements = recipe::elements(config)?;
        let missing = elements.iter().find(|e| gstreamer::ElementFactory::find(e.name).is_none());
        Some(match missing {
            Some(element) => Err(Refusal::new(
                "feed.plugin-missing",
                format!(
                    "The GStreamer element {} is not installed, which {} needs; install {}.",
                    element.name, element.purpose, element.package
                ),
            )),
            None => Ok(PreparedArriving { config: config.clone() }),
        })
    }
}

impl Prepared for PreparedArriving {
    fn info(&self) -> SourceInfo {
        let expect = recipe::expect(&self.config);
        let period = Period::from_rate(u64::from(expect.rate), 1).unwrap_or(Period::HZ_30);
        SourceInfo { native: Some((expect.width as usize, expect.height as usize)), period }
    }

    fn fit(&self, _size: Geometry) -> Result<Box<dyn Source>, Refusal> {
        Err(Refusal::new("engine.arguments", "A source that arrives by itself has no schedule; leave --time-code out."))
    }

    fn arrives(&self) -> bool {
        true
    }

    fn is_by_arrival(&self) -> bool {
        recipe::is_from_network(&self.config) && recipe::clock(&self.config) == CaptureClock::Arrival
    }

    fn arriving(&self, clock: LocalClock) -> Option<Box<dyn Arriving>> {
        Some(Box::new(Reception::new(self.config.clone(), clock)))
    }
}

/// Receives, and begins again after each failure.
pub struct Reception {
    config: SourceConfig,
    clock: LocalClock,
    running: Option<Receiver>,
    captures: ArrivalClock,
    /// When it was started or gave its last picture, and whether it gave any.
    lively: CaptureTime,
    gave: bool,
    /// Warned that the sender's clock is not believed.
    warned: bool,
}

impl std::fmt::Debug for Reception {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reception({})", if self.running.is_some() { "running" } else { "stopped" })
    }
}

impl Reception {
    pub fn new(config: SourceConfig, clock: LocalClock) -> Self {
        let now = clock.now();
        Reception { config, clock, running: None, captures: ArrivalClock::default(), lively: now, gave: false, warned: false }
    }

    fn fail(&mut self, trouble: &Trouble) -> (String, Duration) {
        self.running = None;
        (trouble.to_string(), trouble.rest)
    }

    fn receive(&mut self, wait: Duration) -> Result<Option<Sample>, Trouble> {
        let receiver = match &mut self.running {
            Some(receiver) => receiver,
            none => {
                let receiver = Receiver::start(&self.config, self.clock)?;
                (self.lively, self.gave) = (self.clock.now(), false);
                none.insert(receiver)
            }
        };
        if let Some(sample) = receiver.take(wait) {
            (self.lively, self.gave) = (sample.came, true);
            return Ok(Some(sample));
        }
        if let Some(trouble) = receiver.trouble() {
            return Err(trouble);
        }
        let silent = self.clock.now().since(self.lively);
        match recipe::patience(&self.config) {
            // Who is called owes pictures; who is waited for may come later, but one that came and went is received anew.
            Patience::Calls(most) if silent > most => Err(trouble::silent(&self.config)),
            Patience::Waits(most) if self.gave && silent > most => Err(trouble::silent(&self.config)),
            _ => Ok(None),
        }
    }

    fn captured(&mut self, sample: &Sample) -> CaptureTime {
        if recipe::clock(&self.config) == CaptureClock::Sender
            && let Some(sent) = sample.sent
        {
            if let Some(capture) = self.captures.believed(sent, sample.came) {
                return capture;
            }
            if !std::mem::replace(&mut self.warned, true) {
                tracing::warn!("the sender's clock is more than 10 s from ours; its pictures are stamped when they come");
            }
        }
        match (sample.age_ns, sample.pts_ns) {
            (Some(age), _) if !recipe::numbers_only(&self.config) => self.captures.aged(age, sample.came),
            (_, Some(pts)) => self.captures.capture(pts, sample.came),
            _ => self.captures.aged(0, sample.came),
        }
    }
}

impl Arriving for Reception {
    fn next(&mut self, wait: Duration) -> Result<Option<Arrived>, (String, Duration)> {
        match self.receive(wait) {
            Ok(None) => Ok(None),
            Ok(Some(sample)) => {
                let capture = self.captured(&sample);
                Ok(Some(Arrived { picture: sample.picture, native: sample.native, capture, came: sample.came }))
            }
            Err(trouble) => Err(self.fail(&trouble)),
        }
    }
}
