//! A feed whose recording is there and cannot be read: lost from the first moment on, with its sentence, beside feeds that go
//! on. It is looked at again now and then, so that a file put right plays without a new start.

use std::sync::Arc;

use super::{Prepared, Source, SourceConfig, SourceInfo, Word, prepare};
use crate::picture::{Geometry, Picture};
use crate::refusal::Refusal;
use crate::timing::pace::Period;

/// A failed source is asked once a second; the file is opened at every tenth.
const OPEN_EVERY: u32 = 10;

#[derive(Debug)]
pub struct Unusable {
    config: SourceConfig,
    sentence: String,
}

impl Unusable {
    /// Takes a refusal that concerns the content of a file; gives back one that does not: a file that is not there is a
    /// mistake of the configuration, and so is a feed that makes no sense.
    pub fn instead_of(config: &SourceConfig, refusal: Refusal) -> Result<Self, Refusal> {
        const CONTENT: [&str; 7] = [
            "feed.video.unreadable",
            "feed.dicom.unreadable",
            "feed.dicom.undecodable",
            "feed.wfdb.data-missing",
            "feed.wfdb.data-short",
            "feed.wfdb.malformed",
            "feed.wfdb.no-wave",
        ];
        if CONTENT.contains(&refusal.code) {
            let sentence = format!("{} [{}]", refusal.message, refusal.code);
            Ok(Unusable { config: config.clone(), sentence })
        } else {
            Err(refusal)
        }
    }
}

impl Prepared for Unusable {
    fn info(&self) -> SourceInfo {
        SourceInfo { native: None, period: Period::HZ_25 }
    }

    fn fit(&self, size: Geometry) -> Result<Box<dyn Source>, Refusal> {
        let (config, sentence) = (self.config.clone(), self.sentence.clone());
        Ok(Box::new(Waiting { config, sentence, size, asked: 0, opened: None }))
    }
}

struct Waiting {
    config: SourceConfig,
    sentence: String,
    size: Geometry,
    asked: u32,
    opened: Option<Box<dyn Source>>,
}

impl Source for Waiting {
    fn picture(&mut self, k: u64) -> Result<Arc<Picture>, String> {
        if self.opened.is_none() {
            self.asked += 1;
            if self.asked.is_multiple_of(OPEN_EVERY) {
                self.opened = prepare(&self.config, None).and_then(|prepared| prepared.fit(self.size)).ok();
            }
        }
        match &mut self.opened {
            Some(source) => source.picture(k),
            None => Err(self.sentence.clone()),
        }
    }

    fn word(&self) -> Word {
        self.opened.as_ref().map_or_else(Word::default, |source| source.word())
    }
}
