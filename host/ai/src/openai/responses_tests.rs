//! Streams of the Responses API, cut anywhere.

use serde_json::{Value, json};

use super::super::config::OpenAiConfig;
use super::super::testing::{self, Streamed};
use sitewright_model::ai::{AiErrorKind::*, FinishReason, Usage};

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
    let at = testing::adapter(
        "base_url = \"http://h/v1\"\napi = \"responses\"",
        |config: &OpenAiConfig, key| {
            let super::OpenAi { endpoint, .. } = super::OpenAi::new(config, key)?;
            Ok(super::responses::Responses { endpoint })
        },
    );
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
