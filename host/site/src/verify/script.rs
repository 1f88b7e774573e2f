//! Whether scripts parse as JavaScript.
//!
//! The parser calls itself for each level of brackets, prefixes, conditions and the like, and has
//! no guard for its stack, so a script is parsed on a thread whose stack is large enough for what
//! [`nesting`] allows.

use std::collections::HashSet;
use std::sync::LazyLock;
use std::{io, thread};

use oxc_allocator::Allocator;
use oxc_parser::{ParseOptions, Parser};
use oxc_span::{GetSpan as _, SourceType};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::cpu;
use super::nesting::nesting;
use super::work::Work;

/// Maximum nesting that is parsed: open brackets, and what else is open in each of them. Bundles of
/// real sites have less than 300.
pub(super) const MAX_NESTING: usize = 1_000;
/// Maximum bytes of a script that is parsed where nothing can stop it.
const SHORT: usize = 1 << 10;
/// Maximum nesting of such a script: its parser touches at most 2 MiB of stack.
const SHORT_NESTING: usize = 64;
/// Stack for one level.
const LEVEL: usize = 16 << 10;
/// Twice what the deepest script takes: operators of different precedence are no level.
const STACK: usize = 2 * MAX_NESTING * LEVEL;
/// Steps for each byte of a script, and those for the thread.
const STEPS_PER_BYTE: usize = 16;
const STEPS: usize = 512;
/// Maximum errors that are listed of one script. The first one keeps browsers from running it.
const MAX_ERRORS: usize = 3;

/// Maximum number of scripts that are remembered. They take less than 400 KiB.
const MAX_KNOWN: usize = 4_096;

/// The digests of scripts without errors. Most scripts are the template's, the same in each site,
/// and a thread for each takes longer than what else is checked of a small page.
static KNOWN: LazyLock<Mutex<HashSet<[u8; 32]>>> = LazyLock::new(Mutex::default);

fn digest(text: &str, kind: Kind) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update([kind as u8]);
    hash.update(text);
    hash.finalize().into()
}

fn remember(digest: [u8; 32]) {
    let mut known = KNOWN.lock();
    if known.len() >= MAX_KNOWN {
        known.clear();
    }
    known.insert(digest);
}

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
#[derive(Debug)]
pub(super) enum Parsed {
    /// Empty if it is JavaScript.
    Errors(Vec<ScriptError>),
    /// It nests deeper than [`MAX_NESTING`].
    TooDeep,
    /// It must be parsed where it can be stopped: the work is exhausted.
    Later,
    /// Nothing is known of it: its thread did not start, or the parser has a defect.
    Failed(io::Error),
}

/// Parses a script.
pub(super) fn parse(text: &str, kind: Kind, work: &Work) -> Parsed {
    if text.trim().is_empty() {
        return Parsed::Errors(Vec::new());
    }
    work.spend(STEPS + STEPS_PER_BYTE * text.len());
    let max = if work.is_quick() { SHORT_NESTING } else { MAX_NESTING };
    let is_long = work.is_quick() && text.len() > SHORT;
    if is_long || nesting(text, max) > max {
        return later(work).unwrap_or(Parsed::TooDeep);
    }
    let digest = digest(text, kind);
    if KNOWN.lock().contains(&digest) {
        return Parsed::Errors(Vec::new());
    }
    let parsed = thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK);
        let thread = thread.spawn_scoped(scope, || (errors(text, kind), cpu::used()))?;
        thread.join().map_err(|_| io::Error::other("the parser of scripts panicked"))
    });
    match parsed {
        Ok((errors, used)) => {
            cpu::add(used);
            if errors.is_empty() {
                remember(digest);
            }
            Parsed::Errors(errors)
        }
        Err(error) => later(work).unwrap_or(Parsed::Failed(error)),
    }
}

