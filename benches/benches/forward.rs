//! What one encoded frame costs on its way from the encoder to the server, before any viewer: RTP headers rewritten, sequence
//! numbers set, records written to the link and taken off it again. Forwarding to viewers needs peers with keys: that is the
//! end-to-end program `fanout`, not here.

use std::hint::black_box;
use std::time::Duration;

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use link::record::{take_record, write_record};
use pipeline::encode::rtp;
use pipeline::encode::settings::RTP_BYTES_MAX;

/// 2.5 Mbit/s at 29.97 frames/s is 10.4 kB a frame: 10 packets.
const PACKETS: usize = 10;
/// A keyframe of 720p: some 60 kB.
const KEYFRAME_PACKETS: usize = 55;

/// Packets as the payloader makes them: fragments of one NAL unit, the marker on the last.
fn frame(packets: usize, nal: u8) -> Vec<Vec<u8>> {
    (0..packets)
        .map(|i| {
            let mut packet = vec![0x5A; RTP_BYTES_MAX as usize];
            packet[..12].copy_from_slice(&[0x80, 96, 0, i as u8, 0, 0, 1, 0, 0, 0, 0, 9]);
            packet[1] |= if i + 1 == packets { 0x80 } else { 0 };
            packet[12] = 0x60 | 28;
            packet[13] = nal | if i == 0 { 0x80 } else { 0 };
            packet
        })
        .collect()
}

fn bytes(frame: &[Vec<u8>]) -> u64 {
    frame.iter().map(|p| p.len() as u64).sum()
}

fn forward(c: &mut Criterion) {
    let mut group = c.benchmark_group("forward");
    for (name, mut packets) in [("rewrite_frame", frame(PACKETS, 1)), ("rewrite_keyframe", frame(KEYFRAME_PACKETS, 5))] {
        group.throughput(Throughput::Bytes(bytes(&packets)));
        group.bench_function(name, |b| {
            let mut sequence = 0u16;
            b.iter(|| {
                let mut keyframe = false;
                for packet in &mut packets {
                    rtp::rewrite(packet, 3_000_000_000, 0x1234_5678);
                    keyframe |= rtp::belongs_to_keyframe(packet);
                    rtp::set_sequence(packet, sequence);
                    sequence = sequence.wrapping_add(1);
                }
                black_box(keyframe)
            });
        });
    }
    let packets = frame(PACKETS, 1);
    group.throughput(Throughput::Bytes(bytes(&packets)));
    group.bench_function("link_records_of_a_frame", |b| {
        let mut wire = BytesMut::with_capacity(64 * 1024);
        b.iter(|| {
            for packet in &packets {
                write_record(&mut wire, packet).expect("it fits");
            }
            let mut taken = 0;
            while let Some(record) = take_record(&mut wire) {
                taken += black_box(record).len();
            }
            taken
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    targets = forward
}
criterion_main!(benches);
