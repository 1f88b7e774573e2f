//! Anthropic's Messages.

mod errors;
mod plain_delta;
mod reply;
mod request;
mod schema;
#[cfg(test)]
mod tests;

use reqwest::header::{HeaderName, HeaderValue};

use super::adapter::{Adapter, Endpoint};
use super::answer::Answer;
use super::config::{AnthropicConfig, AnthropicJson, base};
use super::failure::AttemptFailure;
use super::secret::ApiKey;
use super::stream_deltas::StreamDeltas;
use super::wire::{HttpReply, Prompt};
use sitewright_model::message;
use sitewright_model::message::Message;

#[derive(Debug)]
pub(super) struct Anthropic {
    endpoint: Endpoint,
    max_output_tokens: u32,
    structured_output: AnthropicJson,
}

impl Anthropic {
    pub(super) fn new(config: &AnthropicConfig, key: &ApiKey) -> Result<Self, Message> {
        let mut url = base(&config.base_url, AnthropicConfig::BASE_URL)?;
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix("/messages").unwrap_or(path);
        // Other clients of this API take the host alone.
        let path = format!("{}/messages", if path.is_empty() { "/v1" } else { path });
        url.set_path(&path);
        let version = HeaderValue::from_str(config.version.trim()).map_err(|_| {
            message!("the version {:?} is not a valid header value", config.version)
        })?;
        let header = HeaderName::from_static("x-api-key");
        let mut endpoint = Endpoint::new(url, key.sent_in(header, ""));
        endpoint.headers.insert(HeaderName::from_static("anthropic-version"), version);
        let AnthropicConfig { max_output_tokens, structured_output, .. } = *config;
        Ok(Anthropic { endpoint, max_output_tokens, structured_output })
    }
}

impl Adapter for Anthropic {
    fn kind(&self) -> &'static str {
        "anthropic"
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn body(&self, prompt: &Prompt<'_>) -> Vec<u8> {
        request::body(prompt, self.max_output_tokens, self.structured_output)
    }

    fn deltas(&self) -> Box<dyn StreamDeltas> {
        Box::new(reply::Deltas::default())
    }

    fn whole(&self, http: &HttpReply) -> Result<Answer, AttemptFailure> {
        reply::whole(http)
    }

    fn map_error(&self, http: &HttpReply) -> AttemptFailure {
        errors::failure(&http.head, &http.body)
    }
}
