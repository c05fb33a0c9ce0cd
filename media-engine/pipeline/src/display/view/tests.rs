use super::*;
use annotation::wire::{ClearAll, InkOff, Op, StrokeCommit, StrokeKey, Undo};

const RECT: PixelRect = PixelRect { x: 0, y: 44, w: 640, h: 360 };

fn at(ms: u64) -> CaptureTime {
    CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_millis(ms))
}

fn frame_ref(ms: u64, surface: Surface) -> FrameRef {
    FrameRef { feed: "field".into(), capture: at(ms).0, program: "program".into(), surface: surface.into(), ..Default::default() }
}

fn line() -> annotation::wire::Points {
    points::encode(&[Point { x: 1_000, y: 1_000, pressure: 255 }, Point { x: 8_000, y: 1_000, pressure: 255 }])
}

fn stroke(number: u32, ms: u64, surface: Surface) -> Body {
    Body::Stroke(StrokeCommit {
        key: Some(StrokeKey { author: 2, epoch: 7, number }),
        tool: Tool::Line.into(),
        width: 40,
        frame: Some(frame_ref(ms, surface)),
        began: at(ms).0,
        points: Some(line()),
        ..Default::default()
    })
}

fn live(number: u32, ms: u64) -> LiveStroke {
    LiveStroke {
        key: Some(StrokeKey { author: 2, epoch: 7, number }),
        tool: Tool::Pen.into(),
        width: 40,
        frame: Some(frame_ref(ms, Surface::Live)),
        began: at(ms).0,
        points: Some(line()),
        ..Default::default()
    }
}

fn ordered(order: u64, ms: u64, body: Body) -> OrderedOp {
    let op = Op { author: 2, epoch: 7, seq: order as u32, at: at(ms).0, body: Some(body) };
    OrderedOp { order, received: at(ms).0, op: Some(op) }
}

fn packet(change: impl FnOnce(&mut InkPacket)) -> Vec<u8> {
    let mut packet = InkPacket { version: INK_VERSION, ..Default::default() };
    change(&mut packet);
    packet.encode_to_vec()
}

fn shown(ms: u64, state: FeedState) -> Surfaced {
    Surfaced { feed: "field".into(), capture: at(ms), state, geometry: 0, rect: RECT, front: vec![] }
}

/// With the snapshot of an empty case.
fn view() -> InkView {
    let mut view = InkView::default();
    let empty = Snapshot { version: INK_VERSION, last: true, ..Default::default() };
    view.handle_snapshot(&empty.encode_to_vec(), at(0)).expect("reads");
    view
}

fn with_stroke(surface: Surface) -> InkView {
    let mut view = view();
    let bytes = packet(|p| p.ordered = vec![ordered(1, 10, stroke(1, 10, surface))]);
    let heard = view.handle_packet(&bytes, at(20)).expect("reads");
    assert_eq!(heard.map(|h| h.have_order), Some(1), "what it has is said");
    view
}

fn seen(view: &mut InkView, ms: u64, state: FeedState) -> Vec<bool> {
    view.scene(&[shown(ms, state)], at(ms)).0.iter().map(|m| m.look.unsure).collect()
}

fn xform(ms: u64, state: annotation::wire::TrackState) -> XformFrame {
    let strokes = vec![StrokeKey { author: 2, epoch: 7, number: 1 }];
    let anchor = annotation::wire::AnchorXform { strokes, state: state.into(), a: 1.0, tx: 400.0, ..Default::default() };
    XformFrame { feed: "field".into(), capture: at(ms).0, anchors: vec![anchor] }
}

#[test]
fn followed_ink_moves_doubted_ink_has_gaps_and_lost_ink_leaves() {
    use annotation::wire::TrackState::{Lost, Tracked, Unsure};
    let mut view = with_stroke(Surface::Live);
    assert_eq!(seen(&mut view, 10, FeedState::Live), [false], "the very frame");
    assert_eq!(seen(&mut view, 50, FeedState::Live), [true], "just drawn, and not named yet");
    view.handle_xform(&xform(600, Tracked));
    let marks = view.scene(&[shown(600, FeedState::Live)], at(600)).0;
    assert_eq!((marks[0].moved.tx, marks[0].look.unsure), (400.0, false));
    view.handle_xform(&xform(633, Unsure));
    assert_eq!(seen(&mut view, 633, FeedState::Live), [true]);
    view.handle_xform(&xform(666, Lost));
    assert!(seen(&mut view, 666, FeedState::Live).is_empty());
}

