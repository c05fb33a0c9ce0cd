//! The one place that says who may do what. HTTP, WebSocket, data channels, WHIP and WHEP all ask here.
//!
//! Pure: (claims, action, state of the case, now) → allowed, or why not. The table below is the test's table too.
//!
//! | | room | mentor | desk | observer | vendor | planner | administrator | publisher | viewer | engine |
//! |---|---|---|---|---|---|---|---|---|---|---|
//! | sign in | ✓ | ✓ | ✓ | ✓ | ✓ | ✓ | ✓ | – | – | – |
//! | join | ✓ | ✓ | ✓ | ✓ | ✓ | – | – | – | – | – |
//! | attend: people, ink, voice heard, media at all | ✓ | ✓ | ✓ | ✓ | – | – | – | – | – | – |
//! | watch a feed (in scope) | ✓ | ✓ | ✓ | ✓ | – | – | – | – | ✓ | – |
//! | publish a feed (in scope) | – | – | – | – | – | – | – | ✓ | – | – |
//! | draw, point | ✓ | ✓ | ✓ | – | – | – | – | – | – | – |
//! | clear the ink, ink off | ✓ | – | – | – | – | – | – | – | – | – |
//! | speak | ✓ | ✓ | ✓ | – | – | – | – | – | – | – |
//! | open the voice, silence, end, draw or lift the privacy curtain | ✓ | – | – | – | – | – | – | – | – | – |
//! | change the program's layout for everybody | ✓ | – | ✓ | – | – | – | – | – | – | – |
//! | choose between *aligned* and *now*, for everybody | ✓ | – | – | – | – | – | – | – | – | – |
//! | open the case again, within ten minutes of its end (SG23a) | ✓ | – | – | – | – | – | – | – | – | – |
//! | let the room camera be turned from outside | ✓ | – | – | – | – | – | – | – | – | – |
//! | turn the room camera, while the room lets it (SG66) | – | ✓ | ✓ | – | – | – | – | – | – | – |
//! | read the case's health | – | – | ✓ | – | ✓ | – | – | – | – | – |
//! | read metrics | – | – | – | – | ✓ | – | ✓ | – | – | – |
//! | be the case's engine from afar | – | – | – | – | – | – | – | – | – | ✓ |
//!
//! A vendor joins without attending: figures of health, and no name, picture, voice or ink.

use annotation::id::FeedId;
use annotation::time::CaptureTime;
use link::id::CaseId;

use crate::claims::{Claims, Role};
use crate::texts::Code;

/// What somebody wants to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Exchange a link for a cookie.
    SignIn,
    /// Open a page of the case.
    Join,
    /// Be told who is there and what is drawn; connect pictures and voice.
    Attend,
    Watch(FeedId),
    Publish(FeedId),
    /// Draw, take back one's own strokes, point.
    Draw,
    /// Clear everybody's ink, or switch all ink off and on.
    VetoInk,
    /// Have one's voice forwarded at all. Whether it is forwarded *now* also hangs on the voice rule of the case.
    Speak,
    /// A player: hear all who speak, mixed. Pages hear by attending.
    Listen,
    /// Let remote voices into the room, and the room's out.
    OpenVoice,
    /// Silence all remote voices.
    MuteRemote,
    EndCase,
    /// Of a case that has ended: the only thing but figures that may be asked of it.
    Reopen,
    /// Draw the privacy curtain, or lift it.
    MoveCurtain,
    /// Let the room's camera be turned from outside, or no longer.
    AllowCamera,
    /// Turn it.
    MoveCamera,
    /// Of the program, for everybody who watches it.
    SetLayout,
    /// Whether the program waits for its insets.
    SetTiming,
    /// Of this case: feeds, layers, peers by number.
    ReadHealth,
    ReadMetrics,
    /// Be the case's engine over the network: its feeds, their times, what is drawn on them.
    Compose,
}

