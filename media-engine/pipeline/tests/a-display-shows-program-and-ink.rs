//! The room's display without a browser, on a virtual X screen: its pixels are grabbed and looked at.

mod server;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use annotation::INK_VERSION;
use annotation::points::{self, PICTURE_WIDTH, Point};
use annotation::wire::{ClearAll, FrameRef, InkPacket, Op, OrderedOp, Snapshot, StrokeCommit, StrokeKey, Tool, op::Body};
use link::frame::FrameEntry;
use link::wire::{Curtain, InkAuthor, InkAuthors, InkShown, to_engine};
use prost::Message as _;
use rustix::process::{Pid, Signal, kill_process};
use server::{Server, timeline};

const PATIENCE: Duration = Duration::from_secs(90);
/// Whose other half the screen is.
const ENGINE: &str = env!("CARGO_BIN_EXE_shirube-engine");
const WIDE: usize = 640;
const HIGH: usize = 360;

/// An X server that draws into memory.
struct Xvfb {
    child: Child,
    display: String,
}

impl Xvfb {
    fn start() -> Self {
        Self::start_as(&[])
    }

    /// `number`: the display, or nothing for any that is free.
    fn start_as(number: &[&str]) -> Self {
        let mut child = Command::new("Xvfb")
            .args(number)
            .args(["-displayfd", "1", "-screen", "0", &format!("{WIDE}x{HIGH}x24"), "-nolisten", "tcp", "-noreset"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb is installed");
        let mut number = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut number).expect("Xvfb says its number");
        assert!(!number.trim().is_empty(), "Xvfb starts");
        Xvfb { child, display: format!(":{}", number.trim()) }
    }
}

impl Drop for Xvfb {
    /// Asked first, for then it takes its lock and its socket with it; one that does not hear is ended, and they are taken away.
    fn drop(&mut self) {
        signal(self.child.id(), Signal::TERM);
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && began.elapsed() < Duration::from_secs(10) {
            std::thread::yield_now();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let number = self.display.trim_start_matches(':');
        let _ = std::fs::remove_file(format!("/tmp/.X{number}-lock"));
        let _ = std::fs::remove_file(format!("/tmp/.X11-unix/X{number}"));
    }
}

fn signal(process: u32, signal: Signal) {
    let pid = Pid::from_raw(process as i32).expect("a process");
    let _ = kill_process(pid, signal);
}

/// The processes of this one that have a screen.
fn screens_of(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("procfs").filter_map(|e| e.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let of = |name: &str, process: u32| std::fs::read_to_string(format!("/proc/{process}/{name}")).unwrap_or_default();
    let is_ours = |process: &u32| of("status", *process).contains(&format!("\nPPid:\t{parent}\n"));
    processes.filter(is_ours).filter(|p| of("cmdline", *p).split('\0').any(|word| word == "display-sink")).collect()
}

/// What is on the screen now, grabbed by a process of its own: connections to X of one process share locks, and the engine's is to
/// be alone with them, as it is in use.
struct Grab {
    child: Child,
    newest: Arc<(Mutex<Option<Pixels>>, Condvar)>,
}

#[derive(Clone)]
struct Pixels(Vec<u8>);

impl Pixels {
    fn rgb(&self, x: usize, y: usize) -> [u8; 3] {
        let at = (y * WIDE + x) * 3;
        [self.0[at], self.0[at + 1], self.0[at + 2]]
    }

    /// Cyan of the lead's ink.
    fn is_ink(&self, x: usize, y: usize) -> bool {
        let [r, g, b] = self.rgb(x, y);
        r < 120 && g > 190 && b > 210
    }

    fn ink_in(&self, x: usize, y: usize) -> bool {
        (y - 3..=y + 3).any(|y| self.is_ink(x, y))
    }

    fn part(&self, y1: usize, y2: usize) -> &[u8] {
        &self.0[y1 * WIDE * 3..y2 * WIDE * 3]
    }

    /// Anything that is not grey or black.
    fn has_colour(&self) -> bool {
        self.0.chunks_exact(3).any(|p| p.iter().max().zip(p.iter().min()).is_some_and(|(max, min)| max - min > 40))
    }
}

impl Grab {
    fn start(display: &str) -> Self {
        let line = format!(
            "-q ximagesrc display-name={display} use-damage=false show-pointer=false ! videoconvert ! video/x-raw,format=RGB,framerate=30/1 ! fdsink fd=1"
        );
        let mut child = Command::new("gst-launch-1.0")
            .args(line.split(' '))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("gst-launch-1.0 is installed");
        let mut out = child.stdout.take().expect("piped");
        let newest: Arc<(Mutex<Option<Pixels>>, Condvar)> = Arc::default();
        let shared = newest.clone();
        std::thread::spawn(move || {
            // RGB of 640 is 1920 bytes a row, without padding.
            let mut frame = vec![0; WIDE * HIGH * 3];
            while out.read_exact(&mut frame).is_ok() {
                *shared.0.lock().expect("whole") = Some(Pixels(frame.clone()));
                shared.1.notify_one();
            }
        });
        Grab { child, newest }
    }

    /// One that was not seen before, if it comes soon.
    fn now(&self) -> Option<Pixels> {
        let newest = self.newest.0.lock().expect("whole");
        let soon = Duration::from_millis(20);
        let (mut newest, _) = self.newest.1.wait_timeout_while(newest, soon, |newest| newest.is_none()).expect("whole");
        newest.take()
    }

    /// Turns the server until the screen looks as asked for.
    fn until(&self, server: &mut Server, what: &str, mut done: impl FnMut(&Pixels) -> bool) -> Pixels {
        let began = Instant::now();
        loop {
            server.turn();
            if let Some(pixels) = self.now()
                && done(&pixels)
            {
                return pixels;
            }
            assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        }
    }

    /// The program goes on: its picture changes again and again.
    fn until_moving(&self, server: &mut Server, what: &str) {
        self.until_changed(server, 8, what);
    }

    fn until_changed(&self, server: &mut Server, times: u32, what: &str) {
        let mut changes = 0;
        let mut before: Option<Pixels> = None;
        self.until(server, what, |pixels| {
            // Beside the strip, whose age changes by itself.
            let moved = before.as_ref().is_some_and(|b| b.part(80, 320) != pixels.part(80, 320));
            before = Some(pixels.clone());
            changes += u32::from(moved);
            changes >= times
        });
    }
}

impl Drop for Grab {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One display after the other, for the same reason.
static ALONE: Mutex<()> = Mutex::new(());

fn config(display: &str) -> String {
    format!(
        r#"
        program = {{ width = {WIDE}, height = {HIGH}, layout = "full" }}
        display = {{ sink = "x", display = "{display}", language = "en" }}

        [[feed]]
        id = "field"
        kind = "operative-field"
        name_ja = "術野"
        name_en = "Field"
        main = true
        source = {{ type = "synthetic-field" }}
        "#
    )
}

/// The server's side of the display's ink: one log, said until it is confirmed.
struct Ink {
    log: Vec<OrderedOp>,
}

impl Ink {
    /// The engine asks; it gets all there is.
    fn begin(&mut self, server: &mut Server) {
        server.until("the display's call for ink", |s| s.ink_heard.iter().any(|h| h.join));
        server.ink_heard.clear();
        let authors = vec![InkAuthor { author: 2, texture: 1, ..Default::default() }];
        server.send(to_engine::Body::Ink(InkShown { authors: Some(InkAuthors { authors }), ..Default::default() }));
        let snapshot = Snapshot { version: INK_VERSION, ops: self.log.clone(), up_to: self.log.len() as u64, last: true };
        server.send(to_engine::Body::Ink(InkShown { snapshot: snapshot.encode_to_vec(), ..Default::default() }));
    }

    fn say(&mut self, server: &mut Server, body: Body) {
        let order = self.log.len() as u64 + 1;
        let op = Op { author: 2, epoch: 1, seq: order as u32, at: timeline().0, body: Some(body) };
        let ordered = OrderedOp { order, received: timeline().0, op: Some(op) };
        self.log.push(ordered.clone());
        let packet = InkPacket { version: INK_VERSION, ordered: vec![ordered], ..Default::default() };
        server.send(to_engine::Body::Ink(InkShown { packet: packet.encode_to_vec(), ..Default::default() }));
        server.until("the word that it is there", |s| s.ink_heard.iter().any(|h| h.have_order == order));
    }
}

/// A line across the middle third of the picture, on the frame composed last, from 1/3 to 2/3 at this part of its height.
fn stroke(entry: &FrameEntry, number: u32, part: f64) -> Body {
    let unit = |share: f64| (share * f64::from(PICTURE_WIDTH)) as i32;
    let y = unit(part * HIGH as f64 / WIDE as f64);
    let points = [Point { x: unit(1.0 / 3.0), y, pressure: 255 }, Point { x: unit(2.0 / 3.0), y, pressure: 255 }];
    Body::Stroke(StrokeCommit {
        key: Some(StrokeKey { author: 2, epoch: 1, number }),
        tool: Tool::Line.into(),
        width: 100,
        frame: Some(FrameRef {
            feed: entry.feed.clone(),
            capture: entry.capture,
            program: "program".into(),
            ..Default::default()
        }),
        began: timeline().0,
        points: Some(points::encode(&points)),
        ..Default::default()
    })
}

fn start(config: &str) -> Server {
    Server::start_with(config, |prepared| prepared.with_program(ENGINE.as_ref()))
}

fn newest(server: &mut Server) -> FrameEntry {
    server.indexes.clear();
    server.until("a program frame", |s| !s.indexes.is_empty());
    server.indexes.values().next_back().expect("just seen").entries[0].clone()
}

#[test]
fn program_and_ink_are_on_the_glass_and_the_program_outlives_the_inks_failure() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    gstreamer::init().expect("GStreamer is installed");
    let x = Xvfb::start();
    // 0: as it is; 1: panics; 2: takes for ever.
    let trouble = Arc::new(AtomicU8::new(0));
    let injected = trouble.clone();
    let mut server = Server::start_with(&config(&x.display), |prepared| {
        prepared.with_program(ENGINE.as_ref()).with_ink_trial(Arc::new(move || match injected.load(Ordering::SeqCst) {
            1 => panic!("the test lets the ink fail"),
            2 => std::thread::sleep(Duration::from_millis(200)),
            _ => {}
        }))
    });
    let grab = Grab::start(&x.display);
    server.accept();
    grab.until_moving(&mut server, "a moving program without a viewer");

    let mut ink = Ink { log: Vec::new() };
    ink.begin(&mut server);
    server.want(true);
    let entry = newest(&mut server);
    ink.say(&mut server, stroke(&entry, 1, 0.5));
    let middle = (WIDE / 2, HIGH / 2);
    let across = [WIDE / 3 + 8, middle.0, 2 * WIDE / 3 - 8];
    let pixels = grab.until(&mut server, "the stroke from end to end", |p| across.iter().all(|x| p.ink_in(*x, middle.1)));
    assert!(!pixels.ink_in(WIDE / 3 - 20, middle.1) && !pixels.ink_in(2 * WIDE / 3 + 20, middle.1), "and not beyond");

    ink.say(&mut server, Body::ClearAll(ClearAll { up_to: timeline().0 }));
    grab.until(&mut server, "its clearing", |p| !p.ink_in(middle.0, middle.1));
    grab.until_moving(&mut server, "a program that goes on");

    for (kind, word) in [(1, "failed"), (2, "late")] {
        trouble.store(kind, Ordering::SeqCst);
        // As little as the ink path's own luck may count: each kind of failure is seen in health, on the glass, and ends.
        let of_health = |s: &Server| s.health.as_ref().and_then(|h| h.display.clone());
        server.until(&format!("a display that says {word}"), |s| of_health(s).is_some_and(|d| d.ink == word && d.up));
        grab.until_moving(&mut server, "a program whose ink is broken");
        let white = |p: &Pixels| (HIGH - 14..HIGH).any(|y| (0..200).any(|x| p.rgb(x, y).iter().all(|c| *c > 200)));
        grab.until(&mut server, "words on the glass", white);
        trouble.store(0, Ordering::SeqCst);
        if kind == 1 {
            server.ink_heard.clear();
            ink.begin(&mut server);
        }
        server.until("ink that is back", |s| of_health(s).is_some_and(|d| d.ink == "shown"));
        let entry = newest(&mut server);
        ink.say(&mut server, stroke(&entry, 10 + u32::from(kind), 0.5));
        grab.until(&mut server, "a stroke after the failure", |p| p.ink_in(middle.0, middle.1));
        ink.say(&mut server, Body::ClearAll(ClearAll { up_to: timeline().0 }));
        grab.until(&mut server, "its clearing", |p| !p.ink_in(middle.0, middle.1));
    }

    // The line to the server is cut: pictures go on, and no ink that nobody could clear stands on them.
    let entry = newest(&mut server);
    ink.say(&mut server, stroke(&entry, 20, 0.5));
    grab.until(&mut server, "a stroke before the line is cut", |p| p.ink_in(middle.0, middle.1));
    server.hang_up();
    grab.until(&mut server, "its end with the line", |p| !p.ink_in(middle.0, middle.1));
    grab.until_changed(&mut server, 3, "a program without a server");
    server.hang_up();
    server.accept();
    server.stop();
}

#[test]
fn a_curtain_is_drawn_on_the_glass_and_a_screen_that_is_not_there_is_no_harm_to_the_encoders() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    gstreamer::init().expect("GStreamer is installed");
    let x = Xvfb::start();
    let camera = config(&x.display).replace("main = true", "main = true\n        curtain = true");
    let mut server = start(&camera);
    let grab = Grab::start(&x.display);
    server.accept();
    let curtain = |drawn| to_engine::Body::Curtain(Curtain { drawn });
    server.send(curtain(false));
    grab.until(&mut server, "the camera's colours", Pixels::has_colour);
    grab.until_moving(&mut server, "a moving camera");
    server.send(curtain(true));
    let folds = |p: &Pixels| (10..WIDE - 10).all(|x| p.rgb(x, 200).iter().all(|c| *c < 110));
    grab.until(&mut server, "folds instead of the camera", folds);
    server.stop();

    // No such screen: the program is encoded all the same, and health says what is missing.
    let mut server = start(&config(":65000"));
    server.accept();
    server.want(true);
    server.until("a display that is down", |s| {
        s.health.as_ref().and_then(|h| h.display.as_ref()).is_some_and(|d| !d.up && !d.problem.is_empty())
    });
    let before = server.frames();
    server.until("frames without a screen", |s| s.frames() > before + 30);
    server.stop();
}

#[test]
fn the_engine_outlives_its_x_server_and_finds_the_next_one() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Beyond those that are given out, so that nobody else takes it in between.
    let display = format!(":{}", 10_000 + std::process::id() % 40_000);
    let x = Xvfb::start_as(&[&display]);
    let mut server = start(&config(&display));
    server.accept();
    server.want(true);
    let of_health = |s: &Server| s.health.as_ref().and_then(|h| h.display.clone());
    server.until("a display that is up", |s| of_health(s).is_some_and(|d| d.up && d.frames > 10));

