//! Parses JSON and reports fields that are given more than once.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use sitewright_json_schema::{MAX_PROBLEMS, cut};
use sitewright_order::{Problem, child};

/// Parses `text`. Returns the value and a problem for each field that is given more than once, of
/// which the value has the last.
///
/// # Errors
/// serde_json's error, with line and column.
pub(super) fn parse(text: &str) -> Result<(Value, Vec<Problem>), serde_json::Error> {
    let duplicates = RefCell::new(Vec::new());
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Node { at: None, duplicates: &duplicates }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok((value, duplicates.into_inner()))
}

/// A value, and where it is.
struct Node<'a> {
    at: Option<&'a Path<'a>>,
    duplicates: &'a RefCell<Vec<Problem>>,
}

/// The way to a value. It is written out for a duplicate only: with a name of half a document, a
/// pointer to each value would be many times the document.
struct Path<'a> {
    above: Option<&'a Path<'a>>,
    step: Step<'a>,
}

enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

impl Path<'_> {
    fn pointer(&self) -> String {
        let above = self.above.map(Path::pointer).unwrap_or_default();
        cut(match self.step {
            Step::Name(name) => child(&above, name),
            Step::Index(index) => child(&above, index),
        })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let path = Path { above: self.at, step: Step::Index(list.len()) };
            let node = Node { at: Some(&path), duplicates: self.duplicates };
            match entries.next_element_seed(node)? {
                Some(entry) => list.push(entry),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let path = Path { above: self.at, step: Step::Name(&name) };
            let value =
                fields.next_value_seed(Node { at: Some(&path), duplicates: self.duplicates })?;
            let mut duplicates = self.duplicates.borrow_mut();
            if object.contains_key(&name) && duplicates.len() < MAX_PROBLEMS {
                let again = "is given more than once; give it once";
                duplicates.push(Problem::new(path.pointer(), again));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}
