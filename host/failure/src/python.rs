//! Parses an uncaught Python exception: as the interpreter prints it on stderr before it stops, or
//! as the panic of componentize-py's runtime shows it.

use sitewright_model::failure::Frame;
use sitewright_model::failure::SourceExcerpt;

/// An exception that ended a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonException {
    /// Type and text: `KeyError: 'bread'`.
    pub message: String,
    /// Innermost first; for a group, the frames of its first exception precede its own.
    pub frames: Vec<Frame>,
    /// Chained exceptions from the nearest to the root, then the exceptions of a group.
    pub causes: Vec<String>,
    /// The line of the first own frame, if the interpreter printed it.
    pub source: Option<SourceExcerpt>,
}

const BEGIN: &str = "Traceback (most recent call last):";
const GROUP: &str = "+ Exception Group Traceback (most recent call last):";
const CAUSE: &str = "The above exception was the direct cause of the following exception:";
const CONTEXT: &str = "During handling of the above exception, another exception occurred:";

/// Prefixes of paths of modules that belong to the interpreter or the build tools.
const FOREIGN: [&str; 5] = ["/world/", "/bundled/", "/python/", "<frozen ", "<string>"];
/// The folder of the SDK's package.
const SDK: &str = "sitewright/";
/// Maximum lines of one exception's text in a record.
const MAX_TEXT_LINES: usize = 20;
/// Maximum exceptions kept of a chain or a group.
const MAX_CHAIN: usize = 16;

/// How an exception relates to the one printed before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// Not at all: the previous one was caught.
    None,
    /// Raised from it (`raise ... from`).
    Cause,
    /// Raised while it was handled.
    Context,
    /// A member of a group.
    Member,
}

#[derive(Debug)]
struct Traceback {
    link: Link,
    /// Outermost first, each with its line of code if that was printed.
    frames: Vec<(Frame, Option<String>)>,
    text: Vec<String>,
}

impl Traceback {
    fn message(&self) -> String {
        self.text.join("\n").trim().to_owned()
    }
}

impl PythonException {
    /// The last uncaught exception in a program's stderr; `None` if there is none.
    pub fn printed(stderr: &str) -> Option<Self> {
        let mut all = parse(stderr);
        // Members of a group come after it.
        let last = all.iter().rposition(|traceback| traceback.link != Link::Member)?;
        let members = all.split_off(last + 1);
        let uncaught = all.pop()?;
        let message = uncaught.message();
        if message.is_empty() {
            return None;
        }
        let mut causes = Vec::new();
        let mut link = uncaught.link;
        while let (Link::Cause | Link::Context, Some(before)) = (link, all.pop()) {
            causes.push(match link {
                Link::Context => format!("while handling {}", before.message()),
                _ => before.message(),
            });
            link = before.link;
        }
        causes.extend(members.iter().map(Traceback::message));
        causes.retain(|cause| !cause.is_empty());
        causes.truncate(MAX_CHAIN);

        let shown = members.into_iter().next().into_iter().chain([uncaught]);
        let frames: Vec<(Frame, Option<String>)> =
            shown.flat_map(|traceback| traceback.frames.into_iter().rev()).collect();
        let source = frames.iter().find(|(frame, _)| frame.own).and_then(|(frame, code)| {
            let line = frame.line?;
            Some(SourceExcerpt {
                file: frame.file.clone()?,
                line,
                first: line,
                lines: vec![code.clone()?],
            })
        });
        let frames = frames.into_iter().map(|(frame, _)| frame).collect();
        Some(PythonException { message, frames, causes, source })
    }
}

/// Start of an exception in a panic of componentize-py's runtime, whose text is the debug format
/// of PyO3: `PyErr { type: <class 'KeyError'>, value: KeyError('x'), traceback: Some("…") }`.
const SHOWN: &str = "PyErr { type: <class '";

