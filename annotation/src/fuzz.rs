//! Bodies of the fuzz targets: plain functions that must not panic on any bytes. Replayed by the tests with seeds and
//! the corpus, grown with `cargo fuzz` where a nightly exists (`fuzz/`).

use prost::Message;

use crate::baton::Drawers;
use crate::id::{Author, Epoch, Order};
use crate::sequencer::{InkRights, Sequencer};
use crate::time::CaptureTime;
use crate::wire::op::Body;
use crate::{check, op, wire};

/// `wire_decode`: any bytes as a packet; whatever decodes is checked.
pub fn wire_decode(bytes: &[u8]) {
    let Ok(packet) = wire::InkPacket::decode(bytes) else { return };
    for op in &packet.ops {
        let _ = op::check(op);
    }
    for live in &packet.live {
        let _ = check::live(live);
    }
}

/// `sheet_ops`: any ops from any of four pages, the room among them, and of the engine; replicas fed from the log, and from
/// what a late joiner gets, agree.
pub fn sheet_ops(bytes: &[u8]) {
    let people = (1..=3).map(Author).collect();
    let mut sequencer = Sequencer::new(Vec::new(), Drawers { lead: Some(Author(2)), people });
    let mut now = CaptureTime(1 << 40);
    for piece in bytes.chunks(48) {
        let Ok(mut op) = wire::Op::decode(piece) else { continue };
        let page = Epoch(op.epoch % 4 + 1);
        op.epoch = page.0;
        op.author = page.0;
        let rights = InkRights { author: Author(page.0), may_draw: page.0 != 4, is_room: page.0 == 1 };
        now = CaptureTime(now.0 + (1 << 31));
        match op.body {
            Some(Body::Rebase(rebase)) => drop(sequencer.handle_rebase(rebase, now)),
            _ => drop(sequencer.handle_op(rights, page, op, |_| None, now)),
        }
    }
    sequencer.handle_durable(Order(u64::MAX));
    let mut replica = crate::sheet::Sheets::default();
    for ordered in sequencer.durable_after(Order(0)) {
        if replica.handle_op(ordered).is_err() {
            // The log is ours: a gap in it is our fault, and this is what a fuzz target is for.
            assert_eq!(ordered.order, replica.applied().0 + 1, "a gap in the log");
        }
    }
    assert_eq!(replica.state_hash(), sequencer.sheets().state_hash(), "replicas differ");
    let mut joiner = crate::sheet::Sheets::default();
    joiner.handle_snapshot(&sequencer.compacted(), sequencer.durable());
    assert_eq!(joiner.state_hash(), replica.state_hash(), "a late joiner differs");
}
