//! Before several forwarding threads: one thread reads the port, by UDP and by TCP, and hands each datagram to the thread that
//! has its peer. Which that is, the threads say: a user fragment with the answer to an offer, an address once it has proved
//! itself. So a stranger reaches no thread, and nobody can draw another's datagrams to himself. All of one sender go through
//! one queue: they stay in order. What leaves by UDP leaves by each thread's own hand on the socket; what leaves by TCP goes
//! back through here, because a connection has one owner.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use mio::{Poll, Waker};

use super::clock;
use super::handle::lock;
use super::run_loop::{BATCHES_PER_TURN, SWEEP_EVERY, UDP};
use super::tcp::Tcp;
use super::udp::Udp;
use crate::adapter::{Carrier, Class, Transmit, stun_ufrag};
use crate::engine::WayChange;
use crate::stats::TcpFigures;

/// Batches on their way to one thread: 16 datagrams each and more, so at least a second of 200 viewers' reports. Policy: drop
/// newest, counted; reports come again, voices are concealed.
const INBOX_MAX: usize = 1_024;
/// Packets on their way back to TCP connections. Policy: drop newest, counted; retransmission repairs.
const OUTBOX_MAX: usize = 8_192;
/// Pictures among them: there is always room for voice.
const OUTBOX_PICTURES_MAX: usize = OUTBOX_MAX / 4 * 3;
/// Batches whose memory is kept.
const POOL_MAX: usize = 256;

/// Figures of the door.
#[derive(Debug, Default)]
pub(crate) struct DoorCounts {
    /// Datagrams from nobody we know.
    pub(crate) strangers: AtomicU64,
    /// Datagrams that a thread had no room for.
    pub(crate) dropped: AtomicU64,
    /// A second ago or less.
    pub(crate) tcp: Mutex<TcpFigures>,
}

/// Who is where.
#[derive(Debug, Default)]
pub(super) struct Table {
    names: HashMap<String, usize>,
    addresses: HashMap<(Carrier, SocketAddr), usize>,
}

impl Table {
    fn shard_of(&self, carrier: Carrier, source: SocketAddr, bytes: &[u8]) -> Option<usize> {
        match stun_ufrag(bytes) {
            Some(name) => self.names.get(name).copied(),
            None => self.addresses.get(&(carrier, source)).copied(),
        }
    }

    /// What a thread says counts until another says otherwise: it takes back only what is its own.
    fn handle(&mut self, shard: usize, change: WayChange) {
        match change {
            WayChange::Name(name, true) => drop(self.names.insert(name, shard)),
            WayChange::Address(way, true) => drop(self.addresses.insert(way, shard)),
            WayChange::Name(name, false) if self.names.get(&name) == Some(&shard) => drop(self.names.remove(&name)),
            WayChange::Address(way, false) if self.addresses.get(&way) == Some(&shard) => drop(self.addresses.remove(&way)),
            WayChange::Name(..) | WayChange::Address(..) => {}
        }
    }
}

/// Datagrams that came together.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    items: Vec<(Carrier, SocketAddr, SocketAddr, usize)>,
}

impl Batch {
    fn push(&mut self, carrier: Carrier, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.items.push((carrier, source, destination, bytes.len()));
    }

    fn each(&self, mut each: impl FnMut(Carrier, SocketAddr, SocketAddr, &[u8])) {
        let mut rest = &self.bytes[..];
        for (carrier, source, destination, length) in &self.items {
            let (bytes, others) = rest.split_at((*length).min(rest.len()));
            each(*carrier, *source, *destination, bytes);
            rest = others;
        }
    }
}

type Pool = Arc<Mutex<Vec<Batch>>>;

/// A packet on its way to a TCP connection.
type Frame = (SocketAddr, Class, Vec<u8>);

/// The door, from a forwarding thread.
#[derive(Debug)]
pub(super) struct Inbox {
    shard: usize,
    batches: Receiver<Batch>,
    knocked: Arc<AtomicBool>,
    table: Arc<RwLock<Table>>,
    pool: Pool,
    /// Empty only while it is let go.
    out: Option<SyncSender<Frame>>,
    /// Pictures in `out`, of all threads.
    pictures: Arc<AtomicUsize>,
    /// Something is in `out` that the door was not told of.
    sent: bool,
    door: Arc<Waker>,
    counts: Arc<DoorCounts>,
}

