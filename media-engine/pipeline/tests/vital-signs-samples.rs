//! Every file of vital signs among the sample data, where it is there.

use std::path::PathBuf;

use pipeline::feed::{SourceConfig, View, prepare};
use pipeline::picture::Geometry;
use pipeline::vitals::hl7::{self, Answer};
use pipeline::vitals::mllp::Mllp;
use pipeline::vitals::{dicom_wave, mfer, sdc};

fn sample(path: &str) -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/vitals").join(path);
    root.exists().then_some(root)
}

#[test]
fn hl7() {
    let Some(folder) = sample("hl7") else { return };
    let read = |name: &str| std::fs::read(folder.join(name)).expect("a sample");
    let number = |o: &hl7::Outcome, code: u32| o.report.numerics.iter().find(|n| n.code == code).map(|n| n.value);

    let monitor = hl7::handle(&read("01_pcd01_or_monitor.hl7"));
    assert_eq!((monitor.answer, monitor.report.numerics.len(), monitor.report.skipped), (Answer::Accept, 9, 0));
    assert_eq!((number(&monitor, 147_842), number(&monitor, 150_037)), (Some(Some(72.0)), Some(Some(118.0))));
    let at = monitor.report.numerics[0].at.expect("a zone").as_secs();
    assert_eq!(at, 1_775_003_400, "09:30 in Japan");

    let missing = hl7::handle(&read("02_sentinels_missing.hl7"));
    assert_eq!((missing.answer, missing.report.numerics.len()), (Answer::Accept, 5));
    assert!(missing.report.numerics.iter().all(|n| n.value.is_none()), "{:?}", missing.report.numerics);

    let alarm = hl7::handle(&read("03_alarm_spo2_start.hl7"));
    assert_eq!((alarm.answer, alarm.report.alarms.len()), (Answer::Accept, 1));
    assert!(alarm.report.alarms[0].active && alarm.report.alarms[0].text == "SpO2 low");
    let end = hl7::handle(&read("04_alarm_spo2_end.hl7"));
    assert!(!end.report.alarms[0].active && end.report.alarms[0].id == alarm.report.alarms[0].id);

    let waves = hl7::handle(&read("05_waveform_w01_1s.hl7"));
    let found: Vec<_> = waves.report.waves.iter().map(|w| (w.code, w.rate_hz, w.samples.len())).collect();
    assert_eq!(
        (waves.answer, found),
        (Answer::Accept, vec![(131_389, 500.0, 500), (150_016, 125.0, 125), (150_452, 125.0, 125)])
    );
    assert!(waves.report.waves[0].samples.iter().all(|v| v.abs() < 3.0), "millivolts");

    let (mut mllp, mut messages) = (Mllp::default(), Vec::new());
    mllp.push(&read("06_mllp_framed.mllp"), |m| messages.push(m.to_vec()));
    assert_eq!((messages.len(), mllp.dropped), (1, 0));
    assert_eq!(number(&hl7::handle(&messages[0]), 147_842), Some(Some(60.0)));

    let japanese = hl7::handle(&read("07_iso2022jp_name.hl7"));
    assert_eq!((japanese.answer, number(&japanese, 147_842)), (Answer::Accept, Some(Some(60.0))));
    assert!(japanese.ack.is_ascii(), "no name in the answer");

    let malformed = hl7::handle(&read("08_malformed_short_obx.hl7"));
    assert_eq!((malformed.answer, malformed.report.is_empty()), (Answer::Error, true));
    // Cut anywhere, they are answered and nothing breaks.
    for file in std::fs::read_dir(&folder).expect("a folder").flatten() {
        let bytes = std::fs::read(file.path()).expect("a sample");
        (0..bytes.len()).step_by(7).for_each(|n| hl7::fuzz(&bytes[..n]));
    }
}

