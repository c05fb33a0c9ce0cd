//! The display's thread: takes the newest composed picture, lays words and ink over a copy, shows it. Whoever composes never waits for it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annotation::time::CaptureTime;
use link::frame::{FeedState, FrameEntry, Sync};
use link::wire::DisplayHealth;

use super::DisplayConfig;
use super::child::{Far, Is, Trouble};
use super::letters::Letters;
use super::paint::{self, Tile};
use super::view::Surfaced;
use super::words::{NoInk, Words};
use super::worker::{InkDesk, Job, Painted};
use crate::board::Board;
use crate::clock::LocalClock;
use crate::output::stats::Samples;
use crate::picture::{Geometry, Picture, PicturePool};
use crate::program::compositor;
use crate::program::layout::PixelRect;
use crate::timing::case_clock::CaseClock;

/// Ink is awaited so long for each picture, then it is shown without.
pub const INK_WAIT: Duration = Duration::from_millis(20);
/// So many in a row without: nothing is awaited any more, and the glass says so.
const LATE_MAX: u32 = 5;
/// So many in a row in time: it is back.
const IN_TIME: u32 = 15;
/// A picture that nothing follows is marked dead.
pub const DEAD_AFTER: Duration = Duration::from_millis(500);
/// With nothing new to show the last picture is written again so often: the screen's own process takes silence for an engine that stands still.
pub const BEAT: Duration = Duration::from_millis(125);
const OPEN_EVERY: Duration = Duration::from_secs(1);
/// Live ages are said anew twice a second, the worst of that time.
const AGE_EVERY: Duration = Duration::from_millis(500);
/// Height of the strip with name, state and age; of its letters; px of a 720p picture.
const STRIP: usize = 28;
const LETTERS: f64 = 17.0;

/// A program picture as it was composed.
#[derive(Debug, Clone)]
pub struct Composed {
    pub picture: Arc<Picture>,
    pub entries: Vec<FrameEntry>,
    /// Of the privacy curtain, when its pictures were taken.
    pub curtain: u32,
}

#[derive(Debug, Default)]
struct Slot {
    newest: Option<Composed>,
    dropped: u64,
    health: DisplayHealth,
    took: Samples,
    stop: bool,
}

/// Where the program leaves its pictures. One place; policy: drop_oldest, counted.
#[derive(Debug, Clone, Default)]
pub struct Screen(Arc<(Mutex<Slot>, Condvar)>);

impl Screen {
    pub fn show(&self, composed: Composed) {
        let mut slot = self.lock();
        slot.dropped += u64::from(slot.newest.is_some());
        slot.newest = Some(composed);
        drop(slot);
        self.0.1.notify_all();
    }

    pub fn stop(&self) {
        self.lock().stop = true;
        self.0.1.notify_all();
    }

    /// Over the time since the last call.
    pub fn take_health(&self) -> DisplayHealth {
        let mut slot = self.lock();
        let (p50, p99) = slot.took.take_percentiles();
        DisplayHealth { dropped: slot.dropped, paint_us_p50: p50, paint_us_p99: p99, ..slot.health.clone() }
    }

