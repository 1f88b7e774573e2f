//! API keys: where they are read from, and the type that does not print them.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::RwLock;
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use super::adapter::KeyHeader;
use super::config::EndpointConfig;
use super::key_command::{KeyCommand, PrintedKey};
use super::redact::{self, Redactor};
use sitewright_model::message;
use sitewright_model::message::Message;

/// Where a key is read from. `Display` is for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeySource {
    Env(String),
    File(PathBuf),
    Command(KeyCommand),
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySource::Env(name) => write!(f, "api_key_env {name}"),
            KeySource::File(path) => write!(f, "api_key_file {}", path.display()),
            KeySource::Command(command) => command.fmt(f),
        }
    }
}

impl KeySource {
    /// The key of the configuration.
    fn field(&self) -> &'static str {
        match self {
            KeySource::Env(_) => "api_key_env",
            KeySource::File(_) => "api_key_file",
            KeySource::Command(_) => "api_key_command",
        }
    }
}

/// One key, as it is now. `Debug` does not print it.
#[derive(Debug)]
pub(super) struct Key {
    secret: SecretString,
    /// When it is to be read again; `None` if it does not expire.
    until: Option<Instant>,
    /// The value of its header, made at the first request. A provider has one prefix.
    header: OnceLock<HeaderValue>,
}

impl Key {
    /// # Errors
    /// It has characters that a header cannot have.
    fn new(
        secret: SecretString,
        until: Option<Instant>,
        from: &KeySource,
    ) -> Result<Self, Message> {
        if HeaderValue::from_str(secret.expose_secret()).is_err() {
            return Err(message!(
                "the key of {from} contains characters that are not valid in a key; check that it \
                 is the right file or text"
            ));
        }
        Ok(Key { secret, until, header: OnceLock::new() })
    }

    #[cfg(test)]
    pub(super) fn of_tests(text: &str) -> Self {
        Key { secret: SecretString::from(text), until: None, header: OnceLock::new() }
    }

    /// The value of a header with the key after this prefix (`Bearer `), marked sensitive.
    pub(super) fn header(&self, prefix: &str) -> Option<HeaderValue> {
        if let Some(value) = self.header.get() {
            return Some(value.clone());
        }
        let text = SecretString::from(format!("{prefix}{}", self.secret.expose_secret()));
        // The key was checked when it was read, and prefixes are constants.
        let mut value = HeaderValue::from_str(text.expose_secret()).ok()?;
        value.set_sensitive(true);
        Some(self.header.get_or_init(|| value).clone())
    }

    fn is_fresh(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }

    fn is(&self, other: &Key) -> bool {
        self.secret.expose_secret() == other.secret.expose_secret()
    }
}

/// Supplies the key of a provider: reads it again when it expires, when the provider refuses it,
/// and when the operator asks for it. `Debug` prints its source, not its value.
pub(super) struct ApiKey {
    /// `None` if the provider is called without a key.
    pub(super) source: Option<KeySource>,
    /// For how long a key of a command is used that does not say so.
    lifetime: Duration,
    state: RwLock<State>,
    /// Held while the key is read, so that it is read once for all calls that wait for it. Never
    /// held during a request to the provider.
    reading: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct State {
    /// The current key; `None` before a command has run.
    key: Option<Arc<Key>>,
    /// Whether it must be read again before the next call.
    is_stale: bool,
    /// How the last reading ended, and when.
    last: Option<(Instant, Result<(), Message>)>,
    /// The keys that were given out last, the current one at the end.
    given: VecDeque<SecretString>,
    /// Other secrets that are sent to the provider.
    others: Vec<SecretString>,
    /// For all of them.
    redactor: Redactor,
}

/// Why a key cannot be used, with the field of the configuration (failure catalogue A9).
pub(super) struct KeyProblem {
    pub(super) field: &'static str,
    pub(super) message: Message,
}

/// Why there is no key for a call.
#[derive(Debug)]
pub(super) enum NoKey {
    /// It cannot be read.
    Unreadable(Message),
    /// The call's deadline passed before it was read.
    Late,
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("source", &self.source).finish_non_exhaustive()
    }
}

impl ApiKey {
    /// Maximum length of a key in bytes. A longer file is not a key file.
    pub(super) const MAX_BYTES: usize = 8 * 1024;

    /// Number of keys of one provider that are redacted: the current one and those before it. A
    /// call in flight also redacts the key that it was sent with.
    const REMEMBERED: usize = 4;

    /// Minimum time between two runs of a command because of an expiry, also if it prints keys that
    /// have expired already.
    const MIN_LIFETIME: Duration = Duration::from_secs(30);

    /// Maximum time for which a key of a command is used.
    const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

