//! The edge of [`super`]: a UDP proxy on loopback that puts a bad line between clients and the media port, and a TCP proxy
//! beside it that follows the script's outages. One thread each; both end when dropped. Both can be held, and given another
//! address, by hand.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Counts, Line, Phase, first_resend, lines};

/// Longest sleep of a loop that has nothing to do; bounds the added delay where packets arrive meanwhile.
const TICK: Duration = Duration::from_millis(1);
/// Retransmission timers of TCP: before a round trip is known, and on a short one.
const RTO_FIRST: Duration = Duration::from_secs(1);
const RTO_LATER: Duration = Duration::from_millis(200);

/// A running UDP proxy. Clients send to [`UdpProxy::address`].
#[derive(Debug)]
pub struct UdpProxy {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    counts: Arc<Mutex<(Counts, Counts)>>,
    held: Arc<AtomicBool>,
    moves: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

struct Client {
    upstream: UdpSocket,
    up: Line,
    down: Line,
}

impl UdpProxy {
    /// `start`: zero of the script's times. Every client address gets lines of its own, seeded by its order of arrival.
    pub fn start(listen: SocketAddr, server: SocketAddr, seed: u64, script: Vec<Phase>, start: Instant) -> std::io::Result<Self> {
        let socket = UdpSocket::bind(listen)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let counts = Arc::new(Mutex::new((Counts::default(), Counts::default())));
        let (held, moves) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (stopped, counted) = (stop.clone(), counts.clone());
        let (holds, moved) = (held.clone(), moves.clone());
        let thread = std::thread::spawn(move || {
            let mut clients: BTreeMap<SocketAddr, Client> = BTreeMap::new();
            let mut buffer = vec![0u8; 65_536];
            let mut seen_moves = 0;
            while !stopped.load(Ordering::Relaxed) {
                let mut idle = true;
                // For each packet: one that is sent after the word finds it held.
                let hold = || holds.load(Ordering::SeqCst);
                if std::mem::replace(&mut seen_moves, moved.load(Ordering::Relaxed)) != seen_moves {
                    for client in clients.values_mut() {
                        if let Ok(upstream) = towards(server) {
                            client.upstream = upstream;
                        }
                    }
                }
                while let Ok((n, from)) = socket.recv_from(&mut buffer) {
                    idle = false;
                    if hold() {
                        continue;
                    }
                    if !clients.contains_key(&from) {
                        let Ok(client) = connect(server, seed.wrapping_add(clients.len() as u64), &script) else { continue };
                        clients.insert(from, client);
                    }
                    if let Some(client) = clients.get_mut(&from) {
                        client.up.handle_packet(start.elapsed(), &buffer[..n]);
                    }
                }
                for (address, client) in &mut clients {
                    while let Ok(n) = client.upstream.recv(&mut buffer) {
                        idle = false;
                        if hold() {
                            continue;
                        }
                        client.down.handle_packet(start.elapsed(), &buffer[..n]);
                    }
                    let now = start.elapsed();
                    while let Some(packet) = client.up.poll_packet(now) {
                        let _ = client.upstream.send(&packet);
                    }
                    while let Some(packet) = client.down.poll_packet(now) {
                        let _ = socket.send_to(&packet, address);
                    }
                }
                if idle {
                    *counted.lock().unwrap_or_else(PoisonError::into_inner) = sum(&clients);
                    std::thread::sleep(TICK);
                }
            }
        });
        Ok(UdpProxy { address, stop, counts, held, moves, thread: Some(thread) })
    }

    /// While held nothing passes, whatever the script says.
    pub fn hold(&self, held: bool) {
        self.held.store(held, Ordering::SeqCst);
    }

