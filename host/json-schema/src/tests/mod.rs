use serde_json::{Value, json};

use super::*;

mod cost;
mod guarded;
mod references;

fn messages(schema: Value, value: &Value) -> Vec<String> {
    let schema = CompiledSchema::compile(&schema.to_string()).unwrap();
    let problems = schema.check(value);
    assert_eq!(schema.accepts(value), problems.is_empty());
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_is_ever_fetched() {
    for (schema, uri) in [
        (json!({"$ref": "https://example.com/x.json"}), "https://example.com/x.json"),
        (json!({"properties": {"a": {"$ref": "http://127.0.0.1:1/x"}}}), "http://127.0.0.1:1/x"),
        (json!({"$ref": "file:///etc/passwd"}), "file:///etc/passwd"),
        (json!({"$id": "https://example.com/a", "$ref": "b"}), "https://example.com/b"),
        (json!({"$schema": "https://example.com/meta"}), "https://example.com/meta"),
    ] {
        let error = CompiledSchema::compile(&schema.to_string()).unwrap_err();
        assert_eq!(error, SchemaError::Remote { uri: uri.to_owned() });
        assert!(error.to_string().contains("nothing is ever fetched"));
    }
    let inside = json!({"$defs": {"a": {"type": "string"}}, "$ref": "#/$defs/a"});
    assert_eq!(messages(inside, &json!("x")), [] as [&str; 0]);
}

#[test]
fn an_unusable_schema_says_why_and_where() {
    for (schema, message) in [
        ("", "the JSON Schema is not JSON: EOF while parsing a value (line 1, column 0)"),
        ("{\"type\": }", "not JSON: expected value (line 1, column 10)"),
        ("3", "not valid at `/`: must be `true` or `false` or an object, but is the number `3`"),
        (
            "{\"type\": \"strin\"}",
            "not valid at `/type`: fits none of the 2 allowed forms: must be one of `array`, \
             `boolean`",
        ),
        ("{\"required\": \"a\"}", "not valid at `/required`: must be a list"),
        ("{\"pattern\": \"(\"}", "not valid at `/pattern`: `(` is not a pattern"),
        ("{\"pattern\": \"(?=a)b\"}", "without look-around"),
        ("{\"$ref\": \"#/$defs/x\"}", "refers to `#/$defs/x`, which is not in it"),
    ] {
        let error = CompiledSchema::compile(schema).unwrap_err().to_string();
        assert!(error.contains(message), "{schema}: {error}");
    }
}

#[test]
fn complaints_are_for_people() {
    let table = [
        (
            json!({"type": "string"}),
            json!(5),
            "the document: must be a text, but is the number `5`",
        ),
        (
            json!({"type": ["string", "null"]}),
            json!([]),
            "the document: must be `null` or a text, but is a list of 0",
        ),
        (json!({"required": ["a/b"]}), json!({}), "/a~1b: `a/b` is missing"),
        (
            json!({"properties": {}, "additionalProperties": false}),
            json!({"x": 1}),
            "/x: `x` is not a field that is known here; remove it",
        ),
        (
            json!({"enum": ["a", 1]}),
            json!("b"),
            "the document: must be one of `a`, `1`, but is `b`",
        ),
        (json!({"const": "a"}), json!("b"), "the document: must be `a`, but is `b`"),
        (json!({"items": {"minLength": 1}}), json!(["a", ""]), "/1: is empty; it must hold text"),
        (
            json!({"maxLength": 2}),
            json!("été"),
            "the document: must have at most 2 characters, but has 3",
        ),
        (
            json!({"minItems": 2}),
            json!([1]),
            "the document: must have at least 2 entries, but has 1",
        ),
        (json!({"maximum": 5}), json!(6), "the document: must be at most 5, but is `6`"),
        (
            json!({"pattern": "^a$"}),
            json!("b"),
            "the document: must match the pattern `^a$`, which `b` does not",
        ),
        (
            json!({"uniqueItems": true}),
            json!([1, 1]),
            "the document: has the same entry more than once; each may occur once",
        ),
        (
            json!({"properties": {"a": false}}),
            json!({"a": 1}),
            "/a: is not allowed here; remove it",
        ),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "object", "required": ["a"]}]}),
            json!({}),
            "/a: `a` is missing",
        ),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "boolean"}]}),
            json!(5),
            "the document: fits none of the 2 allowed forms: must be a text, but is the number \
             `5`; or must be `true` or `false`, but is the number `5`",
        ),
        (
            json!({"oneOf": [{"properties": {"kind": {"const": "a"}, "n": {"type": "number"}}}, {"properties": {"kind": {"const": "b"}}}]}),
            json!({"kind": "a", "n": "x"}),
            "/n: must be a number, but is the text `x`",
        ),
    ];
    for (schema, value, message) in table {
        assert_eq!(messages(schema, &value), [message]);
    }
}

