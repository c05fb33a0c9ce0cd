//! Measurements: what the end-to-end programs share. Criterion groups lie in `benches/`, the browser's end in `browser/`.

pub mod aligning;
pub mod browser;
pub mod driver;
pub mod echo;
pub mod fanout;
pub mod far;
pub mod faults;
pub mod impair;
pub mod ink_log;
pub mod landing;
pub mod machine;
pub mod playout_delay;
pub mod ported;
pub mod product;
pub mod rehearsed;
pub mod report;
pub mod soak;
pub mod stats;
pub mod talker;
pub mod track;
