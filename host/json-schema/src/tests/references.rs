//! References of every kind are followed when a schema is counted: what the validator resolves, the
//! guard resolves too.

use serde_json::{Map, Value, json};

use crate::{CompiledSchema, fan_out};

/// A kind of reference: how a part is named, how it is referred to, and what is around all parts.
struct Kind {
    name: &'static str,
    part: fn(usize, Value) -> Value,
    to: fn(usize) -> Value,
    root: fn(Map<String, Value>, Value) -> Value,
}

fn with(part: Value, key: &str, value: Value) -> Value {
    let mut part = part;
    part[key] = value;
    part
}

fn defs(parts: Map<String, Value>, first: Value) -> Value {
    json!({ "$defs": parts, "items": first })
}

const KINDS: [Kind; 15] = [
    Kind {
        name: "pointer",
        part: |_, part| part,
        to: |to| json!({ "$ref": format!("#/$defs/{to}") }),
        root: defs,
    },
    Kind {
        name: "escaped pointer",
        part: |_, part| part,
        to: |to| json!({ "$ref": format!("#/%24defs/{to}") }),
        root: defs,
    },
    Kind {
        name: "anchor",
        part: |at, part| with(part, "$anchor", format!("a{at}").into()),
        to: |to| json!({ "$ref": format!("#a{to}") }),
        root: defs,
    },
    Kind {
        name: "dynamic anchor",
        part: |at, part| with(part, "$dynamicAnchor", format!("a{at}").into()),
        to: |to| json!({ "$dynamicRef": format!("#a{to}") }),
        root: defs,
    },
    Kind {
        name: "dynamic anchor, plain reference",
        part: |at, part| with(part, "$dynamicAnchor", format!("a{at}").into()),
        to: |to| json!({ "$ref": format!("#a{to}") }),
        root: defs,
    },
    Kind {
        name: "absolute id",
        part: |at, part| with(part, "$id", format!("https://a.example/{at}").into()),
        to: |to| json!({ "$ref": format!("https://a.example/{to}") }),
        root: defs,
    },
    Kind {
        name: "relative id",
        part: |at, part| with(part, "$id", format!("p{at}").into()),
        to: |to| json!({ "$ref": format!("p{to}") }),
        root: |parts, first| with(defs(parts, first), "$id", "https://a.example/r".into()),
    },
    Kind {
        name: "relative id without a base",
        part: |at, part| with(part, "$id", format!("p{at}").into()),
        to: |to| json!({ "$ref": format!("p{to}") }),
        root: defs,
    },
    Kind {
        name: "relative id, absolute reference",
        part: |at, part| with(part, "$id", format!("f/../p{at}").into()),
        to: |to| json!({ "$ref": format!("https://a.example/p{to}#") }),
        root: |parts, first| with(defs(parts, first), "$id", "https://a.example/r".into()),
    },
    Kind {
        name: "id in folders",
        part: |at, part| with(part, "$id", format!("/f{at}/p").into()),
        to: |to| json!({ "$ref": format!("../f{to}/p") }),
        root: |parts, first| with(defs(parts, first), "$id", "https://a.example/x/r".into()),
    },
    Kind {
        name: "pointer into an id",
        part: |at, part| json!({ "$id": format!("p{at}"), "$defs": { "x": part } }),
        to: |to| json!({ "$ref": format!("p{to}#/$defs/x") }),
        root: |parts, first| with(defs(parts, first), "$id", "https://a.example/r".into()),
    },
    Kind {
        name: "anchor in an id",
        part: |at, part| with(with(part, "$id", format!("p{at}").into()), "$anchor", "x".into()),
        to: |to| json!({ "$ref": format!("p{to}#x") }),
        root: |parts, first| with(defs(parts, first), "$id", "https://a.example/r".into()),
    },
    Kind {
        name: "draft 4",
        part: |at, part| with(part, "id", format!("p{at}").into()),
        to: |to| json!({ "$ref": format!("p{to}") }),
        root: |parts, first| {
            json!({
                "$schema": "http://json-schema.org/draft-04/schema#",
                "id": "http://a.example/r", "definitions": parts, "items": first,
            })
        },
    },
    Kind {
        name: "draft 7, name as id",
        part: |at, part| with(part, "$id", format!("#a{at}").into()),
        to: |to| json!({ "$ref": format!("#a{to}") }),
        root: |parts, first| {
            json!({
                "$schema": "http://json-schema.org/draft-07/schema#",
                "definitions": parts, "items": first,
            })
        },
    },
    Kind {
        name: "unknown keyword",
        part: |_, part| part,
        to: |to| json!({ "$ref": format!("#/x-parts/{to}") }),
        root: |parts, first| json!({ "x-parts": parts, "items": first }),
    },
];

