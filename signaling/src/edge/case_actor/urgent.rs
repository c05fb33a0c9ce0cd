//! What must not wait behind a flood of other words.

use annotation::wire::op::Body;

use crate::claims::Role;
use crate::wire::{ClientMessage, client_message};

/// *Clear* and *ink off*, of the room alone: whoever else says so is refused, and need not be refused at once. Its page's earlier words may still wait;
/// ops are numbered and said again, so none is lost or doubled by it.
pub fn is_urgent(role: Role, message: &ClientMessage) -> bool {
    let Some(client_message::Body::Ink(packet)) = &message.body else { return false };
    role == Role::Room && packet.ops.iter().any(|op| matches!(op.body, Some(Body::ClearAll(_) | Body::InkOff(_))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use annotation::wire::{ClearAll, InkOff, InkPacket, Op, Undo};

    #[test]
    fn an22_clear_and_ink_off_of_the_room_and_nothing_else_go_first() {
        let say = |body: Body| ClientMessage {
            body: Some(client_message::Body::Ink(InkPacket {
                ops: vec![Op { body: Some(body), ..Op::default() }],
                ..InkPacket::default()
            })),
        };
        let [clear, off, undo] =
            [Body::ClearAll(ClearAll::default()), Body::InkOff(InkOff::default()), Body::Undo(Undo::default())].map(say);
        assert!(is_urgent(Role::Room, &clear) && is_urgent(Role::Room, &off));
        assert!(!is_urgent(Role::Room, &undo) && !is_urgent(Role::Room, &ClientMessage::default()));
        assert!(!is_urgent(Role::Mentor, &clear) && !is_urgent(Role::Vendor, &off));
    }
}
