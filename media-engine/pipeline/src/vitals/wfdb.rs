//! Reads WFDB records (PhysioNet): headers, formats 16, 32, 61, 80 and 212, several samples a frame, several segments.
//! Pure: files come by a function. Source: WFDB Applications Guide, header(5) and signal(5).

use std::ops::Range;

/// Limits that keep a hostile header small.
const SIGNALS_MAX: usize = 64;
const SEGMENTS_MAX: usize = 4096;
const SAMPLES_PER_FRAME_MAX: usize = 1000;
const SAMPLES_MAX: usize = 64 << 20;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WfdbError {
    #[error("line {line} of the header {file}: {what}")]
    Header { file: String, line: usize, what: &'static str },
    #[error("the file {0} that the header names is not there")]
    Missing(String),
    #[error("the file {file} has {got} bytes where the header promises {promised}")]
    Short { file: String, got: usize, promised: usize },
    #[error("format {0} is not supported")]
    Format(u32),
    #[error("the record is too large")]
    TooLarge,
    #[error("the record has no samples")]
    Empty,
}

/// One signal of a record, in physical units; NaN where the sample is missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    pub name: String,
    pub units: String,
    pub rate_hz: f64,
    pub samples: Vec<f32>,
}

/// All signals of a record cover the same time.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub signals: Vec<Signal>,
    pub duration_s: f64,
}

/// How samples lie in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    F16,
    F32,
    F61,
    F80,
    F212,
}

#[derive(Debug, Clone)]
struct SignalLine {
    file: String,
    format: Format,
    per_frame: usize,
    skew: usize,
    offset: usize,
    gain: f64,
    baseline: f64,
    units: String,
    name: String,
}

#[derive(Debug)]
struct Header {
    rate_hz: f64,
    /// Frames, when the header says so.
    frames: Option<usize>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Signals(Vec<SignalLine>),
    Segments(Vec<(String, usize)>),
}

