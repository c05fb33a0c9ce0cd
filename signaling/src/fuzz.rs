//! Bodies of the fuzz targets: plain functions that must not panic on any bytes. Replayed by the tests with seeds, grown with
//! `cargo fuzz` where a nightly exists.

use std::collections::BTreeMap;

use annotation::baton::Drawers;
use annotation::id::{Author, Epoch, Order};
use annotation::sheet::Sheets;
use annotation::time::CaptureTime;
use annotation::wire::{InkPacket, Snapshot, op::Body};
use link::id::CaseId;
use prost::Message;

use crate::ink_room::{InkEffect, InkRights, InkRoom};
use crate::stills::Stills;

/// The room, the lead, one without the pen, one who may not draw at all.
const PEOPLE: u32 = 4;

/// `ink_packets`: any bytes as packets of any of four pages, through decoder, limits, sequencer and fan-out. What a page says
/// changes nothing that is not its own, and every page that is told everything has the same ink.
pub fn ink_packets(bytes: &[u8]) {
    let Ok(case) = CaseId::parse("demo") else { return };
    let drawers = Drawers { lead: Some(Author(2)), people: (1..PEOPLE).map(Author).collect() };
    let mut room = InkRoom::new(case, Vec::new(), drawers);
    let mut now = CaptureTime(0xEE00_0000_0000_0000);
    let mut replicas: BTreeMap<Epoch, Sheets> = BTreeMap::new();
    for person in 1..=PEOPLE {
        let rights = InkRights { author: Author(person), may_draw: person != 4, is_room: person == 1 };
        room.handle_join(Epoch(person), rights, now);
        replicas.insert(Epoch(person), Sheets::default());
    }
    let mut rest = bytes;
    while let [who, length, tail @ ..] = rest {
        let (packet, after) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = after;
        now = CaptureTime(now.0 + (1 << 26) * u64::from(*who));
        let page = Epoch(u32::from(who % PEOPLE as u8) + 1);
        if who & 0x80 != 0
            && let Ok(annotation::wire::Op { body: Some(Body::Rebase(rebase)), .. }) = annotation::wire::Op::decode(packet)
        {
            room.handle_rebase(rebase, now);
        }
        let _ = room.handle_bytes(page, packet, now);
        if room.poll_timeout().is_some_and(|at| at <= now) {
            room.handle_timeout(now);
        }
        settle(&mut room, &mut replicas, now);
    }
    for (page, replica) in &replicas {
        if replica.applied() == room.sheets().applied() {
            assert_eq!(replica.state_hash(), room.sheets().state_hash(), "page {} differs", page.0);
        }
    }
}

/// The disk is quick and the lines are good.
fn settle(room: &mut InkRoom, replicas: &mut BTreeMap<Epoch, Sheets>, now: CaptureTime) {
    let mut effects = 0;
    while let Some(effect) = room.poll_effect() {
        effects += 1;
        assert!(effects < 10_000, "one packet made {effects} things to do");
        match effect {
            InkEffect::Store(ops) => {
                for op in ops.iter().filter_map(|o| o.op.as_ref()) {
                    let by_person = (1..=PEOPLE).contains(&op.author) && op.author == op.epoch;
                    assert!(by_person || (op.author, op.epoch) == (0, 0), "an op of nobody");
                }
                room.handle_stored(Order(ops.last().map_or(0, |o| o.order)), now);
            }
            InkEffect::Send { page, packet } => {
                let Ok(packet) = InkPacket::decode(packet) else { panic!("the server's own packet does not read") };
                let Some(replica) = replicas.get_mut(&page) else { continue };
                for op in &packet.ordered {
                    let _ = replica.handle_op(op);
                }
            }
            InkEffect::Snapshot { page, piece } => {
                let Ok(piece) = Snapshot::decode(piece) else { panic!("the server's own snapshot does not read") };
                let Some(replica) = replicas.get_mut(&page) else { continue };
                replica.handle_snapshot(&piece.ops, Order(if piece.last { piece.up_to } else { 0 }));
            }
            InkEffect::Audit { .. } | InkEffect::Anchor(_) | InkEffect::Pen | InkEffect::Keep { .. } => {}
        }
    }
}

/// `still_pieces`: any bytes as pieces of stills; what is kept stays within its bounds.
pub fn still_pieces(bytes: &[u8]) {
    let mut stills: Stills<()> = Stills::default();
    let mut rest = bytes;
    while let [length, tail @ ..] = rest {
        let (piece, after) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = after;
        if let Ok(piece) = link::wire::StillPiece::decode(piece) {
            let _ = stills.handle_piece(piece, |still| still.width % 2 == 1);
        }
    }
    let (kept, bytes, _) = stills.counts();
    assert!(kept <= crate::stills::STILLS_MAX && bytes <= crate::stills::STILLS_BYTES_MAX, "{kept} stills, {bytes} bytes");
}
