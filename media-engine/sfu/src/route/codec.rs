//! Where a picture that needs no other begins.

use crate::api::VideoCodec;

/// True for the packet at which a decoder that knows nothing can begin: H.264: one that begins a sequence parameter set or
/// the first slice of an IDR picture; VP8: the first of a key frame.
pub(crate) fn begins_keyframe(codec: VideoCodec, payload: &[u8]) -> bool {
    match codec {
        VideoCodec::H264 => h264_begins(payload),
        VideoCodec::Vp8 => vp8_begins(payload),
    }
}

const IDR: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// Whether a decoder can begin with this NAL unit, of which the type and the first byte after the header are known. A picture in many slices
/// begins with the one of macroblock 0: a single set bit. Source: ITU-T H.264 §7.3.3 (`first_mb_in_slice`), §9.1 (`ue(v)`).
fn unit_begins(kind: u8, after: Option<&u8>) -> bool {
    kind & 0x1F == SPS || kind & 0x1F == IDR && after.is_some_and(|b| b & 0x80 != 0)
}

/// Source: RFC 6184 §5.4 (packet types), §5.7.1 (STAP-A), §5.8 (FU-A).
fn h264_begins(payload: &[u8]) -> bool {
    let Some(first) = payload.first() else { return false };
    match first & 0x1F {
        IDR | SPS => unit_begins(*first, payload.get(1)),
        STAP_A => {
            let mut rest = &payload[1..];
            while let [high, low, after @ ..] = rest {
                let size = usize::from(u16::from_be_bytes([*high, *low]));
                let Some(unit) = after.get(..size).filter(|u| !u.is_empty()) else { return false };
                if unit_begins(unit[0], unit.get(1)) {
                    return true;
                }
                rest = &after[size..];
            }
            false
        }
        FU_A => payload.get(1).is_some_and(|fu| fu & 0x80 != 0 && unit_begins(*fu, payload.get(2))),
        _ => false,
    }
}

/// Source: RFC 7741 §4.3 (payload header).
fn vp8_begins(payload: &[u8]) -> bool {
    let Some(&first) = payload.first() else { return false };
    // Start of the first partition.
    if first & 0x10 == 0 || first & 0x0F != 0 {
        return false;
    }
    vp8_descriptor(payload).and_then(|at| payload.get(at)).is_some_and(|p| p & 0x01 == 0)
}

/// How many bytes of a packet of VP8 come before the picture's own. Source: RFC 7741 §4.2.
pub(crate) fn vp8_descriptor(payload: &[u8]) -> Option<usize> {
    if payload.first()? & 0x80 == 0 {
        return Some(1);
    }
    let extension = payload.get(1)?;
    let mut at = 2;
    if extension & 0x80 != 0 {
        at += if payload.get(at)? & 0x80 != 0 { 2 } else { 1 };
    }
    at += usize::from(extension & 0x40 != 0) + usize::from(extension & 0x30 != 0);
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn h264(payload: &[u8]) -> bool {
        begins_keyframe(VideoCodec::H264, payload)
    }

    #[test]
    fn parameter_sets_and_idr_slices_begin_a_keyframe() {
        assert!(h264(&[0x67, 0x42, 0xE0, 0x1F]));
        assert!(h264(&[0x65, 0x88]));
        assert!(h264(&[0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xCE]), "STAP-A with SPS, PPS");
        assert!(h264(&[0x78, 0, 1, 0x09, 0, 2, 0x65, 0x88]), "STAP-A with delimiter, IDR");
        assert!(h264(&[0x7C, 0x85, 0x88]), "first fragment of an IDR slice");
    }

    #[test]
    fn of_a_picture_in_many_slices_only_the_first_begins_it() {
        for later in [&[0x65, 0x48][..], &[0x78, 0, 2, 0x65, 0x48], &[0x7C, 0x85, 0x48], &[0x65], &[0x7C, 0x85]] {
            assert!(!h264(later), "{later:?}");
        }
    }

    #[test]
    fn other_packets_do_not() {
        assert!(!h264(&[0x41, 0x9A]), "a predicted slice");
        assert!(!h264(&[0x68, 0xCE]), "PPS alone");
        assert!(!h264(&[0x7C, 0x05, 0x88]), "a later fragment of an IDR slice");
        assert!(!h264(&[0x7C, 0x81, 0x88]), "first fragment of a predicted slice");
        assert!(!h264(&[]));
        assert!(!h264(&[0x78, 0xFF, 0xFF, 0x67]), "STAP-A that lies about its size");
    }

    #[test]
    fn vp8_key_frames_are_found_behind_any_descriptor() {
        let vp8 = |p: &[u8]| begins_keyframe(VideoCodec::Vp8, p);
        assert!(vp8(&[0x10, 0x10]));
        assert!(!vp8(&[0x10, 0x11]), "a predicted frame");
        assert!(!vp8(&[0x00, 0x10]), "not the start of a partition");
        assert!(vp8(&[0x90, 0x80, 0x81, 0x23, 0x10]), "with a 15-bit picture id");
        assert!(vp8(&[0x90, 0xE0, 0x12, 0x01, 0x20, 0x10]), "with everything");
        assert!(!vp8(&[0x90, 0x80]));
    }
}
