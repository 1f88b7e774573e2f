//! The bill of materials: CycloneDX 1.6 as JSON.
//!
//! A dozen fields of the format are used. The crates that have all of it are larger than the rest
//! of xtask together; a test reads the result with the CycloneDX project's own library instead.

use serde_json::{Map, Value, json};

use super::parts::{Part, Parts};

/// The bill of materials of an archive for `target` whose files have the time `timestamp`, as
/// RFC 3339.
pub(crate) fn document(parts: &Parts, target: &str, timestamp: &str) -> Value {
    let mut host = component(&parts.host, "application");
    host.insert("properties".into(), json!([{ "name": "sitewright:target", "value": target }]));
    let components: Vec<Map<String, Value>> =
        parts.others.iter().map(|part| component(part, "library")).collect();
    let dependencies: Vec<Value> = std::iter::once(&parts.host)
        .chain(&parts.others)
        .map(|part| json!({ "ref": part.reference, "dependsOn": part.uses }))
        .collect();
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": timestamp,
            "tools": { "components": [{ "type": "application", "name": "cargo xtask dist" }] },
            "component": host,
        },
        "components": components,
        "dependencies": dependencies,
    })
}

fn component(part: &Part, kind: &str) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    set("type", json!(kind));
    set("bom-ref", json!(part.reference));
    set("name", json!(part.name));
    if let Some(version) = &part.version {
        set("version", json!(version));
    }
    if let Some(description) = &part.description {
        set("description", json!(description));
    }
    if let Some(checksum) = &part.checksum {
        set("hashes", json!([{ "alg": "SHA-256", "content": checksum }]));
    }
    set("licenses", json!([{ "expression": part.licence }]));
    set("purl", json!(part.reference));
    if let Some(address) = &part.address {
        set("externalReferences", json!([{ "type": "vcs", "url": address }]));
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn unknown_fields_are_left_out() {
        let part = |name: &str, known: bool| Part {
            reference: format!("pkg:generic/{name}"),
            name: name.to_owned(),
            version: known.then(|| "1.0.0".to_owned()),
            description: None,
            licence: "MIT".to_owned(),
            address: known.then(|| "https://example.com".to_owned()),
            folder: None,
            checksum: known.then(|| "ab".repeat(32)),
            own: false,
            uses: BTreeSet::new(),
        };
        let mut host = part("host", true);
        host.uses.insert("pkg:generic/used".to_owned());
        let parts = Parts { host, others: vec![part("used", false)] };
        let document = document(&parts, "x86_64-unknown-linux-gnu", "2026-11-29T00:00:00Z");
        assert_eq!(
            document["components"],
            json!([{ "type": "library", "bom-ref": "pkg:generic/used", "name": "used",
                "licenses": [{ "expression": "MIT" }], "purl": "pkg:generic/used" }])
        );
        assert_eq!(document["metadata"]["component"]["version"], "1.0.0");
        assert_eq!(document["metadata"]["component"]["hashes"][0]["content"], "ab".repeat(32));
        assert_eq!(
            document["dependencies"],
            json!([{ "ref": "pkg:generic/host", "dependsOn": ["pkg:generic/used"] },
                { "ref": "pkg:generic/used", "dependsOn": [] }])
        );
    }
}
