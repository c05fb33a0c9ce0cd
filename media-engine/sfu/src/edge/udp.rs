//! The one UDP socket for everybody: which of our addresses a packet came to, and from which it leaves.
//!
//! What leaves in one turn is gathered: packets of one size to one peer go to the kernel in one call (generic segmentation
//! offload, where the system has it). A picture of fifteen packets to fifty viewers is then fifty calls, not 750.

use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdUdpSocket};
use std::time::Instant;

use mio::net::UdpSocket;
use quinn_udp::{RecvMeta, UdpSocketState};

use super::clock;
use super::handle::StartError;
use crate::adapter::{Class, Transmit};
use crate::stats::Histogram;

/// Kernel buffers asked for; the system may grant less. 50 viewers x 60 packets of a keyframe x 1,200 bytes = 3.6 MB.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Datagrams read in one system call, each buffer large enough for 64 kB of coalesced ones.
const BATCH: usize = 16;
const BUFFER_BYTES: usize = 64 * 1024;
/// Datagrams that wait while the kernel takes no more: so many of pictures, and so many of all else, which goes before them. Policy:
/// drop newest, counted; retransmission repairs.
const WAITING_MAX: usize = 4_096;
/// One call takes at most 64 kB.
const RUN_BYTES_MAX: usize = 60_000;
/// Runs whose buffers are kept: 200 viewers and a few.
const RUNS_KEPT: usize = 256;

#[derive(Debug)]
pub(super) struct Udp {
    pub(super) socket: UdpSocket,
    /// The same socket, for others to send by.
    spare: StdUdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    /// Peers know us by this address alone, and know nothing of how their packets come here.
    announce: Option<SocketAddr>,
    buffers: Vec<Vec<u8>>,
    batch: Batch,
    /// Voice and all else, then pictures.
    waiting: [VecDeque<Run>; 2],
    /// Datagrams in each of `waiting`.
    n_waiting: [usize; 2],
    dropped: u64,
    failed: u64,
    /// From a packet's arrival in this process to the kernel.
    forwarding: Histogram,
}

/// From which of our addresses to whom, and whether it is of a picture.
type Way = (SocketAddr, SocketAddr, bool);

/// Datagrams of one way, all of one size but the last, which may be shorter.
#[derive(Debug)]
struct Run {
    source: SocketAddr,
    destination: SocketAddr,
    picture: bool,
    bytes: Vec<u8>,
    segment: usize,
    count: usize,
    /// When what is forwarded in it came here.
    since: Vec<Instant>,
}

/// What leaves in one turn. Buffers are used again.
#[derive(Debug, Default)]
struct Batch {
    runs: Vec<Run>,
    /// Those in use.
    used: usize,
    /// The way of the newest run, if that may be added to: mostly the next datagram's.
    newest: Option<Way>,
    /// The run that a datagram of this way may be added to.
    open: HashMap<Way, usize>,
}

impl Batch {
    fn push(&mut self, transmit: &Transmit, segments_max: usize) {
        let way = (transmit.source, transmit.destination, transmit.class == Class::Picture);
        let length = transmit.contents.len();
        let newest = (self.newest == Some(way)).then(|| self.used - 1);
        if let Some(at) = newest.or_else(|| self.open.get(&way).copied()) {
            let run = &mut self.runs[at];
            if length <= run.segment && run.count < segments_max && run.bytes.len() + length <= RUN_BYTES_MAX {
                run.bytes.extend_from_slice(&transmit.contents);
                run.count += 1;
                run.since.extend(transmit.since);
                if length < run.segment {
                    self.open.remove(&way);
                    self.newest = self.newest.filter(|newest| *newest != way);
                }
                return;
            }
        }
        if self.used == self.runs.len() {
            let (bytes, since) = (Vec::new(), Vec::new());
            self.runs.push(Run { source: way.0, destination: way.1, picture: way.2, bytes, segment: 0, count: 0, since });
        }
        let run = &mut self.runs[self.used];
        (run.source, run.destination, run.picture) = way;
        (run.segment, run.count) = (length, 1);
        run.bytes.clear();
        run.bytes.extend_from_slice(&transmit.contents);
        run.since.clear();
        run.since.extend(transmit.since);
        self.open.insert(way, self.used);
        self.newest = Some(way);
        self.used += 1;
    }

