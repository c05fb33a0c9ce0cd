//! What pages saw of a fault, and the figures in it. Pure: records in, figures out. All times are Unix milliseconds.

pub mod report;

use serde::Deserialize;

/// What one page showed and played during a round.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PageRecord {
    /// The look of what stands large, each from its first animation frame on.
    pub looks: Vec<(f64, String)>,
    /// Whether the page says that its line is lost.
    pub lines: Vec<(f64, String)>,
    /// Number of strokes known.
    pub strokes_seen: Vec<(f64, u32)>,
    /// (shown, captured), by the time code in the picture.
    pub pictures: Vec<(f64, f64)>,
    /// Animation frames since whose predecessor a voice packet was played.
    pub voice: Vec<f64>,
    /// The media path is the one of before.
    pub same_path: bool,
    /// What pictures come by in the end: udp or tcp.
    #[serde(default)]
    pub carrier: String,
    pub concealed_ms: f64,
    pub voice_ms: f64,
    pub voice_packets: f64,
    pub voice_energy: f64,
    pub strokes: Vec<StrokeSeen>,
    pub tab: String,
    pub sign_ins: u32,
    /// Share of the places where the pen was that have ink on the canvas.
    pub inked: f64,
    pub author: u32,
    pub epoch: u32,
    pub seq: u32,
    pub applied: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct StrokeSeen {
    pub author: u32,
    pub epoch: u32,
    pub number: u32,
    pub points: u32,
    pub phase: String,
}

/// Both pages after a round. `missing`: what was not whole in time, empty when all was.
#[derive(Debug, Clone, Deserialize)]
pub struct Finished {
    pub missing: String,
    pub drawn: u32,
    pub mentor: PageRecord,
    pub room: PageRecord,
}

/// A picture this much older than the glass is not one of now.
const FRESH_MS: f64 = 500.0;

impl PageRecord {
    /// From `at` to the first look that `is`; what was there before counts from `at` on.
    pub fn look_after(&self, at: f64, is: impl Fn(&str) -> bool) -> Option<f64> {
        after(&self.looks, at, |look| is(look))
    }

    /// Live at `at` and ever after: what was before it is of another cause.
    pub fn stayed_live(&self, at: f64) -> bool {
        self.look_after(at, |look| look != "live").is_none()
    }

    pub fn line_lost_after(&self, at: f64) -> Option<f64> {
        after(&self.lines, at, |line| line == "lost")
    }

    /// From `at` to the page being whole for good: a picture captured after `captured_after` and not old was shown, and the look
    /// has become live and stayed so. `None`: it did not.
    pub fn back_after(&self, at: f64, captured_after: f64) -> Option<f64> {
        let fresh = |&&(shown, captured): &&(f64, f64)| shown > at && captured > captured_after && shown - captured < FRESH_MS;
        let picture = self.pictures.iter().find(fresh)?.0;
        let (live, look) = self.looks.last()?;
        (look == "live").then(|| (live.max(picture) - at).max(0.0))
    }

    /// Longest time between two animation frames with new voice, from `from` to the end of the record.
    pub fn voice_gap(&self, from: f64) -> Option<f64> {
        let all: Vec<f64> = self.voice.iter().copied().filter(|t| *t >= from - 100.0).collect();
        all.windows(2).map(|w| w[1] - w[0]).max_by(f64::total_cmp)
    }

    /// From `at` to voice that goes on for 300 ms.
    pub fn voice_back_after(&self, at: f64) -> Option<f64> {
        let all: Vec<f64> = self.voice.iter().copied().filter(|t| *t > at).collect();
        let goes_on = |i: &usize| all.iter().filter(|t| **t >= all[*i] && **t < all[*i] + 300.0).count() >= 8;
        (0..all.len()).find(goes_on).map(|i| all[i] - at)
    }

