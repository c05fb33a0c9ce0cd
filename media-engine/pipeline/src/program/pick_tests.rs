use super::*;
use crate::board::{Board, CapturedFrame};
use crate::figures::Glance;
use crate::program::layout::{PixelRect, Place};
use crate::timing::case_clock::Generation;
use annotation::id::FeedId;

const MS: Duration = Duration::from_millis(1);

fn at(ms: u64) -> CaptureTime {
    CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_millis(ms))
}

fn arrangement(layout: &str, periods_ms: &[u32]) -> Arrangement {
    let feed = |(n, period): (usize, &u32)| ProgramFeed {
        feed: n,
        kind: String::new(),
        place: Place { feed: FeedId::parse(&format!("f{n}")).expect("an id"), picture: PixelRect { x: 0, y: 0, w: 16, h: 16 } },
        period: MS * *period,
        native: (16, 16),
        awaited: true,
    };
    Arrangement { rev: 1, layout: layout.into(), feeds: periods_ms.iter().enumerate().map(feed).collect(), aside: Vec::new() }
}

fn put(board: &Board, feed: usize, captured: u64, came: u64) {
    let (capture, came) = (at(captured), at(came));
    let frame = CapturedFrame { capture, came, origin: None, picture: None, single: None, own: None, glance: Glance::default() };
    board.put(feed, Generation(0), frame);
}

/// The program frame that is due now, if one is.
fn turn(picker: &mut Picker, board: &Board, arrangement: &Arrangement, now: CaptureTime) -> Option<(CaptureTime, Vec<Shown>)> {
    board.read(|state| {
        let t = picker.due(state, arrangement, now).ok()?;
        let shown = picker.shown(state, arrangement, t, now);
        picker.handle_made(t, Some(now));
        Some((t, shown))
    })
}

/// Main feed of 30 a second that comes at once, an inset of 30 a second that takes `delay` ms, for two seconds. Returns each
/// program frame: when, of which main frame, and how old its inset is beside it.
fn run(timing: Timing, layout: &str, delay: u64) -> Vec<(u64, i64, i64)> {
    let (board, arrangement) = (Board::new(2), arrangement(layout, &[33, 33]));
    let mut picker = Picker::new(timing, None);
    let mut made = Vec::new();
    for ms in 0..2000u64 {
        if ms % 33 == 0 {
            put(&board, 0, ms, ms);
        }
        if ms >= delay && (ms - delay) % 33 == 10 {
            put(&board, 1, ms - delay, ms);
        }
        while let Some((t, shown)) = turn(&mut picker, &board, &arrangement, at(ms)) {
            let inset = shown[1].frame.as_ref().map_or(-1, |f| t.minus_ns(f.capture) / 1_000_000);
            made.push((ms, at(ms).minus_ns(t) / 1_000_000, inset));
        }
    }
    made
}

#[test]
fn aligned_shows_the_same_instant_and_keeps_the_cadence_however_late_the_inset_is_within_the_bound() {
    for (layout, delay) in [("field-large", 5), ("field-large", 50), ("wall", 130)] {
        let made = run(Timing::Aligned, layout, delay);
        let late = &made[made.len() / 2..];
        assert!(late.iter().all(|&(_, _, inset)| (0..=33).contains(&inset)), "{layout} {delay}: {late:?}");
        assert!(late.windows(2).all(|w| w[1].0 - w[0].0 <= 34), "{layout} {delay}: every main frame goes out, {late:?}");
        assert!(late.iter().all(|&(_, age, _)| age <= delay as i64 + 1), "{layout} {delay}: no later than it must be");
    }
}

#[test]
fn now_goes_out_at_once_with_insets_at_their_own_age() {
    let made = run(Timing::Now, "field-large", 50);
    assert!(made.iter().all(|&(_, age, _)| age == 0));
    assert!(made[10..].iter().any(|&(_, _, inset)| inset > 50));
}

