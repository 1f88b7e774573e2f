//! The one back-off policy: exponential with full jitter and a cap.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long to wait before a failed operation is tried again.
///
/// The wait before retry `n` is drawn evenly between zero and `base * 2^(n - 1)`, but never above
/// `cap` ("full jitter"): callers that failed together do not return together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Upper bound of the first wait.
    pub base: Duration,
    /// Upper bound of every wait.
    pub cap: Duration,
}

impl Backoff {
    /// The upper bound of the wait before retry `retry`, counted from 1. 0 counts as 1.
    pub fn bound(&self, retry: u32) -> Duration {
        let factor = 1_u32.checked_shl(retry.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }

    /// The wait before retry `retry`, counted from 1, in whole milliseconds.
    pub fn wait(&self, retry: u32, jitter: &Jitter) -> Duration {
        Duration::from_millis(jitter.up_to(crate::time::millis(self.bound(retry))))
    }

    /// The wait before retry `retry` at `fraction` of its bound, for callers with a source of
    /// randomness of their own. `fraction` is limited to the range from 0 to 1.
    pub fn wait_at(&self, retry: u32, fraction: f64) -> Duration {
        let fraction = if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
        self.bound(retry).mul_f64(fraction)
    }
}

/// Random numbers for waits, not for secrets. The same seed yields the same sequence. Shared by
/// reference between tasks, without a lock.
#[derive(Debug)]
pub struct Jitter(AtomicU64);

impl Jitter {
    pub fn seeded(seed: u64) -> Self {
        Jitter(AtomicU64::new(seed))
    }

    /// Seeded from the system clock, so that processes that start together differ.
    pub fn from_clock() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Jitter::seeded(
            now.as_secs().wrapping_mul(0x9e37_79b9).wrapping_add(u64::from(now.subsec_nanos())),
        )
    }

    /// A number from 0 to `max`, both included.
    pub fn up_to(&self, max: u64) -> u64 {
        // SplitMix64.
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut word = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        word % max.saturating_add(1).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Backoff =
        Backoff { base: Duration::from_millis(100), cap: Duration::from_millis(250) };

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        for (retry, bound) in [(0, 100), (1, 100), (2, 200), (3, 250), (40, 250), (u32::MAX, 250)] {
            assert_eq!(POLICY.bound(retry), Duration::from_millis(bound), "{retry}");
        }
        let none = Backoff { base: Duration::ZERO, cap: Duration::ZERO };
        assert_eq!(none.bound(32), Duration::ZERO);
        let long = Backoff { base: Duration::MAX, cap: Duration::MAX };
        assert_eq!(long.bound(2), Duration::MAX);
    }

    #[test]
    fn waits_fill_the_whole_range_and_repeat_with_the_seed() {
        for retry in 1..4 {
            let bound = POLICY.bound(retry);
            let jitter = Jitter::seeded(7);
            let waits: Vec<Duration> = (0..1000).map(|_| POLICY.wait(retry, &jitter)).collect();
            assert!(waits.iter().all(|wait| *wait <= bound));
            assert!(waits.iter().any(|wait| *wait < bound / 10));
            assert!(waits.iter().any(|wait| *wait > bound.mul_f64(0.9)));
            let again = Jitter::seeded(7);
            assert!(waits.iter().all(|wait| *wait == POLICY.wait(retry, &again)));
        }
        assert_eq!(POLICY.wait_at(2, 0.5), Duration::from_millis(100));
        assert_eq!(POLICY.wait_at(2, 7.0), Duration::from_millis(200));
        assert_eq!(POLICY.wait_at(2, f64::NAN), Duration::ZERO);
    }
}
