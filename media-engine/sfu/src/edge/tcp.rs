//! ICE over TCP (RFC 6544) for networks that let no UDP through: peers connect to the number of the UDP port, packets travel
//! in the frames of RFC 4571. One connection carries one peer; what it may hold up is bounded, and it holds up nobody else.
//!
//! A connection is a stranger's until what came by it proved a peer; strangers have places of their own, of which the oldest
//! makes room, so that they never shut out who is known. A known one lives as long as its peer, and as it is heard.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use super::lanes::Lanes;
use super::run_loop::TCP;
use crate::adapter::Class;
use crate::stats::TcpFigures;

/// Connections of peers at once, and from one address (of IPv6: one /64): a hospital may stand behind one. Policy: the newest is refused.
const KNOWN_MAX: usize = 1_024;
const KNOWN_FROM_ONE_MAX: usize = 128;
/// Those that have proved nothing yet. A peer does within a few round trips, so the oldest is most likely nobody. Policy: the oldest is closed,
/// of the same address where that has too many.
const STRANGERS_MAX: usize = 256;
const STRANGERS_FROM_ONE_MAX: usize = 32;
/// Who has not proved himself by then is closed: a handshake takes a few round trips.
const PROVE_WITHIN: Duration = Duration::from_secs(10);
/// A peer's consent to be sent to is over after 30 s without a word (RFC 7675 §5.1): a laptop that went to sleep says no goodbye.
const SILENT_MAX: Duration = Duration::from_secs(30);
/// What the system may hold that is not on the line yet: what waits there passes nothing by. 30 ms of 4 Mbit/s.
const UNSENT_BYTES_MAX: u32 = 16 * 1024;
/// Connections taken in one turn, and bytes read from one in a row.
const ACCEPTS_PER_TURN: usize = 32;
const READ_BYTES: usize = 16 * 1024;
const READS_PER_TURN: usize = 8;
/// Largest frame taken. A DTLS or RTP packet is under 1,500 bytes.
const FRAME_BYTES_MAX: usize = 2_048;

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    made: Instant,
    heard: Instant,
    /// It is a peer's.
    known: bool,
    inbound: Vec<u8>,
    outbound: Lanes,
    /// The kernel takes no more for now.
    blocked: bool,
}

/// Where a datagram that came over TCP came from and to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
}

#[derive(Debug)]
pub(super) struct Tcp {
    listener: TcpListener,
    local: SocketAddr,
    announce: Option<SocketAddr>,
    connections: BTreeMap<usize, Connection>,
    by_peer: HashMap<SocketAddr, usize>,
    next: usize,
    /// Somebody may wait at the door.
    waiting: bool,
    /// Readable ones that were not read to the end.
    more: VecDeque<usize>,
    counts: TcpFigures,
}

/// Tokens below are others'.
const TOKEN_FIRST: usize = 16;

