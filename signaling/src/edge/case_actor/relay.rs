//! The relay's user names end by themselves; pages are given others before they do.

use annotation::id::Epoch;
use annotation::time::CaptureTime;

use super::Actor;
use crate::authorize::Action;
use crate::wire::{IceServer, IceServers, server_message};

impl Actor {
    /// What this page may use now where no UDP gets out.
    pub(super) fn relays(&self, epoch: Epoch, now: CaptureTime) -> Vec<IceServer> {
        let turn = self.around.turn.iter().filter(|_| self.case.may(epoch, &Action::Attend, now).is_ok());
        turn.map(|turn| turn.server(now.to_unix().as_secs(), self.case.id(), u64::from(epoch.0))).collect()
    }

    /// Pages that are there are given another name at half of its time; one that comes back has got it with its welcome.
    pub(super) fn renew_relays(&mut self, now: CaptureTime) {
        let Some(after) = self.around.turn.as_ref().map(|turn| turn.renew_after()) else { return };
        let due: Vec<Epoch> =
            self.pages.iter_mut().filter_map(|(epoch, page)| page.poll_relays(now, after).then_some(*epoch)).collect();
        for epoch in due {
            let servers = self.relays(epoch, now);
            self.tell(epoch, server_message::Body::IceServers(IceServers { servers }));
        }
    }
}
