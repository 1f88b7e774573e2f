//! AI calls that wait for a batch of a provider: what the gateway asks of the queue that keeps
//! them.

use super::JournalKey;

/// A call that is to wait for a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBatchCall {
    pub key: JournalKey,
    pub purpose: String,
    /// The name of the route that serves it.
    pub route: String,
    pub provider: String,
    pub model: String,
    /// The body, JSON, without what the operator adds to it: that may be secret.
    pub body: String,
}

/// What is known of a call that is to wait for a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchedCall {
    /// It waits, and its attempt ends soon.
    Waits,
    /// A batch has answered it.
    Answered(BatchAnswer),
    /// It is made without a batch.
    Direct,
}

/// The answer of a batch to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchAnswer {
    pub provider: String,
    pub model: String,
    /// The body of the answer, as that of a call.
    pub answer: String,
}

/// What batches have of a call, before it is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownCall {
    /// A batch has it, and has not answered it. The call waits, and its attempt ends soon.
    Sent { purpose: String, provider: String },
    /// A batch has answered it, and no attempt has read that.
    Answered(BatchAnswer),
    /// No batch has it, or its answer was read.
    Unknown,
}

/// How a call that waited for a batch ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchedEnd {
    /// Its answer was read, and is in the reply journal.
    Used,
    /// There is no answer that can be used, for this reason: the call is made without a batch.
    Direct(String),
}
