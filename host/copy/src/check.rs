//! All rules over one text, with its findings.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::address;
use crate::facts::{Facts, is_between_words};
use crate::known;
use crate::language;
use crate::marks;
use crate::phrase::{Phrases, Place};
use crate::prose;
use crate::remark;
use crate::rule::{CopyRule, EXCERPT, Finding, TextKind};
use crate::stated;
use crate::text::{View, cut, fold};
use crate::words;

/// Maximum number of findings of one text.
pub const MAX_FINDINGS: usize = 20;
/// Maximum bytes of a text that are checked; the rest is not read.
pub const MAX_TEXT_BYTES: usize = 1 << 20;
/// Maximum number of look-ups in the text of the order for one text. Suspects beyond it are
/// reported without one.
const MAX_LOOKUPS: usize = 200;

/// Bytes of an order that the check of one reply may search: these, and so many times the order.
const SEARCHED: usize = 32 << 20;
const SEARCHES: usize = 200;

/// Bytes of orders that checks may still search. Clones have it together.
///
/// Whether the order says a text takes time in proportion to the order, and a page or reply can
/// have tens of thousands of texts. Without room the order does not say them.
#[derive(Debug, Clone)]
pub struct SearchRoom(Arc<AtomicUsize>);

impl SearchRoom {
    /// Room for so many bytes.
    pub fn new(bytes: usize) -> Self {
        SearchRoom(Arc::new(AtomicUsize::new(bytes)))
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether there was room for so many bytes.
    fn take(&self, bytes: usize) -> bool {
        let taken = |left: usize| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }
}

/// Words and phrases that no text may have, ready to be looked for: making them takes longer than
/// looking for them in a text. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ForbiddenWords(Arc<Phrases<()>>);

impl ForbiddenWords {
    /// These words, in any case and with or without accents. Blank ones are left out.
    pub fn new<'w>(words: impl IntoIterator<Item = &'w str>) -> Self {
        let words = words.into_iter().map(|word| (word, Place::Anywhere, ()));
        ForbiddenWords(Arc::new(Phrases::new(words)))
    }
}

/// Judges texts for the visitors of one site.
#[derive(Debug)]
pub struct CopyCheck<'a> {
    facts: &'a Facts,
    language: Option<&'a str>,
    year: u16,
    forbidden: Option<ForbiddenWords>,
    room: SearchRoom,
}

impl<'a> CopyCheck<'a> {
    /// A check with the facts of an order, with room for one reply. `year` is the current one.
    pub fn new(facts: &'a Facts, year: u16) -> Self {
        let room = SearchRoom::new(SEARCHED + SEARCHES * facts.searched_bytes());
        CopyCheck { facts, language: None, year, forbidden: None, room }
    }

    /// What it may search of the order, if checks of several texts share that.
    #[must_use]
    pub fn searching(self, room: SearchRoom) -> Self {
        CopyCheck { room, ..self }
    }

    /// Whether the order has this folded text word for word.
    fn says(&self, folded: &str) -> bool {
        self.room.take(self.facts.searched_bytes()) && self.facts.says(folded)
    }

    /// Whether a whole value of the order is this folded text.
    fn has_value(&self, folded: &str) -> bool {
        // One of several lines is searched for; others are looked up.
        let is_searched = folded.trim().contains('\n');
        (!is_searched || self.room.take(self.facts.searched_bytes()))
            && self.facts.has_value(folded)
    }

    /// The language that the site must have, as a tag such as `pt` or `pt-BR`. Without it, any
    /// language is right.
    #[must_use]
    pub fn language(self, tag: Option<&'a str>) -> Self {
        let primary = tag.map(|tag| tag.split(['-', '_']).next().unwrap_or(tag));
        CopyCheck { language: primary, ..self }
    }

