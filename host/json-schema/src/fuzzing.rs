//! The invariant of the guard, for tests and fuzz targets: the validator's own steps, counted with a
//! keyword of ours, are never more than the bound that was computed before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jsonschema::paths::Location;
use jsonschema::{Keyword, ValidationError};
use serde_json::{Map, Value};

use super::cost::{Cost, Steps};
use super::shape::Shape;

/// Checks with more steps are not done: they would only be slow.
const MAX_STEPS: u64 = 20_000_000;

/// Compiles a schema and checks a document, which follows it after a zero byte.
///
/// # Panics
/// If the check takes more steps than its bound.
pub fn schemas(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let mut next = || serde_json::from_slice::<Value>(parts.next()?).ok();
    let (Some(schema), Some(document)) = (next(), next()) else { return };
    assert_bounded(&marked(schema), &document);
}

/// A keyword that counts how often it is applied.
struct Counting(Arc<AtomicU64>);

impl<'i> Keyword<'i> for Counting {
    fn validate(&self, _: &'i Value) -> Result<(), ValidationError<'i>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn is_valid(&self, _: &'i Value) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        true
    }
}

/// How often the validator applies a subschema to a value, and how many problems it collects.
#[derive(Debug)]
struct Counted {
    validity: u64,
    problems: u64,
    found: u64,
}

/// What a factory of keywords returns.
type Made<'a> = Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>>;

fn counting(
    count: Arc<AtomicU64>,
) -> impl for<'a> Fn(&'a Map<String, Value>, &'a Value, Location) -> Made<'a> {
    move |_, _, _| Ok(Box::new(Counting(count.clone())))
}

fn counted(schema: &Value, document: &Value) -> Option<Counted> {
    let count = Arc::new(AtomicU64::new(0));
    let validator = jsonschema::options()
        .offline()
        .should_validate_formats(false)
        .with_keyword("x-step", counting(count.clone()))
        .build(schema)
        .ok()?;
    let _valid = validator.is_valid(document);
    let validity = count.swap(0, Ordering::Relaxed);
    let found = validator.iter_errors(document).count() as u64;
    Some(Counted { validity, problems: count.load(Ordering::Relaxed), found })
}

pub(crate) fn steps(schema: &Value, document: &Value) -> Option<Steps> {
    Cost::of(schema)?.steps(&Shape::of(&document.to_string())?)
}

/// Asserts that the bound of a check, if there is one, is above what the validator does. Each
/// application of a subschema counts as at least 8 steps.
///
/// # Panics
/// If it is not.
pub(crate) fn assert_bounded(schema: &Value, document: &Value) {
    let Some(steps) = steps(schema, document) else { return };
    if steps.validity > MAX_STEPS {
        return;
    }
    let Some(counted) = counted(schema, document) else { return };
    let fits = counted.validity * 8 <= steps.validity
        && counted.problems * 8 <= steps.problems
        && counted.found <= steps.found;
    assert!(fits, "{counted:?} is more than {steps:?} for {schema} and {document}");
}

/// Marks every object that may be a schema, so that its applications are counted.
pub(crate) fn marked(schema: Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let mut fields: Map<String, Value> = fields
                .into_iter()
                .map(|(name, value)| {
                    let value = match (name.as_str(), value) {
                        (
                            "properties" | "patternProperties" | "dependentSchemas"
                            | "dependencies" | "$defs",
                            Value::Object(parts),
                        ) => parts.into_iter().map(|(name, part)| (name, marked(part))).collect(),
                        ("enum" | "const" | "required", value) => value,
                        (_, value) => marked(value),
                    };
                    (name, value)
                })
                .collect();
            fields.insert("x-step".to_owned(), true.into());
            Value::Object(fields)
        }
        Value::Array(parts) => parts.into_iter().map(marked).collect(),
        other => other,
    }
}
