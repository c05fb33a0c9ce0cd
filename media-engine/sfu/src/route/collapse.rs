//! A line that collapsed under what is sent: what got through is what it carries, until it is calm. An estimator that hears almost nothing
//! back may not see it. Pure.

/// Loss that no radio has by itself, in so many reports in a row.
const HEAVY: f32 = 0.25;
const CALM: f32 = 0.05;
const REPORTS: u32 = 2;
/// A line that loses no more than this for so many reports loses it all the time, and never will be calm.
const USUAL: f32 = 0.15;
const REPORTS_USUAL: u32 = 6;

#[derive(Debug, Clone, Default)]
pub(crate) struct Collapse {
    /// Reports in a row of heavy loss, of hardly any, and of no more than a bad line loses all the time.
    heavy: u32,
    calm: u32,
    usual: u32,
    /// What got through at the last collapse: the line is not believed to carry more.
    pub(crate) ceiling_bps: Option<u64>,
}

impl Collapse {
    /// `loss`: share of packets lost, where a new report came; `sent`: bps, of pictures.
    pub(crate) fn handle_loss(&mut self, loss: Option<f32>, sent: u64) {
        let Some(loss) = loss else { return };
        let count = |is: bool, before: u32| if is { before + 1 } else { 0 };
        self.heavy = count(loss >= HEAVY, self.heavy);
        self.calm = count(loss < CALM, self.calm);
        self.usual = count(loss < USUAL, self.usual);
        if self.heavy >= REPORTS {
            self.heavy = 0;
            self.ceiling_bps = Some((sent as f64 * f64::from(1.0 - loss.min(1.0))) as u64);
        } else if self.calm >= REPORTS || self.usual >= REPORTS_USUAL {
            self.ceiling_bps = None;
        }
    }
}
