//! Web and e-mail addresses in folded text.

use std::ops::Range;

/// Endings of bare domains, as copy mentions them without `www.`. Other endings count behind `www.`
/// or a scheme.
const ENDINGS: [&str; 44] = [
    "com", "net", "org", "info", "biz", "co", "de", "fr", "it", "es", "pt", "br", "uk", "us", "eu",
    "ch", "at", "nl", "be", "ie", "ar", "mx", "jp", "il", "sa", "ae", "app", "dev", "shop",
    "store", "online", "site", "website", "example", "io", "ca", "au", "nz", "pl", "se", "me",
    "link", "page", "local",
];

/// Networks on which a host says nothing about whose page an address leads to.
const NETWORKS: [&str; 18] = [
    "facebook.com",
    "fb.com",
    "fb.me",
    "instagram.com",
    "linkedin.com",
    "youtube.com",
    "youtu.be",
    "tiktok.com",
    "x.com",
    "twitter.com",
    "pinterest.com",
    "wa.me",
    "whatsapp.com",
    "t.me",
    "g.page",
    "google.com",
    "goo.gl",
    "yelp.com",
];

/// A web or e-mail address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    pub(crate) range: Range<usize>,
    /// Without scheme, `www.` and a slash at the end.
    pub(crate) text: &'a str,
    pub(crate) host: &'a str,
    pub(crate) is_email: bool,
}

impl Address<'_> {
    pub(crate) fn is_of_network(&self) -> bool {
        NETWORKS.iter().any(|network| {
            self.host.strip_suffix(network).is_some_and(|sub| sub.is_empty() || sub.ends_with('.'))
        })
    }

    /// The parts of the path that may name somebody.
    pub(crate) fn path(&self) -> impl Iterator<Item = &str> {
        let path = self.text.get(self.host.len()..).unwrap_or_default();
        path.split(['/', '?', '&', '=', '#', '@']).filter(|part| part.len() > 2)
    }
}

/// The addresses of a folded text, in order.
pub(crate) fn find(text: &str) -> impl Iterator<Item = Address<'_>> {
    tokens(text).filter_map(move |token| address(text, token))
}

/// The parts of a text between spaces, quotes and brackets.
fn tokens(text: &str) -> impl Iterator<Item = Range<usize>> {
    let is_gap = |c: char| match c {
        '"' | '\'' | '<' | '>' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | ',' | ';' => true,
        '،' | '、' | '。' | '「' | '」' => true,
        c => c.is_whitespace(),
    };
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text.get(at..)?.find(|c| !is_gap(c))?;
        let end = text[start..].find(is_gap).map_or(text.len(), |n| start + n);
        at = end;
        Some(start..end)
    })
}

fn address(text: &str, token: Range<usize>) -> Option<Address<'_>> {
    let whole = text.get(token.clone())?.trim_end_matches(['.', ':', '!', '?', '*', '_', '/', '؟']);
    if !whole.contains('.') {
        return None;
    }
    let mut rest = whole;
    // `mailto:` and labels such as "e-mail:" in front of an address without a space.
    let mut has_scheme = false;
    for scheme in ["https://", "http://", "mailto:", "//"] {
        if let Some((_, behind)) = rest.split_once(scheme) {
            rest = behind;
            has_scheme = scheme != "mailto:";
        }
    }
    rest = rest.trim_start_matches(['*', '_', '#', '.', '-', '/']);
    if let Some((local, domain)) = rest.rsplit_once('@') {
        let domain = domain.split(['/', '?', ':']).next()?;
        let is_local = |c: char| c.is_alphanumeric() || "._%+-".contains(c);
        let from = local
            .rfind(|c| !is_local(c))
            .map_or(0, |at| at + local[at..].chars().next().map_or(1, char::len_utf8));
        let local = local[from..].trim_start_matches('.');
        if local.is_empty() || !is_host(domain) {
            return None;
        }
        let end = rest.len() - (rest.rsplit_once('@')?.1.len() - domain.len());
        let text = &rest[end - domain.len() - 1 - local.len()..end];
        return Some(Address {
            range: place(token, whole, text),
            text,
            host: domain,
            is_email: true,
        });
    }
    let has_www = rest.starts_with("www.");
    let rest = rest.strip_prefix("www.").unwrap_or(rest);
    let host = rest.split(['/', '?', '#', ':']).next()?.trim_end_matches('.');
    let ending = host.rsplit_once('.').map_or("", |(_, ending)| ending);
    let label = host.split('.').next().unwrap_or_default();
    let is_known = ENDINGS.contains(&ending) && label.chars().count() >= 2;
    let is_local = has_scheme && (host == "localhost" || host.starts_with("127."));
    if !(is_host(host) && (has_scheme || has_www || is_known) || is_local) {
        return None;
    }
    Some(Address { range: place(token, whole, rest), text: rest, host, is_email: false })
}

/// The place in the whole text of a part of a token.
fn place(token: Range<usize>, whole: &str, part: &str) -> Range<usize> {
    let offset = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    let start = (token.start + offset).min(token.end);
    start..(start + part.len()).min(token.end)
}

fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
            && !label.starts_with('-')
    };
    let has_letters = host
        .rsplit('.')
        .next()
        .is_some_and(|ending| ending.len() >= 2 && ending.chars().all(char::is_alphabetic));
    host.contains('.') && has_letters && host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_sentences() {
        let table: [(&str, &[&str]); 8] = [
            (
                "see www.ovenlane.de, or https://shop.ovenlane.example/a?b.",
                &["ovenlane.de", "shop.ovenlane.example/a?b"],
            ),
            ("write to e-mail:ana@example.com.", &["ana@example.com"]),
            ("<a href=\"mailto:ana@example.com\">", &["ana@example.com"]),
            ("we open at 7.30 a.m. and close at 6 p.m.", &[]),
            ("z.b. brot, d.h. mehl. node.js and 3.5 kg", &[]),
            ("book on booking.com today", &["booking.com"]),
            ("find us: @ovenlane", &[]),
            ("instagram.com/ovenlane/", &["instagram.com/ovenlane"]),
        ];
        for (text, expected) in table {
            let found: Vec<&str> = find(text).map(|address| address.text).collect();
            assert_eq!(found, expected, "{text}");
            for address in find(text) {
                assert_eq!(&text[address.range.clone()], address.text);
            }
        }
    }
}
