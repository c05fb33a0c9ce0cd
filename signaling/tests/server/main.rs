//! The server as pages meet it: real sockets on loopback, no engine.
#![cfg(feature = "edge")]

mod camera;
mod case_life;
mod cases;
mod curtain;
mod disk;
mod doors;
mod drain;
mod engine;
mod ink;
mod page;
mod ported;
mod process;
mod remote_engine;
mod revoke;
mod roles;
mod starting;
mod tracker;
mod whip;
