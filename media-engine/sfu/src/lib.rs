//! Forwarding: RTP in, RTP out to each viewer. Knows RTP through str0m; not GStreamer, not JSON, not people, not what the
//! data channels say.
//!
//! [`Engine`] is the core, turned by hand. With the feature `edge`, [`start`] runs it on a thread of its own behind one UDP
//! socket, and [`SfuHandle`] is the server's hand on it.

#![cfg_attr(test, allow(clippy::disallowed_methods))] // Virtual time begins at some instant.

mod adapter;
mod api;
mod case;
#[cfg(feature = "edge")]
mod edge;
mod engine;
#[doc(hidden)]
pub mod fuzz;
mod peer;
mod route;
pub mod sdp_guard;
mod stats;
mod timing;
mod voice;

pub use adapter::{Carrier, Class, Transmit};
pub use api::*;
#[cfg(feature = "edge")]
#[doc(hidden)]
pub use edge::measured::Outgoing;
#[cfg(feature = "edge")]
pub use edge::{Events, SfuConfig, SfuHandle, StartError, start};
pub use engine::{Counters, Engine, Given};
pub use stats::{Figures, Histogram, STEPS_US, TcpFigures};

#[cfg(test)]
/// Virtual time begins at some instant.
fn some_instant() -> std::time::Instant {
    std::time::Instant::now()
}
