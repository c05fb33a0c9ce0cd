//! Draws waves as a patient monitor does: at constant speed, an erase bar running ahead of the pen, numbers at the right.
//!
//! Incremental: a frame draws only what came since the last one, and only those columns are converted to I420.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::PoisonError;

use super::live::{Cursor, Shared};
use super::numerics::{BeatFinder, HeartRate, PressureTracker};
use super::text::{Align, Face};
use super::waves::{Kind, Wave};
use crate::picture::{Geometry, Picture, rgb_to_picture};

/// The look of 25 mm/s on a screen of 0.25 mm pixels, for a monitor 1280 px wide.
const SWEEP_PX_PER_S: f64 = 100.0;
const ERASE_PX: usize = 22;
const LINE_PX: f32 = 1.9;
const ROW_PX_MIN: usize = 40;
const ROWS_MAX: usize = 5;
/// From so many times as wide as high on, numbers get a column of their own.
const STRIP_ASPECT: usize = 5;
const GREY: [u8; 3] = [0x9A, 0xA6, 0xB1];

fn colour(kind: Kind) -> [u8; 3] {
    match kind {
        Kind::Ecg => [0x63, 0xE0, 0xA0],
        Kind::Arterial => [0xFF, 0x8F, 0x87],
        Kind::Pulmonary | Kind::Carbon => [0xFF, 0xE0, 0x8A],
        Kind::Pleth | Kind::Venous => [0x8F, 0xD3, 0xFF],
        Kind::Cuff => [0xFF, 0x8F, 0x87],
        Kind::Breath | Kind::Heat => [0xE6, 0xEC, 0xF2],
    }
}

struct Row {
    wave: Wave,
    /// Rows of pixels in which its wave runs; `None`: there is room for its number only.
    trace: Option<Range<usize>>,
    number: Cell,
    /// Samples drawn so far, and where the pen stands.
    drawn: u64,
    cursor: Cursor,
    pen: Option<(f32, f32)>,
    pressure: PressureTracker,
    /// Its number as last drawn.
    shown: String,
}

/// Where a number stands, px.
#[derive(Debug, Clone)]
struct Cell {
    x: Range<usize>,
    y: Range<usize>,
    /// Of its figures, unless they would not fit.
    size: f32,
}

/// Where everything is on the glass.
struct Arrangement {
    waves_at: Range<usize>,
    /// For each wave, in its order.
    rows: Vec<(Option<Range<usize>>, Cell)>,
    scale: f32,
}

/// Numbers beside their waves, as many rows as there is room for.
fn tall(size: Geometry, kinds: &[Kind]) -> Arrangement {
    let n = kinds.len().min((size.height / ROW_PX_MIN).clamp(1, ROWS_MAX));
    let height = size.height / n.max(1);
    let scale = (size.width as f32 / 1280.0).max(0.5);
    let waves_at = (74.0 * scale) as usize..size.width - (292.0 * scale) as usize;
    let row = |i: usize| {
        let y = i * height..(i + 1) * height;
        let size_px = (height as f32 * 0.82).min(62.0 * scale);
        (Some(y.clone()), Cell { x: waves_at.end..size.width, y, size: size_px })
    };
    Arrangement { rows: (0..n).map(row).collect(), waves_at, scale }
}

/// Leads of an ECG below each other, without numbers.
fn leads(size: Geometry, n: usize) -> Arrangement {
    let scale = (size.width as f32 / 640.0).clamp(0.5, 1.0);
    let height = size.height / n.max(1);
    let row = |i: usize| (Some(i * height..(i + 1) * height), Cell { x: 0..0, y: 0..0, size: 0.0 });
    Arrangement { rows: (0..n).map(row).collect(), waves_at: (64.0 * scale) as usize..size.width - 8, scale }
}

