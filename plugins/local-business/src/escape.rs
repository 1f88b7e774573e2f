//! Escaping of text in pages and in JSON inside pages.

use std::fmt::{self, Write};

use askama::filters::Escaper;

/// Escapes the special characters of HTML, and also `{`, `}`, `$` and the backtick.
///
/// A browser shows those four the same either way. Tools that process the site later - a check for
/// placeholders, a tag manager, another template engine - read the bytes: a business named
/// `{{NAME}}` must neither look like a placeholder there nor be replaced as one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Html;

impl Escaper for Html {
    fn write_escaped_str<W: Write>(&self, mut dest: W, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_escaped_char(&mut dest, c))
    }

    fn write_escaped_char<W: Write>(&self, mut dest: W, c: char) -> fmt::Result {
        match c {
            '<' | '>' | '&' | '"' | '\'' | '{' | '}' | '$' | '`' => {
                write!(dest, "&#{};", u32::from(c))
            }
            // HTML forbids these even as character references.
            '\0'..='\x08' | '\x0b' | '\x0e'..='\x1f' | '\x7f'..='\u{9f}' => dest.write_char(' '),
            _ => dest.write_char(c),
        }
    }
}

/// Formats JSON for a `<script>` element: the same value, with every character escaped that could
/// end the element or look like a placeholder.
pub fn json_in_script(value: &serde_json::Value) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string_pretty(value)?;
    let mut safe = String::with_capacity(json.len());
    let mut in_string = false;
    let mut escaped = false;
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => push_escape(&mut safe, c),
            '{' | '}' | '$' | '`' if in_string => push_escape(&mut safe, c),
            _ => safe.push(c),
        }
        if c == '"' && !escaped {
            in_string = !in_string;
        }
        escaped = c == '\\' && !escaped;
    }
    Ok(safe)
}

fn push_escape(into: &mut String, c: char) {
    into.push_str(&format!("\\u{:04x}", u32::from(c)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut out = String::new();
        Html.write_escaped_str(&mut out, text).unwrap();
        out
    }

    #[test]
    fn f6_special_characters_are_escaped() {
        let out = escaped("<b a=\"1\" c='2'>&{{X}}${Y}`z`</b>\0");
        assert!(!out.contains(['<', '>', '"', '\'', '{', '}', '$', '`', '\0']), "{out}");
    }

    #[test]
    fn f6_json_cannot_end_its_script_and_keeps_its_value() {
        let hostile = "</script><script>alert(1)</script>{{X}}${Y}\u{2028}\\\"{";
        let value = serde_json::json!({"a": hostile, "b": {"c": ["}"]}});
        let text = json_in_script(&value).unwrap();
        assert!(
            !text.contains('<')
                && !text.contains("{{")
                && !text.contains("}}")
                && !text.contains("${"),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
