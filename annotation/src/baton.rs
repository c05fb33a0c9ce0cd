//! Whose pen it is: one named lead, others by grant, the room above all (AN14–AN16). Changes are ops in the log; who leads until
//! somebody says so comes with the case.

use std::collections::BTreeSet;

use crate::id::Author;

/// The people of a case who may draw at all, as their roles have it. The server knows; the log does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drawers {
    /// Leads until a `Lead` op says otherwise.
    pub lead: Option<Author>,
    pub people: BTreeSet<Author>,
}

/// What the log has said about the pen so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Baton {
    /// `None`: nothing yet; `Some(None)`: nobody leads.
    said: Option<Option<Author>>,
    granted: BTreeSet<Author>,
}

impl Baton {
    /// Grants outlast a change of lead; who handed the lead over draws on only where it was granted.
    pub(crate) fn handle_lead(&mut self, author: u32) {
        self.said = Some((author != 0).then_some(Author(author)));
    }

    pub(crate) fn handle_grant(&mut self, author: u32, may_draw: bool) {
        if may_draw {
            self.granted.insert(Author(author));
        } else {
            self.granted.remove(&Author(author));
        }
    }

    /// Who leads now.
    pub fn lead(&self, drawers: &Drawers) -> Option<Author> {
        self.said.unwrap_or(drawers.lead)
    }

    /// Those to whom the pen is lent.
    pub fn granted(&self) -> &BTreeSet<Author> {
        &self.granted
    }

    /// Whether this person's ink is taken, the room apart.
    pub fn has_pen(&self, author: Author, drawers: &Drawers) -> bool {
        self.lead(drawers) == Some(author) || self.granted.contains(&author)
    }

    pub(crate) fn eat(&self, eat: &mut impl FnMut(&[u8])) {
        match self.said {
            None => eat(&[0]),
            Some(lead) => {
                eat(&[1]);
                eat(&lead.map_or(0, |a| a.0).to_le_bytes());
            }
        }
        for author in &self.granted {
            eat(&author.0.to_le_bytes());
        }
    }
}
