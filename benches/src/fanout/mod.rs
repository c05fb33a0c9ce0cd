//! One source to many viewers over real sockets: what the forwarding core takes for it, and what another server takes under
//! the same load. The method is in `README.md`.

pub mod crowd;
pub mod flood;
pub mod janus;
pub mod serve;
pub mod source;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use anyhow::{Context, Result};

/// This machine's own address: some servers do not speak over loopback. Connecting a UDP socket sends nothing; 192.0.2.1 is
/// nobody's (RFC 5737).
pub fn own_address() -> Result<IpAddr> {
    let probe = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let asked = probe.connect((Ipv4Addr::new(192, 0, 2, 1), 9));
    let ip = asked.and_then(|()| probe.local_addr()).map(|a| a.ip()).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    Ok(ip)
}

/// A port that is free now.
pub fn free_udp(ip: IpAddr) -> Result<SocketAddr> {
    UdpSocket::bind((ip, 0))?.local_addr().context("a bound socket has an address")
}

/// Resident memory of a process, bytes.
pub fn rss_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kb: u64 = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kb * 1_024)
}
