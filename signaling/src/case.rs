//! One case: who is in it, whose voice goes where, whether it is open. Pure: no socket, no clock; time is an argument.
//!
//! Voice rule: nobody's voice enters the room, and the room's goes nowhere, until the room has pressed *open* (SG20).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use annotation::id::{Author, Epoch, FeedId};
use annotation::time::CaptureTime;
use link::id::CaseId;

use crate::authorize::{Action, CaseFacts, Denied, Phase, authorize};
use crate::camera::Camera;
use crate::claims::{Claims, PersonKey, Role, TokenId};
use crate::curtain::Curtain;
use crate::wire;

pub use crate::case_sheet::{CaseSheet, Profile, role_on_wire};

/// Pages of one case at once. Four screens of a room, mentors, desks and observers fit several times over.
pub const PAGES_MAX: usize = 48;
/// Pages of one link at once: a few screens, each with pages on their way out.
pub const PAGES_PER_LINK: usize = 8;
/// Places that only the room may take, so that nobody can keep it out of its own case.
pub const PAGES_OF_THE_ROOM: usize = 4;

/// After its end a case may be opened again for so long (SG23a).
pub const REOPEN_WITHIN: Duration = Duration::from_secs(600);

/// What the forwarding core may do for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MediaGrants {
    pub see: bool,
    pub hear: bool,
    pub speak: bool,
}

/// What a page may do with ink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InkGrants {
    pub author: Author,
    pub may_draw: bool,
    /// Clear and *ink off* are its.
    pub veto: bool,
}

/// Why a page does not enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinFault {
    #[error("not allowed: {0}")]
    Denied(Denied),
    #[error("the case has {PAGES_MAX} pages, the limit")]
    Full,
    #[error("nobody of this case has this token's name")]
    NobodyOfThisName,
}

#[derive(Debug)]
struct Page {
    claims: Claims,
    author: Author,
    microphone: bool,
    media: bool,
    silent: bool, // its media path is up and nothing comes over it
    speaking: bool,
    /// The socket is there. A page may be away for a moment while its media goes on.
    connected: bool,
}

/// One case. Commands return `Err` and change nothing when the page may not.
#[derive(Debug)]
pub struct Case {
    sheet: CaseSheet,
    phase: Phase,
    /// Known of an end that this process saw.
    ended: Option<CaptureTime>,
    voice_open: bool,
    remote_muted: bool,
    engine_up: bool,
    pages: BTreeMap<Epoch, Page>,
    /// People whose line was lost: the page of theirs that went last went without a word.
    lost: BTreeSet<Author>,
    /// As the ink's log has it.
    lead: Option<Author>,
    lent: BTreeSet<Author>,
    textures: BTreeMap<Author, u32>,
    /// Those who wait for the pen.
    asking: BTreeSet<Author>,
    pub(crate) curtain: Curtain,
    pub(crate) camera: Camera,
}

impl Case {
    /// `phase`, `curtain`: as they were left on disk. The voice is always closed at first.
    pub fn new(sheet: CaseSheet, phase: Phase, curtain: Curtain) -> Self {
        Case {
            lead: sheet.drawers().lead,
            lent: BTreeSet::new(),
            textures: BTreeMap::new(),
            asking: BTreeSet::new(),
            sheet,
            phase,
            ended: None,
            voice_open: false,
            remote_muted: false,
            engine_up: false,
            pages: BTreeMap::new(),
            lost: BTreeSet::new(),
            curtain,
            camera: Camera::default(),
        }
    }

    pub fn sheet(&self) -> &CaseSheet {
        &self.sheet
    }

    pub fn id(&self) -> &CaseId {
        &self.sheet.id
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    pub fn facts(&self) -> CaseFacts<'_> {
        CaseFacts { case: &self.sheet.id, phase: self.phase }
    }

    pub fn voice_open(&self) -> bool {
        self.voice_open
    }

    pub fn n_pages(&self) -> usize {
        self.pages.len()
    }

    pub fn epochs(&self) -> Vec<Epoch> {
        self.pages.keys().copied().collect()
    }

    pub fn author(&self, page: Epoch) -> Option<Author> {
        self.pages.get(&page).map(|p| p.author)
    }

    pub fn role(&self, page: Epoch) -> Option<Role> {
        self.pages.get(&page).map(|p| p.claims.role)
    }

