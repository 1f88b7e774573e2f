//! What a template says of itself, checked.

use std::sync::Arc;

use serde::Serialize;
use sitewright_order::Locale;

use super::bindings::generator;
use sitewright_json_schema::CompiledSchema;

/// Most bytes of a manifest's order schema.
pub const MAX_SCHEMA_BYTES: usize = 256 << 10;
/// Most bytes of a template's name, and of a purpose's.
pub const MAX_NAME_BYTES: usize = 64;

/// A checked manifest.
#[derive(Debug, Clone, Serialize)]
pub struct Manifest {
    /// Lower-case letters, digits and `-`, at most 64 bytes.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// What AI calls are for; each needs a route.
    pub ai_purposes: Vec<AiPurpose>,
    /// Languages it writes, as BCP 47 tags.
    pub locales: Vec<Locale>,
    /// The JSON Schema of its order documents.
    #[serde(skip)]
    pub order_schema: Arc<CompiledSchema>,
    /// The same as text.
    #[serde(skip)]
    pub order_schema_text: Arc<str>,
}

/// A purpose of a template's AI calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AiPurpose {
    /// As the template's calls name it and the operator's routes serve it.
    pub name: String,
    /// For the operator who writes the route.
    pub description: String,
}

/// Everything that is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its manifest is not acceptable: {}", .0.join("; "))]
pub struct ManifestError(pub Vec<String>);

impl Manifest {
    /// Checks what `describe` returned.
    ///
    /// # Errors
    /// All problems at once, each naming the field and what would be right.
    pub fn check(raw: generator::Manifest) -> Result<Self, ManifestError> {
        let mut problems = Vec::new();
        if !is_name(&raw.name) {
            problems.push(format!(
                "`name` is {:?}, but must be 1 to 64 lower-case letters, digits and `-`, \
                 beginning with a letter",
                shortened(&raw.name)
            ));
        }
        if !is_semantic_version(&raw.version) {
            problems.push(format!(
                "`version` is {:?}, but must be a semantic version like `1.4.0`",
                shortened(&raw.version)
            ));
        }
        if raw.summary.trim().is_empty() || raw.summary.len() > 1_000 {
            problems.push("`summary` must be one sentence of at most 1,000 bytes".to_owned());
        }
        if raw.ai_purposes.len() > 64 {
            problems.push(format!(
                "`ai-purposes` has {} entries; at most 64 are allowed",
                raw.ai_purposes.len()
            ));
        }
        for (at, purpose) in raw.ai_purposes.iter().enumerate().take(64) {
            if !is_name(&purpose.name) {
                problems.push(format!(
                    "`ai-purposes[{at}].name` is {:?}, but must be like `copywriting`",
                    shortened(&purpose.name)
                ));
            }
            if purpose.description.len() > 1_000 {
                problems.push(format!(
                    "`ai-purposes[{at}].description` has {} bytes; at most 1,000 are allowed",
                    purpose.description.len()
                ));
            }
            if raw.ai_purposes[..at].iter().any(|earlier| earlier.name == purpose.name) {
                problems.push(format!(
                    "`ai-purposes[{at}].name` {:?} is there twice",
                    shortened(&purpose.name)
                ));
            }
        }
        let mut locales = Vec::new();
        if raw.locales.is_empty() || raw.locales.len() > 256 {
            problems.push(
                "`locales` must name 1 to 256 languages the template can write in, like `pt-BR`"
                    .to_owned(),
            );
        }
        for (at, locale) in raw.locales.iter().enumerate().take(256) {
            match locale.parse() {
                Ok(locale) => locales.push(locale),
                Err(error) => problems.push(format!("`locales[{at}]`: {error}")),
            }
        }
        let schema = if raw.order_schema.len() > MAX_SCHEMA_BYTES {
            problems.push(format!(
                "`order-schema` has {} bytes; at most {MAX_SCHEMA_BYTES} are allowed",
                raw.order_schema.len()
            ));
            None
        } else {
            CompiledSchema::compile(&raw.order_schema)
                .map_err(|error| problems.push(format!("`order-schema`: {error}")))
                .ok()
        };
        match schema {
            Some(schema) if problems.is_empty() => Ok(Manifest {
                name: raw.name,
                version: raw.version,
                summary: raw.summary,
                ai_purposes: raw
                    .ai_purposes
                    .into_iter()
                    .map(|purpose| AiPurpose {
                        name: purpose.name,
                        description: purpose.description,
                    })
                    .collect(),
                locales,
                order_schema: Arc::new(schema),
                order_schema_text: raw.order_schema.into(),
            }),
            _ => Err(ManifestError(problems)),
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES
        && text.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// `MAJOR.MINOR.PATCH` with optional pre-release and build parts, as semver.org writes it,
/// leniently after the numbers.
fn is_semantic_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    text.len() <= 64
        && numbers.len() == 3
        && numbers.iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-+".contains(&b))
}
