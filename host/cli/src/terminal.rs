//! What may reach a terminal. Everything that is printed or logged passes one of these functions,
//! because most of it contains text of templates, customers and providers.
//!
//! Commands clean the texts of others where they format them, with
//! [`render::clean`](sitewright_failure::render::clean) or `output::one_line`, so that a text can
//! neither begin a line nor have a colour of its own. This is the net below them: whatever a
//! command forgets, no text moves the cursor, sets the title, hides or turns what is around it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use sitewright_failure::render::is_obeyed;

/// How a text is cleaned before it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Text of several lines for people: colours of our own kind stay.
    Text,
    /// One line of the log, with its end: line breaks inside are shown as escapes.
    Line,
    /// A value in such a line: it has no colours.
    Value,
    /// JSON: the characters are escaped, so that the values stay the same.
    Json,
}

impl Guard {
    /// The text without what a terminal would obey.
    pub(crate) fn cleaned(self, text: &str) -> Cow<'_, str> {
        let allowed = |c: char| match self {
            Guard::Text => c == '\n' || c == '\t' || !is_obeyed(c),
            Guard::Line | Guard::Value => !is_obeyed(c),
            Guard::Json => c == '\n' || !is_obeyed(c),
        };
        // The end of the line is the log's own.
        let (body, end) = match self {
            Guard::Line => text.strip_suffix('\n').map_or((text, ""), |body| (body, "\n")),
            Guard::Text | Guard::Value | Guard::Json => (text, ""),
        };
        if body.chars().all(allowed) {
            return Cow::Borrowed(text);
        }
        let mut clean = String::with_capacity(text.len());
        let mut rest = body;
        while let Some(at) = rest.find(|c| !allowed(c)) {
            clean.push_str(&rest[..at]);
            rest = &rest[at..];
            let length = match self {
                Guard::Json => escaped(&mut clean, rest),
                Guard::Value => shown(self, &mut clean, rest),
                Guard::Text | Guard::Line => match style(rest) {
                    Some(Style { length, ours: true }) => {
                        clean.push_str(&rest[..length]);
                        length
                    }
                    // Tools of authors print more of them than we do. The text is whole without.
                    Some(Style { length, ours: false }) => length,
                    None => shown(self, &mut clean, rest),
                },
            };
            rest = &rest[length..];
        }
        clean.push_str(rest);
        clean.push_str(end);
        Cow::Owned(clean)
    }
}

/// Appends a substitute for the first character and returns its length.
fn shown(guard: Guard, clean: &mut String, text: &str) -> usize {
    match (guard, text.as_bytes()) {
        (Guard::Text, [b'\r', b'\n', ..]) => {}
        (Guard::Line | Guard::Value, [b'\n', ..]) => clean.push_str("\\n"),
        (Guard::Line | Guard::Value, [b'\r', ..]) => clean.push_str("\\r"),
        (Guard::Line | Guard::Value, [b'\t', ..]) => clean.push(' '),
        _ => clean.push('\u{fffd}'),
    }
    text.chars().next().map_or(0, char::len_utf8)
}

/// Appends the first character as an escape of JSON and returns its length. Outside of texts JSON
/// has no such character, except for the white space that becomes a space.
fn escaped(clean: &mut String, text: &str) -> usize {
    let Some(c) = text.chars().next() else { return 0 };
    if matches!(c, '\r' | '\t') {
        clean.push(' ');
    } else {
        for unit in c.encode_utf16(&mut [0; 2]) {
            #[allow(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
            let _ = write!(clean, "\\u{unit:04x}");
        }
    }
    c.len_utf8()
}

/// A sequence that selects a style.
struct Style {
    /// Its bytes.
    length: usize,
    /// Whether commands and the log use it: no blinking, no hidden text, no background.
    ours: bool,
}

