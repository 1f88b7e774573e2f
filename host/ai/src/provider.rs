//! A configured provider: an HTTP endpoint with its adapter, or a script.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

use super::adapter::Adapter;
use super::answer::Reply;
use super::batch::BatchWire;
use super::config::{CALL_MS, EndpointConfig, Reasoning};
use super::failure::{AttemptFailure, Unsent};
use super::large_replies::LargeReplies;
use super::parameters::{Adjusted, Refusal, Shape};
use super::redact::Redactor;
use super::request::Format;
use super::scripted::Scripted;
use super::secret::{ApiKey, Key, NoKey};
use super::transport::{Live, Transport};
use super::wire::Prompt;
use sitewright_http::Client;
use sitewright_model::ai::{AiErrorKind, Limit};

/// The timeouts of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallLimits {
    /// Name look-up, TCP and TLS together.
    pub(super) connect: Duration,
    /// From the connection to the head of the response, or to the first byte of its body.
    pub(super) first_byte: Duration,
    /// From the connection to the first text. `None` if `first_byte` counts to the first byte of the
    /// body, and the default is used afterwards.
    pub(super) first_token: Option<Duration>,
    /// What is used without a value for it.
    pub(super) default_first_token: Duration,
    /// Between two chunks of the body.
    pub(super) idle: Duration,
    /// The whole attempt.
    pub(super) call: Duration,
}

/// The timeouts of a provider's models. Those that are not set depend on whether a model thinks
/// before it replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LimitsByModel {
    quick: CallLimits,
    thinking: CallLimits,
}

impl LimitsByModel {
    pub(super) fn of(config: &EndpointConfig) -> Self {
        LimitsByModel {
            quick: CallLimits::of(config, false),
            thinking: CallLimits::of(config, true),
        }
    }
}

impl CallLimits {
    fn of(config: &EndpointConfig, thinks: bool) -> Self {
        let or = |configured: Option<u64>, quick: u64, thinking: u64| {
            let default = if thinks { thinking } else { quick };
            Duration::from_millis(configured.unwrap_or(default))
        };
        CallLimits {
            connect: Duration::from_millis(config.connect_ms),
            first_byte: or(config.first_byte_ms, 120_000, 600_000),
            // An operator who sets only `first_byte_ms` means the first byte of the body.
            first_token: match (config.first_byte_ms, config.first_token_ms) {
                (Some(_), None) => None,
                (_, configured) => Some(or(configured, 300_000, 600_000)),
            },
            default_first_token: or(None, 300_000, 600_000),
            idle: or(config.idle_ms, 30_000, 120_000),
            call: or(config.call_ms, CALL_MS, 900_000),
        }
    }
}

/// A provider that can be called.
#[derive(Debug)]
pub(super) enum Provider {
    Http(Box<HttpProvider>),
    Scripted(Scripted),
}

/// A provider behind an HTTP endpoint.
#[derive(Debug)]
pub(super) struct HttpProvider {
    pub(super) adapter: Box<dyn Adapter>,
    pub(super) key: Arc<ApiKey>,
    pub(super) limits: LimitsByModel,
    /// The client with the provider's own proxy and certificates; `None` for the one of the process.
    pub(super) client: Option<Client>,
    /// Whether requests have the header `traceparent`.
    pub(super) propagates_trace: bool,
    /// Its batch API, if it has one that is known.
    pub(super) batch: Option<BatchWire>,
    /// What its models refuse.
    pub(super) refused: Refused,
    /// Its replies that are larger than usual.
    pub(super) large: LargeReplies,
}

/// What the models of a provider refuse, learned from their errors. Kept until the process ends.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<BTreeMap<String, ByModel>>);

#[derive(Debug, Default)]
struct ByModel {
    shape: Shape,
    /// How requests for replies of a schema are sent, if the model refuses that schema; by its hash.
    schemas: HashMap<u64, Shape>,
}

/// Maximum number of schemas of a model that are remembered: templates choose them.
const MAX_SCHEMAS: usize = 256;

