//! RTSP, SRT, RTP and local devices against real senders: pictures come at their size and time, failures are sentences, and whoever comes
//! back is there again by himself.

mod sender;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pipeline::clock::LocalClock;
use pipeline::config::source::{CaptureClock, Expect, Rtp, RtpCodec, Rtsp, Secret, SourceConfig, Srt, Transport, V4l2};
use pipeline::feed::arriving::receiver::Receiver;
use pipeline::feed::arriving::{Arrived, Arriving, Reception, recipe};
use sender::{RtspServer, Sender, free_pair, free_port, h264};

const PATIENCE: Duration = Duration::from_secs(90);

struct Desk {
    reception: Reception,
    problems: Vec<String>,
}

impl Desk {
    fn new(config: SourceConfig) -> Self {
        gstreamer::init().expect("GStreamer is installed");
        config.check().expect("good");
        Desk { reception: Reception::new(config, LocalClock::start()), problems: Vec::new() }
    }

    fn until<T>(&mut self, what: &str, mut done: impl FnMut(&mut Self, Option<Arrived>) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < PATIENCE, "waited in vain for {what}; {:?}", self.problems.last());
            let arrived = match self.reception.next(Duration::from_millis(50)) {
                Ok(arrived) => arrived,
                Err((problem, rest)) => {
                    self.problems.push(problem);
                    // A test does not wait for whom a person would.
                    std::thread::sleep(rest.min(Duration::from_millis(50)));
                    None
                }
            };
            if let Some(result) = done(self, arrived) {
                return result;
            }
        }
    }

    /// So many pictures of this size in a row.
    fn pictures(&mut self, size: (usize, usize), n: usize) -> Vec<Arrived> {
        let mut got: Vec<Arrived> = Vec::new();
        self.until(&format!("{n} pictures of {size:?}"), |_, arrived| {
            if let Some(arrived) = arrived {
                if arrived.native != size {
                    got.clear();
                    return None;
                }
                got.push(arrived);
            }
            (got.len() >= n).then(|| std::mem::take(&mut got))
        })
    }

    /// Until a sentence of this kind: a machine that is busy may first say that nothing came in time.
    fn says(&mut self, code: &str) -> String {
        self.problems.clear();
        self.until(code, |desk, _| desk.problems.last().filter(|problem| problem.contains(code)).cloned())
    }
}

fn check_times(pictures: &[Arrived]) {
    assert!(pictures.windows(2).all(|w| w[1].capture > w[0].capture), "captures rise");
    assert!(pictures.iter().all(|p| p.capture <= p.came), "nothing is from the future");
}

/// Of a sender whose clock is believed: its pictures are whole periods apart, whenever they come.
fn check_rate(pictures: &[Arrived], rate: f64) {
    check_times(pictures);
    let mut steps: Vec<f64> = pictures.windows(2).map(|w| w[1].capture.since(w[0].capture).as_secs_f64()).collect();
    steps.sort_by(f64::total_cmp);
    let periods = steps[steps.len() / 2] * rate;
    assert!(periods > 0.75 && (periods - periods.round()).abs() < 0.25, "{periods} periods apart at {rate} a second");
}