impl Inbox {
    /// Gives what has come. True: there may be more.
    pub(super) fn receive(&mut self, mut each: impl FnMut(Carrier, SocketAddr, SocketAddr, &[u8])) -> bool {
        // First: what is put in from here on wakes the thread again.
        self.knocked.store(false, Ordering::Release);
        for _ in 0..BATCHES_PER_TURN {
            let Ok(mut batch) = self.batches.try_recv() else { return false };
            batch.each(&mut each);
            batch.bytes.clear();
            batch.items.clear();
            let mut pool = lock(&self.pool);
            if pool.len() < POOL_MAX {
                pool.push(batch);
            }
        }
        true
    }

    pub(super) fn tell(&self, changes: impl Iterator<Item = WayChange>) {
        let mut changes = changes.peekable();
        if changes.peek().is_some() {
            let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
            changes.for_each(|change| table.handle(self.shard, change));
        }
    }

    /// One packet to a TCP connection.
    pub(super) fn send(&mut self, transmit: &Transmit) {
        let Some(out) = &self.out else { return };
        let picture = transmit.class == Class::Picture;
        let full = picture && self.pictures.load(Ordering::Relaxed) >= OUTBOX_PICTURES_MAX;
        // Counted before it is there to be taken out.
        self.pictures.fetch_add(usize::from(picture && !full), Ordering::Relaxed);
        match full || out.try_send((transmit.destination, transmit.class, transmit.contents.clone())).is_err() {
            false => self.sent = true,
            true => {
                self.pictures.fetch_sub(usize::from(picture && !full), Ordering::Relaxed);
                self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn send_all(&mut self) {
        if std::mem::take(&mut self.sent) {
            let _ = self.door.wake();
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.out = None;
        let _ = self.door.wake();
    }
}

/// One forwarding thread, from the door.
#[derive(Debug)]
pub(super) struct ToShard {
    queue: SyncSender<Batch>,
    knocked: Arc<AtomicBool>,
    filling: Batch,
    /// Set when the thread runs.
    pub(super) waker: Option<Arc<Waker>>,
}

impl ToShard {
    fn hand_over(&mut self, pool: &Pool, counts: &DoorCounts) {
        if self.filling.items.is_empty() {
            return;
        }
        let next = lock(pool).pop().unwrap_or_default();
        let batch = std::mem::replace(&mut self.filling, next);
        match self.queue.try_send(batch) {
            Ok(()) => {
                if !self.knocked.swap(true, Ordering::AcqRel)
                    && let Some(waker) = &self.waker
                {
                    let _ = waker.wake();
                }
            }
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => {
                counts.dropped.fetch_add(batch.items.len() as u64, Ordering::Relaxed);
            }
        }
    }
}

/// The thread at the door.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) udp: Udp,
    pub(super) tcp: Option<Tcp>,
    pub(super) shards: Vec<ToShard>,
    table: Arc<RwLock<Table>>,
    out: Receiver<Frame>,
    pictures: Arc<AtomicUsize>,
    pool: Pool,
    pub(super) counts: Arc<DoorCounts>,
    swept: Instant,
}

/// The door and what each thread has of it.
pub(super) fn door(udp: Udp, tcp: Option<Tcp>, shards: usize, waker: &Arc<Waker>) -> (Keeper, Vec<Inbox>) {
    let (table, pool, counts) = (Arc::<RwLock<Table>>::default(), Pool::default(), Arc::<DoorCounts>::default());
    let (outbox, out) = sync_channel(OUTBOX_MAX);
    let pictures = Arc::<AtomicUsize>::default();
    let (mut to, mut inboxes) = (Vec::new(), Vec::new());
    for shard in 0..shards {
        let (queue, batches) = sync_channel(INBOX_MAX);
        let knocked = Arc::new(AtomicBool::new(false));
        to.push(ToShard { queue, knocked: knocked.clone(), filling: Batch::default(), waker: None });
        inboxes.push(Inbox {
            shard,
            batches,
            knocked,
            table: table.clone(),
            pool: pool.clone(),
            out: Some(outbox.clone()),
            pictures: pictures.clone(),
            sent: false,
            door: waker.clone(),
            counts: counts.clone(),
        });
    }
    (Keeper { udp, tcp, shards: to, table, out, pictures, pool, counts, swept: clock::now() }, inboxes)
}

impl Keeper {
    /// Until the last forwarding thread is gone.
    pub(super) fn run(mut self, mut poll: Poll) {
        let mut ready = mio::Events::with_capacity(64);
        let mut more = false;
        loop {
            let door = self.tcp.as_ref().is_some_and(|tcp| !tcp.is_empty()).then_some(SWEEP_EVERY);
            let wait = if more { Some(std::time::Duration::ZERO) } else { door };
            if let Err(e) = poll.poll(&mut ready, wait) {
                if e.kind() == std::io::ErrorKind::Interrupted {
                    continue;
                }
                tracing::error!(error = %e, "the thread at the media port cannot wait for packets and ends");
                return;
            }
            more = self.take_datagrams(ready.iter().any(|e| e.token() == UDP) || more);
            more |= self.take_frames(&ready, poll.registry());
            if !self.give_back() {
                return;
            }
        }
    }

    /// True: there may be more.
    fn take_datagrams(&mut self, there: bool) -> bool {
        if !there {
            return false;
        }
        for _ in 0..BATCHES_PER_TURN {
            let (shards, counts) = (&mut self.shards, &self.counts);
            let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
            let more = self.udp.receive(|source, destination, bytes| {
                place(&table, shards, counts, Carrier::Udp, source, destination, bytes);
            });
            drop(table);
            for shard in &mut self.shards {
                shard.hand_over(&self.pool, &self.counts);
            }
            if !more {
                return false;
            }
        }
        true
    }

    fn take_frames(&mut self, ready: &mio::Events, registry: &mio::Registry) -> bool {
        let now = clock::now();
        let Some(tcp) = &mut self.tcp else { return false };
        tcp.handle_ready(ready);
        let mut more = tcp.accept(now, registry);
        let (shards, counts) = (&mut self.shards, &self.counts);
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        more |= tcp.receive(now, |way, bytes| {
            place(&table, shards, counts, Carrier::Tcp, way.source, way.destination, bytes);
            // Its first request proves it to its thread, which says so by the second.
            table.addresses.contains_key(&(Carrier::Tcp, way.source))
        });
        if now.saturating_duration_since(self.swept) >= SWEEP_EVERY {
            self.swept = now;
            tcp.sweep(now, |peer| !table.addresses.contains_key(&(Carrier::Tcp, peer)));
            *lock(&self.counts.tcp) = tcp.figures();
        }
        drop(table);
        for shard in &mut self.shards {
            shard.hand_over(&self.pool, &self.counts);
        }
        more
    }

    /// Packets for TCP connections. False: no thread is left to send any.
    fn give_back(&mut self) -> bool {
        loop {
            match self.out.try_recv() {
                Ok((destination, class, contents)) => {
                    self.pictures.fetch_sub(usize::from(class == Class::Picture), Ordering::Relaxed);
                    if let Some(tcp) = &mut self.tcp {
                        tcp.send(destination, class, &contents);
                    }
                }
                Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => break,
            }
        }
        if let Some(tcp) = &mut self.tcp {
            tcp.send_all();
        }
        true
    }
}

fn place(
    table: &Table,
    shards: &mut [ToShard],
    counts: &DoorCounts,
    carrier: Carrier,
    source: SocketAddr,
    destination: SocketAddr,
    bytes: &[u8],
) {
    match table.shard_of(carrier, source, bytes).and_then(|s| shards.get_mut(s)) {
        Some(shard) => shard.filling.push(carrier, source, destination, bytes),
        None => drop(counts.strangers.fetch_add(1, Ordering::Relaxed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn a_thread_takes_back_only_what_is_its_own() {
        let mut table = Table::default();
        let way = (Carrier::Udp, at(1));
        table.handle(0, WayChange::Address(way, true));
        // The port was given to another page, of another thread, before the first one's connection had ended.
        table.handle(1, WayChange::Address(way, true));
        table.handle(0, WayChange::Address(way, false));
        assert_eq!(table.shard_of(Carrier::Udp, at(1), &[0x80]), Some(1));
        assert_eq!(table.shard_of(Carrier::Tcp, at(1), &[0x80]), None, "by TCP it is somebody else");
        table.handle(1, WayChange::Address(way, false));
        assert_eq!(table.shard_of(Carrier::Udp, at(1), &[0x80]), None);
        table.handle(0, WayChange::Name("ours".into(), true));
        table.handle(1, WayChange::Name("ours".into(), false));
        assert_eq!(table.names.get("ours"), Some(&0));
        table.handle(0, WayChange::Name("ours".into(), false));
        assert!(table.names.is_empty() && table.addresses.is_empty());
    }

    #[test]
    fn a_batch_gives_each_datagram_whole_and_in_order() {
        let mut batch = Batch::default();
        for n in 0..20u8 {
            batch.push(Carrier::Udp, at(u16::from(n)), at(9), &vec![n; usize::from(n) * 7]);
        }
        let mut seen = Vec::new();
        batch.each(|_, source, _, bytes| seen.push((source.port(), bytes.to_vec())));
        let wanted: Vec<_> = (0..20u8).map(|n| (u16::from(n), vec![n; usize::from(n) * 7])).collect();
        assert_eq!(seen, wanted);
    }
}
