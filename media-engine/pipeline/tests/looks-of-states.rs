//! What a person sees of each state in the composed picture, against images that people looked at.
//! `UPDATE_GOLDEN=1` writes them anew, and fails once.

mod golden;

use link::frame::{FeedState, Sync};
use pipeline::feed::{SourceConfig, prepare};
use pipeline::picture::{Geometry, PicturePool};
use pipeline::program::compositor;
use pipeline::program::layout::PixelRect;

#[test]
fn each_state_has_a_look_of_its_own() {
    gstreamer::init().expect("GStreamer is installed");
    let size = Geometry::new(320, 320).expect("even");
    let mut source = prepare(&SourceConfig::SyntheticFluoro { rest_s: 0 }, None).expect("generated").fit(size).expect("fits");
    let picture = source.picture(50).expect("a picture");
    let mut pool = PicturePool::new(Geometry::new(360, 340).expect("even"));
    let states = [
        ("live", FeedState::Live),
        ("not-synchronised", FeedState::Live),
        ("stale", FeedState::Stale),
        ("lost", FeedState::Lost),
        ("xray-off", FeedState::XrayOff),
        ("looping", FeedState::Looping),
        ("curtain", FeedState::Curtain),
        ("mask-unknown", FeedState::MaskUnknown),
    ];
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for (name, state) in states {
        let rect = PixelRect { x: 20, y: 10, w: 320, h: 320 };
        let composed = pool.draw(|canvas| {
            compositor::clear(canvas);
            compositor::blit(canvas, &picture, rect);
            compositor::mark(canvas, rect, state);
            compositor::mark_sync(canvas, rect, if name == "not-synchronised" { Sync::Off } else { Sync::Unspecified });
        });
        golden::assert_looks_like(&format!("state-{name}"), &composed);
        let bytes = composed.bytes().expect("own").to_vec();
        assert!(!seen.contains(&bytes), "{name} looks like another state");
        seen.push(bytes);
    }
    golden::finish();
}

#[test]
fn a_mark_stays_inside_its_rectangle() {
    let mut pool = PicturePool::new(Geometry::new(320, 200).expect("even"));
    let states = [
        FeedState::Live,
        FeedState::Stale,
        FeedState::Lost,
        FeedState::XrayOff,
        FeedState::Looping,
        FeedState::Curtain,
        FeedState::MaskUnknown,
    ];
    for state in states {
        let rect = PixelRect { x: 100, y: 40, w: 120, h: 110 };
        let composed = pool.draw(|canvas| {
            compositor::clear(canvas);
            compositor::mark(canvas, rect, state);
            compositor::mark_sync(canvas, rect, if state == FeedState::Live { Sync::Unknown } else { Sync::Unspecified });
        });
        for (n, half) in [(0, 0), (1, 1), (2, 1)] {
            let plane = composed.plane(n);
            let empty = if n == 0 { 16 } else { 128 };
            for y in 0..200 >> half {
                for x in 0..320 >> half {
                    let inside = (rect.x >> half..(rect.x + rect.w) >> half).contains(&x)
                        && (rect.y >> half..(rect.y + rect.h) >> half).contains(&y);
                    assert!(inside || plane.data[y * plane.stride + x] == empty, "{state:?} at {x},{y} of plane {n}");
                }
            }
        }
    }
}
