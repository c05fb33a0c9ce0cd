//! Pinned frames of one case, as the engine sends them: put together from pieces, kept in memory only, the oldest that no ink
//! needs going first. Nothing of them is ever written to disk.

use std::collections::{BTreeMap, VecDeque};

use annotation::check::is_still_id;
use annotation::id::FeedId;
use annotation::time::CaptureTime;
use bytes::{Bytes, BytesMut};
use link::wire::StillPiece;

/// Longest still: a 4K picture as a good JPEG is ~1.5 MB.
pub const STILL_BYTES_MAX: usize = 2 << 20;
/// Stills of one case. Policy: drop_oldest that no ink needs; where all are needed, drop_newest.
pub const STILLS_MAX: usize = 64;
/// All of them together.
pub const STILLS_BYTES_MAX: usize = 48 << 20;
/// Stills of X-ray runs that are offered to pages, the newest. Kept however long nothing is drawn on them.
pub const RUNS_MAX: usize = 12;
/// Stills that are still arriving. Policy: drop_oldest.
const ARRIVING_MAX: usize = 8;
/// Frames asked for at once, and by how many.
const WANTED_MAX: usize = 32;

/// A whole picture, JPEG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Still {
    pub id: String,
    pub feed: FeedId,
    pub capture: CaptureTime,
    pub width: u32,
    pub height: u32,
    pub jpeg: Bytes,
    /// The image held at the end of an X-ray run.
    pub run: bool,
    /// Of the picture it is: [`link::frame::FrameEntry`].
    pub geometry: u32,
}

#[derive(Debug)]
struct Arriving {
    still: Still,
    total: usize,
    have: BytesMut,
}

/// Which frame: that captured at, or last before, `capture`; zero: the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameName {
    pub feed: FeedId,
    pub capture: CaptureTime,
}

/// `W`: who waits for a frame that was asked for.
#[derive(Debug)]
pub struct Stills<W> {
    kept: BTreeMap<String, Still>,
    /// By arrival, the oldest first.
    order: VecDeque<String>,
    bytes: usize,
    arriving: VecDeque<Arriving>,
    wanted: VecDeque<(FrameName, CaptureTime, W)>,
    dropped: u64,
    /// The list of [`Stills::runs`] is another one since it was last taken.
    runs_changed: bool,
}

impl<W> Default for Stills<W> {
    fn default() -> Self {
        Stills {
            kept: BTreeMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            arriving: VecDeque::new(),
            wanted: VecDeque::new(),
            dropped: 0,
            runs_changed: false,
        }
    }
}

impl<W> Stills<W> {
    /// A piece from the engine. `is_needed`: whether ink on the glass was drawn on this still. Returns the still once whole, and
    /// who waited for it.
    pub fn handle_piece(&mut self, piece: StillPiece, is_needed: impl Fn(&Still) -> bool) -> Option<(Still, Vec<W>)> {
        let feed = FeedId::parse(&piece.feed).ok()?;
        let total = piece.total as usize;
        if !is_still_id(&piece.still) || total == 0 || total > STILL_BYTES_MAX {
            return None;
        }
        if let Some(known) = self.kept.get_mut(&piece.still) {
            // Drawn on first, and the image of its run afterwards.
            self.runs_changed |= piece.run && !known.run;
            known.run |= piece.run;
            // Sent again, because somebody asked for a frame close to it.
            let still = known.clone();
            let waiters = self.met(&still);
            return (!waiters.is_empty()).then_some((still, waiters));
        }
        if piece.offset == 0 {
            self.arriving.retain(|a| a.still.id != piece.still);
            if self.arriving.len() >= ARRIVING_MAX {
                self.arriving.pop_front();
                self.dropped += 1;
            }
            let capture = CaptureTime(piece.capture);
            let still = Still {
                id: piece.still.clone(),
                feed,
                capture,
                width: piece.width,
                height: piece.height,
                jpeg: Bytes::new(),
                run: piece.run,
                geometry: piece.geometry,
            };
            self.arriving.push_back(Arriving { still, total, have: BytesMut::new() });
        }
        let place = self.arriving.iter().position(|a| a.still.id == piece.still)?;
        let arriving = self.arriving.get_mut(place)?;
        let fits = piece.offset as usize == arriving.have.len()
            && total == arriving.total
            && arriving.have.len() + piece.data.len() <= total;
        if !fits {
            // A piece was lost: the rest is of no use.
            self.arriving.remove(place);
            self.dropped += 1;
            return None;
        }
        arriving.have.extend_from_slice(&piece.data);
        if arriving.have.len() < total {
            return None;
        }
        let whole = self.arriving.remove(place)?;
        // SOI marker. Source: ITU-T T.81 §B.1.1.3.
        if !whole.have.starts_with(&[0xFF, 0xD8]) {
            self.dropped += 1;
            return None;
        }
        let still = Still { jpeg: whole.have.freeze(), ..whole.still };
        self.keep(still.clone(), is_needed);
        let waiters = self.met(&still);
        Some((still, waiters))
    }

