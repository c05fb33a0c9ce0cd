//! What a layer is called, and what it costs.

use annotation::id::FeedId;
use link::id::LayerId;
use link::wire::{LayerInfo, LayerRef};

/// One layer the engine can encode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerSpec {
    pub feed: FeedId,
    pub layer: LayerId,
    pub width: u32,
    pub height: u32,
    /// As configured.
    pub bitrate_bps: u32,
    /// Proposed; the server confirms or changes it.
    pub ssrc: u32,
}

impl LayerSpec {
    pub fn info(&self) -> LayerInfo {
        LayerInfo {
            feed: self.feed.as_str().to_owned(),
            layer: self.layer.as_str().to_owned(),
            ssrc: self.ssrc,
            codec: if self.layer.is_vp8() { "VP8" } else { "H264" }.into(),
            width: self.width,
            height: self.height,
            bitrate_bps: self.bitrate_bps,
        }
    }

    pub fn reference(&self) -> LayerRef {
        LayerRef { feed: self.feed.as_str().to_owned(), layer: self.layer.as_str().to_owned() }
    }
}
