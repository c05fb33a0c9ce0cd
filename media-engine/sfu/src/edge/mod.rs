//! The only place with a socket, a thread and a clock.

mod clock;
mod handle;
mod run_loop;
mod tcp;
mod udp;

pub use handle::{Events, SfuConfig, SfuHandle, StartError, start};
