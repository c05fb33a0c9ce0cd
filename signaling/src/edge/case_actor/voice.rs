//! What the room opened stays open over a short restart of the server (SG22a): the press is a fact on the disk.

use std::time::Duration;

use annotation::id::Epoch;
use annotation::time::CaptureTime;
use tracing::info;

use super::Actor;
use crate::claims::Role;
use crate::edge::store::{Command, VoiceKept};

/// While open it is said again this often: how long the server was away is known to that.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// A server that was away for longer finds the voice closed: people have gone on by telephone.
const AWAY_MAX: Duration = Duration::from_secs(30);
/// The room's page is back within this, or presses again.
const BACK_WITHIN: Duration = Duration::from_secs(15);

/// The room's opening of the voice: as it is on the disk, and as it waits for the room's page after a start.
#[derive(Debug)]
pub(super) struct Consent {
    kept: Option<VoiceKept>,
    /// Of before the start, and until when it may be taken up.
    waits: Option<(VoiceKept, CaptureTime)>,
}

impl Consent {
    /// `kept`: as the disk had it at the start.
    pub(super) fn new(kept: Option<VoiceKept>, now: CaptureTime) -> Self {
        // A clock that was set back in between tells nothing.
        let recent = |k: &VoiceKept| k.open && now >= k.at && now.since(k.at) <= AWAY_MAX;
        Consent { kept, waits: kept.filter(recent).map(|k| (k, now.saturating_add(BACK_WITHIN))) }
    }

    /// What is to be written now, if anything. `behind`: the disk does not take what it was given, and is not given more of the same.
    fn poll_keep(&mut self, voice: VoiceKept, behind: bool) -> Option<VoiceKept> {
        let same = self.kept.is_some_and(|k| (k.open, k.muted, k.page) == (voice.open, voice.muted, voice.page));
        let fresh = self.kept.is_some_and(|k| voice.at.since(k.at) < KEEP_EVERY);
        if same && (fresh || behind || !voice.open) || self.kept.is_none() && !voice.open {
            return None;
        }
        self.kept = Some(voice);
        Some(voice)
    }

    /// With whether remote voices were silenced: this is the page that had the room's voice last before the start, and is back in time. No
    /// older key of the room's opens anything.
    fn take_up(&mut self, page: Epoch, role: Role, now: CaptureTime) -> Option<bool> {
        let (kept, until) = self.waits?;
        if now > until {
            self.waits = None;
            return None;
        }
        (role == Role::Room && page == kept.page).then(|| {
            self.waits = None;
            kept.muted
        })
    }

    /// The room has pressed: nothing of before the start is taken up any more.
    pub(super) fn handle_press(&mut self) {
        self.waits = None;
    }

    /// The next keeping says when again, however fresh the last is.
    pub(super) fn forget_when(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.at = CaptureTime(0);
        }
    }
}

impl Actor {
    pub(super) fn keep_voice(&mut self, now: CaptureTime) {
        // Until the room's page is back or late, what is on the disk stands.
        if self.consent.waits.is_some_and(|(_, until)| now <= until) && !self.case.voice_open() {
            return;
        }
        let rooms = || self.case.epochs().into_iter().filter(|epoch| self.case.role(*epoch) == Some(Role::Room));
        // Whoever came last: the room may have several pages, and one of before may be back.
        let came = |epoch: &Epoch| (self.case.is_connected(*epoch), self.pages.get(epoch).map(|page| page.connection));
        let newest = rooms().max_by_key(came);
        let state = self.case.state(now);
        let voice = VoiceKept { open: state.voice_open, muted: state.remote_muted, page: newest.unwrap_or(Epoch(0)), at: now };
        if let Some(voice) = self.consent.poll_keep(voice, !self.backlog.is_empty()) {
            self.hand_to_store(Command::Voice { case: self.case.id().clone(), voice });
        }
    }

