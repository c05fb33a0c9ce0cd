//! The tracker's side of ink through the whole server: anchors down, transforms and stills up, words of the engine into the log.

use annotation::time::CaptureTime;
use annotation::wire::{
    AnchorXform, FrameSpan, InkPacket, Rebase, Similarity, Snapshot, StrokeKey, Surface, TrackState, XformFrame, op,
};
use link::wire::{Anchor, InkHeard, Rebased, StillPiece, StillWanted, to_engine as told, to_server as said};
use prost::Message as _;
use signaling::wire::{EndCase, client_message::Body as Client};

use crate::engine::{Engine, hello};
use crate::page::{Page, count, host, now, request_bytes, server, sign_in};

fn anchor(body: told::Body) -> Option<Anchor> {
    if let told::Body::Anchor(anchor) = body { Some(anchor) } else { None }
}

fn wanted(body: told::Body) -> Option<StillWanted> {
    if let told::Body::Still(wanted) = body { Some(wanted) } else { None }
}

fn piece(still: &str, feed: &str, capture: u64, jpeg: &[u8]) -> StillPiece {
    StillPiece {
        still: still.into(),
        feed: feed.into(),
        capture,
        width: 1280,
        height: 720,
        offset: 0,
        total: jpeg.len() as u32,
        data: jpeg.to_vec(),
        ..Default::default()
    }
}

const JPEG: [u8; 6] = [0xFF, 0xD8, 1, 2, 0xFF, 0xD9];

