//! What the room's engine and the server say to each other. Pure: bytes in, values out; no socket, no clock.
//! Knows feeds, layers and time; not people, not GStreamer, not WebRTC.

pub mod clock;
pub mod control;
pub mod id;
pub mod problem;
pub mod record;

/// Generated from the `.proto` files; nested as protobuf packages are, because they name each other.
#[allow(missing_debug_implementations, unreachable_pub, clippy::all)]
mod shirube {
    pub mod frame {
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/shirube.frame.v1.rs"));
        }
    }
    pub mod vitals {
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/shirube.vitals.v1.rs"));
        }
    }
    pub mod link {
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/shirube.link.v1.rs"));
        }
    }
}

/// Which picture is where in a program frame (`frame.proto`).
pub use shirube::frame::v1 as frame;
/// The control messages (`link.proto`).
pub use shirube::link::v1 as wire;
/// Vital signs as data (`vitals.proto`).
pub use shirube::vitals::v1 as vitals;

/// Version of this wire. Both sides name theirs in Hello; only equal versions talk.
pub const LINK_VERSION: u32 = 1;
