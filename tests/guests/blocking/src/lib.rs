//! A template in the world `template-sync`, whose AI calls block. `extra.fault` of the order
//! selects what it does.
#![cfg(target_family = "wasm")]
#![allow(unsafe_code, reason = "the generated bindings are unsafe")]

#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({ world: "template-sync", path: "../../../wit/0.1.0" });
}

use std::hint::black_box;

use bindings::exports::sitewright::template::generator_sync::{
    AiPurpose, Failure, Guest, Manifest,
};
use bindings::sitewright::template::ai_sync::{Completion, Error, complete, complete_all};
use bindings::sitewright::template::ai_types::{Format, Message, Request, Role};
use bindings::sitewright::template::{diagnostics, site};
use serde_json::Value;

struct Blocking;

impl Guest for Blocking {
    fn describe() -> Manifest {
        Manifest {
            name: "blocking".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Waits, and fails as its order asks.".to_owned(),
            order_schema: r#"{"type": "object"}"#.to_owned(),
            ai_purposes: vec![AiPurpose {
                name: "copywriting".to_owned(),
                description: String::new(),
            }],
            locales: vec!["en".to_owned()],
        }
    }

    fn generate(order: String) -> Result<(), Failure> {
        let order: Value = serde_json::from_str(&order).unwrap_or_default();
        let extra = &order["extra"];
        let count = extra["n"].as_u64().unwrap_or(8);
        diagnostics::progress("fault", 0, 1);
        match extra["fault"].as_str().unwrap_or_default() {
            // Writes every reply into the page.
            "all" => page(&order, &answers(count, |number| format!("question {number}."))?),
            "same" => page(&order, &answers(count, |_| "the same question".to_owned())?),
            "in-turn" => {
                let asked =
                    (1..=count).map(|number| complete(&request(&format!("question {number}."))));
                page(
                    &order,
                    &asked
                        .map(|outcome| outcome.map(content).map_err(failed))
                        .collect::<Result<Vec<_>, _>>()?,
                )
            }
            // Ignores failed calls.
            "regardless" => {
                let requests: Vec<Request> =
                    (1..=count).map(|number| request(&format!("question {number}."))).collect();
                let outcomes = complete_all(&requests).into_iter();
                page(
                    &order,
                    &outcomes
                        .map(|outcome| outcome.map_or_else(|error| error.message, content))
                        .collect::<Vec<_>>(),
                )
            }
            "after-an-answer" => {
                complete(&request("question 1.")).map_err(failed)?;
                Err(failure("missing-service", "no site was made", Vec::new()))
            }
            "panic" => {
                let answer = complete(&request("question 1.")).map(content);
                panic!("a panic after {answer:?}")
            }
            "spin" => loop {
                black_box(());
            },
            "hoard" => {
                let mut blocks = Vec::new();
                loop {
                    blocks.push(black_box(vec![1_u8; 1 << 20]));
                }
            }
            _ => page(&order, &[]),
        }
    }
}

fn answers(count: u64, question: impl Fn(u64) -> String) -> Result<Vec<String>, Failure> {
    let requests: Vec<Request> = (1..=count).map(|number| request(&question(number))).collect();
    complete_all(&requests)
        .into_iter()
        .map(|outcome| outcome.map(content).map_err(failed))
        .collect()
}

fn request(text: &str) -> Request {
    Request {
        purpose: "copywriting".to_owned(),
        messages: vec![Message { role: Role::User, content: text.to_owned() }],
        format: Format::Text,
        max_output_tokens: None,
        temperature: None,
        seed: None,
        stop: Vec::new(),
    }
}

fn content(completion: Completion) -> String {
    completion.content
}

fn failed(error: Error) -> Failure {
    failure("ai-failed", &error.message, vec![error.call_id])
}

fn failure(code: &str, message: &str, ai_calls: Vec<String>) -> Failure {
    Failure {
        code: code.to_owned(),
        message: message.to_owned(),
        causes: Vec::new(),
        location: None,
        ai_calls,
        attributes: Vec::new(),
    }
}

fn page(order: &Value, lines: &[String]) -> Result<(), Failure> {
    let lines: String = lines.iter().map(|line| format!("<p>{line}</p>\n")).collect();
    let [name, mail] =
        ["business_name", "business_email"].map(|field| order[field].as_str().unwrap_or_default());
    let page = format!(
        "<!doctype html><html lang=en><head><title>Blocking</title><meta name=description \
         content=\"A template that blocks\"><meta name=viewport \
         content=\"width=device-width\"></head><body><h1>A page that is \
         whole</h1>\n{lines}<address>{name}, {mail}</address></body></html>"
    );
    site::write("index.html", page.as_bytes())
        .map_err(|error| failure("write", &error.message, Vec::new()))
}

bindings::export!(Blocking with_types_in bindings);