    /// Reads the configured key; a command runs before the first call. Blocks on file I/O.
    pub(super) fn read(
        config: &EndpointConfig,
        base_dir: &Path,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, KeyProblem> {
        let limit = Duration::from_millis(config.api_key_command_ms);
        let command = config.api_key_command.as_deref();
        let command = command.and_then(|argv| KeyCommand::new(argv, limit, base_dir));
        let source = match (&config.api_key_env, &config.api_key_file, command) {
            (Some(name), _, _) => Some(KeySource::Env(name.clone())),
            (None, Some(path), _) => Some(KeySource::File(base_dir.join(path))),
            (None, None, Some(command)) => Some(KeySource::Command(command)),
            (None, None, None) => None,
        };
        let problem = |source: &KeySource, message| KeyProblem { field: source.field(), message };
        let text = match &source {
            Some(from @ KeySource::Env(name)) => {
                Some(from_env(name, env).map_err(|message| problem(from, message))?)
            }
            Some(from @ KeySource::File(path)) => {
                Some(from_file(path).map_err(|message| problem(from, message))?)
            }
            Some(KeySource::Command(_)) | None => None,
        };
        let mut state = State::default();
        if let (Some(text), Some(source)) = (text, &source) {
            let secret = SecretString::from(text);
            let key = Key::new(secret.clone(), None, source);
            let key = key.map_err(|message| problem(source, message))?;
            redact::remember(&secret);
            state.redactor = Redactor::new([secret.clone()]);
            state.given.push_back(secret);
            state.key = Some(Arc::new(key));
        }
        Ok(ApiKey {
            source,
            lifetime: Duration::from_millis(config.api_key_lifetime_ms),
            state: RwLock::new(state),
            reading: Arc::default(),
        })
    }

    /// The header in which the key is sent, after this prefix; `None` without a key.
    pub(super) fn sent_in(&self, name: HeaderName, prefix: &'static str) -> Option<KeyHeader> {
        self.source.as_ref().map(|_| KeyHeader { name, prefix })
    }

    /// Whether both are the same key, as far as that is known without running a command.
    pub(super) fn is_same(&self, other: &ApiKey) -> bool {
        match (&self.source, &other.source) {
            (Some(KeySource::Command(one)), Some(KeySource::Command(other))) => one == other,
            (Some(KeySource::Command(_)), _) | (_, Some(KeySource::Command(_))) => false,
            _ => match (&self.state.read().key, &other.state.read().key) {
                (None, None) => true,
                (Some(one), Some(other)) => one.is(other),
                _ => false,
            },
        }
    }

    /// A redactor for the keys that were given out, and for the other secrets of the provider.
    pub(super) fn redactor(&self) -> Redactor {
        self.state.read().redactor.clone()
    }

    /// Adds secrets that are sent to the provider too.
    pub(super) fn redact_too(&self, secrets: &[SecretString]) {
        if secrets.is_empty() {
            return;
        }
        let mut state = self.state.write();
        state.others.extend_from_slice(secrets);
        state.redactor = state.all_redacted();
    }

    /// Has a file or a command read again before the next call.
    pub(super) fn expire(&self) {
        self.state.write().is_stale = true;
    }

    /// The key for a request; `None` if the provider is called without one.
    ///
    /// # Errors
    /// There is none: see [`NoKey`].
    pub(super) async fn current(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> Result<Option<Arc<Key>>, NoKey> {
        let Some(source) = &self.source else { return Ok(None) };
        let is_fixed = matches!(source, KeySource::Env(_));
        let known = {
            let state = self.state.read();
            let key = state.key.clone();
            key.filter(|key| is_fixed || (!state.is_stale && key.is_fresh()))
        };
        match known {
            Some(key) => Ok(Some(key)),
            // Boxed to keep the future of a waiting call small.
            None => Box::pin(self.newest(source, deadline)).await.map(Some),
        }
    }

    /// The key, read again; the one before if that fails and it is still valid.
    async fn newest(
        self: &Arc<Self>,
        source: &KeySource,
        deadline: Instant,
    ) -> Result<Arc<Key>, NoKey> {
        match self.read_again(source, deadline).await {
            Err(NoKey::Unreadable(message)) => {
                let known = self.state.read().key.clone();
                let Some(key) = known.filter(|key| key.is_fresh()) else {
                    return Err(NoKey::Unreadable(message));
                };
                tracing::warn!("the key that was read before is used: {message}");
                Ok(key)
            }
            read => read,
        }
    }

    /// Another key than this one, which the provider has refused; `None` if there is no other.
    pub(super) async fn other_than(
        self: &Arc<Self>,
        refused: &Key,
        deadline: Instant,
    ) -> Option<Arc<Key>> {
        let source = self.source.as_ref().filter(|source| !matches!(source, KeySource::Env(_)))?;
        let known = self.state.read().key.clone();
        // Another call may have read it since.
        if let Some(key) = known.filter(|key| !key.is(refused)) {
            return Some(key);
        }
        match self.read_again(source, deadline).await {
            Ok(key) => Some(key).filter(|key| !key.is(refused)),
            Err(NoKey::Unreadable(message)) => {
                tracing::warn!("the provider refused its key, which was read again: {message}");
                None
            }
            Err(NoKey::Late) => None,
        }
    }

    /// Reads the key, or waits for the call that is reading it.
    async fn read_again(
        self: &Arc<Self>,
        source: &KeySource,
        deadline: Instant,
    ) -> Result<Arc<Key>, NoKey> {
        let asked = Instant::now();
        let guard = timeout_at(deadline, self.reading.clone().lock_owned());
        let guard = guard.await.map_err(|_| NoKey::Late)?;
        if let Some(result) = self.read_since(asked) {
            return result;
        }
        let (this, source) = (self.clone(), source.clone());
        // In a task of its own: the others wait for it, also if this call is dropped.
        let reading = tokio::spawn(
            async move {
                let _guard = guard;
                this.read_source(&source).await
            }
            .in_current_span(),
        );
        match timeout_at(deadline, reading).await {
            Ok(Ok(result)) => result.map_err(NoKey::Unreadable),
            Ok(Err(error)) => Err(NoKey::Unreadable(message!(
                "its key could not be read, which is a bug in Sitewright: {error}"
            ))),
            Err(_) => Err(NoKey::Late),
        }
    }

    /// The result of a reading that has ended since.
    fn read_since(&self, asked: Instant) -> Option<Result<Arc<Key>, NoKey>> {
        let state = self.state.read();
        let (_, result) = state.last.as_ref().filter(|(ended, _)| *ended >= asked)?;
        Some(match (result, &state.key) {
            (Ok(()), Some(key)) => Ok(key.clone()),
            (Ok(()), None) => return None,
            (Err(message), _) => Err(NoKey::Unreadable(message.clone())),
        })
    }

    async fn read_source(&self, source: &KeySource) -> Result<Arc<Key>, Message> {
        // Before it is read: what changes meanwhile is read by the next call.
        self.state.write().is_stale = false;
        let read = match source {
            KeySource::Env(name) => {
                Err(message!("the environment variable {name} does not change while we run"))
            }
            KeySource::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || from_file(&path)).await;
                read.unwrap_or_else(|error| Err(message!("the key file was not read: {error}")))
                    .map(|text| (SecretString::from(text), None))
            }
            KeySource::Command(command) => {
                command.run().await.map(|PrintedKey { key, lifetime }| {
                    let lifetime = lifetime.map_or(self.lifetime, |says| {
                        // Before the end, so that no request arrives after it.
                        (says - (says / 10).min(Self::MIN_LIFETIME)).max(Self::MIN_LIFETIME)
                    });
                    (key, Some(Instant::now() + lifetime.min(Self::MAX_LIFETIME)))
                })
            }
        };
        let key = read.and_then(|(secret, until)| Key::new(secret, until, source));
        let key = match key {
            Ok(key) => Arc::new(key),
            Err(message) => {
                self.state.write().last = Some((Instant::now(), Err(message.clone())));
                return Err(message);
            }
        };
        // Redacted before anybody gets it. Compiling the search takes a while.
        let secret = key.secret.clone();
        let (given, others) = {
            let state = self.state.read();
            (state.given_with(&secret), state.others.clone())
        };
        let all: Vec<SecretString> = given.iter().chain(&others).cloned().collect();
        let redactor = tokio::task::spawn_blocking(move || {
            redact::remember_for_a_while(&secret);
            Redactor::new(all)
        });
        let redactor = redactor
            .await
            .map_err(|error| message!("the key cannot be redacted, which is a bug: {error}"))?;
        let mut state = self.state.write();
        state.given = given;
        state.redactor = redactor;
        state.key = Some(key.clone());
        state.last = Some((Instant::now(), Ok(())));
        Ok(key)
    }
}

impl State {
    /// The keys that were given out, with this one at the end.
    fn given_with(&self, secret: &SecretString) -> VecDeque<SecretString> {
        let mut given = self.given.clone();
        given.retain(|known| known.expose_secret() != secret.expose_secret());
        given.push_back(secret.clone());
        while given.len() > ApiKey::REMEMBERED {
            given.pop_front();
        }
        given
    }

    fn all_redacted(&self) -> Redactor {
        Redactor::new(self.given.iter().chain(&self.others).cloned())
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
    // Some editors on Windows write a byte order mark.
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err(message!("the key file {shown} is empty; put the provider's key there"));
    }
    Ok(text.to_owned())
}
