//! Runs a template natively, in a plain `cargo test`: no wasm, no host, no network, AI by script.
//!
//! ```
//! use sitewright_sdk::{
//!     prelude::*,
//!     testing::{Harness, sample_order},
//! };
//!
//! struct Tiny;
//!
//! impl Template for Tiny {
//!     fn manifest() -> Manifest {
//!         Manifest::new("tiny", "0.1.0", "One page.")
//!             .purpose("copywriting", "the headline")
//!             .locale("en")
//!     }
//!
//!     async fn generate(order: Order, site: Site) -> Result<()> {
//!         let headline = ai::ask("copywriting")
//!             .user("A headline.")
//!             .data("name", &order.business_name)
//!             .text()
//!             .await?;
//!         site.write("index.html", headline)?;
//!         Ok(())
//!     }
//! }
//!
//! let run = Harness::scripted(
//!     r#"
//!     [[rule]]
//!     purpose = "copywriting"
//!     answer = { text = "Bread since 1990" }
//! "#,
//! )
//! .run::<Tiny>(sample_order());
//!
//! run.result.as_ref().unwrap();
//! assert_eq!(run.text("index.html"), "Bread since 1990");
//! assert!(run.ai_calls[0].prompt().contains("Padaria Ana"));
//! ```
//!
//! It keeps the host's rules where they are cheap to keep: the order is read and checked as the
//! host does it, JSON replies are checked against their schemas, files are written once to allowed
//! paths, purposes must stand in the manifest. What it cannot show are limits of memory and time,
//! traps, and the checks of the finished site: the conformance suite does.

mod executor;
mod files;
mod manifest;
mod recorder;
mod scripted;

use std::{collections::BTreeMap, rc::Rc};

use serde::Serialize;
use serde_json::{Value, json};
use sitewright_script::Script;

use crate::{
    Diagnostic, Error, Level, Manifest, Result, Site, Template, ai, backend,
    order::{Locale, Order},
    stall,
};
use recorder::Recorder;

/// What runs a template: a script for its AI calls, and nothing else.
#[derive(Debug)]
#[must_use]
pub struct Harness {
    script: std::result::Result<Option<String>, sitewright_script::ScriptError>,
}

/// What one run did.
#[derive(Debug)]
pub struct Run {
    /// What `generate` returned, or why it was not called.
    pub result: Result<()>,
    /// The files, by path. The host keeps them only when the run succeeded.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Every progress, in order.
    pub progress: Vec<Progress>,
    /// Every line of log, in order.
    pub logs: Vec<(Level, String)>,
    /// Every diagnostic, in order.
    pub reports: Vec<Diagnostic>,
    /// Every AI call, in the order they were made.
    pub ai_calls: Vec<Call>,
    /// Most AI calls that were in flight at once.
    pub most_calls_at_once: usize,
}

/// One progress of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The stage.
    pub stage: String,
    /// Steps done.
    pub done: u32,
    /// Steps in all; 0 means unknown.
    pub total: u32,
}

/// One AI call of a run.
#[derive(Debug, Clone)]
pub struct Call {
    /// What was asked.
    pub request: ai::Request,
    /// What came back.
    pub reply: std::result::Result<ai::Completion, ai::Error>,
}

impl Call {
    /// The texts of all messages, first to last.
    pub fn prompt(&self) -> String {
        let texts: Vec<&str> =
            self.request.messages.iter().map(|message| message.content.as_str()).collect();
        texts.join("\n\n")
    }
}

impl Harness {
    /// A harness that answers no AI call.
    pub fn new() -> Self {
        Harness { script: Ok(None) }
    }

    /// A harness with these rules. A script that cannot be read is the result of each run, with the
    /// code `bad-script`.
    pub fn scripted(rules: &str) -> Self {
        Harness { script: Script::from_toml(rules).map(|_| Some(rules.to_owned())) }
    }

    /// Gives the harness its rules (TOML, as of the host's `scripted` provider).
    ///
    /// # Errors
    /// The rules cannot be read; the error names the rule and the field.
    pub fn script(self, rules: &str) -> Result<Self> {
        Script::from_toml(rules)?;
        Ok(Harness::scripted(rules))
    }

    /// Runs a template on one order: the CRM's document, a flat document, an [`Order`], or the text
    /// of one of these. Each run begins the script anew. A panic of the template goes through
    /// to the test.
    pub fn run<T: Template>(&self, order: impl Serialize) -> Run {
        match self.prepared::<T>(order) {
            Ok((order, recorder)) => {
                let result = backend::during(recorder.clone(), || {
                    let waits = || recorder.in_flight() > 0;
                    executor::run(stall::watched(waits, T::generate(order, Site::new())))
                });
                recorder.finish(result)
            }
            Err(error) => Recorder::new(None, Vec::new()).finish(Err(error)),
        }
    }

    fn prepared<T: Template>(&self, order: impl Serialize) -> Result<(Order, Rc<Recorder>)> {
        let script = match &self.script {
            Ok(Some(rules)) => Some(Script::from_toml(rules)?),
            Ok(None) => None,
            Err(error) => {
                return Err(Error::of(error)
                    .with_code("bad-script")
                    .context("the script cannot be used"));
            }
        };
        let manifest = T::manifest();
        manifest::check(&manifest)?;
        let document = match serde_json::to_value(order)? {
            Value::String(text) => serde_json::from_str(&text)?,
            document => document,
        };
        let order = read(&document)?;
        fits(&manifest, &order)?;
        Ok((order, Recorder::new(script, scripted::purposes(&manifest))))
    }
}

impl Default for Harness {
    fn default() -> Self {
        Harness::new()
    }
}

/// Reads an order document as the host does. Orders without a locale are taken to be English.
fn read(document: &Value) -> Result<Order> {
    let english: Locale = serde_json::from_value(json!("en"))?;
    sitewright_order::read(document, &english).map_err(|problems| {
        let error = Error::new("invalid-order", "the order document has problems");
        problems.iter().fold(error, Error::cause)
    })
}

/// Checks the order against the template's schema, as the host does before a run.
fn fits(manifest: &Manifest, order: &Order) -> Result<()> {
    let problems = scripted::problems(&manifest.order_schema, &serde_json::to_value(order)?);
    if problems.is_empty() {
        return Ok(());
    }
    let error = Error::new(
        "invalid-order",
        format!("the order does not fit the order schema of `{}`", manifest.name),
    );
    Err(problems.into_iter().fold(error, Error::cause))
}

impl Run {
    /// The bytes of a file.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// The text of a file.
    ///
    /// # Panics
    /// The file was not written, or is not UTF-8. The panic tells what was written and how the run
    /// ended.
    #[track_caller]
    #[allow(clippy::panic, reason = "an assertion of a test")]
    pub fn text(&self, path: &str) -> &str {
        let Some(bytes) = self.file(path) else {
            let paths: Vec<&String> = self.files.keys().collect();
            panic!(
                "no file `{path}` was written, only {paths:?}; the run ended with {:?}",
                self.result
            );
        };
        match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => panic!("the file `{path}` is not UTF-8: {error}"),
        }
    }
}

/// A small, complete order, to change for a test's purpose.
pub fn sample_order() -> Value {
    json!({
        "id": "sample-1",
        "locale": "pt-BR",
        "business_name": "Padaria Ana",
        "business_email": "ana@example.com",
        "business_phone": "+5519955501010",
        "niche": "other",
        "custom_niche": "bakery",
        "primary_city": "Campinas",
        "state": "SP",
        "services": ["Pães", "Bolos"],
        "primary_service": "Pães"
    })
}
