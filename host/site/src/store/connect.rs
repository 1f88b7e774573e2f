//! The client of an object store, from a bucket and the environment.
//!
//! Credentials and endpoints come from the environment by the names that the providers' own tools
//! use (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT`, `GOOGLE_APPLICATION_CREDENTIALS`,
//! `AZURE_STORAGE_ACCOUNT_KEY`, ...), never from the URL.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};
use url::Url;

use super::bucket::{Bucket, Provider};
use super::error::{StoreError, StoreErrorKind};
use super::http::SharedClient;
use super::limits::StoreLimits;
use super::request_error::RequestError;
use super::secrets::Secrets;
use sitewright_model::message;
use sitewright_model::message::Message;

impl StoreLimits {
    pub(super) fn retry(&self) -> RetryConfig {
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

impl Bucket {
    /// Makes the client of the object store. Sends no request. Blocking: reads key files.
    pub(super) fn connect(
        &self,
        variables: &[(String, String)],
        client: reqwest::Client,
        limits: &StoreLimits,
    ) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let secrets = Secrets::of(variables);
        let fallback = variables.iter().any(|(name, _)| name == "AWS_IMDSV1_FALLBACK");
        let connector = SharedClient { client, fallback, limits: limits.clone() };
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
            let RequestError { why, .. } = RequestError::from_library(&error, &secrets);
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

    /// The variables that the library knows.
    ///
    /// # Errors
    /// A variable that configures an HTTP client of the library, because ours is used, and one with
    /// a password in a URL.
    fn settings<'v, K: FromStr>(
        &self,
        variables: &'v [(String, String)],
        client_key: impl Fn(&K) -> Option<ClientConfigKey>,
    ) -> Result<Vec<(K, &'v str)>, StoreError> {
        let mut settings = Vec::new();
        for (name, value) in variables {
            let wrong = |message: Message| StoreError::new(StoreErrorKind::Configuration, message);
            // The library prints URLs, a password included.
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
                         HTTP client does not support; take it out of the environment",
                        self.shown
                    )));
                }
            }
        }
        Ok(settings)
    }
}

/// The setting of an HTTP client that `name` is; `None` if it is another kind of setting.
fn client_key(name: &str) -> Option<ClientConfigKey> {
    name.parse().ok()
}
