//! Checks a template's manifest.

use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::Serialize;
use sitewright_order::Locale;

use super::bindings::types;
use sitewright_confined::Confined;
use sitewright_intake::{OrderSnapshot, TemplateLanguages};
use sitewright_json_schema::{GuardedSchema, SchemaError};
use sitewright_site::SitePolicy;

/// Maximum bytes of a manifest's order schema.
pub const MAX_SCHEMA_BYTES: usize = 256 << 10;
/// Maximum bytes of the name of a template, and of a purpose.
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
    /// Purposes of its AI calls. Each needs a route.
    pub ai_purposes: Vec<AiPurpose>,
    /// Languages that it writes, as BCP 47 tags.
    pub locales: Vec<Locale>,
    /// One of `locales`, for orders in another language where the operator allows that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback_locale: Option<Locale>,
    /// Fields of the normalised order that it uses; `None` if it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_order_fields: Option<Vec<String>>,
    /// Texts of its prompts and layouts that no visitor may read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copy_marks: Vec<String>,
    /// Bytes that its sites have at most, as its author expects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site_bytes: Option<u64>,
    /// Names of the hosts that its pages load from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub external_hosts: Vec<String>,
    /// Those of `ai_purposes` whose replies are not checked as copy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exempt_purposes: Vec<String>,
    /// The JSON Schema of its order documents.
    #[serde(skip)]
    pub order_schema: GuardedSchema,
    /// The text of `order_schema`.
    #[serde(skip)]
    pub order_schema_text: Arc<str>,
    /// The fields that `order_schema` knows, if it refuses others and lacks some of the normalised
    /// order: a template of an earlier SDK.
    #[serde(skip)]
    pub order_fields: Option<Arc<[String]>>,
}

