//! Results of AI calls: completions, errors, attempts, usage and cost.

mod call_id;
mod completion;
mod error;
mod usd;

pub use call_id::{CallId, CallIdError};
pub use completion::{Completed, Completion, FinishReason, ReplySource, Usage};
pub use error::{
    AiError, AiErrorKind, Attempt, AttemptOutcome, BreakerOpened, EstimatedUse, HttpDetail, Limit,
    UnknownKind,
};
pub use usd::Usd;