    /// Of a person of the sheet; an observer where the number is nobody's.
    pub fn role_of(&self, author: Author) -> Role {
        self.sheet.people.iter().find(|p| p.author == author).map_or(Role::Observer, |p| p.role)
    }

    pub fn profile(&self, person: &PersonKey) -> Option<&Profile> {
        self.sheet.people.iter().find(|p| p.key == *person)
    }

    /// May this page do this now?
    pub fn may(&self, page: Epoch, action: &Action, now: CaptureTime) -> Result<(), Denied> {
        let page = self.pages.get(&page).ok_or(Denied::Role)?;
        authorize(&page.claims, action, &self.facts(), now)
    }

    /// Which pages may see this feed, and what is known of it.
    pub fn watchers_of(&self, feed: &FeedId, now: CaptureTime) -> impl Iterator<Item = Epoch> {
        let watch = Action::Watch(feed.clone());
        let facts = self.facts();
        let may = move |page: &Page| authorize(&page.claims, &watch, &facts, now).is_ok();
        self.pages.iter().filter(move |(_, page)| may(page)).map(|(epoch, _)| *epoch)
    }

    /// A page enters. `page`: given to nobody else, or this page's own from before a break.
    pub fn handle_join(&mut self, page: Epoch, claims: Claims, now: CaptureTime) -> Result<Author, JoinFault> {
        authorize(&claims, &Action::Join, &self.facts(), now).map_err(JoinFault::Denied)?;
        let profile = self.profile(&claims.person).filter(|p| p.role == claims.role).ok_or(JoinFault::NobodyOfThisName)?;
        let author = profile.author;
        self.lost.remove(&author);
        if let Some(known) = self.pages.get_mut(&page) {
            if known.author != author {
                return Err(JoinFault::NobodyOfThisName);
            }
            known.connected = true;
            known.claims = claims;
            return Ok(author);
        }
        let is_room = claims.role == Role::Room;
        let of_others = self.pages.values().filter(|p| p.claims.role != Role::Room).count();
        let of_this_link = self.pages.values().filter(|p| p.claims.id == claims.id).count();
        let full = if is_room { self.pages.len() >= PAGES_MAX } else { of_others >= PAGES_MAX - PAGES_OF_THE_ROOM };
        if full || of_this_link >= PAGES_PER_LINK {
            return Err(JoinFault::Full);
        }
        let entered = Page { claims, author, microphone: false, media: false, silent: false, speaking: false, connected: true };
        self.pages.insert(page, entered);
        Ok(author)
    }

    /// The socket broke; the page may come back, and its media may still be up.
    pub fn handle_away(&mut self, page: Epoch) {
        let Some(page) = self.pages.get_mut(&page) else { return };
        page.connected = false;
        let author = page.author;
        self.note_parting(author, false);
    }

    /// Which texture each person's ink has, from 1; 0: none yet.
    pub fn handle_textures(&mut self, of: impl Fn(Author) -> u32) {
        self.textures = self.sheet.people.iter().map(|p| (p.author, of(p.author))).collect();
    }

    /// Whose pen it is, from the ink's log. Who has it waits no longer.
    pub fn handle_pen(&mut self, lead: Option<Author>, lent: BTreeSet<Author>) {
        self.lead = lead;
        self.lent = lent;
        let (lead, lent) = (self.lead, &self.lent);
        self.asking.retain(|author| lead != Some(*author) && !lent.contains(author));
    }

    /// A polite request for the pen, or its end. The lead or the room answers with a grant.
    pub fn handle_ask(&mut self, page: Epoch, asking: bool, now: CaptureTime) -> Result<(), Denied> {
        self.may(page, &Action::Draw, now)?;
        let Some(author) = self.author(page) else { return Ok(()) };
        if asking && !self.has_pen(author) {
            self.asking.insert(author);
        } else {
            self.asking.remove(&author);
        }
        Ok(())
    }

    fn has_pen(&self, author: Author) -> bool {
        self.lead == Some(author) || self.lent.contains(&author) || self.role_of(author) == Role::Room
    }

    /// While another page of theirs is connected, nobody is lost and nobody has left.
    fn note_parting(&mut self, author: Author, on_purpose: bool) {
        if self.pages.values().any(|p| p.author == author && p.connected) {
            return;
        }
        if on_purpose {
            self.lost.remove(&author);
        } else {
            self.lost.insert(author);
        }
    }

