//! The health of a case in figures: no name, no picture, no ink. For those who look after it: vendor and desk.

use annotation::id::{Epoch, FeedId};
use annotation::time::CaptureTime;
use link::frame::{FeedState, Sync};
use link::wire as from_engine;
use sfu::{Histogram, PeerStats, TrackStats};

use super::Actor;
use super::media::FEEDS_MAX;
use crate::authorize::Action;
use crate::case::role_on_wire;
use crate::claims::Role;
use crate::edge::metrics::SkewFigures;
use crate::wire::{self, server_message};

/// Layers of one case in a report: three of the program, one of each feed, and some to come.
const LAYERS_MAX: usize = 2 * FEEDS_MAX;
/// Longest word for what is shed.
const SHED_CHARS: usize = 16;
/// Codes of a screen that shows nothing, the gravest last: what an engine calls otherwise is the first.
const SCREEN_PROBLEMS: [&str; 2] = ["display.down", "display.not-answering"];
/// Longest sentence of a feed's problem.
const PROBLEM_CHARS: usize = 200;

/// What an engine said of itself.
#[derive(Debug, Default)]
pub(super) struct EngineFigures {
    software: String,
    /// Of the link now up, or that was up last.
    since: CaptureTime,
    ups: u32,
    last: from_engine::Health,
}

impl EngineFigures {
    pub(super) fn has_been_up(&self) -> bool {
        self.ups > 0
    }

    pub(super) fn handle_up(&mut self, software: String, now: CaptureTime) {
        self.software = software.chars().take(64).collect();
        self.since = now;
        self.ups += 1;
    }

    pub(super) fn handle_down(&mut self) {
        for feed in &mut self.last.feeds {
            feed.state = FeedState::Lost as i32;
            feed.sync = Sync::Unspecified as i32;
        }
        self.last.shed.clear();
        self.last.tracker = None;
        self.last.display = None;
    }

    pub(super) fn tracker(&self) -> Option<wire::TrackerStatus> {
        self.last.tracker.map(|t| wire::TrackerStatus {
            frames: t.frames,
            skipped: t.skipped,
            anchors: t.anchors,
            tracked_permille: t.tracked_permille,
            unsure_permille: t.unsure_permille,
            lost_permille: t.lost_permille,
            frame_us_p50: t.frame_us_p50,
            frame_us_p99: t.frame_us_p99,
        })
    }

    /// What the room's machine cannot carry now.
    pub(super) fn shed(&self) -> &str {
        &self.last.shed
    }

    /// Why the room's own screen shows nothing; empty: it shows, opens, or there is none.
    pub(super) fn display_problem(&self) -> &'static str {
        let Some(display) = self.last.display.as_ref().filter(|d| !d.up && !d.problem.is_empty()) else { return "" };
        SCREEN_PROBLEMS.into_iter().find(|known| *known == display.code).unwrap_or(SCREEN_PROBLEMS[0])
    }

    fn display(&self) -> &'static str {
        match (&self.last.display, self.display_problem()) {
            (None, _) => "",
            (Some(_), "") => "shown",
            (Some(_), problem) => problem,
        }
    }

    /// Of insets shown live, while the engine is up.
    pub(super) fn skews(&self) -> Vec<SkewFigures> {
        let compared = self.last.feeds.iter().filter(|f| f.sync() != Sync::Unspecified && f.sync() != Sync::Unknown);
        compared
            .map(|f| SkewFigures { feed: f.feed.clone(), skew_us: f.skew_us, excess_us: [f.excess_us_p50, f.excess_us_p99] })
            .collect()
    }

    pub(super) fn handle_health(&mut self, health: &from_engine::Health) {
        self.last = health.clone();
        self.last.feeds.retain(|f| FeedId::parse(&f.feed).is_ok());
        self.last.feeds.truncate(FEEDS_MAX);
        self.last.feeds.iter_mut().for_each(|f| f.problem = problem(&f.problem));
        self.last.layers.truncate(LAYERS_MAX);
        self.last.shed = self.last.shed.chars().take(SHED_CHARS).collect();
    }
}

