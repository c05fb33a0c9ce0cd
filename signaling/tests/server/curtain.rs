//! The privacy curtain between room, engine, pages and disk.

use link::wire::{Health, to_engine as told, to_server as from_engine};
use signaling::wire::{CaseState, Curtain, client_message as client, server_message as said};

use crate::engine::{Engine, hello};
use crate::page::{Page, config, count, host, request, server, sign_in};

fn state(body: said::Body) -> Option<CaseState> {
    if let said::Body::State(state) = body { Some(state) } else { None }
}

/// What the engine is told of the curtain.
async fn curtain(engine: &mut Engine, what: &str) -> bool {
    engine.until(what, |body| if let told::Body::Curtain(c) = body { Some(c.drawn) } else { None }).await
}

/// An engine whose second feed is the room's camera.
async fn engine(home: &std::path::Path) -> Engine {
    let mut hello = hello("demo");
    hello.feeds[2].curtain = true;
    Engine::dial_after(home, hello).await
}

#[tokio::test(flavor = "multi_thread")]
async fn sg60_a_press_of_the_room_reaches_engine_and_pages_and_is_written_down() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut engine = engine(home.path()).await;
    assert!(!curtain(&mut engine, "how it is").await, "told with the link");
    let mut mentor = Page::open(&host, &tokens.mentor, "").await.expect("enters");
    let mut room = Page::open(&host, &tokens.room, "").await.expect("enters");

    mentor.say(client::Body::Curtain(Curtain { drawn: true })).await;
    assert_eq!(mentor.refusal().await.code, "denied.role");
    room.say(client::Body::Curtain(Curtain { drawn: true })).await;
    assert!(curtain(&mut engine, "the press").await);
    for page in [&mut mentor, &mut room] {
        let now = page.until("the curtain", |body| state(body).filter(|s| s.curtain)).await;
        assert_eq!((now.curtain_author, now.curtain_since > 0), (1, true));
    }
    // Not even what was captured before it.
    let session = sign_in(&host, &tokens.mentor).await;
    let cookie = session.header("set-cookie").and_then(|c| c.split(';').next()).expect("a cookie").to_owned();
    let id = cookie.trim_start_matches("s_").split('=').next().expect("an id").to_owned();
    let still = request(&host, "GET", &format!("/api/still/demo/fluoro/0?id={id}"), &format!("Cookie: {cookie}\r\n"), "").await;
    assert_eq!((still.status, still.code().as_str()), (409, "feed.covered"));

    // An engine that says otherwise is told again; a new one is told at once.
    engine.say(from_engine::Body::Health(Health::default())).await;
    assert!(curtain(&mut engine, "it again").await);
    drop(engine);
    let mut engine = self::engine(home.path()).await;
    assert!(curtain(&mut engine, "how it is").await);
    room.say(client::Body::Curtain(Curtain { drawn: false })).await;
    assert!(!curtain(&mut engine, "that it is lifted").await);
    mentor.until("the curtain lifted", |body| state(body).filter(|s| !s.curtain && s.curtain_since > 0)).await;
    server.stop().await;
    assert_eq!(
        count(home.path(), "SELECT COUNT(*) FROM audit WHERE act IN ('curtain-draw', 'curtain-lift') AND role = 'room'").await,
        2
    );
    assert_eq!(count(home.path(), "SELECT COUNT(*) FROM audit WHERE act = 'move-curtain' AND outcome = 'denied.role'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sg61_a_restart_of_the_server_keeps_the_curtain_drawn() {
    let home = tempfile::tempdir().expect("a folder");
    let first = server(home.path()).await;
    let tokens = first.ready.tokens.clone();
    let mut room = Page::open(&host(&first), &tokens.room, "").await.expect("enters");
    room.say(client::Body::Curtain(Curtain { drawn: true })).await;
    let pressed = room.until("the curtain", |body| state(body).filter(|s| s.curtain)).await;
    first.stop().await;

    let again = crate::page::start(&config(home.path())).await;
    let mut engine = engine(home.path()).await;
    assert!(curtain(&mut engine, "how it is").await, "the engine of the new server");
    let mut mentor = Page::open(&host(&again), &tokens.mentor, "").await.expect("enters");
    let now = mentor.until("the curtain", |body| state(body).filter(|s| s.curtain)).await;
    assert_eq!((now.curtain_since, now.curtain_author), (pressed.curtain_since, 1));
    again.stop().await;
}
