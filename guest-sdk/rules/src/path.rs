//! The paths that a template may write to.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// Maximum length of one part of a path, in bytes of UTF-8: what common file systems allow.
pub const PART_BYTES: usize = 255;
/// Maximum number of parts in a path.
pub const MAX_PARTS: usize = 32;

/// A validated path inside a site: relative, with `/` between its parts, and safe on every file
/// system that the site may be copied to. Failure catalogue F1: the parts are validated one by one,
/// never a prefix of the joined text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct SitePath(String);

/// Why a text is not a path inside a site. Each variant names the offending part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The path is empty.
    #[error("the path is empty; write it like `about/index.html`")]
    Empty,
    /// The path begins with `/`.
    #[error("the path `{0}` is absolute; leave out the `/` it begins with")]
    Absolute(String),
    /// The path is longer than the limit `path_bytes`.
    #[error(
        "the path `{shown}` has {bytes} bytes, more than the limit of {max}; use shorter names"
    )]
    TooLong {
        /// The beginning of the path.
        shown: String,
        /// Its length in bytes.
        bytes: usize,
        /// The maximum length in bytes.
        max: usize,
    },
    /// The path has more than [`MAX_PARTS`] parts.
    #[error(
        "the path `{shown}` has {parts} parts, more than the limit of {MAX_PARTS}; use fewer \
         folders"
    )]
    TooDeep {
        /// The beginning of the path.
        shown: String,
        /// The number of its parts.
        parts: usize,
    },
    /// The path has two `/` in a row, or one at the end.
    #[error("the path `{0}` has an empty part; put one `/` between parts and none at the end")]
    EmptyPart(String),
    /// A part is `.` or `..`.
    #[error(
        "the path `{path}` has the part `{part}`; name folders only, starting from the top of the \
         site"
    )]
    Dots {
        /// The path.
        path: String,
        /// `.` or `..`.
        part: String,
    },
    /// A part has a character that some file systems do not allow in file names.
    #[error(
        "the part `{part}` of the path has the character {character:?}, which file names may not \
         have; leave it out"
    )]
    Character {
        /// The part, with control characters escaped.
        part: String,
        /// The first such character.
        character: char,
    },
    /// A part begins or ends with a space, or ends with a dot.
    #[error("the part `{part}` of the path {edge}; some file systems drop it, so leave it out")]
    Edge {
        /// The part.
        part: String,
        /// Which edge, and what is there.
        edge: Edge,
    },
    /// A part is a device name of Windows, with or without an extension.
    #[error(
        "the part `{part}` of the path is the device name `{device}` on Windows; choose another \
         name"
    )]
    Device {
        /// The part.
        part: String,
        /// The device.
        device: String,
    },
    /// A part has more than [`PART_BYTES`] bytes.
    #[error(
        "the part `{shown}` of the path has {bytes} bytes, more than the limit of {PART_BYTES}; \
         use a shorter name"
    )]
    PartTooLong {
        /// The beginning of the part.
        shown: String,
        /// Its length in bytes.
        bytes: usize,
    },
}

/// What is wrong at an edge of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// The part begins with a space.
    LeadingSpace,
    /// The part ends with a space.
    TrailingSpace,
    /// The part ends with a dot.
    TrailingDot,
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Edge::LeadingSpace => "begins with a space",
            Edge::TrailingSpace => "ends with a space",
            Edge::TrailingDot => "ends with a dot",
        })
    }
}

impl SitePath {
    /// Validates `text`, which may have at most `max_bytes` bytes.
    ///
    /// # Errors
    /// The first rule that `text` breaks, in this order: length, shape, parts from left to right.
    pub fn parse(text: &str, max_bytes: usize) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        if text.len() > max_bytes {
            return Err(PathError::TooLong {
                shown: shown(text),
                bytes: text.len(),
                max: max_bytes,
            });
        }
        if text.starts_with('/') {
            return Err(PathError::Absolute(shown(text)));
        }
        let parts = text.split('/').count();
        if parts > MAX_PARTS {
            return Err(PathError::TooDeep { shown: shown(text), parts });
        }
        for part in text.split('/') {
            check_part(part, text)?;
        }
        Ok(SitePath(text.to_owned()))
    }

    /// The entry page of a site: `index.html`.
    pub fn entry_page() -> Self {
        SitePath("index.html".to_owned())
    }

    /// The path, with `/` between its parts.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts from left to right; at least one.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The folders above the file, outermost first: `a`, then `a/b` for `a/b/c.html`.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(at, _)| &self.0[..at])
    }

    /// The text after the last dot of the last part, in lower case: `html`. `None` if that part has
    /// no dot, or only one at its beginning.
    pub fn extension(&self) -> Option<String> {
        let name = self.0.rsplit('/').next()?;
        let (stem, extension) = name.rsplit_once('.')?;
        (!stem.is_empty()).then(|| extension.to_ascii_lowercase())
    }
}

impl fmt::Display for SitePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<SitePath> for String {
    fn from(path: SitePath) -> String {
        path.0
    }
}

impl TryFrom<String> for SitePath {
    type Error = PathError;

    /// For manifests, which may have been written under another limit: all rules but the one for
    /// the total length.
    fn try_from(text: String) -> Result<Self, PathError> {
        SitePath::parse(&text, usize::MAX)
    }
}

impl AsRef<std::path::Path> for SitePath {
    fn as_ref(&self) -> &std::path::Path {
        std::path::Path::new(&self.0)
    }
}

/// A key that is equal for two paths if a file system that ignores case or Unicode normalization
/// treats them as the same file: decomposed (NFD), upper-cased and lower-cased character by
/// character, composed again (NFC). `É`, `é` and `e` + U+0301 have the same key.
pub fn case_key(text: &str) -> String {
    text.nfd().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfc().collect()
}

fn check_part(part: &str, path: &str) -> Result<(), PathError> {
    if part.is_empty() {
        return Err(PathError::EmptyPart(shown(path)));
    }
    if part == "." || part == ".." {
        return Err(PathError::Dots { path: shown(path), part: part.to_owned() });
    }
    if part.len() > PART_BYTES {
        return Err(PathError::PartTooLong { shown: shown(part), bytes: part.len() });
    }
    let forbidden =
        |c: &char| c.is_control() || matches!(c, '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
    if let Some(character) = part.chars().find(forbidden) {
        return Err(PathError::Character { part: shown(part), character });
    }
    let edge = if part.starts_with(' ') {
        Some(Edge::LeadingSpace)
    } else if part.ends_with(' ') {
        Some(Edge::TrailingSpace)
    } else if part.ends_with('.') {
        Some(Edge::TrailingDot)
    } else {
        None
    };
    if let Some(edge) = edge {
        return Err(PathError::Edge { part: part.to_owned(), edge });
    }
    match device(part) {
        Some(device) => Err(PathError::Device { part: part.to_owned(), device }),
        None => Ok(()),
    }
}

/// The Windows device that `part` names, if any. An extension does not matter: `nul.html` is the
/// device `NUL`.
fn device(part: &str) -> Option<String> {
    let stem = part.split('.').next().unwrap_or(part).trim_end().to_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| {
            let mut rest = rest.chars();
            matches!(rest.next(), Some('0'..='9' | '¹' | '²' | '³')) && rest.next().is_none()
        })
    };
    let named = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$");
    (named || numbered("COM") || numbered("LPT")).then_some(stem)
}

/// The first 80 characters of `text` with control characters escaped, for messages.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == 80 {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}
