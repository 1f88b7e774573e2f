//! Texts that a stream sends in pieces, each in an event of its own.

use std::collections::BTreeMap;

use serde_json::Value;

/// The texts of the excerpt of a stream: for each field of its events, what all events have there.
/// Empty if the excerpt is not of a stream. Only for excerpts: every line is parsed.
pub(super) fn joined(excerpt: &str) -> Vec<String> {
    let mut texts = BTreeMap::new();
    let mut events = 0;
    for line in excerpt.lines() {
        let line = line.strip_prefix("data:").unwrap_or(line).trim();
        // The last line may be cut.
        if line.starts_with(['{', '['])
            && let Ok(event) = serde_json::from_str::<Value>(line)
        {
            events += 1;
            collect(&event, &mut String::new(), &mut texts);
        }
    }
    if events < 2 { Vec::new() } else { texts.into_values().collect() }
}

/// Adds each text of the value to those of its field.
fn collect(value: &Value, path: &mut String, texts: &mut BTreeMap<String, String>) {
    match value {
        Value::String(text) => match texts.get_mut(path.as_str()) {
            Some(before) => before.push_str(text),
            None => drop(texts.insert(path.clone(), text.clone())),
        },
        Value::Array(values) => values.iter().for_each(|value| collect(value, path, texts)),
        Value::Object(fields) => {
            let length = path.len();
            for (name, value) in fields {
                path.push('/');
                path.push_str(name);
                collect(value, path, texts);
                path.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
