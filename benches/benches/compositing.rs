//! One program frame of 1280x720 from three feeds, each already at its final size: ms of CPU per frame.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use annotation::INK_VERSION;
use annotation::id::FeedId;
use annotation::points::{self, Point};
use annotation::time::CaptureTime;
use annotation::wire::{FrameRef, Op, OrderedOp, Snapshot, StrokeCommit, StrokeKey, Tool, op};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use link::frame::FeedState;
use pipeline::display::letters::Letters;
use pipeline::display::paint::{self, Tile};
use pipeline::display::view::{InkView, Surfaced};
use pipeline::display::words::{Language, Words};
use pipeline::mask::{MaskConfig, Masking};
use pipeline::picture::{Geometry, Picture, PicturePool};
use pipeline::program::compositor::{blit, clear, mark_dead};
use pipeline::program::layout::{PixelRect, built_in, letterbox};
use prost::Message as _;

const PROGRAM: (usize, usize) = (1280, 720);
/// Field, fluoroscopy, vital signs (drawn to measure).
const ASPECTS: [Option<(usize, usize)>; 3] = [Some((1280, 720)), Some((512, 512)), None];

fn feeds(layout: &str) -> Vec<(Picture, PixelRect)> {
    let layout = built_in(layout).expect("a layout of the engine");
    ASPECTS
        .iter()
        .enumerate()
        .map(|(i, &aspect)| {
            let rect = letterbox(layout.pixels(i, PROGRAM).expect("inside the program"), aspect);
            (Picture::black(Geometry::new(rect.w, rect.h).expect("even")), rect)
        })
        .collect()
}

fn compositing(c: &mut Criterion) {
    let program = Geometry::new(PROGRAM.0, PROGRAM.1).expect("even");
    let mut pool = PicturePool::new(program);
    let mut group = c.benchmark_group("compositing");
    group.throughput(Throughput::Bytes(program.bytes() as u64));
    for layout in ["field-large", "measuring"] {
        let feeds = feeds(layout);
        group.bench_function(format!("three_feeds_{}", layout.replace('-', "_")), |b| {
            b.iter(|| {
                black_box(pool.draw(|canvas| {
                    clear(canvas);
                    for (picture, rect) in &feeds {
                        blit(canvas, picture, *rect);
                    }
                }))
            });
        });
    }
    let feeds = feeds("field-large");
    group.bench_function("three_feeds_main_dead", |b| {
        b.iter(|| {
            black_box(pool.draw(|canvas| {
                clear(canvas);
                for (picture, rect) in &feeds {
                    blit(canvas, picture, *rect);
                }
                mark_dead(canvas, feeds[0].1);
            }))
        });
    });
    // The floor: a program's bytes written once.
    let whole = Picture::black(program);
    group.bench_function("floor_a_copy_of_the_program", |b| {
        let rect = PixelRect { x: 0, y: 0, w: PROGRAM.0, h: PROGRAM.1 };
        b.iter(|| black_box(pool.draw(|canvas| blit(canvas, &whole, rect))));
    });
    group.finish();

    let size = (1920, 1080);
    let program = Geometry::new(size.0, size.1).expect("even");
    let mut pool = PicturePool::new(program);
    let wall = built_in("wall").expect("a layout of the engine");
    let rects = (0..wall.rects.len()).map(|n| letterbox(wall.pixels(n, size).expect("inside"), Some((16, 9))));
    let feeds: Vec<(Picture, PixelRect)> = rects.map(|r| (Picture::black(Geometry::new(r.w, r.h).expect("even")), r)).collect();
    let mut group = c.benchmark_group("compositing_1080p");
    group.throughput(Throughput::Bytes(program.bytes() as u64));
    group.bench_function("eight_feeds_wall", |b| {
        b.iter(|| {
            black_box(pool.draw(|canvas| {
                clear(canvas);
                for (picture, rect) in &feeds {
                    blit(canvas, picture, *rect);
                }
            }))
        });
    });
    group.finish();
}

/// A feed of 1280x720 with the four masks of an angiography screen: what one picture costs.
fn masks(c: &mut Criterion) {
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
    let picture = Arc::new(Picture::black(Geometry::new(1280, 720).expect("even")));
    let mut group = c.benchmark_group("mask");
    group.throughput(Throughput::Bytes(picture.geometry().bytes() as u64));
    group.bench_function("four_parts_720p", |b| {
        b.iter(|| black_box(masking.apply(picture.clone(), (1280, 720)).expect("certain")));
    });
    group.finish();
}

/// What the room's display costs beside the program: a copy, words, and ink that stands, or that moves with every picture.
fn display(c: &mut Criterion) {
    let program = Geometry::new(PROGRAM.0, PROGRAM.1).expect("even");
    let (whole, rect) = (Picture::black(program), PixelRect { x: 0, y: 44, w: 1200, h: 674 });
    let letters = Letters::new(None);
    let words = Words::new(Language::En);
    let now = CaptureTime::from_unix(Duration::from_secs(1_790_000_000));
    let mut view = InkView::default();
    let snapshot = Snapshot { version: INK_VERSION, ops: (1..=3).map(|n| stroke(n, now)).collect(), up_to: 3, last: true };
    view.handle_snapshot(&snapshot.encode_to_vec(), now).expect("reads");
    let shown = Surfaced { feed: "field".into(), capture: now, state: FeedState::Live, geometry: 0, rect, front: vec![] };
    let marks = view.marks(&[shown], now);
    assert_eq!(marks.len(), 3);
    let paint_all = || marks.iter().filter_map(|m| paint::mark(m, PROGRAM.0, &letters, words)).collect::<Vec<_>>();
    let tiles = paint_all();
    let mut pool = PicturePool::new(program);
    let mut dress = |tiles: &[Tile]| {
        pool.draw(|canvas| {
            canvas.copy_from(&whole);
            tiles.iter().for_each(|tile| tile.lay_over(canvas));
            paint::shade(canvas, PixelRect { h: 28, ..rect });
        })
    };
    let mut group = c.benchmark_group("display");
    group.throughput(Throughput::Bytes(program.bytes() as u64));
    group.bench_function("without_ink_720p", |b| b.iter(|| black_box(dress(&[]))));
    group.bench_function("three_strokes_that_stand_720p", |b| b.iter(|| black_box(dress(&tiles))));
    group.bench_function("three_strokes_that_move_720p", |b| b.iter(|| black_box(dress(&paint_all()))));
    group.finish();
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

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    targets = compositing, masks, display
}
criterion_main!(benches);
