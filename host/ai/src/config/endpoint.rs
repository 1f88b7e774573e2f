//! The keys that all providers behind HTTP have.

use std::path::PathBuf;

use serde::Serialize;

use super::keys::ProviderKeys;
use super::{BreakerConfig, LimitsConfig, Problems, RetryConfig, is_blank};
use sitewright_model::message;

/// Default of `call_ms`.
pub(super) const CALL_MS: u64 = 300_000;

/// The keys that all providers behind HTTP have. They are in the same table as the keys of the
/// kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EndpointConfig {
    /// Name of the environment variable with the API key. Default: no key. Excludes `api_key_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// Path of the file with the API key, relative to the folder of the configuration file.
    /// Surrounding whitespace is ignored; at most 8 KiB. Default: no key. Excludes `api_key_env`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// Timeout for name look-up, TCP and TLS together, in milliseconds. Default: 10,000 (10 s). At
    /// least 1.
    pub connect_ms: u64,
    /// Timeout from the connection to the first byte of the response body, in milliseconds.
    /// Default: 60,000 (60 s). At least 1.
    pub first_byte_ms: u64,
    /// Timeout between two chunks of the response body, in milliseconds. Default: 30,000 (30 s). At
    /// least 1.
    pub idle_ms: u64,
    /// Timeout of one whole attempt, connecting included, in milliseconds. Default: 300,000 (5
    /// min). At least 1.
    pub call_ms: u64,
    /// Rate limits, shared by providers with the same endpoint and key, whose values must be equal.
    /// Default: no limits.
    pub limits: LimitsConfig,
    /// The circuit breaker, shared like `limits`. Default: opens after 5 failures for 30 s.
    pub breaker: BreakerConfig,
    /// Retries. Default: `[ai.retry]`.
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
            problems.add(
                key("api_key_env"),
                message!("this is not the name of an environment variable"),
            );
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
