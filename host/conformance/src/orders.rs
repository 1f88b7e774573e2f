//! Derives orders from a template's JSON Schema.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use sitewright_script::{HOSTILE, Sample, sample};

use super::case::Derive;
use super::suite;
use sitewright_intake::{self as order, Locale};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_runtime::plugin::Manifest;

/// Number of entries of a long list.
const LONG_LIST: usize = 200;
/// Maximum number of orders per case; further ones are not tested.
const MAX_ORDERS: usize = 64;

/// Maximum orders of a case that are tried; those that the schema rejects are left out.
const MAX_TRIED: usize = 4 * MAX_ORDERS;
/// Maximum texts of an order that a case changes, each on its own.
const MAX_TEXTS: usize = 1_000;
/// Maximum bytes of orders that are checked while orders are derived, all together. The template's
/// schema decides how large an order is and how many there are. 256 MiB.
const MAX_CHECKED_BYTES: u64 = 256 << 20;
/// Maximum steps of making a text that a pattern matches.
const MAX_PATTERN_STEPS: usize = 5_000;
/// Maximum parts of the schema in which enumerations are looked for.
const MAX_SCHEMA_PARTS: usize = 20_000;

/// What another business has in place of the values in `orders/known.json`.
const OTHER_BUSINESS: [(&str, &str); 4] = [
    ("business_name", "Old Mill Pottery"),
    ("business_email", "kiln@oldmill.example"),
    ("business_phone", "+1 512 555 0178"),
    ("business_address", "3 Mill Street\nSpringfield"),
];

/// An order, and the detail in which it differs from the full order.
#[derive(Debug, Clone)]
pub(super) struct NamedOrder {
    /// Empty if the case has only one order.
    pub(super) name: String,
    pub(super) document: Value,
}

/// Derives orders for one template.
pub(super) struct Orders {
    manifest: Manifest,
    schema: Value,
    max_bytes: usize,
    locale: Locale,
    full: Value,
    minimal: Value,
    /// Bytes of the orders checked so far; see [`MAX_CHECKED_BYTES`].
    checked_bytes: AtomicU64,
    /// SHA-256 of each order that both accept: many are derived in steps, and checked again as a
    /// whole, which takes longer than all else here.
    accepted: Mutex<HashSet<[u8; 32]>>,
}

impl Orders {
    /// Derives the full and the minimal order.
    ///
    /// # Errors
    /// If the template's schema or the suite's embedded values are not JSON.
    pub(super) fn new(
        manifest: Manifest,
        max_bytes: usize,
        default_locale: &Locale,
    ) -> Result<Self, Message> {
        let schema: Value = serde_json::from_str(&manifest.order_schema_text)
            .map_err(|error| message!("the template's order schema cannot be read: {error}"))?;
        let known = suite::known()?;
        let mut solved = schema.clone();
        solve_patterns(&mut solved);
        let english = manifest.locales.iter().find(|locale| locale.language() == "en");
        let locale = english
            .or(manifest.locales.first())
            .map_or_else(|| "en".to_owned(), ToString::to_string);
        let mut orders = Orders {
            manifest,
            schema,
            max_bytes,
            locale: default_locale.clone(),
            full: Value::Null,
            minimal: Value::Null,
            checked_bytes: AtomicU64::new(0),
            accepted: Mutex::default(),
        };
        let made = |how: Sample, wanted: &dyn Fn(&str) -> bool| {
            let mut document = match sample(&solved, how) {
                document @ Value::Object(_) => document,
                _ => json!({}),
            };
            for (name, value) in &known {
                let value = if name == "locale" { &json!(locale) } else { value };
                if document.get(name).is_none() && !wanted(name) {
                    continue;
                }
                let before = document.get(name).cloned();
                document[name] = value.clone();
                // The template's schema may require another value.
                if orders.rejects(&document, name) {
                    match before {
                        Some(before) => document[name] = before,
                        None => {
                            drop(document.as_object_mut().map(|fields| fields.shift_remove(name)))
                        }
                    }
                }
            }
            // The host treats an empty `extra` as absent.
            if document
                .get("extra")
                .is_some_and(|extra| extra.as_object().is_some_and(Map::is_empty))
            {
                drop(document.as_object_mut().map(|fields| fields.shift_remove("extra")));
            }
            document
        };
        let required = [
            "id",
            "locale",
            "business_name",
            "business_email",
            "business_phone",
            "niche",
            "primary_city",
            "state",
            "primary_service",
        ];
        let minimal = made(Sample::Smallest, &|name| required.contains(&name));
        let full = made(Sample::Full, &|_| true);
        orders.minimal = orders.completed(minimal, &known);
        orders.full = full;
        Ok(orders)
    }

