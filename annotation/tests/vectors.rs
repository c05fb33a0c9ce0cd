//! The vectors that the Rust and the TypeScript codec share. `UPDATE_VECTORS=1` rewrites them and fails once.

use annotation::points::{self, Point};
use annotation::wire;
use prost::Message;
use serde_json::{Value, json};

#[test]
fn points_vectors_hold() {
    let cases: Vec<(&str, Vec<Point>)> = vec![
        ("one point, no pressure", vec![p(0, 0, 255)]),
        ("a corner", vec![p(16_384, 9_216, 255), p(0, 0, 255), p(16_384, 0, 255)]),
        ("a curve with pressure", (0..24).map(|i| p(8_000 + i * i * 3, 4_000 - i * 11, 100 + i as u8)).collect()),
        ("beyond the edge", vec![p(-200, -3, 255), p(16_900, 12, 255)]),
    ];
    let actual: Vec<Value> = cases
        .iter()
        .map(|(name, points)| {
            json!({
                "name": name,
                "points": points.iter().map(|p| json!([p.x, p.y, p.pressure])).collect::<Vec<_>>(),
                "bytes_hex": hex(&points::encode(points).encode_to_vec()),
            })
        })
        .collect();
    hold("points.json", &Value::Array(actual));
    for (name, points) in cases {
        let wire = points::encode(&points);
        assert_eq!(points::decode(&wire), Ok(points), "{name}");
    }
}

#[test]
fn a_packet_of_ink_has_the_same_bytes_everywhere() {
    let key = wire::StrokeKey { author: 2, epoch: 7, number: 3 };
    let commit = wire::StrokeCommit {
        key: Some(key),
        tool: wire::Tool::Pen as i32,
        width: 51,
        frame: Some(wire::FrameRef {
            feed: "field".into(),
            capture: 0xEE00_0000_8000_0000,
            program: "program".into(),
            program_rtp_ts: 4_000_000_000,
            layout_rev: 1,
            mapping_as_told: false,
            ..Default::default()
        }),
        began: 0xEE00_0000_9000_0000,
        points: Some(points::encode(&[p(100, 200, 12), p(130, 190, 13)])),
        ..Default::default()
    };
    let op = wire::Op { author: 2, epoch: 7, seq: 5, at: 0xEE00_0000_A000_0000, body: Some(wire::op::Body::Stroke(commit)) };
    let packet = wire::InkPacket { version: 1, ops: vec![op], have_order: 41, ..Default::default() };
    hold("packet.json", &json!({ "bytes_hex": hex(&packet.encode_to_vec()) }));
}

fn p(x: i32, y: i32, pressure: u8) -> Point {
    Point { x, y, pressure }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn hold(file: &str, actual: &Value) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
    let text = serde_json::to_string_pretty(actual).expect("JSON") + "\n";
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if expected != text && std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(&path, &text).expect("vectors folder");
    }
    assert_eq!(expected, text, "{} does not hold (UPDATE_VECTORS=1 rewrites it)", path.display());
}
