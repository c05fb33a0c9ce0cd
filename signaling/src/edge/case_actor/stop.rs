//! The end of the server, as a case sees it.

use tracing::warn;

use super::Actor;
use crate::texts::Code;

impl Actor {
    /// The server is about to stop: whoever is in goes on, nobody new comes.
    pub(super) fn drain(&mut self) {
        self.draining = true;
        self.tell_state();
    }

    /// Every page is told, and what was acknowledged goes to the disk.
    pub(super) fn stop(&mut self) {
        for page in self.pages.values() {
            page.mailbox.close(Code::ServerStopping, false);
        }
        for epoch in self.case.epochs() {
            self.audit_page(epoch, "server-stop", "ok");
        }
        self.drain_ink();
        self.consent.forget_when();
        self.keep_voice(self.now());
        self.flush_backlog();
        if !self.backlog.is_empty() {
            warn!(case = %self.case.id(), left = self.backlog.len(), "stopping with commands that the store did not take");
        }
    }
}
