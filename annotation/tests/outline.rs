//! What every renderer draws, as numbers: `vectors/outline.json`, which the web client's geometry is held to as well
//! (within 1 px). `UPDATE_VECTORS=1` rewrites it and fails once.

use annotation::measure;
use annotation::outline::{self, Cap, Ink, Mark, Placement, Shape, Texture, Xy};
use annotation::points::Point;
use annotation::rebase::{self, Similarity};
use annotation::sheet;
use annotation::wire::{self, Reference, Tool};
use serde_json::{Value, json};

#[test]
fn an26_the_outline_vectors_hold() {
    let marks: Vec<Value> = marks().into_iter().map(|case| case.told()).collect();
    let label = outline::label(Xy { x: 1500.0, y: 6.0 }, "佐藤", 20.0, &FULL, &|_| 2.0);
    let label = json!({ "start": [1500, 6], "text": "佐藤", "px": 20, "advance_em": 2, "placement": told(&FULL), "shapes": shapes(&label) });
    let vectors = json!({ "marks": marks, "label": label, "lengths": lengths(), "moved": moved(), "fades": fades() });
    hold(&vectors);
}

#[test]
fn an25_gaps_mean_unsure_and_nothing_else() {
    for case in marks() {
        let lines = |unsure: bool| {
            let mark = Mark { unsure, ..case.mark() };
            outline::shapes(&mark, &case.placement, 1.0, &|t| case.advance(t))
        };
        let pieces = |shapes: &[Shape], cap: Cap| {
            shapes.iter().filter(|s| matches!(s, Shape::Line { cap: c, points, .. } if *c == cap && points.len() > 2)).count()
        };
        if case.tool == Tool::Pen && case.points.len() > 2 {
            assert_eq!(pieces(&lines(false), Cap::Butt), 0, "{}: gaps in a sure line", case.name);
            assert!(pieces(&lines(true), Cap::Butt) > 3, "{}: no gaps in an unsure one", case.name);
        }
    }
}

#[test]
fn an24_every_line_of_colour_lies_on_a_wider_black_one() {
    for case in marks() {
        let shapes = outline::shapes(&case.mark(), &case.placement, 1.0, &|t| case.advance(t));
        for texture_line in shapes.iter().filter_map(|s| match s {
            Shape::Line { ink: Ink::Line, width, points, .. } => Some((*width, points)),
            _ => None,
        }) {
            let (width, points) = texture_line;
            let middle = points[points.len() / 2];
            let under = shapes.iter().any(|s| match s {
                Shape::Line { ink: Ink::Halo, width: around, points, .. } => {
                    *around >= width * 1.5 && points.windows(2).any(|p| distance(middle, p[0], p[1]) < width)
                }
                Shape::Dot { ink: Ink::Halo, at, radius } => (at.x - middle.x).hypot(at.y - middle.y) < *radius,
                _ => false,
            });
            assert!(under, "{}: a line of {width} px without its halo", case.name);
        }
    }
}

#[test]
fn no_point_is_not_a_number_whatever_is_drawn() {
    for case in marks() {
        for moved in [Similarity::IDENTITY, Similarity { a: 0.25, b: 0.0, tx: -9e4, ty: 9e4 }] {
            let same = vec![case.points[0]; case.points.len()];
            for points in [&case.points, &same] {
                let mark = Mark { points, moved, ..case.mark() };
                for shape in outline::shapes(&mark, &case.placement, 1.0, &|t| case.advance(t)) {
                    let sound = match shape {
                        Shape::Line { width, points, .. } => {
                            width > 0.0 && points.iter().all(|p| p.x.is_finite() && p.y.is_finite())
                        }
                        Shape::Dot { at, radius, .. } => radius > 0.0 && at.x.is_finite() && at.y.is_finite(),
                        Shape::Box { x, y, w, h } => [x, y, w, h].iter().all(|v| v.is_finite()),
                        Shape::Letters { at, px, .. } => at.x.is_finite() && at.y.is_finite() && px > 0.0,
                    };
                    assert!(sound, "{}", case.name);
                }
            }
        }
    }
}

struct Case {
    name: &'static str,
    tool: Tool,
    points: Vec<Point>,
    width: u32,
    texture: Texture,
    unsure: bool,
    text: &'static str,
    advance_em: f64,
    reference: Option<Reference>,
    moved: Similarity,
    placement: Placement,
    scale: f64,
}

const FULL: Placement = Placement { x: 0.0, y: 0.0, w: 1920.0, h: 1080.0 };
/// An inset on a smaller glass.
const INSET: Placement = Placement { x: 320.0, y: 61.5, w: 640.0, h: 360.0 };

