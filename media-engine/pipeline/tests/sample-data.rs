//! Sources on files: made here, and on the sample data beside the repository where it is present.

use std::path::{Path, PathBuf};

use gstreamer::prelude::*;
use pipeline::feed::{self, SourceConfig, View};
use pipeline::picture::{Geometry, Picture};
use pipeline::timing::pace::Period;
use pipeline::vitals::monitor::Monitor;
use pipeline::vitals::waves::choose;
use pipeline::vitals::wfdb;

fn sample(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("no sample data here: {}", path.display());
    None
}

fn refusal(config: &SourceConfig) -> (&'static str, String) {
    gstreamer::init().expect("GStreamer is installed");
    match feed::prepare(config, None) {
        Ok(_) => panic!("{config:?} should be refused"),
        Err(refusal) => (refusal.code, refusal.message),
    }
}

fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("shirube-samples-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder.join(name)
}

fn mean_luma(picture: &Picture) -> f64 {
    let plane = picture.plane(0);
    let width = picture.geometry().width;
    let rows: Vec<&[u8]> = plane.data.chunks(plane.stride).map(|row| &row[..width]).collect();
    rows.iter().flat_map(|r| r.iter()).map(|&p| f64::from(p)).sum::<f64>() / (rows.len() * width) as f64
}

/// A film of ten grey pictures, each lighter than the one before, with frames that refer forward as cameras' files do.
fn film(path: &Path) {
    film_of(path, 10, "mp4mux");
}

/// `n` pictures, each lighter than the one before up to the tenth; `mux` writes the file.
fn film_of(path: &Path, n: u64, mux: &str) {
    gstreamer::init().expect("GStreamer is installed");
    let line = format!(
        "appsrc name=in format=time caps=video/x-raw,format=I420,width=64,height=64,framerate=25/1,colorimetry=bt709 \
         ! x264enc bframes=2 ! h264parse ! {mux} ! filesink location={}",
        path.display()
    );
    let pipeline = gstreamer::parse::launch(&line).expect("elements").downcast::<gstreamer::Pipeline>().expect("a pipeline");
    let source = pipeline.by_name("in").and_then(|e| e.downcast::<gstreamer_app::AppSrc>().ok()).expect("appsrc");
    pipeline.set_state(gstreamer::State::Playing).expect("plays");
    for k in 0..n {
        let mut bytes = vec![128u8; 64 * 64 * 3 / 2];
        bytes[..64 * 64].fill(30 + 20 * (k % 10) as u8);
        let mut buffer = gstreamer::Buffer::from_slice(bytes);
        let b = buffer.get_mut().expect("ours alone");
        b.set_pts(gstreamer::ClockTime::from_mseconds(40 * k));
        b.set_duration(gstreamer::ClockTime::from_mseconds(40));
        source.push_buffer(buffer).expect("taken");
    }
    source.end_of_stream().expect("taken");
    let bus = pipeline.bus().expect("a bus");
    let end = bus.timed_pop_filtered(
        gstreamer::ClockTime::from_seconds(90),
        &[gstreamer::MessageType::Eos, gstreamer::MessageType::Error],
    );
    assert!(end.is_some_and(|m| m.type_() == gstreamer::MessageType::Eos));
    pipeline.set_state(gstreamer::State::Null).expect("stops");
}

#[test]
fn a_looped_film_shows_every_picture_in_order_without_a_gap() {
    let path = scratch("ten.mp4");
    film(&path);
    let prepared = feed::prepare(&SourceConfig::File { path }, None).expect("a good film");
    assert_eq!((prepared.info().native, prepared.info().period), (Some((64, 64)), Period::HZ_25));
    let mut source = prepared.fit(Geometry::new(32, 32).expect("even")).expect("plays");
    for k in 0..75u64 {
        let got = mean_luma(&source.picture(k).expect("a picture"));
        let want = (30 + 20 * (k % 10)) as f64;
        assert!((got - want).abs() < 6.0, "picture {k}: {got} instead of {want}");
    }
}

