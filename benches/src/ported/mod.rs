//! The real server in this process, its plain door, and what WHIP and WHEP clients say there; for tests.

pub mod colour;
pub mod graph;
pub mod strokes;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use signaling::edge::cli::Demo;
use signaling::edge::server::{self, Running};

/// Far longer than anything takes.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const SDP: &str = "application/sdp";
pub const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// A server without an engine, on free ports, that binds to `bind`. `home`: an empty folder.
pub fn start(runtime: &tokio::runtime::Runtime, home: &Path, bind: IpAddr) -> Result<Running> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let web = home.join("web");
    std::fs::create_dir_all(&web)?;
    std::fs::write(web.join("index.html"), "<!doctype html><title>Shirube</title>")?;
    let config = Demo {
        data: home.join("data"),
        bind,
        https_port: 0,
        media_port: 0,
        http: Some(0),
        no_engine: true,
        web_root: Some(web),
        ..Demo::default()
    };
    runtime.block_on(server::start(&config))
}

/// As [`start`], on loopback.
pub fn start_here(runtime: &tokio::runtime::Runtime, home: &Path) -> Result<Running> {
    start(runtime, home, Ipv4Addr::LOCALHOST.into())
}

/// A server on loopback with a home of its own, for one test.
#[derive(Debug)]
pub struct Door {
    pub home: tempfile::TempDir,
    pub runtime: tokio::runtime::Runtime,
    pub server: Running,
}

impl Door {
    pub fn open() -> Result<Self> {
        let home = tempfile::tempdir()?;
        let runtime = tokio::runtime::Runtime::new()?;
        let server = start_here(&runtime, home.path())?;
        Ok(Door { home, runtime, server })
    }

    /// # Panics
    /// When the server has no plain door: [`start`] gives it one.
    #[allow(clippy::expect_used)]
    pub fn http(&self, token: &str) -> Http {
        Http::of(&self.server, token).expect("a plain door")
    }

    /// Its home is what it leaves, gone when dropped.
    pub fn close(self) -> tempfile::TempDir {
        self.runtime.block_on(self.server.stop());
        self.home
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// A client's side of HTTP, with its token.
#[derive(Debug, Clone)]
pub struct Http {
    /// Address and port of the plain door.
    pub host: String,
    pub token: String,
}

impl Http {
    pub fn of(server: &Running, token: &str) -> Result<Self> {
        let url = server.ready.http_url.as_deref().context("no plain door")?;
        Ok(Http { host: url.trim_start_matches("http://").to_owned(), token: token.to_owned() })
    }

    /// One request on a connection of its own.
    pub fn request(&self, method: &str, path: &str, head: &[(&str, &str)], body: &str) -> Result<Answer> {
        let mut stream = TcpStream::connect(&self.host).with_context(|| format!("nobody listens at {}", self.host))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let lines: String = head.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n{lines}\r\n{body}",
            self.host,
            self.token,
            body.len()
        );
        stream.write_all(text.as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (head, body) = text.split_once("\r\n\r\n").context("no head")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
        Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
    }

    /// Posts an offer, again as long as it is told to come again: a camera is connected a moment before its feed is there.
    /// `meanwhile`: to be done between two attempts.
    pub fn post(&self, path: &str, offer: &str, mut meanwhile: impl FnMut()) -> Result<Answer> {
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.request("POST", path, &[("Content-Type", SDP)], offer)?;
            if answer.header("retry-after").is_none() || Instant::now() > until {
                ensure!(answer.status == 201, "{}: {}", answer.status, answer.body);
                return Ok(answer);
            }
            meanwhile();
        }
    }

    /// A figure without labels from `/metrics`.
    pub fn figure(&self, name: &str) -> Result<u64> {
        let figures = self.request("GET", "/metrics", &[], "")?.body;
        let told = figures.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
        told.with_context(|| format!("no figure {name}"))?.parse().context("a number")
    }

    /// The first figure of this name whose labels have `label`.
    pub fn figure_of(&self, name: &str, label: &str) -> Result<Option<f64>> {
        let figures = self.request("GET", "/metrics", &[], "")?.body;
        let mut lines = figures.lines().filter(|l| l.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')));
        let line = lines.find(|l| l.contains(label));
        line.and_then(|l| l.rsplit(' ').next()).map(|n| n.parse().context("a number")).transpose()
    }

    /// Until the media thread serves so many connections.
    pub fn wait_for_peers(&self, wanted: u64) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let told = self.figure("shirube_media_peers")?;
            if told == wanted {
                return Ok(());
            }
            ensure!(Instant::now() < until, "{told} connections where {wanted} were to be");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
