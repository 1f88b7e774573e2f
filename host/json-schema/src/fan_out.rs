//! The size of a schema with its references followed. References are resolved by the library that
//! the validator uses, so that both follow the same ones: relative `$id`s, draft 4's `id`, anchors.

use std::collections::HashMap;

use referencing::{Draft, Registry, Resolver, Uri};
use serde_json::Value;

/// Base of a schema without an `$id`. The validator uses the same.
const NO_BASE: &str = "json-schema:///";

/// Maximum depth that is followed; a deeper schema counts as too large. JSON itself ends at 128.
const MAX_DEPTH: usize = 400;

/// Maximum number of parts that are looked at; a schema with more counts as too large. A part
/// counts again for each base URI that it is reached with.
const MAX_VISITS: usize = 1 << 20;

/// The number of parts, each counted as often as it is reached. A recursive reference counts once.
/// `u64::MAX` if the schema is too deep or too large to be counted. References that lead nowhere
/// count as 0: compiling the schema reports them.
pub(super) fn of(schema: &Value) -> u64 {
    let draft = Draft::default().detect(schema);
    let resource = draft.create_resource_ref(schema);
    let base = resource.id().unwrap_or(NO_BASE);
    let (Ok(mut uri), Ok(pending)) =
        (referencing::uri::from_str(base), Registry::new().draft(draft).add(base, resource))
    else {
        return 0;
    };
    let Ok(registry) = pending.prepare() else { return 0 };
    if uri.fragment().is_some_and(|fragment| fragment.as_str().is_empty()) {
        uri.set_fragment(None);
    }
    let root = At { part: schema, resolver: registry.resolver(uri), draft };
    let mut dynamic = Dynamic::default();
    dynamic.collect(&root, 0);
    Counter { dynamic, known: HashMap::new(), depth: 0, visits: 0 }.count(&root)
}

/// A part of a schema, with what its references are relative to.
#[derive(Clone)]
struct At<'a> {
    part: &'a Value,
    resolver: Resolver<'a>,
    draft: Draft,
}

impl<'a> At<'a> {
    /// This part with its own `$id` and `$schema` applied. `None` if its `$id` is not a URI.
    fn entered(&self) -> Option<At<'a>> {
        let resource = self.draft.detect(self.part).create_resource_ref(self.part);
        let resolver = self.resolver.in_subresource(resource).ok()?;
        Some(At { part: self.part, resolver, draft: resource.draft() })
    }

    fn child(&self, part: &'a Value) -> At<'a> {
        At { part, resolver: self.resolver.clone(), draft: self.draft }
    }

    fn target(&self, reference: &str) -> Option<At<'a>> {
        let (part, resolver, draft) = self.resolver.lookup(reference).ok()?.into_inner();
        Some(At { part, resolver, draft })
    }
}

/// The parts that references can reach through the dynamic scope. All parts with the right name
/// count, whatever the scope.
#[derive(Default)]
struct Dynamic<'a> {
    anchors: HashMap<&'a str, Vec<At<'a>>>,
    recursive: Vec<At<'a>>,
}

impl<'a> Dynamic<'a> {
    fn collect(&mut self, at: &At<'a>, depth: usize) {
        if depth == MAX_DEPTH {
            return;
        }
        match at.part {
            Value::Object(fields) => {
                let Some(entered) = at.entered() else { return };
                if let Some(name) = fields.get("$dynamicAnchor").and_then(Value::as_str) {
                    self.anchors.entry(name).or_default().push(at.clone());
                }
                if fields.get("$recursiveAnchor") == Some(&Value::Bool(true)) {
                    self.recursive.push(at.clone());
                }
                fields.values().for_each(|part| self.collect(&entered.child(part), depth + 1));
            }
            Value::Array(parts) => {
                parts.iter().for_each(|part| self.collect(&at.child(part), depth + 1));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// The address of a part, and the base URI that it was reached with.
type Key = (*const Value, Uri<String>);

struct Counter<'a> {
    dynamic: Dynamic<'a>,
    /// The counts; `None` while a part is being counted.
    known: HashMap<Key, Option<u64>>,
    depth: usize,
    visits: usize,
}

impl<'a> Counter<'a> {
    fn count(&mut self, at: &At<'a>) -> u64 {
        if self.depth == MAX_DEPTH || self.visits == MAX_VISITS {
            return u64::MAX;
        }
        self.depth += 1;
        self.visits += 1;
        let count = match at.part {
            Value::Object(fields) => self.count_fields(at, fields),
            Value::Array(parts) => self.sum(at, parts.iter()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        };
        self.depth -= 1;
        count
    }

    fn sum(&mut self, at: &At<'a>, parts: impl Iterator<Item = &'a Value>) -> u64 {
        parts.fold(0, |sum: u64, part| sum.saturating_add(self.count(&at.child(part))))
    }

    fn count_fields(&mut self, at: &At<'a>, fields: &'a serde_json::Map<String, Value>) -> u64 {
        let key = (std::ptr::from_ref(at.part), at.resolver.base_uri().as_ref().clone());
        if let Some(known) = self.known.get(&key) {
            return known.unwrap_or(1);
        }
        let Some(at) = at.entered() else { return 0 };
        self.known.insert(key.clone(), None);
        let mut sum: u64 = 1;
        for (name, value) in fields {
            let more = match (name.as_str(), value) {
                // The keys are names of properties, not keywords.
                (
                    "properties" | "patternProperties" | "dependentSchemas" | "dependencies",
                    Value::Object(parts),
                ) => self.sum(&at, parts.values()),
                // Parts that only references reach, and values that are not schemas.
                ("$defs" | "definitions" | "const" | "enum" | "default" | "examples", _) => 0,
                ("$ref", Value::String(to)) => at.target(to).map_or(0, |at| self.count(&at)),
                ("$dynamicRef", Value::String(to)) => self.count_dynamic(&at, to),
                ("$recursiveRef", Value::String(_)) => self.count_recursive(&at),
                (_, value) => self.count(&at.child(value)),
            };
            sum = sum.saturating_add(more);
        }
        self.known.insert(key, Some(sum));
        sum
    }

    fn count_dynamic(&mut self, at: &At<'a>, to: &str) -> u64 {
        let lexical = at.target(to).map_or(0, |at| self.count(&at));
        let name = to.rsplit_once('#').map_or("", |(_, name)| name);
        let named = self.dynamic.anchors.get(name).cloned().unwrap_or_default();
        named.iter().fold(lexical, |most, at| most.max(self.count(at)))
    }

    fn count_recursive(&mut self, at: &At<'a>) -> u64 {
        let lexical = at.target("#").map_or(0, |at| self.count(&at));
        let anchored = self.dynamic.recursive.clone();
        anchored.iter().fold(lexical, |most, at| most.max(self.count(at)))
    }
}
