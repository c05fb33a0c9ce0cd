//! Voices: who speaks, and which of a listener's slots carries whom.

pub(crate) mod levels;
pub(crate) mod mix;
pub(crate) mod red;
pub(crate) mod slots;
