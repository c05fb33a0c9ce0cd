//! ICE over TCP (RFC 6544) for networks that let no UDP through: peers connect to the number of the UDP port, packets travel
//! in the frames of RFC 4571. One connection carries one peer; what it may hold up is bounded, and it holds up nobody else.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use super::run_loop::TCP;

/// Connections at once, and from one address (of IPv6: one /64): a hospital may stand behind one.
const CONNECTIONS_MAX: usize = 1_024;
const FROM_ONE_MAX: usize = 128;
/// Who has not proved himself by then is closed: a handshake takes a few round trips.
const PROVE_WITHIN: Duration = Duration::from_secs(10);
/// Bytes that wait for a slow connection: half a second of 4 Mbit/s. Policy: newest dropped whole, counted; retransmission
/// repairs, the estimate falls.
const WAITING_BYTES_MAX: usize = 256 * 1024;
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
    proven: bool,
    inbound: Vec<u8>,
    outbound: VecDeque<u8>,
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
    dropped: u64,
    refused: u64,
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
            dropped: 0,
            refused: 0,
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
            let house = house(peer.ip());
            let from_one = self.connections.values().filter(|c| self::house(c.peer.ip()) == house).count();
            if self.connections.len() >= CONNECTIONS_MAX || from_one >= FROM_ONE_MAX {
                self.refuse();
                continue;
            }
            // Small packets that are late are worth nothing.
            let _ = stream.set_nodelay(true);
            let token = self.next;
            self.next += 1;
            if registry.register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE).is_err() {
                self.refuse();
                continue;
            }
            self.by_peer.insert(peer, token);
            let connection = Connection {
                stream,
                peer,
                made: now,
                proven: false,
                inbound: Vec::new(),
                outbound: VecDeque::new(),
                blocked: false,
            };
            self.connections.insert(token, connection);
            // What it said already is not told again.
            self.more.push_back(token);
        }
        true
    }

    fn readable(&mut self, token: Token) {
        if self.connections.contains_key(&token.0) && !self.more.contains(&token.0) {
            self.more.push_back(token.0);
        }
    }

    /// Reads what is there and gives each packet; `each` says whether its sender has proved himself. True: there is more.
    pub(super) fn receive(&mut self, mut each: impl FnMut(Way, &[u8]) -> bool) -> bool {
        for _ in 0..self.more.len() {
            let Some(token) = self.more.pop_front() else { break };
            let Some(connection) = self.connections.get_mut(&token) else { continue };
            let local = canonical(connection.stream.local_addr().unwrap_or(self.local));
            // ICE compares it with what was offered.
            let way = Way { source: connection.peer, destination: self.announce.unwrap_or(local) };
            match connection.read(way, &mut each) {
                Reading::Dry => {}
                Reading::More => self.more.push_back(token),
                Reading::Over => self.close(token),
            }
        }
        !self.more.is_empty()
    }

    /// Sends one packet to whoever is connected from there. What finds nobody is lost on the way.
    pub(super) fn send(&mut self, destination: SocketAddr, contents: &[u8]) {
        let Some(token) = self.by_peer.get(&destination).copied() else { return };
        let Some(connection) = self.connections.get_mut(&token) else { return };
        let Ok(length) = u16::try_from(contents.len()) else { return };
        if connection.outbound.len() + contents.len() + 2 > WAITING_BYTES_MAX {
            self.dropped += 1;
            if self.dropped.is_power_of_two() {
                tracing::debug!(dropped = self.dropped, "a TCP connection takes less than is to be sent");
            }
            return;
        }
        connection.outbound.extend(length.to_be_bytes());
        connection.outbound.extend(contents);
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

    /// Closes those who did not prove themselves in time. To be called about once a second.
    pub(super) fn sweep(&mut self, now: Instant) {
        let late = |c: &Connection| !c.proven && now.saturating_duration_since(c.made) >= PROVE_WITHIN;
        let over: Vec<usize> = self.connections.iter().filter(|(_, c)| late(c)).map(|(t, _)| *t).collect();
        for token in over {
            self.refuse();
            self.close(token);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    fn refuse(&mut self) {
        self.refused += 1;
        if self.refused.is_power_of_two() {
            tracing::info!(refused = self.refused, "TCP connections that were too many, or said nothing of worth");
        }
    }

    fn close(&mut self, token: usize) {
        if let Some(connection) = self.connections.remove(&token)
            && self.by_peer.get(&connection.peer) == Some(&token)
        {
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
    fn read(&mut self, way: Way, each: &mut impl FnMut(Way, &[u8]) -> bool) -> Reading {
        let mut buffer = [0; READ_BYTES];
        for _ in 0..READS_PER_TURN {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Reading::Over,
                Ok(n) => {
                    self.inbound.extend_from_slice(&buffer[..n]);
                    let Some(taken) = frames(&self.inbound, |packet| self.proven |= each(way, packet)) else {
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
        while !self.blocked && !self.outbound.is_empty() {
            let (front, _) = self.outbound.as_slices();
            match self.stream.write(front) {
                Ok(0) => return false,
                Ok(n) => drop(self.outbound.drain(..n)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.blocked = true,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
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
}
