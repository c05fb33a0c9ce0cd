//! Media thread and engine as the case sees them: peers, grants, watchers, health, frame indexes.

use std::collections::BTreeMap;
use std::time::Duration;

use annotation::id::{Epoch, FeedId};
use annotation::time::CaptureTime;
use bytes::Bytes;
use link::frame::{FeedState, FrameIndex};
use link::id::LayerId;
use prost::Message;
use sfu::{Channel, Grants, LayerSpec, PeerId, SfuEvent};
use tracing::{debug, info, warn};

use super::Actor;
use super::health::problem;
use crate::edge::engine_link::LinkEvent;
use crate::edge::metrics::{CaseFigures, PeerFigures, PortedFigures};
use crate::texts::Code;
use crate::wire::{self, Eph, Vit, server_message};

/// Bits of a peer's number that count within its case.
const PEER_BITS: u32 = 40;
/// After a cut the data channels' timers may have backed off this far: meanwhile indexes take the socket too.
const CHANNELS_SLOW_FOR: Duration = Duration::from_secs(4);
/// Each frame index travels in this many packets, because `eph` does not retransmit.
const FRAME_REPEATS: usize = 3;
/// Feeds of one case.
pub(super) const FEEDS_MAX: usize = 32;

/// The case's place in the directory, out of a peer's number.
pub(crate) fn case_number(peer: PeerId) -> u32 {
    (peer.0 >> PEER_BITS) as u32
}

/// Until an engine says what it has.
pub(super) fn feeds_without_engine() -> Vec<wire::FeedInfo> {
    vec![wire::FeedInfo {
        feed: FeedId::program().to_string(),
        kind: "program".into(),
        name_ja: "統合表示".into(),
        name_en: "Program".into(),
        ..Default::default()
    }]
}

impl Actor {
    pub(super) fn next_peer(&mut self) -> PeerId {
        self.peers_made += 1;
        PeerId(u64::from(self.number) << PEER_BITS | self.peers_made)
    }

    pub(super) fn handle_sfu(&mut self, event: SfuEvent) {
        match event {
            SfuEvent::Connected { peer } => {
                if let Some(epoch) = self.peers.get(&peer).copied() {
                    if let Some(page) = self.pages.get_mut(&epoch) {
                        page.media_up = true;
                    }
                    info!(case = %self.case.id(), page = epoch.0, "media is up");
                    self.case.handle_media(epoch, true);
                    self.people_dirty = true;
                } else {
                    self.handle_resource_up(peer);
                }
            }
            SfuEvent::Closed { peer, reason, .. } => self.handle_peer_closed(peer, reason.code()),
            SfuEvent::ChannelOpen { peer, channel } => {
                let Some(epoch) = self.peers.get(&peer).copied() else { return };
                let Some(page) = self.pages.get_mut(&epoch) else { return };
                match channel {
                    Channel::Ink => {
                        page.ink_open = true;
                        page.ink_by_channel = true;
                    }
                    Channel::Eph => page.eph_open = true,
                    Channel::Vit => {
                        page.vit_open = true;
                        self.send_health();
                    }
                    Channel::Ctl => {}
                }
            }
            SfuEvent::Returned { peer } => {
                let until = self.now().saturating_add(CHANNELS_SLOW_FOR);
                if let Some(page) = self.peers.get(&peer).and_then(|epoch| self.pages.get_mut(epoch)) {
                    page.handle_returned(until);
                }
            }
            SfuEvent::Silent { peer, silent } => {
                if let Some(epoch) = self.peers.get(&peer).copied() {
                    self.case.handle_silent(epoch, silent);
                    self.people_dirty = true;
                }
            }
            SfuEvent::Data { peer, channel, bytes, at } => {
                if let Some(epoch) = self.peers.get(&peer).copied() {
                    let at = self.around.timeline.at(at);
                    self.handle_data(epoch, channel, &bytes, at);
                }
            }
            // A camera is asked by the media thread itself.
            SfuEvent::KeyframeWanted { feed, .. } if self.is_published(&feed) => {}
            SfuEvent::KeyframeWanted { case, feed, layer } => self.around.link.keyframe(&case, &feed, layer),
            SfuEvent::Watchers { feed, layer, count, .. } => {
                if count == 0 {
                    self.watchers.remove(&(feed, layer));
                } else {
                    self.watchers.insert((feed, layer), count);
                }
                self.tell_engine_wants();
            }
            SfuEvent::Voice { peer, speaking, .. } => {
                if let Some(epoch) = self.peers.get(&peer).copied() {
                    self.case.handle_speaking(epoch, speaking);
                    self.people_dirty = true;
                }
            }
            SfuEvent::VoiceSlot { peer, slot, from } => {
                let author = from.and_then(|from| self.peers.get(&from)).and_then(|epoch| self.case.author(*epoch));
                if let Some(epoch) = self.peers.get(&peer) {
                    let told = wire::VoiceSlot { slot: u32::from(slot), author: author.map_or(0, |author| author.0) };
                    self.tell(*epoch, server_message::Body::Voice(told));
                }
            }
            SfuEvent::Stats { peer, stats } => {
                if let Some(page) = self.peers.get(&peer).and_then(|epoch| self.pages.get_mut(epoch)) {
                    page.stats = stats;
                } else {
                    self.handle_resource_stats(peer, stats);
                }
            }
            SfuEvent::Shown { peer, slot, layer, why } => self.handle_shown(peer, slot, layer, why),
            SfuEvent::Published { feed, codec, up, .. } => self.handle_published(feed, codec, up),
            other => debug!(?other, "an event of the media thread that the case does not know"),
        }
    }

