//! The server's end of the queues to and from the media thread.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Mutex, MutexGuard, PoisonError};

use annotation::id::FeedId;
use bytes::Bytes;
use link::id::CaseId;
use tokio::sync::{mpsc, oneshot};

use super::door::DoorCounts;
use super::places::Places;
use crate::api::{
    Channel, FeedPacket, Grants, LayerSpec, Limits, Moment, OfferError, PeerId, PeerKind, SendError, SfuEvent, Wish,
};
use crate::stats::Figures;

/// How the media thread is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SfuConfig {
    /// The one UDP port for everybody. Port 0 takes a free one.
    pub udp: SocketAddr,
    /// Addresses offered beside 127.0.0.1. Empty: the machine's own address on its way out, if it has one.
    pub advertise: Vec<IpAddr>,
    /// The one address offered in place of all others: that of a proxy, or the outside of a NAT which passes it on to us.
    pub announce: Option<SocketAddr>,
    pub limits: Limits,
    /// Threads that forward; each case is in one of them. 0: one for every four cores. One thread reads the port itself; more
    /// have another before them that reads and hands on.
    pub shards: usize,
}

impl Default for SfuConfig {
    fn default() -> Self {
        SfuConfig {
            udp: SocketAddr::from(([0, 0, 0, 0], 8444)),
            advertise: Vec::new(),
            announce: None,
            limits: Limits::default(),
            shards: 0,
        }
    }
}

/// Why the media thread did not start. Each says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    #[error("UDP {0} is already in use: end the program that uses it, or choose another media port")]
    PortBusy(SocketAddr),
    #[error("UDP {0} cannot be opened")]
    Bind(SocketAddr, #[source] std::io::Error),
    #[error("the media thread cannot be set up")]
    Setup(#[source] std::io::Error),
    #[error("the certificate for DTLS cannot be made: {0}")]
    Certificate(String),
}

/// Events from the media thread. `recv().await` in any runtime, `blocking_recv()` without one.
pub type Events = mpsc::Receiver<SfuEvent>;

#[derive(Debug)]
pub(crate) enum Command {
    Offer {
        peer: PeerId,
        case: CaseId,
        kind: PeerKind,
        grants: Grants,
        sdp: String,
        reply: oneshot::Sender<Result<String, OfferError>>,
    },
    Candidate {
        peer: PeerId,
        candidate: String,
    },
    Remove {
        peer: PeerId,
    },
    Grants {
        peer: PeerId,
        grants: Grants,
    },
    Assign {
        peer: PeerId,
        slot: u8,
        wish: Option<Wish>,
    },
    Refresh {
        peer: PeerId,
        slot: u8,
    },
    Layers {
        case: CaseId,
        feed: FeedId,
        specs: Vec<LayerSpec>,
    },
    Data {
        peer: PeerId,
        channel: Channel,
        bytes: Bytes,
    },
    Feed(FeedPacket),
    ForgetFeed {
        case: CaseId,
        feed: FeedId,
    },
    Tap {
        case: CaseId,
        feed: FeedId,
        ssrc: u32,
        out: Option<mpsc::Sender<Bytes>>,
    },
    RefreshTap {
        case: CaseId,
        feed: FeedId,
    },
    Timeline(Moment),
    Stop,
    /// A fault beyond any peer's turn.
    #[cfg(test)]
    Panic,
}

/// A hand on the media thread. Cheap to clone; the thread ends when the last one is dropped. Every call returns at once
/// except `offer`, which awaits the answer. Policy of the queue: drop newest, counted, and said in the result.
#[derive(Debug, Clone)]
pub struct SfuHandle {
    pub(crate) inner: Arc<Inner>,
}

/// Commands about one peer that are never dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sure {
    pub(crate) removed: bool,
    pub(crate) grants: Option<Grants>,
}

