//! A feed that comes down the media socket: composed while it lives, marked when it stops, removed when it ends.

mod server;

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use annotation::time::CaptureTime;
use gstreamer::prelude::*;
use link::frame::{FeedState, FrameEntry, FrameIndex};
use link::wire::{FeedInfo, Ingest, to_engine};
use server::{CONFIG, Server, timeline};

const SSRC: u32 = 0x5151_0001;

/// A camera of 320 x 240 whose RTP carries the server's timeline, as the server normalises it.
struct Camera {
    pipeline: gstreamer::Pipeline,
    packets: Receiver<Vec<u8>>,
}

impl Camera {
    fn start(encode: &str) -> Self {
        let line = format!(
            "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=30/1 \
             ! {encode} ssrc={SSRC} pt=96 mtu=1100 ! appsink name=out sync=false"
        );
        let pipeline = gstreamer::parse::launch(&line).expect("elements").downcast::<gstreamer::Pipeline>().expect("a pipeline");
        let sink = pipeline.by_name("out").and_then(|e| e.downcast::<gstreamer_app::AppSink>().ok()).expect("appsink");
        let (sender, packets) = channel();
        let mut frame: Option<u32> = None;
        let callbacks = gstreamer_app::AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gstreamer::FlowError::Eos)?;
            let buffer = sample.buffer().ok_or(gstreamer::FlowError::Error)?;
            let mut packet = buffer.map_readable().map_err(|_| gstreamer::FlowError::Error)?.to_vec();
            let ts = *frame.get_or_insert_with(|| timeline().rtp_90khz());
            packet[4..8].copy_from_slice(&ts.to_be_bytes());
            if packet[1] & 0x80 != 0 {
                frame = None;
            }
            sender.send(packet).map_err(|_| gstreamer::FlowError::Eos)?;
            Ok(gstreamer::FlowSuccess::Ok)
        });
        sink.set_callbacks(callbacks.build());
        pipeline.set_state(gstreamer::State::Playing).expect("plays");
        Camera { pipeline, packets }
    }

    /// Its encoder makes the next picture a keyframe.
    fn keyframe(&self) {
        let sink = self.pipeline.by_name("out").expect("appsink");
        let wanted = gstreamer_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
        assert!(sink.send_event(wanted), "the encoder hears it");
    }

    /// Hands its packets to the engine until `done`. `skip`: so many at first are lost on the way.
    fn until(&self, server: &mut Server, skip: usize, what: &str, done: impl Fn(&Server) -> bool) {
        let began = Instant::now();
        let mut n = 0;
        while !done(server) {
            assert!(began.elapsed() < Duration::from_secs(90), "waited in vain for {what}");
            for packet in self.packets.try_iter() {
                n += 1;
                if n > skip {
                    server.send_record(&packet);
                }
            }
            server.turn();
        }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gstreamer::State::Null);
    }
}

fn newest(server: &Server) -> Option<&FrameIndex> {
    server.indexes.values().max_by_key(|i| i.composed)
}

fn camera(index: &FrameIndex) -> Option<&FrameEntry> {
    index.entries.iter().find(|e| e.feed == "camera")
}

fn state(server: &Server) -> Option<FeedState> {
    newest(server).and_then(camera).map(FrameEntry::state)
}

#[test]
fn it_joins_the_program_is_lost_when_it_stops_and_leaves_when_it_ends() {
    for (codec, encode, skip) in [
        ("H264", "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=20 ! rtph264pay config-interval=-1", 0),
        ("VP8", "vp8enc deadline=1 keyframe-max-dist=20 ! rtpvp8pay", 0),
        // It begins in the middle: nothing shows until the next keyframe.
        ("H264", "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=20 ! rtph264pay config-interval=-1", 8),
    ] {
        let mut server = Server::start(CONFIG);
        server.accept();
        server.want(true);
        server.until("pictures", |s| s.frames() >= 5);
        let info = FeedInfo { feed: "camera".into(), kind: "camera".into(), ..FeedInfo::default() };
        let ingest = Ingest { feed: Some(info), ssrc: SSRC, codec: codec.into(), ended: false };
        server.send(to_engine::Body::Ingest(ingest.clone()));
        let publisher = Camera::start(encode);
        publisher.until(&mut server, skip, "the camera, live", |s| state(s) == Some(FeedState::Live));
        publisher.until(&mut server, 0, "its size", |s| {
            s.feeds.as_ref().is_some_and(|l| l.feeds.iter().any(|f| f.feed == "camera" && (f.width, f.height) == (320, 240)))
        });
        let frames = server.frames();
        publisher.until(&mut server, 0, "its shape in the program", |s| {
            let rect = newest(s).and_then(camera).and_then(|e| e.rect);
            s.frames() > frames + 10 && rect.is_some_and(|r| (r.w * 3).abs_diff(r.h * 4) <= 8)
        });
        let index = newest(&server).expect("an index").clone();
        assert!(index.layout_rev > 1 && index.entries.len() == 4);
        let entry = camera(&index).expect("the camera");
        let age = CaptureTime(index.composed).minus_ns(CaptureTime(entry.capture));
        // Of another clock it would be an hour off.
        assert!(age.abs() < 60_000_000_000, "{codec}: {age} ns old");
        // Three layers of the program and four feeds alone in H.264; two and four in VP8.
        let list = server.feeds.take().expect("told");
        assert_eq!((list.feeds.len(), list.layers.len(), list.layers[0].ssrc), (5, 13, server::FIRST_SSRC));

        drop(publisher);
        server.until("lost", |s| state(s) == Some(FeedState::Lost));
        server.send(to_engine::Body::Ingest(Ingest { ended: true, ..ingest }));
        server.until("a list without it", |s| s.feeds.as_ref().is_some_and(|l| l.feeds.len() == 4));
        server.until("a program without it", |s| newest(s).is_some_and(|i| i.entries.len() == 3));
        assert!(newest(&server).is_some_and(|i| i.layout_rev > index.layout_rev));
        server.until("the main feed, which never noticed", |s| {
            newest(s).is_some_and(|i| i.layout_rev > index.layout_rev && i.entries[0].state() == FeedState::Live)
        });
        server.stop();
    }
}

