//! Packets of cameras that are too large for a narrow path are cut at the door: how large a camera makes them is not ours to set, and a
//! router that takes 1,300 bytes throws larger ones away without a word. The camera's numbers get room for the pieces. One that has
//! not come yet may have to be cut too, once its camera has sent any that large, so it is kept two places.

use std::collections::BTreeMap;

use super::codec::vp8_descriptor;
use super::rtp::PAYLOAD_BYTES_MAX;
use crate::api::VideoCodec;

/// Largest payload taken from a camera: that of a packet which fills a network of 1,500 bytes.
pub(crate) const CAMERA_BYTES_MAX: usize = 1_460;
/// Numbers that are waited for. Policy: oldest given up.
const MISSING_MAX: usize = 512;
/// Of a longer gap nothing is expected to come any more.
const GAP_MAX: u64 = 256;
/// What one that has not come is kept.
const PLACES: u64 = 2;

const SINGLE: std::ops::RangeInclusive<u8> = 1..=23;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// What became of one packet, with the number of its first piece; the others' follow.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cut<'a> {
    pub(crate) seq: u64,
    pieces: Pieces<'a>,
}

#[derive(Debug, PartialEq, Eq)]
enum Pieces<'a> {
    Whole(&'a [u8]),
    Many(Vec<Vec<u8>>),
}

impl Cut<'_> {
    pub(crate) fn len(&self) -> usize {
        match &self.pieces {
            Pieces::Whole(_) => 1,
            Pieces::Many(pieces) => pieces.len(),
        }
    }

    /// Number, payload, and whether it is the last.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (u64, &[u8], bool)> {
        let n = self.len();
        (0..n).map(move |at| match &self.pieces {
            Pieces::Whole(payload) => (self.seq, *payload, true),
            Pieces::Many(pieces) => (self.seq + at as u64, pieces[at].as_slice(), at + 1 == n),
        })
    }
}

/// The numbers of one camera.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    ssrc: Option<u32>,
    /// The camera's newest number, and what the one after it becomes.
    newest: Option<(u64, u64)>,
    /// Those before it that have not come: what they become, and how many places they have.
    missing: BTreeMap<u64, (u64, u64)>,
    /// It makes packets that have to be cut.
    large: bool,
}

impl Cutter {
    /// One packet of the camera. `seq`: extended. `None`: it cannot be cut, or has no place any more.
    pub(crate) fn cut<'a>(&mut self, codec: VideoCodec, ssrc: u32, seq: u64, payload: &'a [u8]) -> Option<Cut<'a>> {
        if self.ssrc.replace(ssrc) != Some(ssrc) {
            *self = Cutter { ssrc: Some(ssrc), ..Cutter::default() };
        }
        let fits = payload.len() <= PAYLOAD_BYTES_MAX;
        let (newest, next) = *self.newest.get_or_insert((seq.wrapping_sub(1), seq));
        if seq <= newest && newest != u64::MAX {
            return self.fill(codec, seq, payload);
        }
        let pieces = if fits { Pieces::Whole(payload) } else { Pieces::Many(cut(codec, payload, PAYLOAD_BYTES_MAX)?) };
        self.large |= !fits;
        let gap = seq - newest.wrapping_add(1);
        // What is gone in one piece is not waited for, and takes no more numbers than it had.
        let places = if self.large && gap <= GAP_MAX { PLACES } else { 1 };
        if gap <= GAP_MAX {
            self.missing.extend((0..gap).map(|n| (newest.wrapping_add(1) + n, (next + n * places, places))));
            while self.missing.len() > MISSING_MAX {
                self.missing.pop_first();
            }
        }
        let cut = Cut { seq: next + gap * places, pieces };
        self.newest = Some((seq, cut.seq + cut.len() as u64));
        Some(cut)
    }

    /// One that comes late takes exactly the places that were kept for it.
    fn fill<'a>(&mut self, codec: VideoCodec, seq: u64, payload: &'a [u8]) -> Option<Cut<'a>> {
        let (first, places) = self.missing.remove(&seq)?;
        let pieces = if places == 1 {
            Pieces::Whole(Some(payload).filter(|p| p.len() <= PAYLOAD_BYTES_MAX)?)
        } else {
            Pieces::Many(in_two(codec, payload)?.into())
        };
        Some(Cut { seq: first, pieces })
    }
}

