//! Numbers computed from waves as they arrive. What cannot be computed is missing, never guessed: SpO2 needs two wavelengths.

use std::collections::VecDeque;

/// Beats over which the heart rate is taken (median), and pressures are averaged.
const BEATS: usize = 8;
const PRESSURE_BEATS: usize = 4;
/// No beat for this long: there is no number.
const STALE_S: f64 = 4.0;
/// Two R peaks are at least this far apart.
const REFRACTORY_S: f64 = 0.25;

/// Finds R peaks in an ECG: slope, squared, averaged over 100 ms, against a threshold that follows the last peaks.
/// After Pan and Tompkins, IEEE Trans. Biomed. Eng. 32(3), 1985, reduced.
#[derive(Debug, Clone)]
pub struct BeatFinder {
    rate_hz: f64,
    recent: VecDeque<f32>,
    slope_over: usize,
    energies: VecDeque<f32>,
    energy_over: usize,
    sum: f64,
    /// Running level of peaks, and of what lies between.
    peak: f64,
    rising: Option<(f64, u64)>,
    n: u64,
    last_beat: Option<u64>,
}

impl BeatFinder {
    pub fn new(rate_hz: f64) -> Self {
        let samples = |s: f64| ((rate_hz * s).round() as usize).max(1);
        BeatFinder {
            rate_hz,
            recent: VecDeque::new(),
            slope_over: samples(0.016),
            energies: VecDeque::new(),
            energy_over: samples(0.1),
            sum: 0.0,
            peak: 0.0,
            rising: None,
            n: 0,
            last_beat: None,
        }
    }

    /// One sample; true when a beat was just recognised (some 100 ms after its R peak). NaN is no sample.
    pub fn push(&mut self, value: f32) -> bool {
        self.n += 1;
        let value = if value.is_finite() { value } else { self.recent.back().copied().unwrap_or(0.0) };
        self.recent.push_back(value);
        let slope = if self.recent.len() > self.slope_over { value - self.recent.pop_front().unwrap_or(value) } else { 0.0 };
        let energy = slope * slope;
        self.energies.push_back(energy);
        self.sum += f64::from(energy);
        if self.energies.len() > self.energy_over {
            self.sum -= f64::from(self.energies.pop_front().unwrap_or(0.0));
        }
        let level = (self.sum / self.energy_over as f64).max(0.0);
        // The level of peaks is forgotten over seconds, so that a smaller beat is found again.
        self.peak *= 1.0 - 0.25 / self.rate_hz;
        let threshold = self.peak * 0.3;
        match self.rising {
            None if level > threshold && level > 0.0 => self.rising = Some((level, self.n)),
            None => {}
            Some((top, _)) if level > top => self.rising = Some((level, self.n)),
            Some((top, at)) if level < top * 0.5 => {
                self.rising = None;
                let spaced = self.last_beat.is_none_or(|last| (at - last) as f64 / self.rate_hz > REFRACTORY_S);
                // The very first rise only sets the level.
                let first = self.peak == 0.0;
                self.peak = if first { top } else { self.peak.max(0.6 * self.peak + 0.4 * top) };
                if spaced && !first {
                    self.last_beat = Some(at);
                    return true;
                }
            }
            Some(_) => {}
        }
        false
    }
}

/// Beats a minute, from the median of the last intervals.
#[derive(Debug, Clone, Default)]
pub struct HeartRate {
    beats: VecDeque<f64>,
}

impl HeartRate {
    pub fn handle_beat(&mut self, t_s: f64) {
        self.beats.push_back(t_s);
        if self.beats.len() > BEATS + 1 {
            self.beats.pop_front();
        }
    }

    /// `None` before two beats, and when the last is too long ago.
    pub fn bpm(&self, now_s: f64) -> Option<f64> {
        let last = *self.beats.back()?;
        if now_s - last > STALE_S {
            return None;
        }
        let mut intervals: Vec<f64> = self.beats.iter().zip(self.beats.iter().skip(1)).map(|(a, b)| b - a).collect();
        intervals.sort_by(f64::total_cmp);
        let median = *intervals.get(intervals.len() / 2)?;
        (median > 0.0).then(|| 60.0 / median)
    }
}