    fn handle_peer_closed(&mut self, peer: PeerId, reason: &'static str) {
        if let Some(epoch) = self.peers.remove(&peer) {
            info!(case = %self.case.id(), page = epoch.0, reason, "media ended");
            if let Some(page) = self.pages.get_mut(&epoch).filter(|page| page.peer == Some(peer)) {
                page.forget_media();
                self.case.handle_media(epoch, false);
                self.people_dirty = true;
            }
        }
        self.handle_resource_closed(peer);
    }

    pub(super) fn handle_engine(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Up { hello, .. } => {
                info!(case = %self.case.id(), engine = %hello.engine, software = %hello.software, "the engine is up");
                self.take_masked(&hello.masked);
                self.take_feeds(&hello.feeds, &hello.layers);
                self.take_layouts(&hello.layouts, &hello.layout, &hello.timing);
                self.engine.handle_up(hello.software, self.now());
                self.cover_all();
                self.case.handle_engine(true);
                self.tell_engine_curtain();
                self.ingest_all();
                self.show_programs();
                self.tell_engine_wants();
                let now = self.now();
                self.ink.handle_engine_up(now);
                self.tell_state();
            }
            LinkEvent::Down { reason, .. } => {
                warn!(case = %self.case.id(), reason, "the engine is gone: picture lost, voice and ink stay");
                self.case.handle_engine(false);
                for feed in &mut self.health {
                    feed.state = FeedState::Lost as i32;
                }
                self.engine.handle_down();
                self.close_carried();
                self.frames.clear();
                self.track.handle_engine_down();
                self.end_display();
                self.handle_cameras(&[]);
                self.tell_state();
                self.send_health();
                self.tell_health(None);
            }
            LinkEvent::Frame { index, .. } => self.handle_frame(index),
            LinkEvent::Feeds { list, .. } => {
                info!(case = %self.case.id(), feeds = list.feeds.len(), "the engine's feeds changed");
                self.take_feeds(&list.feeds, &list.layers);
                self.handle_layout(&list.layout, &list.timing);
                self.tell_engine_wants();
            }
            LinkEvent::Vitals { vitals, .. } => self.handle_vitals(vitals),
            LinkEvent::Health { health, .. } => {
                let before = self.engine.shed().to_owned();
                let screen_before = self.engine.display_problem();
                self.engine.handle_health(&health);
                if self.engine.shed() != before {
                    info!(case = %self.case.id(), shed = self.engine.shed(), before, "load of the room's machine");
                    self.tell_state();
                }
                if self.engine.display_problem() != screen_before {
                    info!(case = %self.case.id(), problem = self.engine.display_problem(), "the room's own screen");
                    self.tell_state();
                }
                self.handle_cameras(&health.ptz);
                if health.curtain != self.case.curtain().drawn {
                    self.tell_engine_curtain();
                }
                let feeds: Vec<_> = health
                    .feeds
                    .into_iter()
                    .filter(|f| FeedId::parse(&f.feed).is_ok())
                    .take(FEEDS_MAX)
                    .map(|f| wire::FeedHealth { feed: f.feed, state: f.state, capture: f.capture, problem: problem(&f.problem) })
                    .collect();
                let states = |feeds: &[wire::FeedHealth]| feeds.iter().map(|f| (f.feed.clone(), f.state)).collect::<Vec<_>>();
                let changed = states(&feeds) != states(&self.health);
                self.health = feeds;
                if changed {
                    self.send_health();
                }
            }
            LinkEvent::Xform { frame, .. } => self.handle_xform(frame),
            LinkEvent::Still { piece, .. } => self.handle_still_piece(piece),
            LinkEvent::Rebased { rebase, .. } => {
                let now = self.now();
                self.ink.handle_rebase(rebase, now);
            }
            LinkEvent::Ink { heard, .. } => self.handle_display_ink(heard),
            LinkEvent::KeyframeWanted { feed, .. } => self.refresh_published(feed),
            LinkEvent::Refused { code, message } => {
                let message = problem(&message);
                warn!(case = %self.case.id(), code, message, "the engine refused");
            }
        }
    }

    /// To the ink room, and to every page that shows its picture: on `eph` with the two before it, else on the socket.
    fn handle_frame(&mut self, index: FrameIndex) {
        let Some(feed) = FeedId::parse(&index.program).ok().filter(|feed| self.knows(feed)) else {
            debug!(case = %self.case.id(), "a frame index of no known feed");
            return;
        };
        self.ink.handle_frame(&index);
        let frames = self.frames.entry(feed.clone()).or_default();
        if frames.len() == FRAME_REPEATS {
            frames.pop_front();
        }
        frames.push_back(index.clone());
        let packet = Eph { version: crate::SIGNAL_VERSION, frames: frames.iter().cloned().collect(), ..Default::default() };
        let packet = Bytes::from(packet.encode_to_vec());
        let now = self.now();
        for page in self.pages.values().filter(|page| page.shows(&feed)) {
            match page.peer {
                Some(peer) if page.eph_open => {
                    let _ = self.around.sfu.send_data(peer, Channel::Eph, packet.clone());
                    if page.doubts_channels(now) {
                        page.mailbox.send(server_message::Body::Frame(index.clone()));
                    }
                }
                Some(_) if page.media_up && page.away_since.is_none() => {
                    page.mailbox.send(server_message::Body::Frame(index.clone()));
                }
                _ => {}
            }
        }
    }

    pub(super) fn send_eph(&self, epoch: Epoch, packet: &Eph) {
        let Some(page) = self.pages.get(&epoch) else { return };
        if let Some(peer) = page.peer.filter(|_| page.eph_open) {
            let _ = self.around.sfu.send_data(peer, Channel::Eph, packet.encode_to_vec().into());
        }
    }

    /// Once a second and at change.
    pub(super) fn send_health(&self) {
        let mut feeds = self.health.clone();
        feeds.extend(self.published_health());
        let packet = Bytes::from(Vit { version: crate::SIGNAL_VERSION, feeds, vitals: None }.encode_to_vec());
        for page in self.pages.values().filter(|page| page.vit_open) {
            if let Some(peer) = page.peer {
                let _ = self.around.sfu.send_data(peer, Channel::Vit, packet.clone());
            }
        }
    }

    /// Encode only what somebody watches.
    pub(super) fn tell_engine_wants(&self) {
        // What a camera publishes comes from it, not from the engine.
        let wanted: Vec<_> = self.watchers.keys().filter(|(feed, _)| !self.is_published(feed)).cloned().collect();
        self.around.link.want(self.case.id(), &wanted);
    }

    /// What pages may choose from now on; told where it is news.
    fn take_feeds(&mut self, feeds: &[link::wire::FeedInfo], layers: &[link::wire::LayerInfo]) {
        // The engine's own names are its own, also where a camera was there before it.
        let taken: Vec<FeedId> =
            self.publications.keys().filter(|f| layers.iter().any(|l| l.feed == f.as_str())).cloned().collect();
        for feed in taken {
            self.end_publication(&feed);
        }
        let mut feeds = feeds_of(feeds);
        let published = self.published_infos();
        feeds.extend(published.into_iter().filter(|p| !feeds.iter().any(|f| f.feed == p.feed)).collect::<Vec<_>>());
        for feed in &mut feeds {
            feed.masked = FeedId::parse(&feed.feed).is_ok_and(|id| self.is_masked(&id));
        }
        let layer = |l: &link::wire::LayerInfo| FeedId::parse(&l.feed).ok().zip(LayerId::parse(&l.layer));
        self.layers = layers.iter().filter_map(layer).collect();
        self.tell_layers(layers);
        if feeds != self.feeds {
            self.feeds = feeds;
            self.tell_all(server_message::Body::Feeds(wire::FeedList { feeds: self.feeds.clone() }));
        }
        let known: Vec<_> = self.feeds.iter().map(|f| f.feed.clone()).collect();
        self.frames.retain(|feed, _| known.iter().any(|known| known == feed.as_str()));
    }

    /// To the media thread, which chooses among them for each viewer.
    fn tell_layers(&mut self, layers: &[link::wire::LayerInfo]) {
        let mut specs: BTreeMap<FeedId, Vec<LayerSpec>> = BTreeMap::new();
        for info in layers {
            let (Ok(feed), Some(layer)) = (FeedId::parse(&info.feed), LayerId::parse(&info.layer)) else { continue };
            specs.entry(feed).or_default().push(LayerSpec { layer, width: info.width, bps: info.bitrate_bps });
        }
        self.layers_told = layers.to_vec();
        let case = self.case.id();
        for gone in self.layered.iter().filter(|feed| !specs.contains_key(feed)) {
            let _ = self.around.sfu.set_layers(case.clone(), gone.clone(), Vec::new());
        }
        self.layered = specs.keys().cloned().collect();
        for (feed, specs) in specs {
            let _ = self.around.sfu.set_layers(case.clone(), feed, specs);
        }
    }

    /// The case ends: nobody will choose any more.
    pub(super) fn forget_layers(&mut self) {
        let engine_has = std::mem::take(&mut self.layers_told);
        self.tell_layers(&[]);
        self.layers_told = engine_has;
    }

    /// The end was taken back: what the engine has is chosen among again.
    pub(super) fn remember_layers(&mut self) {
        self.tell_layers(&self.layers_told.clone());
    }

    /// The layer of this name, or with `auto` or nothing the best that there is.
    pub(super) fn layer_of(&self, feed: &FeedId, name: &str) -> Result<LayerId, Code> {
        if !self.knows(feed) {
            return Err(Code::FeedUnknown);
        }
        if self.is_published(feed) {
            return if matches!(name, "" | "auto" | "high") { Ok(LayerId::High) } else { Err(Code::LayerUnknown) };
        }
        // In the order of LayerId: high first.
        let mut has = self.layers.iter().filter(|(of, _)| of == feed).map(|(_, layer)| *layer).peekable();
        if matches!(name, "" | "auto") {
            return Ok(has.next().unwrap_or(LayerId::High));
        }
        let layer = LayerId::parse(name).ok_or(Code::LayerUnknown)?;
        // Until an engine says what it has, everything may come.
        if has.peek().is_none() || has.any(|known| known == layer) { Ok(layer) } else { Err(Code::LayerUnknown) }
    }

    pub(super) fn knows(&self, feed: &FeedId) -> bool {
        self.feeds.iter().any(|known| known.feed == feed.as_str())
    }

    pub(super) fn grants_for_sfu(&self, epoch: Epoch, now: CaptureTime) -> Grants {
        let grants = self.case.media_grants(epoch, now);
        Grants { see: grants.see, hear: grants.hear, speak: grants.speak }
    }

    /// Gives the media thread what the case now allows the page.
    pub(super) fn apply_grants(&mut self, epoch: Epoch) {
        let grants = self.grants_for_sfu(epoch, self.now());
        let Some(page) = self.pages.get_mut(&epoch) else { return };
        let Some(peer) = page.peer else { return };
        if page.grants != grants && self.around.sfu.set_grants(peer, grants).is_ok() {
            page.grants = grants;
        }
    }

    pub(super) fn gather_figures(&self) -> CaseFigures {
        let (ops, strokes, _) = self.ink.counts();
        let state = self.case.state(self.now());
        CaseFigures {
            live: self.case.phase() == crate::authorize::Phase::Live,
            engine_up: state.engine_up,
            voice_open: state.voice_open,
            pages: self.pages.len(),
            players: self.n_players(),
            carried: self.players.len() - self.n_players(),
            ops,
            strokes,
            backlog: self.backlog.len(),
            feeds: self.health.iter().map(|f| (f.feed.clone(), f.state)).collect(),
            skews: self.engine.skews(),
            tracker: self.engine.tracker(),
            watchers: self.watchers.iter().map(|((feed, layer), n)| (feed.to_string(), layer.as_str(), *n)).collect(),
            peers: self.pages.iter().map(|(epoch, page)| self.figures_of(*epoch, page)).collect(),
            ported: self
                .resources()
                .map(|(kind, _, feed, media)| PortedFigures {
                    kind,
                    number: media.number(),
                    feed: feed.to_string(),
                    media_up: media.up,
                    stats: media.stats.clone(),
                })
                .collect(),
        }
    }

    fn figures_of(&self, epoch: Epoch, page: &super::Page) -> PeerFigures {
        PeerFigures {
            page: epoch.0,
            role: self.case.role(epoch),
            media_up: page.media_up,
            stats: page.stats.clone(),
            report: page.report.clone(),
            layer: page.given[0].and_then(|(layer, _)| layer),
        }
    }
}

