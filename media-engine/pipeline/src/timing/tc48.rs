//! TC48: the time code that is burnt into pictures in measuring mode, and its reader.
//!
//! Blocks of B = width / 40 luma pixels, the first at (B, B), two rows of 32. Row 0: low 32 bits of Unix time in ms at
//! capture, most significant first. Row 1: a 16-bit frame counter, then CRC-16/CCITT-FALSE over those six bytes.
//! White 235 is 1, black 16 is 0; a block reads as the mean of its inner half > 128; a wrong CRC is an unreadable frame.

/// What one frame says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeCode {
    /// Low 32 bits of Unix time at capture, ms, case timeline.
    pub unix_ms: u32,
    pub counter: u16,
}

const COLUMNS: usize = 32;
const WHITE: u8 = 235;
const BLACK: u8 = 16;

/// Burns `code` into the luma plane. `width` must be a multiple of 40 and the plane hold 3 B rows; otherwise the picture
/// is left as it is and false returned.
pub fn encode(luma: &mut [u8], stride: usize, width: usize, code: TimeCode) -> bool {
    let block = width / 40;
    if block == 0 || !width.is_multiple_of(40) || stride < width || luma.len() < 3 * block * stride {
        return false;
    }
    for (row, word) in words(code).into_iter().enumerate() {
        let top = block + row * block;
        for y in top..top + block {
            let line = &mut luma[y * stride + block..y * stride + block + COLUMNS * block];
            for (column, pixels) in line.chunks_exact_mut(block).enumerate() {
                pixels.fill(if word >> (31 - column) & 1 == 1 { WHITE } else { BLACK });
            }
        }
    }
    true
}

/// Reads the code from a luma plane of any size that is a multiple of 40 wide; `None` when the CRC is wrong.
pub fn decode(luma: &[u8], stride: usize, width: usize) -> Option<TimeCode> {
    let block = width / 40;
    if block == 0 || stride < width || luma.len() < 3 * block * stride {
        return None;
    }
    let mut words = [0u32; 2];
    for (row, word) in words.iter_mut().enumerate() {
        for column in 0..COLUMNS {
            let (x, y) = (block + column * block, block + row * block);
            *word = *word << 1 | u32::from(inner_mean(luma, stride, x, y, block) > 128);
        }
    }
    let code = TimeCode { unix_ms: words[0], counter: (words[1] >> 16) as u16 };
    (self::words(code) == words).then_some(code)
}

/// Mean of the inner half of a block, rounded down.
fn inner_mean(luma: &[u8], stride: usize, x: usize, y: usize, block: usize) -> u32 {
    let (from, size) = (block / 4, (block / 2).max(1));
    let sum: u32 = (y + from..y + from + size)
        .flat_map(|row| &luma[row * stride + x + from..row * stride + x + from + size])
        .map(|&p| u32::from(p))
        .sum();
    sum / (size * size) as u32
}

fn words(code: TimeCode) -> [u32; 2] {
    let mut bytes = [0u8; 6];
    bytes[..4].copy_from_slice(&code.unix_ms.to_be_bytes());
    bytes[4..].copy_from_slice(&code.counter.to_be_bytes());
    [code.unix_ms, u32::from(code.counter) << 16 | u32::from(crc16(&bytes))]
}

/// CRC-16/CCITT-FALSE: polynomial 0x1021, initial 0xFFFF, no reflection, no final XOR.
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| if crc & 0x8000 != 0 { crc << 1 ^ 0x1021 } else { crc << 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_ccitt_false() {
        assert_eq!(crc16(b"123456789"), 0x29B1);
    }

    #[test]
    fn what_is_burnt_is_read_at_every_size() {
        for width in [1280usize, 960, 640, 320, 1920, 40] {
            let stride = width + 8;
            let mut luma = vec![90u8; stride * width * 9 / 16 + 8 * stride];
            for (unix_ms, counter) in [(0, 0), (u32::MAX, u16::MAX), (0xA5A5_1234, 54_321)] {
                let code = TimeCode { unix_ms, counter };
                assert!(encode(&mut luma, stride, width, code));
                assert_eq!(decode(&luma, stride, width), Some(code), "{width}");
            }
        }
    }

    #[test]
    fn blocks_lie_where_the_specification_says() {
        let mut luma = vec![90u8; 1280 * 720];
        encode(&mut luma, 1280, 1280, TimeCode { unix_ms: 0x8000_0001, counter: 0 });
        assert_eq!(luma[32 * 1280 + 32], 235, "most significant bit first, at (B, B)");
        assert_eq!(luma[63 * 1280 + 63], 235);
        assert_eq!(luma[32 * 1280 + 64], 16);
        assert_eq!(luma[32 * 1280 + 32 + 31 * 32], 235);
        assert_eq!(luma[31 * 1280 + 32], 90);
        assert_eq!(luma[32 * 1280 + 32 + 32 * 32], 90);
        assert_eq!(luma[64 * 1280 + 32], 16, "the counter's first bit");
    }

    #[test]
    fn a_damaged_code_is_unreadable_and_a_width_off_40_is_refused() {
        let mut luma = vec![90u8; 1280 * 720];
        encode(&mut luma, 1280, 1280, TimeCode { unix_ms: 12345, counter: 7 });
        for y in 32..64 {
            luma[y * 1280 + 32..y * 1280 + 64].fill(235);
        }
        assert_eq!(decode(&luma, 1280, 1280), None);
        assert!(!encode(&mut luma, 1280, 1278, TimeCode { unix_ms: 1, counter: 1 }));
        assert_eq!(decode(&[], 0, 0), None);
    }
}
