//! Language tags.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A BCP 47 language tag in canonical case: `pt-BR`, `en`, `zh-Hant-TW`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
#[schemars(extend("pattern" = "^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", "maxLength" = 35))]
pub struct Locale(String);

/// The error for a text that is not a language tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a language tag; write it like `pt-BR` or `en`", crate::problem::truncated(.0))]
pub struct LocaleError(pub String);

impl Locale {
    /// The whole tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The language subtag, in lower case: `pt` of `pt-BR`.
    pub fn language(&self) -> &str {
        self.0.split('-').next().unwrap_or(&self.0)
    }
}

impl FromStr for Locale {
    type Err = LocaleError;

    fn from_str(text: &str) -> Result<Self, LocaleError> {
        let wrong = || LocaleError(text.to_owned());
        // RFC 5646, section 4.4.1, recommends a limit of 35 characters.
        if text.trim().len() > 35 {
            return Err(wrong());
        }
        let mut parts = text.trim().split(['-', '_']);
        let language = parts.next().unwrap_or_default();
        if !(2..=3).contains(&language.len()) || !language.bytes().all(|b| b.is_ascii_alphabetic())
        {
            return Err(wrong());
        }
        let mut tag = language.to_ascii_lowercase();
        for part in parts {
            if !(2..=8).contains(&part.len()) || !part.bytes().all(|b| b.is_ascii_alphanumeric()) {
                return Err(wrong());
            }
            tag.push('-');
            match part.len() {
                2 => tag.push_str(&part.to_ascii_uppercase()),
                4 if part.bytes().all(|b| b.is_ascii_alphabetic()) => {
                    tag.push_str(&part[..1].to_ascii_uppercase());
                    tag.push_str(&part[1..].to_ascii_lowercase());
                }
                _ => tag.push_str(&part.to_ascii_lowercase()),
            }
        }
        Ok(Locale(tag))
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Locale {
    type Error = LocaleError;
    fn try_from(text: String) -> Result<Self, LocaleError> {
        text.parse()
    }
}

impl From<Locale> for String {
    fn from(locale: Locale) -> String {
        locale.0
    }
}