    /// From `at` to the first animation frame on which as many strokes are known as in the end.
    pub fn ink_whole_after(&self, at: f64) -> Option<f64> {
        let (_, last) = self.strokes_seen.last()?;
        let first = self.strokes_seen.iter().rposition(|(_, n)| n != last).map_or(0, |i| i + 1);
        self.strokes_seen.get(first).map(|(t, _)| (t - at).max(0.0))
    }

    /// Longest time without a new picture.
    pub fn picture_gap(&self) -> Option<f64> {
        self.pictures.windows(2).map(|w| w[1].0 - w[0].0).max_by(f64::total_cmp)
    }

    /// Keys of the strokes, sorted.
    pub fn keys(&self) -> Vec<(u32, u32, u32)> {
        let mut keys: Vec<_> = self.strokes.iter().map(|s| (s.author, s.epoch, s.number)).collect();
        keys.sort_unstable();
        keys
    }
}

fn after<T>(list: &[(f64, T)], at: f64, is: impl Fn(&T) -> bool) -> Option<f64> {
    let held = list.iter().rposition(|(t, _)| *t <= at).unwrap_or(0);
    list[held.min(list.len())..].iter().find(|(_, v)| is(v)).map(|(t, _)| (t - at).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(list: &[(f64, &str)]) -> Vec<(f64, String)> {
        list.iter().map(|(t, look)| (*t, (*look).to_owned())).collect()
    }

    #[test]
    fn a_mark_counts_from_the_fault() {
        let page = PageRecord { looks: looks(&[(0.0, "live"), (1_250.0, "stalled"), (1_400.0, "lost")]), ..Default::default() };
        assert_eq!(page.look_after(1_000.0, |l| l != "live"), Some(250.0));
        assert_eq!(page.look_after(1_000.0, |l| l == "lost"), Some(400.0));
        assert_eq!(page.look_after(1_500.0, |l| l == "lost"), Some(0.0));
        assert_eq!(page.look_after(1_000.0, |l| l == "stale"), None);
        assert_eq!(PageRecord::default().look_after(0.0, |_| true), None);
        let room = PageRecord { looks: looks(&[(0.0, "live"), (500.0, "stale"), (600.0, "live")]), ..Default::default() };
        assert_eq!([400.0, 550.0, 700.0].map(|at| room.stayed_live(at)), [false, false, true]);
    }

    #[test]
    fn back_is_a_fresh_picture_and_a_live_look_that_stays() {
        let pictures = vec![(900.0, 880.0), (2_100.0, 950.0), (2_200.0, 2_150.0)];
        let mut page = PageRecord {
            looks: looks(&[(0.0, "live"), (1_300.0, "stalled"), (2_120.0, "live")]),
            pictures,
            ..Default::default()
        };
        assert_eq!(page.back_after(2_000.0, 2_000.0), Some(200.0), "the late picture of before is not back");
        page.looks.extend(looks(&[(2_500.0, "stalled"), (2_900.0, "live")]));
        assert_eq!(page.back_after(2_000.0, 2_000.0), Some(900.0), "what stalls again was not back");
        page.looks.push((3_000.0, "stalled".into()));
        assert_eq!(page.back_after(2_000.0, 2_000.0), None);
    }

    #[test]
    fn voice_is_back_when_it_goes_on() {
        let mut voice = vec![2_050.0];
        voice.extend((0..30).map(|i| 2_400.0 + f64::from(i) * 20.0));
        let page = PageRecord { voice, ..Default::default() };
        assert_eq!(page.voice_back_after(2_000.0), Some(400.0));
        assert_eq!(page.voice_gap(2_100.0), Some(350.0));
    }

    #[test]
    fn ink_is_whole_with_the_last_stroke() {
        let page = PageRecord { strokes_seen: vec![(0.0, 1), (900.0, 2), (2_300.0, 5)], ..Default::default() };
        assert_eq!(page.ink_whole_after(2_000.0), Some(300.0));
        assert_eq!(page.ink_whole_after(2_500.0), Some(0.0));
    }
}
