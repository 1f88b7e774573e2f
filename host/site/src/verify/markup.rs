//! Where the tags and comments of a page end, before the parser sees them.
//!
//! The parser compares each attribute of a tag with all others, and can only be stopped between two
//! calls. This scanner cuts the text behind every tag and comment, and counts the attributes of a
//! tag before the parser collects them. It follows the tokenizer of the HTML standard, as far as
//! tags are concerned. Which text is not markup (scripts, style sheets) depends on the tree, so its
//! user says how the text goes on after a tag.

/// How the text after a tag is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    /// Markup.
    Data,
    /// Text until the end tag of this name: `title`, `textarea`, `style`, `iframe` and the like.
    Text(String),
    /// As [`Mode::Text`], except for `<!--` and `<script` in it.
    Script,
    /// Text until the end of the page.
    PlainText,
}

/// A piece of the page: text, and the markup at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// Where the piece ends, in bytes from the beginning of the page.
    pub(super) end: usize,
    /// `None` if it ends with a comment or with the page.
    pub(super) tag: Option<Tag<'a>>,
}

/// A tag at the end of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    /// As written.
    pub(super) name: &'a str,
    pub(super) attributes: usize,
    /// Whether it is an end tag.
    pub(super) end: bool,
}

/// The piece that begins at `from`. Looks at each byte a bounded number of times.
///
/// In `foreign` content (SVG, MathML) a `<![CDATA[` is a section, elsewhere a comment.
pub(super) fn piece<'a>(text: &'a str, from: usize, mode: &Mode, foreign: bool) -> Piece<'a> {
    match mode {
        Mode::Data => markup(text, from, foreign),
        Mode::Text(name) => raw(text, from, name),
        Mode::Script => script(text, from),
        Mode::PlainText => Piece { end: text.len(), tag: None },
    }
}

fn markup(text: &str, from: usize, foreign: bool) -> Piece<'_> {
    let bytes = text.as_bytes();
    let mut at = from;
    while let Some(found) = find(text, at, "<") {
        at = found + 1;
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(first), _) if first.is_ascii_alphabetic() => return tag(text, at, false),
            (Some(b'/'), Some(first)) if first.is_ascii_alphabetic() => {
                return tag(text, at + 1, true);
            }
            // `</>` is nothing.
            (Some(b'/'), Some(b'>')) => at += 2,
            (Some(b'/' | b'?'), _) => return comment_until(text, at, ">"),
            (Some(b'!'), _) => {
                let rest = &text[at + 1..];
                return match () {
                    () if rest.starts_with("--") => comment(text, at + 3),
                    () if foreign && rest.starts_with("[CDATA[") => comment_until(text, at, "]]>"),
                    () => comment_until(text, at, ">"),
                };
            }
            _ => {}
        }
    }
    Piece { end: text.len(), tag: None }
}

/// The end of a comment whose text begins at `from`.
fn comment(text: &str, from: usize) -> Piece<'_> {
    let rest = &text[from..];
    if rest.starts_with('>') || rest.starts_with("->") {
        return comment_until(text, from, ">");
    }
    let mut at = from;
    while let Some(dashes) = find(text, at, "--") {
        // Any number of dashes may precede the end.
        let after = &text[dashes + 2..];
        if after.starts_with('>') {
            return Piece { end: dashes + 3, tag: None };
        }
        if after.starts_with("!>") {
            return Piece { end: dashes + 4, tag: None };
        }
        at = dashes + 1;
    }
    Piece { end: text.len(), tag: None }
}

fn comment_until<'a>(text: &'a str, from: usize, end: &str) -> Piece<'a> {
    let end = find(text, from, end).map_or(text.len(), |at| at + end.len());
    Piece { end, tag: None }
}

/// Text up to the end tag `name`.
fn raw<'a>(text: &'a str, from: usize, name: &str) -> Piece<'a> {
    let mut at = from;
    while let Some(found) = find(text, at, "</") {
        at = found + 2;
        if is_named(text, at, name) {
            return tag(text, at, true);
        }
    }
    Piece { end: text.len(), tag: None }
}

/// A script: after `<!--`, a `<script` hides the next `</script`, until `-->`.
fn script(text: &str, from: usize) -> Piece<'_> {
    let bytes = text.as_bytes();
    let (mut escaped, mut hidden) = (false, false);
    let mut at = from;
    while at < bytes.len() {
        let rest = &bytes[at..];
        match rest[0] {
            b'<' if !escaped && rest.starts_with(b"<!--") => {
                escaped = true;
                // `<!-->` ends at once: its dashes are also those of the end.
                at += 2;
                continue;
            }
            b'<' if rest.starts_with(b"</") && is_named(text, at + 2, "script") => {
                if !hidden {
                    return tag(text, at + 2, true);
                }
                hidden = false;
            }
            b'<' if escaped && is_named(text, at + 1, "script") => hidden = true,
            b'-' if escaped && rest.starts_with(b"-->") => (escaped, hidden) = (false, false),
            _ => {}
        }
        at += 1;
    }
    Piece { end: text.len(), tag: None }
}