    /// Those who waited for it wait no longer.
    fn met(&mut self, still: &Still) -> Vec<W> {
        let (met, open): (VecDeque<_>, VecDeque<_>) = self.wanted.drain(..).partition(|(name, _, _)| fits_name(still, name));
        self.wanted = open;
        met.into_iter().map(|(_, _, who)| who).collect()
    }

    fn keep(&mut self, still: Still, is_needed: impl Fn(&Still) -> bool) {
        let more = still.jpeg.len();
        while self.kept.len() >= STILLS_MAX || self.bytes + more > STILLS_BYTES_MAX {
            let offered: Vec<&str> = self.runs().iter().map(|s| s.id.as_str()).collect();
            let is_spare = |s: &Still| !offered.contains(&s.id.as_str()) && !is_needed(s);
            let mut spare = self.order.iter().position(|id| self.kept.get(id).is_none_or(is_spare));
            // A new run is worth more than the oldest that nobody drew on.
            if still.run && spare.is_none() {
                spare = self.order.iter().position(|id| self.kept.get(id).is_none_or(|s| !is_needed(s)));
            }
            self.dropped += 1;
            let Some(gone) = spare.and_then(|place| self.order.remove(place)) else { return };
            self.bytes -= self.kept.remove(&gone).map_or(0, |s| s.jpeg.len());
        }
        self.runs_changed |= still.run;
        self.bytes += more;
        self.order.push_back(still.id.clone());
        self.kept.insert(still.id.clone(), still);
    }

    pub fn still(&self, id: &str) -> Option<&Still> {
        self.kept.get(id)
    }

    /// The stills of X-ray runs that are offered, oldest first: of each feed, at most [`RUNS_MAX`] together.
    pub fn runs(&self) -> Vec<&Still> {
        let mut runs: Vec<&Still> = self.kept.values().filter(|s| s.run).collect();
        runs.sort_by_key(|s| s.capture);
        runs.split_off(runs.len().saturating_sub(RUNS_MAX))
    }

    /// True once after each change of that list.
    pub fn take_runs_changed(&mut self) -> bool {
        std::mem::take(&mut self.runs_changed)
    }

    /// The case is over: nothing of it stays.
    pub fn handle_end(&mut self) {
        self.kept.clear();
        self.order.clear();
        self.arriving.clear();
        self.bytes = 0;
        self.runs_changed = true;
    }

    /// One that is kept of exactly this frame.
    pub fn of_frame(&self, name: &FrameName) -> Option<&Still> {
        self.kept.values().find(|s| s.feed == name.feed && s.capture == name.capture)
    }

