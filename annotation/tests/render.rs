//! The painted marks against a picture kept in the repository. `UPDATE_GOLDEN=1` rewrites it and fails once; on a mismatch the
//! painted picture lies beside the build's own files.

use std::path::Path;

use annotation::outline::{self, Mark, Placement, Texture, Xy};
use annotation::points::Point;
use annotation::rebase::Similarity;
use annotation::render::{Edge, Overlay};
use annotation::wire::{Reference, Tool};
use tiny_skia::{Color, Pixmap, PixmapPaint, Transform};

/// Width of a cell; four beside each other, one row a tool or state.
const CELL: (f64, f64) = (240.0, 135.0);
/// Sum of differences of a channel, of 255, as a mean over the picture: anti-aliasing may differ between machines.
const MEAN_MAX: f64 = 0.05;

#[test]
fn an26_what_is_painted_is_what_is_drawn() {
    let rows = rows();
    let (w, h) = ((CELL.0 * 4.0) as u32, (CELL.1 * rows.len() as f64) as u32);
    let mut picture = Pixmap::new(w, h).expect("a size");
    picture.fill(Color::from_rgba8(168, 72, 60, 255));
    let mut overlay = Overlay::new(w, h).expect("a size");
    for (row, (tool, points, unsure, opacity)) in rows.iter().enumerate() {
        for (column, texture) in Texture::ALL.into_iter().enumerate() {
            let placement = Placement { x: column as f64 * CELL.0, y: row as f64 * CELL.1, w: CELL.0, h: CELL.1 };
            let reference = Reference { x1: 1000, y1: 8000, x2: 4000, y2: 8000, length_um: 2_000 };
            let mark = Mark {
                tool: *tool,
                points,
                width: 205,
                texture,
                moved: Similarity::IDENTITY,
                unsure: *unsure,
                text: if *tool == Tool::Text { "blocks" } else { "" },
                reference: (*tool == Tool::Measure).then_some(reference),
            };
            let advance = |text: &str| text.chars().count() as f64 * 0.4;
            overlay.paint(&outline::shapes(&mark, &placement, 0.5, &advance), texture, *opacity, &blocks);
        }
    }
    let shown = Pixmap::from_vec(overlay.rgba().to_vec(), tiny_skia::IntSize::from_wh(w, h).expect("a size")).expect("pixels");
    picture.draw_pixmap(0, 0, shown.as_ref(), &PixmapPaint::default(), Transform::identity(), None);
    hold("marks.png", &picture);
}

/// A font of blocks, so that no font of a machine is in the picture.
fn blocks(text: &str, px: f64, at: Xy) -> Vec<Edge> {
    let block = |i: usize| {
        let (x, w, h) = (at.x + i as f64 * px * 0.4, px * 0.3, px * 0.6);
        let corner = |dx: f64, dy: f64| Xy { x: x + dx, y: at.y - dy };
        [Edge::Move(corner(0.0, 0.0)), Edge::Line(corner(w, 0.0)), Edge::Quad(corner(w, h), corner(0.0, h)), Edge::Close]
    };
    (0..text.chars().count()).flat_map(block).collect()
}

fn rows() -> Vec<(Tool, Vec<Point>, bool, f64)> {
    let p = |x: i32, y: i32| Point { x, y, pressure: 255 };
    let curve: Vec<Point> = (0..14)
        .map(|i| Point { x: 1_500 + i * 1_000, y: 4_600 + (i - 7) * (i - 7) * 60 - (i % 2) * 300, pressure: (60 + i * 15) as u8 })
        .collect();
    vec![
        (Tool::Pen, curve.clone(), false, 1.0),
        (Tool::Pen, curve.clone(), true, 1.0),
        (Tool::Pen, curve, false, 0.5),
        (Tool::Arrow, vec![p(2_000, 7_500), p(12_000, 2_500)], false, 1.0),
        (Tool::Ellipse, vec![p(3_000, 1_800), p(13_000, 7_600)], false, 1.0),
        (Tool::Text, vec![p(4_000, 5_000)], false, 1.0),
        (Tool::Pin, vec![p(8_000, 8_600)], false, 1.0),
        (Tool::Measure, vec![p(2_000, 6_500), p(14_000, 5_500)], false, 1.0),
    ]
}

fn hold(file: &str, actual: &Pixmap) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(file);
    let expected = Pixmap::load_png(&path).ok();
    let mean = expected.as_ref().filter(|e| (e.width(), e.height()) == (actual.width(), actual.height())).map(|e| {
        let sum: f64 = e.data().iter().zip(actual.data()).map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
        sum / e.data().len() as f64
    });
    if mean.is_some_and(|mean| mean <= MEAN_MAX) {
        return;
    }
    let beside = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
    actual.save_png(&beside).expect("written");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        actual.save_png(&path).expect("written");
    }
    panic!("{} differs by {mean:?} (at most {MEAN_MAX}); painted: {}", path.display(), beside.display());
}
