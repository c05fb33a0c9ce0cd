//! The way to a server that is not on this machine: both connections of the link, each as a WebSocket over TLS, dialled from here and
//! from nowhere else. The link itself does not know: it dials two sockets in a folder of ours, and a thread for each carries its bytes.
//!
//! Control goes so always, and what comes down the media connection. What goes up it, the packets of the layers, goes by WHIP as soon
//! as it can ([`super::ways`]), so that a lost packet holds up nothing but itself.
//!
//! Bytes pass unchanged, so captures, indexes and timestamps are those of the engine. What the line cannot carry waits in the link's own queue, which
//! drops whole frames after 200 ms: nothing here holds more than one piece and the system's send buffer, which is kept small. A lost
//! connection ends the local one; the link dials again, and so does this, for ever.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use link::control::write_message;
use link::id::CaseId;
use link::wire::{Refused, ToEngine, to_engine};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tungstenite::client::IntoClientRequest;
use tungstenite::http::{HeaderValue, StatusCode};
use tungstenite::protocol::{Message, WebSocketConfig};
use tungstenite::{HandshakeError, WebSocket};

use super::FarLine;
use super::link::Way;
use super::pinned::Pinned;
use super::ways::Ways;
use crate::clock::LocalClock;
use crate::refusal::Refusal;

const CONNECT_MAX: Duration = Duration::from_secs(5);
/// From connecting to the answer of the upgrade, each read.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Without anything, a ping included, for so long the server is gone.
const SILENT_MAX: Duration = Duration::from_secs(6);
const TURN_MAX: Duration = Duration::from_millis(500);
const PIECE_BYTES: usize = 16 * 1024;
/// Packets without a way of their own that wait for the line: 200 ms of 4 Mbit/s. Past it the link is not read, and drops whole frames.
const UP_BYTES_MAX: usize = 100 * 1024;
/// Of the system: 100 ms of 5 Mbit/s; the kernel doubles it.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Authorities of the system, where none are named.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Which server, and how it is known.
#[derive(Clone)]
pub struct RemoteConfig {
    host: String,
    port: u16,
    tls: Arc<ClientConfig>,
    token: String,
    case: CaseId,
    by_whip: bool,
}

impl std::fmt::Debug for RemoteConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the token.
        write!(f, "RemoteConfig({}:{})", self.host, self.port)
    }
}

impl RemoteConfig {
    /// `server`: `wss://host[:port]`. `authority`: PEM of who signed the server's certificate, or of that certificate itself.
    pub fn new(server: &str, token: &str, case: CaseId, authority: Option<&Path>) -> Result<Self, Refusal> {
        let wrong = |what: &str| Refusal::new("engine.arguments", format!("Wrong arguments: {what}."));
        let host =
            server.strip_prefix("wss://").ok_or_else(|| wrong("--server begins with wss://; nothing goes in the clear"))?;
        let host = host.trim_end_matches('/');
        let (host, port) = match host.rsplit_once(':') {
            Some((name, port)) => (name, port.parse().map_err(|_| wrong("the port of --server is no number"))?),
            None => (host, 443),
        };
        if host.is_empty() || host.contains('/') {
            return Err(wrong("--server names a host and a port, and no path"));
        }
        if HeaderValue::from_str(token).is_err() {
            return Err(wrong("--token is no token of a server"));
        }
        let path = authority.unwrap_or(Path::new(SYSTEM_AUTHORITIES));
        let unreadable = |e: String| {
            Refusal::new(
                "engine.authority",
                format!("{} holds no certificates ({e}); name the server's authority with --ca.", path.display()),
            )
        };
        let all = CertificateDer::pem_file_iter(path).map_err(|e| unreadable(e.to_string()))?;
        let all: Vec<CertificateDer<'static>> = all.filter_map(Result::ok).collect();
        if all.is_empty() {
            return Err(unreadable("it is empty".into()));
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(all.iter().cloned());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().map_err(|e| unreadable(e.to_string()))?;
        let pinned = Pinned::new(all, roots, provider).map_err(unreadable)?;
        let tls = builder.dangerous().with_custom_certificate_verifier(Arc::new(pinned)).with_no_client_auth();
        Ok(RemoteConfig { host: host.to_owned(), port, tls: Arc::new(tls), token: token.to_owned(), case, by_whip: true })
    }

    /// Nothing but TCP leaves: where it is known that UDP does not pass.
    pub fn by_tcp_alone(self) -> Self {
        RemoteConfig { by_whip: false, ..self }
    }

    pub(super) fn case(&self) -> &CaseId {
        &self.case
    }

    /// As in a `Host` header.
    pub(super) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// A connection over TLS, for one request or for a WebSocket; reads and writes give up after 5 s.
    pub(super) fn connect(&self) -> Result<Tls, End> {
        let name = self.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let addresses = (name.as_str(), self.port).to_socket_addrs().map_err(End::Unreachable)?;
        let mut last = io::Error::from(ErrorKind::NotFound);
        let mut connected = None;
        for address in addresses {
            match TcpStream::connect_timeout(&address, CONNECT_MAX) {
                Ok(stream) => {
                    connected = Some(stream);
                    break;
                }
                Err(error) => last = error,
            }
        }
        let stream = connected.ok_or(End::Unreachable(last))?;
        let prepare = || {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(HANDSHAKE_MAX))?;
            stream.set_write_timeout(Some(HANDSHAKE_MAX))?;
            rustix::net::sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER_BYTES)?;
            io::Result::Ok(())
        };
        prepare().map_err(End::Unreachable)?;
        let name = ServerName::try_from(name).map_err(|e| End::Handshake(e.to_string()))?;
        let tls = ClientConnection::new(self.tls.clone(), name).map_err(|e| End::Handshake(e.to_string()))?;
        Ok(StreamOwned::new(tls, stream))
    }
}

