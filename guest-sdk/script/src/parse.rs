//! Parsing and validation of the TOML form of a script.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::sample::Sample;
use crate::{Action, ConnectionFault, Fault, Rule, ScriptError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    purpose: Option<String>,
    #[serde(default)]
    contains: Vec<String>,
    times: Option<u32>,
    #[serde(default)]
    delay_ms: u64,
    answer: RawAnswer,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnswer {
    text: Option<String>,
    json: Option<toml::Value>,
    json_text: Option<String>,
    from_schema: Option<RawSample>,
    fault: Option<RawFault>,
}

/// `true` is an alias of `"smallest"`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "true, or \"smallest\", \"full\", \"hostile\" or \"off\"")]
enum RawSample {
    Flag(bool),
    Named(Sample),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFault {
    status: Option<u16>,
    body: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    cut: Option<String>,
    garbage: Option<String>,
    empty: Option<bool>,
    refused: Option<bool>,
    hang: Option<bool>,
    connection: Option<ConnectionFault>,
}

/// An error in a field, before the rule's number is known.
struct Problem {
    field: &'static str,
    problem: String,
}

fn problem(field: &'static str, problem: impl Into<String>) -> Problem {
    Problem { field, problem: problem.into() }
}

pub(crate) fn rules(text: &str) -> Result<Vec<Rule>, ScriptError> {
    let mut document: toml::Table =
        text.parse().map_err(|error: toml::de::Error| ScriptError::Syntax(error.to_string()))?;
    let rules = match document.remove("rule") {
        Some(toml::Value::Array(rules)) if !rules.is_empty() => rules,
        Some(toml::Value::Array(_)) | None => {
            return Err(ScriptError::Document(
                "there is no rule; write at least one [[rule]]".to_owned(),
            ));
        }
        Some(_) => {
            return Err(ScriptError::Document("`rule` is not a list; write [[rule]]".to_owned()));
        }
    };
    if let Some(key) = document.keys().next() {
        return Err(ScriptError::Document(format!(
            "the key `{key}` is unknown; a script has only [[rule]]"
        )));
    }
    rules.into_iter().enumerate().map(|(index, raw)| checked(index + 1, raw)).collect()
}

fn checked(number: usize, raw: toml::Value) -> Result<Rule, ScriptError> {
    let raw = named_fields(number, raw)?;
    rule(raw).map_err(|Problem { field, problem }| ScriptError::Rule {
        rule: number,
        field: field.to_owned(),
        problem,
    })
}

/// Deserializes a rule. The fields are deserialized one by one before, because the message of serde
/// does not name the field.
fn named_fields(number: usize, raw: toml::Value) -> Result<RawRule, ScriptError> {
    let field = |field: &str, problem: String| ScriptError::Rule {
        rule: number,
        field: field.to_owned(),
        problem,
    };
    let Some(table) = raw.as_table() else {
        return Err(field("rule", "is not a table; write [[rule]]".to_owned()));
    };
    let Some(answer) = table.get("answer") else {
        return Err(field(
            "answer",
            "is missing; say what to answer: answer = { text = \"...\" }".to_owned(),
        ));
    };
    let message = |error: toml::de::Error| error.to_string().trim().replace('\n', " ");
    if let Some(fault) = answer.get("fault") {
        RawFault::deserialize(fault.clone())
            .map_err(|error| field("answer.fault", message(error)))?;
    }
    RawAnswer::deserialize(answer.clone()).map_err(|error| field("answer", message(error)))?;
    for (key, value) in table.iter().filter(|(key, _)| *key != "answer") {
        let alone = toml::Table::from_iter([
            (key.clone(), value.clone()),
            ("answer".to_owned(), toml::Value::Table(toml::Table::new())),
        ]);
        RawRule::deserialize(toml::Value::Table(alone))
            .map_err(|error| field(key, message(error)))?;
    }
    RawRule::deserialize(raw).map_err(|error| field("rule", message(error)))
}

fn rule(raw: RawRule) -> Result<Rule, Problem> {
    if raw.times == Some(0) {
        return Err(problem(
            "times",
            "is 0, so the rule never answers; leave it out or give at least 1",
        ));
    }
    if raw.contains.iter().any(String::is_empty) {
        return Err(problem("contains", "holds an empty text, which occurs everywhere; remove it"));
    }
    Ok(Rule {
        purpose: raw.purpose,
        contains: raw.contains,
        times: raw.times,
        calls: AtomicU32::new(0),
        delay: Duration::from_millis(raw.delay_ms),
        action: action(raw.answer)?,
    })
}

fn action(raw: RawAnswer) -> Result<Action, Problem> {
    let RawAnswer { text, json, json_text, from_schema, fault } = raw;
    match (text, json, json_text, from_schema, fault) {
        (Some(text), None, None, None, None) => Ok(Action::Text(text)),
        (None, Some(value), None, None, None) => Ok(Action::Text(json_value(value)?.to_string())),
        (None, None, Some(text), None, None) => match serde_json::from_str::<Value>(&text) {
            Ok(_) => Ok(Action::Text(text)),
            Err(error) => Err(problem(
                "answer.json_text",
                format!("is not JSON: {error}; use `text` for an answer that is meant to be wrong"),
            )),
        },
        (None, None, None, Some(RawSample::Flag(true)), None) => {
            Ok(Action::FromSchema(Sample::Smallest))
        }
        (None, None, None, Some(RawSample::Named(sample)), None) => Ok(Action::FromSchema(sample)),
        (None, None, None, Some(RawSample::Flag(false)), None) => {
            Err(problem("answer.from_schema", "is false; leave it out or write true"))
        }
        (None, None, None, None, Some(raw)) => Ok(Action::Fault(fault_of(raw)?)),
        _ => Err(problem(
            "answer",
            "needs exactly one of `text`, `json`, `json_text`, `from_schema`, `fault`",
        )),
    }
}

fn fault_of(raw: RawFault) -> Result<Fault, Problem> {
    let RawFault { status, body, headers, cut, garbage, empty, refused, hang, connection } = raw;
    if status.is_none() && (body.is_some() || headers.is_some()) {
        return Err(problem(
            "answer.fault",
            "has `body` or `headers` without the `status` they belong to",
        ));
    }
    for (name, flag) in [("empty", empty), ("refused", refused), ("hang", hang)] {
        if flag == Some(false) {
            return Err(problem(
                "answer.fault",
                format!("`{name}` is false; leave it out or write true"),
            ));
        }
    }
    let mut faults = Vec::new();
    if let Some(status) = status {
        if !(300..=599).contains(&status) {
            return Err(problem(
                "answer.fault",
                format!("`status` is {status}; a failing one is 300 to 599"),
            ));
        }
        faults.push(Fault::Status {
            status,
            body: body.unwrap_or_default(),
            headers: headers.unwrap_or_default(),
        });
    }
    faults.extend(cut.map(Fault::Cut));
    faults.extend(garbage.map(Fault::Garbage));
    faults.extend(empty.map(|_| Fault::Empty));
    faults.extend(refused.map(|_| Fault::Refused));
    faults.extend(hang.map(|_| Fault::Hang));
    faults.extend(connection.map(Fault::Connection));
    match (faults.pop(), faults.is_empty()) {
        (Some(fault), true) => Ok(fault),
        _ => Err(problem(
            "answer.fault",
            "needs exactly one of `status`, `cut`, `garbage`, `empty`, `refused`, `hang`, \
             `connection`",
        )),
    }
}

/// Converts a TOML value to JSON. Dates become texts.
fn json_value(value: toml::Value) -> Result<Value, Problem> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => {
            serde_json::Number::from_f64(number).map(Value::Number).ok_or_else(|| {
                problem("answer.json", format!("holds {number}, which JSON cannot express"))
            })?
        }
        toml::Value::Boolean(flag) => Value::Bool(flag),
        toml::Value::Datetime(date) => Value::String(date.to_string()),
        toml::Value::Array(items) => {
            Value::Array(items.into_iter().map(json_value).collect::<Result<_, _>>()?)
        }
        toml::Value::Table(table) => Value::Object(
            table
                .into_iter()
                .map(|(key, value)| Ok((key, json_value(value)?)))
                .collect::<Result<_, Problem>>()?,
        ),
    })
}
