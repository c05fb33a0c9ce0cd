//! Ids that engine and server share. FeedId and CaptureTime are `annotation`'s.

use std::fmt;
use std::sync::Arc;

use annotation::id::{BadId, is_id};
use serde::{Deserialize, Serialize};

/// One operation being mentored; the scope of everything. 1 to 32 characters of `a-z 0-9 - _`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CaseId(Arc<str>);

impl CaseId {
    pub fn parse(text: &str) -> Result<Self, BadId> {
        if is_id(text) { Ok(CaseId(Arc::from(text))) } else { Err(BadId(text.chars().take(40).collect())) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CaseId {
    type Error = BadId;
    fn try_from(text: String) -> Result<Self, BadId> {
        CaseId::parse(&text)
    }
}

impl From<CaseId> for String {
    fn from(id: CaseId) -> String {
        id.0.to_string()
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "case:{}", self.0)
    }
}

/// One encoding of a feed. Drawings live on sheets, never on layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerId {
    #[default]
    High,
    Mid,
    Low,
    /// In VP8, for those who cannot decode H.264.
    #[serde(rename = "high-vp8")]
    HighVp8,
    #[serde(rename = "low-vp8")]
    LowVp8,
}

impl LayerId {
    pub fn as_str(self) -> &'static str {
        match self {
            LayerId::High => "high",
            LayerId::Mid => "mid",
            LayerId::Low => "low",
            LayerId::HighVp8 => "high-vp8",
            LayerId::LowVp8 => "low-vp8",
        }
    }

    pub fn is_vp8(self) -> bool {
        matches!(self, LayerId::HighVp8 | LayerId::LowVp8)
    }

    /// What stands for this layer where H.264 cannot be decoded.
    pub fn in_vp8(self) -> Self {
        match self {
            LayerId::High | LayerId::HighVp8 => LayerId::HighVp8,
            LayerId::Mid | LayerId::Low | LayerId::LowVp8 => LayerId::LowVp8,
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "high" => Some(LayerId::High),
            "mid" => Some(LayerId::Mid),
            "low" => Some(LayerId::Low),
            "high-vp8" => Some(LayerId::HighVp8),
            "low-vp8" => Some(LayerId::LowVp8),
            _ => None,
        }
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