    /// The next picture, or none within `at_most`; `Err`: the engine stops.
    fn next(&self, at_most: Duration) -> Result<Option<Composed>, ()> {
        let idle = |slot: &mut Slot| slot.newest.is_none() && !slot.stop;
        let (mut slot, _) = self.0.1.wait_timeout_while(self.lock(), at_most, idle).unwrap_or_else(PoisonError::into_inner);
        if slot.stop { Err(()) } else { Ok(slot.newest.take()) }
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread needs.
#[derive(Debug)]
pub struct Display {
    pub config: DisplayConfig,
    /// This program's own file: the screen is a process of its own.
    pub program: PathBuf,
    pub size: Geometry,
    pub screen: Screen,
    pub ink: Arc<InkDesk>,
    pub board: Arc<Board>,
    pub clock: LocalClock,
    pub case_clock: Arc<CaseClock>,
    /// Names of feeds, Japanese and English.
    pub names: BTreeMap<String, (String, String)>,
}

/// How ink has come lately.
#[derive(Debug, Default)]
pub struct Lateness {
    slow: bool,
    in_row: u32,
}

impl Lateness {
    /// Nothing is awaited.
    pub fn is_slow(&self) -> bool {
        self.slow
    }

    /// Whether the ink of a picture was there in time.
    pub fn handle(&mut self, in_time: bool) {
        let counts = in_time == self.slow;
        self.in_row = if counts { self.in_row + 1 } else { 0 };
        if self.in_row >= if self.slow { IN_TIME } else { LATE_MAX } {
            (self.slow, self.in_row) = (!self.slow, 0);
            tracing::warn!(slow = self.slow, "the display's ink is too slow for its pictures, or in time again");
        }
    }
}

/// A text and its tile; none where it has no room.
type Said = (String, Option<Arc<Tile>>);

/// What the thread has between two pictures.
struct Glass {
    letters: Letters,
    words: Words,
    pool: PicturePool,
    size: Geometry,
    /// Texts by place, painted.
    said: BTreeMap<(usize, usize), Said>,
    /// Of each feed: the worst age since the last time it was said, and the age said.
    ages: BTreeMap<String, (Duration, Option<Duration>)>,
    next_ages: CaptureTime,
    lateness: Lateness,
    number: u64,
}

impl Display {
    /// Until the engine stops.
    pub fn run(self) {
        let words = Words::new(self.config.language);
        let mut glass = Glass {
            letters: Letters::new(self.config.font.as_deref()),
            words,
            pool: PicturePool::new(self.size),
            size: self.size,
            said: BTreeMap::new(),
            ages: BTreeMap::new(),
            next_ages: self.clock.now(),
            lateness: Lateness::default(),
            number: 0,
        };
        let mut sink: Option<Far> = None;
        // Told to end, and not gone yet: it has the screen.
        let mut ending: Option<Far> = None;
        let lost = glass.lost();
        let (mut up, mut told) = (false, String::new());
        let mut next_open = self.clock.now();
        // As composed, and as it was written.
        let mut last: Option<(Composed, Arc<Picture>, Option<NoInk>)> = None;
        // With the curtain's revision that it is of.
        let mut dead: Option<(u32, Arc<Picture>)> = None;
        let mut shown = self.clock.now();
        loop {
            if sink.is_none() && next_open <= self.clock.now() {
                next_open = self.clock.now().saturating_add(OPEN_EVERY);
                if ending.as_mut().is_none_or(Far::has_ended) {
                    ending = None;
                    sink = self.open(&lost);
                }
            }
            let Ok(next) = self.screen.next(BEAT) else { break };
            let began = self.clock.now();
            let fresh = next.is_some();
            let curtain = self.board.read(|state| state.curtain_rev);
            let (picture, none) = match next {
                Some(composed) => {
                    let (tiles, none) = self.ink(&mut glass, &composed);
                    let picture = self.dress(&mut glass, &composed, &tiles, none, began);
                    // Drawn meanwhile: what was composed before is not shown.
                    if self.board.read(|state| state.curtain_rev != composed.curtain) {
                        continue;
                    }
                    shown = began;
                    last = Some((composed, picture.clone(), none));
                    dead = None;
                    (picture, none)
                }
                None if began.since(shown) < DEAD_AFTER => match &last {
                    Some((composed, picture, none)) if composed.curtain == curtain => (picture.clone(), *none),
                    _ => continue,
                },
                None => {
                    // Nothing from before the curtain, not even dead.
                    let of_now = last.as_ref().filter(|(composed, ..)| composed.curtain == curtain);
                    dead = dead.filter(|(rev, _)| *rev == curtain);
                    let dead = dead.get_or_insert_with(|| (curtain, glass.dead(of_now.map(|(composed, ..)| &composed.picture))));
                    (dead.1.clone(), Some(NoInk::NoServer))
                }
            };
            let now = self.clock.now();
            let is = sink.as_ref().map(|far| {
                far.show(&picture, now);
                far.is(now)
            });
            let seen = sink.as_ref().map_or(0, Far::shown);
            match &is {
                Some(Is::Open) if !up => {
                    tracing::info!(sink = self.config.sink.element().0, "the display is open");
                    (up, told) = (true, String::new());
                    self.say(None);
                }
                Some(Is::Gone(trouble)) => {
                    if trouble.sentence() != told {
                        tracing::error!(problem = trouble.sentence(), "no display; it is tried again each second");
                        told = trouble.sentence().to_owned();
                    }
                    (up, ending) = (false, sink.take());
                    ending.iter_mut().for_each(Far::end);
                    self.say(Some(trouble));
                }
                _ => {}
            }
            let took = self.clock.now().since(began);
            let mut slot = self.screen.lock();
            slot.health.frames += seen;
            slot.health.ink = ink_word(none, glass.lateness.is_slow()).into();
            if fresh {
                slot.took.add(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
            }
        }
    }

    fn open(&self, lost: &Arc<Picture>) -> Option<Far> {
        let far = Far::start(&self.program, &self.config, self.size, lost.clone(), self.clock.now());
        far.inspect_err(|problem| self.say(Some(&Trouble::Down(problem.clone())))).ok()
    }

    fn say(&self, trouble: Option<&Trouble>) {
        let mut slot = self.screen.lock();
        slot.health.up = trouble.is_none();
        slot.health.problem = trouble.map(|t| t.sentence().to_owned()).unwrap_or_default();
        slot.health.code = trouble.map_or("", Trouble::code).to_owned();
    }

    /// The ink of this picture, or none and why.
    fn ink(&self, glass: &mut Glass, composed: &Composed) -> (Vec<Arc<Tile>>, Option<NoInk>) {
        let Some((now, _)) = self.case_clock.stamp(self.clock.now()) else { return (Vec::new(), Some(NoInk::NoServer)) };
        glass.number += 1;
        let number = glass.number;
        let pictures = surfaced(&composed.entries);
        self.ink.post(Job { number, pictures, wide: self.size.width, now });
        if glass.lateness.is_slow() {
            glass.lateness.handle(self.ink.painted() >= Some(number - 1));
            return (Vec::new(), Some(NoInk::Failed));
        }
        let painted = self.ink.wait(number, INK_WAIT);
        glass.lateness.handle(painted.is_some());
        match painted {
            Some(Painted { tiles, none, .. }) => (tiles, none),
            None => (Vec::new(), None),
        }
    }

    /// A copy of the picture, with ink and words.
    fn dress(
        &self,
        glass: &mut Glass,
        composed: &Composed,
        tiles: &[Arc<Tile>],
        none: Option<NoInk>,
        local: CaptureTime,
    ) -> Arc<Picture> {
        let now = self.case_clock.stamp(local).map(|(now, _)| now);
        glass.count_ages(&composed.entries, now, local);
        let size = self.size;
        let unit = |n: usize| (n * size.height / 720).max(12) & !1;
        let (strip, px) = (unit(STRIP), LETTERS * size.height as f64 / 720.0);
        let mut shades = Vec::new();
        let mut said = Vec::new();
        for entry in &composed.entries {
            let Some(rect) = rect_of(entry).filter(|r| r.w >= 4 * strip && r.h >= 2 * strip) else { continue };
            let place = strip_of(rect, strip, &composed.entries);
            shades.push(place);
            for (x, text) in glass.strip(entry, place, px, &self.names) {
                said.extend(glass.tile(text, (x, place.y + (strip - px as usize) / 2), px, place));
            }
        }
        if let Some(why) = none {
            let text = glass.words.no_ink(why).to_owned();
            let wide = (glass.letters.advance(&text) * px) as usize + strip;
            let place = PixelRect { x: 0, y: size.height - strip, w: wide.min(size.width) & !1, h: strip };
            shades.push(place);
            said.extend(glass.tile(text, (strip / 2, place.y + (strip - px as usize) / 2), px, place));
        }
        glass.pool.draw(|canvas| {
            canvas.copy_from(&composed.picture);
            tiles.iter().for_each(|tile| tile.lay_over(canvas));
            shades.iter().for_each(|place| paint::shade(canvas, *place));
            said.iter().for_each(|tile| tile.lay_over(canvas));
        })
    }
}

impl Glass {
    fn count_ages(&mut self, entries: &[FrameEntry], now: Option<CaptureTime>, local: CaptureTime) {
        let anew = local >= self.next_ages;
        if anew {
            self.next_ages = local.saturating_add(AGE_EVERY);
        }
        for entry in entries {
            let age = now.filter(|_| entry.capture != 0).map(|now| now.since(CaptureTime(entry.capture)));
            let (worst, said) = self.ages.entry(entry.feed.clone()).or_default();
            *worst = (*worst).max(age.unwrap_or_default());
            // A held picture says its own age, which only grows.
            let held = matches!(state_of(entry), FeedState::XrayOff | FeedState::Looping);
            match age {
                None => *said = None,
                Some(age) if anew || said.is_none() => *said = Some(if held { age } else { std::mem::take(worst).max(age) }),
                Some(_) => {}
            }
        }
        if self.ages.len() > 4 * entries.len().max(8) {
            self.ages.retain(|feed, _| entries.iter().any(|e| e.feed == *feed));
        }
    }

    /// Name and state from the left, age at the right: what there is room for, the age first, then the state.
    fn strip(
        &self,
        entry: &FrameEntry,
        place: PixelRect,
        px: f64,
        names: &BTreeMap<String, (String, String)>,
    ) -> Vec<(usize, String)> {
        let wide = |text: &str| (self.letters.advance(text) * px).ceil() as usize;
        let pad = px as usize / 2;
        let age = self.words.age(self.ages.get(&entry.feed).and_then(|(_, said)| *said));
        let right = place.x + place.w.saturating_sub(wide(&age) + pad);
        let mut out = vec![(right, age)];
        let sync = Sync::try_from(entry.sync).unwrap_or_default();
        let state = self.words.state(state_of(entry), sync).to_owned();
        let name = match names.get(&entry.feed) {
            Some((ja, en)) if self.letters.has(self.words.name(ja, en)) => self.words.name(ja, en),
            Some((_, en)) if self.letters.has(en) => en,
            _ => entry.feed.as_str(),
        };
        let both = format!("{name}  {state}");
        for text in [both, state] {
            if place.x + pad + wide(&text) + pad <= right {
                out.push((place.x + pad, text));
                break;
            }
        }
        out
    }

    /// A text at a place, painted once.
    fn tile(&mut self, text: String, at: (usize, usize), px: f64, within: PixelRect) -> Option<Arc<Tile>> {
        if let Some((known, tile)) = self.said.get(&at)
            && *known == text
        {
            return tile.clone();
        }
        if self.said.len() > 64 {
            self.said.clear();
        }
        let tile = paint::words(&text, at, px, within, &self.letters).map(Arc::new);
        self.said.insert(at, (text, tile.clone()));
        tile
    }

    /// What a screen shows whose engine writes nothing.
    fn lost(&mut self) -> Arc<Picture> {
        let black = Arc::new(Picture::black(self.size));
        self.dead(Some(&black))
    }

    /// Nothing is composed any more, or nothing has been yet.
    fn dead(&mut self, last: Option<&Arc<Picture>>) -> Arc<Picture> {
        let text = if last.is_some() { self.words.picture_lost() } else { self.words.waiting() };
        let Geometry { width: w, height: h } = self.size;
        let px = LETTERS * 2.0 * h as f64 / 720.0;
        let (wide, high) = ((self.letters.advance(text) * px) as usize, px as usize);
        let (x, y) = ((w.saturating_sub(wide + 2 * high) / 2) & !1, (h / 2) & !1);
        let place = PixelRect { x, y, w: (wide + 2 * high).min(w - x) & !1, h: (2 * high).min(h - y) & !1 };
        let tile = paint::words(text, (x + high, y + high / 2), px, place, &self.letters);
        self.pool.draw(|canvas| {
            compositor::clear(canvas);
            if let Some(last) = last {
                canvas.copy_from(last);
                compositor::mark_dead(canvas, PixelRect { x: 0, y: 0, w, h });
            }
            paint::shade(canvas, place);
            tile.iter().for_each(|tile| tile.lay_over(canvas));
        })
    }
}

fn state_of(entry: &FrameEntry) -> FeedState {
    FeedState::try_from(entry.state).unwrap_or(FeedState::Unspecified)
}

fn rect_of(entry: &FrameEntry) -> Option<PixelRect> {
    let r = entry.rect.as_ref()?;
    Some(PixelRect { x: r.x as usize, y: r.y as usize, w: r.w as usize, h: r.h as usize })
}

/// Above the picture where nothing else stands, else along its upper edge.
fn strip_of(rect: PixelRect, high: usize, entries: &[FrameEntry]) -> PixelRect {
    let above = PixelRect { y: rect.y.saturating_sub(high), h: high, ..rect };
    let free = rect.y >= high && entries.iter().filter_map(rect_of).all(|other| !meets(&above, &other));
    if free { above } else { PixelRect { h: high, ..rect } }
}

fn meets(a: &PixelRect, b: &PixelRect) -> bool {
    a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
}

/// Back to front, each with what lies before it.
fn surfaced(entries: &[FrameEntry]) -> Vec<Surfaced> {
    let rects: Vec<Option<PixelRect>> = entries.iter().map(rect_of).collect();
    let one = |(n, entry): (usize, &FrameEntry)| {
        let rect = rects[n]?;
        let front = rects[n + 1..].iter().flatten().filter(|r| meets(r, &rect)).copied().collect();
        let (feed, capture) = (entry.feed.clone(), CaptureTime(entry.capture));
        Some(Surfaced { feed, capture, state: state_of(entry), geometry: entry.geometry, rect, front })
    };
    entries.iter().enumerate().filter_map(one).collect()
}

fn ink_word(none: Option<NoInk>, slow: bool) -> &'static str {
    match none {
        _ if slow => "late",
        None => "shown",
        Some(NoInk::Off) => "off",
        Some(NoInk::Failed) => "failed",
        Some(NoInk::NoServer) => "no-server",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ink_that_is_late_again_and_again_is_awaited_no_more_until_it_keeps_up() {
        let mut lateness = Lateness::default();
        let mut seen = |in_time: bool, n: u32| {
            (0..n).for_each(|_| lateness.handle(in_time));
            lateness.is_slow()
        };
        assert!(!seen(false, LATE_MAX - 1) && !seen(true, 1), "one in time and it counts anew");
        assert!(!seen(false, LATE_MAX - 1) && seen(false, 1));
        assert!(seen(true, IN_TIME - 1) && seen(false, 1) && seen(true, IN_TIME - 1));
        assert!(!seen(true, 1), "it is back");
    }

    #[test]
    fn only_the_newest_picture_waits_for_the_screen() {
        let screen = Screen::default();
        let picture = Arc::new(Picture::black(Geometry::new(16, 16).expect("even")));
        for curtain in 0..5 {
            screen.show(Composed { picture: picture.clone(), entries: Vec::new(), curtain });
        }
        assert_eq!(screen.next(Duration::ZERO).expect("runs").map(|c| c.curtain), Some(4));
        assert_eq!(screen.take_health().dropped, 4);
        assert!(screen.next(Duration::ZERO).expect("runs").is_none());
        screen.stop();
        assert!(screen.next(Duration::from_secs(60)).is_err());
    }
}
