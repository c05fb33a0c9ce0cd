//! Where a feed's pictures come from, as the configuration says it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where pictures come from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SourceConfig {
    /// A video file, looped.
    File {
        path: PathBuf,
    },
    /// A DICOM cine at its own frame time, again and again; between two runs X-ray is off for `rest_s`.
    Dicom {
        path: PathBuf,
        #[serde(default)]
        rest_s: u32,
    },
    /// A WFDB record (path of its header), looped and drawn as a patient monitor draws.
    Wfdb {
        path: PathBuf,
        #[serde(default)]
        view: View,
    },
    /// An MFER file, likewise.
    Mfer {
        path: PathBuf,
        #[serde(default)]
        view: View,
    },
    /// The waveform of a DICOM object, likewise.
    DicomWaveform {
        path: PathBuf,
        #[serde(default)]
        view: View,
    },
    /// What a patient monitor sends as HL7 v2 over MLLP to this address and port.
    Hl7 {
        listen: SocketAddr,
        /// Shows and logs the device's alarms: reference only.
        #[serde(default)]
        alarms: bool,
        /// The device's clock is that of the hospital: its times are believed.
        #[serde(default)]
        synchronised: bool,
    },
    /// The MDIB of an SDC device, which a gateway writes anew to this file.
    Sdc {
        path: PathBuf,
        #[serde(default)]
        alarms: bool,
    },
    SyntheticField,
    /// Runs of 6 s; between two of them X-ray is off for `rest_s`.
    SyntheticFluoro {
        #[serde(default)]
        rest_s: u32,
    },
    SyntheticVitals,
}

/// How waves are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// As a patient monitor: waves and numbers.
    #[default]
    Monitor,
    /// Two columns of six leads.
    TwelveLead,
}

impl SourceConfig {
    /// Drawn by the engine from numbers and waves: nobody burnt a name into it.
    pub fn is_drawn(&self) -> bool {
        matches!(
            self,
            SourceConfig::Wfdb { .. }
                | SourceConfig::Mfer { .. }
                | SourceConfig::DicomWaveform { .. }
                | SourceConfig::Hl7 { .. }
                | SourceConfig::Sdc { .. }
                | SourceConfig::SyntheticVitals
        )
    }

    /// Relative paths are relative to `folder`.
    pub fn relative_to(&mut self, folder: &Path) {
        match self {
            SourceConfig::File { path }
            | SourceConfig::Dicom { path, .. }
            | SourceConfig::Wfdb { path, .. }
            | SourceConfig::Mfer { path, .. }
            | SourceConfig::DicomWaveform { path, .. }
            | SourceConfig::Sdc { path, .. } => *path = folder.join(&*path),
            SourceConfig::Hl7 { .. } => {}
            SourceConfig::SyntheticField | SourceConfig::SyntheticFluoro { .. } | SourceConfig::SyntheticVitals => {}
        }
    }
}
