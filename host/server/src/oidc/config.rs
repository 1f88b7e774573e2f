//! `[server.oidc]`: the identity provider that people log in to the console with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::console_config::ProxyScope;

/// Logging in to the console with OpenID Connect: authorization code flow with PKCE. The provider
/// is asked when somebody logs in, not when the server starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// Address of the provider, letter by letter as its discovery document has it in `issuer`:
    /// `https://login.example/realms/staff`. With `https`; `http` on this machine only.
    pub issuer: String,
    /// What the provider calls this application.
    pub client_id: String,
    /// Environment variable that holds the client secret. Without it and `secret_file`, the console
    /// is a public client, which has PKCE only.
    pub secret_env: Option<String>,
    /// File that holds the client secret.
    pub secret_file: Option<PathBuf>,
    /// How browsers reach the server: `https://console.example`. With `https`; `http` on this
    /// machine only. The provider must know `/console/oidc/callback` there as a redirect URI.
    pub console_url: String,
    /// What the button calls the provider: *Log in with LABEL*. Default: the host of `issuer`.
    pub label: Option<String>,
    /// Scopes that the provider is asked for, besides `openid`.
    #[serde(default = "default_request_scopes")]
    pub request_scopes: Vec<String>,
    /// Claim of the ID token that says what somebody may do: a text or a list of texts. A claim
    /// inside of another one is `realm_access.roles`. `email` counts only if the provider says that
    /// it is verified.
    #[serde(default = "default_scope_claim")]
    pub scope_claim: String,
    /// What the values of that claim mean: `read`, `operate` or `admin`. Somebody with several has
    /// the highest; with none, they do not get in. Default: none, nobody gets in.
    #[serde(default)]
    #[schemars(
        with = "Option<BTreeMap<String, String>>",
        extend("x-type" = "table of scopes", "x-default" = "none")
    )]
    pub scopes: BTreeMap<String, ProxyScope>,
    /// Claim of the ID token that says which tenant's orders somebody sees. Without a tenant, they
    /// do not get in. Default: none, everybody sees the orders of all tenants.
    pub tenant_claim: Option<String>,
    /// The tenants that the values of that claim mean; `*` is all tenants. Default: none, a value
    /// is the tenant.
    #[serde(default)]
    #[schemars(
        with = "Option<BTreeMap<String, String>>",
        extend("x-type" = "table of tenants", "x-default" = "none")
    )]
    pub tenants: BTreeMap<String, String>,
    /// Milliseconds in which the provider must answer each request, connecting included; at least
    /// 100 and at most 10000. A login has up to four, which must fit into `server.request_ms`.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
}

fn default_request_scopes() -> Vec<String> {
    vec!["profile".to_owned(), "email".to_owned()]
}

fn default_scope_claim() -> String {
    "groups".to_owned()
}

fn default_timeout_ms() -> u64 {
    5_000
}
