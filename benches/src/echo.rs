//! What an echo canceller does to a recording whose parts are known: how much of the far speaker is left, and of the near one.
//! Pure. What a signal has of another is what is coherent with it (|Sxy|²/Syy, Welch): noise, hum and beeps of a room are in
//! neither, and no canceller takes them out.

use std::f64::consts::PI;

pub const RATE_HZ: usize = 48_000;
/// 171 ms: most of a room's response.
const WINDOW: usize = 8_192;
const HOP: usize = WINDOW / 4;
/// A frame in which somebody speaks, and one in which nobody does: mean square of full scale 1.
const SPEAKS: f64 = 1e-4;
const SILENT: f64 = 3e-6;
/// How long a room goes on after a word.
const TAIL: usize = RATE_HZ * 3 / 10;
/// A canceller has seen nothing yet.
const CONVERGES: usize = RATE_HZ * 5;

/// Who speaks where a window lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Talk {
    Far,
    Near,
    Both,
}

/// One kind of talk, before and after the canceller. All in dB of full scale.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Part {
    pub windows: usize,
    pub level_before: f64,
    pub level_after: f64,
    /// What is coherent with the far speaker, and with the near one.
    pub far_before: f64,
    pub far_after: f64,
    pub near_before: f64,
    pub near_after: f64,
    /// What would be found of a speaker who is not in it: below this nothing can be told.
    pub nothing: f64,
}

/// The judgement of a recording.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Judged {
    pub far: Part,
    pub near: Part,
    pub both: Part,
    /// Echo return loss enhancement while only the far one speaks, dB: of the echo alone; `level`: of all that is heard.
    pub erle_db: f64,
    pub erle_level_db: f64,
    /// The same of the echo under a near speaker.
    pub erle_both_db: f64,
    /// What is lost of the near speaker: alone, and while both speak.
    pub near_lost_db: f64,
    pub near_lost_both_db: f64,
}

/// `far`, `near`: one turn of the loop that `raw` and `clean` hold several times, from its beginning. `delay`: samples from a word of
/// the far one to its echo. `None`: there is too little of one kind of talk.
pub fn judge(far: &[f32], near: &[f32], raw: &[f32], clean: &[f32], delay: usize) -> Option<Judged> {
    let n = far.len().min(near.len());
    let heard = raw.len().min(clean.len());
    let looped = |x: &[f32], shift: usize| -> Vec<f32> { (0..heard).map(|i| x[(i + n - shift % n) % n]).collect() };
    let (far_at, near_at) = (looped(far, delay), looped(near, 0));
    // Somebody else's words: the far speaker's of another moment.
    let other = looped(far, delay + n * 2 / 7);
    let mut places: [Vec<usize>; 3] = Default::default();
    let mut at = CONVERGES;
    while at + WINDOW <= heard {
        let level = |x: &[f32], from: usize| mean_square(&x[from..at + WINDOW]);
        let (f, q) = (level(&far_at, at), level(&near_at, at));
        let (far_tail, near_tail) = (level(&far_at, at - TAIL), level(&near_at, at - TAIL));
        if f > SPEAKS && near_tail < SILENT {
            places[Talk::Far as usize].push(at);
        } else if q > SPEAKS && far_tail < SILENT {
            places[Talk::Near as usize].push(at);
        } else if f > SPEAKS && q > SPEAKS {
            places[Talk::Both as usize].push(at);
        }
        at += HOP;
    }
    let part = |talk: Talk| -> Option<Part> {
        let places = &places[talk as usize];
        if places.len() < 8 {
            return None;
        }
        let level = |x: &[f32]| db(places.iter().map(|at| mean_square(&x[*at..at + WINDOW])).sum::<f64>() / places.len() as f64);
        let of = |x: &[f32], y: &[f32]| db(coherent(x, y, places));
        Some(Part {
            windows: places.len(),
            level_before: level(raw),
            level_after: level(clean),
            far_before: of(raw, &far_at),
            far_after: of(clean, &far_at),
            near_before: of(raw, &near_at),
            near_after: of(clean, &near_at),
            nothing: of(raw, &other),
        })
    };
    let (far, near, both) = (part(Talk::Far)?, part(Talk::Near)?, part(Talk::Both)?);
    Some(Judged {
        far,
        near,
        both,
        erle_db: far.far_before - far.far_after,
        erle_level_db: far.level_before - far.level_after,
        erle_both_db: both.far_before - both.far_after,
        near_lost_db: near.near_before - near.near_after,
        near_lost_both_db: both.near_before - both.near_after,
    })
}

fn mean_square(x: &[f32]) -> f64 {
    x.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>() / x.len().max(1) as f64
}

