//! One viewer's line: it delays, loses, and carries so much and no more.

use std::time::{Duration, Instant};

/// What waits longer for a slow line is lost.
const QUEUE: Duration = Duration::from_millis(300);
/// A voice that waits longer is late: a browser's buffer must grow for it.
const LATE: Duration = Duration::from_millis(60);
/// TCP's shortest retransmission time-out (RFC 6298, as Linux has it).
const SAID_AGAIN: Duration = Duration::from_millis(200);
/// Headers of UDP and IPv4.
const HEADERS: u64 = 28;
/// Payload types of the viewers' offers.
const VOICE: [u8; 2] = [111, 63];
const AGAIN: [u8; 2] = [97, 103];

/// What became of the voice packets that were sent over the line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Voices {
    pub(crate) sent: u64,
    /// Found the queue full, or waited longer than [`LATE`].
    pub(crate) lost: u64,
    pub(crate) late: u64,
    /// Of both, those that would have come in time had nothing been sent but pictures, voices and data for the first time.
    pub(crate) for_padding: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) delay: Duration,
    /// Share of datagrams lost, each way, and how many in a row on average. Source: Gilbert, Bell Syst. Tech. J. 39 (1960).
    pub(crate) loss: f64,
    pub(crate) burst: f64,
    /// Each way: everything is lost now.
    bad: [bool; 2],
    pub(crate) lost: u64,
    /// Bits a second to the viewer; `None`: any.
    rate_bps: Option<u64>,
    /// When it is free again, and when it would be without padding and repairs.
    free: [Instant; 2],
    pub(crate) voices: Voices,
    /// Bytes of padding and repairs.
    pub(crate) again: u64,
}

impl Line {
    pub(crate) fn new(now: Instant, delay: Duration) -> Self {
        let (voices, free) = (Voices::default(), [now; 2]);
        Line { delay, loss: 0.0, burst: 1.0, bad: [false; 2], lost: 0, rate_bps: None, free, voices, again: 0 }
    }

    /// Bits a second from now on.
    pub(crate) fn set_rate(&mut self, now: Instant, bps: Option<u64>) {
        self.rate_bps = bps;
        self.free = self.free.map(|free| free.max(now));
    }

    /// When a datagram arrives; `None`: never. `chance`: drawn for it, 0 to 1.
    pub(crate) fn pass(&mut self, now: Instant, chance: f64, to_viewer: bool, bytes: &[u8]) -> Option<Instant> {
        let into_bad = self.loss / (self.burst * (1.0 - self.loss).max(1e-9));
        let bad = &mut self.bad[usize::from(to_viewer)];
        *bad = if self.burst <= 1.0 { chance < self.loss } else { chance < if *bad { 1.0 - 1.0 / self.burst } else { into_bad } };
        if *bad {
            self.lost += 1;
            return None;
        }
        let leaves = if to_viewer { self.queue(now, bytes) } else { Some(now) };
        self.lost += u64::from(leaves.is_none());
        Some(leaves? + self.delay)
    }

    /// When a short word of the viewer's by TCP is there: what is lost is said again.
    pub(crate) fn say(&mut self, now: Instant, chance: f64) -> Instant {
        self.pass(now, chance, false, &[]).unwrap_or(now + self.delay * 3 + SAID_AGAIN)
    }

    /// When a datagram to the viewer has left the queue.
    fn queue(&mut self, now: Instant, bytes: &[u8]) -> Option<Instant> {
        let Some(bps) = self.rate_bps else { return Some(now) };
        let kind = bytes.get(1).filter(|_| bytes[0] & 0xC0 == 0x80).map(|second| second & 0x7F);
        let again = kind.is_some_and(|kind| AGAIN.contains(&kind));
        self.again += if again { bytes.len() as u64 } else { 0 };
        let takes = Duration::from_nanos((bytes.len() as u64 + HEADERS) * 8 * 1_000_000_000 / bps);
        let waits = self.free.map(|free| free.saturating_duration_since(now));
        for (n, wait) in waits.into_iter().enumerate() {
            if wait <= QUEUE && !(again && n == 1) {
                self.free[n] = now + wait + takes;
            }
        }
        if kind.is_some_and(|kind| VOICE.contains(&kind)) {
            let [lost, late] = [QUEUE, LATE].map(|most| u64::from(waits[0] > most));
            self.voices.sent += 1;
            self.voices.lost += lost;
            self.voices.late += late - lost;
            self.voices.for_padding += u64::from(waits[0] > LATE && waits[1] <= LATE);
        }
        (waits[0] <= QUEUE).then_some(self.free[0])
    }
}
