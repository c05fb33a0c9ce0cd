//! Feeds that somebody publishes into the case by WHIP: who, whether pictures come, and their way to the engine.
//!
//! A feed stays listed until its publisher says goodbye (DELETE). One that stops without a word is *lost*, never live.

use annotation::id::FeedId;
use link::frame::FeedState;
use link::wire as to_engine;
use sfu::{Grants, PeerKind, VideoCodec, Wish};
use tracing::info;

use super::Actor;
use super::resource::{Offering, Resource};
use crate::authorize::{Action, authorize};
use crate::claims::{Claims, TokenId};
use crate::texts::Code;
use crate::wire::{self, server_message};

/// Published feeds of one case at once; each is a decoder in the room's engine.
const PUBLICATIONS_MAX: usize = 4;
/// First SSRC of what goes down the link. The engine's own go the other way and do not meet these.
const SSRC_FIRST: u32 = 0x5300_0000;

/// One published feed.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) token: TokenId,
    expires_unix_s: u64,
    pub(super) role: crate::claims::Role,
    pub(super) resource: String,
    pub(super) media: Resource,
    ssrc: u32,
    /// Known with its first picture.
    codec: Option<VideoCodec>,
    /// Pictures come.
    up: bool,
}

impl Actor {
    /// A camera asks to publish. The same token may come again, as after a break,
    /// and takes the place of what it published before.
    pub(super) fn handle_whip_open(
        &mut self,
        claims: &Claims,
        feed: FeedId,
        resource: String,
        offer: String,
    ) -> Result<Offering, Code> {
        let who = format!("token:{}", claims.id);
        if self.draining.is_some() {
            return Err(Code::ServerStopping);
        }
        self.still_stands(claims.id)?;
        self.entries.take(claims.id, self.now())?;
        let allowed = authorize(claims, &Action::Publish(feed.clone()), &self.case.facts(), self.now());
        let allowed = allowed.map_err(|denied| denied.code()).and_then(|()| self.may_take(claims, &feed));
        if let Err(code) = allowed {
            self.audit(who, claims.role, "whip-start", code.as_str());
            return Err(code);
        }
        // A camera sends; it is shown and told nothing.
        let media = Resource::new(self.next_peer(), PeerKind::Whip { feed: feed.clone() }, Grants::default(), offer);
        info!(case = %self.case.id(), %feed, "a camera publishes");
        self.audit(who, claims.role, "whip-start", "ok");
        self.publications_made += 1;
        let publication = Publication {
            token: claims.id,
            expires_unix_s: claims.expires_unix_s,
            role: claims.role,
            resource,
            media: media.clone(),
            ssrc: SSRC_FIRST + self.publications_made,
            codec: None,
            up: false,
        };
        if let Some(before) = self.publications.insert(feed.clone(), publication) {
            self.tell_ingest(&feed, before.ssrc, before.codec, true);
            let _ = self.around.sfu.remove(before.media.peer);
        }
        Ok(media.offering())
    }

    fn may_take(&self, claims: &Claims, feed: &FeedId) -> Result<(), Code> {
        match self.publications.get(feed) {
            Some(known) if known.token == claims.id => Ok(()),
            Some(_) => Err(Code::FeedTaken),
            None if self.knows(feed) => Err(Code::FeedTaken),
            None if self.publications.len() >= PUBLICATIONS_MAX => Err(Code::CaseFull),
            None => Ok(()),
        }
    }

    /// For good: taken off every list, and out of the composed picture.
    pub(super) fn end_publication(&mut self, feed: &FeedId) {
        let Some(ended) = self.publications.remove(feed) else { return };
        info!(case = %self.case.id(), %feed, "a camera ended");
        self.audit(format!("token:{}", ended.token), ended.role, "whip-end", "ok");
        let _ = self.around.sfu.remove(ended.media.peer);
        self.tell_ingest(feed, ended.ssrc, ended.codec, true);
        let _ = self.around.sfu.forget_feed(self.case.id().clone(), feed.clone());
        self.feeds.retain(|f| f.feed != feed.as_str());
        self.tell_feeds();
        self.send_health();
        self.show_programs();
    }

    pub(super) fn end_expired_publications(&mut self) {
        let now = self.now().to_unix().as_secs();
        let expired: Vec<_> =
            self.publications.iter().filter(|(_, p)| p.expires_unix_s <= now).map(|(feed, _)| feed.clone()).collect();
        for feed in expired {
            self.end_publication(&feed);
        }
    }

    pub(super) fn end_publications_of(&mut self, token: TokenId) {
        let of_token = self.publications.iter().filter(|(_, p)| p.token == token);
        for feed in of_token.map(|(feed, _)| feed.clone()).collect::<Vec<_>>() {
            self.end_publication(&feed);
        }
    }

    pub(super) fn end_publications(&mut self) {
        let all: Vec<_> = self.publications.keys().cloned().collect();
        for feed in all {
            self.end_publication(&feed);
        }
    }

