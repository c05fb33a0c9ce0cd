//! GStreamer's own WHIP and WHEP clients, `whipclientsink` and `whepclientsrc`, as they come, against the real server: the one publishes a
//! camera with a bearer token, the other plays it, and both end their resource when they stop.

use std::time::Instant;

use benches::ported::colour::{RED, check_red};
use benches::ported::graph::Graph;
use benches::ported::{Door, PATIENCE};

/// Pictures that must have been decoded: two seconds of them.
const PICTURES: usize = 60;

#[test]
fn whipclientsink_publishes_and_whepclientsrc_plays() {
    gstreamer::init().expect("GStreamer");
    gstrswebrtc::plugin_register_static().expect("the elements");
    let door = Door::open().expect("starts");
    let tokens = &door.server.ready.tokens;

    // A picture that is cut in slices `webrtcbin` is shown whole (`gstreamer-publishes-and-plays.rs`).
    let camera = Graph::camera(RED, 60).expect("a camera");
    camera.play("whip-endpoint", &door.http(&tokens.publisher), "/whip/demo/glasses").expect("publishes");
    let desk = door.http(&tokens.desk);
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
        check_red(&i420).unwrap_or_else(|e| panic!("picture {n}: {e}"));
    }
    desk.wait_for_peers(2).expect("both");
    player.stop().expect("stops");
    desk.wait_for_peers(1).expect("the player has ended its resource");
    camera.stop().expect("stops");
    desk.wait_for_peers(0).expect("and so has the camera");
    door.close();
}
