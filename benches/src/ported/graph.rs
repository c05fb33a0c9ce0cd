//! A graph with one of GStreamer's own WHIP or WHEP clients in it, as an operator writes it.

use std::sync::mpsc::{self, Receiver};

use anyhow::{Context, Result, anyhow, ensure};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::{Http, PATIENCE};

/// A running graph. Dropping it stops it.
#[derive(Debug)]
pub struct Graph(pub gst::Pipeline);

impl Graph {
    /// `what` has the client as `ported`; `endpoint`: the property of its signaller that takes `path`.
    pub fn start(what: &str, endpoint: &str, http: &Http, path: &str) -> Result<Self> {
        let graph = Self::open(what)?;
        graph.play(endpoint, http, path)?;
        Ok(graph)
    }

    /// Starts one that was opened.
    pub fn play(&self, endpoint: &str, http: &Http, path: &str) -> Result<()> {
        let ported = self.0.by_name("ported").context("no client")?;
        // No server of the internet is asked where this machine is.
        ported.set_property("stun-server", None::<String>);
        let client = ported.property::<gst::glib::Object>("signaller");
        client.set_property(endpoint, format!("http://{}{path}", http.host));
        client.set_property("auth-token", &http.token);
        client.set_property("use-link-headers", true);
        self.0.set_state(gst::State::Playing)?;
        Ok(())
    }

    /// A graph that does not run yet.
    pub fn open(what: &str) -> Result<Self> {
        let graph = gst::parse::launch(what)?.downcast::<gst::Pipeline>().map_err(|_| anyhow!("no pipeline: {what}"))?;
        Ok(Graph(graph))
    }

    /// Before it plays: its client tries no TCP, so what passes has passed by UDP.
    pub fn by_udp_alone(&self) -> Result<()> {
        let ported = self.0.by_name("ported").context("no client")?;
        ported.property::<gst::glib::Object>("signaller").connect("webrtcbin-ready", false, |values| {
            let webrtcbin = values.get(2)?.get::<gst::Element>().ok()?;
            let agent = webrtcbin.property::<gst::glib::Object>("ice-agent").property::<gst::glib::Object>("agent");
            agent.set_property("ice-tcp", false);
            None
        });
        Ok(())
    }

    /// A camera for `whip-endpoint` that makes H.264 of `source`, and by itself a keyframe each so many pictures. One slice a picture: by itself
    /// it cuts each in four, and `whepclientsrc` of that version gives the slices of a keyframe to its decoder as pictures of their own.
    pub fn camera(source: &str, keyframe_every: u32) -> Result<Self> {
        let graph = Self::open(&format!("{source} ! whipclientsink name=ported video-caps=video/x-h264"))?;
        graph.0.by_name("ported").context("no client")?.connect("encoder-setup", false, move |values| {
            let encoder = values.get(3)?.get::<gst::Element>().ok()?;
            let ours = encoder.factory().is_some_and(|factory| factory.name() == "x264enc");
            if ours {
                encoder.set_property("key-int-max", keyframe_every);
                for (name, value) in [("tune", "zerolatency"), ("speed-preset", "ultrafast"), ("threads", "1")] {
                    encoder.set_property_from_str(name, value);
                }
            }
            Some(ours.to_value())
        });
        Ok(graph)
    }

    /// The first thing that went wrong in it.
    pub fn fault(&self) -> Option<String> {
        let message = self.0.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        let gst::MessageView::Error(error) = message.view() else { return None };
        Some(format!("{} {:?}", error.error(), error.debug()))
    }

    /// What comes to its `out`, an `appsink`: the bytes of each buffer.
    pub fn samples(&self) -> Result<Receiver<Vec<u8>>> {
        let (tell, samples) = mpsc::channel();
        let sink = self.0.by_name("out").and_downcast::<gst_app::AppSink>().context("no out")?;
        let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let map = sample.buffer().and_then(|buffer| buffer.map_readable().ok()).ok_or(gst::FlowError::Error)?;
            let _ = tell.send(map.to_vec());
            Ok(gst::FlowSuccess::Ok)
        });
        sink.set_callbacks(callbacks.build());
        Ok(samples)
    }

    /// Until everything has come to its end.
    pub fn wait_for_end(&self) -> Result<()> {
        let wanted = [gst::MessageType::Eos, gst::MessageType::Error];
        let patience = gst::ClockTime::from_seconds(PATIENCE.as_secs());
        let message = self.0.bus().context("no bus")?.timed_pop_filtered(patience, &wanted).context("it does not end")?;
        ensure!(matches!(message.view(), gst::MessageView::Eos(_)), "{message:?}");
        Ok(())
    }

    /// As an operator who presses stop: a client ends its resource.
    pub fn stop(&self) -> Result<()> {
        self.0.set_state(gst::State::Null)?;
        Ok(())
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}
