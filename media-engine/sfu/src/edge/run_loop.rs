//! A media thread: waits for a packet, a command or a deadline, turns the engine, sends what came out. It never awaits,
//! never touches a disk, and holds no lock for longer than a swap.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use annotation::id::FeedId;
use bytes::Bytes;
use link::id::CaseId;
use mio::{Poll, Token, Waker};
use tokio::sync::mpsc;

use super::clock;
use super::door::Inbox;
use super::handle::{Command, Shard, StartError, Sure, lock};
use super::places::Places;
use super::tcp::Tcp;
use super::udp::Udp;
use crate::adapter::Carrier;
use crate::adapter::Transmit;
use crate::api::{FeedPacket, PeerId, SfuEvent};
use crate::engine::{Engine, Given};
use crate::stats::{Figures, TcpFigures};

/// Commands on their way here. 4 Mbit/s are 450 packets/s: room for a second of eight layers.
const COMMANDS_MAX: usize = 4_096;
/// Events on their way to the server.
pub(super) const EVENTS_MAX: usize = 8_192;
/// Events that must not be lost, waiting for the server. It has stopped listening when these are full.
const KEPT_MAX: usize = 65_536;
/// Commands, and batches of datagrams, taken in one turn of the loop: neither starves the other, nor the deadlines.
const COMMANDS_PER_TURN: usize = 512;
pub(super) const BATCHES_PER_TURN: usize = 16;
/// Commands whose datagrams leave together.
const COMMANDS_PER_BATCH: usize = 16;
/// Packets of pictures that are given to each viewer in one go: one of 4 Mbit/s is 15, and the kernel takes 64 in one call.
const FEEDS_PER_BATCH: usize = 64;
/// How long packets of a picture wait for its last, so that each viewer's leave in one call: an encoder hands all over within
/// 0.2 ms, and a picture is shown when its last packet is there. One that is spread on its way to us is not held up by it.
const GATHER: Duration = Duration::from_millis(1);
/// How soon a full event queue is tried again.
const RETRY: Duration = Duration::from_millis(5);

pub(super) const UDP: Token = Token(0);
pub(super) const WAKE: Token = Token(1);
pub(super) const TCP: Token = Token(2);
/// How often connections that say nothing of worth are looked for.
pub(super) const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Who is given the packets of a published feed.
type Taps = BTreeMap<(CaseId, FeedId), mpsc::Sender<Bytes>>;

/// How datagrams come in, and how those by TCP leave.
#[derive(Debug)]
pub(super) enum Door {
    /// This thread reads the port itself, alone.
    Own(Option<Tcp>),
    /// Another thread does.
    Before(Inbox),
}

/// What a forwarding thread is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) shard: usize,
    pub(super) engine: Engine,
    pub(super) udp: Udp,
    pub(super) door: Door,
    pub(super) events: mpsc::Sender<SfuEvent>,
    pub(super) places: Arc<Places>,
    /// Peers of all threads.
    pub(super) peers: Arc<[AtomicUsize]>,
}

/// Starts the thread; `poll` knows its socket already.
pub(super) fn spawn(poll: Poll, parts: Parts) -> Result<Shard, StartError> {
    let waker = Arc::new(Waker::new(poll.registry(), WAKE).map_err(StartError::Setup)?);
    let (queue, commands) = sync_channel(COMMANDS_MAX);
    let (woken, figures, sure) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Figures>>::default(), Arc::default());
    let run = RunLoop {
        swept: clock::now(),
        commands,
        waker: waker.clone(),
        woken: woken.clone(),
        kept: VecDeque::new(),
        dropped: 0,
        figures: figures.clone(),
        feeds: Vec::with_capacity(FEEDS_PER_BATCH),
        unfinished: None,
        taps: Taps::new(),
        sure: Arc::clone(&sure),
        more: false,
        parts,
    };
    std::thread::Builder::new().name("media".into()).spawn(move || run.run(poll)).map_err(StartError::Setup)?;
    Ok(Shard { queue, waker, woken, sure, figures })
}

struct RunLoop {
    parts: Parts,
    /// Edge triggered: what was not read to the end is read again without being told.
    more: bool,
    swept: Instant,
    commands: Receiver<Command>,
    waker: Arc<Waker>,
    woken: Arc<AtomicBool>,
    kept: VecDeque<SfuEvent>,
    dropped: u64,
    figures: Arc<Mutex<Figures>>,
    /// Packets of pictures taken from the queue and not yet given on.
    feeds: Vec<FeedPacket>,
    /// Since when they wait for the last packet of their picture.
    unfinished: Option<Instant>,
    taps: Taps,
    sure: Arc<Mutex<BTreeMap<PeerId, Sure>>>,
}

