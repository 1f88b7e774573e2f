//! Searches for keys that are known exactly: plain, in base64 and in hexadecimal, whole or only
//! their beginning or end.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;
use memchr::memchr2;
use secrecy::{ExposeSecret, SecretString};

/// Minimum length, in bytes, of keys that are searched for. Local servers have short keys that may
/// be ordinary words.
const SHORTEST_KEY: usize = 8;

/// Keys that the manuals of local servers give, and words that people write where none is needed.
/// They are no secrets, and a log without them cannot be read. In lower case.
const DUMMIES: [&str; 18] = [
    "anything",
    "api-key",
    "change-me",
    "changeme",
    "dummy-key",
    "dummykey",
    "fake-key",
    "lm-studio",
    "lmstudio",
    "local-key",
    "localhost",
    "no-key-needed",
    "no-key-required",
    "not-needed",
    "not-used",
    "notneeded",
    "placeholder",
    "sk-no-key-required",
];

/// Minimum length of the beginning or end of a key that counts as a part of it.
const SHORTEST_PART: usize = 6;

/// The same in base64 and hexadecimal, where it stands for fewer bytes.
const SHORTEST_ENCODED_PART: usize = 12;

/// From this length on a key without digits and capital letters is no word either.
const LONG_KEY: usize = 20;

/// Maximum size of the patterns of a search that is compiled to a table. The table of one token of
/// a cloud, which has two thousand characters, would take 6 MB.
const MAX_TABLE_BYTES: usize = 4096;

/// All known keys. The searches are linear in the text for a given number of keys.
#[derive(Default)]
pub(super) struct KnownKeys {
    forms: Vec<Form>,
    /// Finds every part that is long enough to help somebody who guesses the key.
    parts: Option<Search>,
    /// Finds halves at least: for texts that customers read, which may contain any word.
    halves: Option<Search>,
    /// What a reply may end in the middle of.
    unfinished: Vec<Unfinished>,
}

/// A text that is searched for at the end of another.
struct Unfinished {
    pattern: Vec<u8>,
    /// For each length of a beginning of the pattern, less one: the length of its longest proper
    /// end that is a beginning too (Knuth, Morris and Pratt).
    borders: Vec<usize>,
}

/// A key in one encoding.
struct Form {
    text: Vec<u8>,
    /// The length of the shortest beginning that is searched for.
    beginning: usize,
    /// The length of the shortest end.
    ending: usize,
}

/// Searches for the beginnings and ends of forms.
struct Search {
    /// Decides fast that there is nothing to find, which is the rule.
    filter: Option<AhoCorasick>,
    automaton: AhoCorasick,
    /// What the automaton's patterns are.
    patterns: Vec<Pattern>,
}

/// The forms that begin and that end with a pattern.
#[derive(Default)]
struct Pattern {
    begun: Vec<usize>,
    ended: Vec<usize>,
}

/// How much of a key counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Parts,
    Halves,
}

/// Whether a key is a secret and not a word that somebody had to write.
fn is_secret(key: &str) -> bool {
    key.len() >= SHORTEST_KEY && !DUMMIES.contains(&key.to_ascii_lowercase().as_str())
}

