//! JSON and XML files, and JSON inside pages. Both are read as a stream: nothing is collected.

use std::collections::{HashMap, HashSet};
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
    /// The local name of the root element, and its namespace. Comes before its content.
    Root { name: &'a str, namespace: Option<&'a str> },
    /// The name of an element or attribute that is a script.
    Script(&'a str),
    /// A text or the value of an attribute.
    Text(&'a str),
    /// What the root element says of its size: its `width`, `height` or `viewBox`. Comes before
    /// [`XmlPart::Root`].
    Size { name: &'a str, value: &'a str },
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
    /// Whether it had text so far.
    has_text: bool,
    /// Whether its text is code.
    is_code: bool,
    /// The prefixes of namespaces that it declares.
    declared: Vec<String>,
}

/// The prefixes of namespaces that are declared, each with the number of open elements that do.
#[derive(Default)]
struct Prefixes(HashMap<String, u32>);

impl Prefixes {
    fn declare(&mut self, prefixes: &[String]) {
        for prefix in prefixes {
            *self.0.entry(prefix.clone()).or_default() += 1;
        }
    }

    fn close(&mut self, prefixes: &[String]) {
        for prefix in prefixes {
            if let Some(open) = self.0.get_mut(prefix) {
                *open -= 1;
                if *open == 0 {
                    self.0.remove(prefix);
                }
            }
        }
    }

    /// The prefix of a name that is not declared.
    fn missing<'a>(&self, name: &'a str) -> Option<&'a str> {
        let (prefix, _) = name.split_once(':')?;
        // These two are always declared.
        let known = matches!(prefix, "xml" | "xmlns") || self.0.contains_key(prefix);
        (!known).then_some(prefix)
    }
}

