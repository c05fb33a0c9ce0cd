use super::*;
use crate::mask::{MaskConfig, Masking};
use crate::picture::NEUTRAL_CHROMA;

const INDEX: usize = 0;

fn at(k: u64) -> CaptureTime {
    CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_nanos(k * 33_333_333))
}

/// Textured tissue moved by (dx, dy) pixels of 640.
fn picture(dx: f64, dy: f64) -> Arc<Picture> {
    let mut picture = Picture::black(Geometry::new(640, 360).expect("even"));
    let [(luma, stride), ..] = picture.planes_mut().expect("own");
    for (i, p) in luma.iter_mut().enumerate() {
        let (x, y) = ((i % stride) as f64 - dx, (i / stride) as f64 - dy);
        let v = (x * 0.31 + 1.7 * (y * 0.11).sin()).sin() * (y * 0.27 + 2.1 * (x * 0.07).sin()).cos();
        *p = (110.0 + 45.0 * v + 25.0 * (x * 0.05 + y * 0.13).sin()) as u8;
    }
    if let Some([_, _, (v, _)]) = picture.planes_mut() {
        v.fill(150);
    }
    Arc::new(picture)
}

/// Always the same picture.
fn calm() -> Arc<Picture> {
    static CALM: std::sync::OnceLock<Arc<Picture>> = std::sync::OnceLock::new();
    CALM.get_or_init(|| picture(0.0, 0.0)).clone()
}

fn host() -> Host {
    let mut host = Host::default();
    host.begin_feed(INDEX, FeedId::parse("field").expect("an id"), false);
    host
}

fn anchor(number: u32, capture: CaptureTime) -> Anchor {
    let x: Vec<i32> = (0..12).map(|i| 8_000 + i * 60).collect();
    Anchor {
        stroke: Some(StrokeKey { author: 1, epoch: 1, number }),
        feed: "field".into(),
        capture: capture.0,
        y: vec![4_600; x.len()],
        x,
        width: 40,
        ..Anchor::default()
    }
}

fn xform(out: &[Output]) -> Option<&XformFrame> {
    out.iter().rev().find_map(|o| if let Output::Xform(x) = o { Some(x) } else { None })
}

fn sway(k: u64) -> (f64, f64) {
    (12.0 * (k as f64 * 0.08).sin(), 6.0 * (k as f64 * 0.05).cos())
}

#[test]
fn ink_drawn_on_a_past_frame_lies_on_its_tissue_in_every_later_one() {
    let mut host = host();
    let show = |host: &mut Host, k: u64| host.handle_frame(INDEX, at(k), &picture(sway(k).0, sway(k).1));
    (0..30).for_each(|k| assert!(xform(&show(&mut host, k)).is_none()));
    let drawn = 18;
    let out = host.handle_anchor(&anchor(1, at(drawn).saturating_add(Duration::from_millis(3))));
    let job = out.iter().find_map(|o| if let Output::Still(job) = o { Some(job) } else { None }).expect("a still");
    assert_eq!(
        (job.capture, job.id.as_str()),
        (at(drawn), still_id(&FeedId::parse("field").expect("an id"), at(drawn)).as_str())
    );
    assert!(xform(&out).is_some(), "at once, for the newest frame");
    let id = job.id.clone();
    for k in 30..90 {
        let out = show(&mut host, k);
        let x = xform(&out).expect("an anchor is there");
        assert_eq!((x.feed.as_str(), x.capture, x.anchors.len()), ("field", at(k).0, 1));
        let a = &x.anchors[0];
        assert_eq!(a.state(), TrackState::Tracked, "frame {k}");
        assert_eq!(a.still, if k < 60 { "" } else { &id }, "named once it may be fetched");
        let units = 16_384.0 / 640.0;
        let want = ((sway(k).0 - sway(drawn).0) * units, (sway(k).1 - sway(drawn).1) * units);
        let (px, py) = (8_300.0f64, 4_600.0f64);
        let got = (
            f64::from(a.a) * px - f64::from(a.b) * py + f64::from(a.tx),
            f64::from(a.b) * px + f64::from(a.a) * py + f64::from(a.ty),
        );
        let off = (got.0 - px - want.0).hypot(got.1 - py - want.1) / 16_384.0 * 1_920.0;
        assert!(off < 3.0, "frame {k}: {off} px at 1080p");
        if k == 59 {
            host.handle_still_sent(id.clone());
        }
    }
    host.handle_anchor(&Anchor { feed: String::new(), gone: true, ..anchor(1, at(0)) });
    assert!(xform(&show(&mut host, 90)).is_none(), "gone ink is followed no more");
}

