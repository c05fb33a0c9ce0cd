use std::time::Duration;

use super::*;
use crate::claims::{FeedScope, TOKEN_ID_BYTES, TokenId};
use crate::demo;

const ROOM: Epoch = Epoch(1);
const MENTOR: Epoch = Epoch(2);

fn now() -> CaptureTime {
    CaptureTime::from_unix(Duration::from_secs(1_790_000_000))
}

fn claims(role: Role, person: &str) -> Claims {
    Claims {
        id: TokenId([role as u8; TOKEN_ID_BYTES]),
        case: CaseId::parse("demo").expect("an id"),
        person: PersonKey::parse(person).expect("an id"),
        role,
        feeds: FeedScope::All,
        expires_unix_s: 1_790_000_100,
    }
}

fn both_present() -> Case {
    let mut case = Case::new(demo::sheet(CaseId::parse("demo").expect("an id")), Phase::Live, Curtain::default());
    case.handle_join(ROOM, claims(Role::Room, demo::ROOM), now()).expect("the room enters");
    case.handle_join(MENTOR, claims(Role::Mentor, demo::MENTOR), now()).expect("the mentor enters");
    case
}

#[test]
fn sg20_no_voice_goes_anywhere_before_the_room_presses() {
    let mut case = both_present();
    for page in [ROOM, MENTOR] {
        case.handle_microphone(page, true, now()).expect("may speak");
        assert_eq!(case.media_grants(page, now()), MediaGrants { see: true, hear: false, speak: false });
    }
    assert_eq!(case.handle_voice_open(MENTOR, true, now()), Err(Denied::Role));
    assert!(!case.media_grants(MENTOR, now()).speak);
    case.handle_voice_open(ROOM, true, now()).expect("the room may");
    for page in [ROOM, MENTOR] {
        assert_eq!(case.media_grants(page, now()), MediaGrants { see: true, hear: true, speak: true });
    }
}

#[test]
fn sg21_the_room_silences_the_remote_side_and_not_itself() {
    let mut case = both_present();
    case.handle_voice_open(ROOM, true, now()).expect("the room may");
    for page in [ROOM, MENTOR] {
        case.handle_microphone(page, true, now()).expect("may speak");
    }
    assert_eq!(case.handle_remote_mute(MENTOR, true, now()), Err(Denied::Role));
    case.handle_remote_mute(ROOM, true, now()).expect("the room may");
    assert!(case.media_grants(ROOM, now()).speak);
    assert!(!case.media_grants(MENTOR, now()).speak);
    assert!(case.media_grants(MENTOR, now()).hear);
}

#[test]
fn sg22_the_voice_closes_with_the_rooms_last_page() {
    let mut case = both_present();
    case.handle_voice_open(ROOM, true, now()).expect("the room may");
    case.handle_leave(MENTOR, true);
    assert!(case.voice_open());
    case.handle_leave(ROOM, true);
    assert!(!case.voice_open());
}

#[test]
fn sg23_only_the_room_ends_a_case_and_afterwards_nobody_may_anything() {
    let mut case = both_present();
    assert_eq!(case.handle_end(MENTOR, now()), Err(Denied::Role));
    case.handle_end(ROOM, now()).expect("the room may");
    for page in [ROOM, MENTOR] {
        assert_eq!(case.media_grants(page, now()), MediaGrants::default());
        assert!(!case.ink_grants(page, now()).expect("still listed").may_draw);
    }
    let again = case.handle_join(Epoch(3), claims(Role::Mentor, demo::MENTOR), now());
    assert_eq!(again, Err(JoinFault::Denied(Denied::Ended)));
}

