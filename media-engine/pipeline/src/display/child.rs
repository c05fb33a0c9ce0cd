//! The screen in a process of its own. Xlib ends the process whose X server dies, and a driver may do worse: the pictures that are sent live elsewhere.
//!
//! The engine starts its own program with [`WORD`] and writes pictures to its standard input, one after the other, I420 as [`Picture`] lies.
//! The child says [`OPEN`] on its standard output once the screen is open, or one sentence why not, and ends when its input does.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::sink::Sink;
use super::{DisplayConfig, SinkKind};
use crate::memory::keep_off_disks;
use crate::picture::{Geometry, Picture};

/// First argument of the child.
pub const WORD: &str = "display-sink";
const OPEN: &str = "open";

/// How the child is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Is {
    Opening,
    Open,
    /// One sentence. It is to be started anew.
    Gone(String),
}

#[derive(Debug)]
struct Shared {
    is: Is,
    /// Written next. One place; policy: drop_oldest.
    newest: Option<Arc<Picture>>,
    stop: bool,
}

type Slot = Arc<(Mutex<Shared>, Condvar)>;

fn lock(slot: &Slot) -> MutexGuard<'_, Shared> {
    slot.0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn gone(slot: &Slot, sentence: String) {
    let mut shared = lock(slot);
    if !matches!(shared.is, Is::Gone(_)) {
        shared.is = Is::Gone(sentence);
    }
    drop(shared);
    slot.1.notify_all();
}

/// The engine's end: never waits for the child. Dropping it ends the child.
#[derive(Debug)]
pub struct Far {
    child: Child,
    slot: Slot,
}

impl Far {
    /// `program`: this program's own file. The error is a sentence.
    pub fn start(program: &Path, config: &DisplayConfig, size: Geometry) -> Result<Self, String> {
        let failed = |e: std::io::Error| format!("The display's program cannot be started ({e}); look at the machine's log.");
        let mut child = Command::new(program)
            .arg(WORD)
            .args(words(config, size))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("The display's program has no pipes; look at the machine's log.".into());
        };
        let slot: Slot = Arc::new((Mutex::new(Shared { is: Is::Opening, newest: None, stop: false }), Condvar::new()));
        let (heard, written) = (slot.clone(), slot.clone());
        let far = Far { child, slot };
        let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| std::thread::Builder::new().name(name.into()).spawn(body);
        spawn("display-word", Box::new(move || hear(BufReader::new(output), &heard))).map_err(failed)?;
        spawn("display-write", Box::new(move || write(input, &written))).map_err(failed)?;
        Ok(far)
    }

    pub fn is(&self) -> Is {
        lock(&self.slot).is.clone()
    }

    /// A picture that the child has not taken yet gives way.
    pub fn show(&self, picture: &Arc<Picture>) {
        let mut shared = lock(&self.slot);
        if shared.is == Is::Open {
            shared.newest = Some(picture.clone());
        }
        drop(shared);
        self.slot.1.notify_all();
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        lock(&self.slot).stop = true;
        self.slot.1.notify_all();
        // Its threads end with its pipes.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the child says, until it ends.
fn hear(output: impl BufRead, slot: &Slot) {
    // A sentence is short; whatever else a library prints there is cut.
    for line in output.take(4096).lines().map_while(Result::ok) {
        if line == OPEN {
            lock(slot).is = Is::Open;
        } else if !line.is_empty() {
            gone(slot, line);
        }
    }
    gone(slot, "The display was closed; check its screen and who else uses it. It is tried again.".into());
}

fn write(mut input: ChildStdin, slot: &Slot) {
    loop {
        let idle = |s: &mut Shared| s.newest.is_none() && !s.stop && !matches!(s.is, Is::Gone(_));
        let mut shared = slot.1.wait_while(lock(slot), idle).unwrap_or_else(PoisonError::into_inner);
        let Some(picture) = shared.newest.take().filter(|_| !shared.stop) else { return };
        drop(shared);
        // The display's pictures are our own, never a decoder's.
        let Some(bytes) = picture.bytes() else { continue };
        if input.write_all(bytes).is_err() {
            return;
        }
    }
}

fn words(config: &DisplayConfig, size: Geometry) -> Vec<String> {
    let mut words = vec![config.sink.name().to_owned(), format!("{}x{}", size.width, size.height)];
    let mut add = |name: &str, value: Option<String>| words.extend(value.map(|value| format!("{name}={value}")));
    add("display", config.display.clone());
    add("connector", config.connector.map(|n| n.to_string()));
    add("driver", config.driver.clone());
    add("size", config.size.map(|[w, h]| format!("{w}x{h}")));
    words
}

/// The inverse of [`words`].
fn parse(words: &[String]) -> Option<(DisplayConfig, Geometry)> {
    let pair = |text: &str| {
        let (w, h) = text.split_once('x')?;
        Some((w.parse::<u32>().ok()?, h.parse::<u32>().ok()?))
    };
    let [sink, size, rest @ ..] = words else { return None };
    let sink = [SinkKind::Kms, SinkKind::Wayland, SinkKind::X, SinkKind::Xv].into_iter().find(|kind| kind.name() == sink)?;
    let (w, h) = pair(size)?;
    let mut config = DisplayConfig {
        sink,
        display: None,
        connector: None,
        driver: None,
        size: None,
        language: Default::default(),
        font: None,
    };
    for word in rest {
        match word.split_once('=')? {
            ("display", value) => config.display = Some(value.into()),
            ("connector", value) => config.connector = Some(value.parse().ok()?),
            ("driver", value) => config.driver = Some(value.into()),
            ("size", value) => config.size = pair(value).map(|(w, h)| [w, h]),
            _ => return None,
        }
    }
    Some((config, Geometry::new(w as usize, h as usize)?))
}

/// The child's whole life. `words`: its arguments after [`WORD`].
pub fn run(words: &[String]) -> ExitCode {
    keep_off_disks();
    let said = match parse(words) {
        Some((config, size)) => show_all(&config, size),
        None => Err("The display's program was started with arguments that are not its own.".into()),
    };
    match said {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            let _ = writeln!(std::io::stdout(), "{sentence}");
            ExitCode::FAILURE
        }
    }
}