impl Case {
    fn mark(&self) -> Mark<'_> {
        Mark {
            tool: self.tool,
            points: &self.points,
            width: self.width,
            texture: self.texture,
            moved: self.moved,
            unsure: self.unsure,
            text: self.text,
            reference: self.reference,
        }
    }

    fn advance(&self, _text: &str) -> f64 {
        self.advance_em
    }

    fn told(&self) -> Value {
        let shapes = shapes(&outline::shapes(&self.mark(), &self.placement, self.scale, &|t| self.advance(t)));
        let reference = self.reference.map(|r| json!([r.x1, r.y1, r.x2, r.y2, r.length_um]));
        json!({
            "name": self.name,
            "tool": self.tool.as_str_name(),
            "points": self.points.iter().map(|p| json!([p.x, p.y, p.pressure])).collect::<Vec<_>>(),
            "width": self.width,
            "texture": format!("{:?}", self.texture),
            "unsure": self.unsure,
            "text": self.text,
            "advance_em": self.advance_em,
            "reference": reference,
            "moved": [self.moved.a, self.moved.b, self.moved.tx, self.moved.ty],
            "placement": told(&self.placement),
            "scale": self.scale,
            "shapes": shapes,
        })
    }
}

fn marks() -> Vec<Case> {
    let usual = |name, tool, points| Case {
        name,
        tool,
        points,
        width: 34,
        texture: Texture::A,
        unsure: false,
        text: "",
        advance_em: 0.0,
        reference: None,
        moved: Similarity::IDENTITY,
        placement: FULL,
        scale: 1.0,
    };
    let arc = || curve(|_| 255);
    let ends = || vec![p(3000, 2000), p(6000, 4000)];
    let turned = Similarity { a: 0.995_312_5, b: 0.083_984_375, tx: 120.5, ty: -61.25 };
    vec![
        usual("a pen's curve, single", Tool::Pen, arc()),
        Case { texture: Texture::B, ..usual("a pen's curve, hollow", Tool::Pen, arc()) },
        Case { texture: Texture::C, ..usual("a pen's curve, beaded", Tool::Pen, arc()) },
        Case { texture: Texture::D, ..usual("a pen's curve, ticked", Tool::Pen, arc()) },
        Case { unsure: true, ..usual("unsure, single", Tool::Pen, arc()) },
        Case { unsure: true, texture: Texture::B, ..usual("unsure, hollow", Tool::Pen, arc()) },
        Case { unsure: true, texture: Texture::C, ..usual("unsure, beaded", Tool::Pen, arc()) },
        Case { unsure: true, texture: Texture::D, ..usual("unsure, ticked", Tool::Pen, arc()) },
        Case { width: 51, ..usual("pressure from none to full", Tool::Pen, curve(|i| (i * 255 / 15) as u8)) },
        Case {
            texture: Texture::C,
            width: 51,
            ..usual("pressure, beaded", Tool::Pen, curve(|i| if i % 4 < 2 { 40 } else { 220 }))
        },
        usual("a dot", Tool::Pen, vec![p(8000, 4000)]),
        Case { texture: Texture::C, ..usual("a dot, beaded", Tool::Pen, vec![p(8000, 4000)]) },
        Case {
            texture: Texture::D,
            ..usual("a line shorter than a tick's distance", Tool::Pen, vec![p(8000, 4000), p(8060, 4010)])
        },
        Case { width: 512, ..usual("wider than allowed on the glass", Tool::Line, ends()) },
        Case { placement: INSET, scale: 0.6, ..usual("in an inset: never thinner than 3 px", Tool::Pen, arc()) },
        Case { moved: turned, ..usual("moved by the tracker", Tool::Pen, arc()) },
        usual("an arrow", Tool::Arrow, ends()),
        Case { texture: Texture::B, ..usual("a short arrow, hollow", Tool::Arrow, vec![p(3000, 2000), p(3150, 1950)]) },
        usual("an ellipse", Tool::Ellipse, ends()),
        Case { texture: Texture::D, moved: turned, ..usual("an ellipse turned, ticked", Tool::Ellipse, ends()) },
        Case { unsure: true, texture: Texture::C, ..usual("an ellipse, unsure, beaded", Tool::Ellipse, ends()) },
        Case { texture: Texture::C, ..usual("a line, beaded", Tool::Line, ends()) },
        Case { text: "ここを避ける", advance_em: 6.0, ..usual("a text", Tool::Text, vec![p(5000, 4000)]) },
        Case {
            text: "clip here",
            advance_em: 4.2,
            texture: Texture::D,
            ..usual("a text at the edge, ticked", Tool::Text, vec![p(16_000, 9_200)])
        },
        usual("a pin", Tool::Pin, vec![p(5000, 4000)]),
        Case { texture: Texture::C, ..usual("a pin, beaded", Tool::Pin, vec![p(5000, 4000)]) },
        Case {
            text: "参考",
            advance_em: 8.0,
            reference: Some(Reference { x1: 1000, y1: 1000, x2: 1171, y2: 1000, length_um: 2_000 }),
            ..usual("a measurement", Tool::Measure, vec![p(2000, 2000), p(3100, 2600)])
        },
    ]
}

