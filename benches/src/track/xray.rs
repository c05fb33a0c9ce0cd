//! Generated fluoroscopy: bones that stay, a vessel tree that beats, contrast that fills and washes out, a table and a gantry that move.

use std::f64::consts::TAU;

use rand::Rng;
use tracker::luma::{Kind, Luma};
use tracker::similarity::Vec2;

use super::motion::{self, Motion, View};
use super::noise::{Dice, Grain, Lattice, Texture, dice, normal};
use super::{HEIGHT, PX_1080, Scene, WIDTH};

const BORDER: usize = 140;
const FRAMES: usize = 150;
const PERIOD_S: f64 = 1.0 / 15.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Beating,
    FillingAndWashOut,
    Table,
    Gantry,
}

impl What {
    pub const ALL: [What; 4] = [What::Beating, What::FillingAndWashOut, What::Table, What::Gantry];

    pub fn name(self) -> &'static str {
        match self {
            What::Beating => "x-ray beating",
            What::FillingAndWashOut => "x-ray wash-out",
            What::Table => "x-ray table",
            What::Gantry => "x-ray gantry",
        }
    }
}

#[derive(Debug)]
pub struct Xray {
    what: What,
    /// Bones and soft tissue: how much passes through.
    background: Texture,
    /// Thickness of contrast in the vessels at full filling, in their own plane.
    vessels: Texture,
    /// Along the vessels, (x, y) in their plane: where ink is put.
    course: Vec<[f64; 2]>,
    heart: Motion,
    table: Vec<View>,
    /// Filled from, washed out from, over so many seconds.
    fills: f64,
    washes: f64,
    fading_s: f64,
    grain: Grain,
    noise: f32,
    dice: Dice,
}

/// Soft shades, a spine, and ribs.
fn bones(dice: &mut Dice) -> Texture {
    let (w, h) = (WIDTH + 2 * BORDER, HEIGHT + 2 * BORDER);
    let (broad, middle, grain) = (Lattice::new(w, h, 150.0, dice), Lattice::new(w, h, 40.0, dice), Lattice::new(w, h, 5.0, dice));
    let spine = dice.random_range(0.35..0.65) * w as f32;
    let (rib_gap, rib_slope, rib_phase) =
        (dice.random_range(34.0..60.0f32), dice.random_range(0.15..0.5f32), dice.random_range(0.0..9.0f32));
    let data = (0..w * h)
        .map(|i| {
            let (x, y) = ((i % w) as f32, (i / w) as f32);
            let mut v = 0.82 + 0.25 * (broad.at(x, y) - 0.5) + 0.10 * (middle.at(x, y) - 0.5) + 0.04 * (grain.at(x, y) - 0.5);
            let from_spine = (x - spine).abs();
            if from_spine < 26.0 {
                let disc = ((y / 30.0).rem_euclid(1.0) - 0.5).abs();
                v *= 0.80 + 0.10 * f32::from(disc > 0.42);
            }
            let rib = ((y + rib_slope * from_spine + rib_phase) / rib_gap).rem_euclid(1.0);
            // Ribs are denser along their edges.
            if rib < 0.3 {
                v *= if (0.04..=0.26).contains(&rib) { 0.92 } else { 0.86 };
            }
            v.clamp(0.2, 1.1)
        })
        .collect();
    Texture { width: w, height: h, data }
}

