//! From `sites.store` and the environment to a connection with an object store.
//!
//! Credentials and endpoints come from the environment by the names that the providers' own tools
//! use (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT`, `GOOGLE_APPLICATION_CREDENTIALS`,
//! `AZURE_STORAGE_ACCOUNT_KEY`, ...), never from the URL. Requests go through the one HTTP client
//! of the process: its TLS, its connections, no proxy.

use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path;
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};
use url::Url;

use super::request_error::{Secrets, StoreError, StoreErrorKind, Trouble};
use crate::root::SitesRoot;
use sitewright_http::connect_within;
use sitewright_model::message;
use sitewright_model::message::Message;

/// Every limit on the way to an object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreLimits {
    /// Files of one release that are on their way at the same time. More than a few per release
    /// win nothing; 8 hide the time to answer.
    pub uploads_per_release: usize,
    /// Files of all releases that are on their way at the same time, each begun half MiB counted
    /// as one: they are in memory, so half as many MiB is the most that uploads take.
    pub uploads: usize,
    /// Time to connect.
    pub connect: Duration,
    /// Time for one request, from connecting until the answer begins: enough for the largest file
    /// over a slow line.
    pub request: Duration,
    /// How often a request is tried again after a lost connection, no answer, or an answer of the
    /// kind 5xx or 429.
    pub retries: usize,
    /// After how long a request is not tried again.
    pub retry_for: Duration,
    /// Time for one operation with all its tries, also when an answer begins and never ends.
    pub operation: Duration,
    /// Time to remove what a failed release left. It is a courtesy, and the store may be the
    /// reason.
    pub clean_up: Duration,
}

impl Default for StoreLimits {
    fn default() -> Self {
        StoreLimits {
            uploads_per_release: 8,
            uploads: 128,
            connect: Duration::from_secs(5),
            request: Duration::from_secs(60),
            retries: 5,
            retry_for: Duration::from_secs(60),
            operation: Duration::from_secs(180),
            clean_up: Duration::from_secs(15),
        }
    }
}

impl StoreLimits {
    fn retry(&self) -> RetryConfig {
        RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(5),
                base: 2.,
            },
            max_retries: self.retries,
            retry_timeout: self.retry_for,
        }
    }
}

/// Who runs a store, or whose protocol it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// `s3://`: Amazon's, and the many that speak its protocol.
    S3,
    /// `gs://`: Google Cloud Storage.
    Google,
    /// `az://`: Azure Blob Storage.
    Azure,
}

/// The names in the environment that messages speak of.
pub(super) struct Variables {
    prefix: &'static str,
    pub(super) credentials: &'static str,
    pub(super) endpoint: &'static str,
}

impl Provider {
    pub(super) fn variables(self) -> Variables {
        match self {
            Provider::S3 => Variables {
                prefix: "AWS_",
                credentials: "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment (profiles in `~/.aws` are not read), or give the machine a role",
                endpoint: "set AWS_ENDPOINT (and AWS_ALLOW_HTTP=true for `http://`) and AWS_REGION as the store wants them",
            },
            Provider::Google => Variables {
                prefix: "GOOGLE_",
                credentials: "GOOGLE_APPLICATION_CREDENTIALS in the environment to the key file of a service account, or give the machine one",
                endpoint: "set GOOGLE_BASE_URL if the store is not Google's own",
            },
            Provider::Azure => Variables {
                prefix: "AZURE_",
                credentials: "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY in the environment, or give the machine an identity",
                endpoint: "set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ENDPOINT (and AZURE_ALLOW_HTTP=true for `http://`) if the store is not Azure's own",
            },
        }
    }

    pub(super) fn bucket_word(self) -> &'static str {
        match self {
            Provider::S3 | Provider::Google => "bucket",
            Provider::Azure => "container",
        }
    }
}

/// What `sites.store` names.
#[derive(Debug)]
pub(super) enum Place {
    Folder,
    Objects(Bucket),
}

/// A bucket, and where in it.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    pub(super) provider: Provider,
    pub(super) name: String,
    /// Empty for the top of the bucket.
    pub(super) prefix: Path,
    /// The URL, without anything that could be secret.
    pub(super) shown: String,
}

/// Most bytes a prefix may have: an object's whole name has at most 1,024, and a site's path takes
/// its part.
const PREFIX_BYTES: usize = 512;

