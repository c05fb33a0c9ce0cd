//! The fuzz bodies on seeds: random bytes, and mutations of packets that are well formed.

use annotation::{fuzz, points, wire};
use prost::Message;
use rand::{Rng as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[test]
fn no_bytes_panic_the_decoder_or_split_two_replicas() {
    let mut rng = ChaCha8Rng::seed_from_u64(20_261_120);
    let seed = seed_ops();
    for round in 0..20_000 {
        let bytes: Vec<u8> = if round % 2 == 0 {
            let n = rng.random_range(0..400);
            (0..n).map(|_| rng.random()).collect()
        } else {
            let mut bytes = seed.clone();
            for _ in 0..rng.random_range(1..12) {
                let at = rng.random_range(0..bytes.len());
                bytes[at] = rng.random();
            }
            bytes.truncate(rng.random_range(1..=seed.len()));
            bytes
        };
        fuzz::wire_decode(&bytes);
        fuzz::sheet_ops(&bytes);
    }
}

/// Ops padded to the 48-byte pieces that `sheet_ops` cuts.
fn seed_ops() -> Vec<u8> {
    let mut out = Vec::new();
    for seq in 1..=6u32 {
        let body = match seq {
            3 => wire::op::Body::Undo(wire::Undo { stroke: Some(wire::StrokeKey { author: 2, epoch: 2, number: 1 }) }),
            4 => wire::op::Body::Grant(wire::Grant { author: 3, may_draw: true }),
            6 => {
                wire::op::Body::Pin(wire::Pin { stroke: Some(wire::StrokeKey { author: 2, epoch: 2, number: 1 }), pinned: true })
            }
            _ => wire::op::Body::Stroke(wire::StrokeCommit {
                key: Some(wire::StrokeKey { author: 2, epoch: 2, number: seq }),
                width: 9,
                tool: 1,
                fades: seq == 5,
                frame: Some(wire::FrameRef { feed: "f".into(), capture: 1, program: "p".into(), ..Default::default() }),
                began: u64::from(seq),
                points: Some(points::encode(&[points::Point { x: 1, y: 1, pressure: 255 }])),
                ..Default::default()
            }),
        };
        let mut op = wire::Op { author: 1, epoch: 1, seq, at: 1, body: Some(body) }.encode_to_vec();
        op.resize(48, 0);
        // trailing zero bytes are not protobuf; drop them again where the op is short
        while op.last() == Some(&0) && op.len() > 40 {
            op.pop();
        }
        op.resize(48, 0x78);
        out.extend_from_slice(&op);
    }
    out
}
