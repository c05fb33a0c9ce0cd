//! One case, alive: a task that owns the case's rules ([`Case`]), its ink ([`InkRoom`]) and its pages, and turns what
//! arrives into what must leave. It never waits on a page, the disk or the media thread: everything it sends to is bounded
//! and refuses.
//!
//! Life of a page: *joined* (socket up, Welcome sent, snapshot first) → *media up* (offer answered, DTLS done) → *away*
//! (socket broken without a farewell; media, ink and place are kept for [`AWAY_FOR`]) → joined again with its resume key,
//! or *gone*.

mod camera;
mod curtain;
mod display;
mod health;
mod ink;
mod layout;
mod limit;
mod media;
mod page;
mod publish;
mod relay;
mod resource;
mod stop;
mod talk;
mod tell;
mod track;
mod voice;

pub(crate) use self::media::case_number;
pub(crate) use self::talk::media_code;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use annotation::id::{Author, Epoch, FeedId, Order};
use annotation::time::CaptureTime;
use link::frame::FrameIndex;
use link::id::{CaseId, LayerId};
use sfu::{PeerId, SfuEvent, SfuHandle};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep_until};
use tracing::{error, info};

use self::display::Display;
use self::health::EngineFigures;
use self::layout::ProgramLayout;
use self::limit::Entries;
use self::page::Page;
use self::publish::Publication;
use self::resource::Player;
pub use self::resource::{Offering, OfferingReply, Ported, ResourceWord};
pub use self::track::StillName;
use self::track::Track;
use self::voice::Consent;
use super::clock::Timeline;
use super::engine_link::{LinkCommands, LinkEvent};
use super::mailbox::Mailbox;
use super::metrics::CaseFigures;
use super::store::{Command, DiskState, Store, VoiceKept};
use super::turn::Turn;
use crate::authorize::{Action, Phase};
use crate::case::{Case, JoinFault};
use crate::claims::{Claims, PersonKey, TokenId};
use crate::ink_room::{InkRights, InkRoom};
use crate::stills::Still;
use crate::texts::Code;
use crate::wire::{self, ClientMessage, server_message};

/// How long a page that broke off keeps its place, its media and its wet ink.
pub const AWAY_FOR: Duration = Duration::from_secs(10);
/// Inputs waiting for the actor. 48 pages × 60 messages/s × 0.3 s. Policy: the sender (a socket) waits.
const INPUTS: usize = 1024;
/// Events of media and engine waiting. Policy: data and figures are dropped (newest first), the rest waits.
const EVENTS: usize = 2048;
/// Commands kept while the store's queue is full. Past it, ink is no longer taken in: nothing is acknowledged, pages repeat.
const BACKLOG: usize = 8192;
/// People are told of changes at most this often; speaking flickers.
const TICK: Duration = Duration::from_millis(100);

/// What reaches a case from doors.
#[derive(Debug)]
pub enum CaseInput {
    /// `epoch`: a fresh one, or the page's own from its resume key.
    Join { claims: Claims, epoch: Epoch, mailbox: Mailbox, welcome: Welcoming, reply: oneshot::Sender<Result<Joined, Code>> },
    /// From the socket of connection `connection`; `at`: when it was received.
    Page { epoch: Epoch, connection: u64, message: ClientMessage, at: CaptureTime },
    /// The socket is gone.
    Gone { epoch: Epoch, connection: u64, parting: Parting },
    /// A page's offer has been answered by the media thread, or not.
    Offered { epoch: Epoch, peer: PeerId, answered: bool },
    /// A player wants a feed, at a layer by name (or `auto`).
    WhepOpen {
        claims: Claims,
        feed: FeedId,
        layer: String,
        /// All who speak, mixed.
        hear: bool,
        resource: String,
        offer: String,
        reply: OfferingReply,
    },
    /// A camera wants to publish a feed.
    WhipOpen { claims: Claims, feed: FeedId, resource: String, offer: String, reply: OfferingReply },
    /// A far engine wants to carry one of its layers.
    CarryOpen { claims: Claims, layer: (FeedId, LayerId), resource: String, offer: String, reply: OfferingReply },
    /// A camera's or player's later word on its resource.
    Resource { claims: Claims, resource: String, word: ResourceWord, reply: oneshot::Sender<Result<Ported, Code>> },
    /// A link was withdrawn: whoever entered or plays with it is parted from the case.
    Revoked(TokenId),
    /// A page wants a pinned frame.
    Still { claims: Claims, name: StillName, reply: oneshot::Sender<Result<Still, Code>> },
    /// The room takes its end back.
    Reopen { claims: Claims, reply: oneshot::Sender<Result<(), Code>> },
    /// The server is about to stop: nobody new comes in, and the pages are told.
    Drain(oneshot::Sender<()>),
    /// The server stops: every page is told.
    Stop(oneshot::Sender<()>),
}