    drop(x);
    let before = server.frames();
    server.until("a display that is down", |s| of_health(s).is_some_and(|d| !d.up && !d.problem.is_empty()));
    server.until("frames without an X server", |s| s.frames() > before + 60);

    let x = Xvfb::start_as(&[&display]);
    server.until("the display again", |s| of_health(s).is_some_and(|d| d.up && d.problem.is_empty()));
    let grab = Grab::start(&x.display);
    grab.until_moving(&mut server, "a moving program on the next X server");
    server.stop();
}

#[test]
fn a_screen_that_takes_no_pictures_is_started_anew() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    gstreamer::init().expect("GStreamer is installed");
    let x = Xvfb::start();
    let mut server = start(&config(&x.display));
    server.accept();
    let of_health = |s: &Server| s.health.as_ref().and_then(|h| h.display.clone());
    server.until("a display that is up", |s| of_health(s).is_some_and(|d| d.up && d.frames > 10));
    let screens = screens_of(std::process::id());
    assert!(!screens.is_empty(), "the screen is a process");
    screens.iter().for_each(|screen| signal(*screen, Signal::STOP));
    server.until("the word that it is stuck", |s| of_health(s).is_some_and(|d| !d.up && d.problem.contains("takes no pictures")));
    server.until("the display again", |s| of_health(s).is_some_and(|d| d.up && d.problem.is_empty()));
    server.until("another process alone", |_| screens_of(std::process::id()).iter().all(|screen| !screens.contains(screen)));
    let grab = Grab::start(&x.display);
    grab.until_moving(&mut server, "a moving program");
    server.stop();
}

