//! The JSON Schema of a Rust type, in the subset that the strict modes of providers accept.

use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::transform_subschemas};
use serde_json::Value;

/// The JSON Schema (draft 2020-12) that [`Ask::json`](super::Ask::json) sends for `T`.
///
/// It is limited to what the strict modes of providers accept: no references except in recursive
/// types, no unknown properties, all properties required (an `Option` may be `null`), `anyOf` for
/// alternatives, no number formats. Doc comments become descriptions, which models read.
pub fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    strict(&mut schema);
    schema.to_value()
}

/// The formats that strict modes know. They reject a schema with any other (`uint32`, `double`).
const FORMATS: [&str; 9] =
    ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"];

fn strict(schema: &mut Schema) {
    let known_format =
        schema.get("format").and_then(Value::as_str).is_some_and(|name| FORMATS.contains(&name));
    if !known_format {
        schema.remove("format");
    }
    schema.remove("default");
    // The alternatives of an enum exclude each other, so that `oneOf` and `anyOf` are equivalent.
    // Strict modes know only `anyOf`.
    if !schema.as_object().is_some_and(|object| object.contains_key("anyOf"))
        && let Some(choices) = schema.remove("oneOf")
    {
        schema.insert("anyOf".to_owned(), choices);
    }
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let names: Vec<Value> = properties.keys().cloned().map(Value::String).collect();
        schema.insert("required".to_owned(), Value::Array(names));
        if schema.get("additionalProperties").is_none() {
            schema.insert("additionalProperties".to_owned(), Value::Bool(false));
        }
    }
    transform_subschemas(&mut strict, schema);
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Deserialize, JsonSchema)]
    #[allow(dead_code, reason = "only its schema matters")]
    struct Plan {
        /// The headline of the page.
        headline: String,
        subline: Option<String>,
        #[serde(default)]
        sections: Vec<Section>,
        mood: Mood,
        stars: u32,
    }

    #[derive(Deserialize, JsonSchema)]
    #[allow(dead_code, reason = "only its schema matters")]
    struct Section {
        title: String,
        link: Option<Link>,
    }

    #[derive(Deserialize, JsonSchema)]
    #[allow(dead_code, reason = "only its schema matters")]
    struct Link {
        path: String,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    #[allow(dead_code, reason = "only its schema matters")]
    enum Mood {
        /// Calm colours.
        Calm,
        /// Loud colours.
        Loud,
    }

    #[test]
    fn every_object_is_closed_and_every_property_required() {
        assert_eq!(
            schema_of::<Plan>(),
            json!({
                "title": "Plan",
                "type": "object",
                "properties": {
                    "headline": { "description": "The headline of the page.", "type": "string" },
                    "subline": { "type": ["string", "null"] },
                    "sections": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "title": { "type": "string" },
                                "link": {
                                    "type": ["object", "null"],
                                    "properties": { "path": { "type": "string" } },
                                    "required": ["path"],
                                    "additionalProperties": false
                                }
                            },
                            "required": ["title", "link"],
                            "additionalProperties": false
                        }
                    },
                    "mood": {
                        "anyOf": [
                            { "description": "Calm colours.", "type": "string", "const": "calm" },
                            { "description": "Loud colours.", "type": "string", "const": "loud" }
                        ]
                    },
                    "stars": { "type": "integer", "minimum": 0 }
                },
                "required": ["headline", "subline", "sections", "mood", "stars"],
                "additionalProperties": false
            })
        );
    }
}