impl RunLoop {
    fn run(mut self, mut poll: Poll) {
        let mut ready = mio::Events::with_capacity(16);
        loop {
            // Beyond a peer's turn, which has a guard of its own: who is in this thread is ended, and may come back.
            match catch_unwind(AssertUnwindSafe(|| self.turn(&mut poll, &mut ready))) {
                Ok(true) => {}
                Ok(false) => return,
                Err(_) => {
                    tracing::error!(shard = self.parts.shard, "a forwarding thread panicked; who is in it is ended");
                    self.feeds.clear();
                    self.unfinished = None;
                    let ended = catch_unwind(AssertUnwindSafe(|| {
                        self.parts.engine.fail_all(clock::now());
                        self.pump();
                    }));
                    if ended.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// False: the thread ends.
    fn turn(&mut self, poll: &mut Poll, ready: &mut mio::Events) -> bool {
        let wait = if self.more { Some(Duration::ZERO) } else { self.wait(clock::now()) };
        if let Err(e) = poll.poll(ready, wait) {
            if e.kind() == ErrorKind::Interrupted {
                return true;
            }
            tracing::error!(error = %e, "a forwarding thread cannot wait for packets and ends");
            return false;
        }
        if ready.iter().any(|e| e.token() == UDP && e.is_writable()) {
            self.parts.udp.flush();
        }
        self.more = self.take_datagrams();
        self.more |= self.take_frames(ready, poll.registry());
        if !self.take_commands() {
            self.pump();
            return false;
        }
        let now = clock::now();
        if self.parts.engine.poll_timeout().is_some_and(|at| at <= now) {
            self.parts.engine.handle_timeout(now);
        }
        self.pump();
        self.parts.peers[self.parts.shard].store(self.parts.engine.n_peers(), Ordering::Relaxed);
        if let Ok(mut figures) = self.figures.try_lock() {
            *figures = Figures {
                forwarding: *self.parts.udp.forwarding(),
                datagrams_dropped: self.parts.udp.dropped(),
                events_dropped: self.dropped,
                sends_failed: self.parts.udp.failed(),
                tcp: match &self.parts.door {
                    Door::Own(Some(tcp)) => tcp.figures(),
                    Door::Own(None) | Door::Before(_) => TcpFigures::default(),
                },
                ..self.parts.engine.figures()
            };
        }
        !self.parts.events.is_closed()
    }

    fn wait(&self, now: Instant) -> Option<Duration> {
        let deadline = self.parts.engine.poll_timeout().map(|at| at.saturating_duration_since(now));
        // Somebody at the door has to be looked after.
        let door = matches!(&self.parts.door, Door::Own(Some(tcp)) if !tcp.is_empty()).then_some(SWEEP_EVERY);
        let gathered = self.unfinished.map(|since| (since + GATHER).saturating_duration_since(now));
        let deadline = deadline.into_iter().chain(door).chain(gathered).min();
        if self.kept.is_empty() { deadline } else { Some(deadline.map_or(RETRY, |d| d.min(RETRY))) }
    }

    /// True: there may be more.
    fn take_datagrams(&mut self) -> bool {
        for _ in 0..BATCHES_PER_TURN {
            let now = clock::now();
            let Parts { engine, udp, door, .. } = &mut self.parts;
            let more = match door {
                Door::Own(_) => udp.receive(|source, destination, bytes| {
                    engine.handle_datagram(now, Carrier::Udp, source, destination, bytes);
                }),
                Door::Before(inbox) => inbox.receive(|carrier, source, destination, bytes| {
                    engine.handle_datagram(now, carrier, source, destination, bytes);
                }),
            };
            self.pump();
            if !more {
                return false;
            }
        }
        true
    }

    /// What came by TCP. True: there may be more.
    fn take_frames(&mut self, ready: &mio::Events, registry: &mio::Registry) -> bool {
        let now = clock::now();
        let Parts { engine, door: Door::Own(Some(tcp)), .. } = &mut self.parts else { return false };
        let mut more = false;
        tcp.handle_ready(ready);
        more |= tcp.accept(now, registry);
        more |= tcp.receive(now, |way, bytes| engine.handle_datagram(now, Carrier::Tcp, way.source, way.destination, bytes));
        if now.saturating_duration_since(self.swept) >= SWEEP_EVERY {
            self.swept = now;
            tcp.sweep(now, |peer| !engine.knows_address(Carrier::Tcp, peer));
        }
        self.pump();
        more
    }

    /// False: the server is gone.
    fn take_commands(&mut self) -> bool {
        self.woken.store(false, Ordering::Release);
        for n in 1..=COMMANDS_PER_TURN {
            match self.commands.try_recv() {
                Ok(Command::Feed(packet)) => {
                    self.feeds.push(packet);
                    if self.feeds.len() == FEEDS_PER_BATCH {
                        self.give_feeds();
                    }
                    continue;
                }
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => {
                    let now = clock::now();
                    self.parts.engine.remove_all(now);
                    return false;
                }
                Ok(command) => {
                    // What people say to each other has nothing to do with pictures.
                    if !matches!(command, Command::Data { .. }) {
                        self.give_feeds();
                    }
                    self.handle(command);
                }
                Err(TryRecvError::Empty) => {
                    if !self.gathers() {
                        self.give_feeds();
                    }
                    self.pump();
                    self.take_sure(true);
                    return true;
                }
            }
            if n.is_multiple_of(COMMANDS_PER_BATCH) {
                self.pump();
            } else {
                self.gather();
            }
        }
        self.give_feeds();
        self.pump();
        self.take_sure(false);
        // The rest in the next turn, after the datagrams that came meanwhile.
        let _ = self.waker.wake();
        true
    }

    /// What found the queue full. Of a peer not known yet only once the queue is `empty`: its offer may still be in it.
    fn take_sure(&mut self, empty: bool) {
        let mut taken = std::mem::take(&mut *lock(&self.sure));
        if !empty {
            let early: BTreeMap<PeerId, Sure> = taken.extract_if(.., |peer, _| !self.parts.engine.knows(*peer)).collect();
            // What was said meanwhile is newer and stays.
            let mut waiting = lock(&self.sure);
            for (peer, sure) in early {
                let entry = waiting.entry(peer).or_default();
                entry.removed |= sure.removed;
                entry.grants = entry.grants.or(sure.grants);
            }
        }
        for (peer, sure) in taken {
            if let Some(grants) = sure.grants {
                self.handle(Command::Grants { peer, grants });
            }
            if sure.removed {
                self.handle(Command::Remove { peer });
            }
            self.pump();
        }
    }

    fn handle(&mut self, command: Command) {
        let now = clock::now();
        match command {
            Command::Offer { peer, case, kind, grants, sdp, reply } => {
                let others = self.parts.peers.iter().enumerate().filter(|(shard, _)| *shard != self.parts.shard);
                let elsewhere = others.map(|(_, peers)| peers.load(Ordering::Relaxed)).sum();
                self.parts.engine.set_elsewhere(elsewhere);
                let answer = self.parts.engine.handle_offer(now, peer, case, kind, grants, &sdp);
                self.parts.places.handle_answer(peer, self.parts.engine.knows(peer));
                // Whoever has the answer may send at once.
                self.tell_ways();
                // A server that no longer waits for the answer is no error.
                let _ = reply.send(answer);
            }
            Command::Candidate { peer, candidate } => self.parts.engine.add_candidate(now, peer, &candidate),
            Command::Remove { peer } => self.parts.engine.remove(now, peer),
            Command::Grants { peer, grants } => self.parts.engine.set_grants(now, peer, grants),
            Command::Assign { peer, slot, wish } => self.parts.engine.assign(now, peer, slot, wish),
            Command::Refresh { peer, slot } => self.parts.engine.refresh_slot(now, peer, slot),
            Command::Layers { case, feed, specs } => self.parts.engine.set_layers(now, &case, &feed, specs),
            Command::Data { peer, channel, bytes } => self.parts.engine.send_data(now, peer, channel, bytes),
            Command::Feed(packet) => self.parts.engine.handle_feed(now, &packet),
            Command::ForgetFeed { case, feed } => self.parts.engine.forget_feed(now, &case, &feed),
            Command::Tap { case, feed, ssrc, out } => {
                self.parts.engine.tap(now, &case, &feed, out.is_some().then_some(ssrc));
                match out {
                    Some(out) => self.taps.insert((case, feed), out),
                    None => self.taps.remove(&(case, feed)),
                };
                // Of listeners that went without a word.
                self.taps.retain(|_, out| !out.is_closed());
            }
            Command::RefreshTap { case, feed } => self.parts.engine.refresh_tap(now, &case, &feed),
            Command::Timeline(now) => self.parts.engine.set_timeline(now),
            Command::Stop => {}
            #[cfg(test)]
            Command::Panic => panic!("a test asked for this panic"),
        }
    }

    /// True: the picture that came last is not whole, and may still become so.
    fn gathers(&mut self) -> bool {
        // The marker bit (RFC 6184 §5.1, RFC 7741 §4.1).
        let whole = self.feeds.last().is_none_or(|last| last.packet.get(1).is_none_or(|second| second & 0x80 != 0));
        if whole {
            return false;
        }
        let now = clock::now();
        now.saturating_duration_since(*self.unfinished.get_or_insert(now)) < GATHER
    }

    /// Packets of pictures to all who watch them; each viewer's leave before the next is served.
    fn give_feeds(&mut self) {
        self.unfinished = None;
        if self.feeds.is_empty() {
            return;
        }
        let Parts { engine, udp, door, .. } = &mut self.parts;
        engine.handle_feeds(clock::now(), &self.feeds, |transmits| {
            for transmit in transmits.drain(..) {
                send(udp, door, &transmit);
            }
            udp.send_all();
            clock::now()
        });
        self.feeds.clear();
    }

    /// Sends everything that came out of the engine.
    fn pump(&mut self) {
        self.gather();
        self.parts.udp.send_all();
        match &mut self.parts.door {
            Door::Own(Some(tcp)) => tcp.send_all(),
            Door::Own(None) => {}
            Door::Before(inbox) => inbox.send_all(),
        }
    }

    /// Tells who stands at the door which datagrams are for this thread.
    fn tell_ways(&mut self) {
        let Parts { engine, door: Door::Before(inbox), .. } = &mut self.parts else { return };
        inbox.tell(std::iter::from_fn(|| engine.poll_way()));
    }

    /// Takes everything that came out of the engine; datagrams wait for `pump`.
    fn gather(&mut self) {
        self.tell_ways();
        let taps = &self.taps;
        self.parts.engine.give_tapped(clock::now(), |case, feed, packet| {
            let Some(out) = taps.get(&(case.clone(), feed.clone())) else { return Given::Gone };
            match out.try_send(packet) {
                Ok(()) => Given::Taken,
                Err(mpsc::error::TrySendError::Full(_)) => Given::Full,
                Err(mpsc::error::TrySendError::Closed(_)) => Given::Gone,
            }
        });
        let Parts { engine, udp, door, .. } = &mut self.parts;
        while let Some(transmit) = engine.poll_transmit() {
            send(udp, door, &transmit);
        }
        while let Some(event) = self.kept.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(event)) = self.parts.events.try_send(event) {
                self.kept.push_front(event);
                break;
            }
        }
        while let Some(event) = self.parts.engine.poll_event() {
            if let SfuEvent::Closed { peer, .. } = &event {
                self.parts.places.handle_closed(*peer, self.parts.engine.knows(*peer));
            }
            self.tell(event);
        }
    }

    fn tell(&mut self, event: SfuEvent) {
        let event = if self.kept.is_empty() {
            match self.parts.events.try_send(event) {
                Err(mpsc::error::TrySendError::Full(event)) => event,
                _ => return,
            }
        } else {
            event
        };
        let lossy = matches!(event, SfuEvent::Data { .. } | SfuEvent::Stats { .. } | SfuEvent::Voice { .. });
        if lossy || self.kept.len() >= KEPT_MAX {
            self.dropped += 1;
            if self.dropped.is_power_of_two() {
                tracing::warn!(dropped = self.dropped, "the server does not take the media thread's events");
            }
        } else {
            self.kept.push_back(event);
        }
    }
}

fn send(udp: &mut Udp, door: &mut Door, transmit: &Transmit) {
    match (transmit.carrier, door) {
        (Carrier::Udp, _) => udp.send(transmit),
        (Carrier::Tcp, Door::Own(Some(tcp))) => tcp.send(transmit.destination, transmit.class, &transmit.contents),
        (Carrier::Tcp, Door::Own(None)) => {}
        (Carrier::Tcp, Door::Before(inbox)) => inbox.send(transmit),
    }
}