/// Pieces of at most this many bytes each, two or more. `None`: its kind cannot be cut.
fn cut(codec: VideoCodec, payload: &[u8], max: usize) -> Option<Vec<Vec<u8>>> {
    match codec {
        VideoCodec::Vp8 => cut_vp8(payload, max),
        VideoCodec::H264 if payload.first()? & 0x1F == STAP_A => cut_aggregate(payload, max),
        VideoCodec::H264 => cut_unit(payload, max),
    }
}

/// The same in exactly two, however small it is. What cannot be cut and does no harm twice is given twice.
fn in_two(codec: VideoCodec, payload: &[u8]) -> Option<[Vec<u8>; 2]> {
    // Half, and what every piece repeats.
    let half = |repeated: usize| repeated + payload.len().saturating_sub(repeated).div_ceil(2);
    let pieces = match codec {
        VideoCodec::Vp8 => cut_vp8(payload, half(vp8_descriptor(payload)?)),
        VideoCodec::H264 => match payload.first()? & 0x1F {
            STAP_A => {
                let units = units(payload)?;
                match units.split_first() {
                    Some((first, [])) => return in_two(codec, first),
                    Some((first, rest)) => Some(vec![first.to_vec(), aggregate(payload[0], rest)]),
                    None => None,
                }
            }
            // Supplemental information, parameter sets, a delimiter.
            6..=9 => Some(vec![payload.to_vec(), payload.to_vec()]),
            FU_A => cut_unit(payload, half(2)),
            _ => cut_unit(payload, half(1) + 1),
        },
    };
    let pieces: [Vec<u8>; 2] = pieces?.try_into().ok()?;
    pieces.iter().all(|piece| piece.len() <= PAYLOAD_BYTES_MAX).then_some(pieces)
}

/// Even parts of at most `max` bytes.
fn parts(bytes: &[u8], max: usize) -> impl Iterator<Item = &[u8]> {
    let n = bytes.len().div_ceil(max.max(1)).max(1);
    bytes.chunks(bytes.len().div_ceil(n).max(1))
}

/// A unit, or a fragment of one, as fragments. Source: RFC 6184 §5.8.
fn cut_unit(payload: &[u8], max: usize) -> Option<Vec<Vec<u8>>> {
    let (&first, body) = payload.split_first()?;
    let (indicator, kind, begins, ends, body) = match first & 0x1F {
        FU_A => {
            let (&fu, body) = body.split_first()?;
            (first, fu & 0x1F, fu & 0x80 != 0, fu & 0x40 != 0, body)
        }
        kind if SINGLE.contains(&kind) => (first & 0xE0 | FU_A, kind, true, true, body),
        _ => return None,
    };
    let parts: Vec<&[u8]> = parts(body, max.checked_sub(2)?).collect();
    let last = parts.len().checked_sub(1).filter(|last| *last > 0)?;
    let fragment = |(at, part): (usize, &&[u8])| {
        let begin = if begins && at == 0 { 0x80 } else { 0 };
        let end = if ends && at == last { 0x40 } else { 0 };
        [&[indicator, begin | end | kind][..], part].concat()
    };
    Some(parts.iter().enumerate().map(fragment).collect())
}

/// The units of an aggregate. Source: RFC 6184 §5.7.1. `None`: it lies about their sizes.
fn units(payload: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut units, mut rest) = (Vec::new(), payload.get(1..)?);
    while let [high, low, after @ ..] = rest {
        let size = usize::from(u16::from_be_bytes([*high, *low]));
        units.push(after.get(..size).filter(|unit| !unit.is_empty())?);
        rest = &after[size..];
    }
    rest.is_empty().then_some(units)
}

fn aggregate(head: u8, units: &[&[u8]]) -> Vec<u8> {
    match units {
        [unit] => unit.to_vec(),
        _ => units.iter().fold(vec![head], |mut bytes, unit| {
            bytes.extend((unit.len() as u16).to_be_bytes());
            bytes.extend(*unit);
            bytes
        }),
    }
}

