//! Recorded vital signs as a feed: a WFDB record, an MFER file, a DICOM waveform, or a generated record; looped, and drawn as a
//! patient monitor draws or as a 12-lead page.

use std::ops::Range;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::vitals_data::{Said, SaidNumber, SaidWave, When};
use super::{Prepared, Source, SourceInfo, View};
use crate::picture::{Geometry, Picture, PicturePool};
use crate::program::compositor;
use crate::program::layout::PixelRect;
use crate::refusal::Refusal;
use crate::timing::pace::Period;
use crate::vitals::live::Cursor;
use crate::vitals::monitor::Monitor;
use crate::vitals::waves::{Wave, choose, generated, twelve_leads};
use crate::vitals::wfdb::{self, Record, WfdbError};
use crate::vitals::{dicom_wave, mfer};

/// Largest file of a record that is read.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Waves are sent as data in pieces of this length, numbers once a second.
const PIECE_S: f64 = 0.2;
const PIECES_A_NUMBER: u64 = 5;

#[derive(Debug)]
pub struct PreparedVitals {
    waves: Vec<Wave>,
    view: View,
}

impl PreparedVitals {
    pub fn wfdb(path: &Path, view: View) -> Result<Self, Refusal> {
        let shown = path.display();
        let missing = || {
            Refusal::new(
                "feed.file.missing",
                format!("The WFDB header {shown} is not there; put the record in place or correct the path."),
            )
        };
        if !path.is_file() {
            return Err(missing());
        }
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let name = path.file_name().and_then(|n| n.to_str()).ok_or_else(missing)?;
        let record = wfdb::read_record(name, &|file: &str| load(&folder.join(file))).map_err(|e| match e {
            WfdbError::Missing(file) => Refusal::new(
                "feed.wfdb.data-missing",
                format!("The WFDB record {shown} lacks its file {file}; copy the whole record, header and data."),
            ),
            WfdbError::Short { .. } => Refusal::new(
                "feed.wfdb.data-short",
                format!("The WFDB record {shown} is incomplete ({e}); copy the whole record again."),
            ),
            e => Refusal::new(
                "feed.wfdb.malformed",
                format!("The WFDB record {shown} cannot be read ({e}); choose another record."),
            ),
        })?;
        Self::of(&record, view).ok_or_else(|| {
            Refusal::new(
                "feed.wfdb.no-wave",
                format!("The WFDB record {shown} has no ECG, pressure or pleth that can be drawn so; choose another record."),
            )
        })
    }

    pub fn mfer(path: &Path, view: View) -> Result<Self, Refusal> {
        let bytes = whole(path, "MFER")?;
        let shown = path.display();
        let record = mfer::read(&bytes).map_err(|e| {
            Refusal::new("feed.mfer.malformed", format!("The MFER file {shown} cannot be read: {e}; export it again."))
        })?;
        Self::of(&record, view).ok_or_else(|| no_wave("MFER", path))
    }

    pub fn dicom(path: &Path, view: View) -> Result<Self, Refusal> {
        // Read first, so that a missing file is told as such; the parser is not ours, whatever it does with a broken one.
        whole(path, "DICOM")?;
        let shown = path.display();
        let unreadable = |why: String| {
            Refusal::new(
                "feed.dicom-waveform.malformed",
                format!("{shown} is no readable DICOM waveform ({why}); export it again."),
            )
        };
        let object = catch_unwind(|| dicom_object::open_file(path)).ok().and_then(Result::ok);
        let object = object.ok_or_else(|| unreadable("it is no DICOM file".into()))?;
        let record = dicom_wave::read(&object).map_err(|e| unreadable(e.to_string()))?;
        Self::of(&record, view).ok_or_else(|| no_wave("DICOM", path))
    }

    pub fn synthetic() -> Self {
        PreparedVitals { waves: choose(&generated()), view: View::Monitor }
    }

    fn of(record: &Record, view: View) -> Option<Self> {
        let waves = match view {
            View::Monitor => Some(choose(record)).filter(|waves| !waves.is_empty()),
            View::TwelveLead => twelve_leads(record),
        }?;
        Some(PreparedVitals { waves, view })
    }
}

fn no_wave(kind: &str, path: &Path) -> Refusal {
    let message = format!("The {kind} file {} has no wave that can be drawn so; choose another file or view.", path.display());
    Refusal::new("feed.vitals.no-wave", message)
}

fn load(path: &Path) -> Option<Vec<u8>> {
    let size = std::fs::metadata(path).ok()?.len();
    if size <= FILE_BYTES_MAX { std::fs::read(path).ok() } else { None }
}

fn whole(path: &Path, kind: &str) -> Result<Vec<u8>, Refusal> {
    load(path).filter(|_| path.is_file()).ok_or_else(|| {
        Refusal::new(
            "feed.file.missing",
            format!("The {kind} file {} is not there or too large; put it in place or correct the path.", path.display()),
        )
    })
}

impl Prepared for PreparedVitals {
    fn info(&self) -> SourceInfo {
        SourceInfo { native: None, period: Period::HZ_25 }
    }

    fn fit(&self, size: Geometry) -> Result<Box<dyn Source>, Refusal> {
        let glass = match self.view {
            View::Monitor => vec![Pane::new(Monitor::new(size, self.waves.clone()), size, 0)],
            View::TwelveLead => {
                // Both columns of even size; what is left over stays black.
                let half = Geometry::new((size.width / 2) & !1, size.height).unwrap_or(size);
                let (limbs, chest) = self.waves.split_at(self.waves.len() / 2);
                let pane = |waves: &[Wave], x| Pane::new(Monitor::leads(half, waves.to_vec()), half, x);
                vec![pane(limbs, 0), pane(chest, half.width)]
            }
        };
        Ok(Box::new(Vitals { panes: glass, waves: self.waves.clone(), pieces: 0, t_s: 0.0, pool: PicturePool::new(size) }))
    }
}