/// A low, wide strip: three waves, the heart rate as high as the glass, every other number in a column beside it.
fn strip(size: Geometry, kinds: &[Kind], with_trace: impl Fn(Kind) -> bool) -> Arrangement {
    const TRACES: [Kind; 5] = [Kind::Ecg, Kind::Arterial, Kind::Pleth, Kind::Pulmonary, Kind::Venous];
    let scale = size.height as f32 / 146.0;
    let px = |n: f32| (n * scale) as usize;
    let has_rate = kinds.contains(&Kind::Ecg);
    let others = kinds.iter().filter(|k| **k != Kind::Ecg).count();
    let column = size.width - if others > 0 { px(232.0) } else { 0 };
    let rate = column - if has_rate { px(222.0) } else { 0 };
    let waves_at = px(74.0)..rate;
    let mut traced: Vec<Kind> = TRACES.into_iter().filter(|k| kinds.contains(k) && with_trace(*k)).take(3).collect();
    traced.sort_unstable();
    let trace_height = size.height / traced.len().max(1);
    let mut below = 0;
    let rows = kinds.iter().map(|kind| {
        let trace = traced.iter().position(|k| k == kind).map(|i| i * trace_height..(i + 1) * trace_height);
        let cell = if *kind == Kind::Ecg {
            Cell { x: rate..column, y: 0..size.height, size: size.height as f32 * 0.74 }
        } else {
            let height = size.height / others.max(1);
            let y = below * height..(below + 1) * height;
            below += 1;
            Cell { x: column..size.width, y, size: (height as f32 * 0.82).min(44.0 * scale) }
        };
        (trace, cell)
    });
    Arrangement { rows: rows.collect(), waves_at, scale }
}

/// A monitor of one size. Time is that of its own schedule, from 0.
pub struct Monitor {
    size: Geometry,
    face: Option<Face>,
    rgb: Vec<[u8; 3]>,
    rows: Vec<Row>,
    /// Columns in which waves run; left of them the labels, right of them the numbers.
    waves_at: Range<usize>,
    scale: f32,
    px_per_s: f64,
    beat_finder: Option<BeatFinder>,
    heart_rate: HeartRate,
    t_s: f64,
    /// Who says the numbers; `None`: they are computed from the waves.
    told: Option<Shared>,
    with_alarms: bool,
    alarm_shown: String,
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Monitor({} rows)", self.rows.len())
    }
}

impl Monitor {
    /// As many of `waves` as there is room for, from the top; numbers are computed from them.
    pub fn new(size: Geometry, waves: Vec<Wave>) -> Self {
        Self::with(size, waves, None, false)
    }

    /// Draws what a device says: its numbers as it says them, its waves as they come. `alarms`: its gravest, too.
    pub fn live(size: Geometry, waves: Vec<Wave>, told: Shared, alarms: bool) -> Self {
        Self::with(size, waves, Some(told), alarms)
    }

    /// Leads of an ECG below each other.
    pub fn leads(size: Geometry, waves: Vec<Wave>) -> Self {
        let arrangement = leads(size, waves.len());
        Self::arranged(size, waves, arrangement, None, false)
    }

    fn with(size: Geometry, waves: Vec<Wave>, told: Option<Shared>, with_alarms: bool) -> Self {
        let kinds: Vec<Kind> = waves.iter().map(|w| w.kind).collect();
        let traced: Vec<Kind> = waves.iter().filter(|w| w.has_trace()).map(|w| w.kind).collect();
        let arrangement = if size.width >= size.height * STRIP_ASPECT {
            strip(size, &kinds, |kind| traced.contains(&kind))
        } else {
            tall(size, &kinds)
        };
        Self::arranged(size, waves, arrangement, told, with_alarms)
    }