/// A tree that forks and winds. Thickness, and its course.
fn tree(dice: &mut Dice) -> (Texture, Vec<[f64; 2]>) {
    let (w, h) = (WIDTH + 2 * BORDER, HEIGHT + 2 * BORDER);
    let mut texture = Texture { width: w, height: h, data: vec![0.0; w * h] };
    let mut course = Vec::new();
    let root = [dice.random_range(150.0..330.0), 20.0];
    let mut tips = vec![(root, dice.random_range(1.2..1.9), dice.random_range(2.4..4.0f64), 170)];
    while let Some((mut at, mut way, mut radius, length)) = tips.pop() {
        let mut bend = 0.0f64;
        for n in 0..length {
            bend += 0.02 * normal(dice);
            bend *= 0.93;
            way += bend;
            at = [at[0] + f64::cos(way), at[1] + f64::sin(way)];
            let (x0, y0) = (at[0] + BORDER as f64, at[1] + BORDER as f64);
            if x0 < 8.0 || y0 < 8.0 || x0 > w as f64 - 9.0 || y0 > h as f64 - 9.0 {
                break;
            }
            let reach = radius.ceil() as i64 + 1;
            for y in y0 as i64 - reach..=y0 as i64 + reach {
                for x in x0 as i64 - reach..=x0 as i64 + reach {
                    let d2 = (x as f64 - x0).powi(2) + (y as f64 - y0).powi(2);
                    let thick = (radius * radius - d2).max(0.0).sqrt() / 4.0;
                    let v = &mut texture.data[y as usize * w + x as usize];
                    *v = v.max(thick as f32);
                }
            }
            course.push(at);
            radius *= 0.9975;
            if n % 38 == 30 && radius > 1.3 && tips.len() < 12 {
                let side = if dice.random::<bool>() { 1.0 } else { -1.0 };
                tips.push((at, way + side * dice.random_range(0.5..1.1), radius * 0.75, length * 3 / 5));
                way -= side * 0.15;
            }
        }
    }
    (texture, course)
}

impl Xray {
    pub fn new(what: What, seed: u64) -> Xray {
        let mut dice = dice(seed ^ (what as u64 + 100) << 32);
        let background = bones(&mut dice);
        let (vessels, course) = tree(&mut dice);
        // 95 px at 1080p within 0.4 s has been seen.
        let mut heart = Motion { deformations: motion::beating(&mut dice, 80.0), views: Vec::new() };
        heart.deformations.push(motion::Deformation {
            rhythm: heart.deformations[0].rhythm.clone(),
            shape: motion::Shape::Whole,
            amount: [normal(&mut dice) * 18.0 / PX_1080, normal(&mut dice) * 18.0 / PX_1080],
        });
        let (fills, washes) = match what {
            What::FillingAndWashOut => (dice.random_range(0.3..1.2), dice.random_range(3.5..5.5)),
            _ => (-9.0, 1e9),
        };
        let (from, lasts) = (dice.random_range(2.5..4.0), dice.random_range(1.0..3.0));
        let way = dice.random_range(0.0..TAU);
        let reach = dice.random_range(120.0..420.0) / PX_1080;
        let turn = dice.random_range(-0.5..0.5f64);
        let table = (0..FRAMES)
            .map(|k| {
                let u = ((k as f64 * PERIOD_S - from) / lasts).clamp(0.0, 1.0);
                let u = u * u * (3.0 - 2.0 * u);
                match what {
                    What::Table => View { pan: [u * reach * way.cos(), u * reach * way.sin()], turn: 0.0, zoom: 1.0 },
                    // The gantry also foreshortens: see `luma`.
                    What::Gantry => {
                        View { pan: [u * reach * 0.4 * way.cos(), u * reach * 0.4 * way.sin()], turn: 0.4 * turn * u, zoom: 1.0 }
                    }
                    _ => View::STILL,
                }
            })
            .collect();
        if what == What::Gantry {
            // Vessels lie at another depth than the bones: they shift against them and are squeezed across.
            let squeeze = motion::Rhythm::Pull { from, rise: lasts, hold: 1e6, fall: 1.0 };
            heart.deformations.push(motion::Deformation {
                rhythm: squeeze,
                shape: motion::Shape::Wave { kx: 1.0 / 260.0, ky: 0.0, phase: -1.0 },
                amount: [dice.random_range(15.0..40.0), 0.0],
            });
        }
        let fading_s = dice.random_range(0.5..1.5);
        let grain = Grain::new(&mut dice);
        let noise = dice.random_range(0.010..0.024);
        Xray { what, background, vessels, course, heart, table, fills, washes, fading_s, grain, noise, dice }
    }

