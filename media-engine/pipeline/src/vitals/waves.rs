//! Which signals of a record a monitor shows, and a generated record to show when there is none.

use super::live::{Cursor, Tape};
use super::wfdb::{Record, Signal};

/// What a wave is of. Decides colour, place and numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Ecg,
    Arterial,
    Pulmonary,
    Pleth,
    Venous,
    /// Numbers only: pressure by cuff, breaths, carbon dioxide, temperature.
    Cuff,
    Breath,
    Carbon,
    Heat,
}

/// One wave on the monitor, looped; or live, from a tape; or a place for a number alone.
#[derive(Debug, Clone)]
pub struct Wave {
    pub kind: Kind,
    pub label: String,
    pub units: String,
    pub rate_hz: f64,
    pub samples: Vec<f32>,
    /// What the row shows from bottom to top.
    pub range: (f32, f32),
    /// It comes while it is drawn.
    pub tape: Option<Tape>,
}

impl Wave {
    /// A place for a number without a wave.
    pub fn number_only(kind: Kind) -> Self {
        Wave {
            kind,
            label: String::new(),
            units: String::new(),
            rate_hz: 25.0,
            samples: Vec::new(),
            range: (0.0, 1.0),
            tape: None,
        }
    }

    pub fn has_trace(&self) -> bool {
        self.tape.is_some() || !self.samples.is_empty()
    }

    /// Samples `from..to` of the schedule, NaN where there are none. `cursor`: where this reader of a tape is.
    pub fn read(&self, from: u64, to: u64, cursor: &mut Cursor) -> Vec<f32> {
        let n = to.saturating_sub(from) as usize;
        match &self.tape {
            Some(tape) => tape.read(cursor, n),
            None if self.samples.is_empty() => vec![f32::NAN; n],
            None => (from..to).map(|i| self.samples[(i % self.samples.len() as u64) as usize]).collect(),
        }
    }
}

/// The leads of a 12-lead ECG, in the order of a printed one: limbs, then chest.
pub const TWELVE_LEADS: [&str; 12] = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"];

/// The twelve leads of `record`, all at one scale; one that it lacks has no samples. `None`: it has fewer than six of them.
pub fn twelve_leads(record: &Record) -> Option<Vec<Wave>> {
    let mut there = 0;
    let lead = |name: &&str| match record.signals.iter().find(|s| s.name.eq_ignore_ascii_case(name)) {
        Some(signal) => {
            there += 1;
            Wave { label: (*name).to_owned(), range: (-1.2, 1.6), ..wave(Kind::Ecg, signal) }
        }
        None => Wave { label: (*name).to_owned(), ..Wave::number_only(Kind::Ecg) },
    };
    let waves: Vec<Wave> = TWELVE_LEADS.iter().map(lead).collect();
    (there >= 6).then_some(waves)
}

/// The signals of `record` that a monitor shows, from top to bottom: one ECG lead, pressures, pleth.
pub fn choose(record: &Record) -> Vec<Wave> {
    let mut waves: Vec<Wave> = Vec::new();
    for lead in ["II", "MLII", "III", "I", "V", "V5", "V2", "ECG", "V1", "AVF", "MCL1"] {
        if let Some(signal) = record.signals.iter().find(|s| s.name.eq_ignore_ascii_case(lead)) {
            waves.push(wave(Kind::Ecg, signal));
            break;
        }
    }
    let named: [(Kind, &[&str]); 4] = [
        (Kind::Arterial, &["ABP", "ART", "BP", "AP", "UAP"]),
        (Kind::Pulmonary, &["PAP"]),
        (Kind::Pleth, &["PLETH", "PPG", "SPO2"]),
        (Kind::Venous, &["CVP"]),
    ];
    for (kind, names) in named {
        if let Some(signal) = record.signals.iter().find(|s| names.iter().any(|n| s.name.eq_ignore_ascii_case(n))) {
            waves.push(wave(kind, signal));
        }
    }
    waves
}

