//! Real senders of the kinds that a room has, each on a free port of this machine.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_rtsp_server as rtsp;
use gstreamer_rtsp_server::prelude::*;

/// A moving picture of this size and rate, as H.264 with frequent keyframes.
pub fn h264(width: u32, height: u32, rate: u32) -> String {
    format!(
        "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width={width},height={height},framerate={rate}/1 \
         ! x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=10 bitrate=600"
    )
}

/// A port that nobody has, and that nobody is given before it is bound: outside of those that the system gives out, each once a process.
pub fn free_port() -> u16 {
    free_pair()
}

/// An even one, whose next one is free as well.
pub fn free_pair() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // 10,000 pairs below 32,768; where a process begins among them is its own.
    let begin = std::process::id() % 10_000;
    let pair = || (begin + u32::from(TAKEN.fetch_add(1, Ordering::Relaxed))) % 10_000;
    let free = |p: u16| {
        let at = ("127.0.0.1", p);
        UdpSocket::bind(at).is_ok() && TcpListener::bind(at).is_ok()
    };
    let mut ports = (0..1000).map(|_| 12_000 + 2 * pair() as u16);
    ports.find(|p| free(*p) && free(p + 1)).expect("two ports")
}

/// A running pipeline. Dropping it ends it.
pub struct Sender(gst::Pipeline);

impl Sender {
    pub fn start(line: &str) -> Self {
        gst::init().expect("GStreamer is installed");
        let pipeline = gst::parse::launch(line).expect(line).downcast::<gst::Pipeline>().expect("a pipeline");
        pipeline.set_state(gst::State::Playing).expect("it plays");
        Sender(pipeline)
    }

    pub fn rtp(size: (u32, u32), rate: u32, to: SocketAddr) -> Self {
        let (ip, port) = (to.ip(), to.port());
        Self::start(&format!(
            "{} ! rtph264pay pt=96 config-interval=-1 ! udpsink host={ip} port={port} sync=false",
            h264(size.0, size.1, rate)
        ))
    }

    /// With its sender reports, which say when it captured.
    pub fn rtp_with_rtcp(size: (u32, u32), rate: u32, to: SocketAddr) -> Self {
        let (ip, port) = (to.ip(), to.port());
        Self::start(&format!(
            "rtpbin name=rtp {} ! rtph264pay pt=96 config-interval=-1 ! rtp.send_rtp_sink_0 rtp.send_rtp_src_0 ! udpsink host={ip} \
             port={port} sync=false rtp.send_rtcp_src_0 ! udpsink host={ip} port={} sync=false async=false",
            h264(size.0, size.1, rate),
            port + 1
        ))
    }

    /// `end`: `mode=caller&…` and the like.
    pub fn srt(size: (u32, u32), rate: u32, uri: &str) -> Self {
        Self::start(&format!(
            "{} ! h264parse config-interval=-1 ! mpegtsmux alignment=7 ! srtsink wait-for-connection=false sync=false uri=\"{uri}\"",
            h264(size.0, size.1, rate)
        ))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// A real RTSP server with a camera at `/camera`, one with sound at `/both`, and sound alone at `/sound`.
pub struct RtspServer {
    main: gst::glib::MainLoop,
    thread: Option<std::thread::JoinHandle<()>>,
    pub port: u16,
}

impl RtspServer {
    pub fn start(port: u16, size: (u32, u32), rate: u32) -> Self {
        Self::with(port, size, rate, false)
    }

    /// Which only `viewer` with the password `secret` may see.
    pub fn locked(size: (u32, u32), rate: u32) -> Self {
        Self::with(0, size, rate, true)
    }

    fn with(port: u16, size: (u32, u32), rate: u32, locked: bool) -> Self {
        gst::init().expect("GStreamer is installed");
        let context = gst::glib::MainContext::new();
        let main = gst::glib::MainLoop::new(Some(&context), false);
        let server = rtsp::RTSPServer::new();
        server.set_address("127.0.0.1");
        server.set_service(&port.to_string());
        let mounts = server.mount_points().expect("mount points");
        let camera = format!("( {} ! rtph264pay name=pay0 pt=96 config-interval=-1 )", h264(size.0, size.1, rate));
        for (path, line) in [
            ("/camera", camera.clone()),
            ("/both", camera.replace(" )", " audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay1 pt=8 )")),
            ("/sound", "( audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay0 pt=8 )".into()),
        ] {
            let factory = rtsp::RTSPMediaFactory::new();
            factory.set_launch(&line);
            factory.set_shared(true);
            if locked {
                let viewer = gst::Structure::builder("viewer");
                let viewer = viewer.field("media.factory.access", true).field("media.factory.construct", true).build();
                factory.add_role_from_structure(&viewer);
            }
            mounts.add_factory(path, factory);
        }
        if locked {
            let auth = rtsp::RTSPAuth::new();
            let token = rtsp::RTSPToken::builder().field("media.factory.role", "viewer").build();
            auth.add_basic(rtsp::RTSPAuth::make_basic("viewer", "secret").as_str(), &token);
            server.set_auth(Some(&auth));
        }
        let id = server.attach(Some(&context)).expect("a free port");
        let port = u16::try_from(server.bound_port()).expect("a port");
        let running = main.clone();
        let thread = std::thread::spawn(move || {
            context.with_thread_default(|| running.run()).expect("a context of its own");
            // Everybody is sent away, as when a camera is unplugged.
            server.client_filter(Some(&mut |_, _| rtsp::RTSPFilterResult::Remove));
            drop((id, server));
        });
        RtspServer { main, thread: Some(thread), port }
    }
}

impl Drop for RtspServer {
    fn drop(&mut self) {
        self.main.quit();
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}
