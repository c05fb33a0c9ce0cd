//! What a picture of the engine costs: ms of CPU a frame for compositing, masks, each layer's encoder and the room's display; and, in real time,
//! from capture to RTP with four live feeds, and how much older than the main picture insets of four cadences are. Each beside its floor:
//! the least that anybody could spend on it.
//!
//! CPU is that of the whole process (user and system, all threads), the median of [`BATCHES`] batches.

use std::hint::black_box;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use annotation::INK_VERSION;
use annotation::id::FeedId;
use annotation::points::{self, Point};
use annotation::time::CaptureTime;
use annotation::wire::{FrameRef, Op, OrderedOp, Snapshot, StrokeCommit, StrokeKey, Tool, op};
use benches::aligning;
use benches::soak::scene::Scene;
use benches::soak::server::{Heard, Listener};
use benches::stats::Percentiles;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use link::frame::FeedState;
use pipeline::clock::LocalClock;
use pipeline::display::letters::Letters;
use pipeline::display::paint::{self, Tile};
use pipeline::display::view::{InkView, Surfaced};
use pipeline::display::words::{Language, Words};
use pipeline::encode::layer::LayerEncoder;
use pipeline::encode::{EncoderKind, EncoderSettings};
use pipeline::feed::{SourceConfig, prepare};
use pipeline::mask::{MaskConfig, Masking};
use pipeline::picture::{Geometry, Picture, PicturePool};
use pipeline::program::compositor::{blit, clear, mark_dead};
use pipeline::program::layout::{PixelRect, built_in, letterbox};
use pipeline::timing::pace::Period;
use prost::Message as _;
use rustix::time::{ClockId, clock_gettime};

const PROGRAM: (usize, usize) = (1280, 720);
/// Field, fluoroscopy, vital signs (drawn to measure).
const ASPECTS: [Option<(usize, usize)>; 3] = [Some((1280, 720)), Some((512, 512)), None];
const BATCHES: usize = 7;
const BATCH: u32 = 120;
/// Pictures of one layer that are encoded; the first are left out of the batches.
const ENCODED: u32 = 150;
/// How long the engine runs in real time, s.
const RUNS_S: u64 = 25;
/// Virtual time of the alignment.
const ALIGNS_S: f64 = 300.0;

fn main() {
    gst::init().expect("GStreamer is installed");
    println!("{:<46}{:>12}{:>12}{:>8}   floor", "ms of CPU a frame", "is", "floor", "ratio");
    compositing();
    masks();
    encoding();
    display();
    let (is, floor) = capture_to_rtp();
    println!("\n{:<46}{:>12}{:>12}", "ms, p50 / p99", "is", "floor");
    println!("{:<46}{is:>12}{floor:>12}   its encoder alone, in the same run", "capture to RTP, four live feeds, 720p");
    excess();
}

fn cpu_ms() -> f64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as f64 * 1e3 + t.tv_nsec as f64 / 1e6
}