/// Systolic, diastolic and mean of a pressure, mmHg.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pressure {
    pub systolic: f32,
    pub diastolic: f32,
    pub mean: f32,
}

/// Takes a pressure beat by beat (or every 1.2 s where no beat is known) and averages the last beats.
#[derive(Debug, Clone, Default)]
pub struct PressureTracker {
    window: Option<(f32, f32, f64, u32)>,
    beats: VecDeque<Pressure>,
    began_s: f64,
    last_s: f64,
}

impl PressureTracker {
    pub fn push(&mut self, value: f32, t_s: f64) {
        if !value.is_finite() {
            return;
        }
        let (low, high, sum, n) = self.window.unwrap_or((value, value, 0.0, 0));
        self.window = Some((low.min(value), high.max(value), sum + f64::from(value), n + 1));
        self.last_s = t_s;
        if t_s - self.began_s > 2.5 {
            self.handle_beat(t_s);
        }
    }

    /// A beat began: what came since the last one is one value.
    pub fn handle_beat(&mut self, t_s: f64) {
        let whole = t_s - self.began_s > REFRACTORY_S;
        if let Some((low, high, sum, n)) = self.window.take()
            && whole
        {
            self.beats.push_back(Pressure { systolic: high, diastolic: low, mean: (sum / f64::from(n)) as f32 });
            if self.beats.len() > PRESSURE_BEATS {
                self.beats.pop_front();
            }
        }
        self.began_s = t_s;
    }

    /// `None` before the second beat and when no sample came for a while.
    pub fn pressure(&self, now_s: f64) -> Option<Pressure> {
        if now_s - self.last_s > STALE_S || self.beats.len() < 2 {
            return None;
        }
        let n = self.beats.len() as f32;
        let mean = |part: fn(&Pressure) -> f32| self.beats.iter().map(part).sum::<f32>() / n;
        Some(Pressure { systolic: mean(|p| p.systolic), diastolic: mean(|p| p.diastolic), mean: mean(|p| p.mean) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vitals::waves::generated;

    #[test]
    fn the_generated_patient_has_75_beats_and_a_pressure() {
        let record = generated();
        let mut finder = BeatFinder::new(250.0);
        let mut rate = HeartRate::default();
        let mut pressure = PressureTracker::default();
        for i in 0..(250 * 30) {
            let t = f64::from(i) / 250.0;
            let n = i as usize % record.signals[0].samples.len();
            pressure.push(record.signals[1].samples[n], t);
            if finder.push(record.signals[0].samples[n]) {
                rate.handle_beat(t);
                pressure.handle_beat(t);
            }
        }
        let bpm = rate.bpm(30.0).expect("beats");
        assert!((bpm - 75.0).abs() < 1.5, "{bpm}");
        let p = pressure.pressure(30.0).expect("a pressure");
        assert!(p.systolic > p.mean && p.mean > p.diastolic, "{p:?}");
        assert!((100.0..150.0).contains(&p.systolic) && (50.0..90.0).contains(&p.diastolic), "{p:?}");
    }

    #[test]
    fn a_flat_line_has_no_number() {
        let mut finder = BeatFinder::new(250.0);
        assert!((0..5000).all(|_| !finder.push(0.2)));
        let rate = HeartRate::default();
        assert_eq!(rate.bpm(1.0), None);
    }

    #[test]
    fn numbers_vanish_when_the_signal_does() {
        let mut rate = HeartRate::default();
        (0..5).for_each(|b| rate.handle_beat(f64::from(b) * 0.8));
        assert!(rate.bpm(4.0).is_some());
        assert_eq!(rate.bpm(9.0), None);
        let mut pressure = PressureTracker::default();
        for i in 0..500 {
            pressure.push(80.0 + (i % 100) as f32, f64::from(i) * 0.01);
            if i % 100 == 0 {
                pressure.handle_beat(f64::from(i) * 0.01);
            }
        }
        assert!(pressure.pressure(5.0).is_some());
        assert_eq!(pressure.pressure(20.0), None);
    }
}