/// As everybody may read it: the engine keeps names of files to itself, and so do we, whatever it says.
pub(super) fn problem(said: &str) -> String {
    let short: String = said.chars().take(PROBLEM_CHARS).collect();
    link::problem::outside(&short)
}

impl Actor {
    /// To one page, or to all, as far as they may read it.
    pub(super) fn tell_health(&self, only: Option<Epoch>) {
        let now = self.now();
        let may = |epoch: Epoch| only.is_none_or(|only| only == epoch) && self.case.may(epoch, &Action::ReadHealth, now).is_ok();
        if self.pages.keys().any(|epoch| may(*epoch)) {
            self.tell_who(server_message::Body::Health(self.health_report(now)), may);
        }
    }

    fn health_report(&self, now: CaptureTime) -> wire::HealthReport {
        let engine_up = self.case.state(now).engine_up;
        let (events, rtp, unknown) = self.around.link.dropped();
        let media = self.around.sfu.figures();
        wire::HealthReport {
            at: now.0,
            feeds: self.feeds.iter().map(|info| self.feed_status(info, engine_up)).collect(),
            layers: self.layer_statuses(),
            peers: self.peer_statuses(),
            engine_up,
            engine_software: self.engine.software.clone(),
            clock_uncertainty_us: self.engine.last.clock_uncertainty_us,
            link_dropped: events + rtp + unknown,
            engine_restarts: self.engine.ups.saturating_sub(1),
            engine_since: self.engine.since.0,
            tracker: self.engine.tracker(),
            shed: self.engine.shed().to_owned(),
            display: self.engine.display().to_owned(),
            forwarding: took(&media.forwarding),
            joining: took(&media.joining),
            starting: took(&media.starting),
        }
    }

    fn feed_status(&self, info: &wire::FeedInfo, engine_up: bool) -> wire::FeedStatus {
        let named = wire::FeedStatus {
            feed: info.feed.clone(),
            kind: info.kind.clone(),
            name_ja: info.name_ja.clone(),
            name_en: info.name_en.clone(),
            state: if engine_up { FeedState::Unspecified } else { FeedState::Lost } as i32,
            ..Default::default()
        };
        let Some(health) = self.engine.last.feeds.iter().find(|f| f.feed == info.feed) else { return named };
        wire::FeedStatus {
            state: health.state,
            capture: health.capture,
            frames: health.frames,
            problem: health.problem.clone(),
            luma_mean: health.luma_mean,
            black_permille: health.black_permille,
            frozen_permille: health.frozen_permille,
            width: health.width,
            height: health.height,
            period_us: health.period_us,
            mask: health.mask,
            skew_us: health.skew_us,
            excess_us_p50: health.excess_us_p50,
            excess_us_p99: health.excess_us_p99,
            sync: health.sync,
            ..named
        }
    }

    /// What is encoded, and what is watched though nothing of it is encoded.
    fn layer_statuses(&self) -> Vec<wire::LayerStatus> {
        let mut watched = self.watchers.clone();
        let mut layers = Vec::new();
        for health in &self.engine.last.layers {
            let Some(at) = &health.layer else { continue };
            let key = FeedId::parse(&at.feed).ok().zip(link::id::LayerId::parse(&at.layer));
            let Some(key) = key else { continue };
            layers.push(wire::LayerStatus {
                feed: at.feed.clone(),
                layer: at.layer.clone(),
                watchers: watched.remove(&key).unwrap_or(0) as u32,
                frames: health.frames,
                bytes: health.bytes,
                dropped: health.dropped,
                encode_us_p50: health.encode_us_p50,
                capture_to_rtp_us_p50: health.capture_to_rtp_us_p50,
                capture_to_rtp_us_p99: health.capture_to_rtp_us_p99,
            });
        }
        layers.extend(watched.into_iter().map(|((feed, layer), watchers)| wire::LayerStatus {
            feed: feed.to_string(),
            layer: layer.to_string(),
            watchers: watchers as u32,
            ..Default::default()
        }));
        layers
    }

