//! Which layer each slot gets, and the way from one to the other.
//!
//! A *fall* leaves the old layer at once, so that the line can empty its queues, and begins at the next keyframe of the new
//! one. A *rise* goes on with the old layer until the keyframe of the new one is there. Layers of one picture are encoded
//! side by side: so that the keyframe is later than what was sent last, packets of the old layer are held back a moment
//! while it is awaited.

use std::time::{Duration, Instant};

use annotation::id::FeedId;
use link::id::{CaseId, LayerId};

use super::Engine;
use crate::api::{LayerSpec, PeerId, SfuEvent, VideoCodec, Why, Wish};
use crate::case::{Case, LAYERS_MAX};
use crate::route::gop::LayerPacket;
use crate::route::layer::{Ask, Has, Rung};

/// How long a packet waits for a keyframe of the same picture: encoding 1080p takes 12 ms.
const HOLD: Duration = Duration::from_millis(25);
/// Packets held: one picture and a bit. Policy: when full the oldest goes at once.
const HELD_MAX: usize = 256;
/// A better layer whose keyframe has not come for so long is given up for a while.
const RISE_WITHIN: Duration = Duration::from_secs(3);
/// Packets that wait no longer than this for a line of which a quarter is free do not crowd it.
const CALM: Duration = Duration::from_millis(40);
/// Layers of one feed.
const SPECS_MAX: usize = 5;
/// Feeds of one case whose layers are known.
const FEEDS_MAX: usize = 64;
/// A picture may be drawn a ninth larger than it is.
const WIDTH_TENTHS: u64 = 9;
/// What a layer costs of which nothing is known: 4 Mbit/s at 1920 pixels.
const UNKNOWN_BPS: u64 = 4_000_000;
const UNKNOWN_WIDTH: u64 = 1_920;

impl Engine {
    /// What a feed comes in. Empty: not known, or gone. A layer that is not among these is not chosen.
    pub fn set_layers(&mut self, now: Instant, case_id: &CaseId, feed: &FeedId, mut specs: Vec<LayerSpec>) {
        specs.sort_by_key(|s| s.layer);
        specs.dedup_by_key(|s| s.layer);
        specs.truncate(SPECS_MAX);
        if specs.is_empty() {
            let Some(case) = self.cases.get_mut(case_id) else { return };
            case.specs.remove(feed);
            if case.is_empty() {
                self.cases.remove(case_id);
                return;
            }
        } else {
            let case = self.cases.entry(case_id.clone()).or_default();
            if case.specs.len() >= FEEDS_MAX && !case.specs.contains_key(feed) {
                self.counters.layers_refused += 1;
                return;
            }
            case.specs.insert(feed.clone(), specs);
        }
        let peers: Vec<PeerId> = self.cases.get(case_id).map(|c| c.peers.iter().copied().collect()).unwrap_or_default();
        for id in peers {
            self.weigh(now, id);
        }
        self.settle(now);
    }

