//! Figures in Prometheus' text format. Numbers only: no names, nothing of a patient.

use std::fmt::Write as _;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use link::frame::FeedState;
use link::id::LayerId;
use sfu::{Figures, Histogram, PeerStats, TrackStats};

use super::directory::Directory;
use super::engine_link::LinkCommands;
use crate::claims::Role;
use crate::texts::Code;
use crate::wire::{ClientReport, TrackReport, TrackerStatus};

/// Counts since start.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where something was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Links, joins, offers, candidates, stills.
    Http,
    /// On a page's socket: ink, choices, voices, and the reason of its end.
    Page,
}

/// By code, since the start of the program.
static REFUSED: [[AtomicU64; Code::ALL.len()]; 2] = [const { [const { AtomicU64::new(0) }; Code::ALL.len()] }; 2];

/// Counts what was refused with this code.
pub fn count_refusal(at: At, code: &str) {
    if let Some(which) = Code::ALL.iter().position(|known| known.as_str() == code) {
        REFUSED[at as usize][which].fetch_add(1, Ordering::Relaxed);
    }
}

/// Of the server as a whole.
#[derive(Debug, Default)]
pub struct Counters {
    pub connections: Counter,
    pub connections_refused: Counter,
    pub requests: Counter,
    pub refused: Counter,
    pub page_messages: Counter,
    pub pages_slow: Counter,
    pub case_events_dropped: Counter,
}

