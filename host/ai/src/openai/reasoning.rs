//! How much a model thinks, in the notation of each dialect.

use serde_json::{Map, Value, json};

use super::super::config::Reasoning;
use super::Dialect;

/// The fields for this amount. `step` is the number of notations that the model has refused.
pub(super) fn fields(
    dialect: Dialect,
    reasoning: Reasoning,
    tokens: Option<u32>,
    step: u8,
) -> Map<String, Value> {
    let thinks = reasoning != Reasoning::None;
    let effort = |level: Reasoning| ("reasoning_effort", json!(level.as_str()));
    let field = match (dialect, step) {
        (Dialect::Openrouter, 0) => {
            let amount = match (reasoning, tokens) {
                (Reasoning::None, _) => json!({"enabled": false}),
                (_, Some(tokens)) => json!({"max_tokens": tokens}),
                (level, None) => json!({"effort": level.as_str()}),
            };
            Some(("reasoning", amount))
        }
        (Dialect::Deepseek, 0) => {
            Some(("thinking", json!({"type": if thinks { "enabled" } else { "disabled" }})))
        }
        (Dialect::Vllm | Dialect::Llamacpp, 0) => {
            Some(("chat_template_kwargs", json!({"enable_thinking": thinks})))
        }
        (_, 0) => Some(effort(reasoning)),
        // The next level that more models know.
        (_, 1) => match reasoning {
            Reasoning::None => Some(effort(Reasoning::Minimal)),
            Reasoning::Minimal => Some(effort(Reasoning::Low)),
            level => Some(effort(level)),
        },
        _ => None,
    };
    field.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}
