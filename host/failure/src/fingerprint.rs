//! Which failures are the same bug, so that a list shows one group with a count.
//!
//! A fingerprint is a hash of what stays the same if the template is built again or another order
//! triggers the bug: kind, code, the author's own frames without their lines, and the message
//! without the values of one order. The template's digest is not part of it.
//!
//! **Invariant:** the inputs of the hash do not change with the version of the record: AI error
//! kinds go in as in the contract (`rate-limited`).

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use sitewright_model::ai::AiError;
use sitewright_model::failure::FailureKind;
use sitewright_model::failure::FailureRecord;
use sitewright_model::failure::{Frame, TrapRecord};
use sitewright_model::message::Message;

/// Number of own frames in the hash: the outer ones are the same in every failure.
const FRAMES: usize = 3;
/// Number of problems of a document or site in the hash.
const PROBLEMS: usize = 8;
/// Number of bytes of a message in the hash.
const MAX_MESSAGE: usize = 2 << 10;
/// Length of a fingerprint, in hexadecimal digits.
const DIGITS: usize = 16;

/// Minimum number of digits with which a fingerprint is written.
const MIN_DIGITS: usize = 4;

/// The beginning of a fingerprint that somebody has typed, as fingerprints have it.
///
/// # Errors
/// What is wrong with it, for whoever typed it.
pub fn beginning(text: &str) -> Result<String, String> {
    if text.len() >= MIN_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!(
        "a fingerprint is written with at least {MIN_DIGITS} hexadecimal digits, as \
         `sitewright failures list` shows it"
    ))
}

/// The record with its fingerprint.
pub fn stamped(record: FailureRecord) -> FailureRecord {
    let fingerprint = Some(of(&record));
    FailureRecord { fingerprint, ..record }
}

/// The fingerprint of a record, computed; its field `fingerprint` is ignored.
pub fn of(record: &FailureRecord) -> String {
    let mut parts = Parts::new(record.kind.as_str());
    if is_the_templates(record.kind) {
        parts.add("template", &record.template.name);
    }
    parts.add("code", record.code.as_deref().unwrap_or_default());
    match record.kind {
        FailureKind::Ai | FailureKind::CallLimit => match &record.ai {
            // The template's own message differs from template to template; what failed is the
            // call.
            Some(ai) => {
                let last = ai.attempts.last();
                parts.add("ai", ai.kind.as_str());
                parts.add("purpose", &ai.purpose);
                parts.add("provider", last.map(|attempt| &*attempt.provider).unwrap_or_default());
                let (status, message) = seen(ai);
                let status = status.map(|status| status.to_string());
                parts.add("status", &status.unwrap_or_default());
                parts.add("message", &normalised(message.as_str()));
            }
            None => parts.add("message", &normalised(record.message.as_str())),
        },
        FailureKind::OutputRejected | FailureKind::InvalidOrder if !record.problems.is_empty() => {
            // The message contains only their number.
            let mut problems: Vec<String> = record
                .problems
                .iter()
                .map(|problem| match &problem.rule {
                    Some(rule) => rule.clone(),
                    None => format!("{} {}", normalised(&problem.at), normalised(&problem.message)),
                })
                .collect();
            problems.sort();
            problems.dedup();
            problems.iter().take(PROBLEMS).for_each(|problem| parts.add("problem", problem));
        }
        // The message names worker and count; the stage is where the process ended.
        FailureKind::Crashed => parts.add("stage", &normalised(&record.stage)),
        _ => parts.add(
            "message",
            &normalised(record.panic.as_deref().unwrap_or(record.message.as_str())),
        ),
    }
    if matches!(record.kind, FailureKind::Host | FailureKind::TemplateLoad) {
        // The host's own causes name the reason.
        record.causes.iter().for_each(|cause| parts.add("cause", &normalised(cause.as_str())));
    }
    match &record.trap {
        Some(trap) => {
            parts.add("trap", trap.code.as_str());
            telling_frames(trap).iter().for_each(|frame| parts.add("frame", &place(frame)));
        }
        None => {
            if let Some(location) = &record.location {
                parts.add("location", short_file(&location.file));
            }
        }
    }
    parts.digest()
}

