//! The door for session descriptions: what a peer sends is checked here before anything else sees it.
//!
//! First plain bounds, then the grammar (by `webrtc-sdp`, a parser that is not the one which uses the offer afterwards),
//! then whether the media lines are those of a page, of a player or of a publisher.

use std::collections::BTreeSet;
use std::panic::catch_unwind;

use webrtc_sdp::attribute_type::{SdpAttribute, SdpAttributeType};
use webrtc_sdp::error::SdpParserError;
use webrtc_sdp::media_type::{SdpMedia, SdpMediaValue, SdpProtocolValue};

use crate::api::{PeerKind, SLOTS_VIDEO, SLOTS_VOICE};

/// Chromium's offer of a page is 34 kB.
pub const SDP_BYTES_MAX: usize = 64 * 1024;
/// Chromium's has 1,104.
const LINES_MAX: usize = 4_000;
const LINE_BYTES_MAX: usize = 2_048;
/// A page has 15.
const MEDIA_MAX: usize = 32;
/// str0m keeps so many bytes of a mid, and cuts the rest.
const MID_BYTES_MAX: usize = 16;

/// Why an offer was not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpError {
    #[error("it has {0} bytes, over the limit of {SDP_BYTES_MAX}")]
    TooLong(usize),
    #[error("it has {0} lines, over the limit of {LINES_MAX}")]
    TooManyLines(usize),
    #[error("its line {0} has {1} bytes, over the limit of {LINE_BYTES_MAX}")]
    LineTooLong(usize, usize),
    #[error("it has {0} media lines, over the limit of {MEDIA_MAX}")]
    TooManyMedia(usize),
    #[error("it is not a session description: {0}")]
    Malformed(String),
    #[error("its media lines are not the right ones: {0}")]
    Shape(String),
}

/// The media lines of an offer by their use: names (mids), in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Shape {
    pub(crate) video: Vec<String>,
    pub(crate) voice_in: Vec<String>,
    pub(crate) voice_out: Option<String>,
    pub(crate) data: bool,
    /// The picture of a publisher.
    pub(crate) published: Option<String>,
}

/// Checks an offer of this kind of peer.
pub(crate) fn check(sdp: &str, kind: &PeerKind) -> Result<Shape, SdpError> {
    bounds(sdp)?;
    // The parser is not ours. Should it ever panic on hostile text, the text is refused and the thread goes on.
    let parsed = catch_unwind(|| webrtc_sdp::parse_sdp(&known_lines(sdp), false))
        .map_err(|_| SdpError::Malformed("the parser gave up".into()))?
        .map_err(|e| SdpError::Malformed(e.to_string().chars().take(200).collect()))?;
    let lines = parsed.media.iter().map(line_of).collect::<Result<Vec<_>, _>>()?;
    let names: BTreeSet<_> = lines.iter().map(|l| &l.mid).collect();
    if names.len() != lines.len() {
        return Err(SdpError::Shape("two have the same mid".into()));
    }
    match kind {
        PeerKind::Client => page(&lines),
        PeerKind::Whep { .. } => player(&lines),
        PeerKind::Whip { .. } | PeerKind::Engine { .. } => publisher(&lines),
    }
}

/// Without the lines that the parser has no rule for. It would pass over them, but not without a warning in the log for each,
/// 16 for a page.
fn known_lines(sdp: &str) -> String {
    let unknown = |line: &str| matches!(webrtc_sdp::parse_sdp_line(line, 0), Err(SdpParserError::Unsupported { .. }));
    sdp.lines().filter(|l| !l.starts_with("a=") || !unknown(l)).flat_map(|l| [l, "\r\n"]).collect()
}