    /// Words and phrases that no text may have, in any case and with or without accents.
    #[must_use]
    pub fn forbid<'w>(self, words: impl IntoIterator<Item = &'w str>) -> Self {
        self.forbid_all(ForbiddenWords::new(words))
    }

    /// As [`forbid`](Self::forbid), with words that several checks share.
    #[must_use]
    pub fn forbid_all(self, words: ForbiddenWords) -> Self {
        CopyCheck { forbidden: Some(words), ..self }
    }

    /// The findings of one text, at most [`MAX_FINDINGS`]. What the order has word for word is no
    /// finding. Takes time in proportion to the text, and to what may be searched of the order.
    pub fn check(&self, text: &str, kind: TextKind) -> Vec<Finding> {
        let text = &text[..text.floor_char_boundary(MAX_TEXT_BYTES)];
        let view = View::of(text);
        let mut sink = Sink { check: self, view: &view, found: Vec::new(), known: HashMap::new() };
        let forbidden = self.forbidden.iter();
        for ((), range) in forbidden.flat_map(|words| words.0.find(&view.folded)) {
            if sink.is_full() {
                break;
            }
            sink.push(CopyRule::ForbiddenWord, view.origin(range));
        }
        if view.folded.trim().is_empty() || self.has_value(&view.folded) {
            return sink.found;
        }
        let is_long = view.words.len() >= 4;
        if is_long && self.says(&view.folded) {
            return sink.found;
        }
        self.stated(&mut sink);
        self.known(&mut sink, kind);
        for (rule, range) in remark::find(&view) {
            if sink.is_full() {
                break;
            }
            sink.add(rule, view.origin(range));
        }
        for mark in marks::find(text) {
            if sink.is_full() {
                break;
            }
            sink.add(mark.rule, mark.range);
        }
        for (rule, range) in words::find(&view, self.language) {
            if sink.is_full() {
                break;
            }
            sink.add_with(rule, view.origin(range.clone()), &words::around(&view, range));
        }
        self.shape(&mut sink, kind);
        sink.found
    }

    fn stated(&self, sink: &mut Sink<'_>) {
        let says = |text: &str| self.says(text);
        for stated in stated::find(sink.view, self.facts, &says, self.year) {
            if sink.is_full() {
                break;
            }
            sink.add(stated.rule, sink.view.origin(stated.range));
        }
    }

    fn known(&self, sink: &mut Sink<'_>, kind: TextKind) {
        let view = sink.view;
        for (rule, range) in known::find(&view.folded) {
            if sink.is_full() {
                break;
            }
            let is_all = range.len() + 4 >= view.folded.trim().len();
            // A label of a form or button may be "Name" or "OK".
            let is_plain = matches!(rule, CopyRule::Placeholder | CopyRule::Refusal);
            let is_word = !view.folded[range.clone()].contains(' ') && range.len() < 12;
            if kind == TextKind::Label && is_plain && known::is_label(&view.folded) {
                continue;
            }
            if is_all
                && is_plain
                && is_word
                && kind == TextKind::Label
                && !known::is_blank(&view.folded)
            {
                continue;
            }
            sink.add(rule, view.origin(range));
        }
    }

    /// The rules about the text as a whole.
    fn shape(&self, sink: &mut Sink<'_>, kind: TextKind) {
        let view = sink.view;
        let mut whole = |rule, range: Range<usize>, why: &str| {
            if !sink.is_full() {
                let range = view.origin(range);
                sink.found.push(finding(rule, excerpt(view.original, range), Some(why)));
            }
        };
        let all = 0..view.folded.len();
        if let Some((range, why)) = prose::repetition(view) {
            whole(CopyRule::Repetition, range, &why);
        }
        match kind {
            TextKind::Heading => {
                if let Some(why) = prose::heading(view) {
                    whole(CopyRule::Heading, all.clone(), &why);
                }
            }
            TextKind::Label => {
                if let Some((range, why)) = prose::cut_words(view) {
                    whole(CopyRule::CutSentence, range, &why);
                }
            }
            TextKind::Text => {
                let cut = prose::cut_sentence(view).or_else(|| prose::cut_words(view));
                if let Some((range, why)) = cut {
                    whole(CopyRule::CutSentence, range, &why);
                }
            }
        }
        let other = self.language.and_then(|wanted| {
            let other = language::other(view, wanted)?;
            (!is_of_order(view, self.facts, wanted)).then_some(other)
        });
        if let Some((found, wanted)) = other {
            let why = format!("is in {found}, and the site is in {wanted}; write it in {wanted}");
            whole(CopyRule::Language, all, &why);
        }
    }
}

