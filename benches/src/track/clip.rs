//! Recorded clips with known motion, from the sample data beside the project (never part of it).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;
use tracker::luma::{Kind, Luma};
use tracker::similarity::Vec2;

use super::{Scene, WIDTH};

/// By point, by frame: where it lies.
type Points = BTreeMap<u32, BTreeMap<usize, Vec2>>;

/// Pictures and points of one clip; cheap to clone.
#[derive(Debug, Clone)]
pub struct Clip {
    name: String,
    source: PathBuf,
    period_s: f64,
    pictures: Arc<Vec<Luma>>,
    /// By point, by frame: where it lies, in pixels of the tracker's picture.
    points: Arc<Points>,
    /// (point, frame) that the recording itself vouches for.
    good: Arc<BTreeSet<(u32, usize)>>,
    /// Points whose ink is drawn, four at a time, and in which frame.
    drawn: Vec<u32>,
    down: usize,
}

/// Name, pictures, truth.
const CLIPS: [(&str, &str, &str); 3] = [
    ("clip fundus", "deform_fundus_1280x720_30fps_10s.mp4", "deform_fundus_points.csv"),
    ("clip gi-occluded", "deform_hyperkvasir_occluded_1280x720_30fps_6s.mp4", "deform_hyperkvasir_occluded_points.csv"),
    ("clip sinus", "sinus_endoscopy/frame_%03d.jpg", "sinus_endoscopy_tracks_dev.csv"),
];

/// The clips that lie in `folder`; none when it is not there.
pub fn clips(folder: &Path) -> anyhow::Result<Vec<Clip>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    gst::init()?;
    CLIPS.iter().map(|(name, pictures, points)| Clip::open(name, &folder.join(pictures), &folder.join(points))).collect()
}

impl Clip {
    fn open(name: &str, source: &Path, points: &Path) -> anyhow::Result<Clip> {
        let (pictures, width) = decode(source)?;
        let (points, good) = read_points(points, width)?;
        Ok(Clip {
            name: name.into(),
            source: source.to_owned(),
            period_s: 1.0 / 30.0,
            pictures: Arc::new(pictures),
            points: Arc::new(points),
            good: Arc::new(good),
            drawn: Vec::new(),
            down: 0,
        })
    }

    /// The same clip with other ink: every point that lies well within the picture in frame `down`, four at a time.
    pub fn with_ink(&self, down: usize) -> Vec<Clip> {
        let inside =
            |p: &Vec2| p.x > 20.0 && p.y > 20.0 && p.x < WIDTH as f32 - 20.0 && p.y < self.pictures[0].height as f32 - 20.0;
        let ids: Vec<u32> = self
            .points
            .iter()
            .filter(|(id, at)| self.good.contains(&(**id, down)) && at.get(&down).is_some_and(inside))
            .map(|(id, _)| *id)
            .collect();
        // The recorded sequence has hundreds of points: a few of them, evenly.
        let step = ids.len().div_ceil(40);
        let ids: Vec<u32> = ids.into_iter().step_by(step.max(1)).collect();
        ids.chunks(4).map(|four| Clip { drawn: four.to_vec(), down, ..self.clone() }).collect()
    }

    pub fn name_of(&self) -> &str {
        &self.name
    }

    /// All of its known points.
    pub fn ids(&self) -> Vec<u32> {
        self.points.keys().copied().collect()
    }

    /// Where a known point lies in frame `k`, in pixels of the tracker's picture.
    pub fn where_is(&self, point: u32, k: usize) -> Option<Vec2> {
        self.points.get(&point)?.get(&k).copied()
    }

    /// Does the recording itself vouch for the point in this frame?
    pub fn is_seen(&self, point: u32, k: usize) -> bool {
        self.good.contains(&(point, k))
    }

    /// The file, or the pattern of files, that its pictures come from.
    pub fn source(&self) -> &Path {
        &self.source
    }
}

impl Scene for Clip {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn kind(&self) -> Kind {
        Kind::Tissue
    }

    fn frames(&self) -> usize {
        self.pictures.len()
    }

    fn period_s(&self) -> f64 {
        self.period_s
    }

    fn luma(&mut self, k: usize) -> Luma {
        self.pictures[k].clone()
    }

    fn material(&self, k: usize, at: Vec2) -> Option<[f64; 2]> {
        let id = self
            .drawn
            .iter()
            .find(|id| self.points.get(id).and_then(|p| p.get(&k)).is_some_and(|p| p.minus(at).length() < 1e-3))?;
        Some([f64::from(*id), 0.0])
    }

    fn place(&self, k: usize, material: [f64; 2]) -> Option<Vec2> {
        self.points.get(&(material[0] as u32))?.get(&k).copied()
    }

