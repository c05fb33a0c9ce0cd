//! Vital signs as a feed: a WFDB record, or a generated one, looped and drawn as a patient monitor draws.

use std::path::Path;
use std::sync::Arc;

use super::{Prepared, Source, SourceInfo};
use crate::picture::{Geometry, Picture, PicturePool};
use crate::refusal::Refusal;
use crate::timing::pace::Period;
use crate::vitals::monitor::Monitor;
use crate::vitals::waves::{Wave, choose, generated};
use crate::vitals::wfdb::{self, WfdbError};

/// Largest file of a record that is read.
const FILE_BYTES_MAX: u64 = 256 << 20;

#[derive(Debug)]
pub struct PreparedVitals {
    waves: Vec<Wave>,
}

impl PreparedVitals {
    pub fn open(path: &Path) -> Result<Self, Refusal> {
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
        let load = |file: &str| {
            let path = folder.join(file);
            let size = std::fs::metadata(&path).ok()?.len();
            if size <= FILE_BYTES_MAX { std::fs::read(path).ok() } else { None }
        };
        let record = wfdb::read_record(name, &load).map_err(|e| match e {
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
        let waves = choose(&record);
        if waves.is_empty() {
            return Err(Refusal::new(
                "feed.wfdb.no-wave",
                format!("The WFDB record {shown} has no ECG, pressure or pleth that can be drawn; choose another record."),
            ));
        }
        Ok(PreparedVitals { waves })
    }

    pub fn synthetic() -> Self {
        PreparedVitals { waves: choose(&generated()) }
    }
}

impl Prepared for PreparedVitals {
    fn info(&self) -> SourceInfo {
        SourceInfo { native: None, period: Period::HZ_25 }
    }

    fn fit(&self, size: Geometry) -> Result<Box<dyn Source>, Refusal> {
        let monitor = Monitor::new(size, self.waves.clone());
        let mut glass = Picture::black(size);
        monitor.paint(&mut glass, std::slice::from_ref(&(0..size.width)));
        Ok(Box::new(Vitals { monitor, glass, pool: PicturePool::new(size) }))
    }
}

#[derive(Debug)]
struct Vitals {
    monitor: Monitor,
    glass: Picture,
    pool: PicturePool,
}

impl Source for Vitals {
    fn picture(&mut self, k: u64) -> Result<Arc<Picture>, String> {
        let columns = self.monitor.advance(Period::HZ_25.at(k).as_secs_f64());
        self.monitor.paint(&mut self.glass, &columns);
        Ok(self.pool.draw(|out| out.copy_from(&self.glass)))
    }
}