#[test]
fn an_anchor_that_comes_before_its_frame_waits_for_it() {
    let mut host = host();
    (0..10).for_each(|k| drop(host.handle_frame(INDEX, at(k), &calm())));
    assert!(host.handle_anchor(&anchor(1, at(11))).is_empty());
    host.handle_anchor(&anchor(2, at(11)));
    host.handle_anchor(&Anchor { gone: true, feed: String::new(), ..anchor(2, at(11)) });
    assert!(host.handle_frame(INDEX, at(10), &calm()).is_empty());
    let out = host.handle_frame(INDEX, at(11), &calm());
    let frame = xform(&out).expect("its frame is there");
    assert_eq!((frame.capture, frame.anchors.len(), frame.anchors[0].strokes[0].number), (at(11).0, 1, 1));
}

#[test]
fn a_frame_there_was_no_time_for_can_be_drawn_on_and_those_after_it_are_tracked() {
    let mut host = host();
    for k in 0..20 {
        let (dx, dy) = sway(k);
        if k % 4 == 3 {
            host.handle_frame(INDEX, at(k), &picture(dx, dy));
        } else {
            host.keep_frame(INDEX, at(k), &picture(dx, dy));
        }
    }
    let out = host.handle_anchor(&anchor(1, at(17)));
    assert!(out.iter().any(|o| matches!(o, Output::Still(job) if job.capture == at(17))));
    for k in [23, 27, 31] {
        let out = host.handle_frame(INDEX, at(k), &picture(sway(k).0, sway(k).1));
        assert_eq!(xform(&out).expect("an anchor is there").anchors[0].state(), TrackState::Tracked, "frame {k}");
    }
    assert_eq!(host.states(INDEX).collect::<Vec<_>>(), [TrackState::Tracked]);
}

#[test]
fn of_a_frame_that_was_only_kept_nothing_is_said_but_where_the_newest_ink_lies() {
    let mut host = host();
    let show = |host: &mut Host, k: u64| drop(host.handle_frame(INDEX, at(k), &picture(sway(k).0, sway(k).1)));
    (0..10).for_each(|k| show(&mut host, k));
    host.handle_anchor(&anchor(1, at(8)));
    show(&mut host, 10);
    for k in 11..14 {
        host.keep_frame(INDEX, at(k), &picture(sway(k).0, sway(k).1));
    }
    // The first was looked for in frame 10 last, and lies elsewhere by now.
    let out = host.handle_anchor(&anchor(2, at(9)));
    let frame = xform(&out).expect("the new one is told of");
    assert_eq!((frame.capture, frame.anchors.iter().map(|a| a.strokes[0].number).collect::<Vec<_>>()), (at(13).0, vec![2]));
}

#[test]
fn a_feed_that_stops_loses_its_ink_at_once_and_says_so_once() {
    let mut host = host();
    (0..10).for_each(|k| drop(host.handle_frame(INDEX, at(k), &calm())));
    host.handle_anchor(&anchor(1, at(8)));
    let out = host.handle_down(INDEX);
    assert_eq!(xform(&out).expect("told").anchors[0].state(), TrackState::Lost);
    assert!(host.handle_down(INDEX).is_empty());
}