#[test]
fn sg23a_the_end_is_taken_back_by_the_room_within_ten_minutes() {
    let mut case = both_present();
    let room = Claims { expires_unix_s: 1_790_100_000, ..claims(Role::Room, demo::ROOM) };
    assert_eq!(case.handle_reopen(&room, now()), Ok(false), "it is open");
    case.handle_voice_open(ROOM, true, now()).expect("the room may");
    case.handle_end(ROOM, now()).expect("the room may");
    assert_eq!(case.handle_reopen(&claims(Role::Mentor, demo::MENTOR), now()), Err(Denied::Role));
    let late = now().saturating_add(REOPEN_WITHIN + Duration::from_secs(1));
    assert_eq!(case.handle_reopen(&room, late), Err(Denied::Ended));
    assert_eq!(case.handle_reopen(&room, now().saturating_add(REOPEN_WITHIN)), Ok(true));
    assert_eq!((case.phase(), case.voice_open(), case.camera.is_allowed()), (Phase::Live, false, false));
    assert_eq!(Case::new(case.sheet().clone(), Phase::Ended, Curtain::default()).handle_reopen(&room, now()), Err(Denied::Ended));
}

#[test]
fn sg12_a_page_that_comes_back_keeps_its_epoch_and_its_microphone() {
    let mut case = both_present();
    case.handle_microphone(MENTOR, true, now()).expect("may speak");
    case.handle_away(MENTOR);
    let present = |case: &Case| case.people(now()).people.iter().map(|p| p.present).collect::<Vec<_>>();
    assert_eq!(present(&case), [true, false, false, false]);
    case.handle_join(MENTOR, claims(Role::Mentor, demo::MENTOR), now()).expect("comes back");
    assert_eq!(present(&case), [true, true, false, false]);
    assert!(case.people(now()).people[1].microphone);
}

#[test]
fn sg15_who_leaves_on_purpose_has_left_and_whose_line_broke_has_not() {
    let mut case = both_present();
    let left = |case: &Case| case.people(now()).people.iter().map(|p| p.left).collect::<Vec<_>>();
    assert_eq!(left(&case), [false, false, true, true], "who has not come has lost no line");
    case.handle_away(MENTOR);
    assert!(!left(&case)[1], "broken off");
    case.handle_leave(MENTOR, false);
    assert!(!left(&case)[1], "given up, and still no farewell");
    case.handle_join(Epoch(3), claims(Role::Mentor, demo::MENTOR), now()).expect("comes anew");
    case.handle_join(Epoch(4), claims(Role::Mentor, demo::MENTOR), now()).expect("a second page");
    case.handle_leave(Epoch(3), true);
    assert!(!left(&case)[1], "the second page is there");
    case.handle_leave(Epoch(4), true);
    assert!(left(&case)[1]);
}

#[test]
fn sg26_a_vendor_is_in_the_case_and_attends_nothing_of_it() {
    let mut case = both_present();
    let vendor = Epoch(3);
    case.handle_join(vendor, claims(Role::Vendor, demo::VENDOR), now()).expect("enters");
    case.handle_voice_open(ROOM, true, now()).expect("the room may");
    assert_eq!(case.media_grants(vendor, now()), MediaGrants::default());
    assert_eq!(case.may(vendor, &Action::Attend, now()), Err(Denied::Role));
    assert_eq!(case.may(vendor, &Action::ReadHealth, now()), Ok(()));
    assert!(!case.ink_grants(vendor, now()).expect("is listed").may_draw);
}

#[test]
fn sg12_an_epoch_of_somebody_else_is_not_taken_over() {
    let mut case = both_present();
    let fault = case.handle_join(ROOM, claims(Role::Mentor, demo::MENTOR), now());
    assert_eq!(fault, Err(JoinFault::NobodyOfThisName));
}