/// Of one call, ms.
fn cpu(mut once: impl FnMut()) -> f64 {
    let batch = || {
        let began = cpu_ms();
        (0..BATCH).for_each(|_| once());
        (cpu_ms() - began) / f64::from(BATCH)
    };
    median(std::iter::repeat_with(batch).take(BATCHES + 1).skip(1).collect())
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

fn row(what: &str, is: f64, floor: f64, name: &str) {
    println!("{what:<46}{is:>12.3}{floor:>12.3}{:>8.2}   {name}", is / floor);
}

fn even(w: usize, h: usize) -> Geometry {
    Geometry::new(w, h).expect("even")
}

/// A picture's bytes written once, row by row as the compositor does.
fn copy(size: Geometry) -> f64 {
    let (mut pool, whole) = (PicturePool::new(size), Picture::black(size));
    let rect = PixelRect { x: 0, y: 0, w: size.width, h: size.height };
    cpu(|| drop(black_box(pool.draw(|canvas| blit(canvas, &whole, rect)))))
}

fn compositing() {
    let place = |layout: &str, aspects: &[Option<(usize, usize)>], size: (usize, usize)| -> Vec<(Picture, PixelRect)> {
        let layout = built_in(layout).expect("a layout of the engine");
        let rects = aspects.iter().enumerate();
        let rects = rects.map(|(n, aspect)| letterbox(layout.pixels(n, size).expect("inside the program"), *aspect));
        rects.map(|r| (Picture::black(even(r.w, r.h)), r)).collect()
    };
    let compose = |size: Geometry, feeds: &[(Picture, PixelRect)], dead: bool| {
        let mut pool = PicturePool::new(size);
        cpu(|| {
            black_box(pool.draw(|canvas| {
                clear(canvas);
                feeds.iter().for_each(|(picture, rect)| blit(canvas, picture, *rect));
                if dead {
                    mark_dead(canvas, feeds[0].1);
                }
            }));
        })
    };
    let size = even(PROGRAM.0, PROGRAM.1);
    let floor = copy(size);
    let name = "a copy of the program's bytes";
    for (what, layout, dead) in [
        ("compose 720p, three feeds, field-large", "field-large", false),
        ("compose 720p, three feeds, measuring", "measuring", false),
        ("compose 720p, three feeds, the main one dead", "field-large", true),
    ] {
        row(what, compose(size, &place(layout, &ASPECTS, PROGRAM), dead), floor, name);
    }
    let (size, wide) = (even(1920, 1080), (1920, 1080));
    row("compose 1080p, eight feeds, wall", compose(size, &place("wall", &[Some((16, 9)); 8], wide), false), copy(size), name);
}

/// A feed of 1280x720 with the masks of an angiography screen.
fn masks() {
    let feed = FeedId::parse("field").expect("an id");
    let mask = MaskConfig {
        feed: feed.clone(),
        published: false,
        size: [1280, 720],
        rects: vec![[8, 8, 300, 60], [970, 8, 300, 60], [8, 650, 260, 60]],
        polygons: vec![vec![[1000, 640], [1280, 640], [1280, 720], [1060, 720]]],
        keep: vec![[560, 660, 160, 50]],
    };
    let mut masking = Masking::of(&feed, &[mask]).expect("has one");
    let picture = Arc::new(Picture::black(even(1280, 720)));
    let is = cpu(|| drop(black_box(masking.apply(picture.clone(), (1280, 720)).expect("certain"))));
    row("mask 720p, four parts", is, copy(even(1280, 720)), "a copy of the picture");
}

/// Moving pictures, as a scope gives them.
fn pictures(size: Geometry) -> Vec<Arc<Picture>> {
    let field = prepare(&SourceConfig::SyntheticField, None).expect("generated");
    let mut field = field.fit(size).expect("fits");
    (0..u64::from(ENCODED)).map(|k| field.picture(k).expect("a picture")).map(|p| Arc::new(own(&p))).collect()
}

fn own(picture: &Picture) -> Picture {
    let mut own = Picture::black(picture.geometry());
    own.copy_from(picture);
    own
}

/// Each layer of the program as it is made, beside the bare encoder with pictures of its size: no scaling, no packets.
fn encoding() {
    let program = even(PROGRAM.0, PROGRAM.1);
    let kinds = [(EncoderKind::X264, "x264"), (EncoderKind::OpenH264, "openh264"), (EncoderKind::Vp8, "vp8")];
    let sizes = [("high 720p", program, 2_500_000), ("mid 360p", even(640, 360), 625_000), ("low 180p", even(320, 180), 100_000)];
    let large = pictures(program);
    for (kind, name) in kinds {
        if gst::ElementFactory::find(kind.element()).is_none() {
            println!("encode, {name}: not installed");
            continue;
        }
        for (layer, size, bitrate_bps) in sizes {
            let settings = EncoderSettings { kind, size, period: Period::NTSC_30, bitrate_bps };
            let is = layer_ms(&settings, &large);
            let own = if size == program { large.clone() } else { pictures(size) };
            row(
                &format!("encode {layer}, {name}, to RTP packets"),
                is,
                bare_ms(&settings, &own),
                "the bare encoder at that size",
            );
        }
    }
}

fn layer_ms(settings: &EncoderSettings, pictures: &[Arc<Picture>]) -> f64 {
    let clock = LocalClock::start();
    let done = Arc::new(AtomicU32::new(0));
    let counted = done.clone();
    let deliver = move |frame| {
        drop(black_box(frame));
        counted.fetch_add(1, Ordering::AcqRel);
    };
    let input = pictures[0].geometry();
    let mut encoder = LayerEncoder::start(settings, input, 7, clock, deliver).expect("starts");
    let mut began = cpu_ms();
    for (k, picture) in (0..).zip(pictures) {
        if k == 30 {
            began = cpu_ms();
        }
        let capture = CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + settings.period.at(k));
        encoder.push(picture, capture, 0, clock.now());
        wait(|| u64::from(done.load(Ordering::Acquire)) > k);
    }
    (cpu_ms() - began) / f64::from(ENCODED - 30)
}

