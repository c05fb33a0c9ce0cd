//! Requests to send again that come too late. str0m answers from what it kept and says nothing of what it did not keep, so
//! that is told from outside: requests came, nothing was sent again, and nothing waits to be.

/// What one stream was asked for and what it sent again, since it was last looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct Repair {
    rtx_ssrc: Option<u32>,
    /// Requests, as counted by str0m.
    asked: u64,
    resent: u64,
}

impl Repair {
    pub(super) fn new(rtx_ssrc: Option<u32>) -> Self {
        Repair { rtx_ssrc, ..Repair::default() }
    }

    /// A datagram left. What only asks the line how much it carries counts too: then a late request is seen the next time. True: it
    /// is of what is sent again.
    pub(super) fn handle_sent(&mut self, datagram: &[u8]) -> bool {
        let ssrc = datagram.get(8..12).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
        let again = self.rtx_ssrc.is_some() && ssrc == self.rtx_ssrc;
        self.resent += u64::from(again);
        again
    }

    /// `asked`: requests since the beginning. `idle`: nothing of this stream waits for its line. How many requests came too
    /// late since the last look.
    pub(super) fn look(&mut self, asked: u64, idle: bool) -> u64 {
        if !idle {
            // They may still be answered.
            return 0;
        }
        let new = asked.saturating_sub(self.asked);
        self.asked = asked;
        if std::mem::take(&mut self.resent) == 0 { new } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_nothing_answers_are_late_and_those_that_wait_are_not() {
        let mut repair = Repair::new(Some(9));
        let rtx = [&[0x80, 0x61, 0, 1, 0, 0, 0, 0][..], &9u32.to_be_bytes()].concat();
        assert_eq!(repair.look(0, true), 0);
        assert!(repair.handle_sent(&rtx));
        assert_eq!(repair.look(3, true), 0, "answered");
        assert_eq!(repair.look(5, false), 0, "queued");
        repair.handle_sent(&rtx);
        assert_eq!(repair.look(5, true), 0);
        assert_eq!(repair.look(9, true), 4);
        assert_eq!(repair.look(9, true), 0, "told once");
        assert!(!repair.handle_sent(&[0x80; 3]));
    }
}
