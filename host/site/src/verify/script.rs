//! Whether scripts parse as JavaScript.
//!
//! The parser calls itself for each level of brackets, prefixes, conditions and the like, so a
//! script is parsed on a thread whose stack is large enough: for short scripts whatever they nest,
//! for others as deep as [`nesting`] allows.

use std::thread;

use oxc_allocator::Allocator;
use oxc_parser::{ParseOptions, Parser};
use oxc_span::SourceType;

use super::work::Work;

/// Maximum nesting that is parsed: open brackets, and what else is open in each of them. Bundles of
/// real sites have less than 300.
pub(super) const MAX_NESTING: usize = 1_000;
/// Maximum bytes of a script whose nesting is not counted: a level takes at least one byte.
const SHORT: usize = 1 << 10;
/// Stack for one level.
const LEVEL: usize = 16 << 10;
/// Twice what the deepest script takes, because levels are counted without parsing.
const STACK: usize = 2 * MAX_NESTING * LEVEL;
/// Steps for each byte of a script, and those for the thread.
const STEPS_PER_BYTE: usize = 16;
const STEPS: usize = 512;
/// Maximum errors that are listed of one script. The first one keeps browsers from running it.
const MAX_ERRORS: usize = 3;

/// What kind of JavaScript a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Classic,
    Module,
    /// A file that is a module if it imports or exports something.
    Either,
    /// The value of an attribute such as `onclick`: the body of a function.
    Handler,
}

/// A place where a script does not parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScriptError {
    /// Counted from 0.
    pub(super) line: u64,
    /// In characters, counted from 1.
    pub(super) column: usize,
    pub(super) why: String,
    /// The text around it, on its line.
    pub(super) source: String,
}

/// The result of parsing a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parsed {
    /// Empty if it is JavaScript.
    Errors(Vec<ScriptError>),
    /// It nests deeper than [`MAX_NESTING`].
    TooDeep,
    /// It must be parsed where it can be stopped: the work is exhausted.
    Later,
}

/// Parses a script.
pub(super) fn parse(text: &str, kind: Kind, work: &Work) -> Parsed {
    if text.trim().is_empty() {
        return Parsed::Errors(Vec::new());
    }
    work.spend(STEPS + STEPS_PER_BYTE * text.len());
    if text.len() > SHORT {
        if work.is_quick() {
            work.exhaust();
            return Parsed::Later;
        }
        if nesting(text.as_bytes()) > MAX_NESTING {
            return Parsed::TooDeep;
        }
    }
    let parsed = thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK);
        let thread = thread.spawn_scoped(scope, || errors(text, kind));
        thread.ok().and_then(|thread| thread.join().ok())
    });
    match parsed {
        Some(errors) => Parsed::Errors(errors),
        // No thread, or a defect of the parser: nothing is known of the script.
        None => {
            tracing::warn!(bytes = text.len(), "a script was not checked: its parser ended early");
            Parsed::Errors(Vec::new())
        }
    }
}

fn errors(text: &str, kind: Kind) -> Vec<ScriptError> {
    let allocator = Allocator::default();
    let source_type = match kind {
        Kind::Classic | Kind::Handler => SourceType::script(),
        Kind::Module => SourceType::mjs(),
        Kind::Either => SourceType::unambiguous(),
    };
    let options = ParseOptions {
        parse_regular_expression: true,
        allow_return_outside_function: kind == Kind::Handler,
        ..ParseOptions::default()
    };
    let parsed = Parser::new(&allocator, text, source_type).with_options(options).parse();
    let errors = parsed.diagnostics.errors().take(MAX_ERRORS).map(|error| {
        let offset = error.labels.first().map_or(0, |label| label.offset() as usize);
        let why = match &error.help {
            Some(help) => format!("{}; {help}", error.message),
            None => error.message.to_string(),
        };
        located(text, offset, why)
    });
    errors.collect()
}

/// An error with its line.
fn located(text: &str, offset: usize, why: String) -> ScriptError {
    /// Characters of the line that are shown in front of the error.
    const BEFORE: usize = 60;
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() as u64;
    let column = before[line_start..].chars().count() + 1;
    let whole = text[line_start..].lines().next().unwrap_or_default();
    let skipped = column.saturating_sub(BEFORE);
    let source = whole.chars().skip(skipped).take(2 * BEFORE).collect();
    ScriptError { line, column, why, source }
}

/// What the next token can follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// An operator, an opening bracket or the beginning: a `/` begins a regular expression.
    Operator,
    /// A value: a `/` divides.
    Value,
    /// The dot in front of a name.
    Dot,
}

