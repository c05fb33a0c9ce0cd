//! What devices say of a patient, whatever protocol they say it in: numbers, waves, alarms, each with the device's own time. Pure.
//!
//! A number that is not certain to be one is missing (`None`), never a number: makers put sentinels where a sensor is off.

use std::time::Duration;

use super::mdc;

/// Waves and numbers of one report; more are cut off.
pub const NUMERICS_MAX: usize = 256;
pub const WAVES_MAX: usize = 32;
pub const SAMPLES_MAX: usize = 1 << 20;
pub const ALARMS_MAX: usize = 64;
/// Longest text that is taken over from a device.
pub const TEXT_CHARS_MAX: usize = 60;

/// Since 1970, by the device's clock.
pub type DeviceTime = Duration;

/// One measured number. `code`: of ISO/IEEE 11073-10101 (MDC).
#[derive(Debug, Clone, PartialEq)]
pub struct Numeric {
    pub code: u32,
    pub value: Option<f32>,
    pub at: Option<DeviceTime>,
}

impl Numeric {
    /// `value` as the device says it: a sentinel, or what cannot be, is missing.
    pub fn new(code: u32, value: Option<f32>, at: Option<DeviceTime>) -> Self {
        Numeric { code, value: value.filter(|v| mdc::is_plausible(code, *v)), at }
    }
}

/// A piece of a wave, in its unit (mV, mmHg; pleth has none); NaN where a sample is missing.
#[derive(Debug, Clone, PartialEq)]
pub struct WavePiece {
    pub code: u32,
    pub rate_hz: f64,
    pub samples: Vec<f32>,
    /// Of the first sample.
    pub start: Option<DeviceTime>,
}

impl WavePiece {
    pub fn duration(&self) -> Duration {
        Duration::try_from_secs_f64(self.samples.len() as f64 / self.rate_hz.max(0.01)).unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    Unknown,
    Low,
    Medium,
    High,
}

/// An alarm of the device. Reference only: nobody relies on its coming, and it is off by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// The device's own id of it; the same from start to end.
    pub id: String,
    pub text: String,
    pub priority: Priority,
    pub active: bool,
    pub at: Option<DeviceTime>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    pub numerics: Vec<Numeric>,
    pub waves: Vec<WavePiece>,
    pub alarms: Vec<Alarm>,
    /// Parts that could not be understood.
    pub skipped: u32,
}

impl Report {
    pub fn is_empty(&self) -> bool {
        self.numerics.is_empty() && self.waves.is_empty() && self.alarms.is_empty()
    }
}

/// A device's text for a screen: no control characters, not too long.
pub fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect::<String>().trim().to_owned()
}
