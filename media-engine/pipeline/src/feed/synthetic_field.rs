//! A generated operative field as demanding as the real one: textured tissue that breathes and pulses, two instruments, and
//! glints that stay with the light.
//!
//! The texture is drawn once, larger than the picture. A frame shifts each row and each column by its own amount and copies
//! the nearest pixel: about a nanosecond a pixel.

use std::f32::consts::TAU;
use std::sync::Arc;

use super::synthetic_fluoro::{next_random, next_unit};
use super::{Prepared, Source, SourceInfo};
use crate::picture::{Geometry, Picture, PicturePool, rgb_to_yuv};
use crate::refusal::Refusal;
use crate::timing::pace::Period;

/// Border of the texture around the picture, px: more than anything moves.
const BORDER: usize = 48;
const BREATH_S: f32 = 4.0;
const BEAT_S: f32 = 0.82;

#[derive(Debug)]
pub struct PreparedField {
    period: Period,
}

impl PreparedField {
    pub fn new(period: Period) -> Self {
        PreparedField { period }
    }
}

impl Prepared for PreparedField {
    fn info(&self) -> SourceInfo {
        SourceInfo { native: Some((1280, 720)), period: self.period }
    }

    fn fit(&self, size: Geometry) -> Result<Box<dyn Source>, Refusal> {
        Ok(Box::new(Field::new(size, self.period)))
    }
}

/// A highlight on wet tissue: where, how large, and its own rhythm.
#[derive(Debug, Clone, Copy)]
struct Glint {
    at: [f32; 2],
    radius: [f32; 2],
    phase: f32,
}

struct Field {
    size: Geometry,
    period: Period,
    pool: PicturePool,
    /// Texture with a border: luma at full size, chroma (U, V) at half size.
    luma: Vec<u8>,
    chroma: Vec<[u8; 2]>,
    texture_width: usize,
    /// Light falls off to the round edge of the scope, 0 to 255.
    light: Vec<u8>,
    glints: Vec<Glint>,
}

/// Smooth value noise on a lattice of `cell` pixels, 0 to 1.
struct Noise {
    values: Vec<f32>,
    columns: usize,
    cell: f32,
}

impl Noise {
    fn new(width: usize, height: usize, cell: f32, seed: &mut u64) -> Self {
        let columns = (width as f32 / cell) as usize + 3;
        let rows = (height as f32 / cell) as usize + 3;
        Noise { values: (0..columns * rows).map(|_| next_unit(seed)).collect(), columns, cell }
    }

    fn at(&self, x: f32, y: f32) -> f32 {
        let (u, v) = (x / self.cell, y / self.cell);
        let (i, j) = (u as usize, v as usize);
        let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
        let (fu, fv) = (smooth(u.fract()), smooth(v.fract()));
        let value = |i: usize, j: usize| self.values.get(j * self.columns + i).copied().unwrap_or(0.5);
        let top = value(i, j) * (1.0 - fu) + value(i + 1, j) * fu;
        let bottom = value(i, j + 1) * (1.0 - fu) + value(i + 1, j + 1) * fu;
        top * (1.0 - fv) + bottom * fv
    }
}