/// Of one case, gathered by it once a second.
#[derive(Debug, Clone, Default)]
pub struct CaseFigures {
    pub live: bool,
    pub engine_up: bool,
    pub voice_open: bool,
    pub pages: usize,
    pub players: usize,
    pub carried: usize,
    pub ops: u64,
    pub strokes: usize,
    pub backlog: usize,
    pub feeds: Vec<(String, i32)>,
    pub skews: Vec<SkewFigures>,
    /// Of an engine that is up and says it.
    pub tracker: Option<TrackerStatus>,
    pub watchers: Vec<(String, &'static str, usize)>,
    pub peers: Vec<PeerFigures>,
    pub ported: Vec<PortedFigures>,
}

/// How far an inset of the program lies from the main feed, us.
#[derive(Debug, Clone)]
pub struct SkewFigures {
    pub feed: String,
    pub skew_us: i32,
    /// p50 and p99 of the last second, beyond one period of its own.
    pub excess_us: [u32; 2],
}

/// Of one page, named by its number only.
#[derive(Debug, Clone)]
pub struct PeerFigures {
    pub page: u32,
    pub role: Option<Role>,
    pub media_up: bool,
    pub stats: PeerStats,
    pub report: ClientReport,
    /// Of its first picture.
    pub layer: Option<LayerId>,
}

/// Of one player or camera, named by its number only.
#[derive(Debug, Clone)]
pub struct PortedFigures {
    pub kind: &'static str,
    pub number: u32,
    /// What it watches, or brings.
    pub feed: String,
    pub media_up: bool,
    pub stats: PeerStats,
}

/// Everything, as text. `sfu_dropped`: commands; `media`: what the media threads count.
pub fn render(
    directory: &Directory,
    counters: &Counters,
    link: &LinkCommands,
    (sfu_dropped, media): (u64, &Figures),
    disk: Option<Code>,
) -> String {
    let mut out = Page::default();
    out.family("shirube_info", "gauge", "Version of the server.");
    out.line("shirube_info", &format!("version=\"{}\"", env!("CARGO_PKG_VERSION")), 1);
    let (events, rtp, unknown) = link.dropped();
    for (name, help, value) in [
        ("shirube_connections_total", "TCP connections taken.", counters.connections.value()),
        ("shirube_connections_refused_total", "TCP connections closed at the limit.", counters.connections_refused.value()),
        ("shirube_requests_total", "HTTP requests.", counters.requests.value()),
        ("shirube_requests_refused_total", "HTTP requests answered with an error code.", counters.refused.value()),
        ("shirube_page_messages_total", "Messages of pages on their sockets.", counters.page_messages.value()),
        ("shirube_pages_slow_total", "Pages closed because they could not keep up.", counters.pages_slow.value()),
        ("shirube_case_events_dropped_total", "Events that a case did not take in time.", counters.case_events_dropped.value()),
        ("shirube_media_commands_dropped_total", "Commands that the media thread did not take.", sfu_dropped),
        ("shirube_link_events_dropped_total", "Engine events dropped at a full queue.", events),
        ("shirube_link_rtp_dropped_total", "RTP packets of engines dropped at a busy core.", rtp),
        ("shirube_link_rtp_unknown_total", "RTP packets of engines with an unknown SSRC.", unknown),
    ] {
        out.family(name, "counter", help);
        out.line(name, "", value);
    }
    out.family(
        "shirube_refusals_total",
        "counter",
        "What was refused: by HTTP (joins, candidates, stills) or on a page's socket.",
    );
    for (at, counts) in ["http", "page"].into_iter().zip(&REFUSED) {
        for (code, count) in Code::ALL.iter().zip(counts).map(|(code, count)| (code, count.load(Ordering::Relaxed))) {
            if count > 0 {
                out.line("shirube_refusals_total", &format!("at=\"{at}\",code=\"{code}\""), count);
            }
        }
    }
    media_figures(&mut out, media);
    out.family("shirube_disk_refusing", "gauge", "1 while the disk does not take what is to be kept, by code.");
    for code in [Code::StoreFull, Code::StoreFailing] {
        out.line("shirube_disk_refusing", &format!("code=\"{code}\""), u8::from(disk == Some(code)));
    }
    let cases: Vec<_> = directory
        .all()
        .map(|handle| (handle.id.to_string(), handle.figures.lock().unwrap_or_else(PoisonError::into_inner).clone()))
        .collect();
    out.family("shirube_cases", "gauge", "Live cases.");
    out.line("shirube_cases", "", cases.iter().filter(|(_, f)| f.live).count() as u64);
    type Of<'a> = (&'static str, &'static str, &'a dyn Fn(&CaseFigures) -> u64);
    let of_case: [Of<'_>; 8] = [
        ("shirube_engine_up", "The link to the room's engine is up.", &|f| f.engine_up.into()),
        ("shirube_voice_open", "The room has opened the voice.", &|f| f.voice_open.into()),
        ("shirube_pages", "Pages of the case.", &|f| f.pages as u64),
        ("shirube_players", "WHEP players of the case.", &|f| f.players as u64),
        ("shirube_layers_by_whip", "Layers that a far engine carries by WHIP.", &|f| f.carried as u64),
        ("shirube_ink_ops", "Ops of ink in order.", &|f| f.ops),
        ("shirube_ink_strokes", "Strokes shown.", &|f| f.strokes as u64),
        ("shirube_store_backlog", "Commands waiting for the disk.", &|f| f.backlog as u64),
    ];
    for (name, help, value) in of_case {
        out.family(name, "gauge", help);
        for (case, figures) in &cases {
            out.line(name, &format!("case=\"{case}\""), value(figures));
        }
    }
    out.family("shirube_feed_state", "gauge", "1 for the state that a feed is in.");
    for (case, figures) in &cases {
        for (feed, state) in &figures.feeds {
            out.line("shirube_feed_state", &format!("case=\"{case}\",feed=\"{feed}\",state=\"{}\"", state_word(*state)), 1);
        }
    }
    out.family("shirube_feed_skew_seconds", "gauge", "The main feed's capture minus this feed's in the last program frame.");
    for (case, figures) in &cases {
        for f in &figures.skews {
            let labels = format!("case=\"{case}\",feed=\"{}\"", f.feed);
            out.line("shirube_feed_skew_seconds", &labels, f64::from(f.skew_us) / 1e6);
        }
    }
    out.family("shirube_feed_excess_age_seconds", "gauge", "Age beside the main feed beyond one period of its own, last second.");
    for (case, figures) in &cases {
        for f in &figures.skews {
            for (quantile, us) in ["0.5", "0.99"].into_iter().zip(f.excess_us) {
                let labels = format!("case=\"{case}\",feed=\"{}\",quantile=\"{quantile}\"", f.feed);
                out.line("shirube_feed_excess_age_seconds", &labels, f64::from(us) / 1e6);
            }
        }
    }
    let tracked = |figures: &CaseFigures| figures.tracker.filter(|t| t.anchors > 0);
    out.family("shirube_ink_followed_ratio", "gauge", "Share of followed ink by state, over the last second's frames with ink.");
    for (case, t) in cases.iter().filter_map(|(case, f)| Some((case, tracked(f)?))) {
        for (state, permille) in [("tracked", t.tracked_permille), ("unsure", t.unsure_permille), ("lost", t.lost_permille)] {
            let labels = format!("case=\"{case}\",state=\"{state}\"");
            out.line("shirube_ink_followed_ratio", &labels, f64::from(permille) / 1e3);
        }
    }
    out.family("shirube_tracker_frame_seconds", "gauge", "What a frame with ink costs the engine's tracker, last second.");
    for (case, t) in cases.iter().filter_map(|(case, f)| Some((case, tracked(f)?))) {
        for (quantile, us) in [("0.5", t.frame_us_p50), ("0.99", t.frame_us_p99)] {
            let labels = format!("case=\"{case}\",quantile=\"{quantile}\"");
            out.line("shirube_tracker_frame_seconds", &labels, f64::from(us) / 1e6);
        }
    }
    type OfTracker = (&'static str, &'static str, fn(&TrackerStatus) -> u64);
    let of_tracker: [OfTracker; 2] = [
        ("shirube_tracker_frames_total", "Frames that the engine's tracker looked at.", |t| t.frames),
        ("shirube_tracker_skipped_total", "Frames that it did not look at in time.", |t| t.skipped),
    ];
    for (name, help, value) in of_tracker {
        out.family(name, "counter", help);
        for (case, t) in cases.iter().filter_map(|(case, f)| Some((case, f.tracker.as_ref()?))) {
            out.line(name, &format!("case=\"{case}\""), value(t));
        }
    }
    out.family("shirube_watchers", "gauge", "Peers that watch a layer of a feed.");
    for (case, figures) in &cases {
        for (feed, layer, n) in &figures.watchers {
            out.line("shirube_watchers", &format!("case=\"{case}\",feed=\"{feed}\",layer=\"{layer}\""), *n as u64);
        }
    }
    type OfPeer<'a> = (&'static str, &'static str, &'static str, &'a dyn Fn(&PeerFigures) -> Option<f64>);
    let of_peer: [OfPeer<'_>; 18] = [
        ("shirube_peer_media_up", "gauge", "Its media path is up.", &|p| Some(f64::from(u8::from(p.media_up)))),
        ("shirube_peer_rtt_seconds", "gauge", "Round trip of the media path.", &|p| p.stats.rtt.map(|d| d.as_secs_f64())),
        ("shirube_peer_loss_ratio", "gauge", "Share of our packets lost on the way.", &|p| p.stats.loss.map(f64::from)),
        ("shirube_peer_estimate_bits_per_second", "gauge", "What its line is estimated to carry.", &|p| {
            p.stats.estimate_bps.map(|bps| bps as f64)
        }),
        ("shirube_peer_waiting_seconds", "gauge", "How long the oldest packet of a picture waits for its line.", &|p| {
            Some(p.stats.waiting.as_secs_f64())
        }),
        ("shirube_peer_layer", "gauge", "Layer of its first picture: 3 high, 2 mid, 1 low, 0 paused or none.", &|p| {
            Some(layer_number(p.layer))
        }),
        ("shirube_peer_bytes_out_total", "counter", "Media bytes to it.", &|p| Some(p.stats.bytes_out as f64)),
        ("shirube_peer_bytes_in_total", "counter", "Media bytes from it.", &|p| Some(p.stats.bytes_in as f64)),
        ("shirube_peer_nacks_total", "counter", "Retransmissions it asked for.", &|p| Some(p.stats.nacks as f64)),
        ("shirube_peer_keyframes_total", "counter", "Keyframes it asked for.", &|p| Some(p.stats.keyframes as f64)),
        ("shirube_peer_data_dropped_total", "counter", "Data messages not sent.", &|p| Some(p.stats.data_dropped as f64)),
        ("shirube_peer_frames_shown_total", "counter", "Frames it says it showed.", &|p| Some(p.report.frames_shown.into())),
        ("shirube_peer_stalls_total", "counter", "Times it marked its picture as stalled.", &|p| Some(p.report.freezes.into())),
        ("shirube_peer_by_tcp", "gauge", "Its packets travel by TCP.", &|p| Some(f64::from(u8::from(p.stats.by_tcp)))),
        ("shirube_peer_loss_in_ratio", "gauge", "Share of its own packets lost on the way to us.", &|p| {
            p.stats.loss_in.map(f64::from)
        }),
        ("shirube_peer_voice_concealed_ratio", "gauge", "Share of the voice it played that was made up.", &|p| {
            Some(p.report.voice_concealed.into())
        }),
        ("shirube_peer_age_seconds", "gauge", "Age of the picture on its glass.", &|p| Some(f64::from(p.report.age_ms) / 1000.0)),
        ("shirube_peer_picture_stalled", "gauge", "It says its picture stands.", &|p| {
            Some(f64::from(u8::from(p.report.picture_stalled)))
        }),
    ];
    for (name, kind, help, value) in of_peer {
        out.family(name, kind, help);
        for (case, figures) in &cases {
            for peer in &figures.peers {
                if let Some(value) = value(peer).filter(|v| v.is_finite()) {
                    out.line(name, &peer.labels(case), value);
                }
            }
        }
    }
    track_figures(&mut out, &cases);
    ported_figures(&mut out, &cases);
    out.0
}

