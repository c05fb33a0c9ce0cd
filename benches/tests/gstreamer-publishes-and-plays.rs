//! GStreamer's `webrtcbin`, as it comes, as WHIP camera and as WHEP player against the real server: its own RSA certificate,
//! an offer without candidates and candidates after it, entity-tags, and an end that ends.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use benches::ported::colour::{RED, SIZE, check_red};
use benches::ported::{Door, FRAGMENT, Http, PATIENCE, SDP};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_sdp as gst_sdp;
use gstreamer_webrtc as gst_webrtc;

/// Pictures that must have been decoded: two seconds of them.
const PICTURES: usize = 60;

/// One colour, each picture cut in four slices: none may be missing.
const CAMERA: &str = "! x264enc tune=zerolatency threads=4 speed-preset=ultrafast key-int-max=30 ! video/x-h264,profile=constrained-baseline \
    ! rtph264pay config-interval=-1 aggregate-mode=zero-latency pt=96 \
    ! application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,payload=96 ! peer.";

/// Noise, at the payloader's own packet size: 1,400 bytes, more than a path of 1,300 takes.
const NOISE: &str = "webrtcbin name=peer bundle-policy=max-bundle \
    videotestsrc is-live=true pattern=snow ! video/x-raw,format=I420,width=320,height=180,framerate=30/1 \
    ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 bitrate=1500 ! video/x-h264,profile=constrained-baseline \
    ! rtph264pay config-interval=-1 aggregate-mode=zero-latency pt=96 \
    ! application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,payload=96 ! peer.";

/// `webrtcbin` in its graph, and the resource that it is at the server.
struct Client {
    graph: gst::Pipeline,
    http: Http,
    resource: String,
    tag: String,
    /// `connection-state`, newest.
    state: Arc<(Mutex<gst_webrtc::WebRTCPeerConnectionState>, Condvar)>,
}

impl Client {
    /// Offers as soon as the graph is ready and posts it; candidates follow as `webrtcbin` finds them.
    fn start(graph: gst::Pipeline, http: Http, path: &str) -> Self {
        let peer = graph.by_name("peer").expect("webrtcbin");
        let (offers, offered) = mpsc::channel();
        let (candidates, found) = mpsc::channel();
        peer.connect("on-negotiation-needed", false, move |values| {
            let peer = values[0].get::<gst::Element>().expect("itself");
            let (offering, offers) = (peer.clone(), offers.clone());
            let promise = gst::Promise::with_change_func(move |reply| {
                let reply = reply.expect("an answer").expect("a structure");
                let offer = reply.get::<gst_webrtc::WebRTCSessionDescription>("offer").expect("an offer");
                offering.emit_by_name::<()>("set-local-description", &[&offer, &None::<gst::Promise>]);
                let _ = offers.send(offer.sdp().as_text().expect("text"));
            });
            peer.emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
            None
        });
        peer.connect("on-ice-candidate", false, move |values| {
            let _ = candidates.send(values[2].get::<String>().expect("text"));
            None
        });
        let state = Arc::new((Mutex::new(gst_webrtc::WebRTCPeerConnectionState::New), Condvar::new()));
        let told = state.clone();
        peer.connect_notify(Some("connection-state"), move |peer, _| {
            *told.0.lock().expect("not poisoned") = peer.property("connection-state");
            told.1.notify_all();
        });
        graph.set_state(gst::State::Playing).expect("starts");

        let offer = offered.recv_timeout(PATIENCE).expect("an offer");
        let bare: String = offer.lines().filter(|l| !l.starts_with("a=candidate")).flat_map(|l| [l, "\r\n"]).collect();
        // A camera is connected a moment before its feed is there.
        let answer = http.post(path, &bare, std::thread::yield_now).expect("a resource");
        assert_eq!(answer.header("content-type"), Some(SDP));
        assert_eq!(answer.header("accept-patch"), Some(FRAGMENT));
        let tag = answer.header("etag").expect("an entity-tag").to_owned();
        let resource = answer.header("location").expect("a resource").to_owned();
        let sdp = gst_sdp::SDPMessage::parse_buffer(answer.body.as_bytes()).expect("an answer");
        let answer = gst_webrtc::WebRTCSessionDescription::new(gst_webrtc::WebRTCSDPType::Answer, sdp);
        peer.emit_by_name::<()>("set-remote-description", &[&answer, &None::<gst::Promise>]);
        let client = Client { graph, http, resource, tag, state };
        client.trickle(&bare, &found);
        client
    }