fn show_all(config: &DisplayConfig, size: Geometry) -> Result<(), String> {
    gst::init().map_err(|e| format!("GStreamer does not start ({e})."))?;
    let sink = Sink::open(config, size)?;
    // Nobody listens: then nobody sends either.
    let _ = writeln!(std::io::stdout(), "{OPEN}");
    let no_pool = |e: gst::glib::BoolError| format!("The display has no memory for pictures ({e}).");
    let pool = gst::BufferPool::new();
    let mut settings = pool.config();
    settings.set_params(None, u32::try_from(size.bytes()).unwrap_or(u32::MAX), 0, 0);
    pool.set_config(settings).map_err(no_pool)?;
    pool.set_active(true).map_err(no_pool)?;
    let mut input = std::io::stdin().lock();
    loop {
        let mut buffer = pool.acquire_buffer(None).map_err(|e| format!("The display has no memory for a picture ({e})."))?;
        {
            let own = buffer.get_mut().ok_or("The display's memory is held by somebody else.")?;
            let mut bytes = own.map_writable().map_err(no_pool)?;
            if input.read_exact(&mut bytes).is_err() {
                return Ok(());
            }
        }
        sink.push(buffer);
        if let Some(error) = sink.error() {
            return Err(format!("The display failed ({error}); it is tried again."));
        }
    }
}

/// This program's own file, for the child.
pub fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("shirube-engine"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_is_told_what_is_configured() {
        let size = Geometry::new(1280, 720).expect("even");
        let kms = DisplayConfig {
            sink: SinkKind::Kms,
            display: None,
            connector: Some(34),
            driver: Some("i915".into()),
            size: Some([1920, 1080]),
            language: Default::default(),
            font: None,
        };
        let x = DisplayConfig {
            sink: SinkKind::X,
            display: Some(":0".into()),
            connector: None,
            driver: None,
            size: None,
            ..kms.clone()
        };
        for config in [kms, x] {
            assert_eq!(parse(&words(&config, size)), Some((config, size)));
        }
        assert_eq!(parse(&["x".into(), "0x0".into()]), None);
    }

    #[test]
    fn what_it_says_is_heard_and_its_end_is_a_sentence() {
        let slot: Slot = Arc::new((Mutex::new(Shared { is: Is::Opening, newest: None, stop: false }), Condvar::new()));
        hear("open\n".as_bytes(), &slot);
        assert!(matches!(&lock(&slot).is, Is::Gone(why) if why.contains("closed")));
        let slot: Slot = Arc::new((Mutex::new(Shared { is: Is::Opening, newest: None, stop: false }), Condvar::new()));
        hear("No screen.\n".as_bytes(), &slot);
        assert_eq!(lock(&slot).is, Is::Gone("No screen.".into()));
    }
}
