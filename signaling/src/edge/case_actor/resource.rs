//! WHIP and WHEP resources as the case keeps them: whose they are, their ICE session, and later words on them.

use annotation::id::FeedId;
use link::id::LayerId;
use sfu::{Grants, PeerId, PeerKind, PeerStats};
use tokio::sync::oneshot;
use tracing::info;

use super::Actor;
use super::limit::Patches;
use crate::authorize::{Action, authorize};
use crate::claims::{Claims, Role, TokenId};
use crate::ice_session::{Fragment, IceSession, IfMatch, Patch};
use crate::texts::Code;

/// WHEP players of one case at once, and of one link: who has one cannot shut out all the others.
const PLAYERS_MAX: usize = 16;
const PLAYERS_OF_LINK_MAX: usize = 8;
/// Layers that a far engine carries at once.
const CARRIED_MAX: usize = 32;

/// As what a player or camera is to be offered to the media thread.
pub type Offering = (PeerId, PeerKind, Grants);

pub type OfferingReply = oneshot::Sender<Result<Offering, Code>>;

/// On a WHIP or WHEP resource.
#[derive(Debug)]
pub enum ResourceWord {
    /// Is it there?
    Look,
    /// What is its entity-tag?
    Tag,
    Patch {
        if_match: IfMatch,
        fragment: Fragment,
    },
    /// The restart that a Patch asked for has been answered.
    Restarted {
        offer: String,
        candidates: Vec<String>,
    },
    Delete,
}

/// The answer to a [`ResourceWord`].
#[derive(Debug)]
pub enum Ported {
    Done,
    Tag(String),
    /// ICE restarts with this offer; then `Restarted`.
    Restart {
        peer: PeerId,
        kind: PeerKind,
        grants: Grants,
        offer: String,
        candidates: Vec<String>,
    },
}

/// The media side of one resource.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    pub(super) peer: PeerId,
    kind: PeerKind,
    grants: Grants,
    ice: IceSession,
    patches: Patches,
    /// The media path is up.
    pub(super) up: bool,
    pub(super) stats: PeerStats,
    /// What passed in the last second, bit/s, and the bytes so far.
    passed: (f32, u64),
}

/// A WHEP player, or one way of a far engine.
#[derive(Debug)]
pub(super) struct Player {
    pub(super) claims: Claims,
    pub(super) media: Resource,
}

impl Resource {
    pub(super) fn new(peer: PeerId, kind: PeerKind, grants: Grants, offer: String) -> Self {
        Resource {
            peer,
            kind,
            grants,
            ice: IceSession::new(offer),
            patches: Patches::default(),
            up: false,
            stats: PeerStats::default(),
            passed: (0.0, 0),
        }
    }

    /// What a player watches; `None` of a camera and of an engine.
    pub(super) fn watched(&self) -> Option<&FeedId> {
        match &self.kind {
            PeerKind::Whep { feed, .. } => Some(feed),
            _ => None,
        }
    }

    /// Figures of the media thread, once a second.
    fn handle_stats(&mut self, stats: PeerStats) {
        let bytes = if self.watched().is_some() { stats.bytes_out } else { stats.bytes_in };
        self.passed = (bytes.saturating_sub(self.passed.1) as f32 * 8.0, bytes);
        self.stats = stats;
    }

    pub(super) fn kbps(&self) -> f32 {
        self.passed.0 / 1_000.0
    }

    /// Its number in the case: of those that were ever made, pages among them.
    pub(super) fn number(&self) -> u32 {
        self.peer.0 as u32
    }

    pub(super) fn set_see(&mut self, see: bool) -> Grants {
        self.grants.see = see;
        self.grants
    }

    pub(super) fn offering(&self) -> Offering {
        (self.peer, self.kind.clone(), self.grants)
    }
}

