//! The message of a failed attempt: what happened, at which provider, and the hint what to do.

use super::failure::{AttemptFailure, Between, Unsent};
use super::provider::Provider;
use sitewright_model::ai::{AiErrorKind, Limit};
use sitewright_model::message;
use sitewright_model::message::Message;

/// Where an attempt was made.
pub(super) struct Location<'a> {
    pub(super) route: &'a str,
    pub(super) provider_name: &'a str,
    pub(super) model: &'a str,
    pub(super) provider: &'a Provider,
}

/// The message of a redacted failure.
pub(super) fn message(at: &Location<'_>, failure: &AttemptFailure) -> Message {
    let Location { route, provider_name, model, provider } = at;
    let status =
        failure.http.as_ref().map_or_else(String::new, |http| format!(" ({})", http.status));
    let what = what_happened(at, failure);
    let detail = failure.detail.trim().trim_end_matches('.');
    let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    let next = next_step(at, failure);
    let url = provider.location();
    message!(
        "the provider `{provider_name}` {what}{status}{detail}; {next} (route `{route}`, model \
         `{model}`, {url})"
    )
}

fn what_happened(at: &Location<'_>, failure: &AttemptFailure) -> String {
    let model = at.model;
    match failure.unsent {
        Some(Unsent::NoKey) => return "has no key".to_owned(),
        Some(Unsent::DayBudget) => return "was not asked".to_owned(),
        None => {}
    }
    match failure.kind {
        AiErrorKind::Auth => "refused its key".to_owned(),
        AiErrorKind::Permission => format!("does not permit its key to use the model `{model}`"),
        AiErrorKind::NotFound if failure.http.is_none() => {
            "has no reply for the request".to_owned()
        }
        AiErrorKind::NotFound => format!("does not know the model `{model}` or the address"),
        AiErrorKind::InvalidRequest => "rejected the request as malformed".to_owned(),
        AiErrorKind::ContextTooLong => {
            format!("reports that the prompt is too long for the model `{model}`")
        }
        AiErrorKind::RateLimited => "rejected the request because of its rate limit".to_owned(),
        AiErrorKind::QuotaExhausted => "has no credit left for this key".to_owned(),
        AiErrorKind::Overloaded => "is overloaded or failing".to_owned(),
        AiErrorKind::Timeout => "did not answer in time".to_owned(),
        AiErrorKind::Connection => "did not return a complete response".to_owned(),
        AiErrorKind::Protocol => "violated its protocol".to_owned(),
        AiErrorKind::Truncated if failure.retryable => {
            format!("broke off the reply of the model `{model}`")
        }
        AiErrorKind::Truncated => format!("truncated the reply of the model `{model}`"),
        AiErrorKind::Empty => format!("sent an empty reply of the model `{model}`"),
        AiErrorKind::Malformed
            if failure.unusable.as_ref().is_some_and(|one| !one.problems.is_empty()) =>
        {
            format!("sent a reply of the model `{model}` that is no copy")
        }
        AiErrorKind::Malformed => format!("sent a reply of the model `{model}` that is not JSON"),
        AiErrorKind::SchemaMismatch => {
            format!("sent JSON of the model `{model}` that the schema does not accept")
        }
        AiErrorKind::ContentFiltered => "refused the content".to_owned(),
        AiErrorKind::Cancelled => "was interrupted by a time limit".to_owned(),
        AiErrorKind::BudgetExceeded | AiErrorKind::NoRoute | AiErrorKind::Other => {
            "failed".to_owned()
        }
    }
}

