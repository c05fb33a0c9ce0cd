//! Reads MFER (ISO 22077-1), the encoding of medical waveforms used in Japan. Pure: bytes in, waves out; who the patient is is read over.

use super::wfdb::{Record, Signal};

const CHANNELS_MAX: usize = 64;
const SAMPLES_MAX: usize = 64 << 20;
const DEPTH_MAX: usize = 2;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MferError {
    #[error("it ends in the middle of a field")]
    Cut,
    #[error("it is no MFER file")]
    NotMfer,
    #[error("field {0:#04x}: {1}")]
    Field(u8, &'static str),
    #[error("it is too large")]
    TooLarge,
    #[error("it has no samples")]
    Empty,
}

/// Of one channel, or of all where a channel says nothing itself.
#[derive(Debug, Clone, Copy)]
struct Channel {
    lead: u16,
    kind: u8,
    block: usize,
    rate_hz: f64,
    /// Physical value of one step, in `unit`.
    step: f64,
    unit: u8,
    offset: f64,
    null: Option<i64>,
}

/// The value of one tag, and where the next begins.
struct Field<'a> {
    tag: u8,
    /// Of a channel attribute.
    channel: usize,
    value: &'a [u8],
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, MferError> {
        let (&first, rest) = self.rest.split_first().ok_or(MferError::Cut)?;
        self.rest = rest;
        Ok(first)
    }

    /// `None` at the end: of the bytes, or the end tag.
    fn next(&mut self) -> Result<Option<Field<'a>>, MferError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.byte()?;
        if tag == 0x80 {
            return Ok(None);
        }
        let channel = if tag == 0x3F { usize::from(self.byte()?) } else { 0 };
        let short = self.byte()?;
        let length = if short & 0x80 == 0 {
            usize::from(short)
        } else {
            let n = usize::from(short & 0x7F);
            if n == 0 || n > 4 {
                return Err(MferError::Field(tag, "a length of more than four bytes"));
            }
            (0..n).try_fold(0usize, |length, _| Ok::<_, MferError>(length << 8 | usize::from(self.byte()?)))?
        };
        // A recorder that lost its power leaves the last waveform short.
        let length = if tag == 0x1E { length.min(self.rest.len()) } else { length };
        if length > self.rest.len() {
            return Err(MferError::Cut);
        }
        let (value, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(Some(Field { tag, channel, value }))
    }
}

struct Parser {
    little: bool,
    sequences: usize,
    defaults: Channel,
    channels: Vec<Channel>,
    /// By channel, physical units.
    samples: Vec<Vec<f32>>,
    seen: bool,
}

/// All waves of a file, each at its own rate.
pub fn read(bytes: &[u8]) -> Result<Record, MferError> {
    let defaults = Channel { lead: 0, kind: 0, block: 0, rate_hz: 1000.0, step: 1.0, unit: 0xFF, offset: 0.0, null: None };
    let mut parser = Parser { little: false, sequences: 1, defaults, channels: Vec::new(), samples: Vec::new(), seen: false };
    parser.read(bytes)?;
    if parser.samples.iter().all(Vec::is_empty) {
        return Err(if parser.seen { MferError::Empty } else { MferError::NotMfer });
    }
    let signals: Vec<Signal> = parser.channels.iter().zip(parser.samples).map(|(c, samples)| signal(c, samples)).collect();
    let longest = signals.iter().map(|s| s.samples.len() as f64 / s.rate_hz).fold(0.0, f64::max);
    Ok(Record { signals: signals.into_iter().filter(|s| !s.samples.is_empty()).collect(), duration_s: longest })
}

/// For fuzzing: any bytes are read or refused.
pub fn fuzz(bytes: &[u8]) {
    if let Ok(record) = read(bytes) {
        assert!(record.duration_s > 0.0 && record.signals.iter().all(|s| s.rate_hz > 0.0));
    }
}

fn signal(c: &Channel, mut samples: Vec<f32>) -> Signal {
    let volts = c.unit == 0;
    if volts {
        samples.iter_mut().for_each(|v| *v *= 1000.0);
    }
    let units = match c.unit {
        0 => "mV",
        1 => "mmHg",
        _ => "NU",
    };
    let name = match c.lead {
        1 => "I",
        2 => "II",
        3 => "V1",
        4 => "V2",
        5 => "V3",
        6 => "V4",
        7 => "V5",
        8 => "V6",
        61 => "III",
        62 => "aVR",
        63 => "aVL",
        64 => "aVF",
        0xC00A => "ABP",
        // Two further pressures of one maker's export, by what they measure there.
        0xC012 => "PAP",
        0xC013 => "CVP",
        _ => "",
    };
    let name = if name.is_empty() { format!("lead {:#06x}", c.lead) } else { name.to_owned() };
    Signal { name, units: units.to_owned(), rate_hz: c.rate_hz, samples }
}