    fn clear(&mut self) {
        self.used = 0;
        self.newest = None;
        self.open.clear();
        // A burst is no reason to keep its memory for ever.
        self.runs.truncate(RUNS_KEPT);
    }
}

impl Udp {
    pub(super) fn bind(address: SocketAddr, announce: Option<SocketAddr>) -> Result<Self, StartError> {
        let socket = StdUdpSocket::bind(address).map_err(|e| match e.kind() {
            ErrorKind::AddrInUse => StartError::PortBusy(address),
            _ => StartError::Bind(address, e),
        })?;
        socket.set_nonblocking(true).map_err(StartError::Setup)?;
        let local = socket.local_addr().map_err(StartError::Setup)?;
        let spare = socket.try_clone().map_err(StartError::Setup)?;
        let state = UdpSocketState::new((&socket).into()).map_err(StartError::Setup)?;
        // Smaller buffers only mean more loss under bursts: not a reason not to start.
        let _ = state.set_send_buffer_size((&socket).into(), SOCKET_BUFFER_BYTES);
        let _ = state.set_recv_buffer_size((&socket).into(), SOCKET_BUFFER_BYTES);
        Ok(Udp {
            socket: UdpSocket::from_std(socket),
            spare,
            state,
            local,
            announce,
            buffers: vec![vec![0; BUFFER_BYTES]; BATCH],
            batch: Batch::default(),
            waiting: Default::default(),
            n_waiting: [0; 2],
            dropped: 0,
            failed: 0,
            forwarding: Histogram::default(),
        })
    }

