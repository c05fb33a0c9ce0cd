//! Cameras that publish: the door, and who may take which name.

use crate::engine::{Engine, hello};
use crate::page::{Page, config, host, provider, request, server};
use link::wire::Hello;
use signaling::wire::server_message as said;

/// As a browser's that sends one camera.
pub(crate) fn offer() -> String {
    let fingerprint = ["AB"; 32].join(":");
    [
        "v=0",
        "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        "a=ice-ufrag:EsAw",
        "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1",
        "a=ice-options:trickle",
        &format!("a=fingerprint:sha-256 {fingerprint}"),
        "a=setup:actpass",
        "a=mid:0",
        "a=sendonly",
        "a=rtcp-mux",
        "a=rtpmap:96 H264/90000",
        "a=rtcp-fb:96 nack",
        "a=rtcp-fb:96 nack pli",
        "a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        "",
    ]
    .join("\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn sg24_a_camera_publishes_under_a_free_name_and_ends_with_delete() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let head = format!("Authorization: Bearer {}\r\nContent-Type: application/sdp\r\n", tokens.publisher);
    let opened = request(&host, "POST", "/whip/demo/glasses", &head, &offer()).await;
    assert_eq!(opened.status, 201, "{}", opened.body);
    assert!(opened.body.starts_with("v=0") && opened.body.contains("recvonly"), "{}", opened.body);
    let first = opened.header("location").expect("a resource").to_owned();
    assert!(first.starts_with("/whip/demo/glasses/"), "{first}");

    // The same camera after a break: its own place again, under a new resource.
    let again = request(&host, "POST", "/whip/demo/glasses", &head, &offer()).await;
    let second = again.header("location").expect("a resource").to_owned();
    assert_eq!(again.status, 201);
    assert_eq!(request(&host, "DELETE", &first, &head, "").await.code(), "media.unknown");

    let fragment = format!("Authorization: Bearer {}\r\nContent-Type: application/trickle-ice-sdpfrag\r\n", tokens.publisher);
    let unnamed = request(&host, "PATCH", &second, &fragment, "a=end-of-candidates\r\n").await;
    assert_eq!((unnamed.status, unnamed.code().as_str()), (428, "request.precondition.missing"));
    let tag = again.header("etag").expect("an entity-tag").to_owned();
    let named = format!("{fragment}If-Match: {tag}\r\n");
    assert_eq!(request(&host, "PATCH", &second, &named, "a=end-of-candidates\r\n").await.status, 204);
    let sdp = format!("{head}If-Match: {tag}\r\n");
    let wrong = request(&host, "PATCH", &second, &sdp, "a=end-of-candidates\r\n").await;
    assert_eq!((wrong.status, wrong.code().as_str()), (415, "request.media-type"));

    // RFC 9725 §4.3.2: other credentials restart ICE, and the entity-tag is another one.
    let any = format!("{fragment}If-Match: *\r\n");
    let restart = "a=ice-ufrag:NewOne\r\na=ice-pwd:Q3vZsp1VPDR5ayklYbXDVj2k\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n";
    let restarted = request(&host, "PATCH", &second, &any, restart).await;
    assert_eq!(restarted.status, 200, "{}", restarted.body);
    assert!(restarted.body.contains("a=ice-ufrag:") && restarted.body.contains("a=candidate:"), "{}", restarted.body);
    let before = again.body.lines().find(|line| line.starts_with("a=ice-pwd:")).expect("a password");
    assert!(!restarted.body.contains(before), "new credentials");
    assert_ne!(restarted.header("etag"), Some(tag.as_str()));
    let old = request(&host, "PATCH", &second, &named, "a=end-of-candidates\r\n").await;
    assert_eq!((old.status, old.code().as_str()), (412, "request.precondition.failed"));
    // Candidates come in a burst and then slowly.
    let burst = (0..60).map(|_| request(&host, "PATCH", &second, &fragment, "a=end-of-candidates\r\n"));
    let codes: Vec<u16> = futures_util::future::join_all(burst).await.into_iter().map(|answer| answer.status).collect();
    assert!(codes.contains(&429), "{codes:?}");
    assert_eq!(request(&host, "DELETE", &second, &head, "").await.status, 200);
    assert_eq!(request(&host, "DELETE", &second, &head, "").await.code(), "media.unknown");

    // Names of the engine's feeds are taken.
    let mut room = Page::open(&host, &tokens.room, "").await.expect("enters");
    let _engine = Engine::dial(home.path(), hello("demo")).await.expect("is taken");
    room.until("the feeds", |body| matches!(body, said::Body::Feeds(_)).then_some(())).await;
    let taken = request(&host, "POST", "/whip/demo/field", &head, &offer()).await;
    assert_eq!((taken.status, taken.code().as_str()), (409, "feed.taken"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg24b_where_there_is_a_relay_its_address_comes_with_the_answer() {
    let home = tempfile::tempdir().expect("a folder");
    provider();
    let secret = home.path().join("turn-secret");
    std::fs::write(&secret, "0123456789abcdef0123").expect("written");
    let mut config = config(home.path());
    config.turn = vec!["turn:relay.example.org:3478".into(), "turns:relay.example.org:443?transport=tcp".into()];
    config.turn_secret = Some(secret);
    let server = crate::page::start(&config).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let head = format!("Authorization: Bearer {}\r\nContent-Type: application/sdp\r\n", tokens.publisher);
    let opened = request(&host, "POST", "/whip/demo/glasses", &head, &offer()).await;
    assert_eq!(opened.status, 201, "{}", opened.body);
    let links: Vec<&str> = opened.head.lines().filter_map(|l| l.strip_prefix("link: ")).collect();
    assert_eq!(links.len(), 2, "{}", opened.head);
    assert!(links[1].starts_with("<turns:relay.example.org:443?transport=tcp>; rel=\"ice-server\"; username=\""), "{}", links[1]);
    assert!(links.iter().all(|l| l.contains("; credential=\"") && l.ends_with("credential-type=\"password\"")));
    // Nobody gives it another, so it lasts as its token does, or nearly: 12 h, not the hour of a page's.
    let ends = links[1].split("username=\"").nth(1).and_then(|rest| rest.split(':').next()).and_then(|s| s.parse::<u64>().ok());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    assert!(ends.is_some_and(|ends| ends > now + 10 * 3_600 && ends <= now + 12 * 3_600), "{ends:?} at {now}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg24a_an_offer_that_is_refused_takes_nothing_from_the_camera_that_runs() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let head = format!("Authorization: Bearer {}\r\nContent-Type: application/sdp\r\n", tokens.publisher);
    let opened = request(&host, "POST", "/whip/demo/glasses", &head, &offer()).await;
    assert_eq!(opened.status, 201, "{}", opened.body);
    let first = opened.header("location").expect("a resource").to_owned();
    for junk in ["junk", "", &offer().replace("H264/90000", "AV1/90000")] {
        let refused = request(&host, "POST", "/whip/demo/glasses", &head, junk).await;
        assert_eq!((refused.status, refused.code().as_str()), (422, "media.offer.invalid"));
        assert_eq!(request(&host, "GET", &first, &head, "").await.status, 204, "it runs on");
    }
    let again = request(&host, "POST", "/whip/demo/glasses", &head, &offer()).await;
    assert_eq!(again.status, 201, "{}", again.body);
    let second = again.header("location").expect("a resource").to_owned();
    assert_eq!(request(&host, "GET", &first, &head, "").await.code(), "media.unknown");
    assert_eq!(request(&host, "GET", &second, &head, "").await.status, 204);
    assert_eq!(request(&host, "DELETE", &second, &head, "").await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_and_enormous_offers_are_refused_with_a_problem_and_harm_nobody() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let good = offer();
    let many = |line: &str, n: usize| format!("{good}{}", format!("{line}\r\n").repeat(n));
    let bad = [
        (many("a=candidate:1 1 udp 1 192.0.2.1 9 typ host", 2_000), 413, "request.too-large"),
        (many("a=x", 4_001), 422, "media.offer.invalid"),
        (many("m=video 9 UDP/TLS/RTP/SAVPF 96", 40), 422, "media.offer.invalid"),
        (format!("{good}a={}\r\n", "x".repeat(3_000)), 422, "media.offer.invalid"),
        (good.replace("a=mid:0", "a=mid:\u{0}"), 422, "media.offer.invalid"),
        (good.replace("a=fingerprint:sha-256 AB", "a=fingerprint:sha-256 ZZ"), 422, "media.offer.invalid"),
        (good.replace("a=mid:0", "a=mid:00000000000000000"), 422, "media.offer.invalid"),
        (good.replace("H264/90000", "AV1/90000"), 422, "media.offer.invalid"),
        (good.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), 422, "media.offer.invalid"),
        (good.replace("a=sendonly", "a=recvonly"), 422, "media.offer.invalid"),
        (String::new(), 422, "media.offer.invalid"),
    ];
    for (token, path) in [(&tokens.publisher, "/whip/demo/glasses"), (&tokens.viewer, "/whep/demo")] {
        let head = format!("Authorization: Bearer {token}\r\nContent-Type: application/sdp\r\n");
        for (text, status, code) in &bad {
            let playing = path.starts_with("/whep");
            if playing && text.contains("a=recvonly") {
                continue; // That is a player's.
            }
            let answer = request(&host, "POST", path, &head, text).await;
            let start: String = text.chars().take(400).collect();
            assert_eq!((answer.status, answer.code().as_str()), (*status, *code), "{path}: {start}");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "pages of other sites read it too");
            assert_eq!(answer.header("location"), None);
        }
    }
    let head = format!("Authorization: Bearer {}\r\nContent-Type: application/sdp\r\n", tokens.publisher);
    assert_eq!(request(&host, "POST", "/whip/demo/glasses", &head, &good).await.status, 201, "the others go on");
    for path in ["/whip/demo/glasses", "/whip/demo/glasses/AAAA", "/whep/demo", "/whep/demo/AAAA"] {
        let asked = request(&host, "OPTIONS", path, "", "").await;
        let said = (asked.status, asked.header("accept-post"), asked.header("accept-patch"));
        assert_eq!(said, (200, Some("application/sdp"), Some("application/trickle-ice-sdpfrag")), "{path}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg24c_a_camera_that_has_a_mask_is_given_to_nobody_alone() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut room = Page::open(&host, &tokens.room, "").await.expect("enters");
    let masked = Hello { masked: vec!["glasses".into(), "../etc".into()], ..hello("demo") };
    let _engine = Engine::dial(home.path(), masked).await.expect("is taken");
    room.until("the feeds", |body| matches!(body, said::Body::Feeds(_)).then_some(())).await;
    let publisher = format!("Authorization: Bearer {}\r\nContent-Type: application/sdp\r\n", tokens.publisher);
    let viewer = format!("Authorization: Bearer {}\r\nContent-Type: application/sdp\r\n", tokens.desk);
    for name in ["glasses", "overhead"] {
        let opened = request(&host, "POST", &format!("/whip/demo/{name}"), &publisher, &offer()).await;
        assert_eq!(opened.status, 201, "{}", opened.body);
    }
    let watch = offer().replace("a=sendonly", "a=recvonly");
    let alone = request(&host, "POST", "/whep/demo?feed=glasses", &viewer, &watch).await;
    assert_eq!((alone.status, alone.code().as_str()), (409, "feed.masked"));
    let listens = request(&host, "POST", "/whep/demo?feed=program&audio=mix", &viewer, &watch).await;
    assert_eq!((listens.status, listens.code().as_str()), (403, "denied.role"), "a person is heard of when listening: by a page");
    // It shows nothing yet, but it is not refused for a mask.
    let other = request(&host, "POST", "/whep/demo?feed=overhead", &viewer, &watch).await;
    assert_ne!(other.code(), "feed.masked", "{}", other.body);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg24e_one_link_takes_half_of_the_players_places_and_is_told_when_to_come_again() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let head = |token: &str| format!("Authorization: Bearer {token}\r\nContent-Type: application/sdp\r\n");
    let watch = offer().replace("a=sendonly", "a=recvonly");
    let mut first = String::new();
    for n in 0..8 {
        let opened = request(&host, "POST", "/whep/demo", &head(&tokens.viewer), &watch).await;
        assert_eq!(opened.status, 201, "{n}: {}", opened.body);
        first = opened.header("location").expect("a resource").to_owned();
    }
    let ninth = request(&host, "POST", "/whep/demo", &head(&tokens.viewer), &watch).await;
    assert_eq!((ninth.status, ninth.code().as_str(), ninth.header("retry-after")), (503, "case.full", Some("10")));
    assert!(ninth.header("access-control-expose-headers").is_some_and(|names| names.contains("Retry-After")));
    let other = request(&host, "POST", "/whep/demo", &head(&tokens.desk), &watch).await;
    assert_eq!(other.status, 201, "another link has places of its own: {}", other.body);
    assert_eq!(request(&host, "DELETE", &first, &head(&tokens.viewer), "").await.status, 200);
    assert_eq!(request(&host, "POST", "/whep/demo", &head(&tokens.viewer), &watch).await.status, 201);

    // Other methods.
    for (path, allowed) in [
        ("/whip/demo/glasses", ["POST", "OPTIONS"]),
        ("/whep/demo", ["POST", "OPTIONS"]),
        ("/whep/demo/AAAA", ["PATCH", "DELETE"]),
        ("/whip/demo/glasses/AAAA", ["PATCH", "DELETE"]),
    ] {
        for method in ["PUT", "TRACE"] {
            let answer = request(&host, method, path, &head(&tokens.viewer), "").await;
            assert_eq!((answer.status, answer.code().as_str()), (405, "request.method"), "{method} {path}");
            let said = answer.header("allow").unwrap_or_default();
            assert!(allowed.iter().all(|method| said.contains(method)), "{method} {path}: {said}");
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{method} {path}");
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg26_a_vendor_is_told_of_players_and_cameras_by_what_they_are_and_their_feed_alone() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut vendor = Page::open(&host, &tokens.vendor, "").await.expect("enters");
    let head = |token: &str| format!("Authorization: Bearer {token}\r\nContent-Type: application/sdp\r\n");
    let opened = request(&host, "POST", "/whip/demo/glasses", &head(&tokens.publisher), &offer()).await;
    assert_eq!(opened.status, 201, "{}", opened.body);
    let watch = offer().replace("a=sendonly", "a=recvonly");
    let played = request(&host, "POST", "/whep/demo", &head(&tokens.viewer), &watch).await;
    assert_eq!(played.status, 201, "{}", played.body);
    let ported = vendor.until("both", |body| {
        let said::Body::Health(report) = body else { return None };
        let ported: Vec<_> = report.peers.into_iter().filter(|p| !p.kind.is_empty()).collect();
        (ported.len() == 2).then_some(ported)
    });
    let told: Vec<_> = ported.await.into_iter().map(|p| (p.kind, p.feed, p.media)).collect();
    assert_eq!(told, [("player".into(), "program".into(), false), ("camera".into(), "glasses".into(), false)]);
    let figures = request(&host, "GET", "/metrics", "", "").await.body;
    for wanted in
        ["shirube_ported_media_up{case=\"demo\",kind=\"camera\"", "shirube_ported_freezes_total{case=\"demo\",kind=\"camera\""]
    {
        assert!(figures.contains(wanted), "{wanted}");
    }
    let place = played.header("location").expect("a resource").to_owned();
    assert_eq!(request(&host, "DELETE", &place, &head(&tokens.viewer), "").await.status, 200);
    vendor
        .until("the player has gone", |body| {
            let said::Body::Health(report) = body else { return None };
            report.peers.iter().all(|p| p.kind != "player").then_some(())
        })
        .await;
    // What was refused is counted by its code.
    let refused = request(&host, "DELETE", &place, &head(&tokens.viewer), "").await;
    assert_eq!(refused.code(), "media.unknown");
    let figures = request(&host, "GET", "/metrics", "", "").await.body;
    assert!(figures.contains("shirube_refusals_total{at=\"http\",code=\"media.unknown\"}"));
    server.stop().await;
}