impl Refused {
    /// How this request is sent to the model.
    pub(super) fn shape(&self, model: &str, format: &Format) -> Shape {
        let models = self.0.lock();
        let Some(known) = models.get(model) else { return Shape::default() };
        let hash = if known.schemas.is_empty() { None } else { hash(format) };
        let of_schema = hash.and_then(|hash| known.schemas.get(&hash));
        match of_schema {
            Some(shape) => known.shape.clone().and(shape),
            None => known.shape.clone(),
        }
    }

    /// What the model refuses, whatever the schema is.
    pub(super) fn of(&self, model: &str) -> Shape {
        self.0.lock().get(model).map(|known| known.shape.clone()).unwrap_or_default()
    }

    /// Remembers how the model took a request, after refusals.
    pub(super) fn learn(&self, model: &str, format: &Format, adjusted: &Adjusted) {
        let mut models = self.0.lock();
        let known = models.entry(model.to_owned()).or_default();
        let mut shape = adjusted.shape.clone();
        if adjusted.of_prompt {
            shape.most_tokens = known.shape.most_tokens;
        }
        match hash(format).filter(|_| adjusted.of_schema) {
            Some(hash) => {
                if known.schemas.len() >= MAX_SCHEMAS {
                    known.schemas.clear();
                }
                known.schemas.insert(hash, shape);
            }
            None => known.shape = std::mem::take(&mut known.shape).and(&shape),
        }
    }
}

fn hash(format: &Format) -> Option<u64> {
    let Format::JsonSchema(schema) = format else { return None };
    let mut hasher = DefaultHasher::new();
    schema.value().to_string().hash(&mut hasher);
    Some(hasher.finish())
}

impl HttpProvider {
    /// The timeout for connecting, which does not depend on the model.
    pub(super) fn connect_limit(&self) -> Duration {
        self.limits.quick.connect
    }

    /// The timeouts of a call with this prompt.
    pub(super) fn limits(&self, prompt: &Prompt<'_>) -> &CallLimits {
        let thinks = match prompt.settings.reasoning {
            Some(reasoning) => reasoning != Reasoning::None,
            None => prompt.settings.thinks.unwrap_or_else(|| thinks(prompt.model)),
        };
        if thinks { &self.limits.thinking } else { &self.limits.quick }
    }

    /// The next way to send the request after this refusal; `None` if there is none.
    pub(super) fn adjusted(
        &self,
        prompt: &Prompt<'_>,
        now: &Adjusted,
        refusal: &Refusal,
    ) -> Option<Adjusted> {
        let body = |shape: &Shape| self.adapter.body(&Prompt { shape, ..*prompt });
        let before = body(&now.shape);
        let sent = serde_json::from_slice::<Value>(&before).ok();
        let max_tokens = sent.as_ref().and_then(max_tokens);
        now.after(refusal, max_tokens, |shape| body(shape) == before)
    }
}

/// Whether a model of this name is known to think before it replies.
pub(super) fn thinks(model: &str) -> bool {
    const WORDS: [&str; 12] = [
        "o1",
        "o3",
        "o4",
        "r1",
        "qwq",
        "qvq",
        "reasoner",
        "reasoning",
        "thinking",
        "think",
        "magistral",
        "deepthink",
    ];
    const PARTS: [&str; 13] = [
        "gpt-5",
        "gpt-oss",
        "gemini-2.5",
        "gemini-3",
        "grok-4",
        "grok-3-mini",
        "qwen3",
        "glm-4.5",
        "glm-4.6",
        "glm-5",
        "minimax-m",
        "claude-opus-4-7",
        "kimi-k2.5",
    ];
    let model = model.to_ascii_lowercase();
    let mut words = model.split(|letter: char| !letter.is_ascii_alphanumeric());
    words.any(|word| WORDS.contains(&word)) || PARTS.iter().any(|part| model.contains(part))
}

/// The maximum number of tokens in a body, under any of its names.
fn max_tokens(body: &Value) -> Option<u32> {
    [
        "/max_tokens",
        "/max_completion_tokens",
        "/max_output_tokens",
        "/generationConfig/maxOutputTokens",
        "/options/num_predict",
    ]
    .iter()
    .find_map(|pointer| u32::try_from(body.pointer(pointer)?.as_u64()?).ok())
}

