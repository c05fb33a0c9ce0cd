//! What leaves the engine: control messages and RTP on the link.

pub mod link;
pub mod queue;
pub mod refused;
pub mod spec;
pub mod stats;
