//! OpenAI's chat completions, and the many compatible endpoints.

mod dialect;
mod plain_chunk;
mod plain_event;
mod reasoning;
mod reply;
mod request;
mod responses;
#[cfg(test)]
mod responses_tests;
mod stream;
pub(super) mod strict_schema;
#[cfg(test)]
mod tests;

use url::Url;

pub use dialect::Dialect;

use responses::Responses;

use super::adapter::{Adapter, Endpoint};
use super::answer::{Answer, Reply};
use super::config::{self, OpenAiApi, OpenAiConfig, endpoint};
use super::error_body;
use super::failure::AttemptFailure;
use super::secret::ApiKey;
use super::stream_deltas::StreamDeltas;
use super::wire::{HttpReply, Prompt};
use sitewright_model::message::Message;

#[derive(Debug)]
pub(super) struct OpenAi {
    /// The whole URL, except for what Azure adds for a model.
    endpoint: Endpoint,
    dialect: Dialect,
}

/// The adapter of this configuration.
pub(super) fn adapter(config: &OpenAiConfig, key: &ApiKey) -> Result<Box<dyn Adapter>, Message> {
    let OpenAi { mut endpoint, dialect } = OpenAi::new(config, key)?;
    Ok(match config.api {
        OpenAiApi::Chat => Box::new(OpenAi { endpoint, dialect }),
        OpenAiApi::Responses => {
            endpoint.url = config::endpoint(&config.base_url, "responses")?;
            if let Some(version) = config.api_version.as_deref() {
                endpoint.url.query_pairs_mut().append_pair("api-version", version.trim());
            }
            Box::new(Responses { endpoint })
        }
    })
}

impl OpenAi {
    pub(super) fn new(config: &OpenAiConfig, key: &ApiKey) -> Result<Self, Message> {
        let mut url = endpoint(&config.base_url, "chat/completions")?;
        let dialect = config.dialect.unwrap_or_else(|| Dialect::of(&url));
        let has_version = url.query_pairs().any(|(name, _)| name == "api-version");
        if let Some(version) = config.api_version.as_deref().filter(|_| !has_version) {
            url.query_pairs_mut().append_pair("api-version", version.trim());
        }
        let (name, prefix) = dialect.row().key;
        Ok(OpenAi { endpoint: Endpoint::new(url, key.sent_in(name, prefix)), dialect })
    }
}

impl Adapter for OpenAi {
    fn kind(&self) -> &'static str {
        "openai"
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn url(&self, model: &str) -> Url {
        self.dialect.url(&self.endpoint.url, model)
    }

    fn body(&self, prompt: &Prompt<'_>) -> Vec<u8> {
        request::body(prompt, self.dialect)
    }

    fn deltas(&self) -> Box<dyn StreamDeltas> {
        Box::new(stream::Deltas::default())
    }

    fn whole(&self, http: &HttpReply) -> Result<Answer, AttemptFailure> {
        reply::decode(http)
    }
}

/// The reply in a whole response of this protocol. The scripted provider uses it for the responses
/// that it makes up.
pub(super) fn decode(http: &HttpReply) -> Result<Reply, AttemptFailure> {
    super::transport::whole(http, reply::decode, error_body::failure)
}
