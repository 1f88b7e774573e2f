//! Colours.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::problem::truncated;

/// An opaque sRGB colour. Serialized as `#rrggbb`, parsed from any CSS colour (`#abc`, `blue`,
/// `rgb(0, 0, 0)`, `hsl(…)`, `oklch(…)`). The alpha channel is ignored: brand colours are opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^#[0-9a-f]{6}$"))]
pub struct Color {
    /// Red.
    pub r: u8,
    /// Green.
    pub g: u8,
    /// Blue.
    pub b: u8,
}

/// Why a text is not a colour.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColorError {
    /// The text is not a CSS colour.
    #[error(
        "`{}` is not a CSS colour; write it like `#1b4332`, `rgb(27, 67, 50)` or `darkgreen`",
        truncated(.0)
    )]
    Unknown(String),
    /// The text has 3, 4, 6 or 8 hexadecimal digits without the `#`.
    #[error("`{0}` is not a CSS colour; with `#` it is one: `#{0}`")]
    MissingHash(String),
    /// The alpha channel is 0.
    #[error(
        "`{}` is fully transparent, so there is no colour to see; write an opaque one like \
         `#1b4332`",
        truncated(.0)
    )]
    Transparent(String),
}

impl FromStr for Color {
    type Err = ColorError;

    fn from_str(text: &str) -> Result<Self, ColorError> {
        let given = text.trim();
        // The library also parses digits without `#` and `hsv()`, which CSS does not have.
        let hash_missing =
            matches!(given.len(), 3 | 4 | 6 | 8) && given.bytes().all(|b| b.is_ascii_hexdigit());
        if hash_missing {
            return Err(ColorError::MissingHash(given.to_owned()));
        }
        let hsv = given.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("hsv"));
        // Colours nest (`rgb(from …)`): a text longer than anything that a person writes is not
        // parsed, so that the stack cannot overflow.
        let plausible = given.is_ascii() && given.len() <= 200 && !hsv;
        let unknown = || ColorError::Unknown(given.to_owned());
        let color =
            plausible.then(|| csscolorparser::parse(given).ok()).flatten().ok_or_else(unknown)?;
        let finite = [color.r, color.g, color.b, color.a].iter().all(|part| part.is_finite());
        let [r, g, b, alpha] = color.to_rgba8();
        match alpha {
            _ if !finite => Err(unknown()),
            0 => Err(ColorError::Transparent(given.to_owned())),
            _ => Ok(Color { r, g, b }),
        }
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.r, self.g, self.b)
    }
}

impl TryFrom<String> for Color {
    type Error = ColorError;
    fn try_from(text: String) -> Result<Self, ColorError> {
        text.parse()
    }
}

impl From<Color> for String {
    fn from(color: Color) -> String {
        color.to_string()
    }
}
