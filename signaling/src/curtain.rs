//! The privacy curtain: one press of the room pauses its camera and its microphone, for everybody, until the room lifts it. Pure.
//!
//! Who enforces it: the engine lets go of pictures before they leave it, the media thread of the room's voice and of what comes from
//! published cameras, and each page covers what it still has.

use annotation::id::{Author, Epoch};
use annotation::time::CaptureTime;

use crate::authorize::{Action, Denied};
use crate::case::Case;
use crate::claims::Role;

/// Whether it is drawn, since when, and who did it. Never moved: lifted, by nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Curtain {
    pub drawn: bool,
    /// Case timeline; unknown: it was never moved.
    pub since: CaptureTime,
    pub by: Option<Author>,
}

impl Curtain {
    /// The room's voice goes nowhere while it is drawn; those of others come in.
    pub fn silences(&self, role: Role) -> bool {
        self.drawn && role == Role::Room
    }
}

impl Case {
    pub fn curtain(&self) -> Curtain {
        self.curtain
    }

    /// The room's press. True: it moved.
    pub fn handle_curtain(&mut self, page: Epoch, drawn: bool, now: CaptureTime) -> Result<bool, Denied> {
        self.may(page, &Action::MoveCurtain, now)?;
        let moved = self.curtain.drawn != drawn;
        if moved {
            self.curtain = Curtain { drawn, since: now, by: self.author(page) };
        }
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use link::id::CaseId;

    use super::*;
    use crate::authorize::Phase;
    use crate::case::MediaGrants;
    use crate::claims::{Claims, FeedScope, PersonKey, TOKEN_ID_BYTES, TokenId};
    use crate::demo;

    const ROOM: Epoch = Epoch(1);
    const MENTOR: Epoch = Epoch(2);

    fn at(s: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000 + s))
    }

    fn case(curtain: Curtain) -> Case {
        let claims = |role: Role, person: &str| Claims {
            id: TokenId([role as u8; TOKEN_ID_BYTES]),
            case: CaseId::parse("demo").expect("an id"),
            person: PersonKey::parse(person).expect("an id"),
            role,
            feeds: FeedScope::All,
            expires_unix_s: 1_790_001_000,
        };
        let mut case = Case::new(demo::sheet(CaseId::parse("demo").expect("an id")), Phase::Live, curtain);
        case.handle_join(ROOM, claims(Role::Room, demo::ROOM), at(0)).expect("the room enters");
        case.handle_join(MENTOR, claims(Role::Mentor, demo::MENTOR), at(0)).expect("the mentor enters");
        case.handle_voice_open(ROOM, true, at(0)).expect("the room may");
        for page in [ROOM, MENTOR] {
            case.handle_microphone(page, true, at(0)).expect("may speak");
        }
        case
    }

    #[test]
    fn sg60_one_press_of_the_room_ends_its_voice_and_only_its_own() {
        let mut case = case(Curtain::default());
        let spoken = |case: &Case| [ROOM, MENTOR].map(|page| case.media_grants(page, at(1)).speak);
        let said = |case: &Case| case.people(at(1)).people.iter().map(|p| p.microphone).collect::<Vec<_>>();
        assert_eq!((spoken(&case), &said(&case)[..2]), ([true, true], &[true, true][..]));
        assert_eq!(case.handle_curtain(ROOM, true, at(1)), Ok(true));
        assert_eq!((spoken(&case), &said(&case)[..2]), ([false, true], &[false, true][..]));
        assert_eq!(case.media_grants(ROOM, at(1)), MediaGrants { see: true, hear: true, speak: false });
        let state = case.state(at(2));
        assert_eq!((state.curtain, state.curtain_since, state.curtain_author), (true, at(1).0, 1));
        // Speaking anew changes nothing while it is drawn.
        case.handle_microphone(ROOM, true, at(2)).expect("may speak");
        assert!(!case.media_grants(ROOM, at(2)).speak);
        assert_eq!(case.handle_curtain(ROOM, true, at(3)), Ok(false), "it is drawn already, since then");
        assert_eq!(case.curtain().since, at(1));
        assert_eq!(case.handle_curtain(ROOM, false, at(4)), Ok(true));
        assert_eq!(spoken(&case), [true, true], "as it was before");
    }

    #[test]
    fn sg60_nobody_but_the_room_moves_it_and_it_outlives_its_room() {
        let mut case = case(Curtain::default());
        assert_eq!(case.handle_curtain(MENTOR, true, at(1)), Err(Denied::Role));
        case.handle_curtain(ROOM, true, at(1)).expect("the room may");
        assert_eq!(case.handle_curtain(MENTOR, false, at(2)), Err(Denied::Role));
        case.handle_leave(ROOM, true);
        assert!(case.curtain().drawn, "until the room lifts it");
    }

    #[test]
    fn sg61_a_case_begins_with_the_curtain_as_it_was_left() {
        let kept = Curtain { drawn: true, since: at(0), by: Some(Author(1)) };
        assert!(!case(kept).media_grants(ROOM, at(1)).speak);
    }
}
