//! Room cameras that can be turned: pan, tilt and zoom over VISCA. One thread a camera, which nobody waits for.
//!
//! Whether somebody may turn it is the server's to say; that it stands still when nobody does is ours: [`drive`] stops it when no word comes for
//! [`drive::REFRESH_MAX`], and at once when the link ends, the curtain is drawn, or the engine stops.

pub mod drive;
pub mod simulated;
pub mod visca;

use std::net::{ToSocketAddrs, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annotation::id::FeedId;
use link::wire::PtzHealth;
use serde::Deserialize;

use self::drive::Drive;
use self::visca::Motion;
use crate::board::Board;
use crate::clock::LocalClock;

/// How often wishes are looked at: how much later a camera may move, or stop, for it.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Datagrams taken at once.
const DATAGRAMS: usize = 32;
/// A name that is not known, or no way there: tried again after this.
const DIAL_EVERY: Duration = Duration::from_secs(2);

/// Instead of an address: the camera that the feed's own source simulates.
pub const SIMULATED: &str = "simulated";

/// `ptz` of a feed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PtzConfig {
    /// Host, or host and port; VISCA over IP (UDP). [`SIMULATED`]: the camera of a generated room.
    pub visca: String,
}

impl PtzConfig {
    pub fn is_simulated(&self) -> bool {
        self.visca == SIMULATED
    }

    /// With the port that cameras listen on, where none is given.
    pub fn address(&self) -> Result<String, String> {
        let (host, port) = self.visca.rsplit_once(':').unwrap_or((&self.visca, ""));
        let port = if port.is_empty() { Ok(visca::PORT) } else { port.parse::<u16>() };
        match port {
            Ok(port) if !host.is_empty() && port > 0 => Ok(format!("{host}:{port}")),
            _ => Err(format!("ptz.visca is {:?}; give host or host:port", self.visca)),
        }
    }
}

#[derive(Debug, Default)]
struct Cable {
    /// The newest wish, and whether it has been taken.
    wish: Option<Motion>,
    health: PtzHealth,
}

/// The cameras of a room that can be turned. State, no queue: the newest wish counts.
#[derive(Debug, Clone, Default)]
pub struct Cameras(Arc<Vec<(FeedId, Mutex<Cable>)>>);

impl Cameras {
    pub fn new(feeds: impl IntoIterator<Item = FeedId>) -> Self {
        Cameras(Arc::new(feeds.into_iter().map(|feed| (feed, Mutex::default())).collect()))
    }

    /// The server's word. A feed without such a camera is nobody.
    pub fn wish(&self, feed: &str, motion: Motion) {
        if let Some((_, cable)) = self.0.iter().find(|(id, _)| id.as_str() == feed) {
            lock(cable).wish = Some(motion);
        }
    }

    /// Nobody is there who could let go of a key.
    pub fn stop_all(&self) {
        self.0.iter().for_each(|(_, cable)| lock(cable).wish = Some(Motion::STILL));
    }

    pub fn health(&self) -> Vec<PtzHealth> {
        self.0.iter().map(|(feed, cable)| PtzHealth { feed: feed.to_string(), ..lock(cable).health.clone() }).collect()
    }
}

fn lock(cable: &Mutex<Cable>) -> MutexGuard<'_, Cable> {
    cable.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread of one camera, until the engine stops.
pub fn run(cameras: &Cameras, feed: &FeedId, address: &str, clock: LocalClock, board: &Board) {
    let Some((_, cable)) = cameras.0.iter().find(|(id, _)| id == feed) else { return };
    let mut socket: Option<UdpSocket> = None;
    let mut next_dial = clock.now();
    let mut drive = Drive::new(clock.now());
    let mut said = None;
    loop {
        let stopped = board.is_stopped();
        let now = clock.now();
        if socket.is_none() && now >= next_dial {
            next_dial = now.saturating_add(DIAL_EVERY);
            socket = dial(address);
        }
        let wish = lock(cable).wish.take();
        // Whoever is behind the curtain is not looked for.
        let covered = board.read(|state| state.curtain_drawn());
        if stopped || covered {
            drive.handle_wish(Motion::STILL, now);
        } else if let Some(motion) = wish {
            drive.handle_wish(motion, now);
        }
        if drive.poll_timeout() <= now {
            drive.handle_timeout(now);
        }
        while let Some(bytes) = drive.poll_transmit() {
            // What does not leave is said again: no answer comes.
            let _ = socket.as_ref().map(|socket| socket.send(&bytes));
        }
        if stopped {
            return;
        }
        match &socket {
            Some(socket) => hear(socket, &mut drive, clock),
            None => {
                board.sleep(LOOK_EVERY);
            }
        }
        let problem = drive.problem(clock.now()).map_or("", |p| p.code());
        if said != Some(problem) {
            tracing::info!(%feed, problem, "the camera's control");
            said = Some(problem);
        }
        lock(cable).health = PtzHealth { feed: String::new(), problem: problem.into(), moving: drive.is_moving() };
    }
}

fn dial(address: &str) -> Option<UdpSocket> {
    let to = address.to_socket_addrs().ok()?.next()?;
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(to).ok()?;
    socket.set_read_timeout(Some(LOOK_EVERY)).ok()?;
    Some(socket)
}

/// Waits for the first datagram, takes what is there.
fn hear(socket: &UdpSocket, drive: &mut Drive, clock: LocalClock) {
    let mut bytes = [0u8; 64];
    for _ in 0..DATAGRAMS {
        match socket.recv(&mut bytes) {
            Ok(n) => drive.handle_datagram(&bytes[..n], clock.now()),
            // Nothing within the time, or nobody listens there: the answers that do not come say it.
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => std::thread::sleep(LOOK_EVERY),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_perhaps_a_port() {
        let address = |visca: &str| PtzConfig { visca: visca.into() }.address();
        assert_eq!(address("camera-1"), Ok("camera-1:52381".into()));
        assert_eq!(address("10.0.0.9:1259"), Ok("10.0.0.9:1259".into()));
        assert!([":1", "", "camera:0", "camera:x"].iter().all(|bad| address(bad).is_err()));
    }
}
