//! Generated tissue in two layers: a fold of tissue with edges and holes slides over what lies behind it. Ink is put on the fold, near its edge, so that about half of
//! what is around it moves otherwise.

use std::f64::consts::TAU;

use rand::Rng;
use tracker::luma::{Kind, Luma};
use tracker::similarity::Vec2;

use super::motion::{self, Deformation, Motion, Rhythm, Shape};
use super::noise::{Dice, Grain, Lattice, Texture, dice};
use super::tissue::{flesh, stroke};
use super::{HEIGHT, PX_1080, Scene, WIDTH};

const BORDER: usize = 160;
const FRAMES: usize = 300;
const PERIOD_S: f64 = 1.0 / 30.0;

#[derive(Debug)]
pub struct Layers {
    front: Motion,
    back: Motion,
    textures: [Texture; 2],
    /// Over 0 where the fold is, and how far from its edge, about, in pixels.
    fold: Texture,
    grain: Grain,
    noise: f32,
    dice: Dice,
}

/// Slides along, at a pace of its own: `least` to three times that, pixels at 1080p.
fn sliding(dice: &mut Dice, least: f64) -> Vec<Deformation> {
    let way = dice.random_range(0.0..TAU);
    let amount = least * dice.random_range(1.0..3.0) / PX_1080;
    let rhythm = Rhythm::Sine { hz: dice.random_range(0.12..0.5), phase: dice.random_range(0.0..TAU) };
    vec![Deformation { rhythm, shape: Shape::Whole, amount: [amount * way.cos(), amount * way.sin()] }]
}

impl Layers {
    pub fn new(seed: u64) -> Layers {
        let mut dice = dice(seed ^ 0x1A_u64 << 40);
        let contrast = dice.random_range(0.5..1.15);
        let textures = [flesh(&mut dice, contrast), flesh(&mut dice, contrast)];
        let (mut front, mut back) = (Motion::default(), Motion::default());
        front.deformations = motion::breathing(&mut dice);
        back.deformations = motion::breathing(&mut dice);
        front.deformations.extend(sliding(&mut dice, 12.0));
        let (w, h) = (WIDTH + 2 * BORDER, HEIGHT + 2 * BORDER);
        let cell = dice.random_range(26.0..75.0f32);
        let shape = Lattice::new(w, h, cell, &mut dice);
        // The lattice climbs by about one in a cell.
        let data = (0..w * h).map(|i| (shape.at((i % w) as f32, (i / w) as f32) - 0.45) * cell).collect();
        let grain = Grain::new(&mut dice);
        let noise = dice.random_range(1.0..2.6);
        Layers { front, back, textures, fold: Texture { width: w, height: h, data }, grain, noise, dice }
    }

    fn time(k: usize) -> f64 {
        k as f64 * PERIOD_S
    }

    fn read(texture: &Texture, u: [f64; 2]) -> f32 {
        texture.read(u[0] + BORDER as f64, u[1] + BORDER as f64)
    }
}

impl Scene for Layers {
    fn name(&self) -> String {
        "layers".into()
    }

    fn kind(&self) -> Kind {
        Kind::Tissue
    }

    fn frames(&self) -> usize {
        FRAMES
    }

    fn period_s(&self) -> f64 {
        PERIOD_S
    }

    fn luma(&mut self, k: usize) -> Luma {
        let t = Self::time(k);
        let (front, back) = (self.front.strengths(t), self.back.strengths(t));
        let mut data = Vec::with_capacity(WIDTH * HEIGHT);
        for y in 0..HEIGHT {
            let grain = self.grain.run(&mut self.dice, WIDTH);
            for (x, grain) in grain.iter().enumerate() {
                let at = [x as f64, y as f64];
                let near = self.front.moved(&front, at);
                let edge = Self::read(&self.fold, near);
                let v = if edge > 0.0 {
                    Self::read(&self.textures[0], near)
                } else {
                    // In the fold's shadow close by it.
                    let shadow = 1.0 - 0.35 * (1.0 + edge / 6.0).max(0.0);
                    Self::read(&self.textures[1], self.back.moved(&back, at)) * 0.85 * shadow
                };
                data.push((v + grain * self.noise).clamp(16.0, 235.0) as u8);
            }
        }
        Luma { width: WIDTH, height: HEIGHT, data }
    }

    fn material(&self, k: usize, at: Vec2) -> Option<[f64; 2]> {
        Some(self.front.material(k, Self::time(k), [f64::from(at.x), f64::from(at.y)]))
    }

    fn place(&self, k: usize, material: [f64; 2]) -> Option<Vec2> {
        let x = self.front.place(k, Self::time(k), material);
        Some(Vec2::new(x[0] as f32, x[1] as f32))
    }

    fn strokes(&mut self) -> Vec<(usize, Vec<Vec2>)> {
        let mut out = Vec::new();
        for i in 0..4 {
            let down = 5 + 8 * i;
            // All of it on the fold, some of it within a few pixels of its edge; the best of many where there is no such place.
            let mut best: Option<(f32, Vec<Vec2>)> = None;
            for _ in 0..400 {
                let at = Vec2::new(self.dice.random_range(60.0..420.0), self.dice.random_range(45.0..225.0));
                let ink = stroke(&mut self.dice, i, at);
                let edge = |p: &Vec2| self.material(down, *p).map_or(-1.0, |u| Self::read(&self.fold, u));
                let least = ink.iter().map(edge).fold(f32::INFINITY, f32::min);
                let miss = if least < 1.0 { 100.0 - least } else { (least - 5.0).abs() };
                if best.as_ref().is_none_or(|(b, _)| miss < *b) {
                    best = Some((miss, ink));
                }
            }
            out.extend(best.filter(|(miss, _)| *miss < 100.0).map(|(_, ink)| (down, ink)));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ink_lies_on_the_fold_and_what_is_behind_moves_otherwise() {
        let mut scene = Layers::new(4);
        let strokes = scene.strokes();
        assert_eq!(strokes.len(), 4);
        let mut apart = 0.0f64;
        for (down, ink) in strokes {
            for p in ink {
                let u = scene.material(down, p).expect("there");
                assert!(Layers::read(&scene.fold, u) >= 1.0);
                assert!(scene.place(down, u).expect("there").minus(p).length() < 0.01);
                let v = scene.back.material(down, Layers::time(down), [f64::from(p.x), f64::from(p.y)]);
                for k in [down + 60, down + 150] {
                    let behind = scene.back.place(k, Layers::time(k), v);
                    let here = scene.place(k, u).expect("there");
                    apart = apart.max((behind[0] - f64::from(here.x)).hypot(behind[1] - f64::from(here.y)));
                }
            }
        }
        assert!(apart * PX_1080 > 12.0, "{apart}");
    }
}