impl PeerFigures {
    fn labels(&self, case: &str) -> String {
        format!("case=\"{case}\",page=\"{}\",role=\"{}\"", self.page, self.role.map_or("", Role::as_str))
    }
}

/// Of each slot of each page that shows something.
fn track_figures(out: &mut Page, cases: &[(String, CaseFigures)]) {
    type OfTrack<'a> = (&'static str, &'static str, &'static str, &'a dyn Fn(&TrackStats, &TrackReport) -> Option<f64>);
    let of_track: [OfTrack<'_>; 14] = [
        ("rtt_seconds", "gauge", "Round trip, by its last receiver report.", &|t, _| t.rtt.map(|d| d.as_secs_f64())),
        ("loss_ratio", "gauge", "Share lost on the way, by its last receiver report.", &|t, _| t.loss.map(f64::from)),
        ("layer", "gauge", "What it gets: 3 high, 2 mid, 1 low, 0 paused or waiting.", &|t, _| Some(layer_number(t.layer))),
        ("packets_total", "counter", "Packets to it, with those sent again.", &|t, _| Some(t.packets as f64)),
        ("bytes_total", "counter", "Bytes to it, with what was sent again.", &|t, _| Some(t.bytes as f64)),
        ("lost_total", "counter", "Packets it says never came.", &|t, _| Some(t.lost as f64)),
        ("nacks_total", "counter", "Requests to send again.", &|t, _| Some(t.nacks as f64)),
        ("late_total", "counter", "Packets asked for again too late to be of use.", &|t, _| Some(t.late as f64)),
        ("keyframes_total", "counter", "Keyframes it asked for.", &|t, _| Some(t.keyframes as f64)),
        ("switches_total", "counter", "Other layers it was brought to, and pauses.", &|t, _| Some(t.switches as f64)),
        ("freezes_total", "counter", "Freezes as W3C webrtc-stats defines them.", &|_, r| Some(r.freezes.into())),
        ("frozen_seconds_total", "counter", "How long it was frozen, by the same.", &|_, r| {
            Some(f64::from(r.frozen_ms) / 1000.0)
        }),
        ("frames_decoded_total", "counter", "Pictures it decoded.", &|_, r| Some(r.frames_decoded.into())),
        ("jitter_seconds", "gauge", "Mean wait of a picture before it is shown.", &|_, r| Some(f64::from(r.jitter_ms) / 1000.0)),
    ];
    for (name, kind, help, value) in of_track {
        let name = format!("shirube_track_{name}");
        out.family(&name, kind, help);
        for (case, figures) in cases {
            for peer in &figures.peers {
                for track in &peer.stats.tracks {
                    let told = peer.report.tracks.iter().find(|told| told.slot == u32::from(track.slot));
                    let told = told.copied().unwrap_or_default();
                    let feed = track.feed.as_ref().map_or("", |feed| feed.as_str());
                    if let Some(value) = value(track, &told).filter(|v| v.is_finite()) {
                        out.line(&name, &format!("{},slot=\"{}\",feed=\"{feed}\"", peer.labels(case), track.slot), value);
                    }
                }
            }
        }
    }
}

