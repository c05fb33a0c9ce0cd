//! The media thread: waits for a packet, a command or a deadline, turns the engine, sends what came out. It never awaits,
//! never touches a disk, and holds no lock for longer than a swap.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use annotation::id::FeedId;
use bytes::Bytes;
use link::id::CaseId;
use mio::{Interest, Poll, Token, Waker};
use tokio::sync::mpsc;

use super::clock;
use super::handle::{Command, Events, Inner, SfuConfig, SfuHandle, StartError, Sure, lock};
use super::tcp::{TOKEN_FIRST, Tcp};
use super::udp::Udp;
use crate::adapter::Carrier;
use crate::adapter::Transmit;
use crate::api::{CoreConfig, FeedPacket, PeerId, SfuEvent};
use crate::engine::{Engine, Given};
use crate::stats::Figures;

/// Commands on their way here. 4 Mbit/s are 450 packets/s: room for a second of eight layers.
const COMMANDS_MAX: usize = 4_096;
/// Events on their way to the server.
const EVENTS_MAX: usize = 8_192;
/// Events that must not be lost, waiting for the server. It has stopped listening when these are full.
const KEPT_MAX: usize = 65_536;
/// Commands, and batches of datagrams, taken in one turn of the loop: neither starves the other, nor the deadlines.
const COMMANDS_PER_TURN: usize = 512;
const BATCHES_PER_TURN: usize = 16;
/// Commands whose datagrams leave together.
const COMMANDS_PER_BATCH: usize = 16;
/// Packets of pictures that are given to each viewer in one go: one of 4 Mbit/s is 15, and the kernel takes 64 in one call.
const FEEDS_PER_BATCH: usize = 64;
/// How soon a full event queue is tried again.
const RETRY: Duration = Duration::from_millis(5);

const UDP: Token = Token(0);
const WAKE: Token = Token(1);
const TCP: Token = Token(2);
/// How often connections that say nothing of worth are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

pub(super) fn start(config: SfuConfig) -> Result<(SfuHandle, Events), StartError> {
    let mut udp = Udp::bind(config.udp, config.announce)?;
    let candidates = udp.candidates(&config.advertise);
    let mut tcp = listen(&config, udp.local());
    let offered = CoreConfig { candidates, tcp: tcp.is_some(), limits: config.limits };
    let mut engine = Engine::new(offered).map_err(StartError::Certificate)?;
    engine.set_timeline(clock::moment());
    let poll = Poll::new().map_err(StartError::Setup)?;
    poll.registry().register(&mut udp.socket, UDP, Interest::READABLE | Interest::WRITABLE).map_err(StartError::Setup)?;
    if let Some(tcp) = &mut tcp {
        tcp.register(poll.registry(), TCP).map_err(StartError::Setup)?;
    }
    let waker = Arc::new(Waker::new(poll.registry(), WAKE).map_err(StartError::Setup)?);
    let (queue, commands) = sync_channel(COMMANDS_MAX);
    let (events_in, events) = mpsc::channel(EVENTS_MAX);
    let woken = Arc::new(AtomicBool::new(false));
    let local = udp.local();
    let figures = Arc::new(Mutex::new(Figures::default()));
    let sure = Arc::new(Mutex::new(BTreeMap::new()));
    let run = RunLoop {
        engine,
        udp,
        tcp,
        swept: clock::now(),
        commands,
        waker: waker.clone(),
        woken: woken.clone(),
        events: events_in,
        kept: VecDeque::new(),
        dropped: 0,
        figures: figures.clone(),
        feeds: Vec::with_capacity(FEEDS_PER_BATCH),
        taps: Taps::new(),
        sure: sure.clone(),
    };
    std::thread::Builder::new().name("media".into()).spawn(move || run.run(poll)).map_err(StartError::Setup)?;
    let inner = Inner { queue, waker, woken, dropped: AtomicU64::new(0), local, sure, figures };
    Ok((SfuHandle { inner: Arc::new(inner) }, events))
}

