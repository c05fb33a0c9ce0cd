//! Between the ink room and the channels, the socket and the disk.

use std::time::Duration;

use annotation::id::Epoch;
use annotation::time::CaptureTime;
use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint};
use sfu::Channel;
use tracing::{debug, info};

use super::Actor;
use super::display::DISPLAY;
use crate::edge::store::Command;
use crate::ink_room::{InkAct, InkEffect, InkFault};
use crate::texts::Code;
use crate::wire::server_message;

/// Fields of ServerMessage, for wrapping bytes that are encoded already.
const FIELD_INK: u32 = 8;
const FIELD_SNAPSHOT: u32 = 9;

impl Actor {
    /// An encoded InkPacket of a page. `by_channel`: it came on the data channel, and so answers go there.
    pub(super) fn handle_ink(&mut self, epoch: Epoch, bytes: &[u8], by_channel: bool, at: CaptureTime) {
        if self.is_choked() {
            return;
        }
        let Some(page) = self.pages.get_mut(&epoch) else { return };
        page.ink_by_channel = by_channel;
        if let Err(fault) = self.ink.handle_bytes(epoch, bytes, at) {
            debug!(page = epoch.0, %fault, "ink that is not taken");
            let code = match fault {
                InkFault::OtherCase => Code::InkOtherCase,
                InkFault::TooFast | InkFault::TooManyRefused => Code::InkTooFast,
                _ => Code::InkMalformed,
            };
            if page.ink_fault_told.is_none_or(|told| at.since(told) > Duration::from_secs(1)) {
                page.ink_fault_told = Some(at);
                page.mailbox.send(server_message::Body::Refused(code.refused(false)));
            }
        }
    }

    /// Takes everything out of the ink room. Called after every change of it.
    pub(super) fn drain_ink(&mut self) {
        while let Some(effect) = self.ink.poll_effect() {
            match effect {
                InkEffect::Store(ops) => {
                    let command = Command::Ops { case: self.case.id().clone(), ops, stored: self.stored.clone() };
                    self.hand_to_store(command);
                }
                InkEffect::Send { page: DISPLAY, packet } => self.show_packet(packet),
                InkEffect::Snapshot { page: DISPLAY, piece } => self.show_snapshot(piece),
                InkEffect::Send { page, packet } => self.send_ink(page, packet),
                // Over the socket: it is there before media is, and in order.
                InkEffect::Snapshot { page, piece } => {
                    if let Some(page) = self.pages.get(&page) {
                        page.mailbox.send_bytes(wrapped(FIELD_SNAPSHOT, &piece));
                    }
                }
                InkEffect::Audit { author, act } => {
                    let (act, outcome) = match act {
                        InkAct::Clear => ("clear", "ok"),
                        InkAct::InkOff(true) => ("ink-off", "ok"),
                        InkAct::InkOff(false) => ("ink-on", "ok"),
                        InkAct::Lead => ("pen-lead", "ok"),
                        InkAct::Grant(true) => ("pen-lent", "ok"),
                        InkAct::Grant(false) => ("pen-taken-back", "ok"),
                        InkAct::Refused(code) => ("ink-refused", code),
                    };
                    info!(case = %self.case.id(), author = author.0, act, outcome, "ink");
                    let role = self.case.role_of(author);
                    self.audit(format!("person:{}", author.0), role, act, outcome);
                }
                InkEffect::Anchor(anchor) => self.tell_tracker(anchor),
                InkEffect::Pen => self.take_pen_over(),
                InkEffect::Keep { feed, capture } => self.keep_frame(feed, capture),
            }
        }
    }

    /// Whose pen it is, as the ink's log has it, becomes the list of people's.
    pub(super) fn take_pen_over(&mut self) {
        let textures = self.ink.textures();
        self.case.handle_textures(|author| textures.of(author).map_or(0, |n| n as u32 + 1));
        self.case.handle_pen(self.ink.lead(), self.ink.granted().clone());
        self.people_dirty = true;
        self.show_authors();
    }

    /// What does not fit a queue is repeated by the ink room; nothing here waits.
    fn send_ink(&self, epoch: Epoch, packet: Bytes) {
        let Some(page) = self.pages.get(&epoch) else { return };
        match page.peer.filter(|_| page.ink_by_channel && page.ink_open) {
            Some(peer) => {
                // What it does not confirm may stand in a channel whose timers have backed off.
                if page.away_since.is_none() && self.ink.is_unheard(epoch) {
                    page.mailbox.send_bytes(wrapped(FIELD_INK, &packet));
                }
                let _ = self.around.sfu.send_data(peer, Channel::Ink, packet);
            }
            None if page.away_since.is_none() => page.mailbox.send_bytes(wrapped(FIELD_INK, &packet)),
            None => {}
        }
    }
}

/// A ServerMessage with one length-delimited field, without decoding what is in it.
fn wrapped(field: u32, body: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(body.len() + 8);
    encode_key(field, WireType::LengthDelimited, &mut out);
    encode_varint(body.len() as u64, &mut out);
    out.put_slice(body);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use annotation::wire::{InkPacket, Snapshot};
    use prost::Message;

    use super::*;
    use crate::wire::ServerMessage;

    #[test]
    fn wrapped_bytes_read_as_the_message_they_are() {
        let packet = InkPacket { version: 1, last_order: 9, ..Default::default() };
        let message = ServerMessage::decode(wrapped(FIELD_INK, &packet.encode_to_vec())).expect("reads");
        assert_eq!(message.body, Some(server_message::Body::Ink(packet)));
        let piece = Snapshot { version: 1, up_to: 4, last: true, ..Default::default() };
        let message = ServerMessage::decode(wrapped(FIELD_SNAPSHOT, &piece.encode_to_vec())).expect("reads");
        assert_eq!(message.body, Some(server_message::Body::Snapshot(piece)));
    }
}
