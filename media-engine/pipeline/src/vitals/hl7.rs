//! HL7 v2 of patient monitors: numbers (ORU^R01, PCD-01), alarms (ORU^R40, PCD-04), waves (ORU^W01), and the answer to each. Pure.
//!
//! The text is decoded before it is cut: in ISO-2022-JP half a character may look like a separator. Names are read over; nothing
//! of a patient leaves this module but what was measured. Source: HL7 v2.6 chapters 2 and 7; IHE DEV TF-2.

use encoding_rs::{EUC_JP, Encoding, ISO_2022_JP, SHIFT_JIS, UTF_8, UTF_16BE, WINDOWS_1252};

use super::mdc;
use super::report::{
    ALARMS_MAX, Alarm, DeviceTime, NUMERICS_MAX, Numeric, Priority, Report, SAMPLES_MAX, WAVES_MAX, WavePiece, clean,
};

const SEGMENTS_MAX: usize = 8_192;
/// Attributes of an alarm (MDC).
const EVENT_PHASE: u32 = 68_481;
const ALARM_STATE: u32 = 68_482;
const ALARM_PRIORITY: u32 = 68_484;
const SAMPLE_RATE: u32 = 67_981;

/// How a message is answered: MSA-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Accept,
    /// Understood in part, or not at all: sending it again changes nothing.
    Error,
    /// Not for us.
    Reject,
}

/// What one message came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub report: Report,
    pub answer: Answer,
    /// The acknowledgement, without its MLLP frame.
    pub ack: Vec<u8>,
}

struct Message<'a> {
    segments: Vec<Vec<&'a str>>,
    component: char,
    repetition: char,
}

/// One message, without its MLLP frame. Never fails: what cannot be read is answered so.
pub fn handle(bytes: &[u8]) -> Outcome {
    let text = decode(bytes);
    let Some(message) = cut(&text) else {
        return Outcome { report: Report::default(), answer: Answer::Reject, ack: ack(None, Answer::Reject, "No MSH") };
    };
    let header = &message.segments[0];
    let kind: Vec<&str> = field(header, 9).split(message.component).collect();
    let trigger = kind.get(1).copied().unwrap_or_default();
    let mut report = Report::default();
    let answer = match (kind.first().copied().unwrap_or_default(), trigger) {
        ("ORU", "R01" | "W01" | "R40") => {
            message.read(trigger == "R40", &mut report);
            let worth = report.skipped == 0 && (!report.is_empty() || message.segments.iter().all(|s| s[0] != "OBX"));
            if worth { Answer::Accept } else { Answer::Error }
        }
        _ => Answer::Reject,
    };
    let why = match answer {
        Answer::Accept => "",
        Answer::Error => "Some observations could not be read",
        Answer::Reject => "Unsupported message type",
    };
    let ack = ack(Some(&message), answer, why);
    Outcome { report, answer, ack }
}

/// For fuzzing: any bytes are answered, and the answer is a message.
pub fn fuzz(bytes: &[u8]) {
    let outcome = handle(bytes);
    assert!(outcome.ack.starts_with(b"MSH|^~\\&|"));
    assert!(outcome.report.numerics.iter().all(|n| n.value.is_none_or(f32::is_finite)));
}

/// By MSH-18: one or more character sets; the one beside ASCII decides.
fn decode(bytes: &[u8]) -> String {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(2048)]);
    let line = head.split(['\r', '\n']).next().unwrap_or_default();
    // Counted in fields of MSH, whose separator is its first field.
    let sets = line.split('|').nth(17).unwrap_or_default().to_uppercase();
    let encoding: &'static Encoding = if sets.contains("IR87") || sets.contains("IR159") || sets.contains("2022") {
        ISO_2022_JP
    } else if sets.contains("SHIFT") || sets.contains("SJIS") || sets.contains("IR13") || sets.contains("IR14") {
        SHIFT_JIS
    } else if sets.contains("EUC") {
        EUC_JP
    } else if sets.contains("UTF-16") {
        UTF_16BE
    } else if sets.contains("8859/1") {
        WINDOWS_1252
    } else {
        UTF_8
    };
    encoding.decode(bytes).0.into_owned()
}

