//! Chat completions: OpenAI's, and those of everyone who speaks the same.

mod dialect;
mod reply;
mod request;
mod stream;
#[cfg(test)]
mod tests;

use reqwest::header::HeaderMap;
use url::Url;

pub use dialect::Dialect;

use super::answer::Answer;
use super::config::{OpenAiConfig, endpoint};
use super::error_body;
use super::provider::{Adapter, Failure, HttpHead, HttpReply, HttpRequest, Prompt, StreamDecoder};
use super::secret::ApiKey;
use sitewright_model::message::Message;

/// One endpoint, ready to be called.
#[derive(Debug)]
pub(super) struct OpenAi {
    /// The whole address of the endpoint, but for what the dialect adds for a model.
    url: Url,
    headers: HeaderMap,
    dialect: Dialect,
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
        let headers = key.header(prefix)?.map(|value| (name, value)).into_iter().collect();
        Ok(OpenAi { url, headers, dialect })
    }
}

impl Adapter for OpenAi {
    fn kind(&self) -> &'static str {
        "openai"
    }

    fn place(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.into()
    }

    fn build(&self, prompt: &Prompt<'_>) -> HttpRequest {
        HttpRequest {
            url: self.dialect.url(&self.url, prompt.model),
            headers: self.headers.clone(),
            body: request::body(prompt, self.dialect),
        }
    }

    fn decoder(&self, head: &HttpHead) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::new(head.clone()))
    }

    fn whole(&self, http: &HttpReply) -> Result<Answer, Failure> {
        reply::decode(http)
    }

    fn map_error(&self, http: &HttpReply) -> Failure {
        error_body::failure(http)
    }
}

/// The meaning of a whole answer of the protocol, for those who make one up.
pub(super) fn decode(http: &HttpReply) -> Result<super::provider::Reply, Failure> {
    super::transport::whole(http, reply::decode, error_body::failure)
}