#[test]
fn an_inset_later_than_the_bound_is_not_awaited_and_the_skew_is_said() {
    let made = run(Timing::Aligned, "field-large", 130);
    let late = &made[made.len() / 2..];
    assert!(late.iter().all(|&(_, age, inset)| age == 0 && inset > 90), "{late:?}");
    let (board, arrangement) = (Board::new(2), arrangement("field-large", &[33, 33]));
    let mut picker = Picker::new(Timing::Aligned, None);
    for ms in (0..1000u64).step_by(33) {
        put(&board, 0, ms, ms);
        if ms >= 198 {
            put(&board, 1, ms - 198, ms);
        }
        let now = at(ms + 90);
        if let Some((_, shown)) = turn(&mut picker, &board, &arrangement, now) {
            assert_eq!(shown[0].sync, Sync::Unspecified, "it is compared with itself");
        }
    }
    let report = picker.take_skew(1);
    assert_eq!(report.sync, Sync::Off);
    assert!((190_000..200_000).contains(&report.skew_us) && (160_000..170_000).contains(&report.excess_us_p50), "{report:?}");
    assert_eq!(picker.take_skew(1), SkewReport::default(), "handed over");
}

#[test]
fn an_inset_that_dies_holds_the_main_feed_up_by_less_than_a_frame_and_once() {
    let (board, arrangement) = (Board::new(2), arrangement("field-large", &[33, 66]));
    let mut picker = Picker::new(Timing::Aligned, None);
    let mut late = Vec::new();
    for ms in 0..3000u64 {
        if ms % 33 == 0 {
            put(&board, 0, ms, ms);
        }
        if ms % 66 == 3 && ms < 1500 {
            put(&board, 1, ms, ms);
        }
        while let Some((t, _)) = turn(&mut picker, &board, &arrangement, at(ms)) {
            late.push(at(ms).minus_ns(t) / 1_000_000);
        }
    }
    assert_eq!(late.len(), 91, "every main frame");
    assert!(late.iter().all(|&ms| ms < 33) && late.iter().filter(|&&ms| ms > 5).count() <= 1, "{late:?}");
}

#[test]
fn times_of_arrival_are_never_called_aligned() {
    let (board, arrangement) = (Board::new(2), arrangement("field-large", &[33, 33]));
    board.change(|s| s.feeds[1].by_arrival = true);
    let mut picker = Picker::new(Timing::Aligned, None);
    put(&board, 1, 0, 0);
    put(&board, 0, 5, 5);
    let (_, shown) = turn(&mut picker, &board, &arrangement, at(6)).expect("due");
    assert_eq!(shown[1].sync, Sync::Unknown);
}

#[test]
fn a_timer_takes_over_while_the_main_feed_is_silent_so_that_its_companions_go_on() {
    let (board, arrangement) = (Board::new(2), arrangement("field-large", &[33, 33]));
    let mut picker = Picker::new(Timing::Aligned, None);
    put(&board, 0, 0, 0);
    let mut made = Vec::new();
    for ms in 1..300 {
        if let Some((t, _)) = turn(&mut picker, &board, &arrangement, at(ms)) {
            made.push((ms, at(ms).minus_ns(t) / 1_000_000));
        }
    }
    assert_eq!(
        made.iter().take(3).copied().collect::<Vec<_>>(),
        [(1, 0), (66, 0), (99, 0)],
        "a second frame is missing, then once a period"
    );
}

#[test]
fn when_the_main_feed_dies_its_companions_miss_less_than_a_frame() {
    let (board, arrangement) = (Board::new(2), arrangement("field-large", &[40, 40]));
    let mut picker = Picker::new(Timing::Aligned, None);
    let mut made = Vec::new();
    for ms in 0..1500 {
        if ms % 40 == 0 && ms <= 800 {
            put(&board, 0, ms, ms);
        }
        if ms % 40 == 7 {
            put(&board, 1, ms, ms);
        }
        while let Some((_, shown)) = turn(&mut picker, &board, &arrangement, at(ms)) {
            made.push((ms, shown[1].frame.as_ref().map(|f| f.capture)));
        }
    }
    made.retain(|(ms, _)| *ms > 100);
    let changes: Vec<u64> = made.windows(2).filter(|w| w[0].1 != w[1].1).map(|w| w[1].0).collect();
    let longest = changes.windows(2).map(|w| w[1] - w[0]).max();
    assert!(made.iter().any(|m| m.0 == 860), "half a period after the frame that is missing: {made:?}");
    assert!(longest.is_some_and(|ms| ms < 80), "{longest:?}");
}

