//! Hours of a case in seconds: clocks that drift apart, lines and machines that have their troubles; does anything grow? Plans
//! are data. The reference is a browser's playout: a picture is shown when it has come, and not before the time it is to be held
//! has passed since its capture, seen over the quickest way of the last seconds on the browser's own clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sfu::{PeerId, Wish};

use crate::viewer::Picture;
use crate::world::{ALL, ENCODING, World, feed, ms};

/// One page of a plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seat {
    /// Its clock, parts in a million fast.
    pub(crate) ppm: i64,
    /// One way, ms.
    pub(crate) delay: u64,
    /// It only watches, and is given a steady picture.
    pub(crate) smooth: bool,
    /// Width drawn at: which layer it gets.
    pub(crate) width: u32,
    /// How long its machine and the server's stand still at most.
    pub(crate) stall: Duration,
    /// Every few minutes its line has a trouble.
    pub(crate) troubled: bool,
}

/// A case, as data.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    /// The room's machine, parts in a million fast; it steers to the server's time every two seconds.
    pub(crate) source_ppm: i64,
    pub(crate) seats: Vec<Seat>,
}

const SEAT: Seat = Seat { ppm: 0, delay: 20, smooth: false, width: 300, stall: Duration::ZERO, troubled: false };

pub(crate) fn plans() -> Vec<Plan> {
    let drift = |ppm| Seat { ppm, ..SEAT };
    vec![
        Plan { name: "true clocks", source_ppm: 0, seats: vec![SEAT, Seat { smooth: true, ..SEAT }] },
        Plan {
            name: "pages 200 ppm fast and slow",
            source_ppm: 100,
            seats: vec![drift(200), drift(-200), Seat { smooth: true, ..drift(200) }, Seat { smooth: true, ..drift(-200) }],
        },
        Plan { name: "the room 200 ppm slow", source_ppm: -200, seats: vec![drift(100), Seat { smooth: true, ..drift(-100) }] },
        Plan {
            name: "long lines with troubles",
            source_ppm: 100,
            seats: vec![
                Seat { troubled: true, delay: 60, ..drift(-200) },
                Seat { troubled: true, smooth: true, delay: 60, ..drift(200) },
            ],
        },
        Plan {
            name: "machines with too much to do",
            source_ppm: -100,
            seats: vec![Seat { stall: ms(80), ..drift(150) }, Seat { stall: ms(80), smooth: true, ..drift(-150) }],
        },
    ]
}

/// What one minute of one seat was like.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Minute {
    pub(crate) pictures: usize,
    /// From capture to arrival, to shown, median, and held by the word of the server, ms.
    pub(crate) arrived_ms: f64,
    pub(crate) shown_ms: f64,
    pub(crate) held_ms: f64,
    pub(crate) voices: usize,
    /// Nothing was done to its line in it, nor in the minute before.
    pub(crate) calm: bool,
}

/// When a browser shows pictures. All times on its own clock; it knows nothing of the server's.
#[derive(Debug)]
struct Playout {
    zero: Instant,
    first: Option<u32>,
    /// (when, arrival less media time, ns): the quickest of the last seconds is the way without a queue.
    ways: VecDeque<(Instant, i128)>,
    shown: Option<Instant>,
}

/// Over so long the quickest way is looked for.
const WAYS_FOR: Duration = Duration::from_secs(10);

impl Playout {
    fn new(zero: Instant) -> Self {
        Playout { zero, first: None, ways: VecDeque::new(), shown: None }
    }

    /// When it shows a picture whose last packet came now.
    fn handle(&mut self, picture: &Picture) -> Instant {
        let first = *self.first.get_or_insert(picture.timestamp);
        // 13 hours to the wrap: a run is shorter.
        let media = i128::from(picture.timestamp.wrapping_sub(first) as i32) * 1_000_000_000 / 90_000;
        let way = picture.at.duration_since(self.zero).as_nanos() as i128 - media;
        while self.ways.front().is_some_and(|(at, _)| picture.at.duration_since(*at) > WAYS_FOR) {
            self.ways.pop_front();
        }
        while self.ways.back().is_some_and(|(_, w)| *w >= way) {
            self.ways.pop_back();
        }
        self.ways.push_back((picture.at, way));
        let quickest = self.ways.front().map_or(way, |(_, w)| *w);
        let held = i128::from(picture.playout_delay.map_or(0, |(least, _)| least)) * 10_000_000;
        let due = self.zero + Duration::from_nanos((quickest + media + held).max(0) as u64);
        let at = picture.at.max(due).max(self.shown.unwrap_or(self.zero));
        self.shown = Some(at);
        at
    }
}

struct Seated {
    seat: Seat,
    id: PeerId,
    playout: Playout,
    minutes: Vec<Minute>,
    /// Minutes until its line is touched again.
    until: u64,
    touched: bool,
}