    /// The candidates there are by now, in one fragment (RFC 9725 §4.3.1).
    fn trickle(&self, offer: &str, found: &Receiver<String>) {
        let first = found.recv_timeout(PATIENCE).expect("a candidate");
        let line = |name: &str| offer.lines().find(|l| l.starts_with(name)).expect("in the offer").to_owned();
        let mut fragment = [line("a=ice-ufrag:"), line("a=ice-pwd:"), line("m=video"), line("a=mid:")].join("\r\n") + "\r\n";
        for candidate in std::iter::once(first).chain(found.try_iter()).filter(|c| !c.is_empty()).take(8) {
            fragment += &format!("a={}\r\n", candidate.trim_start_matches("a="));
        }
        let head = [("Content-Type", FRAGMENT), ("If-Match", self.tag.as_str())];
        let answer = self.http.request("PATCH", &self.resource, &head, &fragment).expect("answered");
        assert_eq!(answer.status, 204, "{}", answer.body);
        let other = [("Content-Type", FRAGMENT), ("If-Match", "\"another\"")];
        assert_eq!(self.http.request("PATCH", &self.resource, &other, &fragment).expect("answered").status, 412);
    }

    fn wait_for(&self, what: &str, good: impl Fn(gst_webrtc::WebRTCPeerConnectionState) -> bool) {
        let state = self.state.0.lock().expect("not poisoned");
        let (state, waited) = self.state.1.wait_timeout_while(state, PATIENCE, |s| !good(*s)).expect("not poisoned");
        assert!(!waited.timed_out(), "{what}: it is {:?}", *state);
    }

    fn delete(&self) {
        assert_eq!(self.http.request("DELETE", &self.resource, &[], "").expect("answered").status, 200);
        assert_eq!(self.http.request("DELETE", &self.resource, &[], "").expect("answered").status, 404, "it is gone");
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.graph.set_state(gst::State::Null);
    }
}

fn camera(http: Http, path: &str, what: &str) -> Client {
    let graph = gst::parse::launch(what).expect("a graph").downcast::<gst::Pipeline>().expect("a pipeline");
    let peer = graph.by_name("peer").expect("webrtcbin");
    let line: gst_webrtc::WebRTCRTPTransceiver = peer.emit_by_name("get-transceiver", &[&0i32]);
    line.set_property("direction", gst_webrtc::WebRTCRTPTransceiverDirection::Sendonly);
    Client::start(graph, http, path)
}

