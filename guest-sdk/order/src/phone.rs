//! A phone number one can call.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A phone number as the customer typed it, known to hold 6 to 15 digits and nothing that is not
/// part of a number (at most 60 bytes).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[+0-9(][0-9 ()./\u{a0}\u{2010}-\u{2015}-]*$"))]
pub struct Phone(String);

/// Why a text is no phone number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not a phone number; write it like `+55 19 95550-1011` or `(555) 010-2200`, with 6 to 15 digits and no words",
    crate::problem::cut(.0)
)]
pub struct PhoneError(pub String);

impl Phone {
    /// As typed, for people to read.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For `tel:` links: a leading `+` when the number is international, then digits only.
    pub fn dial(&self) -> String {
        let plus = if self.is_international() { "+" } else { "" };
        format!("{plus}{}", self.digits())
    }

    /// Digits only, as `https://wa.me/` wants them.
    pub fn digits(&self) -> String {
        self.0.chars().filter(char::is_ascii_digit).collect()
    }

    /// Whether the number begins with `+` and so can be called from anywhere.
    pub fn is_international(&self) -> bool {
        self.0.starts_with('+')
    }
}

impl FromStr for Phone {
    type Err = PhoneError;

    fn from_str(text: &str) -> Result<Self, PhoneError> {
        let text = text.trim();
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let clean = text.char_indices().all(|(at, c)| match c {
            '0'..='9' | '(' => true,
            // What office programs make of blanks and hyphens is as good as those.
            ' ' | ')' | '-' | '.' | '/' | '\u{a0}' | '\u{2010}'..='\u{2015}' => at > 0,
            '+' => at == 0,
            _ => false,
        });
        if clean && (6..=15).contains(&digits) && text.len() <= 60 {
            Ok(Phone(text.to_owned()))
        } else {
            Err(PhoneError(text.to_owned()))
        }
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Phone {
    type Error = PhoneError;
    fn try_from(text: String) -> Result<Self, PhoneError> {
        text.parse()
    }
}

impl From<Phone> for String {
    fn from(phone: Phone) -> String {
        phone.0
    }
}