    /// Somebody waits for a frame until `until`. `Err`: too many do. `Ok(true)`: the engine is to be asked; false: it was already.
    pub fn handle_wanted(&mut self, name: FrameName, until: CaptureTime, who: W) -> Result<bool, W> {
        if self.wanted.len() >= WANTED_MAX {
            return Err(who);
        }
        let asked = self.wanted.iter().any(|(known, _, _)| *known == name);
        self.wanted.push_back((name, until, who));
        Ok(!asked)
    }

    /// How many wait of whom this holds.
    pub fn waiting(&self, mut of: impl FnMut(&W) -> bool) -> usize {
        self.wanted.iter().filter(|(_, _, who)| of(who)).count()
    }

    /// Feeds of which a frame is waited for; some more than once.
    pub fn wanted_feeds(&self) -> impl Iterator<Item = &FeedId> {
        self.wanted.iter().map(|(name, _, _)| &name.feed)
    }

    /// Those who wait for a frame of such a feed; they wait no longer.
    pub fn take_waiting(&mut self, mut of: impl FnMut(&FeedId) -> bool) -> Vec<W> {
        let (over, open): (VecDeque<_>, VecDeque<_>) = self.wanted.drain(..).partition(|(name, _, _)| of(&name.feed));
        self.wanted = open;
        over.into_iter().map(|(_, _, who)| who).collect()
    }

    /// Those who have waited too long, or whose wait is over otherwise.
    pub fn handle_timeout(&mut self, now: CaptureTime) -> Vec<W> {
        let (over, open): (VecDeque<_>, VecDeque<_>) = self.wanted.drain(..).partition(|(_, until, _)| *until <= now);
        self.wanted = open;
        over.into_iter().map(|(_, _, who)| who).collect()
    }

    /// The engine is gone: what was arriving never comes.
    pub fn handle_engine_down(&mut self) {
        self.arriving.clear();
    }

    /// (kept, their bytes, dropped since start)
    pub fn counts(&self) -> (usize, usize, u64) {
        (self.kept.len(), self.bytes, self.dropped)
    }
}

