use std::time::Duration;

use super::*;

const HEAD: &str = "MSH|^~\\&|MON^1^EUI-64||SHIRUBE||20260401093000.000+0900||ORU^R01^ORU_R01|M1|P|2.6|||AL|NE||UNICODE UTF-8\r";

fn ack_text(outcome: &Outcome) -> String {
    String::from_utf8(outcome.ack.clone()).expect("ASCII")
}

#[test]
fn numbers_are_read_and_acknowledged() {
    let text = format!(
        "{HEAD}PID|||1||N^N\rOBR|1|||1^m^SCT|||20260401093000.000+0900\rOBX|1||69965^MDS^MDC|1.0.0.0|||||||X\rOBX|2|NM|147842^HR^MDC|1.1|72|264864^x^MDC|||||R|||20260401093001.500+0900\r"
    );
    let outcome = handle(text.as_bytes());
    assert_eq!(outcome.answer, Answer::Accept);
    let at = Some(Duration::from_millis(1_775_003_401_500));
    assert_eq!(outcome.report.numerics, [Numeric { code: 147_842, value: Some(72.0), at }]);
    assert_eq!(ack_text(&outcome), "MSH|^~\\&|SHIRUBE||MON^1^EUI-64||||ACK^R01^ACK|AM1|P|2.6\rMSA|AA|M1\r");
}

#[test]
fn what_is_no_value_is_missing_never_a_number() {
    for observation in [
        "OBX|1|NM|147842^^MDC|1|-999|||||R",
        "OBX|1|NM|147842^^MDC|1||||||R",
        "OBX|1|NM|147842^^MDC|1|--|||||R",
        "OBX|1|NM|147842^^MDC|1|72||||||X",
        "OBX|1|NM|147842^^MDC|1|72|||INV|||R",
        "OBX|1|NM|147842^^MDC|1|72|||L~DEMO|||R",
        "OBX|1|NM|147842^^MDC|1|nan|||||R",
        "OBX|1|NM|147842^^MDC|1|8388607|||||R",
    ] {
        let outcome = handle(format!("{HEAD}{observation}\r").as_bytes());
        assert_eq!(outcome.report.numerics, [Numeric { code: 147_842, value: None, at: None }], "{observation}");
    }
}

#[test]
fn a_wave_has_the_rate_that_comes_below_it_and_microvolts_become_millivolts() {
    let head = HEAD.replace("R01", "W01");
    let text = format!(
        "{head}OBR|1||||||20260401093000+0900\rOBX|1|NA|131330^^MDC|1.1.1.1|100^-50^^20|266419^uV^MDC\rOBX|2|NM|67981^^MDC|1.1.1.1.1|500|264608^^MDC\r"
    );
    let outcome = handle(text.as_bytes());
    let wave = &outcome.report.waves[0];
    assert_eq!((wave.code, wave.rate_hz, wave.start), (131_330, 500.0, Some(Duration::from_secs(1_775_003_400))));
    assert!([(0, 0.1), (1, -0.05), (3, 0.02)].iter().all(|&(n, v): &(usize, f32)| (wave.samples[n] - v).abs() < 1e-6));
    assert!(wave.samples[2].is_nan(), "an empty sample is missing");
}

#[test]
fn an_alarm_begins_and_ends() {
    let text = |phase: &str| {
        let head = HEAD.replace("R01", "R40");
        format!(
            "{head}OBR|1||A77^MON|196616^^MDC|||20260401093012+0900\rOBX|1|ST|196670^LO^MDC|1|SpO2 low|||L~PM~SP\rOBX|2|NM|150456^^MDC|2|86|||L|||R\rOBX|3|ST|68481^^MDC|3|{phase}\r"
        )
    };
    let begun = handle(text("start").as_bytes()).report;
    assert_eq!((begun.alarms.len(), begun.numerics[0].value), (1, Some(86.0)));
    let alarm = &begun.alarms[0];
    assert_eq!(
        (alarm.id.as_str(), alarm.text.as_str(), alarm.priority, alarm.active),
        ("A77", "SpO2 low", Priority::Medium, true)
    );
    assert!(!handle(text("end").as_bytes()).report.alarms[0].active);
}

#[test]
fn half_a_character_that_looks_like_a_separator_does_not_cut_a_field() {
    // 亜 is 0x30 0x21; ＾ is 0x21 0x30; 縺 is 0x66 0x5E: its second half is '^'.
    let head = HEAD.replace("UNICODE UTF-8", "~ISO IR87");
    let mut bytes = format!("{head}PID|||1||").into_bytes();
    bytes.extend(b"\x1b$B\x66\x5e\x66\x7c\x1b(B");
    bytes.extend(b"\rOBX|1|NM|147842^^MDC|1|60||||||R\r");
    let outcome = handle(&bytes);
    assert_eq!((outcome.answer, outcome.report.numerics[0].value), (Answer::Accept, Some(60.0)));
}

#[test]
fn what_is_not_for_us_is_rejected_and_what_is_broken_is_an_error() {
    for (text, answer) in [
        ("", Answer::Reject),
        ("hello", Answer::Reject),
        ("MSH", Answer::Reject),
        ("MSH|^~\\&|A|B|C|D|||ADT^A01|7|P|2.5\r", Answer::Reject),
        ("MSH|^~\\&|MON||||20260401||ORU^R01|1|P|2.3\rOBX|1|147842^HR^MDC||88|||F\rOBX|2|NM\r", Answer::Error),
    ] {
        let outcome = handle(text.as_bytes());
        assert_eq!(outcome.answer, answer, "{text}");
        assert!(outcome.report.is_empty(), "{text}");
    }
    // The good half of a message is taken, and the sender hears of the bad one.
    let half = handle(format!("{HEAD}OBX|1|NM|147842^^MDC|1|60||||||R\rOBX|2|NM\r").as_bytes());
    assert_eq!((half.answer, half.report.numerics.len()), (Answer::Error, 1));
    assert!(ack_text(&half).contains("MSA|AE|M1\rERR|"));
}

#[test]
fn times_have_a_zone_or_are_unknown() {
    assert_eq!(time("20260401093000.25+0900"), Some(Duration::from_millis(1_775_003_400_250)));
    assert_eq!(time("20260401003000+0000"), Some(Duration::from_secs(1_775_003_400)));
    assert_eq!(time("20260331193000-0500"), Some(Duration::from_secs(1_775_003_400)));
    for bad in
        ["", "20260401", "20260401093000", "20261301093000+0900", "x0260401093000+0900", "2026+0900", "時刻時刻時刻時+0900"]
    {
        assert_eq!(time(bad), None, "{bad}");
    }
}

#[test]
fn any_bytes_are_answered() {
    let seed = format!(
        "{HEAD}OBR|1||A77^MON|196616^^MDC|||20260401093012+0900\rOBX|1|NA|131330^^MDC|1.1|1^2|266418\rOBX|2|NM|67981^^MDC|1.1.1|500\r"
    );
    let mut state = 1u64;
    for _ in 0..3_000 {
        let mut bytes = seed.clone().into_bytes();
        for _ in 0..8 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (state >> 33) as usize % bytes.len();
            match state >> 61 {
                0 => bytes.truncate(at.max(1)),
                1 => bytes[at] = b'|',
                2 => bytes[at] = 0x1b,
                3 => drop(bytes.remove(at)),
                4 => bytes.insert(at, b'\r'),
                _ => bytes[at] = (state >> 20) as u8,
            }
            if bytes.is_empty() {
                bytes.push(b'M');
            }
        }
        fuzz(&bytes);
    }
}
