//! What the core remembers of one peer.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use annotation::id::FeedId;
use annotation::time::CaptureTime;
use bytes::Bytes;
use link::id::{CaseId, LayerId};

use crate::adapter::{Carrier, Conn};
use crate::api::{Grants, Limits, PeerKind, TrackStats, VideoCodec, Why, Wish};
use crate::engine::publish::Publication;
use crate::route::gop::LayerPacket;
use crate::route::keyframe::Patience;
use crate::route::layer::{Chooser, Line};
use crate::route::playout::Playout;
use crate::route::rewrite::SeqRewrite;
use crate::voice::levels::Level;
use crate::voice::slots::VoiceSlots;

/// Addresses a peer may use at once: several networks, each with a moving NAT.
const ADDRESSES_MAX: usize = 8;
/// Messages and bytes held for `ctl` while it is not open or is full. Past either the peer is too slow to serve.
const CTL_MESSAGES_MAX: usize = 256;
const CTL_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A page that is sent pictures reports on them all the time. When it is heard again after this long, its line was cut, and what
/// was sent meanwhile is mostly lost.
const CUT_AFTER: Duration = Duration::from_millis(700);
/// The same of one that has just looked for another way: it says itself that the old one is gone.
const MOVED_AFTER: Duration = Duration::from_millis(150);
/// Reports come every 50 to 100 ms; without any for so long the line's figures are not looked at.
const SILENT_AFTER: Duration = Duration::from_millis(250);
/// And after this long the others are told: looked at five times a second, it is on their screens within 1 s.
const SILENT_TOLD_AFTER: Duration = Duration::from_millis(500);
/// After a cut, until its losses are out of the reports.
const BACK_FOR: Duration = Duration::from_millis(1_500);

/// What a peer may say in data channels: far more than a pen at 240 Hz with everything repeated, far less than would crowd
/// the others out of the queue to the server.
const SAY_BYTES_PER_S: u64 = 1024 * 1024;
const SAY_MESSAGES_PER_S: u64 = 1_000;
/// A message costs its bytes, and at least this much, so that one budget bounds both.
const MESSAGE_BYTES_MIN: u64 = SAY_BYTES_PER_S / SAY_MESSAGES_PER_S;

/// Bytes a peer may still say now; fills up with time, to one second's worth.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    bytes: u64,
    filled: Instant,
}

impl Budget {
    pub(crate) fn new(now: Instant) -> Self {
        Budget { bytes: SAY_BYTES_PER_S, filled: now }
    }

    /// False: it says too much, and this message is not taken.
    #[must_use]
    pub(crate) fn spend(&mut self, now: Instant, bytes: usize) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_micros().min(1_000_000) as u64;
        let earned = passed * SAY_BYTES_PER_S / 1_000_000;
        if earned > 0 {
            self.bytes = (self.bytes + earned).min(SAY_BYTES_PER_S);
            self.filled = now;
        }
        let cost = (bytes as u64).max(MESSAGE_BYTES_MIN);
        match self.bytes.checked_sub(cost) {
            Some(left) => {
                self.bytes = left;
                true
            }
            None => false,
        }
    }
}

/// STUN requests with a wrong password that are looked at in a second; each costs a hash. Then none from an address that has not proved itself,
/// for the rest of it: a page that moves just then comes through with its next check.
const GUESSES_PER_S: u32 = 50;

/// Wrong passwords for one peer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guesses {
    since: Option<Instant>,
    spent: u32,
}

impl Guesses {
    /// False: enough were wrong in this second.
    pub(crate) fn left(&mut self, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1)) {
            *self = Guesses { since: Some(now), spent: 0 };
        }
        self.spent < GUESSES_PER_S
    }

    pub(crate) fn spend(&mut self) {
        self.spent = self.spent.saturating_add(1);
    }
}

/// One video slot.
#[derive(Debug, Default)]
pub(crate) struct VideoSlot {
    /// What it is to show, whether or not it may now.
    pub(crate) wish: Option<Wish>,
    /// The layer it is counted among the viewers of.
    pub(crate) on: Option<LayerId>,
    /// A better one, whose keyframe it waits for; it is counted there too. Since when.
    pub(crate) next: Option<(LayerId, Instant)>,
    /// Packets of `on` that wait a moment for that keyframe, because it may be of the same picture. When each is due.
    pub(crate) held: VecDeque<(Instant, VideoCodec, LayerPacket)>,
    /// What was told of it.
    pub(crate) told: (Option<LayerId>, Why),
    pub(crate) seq: SeqRewrite,
    /// Capture time of the newest packet sent: what comes next must be later.
    pub(crate) newest: Option<CaptureTime>,
    pub(crate) patience: Patience,
    /// The peer cannot decode what it was given; said once.
    pub(crate) refused: bool,
    /// When a keyframe was last sent.
    pub(crate) keyed: Option<Instant>,
    /// Since when it waits for the first picture of what it is to show.
    pub(crate) starting: Option<Instant>,
    /// Layers it was brought to after the first, pauses among them.
    pub(crate) switches: u64,
}

