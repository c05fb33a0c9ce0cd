//! The room's camera through the whole server: who may turn it, what the engine is told, what is written.

use link::wire::{Health, MoveCamera as Told, PtzHealth, to_engine as told, to_server as said};
use signaling::wire::{AllowCamera, CaseState, Curtain, MoveCamera, client_message::Body as Say, server_message::Body};

use crate::engine::{Engine, hello};
use crate::page::{Page, count, host, server};

fn word(pan: i32) -> Say {
    Say::MoveCamera(MoveCamera { feed: "field".into(), pan, ..Default::default() })
}

fn camera(body: told::Body) -> Option<Told> {
    if let told::Body::Camera(word) = body { Some(word) } else { None }
}

fn state(body: Body, wanted: impl Fn(&CaseState) -> bool) -> Option<()> {
    matches!(&body, Body::State(s) if wanted(s)).then_some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sg66_the_camera_is_turned_only_while_the_room_lets_it() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut turned = hello("demo");
    turned.feeds[1].ptz = true;
    let mut engine = Engine::dial(home.path(), turned).await.expect("is taken");
    let mut mentor = Page::open(&host, &tokens.mentor, "").await.expect("enters");
    let mut desk = Page::open(&host, &tokens.desk, "").await.expect("enters");
    let mut room = Page::open(&host, &tokens.room, "").await.expect("enters");
    mentor.until("the engine", |b| state(b, |s| s.engine_up && !s.camera_allowed)).await;

    mentor.say(word(50)).await;
    assert_eq!(mentor.refusal().await.code, "ptz.not-allowed");
    mentor.say(Say::AllowCamera(AllowCamera { allowed: true })).await;
    assert_eq!(mentor.refusal().await.code, "denied.role");
    room.say(Say::AllowCamera(AllowCamera { allowed: true })).await;
    mentor.until("the room's leave", |b| state(b, |s| s.camera_allowed)).await;

    mentor.say(word(900)).await;
    let moved = engine.until("the first move", camera).await;
    assert_eq!((moved.feed.as_str(), moved.pan, moved.zoom), ("field", 100, 0), "within what a camera can do");
    let author = mentor.welcome.author;
    room.until("whose hand it is", |b| state(b, |s| s.camera_author == author)).await;
    mentor.say(word(0)).await;
    assert_eq!(engine.until("the stop", camera).await.pan, 0);
    room.until("nobody's hand", |b| state(b, |s| s.camera_author == 0)).await;
    let silent = PtzHealth { feed: "field".into(), problem: "ptz.silent".into(), moving: false };
    let health = Health { ptz: vec![silent, PtzHealth { problem: "<b>".into(), ..Default::default() }], ..Default::default() };
    engine.say(said::Body::Health(health)).await;
    room.until("what is wrong", |b| state(b, |s| s.camera_problem == "ptz.silent")).await;

    // Withdrawn, and again by the curtain: told to stand still each time.
    room.say(Say::AllowCamera(AllowCamera { allowed: false })).await;
    assert_eq!(engine.until("the stop at withdrawal", camera).await, Told { feed: "field".into(), ..Default::default() });
    room.say(Say::AllowCamera(AllowCamera { allowed: true })).await;
    room.say(Say::Curtain(Curtain { drawn: true })).await;
    assert_eq!(engine.until("the stop at the curtain", camera).await.pan, 0);
    desk.until("the curtain", |b| state(b, |s| s.curtain && s.camera_allowed)).await;
    server.stop().await;
    assert_eq!(count(home.path(), "SELECT COUNT(*) FROM audit WHERE act = 'camera-move' AND outcome = 'ok'").await, 1);
    assert_eq!(
        count(home.path(), "SELECT COUNT(*) FROM audit WHERE act IN ('camera-allow', 'camera-forbid') AND outcome = 'ok'").await,
        3
    );
    assert_eq!(
        count(home.path(), "SELECT COUNT(*) FROM audit WHERE act = 'move-camera' AND outcome = 'ptz.not-allowed'").await,
        1
    );
}
