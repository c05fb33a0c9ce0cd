//! The room's camera, turned from outside: only while the room lets it, by one person at a time, no faster than hands are. Pure.
//!
//! That it stands still when nobody says anything is the engine's; here it is said who may say something.

use std::time::Duration;

use annotation::id::{Author, Epoch};
use annotation::time::CaptureTime;

use crate::authorize::{Action, Denied};
use crate::case::Case;
use crate::ink_limits::{Bucket, Limit};
use crate::texts::Code;

/// Who has let go, or says nothing any more, holds it no longer after this.
pub const HELD_FOR: Duration = Duration::from_millis(1_000);
/// Words of one hand: ten a second while a key is held, and what changes of keys add.
const WORDS: Limit = Limit { burst: 20, per_s: 25 };

/// Not allowed when the server starts: the room presses anew.
#[derive(Debug, Clone, Copy, Default)]
pub struct Camera {
    allowed: bool,
    /// Whose hand it is, from which page, and when it last said so.
    held: Option<(Author, Epoch, CaptureTime)>,
    words: Bucket,
}

/// A word that is carried out. `first`: this hand begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    pub first: bool,
}

/// Why a word is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotMoved {
    Denied(Denied),
    /// A code that is told.
    Code(Code),
    /// Faster than a hand is: let fall.
    TooFast,
}

impl Camera {
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// Who turns it now.
    pub fn author(&self, now: CaptureTime) -> Option<Author> {
        self.held.filter(|(_, _, at)| now.since(*at) < HELD_FOR).map(|(author, ..)| author)
    }

    /// The page is gone, or has let go. True: it was the one.
    pub fn handle_let_go(&mut self, page: Epoch) -> bool {
        let was = self.held.is_some_and(|(_, held, _)| held == page);
        if was {
            self.held = None;
        }
        was
    }

    /// Time passes. True: nobody holds it any more.
    pub fn handle_time(&mut self, now: CaptureTime) -> bool {
        let over = self.held.is_some() && self.author(now).is_none();
        if over {
            self.held = None;
        }
        over
    }
}

impl Case {
    /// The room's switch. True: it moved.
    pub fn handle_allow_camera(&mut self, page: Epoch, allowed: bool, now: CaptureTime) -> Result<bool, Denied> {
        self.may(page, &Action::AllowCamera, now)?;
        let moved = self.camera.allowed != allowed;
        self.camera = Camera { allowed, held: self.camera.held.filter(|_| allowed), ..self.camera };
        Ok(moved)
    }

    /// A key is held on a page. `still`: it was let go.
    pub fn handle_move_camera(&mut self, page: Epoch, still: bool, now: CaptureTime) -> Result<Moved, NotMoved> {
        self.may(page, &Action::MoveCamera, now).map_err(NotMoved::Denied)?;
        let author = self.author(page).ok_or(NotMoved::Denied(Denied::Role))?;
        // What stops it is never refused to the one who moves it, nor, said late, while nobody does.
        if still {
            let others = self.camera.author(now).is_some_and(|held| held != author);
            let stops = self.camera.handle_let_go(page) || (!others && self.camera.words.take(WORDS, now));
            return if stops { Ok(Moved { first: false }) } else { Err(NotMoved::TooFast) };
        }
        if !self.camera.allowed {
            return Err(NotMoved::Code(Code::CameraNotAllowed));
        }
        if self.curtain().drawn {
            return Err(NotMoved::Code(Code::CameraCovered));
        }
        if self.camera.author(now).is_some_and(|held| held != author) {
            return Err(NotMoved::Code(Code::CameraTaken));
        }
        if !self.camera.words.take(WORDS, now) {
            return Err(NotMoved::TooFast);
        }
        let first = self.camera.author(now).is_none();
        self.camera.held = Some((author, page, now));
        Ok(Moved { first })
    }
}

#[cfg(test)]
mod tests {
    use link::id::CaseId;

