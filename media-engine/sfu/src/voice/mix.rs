//! All who speak in a case on one Opus track, for those who take only one: players, phones, the recording. Pure: packets and
//! time in, packets out, every 20 ms while somebody is heard.
//!
//! Each speaker has a small jitter buffer that begins [`START_DEPTH`] packets deep. A lost packet is rebuilt from the redundancy
//! in its successor (RFC 6716 §2.1.7), else concealed; a speaker who stops is concealed for [`CONCEALED_MAX`] frames and
//! then silent. A buffer that has grown is cut back, so that over hours the mix does not fall behind.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use opus::{Application, Bitrate, Channels, Decoder, Encoder};

use crate::api::PeerId;

const RATE_HZ: u32 = 48_000;
/// Samples of one frame: 20 ms, mono.
const FRAME: usize = 960;
const TICK: Duration = Duration::from_millis(20);
/// Longest Opus packet: 120 ms (RFC 6716 §2.1.4).
const PACKET_SAMPLES_MAX: usize = 5_760;
/// A speaker is heard from the second packet on, so 20 ms of jitter are taken without a gap.
const START_DEPTH: usize = 2;
/// Packets of one speaker that wait. Policy: drop oldest, down to the start depth.
const DEPTH_MAX: usize = 8;
/// A buffer never emptier than [`START_DEPTH`] packets over this many frames gives one packet up.
const LEISURE_FRAMES: u32 = 50;
/// Frames of concealment in a row: beyond 100 ms it is no voice any more.
const CONCEALED_MAX: u32 = 5;
/// Speakers at once. Policy: drop newest.
const SPEAKERS_MAX: usize = 8;
/// A speaker without a packet for this long is let go.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);
/// Frames sent after the last voice, so that a receiver's buffer ends in silence.
const TAIL_FRAMES: u32 = 10;
const BITRATE_BPS: i32 = 32_000;
/// What the mix's own redundancy is made for.
const EXPECTED_LOSS_PERCENT: i32 = 10;
/// Peak of the mix. Louder is turned down at once, and up again slowly.
const PEAK: f32 = 0.95;
const GAIN_RECOVERY: f32 = 1.01;

/// One packet of the mix. `timestamp`: 48 kHz, from 0; it runs on while nobody speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MixedPacket {
    pub(crate) timestamp: u32,
    pub(crate) payload: Vec<u8>,
    /// Of the frame, RFC 6464: 0 is full scale, -127 silence.
    pub(crate) dbov: i8,
}

/// What became of the frames of all speakers, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct MixCounters {
    pub(crate) decoded: u64,
    /// Rebuilt from redundancy.
    pub(crate) rebuilt: u64,
    pub(crate) concealed: u64,
    /// Given up to keep the delay small.
    pub(crate) dropped: u64,
    /// Not Opus.
    pub(crate) bad: u64,
}

struct Speaker {
    decoder: Decoder,
    /// By extended sequence number: (timestamp, payload).
    waiting: BTreeMap<u64, (u32, Box<[u8]>)>,
    /// Next to be decoded: (seq, timestamp); none before the speaker has begun.
    next: Option<(u64, u32)>,
    /// Samples decoded and not yet mixed: less than a frame, or the rest of a longer packet.
    ready: VecDeque<f32>,
    concealed: u32,
    leisure: u32,
    heard: Instant,
}

/// The mix of one case.
pub(crate) struct Mixer {
    encoder: Encoder,
    speakers: BTreeMap<PeerId, Speaker>,
    /// When the next frame is due; none while nobody is heard.
    due: Option<Instant>,
    began: Instant,
    tail: u32,
    gain: f32,
    packets: VecDeque<MixedPacket>,
    counters: MixCounters,
}

impl std::fmt::Debug for Mixer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mixer").field("speakers", &self.speakers.len()).field("counters", &self.counters).finish_non_exhaustive()
    }
}

impl Mixer {
    /// Errors: libopus gives no encoder.
    pub(crate) fn new(now: Instant) -> Result<Self, opus::Error> {
        let mut encoder = Encoder::new(RATE_HZ, Channels::Mono, Application::Voip)?;
        encoder.set_bitrate(Bitrate::Bits(BITRATE_BPS))?;
        encoder.set_inband_fec(true)?;
        encoder.set_packet_loss_perc(EXPECTED_LOSS_PERCENT)?;
        Ok(Mixer {
            encoder,
            speakers: BTreeMap::new(),
            due: None,
            began: now,
            tail: 0,
            gain: 1.0,
            packets: VecDeque::new(),
            counters: MixCounters::default(),
        })
    }