#[test]
fn a_camera_whose_only_keyframe_was_lost_is_asked_for_another_and_so_is_one_that_lost_packets() {
    // By itself it never sends a second.
    for (codec, encode) in [
        ("H264", "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=100000 ! rtph264pay config-interval=-1"),
        ("VP8", "vp8enc deadline=1 keyframe-max-dist=100000 ! rtpvp8pay"),
    ] {
        let mut server = Server::start(CONFIG);
        server.accept();
        server.want(true);
        server.until("pictures", |s| s.frames() >= 5);
        let publisher = Camera::start(encode);
        let info = FeedInfo { feed: "camera".into(), kind: "camera".into(), ..FeedInfo::default() };
        let ingest = Ingest { feed: Some(info), ssrc: SSRC, codec: codec.into(), ended: false };
        server.send(to_engine::Body::Ingest(ingest));
        publisher.until(&mut server, 60, "a request", |s| !s.keyframes_wanted.is_empty());
        assert!(server.keyframes_wanted.iter().all(|feed| feed == "camera"), "{:?}", server.keyframes_wanted);
        let live = server.indexes.values().filter_map(camera).filter(|e| e.state() == FeedState::Live).count();
        assert_eq!(live, 0, "{codec}: shown from the middle of nothing");
        publisher.keyframe();
        publisher.until(&mut server, 0, "the camera, live", |s| state(s) == Some(FeedState::Live));

        // Ten packets of it are lost on the way.
        let (asked, frames) = (server.keyframes_wanted.len(), server.frames());
        publisher.until(&mut server, 10, "another request", |s| s.keyframes_wanted.len() > asked);
        publisher.keyframe();
        publisher
            .until(&mut server, 0, "the camera, live again", |s| s.frames() > frames + 30 && state(s) == Some(FeedState::Live));
        drop(publisher);
        server.until("lost", |s| state(s) == Some(FeedState::Lost));
        server.stop();
    }
}

#[test]
fn garbage_and_unknown_codecs_are_told_as_health_and_harm_nobody() {
    let mut server = Server::start(CONFIG);
    server.accept();
    server.want(true);
    let feed = |feed: &str| Some(FeedInfo { feed: feed.into(), ..FeedInfo::default() });
    let ingest = |feed, codec: &str| to_engine::Body::Ingest(Ingest { feed, ssrc: SSRC, codec: codec.into(), ended: false });
    server.send(ingest(feed("camera"), "AV2"));
    server.until("a sentence", |s| {
        s.health.as_ref().is_some_and(|h| h.feeds.iter().any(|f| f.feed == "camera" && f.problem.contains("H.264")))
    });
    server.send(ingest(feed("camera"), "H264"));
    server.send(ingest(feed("field"), "H264"));
    server.send(ingest(None, "H264"));
    for n in 0..200u32 {
        let mut packet = vec![0x80, 96, 0, n as u8];
        packet.extend(timeline().rtp_90khz().to_be_bytes());
        packet.extend(SSRC.to_be_bytes());
        packet.extend((0..n).map(|b| (b * n) as u8));
        server.send_record(&packet);
        server.send_record(&packet[..(n % 16) as usize]);
    }
    let frames = server.frames();
    server.until("pictures all the while", |s| s.frames() > frames + 20);
    assert_eq!(newest(&server).and_then(camera).map(FrameEntry::state), Some(FeedState::Lost));
    server.stop();
}
