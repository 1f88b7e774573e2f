//! An upper bound of the steps of a check, from the schema and the shape of the value, for schemas
//! that are simple enough to have one.
//!
//! A step is a keyword that looks at a value, a byte of the value that a keyword reads, or a byte
//! of the schema that a value is compared with. The validator applies a subschema either to the
//! same value (`allOf`, `not`, `$ref`) or to its children (`properties`, `items`). So the work for
//! *one* value is added up for each depth of the value, along all paths through the schema: paths
//! that multiply, recursion included, multiply the bound. It is linear in the size of the value.

use std::collections::HashMap;

use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::Value;

use super::shape::{MAX_DEPTH, Shape};

/// Maximum number of subschemas of a schema with a bound.
const MAX_PARTS: usize = 2_048;

/// Maximum nesting of a schema's JSON. Compiling is recursive, also through up to 8 references.
const MAX_NESTING: usize = 32;

/// Maximum number of subschemas within each other when a value is checked, references and
/// recursion included, because checking is recursive too.
const MAX_PATH: u32 = 192;

/// Maximum states of the automata of all patterns, roughly: they take memory and time to compile.
const MAX_PATTERN_WEIGHT: u64 = 1 << 16;

/// Maximum bytes of all patterns. Parsing one expands its classes: a `\w` to 6 KB.
const MAX_PATTERN_BYTES: usize = 4 << 10;

/// Maximum bytes of the JSON pointers to all keywords. The validator keeps them.
const MAX_POINTER_BYTES: u64 = 4 << 20;

/// Bytes of a problem, besides its JSON pointers and its copy of the value.
const PROBLEM_BYTES: u64 = 512;

/// The number of steps for one value at one depth; deeper values have no bound if it is exceeded.
const MAX_AT_ONE_DEPTH: u64 = 1 << 32;

/// The cost of checking values of any shape with one schema.
#[derive(Debug)]
pub(super) struct Cost {
    /// By the depth of a value. No subschema applies to deeper values.
    by_depth: Vec<Work>,
    /// The depth from which on there is no bound.
    unbounded_from: Option<usize>,
    /// Bytes of a JSON pointer through the schema, references included.
    pointer_bytes: u64,
}

/// The work for one value at one depth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Work {
    /// To learn whether the whole is valid.
    validity: Rate,
    /// To learn all its problems.
    problems: Rate,
    /// The number of problems.
    found: u64,
    /// Subschemas within each other.
    path: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Rate {
    /// Steps for each value.
    value: u64,
    /// Steps for each byte of the value and what is inside it.
    byte: u64,
}

/// The cost of checking one value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Steps {
    /// To learn whether it is valid.
    pub(super) validity: u64,
    /// To learn its problems.
    pub(super) problems: u64,
    /// The number of problems.
    pub(super) found: u64,
    /// Bytes of the problems. All are collected before the first is reported.
    pub(super) found_bytes: u64,
}

impl Cost {
    /// The cost of checks with a schema. `None` if there is no bound: it has keywords whose cost
    /// depends on other keywords or on the path to them, references other than to its own parts by
    /// JSON pointers, or it is too large.
    pub(super) fn of(schema: &Value) -> Option<Cost> {
        if !is_simple(schema, 0) {
            return None;
        }
        Parts::of(schema)?.cost()
    }

    /// The cost of checking a value. `None` if there is no bound for values as deep as it is.
    pub(super) fn steps(&self, shape: &Shape) -> Option<Steps> {
        if self.unbounded_from.is_some_and(|depth| shape.depth() >= depth) {
            return None;
        }
        let mut steps = Steps::default();
        for (work, level) in self.by_depth.iter().zip(shape.levels()) {
            let all = |rate: Rate| {
                let values = rate.value.saturating_mul(level.values);
                values.saturating_add(rate.byte.saturating_mul(level.bytes_within))
            };
            steps.validity = steps.validity.saturating_add(all(work.validity));
            steps.problems = steps.problems.saturating_add(all(work.problems));
            steps.found = steps.found.saturating_add(work.found.saturating_mul(level.values));
        }
        // Escapes double the length of a pointer at most.
        let one = PROBLEM_BYTES + self.pointer_bytes + 2 * shape.longest_pointer();
        steps.found_bytes = steps.found.saturating_mul(one);
        Some(steps)
    }
}

