//! The command line. One grammar, no configuration file yet.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;
use link::id::CaseId;

use super::keys::unsigned_token_id;
use super::turn;
use crate::claims::TokenId;

pub const USAGE: &str = "\
shirube — tele-surgery guidance, the server

  shirube demo [options]              a rehearsal case on sample or generated pictures
  shirube audit verify --data DIR     checks that no row of the audit was changed or taken out
  shirube links --data DIR            lists the links of all cases: number, case, role, end, used, withdrawn
  shirube revoke --data DIR LINK      withdraws a link, by its number or itself; a running server ends its connections
  shirube --version | --help

Options of demo:
  --data DIR         certificate, keys, database (default: .shirube/demo)
  --shared DIR       sample recordings; without it the pictures are generated
  --bind ADDRESS     address to listen on (default: 0.0.0.0)
  --https-port PORT  default 8443; 0 takes a free one
  --media-port PORT  UDP for pictures and voice, default 8444; 0 takes a free one
  --media-threads N  threads that forward them, each case in one; default 0: one for every four cores
  --announce ADDR:PORT  offer this address alone for pictures and voice (behind a NAT or a proxy)
  --turn URL         a TURN relay that pages may use, such as turns:turn.example.org:443?transport=tcp (up to 8 times)
  --turn-secret FILE the secret that the relay has as static-auth-secret
  --turn-valid S     how long a user name at the relay is worth something (default 3600); pages are given others in time
  --http [PORT]      also plain HTTP, on 127.0.0.1 only (default port: a free one)
  --json             one line of JSON when ready; ends with SIGTERM or the end of its input
  --drain SECONDS    after SIGTERM or Ctrl-C, how long those who are in a case may go on (default: 10, at most 600)
  --time-code        measuring mode: a time code in the pictures
  --no-engine        start no engine: there are no pictures
  --engine PATH      the engine's program (default: shirube-engine beside this one)
  --engine-config FILE  feeds, layout and encoder of the room (media-engine/pipeline/README.md) instead of the demo's
  --web-root DIR     the built pages (default: web-client/dist beside this program or here)
  --case ID          name of the case (default: demo, or the next free one after it has ended)
  --cases N          so many cases beside each other, each with an engine of its own: demo, demo-b, ... (1 to 8)
";

/// Longest drain, seconds: what ends a service waits no longer either.
const DRAIN_S_MAX: u64 = 600;
/// Cases beside each other: each brings an engine, which takes cores.
const CASES_MAX: usize = 8;

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    Demo(Box<Demo>),
    AuditVerify { data: PathBuf },
    Links { data: PathBuf },
    Revoke { data: PathBuf, link: TokenId },
    Help,
    Version,
}

/// Options of `shirube demo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demo {
    pub data: PathBuf,
    pub shared: Option<PathBuf>,
    pub bind: IpAddr,
    pub https_port: u16,
    pub media_port: u16,
    /// Threads that forward pictures and voices; 0: one for every four cores.
    pub media_threads: usize,
    pub announce: Option<SocketAddr>,
    pub turn: Vec<String>,
    pub turn_secret: Option<PathBuf>,
    pub turn_valid: Duration,
    pub http: Option<u16>,
    pub json: bool,
    /// After SIGTERM or SIGINT, how long those who are in a case may go on.
    pub drain: Duration,
    pub time_code: bool,
    pub no_engine: bool,
    pub engine: Option<PathBuf>,
    pub engine_config: Option<PathBuf>,
    pub web_root: Option<PathBuf>,
    pub case: Option<CaseId>,
    pub cases: usize,
}

impl Default for Demo {
    fn default() -> Self {
        Demo {
            data: PathBuf::from(".shirube/demo"),
            shared: None,
            bind: IpAddr::from([0, 0, 0, 0]),
            https_port: 8443,
            media_port: 8444,
            media_threads: 0,
            announce: None,
            turn: Vec::new(),
            turn_secret: None,
            turn_valid: turn::VALID,
            http: None,
            json: false,
            drain: Duration::from_secs(10),
            time_code: false,
            no_engine: false,
            engine: None,
            engine_config: None,
            web_root: None,
            case: None,
            cases: 1,
        }
    }
}

