//! A source of 1080p30 at 4 Mbit/s as RTP: the shape of H.264, its own send times inside, keyframes when asked and every 10 s.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;

/// 4 Mbit/s at 30 frames a second: 16.7 kB a frame.
pub const PACKETS: usize = 15;
/// A keyframe of 1080p: some 90 kB.
const KEY_PACKETS: usize = 80;
const PAYLOAD_BYTES: usize = 1_112;
const FRAME: Duration = Duration::from_nanos(33_333_333);
const KEY_EVERY: u64 = 300;
/// Two keyframes are at least this far apart, as our own encoder has it.
const KEY_APART: Duration = Duration::from_millis(500);
/// Where the send time is in a payload, ns since the start.
const STAMP_AT: usize = 4;

/// Runs on a thread of its own until dropped.
#[derive(Debug)]
pub struct Source {
    pub start: Instant,
    /// Somebody needs a keyframe.
    pub wanted: Arc<AtomicBool>,
    pub packets: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Source {
    /// Sends to `rtp`; takes requests for keyframes (RTCP) from `rtcp`, to which it says where it is.
    pub fn start(rtp: SocketAddr, rtcp: Option<SocketAddr>) -> Result<Self> {
        let socket = UdpSocket::bind((rtp.ip(), 0))?;
        socket.connect(rtp)?;
        let control = rtcp.map(|to| UdpSocket::bind((to.ip(), 0)).map(|s| (s, to))).transpose()?;
        if let Some((control, _)) = &control {
            control.set_nonblocking(true)?;
        }
        let start = Instant::now();
        let (wanted, done) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let packets = Arc::new(AtomicU64::new(0));
        let (asked, ended, counted) = (wanted.clone(), done.clone(), packets.clone());
        let thread = std::thread::spawn(move || {
            let (mut seq, mut frame) = (0u16, 0u64);
            let mut last_key: Option<Instant> = None;
            while !ended.load(Ordering::Relaxed) {
                let due = start + FRAME * u32::try_from(frame).unwrap_or(u32::MAX);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                if let Some((control, to)) = &control {
                    if frame.is_multiple_of(30) {
                        // An empty receiver report: where requests are to be sent.
                        let _ = control.send_to(&[0x80, 201, 0, 1, 0, 0, 0, 1], to);
                    }
                    let mut bytes = [0; 1_500];
                    while let Ok(n) = control.recv(&mut bytes) {
                        // Payload-specific feedback anywhere in it: PLI or FIR.
                        if asks_for_keyframe(&bytes[..n]) {
                            asked.store(true, Ordering::Relaxed);
                        }
                    }
                }
                let free = last_key.is_none_or(|at| at.elapsed() >= KEY_APART);
                let key = free && (asked.swap(false, Ordering::Relaxed) || frame.is_multiple_of(KEY_EVERY));
                if key {
                    last_key = Some(Instant::now());
                }
                for n in 0..if key { KEY_PACKETS } else { PACKETS } {
                    let last = n + 1 == if key { KEY_PACKETS } else { PACKETS };
                    let packet = packet(start, seq, frame, key, n == 0, last);
                    seq = seq.wrapping_add(1);
                    let _ = socket.send(&packet);
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                frame += 1;
            }
        });
        Ok(Source { start, wanted, packets, done, thread: Some(thread) })
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn asks_for_keyframe(mut compound: &[u8]) -> bool {
    while let [first, kind, a, b, ..] = *compound {
        if kind == 206 && matches!(first & 0x1F, 1 | 4) {
            return true;
        }
        let length = (usize::from(u16::from_be_bytes([a, b])) + 1) * 4;
        compound = compound.get(length..).unwrap_or_default();
    }
    false
}

/// One packet: parameter sets and the slice in one aggregate for a keyframe's first, fragments after it.
fn packet(start: Instant, seq: u16, frame: u64, key: bool, first: bool, last: bool) -> Vec<u8> {
    let timestamp = (frame * 3_000) as u32;
    let mut packet = vec![0x80, if last { 0x80 | 96 } else { 96 }];
    packet.extend(seq.to_be_bytes());
    packet.extend(timestamp.to_be_bytes());
    packet.extend([0, 0, 0, 7]);
    // FU-A of an IDR slice or of another.
    let nal = if key { 5 } else { 1 };
    let begins = if first { 0x80 } else { 0 };
    let ends = if last { 0x40 } else { 0 };
    packet.extend([0x7C, begins | ends | nal, 0x88, 0]);
    packet.extend((start.elapsed().as_nanos() as u64).to_be_bytes());
    packet.resize(12 + PAYLOAD_BYTES, 0xA5);
    packet
}

/// When a payload was sent, since the source's start; `None` for what is not the source's.
pub fn sent_at(payload: &[u8]) -> Option<Duration> {
    let stamp: [u8; 8] = payload.get(STAMP_AT..STAMP_AT + 8)?.try_into().ok()?;
    (payload.len() == PAYLOAD_BYTES).then(|| Duration::from_nanos(u64::from_be_bytes(stamp)))
}

/// True for a packet that begins or belongs to a keyframe.
pub fn is_key(payload: &[u8]) -> bool {
    payload.get(1).is_some_and(|fu| fu & 0x1F == 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_says_when_it_was_sent_and_what_it_is() {
        let start = Instant::now();
        let bytes = packet(start, 7, 3, true, true, false);
        let payload = &bytes[12..];
        assert!(is_key(payload) && sent_at(payload).is_some_and(|at| at <= start.elapsed()));
        assert!(!is_key(&packet(start, 8, 4, false, false, true)[12..]));
        assert_eq!(sent_at(&payload[..40]), None);
    }

    #[test]
    fn requests_for_keyframes_are_found_in_any_compound() {
        let report = [0x80, 201, 0, 1, 0, 0, 0, 1];
        let pli = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 7];
        assert!(asks_for_keyframe(&[&report[..], &pli].concat()));
        assert!(!asks_for_keyframe(&report) && !asks_for_keyframe(&[1, 2]));
    }
}
