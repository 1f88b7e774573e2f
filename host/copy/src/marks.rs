//! Marks in a text that no reader should see: brackets to fill in, Markdown, markup, values and
//! escapes of programs. All scans are linear: no scan looks further than [`REACH`] bytes ahead.

use std::ops::Range;

use crate::rule::CopyRule;
use crate::text::fold;

/// Maximum bytes between the two ends of a mark.
const REACH: usize = 200;

/// A mark, with its place in the original text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) rule: CopyRule,
    pub(crate) range: Range<usize>,
}

/// Words of what is to be filled in, in folded form. Japanese ones count as parts of words.
const BLANKS: [&str; 116] = [
    "name",
    "names",
    "your",
    "insert",
    "here",
    "phone",
    "email",
    "e",
    "mail",
    "address",
    "city",
    "state",
    "zip",
    "date",
    "title",
    "headline",
    "heading",
    "subheading",
    "company",
    "business",
    "service",
    "services",
    "price",
    "number",
    "link",
    "url",
    "year",
    "years",
    "hours",
    "text",
    "image",
    "photo",
    "picture",
    "logo",
    "location",
    "description",
    "tagline",
    "cta",
    "button",
    "product",
    "industry",
    "placeholder",
    "testimonial",
    "client",
    "customer",
    "owner",
    "area",
    "neighborhood",
    "website",
    "nome",
    "empresa",
    "telefone",
    "cidade",
    "endereco",
    "seu",
    "sua",
    "aqui",
    "titulo",
    "preco",
    "servico",
    "foto",
    "data",
    "ano",
    "inserir",
    "bairro",
    "cliente",
    "nombre",
    "telefono",
    "ciudad",
    "direccion",
    "su",
    "tu",
    "precio",
    "servicio",
    "fecha",
    "insertar",
    "negocio",
    "correo",
    "nom",
    "entreprise",
    "ville",
    "adresse",
    "votre",
    "ici",
    "titre",
    "prix",
    "annee",
    "inserer",
    "numero",
    "ihr",
    "ihre",
    "firma",
    "firmenname",
    "telefon",
    "telefonnummer",
    "stadt",
    "hier",
    "einfugen",
    "titel",
    "preis",
    "jahr",
    "ort",
    "unternehmen",
    "azienda",
    "citta",
    "indirizzo",
    "tuo",
    "qui",
    "prezzo",
    "anno",
    "inserire",
    "اسم",
    "هاتف",
    "المدينه",
    "شركه",
    "العنوان",
];

/// Parts of words of languages that attach or have no spaces.
const BLANK_PARTS: [&str; 24] = [
    "会社名",
    "店名",
    "店舗名",
    "電話番号",
    "住所",
    "名前",
    "お名前",
    "価格",
    "地名",
    "入力",
    "ここに",
    "タイトル",
    "都市",
    "الشركه",
    "النشاط",
    "الهاتف",
    "رقم",
    "ادخل",
    "שם",
    "טלפון",
    "כתובת",
    "עיר",
    "הכנס",
    "העסק",
];

/// Named entities that models write.
const ENTITIES: [&str; 44] = [
    "amp", "nbsp", "lt", "gt", "quot", "apos", "copy", "reg", "trade", "mdash", "ndash", "hellip",
    "rsquo", "lsquo", "ldquo", "rdquo", "laquo", "raquo", "eacute", "egrave", "ecirc", "agrave",
    "aacute", "acirc", "atilde", "iacute", "oacute", "otilde", "ocirc", "uacute", "ntilde",
    "ccedil", "auml", "ouml", "uuml", "szlig", "euro", "pound", "yen", "bull", "middot", "times",
    "deg", "ensp",
];

/// Elements of HTML that models write into texts.
const ELEMENTS: [&str; 27] = [
    "p", "br", "b", "i", "u", "em", "strong", "a", "ul", "ol", "li", "h1", "h2", "h3", "h4", "div",
    "span", "img", "script", "style", "section", "table", "tr", "td", "html", "body", "hr",
];

