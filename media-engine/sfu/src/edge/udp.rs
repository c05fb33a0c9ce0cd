//! The one UDP socket for everybody: which of our addresses a packet came to, and from which it leaves.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket as StdUdpSocket};

use mio::net::UdpSocket;
use quinn_udp::{RecvMeta, UdpSocketState};

use super::handle::StartError;
use crate::adapter::Transmit;

/// Kernel buffers asked for; the system may grant less. 50 viewers x 60 packets of a keyframe x 1,200 bytes = 3.6 MB.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Datagrams read in one system call, each buffer large enough for 64 kB of coalesced ones.
const BATCH: usize = 16;
const BUFFER_BYTES: usize = 64 * 1024;
/// Datagrams that wait while the kernel takes no more. Policy: drop newest, counted; retransmission repairs.
const WAITING_MAX: usize = 4_096;

#[derive(Debug)]
pub(super) struct Udp {
    pub(super) socket: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    /// Peers know us by this address alone, and know nothing of how their packets come here.
    announce: Option<SocketAddr>,
    buffers: Vec<Vec<u8>>,
    waiting: VecDeque<Transmit>,
    dropped: u64,
}

impl Udp {
    pub(super) fn bind(address: SocketAddr, announce: Option<SocketAddr>) -> Result<Self, StartError> {
        let socket = StdUdpSocket::bind(address).map_err(|e| match e.kind() {
            ErrorKind::AddrInUse => StartError::PortBusy(address),
            _ => StartError::Bind(address, e),
        })?;
        socket.set_nonblocking(true).map_err(StartError::Setup)?;
        let local = socket.local_addr().map_err(StartError::Setup)?;
        let state = UdpSocketState::new((&socket).into()).map_err(StartError::Setup)?;
        // Smaller buffers only mean more loss under bursts: not a reason not to start.
        let _ = state.set_send_buffer_size((&socket).into(), SOCKET_BUFFER_BYTES);
        let _ = state.set_recv_buffer_size((&socket).into(), SOCKET_BUFFER_BYTES);
        Ok(Udp {
            socket: UdpSocket::from_std(socket),
            state,
            local,
            announce,
            buffers: vec![vec![0; BUFFER_BYTES]; BATCH],
            waiting: VecDeque::new(),
            dropped: 0,
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
            ips.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
            if advertise.is_empty() {
                ips.extend(own_address());
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
                    let ip = meta.dst_ip.unwrap_or(self.local.ip());
                    // ICE compares it with what was offered.
                    let destination = self.announce.unwrap_or(SocketAddr::new(ip, self.local.port()));
                    for datagram in buffer[..meta.len].chunks(meta.stride.max(1)) {
                        each(meta.addr, destination, datagram);
                    }
                }
                count > 0
            }
            // On loopback a peer that is gone answers with "refused": no reason to stop reading.
            Err(e) => matches!(e.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::Interrupted),
        }
    }

    pub(super) fn send(&mut self, transmit: Transmit) {
        if !self.waiting.is_empty() || !self.try_send(&transmit) {
            if self.waiting.len() < WAITING_MAX {
                self.waiting.push_back(transmit);
            } else {
                self.dropped += 1;
                if self.dropped.is_power_of_two() {
                    tracing::warn!(dropped = self.dropped, "the network takes less than is to be sent");
                }
            }
        }
    }

    /// The kernel takes datagrams again.
    pub(super) fn flush(&mut self) {
        while let Some(transmit) = self.waiting.pop_front() {
            if !self.try_send(&transmit) {
                self.waiting.push_front(transmit);
                return;
            }
        }
    }

    /// False: the kernel takes no more now. Any other failure counts as lost on the way.
    fn try_send(&self, transmit: &Transmit) -> bool {
        let source = transmit.source.ip();
        let datagram = quinn_udp::Transmit {
            destination: transmit.destination,
            ecn: None,
            contents: &transmit.contents,
            segment_size: None,
            // An announced address is not one of this machine's: the system chooses.
            src_ip: (self.announce.is_none() && self.local.ip().is_unspecified() && !source.is_unspecified()).then_some(source),
        };
        match self.state.try_send((&self.socket).into(), &datagram) {
            Ok(()) => true,
            Err(e) => e.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// The address this machine would leave by. Connecting a UDP socket sends nothing. 192.0.2.1 is nobody's (RFC 5737).
fn own_address() -> Option<IpAddr> {
    let probe = StdUdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    probe.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let ip = probe.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}
