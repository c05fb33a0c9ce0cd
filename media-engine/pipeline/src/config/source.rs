//! Where a feed's pictures come from, as the configuration says it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where pictures come from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SourceConfig {
    /// A video file, looped.
    File {
        path: PathBuf,
    },
    /// A DICOM cine at its own frame time, again and again; between two runs X-ray is off for `rest_s`.
    Dicom {
        path: PathBuf,
        #[serde(default)]
        rest_s: u32,
    },
    /// A WFDB record (path of its header), looped and drawn as a patient monitor draws.
    Wfdb {
        path: PathBuf,
        #[serde(default)]
        view: View,
    },
    /// An MFER file, likewise.
    Mfer {
        path: PathBuf,
        #[serde(default)]
        view: View,
    },
    /// The waveform of a DICOM object, likewise.
    DicomWaveform {
        path: PathBuf,
        #[serde(default)]
        view: View,
    },
    /// What a patient monitor sends as HL7 v2 over MLLP to this address and port.
    Hl7 {
        listen: SocketAddr,
        /// Shows and logs the device's alarms: reference only.
        #[serde(default)]
        alarms: bool,
        /// The device's clock is that of the hospital: its times are believed.
        #[serde(default)]
        synchronised: bool,
    },
    /// The MDIB of an SDC device, which a gateway writes anew to this file.
    Sdc {
        path: PathBuf,
        #[serde(default)]
        alarms: bool,
    },
    /// A camera or encoder that serves RTSP.
    Rtsp(Rtsp),
    /// A sender over SRT (MPEG-TS): waits for it, or calls it.
    Srt(Srt),
    /// A sender of RTP over UDP, whose form is agreed beforehand.
    Rtp(Rtp),
    /// A USB camera or capture stick: UVC by V4L2.
    V4l2(V4l2),
    /// A DeckLink capture card: SDI or HDMI.
    Decklink(Decklink),
    SyntheticField,
    /// An operating room, seen by a simulated camera that can be turned.
    SyntheticRoom,
    /// Runs of 6 s; between two of them X-ray is off for `rest_s`.
    SyntheticFluoro {
        #[serde(default)]
        rest_s: u32,
    },
    SyntheticVitals,
}

/// How waves are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// As a patient monitor: waves and numbers.
    #[default]
    Monitor,
    /// Two columns of six leads.
    TwelveLead,
}

impl SourceConfig {
    /// Drawn by the engine from numbers and waves: nobody burnt a name into it.
    pub fn is_drawn(&self) -> bool {
        matches!(
            self,
            SourceConfig::Wfdb { .. }
                | SourceConfig::Mfer { .. }
                | SourceConfig::DicomWaveform { .. }
                | SourceConfig::Hl7 { .. }
                | SourceConfig::Sdc { .. }
                | SourceConfig::SyntheticVitals
        )
    }

    /// A recording, or a file that somebody writes: its name may be a patient's.
    pub fn is_file(&self) -> bool {
        matches!(
            self,
            SourceConfig::File { .. }
                | SourceConfig::Dicom { .. }
                | SourceConfig::Wfdb { .. }
                | SourceConfig::Mfer { .. }
                | SourceConfig::DicomWaveform { .. }
                | SourceConfig::Sdc { .. }
        )
    }

    /// Relative paths are relative to `folder`.
    pub fn relative_to(&mut self, folder: &Path) {
        match self {
            SourceConfig::File { path }
            | SourceConfig::Dicom { path, .. }
            | SourceConfig::Wfdb { path, .. }
            | SourceConfig::Mfer { path, .. }
            | SourceConfig::DicomWaveform { path, .. }
            | SourceConfig::Sdc { path, .. } => *path = folder.join(&*path),
            SourceConfig::Hl7 { .. } => {}
            SourceConfig::Rtsp(_)
            | SourceConfig::Srt(_)
            | SourceConfig::Rtp(_)
            | SourceConfig::V4l2(_)
            | SourceConfig::Decklink(_) => {}
            SourceConfig::SyntheticField
            | SourceConfig::SyntheticRoom
            | SourceConfig::SyntheticFluoro { .. }
            | SourceConfig::SyntheticVitals => {}
        }
    }