impl Tcp {
    /// Listens where the UDP socket does.
    pub(super) fn bind(address: SocketAddr, announce: Option<SocketAddr>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let local = listener.local_addr()?;
        Ok(Tcp {
            listener,
            local,
            announce,
            connections: BTreeMap::new(),
            by_peer: HashMap::new(),
            next: TOKEN_FIRST,
            waiting: false,
            more: VecDeque::new(),
            counts: TcpFigures::default(),
        })
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> std::io::Result<()> {
        registry.register(&mut self.listener, token, Interest::READABLE)
    }

    /// What the system told: somebody waits at the door, a connection can be read or written again.
    pub(super) fn handle_ready(&mut self, ready: &mio::Events) {
        for event in ready {
            match event.token() {
                TCP => self.waiting = true,
                token if token.0 >= TOKEN_FIRST => {
                    if event.is_readable() {
                        self.readable(token);
                    }
                    if event.is_writable() {
                        self.writable(token);
                    }
                }
                _ => {}
            }
        }
    }

    /// Takes who waits at the door. True: there may be more.
    pub(super) fn accept(&mut self, now: Instant, registry: &Registry) -> bool {
        if !self.waiting {
            return false;
        }
        for _ in 0..ACCEPTS_PER_TURN {
            let (mut stream, peer) = match self.listener.accept() {
                Ok((stream, peer)) => (stream, canonical(peer)),
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => continue,
                Err(_) => {
                    self.waiting = false;
                    return false;
                }
            };
            self.make_room(peer.ip());
            // Small packets that are late are worth nothing, and what the system holds nothing can pass by.
            let _ = stream.set_nodelay(true);
            let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX);
            let token = self.next;
            self.next += 1;
            if registry.register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE).is_err() {
                self.counts.refused += 1;
                continue;
            }
            self.by_peer.insert(peer, token);
            let connection = Connection {
                stream,
                peer,
                made: now,
                heard: now,
                known: false,
                inbound: Vec::new(),
                outbound: Lanes::default(),
                blocked: false,
            };
            self.connections.insert(token, connection);
            self.counts.strangers += 1;
            // What it said already is not told again.
            self.more.push_back(token);
        }
        true
    }

    /// For one more stranger: the oldest goes, of the same house where that has too many.
    fn make_room(&mut self, ip: IpAddr) {
        let house = house(ip);
        // Tokens rise: the first is the oldest.
        let strangers = || self.connections.iter().filter(|(_, c)| !c.known);
        let of_house = || strangers().filter(|(_, c)| self::house(c.peer.ip()) == house);
        let oldest = if of_house().count() >= STRANGERS_FROM_ONE_MAX {
            of_house().next()
        } else if strangers().count() >= STRANGERS_MAX {
            strangers().next()
        } else {
            None
        };
        if let Some(token) = oldest.map(|(token, _)| *token) {
            self.refuse(token);
        }
    }

    /// A connection turned out to be a peer's. False: there are too many.
    fn admit(&mut self, token: usize) -> bool {
        let Some(house) = self.connections.get(&token).map(|c| house(c.peer.ip())) else { return false };
        let known = || self.connections.values().filter(|c| c.known);
        let full =
            known().count() >= KNOWN_MAX || known().filter(|c| self::house(c.peer.ip()) == house).count() >= KNOWN_FROM_ONE_MAX;
        if let Some(connection) = self.connections.get_mut(&token).filter(|_| !full) {
            connection.known = true;
            self.counts.strangers -= 1;
        }
        !full
    }

    fn readable(&mut self, token: Token) {
        if self.connections.contains_key(&token.0) && !self.more.contains(&token.0) {
            self.more.push_back(token.0);
        }
    }

    /// Reads what is there and gives each packet; `each` says whether its sender has proved himself. True: there is more.
    pub(super) fn receive(&mut self, now: Instant, mut each: impl FnMut(Way, &[u8]) -> bool) -> bool {
        for _ in 0..self.more.len() {
            let Some(token) = self.more.pop_front() else { break };
            let Some(connection) = self.connections.get_mut(&token) else { continue };
            let local = canonical(connection.stream.local_addr().unwrap_or(self.local));
            // ICE compares it with what was offered.
            let way = Way { source: connection.peer, destination: self.announce.unwrap_or(local) };
            let (known, mut proved) = (connection.known, false);
            match connection.read(now, way, |way, packet| proved |= each(way, packet)) {
                Reading::Dry => {}
                Reading::More => self.more.push_back(token),
                Reading::Over => {
                    self.close(token);
                    continue;
                }
            }
            if proved && !known && !self.admit(token) {
                self.refuse(token);
            }
        }
        !self.more.is_empty()
    }

    /// Sends one packet to whoever is connected from there. What finds nobody is lost on the way.
    pub(super) fn send(&mut self, destination: SocketAddr, class: Class, contents: &[u8]) {
        let Some(token) = self.by_peer.get(&destination) else { return };
        let Some(connection) = self.connections.get_mut(token) else { return };
        if !connection.outbound.push(class, contents) {
            self.counts.dropped += 1;
            if self.counts.dropped.is_power_of_two() {
                tracing::debug!(dropped = self.counts.dropped, "a TCP connection takes less than is to be sent");
            }
        }
    }

    /// Hands what waits to the kernel.
    pub(super) fn send_all(&mut self) {
        let over: Vec<usize> = self.connections.iter_mut().filter_map(|(t, c)| (!c.flush()).then_some(*t)).collect();
        for token in over {
            self.close(token);
        }
    }

    fn writable(&mut self, token: Token) {
        if let Some(connection) = self.connections.get_mut(&token.0) {
            connection.blocked = false;
        }
    }

    /// Closes those who did not prove themselves in time, those whose peer is `gone` from there, and those that fell silent. To be called
    /// about once a second.
    pub(super) fn sweep(&mut self, now: Instant, mut gone: impl FnMut(SocketAddr) -> bool) {
        let late = |c: &Connection| !c.known && now.saturating_duration_since(c.made) >= PROVE_WITHIN;
        let late: Vec<usize> = self.connections.iter().filter(|(_, c)| late(c)).map(|(t, _)| *t).collect();
        for token in late {
            self.refuse(token);
        }
        let mut over = |c: &Connection| c.known && (now.saturating_duration_since(c.heard) >= SILENT_MAX || gone(c.peer));
        let over: Vec<usize> = self.connections.iter().filter(|(_, c)| over(c)).map(|(t, _)| *t).collect();
        for token in over {
            self.counts.ended += 1;
            self.close(token);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    pub(super) fn figures(&self) -> TcpFigures {
        TcpFigures { open: self.connections.len(), ..self.counts }
    }

    fn refuse(&mut self, token: usize) {
        self.counts.refused += 1;
        if self.counts.refused.is_power_of_two() {
            tracing::info!(refused = self.counts.refused, "TCP connections that were too many, or said nothing of worth");
        }
        self.close(token);
    }

    fn close(&mut self, token: usize) {
        let Some(connection) = self.connections.remove(&token) else { return };
        self.counts.strangers -= usize::from(!connection.known);
        if self.by_peer.get(&connection.peer) == Some(&token) {
            self.by_peer.remove(&connection.peer);
        }
    }
}

enum Reading {
    Dry,
    More,
    Over,
}

impl Connection {
    fn read(&mut self, now: Instant, way: Way, mut each: impl FnMut(Way, &[u8])) -> Reading {
        let mut buffer = [0; READ_BYTES];
        for _ in 0..READS_PER_TURN {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Reading::Over,
                Ok(n) => {
                    self.heard = now;
                    self.inbound.extend_from_slice(&buffer[..n]);
                    let Some(taken) = frames(&self.inbound, |packet| each(way, packet)) else {
                        return Reading::Over;
                    };
                    self.inbound.drain(..taken);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Reading::Dry,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Reading::Over,
            }
        }
        Reading::More
    }

    /// False: it is broken.
    fn flush(&mut self) -> bool {
        if self.blocked {
            return true;
        }
        match self.outbound.flush(|slices| self.stream.write_vectored(slices)) {
            Ok(()) => true,
            Err(e) => {
                self.blocked = e.kind() == ErrorKind::WouldBlock;
                self.blocked
            }
        }
    }
}

/// Gives each whole frame; how many bytes they took. `None`: a frame larger than any packet. Source: RFC 4571 §2.
pub(crate) fn frames(bytes: &[u8], mut each: impl FnMut(&[u8])) -> Option<usize> {
    let mut at = 0;
    while let Some([high, low]) = bytes.get(at..at + 2) {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length > FRAME_BYTES_MAX {
            return None;
        }
        let Some(packet) = bytes.get(at + 2..at + 2 + length) else { break };
        each(packet);
        at += 2 + length;
    }
    Some(at)
}

/// IPv4 that came to `::` is IPv4 to everybody else.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Who shares a house: an IPv4 address, the /64 of an IPv6 address.
fn house(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_whole_wherever_the_stream_was_cut() {
        let mut stream = Vec::new();
        for length in [0usize, 1, 300, 2_048] {
            stream.extend((length as u16).to_be_bytes());
            stream.extend(vec![length as u8; length]);
        }
        for cut in 0..stream.len() {
            let mut lengths = Vec::new();
            let first = frames(&stream[..cut], |p| lengths.push(p.len())).expect("sound");
            frames(&stream[first..], |p| lengths.push(p.len())).expect("sound");
            assert_eq!(lengths, [0, 1, 300, 2_048], "cut at {cut}");
        }
        assert_eq!(frames(&[0xFF, 0xFF, 0], |_| {}), None);
    }

    #[test]
    fn a_house_is_an_address_or_a_slash_64() {
        let ip = |s: &str| s.parse::<IpAddr>().expect("an address");
        assert_eq!(house(ip("2001:db8::1")), house(ip("2001:db8::ffff:1")));
        assert_ne!(house(ip("2001:db8::1")), house(ip("2001:db8:0:1::1")));
        assert_eq!(house(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }

    /// A place to connect to, in virtual time.
    struct Place {
        poll: mio::Poll,
        tcp: Tcp,
        now: Instant,
    }

    impl Place {
        fn open() -> Self {
            let mut tcp = Tcp::bind(SocketAddr::from(([127, 0, 0, 1], 0)), None).expect("a port");
            let poll = mio::Poll::new().expect("a poll");
            tcp.register(poll.registry(), TCP).expect("registered");
            Place { poll, tcp, now: crate::some_instant() }
        }

        /// Turns until `done`. Who says 1 is somebody's peer.
        fn until(&mut self, what: &str, done: impl Fn(&Tcp) -> bool) {
            let (begun, mut events) = (crate::some_instant(), mio::Events::with_capacity(256));
            while !done(&self.tcp) {
                assert!(begun.elapsed() < Duration::from_secs(60), "{what}: {:?}", self.tcp.figures());
                self.poll.poll(&mut events, Some(Duration::from_millis(5))).expect("a poll");
                self.tcp.handle_ready(&events);
                self.tcp.accept(self.now, self.poll.registry());
                self.tcp.receive(self.now, |_, packet| packet == [1]);
                self.tcp.send_all();
            }
        }

        /// Connects, says so much, and is heard.
        fn enter(&mut self, says: u8) -> std::net::TcpStream {
            let mut stream = std::net::TcpStream::connect(self.tcp.local).expect("somebody listens");
            stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
            stream.write_all(&[0, 1, says]).expect("written");
            let peer = stream.local_addr().expect("an address");
            let said = |tcp: &Tcp| tcp.by_peer.get(&peer).and_then(|token| tcp.connections.get(token)).map(|c| c.known);
            let refused = self.tcp.counts.refused;
            self.until("enters", |tcp| said(tcp) == Some(says == 1) || said(tcp).is_none() && tcp.counts.refused > refused);
            stream
        }

        fn known(&self) -> usize {
            self.tcp.figures().open - self.tcp.figures().strangers
        }
    }

    #[test]
    fn a_connection_ends_with_its_peer_and_when_nothing_comes_by_it_any_more() {
        let mut place = Place::open();
        let (mut gone, _vanished, _stranger) = (place.enter(1), place.enter(1), place.enter(0));
        assert_eq!((place.known(), place.tcp.figures().strangers), (2, 1));
        let peer = gone.local_addr().expect("an address");
        place.tcp.sweep(place.now, |of| of == peer);
        assert_eq!((place.known(), place.tcp.figures().ended), (1, 1));
        assert_eq!(gone.read(&mut [0; 9]).expect("an end"), 0, "it is told");
        place.now += SILENT_MAX - Duration::from_secs(1);
        place.tcp.sweep(place.now, |_| false);
        assert_eq!((place.known(), place.tcp.figures().strangers), (1, 0), "the stranger had 10 s");
        place.now += Duration::from_secs(1);
        place.tcp.sweep(place.now, |_| false);
        assert_eq!(
            place.tcp.figures(),
            TcpFigures { open: 0, strangers: 0, refused: 1, ended: 2, dropped: 0 },
            "a laptop that went to sleep holds no place"
        );
        assert!(place.tcp.by_peer.is_empty());
    }

    #[test]
    fn strangers_shut_out_nobody_and_peers_of_one_house_have_a_bound() {
        let mut place = Place::open();
        let first = place.enter(1);
        let mut strangers: Vec<_> = (0..STRANGERS_FROM_ONE_MAX + 10).map(|_| place.enter(0)).collect();
        assert_eq!((place.known(), place.tcp.figures().strangers), (1, STRANGERS_FROM_ONE_MAX));
        assert_eq!(place.tcp.figures().refused, 10);
        assert_eq!(strangers[0].read(&mut [0; 9]).expect("an end"), 0, "the oldest made room");
        let mut others: Vec<_> = (0..KNOWN_FROM_ONE_MAX - 1).map(|_| place.enter(1)).collect();
        assert_eq!(place.known(), KNOWN_FROM_ONE_MAX, "though the door is full of strangers");
        assert_eq!(place.enter(1).read(&mut [0; 9]).expect("an end"), 0, "one too many of this house");
        assert_eq!(place.known(), KNOWN_FROM_ONE_MAX);
        drop((first, others.pop()));
        place.until("both have gone", |tcp| tcp.figures().open - tcp.figures().strangers == KNOWN_FROM_ONE_MAX - 2);
        let _back = place.enter(1);
        assert_eq!(place.known(), KNOWN_FROM_ONE_MAX - 1);
    }

    #[test]
    fn a_slow_reader_gets_voice_before_the_pictures_that_wait() {
        let mut place = Place::open();
        let mut reader = place.enter(1);
        let peer = reader.local_addr().expect("an address");
        let mut pictures = 0;
        let waiting = |tcp: &Tcp| tcp.connections.values().map(|c| c.outbound.waiting(Class::Picture)).sum::<usize>();
        // The system's buffers take some; what we hold is ours to order.
        while waiting(&place.tcp) < 100_000 {
            place.tcp.send(peer, Class::Picture, &[3; 1_000]);
            place.tcp.send_all();
            pictures += 1;
        }
        let behind = waiting(&place.tcp) / 1_002;
        place.tcp.send(peer, Class::Voice, &[1; 100]);
        let reading = std::thread::spawn(move || {
            let (mut order, mut frame) = (Vec::new(), vec![0; 1_000]);
            while order.len() <= pictures {
                let mut length = [0; 2];
                reader.read_exact(&mut length).expect("more comes");
                let length = usize::from(u16::from_be_bytes(length));
                reader.read_exact(&mut frame[..length]).expect("a whole frame");
                assert!(frame[..length].iter().all(|byte| *byte == frame[0]), "no two are mixed");
                order.push(frame[0]);
            }
            order
        });
        place.until("all is sent", |tcp| tcp.connections.values().all(|c| c.outbound.is_empty()));
        let order = reading.join().expect("read");
        let at = order.iter().position(|first| *first == 1).expect("voice came");
        assert_eq!(pictures - at, behind, "all that waited came after it");
    }
}