#[test]
fn a_schema_from_anywhere_cannot_hang_or_flood_the_host() {
    let circles = [
        json!({"$ref": "#"}),
        json!({"allOf": [{"$ref": "#"}]}),
        json!({"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}),
    ];
    for schema in circles {
        // Whether it compiles does not matter; that it ends does.
        if let Ok(schema) = CompiledSchema::compile(&schema.to_string()) {
            schema.check(&json!({"a": [1]}));
        }
    }
    let evil = json!({"pattern": "^(a+)+$"});
    assert_eq!(messages(evil, &json!("a".repeat(50_000) + "b")).len(), 1);
    assert!(
        CompiledSchema::compile(&json!({"pattern": "(((a{100}){100}){100}){100}"}).to_string())
            .is_err()
    );
    let many = |count: usize| {
        let fields: Vec<Value> =
            (0..count - 1).map(|number| json!({"pattern": format!("^{number}$")})).collect();
        CompiledSchema::compile(&json!({"patternProperties": {"^x": {"enum": fields}}}).to_string())
    };
    assert!(many(MAX_PATTERNS).is_ok());
    assert!(many(MAX_PATTERNS + 1).unwrap_err().to_string().contains("at most 100 are allowed"));
    let flood = |entries: usize| {
        messages(json!({"items": {"type": "string"}}), &Value::Array(vec![json!(1); entries]))
    };
    assert_eq!(flood(100_000).len(), MAX_PROBLEMS);
    let [one] = flood(1_000_000).try_into().unwrap();
    assert!(one.contains("too many problems to list them"), "{one}");
    let long = messages(json!({"type": "number"}), &json!("x".repeat(1_000_000)));
    assert!(long[0].len() < 200, "values are shown in part");
}

#[test]
fn c4_a_schema_whose_references_fan_out_is_refused_and_large_and_recursive_ones_are_not() {
    let fanning = |depth: usize, refer: &dyn Fn(usize) -> Value| {
        let mut parts: serde_json::Map<String, Value> = (0..depth)
            .map(|level| {
                let next = refer(level + 1);
                (
                    level.to_string(),
                    json!({ "$anchor": format!("a{level}"), "anyOf": [next, next] }),
                )
            })
            .collect();
        parts
            .insert(depth.to_string(), json!({ "$anchor": format!("a{depth}"), "type": "string" }));
        json!({ "$defs": parts, "items": refer(0) })
    };
    let by_pointer = |level: usize| json!({ "$ref": format!("#/$defs/{level}") });
    let by_name = |level: usize| json!({ "$ref": format!("#a{level}") });
    // The field is named like a keyword.
    let deeper = |level: usize| json!({ "properties": { "const": { "$ref": format!("#/%24defs/{level}") } } });
    for refer in [&by_pointer as &dyn Fn(usize) -> Value, &by_name, &deeper] {
        assert!(CompiledSchema::of(&fanning(10, refer)).is_ok());
        let error = CompiledSchema::of(&fanning(60, refer)).unwrap_err().to_string();
        assert!(error.contains("fan out to more than 100000 parts"), "{error}");
    }
    let chain = fanning(3_000, &|level| match level % 2 {
        0 => json!({ "$ref": format!("#/$defs/{level}") }),
        _ => json!({ "not": { "$ref": format!("#/$defs/{level}") } }),
    });
    assert!(CompiledSchema::of(&chain).is_err(), "it neither ends the process nor takes for ever");
    let tree = json!({
        "$defs": { "node": { "properties": {
            "left": { "$ref": "#/$defs/node" }, "right": { "$ref": "#/$defs/node" }, "all": { "items": { "$ref": "#" } },
        } } },
        "$ref": "#/$defs/node",
    });
    assert!(CompiledSchema::of(&tree).is_ok());
    let wide: serde_json::Map<String, Value> =
        (0..2_000).map(|field| (format!("f{field}"), json!({ "$ref": "#/$defs/text" }))).collect();
    let wide = json!({ "$defs": { "text": { "type": "string" } }, "properties": wide });
    assert!(CompiledSchema::of(&wide).is_ok());
}

#[test]
fn a_problem_is_short_whatever_the_document_calls_its_fields() {
    let schema = json!({"additionalProperties": {"additionalProperties": {"type": "string"}}});
    let inner: serde_json::Map<_, _> = (0..100).map(|at| (format!("f{at}"), json!(1))).collect();
    let document = json!({ "n".repeat(10_000): inner });
    let problems = CompiledSchema::of(&schema).unwrap().check(&document);
    assert_eq!(problems.len(), 100);
    let bytes = problems.iter().map(|problem| problem.pointer.len() + problem.message.len());
    assert!(bytes.max().unwrap() <= 2 * (super::MAX_PROBLEM_BYTES + 3));
}

#[test]
fn schemas_whose_own_reading_or_pairs_have_no_bound_are_not_checked_in_the_process() {
    for schema in [
        json!({"pattern": "\\w".repeat(20_000)}),
        json!({"pattern": format!("(?i){}", "\\p{Any}".repeat(8_000))}),
        json!({"patternProperties": {"(?s)x": true}}),
        json!({"uniqueItems": true}),
    ] {
        assert!(crate::cost::Cost::of(&schema).is_none());
    }
    for schema in [json!({"pattern": "^(?:a|b)$"}), json!({"uniqueItems": false})] {
        assert!(crate::cost::Cost::of(&schema).is_some());
    }
}
