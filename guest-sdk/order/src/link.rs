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

/// A social network: the field of an order, its domains, and the address of a profile.
struct Network {
    field: &'static str,
    domains: &'static [&'static str],
    /// The address before the name of a profile; `None` if a name alone is ambiguous.
    profile: Option<&'static str>,
}

const NETWORKS: &[Network] = &[
    Network {
        field: "social_facebook",
        domains: &["facebook.com", "fb.com", "fb.me", "m.me"],
        profile: Some("https://www.facebook.com/"),
    },
    Network {
        field: "social_instagram",
        domains: &["instagram.com", "instagr.am"],
        profile: Some("https://www.instagram.com/"),
    },
    // A company or a person?
    Network { field: "social_linkedin", domains: &["linkedin.com", "lnkd.in"], profile: None },
    Network {
        field: "social_youtube",
        domains: &["youtube.com", "youtu.be"],
        profile: Some("https://www.youtube.com/@"),
    },
    Network {
        field: "social_tiktok",
        domains: &["tiktok.com"],
        profile: Some("https://www.tiktok.com/@"),
    },
    Network {
        field: "social_x",
        domains: &["x.com", "twitter.com"],
        profile: Some("https://x.com/"),
    },
    Network {
        field: "social_threads",
        domains: &["threads.net", "threads.com"],
        profile: Some("https://www.threads.net/@"),
    },
    Network {
        field: "social_pinterest",
        domains: &["pinterest.", "pin.it"],
        profile: Some("https://www.pinterest.com/"),
    },
    Network {
        field: "social_telegram",
        domains: &["t.me", "telegram.me"],
        profile: Some("https://t.me/"),
    },
    Network { field: "social_tripadvisor", domains: &["tripadvisor."], profile: None },
    Network { field: "social_yelp", domains: &["yelp."], profile: None },
];

/// The address of a profile on the network of an order's field: a link as [`web_address`] reads it,
/// `@name`, or the name alone.
///
/// # Errors
/// [`LinkError`] as of [`web_address`], and if a name alone is ambiguous on that network.
pub fn profile_address(field: &str, text: &str) -> Result<String, LinkError> {
    let text = crate::text::visible(text);
    let network = NETWORKS.iter().find(|network| network.field == field);
    let Some(network) = network else { return web_address(&text) };
    let lower = text.to_lowercase();
    let names_network = network.domains.iter().any(|domain| lower.contains(domain));
    let name = text.strip_prefix('@').unwrap_or(&text).trim_end_matches('/');
    let is_name = !name.is_empty()
        && name.len() <= 100
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'))
        && !name.starts_with('.')
        && !name.ends_with('.');
    // `lenavogt.foto` is a name, `lenavogt.com` an address.
    let is_address = ["com", "net", "org", "info", "de", "fr", "br", "uk", "example"]
        .iter()
        .any(|end| name.rsplit_once('.').is_some_and(|(_, last)| last.eq_ignore_ascii_case(end)));
    if is_name && !names_network && (text.starts_with('@') || !is_address) {
        return match network.profile {
            Some(before) => Ok(format!("{before}{name}")),
            None => Err(LinkError {
                text,
                reason: "a name alone can mean several pages of that network",
            }),
        };
    }
    web_address(&text)
}

/// The field of the network whose pages an address leads to.
pub(crate) fn network_of(address: &str) -> Option<&'static str> {
    let rest = address.split_once("//").map_or(address, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#', ':']).next()?.to_lowercase();
    let leads_to = |network: &&Network| {
        network.domains.iter().any(|domain| match domain.strip_suffix('.') {
            Some(name) => host.split('.').any(|label| label == name),
            None => host == *domain || host.ends_with(&format!(".{domain}")),
        })
    };
    NETWORKS.iter().find(leads_to).map(|network| network.field)
}

/// The network whose pages a link leads to, if it is another one than that of the field.
pub(crate) fn other_network(field: &str, address: &str) -> Option<&'static str> {
    let is_network = NETWORKS.iter().any(|network| network.field == field);
    network_of(address).filter(|other| is_network && *other != field)
}
