//! The screen in a process of its own. Xlib ends the process whose X server dies, and a driver may do worse: the pictures that are sent live elsewhere.
//!
//! The engine starts its own program with [`WORD`] and writes pictures to its standard input, one after the other, I420 as [`Picture`] lies.
//! The first is what the child shows when nothing comes for long ([`Silence`]): an engine that stands still cannot say so itself.
//! The child says [`OPEN`] on its standard output once the screen is open, or [`PROBLEM`] and one sentence why not; then [`SHOWN`] and how
//! many pictures its driver has shown, for what is written into a process is not on the glass yet. It ends when its input does. Whatever else
//! a library prints there is read over.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annotation::time::CaptureTime;
use gstreamer as gst;
use gstreamer::prelude::*;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::silence::{SLICE, Silence};
use super::sink::Sink;
use super::{DisplayConfig, SinkKind};
use crate::clock::LocalClock;
use crate::memory::keep_off_disks;
use crate::picture::{Geometry, Picture};

/// First argument of the child.
pub const WORD: &str = "display-sink";
const OPEN: &str = "open";
const PROBLEM: &str = "problem: ";
const SHOWN: &str = "shown ";
/// A sentence is short; of a longer line the rest is cut. Bytes.
const LINE_MAX: u64 = 1024;
/// A screen is open within this time, or tried anew.
const OPENS_WITHIN: Duration = Duration::from_secs(15);
/// A child that takes no picture for so long is started anew.
const TAKES_WITHIN: Duration = Duration::from_secs(1);
/// A child whose driver shows none of the pictures that it has taken for so long is started anew.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// How the child is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Is {
    /// Until its driver has shown a first picture.
    Opening,
    Open,
    /// It is to be started anew.
    Gone(Trouble),
}

/// Why there is no picture on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Its process or its driver hangs. One sentence.
    NotAnswering(&'static str),
    /// It is not there, or was closed. One sentence.
    Down(String),
}

impl Trouble {
    pub fn sentence(&self) -> &str {
        match self {
            Trouble::NotAnswering(sentence) => sentence,
            Trouble::Down(sentence) => sentence,
        }
    }

    /// As the wire has it.
    pub fn code(&self) -> &'static str {
        match self {
            Trouble::NotAnswering(_) => "display.not-answering",
            Trouble::Down(_) => "display.down",
        }
    }
}

#[derive(Debug)]
struct Shared {
    is: Is,
    /// Written next. One place; policy: drop_oldest.
    newest: Option<Arc<Picture>>,
    /// While it opens: since when. Then: since when a picture was not taken before the next one came.
    since: Option<CaptureTime>,
    /// The screen is open, and takes pictures.
    takes: bool,
    /// Pictures that the child has taken whole, and those of them that came since its driver last showed one.
    taken: u64,
    unanswered: u64,
    /// Since when none of those was shown, as far as somebody has looked.
    silent: Option<CaptureTime>,
    /// All that its driver says it has shown, and what of that was not asked for yet.
    shown: u64,
    news: u64,
    stop: bool,
}

impl Shared {
    fn new(now: CaptureTime) -> Self {
        let (taken, unanswered, shown, news) = (0, 0, 0, 0);
        Shared {
            is: Is::Opening,
            newest: None,
            since: Some(now),
            takes: false,
            taken,
            unanswered,
            silent: None,
            shown,
            news,
            stop: false,
        }
    }

    fn show(&mut self, picture: &Arc<Picture>, now: CaptureTime) {
        if self.takes && self.newest.replace(picture.clone()).is_some() {
            self.since.get_or_insert(now);
        }
    }

    /// What is to be written next.
    fn take(&mut self) -> Option<Arc<Picture>> {
        let picture = self.newest.take()?;
        self.since = None;
        Some(picture)
    }

    fn opened(&mut self) {
        if self.is == Is::Opening && !self.takes {
            (self.takes, self.since) = (true, None);
        }
    }

    /// The child has read one whole.
    fn took(&mut self) {
        self.taken += 1;
        self.unanswered += 1;
    }

    /// The driver says how many it has shown. One number again: it has shown none since.
    fn answered(&mut self, shown: u64) {
        if shown <= self.shown || matches!(self.is, Is::Gone(_)) {
            return;
        }
        self.news += shown - self.shown;
        (self.is, self.shown, self.unanswered, self.silent) = (Is::Open, shown, 0, None);
    }

