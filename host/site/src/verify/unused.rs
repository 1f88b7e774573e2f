//! Which fields of the order no page shows and no link leads to.
//!
//! Texts are compared word by word, without case, punctuation and white space. Phone numbers are
//! compared by their last digits, which are the same with a country code and without; addresses of
//! the web without scheme, `www.` and `/` at the end, and with a query or without. Each word of a
//! page is looked at once, however many fields are looked for.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use percent_encoding::percent_decode_str;
use serde_json::Value;
use url::Url;

use super::automaton::{Automaton, Place};
use super::problem::{Problems, Rule};
use super::published::{PublishedField, PublishedValue};
use super::reference::Facts;
use crate::path::SitePath;
use sitewright_model::message;

/// Maximum number of fields that a warning names. The rest is counted.
const MAX_NAMED: usize = 20;
/// Words of most fields.
const FIELD_WORDS: usize = 4;
/// Maximum bytes of a word. The rest of a longer one is not compared.
const MAX_WORD: usize = 64;
/// The last digits of a phone number by which it is known. Shorter national numbers are compared as
/// a whole, without the zeros in front: Iceland, Luxembourg, and small towns.
const PHONE_DIGITS: usize = 8;
/// Minimum digits of a phone number in a text.
const MIN_PHONE: usize = 6;
/// Elements that may be around a part of a word. All others end it: style sheets set them apart, as
/// in `<bdi>Ana</bdi><bdi>Owner</bdi>`.
const IN_WORDS: [&str; 13] =
    ["b", "del", "em", "font", "i", "ins", "mark", "s", "strong", "sub", "sup", "u", "wbr"];
/// Further elements that may be around a part of a name: `Spot<span>ify</span>`.
const IN_NAMES: [&str; 7] = ["a", "abbr", "bdi", "bdo", "small", "span", "tspan"];
/// Maximum nesting of structured data that is read.
const MAX_DEPTH: usize = 32;

/// How a field may be seen.
#[derive(Debug)]
enum Wanted {
    /// All of these texts are shown.
    Texts(Vec<Place>),
    /// A link leads to this e-mail address, or it is shown in one of its spellings.
    Email(String, Vec<Place>),
    /// A link leads to this number, or it is shown. All of its digits.
    Phone(String),
    /// A link leads to this address, or it is shown.
    Link(String, Place),
    /// As a link, or search engines are told of it.
    Picture(String, Place),
}

/// The search for the fields of an order in the pages of its site.
#[derive(Debug)]
pub(super) struct Search {
    fields: Vec<PublishedField>,
    wanted: Vec<Wanted>,
    automaton: Automaton,
    /// The words that the fields have, with their symbols.
    words: HashMap<String, u32>,
    /// The places of the automaton that were reached.
    seen: Vec<bool>,
    /// The numbers that pages show, of those with one of `endings`.
    numbers: Numbers,
    /// The last [`MIN_PHONE`] digits of the phone numbers that are looked for.
    endings: HashSet<String>,
    /// Addresses in structured data.
    data: HashSet<String>,
    at: Place,
    word: Word,
    /// Whether [`IN_NAMES`] end no word.
    joins: bool,
    /// At most [`PHONE_DIGITS`] digits since the last letter.
    digits: String,
}

/// The word that is being read.
#[derive(Debug, Default)]
struct Word {
    text: String,
    kind: Option<WordKind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WordKind {
    Letters,
    Digits,
}

/// What a character is for words.
enum Character {
    Of(WordKind),
    /// A word of its own: scripts without spaces between words.
    Word,
    /// Ends a word.
    Between,
    /// Nothing: soft hyphens, joiners and direction marks.
    Invisible,
}

impl Character {
    fn of(c: char) -> Self {
        match c {
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' => {
                Character::Invisible
            }
            '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{61c}' => Character::Invisible,
            // An apostrophe, though Unicode has it among the letters.
            '\u{2bc}' => Character::Between,
            c if c.is_numeric() => Character::Of(WordKind::Digits),
            // Thai, Lao, Myanmar, Khmer, Chinese, Japanese.
            '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' => {
                Character::Word
            }
            '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}' => {
                Character::Word
            }
            c if c.is_alphabetic() => Character::Of(WordKind::Letters),
            _ => Character::Between,
        }
    }
}

impl Word {
    /// Reads a text. Calls `word` with each word that has ended.
    fn read(&mut self, text: &str, word: &mut impl FnMut(&str, WordKind)) {
        for c in text.chars().map(ascii_digit) {
            match Character::of(c) {
                Character::Invisible => {}
                Character::Between => self.end(word),
                Character::Word => {
                    self.end(word);
                    word(c.encode_utf8(&mut [0; 4]), WordKind::Letters);
                }
                Character::Of(kind) => {
                    if self.kind.is_some_and(|before| before != kind) {
                        self.end(word);
                    }
                    self.kind = Some(kind);
                    if self.text.len() < MAX_WORD {
                        self.push(c);
                    }
                }
            }
        }
    }