impl Field {
    fn new(size: Geometry, period: Period) -> Self {
        let mut seed = 41;
        let (tw, th) = (size.width + 2 * BORDER, size.height + 2 * BORDER);
        let s = size.width as f32 / 1280.0;
        let octave = |cell: f32, seed: &mut u64| Noise::new(tw, th, (cell * s).max(2.0), seed);
        let [broad, middle, fine, grain] = [320.0, 90.0, 26.0, 6.0].map(|cell| octave(cell, &mut seed));
        let (warp_x, warp_y) = (octave(140.0, &mut seed), octave(140.0, &mut seed));
        let mut luma = vec![0; tw * th];
        let mut chroma = vec![[128; 2]; tw / 2 * (th / 2)];
        for y in 0..th {
            for x in 0..tw {
                let (px, py) = (x as f32, y as f32);
                let (b, m, f, g) = (broad.at(px, py), middle.at(px, py), fine.at(px, py), grain.at(px, py));
                // Fat where the broad noise is high, liver-dark where it is low, flesh between.
                let fat = ((b - 0.55) * 6.0).clamp(0.0, 1.0);
                let dark = ((0.38 - b) * 6.0).clamp(0.0, 1.0);
                let mix = |flesh: f32, yellow: f32, brown: f32| flesh * (1.0 - fat - dark) + yellow * fat + brown * dark;
                let mut rgb = [mix(196.0, 226.0, 112.0), mix(92.0, 178.0, 38.0), mix(84.0, 108.0, 36.0)];
                let shade = 0.72 + 0.36 * m + 0.16 * (f - 0.5) + 0.12 * (g - 0.5);
                // Vessels: where warped noise crosses the middle, in two sizes.
                let (wx, wy) = (px + 60.0 * s * warp_x.at(px, py), py + 60.0 * s * warp_y.at(px, py));
                let wide = 1.0 - ((middle.at(wx.min(tw as f32 - 1.0), wy.min(th as f32 - 1.0)) - 0.5).abs() * 26.0).min(1.0);
                let thin = 1.0 - ((fine.at(wx.min(tw as f32 - 1.0), wy.min(th as f32 - 1.0)) - 0.5).abs() * 12.0).min(1.0);
                let vessel = (wide * 0.75).max(thin * 0.4 * (1.0 - dark));
                for (c, tint) in rgb.iter_mut().zip([0.72, 0.30, 0.32]) {
                    *c *= shade * (1.0 - vessel * (1.0 - tint));
                }
                let (yy, u, v) = rgb_to_yuv(rgb.map(|c| c.clamp(0.0, 255.0) as u8));
                luma[y * tw + x] = yy;
                if x % 2 == 0 && y % 2 == 0 {
                    chroma[y / 2 * (tw / 2) + x / 2] = [u, v];
                }
            }
        }
        let mut light = vec![0; size.width * size.height];
        for (i, l) in light.iter_mut().enumerate() {
            let (u, v) = (
                (i % size.width) as f32 / size.width as f32 - 0.5,
                (i / size.width) as f32 / size.width as f32 - size.height as f32 / size.width as f32 / 2.0,
            );
            let r = (u * u + v * v).sqrt();
            *l = (255.0 * (1.08 - 1.15 * r * r * 2.2).clamp(0.05, 1.0)) as u8;
        }
        let glints = (0..26)
            .map(|_| Glint {
                at: [next_unit(&mut seed) * size.width as f32, next_unit(&mut seed) * size.height as f32],
                radius: [(3.0 + 11.0 * next_unit(&mut seed)) * s, (2.0 + 4.0 * next_unit(&mut seed)) * s],
                phase: (next_random(&mut seed) % 628) as f32 / 100.0,
            })
            .collect();
        Field { size, period, pool: PicturePool::new(size), luma, chroma, texture_width: tw, light, glints }
    }
}

impl Source for Field {
    fn picture(&mut self, k: u64) -> Result<Arc<Picture>, String> {
        let t = self.period.at(k).as_secs_f64();
        let s = self.size.width as f32 / 1280.0;
        let breath = ((t / f64::from(BREATH_S)).fract() as f32 * TAU).sin();
        let beat = (t / f64::from(BEAT_S)).fract() as f32;
        let pulse = (-((beat - 0.18) / 0.1).powi(2)).exp();
        let sway = ((t / 7.3).fract() as f32 * TAU).sin();
        let (w, h) = (self.size.width, self.size.height);
        // Each row moves sideways, each column up and down: breathing as a slow wave, the pulse as a quick local swell.
        let wave = |n: usize, size: usize, phase: f32| {
            let u = n as f32 / size as f32;
            (u * TAU * 0.8 + phase).sin() * 14.0 * breath * s
                + (-((u - 0.55) / 0.16).powi(2)).exp() * 9.0 * pulse * s
                + 8.0 * sway * s
        };
        let shift_x: Vec<isize> = (0..h).map(|y| wave(y, h, 0.4).round() as isize + BORDER as isize).collect();
        let shift_y: Vec<isize> = (0..w).map(|x| wave(x, w, 1.9).round() as isize + BORDER as isize).collect();
        let (luma, chroma, light, tw) = (&self.luma, &self.chroma, &self.light, self.texture_width);
        let glints = &self.glints;
        Ok(self.pool.draw(|picture| {
            let Some([(out, stride), (u, cs), (v, _)]) = picture.planes_mut() else { return };
            for y in 0..h {
                let row = &mut out[y * stride..y * stride + w];
                let lit = &light[y * w..(y + 1) * w];
                let base = y as isize * tw as isize + shift_x[y];
                for ((x, p), (&l, &sy)) in row.iter_mut().enumerate().zip(lit.iter().zip(&shift_y)) {
                    let from = luma[(base + x as isize + sy * tw as isize) as usize];
                    *p = 16 + ((u32::from(from.saturating_sub(16)) * u32::from(l)) >> 8) as u8;
                }
            }
            for y in 0..h / 2 {
                let base = y as isize * (tw / 2) as isize + shift_x[y * 2] / 2;
                for x in 0..w / 2 {
                    let from = chroma[(base + x as isize + shift_y[x * 2] / 2 * (tw / 2) as isize) as usize];
                    // Less light, less colour: chroma shrinks with luma, or the edge would glow.
                    let l = i32::from(light[y * 2 * w + x * 2]);
                    u[y * cs + x] = (128 + (((i32::from(from[0]) - 128) * l) >> 8)) as u8;
                    v[y * cs + x] = (128 + (((i32::from(from[1]) - 128) * l) >> 8)) as u8;
                }
            }
            for g in glints {
                let strength = 0.6 + 0.4 * (g.phase + breath * 2.0 + pulse * 3.0).sin();
                draw_glint(out, stride, (w, h), g, strength, [breath * 5.0 * s, pulse * 4.0 * s]);
            }
            let planes = &mut [(out, stride), (u, cs), (v, cs)];
            let reach = (t as f32 * 0.9).sin() * 60.0 * s;
            let (wf, hf) = (w as f32, h as f32);
            draw_instrument(planes, (w, h), [wf * 1.02, hf * 0.98], [wf * 0.60 + reach, hf * 0.52 + reach * 0.4], 17.0 * s);
            let reach = (t as f32 * 0.53 + 1.0).sin() * 80.0 * s;
            draw_instrument(planes, (w, h), [-wf * 0.02, hf * 0.75], [wf * 0.33 + reach, hf * 0.47 - reach * 0.3], 14.0 * s);
        }))
    }
}

