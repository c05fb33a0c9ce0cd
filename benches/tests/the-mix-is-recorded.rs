//! A recorder that has nothing of ours, GStreamer's `whepclientsrc` before a Matroska file, takes the mix of a case as its one track. What two
//! people say is in the file, each in its time; who is silenced by the room is not.

use std::f32::consts::TAU;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use benches::ported::graph::Graph;
use benches::ported::{Door, Http, PATIENCE};
use benches::talker::{Talker, Words};
use gstreamer as gst;
use gstreamer::prelude::*;
use signaling::wire::{Microphone, RemoteMute, VoiceOpen, client_message as client, server_message as said};

const RATE_HZ: usize = 48_000;
const SAMPLES: &str = "audio/x-raw,format=F32LE,rate=48000,channels=1";
/// 100 ms: what is looked at at once.
const PIECE: usize = RATE_HZ / 10;
/// Whole periods in a packet of 20 ms, so that it can be said over and over.
const ROOM_HZ: f32 = 450.0;
const MENTOR_HZ: f32 = 1_300.0;
/// Of full scale; found again from a fifth of that on, and held to be absent below a fiftieth.
const LOUD: f32 = 0.3;

/// Who is heard in 100 ms: the room, the mentor. `None`: not clearly one or the other.
type Heard = [Option<bool>; 2];

/// A tone of a second.
fn words(hz: f32) -> Words {
    let mut encoder = opus::Encoder::new(RATE_HZ as u32, opus::Channels::Mono, opus::Application::Audio).expect("an encoder");
    let samples: Vec<f32> = (0..RATE_HZ).map(|n| LOUD * (TAU * hz * n as f32 / RATE_HZ as f32).sin()).collect();
    Words(samples.chunks(960).map(|frame| encoder.encode_vec_float(frame, 1_000).expect("encoded")).collect())
}

/// The part of `samples` that is this tone, as an amplitude. Source: Goertzel 1958.
fn amplitude(samples: &[f32], hz: f32) -> f32 {
    let coefficient = 2.0 * (TAU * hz / RATE_HZ as f32).cos();
    let (mut last, mut before) = (0.0f32, 0.0f32);
    for sample in samples {
        (last, before) = (sample + coefficient * last - before, last);
    }
    let power = last * last + before * before - coefficient * last * before;
    power.max(0.0).sqrt() * 2.0 / samples.len() as f32
}

fn heard(piece: &[f32]) -> Heard {
    [ROOM_HZ, MENTOR_HZ].map(|hz| match amplitude(piece, hz) {
        a if a > LOUD / 5.0 => Some(true),
        a if a < LOUD / 50.0 => Some(false),
        _ => None,
    })
}

/// Samples that come out of a graph's `out`, in pieces.
struct Pieces {
    samples: Receiver<Vec<u8>>,
    rest: Vec<f32>,
}

impl Pieces {
    fn of(graph: &Graph) -> Pieces {
        Pieces { samples: graph.samples().expect("samples"), rest: Vec::new() }
    }

