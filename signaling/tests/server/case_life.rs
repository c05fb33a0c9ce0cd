//! The life of a case: voices, comings and goings, its end.

use signaling::edge::server;
use signaling::wire::{CaseState, EndCase, Microphone, RemoteMute, VoiceOpen, client_message as client, server_message as said};

use crate::page::{Page, config, count, host, request, server, sign_in};

fn state(body: said::Body) -> Option<CaseState> {
    if let said::Body::State(state) = body { Some(state) } else { None }
}

#[tokio::test(flavor = "multi_thread")]
async fn sg20_only_the_rooms_press_opens_the_voice_and_everybody_is_told() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut mentor = Page::open(&host, &tokens.mentor, "").await.expect("enters");
    let mut room = Page::open(&host, &tokens.room, "").await.expect("enters");
    assert!(mentor.welcome.case_info.as_ref().is_some_and(|case| case.patient_awake && case.rehearsal && !case.recording));

    mentor.say(client::Body::VoiceOpen(VoiceOpen { open: true })).await;
    let refused = mentor.refusal().await;
    assert_eq!((refused.code.as_str(), refused.r#final), ("denied.role", false));
    mentor.say(client::Body::Microphone(Microphone { on: true })).await;
    room.say(client::Body::VoiceOpen(VoiceOpen { open: true })).await;
    mentor.until("the voice open", |body| state(body).filter(|s| s.voice_open)).await;
    room.say(client::Body::RemoteMute(RemoteMute { muted: true })).await;
    mentor.until("silenced", |body| state(body).filter(|s| s.remote_muted)).await;
    let people = |body| if let said::Body::People(people) = body { Some(people.people) } else { None };
    room.until("the mentor's microphone", |body| people(body).filter(|p| p.iter().any(|p| p.microphone && p.lead))).await;

    // With its only page the room's opening goes.
    room.leave().await;
    mentor.until("the voice closed", |body| state(body).filter(|s| !s.voice_open)).await;
    server.stop().await;
    assert_eq!(count(home.path(), "SELECT COUNT(*) FROM audit WHERE act IN ('voice-open', 'remote-mute', 'leave')").await, 3);
    assert_eq!(count(home.path(), "SELECT COUNT(*) FROM audit WHERE outcome = 'denied.role'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sg23_the_room_ends_the_case_and_its_links_say_so_also_after_a_restart() {
    let home = tempfile::tempdir().expect("a folder");
    let first = server(home.path()).await;
    let tokens = first.ready.tokens.clone();
    let (mut mentor, mut room) = {
        let host = host(&first);
        (Page::open(&host, &tokens.mentor, "").await.expect("enters"), Page::open(&host, &tokens.room, "").await.expect("enters"))
    };
    mentor.say(client::Body::End(EndCase { confirm: true })).await;
    assert_eq!(mentor.refusal().await.code, "denied.role");
    // A hold that was let go ends nothing; what follows is answered, so the case lives.
    room.say(client::Body::End(EndCase { confirm: false })).await;
    room.say(client::Body::VoiceOpen(VoiceOpen { open: true })).await;
    room.until("the voice open", |body| state(body).filter(|s| s.voice_open)).await;

    room.say(client::Body::End(EndCase { confirm: true })).await;
    for page in [&mut mentor, &mut room] {
        let refused = page.refusal().await;
        assert_eq!((refused.code.as_str(), refused.r#final), ("case.ended", true));
        assert!(page.next().await.is_none(), "closed");
    }
    let answer = sign_in(&host(&first), &tokens.mentor).await;
    assert_eq!((answer.status, answer.code().as_str()), (410, "case.ended"));
    first.stop().await;

    let second = server(home.path()).await;
    assert_eq!(second.ready.case, "demo-2");
    assert_eq!(sign_in(&host(&second), &tokens.mentor).await.code(), "case.ended");
    assert_eq!(sign_in(&host(&second), &second.ready.tokens.mentor).await.status, 200);
    second.stop().await;

    let mut named = config(home.path());
    named.case = Some(link::id::CaseId::parse("demo").expect("an id"));
    let said = server::start(&named).await.expect_err("ended").to_string();
    assert!(said.contains("has ended"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sg23a_the_room_alone_takes_its_end_back_and_links_lead_in_again_also_after_a_restart() {
    let home = tempfile::tempdir().expect("a folder");
    let first = server(home.path()).await;
    let (host_now, tokens) = (host(&first), first.ready.tokens.clone());
    let reopen =
        async |token: &str| request(&host_now, "POST", "/api/reopen", &format!("Authorization: Bearer {token}\r\n"), "").await;
    let mut room = Page::open(&host_now, &tokens.room, "").await.expect("enters");
    room.say(client::Body::VoiceOpen(VoiceOpen { open: true })).await;
    room.say(client::Body::End(EndCase { confirm: true })).await;
    assert_eq!(room.refusal().await.code, "case.ended");
    for other in [&tokens.mentor, &tokens.desk, &tokens.vendor, &tokens.viewer, &tokens.publisher, &tokens.engine] {
        assert_eq!(reopen(other).await.status, 403);
        assert_eq!(sign_in(&host_now, other).await.status, 410, "it has ended still");
    }
    assert_eq!(reopen("no-token").await.status, 401);

    assert_eq!(reopen(&tokens.room).await.status, 204);
    assert_eq!(reopen(&tokens.room).await.status, 204, "a second press changes nothing");
    let mentor = Page::open(&host_now, &tokens.mentor, "").await.expect("enters again");
    assert!(mentor.welcome.case_info.as_ref().is_some_and(|case| case.state == "live"));
    let mut room = Page::open(&host_now, &tokens.room, "").await.expect("enters again");
    let now = room.until("the state", state).await;
    assert!(!now.voice_open, "the room presses again");
    first.stop().await;
    assert_eq!(count(home.path(), "SELECT COUNT(*) FROM audit WHERE act = 'reopen' AND outcome = 'ok'").await, 1);

    let second = server(home.path()).await;
    assert_eq!(second.ready.case, "demo");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg22a_a_short_restart_finds_the_voice_as_the_room_left_it_once_the_rooms_page_is_back() {
    let home = tempfile::tempdir().expect("a folder");
    let first = server(home.path()).await;
    let tokens = first.ready.tokens.clone();
    let mut room = Page::open(&host(&first), &tokens.room, "").await.expect("enters");
    let mentor = Page::open(&host(&first), &tokens.mentor, "").await.expect("enters");
    room.say(client::Body::VoiceOpen(VoiceOpen { open: true })).await;
    room.say(client::Body::RemoteMute(RemoteMute { muted: true })).await;
    room.until("open and silenced", |body| state(body).filter(|s| s.voice_open && s.remote_muted)).await;
    let (of_room, of_mentor) = (room.welcome.resume.clone(), mentor.welcome.resume.clone());
    first.stop().await;

    let second = server(home.path()).await;
    let host = host(&second);
    // Neither the mentor's page nor a new one of the room opens anything.
    let mut mentor = Page::open(&host, &tokens.mentor, &of_mentor).await.expect("enters again");
    let mut other = Page::open(&host, &tokens.room, "").await.expect("enters");
    other.until("closed", |body| state(body).filter(|s| !s.voice_open)).await;
    mentor.until("closed", |body| state(body).filter(|s| !s.voice_open)).await;
    let _room = Page::open(&host, &tokens.room, &of_room).await.expect("enters again");
    mentor.until("open, and silenced still", |body| state(body).filter(|s| s.voice_open && s.remote_muted)).await;
    second.stop().await;
    assert_eq!(count(home.path(), "SELECT COUNT(*) FROM audit WHERE act = 'voice-resumed'").await, 1);

    // What the room closed stays closed.
    let third = server(home.path()).await;
    let at = crate::page::host(&third);
    let mut room = Page::open(&at, &tokens.room, &of_room).await.expect("enters again");
    room.until("open again", |body| state(body).filter(|s| s.voice_open)).await;
    room.say(client::Body::VoiceOpen(VoiceOpen { open: false })).await;
    room.until("closed", |body| state(body).filter(|s| !s.voice_open)).await;
    third.stop().await;
    assert_eq!(count(home.path(), "SELECT voice_open FROM voices").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sg12_a_page_that_comes_back_replaces_the_socket_it_had() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, token) = (host(&server), server.ready.tokens.mentor.clone());
    let mut first = Page::open(&host, &token, "").await.expect("enters");
    let second = Page::open(&host, &token, &first.welcome.resume).await.expect("enters");
    assert_eq!(second.welcome.epoch, first.welcome.epoch);
    let refused = first.refusal().await;
    assert_eq!((refused.code.as_str(), refused.r#final), ("page.replaced", true));
    // A resume key of somebody else is worth nothing: a new page.
    let room = Page::open(&host, &server.ready.tokens.room, &second.welcome.resume).await.expect("enters");
    assert_ne!(room.welcome.epoch, second.welcome.epoch);
    let health = request(&host, "GET", "/healthz", "", "").await;
    assert_eq!(health.body, "ok\n");
    server.stop().await;
}
