//! The only place with a socket, a thread and a clock.

mod handle;
mod run_loop;

pub use handle::{Events, SfuConfig, SfuHandle, StartError, start};