    /// What is wrong with it before anything is opened: one sentence without its subject.
    pub fn check(&self) -> Result<(), String> {
        match self {
            SourceConfig::Rtsp(rtsp) => rtsp.check(),
            SourceConfig::Srt(srt) => srt.check(),
            SourceConfig::Rtp(rtp) => rtp.check(),
            SourceConfig::V4l2(V4l2 { expect, .. }) | SourceConfig::Decklink(Decklink { expect, .. }) => expect.check(),
            _ => Ok(()),
        }
    }
}

/// A password: never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Secret(text.to_owned())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// What a source is taken for until its first picture: places and its own layer are made for it. What comes may differ, and may
/// change while it comes. `rate`: pictures a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    pub width: u32,
    pub height: u32,
    pub rate: u32,
}

impl Default for Expect {
    fn default() -> Self {
        Expect { width: 1280, height: 720, rate: 30 }
    }
}

impl Expect {
    fn check(&self) -> Result<(), String> {
        let sane = (16..=4096).contains(&self.width) && (16..=4096).contains(&self.height) && (1..=240).contains(&self.rate);
        if sane { Ok(()) } else { Err("expect is out of range; give width and height of 16 to 4096 and rate of 1 to 240".into()) }
    }
}

/// Whose word says when a picture was captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaptureClock {
    /// It was captured when it came, the network's jitter taken out, and `offset_ms` before that.
    #[default]
    Arrival,
    /// The sender's, which follows the same NTP server as this machine; that of arrival until it says so.
    Sender,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    #[default]
    Tcp,
    Udp,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rtsp {
    /// `rtsp://` or `rtsps://`, without user and password.
    pub url: String,
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub password: Option<Secret>,
    #[serde(default)]
    pub transport: Transport,
    /// How long a packet that is missing may hold up those after it, over UDP.
    #[serde(default = "default_latency_ms")]
    pub latency_ms: u32,
    #[serde(default)]
    pub clock: CaptureClock,
    #[serde(default)]
    pub expect: Expect,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Srt {
    /// Waits for a sender here.
    #[serde(default)]
    pub listen: Option<SocketAddr>,
    /// Calls this sender: host and port.
    #[serde(default)]
    pub call: Option<String>,
    #[serde(default)]
    pub passphrase: Option<Secret>,
    #[serde(default)]
    pub stream_id: Option<String>,
    /// SRT's own: lost packets are sent again within it, and every picture is as much later.
    #[serde(default = "default_srt_latency_ms")]
    pub latency_ms: u32,
    #[serde(default)]
    pub expect: Expect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RtpCodec {
    H264,
    H265,
    Vp8,
    Jpeg,
    /// RFC 4175, 4:2:2 of 8 bits, of the size and rate that are expected.
    Raw,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rtp {
    /// An address of this machine or a multicast group, and the port; RTCP comes to the next one where `clock` is `sender`.
    pub listen: SocketAddr,
    pub codec: RtpCodec,
    #[serde(default = "default_payload")]
    pub payload: u8,
    #[serde(default = "default_latency_ms")]
    pub latency_ms: u32,
    #[serde(default)]
    pub clock: CaptureClock,
    #[serde(default)]
    pub expect: Expect,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct V4l2 {
    pub device: PathBuf,
    /// Asked of the device; it may deliver otherwise.
    #[serde(default)]
    pub expect: Expect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecklinkInput {
    #[default]
    Sdi,
    Hdmi,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decklink {
    /// Number of the card's input, from 0 on.
    #[serde(default)]
    pub device: u32,
    #[serde(default)]
    pub input: DecklinkInput,
    #[serde(default)]
    pub expect: Expect,
}

fn default_latency_ms() -> u32 {
    50
}

fn default_srt_latency_ms() -> u32 {
    120
}

fn default_payload() -> u8 {
    96
}

/// Longest wait for lost packets that makes sense for a picture that somebody acts on.
const LATENCY_MS_MAX: u32 = 5_000;

fn check_latency(ms: u32) -> Result<(), String> {
    if ms <= LATENCY_MS_MAX { Ok(()) } else { Err(format!("latency_ms is out of range; give 0 to {LATENCY_MS_MAX}")) }
}

impl Rtsp {
    fn check(&self) -> Result<(), String> {
        let rest = ["rtsp://", "rtsps://"].iter().find_map(|scheme| self.url.strip_prefix(scheme));
        let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
        if host.is_empty() {
            return Err("url is no address of RTSP; write rtsp://host/path or rtsps://host/path".into());
        }
        if host.contains('@') {
            return Err("url carries a user or password; write them as user and password".into());
        }
        check_latency(self.latency_ms).and_then(|()| self.expect.check())
    }
}

impl Srt {
    fn check(&self) -> Result<(), String> {
        if self.listen.is_some() == self.call.is_some() {
            return Err("give either listen (it waits for the sender) or call (it calls the sender)".into());
        }
        if let Some(call) = &self.call
            && !call.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0))
        {
            return Err("call is no address; write host:port".into());
        }
        if self.passphrase.as_ref().is_some_and(|p| !(10..=79).contains(&p.expose().len())) {
            return Err("the passphrase has another length than SRT takes; give 10 to 79 characters".into());
        }
        check_latency(self.latency_ms).and_then(|()| self.expect.check())
    }
}

impl Rtp {
    fn check(&self) -> Result<(), String> {
        if self.payload > 127 {
            return Err("payload is out of range; give 0 to 127".into());
        }
        if self.listen.port() == 0 {
            return Err("listen names no port; give the one that the sender sends to".into());
        }
        check_latency(self.latency_ms).and_then(|()| self.expect.check())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Result<SourceConfig, String> {
        #[derive(Deserialize)]
        struct Line {
            source: SourceConfig,
        }
        toml::from_str::<Line>(&format!("source = {text}")).map(|l| l.source).map_err(|e| e.message().to_owned())
    }

    #[test]
    fn every_live_source_has_its_words_and_its_defaults() {
        for good in [
            r#"{ type = "rtsp", url = "rtsp://10.0.0.20/stream", user = "viewer", password = "secret", transport = "udp" }"#,
            r#"{ type = "srt", listen = "0.0.0.0:7001", passphrase = "0123456789" }"#,
            r#"{ type = "srt", call = "encoder-1:7001", stream_id = "theatre", latency_ms = 60 }"#,
            r#"{ type = "rtp", listen = "0.0.0.0:5004", codec = "h264", clock = "sender" }"#,
            r#"{ type = "rtp", listen = "239.1.1.1:5004", codec = "raw", expect = { width = 640, height = 480, rate = 15 } }"#,
            r#"{ type = "v4l2", device = "/dev/video0" }"#,
            r#"{ type = "decklink", device = 1, input = "hdmi" }"#,
        ] {
            source(good).expect(good).check().expect(good);
        }
        let Ok(SourceConfig::Rtp(rtp)) = source(r#"{ type = "rtp", listen = "0.0.0.0:5004", codec = "vp8" }"#) else {
            panic!("RTP")
        };
        assert_eq!((rtp.payload, rtp.latency_ms, rtp.expect), (96, 50, Expect::default()));
    }

    #[test]
    fn mistakes_of_a_live_source_are_found_before_anything_is_opened() {
        for (bad, word) in [
            (r#"{ type = "rtsp", url = "http://10.0.0.20/stream" }"#, "url"),
            (r#"{ type = "rtsp", url = "rtsp://viewer:secret@10.0.0.20/stream" }"#, "password"),
            (r#"{ type = "srt" }"#, "either"),
            (r#"{ type = "srt", listen = "0.0.0.0:7001", call = "a:1" }"#, "either"),
            (r#"{ type = "srt", call = "encoder" }"#, "host:port"),
            (r#"{ type = "srt", listen = "0.0.0.0:7001", passphrase = "short" }"#, "10 to 79"),
            (r#"{ type = "rtp", listen = "0.0.0.0:5004", codec = "h264", payload = 200 }"#, "payload"),
            (r#"{ type = "rtp", listen = "0.0.0.0:5004", codec = "h264", latency_ms = 60000 }"#, "latency_ms"),
            (r#"{ type = "v4l2", device = "/dev/video0", expect = { width = 1, height = 1, rate = 1 } }"#, "expect"),
        ] {
            let sentence = source(bad).expect(bad).check().expect_err(bad);
            assert!(sentence.contains(word), "{bad}: {sentence}");
        }
        assert!(source(r#"{ type = "rtsp", url = "rtsp://a/b", pasword = "x" }"#).is_err(), "a word that is not known");
    }

    #[test]
    fn a_password_is_never_printed() {
        let shown = format!("{:?}", source(r#"{ type = "srt", listen = "0.0.0.0:7001", passphrase = "0123456789" }"#));
        assert!(!shown.contains("0123456789"), "{shown}");
    }
}
