//! Layers on demand: a program picture in, RTP packets out.

pub mod governor;
pub mod keyframe;
pub mod layer;
pub mod level;
pub mod rtp;
pub mod settings;

pub use settings::{EncoderKind, EncoderSettings};