/// The sequence that selects a style at the beginning of the text.
fn style(text: &str) -> Option<Style> {
    /// `ESC[1;31m` and longer ones of clap, `ESC[38;2;255;255;255m` of tools.
    const LONGEST: usize = 24;
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.bytes().take(LONGEST).position(|byte| byte == b'm')?;
    let known = |number: &str| {
        matches!(number, "" | "39")
            || number
                .parse::<u8>()
                .is_ok_and(|number| matches!(number, 0..=4 | 22..=24 | 30..=37 | 90..=97))
                // A number may be parsed with a plus sign, which is no part of a style.
                && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let parameters = &parameters[..end];
    let is_style = parameters.bytes().all(|byte| byte.is_ascii_digit() || byte == b';');
    is_style.then(|| Style { length: end + 3, ours: parameters.split(';').all(known) })
}

/// A writer that cleans each text that is written in one call.
#[derive(Debug)]
pub(crate) struct Guarded<W> {
    to: W,
    guard: Guard,
}

impl<W: io::Write> Guarded<W> {
    pub(crate) fn new(to: W, guard: Guard) -> Self {
        Guarded { to, guard }
    }
}

impl<W: io::Write> io::Write for Guarded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.to.write_all(self.guard.cleaned(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sequences and characters that a terminal obeys, and what a name of each is.
    const HOSTILE: [(&str, &str); 16] = [
        ("title", "\u{1b}]0;PWNED\u{7}"),
        ("clear", "\u{1b}[2J\u{1b}[H"),
        ("up", "\u{1b}[1A\u{1b}[2K"),
        ("hidden", "\u{1b}[8mhidden\u{1b}[0;8m"),
        ("blink", "\u{1b}[5m"),
        ("background", "\u{1b}[41m\u{1b}[48;5;1m"),
        ("device", "\u{1b}P1$r\u{1b}\\"),
        ("C1", "\u{9b}2J\u{9d}0;x\u{9c}"),
        ("unfinished", "\u{1b}["),
        ("carriage return", "bad\rgood"),
        ("backspace", "bad\u{8}\u{8}\u{8}good"),
        ("bell", "\u{7}"),
        ("delete", "\u{7f}"),
        ("override", "\u{202e}gnp.exe"),
        ("isolate", "\u{2066}\u{2069}\u{200f}"),
        ("invisible", "\u{200b}\u{feff}\u{e0041}\u{2060}"),
    ];

    fn obeys(text: &str) -> bool {
        text.chars().any(|c| c != '\n' && is_obeyed(c))
    }

    #[test]
    fn no_text_makes_a_terminal_do_anything() {
        for (name, hostile) in HOSTILE {
            let text = format!("before {hostile} after\n");
            for guard in [Guard::Text, Guard::Line] {
                let clean = guard.cleaned(&text);
                assert!(!obeys(&clean.replace("\u{1b}[0m", "")), "{name}: {clean:?}");
                assert!(clean.starts_with("before ") && clean.ends_with(" after\n"), "{name}");
                assert_eq!(guard.cleaned(&clean), clean, "{name}: it is clean already");
            }
            let value = serde_json::json!({ "text": text, hostile: [hostile] });
            for json in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                let clean = Guard::Json.cleaned(&json);
                assert!(!obeys(&clean), "{name}: {clean:?}");
                assert_eq!(serde_json::from_str::<serde_json::Value>(&clean).unwrap(), value);
            }
        }
    }

    #[test]
    fn nothing_else_writes_to_stdout_or_stderr() {
        fn check(folder: &std::path::Path) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    check(&path);
                } else if !path.ends_with("terminal.rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    for (at, line) in text.lines().enumerate() {
                        let writes =
                            ["stdout()", "stderr()"].iter().any(|name| line.contains(name));
                        let allowed = line.contains("Guarded::new(")
                            || line.contains("use_stderr")
                            || line.contains("is_terminal")
                            || line.contains("tcgetwinsize")
                            || line.contains("AutoStream::choice")
                            || line.contains("io::stderr().flush()");
                        assert!(!writes || allowed, "{}:{}: {line}", path.display(), at + 1);
                    }
                }
            }
        }
        check(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    }

    #[test]
    fn our_own_text_stays() {
        let styled =
            "\u{1b}[1m\u{1b}[31m✗ wrong\u{1b}[0m \u{1b}[2mdim\u{1b}[22;39m\n  a\tb · ü é 日本\n";
        assert_eq!(Guard::Text.cleaned(styled), styled);
        assert_eq!(Guard::Text.cleaned("a\r\nb"), "a\nb");
        // As esbuild prints it, with colours of the background.
        let tool = "\u{1b}[31m✘ \u{1b}[41;31m[\u{1b}[41;97mERROR\u{1b}[41;31m]\u{1b}[0m \u{1b}[1m\
                    Could not resolve\u{1b}[0m\n";
        let shown = "\u{1b}[31m✘ [ERROR]\u{1b}[0m \u{1b}[1mCould not resolve\u{1b}[0m\n";
        assert_eq!(Guard::Text.cleaned(tool), shown);
        let line = "\u{1b}[2m2026\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m \u{1b}[3mfield\u{1b}[0m=1\n";
        assert_eq!(Guard::Line.cleaned(line), line);
        assert_eq!(Guard::Json.cleaned("{\r\n\t\"a\": 1}\n"), "{ \n \"a\": 1}\n");
    }

    #[test]
    fn a_field_of_the_log_cannot_begin_a_line() {
        let forged = "2026  INFO t: m text=a\r\n2026  INFO sitewright: all is well\n";
        let clean = Guard::Line.cleaned(forged);
        assert_eq!(clean, "2026  INFO t: m text=a\\r\\n2026  INFO sitewright: all is well\n");
        assert_eq!(Guard::Line.cleaned("\n"), "\n");
        assert_eq!(Guard::Line.cleaned("a\n\n"), "a\\n\n");
    }

    #[test]
    fn the_writer_cleans_what_it_is_given() {
        let mut written = Vec::new();
        io::Write::write_all(&mut Guarded::new(&mut written, Guard::Text), b"a\x1b[2Jb\xff\n")
            .unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), "a\u{fffd}[2Jb\u{fffd}\n");
    }
}
