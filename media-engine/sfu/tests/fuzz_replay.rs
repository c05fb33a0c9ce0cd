//! The fuzz bodies, replayed with seeds: real offers with bytes changed, cut out and doubled, and noise.
#![allow(clippy::disallowed_methods)] // A test needs a first instant.

use std::time::Instant;

const OFFERS: [&str; 2] = [include_str!("data/chromium-offer.sdp"), include_str!("data/whep-offer.sdp")];

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n.max(1)
    }
}

#[test]
fn changed_offers_are_refused_or_answered_and_never_panic() {
    let now = Instant::now();
    let mut engine = sfu::fuzz::engine();
    let mut random = Random(11);
    for round in 0..400 {
        let mut lines: Vec<Vec<u8>> = OFFERS[round % 2].lines().map(|l| l.as_bytes().to_vec()).collect();
        for _ in 0..=random.below(6) {
            let at = random.below(lines.len());
            match random.below(5) {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, lines[random.below(lines.len())].clone()),
                2 => lines[at].truncate(random.below(12)),
                3 => {
                    let numbers = [b"99999999999999999999".to_vec(), b"-1".to_vec(), b"0".to_vec(), b"65536".to_vec()];
                    let digits = lines[at].iter().position(u8::is_ascii_digit).unwrap_or(0);
                    lines[at].truncate(digits);
                    lines[at].extend(&numbers[random.below(4)]);
                }
                _ => {
                    let place = random.below(lines[at].len());
                    if let Some(byte) = lines[at].get_mut(place) {
                        *byte = random.below(256) as u8;
                    }
                }
            }
        }
        sfu::fuzz::offers(&mut engine, now, &lines.join(&b"\r\n"[..]));
    }
}

#[test]
fn noise_into_the_engine_does_nothing() {
    let now = Instant::now();
    let mut engine = sfu::fuzz::engine();
    let mut random = Random(12);
    for _ in 0..400 {
        let length = random.below(4_000);
        let bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        sfu::fuzz::inputs(&mut engine, now, &bytes);
    }
    assert_eq!((engine.n_peers(), engine.counters().faults), (0, 0));
}

#[test]
fn whatever_a_camera_sends_its_pieces_fit_and_each_has_a_number_of_its_own() {
    let mut random = Random(13);
    for _ in 0..400 {
        let length = random.below(4_000);
        let mut bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        // Mostly what can be cut: units, aggregates, fragments, and VP8.
        for at in (3..bytes.len()).step_by(1 + random.below(240)) {
            bytes[at] = [0x65, 0x41, 0x67, 0x78, 0x7C, 0x10, 0x90][random.below(7)];
        }
        sfu::fuzz::cuts(&bytes);
    }
}