/// Status and message of a failed call: those of the failure that opened the circuit breaker, if
/// the breaker rejected the last attempt. What was not sent has the same cause.
fn seen(ai: &AiError) -> (Option<u16>, Cow<'_, Message>) {
    let status = ai.attempts.last().and_then(|last| match &last.opened_by {
        Some(opened) => opened.status,
        None => last.status,
    });
    (status, ai.in_full())
}

/// The fingerprint of a failure of which only kind and message are known.
pub fn of_words(kind: &str, message: &str) -> String {
    let mut parts = Parts::new(kind);
    parts.add("message", &normalised(message));
    parts.digest()
}

/// Whether the template causes failures of this kind, so that the same message of two templates is
/// two bugs.
fn is_the_templates(kind: FailureKind) -> bool {
    match kind {
        FailureKind::TemplateLoad
        | FailureKind::TemplateError
        | FailureKind::Panic
        | FailureKind::Trap
        | FailureKind::CpuLimit
        | FailureKind::MemoryLimit
        | FailureKind::OutputLimit
        | FailureKind::CallLimit
        | FailureKind::Deadline
        | FailureKind::OutputRejected => true,
        FailureKind::InvalidOrder
        | FailureKind::Cancelled
        | FailureKind::Ai
        | FailureKind::Crashed
        | FailureKind::Host => false,
    }
}

struct Parts(Sha256);

impl Parts {
    fn new(kind: &str) -> Self {
        let mut parts = Parts(Sha256::new());
        parts.add("kind", kind);
        parts
    }

    fn add(&mut self, name: &str, value: &str) {
        for text in [name, value] {
            self.0.update(text.as_bytes());
            self.0.update([0]);
        }
    }

    fn digest(self) -> String {
        let mut digits = hex::encode(self.0.finalize());
        digits.truncate(DIGITS);
        digits
    }
}

/// The frames in the hash: the author's own, or the innermost ones if none is known to be the
/// author's. Recursion counts once.
fn telling_frames(trap: &TrapRecord) -> Vec<&Frame> {
    let has_own = trap.frames.iter().any(|frame| frame.own);
    let mut frames: Vec<&Frame> =
        trap.frames.iter().filter(|frame| frame.own || !has_own).collect();
    frames.dedup_by(|a, b| place(a) == place(b));
    frames.truncate(FRAMES);
    frames
}

/// Function and file of a frame, without line numbers.
fn place(frame: &Frame) -> String {
    let named = !frame.function.starts_with("function ");
    let function = if named { without_numbers(&frame.function) } else { frame.function.clone() };
    match &frame.file {
        Some(file) => format!("{function} {}", short_file(file)),
        None => function,
    }
}

/// `{closure#2}` without its number, which changes if a closure is added before it.
fn without_numbers(function: &str) -> String {
    let mut out = String::with_capacity(function.len());
    let mut after_hash = false;
    for c in function.chars() {
        if !(after_hash && c.is_ascii_digit()) {
            out.push(c);
            after_hash = c == '#';
        }
    }
    out
}

/// The last two parts of a path: the build folder is not part of the bug.
fn short_file(file: &str) -> &str {
    match file.rmatch_indices(['/', '\\']).nth(1) {
        Some((at, _)) => &file[at + 1..],
        None => file,
    }
}

/// A message without the values of one order or build: quoted values, numbers, ids, hexadecimal
/// digits, paths and addresses become marks.
pub fn normalised(message: &str) -> String {
    let message = &message[..message.floor_char_boundary(MAX_MESSAGE)];
    let unquoted = without_quoted(message);
    let words = unquoted.split_whitespace().map(masked_word);
    words.collect::<Vec<_>>().join(" ")
}

/// Replaces quoted text with a mark. An apostrophe inside a word and an unclosed quote are not
/// quotes.
fn without_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let close = match c {
            '"' | '`' => Some(c),
            '\'' if !before.is_alphanumeric() => Some(c),
            '“' => Some('”'),
            '«' => Some('»'),
            _ => None,
        };
        let inner = &rest[c.len_utf8()..];
        if let Some(close) = close
            && let Some(end) = inner.find(close)
        {
            out.push_str("<value>");
            rest = &inner[end + close.len_utf8()..];
            before = close;
        } else {
            out.push(c);
            rest = inner;
            before = c;
        }
    }
    out
}

