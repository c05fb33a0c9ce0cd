//! What forwarding one packet to one viewer costs in the core: headers, keys, queues; no socket. A frame of 15 packets of 4
//! Mbit/s at 30 frames/s to 1, 10 and 50 viewers that tell what arrives; only the frame itself is on the clock.

use std::hint::black_box;
use std::time::{Duration, Instant};

use benches::rehearsed::{FRAME, PACKETS, Rehearsed};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sfu::Class;

#[allow(clippy::expect_used)]
fn viewers(c: &mut Criterion) {
    let mut group = c.benchmark_group("viewers");
    group.sample_size(20);
    for viewers in [1usize, 10, 50] {
        let mut room = Rehearsed::new(viewers).expect("a room");
        room.warm(150);
        group.throughput(Throughput::Elements((PACKETS * viewers) as u64));
        group.bench_with_input(BenchmarkId::new("forward_frame", viewers), &viewers, |b, _| {
            b.iter_custom(|iterations| {
                let mut spent = Duration::ZERO;
                for _ in 0..iterations {
                    let packets = room.next_frame(false);
                    let begun = Instant::now();
                    room.forward(&packets);
                    spent += begun.elapsed();
                    room.step(FRAME);
                }
                spent
            });
        });
    }
    group.finish();
}

/// What is asked of each datagram that leaves: is it voice, data or a picture.
fn class(c: &mut Criterion) {
    let mut group = c.benchmark_group("class");
    // Payload type 111, as Chromium numbers Opus.
    let voices = 1u128 << 111;
    for (name, head) in [("picture", [0x90, 0xE0]), ("voice", [0x90, 111]), ("data", [23, 254])] {
        let datagram: Vec<u8> = head.iter().copied().chain([0; 1_100]).collect();
        group.bench_function(name, |b| b.iter(|| Class::of(black_box(&datagram), black_box(voices))));
    }
    group.finish();
}

criterion_group!(benches, viewers, class);
criterion_main!(benches);
