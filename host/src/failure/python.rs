//! A Python exception that nobody caught, as the interpreter prints it on stderr before it stops.

use super::source::SourceExcerpt;
use super::trap::Frame;

/// An exception that ended a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonException {
    /// Type and text: `KeyError: 'bread'`.
    pub message: String,
    /// Innermost first; those of the first exception of a group stand before the group's own.
    pub frames: Vec<Frame>,
    /// What it came from, from the nearest to the root, and the exceptions of a group.
    pub causes: Vec<String>,
    /// The line of the first own frame, where the interpreter printed it.
    pub source: Option<SourceExcerpt>,
}

const BEGIN: &str = "Traceback (most recent call last):";
const GROUP: &str = "+ Exception Group Traceback (most recent call last):";
const CAUSE: &str = "The above exception was the direct cause of the following exception:";
const CONTEXT: &str = "During handling of the above exception, another exception occurred:";

/// Beginnings of paths that no author's module has: what the interpreter and the tools brought along.
const FOREIGN: [&str; 5] = ["/world/", "/bundled/", "/python/", "<frozen ", "<string>"];
/// Most lines that the text of one exception has in a record.
const MAX_TEXT_LINES: usize = 20;
/// Most exceptions kept of a chain or a group.
const MAX_CHAIN: usize = 16;

/// How an exception came after the one printed before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// By nothing: that one was caught.
    None,
    /// Raised from it.
    Cause,
    /// Raised while it was handled.
    Context,
    /// It is one of a group's.
    Member,
}

#[derive(Debug)]
struct Traceback {
    link: Link,
    /// Outermost first, each with its line of code where that was printed.
    frames: Vec<(Frame, Option<String>)>,
    text: Vec<String>,
}

impl Traceback {
    fn message(&self) -> String {
        self.text.join("\n").trim().to_owned()
    }
}

impl PythonException {
    /// The last uncaught exception of what a program printed; nothing when there is none.
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

        let told = members.into_iter().next().into_iter().chain([uncaught]);
        let frames: Vec<(Frame, Option<String>)> =
            told.flat_map(|traceback| traceback.frames.into_iter().rev()).collect();
        let source = frames.iter().find(|(frame, _)| frame.own).and_then(|(frame, code)| {
            let line = frame.line?;
            Some(SourceExcerpt { file: frame.file.clone()?, line, first: line, lines: vec![code.clone()?] })
        });
        let frames = frames.into_iter().map(|(frame, _)| frame).collect();
        Some(PythonException { message, frames, causes, source })
    }
}

fn parse(stderr: &str) -> Vec<Traceback> {
    let mut all: Vec<Traceback> = Vec::new();
    // The one that is being read, until what ends it.
    let mut reading = false;
    let mut link = Link::None;
    for whole in stderr.lines() {
        let in_group =
            all.last().is_some_and(|traceback| traceback.link == Link::Member) || whole.contains(" | ");
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
            // The interpreter's own end.
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
                // Below the code stand marks; a line that was repeated is told in words.
                let is_code = !code.starts_with('[') && !code.chars().all(|c| matches!(c, '~' | '^' | ' '));
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
    let own = !FOREIGN.iter().any(|start| path.starts_with(start))
        && !path.contains("/site-packages/")
        && !path.contains("/lib/python");
    Some(Frame {
        function: function.to_owned(),
        file: Some(shorten(path).to_owned()),
        line: number.trim().parse().ok().filter(|line| *line > 0),
        column: None,
        own,
        inlined: false,
        offset: None,
    })
}

/// A path without the folder that the tool numbered: `/0/menu.py` is the author's `menu.py`.
fn shorten(path: &str) -> &str {
    let numbered = path.strip_prefix('/').and_then(|rest| rest.split_once('/'));
    match numbered {
        Some((number, rest)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => path,
    }
}
