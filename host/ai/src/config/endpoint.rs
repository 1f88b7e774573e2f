//! The keys that all providers behind HTTP have.

use std::path::PathBuf;

use serde::Serialize;

use super::keys::ProviderKeys;
use super::{BatchApi, BreakerConfig, LimitsConfig, Problems, RetryConfig, TextSource, is_blank};
use sitewright_model::message;

/// Default of `call_ms` for models that do not think.
pub(crate) const CALL_MS: u64 = 300_000;

/// Default of `api_key_command_ms`.
const KEY_COMMAND_MS: u64 = 10_000;

/// Default of `api_key_lifetime_ms`: tools of clouds print keys that are valid for 5 min at least.
const KEY_LIFETIME_MS: u64 = 300_000;

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_default_command_ms(value: &u64) -> bool {
    *value == KEY_COMMAND_MS
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_default_lifetime_ms(value: &u64) -> bool {
    *value == KEY_LIFETIME_MS
}

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
    /// The command that prints the API key: the program and its arguments. It prints the key, or a
    /// JSON object with `token` or `access_token` and perhaps `expires_in`, `expires_at` or
    /// `expiry`. Runs before the first call, when the key expires, when the provider refuses it,
    /// and on SIGHUP. Default: no key. Excludes `api_key_env` and `api_key_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_command: Option<Vec<String>>,
    /// Timeout of that command, in milliseconds. Default: 10,000 (10 s). 1 to 300,000 (5 min).
    #[serde(skip_serializing_if = "is_default_command_ms")]
    pub api_key_command_ms: u64,
    /// Milliseconds for which a key of that command is used, if it does not say when the key
    /// expires. Default: 300,000 (5 min). 1,000 (1 s) to 86,400,000 (1 day).
    #[serde(skip_serializing_if = "is_default_lifetime_ms")]
    pub api_key_lifetime_ms: u64,
    /// Whether requests have the header `traceparent` of their span, if traces are exported.
    /// Default: `false`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub propagate_trace: bool,
    /// The proxy: `none`, `env` for what `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say, or a URL; one
    /// with a password from `{ env = "NAME" }` or `{ file = "PATH" }`. Default: `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<TextSource>,
    /// Path of a file with certificates in PEM that are trusted beside those of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Path of the client's certificate in PEM. Needs `client_key_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert_file: Option<PathBuf>,
    /// Path of the private key of the client's certificate in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key_file: Option<PathBuf>,
    /// Timeout for name look-up, TCP and TLS together, in milliseconds. Default: 10,000 (10 s). At
    /// least 1.
    pub connect_ms: u64,
    /// Timeout from the connection to the head of the response, in milliseconds; to the first byte
    /// of its body if `first_token_ms` is not set. Default: 120,000 (2 min); 600,000 (10 min) for
    /// models that think. At least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u64>,
    /// Timeout from the connection to the first text of the reply or of the model's thinking, in
    /// milliseconds. Default: 300,000 (5 min); 600,000 (10 min) for models that think. At least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<u64>,
    /// Timeout between two chunks of the response body after that, in milliseconds. Default: 30,000
    /// (30 s); 120,000 (2 min) for models that think. At least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<u64>,
    /// Timeout of one whole attempt, connecting included, in milliseconds. Default: 300,000 (5
    /// min); 900,000 (15 min) for models that think. At least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_ms: Option<u64>,
    /// The batch API. Default: that of OpenAI and Anthropic at their own addresses, none elsewhere.
    #[serde(skip_serializing_if = "BatchApi::is_auto")]
    pub batch: BatchApi,
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
            api_key_command: None,
            api_key_command_ms: KEY_COMMAND_MS,
            api_key_lifetime_ms: KEY_LIFETIME_MS,
            propagate_trace: false,
            proxy: None,
            ca_file: None,
            client_cert_file: None,
            client_key_file: None,
            connect_ms: 10_000,
            first_byte_ms: None,
            first_token_ms: None,
            idle_ms: None,
            call_ms: None,
            batch: BatchApi::Auto,
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
            api_key_command: keys.api_key_command.take(),
            api_key_command_ms: keys
                .api_key_command_ms
                .take()
                .unwrap_or(default.api_key_command_ms),
            api_key_lifetime_ms: keys
                .api_key_lifetime_ms
                .take()
                .unwrap_or(default.api_key_lifetime_ms),
            propagate_trace: keys.propagate_trace.take().unwrap_or(default.propagate_trace),
            proxy: keys.proxy.take(),
            ca_file: keys.ca_file.take(),
            client_cert_file: keys.client_cert_file.take(),
            client_key_file: keys.client_key_file.take(),
            connect_ms: keys.connect_ms.take().unwrap_or(default.connect_ms),
            first_byte_ms: keys.first_byte_ms.take(),
            first_token_ms: keys.first_token_ms.take(),
            idle_ms: keys.idle_ms.take(),
            call_ms: keys.call_ms.take(),
            batch: keys.batch.take().unwrap_or_default(),
            limits: keys.limits.take().unwrap_or(default.limits),
            breaker: keys.breaker.take().unwrap_or(default.breaker),
            retry: keys.retry.take(),
        }
    }

    fn check_command(&self, key: &dyn Fn(&str) -> String, problems: &mut Problems) {
        let Some(argv) = &self.api_key_command else { return };
        let wrong = match argv.first() {
            None => Some(message!("it is empty; name the program and its arguments")),
            Some(program) if is_blank(program) => {
                Some(message!("its first text is empty; name the program there"))
            }
            Some(_) if argv.iter().any(|text| text.contains('\0')) => {
                Some(message!("a text contains the character NUL; remove it"))
            }
            Some(_) => None,
        };
        if let Some(wrong) = wrong {
            problems.add(key("api_key_command"), wrong);
        }
        for (field, value, least, most) in [
            ("api_key_command_ms", self.api_key_command_ms, 1, 300_000),
            ("api_key_lifetime_ms", self.api_key_lifetime_ms, 1000, 86_400_000),
        ] {
            if !(least..=most).contains(&value) {
                problems.add(key(field), message!("it must be between {least} and {most}"));
            }
        }
    }

    pub(super) fn check(&self, key: &dyn Fn(&str) -> String, problems: &mut Problems) {
        let sources = [
            ("api_key_env", self.api_key_env.is_some()),
            ("api_key_file", self.api_key_file.is_some()),
            ("api_key_command", self.api_key_command.is_some()),
        ];
        let set: Vec<&str> =
            sources.into_iter().filter_map(|(name, set)| set.then_some(name)).collect();
        if let [first, .., last] = set.as_slice() {
            problems.add(
                key(last),
                message!("both {first} and {last} are set; keep the one that holds the key"),
            );
        }
        self.check_command(key, problems);
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
        if self.client_cert_file.is_some() != self.client_key_file.is_some() {
            problems.add(
                key("client_key_file"),
                message!("both client_cert_file and client_key_file are needed, or neither"),
            );
        }
        for (field, value) in [
            ("connect_ms", Some(self.connect_ms)),
            ("first_byte_ms", self.first_byte_ms),
            ("first_token_ms", self.first_token_ms),
            ("idle_ms", self.idle_ms),
            ("call_ms", self.call_ms),
        ] {
            if value == Some(0) {
                problems.add(
                    key(field),
                    message!("it is 0, so every call would fail; give at least 1"),
                );
            }
        }
    }
}
