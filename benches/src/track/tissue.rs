//! Generated tissue under light: vessels on mottled flesh, its motion, instruments, glints, a hand that holds the scope.

use std::f64::consts::TAU;

use rand::Rng;
use tracker::luma::{Kind, Luma};
use tracker::similarity::Vec2;

use super::motion::{self, Motion};
use super::noise::{Dice, Grain, Lattice, Texture, dice};
use super::{HEIGHT, PX_1080, Scene, WIDTH};

/// Tissue beyond the edge of the picture, pixels.
const BORDER: usize = 160;
const FRAMES: usize = 300;
const PERIOD_S: f64 = 1.0 / 30.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Still,
    Breathing,
    Cardiac,
    Deformation,
    HandHeld,
    ToolSweep,
    Glare,
    SceneCut,
    Haze,
}

impl What {
    pub const ALL: [What; 9] = [
        What::Still,
        What::Breathing,
        What::Cardiac,
        What::Deformation,
        What::HandHeld,
        What::ToolSweep,
        What::Glare,
        What::SceneCut,
        What::Haze,
    ];

    pub fn name(self) -> &'static str {
        match self {
            What::Still => "still",
            What::Breathing => "breathing",
            What::Cardiac => "cardiac",
            What::Deformation => "deformation",
            What::HandHeld => "hand-held",
            What::ToolSweep => "tool-sweep",
            What::Glare => "glare",
            What::SceneCut => "scene-cut",
            What::Haze => "haze",
        }
    }
}

/// A highlight that stays with the lamp and dances a little with the tissue.
#[derive(Debug)]
struct Glint {
    at: [f64; 2],
    radius: [f64; 2],
    hz: f64,
    phase: f64,
}

/// A shaft that comes in from an edge, crosses the field and leaves.
#[derive(Debug)]
struct Tool {
    from: [f64; 2],
    tip: [[f64; 2]; 2],
    radius: f64,
    begins: f64,
    lasts: f64,
}

impl Tool {
    /// Where its tip is; none while it is away.
    fn tip_at(&self, t: f64) -> Option<[f64; 2]> {
        let u = (t - self.begins) / self.lasts;
        (-0.3..=1.3).contains(&u).then(|| {
            let reach = (1.0 - (2.0 * u - 1.0).powi(4)).clamp(-0.2, 1.0);
            let w = u.clamp(0.0, 1.0);
            let aim = [0, 1].map(|c| self.tip[0][c] * (1.0 - w) + self.tip[1][c] * w);
            [0, 1].map(|c| self.from[c] + (aim[c] - self.from[c]) * reach)
        })
    }
}

/// How far along a shaft a pixel lies, and how far across it, of its radius. None: not on it.
fn on_shaft(from: [f64; 2], tip: [f64; 2], radius: f64, [x, y]: [f64; 2]) -> Option<(f64, f64)> {
    let (dx, dy) = (tip[0] - from[0], tip[1] - from[1]);
    let length = dx.hypot(dy).max(1.0);
    let (ux, uy) = (dx / length, dy / length);
    let (px, py) = (x - from[0], y - from[1]);
    let (along, across) = (px * ux + py * uy, (px * uy - py * ux) / radius);
    (across.abs() < 1.0 && (0.0..=length).contains(&along)).then_some((along, across))
}

#[derive(Debug)]
pub struct Tissue {
    what: What,
    motion: Motion,
    texture: Texture,
    other: Option<Texture>,
    /// Frames of another scene.
    away: std::ops::Range<usize>,
    light: Vec<f32>,
    glints: Vec<Glint>,
    tools: Vec<Tool>,
    haze: Vec<(f64, f64)>,
    gain_hz: f64,
    grain: Grain,
    noise: f32,
    dice: Dice,
}

/// Luma of flesh, 16 to 235, with vessels as dark lines; `contrast` about 1.
pub fn flesh(dice: &mut Dice, contrast: f32) -> Texture {
    let (w, h) = (WIDTH + 2 * BORDER, HEIGHT + 2 * BORDER);
    let [broad, middle, fine, grain] = [110.0, 32.0, 10.0, 3.2].map(|cell| Lattice::new(w, h, cell, dice));
    let (warp_x, warp_y) = (Lattice::new(w, h, 50.0, dice), Lattice::new(w, h, 50.0, dice));
    let data = (0..w * h)
        .map(|i| {
            let (x, y) = ((i % w) as f32, (i / w) as f32);
            let (b, m, f, g) = (broad.at(x, y), middle.at(x, y), fine.at(x, y), grain.at(x, y));
            let shade = 0.75 + contrast * (0.30 * (b - 0.5) + 0.30 * (m - 0.5) + 0.14 * (f - 0.5) + 0.08 * (g - 0.5));
            let (wx, wy) = (x + 22.0 * warp_x.at(x, y), y + 22.0 * warp_y.at(x, y));
            let line = |n: &Lattice, sharp: f32| 1.0 - ((n.at(wx, wy) - 0.5).abs() * sharp).min(1.0);
            let vessel = (line(&middle, 24.0) * 0.42).max(line(&fine, 11.0) * 0.2) * contrast.min(1.0);
            (150.0 * shade * (1.0 - vessel)).clamp(17.0, 205.0)
        })
        .collect();
    Texture { width: w, height: h, data }
}

