//! What pages say on the socket and on the data channels.

use std::time::Duration;

use annotation::id::{Epoch, FeedId};
use annotation::time::CaptureTime;
use link::id::LayerId;
use prost::Message;
use sfu::{Channel, PeerId, PeerKind, Why, Wish};
use tracing::{debug, info};

use super::page::{self, sdp_session};
use super::{Actor, CaseInput};
use crate::authorize::{Action, Denied, Phase};
use crate::claims::Claims;
use crate::edge::store::Command;
use crate::ink_limits as limits;
use crate::texts::Code;
use crate::wire::{self, ClientMessage, Eph, client_message, server_message};

/// Pointers taken from one packet: one page has one pen and one mouse.
const POINTERS_MAX: usize = 2;
/// Of one offer: a peer is found where its packets come from, and each is one more to try for the media thread that serves everybody.
const CANDIDATES_MAX: usize = 64;
/// A pointer of which nothing more is heard is gone after this.
const POINTER_LIFE: Duration = Duration::from_secs(1);
/// A point's range: the picture's width is 16384 units, and no picture is more than twice as high as wide.
const POINT_MAX: i32 = 2 * 16_384;

impl Actor {
    /// One message of a page's socket. `at`: when it was received.
    pub(super) fn handle_message(&mut self, epoch: Epoch, message: ClientMessage, at: CaptureTime) {
        use client_message::Body;
        let Some(body) = message.body else {
            // A newer page may say what this server does not know.
            debug!(page = epoch.0, "a message of no known kind");
            return;
        };
        match body {
            Body::Hello(_) => self.dismiss(epoch, Code::MessageMalformed, true),
            Body::Offer(offer) => match self.case.may(epoch, &Action::Attend, at) {
                Ok(()) => self.handle_offer(epoch, offer),
                Err(denied) => self.refuse(epoch, &Action::Attend, denied),
            },
            Body::Candidate(candidate) => {
                let page = self.pages.get_mut(&epoch).filter(|page| page.candidates < CANDIDATES_MAX);
                if let Some((page, peer)) = page.and_then(|page| page.peer.map(|peer| (page, peer))) {
                    page.candidates += 1;
                    let _ = self.around.sfu.add_candidate(peer, candidate.candidate);
                }
            }
            Body::VoiceOpen(press) => {
                let done = self.case.handle_voice_open(epoch, press.open, at);
                self.after_press(epoch, done, &Action::OpenVoice, if press.open { "voice-open" } else { "voice-close" });
            }
            Body::RemoteMute(press) => {
                let done = self.case.handle_remote_mute(epoch, press.muted, at);
                self.after_press(epoch, done, &Action::MuteRemote, if press.muted { "remote-mute" } else { "remote-unmute" });
            }
            Body::Microphone(switch) => match self.case.handle_microphone(epoch, switch.on, at) {
                Ok(()) => {
                    self.people_dirty = true;
                    self.apply_grants(epoch);
                }
                Err(denied) => self.refuse(epoch, &Action::Speak, denied),
            },
            Body::Curtain(press) => self.handle_curtain(epoch, press.drawn, at),
            Body::AllowCamera(switch) => self.handle_allow_camera(epoch, switch.allowed, at),
            Body::MoveCamera(word) => self.handle_move_camera(epoch, &word, at),
            Body::SetLayout(set) => self.handle_set_layout(epoch, &set.layout, at),
            Body::SetTiming(set) => self.handle_set_timing(epoch, &set.timing, at),
            // The socket's reader takes it as its end already.
            Body::Leave(_) => self.remove_page(epoch, true),
            Body::AskPen(ask) => match self.case.handle_ask(epoch, ask.asking, at) {
                Ok(()) => self.people_dirty = true,
                Err(denied) => self.refuse(epoch, &Action::Draw, denied),
            },
            Body::Pointer(pointer) => {
                let eph = Eph { version: crate::SIGNAL_VERSION, pointers: vec![pointer], ..Default::default() };
                self.handle_eph(epoch, eph, at);
            }
            Body::Select(select) => self.handle_select(epoch, select),
            Body::Refresh(refresh) => self.handle_refresh(epoch, refresh.slot, at),
            // Without the confirmation nothing ends: the hold was let go.
            Body::End(end) if !end.confirm => {}
            Body::End(_) => self.handle_end(epoch, at),
            Body::Report(report) => {
                if let Some(page) = self.pages.get_mut(&epoch) {
                    page.report = report;
                    page.report.tracks.truncate(usize::from(sfu::SLOTS_VIDEO));
                }
            }
            Body::Ink(packet) => match self.case.may(epoch, &Action::Attend, at) {
                Ok(()) => self.handle_ink(epoch, &packet.encode_to_vec(), false, at),
                Err(denied) => self.refuse(epoch, &Action::Attend, denied),
            },
            Body::Clock(ping) => {
                let pong = wire::ClockPong { t1: ping.t1, t2: at.0, t3: self.now().0 };
                self.tell(epoch, server_message::Body::Clock(pong));
            }
        }
    }