    fn at(&mut self, now: CaptureTime) -> Is {
        let waits = self.since.map_or(Duration::ZERO, |since| now.since(since));
        // Two, for the last one's answer comes with the next.
        if self.unanswered < 2 {
            self.silent = None;
        }
        let silent = if self.unanswered < 2 { Duration::ZERO } else { now.since(*self.silent.get_or_insert(now)) };
        let stuck = match self.is {
            Is::Gone(_) => return self.is.clone(),
            _ if !self.takes && waits >= OPENS_WITHIN => {
                "The screen does not open; check its cable and who else uses it. It is tried again."
            }
            _ if self.takes && waits >= TAKES_WITHIN => {
                "The screen takes no pictures; check its cable and its driver. It is tried again."
            }
            _ if silent >= ANSWERS_WITHIN => {
                "The screen does not answer: its driver shows no pictures; check its cable and its driver. It is tried again."
            }
            _ => return self.is.clone(),
        };
        self.is = Is::Gone(Trouble::NotAnswering(stuck));
        self.is.clone()
    }
}

type Slot = Arc<(Mutex<Shared>, Condvar)>;

fn lock(slot: &Slot) -> MutexGuard<'_, Shared> {
    slot.0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn gone(slot: &Slot, sentence: String) {
    let mut shared = lock(slot);
    if !matches!(shared.is, Is::Gone(_)) {
        shared.is = Is::Gone(Trouble::Down(sentence));
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
    /// `program`: this program's own file. `lost`: shown when no picture comes. The error is a sentence.
    pub fn start(
        program: &Path,
        config: &DisplayConfig,
        size: Geometry,
        lost: Arc<Picture>,
        now: CaptureTime,
    ) -> Result<Self, String> {
        let failed = |e: std::io::Error| format!("The display's program cannot be started ({e}); look at the machine's log.");
        let mut child = Command::new(program)
            .arg0("shirube-engine")
            .arg(WORD)
            .args(words(config, size))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("The display's program has no pipes; look at the machine's log.".into());
        };
        let slot: Slot = Arc::new((Mutex::new(Shared::new(now)), Condvar::new()));
        let (heard, written) = (slot.clone(), slot.clone());
        let far = Far { child, slot };
        let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| std::thread::Builder::new().name(name.into()).spawn(body);
        spawn("display-word", Box::new(move || hear(BufReader::new(output), &heard))).map_err(failed)?;
        spawn("display-write", Box::new(move || write(input, &lost, &written))).map_err(failed)?;
        Ok(far)
    }

    /// Gone as well when it does not open in time, or takes no pictures.
    pub fn is(&self, now: CaptureTime) -> Is {
        lock(&self.slot).at(now)
    }

    /// A picture that the child has not taken yet gives way.
    pub fn show(&self, picture: &Arc<Picture>, now: CaptureTime) {
        lock(&self.slot).show(picture, now);
        self.slot.1.notify_all();
    }

    /// How many pictures its driver has shown since the last call.
    pub fn shown(&self) -> u64 {
        std::mem::take(&mut lock(&self.slot).news)
    }

    /// Ends the child, without waiting: in an uninterruptible call of its driver it outlives that for a while.
    pub fn end(&mut self) {
        lock(&self.slot).stop = true;
        self.slot.1.notify_all();
        // Its threads end with its pipes.
        let _ = self.child.kill();
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        self.end();
        self.has_ended();
    }
}

/// What the child says, until it ends.
fn hear(mut output: impl BufRead, slot: &Slot) {
    let mut line = Vec::new();
    let mut begins = true;
    while let Ok(1..) = output.by_ref().take(LINE_MAX).read_until(b'\n', &mut line) {
        let text = String::from_utf8_lossy(&line);
        if !begins {
            // The rest of a line that was too long.
        } else if text.trim_end() == OPEN {
            lock(slot).opened();
        } else if let Some(shown) = text.strip_prefix(SHOWN).and_then(|n| n.trim_end().parse().ok()) {
            lock(slot).answered(shown);
        } else if let Some(sentence) = text.strip_prefix(PROBLEM) {
            gone(slot, sentence.trim_end().to_owned());
        }
        begins = line.ends_with(b"\n");
        line.clear();
    }
    gone(slot, "The display was closed; check its screen and who else uses it. It is tried again.".into());
}

