//! Ink from one page to the disk and to the others.

use annotation::wire::op;

use crate::page::{Page, count, host, server};

#[tokio::test(flavor = "multi_thread")]
async fn sg40_a_stroke_is_on_disk_before_it_is_acknowledged_and_a_second_page_sees_it() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut mentor = Page::open(&host, &tokens.mentor, "").await.expect("enters");
    let mut room = Page::open(&host, &tokens.room, "").await.expect("enters");

    let stroke = mentor.stroke();
    mentor.say_ink(vec![stroke.clone()]).await;
    mentor.acknowledged(1).await.expect("taken");
    assert_eq!(count(home.path(), "SELECT COUNT(*) FROM ops").await, 1, "acknowledged, so on disk");

    let seen = room.ordered(1).await;
    let body = seen[0].op.clone().and_then(|op| op.body);
    assert!(matches!(&body, Some(op::Body::Stroke(s)) if s.key.as_ref().is_some_and(|k| k.author == mentor.welcome.author)));

    // A page that comes later has it before anything else.
    let mut late = Page::open(&host, &tokens.room, "").await.expect("enters");
    assert_eq!(late.ordered(1).await.len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_op_sent_twice_is_taken_once_and_acknowledged_again() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let mut mentor = Page::open(&host(&server), &server.ready.tokens.mentor, "").await.expect("enters");
    let stroke = mentor.stroke();
    for _ in 0..3 {
        mentor.say_ink(vec![stroke.clone()]).await;
        mentor.acknowledged(1).await.expect("taken");
    }
    assert_eq!(count(home.path(), "SELECT COUNT(*) FROM ops").await, 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_takes_back_ones_own_and_only_the_room_clears() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut mentor = Page::open(&host, &tokens.mentor, "").await.expect("enters");
    let mut room = Page::open(&host, &tokens.room, "").await.expect("enters");

    let ops = vec![mentor.stroke(), mentor.undo(1)];
    mentor.say_ink(ops).await;
    mentor.acknowledged(2).await.expect("taken");
    let clear = mentor.clear();
    mentor.say_ink(vec![clear]).await;
    assert_eq!(mentor.acknowledged(3).await, Err("ink.room-only".into()));

    let clear = room.clear();
    room.say_ink(vec![clear]).await;
    room.acknowledged(1).await.expect("taken");
    // The refused clear keeps its place in the order, void: 1 stroke, 2 undo, 3 nothing, 4 the room's clear.
    let seen = mentor.ordered(4).await;
    assert!(seen.iter().any(|o| matches!(o.op.as_ref().and_then(|op| op.body.as_ref()), Some(op::Body::ClearAll(_)))));
    assert_eq!(count(home.path(), "SELECT COUNT(*) FROM audit WHERE act = 'clear' AND outcome = 'ok'").await, 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg41_a_restart_on_the_same_data_keeps_ink_links_and_the_page_itself() {
    let home = tempfile::tempdir().expect("a folder");
    let first = server(home.path()).await;
    let tokens = first.ready.tokens.clone();
    let mut mentor = Page::open(&host(&first), &tokens.mentor, "").await.expect("enters");
    let stroke = mentor.stroke();
    mentor.say_ink(vec![stroke.clone()]).await;
    mentor.acknowledged(1).await.expect("taken");
    let before = mentor.welcome.clone();
    first.stop().await;
    assert_eq!(mentor.refusal().await.code, "server.stopping");

    // The link of before opens the restarted server, and the resume key makes it the same page.
    let second = server(home.path()).await;
    let host = host(&second);
    let mut again = Page::open(&host, &tokens.mentor, &before.resume).await.expect("enters again");
    assert_eq!((again.welcome.author, again.welcome.epoch), (before.author, before.epoch));
    assert_eq!(again.ordered(1).await.len(), 1);
    // What was in its outbox comes again, and is known; the next op follows on.
    again.go_on_from(1);
    let next = again.stroke();
    again.say_ink(vec![stroke, next]).await;
    again.acknowledged(2).await.expect("taken");
    assert_eq!(count(home.path(), "SELECT COUNT(*) FROM ops").await, 2);

    // Another page of the same person is another page.
    let other = Page::open(&host, &tokens.mentor, "").await.expect("enters");
    assert!(other.welcome.epoch > before.epoch);
    second.stop().await;
}
