//! The keys of a provider's table, of all kinds in one: a tagged enum or a flattened struct would
//! lose the name of a key whose value is wrong, because serde reads their tables without looking.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::openai::Dialect;
use super::{BreakerConfig, LimitsConfig, RetryConfig};

/// A kind of provider, made of its keys.
pub(crate) trait Kind: Sized {
    /// Takes the keys that the kind has. What is left afterwards is none of its keys.
    fn take(keys: &mut ProviderKeys) -> Result<Self, String>;
}

macro_rules! provider_keys {
    ($($key:ident: $value:ty,)*) => {
        /// What may stand in a provider's table.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(in crate) struct ProviderKeys {
            pub(super) kind: Option<KindName>,
            $(pub(super) $key: Option<$value>,)*
        }

        impl ProviderKeys {
            /// A key that nobody has taken.
            fn left(&self) -> Option<&'static str> {
                $(if self.$key.is_some() {
                    return Some(stringify!($key));
                })*
                None
            }
        }
    };
}

provider_keys! {
    account_id: String,
    api_key_env: String,
    api_key_file: PathBuf,
    api_version: String,
    base_url: String,
    breaker: BreakerConfig,
    call_ms: u64,
    connect_ms: u64,
    context_tokens: u32,
    dialect: Dialect,
    first_byte_ms: u64,
    idle_ms: u64,
    limits: LimitsConfig,
    max_output_tokens: u32,
    retry: RetryConfig,
    rules: PathBuf,
    rules_inline: String,
    structured_output: StructuredOutput,
    version: String,
}

/// The values of `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum KindName {
    Openai,
    Anthropic,
    Gemini,
    Ollama,
    Cloudflare,
    Scripted,
}

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KindName::Openai => "openai",
            KindName::Anthropic => "anthropic",
            KindName::Gemini => "gemini",
            KindName::Ollama => "ollama",
            KindName::Cloudflare => "cloudflare",
            KindName::Scripted => "scripted",
        })
    }
}

/// The values of `structured_output`, whatever the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StructuredOutput {
    Tool,
    Schema,
    ResponseSchema,
    JsonSchema,
    Prompt,
}

impl ProviderKeys {
    /// The kind's configuration, when the table says all of it and nothing else.
    pub(super) fn of<K: Kind>(mut self, name: KindName) -> Result<K, String> {
        let kind = K::take(&mut self)?;
        match self.left() {
            Some(key) => Err(format!("a provider of the kind `{name}` has no key `{key}`")),
            None => Ok(kind),
        }
    }
}
