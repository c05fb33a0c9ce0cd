//! Masks: what they paint, a source that changes its size, and what is proposed for pictures with names burnt in.

mod golden;
mod sender;
mod server;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use annotation::id::FeedId;
use link::frame::{FeedState, FrameIndex, MaskState};
use pipeline::clock::LocalClock;
use pipeline::config::source::{CaptureClock, Expect, Rtp, RtpCodec};
use pipeline::encode::level::Level;
use pipeline::feed::fit::{Fitted, Shot};
use pipeline::feed::{Source, SourceConfig, prepare};
use pipeline::mask::command::Still;
use pipeline::mask::propose::{Grey, propose};
use pipeline::mask::{MASK_LUMA, MaskConfig, Masking};
use pipeline::picture::{Geometry, Picture, PicturePool};
use sender::{Sender, free_port};
use server::{CONFIG, Server};

fn id(text: &str) -> FeedId {
    FeedId::parse(text).expect("an id")
}

#[test]
fn a_masked_picture_looks_masked_where_it_is_and_untouched_elsewhere() {
    gstreamer::init().expect("GStreamer is installed");
    let size = Geometry::new(320, 320).expect("even");
    let mut source = prepare(&SourceConfig::SyntheticFluoro { rest_s: 0 }, None).expect("generated").fit(size).expect("fits");
    let mask = MaskConfig {
        feed: id("fluoro"),
        published: false,
        size: [512, 512],
        rects: vec![[8, 8, 190, 44], [340, 8, 164, 24]],
        polygons: vec![vec![[0, 420], [120, 512], [0, 512]]],
        keep: vec![[380, 470, 120, 30]],
    };
    let mut masking = Masking::of(&id("fluoro"), &[mask]).expect("has one");
    let picture = source.picture(50).expect("a picture");
    let masked = masking.apply(picture.clone(), (512, 512)).expect("certain");
    golden::assert_looks_like("masked", &masked);
    let luma = |p: &Picture, x: usize, y: usize| p.plane(0).data[y * p.plane(0).stride + x];
    assert_eq!((luma(&masked, 60, 20), luma(&masked, 10, 310)), (MASK_LUMA, MASK_LUMA));
    for (x, y) in [(160, 160), (250, 300), (200, 60)] {
        assert_eq!(luma(&masked, x, y), luma(&picture, x, y), "at {x},{y}");
    }
    golden::finish();
}

/// Bright pictures whose device changes its size while the test says so.
struct Resizing {
    picture: Arc<Picture>,
    other: Arc<AtomicBool>,
}

impl Source for Resizing {
    fn picture(&mut self, _: u64) -> Result<Arc<Picture>, String> {
        Ok(self.picture.clone())
    }

    fn native(&self) -> Option<(usize, usize)> {
        self.other.load(Ordering::SeqCst).then_some((640, 480))
    }
}

fn field(index: &FrameIndex) -> (FeedState, u64) {
    index.entries.iter().find(|e| e.feed == "field").map_or((FeedState::Unspecified, 0), |e| (e.state(), e.capture))
}

#[test]
fn a_source_that_changes_its_size_is_dark_until_its_mask_is_certain() {
    let config = format!("{CONFIG}\n[[mask]]\nfeed = \"field\"\nsize = [1280, 720]\nrects = [[0, 0, 400, 80]]\n");
    let mut white = PicturePool::new(Geometry::new(1280, 720).expect("even"));
    let picture = white.draw(|p| {
        if let Some([(luma, _), ..]) = p.planes_mut() {
            luma.fill(200);
        }
    });
    let other = Arc::new(AtomicBool::new(false));
    let source = Resizing { picture, other: other.clone() };
    let mut server = Server::start_with(&config, |p| p.with_source(&id("field"), Box::new(source)));
    server.accept();
    server.want_these(&[("program", "high"), ("field", "high")]);
    let said = |s: &Server| {
        let feed = s.health.as_ref().and_then(|h| h.feeds.iter().find(|f| f.feed == "field"));
        feed.map_or((MaskState::Unspecified, String::new()), |f| (f.mask(), f.problem.clone()))
    };
    server.until("a picture with its mask", |s| s.indexes.values().any(|i| field(i).0 == FeedState::Live));
    server.until("that it is certain", |s| said(s).0 == MaskState::Certain);
    other.store(true, Ordering::SeqCst);
    server.until("darkness in the program", |s| s.indexes.values().any(|i| field(i) == (FeedState::MaskUnknown, 0)));
    server.until("darkness alone", |s| s.single_indexes.values().any(|i| field(i) == (FeedState::MaskUnknown, 0)));
    server.until("that it is known", |s| said(s).0 == MaskState::Unknown && said(s).1.contains("640x480"));
    other.store(false, Ordering::SeqCst);
    server.until("its return", |s| {
        s.newest().is_some_and(|i| field(i).0 == FeedState::Live) && said(s) == (MaskState::Certain, String::new())
    });
    let mut life: Vec<FeedState> = server.in_order().iter().map(|i| field(i).0).collect();
    // A machine that is busy may be late.
    life.retain(|s| !matches!(s, FeedState::Lost | FeedState::Stale));
    life.dedup();
    assert_eq!(life, [FeedState::Live, FeedState::MaskUnknown, FeedState::Live]);
    server.stop();
}

