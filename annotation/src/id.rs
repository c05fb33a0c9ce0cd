//! Names of things. Two ids never share a type.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One source in the operating room, or a program composed of several: `field`, `fluoro`, `vitals`, `program`.
/// 1 to 32 characters of `a-z 0-9 - _`, first a letter. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FeedId(Arc<str>);

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an id: 1 to 32 characters of a-z, 0-9, - and _, beginning with a letter")]
pub struct BadId(pub String);

/// True for 1 to 32 characters of `a-z 0-9 - _` of which the first is a letter.
pub fn is_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=32).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-' || *b == b'_')
}

impl FeedId {
    /// The feed every case has: its default program.
    pub fn program() -> Self {
        FeedId(Arc::from("program"))
    }

    pub fn parse(text: &str) -> Result<Self, BadId> {
        if is_id(text) { Ok(FeedId(Arc::from(text))) } else { Err(BadId(text.chars().take(40).collect())) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FeedId {
    type Error = BadId;
    fn try_from(text: String) -> Result<Self, BadId> {
        FeedId::parse(&text)
    }
}

impl From<FeedId> for String {
    fn from(id: FeedId) -> String {
        id.0.to_string()
    }
}

impl fmt::Display for FeedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FeedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "feed:{}", self.0)
    }
}

/// A person within one case, given by the server, from 1. Names ink and its texture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Author(pub u32);

/// One page of one person, given by the server at each new page, rising. A page numbers its ops from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u32);

/// Place of an op in the case's one order, from 1 without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Order(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_and_plain() {
        assert!(FeedId::parse("field").is_ok());
        assert!(FeedId::parse("ivus-2_b").is_ok());
        for bad in ["", "Field", "2a", "a b", "å", "a/../b", &"a".repeat(33)] {
            assert!(FeedId::parse(bad).is_err(), "{bad:?}");
        }
    }
}
