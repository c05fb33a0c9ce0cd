//! The engine against a server: generated feeds, real sockets.

mod server;

use annotation::time::CaptureTime;
use bytes::Bytes;
use link::frame::FeedState;
use link::wire::{Keyframe, to_engine};
use pipeline::output::link::LinkEnd;
use server::{CONFIG, Server, check_times, program_high, timestamp};

#[test]
fn every_frame_has_its_index_first_and_a_request_brings_a_keyframe() {
    for encoder in ["x264", "openh264"] {
        gstreamer::init().expect("GStreamer is installed");
        if gstreamer::ElementFactory::find(&format!("{encoder}enc")).is_none() {
            eprintln!("{encoder} is not installed: not tested here");
            continue;
        }
        let mut server = Server::start(&format!("encoder = \"{encoder}\"\n{CONFIG}"));
        let hello = server.accept();
        assert_eq!((hello.version, hello.case_id.as_str()), (1, "case-1"));
        assert_eq!(hello.feeds.iter().map(|f| f.feed.as_str()).collect::<Vec<_>>(), ["field", "fluoro", "vitals", "fluoro-run"]);
        server.until("the first health", |s| s.health.is_some());
        assert!(server.packets.is_empty() && server.indexes.is_empty(), "nothing is encoded that nobody wants");

        server.want(true);
        server.until("forty frames", |s| s.frames() >= 40);
        let first = server.packets.first().expect("a packet").clone();
        assert!(server.keyframes().contains(&timestamp(&first)), "{encoder}: the first frame is a keyframe");
        for (n, packet) in server.packets.iter().enumerate() {
            assert!(packet.len() <= 1120);
            assert_eq!(u16::from_be_bytes([packet[2], packet[3]]), n as u16, "{encoder}: sequence numbers without a gap");
            assert_eq!(packet[8..12], 0xC0FF_EE01u32.to_be_bytes());
        }
        assert_eq!(profile_level_id(&server.packets), Some([0x42, 0xE0, 0x1F]), "{encoder}: what was negotiated");

        // Those that nobody asked for come every ten seconds, and when this machine stood still; that a burst of requests is one keyframe is
        // shown in virtual time.
        let before = server.keyframes().len();
        server.send(to_engine::Body::Keyframe(Keyframe { layer: Some(program_high()) }));
        server.send(to_engine::Body::Keyframe(Keyframe { layer: Some(program_high()) }));
        server.until("the keyframe", |s| s.keyframes().len() > before);
        assert!(server.keyframes().len() * 4 < server.frames(), "{encoder}: most frames are none");

        assert!(server.without_index.is_empty(), "{encoder}: a packet came before its index");
        server.until("a picture of the main feed in time", |s| check_times(&s.in_order()) > 0);
        for index in server.in_order() {
            let main = index.entries.first().expect("the main feed");
            assert_eq!((main.feed.as_str(), index.width, index.height), ("field", 640, 360));
            for inset in &index.entries[1..] {
                let age = index.rtp_ts.wrapping_sub(CaptureTime(inset.capture).rtp_90khz()) as i32;
                assert!(inset.capture == 0 || age >= 0, "an inset is never younger than the frame it stands in");
                assert!(inset.capture != 0 || inset.state() == FeedState::Lost);
            }
        }
        let rect = server.newest().and_then(|i| i.entries[1].rect).expect("a rectangle");
        assert_eq!((rect.x, rect.y, rect.w, rect.h), (432, 58, 208, 208), "the picture itself, without bars");

        server.want(false);
        server.until_quiet();
        server.want(true);
        let before = server.keyframes().len();
        server.until("pictures again", |s| s.keyframes().len() > before);
        server.stop();
    }
}

#[test]
fn a_server_that_hangs_up_is_dialled_again() {
    let mut server = Server::start(CONFIG);
    server.accept();
    server.want(true);
    server.until("pictures", |s| s.frames() >= 5);
    server.hang_up();
    server.accept();
    server.want(true);
    server.until("pictures on the new link", |s| s.frames() >= 5);
    assert_eq!(u16::from_be_bytes([server.packets[0][2], server.packets[0][3]]), 0);
    assert!(server.keyframes().contains(&timestamp(&server.packets[0])), "a new link begins with a keyframe");
    server.stop();
}

#[test]
fn a_refusal_ends_the_engine_with_its_reason() {
    let mut server = Server::start(CONFIG);
    server.accept();
    server.send(to_engine::Body::Refused(link::wire::Refused { code: "case.unknown".into(), message: "no such case".into() }));
    let end = server.engine.take().expect("running").join().expect("no panic");
    assert_eq!(end, Err(LinkEnd::Refused { code: "case.unknown".into(), message: "no such case".into() }));
}

/// profile_idc, constraints and level_idc of the first sequence parameter set.
fn profile_level_id(packets: &[Bytes]) -> Option<[u8; 3]> {
    packets.iter().find_map(|p| {
        let at = p.windows(2).skip(12).position(|w| w[0] & 0x1F == 7 && w[1] == 66)? + 12;
        p.get(at + 1..at + 4)?.try_into().ok()
    })
}
