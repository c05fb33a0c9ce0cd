//! Who is on the program: the configured feeds, and those that are published to the server and come down the link. Pure.

use std::time::Duration;

use annotation::id::FeedId;
use link::wire::FeedInfo;

use super::layout::{Arrangement, Layout, PixelRect, Place, ProgramFeed, letterbox};
use crate::feed::last_run;

/// Feeds that may come down the link at once: what two cores decode beside their own work.
pub const FURTHER_MAX: usize = 2;

/// One feed on the stage. `native`: width and height; `None`: drawn to measure.
#[derive(Debug, Clone)]
pub struct Actor {
    pub feed: usize,
    pub id: FeedId,
    pub info: FeedInfo,
    pub native: Option<(usize, usize)>,
    pub period: Duration,
}

#[derive(Debug, Clone)]
pub struct Stage {
    layout: Layout,
    size: (usize, usize),
    own: Vec<Actor>,
    further: Vec<Actor>,
    rev: u32,
}

impl Stage {
    /// `own`: the configured feeds, the main one first. `size`: of the program.
    pub fn new(layout: Layout, size: (usize, usize), own: Vec<Actor>) -> Self {
        Stage { layout, size, own, further: Vec::new(), rev: 1 }
    }

    /// The index on the board for a feed that comes: its own again, or a free one. `None`: the name is taken by a configured
    /// feed, or too many are there.
    pub fn seat(&self, id: &FeedId) -> Option<usize> {
        if self.own.iter().any(|a| a.id == *id) {
            return None;
        }
        let free = || (self.own.len()..self.own.len() + FURTHER_MAX).find(|n| self.further.iter().all(|a| a.feed != *n));
        self.further.iter().find(|a| a.id == *id).map(|a| a.feed).or_else(free)
    }

    /// A feed came, or says its size now.
    pub fn enter(&mut self, actor: Actor) {
        match self.further.iter_mut().find(|a| a.id == actor.id) {
            Some(known) => *known = actor,
            None => self.further.push(actor),
        }
        self.rev += 1;
    }

    pub fn leave(&mut self, id: &FeedId) -> Option<Actor> {
        let at = self.further.iter().position(|a| a.id == *id)?;
        self.rev += 1;
        Some(self.further.remove(at))
    }

    pub fn infos(&self) -> Vec<FeedInfo> {
        self.own.iter().chain(&self.further).map(|a| a.info.clone()).collect()
    }

    pub fn layout(&self) -> &str {
        &self.layout.name
    }

    /// A configured feed, and its last run with it, has another size from now on; true when it is another one.
    pub fn resize(&mut self, id: &FeedId, width: u32, height: u32) -> bool {
        let run = format!("{id}-run");
        let mut changed = false;
        for actor in &mut self.own {
            let is_run = actor.info.kind == last_run::KIND && actor.id.as_str() == run;
            if (actor.id == *id || is_run) && (actor.info.width, actor.info.height) != (width, height) {
                (actor.info.width, actor.info.height) = (width, height);
                actor.native = Some((width as usize, height as usize));
                changed = true;
            }
        }
        self.rev += u32::from(changed);
        changed
    }

    /// Another layout from now on; true when it is another one.
    pub fn change_layout(&mut self, layout: Layout) -> bool {
        if self.layout == layout {
            return false;
        }
        self.layout = layout;
        self.rev += 1;
        true
    }