    /// One message of a data channel.
    pub(super) fn handle_data(&mut self, epoch: Epoch, channel: Channel, bytes: &[u8], at: CaptureTime) {
        match channel {
            Channel::Ink => self.handle_ink(epoch, bytes, true, at),
            Channel::Eph => match Eph::decode(bytes) {
                Ok(eph) if eph.version == crate::SIGNAL_VERSION => self.handle_eph(epoch, eph, at),
                Ok(eph) => debug!(page = epoch.0, version = eph.version, "eph of another version"),
                Err(fault) => debug!(page = epoch.0, %fault, "eph that cannot be read"),
            },
            // The server speaks on these; pages have nothing to say there yet.
            Channel::Ctl | Channel::Vit => {}
        }
    }

    fn handle_eph(&mut self, epoch: Epoch, eph: Eph, at: CaptureTime) {
        if let Some(ping) = eph.ping {
            let pong = Some(wire::ClockPong { t1: ping.t1, t2: at.0, t3: self.now().0 });
            self.send_eph(epoch, &Eph { version: crate::SIGNAL_VERSION, pong, ..Default::default() });
        }
        if eph.pointers.is_empty() || self.case.may(epoch, &Action::Draw, at).is_err() {
            return;
        }
        let Some(author) = self.case.author(epoch) else { return };
        let Some(page) = self.pages.get_mut(&epoch) else { return };
        let fits = |p: &wire::Pointer| {
            FeedId::parse(&p.feed).is_ok() && (0..=POINT_MAX).contains(&p.x) && (0..=POINT_MAX).contains(&p.y)
        };
        // Latest wins: the newest of the packet, unless a newer one came before it.
        let newest = eph.pointers.into_iter().take(POINTERS_MAX).filter(fits).max_by_key(|p| p.number);
        let Some(mut pointer) = newest else { return };
        // A page without numbers is taken as it comes; one that begins anew does so after a pause.
        let late = pointer.number != 0
            && page.pointer_told.is_some_and(|(told, when)| pointer.number <= told && at.since(when) < POINTER_LIFE);
        if late || !page.pointers.take(limits::POINTERS, at) {
            return;
        }
        page.pointer_told = Some((pointer.number, at));
        pointer.author = author.0;
        let packet = Eph { version: crate::SIGNAL_VERSION, pointers: vec![pointer.clone()], ..Default::default() };
        let now = self.now();
        self.show_pointer(&pointer, at);
        let others: Vec<_> = self.pages.keys().copied().filter(|other| *other != epoch).collect();
        for other in others {
            let Some(page) = self.pages.get(&other) else { continue };
            if page.eph_open {
                self.send_eph(other, &packet);
            } else if page.away_since.is_none() && self.case.may(other, &Action::Attend, now).is_ok() {
                page.mailbox.send(server_message::Body::Pointer(pointer.clone()));
            }
        }
    }

