//! What a monitor is told while it runs: newest numbers, waves on their way to the glass, alarms. Pure: time is that of whoever draws.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::mdc;
use super::report::{Alarm, Report, WavePiece};
use super::waves::{Kind, Wave};

/// A number that was not said again for so long is missing: monitors repeat theirs at least twice a minute.
const NUMBER_FOR_S: f64 = 30.0;
/// An alarm whose end was never heard.
const ALARM_FOR_S: f64 = 120.0;
const ALARMS_MAX: usize = 16;
/// Seconds of a wave that are kept. Policy: drop_oldest.
const TAPE_S: f64 = 10.0;
/// Beyond the longest piece: a picture's worth of samples that is read at once, and the unevenness of its way through the network. It
/// begins with the least, and grows with each time that the wave ran dry, up to the most.
const SLACK_S: std::ops::RangeInclusive<f64> = 0.06..=0.3;
const SLACK_STEP_S: f64 = 0.04;
/// Reports that wait to be sent as data. Policy: drop_oldest.
const OUTBOX_MAX: usize = 64;

/// A wave that comes in pieces and is drawn continuously: as late as its longest piece is long, and a little more.
#[derive(Debug, Clone)]
pub struct Tape(Arc<Mutex<Ring>>);

/// Where a reader of a tape is: the sample that it reads next, and whether it reads or waits until the tape is ahead of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    at: u64,
    runs: bool,
}

#[derive(Debug)]
struct Ring {
    rate_hz: f64,
    /// Index of the first sample kept.
    first: u64,
    samples: VecDeque<f32>,
    piece_s: f64,
    slack_s: f64,
}

impl Tape {
    fn new(rate_hz: f64) -> Self {
        Tape(Arc::new(Mutex::new(Ring { rate_hz, first: 0, samples: VecDeque::new(), piece_s: 0.0, slack_s: *SLACK_S.start() })))
    }

    fn push(&self, piece: &WavePiece) {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = (TAPE_S * ring.rate_hz) as usize;
        ring.piece_s = ring.piece_s.max(piece.samples.len() as f64 / ring.rate_hz).min(TAPE_S / 2.0);
        ring.samples.extend(piece.samples.iter().skip(piece.samples.len().saturating_sub(most)));
        let over = ring.samples.len().saturating_sub(most);
        ring.samples.drain(..over);
        ring.first += over as u64;
    }

    /// The next `n` samples for one who reads at `cursor`; NaN while too few are there. A reader far behind jumps ahead; none ever
    /// reads a sample twice: a device that is silent must not look alive.
    pub fn read(&self, cursor: &mut Cursor, n: usize) -> Vec<f32> {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, end) = (ring.first, ring.first + ring.samples.len() as u64);
        let lag = ((ring.piece_s + ring.slack_s) * ring.rate_hz).ceil() as u64;
        // Two pieces and more behind: the device's clock is faster than ours, or ours stood still.
        if !cursor.runs || cursor.at < first || end.saturating_sub(cursor.at) > 2 * lag {
            cursor.runs = end - first >= lag && end - lag >= cursor.at;
            if !cursor.runs {
                return vec![f32::NAN; n];
            }
            cursor.at = end - lag;
        }
        let at = cursor.at;
        let there = ((end.saturating_sub(at)) as usize).min(n);
        let from = (at - first) as usize;
        let mut out: Vec<f32> = ring.samples.range(from..from + there).copied().collect();
        // Run dry: a gap, and the wave waits until it is ahead again.
        *cursor = Cursor { at: at + there as u64, runs: there == n };
        if there < n {
            ring.slack_s = (ring.slack_s + SLACK_STEP_S).min(*SLACK_S.end());
        }
        out.resize(n, f32::NAN);
        out
    }
}

#[derive(Debug, Clone, Copy)]
struct Told {
    value: Option<f32>,
    at_s: f64,
}

/// Shared by who listens to a device and who draws what it says.
#[derive(Debug, Default)]
pub struct LiveVitals {
    now_s: f64,
    numbers: BTreeMap<&'static str, Told>,
    tapes: BTreeMap<u32, (Tape, f64)>,
    alarms: BTreeMap<String, (Alarm, f64)>,
    outbox: VecDeque<Report>,
}

pub type Shared = Arc<Mutex<LiveVitals>>;

impl LiveVitals {
    /// Time of whoever draws, s; rises.
    pub fn turn(&mut self, now_s: f64) {
        self.now_s = now_s;
        self.alarms.retain(|_, (_, at)| now_s - *at < ALARM_FOR_S);
    }