fn db(power: f64) -> f64 {
    10.0 * (power + 1e-12).log10()
}

/// Mean square of what `x` has of `y` in these windows.
fn coherent(x: &[f32], y: &[f32], places: &[usize]) -> f64 {
    let half = WINDOW / 2;
    let (mut cross_re, mut cross_im, mut own) = (vec![0.0; half], vec![0.0; half], vec![0.0; half]);
    for at in places {
        let (xr, xi) = spectrum(&x[*at..at + WINDOW]);
        let (yr, yi) = spectrum(&y[*at..at + WINDOW]);
        for k in 1..half {
            cross_re[k] += xr[k] * yr[k] + xi[k] * yi[k];
            cross_im[k] += xi[k] * yr[k] - xr[k] * yi[k];
            own[k] += yr[k] * yr[k] + yi[k] * yi[k];
        }
    }
    let power: f64 = (1..half).map(|k| (cross_re[k] * cross_re[k] + cross_im[k] * cross_im[k]) / (own[k] + 1e-12)).sum();
    // Both halves of the spectrum, and the window's own loss (3/8 of a Hann window's square).
    2.0 * power / (places.len() as f64 * (WINDOW * WINDOW) as f64 * 0.375)
}

/// Of one window, Hann.
fn spectrum(x: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let n = x.len();
    let hann = |i: usize| 0.5 - 0.5 * (2.0 * PI * i as f64 / n as f64).cos();
    let mut re: Vec<f64> = x.iter().enumerate().map(|(i, v)| f64::from(*v) * hann(i)).collect();
    let mut im = vec![0.0; n];
    transform(&mut re, &mut im);
    (re, im)
}

/// In place, of a power of two.
fn transform(re: &mut [f64], im: &mut [f64]) {
    let n = re.len();
    let bits = n.trailing_zeros();
    for i in 0..n {
        let j = i.reverse_bits() >> (usize::BITS - bits);
        if j > i {
            re.swap(i, j);
            im.swap(i, j);
        }
    }
    let mut length = 2;
    while length <= n {
        let step = -2.0 * PI / length as f64;
        for begin in (0..n).step_by(length) {
            for k in 0..length / 2 {
                let (sin, cos) = (step * k as f64).sin_cos();
                let (a, b) = (begin + k, begin + k + length / 2);
                let (tr, ti) = (re[b] * cos - im[b] * sin, re[b] * sin + im[b] * cos);
                (re[b], im[b]) = (re[a] - tr, im[a] - ti);
                (re[a], im[a]) = (re[a] + tr, im[a] + ti);
            }
        }
        length *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of noise: (from, to) in seconds, over a loop of so many.
    fn words(seed: u64, seconds: usize, spoken: &[(usize, usize)]) -> Vec<f32> {
        let mut state = seed;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) as f32 / (1u64 << 31) as f32 - 0.5) * 0.2
        };
        (0..seconds * RATE_HZ)
            .map(|i| if spoken.iter().any(|(a, b)| (a * RATE_HZ..b * RATE_HZ).contains(&i)) { noise() } else { 0.0 })
            .collect()
    }

    #[test]
    fn a_canceller_that_is_known_is_judged_as_what_it_is() {
        let far = words(1, 8, &[(0, 2), (4, 6)]);
        let near = words(2, 8, &[(2, 4), (5, 6)]);
        let room = words(3, 16, &[(0, 16)]);
        let delay = 2_900;
        let mix = |echo: f32, voice: f32| -> Vec<f32> {
            (0..16 * RATE_HZ)
                .map(|i| {
                    let n = far.len();
                    echo * far[(i + n - delay) % n] + voice * near[i % n] + 0.05 * room[i]
                })
                .collect()
        };
        let judged = judge(&far, &near, &mix(0.5, 1.0), &mix(0.05, 0.7), delay).expect("all kinds of talk");
        assert!((19.0..21.0).contains(&judged.erle_db), "{judged:?}");
        assert!((2.5..3.7).contains(&judged.near_lost_db) && (2.5..3.7).contains(&judged.near_lost_both_db), "{judged:?}");
        assert!(judged.far.nothing < judged.far.far_before - 9.0, "{judged:?}");
        let same = judge(&far, &near, &mix(0.5, 1.0), &mix(0.5, 1.0), delay).expect("the same");
        assert!(same.erle_db.abs() < 1e-6 && same.near_lost_both_db.abs() < 1e-6);
    }

    #[test]
    fn where_nobody_speaks_there_is_nothing_to_judge() {
        let silence = vec![0.0; 10 * RATE_HZ];
        assert_eq!(judge(&silence, &silence, &silence, &silence, 0), None);
    }
}
