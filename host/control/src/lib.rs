//! What people and programs do with orders of the queue, whoever asks: the command line and the
//! HTTP API call the same functions, so that both answer alike.
//!
//! | file | what it answers |
//! |---|---|
//! | `document` | is a document an order? |
//! | `languages` | does the template of an order write its language? |
//! | `submit` | how is an order added, and what if the queue has it already? |
//! | `conformance` | what did the conformance suite say of a template? |
//! | `detail` | what is known about one order? |
//! | `erase` | how is everything of an order removed, in database and sites? |
//! | `files` | which files of an order are removed? |
//! | `releases/` | which releases has an order, what differs, and which one is current? |
//! | `metrics` | how is the queue at this moment, and what has this process done? |
//! | `token` | how is a token of the HTTP API made and recognized? |
//! | `error` | what can fail? |
//!
//! **Invariant:** it does not know who asks: no arguments, no HTTP, no text for a terminal.
//!
//! **Invariant:** it runs no template and makes no AI call: no wasmtime, no gateway.

mod conformance;
mod detail;
mod document;
mod erase;
mod error;
mod files;
mod languages;
mod metrics;
mod releases;
mod submit;
mod token;

pub use conformance::{Conformance, ConformanceRemark, ConformanceRules, read_conformance};
pub use detail::{LastFailure, OrderDetail};
pub use document::{Document, Reading, editable, read};
pub use erase::{Erased, erase};
pub use error::Error;
pub use files::{remove_failures, remove_order_files};
pub use languages::{FindLanguages, Languages};
pub use metrics::{CountListeners, metrics_of_process, metrics_of_queue, read_metrics};
pub use releases::{
    DiffLine, FileChange, FileDiff, FileNote, LineChange, ReleaseDiff, activate_release,
    choose_release, compare, parse_ids, release, release_store, releases,
};
pub use sitewright_intake::TemplateLanguages;
pub use submit::{
    Difference, Part, Submission, SubmissionOutcome, SubmissionReport, Submitted, different_fields,
    sent_digest, submit,
};
pub use token::{TOKEN_PREFIX, digest_of, new_token, without_tokens};
