//! A template that breaks one rule of the conformance suite and follows all others.
//!
//! A JSON document in the data section selects the rule. Tests patch it into the built component,
//! so that one build gives a faulty template for each rule.
#![cfg(target_family = "wasm")]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "this template fails on purpose"
)]

mod faults;
mod pages;

use std::collections::BTreeMap;
use std::hint::black_box;

use sitewright_sdk::{prelude::*, serde_json};

/// Slot that tests overwrite as a whole: a [`Deviation`] as JSON, padded with spaces.
static SLOT: &[u8; 16_384] = &padded(b"{\"place\":\"sitewright-nonconforming\"}");

const fn padded(text: &[u8]) -> [u8; 16_384] {
    let mut bytes = [b' '; 16_384];
    let mut at = 0;
    while at < text.len() {
        bytes[at] = text[at];
        at += 1;
    }
    bytes
}

/// How this build deviates from the rules.
#[derive(Deserialize, Default)]
#[serde(crate = "sitewright_sdk::serde", default)]
struct Deviation {
    /// Fault of `describe` or `generate`; empty for none.
    fault: String,
    /// Files that are added to each site or replace one of it; `null` removes the file.
    files: BTreeMap<String, Option<String>>,
    /// Number or size; the fault says which.
    n: usize,
}

impl Deviation {
    fn read() -> Self {
        // Opaque to the optimizer: tests replace the value after compilation.
        let bytes = black_box(SLOT).as_slice();
        let text = String::from_utf8_lossy(bytes);
        serde_json::from_str(text.trim())
            .unwrap_or_else(|error| panic!("the slot does not contain a deviation: {error}"))
    }
}

struct Nonconforming;

/// The model's reply for a page.
#[derive(Deserialize, JsonSchema)]
#[serde(crate = "sitewright_sdk::serde", deny_unknown_fields)]
#[schemars(crate = "sitewright_sdk::schemars")]
struct Copy {
    /// The headline.
    headline: String,
    /// What the business offers.
    points: Vec<String>,
}

impl Template for Nonconforming {
    fn manifest() -> Manifest {
        let deviation = Deviation::read();
        let manifest = Manifest::new(
            "nonconforming",
            env!("CARGO_PKG_VERSION"),
            "Keeps all rules of the conformance suite but one.",
        )
        .purpose("copywriting", "the text of a page")
        .locale("en")
        .locale("pt-BR");
        faults::described(&deviation, manifest)
    }

    async fn generate(order: Order, site: Site) -> Result<()> {
        let deviation = Deviation::read();
        faults::of_order(&deviation, &order)?;
        let about = about(&deviation, &order).await?;
        let copies =
            faults::asked(&deviation, ["home", "services"].map(|page| ask(page, &order))).await?;
        faults::of_answers(&deviation, &copies);
        faults::used(&deviation, &order, &site).await?;
        let mut files = pages::files(&deviation, &order, &copies, about.as_deref());
        for (path, content) in &deviation.files {
            match content {
                Some(content) => {
                    drop(files.insert(
                        path.clone(),
                        content.replace("(locale)", &order.locale.to_string()),
                    ))
                }
                None => drop(files.remove(path)),
            }
        }
        for (path, content) in files {
            site.write(&path, content)?;
        }
        faults::after(&deviation).await
    }
}

fn ask(page: &str, order: &Order) -> ai::Ask {
    ai::ask("copywriting").user(format!("page: {page}")).data("name", &order.business_name)
}

/// Makes the call whose failure some deviations handle wrongly, before all other calls.
async fn about(deviation: &Deviation, order: &Order) -> Result<Option<String>> {
    let copy = ask("about", order).json::<Copy>().await;
    match copy {
        Ok(copy) => Ok(Some(copy.headline)),
        Err(error) => faults::of_call(deviation, error),
    }
}

sitewright_sdk::export!(Nonconforming);
