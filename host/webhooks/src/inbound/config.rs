//! `[hooks.NAME]` of the configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How a sender proves that it sent a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HookKind {
    /// Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    StandardWebhooks,
    /// Stripe: `stripe-signature`, over the time and the body.
    Stripe,
    /// GitHub: `x-hub-signature-256`, over the body.
    Github,
    /// `Authorization: Bearer SECRET`.
    Bearer,
}

/// A sender whose webhooks, at `POST /hooks/NAME`, become orders. NAME is the operator's choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HookConfig {
    /// How the sender proves who it is: `standard-webhooks`, `stripe`, `github` or `bearer`.
    #[schemars(with = "String", extend("x-default" = "required"))]
    pub kind: HookKind,
    /// Environment variable that holds the secret. Several secrets with white space between them
    /// are all accepted, so that one can be replaced. Of `standard-webhooks`, `whsec_` and 24 to 64
    /// bytes in base64; of the others, at least 16 characters.
    pub secret_env: Option<String>,
    /// File that holds the secret, or several. One of `secret_env` and `secret_file` is required.
    pub secret_file: Option<PathBuf>,
    /// Name of the template of the orders.
    #[schemars(extend("x-default" = "required"))]
    pub template: String,
    /// Priority of the orders: 1 is claimed before 2, 2 before 3, 3 before 4.
    #[serde(default = "default_priority")]
    pub priority: i64,
    /// Nobody waits for the orders: their AI calls go through the provider's batches, which answer
    /// within a day at a lower price.
    #[serde(default)]
    pub batch: bool,
    /// Label of whoever the orders are for: `[ai.budget]` can limit each tenant. At most 100
    /// characters. An event about an order that the queue has with another label is refused.
    pub tenant: Option<String>,
    /// JSON pointer to the id of the order, in what is sent: `/order/number`.
    #[schemars(extend("x-default" = "that of the document"))]
    pub id: Option<String>,
    /// JSON pointer to the time before which the order must not begin, a text like
    /// `2026-12-24T08:00:00Z`. A pointer that leads nowhere, to `null` or to a blank text sets
    /// none; an event with anything else there is refused.
    pub due: Option<String>,
    /// JSON pointer to an object that is the order document. The whole body is `""`.
    #[schemars(extend("x-default" = "the whole body, or none if there is `map`"))]
    pub document: Option<String>,
    /// Fields of the order document, each with the JSON pointer to its value:
    /// `{ business_name = "/company/name" }`. They come on top of `document`, if that is set. A
    /// pointer that leads nowhere leaves its field out.
    #[serde(default)]
    #[schemars(
        with = "Option<BTreeMap<String, String>>",
        extend("x-type" = "table of JSON pointers", "x-default" = "none")
    )]
    pub map: BTreeMap<String, String>,
}

fn default_priority() -> i64 {
    2
}