    fn arranged(size: Geometry, waves: Vec<Wave>, arrangement: Arrangement, told: Option<Shared>, with_alarms: bool) -> Self {
        let Arrangement { waves_at, rows, scale } = arrangement;
        let row = |(wave, (trace, number))| Row {
            wave,
            trace,
            number,
            drawn: 0,
            cursor: Cursor::default(),
            pen: None,
            pressure: PressureTracker::default(),
            shown: String::new(),
        };
        let rows: Vec<Row> = waves.into_iter().zip(rows).map(row).collect();
        let beat_finder = rows.iter().find(|r| r.wave.kind == Kind::Ecg).map(|r| BeatFinder::new(r.wave.rate_hz));
        let mut monitor = Monitor {
            size,
            face: Face::new(),
            rgb: vec![[0; 3]; size.width * size.height],
            rows,
            waves_at,
            scale,
            px_per_s: SWEEP_PX_PER_S * f64::from(scale),
            beat_finder,
            heart_rate: HeartRate::default(),
            t_s: 0.0,
            told,
            with_alarms,
            alarm_shown: String::new(),
        };
        monitor.draw_labels();
        monitor
    }

    /// Draws everything up to `t_s` and returns the columns that changed.
    pub fn advance(&mut self, t_s: f64) -> Vec<Range<usize>> {
        // A long pause is jumped over rather than drawn in one breath.
        let width = self.waves_at.len();
        let from = self.t_s.max(t_s - width as f64 / self.px_per_s);
        if from > self.t_s {
            for row in &mut self.rows {
                row.drawn = (from * row.wave.rate_hz) as u64;
                row.pen = None;
            }
        }
        let head = |t: f64| (t * self.px_per_s) as u64;
        let (old, new) = (head(from), head(t_s));
        let first = self.t_s == 0.0;
        self.t_s = t_s;
        // The bar runs ahead: clear what it newly covers.
        let cleared = if first { new } else { old + ERASE_PX as u64 }..new + ERASE_PX as u64;
        for column in cleared.clone() {
            let x = self.waves_at.start + (column % width as u64) as usize;
            for y in 0..self.size.height {
                self.rgb[y * self.size.width + x] = [0; 3];
            }
        }
        let mut beats = Vec::new();
        for n in 0..self.rows.len() {
            self.draw_wave(n, t_s, &mut beats);
        }
        for t in beats {
            self.heart_rate.handle_beat(t);
            self.rows.iter_mut().for_each(|r| r.pressure.handle_beat(t));
        }
        let mut dirty = Vec::new();
        let (a, b) = (old.saturating_sub(3), new + ERASE_PX as u64 + 2);
        let (x0, x1) = ((a % width as u64) as usize, (b % width as u64) as usize);
        if b - a >= width as u64 {
            dirty.push(self.waves_at.clone());
        } else if x0 < x1 {
            dirty.push(self.waves_at.start + x0..self.waves_at.start + x1);
        } else {
            dirty.push(self.waves_at.start + x0..self.waves_at.end);
            dirty.push(self.waves_at.start..self.waves_at.start + x1);
        }
        if self.draw_numbers() {
            dirty.push(self.waves_at.end..self.size.width);
        }
        if self.draw_alarm() {
            dirty.push(0..self.size.width);
        }
        dirty
    }

    /// Converts columns of the drawing into `picture`, which has the monitor's size.
    pub fn paint(&self, picture: &mut Picture, columns: &[Range<usize>]) {
        for range in columns {
            rgb_to_picture(&self.rgb, picture, range.start, range.end);
        }
    }

