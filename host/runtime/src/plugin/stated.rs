//! The manifest in the file of a template: what `describe` returns, readable without running it.
//!
//! `sitewright template build` appends it as a custom section. It is no more than a copy: whoever
//! loads the template compares it with what `describe` returns.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sitewright_confined::Confined;
use wasmparser::{Parser, Payload};

use super::bindings::types;
use super::contract::{MAX_DEPTH, Target};
use super::manifest::Manifest;
use super::template::{TemplateError, TemplateProblem, checked, file_name, read};

/// Name of the custom section.
pub const MANIFEST_SECTION: &str = "sitewright:manifest";
/// Maximum bytes of its content: 1 MiB. The largest valid manifest has less than half of that.
const MAX_SECTION: usize = 1 << 20;

/// Maximum characters of the reason why it cannot be read.
const MAX_WHY: usize = 300;

/// The id of a custom section.
const CUSTOM: u8 = 0;

/// A manifest as the section has it, as JSON. Later versions of the contract may add fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct StatedManifest {
    name: String,
    version: String,
    summary: String,
    order_schema: String,
    ai_purposes: Vec<StatedPurpose>,
    locales: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order_fields: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    copy_marks: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fallback_locale: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    site_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    external_hosts: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exempt_purposes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StatedPurpose {
    name: String,
    description: String,
}

impl From<&types::Manifest> for StatedManifest {
    fn from(manifest: &types::Manifest) -> Self {
        let purpose = |purpose: &types::AiPurpose| StatedPurpose {
            name: purpose.name.clone(),
            description: purpose.description.clone(),
        };
        StatedManifest {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            summary: manifest.summary.clone(),
            order_schema: manifest.order_schema.clone(),
            ai_purposes: manifest.ai_purposes.iter().map(purpose).collect(),
            locales: manifest.locales.clone(),
            order_fields: manifest.order_fields.clone(),
            copy_marks: manifest.copy_marks.clone(),
            fallback_locale: manifest.fallback_locale.clone(),
            site_bytes: manifest.site_bytes,
            external_hosts: manifest.external_hosts.clone(),
            exempt_purposes: manifest.exempt_purposes.clone(),
        }
    }
}

impl From<StatedManifest> for types::Manifest {
    fn from(stated: StatedManifest) -> Self {
        let purpose = |StatedPurpose { name, description }| types::AiPurpose { name, description };
        types::Manifest {
            name: stated.name,
            version: stated.version,
            summary: stated.summary,
            order_schema: stated.order_schema,
            ai_purposes: stated.ai_purposes.into_iter().map(purpose).collect(),
            locales: stated.locales,
            order_fields: stated.order_fields,
            copy_marks: stated.copy_marks,
            fallback_locale: stated.fallback_locale,
            site_bytes: stated.site_bytes,
            external_hosts: stated.external_hosts,
            exempt_purposes: stated.exempt_purposes,
        }
    }
}

/// The section differs from `describe`, or cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "its section `{MANIFEST_SECTION}`, from which it is listed without running it, {0}; build it \
     again with `sitewright template build`"
)]
pub struct StatedError(String);

impl StatedManifest {
    /// Whether `describe` returned the same.
    ///
    /// # Errors
    /// The fields that differ.
    pub(super) fn agrees(&self, described: &types::Manifest) -> Result<(), StatedError> {
        let described = StatedManifest::from(described);
        if *self == described {
            return Ok(());
        }
        let fields = |manifest: &StatedManifest| serde_json::to_value(manifest).unwrap_or_default();
        let (stated, described) = (fields(self), fields(&described));
        let names = [&stated, &described]
            .into_iter()
            .filter_map(serde_json::Value::as_object)
            .flat_map(serde_json::Map::keys);
        let mut differing: Vec<&String> =
            names.filter(|name| stated.get(*name) != described.get(*name)).collect();
        differing.sort();
        differing.dedup();
        let named: Vec<String> = differing.iter().map(|name| format!("`{name}`")).collect();
        Err(StatedError(format!("has another {} than `describe` returns", named.join(", "))))
    }
}

