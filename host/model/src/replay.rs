//! What a replay of a recorded attempt came to, as `sitewright replay --json` and the HTTP API
//! answer it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::{FailureKind, FailureRecord, TemplateRef};
use crate::message::Message;

/// The result of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayVerdict {
    /// Everything matches the recording.
    Reproduced,
    /// Everything matches up to the end, which came from outside the run.
    ReproducedUpToTheEnd,
    /// Something does not match the recording.
    Diverged,
    /// The failure is gone.
    Fixed,
    /// The failure is still there.
    SameFailure,
    /// It fails in another way.
    AnotherFailure,
    /// It was stopped at the first error diagnostic, as requested.
    StoppedAtReport,
    /// It made an AI call that the recording has no answer to.
    Unanswered,
}

impl ReplayVerdict {
    /// Whether the recording was reproduced, or the failure is fixed.
    pub fn is_good(self) -> bool {
        matches!(
            self,
            ReplayVerdict::Reproduced
                | ReplayVerdict::ReproducedUpToTheEnd
                | ReplayVerdict::Fixed
                | ReplayVerdict::StoppedAtReport
        )
    }
}

/// How an attempt ended, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayOutcome {
    Released,
    Failed,
    /// It was not recorded: the process of the attempt died.
    Unknown,
}

/// A summary of how an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReplayEnd {
    pub outcome: ReplayOutcome,
    /// Of a failure: its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<FailureKind>,
    /// Of a failure: the template's own code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Of a failure: its message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Number of host calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// Number of files written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
}

/// The first host call that differs from the recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CallDifference {
    /// Number of the call, from 1.
    pub number: u64,
    /// Null if the recording had no further call.
    pub recorded: Option<Called>,
    /// Null if the replay made no further call.
    pub now: Option<Called>,
}

/// A host call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Called {
    /// The host function.
    pub call: String,
    /// The arguments as the trail shows them; null for a call that the trail no longer has.
    pub args: Option<String>,
}

/// A field or a file that differs from the recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FieldDifference {
    /// A field of the failure record, or a file.
    pub what: String,
    pub recorded: String,
    pub now: String,
}

/// The report of a replay.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ReplayReport {
    pub verdict: ReplayVerdict,
    /// The verdict as a sentence.
    pub summary: String,
    /// Id of the replayed attempt.
    pub attempt: String,
    /// Id of its order.
    pub order: String,
    /// Whether models were asked.
    pub live: bool,
    pub template_recorded: TemplateRef,
    /// The template of the replay.
    pub template: TemplateRef,
    pub recorded: ReplayEnd,
    /// How the replay ended.
    pub now: ReplayEnd,
    /// The first host call that differs.
    pub first_call: Option<CallDifference>,
    /// Everything else that differs.
    pub differences: Vec<FieldDifference>,
    /// Remarks, such as why the replay cannot match.
    pub notes: Vec<String>,
    /// The failure record of the replay.
    pub failure: Option<Box<FailureRecord>>,
}

/// The verdict on an attempt that lacks something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoReplayVerdict {
    NotReplayable,
}

/// The answer in the place of a [`ReplayReport`] if an attempt cannot be replayed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NoReplay {
    pub verdict: NoReplayVerdict,
    /// Id of the attempt.
    pub attempt: String,
    /// Everything that is missing, each with what to do.
    pub missing: Vec<Message>,
}
