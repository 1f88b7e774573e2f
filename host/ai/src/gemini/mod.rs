//! Google's generateContent.

mod errors;
mod plain_part;
mod reply;
mod request;
mod schema;
#[cfg(test)]
mod tests;

use reqwest::header::HeaderName;
use url::Url;

use super::adapter::{Adapter, Endpoint};
use super::answer::Answer;
use super::config::{GeminiConfig, GeminiJson, base};
use super::failure::AttemptFailure;
use super::secret::ApiKey;
use super::stream_deltas::StreamDeltas;
use super::wire::{HttpReply, Prompt};
use sitewright_model::message::Message;

#[derive(Debug)]
pub(super) struct Gemini {
    /// The URL of the API; the model is appended.
    endpoint: Endpoint,
    structured_output: GeminiJson,
}

impl Gemini {
    pub(super) fn new(config: &GeminiConfig, key: &ApiKey) -> Result<Self, Message> {
        let base = base(&config.base_url, GeminiConfig::BASE_URL)?;
        let header = HeaderName::from_static("x-goog-api-key");
        let endpoint = Endpoint::new(base, key.sent_in(header, ""));
        Ok(Gemini { endpoint, structured_output: config.structured_output })
    }
}

impl Adapter for Gemini {
    fn kind(&self) -> &'static str {
        "gemini"
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn url(&self, model: &str) -> Url {
        request::url(&self.endpoint.url, model)
    }

    fn body(&self, prompt: &Prompt<'_>) -> Vec<u8> {
        request::body(prompt, self.structured_output)
    }

    fn deltas(&self) -> Box<dyn StreamDeltas> {
        Box::new(reply::Deltas::default())
    }

    fn whole(&self, http: &HttpReply) -> Result<Answer, AttemptFailure> {
        reply::whole(http)
    }

    fn map_error(&self, http: &HttpReply) -> AttemptFailure {
        errors::failure(http)
    }
}