    /// The clients have another address from now on, as behind a NAT that forgot them or on another network; nothing reaches
    /// the old one.
    pub fn move_clients(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// (up, down), all clients together.
    pub fn counts(&self) -> (Counts, Counts) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UdpProxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn connect(server: SocketAddr, seed: u64, script: &[Phase]) -> std::io::Result<Client> {
    let (up, down) = lines(seed, script);
    Ok(Client { upstream: towards(server)?, up, down })
}

fn towards(server: SocketAddr) -> std::io::Result<UdpSocket> {
    let upstream = UdpSocket::bind(("127.0.0.1", 0))?;
    upstream.connect(server)?;
    upstream.set_nonblocking(true)?;
    Ok(upstream)
}

fn sum(clients: &BTreeMap<SocketAddr, Client>) -> (Counts, Counts) {
    let add = |a: Counts, b: Counts| Counts {
        packets: a.packets + b.packets,
        lost: a.lost + b.lost,
        in_outage: a.in_outage + b.in_outage,
        over_rate: a.over_rate + b.over_rate,
        duplicated: a.duplicated + b.duplicated,
        reordered: a.reordered + b.reordered,
    };
    clients.values().fold(Default::default(), |(up, down), c| (add(up, c.up.counts()), add(down, c.down.counts())))
}

/// A running TCP proxy: bytes pass, except while the script says `outage` for their direction; then they wait until TCP's timer
/// would have sent them again after the outage. The first bytes of a connection stand for its SYN.
#[derive(Debug)]
pub struct TcpProxy {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    held: Arc<AtomicBool>,
    /// Both ends of each connection; closed ones stay until the next is taken. A page has a handful.
    connections: Arc<Mutex<Vec<TcpStream>>>,
    thread: Option<JoinHandle<()>>,
}

impl TcpProxy {
    pub fn start(listen: SocketAddr, server: SocketAddr, script: Vec<Phase>, start: Instant) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let (held, connections) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (holds, taken) = (held.clone(), connections.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let Ok((client, _)) = listener.accept() else {
                    std::thread::sleep(TICK);
                    continue;
                };
                let Ok(upstream) = TcpStream::connect(server) else { continue };
                let _ = (client.set_nodelay(true), upstream.set_nodelay(true));
                let (Ok(client_in), Ok(upstream_in)) = (client.try_clone(), upstream.try_clone()) else { continue };
                {
                    let mut all = taken.lock().unwrap_or_else(PoisonError::into_inner);
                    all.retain(|one: &TcpStream| one.peer_addr().is_ok());
                    all.extend([client.try_clone(), upstream.try_clone()].into_iter().flatten());
                }
                let outages = |pick: fn(&Phase) -> bool| -> Vec<(Duration, bool)> {
                    script.iter().map(|p| (Duration::from_millis(p.at_ms), pick(p))).collect()
                };
                pump(client_in, upstream, outages(|p| p.up.outage), RTO_FIRST, start, (stopped.clone(), holds.clone()));
                pump(upstream_in, client, outages(|p| p.down.outage), RTO_LATER, start, (stopped.clone(), holds.clone()));
            }
        });
        Ok(TcpProxy { address, stop, held, connections, thread: Some(thread) })
    }

    /// While held nothing passes; what came meanwhile does afterwards.
    pub fn hold(&self, held: bool) {
        self.held.store(held, Ordering::SeqCst);
    }

    /// Ends all connections, as a browser does whose network changed.
    pub fn end_connections(&self) {
        for one in self.connections.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = one.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// `rto`: of the first bytes.
fn pump(
    mut from: TcpStream,
    mut to: TcpStream,
    outages: Vec<(Duration, bool)>,
    mut rto: Duration,
    start: Instant,
    (stop, held): (Arc<AtomicBool>, Arc<AtomicBool>),
) {
    std::thread::spawn(move || {
        let _ = from.set_read_timeout(Some(Duration::from_millis(200)));
        let cut = |now: Duration| outages.iter().rev().find(|(at, _)| *at <= now).is_some_and(|(_, outage)| *outage);
        let mut buffer = vec![0u8; 65_536];
        while !stop.load(Ordering::Relaxed) {
            let n = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                Err(_) => break,
            };
            let through = first_resend(start.elapsed(), rto, cut);
            rto = RTO_LATER;
            while (start.elapsed() < through || held.load(Ordering::Relaxed)) && !stop.load(Ordering::Relaxed) {
                std::thread::sleep(TICK.max(through.saturating_sub(start.elapsed()).min(TICK * 10)));
            }
            if to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(std::net::Shutdown::Both), to.shutdown(std::net::Shutdown::Both));
    });
}

#[cfg(test)]
mod tests {
    use super::super::Conditions;
    use super::*;

