//! Parsing of the fields of an object. Findings are collected, not returned early.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::findings::Findings;
use super::{MAX_ENTRIES, MAX_YEARS, extra, names};
use crate::problem::{is_blank, truncated};
use crate::text::{ascii_digit, clean, plain, visible};
use crate::{Phone, child, excerpt, profile_address, read_email, web_address};

/// The fields of an object, with the known field names and what was found so far.
pub(super) struct Fields<'a> {
    pub(super) at: String,
    fields: &'a Map<String, Value>,
    /// The fields whose names are written in another way, by the name that they mean:
    /// `businessName`, `Business Name`.
    written: HashMap<String, &'a str>,
    known: HashSet<&'a str>,
    pub(super) findings: Findings,
    /// Whether HTML entities are decoded: not in a document that was read before.
    decode: bool,
    /// The pointers, from this object, of fields that were sent somewhere else in it.
    pub(super) moved: HashMap<String, String>,
}

/// Maximum length of the name of a field that may be written in another way, in bytes.
const MAX_FIELD_NAME: usize = 60;

/// A field: its pointer, and its value unless it is empty.
pub(super) type Field<'a> = (String, Option<&'a Value>);

impl<'a> Fields<'a> {
    pub(super) fn new(
        at: &str,
        fields: &'a Map<String, Value>,
        findings: Findings,
        decode: bool,
    ) -> Self {
        let mut written = HashMap::new();
        for name in fields.keys().filter(|name| name.len() <= MAX_FIELD_NAME) {
            let meant = meant_name(name);
            if *meant != **name && !fields.contains_key(&*meant) {
                written.entry(meant.into_owned()).or_insert(name.as_str());
            }
        }
        let (at, moved) = (at.to_owned(), HashMap::new());
        Fields { at, fields, written, known: HashSet::new(), findings, decode, moved }
    }

