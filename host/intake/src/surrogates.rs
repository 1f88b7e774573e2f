//! Half surrogate pairs in JSON texts: `"\ud83d"` alone is no character, and a parser refuses the
//! whole document for it. Programs that cut texts after a number of UTF-16 units write them.

use std::borrow::Cow;

/// The document with each half of a pair replaced by `\ufffd`, and the number of them. Linear in
/// its input; the parser finds all other mistakes.
pub(super) fn mended(text: &str) -> (Cow<'_, str>, usize) {
    let mut kept = String::new();
    let (mut from, mut count) = (0, 0);
    let mut at = 0;
    let bytes = text.as_bytes();
    while let Some(offset) = bytes[at..].iter().position(|b| *b == b'\\') {
        let start = at + offset;
        match unit(text, start) {
            None => at = (start + 2).min(bytes.len()),
            Some(0xd800..=0xdbff) => match unit(text, start + 6) {
                Some(0xdc00..=0xdfff) => at = start + 12,
                _ => {
                    replace(text, &mut kept, from, start);
                    (from, at, count) = (start + 6, start + 6, count + 1);
                }
            },
            Some(0xdc00..=0xdfff) => {
                replace(text, &mut kept, from, start);
                (from, at, count) = (start + 6, start + 6, count + 1);
            }
            Some(_) => at = start + 6,
        }
    }
    if count == 0 {
        return (Cow::Borrowed(text), 0);
    }
    kept.push_str(&text[from..]);
    (Cow::Owned(kept), count)
}

fn replace(text: &str, kept: &mut String, from: usize, to: usize) {
    kept.push_str(&text[from..to]);
    kept.push_str("\\ufffd");
}

/// The UTF-16 unit of the escape `\uXXXX` at a byte offset; `None` if there is none.
fn unit(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    let all = digits.bytes().all(|b| b.is_ascii_hexdigit());
    all.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_replaced_and_everything_else_is_kept() {
        let table = [
            (r#""a""#, r#""a""#, 0),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#, 0),
            (r#""x\ud83d""#, r#""x\ufffd""#, 1),
            (r#""\ude00y""#, r#""\ufffdy""#, 1),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#, 1),
            (r#""\\ud83d""#, r#""\\ud83d""#, 0),
            (r#""\\\ud83d""#, r#""\\\ufffd""#, 1),
            (r#""é\uD83dé""#, r#""é\ufffdé""#, 1),
            (r#""\u00e9\n\ud8""#, r#""\u00e9\n\ud8""#, 0),
            ("\"\\", "\"\\", 0),
        ];
        for (text, expected, count) in table {
            assert_eq!(mended(text), (Cow::Borrowed(expected), count), "{text}");
        }
    }
}
