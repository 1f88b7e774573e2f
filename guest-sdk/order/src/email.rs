//! Whether a text can be an e-mail address.

use crate::problem::cut;

/// Why a text is no e-mail address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not an e-mail address; write it like `office@example.com`", cut(.0))]
pub struct EmailError(pub String);

/// The address without surrounding blanks. A sane check, not the whole of RFC 5322: one `@`, a name
/// before it, a domain with a dot after it, none of the characters that would let it break out of a
/// header or a link, at most 254 characters.
///
/// # Errors
/// [`EmailError`] when it cannot be one.
pub fn email_address(text: &str) -> Result<&str, EmailError> {
    let address = text.trim();
    let wrong = || EmailError(text.to_owned());
    let (name, domain) = address.split_once('@').ok_or_else(wrong)?;
    // `&`, `=`, `?`, `#`, `%` and `/` are legal before the `@`, and nobody's: in a `mailto:` link
    // they mean something else.
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
