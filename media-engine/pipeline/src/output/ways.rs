//! What goes up a far link's media connection, sorted: a packet goes by its layer's own WHIP session once that is up, else by the WebSocket
//! like the rest. It is the same stream either way, with the same numbers and times, so nothing begins anew when it changes its way.
//!
//! A way is opened at the first packet of its layer, closed when none came for [`IDLE_MAX`], and opened again after a pause that
//! grows when it fails. Where the network lets no UDP out, everything goes by the WebSocket for ever.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annotation::time::CaptureTime;
use bytes::BytesMut;
use link::record::{take_record, write_record};

use super::remote::RemoteConfig;
use super::whip::{Report, Whip};

/// Shorter than the server's patience with a peer that sends nothing.
const IDLE_MAX: Duration = Duration::from_secs(8);
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What link and line tell each other of a far server's layers.
#[derive(Debug, Default)]
pub struct FarLine {
    /// SSRC → is it VP8?
    layers: Mutex<BTreeMap<u32, bool>>,
    /// SSRC → share of its bit rate that the line carries.
    advice: Mutex<BTreeMap<u32, f64>>,
}

impl FarLine {
    /// What is under each SSRC, as the server confirmed it.
    pub(super) fn announce(&self, layers: impl Iterator<Item = (u32, bool)>) {
        *lock(&self.layers) = layers.collect();
    }

    /// (SSRC, share) of each layer whose rate is to change.
    pub(super) fn take_advice(&self) -> BTreeMap<u32, f64> {
        std::mem::take(&mut lock(&self.advice))
    }

    fn is_vp8(&self, ssrc: u32) -> Option<bool> {
        lock(&self.layers).get(&ssrc).copied()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which share of its bit rate a layer may have, from what the receiver reports once a second. Pure.
///
/// Loss alone, at most a tenth, is repaired by sending again and is no sign of a full line (a radio loses 3 to 5 % as it is);
/// more than that is. Quick down, slow up.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Share {
    share: f64,
    good: u32,
}

const LOSS_FULL: f64 = 0.10;
const SHARE_MIN: f64 = 0.2;
const GOOD_REPORTS: u32 = 5;

impl Default for Share {
    fn default() -> Self {
        Share { share: 1.0, good: 0 }
    }
}

impl Share {
    /// The new share, when it changed.
    fn handle_report(&mut self, lost: f64) -> Option<f64> {
        let before = self.share;
        if lost > LOSS_FULL {
            self.good = 0;
            self.share = (self.share * 0.7).max(SHARE_MIN);
        } else {
            self.good += 1;
            if self.good >= GOOD_REPORTS {
                self.good = 0;
                self.share = (self.share * 1.15).min(1.0);
            }
        }
        (self.share != before).then_some(self.share)
    }
}

#[derive(Debug)]
struct Way {
    whip: Option<Whip>,
    used: CaptureTime,
    /// Not opened again before.
    not_before: CaptureTime,
    pause: Duration,
    share: Share,
    report: Report,
}

/// All of one life of the media connection.
#[derive(Debug)]
pub(super) struct Ways<'a> {
    config: &'a RemoteConfig,
    line: &'a FarLine,
    ways: BTreeMap<u32, Way>,
}

impl<'a> Ways<'a> {
    pub(super) fn new(config: &'a RemoteConfig, line: &'a FarLine) -> Self {
        Ways { config, line, ways: BTreeMap::new() }
    }

    /// Takes the whole records of `incoming`; those that are for the WebSocket are appended to `for_line`. `now`: any one monotone clock.
    pub(super) fn sort(&mut self, incoming: &mut BytesMut, for_line: &mut BytesMut, now: CaptureTime) {
        while let Some(record) = take_record(incoming) {
            let taken = ssrc_of(&record).is_some_and(|ssrc| self.send(ssrc, &record, now));
            // It was a record before, so it is short enough.
            if !taken && write_record(for_line, &record).is_err() {
                tracing::debug!("a record that is none");
            }
        }
    }

    /// False: its way is not up.
    fn send(&mut self, ssrc: u32, packet: &[u8], now: CaptureTime) -> bool {
        if !self.ways.contains_key(&ssrc) {
            if self.line.is_vp8(ssrc).is_none() {
                return false;
            }
            let share = Share::default();
            let way = Way { whip: None, used: now, not_before: now, pause: PAUSE_FIRST, share, report: Report::default() };
            self.ways.insert(ssrc, way);
        }
        let Some(way) = self.ways.get_mut(&ssrc) else { return false };
        way.used = now;
        match &way.whip {
            Some(whip) if whip.is_up() => {
                whip.send(packet);
                true
            }
            _ => false,
        }
    }

    /// What is due by the clock; often enough: twice a second.
    pub(super) fn tend(&mut self, now: CaptureTime) {
        self.ways.retain(|_, way| now.since(way.used) < IDLE_MAX);
        for (ssrc, way) in &mut self.ways {
            if let Some(whip) = &way.whip {
                if whip.is_over() {
                    way.whip = None;
                    way.not_before = now.saturating_add(way.pause);
                    way.pause = (way.pause * 2).min(PAUSE_MAX);
                    continue;
                }
                let report = whip.report();
                if report.number != way.report.number {
                    way.report = report;
                    way.pause = PAUSE_FIRST;
                    if let Some(share) = way.share.handle_report(report.lost) {
                        tracing::info!(ssrc, lost = report.lost, share, "the line asks for another bit rate");
                        lock(&self.line.advice).insert(*ssrc, share);
                    }
                }
            } else if now >= way.not_before {
                let vp8 = self.line.is_vp8(*ssrc).unwrap_or(false);
                match Whip::open(self.config, *ssrc, vp8) {
                    Ok(whip) => way.whip = Some(whip),
                    Err(why) => {
                        tracing::warn!(why, "no way by WHIP; the layer goes by the WebSocket");
                        way.not_before = now.saturating_add(PAUSE_MAX);
                    }
                }
            }
        }
    }
}

/// SSRC of an RTP packet; `None` of anything else, as the first record of a link. Source: RFC 3550 §5.1.
fn ssrc_of(record: &[u8]) -> Option<u32> {
    if record.len() < 12 || record[0] >> 6 != 2 {
        return None;
    }
    record.get(8..12).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_that_is_repaired_costs_no_bit_rate() {
        let mut share = Share::default();
        assert!((0..100).all(|n| share.handle_report(f64::from(n % 6) / 100.0).is_none()));
    }

    #[test]
    fn a_full_line_is_given_less_within_seconds_and_more_only_slowly() {
        let mut share = Share::default();
        let fall = (0..10).take_while(|_| share.handle_report(0.3).is_some()).count();
        assert!(fall <= 5, "{fall}");
        assert_eq!(share.share, SHARE_MIN);
        let rise = (0..200).position(|_| share.handle_report(0.0) == Some(1.0)).expect("all of it again");
        assert!((40..120).contains(&rise), "{rise} s");
    }

    #[test]
    fn only_rtp_has_a_way_of_its_own() {
        assert_eq!(ssrc_of(b"0123456789abcdef0123456789abcdef"), None, "a link id");
        assert_eq!(ssrc_of(&[0x80, 96, 0, 1, 0, 0, 0, 2, 0xC0, 0xFF, 0xEE, 1, 9]), Some(0xC0FF_EE01));
        assert_eq!(ssrc_of(&[0x80; 11]), None);
    }
}
