//! What the case keeps of one page.

use std::time::Duration;

use annotation::id::{Epoch, FeedId};
use annotation::time::CaptureTime;
use link::id::LayerId;
use sfu::{Grants, PeerId, PeerStats, Why, Wish};

use super::CaseInput;
use crate::claims::Role;
use crate::edge::mailbox::Mailbox;
use crate::ink_limits::Bucket;
use crate::wire::ClientReport;

/// Whose input this is, where it is a page's.
pub(super) fn page_of(input: &CaseInput) -> Option<Epoch> {
    match input {
        CaseInput::Join { epoch, .. }
        | CaseInput::Page { epoch, .. }
        | CaseInput::Gone { epoch, .. }
        | CaseInput::Offered { epoch, .. } => Some(*epoch),
        _ => None,
    }
}

/// Who only watches gets a steady picture a tenth of a second later; who guides, and the room, the soonest there is.
pub(super) fn only_watches(role: Option<Role>) -> bool {
    !matches!(role, Some(Role::Room | Role::Mentor))
}

/// One page of one person.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) mailbox: Mailbox,
    /// Of the socket; an earlier socket of the same page is no longer heard.
    pub(super) connection: u64,
    pub(super) away_since: Option<CaptureTime>,
    pub(super) peer: Option<PeerId>,
    /// The `o=` session of its peer connection: tells an ICE restart from a new connection.
    pub(super) sdp_session: String,
    /// It has told of since its last offer.
    pub(super) candidates: usize,
    /// An offer is with the media thread.
    pub(super) offering: bool,
    pub(super) media_up: bool,
    pub(super) ink_open: bool,
    /// The page's last ink came by the data channel; so do the answers.
    pub(super) ink_by_channel: bool,
    pub(super) eph_open: bool,
    pub(super) vit_open: bool,
    /// Until then frame indexes are also sent by the socket.
    frames_by_socket: Option<CaptureTime>,
    /// What it sees in each video slot.
    pub(super) selection: [Option<Wish>; sfu::SLOTS_VIDEO as usize],
    /// What it gets of it, as the media thread told.
    pub(super) given: [Option<(Option<LayerId>, Why)>; sfu::SLOTS_VIDEO as usize],
    pub(super) grants: Grants,
    pub(super) report: ClientReport,
    pub(super) stats: PeerStats,
    /// Last time a refusal was written to the audit, and a fault of ink told: both at most once a second.
    pub(super) refusal_written: Option<CaptureTime>,
    pub(super) ink_fault_told: Option<CaptureTime>,
    /// Its newest pointer's number, and when it came.
    pub(super) pointer_told: Option<(u32, CaptureTime)>,
    pub(super) pointers: Bucket,
    /// Presses that change something for everybody and are a row of the audit each.
    pub(super) settings: Bucket,
    /// Since when it has its name at the relay.
    relays_since: Option<CaptureTime>,
}

impl Page {
    /// A page first sees the program. `smooth`: of one who only watches.
    pub(super) fn new(mailbox: Mailbox, connection: u64, smooth: bool) -> Self {
        let mut selection = [const { None }; sfu::SLOTS_VIDEO as usize];
        selection[0] = Some(Wish { smooth, ..Wish::of(FeedId::program()) });
        Page {
            mailbox,
            connection,
            away_since: None,
            peer: None,
            sdp_session: String::new(),
            candidates: 0,
            offering: false,
            media_up: false,
            ink_open: false,
            ink_by_channel: false,
            eph_open: false,
            vit_open: false,
            frames_by_socket: None,
            selection,
            given: [None; sfu::SLOTS_VIDEO as usize],
            grants: Grants::default(),
            report: ClientReport::default(),
            stats: PeerStats::default(),
            refusal_written: None,
            ink_fault_told: None,
            pointer_told: None,
            pointers: Bucket::default(),
            settings: Bucket::default(),
            relays_since: None,
        }
    }

    /// Back on a new socket; its media may have gone on.
    pub(super) fn return_with(&mut self, mailbox: Mailbox, connection: u64) {
        self.mailbox = mailbox;
        self.connection = connection;
        self.away_since = None;
        self.relays_since = None;
        self.ink_by_channel = self.ink_open;
    }

    /// True when it is to have another name at the relay; looked at every second.
    pub(super) fn poll_relays(&mut self, now: CaptureTime, after: Duration) -> bool {
        if self.away_since.is_some() {
            return false;
        }
        let due = now.since(*self.relays_since.get_or_insert(now)) >= after;
        if due {
            self.relays_since = Some(now);
        }
        due
    }

    /// Whether it needs to know what is in this feed's frames. The program's always: ages and the room's ink hang on it.
    pub(super) fn shows(&self, feed: &FeedId) -> bool {
        *feed == FeedId::program() || self.selection.iter().flatten().any(|wish| wish.feed == *feed)
    }

