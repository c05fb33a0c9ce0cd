//! Packets of published feeds for whoever composes them.

use std::time::Instant;

use annotation::id::FeedId;
use bytes::{BufMut, Bytes, BytesMut};
use link::id::{CaseId, LayerId};

use super::Engine;
use crate::api::{Moment, VideoCodec};
use crate::case::Ingested;
use crate::route::gop::LayerPacket;
use crate::route::keyframe::Patience;
use crate::route::rewrite::SeqRewrite;

/// Packets that wait to be given: a replayed group of pictures and what one turn brings. Policy: drop newest; the tap begins
/// anew at a keyframe.
const TAPPED_MAX: usize = 2_048;
/// Payload types of tapped packets; whoever takes them knows the codec from the server.
const PT_H264: u8 = 96;
const PT_VP8: u8 = 97;

/// One listener of one published feed.
#[derive(Debug)]
pub(super) struct Tap {
    ssrc: u32,
    seq: SeqRewrite,
    patience: Patience,
}

/// A packet that waits for its tap.
#[derive(Debug)]
pub(super) struct Tapped {
    case: CaseId,
    feed: FeedId,
    codec: VideoCodec,
    ingested: Ingested,
}

/// What became of a packet that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    Taken,
    /// No room now: it goes on at the next keyframe.
    Full,
    /// Nobody listens any more.
    Gone,
}

impl Engine {
    /// From now on packets of this published feed come out of `give_tapped` with this SSRC, from a keyframe on; `None`: no
    /// more. A tap that is set again begins anew.
    pub fn tap(&mut self, now: Instant, case: &CaseId, feed: &FeedId, ssrc: Option<u32>) {
        let key = (case.clone(), feed.clone());
        self.tapped.retain(|t| t.case != *case || t.feed != *feed);
        let Some(ssrc) = ssrc else {
            self.taps.remove(&key);
            return;
        };
        self.taps.insert(key, Tap { ssrc, seq: SeqRewrite::default(), patience: Patience::default() });
        let what = (feed.clone(), LayerId::High);
        let Some(layer) = self.cases.get(case).and_then(|c| c.layers.get(&what)).filter(|l| l.publisher.is_some()) else {
            return;
        };
        let (codec, replay) = (layer.codec, layer.gop.replay(now).to_vec());
        if replay.is_empty() {
            self.want_keyframe(now, case, &what);
        }
        for packet in replay {
            self.tap_packet(case, feed, codec, Ingested { packet, restarted: false });
        }
        self.settle(now);
    }

    /// Whoever takes the packets of a tap cannot decode them. The publisher is asked, ever more rarely where this is said on and on:
    /// viewers of the feed pay for each keyframe too.
    pub fn refresh_tap(&mut self, now: Instant, case: &CaseId, feed: &FeedId) {
        let Some(tap) = self.taps.get_mut(&(case.clone(), feed.clone())) else { return };
        let what = (feed.clone(), LayerId::High);
        if self.cases.get(case).and_then(|c| c.layers.get(&what)).is_none_or(|l| l.publisher.is_none()) {
            return;
        }
        if !tap.patience.hears(now) {
            self.counters.keyframes_denied += 1;
            return;
        }
        self.counters.tap_refreshes += 1;
        self.want_keyframe(now, case, &what);
        self.settle(now);
    }

    /// What time it is in the cases, for the times of published feeds.
    pub fn set_timeline(&mut self, now: Moment) {
        self.timeline = Some(now);
    }

    pub(super) fn tap_packet(&mut self, case: &CaseId, feed: &FeedId, codec: VideoCodec, ingested: Ingested) {
        let Some(tap) = self.taps.get_mut(&(case.clone(), feed.clone())) else { return };
        if self.tapped.len() < TAPPED_MAX {
            self.tapped.push_back(Tapped { case: case.clone(), feed: feed.clone(), codec, ingested });
        } else {
            tap.seq.stop();
            self.counters.tap_drops += 1;
        }
    }

    /// What comes next has no relation to what came.
    pub(super) fn pause_tap(&mut self, case: &CaseId, feed: &FeedId) {
        if let Some(tap) = self.taps.get_mut(&(case.clone(), feed.clone())) {
            tap.seq.stop();
        }
    }

    /// Gives the packets for taps away, oldest first; to be called after each `handle_*` and command. `give` says what
    /// became of each: a whole RTP packet.
    pub fn give_tapped(&mut self, now: Instant, mut give: impl FnMut(&CaseId, &FeedId, Bytes) -> Given) {
        let mut asking = false;
        while let Some(Tapped { case, feed, codec, ingested: Ingested { packet, restarted } }) = self.tapped.pop_front() {
            let key = (case, feed);
            let Some(tap) = self.taps.get_mut(&key) else { continue };
            if restarted {
                tap.seq.stop();
            }
            let before = tap.seq.clone();
            if !tap.seq.is_running() && packet.begins_keyframe {
                tap.seq.begin(packet.seq);
            }
            let given = if tap.seq.is_running() {
                let Some(seq) = tap.seq.rewrite(packet.seq) else { continue };
                give(&key.0, &key.1, whole(codec, tap.ssrc, seq, &packet))
            } else {
                Given::Full
            };
            match given {
                Given::Taken => {}
                Given::Full => {
                    // Its number was not used.
                    self.counters.tap_drops += u64::from(tap.seq.is_running());
                    tap.seq = before;
                    tap.seq.stop();
                    asking = true;
                    self.want_keyframe(now, &key.0, &(key.1, LayerId::High));
                }
                Given::Gone => {
                    self.taps.remove(&key);
                }
            }
        }
        if asking {
            self.settle(now);
        }
    }
}

/// The packet as it goes to whoever composes. Source: RFC 3550 §5.1.
fn whole(codec: VideoCodec, ssrc: u32, seq: u64, packet: &LayerPacket) -> Bytes {
    let pt = match codec {
        VideoCodec::H264 => PT_H264,
        VideoCodec::Vp8 => PT_VP8,
    };
    let mut bytes = BytesMut::with_capacity(12 + packet.payload.len());
    bytes.put_u8(0x80);
    bytes.put_u8(u8::from(packet.marker) << 7 | pt);
    bytes.put_u16(seq as u16);
    bytes.put_u32(packet.timestamp);
    bytes.put_u32(ssrc);
    bytes.put_slice(&packet.payload);
    bytes.freeze()
}