/// Whether a text seems to be in another language only because of the order's names, quotes and
/// addresses in it: without them it does not, and they are a good part of it.
fn is_of_order(view: &View<'_>, facts: &Facts, wanted: &str) -> bool {
    /// Bytes that are looked at: more than the language is judged by.
    const MAX_BYTES: usize = 8_000;
    let folded = &view.folded[..view.folded.floor_char_boundary(MAX_BYTES)];
    let mut addresses = address::find(folded).map(|address| address.range).peekable();
    let mut rest = String::new();
    let (mut kept, mut at) = (0, 0);
    while let Some(c) = folded[at..].chars().next() {
        while addresses.next_if(|range| range.end <= at).is_some() {}
        let address =
            addresses.peek().filter(|range| range.start <= at).map(|range| range.end - at);
        let is_start = c.is_alphanumeric() && is_between_words(folded, at);
        let value = || facts.value_at_start(&folded[at..]);
        match address.or_else(|| is_start.then(value).flatten()) {
            Some(length) => {
                rest.push_str(view.original_of(kept..at));
                rest.push(' ');
                at += length;
                kept = at;
            }
            None => at += c.len_utf8(),
        }
    }
    rest.push_str(view.original_of(kept..at));
    let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).count();
    let (all, left) = (letters(view.original_of(0..at)), letters(&rest));
    all.saturating_sub(left) * 3 >= all && language::other(&View::of(&rest), wanted).is_none()
}

/// Collects findings up to the limit.
struct Sink<'a> {
    check: &'a CopyCheck<'a>,
    view: &'a View<'a>,
    found: Vec<Finding>,
    /// Whether the order has a text.
    known: HashMap<String, bool>,
}

impl Sink<'_> {
    fn is_full(&self) -> bool {
        self.found.len() >= MAX_FINDINGS
    }

    /// A finding in a range of the original, unless the order has the same text.
    fn add(&mut self, rule: CopyRule, range: Range<usize>) {
        let text = fold(self.view.original.get(range.clone()).unwrap_or_default());
        self.add_with(rule, range, &text);
    }

    /// A finding in a range of the original, unless the order has the folded text `literal`.
    fn add_with(&mut self, rule: CopyRule, range: Range<usize>, literal: &str) {
        let is_known = match self.known.get(literal) {
            Some(is_known) => *is_known,
            None if self.known.len() >= MAX_LOOKUPS => false,
            None => {
                let facts = self.check.facts;
                let is_known = self.check.says(literal) || facts.has_joined_values(literal);
                self.known.insert(literal.to_owned(), is_known);
                is_known
            }
        };
        if !is_known {
            self.push(rule, range);
        }
    }

    fn push(&mut self, rule: CopyRule, range: Range<usize>) {
        let finding = finding(rule, excerpt(self.view.original, range), None);
        if !self.is_full() && !self.found.contains(&finding) {
            self.found.push(finding);
        }
    }
}

/// The text of a range, with what is around it if it is short.
fn excerpt(text: &str, range: Range<usize>) -> String {
    const SHORT: usize = 16;
    const AROUND: usize = 30;
    let part = text.get(range.clone()).unwrap_or_default();
    if part.trim().chars().count() >= SHORT {
        return cut(part, EXCERPT);
    }
    let start = text.floor_char_boundary(range.start.saturating_sub(AROUND));
    let end = text.floor_char_boundary((range.end + AROUND).min(text.len()));
    let mut around = cut(text.get(start..end).unwrap_or_default(), EXCERPT);
    if end < text.len() && !around.ends_with('…') {
        around.push('…');
    }
    if start > 0 {
        around.insert(0, '…');
    }
    cut(&around, EXCERPT)
}

