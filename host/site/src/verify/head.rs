//! The rules of a page's head: language, encoding, title, description, viewport, and what search
//! engines and previews take.

use ego_tree::iter::Edge;
use scraper::ElementRef;
use sitewright_order::Locale;

use super::html::{PageCheck, own_text};
use super::problem::{Rule, shown};
use crate::excerpt::excerpt;
use sitewright_model::message;

/// Maximum number of languages that a message lists.
const LISTED: usize = 10;

/// Characters of a title that search engines show: at least and at most.
const TITLE: (usize, usize) = (10, 70);
/// Characters of a description that search engines show: at least and at most.
const DESCRIPTION: (usize, usize) = (40, 170);
/// Bytes at the beginning of a page in which browsers look for its encoding (HTML standard,
/// 4.2.5.4).
const CHARSET_BYTES: usize = 1024;
/// Languages that are written from right to left.
const RIGHT_TO_LEFT: [&str; 11] =
    ["ar", "he", "iw", "fa", "ur", "yi", "ji", "ps", "sd", "ug", "dv"];

/// Elements with paragraphs of their own. In a line of text, such as a link to a page in another
/// language, browsers set words in the right direction by themselves.
const PARAGRAPHS: [&str; 9] =
    ["article", "aside", "blockquote", "div", "figure", "main", "p", "section", "table"];

