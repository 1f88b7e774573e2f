//! Host names and addresses that lead no visitor to the site.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::Host;

/// Maximum bytes of a host name (RFC 1035).
const MAX_NAME: usize = 253;

/// Why visitors cannot reach a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreachable {
    /// It is the visitor's own machine, or in a private network.
    Local,
    /// Its name is reserved for examples and tests (RFC 2606, RFC 6761).
    Example,
}

impl Unreachable {
    /// `None` if the host may be on the public internet.
    pub(super) fn of(host: &Host<&str>) -> Option<Self> {
        match host {
            Host::Domain(name) => of_name(name),
            Host::Ipv4(address) => is_local_v4(*address).then_some(Unreachable::Local),
            Host::Ipv6(address) => is_local_v6(*address).then_some(Unreachable::Local),
        }
    }
}

fn of_name(name: &str) -> Option<Unreachable> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let mut labels = name.rsplit('.');
    let last = labels.next().unwrap_or_default();
    let before = labels.next();
    match (before, last) {
        (_, "localhost" | "local" | "localdomain" | "internal" | "lan" | "intranet") => {
            Some(Unreachable::Local)
        }
        (Some("home"), "arpa") => Some(Unreachable::Local),
        (Some("example"), "com" | "net" | "org") => Some(Unreachable::Example),
        (_, "example" | "test" | "invalid") => Some(Unreachable::Example),
        // A name without a dot is one of the local network.
        (None, _) => Some(Unreachable::Local),
        _ => None,
    }
}

fn is_local_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || first == 0
        // Shared by the customers of a provider (RFC 6598).
        || (first == 100 && (64..128).contains(&second))
}

fn is_local_v6(address: Ipv6Addr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || address.to_ipv4_mapped().is_some_and(is_local_v4)
}

/// The host names in a text that are reserved for examples, in lower case. Reads each byte a bounded
/// number of times.
pub(super) fn for_examples(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-')))
        .map(|word| word.trim_matches(['.', '-']))
        .filter(|word| word.len() <= MAX_NAME && word.contains('.'))
        .filter(|word| of_name(word) == Some(Unreachable::Example))
        .map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_no_visitor_reaches_are_known_by_kind() {
        let rows = [
            ("http://localhost:4000/", Some(Unreachable::Local)),
            ("http://LOCALHOST./", Some(Unreachable::Local)),
            ("http://a.localhost/", Some(Unreachable::Local)),
            ("http://127.0.0.1/", Some(Unreachable::Local)),
            ("http://127.1/", Some(Unreachable::Local)),
            ("http://2130706433/", Some(Unreachable::Local)),
            ("http://0.0.0.0:8080/", Some(Unreachable::Local)),
            ("http://10.1.2.3/", Some(Unreachable::Local)),
            ("http://172.16.0.1/", Some(Unreachable::Local)),
            ("http://172.32.0.1/", None),
            ("http://192.168.1.10/", Some(Unreachable::Local)),
            ("http://169.254.1.1/", Some(Unreachable::Local)),
            ("http://100.64.0.1/", Some(Unreachable::Local)),
            ("http://[::1]/", Some(Unreachable::Local)),
            ("http://[::ffff:127.0.0.1]/", Some(Unreachable::Local)),
            ("http://[fd00::1]/", Some(Unreachable::Local)),
            ("http://[fe80::1]/", Some(Unreachable::Local)),
            ("http://printer.local/", Some(Unreachable::Local)),
            ("http://staging/", Some(Unreachable::Local)),
            ("https://example.com/", Some(Unreachable::Example)),
            ("https://www.Example.ORG/", Some(Unreachable::Example)),
            ("https://bakery.example/", Some(Unreachable::Example)),
            ("https://bakery.test/", Some(Unreachable::Example)),
            ("https://site.invalid/", Some(Unreachable::Example)),
            ("https://my-example.com/", None),
            ("https://example.com.br/", None),
            ("https://bakery.com/", None),
            ("https://8.8.8.8/", None),
        ];
        for (address, expected) in rows {
            let url = url::Url::parse(address).unwrap();
            assert_eq!(Unreachable::of(&url.host().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn names_for_examples_are_found_in_texts() {
        let text = "Mail joe@joes.example, or see https://www.Example.com/a?b. Not example.de.";
        let found: Vec<String> = for_examples(text).collect();
        assert_eq!(found, ["joes.example", "www.example.com"]);
    }
}