#[test]
fn what_stands_on_no_picture_is_on_the_frame_it_was_drawn_on_the_newest_two_frames() {
    use annotation::wire::TrackState::Lost;
    let mut view = with_stroke(Surface::Live);
    let lost = |view: &mut InkView, state| view.scene(&[shown(700, state)], at(700)).1;
    view.handle_xform(&xform(700, Lost));
    let first = lost(&mut view, FeedState::Live);
    assert_eq!((first.len(), first[0].marks.len(), first[0].capture, first[0].feed.as_str()), (1, 1, at(10), "field"));
    assert_eq!(first[0].still, still_id(&annotation::id::FeedId::parse("field").expect("an id"), at(10)));
    assert_eq!(first[0].marks[0].moved, Similarity::IDENTITY, "as it was drawn");
    let mut named = xform(700, Lost);
    named.anchors[0].still = "field-7".into();
    view.handle_xform(&named);
    assert_eq!(lost(&mut view, FeedState::Live)[0].still, "field-7", "the tracker's frame");
    assert_eq!(lost(&mut view, FeedState::Lost).len(), 1, "it is of its own time");
    for hidden in [FeedState::Curtain, FeedState::MaskUnknown] {
        assert!(lost(&mut view, hidden).is_empty(), "{hidden:?}");
    }
    // A measure is true in its own frame alone; a mark on a still is on a picture of its own.
    for (n, surface) in [(2, Surface::Live), (3, Surface::Live), (4, Surface::Still)] {
        let Body::Stroke(mut s) = stroke(n, 20 * u64::from(n), surface) else { continue };
        s.tool = Tool::Measure.into();
        let one = packet(|p| p.ordered = vec![ordered(u64::from(n), 200, Body::Stroke(s.clone()))]);
        view.handle_packet(&one, at(200)).expect("reads");
    }
    let all = lost(&mut view, FeedState::Live);
    assert_eq!(all.iter().map(|l| l.capture).collect::<Vec<_>>(), [at(60), at(40)]);
}

#[test]
fn a_mark_whose_picture_is_not_here_is_words_and_whose_it_is_never_ink_on_black() {
    use crate::display::insets::{Insets, Pinned};
    use crate::display::letters::Letters;
    use crate::display::words::{Language, Words};
    use crate::picture::{Geometry, Picture};
    gstreamer::init().expect("GStreamer is installed");
    let mut view = with_stroke(Surface::Live);
    let author = InkAuthor { author: 2, texture: 1, family_ja: "山田".into(), family_en: "Yamada".into() };
    view.handle_authors(InkAuthors { authors: vec![author] });
    view.handle_xform(&xform(700, annotation::wire::TrackState::Lost));
    let lost = view.scene(&[shown(700, FeedState::Live)], at(700)).1;
    assert_eq!(lost[0].names, [("山田".to_owned(), "Yamada".to_owned())]);
    let (letters, mut insets, mut pinned) = (Letters::new(None), Insets::default(), Pinned::default());
    let mut paint = |lost: &[Lost], pinned: &Pinned, language, ms| {
        let tiles = insets.paint(lost, &[shown(700, FeedState::Live)], pinned, (1_280, at(ms)), &letters, Words::new(language));
        let mut canvas = Picture::black(Geometry::new(640, 480).expect("even"));
        assert_eq!(tiles.len(), 1);
        tiles.iter().for_each(|tile| tile.lay_over(&mut canvas));
        canvas
    };
    // The author's colour has little red, amber and white have more; amber is darker than white.
    let ink = |picture: &Picture| picture.plane(2).data.iter().filter(|v| **v < 100).count();
    let letters_in = |picture: &Picture| picture.plane(0).data.iter().filter(|y| **y > 200).count();
    let bright = |picture: &Picture| picture.plane(0).data.iter().filter(|y| **y > 60).count();
    let nobody: Vec<Lost> = lost.iter().cloned().map(|one| Lost { names: Vec::new(), ..one }).collect();
    for language in [Language::Ja, Language::En] {
        for ms in [700, 60_700] {
            let words = paint(&lost, &pinned, language, ms);
            let unnamed = paint(&nobody, &pinned, language, ms);
            assert_eq!((ink(&words), ink(&unnamed)), (0, 0));
            assert!(letters_in(&unnamed) > 100, "words");
            assert!(letters_in(&words) > letters_in(&unnamed), "and whose it is, {language:?}");
        }
    }
    let words = paint(&lost, &pinned, Language::En, 60_700);
    let mut frame = Picture::black(Geometry::new(640, 360).expect("even"));
    if let Some([(luma, _), ..]) = frame.planes_mut() {
        luma.fill(90);
    }
    let (picture, shape) = (Arc::new(frame), Geometry::new(640, 360).expect("even"));
    let (id, feed, capture) = (lost[0].still.clone(), "field".to_owned(), at(10));
    pinned.handle(&crate::tracker::host::StillJob { id, feed, capture, picture, shape, run: false });
    let there = paint(&lost, &pinned, Language::En, 60_700);
    assert!(ink(&there) > 0 && bright(&there) > 2 * bright(&words), "the mark, on its picture");
}