    /// The field that an unknown one means as well: `Business Name` beside `business_name`. `None`
    /// if both have the same value.
    pub(super) fn other_spelling(&self, name: &str) -> Option<&'a str> {
        if name.len() > MAX_FIELD_NAME || !self.decode {
            return None;
        }
        let meant = meant_name(name);
        let (other, value) = match self.fields.get_key_value(&*meant) {
            Some((other, value)) => (other.as_str(), value),
            None => {
                let written = *self.written.get(&*meant)?;
                (written, self.fields.get(written)?)
            }
        };
        let is_other = other != name && self.known.contains(other) && !is_empty(value);
        (is_other && self.fields.get(name) != Some(value)).then_some(other)
    }

    /// Whether this is a document as it was sent, and not one that was read before.
    pub(super) fn is_sent(&self) -> bool {
        self.decode
    }

    /// The pointer to a field, as it was sent.
    pub(super) fn place(&self, name: &str) -> String {
        match self.moved.get(name) {
            Some(moved) => format!("{}{moved}", self.at),
            None => child(&self.at, name),
        }
    }

    /// The field of this name, and the name as it was written.
    fn get(&self, name: &'a str) -> Option<(&'a str, &'a Value)> {
        if let Some(value) = self.fields.get(name) {
            return Some((name, value));
        }
        let written = *self.written.get(name)?;
        Some((written, self.fields.get(written)?))
    }

    /// A value that is not used: what is wrong with it, and what would be right.
    pub(super) fn dropped(&mut self, at: &str, message: impl Display) {
        self.findings.dropped(at, message);
    }

    /// Makes room for the names of this many known fields.
    pub(super) fn expect_names(&mut self, names: usize) {
        self.known.reserve(names);
    }

    /// Marks fields as known without parsing them.
    pub(super) fn skip(&mut self, names: impl IntoIterator<Item = &'static str>) {
        for name in names {
            self.known.insert(name);
        }
    }

    /// Parses a nested object; its findings are added to the same list. Fields that `read` does not
    /// know are dropped with a warning.
    pub(super) fn below<T>(
        &mut self,
        at: &str,
        fields: &'a Map<String, Value>,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let findings = std::mem::take(&mut self.findings);
        let mut inner = Fields::new(at, fields, findings, self.decode);
        let value = read(&mut inner);
        let unknown: Vec<_> = inner.unknown().filter(|(_, value)| !is_empty(value)).collect();
        for (name, value) in unknown {
            inner.drop_unread(at, name, value);
        }
        self.findings = inner.findings;
        value
    }

    /// Drops a field of the object at `at` that is not read. A secret is named without its value.
    pub(super) fn drop_unread(&mut self, at: &str, name: &str, value: &Value) {
        let is_secret = extra::is_secret(name, value);
        let what = if is_secret { "what looks like a secret".into() } else { excerpt(value) };
        self.dropped(&child(at, name), format!("{what} is left out: there is no such field here"));
    }

    /// The fields that were neither parsed nor skipped.
    pub(super) fn unknown(&self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.fields.iter().filter(|(name, _)| !self.known.contains(name.as_str()))
    }

    /// The field with the first of these names that has a value. `null`, a blank text, `[]` and
    /// `{}` are no values: forms send any of them for nothing.
    pub(super) fn first(&mut self, names: &[&'a str]) -> Field<'a> {
        let mut found = None;
        let mut sent = Vec::new();
        for name in names {
            let Some((name, value)) = self.get(name) else { continue };
            sent.push(name);
            if self.is_filler(value) {
                let at = self.place(name);
                self.dropped(&at, format!("{} says nothing; left out", excerpt(value)));
            } else if found.is_none() && !is_empty(value) {
                found = Some((name, value));
            }
        }
        match (found, names.first()) {
            (Some((name, value)), _) => {
                self.known.insert(name);
                (self.place(name), Some(value))
            }
            (None, first) => {
                self.known.extend(sent);
                self.known.extend(names);
                (child(&self.at, first.unwrap_or(&"")), None)
            }
        }
    }

    /// Whether one of these fields has a value that says something.
    pub(super) fn says(&self, names: &[&'a str]) -> bool {
        let found = names.iter().filter_map(|name| self.get(name));
        found.into_iter().any(|(_, value)| !is_empty(value) && !self.is_filler(value))
    }

    /// Whether a value stands for nothing. What was read before says what it says.
    fn is_filler(&self, value: &Value) -> bool {
        self.decode && value.as_str().is_some_and(is_filler)
    }

    /// Whether a field is there and blank, for the message about it.
    fn is_there(&self, at: &str) -> bool {
        let name = at.rsplit('/').next().unwrap_or_default();
        self.fields.get(name).is_some_and(|value| !value.is_null())
    }

    /// Whether a field is a list, possibly an empty one.
    pub(super) fn is_list(&self, name: &str) -> bool {
        self.fields.get(name).is_some_and(Value::is_array)
    }

    /// A text, cleaned, at most `max` characters; `None` if the value is none.
    pub(super) fn as_text(&mut self, at: &str, value: &Value, max: usize) -> Option<String> {
        let text = match value {
            Value::String(text) => Cow::Borrowed(text.as_str()),
            Value::Number(number) => Cow::Owned(
                whole(number).map_or_else(|| number.to_string(), |number| number.to_string()),
            ),
            Value::Array(entries) if entries.len() == 1 => {
                self.dropped(at, "must be a text, but is a list of one: that entry is used");
                return self.as_text(at, entries.first()?, max);
            }
            Value::Array(entries) if is_lines(entries) => {
                let count = entries.len();
                self.dropped(
                    at,
                    format!("must be a text, but is a list of {count}: read as lines"),
                );
                let lines: Vec<_> =
                    entries.iter().filter_map(Value::as_str).map(str::trim).collect();
                Cow::Owned(lines.join("\n"))
            }
            Value::Object(fields) if inner(fields, &TEXTS).is_some() => {
                let value = self.only(at, fields, &TEXTS)?;
                return self.as_text(at, value, max);
            }
            other => {
                self.dropped(at, format!("must be a text, but is {}: left out", excerpt(other)));
                return None;
            }
        };
        let (text, found) = clean(&text, self.decode);
        let said = truncated(&text);
        if found.tags && is_blank(&text) {
            self.dropped(at, "has HTML tags and no text; left out");
            return None;
        }
        if found.tags {
            self.findings.note(at, format!("had HTML tags, which were removed: `{said}`"));
        }
        if found.entities {
            self.dropped(at, format!("had HTML entities, which were decoded: `{said}`"));
        }
        if found.controls > 0 {
            let count = found.controls;
            self.dropped(
                at,
                format!("had {count} control characters, which were removed: `{said}`"),
            );
        }
        if found.invisible > 0 {
            let count = found.invisible;
            let message = format!("had {count} invisible characters, which were removed: `{said}`");
            self.findings.note(at, message);
        }
        if let Some(right) = &found.mojibake {
            let message = format!(
                "`{said}` was decoded with the wrong encoding on its way (it is published as it \
                 is); send it as UTF-8, `{right}`"
            );
            self.dropped(at, message);
        } else if found.replacement {
            let message = format!(
                "`{said}` has a character that was lost on its way (`\u{fffd}`, published as it \
                 is); send the text as UTF-8"
            );
            self.dropped(at, message);
        }
        if is_blank(&text) {
            return None;
        }
        Some(self.within(at, &text, max))
    }

    /// The text, cut before a word if it is too long.
    fn within(&mut self, at: &str, text: &str, max: usize) -> String {
        let used = text.chars().count();
        let Some((end, _)) = text.char_indices().nth(max) else { return text.to_owned() };
        let kept = &text[..end];
        let words = kept.rfind(char::is_whitespace).filter(|at| *at > end / 2);
        let kept = words.map_or(kept, |at| &kept[..at]).trim_end();
        let message =
            format!("has {used} characters; at most {max} are allowed: cut after `{}`", {
                let start = kept.char_indices().rev().nth(20).map_or(0, |(at, _)| at);
                &kept[start..]
            });
        self.dropped(at, message);
        kept.to_owned()
    }

    /// An optional text.
    pub(super) fn text(&mut self, names: &[&'a str], max: usize) -> Option<String> {
        let (at, value) = self.first(names);
        self.as_text(&at, value?, max)
    }

    /// A text without which there is no order.
    pub(super) fn required_text(
        &mut self,
        names: &[&'a str],
        what: &str,
        max: usize,
    ) -> Option<String> {
        let (at, value) = self.first(names);
        let Some(value) = value else {
            let state = if self.is_there(&at) { "blank" } else { "missing" };
            self.findings.refuse(&at, format!("is {state}; it must be {what}"));
            return None;
        };
        let text = self.as_text(&at, value, max);
        if text.is_none() {
            self.findings.blame(std::slice::from_ref(&at));
            if !self.findings.problems(false).iter().any(|problem| problem.pointer == at) {
                self.findings.refuse(&at, format!("is blank; it must be {what}"));
            }
        }
        text
    }

    /// Says that an expected field has no value. Only strict reading refuses the order for it.
    pub(super) fn expected(&mut self, at: &str, what: &str) {
        let state = if self.is_there(at) { "blank" } else { "missing" };
        self.findings.missing(at, format!("is {state}; it must be {what}"));
    }

    /// An expected text.
    pub(super) fn expected_text(
        &mut self,
        names: &[&'a str],
        what: &str,
        max: usize,
    ) -> Option<String> {
        let (at, value) = self.first(names);
        match value {
            Some(value) => self.as_text(&at, value, max),
            None => {
                self.expected(&at, what);
                None
            }
        }
    }

    /// The value, or a warning that it is left out.
    pub(super) fn keep<T, E: Display>(&mut self, at: &str, read: Result<T, E>) -> Option<T> {
        read.map_err(|wrong| self.dropped(at, format!("{wrong}; left out"))).ok()
    }

    /// The value with HTML removed from all of its texts; `None` if they have none.
    pub(super) fn without_html(&mut self, at: &str, value: &Value) -> Option<Value> {
        let mut value = value.clone();
        self.remove_html(at, &mut value).then_some(value)
    }

    /// Returns whether there was any.
    fn remove_html(&mut self, at: &str, value: &mut Value) -> bool {
        match value {
            Value::String(text) => {
                let Some(read) = self.of_html(at, text) else { return false };
                *text = read;
                true
            }
            Value::Array(entries) => {
                let entries = entries.iter_mut().enumerate();
                entries.fold(false, |any, (index, entry)| {
                    self.remove_html(&child(at, index), entry) || any
                })
            }
            Value::Object(fields) => fields
                .iter_mut()
                .fold(false, |any, (name, entry)| self.remove_html(&child(at, name), entry) || any),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// The text that HTML shows; `None` if it is none.
    fn of_html(&mut self, at: &str, text: &str) -> Option<String> {
        let read = if self.decode { plain(text)? } else { return None };
        let said = truncated(&read.text);
        self.findings.note(at, format!("had HTML, which was read as `{said}`"));
        Some(read.text)
    }

    /// The text of a value that becomes a link or a choice; cleaning says nothing about it.
    fn plain(&mut self, at: &str, value: &Value) -> Option<String> {
        match value {
            Value::String(text) => {
                let read = self.of_html(at, text);
                Some(visible(read.as_deref().unwrap_or(text)))
            }
            Value::Array(entries) if entries.len() == 1 => {
                self.dropped(at, "must be a text, but is a list of one: that entry is used");
                self.plain(at, entries.first()?)
            }
            Value::Object(fields) if inner(fields, &VALUES).is_some() => {
                let value = self.only(at, fields, &VALUES)?;
                self.plain(at, value)
            }
            other => {
                self.dropped(at, format!("must be a text, but is {}: left out", excerpt(other)));
                None
            }
        }
    }

    /// The one value of an object that a CRM wraps a text in, as in
    /// `{"value": "x", "type": "work"}`. A warning names what is left out.
    fn only<'v>(
        &mut self,
        at: &str,
        fields: &'v Map<String, Value>,
        names: &[&str],
    ) -> Option<&'v Value> {
        let (name, value) = inner(fields, names)?;
        let others: Vec<_> = fields
            .iter()
            .filter(|(other, value)| *other != name && !is_empty(value))
            .map(|(other, _)| format!("`{}`", truncated(other)))
            .take(5)
            .collect();
        let rest = match others.is_empty() {
            true => String::new(),
            false => format!(", and {} left out", others.join(", ")),
        };
        let what = excerpt(&Value::Object(fields.clone()));
        self.dropped(at, format!("must be a text, but is {what}: its `{name}` is used{rest}"));
        Some(value)
    }

    pub(super) fn email(&mut self, names: &[&'a str], is_expected: bool) -> Option<String> {
        let (at, value) = self.first(names);
        let Some(value) = value else {
            if is_expected {
                self.expected(&at, "an e-mail address like `office@example.com`");
            }
            return None;
        };
        let value = self.first_of_list(&at, value)?;
        let text = self.plain(&at, value)?;
        let read = read_email(&text);
        let (address, others) = self.keep(&at, read)?;
        if let Some(others) = others {
            let message = format!(
                "holds more than one address: `{address}` is used, `{}` is left out",
                truncated(&others)
            );
            self.dropped(&at, message);
        }
        Some(address)
    }

    /// A phone number. Spreadsheets and forms send it as a JSON number, too.
    pub(super) fn phone(&mut self, names: &[&'a str], is_expected: bool) -> Option<Phone> {
        let (at, value) = self.first(names);
        let Some(value) = value else {
            if is_expected {
                self.expected(&at, "a phone number like `+55 19 95550-1011`");
            }
            return None;
        };
        self.as_phone(&at, value)
    }

    pub(super) fn as_phone(&mut self, at: &str, value: &Value) -> Option<Phone> {
        let text = match value {
            Value::Number(number) => match whole(number) {
                Some(digits) => digits.to_string(),
                None => {
                    let message = format!(
                        "must be a phone number as a text, but is {}: left out",
                        excerpt(value)
                    );
                    self.dropped(at, message);
                    return None;
                }
            },
            Value::Array(_) => {
                let value = self.first_of_list(at, value)?;
                return self.as_phone(at, value);
            }
            Value::Object(fields) => {
                let Some((_, number)) = inner(fields, &PHONES) else {
                    let message = format!(
                        "must be a phone number as a text, but is {}: left out",
                        excerpt(value)
                    );
                    self.dropped(at, message);
                    return None;
                };
                let code = inner(fields, &["country_code", "countryCode", "dial_code", "dialCode"]);
                match code.and_then(|(_, code)| with_code(code, number)) {
                    Some(whole) => {
                        let found = excerpt(value);
                        let message = format!("must be a text, but is {found}: read as `{whole}`");
                        self.dropped(at, message);
                        whole
                    }
                    None => {
                        let number = self.only(at, fields, &PHONES)?;
                        return self.as_phone(at, number);
                    }
                }
            }
            value => self.plain(at, value)?,
        };
        let read = Phone::read(&text);
        let written = self.keep(at, read)?;
        for left_out in &written.left_out {
            let message = format!(
                "`{}`: `{}` is used, and `{}` is not dialled; write one number",
                truncated(&text),
                written.phone,
                truncated(left_out)
            );
            self.dropped(at, message);
        }
        Some(written.phone)
    }

    /// The first entry of a list where one value is expected; a warning says so, and how many more
    /// there are.
    fn first_of_list<'v>(&mut self, at: &str, value: &'v Value) -> Option<&'v Value> {
        let Value::Array(entries) = value else { return Some(value) };
        let mut said = entries.iter().filter(|entry| !is_empty(entry));
        let first = said.next()?;
        let message = match said.count() {
            0 => "must be a text, but is a list of one: that entry is used".to_owned(),
            others => format!("is a list: {} is used, {others} more are left out", excerpt(first)),
        };
        self.dropped(at, message);
        Some(first)
    }

    /// An optional URL.
    pub(super) fn link(&mut self, names: &[&'a str]) -> Option<String> {
        let (at, value) = self.first(names);
        self.as_link(&at, value?)
    }

    pub(super) fn as_link(&mut self, at: &str, value: &Value) -> Option<String> {
        let text = self.plain(at, value)?;
        // The name of a file with blanks: `https://example.com/my menu.pdf`.
        let encoded = text.trim().replace(' ', "%20");
        if encoded != text.trim()
            && is_file(&encoded)
            && let Ok(address) = web_address(&encoded)
        {
            self.findings.note(at, format!("`{}` is read as {address}", truncated(&text)));
            return Some(address);
        }
        self.keep(at, web_address(&text))
    }

    /// The page of the business on a social network.
    pub(super) fn profile(&mut self, field: &'static str, names: &[&'a str]) -> Option<String> {
        let (at, value) = self.first(names);
        let text = self.plain(&at, value?)?;
        let address = self.keep(&at, profile_address(field, &text))?;
        if !text.contains('.') || text.starts_with('@') {
            let message = format!("`{}` is read as {address}", truncated(&text));
            self.findings.note(&at, message);
        }
        Some(address)
    }

    /// An optional text as a `T`.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, names: &[&'a str]) -> Option<T> {
        let (at, value) = self.first(names);
        let text = self.plain(&at, value?)?;
        self.keep(&at, text.parse())
    }

    /// An optional enum value, in any case, with blanks or hyphens for `_`.
    pub(super) fn choice<T: DeserializeOwned>(&mut self, name: &'a str) -> Option<T> {
        let (at, value) = self.first(&[name]);
        let text = self.plain(&at, value?)?;
        self.keep(&at, chosen(&text))
    }

    /// A flag as forms write it. Default: `false`.
    pub(super) fn flag(&mut self, names: &[&'a str]) -> bool {
        let (at, value) = self.first(names);
        let Some(value) = value else { return false };
        let flag = as_flag(value);
        if flag.is_none() || value.is_array() || value.is_object() {
            let read = flag.map_or_else(String::new, |flag| format!(": read as `{flag}`"));
            let message = format!("must be `true` or `false`, but is {}{read}", excerpt(value));
            self.dropped(&at, message);
        }
        flag.unwrap_or(false)
    }

    /// A number of full years: `22`, `"22"`, `10+ years`. 0 counts as absent.
    pub(super) fn years(&mut self, name: &'a str) -> Option<u32> {
        let (at, value) = self.first(&[name]);
        let value = value?;
        // `١٥`: the digits of other scripts are the same numbers.
        let in_ascii = value.as_str().map(|text| text.chars().map(ascii_digit).collect::<String>());
        let written = match &in_ascii {
            Some(text) => number(&Value::from(text.trim())).or_else(|| leading_years(text)),
            None => number(value),
        };
        match written
            .filter(|years| years.fract() == 0.0 && (0.0..=f64::from(MAX_YEARS)).contains(years))
        {
            // The value is whole and in range: the cast is exact.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Some(years) => Some(years as u32).filter(|years| *years > 0),
            None => {
                let found = excerpt(value);
                self.dropped(
                    &at,
                    format!(
                        "must be a whole number of years, 0 to {MAX_YEARS}, but is {found}: left \
                         out"
                    ),
                );
                None
            }
        }
    }

    /// A number of stars: `5`, `"4.5"`, `4,5`, `5/5`, `★★★★★`.
    pub(super) fn rating(&mut self, names: &[&'a str]) -> Option<f64> {
        let (at, value) = self.first(names);
        let value = value?;
        let rating = number(value)
            .or_else(|| value.as_str().and_then(stars))
            .filter(|rating| (0.0..=5.0).contains(rating));
        if rating.is_none() {
            self.dropped(
                &at,
                format!("must be a number of stars, 0 to 5, but is {}", excerpt(value)),
            );
        }
        rating
    }

    /// The entries of a list, at most [`MAX_ENTRIES`], with the list's pointer. A text with line
    /// breaks, `;` or `,` is a list, and so is an object with numbered fields.
    pub(super) fn list(&mut self, names: &[&'a str]) -> Option<(String, Vec<Cow<'a, Value>>)> {
        let (at, value) = self.first(names);
        let entries = self.as_list(&at, value?)?;
        Some((at, entries))
    }

    pub(super) fn as_list(&mut self, at: &str, value: &'a Value) -> Option<Vec<Cow<'a, Value>>> {
        let numbered = |fields: &Map<String, Value>| {
            fields.keys().all(|name| name.bytes().all(|b| b.is_ascii_digit()))
        };
        let mut entries: Vec<Cow<'a, Value>> = match value {
            Value::Array(entries) => entries.iter().map(Cow::Borrowed).collect(),
            Value::Object(fields) if numbered(fields) => {
                fields.values().map(Cow::Borrowed).collect()
            }
            // `{"Home": true, "Blog": false}`: what was ticked.
            Value::Object(fields) if are_flags(fields) => {
                let ticked = fields.iter().filter(|(_, value)| as_flag(value) == Some(true));
                let entries: Vec<Cow<'a, Value>> =
                    ticked.map(|(name, _)| Cow::Owned(Value::from(name.as_str()))).collect();
                let count = entries.len();
                let message = format!(
                    "must be a list, but is {}: read as the {count} that are `true`",
                    excerpt(value)
                );
                self.dropped(at, message);
                entries
            }
            // `{"items": […], "total": 3}`
            Value::Object(fields) if list_inside(fields).is_some() => {
                let (name, list) = list_inside(fields)?;
                let found = excerpt(value);
                self.dropped(at, format!("must be a list, but is {found}: its `{name}` are read"));
                return self.as_list(&child(at, name), list);
            }
            Value::String(text) => {
                let is_bullet = |c: char| matches!(c, '•' | '·' | '●' | '▪');
                let separators = ['\n', ';', '|', '•', '●', '▪', '、', '،', ','];
                let separator = separators
                    .into_iter()
                    .find(|separator| parts_of(text.trim(), *separator).nth(1).is_some());
                let parts: Vec<Cow<'a, Value>> = match separator {
                    Some(separator) => parts_of(text, separator)
                        .map(|part| part.trim().trim_start_matches(['-', '*', '–']))
                        .map(|part| part.trim_matches(|c: char| is_bullet(c) || c.is_whitespace()))
                        .filter(|part| !is_blank(part))
                        .take(MAX_ENTRIES + 1)
                        .map(|part| Cow::Owned(Value::from(part)))
                        .collect(),
                    None => vec![Cow::Borrowed(value)],
                };
                let count = match parts.len() {
                    1 => "1 entry".to_owned(),
                    count => format!("{count} entries"),
                };
                let message = format!("must be a list, but is {}: read as {count}", excerpt(value));
                self.dropped(at, message);
                parts
            }
            other => {
                let message = format!("must be a list, but is {}: left out", excerpt(other));
                self.dropped(at, message);
                return None;
            }
        };
        self.at_most(at, &mut entries);
        Some(entries)
    }

    /// Cuts a list to [`MAX_ENTRIES`], with a warning.
    pub(super) fn at_most<T>(&mut self, at: &str, entries: &mut Vec<T>) {
        if entries.len() > MAX_ENTRIES {
            let message = format!(
                "has {} entries; at most {MAX_ENTRIES} are allowed: the others are left out",
                entries.len()
            );
            self.dropped(at, message);
            entries.truncate(MAX_ENTRIES);
        }
    }

    /// A list of texts. Blank texts are dropped; of an object, its name counts.
    pub(super) fn texts(&mut self, names: &[&'a str], max: usize) -> Vec<String> {
        match self.list(names) {
            Some((at, entries)) => self.as_texts(&at, &entries, max),
            None => Vec::new(),
        }
    }

    pub(super) fn as_texts(
        &mut self,
        at: &str,
        entries: &[Cow<'a, Value>],
        max: usize,
    ) -> Vec<String> {
        let entries = entries.iter().enumerate();
        entries.filter_map(|(index, entry)| self.as_entry(&child(at, index), entry, max)).collect()
    }

    /// The text of an entry of a list.
    pub(super) fn as_entry(&mut self, at: &str, entry: &Value, max: usize) -> Option<String> {
        const NAMES: [&str; 12] = [
            "name", "title", "label", "text", "value", "url", "service", "city", "area", "nome",
            "nombre", "nom",
        ];
        if is_empty(entry) {
            return None;
        }
        if self.is_filler(entry) {
            self.dropped(at, format!("{} says nothing; left out", excerpt(entry)));
            return None;
        }
        let named = entry.as_object().and_then(|fields| {
            NAMES.iter().find_map(|name| fields.get(*name).filter(|value| value.is_string()))
        });
        self.as_text(at, named.unwrap_or(entry), max)
    }
}

/// The parts of a list in a text. The `;` of an HTML entity separates nothing.
fn parts_of(text: &str, separator: char) -> impl Iterator<Item = &str> {
    const LONGEST: usize = 12;
    let mut before = 0;
    text.split(move |c: char| {
        // Of the text, `before` has been looked at.
        let at = before;
        before += c.len_utf8();
        if c != separator {
            return false;
        }
        let start = text.floor_char_boundary(at.saturating_sub(LONGEST));
        let entity = text[start..at].rsplit_once('&').map(|(_, name)| name);
        let is_entity = separator == ';'
            && entity.is_some_and(|name| {
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'#')
            });
        !is_entity
    })
}

/// Whether a text is the address of one file, by its end.
fn is_file(address: &str) -> bool {
    const ENDS: [&str; 7] = [".pdf", ".jpg", ".jpeg", ".png", ".webp", ".svg", ".gif"];
    let lower = address.to_ascii_lowercase();
    let is_address = lower.starts_with("https://") || lower.starts_with("http://");
    let is_one = lower.matches("://").count() == 1;
    is_address && is_one && ENDS.iter().any(|end| lower.ends_with(end))
}

/// Whether an object has a flag for each of its names.
pub(super) fn are_flags(fields: &Map<String, Value>) -> bool {
    !fields.is_empty() && fields.values().all(Value::is_boolean)
}

/// The list in an object that has it for a part, with its name: `{"items": [], "total": 3}`.
pub(super) fn list_inside(fields: &Map<String, Value>) -> Option<(&str, &Value)> {
    const NAMES: [&str; 14] = [
        "items",
        "list",
        "entries",
        "values",
        "data",
        "results",
        "nodes",
        "edges",
        "members",
        "people",
        "categories",
        "sections",
        "services",
        "products",
    ];
    let lists = fields.iter().filter(|(_, value)| value.is_array());
    match lists.take(2).collect::<Vec<_>>().as_slice() {
        [(name, list)] if NAMES.contains(&name.as_str()) => Some((name.as_str(), *list)),
        _ => None,
    }
}

/// Whether a value is one of the ways in which forms send nothing.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => is_blank(text),
        Value::Array(entries) => entries.iter().all(is_empty),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The names of the value in an object that a CRM wraps a text in.
const TEXTS: [&str; 10] = [
    "value",
    "text",
    "content",
    "name",
    "displayName",
    "display_name",
    "full_name",
    "title",
    "label",
    "code",
];
/// The names of an address, a link, a colour or a code in such an object.
const VALUES: [&str; 13] = [
    "value", "url", "href", "link", "src", "address", "email", "hex", "code", "number", "text",
    "name", "label",
];
/// The names of a phone number in such an object.
const PHONES: [&str; 11] = [
    "e164",
    "full",
    "international",
    "number",
    "phone",
    "phone_number",
    "phoneNumber",
    "value",
    "raw",
    "formatted",
    "text",
];

/// The first of these fields that is a text or a number.
fn inner<'v>(fields: &'v Map<String, Value>, names: &[&str]) -> Option<(&'v str, &'v Value)> {
    names.iter().find_map(|name| {
        let (name, value) = fields.get_key_value(*name)?;
        let is_said = (value.is_string() || value.is_number()) && !is_empty(value);
        is_said.then_some((name.as_str(), value))
    })
}

/// Whether the entries of a list are a few lines of one text: of an address, of a description.
fn is_lines(entries: &[Value]) -> bool {
    (2..=20).contains(&entries.len()) && entries.iter().all(Value::is_string)
}

/// A number with the country code beside it: `{"country_code": "+44", "number": "020 7946 0123"}`.
fn with_code(code: &Value, number: &Value) -> Option<String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(visible(text).trim().to_owned()),
        Value::Number(number) => whole(number).map(|number| number.to_string()),
        _ => None,
    };
    let code = text(code)?;
    let code = code.trim_start_matches(['+', '0']);
    let number = text(number)?;
    let is_code = (1..=4).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_digit());
    if !is_code || number.starts_with('+') || number.starts_with("00") {
        return None;
    }
    // The zero of Italian numbers is dialled from abroad.
    let number = if code == "39" { &number } else { number.trim_start_matches('0') };
    Some(format!("+{code} {number}"))
}

/// The name that the name of a field means: `business_name` for `businessName`, `Business Name` and
/// `BUSINESS-NAME`.
pub(super) fn meant_name(name: &str) -> Cow<'_, str> {
    let joined = match names::is_plain(name) {
        true => Cow::Borrowed(name),
        false => Cow::Owned(names::without_additions(name, words(name)).join("_")),
    };
    let brands = [
        ("e_mail", "email"),
        ("whats_app", "whatsapp"),
        ("you_tube", "youtube"),
        ("linked_in", "linkedin"),
        ("tik_tok", "tiktok"),
        ("colour", "color"),
    ];
    let name = brands.iter().fold(joined, |name, (written, meant)| {
        if name.contains(written) { Cow::Owned(name.replace(written, meant)) } else { name }
    });
    match names::synonym(&name) {
        Some(field) => Cow::Borrowed(field),
        None => name,
    }
}

/// The words of a field name in lower case: `api` and `key` for `api_key`, `api-key` and `apiKey`.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (after_lower && c.is_uppercase()) {
            words.push(String::new());
        }
        after_lower = c.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a whole text is what forms, spreadsheets and programs write for nothing: `N/A`,
/// `undefined`, `-`.
pub(super) fn is_filler(text: &str) -> bool {
    const WORDS: [&str; 16] = [
        "n/a",
        "#n/a",
        "n.a",
        "n/d",
        "n.d",
        "none",
        "null",
        "nil",
        "undefined",
        "tbd",
        "tba",
        "tbc",
        "k.a",
        "keine angabe",
        "nao informado",
        "[object object]",
    ];
    // No filler has a digit, and a digit is one in whatever way the text is written.
    if is_blank(text) || text.len() > 40 || text.bytes().any(|b| b.is_ascii_digit()) {
        return false;
    }
    let folded = crate::hours::fold_words(&visible(text));
    let dashes = |c: char| matches!(c, '-' | '–' | '—' | '−' | '_' | '.' | '/' | '?' | ' ');
    // `Nan` is a bread.
    WORDS.contains(&folded.as_str()) || text.trim() == "NaN" || folded.chars().all(dashes)
}

/// The digits of a number whose fraction a spreadsheet wrote: `10001.0`.
pub(super) fn without_fraction(text: String) -> String {
    match text.split_once('.') {
        Some((digits, "0" | "00")) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.to_owned()
        }
        _ => text,
    }
}

