//! Small changes to the text of an answer that str0m has no word for, and to that of an offer that says less than it means.

use std::collections::BTreeSet;

/// What every WebRTC endpoint takes (RFC 7742 §6.2), where an offer does not say what it takes.
const H264_USUAL: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";

/// An offer of a player or a publisher as it is meant. GStreamer's own clients leave out that Opus has two channels, which it always has (RFC
/// 7587 §7), and, where they play, that they take H.264 in packets of many: that is packetization mode 1, which every WebRTC endpoint
/// has to take (RFC 7742 §6.2). Lines with a format in that mode stay as they are.
pub(super) fn as_meant(offer: &str) -> String {
    let mut out = String::with_capacity(offer.len() + 256);
    let mut section = Vec::new();
    for line in offer.lines() {
        if line.starts_with("m=") {
            put(&mut out, std::mem::take(&mut section));
        }
        section.push(line);
    }
    put(&mut out, section);
    out
}

fn put(out: &mut String, section: Vec<&str>) {
    let of_codec = |line: &str, codec: &str| {
        let (number, name) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
        name.eq_ignore_ascii_case(codec).then(|| number.to_owned())
    };
    let moded = section.iter().any(|line| line.starts_with("a=fmtp:") && line.contains("packetization-mode=1"));
    let h264: BTreeSet<String> = section.iter().filter_map(|line| of_codec(line, "H264/90000")).filter(|_| !moded).collect();
    let number_of = |line: &str| line.strip_prefix("a=fmtp:")?.split_once(' ').map(|(number, _)| number.to_owned());
    let told: BTreeSet<String> = section.iter().filter_map(|line| number_of(line)).collect();
    for line in section {
        out.push_str(line);
        if of_codec(line, "opus/48000").is_some() {
            out.push_str("/2");
        }
        if number_of(line).is_some_and(|number| h264.contains(&number)) && !line.contains("packetization-mode=") {
            out.push_str(";packetization-mode=1");
        }
        out.push_str("\r\n");
        if let Some(number) = of_codec(line, "H264/90000").filter(|number| h264.contains(number) && !told.contains(number)) {
            out.push_str(&format!("a=fmtp:{number} {H264_USUAL}\r\n"));
        }
    }
}

/// Puts all media lines into one stream: a player shows what belongs together as one.
pub(super) fn one_msid(answer: &str) -> String {
    let mut first: Option<String> = None;
    let mut out = String::with_capacity(answer.len());
    for line in answer.lines() {
        let changed = if line.starts_with("a=msid:") {
            replace_stream(line, "a=msid:", &mut first)
        } else if let Some(at) = line.strip_prefix("a=ssrc:").and_then(|_| line.find(" msid:")) {
            replace_stream(line, &line[..at + " msid:".len()], &mut first)
        } else if line.starts_with("a=msid-semantic:") {
            Some("a=msid-semantic: WMS *".to_owned())
        } else {
            None
        };
        out.push_str(changed.as_deref().unwrap_or(line));
        out.push_str("\r\n");
    }
    out
}

fn replace_stream(line: &str, prefix: &str, first: &mut Option<String>) -> Option<String> {
    let (stream, track) = line.strip_prefix(prefix)?.split_once(' ')?;
    let common = first.get_or_insert_with(|| stream.to_owned());
    Some(format!("{prefix}{common} {track}"))
}

/// Says of lines both ways that they are one way, to us: a publisher that offers to receive as well gets nothing.
pub(super) fn only_receive(answer: &str) -> String {
    answer.lines().map(|l| if l == "a=sendrecv" { "a=recvonly" } else { l }).flat_map(|l| [l, "\r\n"]).collect()
}

/// The same from us: a player that offers to send as well is not listened to.
pub(super) fn only_send(answer: &str) -> String {
    answer.lines().map(|l| if l == "a=sendrecv" { "a=sendonly" } else { l }).flat_map(|l| [l, "\r\n"]).collect()
}

/// Says of audio lines that nothing will come or be taken: a player must not wait for sound we do not have for it, and a
/// publisher need not send any.
pub(super) fn silence_audio(answer: &str) -> String {
    let mut audio = false;
    let mut out = String::with_capacity(answer.len());
    for line in answer.lines() {
        if line.starts_with("m=") {
            audio = line.starts_with("m=audio");
        }
        let line = if audio && matches!(line, "a=sendonly" | "a=sendrecv" | "a=recvonly") { "a=inactive" } else { line };
        out.push_str(line);
        out.push_str("\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gstreamers_clients_leave_out_is_understood_and_nothing_else_is_changed() {
        let player = "v=0\r\nm=video 9 x 96 97 98\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 H264/90000\r\na=fmtp:97 profile-level-id=42e016\r\n\
                      a=rtpmap:98 H264/90000\r\nm=audio 9 x 111\r\na=rtpmap:111 OPUS/48000\r\n";
        assert_eq!(
            as_meant(player),
            "v=0\r\nm=video 9 x 96 97 98\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 H264/90000\r\n\
             a=fmtp:97 profile-level-id=42e016;packetization-mode=1\r\na=rtpmap:98 H264/90000\r\n\
             a=fmtp:98 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
             m=audio 9 x 111\r\na=rtpmap:111 OPUS/48000/2\r\n"
        );
        for whole in [
            "v=0\r\nm=audio 9 x 111\r\na=rtpmap:111 opus/48000/2\r\n",
            "m=video 9 x 96 97\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;profile-level-id=42e01f\r\n\
             a=rtpmap:97 H264/90000\r\na=fmtp:97 profile-level-id=42e01f\r\n",
            "m=video 9 x 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=0;profile-level-id=42e01f\r\n",
            include_str!("../../tests/data/chromium-offer.sdp"),
            include_str!("../../tests/data/whep-offer.sdp"),
        ] {
            let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(lines(&as_meant(whole)), lines(whole));
        }
    }

    #[test]
    fn a_publisher_is_told_that_only_its_picture_is_taken() {
        let answer = "v=0\r\nm=audio 9 x 2\r\na=recvonly\r\nm=video 9 x 1\r\na=sendrecv\r\n";
        let changed = only_receive(&silence_audio(answer));
        assert_eq!(changed, "v=0\r\nm=audio 9 x 2\r\na=inactive\r\nm=video 9 x 1\r\na=recvonly\r\n");
    }

    #[test]
    fn a_player_gets_one_stream_and_no_promise_of_sound() {
        let answer = "v=0\r\na=msid-semantic: WMS a b\r\nm=video 9 x 1\r\na=sendrecv\r\na=msid:a t1\r\na=ssrc:7 msid:a t1\r\n\
                      m=audio 9 x 2\r\na=sendonly\r\na=msid:b t2\r\na=ssrc:8 cname:c\r\na=ssrc:8 msid:b t2\r\n";
        let changed = silence_audio(&only_send(&one_msid(answer)));
        assert_eq!(
            changed,
            "v=0\r\na=msid-semantic: WMS *\r\nm=video 9 x 1\r\na=sendonly\r\na=msid:a t1\r\na=ssrc:7 msid:a t1\r\n\
             m=audio 9 x 2\r\na=inactive\r\na=msid:a t2\r\na=ssrc:8 cname:c\r\na=ssrc:8 msid:a t2\r\n"
        );
    }
}
