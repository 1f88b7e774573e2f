//! JSON and XML files, and JSON inside pages. Both are read as a stream: nothing is collected.

use std::collections::HashSet;
use std::fmt;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::excerpt::excerpt;

/// Maximum nesting of XML elements.
const MAX_DEPTH: usize = 256;
/// Maximum number of attributes of an XML element.
const MAX_ATTRIBUTES: usize = 256;
/// Maximum number of characters of a name that a message quotes.
const NAME_CHARS: usize = 60;
/// Maximum number of characters of a parser's message, which may quote the file.
const ERROR_CHARS: usize = 200;

/// What a text of a JSON document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JsonText {
    /// The name of a field.
    Name,
    Value,
    /// A string that is an address if the document is a web app manifest: start page, icons,
    /// screenshots and shortcuts.
    Address,
}

/// Calls `each` with every text of a JSON document, up to the document's end or its first error.
///
/// # Errors
/// If it is not JSON or nested deeper than 128.
pub(super) fn read_json(
    text: &str,
    mut each: impl FnMut(JsonText, &str),
) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    Json { each: &mut each, place: Place::Top }.deserialize(&mut json)?;
    json.end()
}

/// Where a JSON value is, as far as web app manifests have addresses there.
#[derive(Debug, Clone, Copy)]
enum Place {
    Top,
    /// A list whose entries have an address in this field.
    List(&'static str),
    Entry(&'static str),
    Address,
    Other,
}

impl Place {
    fn field(self, name: &str) -> Place {
        match (self, name) {
            (Place::Top, "start_url") => Place::Address,
            (Place::Top, "icons" | "screenshots") => Place::List("src"),
            (Place::Top, "shortcuts") => Place::List("url"),
            (Place::Entry(address), name) if address == name => Place::Address,
            _ => Place::Other,
        }
    }

    fn item(self) -> Place {
        match self {
            Place::List(address) => Place::Entry(address),
            _ => Place::Other,
        }
    }
}

struct Json<'a> {
    each: &'a mut dyn FnMut(JsonText, &str),
    place: Place,
}

impl<'de> DeserializeSeed<'de> for Json<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Json<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        let kind =
            if matches!(self.place, Place::Address) { JsonText::Address } else { JsonText::Value };
        (self.each)(kind, text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let place = self.place.item();
        while items.next_element_seed(Json { each: &mut *self.each, place })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Json { each, place } = self;
        while let Some(place) = fields.next_key_seed(JsonName { each: &mut *each, place })? {
            fields.next_value_seed(Json { each: &mut *each, place })?;
        }
        Ok(())
    }
}

/// The name of a field. Returns the place of its value.
struct JsonName<'a> {
    each: &'a mut dyn FnMut(JsonText, &str),
    place: Place,
}

impl<'de> DeserializeSeed<'de> for JsonName<'_> {
    type Value = Place;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Place, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for JsonName<'_> {
    type Value = Place;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Place, E> {
        (self.each)(JsonText::Name, name);
        Ok(self.place.field(name))
    }
}

