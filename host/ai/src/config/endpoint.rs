//! What every endpoint that is called over HTTP has.

use std::path::PathBuf;

use serde::Serialize;

use super::keys::ProviderKeys;
use super::{BreakerConfig, LimitsConfig, Problems, RetryConfig, is_blank};
use sitewright_model::message;

/// Most milliseconds of one whole attempt, where nothing else is set.
pub(super) const CALL_MS: u64 = 300_000;

/// What every endpoint that is called over HTTP has, whatever its kind. Its keys stand among those
/// of the kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EndpointConfig {
    /// The environment variable that holds the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// The file that holds the key, seen from the configuration file's folder. Blanks and line
    /// ends around it do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// Milliseconds for name look-up, TCP and TLS together.
    pub connect_ms: u64,
    /// Milliseconds from the connection to the first byte of the answer.
    pub first_byte_ms: u64,
    /// Milliseconds from one piece of the answer to the next.
    pub idle_ms: u64,
    /// Milliseconds for one whole attempt, connecting included.
    pub call_ms: u64,
    /// What it can bear. Providers with the same address and key share what they can bear, and
    /// must say the same here.
    pub limits: LimitsConfig,
    /// When it is left alone. Shared and said like `limits`.
    pub breaker: BreakerConfig,
    /// When attempts are made again; the value of `[ai.retry]` when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryConfig>,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        EndpointConfig {
            api_key_env: None,
            api_key_file: None,
            connect_ms: 10_000,
            first_byte_ms: 60_000,
            idle_ms: 30_000,
            call_ms: CALL_MS,
            limits: LimitsConfig::default(),
            breaker: BreakerConfig::default(),
            retry: None,
        }
    }
}

impl EndpointConfig {
    pub(super) fn take(keys: &mut ProviderKeys) -> Self {
        let default = EndpointConfig::default();
        EndpointConfig {
            api_key_env: keys.api_key_env.take(),
            api_key_file: keys.api_key_file.take(),
            connect_ms: keys.connect_ms.take().unwrap_or(default.connect_ms),
            first_byte_ms: keys.first_byte_ms.take().unwrap_or(default.first_byte_ms),
            idle_ms: keys.idle_ms.take().unwrap_or(default.idle_ms),
            call_ms: keys.call_ms.take().unwrap_or(default.call_ms),
            limits: keys.limits.take().unwrap_or(default.limits),
            breaker: keys.breaker.take().unwrap_or(default.breaker),
            retry: keys.retry.take(),
        }
    }

    pub(super) fn check(&self, key: &dyn Fn(&str) -> String, problems: &mut Problems) {
        if self.api_key_env.is_some() && self.api_key_file.is_some() {
            problems.add(
                key("api_key_file"),
                message!(
                    "both api_key_env and api_key_file are set; keep the one that holds the key"
                ),
            );
        }
        if self
            .api_key_env
            .as_deref()
            .is_some_and(|name| is_blank(name) || name.contains(['=', '\0']))
        {
            problems
                .add(key("api_key_env"), message!("this is no name of an environment variable"));
        }
        for (field, value) in [
            ("connect_ms", self.connect_ms),
            ("first_byte_ms", self.first_byte_ms),
            ("idle_ms", self.idle_ms),
            ("call_ms", self.call_ms),
        ] {
            if value == 0 {
                problems.add(
                    key(field),
                    message!("it is 0, so every call would fail; give at least 1"),
                );
            }
        }
    }
}
