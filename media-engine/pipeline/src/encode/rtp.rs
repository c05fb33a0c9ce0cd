//! What the engine reads and rewrites in RTP packets of H.264 and VP8. Pure. Sources: RFC 3550 §5.1, RFC 6184 §5, RFC 7741 §4.

pub const HEADER_BYTES: usize = 12;
/// The three bytes of profile-level-id 42e01f: profile_idc, constraint flags 0 to 2, level_idc.
const BASELINE: u8 = 0x42;
const CONSTRAINTS: u8 = 0xE0;
const LEVEL_3_1: u8 = 31;

/// The last packet of a frame?
pub fn marker(packet: &[u8]) -> bool {
    packet.get(1).is_some_and(|b| b & 0x80 != 0)
}

/// Sets timestamp and SSRC. False when this is no RTP packet as our payloader makes them (version 2, no CSRC, no extension).
pub fn rewrite(packet: &mut [u8], timestamp: u32, ssrc: u32) -> bool {
    if packet.len() <= HEADER_BYTES || packet[0] != 0x80 {
        return false;
    }
    packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
    packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
    true
}

pub fn set_sequence(packet: &mut [u8], sequence: u16) {
    if let Some(field) = packet.get_mut(2..4) {
        field.copy_from_slice(&sequence.to_be_bytes());
    }
}

/// Does this packet carry (a part of) an IDR picture, or its parameter sets?
pub fn belongs_to_keyframe(packet: &[u8]) -> bool {
    nal_units(packet).any(|(kind, _)| matches!(kind, 5 | 7))
}

/// Is this the first packet of a VP8 key frame, as our payloader makes them (no extension but perhaps a picture id)?
pub fn begins_vp8_keyframe(packet: &[u8]) -> bool {
    let Some(&first) = packet.get(HEADER_BYTES) else { return false };
    // S set, partition 0.
    if first & 0x1F != 0x10 {
        return false;
    }
    let mut at = HEADER_BYTES + 1;
    if first & 0x80 != 0 {
        let Some(&extension) = packet.get(at) else { return false };
        at += 1;
        if extension & 0x80 != 0 {
            at += if packet.get(at).is_some_and(|id| id & 0x80 != 0) { 2 } else { 1 };
        }
        at += usize::from(extension & 0x40 != 0) + usize::from(extension & 0x30 != 0);
    }
    packet.get(at).is_some_and(|p| p & 1 == 0)
}

/// Type and place of each NAL unit that begins in this packet. A later fragment of one yields nothing.
fn nal_units(packet: &[u8]) -> impl Iterator<Item = (u8, std::ops::Range<usize>)> {
    const STAP_A: u8 = 24;
    const FU_A: u8 = 28;
    let mut units = Vec::with_capacity(4);
    if let Some(&first) = packet.get(HEADER_BYTES) {
        match first & 0x1F {
            STAP_A => {
                let mut at = HEADER_BYTES + 1;
                while let Some(size) = packet.get(at..at + 2) {
                    let size = usize::from(u16::from_be_bytes([size[0], size[1]]));
                    let Some(unit) = packet.get(at + 2..at + 2 + size).filter(|u| !u.is_empty()) else { break };
                    units.push((unit[0] & 0x1F, at + 2..at + 2 + size));
                    at += 2 + size;
                }
            }
            FU_A => {
                if let Some(&head) = packet.get(HEADER_BYTES + 1)
                    && head & 0x80 != 0
                {
                    units.push((head & 0x1F, HEADER_BYTES..packet.len()));
                }
            }
            kind => units.push((kind, HEADER_BYTES..packet.len())),
        }
    }
    units.into_iter()
}

