//! What waits to be sent to one page's socket. Bounded; a page that cannot keep up is closed with a reason, never waited for.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use tokio::sync::{mpsc, watch};

use super::metrics::{At, count_refusal};
use crate::texts::Code;
use crate::wire::{ServerMessage, server_message::Body};

/// Messages waiting for one page. A snapshot of 3,000 strokes is ~100 pieces of 15 kB: 256 hold that and the chatter
/// beside it, 4 MB at most. Policy: full closes the page.
pub const MAILBOX: usize = 256;

/// Why a page's socket is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing {
    pub code: Code,
    /// The page shall not try again by itself.
    pub last: bool,
}

/// The case's end. Cheap to clone; clones mean the same page.
#[derive(Debug, Clone)]
pub struct Mailbox {
    messages: mpsc::Sender<Bytes>,
    closing: Arc<watch::Sender<Option<Closing>>>,
}

/// The socket's end.
#[derive(Debug)]
pub struct Outbox {
    pub messages: mpsc::Receiver<Bytes>,
    pub closing: watch::Receiver<Option<Closing>>,
}

pub fn mailbox() -> (Mailbox, Outbox) {
    let (messages, taken) = mpsc::channel(MAILBOX);
    let (closing, told) = watch::channel(None);
    (Mailbox { messages, closing: Arc::new(closing) }, Outbox { messages: taken, closing: told })
}

impl Mailbox {
    pub fn send(&self, body: Body) {
        if let Body::Refused(refused) = &body {
            count_refusal(At::Page, &refused.code);
        }
        self.send_bytes(ServerMessage { body: Some(body) }.encode_to_vec().into());
    }

    /// An encoded `ServerMessage`; one encoding serves all pages.
    pub fn send_bytes(&self, message: Bytes) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.messages.try_send(message) {
            self.close(Code::PageSlow, false);
        }
    }

    /// The first reason stands.
    pub fn close(&self, code: Code, last: bool) {
        self.closing.send_if_modified(|closing| {
            let first = closing.is_none();
            closing.get_or_insert(Closing { code, last });
            first
        });
    }

    pub fn is_closing(&self) -> bool {
        self.closing.borrow().is_some() || self.messages.is_closed()
    }

    pub fn same_as(&self, other: &Mailbox) -> bool {
        Arc::ptr_eq(&self.closing, &other.closing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::People;

    #[test]
    fn sg14_a_page_that_cannot_keep_up_is_closed_with_a_reason_and_nobody_waits() {
        let (mailbox, outbox) = mailbox();
        for _ in 0..MAILBOX {
            mailbox.send(Body::People(People::default()));
        }
        assert!(!mailbox.is_closing());
        mailbox.send(Body::People(People::default()));
        assert_eq!(*outbox.closing.borrow(), Some(Closing { code: Code::PageSlow, last: false }));
        mailbox.close(Code::CaseEnded, true);
        assert_eq!(*outbox.closing.borrow(), Some(Closing { code: Code::PageSlow, last: false }), "the first reason stands");
    }
}