#[test]
fn a_film_that_is_cut_in_the_middle_is_refused_or_says_where_it_stops() {
    for (name, mux) in [("index-last", "mp4mux"), ("index-first", "mp4mux faststart=true")] {
        let (whole, cut) = (scratch(&format!("{name}.mp4")), scratch(&format!("{name}-cut.mp4")));
        film_of(&whole, 100, mux);
        let bytes = std::fs::read(&whole).expect("a film");
        std::fs::write(&cut, &bytes[..bytes.len() * 7 / 10]).expect("written");
        if mux == "mp4mux" {
            assert_eq!(refusal(&SourceConfig::File { path: cut }).0, "feed.video.unreadable");
            continue;
        }
        let prepared = feed::prepare(&SourceConfig::File { path: cut }, None).expect("its beginning is good");
        let mut source = prepared.fit(Geometry::new(64, 64).expect("even")).expect("plays");
        let mut shown = 0;
        let problem = loop {
            match source.picture(shown) {
                Ok(_) => shown += 1,
                Err(problem) => break problem,
            }
            assert!(shown < 200, "it never said that it is cut");
        };
        eprintln!("{shown} pictures, then: {problem}");
        assert!((10..90).contains(&shown), "what is there is shown: {shown}");
        assert!(problem.starts_with("The video file") && problem.ends_with('.'), "{problem}");
        for k in shown..shown + 3 {
            assert!(source.picture(k).is_ok() || source.picture(k + 1).is_ok(), "it is tried again from its beginning");
        }
    }
}

#[test]
fn what_is_missing_or_broken_is_refused_with_a_code_and_one_sentence() {
    let broken = scratch("broken.bin");
    std::fs::write(&broken, b"neither a film nor a picture").expect("written");
    let header = scratch("alone.hea");
    std::fs::write(&header, "alone 1 125 100\nalone.dat 212 200 12 0 0 0 0 II\n").expect("written");
    let nowhere = PathBuf::from("/nowhere/at-all.mp4");
    let cases = [
        (SourceConfig::File { path: nowhere.clone() }, "feed.file.missing"),
        (SourceConfig::Dicom { path: nowhere.clone(), rest_s: 0 }, "feed.file.missing"),
        (SourceConfig::Wfdb { path: nowhere, view: View::Monitor }, "feed.file.missing"),
        (SourceConfig::File { path: broken.clone() }, "feed.video.unreadable"),
        (SourceConfig::Dicom { path: broken.clone(), rest_s: 0 }, "feed.dicom.unreadable"),
        (SourceConfig::Wfdb { path: broken, view: View::Monitor }, "feed.wfdb.malformed"),
        (SourceConfig::Wfdb { path: header, view: View::Monitor }, "feed.wfdb.data-missing"),
    ];
    for (config, want) in cases {
        let (code, message) = refusal(&config);
        assert_eq!(code, want, "{config:?}");
        assert!(message.ends_with('.') && !message.contains('\n') && message.contains(';'), "{message}");
    }
}

#[test]
fn a_still_dicom_image_is_no_cine() {
    let Some(path) = sample("stills/ct_small.dcm") else { return };
    assert_eq!(refusal(&SourceConfig::Dicom { path, rest_s: 0 }).0, "feed.dicom.not-a-cine");
}

#[test]
fn the_coronary_cine_plays_at_its_own_frame_time() {
    let Some(path) = sample("fluoro/xa_coronary_rca_512x512_96f_jpegbaseline.dcm") else { return };
    let prepared = feed::prepare(&SourceConfig::Dicom { path, rest_s: 0 }, None).expect("a cine");
    assert_eq!(prepared.info().native, Some((512, 512)));
    assert_eq!(prepared.info().period, Period::from_ns(33_000_000).expect("sane"));
    let mut source = prepared.fit(Geometry::new(128, 128).expect("even")).expect("decodes");
    let first = mean_luma(&source.picture(0).expect("a picture"));
    assert!((40.0..200.0).contains(&first), "{first}");
    assert_eq!(mean_luma(&source.picture(96).expect("a picture")), first, "looped after 96 frames");
}

