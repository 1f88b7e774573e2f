//! Kinds of failure.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumCount, VariantArray, VariantNames};

/// Why an attempt did not succeed. A closed enum, so that the compiler checks all code that depends
/// on it (exit codes, retries, statistics).
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::EnumCount,
    strum::EnumString,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum FailureKind {
    /// The template cannot process the order document.
    InvalidOrder,
    /// The template could not be found, compiled, linked or described.
    TemplateLoad,
    /// The template returned an error.
    TemplateError,
    /// The template panicked and reported it.
    Panic,
    /// The template trapped: a bug that its language did not catch, or a call that the contract
    /// forbids.
    Trap,
    /// The CPU time limit was exceeded.
    CpuLimit,
    /// The memory limit was exceeded.
    MemoryLimit,
    /// The site exceeded a limit on files, bytes or paths.
    OutputLimit,
    /// The limit on AI calls was exceeded.
    CallLimit,
    /// The run exceeded its deadline.
    Deadline,
    /// The order was cancelled.
    Cancelled,
    /// An AI call failed and the template could not go on without it.
    Ai,
    /// A site was made but failed its checks.
    OutputRejected,
    /// The process ended in the middle of the attempt.
    Crashed,
    /// The host itself failed: disk, database, a bug of ours.
    Host,
}

impl FailureKind {
    /// All kinds, in the order of their declaration.
    pub const ALL: [FailureKind; FailureKind::COUNT] = {
        let mut all = [FailureKind::Host; FailureKind::COUNT];
        let mut index = 0;
        while index < all.len() {
            all[index] = <Self as VariantArray>::VARIANTS[index];
            index += 1;
        }
        all
    };

    /// The name in records, reports and statistics, in snake case: `template_error`.
    pub const fn as_str(self) -> &'static str {
        <Self as VariantNames>::VARIANTS[self as usize]
    }

    /// What the reader of the record can do about failures of this kind in general.
    pub const fn hint(self) -> &'static str {
        match self {
            FailureKind::InvalidOrder => {
                "Correct the fields listed below in the CRM and send the order again."
            }
            FailureKind::TemplateLoad => {
                "Rebuild the template with the current SDK and check it with `sitewright template \
                 inspect`."
            }
            FailureKind::TemplateError => {
                "The template refused this order: read its message and causes; the template's \
                 author decides what to change."
            }
            FailureKind::Panic | FailureKind::Trap => {
                "This is a bug in the template: send this record to its author; the first frame \
                 marked as its own is where to look."
            }
            FailureKind::CpuLimit => {
                "The template computed for too long, most likely in an endless loop: the frames \
                 show where; for Python those of its replay (`sitewright replay`), for JavaScript \
                 the replay shows its last call. If the work is real, raise `limits.cpu_ms`."
            }
            FailureKind::MemoryLimit => {
                "The template asked for too much memory: the frames show where; for Python those \
                 of its replay (`sitewright replay`), for JavaScript the replay shows its last \
                 call. If it is really needed, raise `limits.memory_bytes`, which does not help \
                 if the message says that the JavaScript engine's own heap is full."
            }
            FailureKind::OutputLimit => {
                "The template wrote more than is allowed: see the limits below. If the site is \
                 meant to be that large, raise the limit."
            }
            FailureKind::CallLimit => {
                "The template made too many AI calls: look for a loop around a call, or raise \
                 `limits.ai_calls`."
            }
            FailureKind::Deadline => {
                "The run took too long: the trail shows what it waited for. Check the AI routes \
                 with `sitewright doctor`, or raise `limits.deadline_ms`."
            }
            FailureKind::Cancelled => "Nothing is wrong; run the order again when it is wanted.",
            FailureKind::Ai => {
                "Check the route and its provider with `sitewright doctor`; the failure record has \
                 what it answered."
            }
            FailureKind::OutputRejected => {
                "The template made a site that would not work: send the list below to its author. \
                 The last good release is untouched."
            }
            FailureKind::Crashed => {
                "The worker's process ended: look at the machine's memory and the worker's log \
                 around this time."
            }
            FailureKind::Host => {
                "Read the causes: most often a full disk or missing rights. `sitewright doctor` \
                 checks both."
            }
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
