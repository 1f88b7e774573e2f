//! Which rules match, what they answer, and which scripts are rejected.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper functions fail the test")]

use std::time::Duration;

use serde_json::{Value, json};
use sitewright_script::{Answer, ConnectionFault, Fault, Question, Script, ScriptError};

fn ask<'a>(purpose: &'a str, messages: &'a [&'a str]) -> Question<'a> {
    Question { purpose, messages, schema: None }
}

#[test]
fn the_first_matching_rule_with_calls_left_answers() {
    let script = Script::from_toml(
        r#"
        [[rule]]
        purpose = "copywriting"
        contains = ["page: home", "pt-BR"]
        times = 1
        delay_ms = 100
        answer = { text = "first" }

        [[rule]]
        purpose = "copywriting"
        answer = { json = { a = 1, b = ["x", true] } }

        [[rule]]
        contains = ["anything"]
        [rule.answer]
        json_text = '{"kept": 1.0}'
        "#,
    )
    .unwrap();
    let home = ["system", "page: home", "locale: pt-BR"];
    let first = script.answer(&ask("copywriting", &home)).unwrap();
    assert_eq!((first.rule, first.delay), (1, Duration::from_millis(100)));
    assert_eq!(first.answer, Answer::Text("first".to_owned()));
    let second = script.answer(&ask("copywriting", &home)).unwrap();
    assert_eq!(second.answer, Answer::Text(r#"{"a":1,"b":["x",true]}"#.to_owned()));
    let third = script.answer(&ask("code", &["anything"])).unwrap();
    assert_eq!((third.rule, third.answer), (3, Answer::Text(r#"{"kept": 1.0}"#.to_owned())));
    assert_eq!(script.answer(&ask("code", &["else"])), None);
}

#[test]
fn an_unanswered_question_names_purpose_prompt_and_file() {
    let long = "é".repeat(300);
    let text = ask("strategy", &["Plan it", &long]).unanswered("demo.toml");
    assert!(
        text.contains("`strategy`") && text.contains("Plan it") && text.contains("demo.toml"),
        "{text}"
    );
    assert!(text.chars().filter(|c| *c == 'é').count() < 200);
}

#[test]
fn every_fault_can_be_written() {
    let cases = [
        (
            r#"{ status = 429, body = "slow", headers = { retry-after = "2" } }"#,
            Fault::Status {
                status: 429,
                body: "slow".to_owned(),
                headers: [("retry-after".to_owned(), "2".to_owned())].into(),
            },
        ),
        (r#"{ cut = "half" }"#, Fault::Cut("half".to_owned())),
        (r#"{ garbage = "<html>" }"#, Fault::Garbage("<html>".to_owned())),
        ("{ empty = true }", Fault::Empty),
        ("{ refused = true }", Fault::Refused),
        ("{ hang = true }", Fault::Hang),
        (r#"{ connection = "refused" }"#, Fault::Connection(ConnectionFault::Refused)),
        (r#"{ connection = "reset" }"#, Fault::Connection(ConnectionFault::Reset)),
    ];
    for (text, fault) in cases {
        let script =
            Script::from_toml(&format!("[[rule]]\nanswer = {{ fault = {text} }}")).unwrap();
        assert_eq!(
            script.answer(&ask("any", &["x"])).unwrap().answer,
            Answer::Fault(fault),
            "{text}"
        );
    }
}

#[test]
fn an_error_names_the_rule_and_the_field() {
    let good = "[[rule]]\nanswer = { text = \"x\" }\n";
    let cases = [
        ("purpos = 'x'\nanswer = { text = 'x' }", "purpos", "unknown field"),
        ("times = 0\nanswer = { text = 'x' }", "times", "never answers"),
        ("times = -1\nanswer = { text = 'x' }", "times", "-1"),
        ("contains = ['']\nanswer = { text = 'x' }", "contains", "empty text"),
        ("contains = 'x'\nanswer = { text = 'x' }", "contains", "invalid type"),
        ("purpose = 'x'", "answer", "missing"),
        ("answer = {}", "answer", "exactly one"),
        ("answer = { text = 'x', json = 1 }", "answer", "exactly one"),
        ("answer = { txt = 'x' }", "answer", "unknown field `txt`"),
        ("answer = { json_text = '{' }", "answer.json_text", "not JSON"),
        ("answer = { json = nan }", "answer.json", "JSON cannot express"),
        ("answer = { from_schema = false }", "answer.from_schema", "false"),
        ("answer = { fault = { } }", "answer.fault", "exactly one"),
        ("answer = { fault = { empty = true, hang = true } }", "answer.fault", "exactly one"),
        ("answer = { fault = { status = 200 } }", "answer.fault", "300 to 599"),
        (
            "answer = { fault = { body = 'x', empty = true } }",
            "answer.fault",
            "without the `status`",
        ),
        ("answer = { fault = { connection = 'lost' } }", "answer.fault", "unknown variant `lost`"),
        ("answer = { fault = { hang = false } }", "answer.fault", "false"),
    ];
    for (text, field, part) in cases {
        let error = Script::from_toml(&format!("{good}[[rule]]\n{text}")).unwrap_err();
        let ScriptError::Rule { rule, field: found, problem } = &error else {
            panic!("{text}: {error}")
        };
        assert_eq!((*rule, found.as_str()), (2, field), "{text}: {error}");
        assert!(problem.contains(part), "{text}: {error}");
    }
    for (text, part) in [("", "no rule"), ("rule = 1", "[[rule]]"), ("[[rule]", "not valid TOML")] {
        let error = Script::from_toml(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    let error = Script::from_toml(&format!("other = 1\n{good}")).unwrap_err().to_string();
    assert!(error.contains("`other`"), "{error}");
}

fn sample(schema: &Value) -> Value {
    let script = Script::from_toml("[[rule]]\nanswer = { from_schema = true }").unwrap();
    let question = Question { purpose: "p", messages: &["m"], schema: Some(schema) };
    let reply = script.answer(&question).unwrap();
    assert_eq!(Some(&reply), script.answer(&question).as_ref(), "the same answer each time");
    let Answer::Text(text) = reply.answer else { panic!("not a text") };
    serde_json::from_str(&text).unwrap()
}

#[test]
fn from_schema_gives_the_smallest_value_and_skips_requests_without_a_schema() {
    let script = Script::from_toml("[[rule]]\nanswer = { from_schema = true }").unwrap();
    assert_eq!(script.answer(&ask("p", &["m"])), None);
    let cases = [
        (json!({"type": "object", "properties": {"a": {"type": "string"}}}), json!({})),
        (json!({"const": 5}), json!(5)),
        (json!({"enum": ["red", "blue"]}), json!("red")),
        (json!({"type": ["null", "integer"], "minimum": 3}), json!(3)),
        (json!({"type": "integer", "exclusiveMinimum": 4, "multipleOf": 3}), json!(6)),
        (json!({"type": "integer", "maximum": -2}), json!(-2)),
        (json!({"type": "number", "minimum": 0.5}), json!(0.5)),
        (
            json!({"type": "array", "items": {"type": "boolean"}, "minItems": 2}),
            json!([true, true]),
        ),
        (
            json!({
                "anyOf": [{"type": "null"}, {"$ref": "#/$defs/n"}],
                "$defs": {"n": {"const": 1}}
            }),
            json!(1),
        ),
        (
            json!({
                "allOf": [{"required": ["a"]}, {"properties": {"a": {"const": 1}}}],
                "type": "object"
            }),
            json!({"a": 1}),
        ),
    ];
    for (schema, expected) in cases {
        assert_eq!(sample(&schema), expected, "{schema}");
    }
    let text = sample(&json!({"type": "string", "minLength": 40, "maxLength": 44}));
    let length = text.as_str().unwrap().len();
    assert!((40..=44).contains(&length), "{text}");
    let many = sample(&json!({"type": "array", "minItems": 40, "items": {"type": "string"}}));
    let many = many.as_array().unwrap();
    let distinct: std::collections::BTreeSet<_> =
        many.iter().map(|text| text.as_str().unwrap()).collect();
    assert_eq!(distinct.len(), 40);
}

#[test]
fn from_schema_terminates_for_recursive_schemas() {
    let schema = json!({
        "$ref": "#/$defs/node",
        "$defs": {"node": {
            "type": "object",
            "required": ["next"],
            "properties": {"next": {"$ref": "#/$defs/node"}}
        }}
    });
    assert!(sample(&schema).is_object());
    let twice = json!({
        "type": "object", "required": ["a", "b", "c"],
        "properties": {
            "a": {"$ref": "#"},
            "b": {"$ref": "#"},
            "c": {"type": "string", "minLength": 1_000_000_000}
        }
    });
    assert!(sample(&twice).to_string().len() < 1_000_000);
    assert!(
        sample(&json!({"type": "array", "minItems": 1_000_000_000})).as_array().unwrap().len()
            <= 10_000
    );
}