    /// The next 100 ms; `None` when nothing more comes.
    fn next(&mut self, within: Duration) -> Option<Heard> {
        while self.rest.len() < PIECE {
            let bytes = self.samples.recv_timeout(within).ok()?;
            self.rest.extend(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
        }
        let piece: Vec<f32> = self.rest.drain(..PIECE).collect();
        Some(heard(&piece))
    }

    /// Until so many in a row are as `wanted`.
    fn until(&mut self, what: &str, in_a_row: usize, wanted: Heard) {
        let (until, mut found, mut seen) = (Instant::now() + PATIENCE, 0, Vec::new());
        while found < in_a_row {
            let left = until.saturating_duration_since(Instant::now());
            let piece = self.next(left).unwrap_or_else(|| panic!("{what}: nothing more came after {seen:?}"));
            found = if piece == wanted { found + 1 } else { 0 };
            seen.push(piece);
            assert!(Instant::now() < until, "{what}: {seen:?}");
        }
    }
}

/// `whepclientsrc` as an operator starts it (README, *Recording*), and a second hand on what it takes.
fn recorder(http: &Http, file: &Path) -> Graph {
    let what = format!(
        "whepclientsrc name=ported video-codecs=<> ! opusparse ! tee name=both \
         both. ! queue ! matroskamux streamable=true ! filesink location={} \
         both. ! queue ! opusdec ! audioconvert ! audioresample ! {SAMPLES} ! appsink name=out sync=false",
        file.display()
    );
    Graph::start(&what, "whep-endpoint", http, "/whep/demo?audio=mix").expect("a recorder")
}

/// What is in a file, each piece in its time: where nothing was sent there is silence.
fn played_back(file: &Path) -> Vec<Heard> {
    let what = format!(
        "filesrc location={} ! matroskademux ! opusdec ! audioconvert ! audioresample ! {SAMPLES} ! audiorate \
         ! appsink name=out sync=false",
        file.display()
    );
    let graph = Graph::open(&what).expect("a player");
    let mut pieces = Pieces::of(&graph);
    graph.0.set_state(gst::State::Playing).expect("starts");
    graph.wait_for_end().expect("to its end");
    std::iter::from_fn(|| pieces.next(Duration::ZERO)).collect()
}

#[test]
fn a_recorder_takes_the_mix_as_one_track_and_a_silenced_voice_is_not_in_it() {
    gst::init().expect("GStreamer");
    gstrswebrtc::plugin_register_static().expect("the elements");
    let door = Door::open().expect("starts");
    let (http, tokens) = (|token: &str| door.http(token), &door.server.ready.tokens);
    let join = |token: &str, hz| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let page = Talker::join(door.runtime.handle(), &http(token), socket, words(hz)).expect("joins");
        page.until_up().expect("media");
        page
    };
    let room = join(&tokens.room, ROOM_HZ);
    let mentor = join(&tokens.mentor, MENTOR_HZ);
    room.say(client::Body::VoiceOpen(VoiceOpen { open: true }));
    for page in [&room, &mentor] {
        page.say(client::Body::Microphone(Microphone { on: true }));
    }

    let file = door.home.path().join("case.mka");
    let graph = recorder(&http(&tokens.viewer), &file);
    let mut now = Pieces::of(&graph);
    let (both, room_alone, gone) = ([Some(true), Some(true)], [Some(true), Some(false)], [Some(false), Some(false)]);
    now.until("both are heard", 30, both);

    let silence = |muted: bool| {
        room.say(client::Body::RemoteMute(RemoteMute { muted }));
        let told = |body| if let said::Body::State(state) = body { (state.remote_muted == muted).then_some(()) } else { None };
        mentor.until("silenced, or not", told).expect("told");
    };
    silence(true);
    now.until("the mentor is silenced", 5, room_alone);
    for n in 0..20 {
        // However the room may be heard: the mentor is not, and speaks on.
        let piece = now.next(PATIENCE).expect("it goes on");
        assert_ne!(piece[1], Some(true), "{n}: the room's veto holds in the mix");
    }
    silence(false);
    now.until("both are heard again", 10, both);
    room.say(client::Body::VoiceOpen(VoiceOpen { open: false }));
    // The mix ends in silence, and then there is none.
    let until = Instant::now() + PATIENCE;
    while let Some(piece) = now.next(Duration::from_secs(1)) {
        assert!(Instant::now() < until, "it goes on: {piece:?}");
    }
    room.say(client::Body::VoiceOpen(VoiceOpen { open: true }));
    now.until("both are heard once more", 10, both);

    // As an operator presses Ctrl-C: what was written is whole.
    graph.stop().expect("stops");
    drop((room, mentor));
    let _home = door.close();

    // The file has the same, in the same order and in its time: the second of silence too, in which nothing was sent.
    let pieces = played_back(&file);
    let mut place = 0;
    for (what, in_a_row, wanted) in
        [("both", 29, both), ("one silenced", 4, room_alone), ("both", 9, both), ("nobody", 8, gone), ("both", 9, both)]
    {
        let found = pieces[place..].windows(in_a_row).position(|w| w.iter().all(|piece| *piece == wanted));
        place += found.unwrap_or_else(|| panic!("{what} is not in it after {place}: {pieces:?}")) + in_a_row;
    }
}