    /// Adds the fields that the host requires; lists stay empty.
    fn completed(&self, mut document: Value, known: &Map<String, Value>) -> Value {
        let problems = |document: &Value| match order::load(
            document.to_string().as_bytes(),
            self.max_bytes,
            &self.locale,
        ) {
            Ok(_) => 0,
            Err(error) => error.problems().count(),
        };
        let mut before = problems(&document);
        for (name, value) in known {
            if before == 0 || document.get(name).is_some() {
                continue;
            }
            let least = if value.is_array() { json!([]) } else { value.clone() };
            document[name] = least;
            match problems(&document) {
                fewer if fewer < before => before = fewer,
                _ => drop(document.as_object_mut().map(|fields| fields.shift_remove(name))),
            }
        }
        document
    }

    /// Whether the template's schema rejects this field.
    fn rejects(&self, document: &Value, name: &str) -> bool {
        let here = format!("/{name}");
        self.manifest
            .order_schema
            .check_blocking(&document.to_string())
            .is_ok_and(|problems| problems.iter().any(|problem| problem.pointer.starts_with(&here)))
    }

    /// Why the host or the template rejects an order; `None` if both accept it.
    pub(super) fn rejection(&self, document: &Value) -> Option<String> {
        let text = document.to_string();
        let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        if self.accepted.lock().contains(&digest) {
            return None;
        }
        let before = self.checked_bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
        if before > MAX_CHECKED_BYTES {
            return Some(format!(
                "the orders that the schema asks for have more than {MAX_CHECKED_BYTES} bytes"
            ));
        }
        let snapshot = match order::load(text.as_bytes(), self.max_bytes, &self.locale) {
            Ok(snapshot) => snapshot,
            Err(error) => return Some(error.to_string()),
        };
        let document = match self.manifest.document_of(&snapshot) {
            Ok(document) => document,
            Err(error) => return Some(error.to_string()),
        };
        let problems = match self.manifest.order_schema.check_blocking(&document) {
            Ok(problems) => problems,
            Err(error) => return Some(error.to_string()),
        };
        let why =
            problems.first().map(|problem| format!("{}: {}", problem.pointer, problem.message));
        if why.is_none() {
            self.accepted.lock().insert(digest);
        }
        why
    }

    fn is_accepted(&self, document: &Value) -> bool {
        self.rejection(document).is_none()
    }

    /// The orders of a case, derived from `base`, an order that became a site.
    ///
    /// # Errors
    /// If the schema accepts no such order: the reason, for the report.
    pub(super) fn derive(
        &self,
        how: Derive,
        base: Option<&Value>,
    ) -> Result<Vec<NamedOrder>, String> {
        let whole =
            |document: &Value| NamedOrder { name: String::new(), document: document.clone() };
        let base = base.unwrap_or(&self.full);
        let made = match how {
            Derive::Minimal | Derive::Baseline => vec![whole(&self.minimal)],
            Derive::Full => vec![whole(&self.full)],
            Derive::WithoutEach => self.without_each(base),
            Derive::EachValue => self.each_value(base),
            Derive::EachLocale => self.each_locale(base),
            Derive::Hostile => self.hostile(base),
            Derive::Colours => self.colours(base),
            Derive::EmptyLists => self.empty_lists(base),
            Derive::LongLists => self.long_lists(base),
            Derive::OtherBusiness => self.other_business(base),
        };
        let why = match made.as_slice() {
            [one] => self.rejection(&one.document),
            _ => None,
        };
        let accepted = made.into_iter().filter(|order| self.is_accepted(&order.document));
        // No more are checked than are used.
        let made: Vec<NamedOrder> = accepted.take(MAX_ORDERS).collect();
        match (made.is_empty(), why) {
            (false, _) => Ok(made),
            (true, Some(why)) => Err(format!(
                "no such order could be derived from the schema ({why}); add one as a case of your \
                 own in `conformance/`"
            )),
            (true, None) => Err("no field of the schema allows such an order".to_owned()),
        }
    }

