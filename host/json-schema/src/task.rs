//! What the confined process does: it compiles a schema and checks a document with it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sitewright_confined::Task;
use sitewright_order::Problem;

use super::{CompiledSchema, SchemaError, parser_reason};

/// The task of [`GuardedSchema`](super::GuardedSchema), for the program that runs confined tasks.
pub static TASK: Task = Task { name: "json-schema", run };

/// The input.
#[derive(Serialize, Deserialize)]
pub(super) struct Job<'a> {
    /// The text of the schema.
    #[serde(borrow)]
    pub(super) schema: Cow<'a, str>,
    /// The text of the document; `None` if the schema is only compiled.
    #[serde(borrow)]
    pub(super) document: Option<Cow<'a, str>>,
}

/// The output.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The problems of the document.
    Problems(Vec<Problem>),
    /// The document is not JSON: the parser's message.
    NotJson(String),
    /// The schema cannot be used.
    Unusable(SchemaError),
    /// The input was not a [`Job`], which is a bug.
    NotAJob(String),
}

fn run(input: &[u8]) -> Vec<u8> {
    let answer = match serde_json::from_slice::<Job<'_>>(input) {
        Ok(job) => answer(&job),
        Err(error) => Answer::NotAJob(error.to_string()),
    };
    // An empty answer is reported as a bug.
    serde_json::to_vec(&answer).unwrap_or_default()
}

fn answer(job: &Job<'_>) -> Answer {
    let schema = match CompiledSchema::compile(&job.schema) {
        Ok(schema) => schema,
        Err(error) => return Answer::Unusable(error),
    };
    let Some(document) = &job.document else { return Answer::Problems(Vec::new()) };
    match serde_json::from_str::<Value>(document) {
        Ok(value) => Answer::Problems(schema.check(&value)),
        Err(error) => Answer::NotJson(parser_reason(&error)),
    }
}
