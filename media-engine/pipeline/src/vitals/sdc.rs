//! Reads a snapshot of an IEEE 11073 SDC device: the MDIB of BICEPS (11073-10207) as XML, as `GetMdib` answers. Pure.
//!
//! Only what is switched on and valid counts; contexts, which name the patient, are read over.

use std::collections::BTreeMap;
use std::time::Duration;

use roxmltree::{Document, Node, ParsingOptions};

use super::mdc;
use super::report::{ALARMS_MAX, Alarm, NUMERICS_MAX, Numeric, Priority, Report, SAMPLES_MAX, WAVES_MAX, WavePiece, clean};

const NODES_MAX: u32 = 200_000;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdcError {
    #[error("it is no XML: {0}")]
    Xml(String),
    #[error("it holds no MDIB")]
    NoMdib,
}

/// What a descriptor says of the metric or alarm that a state names.
#[derive(Debug, Clone, Default)]
struct Descriptor {
    code: Option<u32>,
    unit: Option<u32>,
    period: Option<Duration>,
    priority: Option<Priority>,
    text: String,
}

pub fn read(text: &str) -> Result<Report, SdcError> {
    let options = ParsingOptions { nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|e| SdcError::Xml(e.to_string()))?;
    let named = |name: &'static str| move |n: &Node<'_, '_>| n.is_element() && n.tag_name().name() == name;
    let mdib = document.descendants().find(named("Mdib")).ok_or(SdcError::NoMdib)?;
    let mut described: BTreeMap<&str, Descriptor> = BTreeMap::new();
    for node in mdib.descendants().filter(|n| matches!(n.tag_name().name(), "Metric" | "AlertCondition")) {
        if let Some(handle) = node.attribute("Handle") {
            described.insert(handle, describe(node));
        }
    }
    let mut report = Report::default();
    for state in mdib.descendants().filter(named("State")) {
        let Some(handle) = state.attribute("DescriptorHandle") else { continue };
        let kind = state.attributes().find(|a| a.name() == "type").map_or("", |a| a.value());
        let kind = kind.rsplit(':').next().unwrap_or_default();
        let Some(descriptor) = described.get(handle) else { continue };
        let on = state.attribute("ActivationState").is_none_or(|s| s == "On");
        match kind {
            "NumericMetricState" if report.numerics.len() < NUMERICS_MAX => {
                report.numerics.extend(descriptor.code.map(|code| numeric(code, descriptor, state, on)));
            }
            "RealTimeSampleArrayMetricState" if on && report.waves.len() < WAVES_MAX => {
                report.waves.extend(wave(descriptor, state));
            }
            "AlertConditionState" | "LimitAlertConditionState" if report.alarms.len() < ALARMS_MAX => {
                report.alarms.push(Alarm {
                    id: clean(handle),
                    text: descriptor.text.clone(),
                    priority: descriptor.priority.unwrap_or(Priority::Unknown),
                    active: on && state.attribute("Presence") == Some("true"),
                    at: state.attribute("DeterminationTime").and_then(|t| t.parse().ok()).map(Duration::from_millis),
                });
            }
            _ => {}
        }
    }
    Ok(report)
}

/// For fuzzing: any text is read or refused.
pub fn fuzz(text: &str) {
    if let Ok(report) = read(text) {
        assert!(report.numerics.iter().all(|n| n.value.is_none_or(f32::is_finite)));
    }
}