/// An open bracket.
struct Bracket {
    kind: u8,
    /// Prefixes, conditions, assignments and statements that may be open in it.
    run: usize,
    /// Whether a value ends with it.
    is_value: bool,
    /// Whether a statement ended: `run` is 0 again unless an `else` follows.
    has_ended: bool,
}

/// Words after which a value or statement follows that is a level of its own.
const LEVELS: [&str; 19] = [
    "async", "await", "class", "delete", "do", "else", "export", "extends", "for", "function",
    "if", "import", "new", "throw", "try", "typeof", "void", "while", "yield",
];
/// Words between two values, or in front of one, that are no level.
const OPERATORS: [&str; 5] = ["in", "instanceof", "of", "return", "with"];
/// Words that go on with the statement that a block or `;` ended.
const GOES_ON: [&str; 4] = ["else", "while", "catch", "finally"];

/// How deep a script nests, read as tokens: about what a parser has open at most. It is too small
/// only where a text takes a regular expression for a division or the other way round.
fn nesting(text: &[u8]) -> usize {
    let mut open = vec![Bracket { kind: b'{', run: 0, is_value: false, has_ended: false }];
    let (mut runs, mut deepest) = (0_usize, 0_usize);
    let mut before = Before::Operator;
    // Whether the last word is one whose parentheses are in front of a statement.
    let mut is_head = false;
    let mut at = 0;
    while let Some(byte) = text.get(at).copied() {
        let next = text.get(at + 1).copied();
        if byte.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        if let Some(end) = comment(text, at) {
            at = end;
            continue;
        }
        let was_head = std::mem::take(&mut is_head);
        let Some(top) = open.last_mut() else { break };
        let is_word = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'\\' | 0x80..);
        let start = at;
        at += 1;
        if is_word {
            let is_part = |byte: &u8| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'\\' | 0x80..)
            };
            at = text[start..]
                .iter()
                .position(|byte| !is_part(byte))
                .map_or(text.len(), |n| start + n);
            let word = str::from_utf8(&text[start..at]).unwrap_or_default();
            if before == Before::Dot {
                before = Before::Value;
                continue;
            }
            let goes_on = GOES_ON.contains(&word) || OPERATORS.contains(&word);
            let is_statement = before == Before::Value || matches!(word, "case" | "default");
            if (top.has_ended || is_statement) && !goes_on {
                runs -= std::mem::take(&mut top.run);
            }
            top.has_ended = false;
            is_head = matches!(word, "if" | "for" | "while" | "with");
            before = Before::Value;
            if LEVELS.contains(&word) {
                (top.run, runs) = (top.run + 1, runs + 1);
                before = Before::Operator;
            } else if OPERATORS.contains(&word) || word == "case" {
                before = Before::Operator;
            }
            deepest = deepest.max(runs + open.len());
            continue;
        }
        if top.has_ended && !matches!(byte, b')' | b']' | b'}') {
            // After a block, an operator shows that it was a value.
            let is_value = before == Before::Value;
            if !is_value {
                runs -= std::mem::take(&mut top.run);
            }
            top.has_ended = false;
        }
        match byte {
            b'\'' | b'"' => {
                at = quoted(text, at, byte);
                before = Before::Value;
            }
            b'`' => (at, before) = template(text, at, &mut open),
            b'/' if before != Before::Value => {
                let (end, depth) = regular_expression(text, at);
                deepest = deepest.max(runs + open.len() + depth);
                (at, before) = (end, Before::Value);
            }
            b'(' | b'[' | b'{' => {
                // A body follows a `)` or `=>`, an object an operator.
                let is_arrow = text[..start].trim_ascii_end().ends_with(b"=>");
                let is_value = match byte {
                    b'(' => !was_head,
                    b'{' => before == Before::Operator && !is_arrow && open.len() > 1,
                    _ => true,
                };
                open.push(Bracket { kind: byte, run: 0, is_value, has_ended: false });
                before = Before::Operator;
            }
            b')' | b']' | b'}' => {
                if open.len() > 1
                    && let Some(closed) = open.pop()
                {
                    runs -= closed.run;
                    if closed.kind == b'`' {
                        (at, before) = template(text, at, &mut open);
                    } else {
                        before = if closed.is_value { Before::Value } else { Before::Operator };
                        if closed.kind == b'{'
                            && let Some(top) = open.last_mut()
                        {
                            top.has_ended = true;
                        }
                    }
                }
            }
            b';' => {
                top.has_ended = true;
                before = Before::Operator;
            }
            b',' => {
                runs -= std::mem::take(&mut top.run);
                before = Before::Operator;
            }
            b'.' if next != Some(b'.') => before = Before::Dot,
            b'+' | b'-' if next == Some(byte) => {
                at += 1;
                let is_prefix = usize::from(before != Before::Value);
                (top.run, runs) = (top.run + is_prefix, runs + is_prefix);
            }
            _ => {
                let is_level = match byte {
                    b'=' | b'!' | b'~' | b'?' | b':' | b'@' => true,
                    b'+' | b'-' => before != Before::Value,
                    b'*' => next == Some(b'*'),
                    _ => false,
                };
                let is_level = usize::from(is_level);
                (top.run, runs) = (top.run + is_level, runs + is_level);
                before = Before::Operator;
            }
        }
        deepest = deepest.max(runs + open.len());
    }
    deepest
}

