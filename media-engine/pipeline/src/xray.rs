//! Is X-ray on? Of one fluoroscopy feed, picture by picture. Pure: pictures and times in, a verdict out.
//!
//! Who knows best is asked first: the source itself (a cine run that ends), then, where it is so configured, the pictures: X-ray off
//! is when the signal runs on but its pictures turn black or stay what they were. A difference that quantum noise could not stay
//! below counts as still; so noise of the capture path does not switch X-ray on, and the tip of a guide-wire does.

use std::sync::Arc;
use std::time::Duration;

use annotation::time::CaptureTime;

use crate::health::Beam;
use crate::picture::Picture;

/// How a feed shows that X-ray is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum XrayRule {
    /// Its pictures stay what they were, or turn black, while the signal runs on.
    Content,
    /// Its signal pauses.
    Gaps,
}

/// Pictures that stay for so long mean X-ray off: longer than the pause between two pulses at 3 a second.
const STILL_FOR: Duration = Duration::from_millis(400);
/// Black ones say it sooner: nothing that is X-rayed is black all over.
const BLACK_FOR: Duration = Duration::from_millis(150);
/// Largest difference of luma of any pixel that counts as still.
const NOISE_MAX: u8 = 2;

/// What to do with one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Show it.
    Show,
    /// Keep what is shown; nothing is decided yet.
    Keep,
    /// X-ray is off since the picture captured then, which is to be held.
    Off { last: Option<CaptureTime> },
}

#[derive(Debug)]
pub struct XrayWatch {
    rule: Option<XrayRule>,
    /// The last picture that differed from the one before, and when it and the last black one's first were captured.
    reference: Option<Arc<Picture>>,
    changed_at: Option<CaptureTime>,
    black_since: Option<CaptureTime>,
    off: bool,
}

impl XrayWatch {
    /// `rule`: `None` asks the source alone.
    pub fn new(rule: Option<XrayRule>) -> Self {
        XrayWatch { rule, reference: None, changed_at: None, black_since: None, off: false }
    }

    /// One picture, captured at `at`. `black`: it is black all over. `word`: what the source itself knows.
    pub fn look(&mut self, picture: Option<&Arc<Picture>>, black: bool, word: Option<Beam>, at: CaptureTime) -> Verdict {
        match word {
            Some(Beam::On) => return self.shown(at),
            Some(Beam::Off) => return self.turned_off(),
            None => {}
        }
        let (Some(XrayRule::Content), Some(picture)) = (self.rule, picture) else { return self.shown(at) };
        if black {
            let since = *self.black_since.get_or_insert(at);
            return if self.off || at.since(since) >= BLACK_FOR { self.turned_off() } else { Verdict::Keep };
        }
        self.black_since = None;
        if self.reference.as_ref().is_some_and(|r| Arc::ptr_eq(r, picture) || still(r, picture)) {
            let since = *self.changed_at.get_or_insert(at);
            return if self.off || at.since(since) >= STILL_FOR { self.turned_off() } else { Verdict::Show };
        }
        self.reference = Some(picture.clone());
        self.shown(at)
    }

    fn shown(&mut self, at: CaptureTime) -> Verdict {
        self.changed_at = Some(at);
        self.off = false;
        Verdict::Show
    }

    fn turned_off(&mut self) -> Verdict {
        self.off = true;
        Verdict::Off { last: self.changed_at }
    }
}

