//! Why a source gives no pictures, as a sentence that says whose fault it is and what to do, with a stable code. Pure.
//!
//! GStreamer says it by a class of error and a text for programmers; which of them means what was found by causing each.

use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;

use crate::config::source::SourceConfig;

const SOON: Duration = Duration::from_secs(1);
/// A device may lock out who asks with a wrong password again and again.
const LATER: Duration = Duration::from_secs(15);

/// Shown as the feed's problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub code: &'static str,
    pub sentence: String,
    /// Until it is tried again.
    pub rest: Duration,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} [{}]", self.sentence, self.code)
    }
}

fn trouble(code: &'static str, sentence: impl Into<String>) -> Trouble {
    Trouble { code, sentence: sentence.into(), rest: SOON }
}

/// The other side, for people: never with user or password.
fn whom(config: &SourceConfig) -> String {
    match config {
        SourceConfig::Rtsp(c) => {
            let host = c.url.split("//").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
            format!("The RTSP server {host}")
        }
        SourceConfig::Srt(c) => match (&c.call, &c.listen) {
            (Some(call), _) => format!("The SRT sender {call}"),
            (None, Some(listen)) => format!("The SRT sender that is to call {listen}"),
            (None, None) => "The SRT sender".into(),
        },
        SourceConfig::Rtp(c) => format!("The RTP sender to {}", c.listen),
        SourceConfig::V4l2(c) => format!("The camera {}", c.device.display()),
        SourceConfig::Decklink(c) => format!("Input {} of the DeckLink card", c.device),
        _ => "The source".into(),
    }
}

/// Nothing came for too long.
pub fn silent(config: &SourceConfig) -> Trouble {
    let advice = match config {
        SourceConfig::Rtsp(_) => "is connected and sends no pictures; check the camera, or give transport = \"tcp\"",
        SourceConfig::Decklink(_) => "has no signal; check the cable and what is connected to it",
        SourceConfig::V4l2(_) => "is open and delivers no pictures; unplug it and plug it in again",
        _ => "sends nothing; check that it runs and the network to it",
    };
    trouble("feed.silent", format!("{} {advice}.", whom(config)))
}

/// It would not even start, and gave no reason.
pub fn not_started(config: &SourceConfig) -> Trouble {
    match config {
        SourceConfig::Decklink(_) => driver(&whom(config)),
        _ => trouble("feed.failed", format!("{} cannot be opened; check it and the way to it.", whom(config))),
    }
}

fn driver(whom: &str) -> Trouble {
    let advice = "install Blackmagic's Desktop Video driver, check the card and the number of its input";
    trouble("feed.decklink.driver", format!("{whom} cannot be opened; {advice}."))
}

/// A server that could not be connected to, for this reason of the system's.
pub fn unconnected(config: &SourceConfig, error: &std::io::Error) -> Trouble {
    use std::io::ErrorKind;
    let whom = whom(config);
    match error.kind() {
        ErrorKind::ConnectionRefused => refused(&whom),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => timeout(&whom),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => unreachable(&whom),
        _ if error.raw_os_error().is_none() => unknown_name(&whom),
        _ => unreachable(&whom),
    }
}

fn refused(whom: &str) -> Trouble {
    trouble("feed.network.refused", format!("{whom} refuses the connection; start its stream, or correct the port."))
}

fn timeout(whom: &str) -> Trouble {
    trouble("feed.network.timeout", format!("{whom} does not answer; check that it runs, and the network to it."))
}

fn unreachable(whom: &str) -> Trouble {
    trouble("feed.network.unreachable", format!("{whom} cannot be reached; check cable, network and address."))
}

fn unknown_name(whom: &str) -> Trouble {
    trouble("feed.network.name", format!("{whom} is not known by that name; correct the name, or check the DNS server."))
}

/// The other side ended it.
pub fn ended(config: &SourceConfig) -> Trouble {
    trouble("feed.ended", format!("{} ended the connection; it is connected again as soon as it is there.", whom(config)))
}