    pub fn is_connected(&self, page: Epoch) -> bool {
        self.pages.get(&page).is_some_and(|p| p.connected)
    }

    /// The page is gone for good; `on_purpose`: it said so, or its link has run out. With the room's last page the voice
    /// closes: whoever opened it is not there to close it.
    pub fn handle_leave(&mut self, page: Epoch, on_purpose: bool) {
        // What broke off was noted when it did.
        if let Some(gone) = self.pages.remove(&page) {
            if gone.connected {
                self.note_parting(gone.author, on_purpose);
            }
            if !self.pages.values().any(|p| p.author == gone.author) {
                self.asking.remove(&gone.author);
            }
        }
        if !self.pages.values().any(|p| p.claims.role == Role::Room) {
            self.close_voice();
        }
    }

    pub fn handle_microphone(&mut self, page: Epoch, on: bool, now: CaptureTime) -> Result<(), Denied> {
        if on {
            self.may(page, &Action::Speak, now)?;
        }
        if let Some(page) = self.pages.get_mut(&page) {
            page.microphone = on;
            page.speaking &= on;
        }
        Ok(())
    }

    pub fn handle_media(&mut self, page: Epoch, up: bool) {
        if let Some(page) = self.pages.get_mut(&page) {
            page.media = up;
            page.silent = false;
            page.speaking &= up;
        }
    }

    pub fn handle_silent(&mut self, page: Epoch, silent: bool) {
        let Some(page) = self.pages.get_mut(&page) else { return };
        page.silent = silent && page.media;
        page.speaking &= !page.silent;
    }

    pub fn handle_speaking(&mut self, page: Epoch, speaking: bool) {
        if let Some(page) = self.pages.get_mut(&page) {
            page.speaking = speaking;
        }
    }

    /// The room's press. Closing also ends the silencing, so that the next press begins plainly.
    pub fn handle_voice_open(&mut self, page: Epoch, open: bool, now: CaptureTime) -> Result<(), Denied> {
        self.may(page, &Action::OpenVoice, now)?;
        self.voice_open = open;
        self.remote_muted &= open;
        Ok(())
    }

    pub fn handle_remote_mute(&mut self, page: Epoch, muted: bool, now: CaptureTime) -> Result<(), Denied> {
        self.may(page, &Action::MuteRemote, now)?;
        self.remote_muted = muted;
        Ok(())
    }

    pub fn engine_up(&self) -> bool {
        self.engine_up
    }

    pub fn handle_engine(&mut self, up: bool) {
        self.engine_up = up;
    }

    /// The room's, after the hold. Everybody is to be told and parted from their media.
    pub fn handle_end(&mut self, page: Epoch, now: CaptureTime) -> Result<(), Denied> {
        self.may(page, &Action::EndCase, now)?;
        self.phase = Phase::Ended;
        self.ended = Some(now);
        self.close_voice();
        // Whoever opens it again presses anew.
        self.camera = Camera::default();
        Ok(())
    }

    /// The room's, within [`REOPEN_WITHIN`] of the end: no page of it is left, so `claims` stand for one. True: it was closed, and is
    /// open now.
    pub fn handle_reopen(&mut self, claims: &Claims, now: CaptureTime) -> Result<bool, Denied> {
        authorize(claims, &Action::Reopen, &self.facts(), now)?;
        if self.phase == Phase::Live {
            return Ok(false);
        }
        if self.ended.is_none_or(|ended| now.since(ended) > REOPEN_WITHIN) {
            return Err(Denied::Ended);
        }
        (self.phase, self.ended) = (Phase::Live, None);
        Ok(true)
    }

    /// As before a restart of the server (SG22a).
    pub fn resume_voice(&mut self, muted: bool) {
        (self.voice_open, self.remote_muted) = (true, muted);
    }

    /// The next conversation begins unsilenced: who muted this one may not be there to say otherwise.
    fn close_voice(&mut self) {
        self.voice_open = false;
        self.remote_muted = false;
    }

    /// Pages that entered with this token.
    pub fn pages_of(&self, token: TokenId) -> Vec<Epoch> {
        self.pages.iter().filter(|(_, p)| p.claims.id == token).map(|(epoch, _)| *epoch).collect()
    }

