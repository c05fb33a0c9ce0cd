//! Where people point: ephemeral rings, the newest word wins, gone a second after the server had it. Pure; the pages' rule
//! (`web-client/src/core/pointers.ts`), by the case's clock, so that what waited on the way is not shown as if it were new.

use std::collections::BTreeMap;
use std::time::Duration;

use annotation::time::CaptureTime;
use link::wire::InkPointer;

/// Gone this long after the last word.
pub const POINTER_LIFE: Duration = Duration::from_secs(1);
/// People followed at once. Policy: drop_newest.
const POINTERS_MAX: usize = 16;

#[derive(Debug, Default)]
pub struct Pointers {
    heard: BTreeMap<u32, InkPointer>,
}

impl Pointers {
    /// `now`: case timeline; unknown, nothing can be said to be new, and nothing is taken.
    pub fn handle(&mut self, mut pointer: InkPointer, now: CaptureTime) {
        if !now.is_known() {
            return;
        }
        // A word from the future would stay.
        pointer.at = pointer.at.min(now.0);
        if let Some(before) = self.heard.get(&pointer.author) {
            // After a second of silence a page may have begun its numbers anew.
            if is_young(before, now) && pointer.number <= before.number {
                return;
            }
        } else {
            self.heard.retain(|_, p| is_young(p, now));
            if self.heard.len() >= POINTERS_MAX {
                return;
            }
        }
        self.heard.insert(pointer.author, pointer);
    }

    /// Those to be seen.
    pub fn seen(&self, now: CaptureTime) -> impl Iterator<Item = &InkPointer> {
        self.heard.values().filter(move |p| p.shown && is_young(p, now))
    }
}

fn is_young(pointer: &InkPointer, now: CaptureTime) -> bool {
    now.is_known() && now.since(CaptureTime(pointer.at)) < POINTER_LIFE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_millis(ms))
    }

    fn word(author: u32, number: u32, ms: u64, x: i32) -> InkPointer {
        InkPointer { author, feed: "field".into(), x, y: 5, shown: true, number, at: at(ms).0 }
    }

    fn seen(pointers: &Pointers, ms: u64) -> Vec<i32> {
        pointers.seen(at(ms)).map(|p| p.x).collect()
    }

    #[test]
    fn the_newest_word_wins_and_is_gone_a_second_after_the_server_had_it() {
        let mut pointers = Pointers::default();
        pointers.handle(word(2, 5, 0, 10), at(3));
        pointers.handle(word(2, 4, 1, 20), at(4));
        assert_eq!(seen(&pointers, 999), [10], "what was overtaken on the way");
        assert!(seen(&pointers, 1_000).is_empty());
        pointers.handle(word(2, 1, 1_100, 30), at(1_110));
        assert_eq!(seen(&pointers, 1_200), [30], "after a silence numbers may begin anew");
        pointers.handle(InkPointer { shown: false, ..word(2, 2, 1_300, 30) }, at(1_300));
        assert!(seen(&pointers, 1_310).is_empty());
        pointers.handle(word(3, 1, 2_000, 40), at(5_000));
        assert!(seen(&pointers, 5_000).is_empty(), "it waited for three seconds on the way");
        pointers.handle(word(4, 1, 90_000, 50), at(6_000));
        assert_eq!((seen(&pointers, 6_999), seen(&pointers, 7_000)), (vec![50], vec![]), "a word from the future");
    }

    #[test]
    fn people_are_as_many_as_there_is_room_for_and_without_a_clock_nobody_points() {
        let mut pointers = Pointers::default();
        pointers.handle(word(1, 1, 0, 1), CaptureTime::UNKNOWN);
        assert!(seen(&pointers, 0).is_empty());
        (0..40).for_each(|author| pointers.handle(word(author, 1, 0, 1), at(0)));
        assert_eq!(seen(&pointers, 10).len(), POINTERS_MAX);
        pointers.handle(word(99, 1, 2_000, 7), at(2_000));
        assert_eq!(seen(&pointers, 2_000), [7], "those that are gone leave their place");
        assert!(pointers.seen(CaptureTime::UNKNOWN).next().is_none());
    }
}
