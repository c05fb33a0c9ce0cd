//! What is said of a feed's trouble outside the room's own machine: its kind, never the name of a file. A recording may be named after
//! a patient; the engine's console alone says which it is.

/// In the place of a sentence that names a file.
pub const FILE: &str = "The recording of this feed cannot be used; the engine's console says which it is and why.";

/// A feed's problem as pages, vendor and logs may read it. Kept: sentences without a place, network addresses as far as host and port,
/// and devices of `/dev`; of others the kind is kept, as [`kind`].
pub fn outside(problem: &str) -> String {
    let mut said = String::with_capacity(problem.len());
    for (n, word) in problem.split(' ').enumerate() {
        let Some(word) = shown(word) else { return kind(problem) };
        if n > 0 {
            said.push(' ');
        }
        said.push_str(word);
    }
    said
}

/// Of a feed that is a file: the code that ends the sentence, if there is one, behind [`FILE`].
pub fn kind(problem: &str) -> String {
    let code = problem.trim_end().strip_suffix(']').and_then(|rest| rest.rsplit_once('[')).map(|(_, code)| code);
    let sound = |code: &&str| code.len() <= 64 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'.' || b == b'-');
    code.filter(sound).map_or_else(|| FILE.to_owned(), |code| format!("{FILE} [{code}]"))
}

/// `None`: it is a place in a file system.
fn shown(word: &str) -> Option<&str> {
    if word.contains('\\') {
        return None;
    }
    if let Some((scheme, rest)) = word.split_once("://") {
        // `file:///data/…` has no host.
        let host = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let named = host > 0 && !scheme.eq_ignore_ascii_case("file") && !rest[..host].contains('@');
        return named.then(|| &word[..scheme.len() + 3 + host]);
    }
    let plain = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '/');
    let device = plain.strip_prefix("/dev/").is_some_and(|name| name.bytes().all(|b| b.is_ascii_alphanumeric()));
    (device || !word.contains('/')).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_is_named_outside_the_room() {
        for (said, code) in [
            (
                "The video /data/Yamada Taro.mp4 cannot be read; choose another. [feed.video.unreadable]",
                " [feed.video.unreadable]",
            ),
            ("The DICOM cine cases/1234 Sato/IM0001 is damaged. [feed.dicom.unreadable]", " [feed.dicom.unreadable]"),
            ("Could not open resource: gstfilesrc.c(553): \"/srv/x y.mp4\"", ""),
            (r"The video C:\Yamada\scope.mp4 is gone.", ""),
            ("file:///data/yamada/scope.mp4 is gone [NOT A CODE]", ""),
            ("rtsp://yamada:secret@camera refuses", ""),
        ] {
            assert_eq!(outside(said), format!("{FILE}{code}"));
        }
    }

    #[test]
    fn what_names_no_file_is_said_as_it_is() {
        for said in [
            "",
            "No picture arrives; check the source and its cable.",
            "No mask is confirmed for its 640x480; propose one from a still, look at it, configure it.",
            "The camera /dev/video0 is open and delivers no pictures; unplug it and plug it in again. [feed.silent]",
            "The SRT sender srt://10.0.0.5:9000 refuses the connection; start its stream, or correct the port. [feed.network.refused]",
        ] {
            assert_eq!(outside(said), said);
        }
        assert_eq!(outside("srt://10.0.0.5:9000?streamid=yamada sends nothing"), "srt://10.0.0.5:9000 sends nothing");
    }
}