/// No pixel's luma differs by more than noise. Ends at the first row that does.
fn still(a: &Picture, b: &Picture) -> bool {
    if a.geometry() != b.geometry() {
        return false;
    }
    let (width, height) = (a.geometry().width, a.geometry().height);
    let (a, b) = (a.plane(0), b.plane(0));
    let row = |y: usize| {
        let (a, b) = (&a.data[y * a.stride..y * a.stride + width], &b.data[y * b.stride..y * b.stride + width]);
        a == b || a.iter().zip(b).all(|(p, q)| p.abs_diff(*q) <= NOISE_MAX)
    };
    (0..height).all(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Geometry;

    fn at(ms: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_millis(ms))
    }

    fn picture(luma: u8, dot: u8) -> Arc<Picture> {
        let mut p = Picture::black(Geometry::new(64, 48).expect("even"));
        let [(plane, stride), ..] = p.planes_mut().expect("own");
        plane.fill(luma);
        plane[8 * stride + 12] = dot;
        Arc::new(p)
    }

    /// Runs `pictures`, 30 a second, and returns the verdicts.
    fn run(watch: &mut XrayWatch, from_ms: u64, pictures: &[(Arc<Picture>, bool)]) -> Vec<Verdict> {
        let times = (0..).map(|k| at(from_ms + k * 33));
        times.zip(pictures).map(|(t, (p, black))| watch.look(Some(p), *black, None, t)).collect()
    }

    fn moving(n: u8) -> Vec<(Arc<Picture>, bool)> {
        (0..n).map(|k| (picture(100, 100 + 5 * (k % 20)), false)).collect()
    }

    #[test]
    fn a_still_picture_is_x_ray_off_within_half_a_second_and_the_first_that_moves_is_on() {
        let mut watch = XrayWatch::new(Some(XrayRule::Content));
        assert!(run(&mut watch, 0, &moving(10)).iter().all(|v| *v == Verdict::Show));
        let held: Vec<_> = (0..20u8).map(|k| (picture(100, 145 + k % 3), false)).collect();
        let verdicts = run(&mut watch, 330, &held);
        let off = verdicts.iter().position(|v| matches!(v, Verdict::Off { .. })).expect("off");
        assert!((10..=14).contains(&off), "after {off} pictures");
        assert_eq!(verdicts[19], Verdict::Off { last: Some(at(297)) }, "held since the last that moved");
        assert_eq!(watch.look(Some(&picture(100, 160)), false, None, at(1_000)), Verdict::Show, "one pixel is enough");
    }

    #[test]
    fn black_pictures_are_never_shown_and_soon_mean_off() {
        let mut watch = XrayWatch::new(Some(XrayRule::Content));
        run(&mut watch, 0, &moving(10));
        let black: Vec<_> = (0..8).map(|_| (picture(16, 16), true)).collect();
        let verdicts = run(&mut watch, 330, &black);
        assert!(!verdicts.contains(&Verdict::Show));
        assert_eq!(verdicts[6], Verdict::Off { last: Some(at(297)) });
        let again: Vec<_> = (0..3).map(|_| (picture(100, 145), false)).collect();
        assert!(
            run(&mut watch, 700, &again).iter().all(|v| *v == Verdict::Off { last: Some(at(297)) }),
            "its last image comes back"
        );
    }

    #[test]
    fn pulses_repeated_by_a_faster_signal_are_not_off() {
        let mut watch = XrayWatch::new(Some(XrayRule::Content));
        // 3.75 pulses a second on a signal of 30: each picture eight times.
        let pulses: Vec<_> = (0..80u8).map(|k| (picture(100, 20 + k / 8 * 9), false)).collect();
        assert!(run(&mut watch, 0, &pulses).iter().all(|v| *v == Verdict::Show));
    }

    #[test]
    fn the_source_knows_best_and_without_a_rule_pictures_are_not_asked() {
        let mut watch = XrayWatch::new(Some(XrayRule::Content));
        let p = picture(100, 0);
        assert_eq!(watch.look(Some(&p), false, Some(Beam::On), at(0)), Verdict::Show);
        assert_eq!(watch.look(Some(&p), false, Some(Beam::On), at(9_000)), Verdict::Show, "a still patient");
        assert_eq!(watch.look(Some(&p), false, Some(Beam::Off), at(9_033)), Verdict::Off { last: Some(at(9_000)) });
        let mut other = XrayWatch::new(None);
        assert!((0..99).all(|k| other.look(Some(&p), true, None, at(k * 33)) == Verdict::Show));
    }

    #[test]
    fn off_before_anything_was_seen_holds_nothing() {
        let mut watch = XrayWatch::new(Some(XrayRule::Content));
        assert_eq!(watch.look(None, false, Some(Beam::Off), at(0)), Verdict::Off { last: None });
    }
}
