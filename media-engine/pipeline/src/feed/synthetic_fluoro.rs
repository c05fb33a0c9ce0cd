//! A generated angiogram: a beating vessel tree that fills with contrast and washes out, over still anatomy, with quantum noise.
//!
//! Everything that does not change is drawn once: background, vessel density and when the contrast arrives at each pixel.
//! A frame is then one table look-up a pixel.

use std::f32::consts::TAU;
use std::sync::Arc;

use super::{Prepared, Source, SourceInfo, Word};
use crate::health::Beam;
use crate::picture::{Geometry, Picture, PicturePool};
use crate::refusal::Refusal;
use crate::timing::pace::Period;

/// One injection and the rest until the next, s; one beat of the heart, s.
const RUN_S: f32 = 6.0;
const BEAT_S: f32 = 0.85;
/// How far the vessels move with the heart, px of a picture 512 wide.
const BEAT_PX: f32 = 7.0;
const NOISE: usize = 1 << 16;

#[derive(Debug)]
pub struct PreparedFluoro {
    period: Period,
    rest_s: u32,
}

impl PreparedFluoro {
    /// `rest_s`: for how long X-ray is off after each run.
    pub fn new(period: Period, rest_s: u32) -> Self {
        PreparedFluoro { period, rest_s }
    }
}

impl Prepared for PreparedFluoro {
    fn info(&self) -> SourceInfo {
        SourceInfo { native: Some((512, 512)), period: self.period }
    }

    fn fit(&self, size: Geometry) -> Result<Box<dyn Source>, Refusal> {
        Ok(Box::new(Fluoro::new(size, self.period, self.rest_s)))
    }
}

struct Fluoro {
    size: Geometry,
    period: Period,
    pool: PicturePool,
    background: Vec<u8>,
    /// Per pixel: how much contrast the vessel holds (0 to 255) and when it arrives (1/64 s).
    density: Vec<u8>,
    arrival: Vec<u8>,
    noise: Vec<i8>,
    seed: u64,
    rest_s: f64,
    /// X-ray is off, and this is held.
    held: Option<Arc<Picture>>,
    off: bool,
}

/// SplitMix64: small, seeded, the same on every machine.
pub(super) fn next_random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// 0 to 1.
pub(super) fn next_unit(seed: &mut u64) -> f32 {
    (next_random(seed) >> 40) as f32 / (1u64 << 24) as f32
}

impl Fluoro {
    fn new(size: Geometry, period: Period, rest_s: u32) -> Self {
        let mut seed = 7;
        let pixels = size.width * size.height;
        let mut fluoro = Fluoro {
            size,
            period,
            pool: PicturePool::new(size),
            background: vec![0; pixels],
            density: vec![0; pixels],
            arrival: vec![0; pixels],
            noise: (0..NOISE).map(|_| ((next_unit(&mut seed) + next_unit(&mut seed) - 1.0) * 9.0) as i8).collect(),
            seed,
            rest_s: f64::from(rest_s),
            held: None,
            off: false,
        };
        fluoro.draw_background();
        // A trunk from the catheter's tip; it forks on its way down.
        let (w, h) = (size.width as f32, size.height as f32);
        fluoro.draw_vessel([w * 0.36, h * 0.2], 0.5, w / 40.0, 0.0, 6);
        fluoro
    }

    fn draw_background(&mut self) {
        let (w, h) = (self.size.width as f32, self.size.height as f32);
        for y in 0..self.size.height {
            for x in 0..self.size.width {
                let (u, v) = (x as f32 / w, y as f32 / h);
                // Lung is bright, spine and ribs are dark, the edge is shuttered round.
                let spine = (-((u - 0.78) / 0.1).powi(2)).exp() * (1.0 + 0.25 * (v * TAU * 5.0).sin());
                let ribs = ((v + 0.25 * u * u) * TAU * 4.5).sin().max(0.0).powi(3);
                let heart = (-(((u - 0.5) / 0.33).powi(2) + ((v - 0.6) / 0.33).powi(2))).exp();
                let mut luma = 186.0 - 62.0 * spine - 18.0 * ribs - 38.0 * heart;
                let r = ((u - 0.5).powi(2) + (v - 0.5).powi(2)).sqrt();
                luma *= 1.0 - ((r - 0.49) / 0.02).clamp(0.0, 1.0);
                // The catheter: a thin dark line from above.
                let catheter = (u - 0.36 - 0.1 * (1.0 - v * 5.0).max(0.0).powi(2)).abs() * w;
                if v < 0.2 && catheter < 2.0 {
                    luma *= 0.62;
                }
                self.background[y * self.size.width + x] = 16.0f32.max(luma) as u8;
            }
        }
    }

    /// One branch, drawn as discs along a wandering line, and its forks. `arrival`: when contrast enters, s.
    fn draw_vessel(&mut self, mut at: [f32; 2], mut angle: f32, mut radius: f32, mut arrival: f32, forks: u32) {
        let length = self.size.width as f32 * (0.12 + 0.1 * next_unit(&mut self.seed));
        let steps = length as usize;
        let bend = (next_unit(&mut self.seed) - 0.5) * 2.4 / length;
        for _ in 0..steps {
            self.draw_disc(at, radius, arrival);
            angle += bend + (next_unit(&mut self.seed) - 0.5) * 0.08;
            // Angle 0 points down.
            at = [at[0] + angle.sin(), at[1] + angle.cos()];
            radius *= 1.0 - 0.25 / length;
            arrival += 1.0 / (self.size.width as f32 * 0.75);
        }
        if forks > 0 {
            let spread = 0.35 + 0.4 * next_unit(&mut self.seed);
            self.draw_vessel(at, angle - spread, radius * 0.74, arrival, forks - 1);
            self.draw_vessel(at, angle + spread * 0.8, radius * 0.8, arrival, forks - 1);
        }
    }