    /// Pages by number and role, then players and cameras.
    fn peer_statuses(&self) -> Vec<wire::PeerStatus> {
        let page = |(epoch, page): (&Epoch, &super::Page)| {
            let role = self.case.role(*epoch)?;
            Some(wire::PeerStatus {
                number: epoch.0,
                role: role_on_wire(role) as i32,
                media: page.media_up,
                age_ms: page.report.age_ms,
                freezes: page.report.tracks.iter().fold(0, |sum: u32, track| sum.saturating_add(track.freezes)),
                picture_stalled: page.report.picture_stalled,
                layer: page.given[0].and_then(|(layer, _)| layer).map(|l| l.to_string()).unwrap_or_default(),
                voice_concealed: page.report.voice_concealed,
                ..line_status(&page.stats, &page.report)
            })
        };
        let ported = |(kind, role, feed, media): (&'static str, Role, &FeedId, &super::resource::Resource)| wire::PeerStatus {
            kind: kind.into(),
            number: media.number(),
            role: role_on_wire(role) as i32,
            feed: feed.to_string(),
            media: media.up,
            kbps: media.kbps(),
            freezes: media.stats.freezes_in.try_into().unwrap_or(u32::MAX),
            layer: media.stats.tracks.first().and_then(|t| t.layer).map(|l| l.to_string()).unwrap_or_default(),
            ..line_status(&media.stats, &wire::ClientReport::default())
        };
        self.pages.iter().filter_map(page).chain(self.resources().map(ported)).collect()
    }
}

/// What the media thread counts of a connection.
fn line_status(stats: &PeerStats, report: &wire::ClientReport) -> wire::PeerStatus {
    wire::PeerStatus {
        rtt_ms: stats.rtt.map_or(0.0, |rtt| rtt.as_secs_f32() * 1000.0),
        loss: stats.loss.unwrap_or(0.0),
        packets_out: stats.packets_out,
        nacks: stats.nacks,
        keyframes: stats.keyframes,
        estimate_kbps: stats.estimate_bps.map_or(0, |bps| (bps / 1_000).try_into().unwrap_or(u32::MAX)),
        waiting_ms: stats.waiting.as_millis().try_into().unwrap_or(u32::MAX),
        by_tcp: stats.by_tcp,
        loss_in: stats.loss_in.unwrap_or(0.0),
        tracks: stats.tracks.iter().map(|track| track_status(track, report)).collect(),
        ..Default::default()
    }
}

/// What the media thread counts of a slot, and what the page says of it.
fn track_status(track: &TrackStats, report: &wire::ClientReport) -> wire::TrackStatus {
    let told = report.tracks.iter().find(|told| told.slot == u32::from(track.slot)).copied().unwrap_or_default();
    wire::TrackStatus {
        slot: track.slot.into(),
        feed: track.feed.as_ref().map(ToString::to_string).unwrap_or_default(),
        layer: track.layer.map(|layer| layer.to_string()).unwrap_or_default(),
        rtt_ms: track.rtt.map_or(0.0, |rtt| rtt.as_secs_f32() * 1000.0),
        loss: track.loss.unwrap_or(0.0),
        packets: track.packets,
        bytes: track.bytes,
        lost: track.lost,
        nacks: track.nacks,
        keyframes: track.keyframes,
        late: track.late,
        switches: track.switches,
        freezes: told.freezes,
        frozen_ms: told.frozen_ms,
        frames_decoded: told.frames_decoded,
        jitter_ms: told.jitter_ms,
    }
}

fn took(of: &Histogram) -> Option<wire::Took> {
    let us = |share| Some(u32::try_from(of.quantile(share)?.as_micros()).unwrap_or(u32::MAX));
    Some(wire::Took { p50_us: us(0.5)?, p99_us: us(0.99)? })
}