/// A code, whose digits some editors wrap in invisible characters.
fn code(node: Node<'_, '_>, name: &str) -> Option<u32> {
    let child = node.children().find(|n| n.tag_name().name() == name)?;
    let digits: String = child.attribute("Code")?.chars().filter(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn describe(node: Node<'_, '_>) -> Descriptor {
    let kind = node.children().find(|n| n.tag_name().name() == "Type");
    let text = kind.and_then(|k| k.descendants().find(|n| n.tag_name().name() == "ConceptDescription")?.text());
    Descriptor {
        code: code(node, "Type"),
        unit: code(node, "Unit"),
        period: node.attribute("SamplePeriod").and_then(duration),
        priority: node.attribute("Priority").map(|p| match p {
            "Hi" => Priority::High,
            "Me" => Priority::Medium,
            "Lo" => Priority::Low,
            _ => Priority::Unknown,
        }),
        text: clean(text.unwrap_or_default()),
    }
}

/// The value of a state, if its quality is *valid*; and when it was determined.
fn value<'a>(state: Node<'a, 'a>) -> Option<(Node<'a, 'a>, Option<Duration>, bool)> {
    let value = state.children().find(|n| n.tag_name().name() == "MetricValue")?;
    let at = value.attribute("DeterminationTime").and_then(|t| t.parse().ok()).map(Duration::from_millis);
    let quality = value.children().find(|n| n.tag_name().name() == "MetricQuality");
    let valid = quality.is_some_and(|q| {
        matches!(q.attribute("Validity"), Some("Vld" | "Vldated")) && matches!(q.attribute("Mode"), None | Some("Real"))
    });
    Some((value, at, valid))
}

fn numeric(code: u32, descriptor: &Descriptor, state: Node<'_, '_>, on: bool) -> Numeric {
    let found = value(state);
    let at = found.as_ref().and_then(|(_, at, _)| *at);
    let measured = found.filter(|(_, _, valid)| on && *valid);
    let measured = measured.and_then(|(v, ..)| v.attribute("Value")?.trim().parse::<f32>().ok());
    let factor = descriptor.unit.map_or(1.0, mdc::unit_factor);
    Numeric::new(code, measured.filter(|v| mdc::is_value(*v)).map(|v| v * factor), at)
}

fn wave(descriptor: &Descriptor, state: Node<'_, '_>) -> Option<WavePiece> {
    let (value, start, valid) = value(state)?;
    let rate_hz = 1.0 / descriptor.period?.as_secs_f64();
    if !valid || !(0.1..=20_000.0).contains(&rate_hz) {
        return None;
    }
    let factor = descriptor.unit.map_or(1.0, mdc::unit_factor);
    let samples = value.attribute("Samples")?.split_whitespace().take(SAMPLES_MAX);
    let samples = samples.map(|s| s.parse::<f32>().map_or(f32::NAN, |v| v * factor)).collect();
    Some(WavePiece { code: descriptor.code?, rate_hz, samples, start })
}

/// An xsd:duration of seconds, minutes and hours: PT0.008S.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix("PT")?;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let at = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let number: f64 = rest[..at].parse().ok()?;
        seconds += number
            * match &rest[at..=at] {
                "H" => 3600.0,
                "M" => 60.0,
                "S" => 1.0,
                _ => return None,
            };
        rest = &rest[at + 1..];
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|d| !d.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"<msg:GetMdibResponse xmlns:msg="m" xmlns:pm="p" xmlns:xsi="x"><msg:Mdib><pm:MdDescription>
        <pm:Metric xsi:type="pm:NumericMetricDescriptor" Handle="hr"><pm:Type Code="147842"/><pm:Unit Code="264864"/></pm:Metric>
        <pm:Metric xsi:type="pm:NumericMetricDescriptor" Handle="co2"><pm:Type Code="151708"/><pm:Unit Code="265987"/></pm:Metric>
        <pm:Metric xsi:type="pm:RealTimeSampleArrayMetricDescriptor" Handle="ii" SamplePeriod="PT0.004S"><pm:Type Code="131330"/><pm:Unit Code="266419"/></pm:Metric>
        <pm:AlertCondition Handle="low" Priority="Hi"><pm:Type Code="1"><pm:ConceptDescription>SpO2 low</pm:ConceptDescription></pm:Type></pm:AlertCondition>
        </pm:MdDescription><pm:MdState>"#;

    fn mdib(states: &str) -> String {
        format!("{HEAD}{states}</pm:MdState></msg:Mdib></msg:GetMdibResponse>")
    }

    fn hr(attributes: &str, value: &str, validity: &str) -> String {
        mdib(&format!(
            r#"<pm:State xsi:type="pm:NumericMetricState" DescriptorHandle="hr" {attributes}><pm:MetricValue Value="{value}" DeterminationTime="1000"><pm:MetricQuality Validity="{validity}"/></pm:MetricValue></pm:State>"#
        ))
    }

    #[test]
    fn valid_numbers_in_our_units_waves_and_alarms_are_read() {
        let report = read(&hr(r#"ActivationState="On""#, "72", "Vld")).expect("good");
        assert_eq!(report.numerics, [Numeric { code: 147_842, value: Some(72.0), at: Some(Duration::from_secs(1)) }]);
        let more = r#"<pm:State xsi:type="pm:NumericMetricState" DescriptorHandle="co2"><pm:MetricValue Value="5.0"><pm:MetricQuality Validity="Vld"/></pm:MetricValue></pm:State>
            <pm:State xsi:type="pm:RealTimeSampleArrayMetricState" DescriptorHandle="ii"><pm:MetricValue Samples="1000 -500 x" DeterminationTime="9"><pm:MetricQuality Validity="Vld"/></pm:MetricValue></pm:State>
            <pm:State xsi:type="pm:AlertConditionState" ActivationState="On" Presence="true" DescriptorHandle="low"/>"#;
        let report = read(&mdib(more)).expect("good");
        assert!((report.numerics[0].value.expect("valid") - 37.5).abs() < 0.01, "kPa become mmHg");
        assert_eq!((report.waves[0].rate_hz, report.waves[0].samples[0], report.waves[0].samples[1]), (250.0, 1.0, -0.5));
        assert!(report.waves[0].samples[2].is_nan());
        assert!(report.alarms[0].active && report.alarms[0].priority == Priority::High && report.alarms[0].text == "SpO2 low");
    }

    #[test]
    fn what_is_off_or_not_valid_is_missing() {
        for (attributes, value, validity) in [
            (r#"ActivationState="Off""#, "72", "Vld"),
            ("", "72", "Inv"),
            ("", "72", "Qst"),
            ("", "72", "NA"),
            ("", "NaN", "Vld"),
            ("", "8388607", "Vld"),
        ] {
            assert_eq!(
                read(&hr(attributes, value, validity)).expect("good").numerics[0].value,
                None,
                "{attributes} {value} {validity}"
            );
        }
    }

    #[test]
    fn other_documents_are_refused() {
        assert_eq!(read("<a/>"), Err(SdcError::NoMdib));
        assert!(matches!(read("no"), Err(SdcError::Xml(_))));
        let bomb = r#"<!DOCTYPE a [<!ENTITY b "bb">]><Mdib>&b;</Mdib>"#;
        assert!(matches!(read(bomb), Err(SdcError::Xml(_))), "no entities of its own");
    }

    #[test]
    fn any_text_is_read_or_refused() {
        let seed = hr("", "72", "Vld");
        let mut state = 3u64;
        for _ in 0..3_000 {
            let mut bytes = seed.clone().into_bytes();
            for _ in 0..6 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (state >> 33) as usize % bytes.len();
                bytes[at] = (state >> 24) as u8 & 0x7f;
            }
            fuzz(&String::from_utf8_lossy(&bytes));
        }
    }
}