    pub fn handle(&mut self, report: Report) {
        for numeric in &report.numerics {
            if let Some(parameter) = mdc::parameter(numeric.code) {
                self.numbers.insert(parameter.name, Told { value: numeric.value, at_s: self.now_s });
            }
        }
        for piece in report.waves.iter().filter(|p| mdc::wave(p.code).is_some() && p.rate_hz > 0.0) {
            let known = self.tapes.get(&piece.code).filter(|(_, rate)| *rate == piece.rate_hz);
            let tape = known.map_or_else(|| Tape::new(piece.rate_hz), |(tape, _)| tape.clone());
            tape.push(piece);
            self.tapes.insert(piece.code, (tape, piece.rate_hz));
        }
        for alarm in &report.alarms {
            if !alarm.active {
                self.alarms.remove(&alarm.id);
            } else if self.alarms.len() < ALARMS_MAX || self.alarms.contains_key(&alarm.id) {
                self.alarms.insert(alarm.id.clone(), (alarm.clone(), self.now_s));
            }
        }
        if self.outbox.len() == OUTBOX_MAX {
            self.outbox.pop_front();
        }
        self.outbox.push_back(report);
    }

    /// `None`: missing, or not said for too long.
    pub fn number(&self, name: &str) -> Option<f32> {
        self.numbers.get(name).filter(|n| self.now_s - n.at_s < NUMBER_FOR_S).and_then(|n| n.value)
    }

    /// The gravest alarm that is active.
    pub fn alarm(&self) -> Option<&Alarm> {
        self.alarms.values().map(|(alarm, _)| alarm).max_by_key(|a| a.priority)
    }

    /// What came since the last call, to be sent as data.
    pub fn take(&mut self) -> Vec<Report> {
        self.outbox.drain(..).collect()
    }

