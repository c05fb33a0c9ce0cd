//! Ink on the wire: what a second of a 240 Hz pen costs to encode and decode, and how many bytes it is.

use std::hint::black_box;
use std::time::Duration;

use annotation::points::{self, Point};
use annotation::wire;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use prost::Message;

const PEN_HZ: usize = 240;
/// A page sends once per animation frame: four new points at 60 Hz.
const PACKETS_PER_S: usize = 60;
/// A packet repeats what is not yet acknowledged: at no network delay, what the two packets before it brought.
const REPEATED_PACKETS: usize = 2;

/// One second of a hand that writes: loops some 1,500 units wide, with the pressure of a pen.
fn pen(n: usize) -> Vec<Point> {
    (0..n)
        .map(|i| {
            let t = i as f64 / PEN_HZ as f64;
            let (sin, cos) = (t * 9.0).sin_cos();
            Point {
                x: (4_000.0 + 1_800.0 * t + 700.0 * cos + 90.0 * (t * 31.0).sin()) as i32,
                y: (3_000.0 + 500.0 * sin + 60.0 * (t * 23.0).cos()) as i32,
                pressure: (140.0 + 60.0 * (t * 5.0).sin()) as u8,
            }
        })
        .collect()
}

fn frame() -> wire::FrameRef {
    wire::FrameRef {
        feed: "field".into(),
        capture: 0xEC1F_0000_8000_0000,
        program: "program".into(),
        program_rtp_ts: 3_000_000_000,
        layout_rev: 1,
        mapping_as_told: false,
        ..Default::default()
    }
}

/// The packets that a page sends while the pen is down for one second.
fn live_packets(points: &[Point]) -> Vec<wire::InkPacket> {
    let per_packet = points.len() / PACKETS_PER_S;
    (1..=PACKETS_PER_S)
        .map(|packet| {
            let first = per_packet * packet.saturating_sub(1 + REPEATED_PACKETS);
            let live = wire::LiveStroke {
                key: Some(wire::StrokeKey { author: 2, epoch: 1, number: 7 }),
                tool: wire::Tool::Pen as i32,
                width: 34,
                frame: Some(frame()),
                began: 0xEC1F_0000_9000_0000,
                first: first as u32,
                points: Some(points::encode(&points[first..packet * per_packet])),
                lifted: false,
                ..Default::default()
            };
            wire::InkPacket { version: annotation::INK_VERSION, live: vec![live], have_order: 40, ..Default::default() }
        })
        .collect()
}

fn say_sizes(points: &[Point]) {
    let alone = points::encode(points).encoded_len();
    let bare = points::encode(&points.iter().map(|p| Point { pressure: 255, ..*p }).collect::<Vec<_>>()).encoded_len();
    let live: usize = live_packets(points).iter().map(Message::encoded_len).sum();
    println!("ink_codec: one second of pen at {PEN_HZ} Hz is {bare} bytes without pressure, {alone} with;");
    println!(
        "ink_codec: as {PACKETS_PER_S} live packets, each repeating the {REPEATED_PACKETS} before it and naming its frame: {live} bytes"
    );
}

fn ink_codec(c: &mut Criterion) {
    let points = pen(PEN_HZ);
    say_sizes(&points);
    let encoded = points::encode(&points).encode_to_vec();
    let packets: Vec<Vec<u8>> = live_packets(&points).iter().map(Message::encode_to_vec).collect();

    let mut group = c.benchmark_group("ink_codec");
    group.throughput(Throughput::Elements(points.len() as u64));
    group.bench_function("encode_one_second", |b| b.iter(|| points::encode(black_box(&points)).encode_to_vec()));
    group.bench_function("decode_one_second", |b| {
        b.iter(|| {
            let wire = wire::Points::decode(black_box(encoded.as_slice())).expect("our own bytes");
            points::decode(&wire).expect("our own points")
        });
    });
    group.throughput(Throughput::Bytes(packets.iter().map(|p| p.len() as u64).sum()));
    group.bench_function("decode_live_packets_of_one_second", |b| {
        b.iter(|| {
            for packet in &packets {
                let packet = wire::InkPacket::decode(black_box(packet.as_slice())).expect("our own bytes");
                for live in &packet.live {
                    black_box(points::decode(live.points.as_ref().expect("points")).expect("our own points"));
                }
            }
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    targets = ink_codec
}
criterion_main!(benches);
