//! Which failures are worth another attempt, and when.

use std::time::Duration;

use super::complete::{NewFailure, Resolution};

/// What a failure means for the next attempt (catalogue D4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryClass {
    /// A provider's limit has to pass: wait, and use no attempt.
    Limited {
        /// How long the provider asked to wait, when it said.
        after: Option<Duration>,
    },
    /// It may go well next time: wait a little longer each time.
    Transient {
        /// How long the other side asked to wait at least, when it said.
        at_least: Option<Duration>,
    },
    /// The next attempt would end the same way, and would cost the same.
    Permanent,
}

/// The class of a failure: by its kind (`FailureKind::as_str`), for kind `ai` by the kind of the AI
/// error (`AiErrorKind::as_str`), by what the failure says itself about being worth another try,
/// and by how long the other side asked to wait.
///
/// What the list calls permanent stays so, whatever `retryable` says; the flag decides where a kind
/// alone does not tell. A passed deadline is worth another try: the replies that came until then
/// are in the journal, so the next attempt gets further.
pub fn class(
    kind: &str,
    ai_kind: Option<&str>,
    retryable: Option<bool>,
    retry_after: Option<Duration>,
) -> RetryClass {
    let transient = RetryClass::Transient { at_least: retry_after };
    let if_so = |default: bool| {
        if retryable.unwrap_or(default) { transient } else { RetryClass::Permanent }
    };
    match kind {
        "crashed" | "host" | "deadline" => transient,
        "template_error" => if_so(false),
        "ai" => match ai_kind.unwrap_or("other") {
            "rate-limited" => RetryClass::Limited { after: retry_after },
            "overloaded" | "timeout" | "connection" | "cancelled" => transient,
            "protocol" | "empty" | "malformed" | "schema-mismatch" => if_so(true),
            "auth" | "permission" | "not-found" | "invalid-request" | "context-too-long"
            | "quota-exhausted" | "truncated" | "content-filtered" | "budget-exceeded"
            | "no-route" => RetryClass::Permanent,
            _ => if_so(false),
        },
        // invalid_order, template_load, panic, trap, cpu_limit, memory_limit, output_limit,
        // call_limit, cancelled, output_rejected, and what nobody knows yet.
        _ => RetryClass::Permanent,
    }
}

/// How long to wait between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// At most so long before the second attempt; doubled for each further one.
    pub first: Duration,
    /// Never longer.
    pub longest: Duration,
    /// How long a rate limit is waited for when the provider does not say.
    pub limited: Duration,
    /// The longest a provider is believed.
    pub longest_limited: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff {
            first: Duration::from_secs(2),
            longest: Duration::from_secs(300),
            limited: Duration::from_secs(30),
            longest_limited: Duration::from_secs(6 * 3_600),
        }
    }
}

impl Backoff {
    /// The wait before the next attempt after `used` attempts, this one included: anything between
    /// nothing and a bound that doubles with each (`random` is between 0 and 1), so that orders
    /// that failed together do not come back together.
    pub fn wait(&self, used: u32, random: f64) -> Duration {
        let doubled = 2u32.checked_pow(used.saturating_sub(1).min(31)).unwrap_or(u32::MAX);
        let most = self.first.saturating_mul(doubled).min(self.longest);
        most.mul_f64(random.clamp(0.0, 1.0))
    }

    /// How an attempt ends that failed like this. `used` are the attempts used up before it.
    pub fn resolution(
        &self,
        class: RetryClass,
        failure: NewFailure,
        used: i64,
        random: f64,
    ) -> Resolution {
        let used = u32::try_from(used).unwrap_or(u32::MAX).saturating_add(1);
        match class {
            RetryClass::Permanent => Resolution::Failed { failure },
            RetryClass::Transient { at_least } => {
                let floor = at_least.unwrap_or_default().min(self.longest_limited);
                Resolution::Retry { failure, after: floor.saturating_add(self.wait(used, random)) }
            }
            RetryClass::Limited { after } => {
                // Whoever says "at once" is asked again after a moment: such an order uses no
                // attempts, and would never rest.
                let after = after.unwrap_or(self.limited).max(self.first).min(self.longest_limited);
                // A tenth more at most: those who were refused together come back one after the
                // other.
                Resolution::Snooze {
                    failure,
                    after: after.mul_f64(1.0 + random.clamp(0.0, 1.0) / 10.0),
                }
            }
        }
    }
}