/// A white picture of this size, over RTP.
fn white_camera((w, h): (u32, u32), port: u16) -> Sender {
    Sender::start(&format!(
        "videotestsrc is-live=true pattern=white ! video/x-raw,format=I420,width={w},height={h},framerate=15/1 \
         ! x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=5 ! rtph264pay pt=96 config-interval=-1 \
         ! udpsink host=127.0.0.1 port={port} sync=false"
    ))
}

#[test]
fn a_camera_on_the_network_is_masked_at_its_size_and_dark_at_any_other() {
    gstreamer::init().expect("GStreamer is installed");
    let port = free_port();
    let config = SourceConfig::Rtp(Rtp {
        listen: std::net::SocketAddr::from(([127, 0, 0, 1], port)),
        codec: RtpCodec::H264,
        payload: 96,
        latency_ms: 50,
        clock: CaptureClock::Arrival,
        expect: Expect { width: 320, height: 240, rate: 15 },
    });
    let mask = MaskConfig {
        feed: id("camera"),
        published: false,
        size: [320, 240],
        rects: vec![[0, 0, 160, 120]],
        polygons: vec![],
        keep: vec![],
    };
    let place = Geometry::new(160, 120).expect("even");
    let prepared = prepare(&config, None).expect("GStreamer's elements");
    let fitted = Fitted::new(prepared, Some(place), false, Level::L31).expect("fits");
    let mut fitted = fitted.with_masks(Masking::of(&id("camera"), &[mask]));
    let clock = LocalClock::start();
    let mut until = |what: &str, done: &dyn Fn(&Shot) -> bool| {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < Duration::from_secs(90), "waited in vain for {what}");
            let Ok(Some(arrived)) = fitted.take(clock, Duration::from_millis(50)) else { continue };
            let shot = fitted.shot_of(&arrived, Some(place), true).expect("scaled");
            if done(&shot) {
                return shot;
            }
        }
    };
    let sender = white_camera((320, 240), port);
    let shot = until("a picture with its mask", &|s| s.picture.is_some());
    for picture in [shot.picture, shot.placed, shot.single].map(|p| p.expect("asked for")) {
        let (w, h) = (picture.geometry().width, picture.geometry().height);
        let luma = |x: usize, y: usize| picture.plane(0).data[y * picture.plane(0).stride + x];
        assert!(luma(w / 4, h / 4) <= MASK_LUMA + 4, "{w}x{h}: {} under the mask", luma(w / 4, h / 4));
        assert!(luma(w * 3 / 4, h * 3 / 4) > 200, "{w}x{h}: {} beside it", luma(w * 3 / 4, h * 3 / 4));
    }
    drop(sender);
    let _other = white_camera((640, 480), port);
    let dark = until("darkness at another size", &|s| s.unmasked == Some((640, 480)));
    assert!(dark.picture.is_none() && dark.placed.is_none() && dark.single.is_none());
}

fn still(name: &str) -> Option<Still> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/stills").join(name);
    if !path.exists() {
        eprintln!("no sample data here: {}", path.display());
        return None;
    }
    gstreamer::init().expect("GStreamer is installed");
    Some(Still::read(&path).expect("readable"))
}

fn proposed(still: &Still, keep: &[[u32; 4]]) -> Vec<[u32; 4]> {
    let grey: Vec<u8> = still.rgb.iter().map(|[r, g, b]| *r.max(g).max(b)).collect();
    propose(Grey { width: still.width, height: still.height, data: &grey }, keep)
}

/// Share of the rectangle that the others cover.
fn covered([x, y, w, h]: [u32; 4], by: &[[u32; 4]]) -> f64 {
    let inside =
        |px: u32, py: u32| by.iter().any(|[rx, ry, rw, rh]| (*rx..rx + rw).contains(&px) && (*ry..ry + rh).contains(&py));
    let n = (y..y + h).flat_map(|py| (x..x + w).map(move |px| (px, py))).filter(|(px, py)| inside(*px, *py)).count();
    n as f64 / f64::from(w * h)
}

#[test]
fn names_burnt_into_an_ultrasound_still_are_proposed_and_what_is_kept_is_not() {
    let Some(still) = still("phi_burned_us_gray.dcm") else { return };
    // Name and number, birth and hospital, date and time, as people read them on the picture; then the indices that are to stay.
    let identity = [[8, 5, 276, 15], [391, 5, 295, 15], [823, 5, 187, 13]];
    let indices = [826, 25, 160, 20];
    let all = proposed(&still, &[]);
    for rect in identity {
        assert_eq!(covered(rect, &all), 1.0, "{rect:?} of {all:?}");
    }
    assert!(covered([0, 0, 1024, 768], &all) < 0.25, "{all:?}");
    let kept = proposed(&still, &[indices]);
    assert_eq!(covered(indices, &kept), 0.0);
    for rect in identity {
        assert!(covered(rect, &kept) > 0.95, "{rect:?} of {kept:?}");
    }
}

#[test]
fn names_burnt_into_a_ct_are_proposed_and_a_picture_without_text_is_left_nearly_alone() {
    if let Some(still) = still("phi_burned_ct_2.dcm") {
        let all = proposed(&still, &[]);
        for rect in [[0, 0, 231, 13], [4, 14, 112, 13]] {
            assert_eq!(covered(rect, &all), 1.0, "{rect:?} of {all:?}");
        }
        assert!(covered([0, 0, 394, 552], &all) < 0.1, "{all:?}");
    }
    // Its identity is in the header only.
    if let Some(still) = still("phi_header_petct_rgb.dcm") {
        let all = proposed(&still, &[]);
        assert!(covered([0, 0, 512, 512], &all) < 0.1, "{all:?}");
    }
}
