//! The bucket that `sites.store` names, and whose environment variables it takes.

use std::ffi::OsString;

use object_store::path::Path;
use url::Url;

use super::error::StoreError;
use super::location::{FORMS, wrong};
use sitewright_model::message;

/// The protocol of an object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provider {
    /// `s3://`: Amazon S3, and stores with the same protocol.
    S3,
    /// `gs://`: Google Cloud Storage.
    Google,
    /// `az://`: Azure Blob Storage.
    Azure,
}

/// A provider's environment variables, as parts of sentences: "set {credentials}", "or {endpoint}".
pub(super) struct Variables {
    /// Prefix of the names of all its variables.
    prefix: &'static str,
    pub(super) credentials: &'static str,
    pub(super) endpoint: &'static str,
}

impl Provider {
    pub(super) fn variables(self) -> Variables {
        match self {
            Provider::S3 => Variables {
                prefix: "AWS_",
                credentials: "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment \
                              (profiles in `~/.aws` are not read), or give the machine a role",
                endpoint: "set AWS_ENDPOINT (and AWS_ALLOW_HTTP=true for `http://`) and \
                           AWS_REGION as the store wants them",
            },
            Provider::Google => Variables {
                prefix: "GOOGLE_",
                credentials: "GOOGLE_APPLICATION_CREDENTIALS in the environment to the key file \
                              of a service account, or give the machine one",
                endpoint: "set GOOGLE_BASE_URL if the store is not Google's own",
            },
            Provider::Azure => Variables {
                prefix: "AZURE_",
                credentials: "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY in the \
                              environment, or give the machine an identity",
                endpoint: "set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ENDPOINT (and \
                           AZURE_ALLOW_HTTP=true for `http://`) if the store is not Azure's own",
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

/// A bucket or container, and a prefix in it.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    pub(super) provider: Provider,
    pub(super) name: String,
    /// Empty for the root of the bucket.
    pub(super) prefix: Path,
    /// The URL for messages; contains no secrets.
    pub(super) shown: String,
}

/// Maximum length of a prefix, in bytes. An object's whole name has at most 1,024, and a site's
/// path needs the rest.
const PREFIX_BYTES: usize = 512;

impl Bucket {
    /// Reads bucket and prefix from the URL.
    pub(super) fn parse(provider: Provider, url: &Url) -> Result<Self, StoreError> {
        if !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return Err(wrong(message!(
                "the value of `sites.store` has more than a bucket and a prefix; leave out what \
                 is before `@` and after `?` or `#`, and set {}",
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
        Ok(Bucket { provider, name: name.to_owned(), prefix, shown })
    }

    /// The provider's variables in the environment.
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
}