impl KnownKeys {
    pub(super) fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        let forms: Vec<Form> = secrets
            .into_iter()
            .filter(|key| is_secret(key.expose_secret()))
            .flat_map(|key| forms_of(key.expose_secret()))
            .collect();
        let parts = Search::new(Extent::Parts, &forms);
        let halves = Search::new(Extent::Halves, &forms);
        let unfinished = forms
            .iter()
            .flat_map(|form| {
                let end = form.text.len() - form.ending_of(Extent::Halves);
                [Unfinished::new(&form.text), Unfinished::new(&form.text[end..])]
            })
            .collect();
        KnownKeys { forms, parts, halves, unfinished }
    }

    /// Adds the places of keys and their parts to `found`. `steps` grows by the number of bytes
    /// that were looked at.
    pub(super) fn find(
        &self,
        extent: Extent,
        text: &[u8],
        found: &mut Vec<Range<usize>>,
        steps: &mut u64,
    ) {
        let search = match extent {
            Extent::Parts => &self.parts,
            Extent::Halves => &self.halves,
        };
        let Some(Search { filter, automaton, patterns }) = search else { return };
        *steps += text.len() as u64;
        if filter.as_ref().is_some_and(|filter| !filter.is_match(text)) {
            return;
        }
        *steps += text.len() as u64;
        let mut ends = Vec::new();
        let form = |index: &usize| self.forms[*index].text.as_slice();
        // What is removed already is not looked at again, in either direction: a key that repeats
        // itself would be compared at each of its places.
        let mut removed = 0;
        for hit in automaton.find_overlapping_iter(text) {
            *steps += 1;
            let Pattern { begun, ended } = &patterns[hit.pattern().as_usize()];
            // What comes before the second half of a key may be gone already when that arrives.
            if extent == Extent::Parts && !ended.is_empty() {
                ends.push(hit);
            }
            if hit.end() <= removed {
                continue;
            }
            let after = &text[hit.end()..];
            let after = begun.iter().map(form).map(|form| {
                let rest = &form[hit.len()..];
                common(after.iter(), rest.iter(), steps)
            });
            removed = hit.end() + after.max().unwrap_or(0);
            found.push(hit.start()..removed);
        }
        // A part that both begins and ends a key may have more of the key before it, too.
        let mut from = text.len();
        for hit in ends.iter().rev() {
            *steps += 1;
            if hit.start() >= from {
                continue;
            }
            let ended = &patterns[hit.pattern().as_usize()].ended;
            let before = &text[..hit.start()];
            let before = ended.iter().map(form).map(|form| {
                let rest = &form[..form.len() - hit.len()];
                common(before.iter().rev(), rest.iter().rev(), steps)
            });
            from = hit.start() - before.max().unwrap_or(0);
            found.push(from..hit.end());
        }
    }

    /// The length of the longest end of `text` that is the beginning of what
    /// [`Extent::Halves`] searches for: more text could complete it.
    pub(super) fn unfinished(&self, text: &[u8]) -> usize {
        self.unfinished.iter().map(|one| one.length_in(text)).max().unwrap_or(0)
    }
}

impl Form {
    fn beginning_of(&self, extent: Extent) -> usize {
        self.part_of(extent, self.beginning)
    }

    fn ending_of(&self, extent: Extent) -> usize {
        self.part_of(extent, self.ending)
    }

    fn part_of(&self, extent: Extent, shortest: usize) -> usize {
        let shortest = match extent {
            Extent::Parts => shortest,
            Extent::Halves => shortest.max(self.text.len().div_ceil(2)),
        };
        shortest.min(self.text.len())
    }
}

impl Unfinished {
    fn new(pattern: &[u8]) -> Self {
        let pattern = pattern.to_vec();
        let mut borders = vec![0; pattern.len()];
        let mut matched = 0;
        for at in 1..pattern.len() {
            matched = next(&pattern, &borders, matched, pattern[at]);
            borders[at] = matched;
        }
        Unfinished { pattern, borders }
    }

    /// The length of the longest end of `text` that is a beginning of the pattern and not all of
    /// it.
    fn length_in(&self, text: &[u8]) -> usize {
        let Some(first) = self.pattern.first() else { return 0 };
        let tail = &text[text.len() - text.len().min(self.pattern.len() - 1)..];
        let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
        let Some(start) = memchr2(lower, upper, tail) else { return 0 };
        let step = |matched, byte: &u8| next(&self.pattern, &self.borders, matched, *byte);
        tail[start..].iter().fold(0, step)
    }
}

/// The length of the longest beginning of the pattern at the end of a text, after one more byte.
/// `matched` is the length before it and not all of the pattern.
fn next(pattern: &[u8], borders: &[usize], mut matched: usize, byte: u8) -> usize {
    while matched > 0 && !byte.eq_ignore_ascii_case(&pattern[matched]) {
        matched = borders[matched - 1];
    }
    matched + usize::from(byte.eq_ignore_ascii_case(&pattern[matched]))
}

/// The number of equal bytes at the beginning of both.
fn common<'a>(
    one: impl Iterator<Item = &'a u8>,
    other: impl Iterator<Item = &'a u8>,
    steps: &mut u64,
) -> usize {
    let length = one.zip(other).take_while(|(one, other)| one.eq_ignore_ascii_case(other)).count();
    *steps += length as u64 + 1;
    length
}

