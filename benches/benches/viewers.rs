//! What forwarding one packet to one viewer costs in the core: headers, keys, queues; no socket. A frame of 15 packets of 4
//! Mbit/s at 30 frames/s to 1, 10 and 50 viewers that tell what arrives; only the frame itself is on the clock.

use std::time::{Duration, Instant};

use benches::rehearsed::{FRAME, PACKETS, Rehearsed};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

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

criterion_group!(benches, viewers);
criterion_main!(benches);
