//! What a template is.

use std::future::Future;

use serde_json::Value;

use crate::{Result, Site, order::Order};

/// A program that makes sites. Implement it for a type without fields and hand that to
/// [`export!`](crate::export!).
pub trait Template {
    /// What this template is. Pure and quick: the host asks before any order comes, and expects the
    /// same answer each time.
    fn manifest() -> Manifest;

    /// Makes the site of one order. Write it as `async fn`.
    ///
    /// # Errors
    /// Why no site was made. All files are dropped then, and the error goes into the failure record
    /// whole.
    fn generate(order: Order, site: Site) -> impl Future<Output = Result<()>>;
}

/// What a template tells about itself, for operators and for the host's checks.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Manifest {
    /// Lower-case letters, digits and `-`, beginning with a letter, at most 64 bytes:
    /// `local-business`.
    pub name: String,
    /// Semantic version of the template: `1.4.0`.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// JSON Schema (draft 2020-12, at most 256 KiB as text) of the orders it accepts. The host
    /// checks each order against it before the run.
    pub order_schema: Value,
    /// What its AI calls are for. A call with another purpose is refused.
    pub ai_purposes: Vec<AiPurpose>,
    /// BCP 47 tags it can write in: `pt-BR`, `en`. At least one.
    pub locales: Vec<String>,
}

/// What an AI call of a template may be for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AiPurpose {
    /// As in [`ai::ask`](crate::ai::ask): lower-case letters, digits and `-`, at most 64 bytes.
    pub name: String,
    /// What it is used for, for the operator who writes the route.
    pub description: String,
}

impl Manifest {
    /// A manifest that accepts every [`Order`]. Give `env!("CARGO_PKG_VERSION")` as the version. It
    /// still needs a [`locale`](Manifest::locale).
    pub fn new(
        name: impl Into<String>,
        version: impl Into<String>,
        summary: impl Into<String>,
    ) -> Self {
        Manifest {
            name: name.into(),
            version: version.into(),
            summary: summary.into(),
            order_schema: schemars::schema_for!(Order).to_value(),
            ai_purposes: Vec::new(),
            locales: Vec::new(),
        }
    }

    /// Adds a purpose of AI calls, and what they are used for.
    pub fn purpose(mut self, name: impl Into<String>, description: impl Into<String>) -> Self {
        self.ai_purposes.push(AiPurpose { name: name.into(), description: description.into() });
        self
    }

    /// Adds a language the template can write in.
    pub fn locale(mut self, tag: impl Into<String>) -> Self {
        self.locales.push(tag.into());
        self
    }

    /// Accepts only orders that this schema accepts, for a template that cannot do without some
    /// field. Orders are still read as [`Order`].
    pub fn order_schema(mut self, schema: Value) -> Self {
        self.order_schema = schema;
        self
    }
}
