//! Which addresses may be called. Names are checked again when they are looked up, see
//! [`sitewright_http::Reach`].

use std::net::IpAddr;

use sitewright_http::is_public;
use sitewright_model::message;
use sitewright_model::message::Message;
use url::{Host, Url};

use super::config::CallbackConfig;

/// Maximum length of a callback, in characters; percent-encoded it may be three times as long.
const MAX_CALLBACK: usize = 600;

/// Which callbacks orders may bring with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallbackRules {
    /// Also addresses of this machine and of private networks, and without TLS.
    pub allow_private: bool,
}

impl From<&CallbackConfig> for CallbackRules {
    fn from(config: &CallbackConfig) -> Self {
        CallbackRules { allow_private: config.allow_private }
    }
}

/// Reads the address that an order brings with it, as it is stored. `rules` are those of the
/// configuration; `None` if it accepts no callbacks.
///
/// # Errors
/// As [`target`]; its name is one of this machine, unless that is allowed; it is too long; or there
/// are no rules. As the rest of a sentence about it.
pub fn callback(text: &str, rules: Option<CallbackRules>) -> Result<String, Message> {
    let Some(CallbackRules { allow_private }) = rules else {
        return Err(message!(
            "is not accepted: the configuration has no table `[callbacks]`, which names the secret \
             that signs"
        ));
    };
    if text.chars().count() > MAX_CALLBACK {
        return Err(message!("has more than {MAX_CALLBACK} characters"));
    }
    let url = target(text, allow_private)?;
    if !allow_private && url.domain().is_some_and(means_this_machine) {
        return Err(message!("leads to this machine; set `allow_private` if it is meant"));
    }
    Ok(url.into())
}

/// Whether a name is one of this machine, whatever a name server says. With a dot at its end it is
/// the same name.
fn means_this_machine(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
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
    fn a_callback_is_accepted_by_the_rules_of_the_configuration() {
        let (public, private) =
            (CallbackRules { allow_private: false }, CallbackRules { allow_private: true });
        let of_length = |length: usize| format!("https://crm.example/{}", "a".repeat(length - 20));
        let (long, too_long) = (of_length(600), of_length(601));
        for (text, rules, expected) in [
            (" https://crm.example/a#b", Some(public), Ok("https://crm.example/a")),
            ("http://10.1.2.3/", Some(private), Ok("http://10.1.2.3/")),
            (&*long, Some(public), Ok(&*long)),
            (&*too_long, Some(private), Err("more than 600 characters")),
            ("https://10.1.2.3/", Some(public), Err("not a public address")),
            ("https://localhost/x", Some(public), Err("leads to this machine")),
            ("https://LOCALHOST.:8443/", Some(public), Err("leads to this machine")),
            ("https://crm.localhost/", Some(public), Err("leads to this machine")),
            ("https://crm.localhost/", Some(private), Ok("https://crm.localhost/")),
            ("https://localhost.example/", Some(public), Ok("https://localhost.example/")),
            ("https://notlocalhost/", Some(public), Ok("https://notlocalhost/")),
            ("https://crm.example/", None, Err("no table `[callbacks]`")),
        ] {
            match (callback(text, rules), expected) {
                (Ok(url), Ok(expected)) => assert_eq!(url, expected),
                (Err(why), Err(says)) => assert!(why.as_str().contains(says), "{text}: {why}"),
                (read, _) => panic!("{text}: {read:?}"),
            }
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
