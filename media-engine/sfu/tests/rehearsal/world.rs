//! Engine, viewers, links and sources on one virtual clock.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use annotation::id::FeedId;
use annotation::time::CaptureTime;
use bytes::Bytes;
use link::id::{CaseId, LayerId};
use sfu::{
    Carrier, Channel, CloseReason, CoreConfig, Engine, FeedPacket, Given, Grants, LayerSpec, Limits, Moment, PeerId, PeerKind,
    PeerStats, SfuEvent, VideoCodec, Why, Wish,
};

use crate::camera::{Camera, Lens};
use crate::clocks::{Clock, Stalls};
use crate::line::Line;
use crate::source::Source;
use crate::standing::Watching;
use crate::viewer::Viewer;

pub(crate) const ALL: Grants = Grants { see: true, hear: true, speak: true };
/// From capture to the packets of a frame.
pub(crate) const ENCODING: Duration = Duration::from_millis(8);
const VOICE: Duration = Duration::from_millis(20);

pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Virtual time begins somewhere.
pub(crate) fn some_instant() -> Instant {
    Instant::now()
}

pub(crate) fn case() -> CaseId {
    CaseId::parse("rehearsal").expect("an id")
}

pub(crate) fn feed(name: &str) -> FeedId {
    FeedId::parse(name).expect("an id")
}

pub(crate) struct Member {
    pub(crate) viewer: Viewer,
    line: Line,
    /// It sends no more STUN requests.
    checked: bool,
    /// When it next speaks, and how loudly.
    talk: Option<(Instant, i8)>,
    pub(crate) clock: Clock,
    /// Its machine has too much to do.
    pub(crate) stalls: Option<Stalls>,
    /// What it decodes of its first slot, and what it does where that stands still.
    pub(crate) watching: Option<Watching>,
}

impl Member {
    fn new(now: Instant, viewer: Viewer, delay: Duration) -> Self {
        let (line, clock) = (Line::new(now, delay), Clock::new(now));
        Member { viewer, line, checked: false, talk: None, clock, stalls: None, watching: None }
    }

    /// When it does what is due then.
    fn when(&self, at: Instant) -> Instant {
        self.stalls.map_or(at, |s| s.until(at))
    }
}

