//! `[server.console]`: who may use the console besides those with a token, and where previews are.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sitewright_jobs::Scope;

/// Logging in with the header of a proxy, which has asked for a name and a password itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleConfig {
    /// Header in which a proxy says who sends a request: `X-Forwarded-User`, `Remote-User`. Only
    /// believed from `trusted` addresses. The proxy must remove it from requests of others.
    /// Default: none, a token is needed.
    pub proxy_header: Option<String>,
    /// Addresses and networks of the proxies that are believed: 10.0.0.7, 10.0.0.0/8, ::1. Nobody
    /// else may be able to connect from them. Default: none.
    #[schemars(with = "Vec<String>")]
    pub trusted: Vec<TrustedNet>,
    /// What those whom the proxy names may do: read, operate or admin. Default: read.
    pub proxy_scope: ProxyScope,
    /// Address and port on which releases are shown that visitors do not see, without a login: each
    /// address has a key that the console knows. Default: none, the console offers no previews.
    #[schemars(with = "Option<String>", extend("x-type" = "address"))]
    pub previews: Option<SocketAddr>,
    /// How browsers reach that address: `https://previews.example`. Must not be the origin of the
    /// console. Default: `http://` and the address.
    pub previews_url: Option<String>,
}

/// What somebody may do who did not log in with a token, the least first.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ProxyScope {
    #[default]
    Read,
    Operate,
    Admin,
}

impl From<ProxyScope> for Scope {
    fn from(scope: ProxyScope) -> Scope {
        match scope {
            ProxyScope::Read => Scope::Read,
            ProxyScope::Operate => Scope::Operate,
            ProxyScope::Admin => Scope::Admin,
        }
    }
}

impl ConsoleConfig {
    /// Whether a proxy at this address is believed.
    pub(crate) fn trusts(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        self.trusted.iter().any(|net| net.0.contains(&client))
    }
}

/// An address or a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrustedNet(IpNet);

impl FromStr for TrustedNet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let net = match text.parse::<IpAddr>() {
            Ok(address) => Ok(IpNet::from(address.to_canonical())),
            Err(_) => text.parse::<IpNet>(),
        };
        net.map(|net| TrustedNet(net.trunc())).map_err(|_| {
            format!("{text:?} is no address and no network; write 10.0.0.7, 10.0.0.0/8 or ::1")
        })
    }
}

impl TryFrom<String> for TrustedNet {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<TrustedNet> for String {
    fn from(net: TrustedNet) -> String {
        net.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_networks_are_believed_and_no_others() {
        let config = |trusted: &[&str]| ConsoleConfig {
            trusted: trusted.iter().map(|net| net.parse().unwrap()).collect(),
            ..ConsoleConfig::default()
        };
        let is = |config: &ConsoleConfig, client: &str| config.trusts(client.parse().unwrap());
        let some = config(&["10.1.0.0/16", "::1", "192.0.2.7", "::ffff:192.0.2.9"]);
        for client in ["10.1.2.3", "::ffff:10.1.2.3", "::1", "192.0.2.7", "192.0.2.9"] {
            assert!(is(&some, client), "{client}");
        }
        for client in ["10.2.0.1", "127.0.0.1", "192.0.2.8", "::2"] {
            assert!(!is(&some, client), "{client}");
        }
        assert!(!is(&config(&[]), "127.0.0.1"));
        for wrong in ["", "localhost", "10.0.0.0/33", "10.0.0", "*"] {
            assert!(wrong.parse::<TrustedNet>().is_err(), "{wrong:?}");
        }
    }
}