impl Tissue {
    pub fn new(what: What, seed: u64) -> Tissue {
        let mut dice = dice(seed ^ (what as u64) << 32);
        let contrast = dice.random_range(0.45..1.15);
        let texture = flesh(&mut dice, contrast);
        let mut motion = Motion::default();
        if what != What::Still {
            motion.deformations = motion::breathing(&mut dice);
        }
        match what {
            What::Cardiac => motion.deformations.extend(motion::beating(&mut dice, 28.0)),
            What::Deformation => motion.deformations.extend(motion::pulling(&mut dice, FRAMES as f64 * PERIOD_S)),
            What::HandHeld => motion.views = motion::hand_held(&mut dice, FRAMES, PERIOD_S, 1.0),
            _ => {}
        }
        let n = |busy: What, many: usize, few: usize| if what == busy { many } else { few };
        let glints = (0..n(What::Glare, 90, 14))
            .map(|_| Glint {
                at: [dice.random_range(0.0..WIDTH as f64), dice.random_range(0.0..HEIGHT as f64)],
                radius: [dice.random_range(1.0..5.5), dice.random_range(0.8..2.2)],
                hz: dice.random_range(0.2..1.5),
                phase: dice.random_range(0.0..TAU),
            })
            .collect();
        let tools = (0..n(What::ToolSweep, 5, usize::from(what == What::Breathing)))
            .map(|i| {
                let left = dice.random::<bool>();
                let edge = if left { -30.0 } else { WIDTH as f64 + 30.0 };
                let reach = |dice: &mut Dice| [dice.random_range(60.0..420.0), dice.random_range(40.0..230.0)];
                Tool {
                    from: [edge, dice.random_range(40.0..HEIGHT as f64 + 60.0)],
                    tip: [reach(&mut dice), reach(&mut dice)],
                    radius: dice.random_range(5.0..13.0),
                    begins: 0.8 + i as f64 * 1.8 + dice.random_range(0.0..0.8),
                    lasts: dice.random_range(0.8..2.2),
                }
            })
            .collect();
        let haze = (0..n(What::Haze, 3, 0)).map(|i| (2.0 + 2.6 * i as f64, dice.random_range(0.4..0.85))).collect();
        let away = if what == What::SceneCut {
            let from = dice.random_range(90..150);
            from..from + dice.random_range(30..90)
        } else {
            0..0
        };
        let other = (!away.is_empty()).then(|| flesh(&mut dice, contrast));
        let light = (0..WIDTH * HEIGHT)
            .map(|i| {
                let (u, v) = ((i % WIDTH) as f32 / WIDTH as f32 - 0.5, ((i / WIDTH) as f32 - HEIGHT as f32 / 2.0) / WIDTH as f32);
                (1.1 - 2.2 * (u * u + v * v)).clamp(0.1, 1.0)
            })
            .collect();
        let grain = Grain::new(&mut dice);
        let (gain_hz, noise) = (dice.random_range(0.1..0.4), dice.random_range(1.0..2.6));
        Tissue { what, motion, texture, other, away, light, glints, tools, haze, gain_hz, grain, noise, dice }
    }

    /// Frames that show another scene; none where there are no such.
    pub fn away(&self) -> Option<std::ops::Range<usize>> {
        (!self.away.is_empty()).then(|| self.away.clone())
    }

    fn time(k: usize) -> f64 {
        k as f64 * PERIOD_S
    }
}