/// How a socket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parting {
    /// The page said farewell; it will not come back.
    Left,
    /// The server closed it for good; it will not come back, and nobody meant it.
    Closed,
    /// Without a word: it may come back.
    Broke,
}

/// What a Welcome says that is not the case's.
#[derive(Debug, Clone)]
pub struct Welcoming {
    pub resume: String,
}

/// A page has entered. `connection` names its socket in later inputs.
#[derive(Debug, Clone, Copy)]
pub struct Joined {
    pub connection: u64,
}

/// What reaches a case from media and engine.
#[derive(Debug)]
pub enum CaseEvent {
    Sfu(SfuEvent),
    Engine(LinkEvent),
}

/// What the actor needs from its server.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub timeline: Timeline,
    pub store: Store,
    pub sfu: SfuHandle,
    pub link: LinkCommands,
    /// `--time-code`.
    pub measuring: bool,
    /// The relay that pages are told of.
    pub turn: Option<Arc<Turn>>,
    /// This server starts an engine for each case.
    pub engine_expected: bool,
}

/// How doors and the router reach a case.
#[derive(Debug, Clone)]
pub struct CaseHandle {
    pub id: CaseId,
    /// Numbers of the case's people.
    pub authors: Arc<BTreeMap<PersonKey, Author>>,
    pub inputs: mpsc::Sender<CaseInput>,
    pub events: mpsc::Sender<CaseEvent>,
    pub phase: watch::Receiver<Phase>,
    pub figures: Arc<Mutex<CaseFigures>>,
}

pub(super) struct Actor {
    case: Case,
    ink: InkRoom,
    around: Surroundings,
    pages: BTreeMap<Epoch, Page>,
    /// Whose peer it is. Players are under their resource instead.
    peers: BTreeMap<PeerId, Epoch>,
    players: BTreeMap<String, Player>,
    publications: BTreeMap<FeedId, Publication>,
    publications_made: u32,
    /// The upper bits of every peer's number: the case's place in the directory.
    number: u32,
    peers_made: u64,
    connections: u64,
    feeds: Vec<wire::FeedInfo>,
    /// Published feeds with a mask, as the engine said last: their own pictures are for it alone.
    masked: BTreeSet<FeedId>,
    /// What the engine can encode; empty until one said so.
    layers: BTreeSet<(FeedId, LayerId)>,
    /// Feeds whose layers the media thread knows.
    layered: BTreeSet<FeedId>,
    layers_told: Vec<link::wire::LayerInfo>,
    health: Vec<wire::FeedHealth>,
    layout: ProgramLayout,
    /// The engine's last figures, for those who look after it.
    engine: EngineFigures,
    /// The last frame indexes of each feed that is encoded, oldest first: each is sent three times.
    frames: BTreeMap<FeedId, VecDeque<FrameIndex>>,
    track: Track,
    display: Display,
    /// Code of what is wrong with the room's camera; empty: nothing.
    camera_problem: &'static str,
    watchers: BTreeMap<(FeedId, LayerId), usize>,
    consent: Consent,
    /// Who came in how often.
    entries: Entries,
    people_dirty: bool,
    /// The server is about to stop.
    draining: Option<stop::Draining>,
    backlog: VecDeque<Command>,
    disk: watch::Receiver<DiskState>,
    stored: watch::Sender<Order>,
    phase: watch::Sender<Phase>,
    figures: Arc<Mutex<CaseFigures>>,
    inputs: mpsc::WeakSender<CaseInput>,
}