impl Action {
    /// For the audit; without ids.
    pub fn as_str(&self) -> &'static str {
        match self {
            Action::SignIn => "sign-in",
            Action::Join => "join",
            Action::Attend => "attend",
            Action::Watch(_) => "watch",
            Action::Publish(_) => "publish",
            Action::Draw => "draw",
            Action::VetoInk => "veto-ink",
            Action::Speak => "speak",
            Action::Listen => "listen",
            Action::OpenVoice => "open-voice",
            Action::MuteRemote => "mute-remote",
            Action::EndCase => "end-case",
            Action::Reopen => "reopen",
            Action::MoveCurtain => "move-curtain",
            Action::AllowCamera => "allow-camera",
            Action::MoveCamera => "move-camera",
            Action::SetLayout => "set-layout",
            Action::SetTiming => "set-timing",
            Action::ReadHealth => "read-health",
            Action::ReadMetrics => "read-metrics",
            Action::Compose => "compose",
        }
    }
}

/// Where a case stands. Later phases (requested, scheduled, …) come with the path that leads to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Live,
    Ended,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Live => "live",
            Phase::Ended => "ended",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "live" => Some(Phase::Live),
            "ended" => Some(Phase::Ended),
            _ => None,
        }
    }
}

/// What of the case a permission can hang on.
#[derive(Debug, Clone)]
pub struct CaseFacts<'a> {
    pub case: &'a CaseId,
    pub phase: Phase,
}

/// Why not. Each has a stable code and a sentence in [`crate::texts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    #[error("the link has expired")]
    Expired,
    #[error("the link is of another case")]
    OtherCase,
    #[error("the case has ended")]
    Ended,
    #[error("the role does not allow it")]
    Role,
    #[error("the token does not name this feed")]
    Feed,
}

impl Denied {
    pub fn code(self) -> Code {
        match self {
            Denied::Expired => Code::LinkExpired,
            Denied::OtherCase => Code::LinkOtherCase,
            Denied::Ended => Code::CaseEnded,
            Denied::Role => Code::DeniedRole,
            Denied::Feed => Code::DeniedFeed,
        }
    }
}

/// The one permission function. `now`: case timeline.
pub fn authorize(claims: &Claims, action: &Action, facts: &CaseFacts<'_>, now: CaptureTime) -> Result<(), Denied> {
    if claims.is_expired(now) {
        return Err(Denied::Expired);
    }
    if claims.case != *facts.case {
        return Err(Denied::OtherCase);
    }
    if facts.phase == Phase::Ended && !matches!(action, Action::ReadMetrics | Action::Reopen) {
        return Err(Denied::Ended);
    }
    if !role_may(claims.role, action) {
        return Err(Denied::Role);
    }
    match action {
        Action::Watch(feed) | Action::Publish(feed) if !claims.feeds.covers(feed) => Err(Denied::Feed),
        _ => Ok(()),
    }
}