    fn here() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    /// Sends back what it gets, until the test ends.
    fn udp_echo() -> SocketAddr {
        let socket = UdpSocket::bind(here()).expect("a socket");
        let address = socket.local_addr().expect("its address");
        std::thread::spawn(move || {
            let mut buffer = [0u8; 2_048];
            while let Ok((n, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&buffer[..n], from);
            }
        });
        address
    }

    #[test]
    fn packets_go_both_ways_and_back_to_the_client_they_are_for() {
        let proxy = UdpProxy::start(here(), udp_echo(), 1, Vec::new(), Instant::now()).expect("a proxy");
        let clients: Vec<UdpSocket> = (0..3).map(|_| UdpSocket::bind(here()).expect("a socket")).collect();
        for (n, client) in clients.iter().enumerate() {
            client.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
            client.send_to(&[n as u8; 100], proxy.address).expect("sent");
        }
        for (n, client) in clients.iter().enumerate() {
            let mut buffer = [0u8; 200];
            let (length, from) = client.recv_from(&mut buffer).expect("its own packet");
            assert_eq!((length, from, buffer[0]), (100, proxy.address, n as u8));
        }
    }

    #[test]
    fn an_outage_of_one_direction_stops_that_direction() {
        let down = Conditions { outage: true, ..Default::default() };
        let script = vec![Phase { at_ms: 0, down, ..Default::default() }];
        let proxy = UdpProxy::start(here(), udp_echo(), 1, script, Instant::now()).expect("a proxy");
        let client = UdpSocket::bind(here()).expect("a socket");
        client.send_to(&[1; 100], proxy.address).expect("sent");
        let end = Instant::now() + Duration::from_secs(60);
        while proxy.counts().1.in_outage == 0 && Instant::now() < end {
            std::thread::yield_now();
        }
        let (up, down) = proxy.counts();
        assert_eq!((up.packets, up.in_outage, down.packets, down.in_outage), (1, 0, 1, 1));
        client.set_nonblocking(true).expect("no waiting");
        assert!(client.recv_from(&mut [0u8; 200]).is_err());
    }

    #[test]
    fn a_client_that_moves_has_another_address_and_one_that_is_held_none() {
        let server = UdpSocket::bind(here()).expect("a socket");
        server.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
        let at = server.local_addr().expect("its address");
        let proxy = UdpProxy::start(here(), at, 1, Vec::new(), Instant::now()).expect("a proxy");
        let client = UdpSocket::bind(here()).expect("a socket");
        let mut buffer = [0u8; 8];
        client.send_to(&[1], proxy.address).expect("sent");
        let (_, first) = server.recv_from(&mut buffer).expect("heard");
        proxy.move_clients();
        client.send_to(&[2], proxy.address).expect("sent");
        let mut heard = server.recv_from(&mut buffer).expect("heard");
        // The move is seen with the next turn of the proxy's thread.
        while heard.1 == first {
            client.send_to(&[2], proxy.address).expect("sent");
            heard = server.recv_from(&mut buffer).expect("heard");
        }
        server.send_to(&[3], heard.1).expect("sent");
        client.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
        client.recv(&mut buffer).expect("the answer finds it");
        proxy.hold(true);
        server.set_read_timeout(Some(Duration::from_millis(200))).expect("a limit");
        client.send_to(&[4], proxy.address).expect("sent");
        while let Ok((n, _)) = server.recv_from(&mut buffer) {
            assert_ne!(&buffer[..n], [4], "held");
        }
    }

    #[test]
    fn bytes_of_a_connection_pass_whole_both_ways() {
        let server = TcpListener::bind(here()).expect("a listener");
        let proxy =
            TcpProxy::start(here(), server.local_addr().expect("its address"), Vec::new(), Instant::now()).expect("a proxy");
        let mut client = TcpStream::connect(proxy.address).expect("a connection");
        let echo = std::thread::spawn(move || {
            let (mut stream, _) = server.accept().expect("a client");
            let mut bytes = vec![0u8; 300_000];
            stream.read_exact(&mut bytes).expect("all of it");
            stream.write_all(&bytes).expect("and back");
        });
        let sent: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
        client.write_all(&sent).expect("sent");
        let mut got = vec![0u8; sent.len()];
        client.read_exact(&mut got).expect("all of it");
        assert!(got == sent);
        echo.join().expect("no panic");
    }
}