fn cut(text: &str) -> Option<Message<'_>> {
    let text = text.trim_start_matches(['\u{feff}', '\r', '\n', ' ']);
    let rest = text.strip_prefix("MSH")?;
    let mut signs = rest.chars();
    let separator = signs.next().filter(|c| !c.is_alphanumeric() && *c != '\r')?;
    let encoding: Vec<char> = signs.take_while(|c| *c != separator).take(5).collect();
    let segments = text.split(['\r', '\n']).filter(|s| !s.is_empty()).take(SEGMENTS_MAX);
    let segments: Vec<Vec<&str>> = segments.map(|s| s.split(separator).collect()).collect();
    Some(Message {
        segments,
        component: encoding.first().copied().unwrap_or('^'),
        repetition: encoding.get(1).copied().unwrap_or('~'),
    })
}

/// Field `n` counted from 1, as HL7 counts: of MSH the separator itself is the first.
fn field<'a>(segment: &[&'a str], n: usize) -> &'a str {
    let at = if segment[0] == "MSH" { n - 1 } else { n };
    segment.get(at).copied().unwrap_or_default()
}

impl Message<'_> {
    fn first<'b>(&self, field: &'b str) -> &'b str {
        field.split(self.component).next().unwrap_or_default()
    }

    fn code(&self, field: &str) -> Option<u32> {
        self.first(field).trim().parse().ok()
    }

    fn read(&self, alarms: bool, report: &mut Report) {
        let mut observed: Option<DeviceTime> = None;
        let mut alarm: Option<Alarm> = None;
        // Waves wait for their rate, which comes in an observation of its own below them.
        let mut waiting: Vec<(String, WavePiece)> = Vec::new();
        for segment in &self.segments {
            match segment[0] {
                "OBR" => {
                    report.alarms.extend(alarm.take().filter(|_| report.alarms.len() < ALARMS_MAX));
                    observed = time(field(segment, 7));
                    alarm = alarms.then(|| Alarm {
                        id: clean(self.first(field(segment, 3))),
                        text: String::new(),
                        priority: Priority::Unknown,
                        active: true,
                        at: observed,
                    });
                }
                "OBX" => self.read_observation(segment, observed, &mut alarm, &mut waiting, report),
                _ => {}
            }
        }
        report.alarms.extend(alarm.filter(|_| report.alarms.len() < ALARMS_MAX));
        report.skipped += waiting.len() as u32;
    }

    fn read_observation(
        &self,
        segment: &[&str],
        observed: Option<DeviceTime>,
        alarm: &mut Option<Alarm>,
        waiting: &mut Vec<(String, WavePiece)>,
        report: &mut Report,
    ) {
        let (kind, place, value) = (field(segment, 2), field(segment, 4), field(segment, 5));
        let Some(code) = self.code(field(segment, 3)) else {
            report.skipped += 1;
            return;
        };
        let at = time(field(segment, 14)).or(observed);
        match (kind, code) {
            ("NM", SAMPLE_RATE) => {
                let rate = value.trim().parse::<f64>().ok().filter(|r| (0.1..=20_000.0).contains(r));
                let of =
                    waiting.iter().position(|(wave, _)| place.strip_prefix(wave.as_str()).is_some_and(|p| p.starts_with('.')));
                match (rate, of) {
                    (Some(rate_hz), Some(n)) => report.waves.push(WavePiece { rate_hz, ..waiting.remove(n).1 }),
                    _ => report.skipped += 1,
                }
            }
            ("NA", _) => {
                if waiting.len() + report.waves.len() >= WAVES_MAX {
                    report.skipped += 1;
                    return;
                }
                let factor = self.code(field(segment, 6)).map_or(1.0, mdc::unit_factor);
                let sample = |text: &str| text.trim().parse::<f32>().map_or(f32::NAN, |v| v * factor);
                let samples = value.split([self.component, self.repetition]).take(SAMPLES_MAX).map(sample).collect();
                waiting.push((place.to_owned(), WavePiece { code, rate_hz: 0.0, samples, start: observed }));
            }
            ("NM", _) => {
                if report.numerics.len() < NUMERICS_MAX {
                    let flags = field(segment, 8).split(self.repetition);
                    // IHE DEV: not a measurement of this patient, or none at all.
                    let unusable = |f: &str| matches!(f, "INV" | "NAV" | "OFF" | "DEMO" | "TEST" | "CALIB" | "QUES" | "MSMTFLT");
                    let no_result = matches!(field(segment, 11), "X" | "N" | "D" | "W");
                    let value = value.trim().parse::<f32>().ok().filter(|_| !no_result && !flags.clone().any(unusable));
                    let factor = self.code(field(segment, 6)).map_or(1.0, mdc::unit_factor);
                    // A sentinel is one before it is scaled.
                    let value = value.filter(|v| mdc::is_value(*v)).map(|v| v * factor);
                    report.numerics.push(Numeric::new(code, value, at));
                }
            }
            ("ST" | "CWE" | "IS" | "TX", _) if alarm.is_some() => {
                let Some(alarm) = alarm else { return };
                match code {
                    EVENT_PHASE => alarm.active &= !matches!(value, "end" | "stop" | "reset"),
                    ALARM_STATE => alarm.active &= value != "inactive",
                    ALARM_PRIORITY => alarm.priority = priority(value),
                    _ if alarm.text.is_empty() => {
                        alarm.text = clean(value);
                        if let Some(p) = field(segment, 8).split(self.repetition).map(priority).max() {
                            alarm.priority = alarm.priority.max(p);
                        }
                    }
                    _ => {}
                }
            }
            // Containers (devices, channels) and words: nothing is measured in them.
            ("" | "ST" | "CWE" | "IS" | "TX" | "DTM" | "TS" | "CF" | "EI" | "SN" | "ED", _) => {}
            _ => report.skipped += 1,
        }
    }
}