#[test]
fn pointers_stand_on_pictures_that_take_ink_with_their_authors_look() {
    let mut view = view();
    let author = InkAuthor { author: 2, texture: 2, family_ja: "山田".into(), family_en: "Yamada".into() };
    view.handle_authors(InkAuthors { authors: vec![author] });
    let pointer = InkPointer { author: 2, feed: "field".into(), x: 800, y: 400, shown: true, number: 1, at: at(50).0 };
    view.handle_pointer(pointer, at(52));
    let rings = view.rings(&[shown(60, FeedState::Live)], at(60));
    assert_eq!(rings.len(), 1);
    assert_eq!((rings[0].at, rings[0].texture, rings[0].name.1.as_str()), ((800, 400), Texture::B, "Yamada"));
    assert!(view.rings(&[shown(60, FeedState::Stale)], at(60)).is_empty());
    assert!(view.rings(&[shown(60, FeedState::Live)], at(1_050)).is_empty());
}

#[test]
fn an29_under_a_pen_that_is_down_lost_ink_stays_where_it_was_last_known_until_the_pen_lifts() {
    use annotation::wire::TrackState::{Lost, Tracked};
    let mut view = view();
    view.handle_packet(&packet(|p| p.live = vec![live(1, 10)]), at(11)).expect("reads");
    view.handle_xform(&xform(600, Tracked));
    assert_eq!(seen(&mut view, 600, FeedState::Live), [false]);
    view.handle_xform(&xform(633, Lost));
    let marks = view.scene(&[shown(633, FeedState::Live)], at(633)).0;
    assert_eq!((marks[0].moved.tx, marks[0].look.unsure), (400.0, true));
    let other = Surfaced { geometry: 5, ..shown(633, FeedState::Live) };
    assert_eq!(view.scene(&[other], at(633)).0.len(), 1, "a stroke that names no shape");
    assert!(seen(&mut view, 633, FeedState::Stale).is_empty(), "a late picture has no ink at all");
    let lifted = packet(|p| p.ordered = vec![ordered(1, 640, stroke(1, 10, Surface::Live))]);
    view.handle_packet(&lifted, at(640)).expect("reads");
    assert!(seen(&mut view, 633, FeedState::Live).is_empty());
}

#[test]
fn there_is_no_ink_on_a_picture_that_is_late_lost_covered_or_unmasked() {
    let mut view = with_stroke(Surface::Live);
    for state in [FeedState::Stale, FeedState::Lost, FeedState::Curtain, FeedState::MaskUnknown, FeedState::Unspecified] {
        assert!(seen(&mut view, 50, state).is_empty(), "{state:?}");
    }
    assert_eq!(seen(&mut view, 50, FeedState::Live).len(), 1);
}

#[test]
fn ink_on_a_held_image_stands_on_that_image_alone() {
    let mut view = with_stroke(Surface::Held);
    assert_eq!(view.scene(&[shown(10, FeedState::XrayOff)], at(9_000)).0.len(), 1);
    assert!(view.scene(&[shown(9_000, FeedState::Live)], at(9_000)).0.is_empty(), "X-ray has resumed");
    let other = Surfaced { geometry: 5, ..shown(10, FeedState::XrayOff) };
    assert_eq!(view.scene(&[other], at(9_000)).0.len(), 1, "a stroke that names no shape stands on each");
}