    fn handle_offer(&mut self, epoch: Epoch, offer: wire::Offer) {
        let now = self.now();
        let grants = self.grants_for_sfu(epoch, now);
        let Some(page) = self.pages.get_mut(&epoch) else { return };
        if page.offering {
            page.mailbox.send(server_message::Body::Refused(Code::MediaBusy.refused(false)));
            return;
        }
        let session = sdp_session(&offer.sdp).to_owned();
        let restart = page.peer.filter(|_| !session.is_empty() && session == page.sdp_session);
        let former = page.peer.filter(|_| restart.is_none());
        if former.is_some() {
            page.forget_media();
        }
        page.offering = true;
        page.candidates = 0;
        page.sdp_session = session;
        page.grants = grants;
        let mailbox = page.mailbox.clone();
        if let Some(former) = former {
            self.peers.remove(&former);
            let _ = self.around.sfu.remove(former);
            self.case.handle_media(epoch, false);
        }
        let peer = restart.unwrap_or_else(|| self.next_peer());
        if let Some(page) = self.pages.get_mut(&epoch) {
            page.peer = Some(peer);
        }
        self.peers.insert(peer, epoch);
        let (sfu, case, inputs) = (self.around.sfu.clone(), self.case.id().clone(), self.inputs.clone());
        // The media thread answers within a few of its turns; meanwhile the case goes on.
        tokio::spawn(async move {
            let answer = sfu.offer(peer, case, PeerKind::Client, grants, offer.sdp).await;
            let answered = answer.is_ok();
            match answer {
                Ok(sdp) => mailbox.send(server_message::Body::Answer(wire::Answer { id: offer.id, sdp })),
                Err(fault) => {
                    // It may quote the offer, which is a stranger's text.
                    let told = fault.to_string();
                    info!(page = epoch.0, code = fault.code(), fault = %told.escape_debug(), "an offer was not answered");
                    mailbox.send(server_message::Body::Refused(media_code(&fault).refused(false)));
                }
            }
            if let Some(inputs) = inputs.upgrade() {
                let _ = inputs.send(CaseInput::Offered { epoch, peer, answered }).await;
            }
        });
    }

    pub(super) fn handle_offered(&mut self, epoch: Epoch, peer: sfu::PeerId, answered: bool) {
        let Some(page) = self.pages.get_mut(&epoch).filter(|page| page.peer == Some(peer)) else {
            // The page left, or offered anew, while the media thread was at it.
            let _ = self.around.sfu.remove(peer);
            return;
        };
        page.offering = false;
        // A press may have come while the media thread was at the offer, which carried what was allowed before.
        let grants = self.grants_for_sfu(epoch, self.now());
        let _ = self.around.sfu.set_grants(peer, grants);
        let Some(page) = self.pages.get_mut(&epoch) else { return };
        page.grants = grants;
        if !answered {
            if !page.media_up {
                page.forget_media();
                self.peers.remove(&peer);
            }
            return;
        }
        let selection = page.selection.clone();
        for (slot, what) in selection.iter().enumerate() {
            let _ = self.around.sfu.assign(peer, slot as u8, self.shown(what.as_ref()));
        }
        self.tell_selection(epoch);
    }