impl Place {
    pub(super) fn parse(url: Option<&str>, root: &SitesRoot) -> Result<Self, StoreError> {
        const FORMS: &str = "write it like `s3://bucket/prefix`, `gs://bucket/prefix` or \
                             `az://container/prefix`, or leave it out for the sites folder";
        let Some(text) = url.map(str::trim).filter(|text| *text != "file") else {
            return Ok(Place::Folder);
        };
        let wrong = |message| StoreError::new(StoreErrorKind::Configuration, message);
        // The text itself is not repeated: someone may have put a key into it.
        let url = Url::parse(text).map_err(|error| {
            wrong(message!("the value of `sites.store` is no URL: {error}; {FORMS}"))
        })?;
        let provider = match url.scheme() {
            "s3" => Provider::S3,
            "gs" => Provider::Google,
            "az" => Provider::Azure,
            "file" => {
                let path = url.to_file_path().ok().and_then(|path| std::path::absolute(path).ok());
                return if path.as_deref().is_some_and(|path| root.path() == path) {
                    Ok(Place::Folder)
                } else {
                    Err(wrong(message!(
                        "the value of `sites.store` names a folder that is not the sites folder \
                         `{}`; releases in a folder stay where they are made: set `sites` and \
                         leave out `sites.store`",
                        root.path().display()
                    )))
                };
            }
            scheme => {
                return Err(wrong(message!(
                    "the value of `sites.store` begins with `{scheme}://`, which is no store \
                     known here; {FORMS}"
                )));
            }
        };
        if !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return Err(wrong(message!(
                "the value of `sites.store` has more than a bucket and a prefix; leave out what \
                 stands before `@` and after `?` or `#`, and set {}",
                provider.variables().credentials
            )));
        }
        let Some(name) = url.host_str().filter(|name| !name.is_empty()) else {
            return Err(wrong(message!("the value of `sites.store` names no bucket; {FORMS}")));
        };
        if let Some(port) = url.port() {
            return Err(wrong(message!(
                "the value of `sites.store` has the port {port}; only a bucket belongs there: {}",
                provider.variables().endpoint
            )));
        }
        let prefix = Path::from_url_path(url.path()).map_err(|error| {
            wrong(message!("the prefix in `sites.store` cannot be used: {error}; {FORMS}"))
        })?;
        if prefix.as_ref().len() > PREFIX_BYTES {
            return Err(wrong(message!(
                "the prefix in `sites.store` has {} bytes, more than the limit of {PREFIX_BYTES}; \
                 use a shorter one",
                prefix.as_ref().len()
            )));
        }
        let mut shown = format!("{}://{name}", url.scheme());
        if !prefix.as_ref().is_empty() {
            shown = format!("{shown}/{prefix}");
        }
        Ok(Place::Objects(Bucket { provider, name: name.to_owned(), prefix, shown }))
    }
}

impl Bucket {
    /// Its provider's variables of the environment.
    pub(super) fn variables(
        &self,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Vec<(String, String)> {
        let prefix = self.provider.variables().prefix;
        let ours = |name: &str| {
            name.starts_with(prefix)
                || (self.provider == Provider::Google && name == "SERVICE_ACCOUNT")
                || (self.provider == Provider::Azure && name == "IDENTITY_ENDPOINT")
        };
        let texts = env.into_iter().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        texts.filter(|(name, value)| ours(name) && !value.is_empty()).collect()
    }

    /// The connection; nothing is asked yet. Blocking: key files are read.
    pub(super) fn connect(
        &self,
        variables: &[(String, String)],
        client: reqwest::Client,
        limits: &StoreLimits,
    ) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let secrets = Secrets::of(variables);
        let fallback = variables.iter().any(|(name, _)| name == "AWS_IMDSV1_FALLBACK");
        let connector = OneClient { client, fallback, limits: limits.clone() };
        let (name, retry) = (&self.name, limits.retry());
        let built = match self.provider {
            Provider::S3 => {
                let mut builder =
                    AmazonS3Builder::new().with_retry(retry).with_http_connector(connector);
                for (key, value) in
                    self.settings(variables, |key: &AmazonS3ConfigKey| client_key(key.as_ref()))?
                {
                    builder = builder.with_config(key, value);
                }
                builder
                    .with_bucket_name(name)
                    .build()
                    .map(|store| Arc::new(store) as Arc<dyn ObjectStore>)
            }
            Provider::Google => {
                let mut builder = GoogleCloudStorageBuilder::new()
                    .with_retry(retry)
                    .with_http_connector(connector);
                for (key, value) in
                    self.settings(variables, |key: &GoogleConfigKey| client_key(key.as_ref()))?
                {
                    builder = builder.with_config(key, value);
                }
                builder
                    .with_bucket_name(name)
                    .build()
                    .map(|store| Arc::new(store) as Arc<dyn ObjectStore>)
            }
            Provider::Azure => {
                let mut builder =
                    MicrosoftAzureBuilder::new().with_retry(retry).with_http_connector(connector);
                for (key, value) in
                    self.settings(variables, |key: &AzureConfigKey| client_key(key.as_ref()))?
                {
                    builder = builder.with_config(key, value);
                }
                builder
                    .with_container_name(name)
                    .build()
                    .map(|store| Arc::new(store) as Arc<dyn ObjectStore>)
            }
        };
        built.map_err(|error| {
            let Trouble { why, .. } = Trouble::of(&error, &secrets);
            let names = self.provider.variables();
            let message = message!(
                "the site store `{}` cannot be used with the environment as it is: {why}; set {}; \
                 {}",
                self.shown,
                names.credentials,
                names.endpoint
            );
            StoreError::new(StoreErrorKind::Configuration, message)
        })
    }

