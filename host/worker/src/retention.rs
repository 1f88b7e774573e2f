//! `[retention]`: what is removed of orders that ended long ago, and when.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use sitewright_jobs::{ExpiredRows, OrderState};
use sitewright_model::time::now_ms;

/// A time that something is kept: `30m`, `12h`, `90d`, `2w`, or `forever`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Keep {
    Forever,
    For(Duration),
}

impl Keep {
    const fn days(days: u64) -> Self {
        Keep::For(Duration::from_secs(days * 24 * 3_600))
    }

    /// Whether it is a shorter time than the other one.
    pub fn is_shorter_than(self, other: Keep) -> bool {
        match (self, other) {
            (Keep::Forever, _) => false,
            (Keep::For(_), Keep::Forever) => true,
            (Keep::For(one), Keep::For(other)) => one < other,
        }
    }

    /// What ended before this time has expired; `None` if nothing expires.
    pub(super) fn before(self) -> Option<i64> {
        match self {
            Keep::Forever => None,
            Keep::For(time) => {
                let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
                Some(now_ms().saturating_sub(time))
            }
        }
    }
}

/// The units of a [`Keep`], the largest first.
const UNITS: [(&str, u64); 5] =
    [("w", 7 * 24 * 3_600), ("d", 24 * 3_600), ("h", 3_600), ("m", 60), ("s", 1)];

impl TryFrom<String> for Keep {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "forever" {
            return Ok(Keep::Forever);
        }
        let parsed = UNITS.iter().find_map(|(unit, seconds)| {
            let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
            Some(Keep::For(Duration::from_secs(u64::from(number) * seconds)))
        });
        parsed.ok_or_else(|| {
            format!("{text:?} is not a time to keep something; write `90d`, `12h` or `forever`")
        })
    }
}

impl From<Keep> for String {
    fn from(keep: Keep) -> String {
        match keep {
            Keep::Forever => "forever".to_owned(),
            Keep::For(time) => {
                let seconds = time.as_secs();
                let whole = |unit: &&(&str, u64)| seconds.is_multiple_of(unit.1);
                let (unit, of) = UNITS.iter().find(whole).unwrap_or(&("s", 1));
                format!("{}{unit}", seconds / of)
            }
        }
    }
}

/// A time for each state in which an order ends.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, default)]
pub struct KeepByState {
    /// Of orders that have a release.
    #[schemars(with = "String", extend("x-type" = "time, or `forever`", "x-default" = "see above"))]
    pub succeeded: Option<Keep>,
    /// Of orders that failed for good.
    #[schemars(with = "String", extend("x-type" = "time, or `forever`", "x-default" = "see above"))]
    pub failed: Option<Keep>,
    /// Of orders that were given up.
    #[schemars(with = "String", extend("x-type" = "time, or `forever`", "x-default" = "see above"))]
    pub dead: Option<Keep>,
    /// Of orders that somebody cancelled.
    #[schemars(with = "String", extend("x-type" = "time, or `forever`", "x-default" = "see above"))]
    pub cancelled: Option<Keep>,
}

impl KeepByState {
    /// Each state with its time.
    pub(super) fn states(&self, default: Keep) -> [(OrderState, Keep); 4] {
        [
            (OrderState::Succeeded, self.succeeded),
            (OrderState::Failed, self.failed),
            (OrderState::Dead, self.dead),
            (OrderState::Cancelled, self.cancelled),
        ]
        .map(|(state, keep)| (state, keep.unwrap_or(default)))
    }
}

/// What is removed of orders that have ended, and when. The times begin with the end of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Time between two sweeps, `forever` for none. Default: `1h`.
    #[schemars(with = "String", extend("x-type" = "time, or `forever`"))]
    pub every: Keep,
    /// Orders with all that belongs to them, in the database and in the sites folder. The site that
    /// visitors see stays: only `sitewright order erase` takes it off. Default: `forever`.
    pub orders: KeepByState,
    /// Progress events. Default: `90d`.
    pub events: KeepByState,
    /// AI replies, and recordings for replays. Their tokens and cost stay; a retry pays again.
    /// Default: `forever`.
    pub replies: KeepByState,
    /// Failure records and core dumps. Default: `forever`.
    pub failures: KeepByState,
    /// Deliveries of webhooks, after they were delivered or given up. Default: `30d`.
    #[schemars(with = "String", extend("x-type" = "time, or `forever`"))]
    pub deliveries: Keep,
    /// What webhooks of others brought (`[hooks.NAME]`), after it became an order or was refused.
    /// At least `1d`: an event that its sender, or somebody else, sends again is known for this time
    /// only. Default: `30d`.
    #[schemars(with = "String", extend("x-type" = "time, or `forever`"))]
    pub hook_deliveries: Keep,
    /// Entries of the audit log. Default: `forever`.
    #[schemars(with = "String", extend("x-type" = "time, or `forever`"))]
    pub audit: Keep,
}