/// Ends with the test, however that ends.
struct Engine(Child);

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_engine_that_stands_still_or_dies_leaves_no_picture_on_the_glass() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let x = Xvfb::start();
    let mut server = Server::listen();
    std::fs::write(server.path("room.toml"), config(&x.display)).expect("a file");
    let mut command = Command::new(ENGINE);
    command.args(server.arguments()).arg("--config").arg(server.path("room.toml")).stdin(Stdio::null()).stderr(Stdio::null());
    let mut engine = Engine(command.spawn().expect("the program starts"));
    let grab = Grab::start(&x.display);
    server.accept();
    grab.until(&mut server, "the field's colours", Pixels::has_colour);
    signal(engine.0.id(), Signal::STOP);
    let white = |p: &Pixels| p.0.chunks_exact(3).any(|p| p.iter().all(|c| *c > 200));
    grab.until(&mut server, "words that the picture is lost", |p| !p.has_colour() && white(p));
    signal(engine.0.id(), Signal::CONT);
    grab.until(&mut server, "the field again", Pixels::has_colour);
    signal(engine.0.id(), Signal::STOP);
    let _ = engine.0.kill();
    let _ = engine.0.wait();
    grab.until(&mut server, "an empty screen", |p| p.0.iter().all(|c| *c < 8));
}
