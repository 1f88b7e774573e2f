//! What the provider says of itself: its discovery document and its keys. And how it is asked: with
//! the client of the process, and with bounds.

use std::pin::Pin;
use std::time::{Duration, Instant};

use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType,
    CoreJsonWebKey, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::url::{Host, Url};
use openidconnect::{
    AdditionalProviderMetadata, AsyncHttpClient, DiscoveryError, HttpRequest, HttpResponse,
    IssuerUrl, JsonWebKeySetUrl, ProviderMetadata,
};
use serde::{Deserialize, Serialize};
use sitewright_http::{Client, causes_with_self};
use sitewright_model::message::Message;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

use super::refusal::{LoginRefusal, said};

/// Maximum bytes of an answer: 256 KiB. The documents of large providers have 2 to 10 KiB.
const MAX_ANSWER: usize = 256 << 10;
/// How long a discovery document and its keys are used before they are asked for again: 1 h.
const FRESH: Duration = Duration::from_secs(60 * 60);
/// Logins that may be with the provider at once. Anybody can make up a cookie and a code, each pair
/// of which is a request to its token endpoint.
const MAX_LOGINS: usize = 16;

/// What a provider says of itself, with its keys.
pub(super) type Metadata = ProviderMetadata<
    MoreMetadata,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// What the library does not know of a discovery document.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct MoreMetadata {
    /// Every answer names the issuer (RFC 9207).
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for MoreMetadata {}

/// Why the provider did not answer a request.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{0}")]
    Request(String),
    #[error("the answer has more than {} KiB", MAX_ANSWER >> 10)]
    TooLong,
    #[error("no answer within {} ms", .0.as_millis())]
    Late(Duration),
}

impl FetchError {
    fn of(error: &reqwest::Error) -> Self {
        let causes = causes_with_self(error);
        let causes: Vec<&str> = causes.iter().map(Message::as_str).collect();
        FetchError::Request(causes.join(": "))
    }
}

/// Asks the provider. Redirects are not followed.
#[derive(Debug, Clone)]
pub(super) struct ProviderHttp {
    pub(super) client: Client,
    /// For a request, connecting included.
    pub(super) within: Duration,
}

impl ProviderHttp {
    async fn fetch(&self, request: HttpRequest) -> Result<HttpResponse, FetchError> {
        let asked = async {
            let request = reqwest::Request::try_from(request);
            let request = request.map_err(|error| FetchError::of(&error))?;
            let response = self.client.first().execute(request).await;
            let mut response = response.map_err(|error| FetchError::of(&error))?;
            let (status, headers) = (response.status(), response.headers().clone());
            let mut bytes = Vec::new();
            while let Some(chunk) =
                response.chunk().await.map_err(|error| FetchError::of(&error))?
            {
                if bytes.len().saturating_add(chunk.len()) > MAX_ANSWER {
                    return Err(FetchError::TooLong);
                }
                bytes.extend_from_slice(&chunk);
            }
            let mut answer = HttpResponse::new(bytes);
            *answer.status_mut() = status;
            *answer.headers_mut() = headers;
            Ok(answer)
        };
        let answered = tokio::time::timeout(self.within, asked).await;
        answered.unwrap_or(Err(FetchError::Late(self.within)))
    }
}

impl<'c> AsyncHttpClient<'c> for ProviderHttp {
    type Error = FetchError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, FetchError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.fetch(request))
    }
}

/// The provider, as far as it is known.
#[derive(Debug)]
pub(super) struct Provider {
    issuer: IssuerUrl,
    http: ProviderHttp,
    known: Mutex<Known>,
    logins: Semaphore,
    /// When its keys were asked for again last, with success.
    keys_at: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Known {
    metadata: Option<(Instant, Metadata)>,
    /// When it was asked last without success, and why.
    failed: Option<(Instant, LoginRefusal)>,
}

impl Provider {
    pub(super) fn new(issuer: IssuerUrl, http: ProviderHttp) -> Self {
        Provider {
            issuer,
            http,
            known: Mutex::default(),
            logins: Semaphore::new(MAX_LOGINS),
            keys_at: Mutex::default(),
        }
    }

    pub(super) fn issuer(&self) -> &IssuerUrl {
        &self.issuer
    }

    pub(super) fn http(&self) -> &ProviderHttp {
        &self.http
    }

