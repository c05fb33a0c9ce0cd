//! What the doors take, and what they say when they do not.

use annotation::time::CaptureTime;
use signaling::wire::{ClockPing, client_message as client, server_message as said};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::page::{Page, host, now, request, server, sign_in, upgrade};

#[tokio::test(flavor = "multi_thread")]
async fn sg1_links_that_are_not_of_this_server_are_refused_with_a_code_and_two_sentences() {
    let (home, elsewhere) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (server, stranger) = (server(home.path()).await, server(elsewhere.path()).await);
    let host = host(&server);
    let own = &server.ready.tokens.mentor;
    let bent = format!("{}{}", &own[..own.len() - 4], "AAAA");
    for token in [&stranger.ready.tokens.mentor, &bent, "", "nonsense"] {
        let answer = sign_in(&host, token).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "auth.link.invalid"));
        assert!(answer.json()["message_ja"].as_str().is_some_and(|text| text.ends_with('。')));
        assert_eq!(answer.header("set-cookie"), None);
    }
    let media_token = sign_in(&host, &server.ready.tokens.viewer).await;
    assert_eq!((media_token.status, media_token.code().as_str()), (403, "denied.role"));
    server.stop().await;
    stranger.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg3_the_cookie_is_for_this_site_and_no_script() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let answer = sign_in(&host(&server), &server.ready.tokens.room).await;
    let cookie = answer.header("set-cookie").expect("a cookie");
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    assert!(cookie.starts_with(&format!("s_{id}=")), "{cookie}");
    for word in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    assert_eq!(answer.json()["role"], "room");
    assert_eq!(answer.json()["case"], "demo");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg4_a_socket_needs_the_cookie_of_its_id_and_this_sites_page() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let host = host(&server);
    let answer = sign_in(&host, &server.ready.tokens.mentor).await;
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    let cookie = answer.header("set-cookie").and_then(|c| c.split(';').next()).expect("a cookie").to_owned();
    let origin = format!("http://{host}");

    let stranger = connect_async(upgrade(&host, &id, &cookie, "https://evil.example")).await;
    assert!(stranger.is_err_and(|fault| fault.to_string().contains("403")));
    // Another id, with this cookie; and this id, with a cookie of that name but another token in it.
    let refused = |request| async { Page::connect(request, "", 1).await.err().expect("refused") };
    let missing = refused(upgrade(&host, "AAAAAAAAAAAA", &cookie, &origin)).await;
    assert_eq!((missing.code.as_str(), missing.r#final), ("auth.session.missing", true));
    let swapped = format!("s_{id}={}", server.ready.tokens.room);
    assert_eq!(refused(upgrade(&host, &id, &swapped, &origin)).await.code, "auth.link.invalid");
    let version = Page::connect(upgrade(&host, &id, &cookie, &origin), "", 2).await.err().expect("refused");
    assert_eq!((version.code.as_str(), version.r#final), ("version.unsupported", true));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg13_a_page_that_talks_nonsense_or_too_much_is_closed() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, token) = (host(&server), server.ready.tokens.mentor.clone());
    let mut nonsense = Page::open(&host, &token, "").await.expect("enters");
    nonsense.say_raw(Message::Binary(vec![0xFF; 40].into())).await;
    let refused = nonsense.refusal().await;
    assert_eq!((refused.code.as_str(), refused.r#final), ("message.malformed", true));
    let mut long = Page::open(&host, &token, "").await.expect("enters");
    long.say_raw(Message::Binary(vec![0; 65 * 1024].into())).await;
    while long.next().await.is_some() {}
    // The server goes on.
    Page::open(&host, &token, "").await.expect("enters");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_answers_with_the_time_of_receipt_and_of_the_answer() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let mut page = Page::open(&host(&server), &server.ready.tokens.mentor, "").await.expect("enters");
    let t1 = now();
    page.say(client::Body::Clock(ClockPing { t1 })).await;
    let pong = page.until("a pong", |body| if let said::Body::Clock(pong) = body { Some(pong) } else { None }).await;
    let t4 = now();
    assert_eq!(pong.t1, t1);
    // Its timeline was set once and is steered slowly; the machine's clock may have been set since.
    let near = |from: u64, to: u64| CaptureTime(to).minus_ns(CaptureTime(from)) > -1_000_000_000;
    assert!(near(t1, pong.t2) && pong.t2 <= pong.t3 && near(pong.t3, t4), "the same machine's clock: {t1} {pong:?} {t4}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_served_with_strict_headers_and_addresses_without_an_ending_are_the_application() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let host = host(&server);
    for path in ["/", "/case", "/room/anything"] {
        let page = request(&host, "GET", path, "", "").await;
        assert_eq!((page.status, page.header("cache-control")), (200, Some("no-store")), "{path}");
        assert!(page.body.contains("Shirube"));
        for name in ["content-security-policy", "x-content-type-options", "referrer-policy"] {
            assert!(page.header(name).is_some(), "{name}");
        }
    }
    let asset = request(&host, "GET", "/assets/main-1a2b.js", "", "").await;
    assert_eq!(asset.header("cache-control"), Some("public, max-age=31536000, immutable"));
    std::fs::write(home.path().join("web/assets/main-1a2b.js.gz"), "smaller").expect("written");
    for (takes, coding, body) in
        [("gzip, br", Some("gzip"), "smaller"), ("br, gzip;q=0", None, "export {};"), ("", None, "export {};")]
    {
        let head = format!("Accept-Encoding: {takes}\r\n");
        let asset = request(&host, "GET", "/assets/main-1a2b.js", &head, "").await;
        assert_eq!((asset.header("content-encoding"), asset.body.as_str()), (coding, body), "{takes}");
        assert_eq!(asset.header("content-type"), Some("text/javascript; charset=utf-8"));
    }
    for (path, code) in
        [("/assets/none.js", "request.not-found"), ("/api/none", "request.not-found"), ("/../x.js", "request.not-found")]
    {
        let answer = request(&host, "GET", path, "", "").await;
        assert_eq!((answer.status, answer.code().as_str()), (404, code), "{path}");
    }
    let wrong = request(&host, "DELETE", "/", "", "").await;
    assert_eq!((wrong.status, wrong.code().as_str()), (405, "request.method"));
    let big = request(&host, "POST", "/api/session", "", &"x".repeat(70_000)).await;
    assert_eq!((big.status, big.code().as_str()), (413, "request.too-large"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn players_need_a_token_of_the_case_and_an_offer() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let viewer = format!("Authorization: Bearer {}\r\nContent-Type: application/sdp\r\n", tokens.viewer);
    let publisher = format!("Authorization: Bearer {}\r\nContent-Type: application/sdp\r\n", tokens.publisher);
    for (path, head, body, status, code) in [
        ("/whep/demo", "", "v=0", 401, "auth.session.missing"),
        ("/whep/demo", publisher.as_str(), "v=0", 403, "denied.role"),
        ("/whep/demo?feed=field", viewer.as_str(), "v=0", 403, "denied.feed"),
        ("/whep/other", viewer.as_str(), "v=0", 403, "auth.link.other-case"),
        ("/whep/demo?layer=best", viewer.as_str(), "v=0", 400, "layer.unknown"),
        ("/whep/demo", viewer.as_str(), "v=0", 422, "media.offer.invalid"),
        ("/whip/demo/field", publisher.as_str(), "v=0", 422, "media.offer.invalid"),
        ("/whip/demo/program", publisher.as_str(), "v=0", 409, "feed.taken"),
        ("/whip/demo/field", viewer.as_str(), "v=0", 403, "denied.role"),
    ] {
        let answer = request(&host, "POST", path, head, body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
    }
    let gone = request(&host, "DELETE", "/whep/demo/nothing", &viewer, "").await;
    assert_eq!((gone.status, gone.code().as_str()), (404, "media.unknown"));
    let preflight = request(&host, "OPTIONS", "/whep/demo", "Origin: https://player.example\r\n", "").await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (200, Some("*")));
    assert_eq!(preflight.header("accept-post"), Some("application/sdp"));
    let json = format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", tokens.viewer);
    let wrong = request(&host, "POST", "/whep/demo", &json, "{}").await;
    assert_eq!((wrong.status, wrong.code().as_str()), (415, "request.media-type"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_for_the_machine_itself_and_name_nobody() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let host = host(&server);
    let _page = Page::open(&host, &server.ready.tokens.mentor, "").await.expect("enters");
    let figures = request(&host, "GET", "/metrics", "", "").await;
    assert_eq!(figures.status, 200);
    assert!(figures.body.contains("shirube_engine_up{case=\"demo\"} 0"), "{}", figures.body);
    for name in ["Sato", "Takahashi", "佐藤", "Hospital"] {
        assert!(!figures.body.contains(name));
    }
    let proxied = request(&host, "GET", "/metrics", "X-Forwarded-For: 192.0.2.1\r\n", "").await;
    assert_eq!((proxied.status, proxied.code().as_str()), (401, "auth.session.missing"));
    server.stop().await;
}

/// Signed by this server's own key: nothing is wrong with them but what they say.
#[tokio::test(flavor = "multi_thread")]
async fn sg2_an_expired_link_and_one_of_a_case_that_is_not_here_are_told_apart() {
    use signaling::claims::{Claims, FeedScope, PersonKey, Role};
    use signaling::edge::keys::Keys;
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let host = host(&server);
    let key = std::fs::read(home.path().join("data/token.key")).expect("is there");
    let keys = Keys::from_pkcs8(&key).expect("a key");
    let unix_s = annotation::time::CaptureTime(now()).to_unix().as_secs();
    for (case, expires_unix_s, status, code) in [
        ("demo", unix_s - 1, 401, "auth.link.expired"),
        ("elsewhere", unix_s + 3_600, 404, "case.unknown"),
        ("demo", unix_s + 3_600, 200, ""),
    ] {
        let claims = Claims {
            id: keys.token_id().expect("random"),
            case: link::id::CaseId::parse(case).expect("an id"),
            person: PersonKey::parse("mentor").expect("an id"),
            role: Role::Mentor,
            feeds: FeedScope::All,
            expires_unix_s,
        };
        let answer = sign_in(&host, &keys.sign_token(&claims)).await;
        assert_eq!(answer.status, status, "{case}: {}", answer.body);
        assert_eq!(answer.header("set-cookie").is_some(), status == 200, "nothing is half-opened");
        if status != 200 {
            assert_eq!(answer.code(), code);
        }
    }
    server.stop().await;
}