/// What a role may, whatever the token and the case say.
pub(crate) fn role_may(role: Role, action: &Action) -> bool {
    use Role::{Administrator, Desk, Engine, Mentor, Observer, Publisher, Room, Vendor, Viewer};
    match action {
        Action::SignIn => role.is_person(),
        Action::Join => matches!(role, Room | Mentor | Desk | Observer | Vendor),
        Action::Attend => matches!(role, Room | Mentor | Desk | Observer),
        Action::Watch(_) => matches!(role, Room | Mentor | Desk | Observer | Viewer),
        Action::Publish(_) => role == Publisher,
        Action::Listen => matches!(role, Room | Mentor | Desk | Observer | Viewer),
        Action::Draw | Action::Speak => matches!(role, Room | Mentor | Desk),
        Action::VetoInk
        | Action::OpenVoice
        | Action::MuteRemote
        | Action::EndCase
        | Action::Reopen
        | Action::SetTiming
        | Action::MoveCurtain
        | Action::AllowCamera => role == Room,
        Action::MoveCamera => matches!(role, Mentor | Desk),
        Action::SetLayout => matches!(role, Room | Desk),
        Action::ReadHealth => matches!(role, Desk | Vendor),
        Action::ReadMetrics => matches!(role, Vendor | Administrator),
        Action::Compose => role == Engine,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::claims::{FeedScope, PersonKey, TOKEN_ID_BYTES, TokenId};

    fn case(id: &str) -> CaseId {
        CaseId::parse(id).expect("an id")
    }

    fn feed(id: &str) -> FeedId {
        FeedId::parse(id).expect("an id")
    }

    fn at(unix_s: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(unix_s))
    }

    fn claims(role: Role) -> Claims {
        Claims {
            id: TokenId([1; TOKEN_ID_BYTES]),
            case: case("demo"),
            person: PersonKey::parse("somebody").expect("an id"),
            role,
            feeds: FeedScope::Only(vec![feed("program")]),
            expires_unix_s: 1_790_000_000,
        }
    }

    fn actions() -> [Action; 21] {
        [
            Action::SignIn,
            Action::Join,
            Action::Attend,
            Action::Watch(feed("program")),
            Action::Publish(feed("program")),
            Action::Draw,
            Action::VetoInk,
            Action::Speak,
            Action::OpenVoice,
            Action::MuteRemote,
            Action::EndCase,
            Action::ReadHealth,
            Action::ReadMetrics,
            Action::Listen,
            Action::SetLayout,
            Action::SetTiming,
            Action::MoveCurtain,
            Action::AllowCamera,
            Action::MoveCamera,
            Action::Compose,
            Action::Reopen,
        ]
    }

    #[test]
    fn sg2_the_table_of_roles_and_actions_is_as_written() {
        // Columns in the order of `actions()`.
        let table = [
            (Role::Room, "11110111 11100111 11001"),
            (Role::Mentor, "11110101 00000100 00100"),
            (Role::Desk, "11110101 00010110 00100"),
            (Role::Observer, "11110000 00000100 00000"),
            (Role::Vendor, "11000000 00011000 00000"),
            (Role::Planner, "10000000 00000000 00000"),
            (Role::Administrator, "10000000 00001000 00000"),
            (Role::Publisher, "00001000 00000000 00000"),
            (Role::Viewer, "00010000 00000100 00000"),
            (Role::Engine, "00000000 00000000 00010"),
        ];
        let live = case("demo");
        let facts = CaseFacts { case: &live, phase: Phase::Live };
        assert_eq!(table.len(), Role::ALL.len());
        for (role, row) in table {
            let got: String = actions()
                .iter()
                .map(|action| match authorize(&claims(role), action, &facts, at(1_789_999_000)) {
                    Ok(()) => '1',
                    Err(Denied::Role) => '0',
                    Err(other) => panic!("{role} {action:?}: {other}"),
                })
                .collect();
            assert_eq!(got, row.replace(' ', ""), "{role}");
        }
    }

    #[test]
    fn sg2_an_expired_token_opens_nothing() {
        let live = case("demo");
        let facts = CaseFacts { case: &live, phase: Phase::Live };
        for role in Role::ALL {
            for action in actions() {
                assert_eq!(authorize(&claims(role), &action, &facts, at(1_790_000_000)), Err(Denied::Expired));
            }
        }
    }

    #[test]
    fn sg2_a_token_opens_only_its_own_case() {
        let other = case("other");
        let facts = CaseFacts { case: &other, phase: Phase::Live };
        for role in Role::ALL {
            for action in actions() {
                assert_eq!(authorize(&claims(role), &action, &facts, at(0)), Err(Denied::OtherCase));
            }
        }
    }

    #[test]
    fn sg2_an_ended_case_admits_nobody() {
        let ended = case("demo");
        let facts = CaseFacts { case: &ended, phase: Phase::Ended };
        for role in Role::ALL {
            for action in actions().into_iter().filter(|a| !matches!(a, Action::ReadMetrics | Action::Reopen)) {
                assert_eq!(authorize(&claims(role), &action, &facts, at(0)), Err(Denied::Ended));
            }
            let reopened = authorize(&claims(role), &Action::Reopen, &facts, at(0));
            assert_eq!(reopened.is_ok(), role == Role::Room, "{role}");
        }
    }

    #[test]
    fn sg2_a_feed_outside_the_scope_is_neither_watched_nor_published() {
        let live = case("demo");
        let facts = CaseFacts { case: &live, phase: Phase::Live };
        assert_eq!(authorize(&claims(Role::Mentor), &Action::Watch(feed("field")), &facts, at(0)), Err(Denied::Feed));
        assert_eq!(authorize(&claims(Role::Publisher), &Action::Publish(feed("field")), &facts, at(0)), Err(Denied::Feed));
    }
}