fn on(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn rtsp(port: u16, path: &str) -> Rtsp {
    Rtsp {
        url: format!("rtsp://127.0.0.1:{port}/{path}"),
        user: None,
        password: None,
        transport: Transport::Tcp,
        latency_ms: 50,
        clock: CaptureClock::Arrival,
        expect: Expect::default(),
    }
}

fn rtp(port: u16, codec: RtpCodec) -> Rtp {
    let expect = Expect { width: 320, height: 240, rate: 15 };
    Rtp { listen: on(port), codec, payload: 96, latency_ms: 50, clock: CaptureClock::Arrival, expect }
}

fn srt(listen: Option<SocketAddr>, call: Option<String>, passphrase: Option<&str>) -> SourceConfig {
    let passphrase = passphrase.map(Secret::from);
    SourceConfig::Srt(Srt { listen, call, passphrase, stream_id: None, latency_ms: 60, expect: Expect::default() })
}

#[test]
fn a_camera_over_rtsp_is_seen_over_tcp_and_udp_and_its_sound_stays_where_it_is() {
    let server = RtspServer::start(0, (320, 240), 15);
    for transport in [Transport::Tcp, Transport::Udp] {
        let mut desk = Desk::new(SourceConfig::Rtsp(Rtsp { transport, ..rtsp(server.port, "both") }));
        check_times(&desk.pictures((320, 240), 25));
        let of_sound = desk.problems.iter().filter(|p| !p.ends_with("[feed.silent]") && !p.ends_with("[feed.network.timeout]"));
        assert_eq!(of_sound.collect::<Vec<_>>(), Vec::<&String>::new());
    }
}

#[test]
fn a_camera_whose_clock_is_believed_stamps_its_pictures_itself() {
    let server = RtspServer::start(0, (320, 240), 15);
    let config = Rtsp { clock: CaptureClock::Sender, ..rtsp(server.port, "camera") };
    let mut desk = Desk::new(SourceConfig::Rtsp(config));
    check_rate(&desk.pictures((320, 240), 60), 15.0);
    let port = free_pair();
    let _sender = Sender::rtp_with_rtcp((320, 240), 15, on(port));
    let mut desk = Desk::new(SourceConfig::Rtp(Rtp { clock: CaptureClock::Sender, ..rtp(port, RtpCodec::H264) }));
    // Its first report comes within five seconds; from then on every picture is as old as its way was long.
    let pictures = desk.pictures((320, 240), 100);
    check_rate(&pictures[80..], 15.0);
    let ages: Vec<f64> = pictures[80..].iter().map(|p| p.came.since(p.capture).as_secs_f64()).collect();
    assert!(ages.iter().all(|age| *age < 30.0), "{ages:?}");
}

#[test]
fn a_camera_that_is_off_unknown_or_locked_says_so_in_a_sentence() {
    let server = RtspServer::start(0, (320, 240), 15);
    let say = |config: Rtsp, code: &str| Desk::new(SourceConfig::Rtsp(config)).says(code);
    let off = say(rtsp(free_port(), "camera"), "[feed.network.refused]");
    assert!(off.contains("refuses the connection"), "{off}");
    say(rtsp(server.port, "nowhere"), "[feed.network.not-found]");
    let named = say(Rtsp { url: "rtsp://no-such-camera.invalid/x".into(), ..rtsp(0, "") }, "[feed.network.name]");
    assert!(named.contains("no-such-camera.invalid"), "{named}");
    say(rtsp(server.port, "sound"), "[feed.");
    let locked_server = RtspServer::locked((320, 240), 15);
    let private = rtsp(locked_server.port, "camera");
    say(private.clone(), "[feed.network.login]");
    let wrong = Rtsp { user: Some("viewer".into()), password: Some("wrong".into()), ..private.clone() };
    let wrong = say(wrong, "[feed.network.login]");
    assert!(!wrong.contains("wrong"), "{wrong}");
    let right = Rtsp { user: Some("viewer".into()), password: Some("secret".into()), ..private };
    Desk::new(SourceConfig::Rtsp(right)).pictures((320, 240), 5);
}

#[test]
fn a_camera_that_dies_and_comes_back_with_another_picture_is_seen_again_by_itself() {
    let server = RtspServer::start(free_port(), (320, 240), 15);
    let port = server.port;
    let mut desk = Desk::new(SourceConfig::Rtsp(rtsp(port, "camera")));
    desk.pictures((320, 240), 10);
    drop(server);
    desk.says("[feed.");
    let _server = RtspServer::start(port, (640, 360), 30);
    check_times(&desk.pictures((640, 360), 30));
}

#[test]
fn an_encoder_over_srt_calls_or_is_called_with_the_right_passphrase_only() {
    let port = free_port();
    let mut waiting = Desk::new(srt(Some(on(port)), None, Some("correct horse battery")));
    let sender = {
        // The listener must be there first.
        waiting.until("the listener", |_, _| Some(()));
        Sender::srt((320, 240), 15, &format!("srt://127.0.0.1:{port}?mode=caller&passphrase=correct horse battery"))
    };
    check_times(&waiting.pictures((320, 240), 30));
    drop(sender);
    waiting.says("[feed.");
    let _again = Sender::srt((640, 360), 30, &format!("srt://127.0.0.1:{port}?mode=caller&passphrase=correct horse battery"));
    waiting.pictures((640, 360), 10);

    let port = free_port();
    let _sender = Sender::srt((320, 240), 15, &format!("srt://127.0.0.1:{port}?mode=listener&passphrase=correct horse battery"));
    let wrong = srt(None, Some(format!("127.0.0.1:{port}")), Some("wrong horse battery"));
    let wrong = Desk::new(wrong).says("[feed.network.login]");
    assert!(wrong.contains("passphrase"), "{wrong}");
    let call = Some(format!("127.0.0.1:{port}"));
    check_times(&Desk::new(srt(None, call, Some("correct horse battery"))).pictures((320, 240), 30));
}

#[test]
fn rtp_comes_as_h264_vp8_jpeg_and_raw() {
    let raw = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=15/1";
    for (codec, line) in [
        (RtpCodec::H264, format!("{} ! rtph264pay pt=96 config-interval=-1", h264(320, 240, 15))),
        (RtpCodec::Vp8, format!("{raw} ! vp8enc deadline=1 keyframe-max-dist=10 ! rtpvp8pay pt=96")),
        (RtpCodec::Jpeg, format!("{raw},format=I420 ! jpegenc ! rtpjpegpay pt=96")),
        (RtpCodec::Raw, format!("{raw},format=UYVY ! rtpvrawpay pt=96")),
    ] {
        let port = free_port();
        let mut desk = Desk::new(SourceConfig::Rtp(rtp(port, codec)));
        desk.until("the receiver", |_, _| Some(()));
        let _sender = Sender::start(&format!("{line} ! udpsink host=127.0.0.1 port={port} sync=false"));
        check_times(&desk.pictures((320, 240), 20));
    }
}

#[test]
fn a_sender_of_rtp_may_change_its_size_and_rate_stop_and_return() {
    let port = free_port();
    let mut desk = Desk::new(SourceConfig::Rtp(rtp(port, RtpCodec::H264)));
    let sender = Sender::rtp((640, 480), 15, on(port));
    check_times(&desk.pictures((640, 480), 20));
    drop(sender);
    let sender = Sender::rtp((1280, 720), 30, on(port));
    check_times(&desk.pictures((1280, 720), 30));
    drop(sender);
    desk.says("[feed.silent]");
    let _sender = Sender::rtp((320, 240), 15, on(port));
    desk.pictures((320, 240), 10);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    Desk::new(SourceConfig::Rtp(rtp(port, RtpCodec::H264))).says("[feed.network.port]");
}

#[test]
fn a_camera_that_is_not_plugged_in_says_so() {
    let config = SourceConfig::V4l2(V4l2 { device: "/dev/video-nowhere".into(), expect: Expect::default() });
    let problem = Desk::new(config).says("[feed.v4l2.missing]");
    assert!(problem.contains("/dev/video-nowhere"), "{problem}");
}

/// No camera here: another element stands in for `v4l2src`, with the forms that UVC cameras have.
#[test]
fn every_form_of_a_local_camera_becomes_pictures() {
    gstreamer::init().expect("GStreamer is installed");
    let config = SourceConfig::V4l2(V4l2 { device: "/dev/video0".into(), expect: Expect::default() });
    let clock = LocalClock::start();
    for (form, size) in [
        ("video/x-raw,format=YUY2,width=640,height=480,framerate=30/1", (640, 480)),
        ("video/x-raw,format=NV12,width=322,height=241,framerate=30/1", (322, 241)),
        ("video/x-raw,format=I420,width=640,height=480,framerate=30/1 ! jpegenc", (640, 480)),
        ("video/x-raw,format=UYVY,width=720,height=576,framerate=25/1,pixel-aspect-ratio=16/15", (768, 576)),
        ("video/x-raw,format=UYVY,width=720,height=480,framerate=30/1 ! interlace field-pattern=1:1", (720, 480)),
    ] {
        let pipeline = recipe::of_line(&format!("videotestsrc is-live=true ! {form}")).expect(form);
        let receiver = Receiver::run(pipeline, &config, clock).expect(form);
        let sample = receiver.take(PATIENCE).unwrap_or_else(|| panic!("{form}: {:?}", receiver.trouble()));
        assert_eq!(sample.native, size, "{form}");
        let age = sample.age_ns.expect("a camera says when");
        assert!((0..90_000_000_000).contains(&age), "{form}: {age}");
        assert!(sample.picture.geometry().width.is_multiple_of(2) && sample.picture.geometry().height.is_multiple_of(2));
    }
}
