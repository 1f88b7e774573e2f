//! Runs a template natively in `cargo test`: without WebAssembly, host or network. A script answers
//! the AI calls.
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
//! The harness shares code with the host for reading and validating the order, for the script, for
//! AI error kinds and for the paths and limits of files. It also validates JSON replies against
//! their schemas and rejects purposes that the manifest does not declare. It does not check limits
//! of memory and time, traps, and the finished site: the conformance suite does.

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
    Diagnostic, Error, Level, Manifest, Result, Site, Template,
    ai::{self, CurrentOrder},
    backend,
    order::{Locale, Order},
    stall,
};
use recorder::Recorder;

/// Runs templates with a script that answers their AI calls.
#[derive(Debug)]
#[must_use]
pub struct Harness {
    script: std::result::Result<Option<String>, sitewright_script::ScriptError>,
}

/// The result and the side effects of a run.
#[derive(Debug)]
pub struct Run {
    /// The result of `generate`, or the reason why it was not called.
    pub result: Result<()>,
    /// The written files, by path. The host keeps them only if the run succeeds.
    pub files: BTreeMap<String, Vec<u8>>,
    /// All progress reports, oldest first.
    pub progress: Vec<Progress>,
    /// All log lines, oldest first.
    pub logs: Vec<(Level, String)>,
    /// All diagnostics, oldest first.
    pub reports: Vec<Diagnostic>,
    /// All AI calls, in the order in which they were sent.
    pub ai_calls: Vec<Call>,
    /// Maximum number of AI calls that were in flight at the same time.
    pub most_calls_at_once: usize,
}

/// A progress report of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The stage of the run.
    pub stage: String,
    /// Number of complete steps.
    pub done: u32,
    /// Number of steps; 0 if it is not known.
    pub total: u32,
}

/// An AI call of a run.
#[derive(Debug, Clone)]
pub struct Call {
    /// The request of the template, as the model gets it: data is delimited in the texts.
    pub request: ai::Request,
    /// The completion or error that the template received.
    pub reply: std::result::Result<ai::Completion, ai::Error>,
}

impl Call {
    /// The texts of all messages, joined by empty lines.
    pub fn prompt(&self) -> String {
        let texts: Vec<&str> =
            self.request.messages.iter().map(|message| message.content.as_str()).collect();
        texts.join("\n\n")
    }
}

impl Harness {
    /// A harness without a script: every AI call fails with
    /// [`NoRoute`](ai::ErrorKind::NoRoute).
    pub fn new() -> Self {
        Harness { script: Ok(None) }
    }

    /// A harness with a script, in the TOML format of the host's `scripted` provider. If the script
    /// is invalid, each run fails with the code `bad-script`.
    pub fn scripted(rules: &str) -> Self {
        Harness { script: Script::from_toml(rules).map(|_| Some(rules.to_owned())) }
    }

    /// Replaces the script, in the TOML format of the host's `scripted` provider.
    ///
    /// # Errors
    /// The script is invalid; the error names the rule and the field.
    pub fn script(self, rules: &str) -> Result<Self> {
        Script::from_toml(rules)?;
        Ok(Harness::scripted(rules))
    }

    /// Runs a template with an order: a CRM document, a flat document, an [`Order`], or the JSON
    /// text of one of these. Each run starts at the beginning of the script. A panic of the
    /// template propagates to the test.
    pub fn run<T: Template>(&self, order: impl Serialize) -> Run {
        match self.prepared::<T>(order) {
            Ok((order, recorder)) => {
                let _current =
                    CurrentOrder::set(&serde_json::to_string(&order).unwrap_or_default());
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
        validate(&manifest, &order)?;
        Ok((order, Recorder::new(script, scripted::purposes(&manifest))))
    }
}

impl Default for Harness {
    fn default() -> Self {
        Harness::new()
    }
}

/// Reads an order document as the host does. The default locale is `en`.
fn read(document: &Value) -> Result<Order> {
    let english: Locale = serde_json::from_value(json!("en"))?;
    sitewright_order::read(document, &english).map_err(|problems| {
        let error = Error::new("invalid-order", "the order document has problems");
        problems.iter().fold(error, Error::cause)
    })
}

/// Validates the order against the template's schema, as the host does before a run.
fn validate(manifest: &Manifest, order: &Order) -> Result<()> {
    let problems = scripted::schema_errors(&manifest.order_schema, &order.for_templates()?);
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
    /// The content of a file; `None` if it was not written.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// The content of a file as text.
    ///
    /// # Panics
    /// If the file was not written, or is not UTF-8. The message lists the written files and the
    /// result of the run.
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

/// A small, valid order document for tests to modify.
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