/// A purpose of a template's AI calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AiPurpose {
    /// Name in the template's calls and in the operator's routes.
    pub name: String,
    /// Helps the operator to choose a route.
    pub description: String,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestCheckError {
    /// It breaks the rules.
    #[error(transparent)]
    Unacceptable(#[from] ManifestError),
    /// The host failed to check it.
    #[error("its manifest could not be checked: {0}")]
    Host(String),
}

/// All problems of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its manifest is not acceptable: {}", .0.join("; "))]
pub struct ManifestError(pub Vec<String>);

impl Manifest {
    /// The document for the template: the normalised order without the host's notices. Fields that a
    /// template of an earlier SDK refuses are in `extra`, where they were then.
    ///
    /// # Errors
    /// serde_json's; an order that was read has none.
    pub fn document_of(&self, snapshot: &OrderSnapshot) -> serde_json::Result<Arc<str>> {
        let known = self.order_fields.as_deref();
        let order = snapshot.order();
        if known.is_none() && order.notices.is_empty() {
            return Ok(snapshot.document().clone());
        }
        if known.is_none()
            && let Some(document) = without_notices(snapshot)?
        {
            return Ok(document.into());
        }
        let mut document = order.for_templates()?;
        if let (Some(known), Some(fields)) = (known, document.as_object_mut()) {
            move_to_extra(fields, known);
        }
        Ok(document.to_string().into())
    }
}

impl Manifest {
    /// The languages that it writes.
    pub fn languages(&self) -> TemplateLanguages {
        TemplateLanguages { locales: self.locales.clone(), fallback: self.fallback_locale.clone() }
    }

    /// The operator's policy with the texts that this template forbids, and the hosts and exempt
    /// purposes that it declares.
    pub(crate) fn policy(&self, of_operator: &SitePolicy) -> SitePolicy {
        let mut policy = of_operator.clone();
        policy.forbidden_words.extend(self.copy_marks.iter().cloned());
        policy.external_hosts.extend(self.external_hosts.iter().cloned());
        policy.exempt_purposes.extend(self.exempt_purposes.iter().cloned());
        policy
    }
}

/// The document without its last field, the notices; `None` if it is another one. Most orders have
/// notices, and the tree of an order takes many times what its text does.
fn without_notices(snapshot: &OrderSnapshot) -> serde_json::Result<Option<String>> {
    let notices = serde_json::to_string(&snapshot.order().notices)?;
    let rest = snapshot.document().strip_suffix('}');
    let rest = rest.and_then(|rest| rest.strip_suffix(notices.as_str()));
    let rest = rest.and_then(|rest| rest.strip_suffix(",\"notices\":"));
    Ok(rest.map(|rest| format!("{rest}}}")))
}

/// Moves the fields that are not `known` into `extra`, if that is known and has none of that name.
fn move_to_extra(fields: &mut serde_json::Map<String, serde_json::Value>, known: &[String]) {
    if !known.iter().any(|name| name == "extra") {
        return;
    }
    let unknown: Vec<String> =
        fields.keys().filter(|name| !known.contains(name)).cloned().collect();
    for name in unknown {
        let Some(value) = fields.shift_remove(&name) else { continue };
        let extra = fields.entry("extra").or_insert_with(|| serde_json::json!({}));
        if let Some(extra) = extra.as_object_mut() {
            extra.entry(name).or_insert(value);
        }
    }
}

/// See [`Manifest::order_fields`].
fn closed_fields(schema: &str) -> Option<Arc<[String]>> {
    let names = |schema: &str| -> Option<(Vec<String>, bool)> {
        let schema: serde_json::Value = serde_json::from_str(schema).ok()?;
        let closed = schema.get("additionalProperties") == Some(&serde_json::Value::Bool(false));
        let properties = schema.get("properties")?.as_object()?;
        Some((properties.keys().cloned().collect(), closed))
    };
    let (known, closed) = names(schema)?;
    let (all, _) = names(sitewright_intake::NORMALISED_SCHEMA)?;
    let lacks = all.iter().any(|name| !known.contains(name));
    (closed && lacks).then(|| known.into())
}

impl Manifest {
    /// Checks the manifest that `describe` returned. A costly schema is compiled in `confined`, in
    /// the lane `lane`.
    ///
    /// # Errors
    /// All problems, each with its field and what is allowed; or the host failed.
    pub async fn check(
        raw: types::Manifest,
        confined: &Confined,
        lane: &str,
    ) -> Result<Self, ManifestCheckError> {
        let (mut problems, locales) = Self::check_fields(&raw);
        let fallback_locale = fallback(&raw, &locales);
        let schema = if raw.order_schema.len() > MAX_SCHEMA_BYTES {
            problems.push(format!(
                "`order-schema` has {} bytes; at most {MAX_SCHEMA_BYTES} are allowed",
                raw.order_schema.len()
            ));
            None
        } else {
            match GuardedSchema::compile(raw.order_schema.clone(), confined, lane).await {
                Ok(schema) => Some(schema),
                Err(SchemaError::Host(reason)) => return Err(ManifestCheckError::Host(reason)),
                Err(error) => {
                    problems.push(format!("`order-schema`: {error}"));
                    None
                }
            }
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
                fallback_locale,
                locales,
                used_order_fields: raw.order_fields,
                copy_marks: raw.copy_marks,
                site_bytes: raw.site_bytes,
                external_hosts: raw.external_hosts,
                exempt_purposes: raw.exempt_purposes,
                order_schema: schema,
                order_fields: closed_fields(&raw.order_schema),
                order_schema_text: raw.order_schema.into(),
            }),
            _ => Err(ManifestError(problems).into()),
        }
    }

    /// The problems of all fields but the schema, and the locales.
    fn check_fields(raw: &types::Manifest) -> (Vec<String>, Vec<Locale>) {
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
        if raw.ai_purposes.len() > MAX_PURPOSES {
            problems.push(format!(
                "`ai-purposes` has {} entries; at most {MAX_PURPOSES} are allowed",
                raw.ai_purposes.len()
            ));
        }
        for (at, purpose) in raw.ai_purposes.iter().enumerate().take(MAX_PURPOSES) {
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
        check_optional(raw, &locales, &mut problems);
        (problems, locales)
    }
}

/// The template's own fallback language, which is one of its languages.
fn fallback(raw: &types::Manifest, locales: &[Locale]) -> Option<Locale> {
    let wanted: Locale = raw.fallback_locale.as_ref()?.parse().ok()?;
    locales.iter().find(|locale| **locale == wanted).cloned()
}