/// The section's manifest, and the range of the section in the file; `None` if there is none.
///
/// # Errors
/// There are two, or it cannot be read. A file that is no component has none.
pub(super) fn find(wasm: &[u8]) -> Result<Option<(StatedManifest, Range<usize>)>, StatedError> {
    let (mut found, mut depth) = (None, 0_u32);
    for payload in Parser::new(0).parse_all(wasm) {
        let Ok(payload) = payload else { return Ok(None) };
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Ok(None);
                }
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if depth == 0 && section.name() == MANIFEST_SECTION => {
                let content = section.data();
                if found.is_some() {
                    return Err(StatedError("is there twice".to_owned()));
                }
                if content.len() > MAX_SECTION {
                    return Err(StatedError(format!(
                        "has {} bytes; at most {MAX_SECTION} are allowed",
                        content.len()
                    )));
                }
                let stated = serde_json::from_slice(content).map_err(|error| {
                    // Of a value with another type serde quotes all, which may be a megabyte.
                    let why: String = error.to_string().chars().take(MAX_WHY).collect();
                    StatedError(format!("cannot be read: {why}"))
                })?;
                // The id and the length are before the range.
                let length = leb128_len(section.range().len());
                let begin = section.range().start.saturating_sub(1 + length);
                if wasm.get(begin) != Some(&CUSTOM) {
                    return Err(StatedError("has a length in more bytes than it takes".to_owned()));
                }
                found = Some((stated, begin..section.range().end));
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The SHA-256 of the file without its section, by which compiled code is cached: a manifest changes
/// none of it.
pub(super) fn code_digest(wasm: &[u8], section: &Range<usize>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(wasm.get(..section.start).unwrap_or_default());
    hash.update(wasm.get(section.end..).unwrap_or_default());
    hash.finalize().into()
}

/// `component` with the manifest that its `describe` returned, in place of one that it has.
///
/// # Errors
/// The component has two such sections.
pub fn with_manifest(
    component: &[u8],
    described: &types::Manifest,
) -> Result<Vec<u8>, StatedError> {
    let section = find(component)?.map(|(_, section)| section);
    let mut out = match section {
        Some(section) => [
            component.get(..section.start).unwrap_or_default(),
            component.get(section.end..).unwrap_or_default(),
        ]
        .concat(),
        None => component.to_vec(),
    };
    let json = serde_json::to_vec(&StatedManifest::from(described))
        .map_err(|error| StatedError(format!("cannot be written: {error}")))?;
    let mut content = Vec::with_capacity(json.len() + MANIFEST_SECTION.len() + 4);
    leb128(&mut content, MANIFEST_SECTION.len());
    content.extend_from_slice(MANIFEST_SECTION.as_bytes());
    content.extend_from_slice(&json);
    out.push(CUSTOM);
    leb128(&mut out, content.len());
    out.extend_from_slice(&content);
    Ok(out)
}

/// Appends a number as unsigned LEB128.
fn leb128(out: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn leb128_len(number: usize) -> usize {
    let mut out = Vec::new();
    leb128(&mut out, number);
    out.len()
}

/// A template, as far as its file says it without being run.
#[derive(Debug)]
pub struct StatedTemplate {
    pub manifest: Manifest,
    pub path: PathBuf,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// The version and world of the contract that it was built for.
    pub target: Target,
    digest: [u8; 32],
}

impl StatedTemplate {
    /// What the file in `path` says; `None` if it says nothing: then it must be loaded. Nothing of
    /// it is compiled or run, and whether `describe` agrees is found when it is loaded.
    ///
    /// # Errors
    /// The file is no component for this host, or what it says breaks the rules for manifests.
    pub async fn read(path: &Path, confined: &Confined) -> Result<Option<Self>, TemplateError> {
        let problem = |problem| TemplateError { path: path.to_owned(), problem };
        let file = path.to_owned();
        let found = tokio::task::spawn_blocking(move || read(&file))
            .await
            .unwrap_or_else(|error| Err(TemplateProblem::Host(error.to_string())))
            .map_err(problem)?;
        let Some(stated) = found.stated else { return Ok(None) };
        let manifest = checked(stated.into(), confined, &file_name(path)).await.map_err(problem)?;
        Ok(Some(StatedTemplate {
            manifest,
            path: path.to_owned(),
            bytes: found.wasm.len() as u64,
            target: found.target.map_err(|error| problem(error.into()))?,
            digest: found.digest,
        }))
    }

    /// As [`Template::digest`](super::Template::digest).
    pub fn digest(&self) -> String {
        format!("sha256:{}", hex::encode(self.digest))
    }

    /// As [`Template::name`](super::Template::name).
    pub fn name(&self) -> Cow<'_, str> {
        file_name(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(version: &str) -> types::Manifest {
        types::Manifest {
            name: "shop".to_owned(),
            version: version.to_owned(),
            summary: "A page.".to_owned(),
            order_schema: "{}".to_owned(),
            ai_purposes: vec![types::AiPurpose {
                name: "copywriting".to_owned(),
                description: "x".repeat(300),
            }],
            locales: vec!["en".to_owned()],
            order_fields: None,
            copy_marks: Vec::new(),
            fallback_locale: None,
            site_bytes: Some(7),
            external_hosts: Vec::new(),
            exempt_purposes: Vec::new(),
        }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_changes_no_code() {
        let bare = wat::parse_str("(component (core module) (component))").unwrap();
        assert!(find(&bare).unwrap().is_none());
        let one = with_manifest(&bare, &manifest("1.0.0")).unwrap();
        let (stated, section) = find(&one).unwrap().unwrap();
        assert_eq!(stated.agrees(&manifest("1.0.0")), Ok(()));
        assert_eq!(types::Manifest::from(stated).locales, ["en"]);
        assert_eq!(section, bare.len()..one.len());
        let of_bare: [u8; 32] = Sha256::digest(&bare).into();
        assert_eq!(code_digest(&one, &section), of_bare);
        // A second build replaces it.
        let two = with_manifest(&one, &manifest("1.0.1")).unwrap();
        assert_eq!(two.len(), one.len());
        let (stated, _) = find(&two).unwrap().unwrap();
        let said = stated.agrees(&manifest("1.0.0")).unwrap_err().to_string();
        assert!(said.contains("another `version` than `describe`"), "{said}");
        assert!(said.contains("sitewright template build"), "{said}");
        let more = types::Manifest { site_bytes: None, ..manifest("1.0.1") };
        let said = stated.agrees(&more).unwrap_err().to_string();
        assert!(said.contains("another `site-bytes` than"), "{said}");
    }

    #[test]
    fn a_section_that_is_wrong_is_refused_with_the_reason() {
        let bare = wat::parse_str("(component)").unwrap();
        let one = with_manifest(&bare, &manifest("1.0.0")).unwrap();
        let twice = [one.as_slice(), &one[bare.len()..]].concat();
        let garbled = [&one[..one.len() - 1], b"!"].concat();
        let end_of_length = bare.len() + 1 + leb128_len(one.len() - bare.len());
        let mut padded = one.clone();
        padded[end_of_length - 1] |= 0x80;
        padded.insert(end_of_length, 0);
        let custom = |content: &[u8]| {
            let length = u8::try_from(MANIFEST_SECTION.len()).unwrap();
            let named = [[length].as_slice(), MANIFEST_SECTION.as_bytes(), content].concat();
            section(&bare, CUSTOM, &named)
        };
        for (wasm, says) in [
            (twice, "twice"),
            (garbled, "cannot be read"),
            (custom(b""), "cannot be read"),
            (custom(b"\xff"), "cannot be read"),
            (custom(b"{\"name\":\"a\",\"name\":\"b\"}"), "cannot be read"),
            (custom(format!("[{:?}]", "x".repeat(1 << 19)).as_bytes()), "cannot be read"),
            (custom(format!("{{\"{}\":", "x".repeat(1 << 19)).as_bytes()), "cannot be read"),
            (
                custom(format!("{{\"site-bytes\":{:?}}}", "x".repeat(1 << 19)).as_bytes()),
                "cannot be read: invalid type: string \"xxx",
            ),
            (custom(&vec![b' '; MAX_SECTION + 1]), "at most 1048576"),
            (padded, "in more bytes than it takes"),
        ] {
            let said = find(&wasm).unwrap_err().to_string();
            assert!(said.contains(says), "{says:?} is missing: {said}");
            assert!(said.len() < 1_000, "{says:?}: {} bytes", said.len());
        }
        // A field of a later version is no difference.
        let content = &one[one.iter().position(|byte| *byte == b'{').unwrap()..];
        let later = custom(&[b"{\"later\":[{}],".as_slice(), &content[1..]].concat());
        let (stated, _) = find(&later).unwrap().unwrap();
        assert_eq!(stated.agrees(&manifest("1.0.0")), Ok(()));
    }

    /// `wasm` with one more section.
    fn section(wasm: &[u8], id: u8, content: &[u8]) -> Vec<u8> {
        let mut out = wasm.to_vec();
        out.push(id);
        leb128(&mut out, content.len());
        out.extend_from_slice(content);
        out
    }

    #[test]
    fn a_file_without_a_manifest_of_its_own_has_none_whatever_is_in_it() {
        let bare = wat::parse_str("(component)").unwrap();
        let one = with_manifest(&bare, &manifest("1.0.0")).unwrap();
        let module = [b"\0asm\x01\0\0\0".as_slice(), &one[bare.len()..]].concat();
        let mut deep = one.clone();
        for _ in 0..=MAX_DEPTH {
            deep = section(&bare, 4, &deep);
        }
        let deep = [deep.as_slice(), &one[bare.len()..]].concat();
        // Loading what is no component says what it is.
        for (wasm, what) in [
            (b"no component".to_vec(), "no component"),
            (one[..one.len() - 1].to_vec(), "a section that is cut"),
            (section(&bare, 1, &module), "a section of a core module inside"),
            (section(&bare, 4, &one), "a section of a component inside"),
            (deep.clone(), "components inside each other"),
        ] {
            assert!(find(&wasm).unwrap().is_none(), "{what}");
        }
        let Err(error) = Target::of(&deep) else { panic!("it was read") };
        assert!(error.to_string().contains("1000 components are inside each other"), "{error}");
    }
}
