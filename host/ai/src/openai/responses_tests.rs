//! Streams of the Responses API, cut anywhere.

use serde_json::{Value, json};

use super::super::config::OpenAiConfig;
use super::super::testing::{self, Streamed};
use sitewright_model::ai::{AiErrorKind::*, FinishReason, Usage};

fn responses() -> super::responses::Responses {
    testing::adapter(
        "base_url = \"http://h/v1\"\napi = \"responses\"",
        |config: &OpenAiConfig, key| {
            let super::OpenAi { endpoint, .. } = super::OpenAi::new(config, key)?;
            Ok(super::responses::Responses { endpoint })
        },
    )
}

fn event(kind: &str, more: Value) -> String {
    let mut data = more;
    data["type"] = kind.into();
    format!("event: {kind}\ndata: {data}\n\n")
}

fn text(delta: &str) -> String {
    event("response.output_text.delta", json!({"delta": delta}))
}

fn end(kind: &str, response: Value) -> String {
    event(kind, json!({"response": response}))
}

#[test]
fn a_stream_is_its_text_however_the_wire_cuts_it() {
    let at = responses();
    let tokens = json!({"input_tokens": 11, "output_tokens": 7});
    let begin =
        event("response.created", json!({"response": {"status": "in_progress", "output": []}}));
    let thinks = event("response.reasoning_summary_text.delta", json!({"delta": "Hm."}));
    let whole = json!({"status": "completed", "usage": tokens, "output": [
        {"type": "message", "content": [{"type": "output_text", "text": "hello"}]}]});
    let cut = json!({"status": "incomplete", "usage": tokens, "output": [],
                     "incomplete_details": {"reason": "max_output_tokens"}});
    let failed = json!({"status": "failed", "error": {"code": "server_error", "message": "x"}});
    let good = Ok(("hello", FinishReason::Stop, Usage::of(11, 7)));
    let rows = [
        (
            "deltas",
            [
                begin.clone(),
                thinks,
                text("hel"),
                text("lo"),
                end("response.completed", whole.clone()),
            ]
            .concat(),
            good,
        ),
        (
            "cut",
            [begin.clone(), text("hel"), end("response.incomplete", cut)].concat(),
            Err(Truncated),
        ),
        (
            "failed",
            [begin.clone(), text("hel"), end("response.failed", failed)].concat(),
            Err(Overloaded),
        ),
        (
            "error",
            [
                begin.clone(),
                event("error", json!({"code": "rate_limit_exceeded", "message": "slow"})),
            ]
            .concat(),
            Err(RateLimited),
        ),
        ("no end", [begin, text("hel")].concat(), Err(Truncated)),
    ];
    for (name, body, becomes) in rows {
        Streamed { name, body, becomes }.check(&at);
    }
}

proptest::proptest! {
    /// A field that nobody knows changes nothing: neither in an event that is a plain piece of the
    /// text, which is read by name, nor in any other.
    #[test]
    fn an_event_means_the_same_with_a_field_that_nobody_knows(
        phase in proptest::sample::select(vec!["", "commentary"]),
        events in proptest::collection::vec((
            proptest::sample::select(vec![
                "response.output_text.delta", "response.output_text.delta",
                "response.output_text.delta", "response.output_text.done",
                "response.refusal.delta", "response.reasoning_text.delta", "",
            ]),
            "[a-z<> é🍞\"\\\\\n]{0,8}|<think>|</think>",
            proptest::sample::select(vec![
                "", ",\"item_id\":\"msg_1\"", ",\"output_index\":0,\"content_index\":0",
                ",\"sequence_number\":4", ",\"sequence_number\":\"4\"", ",\"logprobs\":[]",
                ",\"logprobs\":[{}]", ",\"logprobs\":null", ",\"obfuscation\":\"x\"",
                ",\"delta\":null", ",\"delta\":7", ",\"text\":\"y\"", ",\"error\":null",
                ",\"error\":{\"message\":\"no\"}", ",\"type\":\"error\"",
            ]),
        ), 1..5),
    ) {
        let at = responses();
        let item = json!({"item": {"type": "message", "phase": phase, "content": []}});
        let response = json!({"status": "completed", "output": []});
        let stream = |unknown: &str| {
            let mut stream = event("response.output_item.added", item.clone());
            for (kind, delta, more) in &events {
                let delta = json!(delta);
                stream.push_str(&format!(
                    "event: response.output_text.delta\n\
                     data: {{\"type\":\"{kind}\",\"delta\":{delta}{more}{unknown}}}\n\n"
                ));
            }
            let done = event("response.output_item.done", item.clone());
            stream + &done + &text("the end") + &end("response.completed", response.clone())
        };
        let (plain, odd) = (stream(""), stream(",\"nobody\":0"));
        let meaning = |stream: &str| testing::meaning(&at, stream);
        assert_eq!(meaning(&plain), meaning(&odd), "{plain}");
    }
}