fn cut_aggregate(payload: &[u8], max: usize) -> Option<Vec<Vec<u8>>> {
    let units = units(payload)?;
    let (mut pieces, mut together, mut bytes) = (Vec::new(), Vec::new(), 1);
    for unit in units {
        if bytes + 2 + unit.len() > max && !together.is_empty() {
            pieces.push(aggregate(payload[0], &together));
            together.clear();
            bytes = 1;
        }
        if unit.len() > max {
            pieces.extend(cut_unit(unit, max)?);
        } else {
            bytes += 2 + unit.len();
            together.push(unit);
        }
    }
    if !together.is_empty() {
        pieces.push(aggregate(payload[0], &together));
    }
    (pieces.len() > 1).then_some(pieces)
}

/// Source: RFC 7741 §4.2: all packets of a partition have its number; only the first begins it.
fn cut_vp8(payload: &[u8], max: usize) -> Option<Vec<Vec<u8>>> {
    let (descriptor, body) = payload.split_at_checked(vp8_descriptor(payload)?)?;
    let parts: Vec<&[u8]> = parts(body, max.checked_sub(descriptor.len())?).collect();
    let piece = |(at, part): (usize, &&[u8])| {
        let mut bytes = [descriptor, part].concat();
        if at > 0 {
            bytes[0] &= !0x10;
        }
        bytes
    };
    (parts.len() > 1).then(|| parts.iter().enumerate().map(piece).collect())
}