    /// Adds a letter or digit without its case. Capitals of some letters have another small one.
    fn push(&mut self, c: char) {
        match c {
            'ß' | 'ẞ' => self.text.push_str("ss"),
            'ς' => self.text.push('σ'),
            'İ' | 'ı' => self.text.push('i'),
            c => self.text.extend(c.to_lowercase()),
        }
    }

    fn end(&mut self, word: &mut impl FnMut(&str, WordKind)) {
        if let Some(kind) = self.kind.take() {
            word(&self.text, kind);
        }
        self.text.clear();
    }
}

/// A digit of any script as its ASCII digit: templates write numbers in the script of the language.
fn ascii_digit(c: char) -> char {
    const ZEROS: [u32; 11] =
        [0x660, 0x6f0, 0x966, 0x9e6, 0xa66, 0xae6, 0xe50, 0xed0, 0x1040, 0x17e0, 0xff10];
    if c.is_ascii() {
        return c;
    }
    let code = u32::from(c);
    let digit = ZEROS.iter().find_map(|zero| code.checked_sub(*zero).filter(|digit| *digit < 10));
    digit.and_then(|digit| char::from_digit(digit, 10)).unwrap_or(c)
}

/// An e-mail address as it is, and as pages hide it from programs: `office [at] example [dot] com`.
fn spellings(email: &str) -> [Cow<'_, str>; 3] {
    let with_at = email.replacen('@', " at ", 1);
    let with_dots = with_at.replace('.', " dot ");
    [Cow::Borrowed(email), Cow::Owned(with_at), Cow::Owned(with_dots)]
}

/// Whether a character is part of a word together with its neighbours.
pub(super) fn is_in_word(c: char) -> bool {
    matches!(Character::of(c), Character::Of(_) | Character::Invisible)
}

/// Calls `each` with each word of a text.
fn each_word(text: &str, mut each: impl FnMut(&str)) {
    let mut each = |word: &str, _: WordKind| each(word);
    let mut reader = Word::default();
    reader.read(text, &mut each);
    reader.end(&mut each);
}

