//! Program and ink on a screen of the room, without a browser. Three threads that none of the others waits for:
//!
//! *program* → [`run::Screen`] (one place, the newest picture) → *display* ([`run`]: words, ink, sink) ⇄ *ink* ([`worker`]: paints).
//!
//! The clean path survives the ink's: the display waits for ink [`run::INK_WAIT`] at most, then shows the picture without; what panics, fails or is
//! slow beside it is said on the glass, begun anew, and never holds a picture up. A picture that stops coming is marked dead within
//! [`run::DEAD_AFTER`]. The screen itself is a process of its own ([`child`]), so that the program outlives what its driver does.

pub mod child;
pub mod insets;
pub mod letters;
pub mod paint;
pub mod pointers;
pub mod run;
pub mod silence;
pub mod sink;
pub mod tracks;
pub mod view;
pub mod without;
pub mod words;
pub mod worker;

use std::path::PathBuf;

use serde::Deserialize;

use self::words::Language;
use crate::refusal::Refusal;

/// `[display]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisplayConfig {
    pub sink: SinkKind,
    /// X: the display (`:0`). Wayland: the socket's name. Without it, the environment's.
    #[serde(default)]
    pub display: Option<String>,
    /// KMS: number of the connector (`modetest -c`). Without it, the first one that is connected.
    #[serde(default)]
    pub connector: Option<i32>,
    /// KMS: name of the kernel's driver, where there is more than one card.
    #[serde(default)]
    pub driver: Option<String>,
    /// Scaled to this, with bars. Without it, as large as the program.
    #[serde(default)]
    pub size: Option<[u32; 2]>,
    #[serde(default)]
    pub language: Language,
    /// For names and texts of people. Without it, Debian's fonts-noto-cjk where it is installed.
    #[serde(default)]
    pub font: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SinkKind {
    Kms,
    Wayland,
    X,
    /// X with the card's own scaler.
    Xv,
}

impl SinkKind {
    /// As in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            SinkKind::Kms => "kms",
            SinkKind::Wayland => "wayland",
            SinkKind::X => "x",
            SinkKind::Xv => "xv",
        }
    }

    /// GStreamer's element, and Debian's package that has it.
    pub fn element(self) -> (&'static str, &'static str) {
        match self {
            SinkKind::Kms => ("kmssink", "gstreamer1.0-plugins-bad"),
            SinkKind::Wayland => ("waylandsink", "gstreamer1.0-plugins-bad"),
            SinkKind::X => ("ximagesink", "gstreamer1.0-x"),
            SinkKind::Xv => ("xvimagesink", "gstreamer1.0-x"),
        }
    }
}

impl DisplayConfig {
    /// What can be known without a screen.
    pub fn check(&self) -> Result<(), Refusal> {
        let odd = |n: u32| !(64..=7_680).contains(&n) || n % 2 == 1;
        if self.size.is_some_and(|size| size.into_iter().any(odd)) {
            return Err(Refusal::new(
                "config.display",
                "size of the display is out of range; give even numbers from 64 to 7680.",
            ));
        }
        let is_kms = self.sink == SinkKind::Kms;
        if !is_kms && (self.connector.is_some() || self.driver.is_some()) {
            return Err(Refusal::new("config.display", "connector and driver are for sink = \"kms\" alone; leave them out."));
        }
        if is_kms && self.display.is_some() {
            return Err(Refusal::new(
                "config.display",
                "display is for X and Wayland; give sink = \"kms\" a connector, or none.",
            ));
        }
        Ok(())
    }

    /// The element is not installed: the case goes on without the display, and says so.
    pub fn missing(&self) -> Option<Refusal> {
        let (element, package) = self.sink.element();
        let missing = gstreamer::ElementFactory::find(element).is_none();
        missing.then(|| {
            Refusal::new("engine.display-missing", format!("The display's {element} is not installed; install {package}."))
        })
    }
}
