//! The end that lets people finish first.

use std::time::Duration;

use signaling::wire::server_message as said;

use crate::page::{Page, host, request, server};

#[tokio::test(flavor = "multi_thread")]
async fn sg46_a_draining_server_tells_its_pages_and_lets_nobody_new_in_and_ends_when_the_last_has_gone() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut room = Page::open(&host, &tokens.room, "").await.expect("enters");
    let met = async {
        room.until("told of the restart", |body| match body {
            said::Body::State(state) if state.restarting => Some(()),
            _ => None,
        })
        .await;
        let Err(refused) = Page::open(&host, &tokens.mentor, "").await else { panic!("somebody new came in") };
        assert_eq!((refused.code.as_str(), refused.r#final), ("server.stopping", false));
        let bearer = format!("Authorization: Bearer {}\r\nContent-Type: application/sdp\r\n", tokens.viewer);
        assert_eq!(request(&host, "POST", "/whep/demo", &bearer, "v=0").await.code(), "server.stopping");
        room.leave().await;
    };
    let (_, drained) = tokio::join!(met, tokio::time::timeout(Duration::from_secs(55), server.drain(Duration::from_secs(60))));
    drained.expect("ends when the last has gone, not when the time is over");
    let again = tokio::time::timeout(Duration::from_secs(55), server.drain(Duration::from_secs(600))).await;
    again.expect("nobody is here, nobody is waited for");
    server.stop().await;
}