impl Search {
    pub(super) fn new(fields: &[PublishedField]) -> Self {
        let mut symbols: HashMap<String, u32> = HashMap::with_capacity(fields.len() * FIELD_WORDS);
        let mut texts: Vec<Vec<u32>> = Vec::new();
        let mut ranges = Vec::with_capacity(fields.len());
        for field in fields {
            let start = texts.len();
            let lines: Vec<Cow<'_, str>> = match &field.value {
                PublishedValue::Text(text) => text.lines().map(Cow::Borrowed).collect(),
                PublishedValue::Email(email) => Vec::from(spellings(email)),
                PublishedValue::Link(url) | PublishedValue::Picture(url) => {
                    vec![Cow::Borrowed(without_scheme(url))]
                }
                PublishedValue::Phone(_) => Vec::new(),
            };
            for line in lines {
                let mut text = Vec::new();
                each_word(&line, |word| {
                    let next = u32::try_from(symbols.len()).unwrap_or(u32::MAX);
                    let known = symbols.get(word).copied();
                    text.push(
                        known.unwrap_or_else(|| *symbols.entry(word.to_owned()).or_insert(next)),
                    );
                });
                texts.push(text);
            }
            ranges.push(start..texts.len());
        }
        let count: usize = texts.iter().map(Vec::len).sum();
        let (automaton, ends) = Automaton::of_symbols(texts, count);
        let wanted = fields.iter().zip(ranges).map(|(field, range)| {
            let ends = ends.get(range).unwrap_or_default();
            let end = ends.first().copied().unwrap_or_default();
            match &field.value {
                PublishedValue::Text(_) => Wanted::Texts(ends.to_vec()),
                PublishedValue::Email(email) => Wanted::Email(email.to_lowercase(), ends.to_vec()),
                PublishedValue::Phone(digits) => Wanted::Phone(digits.clone()),
                PublishedValue::Link(url) => Wanted::Link(key(url), end),
                PublishedValue::Picture(url) => Wanted::Picture(key(url), end),
            }
        });
        let wanted: Vec<Wanted> = wanted.collect();
        let endings = wanted.iter().filter_map(|wanted| match wanted {
            Wanted::Phone(digits) => last(digits, MIN_PHONE).map(str::to_owned),
            _ => None,
        });
        let endings = endings.collect();
        Search {
            fields: fields.to_vec(),
            seen: vec![false; automaton.places()],
            endings,
            wanted,
            automaton,
            words: symbols,
            numbers: Numbers::default(),
            data: HashSet::new(),
            at: Place::default(),
            word: Word::default(),
            joins: false,
            digits: String::new(),
        }
    }

    /// The search for names, of whose words a logo or a heading may set a part apart.
    pub(super) fn of_names(fields: &[PublishedField]) -> Self {
        Search { joins: true, ..Search::new(fields) }
    }

    /// Whether there is nothing to look for.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// A page begins.
    pub(super) fn page(&mut self) {
        self.between();
        self.digits.clear();
        self.at = Place::default();
    }

    /// An element begins or ends.
    pub(super) fn element(&mut self, name: &str) {
        let is_in_word = IN_WORDS.contains(&name) || self.joins && IN_NAMES.contains(&name);
        if !is_in_word {
            self.between();
        }
    }

    /// A text that visitors see or hear.
    pub(super) fn text(&mut self, text: &str) {
        let mut reader = std::mem::take(&mut self.word);
        reader.read(text, &mut |word, kind| self.word(word, kind));
        self.word = reader;
    }

    /// A text that stands alone: an attribute.
    pub(super) fn alone(&mut self, text: &str) {
        let at = std::mem::take(&mut self.at);
        let mut reader = Word::default();
        let mut word = |word: &str, kind| self.word(word, kind);
        reader.read(text, &mut word);
        reader.end(&mut word);
        self.at = at;
    }

    /// The structured data of a page.
    pub(super) fn data(&mut self, value: &Value, depth: usize) {
        match value {
            Value::String(text) if text.starts_with("http") => {
                self.data.insert(key(text));
            }
            Value::Array(values) if depth < MAX_DEPTH => {
                values.iter().for_each(|value| self.data(value, depth + 1));
            }
            Value::Object(fields) if depth < MAX_DEPTH => {
                fields.values().for_each(|value| self.data(value, depth + 1));
            }
            _ => {}
        }
    }

    fn between(&mut self) {
        let mut reader = std::mem::take(&mut self.word);
        reader.end(&mut |word, kind| self.word(word, kind));
        self.word = reader;
    }

    fn word(&mut self, word: &str, kind: WordKind) {
        self.at = self.automaton.mark(self.at, self.words.get(word).copied(), &mut self.seen);
        if self.endings.is_empty() {
            return;
        }
        match kind {
            WordKind::Letters => self.digits.clear(),
            WordKind::Digits => self.number(word),
        }
    }

    /// Reads digits. A number may end with any of them: opening hours or a postal code may follow.
    fn number(&mut self, word: &str) {
        self.digits.extend(word.chars().filter(char::is_ascii_digit));
        let more = self.digits.len().saturating_sub(PHONE_DIGITS);
        self.digits.drain(..more);
        if last(&self.digits, MIN_PHONE).is_some_and(|ending| self.endings.contains(ending)) {
            self.numbers.insert(&self.digits);
        }
    }

    /// For each field, whether the pages so far show it, or one of these addresses leads to it.
    pub(super) fn used<'a>(&mut self, addresses: impl Iterator<Item = &'a str>) -> Vec<bool> {
        self.page();
        let mut links = Links::default();
        for address in addresses {
            links.add(address);
        }
        self.wanted.iter().map(|wanted| self.is_used(wanted, &links)).collect()
    }

    /// Reports the fields that no page shows and no link of a page leads to.
    pub(super) fn report(mut self, facts: &BTreeMap<SitePath, Facts>, problems: &mut Problems) {
        let used = self.used(facts.values().flat_map(Facts::addresses));
        let unused: Vec<bool> = used.into_iter().map(|used| !used).collect();
        let names = names(&self.fields, &unused);
        if names.is_empty() {
            return;
        }
        let shown: Vec<String> =
            names.iter().take(MAX_NAMED).map(|name| format!("`{name}`")).collect();
        let more = match names.len().saturating_sub(MAX_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let message = message!(
            "no page shows these fields of the order, and no link leads to them: {}{more}; use a \
             template that shows them, or tell the customer that they are not on the site",
            shown.join(", ")
        );
        problems.add(&SitePath::entry_page(), Rule::UnusedField, None, None, message);
    }

    fn is_used(&self, wanted: &Wanted, links: &Links) -> bool {
        // A text without letters and digits ends at the beginning, which is always reached.
        let is_seen = |end: &Place| *end == Place::default() || self.seen[end.index()];
        match wanted {
            Wanted::Texts(ends) => ends.iter().all(is_seen),
            Wanted::Email(email, ends) => links.emails.contains(email) || ends.iter().any(is_seen),
            Wanted::Phone(digits) => links.phones.has(digits) || self.numbers.has(digits),
            Wanted::Link(key, end) => links.addresses.contains(key) || is_seen(end),
            Wanted::Picture(key, end) => {
                links.addresses.contains(key) || self.data.contains(key) || is_seen(end)
            }
        }
    }
}