    fn handle_select(&mut self, epoch: Epoch, select: wire::Select) {
        let now = self.now();
        let slot = select.slot as usize;
        let wrong = |code: Code| server_message::Body::Refused(code.refused(false));
        if slot >= usize::from(sfu::SLOTS_VIDEO) {
            return self.tell(epoch, wrong(Code::RequestMalformed));
        }
        let what = if select.feed.is_empty() {
            None
        } else {
            let Ok(feed) = FeedId::parse(&select.feed) else { return self.tell(epoch, wrong(Code::FeedUnknown)) };
            // Permission first: who may not watch is not told what there is.
            let action = Action::Watch(feed.clone());
            if let Err(denied) = self.case.may(epoch, &action, now) {
                return self.refuse(epoch, &action, denied);
            }
            match self.layer_of(&feed, &select.layer) {
                Ok(layer) => {
                    let smooth = page::only_watches(self.case.role(epoch));
                    Some(Wish { layer, width: select.width, smooth, ..Wish::of(feed) })
                }
                Err(code) => return self.tell(epoch, wrong(code)),
            }
        };
        let shown = self.shown(what.as_ref());
        let Some(page) = self.pages.get_mut(&epoch) else { return };
        let of = |wish: &Option<Wish>| wish.as_ref().map(|w| w.feed.clone());
        if of(&page.selection[slot]) != of(&what) {
            page.given[slot] = None;
        }
        page.selection[slot] = what;
        if let Some(peer) = page.peer {
            let _ = self.around.sfu.assign(peer, slot as u8, shown.clone());
        }
        let nothing = wire::Assign { slot: select.slot, ..Default::default() };
        let assign = shown.map_or(nothing, |wish| page.assign(slot, &wish));
        self.tell(epoch, server_message::Body::Assign(assign));
    }

    /// SG28b. Who may be sent the picture has grants for it in the media thread.
    fn handle_refresh(&mut self, epoch: Epoch, slot: u32, at: CaptureTime) {
        let Some(slot) = u8::try_from(slot).ok().filter(|slot| *slot < sfu::SLOTS_VIDEO) else {
            return self.tell(epoch, server_message::Body::Refused(Code::RequestMalformed.refused(false)));
        };
        let Some(page) = self.pages.get(&epoch) else { return };
        let Some(wish) = page.selection[usize::from(slot)].as_ref() else { return };
        let action = Action::Watch(wish.feed.clone());
        if let Err(denied) = self.case.may(epoch, &action, at) {
            return self.refuse(epoch, &action, denied);
        }
        if let Some(peer) = page.peer {
            let _ = self.around.sfu.refresh(peer, slot);
        }
    }

    /// Says what is in each slot that has something in it.
    pub(super) fn tell_selection(&self, epoch: Epoch) {
        let Some(page) = self.pages.get(&epoch).filter(|page| page.peer.is_some()) else { return };
        for (slot, what) in page.selection.iter().enumerate() {
            if let Some(wish) = self.shown(what.as_ref()) {
                page.mailbox.send(server_message::Body::Assign(page.assign(slot, &wish)));
            }
        }
    }

    /// The media thread says what a slot gets; the page is told.
    pub(super) fn handle_shown(&mut self, peer: PeerId, slot: u8, layer: Option<LayerId>, why: Why) {
        let Some(page) = self.peers.get(&peer).and_then(|epoch| self.pages.get_mut(epoch)) else { return };
        let slot = usize::from(slot);
        let Some(given) = page.given.get_mut(slot) else { return };
        if given.replace((layer, why)) == Some((layer, why)) {
            return;
        }
        let Some(page) = self.peers.get(&peer).and_then(|epoch| self.pages.get(epoch)) else { return };
        if let Some(wish) = self.shown(page.selection[slot].as_ref()) {
            page.mailbox.send(server_message::Body::Assign(page.assign(slot, &wish)));
        }
    }

    /// After a press of the room's that concerns voices.
    fn after_press(&mut self, epoch: Epoch, done: Result<(), Denied>, action: &Action, act: &'static str) {
        match done {
            Ok(()) => {
                self.consent.handle_press();
                info!(case = %self.case.id(), page = epoch.0, act, "a press of the room");
                self.audit_page(epoch, act, "ok");
                self.after_voice_change();
            }
            Err(denied) => self.refuse(epoch, action, denied),
        }
    }

    pub(super) fn after_voice_change(&mut self) {
        self.keep_voice(self.now());
        for epoch in self.case.epochs() {
            self.apply_grants(epoch);
        }
        self.tell_state();
        self.people_dirty = true;
    }

    pub(super) fn tell_state(&self) {
        self.tell_all(server_message::Body::State(self.state(self.now())));
    }

