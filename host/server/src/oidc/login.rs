//! A login: the way to the provider, and who has come back from it.
//!
//! A browser that begins one gets a secret in a cookie. What goes through addresses and to the
//! provider is derived from it: the state, the nonce, and what PKCE keeps back until the end. So a
//! login can only be ended by the browser that began it, and the server remembers none: nobody can
//! fill its memory, and a restart in between does not matter.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClientAuthMethod,
    CoreErrorResponseType, CoreGenderClaim, CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKey,
    CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
    CoreRequestTokenError, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreTokenIntrospectionResponse,
};
use openidconnect::url::Url;
use openidconnect::{
    AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken,
    EmptyAdditionalClaims, EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl, Nonce,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError,
    SignatureVerificationError, StandardErrorResponse, TokenResponse as _,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use sitewright_http::Client as HttpClient;
use sitewright_jobs::is_tenant;
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::time::now_ms;
use sitewright_webhooks::{Source, WebhooksError};

use super::config::OidcConfig;
use super::person::{ALL, Person};
use super::provider::{FetchError, Metadata, Provider, ProviderHttp, is_protected};
use super::refusal::{LoginRefusal, said};
use super::token_answer::TokenAnswer;
use crate::console::is_same;

/// Seconds in which a login must end: 10 min.
pub(crate) const LASTS_SECONDS: i64 = 10 * 60;
/// How far the clocks of provider and server may differ.
const LEEWAY: TimeDelta = TimeDelta::seconds(60);
/// Bounds of `timeout_ms`.
const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 100..=10_000;
/// Characters of a login's secret: 256 random bits in hexadecimal digits.
const SECRET: usize = 64;
/// The path of the redirect URI.
const CALLBACK: &str = "/console/oidc/callback";

/// How ID tokens may be signed: with a key of the provider. Not with the client secret (HS256),
/// which more parties have than the provider, and not at all.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// What is derived from the secret of a login.
#[derive(Debug, Clone, Copy)]
enum Part {
    State,
    Nonce,
    Verifier,
}

impl Part {
    /// Says nothing of the secret and of the other parts.
    fn of(self, secret: &str) -> String {
        let name = match self {
            Part::State => "state",
            Part::Nonce => "nonce",
            Part::Verifier => "verifier",
        };
        hex::encode(Sha256::digest(format!("{name}:{secret}")))
    }
}

/// `[server.oidc]` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// A key of the configuration is wrong.
    #[error("`server.oidc.{key}` {why}")]
    Wrong { key: &'static str, why: Message },
    /// The client secret is not where a key says, or the keys for it are wrong.
    #[error(transparent)]
    Secret(#[from] WebhooksError),
}

/// Logging in with OpenID Connect. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Oidc {
    config: Arc<OidcConfig>,
    secret: Option<SecretString>,
    /// An origin: without a slash at the end.
    console_url: String,
    redirect: RedirectUrl,
    label: String,
    provider: Arc<Provider>,
}

/// What the provider adds to the address that it sends a browser back to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reply<'a> {
    pub(crate) state: Option<&'a str>,
    pub(crate) code: Option<&'a str>,
    /// RFC 9207.
    pub(crate) iss: Option<&'a str>,
    pub(crate) error: Option<&'a str>,
    pub(crate) error_description: Option<&'a str>,
}

/// That of the library, with another answer of the token endpoint.
type Client = openidconnect::Client<
    EmptyAdditionalClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    TokenAnswer,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