    /// Chooses for each slot of a peer anew.
    pub(super) fn weigh(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id).filter(|p| p.grants.see && !p.ending && !p.video.is_empty()) else { return };
        if peer.is_cut(now) {
            return;
        }
        let Some(case) = self.cases.get(&peer.case) else { return };
        for video in &mut peer.video {
            if video.next.is_some_and(|(_, since)| now.saturating_duration_since(since) >= RISE_WITHIN) {
                peer.chooser.handle_missed(now);
                break;
            }
        }
        let mut asks = Vec::new();
        let mut slots = Vec::new();
        for (slot, video) in peer.video.iter().enumerate() {
            let Some(wish) = &video.wish else { continue };
            let (ladder, small) = ladder(now, case, wish, peer.conn.takes_h264(slot));
            let on = video.next.filter(|(_, since)| now.saturating_duration_since(*since) < RISE_WITHIN).map(|n| n.0);
            let rung = on.or(video.on).map(|on| ladder.iter().position(|r| r.layer == on));
            let has = match rung {
                Some(Some(rung)) => Has::Rung(rung),
                None if video.told == (None, Why::Line) => Has::Paused,
                _ => Has::New,
            };
            let program = wish.feed == FeedId::program();
            asks.push(Ask { ladder, has, program, fixed: wish.fixed });
            slots.push((slot as u8, small));
        }
        let line = peer.line;
        let picked = peer.chooser.choose(now, line, &asks);
        let orders = peer.chooser.orders(now, line, &asks, &picked);
        self.counters.estimates_anew += u64::from(orders.anew_bps.is_some());
        // Where loss comes of too much that is sent, more would make more of it: only where all that is wished fits with a quarter to spare.
        let given: u64 = asks.iter().zip(&picked).filter_map(|(a, rung)| Some(a.ladder.get((*rung)?)?.bps)).sum();
        let calm = picked.iter().all(|rung| *rung == Some(0));
        let fits = calm && orders.estimate_bps.is_some_and(|e| e * 4 >= given * 5);
        let twice = fits && line.waiting <= CALM && peer.playout.loses();
        self.turn(now, id, |peer, sink| {
            peer.conn.set_calm(calm);
            peer.conn.repair_twice(twice);
            if let Some(bps) = orders.anew_bps {
                peer.conn.resume(bps, sink)?;
            }
            peer.conn.set_desired(orders.least_bps, orders.desired_bps, sink)
        });
        for (n, (slot, small)) in slots.into_iter().enumerate() {
            let rung = picked.get(n).copied().flatten();
            let layer = rung.and_then(|r| asks[n].ladder.get(r)).map(|r| r.layer);
            let why = match rung {
                Some(0) if small => Why::Size,
                Some(0) => Why::Wished,
                _ => Why::Line,
            };
            self.move_to(now, id, slot, layer, why);
        }
    }

    /// Brings a slot to a layer of what it wishes for; `None`: it pauses.
    fn move_to(&mut self, now: Instant, id: PeerId, slot: u8, to: Option<LayerId>, why: Why) {
        let Some(video) = self.slot(id, slot) else { return };
        if to.is_none() {
            video.starting = None;
        }
        if video.told != (to, why) {
            video.switches += u64::from(video.told.0 != to && video.told != (None, Why::Wished));
            video.told = (to, why);
            self.events.push_back(SfuEvent::Shown { peer: id, slot, layer: to, why });
        }
        let Some(video) = self.slot(id, slot) else { return };
        let (on, next) = (video.on, video.next.map(|n| n.0));
        match (on, to) {
            (_, None) => self.withdraw(id, slot),
            (Some(on), Some(to)) if on == to => self.cancel_rise(now, id, slot),
            // Better is less, in the order of layers.
            (Some(on), Some(to)) if to < on && video.seq.is_running() => {
                if next != Some(to) {
                    self.cancel_rise(now, id, slot);
                    self.rise(now, id, slot, to);
                }
            }
            (_, Some(to)) => {
                self.withdraw(id, slot);
                if why == Why::Line {
                    // The line is too narrow: what was lost of the old layer must not go before the keyframe of the new one.
                    self.turn(now, id, |peer, sink| peer.conn.forget_sent(usize::from(slot), sink));
                }
                self.enroll(now, id, slot, to);
            }
        }
    }

    fn rise(&mut self, now: Instant, id: PeerId, slot: u8, to: LayerId) {
        let Some(video) = self.slot(id, slot) else { return };
        let Some(wish) = &video.wish else { return };
        let what = (wish.feed.clone(), to);
        video.next = Some((to, now));
        let Some(case) = self.peers.get(&id).map(|p| p.case.clone()) else { return };
        self.join_layer(&case, &what, (id, slot));
        self.want_keyframe(now, &case, &what);
    }

    /// The better layer is no longer awaited.
    fn cancel_rise(&mut self, now: Instant, id: PeerId, slot: u8) {
        let Some(video) = self.slot(id, slot) else { return };
        let Some((next, _)) = video.next.take() else { return };
        let Some(wish) = &video.wish else { return };
        let what = (wish.feed.clone(), next);
        if let Some(case) = self.peers.get(&id).map(|p| p.case.clone()) {
            self.leave_layer(&case, &what, (id, slot));
        }
        self.flush_held(now, id, slot, None);
    }

    /// A keyframe of the awaited layer: what was held of earlier pictures goes first, the rest is not needed. True: begun.
    pub(super) fn arrive(&mut self, now: Instant, id: PeerId, slot: u8, packet: &LayerPacket) -> bool {
        let Some(video) = self.slot(id, slot) else { return false };
        let (Some((next, _)), Some(wish), Some(on)) = (video.next, &video.wish, video.on) else { return false };
        if !packet.begins_keyframe || !video.may_begin(packet.capture) {
            return false;
        }
        let old = (wish.feed.clone(), on);
        video.held.retain(|(_, _, held)| held.capture < packet.capture);
        self.flush_held(now, id, slot, None);
        let Some(video) = self.slot(id, slot) else { return false };
        video.next = None;
        video.on = Some(next);
        video.seq.begin(packet.seq);
        if let Some(case) = self.peers.get(&id).map(|p| p.case.clone()) {
            self.leave_layer(&case, &old, (id, slot));
        }
        true
    }

    /// Holds a packet of the old layer back.
    pub(super) fn hold(&mut self, now: Instant, id: PeerId, slot: u8, codec: VideoCodec, packet: &LayerPacket) {
        let Some(video) = self.slot(id, slot) else { return };
        video.held.push_back((now + HOLD, codec, packet.clone()));
        if video.held.len() > HELD_MAX {
            self.flush_held(now, id, slot, Some(now + HOLD));
        }
        self.schedule(now, id);
    }

    /// Sends what was held and is due; `None`: all of it.
    pub(super) fn flush_held(&mut self, now: Instant, id: PeerId, slot: u8, due_by: Option<Instant>) {
        while let Some(video) = self.slot(id, slot) {
            if video.held.front().is_none_or(|(due, ..)| due_by.is_some_and(|by| *due > by)) {
                return;
            }
            let Some((_, codec, packet)) = video.held.pop_front() else { return };
            self.write(now, id, slot, codec, std::slice::from_ref(&packet));
        }
    }

    /// Time has passed for what is held.
    pub(super) fn check_held(&mut self, now: Instant, id: PeerId) {
        for slot in 0..self.n_slots(id) {
            self.flush_held(now, id, slot, Some(now));
        }
    }

    /// Counts a slot among those who watch a layer. False: there are too many layers.
    pub(super) fn join_layer(&mut self, case_id: &CaseId, what: &(FeedId, LayerId), viewer: (PeerId, u8)) -> bool {
        let layers = &mut self.cases.entry(case_id.clone()).or_default().layers;
        if layers.len() >= LAYERS_MAX && !layers.contains_key(what) {
            self.counters.layers_refused += 1;
            return false;
        }
        let layer = layers.entry(what.clone()).or_default();
        let before = layer.watchers();
        layer.viewers.insert(viewer);
        let count = layer.watchers();
        if count != before {
            self.events.push_back(watchers(case_id, what, count));
        }
        true
    }

    pub(super) fn leave_layer(&mut self, case_id: &CaseId, what: &(FeedId, LayerId), viewer: (PeerId, u8)) {
        let Some(case) = self.cases.get_mut(case_id) else { return };
        let Some(layer) = case.layers.get_mut(what) else { return };
        let before = layer.watchers();
        layer.viewers.remove(&viewer);
        let count = layer.watchers();
        if layer.is_idle() {
            case.layers.remove(what);
        }
        if count != before {
            self.events.push_back(watchers(case_id, what, count));
        }
    }
}

