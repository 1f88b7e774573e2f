//! Whether a failed attempt is repeated, and after which wait.

use std::time::Duration;

use super::config::RetryConfig;
use super::failure::AttemptFailure;
use sitewright_model::ai::AiErrorKind;
use sitewright_model::backoff::{Backoff, Jitter};

impl RetryConfig {
    fn backoff(&self) -> Backoff {
        let [base, cap] = [self.base_ms, self.max_ms].map(Duration::from_millis);
        Backoff { base, cap }
    }
}

/// The wait before the next attempt at the same candidate; `None` if there is none.
///
/// `tries` is the number of attempts made so far. A wait that the provider requests is used as it
/// is; otherwise it is drawn from the configured [`Backoff`].
pub(super) fn wait(
    policy: RetryConfig,
    tries: u32,
    failure: &AttemptFailure,
    jitter: &Jitter,
) -> Option<Duration> {
    // An unusable JSON reply is handled by a corrected request instead.
    let by_reply = matches!(failure.kind, AiErrorKind::Malformed | AiErrorKind::SchemaMismatch);
    if tries >= policy.attempts
        || !failure.retryable
        || by_reply
        || failure.kind == AiErrorKind::Cancelled
    {
        return None;
    }
    let requested = failure.http.as_ref().and_then(|http| http.retry_after_ms);
    Some(match requested {
        Some(requested) => Duration::from_millis(requested),
        None => policy.backoff().wait(tries, jitter),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{AttemptFailure, Jitter, RetryConfig, wait};
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
            let again = wait(POLICY, 1, &AttemptFailure::new(kind, ""), &jitter).is_some();
            assert_eq!(again, kind.retryable() && !own_way, "{kind}");
            let forbidden = AttemptFailure { retryable: false, ..AttemptFailure::new(kind, "") };
            assert_eq!(wait(POLICY, 1, &forbidden, &jitter), None, "x-should-retry: false");
        }
        assert_eq!(
            wait(POLICY, 4, &AttemptFailure::new(AiErrorKind::Timeout, ""), &jitter),
            None,
            "the last of four"
        );
    }

    #[test]
    fn the_wait_is_drawn_below_a_bound_that_doubles_or_is_what_was_asked_for() {
        let jitter = Jitter::seeded(7);
        let failure = AttemptFailure::new(AiErrorKind::Overloaded, "");
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
        let [one, again] = [7, 7].map(Jitter::seeded);
        assert_eq!(wait(POLICY, 3, &failure, &one), wait(POLICY, 3, &failure, &again));
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