/// Of players and cameras.
fn ported_figures(out: &mut Page, cases: &[(String, CaseFigures)]) {
    type OfPorted<'a> = (&'static str, &'static str, &'static str, &'a dyn Fn(&PortedFigures) -> Option<f64>);
    let of_ported: [OfPorted<'_>; 13] = [
        ("media_up", "gauge", "Its media path is up.", &|p| Some(f64::from(u8::from(p.media_up)))),
        ("rtt_seconds", "gauge", "Round trip of the media path.", &|p| p.stats.rtt.map(|d| d.as_secs_f64())),
        ("loss_ratio", "gauge", "Share of our packets lost on the way to it.", &|p| p.stats.loss.map(f64::from)),
        ("loss_in_ratio", "gauge", "Share of its packets lost on the way to us.", &|p| p.stats.loss_in.map(f64::from)),
        ("estimate_bits_per_second", "gauge", "What its line is estimated to carry.", &|p| {
            p.stats.estimate_bps.map(|bps| bps as f64)
        }),
        ("layer", "gauge", "What a player gets: 3 high, 2 mid, 1 low, 0 paused or waiting.", &|p| {
            p.stats.tracks.first().map(|t| layer_number(t.layer))
        }),
        ("bytes_out_total", "counter", "Bytes to it.", &|p| Some(p.stats.bytes_out as f64)),
        ("bytes_in_total", "counter", "Bytes from it.", &|p| Some(p.stats.bytes_in as f64)),
        ("nacks_total", "counter", "Requests to send again.", &|p| Some(p.stats.nacks as f64)),
        ("keyframes_total", "counter", "Keyframes it asked for.", &|p| Some(p.stats.keyframes as f64)),
        ("frames_in_total", "counter", "Pictures that came from a camera.", &|p| {
            Some(p.stats.frames_in as f64).filter(|_| p.kind == "camera")
        }),
        ("freezes_total", "counter", "Gaps between a camera's pictures, by W3C's definition of a freeze.", &|p| {
            Some(p.stats.freezes_in as f64).filter(|_| p.kind == "camera")
        }),
        ("frozen_seconds_total", "counter", "How long those were.", &|p| {
            Some(p.stats.frozen_in.as_secs_f64()).filter(|_| p.kind == "camera")
        }),
    ];
    for (name, kind, help, value) in of_ported {
        let name = format!("shirube_ported_{name}");
        out.family(&name, kind, help);
        for (case, figures) in cases {
            for p in &figures.ported {
                if let Some(value) = value(p).filter(|v| v.is_finite()) {
                    let labels = format!("case=\"{case}\",kind=\"{}\",number=\"{}\",feed=\"{}\"", p.kind, p.number, p.feed);
                    out.line(&name, &labels, value);
                }
            }
        }
    }
}