    /// For the part of a login that asks the token endpoint.
    ///
    /// # Errors
    /// As many as may be are there already.
    pub(super) fn permit(&self) -> Result<SemaphorePermit<'_>, LoginRefusal> {
        self.logins.try_acquire().map_err(|_| {
            let why = format!("{MAX_LOGINS} logins wait for it already");
            LoginRefusal::Unavailable(why)
        })
    }

    /// What it says of itself, asked for if it is not known or an hour old. One caller asks and the
    /// others wait; after a failure nobody asks for as long as an answer may take.
    ///
    /// # Errors
    /// It is not known, and cannot be asked.
    pub(super) async fn metadata(&self) -> Result<Metadata, LoginRefusal> {
        let mut known = self.known.lock().await;
        if let Some((at, metadata)) = &known.metadata
            && at.elapsed() < FRESH
        {
            return Ok(metadata.clone());
        }
        let failed = match &known.failed {
            Some((at, why)) if at.elapsed() < self.http.within => why.clone(),
            _ => match self.discover().await {
                Ok(metadata) => {
                    let found = (Instant::now(), metadata.clone());
                    *known = Known { metadata: Some(found), failed: None };
                    return Ok(metadata);
                }
                Err(why) => {
                    tracing::warn!(issuer = self.issuer.as_str(), "{why}");
                    known.failed = Some((Instant::now(), why.clone()));
                    why
                }
            },
        };
        // An old document is better than none.
        known.metadata.as_ref().map(|(_, metadata)| metadata.clone()).ok_or(failed)
    }

    async fn discover(&self) -> Result<Metadata, LoginRefusal> {
        let found = Metadata::discover_async(self.issuer.clone(), &self.http).await;
        let metadata =
            found.map_err(|error| unavailable(&error, "its discovery document, or its keys,"))?;
        let endpoints = [
            Some(metadata.authorization_endpoint().url()),
            metadata.token_endpoint().map(|endpoint| endpoint.url()),
            Some(metadata.jwks_uri().url()),
        ];
        let open = endpoints.into_iter().flatten().find(|url| !is_protected(url));
        if let Some(url) = open {
            let url = said(url.as_str());
            let why = format!("its discovery document names {url}, which is not https");
            return Err(LoginRefusal::Unavailable(why));
        }
        Ok(metadata)
    }

    /// Asks for the keys again, because a token fits none of those that were known at `known_at`:
    /// providers replace them. Only the provider itself can cause it, with a token of its token
    /// endpoint. One caller asks, and the others wait for its answer.
    ///
    /// # Errors
    /// They cannot be had.
    pub(super) async fn new_keys(
        &self,
        at: &JsonWebKeySetUrl,
        known_at: Instant,
    ) -> Result<CoreJsonWebKeySet, LoginRefusal> {
        let mut keys_at = self.keys_at.lock().await;
        if keys_at.is_some_and(|asked| asked > known_at)
            && let Some((_, metadata)) = &self.known.lock().await.metadata
        {
            return Ok(metadata.jwks().clone());
        }
        let fetched = CoreJsonWebKeySet::fetch_async(at, &self.http).await;
        let keys = fetched.map_err(|error| unavailable(&error, "its keys"))?;
        if let Some((_, metadata)) = &mut self.known.lock().await.metadata {
            *metadata = metadata.clone().set_jwks(keys.clone());
        }
        *keys_at = Some(Instant::now());
        Ok(keys)
    }
}

/// Whether nobody between can read or change what is sent there.
pub(super) fn is_protected(url: &Url) -> bool {
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_local)
}

fn unavailable(error: &DiscoveryError<FetchError>, what: &str) -> LoginRefusal {
    let why = match error {
        DiscoveryError::Request(error) => error.to_string(),
        DiscoveryError::Parse(error) => error.to_string(),
        DiscoveryError::Response(_, _, why) => why.clone(),
        other => other.to_string(),
    };
    LoginRefusal::Unavailable(format!("{what} cannot be had: {}", said(&why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_make_up_keeps_few_requests_at_the_provider() {
        let client = sitewright_http::client().unwrap();
        let http = ProviderHttp { client, within: Duration::from_secs(1) };
        let issuer = IssuerUrl::new("https://login.example".to_owned()).unwrap();
        let provider = Provider::new(issuer, http);
        let mut permits: Vec<_> = (0..MAX_LOGINS).map(|_| provider.permit().unwrap()).collect();
        let refusal = provider.permit().unwrap_err().to_string();
        assert!(refusal.contains("16 logins wait for it already"), "{refusal}");
        drop(permits.pop());
        assert!(provider.permit().is_ok());
    }
}