/// By TCP on the number of the UDP port. Without it there is still UDP: said, and no reason not to start.
fn listen(config: &SfuConfig, udp: std::net::SocketAddr) -> Option<Tcp> {
    match Tcp::bind(udp, config.announce) {
        Ok(tcp) => Some(tcp),
        Err(e) => {
            tracing::warn!(address = %udp, error = %e, "no pictures and voice by TCP: the port is taken by another program");
            None
        }
    }
}

/// Who is given the packets of a published feed.
type Taps = BTreeMap<(CaseId, FeedId), mpsc::Sender<Bytes>>;

struct RunLoop {
    engine: Engine,
    udp: Udp,
    tcp: Option<Tcp>,
    swept: Instant,
    commands: Receiver<Command>,
    waker: Arc<Waker>,
    woken: Arc<AtomicBool>,
    events: mpsc::Sender<SfuEvent>,
    kept: VecDeque<SfuEvent>,
    dropped: u64,
    figures: Arc<Mutex<Figures>>,
    /// Packets of pictures taken from the queue and not yet given on.
    feeds: Vec<FeedPacket>,
    taps: Taps,
    sure: Arc<Mutex<BTreeMap<PeerId, Sure>>>,
}

impl RunLoop {
    fn run(mut self, mut poll: Poll) {
        let mut ready = mio::Events::with_capacity(16);
        // Edge triggered: what was not read to the end is read again without being told.
        let mut more = false;
        loop {
            let wait = if more { Some(Duration::ZERO) } else { self.wait(clock::now()) };
            if let Err(e) = poll.poll(&mut ready, wait) {
                if e.kind() == ErrorKind::Interrupted {
                    continue;
                }
                tracing::error!(error = %e, "the media thread cannot wait for packets and ends");
                return;
            }
            if ready.iter().any(|e| e.token() == UDP && e.is_writable()) {
                self.udp.flush();
            }
            more = self.take_datagrams();
            more |= self.take_frames(&ready, poll.registry());
            if !self.take_commands() {
                self.pump();
                return;
            }
            let now = clock::now();
            if self.engine.poll_timeout().is_some_and(|at| at <= now) {
                self.engine.handle_timeout(now);
            }
            self.pump();
            if let Ok(mut figures) = self.figures.try_lock() {
                *figures = Figures {
                    forwarding: *self.udp.forwarding(),
                    datagrams_dropped: self.udp.dropped(),
                    events_dropped: self.dropped,
                    ..self.engine.figures()
                };
            }
            if self.events.is_closed() {
                return;
            }
        }
    }

    fn wait(&self, now: Instant) -> Option<Duration> {
        let deadline = self.engine.poll_timeout().map(|at| at.saturating_duration_since(now));
        // Somebody at the door has to be looked after.
        let door = self.tcp.as_ref().is_some_and(|tcp| !tcp.is_empty()).then_some(SWEEP_EVERY);
        let deadline = deadline.into_iter().chain(door).min();
        if self.kept.is_empty() { deadline } else { Some(deadline.map_or(RETRY, |d| d.min(RETRY))) }
    }