/// Where a comment that begins here ends.
fn comment(text: &[u8], at: usize) -> Option<usize> {
    let rest = &text[at..];
    if rest.starts_with(b"//") || rest.starts_with(b"<!--") {
        return Some(rest.iter().position(|byte| *byte == b'\n').map_or(text.len(), |n| at + n));
    }
    let inside = rest.strip_prefix(b"/*")?;
    let end = inside.windows(2).position(|two| two == b"*/");
    Some(end.map_or(text.len(), |n| at + n + 4))
}

/// Where a string ends: behind its quote, or with its line.
fn quoted(text: &[u8], mut at: usize, quote: u8) -> usize {
    while let Some(byte) = text.get(at).copied() {
        at += 1;
        match byte {
            b'\\' => at += 1,
            b'\n' => break,
            byte if byte == quote => break,
            _ => {}
        }
    }
    at
}

/// Reads the text of a template literal, up to its end or to a value in it, which opens a bracket.
fn template(text: &[u8], mut at: usize, open: &mut Vec<Bracket>) -> (usize, Before) {
    while let Some(byte) = text.get(at).copied() {
        at += 1;
        match byte {
            b'\\' => at += 1,
            b'`' => return (at, Before::Value),
            b'$' if text.get(at) == Some(&b'{') => {
                open.push(Bracket { kind: b'`', run: 0, is_value: true, has_ended: false });
                return (at + 1, Before::Operator);
            }
            _ => {}
        }
    }
    (at, Before::Value)
}

/// Where a regular expression ends: behind its slash, or with its line. And how deep it nests.
fn regular_expression(text: &[u8], mut at: usize) -> (usize, usize) {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let mut in_class = false;
    while let Some(byte) = text.get(at).copied() {
        at += 1;
        match byte {
            b'\\' => at += 1,
            b'\n' => break,
            b'/' if !in_class => break,
            // Classes nest with the flag `v`.
            b'[' | b'(' => {
                in_class |= byte == b'[';
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' => in_class = false,
            b')' if !in_class => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    (at, deepest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_what_a_parser_has_open() {
        let many = |text: &str| nesting(text.repeat(2_000).as_bytes());
        let deep = [
            "(",
            "[",
            "{",
            "!",
            "-",
            "~",
            "a=",
            "a=>",
            "a?b:",
            "if(a)",
            "if(a){}else ",
            "new ",
            "typeof ",
            "`${",
            "a**",
            "for(;;)",
            "if(a);else ",
            "function(){",
            "x:",
            "a(",
            "await ",
        ];
        for text in deep {
            assert!(many(text) >= 1_000, "{text}: {}", many(text));
        }
        let flat = [
            "a;",
            "a\n",
            "a=1;",
            "a=1\n",
            "(a);",
            "f(a,b)\n",
            "if(a){b}\n",
            "if(a)b;",
            "'('+",
            "`(${a})`;",
            "/\\((/;",
            "a/b;",
            "// (\n",
            "/*(*/",
            "const a = () => {}\n",
            "function f(){ return { a: 1 } }\n",
            "!function(){}();",
            "case 1: ",
            "a.b.c.",
            "a+",
            "if(a){b}else{c}\n",
            "x = a ? b : c\n",
            "'\\'(';",
            "return !a;",
            "a=b,",
        ];
        for text in flat {
            assert!(many(text) < 30, "{text}: {}", many(text));
        }
    }

    #[test]
    fn an_error_has_its_line_and_column() {
        let text = "let a = 1;\nlet b = (2;\n";
        let Parsed::Errors(found) = parse(text, Kind::Classic, &Work::unlimited()) else {
            panic!()
        };
        let error = &found[0];
        assert_eq!((error.line, error.source.as_str()), (1, "let b = (2;"), "{error:?}");
        assert!((9..=11).contains(&error.column), "{error:?}");
    }
}