    /// New samples of row `n`: into its numbers, and onto the glass.
    fn draw_wave(&mut self, n: usize, t_s: f64, beats: &mut Vec<f64>) {
        let row = &self.rows[n];
        let rate = row.wave.rate_hz;
        let end = (t_s * rate) as u64;
        let (low, high) = row.wave.range;
        let trace = row.trace.clone();
        let (top, height) = trace.as_ref().map_or((0.0, 0.0), |t| (t.start as f32 + 4.0, t.len() as f32 - 8.0));
        let (left, width) = (self.waves_at.start as f32, self.waves_at.len() as f32);
        let ink = colour(row.wave.kind);
        let is_ecg = row.wave.kind == Kind::Ecg;
        let (mut pen, mut cursor, from) = (row.pen, row.cursor, row.drawn);
        let samples = row.wave.read(from, end, &mut cursor);
        for (i, value) in (from..end).zip(samples) {
            let t = i as f64 / rate;
            if is_ecg
                && let Some(finder) = &mut self.beat_finder
                && finder.push(value)
            {
                beats.push(t);
            }
            if matches!(self.rows[n].wave.kind, Kind::Arterial | Kind::Pulmonary | Kind::Venous) {
                self.rows[n].pressure.push(value, t);
            }
            if !value.is_finite() {
                // A gap is a gap.
                pen = None;
                continue;
            }
            let x = left + ((t * self.px_per_s) % f64::from(width)) as f32;
            let part = ((value - low) / (high - low)).clamp(0.0, 1.0);
            let to = (x, top + height * (1.0 - part));
            if trace.is_some()
                && let Some(from) = pen
                && to.0 >= from.0
            {
                self.line(from, to, ink);
            }
            pen = Some(to);
        }
        let row = &mut self.rows[n];
        (row.pen, row.cursor) = (pen, cursor);
        row.drawn = row.drawn.max(end);
    }

    /// An anti-aliased line with round ends; it only ever adds light, so crossing lines do not dim each other.
    fn line(&mut self, a: (f32, f32), b: (f32, f32), ink: [u8; 3]) {
        let reach = LINE_PX / 2.0 + 1.0;
        let x0 = ((a.0.min(b.0) - reach).floor().max(self.waves_at.start as f32)) as usize;
        let x1 = ((a.0.max(b.0) + reach).ceil().max(0.0) as usize).min(self.waves_at.end - 1);
        let y0 = (a.1.min(b.1) - reach).floor().max(0.0) as usize;
        let y1 = ((a.1.max(b.1) + reach).ceil().max(0.0) as usize).min(self.size.height - 1);
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let length2 = (dx * dx + dy * dy).max(1e-6);
        for y in y0..=y1 {
            for x in x0..=x1 {
                let (px, py) = (x as f32 + 0.5 - a.0, y as f32 + 0.5 - a.1);
                let along = ((px * dx + py * dy) / length2).clamp(0.0, 1.0);
                let (ex, ey) = (px - along * dx, py - along * dy);
                let cover = (LINE_PX / 2.0 + 0.5 - (ex * ex + ey * ey).sqrt()).clamp(0.0, 1.0);
                if cover > 0.0 {
                    let out = &mut self.rgb[y * self.size.width + x];
                    for (o, c) in out.iter_mut().zip(ink) {
                        *o = (*o).max((f32::from(c) * cover) as u8);
                    }
                }
            }
        }
    }

    fn draw_labels(&mut self) {
        let scale = self.scale;
        for n in 0..self.rows.len() {
            let row = &self.rows[n];
            let Some(trace) = row.trace.clone() else { continue };
            let (ink, top, height) = (colour(row.wave.kind), trace.start as f32, trace.len() as f32);
            let label = row.wave.label.to_uppercase();
            let size = (17.0 * scale).max(11.0).min(height * 0.5);
            self.text(&label, (8.0 * scale, top + size * 1.1), size, Align::Left, ink);
            if matches!(row_kind(&self.rows[n]), Kind::Arterial | Kind::Pulmonary | Kind::Venous) && scale > 0.7 {
                // The scale of the row, so that a height means a pressure.
                let (low, high) = self.rows[n].wave.range;
                let small = (12.0 * scale).max(9.0);
                let right = self.waves_at.start as f32 - 6.0 * scale;
                self.text(&format!("{high:.0}"), (right, top + 4.0 + small * 0.75), small, Align::Right, GREY);
                self.text(&format!("{low:.0}"), (right, top + height - 4.0), small, Align::Right, GREY);
            }
        }
    }