    /// Another hand on the same socket, to send by: nothing is read through it.
    pub(super) fn share(&self) -> Result<Self, StartError> {
        let socket = self.spare.try_clone().map_err(StartError::Setup)?;
        Ok(Udp {
            spare: self.spare.try_clone().map_err(StartError::Setup)?,
            state: UdpSocketState::new((&socket).into()).map_err(StartError::Setup)?,
            socket: UdpSocket::from_std(socket),
            local: self.local,
            announce: self.announce,
            buffers: Vec::new(),
            batch: Batch::default(),
            waiting: Default::default(),
            n_waiting: [0; 2],
            dropped: 0,
            failed: 0,
            forwarding: Histogram::default(),
        })
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Addresses to offer to peers: the announced one alone; else loopback, and those given, or else the machine's own on
    /// its way out.
    pub(super) fn candidates(&self, advertise: &[IpAddr]) -> Vec<SocketAddr> {
        if let Some(announced) = self.announce {
            return vec![announced];
        }
        let mut ips = Vec::new();
        if self.local.ip().is_unspecified() {
            // A socket on `::` takes IPv4 as well.
            let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            let families = if self.local.is_ipv6() { &both[..] } else { &both[..1] };
            ips.extend(families);
            if advertise.is_empty() {
                ips.extend(families.iter().filter_map(|family| own_address(family.is_ipv6())));
            }
        } else {
            ips.push(self.local.ip());
        }
        for ip in advertise {
            if !ip.is_unspecified() && !ips.contains(ip) {
                ips.push(*ip);
            }
        }
        ips.into_iter().map(|ip| SocketAddr::new(ip, self.local.port())).collect()
    }

    /// Reads one batch. False: nothing more is there.
    pub(super) fn receive(&mut self, mut each: impl FnMut(SocketAddr, SocketAddr, &[u8])) -> bool {
        let mut metas = [RecvMeta::default(); BATCH];
        let mut slices: Vec<IoSliceMut<'_>> = self.buffers.iter_mut().map(|b| IoSliceMut::new(b)).collect();
        match self.state.recv((&self.socket).into(), &mut slices, &mut metas) {
            Ok(count) => {
                for (meta, buffer) in metas.iter().zip(&self.buffers).take(count) {
                    // IPv4 that came to `::` is IPv4 to everybody else.
                    let ip = meta.dst_ip.unwrap_or(self.local.ip()).to_canonical();
                    let source = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
                    // ICE compares it with what was offered.
                    let destination = self.announce.unwrap_or(SocketAddr::new(ip, self.local.port()));
                    for datagram in buffer[..meta.len].chunks(meta.stride.max(1)) {
                        each(source, destination, datagram);
                    }
                }
                count > 0
            }
            // On loopback a peer that is gone answers with "refused": no reason to stop reading.
            Err(e) => matches!(e.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::Interrupted),
        }
    }

    /// Gathers a datagram; it leaves with the next [`Udp::send_all`]. Order is kept within each way.
    pub(super) fn send(&mut self, transmit: &Transmit) {
        self.batch.push(transmit, self.state.max_gso_segments());
    }

    /// Hands what was gathered to the kernel.
    pub(super) fn send_all(&mut self) {
        if self.batch.used == 0 {
            return;
        }
        let mut batch = std::mem::take(&mut self.batch);
        for run in &mut batch.runs[..batch.used] {
            let lane = usize::from(run.picture);
            if self.waiting[..=lane].iter().all(VecDeque::is_empty) && self.try_send(run) {
                continue;
            }
            if self.n_waiting[lane] + run.count <= WAITING_MAX {
                self.n_waiting[lane] += run.count;
                let (bytes, since) = (std::mem::take(&mut run.bytes), std::mem::take(&mut run.since));
                self.waiting[lane].push_back(Run { bytes, since, ..*run });
            } else {
                self.dropped += run.count as u64;
                if self.dropped.is_power_of_two() {
                    tracing::warn!(dropped = self.dropped, "the network takes less than is to be sent");
                }
            }
        }
        batch.clear();
        self.batch = batch;
    }

    /// The kernel takes datagrams again.
    pub(super) fn flush(&mut self) {
        for lane in 0..self.waiting.len() {
            while let Some(run) = self.waiting[lane].pop_front() {
                if !self.try_send(&run) {
                    self.waiting[lane].push_front(run);
                    return;
                }
                self.n_waiting[lane] -= run.count;
            }
        }
    }

    /// False: the kernel takes no more now. Any other failure counts as lost on the way.
    fn try_send(&mut self, run: &Run) -> bool {
        let source = run.source.ip();
        let datagrams = quinn_udp::Transmit {
            destination: mapped(run.destination, self.local.is_ipv6()),
            ecn: None,
            contents: &run.bytes,
            segment_size: (run.count > 1).then_some(run.segment),
            // An announced address is not one of this machine's: the system chooses.
            src_ip: (self.announce.is_none() && self.local.ip().is_unspecified() && !source.is_unspecified()).then_some(source),
        };
        match self.state.try_send((&self.socket).into(), &datagrams) {
            Ok(()) => {
                if !run.since.is_empty() {
                    let now = clock::now();
                    for since in &run.since {
                        self.forwarding.record(now.saturating_duration_since(*since));
                    }
                }
                true
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => false,
            Err(e) => {
                self.failed += 1;
                if self.failed.is_power_of_two() {
                    tracing::debug!(failed = self.failed, error = %e, "the system does not send this");
                }
                true
            }
        }
    }

    /// Datagrams that found no room, since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Calls that the system refused for good, since the start.
    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    /// From a packet's arrival in this process to the kernel.
    pub(super) fn forwarding(&self) -> &Histogram {
        &self.forwarding
    }
}

/// IPv4 as a socket on `::` takes it. Source: RFC 4291 §2.5.5.2.
fn mapped(address: SocketAddr, v6: bool) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(v4) if v6 => SocketAddr::new(v4.to_ipv6_mapped().into(), address.port()),
        _ => address,
    }
}