#[tokio::test(flavor = "multi_thread")]
async fn sg52_the_engine_follows_a_stroke_and_its_word_becomes_an_op() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut engine = Engine::dial(home.path(), hello("demo")).await.expect("is taken");
    let mut mentor = Page::open(&host, &tokens.mentor, "").await.expect("enters");
    let mut room = Page::open(&host, &tokens.room, "").await.expect("enters");
    let up = |body| matches!(body, signaling::wire::server_message::Body::State(s) if s.engine_up).then_some(());
    mentor.until("the engine", up).await;

    let mut stroke = mentor.stroke();
    if let Some(op::Body::Stroke(s)) = &mut stroke.body {
        s.spans = vec![FrameSpan { first: 1, capture: s.began }];
    }
    mentor.say_ink(vec![stroke]).await;
    let followed = engine.until("an anchor", anchor).await;
    assert_eq!((followed.feed.as_str(), followed.committed, followed.x.as_slice()), ("field", true, &[8000, 8010, 8020][..]));

    let key = StrokeKey { author: mentor.welcome.author, epoch: mentor.welcome.epoch, number: 1 };
    let spans = vec![Similarity { first: 1, a: 1.0, b: 0.0, tx: 40.0, ty: 0.0 }];
    engine.say(said::Body::Rebased(Rebased { rebase: Some(Rebase { stroke: Some(key), spans }) })).await;
    let log = room.ordered(2).await;
    let by_engine = log.last().and_then(|o| o.op.as_ref()).expect("an op");
    assert_eq!((by_engine.author, by_engine.epoch, by_engine.seq), (0, 0, 1));
    assert!(matches!(by_engine.body, Some(op::Body::Rebase(_))));

    // A tracker that comes back is told again; what is undone is gone.
    drop(engine);
    let mut engine = Engine::dial_after(home.path(), hello("demo")).await;
    assert!(engine.until("the anchor again", anchor).await.committed);
    let undo = mentor.undo(1);
    mentor.say_ink(vec![undo]).await;
    let gone = engine.until("its end", anchor).await;
    assert_eq!((gone.gone, gone.stroke), (true, Some(key)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_with_a_display_gets_the_ink_as_a_page_does_and_none_after_the_end() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut engine = Engine::dial(home.path(), hello("demo")).await.expect("is taken");
    let mut mentor = Page::open(&host, &tokens.mentor, "").await.expect("enters");
    let mut room = Page::open(&host, &tokens.room, "").await.expect("enters");
    let up = |body| matches!(body, signaling::wire::server_message::Body::State(s) if s.engine_up).then_some(());
    mentor.until("the engine", up).await;
    let stroke = mentor.stroke();
    mentor.say_ink(vec![stroke]).await;
    mentor.acknowledged(1).await.expect("taken");

    let ink = |body| if let told::Body::Ink(ink) = body { Some(ink) } else { None };
    engine.say(said::Body::Ink(InkHeard { join: true, ..Default::default() })).await;
    let authors = engine.until("whose ink it is", ink).await.authors.expect("first of all");
    let lead = authors.authors.iter().find(|a| a.author == mentor.welcome.author).expect("known");
    assert!(lead.texture == 1 && !lead.family_ja.is_empty());
    let snapshot = engine.until("the ink so far", |b| ink(b).filter(|i| !i.snapshot.is_empty())).await;
    let snapshot = Snapshot::decode(snapshot.snapshot.as_slice()).expect("reads");
    assert_eq!((snapshot.ops.len(), snapshot.up_to, snapshot.last), (1, 1, true));

    // What is drawn later comes, and again until it is confirmed.
    let stroke = mentor.stroke();
    mentor.say_ink(vec![stroke]).await;
    let with_second = |body| {
        let packet = InkPacket::decode(ink(body)?.packet.as_slice()).ok()?;
        packet.ordered.iter().any(|o| o.order == 2).then_some(())
    };
    engine.until("the second stroke", with_second).await;
    engine.until("the second stroke, unconfirmed", with_second).await;
    engine.say(said::Body::Ink(InkHeard { have_order: 2, ..Default::default() })).await;
    // The room's clear, before it is in the log.
    let clear = room.clear();
    room.say_ink(vec![clear]).await;
    let cleared = |body| InkPacket::decode(ink(body)?.packet.as_slice()).ok().filter(|p| !p.clears.is_empty());
    engine.until("the clear", cleared).await;

    room.say(Client::End(EndCase { confirm: true })).await;
    engine.until("the end of all ink", |b| ink(b).filter(|i| i.over)).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg53_transforms_are_in_the_log_within_a_second_or_two() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let mut engine = Engine::dial(home.path(), hello("demo")).await.expect("is taken");
    let key = StrokeKey { author: 2, epoch: 1, number: 1 };
    let lies = AnchorXform { strokes: vec![key], state: TrackState::Tracked as i32, a: f32::NAN, ..Default::default() };
    let good = AnchorXform { a: 1.0, ..lies.clone() };
    for i in 0..3u64 {
        let anchors = vec![good.clone(), lies.clone()];
        engine.say(said::Body::Xform(XformFrame { feed: "field".into(), capture: now() + i, anchors })).await;
    }
    engine.say(said::Body::Xform(XformFrame { feed: "nowhere".into(), capture: 1, anchors: vec![good.clone()] })).await;
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while count(home.path(), "SELECT COUNT(*) FROM xforms").await == 0 {
        assert!(std::time::Instant::now() < until, "never logged");
        engine.say_health().await;
        tokio::task::yield_now().await;
    }
    server.stop().await;
    let bytes = crate::page::blob(home.path(), "SELECT bytes FROM xforms LIMIT 1").await;
    let mut rest = bytes.as_slice();
    let mut logged = Vec::new();
    while !rest.is_empty() {
        logged.push(XformFrame::decode_length_delimited(&mut rest).expect("reads"));
    }
    assert!(!logged.is_empty() && logged.iter().all(|f| f.feed == "field" && f.anchors == [good.clone()]), "{logged:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sg54_a_pinned_frame_is_there_for_those_who_may_watch_and_for_nobody_else() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut mentor = Page::open(&host, &tokens.mentor, "").await.expect("enters");
    let mut engine = Engine::dial(home.path(), hello("demo")).await.expect("is taken");
    let feeds = |body| matches!(body, signaling::wire::server_message::Body::Feeds(_)).then_some(());
    mentor.until("the engine's feeds", feeds).await;
    let captured = CaptureTime(now());
    engine.say(said::Body::Still(piece("still-1", "field", captured.0, &JPEG))).await;

    let signed = sign_in(&host, &tokens.mentor).await;
    let id = signed.json()["id"].as_str().expect("an id").to_owned();
    let cookie = signed.header("set-cookie").and_then(|c| c.split(';').next()).expect("a cookie").to_owned();
    let cookie = format!("Cookie: {cookie}\r\n");
    let get = |path: String, head: String| {
        let host = host.clone();
        async move { request_bytes(&host, "GET", &path, &head).await }
    };
    let named = |path: &str| format!("/api/still/demo/{path}?id={id}");
    // By id once it has come; by frame at once.
    let by_frame = || get(named(&format!("field/{}", captured.0)), cookie.clone());
    let (mut status, mut head, mut body) = by_frame().await;
    for _ in 0..20 {
        if status == 200 {
            break;
        }
        (status, head, body) = by_frame().await;
    }
    assert_eq!((status, body.as_slice()), (200, &JPEG[..]));
    assert!(head.contains("image/jpeg") && head.contains("no-store") && head.contains("shirube-still: still-1"), "{head}");
    assert_eq!(get(named("still-1"), cookie.clone()).await.2, JPEG);
    assert_eq!(get(named("still-2"), cookie.clone()).await.0, 404);
    assert_eq!(get(named("nowhere/0"), cookie.clone()).await.0, 404);
    assert_eq!(get(named("..%2Fetc"), cookie.clone()).await.0, 404);

    // A frame that is not kept is asked of the engine, once.
    // It has two seconds to answer; where this machine stood still for longer, the page asks again.
    let wish = StillWanted { feed: "fluoro".into(), capture: 0 };
    let mut answered = 404;
    for _ in 0..20 {
        let asked = tokio::spawn(get(named("fluoro/0"), cookie.clone()));
        engine.until("the wish", |body| wanted(body).filter(|w| *w == wish)).await;
        engine.say(said::Body::Still(piece("still-3", "fluoro", now(), &JPEG))).await;
        answered = asked.await.expect("answered").0;
        if answered == 200 {
            break;
        }
    }
    assert_eq!(answered, 200);

    // Nobody else: without a name, with another's name, of another case, a vendor.
    assert_eq!(get("/api/still/demo/still-1".into(), String::new()).await.0, 401);
    assert_eq!(get(named("still-1"), String::new()).await.0, 401);
    assert_eq!(get("/api/still/other/still-1".into(), bearer(&tokens.mentor)).await.0, 403);
    for token in [&tokens.vendor, &tokens.viewer, &tokens.publisher] {
        assert_eq!(get("/api/still/demo/still-1".into(), bearer(token)).await.0, 403);
    }
    assert_eq!(get("/api/still/demo/still-1".into(), bearer(&tokens.desk)).await.0, 200);
    assert_eq!(get(named("still-1"), format!("{cookie}Origin: https://evil.example\r\n")).await.0, 403);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg55_the_still_of_a_run_is_announced_and_can_be_drawn_on_in_its_own_name_only() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut mentor = Page::open(&host, &tokens.mentor, "").await.expect("enters");
    let mut engine = Engine::dial(home.path(), hello("demo")).await.expect("is taken");
    let stills = |body| if let signaling::wire::server_message::Body::Stills(s) = body { Some(s.stills) } else { None };
    assert!(mentor.until("what stills there are", stills).await.is_empty());
    let captured = now();
    let pinned = piece("field-1", "field", captured, &JPEG);
    engine.say(said::Body::Still(pinned)).await;
    let run = StillPiece { run: true, geometry: 9, ..piece("fluoro-1", "fluoro", captured, &JPEG) };
    engine.say(said::Body::Still(run)).await;
    let told = mentor.until("the run's still", stills).await;
    let one = told.first().expect("one");
    assert_eq!((told.len(), one.still.as_str(), one.feed.as_str()), (1, "fluoro-1", "fluoro"));
    assert_eq!((one.capture, one.width, one.geometry), (captured, 1280, 9));

    // Who comes later hears of it when entering.
    let mut room = Page::open(&host, &tokens.room, "").await.expect("enters");
    assert_eq!(room.until("what stills there are", stills).await.len(), 1);

    let on_still = |mut op: annotation::wire::Op, capture: u64| {
        if let Some(op::Body::Stroke(s)) = &mut op.body
            && let Some(frame) = &mut s.frame
        {
            (frame.feed, frame.program) = ("fluoro".into(), "fluoro".into());
            (frame.still, frame.surface, frame.capture) = ("fluoro-1".into(), Surface::Still as i32, capture);
        }
        op
    };
    let lie = on_still(mentor.stroke(), captured + 1);
    let honest = on_still(mentor.stroke(), captured);
    mentor.say_ink(vec![lie, honest]).await;
    let log = room.ordered(2).await;
    assert!(log[0].op.as_ref().is_some_and(|op| op.body.is_none()), "another time than the still's own");
    let Some(op::Body::Stroke(s)) = log[1].op.as_ref().and_then(|op| op.body.as_ref()) else { panic!("the mark on the still") };
    assert!(s.frame.as_ref().is_some_and(|f| f.still == "fluoro-1" && !f.mapping_as_told));
    server.stop().await;
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}
