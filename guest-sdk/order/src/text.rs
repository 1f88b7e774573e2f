//! Hygiene of texts: characters that nobody sees, characters that no page may contain, HTML tags
//! and entities, and texts that were decoded with the wrong encoding.

use std::borrow::Cow;

use crate::markup::without_tags;

/// What was found in a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Number of control characters that were removed, NUL included.
    pub(crate) controls: usize,
    /// Number of invisible and direction characters that were removed.
    pub(crate) invisible: usize,
    /// Whether HTML tags were removed.
    pub(crate) tags: bool,
    /// Whether HTML entities were decoded.
    pub(crate) entities: bool,
    /// Whether the text contains U+FFFD, which stands for a character that was lost.
    pub(crate) replacement: bool,
    /// The beginning of what the text was before it was decoded with the wrong encoding.
    pub(crate) mojibake: Option<String>,
}

/// Removes what nobody can see, and HTML if `decode` is set, see [`plain`]. Line breaks, tabs,
/// joiners (which emoji and Persian need) and, in right-to-left texts, direction marks stay.
pub(crate) fn clean(text: &str, decode: bool) -> (Cow<'_, str>, Found) {
    let mut found = Found::default();
    let mut text = Cow::Borrowed(text);
    if decode && let Some(read) = plain(&text) {
        (found.tags, found.entities) = (read.tags, read.entities);
        text = Cow::Owned(read.text);
    }
    if text.contains(|c: char| removed(c, false)) || text.contains('\r') {
        let is_rtl = text.chars().any(is_right_to_left);
        let mut kept = String::with_capacity(text.len());
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\r' if chars.peek() == Some(&'\n') => {}
                '\r' => kept.push('\n'),
                c if !removed(c, is_rtl) => kept.push(c),
                c if c.is_control() => found.controls += 1,
                _ => found.invisible += 1,
            }
        }
        text = Cow::Owned(kept);
    }
    found.replacement = text.contains('\u{fffd}');
    found.mojibake = mojibake(&text);
    (text, found)
}

/// A text that was HTML.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PlainText {
    pub(crate) text: String,
    /// Whether it had tags, which were removed.
    pub(crate) tags: bool,
    /// Whether it had entities, which were decoded.
    pub(crate) entities: bool,
}

/// A text with its HTML tags removed and its entities decoded once; `None` if it has neither. What
/// looks like a tag in decoded entities is one, too, if there were no others: some CRMs escape the
/// whole text that their editor made.
pub(crate) fn plain(text: &str) -> Option<PlainText> {
    let untagged = without_tags(text);
    let tags = untagged.is_some();
    let decoded = decoded(untagged.as_deref().unwrap_or(text));
    let Some(decoded) = decoded else {
        return untagged.map(|text| PlainText { text, tags, entities: false });
    };
    let escaped = if tags { None } else { without_tags(&decoded) };
    let tags = tags || escaped.is_some();
    Some(PlainText { text: escaped.unwrap_or(decoded), tags, entities: true })
}

/// A text without any invisible character, and with plain blanks: for numbers, addresses and links,
/// in which none of them has a meaning.
pub(crate) fn visible(text: &str) -> String {
    let blank = |c: char| c.is_whitespace() && c != '\n';
    let mut kept = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if blank(c) => kept.push(' '),
            '\u{200c}' | '\u{200d}' | '\u{ad}' => {}
            c if removed(c, false) => {}
            c => kept.push(c),
        }
    }
    kept.trim().to_owned()
}

/// Whether a character is removed from texts.
fn removed(c: char, is_rtl: bool) -> bool {
    match c {
        '\n' | '\t' | '\r' => false,
        '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{202a}'..='\u{202e}' => true,
        '\u{2066}'..='\u{2069}' | '\u{fff9}'..='\u{fffb}' => true,
        '\u{200e}' | '\u{200f}' | '\u{61c}' => !is_rtl,
        c => c.is_control(),
    }
}