impl Oidc {
    /// Reads the secret, relative to `base` if it is a file. Blocks on file I/O. Does not ask the
    /// provider: one that is down does not stop the server.
    ///
    /// # Errors
    /// A key is wrong, or the secret cannot be read.
    pub fn new(
        config: &OidcConfig,
        base: &Path,
        env: &dyn Fn(&str) -> Option<OsString>,
        client: HttpClient,
    ) -> Result<Self, OidcError> {
        let wrong = |key, why| OidcError::Wrong { key, why };
        let issuer = IssuerUrl::new(config.issuer.clone()).map_err(|error| {
            wrong("issuer", message!("is no address: {error}; write https://login.example"))
        })?;
        check_url(issuer.url()).map_err(|why| wrong("issuer", why))?;
        let parsed = Url::parse(config.console_url.trim_end_matches('/')).map_err(|error| {
            wrong("console_url", message!("is no address: {error}; write https://console.example"))
        })?;
        check_url(&parsed).map_err(|why| wrong("console_url", why))?;
        if parsed.path() != "/" {
            let why = message!("has a path; the console is at /console of a host of its own");
            return Err(wrong("console_url", why));
        }
        // As browsers write it: `HTTPS://Console.example:443` is the same origin.
        let console_url = parsed.origin().ascii_serialization();
        let redirect = RedirectUrl::new(format!("{console_url}{CALLBACK}"));
        let redirect =
            redirect.map_err(|error| wrong("console_url", message!("is no address: {error}")))?;
        if config.client_id.trim().is_empty() {
            return Err(wrong("client_id", message!("is empty; the provider has it")));
        }
        if !TIMEOUT_MS.contains(&config.timeout_ms) {
            let (given, least, most) = (config.timeout_ms, TIMEOUT_MS.start(), TIMEOUT_MS.end());
            let why = message!("is {given}, but must be between {least} and {most}");
            return Err(wrong("timeout_ms", why));
        }
        if config.tenant_claim.is_none() && !config.tenants.is_empty() {
            let why = message!("is set without `tenant_claim`, which says whose tenant it is");
            return Err(wrong("tenants", why));
        }
        if let Some(tenant) =
            config.tenants.values().find(|tenant| *tenant != ALL && !is_tenant(tenant))
        {
            let why =
                message!("names {tenant:?}, which is no tenant: 1 to 100 characters on one line");
            return Err(wrong("tenants", why));
        }
        if config.scopes.is_empty() {
            tracing::warn!("`server.oidc.scopes` is empty: nobody gets in with OpenID Connect");
        }
        let host = issuer.url().host_str().unwrap_or_default().to_owned();
        let http = ProviderHttp { client, within: Duration::from_millis(config.timeout_ms) };
        Ok(Oidc {
            secret: secret(config, base, env)?,
            console_url,
            redirect,
            label: config.label.clone().unwrap_or(host),
            provider: Arc::new(Provider::new(issuer, http)),
            config: Arc::new(config.clone()),
        })
    }

    /// What the button calls the provider.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// How browsers reach the server, without a slash at the end.
    pub(crate) fn console_url(&self) -> &str {
        &self.console_url
    }