/// Makes profile, constraints and level of every sequence parameter set of the packet those of profile-level-id 42e01f: a decoder
/// may insist that both agree. Encoders write 42c0 and the least level that fits. What conforms to Baseline conforms to
/// Extended too, so the third constraint may be claimed; raising a level is always true. Source: H.264 §7.4.2.1.1, A.2.
pub fn pin_profile_level(packet: &mut [u8]) {
    let places: Vec<usize> =
        nal_units(packet).filter(|(kind, unit)| *kind == 7 && unit.len() > 4).map(|(_, unit)| unit.start + 1).collect();
    for at in places {
        if packet[at] == BASELINE && packet[at + 1] & 0xC0 == 0xC0 {
            packet[at + 1] = CONSTRAINTS;
        }
        if packet[at + 2] < LEVEL_3_1 {
            packet[at + 2] = LEVEL_3_1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(payload: &[u8]) -> Vec<u8> {
        let mut p = vec![0x80, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        p.extend_from_slice(payload);
        p
    }

    #[test]
    fn keyframes_are_seen_single_aggregated_and_fragmented() {
        assert!(belongs_to_keyframe(&packet(&[0x65, 1, 2])));
        assert!(!belongs_to_keyframe(&packet(&[0x41, 1, 2])));
        assert!(belongs_to_keyframe(&packet(&[24, 0, 2, 0x67, 0x42, 0, 2, 0x68, 9])));
        assert!(!belongs_to_keyframe(&packet(&[24, 0, 2, 0x06, 1, 0, 2, 0x41, 9])));
        assert!(belongs_to_keyframe(&packet(&[0x7C, 0x85, 1])), "first fragment of an IDR");
        assert!(!belongs_to_keyframe(&packet(&[0x7C, 0x05, 1])), "a later fragment names no picture");
    }

    #[test]
    fn vp8_keyframes_are_seen_by_their_first_packet() {
        assert!(begins_vp8_keyframe(&packet(&[0x10, 0x50, 1])));
        assert!(!begins_vp8_keyframe(&packet(&[0x10, 0x51, 1])), "an inter frame");
        assert!(!begins_vp8_keyframe(&packet(&[0x00, 0x50, 1])), "a later packet");
        assert!(begins_vp8_keyframe(&packet(&[0x90, 0x80, 0x81, 0x02, 0x50])), "behind a long picture id");
        assert!(!begins_vp8_keyframe(&packet(&[0x90, 0x80])) && !begins_vp8_keyframe(&[]));
    }

    #[test]
    fn profile_and_level_are_set_in_place_and_only_in_the_parameter_set() {
        let mut p = packet(&[24, 0, 5, 0x67, 0x42, 0xC0, 30, 9, 0, 5, 0x68, 0x42, 0xC0, 30, 9]);
        pin_profile_level(&mut p);
        assert_eq!(&p[HEADER_BYTES + 3..], &[0x67, 0x42, 0xE0, 31, 9, 0, 5, 0x68, 0x42, 0xC0, 30, 9]);
        let mut single = packet(&[0x67, 0x42, 0xC0, 40, 9]);
        pin_profile_level(&mut single);
        assert_eq!(single[HEADER_BYTES + 3], 40, "a level above is left for the validation of sizes");
        let mut other = packet(&[0x67, 0x4D, 0x40, 31, 9]);
        pin_profile_level(&mut other);
        assert_eq!(&other[HEADER_BYTES + 1..], &[0x4D, 0x40, 31, 9], "another profile keeps its constraints");
    }

    #[test]
    fn headers_are_rewritten_and_nonsense_is_refused() {
        let mut p = packet(&[0x41, 1]);
        assert!(rewrite(&mut p, 0xAABB_CCDD, 0x1122_3344));
        set_sequence(&mut p, 0x0102);
        assert_eq!(&p[2..12], &[1, 2, 0xAA, 0xBB, 0xCC, 0xDD, 0x11, 0x22, 0x33, 0x44]);
        assert!(!rewrite(&mut [0x80; 12], 1, 1));
        assert!(!rewrite(&mut [], 1, 1));
        for cut in 0..20 {
            let whole = packet(&[24, 0, 200, 0x67]);
            let _ = belongs_to_keyframe(&whole[..cut.min(whole.len())]);
        }
    }
}
