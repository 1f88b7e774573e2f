//! Where schemas are checked, and that it makes no difference to the problems.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};
use sitewright_confined::Confined;

use crate::{CheckError, CompiledSchema, GuardedSchema, Problem, SchemaError, TASK};

#[allow(clippy::disallowed_methods, reason = "the runtime of a test")]
fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn guarded(schema: &Value) -> Result<GuardedSchema, SchemaError> {
    GuardedSchema::compile(schema.to_string(), &Confined::here(), "tests").await
}

fn problems(schema: &Value, document: &Value) -> Vec<Problem> {
    wait(async { guarded(schema).await.unwrap().check(&document.to_string(), None).await.unwrap() })
}

#[test]
fn a_schema_has_the_same_problems_wherever_it_is_checked() {
    let order = json!({
        "$id": "https://a.example/order.json",
        "type": "object",
        "required": ["id", "name"],
        "properties": {
            "id": { "type": "string", "pattern": "^[a-z]+$" },
            "name": { "$ref": "#/$defs/text" },
            "services": { "type": "array", "items": { "$ref": "#/$defs/text" }, "uniqueItems": true },
        },
        "additionalProperties": false,
        "$defs": { "text": { "type": "string", "minLength": 1, "maxLength": 9 } },
    });
    let mut confined = order.clone();
    confined["unevaluatedProperties"] = json!(false);
    confined["properties"]["name"] = json!({ "$ref": "https://a.example/order.json#/$defs/text" });
    let long: Vec<String> = (0..20_000).map(|at| format!("s{at}")).collect();
    for document in [
        json!({ "id": "a", "name": "b" }),
        json!({ "id": "A", "name": "" }),
        json!({ "id": 1, "name": "x", "other": 2 }),
        json!([]),
        json!({ "id": "a", "name": "b", "services": long }),
        json!({ "id": "a", "name": "b", "services": vec![1; 20_000] }),
    ] {
        let expected = CompiledSchema::of(&order).unwrap().check(&document);
        assert_eq!(problems(&order, &document), expected);
        let names = |problems: Vec<Problem>| {
            let mut all: Vec<String> = problems.into_iter().map(|found| found.pointer).collect();
            all.sort();
            all.dedup();
            all
        };
        assert_eq!(names(problems(&confined, &document)), names(expected));
    }
}

#[test]
fn an_unusable_schema_says_why_wherever_it_is_compiled() {
    for (schema, message) in [
        (json!({ "type": "strin" }), "not valid at `/type`"),
        (json!({ "type": "strin", "unevaluatedItems": false }), "not valid at `/type`"),
        (json!({ "$ref": "https://a.example/b" }), "nothing is ever fetched"),
        (json!({ "$ref": "#/$defs/none" }), "refers to `#/$defs/none`, which is not in it"),
        (json!({ "pattern": "(" }), "is not a pattern"),
    ] {
        let error = wait(guarded(&schema)).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let error = wait(GuardedSchema::compile("{".to_owned(), &Confined::here(), "tests"));
    assert!(matches!(error, Err(SchemaError::NotJson { .. })));
}

#[test]
fn a_check_says_why_it_failed() {
    let document = |schema: Value, text: &'static str, deadline: Option<Instant>| {
        wait(async move { guarded(&schema).await.unwrap().check(text, deadline).await })
    };
    for schema in [json!({ "type": "object" }), json!({ "unevaluatedItems": false })] {
        let error = document(schema.clone(), "{", None).unwrap_err();
        assert!(matches!(&error, CheckError::NotJson(why) if why.contains("EOF")), "{error}");
    }
    let past = Instant::now().checked_sub(Duration::from_secs(1));
    let error = document(json!({ "unevaluatedItems": false }), "[1]", past);
    assert_eq!(error, Err(CheckError::Deadline));
    // The program has no such subcommand.
    let missing = Confined::program(std::path::Path::new("/does/not/exist"), 1);
    let schema = json!({ "unevaluatedItems": false }).to_string();
    let error = wait(GuardedSchema::compile(schema, &missing, "tests")).unwrap_err();
    assert!(matches!(error, SchemaError::Host(_)), "{error}");
}

