//! The fuzz bodies on seeds: noise, and packets that are well formed with bytes changed.

use annotation::wire::{self, InkPacket, op::Body};
use prost::Message;
use rand::{Rng as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use signaling::fuzz;

use crate::kit::{DESK, MENTOR, ROOM, commit, grant, key, live_stroke, op, t};

#[test]
fn no_bytes_make_the_ink_of_a_case_panic_or_its_pages_differ() {
    let mut rng = ChaCha8Rng::seed_from_u64(0x1_4B);
    let seed = talk();
    for round in 0..3_000 {
        let mut bytes = seed.clone();
        match round % 3 {
            0 => bytes = (0..rng.random_range(0..600)).map(|_| rng.random()).collect(),
            1 => bytes.truncate(rng.random_range(1..seed.len())),
            _ => {}
        }
        for _ in 0..rng.random_range(0..10) {
            if !bytes.is_empty() {
                let at = rng.random_range(0..bytes.len());
                bytes[at] = rng.random();
            }
        }
        fuzz::ink_packets(&bytes);
        fuzz::still_pieces(&bytes);
    }
}

#[test]
fn the_seed_is_talk_that_is_taken() {
    // Else the replay would only ever see refusals.
    let mut rest = talk();
    let mut packets = 0;
    while rest.len() > 2 {
        let length = usize::from(rest[1]);
        assert!(InkPacket::decode(&rest[2..2 + length]).is_ok() || wire::Op::decode(&rest[2..2 + length]).is_ok());
        rest.drain(..2 + length);
        packets += 1;
    }
    assert_eq!(packets, 7);
}

/// Who, length, packet; seven times.
fn talk() -> Vec<u8> {
    let now = t(0);
    let short = |who, number| {
        let mut stroke = commit(who, number, now);
        stroke.points = Some(wire::Points { x: vec![5, 6], y: vec![7, 8], pressure: vec![] });
        stroke.fades = number % 2 == 0;
        stroke
    };
    let mut moving = short(MENTOR, 3);
    moving.spans = vec![wire::FrameSpan { first: 0, capture: now.0 }];
    let packet = |ops| InkPacket { version: 1, ops, case_id: "demo".into(), ..Default::default() }.encode_to_vec();
    let wet =
        InkPacket { version: 1, live: vec![live_stroke(MENTOR, 9, 0, 5, now)], case_id: "demo".into(), ..Default::default() };
    let rebase = wire::Rebase {
        stroke: Some(key(MENTOR, 3)),
        spans: vec![wire::Similarity { first: 0, a: 1.0, b: 0.0, tx: 3.0, ty: 4.0 }],
    };
    let pieces: Vec<(u8, Vec<u8>)> = vec![
        (1, packet(vec![op(MENTOR, 1, now, Body::Stroke(short(MENTOR, 1)))])),
        (5, packet(vec![op(MENTOR, 2, now, grant(DESK, true)), op(MENTOR, 3, now, Body::Stroke(moving))])),
        (2, packet(vec![op(DESK, 1, now, Body::Stroke(short(DESK, 2)))])),
        (1, wet.encode_to_vec()),
        (0x81, wire::Op { body: Some(Body::Rebase(rebase)), ..Default::default() }.encode_to_vec()),
        (1, packet(vec![op(MENTOR, 4, now, Body::Pin(wire::Pin { stroke: Some(key(DESK, 2)), pinned: true }))])),
        (4, packet(vec![op(ROOM, 1, now, Body::ClearAll(wire::ClearAll { up_to: now.0 }))])),
    ];
    pieces.into_iter().flat_map(|(who, bytes)| [who, bytes.len() as u8].into_iter().chain(bytes)).collect()
}