fn watchers(case: &CaseId, what: &(FeedId, LayerId), count: usize) -> SfuEvent {
    SfuEvent::Watchers { case: case.clone(), feed: what.0.clone(), layer: what.1, count }
}

/// The layers a wish may be given, best first; true: better ones are left out because the picture is drawn small.
fn ladder(now: Instant, case: &Case, wish: &Wish, takes_h264: bool) -> (Vec<Rung>, bool) {
    let cost = |layer: LayerId, spec: Option<&LayerSpec>| {
        let told = spec.map_or(0, |s| u64::from(s.bps));
        let unknown = || {
            let width = spec.map_or(0, |s| u64::from(s.width)).min(UNKNOWN_WIDTH);
            if told > 0 || width == 0 { told } else { UNKNOWN_BPS * width * width / (UNKNOWN_WIDTH * UNKNOWN_WIDTH) }
        };
        let measured = case.layers.get(&(wish.feed.clone(), layer)).and_then(|l| l.meter.bps(now));
        measured.unwrap_or_else(unknown)
    };
    let specs = case.specs.get(&wish.feed).map(Vec::as_slice).unwrap_or_default();
    // VP8 is for those who have nothing else: it is encoded only while one of them watches.
    let vp8 = !takes_h264 && specs.iter().any(|s| s.layer.is_vp8());
    let best = if vp8 { wish.layer.in_vp8() } else { wish.layer };
    let mut specs: Vec<&LayerSpec> = specs.iter().filter(|s| s.layer >= best && s.layer.is_vp8() == vp8).collect();
    if wish.fixed || specs.is_empty() {
        let spec = specs.first().copied().filter(|s| s.layer == best);
        return (vec![Rung { layer: best, bps: cost(best, spec) }], false);
    }
    let wide = |s: &&LayerSpec| u64::from(s.width) * 10 >= u64::from(wish.width) * WIDTH_TENTHS;
    // The smallest that is wide enough.
    let first = if wish.width == 0 { 0 } else { specs.iter().rposition(wide).unwrap_or(0) };
    let rungs = specs.drain(first..).map(|s| Rung { layer: s.layer, bps: cost(s.layer, Some(s)) }).collect();
    (rungs, first > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_decode_h264_gets_vp8_and_nobody_else_does() {
        let feed = FeedId::program();
        let all = [LayerId::High, LayerId::Mid, LayerId::Low, LayerId::HighVp8, LayerId::LowVp8];
        let spec = |layer| LayerSpec { layer, width: 1280, bps: 1_000_000 };
        let layers = |case: &Case, wish: &Wish, takes_h264| -> Vec<LayerId> {
            ladder(Instant::now(), case, wish, takes_h264).0.iter().map(|r| r.layer).collect()
        };
        let mut case = Case::default();
        case.specs.insert(feed.clone(), all.map(spec).to_vec());
        let wish = Wish::of(feed.clone());
        assert_eq!(layers(&case, &wish, true), all[..3]);
        assert_eq!(layers(&case, &wish, false), all[3..]);
        let low = Wish { layer: LayerId::Low, fixed: true, ..Wish::of(feed.clone()) };
        assert_eq!((layers(&case, &low, true), layers(&case, &low, false)), (vec![LayerId::Low], vec![LayerId::LowVp8]));
        // A feed that is published in VP8 alone, or an engine without its encoder.
        case.specs.insert(feed, all[..3].iter().copied().map(spec).collect());
        assert_eq!(layers(&case, &wish, false), all[..3]);
    }
}