    fn strokes(&mut self) -> Vec<(usize, Vec<Vec2>)> {
        self.drawn.iter().filter_map(|id| Some((self.down, vec![*self.points.get(id)?.get(&self.down)?]))).collect()
    }
}

/// Luma of every picture, at the tracker's size, and the width they had.
fn decode(path: &Path) -> anyhow::Result<(Vec<Luma>, usize)> {
    let location = path.to_string_lossy();
    let source = if location.contains('%') {
        format!("multifilesrc location=\"{location}\" caps=\"image/jpeg,framerate=30/1\" ! jpegdec")
    } else {
        if !path.is_file() {
            bail!("{location} is not there");
        }
        format!("filesrc location=\"{location}\" ! decodebin")
    };
    let launch = format!("{source} ! videoconvert ! video/x-raw,format=I420 ! appsink name=sink sync=false max-buffers=4");
    let pipeline = gst::parse::launch(&launch)?.downcast::<gst::Pipeline>().map_err(|_| anyhow::anyhow!("no pipeline"))?;
    let sink = pipeline.by_name("sink").and_then(|s| s.downcast::<AppSink>().ok()).context("no sink")?;
    pipeline.set_state(gst::State::Playing)?;
    let (mut pictures, mut width) = (Vec::new(), 0);
    while let Ok(sample) = sink.pull_sample() {
        let (buffer, caps) = (sample.buffer_owned().context("empty")?, sample.caps().context("no caps")?);
        let info = gst_video::VideoInfo::from_caps(caps)?;
        let frame = gst_video::VideoFrame::from_buffer_readable(buffer, &info).map_err(|_| anyhow::anyhow!("not readable"))?;
        width = frame.width() as usize;
        let stride = frame.plane_stride()[0] as usize;
        let luma = Luma::shrink(frame.plane_data(0)?, stride, width, frame.height() as usize).context("too small")?;
        pictures.push(luma);
    }
    pipeline.set_state(gst::State::Null)?;
    if pictures.is_empty() {
        bail!("{location} has no pictures");
    }
    Ok((pictures, width))
}

/// A reconstructed point this much nearer or further than its neighbours is the lamp's mirror image, not tissue.
const DEPTH_OFF_MAX: f32 = 0.12;
/// Neighbours lie within so many pixels of the tracker's picture.
const NEIGHBOURS: f32 = 40.0;

/// Points from a table with a heading; pixel centres at whole coordinates of pictures `width` wide. With them those that can be drawn on: where the table says
/// that they are seen (`visible`, `triangulated_from_this_view`) and, where it knows depth, lie as deep as what is around them.
fn read_points(path: &Path, width: usize) -> anyhow::Result<(Points, BTreeSet<(u32, usize)>)> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut lines = text.lines();
    let heading: Vec<&str> = lines.next().context("empty")?.split(',').collect();
    let column = |name: &str| heading.iter().position(|h| *h == name);
    let needed = |name: &str| column(name).with_context(|| format!("no column {name}"));
    let (frame, point, x, y) = (needed("frame")?, needed("point")?, needed("x_px")?, needed("y_px")?);
    let (seen, depth) = (column("visible").or(column("triangulated_from_this_view")), column("depth_rel"));
    let scale = WIDTH as f32 / width as f32;
    let mut out = Points::new();
    let mut rows: BTreeMap<usize, Vec<(u32, Vec2, bool, f32)>> = BTreeMap::new();
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        let cell = |i: usize| cells.get(i).copied().context("a short line");
        let at = |v: f32| (v + 0.5) * scale - 0.5;
        let place = Vec2::new(at(cell(x)?.parse()?), at(cell(y)?.parse()?));
        let (id, k) = (cell(point)?.parse()?, cell(frame)?.parse()?);
        out.entry(id).or_default().insert(k, place);
        let seen = seen.map(cell).transpose()?.is_none_or(|v| v == "1");
        let depth = depth.map(cell).transpose()?.map_or(Ok(1.0), str::parse)?;
        rows.entry(k).or_default().push((id, place, seen, depth));
    }
    let mut good = BTreeSet::new();
    for (k, points) in &rows {
        for (id, at, seen, depth) in points {
            let mut around: Vec<f32> = points.iter().filter(|p| p.1.minus(*at).length() < NEIGHBOURS).map(|p| p.3).collect();
            around.sort_by(f32::total_cmp);
            if *seen && (depth / around[around.len() / 2] - 1.0).abs() < DEPTH_OFF_MAX {
                good.insert((*id, *k));
            }
        }
    }
    Ok((out, good))
}