fn bare_ms(settings: &EncoderSettings, pictures: &[Arc<Picture>]) -> f64 {
    let line = format!(
        "appsrc name=in is-live=true format=time caps={} ! {} ! appsink name=out sync=false",
        settings.raw_caps().replace(' ', ""),
        settings.description()
    );
    let pipeline = gst::parse::launch(&line).expect("elements").downcast::<gst::Pipeline>().expect("a pipeline");
    let source: gst_app::AppSrc = pipeline.by_name("in").and_then(|e| e.downcast().ok()).expect("named");
    let sink: gst_app::AppSink = pipeline.by_name("out").and_then(|e| e.downcast().ok()).expect("named");
    pipeline.set_state(gst::State::Playing).expect("plays");
    let mut began = cpu_ms();
    for (k, picture) in (0..).zip(pictures) {
        if k == 30 {
            began = cpu_ms();
        }
        let mut buffer = picture.to_buffer();
        buffer.make_mut().set_pts(gst::ClockTime::from_nseconds(settings.period.at(k).as_nanos() as u64));
        source.push_buffer(buffer).expect("takes it");
        sink.try_pull_sample(gst::ClockTime::from_seconds(10)).expect("encoded");
    }
    let is = (cpu_ms() - began) / f64::from(ENCODED - 30);
    pipeline.set_state(gst::State::Null).expect("ends");
    is
}

fn wait(done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() && began.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_micros(300));
    }
}

/// What the room's display costs beside the program: a copy, words, and ink that stands, or that moves with every picture.
fn display() {
    let program = even(PROGRAM.0, PROGRAM.1);
    let (whole, rect) = (Picture::black(program), PixelRect { x: 0, y: 44, w: 1200, h: 674 });
    let letters = Letters::new(None);
    let words = Words::new(Language::En);
    let now = CaptureTime::from_unix(Duration::from_secs(1_790_000_000));
    let mut view = InkView::default();
    let snapshot = Snapshot { version: INK_VERSION, ops: (1..=3).map(|n| stroke(n, now)).collect(), up_to: 3, last: true };
    view.handle_snapshot(&snapshot.encode_to_vec(), now).expect("reads");
    let shown = Surfaced { feed: "field".into(), capture: now, state: FeedState::Live, geometry: 0, rect, front: vec![] };
    let (marks, _) = view.scene(&[shown], now);
    assert_eq!(marks.len(), 3);
    let paint_all = || marks.iter().filter_map(|m| paint::mark(m, PROGRAM.0, &letters, words)).collect::<Vec<_>>();
    let tiles = paint_all();
    let mut pool = PicturePool::new(program);
    let mut dress = |tiles: &[Tile]| {
        black_box(pool.draw(|canvas| {
            canvas.copy_from(&whole);
            tiles.iter().for_each(|tile| tile.lay_over(canvas));
            paint::shade(canvas, PixelRect { h: 28, ..rect });
        }));
    };
    let floor = copy(program);
    let name = "a copy of the program's bytes";
    row("display 720p, without ink", cpu(|| dress(&[])), floor, name);
    row("display 720p, three strokes that stand", cpu(|| dress(&tiles)), floor, name);
    row("display 720p, three strokes that move", cpu(|| dress(&paint_all())), floor, name);
}