/// Of the media threads together.
fn media_figures(out: &mut Page, media: &Figures) {
    out.family("shirube_media_peers", "gauge", "Connections of pages, players and cameras.");
    out.line("shirube_media_peers", "", media.peers as u64);
    out.family("shirube_media_tcp_connections", "gauge", "TCP connections for media, by whether they have proved themselves.");
    let known = media.tcp.open.saturating_sub(media.tcp.strangers);
    for (whose, n) in [("known", known), ("stranger", media.tcp.strangers)] {
        out.line("shirube_media_tcp_connections", &format!("whose=\"{whose}\""), n as u64);
    }
    let counters = &media.counters;
    for (name, help, value) in [
        ("shirube_media_datagrams_dropped_total", "Datagrams that the network did not take in time.", media.datagrams_dropped),
        ("shirube_media_events_dropped_total", "Events that the server did not take in time.", media.events_dropped),
        ("shirube_media_strangers_total", "Datagrams of nobody known.", counters.strangers),
        ("shirube_media_bad_packets_total", "Packets of feeds that cannot be forwarded.", counters.bad_packets),
        ("shirube_media_late_packets_total", "Packets of cameras that came too late.", counters.late_packets),
        ("shirube_media_cut_packets_total", "Packets of cameras cut to fit a narrow path.", counters.cut_packets),
        ("shirube_media_layers_refused_total", "Packets of layers beyond the limit of a case.", counters.layers_refused),
        ("shirube_media_tap_drops_total", "Packets of cameras that the engine did not take.", counters.tap_drops),
        ("shirube_media_tap_refreshes_total", "Keyframes of cameras that the engine asked for.", counters.tap_refreshes),
        ("shirube_media_bad_candidates_total", "Candidates that were none.", counters.bad_candidates),
        ("shirube_media_guesses_denied_total", "Requests for a name after too many wrong passwords.", counters.guesses_denied),
        ("shirube_media_sends_failed_total", "Calls that the system refused for good.", media.sends_failed),
        ("shirube_media_tcp_refused_total", "TCP connections that were too many, or proved nothing.", media.tcp.refused),
        ("shirube_media_tcp_ended_total", "TCP connections closed with their peer, or silent.", media.tcp.ended),
        ("shirube_media_tcp_dropped_total", "Packets that a TCP connection did not take in time.", media.tcp.dropped),
        ("shirube_media_floods_total", "Data messages beyond what a page may say.", counters.floods),
        ("shirube_media_keyframes_denied_total", "Keyframes asked for too often.", counters.keyframes_denied),
        (
            "shirube_media_pictures_stood_total",
            "Pictures that pages said stand still though their path is alive.",
            counters.pictures_stood,
        ),
        ("shirube_media_refreshes_total", "Keyframes asked for because of those.", counters.refreshes),
        ("shirube_media_faults_total", "Connections ended by a fault of the server.", counters.faults),
    ] {
        out.family(name, "counter", help);
        out.line(name, "", value);
    }
    for (name, help, histogram) in [
        (
            "shirube_forwarding_seconds",
            "From a picture's packet read to each viewer's copy handed to the kernel.",
            &media.forwarding,
        ),
        ("shirube_join_seconds", "From an offer to a media path that is up.", &media.joining),
        ("shirube_stream_start_seconds", "From told what to show to the first packet of its first picture.", &media.starting),
    ] {
        out.histogram(name, help, histogram);
    }
}

