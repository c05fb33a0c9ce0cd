//! What a token claims: one person (or machine), in one role, in one case, until a time. Pure: bytes in, values out.
//! Whether the signature is good is `edge/keys.rs`'s matter; whether the claim is enough is [`crate::authorize`]'s.

use std::fmt;

use annotation::id::{FeedId, is_id};
use annotation::time::CaptureTime;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use link::id::CaseId;

/// Version byte at the head of the claim's bytes.
const CLAIMS_VERSION: u8 = 1;
/// Stands in the place of the number of feeds where every feed is meant.
const ALL_FEEDS: u8 = 0xFF;
/// Random bytes of a token id: 72 bits.
pub const TOKEN_ID_BYTES: usize = 9;

/// What a token's bearer is to the case. The first seven are people; the others are kinds of media token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Role {
    Room = 1,
    Mentor = 2,
    Desk = 3,
    Observer = 4,
    Vendor = 5,
    Planner = 6,
    Administrator = 7,
    Publisher = 64,
    Viewer = 65,
    Engine = 66,
}

impl Role {
    pub const ALL: [Role; 10] = [
        Role::Room,
        Role::Mentor,
        Role::Desk,
        Role::Observer,
        Role::Vendor,
        Role::Planner,
        Role::Administrator,
        Role::Publisher,
        Role::Viewer,
        Role::Engine,
    ];

    pub fn from_u8(byte: u8) -> Option<Self> {
        Role::ALL.into_iter().find(|role| *role as u8 == byte)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Role::Room => "room",
            Role::Mentor => "mentor",
            Role::Desk => "desk",
            Role::Observer => "observer",
            Role::Vendor => "vendor",
            Role::Planner => "planner",
            Role::Administrator => "administrator",
            Role::Publisher => "publisher",
            Role::Viewer => "viewer",
            Role::Engine => "engine",
        }
    }

    /// False for media tokens: they have no page, no name and no ink.
    pub fn is_person(self) -> bool {
        !matches!(self, Role::Publisher | Role::Viewer | Role::Engine)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Name of one token; not a secret. Twelve characters of `A-Z a-z 0-9 - _` in URLs and cookie names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub [u8; TOKEN_ID_BYTES]);

impl TokenId {
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(TokenId)
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "token:{self}")
    }
}

/// Who within the case: a key such as `room` or `mentor-a`, 1 to 32 characters as ids are. Never a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonKey(String);

impl PersonKey {
    pub fn parse(text: &str) -> Option<Self> {
        is_id(text).then(|| PersonKey(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which feeds the bearer may watch or publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedScope {
    All,
    /// At most 254.
    Only(Vec<FeedId>),
}

impl FeedScope {
    pub fn covers(&self, feed: &FeedId) -> bool {
        match self {
            FeedScope::All => true,
            FeedScope::Only(feeds) => feeds.contains(feed),
        }
    }
}

/// The signed content of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    pub id: TokenId,
    pub case: CaseId,
    pub person: PersonKey,
    pub role: Role,
    pub feeds: FeedScope,
    /// Seconds since 1970-01-01 UTC; from this second on the token is worth nothing.
    pub expires_unix_s: u64,
}

/// The bytes are no claim of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no claim")]
pub struct BadClaims;

impl Claims {
    pub fn is_expired(&self, now: CaptureTime) -> bool {
        now.to_unix().as_secs() >= self.expires_unix_s
    }

    /// Layout: version, role, expiry (u64 big-endian), id, then case, person and feeds, each with its length in one byte.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.push(CLAIMS_VERSION);
        out.push(self.role as u8);
        out.extend_from_slice(&self.expires_unix_s.to_be_bytes());
        out.extend_from_slice(&self.id.0);
        push_text(&mut out, self.case.as_str());
        push_text(&mut out, self.person.as_str());
        match &self.feeds {
            FeedScope::All => out.push(ALL_FEEDS),
            FeedScope::Only(feeds) => {
                let feeds = &feeds[..feeds.len().min(usize::from(ALL_FEEDS) - 1)];
                out.push(feeds.len() as u8);
                for feed in feeds {
                    push_text(&mut out, feed.as_str());
                }
            }
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, BadClaims> {
        let mut rest = bytes;
        if take(&mut rest, 1)?[0] != CLAIMS_VERSION {
            return Err(BadClaims);
        }
        let role = Role::from_u8(take(&mut rest, 1)?[0]).ok_or(BadClaims)?;
        let expires = take(&mut rest, 8)?.try_into().map_err(|_| BadClaims)?;
        let id = take(&mut rest, TOKEN_ID_BYTES)?.try_into().map_err(|_| BadClaims)?;
        let case = CaseId::parse(take_text(&mut rest)?).map_err(|_| BadClaims)?;
        let person = PersonKey::parse(take_text(&mut rest)?).ok_or(BadClaims)?;
        let feeds = match take(&mut rest, 1)?[0] {
            ALL_FEEDS => FeedScope::All,
            n => {
                let mut feeds = Vec::with_capacity(usize::from(n));
                for _ in 0..n {
                    feeds.push(FeedId::parse(take_text(&mut rest)?).map_err(|_| BadClaims)?);
                }
                FeedScope::Only(feeds)
            }
        };
        if !rest.is_empty() {
            return Err(BadClaims);
        }
        Ok(Claims { id: TokenId(id), case, person, role, feeds, expires_unix_s: u64::from_be_bytes(expires) })
    }
}

/// Ids are at most 32 bytes, so the length fits its byte.
fn push_text(out: &mut Vec<u8>, text: &str) {
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}

fn take<'a>(rest: &mut &'a [u8], n: usize) -> Result<&'a [u8], BadClaims> {
    let (head, tail) = rest.split_at_checked(n).ok_or(BadClaims)?;
    *rest = tail;
    Ok(head)
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Result<&'a str, BadClaims> {
    let n = usize::from(take(rest, 1)?[0]);
    std::str::from_utf8(take(rest, n)?).map_err(|_| BadClaims)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(feeds: FeedScope) -> Claims {
        Claims {
            id: TokenId([7; TOKEN_ID_BYTES]),
            case: CaseId::parse("demo").expect("an id"),
            person: PersonKey::parse("mentor-a").expect("an id"),
            role: Role::Mentor,
            feeds,
            expires_unix_s: 1_790_000_000,
        }
    }

    #[test]
    fn claims_survive_the_round_trip() {
        let feed = |name| FeedId::parse(name).expect("an id");
        for feeds in [FeedScope::All, FeedScope::Only(vec![]), FeedScope::Only(vec![feed("field"), feed("program")])] {
            let claims = claims(feeds);
            assert_eq!(Claims::decode(&claims.encode()), Ok(claims));
        }
    }

    #[test]
    fn cut_or_lengthened_bytes_are_no_claim() {
        let bytes = claims(FeedScope::All).encode();
        for n in 0..bytes.len() {
            assert_eq!(Claims::decode(&bytes[..n]), Err(BadClaims), "cut at {n}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(Claims::decode(&longer), Err(BadClaims));
        let mut other_version = bytes;
        other_version[0] = 2;
        assert_eq!(Claims::decode(&other_version), Err(BadClaims));
    }

    #[test]
    fn a_token_is_worth_nothing_from_its_last_second_on() {
        let claims = claims(FeedScope::All);
        let at = |s| CaptureTime::from_unix(std::time::Duration::from_secs(s));
        assert!(!claims.is_expired(at(1_789_999_999)));
        assert!(claims.is_expired(at(1_790_000_000)));
    }
}
