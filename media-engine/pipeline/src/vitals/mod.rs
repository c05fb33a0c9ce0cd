//! Vital signs: samples, what is computed from them, and how a patient monitor draws them. Pure.

pub mod monitor;
pub mod numerics;
pub mod text;
pub mod waves;
pub mod wfdb;
