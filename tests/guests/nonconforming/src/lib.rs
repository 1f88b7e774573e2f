//! A template that breaks one rule of the conformance suite, and otherwise keeps all of them.
//!
//! Which one stands in its data, as JSON in a place that a test finds and writes over: one build
//! gives a faulty template for each rule.
#![cfg(target_family = "wasm")]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "doing what must not be done is this template's purpose"
)]

mod faults;
mod pages;

use std::collections::BTreeMap;
use std::hint::black_box;

use sitewright_sdk::{prelude::*, serde_json};

/// What a test writes over, all of it: a wish, and blanks behind it.
static WISH: &[u8; 16_384] = &padded(b"{\"place\":\"sitewright-nonconforming\"}");

const fn padded(text: &[u8]) -> [u8; 16_384] {
    let mut bytes = [b' '; 16_384];
    let mut at = 0;
    while at < text.len() {
        bytes[at] = text[at];
        at += 1;
    }
    bytes
}

/// What is to be wrong.
#[derive(Deserialize, Default)]
#[serde(crate = "sitewright_sdk::serde", default)]
struct Wish {
    /// What `describe` and `generate` do wrong; nothing when it is empty.
    fault: String,
    /// Files of each site, in the place of those of that name; nothing removes one.
    files: BTreeMap<String, Option<String>>,
    /// How many, how large.
    n: usize,
}

impl Wish {
    fn read() -> Self {
        // Not known while compiling: what stands there now is not what will.
        let bytes = black_box(WISH).as_slice();
        let text = String::from_utf8_lossy(bytes);
        serde_json::from_str(text.trim())
            .unwrap_or_else(|error| panic!("the wish is no JSON: {error}"))
    }
}

struct Nonconforming;

/// What a model writes for a page.
#[derive(Deserialize, JsonSchema)]
#[serde(crate = "sitewright_sdk::serde", deny_unknown_fields)]
#[schemars(crate = "sitewright_sdk::schemars")]
struct Copy {
    /// The headline.
    headline: String,
    /// What is offered.
    points: Vec<String>,
}

impl Template for Nonconforming {
    fn manifest() -> Manifest {
        let wish = Wish::read();
        let manifest = Manifest::new(
            "nonconforming",
            env!("CARGO_PKG_VERSION"),
            "Keeps all rules of the conformance suite but one.",
        )
        .purpose("copywriting", "the text of a page")
        .locale("en")
        .locale("pt-BR");
        faults::described(&wish, manifest)
    }

    async fn generate(order: Order, site: Site) -> Result<()> {
        let wish = Wish::read();
        faults::of_order(&wish, &order)?;
        let about = about(&wish, &order).await?;
        let copies =
            faults::asked(&wish, ["home", "services"].map(|page| ask(page, &order))).await?;
        faults::of_answers(&wish, &copies);
        faults::used(&wish, &order, &site).await?;
        let mut files = pages::files(&wish, &order, &copies, about.as_deref());
        for (path, content) in &wish.files {
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
        faults::after(&wish).await
    }
}

fn ask(page: &str, order: &Order) -> ai::Ask {
    ai::ask("copywriting").user(format!("page: {page}")).data("name", &order.business_name)
}

/// A call of its own, before the others: the one whose failure a faulty template gets wrong.
async fn about(wish: &Wish, order: &Order) -> Result<Option<String>> {
    let copy = ask("about", order).json::<Copy>().await;
    match copy {
        Ok(copy) => Ok(Some(copy.headline)),
        Err(error) => faults::of_call(wish, error),
    }
}

sitewright_sdk::export!(Nonconforming);
