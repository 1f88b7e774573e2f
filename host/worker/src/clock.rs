//! Logs when the machine's clock is set while orders run.
//!
//! Heartbeats, timeouts and deadlines use a monotonic clock. The due time of a waiting order is a
//! time of day: the rescue of [`sitewright_jobs`] dates future-dated orders back.

use std::time::{Duration, Instant, SystemTime};

/// Time between two checks.
const EVERY: Duration = Duration::from_secs(1);
/// Corrections up to this size are normal: time synchronization makes them.
const TOLERATED: Duration = Duration::from_secs(2);

/// Runs until it is dropped.
pub(super) async fn watch() {
    let (mut steady, mut wall) = (Instant::now(), SystemTime::now());
    loop {
        tokio::time::sleep(EVERY).await;
        let (now, shown) = (Instant::now(), SystemTime::now());
        if let Some((by, direction)) = set(now.duration_since(steady), wall, shown) {
            tracing::warn!(
                seconds = by.as_secs(),
                direction,
                "the machine's clock was set, or the machine slept; running orders continue, \
                 and the dates of waiting ones are corrected if the clock was set back"
            );
        }
        (steady, wall) = (now, shown);
    }
}

/// The size and direction of a change of the clock that showed `before` and, after the time
/// `steady`, shows `now`.
fn set(steady: Duration, before: SystemTime, now: SystemTime) -> Option<(Duration, &'static str)> {
    let expected = before + steady;
    let (by, direction) = match now.duration_since(expected) {
        Ok(ahead) => (ahead, "forward"),
        Err(behind) => (behind.duration(), "back"),
    };
    (by > TOLERATED).then_some((by, direction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d4_a_clock_that_was_set_is_told_and_one_that_is_kept_right_is_not() {
        let second = Duration::from_secs(1);
        let before = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let rows = [
            // (what the clock shows a second later, by how much it was set)
            (before + second, None),
            (before + 3 * second, None),
            (before - second, None),
            (before + 4 * second, Some((3 * second, "forward"))),
            (before - 3_600 * second, Some((3_601 * second, "back"))),
        ];
        for (now, found) in rows {
            assert_eq!(set(second, before, now), found, "{now:?}");
        }
    }
}
