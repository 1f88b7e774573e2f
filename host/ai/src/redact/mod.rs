//! Removes API keys from texts that leave the gateway and from the log. Some providers repeat the
//! rejected key, whole or in part, in their error message, and URLs may contain one.
//!
//! | file | question |
//! |---|---|
//! | `known` | where are keys that the process has read? |
//! | `marks` | what looks like a key? |
//! | `decode` | what does a text say without its escapes? |
//! | `pieces` | is a key spread over the events of a stream? |
//!
//! The work is linear in the text: each search looks at each byte a fixed number of times, and the
//! tests count the steps.

mod decode;
mod known;
mod marks;
mod pieces;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use parking_lot::{Mutex, RwLock};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use decode::{Decoded, Escapes};
use known::{Extent, KnownKeys};

/// Longer replies are redacted in pieces.
const PIECE_BYTES: usize = 64 * 1024;

const REMOVED: &str = "[key removed]";

/// All keys that the process has read. Log entries of libraries do not belong to a provider, so
/// they are searched for all keys.
static PROCESS_KEYS: LazyLock<RwLock<ProcessKeys>> = LazyLock::new(RwLock::default);

/// Maximum number of keys that expire which the log is searched for. Each takes memory: a token of
/// a cloud may have two thousand characters.
const MAX_EXPIRING: usize = 16;

#[derive(Default)]
struct ProcessKeys {
    lasting: Vec<SecretString>,
    /// The newest one at the end.
    expiring: VecDeque<SecretString>,
    /// All of them.
    known: Arc<KnownKeys>,
}

/// Held while the search for all keys is compiled, which takes a while. The log is not: it reads
/// [`PROCESS_KEYS`].
static COMPILING: Mutex<()> = Mutex::new(());

impl ProcessKeys {
    fn has(&self, secret: &SecretString) -> bool {
        let mut known = self.lasting.iter().chain(&self.expiring);
        known.any(|one| one.expose_secret() == secret.expose_secret())
    }
}

/// Removes keys from texts. Cheap to clone.
#[derive(Clone, Default)]
pub struct Redactor {
    keys: Arc<KnownKeys>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

/// Registers a key, so that it is removed from the log. May take milliseconds.
pub(super) fn remember(secret: &SecretString) {
    register(secret, |keys| keys.lasting.push(secret.clone()));
}

/// Registers a key that expires, so that it is removed from the log until 16 others have come after
/// it. May take milliseconds.
pub(super) fn remember_for_a_while(secret: &SecretString) {
    register(secret, |keys| {
        keys.expiring.push_back(secret.clone());
        if keys.expiring.len() > MAX_EXPIRING {
            keys.expiring.pop_front();
        }
    });
}

fn register(secret: &SecretString, add: impl FnOnce(&mut ProcessKeys)) {
    let _one_at_a_time = COMPILING.lock();
    let all: Vec<SecretString> = {
        let mut keys = PROCESS_KEYS.write();
        if keys.has(secret) {
            return;
        }
        add(&mut keys);
        keys.lasting.iter().chain(&keys.expiring).cloned().collect()
    };
    let known = Arc::new(KnownKeys::new(all));
    PROCESS_KEYS.write().known = known;
}

impl Redactor {
    pub(super) fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        Redactor { keys: Arc::new(KnownKeys::new(secrets)) }
    }

    /// A redactor for all keys that the process has read.
    pub fn of_process() -> Self {
        Redactor { keys: PROCESS_KEYS.read().known.clone() }
    }

