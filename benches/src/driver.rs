//! The browser's end, driven from Node (`browser/glass.mjs`): one request a line, one answer a line.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::machine::{Meter, Used};

#[derive(Debug, Serialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub enum Request {
    Product {
        links: serde_json::Value,
        seconds: f64,
        #[serde(rename = "settleSeconds")]
        settle_s: f64,
        seed: u32,
        /// With the room's page beside the mentor's.
        room: bool,
        /// The room's page reaches the server at the second port, where the first is offered: the line is the mentor's alone.
        #[serde(skip_serializing_if = "Option::is_none")]
        direct: Option<(u16, u16)>,
    },
    Direct {
        sender: Sender,
        seconds: f64,
        #[serde(rename = "settleSeconds")]
        settle_s: f64,
    },
}

/// How the baseline's sender is started.
#[derive(Debug, Serialize)]
pub struct Sender {
    pub exe: String,
    pub args: Vec<String>,
}

/// How well the page knows Unix time.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PageClock {
    pub uncertainty_ms: f64,
    /// By how much the page's time lay outside what the driver's clock allows: 0 is good.
    pub outside_driver_bracket_ms: f64,
}

/// Pen samples of a product run.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ink {
    /// Pen event to the room's first animation frame with its pixels, ms.
    pub pairs: Vec<f64>,
    /// Pen samples whose pixels never came.
    pub not_seen: u32,
    /// Places that had ink before the pen was there; they do not count.
    pub not_clear: u32,
    /// Lines that the pen drew, and strokes that the mentor's and the room's page then had. All equal, or ink was lost.
    pub strokes_drawn: u32,
    pub strokes_mentor: u32,
    pub strokes_room: u32,
    pub clock_uncertainty_ms: f64,
}

/// The pen on its own page, alone.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Own {
    /// Pen event to the first animation frame of the same page with its pixels, ms.
    pub pairs: Vec<f64>,
    pub not_seen: u32,
    pub wire: Option<Wire>,
}

/// What a page sent on its channel of ink, without the headers of the transport.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Wire {
    pub bytes: f64,
    pub packets: f64,
    pub ms: f64,
}

/// One run of the reader.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Capture to the first animation frame that contains the picture, one a picture, ms.
    pub ages: Vec<f64>,
    /// Pictures that were never on the glass.
    pub missed: u32,
    pub unreadable: u32,
    pub frame_gaps_ms: Vec<f64>,
    pub clock: PageClock,
    pub ink: Option<Ink>,
    #[serde(default)]
    pub own: Option<Own>,
    /// The product's own statement on its clock, for comparison.
    pub product_clock_uncertainty_ms: Option<f64>,
    #[serde(skip)]
    pub used: Used,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event {
    Ready { chromium: String, node: String },
    Begin,
    End,
    Done { result: Box<Run> },
    Failed { message: String },
}

/// One Chromium for all runs.
#[derive(Debug)]
pub struct Driver {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pub chromium: String,
    pub node: String,
}

impl Driver {
    /// `root`: the checkout.
    pub fn start(root: &Path) -> Result<Self> {
        let mut child = Command::new("node")
            .arg(root.join("benches/browser/glass.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("node does not start; install Node 20")?;
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("no output of node")?);
        let mut driver = Driver { child, requests, answers, chromium: String::new(), node: String::new() };
        match driver.hear()? {
            Event::Ready { chromium, node } => (driver.chromium, driver.node) = (chromium, node),
            _ => bail!("the browser's driver began with something else"),
        }
        Ok(driver)
    }

    /// Runs one measurement; `pids` are metered while the reader reads.
    pub fn measure(&mut self, request: &Request, pids: &[u32]) -> Result<Run> {
        let line = serde_json::to_string(request)?;
        writeln!(self.requests.as_mut().context("the driver is gone")?, "{line}")?;
        let (mut meter, mut used) = (None, Used::default());
        loop {
            match self.hear()? {
                Event::Begin => meter = Some(Meter::start(pids)),
                Event::End => used = meter.take().map_or(used, |m| m.stop()),
                Event::Done { mut result } => {
                    result.used = used;
                    return Ok(*result);
                }
                Event::Failed { message } => bail!("{message}"),
                Event::Ready { .. } => bail!("the driver began anew"),
            }
        }
    }

    fn hear(&mut self) -> Result<Event> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("the browser's driver ended; see its words above");
        }
        serde_json::from_str(&line).context("the browser's driver said something else")
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The end of its input closes the browser.
        drop(self.requests.take());
        let _ = self.child.wait();
    }
}
