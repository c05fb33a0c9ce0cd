//! Vital signs on their way to the server as data: names, units, and times on the case timeline.

use std::time::Duration;

use annotation::time::CaptureTime;
use link::vitals as wire;

use crate::vitals::mdc;
use crate::vitals::report::{Alarm, Priority, Report};

/// A missing sample on the wire.
pub const MISSING: i32 = i32::MIN;
/// A device's clock that is further from ours is not believed, whatever the configuration says.
const SKEW_MAX: Duration = Duration::from_secs(5);
/// Steps of a wave's unit: a µV of an ECG, an eighth of a mmHg, a tenth of what has no unit.
fn step(unit: &str) -> f32 {
    match unit {
        "mV" => 0.001,
        "mmHg" => 0.125,
        _ => 0.1,
    }
}

/// When something was measured, for one who knows only when its picture was captured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// So long before that picture.
    Before(Duration),
    /// By the device's own clock, since 1970; else so long before the picture.
    Device { at: Option<Duration>, before: Duration },
}

#[derive(Debug, Clone, PartialEq)]
pub struct SaidNumber {
    pub name: String,
    pub unit: String,
    pub value: Option<f32>,
    pub when: When,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SaidWave {
    pub name: String,
    pub unit: String,
    pub rate_hz: f64,
    pub samples: Vec<f32>,
    /// Of the first sample.
    pub when: When,
}

/// Some vital signs of one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Said {
    pub numbers: Vec<SaidNumber>,
    pub waves: Vec<SaidWave>,
    pub alarms: Vec<Alarm>,
    /// Its times are those of the case.
    pub synchronised: bool,
}

impl Said {
    /// What a device reported. `believed`: its clock is the hospital's. Alarms only `with_alarms`.
    pub fn of_report(report: Report, believed: bool, with_alarms: bool) -> Self {
        let when = |at: Option<Duration>, before: Duration| match at.filter(|_| believed) {
            None => When::Before(before),
            at => When::Device { at, before },
        };
        let number = |n: crate::vitals::report::Numeric| {
            let p = mdc::parameter(n.code)?;
            Some(SaidNumber { name: p.name.into(), unit: p.unit.into(), value: n.value, when: when(n.at, Duration::ZERO) })
        };
        let wave = |w: crate::vitals::report::WavePiece| {
            let of = mdc::wave(w.code)?;
            let when = when(w.start, w.duration());
            Some(SaidWave { name: of.label.into(), unit: of.unit.into(), rate_hz: w.rate_hz, samples: w.samples, when })
        };
        Said {
            numbers: report.numerics.into_iter().filter_map(number).collect(),
            waves: report.waves.into_iter().filter_map(wave).collect(),
            alarms: if with_alarms { report.alarms } else { Vec::new() },
            synchronised: believed,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.waves.is_empty() && self.alarms.is_empty()
    }

    /// `now`: capture time of the picture that it came with.
    pub fn on_wire(self, feed: &str, now: CaptureTime) -> wire::Vitals {
        let mut synchronised = self.synchronised;
        let mut at = |when: When| match when {
            When::Before(before) => now.saturating_sub(before).0,
            When::Device { at: Some(at), before } => {
                let at = CaptureTime::from_unix(at);
                if at.since(now).max(now.since(at)) <= SKEW_MAX {
                    at.0
                } else {
                    synchronised = false;
                    now.saturating_sub(before).0
                }
            }
            When::Device { at: None, before } => {
                synchronised = false;
                now.saturating_sub(before).0
            }
        };
        let numerics = self.numbers.into_iter();
        let numerics = numerics.map(|n| wire::Numeric { name: n.name, unit: n.unit, value: n.value, at: at(n.when) }).collect();
        let waves = self.waves.into_iter().map(|w| {
            let step = step(&w.unit);
            let sample = |v: f32| if v.is_finite() { (v / step).round() as i32 } else { MISSING };
            let samples = w.samples.into_iter().map(sample).collect();
            wire::Wave { name: w.name, unit: w.unit, rate_hz: w.rate_hz as f32, start: at(w.when), step, samples }
        });
        let waves = waves.collect();
        let alarms = self.alarms.into_iter().map(|a| wire::Alarm {
            id: a.id,
            text: a.text,
            priority: match a.priority {
                Priority::Unknown => 0,
                Priority::Low => 1,
                Priority::Medium => 2,
                Priority::High => 3,
            },
            active: a.active,
            at: now.0,
        });
        let alarms = alarms.collect();
        wire::Vitals { feed: feed.to_owned(), synchronised, numerics, waves, alarms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vitals::report::{Numeric, WavePiece};

    const UNIX: Duration = Duration::from_secs(1_790_000_000);

    fn report(device_at: Option<Duration>) -> Report {
        let wave = WavePiece { code: 131_330, rate_hz: 250.0, samples: vec![0.5, f32::NAN, -0.25], start: device_at };
        let missing = Numeric { code: 150_456, value: None, at: device_at };
        Report {
            numerics: vec![Numeric { code: 147_842, value: Some(72.0), at: device_at }, missing],
            waves: vec![wave],
            ..Report::default()
        }
    }

    #[test]
    fn what_is_missing_has_no_value_and_samples_keep_theirs_to_a_microvolt() {
        let now = CaptureTime::from_unix(UNIX);
        let sent = Said::of_report(report(None), false, false).on_wire("vitals", now);
        assert_eq!(
            sent.numerics.iter().map(|n| (n.name.as_str(), n.value)).collect::<Vec<_>>(),
            [("HR", Some(72.0)), ("SpO2", None)]
        );
        assert_eq!(sent.waves[0].samples, [500, MISSING, -250]);
        assert!(!sent.synchronised);
        let before = now.since(CaptureTime(sent.waves[0].start));
        assert!(before.abs_diff(Duration::from_millis(12)) < Duration::from_micros(10), "three samples: {before:?}");
    }

    #[test]
    fn a_device_clock_is_believed_only_where_it_may_be_and_can_be() {
        let now = CaptureTime::from_unix(UNIX);
        let near = UNIX - Duration::from_millis(700);
        let sent = |at, believed| Said::of_report(report(Some(at)), believed, false).on_wire("vitals", now);
        assert_eq!((sent(near, true).synchronised, sent(near, true).numerics[0].at), (true, CaptureTime::from_unix(near).0));
        assert_eq!((sent(near, false).synchronised, sent(near, false).numerics[0].at), (false, now.0));
        let far = UNIX - Duration::from_secs(60);
        assert_eq!(
            (sent(far, true).synchronised, sent(far, true).numerics[0].at),
            (false, now.0),
            "a minute off: not synchronised"
        );
    }
}
