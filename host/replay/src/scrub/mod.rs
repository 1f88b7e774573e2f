//! Replaces the texts of customer and models by placeholders of the same shape.
//!
//! Word by word: a letter becomes a letter, a digit a digit, and equal words become equal words in
//! any case, so that e-mail addresses, links and phone numbers keep their form. Dates, hours,
//! colours, languages and the template's own codes are kept. The mapping is seeded from the
//! document: without it, it cannot be undone.

mod shape;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use shape::{
    Random, cased, fixed_of, has, is_colour, is_hours, is_long, is_phone, is_time, lowercase_words,
    texts_of, unescaped, without_accents, words,
};

use super::subject::{RecordedAttempt, RecordedEnd};
use sitewright_intake::INPUT_SCHEMA;

/// Words of the host's own messages, which are nobody's data.
const HOST_WORDS: &str = "a an and are as at be been but by call calls can cannot did do does \
                          ended error every failed fault file files for from had has have how if \
                          in into is it its json key last limit made more next no none not \
                          nothing of off on one or order other out page panicked reply removed \
                          route run said see set site so stopped template than that the then \
                          there they this to too trap unreachable used wasm was were what when \
                          which while who why will with within work would you";

/// Parts of addresses that identify nobody.
const ADDRESS_WORDS: &str = "http https www mailto tel com org net io br us uk de fr es pt \
                             facebook instagram linkedin youtube tiktok whatsapp wa me jpg jpeg \
                             png webp gif svg html pdf";

/// Names of HTML elements.
const ELEMENTS: &str = "a b i p em br ul ol li h1 h2 h3 h4 h5 h6 div span strong section";

/// Minimum bytes of a code: any large file contains shorter ones by chance.
const SHORTEST_CODE: usize = 4;
/// Maximum bytes of the template that are searched for codes, all searches together. A customer or
/// a model decides how many different texts there are. Some seconds.
const MAX_SEARCHED: u64 = 32 << 30;
/// Maximum comparisons of words that may be cut off, all texts together.
const MAX_COMPARED: u64 = 1 << 30;
/// Maximum words of a name that may be written without blanks.
const JOINED_WORDS: usize = 6;

/// Replaces the texts of one attempt.
pub(super) struct Scrubber {
    seed: [u8; 32],
    /// The template's bytes: a text that they contain is the template's own.
    wasm: Vec<u8>,
    /// Words of the template.
    its_words: HashSet<String>,
    /// Values and field names that schemas define.
    fixed: BTreeSet<String>,
    /// Words of names of providers and models.
    operators: HashSet<String>,
    /// Lower-case words of the texts of customer and models.
    words: HashSet<String>,
    /// Pairs of words that follow each other in those texts.
    pairs: HashSet<(String, String)>,
    /// Numbers and names without blanks, and words without accents.
    other_spellings: HashMap<String, String>,
    /// Whether the template contains a text, of those that were searched.
    held: RefCell<HashMap<String, bool>>,
    /// Bytes searched so far; see [`MAX_SEARCHED`].
    searched: Cell<u64>,
    /// Words compared so far; see [`MAX_COMPARED`].
    compared: Cell<u64>,
}

impl Scrubber {
    /// A scrubber of all texts of this attempt.
    pub(super) fn new(subject: &RecordedAttempt, wasm: &[u8]) -> Self {
        let mut seed = Sha256::new();
        seed.update(subject.attempt.to_string());
        seed.update(&subject.document);
        let mut scrubber = Scrubber {
            seed: seed.finalize().into(),
            wasm: wasm.to_owned(),
            its_words: lowercase_words(wasm),
            fixed: BTreeSet::new(),
            operators: HashSet::new(),
            words: HashSet::new(),
            pairs: HashSet::new(),
            other_spellings: HashMap::new(),
            held: RefCell::default(),
            searched: Cell::new(0),
            compared: Cell::new(0),
        };
        if let Ok(schema) = serde_json::from_str::<Value>(INPUT_SCHEMA) {
            fixed_of(&schema, &mut scrubber.fixed);
        }
        let document = String::from_utf8_lossy(&subject.document);
        scrubber.learn_text(&document);
        for entry in &subject.replies {
            scrubber.learn_text(&entry.content);
            if let Some(raw) = &entry.raw_reply {
                scrubber.learn_text(raw);
            }
        }
        // Answers without a usable reply are not in the journal, but the errors quote them.
        let mut quoted = Vec::new();
        if let Some(recording) =
            subject.recording.as_ref().and_then(|recording| serde_json::to_value(recording).ok())
        {
            texts_of(&recording, &mut quoted, &mut scrubber.operators);
        }
        if let RecordedEnd::Failed(record) = &subject.ended
            && let Ok(record) = serde_json::to_value(record)
        {
            texts_of(&record, &mut quoted, &mut scrubber.operators);
        }
        for text in quoted {
            scrubber.learn_text(&text);
        }
        scrubber
    }