/// A panic while holding this lock leaves nothing half-done in it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One forwarding thread, from outside.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) queue: SyncSender<Command>,
    pub(crate) waker: Arc<mio::Waker>,
    /// A wake is under way; more are not needed until the thread has looked.
    pub(crate) woken: Arc<AtomicBool>,
    /// What must reach the media thread and found its queue full. At most one entry a peer.
    pub(crate) sure: Arc<Mutex<BTreeMap<PeerId, Sure>>>,
    /// Written by the media thread when nobody reads it, so that it never waits.
    pub(crate) figures: Arc<Mutex<Figures>>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) shards: Vec<Shard>,
    pub(crate) places: Arc<Places>,
    pub(crate) dropped: AtomicU64,
    pub(crate) local: SocketAddr,
    /// Strangers turned away before any shard, datagrams that a shard did not take.
    pub(crate) door: Arc<DoorCounts>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        for shard in &self.shards {
            let _ = shard.queue.try_send(Command::Stop);
            let _ = shard.waker.wake();
        }
    }
}

impl SfuHandle {
    /// The UDP port in use.
    pub fn port(&self) -> u16 {
        self.inner.local.port()
    }

    /// Commands that found the queue full since the start.
    pub fn dropped(&self) -> u64 {
        self.inner.dropped.load(Ordering::Relaxed)
    }

    /// What was counted since the start, at most a turn of the media thread ago.
    pub fn figures(&self) -> Figures {
        let mut all = Figures::default();
        for shard in &self.inner.shards {
            all.merge(&lock(&shard.figures));
        }
        all.counters.strangers += self.inner.door.strangers.load(Ordering::Relaxed);
        all.datagrams_dropped += self.inner.door.dropped.load(Ordering::Relaxed);
        all.tcp.merge(&lock(&self.inner.door.tcp));
        all
    }

    /// Threads that forward.
    pub fn shards(&self) -> usize {
        self.inner.shards.len()
    }

    /// Answers a peer's offer; makes the peer if it is new. A later offer of the same peer restarts its ICE, or, from a new
    /// connection (another certificate), takes the place of the first: what its slots show stays, `Connected` comes again.
    /// The answer holds all candidates of ours.
    pub async fn offer(
        &self,
        peer: PeerId,
        case: CaseId,
        kind: PeerKind,
        grants: Grants,
        sdp: String,
    ) -> Result<String, OfferError> {
        let (reply, answer) = oneshot::channel();
        let shard = self.inner.places.handle_offer(peer, &case);
        self.send(shard, Command::Offer { peer, case, kind, grants, sdp, reply }).map_err(|e| {
            self.inner.places.handle_answer(peer, false);
            match e {
                SendError::Full => OfferError::Busy,
                SendError::Stopped => OfferError::Stopped,
            }
        })?;
        answer.await.map_err(|_| OfferError::Stopped)?
    }

    /// A candidate of the peer's, as in `a=candidate:` with or without the `a=`. Nonsense is ignored and counted.
    pub fn add_candidate(&self, peer: PeerId, candidate: String) -> Result<(), SendError> {
        self.send(self.of(peer), Command::Candidate { peer, candidate })
    }

    /// Never lost: see [`SfuHandle::set_grants`].
    pub fn remove(&self, peer: PeerId) -> Result<(), SendError> {
        self.send_surely(peer, Command::Remove { peer }, Sure { removed: true, grants: None })
    }

    /// Never lost: where the queue is full it waits beside it, the newest grants of each peer, and is taken as soon as the queue
    /// has been. A revocation must not depend on how busy others keep the media thread.
    pub fn set_grants(&self, peer: PeerId, grants: Grants) -> Result<(), SendError> {
        self.send_surely(peer, Command::Grants { peer, grants }, Sure { removed: false, grants: Some(grants) })
    }

    /// Chooses what a page sees in a video slot, 0 to 4. `None`: nothing. Which layer it gets is told by
    /// [`SfuEvent::Shown`].
    pub fn assign(&self, peer: PeerId, slot: u8, wish: Option<Wish>) -> Result<(), SendError> {
        self.send(self.of(peer), Command::Assign { peer, slot, wish })
    }

    /// The page says that the picture of a slot stands still though its path is alive: see [`Engine::refresh_slot`](crate::Engine::refresh_slot).
    pub fn refresh(&self, peer: PeerId, slot: u8) -> Result<(), SendError> {
        self.send(self.of(peer), Command::Refresh { peer, slot })
    }

    /// What a feed comes in: without it only the layer of the wish is shown. Empty: gone.
    pub fn set_layers(&self, case: CaseId, feed: FeedId, specs: Vec<LayerSpec>) -> Result<(), SendError> {
        self.send(self.inner.places.of_case(&case), Command::Layers { case, feed, specs })
    }