/// Whether a text is a language tag by its form (RFC 5646): subtags of letters and digits, the
/// first of letters.
fn is_language_tag(tag: &str) -> bool {
    let mut subtags = tag.split('-');
    let is_first = |first: &str| match first.len() {
        // `x-pirate`, `i-klingon`
        1 => first.eq_ignore_ascii_case("x") || first.eq_ignore_ascii_case("i"),
        length => length <= 8 && first.bytes().all(|byte| byte.is_ascii_alphabetic()),
    };
    let is_subtag = |subtag: &str| {
        (1..=8).contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    subtags.next().is_some_and(|first| !first.is_empty() && is_first(first))
        && subtags.all(is_subtag)
}

/// Whether text in this language runs from right to left. `tag` is the language as written.
fn runs_right_to_left(tag: &str, locale: &Locale) -> bool {
    RIGHT_TO_LEFT.contains(&locale.language()) && !tag.to_ascii_lowercase().contains("-latn")
}

/// What the head of a page says.
#[derive(Debug, Default)]
struct Head {
    /// Blanks collapsed, as `description`.
    title: Option<String>,
    description: Option<String>,
    viewport: bool,
    icon: bool,
    app_icon: bool,
    preview: bool,
    canonical: bool,
    /// The first encoding that it declares, and the line.
    charset: Option<(String, Option<u64>)>,
    /// The line that hides the page from search engines.
    hidden: Option<Option<u64>>,
}

/// A text with blanks collapsed; `None` if it is empty. At most 1,000 characters of it.
fn filled(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().take(500).collect();
    let text = excerpt(&words.join(" "), 1000);
    (!text.is_empty()).then_some(text)
}

/// The encoding in a `content` such as `text/html; charset=utf-8`.
fn charset_of(content: &str) -> Option<&str> {
    let at = content.to_ascii_lowercase().find("charset=")? + "charset=".len();
    let rest = content.get(at..)?.trim_start_matches(['"', '\'', ' ']);
    Some(rest.split(['"', '\'', ' ', ';']).next().unwrap_or(rest))
}

/// Whether the declaration of the encoding ends within the bytes in which browsers look for it.
fn declares_early(text: &str) -> bool {
    let start = &text.as_bytes()[..text.len().min(CHARSET_BYTES)];
    start.windows("charset".len()).any(|bytes| bytes.eq_ignore_ascii_case(b"charset"))
}

impl PageCheck<'_> {
    pub(super) fn head(&mut self, text: &str, languages: &[Locale]) {
        let root = self.page.html.root_element();
        let tag = root.attr("lang").map(str::trim).unwrap_or_default();
        self.language(tag, languages);
        self.direction(tag, &root);
        let mut head = Head::default();
        // Number of open `<head>` elements. An SVG drawing in the body may have a title of its own.
        let mut heads = 0_usize;
        for edge in root.traverse() {
            let (node, opens) = match edge {
                Edge::Open(node) => (node, true),
                Edge::Close(node) => (node, false),
            };
            let Some(element) = ElementRef::wrap(node) else { continue };
            let name = element.value().name();
            match (name, opens) {
                ("head", true) => heads += 1,
                ("head", false) => heads -= 1,
                ("title", true) if heads > 0 => {
                    head.title = head.title.take().or_else(|| filled(&own_text(&element)));
                }
                ("meta", true) => self.meta_element(&element, &mut head),
                ("link", true) => self.link_element(&element, &mut head),
                _ => {}
            }
        }
        self.missing(&head);
        self.charset(text, &head);
        self.lengths(&head);
        if self.is_entry() {
            self.entry(&head);
        }
        self.facts.title = head.title;
        self.facts.description = head.description;
    }

    fn meta_element(&mut self, element: &ElementRef<'_>, head: &mut Head) {
        let line = self.line(element);
        let content = element.attr("content").unwrap_or_default();
        let is = |attribute, name: &str| {
            element.attr(attribute).is_some_and(|found| found.trim().eq_ignore_ascii_case(name))
        };
        if is("name", "description") {
            head.description = head.description.take().or_else(|| filled(content));
        }
        head.viewport |= is("name", "viewport") && filled(content).is_some();
        head.preview |= is("property", "og:image") || is("name", "og:image");
        if is("name", "robots") || is("name", "googlebot") {
            // What has a value is another rule: `max-image-preview: none`.
            let rules = content.split(',').filter(|rule| !rule.contains(':'));
            let hides = rules
                .flat_map(str::split_whitespace)
                .any(|word| matches!(word.to_ascii_lowercase().as_str(), "noindex" | "none"));
            head.hidden = head.hidden.or(hides.then_some(line));
        }
        let declared = match element.attr("charset") {
            Some(charset) => Some(charset),
            None if is("http-equiv", "content-type") => charset_of(content),
            None => None,
        };
        if let Some(charset) = declared
            && head.charset.is_none()
        {
            head.charset = Some((charset.trim().to_owned(), line));
        }
        if is("http-equiv", "refresh") && content.contains('=') {
            let message = message!(
                "the page leads visitors elsewhere by itself (`{}`); link to the other page, or \
                 let the web server redirect",
                shown(content)
            );
            self.add(Rule::MetaRefresh, line, Some(content), message);
        }
    }

    fn link_element(&mut self, element: &ElementRef<'_>, head: &mut Head) {
        let relations = element.attr("rel").unwrap_or_default().to_ascii_lowercase();
        for relation in relations.split_ascii_whitespace() {
            match relation {
                "icon" => head.icon = true,
                "apple-touch-icon" | "apple-touch-icon-precomposed" | "manifest" => {
                    head.app_icon = true;
                }
                "canonical" => self.canonical(element, head),
                _ => {}
            }
        }
    }

    fn canonical(&mut self, element: &ElementRef<'_>, head: &mut Head) {
        let address = element.attr("href").unwrap_or_default().trim();
        let message = if std::mem::replace(&mut head.canonical, true) {
            message!("the page has more than one canonical address; write one")
        } else if !address.starts_with("https://") {
            message!(
                "the canonical address `{}` is not a whole address with `https://`; search \
                 engines may ignore it",
                shown(address)
            )
        } else {
            return;
        };
        self.add(Rule::Canonical, self.line(element), Some(address), message);
    }

    fn missing(&mut self, head: &Head) {
        if head.title.is_none() {
            let message =
                message!("the page has no title; put a `<title>` with text into its head");
            self.add(Rule::Title, None, None, message);
        }
        if head.description.is_none() {
            let message = message!(
                "the page has no description; put `<meta name=\"description\" content=\"…\">` \
                 into its head"
            );
            self.add(Rule::Description, None, None, message);
        }
        if !head.viewport {
            let message = message!(
                "the page sets no viewport, so phones show it tiny; put `<meta name=\"viewport\" \
                 content=\"width=device-width, initial-scale=1\">` into its head"
            );
            self.add(Rule::Viewport, None, None, message);
        }
    }

    /// Browsers guess the encoding of a page that declares none in its first 1,024 bytes.
    fn charset(&mut self, text: &str, head: &Head) {
        // A byte order mark comes before everything that is declared.
        if text.starts_with('\u{feff}') {
            return;
        }
        let right = "put `<meta charset=\"utf-8\">` first into its head";
        match &head.charset {
            Some((charset, line)) => {
                if !matches!(charset.to_ascii_lowercase().as_str(), "utf-8" | "utf8") {
                    let message = message!(
                        "the page declares the encoding `{}` but is written in UTF-8, so visitors \
                         see wrong characters; {right}",
                        shown(charset)
                    );
                    self.add(Rule::Charset, *line, Some(charset), message);
                } else if !text.is_ascii() && !declares_early(text) {
                    let message = message!(
                        "the page declares its encoding after its first 1,024 bytes, where \
                         browsers do not look for it; {right}"
                    );
                    self.add(Rule::Charset, *line, None, message);
                }
            }
            None if !text.is_ascii() => {
                let message = message!(
                    "the page does not declare its encoding, so browsers guess it and may show \
                     wrong characters; {right}"
                );
                self.add(Rule::Charset, None, None, message);
            }
            None => {}
        }
    }

    fn lengths(&mut self, head: &Head) {
        let rows = [
            (Rule::TitleLength, "title", &head.title, TITLE),
            (Rule::DescriptionLength, "description", &head.description, DESCRIPTION),
        ];
        for (rule, what, text, (least, most)) in rows {
            let Some(text) = text else { continue };
            let characters = text.chars().count();
            // A Chinese or Japanese character says as much as several others.
            let says = characters + text.chars().filter(|c| *c >= '\u{2e80}').count();
            if says < least || characters > most {
                let message = message!(
                    "the {what} has {characters} characters; search engines show {least} to {most}"
                );
                self.add(rule, None, Some(text), message);
            }
        }
    }

    /// The rules of the entry page alone.
    fn entry(&mut self, head: &Head) {
        if let Some(line) = head.hidden {
            let message = message!(
                "the entry page asks search engines not to list it (`noindex`), so nobody finds \
                 the site; leave that out"
            );
            self.add(Rule::NoIndex, line, None, message);
        }
        if !head.icon {
            let message = message!(
                "the entry page has no icon for tabs and bookmarks; put `<link rel=\"icon\" …>` \
                 into its head"
            );
            self.add(Rule::Icon, None, None, message);
        }
        if !head.app_icon {
            let message = message!(
                "the entry page has no icon for the home screens of phones, which show a picture \
                 of the page instead; put `<link rel=\"apple-touch-icon\" href=\"…\">` (180 by \
                 180 pixels) or a web app manifest into its head"
            );
            self.add(Rule::AppIcon, None, None, message);
        }
        if !head.preview {
            // Without the site's address, a template can name no picture of its own: networks take
            // whole addresses only.
            let message = if head.canonical {
                message!(
                    "the entry page has no image for previews in chats and social networks; put \
                     `<meta property=\"og:image\" …>` into its head"
                )
            } else {
                message!(
                    "the entry page has no image for previews in chats and social networks, which \
                     needs the address of the site; add `site_url` or a photo to the order and \
                     generate again, or put `<meta property=\"og:image\" …>` into the template's \
                     head"
                )
            };
            self.add(Rule::PreviewImage, None, None, message);
        }
    }

    /// Text of these languages runs from right to left, and browsers do not see that by `lang`.
    fn direction(&mut self, tag: &str, root: &ElementRef<'_>) {
        let Ok(locale) = tag.parse::<Locale>() else { return };
        let right_to_left = runs_right_to_left(tag, &locale);
        let dir = root.attr("dir").map(|dir| dir.trim().to_ascii_lowercase());
        let wrong = match dir.as_deref() {
            Some("rtl") => !right_to_left,
            Some("auto") => false,
            _ => right_to_left,
        };
        if wrong {
            let right = if right_to_left { "rtl" } else { "ltr" };
            let message = message!(
                "the page's language is `{}`, but its text does not run that way; write `<html \
                 dir=\"{right}\">`",
                shown(tag)
            );
            self.add(Rule::Direction, Some(1), None, message);
        }
    }

    /// The language of a part of the page: a quotation, a menu in two languages.
    pub(super) fn part_language(&mut self, element: &ElementRef<'_>, line: Option<u64>) {
        let tag = element.attr("lang").map(str::trim).unwrap_or_default();
        // An empty one says that the language is unknown.
        if tag.is_empty() {
            return;
        }
        let name = element.value().name();
        if !is_language_tag(tag) {
            let message = message!(
                "the `<{name}>` says that its language is `{}`, which is not a language tag; \
                 write it like `pt-BR` or `en`",
                shown(tag)
            );
            self.add(Rule::Language, line, Some(tag), message);
            return;
        }
        let Ok(locale) = tag.parse::<Locale>() else { return };
        if !PARAGRAPHS.contains(&name) || element.attr("dir").is_some() {
            return;
        }
        let mut around = None;
        for outer in element.ancestors().filter_map(ElementRef::wrap) {
            self.spend(1);
            around = outer.attr("dir").map(|dir| dir.trim().to_ascii_lowercase());
            if around.is_some() {
                break;
            }
        }
        let right_to_left = runs_right_to_left(tag, &locale);
        let is_right = match around.as_deref() {
            Some("rtl") => right_to_left,
            Some("auto") => true,
            _ => !right_to_left,
        };
        if !is_right {
            let right = if right_to_left { "rtl" } else { "ltr" };
            let message = message!(
                "the `<{name}>` is in `{}`, but its text does not run that way; write `<{name} \
                 lang=\"{}\" dir=\"{right}\">`",
                shown(tag),
                shown(tag)
            );
            self.add(Rule::Direction, line, None, message);
        }
    }

    fn language(&mut self, tag: &str, languages: &[Locale]) {
        let locale = Some(tag)
            .filter(|tag| tag.len() <= 64 && !tag.contains('_'))
            .and_then(|tag| tag.parse::<Locale>().ok());
        let message = match locale {
            _ if tag.is_empty() => {
                message!("the page does not say its language; write `<html lang=\"…\">`")
            }
            None => message!(
                "the page's language `{}` is not a language tag; write it like `pt-BR` or `en`",
                shown(tag)
            ),
            Some(locale)
                if languages.is_empty()
                    || languages.iter().any(|l| l.language() == locale.language()) =>
            {
                return;
            }
            Some(locale) => message!(
                "the page's language is `{locale}`, but the order's is `{}`; write the page in \
                 it, or correct `<html lang>`",
                list(languages)
            ),
        };
        self.add(Rule::Language, Some(1), Some(tag), message);
    }
}

fn list(languages: &[Locale]) -> String {
    let mut list: Vec<&str> = languages.iter().take(LISTED).map(Locale::as_str).collect();
    if languages.len() > LISTED {
        list.push("…");
    }
    list.join("`, `")
}