/// Maximum purposes of AI calls.
const MAX_PURPOSES: usize = 64;
/// Maximum order fields that a manifest may name: more than an order has.
const MAX_ORDER_FIELDS: usize = 256;
/// Maximum declared hosts.
const MAX_HOSTS: usize = 64;
/// Maximum bytes of the name of a host (RFC 1035).
const MAX_HOST_BYTES: usize = 253;
/// Maximum copy marks.
const MAX_COPY_MARKS: usize = 64;
/// Bytes of a copy mark. A shorter one would be a part of words.
const COPY_MARK_BYTES: RangeInclusive<usize> = 2..=100;

/// The problems of the fields that a template may leave out.
fn check_optional(raw: &types::Manifest, locales: &[Locale], problems: &mut Vec<String>) {
    if let Some(wanted) = &raw.fallback_locale
        && fallback(raw, locales).is_none()
    {
        problems.push(format!(
            "`fallback-locale` is {:?}, but must be one of `locales`",
            shortened(wanted)
        ));
    }
    let fields = raw.order_fields.as_deref().unwrap_or_default();
    // A field that this host does not know may be one of a later order.
    if fields.len() > MAX_ORDER_FIELDS || fields.iter().any(|field| field.len() > MAX_NAME_BYTES) {
        problems.push(format!(
            "`order-fields` must have at most {MAX_ORDER_FIELDS} names of at most \
             {MAX_NAME_BYTES} bytes"
        ));
    }
    if raw.copy_marks.len() > MAX_COPY_MARKS {
        problems.push(format!(
            "`copy-marks` has {} entries; at most {MAX_COPY_MARKS} are allowed",
            raw.copy_marks.len()
        ));
    }
    for (at, mark) in raw.copy_marks.iter().enumerate().take(MAX_COPY_MARKS) {
        // Blanks around a mark make it longer, and not rarer.
        if mark.len() > *COPY_MARK_BYTES.end() || mark.trim().len() < *COPY_MARK_BYTES.start() {
            problems.push(format!(
                "`copy-marks[{at}]` is {:?}, but must have {} to {} bytes",
                shortened(mark),
                COPY_MARK_BYTES.start(),
                COPY_MARK_BYTES.end()
            ));
        }
    }
    if raw.external_hosts.len() > MAX_HOSTS {
        problems.push(format!(
            "`external-hosts` has {} entries; at most {MAX_HOSTS} are allowed",
            raw.external_hosts.len()
        ));
    }
    for (at, host) in raw.external_hosts.iter().enumerate().take(MAX_HOSTS) {
        if !is_host(host) {
            problems.push(format!(
                "`external-hosts[{at}]` is {:?}, but must be the name of a host in lower case, \
                 like `fonts.example.com`",
                shortened(host)
            ));
        }
    }
    if raw.exempt_purposes.len() > MAX_PURPOSES {
        problems.push(format!(
            "`exempt-purposes` has {} entries; at most {MAX_PURPOSES} are allowed",
            raw.exempt_purposes.len()
        ));
    }
    for (at, exempt) in raw.exempt_purposes.iter().enumerate().take(MAX_PURPOSES) {
        let mut known = raw.ai_purposes.iter().take(MAX_PURPOSES);
        if !known.any(|purpose| purpose.name == *exempt) {
            problems.push(format!(
                "`exempt-purposes[{at}]` is {:?}, but must be the name of one of `ai-purposes`",
                shortened(exempt)
            ));
        }
    }
    if raw.site_bytes == Some(0) {
        problems.push("`site-bytes` is 0: leave it out, or name the bytes of a site".to_owned());
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Whether a text is the name of a host, without scheme, port and path.
fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.len() <= MAX_HOST_BYTES && text.contains('.') && text.split('.').all(is_label)
}

fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES
        && text.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// `MAJOR.MINOR.PATCH` as semver.org defines it. Pre-release and build parts are checked loosely.
fn is_semantic_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    text.len() <= 64
        && numbers.len() == 3
        && numbers.iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-+".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_gets_the_fields_of_the_order_without_what_the_host_notes() {
        let sent = r#"{
            "id": "7", "locale": "en", "business_name": "Notices \"notices\":[] Ltd",
            "business_email": "a@example.com", "business_phone": "+1 512 555 0178",
            "years_in_business": "many", "extra": { "notices": [1.5, "}"] }
        }"#;
        let english = "en".parse().unwrap();
        let snapshot = sitewright_intake::load(sent.as_bytes(), 1 << 20, &english).unwrap();
        let order = snapshot.order();
        assert!(!order.notices.is_empty(), "{}", snapshot.document());
        let expected = order.for_templates().unwrap().to_string();
        assert_eq!(without_notices(&snapshot).unwrap().as_deref(), Some(expected.as_str()));
        assert_ne!(&**snapshot.document(), expected.as_str());
    }

    #[test]
    fn what_a_manifest_may_leave_out_is_checked_if_it_is_there() {
        let good = types::Manifest {
            name: "shop".to_owned(),
            version: "1.0.0".to_owned(),
            summary: "A page.".to_owned(),
            order_schema: "{}".to_owned(),
            ai_purposes: vec![types::AiPurpose {
                name: "code".to_owned(),
                description: String::new(),
            }],
            locales: vec!["en".to_owned(), "pt-BR".to_owned()],
            order_fields: Some(vec!["business_name".to_owned(); MAX_ORDER_FIELDS]),
            copy_marks: vec!["[[".to_owned(), "x".repeat(100)],
            fallback_locale: Some("pt-BR".to_owned()),
            site_bytes: Some(1),
            external_hosts: vec!["fonts.example.com".to_owned(); MAX_HOSTS],
            exempt_purposes: vec!["code".to_owned(); MAX_PURPOSES],
        };
        let (problems, locales) = Manifest::check_fields(&good);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(fallback(&good, &locales).as_ref(), locales.last());
        type Change = fn(&mut types::Manifest);
        let rows: [(Change, &str); 16] = [
            (|raw| raw.fallback_locale = Some("fr".to_owned()), "`fallback-locale` is \"fr\""),
            (|raw| raw.fallback_locale = Some("?".to_owned()), "`fallback-locale` is \"?\""),
            (|raw| raw.order_fields = Some(vec!["x".repeat(65)]), "`order-fields` must have"),
            (
                |raw| raw.order_fields = Some(vec![String::new(); MAX_ORDER_FIELDS + 1]),
                "`order-fields` must have",
            ),
            (|raw| raw.copy_marks = vec!["x".repeat(101)], "`copy-marks[0]` is"),
            (|raw| raw.copy_marks = vec![format!("ok{}", " ".repeat(99))], "`copy-marks[0]` is"),
            (|raw| raw.copy_marks = vec![" x ".to_owned()], "`copy-marks[0]` is"),
            (|raw| raw.copy_marks = vec!["ok".to_owned(); 65], "`copy-marks` has 65 entries"),
            (|raw| raw.site_bytes = Some(0), "`site-bytes` is 0"),
            (|raw| raw.external_hosts.push("a.example".to_owned()), "`external-hosts` has 65"),
            (
                |raw| raw.external_hosts[0] = "https://a.example".to_owned(),
                "`external-hosts[0]` is \"https://a.example\"",
            ),
            (|raw| raw.external_hosts[1] = "A.example".to_owned(), "`external-hosts[1]` is"),
            (|raw| raw.external_hosts[0] = "localhost".to_owned(), "`external-hosts[0]` is"),
            (|raw| raw.external_hosts[0] = "a..example".to_owned(), "`external-hosts[0]` is"),
            (|raw| raw.exempt_purposes[1] = "copy".to_owned(), "`exempt-purposes[1]` is \"copy\""),
            (|raw| raw.exempt_purposes.push("code".to_owned()), "`exempt-purposes` has 65"),
        ];
        for (change, says) in rows {
            let mut raw = good.clone();
            change(&mut raw);
            let (problems, _) = Manifest::check_fields(&raw);
            assert!(problems.len() == 1 && problems[0].starts_with(says), "{says}: {problems:?}");
        }
    }
}
