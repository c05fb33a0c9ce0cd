//! A camera that is none, for tests and for trying out: it speaks the real bytes, moves, keeps its place, and has limits. Pure.

use super::visca::Motion;

/// Steps either way, as of a camera of ±170° and ±90°; thousandths are kept, so that a millisecond moves it.
pub const PAN_LIMIT: i32 = 8_000;
pub const TILT_LIMIT: i32 = 4_000;
pub const ZOOM_LIMIT: i32 = 0x4000;

#[derive(Debug, Clone)]
pub struct Camera {
    /// Thousandths of steps.
    pub pan: i32,
    pub tilt: i32,
    pub zoom: i32,
    pub moving: Motion,
    pub powered: bool,
    /// The number that must come next, of a camera that looks at it.
    pub awaits: Option<u32>,
    pub resets: u32,
}

impl Default for Camera {
    fn default() -> Self {
        Camera { pan: 0, tilt: 0, zoom: 0, moving: Motion::STILL, powered: true, awaits: None, resets: 0 }
    }
}

impl Camera {
    /// Time passes: a step a millisecond at full speed.
    pub fn handle_time(&mut self, ms: i32) {
        let go = |at: &mut i32, percent: i8, limit: i32, least: i32| {
            *at = (*at + i32::from(percent) * 10 * ms).clamp(least, limit * 1_000);
        };
        go(&mut self.pan, self.moving.pan, PAN_LIMIT, -PAN_LIMIT * 1_000);
        go(&mut self.tilt, self.moving.tilt, TILT_LIMIT, -TILT_LIMIT * 1_000);
        go(&mut self.zoom, self.moving.zoom, ZOOM_LIMIT, 0);
    }

    /// What it answers, oldest first.
    pub fn handle_datagram(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let (Some(kind), Some(number), Some(payload)) = (bytes.first_chunk::<2>(), bytes.get(4..8), bytes.get(8..)) else {
            return Vec::new();
        };
        let answer = |kind: [u8; 2], payload: &[u8]| {
            let mut out = kind.to_vec();
            out.extend((payload.len() as u16).to_be_bytes());
            out.extend(number);
            out.extend(payload);
            out
        };
        let reply = |payload: &[u8]| answer([1, 0x11], payload);
        if *kind == [2, 0] {
            self.resets += 1;
            self.awaits = None;
            return vec![answer([2, 1], &[1])];
        }
        let said = number.iter().fold(0u32, |n, b| (n << 8) | u32::from(*b));
        if self.awaits.is_some_and(|awaits| awaits != said) {
            return vec![answer([2, 1], &[0x0F, 1])];
        }
        let sign = |word: u8, forth: u8, back: u8| if word == forth { 1 } else { -i16::from(word == back) };
        let percent = |speed: u8, max: u8, sign: i16| (i16::from(speed) * 100 / i16::from(max) * sign) as i8;
        match payload {
            [0x81, 1, 6 | 4, ..] if !self.powered => vec![reply(&[0x90, 0x61, 0x41, 0xFF])],
            [0x81, 1, 6, 1, pan_speed, tilt_speed, pan, tilt, 0xFF] => {
                self.moving.pan = percent(*pan_speed, 0x18, sign(*pan, 2, 1));
                self.moving.tilt = percent(*tilt_speed, 0x14, sign(*tilt, 1, 2));
                vec![reply(&[0x90, 0x41, 0xFF]), reply(&[0x90, 0x51, 0xFF])]
            }
            [0x81, 1, 4, 7, word, 0xFF] => {
                let sign = if word >> 4 == 2 { 1 } else { -i16::from(word >> 4 == 3) };
                self.moving.zoom = percent(word & 7, 7, sign);
                vec![reply(&[0x90, 0x42, 0xFF]), reply(&[0x90, 0x52, 0xFF])]
            }
            [0x81, 9, 6, 0x12, 0xFF] => {
                let nibbles = |n: i32| [12, 8, 4, 0].map(|shift| ((n / 1_000) as u16 >> shift) as u8 & 0x0F);
                let mut out = vec![0x90, 0x50];
                out.extend(nibbles(self.pan));
                out.extend(nibbles(self.tilt));
                out.push(0xFF);
                vec![reply(&out)]
            }
            _ => vec![reply(&[0x90, 0x60, 0x02, 0xFF])],
        }
    }
}
