//! `sitewright ai`: one call of the AI gateway by hand.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use super::exit::Exit;
use super::output;
use super::setup::{Setup, SetupError};
use sitewright_ai::{CallContext, ChatMessage, Format, Purpose, ReplySchema, Request, Role};
use sitewright_files::Limit;
use sitewright_model::ai::{AiError, Attempt, AttemptOutcome, CallId};
use sitewright_model::message;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make one call, as a template would, and show every attempt.
    Call(CallArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct CallArgs {
    /// Purpose of the call; selects the route.
    #[arg(long)]
    purpose: Purpose,
    /// User message; `-` reads stdin.
    #[arg(long, value_name = "TEXT|-")]
    prompt: String,
    /// System message.
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Ask for JSON that matches the JSON Schema in this file.
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// Limit the reply to this number of tokens.
    #[arg(long, value_name = "N")]
    max_output_tokens: Option<u32>,
    /// Give up after this number of seconds, whatever the timeouts of the providers are.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    deadline: u64,
}

pub(super) async fn run(setup: &Setup, command: Command, json: bool) -> Result<Exit, SetupError> {
    let Command::Call(args) = command;
    let config = setup.config()?;
    let gateway = Setup::gateway(&config)?;
    let deadline = Instant::now() + Duration::from_secs(args.deadline.min(24 * 3600));
    let request = request(args).await?;
    let call = CallContext {
        budget: Some(gateway.order_budget()),
        ..CallContext::new(CallId::nth(1), deadline)
    };
    Ok(match gateway.complete(call, request).await {
        Ok(done) => {
            let cost_usd = done.cost_usd();
            if json {
                output::print_json(&json!({
                    "outcome": "answered",
                    "completion": done.completion,
                    "raw_reply": done.raw_reply,
                    "cost_usd": cost_usd,
                    "attempts": done.attempts,
                }));
            } else {
                // The model's own lines stay lines.
                let content = output::lines(done.completion.content.trim_end(), "");
                output::print(&format!("{content}\n\n{}", table(&done.attempts)));
            }
            Exit::Done
        }
        Err(error) => {
            if json {
                output::print_json(&json!({ "outcome": "failed", "error": told(&error) }));
            } else {
                let title = format!("✗ {}", error.kind);
                let text =
                    output::error_text(&title, &format!(" {}", error.message), &error.causes);
                output::print(&format!("{text}\n{}", table(&error.attempts)));
            }
            Exit::Ai
        }
    })
}

async fn request(args: CallArgs) -> Result<Request, SetupError> {
    let prompt = match args.prompt.as_str() {
        "-" => {
            let mut text = String::new();
            tokio::io::stdin().read_to_string(&mut text).await.map_err(|error| {
                SetupError::Usage(message!("the prompt cannot be read from stdin: {error}"))
            })?;
            text
        }
        _ => args.prompt,
    };
    let format = match args.schema {
        None => Format::Text,
        Some(path) => {
            let shown = path.display();
            let max = Limit::fixed(ReplySchema::MAX_BYTES as u64);
            let text = sitewright_files::read_text(&path, max)
                .map_err(|error| SetupError::Usage(message!("the schema (--schema): {error}")))?;
            let schema = ReplySchema::compile(&text);
            Format::JsonSchema(
                schema.map_err(|error| SetupError::Usage(message!("in {shown}: {error}")))?,
            )
        }
    };
    let system = args.system.map(|content| ChatMessage { role: Role::System, content });
    let user = ChatMessage { role: Role::User, content: prompt };
    Ok(Request {
        purpose: args.purpose,
        messages: system.into_iter().chain([user]).collect(),
        format,
        max_output_tokens: args.max_output_tokens,
        temperature: None,
        seed: None,
        stop: Vec::new(),
        identity: None,
    })
}

/// An error with its kind as the contract names it, which is what a template gets. Records have
/// their own spelling, that of all their fields.
fn told(error: &AiError) -> Value {
    let mut told = json!(error);
    told["kind"] = json!(error.kind.as_str());
    told
}

/// One line for each attempt.
fn table(attempts: &[Attempt]) -> String {
    let dim = anstyle::Style::new().dimmed();
    let mut text = String::new();
    for attempt in attempts {
        let good = attempt.outcome == AttemptOutcome::Succeeded;
        let mark = if good { "✓" } else { "✗" };
        let mut parts = vec![attempt.outcome.to_string()];
        parts.extend(attempt.status.map(|status| status.to_string()));
        parts.extend(latency(attempt));
        parts.extend(attempt.hedge.then(|| "hedge".to_owned()));
        parts.extend(attempt.batch.then(|| "batch".to_owned()));
        parts.extend(attempt.end_unsaid.then(|| "no finish reason".to_owned()));
        let usage = attempt.usage;
        let tokens = [
            (usage.input_tokens, "in"),
            (usage.cache_read_tokens, "of them from the cache"),
            (usage.output_tokens, "out"),
            (usage.reasoning_tokens, "of them thinking"),
        ];
        parts.extend(
            tokens.iter().filter_map(|(tokens, way)| Some(format!("{} tokens {way}", (*tokens)?))),
        );
        parts.extend(attempt.cost_usd.map(|cost| cost.to_string()));
        parts.extend(attempt.request_id.as_ref().map(|id| format!("request {id}")));
        let line = output::lines(&parts.join(" · "), "  ");
        let model = format!("{} {}", attempt.provider, attempt.model);
        text.push_str(&format!("{mark} {} {dim}{line}{dim:#}\n", output::lines(&model, "  ")));
    }
    text
}

/// Where an attempt's time went.
pub(super) fn latency(attempt: &Attempt) -> Vec<String> {
    let waits = [(attempt.waited_ms, "for limits"), (attempt.backoff_ms, "after the failure")];
    let waits =
        waits.iter().filter(|(ms, _)| *ms > 0).map(|(ms, why)| format!("waited {ms} ms {why}"));
    let parts = [
        (attempt.connect_ms, "connect"),
        (attempt.first_byte_ms, "first byte"),
        (attempt.first_token_ms, "first token"),
    ];
    let parts = parts.iter().filter_map(|(ms, what)| Some(format!("{what} {} ms", (*ms)?)));
    waits.chain(parts).chain([format!("{} ms in all", attempt.duration_ms)]).collect()
}