    /// The variables that mean something to the library. Those that would set up an HTTP client of
    /// its own are refused, not ignored.
    fn settings<'v, K: FromStr>(
        &self,
        variables: &'v [(String, String)],
        client_key: impl Fn(&K) -> Option<ClientConfigKey>,
    ) -> Result<Vec<(K, &'v str)>, StoreError> {
        let mut settings = Vec::new();
        for (name, value) in variables {
            let wrong = |message: Message| StoreError::new(StoreErrorKind::Configuration, message);
            // A password in an address would be printed with it.
            if Url::parse(value).is_ok_and(|url| url.password().is_some()) {
                return Err(wrong(message!(
                    "the site store `{}` cannot be used: the address in {name} has a password in \
                     it; leave it out and set {}",
                    self.shown,
                    self.provider.variables().credentials
                )));
            }
            let Ok(key) = name.to_ascii_lowercase().parse::<K>() else { continue };
            match client_key(&key) {
                None | Some(ClientConfigKey::AllowHttp) => settings.push((key, value.as_str())),
                Some(_) => {
                    return Err(wrong(message!(
                        "the site store `{}` cannot be used: {name} is set, which the host's own \
                         HTTP client does not follow; take it out of the environment",
                        self.shown
                    )));
                }
            }
        }
        Ok(settings)
    }
}

/// The setting of an HTTP client that `name` is, if it is one.
fn client_key(name: &str) -> Option<ClientConfigKey> {
    name.parse().ok()
}

/// Hands the process's own client to the library.
#[derive(Debug)]
struct OneClient {
    client: reqwest::Client,
    /// Whether a refusal by the metadata service is not the end.
    fallback: bool,
    limits: StoreLimits,
}

impl HttpConnector for OneClient {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let allow_http =
            options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|value| {
                ["1", "true", "on", "yes", "y"].contains(&value.to_ascii_lowercase().as_str())
            });
        // The library asks for an impatient client where it means the machine's own metadata
        // service; nobody else can.
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

/// The process's own client, with the limits of a store.
#[derive(Debug)]
struct Requests {
    client: reqwest::Client,
    metadata: bool,
    fallback: bool,
    connect: Duration,
    request: Duration,
    allow_http: bool,
}

/// Time for the machine's own metadata service, which is there at once or not at all.
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
        // Not worth another try: a machine without a role stays one.
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

/// A request was not answered in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} s", .limit.as_secs_f32())]
struct NoAnswer {
    limit: Duration,
}

/// The environment has no credentials, and neither has the machine.
#[derive(Debug, thiserror::Error)]
#[error("there are no credentials in the environment, and this machine has no role of its own")]
pub(super) struct NoCredentials {
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// The store would be spoken to without TLS, and nobody has allowed that.
#[derive(Debug)]
pub(super) struct NotEncrypted {
    host: String,
}

impl fmt::Display for NotEncrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the address of `{}` begins with `http://`, and unencrypted requests are not allowed",
            self.host
        )
    }
}

impl std::error::Error for NotEncrypted {}