/// A flag, in the words of forms; `None` if it is none.
pub(super) fn as_flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => match number.as_f64() {
            Some(1.0) => Some(true),
            Some(0.0) => Some(false),
            _ => None,
        },
        Value::String(text) => flag_of(text),
        Value::Array(entries) if entries.len() == 1 => as_flag(&entries[0]),
        Value::Object(fields) => ["checked", "value", "selected", "enabled", "answer"]
            .iter()
            .find_map(|name| fields.get(*name))
            .filter(|value| !value.is_object() && !value.is_array())
            .and_then(as_flag),
        _ => None,
    }
}

/// A flag in the words of forms and spreadsheets; of `Yes, the same number`, the first word.
fn flag_of(text: &str) -> Option<bool> {
    const YES: [&str; 34] = [
        "true",
        "t",
        "yes",
        "y",
        "on",
        "1",
        "1.0",
        "checked",
        "sim",
        "s",
        "si",
        "oui",
        "ja",
        "j",
        "tak",
        "hai",
        "はい",
        "是",
        "نعم",
        "כן",
        "wahr",
        "vrai",
        "verdadero",
        "verdadeiro",
        "vero",
        "waar",
        "prawda",
        "x",
        "✓",
        "✔",
        "✔\u{fe0f}",
        "☑",
        "✅",
        "yep",
    ];
    const NO: [&str; 29] = [
        "false",
        "f",
        "no",
        "n",
        "off",
        "0",
        "0.0",
        "unchecked",
        "nao",
        "non",
        "nein",
        "nee",
        "nie",
        "none",
        "いいえ",
        "否",
        "لا",
        "לא",
        "-",
        "falsch",
        "faux",
        "falso", // typos:ignore
        "onwaar",
        "falsz",
        "✗",
        "✘",
        "☐",
        "❌",
        "nope",
    ];
    let folded = crate::hours::fold_words(&visible(text));
    let known = |word: &str| {
        if YES.contains(&word) {
            return Some(true);
        }
        NO.contains(&word).then_some(false)
    };
    let first = folded.split([',', ';', '.', '(', '-', '–', ':']).next().unwrap_or_default().trim();
    // `Yes, 020 7946 0123` says more than yes.
    let is_short = text.bytes().filter(u8::is_ascii_digit).count() < 4;
    let first = Some(first).filter(|first| is_short && first.chars().count() > 1);
    const POLITE: [&str; 5] = ["please", "bitte", "por favor", "s'il vous plait", "per favore"];
    let plain = POLITE.iter().find_map(|word| Some(folded.strip_suffix(*word)?.trim_end()));
    known(&folded).or_else(|| known(plain?)).or_else(|| known(first?))
}

