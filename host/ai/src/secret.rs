//! API keys: where they are read from, and the type that does not print them.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::config::EndpointConfig;
use super::redact::{self, Redactor};
use sitewright_model::message;
use sitewright_model::message::Message;

/// Where a key is read from, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeySource {
    Env(String),
    File(PathBuf),
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySource::Env(name) => write!(f, "api_key_env {name}"),
            KeySource::File(path) => write!(f, "api_key_file {}", path.display()),
        }
    }
}

/// A provider's key. `Debug` prints its source, not its value.
#[derive(Debug, Clone)]
pub(super) struct ApiKey {
    /// `None` if the provider is called without a key.
    pub(super) source: Option<KeySource>,
    secret: Option<SecretString>,
    redactor: Redactor,
}

/// Why a key cannot be used, with the field of the configuration (failure catalogue A9).
pub(super) struct KeyProblem {
    pub(super) field: &'static str,
    pub(super) message: Message,
}

impl ApiKey {
    /// Maximum length of a key in bytes. A longer file is not a key file.
    pub(super) const MAX_BYTES: usize = 8 * 1024;

    /// Reads the configured key. Blocks on file I/O.
    pub(super) fn read(
        config: &EndpointConfig,
        base_dir: &Path,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, KeyProblem> {
        let (source, text) = match (&config.api_key_env, &config.api_key_file) {
            (None, None) => {
                return Ok(ApiKey { source: None, secret: None, redactor: Redactor::default() });
            }
            (Some(name), _) => {
                let text = from_env(name, env)
                    .map_err(|message| KeyProblem { field: "api_key_env", message })?;
                (KeySource::Env(name.clone()), text)
            }
            (None, Some(path)) => {
                let path = base_dir.join(path);
                let text = from_file(&path)
                    .map_err(|message| KeyProblem { field: "api_key_file", message })?;
                (KeySource::File(path), text)
            }
        };
        let field = match source {
            KeySource::Env(_) => "api_key_env",
            KeySource::File(_) => "api_key_file",
        };
        let secret = SecretString::from(text);
        let redactor = Redactor::new([secret.clone()]);
        let key = ApiKey { source: Some(source), secret: Some(secret), redactor };
        key.header("").map_err(|message| KeyProblem { field, message })?;
        if let Some(secret) = key.secret() {
            redact::remember(secret);
        }
        Ok(key)
    }

    /// The value of a header with the key after this prefix (`Bearer `), marked sensitive. `None`
    /// without a key.
    pub(super) fn header(&self, prefix: &str) -> Result<Option<HeaderValue>, Message> {
        let (Some(secret), Some(source)) = (&self.secret, &self.source) else { return Ok(None) };
        let value = SecretString::from(format!("{prefix}{}", secret.expose_secret()));
        let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| {
            message!(
                "the key of {source} contains characters that are not valid in a key; check \
                 that it is the right file or text"
            )
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// The key itself, to compare it with others.
    pub(super) fn secret(&self) -> Option<&SecretString> {
        self.secret.as_ref()
    }

    /// A redactor for the key.
    pub(super) fn redactor(&self) -> &Redactor {
        &self.redactor
    }
}

/// The text of an environment variable that holds a secret.
pub(super) fn from_env(
    name: &str,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<String, Message> {
    let value = env(name).ok_or_else(|| {
        message!("the environment variable {name} is not set; put the provider's key there")
    })?;
    let text = value.into_string().map_err(|_| {
        message!("the environment variable {name} is not UTF-8 text; put the provider's key there")
    })?;
    let text = text.trim();
    if text.len() > ApiKey::MAX_BYTES {
        let max = ApiKey::MAX_BYTES;
        return Err(message!(
            "the environment variable {name} is over {max} bytes; put only the provider's key \
             there"
        ));
    }
    if text.is_empty() {
        return Err(message!(
            "the environment variable {name} is empty; put the provider's key there"
        ));
    }
    Ok(text.to_owned())
}

/// The text of a file that holds a secret. Blocks on file I/O.
pub(super) fn from_file(path: &Path) -> Result<String, Message> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        message!("the key file {shown} cannot be read ({error}); put the provider's key there")
    };
    let file = fs::File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(message!(
            "the key file {shown} is a directory; name the file that holds the provider's key"
        ));
    }
    let mut bytes = Vec::new();
    file.take(ApiKey::MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > ApiKey::MAX_BYTES {
        let max = ApiKey::MAX_BYTES;
        return Err(message!(
            "the key file {shown} is over {max} bytes; name the file that holds only the key"
        ));
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        message!(
            "the key file {shown} is not UTF-8 text; name the file that holds only the provider's \
             key"
        )
    })?;
    let text = text.trim();
    if text.is_empty() {
        return Err(message!("the key file {shown} is empty; put the provider's key there"));
    }
    Ok(text.to_owned())
}
