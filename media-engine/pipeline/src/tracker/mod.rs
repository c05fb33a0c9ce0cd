//! Ink on moving pictures: keeps the last seconds of every feed that can be drawn on, follows the anchors the server names, frame
//! by frame, and hands over where they lie, the frames they were drawn on, and strokes put back onto their own frame.
//!
//! The method is the crate `tracker`; [`host`] knows feeds, rings and messages and is pure; [`run`] is its thread; [`still`] makes JPEGs on another.

pub mod figures;
pub mod grey;
pub mod host;
pub mod ring;
pub mod run;
pub mod still;