impl Provider {
    /// Makes one attempt, which ends at `deadline` at the latest. Dropping it cancels the request.
    pub(super) async fn call(
        &self,
        prompt: &Prompt<'_>,
        key: Option<&Key>,
        transport: &Transport,
        deadline: Instant,
        live: &mut Live<'_>,
    ) -> Result<Reply, AttemptFailure> {
        match self {
            Provider::Http(provider) => {
                let reply = transport.call(provider, prompt, key, deadline, live).await?;
                reply.within(provider.adapter.silent_limit(prompt), prompt.max_tokens())
            }
            // Boxed to keep the future of calls to a model small.
            Provider::Scripted(scripted) => Box::pin(scripted.call(prompt, deadline, live)).await,
        }
    }

    /// The name in the configuration and in `gen_ai.provider.name`.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Provider::Http(provider) => provider.adapter.kind(),
            Provider::Scripted(_) => "scripted",
        }
    }

    /// The URL without its query, or the script, for messages.
    pub(super) fn location(&self) -> Cow<'_, str> {
        match self {
            Provider::Http(provider) => Cow::Owned(provider.adapter.location()),
            Provider::Scripted(scripted) => Cow::Borrowed(scripted.location()),
        }
    }

    /// The host and the port of the endpoint; `None` for a script.
    pub(super) fn server(&self) -> (Option<&str>, Option<u16>) {
        match self {
            Provider::Http(provider) => {
                let url = &provider.adapter.endpoint().url;
                (url.host_str(), url.port_or_known_default())
            }
            Provider::Scripted(_) => (None, None),
        }
    }

    /// Where the key is read from; `None` if the provider is called without one.
    pub(super) fn key_source(&self) -> Option<String> {
        match self {
            Provider::Http(provider) => provider.key.source.as_ref().map(ToString::to_string),
            Provider::Scripted(_) => None,
        }
    }

    /// The key for a request; `None` if the provider is called without one.
    ///
    /// # Errors
    /// A file or command does not supply it. Nothing was sent.
    pub(super) async fn key(&self, deadline: Instant) -> Result<Option<Arc<Key>>, AttemptFailure> {
        let Provider::Http(provider) = self else { return Ok(None) };
        provider.key.current(deadline).await.map_err(|no_key| match no_key {
            NoKey::Unreadable(message) => AttemptFailure {
                asked: false,
                unsent: Some(Unsent::NoKey),
                ..AttemptFailure::new(AiErrorKind::Auth, message.as_str())
            },
            NoKey::Late => AttemptFailure {
                asked: false,
                limit: Some(Limit::Deadline),
                ..AttemptFailure::new(
                    AiErrorKind::Cancelled,
                    "the order's deadline passed while its key was read",
                )
            },
        })
    }

    /// Another key, if the provider has refused this one and its file or command supplies another.
    pub(super) async fn key_after(
        &self,
        refused: Option<&Key>,
        deadline: Instant,
    ) -> Option<Arc<Key>> {
        let Provider::Http(provider) = self else { return None };
        provider.key.other_than(refused?, deadline).await
    }

    /// Has the key read again before the next call, if it comes from a file or a command.
    pub(super) fn expire_key(&self) {
        if let Provider::Http(provider) = self {
            provider.key.expire();
        }
    }

    /// A redactor for the provider's keys and for the other secrets that it is sent.
    pub(super) fn redactor(&self) -> Redactor {
        match self {
            Provider::Http(provider) => provider.key.redactor(),
            Provider::Scripted(_) => Redactor::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::thinks;

    #[test]
    fn models_that_think_are_known_by_name() {
        for model in [
            "o3-mini",
            "openai/o1",
            "GPT-5.1",
            "deepseek-reasoner",
            "DeepSeek-R1:8b",
            "qwen3-32b",
            "kimi-k2-thinking",
            "gemini-2.5-pro",
            "gpt-oss:20b",
        ] {
            assert!(thinks(model), "{model}");
        }
        for model in ["gpt-4o", "gpt-4o1", "claude-3-5-haiku", "llama-3.1-70b", "some-model", "ro1"]
        {
            assert!(!thinks(model), "{model}");
        }
    }
}