impl PythonException {
    /// The exception in the message of a panic; `None` if it contains none. Causes and the author's
    /// lines of code are not in it.
    pub fn shown(panic: &str) -> Option<Self> {
        let (_, rest) = panic.split_once(SHOWN)?;
        let (class, rest) = rest.split_once("'>, value: ")?;
        let (value, traceback) = rest.rsplit_once(", traceback: ")?;
        let class = class.strip_prefix("builtins.").unwrap_or(class);
        let name = class.rsplit('.').next().unwrap_or(class);
        let arguments = value.strip_prefix(name).and_then(|rest| rest.strip_prefix('('));
        let text = match arguments.and_then(|rest| rest.strip_suffix(')')) {
            Some(arguments) => unquoted(arguments),
            None => value.to_owned(),
        };
        let message = if text.is_empty() { class.to_owned() } else { format!("{class}: {text}") };
        let printed = traceback.replace("\\n", "\n").replace("\\\"", "\"");
        let frames: Vec<Frame> = printed.lines().rev().filter_map(frame).collect();
        Some(PythonException { message, frames, causes: Vec::new(), source: None })
    }
}

/// The text of a string literal of Python; any other expression as it is.
fn unquoted(literal: &str) -> String {
    for quote in ['\'', '"'] {
        let inner = literal.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        if let Some(inner) = inner.filter(|inner| !inner.contains(quote)) {
            return inner.replace("\\n", "\n").replace("\\'", "'");
        }
    }
    literal.to_owned()
}

fn parse(stderr: &str) -> Vec<Traceback> {
    let mut all: Vec<Traceback> = Vec::new();
    // Whether lines belong to the last traceback.
    let mut reading = false;
    let mut link = Link::None;
    for whole in stderr.lines() {
        let in_group = all.last().is_some_and(|traceback| traceback.link == Link::Member)
            || whole.contains(" | ");
        let line = match whole.trim_start().strip_prefix('|') {
            Some(rest) if in_group => rest.strip_prefix(' ').unwrap_or(rest),
            _ => whole,
        };
        let begins = line.trim_start();
        if begins == BEGIN || begins == GROUP {
            all.push(Traceback { link, frames: Vec::new(), text: Vec::new() });
            (reading, link) = (true, Link::None);
        } else if line == CAUSE || line == CONTEXT {
            link = if line == CAUSE { Link::Cause } else { Link::Context };
            reading = false;
        } else if begins.starts_with("+-") {
            link = Link::Member;
            reading = false;
        } else if line.starts_with("thread '") && line.contains(" panicked at ") {
            // The interpreter's own panic, which follows the exception.
            (reading, link) = (false, Link::None);
        } else if let (true, Some(traceback)) = (reading, all.last_mut()) {
            traceback.read(line);
        }
    }
    all
}

impl Traceback {
    fn read(&mut self, line: &str) {
        if self.text.is_empty() {
            if let Some(frame) = frame(line) {
                self.frames.push((frame, None));
                return;
            }
            if line.starts_with(' ') {
                let code = line.trim();
                // Below the code are marks; repeated lines are summarized in brackets.
                let is_code =
                    !code.starts_with('[') && !code.chars().all(|c| matches!(c, '~' | '^' | ' '));
                if let (true, Some((_, slot @ None))) = (is_code, self.frames.last_mut()) {
                    *slot = Some(code.to_owned());
                }
                return;
            }
        }
        if self.text.len() < MAX_TEXT_LINES && !(self.text.is_empty() && line.trim().is_empty()) {
            self.text.push(line.to_owned());
        }
    }
}

/// `  File "/0/menu.py", line 5, in price_of`
fn frame(line: &str) -> Option<Frame> {
    let rest = line.trim_start().strip_prefix("File \"")?;
    let (path, rest) = rest.split_once("\", line ")?;
    let (number, function) = match rest.split_once(", in ") {
        Some((number, function)) => (number, function.trim()),
        None => (rest, "<module>"),
    };
    let line = number.trim().parse::<u32>().ok().filter(|line| *line > 0);
    Some(frame_of(path, line, function))
}