/// Exhausts the work if nothing can stop it.
fn later(work: &Work) -> Option<Parsed> {
    work.is_quick().then(|| {
        work.exhaust();
        Parsed::Later
    })
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
    let mut errors: Vec<ScriptError> = errors.collect();
    // The parser accepts them everywhere.
    if errors.is_empty() && matches!(kind, Kind::Classic | Kind::Handler) {
        let modular = parsed.program.body.iter().find(|line| line.is_module_declaration());
        errors.extend(modular.map(|line| {
            let why = "`import` and `export` are for modules: give the script `type=\"module\"`";
            located(text, line.span().start as usize, why.to_owned())
        }));
    }
    errors
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_nests_is_parsed_where_it_can_be_stopped() {
        for (text, is_later) in
            [("(1)", false), (&*"(".repeat(100), true), (&*"a;".repeat(600), true)]
        {
            let work = Work::quick(text.len() as u64);
            let parsed = parse(text, Kind::Classic, &work);
            assert_eq!(matches!(parsed, Parsed::Later), is_later, "{text}: {parsed:?}");
            assert_eq!(work.is_exhausted(), is_later, "{text}");
        }
        let deep = "(".repeat(MAX_NESTING + 1);
        assert!(matches!(parse(&deep, Kind::Classic, &Work::unlimited()), Parsed::TooDeep));
    }

    #[test]
    fn a_script_is_known_in_its_kind_only_and_never_with_errors() {
        let rows = [
            ("import a from './a.js';", Kind::Module, true),
            ("import a from './a.js';", Kind::Classic, false),
            ("let a = (1;", Kind::Classic, false),
            ("return false;", Kind::Handler, true),
            ("return false;", Kind::Classic, false),
        ];
        for _ in 0..2 {
            for (text, kind, expected) in rows {
                let parsed = parse(text, kind, &Work::unlimited());
                let is_good = matches!(&parsed, Parsed::Errors(errors) if errors.is_empty());
                assert_eq!(is_good, expected, "{text} as {kind:?}: {parsed:?}");
            }
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

    #[test]
    fn long_scripts_that_do_not_nest_are_parsed() {
        let rows = [
            ("c===1||", 334, "d"),
            ("a&&b||", 2_000, "c"),
            ("a,", 10_000, "b"),
            ("'x'+", 5_000, "'y'"),
            ("a===b?c:", 200, "d"),
            ("while(a)b;", 1_500, ""),
            ("if(a)/[\"']/.test(b)&&c;", 500, ""),
        ];
        for (again, times, last) in rows {
            let text = again.repeat(times) + last;
            let parsed = parse(&text, Kind::Classic, &Work::unlimited());
            let is_good = matches!(&parsed, Parsed::Errors(errors) if errors.is_empty());
            assert!(is_good, "{again}: {parsed:?}");
        }
    }

    /// Texts of a few pieces, and of some more that are repeated.
    fn texts() -> impl Strategy<Value = String> {
        let pieces = vec![
            "a",
            "b ",
            "1",
            "1.",
            "'s'",
            "'",
            "`",
            "`t`",
            "${",
            "}",
            "{",
            "(",
            ")",
            "[",
            "]",
            "/",
            "/x/",
            "/x/g",
            "/[/]'/",
            "//",
            "//'\n",
            "/*`*/",
            "<!--",
            "-->",
            "\n",
            "\r",
            "\u{2028}",
            "\u{a0}",
            ";",
            ",",
            ".",
            "?.",
            "...",
            "!",
            "-",
            "+",
            "++",
            "~",
            "=",
            "==",
            "=>",
            "<<=",
            "**",
            "?",
            ":",
            "<",
            "of ",
            "if",
            "if(a)",
            "else ",
            "do ",
            "while(b)",
            "for(;;)",
            "typeof ",
            "new ",
            "await ",
            "async ",
            "yield ",
            "class ",
            "class{}",
            "extends ",
            "function(){}",
            "()=>",
            "{}",
            "var ",
            "let ",
            "return ",
            "case ",
            "as ",
            "keyof ",
            "@",
            "#",
            "\\",
            "a?",
            "a?{}:",
            "x:",
        ];
        let piece = prop::sample::select(pieces);
        let some = |most: usize| prop::collection::vec(piece.clone(), 0..most);
        (some(4), some(4)).prop_map(|(first, again)| first.concat() + &again.concat().repeat(2_000))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The parser ends the process of this test where it needs more stack than was counted.
        #[test]
        fn what_does_not_nest_parses_on_a_small_stack(text in texts(), is_module in any::<bool>()) {
            const FLAT: usize = 12;
            if nesting(&text, FLAT) > FLAT {
                return Ok(());
            }
            let kind = if is_module { Kind::Module } else { Kind::Classic };
            thread::scope(|scope| {
                let small = thread::Builder::new().stack_size((FLAT + 4) * 2 * LEVEL);
                let parser = small.spawn_scoped(scope, || errors(&text, kind)).unwrap();
                parser.join().unwrap();
            });
        }
    }
}