/// A frame asked for is the one captured then or last before: within half a second on any feed that is watched.
fn fits_name(still: &Still, name: &FrameName) -> bool {
    let near = still.capture <= name.capture && name.capture.since(still.capture).as_millis() <= 500;
    still.feed == name.feed && (!name.capture.is_known() || near)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_millis(1_790_000_000_000 + ms))
    }

    fn field() -> FeedId {
        FeedId::parse("field").expect("an id")
    }

    fn pieces(id: &str, capture: CaptureTime, size: usize) -> Vec<StillPiece> {
        let jpeg: Vec<u8> = [0xFF, 0xD8].into_iter().chain((2..size).map(|i| i as u8)).collect();
        let piece = |(i, data): (usize, &[u8])| StillPiece {
            still: id.into(),
            feed: "field".into(),
            capture: capture.0,
            width: 1280,
            height: 720,
            offset: (i * 16_000) as u32,
            total: size as u32,
            data: data.to_vec(),
            run: id.starts_with("run"),
            geometry: 7,
        };
        jpeg.chunks(16_000).enumerate().map(piece).collect()
    }

    fn put(stills: &mut Stills<u32>, id: &str, ms: u64, size: usize, needed: bool) -> Option<(Still, Vec<u32>)> {
        pieces(id, at(ms), size).into_iter().fold(None, |whole, p| stills.handle_piece(p, |_| needed).or(whole))
    }

    #[test]
    fn a_still_is_there_when_all_of_it_is_and_those_who_waited_hear_of_it() {
        let mut stills = Stills::default();
        let name = FrameName { feed: field(), capture: at(33) };
        assert_eq!(stills.handle_wanted(name.clone(), at(2_000), 7), Ok(true));
        assert_eq!(stills.handle_wanted(name, at(2_000), 8), Ok(false), "asked for already");
        stills.handle_wanted(FrameName { feed: field(), capture: at(9_000) }, at(2_000), 9).expect("waits");
        let (still, met) = put(&mut stills, "s1", 33, 40_000, false).expect("whole");
        assert_eq!((still.jpeg.len(), met), (40_000, vec![7, 8]));
        assert_eq!(stills.still("s1").map(|s| s.capture), Some(at(33)));
        assert_eq!(stills.handle_timeout(at(1_999)), [0u32; 0]);
        assert_eq!(stills.handle_timeout(at(2_000)), [9]);
        // A frame just after it is the same picture, sent again.
        assert_eq!(stills.handle_wanted(FrameName { feed: field(), capture: at(50) }, at(4_000), 11), Ok(true));
        assert_eq!(put(&mut stills, "s1", 33, 40_000, false).map(|(s, met)| (s.id, met)), Some(("s1".into(), vec![11])));
    }

    #[test]
    fn what_lost_a_piece_is_too_long_or_no_picture_is_not_kept() {
        let mut stills: Stills<u32> = Stills::default();
        let mut lost = pieces("s1", at(1), 40_000);
        lost.remove(1);
        assert!(lost.into_iter().all(|p| stills.handle_piece(p, |_| false).is_none()));
        let long = StillPiece { total: 3 << 20, ..pieces("s2", at(1), 100).remove(0) };
        assert!(stills.handle_piece(long, |_| false).is_none());
        let text = StillPiece { data: vec![b'<'; 100], ..pieces("s3", at(1), 100).remove(0) };
        assert!(stills.handle_piece(text, |_| false).is_none());
        let path = StillPiece { still: "../s".into(), ..pieces("s4", at(1), 100).remove(0) };
        assert!(stills.handle_piece(path, |_| false).is_none());
        assert_eq!(stills.counts().0, 0);
    }

    #[test]
    fn the_oldest_that_no_ink_needs_goes_first() {
        let mut stills: Stills<u32> = Stills::default();
        for i in 0..STILLS_MAX {
            put(&mut stills, &format!("s{i}"), i as u64, 100, false);
        }
        for p in pieces("new", at(500), 100) {
            stills.handle_piece(p, |s| s.id == "s0");
        }
        assert!(stills.still("s0").is_some() && stills.still("s1").is_none() && stills.still("new").is_some());
        put(&mut stills, "newer", 501, 100, true);
        assert!(stills.still("newer").is_none(), "all are needed");
        let mut heavy: Stills<u32> = Stills::default();
        for i in 0..40 {
            put(&mut heavy, &format!("s{i}"), i, STILL_BYTES_MAX, false);
        }
        assert!(heavy.counts().1 <= STILLS_BYTES_MAX);
    }

    #[test]
    fn sg55_the_newest_stills_of_runs_are_offered_and_outlast_what_nobody_drew_on() {
        let mut stills: Stills<u32> = Stills::default();
        for i in 0..RUNS_MAX as u64 + 2 {
            put(&mut stills, &format!("run{i}"), i * 1_000, 100, false);
            assert!(stills.take_runs_changed() && !stills.take_runs_changed());
        }
        let offered = |stills: &Stills<u32>| stills.runs().iter().map(|s| s.id.clone()).collect::<Vec<_>>();
        assert_eq!(offered(&stills).len(), RUNS_MAX);
        assert_eq!(offered(&stills)[0], "run2", "the oldest of those offered");
        let before = offered(&stills);
        for i in 0..2 * STILLS_MAX as u64 {
            put(&mut stills, &format!("s{i}"), 50_000 + i, 100, false);
        }
        assert_eq!(offered(&stills), before, "pinned frames of ink do not push them out");
        assert!(!stills.take_runs_changed());
        // Drawn on while it was held, before its run's still came.
        put(&mut stills, "s-drawn", 90_000, 100, false);
        for p in pieces("s-drawn", at(90_000), 100) {
            stills.handle_piece(StillPiece { run: true, ..p }, |_| true);
        }
        assert!(stills.take_runs_changed() && offered(&stills).contains(&"s-drawn".to_owned()));
        stills.handle_end();
        assert!(offered(&stills).is_empty() && stills.counts().1 == 0);
    }
}