/// The frame of a function in a file, as the interpreter names them.
pub(crate) fn frame_of(path: &str, line: Option<u32>, function: &str) -> Frame {
    let own = !FOREIGN.iter().any(|start| path.starts_with(start))
        && !is_of_library(path)
        && !shorten(path).starts_with(SDK)
        && !path.contains("/site-packages/")
        && !path.contains("/lib/python");
    Frame {
        function: function.to_owned(),
        file: Some(shorten(path).to_owned()),
        line,
        column: None,
        own,
        inlined: false,
        offset: None,
    }
}

/// Whether a path is in a numbered folder of componentize-py other than the first, which has the
/// author's modules; the others have the SDK and installed packages.
fn is_of_library(path: &str) -> bool {
    let number = path.strip_prefix('/').and_then(|rest| rest.split_once('/')).map(|(part, _)| part);
    number.and_then(|number| number.parse().ok()).is_some_and(|number: u32| number > 0)
}

/// A path without the numbered folder of componentize-py: `/0/menu.py` is the author's `menu.py`.
fn shorten(path: &str) -> &str {
    let numbered = path.strip_prefix('/').and_then(|rest| rest.split_once('/'));
    match numbered {
        Some((number, rest))
            if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) =>
        {
            rest
        }
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(stderr: &str) -> (String, Vec<String>, Vec<String>) {
        let found = PythonException::printed(stderr)
            .unwrap_or_else(|| panic!("no exception in {stderr:?}"));
        let frames = found.frames.iter().map(|frame| {
            let own = if frame.own { "" } else { " (library)" };
            let file = frame.file.as_deref().unwrap_or("-");
            format!("{} {file}:{}{own}", frame.function, frame.line.unwrap_or(0))
        });
        (found.message, frames.collect(), found.causes)
    }

    #[test]
    fn a_traceback_is_read_as_the_interpreter_prints_it() {
        let begin = "Traceback (most recent call last):\n";
        let end = "\nthread '<unnamed>' (1) panicked at runtime/src/lib.rs:1:1:\nx\n";
        let rows: [(String, &str, &[&str], &[&str]); 7] = [
            (
                format!(
                    "{begin}  File \"/bundled/a.py\", line 1, in poll\n  File \"/0/m.py\", line \
                     5, in f\nKeyError: 'x'\n{end}"
                ),
                "KeyError: 'x'",
                &["f m.py:5", "poll /bundled/a.py:1 (library)"],
                &[],
            ),
            // Lines of code, the marks below them and the note about repeated lines are not frames.
            (
                format!(
                    "{begin}  File \"app.py\", line 2, in f\n    return g(x)\n           ~^^^\n  \
                     [Previous line repeated 9 more times]\nE: a\n\nb\n{end}"
                ),
                "E: a\n\nb",
                &["f app.py:2"],
                &[],
            ),
            (
                format!(
                    "{begin}  File \"a.py\", line 1, in f\nA: root\n\n{CAUSE}\n\n{begin}  File \
                     \"a.py\", line 2, in g\nB: middle\n\n{CONTEXT}\n\n{begin}  File \"a.py\", \
                     line 3, in h\nC: top\n"
                ),
                "C: top",
                &["h a.py:3"],
                &["while handling B: middle", "A: root"],
            ),
            // The first was caught.
            (
                format!(
                    "{begin}  File \"a.py\", line 1, in f\nA: one\n{begin}  File \"a.py\", line \
                     2, in g\nB\n"
                ),
                "B",
                &["g a.py:2"],
                &[],
            ),
            (
                format!(
                    "  + {}\n  |   File \"a.py\", line 9, in f\n  | ExceptionGroup: two (2 \
                     sub-exceptions)\n  +-+---------------- 1 ----------------\n    | {begin}    \
                     |   File \"a.py\", line 1, in g\n    | A: one\n    +---------------- 2 \
                     ----------------\n    | {begin}    |   File \"a.py\", line 2, in h\n    | B: \
                     two\n    +------------------------------------\n",
                    GROUP.trim_start_matches("+ ")
                ),
                "ExceptionGroup: two (2 sub-exceptions)",
                &["g a.py:1", "f a.py:9"],
                &["A: one", "B: two"],
            ),
            // Of a long text the beginning is lost, not the end.
            (
                format!(
                    "line 3, in lost\nX: lost\n\n{CAUSE}\n\n{begin}  File \"a.py\", line 2, in \
                     g\nB: b\n"
                ),
                "B: b",
                &["g a.py:2"],
                &[],
            ),
            (
                format!(
                    "{begin}  File \"<string>\", line 1, in <module>\n  File \
                     \"/3/site-packages/x.py\", line 1, in x\n  File \"c.py\", line \
                     4\nSyntaxError: invalid syntax\n"
                ),
                "SyntaxError: invalid syntax",
                &[
                    "<module> c.py:4",
                    "x site-packages/x.py:1 (library)",
                    "<module> <string>:1 (library)",
                ],
                &[],
            ),
        ];
        for (stderr, message, frames, causes) in rows {
            let expected = (message.to_owned(), frames.join("\n"), causes.join("\n"));
            let (message, frames, causes) = printed(&stderr);
            assert_eq!((message, frames.join("\n"), causes.join("\n")), expected, "{stderr}");
        }
        for stderr in
            ["", "all is well\n", begin, "Traceback\n  File \"a.py\", line 1, in f\nE: x\n"]
        {
            assert_eq!(PythonException::printed(stderr), None, "{stderr:?}");
        }
    }

    #[test]
    fn an_exception_in_a_panic_has_type_text_and_frames() {
        let before = "called `Result::unwrap()` on an `Err` value: ";
        let rows: [(&str, &str, &[&str]); 4] = [
            (
                "PyErr { type: <class 'ModuleNotFoundError'>, value: ModuleNotFoundError(\"No \
                 module named 'x'\"), traceback: Some(\"Traceback (most recent call last):\\n  \
                 File \\\"/bundled/a.py\\\", line 5, in callback\\n  File \
                 \\\"/1/sitewright/template.py\\\", line 4, in generate\\n  File \
                 \\\"/0/app.py\\\", line 56, in make\\n\") }",
                "ModuleNotFoundError: No module named 'x'",
                &["app.py own", "sitewright/template.py", "/bundled/a.py"],
            ),
            (
                "PyErr { type: <class 'OverflowError'>, value: OverflowError(\"can't convert\"), \
                 traceback: None }",
                "OverflowError: can't convert",
                &[],
            ),
            (
                "PyErr { type: <class 'app.NoBread'>, value: NoBread(), traceback: None }",
                "app.NoBread",
                &[],
            ),
            (
                "PyErr { type: <class 'app.E'>, value: E(1, 'a'), traceback: None }",
                "app.E: 1, 'a'",
                &[],
            ),
        ];
        for (panic, message, frames) in rows {
            let found = PythonException::shown(&format!("{before}{panic}")).unwrap();
            let shown: Vec<String> = found
                .frames
                .iter()
                .map(|frame| {
                    let own = if frame.own { " own" } else { "" };
                    format!("{}{own}", frame.file.as_deref().unwrap_or("-"))
                })
                .collect();
            assert_eq!(
                (found.message.as_str(), shown.iter().map(String::as_str).collect::<Vec<_>>()),
                (message, frames.to_vec())
            );
        }
        for other in ["", "no bread", "PyErr { type: ", "PyErr { type: <class 'A'>, value: A()"] {
            assert_eq!(PythonException::shown(other), None, "{other:?}");
        }
    }

    #[test]
    fn the_line_of_code_is_shown_where_it_was_printed() {
        let stderr = "Traceback (most recent call last):\n  File \"a.py\", line 7, in f\n    \
                      bake( bread)\nE: x\n";
        let source = PythonException::printed(stderr).and_then(|found| found.source);
        let line = SourceExcerpt {
            file: "a.py".to_owned(),
            line: 7,
            first: 7,
            lines: vec!["bake( bread)".to_owned()],
        };
        assert_eq!(source, Some(line));
    }
}