fn finding(rule: CopyRule, excerpt: String, why: Option<&str>) -> Finding {
    let message = match (rule, why) {
        (CopyRule::Language, Some(why)) => format!("the text {why}"),
        (CopyRule::Repetition, Some(why)) => format!("the text {why}; write each thing once"),
        (CopyRule::Heading, Some(why)) => {
            format!("the heading {why}; write a heading that says what follows")
        }
        (CopyRule::CutSentence, Some(why)) => {
            format!("the text {why}; finish the sentence or leave it out")
        }
        (rule, _) => {
            let what = match rule {
                CopyRule::Refusal => {
                    "speaks for a model and not for the business; write only what visitors read"
                }
                CopyRule::Placeholder => {
                    "is a placeholder; write what the order says, or leave the sentence out"
                }
                CopyRule::LeftOver => {
                    "shows a value or mark of a program; write plain text, or leave it out"
                }
                CopyRule::Markdown => {
                    "has Markdown marks, which would be shown as they are; write plain text"
                }
                CopyRule::PromptFragment => {
                    "is part of a prompt or a label for writers; write only what visitors read"
                }
                CopyRule::UnknownPhone => {
                    "has a phone number that is not in the order; use the order's or none"
                }
                CopyRule::UnknownEmail => {
                    "has an e-mail address that is not in the order; use the order's or none"
                }
                CopyRule::UnknownPrice => {
                    "has an amount of money that is not in the order; use the order's or none"
                }
                CopyRule::UnknownYear => {
                    "has a year that is not in the order; use the order's or none"
                }
                CopyRule::UnknownAward => {
                    "claims an award, certificate or rating that is not in the order; leave it out"
                }
                CopyRule::UnknownFigure => {
                    "boasts with a figure that is not in the order; use the order's or none"
                }
                CopyRule::UnknownAddress => {
                    "has a web address that is not in the order; use the order's or none"
                }
                CopyRule::ForbiddenWord => {
                    "has a word that the operator or the template forbids; say it in other words"
                }
                _ => "breaks the rule; write it again",
            };
            format!("\"{excerpt}\" {what}")
        }
    };
    Finding { rule, excerpt, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The language of a site, a text of it, and whether the text is in another language.
    #[test]
    fn what_is_of_the_order_says_nothing_about_the_language() {
        let order = r#"{
            "business_name": "The Old Bristol Bakery and Family Butchers of Clifton",
            "legal_name": "株式会社東京都市開発総合建設工業技術事務所",
            "business_address": "東京都千代田区神田錦町一丁目九番一号",
            "business_email": "orders@the-old-bristol-bakery-and-sons-of-clifton.example",
            "testimonials": [{"text": "The best bread in the city, and the queue is worth it."}]
        }"#;
        let facts = Facts::of_order(order).unwrap();
        for (wanted, text, expected) in [
            ("ar", "للتواصل: orders@the-old-bristol-bakery-and-sons-of-clifton.example", false),
            ("ar", "https://the-old-bristol-bakery-and-sons-of-clifton.example/contact/us", false),
            ("ar", "مرحبا بكم في The Old Bristol Bakery and Family Butchers of Clifton", false),
            ("ar", "“The best bread in the city, and the queue is worth it.” – Ana", false),
            (
                "ar",
                "The Old Bristol Bakery and Family Butchers of Clifton bakes bread for all of \
                 you, every day and every night.",
                true,
            ),
            ("ar", "We bake bread for all of you, every day and every night of the year.", true),
            ("ja", "© 2026 株式会社東京都市開発総合建設工業技術事務所", false),
            (
                "ja",
                "株式会社東京都市開発総合建設工業技術事務所、東京都千代田区神田錦町一丁目九番一号",
                false,
            ),
            ("ja", "我们在城市中心经营一家面包店，每天清晨新鲜出炉，欢迎光临我们的店铺。", true),
        ] {
            let check = CopyCheck::new(&facts, 2026).language(Some(wanted));
            let found = check.check(text, TextKind::Text);
            let found = found.iter().any(|finding| finding.rule == CopyRule::Language);
            assert_eq!(found, expected, "{wanted}: {text}");
        }
    }
}