fn draw_glint(luma: &mut [u8], stride: usize, (w, h): (usize, usize), g: &Glint, strength: f32, shift: [f32; 2]) {
    let (cx, cy) = (g.at[0] + shift[0], g.at[1] + shift[1]);
    let range = |centre: f32, reach: f32, end: usize| {
        (centre - reach).max(0.0) as usize..((centre + reach).max(0.0) as usize + 1).min(end)
    };
    for y in range(cy, g.radius[1] * 1.5, h) {
        for x in range(cx, g.radius[0] * 1.5, w) {
            let d = ((x as f32 - cx) / g.radius[0]).powi(2) + ((y as f32 - cy) / g.radius[1]).powi(2);
            let add = ((1.3 - d).clamp(0.0, 1.0) * strength * 190.0) as u8;
            let p = &mut luma[y * stride + x];
            *p = p.saturating_add(add).min(235);
        }
    }
}

/// A grey shaft from beyond the edge to its tip, round in its shading, with a darker jaw.
fn draw_instrument(planes: &mut [(&mut [u8], usize); 3], (w, h): (usize, usize), from: [f32; 2], tip: [f32; 2], radius: f32) {
    let (dx, dy) = (tip[0] - from[0], tip[1] - from[1]);
    let length = (dx * dx + dy * dy).sqrt().max(1.0);
    let (ux, uy) = (dx / length, dy / length);
    let top = (from[1].min(tip[1]) - radius).max(0.0) as usize;
    let bottom = ((from[1].max(tip[1]) + radius).max(0.0) as usize).min(h);
    for y in top..bottom {
        // Where this row crosses the shaft, along x; a nearly level shaft is searched over its whole width.
        let middle = if uy.abs() > 0.05 { from[0] + (y as f32 - from[1]) / uy * ux } else { (from[0] + tip[0]) / 2.0 };
        let reach = if uy.abs() > 0.05 { radius / uy.abs() + radius } else { length };
        let left = (middle - reach).max(0.0) as usize;
        let right = ((middle + reach).max(0.0) as usize).min(w);
        for x in left..right {
            let (px, py) = (x as f32 - from[0], y as f32 - from[1]);
            let along = px * ux + py * uy;
            let across = (px * uy - py * ux) / radius;
            if across.abs() >= 1.0 || along > length || along < 0.0 {
                continue;
            }
            let jaw = along > length - radius * 3.2;
            if jaw && across.abs() > 0.25 + 0.75 * (length - along) / (radius * 3.2) {
                continue;
            }
            let round = (1.0 - across * across).sqrt();
            let shine = (-((across + 0.35) / 0.16).powi(2)).exp();
            let shade = if jaw { 52.0 + 70.0 * round + 60.0 * shine } else { 30.0 + 58.0 * round + 105.0 * shine };
            planes[0].0[y * planes[0].1 + x] = shade as u8;
            if x % 2 == 0 && y % 2 == 0 {
                for plane in &mut planes[1..] {
                    plane.0[y / 2 * plane.1 + x / 2] = 128;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scene_moves_everywhere_and_stays_in_range() {
        let mut source = PreparedField::new(Period::HZ_25).fit(Geometry::new(320, 180).expect("even")).expect("fits");
        let first = source.picture(0).expect("a picture");
        let later = source.picture(12).expect("a picture");
        let (a, b) = (first.plane(0), later.plane(0));
        let changed = a.data.iter().zip(b.data).filter(|(a, b)| a.abs_diff(**b) > 2).count();
        assert!(changed > a.data.len() / 3, "{changed} of {}", a.data.len());
        assert!(a.data.iter().all(|p| (16..=235).contains(p)));
    }

    #[test]
    fn a_day_of_frames_draws_within_the_texture() {
        let mut source = PreparedField::new(Period::NTSC_30).fit(Geometry::new(160, 90).expect("even")).expect("fits");
        for k in (0..30 * 3600 * 24).step_by(50_021) {
            source.picture(k).expect("a picture");
        }
    }
}
