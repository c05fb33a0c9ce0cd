//! The room's engine: captures feeds, aligns and composes them into a program, encodes it while somebody watches, and
//! hands RTP and the frame index to the server over the link.
//!
//! It does not know people, cases beyond an id, or WebRTC; ink only to follow it, and to paint it on the room's display. Only [`clock`] reads a clock; `timing`, `health`, `xray`,
//! `figures`, `tracker::{host, ring}`, `display::{tracks, view, words}`, `ptz::{visca, drive, simulated}`, `program::{layout, align, pick, single, compositor}`, `output::{queue, stats}`, the parsers of `vitals` and `encode::{governor, keyframe, rtp}` are pure.

pub mod board;
pub mod calibrate;
pub mod clock;
pub mod config;
pub mod display;
pub mod encode;
pub mod engine;
pub mod feed;
pub mod figures;
pub mod health;
pub mod mask;
pub mod memory;
pub mod output;
pub mod picture;
pub mod program;
pub mod ptz;
pub mod refusal;
pub mod scale;
pub mod timing;
pub mod tracker;
pub mod vitals;
pub mod xray;
