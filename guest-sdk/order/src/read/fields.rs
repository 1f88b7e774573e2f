//! Parsing of the fields of an object. Problems are collected, not returned early.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::shape::Section;
use super::{MAX_ENTRIES, MAX_YEARS};
use crate::problem::is_blank;
use crate::{Phone, Problem, child, email_address, excerpt, web_address};

/// The fields of an object, with the known field names and the problems found so far.
pub(super) struct Fields<'a> {
    at: String,
    fields: &'a Map<String, Value>,
    known: Vec<&'static str>,
    problems: Vec<Problem>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(section: Section<'a>, problems: Vec<Problem>) -> Self {
        Fields { at: section.at.to_owned(), fields: section.fields, known: Vec::new(), problems }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    pub(super) fn problem(&mut self, at: String, message: impl Display) {
        self.problems.push(Problem::new(at, message.to_string()));
    }

    /// Marks fields as known without parsing them.
    pub(super) fn skip(&mut self, names: impl IntoIterator<Item = &'static str>) {
        self.known.extend(names);
    }

    /// Parses a nested object; its problems are added to the same list.
    pub(super) fn below(
        &mut self,
        at: String,
        fields: &'a Map<String, Value>,
        read: impl FnOnce(&mut Self),
    ) {
        let problems = std::mem::take(&mut self.problems);
        let mut inner = Fields { at, fields, known: Vec::new(), problems };
        read(&mut inner);
        self.problems = inner.problems;
    }

    /// The fields that were neither parsed nor skipped.
    pub(super) fn unknown(&self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.fields.iter().filter(|(name, _)| !self.known.contains(&name.as_str()))
    }

    /// The pointer to a field, and its value unless it is absent or `null`.
    pub(super) fn get(&mut self, name: &'static str) -> (String, Option<&'a Value>) {
        self.known.push(name);
        (child(&self.at, name), self.fields.get(name).filter(|value| !value.is_null()))
    }

    /// Parses a text and checks its type and length.
    fn given_text(&mut self, name: &'static str, max: usize) -> Given<'a> {
        let (at, value) = self.get(name);
        match value {
            None => Given::Absent(at),
            Some(Value::String(text)) if is_blank(text) => Given::Blank(at),
            Some(Value::String(text)) => {
                self.within(&at, text, max).map_or(Given::Invalid, |text| Given::Text(at, text))
            }
            Some(other) => {
                self.problem(at, format!("must be a text, but is {}", excerpt(other)));
                Given::Invalid
            }
        }
    }

    fn within(&mut self, at: &str, text: &'a str, max: usize) -> Option<&'a str> {
        let used = text.chars().count();
        if used > max {
            self.problem(
                at.to_owned(),
                format!("has {used} characters; at most {max} are allowed"),
            );
        }
        (used <= max).then_some(text)
    }

    /// Parses an optional text, unchanged. A blank text counts as absent.
    pub(super) fn text(&mut self, name: &'static str, max: usize) -> Option<String> {
        match self.given_text(name, max) {
            Given::Text(_, text) => Some(text.to_owned()),
            Given::Absent(_) | Given::Blank(_) | Given::Invalid => None,
        }
    }

    /// Parses a required text and returns it with its pointer.
    fn required(
        &mut self,
        name: &'static str,
        what: &str,
        max: usize,
    ) -> Option<(String, &'a str)> {
        match self.given_text(name, max) {
            Given::Text(at, text) => Some((at, text)),
            Given::Absent(at) => {
                self.problem(at, format!("is missing; it must be {what}"));
                None
            }
            Given::Blank(at) => {
                self.problem(at, format!("is blank; it must be {what}"));
                None
            }
            Given::Invalid => None,
        }
    }

    /// Parses a required text, unchanged.
    pub(super) fn required_text(
        &mut self,
        name: &'static str,
        what: &str,
        max: usize,
    ) -> Option<String> {
        self.required(name, what, max).map(|(_, text)| text.to_owned())
    }

    /// Turns an error into a problem at `at`.
    pub(super) fn keep<T, E: Display>(&mut self, at: String, read: Result<T, E>) -> Option<T> {
        read.map_err(|wrong| self.problem(at, wrong)).ok()
    }

    pub(super) fn email(&mut self, name: &'static str) -> Option<String> {
        let (at, text) =
            self.required(name, "an e-mail address like `office@example.com`", usize::MAX)?;
        self.keep(at, email_address(text).map(str::to_owned))
    }

    /// Parses a required phone number. Some forms send it as a JSON number.
    pub(super) fn phone(&mut self, name: &'static str) -> Option<Phone> {
        if let (at, Some(value @ Value::Number(number))) = self.get(name) {
            let read = match number.as_u64() {
                Some(digits) => {
                    digits.to_string().parse().map_err(|wrong: crate::PhoneError| wrong.to_string())
                }
                None => Err(format!("must be a phone number as a text, but is {}", excerpt(value))),
            };
            return self.keep(at, read);
        }
        let (at, text) =
            self.required(name, "a phone number like `+55 19 95550-1011`", usize::MAX)?;
        self.keep(at, text.parse())
    }

    /// Parses an optional URL.
    pub(super) fn link(&mut self, name: &'static str) -> Option<String> {
        match self.given_text(name, usize::MAX) {
            Given::Text(at, text) => self.keep(at, web_address(text)),
            _ => None,
        }
    }

    /// Parses an optional text as a `T`.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> Option<T> {
        match self.given_text(name, usize::MAX) {
            Given::Text(at, text) => self.keep(at, text.parse()),
            _ => None,
        }
    }

    /// Parses an optional enum value.
    pub(super) fn choice<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        match self.given_text(name, usize::MAX) {
            Given::Text(at, text) => self.keep(at, chosen(text)),
            _ => None,
        }
    }

    /// Parses a required enum value.
    pub(super) fn required_choice<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        let one_of = one_of(&names::<T>());
        let (at, text) = self.required(name, &one_of, usize::MAX)?;
        self.keep(at, chosen(text))
    }

    /// Parses a flag. Default: `false`.
    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        let (at, value) = self.get(name);
        match value {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) if text == "true" => true,
            Some(Value::String(text)) if text == "false" || is_blank(text) => false,
            Some(Value::Number(number)) if number.as_u64().is_some_and(|number| number <= 1) => {
                number.as_u64() == Some(1)
            }
            Some(other) => {
                self.problem(at, format!("must be `true` or `false`, but is {}", excerpt(other)));
                false
            }
        }
    }

    /// Parses a number of full years, given as a number or as digits. 0 counts as absent.
    pub(super) fn years(&mut self, name: &'static str) -> Option<u32> {
        let (at, value) = self.get(name);
        let value = value.filter(|value| !value.as_str().is_some_and(is_blank))?;
        match number(value)
            .filter(|years| years.fract() == 0.0 && (0.0..=f64::from(MAX_YEARS)).contains(years))
        {
            // The value is whole and in range: the cast is exact.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Some(years) => Some(years as u32).filter(|years| *years > 0),
            None => {
                let found = excerpt(value);
                self.problem(
                    at,
                    format!("must be a whole number of years, 0 to {MAX_YEARS}, but is {found}"),
                );
                None
            }
        }
    }

    /// Parses a number of stars, given as a number or as digits.
    pub(super) fn rating(&mut self, name: &'static str) -> Option<f64> {
        let (at, value) = self.get(name);
        let value = value.filter(|value| !value.as_str().is_some_and(is_blank))?;
        let rating = number(value).filter(|rating| (0.0..=5.0).contains(rating));
        if rating.is_none() {
            self.problem(
                at,
                format!("must be a number of stars, 0 to 5, but is {}", excerpt(value)),
            );
        }
        rating
    }

    /// Parses a list of at most [`MAX_ENTRIES`] entries and returns it with its pointer.
    pub(super) fn list(&mut self, name: &'static str) -> Option<(String, &'a [Value])> {
        let (at, value) = self.get(name);
        match value? {
            Value::Array(entries) if entries.len() > MAX_ENTRIES => {
                self.problem(
                    at,
                    format!("has {} entries; at most {MAX_ENTRIES} are allowed", entries.len()),
                );
                None
            }
            Value::Array(entries) => Some((at, entries)),
            other => {
                self.problem(at, format!("must be a list, but is {}", excerpt(other)));
                None
            }
        }
    }

    /// Parses a list of texts, unchanged. Blank texts are dropped.
    pub(super) fn texts(&mut self, name: &'static str, max: usize) -> Vec<String> {
        let Some((at, entries)) = self.list(name) else { return Vec::new() };
        let mut texts = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            match entry {
                Value::Null => {}
                Value::String(text) if is_blank(text) => {}
                Value::String(text) => {
                    texts.extend(self.within(&child(&at, index), text, max).map(str::to_owned))
                }
                other => self.problem(
                    child(&at, index),
                    format!("must be a text, but is {}", excerpt(other)),
                ),
            }
        }
        texts
    }

    /// Parses a required list of texts, which may be empty.
    pub(super) fn required_texts(
        &mut self,
        name: &'static str,
        what: &str,
        max: usize,
    ) -> Option<Vec<String>> {
        if let (at, None) = self.get(name) {
            self.problem(at, format!("is missing; it must be {what}"));
            return None;
        }
        Some(self.texts(name, max))
    }
}

/// The value of a field that should be a text.
enum Given<'a> {
    /// Absent or `null`, with the pointer to where it is expected.
    Absent(String),
    /// A blank text, with its pointer.
    Blank(String),
    /// A text, with its pointer.
    Text(String, &'a str),
    /// Not a valid text; the problem is recorded.
    Invalid,
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

/// The variant with this name; the error lists all names.
fn chosen<T: DeserializeOwned>(name: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(name.to_owned())).map_err(|_| {
        format!(
            "`{}` is not known; it must be {}",
            crate::problem::truncated(name),
            one_of(&names::<T>())
        )
    })
}

/// The names of an enum's variants, from its `Deserialize` implementation.
fn names<T: DeserializeOwned>() -> Vec<&'static str> {
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

fn one_of(names: &[&str]) -> String {
    format!(
        "one of {}",
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    )
}
