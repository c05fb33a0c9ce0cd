//! The only place with a socket, threads and a clock.

mod clock;
mod door;
mod handle;
mod lanes;
pub(crate) mod measured;
mod places;
mod run_loop;
mod start;
mod tcp;
mod udp;

pub use handle::{Events, SfuConfig, SfuHandle, StartError, start};
