//! Phone numbers.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A phone number as the customer typed it: 6 to 15 digits, separators and an optional leading `+`,
/// at most 60 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[+0-9(][0-9 ()./\u{a0}\u{2010}-\u{2015}-]*$"))]
pub struct Phone(String);

/// The error for a text that is not a phone number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not a phone number; write it like `+55 19 95550-1011` or `(555) 010-2200`, with 6 to \
     15 digits and no words",
    crate::problem::truncated(.0)
)]
pub struct PhoneError(pub String);

impl Phone {
    /// The number as typed, for display.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number for `tel:` links: a leading `+` if it is international, then only digits.
    pub fn dial(&self) -> String {
        let plus = if self.is_international() { "+" } else { "" };
        format!("{plus}{}", self.digits())
    }

    /// The digits of the number, for `https://wa.me/` links.
    pub fn digits(&self) -> String {
        self.0.chars().filter(char::is_ascii_digit).collect()
    }

    /// Whether the number begins with `+`.
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
            // Office programs replace blanks and hyphens by non-breaking and typographic ones.
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
