//! The privacy curtain as it is carried out: engine, media thread, pages, audit, disk.

use annotation::id::{Epoch, FeedId};
use annotation::time::CaptureTime;
use tracing::{debug, info};

use super::Actor;
use super::media::FEEDS_MAX;
use crate::authorize::Action;
use crate::edge::store::Command;

impl Actor {
    /// The room's press. Everybody has it before the disk has.
    pub(super) fn handle_curtain(&mut self, epoch: Epoch, drawn: bool, at: CaptureTime) {
        match self.case.handle_curtain(epoch, drawn, at) {
            Err(denied) => self.refuse(epoch, &Action::MoveCurtain, denied),
            Ok(false) => {}
            Ok(true) => {
                info!(case = %self.case.id(), page = epoch.0, drawn, "privacy curtain");
                self.tell_engine_curtain();
                self.stop_cameras();
                self.cover_all();
                self.drop_covered_waiters();
                self.consent.handle_press();
                self.after_voice_change();
                self.audit_page(epoch, if drawn { "curtain-draw" } else { "curtain-lift" }, "ok");
                let (case, curtain) = (self.case.id().clone(), self.case.curtain());
                self.hand_to_store(Command::Curtain { case, curtain });
            }
        }
    }

    /// With every link, at every press, and again when the engine says that it has it otherwise.
    pub(super) fn tell_engine_curtain(&self) {
        if !self.around.link.move_curtain(self.case.id(), self.case.curtain().drawn) {
            debug!(case = %self.case.id(), "no engine took the curtain; it is told with the next link, or its next health");
        }
    }

    /// Nobody is given this feed's own pictures now.
    pub(super) fn is_covered(&self, feed: &FeedId) -> bool {
        self.is_masked(feed) || self.is_behind_curtain(feed)
    }

    /// Nor anything that was made of them.
    pub(super) fn is_behind_curtain(&self, feed: &FeedId) -> bool {
        // A feed that is gone may have been one of those.
        let open = || self.feeds.iter().any(|f| !f.curtain && f.feed == feed.as_str());
        self.case.curtain().drawn && (self.is_published(feed) || !open())
    }

    /// What its publisher sends has no mask on it yet: only the engine is given that. Until the case's engine has said which have
    /// masks, each may have one.
    pub(super) fn is_masked(&self, feed: &FeedId) -> bool {
        self.is_published(feed) && (self.masked.contains(feed) || self.awaits_engine())
    }

    /// An engine is to come, and has not said yet what the case has.
    pub(super) fn awaits_engine(&self) -> bool {
        self.around.engine_expected && !self.engine.has_been_up()
    }

    /// Which published feeds have masks, as the engine says.
    pub(super) fn take_masked(&mut self, masked: &[String]) {
        self.masked = masked.iter().take(FEEDS_MAX).filter_map(|id| FeedId::parse(id).ok()).collect();
    }

    /// After what is covered may have changed: nobody keeps a picture that is not to be seen.
    pub(super) fn cover_all(&mut self) {
        self.cover_players();
        self.show_all();
    }

    /// What is behind the curtain leaves the slots of pages, or comes back to them.
    fn show_all(&self) {
        for (epoch, page) in &self.pages {
            let Some(peer) = page.peer else { continue };
            for (slot, what) in page.selection.iter().enumerate().filter(|(_, what)| what.is_some()) {
                let _ = self.around.sfu.assign(peer, slot as u8, self.shown(what.as_ref()));
            }
            self.tell_selection(*epoch);
        }
    }

    fn cover_players(&mut self) {
        let seen = |player: &super::Player| player.media.watched().is_none_or(|feed| !self.is_covered(feed));
        let seen: Vec<_> = self.players.iter().map(|(resource, player)| (resource.clone(), seen(player))).collect();
        for (resource, see) in seen {
            let Some(player) = self.players.get_mut(&resource) else { continue };
            let grants = player.media.set_see(see);
            let _ = self.around.sfu.set_grants(player.media.peer, grants);
        }
    }
}
