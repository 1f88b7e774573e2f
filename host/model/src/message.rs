//! A message that cannot be empty.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Text for a person: never empty, never blank.
///
/// The predecessor logged `AI call failed: ` and nothing else, because some errors had an empty
/// text (catalogue A1). A `Message` cannot be made of such a text: [`message!`](crate::message!)
/// requires a literal that begins with words, and [`Message::new`] rejects blanks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Message(String);

impl Message {
    /// The text without surrounding white space; `None` if it is blank.
    pub fn new(text: impl AsRef<str>) -> Option<Self> {
        let text = text.as_ref().trim();
        (!text.is_empty()).then(|| Message(text.to_owned()))
    }

    /// The text, or `instead` if it is blank. Use [`message!`](crate::message!) for `instead`.
    pub fn or(text: impl AsRef<str>, instead: Message) -> Self {
        Message::new(text).unwrap_or(instead)
    }

    /// `message!` expands to this.
    #[doc(hidden)]
    pub fn formatted(arguments: fmt::Arguments<'_>) -> Self {
        Message(arguments.to_string().trim_end().to_owned())
    }

    /// The compile-time check of `message!`.
    #[doc(hidden)]
    pub const fn begins_with_words(format: &str) -> bool {
        let bytes = format.as_bytes();
        !bytes.is_empty() && bytes[0] != b'{' && bytes[0] != b' '
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Formats a [`Message`]. The literal must begin with text of its own, so that no argument can make
/// the message empty:
///
/// ```
/// # let reason = "";
/// let message = sitewright_model::message!("the route `copywriting` failed: {reason}");
/// assert_eq!(message.as_str(), "the route `copywriting` failed:");
/// ```
///
/// ```compile_fail
/// # let reason = "";
/// let message = sitewright_model::message!("{reason}");
/// ```
#[macro_export]
macro_rules! message {
    ($format:literal $($arguments:tt)*) => {{
        const _: () = assert!($crate::message::Message::begins_with_words($format), "a message begins with words of its own");
        $crate::message::Message::formatted(::core::format_args!($format $($arguments)*))
    }};
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Message {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Message::new(&text).ok_or_else(|| serde::de::Error::custom("a message is never empty"))
    }
}

impl schemars::JsonSchema for Message {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Message".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "description": "Text for a person: never empty.", "type": "string", "pattern": "\\S" })
    }
}

/// The texts of an error's sources, outermost first, without those that the text of their parent
/// contains.
pub fn causes_of(error: &(dyn std::error::Error + 'static)) -> Vec<Message> {
    let mut causes = Vec::new();
    let mut parent = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if let Some(message) =
            Message::new(&text).filter(|message| !parent.contains(message.as_str()))
        {
            causes.push(message);
        }
        parent = text;
        next = cause.source();
    }
    causes
}

/// Too many open files in this process, and in the system. The same on all Unix systems.
const NO_DESCRIPTORS: [i32; 2] = [24, 23];

/// The kind of the innermost I/O error among an error and its sources; `None` if there is none. Too
/// many open files, for which the standard library has no kind, are
/// [`ResourceBusy`](std::io::ErrorKind::ResourceBusy), and so are too many processes or threads,
/// for which the system has no error of its own: both pass.
pub fn io_kind_of(error: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    let kind = |io: &std::io::Error| match io.raw_os_error() {
        Some(code) if NO_DESCRIPTORS.contains(&code) => std::io::ErrorKind::ResourceBusy,
        _ if io.kind() == std::io::ErrorKind::WouldBlock => std::io::ErrorKind::ResourceBusy,
        _ => io.kind(),
    };
    let below = match error.downcast_ref::<std::io::Error>() {
        // `source()` skips the inner error itself; `get_ref` returns it.
        Some(io) => io.get_ref().and_then(|inner| io_kind_of(inner)).or(Some(kind(io))),
        None => None,
    };
    below.or_else(|| error.source().and_then(io_kind_of))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn what_the_system_refused_is_found_below_what_was_tried() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let rows: [(anyhow::Error, Option<io::ErrorKind>); 8] = [
            (full().into(), Some(io::ErrorKind::StorageFull)),
            (
                anyhow::Error::new(full()).context("a file was written").context("a site was made"),
                Some(io::ErrorKind::StorageFull),
            ),
            // The innermost kind counts: the outer one is often only `other`.
            (io::Error::other(full()).into(), Some(io::ErrorKind::StorageFull)),
            (anyhow::anyhow!("no room"), None),
            (io::Error::from_raw_os_error(24).into(), Some(io::ErrorKind::ResourceBusy)),
            (
                anyhow::Error::new(io::Error::from_raw_os_error(23)).context("a file was opened"),
                Some(io::ErrorKind::ResourceBusy),
            ),
            (
                anyhow::Error::new(io::Error::from(io::ErrorKind::WouldBlock))
                    .context("a process was started"),
                Some(io::ErrorKind::ResourceBusy),
            ),
            (io::Error::from_raw_os_error(2).into(), Some(io::ErrorKind::NotFound)),
        ];
        for (error, kind) in rows {
            assert_eq!(io_kind_of(error.as_ref()), kind, "{error:#}");
        }
    }
}