/// The arguments make no sense; the text says which and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}. See shirube --help")]
pub struct BadArguments(String);

pub fn parse<I>(arguments: I) -> Result<Task, BadArguments>
where
    I: IntoIterator,
    I::Item: Into<std::ffi::OsString>,
{
    let mut parser = lexopt::Parser::from_iter(arguments);
    read(&mut parser).map_err(|fault| BadArguments(fault.to_string()))
}

fn read(parser: &mut lexopt::Parser) -> Result<Task, lexopt::Error> {
    match parser.next()? {
        None | Some(Long("help") | Short('h')) => Ok(Task::Help),
        Some(Long("version") | Short('V')) => Ok(Task::Version),
        Some(Value(word)) if word == "demo" => demo(parser),
        Some(Value(word)) if word == "audit" => audit(parser),
        Some(Value(word)) if word == "links" => links(parser),
        Some(Value(word)) if word == "revoke" => revoke(parser),
        Some(other) => Err(other.unexpected()),
    }
}

fn demo(parser: &mut lexopt::Parser) -> Result<Task, lexopt::Error> {
    let mut demo = Demo::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("data") => demo.data = parser.value()?.into(),
            Long("shared") => demo.shared = Some(parser.value()?.into()),
            Long("bind") => demo.bind = parser.value()?.parse()?,
            Long("https-port") => demo.https_port = parser.value()?.parse()?,
            Long("media-threads") => demo.media_threads = parser.value()?.parse()?,
            Long("media-port") => demo.media_port = parser.value()?.parse()?,
            Long("announce") => demo.announce = Some(announced(parser.value()?.parse()?)?),
            Long("turn") => demo.turn.push(parser.value()?.string()?),
            Long("turn-valid") => demo.turn_valid = Duration::from_secs(parser.value()?.parse()?),
            Long("turn-secret") => demo.turn_secret = Some(parser.value()?.into()),
            Long("cases") => demo.cases = some_cases(parser.value()?.parse()?)?,
            Long("http") => demo.http = Some(optional_port(parser)?),
            Long("json") => demo.json = true,
            Long("drain") => demo.drain = Duration::from_secs(parser.value()?.parse::<u64>()?.min(DRAIN_S_MAX)),
            Long("time-code") => demo.time_code = true,
            Long("no-engine") => demo.no_engine = true,
            Long("engine") => demo.engine = Some(parser.value()?.into()),
            Long("engine-config") => demo.engine_config = Some(parser.value()?.into()),
            Long("web-root") => demo.web_root = Some(parser.value()?.into()),
            Long("case") => {
                let id = parser.value()?.string()?;
                demo.case = Some(CaseId::parse(&id).map_err(|fault| fault.to_string())?);
            }
            Long("help") | Short('h') => return Ok(Task::Help),
            other => return Err(other.unexpected()),
        }
    }
    if demo.engine_config.is_some() && demo.shared.is_some() {
        return Err("--engine-config names its own recordings: leave --shared out".into());
    }
    Ok(Task::Demo(Box::new(demo)))
}

/// Others are to reach it.
fn announced(address: SocketAddr) -> Result<SocketAddr, String> {
    if address.ip().is_unspecified() || address.port() == 0 {
        return Err(format!("--announce {address} is no address that others can reach: give the one they see"));
    }
    Ok(address)
}

fn some_cases(n: usize) -> Result<usize, String> {
    if (1..=CASES_MAX).contains(&n) { Ok(n) } else { Err(format!("--cases {n} is not 1 to {CASES_MAX}")) }
}