#[test]
fn ink_on_a_frame_that_is_gone_or_of_a_feed_that_is_not_there_is_lost_or_unknown() {
    let mut host = host();
    (0..400).for_each(|k| drop(host.handle_frame(INDEX, at(k), &calm())));
    host.handle_anchor(&anchor(1, at(3)));
    let out = host.handle_frame(INDEX, at(400), &calm());
    assert_eq!(xform(&out).expect("named").anchors[0].state(), TrackState::Lost);
    host.handle_anchor(&Anchor { feed: "vitals".into(), ..anchor(2, at(399)) });
    assert_eq!(host.unknown, 2);
    for number in 10..200 {
        host.handle_anchor(&anchor(number, at(399)));
    }
    let out = host.handle_frame(INDEX, at(401), &calm());
    let states: Vec<TrackState> = xform(&out).expect("named").anchors.iter().map(AnchorXform::state).collect();
    assert_eq!(states.iter().filter(|s| **s == TrackState::Tracked).count(), tracker::feed::ANCHORS_MAX);
    assert_eq!(states.len(), tracker::feed::ANCHORS_MAX + REFUSED_MAX);
}

#[test]
fn a_stroke_drawn_over_moving_tissue_is_put_back_onto_its_own_frame() {
    let mut host = host();
    let show = |host: &mut Host, k: u64| drop(host.handle_frame(INDEX, at(k), &picture(sway(k).0, sway(k).1)));
    (0..20).for_each(|k| show(&mut host, k));
    host.handle_anchor(&anchor(1, at(19)));
    (20..50).for_each(|k| show(&mut host, k));
    let spans = [(0, 19), (4, 30), (8, 41)].map(|(first, k)| FrameSpan { first, capture: at(k).0 });
    let out = host.handle_anchor(&Anchor { committed: true, spans: spans.to_vec(), ..anchor(1, at(19)) });
    let rebase = out.iter().find_map(|o| if let Output::Rebased(r) = o { r.rebase.clone() } else { None }).expect("a rebase");
    assert_eq!(rebase.spans.iter().map(|s| s.first).collect::<Vec<_>>(), [0, 4, 8]);
    for (s, k) in rebase.spans.iter().zip([19, 30, 41]) {
        let units = 16_384.0 / 640.0;
        let want = ((sway(19).0 - sway(k).0) * units, (sway(19).1 - sway(k).1) * units);
        let (px, py) = (8_300.0f64, 4_600.0f64);
        let got = (
            f64::from(s.a) * px - f64::from(s.b) * py + f64::from(s.tx),
            f64::from(s.b) * px + f64::from(s.a) * py + f64::from(s.ty),
        );
        let off = (got.0 - px - want.0).hypot(got.1 - py - want.1) / 16_384.0 * 1_920.0;
        assert!(off < 3.0, "span drawn on frame {k}: {off} px at 1080p");
    }
    let again = host.handle_anchor(&Anchor { committed: true, spans: spans.to_vec(), ..anchor(1, at(19)) });
    assert!(!again.iter().any(|o| matches!(o, Output::Rebased(_))), "once");
}

#[test]
fn of_a_long_stroke_only_what_was_drawn_on_a_later_frame_is_moved_as_that() {
    let (own, late) = ((0, 0.0), (190, 500.0));
    let spans = [own, late].map(|(first, tx)| WireSimilarity { first, a: 1.0, b: 0.0, tx, ty: 0.0 });
    let told: Vec<(i32, i32)> = (0..64).map(|i| (i * 199 / 63, 0)).collect();
    let mut ink = told.clone();
    moved(&mut ink, &spans, 200);
    for (was, is) in told.iter().zip(&ink) {
        assert_eq!(is.0 - was.0, if was.0 >= 190 { 500 } else { 0 }, "point {}", was.0);
    }
    for points in [0, 3, u32::MAX] {
        moved(&mut ink.clone(), &spans, points);
        moved(&mut [], &spans, points);
    }
}