/// Starts a case. `number`: its place in the directory, below 2²⁴; `voice`: as it was kept. The task ends with [`CaseInput::Stop`].
pub fn start(
    number: u32,
    case: Case,
    ink: InkRoom,
    voice: Option<VoiceKept>,
    around: Surroundings,
) -> (CaseHandle, JoinHandle<()>) {
    let (inputs, taken) = mpsc::channel(INPUTS);
    let (events, heard) = mpsc::channel(EVENTS);
    let (phase_told, phase_seen) = watch::channel(case.phase());
    let (stored, stored_seen) = watch::channel(Order(0));
    let figures = Arc::new(Mutex::new(CaseFigures::default()));
    let id = case.id().clone();
    let authors = Arc::new(case.sheet().people.iter().map(|p| (p.key.clone(), p.author)).collect());
    let disk = around.store.disk();
    let around_now = around.timeline.now();
    let mut actor = Actor {
        case,
        ink,
        around,
        pages: BTreeMap::new(),
        peers: BTreeMap::new(),
        players: BTreeMap::new(),
        publications: BTreeMap::new(),
        publications_made: 0,
        number,
        peers_made: 0,
        connections: 0,
        feeds: media::feeds_without_engine(),
        layers: BTreeSet::new(),
        layered: BTreeSet::new(),
        layers_told: Vec::new(),
        masked: BTreeSet::new(),
        health: Vec::new(),
        engine: EngineFigures::default(),
        layout: ProgramLayout::default(),
        frames: BTreeMap::new(),
        track: Track::default(),
        display: Display::default(),
        camera_problem: "",
        watchers: BTreeMap::new(),
        consent: Consent::new(voice, around_now),
        entries: Entries::default(),
        people_dirty: false,
        draining: None,
        backlog: VecDeque::new(),
        disk: disk.clone(),
        stored,
        phase: phase_told,
        figures: figures.clone(),
        inputs: inputs.downgrade(),
    };
    let handle = CaseHandle { id, authors, inputs, events, phase: phase_seen, figures };
    actor.take_pen_over();
    let task = tokio::spawn(async move { actor.run(taken, heard, stored_seen, disk).await });
    (handle, task)
}