/// A loop of the pen over a sixth of the picture's width.
fn stroke(number: u32, now: CaptureTime) -> OrderedOp {
    let along = |i: i32| f64::from(i) / 24.0 * std::f64::consts::TAU;
    let at = |i: i32| (4_000 * number as i32 + (1_300.0 * along(i).cos()) as i32, 3_500 + (1_300.0 * along(i).sin()) as i32);
    let points: Vec<Point> = (0..24).map(|i| Point { x: at(i).0, y: at(i).1, pressure: 255 }).collect();
    let commit = StrokeCommit {
        key: Some(StrokeKey { author: 2, epoch: 1, number }),
        tool: Tool::Pen.into(),
        width: 34,
        frame: Some(FrameRef { feed: "field".into(), capture: now.0, program: "program".into(), ..Default::default() }),
        began: now.0,
        points: Some(points::encode(&points)),
        ..Default::default()
    };
    let op = Op { author: 2, epoch: 1, seq: number, at: now.0, body: Some(op::Body::Stroke(commit)) };
    OrderedOp { order: number.into(), received: now.0, op: Some(op) }
}

/// The engine in real time: p50 / p99 of the program's large layer, and of its encoder.
fn capture_to_rtp() -> (String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut listener = Listener::bind(folder.path()).expect("sockets");
    let length = Duration::from_secs(RUNS_S);
    let (stop, engine_stop) = UnixStream::pair().expect("sockets");
    let dial = Scene::dial(folder.path()).expect("a case");
    let prepared = Scene::FourLive.prepare(Instant::now(), length).expect("a good configuration");
    let engine = std::thread::spawn(move || prepared.run(dial, engine_stop));
    let began = Instant::now();
    let (mut is, mut worst, mut encode) = (Vec::new(), Vec::new(), Vec::new());
    while began.elapsed() < length {
        for heard in listener.turn().expect("the engine runs") {
            let Heard::Health(health) = heard else { continue };
            if health.layers.is_empty() {
                listener.want(Scene::FourLive.layers()).expect("the engine listens");
            }
            let high = health.layers.iter().find(|l| l.layer.as_ref().is_some_and(|l| l.feed == "program" && l.layer == "high"));
            if let Some(l) = high.filter(|l| l.capture_to_rtp_us_p50 > 0 && began.elapsed() > Duration::from_secs(5)) {
                is.push(f64::from(l.capture_to_rtp_us_p50) / 1e3);
                worst.push(f64::from(l.capture_to_rtp_us_p99) / 1e3);
                encode.push(f64::from(l.encode_us_p50) / 1e3);
            }
        }
    }
    drop(stop);
    let _ = engine.join();
    (format!("{:.1} / {:.1}", median(is), median(worst)), format!("{:.1}", median(encode)))
}

/// Four insets of 7.5, 15, 30 and 60 a second beside a main feed of 30, in virtual time.
fn excess() {
    let pair = |p: &Option<Percentiles>| p.as_ref().map_or("-".into(), |p| format!("{:.1} / {:.1}", p.p50, p.p99));
    for scenario in aligning::scenarios().iter().take(4) {
        let out = aligning::run(scenario, 1, ALIGNS_S);
        let what = format!("excess age of insets, {}", out.scenario);
        println!("{what:<46}{:>12}{:>12}   every frame known when captured", pair(&out.excess), pair(&out.floor));
    }
}
