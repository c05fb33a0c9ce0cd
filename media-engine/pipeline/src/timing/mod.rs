//! Capture stamps, schedules and clock mapping. Pure: time is an argument.

pub mod arrival;
pub mod calibrate;
pub mod case_clock;
pub mod pace;
pub mod stamps;
pub mod tc48;
