//! The keys of a provider's table, for all kinds in one struct: with a tagged enum or a flattened
//! struct serde buffers the table and loses the name of a key with an invalid value.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::openai::Dialect;
use super::{BatchApi, BreakerConfig, LimitsConfig, OpenAiApi, RetryConfig, TextSource};

/// The configuration of one kind of provider.
pub(crate) trait Kind: Sized {
    /// Takes the keys of this kind out of `keys`. Keys that remain do not belong to this kind.
    fn take(keys: &mut ProviderKeys) -> Result<Self, String>;
}

macro_rules! provider_keys {
    ($($(#[$meta:meta])* $key:ident: $value:ty,)*) => {
        /// One provider. NAME is the operator's choice; routes refer to it. Providers with the same
        /// address and key share limits and circuit breaker, and must configure the same values.
        #[derive(Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(in crate) struct ProviderKeys {
            /// The protocol.
            #[schemars(extend("x-default" = "required"))]
            pub(super) kind: Option<KindName>,
            $($(#[$meta])* pub(super) $key: Option<$value>,)*
        }

        impl ProviderKeys {
            /// A key that was not read.
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
    /// `cloudflare`: the account that pays. Required.
    account_id: String,
    /// `openai`: `chat` for chat completions, or `responses` for the Responses API, which some models
    /// have only.
    #[schemars(extend("x-default" = "`chat`"))]
    api: OpenAiApi,
    /// All but `scripted`: the command that prints the API key, as a list of the program and its
    /// arguments, without a shell: for keys that expire. It prints the key, or a JSON object with
    /// `token` or `access_token` and perhaps `expires_in` (seconds), `expires_at` or `expiry`. It
    /// runs before the first call, when the key expires, when the provider refuses it, and on
    /// SIGHUP. Not beside `api_key_env` and `api_key_file`.
    api_key_command: Vec<String>,
    /// Timeout of `api_key_command`. 1 to 300000.
    #[schemars(extend("x-default" = 10_000))]
    api_key_command_ms: u64,
    /// All but `scripted`: environment variable that holds the API key.
    api_key_env: String,
    /// All but `scripted`: file that holds the API key; white space around the key is ignored. It
    /// is read again when the provider refuses the key, and on SIGHUP. Not beside `api_key_env`.
    api_key_file: PathBuf,
    /// How long a key of `api_key_command` is used that does not say when it expires. 1000 to
    /// 86400000.
    #[schemars(extend("x-default" = "300000 (5 min)"))]
    api_key_lifetime_ms: u64,
    /// `openai`: the `api-version` of Azure.
    api_version: String,
    /// All but `scripted`: the URL before the endpoint's path, with or without a slash at the end,
    /// without user name and password. Required for `openai`. Defaults:
    /// `https://api.anthropic.com/v1`, `https://generativelanguage.googleapis.com/v1beta`,
    /// `http://127.0.0.1:11434` (`ollama`), `https://api.cloudflare.com/client/v4`.
    #[schemars(extend("x-default" = "of the kind"))]
    base_url: String,
    /// All but `scripted`: the batch API, for orders that are added with `--batch`: `auto` (that of
    /// OpenAI and Anthropic at their own addresses, none elsewhere), `openai` (kind `openai`:
    /// `files` and `batches` beside the endpoint), `anthropic` (kind `anthropic`:
    /// `messages/batches`), or `none`.
    #[schemars(extend("x-default" = "`auto`"))]
    batch: BatchApi,
    /// When the circuit breaker opens.
    breaker: BreakerConfig,
    /// Timeout of one whole attempt, connecting included. At least 1.
    #[schemars(extend("x-default" = "300000 (5 min); 900000 (15 min) for models that think"))]
    call_ms: u64,
    /// All but `scripted`: file with certificates in PEM that are trusted beside those of the machine:
    /// of an authority, or of the server itself.
    ca_file: PathBuf,
    /// All but `scripted`: file with the certificate in PEM by which the server knows this client.
    /// Needs `client_key_file`.
    client_cert_file: PathBuf,
    /// All but `scripted`: file with the private key of `client_cert_file` in PEM, not encrypted.
    client_key_file: PathBuf,
    /// All but `scripted`: timeout of name look-up, TCP and TLS together. At least 1.
    #[schemars(extend("x-default" = 10_000))]
    connect_ms: u64,
    /// `ollama`: context window to load models with (`num_ctx`). Without it, the server removes the
    /// beginning of a long prompt without an error. At least 1.
    #[schemars(extend("x-default" = "the server's"))]
    context_tokens: u32,
    /// `openai`: dialect of chat completions that the server speaks.
    #[schemars(extend("x-default" = "guessed from the host name"))]
    dialect: Dialect,
    /// All but `scripted`: timeout from the connection to the head of the response; to the first byte
    /// of its body if `first_token_ms` is not set. At least 1.
    #[schemars(extend("x-default" = "120000 (2 min); 600000 (10 min) for models that think"))]
    first_byte_ms: u64,
    /// All but `scripted`: timeout from the connection to the first text of the reply or of the
    /// model's thinking. Models that think are known by their names, or by `reasoning` of the entry in
    /// the route. At least 1.
    #[schemars(extend("x-default" = "300000 (5 min); 600000 (10 min) for models that think"))]
    first_token_ms: u64,
    /// All but `scripted`: timeout between two parts of the reply after its first text. At least 1.
    #[schemars(extend("x-default" = "30000 (30 s); 120000 (2 min) for models that think"))]
    idle_ms: u64,
    /// Limits of the address with its key.
    limits: LimitsConfig,
    /// `anthropic`, `cloudflare`: tokens of a reply, if neither route nor request say. At least 1.
    #[schemars(extend("x-default" = "8192 (`anthropic`), 4096 (`cloudflare`)"))]
    max_output_tokens: u32,
    /// All but `scripted`: whether each request has the header `traceparent` of its span, so that
    /// the server's spans become a part of the order's trace. Only while traces are exported.
    #[schemars(extend("x-default" = false))]
    propagate_trace: bool,
    /// All but `scripted`: the proxy: `none`, `env` (what `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and
    /// `NO_PROXY` say), or the URL of an HTTP proxy. A URL with a password is read from
    /// `{ env = "NAME" }` or `{ file = "PATH" }`.
    #[schemars(extend("x-default" = "`none`", "x-type" = "text or table"))]
    proxy: TextSource,
    /// Attempts at the same candidate; overrides `[ai.retry]`.
    retry: RetryConfig,
    /// `scripted`: file with rules. One of `rules` and `rules_inline` is required.
    rules: PathBuf,
    /// `scripted`: the rules themselves.
    rules_inline: String,
    /// How JSON for a schema is asked for. `anthropic`: `tool`, `schema` or `prompt`; `gemini`:
    /// `response-schema`, `json-schema` or `prompt`.
    #[schemars(extend("x-default" = "`tool` (`anthropic`), `response-schema` (`gemini`)"))]
    structured_output: StructuredOutput,
    /// `anthropic`: the header `anthropic-version`.
    #[schemars(extend("x-default" = "`2023-06-01`"))]
    version: String,
}

/// The values of `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
#[derive(schemars::JsonSchema)]
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
#[derive(schemars::JsonSchema)]
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