impl Actor {
    /// The resource that is this connection.
    fn resource_of(&mut self, peer: PeerId) -> Option<&mut Resource> {
        let players = self.players.values_mut().map(|p| &mut p.media);
        let cameras = self.publications.values_mut().map(|p| &mut p.media);
        players.chain(cameras).find(|media| media.peer == peer)
    }

    pub(super) fn handle_resource_up(&mut self, peer: PeerId) {
        if let Some(media) = self.resource_of(peer) {
            media.up = true;
        }
    }

    pub(super) fn handle_resource_stats(&mut self, peer: PeerId, stats: PeerStats) {
        if let Some(media) = self.resource_of(peer) {
            media.handle_stats(stats);
        }
    }

    pub(super) fn handle_resource_closed(&mut self, peer: PeerId) {
        self.players.retain(|_, player| player.media.peer != peer);
        // A camera that went without a word stays listed, and may come back.
        if let Some(media) = self.resource_of(peer) {
            (media.up, media.stats) = (false, PeerStats::default());
        }
    }

    /// Players and cameras: kind, role, feed, and their media side.
    pub(super) fn resources(&self) -> impl Iterator<Item = (&'static str, Role, &FeedId, &Resource)> {
        let watching = self.players.values().filter_map(|p| Some(("player", p.claims.role, p.media.watched()?, &p.media)));
        let bringing = self.publications.iter().map(|(feed, p)| ("camera", p.role, feed, &p.media));
        watching.chain(bringing)
    }

    pub(super) fn handle_whep_open(
        &mut self,
        claims: Claims,
        feed: FeedId,
        (layer, hear): (&str, bool),
        resource: String,
        offer: String,
    ) -> Result<Offering, Code> {
        let who = format!("token:{}", claims.id);
        let role = claims.role;
        if self.draining.is_some() {
            return Err(Code::ServerStopping);
        }
        self.still_stands(claims.id)?;
        self.entries.take(claims.id, self.now())?;
        if let Err(denied) = authorize(&claims, &Action::Watch(feed.clone()), &self.case.facts(), self.now()) {
            self.audit(who, role, "whep-start", denied.code().as_str());
            return Err(denied.code());
        }
        if self.is_masked(&feed) {
            return Err(Code::FeedMasked);
        }
        // One that names its layer gets that one; else what its line carries.
        let named = !matches!(layer, "" | "auto");
        let layer = self.layer_of(&feed, layer)?;
        let own = self.players.values().filter(|p| p.claims.id == claims.id && p.media.watched().is_some()).count();
        if self.n_players() >= PLAYERS_MAX || own >= PLAYERS_OF_LINK_MAX {
            return Err(Code::CaseFull);
        }
        info!(case = %self.case.id(), %feed, %layer, "a player starts");
        self.audit(who, role, "whep-start", "ok");
        let grants = Grants { see: !self.is_covered(&feed), hear, speak: false };
        let media = Resource::new(self.next_peer(), PeerKind::Whep { feed, layer: named.then_some(layer) }, grants, offer);
        let offering = media.offering();
        self.players.insert(resource, Player { claims, media });
        Ok(offering)
    }

    pub(super) fn n_players(&self) -> usize {
        self.players.values().filter(|p| p.media.watched().is_some()).count()
    }

    /// A far engine wants to carry one of its layers.
    pub(super) fn handle_carry_open(
        &mut self,
        claims: Claims,
        (feed, layer): (FeedId, LayerId),
        resource: String,
        offer: String,
    ) -> Result<Offering, Code> {
        let who = format!("token:{}", claims.id);
        if self.draining.is_some() {
            return Err(Code::ServerStopping);
        }
        let allowed = authorize(&claims, &Action::Compose, &self.case.facts(), self.now()).map_err(|denied| denied.code());
        let full = self.players.len() - self.n_players() >= CARRIED_MAX;
        if let Err(code) = allowed.and(if full { Err(Code::CaseFull) } else { Ok(()) }) {
            self.audit(who, claims.role, "carry-start", code.as_str());
            return Err(code);
        }
        info!(case = %self.case.id(), %feed, %layer, "the far engine carries a layer");
        self.audit(who, claims.role, "carry-start", "ok");
        let media = Resource::new(self.next_peer(), PeerKind::Engine { feed, layer }, Grants::default(), offer);
        let offering = media.offering();
        self.players.insert(resource, Player { claims, media });
        Ok(offering)
    }