    /// A page has entered: if it is the room's of before a short restart, the voice is as it was.
    pub(super) fn resume_voice(&mut self, page: Epoch, role: Role, now: CaptureTime) {
        let Some(muted) = self.consent.take_up(page, role, now) else { return };
        self.case.resume_voice(muted);
        info!(case = %self.case.id(), page = page.0, "the room's page is back after a restart: the voice is as it was");
        self.audit_page(page, "voice-resumed", "ok");
        self.after_voice_change();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Epoch = Epoch(7);

    fn at(seconds: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000 + seconds))
    }

    fn open(seconds: u64) -> VoiceKept {
        VoiceKept { open: true, muted: true, page: PAGE, at: at(seconds) }
    }

    #[test]
    fn sg22a_the_rooms_own_page_finds_the_voice_as_it_was_after_a_short_restart() {
        assert_eq!(Consent::new(Some(open(0)), at(6)).take_up(PAGE, Role::Room, at(8)), Some(true));
        let mut consent = Consent::new(Some(open(0)), at(6));
        assert_eq!(consent.take_up(PAGE, Role::Mentor, at(7)), None, "another's page opens nothing");
        assert_eq!(consent.take_up(Epoch(8), Role::Room, at(7)), None, "nor does one that was not there");
        assert_eq!(consent.take_up(Epoch(6), Role::Room, at(7)), None, "nor the key of a page of earlier");
        assert_eq!(consent.take_up(PAGE, Role::Room, at(8)), Some(true));
        assert_eq!(consent.take_up(PAGE, Role::Room, at(9)), None, "once");
    }

    #[test]
    fn sg22a_a_press_after_the_start_is_the_rooms_last_word() {
        let mut consent = Consent::new(Some(open(0)), at(6));
        consent.handle_press();
        assert_eq!(consent.take_up(PAGE, Role::Room, at(8)), None);
    }

    #[test]
    fn sg22a_after_a_long_restart_a_late_page_or_a_closed_voice_the_room_presses_again() {
        assert_eq!(Consent::new(Some(open(0)), at(31)).take_up(PAGE, Role::Room, at(32)), None);
        assert_eq!(Consent::new(Some(open(0)), at(6)).take_up(PAGE, Role::Room, at(22)), None);
        assert_eq!(Consent::new(Some(open(9)), at(6)).take_up(PAGE, Role::Room, at(8)), None, "a clock set back");
        let closed = VoiceKept { open: false, ..open(0) };
        assert_eq!(Consent::new(Some(closed), at(6)).take_up(PAGE, Role::Room, at(8)), None);
        assert_eq!(Consent::new(None, at(6)).take_up(PAGE, Role::Room, at(8)), None);
    }

    #[test]
    fn it_is_kept_at_each_change_and_every_five_seconds_while_open() {
        let mut consent = Consent::new(None, at(0));
        assert_eq!(consent.poll_keep(VoiceKept { open: false, ..open(1) }, false), None, "nothing was ever said");
        assert!(consent.poll_keep(open(2), false).is_some());
        assert_eq!(consent.poll_keep(open(4), false), None);
        assert!(consent.poll_keep(VoiceKept { muted: false, ..open(5) }, false).is_some());
        assert!(consent.poll_keep(VoiceKept { muted: false, ..open(10) }, false).is_some());
        consent.forget_when();
        assert!(consent.poll_keep(VoiceKept { muted: false, ..open(11) }, false).is_some());
        let closed = |seconds| VoiceKept { open: false, muted: false, ..open(seconds) };
        assert!(consent.poll_keep(closed(12), false).is_some());
        assert_eq!(consent.poll_keep(closed(600), false), None);
    }

    #[test]
    fn sg22a_a_disk_that_lags_is_told_of_another_page_of_the_room_and_not_the_same_again() {
        let mut consent = Consent::new(None, at(0));
        assert!(consent.poll_keep(open(1), true).is_some(), "the press waits for the disk");
        assert_eq!(consent.poll_keep(open(20), true), None, "no more of the same");
        let anew = VoiceKept { page: Epoch(8), ..open(21) };
        assert_eq!(consent.poll_keep(anew, true), Some(anew), "or the key of the page before would open the voice");
        assert!(consent.poll_keep(VoiceKept { open: false, ..anew }, true).is_some());
    }
}
