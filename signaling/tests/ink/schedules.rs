//! Random schedules against the real sequencer and the real database: loss, duplication, reordering, disconnects, restarts of
//! the server before and after the disk took what was drawn. AN8, SG40.

use std::collections::{BTreeMap, VecDeque};

use annotation::id::{Author, Epoch, Order};
use annotation::sequencer::Sequencer;
use annotation::sheet::Sheets;
use annotation::wire::{Op, OrderedOp};
use link::id::CaseId;
use rand::{Rng as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use signaling::edge::store::{Command, Opened, Store};
use signaling::ink_room::{InkEffect, InkRoom};
use tokio::sync::watch;

use crate::kit::{DESK, MENTOR, ROOM, case, drain, drawers, t};
use crate::page::Page;

/// Cases side by side in one database: 40 waves of 25.
const WAVES: u64 = 40;
const CASES: u64 = 25;
const ACTS: usize = 24;
/// Longest life of a server, in steps.
const LIFE: u32 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn an8_a_thousand_schedules_lose_and_double_nothing() {
    let mut ops = 0;
    let mut restarts = 0;
    for wave in 0..WAVES {
        let (done, lives) = run_wave(wave).await;
        ops += done;
        restarts += lives * CASES as usize;
    }
    assert_eq!(ops, (WAVES * CASES) as usize * ACTS);
    println!("{} schedules, {ops} ops, {restarts} restarts of a case's server", WAVES * CASES);
}

/// One case: its server's ink, its pages, the lines between them.
struct World {
    id: CaseId,
    rng: ChaCha8Rng,
    ink: InkRoom,
    pages: Vec<Page>,
    /// On the way: due step, page, bytes; up and down.
    up: Vec<(u32, usize, Vec<u8>)>,
    down: Vec<(u32, usize, Vec<u8>)>,
    cut: Vec<bool>,
    /// Taken by the server, not yet handed to the disk.
    to_disk: VecDeque<Vec<OrderedOp>>,
    /// On disk, and the server does not know yet.
    written: Option<Order>,
    acts_left: usize,
    now: u64,
    step: u32,
    /// All that pages ever said, by (author, seq).
    said: BTreeMap<(u32, u32), Op>,
}

async fn run_wave(wave: u64) -> (usize, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ink.sqlite");
    let mut worlds: Vec<World> = (0..CASES).map(|i| World::new(wave * CASES + i)).collect();
    let mut chance = ChaCha8Rng::seed_from_u64(0xD15C ^ wave);
    let mut lives = 0;
    while !worlds.iter().all(World::is_done) {
        lives += 1;
        assert!(
            lives < 60,
            "wave {wave} does not end: {:?}",
            worlds.iter().filter(|w| !w.is_done()).map(|w| &w.id).collect::<Vec<_>>()
        );
        let mut opened = Opened::open(&path).await.expect("opens");
        for world in &mut worlds {
            let known = opened.load_case(&world.id).await.expect("reads");
            world.start(known.ops);
        }
        let (store, writer) = opened.start();
        for _ in 0..LIFE {
            for world in &mut worlds {
                world.turn();
            }
            // Now and then the disk gets round to it: one transaction for all cases.
            if chance.random_bool(0.3) {
                write(&mut worlds, &store, &mut chance).await;
            }
        }
        // Of what the server had taken, some reaches the disk before its end, and nobody is told.
        write(&mut worlds, &store, &mut chance).await;
        drop(store);
        writer.await.expect("ends");
        for world in &mut worlds {
            world.to_disk.clear();
            world.written = None;
        }
    }
    let mut opened = Opened::open(&path).await.expect("opens");
    let mut ops = 0;
    for world in &worlds {
        let log = opened.load_case(&world.id).await.expect("reads").ops;
        world.check(&log);
        ops += world.said.len();
    }
    (ops, lives - 1)
}

async fn write(worlds: &mut [World], store: &Store, chance: &mut ChaCha8Rng) {
    for world in worlds.iter_mut() {
        let n = chance.random_range(0..=world.to_disk.len());
        for ops in world.to_disk.drain(..n) {
            world.written = ops.last().map(|o| Order(o.order));
            let (stored, _) = watch::channel(Order(0));
            store.send(Command::Ops { case: world.id.clone(), ops, stored }).await.expect("taken");
        }
    }
    store.flush().await.expect("written");
}

impl World {
    fn new(seed: u64) -> Self {
        let names = ["a", "b"];
        let id = case(&format!("case-{}{}", names[(seed % 2) as usize], seed));
        // A page says which case its pen is in; leaked once a schedule, so that pages stay plain values.
        let name: &'static str = Box::leak(id.to_string().into_boxed_str());
        World {
            ink: InkRoom::new(id.clone(), vec![], drawers()),
            id,
            rng: ChaCha8Rng::seed_from_u64(seed),
            pages: [ROOM, MENTOR, DESK].map(|rights| Page::new(name, rights)).into(),
            up: vec![],
            down: vec![],
            cut: vec![false; 3],
            to_disk: VecDeque::new(),
            written: None,
            acts_left: ACTS,
            now: 1_000,
            step: 0,
            said: BTreeMap::new(),
        }
    }

    /// A server starts on what the disk has; pages come back under their names.
    fn start(&mut self, stored: Vec<OrderedOp>) {
        self.ink = InkRoom::new(self.id.clone(), stored, drawers());
        self.up.clear();
        self.down.clear();
        for i in 0..self.pages.len() {
            self.join(i);
        }
    }

    fn join(&mut self, i: usize) {
        let page = &mut self.pages[i];
        page.handle_connection();
        self.cut[i] = false;
        self.ink.handle_leave(page.epoch(), t(self.now));
        self.ink.handle_join(page.epoch(), page.rights, t(self.now));
        self.take_effects();
    }

    fn is_done(&self) -> bool {
        let durable = self.ink.sheets().applied();
        self.acts_left == 0
            && self.to_disk.is_empty()
            && self.pages.iter().all(|p| p.outbox.is_empty() && p.replica.applied() == durable)
    }

    fn turn(&mut self) {
        self.step += 1;
        self.now += self.rng.random_range(5..600);
        let now = t(self.now);
        // Lines are bad while people draw, and heal afterwards, or nothing would ever end.
        let loss = if self.acts_left > 0 { 0.35 } else { 0.1 };
        if self.acts_left > 0 && self.rng.random_bool(0.6) {
            self.acts_left -= 1;
            let who = self.rng.random_range(0..self.pages.len());
            self.pages[who].act(&mut self.rng, now);
            if let Some(op) = self.pages[who].outbox.last() {
                self.said.insert((op.author, op.seq), op.clone());
            }
        }
        if self.rng.random_bool(0.04) {
            let who = self.rng.random_range(0..self.pages.len());
            self.cut[who] = true;
        }
        for i in 0..self.pages.len() {
            if self.cut[i] && self.rng.random_bool(0.3) {
                self.join(i);
            }
            let behind = self.pages[i].replica.applied() < self.ink.sheets().applied();
            if let Some(packet) = self.pages[i].poll_packet(now, behind) {
                self.send(i, packet, loss, true);
            }
        }
        for (i, packet) in arrived(&mut self.up, self.step) {
            if !self.cut[i] {
                // A page too eager waits for its turn; nothing else may go wrong.
                let _ = self.ink.handle_bytes(self.pages[i].epoch(), &packet, now);
                self.take_effects();
            }
        }
        if let Some(up_to) = self.written.take_if(|_| self.rng.random_bool(0.7)) {
            self.ink.handle_stored(up_to, now);
            self.take_effects();
        }
        if self.ink.poll_timeout().is_some_and(|at| at <= now) {
            self.ink.handle_timeout(now);
            self.take_effects();
        }
        for (i, packet) in arrived(&mut self.down, self.step) {
            if !self.cut[i] {
                self.pages[i].handle_packet(&packet);
            }
        }
    }

    fn take_effects(&mut self) {
        for effect in drain(&mut self.ink) {
            match effect {
                InkEffect::Store(ops) => self.to_disk.push_back(ops),
                InkEffect::Send { page, packet } => {
                    let i = self.pages.iter().position(|p| p.epoch() == page).expect("joined");
                    let loss = if self.acts_left > 0 { 0.35 } else { 0.1 };
                    self.send(i, packet.to_vec(), loss, false);
                }
                // On the socket: whole and in order.
                InkEffect::Snapshot { page, piece } => {
                    let i = self.pages.iter().position(|p| p.epoch() == page).expect("joined");
                    self.pages[i].handle_snapshot(&piece);
                }
                InkEffect::Audit { .. } | InkEffect::Anchor(_) | InkEffect::Pen | InkEffect::Keep { .. } => {}
            }
        }
    }

    /// Lost, doubled, late, and so out of order.
    fn send(&mut self, page: usize, packet: Vec<u8>, loss: f64, up: bool) {
        let copies = if self.rng.random_bool(loss) { 0 } else { 1 + usize::from(self.rng.random_bool(0.15)) };
        for _ in 0..copies {
            let due = self.step + self.rng.random_range(0..4);
            if up { &mut self.up } else { &mut self.down }.push((due, page, packet.clone()));
        }
    }

    fn check(&self, log: &[OrderedOp]) {
        let id = &self.id;
        let mut seen: BTreeMap<(u32, u32), usize> = BTreeMap::new();
        let mut replay = Sheets::default();
        for ordered in log {
            let op = ordered.op.as_ref().expect("an op");
            assert_eq!(Epoch(op.epoch).0, op.author, "{id}");
            *seen.entry((op.author, op.seq)).or_default() += 1;
            let said = &self.said[&(op.author, op.seq)];
            // What was taken is what was said; a refused op keeps its place as a void.
            if let (Some(kept), Some(meant)) = (&op.body, &said.body) {
                assert_eq!(std::mem::discriminant(kept), std::mem::discriminant(meant), "{id}");
            }
            replay.handle_op(ordered).expect("no gap in the log");
        }
        assert!(seen.values().all(|n| *n == 1), "{id}: an op was doubled");
        for page in &self.pages {
            assert_eq!(page.acknowledged, page.seq, "{id}");
            for seq in 1..=page.acknowledged {
                assert!(seen.contains_key(&(page.rights.author.0, seq)), "{id}: acknowledged op {seq} is lost");
            }
            assert_eq!(page.replica.state_hash(), replay.state_hash(), "{id}: a replica differs from the log");
        }
        let again = Sequencer::new(log.to_vec(), drawers());
        let mut joiner = Sheets::default();
        joiner.handle_snapshot(&again.compacted(), again.durable());
        assert_eq!(joiner.state_hash(), replay.state_hash(), "{id}: a late joiner differs");
        assert!(seen.keys().all(|(author, _)| Author(*author) != Author(0)), "{id}");
    }
}

fn arrived(line: &mut Vec<(u32, usize, Vec<u8>)>, step: u32) -> Vec<(usize, Vec<u8>)> {
    let (due, rest) = std::mem::take(line).into_iter().partition(|(at, _, _)| *at <= step);
    *line = rest;
    let mut due: Vec<(u32, usize, Vec<u8>)> = due;
    due.sort_by_key(|(at, _, _)| *at);
    due.into_iter().map(|(_, i, packet)| (i, packet)).collect()
}
