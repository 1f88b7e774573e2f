//! How an attempt ended, and what it used.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use ulid::Ulid;

use crate::host_functions::{AiCall, UnusableReplies};
use crate::plugin::Determinism;
use crate::run::recording::Recording;
use sitewright_model::Measure;
use sitewright_model::ai::Usd;
use sitewright_model::failure::{Diagnostic, FailureRecord, LogTail, TemplateRef};
use sitewright_model::message::Message;
use sitewright_site::Release;

/// Id of an attempt, unique over all orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct AttemptId(Ulid);

impl AttemptId {
    /// A fresh id.
    #[allow(clippy::new_without_default, reason = "each is different")]
    pub fn new() -> Self {
        AttemptId(Ulid::generate())
    }

    /// Seeds the guest's randomness and clock: the same attempt, replayed, sees the same.
    pub(super) fn determinism(self) -> Determinism {
        let digest = Sha256::digest(self.0.to_bytes());
        let mut seed = [0; 8];
        seed.copy_from_slice(&digest[..8]);
        Determinism { seed: u64::from_le_bytes(seed), start_unix_ms: self.0.timestamp_ms() }
    }

    /// The year in which it began.
    pub(super) fn year(self) -> u16 {
        let s = i64::try_from(self.0.timestamp_ms() / 1_000).unwrap_or(0);
        let began = OffsetDateTime::from_unix_timestamp(s).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        u16::try_from(began.year()).unwrap_or_default()
    }

    /// The trace id of this attempt: 32 hexadecimal digits.
    pub(super) fn trace_id(self) -> String {
        hex::encode(self.0.to_bytes())
    }
}

impl From<AttemptId> for Ulid {
    fn from(id: AttemptId) -> Self {
        id.0
    }
}

impl From<Ulid> for AttemptId {
    fn from(id: Ulid) -> Self {
        AttemptId(id)
    }
}

impl FromStr for AttemptId {
    type Err = ulid::DecodeError;

    /// Reads an id as records show it, so that an attempt can be made again with the same
    /// randomness and clock.
    fn from_str(id: &str) -> Result<Self, Self::Err> {
        Ulid::from_string(id).map(AttemptId)
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How an attempt ended.
pub enum Outcome {
    /// A site was made, passed its checks and became a release: the current one, unless the
    /// request says [`Publication::Place`](super::Publication::Place).
    Released(Box<Released>),
    /// There is no release.
    Failed {
        record: Box<FailureRecord>,
        /// The file of the record, or why it is not stored: it could not be, or the order of a
        /// worker that shuts down goes back to its queue.
        stored: Result<PathBuf, Message>,
        /// What the operating system refused the host, if that is the cause: a full disk fails
        /// every order. `ResourceBusy`: the machine was too busy to compile the template.
        refused: Option<std::io::ErrorKind>,
        totals: Totals,
    },
}

/// A released site.
pub struct Released {
    pub release: Release,
    pub template: TemplateRef,
    /// Id of the order.
    pub order: String,
    /// What the template reported.
    pub diagnostics: Vec<Diagnostic>,
    /// What the template printed and logged.
    pub printed: Printed,
    pub totals: Totals,
    /// What a replay needs; `None` if the attempt keeps no replies.
    pub recording: Option<Recording>,
}

/// What a template printed and logged, with every provider key removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Printed {
    pub log: LogTail,
    /// The tail of it, at most `limits.stderr_bytes`.
    pub stdout: String,
    /// The tail of it, at most `limits.stderr_bytes`.
    pub stderr: String,
}

/// What an attempt used.
#[derive(Debug, Clone, Serialize)]
pub struct Totals {
    pub attempt: AttemptId,
    /// Milliseconds from the start of the attempt to its end.
    pub duration_ms: u64,
    /// Each limit with its usage.
    pub limits: BTreeMap<String, Measure>,
    /// Answered AI calls.
    pub ai_calls: Vec<AiCall>,
    /// What was paid for beside them.
    pub unusable: UnusableReplies,
}

/// What was not paid, because another order had paid for the same reply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Saved {
    pub calls: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// Of models that have a price.
    pub cost_usd: Usd,
}

impl Totals {
    /// The limit that goes on being used after the run.
    pub(super) const DEADLINE: &'static str = "deadline_ms";

    /// The limit that is used after the totals of a good run were measured.
    pub(super) const CHECKS: &'static str = "check_ms";

    /// The same after `duration_ms` in all.
    pub(super) fn at(mut self, duration_ms: u64) -> Self {
        self.duration_ms = duration_ms;
        if let Some(deadline) = self.limits.get_mut(Self::DEADLINE) {
            deadline.used = duration_ms;
        }
        self
    }

    /// The number of AI replies that came from an earlier attempt's journal.
    pub fn replayed(&self) -> usize {
        self.ai_calls.iter().filter(|call| call.replayed).count()
    }

    /// The number of calls in which two candidates were asked at once.
    pub fn hedged(&self) -> usize {
        let is_hedged = |call: &&AiCall| call.attempts.iter().any(|attempt| attempt.hedge);
        self.ai_calls.iter().filter(is_hedged).count()
    }

    /// What replies from the cache of all orders saved.
    pub fn saved(&self) -> Saved {
        let cached = self.ai_calls.iter().filter(|call| call.cached);
        cached.fold(Saved::default(), |sum, call| {
            let tokens = |count: Option<u64>, sum: u64| sum.saturating_add(count.unwrap_or(0));
            Saved {
                calls: sum.calls + 1,
                input_tokens: tokens(call.usage.input_tokens, sum.input_tokens),
                output_tokens: tokens(call.usage.output_tokens, sum.output_tokens),
                cost_usd: sum.cost_usd.plus(call.saved_usd.unwrap_or_default()),
            }
        })
    }

    /// The number of replies, as the queue counts them: those of all answered calls, and those that
    /// were paid for and that no call could use.
    pub fn replies(&self) -> u64 {
        (self.ai_calls.len() as u64).saturating_add(self.unusable.replies)
    }

    /// Input and output tokens of all [`replies`](Totals::replies), as far as providers report
    /// them. Replayed replies count for the attempt that paid for them, and those from the cache for
    /// the order that did.
    pub fn tokens(&self) -> (u64, u64) {
        let paid = self.ai_calls.iter().filter(|call| !call.replayed && !call.cached);
        let unusable = (self.unusable.input_tokens, self.unusable.output_tokens);
        paid.fold(unusable, |(input, output), call| {
            (
                input.saturating_add(call.usage.input_tokens.unwrap_or(0)),
                output.saturating_add(call.usage.output_tokens.unwrap_or(0)),
            )
        })
    }
}