/// The address this machine would leave by. Connecting a UDP socket sends nothing. 192.0.2.1 and 2001:db8::1 are nobody's
/// (RFC 5737, RFC 3849).
fn own_address(v6: bool) -> Option<IpAddr> {
    let probe = if v6 {
        let probe = StdUdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).ok()?;
        probe.connect((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9)).ok()?;
        probe
    } else {
        let probe = StdUdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        probe.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
        probe
    };
    let ip = probe.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(to: u16, length: usize, tag: u8) -> Transmit {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Transmit {
            carrier: crate::adapter::Carrier::Udp,
            class: Class::Picture,
            source: at(1),
            destination: at(to),
            contents: vec![tag; length],
            since: None,
        }
    }

    #[test]
    fn one_call_for_each_peer_and_every_datagram_whole_and_in_order() {
        let mut batch = Batch::default();
        for tag in 0..5u8 {
            for to in [10, 11] {
                batch.push(&datagram(to, if tag == 4 { 300 } else { 1_000 }, tag), 64);
            }
        }
        // Behind a shorter one a new run begins, and behind a longer one.
        batch.push(&datagram(10, 1_000, 5), 64);
        batch.push(&datagram(11, 200, 5), 64);
        batch.push(&datagram(11, 900, 6), 64);
        let runs: Vec<_> =
            batch.runs[..batch.used].iter().map(|r| (r.destination.port(), r.segment, r.count, r.bytes.len())).collect();
        assert_eq!(
            runs,
            [(10, 1_000, 5, 4_300), (11, 1_000, 5, 4_300), (10, 1_000, 1, 1_000), (11, 200, 1, 200), (11, 900, 1, 900)]
        );
        let tags: Vec<u8> = batch.runs[0].bytes.chunks(1_000).map(|c| c[0]).collect();
        assert_eq!(tags, [0, 1, 2, 3, 4]);
        batch.clear();
        assert_eq!(batch.used, 0);
        batch.push(&datagram(10, 1_000, 0), 64);
        batch.push(&Transmit { class: Class::Voice, ..datagram(10, 100, 1) }, 64);
        batch.push(&datagram(10, 1_000, 2), 64);
        let runs: Vec<_> = batch.runs[..batch.used].iter().map(|r| (r.picture, r.count)).collect();
        assert_eq!(runs, [(true, 2), (false, 1)], "voice has calls of its own");
        batch.clear();
        batch.push(&datagram(10, 10, 9), 1);
        batch.push(&datagram(10, 10, 9), 1);
        assert_eq!(batch.used, 2, "a system that takes one at a time gets one at a time");
    }

    #[test]
    fn while_the_kernel_takes_no_more_voice_waits_before_pictures_and_is_not_dropped_for_them() {
        let receiver = StdUdpSocket::bind("127.0.0.1:0").expect("a port");
        receiver.set_read_timeout(Some(std::time::Duration::from_secs(60))).expect("a timeout");
        let to = receiver.local_addr().expect("an address").port();
        let mut udp = Udp::bind(SocketAddr::from(([127, 0, 0, 1], 0)), None).expect("a port");
        // Somebody else's picture waits: the kernel was full a moment ago.
        for tag in 0..2 {
            udp.send(&datagram(to, 1_000, tag));
            let mut batch = std::mem::take(&mut udp.batch);
            let run = batch.runs.remove(0);
            udp.n_waiting[1] += run.count;
            udp.waiting[1].push_back(run);
        }
        udp.n_waiting[1] = WAITING_MAX;
        udp.send(&datagram(to, 1_000, 2));
        let run = Run {
            picture: false,
            bytes: vec![9; 100],
            segment: 100,
            count: 1,
            since: Vec::new(),
            source: SocketAddr::from(([127, 0, 0, 1], 1)),
            destination: SocketAddr::from(([127, 0, 0, 1], to)),
        };
        udp.n_waiting[0] += run.count;
        udp.waiting[0].push_back(run);
        udp.send_all();
        assert_eq!(udp.dropped(), 1, "the newest picture");
        udp.send(&Transmit { class: Class::Voice, ..datagram(to, 100, 8) });
        udp.send_all();
        assert_eq!((udp.dropped(), udp.n_waiting[0]), (1, 2), "voice has room");
        udp.flush();
        let mut buffer = [0; 2_000];
        let order: Vec<u8> = (0..4).map(|_| receiver.recv(&mut buffer).map(|_| buffer[0]).expect("it comes")).collect();
        assert_eq!(order, [9, 8, 0, 1]);
    }
}
