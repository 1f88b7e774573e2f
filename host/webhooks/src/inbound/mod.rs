//! Webhooks that others send to `POST /hooks/NAME`: who sent one, and which order it means.
//!
//! | file | what it answers |
//! |---|---|
//! | `config` | what does the operator say of a sender? |
//! | `proof` | who sent a body? |
//! | `mapping` | which order document does a body mean? |
//!
//! A body is proven in two steps, so that one of a stranger is not read: [`Hook::begin`] sees the
//! headers, and [`Begun::finish`] the bytes.

mod config;
mod mapping;
mod proof;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use serde_json::Value;
use sitewright_jobs::is_tenant;
use sitewright_model::message;
use sitewright_model::message::Message;

pub use config::{HookConfig, HookKind};
use mapping::Mapping;
use proof::Proof;
pub use proof::{Begun, Unproven};

use super::settings::{Source, WebhooksError, check_name};

/// All senders of a configuration, by name.
pub type Hooks = BTreeMap<String, Hook>;

/// A sender of webhooks.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Name of the template of its orders.
    pub template: String,
    /// Priority of its orders: 1 to 4.
    pub priority: i64,
    /// Whether nobody waits for its orders.
    pub batch: bool,
    /// Label of whoever its orders are for.
    pub tenant: Option<String>,
    proof: Proof,
    mapping: Mapping,
}

impl Hook {
    /// Makes the senders of a configuration, with their secrets. Blocks on file I/O. Files are
    /// relative to `base`.
    ///
    /// # Errors
    /// A key is wrong, or a secret cannot be read.
    pub fn read_all(
        hooks: &BTreeMap<String, HookConfig>,
        base: &Path,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Hooks, WebhooksError> {
        let read = |(name, config): (&String, &HookConfig)| {
            Hook::read(name, config, base, env).map(|hook| (name.clone(), hook))
        };
        hooks.iter().map(read).collect()
    }

    fn read(
        name: &str,
        config: &HookConfig,
        base: &Path,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Hook, WebhooksError> {
        let key = |key: &str| format!("hooks.{name}.{key}");
        let wrong = |at: &str, why: Message| WebhooksError::Wrong { key: key(at), why };
        check_name("hooks", name)?;
        if config.template.trim().is_empty() {
            return Err(wrong("template", message!("is empty; name a template")));
        }
        if !(1..=4).contains(&config.priority) {
            let why = message!("is {}, but must be between 1 and 4", config.priority);
            return Err(wrong("priority", why));
        }
        if !config.tenant.as_deref().is_none_or(is_tenant) {
            let why = message!("must be a text of 1 to 100 characters on one line");
            return Err(wrong("tenant", why));
        }
        let mapping = Mapping::new(config).map_err(|(at, why)| wrong(at, why))?;
        let from = Source { env: &config.secret_env, file: config.secret_file.as_deref() };
        let proof = from.read_as(&key, base, env, |text| Proof::new(config.kind, text))?;
        Ok(Hook {
            template: config.template.clone(),
            priority: config.priority,
            batch: config.batch,
            tenant: config.tenant.clone(),
            proof,
            mapping,
        })
    }

    /// Checks what the headers say. `header` returns the value of a header; `None` if the request
    /// has none or more than one with this name. `now` is in seconds since the Unix epoch.
    ///
    /// # Errors
    /// Why it is not known who sent it.
    pub fn begin<'a>(
        &'a self,
        header: &dyn Fn(&str) -> Option<&'a str>,
        now: i64,
    ) -> Result<Begun<'a>, Unproven> {
        self.proof.begin(header, now)
    }

    /// Whether a body is the order document, without any mapping.
    pub fn is_whole(&self) -> bool {
        self.mapping.is_whole()
    }

    /// JSON pointer to the time of a body before which its order must not begin; `None` if bodies
    /// have none.
    pub fn due(&self) -> Option<&str> {
        self.mapping.due()
    }

    /// Whether what is at this place of a body, a JSON pointer, becomes a part of the order, or has
    /// a part of it inside.
    pub fn reads(&self, place: &str) -> bool {
        self.mapping.reads(place)
    }

    /// The order document that a body means, as JSON.
    ///
    /// # Errors
    /// What of it is missing.
    pub fn document(&self, body: &Value) -> Result<Vec<u8>, Message> {
        self.mapping.document(body)
    }
}

#[cfg(test)]
mod tests;