    /// True: there may be more.
    fn take_datagrams(&mut self) -> bool {
        for _ in 0..BATCHES_PER_TURN {
            let now = clock::now();
            let engine = &mut self.engine;
            let more = self.udp.receive(|source, destination, bytes| {
                engine.handle_datagram(now, Carrier::Udp, source, destination, bytes);
            });
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
        let Some(tcp) = &mut self.tcp else { return false };
        let mut more = false;
        for event in ready {
            match event.token() {
                TCP => tcp.knocked(),
                token if token.0 >= TOKEN_FIRST => {
                    if event.is_readable() {
                        tcp.readable(token);
                    }
                    if event.is_writable() {
                        tcp.writable(token);
                    }
                }
                _ => {}
            }
        }
        more |= tcp.accept(now, registry);
        let engine = &mut self.engine;
        more |= tcp.receive(|way, bytes| engine.handle_datagram(now, Carrier::Tcp, way.source, way.destination, bytes));
        if now.saturating_duration_since(self.swept) >= SWEEP_EVERY {
            self.swept = now;
            tcp.sweep(now);
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
                    self.engine.remove_all(now);
                    return false;
                }
                Ok(command) => {
                    self.give_feeds();
                    self.handle(command);
                }
                Err(TryRecvError::Empty) => {
                    self.give_feeds();
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
            let early: BTreeMap<PeerId, Sure> = taken.extract_if(.., |peer, _| !self.engine.knows(*peer)).collect();
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
                // A server that no longer waits for the answer is no error.
                let _ = reply.send(self.engine.handle_offer(now, peer, case, kind, grants, &sdp));
            }
            Command::Candidate { peer, candidate } => self.engine.add_candidate(now, peer, &candidate),
            Command::Remove { peer } => self.engine.remove(now, peer),
            Command::Grants { peer, grants } => self.engine.set_grants(now, peer, grants),
            Command::Assign { peer, slot, wish } => self.engine.assign(now, peer, slot, wish),
            Command::Layers { case, feed, specs } => self.engine.set_layers(now, &case, &feed, specs),
            Command::Data { peer, channel, bytes } => self.engine.send_data(now, peer, channel, bytes),
            Command::Feed(packet) => self.engine.handle_feed(now, &packet),
            Command::ForgetFeed { case, feed } => self.engine.forget_feed(now, &case, &feed),
            Command::Tap { case, feed, ssrc, out } => {
                self.engine.tap(now, &case, &feed, out.is_some().then_some(ssrc));
                match out {
                    Some(out) => self.taps.insert((case, feed), out),
                    None => self.taps.remove(&(case, feed)),
                };
                // Of listeners that went without a word.
                self.taps.retain(|_, out| !out.is_closed());
            }
            Command::Timeline(now) => self.engine.set_timeline(now),
            Command::Stop => {}
        }
    }

    /// Packets of pictures to all who watch them; each viewer's leave before the next is served.
    fn give_feeds(&mut self) {
        if self.feeds.is_empty() {
            return;
        }
        let (udp, tcp) = (&mut self.udp, &mut self.tcp);
        self.engine.handle_feeds(clock::now(), &self.feeds, |transmits| {
            for transmit in transmits.drain(..) {
                send(udp, tcp, &transmit);
            }
            udp.send_all();
            clock::now()
        });
        self.feeds.clear();
    }

    /// Sends everything that came out of the engine.
    fn pump(&mut self) {
        self.gather();
        self.udp.send_all();
        if let Some(tcp) = &mut self.tcp {
            tcp.send_all();
        }
    }

    /// Takes everything that came out of the engine; datagrams wait for `pump`.
    fn gather(&mut self) {
        let taps = &self.taps;
        self.engine.give_tapped(clock::now(), |case, feed, packet| {
            let Some(out) = taps.get(&(case.clone(), feed.clone())) else { return Given::Gone };
            match out.try_send(packet) {
                Ok(()) => Given::Taken,
                Err(mpsc::error::TrySendError::Full(_)) => Given::Full,
                Err(mpsc::error::TrySendError::Closed(_)) => Given::Gone,
            }
        });
        while let Some(transmit) = self.engine.poll_transmit() {
            send(&mut self.udp, &mut self.tcp, &transmit);
        }
        while let Some(event) = self.kept.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
                self.kept.push_front(event);
                break;
            }
        }
        while let Some(event) = self.engine.poll_event() {
            self.tell(event);
        }
    }

    fn tell(&mut self, event: SfuEvent) {
        let event = if self.kept.is_empty() {
            match self.events.try_send(event) {
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

fn send(udp: &mut Udp, tcp: &mut Option<Tcp>, transmit: &Transmit) {
    match (transmit.carrier, tcp) {
        (Carrier::Tcp, Some(tcp)) => tcp.send(transmit.destination, &transmit.contents),
        _ => udp.send(transmit),
    }
}