fn layer_number(layer: Option<LayerId>) -> f64 {
    layer.map_or(0.0, |layer| match layer {
        LayerId::High | LayerId::HighVp8 => 3.0,
        LayerId::Mid => 2.0,
        LayerId::Low | LayerId::LowVp8 => 1.0,
    })
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn histogram(&mut self, name: &str, help: &str, of: &Histogram) {
        self.family(name, "histogram", help);
        for (step, count) in of.cumulative() {
            self.line(&format!("{name}_bucket"), &format!("le=\"{}\"", step.as_secs_f64()), count);
        }
        self.line(&format!("{name}_bucket"), "le=\"+Inf\"", of.count());
        self.line(&format!("{name}_sum"), "", of.sum().as_secs_f64());
        self.line(&format!("{name}_count"), "", of.count());
    }

    fn line(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }
}

fn state_word(state: i32) -> &'static str {
    match FeedState::try_from(state).unwrap_or_default() {
        FeedState::Unspecified => "unknown",
        FeedState::Live => "live",
        FeedState::Stale => "stale",
        FeedState::Lost => "lost",
        FeedState::XrayOff => "xray-off",
        FeedState::Looping => "looping",
        FeedState::Curtain => "curtain",
        FeedState::MaskUnknown => "mask-unknown",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_histogram_is_cumulative_and_whole() {
        let mut forwarding = Histogram::default();
        for ms in [1, 4, 4, 9_000] {
            forwarding.record(Duration::from_millis(ms));
        }
        let mut out = Page::default();
        media_figures(&mut out, &Figures { forwarding, ..Figures::default() });
        let lines: Vec<&str> = out.0.lines().filter(|l| l.starts_with("shirube_forwarding_seconds")).collect();
        assert_eq!(lines.len(), sfu::STEPS_US.len() + 3);
        for line in [
            "shirube_forwarding_seconds_bucket{le=\"0.001\"} 1",
            "shirube_forwarding_seconds_bucket{le=\"0.005\"} 3",
            "shirube_forwarding_seconds_bucket{le=\"5\"} 3",
            "shirube_forwarding_seconds_bucket{le=\"+Inf\"} 4",
            "shirube_forwarding_seconds_sum 9.009",
            "shirube_forwarding_seconds_count 4",
        ] {
            assert!(lines.contains(&line), "{line} is not in {lines:#?}");
        }
    }

    #[test]
    fn a_page_is_a_number_and_a_role_and_its_tracks_are_feeds() {
        let track = TrackStats { slot: 1, feed: annotation::id::FeedId::parse("field").ok(), late: 7, ..TrackStats::default() };
        let told = TrackReport { slot: 1, freezes: 2, frozen_ms: 1_500, ..TrackReport::default() };
        let peer = PeerFigures {
            page: 12,
            role: Some(Role::Mentor),
            media_up: true,
            stats: PeerStats { tracks: vec![track], ..PeerStats::default() },
            report: ClientReport { tracks: vec![told], ..ClientReport::default() },
            layer: None,
        };
        let mut out = Page::default();
        track_figures(&mut out, &[("one".into(), CaseFigures { peers: vec![peer], ..CaseFigures::default() })]);
        let labels = "{case=\"one\",page=\"12\",role=\"mentor\",slot=\"1\",feed=\"field\"}";
        for (name, value) in [("late_total", "7"), ("freezes_total", "2"), ("frozen_seconds_total", "1.5"), ("layer", "0")] {
            assert!(out.0.contains(&format!("shirube_track_{name}{labels} {value}\n")), "{name}: {}", out.0);
        }
    }
}