/// A number without a fraction, as digits.
pub(super) fn whole(number: &serde_json::Number) -> Option<u64> {
    number.as_u64().or_else(|| {
        let value = number.as_f64().filter(|value| value.fract() == 0.0)?;
        // Above 2^53 a float does not hold every whole number.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        (0.0..=9_007_199_254_740_992.0).contains(&value).then_some(value as u64)
    })
}

/// The value of a number, or of a text that is a number.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => {
            let text = text.trim();
            let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-'));
            plain.then(|| text.parse().ok()).flatten()
        }
        _ => None,
    }
}

/// The years of `10 years`, `10+` or `over 10 years`. A year such as `2016` is none.
fn leading_years(text: &str) -> Option<f64> {
    let text = visible(text);
    let from = text.find(|c: char| c.is_ascii_digit())?;
    let digits: String = text[from..].chars().take_while(char::is_ascii_digit).collect();
    let rest = &text[from + digits.len()..];
    let single = !rest.contains(|c: char| c.is_ascii_digit());
    (single && digits.len() <= 3 && from <= 20).then(|| digits.parse().ok()).flatten()
}

/// The stars of `4,5`, `5/5`, `5 stars`, `★★★★☆`.
fn stars(text: &str) -> Option<f64> {
    let text = visible(text);
    let drawn = text.chars().filter(|c| matches!(c, '★' | '⭐')).count();
    if drawn > 0 && !text.contains(|c: char| c.is_ascii_digit()) {
        return u8::try_from(drawn).ok().map(f64::from);
    }
    // The names of the map service of Google.
    const NAMED: [&str; 5] = ["ONE", "TWO", "THREE", "FOUR", "FIVE"];
    if let Some((_, stars)) = NAMED.iter().zip(1_u8..).find(|(name, _)| **name == text) {
        return Some(f64::from(stars));
    }
    let number = text.split(['/', ' ']).next()?.replace(',', ".");
    let of = text.split('/').nth(1).map(str::trim);
    if of.is_some_and(|of| !of.starts_with('5')) {
        return None;
    }
    number.parse().ok()
}

