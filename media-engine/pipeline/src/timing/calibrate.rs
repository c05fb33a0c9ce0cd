//! How much later one feed shows the same flash than another: from when each picture's brightness changed. Pure.
//!
//! A flash seen first in picture k happened after picture k - 1 was exposed and before k was: an interval as long as the feed's
//! period. Two feeds' intervals of one flash bound their difference; flashes at other phases bound it elsewhere, and what most of
//! them agree on is the offset. So the uncertainty falls below a period, and is what it says: half the width of that agreement.

use annotation::time::CaptureTime;

/// Parts of a picture that are looked at, across and down: a flash may fill one only.
pub const GRID: usize = 8;
/// A flash changes the brightness of its part by at least this, of 255.
const CONTRAST_MIN: f32 = 12.0;
/// Feeds further apart than this are not compared.
const APART_NS_MAX: i64 = 2_000_000_000;
/// Changes that must agree, and their least share.
const AGREE_MIN: usize = 4;
const AGREE_SHARE: f64 = 0.6;
/// Most changes taken of a feed.
const EDGES_MAX: usize = 200;

/// Brightness of each part of one picture, rows first, and when it came.
#[derive(Debug, Clone)]
pub struct Look {
    pub at: CaptureTime,
    pub parts: [f32; GRID * GRID],
}

/// A change of brightness: after one picture's time, by the next one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    pub after: CaptureTime,
    pub by: CaptureTime,
    pub brighter: bool,
}

/// Later by `offset_ns`, give or take `uncertainty_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    pub offset_ns: i64,
    pub uncertainty_ns: i64,
    /// Changes that agree, and those there were in the feed that had fewer.
    pub agree: usize,
    pub seen: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unmeasured {
    #[error("the feed to be measured shows no flash; let it see the light, and switch that on and off ten times")]
    NoFlash,
    #[error("the feed it is compared with shows no flash; let it see the light, and switch that on and off ten times")]
    NoReference,
    #[error(
        "the flashes of the two feeds do not agree ({agree} of {seen}); use one light that both see, switched at irregular times"
    )]
    Disagree { agree: usize, seen: usize },
}

/// Changes of the part of the picture that changes most.
pub fn edges(looks: &[Look]) -> Vec<Edge> {
    let range = |part: usize| {
        let mut values: Vec<f32> = looks.iter().map(|l| l.parts[part]).collect();
        values.sort_by(f32::total_cmp);
        let at = |percent: usize| values.get(values.len() * percent / 100).copied().unwrap_or(0.0);
        (at(10), at(90))
    };
    let best = (0..GRID * GRID).map(|part| (part, range(part))).max_by(|a, b| (a.1.1 - a.1.0).total_cmp(&(b.1.1 - b.1.0)));
    let Some((part, (dark, bright))) = best else { return Vec::new() };
    if bright - dark < CONTRAST_MIN {
        return Vec::new();
    }
    let (middle, margin) = ((dark + bright) / 2.0, (bright - dark) / 6.0);
    let mut lit: Option<bool> = None;
    let mut edges = Vec::new();
    for pair in looks.windows(2) {
        let value = pair[1].parts[part];
        let is = match lit {
            Some(true) => value > middle - margin,
            Some(false) => value > middle + margin,
            None => value > middle,
        };
        if lit.is_some_and(|was| was != is) && edges.len() < EDGES_MAX {
            edges.push(Edge { after: pair[0].at, by: pair[1].at, brighter: is });
        }
        lit = Some(is);
    }
    edges
}