impl VideoSlot {
    /// The feed and the layer that it gets.
    pub(crate) fn what(&self) -> Option<(FeedId, LayerId)> {
        Some((self.wish.as_ref()?.feed.clone(), self.on?))
    }

    /// Pictures begin with this packet. Returns how long the first of them was waited for.
    pub(crate) fn begin(&mut self, now: Instant, seq: u64) -> Option<Duration> {
        self.seq.begin(seq);
        self.starting.take().map(|since| now.saturating_duration_since(since))
    }

    pub(crate) fn may_begin(&self, capture: CaptureTime) -> bool {
        self.newest.is_none_or(|newest| capture > newest)
    }
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) case: CaseId,
    pub(crate) kind: PeerKind,
    pub(crate) grants: Grants,
    pub(crate) conn: Conn,
    /// Our ICE user fragment for it.
    pub(crate) ufrag: String,
    /// The certificate it offered with.
    pub(crate) fingerprint: String,
    pub(crate) addresses: VecDeque<(Carrier, SocketAddr)>,
    pub(crate) made: Instant,
    /// Last packet that proved who sent it.
    pub(crate) heard: Instant,
    /// First picture sent to it since its last datagram.
    unanswered: Option<Instant>,
    /// It was asked to be ready for it.
    coming: bool,
    /// It looks for another way to us and has not come by it yet.
    seeking: bool,
    /// When it was heard again after a cut.
    returned: Option<Instant>,
    /// The server was told that it is silent.
    silent_told: bool,
    /// What its line was last estimated to carry while it was heard.
    pub(crate) carried_bps: Option<u64>,
    pub(crate) video: Vec<VideoSlot>,
    pub(crate) chooser: Chooser,
    pub(crate) line: Line,
    pub(crate) playout: Playout,
    pub(crate) voice: VoiceSlots,
    pub(crate) level: Level,
    pub(crate) publication: Option<Publication>,
    pub(crate) data_dropped: u64,
    pub(crate) budget: Budget,
    pub(crate) guesses: Guesses,
    /// Ends at the next settling; must not be turned again.
    pub(crate) ending: bool,
    /// Its entry in the engine's deadlines.
    pub(crate) scheduled: Option<Instant>,
    ctl: VecDeque<Bytes>,
    ctl_bytes: usize,
}

impl Peer {
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn new(
        now: Instant,
        case: CaseId,
        kind: PeerKind,
        grants: Grants,
        conn: Conn,
        ufrag: String,
        videos: usize,
        voices: usize,
    ) -> Self {
        Peer {
            case,
            kind,
            grants,
            conn,
            ufrag,
            fingerprint: String::new(),
            addresses: VecDeque::new(),
            made: now,
            heard: now,
            unanswered: None,
            coming: false,
            seeking: false,
            returned: None,
            silent_told: false,
            carried_bps: None,
            video: (0..videos).map(|_| VideoSlot::default()).collect(),
            chooser: Chooser::default(),
            line: Line::default(),
            playout: Playout::default(),
            voice: VoiceSlots::new(voices),
            level: Level::default(),
            publication: None,
            data_dropped: 0,
            budget: Budget::new(now),
            guesses: Guesses::default(),
            ending: false,
            scheduled: None,
            ctl: VecDeque::new(),
            ctl_bytes: 0,
        }
    }

    /// Remembers an address that proved itself. Returns the one forgotten for it.
    pub(crate) fn learn_address(&mut self, address: (Carrier, SocketAddr)) -> Option<(Carrier, SocketAddr)> {
        if let Some(at) = self.addresses.iter().position(|a| *a == address) {
            // Newest last.
            self.addresses.remove(at);
        }
        self.addresses.push_back(address);
        if self.addresses.len() > ADDRESSES_MAX { self.addresses.pop_front() } else { None }
    }

    /// Fills in what the connection does not know of a track. False: nothing is to be shown in it.
    pub(crate) fn describe(&self, track: &mut TrackStats) -> bool {
        let Some(video) = self.video.get(usize::from(track.slot)) else { return false };
        let Some(wish) = &video.wish else { return false };
        track.feed = Some(wish.feed.clone());
        track.layer = video.on.filter(|_| video.seq.is_running());
        track.switches = video.switches;
        true
    }