/// The marks of a text, in order of the scans.
pub(crate) fn find(text: &str) -> Vec<Mark> {
    let mut marks = Vec::new();
    pairs(text, &mut marks);
    signs(text, &mut marks);
    lines(text, &mut marks);
    marks
}

/// The inside of a bracket that opens at `at` with `open`, up to the first `close`; not over a line
/// break or another opening bracket.
fn inside<'a>(text: &'a str, at: usize, open: &str, close: &str) -> Option<&'a str> {
    let rest = text.get(at..)?.strip_prefix(open)?;
    let reach = rest.floor_char_boundary(REACH);
    let end = rest[..reach].find(close)?;
    let inside = &rest[..end];
    (!inside.contains('\n') && !inside.contains(open)).then_some(inside)
}

/// Things in brackets, braces and other marks that come in pairs.
fn pairs(text: &str, marks: &mut Vec<Mark>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let next = at + 1;
        at = match pair(text, at) {
            Some((rule, length)) => {
                marks.push(Mark { rule, range: at..at + length });
                at + length.max(1)
            }
            None => next,
        };
    }
}

/// The rule that a pair of marks at a place breaks, and its length.
fn pair(text: &str, at: usize) -> Option<(CopyRule, usize)> {
    use CopyRule::{LeftOver, Markdown, Placeholder};
    let bytes = text.as_bytes();
    let before = || text[..at].chars().next_back();
    let after = |end: usize| text.get(end..).and_then(|rest| rest.chars().next());
    match bytes[at] {
        b'[' => {
            let inside = inside(text, at, "[", "]")?;
            let length = inside.len() + 2;
            let rest = &text[at + length..];
            if is_link_target(rest) {
                let target = rest.find(')').map_or(0, |end| end + 1).min(REACH);
                return Some((Markdown, rest.floor_char_boundary(target) + length));
            }
            // Editors put their words into quotations in brackets: "[The team] was here in time".
            let in_quotation = || {
                let start = text.floor_char_boundary(at.saturating_sub(REACH));
                text[start..at].contains(['"', '“', '«', '„', '”', '»', '「'])
            };
            // A source that a model with a search engine names: "since 1920[1]."
            let is_source = (1..=2).contains(&inside.len())
                && inside.bytes().all(|b| b.is_ascii_digit())
                && before().is_some_and(|c| c.is_alphanumeric() || ".!?]".contains(c));
            if is_source {
                return Some((LeftOver, length));
            }
            let is_word = || is_words(inside) && !in_quotation();
            let is_placeholder = is_blank(inside) || is_identifier(inside) || is_word();
            is_placeholder.then_some((Placeholder, length))
        }
        // The brackets of Chinese and Japanese, which real headings have too: 【営業時間】.
        0xe3 | 0xef => {
            let (open, close) = [("【", "】"), ("［", "］")]
                .into_iter()
                .find(|(open, _)| text.get(at..).is_some_and(|rest| rest.starts_with(open)))?;
            let inside = inside(text, at, open, close)?;
            // A source in the notation of OpenAI's search: 【4:0†source】.
            if inside.contains('†') {
                return Some((LeftOver, open.len() + inside.len() + close.len()));
            }
            (is_blank(inside) || is_identifier(inside) || is_words(inside))
                .then_some((Placeholder, open.len() + inside.len() + close.len()))
        }
        // Fields of form letters: «First_Name».
        0xc2 => {
            let inside = inside(text, at, "«", "»")?;
            (inside.contains('_') && is_identifier(inside))
                .then_some((Placeholder, "«".len() + inside.len() + "»".len()))
        }
        // Statements of template languages.
        b'<' if text[at..].starts_with("<%") => {
            let inside = inside(text, at, "<%", "%>")?;
            Some((Placeholder, inside.len() + 4))
        }
        b'{' if text[at..].starts_with("{%") => {
            let inside = inside(text, at, "{%", "%}")?;
            Some((Placeholder, inside.len() + 4))
        }
        b'<' => {
            let inside = inside(text, at, "<", ">")?;
            let element = inside.trim_start_matches('/').split([' ', '/']).next()?;
            let length = inside.len() + 2;
            let is_element = || ELEMENTS.contains(&element.to_lowercase().as_str());
            if inside.starts_with("!--") || is_token(inside) || is_element() {
                return Some((LeftOver, length));
            }
            let is_word = inside.starts_with(|c: char| c.is_alphabetic());
            (is_word && (is_blank(inside) || is_identifier(inside)))
                .then_some((Placeholder, length))
        }
        b'{' if text[at..].starts_with("{{") => {
            let inside = inside(text, at, "{{", "}}")?;
            Some((Placeholder, inside.len() + 4))
        }
        b'{' => {
            let inside = inside(text, at, "{", "}")?;
            let is_name = |c: char| c.is_alphanumeric() || " _.-:|!$@#/".contains(c);
            let is_value = !inside.trim().is_empty() && inside.chars().all(is_name);
            is_value.then_some((Placeholder, inside.len() + 2))
        }
        b'%' => {
            let rest = &text[at + 1..];
            // "%%firstname%%", of form letters.
            let doubled = inside(text, at, "%%", "%%").filter(|name| {
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            });
            if let Some(name) = doubled {
                return Some((Placeholder, name.len() + 4));
            }
            // "100%sicher" is a typing error; "%s" behind a space is not.
            let is_free = before().is_none_or(|c| !c.is_alphanumeric());
            let name = inside(text, at, "%", "%").filter(|name| is_identifier(name));
            if let Some(name) = name.filter(|_| is_free) {
                return Some((Placeholder, name.len() + 2));
            }
            let length = match rest.as_bytes() {
                [b's' | b'd' | b'@' | b'i' | b'f', ..] => 2,
                [b'(', ..] => {
                    let end = inside(text, at + 1, "(", ")")?.len() + 3;
                    let is_type = matches!(bytes.get(at + end), Some(b's' | b'd' | b'i' | b'f'));
                    is_type.then_some(end + 1)?
                }
                [b'1'..=b'9', b'$', b's' | b'd', ..] => 4,
                _ => return None,
            };
            let is_word = |c: char| c.is_alphanumeric();
            (is_free && !after(at + length).is_some_and(is_word)).then_some((Placeholder, length))
        }
        b'$' => {
            let inside = inside(text, at, "${", "}")?;
            Some((Placeholder, inside.len() + 3))
        }
        b'_' if text[at..].starts_with("__") => {
            if text[at..].starts_with("___") {
                let length = text[at..].bytes().take_while(|b| *b == b'_').count();
                return Some((Placeholder, length));
            }
            if before().is_some_and(|c| c.is_alphanumeric() || c == '_') {
                return None;
            }
            let inside = inside(text, at, "__", "__")?;
            let is_name = inside.chars().all(|c| c.is_ascii_uppercase() || c == '_');
            let starts = inside.starts_with(|c: char| !c.is_whitespace() && c != '_');
            let rule = if is_name { Placeholder } else { Markdown };
            starts.then_some((rule, inside.len() + 4))
        }
        // "*|FNAME|*", of form letters; a mark of a footnote before a line is none.
        b'*' if text[at..].starts_with("*|") => {
            let inside = inside(text, at, "*|", "|*")?;
            let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'.');
            (!inside.is_empty() && inside.bytes().all(is_name))
                .then_some((Placeholder, inside.len() + 4))
        }
        b'*' if text[at..].starts_with("**") => {
            let stars = text[at..].bytes().take(5).take_while(|b| *b == b'*').count();
            if stars > 3 || before() == Some('*') {
                return None;
            }
            let rest = &text[at + stars..];
            let reach = rest.floor_char_boundary(2 * REACH);
            let end = rest[..reach].find("**")?;
            let is_tight = rest.starts_with(|c: char| !c.is_whitespace() && c != '*')
                && !rest[..end].ends_with(char::is_whitespace);
            is_tight.then_some((Markdown, stars + end + 2))
        }
        b'*' => {
            let is_free = before().is_none_or(|c| c.is_whitespace() || c == '(' || c == '"');
            let inside = inside(text, at, "*", "*")?;
            let is_tight = inside.starts_with(char::is_alphabetic)
                && inside.ends_with(|c: char| c.is_alphanumeric() || ".!?".contains(c))
                && !after(at + inside.len() + 2).is_some_and(char::is_alphanumeric);
            (is_free && is_tight).then_some((Markdown, inside.len() + 2))
        }
        b'~' => {
            let inside = inside(text, at, "~~", "~~")?;
            (!inside.trim().is_empty()).then_some((Markdown, inside.len() + 4))
        }
        b'`' if text[at..].starts_with("```") => Some((Markdown, 3)),
        b'`' => {
            let inside = inside(text, at, "`", "`")?;
            let is_free = before().is_none_or(|c| !c.is_alphanumeric());
            (is_free && !inside.trim().is_empty()).then_some((Markdown, inside.len() + 2))
        }
        _ => None,
    }
}