    /// The rows to draw: one ECG lead, each pressure, pleth; and a place for each further number that was ever said.
    pub fn rows(&self) -> Vec<Wave> {
        let mut rows: BTreeMap<Kind, Wave> = BTreeMap::new();
        let by_preference = |code: &u32| [131_330, 131_328, 131_389, 131_329].iter().position(|c| c == code).unwrap_or(9);
        let mut codes: Vec<&u32> = self.tapes.keys().collect();
        codes.sort_by_key(|code| by_preference(code));
        for code in codes {
            if let (Some(of), Some((tape, rate))) = (mdc::wave(*code), self.tapes.get(code)) {
                rows.entry(of.kind).or_insert_with(|| Wave {
                    kind: of.kind,
                    label: of.label.to_owned(),
                    units: of.unit.to_owned(),
                    rate_hz: *rate,
                    samples: Vec::new(),
                    range: of.range,
                    tape: Some(tape.clone()),
                });
            }
        }
        let places = [
            ("HR", Kind::Ecg),
            ("ABP-sys", Kind::Arterial),
            ("PAP-sys", Kind::Pulmonary),
            ("SpO2", Kind::Pleth),
            ("CVP-mean", Kind::Venous),
            ("NIBP-sys", Kind::Cuff),
            ("RR", Kind::Breath),
            ("EtCO2", Kind::Carbon),
            ("TEMP", Kind::Heat),
        ];
        for (_, kind) in places.into_iter().filter(|(name, kind)| self.numbers.contains_key(name) || *kind == Kind::Ecg) {
            rows.entry(kind).or_insert_with(|| Wave::number_only(kind));
        }
        rows.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vitals::report::{Numeric, Priority};

    fn piece(from: usize, n: usize) -> WavePiece {
        WavePiece { code: 131_330, rate_hz: 250.0, samples: (from..from + n).map(|v| v as f32).collect(), start: None }
    }

    #[test]
    fn a_wave_in_pieces_is_read_without_a_seam_once_it_is_ahead() {
        let tape = Tape::new(250.0);
        let mut cursor = Cursor::default();
        tape.push(&piece(0, 250));
        assert!(tape.read(&mut cursor, 10).iter().all(|v| v.is_nan()), "one piece is not enough");
        tape.push(&piece(250, 250));
        let mut got = Vec::new();
        for second in 2..20 {
            for _ in 0..25 {
                got.extend(tape.read(&mut cursor, 10));
            }
            tape.push(&piece(second * 250, 250));
        }
        assert!(got.iter().all(|v| !v.is_nan()));
        assert!(got.windows(2).all(|w| w[1] == w[0] + 1.0), "no seam");
    }

    #[test]
    fn a_device_that_falls_silent_leaves_a_gap_and_one_that_is_faster_is_caught_up_with() {
        let tape = Tape::new(250.0);
        let mut cursor = Cursor::default();
        (0..3).for_each(|s| tape.push(&piece(s * 250, 250)));
        let read = (0..100).map(|_| tape.read(&mut cursor, 10)).collect::<Vec<_>>().concat();
        assert!(read[..260].iter().all(|v| !v.is_nan()) && read[400..].iter().all(|v| v.is_nan()));
        (3..100).for_each(|s| tape.push(&piece(s * 250, 250)));
        let next = tape.read(&mut cursor, 1)[0];
        assert!(next > 96.0 * 250.0, "{next}");
    }

    /// Delays from sample to picture, s: pieces of `piece_ms` that come up to `jitter_ms` late, pictures at 25 a second.
    fn delays(piece_ms: usize, jitter_ms: u64, seconds: usize) -> Vec<f64> {
        let tape = Tape::new(500.0);
        let mut cursor = Cursor::default();
        let (mut sent, mut delays, mut random) = (0, Vec::new(), 1u64);
        let n = piece_ms / 2;
        let mut next_ms = piece_ms as u64;
        for ms in 0..seconds as u64 * 1000 {
            if ms >= next_ms {
                tape.push(&WavePiece { rate_hz: 500.0, ..piece(sent, n) });
                sent += n;
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // A piece is whole when its last sample was measured.
                next_ms = ((sent + n) * 2) as u64 + if jitter_ms > 0 { (random >> 33) % jitter_ms } else { 0 };
            }
            // Not in step with the pieces.
            if ms % 40 == 17 {
                let read = tape.read(&mut cursor, 20);
                delays.extend(read.last().filter(|v| !v.is_nan()).map(|v| ms as f64 / 1000.0 - f64::from(*v) / 500.0));
            }
        }
        delays
    }

    #[test]
    fn a_sample_is_on_the_picture_within_100_ms_where_pieces_are_short() {
        for (piece_ms, jitter_ms, most) in [(20, 0, 0.1), (40, 0, 0.1), (40, 15, 0.1), (100, 10, 0.16), (1000, 20, 1.06)] {
            let mut delays = delays(piece_ms, jitter_ms, 60);
            assert!(delays.len() > 1400, "{piece_ms} ms: {} pictures of 1500", delays.len());
            delays.sort_by(f64::total_cmp);
            let p99 = delays[delays.len() * 99 / 100];
            assert!(p99 <= most, "{piece_ms} ms, {jitter_ms} ms late: {p99}");
        }
    }

    #[test]
    fn a_wave_whose_way_is_uneven_is_drawn_later_and_then_without_gaps() {
        let delays = delays(40, 150, 60);
        assert!(delays.len() > 1300, "{} pictures of 1500", delays.len());
        let last = &delays[delays.len() - 500..];
        assert!(last.iter().all(|d| *d < 0.36), "{:?}", last.iter().fold(0.0f64, |a, b| a.max(*b)));
    }

    #[test]
    fn numbers_grow_old_and_alarms_end() {
        let mut live = LiveVitals::default();
        live.turn(1.0);
        let alarm = Alarm { id: "a".into(), text: "SpO2 low".into(), priority: Priority::High, active: true, at: None };
        let report = Report {
            numerics: vec![
                Numeric { code: 147_842, value: Some(72.0), at: None },
                Numeric { code: 150_456, value: None, at: None },
            ],
            alarms: vec![alarm.clone()],
            ..Report::default()
        };
        live.handle(report);
        assert_eq!((live.number("HR"), live.number("SpO2"), live.number("RR")), (Some(72.0), None, None));
        assert_eq!(live.rows().iter().map(|r| r.kind).collect::<Vec<_>>(), [Kind::Ecg, Kind::Pleth]);
        assert!(live.alarm().is_some());
        live.turn(31.5);
        assert_eq!(live.number("HR"), None, "not said for half a minute");
        live.handle(Report { alarms: vec![Alarm { active: false, ..alarm }], ..Report::default() });
        assert!(live.alarm().is_none());
        assert_eq!(live.take().len(), 2);
        (0..1000).for_each(|_| live.handle(Report::default()));
        assert_eq!(live.take().len(), OUTBOX_MAX);
    }
}
