//! Measurements: what the end-to-end programs share. Criterion groups lie in `benches/`, the browser's end in `browser/`.

pub mod driver;
pub mod impair;
pub mod machine;
pub mod playout_delay;
pub mod product;
pub mod report;
pub mod stats;