/// Whether the inside of `<…>` is a token of a model that nobody decoded: `<0x0A>`, `<unused42>`.
fn is_token(inside: &str) -> bool {
    let numbered = |prefix: &str| {
        let number = inside.strip_prefix(prefix);
        number.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    let is_byte = inside
        .strip_prefix("0x")
        .is_some_and(|rest| rest.len() == 2 && rest.bytes().all(|b| b.is_ascii_hexdigit()));
    is_byte
        || numbered("unused")
        || numbered("extra_id_")
        || matches!(inside, "bos" | "eos" | "pad" | "unk")
}

/// Whether a text begins with `(…)` that is the target of a Markdown link.
fn is_link_target(rest: &str) -> bool {
    let starts =
        ["(http", "(/", "(#", "(www.", "(mailto:", "(tel:", "(URL", "(url", "(link", "(./"];
    starts.iter().any(|start| rest.starts_with(start))
        || inside(rest, 0, "(", ")").is_some_and(|target| {
            !target.contains(' ') && target.contains('.') && !target.ends_with('.')
        })
}

/// Whether the inside of brackets says what is to be filled in.
fn is_blank(inside: &str) -> bool {
    const LONGEST: usize = 80;
    let folded = fold(inside);
    let has_part = || BLANK_PARTS.iter().any(|part| folded.contains(part));
    let is_empty = !folded.chars().any(char::is_alphanumeric);
    if is_empty {
        return inside.chars().all(|c| c == '_' || c == ' ') && !inside.is_empty();
    }
    let mut words = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    // Words of the list in a long remark are no placeholder, except a verb at its beginning.
    let is_short = folded.len() <= LONGEST && words.clone().count() <= 7;
    let is_x = words.clone().all(|word| word.bytes().all(|b| b == b'x'));
    let is_dots = inside.contains("...") || inside.contains('…');
    is_x || (is_short && !is_dots && (words.any(|word| BLANKS.contains(&word)) || has_part()))
}

/// Whether the inside of brackets is a few words, as in a form to fill in.
fn is_words(inside: &str) -> bool {
    const PLAIN: [&str; 12] = [
        "sic", "new", "neu", "nuevo", "novo", "nouveau", "nuovo", "at", "menu", "pdf", "video",
        "audio",
    ];
    let letters = inside.chars().filter(|c| c.is_alphabetic()).count();
    let is_plain = |c: char| c.is_alphabetic() || " '’/-_".contains(c);
    (3..=40).contains(&letters)
        && inside.chars().all(is_plain)
        && !PLAIN.contains(&fold(inside).as_str())
}

/// Whether a text is an identifier such as `CITY_NAME` or `first_name`.
fn is_identifier(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_upper = !text.contains(|c: char| c.is_ascii_lowercase()) && text.len() >= 4;
    let is_lower = text.contains('_') && text.len() >= 4;
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
    starts && text.chars().all(is_part) && (is_upper || is_lower)
}

/// Entities, escapes and bytes in the wrong encoding.
fn signs(text: &str, marks: &mut Vec<Mark>) {
    let bytes = text.as_bytes();
    for (at, c) in text.char_indices() {
        let length = match c {
            '&' => entity(&text[at..]),
            '\\' => escape(&bytes[at..]),
            'Ã' | 'â' | 'Â' => mojibake(&text[at..]),
            // A source in the notation of ChatGPT, in characters for private use.
            '\u{e202}' if text[at..].starts_with("\u{e202}turn") => Some(c.len_utf8()),
            _ => None,
        };
        if let Some(length) = length {
            marks.push(Mark { rule: CopyRule::LeftOver, range: at..at + length });
        }
    }
}

fn entity(rest: &str) -> Option<usize> {
    let rest = rest.strip_prefix('&')?;
    let end = rest.bytes().take(10).position(|b| b == b';')?;
    let name = rest.get(..end)?;
    let is_number = name.strip_prefix('#').is_some_and(|digits| {
        let digits = digits.strip_prefix(['x', 'X']).unwrap_or(digits);
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit())
    });
    (is_number || ENTITIES.contains(&name.to_ascii_lowercase().as_str())).then_some(end + 2)
}