/// Whether a schema has none of the keywords without a bound. Property names and examples that look
/// like them count too.
fn is_simple(part: &Value, depth: usize) -> bool {
    if depth > MAX_NESTING {
        return false;
    }
    match part {
        Value::Array(parts) => parts.iter().all(|part| is_simple(part, depth + 1)),
        Value::Object(fields) => fields.iter().all(|(name, value)| {
            let costly = match name.as_str() {
                "$schema" => depth > 0,
                "$id" | "id" | "$anchor" | "$dynamicAnchor" => value.is_string(),
                "$recursiveAnchor"
                | "$vocabulary"
                | "$dynamicRef"
                | "$recursiveRef"
                | "unevaluatedProperties"
                | "unevaluatedItems" => true,
                // Of draft 3.
                "extends" | "disallow" => true,
                "type" => {
                    value.as_array().is_some_and(|types| types.iter().any(|one| !one.is_string()))
                }
                _ => false,
            };
            !costly && is_simple(value, depth + 1)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// One subschema.
#[derive(Debug, Default)]
struct Part {
    /// The subschemas that are applied to the same value.
    same: Vec<usize>,
    /// The subschemas that are applied to its children, each at most once to each child.
    children: Vec<usize>,
    /// The subschemas of `properties`. At most one of them is applied to a child.
    properties: Vec<usize>,
    own: Work,
}

/// The subschemas that a check can reach. The first one is the whole schema.
struct Parts<'a> {
    root: &'a Value,
    parts: Vec<Part>,
    /// By address.
    known: HashMap<*const Value, usize>,
    pattern_weight: u64,
    pattern_bytes: usize,
    /// Bytes of the longest JSON pointer to a subschema.
    longest_pointer: u64,
    /// Bytes of the JSON pointers to all keywords.
    pointer_bytes: u64,
    /// Subschemas whose keywords are not read yet, with the bytes of the JSON pointer to them.
    waiting: Vec<(usize, &'a Value, u64)>,
}

/// Bytes of the JSON pointer to a subschema in `keyword`, below `name`, of the one at `at`.
fn below(at: u64, keyword: &str, name: &str) -> u64 {
    at + 2 * (length(keyword) + length(name)) + 16
}

impl<'a> Parts<'a> {
    fn of(root: &'a Value) -> Option<Parts<'a>> {
        let mut parts = Parts {
            root,
            parts: Vec::new(),
            known: HashMap::new(),
            pattern_weight: 0,
            pattern_bytes: 0,
            longest_pointer: 0,
            pointer_bytes: 0,
            waiting: Vec::new(),
        };
        parts.add(root, 0);
        while let Some((index, schema, at)) = parts.waiting.pop() {
            if parts.parts.len() > MAX_PARTS {
                return None;
            }
            let part = parts.read(schema, at)?;
            let keywords = schema.as_object().map_or(0, serde_json::Map::len) as u64;
            parts.longest_pointer = parts.longest_pointer.max(at);
            parts.pointer_bytes += (at + 32) * (keywords + 1);
            if parts.pattern_weight > MAX_PATTERN_WEIGHT || parts.pointer_bytes > MAX_POINTER_BYTES
            {
                return None;
            }
            parts.parts[index] = part;
        }
        Some(parts)
    }

    /// The index of a subschema.
    fn add(&mut self, schema: &'a Value, at: u64) -> usize {
        let next = self.parts.len();
        let index = *self.known.entry(schema).or_insert(next);
        if index == next {
            self.parts.push(Part::default());
            self.waiting.push((index, schema, at));
        }
        index
    }

    /// Reads the keywords of a subschema. `None` if a reference is not a plain pointer.
    fn read(&mut self, schema: &'a Value, at: u64) -> Option<Part> {
        let mut part = Part::default();
        let Value::Object(keywords) = schema else {
            part.own = own(1, 0, 1);
            return Some(part);
        };
        let (mut bytes, mut problems, mut per_byte) = (8, 1_u64, 4);
        for (name, value) in keywords {
            bytes += 8 + length(name);
            problems += 1;
            match (name.as_str(), value) {
                ("allOf" | "anyOf" | "oneOf", Value::Array(forms)) => {
                    part.same.extend(forms.iter().map(|form| self.add(form, below(at, name, ""))));
                }
                ("not" | "if" | "then" | "else", form) => {
                    part.same.push(self.add(form, below(at, name, "")));
                }
                ("dependentSchemas" | "dependencies", Value::Object(forms)) => {
                    for (property, form) in forms {
                        bytes += 8 + length(property) + json_length(form, true);
                        problems += form.as_array().map_or(0, |names| names.len() as u64);
                        if !form.is_array() {
                            part.same.push(self.add(form, below(at, name, property)));
                        }
                    }
                }
                ("$ref", Value::String(to)) => {
                    let target = self.target(to)?;
                    part.same.push(self.add(target, below(0, to, "")));
                }
                ("$ref", _) => return None,
                ("properties", Value::Object(forms)) => {
                    for (property, form) in forms {
                        bytes += 8 + length(property);
                        part.properties.push(self.add(form, below(at, name, property)));
                    }
                }
                ("patternProperties", Value::Object(forms)) => {
                    for (pattern, form) in forms {
                        bytes += 8 + length(pattern);
                        per_byte += self.pattern(pattern);
                        part.children.push(self.add(form, below(at, name, pattern)));
                    }
                }
                ("items" | "prefixItems", Value::Array(forms)) => {
                    part.children
                        .extend(forms.iter().map(|form| self.add(form, below(at, name, ""))));
                }
                (
                    "items"
                    | "additionalItems"
                    | "additionalProperties"
                    | "propertyNames"
                    | "contains"
                    | "contentSchema",
                    form,
                ) => part.children.push(self.add(form, below(at, name, ""))),
                ("pattern", Value::String(pattern)) => per_byte += self.pattern(pattern),
                // Up to 15 entries are compared in pairs and more are hashed, but by a hash that is
                // the same for `[]` and `[[]]`, and for integers that are neighbours: nothing
                // bounds the pairs.
                ("uniqueItems", Value::Bool(true)) => return None,
                ("contentEncoding" | "contentMediaType", _) => per_byte += 16,
                ("required", Value::Array(names)) => {
                    bytes += json_length(value, true);
                    problems += names.len() as u64;
                }
                ("dependentRequired", Value::Object(names)) => {
                    bytes += json_length(value, true);
                    problems += names.values().fold(0, |sum, names| {
                        sum + names.as_array().map_or(0, |names| names.len() as u64)
                    });
                }
                ("$defs" | "definitions" | "examples" | "default" | "title" | "description", _) => {
                }
                (_, value) => bytes += json_length(value, true),
            }
        }
        part.own = own(bytes, per_byte, problems);
        Some(part)
    }

    /// The subschema that a reference names. `None` if it is not a JSON pointer into this schema
    /// that everybody reads the same way.
    fn target(&self, reference: &str) -> Option<&'a Value> {
        let pointer = reference.strip_prefix('#')?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-.$~".contains(&byte);
        let target = pointer.bytes().all(plain).then(|| self.root.pointer(pointer))??;
        matches!(target, Value::Object(_) | Value::Bool(_)).then_some(target)
    }

    /// The steps of a pattern for each byte of a text: its length with its repetitions written out.
    fn pattern(&mut self, pattern: &str) -> u64 {
        self.pattern_bytes = self.pattern_bytes.saturating_add(pattern.len());
        // Flags: folding the case of a class walks over all its characters.
        let has_flags = pattern
            .match_indices("(?")
            .any(|(at, group)| !pattern[at + group.len()..].starts_with(':'));
        let weight = if has_flags || self.pattern_bytes > MAX_PATTERN_BYTES {
            u64::MAX
        } else {
            pattern_weight(pattern)
        };
        // Capped, so that sums of many are exact.
        let weight = weight.min(MAX_PATTERN_WEIGHT + 1);
        self.pattern_weight = self.pattern_weight.saturating_add(weight);
        weight
    }

    /// Adds up from the leaves of the schema: the work of a subschema for a value that is `depth`
    /// levels inside the value it is applied to.
    fn cost(&self) -> Option<Cost> {
        let order = self.order()?;
        let mut by_depth: Vec<Work> = Vec::new();
        let cost = |by_depth: Vec<Work>, unbounded_from| {
            let path = by_depth.iter().map(|work| u64::from(work.path)).max().unwrap_or(0);
            Cost { by_depth, unbounded_from, pointer_bytes: path * self.longest_pointer }
        };
        let mut above = vec![Work::default(); self.parts.len()];
        for depth in 0..=MAX_DEPTH {
            let mut works = vec![Work::default(); self.parts.len()];
            // Those that are applied to the same value come first.
            for &index in order.iter().rev() {
                let part = &self.parts[index];
                let mut work = if depth == 0 { part.own } else { Work::default() };
                for &same in &part.same {
                    work.add(works[same]);
                }
                for &child in &part.children {
                    work.add(above[child]);
                }
                let one = part
                    .properties
                    .iter()
                    .fold(Work::default(), |most, &property| most.max(above[property]));
                work.add(one);
                works[index] = work;
            }
            let root = works[0];
            if root.path > MAX_PATH || root.largest() > MAX_AT_ONE_DEPTH {
                return (depth > 0).then(|| cost(by_depth, Some(depth)));
            }
            by_depth.push(root);
            if works.iter().all(|work| *work == Work::default()) {
                return Some(cost(by_depth, None));
            }
            above = works;
        }
        // JSON texts are not deeper.
        Some(cost(by_depth, Some(MAX_DEPTH + 1)))
    }

    /// The subschemas, each before those that it applies to the same value. `None` if one applies
    /// itself to the same value.
    fn order(&self) -> Option<Vec<usize>> {
        let mut users = vec![0_usize; self.parts.len()];
        for part in &self.parts {
            part.same.iter().for_each(|&same| users[same] += 1);
        }
        let mut order: Vec<usize> = (0..self.parts.len()).filter(|&at| users[at] == 0).collect();
        let mut done = 0;
        while let Some(&index) = order.get(done) {
            done += 1;
            for &same in &self.parts[index].same {
                users[same] -= 1;
                if users[same] == 0 {
                    order.push(same);
                }
            }
        }
        (order.len() == self.parts.len()).then_some(order)
    }
}

/// The work of one subschema for a value: `bytes` of keywords, `per_byte` steps for each byte.
fn own(bytes: u64, per_byte: u64, problems: u64) -> Work {
    Work {
        validity: Rate { value: bytes, byte: per_byte },
        // A problem may hold a copy of the value.
        problems: Rate {
            value: bytes.saturating_mul(2),
            byte: per_byte.saturating_add(problems.saturating_mul(4)),
        },
        found: problems,
        path: 1,
    }
}

impl Work {
    /// Adds the work of a subschema that this one applies. To learn problems, the validator first
    /// checks whether the value is valid, once or twice.
    fn add(&mut self, applied: Work) {
        let plus = |sum: u64, times: u64, one: u64| sum.saturating_add(one.saturating_mul(times));
        let (validity, problems) = (applied.validity, applied.problems);
        self.validity.value = plus(self.validity.value, 1, validity.value);
        self.validity.byte = plus(self.validity.byte, 1, validity.byte);
        for (times, rate) in [(2, validity), (1, problems)] {
            self.problems.value = plus(self.problems.value, times, rate.value);
            self.problems.byte = plus(self.problems.byte, times, rate.byte);
        }
        self.found = self.found.saturating_add(applied.found);
        if applied.path > 0 {
            self.path = self.path.max(applied.path + 1);
        }
    }

    /// The larger of each.
    fn max(self, other: Work) -> Work {
        let larger = |one: Rate, other: Rate| Rate {
            value: one.value.max(other.value),
            byte: one.byte.max(other.byte),
        };
        Work {
            validity: larger(self.validity, other.validity),
            problems: larger(self.problems, other.problems),
            found: self.found.max(other.found),
            path: self.path.max(other.path),
        }
    }

    fn largest(&self) -> u64 {
        self.problems.value.max(self.problems.byte)
    }
}

fn length(text: &str) -> u64 {
    text.len() as u64
}

/// The length of a value as JSON, roughly. Subschemas below unknown keywords are values too.
fn json_length(value: &Value, root: bool) -> u64 {
    let own = if root { 0 } else { 4 };
    own + match value {
        Value::String(text) => length(text),
        Value::Array(entries) => entries.iter().map(|entry| json_length(entry, false)).sum(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| length(name) + json_length(value, false)).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}

/// The states of a pattern's automaton, roughly, which are the steps for each byte of a text. For a
/// pattern that is not understood: more than it can have.
fn pattern_weight(pattern: &str) -> u64 {
    regex_syntax::parse(pattern).map_or(u64::MAX, |parsed| states(&parsed).saturating_mul(2))
}

fn states(part: &Hir) -> u64 {
    let sum =
        |parts: &[Hir]| parts.iter().fold(1, |sum: u64, part| sum.saturating_add(states(part)));
    match part.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(Class::Unicode(class)) if class.is_ascii() => 1,
        // Each range is a few sequences of bytes.
        HirKind::Class(Class::Unicode(class)) => 8 * (1 + class.ranges().len() as u64),
        HirKind::Class(Class::Bytes(class)) => 1 + class.ranges().len() as u64,
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(repetition.min).max(1);
            states(&repetition.sub).saturating_add(1).saturating_mul(most.into())
        }
        HirKind::Capture(capture) => states(&capture.sub).saturating_add(2),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => sum(parts),
    }
}