    /// Redraws the numbers that changed; true when any did.
    fn draw_numbers(&mut self) -> bool {
        let scale = self.scale;
        let mut changed = false;
        for n in 0..self.rows.len() {
            let row = &self.rows[n];
            if row.number.x.is_empty() {
                continue;
            }
            let pressure = row.pressure.pressure(self.t_s);
            let (name, big, small) = match row.wave.kind {
                kind if self.told.is_some() => self.told_number(kind),
                Kind::Ecg => ("HR", self.heart_rate.bpm(self.t_s).map_or("--".into(), |b| format!("{b:.0}")), String::new()),
                // Saturation cannot be computed from one pleth.
                Kind::Pleth => ("SpO2", "--".to_owned(), String::new()),
                Kind::Venous => ("CVP", pressure.map_or("--".into(), |p| format!("{:.0}", p.mean)), String::new()),
                Kind::Arterial | Kind::Pulmonary => (
                    if row.wave.kind == Kind::Arterial { "ABP" } else { "PAP" },
                    pressure.map_or("--/--".into(), |p| format!("{:.0}/{:.0}", p.systolic, p.diastolic)),
                    pressure.map_or("(--)".into(), |p| format!("({:.0})", p.mean)),
                ),
                // Only a device says these.
                Kind::Cuff | Kind::Breath | Kind::Carbon | Kind::Heat => continue,
            };
            let shown = format!("{big}{small}");
            if shown == row.shown {
                continue;
            }
            changed = true;
            let (ink, cell) = (colour(row.wave.kind), row.number.clone());
            let height = cell.y.len();
            self.rows[n].shown = shown;
            for y in cell.y.clone() {
                self.rgb[y * self.size.width + cell.x.start..y * self.size.width + cell.x.end].fill([0; 3]);
            }
            let (left, right) = (cell.x.start as f32 + 12.0 * scale, cell.x.end as f32 - 10.0 * scale);
            let (top, size) = (cell.y.start, cell.size);
            let baseline = top as f32 + height as f32 / 2.0 + size * 0.29;
            let name_size = (15.0 * scale).max(10.0);
            self.text(name, (left, top as f32 + name_size * 1.15), name_size, Align::Left, ink);
            let mut edge = right;
            if !small.is_empty() {
                let small_size = size * 0.5;
                self.text(&small, (edge, baseline), small_size, Align::Right, ink);
                let widest = self.face.as_ref().map_or(0.0, |f| f.width("(000)", small_size));
                edge -= widest + 8.0 * scale;
            }
            // A number too wide for its place is drawn smaller, never cut. A high place has its name above the number.
            let beside = if height as f32 > size * 1.35 { 0.0 } else { 40.0 * scale };
            let room = edge - left - beside;
            let width = self.face.as_ref().map_or(0.0, |f| f.width(&big, size));
            let size = if width > room { size * room / width } else { size };
            self.text(&big, (edge, baseline), size, Align::Right, ink);
        }
        changed
    }

    fn text(&mut self, text: &str, at: (f32, f32), size: f32, align: Align, ink: [u8; 3]) {
        let Some(face) = &self.face else { return };
        let (w, h, rgb) = (self.size.width as i32, self.size.height as i32, &mut self.rgb);
        face.draw(text, at, size, align, |x, y, cover| {
            if (0..w).contains(&x) && (0..h).contains(&y) {
                let out = &mut rgb[(y * w + x) as usize];
                for (o, c) in out.iter_mut().zip(ink) {
                    *o = (*o).max((f32::from(c) * cover.min(1.0)) as u8);
                }
            }
        });
    }

