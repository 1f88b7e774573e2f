//! The addresses of pages. Ids become one segment of a path each.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The first page.
pub const HOME: &str = "/console";
/// What webhooks of others brought.
pub const HOOKS: &str = "/console/hooks";

/// Everything but unreserved characters (RFC 3986).
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text as a part of an address.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, &RESERVED).to_string()
}

/// The page of an order.
pub fn order(id: &str) -> String {
    format!("{HOME}/orders/{}", encoded(id))
}

/// The page that asks before a release of an order is made current.
pub fn choose_release(id: &str, release: &str) -> String {
    with(&format!("{}/use", order(id)), &[("release", Some(release))])
}

/// The page of what differs between two releases of an order.
pub fn compare_releases(id: &str, before: &str, after: &str) -> String {
    let releases = [("before", Some(before)), ("after", Some(after))];
    with(&format!("{}/compare", order(id)), &releases)
}

/// The page of a change of many orders.
pub fn bulk(id: &str) -> String {
    format!("{HOME}/bulk/{}", encoded(id))
}

/// Where the forms of a worker are: `/drain` and `/undrain` behind it, and the page that asks
/// before it drains: `/drain`.
pub fn worker(id: &str) -> String {
    format!("{HOME}/workers/{}", encoded(id))
}

/// The page of a template.
pub fn template(name: &str) -> String {
    format!("{HOME}/templates/{}", encoded(name))
}

/// The page that asks before a hold is released.
pub fn release_hold(hold: &str) -> String {
    with(&format!("{HOME}/holds/release"), &[("hold", Some(hold))])
}

/// The page that asks before the circuit breakers of a provider are released.
pub fn release_breakers(provider: &str) -> String {
    format!("{HOME}/breakers/{}/release", encoded(provider))
}

/// The page of a delivery of a webhook.
pub fn delivery(id: &str) -> String {
    format!("{HOME}/deliveries/{}", encoded(id))
}

/// The page of a cause.
pub fn cause(fingerprint: &str) -> String {
    format!("{HOME}/failures/{}", encoded(fingerprint))
}

/// The page of a failure record.
pub fn record(id: &str) -> String {
    format!("{HOME}/records/{}", encoded(id))
}

/// An address with parameters: those that have a value.
pub fn with(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut address = path.to_owned();
    let mut mark = '?';
    for (name, value) in parameters {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            address.push(mark);
            address.push_str(name);
            address.push('=');
            address.push_str(&encoded(value));
            mark = '&';
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_leave_its_segment() {
        assert_eq!(order("../a?b#c/ü"), "/console/orders/..%2Fa%3Fb%23c%2F%C3%BC");
        let parameters = [("a", Some("x&b=1")), ("b", None), ("c", Some("")), ("d", Some("2"))];
        assert_eq!(with("/console", &parameters), "/console?a=x%26b%3D1&d=2");
    }
}