/// A player, and (width, height, I420) of each picture that it decoded.
fn player(http: Http, path: &str) -> (Client, Receiver<(i32, i32, Vec<u8>)>) {
    let graph = gst::Pipeline::new();
    let peer = gst::ElementFactory::make("webrtcbin").name("peer").build().expect("webrtcbin");
    peer.set_property_from_str("bundle-policy", "max-bundle");
    graph.add(&peer).expect("added");
    let caps = "application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,payload=102,packetization-mode=(string)1,profile-level-id=(string)42e01f,rtcp-fb-nack-pli=(boolean)true";
    let caps = caps.parse::<gst::Caps>().expect("caps");
    let direction = gst_webrtc::WebRTCRTPTransceiverDirection::Recvonly;
    let _: gst_webrtc::WebRTCRTPTransceiver = peer.emit_by_name("add-transceiver", &[&direction, &caps]);
    let (pictures, shown) = mpsc::channel();
    let into = graph.downgrade();
    peer.connect_pad_added(move |_, pad| {
        let Some(graph) = into.upgrade().filter(|_| pad.direction() == gst::PadDirection::Src) else { return };
        let line = "rtph264depay ! avdec_h264 ! videoconvert ! video/x-raw,format=I420 ! appsink name=out sync=false";
        let bin = gst::parse::bin_from_description(line, true).expect("a decoder");
        let sink = bin.by_name("out").and_then(|e| e.downcast::<gst_app::AppSink>().ok()).expect("an appsink");
        let pictures = pictures.clone();
        let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let caps = sample.caps().and_then(|c| c.structure(0)).ok_or(gst::FlowError::Error)?;
            let size = (caps.get("width").unwrap_or(0), caps.get("height").unwrap_or(0));
            let map = sample.buffer().and_then(|b| b.map_readable().ok()).ok_or(gst::FlowError::Error)?;
            let _ = pictures.send((size.0, size.1, map.to_vec()));
            Ok(gst::FlowSuccess::Ok)
        });
        sink.set_callbacks(callbacks.build());
        graph.add(&bin).expect("added");
        bin.sync_state_with_parent().expect("runs");
        pad.link(&bin.static_pad("sink").expect("a pad")).expect("linked");
    });
    (Client::start(graph, http, path), shown)
}

#[test]
fn webrtcbin_publishes_and_plays_with_its_own_certificate_and_at_its_own_packet_size() {
    gst::init().expect("GStreamer");
    let door = Door::open().expect("starts");
    let (http, tokens) = (|token: &str| door.http(token), &door.server.ready.tokens);

    let red = format!("webrtcbin name=peer bundle-policy=max-bundle {RED} {CAMERA}");
    let camera = camera(http(&tokens.publisher), "/whip/demo/glasses", &red);
    camera.wait_for("the camera connects", |s| s == gst_webrtc::WebRTCPeerConnectionState::Connected);
    let (player, shown) = player(http(&tokens.mentor), "/whep/demo?feed=glasses&layer=high");
    let until = Instant::now() + PATIENCE;
    for n in 0..PICTURES {
        let left = until.saturating_duration_since(Instant::now());
        let (width, height, i420) = shown.recv_timeout(left).unwrap_or_else(|e| panic!("{e} after {n} pictures"));
        assert_eq!((width as usize, height as usize), SIZE);
        check_red(&i420).unwrap_or_else(|e| panic!("picture {n}: {e}"));
    }

    // What DELETE ended is gone from the media thread too: first the camera, then the player.
    http("").wait_for_peers(2).expect("told");
    camera.delete();
    http("").wait_for_peers(1).expect("told");
    player.delete();
    http("").wait_for_peers(0).expect("told");
    drop((camera, player));

    let camera = crate::camera(http(&tokens.publisher), "/whip/demo/glasses", NOISE);
    camera.wait_for("the camera connects", |s| s == gst_webrtc::WebRTCPeerConnectionState::Connected);
    let (player, shown) = crate::player(http(&tokens.mentor), "/whep/demo?feed=glasses&layer=high");
    let until = Instant::now() + PATIENCE;
    for n in 0..PICTURES {
        let left = until.saturating_duration_since(Instant::now());
        let (.., i420) = shown.recv_timeout(left).unwrap_or_else(|e| panic!("{e} after {n} pictures of noise"));
        // What was cut and put together again is noise still, not one grey for want of pieces.
        let luma = &i420[..320 * 180];
        let (least, most) = (luma.iter().min().expect("a picture"), luma.iter().max().expect("a picture"));
        assert!(most - least > 100, "picture {n}: {least} to {most}");
    }
    let cut = http("").figure("shirube_media_cut_packets_total").expect("a figure");
    assert!(cut > 100, "{cut} packets of 1,400 bytes were cut");
    drop((camera, player));
    door.close();
}
