//! Percentiles over the last second. Pure.

/// Samples kept: 512 is 8 s of a layer at 60 a second. Policy: drop_newest.
const SAMPLES_MAX: usize = 512;

/// Microseconds of one stage.
#[derive(Debug, Default, Clone)]
pub struct Samples(Vec<u32>);

impl Samples {
    pub fn add(&mut self, us: u32) {
        if self.0.len() < SAMPLES_MAX {
            self.0.push(us);
        }
    }

    /// Zero when there is no sample; forgets them.
    pub fn take_p95(&mut self) -> u32 {
        self.0.sort_unstable();
        let p95 = self.0.get((self.0.len() * 95 / 100).min(self.0.len().saturating_sub(1))).copied().unwrap_or(0);
        self.0.clear();
        p95
    }

    /// (p50, p99), zero when there is no sample; forgets them.
    pub fn take_percentiles(&mut self) -> (u32, u32) {
        self.0.sort_unstable();
        let at =
            |parts: usize| self.0.get((self.0.len() * parts / 100).min(self.0.len().saturating_sub(1))).copied().unwrap_or(0);
        let result = (at(50), at(99));
        self.0.clear();
        result
    }
}

/// Counters of one layer since start and samples since the last report.
#[derive(Debug, Default, Clone)]
pub struct LayerStats {
    pub frames: u64,
    pub bytes: u64,
    pub dropped: u64,
    pub encode: Samples,
    pub capture_to_rtp: Samples,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_samples_since_the_last_report() {
        let mut s = Samples::default();
        assert_eq!(s.take_percentiles(), (0, 0));
        (1..=200).for_each(|us| s.add(us));
        assert_eq!(s.take_percentiles(), (101, 199));
        s.add(7);
        assert_eq!(s.take_percentiles(), (7, 7));
    }
}
