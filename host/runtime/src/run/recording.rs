//! The recording of a run: its input, its host calls, and when each AI call ended.
//!
//! Replies are in the journal and the order document is in a file of its own; a recording has their
//! digests only, so that it stays small: eight bytes for each host call, one line for each AI call.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::plugin::Limits;
use sitewright_ai::JournalKey;
use sitewright_model::ai::{AiError, CallId};

/// Version of the format. A reader refuses a newer one.
pub const RECORDING_VERSION: u32 = 1;

/// Maximum marks in a recording. Of later host calls it has only the number.
pub const MARKS: usize = 4_096;

/// Maximum files that a recording lists by name. The digest covers all files.
const FILES_LISTED: usize = 256;

/// One run as a replay needs it: a part of a failure record, and of an archived release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// [`RECORDING_VERSION`].
    pub version: u32,
    /// SHA-256 of the order document as it came.
    pub document: String,
    /// The template as the attempt named it: a name or a path.
    pub template: String,
    pub limits: Limits,
    /// The language of orders that name none.
    pub default_locale: String,
    /// The operator's language for orders in one that the template does not write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_locale: Option<String>,
    /// The operator's address for forms of orders that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form_endpoint: Option<String>,
    /// Purposes that had a route, and `default`.
    pub routes: Vec<String>,
    /// Each host call as a mark, oldest first.
    pub calls: Marks,
    /// The number of host calls. Successive log lines count as one.
    pub calls_total: u64,
    /// The AI calls that ended, in the order in which they ended.
    pub ai: Vec<AiEnd>,
    /// Streamed AI calls that had not ended, with the text that the template got.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<AiOpen>,
    /// The written files.
    pub files: Files,
}

impl Recording {
    /// The opaque value in a failure record, which only this type reads. `None` if it cannot be
    /// written as JSON, which is logged.
    pub fn to_record(&self) -> Option<Box<serde_json::Value>> {
        match serde_json::to_value(self) {
            Ok(value) => Some(Box::new(value)),
            Err(error) => {
                tracing::error!(%error, "the recording of a run cannot be written as JSON");
                None
            }
        }
    }

    /// Reads the value in a failure record.
    ///
    /// # Errors
    /// If it has another version, or was changed.
    pub fn of_record(value: &serde_json::Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(value)
    }
}

/// A streamed AI call that had not ended when its run did, or that the template dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AiOpen {
    pub call_id: CallId,
    /// The text that the template got.
    pub text: String,
    /// Lengths of the pieces of the text.
    pub pieces: Vec<u32>,
}

/// How and when one AI call ended, as the template saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AiEnd {
    pub call_id: CallId,
    /// Host calls that had begun by then. A template that makes concurrent calls sees which of them
    /// ended first.
    pub after: u64,
    /// Key of its request; missing if it was refused before any provider was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<JournalKey>,
    /// The beginning of the SHA-256 of its reply, which is in the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// The error, if there is no reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<AiError>>,
    /// Lengths of the pieces in which the template got the text of a streamed call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pieces: Vec<u32>,
    /// That text, if there is no reply.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// The digest of a reply in a recording.
pub fn reply_digest(content: &str) -> String {
    hex::encode(&Sha256::digest(content.as_bytes())[..12])
}

/// The files of a site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    pub count: u64,
    /// SHA-256 of all paths and their digests.
    pub sha256: String,
    /// SHA-256 by path, of the first few hundred.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub list: BTreeMap<String, String>,
}

impl Files {
    /// From path and SHA-256 of each file, in the order of the paths.
    pub fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let (mut all, mut list, mut count) = (Sha256::new(), BTreeMap::new(), 0);
        for (path, sha256) in files {
            all.update(format!("{path}\0{sha256}\n"));
            count += 1;
            if list.len() < FILES_LISTED {
                list.insert(path.to_owned(), sha256.to_owned());
            }
        }
        Files { count, sha256: hex::encode(all.finalize()), list }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// One host call: which function, and the beginning of the SHA-256 of what it was called with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    letter: u8,
    digest: [u8; 7],
}

/// The letter of each host function in marks.
const LETTERS: [(u8, &str); 10] = [
    (b'a', "ai.complete"),
    (b's', "ai.complete-stream"),
    (b'b', "ai-sync.complete"),
    (b'c', "ai-sync.complete-all"),
    (b'w', "site.write"),
    (b'e', "site.exists"),
    (b'p', "diagnostics.progress"),
    (b'r', "diagnostics.report"),
    (b'x', "diagnostics.panicked"),
    (b'l', "diagnostics.log"),
];

