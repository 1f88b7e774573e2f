//! JSON and XML files, and JSON inside pages.

use std::collections::HashSet;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::Value;

/// Calls `each` with every text of a JSON value: field names and strings.
pub(super) fn texts_of(value: &Value, each: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(items) => items.iter().for_each(|item| texts_of(item, each)),
        Value::Object(fields) => {
            for (name, field) in fields {
                each(name);
                texts_of(field, each);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The references of a web app manifest: start page, icons, screenshots and shortcuts.
pub(super) fn manifest_references(manifest: &Value) -> Vec<String> {
    let mut references: Vec<&Value> = manifest.get("start_url").into_iter().collect();
    for (list, field) in [("icons", "src"), ("screenshots", "src"), ("shortcuts", "url")] {
        let entries = manifest.get(list).and_then(Value::as_array).into_iter().flatten();
        references.extend(entries.filter_map(|entry| entry.get(field)));
    }
    references.into_iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What the checks need of an XML file.
#[derive(Debug, Default)]
pub(super) struct Xml {
    /// Local name of the root element.
    pub(super) root: String,
    /// Texts and attribute values, decoded, with their lines counted from 1.
    pub(super) texts: Vec<(String, u64)>,
    /// Values of `id`.
    pub(super) ids: Vec<String>,
    /// Values of `href` (with or without prefix) and of `src`, with their lines.
    pub(super) links: Vec<(String, u64)>,
    /// Texts of `loc` elements, with their lines.
    pub(super) locations: Vec<(String, u64)>,
}

/// Why a file is not well-formed XML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct XmlError {
    pub(super) line: u64,
    pub(super) why: String,
}

/// Parses an XML file. A document type with declarations is an error, so that nothing is fetched or
/// expanded.
pub(super) fn read_xml(text: &str) -> Result<Xml, XmlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::from_str(text);
    reader.config_mut().enable_all_checks(true);
    let mut xml = Xml::default();
    let mut lines = Lines { text, at: 0, line: 1 };
    let mut open: Vec<String> = Vec::new();
    let mut current = String::new();
    let mut roots = 0;
    loop {
        let line = lines.at(reader.buffer_position());
        let wrong = |why: String| XmlError { line, why };
        let event = reader.read_event().map_err(|error| wrong(error.to_string()))?;
        if !matches!(event, Event::Text(_) | Event::CData(_) | Event::GeneralRef(_))
            && !current.trim().is_empty()
        {
            if open.is_empty() {
                return Err(wrong("text outside the root element".to_owned()));
            }
            let text = std::mem::take(&mut current);
            if open.last().is_some_and(|name| name == "loc") {
                xml.locations.push((text.trim().to_owned(), line));
            }
            // Style sheets and scripts in an SVG are code.
            if !open.iter().any(|name| name == "style" || name == "script") {
                xml.texts.push((text, line));
            }
        }
        match event {
            Event::Start(start) => {
                roots += u32::from(open.is_empty());
                read_start(&start, line, &mut xml)?;
                if open.is_empty() {
                    xml.root = local_name(&start);
                }
                open.push(local_name(&start));
            }
            Event::Empty(start) => {
                roots += u32::from(open.is_empty());
                read_start(&start, line, &mut xml)?;
            }
            Event::End(_) => drop(open.pop()),
            Event::Text(text) => current.push_str(&text),
            Event::CData(text) => current.push_str(&text),
            Event::GeneralRef(reference) => match resolve(&reference) {
                Some(character) => current.push(character),
                None => {
                    return Err(wrong(format!("the entity `&{};` is not defined", &*reference)));
                }
            },
            Event::DocType(doctype) if doctype.contains("<!ENTITY") || doctype.contains('[') => {
                return Err(wrong(
                    "a document type with declarations; leave the DOCTYPE out".to_owned(),
                ));
            }
            Event::DocType(_) | Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => {
                if let Some(name) = open.last() {
                    return Err(wrong(format!("`<{name}>` is not closed at the end of the file")));
                }
                if roots != 1 {
                    return Err(wrong(format!("{roots} root elements; there must be one")));
                }
                return Ok(xml);
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

fn local_name(start: &BytesStart<'_>) -> String {
    start.local_name().into_inner().to_owned()
}

fn read_start(start: &BytesStart<'_>, line: u64, xml: &mut Xml) -> Result<(), XmlError> {
    let mut names = HashSet::new();
    // The library's own check compares each name with all others, which is quadratic.
    for attribute in start.attributes().with_checks(false) {
        let attribute = attribute.map_err(|error| XmlError { line, why: error.to_string() })?;
        let name = attribute.key.into_inner();
        if !names.insert(name) {
            return Err(XmlError {
                line,
                why: format!("the attribute `{name}` is given twice in one element"),
            });
        }
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| XmlError { line, why: error.to_string() })?
            .into_owned();
        match attribute.key.local_name().into_inner() {
            "id" => xml.ids.push(value.clone()),
            "href" | "src" => xml.links.push((value.clone(), line)),
            _ => {}
        }
        xml.texts.push((value, line));
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