fn bounds(sdp: &str) -> Result<(), SdpError> {
    if sdp.len() > SDP_BYTES_MAX {
        return Err(SdpError::TooLong(sdp.len()));
    }
    let mut lines = 0;
    let mut media = 0;
    for line in sdp.lines() {
        lines += 1;
        media += usize::from(line.starts_with("m="));
        if line.len() > LINE_BYTES_MAX {
            return Err(SdpError::LineTooLong(lines, line.len()));
        }
        if line.bytes().any(|b| !(0x20..0x7F).contains(&b)) {
            return Err(SdpError::Malformed(format!("line {lines} has characters that are not plain ASCII")));
        }
    }
    if lines > LINES_MAX {
        return Err(SdpError::TooManyLines(lines));
    }
    if media > MEDIA_MAX {
        return Err(SdpError::TooManyMedia(media));
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Video,
    Audio,
    Data,
}

#[derive(Debug)]
struct Line {
    kind: Kind,
    mid: String,
    /// The peer wants to receive here; to send here.
    receives: bool,
    sends: bool,
    simulcast: bool,
}

fn line_of(media: &SdpMedia) -> Result<Line, SdpError> {
    let kind = match media.get_type() {
        SdpMediaValue::Video => Kind::Video,
        SdpMediaValue::Audio => Kind::Audio,
        SdpMediaValue::Application => Kind::Data,
        SdpMediaValue::Unknown(_) => return Err(SdpError::Shape("one is of an unknown kind".into())),
    };
    let right = match media.get_proto() {
        SdpProtocolValue::UdpTlsRtpSavpf => kind != Kind::Data,
        SdpProtocolValue::UdpDtlsSctp | SdpProtocolValue::DtlsSctp => kind == Kind::Data,
        _ => false,
    };
    if !right {
        return Err(SdpError::Shape(format!("{} is no transport for {}", media.get_proto(), media.get_type())));
    }
    let Some(SdpAttribute::Mid(mid)) = media.get_attribute(SdpAttributeType::Mid) else {
        return Err(SdpError::Shape("one has no mid".into()));
    };
    if mid.is_empty() || mid.len() > MID_BYTES_MAX || !mid.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(SdpError::Shape(format!("a mid must have 1 to {MID_BYTES_MAX} plain characters")));
    }
    let says = |t| media.get_attribute(t).is_some();
    let (recv, send, none) =
        (says(SdpAttributeType::Recvonly), says(SdpAttributeType::Sendonly), says(SdpAttributeType::Inactive));
    let simulcast = says(SdpAttributeType::Simulcast);
    Ok(Line { kind, mid: mid.clone(), receives: !send && !none, sends: !recv && !none, simulcast })
}

/// 1 to 5 video to receive, as many as it shows at once; 8 audio to receive, 1 audio to send, data channels; in this order.
fn page(lines: &[Line]) -> Result<Shape, SdpError> {
    let (most, voices) = (usize::from(SLOTS_VIDEO), usize::from(SLOTS_VOICE));
    let videos = lines.len().saturating_sub(voices + 2);
    if videos == 0 || videos > most {
        return Err(SdpError::Shape(format!("{} where a page has {} to {}", lines.len(), voices + 3, voices + 2 + most)));
    }
    let (video, rest) = lines.split_at(videos);
    let (voice_in, rest) = rest.split_at(voices);
    let right = video.iter().all(|l| l.kind == Kind::Video && l.receives && !l.sends)
        && voice_in.iter().all(|l| l.kind == Kind::Audio && l.receives && !l.sends)
        && rest[0].kind == Kind::Audio
        && rest[0].sends
        && !rest[0].receives
        && rest[1].kind == Kind::Data;
    if !right {
        return Err(SdpError::Shape("a page has 1 to 5 video and 8 audio to receive, 1 audio to send, then data".into()));
    }
    Ok(Shape {
        video: video.iter().map(|l| l.mid.clone()).collect(),
        voice_in: voice_in.iter().map(|l| l.mid.clone()).collect(),
        voice_out: Some(rest[0].mid.clone()),
        data: true,
        published: None,
    })
}

/// One video to receive, perhaps one audio; or one audio alone, to listen; no data.
fn player(lines: &[Line]) -> Result<Shape, SdpError> {
    let count = |kind| lines.iter().filter(|l| l.kind == kind).count();
    let received = |kind| lines.iter().filter(|l| l.kind == kind && l.receives).map(|l| l.mid.clone()).collect();
    let (video, voice_in): (Vec<_>, Vec<_>) = (received(Kind::Video), received(Kind::Audio));
    let listens = count(Kind::Video) == 0 && voice_in.len() == 1;
    let watches = count(Kind::Video) == 1 && video.len() == 1;
    if !(watches || listens) || count(Kind::Audio) > 1 || count(Kind::Data) > 0 {
        return Err(SdpError::Shape(
            "a player has one video to receive, at most one audio, or one audio alone; and no data".into(),
        ));
    }
    Ok(Shape { video, voice_in, ..Shape::default() })
}

