//! What leaves the engine: control messages and RTP on the link.

pub mod link;
mod pinned;
pub mod queue;
pub mod refused;
pub mod remote;
mod socket;
pub mod spec;
pub mod stats;
mod ways;
mod whip;

pub use ways::FarLine;