impl Actor {
    async fn run(
        &mut self,
        mut inputs: mpsc::Receiver<CaseInput>,
        mut events: mpsc::Receiver<CaseEvent>,
        mut stored: watch::Receiver<Order>,
        mut disk: watch::Receiver<DiskState>,
    ) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut ticks = 0u32;
        loop {
            let ink_due = self.ink.poll_timeout().map(|at| self.around.timeline.instant_of(at));
            tokio::select! {
                input = inputs.recv() => match input {
                    None => break,
                    Some(CaseInput::Stop(done)) => {
                        self.stop();
                        let _ = done.send(());
                        break;
                    }
                    Some(input) => {
                        let page = page::page_of(&input);
                        self.guarded(page, |actor| actor.handle_input(input));
                    }
                },
                Some(event) = events.recv() => {
                    let page = match &event {
                        CaseEvent::Sfu(SfuEvent::Data { peer, .. }) => self.peers.get(peer).copied(),
                        _ => None,
                    };
                    self.guarded(page, |actor| actor.handle_event(event));
                }
                Ok(()) = stored.changed() => {
                    let up_to = *stored.borrow_and_update();
                    let now = self.now();
                    self.ink.handle_stored(up_to, now);
                }
                Ok(()) = disk.changed() => {
                    let state = *disk.borrow_and_update();
                    info!(case = %self.case.id(), ?state, "pages are told of the disk");
                    self.tell_state();
                }
                () = sleep_until_or_never(ink_due) => {
                    let now = self.now();
                    self.ink.handle_timeout(now);
                }
                _ = tick.tick() => {
                    ticks = ticks.wrapping_add(1);
                    self.handle_tick(ticks % 10 == 1);
                }
            }
            self.drain_ink();
            self.flush_backlog();
            self.look_for_last();
        }
    }

    fn now(&self) -> CaptureTime {
        self.around.timeline.now()
    }

    /// A panic in the handling of one page's input ends that page, not the case.
    fn guarded(&mut self, page: Option<Epoch>, handle: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| handle(self))).is_err() {
            error!(case = %self.case.id(), page = page.map(|p| p.0), "handling an input panicked; its page ends");
            if let Some(page) = page {
                self.dismiss(page, Code::ServerFault, false);
            }
        }
    }

    fn handle_input(&mut self, input: CaseInput) {
        match input {
            CaseInput::Join { claims, epoch, mailbox, welcome, reply } => {
                let joined = self.handle_join(claims, epoch, mailbox, welcome);
                let _ = reply.send(joined);
            }
            CaseInput::Page { epoch, connection, message, at } => {
                if self.pages.get(&epoch).is_some_and(|page| page.connection == connection) {
                    self.handle_message(epoch, message, at);
                }
            }
            CaseInput::Gone { epoch, connection, parting } => self.handle_gone(epoch, connection, parting),
            CaseInput::Offered { epoch, peer, answered } => self.handle_offered(epoch, peer, answered),
            CaseInput::CarryOpen { claims, layer, resource, offer, reply } => {
                let _ = reply.send(self.handle_carry_open(claims, layer, resource, offer));
            }
            CaseInput::WhepOpen { claims, feed, layer, hear, resource, offer, reply } => {
                let opened = self.handle_whep_open(claims, feed, (&layer, hear), resource, offer);
                let _ = reply.send(opened);
            }
            CaseInput::WhipOpen { claims, feed, resource, offer, reply } => {
                let opened = self.handle_whip_open(&claims, feed, resource, offer);
                let _ = reply.send(opened);
            }
            CaseInput::Resource { claims, resource, word, reply } => {
                let done = self.handle_resource(&claims, &resource, word);
                let _ = reply.send(done);
            }
            CaseInput::Revoked(token) => self.handle_revoked(token),
            CaseInput::Still { claims, name, reply } => self.handle_still_wanted(&claims, name, reply),
            CaseInput::Reopen { claims, reply } => drop(reply.send(self.handle_reopen(&claims))),
            CaseInput::Drain(last_gone) => self.drain(last_gone),
            CaseInput::Stop(_) => {}
        }
    }

    fn handle_event(&mut self, event: CaseEvent) {
        match event {
            CaseEvent::Sfu(event) => self.handle_sfu(event),
            CaseEvent::Engine(event) => self.handle_engine(event),
        }
    }

    fn handle_join(&mut self, claims: Claims, epoch: Epoch, mailbox: Mailbox, welcome: Welcoming) -> Result<Joined, Code> {
        let now = self.now();
        let (role, token) = (claims.role, claims.id);
        // The door asked when the socket was opened; a page may say who it is much later.
        self.still_stands(token)?;
        self.entries.take(token, now)?;
        if self.draining.is_some() && !self.pages.contains_key(&epoch) {
            return Err(Code::ServerStopping);
        }
        let author = match self.case.handle_join(epoch, claims, now) {
            Ok(author) => author,
            Err(fault) => {
                let code = match fault {
                    JoinFault::Denied(denied) => denied.code(),
                    JoinFault::Full => Code::CaseFull,
                    JoinFault::NobodyOfThisName => Code::LinkInvalid,
                };
                self.audit(format!("token:{token}"), role, "join", code.as_str());
                return Err(code);
            }
        };
        self.connections += 1;
        let connection = self.connections;
        let returned = match self.pages.get_mut(&epoch) {
            Some(page) => {
                // Whoever held the place is either broken off already, or replaced now.
                page.mailbox.close(Code::PageReplaced, true);
                page.return_with(mailbox.clone(), connection);
                true
            }
            None => {
                self.pages.insert(epoch, Page::new(mailbox.clone(), connection, page::only_watches(Some(role))));
                false
            }
        };
        info!(case = %self.case.id(), page = epoch.0, %role, returned, "a page joined");
        self.audit_page(epoch, if returned { "rejoin" } else { "join" }, "ok");
        let may = |action| self.case.may(epoch, &action, now).is_ok();
        mailbox.send(server_message::Body::Welcome(wire::Welcome {
            version: crate::SIGNAL_VERSION,
            software: crate::SOFTWARE.into(),
            author: author.0,
            epoch: epoch.0,
            role: crate::case::role_on_wire(role) as i32,
            resume: welcome.resume,
            case_info: Some(self.case.info()),
            feeds: self.feeds.clone(),
            slots_video: u32::from(sfu::SLOTS_VIDEO),
            slots_voice: u32::from(sfu::SLOTS_VOICE),
            may_draw: may(Action::Draw),
            may_speak: may(Action::Speak),
            measuring: self.around.measuring,
            ice_servers: self.relays(epoch, now),
        }));
        mailbox.send(server_message::Body::State(self.state(now)));
        if may(Action::Attend) {
            if returned {
                self.ink.handle_leave(epoch, now);
            }
            let rights = self.ink_rights(epoch, author);
            self.ink.handle_join(epoch, rights, now);
            mailbox.send(server_message::Body::People(self.case.people(now)));
            self.tell_stills(epoch);
        }
        self.tell_health(Some(epoch));
        self.people_dirty = true;
        if returned {
            self.tell_selection(epoch);
        }
        self.resume_voice(epoch, role, now);
        Ok(Joined { connection })
    }

    /// A link that was withdrawn since the door looked at it opens nothing more.
    fn still_stands(&self, token: TokenId) -> Result<(), Code> {
        if self.around.store.is_withdrawn(token) { Err(Code::LinkRevoked) } else { Ok(()) }
    }

    fn ink_rights(&self, epoch: Epoch, author: Author) -> InkRights {
        match self.case.ink_grants(epoch, self.now()) {
            Some(grants) => InkRights { author: grants.author, may_draw: grants.may_draw, is_room: grants.veto },
            None => InkRights { author, may_draw: false, is_room: false },
        }
    }

    fn handle_gone(&mut self, epoch: Epoch, connection: u64, parting: Parting) {
        let now = self.now();
        let Some(page) = self.pages.get_mut(&epoch).filter(|page| page.connection == connection) else { return };
        if parting != Parting::Broke {
            self.remove_page(epoch, parting == Parting::Left);
            return;
        }
        page.away_since = Some(now);
        self.case.handle_away(epoch);
        self.let_camera_go(epoch);
        self.people_dirty = true;
        info!(case = %self.case.id(), page = epoch.0, "a page broke off");
    }

    /// Tells a page why, and parts from it for good.
    fn dismiss(&mut self, epoch: Epoch, code: Code, last: bool) {
        if let Some(page) = self.pages.get(&epoch) {
            page.mailbox.close(code, last);
        }
        // A link that has run out, or an ended case, is no lost line.
        self.remove_page(epoch, matches!(code, Code::LinkExpired | Code::LinkRevoked | Code::CaseEnded));
    }

    fn handle_revoked(&mut self, token: TokenId) {
        info!(case = %self.case.id(), %token, "a link was withdrawn");
        self.audit_act(format!("token:{token}"), "-", "revoked", "ok");
        for epoch in self.case.pages_of(token) {
            self.dismiss(epoch, Code::LinkRevoked, true);
        }
        self.close_players_of(token);
        self.end_publications_of(token);
    }

    fn remove_page(&mut self, epoch: Epoch, on_purpose: bool) {
        let Some(page) = self.pages.remove(&epoch) else { return };
        self.let_camera_go(epoch);
        self.audit_page(epoch, "leave", if on_purpose { "ok" } else { "line-lost" });
        if let Some(peer) = page.peer {
            self.peers.remove(&peer);
            let _ = self.around.sfu.remove(peer);
        }
        let was_open = self.case.voice_open();
        let now = self.now();
        self.ink.handle_leave(epoch, now);
        self.case.handle_leave(epoch, on_purpose);
        self.people_dirty = true;
        if was_open != self.case.voice_open() {
            info!(case = %self.case.id(), "the room's last page left: the voice is closed");
            self.after_voice_change();
        }
        info!(case = %self.case.id(), page = epoch.0, "a page left");
    }

    fn handle_tick(&mut self, whole_second: bool) {
        let now = self.now();
        for epoch in self.case.expired(now) {
            self.dismiss(epoch, Code::LinkExpired, true);
        }
        let overdue = |page: &Page| page.away_since.is_some_and(|since| now.since(since) > AWAY_FOR);
        let lost: Vec<_> = self.pages.iter().filter(|(_, page)| overdue(page)).map(|(epoch, _)| *epoch).collect();
        for epoch in lost {
            self.remove_page(epoch, false);
        }
        let expired = |p: &Player| p.claims.is_expired(now);
        let ended: Vec<_> = self.players.iter().filter(|(_, p)| expired(p)).map(|(resource, _)| resource.clone()).collect();
        for resource in ended {
            self.close_player(&resource);
        }
        self.end_expired_publications();
        self.handle_track_tick(whole_second);
        self.handle_camera_tick();
        if std::mem::take(&mut self.people_dirty) {
            let people = self.case.people(now);
            self.tell_attending(server_message::Body::People(people));
        }
        if whole_second {
            self.publish_figures();
            self.send_health();
            self.tell_health(None);
            self.keep_voice(now);
            self.renew_relays(now);
        }
    }

    /// In order, and never waiting: what does not fit the store's queue waits here.
    fn hand_to_store(&mut self, command: Command) {
        self.backlog.push_back(command);
        self.flush_backlog();
    }

    fn flush_backlog(&mut self) {
        while let Some(command) = self.backlog.pop_front() {
            if let Err(command) = self.around.store.try_send(command) {
                self.backlog.push_front(command);
                return;
            }
        }
    }

    /// The disk has not kept up for minutes.
    fn is_choked(&self) -> bool {
        self.backlog.len() >= BACKLOG
    }

    fn publish_figures(&self) {
        let figures = self.gather_figures();
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner) = figures;
    }
}

async fn sleep_until_or_never(due: Option<std::time::Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
