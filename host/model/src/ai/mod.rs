//! Results of AI calls: completions, errors, attempts, usage and cost; and calls that wait for
//! batches.

mod batch;
mod call_id;
mod completion;
mod error;
mod journal_key;
mod usd;

pub use batch::{BatchAnswer, BatchedCall, BatchedEnd, KnownCall, NewBatchCall};
pub use call_id::{CallId, CallIdError};
pub use completion::{Completed, Completion, FinishReason, ReplySource, Usage};
pub use error::{
    AiError, AiErrorKind, Attempt, AttemptOutcome, BreakerOpened, EstimatedUse, HttpDetail, Limit,
    OpenFor, UnknownKind,
};
pub use journal_key::JournalKey;
pub use usd::Usd;