    pub(super) fn state(&self, now: CaptureTime) -> wire::CaseState {
        let store = self.disk.borrow().code().map_or_else(String::new, |code| code.as_str().into());
        let (layout, layouts, timing) = (self.layout.now.clone(), self.layout.names.clone(), self.layout.timing.clone());
        let shed = self.engine.shed().to_owned();
        let camera_problem = self.camera_problem.to_owned();
        let display_problem = self.engine.display_problem().to_owned();
        wire::CaseState {
            camera_problem,
            display_problem,
            store,
            layout,
            layouts,
            timing,
            shed,
            restarting: self.draining.is_some(),
            ..self.case.state(now)
        }
    }

    /// The room ends the case: everybody is told and parted from their media at once; the end is kept.
    fn handle_end(&mut self, epoch: Epoch, at: CaptureTime) {
        if let Err(denied) = self.case.handle_end(epoch, at) {
            return self.refuse(epoch, &Action::EndCase, denied);
        }
        info!(case = %self.case.id(), page = epoch.0, "the room ended the case");
        self.audit_page(epoch, "end-case", "ok");
        self.stop_cameras();
        let command = Command::Phase { case: self.case.id().clone(), phase: Phase::Ended };
        self.hand_to_store(command);
        self.forget_stills();
        self.phase.send_replace(Phase::Ended);
        self.tell_state();
        // What was drawn up to here is taken and kept before the doors close.
        self.drain_ink();
        self.end_ink_of_display();
        for epoch in self.case.epochs() {
            self.dismiss(epoch, Code::CaseEnded, true);
        }
        let resources: Vec<_> = self.players.keys().cloned().collect();
        for resource in resources {
            self.close_player(&resource);
        }
        self.end_publications();
        self.forget_layers();
        self.watchers.clear();
        self.tell_engine_wants();
    }

    /// The room takes its end back: links lead in again. Everybody comes by themselves, and the voice is closed until the room presses.
    pub(super) fn handle_reopen(&mut self, claims: &Claims) -> Result<(), Code> {
        let now = self.now();
        // A link that was withdrawn since opens nothing.
        self.still_stands(claims.id)?;
        if !self.case.handle_reopen(claims, now).map_err(Denied::code)? {
            return Ok(());
        }
        info!(case = %self.case.id(), token = %claims.id, "the room opened the case again");
        self.audit(format!("token:{}", claims.id), claims.role, "reopen", "ok");
        let command = Command::Phase { case: self.case.id().clone(), phase: Phase::Live };
        self.hand_to_store(command);
        self.phase.send_replace(Phase::Live);
        self.remember_layers();
        self.begin_display_again();
        Ok(())
    }

    /// Says no, with the reason; the audit hears of it at most once a second a page.
    pub(super) fn refuse(&mut self, epoch: Epoch, action: &Action, denied: Denied) {
        let code = denied.code();
        self.tell(epoch, server_message::Body::Refused(code.refused(false)));
        let now = self.now();
        let Some(page) = self.pages.get_mut(&epoch) else { return };
        if page.refusal_written.is_none_or(|written| now.since(written) > Duration::from_secs(1)) {
            page.refusal_written = Some(now);
            self.audit_page(epoch, action.as_str(), code.as_str());
        }
    }
}

/// The code that people's screens know for a fault of the media thread.
pub(crate) fn media_code(fault: &sfu::OfferError) -> Code {
    use sfu::OfferError;
    match fault {
        OfferError::Sdp(_) => Code::MediaOffer,
        OfferError::Unsupported(_) => Code::MediaUnsupported,
        OfferError::CaseFull(_) | OfferError::ServerFull(_) => Code::MediaFull,
        OfferError::Mismatch => Code::MediaMismatch,
        OfferError::Busy => Code::MediaBusy,
        OfferError::Stopped => Code::MediaStopped,
        _ => Code::MediaOffer,
    }
}
