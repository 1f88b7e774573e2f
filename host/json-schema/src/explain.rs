//! The validator's errors as messages for people.

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;
use sitewright_order::{Problem, child, excerpt};

/// Maximum number of forms of which a message says why they do not fit.
const MAX_REASONS: usize = 16;

/// Maximum number of choices that a message names.
const MAX_CHOICES: usize = 100;

/// Converts one error into one or more problems, each at the field that has to change.
pub(super) fn problems(error: &ValidationError<'_>) -> Vec<Problem> {
    let at = error.instance_path().as_str();
    let found = || excerpt(error.instance());
    let here = |message: String| vec![Problem::new(at, message)];
    match error.kind() {
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![Problem::new(child(at, name), format!("`{name}` is missing"))]
        }
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            unexpected
                .iter()
                .map(|name| {
                    Problem::new(
                        child(at, name),
                        format!("`{name}` is not a field that is known here; remove it"),
                    )
                })
                .collect()
        }
        Kind::AdditionalItems { limit } => {
            here(format!("has too many entries; at most {limit} are allowed"))
        }
        Kind::UnevaluatedItems { .. } => {
            here("has entries that are not allowed; remove them".to_owned())
        }
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => one_of(error, context),
        Kind::OneOfMultipleValid { .. } => here(
            "fits more than one of the forms that exclude each other; leave out what belongs to \
             the other"
                .to_owned(),
        ),
        Kind::PropertyNames { error } => {
            let inner = problems(error)
                .into_iter()
                .next()
                .map(|problem| problem.message)
                .unwrap_or_default();
            here(format!("has a field whose name is not allowed: {inner}"))
        }
        Kind::Type { kind } => {
            here(format!("must be {}, but is {}", types(kind), described(error.instance())))
        }
        Kind::Enum { options } => {
            here(format!("must be one of {}, but is {}", choices(options), found()))
        }
        Kind::Constant { expected_value } => {
            here(format!("must be {}, but is {}", excerpt(expected_value), found()))
        }
        Kind::Pattern { pattern } => {
            here(format!("must match the pattern `{pattern}`, which {} does not", found()))
        }
        Kind::Format { format } => {
            here(format!("must be of the format `{format}`, but is {}", found()))
        }
        Kind::MinLength { limit: 1 } => here("is empty; it must hold text".to_owned()),
        Kind::MinLength { limit } => {
            here(format!("must have at least {limit} characters, but has {}", length(error)))
        }
        Kind::MaxLength { limit } => {
            here(format!("must have at most {limit} characters, but has {}", length(error)))
        }
        Kind::MinItems { limit } => {
            here(format!("must have at least {limit} entries, but has {}", length(error)))
        }
        Kind::MaxItems { limit } => {
            here(format!("must have at most {limit} entries, but has {}", length(error)))
        }
        Kind::MinProperties { limit } => {
            here(format!("must have at least {limit} fields, but has {}", length(error)))
        }
        Kind::MaxProperties { limit } => {
            here(format!("must have at most {limit} fields, but has {}", length(error)))
        }
        Kind::Minimum { limit } => here(format!("must be at least {limit}, but is {}", found())),
        Kind::Maximum { limit } => here(format!("must be at most {limit}, but is {}", found())),
        Kind::ExclusiveMinimum { limit } => {
            here(format!("must be more than {limit}, but is {}", found()))
        }
        Kind::ExclusiveMaximum { limit } => {
            here(format!("must be less than {limit}, but is {}", found()))
        }
        Kind::MultipleOf { multiple_of } => {
            here(format!("must be a multiple of {multiple_of}, but is {}", found()))
        }
        Kind::UniqueItems => {
            here("has the same entry more than once; each may occur once".to_owned())
        }
        Kind::Contains => here("has none of the entries that it must have".to_owned()),
        Kind::FalseSchema => here("is not allowed here; remove it".to_owned()),
        Kind::Not { .. } => here(format!("is {}, which is not allowed here", found())),
        Kind::Custom { message, .. } => here(message.clone()),
        // The others are about encodings and the engine. Its message is used without the value.
        other => here(format!(
            "breaks the rule `{}`: {}",
            other.keyword(),
            error.masked_with("the value")
        )),
    }
}

/// The problems of the alternative that was probably meant: the only one with a matching type. If
/// none or several match, all are named.
fn one_of(error: &ValidationError<'_>, forms: &[Vec<ValidationError<'static>>]) -> Vec<Problem> {
    let at = error.instance_path().as_str();
    let is_wrong_kind = |error: &ValidationError<'_>| {
        let kind =
            matches!(error.kind(), Kind::Type { .. } | Kind::Constant { .. } | Kind::Enum { .. });
        // A different `"type": "…"` or `"kind": "…"` inside an object also means that another
        // alternative was meant.
        let inside = error.instance_path().as_str().strip_prefix(at).unwrap_or_default();
        kind && (inside.is_empty()
            || (matches!(error.kind(), Kind::Constant { .. }) && inside.matches('/').count() == 1))
    };
    let meant: Vec<_> = forms.iter().filter(|errors| !errors.iter().any(is_wrong_kind)).collect();
    if let [errors] = meant.as_slice()
        && !errors.is_empty()
    {
        return errors.iter().flat_map(problems).collect();
    }
    let mut reasons: Vec<String> = Vec::new();
    let mut others = 0_usize;
    for problem in forms
        .iter()
        .filter_map(|errors| errors.first())
        .flat_map(|error| problems(error).into_iter().take(1))
    {
        if reasons.len() == MAX_REASONS {
            others += 1;
            continue;
        }
        let inside = problem.pointer.strip_prefix(at).unwrap_or(&problem.pointer);
        let reason = if inside.is_empty() {
            problem.message
        } else {
            format!("`{inside}` {}", problem.message)
        };
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    let more = match others {
        0 => String::new(),
        others => format!("; and {others} more"),
    };
    vec![Problem::new(
        at,
        format!("fits none of the {} allowed forms: {}{more}", forms.len(), reasons.join("; or ")),
    )]
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => named(*one).to_owned(),
        TypeKind::Multiple(several) => several.iter().map(named).collect::<Vec<_>>().join(" or "),
    }
}

fn named(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Null => "`null`",
        JsonType::Boolean => "`true` or `false`",
        JsonType::Integer => "a whole number",
        JsonType::Number => "a number",
        JsonType::String => "a text",
        JsonType::Array => "a list",
        JsonType::Object => "an object",
    }
}

/// The value with its type, to distinguish `"5"` from `5`.
fn described(value: &Value) -> String {
    let kind = match value {
        Value::Number(_) => "the number ",
        Value::String(_) => "the text ",
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => "",
    };
    format!("{kind}{}", excerpt(value))
}

fn choices(options: &Value) -> String {
    match options {
        Value::Array(options) => {
            let named =
                options.iter().take(MAX_CHOICES).map(excerpt).collect::<Vec<_>>().join(", ");
            match options.len().saturating_sub(MAX_CHOICES) {
                0 => named,
                others => format!("{named} and {others} more"),
            }
        }
        other => excerpt(other),
    }
}

fn length(error: &ValidationError<'_>) -> usize {
    match error.instance().as_ref() {
        Value::String(text) => text.chars().count(),
        Value::Array(entries) => entries.len(),
        Value::Object(fields) => fields.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}