/// How much later `feed` shows what `reference` shows.
pub fn offset(feed: &[Edge], reference: &[Edge]) -> Result<Measured, Unmeasured> {
    if feed.len() < AGREE_MIN {
        return Err(Unmeasured::NoFlash);
    }
    if reference.len() < AGREE_MIN {
        return Err(Unmeasured::NoReference);
    }
    // Each pair that could be one flash says: the offset lies in here.
    let mut ends: Vec<(i64, i32)> = Vec::new();
    for f in feed {
        for r in reference.iter().filter(|r| r.brighter == f.brighter) {
            let (low, high) = (f.after.minus_ns(r.by), f.by.minus_ns(r.after));
            if low.abs().min(high.abs()) <= APART_NS_MAX {
                ends.extend([(low, 1), (high, -1)]);
            }
        }
    }
    // Where one interval ends as another begins, both count: ends after beginnings.
    ends.sort_by_key(|&(at, step)| (at, -step));
    let (mut depth, mut deepest, mut span) = (0i32, 0i32, (0i64, 0i64));
    for n in 0..ends.len() {
        let (at, step) = ends[n];
        depth += step;
        if step > 0 && depth > deepest {
            deepest = depth;
            span = (at, ends[n + 1..].iter().find(|e| e.1 < 0).map_or(at, |e| e.0));
        }
    }
    let (agree, seen) = (deepest as usize, feed.len().min(reference.len()));
    if agree < AGREE_MIN || (agree as f64) < AGREE_SHARE * seen as f64 {
        return Err(Unmeasured::Disagree { agree, seen });
    }
    let uncertainty_ns = (span.1 - span.0) / 2;
    Ok(Measured { offset_ns: span.0 + uncertainty_ns, uncertainty_ns, agree, seen })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A light that goes on and off at irregular times, from a seed: ms.
    fn light(seed: u64) -> Vec<u64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let mut t = 300;
        (0..24).map(|_| (t, t += 350 + next() % 500).0).collect()
    }

    /// What a feed of this cadence sees of it, `later` ms after the fact, in one corner, with noise.
    fn watch(light: &[u64], hz: f64, phase_ms: f64, later: f64, contrast: f32) -> Vec<Look> {
        let mut noise = 99u64;
        let base = CaptureTime::from_unix(Duration::from_secs(1_790_000_000));
        let look = |k: u64| {
            let t = phase_ms + k as f64 * 1000.0 / hz;
            let on = light.iter().filter(|&&flip| flip as f64 <= t - later).count() % 2 == 1;
            let mut parts = [0f32; GRID * GRID];
            for (n, part) in parts.iter_mut().enumerate() {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let grain = (noise >> 40) as f32 / (1u64 << 24) as f32 * 4.0;
                *part = 60.0 + grain + if on && n == 9 { contrast } else { 0.0 };
            }
            Look { at: base.offset_ns((t * 1e6) as i64), parts }
        };
        (0..(14.0 * hz) as u64).map(look).collect()
    }

    #[test]
    fn known_offsets_are_found_within_their_uncertainty_at_every_cadence() {
        for (n, (hz, reference_hz)) in
            [(30.0, 30.0), (60.0, 30.0), (29.97, 25.0), (7.5, 60.0), (15.0, 7.5)].into_iter().enumerate()
        {
            for later in [-40.0, 0.0, 3.0, 83.4, 412.0] {
                let light = light(n as u64 + 5);
                let feed = edges(&watch(&light, hz, 7.0, 500.0 + later, 90.0));
                let reference = edges(&watch(&light, reference_hz, 1.0, 500.0, 40.0));
                let m = offset(&feed, &reference).expect("measured");
                let error = (m.offset_ns as f64 / 1e6 - later).abs();
                let uncertain = m.uncertainty_ns as f64 / 1e6;
                assert!(error <= uncertain + 0.01, "{hz} {reference_hz} {later}: {m:?}");
                assert!(uncertain <= 500.0 / hz + 500.0 / reference_hz, "{hz} {reference_hz} {later}: {m:?}");
                assert!(m.agree + 2 >= m.seen, "{m:?}");
            }
        }
    }

    #[test]
    fn many_flashes_at_other_phases_bound_it_below_a_period() {
        let light = light(3);
        let m = offset(&edges(&watch(&light, 29.97, 0.0, 120.0, 90.0)), &edges(&watch(&light, 25.0, 0.0, 0.0, 90.0)));
        let m = m.expect("measured");
        assert!(m.uncertainty_ns < 15_000_000, "{m:?}");
    }

    #[test]
    fn what_cannot_be_measured_says_why() {
        let (a, b) = (light(1), light(2));
        let dark = watch(&a, 30.0, 0.0, 0.0, 3.0);
        let lit = edges(&watch(&a, 30.0, 0.0, 0.0, 90.0));
        assert_eq!(offset(&edges(&dark), &lit), Err(Unmeasured::NoFlash));
        assert_eq!(offset(&lit, &edges(&dark)), Err(Unmeasured::NoReference));
        let other = edges(&watch(&b, 30.0, 0.0, 0.0, 90.0));
        assert!(matches!(offset(&lit, &other), Err(Unmeasured::Disagree { .. })), "two lights");
        assert!(edges(&[]).is_empty());
    }
}