    pub(crate) fn counters(&self) -> MixCounters {
        self.counters
    }

    /// One packet of a speaker, without RED. `seq` is extended; `timestamp` of 48 kHz. A late, doubled or ninth speaker's is dropped.
    pub(crate) fn handle_packet(&mut self, now: Instant, from: PeerId, seq: u64, timestamp: u32, payload: &[u8]) {
        if !self.speakers.contains_key(&from) {
            if self.speakers.len() >= SPEAKERS_MAX {
                return;
            }
            let Ok(decoder) = Decoder::new(RATE_HZ, Channels::Mono) else { return };
            self.speakers.insert(from, Speaker::new(decoder, now));
        }
        let Some(speaker) = self.speakers.get_mut(&from) else { return };
        speaker.heard = now;
        // A sender that begins anew far away is a new beginning.
        if speaker.next.is_some_and(|(next, _)| seq + 1_000 < next || seq > next + 1_000) {
            speaker.begin_anew();
        }
        if speaker.next.is_some_and(|(next, _)| seq < next) {
            return;
        }
        speaker.waiting.insert(seq, (timestamp, payload.into()));
        if speaker.waiting.len() > DEPTH_MAX {
            while speaker.waiting.len() > START_DEPTH {
                speaker.waiting.pop_first();
                self.counters.dropped += 1;
            }
            speaker.next = speaker.waiting.first_key_value().map(|(seq, (timestamp, _))| (*seq, *timestamp));
        }
        if self.due.is_none() {
            self.due = Some(now + TICK);
        }
    }

    /// A speaker was silenced: nothing of what waits is heard.
    pub(crate) fn remove(&mut self, from: PeerId) {
        self.speakers.remove(&from);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Makes every frame that is due. After a pause of more than 200 ms what was missed is left out.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some(due) = self.due.filter(|due| *due <= now) {
            if now.duration_since(due) > TICK * 10 {
                self.due = Some(now);
                continue;
            }
            self.mix(due);
        }
    }

    pub(crate) fn poll_packet(&mut self) -> Option<MixedPacket> {
        self.packets.pop_front()
    }

    fn mix(&mut self, due: Instant) {
        let mut sum = [0f32; FRAME];
        let mut anybody = false;
        for speaker in self.speakers.values_mut() {
            if speaker.fill(&mut self.counters) {
                anybody = true;
                for (out, sample) in sum.iter_mut().zip(speaker.ready.drain(..FRAME)) {
                    *out += sample;
                }
            }
        }
        self.speakers.retain(|_, s| due.saturating_duration_since(s.heard) < FORGOTTEN_AFTER);
        self.tail = if anybody { TAIL_FRAMES } else { self.tail.saturating_sub(1) };
        self.due = (anybody || self.tail > 0 || self.speakers.values().any(|s| !s.waiting.is_empty())).then_some(due + TICK);
        let peak = sum.iter().fold(0f32, |peak, sample| peak.max(sample.abs()));
        self.gain = (self.gain * GAIN_RECOVERY).min(1.0).min(if peak > 0.0 { PEAK / peak } else { 1.0 });
        for sample in &mut sum {
            *sample *= self.gain;
        }
        let mut payload = vec![0u8; 1_000];
        let Ok(length) = self.encoder.encode_float(&sum, &mut payload) else { return };
        payload.truncate(length);
        // By the frame's place in time: it runs on while nobody speaks.
        let frames = due.saturating_duration_since(self.began).as_micros() / TICK.as_micros();
        let timestamp = (frames as u64).wrapping_mul(FRAME as u64) as u32;
        self.packets.push_back(MixedPacket { timestamp, payload, dbov: dbov(&sum) });
    }
}

impl Speaker {
    fn new(decoder: Decoder, now: Instant) -> Self {
        Speaker { decoder, waiting: BTreeMap::new(), next: None, ready: VecDeque::new(), concealed: 0, leisure: 0, heard: now }
    }

    fn begin_anew(&mut self) {
        self.waiting.clear();
        self.next = None;
        self.ready.clear();
        self.concealed = 0;
        let _ = self.decoder.reset_state();
    }

