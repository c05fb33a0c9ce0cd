//! Links that are withdrawn, and doors that are tried.

use std::path::PathBuf;

use signaling::claims::TokenId;
use signaling::edge::store::{Withdrawal, revoke_file};
use signaling::wire::server_message as said;

use crate::page::{Page, count, host, now, request, server, sign_in};

#[tokio::test(flavor = "multi_thread")]
async fn sg33_a_withdrawn_link_ends_its_pages_and_opens_nothing_again() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let id = sign_in(&host, &tokens.mentor).await.json()["id"].as_str().and_then(TokenId::parse).expect("an id");
    let mut mentor = Page::open(&host, &tokens.mentor, "").await.expect("enters");
    let mut room = Page::open(&host, &tokens.room, "").await.expect("enters");
    // Upgraded while the link was good, and silent until it is not.
    let waiting = Page::silent(&host, &tokens.mentor).await;
    let database: PathBuf = home.path().join("data/shirube.sqlite");
    let withdrawn = revoke_file(&database, id, annotation::time::CaptureTime(now())).await.expect("written");
    assert_eq!(withdrawn, Withdrawal::Done);

    let refused = mentor.refusal().await;
    assert_eq!((refused.code.as_str(), refused.r#final), ("auth.link.revoked", true));
    let again = sign_in(&host, &tokens.mentor).await;
    assert_eq!((again.status, again.code().as_str()), (401, "auth.link.revoked"));
    assert_eq!(waiting.hello("", 1).await.err().map(|refused| refused.code), Some("auth.link.revoked".into()));
    // It left, as people see it, and nobody else did.
    room.until("the mentor has left", |body| {
        let said::Body::People(people) = body else { return None };
        people.people.iter().any(|p| p.author == mentor.welcome.author && !p.present && p.left).then_some(())
    })
    .await;
    assert_eq!(sign_in(&host, &tokens.room).await.status, 200);
    server.stop().await;
    assert_eq!(count(home.path(), "SELECT COUNT(*) FROM audit WHERE act = 'revoked'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sg32_links_that_are_tried_and_tried_fill_no_audit() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let host = host(&server);
    for _ in 0..40 {
        assert_eq!(sign_in(&host, "nonsense").await.code(), "auth.link.invalid");
        let other = format!("Authorization: Bearer {}\r\nContent-Type: application/sdp\r\n", server.ready.tokens.viewer);
        assert_eq!(request(&host, "POST", "/whep/other", &other, "v=0").await.code(), "auth.link.other-case");
    }
    server.stop().await;
    assert_eq!(count(home.path(), "SELECT COUNT(*) FROM audit WHERE outcome LIKE 'auth.%'").await, 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn source_maps_stay_inside_and_figures_are_not_for_names_that_merely_point_here() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let host = host(&server);
    std::fs::write(home.path().join("web/assets/main-1a2b.js.map"), "{}").expect("written");
    let map = request(&host, "GET", "/assets/main-1a2b.js.map", "", "").await;
    assert_eq!((map.status, map.code().as_str()), (404, "request.not-found"));
    let port = host.rsplit(':').next().expect("a port");
    let rebound = request(&format!("evil.example:{port}"), "GET", "/metrics", "", "").await;
    assert_eq!((rebound.status, rebound.code().as_str()), (401, "auth.session.missing"));
    server.stop().await;
}