    /// Redacts every text of a JSON value, names of fields included, and returns whether one was
    /// changed.
    pub fn redact_values(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => match self.redact(text) {
                Cow::Owned(clean) => {
                    *text = clean;
                    true
                }
                Cow::Borrowed(_) => false,
            },
            Value::Array(values) => {
                values.iter_mut().fold(false, |any, value| self.redact_values(value) | any)
            }
            Value::Object(fields) => {
                let mut any = false;
                for (_, value) in fields.iter_mut() {
                    any |= self.redact_values(value);
                }
                if fields.keys().any(|name| matches!(self.redact(name), Cow::Owned(_))) {
                    *fields = std::mem::take(fields)
                        .into_iter()
                        .map(|(name, value)| (self.redact(&name).into_owned(), value))
                        .collect();
                    any = true;
                }
                any
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// The text without the keys and without parts of them: the first or last 6 characters or more,
    /// in any encoding, or more if the key begins or ends with words. Also without anything that begins like a key or follows `Bearer`, and
    /// without the credentials and key parameters of URLs.
    ///
    /// Keys shorter than 8 characters and the dummy keys of local servers are not searched for: they
    /// are words, and no secrets.
    ///
    /// Linear in the text, but the text is not cut: cut what others send with
    /// [`redact_beginning`](Self::redact_beginning).
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.redact_counted(text, &mut 0)
    }

    /// The beginning of the redacted text, at most `max` bytes. Looks only at `max` bytes and the
    /// length of the longest key, so that no part of a key remains at the end.
    pub(super) fn redact_beginning(&self, text: &str, max: usize) -> String {
        let seen = max.saturating_add(super::secret::ApiKey::MAX_BYTES);
        let clean = self.redact(&text[..text.floor_char_boundary(seen)]);
        clean[..clean.floor_char_boundary(max)].to_owned()
    }

    /// The text of a model's reply, which may contain any word, without the keys and without halves
    /// of them.
    pub(super) fn redact_reply<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if text.len() <= PIECE_BYTES {
            return self.redact_piece(text);
        }
        // In pieces, because the second search needs several times the memory of its text.
        let (mut clean, mut kept, mut from) = (String::new(), 0, 0);
        while from < text.len() {
            let end = text.floor_char_boundary(from + PIECE_BYTES);
            let settled =
                if end < text.len() { self.settled(&text[from..end]) } else { end - from };
            let end = if settled == 0 { end } else { from + settled };
            if let Cow::Owned(piece) = self.redact_piece(&text[from..end]) {
                clean.push_str(&text[kept..from]);
                clean.push_str(&piece);
                kept = end;
            }
            from = end;
        }
        if kept == 0 {
            return Cow::Borrowed(text);
        }
        clean.push_str(&text[kept..]);
        Cow::Owned(clean)
    }

    fn redact_piece<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let search = |bytes: &[u8], found: &mut Vec<Range<usize>>, steps: &mut u64| {
            self.keys.find(Extent::Halves, bytes, found, steps);
        };
        without(text, in_any_encoding(text, Escapes::OfKeys, search, &mut 0))
    }

    /// The number of bytes at the beginning of a reply that more text cannot make part of a key.
    pub(super) fn settled(&self, text: &str) -> usize {
        let plain = text.len() - self.keys.unfinished(text.as_bytes());
        let settled = match Decoded::new(text, Escapes::Any, &mut 0) {
            Some(decoded) => {
                let length = decoded.bytes.len();
                let unfinished = self.keys.unfinished(&decoded.bytes);
                let from = decoded.in_source(length - unfinished..length).start;
                plain.min(from).min(decoded.open(text))
            }
            None => plain.min(decode::open(text)),
        };
        text.floor_char_boundary(settled)
    }

    /// The excerpt of a body, at most `max` bytes; a note instead of it if a key is spread over the
    /// events of a stream, where it cannot be removed.
    pub(super) fn redact_excerpt(&self, text: &str, max: usize) -> String {
        let clean = self.redact_beginning(text, max);
        let is_key = |text: &String| matches!(self.redact_reply(text), Cow::Owned(_));
        if pieces::joined(&clean).iter().any(is_key) {
            return format!("{REMOVED}: it was spread over the events of a stream, left out here");
        }
        clean
    }

    /// [`redact`](Self::redact); `steps` grows by the number of bytes that were looked at.
    pub(super) fn redact_counted<'a>(&self, text: &'a str, steps: &mut u64) -> Cow<'a, str> {
        let search = |bytes: &[u8], found: &mut Vec<Range<usize>>, steps: &mut u64| {
            self.keys.find(Extent::Parts, bytes, found, steps);
            marks::find(bytes, found, steps);
        };
        without(text, in_any_encoding(text, Escapes::Any, search, steps))
    }
}

/// What is found in the text as it is and in the text without its escapes.
fn in_any_encoding(
    text: &str,
    escapes: Escapes,
    search: impl Fn(&[u8], &mut Vec<Range<usize>>, &mut u64),
    steps: &mut u64,
) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    search(text.as_bytes(), &mut found, steps);
    if let Some(decoded) = Decoded::new(text, escapes, steps) {
        let mut inside = Vec::new();
        search(&decoded.bytes, &mut inside, steps);
        found.extend(inside.into_iter().map(|range| decoded.in_source(range)));
    }
    found
}

