//! The retry rule: which failures get another attempt, and when.

use std::time::Duration;

use sitewright_model::ai::AiErrorKind;
use sitewright_model::failure::FailureKind;

use super::model::{NewFailure, Resolution};

/// What a failure means for the next attempt (failure catalogue D4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryClass {
    /// A provider's rate limit has to pass: wait, and use no attempt.
    Limited {
        /// The wait that the provider asked for, if any.
        after: Option<Duration>,
    },
    /// The next attempt may succeed: wait longer each time.
    Transient {
        /// The minimum wait that the other side asked for, if any.
        at_least: Option<Duration>,
    },
    /// The next attempt would end the same way.
    Permanent,
}

/// The retry class of a failure: by its kind, for [`FailureKind::Ai`] by the kind of the AI error,
/// by what the failure itself says about being `retryable`, and by the wait that the other side
/// asked for.
///
/// A kind that is permanent stays so whatever `retryable` says; the flag decides where the kind
/// alone does not: a reply that a token limit truncated would be truncated again, one that broke
/// off would not. A passed deadline is transient: the replies that arrived until then are in the
/// journal, so the next attempt gets further.
pub fn class(
    kind: FailureKind,
    ai: Option<AiErrorKind>,
    retryable: Option<bool>,
    retry_after: Option<Duration>,
) -> RetryClass {
    let transient = RetryClass::Transient { at_least: retry_after };
    let if_retryable = |default: bool| {
        if retryable.unwrap_or(default) { transient } else { RetryClass::Permanent }
    };
    match kind {
        FailureKind::Crashed | FailureKind::Host | FailureKind::Deadline => transient,
        FailureKind::TemplateError => if_retryable(false),
        FailureKind::Ai => match ai.unwrap_or(AiErrorKind::Other) {
            AiErrorKind::RateLimited => RetryClass::Limited { after: retry_after },
            AiErrorKind::Overloaded
            | AiErrorKind::Timeout
            | AiErrorKind::Connection
            | AiErrorKind::Cancelled => transient,
            AiErrorKind::Protocol
            | AiErrorKind::Empty
            | AiErrorKind::Malformed
            | AiErrorKind::SchemaMismatch => if_retryable(true),
            AiErrorKind::Auth
            | AiErrorKind::Permission
            | AiErrorKind::NotFound
            | AiErrorKind::InvalidRequest
            | AiErrorKind::ContextTooLong
            | AiErrorKind::QuotaExhausted
            | AiErrorKind::ContentFiltered
            | AiErrorKind::BudgetExceeded
            | AiErrorKind::NoRoute => RetryClass::Permanent,
            // At a token limit it would be truncated there again; a reply whose stream or body broke
            // off is `retryable`, like a connection that does.
            AiErrorKind::Truncated | AiErrorKind::Other => if_retryable(false),
        },
        FailureKind::InvalidOrder
        | FailureKind::TemplateLoad
        | FailureKind::Panic
        | FailureKind::Trap
        | FailureKind::CpuLimit
        | FailureKind::MemoryLimit
        | FailureKind::OutputLimit
        | FailureKind::CallLimit
        | FailureKind::Cancelled
        | FailureKind::OutputRejected => RetryClass::Permanent,
    }
}

/// How long to wait between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Maximum wait before the second attempt; doubles with each further one. Default: 2 s.
    pub first: Duration,
    /// Upper bound of that maximum. Default: 300 s.
    pub longest: Duration,
    /// Wait for a rate limit if the provider names none. Default: 30 s.
    pub limited: Duration,
    /// Upper bound of a wait that a provider asks for. Default: 6 h.
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
    /// The wait after `used` attempts, this one included: `random` (0 to 1) times a maximum that
    /// doubles with each attempt, so that orders that failed together are spread out.
    pub fn wait(&self, used: u32, random: f64) -> Duration {
        let doubled = 2u32.checked_pow(used.saturating_sub(1).min(31)).unwrap_or(u32::MAX);
        let most = self.first.saturating_mul(doubled).min(self.longest);
        most.mul_f64(random.clamp(0.0, 1.0))
    }

    /// The resolution of an attempt with this failure. `used` is the number of attempts used before
    /// it.
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
                // Never zero: such an order uses no attempts, and would retry in a tight loop.
                let after = after.unwrap_or(self.limited).max(self.first).min(self.longest_limited);
                // Up to a tenth more, so that orders that were refused together are spread out.
                Resolution::Snooze {
                    failure,
                    after: after.mul_f64(1.0 + random.clamp(0.0, 1.0) / 10.0),
                }
            }
        }
    }
}
