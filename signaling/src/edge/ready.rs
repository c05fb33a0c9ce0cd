//! What a server says when it is ready: addresses, and each case's links and tokens.

use std::net::IpAddr;
use std::time::Duration;

use annotation::id::FeedId;
use annotation::time::CaptureTime;
use anyhow::Context;
use link::id::CaseId;
use serde::Serialize;

use super::keys::Keys;
use super::store::{Command, Store};
use crate::claims::{Claims, FeedScope, PersonKey, Role};
use crate::demo;

/// Life of the links of a demo.
const LINKS_FOR: Duration = Duration::from_secs(12 * 3600);

/// Said in one line of JSON when the server is ready (DESIGN §10).
#[derive(Debug, Clone, Serialize)]
pub struct Ready {
    pub base_url: String,
    pub http_url: Option<String>,
    pub case: String,
    pub media_port: u16,
    pub pids: Pids,
    pub links: Links,
    pub tokens: Tokens,
    /// The cases beside the first.
    pub more: Vec<OneCase>,
    /// For people: the same server under the machine's other addresses.
    #[serde(skip)]
    pub addresses: Vec<IpAddr>,
}

/// One case of several.
#[derive(Debug, Clone, Serialize)]
pub struct OneCase {
    pub case: String,
    pub links: Links,
    pub tokens: Tokens,
    pub pids: Pids,
}

#[derive(Debug, Clone, Serialize)]
pub struct Pids {
    pub server: u32,
    pub engine: Option<u32>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Links {
    pub mentor: String,
    pub room: String,
    pub desk: String,
    pub vendor: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Tokens {
    pub mentor: String,
    pub room: String,
    pub desk: String,
    pub vendor: String,
    pub publisher: String,
    pub viewer: String,
    /// Of an engine that runs elsewhere.
    pub engine: String,
}

impl OneCase {
    /// Makes the tokens of a case, on disk before they are told.
    pub(super) async fn issue(
        keys: &Keys,
        store: &Store,
        case: &CaseId,
        base_url: &str,
        now: CaptureTime,
    ) -> anyhow::Result<Self> {
        let tokens = issue(keys, store, case, now).await?;
        let link = |token: &str| format!("{base_url}/#{token}");
        let links = Links {
            mentor: link(&tokens.mentor),
            room: link(&tokens.room),
            desk: link(&tokens.desk),
            vendor: link(&tokens.vendor),
        };
        Ok(OneCase { case: case.to_string(), links, tokens, pids: Pids { server: std::process::id(), engine: None } })
    }
}

async fn issue(keys: &Keys, store: &Store, case: &CaseId, now: CaptureTime) -> anyhow::Result<Tokens> {
    let expires_unix_s = now.saturating_add(LINKS_FOR).to_unix().as_secs();
    let mut made = Vec::new();
    for (person, role, feeds) in [
        (demo::MENTOR, Role::Mentor, FeedScope::All),
        (demo::ROOM, Role::Room, FeedScope::All),
        (demo::DESK, Role::Desk, FeedScope::All),
        (demo::VENDOR, Role::Vendor, FeedScope::Only(Vec::new())),
        (demo::PUBLISHER, Role::Publisher, FeedScope::All),
        (demo::VIEWER, Role::Viewer, FeedScope::Only(vec![FeedId::program()])),
        (demo::ENGINE, Role::Engine, FeedScope::Only(Vec::new())),
    ] {
        let person = PersonKey::parse(person).context("a key of the demo is no key")?;
        let claims = Claims { id: keys.token_id()?, case: case.clone(), person, role, feeds, expires_unix_s };
        made.push(keys.sign_token(&claims));
        store.send(Command::TokenIssued(claims)).await?;
    }
    store.flush().await?;
    let [mentor, room, desk, vendor, publisher, viewer, engine] =
        <[String; 7]>::try_from(made).map_err(|_| anyhow::anyhow!("seven tokens"))?;
    Ok(Tokens { mentor, room, desk, vendor, publisher, viewer, engine })
}
