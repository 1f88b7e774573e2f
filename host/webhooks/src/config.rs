//! `[webhooks.NAME]` and `[callbacks]` of the configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sitewright_jobs::WebhookEvent;

/// Time for an answer, if nothing is said: 15 s.
const TIMEOUT_MS: u64 = 15_000;

fn timeout_ms() -> u64 {
    TIMEOUT_MS
}

fn events_of_orders() -> Vec<WebhookEvent> {
    WebhookEvent::OF_ORDERS.to_vec()
}

/// A receiver that is told of orders, holds and budgets. NAME is the operator's choice, and not
/// `callback`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Address of the receiver, without user name and password: `https`, unless `allow_private` is
    /// set.
    #[schemars(extend("x-default" = "required"))]
    pub url: String,
    /// What it is told of: `order.succeeded`, `order.failed`, `order.dead`, `order.cancelled`,
    /// `order.waiting`; `template.paused`, `template.resumed`, `route.held`, `route.released`,
    /// `budget.reached`.
    #[serde(default = "events_of_orders")]
    #[schemars(with = "Vec<String>", extend("x-default" = "those of orders"))]
    pub events: Vec<WebhookEvent>,
    /// Environment variable that holds the secret, `whsec_` and 24 to 64 bytes in base64. Several
    /// secrets with white space between them all sign, so that one can be replaced.
    pub secret_env: Option<String>,
    /// File that holds the secret, or several. One of `secret_env` and `secret_file` is required.
    pub secret_file: Option<PathBuf>,
    /// Whether the receiver may have an address of this machine or of a private network, and be
    /// called without TLS.
    #[serde(default)]
    pub allow_private: bool,
    /// Milliseconds in which the receiver must answer, connecting included. 100 to 60000.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
}

/// The callbacks that orders bring with them. Without this table none is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallbackConfig {
    /// Environment variable that holds the secret, `whsec_` and 24 to 64 bytes in base64. Several
    /// secrets with white space between them all sign, so that one can be replaced.
    pub secret_env: Option<String>,
    /// File that holds the secret, or several. One of `secret_env` and `secret_file` is required.
    pub secret_file: Option<PathBuf>,
    /// Whether a callback may have an address of this machine or of a private network, and be
    /// called without TLS.
    #[serde(default)]
    pub allow_private: bool,
    /// Milliseconds in which a callback must answer, connecting included. 100 to 60000.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
}
