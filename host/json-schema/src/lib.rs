//! JSON Schemas of others (templates, AI requests), compiled once, with problems written for
//! people.
//!
//! | file | question |
//! |---|---|
//! | `lib` | which schemas are accepted, and is a value valid? |
//! | `guarded` | where is a schema of a stranger compiled and checked, and what may that cost? |
//! | `cost` | how many steps does a check take at most? |
//! | `shape` | how deep and how large is a JSON text? |
//! | `fan_out` | how large is a schema if all its references are followed? |
//! | `explain` | how is a problem worded, and at which field? |
//! | `task` | what does the confined process do? |
//!
//! **Invariant:** a schema of a stranger is checked in this process only if the number of steps is
//! known to be small before the check begins. Everything else is done by a confined process with
//! limits of CPU time and memory, see [`GuardedSchema`].
//!
//! **Invariant:** no network, no files, patterns in linear time.
//!
//! **Invariant:** this crate does not know who wrote a schema or what a value is for. The caller
//! limits the sizes of both.

mod cost;
mod explain;
mod fan_out;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod guarded;
mod shape;
mod task;
#[cfg(test)]
mod tests;

use cost::Cost;
pub use guarded::{CHECK_CPU, CHECK_MEMORY_BYTES, CheckError, Exceeded, GuardedSchema};
use jsonschema::{PatternOptions, ReferencingError, ValidationError, Validator};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shape::Shape;
pub use sitewright_order::Problem;
pub use task::TASK;

/// Maximum number of problems that [`CompiledSchema::check`] reports.
pub const MAX_PROBLEMS: usize = 100;

/// Maximum bytes of a problem's pointer, and of its message.
const MAX_PROBLEM_BYTES: usize = 1 << 10;

/// Maximum size of one compiled `pattern` in bytes, to bound the host's memory.
const MAX_PATTERN: usize = 1 << 20;

/// Maximum number of patterns in one schema, for the same reason.
pub const MAX_PATTERNS: usize = 100;

/// Maximum bytes of problems that are collected, as computed before the check. The computed size
/// assumes that each keyword finds a problem in each value; the true one is a tenth of it.
const MAX_COLLECTED_BYTES: u64 = 1 << 30;

/// Maximum number of parts of a schema with every reference followed. The cost of checking a short
/// schema that refers to each of its parts twice would grow exponentially.
pub const MAX_FAN_OUT: u64 = 100_000;

/// A JSON Schema (draft 2020-12 unless its `$schema` names another known draft), ready to check
/// values in this process and on this thread.
///
/// For schemas of this program. Those of strangers belong into a [`GuardedSchema`], because a short
/// one can take very long to compile and to check. It never reads a file or the network, and its
/// patterns run in linear time. Checking needs no lock. `format` is an annotation in every draft,
/// and is not checked.
#[derive(Debug)]
pub struct CompiledSchema {
    validator: Validator,
    /// The number of regular expressions.
    patterns: usize,
    /// The cost of its checks, if it is known.
    cost: Option<Cost>,
}

/// Why a text is not a usable JSON Schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum SchemaError {
    /// It is not JSON.
    #[error("the JSON Schema is not JSON: {reason} (line {line}, column {column})")]
    NotJson {
        /// The parser's message, without the position.
        reason: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// It refers to another document. Nothing is ever fetched.
    #[error(
        "the JSON Schema refers to `{uri}`, which is outside of it, and nothing is ever fetched; \
         put the schema under `$defs` and refer to it with `#/$defs/…`"
    )]
    Remote { uri: String },
    /// It is not valid in its draft, or exceeds a limit of this crate.
    #[error("the JSON Schema is not valid at `{pointer}`: {reason}")]
    Invalid {
        /// JSON pointer into the schema; `/` is the whole schema.
        pointer: String,
        /// Not empty.
        reason: String,
    },
    /// Compiling it exceeded a limit.
    #[error("the JSON Schema cannot be used: compiling it took {0}; write a smaller one")]
    TooCostly(Exceeded),
    /// It could not be compiled, for a reason that has nothing to do with it.
    #[error("the JSON Schema could not be compiled: {0}")]
    Host(String),
}

impl CompiledSchema {
    /// Compiles the text of a JSON Schema. The caller must limit its size.
    ///
    /// # Errors
    /// The text is not JSON or not a schema, refers to something outside of it, or exceeds a limit.
    pub fn compile(text: &str) -> Result<Self, SchemaError> {
        Self::of(&parse(text)?)
    }

    /// Compiles a JSON Schema. The caller must limit its size.
    ///
    /// # Errors
    /// The value is not a schema, refers to something outside of it, or exceeds a limit.
    pub fn of(schema: &Value) -> Result<Self, SchemaError> {
        Self::with_cost(schema, Cost::of(schema))
    }

