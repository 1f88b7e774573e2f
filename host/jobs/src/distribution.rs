//! Durations counted in buckets, for histograms.

use std::time::Duration;

/// Durations in buckets with fixed upper bounds. It takes as much memory however many there are.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// Upper bounds in seconds, rising.
    bounds: &'static [f64],
    /// The number of durations up to each bound and above the one before; the last is for those
    /// above all bounds.
    buckets: Vec<u64>,
    /// Seconds.
    sum: f64,
}

impl Distribution {
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Distribution { bounds, buckets: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    pub(super) fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let at = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(bucket) = self.buckets.get_mut(at) {
            *bucket += 1;
        }
        self.sum += seconds;
    }

    /// Each upper bound in seconds, `f64::MAX` for the last one, with the number of durations up to
    /// it and above the one before.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::MAX]);
        bounds.zip(self.buckets.iter().copied()).collect()
    }

    /// The number of durations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The sum of all durations in seconds.
    pub fn sum(&self) -> f64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_bucket_of_the_next_bound() {
        let mut durations = Distribution::new(&[0.5, 2.0]);
        for ms in [0, 500, 501, 2_000, 2_001, 9_000_000] {
            durations.add(Duration::from_millis(ms));
        }
        assert_eq!(durations.buckets(), [(0.5, 2), (2.0, 2), (f64::MAX, 2)]);
        assert_eq!(durations.count(), 6);
        assert!((durations.sum() - 9_005.002).abs() < 1e-6, "{}", durations.sum());
    }
}
