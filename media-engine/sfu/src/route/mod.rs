//! One layer's packets to those who watch it: where keyframes begin, who may begin there, and under which numbers.

pub(crate) mod codec;
pub(crate) mod collapse;
pub(crate) mod cut;
pub(crate) mod doubt;
pub(crate) mod freezes;
pub(crate) mod gop;
pub(crate) mod keyframe;
pub(crate) mod layer;
pub(crate) mod meter;
pub(crate) mod playout;
pub(crate) mod rewrite;
pub(crate) mod room;
pub(crate) mod rtp;
pub(crate) mod stuck;
