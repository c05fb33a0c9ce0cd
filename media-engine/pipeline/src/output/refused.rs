//! The last word of an engine that does not start.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::BytesMut;
use link::control::write_message;
use link::wire::{Refused, ToServer, to_server};

use crate::refusal::Refusal;

/// Tells a server, if one listens, why the engine will not start. Best effort: the sentence is on stderr as well.
pub fn report_refusal(control: &std::path::Path, refusal: &Refusal) {
    let Ok(mut socket) = UnixStream::connect(control) else { return };
    let _ = socket.set_write_timeout(Some(Duration::from_secs(1)));
    let refused = Refused { code: refusal.code.to_owned(), message: refusal.message.clone() };
    let mut out = BytesMut::new();
    write_message(&mut out, &ToServer { body: Some(to_server::Body::Refused(refused)) });
    let _ = socket.write_all(&out);
}