/// The key itself, as it is in JSON if that differs, in base64 at each of the three places that it
/// can have in a longer text, in both alphabets, and in hexadecimal.
fn forms_of(key: &str) -> Vec<Form> {
    let generated = key.len() >= LONG_KEY
        || key.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    // Every part of a word is a word too.
    let plain = |text: Vec<u8>| {
        let parts =
            |text: &[u8]| (part_beyond_words(text.iter()), part_beyond_words(text.iter().rev()));
        let (beginning, ending) = if generated { parts(&text) } else { (text.len(), text.len()) };
        Form { text, beginning, ending }
    };
    let mut forms = vec![plain(key.as_bytes().to_vec())];
    if key.contains(['\\', '"'])
        && let Ok(json) = serde_json::to_string(key)
    {
        forms.push(plain(json.trim_matches('"').as_bytes().to_vec()));
    }
    let encoded = |text: Vec<u8>| {
        let shortest = SHORTEST_ENCODED_PART.min(text.len());
        Form { text, beginning: shortest, ending: shortest }
    };
    for alphabet in [alphabet::STANDARD, alphabet::URL_SAFE] {
        let engine = GeneralPurpose::new(&alphabet, NO_PAD);
        for shift in 0..3 {
            let mut bytes = vec![0; shift];
            bytes.extend_from_slice(key.as_bytes());
            let text = engine.encode(&bytes);
            // Characters that also depend on what surrounds the key are left out.
            let text = &text.as_bytes()[(shift * 8).div_ceil(6)..bytes.len() * 8 / 6];
            if forms.iter().all(|form| form.text != text) {
                forms.push(encoded(text.to_vec()));
            }
        }
    }
    forms.push(encoded(hex::encode(key).into_bytes()));
    forms
}

/// The length of the shortest part at one end of a key: at least [`SHORTEST_PART`], and some
/// characters more than the words that it begins with. `local-` of the key `local-2b71e0` is no
/// secret, and is in the names of templates and hosts.
fn part_beyond_words<'a>(bytes: impl Iterator<Item = &'a u8>) -> usize {
    /// Characters after the words.
    const BEYOND: usize = 3;
    let mut words = 0;
    for (index, byte) in bytes.enumerate() {
        match byte {
            b'a'..=b'z' => {}
            b'-' | b'_' | b'.' => words = index + 1,
            _ => break,
        }
    }
    SHORTEST_PART.max(if words > 0 { words + BEYOND } else { 0 })
}

impl Search {
    /// `None` if there is nothing to search for.
    fn new(extent: Extent, forms: &[Form]) -> Option<Self> {
        let mut texts: Vec<Vec<u8>> = Vec::new();
        let mut patterns: Vec<Pattern> = Vec::new();
        for (index, form) in forms.iter().enumerate() {
            let beginning = &form.text[..form.beginning_of(extent)];
            let ending = &form.text[form.text.len() - form.ending_of(extent)..];
            for (text, end) in [(beginning, false), (ending, true)] {
                // The whole is a beginning already.
                if end && text.len() == form.text.len() {
                    continue;
                }
                let text = text.to_vec();
                let at = texts.iter().position(|known| *known == text).unwrap_or_else(|| {
                    texts.push(text);
                    patterns.push(Pattern::default());
                    texts.len() - 1
                });
                let Pattern { begun, ended } = &mut patterns[at];
                if end { ended.push(index) } else { begun.push(index) }
            }
        }
        if texts.is_empty() {
            return None;
        }
        let bytes: usize = texts.iter().map(Vec::len).sum();
        let kind = (bytes > MAX_TABLE_BYTES).then_some(AhoCorasickKind::ContiguousNFA);
        let builder = &mut AhoCorasick::builder();
        builder.ascii_case_insensitive(true).kind(kind);
        let automaton = builder.build(&texts).ok()?;
        let filter = match extent {
            Extent::Parts => None,
            Extent::Halves => builder.match_kind(MatchKind::LeftmostFirst).build(&texts).ok(),
        };
        Some(Search { filter, automaton, patterns })
    }
}
