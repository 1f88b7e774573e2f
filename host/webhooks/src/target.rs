//! Which addresses may be called. Names are checked again when they are looked up, see
//! [`sitewright_http::Reach`].

use std::net::IpAddr;

use sitewright_http::is_public;
use sitewright_model::message;
use sitewright_model::message::Message;
use url::{Host, Url};

/// Maximum length of a callback, in characters; percent-encoded it may be three times as long.
const MAX_CALLBACK: usize = 600;

/// Reads the address that an order brings with it.
///
/// # Errors
/// As [`target`]; or it is too long.
pub fn callback(text: &str, allow_private: bool) -> Result<Url, Message> {
    if text.chars().count() > MAX_CALLBACK {
        return Err(message!("has more than {MAX_CALLBACK} characters"));
    }
    target(text, allow_private)
}

/// Reads the address of a receiver.
///
/// # Errors
/// Why it cannot be called. The message contains no part of the address: it may have a password.
pub fn target(text: &str, allow_private: bool) -> Result<Url, Message> {
    let mut url = Url::parse(text.trim()).map_err(|error| {
        message!("is not a URL ({error}); write it like https://crm.example/hooks/sitewright")
    })?;
    match (url.scheme(), allow_private) {
        ("https", _) | ("http", true) => {}
        ("http", false) => {
            return Err(message!(
                "begins with http://, so that anybody on the way could read and change it; use \
                 https://, or set `allow_private` if it is in your own network"
            ));
        }
        _ => return Err(message!("begins with neither https:// nor http://")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(message!(
            "contains a user name or password; the receiver knows who calls by the signature"
        ));
    }
    let address: Option<IpAddr> = match url.host() {
        Some(Host::Ipv4(address)) => Some(address.into()),
        Some(Host::Ipv6(address)) => Some(address.into()),
        Some(Host::Domain(_)) => None,
        None => return Err(message!("names no host")),
    };
    if let Some(address) = address
        && !allow_private
        && !is_public(address)
    {
        return Err(message!(
            "leads to {address}, which is not a public address; set `allow_private` if it is meant"
        ));
    }
    url.set_fragment(None);
    Ok(url)
}

/// The address as it may be shown: the host only. Path and query of many receivers are their key.
pub fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_path("");
    shown.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_must_not_be_called_are_refused() {
        for (text, says) in [
            ("", "not a URL"),
            ("crm.example/hook", "not a URL"),
            ("https://", "not a URL"),
            ("ftp://crm.example/", "neither https:// nor http://"),
            ("file:///etc/passwd", "neither https:// nor http://"),
            ("http://crm.example/", "anybody on the way"),
            ("https://me@crm.example/", "user name or password"),
            ("https://:s3cr3t@crm.example/", "user name or password"),
            ("https://127.0.0.1/", "127.0.0.1"),
            ("https://2130706433/", "127.0.0.1"),
            ("https://0x7f.1/", "127.0.0.1"),
            ("https://0177.0.0.1/", "127.0.0.1"),
            ("https://169.254.169.254/latest/meta-data", "169.254.169.254"),
            ("https://10.1.2.3/", "10.1.2.3"),
            ("https://[::1]/", "::1"),
            ("https://[::ffff:10.0.0.1]/", "not a public address"),
            ("https://[fe80::1]/", "fe80::1"),
            ("https://\u{ff11}27.0.0.1/", "127.0.0.1"),
        ] {
            let error = target(text, false).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("s3cr3t"), "{error}");
        }
    }

    #[test]
    fn addresses_that_may_be_called_are_read() {
        for (text, allow_private, url, host) in [
            (
                "https://crm.example/a?key=1#b",
                false,
                "https://crm.example/a?key=1",
                "https://crm.example/",
            ),
            (" https://1.1.1.1:8443/x\n", false, "https://1.1.1.1:8443/x", "https://1.1.1.1:8443/"),
            ("http://127.0.0.1:9/x", true, "http://127.0.0.1:9/x", "http://127.0.0.1:9/"),
            ("http://crm.internal", true, "http://crm.internal/", "http://crm.internal/"),
        ] {
            let read = target(text, allow_private).unwrap();
            assert_eq!((read.as_str(), &*shown(&read)), (url, host));
        }
    }
}