    /// Pictures of a published feed begin or cease.
    pub(super) fn handle_published(&mut self, feed: FeedId, codec: VideoCodec, up: bool) {
        let Some(publication) = self.publications.get_mut(&feed) else { return };
        publication.up = up;
        publication.codec = Some(codec);
        info!(case = %self.case.id(), %feed, ?codec, up, "pictures of a camera");
        if up {
            self.ingest(&feed);
            if !self.knows(&feed) {
                self.feeds.push(self.published_info(&feed));
                self.tell_feeds();
            }
        }
        self.send_health();
        self.show_programs();
    }

    /// To an engine that came up: everything that is published now.
    pub(super) fn ingest_all(&self) {
        for feed in self.publications.iter().filter(|(_, p)| p.up).map(|(feed, _)| feed) {
            self.ingest(feed);
        }
    }

    /// The engine is told first, then packets follow on the media socket.
    fn ingest(&self, feed: &FeedId) {
        let Some(publication) = self.publications.get(feed) else { return };
        let Some(out) = self.around.link.media_out(self.case.id()) else { return };
        self.tell_ingest(feed, publication.ssrc, publication.codec, false);
        let _ = self.around.sfu.tap(self.case.id().clone(), feed.clone(), publication.ssrc, Some(out));
    }

    /// The engine has packets of it and no picture: its camera is asked for a keyframe. The media thread says how often.
    pub(super) fn refresh_published(&self, feed: FeedId) {
        if self.is_published(&feed) {
            let _ = self.around.sfu.refresh_tap(self.case.id().clone(), feed);
        }
    }

    fn tell_ingest(&self, feed: &FeedId, ssrc: u32, codec: Option<VideoCodec>, ended: bool) {
        let Some(codec) = codec else { return };
        if ended {
            let _ = self.around.sfu.tap(self.case.id().clone(), feed.clone(), ssrc, None);
        }
        let info = info_of(feed);
        let info = to_engine::FeedInfo {
            feed: info.feed,
            kind: info.kind,
            name_ja: info.name_ja,
            name_en: info.name_en,
            curtain: info.curtain,
            ..Default::default()
        };
        let codec = match codec {
            VideoCodec::H264 => "H264",
            VideoCodec::Vp8 => "VP8",
        };
        self.around.link.ingest(self.case.id(), to_engine::Ingest { feed: Some(info), ssrc, codec: codec.into(), ended });
    }

    pub(super) fn is_published(&self, feed: &FeedId) -> bool {
        self.publications.contains_key(feed)
    }

    /// For the list of feeds: those that have shown a picture, and that the engine does not list itself.
    pub(super) fn published_infos(&self) -> Vec<wire::FeedInfo> {
        self.publications.iter().filter(|(_, p)| p.codec.is_some()).map(|(feed, _)| self.published_info(feed)).collect()
    }

    fn published_info(&self, feed: &FeedId) -> wire::FeedInfo {
        wire::FeedInfo { masked: self.is_masked(feed), ..info_of(feed) }
    }

    /// Of published feeds that the engine says nothing about.
    pub(super) fn published_health(&self) -> Vec<wire::FeedHealth> {
        let told = |feed: &FeedId| self.health.iter().any(|f| f.feed == feed.as_str());
        let health = |(feed, p): (&FeedId, &Publication)| wire::FeedHealth {
            feed: feed.to_string(),
            state: if p.up { FeedState::Live } else { FeedState::Lost } as i32,
            ..Default::default()
        };
        self.publications.iter().filter(|(feed, p)| p.codec.is_some() && !told(feed)).map(health).collect()
    }

    /// What a slot shows: where no engine has ever composed a program, the first published feed stands in for it.
    pub(super) fn shown(&self, what: Option<&Wish>) -> Option<Wish> {
        let what = what.filter(|wish| !self.is_covered(&wish.feed))?;
        if what.feed != FeedId::program() || self.engine.has_been_up() {
            return Some(what.clone());
        }
        if self.case.curtain().drawn || self.awaits_engine() {
            return None;
        }
        let first = self.publications.iter().find(|(_, p)| p.up).or(self.publications.iter().find(|(_, p)| p.codec.is_some()));
        Some(
            first.map_or_else(
                || what.clone(),
                |(feed, _)| Wish { width: what.width, smooth: what.smooth, ..Wish::of(feed.clone()) },
            ),
        )
    }

    /// What stands for the program has changed.
    pub(super) fn show_programs(&self) {
        for (epoch, page) in &self.pages {
            let Some(peer) = page.peer else { continue };
            for (slot, what) in page.selection.iter().enumerate() {
                if what.as_ref().is_some_and(|wish| wish.feed == FeedId::program()) {
                    let _ = self.around.sfu.assign(peer, slot as u8, self.shown(what.as_ref()));
                }
            }
            self.tell_selection(*epoch);
        }
    }

    fn tell_feeds(&self) {
        self.tell_all(server_message::Body::Feeds(wire::FeedList { feeds: self.feeds.clone() }));
    }
}

fn info_of(feed: &FeedId) -> wire::FeedInfo {
    wire::FeedInfo {
        feed: feed.to_string(),
        kind: "published".into(),
        name_ja: format!("追加映像 {feed}"),
        name_en: format!("Camera {feed}"),
        // Whoever brought it into the room points it where they like.
        curtain: true,
        ..Default::default()
    }
}