    fn without_each(&self, base: &Value) -> Vec<NamedOrder> {
        let Some(fields) = base.as_object() else { return Vec::new() };
        let optional = fields.keys().filter(|name| self.minimal.get(name.as_str()).is_none());
        optional
            .take(MAX_TRIED)
            .map(|name| {
                let mut fields = fields.clone();
                fields.shift_remove(name);
                NamedOrder { name: format!("without {name}"), document: Value::Object(fields) }
            })
            .collect()
    }

    fn each_value(&self, base: &Value) -> Vec<NamedOrder> {
        let mut found = Vec::new();
        let mut parts = 0;
        self.enumerations(&self.schema, String::new(), base, &mut parts, 0, &mut found);
        found
            .into_iter()
            .filter(|(pointer, value)| base.pointer(pointer) != Some(value))
            .take(MAX_TRIED)
            .filter_map(|(pointer, value)| {
                let mut document = base.clone();
                *document.pointer_mut(&pointer)? = value.clone();
                let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                Some(NamedOrder {
                    name: format!("{} = {shown}", pointer.trim_start_matches('/')),
                    document,
                })
            })
            .collect()
    }

    /// Collects the pointers to all enumerations in the schema, with each value.
    fn enumerations(
        &self,
        schema: &Value,
        pointer: String,
        at: &Value,
        parts: &mut usize,
        depth: usize,
        found: &mut Vec<(String, Value)>,
    ) {
        *parts += 1;
        if depth > 16 || found.len() > 10 * MAX_ORDERS || *parts > MAX_SCHEMA_PARTS {
            return;
        }
        let follow = |reference: &str| self.schema.pointer(reference.strip_prefix('#')?);
        if let Some(part) = schema.get("$ref").and_then(Value::as_str).and_then(follow) {
            self.enumerations(part, pointer.clone(), at, parts, depth + 1, found);
        }
        for key in ["allOf", "anyOf", "oneOf"] {
            for part in schema.get(key).and_then(Value::as_array).into_iter().flatten() {
                self.enumerations(part, pointer.clone(), at, parts, depth + 1, found);
            }
        }
        let listed = schema
            .get("enum")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .chain(schema.get("const"))
            .take(10 * MAX_ORDERS);
        found.extend(
            listed.filter(|value| !value.is_null()).map(|value| (pointer.clone(), value.clone())),
        );
        if schema.get("type").and_then(Value::as_str) == Some("boolean") {
            found.extend([true, false].map(|flag| (pointer.clone(), Value::Bool(flag))));
        }
        for (name, property) in
            schema.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            if let Some(inner) = at.get(name) {
                self.enumerations(
                    property,
                    format!("{pointer}/{}", escaped(name)),
                    inner,
                    parts,
                    depth + 1,
                    found,
                );
            }
        }
        if let (Some(items), Some(inner)) = (schema.get("items"), at.get(0)) {
            self.enumerations(items, format!("{pointer}/0"), inner, parts, depth + 1, found);
        }
    }

    fn each_locale(&self, base: &Value) -> Vec<NamedOrder> {
        let locales = self.manifest.locales.iter().take(MAX_TRIED);
        locales
            .map(|locale| {
                let mut document = base.clone();
                document["locale"] = json!(locale.to_string());
                NamedOrder { name: locale.to_string(), document }
            })
            .collect()
    }

    /// The order with each text replaced by the first result of `change` that is accepted.
    fn with_texts(&self, base: &Value, change: &dyn Fn(&str) -> Vec<String>) -> Value {
        let mut document = base.clone();
        let mut texts = Vec::new();
        leaves(base, String::new(), &mut texts);
        texts.retain(|(_, value)| value.is_string());
        texts.truncate(MAX_TEXTS);
        self.change_texts(&mut document, &texts, change);
        document
    }

    /// Changes all these texts at once if that is accepted, otherwise each half on its own: most
    /// fields take any text, and to read an order takes longer than all else here.
    fn change_texts(
        &self,
        document: &mut Value,
        texts: &[(String, Value)],
        change: &dyn Fn(&str) -> Vec<String>,
    ) {
        let options = |value: &Value| value.as_str().map(change).unwrap_or_default();
        let set = |document: &mut Value, pointer: &str, value: Value| {
            if let Some(slot) = document.pointer_mut(pointer) {
                *slot = value;
            }
        };
        let most = match texts {
            [] => 0,
            [(_, one)] => options(one).len(),
            _ => 1,
        };
        for option in 0..most {
            for (pointer, value) in texts {
                if let Some(changed) = options(value).into_iter().nth(option) {
                    set(document, pointer, Value::String(changed));
                }
            }
            if self.is_accepted(document) {
                return;
            }
            for (pointer, value) in texts {
                set(document, pointer, value.clone());
            }
        }
        if texts.len() > 1 {
            let (first, second) = texts.split_at(texts.len() / 2);
            self.change_texts(document, first, change);
            self.change_texts(document, second, change);
        }
    }

    fn hostile(&self, base: &Value) -> Vec<NamedOrder> {
        let markup = self.with_texts(base, &|text| {
            vec![
                format!("{text} {HOSTILE} {{{{ x }}}} ${{y}}"),
                format!("{text} {HOSTILE}"),
                "<sw-hostile>".to_owned(),
            ]
        });
        let signs = "\u{202e}\u{200b}مرحبا 👩‍👩‍👧 ﷽ e\u{301} 漢字 \u{2028}%s %n ../../ ' -- ;";
        let unicode = self.with_texts(base, &|text| vec![format!("{signs}{text}")]);
        let long = self.with_texts(base, &|text| {
            [2_000, 400, 100]
                .iter()
                .map(|length| format!("{text} {}", "very long words ".repeat(length / 16)))
                .collect()
        });
        let unbroken = self.with_texts(base, &|text| vec![format!("{text}{}", "w".repeat(180))]);
        [("markup", markup), ("signs", unicode), ("long texts", long), ("unbroken words", unbroken)]
            .into_iter()
            .filter(|(_, document)| document != base)
            .map(|(name, document)| NamedOrder { name: name.to_owned(), document })
            .collect()
    }

    fn colours(&self, base: &Value) -> Vec<NamedOrder> {
        let sets: [(&str, [&str; 3]); 5] = [
            ("black", ["#000000"; 3]),
            ("white", ["#ffffff"; 3]),
            ("the same grey", ["#808080"; 3]),
            ("clashing", ["#ffff00", "#ff00ff", "#00ff00"]),
            ("nearly white on white", ["#fffffe", "#ffffff", "#fefefe"]),
        ];
        let mut values = Vec::new();
        leaves(base, String::new(), &mut values);
        let is_colour = |value: &Value| {
            value.as_str().is_some_and(|text| {
                text.len() == 7
                    && text.starts_with('#')
                    && text[1..].bytes().all(|b| b.is_ascii_hexdigit())
            })
        };
        values.retain(|(_, value)| is_colour(value));
        if values.is_empty() {
            return Vec::new();
        }
        sets.into_iter()
            .map(|(name, colours)| {
                let mut document = base.clone();
                for ((pointer, _), colour) in values.iter().zip(colours.iter().cycle()) {
                    if let Some(slot) = document.pointer_mut(pointer) {
                        *slot = json!(colour);
                    }
                }
                NamedOrder { name: name.to_owned(), document }
            })
            .collect()
    }

    fn empty_lists(&self, base: &Value) -> Vec<NamedOrder> {
        let mut document = base.clone();
        let names: Vec<String> = lists(base);
        for name in &names {
            let before = std::mem::replace(&mut document[name], json!([]));
            if !self.is_accepted(&document) {
                document[name] = before;
            }
        }
        if names.is_empty() {
            Vec::new()
        } else {
            vec![NamedOrder { name: String::new(), document }]
        }
    }

    /// All lists at once if that is accepted, otherwise one after the other, each as long as it
    /// may be.
    fn long_lists(&self, base: &Value) -> Vec<NamedOrder> {
        let is_filled = |name: &String| base[name].as_array().is_some_and(|list| !list.is_empty());
        let names: Vec<String> = lists(base).into_iter().filter(is_filled).collect();
        if names.is_empty() {
            return Vec::new();
        }
        let mut document = base.clone();
        for name in &names {
            document[name] = lengthened(&base[name], LONG_LIST);
        }
        if self.is_accepted(&document) {
            return vec![NamedOrder { name: String::new(), document }];
        }
        let mut document = base.clone();
        let mut longer = false;
        for name in &names {
            for length in [LONG_LIST, LONG_LIST / 2, 50, 20, 10] {
                let grown = lengthened(&base[name], length);
                let before = std::mem::replace(&mut document[name], grown);
                if self.is_accepted(&document) {
                    longer = true;
                    break;
                }
                document[name] = before;
            }
        }
        if longer { vec![NamedOrder { name: String::new(), document }] } else { Vec::new() }
    }

    fn other_business(&self, base: &Value) -> Vec<NamedOrder> {
        let mut document = base.clone();
        let mut differs = false;
        for (name, other) in OTHER_BUSINESS {
            if base.get(name).is_none() {
                continue;
            }
            let before = std::mem::replace(&mut document[name], json!(other));
            if self.is_accepted(&document) {
                differs = true;
            } else {
                document[name] = before;
            }
        }
        if differs { vec![NamedOrder { name: String::new(), document }] } else { Vec::new() }
    }
}