/// Reads the record whose header is `name` (with `.hea`). `load` returns a file of the record's folder, `None` when missing;
/// only plain file names are asked of it.
pub fn read_record(name: &str, load: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<Record, WfdbError> {
    let header = load_header(name, load)?;
    match header.content {
        Content::Signals(signals) => read_signals(header.rate_hz, header.frames, &signals, load),
        Content::Segments(segments) => read_segments(header.rate_hz, &segments, load),
    }
}

fn load_header(name: &str, load: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<Header, WfdbError> {
    let bytes = load(name).ok_or_else(|| WfdbError::Missing(name.to_owned()))?;
    parse_header(name, &String::from_utf8_lossy(&bytes))
}

fn read_segments(
    rate_hz: f64,
    segments: &[(String, usize)],
    load: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Result<Record, WfdbError> {
    let mut whole: Vec<Signal> = Vec::new();
    let mut frames_done = 0usize;
    let total: usize = segments.iter().try_fold(0usize, |sum, s| sum.checked_add(s.1)).ok_or(WfdbError::TooLarge)?;
    if total > SAMPLES_MAX {
        return Err(WfdbError::TooLarge);
    }
    for (name, frames) in segments {
        // A length of zero is a layout, ~ is a gap: both without data.
        if *frames > 0 && name != "~" {
            let header = load_header(&format!("{name}.hea"), load)?;
            let Content::Signals(lines) = &header.content else {
                return Err(WfdbError::Header { file: name.clone(), line: 1, what: "a segment cannot have segments" });
            };
            let part = read_signals(rate_hz, Some(*frames), lines, load)?;
            for signal in part.signals {
                let per_frame = (signal.rate_hz / rate_hz).round() as usize;
                let place = match whole.iter().position(|w| w.name == signal.name && w.rate_hz == signal.rate_hz) {
                    Some(place) => place,
                    None => {
                        if whole.len() == SIGNALS_MAX || total.saturating_mul(per_frame) > SAMPLES_MAX {
                            return Err(WfdbError::TooLarge);
                        }
                        whole.push(Signal { samples: Vec::new(), ..signal.clone() });
                        whole.len() - 1
                    }
                };
                let out = &mut whole[place].samples;
                out.resize(frames_done * per_frame, f32::NAN);
                out.extend(signal.samples);
            }
        }
        frames_done += frames;
    }
    for signal in &mut whole {
        let per_frame = (signal.rate_hz / rate_hz).round() as usize;
        signal.samples.resize(frames_done * per_frame, f32::NAN);
    }
    finish(whole, frames_done as f64 / rate_hz)
}

fn read_signals(
    rate_hz: f64,
    frames: Option<usize>,
    lines: &[SignalLine],
    load: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Result<Record, WfdbError> {
    let mut signals = Vec::new();
    let mut shortest = frames;
    let mut n = 0;
    while n < lines.len() {
        // Signals of one file lie side by side in it, frame by frame.
        let group = n..n + lines[n..].iter().take_while(|l| l.file == lines[n].file).count();
        n = group.end;
        let got = read_group(rate_hz, frames, &lines[group], load, &mut signals)?;
        shortest = Some(shortest.map_or(got, |s| s.min(got)));
    }
    let frames = shortest.unwrap_or(0);
    for (signal, line) in signals.iter_mut().zip(lines) {
        signal.samples.truncate(frames * line.per_frame);
    }
    finish(signals, frames as f64 / rate_hz)
}

fn finish(signals: Vec<Signal>, duration_s: f64) -> Result<Record, WfdbError> {
    if signals.is_empty() || signals.iter().any(|s| s.samples.is_empty()) {
        return Err(WfdbError::Empty);
    }
    Ok(Record { signals, duration_s })
}

/// Reads one file; returns how many frames it has.
fn read_group(
    rate_hz: f64,
    frames: Option<usize>,
    lines: &[SignalLine],
    load: &dyn Fn(&str) -> Option<Vec<u8>>,
    signals: &mut Vec<Signal>,
) -> Result<usize, WfdbError> {
    let first = &lines[0];
    if lines.iter().any(|l| l.format != first.format) {
        return Err(WfdbError::Header { file: first.file.clone(), line: 0, what: "one file has two formats" });
    }
    let bytes = load(&first.file).ok_or_else(|| WfdbError::Missing(first.file.clone()))?;
    let data = bytes.get(first.offset..).unwrap_or_default();
    let frame_samples: usize = lines.iter().map(|l| l.per_frame).sum();
    let available = samples_in(first.format, data.len()) / frame_samples;
    let frames = frames.unwrap_or(available);
    let total = frames.checked_mul(frame_samples).filter(|&t| t <= SAMPLES_MAX).ok_or(WfdbError::TooLarge)?;
    if available < frames {
        let promised = first.offset + bytes_for(first.format, total);
        return Err(WfdbError::Short { file: first.file.clone(), got: bytes.len(), promised });
    }
    let mut at = 0;
    for line in lines {
        let mut samples = Vec::with_capacity(frames * line.per_frame);
        // A signal that was written late by `skew` frames is moved back; what lies beyond the end is missing.
        for frame in line.skew..frames + line.skew {
            for k in 0..line.per_frame {
                let value = if frame < frames { sample(first.format, data, frame * frame_samples + at + k) } else { None };
                samples.push(value.map_or(f32::NAN, |v| ((f64::from(v) - line.baseline) / line.gain) as f32));
            }
        }
        at += line.per_frame;
        signals.push(Signal {
            name: line.name.clone(),
            units: line.units.clone(),
            rate_hz: rate_hz * line.per_frame as f64,
            samples,
        });
    }
    Ok(frames)
}

fn samples_in(format: Format, bytes: usize) -> usize {
    match format {
        Format::F16 | Format::F61 => bytes / 2,
        Format::F32 => bytes / 4,
        Format::F80 => bytes,
        Format::F212 => bytes / 3 * 2 + usize::from(bytes % 3 == 2),
    }
}

fn bytes_for(format: Format, samples: usize) -> usize {
    match format {
        Format::F16 | Format::F61 => samples * 2,
        Format::F32 => samples * 4,
        Format::F80 => samples,
        Format::F212 => (samples * 3).div_ceil(2),
    }
}

/// Sample `n` of the file; `None` where the format's own mark says *missing*.
fn sample(format: Format, data: &[u8], n: usize) -> Option<i32> {
    let bytes = |range: Range<usize>| data.get(range);
    match format {
        Format::F16 => {
            let b = bytes(n * 2..n * 2 + 2)?;
            let v = i16::from_le_bytes([b[0], b[1]]);
            (v != i16::MIN).then_some(i32::from(v))
        }
        Format::F61 => {
            let b = bytes(n * 2..n * 2 + 2)?;
            let v = i16::from_be_bytes([b[0], b[1]]);
            (v != i16::MIN).then_some(i32::from(v))
        }
        Format::F32 => {
            let b = bytes(n * 4..n * 4 + 4)?;
            let v = i32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            (v != i32::MIN).then_some(v)
        }
        Format::F80 => {
            let v = i32::from(*data.get(n)?) - 128;
            (v != -128).then_some(v)
        }
        Format::F212 => {
            // Two samples in three bytes: low byte of the first, both high nibbles, low byte of the second.
            let pair = n / 2 * 3;
            let high = i32::from(*data.get(pair + 1)?);
            let v = if n.is_multiple_of(2) {
                i32::from(*data.get(pair)?) | (high & 0x0F) << 8
            } else {
                i32::from(*data.get(pair + 2)?) | (high & 0xF0) << 4
            };
            let v = if v > 2047 { v - 4096 } else { v };
            (v != -2048).then_some(v)
        }
    }
}

fn parse_header(file: &str, text: &str) -> Result<Header, WfdbError> {
    let mut lines =
        text.lines().enumerate().map(|(n, l)| (n + 1, l.trim())).filter(|(_, l)| !l.is_empty() && !l.starts_with('#'));
    let wrong = |line: usize, what: &'static str| WfdbError::Header { file: file.to_owned(), line, what };
    let (line, record) = lines.next().ok_or_else(|| wrong(1, "it is empty"))?;
    let mut words = record.split_whitespace();
    let name = words.next().ok_or_else(|| wrong(line, "the record has no name"))?;
    let segments = match name.split_once('/') {
        Some((_, n)) => Some(n.parse::<usize>().map_err(|_| wrong(line, "the number of segments is no number"))?),
        None => None,
    };
    let n_signals: usize =
        words.next().and_then(|w| w.parse().ok()).ok_or_else(|| wrong(line, "the number of signals is missing"))?;
    // Counter frequency and base counter may follow the rate.
    let rate_hz: f64 = match words.next() {
        Some(word) => {
            word.split(['/', '(']).next().and_then(|w| w.parse().ok()).ok_or_else(|| wrong(line, "the rate is no number"))?
        }
        None => 250.0,
    };
    if !(0.01..=100_000.0).contains(&rate_hz) {
        return Err(wrong(line, "the rate is out of range"));
    }
    let frames = match words.next() {
        Some(word) => word.parse::<usize>().map(Some).map_err(|_| wrong(line, "the number of samples is no number"))?,
        None => None,
    }
    .filter(|&n| n > 0);
    if let Some(n) = segments {
        if n == 0 || n > SEGMENTS_MAX {
            return Err(wrong(line, "the number of segments is out of range"));
        }
        let mut list = Vec::new();
        for _ in 0..n {
            let (line, text) = lines.next().ok_or_else(|| wrong(line, "a segment's line is missing"))?;
            let mut words = text.split_whitespace();
            let name = words.next().unwrap_or_default();
            let frames = words.next().and_then(|w| w.parse().ok()).ok_or_else(|| wrong(line, "a segment has no length"))?;
            if name != "~" && !is_plain(name) {
                return Err(wrong(line, "a segment's name is no plain file name"));
            }
            list.push((name.to_owned(), frames));
        }
        return Ok(Header { rate_hz, frames, content: Content::Segments(list) });
    }
    if n_signals == 0 || n_signals > SIGNALS_MAX {
        return Err(wrong(line, "the number of signals is out of range"));
    }
    let mut signals = Vec::new();
    for _ in 0..n_signals {
        let (line, text) = lines.next().ok_or_else(|| wrong(line, "a signal's line is missing"))?;
        signals.push(parse_signal(text).map_err(|what| match what {
            SignalFault::Format(f) => WfdbError::Format(f),
            SignalFault::Text(what) => wrong(line, what),
        })?);
    }
    Ok(Header { rate_hz, frames, content: Content::Signals(signals) })
}

enum SignalFault {
    Format(u32),
    Text(&'static str),
}

/// `file format[xN][:skew][+offset] [gain[(baseline)][/units] [resolution [zero [first [checksum [block [name]]]]]]]`
fn parse_signal(text: &str) -> Result<SignalLine, SignalFault> {
    let fault = SignalFault::Text;
    let mut words = text.split_whitespace();
    let file = words.next().unwrap_or_default();
    if !is_plain(file) {
        return Err(fault("the signal's file is no plain file name"));
    }
    let format = words.next().ok_or(fault("the format is missing"))?;
    let (code, mut rest) = number_prefix(format).ok_or(fault("the format is no number"))?;
    let format = match code {
        16 => Format::F16,
        32 => Format::F32,
        61 => Format::F61,
        80 => Format::F80,
        212 => Format::F212,
        other => return Err(SignalFault::Format(other)),
    };
    let (mut per_frame, mut skew, mut offset) = (1usize, 0usize, 0usize);
    while let Some(mark) = rest.chars().next() {
        let (value, after) = rest.get(1..).and_then(number_prefix).ok_or(fault("the format has a part that is no number"))?;
        match mark {
            'x' => per_frame = value as usize,
            ':' => skew = value as usize,
            '+' => offset = value as usize,
            _ => return Err(fault("the format has an unknown part")),
        }
        rest = after;
    }
    if per_frame == 0 || per_frame > SAMPLES_PER_FRAME_MAX || skew > SAMPLES_MAX {
        return Err(fault("samples per frame are out of range"));
    }
    let (mut gain, mut baseline, mut units) = (200.0, None, "mV".to_owned());
    if let Some(word) = words.next() {
        let (number, unit) = word.split_once('/').unwrap_or((word, "mV"));
        units = unit.chars().take(16).collect();
        let (value, base) = match number.split_once('(') {
            Some((value, base)) => (value, Some(base.trim_end_matches(')'))),
            None => (number, None),
        };
        gain = value.parse::<f64>().ok().filter(|g| g.is_finite()).ok_or(fault("the gain is no number"))?;
        if let Some(base) = base {
            baseline = Some(base.parse::<i32>().map_err(|_| fault("the baseline is no number"))?);
        }
    }
    // A gain of zero means: not calibrated, 200 by convention.
    if gain == 0.0 {
        gain = 200.0;
    }
    let zero = words.nth(1).and_then(|w| w.parse::<i32>().ok()).unwrap_or(0);
    let name: Vec<&str> = words.skip(3).collect();
    Ok(SignalLine {
        file: file.to_owned(),
        format,
        per_frame,
        skew,
        offset,
        gain,
        baseline: f64::from(baseline.unwrap_or(zero)),
        units,
        name: name.join(" ").chars().take(32).collect(),
    })
}

fn number_prefix(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// A file name without a way out of the record's folder.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.len() <= 128 && !name.contains(['/', '\\', '\0']) && name != "." && name != ".." && name != "-"
}

/// The body of a fuzz target: bytes up to the first zero are a header, the rest is every data file. Must never panic.
pub fn fuzz_read(bytes: &[u8]) {
    let cut = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    let (header, data) = (&bytes[..cut], bytes.get(cut + 1..).unwrap_or_default());
    let load = |name: &str| Some(if name.ends_with(".hea") { header.to_vec() } else { data.to_vec() });
    if let Ok(record) = read_record("r.hea", &load) {
        assert!(record.signals.iter().all(|s| !s.samples.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, Vec<u8>)]) -> Result<Record, WfdbError> {
        read_record("r.hea", &|name| files.iter().find(|(n, _)| *n == name).map(|(_, b)| b.clone()))
    }

    fn pack_212(samples: &[i32]) -> Vec<u8> {
        samples
            .chunks(2)
            .flat_map(|pair| {
                let (a, b) = (pair[0] & 0xFFF, pair.get(1).copied().unwrap_or(0) & 0xFFF);
                [a as u8, (a >> 8 | (b >> 8) << 4) as u8, b as u8]
            })
            .collect()
    }

    #[test]
    fn every_format_gives_back_what_was_written() {
        let values = [0i32, 1, -1, 100, -100, 127, -127, 50];
        let bytes16: Vec<u8> = values.iter().flat_map(|&v| (v as i16).to_le_bytes()).collect();
        let bytes61: Vec<u8> = values.iter().flat_map(|&v| (v as i16).to_be_bytes()).collect();
        let bytes32: Vec<u8> = values.iter().flat_map(|&v| v.to_le_bytes()).collect();
        let bytes80: Vec<u8> = values.iter().map(|&v| (v + 128) as u8).collect();
        for (format, bytes) in [(16, bytes16), (61, bytes61), (32, bytes32), (80, bytes80), (212, pack_212(&values))] {
            let header = format!("r 1 100 8\nr.dat {format} 10(5)/mmHg 12 0 0 0 0 ABP\n");
            let record = read(&[("r.hea", header.into_bytes()), ("r.dat", bytes)]).expect("good");
            let want: Vec<f32> = values.iter().map(|&v| (v - 5) as f32 / 10.0).collect();
            assert_eq!(record.signals[0].samples, want, "format {format}");
            assert_eq!((record.signals[0].name.as_str(), record.signals[0].units.as_str()), ("ABP", "mmHg"));
        }
    }

    #[test]
    fn signals_of_unlike_rates_share_a_file() {
        // Two frames: four samples of ECG, one of ABP each.
        let header = b"r 2 125 2\nr.dat 212x4 200 12 0 0 0 0 II\nr.dat 212 20(0)/mmHg 12 0 0 0 0 ABP\n".to_vec();
        let data = pack_212(&[1, 2, 3, 4, 100, 5, 6, 7, 8, 200]);
        let record = read(&[("r.hea", header), ("r.dat", data)]).expect("good");
        assert_eq!(record.signals[0].rate_hz, 500.0);
        assert_eq!(
            record.signals[0].samples.iter().map(|v| (v * 200.0).round() as i32).collect::<Vec<_>>(),
            [1, 2, 3, 4, 5, 6, 7, 8]
        );
        assert_eq!(record.signals[1].samples, [5.0, 10.0]);
        assert!((record.duration_s - 0.016).abs() < 1e-9);
    }

    #[test]
    fn segments_follow_each_other_and_gaps_are_missing() {
        let files = [
            ("r.hea", b"r/4 1 10 6\nlayout 0\na 2\n~ 2\nb 2\n".to_vec()),
            ("a.hea", b"a 1 10 2\na.dat 80 1 8 0 0 0 0 PLETH\n".to_vec()),
            ("b.hea", b"b 1 10 2\nb.dat 80 1 8 0 0 0 0 PLETH\n".to_vec()),
            ("a.dat", vec![129, 130]),
            ("b.dat", vec![131, 132]),
        ];
        let samples = &read(&files).expect("good").signals[0].samples;
        assert_eq!((samples[..2].to_vec(), samples[4..].to_vec()), (vec![1.0, 2.0], vec![3.0, 4.0]));
        assert!(samples[2].is_nan() && samples[3].is_nan());
    }

    #[test]
    fn what_is_missing_or_short_is_named() {
        let header = b"r 1 100 8\nr.dat 16\n".to_vec();
        assert_eq!(read(&[("r.hea", header.clone())]), Err(WfdbError::Missing("r.dat".into())));
        let short = read(&[("r.hea", header), ("r.dat", vec![0; 15])]);
        assert_eq!(short, Err(WfdbError::Short { file: "r.dat".into(), got: 15, promised: 16 }));
        assert_eq!(read(&[]), Err(WfdbError::Missing("r.hea".into())));
    }

    #[test]
    fn hostile_headers_are_refused() {
        for header in [
            "",
            "r",
            "r x",
            "r 1 nan",
            "r 1 100 8\n../secret 16\n",
            "r 1 100 8\nr.dat 16x0\n",
            "r 1 100 8\nr.dat 8\n",
            "r/9 1 100\n",
            "r 99999999 100\n",
            "r 1 100 99999999999999\nr.dat 16\n",
            "r/1 1 1\nr 5\n",
            "r 1 1 1\nr.dat 16x\n",
        ] {
            let files = [("r.hea", header.as_bytes().to_vec()), ("r.dat", vec![0; 64])];
            assert!(read(&files).is_err(), "{header:?}");
        }
    }

    #[test]
    fn the_fuzz_body_survives_its_seeds() {
        let seeds: [&[u8]; 6] = [
            b"r 2 125 2\nr.dat 212x4 2000 12 0 168 -2716 0 III\nr.dat 212 20(-1600)/mmHg 12 0 0 0 0 ABP\n\0\x01\x02\x03\x04",
            b"r/2 1 10 4\na 2\nb 2\n\0",
            b"r 1 100\nr.dat 80:3+2 1(0)/x 8 0 0 0 0 PLETH\n\0abcdefgh",
            b"\0\0\0",
            b"r 1 1e300 1\nr.dat 16\n\0\0\0",
            b"r 1 100 1\nr.dat 16 1e-320(2147483647)/u\n\0\0\0",
        ];
        let mut state = 1u64;
        for seed in seeds {
            fuzz_read(seed);
            for _ in 0..400 {
                let mut bytes = seed.to_vec();
                for _ in 0..3 {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let at = (state >> 33) as usize % bytes.len();
                    bytes[at] = (state >> 25) as u8;
                }
                fuzz_read(&bytes);
            }
        }
    }
}
