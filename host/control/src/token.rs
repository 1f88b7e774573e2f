//! Tokens of the HTTP API: 256 random bits, of which only the digest is stored. A digest without a
//! salt is enough for that: nobody can try all tokens.

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use sitewright_model::message;

use super::Error;

/// What every token begins with, so that secret scanners can find one that was published.
pub const TOKEN_PREFIX: &str = "sitewright_";

/// Digits from which on they are removed from a log: those of a token that was cut off too.
const MIN_SECRET_DIGITS: usize = 16;
/// Random bytes of a token.
const BYTES: usize = 32;

/// Makes a token.
///
/// # Errors
/// If the system has no random numbers.
pub fn new_token() -> Result<SecretString, Error> {
    let mut random = [0; BYTES];
    getrandom::fill(&mut random).map_err(|error| {
        Error::Host(message!("no token can be made, the system has no random numbers: {error}"))
    })?;
    Ok(SecretString::from(format!("{TOKEN_PREFIX}{}", hex::encode(random))))
}

/// The digest under which a token is stored. `None` if the text is no token, whose digest would be
/// looked up in vain.
pub fn digest_of(token: &SecretString) -> Option<String> {
    let text = token.expose_secret();
    let digits = text.strip_prefix(TOKEN_PREFIX)?;
    let is_hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (digits.len() == 2 * BYTES && is_hex).then(|| hex::encode(Sha256::digest(text)))
}

/// The text without the digits of tokens in it, for logs: somebody may send one where an id
/// belongs.
pub fn without_tokens(text: &str) -> String {
    let mut parts = text.split(TOKEN_PREFIX);
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        clean.push_str(TOKEN_PREFIX);
        match digits >= MIN_SECRET_DIGITS {
            true => clean.push_str(&format!("[removed]{}", &part[digits..])),
            false => clean.push_str(part),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_recognized_and_no_two_are_alike() {
        let (one, other) = (new_token().unwrap(), new_token().unwrap());
        assert_ne!(one.expose_secret(), other.expose_secret());
        let digest = digest_of(&one).unwrap();
        assert_eq!(digest.len(), 64);
        assert_ne!(digest_of(&other), Some(digest.clone()));
        assert!(!digest.contains(one.expose_secret().trim_start_matches(TOKEN_PREFIX)));
    }

    #[test]
    fn a_log_has_no_token() {
        let token = new_token().unwrap();
        let token = token.expose_secret();
        let removed = "sitewright_[removed]";
        for (text, clean) in [
            (token.to_owned(), removed.to_owned()),
            (format!("x/{token}y{token}"), format!("x/{removed}y{removed}")),
            (token.to_uppercase(), token.to_uppercase()),
            ("sitewright_\u{e4}".to_owned(), "sitewright_\u{e4}".to_owned()),
            ("sitewright_12".to_owned(), "sitewright_12".to_owned()),
            ("order 1".to_owned(), "order 1".to_owned()),
            (String::new(), String::new()),
        ] {
            assert_eq!(without_tokens(&text), clean);
        }
    }

    #[test]
    fn what_is_no_token_has_no_digest() {
        let digits = "0".repeat(64);
        for text in [
            String::new(),
            digits.clone(),
            format!("{TOKEN_PREFIX}{}", "0".repeat(63)),
            format!("{TOKEN_PREFIX}{}", "0".repeat(65)),
            format!("{TOKEN_PREFIX}{}", "G".repeat(64)),
            format!("{TOKEN_PREFIX}{}", "A".repeat(64)),
            format!(" {TOKEN_PREFIX}{digits}"),
        ] {
            assert_eq!(digest_of(&SecretString::from(text.clone())), None, "{text:?}");
        }
    }
}