/// How a part applies the next one twice.
const FORKS: [fn(Value) -> Value; 6] = [
    |next| json!({ "anyOf": [next, next] }),
    |next| json!({ "allOf": [next, { "not": next }] }),
    |next| json!({ "if": next, "then": next, "else": next }),
    |next| json!({ "properties": { "$ref": next, "const": next } }),
    |next| json!({ "patternProperties": { "^a": next }, "additionalProperties": next }),
    |next| json!({ "prefixItems": [next], "contains": next }),
];

fn schema(kind: &Kind, depth: usize, fork: fn(Value) -> Value) -> Value {
    let mut parts: Map<String, Value> =
        (0..depth).map(|at| (at.to_string(), (kind.part)(at, fork((kind.to)(at + 1))))).collect();
    parts.insert(depth.to_string(), (kind.part)(depth, json!({ "type": "string" })));
    (kind.root)(parts, (kind.to)(0))
}

#[test]
fn c4_references_of_every_kind_count() {
    for kind in &KINDS {
        for (at, fork) in FORKS.into_iter().enumerate() {
            let name = format!("{} ({at})", kind.name);
            let small = schema(kind, 6, fork);
            let parts = fan_out::of(&small);
            assert!(parts >= 1 << 6, "{name}: {parts} parts");
            CompiledSchema::of(&small).unwrap_or_else(|error| panic!("{name}: {error}"));
            let error = CompiledSchema::of(&schema(kind, 40, fork)).unwrap_err().to_string();
            assert!(error.contains("fan out to more than 100000 parts"), "{name}: {error}");
        }
    }
}

#[test]
fn c4_references_of_different_kinds_in_one_chain_count() {
    let chain = |depth: usize| {
        let parts: Map<String, Value> = (0..=depth)
            .map(|at| {
                let next = at + 1;
                let to = match at % 4 {
                    _ if at == depth => json!({ "type": "string" }),
                    0 => json!({ "$ref": format!("p{next}") }),
                    1 => json!({ "$ref": format!("https://a.example/p{next}#a{next}") }),
                    2 => json!({ "$dynamicRef": format!("p{next}#a{next}") }),
                    _ => json!({ "$ref": format!("r#/$defs/{next}") }),
                };
                let part = json!({
                    "$id": format!("p{at}"), "$dynamicAnchor": format!("a{at}"), "oneOf": [to, to],
                });
                (at.to_string(), part)
            })
            .collect();
        json!({ "$id": "https://a.example/r", "$defs": parts, "$ref": "p0" })
    };
    assert!(fan_out::of(&chain(8)) >= 1 << 8);
    assert!(CompiledSchema::of(&chain(8)).is_ok());
    assert!(CompiledSchema::of(&chain(60)).is_err());
}

#[test]
fn c4_recursion_through_the_dynamic_scope_ends() {
    for schema in [
        json!({ "$recursiveAnchor": true, "anyOf": [{ "$recursiveRef": "#" }, { "$recursiveRef": "#" }] }),
        json!({ "$dynamicAnchor": "a", "items": [{ "$dynamicRef": "#a" }, { "$dynamicRef": "#a" }] }),
        json!({ "$id": "a/", "items": { "$id": "b/", "$ref": "../" } }),
        json!({ "$id": "https://a.example/", "items": { "$id": "x/", "items": { "$ref": "#" } } }),
        json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } }),
        json!({ "$id": "::", "$ref": "%" }),
        json!({ "$ref": 5, "$id": 5, "$defs": [] }),
    ] {
        assert!(fan_out::of(&schema) < 100, "{schema}");
    }
}
