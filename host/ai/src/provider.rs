//! A configured provider: an HTTP endpoint with its adapter, or a script.

use std::borrow::Cow;
use std::time::Duration;

use super::adapter::Adapter;
use super::answer::Reply;
use super::failure::AttemptFailure;
use super::redact::Redactor;
use super::scripted::Scripted;
use super::secret::ApiKey;
use super::transport::{Live, Transport};
use super::wire::Prompt;

/// The timeouts of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallLimits {
    /// Name look-up, TCP and TLS together.
    pub(super) connect: Duration,
    /// From the connection to the first byte of the response body.
    pub(super) first_byte: Duration,
    /// Between two chunks of the body.
    pub(super) idle: Duration,
    /// The whole attempt.
    pub(super) call: Duration,
}

/// A provider that can be called.
#[derive(Debug)]
pub(super) enum Provider {
    Http(HttpProvider),
    Scripted(Scripted),
}

/// A provider behind an HTTP endpoint.
#[derive(Debug)]
pub(super) struct HttpProvider {
    pub(super) adapter: Box<dyn Adapter>,
    pub(super) key: ApiKey,
    pub(super) limits: CallLimits,
}

impl Provider {
    /// Makes one attempt, which ends at `deadline` at the latest. Dropping it cancels the request.
    pub(super) async fn call(
        &self,
        prompt: &Prompt<'_>,
        transport: &Transport,
        deadline: tokio::time::Instant,
        live: &mut Live<'_>,
    ) -> Result<Reply, AttemptFailure> {
        match self {
            Provider::Http(provider) => {
                let reply = transport.call(provider, prompt, deadline, live).await?;
                reply.within(provider.adapter.silent_limit(prompt))
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

    /// Where the key is read from; `None` if the provider is called without one.
    pub(super) fn key_source(&self) -> Option<String> {
        match self {
            Provider::Http(provider) => provider.key.source.as_ref().map(ToString::to_string),
            Provider::Scripted(_) => None,
        }
    }

    /// A redactor for the provider's key.
    pub(super) fn redactor(&self) -> Redactor {
        match self {
            Provider::Http(provider) => provider.key.redactor().clone(),
            Provider::Scripted(_) => Redactor::default(),
        }
    }
}