#[test]
fn a_still_is_handed_out_while_its_frame_is_kept() {
    let mut host = host();
    (0..100).for_each(|k| drop(host.handle_frame(INDEX, at(k), &calm())));
    let wanted = |t: CaptureTime| StillWanted { feed: "field".into(), capture: t.0 };
    assert_eq!(host.handle_still_wanted(&wanted(CaptureTime::UNKNOWN)).map(|j| j.capture), Some(at(99)));
    assert_eq!(host.handle_still_wanted(&wanted(at(90))).map(|j| j.capture), Some(at(90)));
    assert!(host.handle_still_wanted(&StillWanted { feed: "vitals".into(), capture: 0 }).is_none());
    host.handle_anchor(&anchor(1, at(95)));
    (100..200).for_each(|k| drop(host.handle_frame(INDEX, at(k), &calm())));
    let between = at(95).saturating_add(Duration::from_millis(3));
    let near = host.handle_still_wanted(&wanted(between)).expect("the frame before it");
    assert!(near.capture == at(95) && !is_grey(&near), "what is kept whole is never given grey");
    (200..300).for_each(|k| drop(host.handle_frame(INDEX, at(k), &calm())));
    let job = host.handle_still_wanted(&wanted(at(95))).expect("pinned");
    assert_eq!((job.capture, job.picture.geometry(), is_grey(&job)), (at(95), calm().geometry(), false));
    assert!(host.handle_still_wanted(&wanted(at(94))).is_none(), "out of both rings");
}

fn is_grey(job: &StillJob) -> bool {
    [1, 2].iter().all(|n| job.picture.plane(*n).data.iter().all(|c| *c == NEUTRAL_CHROMA))
}

/// Luma of a picture's place, in shares of its sides.
fn luma(picture: &Picture, (x, y): (f64, f64)) -> u8 {
    let (plane, g) = (picture.plane(0), picture.geometry());
    plane.data[(y * g.height as f64) as usize * plane.stride + (x * g.width as f64) as usize]
}

#[test]
fn of_a_mark_that_comes_when_the_whole_frame_is_gone_the_still_is_without_colour_and_of_the_same_name_and_shape() {
    let mut host = host();
    let bright = |dx: f64| {
        let mut picture = Picture::black(calm().geometry());
        picture.copy_from(&calm());
        let [(rows, stride), ..] = picture.planes_mut().expect("own");
        let from = (dx * stride as f64) as usize;
        (100..200).for_each(|y| rows[y * stride + from..y * stride + from + 64].fill(200));
        Arc::new(picture)
    };
    (0..100).for_each(|k| drop(host.handle_frame(INDEX, at(k), &bright(if k == 20 { 0.5 } else { 0.1 }))));
    let field = FeedId::parse("field").expect("an id");
    let out = host.handle_anchor(&anchor(1, at(20)));
    let job = out.iter().find_map(|o| if let Output::Still(job) = o { Some(job) } else { None }).expect("a still");
    assert_eq!((job.id.as_str(), job.capture, job.run), (still_id(&field, at(20)).as_str(), at(20), false));
    assert_eq!((Some(job.picture.geometry()), job.shape), (Geometry::new(480, 270), calm().geometry()));
    assert!(is_grey(job) && luma(&job.picture, (0.55, 0.4)) == 200 && luma(&job.picture, (0.15, 0.4)) != 200, "that very frame");
    assert!(!host.handle_anchor(&anchor(2, at(20))).iter().any(|o| matches!(o, Output::Still(_))), "once");
    // Whoever asks by the frame gets what is left of it, and of what was drawn on for as long as it is pinned.
    let wanted = |k: u64| StillWanted { feed: "field".into(), capture: at(k).0 };
    assert!(host.handle_still_wanted(&wanted(30)).is_some_and(|job| job.capture == at(30) && is_grey(&job)));
    assert!(host.handle_still_wanted(&wanted(99)).is_some_and(|job| !is_grey(&job)), "whole as long as it is there");
    (100..400).for_each(|k| host.keep_frame(INDEX, at(k), &calm()));
    assert!(host.handle_still_wanted(&wanted(20)).is_some_and(|job| is_grey(&job) && job.shape == calm().geometry()));
    assert!(host.handle_still_wanted(&wanted(30)).is_none());
}

