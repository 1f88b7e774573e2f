//! E-mail addresses.

use crate::problem::truncated;

/// The error for a text that is not an e-mail address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not an e-mail address; write it like `office@example.com`", truncated(.0))]
pub struct EmailError(pub String);

/// Validates an e-mail address and returns it without surrounding white space. It is stricter than
/// RFC 5322: one `@`, a name before it, a domain with a dot after it, no characters with a meaning
/// in a header or a link, at most 254 characters.
///
/// # Errors
/// [`EmailError`] if a rule is broken.
pub fn email_address(text: &str) -> Result<&str, EmailError> {
    let address = text.trim();
    let wrong = || EmailError(text.to_owned());
    let (name, domain) = address.split_once('@').ok_or_else(wrong)?;
    // `&`, `=`, `?`, `#`, `%` and `/` are legal before the `@`, but hardly used, and have a meaning
    // in a `mailto:` link.
    let harmful =
        |c: char| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"@`{}|^?&=#%/".contains(c);
    let label = |part: &str| !part.is_empty() && !part.starts_with('-') && !part.ends_with('-');
    let fine = !name.is_empty()
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !address.replacen('@', "", 1).contains(harmful)
        && domain.split('.').count() >= 2
        && domain.split('.').all(label)
        && domain.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-'))
        && address.chars().count() <= 254;
    if fine { Ok(address) } else { Err(wrong()) }
}

/// Reads an e-mail address as people write it: with invisible characters, as a `mailto:` link, as
/// `Name <address>`, among words, with `(at)` for `@`, or as the first of several. Returns the
/// address and the others.
///
/// # Errors
/// [`EmailError`] if the text holds no address.
pub fn read_email(text: &str) -> Result<(String, Option<String>), EmailError> {
    let plain = crate::text::visible(text);
    let plain = plain
        .get(..7)
        .filter(|start| start.eq_ignore_ascii_case("mailto:"))
        .map_or(plain.as_str(), |_| plain[7..].split('?').next().unwrap_or_default());
    let (first, others) = match plain.split_once([',', ';', '|', '\n']) {
        Some((first, others)) => (first, others.trim()),
        None => (plain, ""),
    };
    let address = match (first.rfind('<'), first.rfind('>')) {
        (Some(start), Some(end)) if start < end => &first[start + 1..end],
        _ => first,
    };
    let Ok(address) = email_address(address.trim().trim_end_matches('.')) else {
        return among_words(plain).ok_or_else(|| EmailError(text.to_owned()));
    };
    let others = Some(others).filter(|others| !others.is_empty());
    Ok((address.to_owned(), others.map(str::to_owned)))
}

/// The first address among words, and the others: `"Smith, Ann" <ann@example.com>`,
/// `E-mail: ann@example.com / bob@example.com`, `ann (at) example (dot) com`.
fn among_words(text: &str) -> Option<(String, Option<String>)> {
    const LONGEST: usize = 500;
    const SPELLED: [(&str, &str); 8] = [
        (" (at) ", "@"),
        ("(at)", "@"),
        (" [at] ", "@"),
        ("[at]", "@"),
        (" (dot) ", "."),
        ("(dot)", "."),
        (" [dot] ", "."),
        ("[dot]", "."),
    ];
    if text.len() > LONGEST {
        return None;
    }
    let mut written = text.to_owned();
    for (spelled, sign) in SPELLED {
        written = written.replace(spelled, sign);
    }
    let apart = |c: char| c.is_whitespace() || ",;:|/<>()[]\"'".contains(c);
    let mut found: Vec<&str> = Vec::new();
    for word in written.split(apart) {
        if let Ok(address) = email_address(word.trim_end_matches('.'))
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    let (first, others) = found.split_first()?;
    // `a b@example.com`: a blank in an address is a mistake, and nobody knows which.
    let before = written[..written.find(*first)?].trim_end();
    if before.ends_with(char::is_alphanumeric) {
        return None;
    }
    let others = Some(others.join(", ")).filter(|others| !others.is_empty());
    Some(((*first).to_owned(), others))
}