/// How long progress events are kept by default.
const KEEP_EVENTS: Keep = Keep::days(90);

/// How long deliveries are kept by default.
const KEEP_DELIVERIES: Keep = Keep::days(30);

impl Default for RetentionConfig {
    fn default() -> Self {
        RetentionConfig {
            every: Keep::For(Duration::from_secs(3_600)),
            orders: KeepByState::default(),
            events: KeepByState::default(),
            replies: KeepByState::default(),
            failures: KeepByState::default(),
            deliveries: KEEP_DELIVERIES,
            hook_deliveries: KEEP_DELIVERIES,
            audit: Keep::Forever,
        }
    }
}

impl RetentionConfig {
    /// Least time that [`RetentionConfig::hook_deliveries`] can have: a sender repeats an event for
    /// hours, and whoever has an old body of `github` or `bearer` could make an order of it again.
    pub const LEAST_HOOK_DELIVERIES: Keep = Keep::days(1);

    pub(super) fn of(&self, what: ExpiredRows) -> [(OrderState, Keep); 4] {
        match what {
            ExpiredRows::Events => self.events.states(KEEP_EVENTS),
            ExpiredRows::Replies => self.replies.states(Keep::Forever),
            ExpiredRows::Failures => self.failures.states(Keep::Forever),
        }
    }

    /// The same, with the default wherever nothing is said.
    #[must_use]
    pub fn in_force(&self) -> Self {
        let said = |keep: KeepByState, default: Keep| KeepByState {
            succeeded: keep.succeeded.or(Some(default)),
            failed: keep.failed.or(Some(default)),
            dead: keep.dead.or(Some(default)),
            cancelled: keep.cancelled.or(Some(default)),
        };
        RetentionConfig {
            orders: said(self.orders, Keep::Forever),
            events: said(self.events, KEEP_EVENTS),
            replies: said(self.replies, Keep::Forever),
            failures: said(self.failures, Keep::Forever),
            ..*self
        }
    }

    /// Whether something of an order in this state, which ended then, has expired.
    pub(super) fn has_expired(&self, what: ExpiredRows, state: OrderState, ended_at: i64) -> bool {
        let keep = self.of(what).into_iter().find(|(known, _)| *known == state);
        keep.and_then(|(_, keep)| keep.before()).is_some_and(|before| ended_at < before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_keep_is_written_as_it_is_read() {
        for text in ["forever", "90d", "2w", "12h", "30m", "45s", "0s"] {
            let keep = Keep::try_from(text.to_owned()).unwrap();
            let written = String::from(keep);
            assert_eq!(Keep::try_from(written.clone()), Ok(keep), "{text} as {written}");
        }
        assert_eq!(Keep::try_from("90d".to_owned()), Ok(Keep::days(90)));
        for text in ["", "90", "d", "-1d", "1.5h", "never", "90 d", "99999999999d", "1y"] {
            let error = Keep::try_from(text.to_owned()).unwrap_err();
            assert!(error.contains("write `90d`"), "{text}: {error}");
        }
    }

    #[test]
    fn nothing_of_a_customer_is_removed_by_default() {
        let config: RetentionConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(config, RetentionConfig::default());
        let all = |keep| move |(_, found)| found == keep;
        let forever = all(Keep::Forever);
        assert!(config.orders.states(Keep::Forever).into_iter().all(forever));
        assert!(config.of(ExpiredRows::Replies).into_iter().all(forever));
        assert!(config.of(ExpiredRows::Failures).into_iter().all(forever));
        assert!(config.of(ExpiredRows::Events).into_iter().all(all(Keep::days(90))));
        let config: RetentionConfig =
            serde_json::from_str(r#"{ "events": { "cancelled": "30d" } }"#).unwrap();
        assert!(!config.has_expired(ExpiredRows::Events, OrderState::Failed, now_ms() - 1));
        let times = config.of(ExpiredRows::Events).map(|(_, keep)| String::from(keep));
        assert_eq!(times, ["90d", "90d", "90d", "30d"], "other states keep the default");
    }
}
