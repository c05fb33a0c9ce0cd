//! The link's sockets, read and written without ever waiting.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use bytes::BytesMut;

/// Bytes that must all be written before the next are taken.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) bytes: BytesMut,
}

impl Outgoing {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Writes what the socket takes; true when nothing is left.
    pub(super) fn flush(&mut self, socket: &mut UnixStream) -> std::io::Result<bool> {
        while !self.bytes.is_empty() {
            match socket.write(&self.bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    let _ = self.bytes.split_to(n);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }
}

pub(super) fn dial(path: &std::path::Path) -> std::io::Result<UnixStream> {
    let socket = UnixStream::connect(path)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Reads what is there, at most 64 kB a turn; the end of the socket is an error.
pub(super) fn read_into(socket: &mut UnixStream, buffer: &mut BytesMut) -> std::io::Result<()> {
    let mut bytes = [0u8; 16 * 1024];
    for _ in 0..4 {
        match socket.read(&mut bytes) {
            Ok(0) => return Err(std::io::Error::new(ErrorKind::UnexpectedEof, "the server closed it")),
            Ok(n) => buffer.extend_from_slice(&bytes[..n]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
