//! Keeps ink on the tissue it was drawn on: luma of a feed goes in frame by frame, for each anchor a similarity and a state come out.
//!
//! No camera, no clock (capture times are arguments), no network, no threads. It never says [`TrackState::Tracked`](annotation::wire::TrackState)
//! of a place that the frame the ink was drawn on does not confirm. Method, figures and limits: `README.md`.

#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "what is not a number must not pass")]

pub mod anchor;
pub mod bend;
pub mod feed;
pub mod keyframe;
pub mod luma;
pub mod patch;
pub mod random;
pub mod search;
pub mod similarity;
pub mod verdict;
