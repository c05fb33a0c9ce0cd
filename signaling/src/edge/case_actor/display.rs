//! The ink on the room's own display, which its engine paints: to the ink room the display is one page more, that only looks. What the
//! engine's queue does not take is repeated by the ink room; a snapshot that was not taken whole is begun anew.

use annotation::INK_VERSION;
use annotation::id::{Author, Epoch};
use annotation::time::CaptureTime;
use annotation::wire::InkPacket;
use bytes::Bytes;
use link::wire::{InkAuthor, InkAuthors, InkHeard, InkPointer, InkShown};
use prost::Message;
use tracing::{debug, info};

use super::Actor;
use crate::authorize::Phase;
use crate::ink_room::InkRights;

/// No page has this number: it is the engine's.
pub(super) const DISPLAY: Epoch = Epoch(0);
/// Strokes under pens that one word may confirm.
const ACKS_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Display {
    there: bool,
    /// A piece of the snapshot, or the authors, were not taken.
    torn: bool,
    /// It is there, and the case has ended: it begins anew when that is taken back.
    waits: bool,
}

impl Actor {
    /// The engine's word: it has a display without ink, or how far that is.
    pub(super) fn handle_display_ink(&mut self, heard: InkHeard) {
        let now = self.now();
        if *self.phase.borrow() == Phase::Ended {
            self.end_ink_of_display();
            self.display.waits |= heard.join;
            return;
        }
        if heard.join {
            info!(case = %self.case.id(), "the room's display takes ink");
            self.begin_display();
            return;
        }
        if !self.display.there {
            return;
        }
        // Only what a display may say: of its ops and strokes nothing is taken.
        let live_acks = heard.live_acks.into_iter().take(ACKS_MAX).collect();
        let packet = InkPacket { version: INK_VERSION, have_order: heard.have_order, live_acks, ..Default::default() };
        if let Err(fault) = self.ink.handle_bytes(DISPLAY, &packet.encode_to_vec(), now) {
            debug!(case = %self.case.id(), %fault, "the display's word on ink is not taken");
        }
    }

    fn begin_display(&mut self) {
        let now = self.now();
        self.ink.handle_leave(DISPLAY, now);
        self.display = Display { there: true, ..Display::default() };
        self.show_authors();
        self.ink.handle_join(DISPLAY, InkRights { author: Author(0), may_draw: false, is_room: false }, now);
    }

    /// The engine is gone.
    pub(super) fn end_display(&mut self) {
        self.display = Display::default();
        let now = self.now();
        self.ink.handle_leave(DISPLAY, now);
    }

    /// The case is over: nothing drawn in it stands anywhere.
    pub(super) fn end_ink_of_display(&mut self) {
        let Display { there: was_there, waits, .. } = self.display;
        self.end_display();
        self.display.waits = was_there || waits;
        if was_there {
            let _ = self.around.link.show_ink(self.case.id(), InkShown { over: true, ..Default::default() });
        }
    }

    /// The end was taken back.
    pub(super) fn begin_display_again(&mut self) {
        if self.display.waits {
            self.begin_display();
        }
    }

    /// At each tick: what tore is begun anew.
    pub(super) fn mend_display(&mut self) {
        if self.display.there && self.display.torn {
            self.begin_display();
        }
    }

    /// Whose ink has which texture, and the names beside it.
    pub(super) fn show_authors(&mut self) {
        if !self.display.there {
            return;
        }
        let textures = self.ink.textures();
        let author = |p: &crate::case::Profile| InkAuthor {
            author: p.author.0,
            texture: textures.of(p.author).map_or(0, |n| n as u32 + 1),
            family_ja: p.family_ja.clone(),
            family_en: p.family_en.clone(),
        };
        let authors = self.case.sheet().people.iter().map(author).collect();
        let taken = self.show(InkShown { authors: Some(InkAuthors { authors }), ..Default::default() });
        self.display.torn |= !taken;
    }

    pub(super) fn show_snapshot(&mut self, piece: Bytes) {
        let taken = self.show(InkShown { snapshot: piece.into(), ..Default::default() });
        self.display.torn |= !taken;
    }

    /// One that is not taken comes again, until it is confirmed.
    pub(super) fn show_packet(&mut self, packet: Bytes) {
        let _ = self.show(InkShown { packet: packet.into(), ..Default::default() });
    }

    /// Where somebody points; one that is not taken is followed by the next.
    pub(super) fn show_pointer(&self, of: &crate::wire::Pointer, at: CaptureTime) {
        if self.display.there {
            let (author, feed, x, y, shown, number) = (of.author, of.feed.clone(), of.x, of.y, of.shown, of.number);
            let pointer = InkPointer { author, feed, x, y, shown, number, at: at.0 };
            let _ = self.show(InkShown { pointer: Some(pointer), ..Default::default() });
        }
    }

    fn show(&self, ink: InkShown) -> bool {
        self.around.link.show_ink(self.case.id(), ink)
    }
}
