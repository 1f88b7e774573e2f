//! When a failed attempt is made again, and after which wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::config::RetryConfig;
use super::provider::Failure;
use sitewright_model::ai::AiErrorKind;

/// The wait before the next attempt at the same candidate; nothing when another one cannot help.
///
/// `tries` counts the attempts made so far. What the provider asks for is obeyed to the letter;
/// otherwise the wait is drawn between zero and a bound that doubles with each attempt ("full
/// jitter"), so that callers that failed together do not come back together.
pub(super) fn wait(
    policy: RetryConfig,
    tries: u32,
    failure: &Failure,
    jitter: &Jitter,
) -> Option<Duration> {
    // A reply that is no JSON has its own way: one more question that says what was wrong.
    let by_reply = matches!(failure.kind, AiErrorKind::Malformed | AiErrorKind::SchemaMismatch);
    if tries >= policy.attempts
        || !failure.retryable
        || by_reply
        || failure.kind == AiErrorKind::Cancelled
    {
        return None;
    }
    if let Some(asked) = failure.http.as_ref().and_then(|http| http.retry_after_ms) {
        return Some(Duration::from_millis(asked));
    }
    let doubled = policy
        .base_ms
        .saturating_mul(1_u64.checked_shl(tries.saturating_sub(1)).unwrap_or(u64::MAX));
    Some(Duration::from_millis(jitter.up_to(doubled.min(policy.max_ms))))
}

/// Random numbers for waits; not for secrets. The same seed gives the same waits.
#[derive(Debug)]
pub(super) struct Jitter(AtomicU64);

impl Jitter {
    pub(super) fn seeded(seed: u64) -> Self {
        Jitter(AtomicU64::new(seed))
    }

    /// Different in every process.
    pub(super) fn from_clock() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Jitter::seeded(
            now.as_secs().wrapping_mul(0x9e37_79b9).wrapping_add(u64::from(now.subsec_nanos())),
        )
    }

    /// A number from 0 to `most`, by SplitMix64.
    fn up_to(&self, most: u64) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut word = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        word % most.saturating_add(1).max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Failure, Jitter, RetryConfig, wait};
    use sitewright_model::ai::{AiErrorKind, HttpDetail};

    const POLICY: RetryConfig = RetryConfig { attempts: 4, base_ms: 100, max_ms: 250 };

    #[test]
    fn e12_only_what_can_help_is_tried_again() {
        let jitter = Jitter::seeded(1);
        for kind in AiErrorKind::ALL {
            let own_way = matches!(
                kind,
                AiErrorKind::Malformed | AiErrorKind::SchemaMismatch | AiErrorKind::Cancelled
            );
            let again = wait(POLICY, 1, &Failure::new(kind, ""), &jitter).is_some();
            assert_eq!(again, kind.retryable() && !own_way, "{kind}");
            let forbidden = Failure { retryable: false, ..Failure::new(kind, "") };
            assert_eq!(wait(POLICY, 1, &forbidden, &jitter), None, "x-should-retry: false");
        }
        assert_eq!(
            wait(POLICY, 4, &Failure::new(AiErrorKind::Timeout, ""), &jitter),
            None,
            "the last of four"
        );
    }

    #[test]
    fn the_wait_is_drawn_below_a_bound_that_doubles_or_is_what_was_asked_for() {
        let jitter = Jitter::seeded(7);
        let failure = Failure::new(AiErrorKind::Overloaded, "");
        for (tries, bound) in [(1, 100), (2, 200), (3, 250)] {
            let waits: Vec<u128> = (0..1000)
                .filter_map(|_| wait(POLICY, tries, &failure, &jitter))
                .map(|wait| wait.as_millis())
                .collect();
            let (least, most) = (waits.iter().min().copied(), waits.iter().max().copied());
            assert!(
                least < Some(bound / 10) && most <= Some(bound) && most > Some(bound * 9 / 10),
                "{least:?} {most:?}"
            );
        }
        let again = Jitter::seeded(7);
        assert_eq!(Jitter::seeded(7).up_to(1000), again.up_to(1000));
        let http = HttpDetail {
            status: 429,
            request_id: None,
            retry_after_ms: Some(1574),
            body_excerpt: None,
        };
        let asked = failure.with_http(http);
        assert_eq!(wait(POLICY, 1, &asked, &jitter), Some(Duration::from_millis(1574)));
    }
}
