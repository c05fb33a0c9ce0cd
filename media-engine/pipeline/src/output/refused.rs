//! The last word of an engine that does not start.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::BytesMut;
use link::control::write_message;
use link::problem;
use link::wire::{Refused, ToServer, to_server};

use crate::refusal::Refusal;

/// Tells a server, if one listens, why the engine will not start. Best effort: the sentence is on stderr as well.
pub fn report_refusal(control: &std::path::Path, refusal: &Refusal) {
    let Ok(mut socket) = UnixStream::connect(control) else { return };
    let _ = socket.set_write_timeout(Some(Duration::from_secs(1)));
    let refused = Refused { code: refusal.code.to_owned(), message: sayable(refusal) };
    let mut out = BytesMut::new();
    write_message(&mut out, &ToServer { body: Some(to_server::Body::Refused(refused)) });
    let _ = socket.write_all(&out);
}

/// Pages and logs read it: a feed's file is not named there.
fn sayable(refusal: &Refusal) -> String {
    const FILES: [&str; 8] = ["file", "video", "dicom", "dicom-waveform", "wfdb", "mfer", "sdc", "vitals"];
    let mut parts = refusal.code.split('.');
    if parts.next() != Some("feed") {
        return refusal.message.clone();
    }
    match parts.next().is_some_and(|part| FILES.contains(&part)) {
        true => problem::kind(&format!("[{}]", refusal.code)),
        false => problem::outside(&refusal.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_named_on_the_engines_console_alone() {
        for code in ["feed.file.missing", "feed.video.unreadable", "feed.dicom.not-a-cine", "feed.vitals.no-wave"] {
            let said = sayable(&Refusal::new(code, "The video Yamada.mp4 is not there; put the file in place."));
            assert_eq!(said, format!("{} [{code}]", problem::FILE));
        }
        let port = "The port 0.0.0.0:2575 cannot be opened; correct it.";
        assert_eq!(sayable(&Refusal::new("feed.hl7.listen", port)), port);
        assert_eq!(sayable(&Refusal::new("feed.failed", "Could not read /srv/Yamada.mp4")), problem::FILE);
        let own = "The configuration /etc/shirube/room.toml cannot be read; check the path.";
        assert_eq!(sayable(&Refusal::new("config.unreadable", own)), own);
    }
}
