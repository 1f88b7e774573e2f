//! URLs of web pages.

use crate::problem::truncated;

/// Maximum length of a URL, in characters.
pub const MAX_LINK: usize = 2_048;

/// The error for a text that is not the URL of a web page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not the address of a web page: {reason}; write it like `https://example.com/page`",
    truncated(.text)
)]
pub struct LinkError {
    /// The invalid text.
    pub text: String,
    /// The rule that it breaks.
    pub reason: &'static str,
}

/// Validates the URL of a web page and returns it as `https://…` or `http://…`, without surrounding
/// white space. Without a scheme, `https://` is added.
///
/// # Errors
/// [`LinkError`] for another scheme (`javascript:`), a user name, a missing host or one without a
/// dot, white space or other characters that a URL cannot contain, and more than [`MAX_LINK`]
/// characters.
pub fn web_address(text: &str) -> Result<String, LinkError> {
    let wrong = |reason| LinkError { text: text.to_owned(), reason };
    let given = text.trim();
    if given.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(wrong("it holds blanks or control characters"));
    }
    if given.contains(|c| "\"<>\\^`{|}".contains(c)) {
        return Err(wrong("it holds characters that must be percent-encoded"));
    }
    let (scheme, rest) = split_scheme(given);
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "" | "https" => "https",
        "http" => "http",
        _ => return Err(wrong("only `https:` and `http:` are allowed")),
    };
    let rest = match rest.strip_prefix("//") {
        Some(rest) => rest,
        // `https:example.com` is ambiguous.
        None if given.len() != rest.len() => return Err(wrong("`//` is missing after the scheme")),
        None => rest,
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(wrong("it begins with `@` or holds a user name"));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if port.is_some_and(|port| {
        !port.bytes().all(|b| b.is_ascii_digit()) || port.parse::<u16>().is_err()
    }) {
        return Err(wrong("the part after the host's `:` is not a port"));
    }
    let label = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
    };
    if !host.contains('.') || !host.split('.').all(label) {
        return Err(wrong("it has no host with a dot, like `example.com`"));
    }
    let address = format!("{scheme}://{rest}");
    if address.chars().count() > MAX_LINK {
        return Err(wrong("it is longer than 2,048 characters"));
    }
    Ok(address)
}

/// The scheme (empty if there is none) and the rest after its `:`. `example.com:8080` has a port,
/// not a scheme.
fn split_scheme(text: &str) -> (&str, &str) {
    let Some((scheme, rest)) = text.split_once(':') else { return ("", text) };
    let begins = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_scheme = begins
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let is_port = scheme.contains('.') && rest.starts_with(|c: char| c.is_ascii_digit());
    if is_scheme && !is_port { (scheme, rest) } else { ("", text) }
}
