//! Requests of the object store's library, sent with the one HTTP client of the process: its TLS,
//! its connections, no proxy.

use std::time::Duration;

use async_trait::async_trait;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::{ClientConfigKey, ClientOptions};

use super::limits::StoreLimits;
use sitewright_http::connect_within;

/// Makes the library send its requests with the process's own client.
#[derive(Debug)]
pub(super) struct SharedClient {
    pub(super) client: reqwest::Client,
    /// Whether the library may go on after the metadata service rejected a request
    /// (`AWS_IMDSV1_FALLBACK`).
    pub(super) fallback: bool,
    pub(super) limits: StoreLimits,
}

impl HttpConnector for SharedClient {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let allow_http =
            options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|value| {
                ["1", "true", "on", "yes", "y"].contains(&value.to_ascii_lowercase().as_str())
            });
        // The library sets a connect time-out of 1 s for the machine's metadata service only;
        // `settings` rejects the variable that could set it elsewhere.
        let metadata = options
            .get_config_value(&ClientConfigKey::ConnectTimeout)
            .is_some_and(|value| value == "1s");
        Ok(HttpClient::new(Requests {
            client: self.client.clone(),
            metadata,
            fallback: self.fallback,
            connect: self.limits.connect,
            request: self.limits.request,
            allow_http,
        }))
    }
}

/// The process's own client, with the time-outs of a store.
#[derive(Debug)]
struct Requests {
    client: reqwest::Client,
    metadata: bool,
    fallback: bool,
    connect: Duration,
    request: Duration,
    allow_http: bool,
}

/// Time-out of the machine's metadata service, which answers at once or does not exist.
const METADATA: Duration = Duration::from_secs(2);

#[async_trait]
impl HttpService for Requests {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let uri = request.uri();
        let host = uri.host().unwrap_or_default().to_owned();
        let plain = uri.scheme_str() == Some("http");
        let metadata = plain && (self.metadata || host.starts_with("169.254."));
        if plain && !metadata && !self.allow_http {
            return Err(HttpError::new(HttpErrorKind::Unknown, NotEncrypted { host }));
        }
        let (connect, limit) =
            if metadata { (METADATA, METADATA) } else { (self.connect, self.request) };
        let (answer, _) = connect_within(connect, HttpService::call(&self.client, request));
        let answer = tokio::time::timeout(limit, answer)
            .await
            .unwrap_or_else(|_| Err(HttpError::new(HttpErrorKind::Timeout, NoAnswer { limit })));
        if !metadata {
            return answer;
        }
        // `Unknown` is not retried: a machine without a role does not get one in seconds.
        let none = |source| Err(HttpError::new(HttpErrorKind::Unknown, NoCredentials { source }));
        match answer {
            Err(error) => none(error.into()),
            Ok(answer) if answer.status().is_client_error() && !self.fallback => {
                none(format!("its metadata service answered {}", answer.status()).into())
            }
            Ok(answer) => Ok(answer),
        }
    }
}

/// The response did not begin within the time-out.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} s", .limit.as_secs_f32())]
struct NoAnswer {
    limit: Duration,
}

/// Neither the environment nor the machine's metadata service has credentials.
#[derive(Debug, thiserror::Error)]
#[error("there are no credentials in the environment, and this machine has no role of its own")]
pub(super) struct NoCredentials {
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// The endpoint is `http://`, and `..._ALLOW_HTTP` is not set.
#[derive(Debug, thiserror::Error)]
#[error("the address of `{host}` begins with `http://`, and unencrypted requests are not allowed")]
pub(super) struct NotEncrypted {
    host: String,
}
