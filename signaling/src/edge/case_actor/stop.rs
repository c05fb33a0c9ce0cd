//! The end of the server, as a case sees it.

use tokio::sync::oneshot;
use tracing::warn;

use super::Actor;
use crate::texts::Code;

/// The server is about to stop.
#[derive(Debug)]
pub(super) struct Draining {
    /// Told once, when nobody is in any more.
    last_gone: Option<oneshot::Sender<()>>,
}

impl Actor {
    /// The server is about to stop: whoever is in goes on, nobody new comes.
    pub(super) fn drain(&mut self, last_gone: oneshot::Sender<()>) {
        self.draining = Some(Draining { last_gone: Some(last_gone) });
        self.tell_state();
    }

    /// Is the server waiting for the last to go, and was that the last? Those who broke off and may come back count as here.
    pub(super) fn look_for_last(&mut self) {
        if !self.pages.is_empty() || self.n_players() > 0 {
            return;
        }
        if let Some(gone) = self.draining.as_mut().and_then(|draining| draining.last_gone.take()) {
            let _ = gone.send(());
        }
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
