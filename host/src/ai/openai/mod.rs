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
use super::provider::{Adapter, Failure, HttpHead, HttpReply, HttpRequest, Prompt, StreamDecoder};
use super::said;
use super::secret::ApiKey;
use crate::message::Message;

/// One endpoint, ready to be called.
#[derive(Debug)]
pub(super) struct OpenAi {
    /// The whole address of the endpoint.
    url: Url,
    headers: HeaderMap,
    dialect: Dialect,
}

impl OpenAi {
    pub(super) fn new(url: Url, key: &ApiKey, dialect: Dialect) -> Result<Self, Message> {
        let (name, prefix) = dialect.key_header();
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
            url: self.url.clone(),
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
        said::failure(http)
    }
}

/// The meaning of a whole answer of the protocol, for those who make one up.
pub(super) fn decode(http: &HttpReply) -> Result<super::provider::Reply, Failure> {
    super::transport::whole(http, reply::decode, said::failure)
}