/// One video to send, in one size; perhaps one audio, which is not taken; no data.
fn publisher(lines: &[Line]) -> Result<Shape, SdpError> {
    let count = |kind| lines.iter().filter(|l| l.kind == kind).count();
    let video = lines.iter().find(|l| l.kind == Kind::Video && l.sends && !l.simulcast);
    if video.is_none() || count(Kind::Video) != 1 || count(Kind::Audio) > 1 || count(Kind::Data) > 0 {
        return Err(SdpError::Shape("a publisher has one video to send, in one size, at most one audio, and no data".into()));
    }
    Ok(Shape { published: video.map(|l| l.mid.clone()), ..Shape::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use annotation::id::FeedId;
    use link::id::LayerId;

    const PAGE: &str = include_str!("../tests/data/chromium-offer.sdp");
    const PLAYER: &str = include_str!("../tests/data/whep-offer.sdp");

    fn whep() -> PeerKind {
        PeerKind::Whep { feed: FeedId::program(), layer: Some(LayerId::High) }
    }

    #[test]
    fn the_offer_of_a_page_in_chromium_is_let_in() {
        let shape = check(PAGE, &PeerKind::Client).expect("a page");
        assert_eq!(shape.video, ["0", "1", "2", "3", "4"]);
        assert_eq!(shape.voice_in, ["5", "6", "7", "8", "9", "10", "11", "12"]);
        assert_eq!((shape.voice_out.as_deref(), shape.data), (Some("13"), true));
    }

    #[test]
    fn a_page_offers_as_many_pictures_as_it_shows_at_once() {
        let parts: Vec<&str> = PAGE.split("m=").collect();
        let with = |from: usize| format!("{}m={}", parts[0], parts[from..].join("m="));
        for videos in 1..=5 {
            let shape = check(&with(6 - videos), &PeerKind::Client).expect("a page");
            assert_eq!((shape.video.len(), shape.voice_in.len(), shape.data), (videos, 8, true));
        }
        assert!(matches!(check(&with(6), &PeerKind::Client), Err(SdpError::Shape(_))), "one that shows nothing");
        let six = with(1).replacen("m=video", &format!("m={}m=video", parts[1].replace("a=mid:0", "a=mid:x")), 1);
        assert!(matches!(check(&six, &PeerKind::Client), Err(SdpError::Shape(_))));
    }

    #[test]
    fn the_offer_of_a_player_is_let_in_as_a_player_only() {
        assert_eq!(check(PLAYER, &whep()).expect("a player").video, ["0"]);
        assert!(matches!(check(PLAYER, &PeerKind::Client), Err(SdpError::Shape(_))));
        assert!(matches!(check(PAGE, &whep()), Err(SdpError::Shape(_))));
    }

    #[test]
    fn what_is_too_long_is_refused_before_it_is_parsed() {
        let long = format!("{PLAYER}a={}\r\n", "x".repeat(LINE_BYTES_MAX));
        assert!(matches!(check(&long, &whep()), Err(SdpError::LineTooLong(..))));
        assert!(matches!(check(&"a=x\r\n".repeat(LINES_MAX + 1), &whep()), Err(SdpError::TooManyLines(_))));
        assert!(matches!(check(&"a=xxxxxxxxxxxxxxxxxxxx\r\n".repeat(3_000), &whep()), Err(SdpError::TooLong(_))));
        assert!(matches!(check(&"m=video 9 x 1\r\n".repeat(MEDIA_MAX + 1), &whep()), Err(SdpError::TooManyMedia(_))));
    }

    #[test]
    fn nonsense_is_refused_with_words() {
        for text in ["", "hello", "v=0\r\n", "v=0\r\no=- 1 1 IN IP4 0\r\ns=-\r\nt=0 0\r\nm=video\r\n", "v=0\0\r\n"] {
            let error = check(text, &whep()).expect_err("nonsense");
            assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn two_lines_of_one_name_are_refused() {
        let twice = PAGE.replace("a=mid:1\r\n", "a=mid:0\r\n");
        assert!(matches!(check(&twice, &PeerKind::Client), Err(SdpError::Shape(_))));
    }
}