#[test]
fn one_link_cannot_fill_a_case_and_nobody_can_keep_the_room_out() {
    let mut case = both_present();
    let link = |n: u8| Claims { id: TokenId([100 + n; TOKEN_ID_BYTES]), ..claims(Role::Mentor, demo::MENTOR) };
    let mut entered = 1;
    for n in 0..PAGES_MAX as u32 * 2 {
        let page = Epoch(10 + n);
        entered += usize::from(case.handle_join(page, link((n / 10) as u8), now()).is_ok());
    }
    assert_eq!(entered, PAGES_MAX - PAGES_OF_THE_ROOM);
    for n in 0..PAGES_OF_THE_ROOM as u32 - 1 {
        case.handle_join(Epoch(1_000 + n), claims(Role::Room, demo::ROOM), now()).expect("the room has its places");
    }
    let mut alone = both_present();
    for n in 0..PAGES_PER_LINK as u32 - 1 {
        alone.handle_join(Epoch(10 + n), claims(Role::Mentor, demo::MENTOR), now()).expect("there is room");
    }
    let fault = alone.handle_join(Epoch(99), claims(Role::Mentor, demo::MENTOR), now());
    assert_eq!(fault, Err(JoinFault::Full));
}

#[test]
fn sg21_the_next_conversation_begins_unsilenced() {
    let mut case = both_present();
    case.handle_voice_open(ROOM, true, now()).expect("the room may");
    case.handle_remote_mute(ROOM, true, now()).expect("the room may");
    case.handle_leave(ROOM, true);
    case.handle_join(Epoch(50), claims(Role::Room, demo::ROOM), now()).expect("the room is back");
    case.handle_voice_open(Epoch(50), true, now()).expect("the room may");
    case.handle_microphone(MENTOR, true, now()).expect("the mentor may");
    assert!(case.media_grants(MENTOR, now()).speak);
}

#[test]
fn sg50_who_asks_for_the_pen_waits_until_it_is_lent_or_they_go() {
    let mut case = both_present();
    let desk = Epoch(3);
    case.handle_join(desk, claims(Role::Desk, demo::DESK), now()).expect("enters");
    let told = |case: &Case| case.people(now()).people.iter().map(|p| (p.lead, p.may_draw, p.asks_pen)).collect::<Vec<_>>();
    assert_eq!(told(&case)[..3], [(false, true, false), (true, true, false), (false, false, false)]);
    case.handle_ask(desk, true, now()).expect("may ask");
    case.handle_ask(MENTOR, true, now()).expect("need not ask");
    assert_eq!(told(&case)[1..3], [(true, true, false), (false, false, true)]);
    case.handle_pen(Some(Author(2)), [Author(3)].into());
    assert_eq!(told(&case)[2], (false, true, false));
    case.handle_pen(Some(Author(2)), BTreeSet::new());
    case.handle_ask(desk, true, now()).expect("may ask");
    case.handle_leave(desk, true);
    assert_eq!(told(&case)[2], (false, false, false));
}

#[test]
fn pages_of_expired_tokens_are_named() {
    let case = both_present();
    assert!(case.expired(now()).is_empty());
    assert_eq!(case.expired(now().saturating_add(Duration::from_secs(100))), [ROOM, MENTOR]);
}

#[test]
fn sg39_vital_signs_are_for_those_whose_link_covers_their_feed() {
    let mut case = both_present();
    let vitals = FeedId::parse("vitals").expect("an id");
    let narrow = Claims { feeds: FeedScope::Only(vec![FeedId::program()]), ..claims(Role::Desk, demo::DESK) };
    case.handle_join(Epoch(3), narrow, now()).expect("the desk enters");
    case.handle_join(Epoch(4), claims(Role::Vendor, demo::VENDOR), now()).expect("the vendor enters");
    let who = |feed: &FeedId| case.watchers_of(feed, now()).collect::<Vec<_>>();
    assert_eq!(who(&vitals), [ROOM, MENTOR]);
    assert_eq!(who(&FeedId::program()), [ROOM, MENTOR, Epoch(3)], "and the vendor sees no patient");
    let later = now().saturating_add(Duration::from_secs(101));
    assert_eq!(case.watchers_of(&vitals, later).count(), 0, "nobody whose link has run out");
}
