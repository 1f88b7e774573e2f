//! Which addresses are public: others are not called for somebody else.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A host has no public address. Found in the source chain of a request's error.
///
/// Its text does not say which address it has: whoever chose the host may read the text, and would
/// learn what names of the network lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateAddress {
    /// The name that was looked up.
    pub host: String,
    /// One of its addresses.
    pub address: IpAddr,
}

impl fmt::Display for PrivateAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has no public address", self.host)
    }
}

impl Error for PrivateAddress {}

/// The public ones of the addresses of a host.
pub(super) fn public_ones(
    host: String,
    found: &[SocketAddr],
) -> Result<Vec<SocketAddr>, PrivateAddress> {
    let public: Vec<SocketAddr> =
        found.iter().filter(|address| is_public(address.ip())).copied().collect();
    match found.first() {
        Some(first) if public.is_empty() => Err(PrivateAddress { host, address: first.ip() }),
        _ => Ok(public),
    }
}

/// Whether an address is one of the public internet: not of this machine, not of a private network
/// or its provider, not link-local (which includes the metadata services of clouds), not multicast,
/// and not reserved (IANA's registries of special-purpose addresses). An address of IPv6 that
/// stands for one of IPv4 is judged as that.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Blocks of IPv4 that are not public: first address, and bits of the prefix.
const PRIVATE_V4: [([u8; 4], u32); 15] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = u32::from(address);
    PRIVATE_V4
        .iter()
        .all(|&(first, length)| (bits ^ u32::from_be_bytes(first)) >> (32 - length) != 0)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    match address.segments() {
        // How a network with IPv6 only reaches IPv4 (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
        }
        // Of protocols, with Teredo; examples; 6to4, which leads to any address of IPv4; examples.
        [0x2001, 0..0x200, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..0x1000, ..] => {
            false
        }
        // All that was ever given to somebody.
        [0x2000..0x4000, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00::1",
            "2001:200::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_host_with_both_is_reached_at_its_public_addresses_only() {
        let of = |addresses: &[&str]| {
            let found: Vec<SocketAddr> =
                addresses.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 443)).collect();
            public_ones("crm.example".to_owned(), &found)
        };
        let public = of(&["127.0.0.1", "1.1.1.1", "fd00::1"]).unwrap();
        assert_eq!(public, [SocketAddr::from(([1, 1, 1, 1], 443))]);
        let error = of(&["10.0.0.1", "::1"]).unwrap_err();
        assert_eq!(error.to_string(), "crm.example has no public address");
        assert_eq!(of(&[]).unwrap(), []);
    }
}