/// The program first, whatever the engine's order.
fn feeds_of(feeds: &[link::wire::FeedInfo]) -> Vec<wire::FeedInfo> {
    let known = |f: &&link::wire::FeedInfo| FeedId::parse(&f.feed).is_ok();
    let info = |f: &link::wire::FeedInfo| wire::FeedInfo {
        feed: f.feed.clone(),
        kind: f.kind.clone(),
        name_ja: f.name_ja.clone(),
        name_en: f.name_en.clone(),
        width: f.width,
        height: f.height,
        period_us: f.period_us,
        curtain: f.curtain,
        ptz: f.ptz,
        masked: false,
    };
    let mut feeds: Vec<_> = feeds.iter().filter(known).take(FEEDS_MAX).map(info).collect();
    if !feeds.iter().any(|f| f.feed == FeedId::program().as_str()) {
        feeds.extend(feeds_without_engine());
    }
    feeds.sort_by_key(|f| f.feed != FeedId::program().as_str());
    feeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_comes_first_and_what_is_no_feed_is_left_out() {
        let feed = |name: &str| link::wire::FeedInfo { feed: name.into(), ..Default::default() };
        let hello = link::wire::Hello { feeds: vec![feed("field"), feed("../etc"), feed("program")], ..Default::default() };
        let names: Vec<_> = feeds_of(&hello.feeds).into_iter().map(|f| f.feed).collect();
        assert_eq!(names, ["program", "field"]);
    }

    #[test]
    fn a_peers_number_names_its_case() {
        assert_eq!(case_number(PeerId(5 << PEER_BITS | 77)), 5);
    }
}
