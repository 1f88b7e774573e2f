//! Chat completions: OpenAI's, and those of everyone who speaks the same.

mod errors;
mod reply;
mod request;
#[cfg(test)]
mod tests;

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap};
use url::Url;

pub(super) use reply::decode;

use super::provider::{Failure, Prompt, Reply};
use super::secret::ApiKey;
use super::transport::{HttpRequest, Transport};

/// One endpoint, ready to be called.
#[derive(Debug)]
pub(super) struct OpenAi {
    /// The whole address of the endpoint.
    pub(super) url: Url,
    pub(super) key: ApiKey,
    /// The `authorization` header, marked sensitive.
    pub(super) headers: HeaderMap,
    pub(super) connect_limit: Duration,
    pub(super) call_limit: Duration,
}

impl OpenAi {
    pub(super) fn new(
        url: Url,
        key: ApiKey,
        connect_limit: Duration,
        call_limit: Duration,
    ) -> Result<Self, crate::message::Message> {
        let headers = key.header()?.map(|value| (AUTHORIZATION, value)).into_iter().collect();
        Ok(OpenAi { url, key, headers, connect_limit, call_limit })
    }

    pub(super) async fn call(&self, prompt: Prompt<'_>, transport: &Transport) -> Result<Reply, Failure> {
        let request = HttpRequest {
            url: self.url.clone(),
            headers: self.headers.clone(),
            body: request::body(&prompt, request::Dialect::of(&self.url)),
            connect_limit: self.connect_limit,
        };
        decode(&transport.post_json(request).await?)
    }

    /// The address without its query.
    pub(super) fn place(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.into()
    }
}