fn is_right_to_left(c: char) -> bool {
    matches!(
        c,
        '\u{590}'..='\u{61b}'
            | '\u{61d}'..='\u{8ff}'
            | '\u{fb1d}'..='\u{fdff}'
            | '\u{fe70}'..='\u{fefc}'
    )
}

/// The text with its HTML entities decoded; `None` if it has none. Only entities that end with `;`
/// count: `AT&T` and `a=1&copy=2` are no entities.
fn decoded(text: &str) -> Option<String> {
    let mut rest = text;
    let mut out = String::new();
    let mut any = false;
    while let Some(at) = rest.find('&') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let name = |c: char| c.is_ascii_alphanumeric() || c == '#';
        // The longest name of an entity has 31 characters.
        let end = from[1..].char_indices().find(|(at, c)| *at > 32 || !name(*c));
        let entity = match end {
            Some((end, ';')) if end > 0 => &from[..end + 2],
            _ => "",
        };
        let read = if entity.is_empty() { None } else { entity_of(entity) };
        match read {
            Some(read) => {
                any = true;
                out.push_str(&read);
                rest = &from[entity.len()..];
            }
            None => {
                out.push('&');
                rest = &from[1..];
            }
        }
    }
    out.push_str(rest);
    any.then_some(out)
}

/// The characters of one entity, `&amp;` or `&#233;`.
fn entity_of(entity: &str) -> Option<String> {
    let read = htmlize::unescape(entity);
    (read != entity && !read.ends_with(';')).then(|| read.into_owned()).or_else(|| {
        // `&semi;` and `&#59;` are semicolons.
        matches!(entity, "&semi;" | "&#59;" | "&#x3b;" | "&#x3B;").then(|| ";".to_owned())
    })
}

/// What a text was before its UTF-8 was decoded as Windows-1252 (`CafÃ©` was `Café`); `None` if it
/// was not. The beginning only, for a message.
fn mojibake(text: &str) -> Option<String> {
    // The lead bytes of Latin letters, punctuation and emoji: in a text that is right, hardly any
    // of them is followed by the characters that continuation bytes are in Windows-1252.
    let suspicious = text.char_indices().find(|(at, c)| {
        let length = match c {
            'Â' | 'Ã' => 2,
            'â' => 3,
            'ð' => 4,
            _ => return false,
        };
        let bytes: Option<Vec<u8>> =
            text[*at..].chars().take(length).map(windows_1252).collect::<Option<_>>();
        bytes.is_some_and(|bytes| bytes.len() == length && std::str::from_utf8(&bytes).is_ok())
    });
    let (at, _) = suspicious?;
    let start = text[..at].char_indices().rev().nth(15).map_or(0, |(start, _)| start);
    let bytes: Vec<u8> = text[start..].chars().take(40).map_while(windows_1252).collect();
    let read = String::from_utf8_lossy(&bytes);
    Some(read.trim_end_matches('\u{fffd}').to_owned())
}

/// The byte of a character in Windows-1252, with the five bytes that it leaves undefined.
fn windows_1252(c: char) -> Option<u8> {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž',
        '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}',
        'ž', 'Ÿ',
    ];
    let code = u32::from(c);
    if code < 0x80 || (0xa0..0x100).contains(&code) || (0x80..0xa0).contains(&code) {
        return u8::try_from(code).ok();
    }
    HIGH.iter().position(|high| *high == c).and_then(|at| u8::try_from(at + 0x80).ok())
}

/// A digit of any script as its ASCII digit: `٤`, `۴`, `４`.
pub(crate) fn ascii_digit(c: char) -> char {
    const ZEROS: [u32; 4] = [0x660, 0x6f0, 0x966, 0xff10];
    let code = u32::from(c);
    ZEROS
        .iter()
        .find_map(|zero| code.checked_sub(*zero).filter(|digit| *digit < 10))
        .and_then(|digit| char::from_digit(digit, 10))
        .unwrap_or(c)
}
