//! Receivers with their secrets, made from the configuration.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sitewright_jobs::{CALLBACK, Seen, WebhookEvent};
use sitewright_model::message;
use sitewright_model::message::Message;
use url::Url;

use super::config::{CallbackConfig, WebhookConfig};
use super::secret::Secret;
use super::target::{shown, target};

/// Milliseconds in which a receiver must answer, at least and at most.
const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 100..=60_000;
/// Maximum length of a webhook's name, in characters.
const MAX_NAME: usize = 60;
/// Maximum bytes of a file of secrets.
const MAX_FILE: u64 = 8 << 10;

/// The receivers cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WebhooksError {
    /// A key of the configuration is wrong.
    #[error("`{key}` {why}")]
    Wrong {
        /// `webhooks.crm.url`.
        key: String,
        why: Message,
    },
    /// The secret is not where a key says, or is none. It may be there after a restart.
    #[error("`{key}` {why}")]
    Secret {
        /// `webhooks.crm.secret_env`.
        key: String,
        why: Message,
    },
}

/// How a receiver is called.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// `None` for callbacks: each order has its own.
    pub url: Option<Url>,
    pub events: Vec<WebhookEvent>,
    pub allow_private: bool,
    /// Time for an answer, connecting included.
    pub timeout: Duration,
    pub(crate) secrets: Vec<Secret>,
}

/// All receivers of a configuration, by name. The callbacks of orders are the one with the name
/// [`CALLBACK`].
#[derive(Debug, Clone, Default)]
pub struct Webhooks {
    receivers: BTreeMap<String, Receiver>,
}

impl Webhooks {
    /// Reads the secrets. Blocks on file I/O. Files are relative to `base`.
    ///
    /// # Errors
    /// A key is wrong, or a secret cannot be read.
    pub fn read(
        webhooks: &BTreeMap<String, WebhookConfig>,
        callbacks: Option<&CallbackConfig>,
        base: &Path,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, WebhooksError> {
        let mut receivers = BTreeMap::new();
        for (name, config) in webhooks {
            let key = |key: &str| format!("webhooks.{name}.{key}");
            let wrong = |at: &str, why: Message| WebhooksError::Wrong { key: key(at), why };
            check_name("webhooks", name)?;
            if name == CALLBACK {
                let why = message!("has the name of the callbacks of orders; give it another one");
                return Err(WebhooksError::Wrong { key: format!("webhooks.{name}"), why });
            }
            let url = target(&config.url, config.allow_private).map_err(|why| wrong("url", why))?;
            if config.events.contains(&WebhookEvent::WebhookTest) {
                let why = message!(
                    "has `{}`, which only `sitewright webhook test` sends; leave it out",
                    WebhookEvent::WebhookTest
                );
                return Err(wrong("events", why));
            }
            if config.events.is_empty() {
                let why = message!("is empty; leave it out for all events of orders");
                return Err(wrong("events", why));
            }
            let mut events = config.events.clone();
            events.sort_unstable();
            events.dedup();
            let from = Source { env: &config.secret_env, file: config.secret_file.as_deref() };
            let receiver = Receiver {
                url: Some(url),
                events,
                allow_private: config.allow_private,
                timeout: timeout(config.timeout_ms).map_err(|why| wrong("timeout_ms", why))?,
                secrets: from.read(&key, base, env)?,
            };
            receivers.insert(name.clone(), receiver);
        }
        if let Some(config) = callbacks {
            let key = |key: &str| format!("callbacks.{key}");
            let wrong = |at: &str, why: Message| WebhooksError::Wrong { key: key(at), why };
            let from = Source { env: &config.secret_env, file: config.secret_file.as_deref() };
            let receiver = Receiver {
                url: None,
                events: Vec::new(),
                allow_private: config.allow_private,
                timeout: timeout(config.timeout_ms).map_err(|why| wrong("timeout_ms", why))?,
                secrets: from.read(&key, base, env)?,
            };
            receivers.insert(CALLBACK.to_owned(), receiver);
        }
        Ok(Webhooks { receivers })
    }

    /// Whether there is no receiver, so that nothing is sent.
    pub fn is_empty(&self) -> bool {
        self.receivers.is_empty()
    }

    /// The receiver with this name.
    pub fn receiver(&self, name: &str) -> Option<&Receiver> {
        self.receivers.get(name)
    }

    /// The names of all receivers.
    pub fn names(&self) -> Vec<String> {
        self.receivers.keys().cloned().collect()
    }

    /// As the queue stores them.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let seen = |(name, receiver): (&String, &Receiver)| Seen {
            name: name.clone(),
            url: receiver.url.as_ref().map(shown).unwrap_or_default(),
            events: receiver.events.clone(),
        };
        self.receivers.iter().map(seen).collect()
    }
}

/// Checks the name of a receiver or sender in this table of the configuration.
pub(crate) fn check_name(table: &str, name: &str) -> Result<(), WebhooksError> {
    let wrong = |why| Err(WebhooksError::Wrong { key: format!("{table}.{name}"), why });
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.chars().count() > MAX_NAME || !name.chars().all(is_plain) {
        return wrong(message!(
            "has a name that cannot be used; use 1 to {MAX_NAME} letters, digits, - and _"
        ));
    }
    Ok(())
}

fn timeout(ms: u64) -> Result<Duration, Message> {
    if TIMEOUT_MS.contains(&ms) {
        return Ok(Duration::from_millis(ms));
    }
    let (least, most) = (TIMEOUT_MS.start(), TIMEOUT_MS.end());
    Err(message!("is {ms}, but must be between {least} and {most}"))
}