/// The text with a note in the place of these ranges, which may overlap.
fn without(text: &str, mut ranges: Vec<Range<usize>>) -> Cow<'_, str> {
    if ranges.is_empty() {
        return Cow::Borrowed(text);
    }
    ranges.sort_unstable_by_key(|range| range.start);
    let mut clean = String::with_capacity(text.len());
    let mut kept_from = 0;
    let mut removed: Option<Range<usize>> = None;
    for range in ranges {
        let (start, end) =
            (text.floor_char_boundary(range.start), text.ceil_char_boundary(range.end));
        match &mut removed {
            Some(before) if start < before.end => before.end = before.end.max(end),
            _ => {
                if let Some(before) = removed.replace(start..end) {
                    clean.push_str(&text[kept_from..before.start]);
                    clean.push_str(REMOVED);
                    kept_from = before.end;
                }
            }
        }
    }
    if let Some(last) = removed {
        clean.push_str(&text[kept_from..last.start]);
        clean.push_str(REMOVED);
        kept_from = last.end;
    }
    clean.push_str(&text[kept_from..]);
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
    use proptest::prelude::*;
    use secrecy::SecretString;
    use serde_json::json;

    use super::{REMOVED, Redactor, marks};

    const KEY: &str = "9f8e7d6c5b4a39281706f5e4d3c2b1a0";

    fn redactor(keys: &[&str]) -> Redactor {
        Redactor::new(keys.iter().map(|key| SecretString::from(*key)))
    }

    #[test]
    fn a8_keys_go_and_words_stay() {
        let rows = [
            ("the key plant/ed+1 is wrong", "the key [key removed] is wrong"),
            ("%70lant%2Fed%2b1 and plant%252Fed+1", "[key removed] and [key removed]"),
            (r"plant\/ed\u002b1, plant\\/ed\\u002B1", "[key removed], [key removed]"),
            (r"plant\\\\/ed%2525252b1", "[key removed]"),
            ("plant&#47;ed&#x2B;1 and plant&sol;ed&plus;1", "[key removed] and [key removed]"),
            ("plant%2Fed%2b2, plant/ed", "[key removed]2, [key removed]"),
            ("plan, ed+1, %, \\ and %é", "plan, ed+1, %, \\ and %é"),
            ("PLANT/ED+1", "[key removed]"),
            ("given: sk-proj-ab12****wxyz.", "given: [key removed]"),
            ("gsk_0123456789, xai-0123456789", "[key removed], [key removed]"),
            ("AIzaSyA0123456789", "[key removed]"),
            ("Authorization: Bearer abc.def-ghi/jkl=", "Authorization: Bearer [key removed]"),
            (
                "authorization%3A%20BEARER%20abc.def-ghi",
                "authorization%3A%20BEARER%20[key removed]",
            ),
            ("the bearer of this letter", "the bearer of this letter"),
            ("at https://user:pa55@host/v1?x=1", "at https://[key removed]@host/v1?x=1"),
            (r"at https:\/\/user:pa55@host\/v1", r"at https:\/\/[key removed]@host\/v1"),
            ("https://host/v1?key=abc&alt=sse", "https://host/v1?key=[key removed]&alt=sse"),
            ("https://host/v1?a=b&amp;key=abc", "https://host/v1?a=b&amp;key=[key removed]"),
            ("(https://host/v1?x=1&api_key=abc)", "(https://host/v1?x=1&api_key=[key removed])"),
            ("monkey=1, key=2 and https://host/a@b", "monkey=1, key=2 and https://host/a@b"),
            ("a task-list on a desk-top, sk-, açaí", "a task-list on a desk-top, sk-, açaí"),
            ("\\", "\\"),
        ];
        let redactor = redactor(&["plant/ed+1"]);
        for (text, clean) in rows {
            assert_eq!(redactor.redact(text), clean);
            assert_eq!(redactor.redact(clean), clean, "it is clean already");
        }
    }

    #[test]
    fn a8_any_part_of_a_known_key_goes_in_every_encoding() {
        let same_ends = redactor(&["secret-1-MIDDLEPART-secret-1"]);
        let redactor = redactor(&["other-key-1234", KEY]);
        let mut rows = Vec::new();
        for length in 6..=KEY.len() {
            rows.push(KEY[..length].to_owned());
            rows.push(KEY[KEY.len() - length..].to_owned());
        }
        for before in ["", "x", "Bearer ", "user:", "é"] {
            let whole = format!("{before}{KEY}, and more");
            rows.push(BASE64_STANDARD.encode(&whole));
            rows.push(BASE64_URL_SAFE_NO_PAD.encode(&whole));
        }
        rows.push(hex::encode(KEY));
        rows.push(hex::encode_upper(KEY));
        rows.push(KEY.bytes().map(|byte| format!("%{byte:02x}")).collect());
        rows.push(KEY.bytes().map(|byte| format!("\\u00{byte:02X}")).collect());
        rows.push(KEY.bytes().map(|byte| format!("&#{byte};")).collect());
        for row in rows {
            for text in [row.clone(), format!("it said \"{row}\", twice: {row}")] {
                let clean = redactor.redact(&text);
                assert!(clean.contains(REMOVED), "{text}: {clean}");
                for length in 6..=8 {
                    assert!(!clean.contains(&KEY[..length]), "{text}: {clean}");
                    assert!(!clean.contains(&KEY[KEY.len() - length..]), "{text}: {clean}");
                }
            }
        }
        for part in ["MIDDLEPART-secret-1", "secret-1-MIDDLEPART", "secret-1-MIDDLEPART-secret-1"] {
            let clean = same_ends.redact(part);
            assert!(!clean.contains("DLEPAR") && !clean.contains("secret"), "{part}: {clean}");
        }
        for short in [&KEY[..5], &KEY[KEY.len() - 5..], &KEY[5..15]] {
            assert_eq!(redactor.redact(short), short, "too little to be known");
        }
    }

    /// A key that an operator made up from words and a random part.
    #[test]
    fn a8_words_at_the_ends_of_a_key_stay() {
        let redactor = redactor(&["local-2b71e0", "sites_4D2-prod.key"]);
        for text in ["template local-business of local-host", "sites_of the prod.key", "local-2b"] {
            assert_eq!(redactor.redact(text), text);
        }
        for text in ["local-2b71e0", "local-2b71", "-2b71e0", "sites_4D2-p", "4D2-prod.key"] {
            assert!(redactor.redact(text).contains(REMOVED), "{text}");
        }
    }

    #[test]
    fn a8_dummy_keys_are_words_and_stay() {
        for key in ["local", "ollama", "test", "EMPTY", "none", "lm-studio", "sk-no-key-required"] {
            let text = format!("the template {key}-business of {key}");
            let known = redactor(&[key]);
            let expected =
                if key.starts_with("sk-") { redactor(&[]).redact(&text) } else { (&text).into() };
            assert_eq!(known.redact(&text), expected, "{key}");
        }
        let worded = redactor(&["correct-horse"]);
        assert_eq!(worded.redact("a correct answer of a horse"), "a correct answer of a horse");
        assert_eq!(worded.redact("the correct-horse!"), "the [key removed]!");
    }

    #[test]
    fn a8_a_key_at_the_edge_of_a_cut_is_not_half_shown() {
        let redactor = redactor(&[KEY]);
        for before in 0..60 {
            let text = format!("{}{KEY}{}", "x ".repeat(before), "y ".repeat(20_000));
            let clean = redactor.redact_beginning(&text, 64);
            assert!(clean.len() <= 64 && !clean.contains(&KEY[..6]), "{clean}");
        }
    }

    #[test]
    fn a8_a_key_in_the_events_of_a_stream_is_found() {
        let redactor = redactor(&[KEY]);
        let event = |text: &str| {
            format!("data: {}\n\n", json!({"choices": [{"delta": {"content": text}}]}))
        };
        for size in 1..KEY.len() {
            let pieces = KEY.as_bytes().chunks(size);
            let body: String =
                pieces.map(|piece| event(std::str::from_utf8(piece).unwrap())).collect();
            let clean = redactor.redact_excerpt(&body, 64 << 10);
            assert!(clean.contains(REMOVED), "{size}: {clean}");
            assert!(size >= 6 || !clean.contains("content"), "{size}: {clean}");
        }
        let innocent = format!("{}{}", event("Bem-"), event("vindo"));
        assert_eq!(redactor.redact_excerpt(&innocent, 2048), innocent);
    }

    #[test]
    fn a8_field_names_are_redacted_too() {
        let mut value = json!({ "a": [{ KEY: "x", "b": format!("the {KEY}") }], "c": 1 });
        assert!(redactor(&[KEY]).redact_values(&mut value));
        assert_eq!(value, json!({ "a": [{ REMOVED: "x", "b": "the [key removed]" }], "c": 1 }));
        assert!(!redactor(&[KEY]).redact_values(&mut value));
    }

    #[test]
    fn a8_a_long_reply_is_redacted_in_pieces() {
        let redactor = redactor(&[KEY]);
        for before in super::PIECE_BYTES - 40..super::PIECE_BYTES + 40 {
            let text = |key: &str| format!("{}{key}, {}", "x".repeat(before), "é".repeat(100_000));
            assert_eq!(redactor.redact_reply(&text(KEY)), text(REMOVED));
            assert_eq!(redactor.redact_reply(&text(&KEY.to_uppercase())), text(REMOVED));
        }
        let long = "x".repeat(super::PIECE_BYTES * 3);
        assert!(matches!(redactor.redact_reply(&long), std::borrow::Cow::Borrowed(_)));
    }

    /// Texts that begin a search again and again, from one mark or a mix.
    fn families() -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for prefix in
            ["", "a", "?", "&", "&amp;", "%", "%25", "\\", "://", "Bearer ", "key=", "\"", "é"]
        {
            for end in ["", " ", "@", "\\"] {
                all.extend(marks::all().map(|mark| format!("{prefix}{mark}{end}")));
            }
        }
        all
    }

    /// The same, one after the other, for long texts.
    fn simple_families() -> Vec<String> {
        let mut all: Vec<String> = marks::all().map(str::to_owned).collect();
        for one in [
            "ask-",
            "://user:",
            "://",
            "://a@",
            ":\\/\\/",
            "Bearer ",
            "bearer",
            "\\",
            "%25",
            "%",
            "\\u00",
            "\\x4",
            "&#x",
            "&amp;",
            "&",
            "\"",
            "'",
            "9f8e7d",
            "9f8e7d6c5b4a3928170",
            "f5e4d3c2b1a0",
            "c2b1a09f8e7d",
            "aaaaaa",
            "a",
            "?key=",
            "&key=?",
            "é",
            "\u{a0}",
        ] {
            all.push(one.to_owned());
        }
        all
    }

    fn steps(redactor: &Redactor, text: &str) -> u64 {
        let mut steps = 0;
        drop(redactor.redact_counted(text, &mut steps));
        steps
    }

    #[test]
    fn twice_the_text_takes_at_most_twice_the_steps() {
        let known =
            redactor(&[KEY, &"a".repeat(1024), &"ab".repeat(40), "sk-proj-0123456789abcdef"]);
        let all = [(families(), 4 << 10), (simple_families(), 32 << 10)];
        for (families, bytes) in all {
            for family in families {
                let text = |bytes: usize| family.repeat(bytes / family.len());
                let (one, two) = (steps(&known, &text(bytes)), steps(&known, &text(2 * bytes)));
                // A key of 1 KiB in base64 and in hexadecimal is not short beside the text.
                assert!(two <= 2 * one + 8_192, "{family:?}: {one} and then {two} steps");
                assert!(two <= 64 * 2 * bytes as u64, "{family:?}: {two} steps");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 100, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_redacted_without_a_panic(text in "(sk-|p|l|%|%2|%6C|\\\\u|\\\\|key=|\\?|&|://|@|Bearer |é|x|/| ){0,30}") {
            let redactor = redactor(&["planted1"]);
            assert!(!redactor.redact(&format!("{text}planted1{text}")).contains("planted1"));
        }

        #[test]
        fn steps_are_linear_in_any_text(
            parts in proptest::collection::vec("(ask-|sk-|key=|\\?key=|&token=|Bearer |://|user:|@|\\\\|%25|%2|\\\\u00|&#x|\"|9f8e7d|b1a0|aaaaaa|é| ){1,12}", 1..6),
        ) {
            let redactor = redactor(&[KEY, &"a".repeat(256)]);
            let text = parts.concat().repeat(8);
            let (one, two) = (steps(&redactor, &text), steps(&redactor, &format!("{text}{text}")));
            prop_assert!(two <= 2 * one + 2048, "{one} and then {two}");
        }

        #[test]
        fn a_reply_in_pieces_is_the_reply(
            text in "(9f8e7d6c5b4a39281706f5e4d3c2b1a0|9f8e|f5e4d3c2b1a0|9f8e7d6c5b4a39281|%39f8e7d6c5b4a39281706f5e4d3c2b1a0|%|\\\\|a|é){0,8}",
            cuts in proptest::collection::vec(0_usize..64, 0..20),
        ) {
            let redactor = redactor(&[KEY]);
            let (mut held, mut sent, mut rest) = (String::new(), String::new(), text.as_str());
            for cut in cuts {
                let (piece, after) = rest.split_at(rest.floor_char_boundary(cut));
                held.push_str(piece);
                rest = after;
                let settled = redactor.settled(&held);
                sent.push_str(&redactor.redact_reply(&held[..settled]));
                held.drain(..settled);
            }
            held.push_str(rest);
            sent.push_str(&redactor.redact_reply(&held));
            prop_assert_eq!(sent, redactor.redact_reply(&text));
        }
    }
}