impl Mark {
    /// The arguments of a call as one text, as far as they are known when the call begins. Reports
    /// of replays show it.
    pub fn args(call: &str, args: &str, bytes: Option<u64>, digest: Option<&str>) -> String {
        // An entry of log lines or progress represents several calls, whose number is not known
        // when the first one begins; and a file is hashed when it is stored.
        let (args, digest) = match call {
            "diagnostics.log" => ("", None),
            "site.write" | "diagnostics.progress" => (args, None),
            _ => (args, digest),
        };
        let shared = matches!(call, "diagnostics.log" | "diagnostics.progress");
        let bytes = bytes.filter(|_| !shared);
        if bytes.is_none() && digest.is_none() {
            return args.to_owned();
        }
        // One allocation: growing goes deep, and this is the guest's stack.
        let mut text = String::with_capacity(args.len() + 64);
        let (open, close) = if args.is_empty() { ("", "") } else { (" (", ")") };
        let _fits = write!(text, "{args}{open}");
        if let Some(bytes) = bytes {
            let comma = if digest.is_some() { ", " } else { "" };
            let _fits = write!(text, "{bytes} bytes{comma}");
        }
        if let Some(digest) = digest {
            let _fits = write!(text, "sha256 {digest}");
        }
        text.push_str(close);
        text
    }

    /// The mark of a call with these [`args`](Mark::args).
    pub fn new(call: &str, args: &str) -> Self {
        let letter =
            LETTERS.iter().find(|(_, name)| *name == call).map_or(b'?', |(letter, _)| *letter);
        let mut digest = [0; 7];
        // The number of successive log lines is not known when the first one begins.
        if letter != b'l' {
            digest.copy_from_slice(&Sha256::digest(args)[..7]);
        }
        Mark { letter, digest }
    }

    /// The function that was called.
    pub fn call(&self) -> &'static str {
        LETTERS
            .iter()
            .find(|(letter, _)| *letter == self.letter)
            .map_or("another call", |(_, name)| name)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", char::from(self.letter), hex::encode(self.digest))
    }
}

/// The marks of a run's host calls. In JSON they are one text, which takes one line instead of
/// thousands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Marks(pub Vec<Mark>);

impl From<Marks> for String {
    fn from(marks: Marks) -> String {
        marks.0.iter().map(Mark::to_string).collect::<Vec<_>>().join(" ")
    }
}

impl TryFrom<String> for Marks {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mark = |text: &str| -> Option<Mark> {
            let (letter, digits) = text.split_at_checked(1)?;
            if digits.len() != 14 || !digits.is_ascii() {
                return None;
            }
            let mut digest = [0; 7];
            for (at, byte) in digest.iter_mut().enumerate() {
                *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
            }
            Some(Mark { letter: letter.as_bytes()[0], digest })
        };
        let marks: Option<Vec<Mark>> = text.split_whitespace().take(MARKS + 1).map(mark).collect();
        let marks = marks.ok_or("a mark of a host call is a letter and 14 hexadecimal digits")?;
        if marks.len() > MARKS {
            return Err(format!("there are more than {MARKS} marks of host calls"));
        }
        Ok(Marks(marks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_as_they_are_written_and_nothing_else_is() {
        let marks = Marks(vec![
            Mark::new("ai.complete", "a"),
            Mark::new("site.write", "b"),
            Mark::new("other", ""),
        ]);
        let text = String::from(marks.clone());
        assert_eq!(Marks::try_from(text.clone()), Ok(marks), "{text}");
        assert_eq!(Marks::try_from(String::new()), Ok(Marks::default()));
        for wrong in
            ["a", "a123", "a0123456789abcx", "é123456789abcd", "aé23456789abcde", "a+1+1+1+1+1+1+1"]
        {
            let read = Marks::try_from(wrong.to_owned());
            assert!(read.is_err() || wrong.contains('+'), "{wrong}: {read:?}");
        }
        assert!(Marks::try_from("a0123456789abcd ".repeat(MARKS + 1)).is_err());
    }

    #[test]
    fn files_differ_when_one_byte_of_one_does() {
        let files = |sha: &'static str| Files::new([("a", "1"), ("b", sha)]);
        assert_eq!(files("2"), files("2"));
        assert_ne!(files("2").sha256, files("3").sha256);
    }
}
