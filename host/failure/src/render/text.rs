//! Text for people: amounts, lines of a width, and nothing that a terminal would obey.

use std::fmt::Write as _;

use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};
use unicode_width::UnicodeWidthChar as _;

use sitewright_model::Measure;

/// Below this a terminal is treated as this wide.
pub(super) const MIN_WIDTH: usize = 72;

/// The usage of a limit, as reports show it: `12.3 MiB of 256 MiB`.
pub fn measure(name: &str, measure: Measure) -> String {
    format!("{} of {}", amount(name, measure.used), amount(name, measure.max))
}

pub(super) fn amount(name: &str, value: u64) -> String {
    match name {
        _ if name.ends_with("_bytes") => bytes(value),
        _ if name.ends_with("_nano_usd") => format!("{:.4} USD", value as f64 / 1e9),
        _ if name.ends_with("_ms") => duration(value.saturating_mul(1_000)),
        _ => value.to_string(),
    }
}

/// Bytes for people: `255 B`, `12.3 KiB`, `256 MiB`.
pub fn bytes(value: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if value < 1_024 {
        return format!("{value} B");
    }
    let mut scaled = value as f64;
    let mut unit = "B";
    for next in UNITS {
        if scaled < 1_024.0 {
            break;
        }
        scaled /= 1_024.0;
        unit = next;
    }
    if scaled.fract() < 0.05 || scaled >= 100.0 {
        format!("{scaled:.0} {unit}")
    } else {
        format!("{scaled:.1} {unit}")
    }
}

/// Microseconds for people: `85 µs`, `12 ms`, `1.20 s`, `10 min`.
pub fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", micros / 1_000),
        1_000_000..120_000_000 => format!("{:.2} s", micros as f64 / 1e6),
        _ => format!("{:.0} min", micros as f64 / 6e7),
    }
}

/// Columns that a text takes on a terminal.
pub fn columns(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// The text in at most `max` columns.
pub fn shortened(text: &str, max: usize) -> String {
    if columns(text) <= max {
        return text.to_owned();
    }
    let mut room = max.saturating_sub(1);
    let mut out = String::new();
    for c in text.chars() {
        let width = c.width().unwrap_or(0);
        if width > room {
            break;
        }
        room -= width;
        out.push(c);
    }
    out.push('…');
    out
}

/// Whether a terminal would obey the character instead of showing it: escape sequences could
/// repaint the screen, and characters that turn the direction of a line could make it read as
/// another.
pub fn is_obeyed(c: char) -> bool {
    match c {
        c if c.is_control() => true,
        // Line and paragraph separators; marks, embeddings, overrides and isolates of direction.
        '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}' => true,
        '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        // Invisible ones; tags.
        '\u{200b}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        _ => false,
    }
}

/// Text of a guest or a provider without what a terminal would obey.
pub fn clean(text: &str) -> String {
    let shown = |c: char| match c {
        '\t' => ' ',
        c if is_obeyed(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// The text in lines of at most `width` columns, each behind `indent` and ended.
pub fn paragraph(text: &str, indent: &str, width: usize) -> String {
    let mut out = String::new();
    #[allow(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
    let _ = wrapped(&mut out, text, indent, width.max(MIN_WIDTH));
    out
}

/// The same, the first line behind `first`, which has as many columns as `indent`.
pub fn hanging(text: &str, first: &str, indent: &str, width: usize) -> String {
    let mut out = String::new();
    #[allow(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
    let _ = wrapped_after(&mut out, text, first, indent, width.max(MIN_WIDTH));
    out
}

pub(super) fn wrapped(
    out: &mut String,
    text: &str,
    indent: &str,
    width: usize,
) -> std::fmt::Result {
    wrapped_after(out, text, indent, indent, width)
}

/// Words in lines of at most `width` columns; a word longer than a line stays whole.
pub(super) fn wrapped_after(
    out: &mut String,
    text: &str,
    first: &str,
    indent: &str,
    width: usize,
) -> std::fmt::Result {
    let mut lead = first;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let words: Vec<String> = line.split_whitespace().map(clean).collect();
        let options = Options::new(width)
            .initial_indent(lead)
            .subsequent_indent(indent)
            .word_separator(WordSeparator::AsciiSpace)
            .word_splitter(WordSplitter::NoHyphenation)
            .wrap_algorithm(WrapAlgorithm::FirstFit)
            .break_words(false);
        for line in textwrap::wrap(&words.join(" "), options) {
            writeln!(out, "{line}")?;
        }
        lead = indent;
    }
    Ok(())
}
