//! The room's camera as it is carried out: words to the engine, what the pages are told, the audit.

use annotation::id::Epoch;
use annotation::time::CaptureTime;
use link::wire::{MoveCamera, PtzHealth};
use tracing::{debug, info};

use super::Actor;
use crate::authorize::Action;
use crate::camera::NotMoved;
use crate::wire::{self, server_message};

/// Codes of an engine that pages are told; one that nobody knows is none.
const PROBLEMS: [&str; 3] = ["ptz.silent", "ptz.not-executable", "ptz.unknown-command"];

impl Actor {
    /// The room's switch.
    pub(super) fn handle_allow_camera(&mut self, epoch: Epoch, allowed: bool, at: CaptureTime) {
        // To forbid always passes.
        let allows = allowed && self.case.may(epoch, &Action::AllowCamera, at).is_ok();
        if allows && self.sets_too_often(epoch, at) {
            return;
        }
        match self.case.handle_allow_camera(epoch, allowed, at) {
            Err(denied) => self.refuse(epoch, &Action::AllowCamera, denied),
            Ok(false) => {}
            Ok(true) => {
                info!(case = %self.case.id(), page = epoch.0, allowed, "camera control");
                if !allowed {
                    self.stop_cameras();
                }
                self.audit_page(epoch, if allowed { "camera-allow" } else { "camera-forbid" }, "ok");
                self.tell_state();
            }
        }
    }

    /// A key is held, or was let go.
    pub(super) fn handle_move_camera(&mut self, epoch: Epoch, word: &wire::MoveCamera, at: CaptureTime) {
        if !self.feeds.iter().any(|f| f.ptz && f.feed == word.feed) {
            debug!(page = epoch.0, "a word to a camera that cannot be turned");
            return;
        }
        let still = (word.pan, word.tilt, word.zoom) == (0, 0, 0);
        match self.case.handle_move_camera(epoch, still, at) {
            Ok(moved) => {
                let cut = |n: i32| n.clamp(-100, 100);
                let (pan, tilt, zoom) = (cut(word.pan), cut(word.tilt), cut(word.zoom));
                if !self.around.link.move_camera(self.case.id(), MoveCamera { feed: word.feed.clone(), pan, tilt, zoom }) {
                    debug!(page = epoch.0, "no engine took the word; the camera stops by itself");
                }
                if moved.first {
                    self.audit_page(epoch, "camera-move", "ok");
                }
                if moved.first || still {
                    self.tell_state();
                }
            }
            Err(NotMoved::Denied(denied)) => self.refuse(epoch, &Action::MoveCamera, denied),
            Err(NotMoved::Code(code)) => self.refuse_camera(epoch, code),
            Err(NotMoved::TooFast) => {}
        }
    }

    /// Told and written once a second: a held key says the same ten times.
    fn refuse_camera(&mut self, epoch: Epoch, code: crate::texts::Code) {
        let now = self.now();
        let Some(page) = self.pages.get_mut(&epoch) else { return };
        if page.refusal_written.is_none_or(|written| now.since(written) > std::time::Duration::from_secs(1)) {
            page.refusal_written = Some(now);
            self.tell(epoch, server_message::Body::Refused(code.refused(false)));
            self.audit_page(epoch, Action::MoveCamera.as_str(), code.as_str());
        }
    }

    /// The room lets it no longer, or has drawn the curtain.
    pub(super) fn stop_cameras(&self) {
        for f in self.feeds.iter().filter(|f| f.ptz) {
            let _ = self.around.link.move_camera(self.case.id(), MoveCamera { feed: f.feed.clone(), ..Default::default() });
        }
    }

    /// The page is gone.
    pub(super) fn let_camera_go(&mut self, epoch: Epoch) {
        if self.case.camera.handle_let_go(epoch) {
            self.stop_cameras();
            self.tell_state();
        }
    }

    pub(super) fn handle_camera_tick(&mut self) {
        if self.case.camera.handle_time(self.now()) {
            self.tell_state();
        }
    }

    /// What the engine says of its cameras: the first trouble is told.
    pub(super) fn handle_cameras(&mut self, cameras: &[PtzHealth]) {
        let said = cameras.iter().find_map(|c| PROBLEMS.iter().find(|known| **known == c.problem)).copied().unwrap_or_default();
        if self.camera_problem != said {
            info!(case = %self.case.id(), problem = said, "the room's camera");
            self.camera_problem = said;
            self.tell_state();
        }
    }
}
