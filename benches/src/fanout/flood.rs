//! Datagrams from addresses that nobody let in: binding requests to nobody, hellos of DTLS, packets of RTP.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Addresses it comes from.
const SOCKETS: usize = 64;
const BURST_EVERY: Duration = Duration::from_millis(1);

/// Runs on a thread of its own until dropped.
#[derive(Debug)]
pub struct Flood {
    pub sent: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    pub fn start(to: SocketAddr, per_second: u64) -> Result<Self> {
        let sockets: Vec<UdpSocket> = (0..SOCKETS).map(|_| UdpSocket::bind((to.ip(), 0))).collect::<Result<_, _>>()?;
        for socket in &sockets {
            socket.set_nonblocking(true)?;
        }
        let (sent, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, ended) = (sent.clone(), done.clone());
        let thread = std::thread::spawn(move || {
            let (mut next, mut n) = (Instant::now(), 0u64);
            while !ended.load(Ordering::Relaxed) {
                for _ in 0..per_second / 1_000 {
                    let bytes = match n % 3 {
                        0 => binding_request(n),
                        1 => [&[22u8, 254, 253][..], &[0; 200]].concat(),
                        _ => vec![0x80; 1_000],
                    };
                    let _ = sockets[n as usize % SOCKETS].send_to(&bytes, to);
                    n += 1;
                }
                counted.store(n, Ordering::Relaxed);
                next += BURST_EVERY;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        Ok(Flood { sent, done, thread: Some(thread) })
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Well formed, to a user fragment that nobody has.
fn binding_request(n: u64) -> Vec<u8> {
    let mut request = vec![0, 1, 0, 36, 0x21, 0x12, 0xA4, 0x42];
    request.extend(n.to_be_bytes());
    request.extend([7; 4]);
    request.extend([0, 6, 0, 8]);
    request.extend(b"none:you");
    request.extend([0, 8, 0, 20]);
    request.extend([n as u8; 20]);
    request
}
