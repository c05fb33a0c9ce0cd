//! The only place of this crate with sockets, files, threads and the clock.

pub mod case_actor;
pub mod cli;
pub mod clock;
pub mod data_dir;
pub mod directory;
pub mod engine_keeper;
pub mod engine_link;
pub mod http;
pub mod keys;
pub mod listener;
pub mod mailbox;
pub mod metrics;
mod progress;
mod ready;
pub mod server;
pub mod store;
pub mod supervisor;
pub mod turn;
