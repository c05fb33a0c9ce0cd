//! WHIP and WHEP row by row: what RFC 9725 and draft-ietf-wish-whep-04 ask of a server (SPEC.md has the table).

use crate::page::{Answer, host, request, server};
use crate::whip::offer;

const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

fn head(token: &str, media_type: &str) -> String {
    format!("Authorization: Bearer {token}\r\nContent-Type: {media_type}\r\n")
}

fn player() -> String {
    offer().replace("a=sendonly", "a=recvonly")
}

/// A line of sound to receive, of its own mid.
fn audio(mid: u8) -> String {
    let (session, video) = player().split_once("m=video").map(|(s, v)| (s.to_owned(), v.to_owned())).expect("a video");
    let kept = |l: &&str| !["a=rtpmap", "a=fmtp", "a=rtcp-fb", "a=mid"].iter().any(|p| l.starts_with(p));
    let rest: String = video.lines().skip(1).filter(kept).flat_map(|l| [l, "\r\n"]).collect();
    let line = format!("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n{rest}a=mid:{mid}\r\na=rtpmap:111 opus/48000/2\r\n");
    if mid == 0 { format!("{session}{line}") } else { line }
}

fn lines<'a>(answer: &'a Answer, begins: &str) -> Vec<&'a str> {
    answer.body.lines().filter(|l| l.starts_with(begins)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sg70_whoever_looks_learns_that_whep_is_spoken_and_nothing_of_any_case() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    for method in ["GET", "HEAD"] {
        for path in ["/whep/demo", "/whep/nowhere", "/whep/demo?feed=none"] {
            let looked = request(&host, method, path, "", "").await;
            assert_eq!((looked.status, looked.header("content-type")), (200, Some("application/sdp")), "{method} {path}");
            assert_eq!((looked.body.as_str(), looked.header("access-control-allow-origin")), ("", Some("*")), "{method} {path}");
        }
        // A camera's endpoint is none that plays.
        let looked = request(&host, method, "/whip/demo/glasses", "", "").await;
        assert_eq!((looked.status, looked.header("content-type"), looked.body.as_str()), (204, None, ""), "{method}");
    }

    let opened = request(&host, "POST", "/whep/demo", &head(&tokens.viewer, "application/sdp"), &player()).await;
    assert_eq!(opened.status, 201, "{}", opened.body);
    let place = opened.header("location").expect("a resource").to_owned();
    let own = format!("Authorization: Bearer {}\r\n", tokens.viewer);
    assert_eq!(request(&host, "GET", &place, "", "").await.status, 401);
    let other = format!("Authorization: Bearer {}\r\n", tokens.desk);
    assert_eq!(request(&host, "GET", &place, &other, "").await.code(), "media.unknown", "somebody else's");
    let there = request(&host, "GET", &place, &own, "").await;
    assert_eq!((there.status, there.body.as_str()), (204, ""));
    assert_eq!(request(&host, "HEAD", &place, &own, "").await.status, 204);
    assert_eq!(request(&host, "DELETE", &place, &own, "").await.status, 200);
    assert_eq!(request(&host, "GET", &place, &own, "").await.status, 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg70_a_player_that_is_before_its_picture_is_told_when_to_come_again() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let desk = head(&tokens.desk, "application/sdp");
    let early = request(&host, "POST", "/whep/demo?feed=glasses", &desk, &player()).await;
    assert_eq!((early.status, early.code().as_str(), early.header("retry-after")), (409, "feed.unknown", Some("2")));
    assert_eq!(early.json()["status"], 409);
    let wrong = request(&host, "POST", "/whep/demo?feed=no/name", &desk, &player()).await;
    assert_eq!((wrong.status, wrong.code().as_str(), wrong.header("retry-after")), (404, "feed.unknown", None), "no name at all");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg70_an_answer_is_one_way_in_one_stream_and_whole() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let (viewer, publisher) = (head(&tokens.viewer, "application/sdp"), head(&tokens.publisher, "application/sdp"));
    let both = format!("{}{}", player(), audio(1)).replace("a=group:BUNDLE 0\r\n", "a=group:BUNDLE 0 1\r\n");
    for direction in ["a=recvonly", "a=sendrecv"] {
        let offered = both.replace("a=recvonly", direction);
        let played = request(&host, "POST", "/whep/demo?audio=mix", &viewer, &offered).await;
        assert_eq!(played.status, 201, "{direction}: {}", played.body);
        assert_eq!(lines(&played, "a=sendonly").len(), 2, "{}", played.body);
        assert_eq!(lines(&played, "a=group:BUNDLE 0 1").len(), 1, "{}", played.body);
        let streams: Vec<_> = lines(&played, "a=msid:").iter().map(|l| l.split(' ').next().expect("a stream")).collect();
        assert!(streams.len() == 2 && streams[0] == streams[1], "one stream: {streams:?}");
        // RFC 8858 §4.3: an answer has the one, and never the other.
        assert_eq!((lines(&played, "a=rtcp-mux").len(), lines(&played, "a=rtcp-mux-only").len()), (2, 0), "{}", played.body);
        assert!(!lines(&played, "a=candidate:").is_empty() && !lines(&played, "a=ice-lite").is_empty(), "{}", played.body);
        assert!(lines(&played, "a=setup:").iter().all(|l| *l == "a=setup:passive"), "{}", played.body);
        assert!(played.header("etag").is_some_and(|tag| tag.starts_with('"')), "a strong one");
        // What it does not receive is no player's, as what a camera does not send is no camera's.
        for not in ["a=sendonly", "a=inactive"] {
            let refused = request(&host, "POST", "/whep/demo", &viewer, &player().replace("a=recvonly", not)).await;
            assert_eq!((refused.status, refused.code().as_str()), (422, "media.offer.invalid"), "{not}");
        }
    }
    for direction in ["a=sendonly", "a=sendrecv"] {
        for setup in ["a=setup:actpass", "a=setup:active"] {
            let offered = offer().replace("a=sendonly", direction).replace("a=setup:actpass", setup);
            let sent = request(&host, "POST", "/whip/demo/glasses", &publisher, &offered).await;
            assert_eq!(sent.status, 201, "{direction} {setup}: {}", sent.body);
            assert_eq!(lines(&sent, "a=recvonly").len(), 1, "{}", sent.body);
            assert_eq!(lines(&sent, "a=setup:"), ["a=setup:passive"], "{}", sent.body);
        }
    }
    let second = offer().split_once("m=video").map(|(_, v)| format!("m=video{v}").replace("a=mid:0", "a=mid:1")).expect("one");
    let two = request(&host, "POST", "/whip/demo/glasses", &publisher, &format!("{}{second}", offer())).await;
    assert_eq!((two.status, two.code().as_str()), (422, "media.offer.invalid"), "one track of a kind");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg70_who_takes_one_track_may_take_the_mix_alone() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let viewer = head(&tokens.viewer, "application/sdp");
    let listens = request(&host, "POST", "/whep/demo?audio=mix", &viewer, &audio(0)).await;
    assert_eq!(listens.status, 201, "{}", listens.body);
    assert_eq!((lines(&listens, "m=").len(), lines(&listens, "a=sendonly").len()), (1, 1), "{}", listens.body);
    let silent = request(&host, "POST", "/whep/demo", &viewer, &audio(0)).await;
    assert_eq!((silent.status, silent.code().as_str()), (422, "media.offer.invalid"), "nothing would ever come");
    // A picture is not wanted on its account, and other links are not given the sound.
    let figures = request(&host, "GET", "/metrics", "", "").await.body;
    assert!(figures.contains("shirube_media_peers 1"), "{figures}");
    let publisher = request(&host, "POST", "/whep/demo?audio=mix", &head(&tokens.publisher, "application/sdp"), &audio(0)).await;
    assert_eq!((publisher.status, publisher.code().as_str()), (403, "denied.role"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg24b_candidates_change_no_tag_and_what_cannot_be_restarted_goes_on() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let opened = request(&host, "POST", "/whep/demo", &head(&tokens.viewer, "application/sdp"), &player()).await;
    let (place, tag) = (opened.header("location").expect("a resource"), opened.header("etag").expect("a tag"));
    let random = place.rsplit('/').next().expect("a name");
    assert_eq!(random.len(), 22, "16 random bytes: {random}");
    let named = format!("{}If-Match: {tag}\r\n", head(&tokens.viewer, FRAGMENT));
    let candidates = "a=group:BUNDLE 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=ice-ufrag:EsAw\r\n\
        a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host\r\n\
        a=candidate:2 1 sctp 2122260223 192.0.2.1 61764 typ host\r\na=candidate:3 1 udp 5 nobody.local 9 typ host\r\n\
        a=end-of-candidates\r\n";
    let told = request(&host, "PATCH", place, &named, candidates).await;
    assert_eq!((told.status, told.header("etag"), told.body.as_str()), (204, None, ""), "what is not understood is passed over");

    let half = "a=ice-ufrag:NewOne\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n";
    let refused = request(&host, "PATCH", place, &named, half).await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "request.malformed"));
    assert_eq!(request(&host, "PATCH", place, &named, candidates).await.status, 204, "the session is as it was");
    let whole = format!("{half}a=ice-pwd:Q3vZsp1VPDR5ayklYbXDVj2k\r\n");
    let restarted = request(&host, "PATCH", place, &named, &whole).await;
    assert_eq!((restarted.status, restarted.header("content-type")), (200, Some(FRAGMENT)), "{}", restarted.body);
    for option in ["a=ice-lite", "a=ice-options:", "a=ice-pacing:"] {
        let first = |answer: &Answer| lines(answer, option).first().map(|l| (*l).to_owned());
        assert_eq!(first(&restarted), first(&opened), "the same as in the answer");
    }
    // No session has to be named to end it: a tag is passed over.
    assert_eq!(request(&host, "DELETE", place, &named, "").await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg24e_who_posts_without_end_is_told_to_wait() {
    let home = tempfile::tempdir().expect("a folder");
    let server = server(home.path()).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let publisher = head(&tokens.publisher, "application/sdp");
    let text = offer();
    let posts = (0..100).map(|_| request(&host, "POST", "/whip/demo/glasses", &publisher, &text));
    let answers = futures_util::future::join_all(posts).await;
    let refused = answers.iter().find(|answer| answer.status == 429).expect("there is a bound");
    assert_eq!(refused.code(), "request.too-often");
    let after: u64 = refused.header("retry-after").and_then(|s| s.parse().ok()).expect("seconds");
    // As a client that keeps to it: the same request is taken then.
    tokio::time::sleep(std::time::Duration::from_secs(after)).await;
    let again = request(&host, "POST", "/whip/demo/glasses", &publisher, &offer()).await;
    assert_eq!(again.status, 201, "{}", again.body);
    server.stop().await;
}