/// Parses an XML file and calls `each` with its parts and their lines, counted from 1. A document
/// type with declarations is an error, so that nothing is fetched or expanded.
pub(super) fn read_xml(
    text: &str,
    each: &mut impl FnMut(XmlPart<'_>, u64),
) -> Result<(), XmlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some((at, character)) = text.char_indices().find(|(_, c)| !is_xml_character(*c)) {
        let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        return Err(XmlError { line, why: not_allowed(character) });
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().enable_all_checks(true);
    let mut lines = Lines { text, at: 0, line: 1 };
    let mut prefixes = Prefixes::default();
    let mut open: Vec<Open> = Vec::new();
    // Number of open elements whose text is code: style sheets and scripts in an SVG.
    let mut code = 0_usize;
    let mut current = String::new();
    let mut roots = 0_u32;
    loop {
        let start = reader.buffer_position();
        let line = lines.at(start);
        let wrong = |why: String| XmlError { line, why: excerpt(&why, ERROR_CHARS) };
        let event = reader.read_event().map_err(|error| wrong(error.to_string()))?;
        if !matches!(event, Event::Text(_) | Event::CData(_) | Event::GeneralRef(_)) {
            if !current.trim().is_empty() {
                let Some(parent) = open.last_mut() else {
                    return Err(wrong("text outside the root element".to_owned()));
                };
                parent.has_text = true;
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
                if open.len() == MAX_DEPTH {
                    return Err(wrong(format!("it nests elements deeper than {MAX_DEPTH}")));
                }
                let is_root = open.is_empty();
                let declared = read_start(&start, is_root, line, &mut prefixes, each)?;
                let is_code = matches!(name, "style" | "script");
                code += usize::from(is_code);
                let is_location = name == "loc";
                let name = excerpt(name, NAME_CHARS);
                open.push(Open { name, is_location, has_text: false, is_code, declared });
            }
            Event::Empty(start) => {
                roots = roots.saturating_add(u32::from(open.is_empty()));
                let declared = read_start(&start, open.is_empty(), line, &mut prefixes, each)?;
                prefixes.close(&declared);
                if start.local_name().into_inner() == "loc" {
                    each(XmlPart::Location(""), line);
                }
            }
            Event::End(_) => {
                if let Some(closed) = open.pop() {
                    if closed.is_location && !closed.has_text {
                        each(XmlPart::Location(""), line);
                    }
                    code -= usize::from(closed.is_code);
                    prefixes.close(&closed.declared);
                }
            }
            Event::Text(text) if text.contains("]]>") => {
                return Err(wrong("a `]]>` in a text; write it as `]]&gt;`".to_owned()));
            }
            Event::Text(text) => current.push_str(&text),
            Event::CData(text) => current.push_str(&text),
            Event::GeneralRef(reference) => match resolve(&reference) {
                Some(character) if !is_xml_character(character) => {
                    return Err(wrong(not_allowed(character)));
                }
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
            Event::Decl(_) if start > 0 => {
                let why = "the XML declaration is not the first thing in the file";
                return Err(wrong(why.to_owned()));
            }
            Event::Decl(declaration) if !text.is_ascii() && names_other_encoding(&declaration) => {
                return Err(wrong("it declares another encoding than UTF-8".to_owned()));
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

/// Whether an XML declaration names an encoding that is not that of the file.
fn names_other_encoding(declaration: &str) -> bool {
    let declaration = declaration.to_ascii_lowercase();
    let encoding = declaration.split_once("encoding").map(|(_, rest)| rest);
    encoding.is_some_and(|rest| {
        let name = rest.trim_start_matches([' ', '\t', '\r', '\n', '=', '"', '\'']);
        !name.starts_with("utf-8") && !name.starts_with("utf8")
    })
}

/// Whether a name begins as XML allows.
fn begins_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | ':') || !c.is_ascii())
}

/// Whether a blank is missing between two attributes of a tag: `<a b="c"d="e">`.
fn lacks_blank(tag: &str) -> bool {
    let mut quote = None;
    let mut closed = false;
    for c in tag.chars() {
        if closed && !c.is_whitespace() && c != '/' {
            return true;
        }
        closed = quote == Some(c);
        quote = match quote {
            Some(_) if closed => None,
            None if matches!(c, '"' | '\'') => Some(c),
            quote => quote,
        };
    }
    false
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

/// Whether XML 1.0 allows a character.
fn is_xml_character(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        _ => character >= ' ',
    }
}

fn not_allowed(character: char) -> String {
    format!("XML does not allow the control character U+{:04X}", u32::from(character))
}

/// Reads the attributes of an element and returns the prefixes that it declares, which are declared
/// until they are closed.
fn read_start(
    start: &BytesStart<'_>,
    is_root: bool,
    line: u64,
    prefixes: &mut Prefixes,
    each: &mut impl FnMut(XmlPart<'_>, u64),
) -> Result<Vec<String>, XmlError> {
    let wrong = |why: String| XmlError { line, why: excerpt(&why, ERROR_CHARS) };
    let mut names = HashSet::new();
    let mut declared = Vec::new();
    let element = start.name().into_inner();
    let own_prefix = element.split_once(':').map(|(prefix, _)| prefix);
    let mut namespace = None;
    if lacks_blank(start) {
        return Err(wrong("a blank is missing between two attributes".to_owned()));
    }
    if !begins_name(element) {
        let name = excerpt(element, NAME_CHARS);
        return Err(wrong(format!("`{name}` is no name of an element")));
    }
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
        if attribute.value.contains('<') {
            let name = excerpt(name, NAME_CHARS);
            return Err(wrong(format!("the attribute `{name}` has a `<`; write it as `&lt;`")));
        }
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| wrong(error.to_string()))?;
        if let Some(character) = value.chars().find(|c| !is_xml_character(*c)) {
            return Err(wrong(not_allowed(character)));
        }
        let prefix = name.strip_prefix("xmlns:");
        if is_root && (prefix.is_some() || name == "xmlns") && prefix == own_prefix {
            namespace = Some(value.to_string());
        }
        declared.extend(prefix.map(str::to_owned));
        match attribute.key.local_name().into_inner() {
            "id" => each(XmlPart::Id(&value), line),
            "href" | "src" => each(XmlPart::Link(&value), line),
            name @ ("width" | "height" | "viewBox") if is_root => {
                each(XmlPart::Size { name, value: &value }, line);
            }
            // An animation of an address.
            name @ ("to" | "from" | "by" | "values") if leads_to_script(&value) => {
                each(XmlPart::Script(name), line);
            }
            name if name.get(..2).is_some_and(|on| on.eq_ignore_ascii_case("on")) => {
                each(XmlPart::Script(name), line);
            }
            _ => {}
        }
        each(XmlPart::Text(&value), line);
    }
    prefixes.declare(&declared);
    let missing = std::iter::once(element).chain(names).find_map(|name| prefixes.missing(name));
    if let Some(prefix) = missing {
        let prefix = excerpt(prefix, NAME_CHARS);
        return Err(wrong(format!(
            "the prefix `{prefix}:` is used but not declared with `xmlns:{prefix}`"
        )));
    }
    let name = start.local_name().into_inner();
    if is_root {
        each(XmlPart::Root { name, namespace: namespace.as_deref() }, line);
    }
    if name == "script" {
        each(XmlPart::Script(name), line);
    }
    Ok(declared)
}

/// Whether one of the addresses of an animation is a script.
fn leads_to_script(addresses: &str) -> bool {
    addresses.split(';').any(|address| {
        let address = address.trim_start();
        address.get(..11).is_some_and(|scheme| scheme.eq_ignore_ascii_case("javascript:"))
    })
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