    /// The engine is gone, and with it its ways.
    pub(super) fn close_carried(&mut self) {
        let carried = self.players.iter().filter(|(_, p)| p.media.watched().is_none());
        for resource in carried.map(|(resource, _)| resource.clone()).collect::<Vec<_>>() {
            self.close_player(&resource);
        }
    }

    /// A later word on a resource; only its own token has one.
    pub(super) fn handle_resource(&mut self, claims: &Claims, resource: &str, word: ResourceWord) -> Result<Ported, Code> {
        let now = self.now();
        if self.settle_camera(claims, resource, &word) {
            return Ok(Ported::Done);
        }
        let camera = self.publications.iter().find(|(_, p)| p.resource == resource && p.token == claims.id);
        let camera = camera.map(|(feed, _)| feed.clone());
        let player = self.players.get_mut(resource).filter(|player| player.claims.id == claims.id);
        let media = match (&camera, player) {
            (Some(feed), _) => self.publications.get_mut(feed).map(|p| &mut p.media),
            (None, Some(player)) => Some(&mut player.media),
            (None, None) => None,
        };
        let media = media.ok_or(Code::MediaUnknown)?;
        if matches!(word, ResourceWord::Patch { .. }) {
            media.patches.take(now)?;
        }
        // Said after an offer, which carried what was allowed when it was taken in.
        if matches!(word, ResourceWord::Tag | ResourceWord::Restarted { .. }) {
            let _ = self.around.sfu.set_grants(media.peer, media.grants);
        }
        match word {
            ResourceWord::Look => Ok(Ported::Done),
            ResourceWord::Tag => Ok(Ported::Tag(media.ice.tag())),
            ResourceWord::Patch { if_match, fragment } => match media.ice.judge(&if_match, fragment)? {
                Patch::Trickle(candidates) => {
                    let peer = media.peer;
                    self.add_candidates(peer, candidates);
                    Ok(Ported::Done)
                }
                Patch::Restart { offer, candidates } => {
                    let (peer, kind, grants) = media.offering();
                    Ok(Ported::Restart { peer, kind, grants, offer, candidates })
                }
            },
            ResourceWord::Restarted { offer, candidates } => {
                media.ice.handle_restarted(offer);
                let (peer, tag) = (media.peer, media.ice.tag());
                self.add_candidates(peer, candidates);
                Ok(Ported::Tag(tag))
            }
            ResourceWord::Delete => {
                match camera {
                    Some(feed) => self.end_publication(&feed),
                    None => {
                        self.close_player(resource);
                        let what = if claims.role == Role::Engine { "carry-end" } else { "whep-end" };
                        self.audit(format!("token:{}", claims.id), claims.role, what, "ok");
                    }
                }
                Ok(Ported::Done)
            }
        }
    }

    fn add_candidates(&self, peer: PeerId, candidates: Vec<String>) {
        for candidate in candidates {
            let _ = self.around.sfu.add_candidate(peer, candidate);
        }
    }

    pub(super) fn close_players_of(&mut self, token: TokenId) {
        let of_token = self.players.iter().filter(|(_, p)| p.claims.id == token);
        for resource in of_token.map(|(resource, _)| resource.clone()).collect::<Vec<_>>() {
            self.close_player(&resource);
        }
    }

    pub(super) fn close_player(&mut self, resource: &str) {
        if let Some(player) = self.players.remove(resource) {
            let _ = self.around.sfu.remove(player.media.peer);
        }
    }
}
