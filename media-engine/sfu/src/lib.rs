//! Forwarding: RTP in, RTP out to each viewer. Knows RTP through str0m; not GStreamer, not JSON, not people, not what the
//! data channels say.

mod api;
#[cfg(feature = "edge")]
mod edge;
pub mod sdp_guard;

pub use api::*;
#[cfg(feature = "edge")]
pub use edge::{Events, SfuConfig, SfuHandle, StartError, start};
