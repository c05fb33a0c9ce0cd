//! Motion that is known both ways: from a pixel to the tissue (to draw) and from the tissue to a pixel (the truth).

use std::f64::consts::TAU;

use rand::Rng;

use super::noise::{Dice, normal};
use super::{HEIGHT, PX_1080, WIDTH};

/// How a deformation comes and goes, over seconds.
#[derive(Debug, Clone)]
pub enum Rhythm {
    /// Up and down, each cycle a little longer or shorter: a breath.
    Sine { hz: f64, phase: f64 },
    /// A quick swell each beat.
    Beat { hz: f64, phase: f64 },
    /// Taken hold of, held, let go.
    Pull { from: f64, rise: f64, hold: f64, fall: f64 },
}

impl Rhythm {
    pub fn at(&self, t: f64) -> f64 {
        let smooth = |u: f64| {
            let u = u.clamp(0.0, 1.0);
            u * u * (3.0 - 2.0 * u)
        };
        match *self {
            Rhythm::Sine { hz, phase } => (TAU * hz * t + phase + 0.4 * (TAU * hz * 0.13 * t).sin()).sin(),
            Rhythm::Beat { hz, phase } => {
                let u = (hz * t + phase).rem_euclid(1.0);
                let bell = |c: f64, w: f64| (-((u - c) / w).powi(2)).exp() + (-((u - c - 1.0) / w).powi(2)).exp();
                bell(0.25, 0.1) - 0.35 * bell(0.6, 0.16)
            }
            Rhythm::Pull { from, rise, hold, fall } => smooth((t - from) / rise) - smooth((t - from - rise - hold) / fall),
        }
    }
}

/// Where a deformation acts.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// The same everywhere.
    Whole,
    /// A standing wave.
    Wave { kx: f64, ky: f64, phase: f64 },
    /// Around a place.
    Bump { x: f64, y: f64, sigma: f64 },
}

#[derive(Debug, Clone)]
pub struct Deformation {
    pub rhythm: Rhythm,
    pub shape: Shape,
    /// Largest displacement, pixels.
    pub amount: [f64; 2],
}

/// The camera in one frame: where its centre looks, how it is turned, how near it is.
#[derive(Debug, Clone, Copy)]
pub struct View {
    pub pan: [f64; 2],
    pub turn: f64,
    pub zoom: f64,
}

impl View {
    pub const STILL: View = View { pan: [0.0; 2], turn: 0.0, zoom: 1.0 };
}

#[derive(Debug, Clone, Default)]
pub struct Motion {
    pub deformations: Vec<Deformation>,
    /// By frame; empty: the camera stands still.
    pub views: Vec<View>,
}

const CENTRE: [f64; 2] = [(WIDTH as f64 - 1.0) / 2.0, (HEIGHT as f64 - 1.0) / 2.0];

impl Motion {
    pub fn view(&self, k: usize) -> View {
        self.views.get(k).or(self.views.last()).copied().unwrap_or(View::STILL)
    }

    /// How strong each deformation is at `t`.
    pub fn strengths(&self, t: f64) -> Vec<f64> {
        self.deformations.iter().map(|d| d.rhythm.at(t)).collect()
    }

    pub fn moved(&self, strengths: &[f64], q: [f64; 2]) -> [f64; 2] {
        let mut out = q;
        for (d, s) in self.deformations.iter().zip(strengths) {
            let shape = match d.shape {
                Shape::Whole => 1.0,
                Shape::Wave { kx, ky, phase } => (kx * q[0] + ky * q[1] + phase).sin(),
                Shape::Bump { x, y, sigma } => (-((q[0] - x).powi(2) + (q[1] - y).powi(2)) / (2.0 * sigma * sigma)).exp(),
            };
            out[0] += s * shape * d.amount[0];
            out[1] += s * shape * d.amount[1];
        }
        out
    }

    pub fn to_plane(view: &View, x: [f64; 2]) -> [f64; 2] {
        let (c, s) = (view.turn.cos() / view.zoom, view.turn.sin() / view.zoom);
        let (dx, dy) = (x[0] - CENTRE[0], x[1] - CENTRE[1]);
        [c * dx - s * dy + CENTRE[0] + view.pan[0], s * dx + c * dy + CENTRE[1] + view.pan[1]]
    }

    pub fn to_picture(view: &View, q: [f64; 2]) -> [f64; 2] {
        let (c, s) = (view.turn.cos() * view.zoom, view.turn.sin() * view.zoom);
        let (dx, dy) = (q[0] - CENTRE[0] - view.pan[0], q[1] - CENTRE[1] - view.pan[1]);
        [c * dx + s * dy + CENTRE[0], -s * dx + c * dy + CENTRE[1]]
    }

    /// The tissue's point at pixel `x`.
    pub fn material(&self, k: usize, t: f64, x: [f64; 2]) -> [f64; 2] {
        self.moved(&self.strengths(t), Self::to_plane(&self.view(k), x))
    }

    /// The pixel of the tissue's point `u`: deformations are gentle (slopes under one half), so that stepping back ends at a thousandth of a pixel.
    pub fn place(&self, k: usize, t: f64, u: [f64; 2]) -> [f64; 2] {
        let strengths = self.strengths(t);
        let mut q = u;
        for _ in 0..60 {
            let m = self.moved(&strengths, q);
            let off = [u[0] - m[0], u[1] - m[1]];
            q = [q[0] + off[0], q[1] + off[1]];
            if off[0].hypot(off[1]) < 1e-4 {
                break;
            }
        }
        Self::to_picture(&self.view(k), q)
    }
}

