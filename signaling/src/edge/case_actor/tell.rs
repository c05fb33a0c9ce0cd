//! What a case says to its pages, and to the audit.

use annotation::id::Epoch;

use super::Actor;
use crate::authorize::Action;
use crate::claims::Role;
use crate::edge::store::{AuditRow, Command};
use crate::wire::{self, server_message};

impl Actor {
    pub(super) fn tell(&self, epoch: Epoch, body: server_message::Body) {
        if let Some(page) = self.pages.get(&epoch) {
            page.mailbox.send(body);
        }
    }

    pub(super) fn tell_all(&self, body: server_message::Body) {
        self.tell_who(body, |_| true);
    }

    /// Whatever names people goes this way: a vendor's page joins without attending.
    pub(super) fn tell_attending(&self, body: server_message::Body) {
        let now = self.now();
        self.tell_who(body, |epoch| self.case.may(epoch, &Action::Attend, now).is_ok());
    }

    pub(super) fn tell_who(&self, body: server_message::Body, who: impl Fn(Epoch) -> bool) {
        let bytes = bytes::Bytes::from(prost::Message::encode_to_vec(&wire::ServerMessage { body: Some(body) }));
        for (_, page) in self.pages.iter().filter(|(epoch, page)| page.away_since.is_none() && who(**epoch)) {
            page.mailbox.send_bytes(bytes.clone());
        }
    }

    pub(super) fn audit_page(&mut self, epoch: Epoch, act: &'static str, outcome: &'static str) {
        let (Some(author), Some(role)) = (self.case.author(epoch), self.case.role(epoch)) else { return };
        self.audit(format!("person:{} page:{}", author.0, epoch.0), role, act, outcome);
    }

    pub(super) fn audit(&mut self, who: String, role: Role, act: &'static str, outcome: &'static str) {
        self.audit_act(who, role.as_str(), act, outcome);
    }

    pub(super) fn audit_act(&mut self, who: String, role: &'static str, act: &'static str, outcome: &'static str) {
        let row = AuditRow { at: self.now(), case: self.case.id().clone(), who, role, act, outcome };
        self.hand_to_store(Command::Audit(row));
    }
}