    fn with_cost(schema: &Value, cost: Option<Cost>) -> Result<Self, SchemaError> {
        let patterns = patterns(schema);
        if patterns > MAX_PATTERNS {
            return Err(SchemaError::Invalid {
                pointer: "/".to_owned(),
                reason: format!("it has {patterns} patterns; at most {MAX_PATTERNS} are allowed"),
            });
        }
        if fan_out::of(schema) > MAX_FAN_OUT {
            return Err(SchemaError::Invalid {
                pointer: "/".to_owned(),
                reason: format!(
                    "its references fan out to more than {MAX_FAN_OUT} parts when they are \
                     followed; refer to a part less often"
                ),
            });
        }
        let limits = PatternOptions::regex().size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN);
        jsonschema::options()
            .offline()
            .with_pattern_options(limits)
            .should_validate_formats(false)
            .build(schema)
            .map(|validator| CompiledSchema { validator, patterns, cost })
            .map_err(|error| unusable(&error))
    }

    /// Whether it has regular expressions, which may take a megabyte each.
    fn has_patterns(&self) -> bool {
        self.patterns > 0
    }

    /// The problems of a value, at most [`MAX_PROBLEMS`]. Empty if it is valid. If there may be far
    /// more than that, a single one says so: the validator collects all before it returns the
    /// first, and a value with a problem in each of its half a million entries is short.
    pub fn check(&self, value: &Value) -> Vec<Problem> {
        let steps = self.cost.as_ref().and_then(|cost| cost.steps(&Shape::of_value(value)));
        if steps.is_some_and(|steps| steps.found_bytes > MAX_COLLECTED_BYTES) {
            if self.accepts(value) {
                return Vec::new();
            }
            let message = "is large and has too many problems to list them; shorten its lists, or \
                           correct one kind of entry at a time";
            return vec![Problem::new("", message)];
        }
        let errors = self.validator.iter_errors(value);
        errors
            .flat_map(|error| explain::problems(&error))
            .take(MAX_PROBLEMS)
            .map(|problem| Problem::new(cut(problem.pointer), cut(problem.message)))
            .collect()
    }

    /// Whether a value is valid. Faster than [`check`](Self::check).
    pub fn accepts(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }
}

/// The text of a problem, at most 1 KiB and an ellipsis: names of fields are as long as a document
/// may be, and each problem repeats them.
pub fn cut(mut text: String) -> String {
    if text.len() > MAX_PROBLEM_BYTES {
        text.truncate(text.floor_char_boundary(MAX_PROBLEM_BYTES));
        text.push_str("...");
    }
    text
}

/// Parses the text of a schema.
///
/// # Errors
/// [`SchemaError::NotJson`].
pub fn parse(text: &str) -> Result<Value, SchemaError> {
    serde_json::from_str(text).map_err(|error| SchemaError::NotJson {
        reason: parser_reason(&error),
        line: error.line(),
        column: error.column(),
    })
}

/// An upper bound of the number of regular expressions: examples that look like one count too.
fn patterns(schema: &Value) -> usize {
    match schema {
        Value::Array(entries) => entries.iter().map(patterns).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| {
                patterns(value)
                    + match (name.as_str(), value) {
                        ("pattern", Value::String(_)) => 1,
                        ("patternProperties", Value::Object(patterns)) => patterns.len(),
                        _ => 0,
                    }
            })
            .sum(),
        _ => 0,
    }
}

/// The message of a serde_json error without its position.
pub fn parser_reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(reason, _)| reason.to_owned())
}

fn unusable(error: &ValidationError<'_>) -> SchemaError {
    use jsonschema::error::ValidationErrorKind as Kind;
    let invalid = |pointer: &str, reason: String| SchemaError::Invalid {
        pointer: if pointer.is_empty() { "/".to_owned() } else { pointer.to_owned() },
        reason,
    };
    match error.kind() {
        Kind::Referencing(
            ReferencingError::Unretrievable { uri, .. }
            | ReferencingError::UnknownSpecification { specification: uri },
        ) => SchemaError::Remote { uri: uri.clone() },
        Kind::Referencing(ReferencingError::PointerToNowhere { pointer }) => {
            invalid("", format!("it refers to `#{pointer}`, which is not in it"))
        }
        Kind::Format { format } if format == "regex" => {
            let found = sitewright_order::excerpt(error.instance());
            let rule = "patterns are regular expressions without look-around and back-references";
            invalid(error.instance_path().as_str(), format!("{found} is not a pattern; {rule}"))
        }
        _ => match explain::problems(error).into_iter().next() {
            Some(problem) => invalid(&problem.pointer, problem.message),
            None => invalid(
                error.instance_path().as_str(),
                format!("it breaks the rule `{}`", error.kind().keyword()),
            ),
        },
    }
}