/// The variant with this name; the error lists all names.
pub(super) fn chosen<T: DeserializeOwned>(name: &str) -> Result<T, String> {
    let folded = crate::hours::fold_words(name).replace([' ', '-'], "_");
    serde_json::from_value(Value::String(folded)).map_err(|_| {
        format!("`{}` is not known; it must be {}", truncated(name), one_of(&names::<T>()))
    })
}

/// The names of an enum's variants, from its `Deserialize` implementation.
pub(super) fn names<T: DeserializeOwned>() -> Vec<&'static str> {
    struct Names(Vec<&'static str>);
    impl<'de> serde::Deserializer<'de> for &mut Names {
        type Error = serde::de::value::Error;
        fn deserialize_enum<V: serde::de::Visitor<'de>>(
            self,
            _: &'static str,
            variants: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Self::Error> {
            self.0 = variants.to_vec();
            Err(serde::de::Error::custom("only the names are needed"))
        }
        fn deserialize_any<V: serde::de::Visitor<'de>>(
            self,
            _: V,
        ) -> Result<V::Value, Self::Error> {
            Err(serde::de::Error::custom("not an enum"))
        }
        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
            option unit unit_struct newtype_struct seq tuple tuple_struct map struct identifier
            ignored_any
        }
    }
    let mut names = Names(Vec::new());
    // Deserializing always fails; it has passed the names to `deserialize_enum` before.
    drop(T::deserialize(&mut names));
    names.0
}

pub(super) fn one_of(names: &[&str]) -> String {
    format!(
        "one of {}",
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    )
}
