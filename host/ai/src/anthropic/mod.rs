//! Anthropic's Messages.

mod errors;
mod reply;
mod request;
#[cfg(test)]
mod tests;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::answer::Answer;
use super::config::{AnthropicConfig, AnthropicJson, base};
use super::provider::{Adapter, Failure, HttpHead, HttpReply, HttpRequest, Prompt, StreamDecoder};
use super::secret::ApiKey;
use super::stream_deltas::PartDecoder;
use sitewright_model::message;
use sitewright_model::message::Message;

/// One endpoint, ready to be called.
#[derive(Debug)]
pub(super) struct Anthropic {
    url: Url,
    headers: HeaderMap,
    max_output_tokens: u32,
    structured_output: AnthropicJson,
}

impl Anthropic {
    pub(super) fn new(config: &AnthropicConfig, key: &ApiKey) -> Result<Self, Message> {
        let mut url = base(&config.base_url, AnthropicConfig::BASE_URL)?;
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix("/messages").unwrap_or(path);
        // Other clients of this API are given the host alone.
        let path = format!("{}/messages", if path.is_empty() { "/v1" } else { path });
        url.set_path(&path);
        let version = HeaderValue::from_str(config.version.trim())
            .map_err(|_| message!("the version {:?} is no header value", config.version))?;
        let mut headers =
            HeaderMap::from_iter([(HeaderName::from_static("anthropic-version"), version)]);
        headers.extend(key.header("")?.map(|value| (HeaderName::from_static("x-api-key"), value)));
        let AnthropicConfig { max_output_tokens, structured_output, .. } = *config;
        Ok(Anthropic { url, headers, max_output_tokens, structured_output })
    }
}

impl Adapter for Anthropic {
    fn kind(&self) -> &'static str {
        "anthropic"
    }

    fn place(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.into()
    }

    fn build(&self, prompt: &Prompt<'_>) -> HttpRequest {
        HttpRequest {
            url: self.url.clone(),
            headers: self.headers.clone(),
            body: request::body(prompt, self.max_output_tokens, self.structured_output),
        }
    }

    fn decoder(&self, head: &HttpHead) -> Box<dyn StreamDecoder> {
        PartDecoder::events(head, reply::Events::default())
    }

    fn whole(&self, http: &HttpReply) -> Result<Answer, Failure> {
        reply::whole(http)
    }

    fn map_error(&self, http: &HttpReply) -> Failure {
        errors::failure(&http.head, &http.body)
    }
}
