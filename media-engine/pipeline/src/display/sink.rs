//! The screen itself: a GStreamer sink that takes pictures as they come. Its queue holds one picture, the newest.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::{DisplayConfig, SinkKind};
use crate::picture::Geometry;

#[derive(Debug)]
pub struct Sink {
    pipeline: gst::Pipeline,
    pictures: gst_app::AppSrc,
    screen: gst::Element,
}

impl Sink {
    /// Opens the screen for pictures of this size. The error is a sentence.
    pub fn open(config: &DisplayConfig, size: Geometry) -> Result<Self, String> {
        let failed = |what: String| {
            format!("The display cannot be opened ({what}); check its cable, its configuration and who else uses it.")
        };
        let build = || -> Result<Self, gst::glib::BoolError> {
            let caps = gst::Caps::builder("video/x-raw")
                .field("format", "I420")
                .field("width", size.width as i32)
                .field("height", size.height as i32)
                .field("framerate", gst::Fraction::new(0, 1))
                .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
                .field("colorimetry", "bt709")
                .build();
            let pictures = gst_app::AppSrc::builder()
                .caps(&caps)
                .is_live(true)
                .format(gst::Format::Time)
                .max_buffers(1)
                .leaky_type(gst_app::AppLeakyType::Downstream)
                .build();
            let pipeline = gst::Pipeline::new();
            let sink = sink(config)?;
            let convert = gst::ElementFactory::make("videoconvert").build()?;
            let scale = gst::ElementFactory::make("videoscale").property("add-borders", true).build()?;
            let wanted = config.size.map_or_else(
                || gst::Caps::new_empty_simple("video/x-raw"),
                |[w, h]| {
                    let one = gst::Fraction::new(1, 1);
                    gst::Caps::builder("video/x-raw")
                        .field("width", w as i32)
                        .field("height", h as i32)
                        .field("pixel-aspect-ratio", one)
                        .build()
                },
            );
            let filter = gst::ElementFactory::make("capsfilter").property("caps", wanted).build()?;
            let elements = [pictures.upcast_ref::<gst::Element>(), &scale, &convert, &filter, &sink];
            pipeline.add_many(elements)?;
            gst::Element::link_many(elements)?;
            Ok(Sink { pipeline, pictures, screen: sink })
        };
        let sink = build().map_err(|e| failed(e.to_string()))?;
        match sink.pipeline.set_state(gst::State::Playing) {
            Ok(_) => Ok(sink),
            Err(e) => Err(failed(sink.error().unwrap_or_else(|| e.to_string()))),
        }
    }

    /// Never waits: a picture that the screen has not taken yet gives way.
    pub fn push(&self, picture: gst::Buffer) {
        // What a sink that has failed answers is on its bus.
        let _ = self.pictures.push_buffer(picture);
    }

    /// Pictures that its driver has taken from us and come back from. Source: GstBaseSink's property `stats`.
    pub fn shown(&self) -> u64 {
        self.screen.property::<gst::Structure>("stats").get("rendered").unwrap_or_default()
    }

    /// Why it has failed, if it has.
    pub fn error(&self) -> Option<String> {
        let bus = self.pipeline.bus()?;
        let message = bus.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Eos])?;
        Some(match message.view() {
            gst::MessageView::Error(e) => e.error().to_string(),
            _ => "it was closed".into(),
        })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn sink(config: &DisplayConfig) -> Result<gst::Element, gst::glib::BoolError> {
    let (element, _) = config.sink.element();
    // Shown when it comes; nothing that came is kept for somebody to ask.
    let made = gst::ElementFactory::make(element)
        .property("sync", false)
        .property("qos", false)
        .property("async", false)
        .property("enable-last-sample", false)
        .build()?;
    match config.sink {
        SinkKind::Kms => {
            made.set_property("force-modesetting", config.size.is_some());
            if let Some(connector) = config.connector {
                made.set_property("connector-id", connector);
            }
            if let Some(driver) = &config.driver {
                made.set_property("driver-name", driver);
            }
        }
        SinkKind::Wayland => made.set_property("fullscreen", true),
        SinkKind::X | SinkKind::Xv => made.set_property("handle-events", false),
    }
    if let Some(display) = config.display.as_ref().filter(|_| config.sink != SinkKind::Kms) {
        made.set_property("display", display);
    }
    Ok(made)
}