/// An error of the pipeline. `detail`: GStreamer's text for programmers.
pub fn of(config: &SourceConfig, error: &glib::Error, detail: &str) -> Trouble {
    let text = format!("{} {detail}", error.message()).to_lowercase();
    let says = |words: &[&str]| words.iter().any(|w| text.contains(w));
    let whom = whom(config);
    match config {
        // Another sender came to the same port: it is received anew.
        SourceConfig::Rtp(_) if says(&["not-linked"]) => return ended(config),
        SourceConfig::Decklink(_) if says(&["iterator", "driver", "failed to acquire input", "not found"]) || not_open(error) => {
            return driver(&whom);
        }
        SourceConfig::V4l2(_) => {
            if let Some(found) = of_v4l2(error, &whom) {
                return found;
            }
        }
        _ => {}
    }
    if says(&["resolving", "resolve", "name or service not known"]) {
        return unknown_name(&whom);
    }
    if error.matches(gst::ResourceError::NotAuthorized)
        || says(&["unauthorized", "incorrect passphrase", "bad secret", "badsecret"])
    {
        let advice = match config {
            SourceConfig::Srt(_) => "has another passphrase; give both sides the same",
            _ => "refuses user and password; correct them in the configuration",
        };
        return Trouble { rest: LATER, ..trouble("feed.network.login", format!("{whom} {advice}.")) };
    }
    if says(&["connection refused", "refused", "rejected"]) {
        return refused(&whom);
    }
    if says(&["unreachable", "no route"]) {
        return unreachable(&whom);
    }
    if says(&["address already in use", "could not bind", "cannot bind", "failed to bind", "error binding", "in use"]) {
        return trouble(
            "feed.network.port",
            format!("{whom} cannot be received: the address or port is not free; give another one."),
        );
    }
    if error.matches(gst::StreamError::CodecNotFound)
        || error.matches(gst::CoreError::MissingPlugin)
        || says(&["missing a plug-in", "no decoder"])
    {
        return trouble("feed.codec", format!("{whom} sends a form of video that is not supported; set it to H.264."));
    }
    if error.matches(gst::StreamError::TypeNotFound) || error.matches(gst::StreamError::WrongType) {
        return trouble("feed.codec", format!("{whom} sends something that is no video; set it to H.264, over SRT as MPEG-TS."));
    }
    if error.matches(gst::ResourceError::NotFound) {
        return trouble(
            "feed.network.not-found",
            format!("{whom} is there and has no such stream; correct the path of its address."),
        );
    }
    if says(&["timed out", "timeout", "could not receive any udp"]) {
        return timeout(&whom);
    }
    if error.matches(gst::StreamError::Decode)
        || error.matches(gst::StreamError::Demux)
        || error.matches(gst::StreamError::Format)
    {
        return trouble(
            "feed.undecodable",
            format!("{whom} sends pictures that cannot be decoded; check its settings and the network."),
        );
    }
    tracing::debug!(%error, detail, "an error that has no sentence of its own");
    trouble("feed.failed", format!("{whom} failed; check it and the way to it."))
}

fn not_open(error: &glib::Error) -> bool {
    error.matches(gst::ResourceError::NotFound) || error.matches(gst::ResourceError::OpenRead)
}

fn of_v4l2(error: &glib::Error, whom: &str) -> Option<Trouble> {
    let found = |code, what: &str| Some(trouble(code, format!("{whom} {what}.")));
    if error.matches(gst::ResourceError::NotFound) {
        return found("feed.v4l2.missing", "is not there; plug it in, or correct the device");
    }
    if error.matches(gst::ResourceError::Busy) {
        return found("feed.v4l2.busy", "is used by another program; end that");
    }
    if error.matches(gst::ResourceError::OpenRead) || error.matches(gst::ResourceError::OpenReadWrite) {
        return found("feed.v4l2.denied", "may not be opened; put the engine's user into the group video");
    }
    None
}