/// Whether a tag named `name` is written at `at`, in any case, and its name ends there.
fn is_named(text: &str, at: usize, name: &str) -> bool {
    let rest = &text.as_bytes()[at.min(text.len())..];
    rest.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
        && rest.get(name.len()).is_some_and(|next| is_space(*next) || matches!(next, b'/' | b'>'))
}

/// A tag whose name begins at `from`. A tag that the page ends in has no end.
fn tag(text: &str, from: usize, end: bool) -> Piece<'_> {
    #[derive(Clone, Copy)]
    enum State {
        BeforeAttribute,
        Name,
        AfterName,
        BeforeValue,
        Quoted(u8),
        Unquoted,
    }
    let bytes = text.as_bytes();
    let name_end = bytes[from..]
        .iter()
        .position(|byte| is_space(*byte) || matches!(byte, b'/' | b'>'))
        .map_or(bytes.len(), |at| from + at);
    let mut attributes = 0;
    let mut state = State::BeforeAttribute;
    for (at, byte) in bytes.iter().enumerate().skip(name_end) {
        state = match (state, *byte) {
            (State::Quoted(quote), byte) if byte == quote => State::BeforeAttribute,
            (State::Quoted(quote), _) => State::Quoted(quote),
            (_, b'>') => {
                let tag = Tag { name: &text[from..name_end], attributes, end };
                return Piece { end: at + 1, tag: Some(tag) };
            }
            (State::BeforeValue, quote @ (b'"' | b'\'')) => State::Quoted(quote),
            (State::BeforeValue, byte) if is_space(byte) => State::BeforeValue,
            (State::BeforeValue, _) => State::Unquoted,
            (State::Unquoted, byte) if is_space(byte) => State::BeforeAttribute,
            (State::Unquoted, _) => State::Unquoted,
            (State::Name | State::AfterName, b'=') => State::BeforeValue,
            (State::Name | State::AfterName, byte) if is_space(byte) => State::AfterName,
            (State::Name, b'/') | (State::AfterName | State::BeforeAttribute, b'/') => {
                State::BeforeAttribute
            }
            (State::BeforeAttribute, byte) if is_space(byte) => State::BeforeAttribute,
            (State::BeforeAttribute | State::AfterName, _) => {
                attributes += 1;
                State::Name
            }
            (State::Name, _) => State::Name,
        };
    }
    let tag = Tag { name: &text[from..name_end], attributes, end };
    Piece { end: bytes.len(), tag: Some(tag) }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c')
}

fn find(text: &str, from: usize, what: &str) -> Option<usize> {
    text.get(from..)?.find(what).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_ends_with_a_tag_or_a_comment() {
        let rows = [
            // (text, end of the piece, attributes of its tag)
            ("a < b <p>x", 9, Some(0)),
            ("<p a b=c d='>' e=\">\" / f>x", 25, Some(5)),
            ("<p a a a>", 9, Some(3)),
            ("<p =x>", 6, Some(1)),
            ("<p a=>x", 6, Some(1)),
            ("<p a = 'x'b>", 12, Some(2)),
            ("<p/a/b>", 7, Some(2)),
            ("<p a\"b'c>", 9, Some(1)),
            ("</p x>y", 6, Some(1)),
            ("</><p>", 6, Some(0)),
            ("</ x><p>", 5, None),
            ("<?x ><p>", 5, None),
            ("<!x ><p>", 5, None),
            ("<!--><p>", 5, None),
            ("<!---><p>", 6, None),
            ("<!-- > --><p>", 10, None),
            ("<!-- --- --!><p>", 13, None),
            ("<!-- ---><p>", 9, None),
            ("<!-- <p>", 8, None),
            ("<p a", 4, Some(1)),
            ("text", 4, None),
            ("<", 1, None),
        ];
        for (text, end, attributes) in rows {
            let piece = piece(text, 0, &Mode::Data, false);
            let found = piece.tag.map(|tag| tag.attributes);
            assert_eq!((piece.end, found), (end, attributes), "{text:?}");
        }
        let section = piece("<![CDATA[ <p> ]]><p>", 0, &Mode::Data, true);
        assert_eq!(section, Piece { end: 17, tag: None });
    }

    #[test]
    fn the_text_of_a_script_is_no_markup() {
        let rows = [
            ("a<b c</script x>y", 16),
            ("</scripts></SCRIPT>", 19),
            ("<!-- <script> </script> --> </script>", 37),
            ("<!-- <script> </script> </script>x", 33),
            ("<!-- </script>x", 14),
            ("<!--> <script> </script>x", 24),
            ("<!-- <script>", 13),
        ];
        for (text, end) in rows {
            assert_eq!(piece(text, 0, &Mode::Script, false).end, end, "{text:?}");
        }
        let mode = Mode::Text("style".to_owned());
        assert_eq!(piece("a</p></style >b", 0, &mode, false).end, 14);
    }
}
