//! Engines that are halted: they neither read nor speak. Time is virtual.

use super::*;

const LONG: Duration = Duration::from_secs(600);

struct Bench {
    server: LinkServer,
    events: mpsc::Receiver<LinkEvent>,
    sfu: SfuHandle,
    _home: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let udp = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let (sfu, _) = sfu::start(sfu::SfuConfig { udp, ..sfu::SfuConfig::default() }).expect("starts");
        let home = tempfile::tempdir().expect("a folder");
        let (server, events) = LinkServer::bind(home.path(), Timeline::start(), sfu.clone()).expect("binds");
        Bench { server, events, sfu, _home: home }
    }
}

impl Bench {
    /// The control of an engine that is taken: its end, and what serves it.
    async fn engine(&mut self) -> (UnixStream, tokio::task::JoinHandle<()>) {
        let (mut engine, end) = UnixStream::pair().expect("a pair");
        let mut out = BytesMut::new();
        write_message(&mut out, &ToServer { body: Some(to_server::Body::Hello(hello())) });
        engine.write_all(&out).await.expect("sent");
        let running = tokio::spawn(run_control(end, self.server.shared.clone()));
        assert!(matches!(self.events.recv().await, Some(LinkEvent::Up { .. })));
        (engine, running)
    }

    /// Whoever is told is busy: no event finds room.
    fn fill(&self) {
        let word = || LinkEvent::Refused { code: String::new(), message: String::new() };
        while self.server.shared.events.try_send(word()).is_ok() {}
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.sfu.stop();
    }
}

fn hello() -> Hello {
    Hello { version: link::LINK_VERSION, case_id: "demo".into(), ..Default::default() }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_does_not_read_is_ended_and_another_one_is_taken() {
    let mut bench = Bench::new();
    let (shared, told) = (bench.server.shared.clone(), bench.server.commands());
    let (mut halted, end) = UnixStream::pair().expect("a pair");
    let mut out = BytesMut::new();
    write_message(&mut out, &ToServer { body: Some(to_server::Body::Hello(hello())) });
    halted.write_all(&out).await.expect("sent");

    let case = CaseId::parse("demo").expect("an id");
    let more_than_a_socket_holds = "x".repeat(8 << 20);
    let telling = async {
        assert!(matches!(bench.events.recv().await, Some(LinkEvent::Up { .. })));
        assert_eq!(register(&hello(), &shared).err().map(|(code, _)| code), Some("link.case-taken"));
        assert!(told.set_layout(&case, &more_than_a_socket_holds));
    };
    let ended = timeout(LONG, async { tokio::join!(run_control(end, shared.clone()), telling) }).await;
    ended.expect("it does not wait for ever for an engine that does not read");
    let down = bench.events.recv().await;
    assert!(matches!(&down, Some(LinkEvent::Down { reason, .. }) if reason.contains("has not read for 3 s")), "{down:?}");
    assert!(register(&hello(), &shared).is_ok(), "the next engine is taken");
}

#[tokio::test(start_paused = true)]
async fn the_media_of_a_link_end_with_it_though_the_engine_keeps_its_socket() {
    let bench = Bench::new();
    let shared = bench.server.shared.clone();
    let Ok((link_id, ..)) = register(&hello(), &shared) else { panic!("is taken") };
    let (mut halted, end) = UnixStream::pair().expect("a pair");
    let mut out = BytesMut::new();
    write_record(&mut out, link_id.as_bytes()).expect("fits");
    halted.write_all(&out).await.expect("sent");
    let ending = async {
        while lock(&shared.links).get(&link_id).is_some_and(|link| link.media_queue.is_some()) {
            tokio::task::yield_now().await;
        }
        lock(&shared.links).remove(&link_id);
    };
    let ended = timeout(LONG, async { tokio::join!(run_media(end, shared.clone()), ending) }).await;
    ended.expect("pictures of an engine that was given up are nobody's");
    drop(halted);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_no_words_ends_the_link_and_not_more() {
    let mut bench = Bench::new();
    let shared = bench.server.shared.clone();
    let (mut engine, running) = bench.engine().await;
    bench.fill();
    let mut out = BytesMut::new();
    write_message(&mut out, &ToServer { body: Some(to_server::Body::Feeds(wire::FeedList::default())) });
    engine.write_all(&out).await.expect("sent");
    // The engine goes on: it is not its silence that ends the link.
    tokio::time::sleep(LONG).await;
    let down = loop {
        match bench.events.recv().await.expect("an event") {
            LinkEvent::Down { reason, .. } => break reason,
            event => assert!(matches!(event, LinkEvent::Refused { .. }), "{event:?}"),
        }
    };
    assert!(down.contains("has not taken"), "{down}");
    running.await.expect("ends");
    assert!(register(&hello(), &shared).is_ok(), "the next engine is taken");
    drop(engine);
}

#[tokio::test(start_paused = true)]
async fn an_engine_is_taken_only_after_the_end_of_the_one_before_was_said() {
    let mut bench = Bench::new();
    let shared = bench.server.shared.clone();
    let (engine, running) = bench.engine().await;
    // The end cannot be said yet.
    bench.fill();
    drop(engine);
    tokio::time::sleep(LONG).await;
    assert_eq!(register(&hello(), &shared).err().map(|(code, _)| code), Some("link.case-taken"));
    while !matches!(bench.events.recv().await.expect("an event"), LinkEvent::Down { .. }) {}
    running.await.expect("ends");
    assert!(register(&hello(), &shared).is_ok(), "the next engine is taken");
}