/// A word with a mark in place of an id, a path or a number.
fn masked_word(word: &str) -> String {
    let is_edge = |c: char| !c.is_alphanumeric() && !matches!(c, '/' | '<' | '>' | '-' | '_');
    let bare = word.trim_matches(is_edge);
    let mask = if bare.is_empty() || bare.contains("<value>") {
        return without_digits(word);
    } else if bare.contains("://") || (bare.contains('/') && bare.chars().any(char::is_alphabetic))
    {
        "<path>"
    } else if is_id(bare) {
        "<id>"
    } else {
        return without_digits(word);
    };
    word.replacen(bare, mask, 1)
}

/// Hexadecimal digits, a ULID, a UUID or the like: long, of letters and digits.
fn is_id(word: &str) -> bool {
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let hex = word.strip_prefix("0x").unwrap_or(word);
    let all_hex = !hex.is_empty() && hex.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    let all_alphanumeric =
        word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    let has_letters = word.chars().any(|c| c.is_ascii_alphabetic());
    (hex.len() < word.len() && all_hex)
        || (all_hex && has_letters && digits > 0 && word.len() >= 6)
        || (all_alphanumeric && has_letters && digits >= 4 && word.len() >= 12)
}

/// Each run of digits, with the point or comma inside a number, becomes one mark.
fn without_digits(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    let mut chars = word.chars().peekable();
    while let Some(c) = chars.next() {
        if !c.is_ascii_digit() {
            out.push(c);
            continue;
        }
        out.push('#');
        let mut ahead = chars.clone();
        while let Some(next) = ahead.next() {
            let inside =
                matches!(next, '.' | ',') && ahead.peek().is_some_and(char::is_ascii_digit);
            if !(next.is_ascii_digit() || inside) {
                break;
            }
            chars = ahead.clone();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_fingerprint_is_hexadecimal() {
        assert_eq!(beginning("3FA9c1"), Ok("3fa9c1".to_owned()));
        for text in ["", "3fa", "trap", "3fa9 ", "%", "3fa%"] {
            assert!(beginning(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_message_keeps_its_words_and_loses_its_values() {
        let rows = [
            (
                "index out of bounds: the len is 3 but the index is 7",
                "index out of bounds: the len is # but the index is #",
            ),
            ("no route serves `copywriting`, or \"x y\"", "no route serves <value>, or <value>"),
            ("it doesn't work, and it can't", "it doesn't work, and it can't"),
            ("he said 'no' twice", "he said <value> twice"),
            ("a lone ` stays, and so does \" here", "a lone ` stays, and so does \" here"),
            ("cannot read /srv/sites/102/index.html: no space", "cannot read <path>: no space"),
            ("see https://example.com/a?b=1.", "see <path>."),
            ("call 01M8357K477S54PXCWJ5Y3G5CR ended", "call <id> ended"),
            ("digest 0a1b2c3d4e5f, offset 0x1f", "digest <id>, offset <id>"),
            ("id 6f9619ff-8b86-d011-b42d-00cf4fc964ff!", "id <id>!"),
            ("took 1.5 s, 10,000 times, 3/5 done", "took # s, # times, #/# done"),
            ("an i32 in utf8  and\nmore", "an i# in utf# and more"),
            ("the facade was decade old", "the facade was decade old"),
            ("ünïcödé 東京 42", "ünïcödé 東京 #"),
            ("", ""),
        ];
        for (message, expected) in rows {
            assert_eq!(normalised(message), expected, "{message:?}");
        }
    }

    #[test]
    fn a_path_is_known_by_its_end() {
        for (file, short) in [
            ("plugins/bakery/src/menu.rs", "src/menu.rs"),
            ("/home/somebody/bakery/src/menu.rs", "src/menu.rs"),
            ("src/menu.rs", "src/menu.rs"),
            ("menu.py", "menu.py"),
        ] {
            assert_eq!(short_file(file), short);
        }
        assert_eq!(without_numbers("a::{closure#12}::b2"), "a::{closure#}::b2");
    }
}