#[test]
fn costly_checks_are_not_done_in_this_process() {
    // Nothing can be done in confined processes here, so that every confined check fails.
    let missing = Confined::program(std::path::Path::new("/does/not/exist"), 1);
    let check = |schema: Value, document: Value| {
        wait(async {
            let schema = GuardedSchema::compile(schema.to_string(), &missing, "tests").await?;
            Ok::<_, SchemaError>(schema.check(&document.to_string(), None).await)
        })
    };
    let done = |schema: Value, document: Value| matches!(check(schema, document), Ok(Ok(_)));
    let tree = json!({ "anyOf": [
        { "type": "string" }, { "items": { "$ref": "#" } }, { "items": { "$ref": "#" }, "maxItems": 9 },
    ] });
    let nested = |depth: usize| (0..depth).fold(json!("x"), |value, _| json!([value]));
    assert!(done(tree.clone(), nested(3)));
    assert!(!done(tree, nested(60)));
    let many: Value = (0..500).map(|at| json!({ "not": { "const": at } })).collect();
    let many = json!({ "items": { "allOf": many } });
    assert!(done(many.clone(), json!([true, true])));
    assert!(!done(many, Value::Array(vec![json!(true); 100_000])));
    assert!(done(json!({ "pattern": "^a+$" }), json!("a".repeat(1_000))));
    assert!(!done(json!({ "pattern": "^(a{100}){10}$" }), json!("a".repeat(100_000))));
    // The value of a document takes memory, whatever the schema.
    assert!(!done(json!({}), Value::Array(vec![json!({ "": 0 }); 100_000])));
    // A problem holds a copy of the value.
    let forms: Value = (0..400).map(|at| json!({ "const": at })).collect();
    assert!(!done(json!({ "anyOf": forms }), json!(vec![true; 1_000])));
    // A problem holds the names on the way to it, in the document and in the schema.
    let items = json!({ "additionalProperties": { "items": { "type": "string" } } });
    assert!(done(items.clone(), json!({ "a": vec![1; 1_000] })));
    assert!(!done(items, json!({ "a".repeat(100_000): vec![1; 1_000] })));
    let name = "a".repeat(30_000);
    let fields: Value = (0..500).map(|at| (format!("p{at}"), json!({}))).collect();
    assert!(!done(json!({ "properties": { name: { "properties": fields } } }), json!(1)));
    // Schemas that are too large to be analysed, or cannot be.
    assert!(!done(json!({ "unevaluatedItems": false }), json!(1)));
    assert!(!done(json!({ "title": "x".repeat(70_000) }), json!(1)));
}

/// The schema of the shipped templates: a healthy order costs no process.
#[test]
fn ordinary_orders_are_checked_in_this_process() {
    let missing = Confined::program(std::path::Path::new("/does/not/exist"), 1);
    let schema = include_str!("../../../schema/order-normalised.schema.json").to_owned();
    let schema = wait(GuardedSchema::compile(schema, &missing, "tests")).unwrap();
    let orders = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/orders");
    let mut checked = 0;
    for order in std::fs::read_dir(orders).unwrap() {
        let order = std::fs::read(order.unwrap().path()).unwrap();
        let order = serde_json::from_slice(&order).unwrap();
        let Ok(order) = sitewright_order::read(&order, &"en".parse().unwrap()) else { continue };
        let order = order.for_templates().unwrap().to_string();
        assert_eq!(wait(schema.check(&order, None)), Ok(Vec::new()));
        checked += 1;
    }
    assert!(checked >= 3, "{checked}");
}

/// Compiling and checking are recursive, and threads have 2 MiB of stack.
#[test]
fn the_deepest_schemas_of_this_process_fit_on_a_thread() {
    let part = |to: Value| (0..28).fold(to, |inner, _| json!({ "not": inner }));
    let mut parts: serde_json::Map<String, Value> = (0..12)
        .map(|at| (at.to_string(), part(json!({ "$ref": format!("#/$defs/{}", at + 1) }))))
        .collect();
    parts.insert("12".to_owned(), json!({ "type": "string" }));
    let chain = |first: usize| json!({ "properties": { "x": { "$ref": format!("#/$defs/{first}") } }, "$defs": parts });
    let document = json!({ "x": 1 });
    for first in 0..12 {
        let expected = CompiledSchema::of(&chain(first)).unwrap().check(&document);
        assert_eq!(problems(&chain(first), &document), expected);
    }
    let tree = json!({ "items": { "allOf": [{ "$ref": "#" }] } });
    let nested = (0..90).fold(json!("x"), |value, _| json!([value]));
    assert_eq!(problems(&tree, &nested), []);
}

#[test]
fn the_task_survives_what_is_not_a_job() {
    for input in [&b""[..], b"{", b"{\"schema\": 5}", b"\xff"] {
        let output = String::from_utf8((TASK.run)(input)).unwrap();
        assert!(output.starts_with("{\"NotAJob\""), "{output}");
    }
}

proptest! {
    #[test]
    fn c4_guarded_checks_agree_with_the_validator(
        schema in "[\\[\\]{},:\"a$]{0,20}", text in "[\\[\\]{},:\"1a]{0,20}",
    ) {
        let compiled = CompiledSchema::compile(&schema);
        let guarded = wait(GuardedSchema::compile(schema.clone(), &Confined::here(), "tests"));
        prop_assert_eq!(compiled.as_ref().err(), guarded.as_ref().err());
        if let (Ok(compiled), Ok(guarded)) = (compiled, guarded) {
            let found = wait(guarded.check(&text, None));
            match serde_json::from_str::<Value>(&text) {
                Ok(value) => prop_assert_eq!(found, Ok(compiled.check(&value))),
                Err(_) => prop_assert!(matches!(found, Err(CheckError::NotJson(_)))),
            }
        }
    }
}