fn wave(kind: Kind, signal: &Signal) -> Wave {
    let mut sorted: Vec<f32> = signal.samples.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_by(f32::total_cmp);
    let at = |part: f64| sorted.get(((sorted.len().saturating_sub(1)) as f64 * part) as usize).copied().unwrap_or(0.0);
    let (low, high) = (at(0.002), at(0.998));
    let pad = ((high - low) * 0.12).max(1e-3);
    Wave {
        kind,
        label: signal.name.clone(),
        units: signal.units.clone(),
        rate_hz: signal.rate_hz,
        samples: signal.samples.clone(),
        range: (low - pad, high + pad),
        tape: None,
    }
}

/// A generated patient: 75 beats a minute, 124/72 mmHg, breathing 15 times a minute. It repeats after 16 s without a seam.
pub fn generated() -> Record {
    const RATE: f64 = 250.0;
    const SECONDS: f64 = 16.0;
    const BEATS: f64 = 20.0;
    let n = (RATE * SECONDS) as usize;
    let make = |name: &str, units: &str, value: &dyn Fn(f64, f64) -> f64| Signal {
        name: name.into(),
        units: units.into(),
        rate_hz: RATE,
        samples: (0..n)
            .map(|i| {
                let t = i as f64 / RATE;
                let breath = (t / 4.0 * std::f64::consts::TAU).sin();
                // Phase in the beat, 0 to 1, swinging a little with breath.
                let phase = (t * BEATS / SECONDS + 0.02 * breath + 1.0).fract();
                value(phase, breath) as f32
            })
            .collect(),
    };
    let bump = |p: f64, at: f64, width: f64| (-((p - at) / width).powi(2)).exp();
    let ecg = |p: f64, b: f64| {
        0.12 * bump(p, 0.12, 0.03) - 0.1 * bump(p, 0.215, 0.009) + 1.1 * bump(p, 0.235, 0.010) - 0.22 * bump(p, 0.258, 0.010)
            + 0.26 * bump(p, 0.48, 0.05)
            + 0.03 * b
    };
    // Upstroke after the R wave, dicrotic notch, exponential fall.
    let pulse = move |p: f64| {
        let q = (p - 0.34 + 1.0).fract();
        let rise = 1.0 - (-(q / 0.06).powi(2)).exp();
        let end = (-1.9f64).exp();
        end + rise * ((-q * 1.9).exp() - end) + 0.10 * bump(q, 0.40, 0.06) - 0.05 * bump(q, 0.33, 0.025)
    };
    Record {
        signals: vec![
            make("II", "mV", &ecg),
            make("ABP", "mmHg", &|p, b| 63.0 + 70.0 * pulse(p) + 2.0 * b),
            make("PLETH", "NU", &|p, b| pulse((p - 0.06 + 1.0).fract()) * (1.0 + 0.05 * b)),
        ],
        duration_s: SECONDS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_are_ecg_pressures_pleth() {
        let signal = |name: &str| Signal { name: name.into(), units: "mV".into(), rate_hz: 125.0, samples: vec![0.0, 1.0] };
        let record = Record { signals: ["RESP", "PLETH", "PAP", "V", "III", "ABP", "I"].map(signal).to_vec(), duration_s: 1.0 };
        let chosen: Vec<(Kind, String)> = choose(&record).into_iter().map(|w| (w.kind, w.label)).collect();
        let want = [(Kind::Ecg, "III"), (Kind::Arterial, "ABP"), (Kind::Pulmonary, "PAP"), (Kind::Pleth, "PLETH")];
        assert_eq!(chosen, want.map(|(k, l)| (k, l.to_owned())));
    }

    #[test]
    fn the_generated_record_joins_without_a_seam() {
        for signal in generated().signals {
            let span = signal.samples.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
            let step = |a: f32, b: f32| (a - b).abs() / (span.1 - span.0);
            let largest = signal.samples.windows(2).map(|w| step(w[0], w[1])).fold(0.0, f32::max);
            let seam = step(signal.samples[0], signal.samples[signal.samples.len() - 1]);
            assert!(seam <= largest * 1.05, "{}: {seam} against {largest}", signal.name);
        }
    }
}
