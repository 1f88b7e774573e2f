//! JSON Schemas written by others (templates, AI requests), compiled once, whose complaints are
//! written for people.

mod explain;
mod fan_out;
#[cfg(test)]
mod tests;

use jsonschema::{PatternOptions, ReferencingError, ValidationError, Validator};
use serde_json::Value;
pub use sitewright_order::Problem;

/// Most problems that [`CompiledSchema::check`] reports: a list of a million wrong entries needs no
/// million lines.
pub const MAX_PROBLEMS: usize = 100;

/// Most bytes one compiled `pattern` may take: no schema makes the host's memory its own.
const MAX_PATTERN: usize = 1 << 20;

/// Most patterns in one schema, for the same reason.
pub const MAX_PATTERNS: usize = 100;

/// Most parts of a schema when every reference is followed. A short schema that refers to each of
/// its parts twice would take time and memory without end to check.
pub const MAX_FAN_OUT: u64 = 100_000;

/// Parts of a schema times bytes of a value that are held against each other in less than a few
/// milliseconds.
const QUICK: u64 = 200_000;

/// A JSON Schema (draft 2020-12 unless its `$schema` names another known draft), ready to check
/// values.
///
/// It never reads a file or the network, and its patterns run in linear time, so a schema from
/// anywhere may be compiled. Safe to share between tasks; checking needs no lock. `format` is a
/// remark, as the draft says, not a check.
#[derive(Debug)]
pub struct CompiledSchema {
    validator: Validator,
    /// How many parts it has when nothing in it makes the time to check a value grow faster than
    /// the value.
    plain_parts: Option<u64>,
}

/// Why a text is no usable JSON Schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It is not JSON at all.
    #[error("the JSON Schema is not JSON: {reason} (line {line}, column {column})")]
    NotJson {
        /// What the parser met.
        reason: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// It refers to something outside itself, which is never fetched.
    #[error(
        "the JSON Schema refers to `{uri}`, which is outside of it, and nothing is ever fetched; \
         put the schema under `$defs` and refer to it with `#/$defs/…`"
    )]
    Remote {
        /// What it refers to.
        uri: String,
    },
    /// The draft does not allow it.
    #[error("the JSON Schema is not valid at `{pointer}`: {reason}")]
    Invalid {
        /// JSON pointer into the schema; `/` alone is the whole.
        pointer: String,
        /// What is wrong, never empty.
        reason: String,
    },
}

impl CompiledSchema {
    /// Compiles the text of a JSON Schema. Its size is for the caller to limit.
    ///
    /// # Errors
    /// [`SchemaError`] when the text is no JSON, no schema, or refers to something that is not in
    /// it.
    pub fn compile(text: &str) -> Result<Self, SchemaError> {
        Self::of(&parse(text)?)
    }

    /// Compiles a JSON Schema. Its size is for the caller to limit.
    ///
    /// # Errors
    /// [`SchemaError`] when the value is no schema, or refers to something that is not in it.
    pub fn of(schema: &Value) -> Result<Self, SchemaError> {
        let patterns = patterns(schema);
        if patterns > MAX_PATTERNS {
            return Err(SchemaError::Invalid {
                pointer: "/".to_owned(),
                reason: format!("it has {patterns} patterns; at most {MAX_PATTERNS} are allowed"),
            });
        }
        let parts = fan_out::of(schema);
        if parts > MAX_FAN_OUT {
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
            .build(schema)
            .map(|validator| CompiledSchema {
                validator,
                plain_parts: is_plain(schema).then_some(parts),
            })
            .map_err(|error| unusable(&error))
    }

    /// Whether a value whose text has so many bytes is checked in no time, whoever wrote the
    /// schema: on the runtime's threads then, since a change of threads costs more.
    pub fn is_quick(&self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.plain_parts.is_some_and(|parts| parts.max(1).saturating_mul(bytes) <= QUICK)
    }

    /// What is wrong with a value; nothing when it fits. At most [`MAX_PROBLEMS`].
    pub fn check(&self, value: &Value) -> Vec<Problem> {
        let errors = self.validator.iter_errors(value);
        errors.flat_map(|error| explain::problems(&error)).take(MAX_PROBLEMS).collect()
    }

    /// Whether a value fits; quicker than [`CompiledSchema::check`].
    pub fn accepts(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }
}

/// The value of a schema's text.
pub fn parse(text: &str) -> Result<Value, SchemaError> {
    serde_json::from_str(text).map_err(|error| SchemaError::NotJson {
        reason: parser_reason(&error),
        line: error.line(),
        column: error.column(),
    })
}

/// Whether each part is held against each value at most once: no references, which may lead back
/// and double on the way, nothing that asks what other parts said, and no regular expressions.
fn is_plain(schema: &Value) -> bool {
    match schema {
        Value::Array(entries) => entries.iter().all(is_plain),
        Value::Object(fields) => fields.iter().all(|(name, value)| {
            let costly = matches!(
                name.as_str(),
                "$ref"
                    | "$dynamicRef"
                    | "$recursiveRef"
                    | "pattern"
                    | "patternProperties"
                    | "unevaluatedProperties"
                    | "unevaluatedItems"
            );
            !costly && is_plain(value)
        }),
        _ => true,
    }
}

/// How many regular expressions a schema has, at most: an example that looks like one counts too.
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

/// What serde_json's parser met, without the place, which stands elsewhere.
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