fn priority(word: &str) -> Priority {
    match word {
        "PH" => Priority::High,
        "PM" => Priority::Medium,
        "PL" => Priority::Low,
        _ => Priority::Unknown,
    }
}

/// YYYYMMDD[HHMM[SS[.S]]][±ZZZZ]. Without a zone nobody knows when it was: `None`.
fn time(text: &str) -> Option<DeviceTime> {
    let (clock, sign, zone) = match text.rfind(['+', '-']) {
        Some(at) => (&text[..at], if text[at..].starts_with('-') { -1i64 } else { 1 }, &text[at + 1..]),
        None => return None,
    };
    let number = |text: &str, range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    if !whole.is_ascii() || !zone.is_ascii() || whole.len() < 12 || zone.len() != 4 {
        return None;
    }
    let (year, month, day) = (number(whole, 0..4)?, number(whole, 4..6)?, number(whole, 6..8)?);
    let (hour, minute, second) = (number(whole, 8..10)?, number(whole, 10..12)?, number(whole, 12..14).unwrap_or(0));
    let sane = (1970..2200).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !sane || !(0..24).contains(&hour) || !(0..60).contains(&minute) || !(0..61).contains(&second) {
        return None;
    }
    let offset_s = sign * (number(zone, 0..2)? * 3600 + number(zone, 2..4)? * 60);
    let s = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset_s;
    let part: f64 =
        if fraction.is_empty() { 0.0 } else { format!("0.{}", fraction.get(..9).unwrap_or(fraction)).parse().ok()? };
    Some(std::time::Duration::from_secs(u64::try_from(s).ok()?) + std::time::Duration::from_secs_f64(part))
}

/// Days since 1970-01-01 of the proleptic Gregorian calendar. Source: H. Hinnant, chrono-compatible date algorithms.
pub(super) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// MSH and MSA. Sender and receiver change places; ids are taken over as far as they are plain.
fn ack(message: Option<&Message<'_>>, answer: Answer, why: &str) -> Vec<u8> {
    let header = message.map(|m| &m.segments[0]);
    let plain = |n: usize| {
        let text = header.map_or("", |h| field(h, n));
        text.chars().filter(|c| c.is_ascii_graphic() && *c != '|').take(180).collect::<String>()
    };
    let trigger = header.map_or("", |h| field(h, 9)).split('^').nth(1).unwrap_or_default();
    let trigger: String = trigger.chars().filter(char::is_ascii_alphanumeric).take(3).collect();
    let kind = if trigger.is_empty() { "ACK".to_owned() } else { format!("ACK^{trigger}^ACK") };
    let version = if plain(12).is_empty() { "2.6".to_owned() } else { plain(12) };
    let id = plain(10);
    let code = match answer {
        Answer::Accept => "AA",
        Answer::Error => "AE",
        Answer::Reject => "AR",
    };
    let processing = if plain(11).is_empty() { "P".to_owned() } else { plain(11) };
    // MSH-7 is left empty: a pure function has no clock, and MSA-2 says which message it is about.
    let msh = format!("MSH|^~\\&|{}|{}|{}|{}|||{kind}|A{id}|{processing}|{version}", plain(5), plain(6), plain(3), plain(4));
    let error = if why.is_empty() { String::new() } else { format!("ERR|||207^Application error^HL70357|E||||{why}\r") };
    format!("{msh}\rMSA|{code}|{id}\r{error}").into_bytes()
}

#[cfg(test)]
#[path = "hl7_tests.rs"]
mod tests;
