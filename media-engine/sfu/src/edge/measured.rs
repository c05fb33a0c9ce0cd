//! The way out of a forwarding thread, for whoever counts what a packet costs: as the thread uses it, and nothing more.

use std::net::SocketAddr;

use super::handle::StartError;
use super::udp::Udp;
use crate::adapter::Transmit;

/// A thread's hand on a UDP socket.
#[derive(Debug)]
pub struct Outgoing(Udp);

impl Outgoing {
    /// Errors: as of [`start`](crate::start).
    pub fn bind(address: SocketAddr) -> Result<Self, StartError> {
        Udp::bind(address, None).map(Outgoing)
    }

    pub fn send(&mut self, transmit: &Transmit) {
        self.0.send(transmit);
    }

    /// Hands what was gathered to the system.
    pub fn send_all(&mut self) {
        self.0.send_all();
        self.0.flush();
    }

    /// Calls that the system refused, and datagrams for which it had no room.
    pub fn lost(&self) -> u64 {
        self.0.failed() + self.0.dropped()
    }
}