    /// Whether browsers come with TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.console_url.starts_with("https://")
    }

    /// The page of the provider for a login with this secret.
    ///
    /// # Errors
    /// The provider cannot be asked where that is.
    pub(crate) async fn authorization(&self, secret: &str) -> Result<Url, LoginRefusal> {
        let metadata = self.provider.metadata().await?;
        let (state, nonce) = (Part::State.of(secret), Part::Nonce.of(secret));
        let verifier = PkceCodeVerifier::new(Part::Verifier.of(secret));
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        let scopes = self.config.request_scopes.iter().filter(|scope| *scope != "openid");
        let client = self.client(metadata);
        let request = client.authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            move || CsrfToken::new(state),
            move || Nonce::new(nonce),
        );
        let (url, _, _) = request
            .add_scopes(scopes.map(|scope| openidconnect::Scope::new(scope.clone())))
            .set_pkce_challenge(challenge)
            .url();
        Ok(url)
    }

    /// Who has come back from the provider, in the browser that has this secret.
    ///
    /// # Errors
    /// Nobody gets in.
    pub(crate) async fn finish(
        &self,
        secret: &str,
        reply: &Reply<'_>,
    ) -> Result<Person, LoginRefusal> {
        let state = Part::State.of(secret);
        let is_own = reply.state.is_some_and(|given| is_same(given, &state));
        if secret.len() != SECRET || !is_own {
            return Err(LoginRefusal::NotBegun);
        }
        let metadata = self.provider.metadata().await?;
        self.check_issuer(reply, &metadata)?;
        if let Some(error) = reply.error {
            let says = match reply.error_description {
                Some(description) => format!("{error} ({description})"),
                None => error.to_owned(),
            };
            return Err(LoginRefusal::ByProvider(said(&says)));
        }
        let code = reply.code.ok_or(LoginRefusal::NoCode)?;
        let (keys, keys_at) = (metadata.jwks().clone(), metadata.jwks_uri().clone());
        let known_at = Instant::now();
        // Until the end: what others make up must not become more requests than these.
        let _permit = self.provider.permit()?;
        let client = self.client(metadata);
        let request = client.exchange_code(AuthorizationCode::new(code.to_owned()));
        let request = request.map_err(|_| {
            let why = "its discovery document has no token endpoint".to_owned();
            LoginRefusal::Unavailable(why)
        })?;
        let request = request.set_pkce_verifier(PkceCodeVerifier::new(Part::Verifier.of(secret)));
        let answer = request.request_async(self.provider.http()).await;
        let answer = answer.map_err(|error| self.not_exchanged(&error))?;
        let token = answer.id_token().ok_or_else(|| match answer.error() {
            Some(error) => LoginRefusal::Code(self.shown(error)),
            None => LoginRefusal::NoIdToken,
        })?;
        let nonce = Nonce::new(Part::Nonce.of(secret));
        let mut verified = self.verify(keys, token, &nonce);
        if verified.as_ref().is_err_and(may_be_of_new_key) {
            let keys = self.provider.new_keys(&keys_at, known_at).await?;
            verified = self.verify(keys, token, &nonce);
        }
        verified.map_err(|error| not_verified(&error))?;
        let claims = claims(token)?;
        check_begin(&claims)?;
        Person::of(&self.config, &claims)
    }

    /// What the provider says of a request, in one short line and without the client secret, which
    /// was in that request: strangers see the page that shows it.
    fn shown(&self, text: &str) -> String {
        match &self.secret {
            Some(secret) => said(&text.replace(secret.expose_secret(), "[client secret removed]")),
            None => said(text),
        }
    }

    fn not_exchanged(&self, error: &CoreRequestTokenError<FetchError>) -> LoginRefusal {
        match error {
            RequestTokenError::ServerResponse(answer) => {
                LoginRefusal::Code(self.shown(&answer.to_string()))
            }
            RequestTokenError::Request(error) => LoginRefusal::Unavailable(error.to_string()),
            // An ID token is read with the answer that it is in.
            RequestTokenError::Parse(error, _) => {
                let why = format!("the answer with it cannot be read: {error}");
                LoginRefusal::Unusable(self.shown(&why))
            }
            RequestTokenError::Other(why) => LoginRefusal::Code(self.shown(why)),
        }
    }

    /// Refuses what another issuer sent the browser back with: a code of it would be given to this
    /// one (mix-up).
    fn check_issuer(&self, reply: &Reply<'_>, metadata: &Metadata) -> Result<(), LoginRefusal> {
        let must = metadata.additional_metadata().authorization_response_iss_parameter_supported;
        match reply.iss {
            Some(issuer) if issuer == self.provider.issuer().as_str() => Ok(()),
            Some(issuer) => Err(LoginRefusal::OtherIssuer(said(issuer))),
            None if must => {
                let why = "the answer does not name it (`iss`), as the provider says that all do";
                Err(LoginRefusal::OtherIssuer(why.to_owned()))
            }
            None => Ok(()),
        }
    }

    fn client(&self, metadata: Metadata) -> Client {
        let takes = |method: CoreClientAuthMethod| {
            let methods = metadata.token_endpoint_auth_methods_supported();
            // Without a list, it is `client_secret_basic`.
            methods.map(|methods| methods.contains(&method))
        };
        let in_body = takes(CoreClientAuthMethod::ClientSecretBasic) == Some(false)
            && takes(CoreClientAuthMethod::ClientSecretPost) == Some(true);
        let secret = self.secret.as_ref();
        let secret = secret.map(|secret| ClientSecret::new(secret.expose_secret().to_owned()));
        let client = Client::from_provider_metadata(metadata, self.client_id(), secret)
            .set_redirect_uri(self.redirect.clone());
        if in_body { client.set_auth_type(AuthType::RequestBody) } else { client }
    }

    fn client_id(&self) -> ClientId {
        ClientId::new(self.config.client_id.clone())
    }

    fn verify(
        &self,
        keys: CoreJsonWebKeySet,
        token: &CoreIdToken,
        nonce: &Nonce,
    ) -> Result<(), ClaimsVerificationError> {
        let now = now();
        let latest = now.checked_add_signed(LEEWAY).unwrap_or(now);
        let issuer = self.provider.issuer().clone();
        let verifier = CoreIdTokenVerifier::new_public_client(self.client_id(), issuer, keys)
            .set_allowed_algs(ALGORITHMS)
            .set_time_fn(move || now - LEEWAY)
            .set_issue_time_verifier_fn(move |issued| {
                if issued <= latest {
                    return Ok(());
                }
                Err(format!("it was issued at {issued}, and the time of the server is {now}"))
            });
        let claims = token.claims(&verifier, nonce)?;
        match claims.authorized_party() {
            Some(party) if *party != self.client_id() => {
                let why = format!("it was issued to {} (`azp`)", party.as_str());
                Err(ClaimsVerificationError::InvalidAudience(why))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a token may be signed with a key that is not known. A provider whose tokens do not name
/// their key (`kid`) replaces it all the same: then the old one does not fit, or several do.
fn may_be_of_new_key(error: &ClaimsVerificationError) -> bool {
    matches!(
        error,
        ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey
                | SignatureVerificationError::AmbiguousKeyId(_)
                | SignatureVerificationError::CryptoError(_)
        )
    )
}

/// Refuses an address that others can read, or that has more than it should.
fn check_url(url: &Url) -> Result<(), Message> {
    if !is_protected(url) {
        return Err(message!("must begin with https://; http:// is for this machine only"));
    }
    let has_more = url.query().is_some()
        || url.fragment().is_some()
        || !url.username().is_empty()
        || url.password().is_some();
    if has_more {
        return Err(message!("must have no user, no `?` and no `#`"));
    }
    Ok(())
}

/// The client secret; `None` for a public client.
fn secret(
    config: &OidcConfig,
    base: &Path,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Option<SecretString>, OidcError> {
    if config.secret_env.is_none() && config.secret_file.is_none() {
        return Ok(None);
    }
    let from = Source { env: &config.secret_env, file: config.secret_file.as_deref() };
    let read = |text: &SecretString| match text.expose_secret().trim() {
        "" => Err(message!("is empty; put the client secret of the provider there")),
        secret => Ok(SecretString::from(secret)),
    };
    Ok(Some(from.read_as(&|key: &str| format!("server.oidc.{key}"), base, env, read)?))
}

/// All claims of a token that was verified.
fn claims(token: &CoreIdToken) -> Result<Map<String, Value>, LoginRefusal> {
    let text = token.to_string();
    let payload = text.split('.').nth(1).unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(payload).ok();
    let claims = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    claims.ok_or_else(|| LoginRefusal::Unusable("its claims are no JSON object".to_owned()))
}

/// Refuses a token before the time that it counts from (`nbf`), which is none of OpenID Connect's
/// own claims: the library does not look at it.
fn check_begin(claims: &Map<String, Value>) -> Result<(), LoginRefusal> {
    let begins = match claims.get("nbf") {
        None | Some(Value::Null) => return Ok(()),
        Some(value) => value
            .as_f64()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .and_then(|since| TimeDelta::from_std(since).ok())
            .and_then(|since| DateTime::<Utc>::UNIX_EPOCH.checked_add_signed(since)),
    };
    let Some(begins) = begins else {
        return Err(LoginRefusal::Unusable("its claim `nbf` is no time".to_owned()));
    };
    let now = now();
    if begins <= now.checked_add_signed(LEEWAY).unwrap_or(now) {
        return Ok(());
    }
    let why = format!("it counts from {begins} on, and the time of the server is {now}");
    Err(LoginRefusal::Clock(why))
}

/// A time that cannot be told is after the end of every token.
fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(now_ms()).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn not_verified(error: &ClaimsVerificationError) -> LoginRefusal {
    match error {
        ClaimsVerificationError::Expired(why) => LoginRefusal::Clock(said(why)),
        ClaimsVerificationError::InvalidAudience(why) => LoginRefusal::Audience(said(why)),
        ClaimsVerificationError::InvalidIssuer(why) => LoginRefusal::OtherIssuer(said(why)),
        ClaimsVerificationError::InvalidNonce(why) => LoginRefusal::Nonce(said(why)),
        ClaimsVerificationError::SignatureVerification(why) => {
            LoginRefusal::Signature(said(&why.to_string()))
        }
        other => LoginRefusal::Unusable(said(&other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_wrong_are_named() {
        let client = sitewright_http::client().unwrap();
        let base = Path::new("/nowhere");
        let env = |name: &str| (name == "SET").then(|| OsString::from(" secret\n"));
        let read = |change: &str| {
            let text = format!(
                "{{\"issuer\": \"https://login.example/realms/a\", \"client_id\": \"a\", \
                 \"console_url\": \"https://console.example/\"{change}}}"
            );
            let config: Map<String, Value> = serde_json::from_str(&text).unwrap();
            let config: OidcConfig = serde_json::from_value(Value::Object(config)).unwrap();
            Oidc::new(&config, base, &env, client.clone())
        };
        let oidc = read(", \"secret_env\": \"SET\"").unwrap();
        assert_eq!(oidc.label(), "login.example");
        assert_eq!(oidc.console_url(), "https://console.example");
        assert_eq!(oidc.redirect.as_str(), "https://console.example/console/oidc/callback");
        assert_eq!(oidc.secret.as_ref().unwrap().expose_secret(), "secret");
        assert!(!format!("{oidc:?}").contains("secret\""));
        assert!(read("").unwrap().secret.is_none(), "a public client");
        let loud = read(", \"console_url\": \"HTTPS://Console.example:443/\"").unwrap();
        assert!(loud.is_https() && loud.console_url() == "https://console.example");
        let local = read(", \"console_url\": \"http://localhost:8080\"").unwrap();
        assert!(!local.is_https() && local.console_url() == "http://localhost:8080");
        for issuer in ["http://localhost:1", "http://127.0.0.1:9400/", "http://[::1]/x"] {
            assert!(read(&format!(", \"issuer\": {issuer:?}")).is_ok(), "{issuer}");
        }
        for (change, says) in [
            (r#", "issuer": "login.example""#, "`server.oidc.issuer` is no address"),
            (r#", "issuer": "http://login.example""#, "`server.oidc.issuer` must begin with https"),
            (r#", "issuer": "http://localhost.evil.example""#, "must begin with https"),
            (r#", "issuer": "ftp://localhost""#, "must begin with https"),
            (r#", "issuer": "https://a@login.example""#, "must have no user"),
            (r#", "console_url": "http://console.example""#, "`server.oidc.console_url` must"),
            (r#", "console_url": "https://console.example/x""#, "has a path"),
            (r#", "console_url": "https://console.example?x""#, "must have no user"),
            (r#", "client_id": " ""#, "`server.oidc.client_id` is empty"),
            (r#", "timeout_ms": 99"#, "`server.oidc.timeout_ms` is 99"),
            (r#", "timeout_ms": 10001"#, "between 100 and 10000"),
            (r#", "tenants": { "a": "b" }"#, "is set without `tenant_claim`"),
            (r#", "tenant_claim": "a", "tenants": { "a": " " }"#, "which is no tenant"),
            (r#", "secret_env": "UNSET""#, "`server.oidc.secret_env` names the variable UNSET"),
            (r#", "secret_file": "none""#, "`server.oidc.secret_file` names /nowhere/none"),
            (r#", "secret_env": "SET", "secret_file": "x""#, "set one of the two"),
        ] {
            let error = read(change).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(says), "{change}: {error}");
        }
    }

    #[test]
    fn the_parts_of_a_login_differ_and_fit_pkce() {
        let parts = [Part::State, Part::Nonce, Part::Verifier].map(|part| part.of("a"));
        assert!(parts[0] != parts[1] && parts[1] != parts[2] && parts[0] != parts[2]);
        assert!(parts.iter().all(|part| (43..=128).contains(&part.len())));
        assert_ne!(Part::State.of("a"), Part::State.of("b"));
    }
}
