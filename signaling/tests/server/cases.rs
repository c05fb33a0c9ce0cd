//! Two cases beside each other on one server, each with an engine.

use signaling::wire::{ClockPing, client_message as client, server_message as said};

use crate::engine::{Engine, hello};
use crate::page::{Page, config, count, host, provider, request, sign_in};

#[tokio::test(flavor = "multi_thread")]
async fn sg29_two_cases_share_a_server_and_nothing_else() {
    provider();
    let home = tempfile::tempdir().expect("a folder");
    let mut demo = config(home.path());
    demo.cases = 2;
    let server = crate::page::start(&demo).await;
    let host = host(&server);
    let (a, b) = (server.ready.tokens.clone(), server.ready.more[0].tokens.clone());
    assert_eq!((server.ready.case.as_str(), server.ready.more[0].case.as_str()), ("demo", "demo-b"));

    // A token names its case; nothing else opens with it.
    assert_eq!(sign_in(&host, &a.mentor).await.json()["case"], "demo");
    assert_eq!(sign_in(&host, &b.mentor).await.json()["case"], "demo-b");
    for (path, token) in [("/whep/demo-b", &a.viewer), ("/whep/demo", &b.viewer), ("/whip/demo-b/field", &a.publisher)] {
        let head = format!("Authorization: Bearer {token}\r\nContent-Type: application/sdp\r\n");
        let answer = request(&host, "POST", path, &head, "v=0").await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "auth.link.other-case"), "{path}");
    }

    let (mut mentor_a, mut mentor_b) =
        (Page::open(&host, &a.mentor, "").await.expect("enters"), Page::open(&host, &b.mentor, "").await.expect("enters"));
    let names = |page: &Page| page.welcome.case_info.as_ref().map(|case| case.case_id.clone());
    assert_eq!((names(&mentor_a).as_deref(), names(&mentor_b).as_deref()), (Some("demo"), Some("demo-b")));
    let engine_a = Engine::dial(home.path(), hello("demo")).await.expect("is taken");
    let mut engine_b = Engine::dial(home.path(), hello("demo-b")).await.expect("is taken beside it");
    let up = |up: bool| move |body| if let said::Body::State(s) = body { (s.engine_up == up).then_some(()) } else { None };
    mentor_a.until("its engine", up(true)).await;
    mentor_b.until("its engine", up(true)).await;

    // Each case has an order of its own, and its ink stays in it.
    let stroke = mentor_a.stroke();
    mentor_a.say_ink(vec![stroke]).await;
    mentor_a.acknowledged(1).await.expect("taken");
    let strokes = vec![mentor_b.stroke(), mentor_b.stroke()];
    mentor_b.say_ink(strokes).await;
    let seen = mentor_b.ordered(2).await;
    assert_eq!(seen.iter().map(|op| op.order).collect::<Vec<_>>(), [1, 2]);
    assert!(seen.iter().all(|op| op.op.as_ref().is_some_and(|op| op.epoch == mentor_b.welcome.epoch)));
    assert_eq!(count(home.path(), "SELECT COUNT(*) FROM ops WHERE case_id = 'demo'").await, 1);
    assert_eq!(count(home.path(), "SELECT COUNT(*) FROM ops WHERE case_id = 'demo-b'").await, 2);

    // A resume key of one case is worth nothing in the other.
    let stranger = Page::open(&host, &b.room, &mentor_a.welcome.resume).await.expect("enters as a new page");
    assert!(stranger.welcome.epoch > mentor_b.welcome.epoch);

    // One case's engine ends; the other case hears nothing of it.
    drop(engine_a);
    mentor_a.until("picture lost", up(false)).await;
    engine_b.say_health().await;
    mentor_b.say(client::Body::Clock(ClockPing { t1: 1 })).await;
    mentor_b
        .until("a pong", |body| match body {
            said::Body::State(state) if !state.engine_up => panic!("told of another case: {state:?}"),
            said::Body::Clock(_) => Some(()),
            _ => None,
        })
        .await;
    server.stop().await;
}
