//! A line that collapsed under what is sent: what got through is what it carries. An estimator that hears almost nothing back may not see it. That
//! is of one moment: each report that is not as bad again gives more back, so that a line which loses much all the time is not held down
//! for ever. Pure.

/// Loss that no radio has by itself, in so many reports in a row.
const HEAVY: f32 = 0.25;
const CALM: f32 = 0.05;
const REPORTS: u32 = 2;
/// What each report with less gives back.
const RISES_PERCENT: u64 = 140;

#[derive(Debug, Clone, Default)]
pub(crate) struct Collapse {
    /// Reports in a row of heavy loss, and of hardly any.
    heavy: u32,
    calm: u32,
    /// What got through at the last collapse, and what was given back since: the line is not believed to carry more.
    pub(crate) ceiling_bps: Option<u64>,
}

impl Collapse {
    /// `loss`: share of packets lost, where a new report came; `sent`, `estimate`: bps, of pictures, and of all.
    pub(crate) fn handle_loss(&mut self, loss: Option<f32>, sent: u64, estimate: u64) {
        let Some(loss) = loss else { return };
        let count = |is: bool, before: u32| if is { before + 1 } else { 0 };
        self.heavy = count(loss >= HEAVY, self.heavy);
        self.calm = count(loss < CALM, self.calm);
        if self.heavy >= REPORTS {
            self.heavy = 0;
            self.ceiling_bps = Some((sent as f64 * f64::from(1.0 - loss.min(1.0))) as u64);
        } else if loss < HEAVY {
            let raised = self.ceiling_bps.map(|bps| bps.saturating_mul(RISES_PERCENT) / 100);
            self.ceiling_bps = raised.filter(|bps| *bps < estimate && self.calm < REPORTS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ceilings(losses: impl IntoIterator<Item = f32>) -> Vec<Option<u64>> {
        let mut collapse = Collapse::default();
        let report = |loss| {
            collapse.handle_loss(Some(loss), 2_500_000, 4_000_000);
            collapse.ceiling_bps
        };
        losses.into_iter().map(report).collect()
    }

    #[test]
    fn what_got_through_is_the_ceiling_until_it_is_calm() {
        assert_eq!(ceilings([0.6, 0.6])[1].map(|bps| bps / 10_000), Some(99));
        assert_eq!(ceilings([0.6, 0.1, 0.6, 0.1]), [None; 4], "one report is none");
        let healed = ceilings([0.6, 0.6, 0.0, 0.0]);
        assert!(healed[2].is_some() && healed[3].is_none(), "{healed:?}");
    }

    #[test]
    fn a_line_that_loses_a_fifth_all_the_time_is_not_held_down_for_ever() {
        for usual in [0.1, 0.2, 0.24] {
            let all = ceilings([0.6, 0.6].into_iter().chain(std::iter::repeat_n(usual, 10)));
            assert!(all[4].is_some() && all[11].is_none(), "{usual}: {all:?}");
        }
        // One that goes on as it was is.
        assert!(ceilings([0.6; 20])[19].is_some());
    }
}