#[test]
fn other_cines_decode_or_say_why_not() {
    for name in [
        "xa_cerebral_1024_10bit_jpegll.dcm",
        "xa_cerebral_1024_10bit_rle.dcm",
        "rf_ercp_1024_raw.dcm",
        "us_colour_doppler_320x240_8f_raw.dcm",
        "us_echo_palette_600x430_10f_rle.dcm",
        "us_ybr_30f_jpeg.dcm",
    ] {
        let Some(path) = sample(&format!("fluoro/{name}")) else { return };
        let fitted = feed::prepare(&SourceConfig::Dicom { path, rest_s: 0 }, None)
            .and_then(|p| p.fit(Geometry { width: 128, height: 128 }));
        match fitted {
            Ok(mut source) => {
                let luma = mean_luma(&source.picture(0).expect("a picture"));
                eprintln!("{name}: plays, mean luma {luma:.0}");
                assert!((17.0..230.0).contains(&luma), "{name}: {luma}");
            }
            Err(refusal) => eprintln!("{name}: {} {}", refusal.code, refusal.message),
        }
    }
}

#[test]
fn the_heart_rate_of_041s_is_what_its_r_peaks_say() {
    let Some(path) = sample("vitals/wfdb/041s.hea") else { return };
    let folder = path.parent().expect("a folder").to_owned();
    let record = wfdb::read_record("041s.hea", &|name| std::fs::read(folder.join(name)).ok()).expect("a good record");
    assert_eq!(record.signals.len(), 7);
    assert!((record.duration_s - 16.0).abs() < 1e-9);
    let lead = record.signals.iter().find(|s| s.name == "III").expect("lead III");
    assert_eq!(lead.rate_hz, 500.0);

    // R peaks by eye's rule: local maxima above 60 % of the range, 300 ms apart.
    let (low, high) = lead.samples.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
    let level = low + 0.6 * (high - low);
    let mut peaks: Vec<usize> = Vec::new();
    for i in 1..lead.samples.len() - 1 {
        let v = lead.samples[i];
        if v > level && v >= lead.samples[i - 1] && v > lead.samples[i + 1] && peaks.last().is_none_or(|&p| i - p > 150) {
            peaks.push(i);
        }
    }
    let mut intervals: Vec<usize> = peaks.windows(2).map(|w| w[1] - w[0]).collect();
    intervals.sort_unstable();
    let by_eye = 60.0 * 500.0 / intervals[intervals.len() / 2] as f32;

    let mut monitor = Monitor::new(Geometry::new(1280, 216).expect("even"), choose(&record));
    for k in 1..=375u32 {
        monitor.advance(f64::from(k) / 25.0);
    }
    let numbers = monitor.numbers();
    assert!((numbers["HR"] - by_eye).abs() < 3.0, "{numbers:?} against {by_eye} from {} peaks", peaks.len());
    assert!(numbers["ABP-sys"] > numbers["ABP-mean"] && numbers["ABP-mean"] > numbers["ABP-dia"], "{numbers:?}");
    assert!(numbers["PAP-sys"] < numbers["ABP-sys"], "{numbers:?}");
}

#[test]
fn every_wfdb_sample_reads_or_says_why_not() {
    for (name, signals) in [("100.hea", 2), ("a103l.hea", 3), ("s0010_re.hea", 15), ("03700181.hea", 0)] {
        let Some(path) = sample(&format!("vitals/wfdb/{name}")) else { return };
        let folder = path.parent().expect("a folder").to_owned();
        let record = wfdb::read_record(name, &|file| std::fs::read(folder.join(file)).ok());
        match record {
            Ok(record) => {
                eprintln!(
                    "{name}: {} signals, {} s, {:?}",
                    record.signals.len(),
                    record.duration_s,
                    record.signals.iter().map(|s| &s.name).collect::<Vec<_>>()
                );
                assert!(signals == 0 || record.signals.len() == signals, "{name}");
            }
            Err(e) => eprintln!("{name}: {e}"),
        }
    }
}
