//! Cloudflare's Workers AI.

mod errors;
mod reply;
mod request;
#[cfg(test)]
mod tests;

use reqwest::header::AUTHORIZATION;
use url::Url;

use super::adapter::{Adapter, Endpoint};
use super::answer::Answer;
use super::config::{CloudflareConfig, base};
use super::failure::AttemptFailure;
use super::parameters::{Parameter, Shape};
use super::secret::ApiKey;
use super::stream_deltas::StreamDeltas;
use super::wire::{HttpReply, Prompt};
use sitewright_model::message::Message;

/// One account.
#[derive(Debug)]
pub(super) struct Cloudflare {
    /// The URL of the API; the account and the model are appended.
    endpoint: Endpoint,
    account: String,
    max_output_tokens: u32,
}

impl Cloudflare {
    pub(super) fn new(config: &CloudflareConfig, key: &ApiKey) -> Result<Self, Message> {
        let base = base(&config.base_url, CloudflareConfig::BASE_URL)?;
        Ok(Cloudflare {
            endpoint: Endpoint::new(base, key.sent_in(AUTHORIZATION, "Bearer ")),
            account: config.account_id.trim().to_owned(),
            max_output_tokens: config.max_output_tokens,
        })
    }

    fn max_tokens(&self, prompt: &Prompt<'_>) -> u32 {
        prompt.max_tokens_or(self.max_output_tokens)
    }
}

impl Adapter for Cloudflare {
    fn kind(&self) -> &'static str {
        "cloudflare"
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn url(&self, model: &str) -> Url {
        request::url(&self.endpoint.url, &self.account, model)
    }

    /// This API has no stop texts.
    fn shape(&self) -> Shape {
        let mut shape = Shape::PLAIN;
        shape.omit(Parameter::Stop);
        shape
    }

    fn body(&self, prompt: &Prompt<'_>) -> Vec<u8> {
        request::body(prompt, self.max_tokens(prompt))
    }

    fn silent_limit(&self, prompt: &Prompt<'_>) -> Option<u32> {
        Some(self.max_tokens(prompt))
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