    /// Who stands where now. A feed for which the layout has no room stands aside.
    pub fn arrangement(&self) -> Arrangement {
        let actors: Vec<&Actor> = self.own.iter().chain(&self.further).collect();
        let kinds: Vec<&str> = actors.iter().map(|a| a.info.kind.as_str()).collect();
        let got = self.layout.assign(&kinds, self.own.len());
        // The main feed first, then as they lie, back to front; feeds that came and have no rectangle share the last.
        let mut placed: Vec<(usize, usize)> = got.iter().enumerate().filter_map(|(n, rect)| Some((n, (*rect)?))).collect();
        placed.sort_by_key(|&(n, rect)| (n != 0, rect));
        let mut used: Vec<usize> = placed.iter().map(|&(_, rect)| rect).collect();
        used.sort_unstable();
        let sharing: Vec<usize> = (self.own.len()..actors.len()).filter(|&n| got[n].is_none()).collect();
        let layout = self.layout.with_further(&used, sharing.len(), self.size);
        let place = |n: usize, rect: usize| {
            let actor = actors[n];
            let picture = letterbox(layout.pixels(rect, self.size).ok()?, actor.native);
            Some(self.program_feed(actor, n, picture))
        };
        let feeds: Vec<ProgramFeed> = placed
            .iter()
            .filter_map(|&(n, rect)| place(n, used.iter().position(|&u| u == rect)?))
            .chain(sharing.iter().enumerate().filter_map(|(i, &n)| place(n, used.len() + i)))
            .collect();
        let nowhere = PixelRect { x: 0, y: 0, w: 0, h: 0 };
        let aside = actors.iter().enumerate().filter(|(_, a)| feeds.iter().all(|f| f.feed != a.feed));
        let aside = aside.map(|(n, a)| self.program_feed(a, n, nowhere)).collect();
        Arrangement { rev: self.rev, layout: self.layout.name.clone(), feeds, aside }
    }