/// The names of the lists of an order.
fn lists(document: &Value) -> Vec<String> {
    let fields = document.as_object().into_iter().flatten();
    fields.filter(|(_, value)| value.is_array()).map(|(name, _)| name.clone()).collect()
}

/// The list with at least this number of entries, if it has one: its own, then numbered ones.
fn lengthened(list: &Value, length: usize) -> Value {
    let Some(entries) = list.as_array().filter(|entries| !entries.is_empty()) else {
        return list.clone();
    };
    let entry = |at: usize| match entries.get(at) {
        Some(entry) => entry.clone(),
        None => numbered(&entries[at % entries.len()], at),
    };
    Value::Array((0..length.max(entries.len())).map(entry).collect())
}

/// The entry with a number in its first text, so that entries differ.
fn numbered(entry: &Value, number: usize) -> Value {
    match entry {
        Value::String(text) => Value::String(format!("{text} {number}")),
        Value::Object(fields) => {
            let mut fields = fields.clone();
            if let Some(Value::String(text)) = fields.values_mut().find(|value| value.is_string()) {
                text.push_str(&format!(" {number}"));
            }
            Value::Object(fields)
        }
        other => other.clone(),
    }
}

fn leaves(value: &Value, pointer: String, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                leaves(value, format!("{pointer}/{}", escaped(name)), found);
            }
        }
        Value::Array(entries) => {
            for (at, value) in entries.iter().enumerate() {
                leaves(value, format!("{pointer}/{at}"), found);
            }
        }
        other => found.push((pointer, other.clone())),
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Adds to each schema with a pattern a matching text as `const`, because sample generation does
/// not evaluate patterns.
fn solve_patterns(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let pattern = fields.get("pattern").and_then(Value::as_str).and_then(matching);
            if let Some(text) = pattern.filter(|_| !fields.contains_key("enum")) {
                fields.entry("const").or_insert(Value::String(text));
            }
            fields.values_mut().for_each(solve_patterns);
        }
        Value::Array(entries) => entries.iter_mut().for_each(solve_patterns),
        _ => {}
    }
}