    /// As the device says it; what is missing, invalid or old is two dashes.
    fn told_number(&self, kind: Kind) -> (&'static str, String, String) {
        let live = self.told.as_ref().map(|told| told.lock().unwrap_or_else(PoisonError::into_inner));
        let number = |name: &str, digits: usize| {
            live.as_ref().and_then(|l| l.number(name)).map_or("--".to_owned(), |v| format!("{v:.digits$}"))
        };
        let pressure = |name: &'static str, [sys, dia, mean]: [&str; 3]| {
            (name, format!("{}/{}", number(sys, 0), number(dia, 0)), format!("({})", number(mean, 0)))
        };
        match kind {
            Kind::Ecg => ("HR", number("HR", 0), String::new()),
            Kind::Arterial => pressure("ABP", ["ABP-sys", "ABP-dia", "ABP-mean"]),
            Kind::Pulmonary => pressure("PAP", ["PAP-sys", "PAP-dia", "PAP-mean"]),
            Kind::Cuff => pressure("NIBP", ["NIBP-sys", "NIBP-dia", "NIBP-mean"]),
            Kind::Venous => ("CVP", number("CVP-mean", 0), String::new()),
            Kind::Pleth => ("SpO2", number("SpO2", 0), String::new()),
            Kind::Breath => ("RR", number("RR", 0), String::new()),
            Kind::Carbon => ("EtCO2", number("EtCO2", 0), String::new()),
            Kind::Heat => ("TEMP", number("TEMP", 1), String::new()),
        }
    }

    /// The device's gravest alarm, if it may be shown; true when that changed. Reference only, and it says so.
    fn draw_alarm(&mut self) -> bool {
        if !self.with_alarms {
            return false;
        }
        let said = self.told.as_ref().and_then(|told| {
            let live = told.lock().unwrap_or_else(PoisonError::into_inner);
            // The font has ASCII; of another text the priority is said.
            live.alarm().map(|a| if a.text.is_ascii() { a.text.clone() } else { format!("Alarm ({:?})", a.priority) })
        });
        let shown = said.map_or(String::new(), |text| format!("{text} - reference only"));
        let size = (16.0 * self.scale).max(11.0);
        // Waves run through the line: it is drawn again with every picture while there is one.
        if shown.is_empty() && self.alarm_shown.is_empty() {
            return false;
        }
        let height = (size * 1.4) as usize;
        for y in 0..height.min(self.size.height) {
            let row = y * self.size.width;
            self.rgb[row + self.waves_at.start..row + self.waves_at.end].fill([0; 3]);
        }
        self.text(&shown, (self.waves_at.start as f32 + 8.0, size * 1.05), size, Align::Left, [0xFF, 0xC2, 0x4D]);
        self.alarm_shown = shown;
        true
    }

    /// What the numbers say now, by name: for tests and for sending vital signs as data.
    pub fn numbers(&self) -> BTreeMap<&'static str, f32> {
        let mut numbers = BTreeMap::new();
        if let Some(bpm) = self.heart_rate.bpm(self.t_s) {
            numbers.insert("HR", bpm as f32);
        }
        for row in &self.rows {
            let names = match row.wave.kind {
                Kind::Arterial => ["ABP-sys", "ABP-dia", "ABP-mean"],
                Kind::Pulmonary => ["PAP-sys", "PAP-dia", "PAP-mean"],
                Kind::Venous => ["CVP-max", "CVP-min", "CVP-mean"],
                _ => continue,
            };
            if let Some(p) = row.pressure.pressure(self.t_s) {
                numbers.extend(names.into_iter().zip([p.systolic, p.diastolic, p.mean]));
            }
        }
        numbers
    }
}

