//! A path a guest may write to.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// Most bytes one part of a path may have: what the common file systems allow.
pub const PART_BYTES: usize = 255;
/// Most parts a path may have.
pub const MAX_PARTS: usize = 32;
/// What the host itself writes at the top of a release. A guest's file of this name, in any case,
/// is refused.
pub const MANIFEST_FILE: &str = "manifest.json";

/// A checked path inside a site: relative, `/` between its parts, and harmless on every file system
/// the site may be copied to later. Catalogue F1: the parts are checked, never a prefix of the
/// joined text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SitePath(String);

/// Why a text is no path inside a site. Each variant names the offending part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// There is no path.
    #[error("the path is empty; write it like `about/index.html`")]
    Empty,
    /// It begins with `/`.
    #[error("the path `{0}` is absolute; leave out the `/` it begins with")]
    Absolute(String),
    /// More bytes than the limit `path_bytes`.
    #[error(
        "the path `{shown}` has {bytes} bytes, more than the limit of {max}; use shorter names"
    )]
    TooLong {
        /// The beginning of the path.
        shown: String,
        /// Bytes it has.
        bytes: usize,
        /// Bytes it may have.
        max: usize,
    },
    /// More than [`MAX_PARTS`] parts.
    #[error(
        "the path `{shown}` has {parts} parts, more than the limit of {MAX_PARTS}; use fewer \
         folders"
    )]
    TooDeep {
        /// The beginning of the path.
        shown: String,
        /// Parts it has.
        parts: usize,
    },
    /// Two `/` in a row, or one at the end.
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
    /// A character that is not allowed in file names everywhere.
    #[error(
        "the part `{part}` of the path has the character {character:?}, which file names may not \
         have; leave it out"
    )]
    Character {
        /// The part, control characters escaped.
        part: String,
        /// The first character at fault.
        character: char,
    },
    /// A part begins or ends with a space, or ends with a dot.
    #[error("the part `{part}` of the path {edge}; some file systems drop it, so leave it out")]
    Edge {
        /// The part.
        part: String,
        /// Which edge.
        edge: Edge,
    },
    /// A device name of Windows, with or without an extension.
    #[error(
        "the part `{part}` of the path is the device name `{device}` on Windows; choose another \
         name"
    )]
    Device {
        /// The part.
        part: String,
        /// The device it names.
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
        /// Bytes it has.
        bytes: usize,
    },
    /// A name the host keeps for itself.
    #[error(
        "the path `{0}` is reserved: the host writes its own file of that name; choose another, \
         for example `site.webmanifest`"
    )]
    Reserved(String),
}

/// Which edge of a part is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// A space before it.
    LeadingSpace,
    /// A space after it.
    TrailingSpace,
    /// A dot after it.
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
    /// Checks `text`, which may have at most `max_bytes` bytes.
    ///
    /// # Errors
    /// The first rule it breaks, from the outside in: length, shape, parts from left to right,
    /// reserved names.
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
        if case_key(text) == MANIFEST_FILE {
            return Err(PathError::Reserved(text.to_owned()));
        }
        Ok(SitePath(text.to_owned()))
    }

    /// The page a visitor sees first: `index.html`.
    pub fn entry_page() -> Self {
        SitePath("index.html".to_owned())
    }

    /// The path, `/` between its parts.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts from left to right; at least one.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The folders on the way to the file, outermost first: `a`, `a/b` of `a/b/c.html`.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(at, _)| &self.0[..at])
    }

    /// What follows the last dot of the last part, in lower case: `html`.
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

    /// For manifests, which were written under limits that may have changed since: only the length
    /// is not checked.
    fn try_from(text: String) -> Result<Self, PathError> {
        SitePath::parse(&text, usize::MAX)
    }
}

impl AsRef<std::path::Path> for SitePath {
    fn as_ref(&self) -> &std::path::Path {
        std::path::Path::new(&self.0)
    }
}

/// What two names have in common when a file system that ignores case or Unicode spelling takes
/// them for the same: decomposed, upper-cased and lower-cased character by character, composed
/// again. `É`, `é` and `e` + accent share a key.
pub(super) fn case_key(text: &str) -> String {
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
    let refused =
        |c: &char| c.is_control() || matches!(c, '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
    if let Some(character) = part.chars().find(refused) {
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

/// The Windows device that `part` names. An extension does not change what it names: `nul.html` is
/// the device `NUL`.
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

/// At most 80 characters of `text`, control characters escaped, for messages.
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
