//! The server: who may do what, the life of a case, ink in order, and the browser's door.
//!
//! Pure rooms take bytes, claims and time as arguments; only [`edge`] touches sockets, files, threads and the clock.
//! This crate never composes or decodes a picture: pictures pass through `sfu`, and are made by `shirube-engine`.
//! Rules are numbered in `SPEC.md`.

pub mod authorize;
pub mod camera;
pub mod case;
mod case_sheet;
pub mod claims;
pub mod curtain;
pub mod demo;
pub mod fuzz;
pub mod ice_session;
mod ink_anchors;
mod ink_frames;
mod ink_limits;
mod ink_refusals;
pub mod ink_room;
mod ink_wet;
pub mod stills;
pub mod texts;

#[cfg(feature = "edge")]
pub mod edge;

/// What the web client and the server say to each other, generated from `signal.proto`.
#[allow(missing_debug_implementations, unreachable_pub, clippy::all)]
pub mod wire {
    include!(concat!(env!("OUT_DIR"), "/shirube.signal.v1.rs"));
}

/// Version of the signalling wire. A page names its own in ClientHello; only equal versions talk.
pub const SIGNAL_VERSION: u32 = 1;
/// What the server calls itself on every wire.
pub const SOFTWARE: &str = concat!("shirube ", env!("CARGO_PKG_VERSION"));