fn row_kind(row: &Row) -> Kind {
    row.wave.kind
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vitals::waves::{choose, generated};

    fn monitor() -> Monitor {
        Monitor::new(Geometry::new(640, 160).expect("even"), choose(&generated()))
    }

    fn lit(m: &Monitor, columns: Range<usize>) -> usize {
        columns.flat_map(|x| (0..160).map(move |y| (x, y))).filter(|&(x, y)| m.rgb[y * 640 + x].iter().any(|&c| c > 60)).count()
    }

    #[test]
    fn the_pen_runs_with_the_bar_before_it_and_the_old_wave_behind() {
        let mut m = monitor();
        let sweep_s = m.waves_at.len() as f64 / m.px_per_s;
        let steps = (sweep_s * 1.5 * 25.0) as u32;
        (1..=steps).for_each(|k| drop(m.advance(f64::from(k) / 25.0)));
        let head = m.waves_at.start + ((m.t_s * m.px_per_s) as usize) % m.waves_at.len();
        assert!(lit(&m, head - 20..head - 1) >= 18 * 2, "the new wave");
        assert_eq!(lit(&m, head + 3..head + ERASE_PX - 2), 0, "the bar");
        assert!(lit(&m, head + ERASE_PX + 2..head + ERASE_PX + 22) >= 18 * 2, "the old wave");
    }

    #[test]
    fn only_changed_columns_are_named_and_they_suffice() {
        let size = Geometry::new(640, 160).expect("even");
        let mut m = monitor();
        let (mut partial, mut whole) = (Picture::black(size), Picture::black(size));
        let all = std::slice::from_ref(&(0..640));
        m.paint(&mut partial, all);
        let mut columns = 0;
        for k in 1..=400u32 {
            let dirty = m.advance(f64::from(k) / 25.0);
            columns += dirty.iter().map(Range::len).sum::<usize>();
            m.paint(&mut partial, &dirty);
        }
        m.paint(&mut whole, all);
        assert_eq!(partial.bytes(), whole.bytes());
        assert!(columns < 400 * 80, "{columns} columns for 400 frames");
    }

    #[test]
    fn numbers_come_from_the_waves() {
        let mut m = monitor();
        (1..=375u32).for_each(|k| drop(m.advance(f64::from(k) / 25.0)));
        let numbers = m.numbers();
        assert!((numbers["HR"] - 75.0).abs() < 2.0, "{numbers:?}");
        assert!(numbers["ABP-sys"] > numbers["ABP-dia"]);
        assert!(!numbers.keys().any(|k| k.contains("SpO2")));
    }

    #[test]
    fn a_gap_in_the_signal_is_a_gap_on_the_glass() {
        let mut waves = choose(&generated());
        waves.truncate(1);
        waves[0].samples.iter_mut().for_each(|v| *v = f32::NAN);
        let mut m = Monitor::new(Geometry::new(640, 160).expect("even"), waves);
        (1..=50u32).for_each(|k| drop(m.advance(f64::from(k) / 25.0)));
        assert_eq!(lit(&m, m.waves_at.clone()), 0);
    }

    #[test]
    fn a_strip_has_three_waves_every_number_and_nothing_is_cut() {
        for (width, height) in [(1280, 146), (1020, 146), (640, 74)] {
            let mut record = generated();
            let pap = crate::vitals::wfdb::Signal { name: "PAP".into(), ..record.signals[1].clone() };
            record.signals.push(pap);
            let size = Geometry::new(width, height).expect("even");
            let mut m = Monitor::new(size, choose(&record));
            (1..=375u32).for_each(|k| drop(m.advance(f64::from(k) / 25.0)));
            assert_eq!(m.rows.iter().filter(|r| r.trace.is_some()).count(), 3, "{width}x{height}");
            assert!(["HR", "ABP-sys", "PAP-sys"].iter().all(|n| m.numbers().contains_key(n)));
            let lit = |x: usize, y: usize| m.rgb[y * width + x].iter().any(|&c| c > 60);
            for row in &m.rows {
                let Cell { x, y, .. } = row.number.clone();
                assert!(x.clone().any(|x| y.clone().any(|y| lit(x, y))), "{:?} has a number", row.wave.kind);
                let edge = |x: usize| y.clone().any(|y| lit(x, y));
                assert!(!edge(x.start) && !edge(x.end - 1), "{:?} stays in its place", row.wave.kind);
            }
            let rate = &m.rows[0].number;
            let high = rate.y.clone().filter(|&y| rate.x.clone().any(|x| lit(x, y))).count();
            assert!(high * 2 > height, "the heart rate is more than half as high as the glass: {high} of {height}");
        }
    }

    #[test]
    fn a_pause_of_an_hour_is_jumped_over() {
        let mut m = monitor();
        m.advance(1.0);
        m.advance(3601.0);
        assert!(lit(&m, m.waves_at.clone()) > 100);
    }
}