    fn program_feed(&self, actor: &Actor, n: usize, picture: PixelRect) -> ProgramFeed {
        ProgramFeed {
            feed: actor.feed,
            kind: actor.info.kind.clone(),
            place: Place { feed: actor.id.clone(), picture },
            period: actor.period,
            native: (actor.info.width, actor.info.height),
            awaited: n < self.own.len() && actor.info.kind != last_run::KIND,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::layout::built_in;

    fn actor(feed: usize, id: &str, native: Option<(usize, usize)>) -> Actor {
        let info = FeedInfo { feed: id.into(), ..FeedInfo::default() };
        Actor { feed, id: FeedId::parse(id).expect("an id"), info, native, period: Duration::from_millis(33) }
    }

    fn stage(layout: &str) -> Stage {
        let own = vec![actor(0, "field", Some((1280, 720))), actor(1, "fluoro", Some((512, 512))), actor(2, "vitals", None)];
        Stage::new(built_in(layout).expect("built in"), (1280, 720), own)
    }

    fn rects(stage: &Stage) -> Vec<PixelRect> {
        stage.arrangement().feeds.iter().map(|f| f.place.picture).collect()
    }

    #[test]
    fn a_feed_that_comes_takes_the_end_of_the_strip_and_nothing_overlaps() {
        let mut stage = stage("field-large");
        let before = rects(&stage);
        stage.enter(actor(3, "camera", Some((640, 480))));
        stage.enter(actor(4, "glasses", Some((1280, 720))));
        let now = rects(&stage);
        assert_eq!(stage.arrangement().rev, 3);
        assert_eq!(now[..2], before[..2], "field and fluoroscopy stay as they are");
        for (n, a) in now.iter().enumerate() {
            assert!(a.x + a.w <= 1280 && a.y + a.h <= 720 && a.y >= 44, "{a:?}");
            for b in &now[..n] {
                assert!(a.x >= b.x + b.w || b.x >= a.x + a.w || a.y >= b.y + b.h || b.y >= a.y + a.h, "{a:?} {b:?}");
            }
        }
        assert!(now[2].w >= 640, "the monitor stays readable");
        assert!(!stage.arrangement().feeds[3].awaited, "nobody waits for a feed from a network");
        stage.leave(&FeedId::parse("camera").expect("an id"));
        stage.leave(&FeedId::parse("glasses").expect("an id"));
        assert_eq!(rects(&stage), before);
        assert_eq!(stage.arrangement().rev, 5);
    }

    #[test]
    fn a_wall_has_a_place_for_eight_feeds_side_by_side() {
        let kinds =
            ["operative-field", "fluoroscopy", "fluoroscopy", "vital-signs", "ivus", "microscope", "room-camera", "overhead"];
        let with_kind = |(n, kind): (usize, &str)| {
            let mut a = actor(n, &format!("feed-{n}"), Some((1280, 720)));
            a.info.kind = kind.into();
            a
        };
        for size in [(1280, 720), (1920, 1080)] {
            let own = kinds.into_iter().enumerate().map(with_kind).collect();
            let stage = Stage::new(built_in("wall").expect("built in"), size, own);
            let now = rects(&stage);
            assert_eq!((now.len(), stage.arrangement().aside.len()), (8, 0));
            assert_eq!(stage.arrangement().align_bound(), Duration::from_millis(200));
            for (n, a) in now.iter().enumerate() {
                for b in &now[..n] {
                    assert!(a.x >= b.x + b.w || b.x >= a.x + a.w || a.y >= b.y + b.h || b.y >= a.y + a.h, "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn a_source_that_changes_its_size_gets_a_place_of_its_shape() {
        let mut stage = stage("field-large");
        let fluoro = FeedId::parse("fluoro").expect("an id");
        assert!(!stage.resize(&fluoro, 0, 0), "as it was");
        assert!(stage.resize(&fluoro, 1280, 720) && !stage.resize(&fluoro, 1280, 720));
        let now = stage.arrangement();
        assert_eq!((now.rev, now.feeds[1].native), (2, (1280, 720)));
        assert_eq!(now.feeds[1].place.picture, PixelRect { x: 864, y: 204, w: 416, h: 234 });
        assert!(!stage.resize(&FeedId::parse("nobody").expect("an id"), 640, 480));
    }

    #[test]
    fn seats_are_kept_freed_and_bounded() {
        let mut stage = stage("full");
        let id = |text: &str| FeedId::parse(text).expect("an id");
        assert_eq!(stage.seat(&id("field")), None, "the name of a configured feed");
        assert_eq!(stage.seat(&id("a")), Some(3));
        stage.enter(actor(3, "a", None));
        stage.enter(actor(4, "b", None));
        assert_eq!((stage.seat(&id("b")), stage.seat(&id("c"))), (Some(4), None));
        stage.leave(&id("a"));
        assert_eq!(stage.seat(&id("c")), Some(3));
    }

    #[test]
    fn every_layout_has_room_for_further_feeds() {
        for layout in ["field-large", "measuring"] {
            let mut stage = stage(layout);
            stage.enter(actor(3, "camera", Some((640, 360))));
            assert_eq!(stage.arrangement().feeds.len(), 4, "{layout}");
        }
        let mut alone = Stage::new(built_in("full").expect("built in"), (1280, 720), vec![actor(0, "field", Some((1280, 720)))]);
        alone.enter(actor(1, "camera", Some((640, 360))));
        assert_eq!(rects(&alone)[1], PixelRect { x: 936, y: 516, w: 320, h: 180 });
    }

    #[test]
    fn a_layout_is_changed_and_whoever_has_no_place_stands_aside() {
        let kinds = ["operative-field", "fluoroscopy", "vital-signs", "last-run"];
        let with_kind = |(n, kind): (usize, &str)| {
            let mut a = actor(n, kind, Some((512, 512)));
            a.info.kind = kind.into();
            a
        };
        let own = kinds.into_iter().enumerate().map(with_kind).collect();
        let mut stage = Stage::new(built_in("field-large").expect("built in"), (1280, 720), own);
        let ids = |feeds: &[ProgramFeed]| feeds.iter().map(|f| f.place.feed.as_str().to_owned()).collect::<Vec<_>>();
        let before = stage.arrangement();
        assert_eq!((before.rev, ids(&before.feeds)), (1, kinds[..3].iter().map(|&k| k.to_owned()).collect()));
        assert_eq!(ids(&before.aside), ["last-run"]);
        assert!(stage.change_layout(built_in("fluoroscopy-large").expect("built in")));
        assert!(!stage.change_layout(built_in("fluoroscopy-large").expect("built in")), "it is there already");
        let after = stage.arrangement();
        assert_eq!((after.rev, stage.layout()), (2, "fluoroscopy-large"));
        assert_eq!(ids(&after.feeds), ["operative-field", "fluoroscopy", "last-run", "vital-signs"], "the main feed first");
        assert_eq!(after.find(1).map(|f| f.place.picture.w), Some(486));
        assert!(after.feeds.iter().all(|f| f.awaited == (f.feed != 3)), "nobody waits for a run that loops");
        assert!(stage.change_layout(built_in("single").expect("built in")));
        assert_eq!(ids(&stage.arrangement().aside).len(), 3);
    }
}
