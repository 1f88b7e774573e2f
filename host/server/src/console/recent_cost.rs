//! What AI replies have cost recently, for the first page: browsers read that page again with each
//! event, and to add up the replies of a busy hour, or of hours that are not summed up yet, takes
//! the database longer than all else on it.

use std::time::{Duration, Instant};

use sitewright_jobs::{Error, RecentCost};
use tokio::sync::Mutex;

/// How long a sum is shown again.
const VALID_FOR: Duration = Duration::from_secs(60);

/// The last sum.
#[derive(Debug, Default)]
pub(crate) struct LastCost(Mutex<Option<Summed>>);

#[derive(Debug)]
struct Summed {
    at: Instant,
    /// What was added up.
    since: i64,
    cost: RecentCost,
}

impl LastCost {
    /// The cost since this time (milliseconds since the Unix epoch): that of the last minute, or
    /// what `read` comes to. Who comes while it is read waits for the same sum.
    ///
    /// # Errors
    /// Those of `read`; then the next one reads it again.
    pub(crate) async fn since(
        &self,
        since: i64,
        read: impl Future<Output = Result<RecentCost, Error>>,
    ) -> Result<RecentCost, Error> {
        let mut last = self.0.lock().await;
        if let Some(summed) = last.as_ref()
            && summed.since == since
            && summed.at.elapsed() < VALID_FOR
        {
            return Ok(summed.cost);
        }
        let cost = read.await?;
        *last = Some(Summed { at: Instant::now(), since, cost });
        Ok(cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "the one runtime of its process")]
    #[tokio::test]
    async fn a_sum_is_made_once_a_minute_and_again_for_another_time() {
        let cost = |nano_usd| RecentCost { nano_usd, unpriced: 0 };
        let last = LastCost::default();
        let failed = Error::Closed { doing: "adding up AI calls".to_owned() };
        assert!(last.since(1, async { Err(failed) }).await.is_err());
        for (since, sum, expected) in [(1, 10, 10), (1, 20, 10), (2, 30, 30), (2, 40, 30)] {
            let found = last.since(since, async { Ok(cost(sum)) }).await.unwrap();
            assert_eq!(found, cost(expected), "since {since}");
        }
    }
}
