//! `[server]` of the configuration.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::console_config::ConsoleConfig;
use super::oidc::OidcConfig;

/// `[server]`: `sitewright serve`, and `worker --listen`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Address and port of `sitewright serve`. Without tokens and `server.oidc` it must be one
    /// of the loopback interface. Default: 127.0.0.1:8080.
    #[schemars(with = "String", extend("x-type" = "address"))]
    pub listen: SocketAddr,
    /// Maximum bytes of a request's body. An order document may have `limits.order_bytes`. Default:
    /// 2097152.
    pub body_bytes: u64,
    /// Milliseconds in which a request must be answered; its body must arrive in half of them, and
    /// a client that reads nothing of its answer for as long is disconnected. Streams of events
    /// have no limit. Default: 30000.
    pub request_ms: u64,
    /// Milliseconds in which the headers of a request must arrive, the first ones and those after
    /// an answer. Default: 10000.
    pub header_ms: u64,
    /// Maximum number of connections; others wait until one ends. A stream of events is one. One
    /// address may have seven eighths of them, and its further ones are closed at once. Default:
    /// 2048.
    pub connections: u32,
    /// Maximum number of requests of one token in a minute, evenly: a burst may use all of them. 0
    /// for no limit. Default: 12000.
    pub requests_per_minute: u32,
    /// Maximum number of requests of one token in a minute that add an order, give one another
    /// document, or retry one. 0 for no limit. Default: 6000.
    pub orders_per_minute: u32,
    /// Milliseconds that requests have to end when the server stops; changes that have begun have
    /// 2 s more. Default: 10000.
    pub grace_ms: u64,
    /// Milliseconds between two heartbeats of a stream of events, and between two looks whether its
    /// token is still valid. Default: 15000.
    pub heartbeat_ms: u64,
    /// Who else may use the console, and where previews are.
    pub console: ConsoleConfig,
    /// The identity provider that people log in to the console with. Default: none.
    pub oidc: Option<OidcConfig>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            body_bytes: 2 << 20,
            request_ms: 30_000,
            header_ms: 10_000,
            connections: 2_048,
            requests_per_minute: 12_000,
            orders_per_minute: 6_000,
            grace_ms: 10_000,
            heartbeat_ms: 15_000,
            console: ConsoleConfig::default(),
            oidc: None,
        }
    }
}

impl ServerConfig {
    /// Time in which a request must be answered.
    pub(crate) fn answer_within(&self) -> Duration {
        Duration::from_millis(self.request_ms)
    }

    /// Time in which the body of a request must arrive: half of the whole, so that its sender gets
    /// an answer that says so.
    pub(crate) fn body_within(&self) -> Duration {
        Duration::from_millis(self.request_ms / 2)
    }

    /// Maximum length of a body.
    pub(crate) fn max_body(&self) -> usize {
        usize::try_from(self.body_bytes).unwrap_or(usize::MAX)
    }
}