    /// Whether everything in a field of this name was written by the customer or by a model.
    pub(super) fn is_theirs(name: &str) -> bool {
        matches!(name, "body_excerpt" | "text" | "raw_reply")
    }

    fn learn_text(&mut self, text: &str) {
        match serde_json::from_str::<Value>(text) {
            Ok(value) => self.learn_value("", &value),
            Err(_) => self.learn(text),
        }
    }

    fn learn_value(&mut self, name: &str, value: &Value) {
        match value {
            Value::String(text) if !self.is_fixed(name, text) => self.learn(text),
            Value::Number(number) if is_long(number) => self.learn(&number.to_string()),
            Value::Array(values) => values.iter().for_each(|value| self.learn_value(name, value)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    if !self.is_known_name(name) {
                        self.learn(name);
                    }
                    if name != "id" {
                        self.learn_value(name, value);
                    }
                }
            }
            _ => {}
        }
    }

    fn learn(&mut self, text: &str) {
        let words: Vec<String> = words(text).map(|(_, word)| word.to_lowercase()).collect();
        for pair in words.windows(2) {
            self.pairs.insert((pair[0].clone(), pair[1].clone()));
        }
        for word in &words {
            let plain = without_accents(word);
            if plain != *word {
                let placeholder = without_accents(&self.placeholder(word));
                self.other_spellings.entry(plain).or_insert(placeholder);
            }
        }
        let joined = words.concat();
        let is_number = is_phone(text);
        if words.len() > 1 && (is_number || words.len() <= JOINED_WORDS) && joined.len() > 5 {
            let placeholder: String = words.iter().map(|word| self.placeholder(word)).collect();
            self.other_spellings
                .entry(without_accents(&joined))
                .or_insert_with(|| without_accents(&placeholder));
            self.other_spellings.entry(joined).or_insert(placeholder);
        }
        self.words.extend(words);
    }

    /// Scrubs a text of the customer or a model. JSON keeps its structure.
    pub(super) fn json_or_text(&self, text: &str) -> String {
        match serde_json::from_str::<Value>(text) {
            Ok(mut value @ (Value::Object(_) | Value::Array(_))) => {
                self.scrub_value("", &mut value);
                value.to_string()
            }
            _ => self.scrub(text),
        }
    }

    fn scrub_value(&self, name: &str, value: &mut Value) {
        match value {
            Value::String(text) if !self.is_fixed(name, text) => *text = self.scrub(text),
            Value::Number(number) if is_long(number) => {
                if let Ok(Value::Number(placeholder)) =
                    serde_json::from_str(&self.placeholder(&number.to_string()))
                {
                    *number = placeholder;
                }
            }
            Value::Array(values) => {
                values.iter_mut().for_each(|value| self.scrub_value(name, value))
            }
            Value::Object(fields) => {
                let before = std::mem::take(fields);
                for (name, mut value) in before {
                    // The order's id is in folder names and records too.
                    if name != "id" {
                        self.scrub_value(&name, &mut value);
                    }
                    let name = if self.is_known_name(&name) { name } else { self.scrub(&name) };
                    fields.insert(name, value);
                }
            }
            _ => {}
        }
    }

    /// Scrubs a text in which every word is of the customer or a model.
    fn scrub(&self, text: &str) -> String {
        let is_address = text.contains("://") || text.contains('@');
        self.rewrite(text, |before, word, lower| {
            let known = (is_address && has(ADDRESS_WORDS, lower))
                || (before.ends_with(['<', '/'])
                    && before.trim_end_matches('/').ends_with('<')
                    && has(ELEMENTS, lower));
            (!known).then(|| self.placeholder(word))
        })
    }

    /// Scrubs a text of the template or the host, which may quote the customer or a model.
    pub(super) fn mention(&self, text: &str) -> String {
        if self.is_code(text) {
            return text.to_owned();
        }
        let plain = unescaped(text);
        let found: Vec<String> = words(&plain).map(|(_, word)| word.to_lowercase()).collect();
        let pair = |at: usize| {
            let (Some(one), Some(other)) = (found.get(at), found.get(at + 1)) else { return false };
            self.pairs.contains(&(one.clone(), other.clone()))
        };
        let mut at = 0;
        let mentioned = self.rewrite(&plain, |_, word, lower| {
            let here = at;
            at += 1;
            if let Some(placeholder) = self.other_spellings.get(lower) {
                return Some(cased(placeholder, word));
            }
            let quoted = pair(here) || here.checked_sub(1).is_some_and(pair);
            let known_part = |is_part: fn(&str, &str) -> bool| {
                lower.len() > 2 && self.is_part_of_a_word(|word| is_part(word, lower))
            };
            let known = self.words.contains(lower)
                // A cut text may begin and end inside a word.
                || (here == 0 && known_part(|word, end| word.ends_with(end)))
                || (here + 1 == found.len() && known_part(|word, start| word.starts_with(start)));
            let public = word.chars().count() <= 2
                || has(HOST_WORDS, lower)
                || self.operators.contains(lower)
                || (word == lower && self.its_words.contains(lower));
            (known && (quoted || !public)).then(|| self.placeholder(word))
        });
        if mentioned == plain { text.to_owned() } else { mentioned }
    }

    /// The text with each word replaced for which `choose` returns another one. `choose` gets the
    /// text before the word, the word, and the word in lower case.
    fn rewrite(
        &self,
        text: &str,
        mut choose: impl FnMut(&str, &str, &str) -> Option<String>,
    ) -> String {
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for (at, word) in words(text) {
            out.push_str(&text[done..at]);
            match choose(&text[..at], word, &word.to_lowercase()) {
                Some(placeholder) => out.push_str(&placeholder),
                None => out.push_str(word),
            }
            done = at + word.len();
        }
        out.push_str(&text[done..]);
        out
    }

    /// A word of the same length, with letters for letters and digits for digits.
    fn placeholder(&self, word: &str) -> String {
        let lower = word.to_lowercase();
        for salt in 0..8u8 {
            let mut random =
                Random { seed: self.seed, word: &lower, salt, block: 0, left: Vec::new() };
            let placeholder: String =
                word.chars().enumerate().map(|(at, c)| random.like(c, at == 0)).collect();
            if placeholder != *word {
                return placeholder;
            }
        }
        word.to_owned()
    }

    /// Whether a value must be kept.
    fn is_fixed(&self, name: &str, text: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let language = ["locale", "lang", "language", "currency", "timezone"]
            .iter()
            .any(|part| name.contains(part));
        self.fixed.contains(text)
            || (language && text.len() <= 35)
            || is_colour(text)
            || is_time(text)
            || is_hours(text)
            || self.is_code(text)
    }

    /// Whether the name of a field comes from a program.
    fn is_known_name(&self, name: &str) -> bool {
        let program =
            name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        self.fixed.contains(name)
            || (program && name.contains('_'))
            || name.len() < 3
            || self.holds(name)
    }

    /// Whether this text is one of the template's own codes, like `opt-in` or `dark`.
    fn is_code(&self, text: &str) -> bool {
        let in_code =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        text.len() >= SHORTEST_CODE
            && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
            && text.bytes().all(in_code)
            && self.holds(text)
    }

    /// Whether the template contains this text. `false` after too many searches, so that too much
    /// is replaced rather than too little.
    fn holds(&self, text: &str) -> bool {
        if text.is_empty() {
            return false;
        }
        if let Some(held) = self.held.borrow().get(text) {
            return *held;
        }
        if self.searched.get() > MAX_SEARCHED {
            return false;
        }
        let found = memchr::memmem::find(&self.wasm, text.as_bytes());
        let read = found.map_or(self.wasm.len(), |at| at + text.len());
        self.searched.set(self.searched.get() + read as u64);
        self.held.borrow_mut().insert(text.to_owned(), found.is_some());
        found.is_some()
    }

    /// Whether a word of the customer or a model contains a part. `true` after too many
    /// comparisons, so that too much is replaced rather than too little.
    fn is_part_of_a_word(&self, contains: impl Fn(&str) -> bool) -> bool {
        if self.compared.get() > MAX_COMPARED {
            return true;
        }
        self.compared.set(self.compared.get() + self.words.len() as u64);
        self.words.iter().any(|word| contains(word))
    }
}