impl Parser {
    fn read(&mut self, bytes: &[u8]) -> Result<(), MferError> {
        let mut reader = Reader { rest: bytes };
        while let Some(field) = reader.next()? {
            match field.tag {
                0x40 => self.seen |= field.value.starts_with(b"MFR"),
                0x01 => self.little = field.value.first() == Some(&1),
                0x05 => {
                    let n = self.unsigned(field.value) as usize;
                    if n > CHANNELS_MAX {
                        return Err(MferError::TooLarge);
                    }
                    self.channels.resize(n, self.defaults);
                    self.samples.resize(n, Vec::new());
                }
                0x06 => self.sequences = (self.unsigned(field.value) as usize).max(1),
                0x3F => {
                    if field.channel >= CHANNELS_MAX {
                        return Err(MferError::TooLarge);
                    }
                    if self.channels.len() <= field.channel {
                        self.channels.resize(field.channel + 1, self.defaults);
                        self.samples.resize(field.channel + 1, Vec::new());
                    }
                    let mut channel = self.channels[field.channel];
                    self.attributes(field.value, &mut channel, 0)?;
                    self.channels[field.channel] = channel;
                }
                0x1E => self.waveform(field.value)?,
                _ => {
                    let mut defaults = self.defaults;
                    self.attribute(&field, &mut defaults)?;
                    self.defaults = defaults;
                    // What all channels have is said before them.
                    if matches!(field.tag, 0x04 | 0x0A..=0x0D | 0x12) {
                        for n in 0..self.channels.len() {
                            let mut channel = self.channels[n];
                            self.attribute(&field, &mut channel)?;
                            self.channels[n] = channel;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn attributes(&self, bytes: &[u8], channel: &mut Channel, depth: usize) -> Result<(), MferError> {
        let mut reader = Reader { rest: bytes };
        while let Some(field) = reader.next()? {
            match field.tag {
                0x3F if depth < DEPTH_MAX => self.attributes(field.value, channel, depth + 1)?,
                _ => self.attribute(&field, channel)?,
            }
        }
        Ok(())
    }

    fn attribute(&self, field: &Field<'_>, channel: &mut Channel) -> Result<(), MferError> {
        let value = field.value;
        match field.tag {
            0x04 => channel.block = self.unsigned(value) as usize,
            0x09 => channel.lead = self.unsigned(&value[..value.len().min(2)]) as u16,
            0x0A => channel.kind = value.first().copied().unwrap_or(0),
            0x0B => {
                let (unit, size) = self.scaled(field)?;
                // Hertz, or seconds.
                let rate = if unit == 0 { size } else { 1.0 / size };
                if !(rate.is_finite() && (0.01..=100_000.0).contains(&rate)) {
                    return Err(MferError::Field(0x0B, "an interval that cannot be"));
                }
                channel.rate_hz = rate;
            }
            0x0C => {
                let (unit, size) = self.scaled(field)?;
                if !size.is_finite() {
                    return Err(MferError::Field(0x0C, "a resolution that cannot be"));
                }
                (channel.unit, channel.step) = (unit, size);
            }
            0x0D => channel.offset = self.signed(value) as f64,
            0x12 => channel.null = Some(self.signed(value)),
            _ => {}
        }
        Ok(())
    }

    /// Unit, exponent of ten, mantissa.
    fn scaled(&self, field: &Field<'_>) -> Result<(u8, f64), MferError> {
        let [unit, exponent, mantissa @ ..] = field.value else { return Err(MferError::Field(field.tag, "too short")) };
        Ok((*unit, self.signed(mantissa) as f64 * 10f64.powi(i32::from(*exponent as i8))))
    }

    fn unsigned(&self, bytes: &[u8]) -> u64 {
        let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        let bytes = &bytes[..bytes.len().min(8)];
        if self.little { bytes.iter().rev().fold(0, fold) } else { bytes.iter().fold(0, fold) }
    }

    fn signed(&self, bytes: &[u8]) -> i64 {
        let bits = 8 * bytes.len().min(8) as u32;
        if bits == 0 {
            return 0;
        }
        (self.unsigned(bytes) << (64 - bits)) as i64 >> (64 - bits)
    }

    /// Sequence by sequence, channel by channel, all samples of the channel in that sequence.
    fn waveform(&mut self, bytes: &[u8]) -> Result<(), MferError> {
        let mut rest = bytes;
        if self.channels.iter().all(|c| c.block == 0) {
            return Err(MferError::Field(0x1E, "no samples a sequence were declared"));
        }
        // An endless one (zero sequences, or too many) goes on as long as there are bytes.
        for _ in 0..self.sequences.min(bytes.len()) {
            for n in 0..self.channels.len() {
                let channel = self.channels[n];
                let width = match channel.kind {
                    0 | 1 | 4 => 2,
                    2 | 6 | 7 => 4,
                    3 | 5 => 1,
                    8 => 8,
                    _ => return Err(MferError::Field(0x0A, "a type of samples that is not supported")),
                };
                let take = (channel.block.saturating_mul(width)).min(rest.len() / width * width);
                let (block, after) = rest.split_at(take);
                rest = after;
                if self.samples[n].len() + block.len() / width > SAMPLES_MAX {
                    return Err(MferError::TooLarge);
                }
                // Status words are no wave.
                if channel.kind != 4 {
                    let values: Vec<f32> = block.chunks_exact(width).map(|b| self.sample(b, &channel)).collect();
                    self.samples[n].extend(values);
                }
            }
            if rest.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn sample(&self, bytes: &[u8], channel: &Channel) -> f32 {
        if channel.null.is_some_and(|null| self.signed(bytes) == null) {
            return f32::NAN;
        }
        let raw = match channel.kind {
            1 | 3 | 6 => self.unsigned(bytes) as f64,
            7 => f64::from(f32::from_bits(self.unsigned(bytes) as u32)),
            8 => f64::from_bits(self.unsigned(bytes)),
            _ => self.signed(bytes) as f64,
        };
        ((raw - channel.offset) * channel.step) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sequences of two channels: II at 250 Hz, three samples each, and a pressure at 125 Hz, one each.
    fn file() -> Vec<u8> {
        let mut f = b"\x40\x04MFR \x01\x01\x01\x82\x03abc\x05\x01\x02\x06\x02\x02\x00\x12\x02\x00\x80".to_vec();
        f.extend(b"\x3f\x00\x15\x09\x02\x02\x00\x0a\x01\x00\x04\x01\x03\x0b\x03\x01\xfd\x04\x0c\x04\x00\xfa\x02\x00");
        f.extend(b"\x3f\x01\x15\x09\x02\x0a\xc0\x0a\x01\x00\x04\x01\x01\x0b\x03\x01\xfd\x08\x0c\x04\x01\xfd\x7d\x00");
        f.extend(b"\x1e\x84\x00\x00\x00\x10");
        for v in [500i16, -500, i16::MIN, 800, 1, 2, 3, 960] {
            f.extend(v.to_le_bytes());
        }
        f
    }

    #[test]
    fn channels_are_read_sequence_by_sequence_in_their_units_and_a_null_is_missing() {
        let record = read(&file()).expect("good");
        let [ecg, abp] = &record.signals[..] else { panic!("{record:?}") };
        assert_eq!((ecg.name.as_str(), ecg.units.as_str(), ecg.rate_hz), ("II", "mV", 250.0));
        assert_eq!(ecg.samples.len(), 6);
        assert!((ecg.samples[0] - 1.0).abs() < 1e-4 && (ecg.samples[1] + 1.0).abs() < 1e-4 && ecg.samples[2].is_nan());
        assert_eq!((abp.name.as_str(), abp.rate_hz, &abp.samples[..]), ("ABP", 125.0, &[100.0, 120.0][..]));
    }

    #[test]
    fn a_file_that_was_cut_keeps_what_it_has() {
        let whole = file();
        let record = read(&whole[..whole.len() - 5]).expect("the waveform may be short");
        assert_eq!(record.signals[0].samples.len() + record.signals[1].samples.len(), 5);
    }

    #[test]
    fn what_is_no_mfer_or_cannot_be_is_refused() {
        assert_eq!(read(b""), Err(MferError::NotMfer));
        assert_eq!(read(b"\x40\x7fMFR"), Err(MferError::Cut));
        assert!(read(b"\x40\x04MFR \x05\x01\xff").is_err());
        let zero = file().windows(5).position(|w| w == b"\x0b\x03\x01\xfd\x04").expect("there");
        let mut bad = file();
        bad[zero + 4] = 0;
        assert!(matches!(read(&bad), Err(MferError::Field(0x0B, _))));
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        let seed = file();
        let mut state = 7u64;
        for _ in 0..20_000 {
            let mut bytes = seed.clone();
            for _ in 0..4 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (state >> 33) as usize % bytes.len();
                bytes[at] = (state >> 24) as u8;
            }
            fuzz(&bytes);
        }
    }
}
