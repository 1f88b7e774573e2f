//! The keys of a provider's table, for all kinds in one struct: with a tagged enum or a flattened
//! struct serde buffers the table and loses the name of a key with an invalid value.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::openai::Dialect;
use super::{BreakerConfig, LimitsConfig, RetryConfig};

/// The configuration of one kind of provider.
pub(crate) trait Kind: Sized {
    /// Takes the keys of this kind out of `keys`. Keys that remain do not belong to this kind.
    fn take(keys: &mut ProviderKeys) -> Result<Self, String>;
}

macro_rules! provider_keys {
    ($($key:ident: $value:ty,)*) => {
        /// All keys of a provider's table.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(in crate) struct ProviderKeys {
            pub(super) kind: Option<KindName>,
            $(pub(super) $key: Option<$value>,)*
        }

        impl ProviderKeys {
            /// A key that was not taken.
            fn remaining(&self) -> Option<&'static str> {
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub(super) enum KindName {
    Openai,
    Anthropic,
    Gemini,
    Ollama,
    Cloudflare,
    Scripted,
}

/// The values of `structured_output` of all kinds.
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
    /// The configuration of this kind.
    ///
    /// # Errors
    /// A required key is missing, or the table has a key of another kind.
    pub(super) fn of<K: Kind>(mut self, name: KindName) -> Result<K, String> {
        let kind = K::take(&mut self)?;
        match self.remaining() {
            Some(key) => Err(format!("a provider of the kind `{name}` has no key `{key}`")),
            None => Ok(kind),
        }
    }
}