    /// Pages whose token is worth nothing any more at `now`.
    pub fn expired(&self, now: CaptureTime) -> Vec<Epoch> {
        self.pages.iter().filter(|(_, p)| p.claims.is_expired(now)).map(|(epoch, _)| *epoch).collect()
    }

    pub fn media_grants(&self, page: Epoch, now: CaptureTime) -> MediaGrants {
        let Some(p) = self.pages.get(&page) else { return MediaGrants::default() };
        let inside = authorize(&p.claims, &Action::Attend, &self.facts(), now).is_ok();
        let may_speak = authorize(&p.claims, &Action::Speak, &self.facts(), now).is_ok();
        let silenced = self.curtain.silences(p.claims.role) || (self.remote_muted && p.claims.role != Role::Room);
        MediaGrants {
            see: inside,
            hear: inside && self.voice_open,
            speak: may_speak && self.voice_open && p.microphone && !silenced,
        }
    }

    pub fn ink_grants(&self, page: Epoch, now: CaptureTime) -> Option<InkGrants> {
        let p = self.pages.get(&page)?;
        let may = |action| authorize(&p.claims, &action, &self.facts(), now).is_ok();
        Some(InkGrants { author: p.author, may_draw: may(Action::Draw), veto: may(Action::VetoInk) })
    }

    pub fn info(&self) -> wire::CaseInfo {
        wire::CaseInfo {
            case_id: self.sheet.id.as_str().into(),
            title_ja: self.sheet.title_ja.clone(),
            title_en: self.sheet.title_en.clone(),
            telephone: self.sheet.telephone.clone(),
            telephone_name_ja: self.sheet.telephone_name_ja.clone(),
            telephone_name_en: self.sheet.telephone_name_en.clone(),
            patient_awake: self.sheet.patient_awake,
            // Nothing records yet; when something does, this follows it.
            recording: false,
            rehearsal: self.sheet.rehearsal,
            state: self.phase.as_str().into(),
        }
    }

    pub fn state(&self, now: CaptureTime) -> wire::CaseState {
        wire::CaseState {
            voice_open: self.voice_open,
            remote_muted: self.remote_muted,
            engine_up: self.engine_up,
            case_info: Some(self.info()),
            at: now.0,
            curtain: self.curtain.drawn,
            curtain_since: self.curtain.since.0,
            curtain_author: self.curtain.by.map_or(0, |author| author.0),
            camera_allowed: self.camera.is_allowed(),
            camera_author: self.camera.author(now).map_or(0, |author| author.0),
            // The disk, what the engine shows and sheds, and the end of the server are not the case's to know.
            ..Default::default()
        }
    }

    /// Everybody of the case, present or not, the room first.
    pub fn people(&self, now: CaptureTime) -> wire::People {
        let people = self.sheet.people.iter().map(|profile| {
            let own = || self.pages.iter().filter(|(_, p)| p.author == profile.author);
            let draws = own().any(|(epoch, _)| self.ink_grants(*epoch, now).is_some_and(|g| g.may_draw));
            let present = own().any(|(_, p)| p.connected);
            wire::Person {
                author: profile.author.0,
                role: role_on_wire(profile.role) as i32,
                name_ja: profile.name_ja.clone(),
                name_en: profile.name_en.clone(),
                institution_ja: profile.institution_ja.clone(),
                institution_en: profile.institution_en.clone(),
                present,
                media: own().any(|(_, p)| p.media),
                silent: own().any(|(_, p)| p.silent) && !own().any(|(_, p)| p.media && !p.silent),
                microphone: own().any(|(_, p)| p.microphone) && !self.curtain.silences(profile.role),
                speaking: own().any(|(_, p)| p.speaking) && !self.curtain.silences(profile.role),
                lead: self.lead == Some(profile.author),
                may_draw: draws && self.has_pen(profile.author),
                family_ja: profile.family_ja.clone(),
                family_en: profile.family_en.clone(),
                asks_pen: self.asking.contains(&profile.author),
                texture: self.textures.get(&profile.author).copied().unwrap_or_default(),
                left: !present && !self.lost.contains(&profile.author),
            }
        });
        wire::People { people: people.collect() }
    }
}

#[cfg(test)]
mod tests;
