//! Ollama's own API.

mod reply;
mod request;
#[cfg(test)]
mod tests;

use reqwest::header::{AUTHORIZATION, HeaderMap};
use url::Url;

use super::answer::Answer;
use super::config::{OllamaConfig, base};
use super::provider::{Adapter, Failure, HttpHead, HttpReply, HttpRequest, Prompt, StreamDecoder};
use super::secret::ApiKey;
use super::stream_deltas::PartDecoder;
use sitewright_model::message::Message;

/// One server, ready to be called.
#[derive(Debug)]
pub(super) struct Ollama {
    url: Url,
    headers: HeaderMap,
    context_tokens: Option<u32>,
}

impl Ollama {
    pub(super) fn new(config: &OllamaConfig, key: &ApiKey) -> Result<Self, Message> {
        let mut url = base(&config.base_url, OllamaConfig::BASE_URL)?;
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix("/chat").unwrap_or(path);
        let path = format!("{}/api/chat", path.strip_suffix("/api").unwrap_or(path));
        url.set_path(&path);
        let key = key.header("Bearer ")?.map(|value| (AUTHORIZATION, value));
        Ok(Ollama {
            url,
            headers: key.into_iter().collect(),
            context_tokens: config.context_tokens,
        })
    }
}

impl Adapter for Ollama {
    fn kind(&self) -> &'static str {
        "ollama"
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
            body: request::body(prompt, self.context_tokens),
        }
    }

    /// Everything: a whole answer is a stream of one line. What is no JSON at all is told for what
    /// it is.
    fn is_stream(&self, beginning: &[u8]) -> bool {
        let beginning =
            beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning).trim_ascii_start();
        beginning.first().is_none_or(|first| *first == b'{')
    }

    fn decoder(&self, head: &HttpHead) -> Box<dyn StreamDecoder> {
        PartDecoder::lines(head, reply::Lines::default())
    }

    fn whole(&self, http: &HttpReply) -> Result<Answer, Failure> {
        reply::whole(http)
    }

    fn map_error(&self, http: &HttpReply) -> Failure {
        reply::failure(http)
    }
}
