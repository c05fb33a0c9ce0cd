//! The part of the nomenclature of ISO/IEEE 11073-10101 (MDC) that a theatre's monitors use. Codes are context-free (partition × 65,536 + term).

use super::waves::Kind;

/// A number that is shown. `name`: as on a monitor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameter {
    pub code: u32,
    pub name: &'static str,
    pub unit: &'static str,
    /// What a living or dying patient can have; the rest is a sentinel or an error.
    pub range: (f32, f32),
}

const fn p(code: u32, name: &'static str, unit: &'static str, low: f32, high: f32) -> Parameter {
    Parameter { code, name, unit, range: (low, high) }
}

const PRESSURE: (f32, f32) = (-50.0, 400.0);

/// In the order in which a monitor lists them.
pub const PARAMETERS: [Parameter; 26] = [
    p(147_842, "HR", "/min", 0.0, 350.0),
    p(149_530, "PR", "/min", 0.0, 350.0),
    p(149_514, "PR", "/min", 0.0, 350.0),
    p(150_456, "SpO2", "%", 0.0, 100.0),
    p(150_037, "ABP-sys", "mmHg", PRESSURE.0, PRESSURE.1),
    p(150_038, "ABP-dia", "mmHg", PRESSURE.0, PRESSURE.1),
    p(150_039, "ABP-mean", "mmHg", PRESSURE.0, PRESSURE.1),
    p(150_033, "ABP-sys", "mmHg", PRESSURE.0, PRESSURE.1),
    p(150_034, "ABP-dia", "mmHg", PRESSURE.0, PRESSURE.1),
    p(150_035, "ABP-mean", "mmHg", PRESSURE.0, PRESSURE.1),
    p(150_045, "PAP-sys", "mmHg", PRESSURE.0, PRESSURE.1),
    p(150_046, "PAP-dia", "mmHg", PRESSURE.0, PRESSURE.1),
    p(150_047, "PAP-mean", "mmHg", PRESSURE.0, PRESSURE.1),
    p(150_087, "CVP-mean", "mmHg", PRESSURE.0, PRESSURE.1),
    p(150_021, "NIBP-sys", "mmHg", 0.0, PRESSURE.1),
    p(150_022, "NIBP-dia", "mmHg", 0.0, PRESSURE.1),
    p(150_023, "NIBP-mean", "mmHg", 0.0, PRESSURE.1),
    p(150_301, "NIBP-sys", "mmHg", 0.0, PRESSURE.1),
    p(150_302, "NIBP-dia", "mmHg", 0.0, PRESSURE.1),
    p(150_303, "NIBP-mean", "mmHg", 0.0, PRESSURE.1),
    p(151_562, "RR", "/min", 0.0, 200.0),
    p(151_578, "RR", "/min", 0.0, 200.0),
    p(151_594, "RR", "/min", 0.0, 200.0),
    p(151_708, "EtCO2", "mmHg", 0.0, 200.0),
    p(150_344, "TEMP", "degC", 10.0, 46.0),
    p(150_364, "TEMP", "degC", 10.0, 46.0),
];

pub fn parameter(code: u32) -> Option<&'static Parameter> {
    PARAMETERS.iter().find(|p| p.code == code)
}

/// NaN, NRes and the infinities of 11073's FLOAT and SFLOAT as makers print them, and numbers that mean *no value*.
const SENTINELS: [f32; 12] = [
    8_388_607.0,
    8_388_608.0,
    -8_388_608.0,
    8_388_606.0,
    8_388_610.0,
    32_767.0,
    -32_768.0,
    2_047.0,
    -2_048.0,
    -999.0,
    -9_999.0,
    -99.9,
];

/// Can this be a measured value of this parameter?
pub fn is_plausible(code: u32, value: f32) -> bool {
    is_value(value) && parameter(code).is_none_or(|p| (p.range.0..=p.range.1).contains(&value))
}

/// Not a sentinel.
pub fn is_value(value: f32) -> bool {
    value.is_finite() && !SENTINELS.contains(&value)
}

/// A wave that is drawn: its kind, its label, and what a row of it shows until more is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WaveOf {
    pub kind: Kind,
    pub label: &'static str,
    pub unit: &'static str,
    pub range: (f32, f32),
}

pub fn wave(code: u32) -> Option<WaveOf> {
    let ecg = |label| WaveOf { kind: Kind::Ecg, label, unit: "mV", range: (-1.0, 1.8) };
    Some(match code {
        131_328 => ecg("ECG"),
        131_329 => ecg("I"),
        131_330 => ecg("II"),
        131_331 => ecg("V1"),
        131_332 => ecg("V2"),
        131_333 => ecg("V3"),
        131_334 => ecg("V4"),
        131_335 => ecg("V5"),
        131_336 => ecg("V6"),
        131_389 => ecg("III"),
        131_390 => ecg("aVR"),
        131_391 => ecg("aVL"),
        131_392 => ecg("aVF"),
        150_016 | 150_032 | 150_036 => WaveOf { kind: Kind::Arterial, label: "ABP", unit: "mmHg", range: (20.0, 180.0) },
        150_044 => WaveOf { kind: Kind::Pulmonary, label: "PAP", unit: "mmHg", range: (0.0, 60.0) },
        150_084 => WaveOf { kind: Kind::Venous, label: "CVP", unit: "mmHg", range: (-5.0, 25.0) },
        150_452 => WaveOf { kind: Kind::Pleth, label: "PLETH", unit: "", range: (-700.0, 700.0) },
        _ => return None,
    })
}

/// What makes a value in the unit with this code one in ours: waves are in mV, pressures in mmHg.
pub fn unit_factor(unit: u32) -> f32 {
    match unit {
        // MDC_DIM_MICRO_VOLT, MDC_DIM_VOLT
        266_419 => 1e-3,
        266_400 => 1e3,
        // MDC_DIM_KILO_PASCAL
        265_987 => 7.500_62,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinels_and_what_cannot_be_are_no_values() {
        for (code, value) in [
            (147_842, -999.0),
            (150_456, 8_388_607.0),
            (150_344, -99.9),
            (150_344, 0.0),
            (150_456, 101.0),
            (147_842, f32::NAN),
            (147_842, f32::INFINITY),
        ] {
            assert!(!is_plausible(code, value), "{code} {value}");
        }
        for (code, value) in [(147_842, 0.0), (150_037, -4.0), (150_344, 36.4), (150_456, 100.0), (999, 12.0)] {
            assert!(is_plausible(code, value), "{code} {value}");
        }
    }

    #[test]
    fn no_code_is_listed_twice() {
        for (n, p) in PARAMETERS.iter().enumerate() {
            assert!(PARAMETERS[..n].iter().all(|q| q.code != p.code), "{}", p.code);
        }
    }
}
