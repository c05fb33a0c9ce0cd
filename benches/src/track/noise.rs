//! Seeded randomness and smooth noise.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub type Dice = ChaCha8Rng;

pub fn dice(seed: u64) -> Dice {
    Dice::seed_from_u64(seed)
}

/// Normal, by the sum of twelve: tails end at six sigma, as a sensor's do.
pub fn normal(dice: &mut Dice) -> f64 {
    (0..12).map(|_| dice.random::<f64>()).sum::<f64>() - 6.0
}

/// Many normal numbers to pick from at random places: a noise that is cheap to draw each frame.
#[derive(Debug)]
pub struct Grain(Vec<f32>);

impl Grain {
    pub fn new(dice: &mut Dice) -> Self {
        Grain((0..1 << 18).map(|_| normal(dice) as f32).collect())
    }

    /// A run of `n` numbers, from a place of its own.
    pub fn run(&self, dice: &mut Dice, n: usize) -> &[f32] {
        let from = dice.random_range(0..self.0.len() - n);
        &self.0[from..from + n]
    }
}

/// Value noise on a lattice of `cell` pixels, 0 to 1, smooth in its first derivative.
#[derive(Debug)]
pub struct Lattice {
    values: Vec<f32>,
    columns: usize,
    cell: f32,
}

impl Lattice {
    pub fn new(width: usize, height: usize, cell: f32, dice: &mut Dice) -> Self {
        let columns = (width as f32 / cell) as usize + 3;
        let rows = (height as f32 / cell) as usize + 3;
        Lattice { values: (0..columns * rows).map(|_| dice.random()).collect(), columns, cell }
    }

    pub fn at(&self, x: f32, y: f32) -> f32 {
        let (u, v) = ((x / self.cell).max(0.0), (y / self.cell).max(0.0));
        let (i, j) = (u as usize, v as usize);
        let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
        let (fu, fv) = (smooth(u.fract()), smooth(v.fract()));
        let value = |i: usize, j: usize| self.values.get(j * self.columns + i).copied().unwrap_or(0.5);
        let top = value(i, j) * (1.0 - fu) + value(i + 1, j) * fu;
        let bottom = value(i, j + 1) * (1.0 - fu) + value(i + 1, j + 1) * fu;
        top * (1.0 - fv) + bottom * fv
    }
}

/// A picture larger than the view, read between its pixels; beyond its edge it is mirrored.
#[derive(Debug)]
pub struct Texture {
    pub width: usize,
    pub height: usize,
    pub data: Vec<f32>,
}

impl Texture {
    pub fn read(&self, x: f64, y: f64) -> f32 {
        let (x, y) = (mirror(x, self.width), mirror(y, self.height));
        let (i, j) = (x as usize, y as usize);
        let (fx, fy) = ((x - i as f64) as f32, (y - j as f64) as f32);
        let o = j * self.width + i;
        let (a, b) = (&self.data[o..o + 2], &self.data[o + self.width..o + self.width + 2]);
        let top = a[0] + fx * (a[1] - a[0]);
        let bottom = b[0] + fx * (b[1] - b[0]);
        top + fy * (bottom - top)
    }
}

/// Into 0 to `n` - 1, exclusive of the last.
fn mirror(x: f64, n: usize) -> f64 {
    let span = n as f64 - 1.001;
    if (0.0..=span).contains(&x) {
        return x;
    }
    let folded = x.rem_euclid(2.0 * span);
    if folded > span { 2.0 * span - folded } else { folded }
}
