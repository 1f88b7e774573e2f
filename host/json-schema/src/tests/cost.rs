//! The bound of a check holds.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::cost::Cost;
use crate::fuzzing::{assert_bounded, marked, steps};
use crate::shape::Shape;

const NAMES: [&str; 3] = ["a", "b", "c"];

fn keyword() -> impl Strategy<Value = (&'static str, Value)> {
    prop_oneof![
        proptest::sample::select(vec!["object", "array", "string", "integer", "null"])
            .prop_map(|name| ("type", name.into())),
        Just(("required", json!(["a", "b"]))),
        Just(("minItems", json!(2))),
        Just(("uniqueItems", json!(true))),
        Just(("maxLength", json!(1))),
        Just(("pattern", json!("^x"))),
        Just(("enum", json!(["x", 1, {"a": 1}]))),
        Just(("const", json!("x"))),
        Just(("minimum", json!(3))),
        Just(("multipleOf", json!(0.1))),
        Just(("additionalProperties", json!(false))),
        (0_usize..4).prop_map(|to| ("$ref", format!("#/$defs/{to}").into())),
    ]
}

fn object(fields: Vec<(&'static str, Value)>) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn subschema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        proptest::collection::vec(keyword(), 0..3).prop_map(object),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let several = proptest::collection::vec(inner.clone(), 1..4).prop_map(Value::Array);
        let named = proptest::collection::vec(inner.clone(), 3).prop_map(|parts| {
            Value::Object(NAMES.iter().map(|name| (*name).to_owned()).zip(parts).collect())
        });
        let applied = prop_oneof![
            (proptest::sample::select(vec!["allOf", "anyOf", "oneOf", "prefixItems"]), several),
            (
                proptest::sample::select(vec![
                    "not",
                    "if",
                    "then",
                    "else",
                    "items",
                    "contains",
                    "additionalProperties",
                    "propertyNames",
                ]),
                inner.clone(),
            ),
            (
                proptest::sample::select(vec![
                    "properties",
                    "patternProperties",
                    "dependentSchemas",
                ]),
                named,
            ),
        ];
        (proptest::collection::vec(applied, 1..4), proptest::collection::vec(keyword(), 0..3))
            .prop_map(|(applied, plain)| object(applied.into_iter().chain(plain).collect()))
    })
}

fn schema() -> impl Strategy<Value = Value> {
    (subschema(), proptest::collection::vec(subschema(), 4)).prop_map(|(root, parts)| {
        let mut root = match root {
            Value::Object(fields) => fields,
            other => Map::from_iter([("not".to_owned(), other)]),
        };
        let parts: Map<String, Value> =
            parts.into_iter().enumerate().map(|(at, part)| (at.to_string(), part)).collect();
        root.insert("$defs".to_owned(), Value::Object(parts));
        marked(Value::Object(root))
    })
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i8>().prop_map(Value::from),
        "[xy]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            proptest::collection::vec((proptest::sample::select(&NAMES[..]), inner), 0..4)
                .prop_map(object),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn c4_no_check_takes_more_steps_than_its_bound(schema in schema(), document in document()) {
        assert_bounded(&schema, &document);
    }

    /// Doubling a document at most doubles the bound.
    #[test]
    fn c4_the_bound_is_linear_in_the_document(schema in schema(), document in document()) {
        let once = json!([document]);
        let twice = json!([document, document]);
        if let (Some(once), Some(twice)) = (steps(&schema, &once), steps(&schema, &twice)) {
            prop_assert!(twice.validity <= 2 * once.validity + 1);
            prop_assert!(twice.problems <= 2 * once.problems + 1);
            prop_assert!(twice.found <= 2 * once.found);
        }
    }

    #[test]
    fn the_shape_of_a_text_is_that_of_its_value(document in document()) {
        let shape = Shape::of(&document.to_string()).unwrap();
        let pretty = Shape::of(&serde_json::to_string_pretty(&document).unwrap()).unwrap();
        prop_assert_eq!(shape.depth(), pretty.depth());
        let counts = |shape: &Shape| shape.levels().map(|level| level.values).collect::<Vec<_>>();
        prop_assert_eq!(counts(&shape), counts(&pretty));
        prop_assert!(shape.values() >= values(&document));
        let parsed = Shape::of_value(&document);
        // An empty list or object counts as one entry in the text.
        prop_assert!(shape.depth() - parsed.depth() <= 1);
        prop_assert!(parsed.values() >= values(&document));
        for (text, parsed) in shape.levels().zip(parsed.levels()) {
            prop_assert!(parsed.bytes_within * 8 >= text.bytes_within);
        }
    }
}

