//! Converts text with ANSI escape sequences to HTML.

use std::fmt::Write as _;

/// The text as escaped HTML. Colours become the classes `c0` to `c15`, bold `b`, dim `d`; every
/// other escape sequence and control character is removed.
pub(super) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut style = Style::default();
    let mut open = false;
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        let (before, after) = rest.split_at(at);
        put(&mut out, before, style, &mut open);
        rest = sequence(&after[1..], &mut style);
    }
    put(&mut out, rest, style, &mut open);
    out
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Style {
    color: Option<u8>,
    bold: bool,
    dim: bool,
}

fn put(out: &mut String, text: &str, style: Style, open: &mut bool) {
    if text.is_empty() {
        return;
    }
    *open = style != Style::default();
    if *open {
        let color = style.color.map(|color| format!("c{color}"));
        let classes =
            [color, style.bold.then(|| "b".to_owned()), style.dim.then(|| "d".to_owned())];
        let classes: Vec<String> = classes.into_iter().flatten().collect();
        #[allow(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
        let _ = write!(out, "<span class=\"{}\">", classes.join(" "));
    }
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    if *open {
        out.push_str("</span>");
    }
}

/// Applies the escape sequence at the start of `text`, which follows an escape character, and
/// returns the rest.
fn sequence<'a>(text: &'a str, style: &mut Style) -> &'a str {
    let Some(body) = text.strip_prefix('[') else {
        // An operating system command ends with a bell or another escape; anything else is one
        // letter long.
        return match text.strip_prefix(']') {
            Some(body) => body
                .find(['\u{7}', '\u{1b}'])
                .map_or("", |end| body[end..].trim_start_matches('\u{7}')),
            None => text.char_indices().nth(1).map_or("", |(at, _)| &text[at..]),
        };
    };
    let Some(end) = body.find(|c: char| ('\u{40}'..='\u{7e}').contains(&c)) else { return "" };
    if body[end..].starts_with('m') {
        select(&body[..end], style);
    }
    &body[end + 1..]
}

fn select(parameters: &str, style: &mut Style) {
    let mut numbers = parameters.split([';', ':']).map(|number| number.parse::<u8>().unwrap_or(0));
    while let Some(number) = numbers.next() {
        match number {
            0 => *style = Style::default(),
            1 => style.bold = true,
            2 => style.dim = true,
            22 => (style.bold, style.dim) = (false, false),
            30..=37 => style.color = Some(number - 30),
            90..=97 => style.color = Some(number - 90 + 8),
            39 => style.color = None,
            // 256 colours or true colour: the first 16 are as above, the others are ignored.
            38 | 48 => match numbers.next() {
                Some(5) => {
                    let color = numbers.next().filter(|color| *color < 16);
                    if number == 38 {
                        style.color = color;
                    }
                }
                Some(2) => drop(numbers.by_ref().take(3).last()),
                _ => {}
            },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_classes_and_nothing_else_gets_through() {
        for (text, expected) in [
            ("a <b> & \"c\"", "a &lt;b&gt; &amp; &quot;c&quot;"),
            ("\u{1b}[1;31merror\u{1b}[0m: x", "<span class=\"c1 b\">error</span>: x"),
            ("\u{1b}[38;5;9mred\u{1b}[39m!", "<span class=\"c9\">red</span>!"),
            ("\u{1b}[38;2;1;2;3mtrue\u{1b}[m", "true"),
            ("\u{1b}[2mdim\u{1b}[22m", "<span class=\"d\">dim</span>"),
            ("\u{1b}]8;;http://x\u{7}link", "link"),
            ("\u{1b}[2Jgone\u{8}\r\n", "gone\n"),
            ("\u{1b}[31", ""),
            ("\u{1b}", ""),
        ] {
            assert_eq!(html(text), expected, "{text:?}");
        }
    }
}