pub fn breathing(dice: &mut Dice) -> Vec<Deformation> {
    let hz = dice.random_range(0.18..0.36);
    let phase = dice.random_range(0.0..TAU);
    let way = dice.random_range(0.0..TAU);
    let amount = dice.random_range(16.0..44.0) / PX_1080;
    let wave = |dice: &mut Dice, share: f64| Deformation {
        rhythm: Rhythm::Sine { hz, phase: phase + dice.random_range(-0.5..0.5) },
        shape: Shape::Wave {
            kx: TAU / dice.random_range(350.0..700.0),
            ky: TAU / dice.random_range(350.0..700.0),
            phase: dice.random_range(0.0..TAU),
        },
        amount: [share * amount * normal(dice).clamp(-1.5, 1.5), share * amount * normal(dice).clamp(-1.5, 1.5)],
    };
    let whole =
        Deformation { rhythm: Rhythm::Sine { hz, phase }, shape: Shape::Whole, amount: [amount * way.cos(), amount * way.sin()] };
    vec![whole, wave(dice, 0.35), wave(dice, 0.2)]
}

pub fn beating(dice: &mut Dice, strongest_px_1080: f64) -> Vec<Deformation> {
    let hz = dice.random_range(0.9..1.8);
    let phase = dice.random_range(0.0..1.0);
    (0..2)
        .map(|_| {
            let way = dice.random_range(0.0..TAU);
            let sigma = dice.random_range(50.0..110.0);
            let amount = dice.random_range(0.4..1.0) * strongest_px_1080 / PX_1080;
            Deformation {
                rhythm: Rhythm::Beat { hz, phase },
                shape: Shape::Bump { x: dice.random_range(100.0..380.0), y: dice.random_range(60.0..210.0), sigma },
                amount: [amount * way.cos(), amount * way.sin()],
            }
        })
        .collect()
}

/// Somebody pulls at the tissue and lets go.
pub fn pulling(dice: &mut Dice, seconds: f64) -> Vec<Deformation> {
    (0..3)
        .map(|i| {
            let way = dice.random_range(0.0..TAU);
            let sigma = dice.random_range(45.0..90.0);
            let amount = dice.random_range(40.0..110.0f64).min(0.5 * sigma * PX_1080) / PX_1080;
            Deformation {
                rhythm: Rhythm::Pull {
                    from: 1.5 + f64::from(i) * seconds / 4.0 * dice.random_range(0.7..1.2),
                    rise: dice.random_range(0.5..1.5),
                    hold: dice.random_range(0.5..2.0),
                    fall: dice.random_range(0.4..1.5),
                },
                shape: Shape::Bump { x: dice.random_range(60.0..420.0), y: dice.random_range(40.0..230.0), sigma },
                amount: [amount * way.cos(), amount * way.sin()],
            }
        })
        .collect()
}

/// A scope in somebody's hand: it wanders, trembles, comes nearer and rolls. `pace` 1: ink 400 ms late lies some 50 px off in the median, and
/// over 150 px in one of twenty, as on recordings.
pub fn hand_held(dice: &mut Dice, frames: usize, period_s: f64, pace: f64) -> Vec<View> {
    // Each coordinate is pulled to rest and pushed at random: a wandering of so many seconds and so many pixels.
    let mut wander = |seconds: f64, spread: f64| -> Vec<f64> {
        let (mut x, mut v) = (0.0, 0.0);
        let w = 1.0 / seconds;
        let mut out: Vec<f64> = (0..frames + 60)
            .map(|_| {
                let push = normal(dice) * (4.0 * w.powi(3) / period_s).sqrt();
                v += period_s * (push - 2.0 * w * v - w * w * x);
                x += period_s * v;
                x * spread
            })
            .collect();
        out.drain(..60);
        let first = out[0];
        out.iter_mut().for_each(|x| *x -= first);
        out
    };
    let (x, y) = (wander(0.55, 26.0 * pace), wander(0.55, 20.0 * pace));
    let (tx, ty) = (wander(0.06, 0.9 * pace), wander(0.06, 0.9 * pace));
    let (turn, zoom) = (wander(1.2, 0.07 * pace), wander(1.5, 0.10 * pace));
    (0..frames).map(|k| View { pan: [x[k] + tx[k], y[k] + ty[k]], turn: turn[k], zoom: zoom[k].clamp(-0.5, 0.5).exp() }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::noise::dice;
    use super::*;

    #[test]
    fn the_truth_goes_both_ways() {
        for seed in 0..20 {
            let mut dice = dice(seed);
            let mut deformations = breathing(&mut dice);
            deformations.extend(beating(&mut dice, 30.0));
            deformations.extend(pulling(&mut dice, 8.0));
            let views = hand_held(&mut dice, 240, 1.0 / 30.0, 1.0);
            let motion = Motion { deformations, views };
            for k in (0..240).step_by(17) {
                let t = k as f64 / 30.0;
                for x in [[10.0, 10.0], [240.0, 135.0], [470.0, 260.0]] {
                    let back = motion.place(k, t, motion.material(k, t, x));
                    let off = (back[0] - x[0]).hypot(back[1] - x[1]);
                    assert!(off < 0.01, "seed {seed} frame {k}: {off}");
                }
            }
        }
    }
}
