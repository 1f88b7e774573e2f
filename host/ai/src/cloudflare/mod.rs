//! Cloudflare's Workers AI.

mod errors;
mod reply;
mod request;
#[cfg(test)]
mod tests;

use reqwest::header::{AUTHORIZATION, HeaderMap};
use url::Url;

use super::answer::Answer;
use super::config::{CloudflareConfig, base};
use super::provider::{Adapter, Failure, HttpHead, HttpReply, HttpRequest, Prompt, StreamDecoder};
use super::secret::ApiKey;
use super::stream_deltas::PartDecoder;
use sitewright_model::message::Message;

/// One account, ready to be called.
#[derive(Debug)]
pub(super) struct Cloudflare {
    base: Url,
    account: String,
    headers: HeaderMap,
    max_output_tokens: u32,
}

impl Cloudflare {
    pub(super) fn new(config: &CloudflareConfig, key: &ApiKey) -> Result<Self, Message> {
        let key = key.header("Bearer ")?.map(|value| (AUTHORIZATION, value));
        Ok(Cloudflare {
            base: base(&config.base_url, CloudflareConfig::BASE_URL)?,
            account: config.account_id.trim().to_owned(),
            headers: key.into_iter().collect(),
            max_output_tokens: config.max_output_tokens,
        })
    }

    fn most(&self, prompt: &Prompt<'_>) -> u32 {
        prompt.max_output_tokens.unwrap_or(self.max_output_tokens)
    }
}

impl Adapter for Cloudflare {
    fn kind(&self) -> &'static str {
        "cloudflare"
    }

    fn place(&self) -> String {
        let mut url = self.base.clone();
        url.set_query(None);
        url.into()
    }

    fn build(&self, prompt: &Prompt<'_>) -> HttpRequest {
        HttpRequest {
            url: request::url(&self.base, &self.account, prompt.model),
            headers: self.headers.clone(),
            body: request::body(prompt, self.most(prompt)),
        }
    }

    fn silent_limit(&self, prompt: &Prompt<'_>) -> Option<u32> {
        Some(self.most(prompt))
    }

    fn decoder(&self, head: &HttpHead) -> Box<dyn StreamDecoder> {
        PartDecoder::events(head, reply::Events::default())
    }

    fn whole(&self, http: &HttpReply) -> Result<Answer, Failure> {
        reply::whole(http)
    }

    fn map_error(&self, http: &HttpReply) -> Failure {
        errors::failure(http)
    }
}
