//! An engine whose server is elsewhere: TLS and WebSocket between them, over a line that is cut.

mod server;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use link::id::CaseId;
use pipeline::encode::rtp;
use pipeline::engine::Dial;
use pipeline::output::link::LinkEnd;
use pipeline::output::remote::{Remote, RemoteConfig};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use server::{CONFIG, Server, check_times, timestamp};
use tungstenite::Message;
use tungstenite::handshake::server::{Request, Response};
use tungstenite::http::StatusCode;

const TOKEN: &str = "token-of-the-case";
const FRAMES: usize = 20;
/// As the server does: an engine that hears nothing for six seconds takes the line for dead.
const PING_EVERY: Duration = Duration::from_secs(1);

/// A server's door: takes the two WebSockets of an engine and hands their bytes to the listening sockets of a [`Server`].
struct Door {
    port: u16,
    certificate: PathBuf,
    /// How often every connection was cut.
    cuts: Arc<AtomicUsize>,
    taken: Arc<AtomicUsize>,
    _folder: tempfile::TempDir,
}

impl Door {
    fn open(control: PathBuf, media: PathBuf) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let own = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a certificate");
        let certificate = folder.path().join("server.pem");
        std::fs::write(&certificate, own.cert.pem()).expect("written");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
        let tls = Arc::new(tls.with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key).expect("a pair"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (cuts, taken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (cutting, counting) = (cuts.clone(), taken.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, cuts, taken) = (tls.clone(), cutting.clone(), counting.clone());
                let paths = (control.clone(), media.clone());
                std::thread::spawn(move || serve(stream, tls, &paths, &cuts, &taken));
            }
        });
        Door { port, certificate, cuts, taken, _folder: folder }
    }
}

fn serve(stream: TcpStream, tls: Arc<rustls::ServerConfig>, paths: &(PathBuf, PathBuf), cuts: &AtomicUsize, taken: &AtomicUsize) {
    let life = cuts.load(Ordering::SeqCst);
    let tls = rustls::ServerConnection::new(tls).expect("a connection");
    let mut path = String::new();
    #[allow(clippy::result_large_err, reason = "the library's own type")]
    let callback = |request: &Request, response: Response| {
        let token = request.headers().get("authorization").and_then(|v| v.to_str().ok());
        path = request.uri().path().to_owned();
        if token == Some(&format!("Bearer {TOKEN}")) {
            Ok(response)
        } else {
            let mut refusal = tungstenite::http::Response::new(None);
            *refusal.status_mut() = StatusCode::UNAUTHORIZED;
            Err(refusal)
        }
    };
    let Ok(mut socket) = tungstenite::accept_hdr(rustls::StreamOwned::new(tls, stream), callback) else { return };
    let local = match path.as_str() {
        "/engine/case-1/control" => UnixStream::connect(&paths.0),
        "/engine/case-1/media" => UnixStream::connect(&paths.1),
        other => panic!("{other}"),
    };
    let Ok(mut local) = local else { return };
    taken.fetch_add(1, Ordering::SeqCst);
    local.set_nonblocking(true).expect("a socket");
    socket.get_ref().sock.set_read_timeout(Some(Duration::from_millis(2))).expect("a socket");
    let mut bytes = vec![0; 16 * 1024];
    let mut pinged = Instant::now();
    while cuts.load(Ordering::SeqCst) == life {
        if pinged.elapsed() >= PING_EVERY {
            pinged = Instant::now();
            if socket.send(Message::Ping(Vec::new().into())).is_err() {
                return;
            }
        }
        match socket.read() {
            Ok(Message::Binary(piece)) => {
                local.set_nonblocking(false).expect("a socket");
                if local.write_all(&piece).is_err() {
                    return;
                }
                local.set_nonblocking(true).expect("a socket");
            }
            Ok(_) => {}
            Err(tungstenite::Error::Io(e)) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
        match local.read(&mut bytes) {
            Ok(0) => return,
            Ok(n) if socket.send(Message::binary(bytes[..n].to_vec())).is_err() => return,
            _ => {}
        }
    }
}

fn dial(door: &Door, token: &str) -> (Dial, Remote) {
    let case = CaseId::parse("case-1").expect("an id");
    let server = format!("wss://localhost:{}", door.port);
    let config = RemoteConfig::new(&server, token, case.clone(), Some(&door.certificate)).expect("good");
    // This door knows no WHIP: the server of the whole is asked for that elsewhere.
    let remote = Remote::start(&config.by_tcp_alone()).expect("a folder");
    (Dial { control: remote.path("control"), media: remote.path("media"), case, way: remote.way() }, remote)
}

#[test]
fn pictures_and_their_times_come_through_and_come_back_after_a_cut() {
    let mut server = Server::listen();
    let door = Door::open(server.path("control"), server.path("media"));
    let (dial, remote) = dial(&door, TOKEN);
    server.run_by(CONFIG, dial);
    server.accept();
    server.want(true);
    check(&mut server);
    assert!(door.taken.load(Ordering::SeqCst) >= 2, "both connections go by the door");

    door.cuts.fetch_add(1, Ordering::SeqCst);
    server.hang_up();
    server.accept();
    server.want(true);
    check(&mut server);
    server.stop();
    drop(remote);
}

/// Every frame has its index, which names captures on the server's timeline. Either may be here first: they come by two connections,
/// between which nobody promises an order.
fn check(server: &mut Server) {
    server.until("pictures and the index of each", |s| {
        let shown: Vec<u32> = s.packets.iter().filter(|p| rtp::marker(p)).map(|p| timestamp(p)).take(FRAMES).collect();
        shown.len() == FRAMES && shown.iter().all(|ts| s.indexes.contains_key(ts))
    });
    server.until("a picture of the main feed in time", |s| check_times(&s.in_order()) > 0);
}

#[test]
fn a_token_that_is_not_accepted_ends_the_engine_with_a_sentence() {
    let mut server = Server::listen();
    let door = Door::open(server.path("control"), server.path("media"));
    let (dial, _remote) = dial(&door, "somebody-else's");
    server.run_by(CONFIG, dial);
    let end = server.engine.take().expect("running").join().expect("no panic");
    let Err(LinkEnd::Refused { code, message }) = end else { panic!("{end:?}") };
    assert!(code == "link.token" && message.contains("401"), "{message}");
}

#[test]
fn what_is_not_encrypted_or_signed_by_somebody_known_is_not_dialled() {
    let case = || CaseId::parse("case-1").expect("an id");
    let refused = |server: &str| RemoteConfig::new(server, TOKEN, case(), None).expect_err("refused").message;
    assert!(refused("ws://localhost").contains("wss://"));
    assert!(refused("wss://localhost/elsewhere").contains("no path"));
    assert!(refused("wss://localhost:port").contains("port"));
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").expect("written");
    let refusal = RemoteConfig::new("wss://localhost", TOKEN, case(), Some(&empty)).expect_err("refused");
    assert_eq!(refusal.code, "engine.authority");
}