    fn time(k: usize) -> f64 {
        k as f64 * PERIOD_S
    }

    fn filling(&self, t: f64) -> f64 {
        ((t - self.fills) / self.fading_s).clamp(0.0, 1.0) * (1.0 - (t - self.washes) / self.fading_s).clamp(0.0, 1.0)
    }

    fn moving(&self, k: usize) -> Motion {
        Motion { deformations: self.heart.deformations.clone(), views: vec![self.table[k]] }
    }
}

impl Scene for Xray {
    fn name(&self) -> String {
        self.what.name().into()
    }

    fn kind(&self) -> Kind {
        Kind::Fluoroscopy
    }

    fn frames(&self) -> usize {
        FRAMES
    }

    fn period_s(&self) -> f64 {
        PERIOD_S
    }

    fn luma(&mut self, k: usize) -> Luma {
        let t = Self::time(k);
        let (view, strengths) = (self.table[k], self.heart.strengths(t));
        let full = self.filling(t) as f32;
        let mut data = Vec::with_capacity(WIDTH * HEIGHT);
        for y in 0..HEIGHT {
            let grain = self.grain.run(&mut self.dice, WIDTH);
            for (x, n) in grain.iter().enumerate() {
                let q = Motion::to_plane(&view, [x as f64, y as f64]);
                let u = self.heart.moved(&strengths, q);
                let through = self.background.read(q[0] + BORDER as f64, q[1] + BORDER as f64);
                let contrast = self.vessels.read(u[0] + BORDER as f64, u[1] + BORDER as f64);
                let v = through * (-0.65 * full * contrast).exp();
                // Quanta: noise grows with the root of what arrives.
                let v = v + n * self.noise * v.max(0.0).sqrt();
                data.push((16.0 + 200.0 * v).clamp(16.0, 235.0) as u8);
            }
        }
        Luma { width: WIDTH, height: HEIGHT, data }
    }

    fn material(&self, k: usize, at: Vec2) -> Option<[f64; 2]> {
        Some(self.moving(k).material(0, Self::time(k), [f64::from(at.x), f64::from(at.y)]))
    }

    fn place(&self, k: usize, material: [f64; 2]) -> Option<Vec2> {
        let x = self.moving(k).place(0, Self::time(k), material);
        Some(Vec2::new(x[0] as f32, x[1] as f32))
    }

    fn causes(&self) -> Vec<usize> {
        if self.what == What::FillingAndWashOut { vec![((self.washes + self.fading_s) / PERIOD_S) as usize] } else { Vec::new() }
    }

    /// Marks on vessels, once they are full.
    fn strokes(&mut self) -> Vec<(usize, Vec<Vec2>)> {
        let first =
            if self.what == What::FillingAndWashOut { ((self.fills + self.fading_s) / PERIOD_S) as usize + 2 } else { 20 };
        let mut out = Vec::new();
        for i in 0..4 {
            let k = first + 3 * i;
            let on_vessel = |dice: &mut Dice, scene: &Self| {
                (0..200).find_map(|_| {
                    let u = scene.course[dice.random_range(0..scene.course.len())];
                    let x = scene.place(k, u)?;
                    ((50.0..430.0).contains(&x.x) && (40.0..230.0).contains(&x.y)).then_some(x)
                })
            };
            let mut dice = self.dice.clone();
            let Some(at) = on_vessel(&mut dice, self) else { continue };
            self.dice = dice;
            // Rings and short lines: what marks a stenosis.
            let mut points = super::tissue::stroke(&mut self.dice, i % 2, at);
            let near = |p: &Vec2| Vec2::new(at.x + 0.6 * (p.x - at.x), at.y + 0.6 * (p.y - at.y));
            points.iter_mut().for_each(|p| *p = near(p));
            out.push((k, points));
        }
        out
    }
}
