//! Google's generateContent.

mod errors;
mod reply;
mod request;
mod schema;
#[cfg(test)]
mod tests;

use reqwest::header::{HeaderMap, HeaderName};
use url::Url;

use super::answer::Answer;
use super::config::{GeminiConfig, GeminiJson, base};
use super::provider::{Adapter, Failure, HttpHead, HttpReply, HttpRequest, Prompt, StreamDecoder};
use super::secret::ApiKey;
use super::stream_deltas::PartDecoder;
use sitewright_model::message::Message;

/// One endpoint, ready to be called.
#[derive(Debug)]
pub(super) struct Gemini {
    base: Url,
    headers: HeaderMap,
    structured_output: GeminiJson,
}

impl Gemini {
    pub(super) fn new(config: &GeminiConfig, key: &ApiKey) -> Result<Self, Message> {
        let base = base(&config.base_url, GeminiConfig::BASE_URL)?;
        let key = key.header("")?.map(|value| (HeaderName::from_static("x-goog-api-key"), value));
        Ok(Gemini {
            base,
            headers: key.into_iter().collect(),
            structured_output: config.structured_output,
        })
    }
}

impl Adapter for Gemini {
    fn kind(&self) -> &'static str {
        "gemini"
    }

    fn place(&self) -> String {
        let mut url = self.base.clone();
        url.set_query(None);
        url.into()
    }

    fn build(&self, prompt: &Prompt<'_>) -> HttpRequest {
        HttpRequest {
            url: request::url(&self.base, prompt.model),
            headers: self.headers.clone(),
            body: request::body(prompt, self.structured_output),
        }
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