impl Scene for Tissue {
    fn name(&self) -> String {
        self.what.name().into()
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
        let away = self.away.contains(&k);
        let texture = if away { self.other.as_ref().unwrap_or(&self.texture) } else { &self.texture };
        let (view, strengths) = (self.motion.view(k), self.motion.strengths(t));
        // Automatic exposure breathes too.
        let gain = 1.0 + if self.what == What::Glare { 0.18 } else { 0.05 } * (TAU * self.gain_hz * t).sin() as f32;
        let haze: f64 = self.haze.iter().map(|(at, most)| most * (-((t - at) / 0.7).powi(2)).exp()).sum();
        let haze = haze.min(0.9) as f32;
        let mut picture = vec![0.0f32; WIDTH * HEIGHT];
        for y in 0..HEIGHT {
            for x in 0..WIDTH {
                let u = self.motion.moved(&strengths, Motion::to_plane(&view, [x as f64, y as f64]));
                let i = y * WIDTH + x;
                let v = texture.read(u[0] + BORDER as f64, u[1] + BORDER as f64) - 16.0;
                picture[i] = (v * gain * (1.0 - haze) + haze * 130.0) * self.light[i];
            }
        }
        let sway = strengths.first().copied().unwrap_or(0.0);
        for g in &self.glints {
            let strength = 0.55 + 0.45 * (TAU * g.hz * t + g.phase).sin();
            let at = [g.at[0] + 1.5 * sway, g.at[1] + 1.2 * sway];
            spot(&mut picture, at, g.radius, (strength * 330.0) as f32);
        }
        for (tool, tip) in self.tools.iter().filter_map(|tool| Some((tool, tool.tip_at(t)?))) {
            shaft(&mut picture, tool.from, tip, tool.radius);
        }
        let mut data = Vec::with_capacity(picture.len());
        for row in picture.chunks(WIDTH) {
            let grain = self.grain.run(&mut self.dice, WIDTH);
            data.extend(row.iter().zip(grain).map(|(p, n)| (p + n * self.noise + 16.0).clamp(16.0, 235.0) as u8));
        }
        Luma { width: WIDTH, height: HEIGHT, data }
    }

    fn material(&self, k: usize, at: Vec2) -> Option<[f64; 2]> {
        (!self.away.contains(&k)).then(|| self.motion.material(k, Self::time(k), [f64::from(at.x), f64::from(at.y)]))
    }

    fn place(&self, k: usize, material: [f64; 2]) -> Option<Vec2> {
        if self.away.contains(&k) {
            return None;
        }
        let x = self.motion.place(k, Self::time(k), material);
        Some(Vec2::new(x[0] as f32, x[1] as f32))
    }

    fn covers(&self, k: usize, at: Vec2) -> bool {
        let at = [f64::from(at.x), f64::from(at.y)];
        let on = |tool: &Tool| tool.tip_at(Self::time(k)).is_some_and(|tip| on_shaft(tool.from, tip, tool.radius, at).is_some());
        self.tools.iter().any(on)
    }

    fn causes(&self) -> Vec<usize> {
        if self.away.is_empty() { Vec::new() } else { vec![self.away.start] }
    }

    fn strokes(&mut self) -> Vec<(usize, Vec<Vec2>)> {
        (0..4)
            .map(|i| {
                let at = Vec2::new(self.dice.random_range(70.0..410.0), self.dice.random_range(50.0..220.0));
                (5 + 8 * i, stroke(&mut self.dice, i, at))
            })
            .collect()
    }
}

/// A stroke as people draw them, around `at`: a ring, a line, an arrow's shaft, a scribble; 30 to 200 px at 1080p.
pub fn stroke(dice: &mut Dice, shape: usize, at: Vec2) -> Vec<Vec2> {
    let size = dice.random_range(15.0..50.0) / PX_1080 as f32;
    let way = dice.random_range(0.0..std::f32::consts::TAU);
    let place = |u: f32, v: f32| Vec2::new(at.x + u * way.cos() - v * way.sin(), at.y + u * way.sin() + v * way.cos());
    (0..=16)
        .map(|i| {
            let t = i as f32 / 16.0;
            match shape % 4 {
                0 => place(size * (t * std::f32::consts::TAU).cos(), 0.7 * size * (t * std::f32::consts::TAU).sin()),
                1 => place(4.0 * size * (t - 0.5), 0.0),
                2 => place(2.0 * size * t, 0.0),
                _ => place(3.0 * size * (t - 0.5), 0.6 * size * (t * 14.0).sin()),
            }
        })
        .collect()
}

fn spot(picture: &mut [f32], at: [f64; 2], radius: [f64; 2], most: f32) {
    let range = |c: f64, r: f64, n: usize| (c - 2.0 * r).max(0.0) as usize..((c + 2.0 * r).max(0.0) as usize + 1).min(n);
    for y in range(at[1], radius[1], HEIGHT) {
        for x in range(at[0], radius[0], WIDTH) {
            let d = ((x as f64 - at[0]) / radius[0]).powi(2) + ((y as f64 - at[1]) / radius[1]).powi(2);
            picture[y * WIDTH + x] += most * (1.0 - d as f32 / 2.5).max(0.0);
        }
    }
}

/// A grey shaft with a bright line along it, over the tissue.
fn shaft(picture: &mut [f32], from: [f64; 2], tip: [f64; 2], radius: f64) {
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            if let Some((along, across)) = on_shaft(from, tip, radius, [x as f64, y as f64]) {
                let round = (1.0 - across * across).sqrt() as f32;
                let shine = (-((across + 0.35) / 0.16).powi(2)).exp() as f32;
                // Rings along the shaft: an instrument has texture of its own.
                let ring = if (along / 9.0).rem_euclid(1.0) < 0.15 { 20.0 } else { 0.0 };
                picture[y * WIDTH + x] = 25.0 + 60.0 * round + 110.0 * shine - ring;
            }
        }
    }
}