    use super::*;
    use crate::authorize::Phase;
    use crate::claims::{Claims, FeedScope, PersonKey, Role, TOKEN_ID_BYTES, TokenId};
    use crate::curtain::Curtain;
    use crate::demo;

    const ROOM: Epoch = Epoch(1);
    const MENTOR: Epoch = Epoch(2);
    const DESK: Epoch = Epoch(3);

    fn at(ms: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_millis(1_790_000_000_000 + ms))
    }

    fn case() -> Case {
        let claims = |role: Role, person: &str| Claims {
            id: TokenId([role as u8; TOKEN_ID_BYTES]),
            case: CaseId::parse("demo").expect("an id"),
            person: PersonKey::parse(person).expect("an id"),
            role,
            feeds: FeedScope::All,
            expires_unix_s: 1_790_001_000,
        };
        let mut case = Case::new(demo::sheet(CaseId::parse("demo").expect("an id")), Phase::Live, Curtain::default());
        for (page, role, person) in
            [(ROOM, Role::Room, demo::ROOM), (MENTOR, Role::Mentor, demo::MENTOR), (DESK, Role::Desk, demo::DESK)]
        {
            case.handle_join(page, claims(role, person), at(0)).expect("enters");
        }
        case
    }

    #[test]
    fn sg66_nobody_turns_the_camera_before_the_room_lets_it_and_after_it_no_longer_does() {
        let mut case = case();
        assert_eq!(case.handle_move_camera(MENTOR, false, at(1)), Err(NotMoved::Code(Code::CameraNotAllowed)));
        assert_eq!(case.handle_allow_camera(MENTOR, true, at(1)), Err(Denied::Role));
        assert_eq!(case.handle_allow_camera(ROOM, true, at(1)), Ok(true));
        assert_eq!(case.handle_move_camera(ROOM, false, at(2)), Err(NotMoved::Denied(Denied::Role)), "it stands beside it");
        assert_eq!(case.handle_move_camera(MENTOR, false, at(2)), Ok(Moved { first: true }));
        assert_eq!(case.handle_move_camera(MENTOR, false, at(102)), Ok(Moved { first: false }));
        assert!(case.camera.author(at(103)).is_some());
        assert_eq!(case.handle_allow_camera(ROOM, false, at(110)), Ok(true));
        assert_eq!(case.camera.author(at(111)), None);
        assert_eq!(case.handle_move_camera(MENTOR, false, at(112)), Err(NotMoved::Code(Code::CameraNotAllowed)));
    }

    #[test]
    fn sg67_one_hand_at_a_time_and_none_behind_the_curtain() {
        let mut case = case();
        case.handle_allow_camera(ROOM, true, at(0)).expect("the room may");
        case.handle_move_camera(MENTOR, false, at(1)).expect("moves");
        assert_eq!(case.handle_move_camera(DESK, false, at(50)), Err(NotMoved::Code(Code::CameraTaken)));
        assert_eq!(case.handle_move_camera(DESK, true, at(50)), Err(NotMoved::TooFast), "it holds nothing to let go of");
        assert_eq!(case.handle_move_camera(MENTOR, true, at(60)), Ok(Moved { first: false }));
        assert_eq!(case.handle_move_camera(DESK, false, at(70)), Ok(Moved { first: true }));
        assert!(!case.camera.handle_time(at(900)) && case.camera.handle_time(at(1_080)), "whoever falls silent lets go");
        case.handle_curtain(ROOM, true, at(2_000)).expect("the room may");
        assert_eq!(case.handle_move_camera(DESK, false, at(2_001)), Err(NotMoved::Code(Code::CameraCovered)));
    }

    #[test]
    fn sg67_words_beyond_what_a_hand_says_fall() {
        let mut case = case();
        case.handle_allow_camera(ROOM, true, at(0)).expect("the room may");
        let taken = (0..1_000).filter(|n| case.handle_move_camera(MENTOR, false, at(*n)).is_ok()).count();
        assert!((20..=46).contains(&taken), "{taken}");
        assert!(case.handle_move_camera(MENTOR, true, at(1_000)).is_ok(), "the stop is never too much");
    }
}
