//! Reads the waveforms of a DICOM object (12-lead ECG, general ECG, haemodynamics). Pure but for the file that the caller opened.
//! Source: DICOM PS3.3 C.10.9.

use dicom_dictionary_std::tags;
use dicom_object::mem::InMemElement;
use dicom_object::{InMemDicomObject, Tag};

use super::wfdb::{Record, Signal};

const CHANNELS_MAX: usize = 64;
const SAMPLES_MAX: usize = 16 << 20;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaveError {
    #[error("it holds no waveform")]
    None,
    #[error("its waveform lacks {0}")]
    Lacks(&'static str),
    #[error("its samples are kept as {0}, which is not supported")]
    Samples(String),
    #[error("its waveform is too large")]
    TooLarge,
}

/// The first group of waves that share a rate: of an ECG the rhythm itself, not the median beat.
pub fn read(object: &InMemDicomObject) -> Result<Record, WaveError> {
    let groups = items(object, tags::WAVEFORM_SEQUENCE);
    let group = groups.first().ok_or(WaveError::None)?;
    let n_channels = number(group, tags::NUMBER_OF_WAVEFORM_CHANNELS).ok_or(WaveError::Lacks("its number of channels"))? as usize;
    let rate_hz = number(group, tags::SAMPLING_FREQUENCY).filter(|r| (0.1..=100_000.0).contains(r));
    let rate_hz = rate_hz.ok_or(WaveError::Lacks("its rate"))?;
    let definitions = items(group, tags::CHANNEL_DEFINITION_SEQUENCE);
    if n_channels == 0 || n_channels > CHANNELS_MAX || definitions.len() != n_channels {
        return Err(WaveError::Lacks("a definition of each channel"));
    }
    let kind = text(group, tags::WAVEFORM_SAMPLE_INTERPRETATION);
    let width = match kind.as_str() {
        "SB" | "UB" => 1,
        "SS" | "US" => 2,
        _ => return Err(WaveError::Samples(kind.chars().take(8).collect())),
    };
    let data = element(group, tags::WAVEFORM_DATA).and_then(|e| e.to_bytes().ok()).ok_or(WaveError::Lacks("its samples"))?;
    if data.len() / width > SAMPLES_MAX {
        return Err(WaveError::TooLarge);
    }
    let padding = element(group, tags::WAVEFORM_PADDING_VALUE).and_then(|e| e.to_bytes().ok());
    let padding = padding.and_then(|p| p.get(..width).map(|p| raw(p, &kind)));
    let mut signals: Vec<Signal> = definitions
        .iter()
        .map(|d| Signal { name: name(d), units: units(d), rate_hz, samples: Vec::with_capacity(data.len() / width / n_channels) })
        .collect();
    let scales: Vec<(f64, f64)> = definitions.iter().map(|d| scale(d)).collect();
    // Interleaved: one sample of each channel, then the next.
    for frame in data.chunks_exact(width * n_channels) {
        for ((sample, signal), (step, baseline)) in frame.chunks_exact(width).zip(&mut signals).zip(&scales) {
            let value = raw(sample, &kind);
            signal.samples.push(if padding == Some(value) { f32::NAN } else { (value * step + baseline) as f32 });
        }
    }
    let duration_s = signals.first().map_or(0.0, |s| s.samples.len() as f64 / rate_hz);
    if duration_s == 0.0 {
        return Err(WaveError::None);
    }
    Ok(Record { signals, duration_s })
}

/// For fuzzing: any bytes as a file are read or refused; a parser of the file that panics is caught, what is done here must not.
pub fn fuzz(bytes: &[u8]) {
    let parsed = std::panic::catch_unwind(|| dicom_object::from_reader(bytes));
    let Some(object) = parsed.ok().and_then(Result::ok) else { return };
    if let Ok(record) = read(&object) {
        assert!(!record.signals.is_empty() && record.duration_s > 0.0);
    }
}

fn raw(bytes: &[u8], kind: &str) -> f64 {
    match (kind, bytes) {
        ("SS", [a, b]) => f64::from(i16::from_le_bytes([*a, *b])),
        ("US", [a, b]) => f64::from(u16::from_le_bytes([*a, *b])),
        ("SB", [a]) => f64::from(*a as i8),
        (_, [a]) => f64::from(*a),
        _ => 0.0,
    }
}

/// Millivolts where the file says microvolts or volts.
fn scale(definition: &InMemDicomObject) -> (f64, f64) {
    let of = |tag| number(definition, tag);
    let to_ours = match unit(definition).as_str() {
        "uV" => 1e-3,
        "V" => 1e3,
        _ => 1.0,
    };
    let step = of(tags::CHANNEL_SENSITIVITY).unwrap_or(1.0) * of(tags::CHANNEL_SENSITIVITY_CORRECTION_FACTOR).unwrap_or(1.0);
    (step * to_ours, of(tags::CHANNEL_BASELINE).unwrap_or(0.0) * to_ours)
}

fn units(definition: &InMemDicomObject) -> String {
    match unit(definition).as_str() {
        "uV" | "mV" | "V" => "mV".to_owned(),
        "mm[Hg]" | "mmHg" => "mmHg".to_owned(),
        other => other.chars().take(12).collect(),
    }
}

fn unit(definition: &InMemDicomObject) -> String {
    let units = items(definition, tags::CHANNEL_SENSITIVITY_UNITS_SEQUENCE);
    units.first().map(|u| text(u, tags::CODE_VALUE)).unwrap_or_default()
}

/// *Lead II (Einthoven)* is II.
fn name(definition: &InMemDicomObject) -> String {
    let sources = items(definition, tags::CHANNEL_SOURCE_SEQUENCE);
    let meaning = sources.first().map(|s| text(s, tags::CODE_MEANING)).unwrap_or_default();
    let meaning = if meaning.is_empty() { text(definition, tags::CHANNEL_LABEL) } else { meaning };
    let short = meaning.split('(').next().unwrap_or_default().trim();
    let short = short.strip_prefix("Lead ").or_else(|| short.strip_prefix("lead ")).unwrap_or(short);
    short.chars().filter(|c| !c.is_control()).take(24).collect()
}

fn element(object: &InMemDicomObject, tag: Tag) -> Option<&InMemElement> {
    object.element(tag).ok()
}

fn items(object: &InMemDicomObject, tag: Tag) -> Vec<&InMemDicomObject> {
    element(object, tag).and_then(|e| e.items()).map(|items| items.iter().collect()).unwrap_or_default()
}

fn number(object: &InMemDicomObject, tag: Tag) -> Option<f64> {
    element(object, tag)?.to_float64().ok().filter(|n| n.is_finite())
}

fn text(object: &InMemDicomObject, tag: Tag) -> String {
    element(object, tag).and_then(|e| e.to_str().ok()).map(|t| t.trim().to_owned()).unwrap_or_default()
}