    /// A picture was sent to it.
    pub(crate) fn handle_fed(&mut self, now: Instant) {
        self.unanswered.get_or_insert(now);
    }

    /// A datagram came that proves who sent it. True: the first after a cut, while pictures were sent. Only pages are known to report so often that
    /// their silence says something.
    pub(crate) fn handle_arrival(&mut self, now: Instant) -> bool {
        // Reports and pictures are signs of life as well as ICE's checks: GStreamer's players and cameras check the way once and never again.
        self.heard = now;
        let unanswered = self.unanswered.take();
        let after = if std::mem::take(&mut self.seeking) { MOVED_AFTER } else { CUT_AFTER };
        let cut = unanswered.is_some_and(|since| now.saturating_duration_since(since) >= after);
        let returned = self.kind == PeerKind::Client && cut;
        if returned {
            self.returned = Some(now);
        }
        returned
    }

    /// True once, when it has found its way and will be connected as soon as keys are agreed on: a keyframe that is asked for now is there by then.
    pub(crate) fn poll_coming(&mut self) -> bool {
        !self.conn.is_connected() && !std::mem::replace(&mut self.coming, true)
    }

    /// It asked for its ICE to be restarted.
    pub(crate) fn handle_restart(&mut self, now: Instant) {
        self.heard = now;
        self.seeking = true;
    }

    /// True once for each silence of a page that is sent pictures: somebody is to be told.
    pub(crate) fn poll_silent(&mut self, now: Instant) -> bool {
        let since = self.unanswered.filter(|_| self.kind == PeerKind::Client && !self.silent_told);
        let told = since.is_some_and(|since| now.saturating_duration_since(since) >= SILENT_TOLD_AFTER);
        self.silent_told |= told;
        told
    }

    /// True once when it is heard again after that.
    pub(crate) fn poll_heard(&mut self) -> bool {
        std::mem::take(&mut self.silent_told)
    }

    /// A line that is cut, or was until just now, says nothing of what it carries: all that was lost in the cut reads as if it
    /// carried nothing. What is shown stays.
    pub(crate) fn is_cut(&self, now: Instant) -> bool {
        let since = |at: Option<Instant>, limit| at.is_some_and(|at| now.saturating_duration_since(at) >= limit);
        let silent = self.kind == PeerKind::Client && since(self.unanswered, SILENT_AFTER);
        silent || self.returned.is_some() && !since(self.returned, BACK_FOR)
    }

    /// When this peer is given up if nothing more is heard.
    pub(crate) fn gives_up_at(&self, limits: &Limits) -> Instant {
        if self.conn.is_connected() { self.heard + limits.silent_after } else { self.made + limits.connect_within }
    }

    /// When it must be turned next.
    pub(crate) fn poll_timeout(&self, limits: &Limits) -> Instant {
        let soonest = self.conn.poll_timeout().min(self.gives_up_at(limits));
        let silent = self.publication.as_ref().and_then(Publication::poll_timeout);
        let held = self.video.iter().filter_map(|v| v.held.front().map(|(due, ..)| *due));
        self.level.poll_timeout().into_iter().chain(silent).chain(held).fold(soonest, Instant::min)
    }

    /// Holds a reliable message back. False: too much is waiting already.
    #[must_use]
    pub(crate) fn hold_ctl(&mut self, bytes: Bytes) -> bool {
        if self.ctl.len() >= CTL_MESSAGES_MAX || self.ctl_bytes + bytes.len() > CTL_BYTES_MAX {
            return false;
        }
        self.ctl_bytes += bytes.len();
        self.ctl.push_back(bytes);
        true
    }

    pub(crate) fn next_ctl(&self) -> Option<&Bytes> {
        self.ctl.front()
    }

    pub(crate) fn drop_ctl(&mut self) {
        if let Some(bytes) = self.ctl.pop_front() {
            self.ctl_bytes -= bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pen_is_never_cut_short_and_a_flood_is() {
        let start = Instant::now();
        let mut pen = Budget::new(start);
        for n in 0..10_000u64 {
            // 240 packets and 20 pings a second, 2 kB each.
            assert!(pen.spend(start + Duration::from_micros(n * 1_000_000 / 260), 2_000), "packet {n}");
        }
        let mut flood = Budget::new(start);
        let taken = (0..100_000).filter(|n| flood.spend(start + Duration::from_micros(*n * 20), 1)).count() as u64;
        assert!(taken <= 3 * SAY_MESSAGES_PER_S + 1, "{taken} in two seconds");
        let mut large = Budget::new(start);
        let taken = (0..1_000).filter(|_| large.spend(start, 64 * 1024)).count();
        assert_eq!(taken, 16);
    }
}
