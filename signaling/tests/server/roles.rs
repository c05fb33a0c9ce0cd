//! Desk and vendor beside mentor and room: what each is sent, and what never reaches the vendor.

use annotation::wire::InkPacket;
use signaling::wire::{
    AskPen, HealthReport, Leave, Offer, Person, Refresh, Role, Select, client_message as client, server_message as said,
};

use crate::engine::{Engine, hello};
use crate::page::{Page, count, host, request, server};

fn people(body: said::Body) -> Option<Vec<Person>> {
    if let said::Body::People(people) = body { Some(people.people) } else { None }
}

fn health(body: said::Body) -> Option<HealthReport> {
    if let said::Body::Health(report) = body { Some(report) } else { None }
}

#[tokio::test(flavor = "multi_thread")]
async fn sg26_a_vendor_is_sent_health_and_neither_people_nor_ink() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut vendor = Page::open(&host, &tokens.vendor, "").await.expect("enters");
    assert!(!vendor.welcome.may_draw && !vendor.welcome.may_speak);
    let mut mentor = Page::open(&host, &tokens.mentor, "").await.expect("enters");
    let mut engine = Engine::dial(home.path(), hello("demo")).await.expect("is taken");
    let stroke = mentor.stroke();
    mentor.say_ink(vec![stroke]).await;
    mentor.acknowledged(1).await.expect("taken");
    engine.say_health().await;

    let report = vendor
        .until("the engine's figures", |body| {
            assert!(!matches!(body, said::Body::People(_) | said::Body::Ink(_) | said::Body::Snapshot(_)), "{body:?}");
            health(body).filter(|report| report.feeds.iter().any(|f| f.black_permille > 0))
        })
        .await;
    assert!(report.engine_up);
    assert_eq!((report.engine_software.as_str(), report.clock_uncertainty_us), ("test-engine 1", 50));
    assert!(report.layers.iter().any(|l| l.feed == "program" && l.layer == "high" && l.frames == 7));
    let tracker = report.tracker.expect("the engine says how ink is followed");
    assert_eq!((tracker.frames, tracker.skipped, tracker.anchors, tracker.tracked_permille), (900, 3, 2, 975));
    assert_eq!(report.shed, "singles-half");
    let told = |body| if let said::Body::State(state) = body { Some(()).filter(|()| state.shed == "singles-half") } else { None };
    mentor.until("that the machine carries less", told).await;
    let mut roles: Vec<_> = report.peers.iter().map(|p| p.role()).collect();
    roles.sort();
    assert_eq!(roles, [Role::Mentor, Role::Vendor]);

    // It has no way to pictures or ink either.
    vendor.say(client::Body::Offer(Offer { id: 1, sdp: "v=0\r\n".into() })).await;
    assert_eq!(vendor.refusal().await.code, "denied.role");
    vendor.say(client::Body::Ink(InkPacket { version: 1, ..Default::default() })).await;
    assert_eq!(vendor.refusal().await.code, "denied.role");
    vendor
        .say(client::Body::Select(Select { slot: 0, feed: "program".into(), layer: "high".into(), ..Default::default() }))
        .await;
    assert_eq!(vendor.refusal().await.code, "denied.role");
    vendor.say(client::Body::Refresh(Refresh { slot: 0 })).await;
    assert_eq!(vendor.refusal().await.code, "denied.role");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg28b_a_page_may_say_of_its_own_slots_that_they_stand_still() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut mentor = Page::open(&host, &tokens.mentor, "").await.expect("enters");
    // Of its program, of a slot with nothing in it, before there is any media: nothing is said. Of one that pages do not have: that.
    for slot in [0, 3, 5] {
        mentor.say(client::Body::Refresh(Refresh { slot })).await;
    }
    assert_eq!(mentor.refusal().await.code, "request.malformed");
    mentor.say(client::Body::Refresh(Refresh { slot: u32::MAX })).await;
    assert_eq!(mentor.refusal().await.code, "request.malformed");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg27_the_desk_draws_under_its_own_number_and_reads_health() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut desk = Page::open(&host, &tokens.desk, "").await.expect("enters");
    let mut mentor = Page::open(&host, &tokens.mentor, "").await.expect("enters");
    assert!(desk.welcome.may_draw && desk.welcome.may_speak);
    desk.until("health", health).await;
    // The pen is the lead's: the desk asks, and the lead lends it.
    let stroke = desk.stroke();
    desk.say_ink(vec![stroke]).await;
    assert_eq!(desk.acknowledged(1).await, Err("ink.no-pen".into()));
    desk.say(client::Body::AskPen(AskPen { asking: true })).await;
    let author = desk.welcome.author;
    let of = |people: Vec<Person>| people.into_iter().find(|p| p.author == author);
    mentor.until("the request", |body| people(body).and_then(of).filter(|p| p.asks_pen)).await;
    let lent = mentor.grant(author, true);
    mentor.say_ink(vec![lent]).await;
    desk.until("the pen", |body| people(body).and_then(of).filter(|p| p.may_draw && !p.asks_pen && !p.lead)).await;
    let stroke = desk.stroke();
    desk.say_ink(vec![stroke]).await;
    desk.acknowledged(2).await.expect("taken");
    let seen = mentor.ordered(3).await;
    assert_eq!(seen.last().and_then(|o| o.op.as_ref()).map(|op| op.author), Some(author));
    assert_eq!(count(home.path(), "SELECT COUNT(*) FROM audit WHERE act = 'pen-lent'").await, 1);
    assert_ne!(desk.welcome.author, mentor.welcome.author);
    // The mentor's page is told nothing of what runs the case.
    mentor.say(client::Body::Clock(signaling::wire::ClockPing { t1: 1 })).await;
    mentor
        .until("a pong", |body| {
            assert!(health(body.clone()).is_none());
            matches!(body, said::Body::Clock(_)).then_some(())
        })
        .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg15_a_farewell_is_told_from_a_broken_line() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut room = Page::open(&host, &tokens.room, "").await.expect("enters");
    let mut desk = Page::open(&host, &tokens.desk, "").await.expect("enters");
    let mentor = Page::open(&host, &tokens.mentor, "").await.expect("enters");
    let author = mentor.welcome.author;
    let of = |people: Vec<Person>, author: u32| people.into_iter().find(|p| p.author == author).expect("is listed");
    room.until("the mentor", |body| people(body).filter(|p| of(p.clone(), author).present)).await;
    // The connection falls without a word.
    drop(mentor);
    let gone = room.until("the mentor gone", |body| people(body).map(|p| of(p, author)).filter(|p| !p.present)).await;
    assert!(!gone.left);
    // By word, before any close.
    desk.say(client::Body::Leave(Leave {})).await;
    let author = desk.welcome.author;
    let gone = room.until("the desk gone", |body| people(body).map(|p| of(p, author)).filter(|p| !p.present)).await;
    assert!(gone.left);
    while desk.next().await.is_some() {}
    // By its close code.
    let mentor = Page::open(&host, &tokens.mentor, "").await.expect("enters");
    let author = mentor.welcome.author;
    room.until("the mentor", |body| people(body).filter(|p| of(p.clone(), author).present)).await;
    mentor.leave().await;
    let gone = room.until("the mentor gone", |body| people(body).map(|p| of(p, author)).filter(|p| !p.present)).await;
    assert!(gone.left, "the place of its first page is still kept, and means nothing");
    server.stop().await;
    assert_eq!(count(home.path(), "SELECT COUNT(*) FROM audit WHERE act = 'leave' AND outcome = 'ok'").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn sg25_the_end_of_the_engine_is_told_at_once_and_its_return_too() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut room = Page::open(&host, &tokens.room, "").await.expect("enters");
    let mut vendor = Page::open(&host, &tokens.vendor, "").await.expect("enters");
    let up =
        |up: bool| move |body| if let said::Body::State(state) = body { (state.engine_up == up).then_some(state) } else { None };
    for restarts in 0..2 {
        let mut engine = Engine::dial(home.path(), hello("demo")).await.expect("is taken");
        let told = |body| if let link::wire::to_engine::Body::Want(want) = body { Some(want.layers) } else { None };
        assert!(engine.until("what to encode", told).await.is_empty(), "nobody watches");
        engine.say_health().await;
        room.until("the engine", up(true)).await;
        let alive = |report: &HealthReport| report.engine_up && report.feeds.iter().any(|f| f.feed == "field" && f.state == 1);
        let report = vendor.until("its figures", |body| health(body).filter(alive)).await;
        assert_eq!(report.engine_restarts, restarts);
        // As a process that was killed: both sockets fall.
        drop(engine);
        let state = room.until("picture lost", up(false)).await;
        assert!(!state.voice_open);
        let lost = vendor.until("its end", |body| health(body).filter(|report| !report.engine_up)).await;
        assert!(lost.feeds.iter().all(|f| f.state == 3), "{lost:?}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg28_feeds_that_come_and_go_are_told_and_chosen_by_name_and_layer() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut desk = Page::open(&host, &tokens.desk, "").await.expect("enters");
    let mut room = Page::open(&host, &tokens.room, "").await.expect("enters");
    assert_eq!(desk.welcome.feeds.len(), 1, "no engine yet");
    let mut engine = Engine::dial(home.path(), hello("demo")).await.expect("is taken");
    let list = |body| if let said::Body::Feeds(list) = body { Some(list.feeds) } else { None };
    let names = |feeds: Vec<signaling::wire::FeedInfo>| feeds.into_iter().map(|f| f.feed).collect::<Vec<_>>();
    assert_eq!(names(desk.until("the feeds", list).await), ["program", "field", "fluoro"]);

    let select = |slot, feed: &str, layer: &str| {
        client::Body::Select(Select { slot, feed: feed.into(), layer: layer.into(), ..Default::default() })
    };
    let assign = |body| match body {
        said::Body::Assign(a) => Some(Ok((a.slot, a.feed, a.layer))),
        said::Body::Refused(r) => Some(Err(r.code)),
        _ => None,
    };
    for (slot, feed, layer, answer) in [
        (1, "field", "", Ok("high")),
        (4, "program", "low", Ok("low")),
        (0, "fluoro", "auto", Ok("high")),
        (1, "", "", Ok("")),
        (2, "field", "low", Err("layer.unknown")),
        (2, "field", "best", Err("layer.unknown")),
        (2, "camera", "high", Err("feed.unknown")),
        (2, "No Feed", "high", Err("feed.unknown")),
        (5, "field", "high", Err("request.malformed")),
    ] {
        desk.say(select(slot, feed, layer)).await;
        let got = desk.until("an answer", assign).await;
        let expected = answer.map(|layer| (slot, feed.to_owned(), layer.to_owned())).map_err(str::to_owned);
        assert_eq!(got, expected, "{slot} {feed} {layer}");
    }

    // A feed goes, another comes: told to everybody, and to who joins later.
    let mut now = hello("demo");
    now.feeds.retain(|f| f.feed != "fluoro");
    now.layers.retain(|l| l.feed != "fluoro");
    let now = link::wire::FeedList { feeds: now.feeds, layers: now.layers, layout: now.layout, timing: now.timing };
    engine.say(link::wire::to_server::Body::Feeds(now)).await;
    room.until("the feeds of before", list).await;
    assert_eq!(names(room.until("the feeds", list).await), ["program", "field"]);
    let late = Page::open(&host, &tokens.mentor, "").await.expect("enters");
    assert_eq!(names(late.welcome.feeds.clone()), ["program", "field"]);

    let viewer = format!("Authorization: Bearer {}\r\nContent-Type: application/sdp\r\n", tokens.viewer);
    let layer = request(&host, "POST", "/whep/demo?feed=program&layer=tiny", &viewer, "v=0").await;
    assert_eq!((layer.status, layer.code().as_str()), (400, "layer.unknown"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_engine_of_the_same_case_is_refused_and_the_first_goes_on() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let mut room = Page::open(&host(&server), &server.ready.tokens.room, "").await.expect("enters");
    let mut first = Engine::dial(home.path(), hello("demo")).await.expect("is taken");
    let (code, sentence) = Engine::dial(home.path(), hello("demo")).await.err().expect("refused");
    assert_eq!(code, "link.case-taken");
    assert!(sentence.contains("another engine already serves the case demo") && sentence.contains("stop that one"), "{sentence}");
    first.say_health().await;
    let state =
        room.until("the engine", |body| if let said::Body::State(s) = body { s.engine_up.then_some(s) } else { None }).await;
    assert!(state.engine_up);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_room_and_the_desk_change_the_layout_for_everybody_and_a_new_engine_is_given_it_again() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut desk = Page::open(&host, &tokens.desk, "").await.expect("enters");
    let mut mentor = Page::open(&host, &tokens.mentor, "").await.expect("enters");
    let mut engine = Engine::dial(home.path(), hello("demo")).await.expect("is taken");
    let layout = |name: &'static str| {
        move |body| match body {
            said::Body::State(state) if state.layout == name => Some(state.layouts),
            _ => None,
        }
    };
    assert_eq!(desk.until("the layouts", layout("field-large")).await, ["field-large", "quad"]);
    let set = |name: &str| client::Body::SetLayout(signaling::wire::SetLayout { layout: name.into() });
    let told = |body| if let link::wire::to_engine::Body::Layout(set) = body { Some(set.layout) } else { None };

    mentor.say(set("quad")).await;
    assert_eq!(mentor.refusal().await.code, "denied.role");
    desk.say(set("of nobody")).await;
    desk.say(set("quad")).await;
    assert_eq!(engine.until("the layout", told).await, "quad", "and nothing that it does not have");
    // It counts when the engine says so.
    let now = hello("demo");
    let now = link::wire::FeedList { feeds: now.feeds, layers: now.layers, layout: "quad".into(), timing: "aligned".into() };
    engine.say(link::wire::to_server::Body::Feeds(now)).await;
    mentor.until("the new layout", layout("quad")).await;

    drop(engine);
    let gone = |body| if let said::Body::State(state) = body { Some(state).filter(|s| !s.engine_up) } else { None };
    desk.until("picture lost", gone).await;
    let mut engine = Engine::dial(home.path(), hello("demo")).await.expect("is taken");
    assert_eq!(engine.until("the layout again", told).await, "quad");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_room_alone_chooses_between_aligned_and_now_and_a_new_engine_is_told_again() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut room = Page::open(&host, &tokens.room, "").await.expect("enters");
    let mut desk = Page::open(&host, &tokens.desk, "").await.expect("enters");
    let mut engine = Engine::dial(home.path(), hello("demo")).await.expect("is taken");
    let timing = |name: &'static str| {
        move |body| match body {
            said::Body::State(state) if state.timing == name => Some(()),
            _ => None,
        }
    };
    desk.until("the engine's word", timing("aligned")).await;
    let set = |name: &str| client::Body::SetTiming(signaling::wire::SetTiming { timing: name.into() });
    let told = |body| if let link::wire::to_engine::Body::Timing(set) = body { Some(set.timing) } else { None };

    desk.say(set("now")).await;
    assert_eq!(desk.refusal().await.code, "denied.role");
    room.say(set("whenever")).await;
    room.say(set("now")).await;
    assert_eq!(engine.until("the choice", told).await, "now", "and nothing that nobody knows");
    let now = hello("demo");
    let now = link::wire::FeedList { feeds: now.feeds, layers: now.layers, layout: now.layout, timing: "now".into() };
    engine.say(link::wire::to_server::Body::Feeds(now)).await;
    desk.until("that it is so", timing("now")).await;

    drop(engine);
    let gone = |body| if let said::Body::State(state) = body { Some(()).filter(|()| !state.engine_up) } else { None };
    desk.until("picture lost", gone).await;
    let mut engine = Engine::dial(home.path(), hello("demo")).await.expect("is taken");
    assert_eq!(engine.until("the choice again", told).await, "now");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg38_a_page_that_changes_layouts_all_day_is_told_no_and_fills_no_audit() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut engine = Engine::dial(home.path(), hello("demo")).await.expect("is taken");
    engine.say_health().await;
    let mut room = Page::open(&host, &tokens.room, "").await.expect("enters");
    let known = |body| if let said::Body::State(s) = body { Some(()).filter(|()| s.layouts.len() == 2) } else { None };
    room.until("the layouts", known).await;
    let began = std::time::Instant::now();
    for n in 0..60 {
        let layout = ["quad", "field-large"][n % 2].into();
        room.say(client::Body::SetLayout(signaling::wire::SetLayout { layout })).await;
        let timing = ["now", "aligned"][n % 2].into();
        room.say(client::Body::SetTiming(signaling::wire::SetTiming { timing })).await;
    }
    assert_eq!(room.refusal().await.code, "request.too-often");
    // A veto passes all the same.
    room.say(client::Body::Curtain(signaling::wire::Curtain { drawn: true })).await;
    room.until("the curtain", |body| if let said::Body::State(s) = body { Some(()).filter(|()| s.curtain) } else { None }).await;
    let seconds = began.elapsed().as_secs() as i64;
    server.stop().await;
    let rows = count(home.path(), "SELECT COUNT(*) FROM audit WHERE act LIKE 'set-%'").await;
    assert!((10..=11 + seconds).contains(&rows), "{rows} rows in {seconds} s");
}
