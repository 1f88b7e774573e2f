//! The cases of `harness.json`, which the harnesses of all languages share.

use std::cell::RefCell;

use serde::Deserialize;
use serde_json::{Map, Value};
use sitewright_sdk::{
    prelude::*,
    testing::{Harness, sample_order},
};

const TABLE: &str = include_str!("../../harness.json");
const GOOD: &str = "[[rule]]\nanswer = { text = \"x\" }\n";

#[derive(Deserialize)]
struct Table {
    cases: Vec<Value>,
}

/// See `about` of the table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Case {
    fault: Option<String>,
    write: Option<Vec<(String, usize)>>,
    chunks: Option<Vec<(String, usize)>>,
    manifest: Map<String, Value>,
    order: Map<String, Value>,
    script: Option<String>,
    purpose: Option<String>,
    late: bool,
    code: Option<String>,
}

thread_local! {
    /// The case that the template follows.
    static CASE: RefCell<Case> = RefCell::default();
}

struct Probe;

impl Template for Probe {
    fn manifest() -> Manifest {
        let mut manifest = Manifest::new("probe", "0.1.0", "What a case says.")
            .purpose("copywriting", "the text")
            .locale("en");
        for (field, value) in CASE.with_borrow(|case| case.manifest.clone()) {
            let value = value.as_str().unwrap().to_owned();
            match field.as_str() {
                "name" => manifest.name = value,
                "version" => manifest.version = value,
                "summary" => manifest.summary = value,
                other => panic!("the table has an unknown field: {other}"),
            }
        }
        manifest
    }

    async fn generate(_order: Order, site: Site) -> Result<()> {
        let case = CASE.with_borrow(Clone::clone);
        if case.late {
            std::future::pending().await
        }
        for (path, size) in case.write.iter().flatten() {
            site.write(path.as_str(), vec![0; *size])?;
        }
        for (path, size) in case.chunks.iter().flatten() {
            let mut file = site.create(path)?;
            file.append(vec![0; size / 2])?;
            file.append(vec![0; size / 2])?;
            file.finish()?;
            assert!(site.exists(path), "{path}");
        }
        if case.write.is_none() && case.chunks.is_none() {
            let purpose = case.purpose.as_deref().unwrap_or("copywriting");
            ai::ask(purpose).user("A text.").text().await?;
        }
        Ok(())
    }
}

#[test]
fn the_harness_passes_the_table_of_all_languages() {
    let table: Table = serde_json::from_str(TABLE).unwrap();
    for value in table.cases {
        let case: Case = serde_json::from_value(value.clone()).unwrap();
        let mut order = sample_order();
        order.as_object_mut().unwrap().extend(case.order.clone());
        let harness = match (&case.fault, value.get("script")) {
            (Some(fault), _) => {
                Harness::scripted(&format!("[[rule]]\nanswer = {{ fault = {{ {fault} }} }}\n"))
            }
            (None, None) => Harness::scripted(GOOD),
            (None, Some(Value::String(script))) => Harness::scripted(script),
            (None, Some(_)) => Harness::new(),
        };
        CASE.set(case.clone());
        let result = harness.run::<Probe>(order).result;
        let code = result.as_ref().err().map(|error| error.code().to_owned());
        assert_eq!(code, case.code, "{value}: {result:?}");
    }
}