/// What to do about the failure, as a clause of the message.
pub(super) fn next_step(at: &Location<'_>, failure: &AttemptFailure) -> String {
    let Location { route, provider_name, model, provider } = at;
    let keys = format!("ai.providers.{provider_name}");
    let route_key = format!("ai.routes.{route}");
    let refused = matches!(failure.kind, AiErrorKind::InvalidRequest | AiErrorKind::NotFound);
    if refused && failure.detail.contains("v1/responses") {
        return format!("set api = \"responses\" of {keys}, or name another model in {route_key}");
    }
    if failure.unsent == Some(Unsent::DayBudget) {
        return "orders go on at midnight UTC; to let them go on at once, raise the budget and \
                restart the worker"
            .to_owned();
    }
    match failure.between {
        Some(Between::Guard) => {
            return format!(
                "let this machine's requests pass the bot check or firewall, or set base_url of \
                 {keys} to the provider's own API address"
            );
        }
        Some(Between::Proxy) => {
            return format!(
                "write them into the address of the proxy (`proxy` of {keys}, or HTTPS_PROXY)"
            );
        }
        None => {}
    }
    match failure.kind {
        AiErrorKind::Auth => match provider.key_source() {
            None => {
                format!(
                    "it was called without a key: set api_key_env, api_key_file or \
                     api_key_command of {keys}"
                )
            }
            Some(source) => format!("check {source}"),
        },
        AiErrorKind::Permission => {
            format!(
                "permit the model for the key at the provider, or name another one in {route_key}"
            )
        }
        AiErrorKind::NotFound if failure.http.is_none() => "nothing was sent".to_owned(),
        AiErrorKind::NotFound if provider.kind() == "ollama" => {
            format!(
                "fetch it with `ollama pull {model}`, or check the model in {route_key} and \
                 base_url of {keys}"
            )
        }
        AiErrorKind::NotFound => {
            format!("check the model in {route_key} and base_url of {keys} (many end in /v1)")
        }
        AiErrorKind::InvalidRequest => {
            format!(
                "check that the model in {route_key} can do what the template asks, or name the \
                 field that it refuses in `drop` of its entry there"
            )
        }
        AiErrorKind::ContextTooLong => {
            format!(
                "name a model with a larger window in {route_key}, or shorten the template's \
                 prompt"
            )
        }
        AiErrorKind::RateLimited => {
            match failure.http.as_ref().and_then(|http| http.retry_after_ms) {
                Some(wait) if failure.retryable => {
                    format!("try again in {:.1} s, as requested", wait as f64 / 1000.0)
                }
                _ if failure.retryable => {
                    "try again later, or raise the limit at the provider".to_owned()
                }
                _ => "waiting does not help: shorten the request or raise the limit at the \
                      provider"
                    .to_owned(),
            }
        }
        AiErrorKind::QuotaExhausted => {
            "add credit at the provider; waiting does not help".to_owned()
        }
        AiErrorKind::Overloaded => {
            format!("try again later, or add another provider to {route_key}")
        }
        AiErrorKind::Timeout => match failure.limit {
            Some(limit @ (Limit::FirstByte | Limit::FirstToken)) => format!(
                "raise {} of {keys} if the model is slow or thinks long, or check that its server \
                 works",
                limit.key()
            ),
            Some(Limit::Connect) => {
                format!("check base_url of {keys} and the network, or raise connect_ms there")
            }
            Some(limit @ (Limit::Idle | Limit::Call)) => {
                format!("try again, or raise {} of {keys}", limit.key())
            }
            // The provider's own time limit.
            Some(Limit::Deadline) | None => {
                format!("try again, or name a faster model in {route_key}")
            }
        },
        AiErrorKind::Connection if provider.kind() == "ollama" => {
            format!("check base_url of {keys} and that its server runs (`ollama serve`)")
        }
        AiErrorKind::Connection => format!("check base_url of {keys} and that its server runs"),
        AiErrorKind::Protocol => format!("check base_url of {keys} (many end in /v1)"),
        AiErrorKind::Truncated if failure.retryable => {
            format!(
                "try again; if it happens again, check the proxies between this host and base_url \
                 of {keys}"
            )
        }
        AiErrorKind::Truncated => {
            format!("raise the request's max-output-tokens, or max_output_tokens in {route_key}")
        }
        AiErrorKind::Empty | AiErrorKind::Malformed | AiErrorKind::SchemaMismatch
            if provider.kind() == "scripted" =>
        {
            format!("change the reply in {}", provider.location())
        }
        AiErrorKind::Empty | AiErrorKind::Malformed | AiErrorKind::SchemaMismatch => {
            format!("try again, or name a stronger model in {route_key}")
        }
        AiErrorKind::ContentFiltered => "look at the order's texts and the template's prompt, or \
                                         name another provider"
            .to_owned(),
        AiErrorKind::Cancelled if failure.limit == Some(Limit::Call) => {
            "have the template read its stream to the end, or drop it".to_owned()
        }
        AiErrorKind::Cancelled => "give the order more time, or name a faster model".to_owned(),
        AiErrorKind::BudgetExceeded | AiErrorKind::NoRoute | AiErrorKind::Other => {
            format!("check the provider's response and {keys}")
        }
    }
}