    fn draw_disc(&mut self, [cx, cy]: [f32; 2], radius: f32, arrival: f32) {
        let (w, h) = (self.size.width as i32, self.size.height as i32);
        let reach = radius.ceil() as i32 + 1;
        for y in (cy as i32 - reach).max(0)..(cy as i32 + reach + 1).min(h) {
            for x in (cx as i32 - reach).max(0)..(cx as i32 + reach + 1).min(w) {
                let d = ((x as f32 - cx).powi(2) + (y as f32 - cy).powi(2)).sqrt();
                // A cylinder absorbs as its thickness: the root of what is left, with a soft edge.
                let edge = (radius + 0.5 - d).clamp(0.0, 1.0);
                let thick = (1.0 - (d / (radius + 0.5)).powi(2)).max(0.0).sqrt() * edge;
                let value = (thick * radius / (self.size.width as f32 / 40.0) * 120.0 + thick * 95.0).min(255.0) as u8;
                let at = (y * w + x) as usize;
                if value > self.density[at] {
                    self.density[at] = value;
                    self.arrival[at] = (arrival * 64.0).min(255.0) as u8;
                }
            }
        }
    }
}

/// Contrast in a vessel `t` seconds after it arrives there: a quick rise, a slow fall. 0 to 1.
fn bolus(t: f32) -> f32 {
    if t <= 0.0 { 0.0 } else { (t / 0.25).min(1.0) * (-((t - 1.3).max(0.0) / 0.8)).exp() }
}

impl Source for Fluoro {
    fn picture(&mut self, k: u64) -> Result<Arc<Picture>, String> {
        let t = self.period.at(k).as_secs_f32();
        let in_cycle = self.period.at(k).as_secs_f64() % (f64::from(RUN_S) + self.rest_s);
        self.off = in_cycle >= f64::from(RUN_S);
        if let Some(held) = self.held.as_ref().filter(|_| self.off) {
            return Ok(held.clone());
        }
        let in_run = in_cycle as f32 - 0.4;
        // How dark a full vessel is now, by its arrival.
        let mut darkness = [0u32; 256];
        for (arrival, d) in darkness.iter_mut().enumerate() {
            *d = (bolus(in_run - arrival as f32 / 64.0) * 205.0) as u32;
        }
        let scale = self.size.width as f32 / 512.0;
        let beat = (t % BEAT_S) / BEAT_S;
        let squeeze = (-((beat - 0.2) / 0.12).powi(2)).exp();
        let shift = [(squeeze * BEAT_PX * scale) as isize, (squeeze * BEAT_PX * 0.7 * scale) as isize];
        let offset = next_random(&mut self.seed) as usize;
        let (w, h) = (self.size.width as isize, self.size.height as isize);
        let (background, density, arrival, noise) = (&self.background, &self.density, &self.arrival, &self.noise);
        let picture = self.pool.draw(|picture| {
            let Some([(luma, stride), ..]) = picture.planes_mut() else { return };
            for y in 0..h {
                let from_y = (y - shift[1]).clamp(0, h - 1);
                let row = &mut luma[y as usize * stride..y as usize * stride + w as usize];
                let noise_row = offset.wrapping_add(y as usize * 7919);
                for (x, out) in row.iter_mut().enumerate() {
                    let from_x = (x as isize - shift[0]).max(0);
                    let at = (from_y * w + from_x) as usize;
                    let back = u32::from(background[y as usize * w as usize + x]);
                    let absorbed = u32::from(density[at]) * darkness[arrival[at] as usize] / 255;
                    // Absorption multiplies.
                    let value = (back * (255 - absorbed.min(230)) / 255) as i32;
                    let grain = if back > 20 { i32::from(noise[(noise_row + x) % NOISE]) } else { 0 };
                    *out = (value + grain).clamp(16, 235) as u8;
                }
            }
        });
        self.held = (self.rest_s > 0.0).then(|| picture.clone());
        Ok(picture)
    }

    fn word(&self) -> Word {
        let beam = (self.rest_s > 0.0).then_some(if self.off { Beam::Off } else { Beam::On });
        Word { beam, origin: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(picture: &Picture) -> f64 {
        let plane = picture.plane(0);
        plane.data.iter().map(|&p| f64::from(p)).sum::<f64>() / plane.data.len() as f64
    }

    #[test]
    fn contrast_fills_the_tree_and_washes_out() {
        let mut source = PreparedFluoro::new(Period::HZ_30, 0).fit(Geometry::new(256, 256).expect("even")).expect("fits");
        let [empty, full, washed] = [0, 54, 170].map(|k| mean(&source.picture(k).expect("a picture")));
        assert!(full < empty - 2.0, "{empty} {full}");
        assert!(washed > full + 1.0, "{full} {washed}");
    }

    #[test]
    fn between_two_runs_x_ray_is_off_and_the_last_image_is_held() {
        let mut source = PreparedFluoro::new(Period::HZ_30, 4).fit(Geometry::new(64, 64).expect("even")).expect("fits");
        let mut beam = |k: u64| {
            let picture = source.picture(k).expect("a picture");
            (picture, source.word().beam)
        };
        let (last, on) = beam(179);
        let (held, off) = beam(181);
        assert_eq!((on, off), (Some(Beam::On), Some(Beam::Off)));
        assert!(Arc::ptr_eq(&last, &held));
        assert_eq!(beam(301).1, Some(Beam::On), "the next run");
    }
}
