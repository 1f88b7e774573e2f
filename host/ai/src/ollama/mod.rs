//! Ollama's own API.

mod reply;
mod request;
#[cfg(test)]
mod tests;

use reqwest::header::AUTHORIZATION;

use super::adapter::{Adapter, Endpoint};
use super::answer::Answer;
use super::config::{OllamaConfig, base};
use super::failure::AttemptFailure;
use super::secret::ApiKey;
use super::stream_deltas::{Framing, StreamDeltas};
use super::wire::{HttpReply, Prompt};
use sitewright_model::message::Message;

#[derive(Debug)]
pub(super) struct Ollama {
    endpoint: Endpoint,
    context_tokens: Option<u32>,
}

impl Ollama {
    pub(super) fn new(config: &OllamaConfig, key: &ApiKey) -> Result<Self, Message> {
        let mut url = base(&config.base_url, OllamaConfig::BASE_URL)?;
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix("/chat").unwrap_or(path);
        let path = format!("{}/api/chat", path.strip_suffix("/api").unwrap_or(path));
        url.set_path(&path);
        let endpoint = Endpoint::new(url, key.sent_in(AUTHORIZATION, "Bearer "));
        Ok(Ollama { endpoint, context_tokens: config.context_tokens })
    }
}

impl Adapter for Ollama {
    fn kind(&self) -> &'static str {
        "ollama"
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn body(&self, prompt: &Prompt<'_>) -> Vec<u8> {
        request::body(prompt, self.context_tokens)
    }

    fn framing(&self) -> Framing {
        Framing::lines()
    }

    /// Every JSON object: a whole response is a stream of one line.
    fn is_stream(&self, beginning: &[u8]) -> bool {
        let beginning =
            beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning).trim_ascii_start();
        beginning.first().is_none_or(|first| *first == b'{')
    }

    fn deltas(&self) -> Box<dyn StreamDeltas> {
        Box::new(reply::Deltas::default())
    }

    fn whole(&self, http: &HttpReply) -> Result<Answer, AttemptFailure> {
        reply::whole(http)
    }

    fn map_error(&self, http: &HttpReply) -> AttemptFailure {
        reply::failure(http)
    }
}