#[test]
fn clear_ink_off_and_undo_act_at_once_and_also_on_what_comes_later() {
    let mut view = with_stroke(Surface::Live);
    view.handle_packet(&packet(|p| p.clears = vec![ClearAll { up_to: at(40).0 }]), at(41)).expect("reads");
    assert!(seen(&mut view, 50, FeedState::Live).is_empty(), "before it is in the log");
    view.handle_packet(&packet(|p| p.live = vec![live(2, 39)]), at(42)).expect("reads");
    assert!(seen(&mut view, 50, FeedState::Live).is_empty(), "begun before the press");
    let bytes = packet(|p| p.live = vec![live(3, 45)]);
    let heard = view.handle_packet(&bytes, at(46)).expect("reads").expect("there are points to confirm");
    assert_eq!(heard.live_acks.iter().map(|a| a.have).collect::<Vec<_>>(), [2]);
    assert_eq!(seen(&mut view, 50, FeedState::Live).len(), 1);
    view.handle_packet(&packet(|p| p.ink_off_now = Some(true)), at(47)).expect("reads");
    assert!(view.is_off() && seen(&mut view, 50, FeedState::Live).is_empty());
    view.handle_packet(&packet(|p| p.ordered = vec![ordered(2, 48, Body::InkOff(InkOff { off: false }))]), at(48))
        .expect("reads");
    assert_eq!(seen(&mut view, 50, FeedState::Live).len(), 1);
    let undo = Body::Undo(Undo { stroke: Some(StrokeKey { author: 2, epoch: 7, number: 3 }) });
    view.handle_packet(&packet(|p| p.ordered = vec![ordered(3, 49, undo)]), at(49)).expect("reads");
    assert!(seen(&mut view, 50, FeedState::Live).is_empty());
}

#[test]
fn ops_out_of_order_wait_and_nothing_shows_before_the_snapshot_is_whole() {
    let mut view = InkView::default();
    let two = packet(|p| p.ordered = vec![ordered(2, 12, stroke(2, 12, Surface::Live))]);
    assert_eq!(view.handle_packet(&two, at(12)), Ok(None));
    let piece = |last, ops| Snapshot { version: INK_VERSION, ops, up_to: u64::from(last), last }.encode_to_vec();
    view.handle_snapshot(&piece(false, vec![ordered(1, 10, stroke(1, 10, Surface::Live))]), at(20)).expect("reads");
    assert!(seen(&mut view, 50, FeedState::Live).is_empty());
    view.handle_snapshot(&piece(true, vec![]), at(20)).expect("reads");
    assert_eq!(seen(&mut view, 50, FeedState::Live).len(), 2);
    assert!(view.handle_packet(&[0xFF; 9], at(21)).is_err());
    assert_eq!(view.handle_packet(&packet(|p| p.version = 9), at(21)), Err(InkFault::Version(9)));
    view.handle_over();
    assert!(seen(&mut view, 50, FeedState::Live).is_empty());
}

#[test]
fn a_name_stands_beside_the_first_stroke_for_three_seconds() {
    let mut view = with_stroke(Surface::Live);
    let author = InkAuthor { author: 2, texture: 2, family_ja: "山田".into(), family_en: "Yamada".into() };
    view.handle_authors(InkAuthors { authors: vec![author] });
    view.handle_xform(&xform(3_100, annotation::wire::TrackState::Tracked));
    let name = |view: &mut InkView, ms| view.scene(&[shown(ms, FeedState::Live)], at(ms)).0[0].look.name.1.clone();
    assert_eq!((name(&mut view, 50), name(&mut view, 3_110)), ("Yamada".into(), String::new()));
    assert_eq!(view.scene(&[shown(50, FeedState::Live)], at(50)).0[0].look.texture, Texture::B);
}

#[test]
fn whatever_a_server_says_is_read_or_refused() {
    use rand::{Rng, SeedableRng};
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(4);
    fuzz(&[]);
    let good = packet(|p| {
        p.ordered = vec![ordered(1, 10, stroke(1, 10, Surface::Live))];
        p.live = vec![live(2, 20)];
    });
    for _ in 0..2_000 {
        let mut bytes = good.clone();
        for _ in 0..random.random_range(0..6) {
            let n = random.random_range(0..bytes.len());
            bytes[n] = random.random();
        }
        bytes.truncate(random.random_range(0..=bytes.len()));
        fuzz(&bytes);
    }
}
