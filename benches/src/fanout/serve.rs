//! The forwarding core in a process of its own: RTP in on one socket, offers in and answers out as JSON lines.

use std::io::{BufRead, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use annotation::id::FeedId;
use annotation::time::CaptureTime;
use anyhow::{Context, Result};
use link::id::{CaseId, LayerId};
use serde::{Deserialize, Serialize};
use sfu::{FeedPacket, Figures, Grants, Limits, Moment, PeerId, PeerKind, SfuConfig, SfuEvent, VideoCodec, Wish};

use crate::stats::Percentiles;

/// What the process says.
#[derive(Debug, Serialize, Deserialize)]
pub enum Said {
    Ready {
        rtp: SocketAddr,
        media: SocketAddr,
    },
    Answer {
        peer: u64,
        sdp: String,
    },
    Refused {
        peer: u64,
        why: String,
    },
    Keyframe,
    /// Since the question before.
    Figures {
        forwarding_ms: Option<Percentiles>,
        datagrams_dropped: u64,
    },
}

#[derive(Debug, Serialize, Deserialize)]
enum Asked {
    Offer { peer: u64, sdp: String },
    Figures,
}

/// The process's body: until its input ends. `shards`: threads that forward, each with a case that has its share of the viewers; `pages`:
/// these are pages, else players.
pub fn run(shards: usize, pages: bool) -> Result<()> {
    let ip = super::own_address()?;
    let limits = Limits { peers_per_case: 1_024, peers: 1_024, ..Limits::default() };
    let config = SfuConfig { udp: SocketAddr::new(ip, 0), limits, shards, ..SfuConfig::default() };
    let (sfu, mut events) = sfu::start(config)?;
    let cases = (0..shards.max(1)).map(|n| CaseId::parse(&format!("fanout-{n}"))).collect::<Result<Vec<_>, _>>()?;
    let feed = FeedId::program();
    let rtp = UdpSocket::bind((ip, 0))?;
    say(&Said::Ready { rtp: rtp.local_addr()?, media: SocketAddr::new(ip, sfu.port()) });
    let (into, fed) = (sfu.clone(), cases.clone());
    std::thread::spawn(move || {
        let mut bytes = [0; 2_000];
        let mut first: Option<(u32, CaptureTime)> = None;
        while let Ok(n) = rtp.recv(&mut bytes) {
            let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let received = Moment { at: Instant::now(), timeline: CaptureTime::from_unix(unix) };
            let Some(stamp) = bytes.get(4..8).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes) else { continue };
            // From the source's clock to the case's, as the engine does it.
            let (zero, at) = *first.get_or_insert((stamp, received.timeline));
            let capture = at.saturating_add(Duration::from_micros(u64::from(stamp.wrapping_sub(zero)) * 1_000 / 90));
            bytes[4..8].copy_from_slice(&capture.rtp_90khz().to_be_bytes());
            let packet = bytes::Bytes::copy_from_slice(&bytes[..n]);
            for case in &fed {
                let (feed, layer, codec) = (FeedId::program(), LayerId::High, VideoCodec::H264);
                let _ = into.feed_rtp(FeedPacket { case: case.clone(), feed, layer, codec, packet: packet.clone(), received });
            }
        }
    });
    std::thread::spawn(move || {
        while let Some(event) = events.blocking_recv() {
            if let SfuEvent::KeyframeWanted { .. } = event {
                say(&Said::Keyframe);
            }
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut before = Figures::default();
    for line in std::io::stdin().lock().lines() {
        let (peer, sdp) = match serde_json::from_str(&line?)? {
            Asked::Offer { peer, sdp } => (peer, sdp),
            Asked::Figures => {
                let now = sfu.figures();
                let forwarding = now.forwarding.since(&before.forwarding);
                let ms = |share| forwarding.quantile(share).map(|d| d.as_secs_f64() * 1_000.0);
                let forwarding_ms = ms(0.5).zip(ms(0.95)).zip(ms(0.99)).map(|((p50, p95), p99)| Percentiles {
                    n: forwarding.count() as usize,
                    p50,
                    p95,
                    p99,
                });
                say(&Said::Figures { forwarding_ms, datagrams_dropped: now.datagrams_dropped - before.datagrams_dropped });
                before = now;
                continue;
            }
        };
        let player = PeerKind::Whep { feed: feed.clone(), layer: Some(LayerId::High) };
        let kind = if pages { PeerKind::Client } else { player };
        let grants = Grants { see: true, hear: pages, speak: pages };
        let case = cases[peer as usize % cases.len()].clone();
        let answer = runtime.block_on(sfu.offer(PeerId(peer), case, kind, grants, sdp));
        say(&match answer {
            Ok(sdp) => {
                if pages {
                    let wish = Wish { fixed: true, ..Wish::of(feed.clone()) };
                    sfu.assign(PeerId(peer), 0, Some(wish))?;
                }
                Said::Answer { peer, sdp }
            }
            Err(e) => Said::Refused { peer, why: e.to_string() },
        });
    }
    Ok(())
}

fn say(said: &Said) {
    if let Ok(line) = serde_json::to_string(said) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{line}");
        let _ = out.flush();
    }
}

/// The process from outside.
#[derive(Debug)]
pub struct Served {
    child: Child,
    input: ChildStdin,
    pub said: mpsc::Receiver<Said>,
    pub rtp: SocketAddr,
    /// Where viewers send to.
    pub media: SocketAddr,
}

impl Served {
    pub fn start(shards: usize, pages: bool) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(pages.then_some("--pages"))
            .args(["--serve", &shards.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the server's process does not start")?;
        let input = child.stdin.take().context("it has an input")?;
        let output = child.stdout.take().context("it has an output")?;
        let (tell, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in std::io::BufReader::new(output).lines().map_while(Result::ok) {
                if let Ok(said) = serde_json::from_str(&line)
                    && tell.send(said).is_err()
                {
                    return;
                }
            }
        });
        let ready = said.recv_timeout(Duration::from_secs(10)).context("the server's process says nothing")?;
        let Said::Ready { rtp, media } = ready else { anyhow::bail!("the server's process says {ready:?} first") };
        Ok(Served { child, input, said, rtp, media })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn offer(&mut self, peer: u64, sdp: String) -> Result<()> {
        self.ask(&Asked::Offer { peer, sdp })
    }

    /// The figures of the time since the last question; they come as [`Said::Figures`].
    pub fn ask_figures(&mut self) -> Result<()> {
        self.ask(&Asked::Figures)
    }

    fn ask(&mut self, asked: &Asked) -> Result<()> {
        writeln!(self.input, "{}", serde_json::to_string(asked)?)?;
        Ok(self.input.flush()?)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
