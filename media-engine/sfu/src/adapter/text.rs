//! Small changes to the text of an answer that str0m has no word for.

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
    fn a_publisher_is_told_that_only_its_picture_is_taken() {
        let answer = "v=0\r\nm=audio 9 x 2\r\na=recvonly\r\nm=video 9 x 1\r\na=sendrecv\r\n";
        let changed = only_receive(&silence_audio(answer));
        assert_eq!(changed, "v=0\r\nm=audio 9 x 2\r\na=inactive\r\nm=video 9 x 1\r\na=recvonly\r\n");
    }

    #[test]
    fn a_player_gets_one_stream_and_no_promise_of_sound() {
        let answer = "v=0\r\na=msid-semantic: WMS a b\r\nm=video 9 x 1\r\na=sendonly\r\na=msid:a t1\r\na=ssrc:7 msid:a t1\r\n\
                      m=audio 9 x 2\r\na=sendonly\r\na=msid:b t2\r\na=ssrc:8 cname:c\r\na=ssrc:8 msid:b t2\r\n";
        let changed = silence_audio(&one_msid(answer));
        assert_eq!(
            changed,
            "v=0\r\na=msid-semantic: WMS *\r\nm=video 9 x 1\r\na=sendonly\r\na=msid:a t1\r\na=ssrc:7 msid:a t1\r\n\
             m=audio 9 x 2\r\na=inactive\r\na=msid:a t2\r\na=ssrc:8 cname:c\r\na=ssrc:8 msid:a t2\r\n"
        );
    }
}