fn write(mut input: impl Write, lost: &Picture, slot: &Slot) {
    // The display's pictures are our own, never a decoder's.
    if lost.bytes().is_none_or(|bytes| input.write_all(bytes).is_err()) {
        return;
    }
    loop {
        let idle = |s: &mut Shared| s.newest.is_none() && !s.stop && !matches!(s.is, Is::Gone(_));
        let mut shared = slot.1.wait_while(lock(slot), idle).unwrap_or_else(PoisonError::into_inner);
        let Some(picture) = shared.take().filter(|_| !shared.stop) else { return };
        drop(shared);
        let Some(bytes) = picture.bytes() else { continue };
        if input.write_all(bytes).is_err() {
            return;
        }
        lock(slot).took();
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
            let _ = writeln!(std::io::stdout(), "{PROBLEM}{}", sentence.replace('\n', " "));
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
    // Without a buffer, beside which nobody could ask whether there is input.
    let failed = |e: std::io::Error| format!("The display has no pictures ({e}).");
    let mut input = File::from(std::io::stdin().as_fd().try_clone_to_owned().map_err(failed)?);
    let mut lost = vec![0; size.bytes()];
    let clock = LocalClock::start();
    fill(&mut input, &mut lost, &clock, || {});
    let lost = gst::Buffer::from_slice(lost);
    let mut said = 0;
    loop {
        let mut buffer = pool.acquire_buffer(None).map_err(|e| format!("The display has no memory for a picture ({e})."))?;
        {
            let own = buffer.get_mut().ok_or("The display's memory is held by somebody else.")?;
            let mut bytes = own.map_writable().map_err(no_pool)?;
            fill(&mut input, &mut bytes, &clock, || sink.push(lost.clone()));
        }
        sink.push(buffer);
        let shown = sink.shown();
        if shown != said {
            said = shown;
            let _ = writeln!(std::io::stdout(), "{SHOWN}{shown}");
        }
        if let Some(error) = sink.error() {
            return Err(format!("The display failed ({error}); it is tried again."));
        }
    }
}

/// The next picture, whole. `silent`: nothing came for long. With the engine this process ends, at once: a screen that hangs must
/// not keep a picture on the glass by being waited for.
fn fill(input: &mut File, bytes: &mut [u8], clock: &LocalClock, mut silent: impl FnMut()) {
    let slice = Timespec { tv_sec: 0, tv_nsec: i64::from(SLICE.subsec_nanos()) };
    let mut silence = Silence::default();
    let mut at = 0;
    while at < bytes.len() {
        let began = clock.now();
        if let Ok(0) = poll(&mut [PollFd::new(&*input, PollFlags::IN)], Some(&slice)) {
            if silence.handle_slice(clock.now().since(began)) {
                silent();
            }
            continue;
        }
        match input.read(&mut bytes[at..]) {
            Ok(n @ 1..) => (at, silence) = (at + n, Silence::default()),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            _ => std::process::exit(0),
        }
    }
}

/// This program's own file, for the child: the one that runs, also when an upgrade has put another one in its place.
/// Source: proc_pid_exe(5).
pub fn program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
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

    const T0: CaptureTime = CaptureTime(7 << 32);

    fn slot() -> Slot {
        Arc::new((Mutex::new(Shared::new(T0)), Condvar::new()))
    }

    fn picture() -> Arc<Picture> {
        Arc::new(Picture::black(Geometry::new(16, 16).expect("even")))
    }

    #[test]
    fn what_it_says_is_heard_and_its_end_is_a_sentence() {
        let slot_of = |said: &str| {
            let slot = slot();
            hear(said.as_bytes(), &slot);
            lock(&slot).is.clone()
        };
        let down = |sentence: &str| Is::Gone(Trouble::Down(sentence.into()));
        assert!(matches!(slot_of("open\nshown 1\n"), Is::Gone(why) if why.sentence().contains("closed")));
        assert_eq!(slot_of("problem: No screen.\nopen\nshown 1\n"), down("No screen."), "what is gone does not open");
        // A driver that talks, more than any bound, and in no language.
        let long = format!("libEGL warning: {}\nproblem: No screen.\n", "x".repeat(5 * LINE_MAX as usize));
        assert_eq!(slot_of(&long), down("No screen."));
        let bytes = [b"\xFF\xFE\n\n".as_slice(), long.as_bytes()].concat();
        let slot = slot();
        hear(&bytes[..], &slot);
        assert_eq!(lock(&slot).is, down("No screen."));
        let inside = format!("{}problem: not its own line", "x".repeat(LINE_MAX as usize));
        assert!(matches!(slot_of(&inside), Is::Gone(why) if why.sentence().contains("closed")));
    }

    #[test]
    fn a_screen_that_does_not_open_or_takes_nothing_is_gone_in_time() {
        let at = |ms| T0.saturating_add(Duration::from_millis(ms));
        let mut shared = Shared::new(T0);
        shared.show(&picture(), T0);
        assert!(shared.take().is_none(), "nothing is shown before it is open");
        assert_eq!(shared.at(at(14_999)), Is::Opening);
        assert!(matches!(shared.at(at(15_000)), Is::Gone(why) if why.sentence().contains("does not open")));

        let mut shared = Shared::new(T0);
        shared.opened();
        assert_eq!(shared.at(at(60_000)), Is::Opening, "nothing is on the glass yet");
        shared.answered(1);
        assert_eq!(shared.at(at(60_000)), Is::Open, "nothing to take is no trouble");
        for ms in [60_000, 60_500, 61_000] {
            shared.show(&picture(), at(ms));
        }
        assert_eq!(shared.at(at(61_499)), Is::Open, "the second found the first still there");
        assert!(shared.take().is_some() && shared.take().is_none(), "the newest alone");
        assert_eq!(shared.at(at(62_000)), Is::Open, "it takes again");
        for ms in [62_000, 62_016, 62_500, 63_000] {
            shared.show(&picture(), at(ms));
        }
        assert_eq!(shared.at(at(63_015)), Is::Open);
        assert!(matches!(shared.at(at(63_016)), Is::Gone(why) if why.sentence().contains("takes no pictures")));
        shared.opened();
        shared.answered(9);
        assert!(matches!(shared.at(at(63_017)), Is::Gone(_)), "and stays so");
    }

    #[test]
    fn a_driver_that_shows_none_of_the_pictures_it_was_given_does_not_answer() {
        let at = |ms| T0.saturating_add(Duration::from_millis(ms));
        let mut shared = Shared::new(T0);
        shared.opened();
        for k in 0..300 {
            shared.took();
            shared.answered(k);
            assert_eq!(shared.at(at(33 * k)), if k == 0 { Is::Opening } else { Is::Open }, "each is answered with the next");
        }
        assert_eq!((shared.news, shared.at(at(60_000))), (299, Is::Open), "nothing was written that could be answered");
        shared.took();
        shared.took();
        assert_eq!(shared.at(at(60_000)), Is::Open);
        shared.answered(299);
        assert_eq!(shared.at(at(61_999)), Is::Open);
        assert!(matches!(shared.at(at(62_000)), Is::Gone(why) if why.code() == "display.not-answering"));

        let mut never = Shared::new(T0);
        never.opened();
        never.took();
        never.took();
        assert_eq!((never.at(at(0)), never.at(at(1_999))), (Is::Opening, Is::Opening));
        assert!(matches!(never.at(at(2_000)), Is::Gone(Trouble::NotAnswering(_))), "nor one that never did");
    }

    #[test]
    fn only_what_was_taken_whole_counts() {
        let (slot, lost) = (slot(), picture());
        lock(&slot).opened();
        lock(&slot).show(&lost, T0);
        let bytes = lost.geometry().bytes();
        let mut room = vec![0; 2 * bytes - 1];
        write(&mut room[..], &lost, &slot);
        assert_eq!((lock(&slot).taken, room[0]), (0, lost.plane(0).data[0]), "the last byte had no room");
        lock(&slot).show(&lost, T0);
        let mut room = vec![0; 2 * bytes + 1];
        let ended = slot.clone();
        std::thread::scope(|s| {
            s.spawn(|| write(&mut room[..], &lost, &slot));
            while lock(&ended).taken == 0 {
                std::thread::yield_now();
            }
            gone(&ended, "The test ends.".into());
        });
        assert_eq!(lock(&slot).taken, 1);
    }
}