/// A monitor, what it has drawn, and where that lies in the picture.
#[derive(Debug)]
pub(super) struct Pane {
    pub(super) monitor: Monitor,
    glass: Picture,
    x: usize,
}

impl Pane {
    pub(super) fn new(monitor: Monitor, size: Geometry, x: usize) -> Self {
        let mut glass = Picture::black(size);
        monitor.paint(&mut glass, std::slice::from_ref(&(0..size.width)));
        Pane { monitor, glass, x }
    }

    pub(super) fn draw(&mut self, t_s: f64) {
        let columns: Vec<Range<usize>> = self.monitor.advance(t_s);
        self.monitor.paint(&mut self.glass, &columns);
    }

    pub(super) fn show(&self, out: &mut Picture) {
        let size = self.glass.geometry();
        compositor::blit(out, &self.glass, PixelRect { x: self.x, y: 0, w: size.width, h: size.height });
    }
}

#[derive(Debug)]
struct Vitals {
    panes: Vec<Pane>,
    waves: Vec<Wave>,
    /// Pieces of the waves that were said, and when the last picture was.
    pieces: u64,
    t_s: f64,
    pool: PicturePool,
}

impl Source for Vitals {
    fn picture(&mut self, k: u64) -> Result<Arc<Picture>, String> {
        self.t_s = Period::HZ_25.at(k).as_secs_f64();
        self.panes.iter_mut().for_each(|p| p.draw(self.t_s));
        Ok(self.pool.draw(|out| self.panes.iter().for_each(|p| p.show(out))))
    }

    fn vitals(&mut self) -> Vec<Said> {
        let due = (self.t_s / PIECE_S) as u64;
        if due <= self.pieces {
            return Vec::new();
        }
        // After a pause only what is new is said.
        let from_s = self.pieces.max(due - 1) as f64 * PIECE_S;
        self.pieces = due;
        let before = Duration::try_from_secs_f64(self.t_s - from_s).unwrap_or_default();
        let piece = |wave: &Wave| {
            let at = |s: f64| (s * wave.rate_hz) as u64;
            SaidWave {
                name: wave.label.clone(),
                unit: wave.units.clone(),
                rate_hz: wave.rate_hz,
                samples: wave.read(at(from_s), at(due as f64 * PIECE_S), &mut Cursor::default()),
                when: When::Before(before),
            }
        };
        let mut said = Said { waves: self.waves.iter().filter(|w| w.has_trace()).map(piece).collect(), ..Said::default() };
        if due.is_multiple_of(PIECES_A_NUMBER) {
            let unit = |name: &str| if name == "HR" { "/min" } else { "mmHg" };
            let numbers = self.panes.first().map(|p| p.monitor.numbers()).unwrap_or_default();
            said.numbers = numbers
                .into_iter()
                .map(|(name, v)| SaidNumber {
                    name: name.into(),
                    unit: unit(name).into(),
                    value: Some(v),
                    when: When::Before(Duration::ZERO),
                })
                .collect();
        }
        // Played on the case's own time.
        said.synchronised = true;
        vec![said]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_also_said_each_sample_once() {
        let prepared = PreparedVitals::synthetic();
        let mut source = prepared.fit(Geometry::new(640, 160).expect("even")).expect("fits");
        let mut samples: Vec<f32> = Vec::new();
        let mut numbers = Vec::new();
        for k in 0..=500u64 {
            source.picture(k).expect("a picture");
            for said in source.vitals() {
                let ecg = said.waves.iter().find(|w| w.name == "II").expect("an ECG");
                let When::Before(before) = ecg.when else { panic!("replayed") };
                assert!((0.19..0.25).contains(&before.as_secs_f64()), "{before:?}");
                samples.extend(&ecg.samples);
                numbers.extend(said.numbers.into_iter().filter(|n| n.name == "HR").filter_map(|n| n.value));
            }
        }
        let want: Vec<f32> = prepared.waves[0].read(0, 5_000, &mut Cursor::default());
        assert_eq!(samples.len(), 5_000);
        assert_eq!(samples, want);
        assert!(numbers.len() >= 10 && numbers.iter().all(|hr| (70.0..80.0).contains(hr)), "{numbers:?}");
    }

    #[test]
    fn twelve_leads_stand_in_two_columns_of_six() {
        let mut record = generated();
        let ecg = record.signals[0].clone();
        record.signals = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5"]
            .map(|name| wfdb::Signal { name: name.into(), ..ecg.clone() })
            .to_vec();
        let prepared = PreparedVitals::of(&record, View::TwelveLead).expect("eleven leads");
        let mut source = prepared.fit(Geometry::new(640, 360).expect("even")).expect("fits");
        let mut last = None;
        for k in 0..150 {
            last = Some(source.picture(k).expect("a picture"));
        }
        let picture = last.expect("drawn");
        let plane = picture.plane(0);
        let lit = |x: Range<usize>, y: Range<usize>| {
            y.flat_map(|y| x.clone().map(move |x| (x, y))).filter(|&(x, y)| plane.data[y * plane.stride + x] > 60).count()
        };
        for row in 0..6 {
            let y = row * 60..row * 60 + 60;
            assert!(lit(40..310, y.clone()) > 150, "limb lead {row}");
            let chest = lit(360..630, y);
            assert!(if row < 5 { chest > 150 } else { chest == 0 }, "chest lead {row}: V6 is missing");
        }
        assert!(PreparedVitals::of(&generated(), View::TwelveLead).is_none(), "one lead is no 12-lead ECG");
    }
}