/// Where the links of a site lead, as far as an order can name it.
#[derive(Debug, Default)]
struct Links {
    addresses: HashSet<String>,
    emails: HashSet<String>,
    phones: Numbers,
}

/// The last digits of numbers, by the last [`MIN_PHONE`] of them, which few numbers share.
#[derive(Debug, Default)]
struct Numbers(HashMap<String, HashSet<String>>);

impl Numbers {
    /// Adds a number. One with fewer than [`MIN_PHONE`] digits is no phone number.
    fn insert(&mut self, digits: &str) {
        let Some(ending) = last(digits, MIN_PHONE) else { return };
        self.0.entry(ending.to_owned()).or_default().insert(last_digits(digits).to_owned());
    }

    /// Whether a number is one of them. One of the two may be without the country's code, or have
    /// zeros in front.
    fn has(&self, wanted: &str) -> bool {
        let end = last_digits(wanted);
        let numbers = last(end, MIN_PHONE).and_then(|ending| self.0.get(ending));
        let without_zeros = |digits: &str| digits.trim_start_matches('0').len();
        numbers.into_iter().flatten().any(|number| {
            let shorter = without_zeros(number).min(without_zeros(end));
            let is_end = shorter >= MIN_PHONE && last(number, shorter) == last(end, shorter);
            number == end || is_end
        })
    }
}

impl Links {
    fn add(&mut self, address: &str) {
        let Some((scheme, rest)) = address.split_once(':') else { return };
        match scheme.to_ascii_lowercase().as_str() {
            "tel" | "sms" | "whatsapp" | "callto" => self.phone(rest),
            "mailto" => {
                let addresses = rest.split('?').next().unwrap_or_default();
                let addresses = percent_decode_str(addresses).decode_utf8_lossy().to_lowercase();
                self.emails.extend(addresses.split(',').map(|email| email.trim().to_owned()));
            }
            "http" | "https" => {
                if rest.contains("wa.me/") || rest.contains("whatsapp.com/") {
                    self.phone(rest.split(['?', '&']).find(|part| has_digits(part)).unwrap_or(""));
                }
                self.addresses.insert(key(address));
                // Templates count visitors in a query, and name a part of the page.
                if let Some((page, _)) = address.split_once(['?', '#']) {
                    self.addresses.insert(key(page));
                }
            }
            _ => {}
        }
    }

    fn phone(&mut self, text: &str) {
        let text = percent_decode_str(text).decode_utf8_lossy();
        let text: String = text.chars().map(ascii_digit).collect();
        let text = text.split(['?', ';', ',']).find(|part| has_digits(part)).unwrap_or_default();
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        self.phones.insert(&digits);
    }
}

fn has_digits(text: &str) -> bool {
    text.bytes().filter(u8::is_ascii_digit).count() >= MIN_PHONE
}

/// The last characters of a text of ASCII characters; `None` if it is shorter.
fn last(text: &str, characters: usize) -> Option<&str> {
    text.get(text.len().checked_sub(characters)?..)
}

fn last_digits(digits: &str) -> &str {
    last(digits, PHONE_DIGITS).unwrap_or(digits)
}

fn without_scheme(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.strip_prefix("www.").unwrap_or(rest)
}

/// An address as it is compared.
pub(super) fn key(address: &str) -> String {
    let written = match Url::parse(address.trim()) {
        Ok(url) => url.to_string(),
        Err(_) => address.trim().to_owned(),
    };
    without_scheme(&written).trim_end_matches('/').to_owned()
}

/// The pointers of unused fields. If all fields of a list, or of an entry, are unused, it is named
/// instead of them.
fn names(fields: &[PublishedField], unused: &[bool]) -> Vec<String> {
    // The prefixes of a pointer: `/team`, `/team/0`, `/team/0/name`.
    let prefixes = |pointer: &str| {
        let ends = pointer.match_indices('/').skip(1).map(|(at, _)| at);
        ends.chain([pointer.len()]).take(2).map(|end| pointer[..end].to_owned()).collect::<Vec<_>>()
    };
    let mut used: HashSet<String> = HashSet::new();
    for (field, _) in fields.iter().zip(unused).filter(|(_, unused)| !**unused) {
        used.extend(prefixes(&field.pointer));
    }
    let mut names = Vec::new();
    for (field, _) in fields.iter().zip(unused).filter(|(_, unused)| **unused) {
        let whole = prefixes(&field.pointer).into_iter().find(|prefix| !used.contains(prefix));
        let name = whole.unwrap_or_else(|| field.pointer.clone());
        if names.last() != Some(&name) {
            names.push(name);
        }
    }
    names
}