/// Where a secret is read from: the keys `secret_env` and `secret_file` of a table.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Name of an environment variable.
    pub env: &'a Option<String>,
    /// Relative to the folder of the configuration.
    pub file: Option<&'a Path>,
}

impl Source<'_> {
    fn read(
        &self,
        key: &dyn Fn(&str) -> String,
        base: &Path,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Vec<Secret>, WebhooksError> {
        self.read_as(key, base, env, Secret::read_all)
    }

    /// Reads the text and makes a secret of it. Blocks on file I/O. `key` is the whole name of a
    /// key of the table.
    ///
    /// # Errors
    /// A key is wrong, the text cannot be read, or `read` refuses it.
    pub fn read_as<T>(
        &self,
        key: &dyn Fn(&str) -> String,
        base: &Path,
        env: &dyn Fn(&str) -> Option<OsString>,
        read: impl FnOnce(&SecretString) -> Result<T, Message>,
    ) -> Result<T, WebhooksError> {
        let (at, text) = match (self.env, self.file) {
            (Some(name), None) => ("secret_env", from_env(name, env)),
            (None, Some(path)) => ("secret_file", from_file(&base.join(path))),
            (None, None) => {
                let why = message!("is missing; name a variable, or a file with `secret_file`");
                return Err(WebhooksError::Wrong { key: key("secret_env"), why });
            }
            (Some(_), Some(_)) => {
                let why = message!("is set beside `secret_file`; set one of the two");
                return Err(WebhooksError::Wrong { key: key("secret_env"), why });
            }
        };
        let secrets = text.and_then(|(from, text)| {
            // Some editors on Windows write a byte order mark.
            let text = text.expose_secret().trim_start_matches('\u{feff}');
            let text = SecretString::from(text);
            read(&text).map_err(|why| message!("names {from}, which {why}"))
        });
        secrets.map_err(|why| WebhooksError::Secret { key: key(at), why })
    }
}

/// The value of a variable, behind what to call it.
fn from_env(
    name: &str,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<(String, SecretString), Message> {
    let value = env(name);
    let value = value.ok_or_else(|| message!("names the variable {name}, which is not set"))?;
    let value = value
        .into_string()
        .map_err(|_| message!("names the variable {name}, which is not valid UTF-8"))?;
    Ok((format!("the variable {name}"), SecretString::from(value)))
}

/// The content of a file, behind what to call it.
fn from_file(path: &Path) -> Result<(String, SecretString), Message> {
    use std::io::Read as _;
    let shown = path.display();
    let unreadable =
        |error: std::io::Error| message!("names {shown}, which cannot be read: {error}");
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE {
        return Err(message!("names {shown}, which has more than {MAX_FILE} bytes"));
    }
    Ok((shown.to_string(), SecretString::from(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(change: impl FnOnce(&mut WebhookConfig)) -> BTreeMap<String, WebhookConfig> {
        let mut config = WebhookConfig {
            url: "https://crm.example/hook?key=1".to_owned(),
            events: WebhookEvent::OF_ORDERS.to_vec(),
            secret_env: Some("GOOD".to_owned()),
            secret_file: None,
            allow_private: false,
            timeout_ms: 1_000,
        };
        change(&mut config);
        BTreeMap::from([("crm".to_owned(), config)])
    }

    fn read(webhooks: &BTreeMap<String, WebhookConfig>) -> Result<Webhooks, WebhooksError> {
        let env = |name: &str| match name {
            "GOOD" => Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()),
            "BAD" => Some("hunter2".into()),
            _ => None,
        };
        Webhooks::read(webhooks, None, Path::new("/nowhere"), &env)
    }

    #[test]
    fn what_is_wrong_names_its_key() {
        type Change = fn(&mut WebhookConfig);
        let cases: [(Change, &str); 10] = [
            (
                |config| config.url = "http://crm.example".to_owned(),
                "`webhooks.crm.url` begins with http://",
            ),
            (|config| config.events.clear(), "`webhooks.crm.events` is empty"),
            (
                |config| config.events.push(WebhookEvent::WebhookTest),
                "`webhooks.crm.events` has `webhook.test`",
            ),
            (|config| config.timeout_ms = 99, "`webhooks.crm.timeout_ms` is 99"),
            (|config| config.timeout_ms = 60_001, "`webhooks.crm.timeout_ms` is 60001"),
            (|config| config.secret_env = None, "`webhooks.crm.secret_env` is missing"),
            (
                |config| config.secret_file = Some("x".into()),
                "`webhooks.crm.secret_env` is set beside `secret_file`",
            ),
            (
                |config| config.secret_env = Some("NONE".to_owned()),
                "`webhooks.crm.secret_env` names the variable NONE, which is not set",
            ),
            (
                |config| config.secret_env = Some("BAD".to_owned()),
                "names the variable BAD, which does not begin with whsec_",
            ),
            (
                |config| {
                    config.secret_env = None;
                    config.secret_file = Some("none".into());
                },
                "`webhooks.crm.secret_file` names /nowhere/none, which cannot be read",
            ),
        ];
        for (change, says) in cases {
            let error = read(&config(change)).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        for name in ["", "a.b", "callback", "ü"] {
            let of = config(|_| {}).remove("crm").unwrap();
            let error = read(&BTreeMap::from([(name.to_owned(), of)])).unwrap_err();
            assert!(matches!(error, WebhooksError::Wrong { .. }), "{name}");
        }
        let all = config(|config| config.events.extend(WebhookEvent::OF_OPERATION));
        let seen = read(&all).unwrap().seen();
        assert_eq!(seen[0].events.len(), 10, "{:?}", seen[0].events);
        assert_eq!(seen[0].url, "https://crm.example/", "only the host is shown");
    }
}