    /// True when a frame's worth of samples is ready.
    fn fill(&mut self, counters: &mut MixCounters) -> bool {
        if self.next.is_none() {
            if self.waiting.len() < START_DEPTH {
                return false;
            }
            self.next = self.waiting.first_key_value().map(|(seq, (timestamp, _))| (*seq, *timestamp));
        }
        self.shorten(counters);
        while self.ready.len() < FRAME {
            let Some((seq, timestamp)) = self.next else { return false };
            match self.waiting.first_key_value().map(|(first, (at, _))| (*first, *at)) {
                // Discontinuous transmission: the sender left silence out (RFC 7587 §3.1.3).
                Some((first, at)) if first == seq && (1..=i64::from(RATE_HZ)).contains(&ahead(at, timestamp)) => {
                    let gap = (ahead(at, timestamp) as usize).min(FRAME);
                    self.ready.extend(std::iter::repeat_n(0.0, gap));
                    self.next = Some((seq, timestamp.wrapping_add(gap as u32)));
                }
                Some((first, at)) if first == seq => self.decode(at, counters),
                Some((first, _)) => self.bridge(first == seq + 1, counters),
                None if self.concealed < CONCEALED_MAX => {
                    // Nothing came in time. What comes late is decoded after all, and the buffer is that much deeper.
                    self.concealed += 1;
                    counters.concealed += 1;
                    self.produce(&[], FRAME, false);
                }
                None => {
                    self.begin_anew();
                    return false;
                }
            }
        }
        true
    }

    fn decode(&mut self, at: u32, counters: &mut MixCounters) {
        let Some((seq, (_, payload))) = self.waiting.pop_first() else { return };
        let made = self.produce(&payload, PACKET_SAMPLES_MAX, false);
        match made {
            Some(_) => counters.decoded += 1,
            None => counters.bad += 1,
        }
        self.concealed = 0;
        self.next = Some((seq + 1, at.wrapping_add(made.unwrap_or(FRAME) as u32)));
    }

    /// The next packet is missing and a later one is here.
    fn bridge(&mut self, successor: bool, counters: &mut MixCounters) {
        let Some((seq, timestamp)) = self.next else { return };
        let redundant = successor.then(|| self.waiting.first_key_value().map(|(_, (_, payload))| payload.clone())).flatten();
        match redundant {
            Some(payload) => {
                counters.rebuilt += 1;
                self.produce(&payload, FRAME, true);
            }
            None => {
                counters.concealed += 1;
                self.produce(&[], FRAME, false);
            }
        }
        self.next = Some((seq + 1, timestamp.wrapping_add(FRAME as u32)));
    }

    /// Decodes into `ready`; an empty payload conceals `samples`. Returns how many came, `None` for what is not Opus.
    fn produce(&mut self, payload: &[u8], samples: usize, redundancy: bool) -> Option<usize> {
        let mut out = [0f32; PACKET_SAMPLES_MAX];
        match self.decoder.decode_float(payload, &mut out[..samples], redundancy) {
            Ok(n) => {
                self.ready.extend(&out[..n]);
                Some(n)
            }
            Err(_) => {
                self.ready.extend(std::iter::repeat_n(0.0, FRAME));
                None
            }
        }
    }

    /// Gives up a packet when the buffer has been deeper than needed for long.
    fn shorten(&mut self, counters: &mut MixCounters) {
        self.leisure = if self.waiting.len() > START_DEPTH { self.leisure + 1 } else { 0 };
        if self.leisure >= LEISURE_FRAMES {
            self.leisure = 0;
            self.waiting.pop_first();
            counters.dropped += 1;
            self.next = self.waiting.first_key_value().map(|(seq, (timestamp, _))| (*seq, *timestamp));
        }
    }
}

/// Ticks from `b` to `a`, over the wrap.
fn ahead(a: u32, b: u32) -> i64 {
    i64::from(a.wrapping_sub(b) as i32)
}

/// RFC 6464 §3: level of a frame below full scale.
fn dbov(frame: &[f32]) -> i8 {
    let power = frame.iter().map(|s| s * s).sum::<f32>() / frame.len().max(1) as f32;
    if power <= 0.0 { -127 } else { (10.0 * power.log10()).clamp(-127.0, 0.0) as i8 }
}

#[cfg(test)]
#[path = "mix_tests.rs"]
mod tests;