#[derive(Debug)]
pub(crate) enum Arrival {
    AtEngine {
        source: SocketAddr,
        bytes: Vec<u8>,
    },
    AtViewer {
        peer: PeerId,
        bytes: Vec<u8>,
    },
    /// By the socket: a page's word that its first slot stands still.
    Refresh {
        peer: PeerId,
    },
}

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) now: Instant,
    pub(crate) events: Vec<SfuEvent>,
    /// What taps were given.
    pub(crate) tapped: Vec<Bytes>,
    pub(crate) tap_is_full: bool,
    /// Of the datagrams that the engine sent.
    pub(crate) largest: usize,
    pub(crate) start: Instant,
    server: SocketAddr,
    pub(crate) members: BTreeMap<PeerId, Member>,
    sources: BTreeMap<(FeedId, LayerId), Source>,
    air: BTreeMap<(Instant, u64), Arrival>,
    pub(crate) told_at: Vec<(Instant, SfuEvent)>,
    order: u64,
    pub(crate) random: u64,
    /// The clock of the machine that makes the pictures.
    pub(crate) source_clock: Clock,
    /// The server's machine has too much to do; the sources are on it.
    pub(crate) stalls: Option<Stalls>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let server = SocketAddr::from(([192, 0, 2, 1], 8444));
        let engine =
            Engine::new(CoreConfig { candidates: vec![server], tcp: false, limits: Limits::default() }).expect("a certificate");
        let start = some_instant();
        World {
            engine,
            now: start,
            events: Vec::new(),
            tapped: Vec::new(),
            tap_is_full: false,
            largest: 0,
            start,
            server,
            members: BTreeMap::new(),
            sources: BTreeMap::new(),
            air: BTreeMap::new(),
            told_at: Vec::new(),
            order: 0,
            source_clock: Clock::new(start),
            stalls: None,
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
        }
    }

    pub(crate) fn page(&mut self, grants: Grants, delay: Duration) -> PeerId {
        self.join(PeerKind::Client, grants, delay, true)
    }

    pub(crate) fn player(&mut self, kind: PeerKind, grants: Grants, delay: Duration) -> PeerId {
        self.join(kind, grants, delay, false)
    }

    /// A player that tells what it can take, and not what arrives.
    pub(crate) fn old_player(&mut self, kind: PeerKind, grants: Grants, delay: Duration) -> PeerId {
        let made = Viewer::old(self.now, self.next_address());
        self.meet(kind, grants, delay, made)
    }

    pub(crate) fn tell_remb(&mut self, id: PeerId, bps: u64) {
        let now = self.local(id);
        self.viewer(id).tell_remb(now, bps);
        self.carry();
    }

    fn join(&mut self, kind: PeerKind, grants: Grants, delay: Duration, page: bool) -> PeerId {
        let made = Viewer::new(self.now, self.next_address(), page);
        self.meet(kind, grants, delay, made)
    }

    fn next_address(&self) -> SocketAddr {
        SocketAddr::from(([198, 51, 100, self.members.len() as u8 + 1], 40_000))
    }

    fn meet(&mut self, kind: PeerKind, grants: Grants, delay: Duration, (mut viewer, offer): (Viewer, String)) -> PeerId {
        let id = PeerId(self.members.len() as u64 + 1);
        let answer = self.engine.handle_offer(self.now, id, case(), kind, grants, &offer).expect("an answer");
        viewer.accept(&answer);
        self.members.insert(id, Member::new(self.now, viewer, delay));
        self.carry();
        id
    }

    /// The page makes a new connection under its old number, from another address.
    pub(crate) fn reconnect(&mut self, id: PeerId) {
        let now = self.now;
        let member = self.members.get_mut(&id).expect("a member");
        let address = SocketAddr::new(member.viewer.address.ip(), member.viewer.address.port() + 1);
        let (mut viewer, offer) = Viewer::new(member.clock.local(now), address, true);
        let answer = self.engine.handle_offer(now, id, case(), PeerKind::Client, ALL, &offer).expect("an answer");
        viewer.accept(&answer);
        self.members.get_mut(&id).expect("a member").viewer = viewer;
        self.carry();
    }

    /// The page has moved to another network and restarts ICE.
    pub(crate) fn restart_ice(&mut self, id: PeerId, kind: PeerKind) {
        let now = self.now;
        let old = self.members[&id].viewer.address;
        let offer = self.viewer(id).restart_ice(SocketAddr::new(old.ip(), old.port() + 7));
        let answer = self.engine.handle_offer(now, id, case(), kind, ALL, &offer).expect("an answer");
        self.viewer(id).accept(&answer);
        self.carry();
    }

    /// A camera publishes a feed, over a line with this delay.
    pub(crate) fn publish(&mut self, name: &str, lens: Lens, delay: Duration) -> PeerId {
        let id = PeerId(self.members.len() as u64 + 1);
        let address = SocketAddr::from(([198, 51, 100, id.0 as u8], 40_000));
        let (mut viewer, offer) = Viewer::camera(self.now, address, lens);
        self.engine.set_timeline(Moment { at: self.now, timeline: self.timeline(self.now) });
        let kind = PeerKind::Whip { feed: feed(name) };
        let answer = self.engine.handle_offer(self.now, id, case(), kind, Grants::default(), &offer).expect("an answer");
        viewer.accept(&answer);
        self.members.insert(id, Member::new(self.now, viewer, delay));
        self.carry();
        id
    }

    pub(crate) fn camera(&mut self, id: PeerId) -> &mut Camera {
        self.viewer(id).camera.as_mut().expect("a camera")
    }

    pub(crate) fn close(&mut self, id: PeerId) {
        let now = self.local(id);
        self.viewer(id).close(now);
        self.carry();
    }

    pub(crate) fn tap(&mut self, name: &str, ssrc: Option<u32>) {
        self.engine.tap(self.now, &case(), &feed(name), ssrc);
        self.carry();
    }

    pub(crate) fn refresh_tap(&mut self, name: &str) {
        self.engine.refresh_tap(self.now, &case(), &feed(name));
        self.carry();
    }

    /// (codec, up) of a published feed, as told.
    pub(crate) fn published(&self, name: &str) -> Vec<(VideoCodec, bool)> {
        let told = |e: &SfuEvent| match e {
            SfuEvent::Published { feed, codec, up, .. } if feed.as_str() == name => Some((*codec, *up)),
            _ => None,
        };
        self.events.iter().filter_map(told).collect()
    }

    pub(crate) fn viewer(&mut self, id: PeerId) -> &mut Viewer {
        &mut self.members.get_mut(&id).expect("a member").viewer
    }

    pub(crate) fn show(&mut self, id: PeerId, slot: u8, name: &str) {
        self.wish(id, slot, Wish::of(feed(name)));
    }

    pub(crate) fn wish(&mut self, id: PeerId, slot: u8, wish: Wish) {
        self.engine.assign(self.now, id, slot, Some(wish));
        self.carry();
    }

    pub(crate) fn show_nothing(&mut self, id: PeerId, slot: u8) {
        self.engine.assign(self.now, id, slot, None);
        self.carry();
    }

    pub(crate) fn grant(&mut self, id: PeerId, grants: Grants) {
        self.engine.set_grants(self.now, id, grants);
        self.carry();
    }

    pub(crate) fn send(&mut self, id: PeerId, channel: Channel, bytes: &[u8]) {
        self.engine.send_data(self.now, id, channel, Bytes::copy_from_slice(bytes));
        self.carry();
    }

    pub(crate) fn source(&mut self, name: &str) {
        let source = self.new_source();
        self.sources.insert((feed(name), LayerId::High), source);
    }

    fn new_source(&self) -> Source {
        Source::new(self.sources.len() as u8 + 1, self.now)
    }

    /// A feed in three layers as the engine makes them, on demand: 2.6 Mbit/s, 630 and 110 kbit/s. Returns their numbers.
    pub(crate) fn layered(&mut self, name: &str) -> [u8; 3] {
        self.layered_of(name, 1_000)
    }

    /// The same with packets of so many bytes in the best.
    pub(crate) fn layered_of(&mut self, name: &str, bytes: usize) -> [u8; 3] {
        let mut specs = Vec::new();
        let layers = [
            (LayerId::High, (10, 55), bytes, 1, 1_280),
            (LayerId::Mid, (3, 16), 800, 1, 640),
            (LayerId::Low, (1, 6), 850, 2, 320),
        ];
        let numbers = layers.map(|(layer, packets, bytes, every, width)| {
            let source = self.new_source();
            let number = source.number;
            let frames = 30 / every;
            specs.push(LayerSpec { layer, width, bps: (packets.0 * (bytes + 76) * 8) as u32 * frames });
            let source = Source { packets, bytes, every, on_demand: true, ..source };
            self.sources.insert((feed(name), layer), source);
            number
        });
        self.engine.set_layers(self.now, &case(), &feed(name), specs);
        numbers
    }

    /// What a slot was told to get, in order, with when.
    pub(crate) fn shown(&self, id: PeerId, slot: u8) -> Vec<(Duration, Option<LayerId>, Why)> {
        let told = |(at, e): &(Instant, SfuEvent)| match e {
            SfuEvent::Shown { peer, slot: s, layer, why } if *peer == id && *s == slot => {
                Some((at.duration_since(self.start), *layer, *why))
            }
            _ => None,
        };
        self.told_at.iter().filter_map(told).collect()
    }

    /// Bits a second of the line to a viewer from now on; `None`: all.
    pub(crate) fn rate(&mut self, id: PeerId, bps: Option<u64>) {
        let now = self.now;
        self.line(id).set_rate(now, bps);
    }

    /// Wishes for this width.
    pub(crate) fn draw_at(&mut self, id: PeerId, slot: u8, name: &str, width: u32) {
        self.wish(id, slot, Wish { width, ..Wish::of(feed(name)) });
    }

    pub(crate) fn restart_source(&mut self, name: &str) {
        let source = self.sources.get_mut(&(feed(name), LayerId::High)).expect("a source");
        source.ssrc += 100;
        source.seq = 3;
        source.key = true;
    }

    pub(crate) fn talk(&mut self, id: PeerId, dbov: i8) {
        let now = self.now;
        self.members.get_mut(&id).expect("a member").talk = Some((now, dbov));
    }

    /// Share of datagrams lost on this viewer's link, each way.
    pub(crate) fn lose(&mut self, id: PeerId, loss: f64) {
        self.lose_in_bursts(id, loss, 1.0);
    }

    /// The same, so many in a row on average.
    pub(crate) fn lose_in_bursts(&mut self, id: PeerId, loss: f64, burst: f64) {
        let line = self.line(id);
        (line.loss, line.burst) = (loss, burst);
    }

    pub(crate) fn line(&mut self, id: PeerId) -> &mut Line {
        &mut self.members.get_mut(&id).expect("a member").line
    }

    /// One way, from now on.
    pub(crate) fn delay(&mut self, id: PeerId, delay: Duration) {
        self.line(id).delay = delay;
    }

    /// When the server does what is due then.
    fn when(&self, at: Instant) -> Instant {
        self.stalls.map_or(at, |s| s.until(at))
    }

    /// Forgets what was told, as hours of it would fill the memory.
    pub(crate) fn forget(&mut self) {
        self.events.clear();
        self.told_at.clear();
        for member in self.members.values_mut() {
            member.viewer.forget();
        }
    }

    /// From now on it no longer checks that the way is open.
    pub(crate) fn check_no_more(&mut self, id: PeerId) {
        self.members.get_mut(&id).expect("a member").checked = true;
    }

    pub(crate) fn lost(&self, id: PeerId) -> u64 {
        self.members[&id].line.lost
    }

    pub(crate) fn request_keyframe(&mut self, id: PeerId, slot: usize) {
        let now = self.local(id);
        self.viewer(id).request_keyframe(now, slot);
        self.carry();
    }

    /// A datagram of random bytes from this viewer's address; the first byte is that of RTP, DTLS or STUN.
    pub(crate) fn garbage(&mut self, id: PeerId, length: usize) {
        let mut bytes: Vec<u8> = (0..length).map(|_| self.draw() as u8).collect();
        if let Some(first) = bytes.first_mut() {
            *first = [0x80, 0x81, 22, 23, 0, 20][length / 4 % 6];
        }
        let source = self.members[&id].viewer.address;
        self.engine.handle_datagram(self.now, Carrier::Udp, source, self.server, &bytes);
        self.carry();
    }

    /// A datagram from an address that nobody let in.
    pub(crate) fn stranger(&mut self, source: SocketAddr, bytes: &[u8]) {
        self.engine.handle_datagram(self.now, Carrier::Udp, source, self.server, bytes);
        self.carry();
    }

    /// The engine's user fragment for a viewer, as its answer said.
    pub(crate) fn ufrag(&mut self, id: PeerId) -> String {
        let answer = &self.viewer(id).answer;
        answer.lines().find_map(|l| l.strip_prefix("a=ice-ufrag:")).expect("a fragment").to_owned()
    }

    pub(crate) fn at(&self, since_start: Duration) -> Instant {
        self.start + since_start
    }

    pub(crate) fn timeline(&self, at: Instant) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000)).saturating_add(at.duration_since(self.start))
    }

    pub(crate) fn connected_at(&self, id: PeerId) -> Option<Instant> {
        self.told_at.iter().find(|(_, e)| matches!(e, SfuEvent::Connected { peer } if *peer == id)).map(|(at, _)| *at)
    }

    pub(crate) fn closed(&self, id: PeerId) -> Option<CloseReason> {
        self.events.iter().find_map(|e| match e {
            SfuEvent::Closed { peer, reason, .. } if *peer == id => Some(*reason),
            _ => None,
        })
    }

    pub(crate) fn keyframes_asked(&self, name: &str) -> usize {
        self.events.iter().filter(|e| matches!(e, SfuEvent::KeyframeWanted { feed, .. } if feed.as_str() == name)).count()
    }

    pub(crate) fn watchers(&self, name: &str) -> usize {
        let told = self.events.iter().rev().find_map(|e| match e {
            SfuEvent::Watchers { feed, count, .. } if feed.as_str() == name => Some(*count),
            _ => None,
        });
        told.unwrap_or(0)
    }

    pub(crate) fn stats(&self, id: PeerId) -> Option<PeerStats> {
        self.events.iter().rev().find_map(|e| match e {
            SfuEvent::Stats { peer, stats } if *peer == id => Some(stats.clone()),
            _ => None,
        })
    }

    /// Lets this much time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        // Bounded: a loop of timeouts that lead nowhere is a failure, not a hang.
        for _ in 0..2_000_000 {
            let Some(next) = self.next().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            self.step();
        }
        panic!("time does not pass");
    }

    fn next(&self) -> Option<Instant> {
        let viewers = self.members.values().map(|m| m.when(m.clock.real(m.viewer.deadline)));
        let talks = self.members.values().filter_map(|m| m.talk.map(|(at, _)| at));
        let sources = self.sources.values().map(|s| self.when(s.next));
        let cameras = self.members.values().filter_map(|m| m.viewer.camera.as_ref().map(|c| c.next));
        let beats = self.members.values().filter_map(|m| m.watching.as_ref().map(|w| w.beat));
        let air = self.air.keys().next().map(|(at, _)| *at);
        let engine = self.engine.poll_timeout().map(|at| self.when(at.max(self.now)));
        viewers.chain(talks).chain(beats).chain(sources).chain(cameras).chain(air).chain(engine).min()
    }

    fn step(&mut self) {
        let now = self.now;
        while let Some(entry) = self.air.first_entry().filter(|e| e.key().0 <= now) {
            match entry.remove() {
                Arrival::AtEngine { source, bytes } => {
                    self.engine.handle_datagram(now, Carrier::Udp, source, self.server, &bytes);
                }
                Arrival::AtViewer { peer, bytes } => {
                    let (server, now) = (self.server, self.local(peer));
                    self.viewer(peer).handle_datagram(now, server, &bytes);
                    let member = self.members.get_mut(&peer).expect("a member");
                    if let Some(watching) = &mut member.watching {
                        watching.handle(now, member.viewer.newest(0));
                    }
                }
                Arrival::Refresh { peer } => self.engine.refresh_slot(now, peer, 0),
            }
            self.carry();
        }
        let timeline = self.timeline(now);
        for (id, member) in &mut self.members {
            let local = member.clock.local(now);
            member.viewer.shoot(now, timeline);
            if let Some((at, dbov)) = member.talk.filter(|(at, _)| *at <= now) {
                member.viewer.speak(local, id.0, dbov);
                member.talk = Some((at + VOICE, dbov));
            }
            if member.viewer.deadline <= local && member.when(now) <= now {
                member.viewer.handle_timeout(local);
                // One that is due again at once waits its turn.
                member.viewer.deadline = member.viewer.deadline.max(local + Duration::from_micros(100));
            }
        }
        self.beat();
        if self.when(now) > now {
            self.carry();
            return;
        }
        let due: Vec<(FeedId, LayerId)> = self.sources.iter().filter(|(_, s)| s.next <= now).map(|(id, _)| id.clone()).collect();
        for id in due {
            self.frame(&id);
            self.carry();
        }
        if self.engine.poll_timeout().is_some_and(|at| at <= now) {
            self.engine.handle_timeout(now);
        }
        self.carry();
    }

    /// One frame of a source, captured [`ENCODING`] before it was due.
    fn frame(&mut self, id: &(FeedId, LayerId)) {
        let received = Moment { at: self.now, timeline: self.timeline(self.now) };
        let Some(due) = self.sources.get(id).map(|s| s.next) else { return };
        let timestamp = self.source_time(due).saturating_sub(ENCODING).rtp_90khz();
        let Some(source) = self.sources.get_mut(id) else { return };
        for packet in source.frame(timestamp) {
            let (feed, layer, codec) = (id.0.clone(), id.1, VideoCodec::H264);
            self.engine.handle_feed(self.now, &FeedPacket { case: case(), feed, layer, codec, packet: packet.into(), received });
        }
    }

    /// Puts what came out of engine and viewers on its way.
    pub(crate) fn carry(&mut self) {
        while let Some(event) = self.engine.poll_event() {
            if let SfuEvent::KeyframeWanted { feed, layer, .. } = &event
                && let Some(source) = self.sources.get_mut(&(feed.clone(), *layer))
            {
                source.key = true;
            }
            if let SfuEvent::Watchers { feed, layer, count, .. } = &event
                && let Some(source) = self.sources.get_mut(&(feed.clone(), *layer))
            {
                source.watched = *count > 0;
            }
            self.told_at.push((self.now, event.clone()));
            self.events.push(event);
        }
        let (tapped, full) = (&mut self.tapped, self.tap_is_full);
        self.engine.give_tapped(self.now, |_, _, packet| {
            if full {
                return Given::Full;
            }
            tapped.push(packet);
            Given::Taken
        });
        while let Some(transmit) = self.engine.poll_transmit() {
            self.largest = self.largest.max(transmit.contents.len());
            let to = self.members.iter().find(|(_, m)| m.viewer.address == transmit.destination).map(|(id, _)| *id);
            let Some(peer) = to else { continue };
            self.fly(peer, Arrival::AtViewer { peer, bytes: transmit.contents });
        }
        let ids: Vec<PeerId> = self.members.keys().copied().collect();
        for id in ids {
            while let Some((_, bytes)) = self.viewer(id).out.pop_front() {
                let member = &self.members[&id];
                let source = member.viewer.address;
                if !member.checked || !bytes.starts_with(&[0, 1]) {
                    self.fly(id, Arrival::AtEngine { source, bytes });
                }
            }
        }
    }

    pub(crate) fn fly(&mut self, peer: PeerId, arrival: Arrival) {
        let chance = (self.draw() >> 11) as f64 / (1u64 << 53) as f64;
        let Some(member) = self.members.get_mut(&peer) else { return };
        let arrives = match &arrival {
            Arrival::AtViewer { bytes, .. } => member.line.pass(self.now, chance, true, bytes),
            Arrival::AtEngine { bytes, .. } => member.line.pass(self.now, chance, false, bytes),
            Arrival::Refresh { .. } => Some(member.line.say(self.now, chance)),
        };
        let Some(arrives) = arrives else { return };
        let order = self.order + 1;
        let taken = match arrival {
            Arrival::AtViewer { .. } => member.when(arrives),
            Arrival::AtEngine { .. } | Arrival::Refresh { .. } => self.when(arrives),
        };
        self.order = order;
        self.air.insert((taken, order), arrival);
    }

    fn draw(&mut self) -> u64 {
        // xorshift64*
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}
