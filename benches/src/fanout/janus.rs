//! Janus (Debian's package, its streaming plugin) under the same load: a configuration of its own in a temporary folder, its
//! HTTP API by hand.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

const FOLDERS: &str = "/usr/lib/x86_64-linux-gnu/janus";

#[derive(Debug)]
pub struct Janus {
    child: Child,
    home: PathBuf,
    http: SocketAddr,
    pub rtp: SocketAddr,
    pub rtcp: SocketAddr,
    session: u64,
    transactions: u64,
}

/// One viewer's handle at Janus, and its offer.
#[derive(Debug)]
pub struct Watching {
    handle: u64,
    pub offer: String,
    pub asked: Instant,
}

impl Janus {
    /// `None`: it is not installed.
    pub fn start(ip: IpAddr) -> Result<Option<Self>> {
        if !PathBuf::from(FOLDERS).is_dir() {
            return Ok(None);
        }
        let home = std::env::temp_dir().join(format!("fanout-janus-{}", std::process::id()));
        fs::create_dir_all(&home)?;
        let (rtp, rtcp) = (super::free_udp(ip)?, super::free_udp(ip)?);
        let http = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let folder = home.display();
        fs::write(
            home.join("janus.jcfg"),
            format!(
                "general: {{\n configs_folder = \"{folder}\"\n plugins_folder = \"{FOLDERS}/plugins\"\n transports_folder = \
                 \"{FOLDERS}/transports\"\n events_folder = \"{folder}\"\n loggers_folder = \"{folder}\"\n debug_level = 2\n}}\n\
                 plugins: {{\n disable = \"libjanus_audiobridge.so,libjanus_duktape.so,libjanus_echotest.so,libjanus_lua.so,\
                 libjanus_nosip.so,libjanus_recordplay.so,libjanus_sip.so,libjanus_textroom.so,libjanus_videocall.so,\
                 libjanus_videoroom.so,libjanus_voicemail.so\"\n}}\n\
                 transports: {{\n disable = \"libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,libjanus_rabbitmq.so,\
                 libjanus_websockets.so\"\n}}\n"
            ),
        )?;
        fs::write(
            home.join("janus.transport.http.jcfg"),
            format!("general: {{\n http = true\n port = {}\n ip = \"127.0.0.1\"\n https = false\n}}\n", http.port()),
        )?;
        fs::write(
            home.join("janus.plugin.streaming.jcfg"),
            format!(
                "fanout: {{\n type = \"rtp\"\n id = 1\n audio = false\n video = true\n videoport = {}\n videortcpport = {}\n \
                 videopt = 96\n videocodec = \"h264\"\n videofmtp = \"profile-level-id=42e01f;packetization-mode=1\"\n}}\n",
                rtp.port(),
                rtcp.port()
            ),
        )?;
        let log = fs::File::create(home.join("log"))?;
        let child = Command::new("janus")
            .arg(format!("--configs-folder={folder}"))
            .arg(format!("--config={}", home.join("janus.jcfg").display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("janus does not start")?;
        let mut janus = Janus { child, home, http, rtp, rtcp, session: 0, transactions: 0 };
        let deadline = Instant::now() + Duration::from_secs(15);
        loop {
            if let Ok(created) = janus.post("/janus", json!({"janus": "create"})) {
                janus.session = created["data"]["id"].as_u64().context("a session has an id")?;
                return Ok(Some(janus));
            }
            if Instant::now() > deadline {
                bail!("janus does not answer: {}", fs::read_to_string(janus.home.join("log")).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// One more viewer; its offer.
    pub fn watch(&mut self) -> Result<Watching> {
        let asked = Instant::now();
        let session = format!("/janus/{}", self.session);
        let attached = self.post(&session, json!({"janus": "attach", "plugin": "janus.plugin.streaming"}))?;
        let handle = attached["data"]["id"].as_u64().with_context(|| format!("no handle: {attached}"))?;
        self.post(&format!("{session}/{handle}"), json!({"janus": "message", "body": {"request": "watch", "id": 1}}))?;
        for _ in 0..50 {
            let event = self.get(&format!("{session}?maxev=1"))?;
            if event["sender"].as_u64() == Some(handle)
                && let Some(offer) = event["jsep"]["sdp"].as_str()
            {
                return Ok(Watching { handle, offer: offer.to_owned(), asked });
            }
        }
        bail!("janus makes no offer")
    }

    pub fn answer(&mut self, watching: &Watching, sdp: &str) -> Result<()> {
        let path = format!("/janus/{}/{}", self.session, watching.handle);
        let jsep = json!({"type": "answer", "sdp": sdp});
        self.post(&path, json!({"janus": "message", "body": {"request": "start"}, "jsep": jsep}))?;
        Ok(())
    }

    /// It ends a session that says nothing for a minute.
    pub fn keep_alive(&mut self) -> Result<()> {
        self.post(&format!("/janus/{}", self.session), json!({"janus": "keepalive"})).map(drop)
    }

    fn post(&mut self, path: &str, mut body: Value) -> Result<Value> {
        self.transactions += 1;
        body["transaction"] = json!(format!("t{}", self.transactions));
        self.request(&format!("POST {path}"), &body.to_string())
    }

    fn get(&mut self, path: &str) -> Result<Value> {
        self.request(&format!("GET {path}"), "")
    }

    fn request(&self, line: &str, body: &str) -> Result<Value> {
        let mut stream = TcpStream::connect(self.http)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let length = body.len();
        write!(
            stream,
            "{line} HTTP/1.1\r\nHost: janus\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let body = answer.split_once("\r\n\r\n").context("an answer has a head")?.1;
        // Chunked or not, the JSON is what stands between the braces.
        let json = body.find('{').zip(body.rfind('}')).and_then(|(a, b)| body.get(a..=b)).context("an answer is JSON")?;
        let value: Value = serde_json::from_str(json).with_context(|| format!("an answer is JSON: {json}"))?;
        if value["janus"] == "error" {
            bail!("janus refuses {line}: {}", value["error"]["reason"]);
        }
        Ok(value)
    }
}

impl Drop for Janus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.home);
    }
}
