//! The trait of templates and their manifest.

use std::future::Future;

use serde_json::Value;

use crate::{Result, Site, order::Order};

/// A site template. Implement it for a type without fields and pass that type to
/// [`export!`](crate::export!).
pub trait Template {
    /// Returns the manifest. It must be fast and deterministic: the host calls it when it loads the
    /// template.
    fn manifest() -> Manifest;

    /// Generates the site of an order. Implement it as `async fn`.
    ///
    /// # Errors
    /// The site could not be generated: the host discards all files, and the failure record
    /// contains the error with all its causes.
    fn generate(order: Order, site: Site) -> impl Future<Output = Result<()>>;
}

/// What a template is and what it needs. The host checks it when it loads the template.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Manifest {
    /// The name of the template: lower-case letters, digits and `-`, beginning with a letter, at
    /// most 64 bytes, for example `local-business`.
    pub name: String,
    /// The semantic version of the template: `1.4.0`.
    pub version: String,
    /// What the template generates, in one sentence of at most 1,000 bytes.
    pub summary: String,
    /// The JSON Schema (draft 2020-12, at most 256 KiB as text) of the orders that the template
    /// accepts. The host validates each order against it before the run.
    pub order_schema: Value,
    /// The purposes of AI calls, at most 64. A call with any other purpose is rejected.
    pub ai_purposes: Vec<AiPurpose>,
    /// The languages in which the template can write, as BCP 47 tags: `pt-BR`, `en`. At least one.
    pub locales: Vec<String>,
    /// The fields of the order that the template uses, by name, for operators and forms; `None` if
    /// it does not say.
    pub order_fields: Option<Vec<String>>,
    /// Texts of the template's own prompts and layouts that no visitor may read, at most 64, each
    /// of 2 to 100 bytes.
    pub copy_marks: Vec<String>,
    /// One of `locales`, for orders in another language where the operator allows that.
    pub fallback_locale: Option<String>,
    /// The bytes that a site is expected to have at most. A larger one is published with a warning.
    pub site_bytes: Option<u64>,
    /// The hosts, by name, that pages load from: `fonts.example.com`. At most 64. Pages that load
    /// from others are published with a warning.
    pub external_hosts: Vec<String>,
    /// The purposes, of `ai_purposes`, whose replies are not texts for visitors, such as code: the
    /// host does not check them as copy.
    pub exempt_purposes: Vec<String>,
}

/// A purpose of AI calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AiPurpose {
    /// The name, as in [`ai::ask`](crate::ai::ask): lower-case letters, digits and `-`, at most 64
    /// bytes.
    pub name: String,
    /// What the calls are for, for the operator who configures the route. At most 1,000 bytes.
    pub description: String,
}

impl Manifest {
    /// A manifest that accepts every [`Order`]. Pass `env!("CARGO_PKG_VERSION")` as the version,
    /// and add at least one [`locale`](Manifest::locale).
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
            order_fields: None,
            copy_marks: Vec::new(),
            fallback_locale: None,
            site_bytes: None,
            external_hosts: Vec::new(),
            exempt_purposes: Vec::new(),
        }
    }

    /// Adds a purpose of AI calls with its description.
    pub fn purpose(mut self, name: impl Into<String>, description: impl Into<String>) -> Self {
        self.ai_purposes.push(AiPurpose { name: name.into(), description: description.into() });
        self
    }

    /// Adds a language in which the template can write, as a BCP 47 tag: `pt-BR`.
    pub fn locale(mut self, tag: impl Into<String>) -> Self {
        self.locales.push(tag.into());
        self
    }

    /// Names the fields of the order that the template uses: operators see them, and the template
    /// gets all fields anyway.
    pub fn order_fields(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.order_fields = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Adds a text that no visitor may read, such as a mark in the template's prompts or layouts:
    /// the host rejects an AI reply, and a page, that shows it. At most 64, each of 2 to 100 bytes.
    pub fn copy_mark(mut self, text: impl Into<String>) -> Self {
        self.copy_marks.push(text.into());
        self
    }

    /// Sets the language, one of the template's, for orders in another language where the operator
    /// allows that and names none that the template writes.
    pub fn fallback_locale(mut self, tag: impl Into<String>) -> Self {
        self.fallback_locale = Some(tag.into());
        self
    }

    /// Sets the bytes that a site is expected to have at most. A larger one is published with a
    /// warning.
    pub fn site_bytes(mut self, bytes: u64) -> Self {
        self.site_bytes = Some(bytes);
        self
    }

    /// Adds a host that pages load from, by name: `fonts.example.com`. At most 64. Pages that load
    /// from others are published with a warning, because each host learns of every visitor.
    /// Addresses that the order names need no declaration.
    pub fn external_host(mut self, name: impl Into<String>) -> Self {
        self.external_hosts.push(name.into());
        self
    }

    /// Says that the replies for one of the purposes are not texts for visitors, such as code: the
    /// host does not check them as copy. Pages are checked whatever they are made of.
    pub fn exempt_purpose(mut self, name: impl Into<String>) -> Self {
        self.exempt_purposes.push(name.into());
        self
    }

    /// Replaces the schema of accepted orders, for a template that needs an optional field. Orders
    /// are still parsed as [`Order`].
    pub fn order_schema(mut self, schema: Value) -> Self {
        self.order_schema = schema;
        self
    }
}
