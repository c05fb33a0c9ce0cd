//! Whose ink has which texture: one for each person, for the whole case, and never another's (AN28). Told from the log alone, so
//! that it is the same after a restart.

use std::collections::BTreeSet;

use crate::id::Author;

/// Textures that can be told apart on tissue and on X-ray: single, hollow, beaded, ticked.
pub const TEXTURES: usize = 4;

/// Who has which. Whoever has drawn keeps it for good; whoever gives the pen back without a mark leaves it to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Textures {
    places: [Option<Author>; TEXTURES],
    drawn: BTreeSet<Author>,
}

impl Textures {
    /// The texture of a person, from 0; `None`: never had the pen.
    pub fn of(&self, author: Author) -> Option<usize> {
        self.places.iter().position(|place| *place == Some(author))
    }

    /// False: four others have drawn, or hold a pen; one of them has to yield.
    pub fn has_room(&self, author: Author) -> bool {
        self.of(author).is_some() || self.places.contains(&None)
    }

    /// Somebody may draw from now on.
    pub(crate) fn handle_pen(&mut self, author: Author) {
        if self.of(author).is_none()
            && let Some(free) = self.places.iter_mut().find(|place| place.is_none())
        {
            *free = Some(author);
        }
    }

    /// Somebody may draw no more.
    pub(crate) fn handle_pen_gone(&mut self, author: Author) {
        if !self.drawn.contains(&author)
            && let Some(place) = self.of(author).and_then(|n| self.places.get_mut(n))
        {
            *place = None;
        }
    }

    /// A mark of theirs stands in the log.
    pub(crate) fn handle_stroke(&mut self, author: Author) {
        self.handle_pen(author);
        self.drawn.insert(author);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an28_a_texture_is_one_persons_for_the_case_and_a_fifth_has_none() {
        let mut textures = Textures::default();
        let all = |t: &Textures| (1..=6).map(|n| t.of(Author(n))).collect::<Vec<_>>();
        textures.handle_pen(Author(1));
        textures.handle_stroke(Author(1));
        textures.handle_pen(Author(2));
        textures.handle_stroke(Author(3));
        textures.handle_pen_gone(Author(1));
        textures.handle_pen_gone(Author(2));
        assert_eq!(all(&textures), [Some(0), None, Some(2), None, None, None], "who has drawn keeps it");
        textures.handle_pen(Author(4));
        textures.handle_pen(Author(5));
        assert_eq!(all(&textures), [Some(0), None, Some(2), Some(1), Some(3), None]);
        assert!(!textures.has_room(Author(6)) && textures.has_room(Author(4)) && textures.has_room(Author(1)));
        textures.handle_stroke(Author(6));
        assert_eq!(textures.of(Author(6)), None);
        textures.handle_pen_gone(Author(5));
        assert!(textures.has_room(Author(6)), "one yielded");
    }
}