/// A part of an XML file that a check looks at, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum XmlPart<'a> {
    /// The local name of the root element. Comes first.
    Root(&'a str),
    /// A text or the value of an attribute.
    Text(&'a str),
    /// The value of an `id`.
    Id(&'a str),
    /// The value of an `href` (with or without prefix) or a `src`.
    Link(&'a str),
    /// The text of a `loc` element.
    Location(&'a str),
}

/// Why a file is not well-formed XML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct XmlError {
    /// Counted from 1.
    pub(super) line: u64,
    pub(super) why: String,
}

/// An element that is not closed yet.
struct Open {
    /// Cut, for messages.
    name: String,
    is_location: bool,
    /// Whether its text is code.
    is_code: bool,
}

/// Parses an XML file and calls `each` with its parts and their lines, counted from 1. A document
/// type with declarations is an error, so that nothing is fetched or expanded.
pub(super) fn read_xml(
    text: &str,
    each: &mut impl FnMut(XmlPart<'_>, u64),
) -> Result<(), XmlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::from_str(text);
    reader.config_mut().enable_all_checks(true);
    let mut lines = Lines { text, at: 0, line: 1 };
    let mut open: Vec<Open> = Vec::new();
    // Number of open elements whose text is code: style sheets and scripts in an SVG.
    let mut code = 0_usize;
    let mut current = String::new();
    let mut roots = 0_u32;
    loop {
        let line = lines.at(reader.buffer_position());
        let wrong = |why: String| XmlError { line, why: excerpt(&why, ERROR_CHARS) };
        let event = reader.read_event().map_err(|error| wrong(error.to_string()))?;
        if !matches!(event, Event::Text(_) | Event::CData(_) | Event::GeneralRef(_)) {
            if !current.trim().is_empty() {
                let Some(parent) = open.last() else {
                    return Err(wrong("text outside the root element".to_owned()));
                };
                if parent.is_location {
                    each(XmlPart::Location(current.trim()), line);
                }
                if code == 0 {
                    each(XmlPart::Text(&current), line);
                }
            }
            current.clear();
        }
        match event {
            Event::Start(start) => {
                let name = start.local_name().into_inner();
                roots = roots.saturating_add(u32::from(open.is_empty()));
                if open.is_empty() {
                    each(XmlPart::Root(name), line);
                }
                if open.len() == MAX_DEPTH {
                    return Err(wrong(format!("it nests elements deeper than {MAX_DEPTH}")));
                }
                read_start(&start, line, each)?;
                let is_code = matches!(name, "style" | "script");
                code += usize::from(is_code);
                let is_location = name == "loc";
                open.push(Open { name: excerpt(name, NAME_CHARS), is_location, is_code });
            }
            Event::Empty(start) => {
                roots = roots.saturating_add(u32::from(open.is_empty()));
                read_start(&start, line, each)?;
            }
            Event::End(_) => {
                let closed = open.pop();
                code -= usize::from(closed.is_some_and(|closed| closed.is_code));
            }
            Event::Text(text) => current.push_str(&text),
            Event::CData(text) => current.push_str(&text),
            Event::GeneralRef(reference) => match resolve(&reference) {
                Some(character) => current.push(character),
                None => {
                    let name = excerpt(&reference, NAME_CHARS);
                    return Err(wrong(format!("the entity `&{name};` is not defined")));
                }
            },
            Event::DocType(doctype) if doctype.contains("<!ENTITY") || doctype.contains('[') => {
                return Err(wrong(
                    "a document type with declarations; leave the DOCTYPE out".to_owned(),
                ));
            }
            Event::DocType(_) | Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => {
                if let Some(Open { name, .. }) = open.last() {
                    return Err(wrong(format!("`<{name}>` is not closed at the end of the file")));
                }
                if roots != 1 {
                    return Err(wrong(format!("{roots} root elements; there must be one")));
                }
                return Ok(());
            }
        }
    }
}

fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> Option<char> {
    match &**reference {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => reference.resolve_char_ref().ok().flatten(),
    }
}

fn read_start(
    start: &BytesStart<'_>,
    line: u64,
    each: &mut impl FnMut(XmlPart<'_>, u64),
) -> Result<(), XmlError> {
    let wrong = |why: String| XmlError { line, why: excerpt(&why, ERROR_CHARS) };
    let mut names = HashSet::new();
    // The library's own check compares each name with all others, which is quadratic.
    for attribute in start.attributes().with_checks(false) {
        let attribute = attribute.map_err(|error| wrong(error.to_string()))?;
        let name = attribute.key.into_inner();
        if names.len() == MAX_ATTRIBUTES {
            return Err(wrong(format!("an element has more than {MAX_ATTRIBUTES} attributes")));
        }
        if !names.insert(name) {
            let name = excerpt(name, NAME_CHARS);
            return Err(wrong(format!("the attribute `{name}` is given twice in one element")));
        }
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| wrong(error.to_string()))?;
        match attribute.key.local_name().into_inner() {
            "id" => each(XmlPart::Id(&value), line),
            "href" | "src" => each(XmlPart::Link(&value), line),
            _ => {}
        }
        each(XmlPart::Text(&value), line);
    }
    Ok(())
}

/// Line numbers of increasing positions, in one pass over the text.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: u64,
}

impl Lines<'_> {
    fn at(&mut self, position: u64) -> u64 {
        let to = usize::try_from(position).unwrap_or(usize::MAX).min(self.text.len());
        if to > self.at {
            self.line +=
                self.text.as_bytes()[self.at..to].iter().filter(|byte| **byte == b'\n').count()
                    as u64;
            self.at = to;
        }
        self.line
    }
}
