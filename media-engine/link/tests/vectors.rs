//! The vectors that the Rust and the TypeScript clock share. `UPDATE_VECTORS=1` rewrites them and fails once.

use annotation::time::CaptureTime;
use link::clock::ClockMap;
use serde_json::{Value, json};

#[test]
fn clock_vectors_hold() {
    // Local clock an hour of its own; the timeline 5 s ahead at first, later 4.97 s; one late reply; one impossible exchange.
    let local = |us: i64| CaptureTime(1 << 44).offset_ns(us * 1_000);
    let timeline = |us: i64| CaptureTime(0xEE00_0000_0000_0000).offset_ns(us * 1_000);
    let steps: Vec<(i64, i64, i64, i64)> = vec![
        (0, 5_010_000, 5_010_100, 20_100),
        (1_000_000, 6_012_345, 6_012_400, 1_024_800),
        (2_000_000, 7_010_000, 7_010_000, 2_400_000),
        (3_000_000, 7_980_000, 7_980_050, 3_020_000),
        (4_000_000, 3_000_000, 9_000_000, 4_010_000),
        (5_000_000, 9_977_000, 9_977_010, 5_014_000),
    ];
    let mut map = ClockMap::new();
    let actual: Vec<Value> = steps
        .into_iter()
        .map(|(t1, t2, t3, t4)| {
            let taken = map.handle_exchange(local(t1), timeline(t2), timeline(t3), local(t4));
            let probe = local(t4 + 700_000);
            json!({
                "t1": local(t1).0.to_string(), "t2": timeline(t2).0.to_string(), "t3": timeline(t3).0.to_string(), "t4": local(t4).0.to_string(),
                "taken": taken,
                "probe": probe.0.to_string(),
                "timeline": map.to_timeline(probe).map(|t| t.0.to_string()),
                "uncertainty_ns": map.uncertainty_ns().map(|n| n.to_string()),
            })
        })
        .collect();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/clock.json");
    let text = serde_json::to_string_pretty(&actual).expect("JSON") + "\n";
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if expected != text && std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(&path, &text).expect("vectors folder");
    }
    assert_eq!(expected, text, "{} does not hold (UPDATE_VECTORS=1 rewrites it)", path.display());
}
