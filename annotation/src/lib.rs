//! Ink as values: what is drawn, on which frame, in which order. Knows no network, no clock, no people, no GStreamer;
//! time comes in as [`time::CaptureTime`]. Rules are numbered in `SPEC.md`.

pub mod baton;
pub mod check;
pub mod fuzz;
pub mod id;
pub mod measure;
pub mod op;
pub mod outline;
pub mod points;
pub mod rebase;
#[cfg(feature = "render")]
pub mod render;
pub mod sequencer;
pub mod sheet;
pub mod textures;
pub mod time;

/// The wire, generated from `ink.proto`.
#[allow(missing_debug_implementations, unreachable_pub, clippy::all)]
pub mod wire {
    include!(concat!(env!("OUT_DIR"), "/shirube.ink.v1.rs"));
}

/// Version of `InkPacket` and `Snapshot`.
pub const INK_VERSION: u32 = 1;