/// Runs a plan for so long; the minutes of each seat.
pub(crate) fn run(plan: &Plan, seed: u64, minutes: u64) -> Vec<(Seat, Vec<Minute>)> {
    let mut world = World::new(seed);
    world.layered("program");
    world.source_runs(plan.source_ppm);
    let mut dice = crate::scenarios::Dice::new(seed ^ 0xD1CE);
    let mut seats = Vec::new();
    for seat in &plan.seats {
        let id = world.page(ALL, ms(seat.delay));
        let wish = Wish { width: seat.width, smooth: seat.smooth, ..Wish::of(feed("program")) };
        world.wish(id, 0, wish);
        world.drift(id, seat.ppm);
        if !seat.stall.is_zero() {
            world.stall(id, seat.stall);
        }
        let playout = Playout::new(world.local(id));
        seats.push(Seated { seat: *seat, id, playout, minutes: Vec::new(), until: 2 + dice.draw(4), touched: false });
    }
    // One speaks all the time, whose clock is as wrong as any.
    let speaker = world.page(ALL, ms(10));
    world.drift(speaker, -plan.source_ppm);
    world.talk(speaker, -25);
    for _ in 0..minutes {
        let mut touched = Vec::new();
        for seated in &mut seats {
            let now = seated.seat.troubled && seated.until == 0;
            if now {
                crate::scenarios::trouble_of_a_moment(&mut world, seated.id, &mut dice);
                seated.until = 3 + dice.draw(6);
            } else {
                seated.until = seated.until.saturating_sub(1);
            }
            touched.push(now);
        }
        world.run(ms(60_000));
        for (seated, touched) in seats.iter_mut().zip(touched) {
            let minute = seated.look(&mut world, !touched && !seated.touched);
            seated.minutes.push(minute);
            seated.touched = touched;
        }
        world.forget();
    }
    seats.into_iter().map(|s| (s.seat, s.minutes)).collect()
}

impl Seated {
    fn look(&mut self, world: &mut World, calm: bool) -> Minute {
        let pictures = world.viewer(self.id).pictures(0);
        let voices = world.viewer(self.id).voices().len();
        let (mut arrived, mut shown, mut held) = (Vec::new(), Vec::new(), Vec::new());
        for picture in pictures.iter().filter(|p| p.marker) {
            let Some(capture) = picture.capture else { continue };
            let age = |local| world.timeline(world.real(self.id, local)).since(capture).as_secs_f64() * 1_000.0;
            arrived.push(age(picture.at));
            shown.push(age(self.playout.handle(picture)));
            held.push(picture.playout_delay.map_or(0.0, |(least, _)| least as f64 * 10.0));
        }
        let pictures = arrived.len();
        Minute { pictures, arrived_ms: median(arrived), shown_ms: median(shown), held_ms: median(held), voices, calm }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median over calm minutes.
pub(crate) fn over(minutes: &[Minute], of: impl Fn(&Minute) -> f64) -> f64 {
    median(minutes.iter().filter(|m| m.calm).map(of).collect())
}

/// What must hold of a seat, or what does not.
pub(crate) fn judge(seat: &Seat, minutes: &[Minute]) -> Result<(), String> {
    let third = minutes.len() / 3;
    let (early, late) = (&minutes[1..=third], &minutes[minutes.len() - third..]);
    let grown = over(late, |m| m.shown_ms) - over(early, |m| m.shown_ms);
    if grown.is_nan() || grown.abs() > 5.0 {
        return Err(format!("shown {grown:.1} ms later at the end"));
    }
    let way = ENCODING.as_secs_f64() * 1_000.0 + seat.delay as f64;
    let waits = over(minutes, |m| m.arrived_ms) - way;
    // A machine that stands still takes what it stands still.
    if !(-0.1..=5.0 + seat.stall.as_secs_f64() * 100.0).contains(&waits) {
        return Err(format!("{waits:.1} ms more on its way than the line has"));
    }
    let told = if seat.smooth { 100.0 } else { 0.0 };
    let held = over(late, |m| m.held_ms);
    if held != told {
        return Err(format!("held for {held} ms on a line that is whole, not {told}"));
    }
    let (pictures, voices) = (over(minutes, |m| m.pictures as f64), over(minutes, |m| m.voices as f64));
    if pictures < 890.0 || voices < 2_990.0 {
        return Err(format!("{pictures} pictures and {voices} packets of voice in a minute"));
    }
    Ok(())
}

#[test]
fn clocks_that_drift_apart_by_150_ms_make_no_delay_grow() {
    let mut plan = plans().remove(1);
    plan.seats = vec![Seat { ppm: 200, ..SEAT }, Seat { ppm: -200, smooth: true, ..SEAT }];
    for (seat, minutes) in run(&plan, 1, 12) {
        assert_eq!(judge(&seat, &minutes), Ok(()), "{seat:?}: {:?}", minutes.last());
    }
}

#[test]
fn lines_with_troubles_and_machines_with_too_much_to_do_end_as_they_began() {
    for plan in &plans()[3..] {
        for (seat, minutes) in run(plan, 2, 6) {
            assert_eq!(judge(&seat, &minutes), Ok(()), "{}, {seat:?}: {:?}", plan.name, minutes.last());
        }
    }
}

#[test]
fn the_reference_holds_a_picture_as_long_as_it_is_told_and_no_longer() {
    let zero = crate::world::some_instant();
    let mut playout = Playout::new(zero);
    let picture = |n: u64, late: u64, held: u64| Picture {
        at: zero + ms(n * 40 + 20 + late),
        timestamp: (n * 3_600) as u32,
        playout_delay: Some((held, held)),
        ..Picture::default_at(zero)
    };
    let shown = |p: &mut Playout, n, late, held| p.handle(&picture(n, late, held)).duration_since(zero + ms(n * 40));
    assert_eq!(shown(&mut playout, 0, 0, 0), ms(20));
    assert_eq!(shown(&mut playout, 1, 30, 0), ms(50), "late, and shown as soon as it is there");
    assert_eq!(shown(&mut playout, 2, 0, 10), ms(120));
    assert_eq!(shown(&mut playout, 3, 60, 10), ms(120), "lateness within what it is held is not seen");
}