fn curve(pressure: impl Fn(i32) -> u8) -> Vec<Point> {
    let sample = |i: i32| Point { x: 4_000 + i * 260, y: 4_000 + (i - 8) * (i - 8) * 22 - (i % 3) * 40, pressure: pressure(i) };
    (0..16).map(sample).collect()
}

fn lengths() -> Vec<Value> {
    let reference = Reference { x1: 1000, y1: 1000, x2: 1171, y2: 1000, length_um: 2_000 };
    let of = |x: i32, y: i32, words: &str| {
        let length = measure::length(p(2000, 2000), p(x, y), &reference).expect("a reference");
        json!({
            "from": [2000, 2000], "to": [x, y], "reference": [1000, 1000, 1171, 1000, 2000], "words": words,
            "mm": length.mm, "uncertainty_mm": length.uncertainty_mm, "label": length.label(words),
        })
    };
    vec![of(2000, 3026, "参考"), of(2000, 2001, ""), of(9000, 5000, "reference only")]
}

fn moved() -> Value {
    let points = curve(|i| (i * 9) as u8);
    let spans = [
        wire::Similarity { first: 3, a: 1.25, b: 0.5, tx: 0.5, ty: -0.5 },
        wire::Similarity { first: 9, a: 0.998_7, b: -0.031_3, tx: -60_000.4, ty: 33.7 },
    ];
    let told = |points: &[Point]| points.iter().map(|p| json!([p.x, p.y, p.pressure])).collect::<Vec<_>>();
    json!({
        "points": told(&points),
        "spans": spans.iter().map(|s| json!([s.first, f64::from(s.a), f64::from(s.b), f64::from(s.tx), f64::from(s.ty)])).collect::<Vec<_>>(),
        "moved": told(&rebase::moved(&points, &spans)),
    })
}

fn fades() -> Vec<Value> {
    [0u32, 7_999, 8_000, 8_500, 9_000, 9_999, 10_000, 60_000]
        .map(|ms| json!({ "since_received_ms": ms, "opacity": sheet::opacity(std::time::Duration::from_millis(u64::from(ms))) }))
        .to_vec()
}

fn p(x: i32, y: i32) -> Point {
    Point { x, y, pressure: 255 }
}

fn distance(p: Xy, a: Xy, b: Xy) -> f64 {
    let (dx, dy) = (b.x - a.x, b.y - a.y);
    let t = (((p.x - a.x) * dx + (p.y - a.y) * dy) / (dx * dx + dy * dy).max(1e-9)).clamp(0.0, 1.0);
    (p.x - a.x - t * dx).hypot(p.y - a.y - t * dy)
}

/// To a hundredth of a pixel.
fn px(v: f64) -> Value {
    json!((v * 100.0).round() / 100.0)
}

fn told(p: &Placement) -> Value {
    json!([p.x, p.y, p.w, p.h])
}

fn shapes(shapes: &[Shape]) -> Vec<Value> {
    let xy = |p: &Xy| json!([px(p.x), px(p.y)]);
    let ink = |ink: &Ink| if *ink == Ink::Halo { "halo" } else { "line" };
    let told = |shape: &Shape| match shape {
        Shape::Line { ink: i, width, cap, closed, points } => json!({
            "kind": "line", "ink": ink(i), "width": px(*width), "cap": if *cap == Cap::Round { "round" } else { "butt" },
            "closed": closed, "points": points.iter().map(xy).collect::<Vec<_>>(),
        }),
        Shape::Dot { ink: i, at, radius } => json!({ "kind": "dot", "ink": ink(i), "at": xy(at), "radius": px(*radius) }),
        Shape::Box { x, y, w, h } => json!({ "kind": "box", "x": px(*x), "y": px(*y), "w": px(*w), "h": px(*h) }),
        Shape::Letters { at, px: size, text } => json!({ "kind": "letters", "at": xy(at), "px": px(*size), "text": text }),
    };
    shapes.iter().map(told).collect()
}

fn hold(actual: &Value) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/outline.json");
    // One mark a line: a change is seen where it is.
    let mut text = String::from("{\n");
    for (key, value) in actual.as_object().expect("an object") {
        let value = match value {
            Value::Array(items) => {
                format!("[\n    {}\n  ]", items.iter().map(Value::to_string).collect::<Vec<_>>().join(",\n    "))
            }
            other => other.to_string(),
        };
        text += &format!("  {key:?}: {value},\n");
    }
    text.truncate(text.len() - 2);
    text += "\n}\n";
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if expected != text && std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(&path, &text).expect("vectors folder");
    }
    assert!(expected == text, "{} does not hold (UPDATE_VECTORS=1 rewrites it)", path.display());
}