/// A short text that a pattern matches.
fn matching(pattern: &str) -> Option<String> {
    let parsed = regex_syntax::parse(pattern).ok()?;
    let mut text = String::new();
    let mut left = MAX_PATTERN_STEPS;
    write_match(&parsed, &mut text, &mut left)?;
    Some(text)
}

/// Writes a text that `part` matches; `None` if it takes more steps than are left. Repetitions in
/// repetitions multiply.
fn write_match(part: &regex_syntax::hir::Hir, text: &mut String, left: &mut usize) -> Option<()> {
    use regex_syntax::hir::{Class, HirKind};
    *left = left.checked_sub(1)?;
    match part.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => {
            *left = left.checked_sub(literal.0.len())?;
            text.push_str(std::str::from_utf8(&literal.0).ok()?);
        }
        HirKind::Class(Class::Unicode(class)) => {
            let in_class = |wanted: &char| {
                class.iter().any(|range| (range.start()..=range.end()).contains(wanted))
            };
            let liked = ('a'..='z').chain('0'..='9').chain('A'..='Z').find(in_class);
            text.push(liked.or_else(|| class.iter().next().map(|range| range.start()))?);
        }
        HirKind::Class(Class::Bytes(class)) => text.push(char::from(class.iter().next()?.start())),
        HirKind::Repetition(repetition) => {
            // At least one repetition where the pattern allows it: empty texts have their own case.
            let times = repetition.min.max(u32::from(repetition.max != Some(0))).min(1_000);
            for _ in 0..times {
                write_match(&repetition.sub, text, left)?;
            }
        }
        HirKind::Capture(capture) => write_match(&capture.sub, text, left)?,
        HirKind::Concat(parts) => {
            parts.iter().try_for_each(|part| write_match(part, text, left))?
        }
        HirKind::Alternation(parts) => write_match(parts.first()?, text, left)?,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_its_entries_and_gets_others_that_differ() {
        for (list, length, expected) in [
            (json!([]), 3, json!([])),
            (json!(["a"]), 3, json!(["a", "a 1", "a 2"])),
            (
                json!([{ "n": 1, "t": "a" }]),
                2,
                json!([{ "n": 1, "t": "a" }, { "n": 1, "t": "a 1" }]),
            ),
            (json!(["a", "b", "c"]), 2, json!(["a", "b", "c"])),
            (json!(["a", "b"]), 3, json!(["a", "b", "a 2"])),
        ] {
            assert_eq!(lengthened(&list, length), expected, "{list} {length}");
        }
    }

    #[test]
    fn patterns_are_solved() {
        for pattern in
            ["^#[0-9a-f]{6}$", "^[A-Z]{2}-[0-9]+$", "^(red|green)$", "a.c", r"^\d{3}$", "^$"]
        {
            let text = matching(pattern).unwrap();
            let schema = json!({ "type": "string", "pattern": pattern });
            assert!(jsonschema::is_valid(&schema, &json!(text)), "{pattern}: {text:?}");
        }
    }

    #[test]
    fn a_pattern_whose_texts_are_huge_is_not_solved() {
        for pattern in [
            "^((a{900}){900}){900}$",
            "^(((a{100}b{100}){100}c){100}){100}$",
            r"^((((\b){1000}){1000}){1000}){1000}$",
            "^(((){1000}){1000}){1000}$",
        ] {
            let text = matching(pattern);
            assert!(text.as_ref().is_none_or(|text| text.len() < MAX_PATTERN_STEPS), "{pattern}");
        }
    }
}