    /// Sends one message. Before the channel is open, or when the peer's buffer is full: dropped and counted on `ink`, `eph`
    /// and `vit`; on `ctl` held back up to a bound, past which the peer is closed with `Overrun`.
    pub fn send_data(&self, peer: PeerId, channel: Channel, bytes: Bytes) -> Result<(), SendError> {
        self.send(self.of(peer), Command::Data { peer, channel, bytes })
    }

    pub fn feed_rtp(&self, packet: FeedPacket) -> Result<(), SendError> {
        self.send(self.inner.places.of_case(&packet.case), Command::Feed(packet))
    }

    /// The feed is gone. Assignments to it stay and wake when it returns.
    pub fn forget_feed(&self, case: CaseId, feed: FeedId) -> Result<(), SendError> {
        self.send(self.inner.places.of_case(&case), Command::ForgetFeed { case, feed })
    }

    /// Gives every packet of a published feed, whole, with this SSRC and sequence numbers that run on; `None` ends it. May
    /// come before the feed is published, and outlives a publisher: the next one under this name is given too. Begins at a
    /// keyframe. When `out` is full: dropped up to the next keyframe, which is asked for. When it is closed: ended.
    ///
    /// Packets come in the order they arrive: one repaired by retransmission comes late, under its own number.
    pub fn tap(&self, case: CaseId, feed: FeedId, ssrc: u32, out: Option<mpsc::Sender<Bytes>>) -> Result<(), SendError> {
        self.send(self.inner.places.of_case(&case), Command::Tap { case, feed, ssrc, out })
    }

    /// Whoever takes the packets of a tap cannot decode them: the publisher is asked for a keyframe. At most twice a second, and once in
    /// 4 s where it is said on and on; `keyframes_denied` counts the others.
    pub fn refresh_tap(&self, case: CaseId, feed: FeedId) -> Result<(), SendError> {
        self.send(self.inner.places.of_case(&case), Command::RefreshTap { case, feed })
    }

    /// Tells the case timeline, for the times of published feeds. Each [`FeedPacket`] tells it too; until either, it is the
    /// system's UTC at the start of the thread.
    pub fn set_timeline(&self, now: Moment) -> Result<(), SendError> {
        self.send_all(|| Command::Timeline(now))
    }

    /// Ends the media thread and closes every peer.
    pub fn stop(&self) -> Result<(), SendError> {
        self.send_all(|| Command::Stop)
    }

    fn send_surely(&self, peer: PeerId, command: Command, sure: Sure) -> Result<(), SendError> {
        let at = self.of(peer);
        let shard = &self.inner.shards[at];
        let mut waiting = lock(&shard.sure);
        // Behind what waits already, or the order of two grants would be lost.
        if !waiting.contains_key(&peer) {
            match self.send(at, command) {
                Err(SendError::Full) => {}
                other => return other,
            }
        }
        let entry = waiting.entry(peer).or_default();
        entry.removed |= sure.removed;
        entry.grants = sure.grants.or(entry.grants);
        let _ = shard.waker.wake();
        Ok(())
    }

    /// Where a peer is; one that was never heard of is nowhere, and as well here.
    fn of(&self, peer: PeerId) -> usize {
        self.inner.places.of_peer(peer).unwrap_or(0)
    }

    /// Fails when it failed for one of them.
    fn send_all(&self, command: impl Fn() -> Command) -> Result<(), SendError> {
        (0..self.inner.shards.len()).map(|shard| self.send(shard, command())).fold(Ok(()), Result::and)
    }

    pub(crate) fn send(&self, shard: usize, command: Command) -> Result<(), SendError> {
        let shard = &self.inner.shards[shard];
        match shard.queue.try_send(command) {
            Ok(()) => {
                if !shard.woken.swap(true, Ordering::AcqRel) {
                    let _ = shard.waker.wake();
                }
                Ok(())
            }
            Err(TrySendError::Full(_)) => {
                self.inner.dropped.fetch_add(1, Ordering::Relaxed);
                Err(SendError::Full)
            }
            Err(TrySendError::Disconnected(_)) => Err(SendError::Stopped),
        }
    }
}

/// Opens the socket and starts the media threads.
pub fn start(config: SfuConfig) -> Result<(SfuHandle, Events), StartError> {
    crate::edge::start::start(config)
}
