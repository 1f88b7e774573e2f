//! Reading the fields of one object, gathering problems on the way.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::shape::Section;
use super::{MAX_ENTRIES, MAX_YEARS};
use crate::problem::is_blank;
use crate::{Phone, Problem, child, email_address, excerpt, web_address};

/// The fields of one object. It remembers which were asked for, so that the rest can be found, and
/// every problem.
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

    /// Fields that are known but not read here.
    pub(super) fn skip(&mut self, names: impl IntoIterator<Item = &'static str>) {
        self.known.extend(names);
    }

    /// Reads an object further down with the same problems.
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

    /// The fields nobody asked for.
    pub(super) fn unknown(&self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.fields.iter().filter(|(name, _)| !self.known.contains(&name.as_str()))
    }

    /// Where a field is (or would be), and its value unless it is absent or `null`.
    pub(super) fn get(&mut self, name: &'static str) -> (String, Option<&'a Value>) {
        self.known.push(name);
        (child(&self.at, name), self.fields.get(name).filter(|value| !value.is_null()))
    }

    /// A text, unless it is absent or blank; its type and length checked.
    fn given_text(&mut self, name: &'static str, max: usize) -> Given<'a> {
        let (at, value) = self.get(name);
        match value {
            None => Given::Nothing(at),
            Some(Value::String(text)) if is_blank(text) => Given::Blank(at),
            Some(Value::String(text)) => {
                self.within(&at, text, max).map_or(Given::Wrong, |text| Given::Text(at, text))
            }
            Some(other) => {
                self.problem(at, format!("must be a text, but is {}", excerpt(other)));
                Given::Wrong
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

    /// An optional text, byte for byte; blank is absent.
    pub(super) fn text(&mut self, name: &'static str, max: usize) -> Option<String> {
        match self.given_text(name, max) {
            Given::Text(_, text) => Some(text.to_owned()),
            Given::Nothing(_) | Given::Blank(_) | Given::Wrong => None,
        }
    }

    /// A text that must be there, and where it is.
    fn required(
        &mut self,
        name: &'static str,
        what: &str,
        max: usize,
    ) -> Option<(String, &'a str)> {
        match self.given_text(name, max) {
            Given::Text(at, text) => Some((at, text)),
            Given::Nothing(at) => {
                self.problem(at, format!("is missing; it must be {what}"));
                None
            }
            Given::Blank(at) => {
                self.problem(at, format!("is blank; it must be {what}"));
                None
            }
            Given::Wrong => None,
        }
    }

    /// A text that must be there, byte for byte.
    pub(super) fn required_text(
        &mut self,
        name: &'static str,
        what: &str,
        max: usize,
    ) -> Option<String> {
        self.required(name, what, max).map(|(_, text)| text.to_owned())
    }

    /// Keeps what could be read; what could not is a problem at `at`.
    pub(super) fn keep<T, E: Display>(&mut self, at: String, read: Result<T, E>) -> Option<T> {
        read.map_err(|wrong| self.problem(at, wrong)).ok()
    }

    pub(super) fn email(&mut self, name: &'static str) -> Option<String> {
        let (at, text) =
            self.required(name, "an e-mail address like `office@example.com`", usize::MAX)?;
        self.keep(at, email_address(text).map(str::to_owned))
    }

    /// A phone number that must be there; some forms send it as a number.
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

    /// The address of a web page, with a scheme.
    pub(super) fn link(&mut self, name: &'static str) -> Option<String> {
        match self.given_text(name, usize::MAX) {
            Given::Text(at, text) => self.keep(at, web_address(text)),
            _ => None,
        }
    }

    /// A type of ours that is read from a text.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> Option<T> {
        match self.given_text(name, usize::MAX) {
            Given::Text(at, text) => self.keep(at, text.parse()),
            _ => None,
        }
    }

    /// One of an enumeration's names.
    pub(super) fn choice<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        match self.given_text(name, usize::MAX) {
            Given::Text(at, text) => self.keep(at, chosen(text)),
            _ => None,
        }
    }

    /// One of an enumeration's names that must be there.
    pub(super) fn required_choice<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        let one_of = one_of(&names::<T>());
        let (at, text) = self.required(name, &one_of, usize::MAX)?;
        self.keep(at, chosen(text))
    }

    /// Yes or no; absent means no.
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

    /// Full years, as a number or as digits; 0 says nothing.
    pub(super) fn years(&mut self, name: &'static str) -> Option<u32> {
        let (at, value) = self.get(name);
        let value = value.filter(|value| !value.as_str().is_some_and(is_blank))?;
        match number(value)
            .filter(|years| years.fract() == 0.0 && (0.0..=f64::from(MAX_YEARS)).contains(years))
        {
            // In range and whole: the cast is exact.
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

    /// Stars, as a number or as digits.
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

    /// A list of at most [`MAX_ENTRIES`], and where it is.
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

    /// A list of texts, byte for byte; blank ones are dropped.
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

    /// A list of texts that must be there, though it may be empty.
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

/// What a field that should hold a text holds.
enum Given<'a> {
    /// Absent or `null`; here it would be.
    Nothing(String),
    /// A text that nobody would see.
    Blank(String),
    /// A text, and where it is.
    Text(String, &'a str),
    /// Something else; the problem is noted.
    Wrong,
}

/// A number, or a text that is one.
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

/// The variant of this name, or a text that lists all.
fn chosen<T: DeserializeOwned>(name: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(name.to_owned())).map_err(|_| {
        format!(
            "`{}` is not known; it must be {}",
            crate::problem::cut(name),
            one_of(&names::<T>())
        )
    })
}

/// The names of an enumeration, as its `Deserialize` knows them.
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
            Err(serde::de::Error::custom("only the names were wanted"))
        }
        fn deserialize_any<V: serde::de::Visitor<'de>>(
            self,
            _: V,
        ) -> Result<V::Value, Self::Error> {
            Err(serde::de::Error::custom("not an enumeration"))
        }
        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map struct identifier ignored_any
        }
    }
    let mut names = Names(Vec::new());
    // It always fails; what it asked for on the way is the answer.
    drop(T::deserialize(&mut names));
    names.0
}

fn one_of(names: &[&str]) -> String {
    format!(
        "one of {}",
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    )
}