/// `--http`, `--http 8080` and `--http=8080`.
fn optional_port(parser: &mut lexopt::Parser) -> Result<u16, lexopt::Error> {
    if let Some(value) = parser.optional_value() {
        return value.parse();
    }
    let next = parser.try_raw_args().and_then(|mut rest| {
        let port = rest.peek()?.to_str()?.parse::<u16>().ok()?;
        rest.next();
        Some(port)
    });
    Ok(next.unwrap_or(0))
}

fn audit(parser: &mut lexopt::Parser) -> Result<Task, lexopt::Error> {
    let (mut verify, mut data) = (false, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Value(word) if word == "verify" => verify = true,
            Long("data") => data = Some(parser.value()?.into()),
            other => return Err(other.unexpected()),
        }
    }
    match (verify, data) {
        (true, Some(data)) => Ok(Task::AuditVerify { data }),
        _ => Err("audit needs: verify --data DIR".into()),
    }
}

fn links(parser: &mut lexopt::Parser) -> Result<Task, lexopt::Error> {
    let mut data = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("data") => data = Some(parser.value()?.into()),
            other => return Err(other.unexpected()),
        }
    }
    data.map(|data| Task::Links { data }).ok_or_else(|| "links needs: --data DIR".into())
}

fn revoke(parser: &mut lexopt::Parser) -> Result<Task, lexopt::Error> {
    let (mut data, mut link) = (None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("data") => data = Some(parser.value()?.into()),
            Value(text) if link.is_none() => link = Some(token_id(&text.string()?)?),
            other => return Err(other.unexpected()),
        }
    }
    match (data, link) {
        (Some(data), Some(link)) => Ok(Task::Revoke { data, link }),
        _ => Err("revoke needs: --data DIR LINK".into()),
    }
}

/// A link's number, or a whole link or token, whose number is read out of it. Never repeated in the error: it may be a secret.
fn token_id(text: &str) -> Result<TokenId, String> {
    let token = text.rsplit_once('#').map_or(text, |(_, token)| token);
    TokenId::parse(token)
        .or_else(|| unsigned_token_id(token))
        .ok_or_else(|| "this is neither a link nor a link's number: `shirube links` lists them".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demo_of(arguments: &[&str]) -> Demo {
        match parse(["shirube", "demo"].iter().chain(arguments)) {
            Ok(Task::Demo(demo)) => *demo,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_plain_port_may_be_named_or_not() {
        assert_eq!(demo_of(&[]).http, None);
        assert_eq!(demo_of(&["--http"]).http, Some(0));
        let named = demo_of(&["--http", "8080", "--json"]);
        assert_eq!((named.http, named.json), (Some(8080), true));
        let unnamed = demo_of(&["--http", "--json"]);
        assert_eq!((unnamed.http, unnamed.json), (Some(0), true));
        assert_eq!(demo_of(&["--http=81"]).http, Some(81));
    }

    #[test]
    fn an_announced_address_is_one_that_others_can_reach() {
        assert_eq!(demo_of(&["--announce", "192.0.2.7:9000"]).announce, Some(SocketAddr::from(([192, 0, 2, 7], 9000))));
        assert_eq!((demo_of(&[]).cases, demo_of(&["--cases", "2"]).cases), (1, 2));
    }

    #[test]
    fn nonsense_is_said() {
        let announced = ["demo", "--announce", "0.0.0.0:9000"];
        for wrong in [
            &["dance"][..],
            &announced,
            &["demo", "--announce", "here"],
            &["demo", "--cases", "0"],
            &["demo", "--engine-config", "room.toml", "--shared", "data"],
            &["demo", "--cases", "9"],
            &["demo", "--https-port", "99999"],
            &["demo", "--case", "A B"],
            &["audit", "verify"],
            &["links"],
            &["revoke", "--data", "d"],
            &["revoke", "--data", "d", "nonsense"],
        ] {
            let said = parse(["shirube"].iter().chain(wrong)).expect_err("nonsense").to_string();
            assert!(said.ends_with("See shirube --help"), "{said}");
        }
    }
}
