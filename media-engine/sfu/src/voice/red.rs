//! Redundant audio (RED): for a listener who does not take it, the newest block alone.

use std::ops::Range;

/// Where the primary (newest) block is in a RED payload; `None` for what is not RED. Source: RFC 2198 §3.
pub(crate) fn primary(payload: &[u8]) -> Option<Range<usize>> {
    let mut at = 0;
    let mut redundant = 0;
    loop {
        let first = *payload.get(at)?;
        if first & 0x80 == 0 {
            let start = at + 1 + redundant;
            return (start < payload.len()).then_some(start..payload.len());
        }
        let header = payload.get(at..at + 4)?;
        redundant += usize::from(u16::from_be_bytes([header[2], header[3]]) & 0x03FF);
        at += 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_block_is_found_behind_the_older_ones() {
        // One older block of two bytes, then the primary of three.
        let payload = [0x80 | 111, 0, 0, 2, 111, 9, 9, 1, 2, 3];
        assert_eq!(primary(&payload), Some(7..10));
        assert_eq!(primary(&[111, 5]), Some(1..2), "no older block");
    }

    #[test]
    fn lies_about_lengths_are_refused() {
        assert_eq!(primary(&[]), None);
        assert_eq!(primary(&[0x80 | 111, 0, 3, 0xFF, 111, 1]), None);
        assert_eq!(primary(&[0xFF; 64]), None);
        assert_eq!(primary(&[111]), None);
    }
}
