//! What str0m counts of a connection, gathered: it tells of each media line, then of the peer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use str0m::media::Mid;
use str0m::stats::{MediaEgressStats, MediaIngressStats, PeerStats as Told};

use super::conn::{Conn, ConnEvent, VideoLine};
use crate::api::{PeerStats, TrackStats};
use crate::route::layer::Line;

/// str0m tells its figures this often; every so many times they are passed on, the other times only the estimate.
pub(super) const STATS_EVERY: Duration = Duration::from_millis(200);
const LINES_PER_STATS: u32 = 5;

/// Of all lines of one connection.
#[derive(Debug, Default)]
pub(super) struct StatsBook {
    /// As the last report on each line had it.
    rtt: BTreeMap<Mid, Duration>,
    loss: Option<f32>,
    egress: BTreeMap<Mid, (u64, u64)>,
    packets_out: BTreeMap<Mid, u64>,
    packets_in: BTreeMap<Mid, u64>,
    /// What the other side said last of each line, and whether it has said anything new since [`Conn::handle_stats`] told. It came
    /// encrypted, so it proves who sent it.
    reports: BTreeMap<Mid, Report>,
    heard: bool,
    told: u32,
}

/// Highest number received, packets lost, jitter; asked for again; keyframes asked for; round trip.
type Report = (Option<(u64, u64, u32)>, u64, u64, Option<Duration>);

impl Conn {
    /// Of one line, before [`Conn::handle_stats`].
    pub(super) fn handle_egress(&mut self, media: &MediaEgressStats) -> Option<ConnEvent> {
        let reception = media.remote.as_ref().map(|r| (*r.maximum_sequence_number, r.packets_lost, r.jitter));
        let report = (reception, media.nacks, media.plis + media.firs, media.rtt);
        let first = (None, 0, 0, None);
        self.stats.heard |= self.stats.reports.insert(media.mid, report).unwrap_or(first) != report;
        self.stats.egress.insert(media.mid, (media.nacks, media.plis + media.firs));
        self.stats.packets_out.insert(media.mid, media.packets);
        if let Some(rtt) = media.rtt {
            self.stats.rtt.insert(media.mid, rtt);
        }
        let loss = media.loss.filter(|l| l.is_finite());
        // The worst line of them.
        self.stats.loss = match (loss, self.stats.loss) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        let slot = self.video.iter().position(|l| l.mid == media.mid)?;
        let idle = self.first_unsent(media.mid).is_none();
        let line = &mut self.video[slot];
        let late = line.repair.look(media.nacks, idle);
        line.told = TrackStats {
            rtt: media.rtt.or(line.told.rtt),
            loss: loss.or(line.told.loss),
            packets: media.packets,
            bytes: media.bytes,
            lost: media.remote.as_ref().map_or(line.told.lost, |r| r.packets_lost),
            nacks: media.nacks,
            keyframes: media.plis + media.firs,
            late: line.told.late + late,
            ..line.told.clone()
        };
        (late > 0).then_some(ConnEvent::Late { slot })
    }

    /// Of one line that the other side sends.
    pub(super) fn handle_ingress(&mut self, media: &MediaIngressStats) {
        let before = self.stats.packets_in.insert(media.mid, media.packets).unwrap_or(0);
        self.stats.heard |= media.packets > before;
    }

    pub(super) fn handle_stats(&mut self, peer: &Told) -> ConnEvent {
        let heard = std::mem::take(&mut self.stats.heard);
        self.stats.told += 1;
        let estimate_bps = if self.tells { peer.bwe_tx.map(|b| b.as_u64()) } else { self.remb_bps };
        let waiting = self.waiting(peer.timestamp);
        let asked = std::mem::take(&mut self.asked);
        let fed_back = peer.egress_loss_fraction.filter(|l| l.is_finite());
        let line = Line { estimate_bps, waiting, asked, loss: None, lost: fed_back, round_trip: peer.rtt };
        if !self.stats.told.is_multiple_of(LINES_PER_STATS) {
            return ConnEvent::Line { heard, line, on_the_way: None, stats: None };
        }
        let reported = self.stats.loss.take();
        // Feedback on every packet counts repairs apart, and a slow voice's report says little; of the round trip it is the other
        // way round: feedback waits for its turn.
        let on_the_way = fed_back.or(reported);
        let loss = reported.or(fed_back);
        let track = |(slot, line): (usize, &VideoLine)| TrackStats { slot: slot as u8, ..line.told.clone() };
        let stats = PeerStats {
            rtt: self.stats.rtt.values().min().copied().or(peer.rtt),
            loss,
            packets_out: self.stats.packets_out.values().sum(),
            // str0m counts datagrams here, all of them.
            bytes_out: peer.peer_bytes_tx,
            packets_in: self.stats.packets_in.values().sum(),
            bytes_in: peer.peer_bytes_rx,
            nacks: self.stats.egress.values().map(|(n, _)| n).sum(),
            keyframes: self.stats.egress.values().map(|(_, k)| k).sum(),
            estimate_bps,
            waiting,
            loss_in: peer.ingress_loss_fraction.filter(|l| l.is_finite()),
            tracks: self.video.iter().enumerate().map(track).collect(),
            // The rest the engine knows.
            ..PeerStats::default()
        };
        ConnEvent::Line { heard, line: Line { loss: on_the_way, ..line }, on_the_way, stats: Some(stats) }
    }

    fn waiting(&mut self, now: Instant) -> Duration {
        self.first_unsent_of_all().map_or(Duration::ZERO, |at| now.saturating_duration_since(at))
    }

    /// When the oldest packet of a picture that waits for the line was written. `None`: nothing waits.
    pub(super) fn first_unsent_of_all(&mut self) -> Option<Instant> {
        let mids: [Option<Mid>; crate::api::SLOTS_VIDEO as usize] = std::array::from_fn(|n| self.video.get(n).map(|l| l.mid));
        mids.into_iter().flatten().filter_map(|mid| self.first_unsent(mid)).min()
    }

    /// How long the oldest packet of one picture has been waiting for the line.
    pub(crate) fn waiting_in(&mut self, slot: usize, now: Instant) -> Duration {
        let mid = self.video.get(slot).map(|line| line.mid);
        mid.and_then(|mid| self.first_unsent(mid)).map_or(Duration::ZERO, |at| now.saturating_duration_since(at))
    }

    /// When the oldest packet of one line that waits was written.
    fn first_unsent(&mut self, mid: Mid) -> Option<Instant> {
        self.rtc.direct_api().stream_tx_by_mid(mid, None)?.queue_info()?.first_unsent()
    }
}