fn escape(rest: &[u8]) -> Option<usize> {
    match rest {
        [_, b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|b| b.is_ascii_hexdigit()) => Some(6),
        [_, b'x', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => Some(4),
        [_, b'"', ..] => Some(2),
        // Not the path of a file: "\neu".
        [_, b'n' | b't' | b'r', next, ..] if next.is_ascii_lowercase() => None,
        [_, b'n' | b't' | b'r', ..] => Some(2),
        _ => None,
    }
}

/// UTF-8 that was read as Windows-1252: "Ã©", "â€™".
fn mojibake(rest: &str) -> Option<usize> {
    let mut chars = rest.chars();
    let (first, second) = (chars.next()?, chars.next()?);
    let is_wrong = match first {
        'Ã' => matches!(second, '\u{80}'..='\u{bf}' | '€' | '‚' | 'ƒ' | '„' | '‡' | '‰' | '‹'),
        'Â' => matches!(second, '\u{80}'..='\u{9f}' | '\u{a1}'..='\u{bf}'),
        _ => matches!(second, '€' | '\u{80}'),
    };
    is_wrong.then_some(first.len_utf8() + second.len_utf8())
}

/// Markdown that begins lines.
fn lines(text: &str, marks: &mut Vec<Mark>) {
    let mut at = 0;
    let mut bullets: Vec<Range<usize>> = Vec::new();
    let mut tables: Vec<Range<usize>> = Vec::new();
    let is_block = text.contains('\n');
    let mut mark = |rule, range| marks.push(Mark { rule, range });
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        let start = at + (line.len() - line.trim_start().len());
        let range = start..start + trimmed.len();
        at += line.len();
        let hashes = trimmed.bytes().take_while(|b| *b == b'#').count();
        let behind = trimmed.get(hashes..).unwrap_or_default();
        let is_heading = behind.starts_with(' ')
            && behind.trim_start().starts_with(|c: char| !c.is_numeric() || hashes > 1);
        if (1..=6).contains(&hashes) && is_heading {
            mark(CopyRule::Markdown, range.clone());
        }
        let bullet = ["- ", "* ", "+ ", "• "].iter().any(|bullet| trimmed.starts_with(bullet));
        if bullet && trimmed.len() > 3 && bullets.len() < 2 {
            bullets.push(range.clone());
        }
        let pipes = trimmed.bytes().take(1_000).filter(|b| *b == b'|').count();
        if pipes >= 2 && trimmed.starts_with('|') && trimmed.ends_with('|') && tables.len() < 2 {
            tables.push(range.clone());
        }
        let is_rule = ["---", "***", "___", "==="].iter().any(|rule| {
            trimmed.starts_with(rule) && trimmed.bytes().all(|b| b == rule.as_bytes()[0])
        });
        if is_rule && is_block {
            mark(CopyRule::Markdown, range);
        }
    }
    for found in [bullets, tables] {
        if let [first, _] = found.as_slice() {
            mark(CopyRule::Markdown, first.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_told_from_text() {
        use CopyRule::{LeftOver, Markdown, Placeholder};
        let table: [(&str, Option<CopyRule>); 67] = [
            ("Call [Business Name] today", Some(Placeholder)),
            ("[CITY]", Some(Placeholder)),
            ("[Ihr Name]", Some(Placeholder)),
            ("[店名]へようこそ", Some(Placeholder)),
            ("<INSERT CITY>", Some(Placeholder)),
            ("Hi {name}", Some(Placeholder)),
            ("Hi {{ name }}", Some(Placeholder)),
            ("Hi <%= name %>", Some(Placeholder)),
            ("{% if open %}Open{% endif %}", Some(Placeholder)),
            ("Hi ${user.name}", Some(Placeholder)),
            ("Hi %s, welcome", Some(Placeholder)),
            ("%(name)s", Some(Placeholder)),
            ("%CITY%", Some(Placeholder)),
            ("__NAME__", Some(Placeholder)),
            ("since ____", Some(Placeholder)),
            ("[XX]", Some(Placeholder)),
            ("a **bold** word", Some(Markdown)),
            ("an *important* word", Some(Markdown)),
            ("a __bold__ word", Some(Markdown)),
            ("# Welcome", Some(Markdown)),
            ("## 3 reasons", Some(Markdown)),
            ("```", Some(Markdown)),
            ("`code`", Some(Markdown)),
            ("[us](https://example.com)", Some(Markdown)),
            ("[us](about.html)", Some(Markdown)),
            ("- bread\n- cake", Some(Markdown)),
            ("| a | b |\n|---|---|", Some(Markdown)),
            ("R&amp;B", Some(LeftOver)),
            ("a<br>b", Some(LeftOver)),
            ("a &#233; b", Some(LeftOver)),
            ("one\\nTwo", Some(LeftOver)),
            ("caf\\u00e9", Some(LeftOver)),
            ("cafÃ©", Some(LeftOver)),
            ("itâ€™s", Some(LeftOver)),
            ("Fresh bread.<0x0A>And cake.", Some(LeftOver)),
            ("Fresh <unused6226>bread", Some(LeftOver)),
            ("Fresh bread<pad><pad>", Some(LeftOver)),
            ("Baked here since 1920[1].", Some(LeftOver)),
            ("Fresh bread.[1][2]", Some(LeftOver)),
            ("Fresh bread【4:0†source】", Some(LeftOver)),
            ("Bread \u{e200}cite\u{e202}turn0search1\u{e201}", Some(LeftOver)),
            ("Hello «First_Name»", Some(Placeholder)),
            ("Hello %%firstname%%", Some(Placeholder)),
            ("Hello {!Contact.Name}", Some(Placeholder)),
            ("Hello *|FNAME|*, welcome.", Some(Placeholder)),
            ("Espresso*|Cappuccino*|Tee", None),
            ("Mo–Fr 9–18 |* by appointment", None),
            ("Bread *|as long as it lasts|*", None),
            ("Hello {$name}", Some(Placeholder)),
            ("Elle dit « bonjour » et «merci»", None),
            ("Save 10%% of it, 20%% in May", None),
            ("See note [1] below", None),
            ("{}", None),
            ("Size <0x100>", None),
            ("We <unusually> bake", None),
            ("\"we was [sic] closed\"", None),
            ("[…] and more", None),
            ("from 25€* per person *drinks extra", None),
            ("Kund*innen und Partner*innen", None),
            ("C# courses, #breadlover", None),
            ("# 1 bakery in town", None),
            ("I <3 bread, 2 < 3 > 1", None),
            ("Hotel **** superior", None),
            ("AT&T; R&B", None),
            ("100 % sure, 20%sicher", None),
            ("- Maria, guest", None),
            ("Mon | Tue | Wed", None),
        ];
        for (text, expected) in table {
            let found = find(text).first().map(|mark| mark.rule);
            assert_eq!(found, expected, "{text}");
        }
    }
}
