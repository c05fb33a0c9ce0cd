//! GStreamer's own WHIP and WHEP clients, `whipclientsink` and `whepclientsrc`, as they come, against the real server: the one publishes a
//! camera with a bearer token, the other plays it, and both end their resource when they stop.

use std::time::Instant;

use benches::ported::graph::Graph;
use benches::ported::{Http, PATIENCE, start_here};
use gstreamer::prelude::*;

/// Pictures that must have been decoded: two seconds of them.
const PICTURES: usize = 60;

#[test]
fn whipclientsink_publishes_and_whepclientsrc_plays() {
    gstreamer::init().expect("GStreamer");
    gstrswebrtc::plugin_register_static().expect("the elements");
    let home = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server = start_here(&runtime, home.path()).expect("starts");
    let tokens = server.ready.tokens.clone();
    let http = |token: &str| Http::of(&server, token).expect("a plain door");

    // One colour: what comes out must look like what went in.
    let camera = "videotestsrc is-live=true pattern=solid-color foreground-color=0xffd02020 \
        ! video/x-raw,format=I420,width=320,height=180,framerate=30/1 ! whipclientsink name=ported video-caps=video/x-h264";
    let camera = Graph::open(camera).expect("a camera");
    // One slice a picture. By itself it cuts each in four, which `webrtcbin` is shown whole (`gstreamer-publishes-and-plays.rs`); `whepclientsrc` of
    // that version gives the slices of a keyframe to its decoder as pictures of their own.
    camera.0.by_name("ported").expect("it is in it").connect("encoder-setup", false, |values| {
        let encoder = values[3].get::<gstreamer::Element>().expect("an encoder");
        let ours = encoder.factory().is_some_and(|factory| factory.name() == "x264enc");
        if ours {
            for (name, value) in [("tune", "zerolatency"), ("speed-preset", "ultrafast"), ("threads", "1"), ("key-int-max", "60")]
            {
                encoder.set_property_from_str(name, value);
            }
        }
        Some(ours.to_value())
    });
    camera.play("whip-endpoint", &http(&tokens.publisher), "/whip/demo/glasses").expect("publishes");
    let desk = http(&tokens.desk);
    // Its feed is there with its first pictures.
    let until = Instant::now() + PATIENCE;
    while desk.figure_of("shirube_ported_frames_in_total", "camera").expect("figures").is_none_or(|n| n == 0.0) {
        assert_eq!(camera.fault(), None);
        assert!(Instant::now() < until, "the camera has sent no picture");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let player =
        "whepclientsrc name=ported audio-codecs=<> ! videoconvert ! video/x-raw,format=I420 ! appsink name=out sync=false";
    let player = Graph::start(player, "whep-endpoint", &desk, "/whep/demo?feed=glasses&layer=high").expect("a player");
    let shown = player.samples().expect("pictures");
    for n in 0..PICTURES {
        let left = until.saturating_duration_since(Instant::now());
        let i420 = shown.recv_timeout(left).unwrap_or_else(|e| {
            panic!("{e} after {n} pictures; the camera: {:?}; the player: {:?}", camera.fault(), player.fault())
        });
        assert_eq!(i420.len(), 320 * 180 * 3 / 2);
        // 0xd02020 in BT.601, limited: Y 87, Cb 103, Cr 208; what coding does to a flat picture is little.
        let (y, rest) = i420.split_at(320 * 180);
        let (cb, cr) = rest.split_at(160 * 90);
        for (plane, wanted) in [(y, 87.0), (cb, 103.0), (cr, 208.0)] {
            for part in plane.chunks(plane.len() / 8) {
                let got = f64::from(part[part.len() / 2]);
                assert!((got - wanted).abs() < 24.0, "picture {n}: {got} is not {wanted}");
            }
        }
    }
    desk.wait_for_peers(2).expect("both");
    player.stop().expect("stops");
    desk.wait_for_peers(1).expect("the player has ended its resource");
    camera.stop().expect("stops");
    desk.wait_for_peers(0).expect("and so has the camera");
    runtime.block_on(server.stop());
}