#[test]
fn mfer() {
    let Some(path) = sample("mfer_synth_041s.mwf") else { return };
    let bytes = std::fs::read(&path).expect("a sample");
    let record = mfer::read(&bytes).expect("good");
    let found: Vec<_> = record.signals.iter().map(|s| (s.name.as_str(), s.units.as_str(), s.rate_hz, s.samples.len())).collect();
    assert_eq!(
        found,
        [("I", "mV", 500.0, 4000), ("III", "mV", 500.0, 4000), ("ABP", "mmHg", 125.0, 1000), ("PAP", "mmHg", 125.0, 1000)]
    );
    let mean = |n: usize| record.signals[n].samples.iter().sum::<f32>() / record.signals[n].samples.len() as f32;
    assert!((30.0..150.0).contains(&mean(2)), "{} mmHg", mean(2));
    assert!(record.signals[0].samples.iter().all(|v| v.abs() < 5.0), "millivolts");
    (0..bytes.len()).step_by(61).for_each(|n| mfer::fuzz(&bytes[..n]));
    draws(&SourceConfig::Mfer { path, view: View::Monitor });
}

#[test]
fn a_12_lead_ecg_as_a_dicom_waveform() {
    let Some(path) = sample("dicom_12lead_ecg.dcm") else { return };
    draws(&SourceConfig::DicomWaveform { path: path.clone(), view: View::TwelveLead });
    draws(&SourceConfig::DicomWaveform { path, view: View::Monitor });
    let broken = sample("mfer_synth_041s.mwf").expect("beside it");
    let refusal = prepare(&SourceConfig::DicomWaveform { path: broken, view: View::Monitor }, None).err().expect("no DICOM");
    assert_eq!(refusal.code, "feed.dicom-waveform.malformed");
}

#[test]
fn sdc() {
    let Some(folder) = sample("sdc") else { return };
    for name in ["70041_MDIB_Final.xml", "PlugathonMdibV2.xml", "reference_mdib.xml"] {
        let text = std::fs::read_to_string(folder.join(name)).expect("a sample");
        let report = sdc::read(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        // Two describe a device without its state; the third's metrics have no value yet: all are missing.
        assert_eq!(report.numerics.len(), if name.starts_with("Plugathon") { 5 } else { 0 }, "{name}");
        assert!(report.numerics.iter().all(|n| n.value.is_none()), "{name}: {:?}", report.numerics);
        let cut: Vec<usize> = text.char_indices().map(|(n, _)| n).step_by(997).collect();
        cut.into_iter().for_each(|n| sdc::fuzz(&text[..n]));
        draws(&SourceConfig::Sdc { path: folder.join(name), alarms: false });
    }
}

/// The source opens, and two seconds of it are drawn.
fn draws(config: &SourceConfig) {
    gstreamer::init().expect("GStreamer is installed");
    let prepared = prepare(config, None).unwrap_or_else(|e| panic!("{config:?}: {e}"));
    let mut source = prepared.fit(Geometry::new(640, 360).expect("even")).expect("fits");
    let mut lit = 0;
    for k in 0..50 {
        let picture = source.picture(k).expect("a picture");
        lit = picture.plane(0).data.iter().filter(|&&p| p > 60).count();
    }
    // Where nothing was said that is at least a name and two dashes.
    assert!(lit > 30, "{config:?} draws {lit} pixels");
}

#[test]
fn broken_dicom_waveforms_are_read_or_refused() {
    let Some(path) = sample("dicom_12lead_ecg.dcm") else { return };
    // Its head, where all its words are, and a second of its samples.
    let mut whole = std::fs::read(path).expect("there");
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    dicom_wave::fuzz(&whole);
    for cut in (0..whole.len().min(8_000)).step_by(97) {
        dicom_wave::fuzz(&whole[..cut]);
    }
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    for _ in 0..120 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (random >> 33) as usize % whole.len().min(12_000);
        let before = std::mem::replace(&mut whole[at], (random >> 20) as u8);
        dicom_wave::fuzz(&whole);
        whole[at] = before;
    }
    std::panic::set_hook(quiet);
}