#[test]
fn a_main_feed_that_often_comes_late_is_not_overtaken_by_the_timer() {
    let (board, arrangement) = (Board::new(2), arrangement("field-large", &[40, 40]));
    let mut picker = Picker::new(Timing::Aligned, None);
    let mut made = Vec::new();
    let (mut comes, mut late) = (0, false);
    for ms in 0..1500 {
        if ms == comes {
            put(&board, 0, ms, ms);
            late = !late;
            comes += if late { 52 } else { 28 };
        }
        while turn(&mut picker, &board, &arrangement, at(ms)).is_some() {
            made.push(ms);
        }
    }
    assert!(made.windows(2).filter(|w| w[0] > 200).all(|w| [28, 52].contains(&(w[1] - w[0]))), "no frame of the timer: {made:?}");
}

/// When a program frame was made, the capture of its main picture, and of its companion's with state and word.
type Made = (u64, Option<CaptureTime>, Option<CaptureTime>, FeedState, Sync);

/// Main feed and companion of 25 a second for 6 s; `comes`: when the main picture captured at a time is there, if it ever is.
fn run_main(comes: impl Fn(u64) -> Option<u64>) -> Vec<Made> {
    let (board, arrangement) = (Board::new(2), arrangement("field-large", &[40, 40]));
    let mut picker = Picker::new(Timing::Aligned, None);
    let arrivals: BTreeMap<u64, u64> = (0..6_000).step_by(40).filter_map(|ms| Some((comes(ms)?, ms))).collect();
    let mut made = Vec::new();
    for ms in 0..6_000 {
        if let Some(&captured) = arrivals.get(&ms) {
            put(&board, 0, captured, ms);
        }
        if ms % 40 == 7 {
            put(&board, 1, ms, ms);
        }
        while let Some((_, shown)) = turn(&mut picker, &board, &arrangement, at(ms)) {
            let capture = |n: usize| shown[n].frame.as_ref().map(|f| f.capture);
            made.push((ms, capture(0), capture(1), shown[1].state, shown[1].sync));
        }
    }
    made.retain(|m| m.0 > 400);
    made
}

/// The longest time for which the companion stood still, ms.
fn longest_still(made: &[Made]) -> u64 {
    let changes: Vec<u64> = made.windows(2).filter(|w| w[0].2 != w[1].2).map(|w| w[1].0).collect();
    changes.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(u64::MAX)
}

#[test]
fn a_main_feed_that_grows_slow_takes_its_companions_neither_back_nor_along() {
    // From 800 ms to 4 s each picture takes 350 ms, and the next is begun when it is done.
    for takes in [350, 1_300] {
        let slow = |ms: u64| (800..4_000).contains(&ms);
        let made = run_main(|ms| match slow(ms) {
            true => (ms % takes < 40).then_some(ms + takes),
            false => Some(ms),
        });
        assert!(made.windows(2).all(|w| w[1].2 >= w[0].2), "{takes}: never back");
        assert!(made.iter().all(|m| m.3 == FeedState::Live), "{takes}: never called dead");
        assert!(longest_still(&made) < 80, "{takes}: {} ms", longest_still(&made));
        let late = made.iter().filter(|m| (1_500..4_000).contains(&m.0)).map(|m| m.1);
        assert!(late.collect::<std::collections::BTreeSet<_>>().len() >= 2, "{takes}: what comes late is shown");
        assert_eq!(made.last().map(|m| m.4), Some(Sync::Aligned));
        assert!(made.iter().filter(|m| m.0 > 5_500).all(|m| m.1 == Some(at(m.0))), "{takes}: it clocks the program again");
    }
}

#[test]
fn a_main_feed_whose_way_grows_longer_is_aligned_again() {
    let made = run_main(|ms| Some(if ms < 2_000 { ms } else { ms + 240 }));
    let end = made.iter().filter(|m| m.0 > 5_000);
    let skew = |m: &Made| m.1.zip(m.2).map(|(main, other)| main.minus_ns(other) / 1_000_000);
    assert!(end.clone().count() > 20 && end.clone().all(|m| skew(m).is_some_and(|ms| (0..40).contains(&ms))));
    assert!(end.clone().all(|m| m.4 == Sync::Aligned));
}

#[test]
fn beside_a_main_feed_later_than_frames_are_kept_the_others_live_and_are_called_not_synchronised() {
    let made = run_main(|ms| Some(ms + 900));
    let end = made.iter().filter(|m| m.0 > 3_000);
    assert!(end.clone().count() > 20 && end.clone().all(|m| m.3 == FeedState::Live && m.4 == Sync::Off));
}