/// The bytes as packets of a camera: two of its number, one of its length, then as many.
pub(crate) fn fuzz(bytes: &[u8]) {
    for codec in [VideoCodec::H264, VideoCodec::Vp8] {
        let (mut cutter, mut rest, mut given) = (Cutter::default(), bytes, std::collections::BTreeSet::new());
        while let [a, b, length, after @ ..] = rest {
            let (head, later) = after.split_at(usize::from(*length).min(after.len()));
            rest = later;
            // Long ones too, from few bytes.
            let mut payload = head.to_vec();
            payload.resize(head.len() * 6, *b);
            let Some(cut) = cutter.cut(codec, 1, u64::from(u16::from_be_bytes([*a & 3, *b])), &payload) else { continue };
            for (seq, piece, _) in cut.pieces() {
                assert!(piece.len() <= PAYLOAD_BYTES_MAX, "{} bytes", piece.len());
                assert!(given.insert(seq), "{seq} was given before");
            }
            assert!(cutter.missing.len() <= MISSING_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each packet's bytes, as a decoder sees them: units of H.264 put together again.
    fn read_h264<'a>(packets: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
        let mut all: Vec<Vec<u8>> = Vec::new();
        for packet in packets {
            match packet[0] & 0x1F {
                STAP_A => all.extend(units(packet).expect("sound").into_iter().map(<[u8]>::to_vec)),
                FU_A => {
                    if packet[1] & 0x80 != 0 {
                        all.push(vec![packet[0] & 0xE0 | packet[1] & 0x1F]);
                    }
                    all.last_mut().expect("begun").extend(&packet[2..]);
                }
                _ => all.push(packet.to_vec()),
            }
        }
        all
    }

    fn unit(kind: u8, length: usize) -> Vec<u8> {
        (0..length).map(|n| if n == 0 { 0x60 | kind } else { n as u8 }).collect()
    }

    #[test]
    fn what_is_cut_is_the_same_when_put_together_and_every_piece_fits() {
        let (sps, pps, slice) = (unit(7, 30), unit(8, 8), unit(5, 1_300));
        let both = aggregate(0x78, &[&sps, &pps, &slice]);
        let two = aggregate(0x78, &[&unit(1, 700), &unit(1, 640)]);
        let fragments: Vec<Vec<u8>> = [0x85u8, 0x05, 0x45].map(|fu| [&[0x7C, fu][..], &[fu; 1_386]].concat()).into();
        for packets in [vec![slice], vec![both], vec![two], fragments, vec![unit(1, 1_460)], vec![unit(1, 1_170)]] {
            let mut cutter = Cutter::default();
            let (mut out, mut lasts) = (Vec::new(), 0);
            for (n, packet) in packets.iter().enumerate() {
                let cut = cutter.cut(VideoCodec::H264, 7, 100 + n as u64, packet).expect("it can be cut");
                assert_eq!(cut.len() > 1, packet.len() > PAYLOAD_BYTES_MAX);
                lasts += cut.pieces().filter(|(.., last)| *last).count();
                out.extend(cut.pieces().map(|(seq, piece, _)| (seq, piece.to_vec())));
            }
            assert_eq!(lasts, packets.len());
            assert!(out.iter().enumerate().all(|(n, (seq, _))| *seq == 100 + n as u64), "numbers run on");
            assert!(out.iter().all(|(_, piece)| piece.len() <= PAYLOAD_BYTES_MAX && piece.len() > 2));
            let (before, after) = (packets.iter().map(Vec::as_slice), out.iter().map(|(_, piece)| piece.as_slice()));
            assert_eq!(read_h264(before), read_h264(after));
        }
    }

    #[test]
    fn vp8_is_cut_behind_any_descriptor() {
        for descriptor in [&[0x10][..], &[0x90, 0x80, 0x81, 0x23], &[0x90, 0xE0, 0x12, 0x01, 0x20], &[0x00]] {
            let packet = [descriptor, &[0x30; 1_380]].concat();
            let cut = cut_vp8(&packet, PAYLOAD_BYTES_MAX).expect("it can be cut");
            assert_eq!(cut.len(), 2);
            assert_eq!((cut[0][0], cut[1][0]), (packet[0], packet[0] & !0x10), "only the first begins the partition");
            let body: Vec<u8> = cut.iter().flat_map(|piece| piece[descriptor.len()..].to_vec()).collect();
            assert_eq!(body, packet[descriptor.len()..]);
            assert!(cut.iter().all(|piece| piece[1..descriptor.len()] == descriptor[1..]));
        }
    }

    #[test]
    fn one_that_comes_late_takes_the_places_that_were_kept_for_it() {
        let mut cutter = Cutter::default();
        let seqs = |cut: Option<Cut<'_>>| cut.map(|c| c.pieces().map(|(seq, ..)| seq).collect::<Vec<_>>());
        let (large, small, sps) = (unit(1, 1_300), unit(1, 50), unit(7, 12));
        assert_eq!(seqs(cutter.cut(VideoCodec::H264, 7, 10, &small)), Some(vec![10]));
        // 11 is missing, and so far all were small.
        assert_eq!(seqs(cutter.cut(VideoCodec::H264, 7, 12, &small)), Some(vec![12]));
        assert_eq!(seqs(cutter.cut(VideoCodec::H264, 7, 13, &large)), Some(vec![13, 14]));
        assert_eq!(seqs(cutter.cut(VideoCodec::H264, 7, 11, &large)), None, "no room for two");
        // 14, 15 and 16 are missing: two places each.
        assert_eq!(seqs(cutter.cut(VideoCodec::H264, 7, 17, &small)), Some(vec![21]));
        assert_eq!(seqs(cutter.cut(VideoCodec::H264, 7, 15, &large)), Some(vec![17, 18]));
        assert_eq!(seqs(cutter.cut(VideoCodec::H264, 7, 16, &small)), Some(vec![19, 20]), "small ones are cut to fill them");
        assert_eq!(seqs(cutter.cut(VideoCodec::H264, 7, 14, &sps)), Some(vec![15, 16]));
        assert_eq!(seqs(cutter.cut(VideoCodec::H264, 7, 14, &sps)), None, "once");
        let late = in_two(VideoCodec::H264, &small).expect("cut");
        assert_eq!(read_h264(late.iter().map(Vec::as_slice)), std::slice::from_ref(&small));
        assert_eq!(in_two(VideoCodec::H264, &sps), Some([sps.clone(), sps]), "parameter sets do no harm twice");
        assert_eq!(seqs(cutter.cut(VideoCodec::H264, 8, 9_000, &small)), Some(vec![9_000]), "another source begins anew");
    }

    #[test]
    fn what_cannot_be_cut_is_left_out_and_memory_is_bounded() {
        let mut cutter = Cutter::default();
        // MTAP16, and an aggregate that lies.
        assert_eq!(cutter.cut(VideoCodec::H264, 7, 10, &[26; 1_300]), None);
        assert_eq!(cutter.cut(VideoCodec::H264, 7, 10, &[0x78; 1_300]), None);
        for n in 0..10_000u64 {
            assert!(cutter.cut(VideoCodec::Vp8, 7, 10 + n * 200, &[0x10; 1_300]).is_some());
            assert!(cutter.missing.len() <= MISSING_MAX);
        }
    }
}