#[test]
fn a_grey_still_has_its_mask_and_is_gone_with_the_curtain_and_with_the_timeline() {
    let mask = MaskConfig {
        feed: FeedId::parse("field").expect("an id"),
        published: false,
        size: [640, 360],
        rects: vec![[320, 0, 320, 180]],
        polygons: vec![],
        keep: vec![],
    };
    let mut masking = Masking::of(&mask.feed, std::slice::from_ref(&mask)).expect("there is one");
    let masked = masking.apply(calm(), (640, 360)).expect("the mask is certain");
    let mut host = host();
    let wanted = StillWanted { feed: "field".into(), capture: at(20).0 };
    let fill = |host: &mut Host, from: u64| (from..from + 100).for_each(|k| host.keep_frame(INDEX, at(k), &masked));
    fill(&mut host, 0);
    let job = host.handle_still_wanted(&wanted).expect("its luma is there");
    let within = |picture: &Picture| {
        (1..99)
            .flat_map(|x| (0..49).map(move |y| (0.5 + f64::from(x) / 200.0, f64::from(y) / 100.0)))
            .all(|p| luma(picture, p) == luma(picture, (0.75, 0.25)))
    };
    assert!(is_grey(&job) && within(&job.picture) && !within(&calm()), "nothing but the mask");
    assert_eq!(luma(&job.picture, (0.75, 0.25)), luma(&masked, (0.75, 0.25)));
    // The curtain: the feed is let go of. When it is back, nothing of before is.
    host.end_feeds(|_| false);
    assert!(host.handle_still_wanted(&wanted).is_none());
    host.begin_feed(INDEX, mask.feed.clone(), false);
    host.keep_frame(INDEX, at(100), &masked);
    assert!(host.handle_still_wanted(&wanted).is_none());
    assert!(!host.handle_anchor(&anchor(1, at(20))).iter().any(|o| matches!(o, Output::Still(_))));
    fill(&mut host, 101);
    host.begin_generation();
    assert!(host.handle_still_wanted(&StillWanted { capture: at(110).0, ..wanted }).is_none());
}

#[test]
fn each_run_leaves_one_still_and_a_new_server_is_given_them_again_the_newest_first() {
    let mut host = host();
    let still = |o: &Output| if let Output::Still(job) = o { Some((job.capture, job.run)) } else { None };
    let first = host.handle_held(INDEX, at(5), &calm()).as_ref().and_then(still);
    assert_eq!(first, Some((at(5), true)));
    assert!(host.handle_held(INDEX, at(5), &calm()).is_none(), "the same run");
    for run in 2..=9 {
        assert!(host.handle_held(INDEX, at(run * 100), &calm()).is_some());
    }
    let again: Vec<_> = host.handle_link_up().iter().filter_map(still).collect();
    assert_eq!(again.len(), RUNS_MAX);
    assert_eq!((again[0], again[RUNS_MAX - 1]), ((at(900), true), (at(400), true)));
    let wanted = StillWanted { feed: "field".into(), capture: at(500).0 };
    assert_eq!(host.handle_still_wanted(&wanted).map(|job| job.capture), Some(at(500)), "long out of the ring");
    host.begin_generation();
    assert!(host.handle_link_up().is_empty(), "times of another timeline say nothing");
}

#[test]
fn a_frame_of_the_looping_run_can_be_had_until_the_next_run() {
    let mut host = host();
    // It loops: times go back, and some pictures are missed on the first way.
    for k in [1, 2, 4, 5, 1, 2, 3, 4, 5] {
        host.handle_looped(INDEX, at(k), &calm());
    }
    let wanted = |k: u64| StillWanted { feed: "field".into(), capture: at(k).0 };
    assert!((1..=5).all(|k| host.handle_still_wanted(&wanted(k)).is_some_and(|job| job.capture == at(k))));
    host.handle_looped(INDEX, at(100), &calm());
    assert!(host.handle_still_wanted(&wanted(3)).is_none(), "another run plays");
    assert!(host.handle_still_wanted(&wanted(100)).is_some());
}
