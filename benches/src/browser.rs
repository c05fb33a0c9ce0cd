//! A browser's end that is asked from here: a program of Node in `browser/`, one request a line, one answer a line.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A running program of `browser/`.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pub versions: Versions,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Versions {
    pub chromium: String,
    pub node: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Ok(serde_json::Value),
    Failed(String),
}

impl Browser {
    /// `root`: the checkout; `script`: a file of `benches/browser`. Returns once it has said hello.
    pub fn start(root: &Path, script: &str) -> Result<Self> {
        let mut child = Command::new("node")
            .arg(root.join("benches/browser").join(script))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("node does not start; install Node 20")?;
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("no output of node")?);
        let mut browser = Browser { child, requests, answers, versions: Versions::default() };
        browser.versions = browser.hear()?;
        Ok(browser)
    }

    /// Waits for the answer; a failure there is an error here.
    pub fn ask<T: DeserializeOwned>(&mut self, request: &serde_json::Value) -> Result<T> {
        writeln!(self.requests.as_mut().context("the browser is gone")?, "{request}")?;
        self.hear()
    }

    fn hear<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("the browser's driver ended; see its words above");
        }
        match serde_json::from_str(&line).with_context(|| format!("the browser's driver said something else: {line}"))? {
            Answer::Ok(value) => Ok(serde_json::from_value(value)?),
            Answer::Failed(why) => bail!("{why}"),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The end of its input closes the browser.
        drop(self.requests.take());
        let _ = self.child.wait();
    }
}
