//! A connection whose other end must take what it is sent. A reader that takes nothing, or a few bytes now and then, would
//! else hold a place at the door for as long as it likes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// In each window in which something waits to be written, at least so much must be taken: 6.5 kbit/s. The poorest line that
/// can show a page carries fifty times as much.
pub(super) const WINDOW: Duration = Duration::from_secs(20);
pub(super) const BYTES_MIN: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Progress<S> {
    inner: S,
    /// Runs while something waits to be written.
    window: Option<Pin<Box<Sleep>>>,
    taken: usize,
}

impl<S> Progress<S> {
    pub(super) fn new(inner: S) -> Self {
        Progress { inner, window: None, taken: 0 }
    }

    fn judge(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(n)) = &written {
            self.taken += n;
            if self.taken >= BYTES_MIN {
                self.rest();
            }
        }
        if written.is_pending() {
            let window = self.window.get_or_insert_with(|| Box::pin(sleep(WINDOW)));
            ready!(window.as_mut().poll(cx));
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other end does not take what it is sent")));
        }
        written
    }

    fn rest(&mut self) {
        self.window = None;
        self.taken = 0;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Progress<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Progress<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.judge(cx, written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bytes);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    /// Asked for after everything was written: nothing waits any more.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        if flushed.is_ready() {
            self.rest();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_let_go() {
        let (near, _far) = duplex(64);
        let start = Instant::now();
        let fault = Progress::new(near).write_all(&[0; 100_000]).await.expect_err("is not taken");
        assert_eq!((fault.kind(), start.elapsed()), (io::ErrorKind::TimedOut, WINDOW));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_a_byte_now_and_then_is_let_go_too() {
        let (near, mut far) = duplex(64);
        let reading = tokio::spawn(async move {
            while far.read_u8().await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        let start = Instant::now();
        let fault = Progress::new(near).write_all(&[0; 100_000]).await.expect_err("is not taken");
        assert_eq!(fault.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() <= WINDOW + Duration::from_secs(2), "{:?}", start.elapsed());
        reading.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_poor_line_and_a_long_silence_between_answers_are_no_fault() {
        let (near, mut far) = duplex(1_000);
        let reading = tokio::spawn(async move {
            let mut bytes = [0; 1_000];
            while far.read(&mut bytes).await.is_ok_and(|n| n > 0) {
                sleep(Duration::from_millis(500)).await;
            }
        });
        let mut near = Progress::new(near);
        for _ in 0..3 {
            near.write_all(&[0; 100_000]).await.expect("is taken");
            near.flush().await.expect("is taken");
            sleep(3 * WINDOW).await;
        }
        drop(near);
        reading.await.expect("ends");
    }
}