/// The two sockets that the link is to dial. The folder goes with this.
#[derive(Debug)]
pub struct Remote {
    folder: PathBuf,
    line: Arc<FarLine>,
}

impl Remote {
    /// Begins to carry.
    pub fn start(config: &RemoteConfig) -> io::Result<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let n = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("shirube-engine-{}-{n}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let remote = Remote { folder, line: Arc::default() };
        for part in ["control", "media"] {
            let listener = UnixListener::bind(remote.path(part))?;
            let (config, line) = (config.clone(), remote.line.clone());
            std::thread::Builder::new().name(format!("remote-{part}")).spawn(move || {
                // One after the other: the link has one of each.
                while let Ok((local, _)) = listener.accept() {
                    let end = carry(&config, part, &line, local);
                    tracing::info!(part, why = %end, "the connection to the server ended");
                }
            })?;
        }
        Ok(remote)
    }

    pub fn path(&self, part: &str) -> PathBuf {
        self.folder.join(part)
    }

    /// For the link that dials.
    pub fn way(&self) -> Way {
        Way::Far(self.line.clone())
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

type Tls = StreamOwned<ClientConnection, TcpStream>;
type Secure = WebSocket<Tls>;

/// Why a connection ended or was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the server cannot be reached: {0}")]
    Unreachable(io::Error),
    #[error("the server's certificate or answer is not accepted: {0}")]
    Handshake(String),
    #[error("the server refuses this engine's token ({0})")]
    Refused(StatusCode),
    #[error("the server is silent")]
    Silent,
    #[error("the server closed it: {0}")]
    Closed(String),
    #[error("the engine closed it")]
    Local,
}

/// One life of one connection.
fn carry(config: &RemoteConfig, part: &str, line: &FarLine, mut local: UnixStream) -> End {
    let mut socket = match dial(config, part) {
        Ok(socket) => socket,
        Err(end) => {
            if let End::Refused(status) = &end
                && part == "control"
                // An end may be taken back: the engine asks again, and nothing is sent meanwhile.
                && *status != StatusCode::GONE
            {
                refuse(&mut local, *status);
            }
            return end;
        }
    };
    tracing::info!(part, server = config.host, "connected to the server");
    let ways = (part == "media" && config.by_whip).then(|| Ways::new(config, line));
    match exchange(&mut socket, &mut local, ways) {
        Ok(end) => end,
        Err(error) => End::Unreachable(error),
    }
}

/// An engine whose token is worth nothing is told so as a server on this machine would tell it, and ends.
fn refuse(local: &mut UnixStream, status: StatusCode) {
    let message = format!("its token is not accepted ({status}); give it a token of this case that has not expired");
    let refused = Refused { code: "link.token".into(), message };
    let mut out = BytesMut::new();
    write_message(&mut out, &ToEngine { body: Some(to_engine::Body::Refused(refused)) });
    let _ = local.write_all(&out);
}

fn dial(config: &RemoteConfig, part: &str) -> Result<Secure, End> {
    let stream = config.connect()?;
    let handshake = End::Handshake;
    let url = format!("wss://{}:{}/engine/{}/{part}", config.host, config.port, config.case);
    let mut request = url.into_client_request().map_err(|e| handshake(e.to_string()))?;
    let bearer = HeaderValue::from_str(&format!("Bearer {}", config.token)).map_err(|e| handshake(e.to_string()))?;
    request.headers_mut().insert("authorization", bearer);
    // What is written is written out: nothing gathers here.
    let limits = WebSocketConfig::default().write_buffer_size(0).max_write_buffer_size(4 * PIECE_BYTES);
    let opened = tungstenite::client::client_with_config(request, stream, Some(limits));
    let (socket, _) = opened.map_err(|e| match e {
        HandshakeError::Failure(tungstenite::Error::Http(answer)) if answer.status().is_client_error() => {
            End::Refused(answer.status())
        }
        HandshakeError::Failure(error) => handshake(error.to_string()),
        HandshakeError::Interrupted(_) => End::Silent,
    })?;
    Ok(socket)
}

/// Bytes both ways until one side ends. With `ways`, what goes up is sorted first.
fn exchange(socket: &mut Secure, local: &mut UnixStream, mut ways: Option<Ways<'_>>) -> io::Result<End> {
    socket.get_ref().sock.set_nonblocking(true)?;
    local.set_nonblocking(true)?;
    let clock = LocalClock::start();
    let (mut down, mut incoming, mut up) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
    let mut piece = vec![0u8; PIECE_BYTES];
    // The line has not taken all of what was given.
    let mut full = false;
    let mut heard_at = clock.now();
    loop {
        if let Some(ways) = &mut ways {
            ways.tend(clock.now());
        }
        // Packets that have a way of their own do not wait for the line.
        let takes = if ways.is_some() { up.len() < UP_BYTES_MAX } else { up.is_empty() };
        let mut local_flags = if takes { PollFlags::IN } else { PollFlags::empty() };
        local_flags |= if down.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        let line_flags = if full { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let local_ready = {
            let mut fds = [PollFd::new(&*local, local_flags), PollFd::new(&socket.get_ref().sock, line_flags)];
            let most = Timespec { tv_sec: 0, tv_nsec: TURN_MAX.subsec_nanos().into() };
            match poll(&mut fds, Some(&most)) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            fds[0].revents()
        };
        if !takes && local_ready.intersects(PollFlags::HUP | PollFlags::ERR) {
            return Ok(End::Local);
        }
        if takes && local_ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            match local.read(&mut piece) {
                Ok(0) => {
                    let _ = socket.close(None);
                    let _ = socket.flush();
                    return Ok(End::Local);
                }
                Ok(n) => match &mut ways {
                    Some(ways) => {
                        incoming.extend_from_slice(&piece[..n]);
                        ways.sort(&mut incoming, &mut up, clock.now());
                    }
                    None => up.extend_from_slice(&piece[..n]),
                },
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(_) => return Ok(End::Local),
            }
        }
        if full {
            match flushed(socket.flush())? {
                Flushed::All => full = false,
                Flushed::Part => {}
                Flushed::Closed(why) => return Ok(End::Closed(why)),
            }
        }
        while !full && !up.is_empty() {
            let next = up.split_to(up.len().min(PIECE_BYTES));
            match flushed(socket.send(Message::binary(next.to_vec())))? {
                Flushed::All => {}
                Flushed::Part => full = true,
                Flushed::Closed(why) => return Ok(End::Closed(why)),
            }
        }
        // The other side is read only as fast as the link takes it.
        while down.len() < PIECE_BYTES {
            match socket.read() {
                Ok(Message::Binary(bytes)) => {
                    heard_at = clock.now();
                    down.extend_from_slice(&bytes);
                }
                Ok(Message::Close(frame)) => {
                    return Ok(End::Closed(frame.map_or_else(String::new, |f| f.reason.to_string())));
                }
                // A ping's answer leaves with the next write.
                Ok(_) => {
                    heard_at = clock.now();
                    full |= matches!(flushed(socket.flush())?, Flushed::Part);
                }
                Err(tungstenite::Error::Io(e)) if e.kind() == ErrorKind::WouldBlock => break,
                Err(tungstenite::Error::Io(e)) => return Err(e),
                Err(other) => return Ok(End::Closed(other.to_string())),
            }
        }
        while !down.is_empty() {
            match local.write(&down) {
                Ok(n) if n > 0 => drop(down.split_to(n)),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => break,
                _ => return Ok(End::Local),
            }
        }
        if clock.now().since(heard_at) >= SILENT_MAX {
            return Ok(End::Silent);
        }
    }
}

enum Flushed {
    All,
    Part,
    Closed(String),
}

fn flushed(result: Result<(), tungstenite::Error>) -> io::Result<Flushed> {
    match result {
        Ok(()) => Ok(Flushed::All),
        Err(tungstenite::Error::Io(e)) if e.kind() == ErrorKind::WouldBlock => Ok(Flushed::Part),
        Err(tungstenite::Error::Io(e)) => Err(e),
        Err(other) => Ok(Flushed::Closed(other.to_string())),
    }
}
