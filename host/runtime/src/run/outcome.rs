//! How an attempt ended, and what it used.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use ulid::Ulid;

use crate::host_functions::AiCall;
use crate::plugin::Determinism;
use crate::run::recording::Recording;
use sitewright_model::Measure;
use sitewright_model::failure::{Diagnostic, FailureRecord, TemplateRef};
use sitewright_model::message::Message;
use sitewright_site::Release;

/// The id of an attempt, unique for all orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct AttemptId(Ulid);

impl AttemptId {
    /// A new one.
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

    /// The trace id of this attempt: 32 hexadecimal digits.
    pub(super) fn trace_id(self) -> String {
        hex::encode(self.0.to_bytes())
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

/// How an attempt ended. There is no third way.
pub enum Outcome {
    /// A site was made, passed its checks and is now the order's current release.
    Released(Box<Released>),
    /// It was not, and this is why.
    Failed {
        /// The record.
        record: Box<FailureRecord>,
        /// Where it is stored, or why it could not be.
        stored: Result<PathBuf, Message>,
        /// What the operating system refused the host, when that failed the attempt: a full disk
        /// fails every order alike.
        refused: Option<std::io::ErrorKind>,
        /// What was used until then.
        totals: Totals,
    },
}

/// A released site.
pub struct Released {
    /// The release.
    pub release: Release,
    /// The template that made it.
    pub template: TemplateRef,
    /// The order's id.
    pub order: String,
    /// What the template reported.
    pub diagnostics: Vec<Diagnostic>,
    /// What was used.
    pub totals: Totals,
    /// What a replay needs; nothing when nothing was to be kept.
    pub recording: Option<Recording>,
}

/// What an attempt used.
#[derive(Debug, Clone, Serialize)]
pub struct Totals {
    /// The attempt.
    pub attempt: AttemptId,
    /// From begin to end, in milliseconds.
    pub duration_ms: u64,
    /// Each limit beside what was used of it.
    pub limits: BTreeMap<String, Measure>,
    /// Answered AI calls.
    pub ai_calls: Vec<AiCall>,
}

impl Totals {
    /// How many AI replies came from an earlier attempt's journal.
    pub fn replayed(&self) -> usize {
        self.ai_calls.iter().filter(|call| call.replayed).count()
    }

    /// Tokens in and out over all calls that a model answered, as far as providers told. Those of
    /// replayed ones were used by the attempt that paid for them.
    pub fn tokens(&self) -> (u64, u64) {
        self.ai_calls.iter().filter(|call| !call.replayed).fold((0, 0), |(input, output), call| {
            (
                input + call.usage.input_tokens.unwrap_or(0),
                output + call.usage.output_tokens.unwrap_or(0),
            )
        })
    }
}