    /// Its line was cut and is back: its data channels' timers may have backed off (RFC 9260 §6.3.3) until `until`.
    pub(super) fn handle_returned(&mut self, until: CaptureTime) {
        self.frames_by_socket = Some(until);
    }

    /// Whether frame indexes go by the socket as well.
    pub(super) fn doubts_channels(&self, now: CaptureTime) -> bool {
        self.away_since.is_none() && self.frames_by_socket.is_some_and(|until| now < until)
    }

    /// Whether ink of this feed is before its eyes: alone, or in the program; `composed`: the program shows the feed.
    pub(super) fn sees(&self, feed: &FeedId, composed: bool) -> bool {
        let has = |wanted: &FeedId| self.selection.iter().flatten().any(|wish| wish.feed == *wanted);
        has(feed) || (composed && has(&FeedId::program()))
    }

    pub(super) fn forget_media(&mut self) {
        self.peer = None;
        self.media_up = false;
        self.ink_open = false;
        self.ink_by_channel = false;
        self.eph_open = false;
        self.vit_open = false;
        self.frames_by_socket = None;
        self.grants = Grants::default();
        self.stats = PeerStats::default();
        self.given = [None; sfu::SLOTS_VIDEO as usize];
    }

    /// What stands in a slot: of this feed, the layer that was told or else the one wished for.
    pub(super) fn assign(&self, slot: usize, wish: &Wish) -> crate::wire::Assign {
        let (layer, why) = self.given.get(slot).copied().flatten().unwrap_or((Some(wish.layer), Why::Wished));
        let layer = layer.map(|l| l.to_string()).unwrap_or_default();
        crate::wire::Assign { slot: slot as u32, feed: wish.feed.to_string(), layer, why: why.as_str().into() }
    }
}

/// Session id and address of an SDP's `o=` line: constant over the life of a peer connection (RFC 9429 §5.2.1).
pub(super) fn sdp_session(sdp: &str) -> &str {
    let origin = sdp.lines().find_map(|line| line.trim_end().strip_prefix("o=")).unwrap_or_default();
    origin.split_ascii_whitespace().nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sg28_frame_indexes_of_a_single_feed_are_for_pages_that_show_it() {
        let mut page = Page::new(crate::edge::mailbox::mailbox().0, 1, false);
        let field = FeedId::parse("field").expect("an id");
        assert!(page.shows(&FeedId::program()) && !page.shows(&field));
        page.selection[3] = Some(Wish::of(field.clone()));
        assert!(page.shows(&field));
        page.selection[3] = None;
        assert!(!page.shows(&field));
    }

    #[test]
    fn sg28_after_a_cut_frame_indexes_take_the_socket_too_for_a_while() {
        let at = |s: u64| CaptureTime::from_unix(Duration::from_secs(s));
        let mut page = Page::new(crate::edge::mailbox::mailbox().0, 1, false);
        assert!(!page.doubts_channels(at(10)));
        page.handle_returned(at(14));
        assert!(page.doubts_channels(at(13)) && !page.doubts_channels(at(14)));
        page.away_since = Some(at(12));
        assert!(!page.doubts_channels(at(13)), "there is no socket to take");
        page.away_since = None;
        page.forget_media();
        assert!(!page.doubts_channels(at(13)), "a new path has timers of its own");
    }

    #[test]
    fn sg45_a_page_that_is_there_gets_another_name_at_the_relay_before_its_own_has_run_out() {
        let at = |s: u64| CaptureTime::from_unix(Duration::from_secs(1_790_000_000 + s));
        let half = Duration::from_secs(1_800);
        let mut page = Page::new(crate::edge::mailbox::mailbox().0, 1, false);
        let told = |page: &mut Page, from, to| (from..to).filter(|s| page.poll_relays(at(*s), half)).collect::<Vec<u64>>();
        assert_eq!(told(&mut page, 0, 4_000), [1_800, 3_600]);
        page.away_since = Some(at(4_000));
        assert!(told(&mut page, 4_000, 6_000).is_empty(), "nobody is there");
        page.return_with(crate::edge::mailbox::mailbox().0, 2);
        assert_eq!(told(&mut page, 6_000, 8_000), [7_800], "its welcome had one");
    }

    #[test]
    fn the_session_of_an_offer_is_its_own_over_ice_restarts() {
        let first = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\n";
        let restart = "v=0\r\no=- 4611731400430051336 3 IN IP4 127.0.0.1\r\ns=-\r\n";
        assert_eq!(sdp_session(first), "4611731400430051336");
        assert_eq!(sdp_session(first), sdp_session(restart));
        assert_eq!(sdp_session("v=0\r\n"), "");
    }
}