#[test]
fn the_longest_pointer_counts_names_only() {
    for (text, longest) in [
        ("[\"a long text\", 1]", 0),
        (r#"{"abc": "a long text", "a\"c": [1], "a": {"b": {}}}"#, 5),
        (r#"{"a": {"bb": {"ccc": ":"}}, "aaaaa": 1}"#, 9),
        ("{:]}\"", 0),
    ] {
        let shape = Shape::of(text).unwrap();
        assert_eq!(shape.longest_pointer() - 24 * (shape.depth() as u64 + 1), longest, "{text}");
    }
    assert_eq!(Shape::of(&"[".repeat(129)), None);
}

fn values(document: &Value) -> u64 {
    1 + match document {
        Value::Array(entries) => entries.iter().map(values).sum(),
        Value::Object(fields) => fields.values().map(|value| 1 + values(value)).sum(),
        _ => 0,
    }
}

/// A list in a list in a list, or the same with objects.
fn nested(depth: usize, within: fn(Value) -> Value) -> Value {
    (0..depth).fold(json!("x"), |value, _| within(value))
}

/// A name, what nests the document, and the schema.
type Family = (&'static str, fn(Value) -> Value, Value);

/// Families whose cost grows with the depth of the document or the length of the schema: counted
/// and bounded at every size at which there is a bound.
#[test]
fn c4_families_that_multiply_stay_within_their_bound() {
    let twice: [Family; 6] = [
        (
            "anyOf",
            |value| json!([value]),
            json!({
                "anyOf": [{ "items": { "$ref": "#" }, "maxItems": 0 }, { "items": { "$ref": "#" }, "type": ["array", "integer"] }],
            }),
        ),
        (
            "oneOf",
            |value| json!([value]),
            json!({
                "oneOf": [{ "items": { "$ref": "#" }, "maxItems": 0 }, { "items": { "$ref": "#" } }],
            }),
        ),
        (
            "not not",
            |value| json!({ "a": value }),
            json!({
                "not": { "not": { "properties": { "a": { "$ref": "#" } } } },
                "properties": { "a": { "$ref": "#" } },
            }),
        ),
        (
            "if",
            |value| json!({ "a": value }),
            json!({
                "if": { "properties": { "a": { "$ref": "#" } } },
                "then": { "properties": { "a": { "$ref": "#" } } },
                "else": { "properties": { "a": { "$ref": "#" } } },
            }),
        ),
        (
            "patternProperties",
            |value| json!({ "a": value }),
            json!({
                "patternProperties": { "^a": { "$ref": "#" }, "a$": { "$ref": "#" }, "a": { "$ref": "#" } },
            }),
        ),
        (
            "contains",
            |value| json!([value]),
            json!({
                "items": { "$ref": "#" }, "contains": { "$ref": "#" },
            }),
        ),
    ];
    for (name, within, schema) in twice {
        let schema = marked(schema);
        for depth in 0..12 {
            let document = nested(depth, within);
            assert!(steps(&schema, &document).is_some(), "{name} at {depth}");
            assert_bounded(&schema, &document);
        }
        // What multiplies at each level has no bound that is small enough, long before it matters.
        let deep = nested(100, within);
        assert!(steps(&schema, &deep).is_none_or(|steps| steps.validity > 1 << 20), "{name}");
    }
}

/// The costliest checks that are allowed in this process.
#[test]
fn c4_the_worst_check_in_this_process_is_short() {
    let forms = |count: usize| -> Value {
        (0..count).map(|at| json!({ "not": { "const": at } })).collect()
    };
    let mut checked = 0;
    for count in [1, 10, 100, 900] {
        for length in [1, 100, 10_000, 100_000] {
            let schema = marked(json!({ "items": { "allOf": forms(count) } }));
            let document = Value::Array(vec![json!(true); length]);
            let Some(steps) = steps(&schema, &document) else { continue };
            if steps.validity <= 20_000_000 {
                assert_bounded(&schema, &document);
                checked += 1;
            }
        }
    }
    assert!(checked >= 8, "{checked}");
}

#[test]
fn schemas_without_a_bound_are_recognised() {
    for schema in [
        json!({ "unevaluatedProperties": false }),
        json!({ "items": { "unevaluatedItems": { "type": "string" } } }),
        json!({ "$dynamicRef": "#a" }),
        json!({ "$recursiveRef": "#" }),
        json!({ "items": { "$id": "a" } }),
        json!({ "items": { "id": "a" } }),
        json!({ "items": { "$schema": "http://json-schema.org/draft-04/schema#" } }),
        json!({ "$anchor": "a" }),
        json!({ "$dynamicAnchor": "a" }),
        json!({ "$ref": "a" }),
        json!({ "$ref": "#a" }),
        json!({ "$ref": "#/%24defs/a", "$defs": { "a": {} } }),
        json!({ "$ref": "#/$defs/none" }),
        json!({ "$ref": 1 }),
        json!({ "$ref": "#" }),
        json!({ "anyOf": [{ "$ref": "#" }] }),
        json!({ "$ref": "#/$defs/a", "$defs": { "a": { "not": { "$ref": "#/$defs/a" } } } }),
        json!({ "type": [{ "type": "string" }] }),
        json!({ "pattern": "(a{1000}){1000}" }),
        json!({ "pattern": "\\p{L}{500}" }),
        json!({ "patternProperties": { "a{999999}{999999}{999999}{999999}": {}, "b{999999}{999999}{999999}{999999}": {} } }),
        (0..40).fold(json!({}), |inner, _| json!({ "items": inner })),
        Value::Object(Map::from_iter([(
            "anyOf".to_owned(),
            (0..3_000).map(|at| json!({ "const": at })).collect(),
        )])),
    ] {
        assert!(Cost::of(&schema).is_none(), "{schema}");
    }
    for schema in [
        json!(true),
        json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object" }),
        json!({ "properties": { "id": { "type": "string" }, "$ref": { "const": 1 } } }),
        json!({ "items": { "$ref": "#" } }),
        json!({ "$ref": "#/$defs/a", "$defs": { "a": { "pattern": "^[a-z0-9-]{1,60}$" } } }),
    ] {
        assert!(Cost::of(&schema).is_some(), "{schema}");
    }
}
