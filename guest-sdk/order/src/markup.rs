//! HTML in plain texts. The editors of CRMs send `<p>Rua A<br>Centro</p>`: the tags go, the line
//! breaks that they make stay.

/// What a tag does to the text around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Begins a new line.
    Break,
    /// Begins a new line unless one has begun.
    Block,
    /// Is set apart from what precedes it.
    Cell,
    /// Nothing.
    Inline,
    /// Its content is not text.
    Hidden,
}

/// Elements that editors make. Others, such as `<script>` and `<Your Name>`, are text that somebody
/// typed; it stays, and templates escape it.
fn effect(name: &str) -> Option<Effect> {
    const BLOCKS: [&str; 29] = [
        "p",
        "div",
        "li",
        "ul",
        "ol",
        "dl",
        "dt",
        "dd",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "tr",
        "table",
        "tbody",
        "thead",
        "tfoot",
        "caption",
        "blockquote",
        "section",
        "article",
        "header",
        "footer",
        "main",
        "address",
        "pre",
        "figure",
    ];
    const INLINE: [&str; 32] = [
        "a", "abbr", "b", "bdi", "bdo", "big", "center", "cite", "code", "del", "em", "font", "i",
        "img", "ins", "kbd", "label", "mark", "o:p", "q", "s", "samp", "small", "span", "strike",
        "strong", "sub", "sup", "time", "tt", "u", "wbr",
    ];
    let is = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
    match () {
        () if is(&["br", "hr"]) => Some(Effect::Break),
        () if is(&BLOCKS) => Some(Effect::Block),
        () if is(&["td", "th"]) => Some(Effect::Cell),
        () if is(&INLINE) => Some(Effect::Inline),
        () if is(&["style"]) => Some(Effect::Hidden),
        () => None,
    }
}

/// The text without its tags and comments; `None` if it has none. Looks at each byte a bounded
/// number of times.
pub(crate) fn without_tags(text: &str) -> Option<String> {
    let mut plain = Plain::default();
    let mut rest = text;
    let (mut any, mut more_comments, mut more_styles) = (false, true, true);
    while let Some(at) = rest.find('<') {
        let (before, from) = rest.split_at(at);
        plain.text(before);
        if more_comments && let Some(comment) = from.strip_prefix("<!--") {
            if let Some(end) = comment.find("-->") {
                any = true;
                rest = &comment[end + 3..];
                continue;
            }
            more_comments = false;
        }
        let Some(tag) = Tag::at(from) else {
            plain.text("<");
            rest = &from[1..];
            continue;
        };
        any = true;
        rest = &from[tag.length..];
        match tag.effect {
            Effect::Break if tag.is_end => {}
            Effect::Break => plain.new_line(2),
            Effect::Block => plain.new_line(1),
            Effect::Cell => plain.apart(),
            Effect::Inline => {}
            Effect::Hidden => {
                let end = if tag.is_end || !more_styles { None } else { end_of_style(rest) };
                more_styles &= tag.is_end || end.is_some();
                rest = end.map_or(rest, |end| &rest[end..]);
            }
        }
    }
    plain.text(rest);
    any.then(|| plain.finish())
}

/// Where the end tag of a style sheet begins.
fn end_of_style(text: &str) -> Option<usize> {
    const NAME: &str = "style";
    let is_style = |at: &usize| {
        let name = text.get(at + 2..at + 2 + NAME.len());
        name.is_some_and(|name| name.eq_ignore_ascii_case(NAME))
    };
    text.match_indices("</").map(|(at, _)| at).find(is_style)
}

/// A tag at the beginning of a text.
struct Tag {
    effect: Effect,
    is_end: bool,
    /// In bytes, with both brackets.
    length: usize,
}

impl Tag {
    fn at(text: &str) -> Option<Self> {
        let inner = text.strip_prefix('<')?;
        let end = inner.find(['<', '>'])?;
        let (inner, rest) = inner.split_at(end);
        if !rest.starts_with('>') {
            return None;
        }
        let (is_end, inner) = match inner.strip_prefix('/') {
            Some(inner) => (true, inner),
            None => (false, inner),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == ':';
        let (name, attributes) =
            inner.split_at(inner.find(|c: char| !is_name(c)).unwrap_or(inner.len()));
        let effect = effect(name)?;
        let said = attributes.trim().trim_end_matches('/').trim_end();
        // `a <b or c> d` is no tag, nor is `<b-3>`.
        let are_attributes = said.is_empty() || said.contains('=');
        let are_apart = attributes.is_empty()
            || attributes.starts_with(|c: char| c == '/' || c.is_ascii_whitespace());
        (are_attributes && are_apart).then_some(Tag { effect, is_end, length: end + 2 })
    }
}

/// The text as far as it was read.
#[derive(Default)]
struct Plain {
    text: String,
    /// Whether a tag has begun the line, so that white space at its beginning is the editor's.
    is_new_line: bool,
}

impl Plain {
    fn text(&mut self, text: &str) {
        let text = if self.is_new_line { text.trim_start() } else { text };
        if !text.is_empty() {
            self.text.push_str(text);
            self.is_new_line = false;
        }
    }

    /// Begins a new line, unless as many line breaks as this precede it.
    fn new_line(&mut self, most: usize) {
        self.text.truncate(self.text.trim_end_matches([' ', '\t', '\u{a0}']).len());
        let has = self.text.bytes().rev().take(most).take_while(|byte| *byte == b'\n').count();
        if has < most && !self.text.is_empty() {
            self.text.push('\n');
        }
        self.is_new_line = true;
    }

    fn apart(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with(char::is_whitespace) {
            self.text.push(' ');
        }
    }

    fn finish(mut self) -> String {
        self.text.truncate(self.text.trim_end().len());
        self.text
    }
}
