//! Checks the file itself before any order runs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use wasmparser::{ComponentExternalKind, Parser, Payload};

use super::rule::SuiteRule;
use super::summary::{Finding, Summary, Unit};
use sitewright_files::Limit;
use sitewright_model::time::millis;
use sitewright_runtime::plugin::bindings::types;
use sitewright_runtime::plugin::contract::{Contract, VERSIONS};
use sitewright_runtime::plugin::{
    DESCRIBE_CPU, Determinism, Limits, Loader, MAX_TEMPLATE_BYTES, ManifestError, Template,
    TemplateProblem,
};

/// The contract's package, without its version.
const PACKAGE: &str = "sitewright:template/";
/// The contract's interfaces that a template may import.
const INTERFACES: [&str; 6] = ["ai", "ai-sync", "ai-types", "diagnostics", "site", "types"];
/// The exported interface: the first of the world `template`, the second of `template-sync`.
const EXPORTS: [&str; 2] = ["generator", "generator-sync"];

/// Whether this host supports a version of the contract.
fn is_known(version: &str) -> bool {
    VERSIONS.iter().any(|contract| contract.version == version)
}

/// Versions of the contract that this host supports, for messages.
fn known() -> String {
    VERSIONS.iter().map(|contract| contract.version).collect::<Vec<_>>().join(", ")
}

/// Maximum bytes of a template that is read here. Loading it names the limit.
const MAX_TEMPLATE: Limit = Limit::fixed(MAX_TEMPLATE_BYTES);
/// Maximum exports that a message names.
const SHOWN_EXPORTS: usize = 10;

/// Checks the file and loads it; `None` if it cannot be loaded.
pub(super) async fn check(
    loader: &Loader,
    file: &Path,
    limits: &Limits,
    summary: &mut Summary,
) -> Option<Arc<Template>> {
    let path = file.to_owned();
    let interface = tokio::task::spawn_blocking(move || {
        let bytes = sitewright_files::read(&path, MAX_TEMPLATE);
        bytes.map_or(Interface::NotAComponent, |bytes| interface_of(&bytes))
    });
    let mut named = false;
    // If the file cannot be read, loading it below reports why.
    if let Interface::Component(problems) = interface.await.unwrap_or(Interface::NotAComponent) {
        for rule in [SuiteRule::Imports, SuiteRule::Exports, SuiteRule::Version] {
            summary.checked(rule);
        }
        named = !problems.is_empty();
        for (rule, message) in problems {
            summary.add_finding(rule, Finding::plain(message));
        }
    }
    summary.checked(SuiteRule::Component);
    let template = match loader.load(file).await {
        Ok(template) => Arc::new(template),
        Err(error) => {
            let causes: Vec<String> = error.causes().iter().map(ToString::to_string).collect();
            let rules = match &error.problem {
                // The imports and exports above name the cause already.
                TemplateProblem::DoesNotFit { .. } | TemplateProblem::Contract(_) if named => {
                    return None;
                }
                problem => rules_of(problem),
            };
            for (rule, message) in rules {
                summary.add_finding(
                    rule,
                    Finding::plain(message.unwrap_or_else(|| causes.join(": "))),
                );
            }
            return None;
        }
    };
    for rule in [
        SuiteRule::Types,
        SuiteRule::Describe,
        SuiteRule::Quick,
        SuiteRule::Manifest,
        SuiteRule::Schema,
        SuiteRule::Pure,
    ] {
        summary.checked(rule);
    }
    newest(&template, summary);
    draft(&template, summary);
    pure(&template, limits, summary).await;
    Some(template)
}

/// What the imports and exports of a file show.
enum Interface {
    /// A component, with the rules that its imports and exports break.
    Component(Vec<(SuiteRule, String)>),
    /// Not a readable, well-formed component.
    NotAComponent,
}

fn interface_of(bytes: &[u8]) -> Interface {
    let (mut found, mut exports, mut depth) = (Vec::new(), Vec::new(), 0_u32);
    let mut component = false;
    for payload in Parser::new(0).parse_all(bytes) {
        let Ok(payload) = payload else { return Interface::NotAComponent };
        match payload {
            Payload::Version { encoding, .. } if depth == 0 => {
                component = encoding == wasmparser::Encoding::Component;
                depth += 1;
            }
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section.into_iter().flatten() {
                    import_of(import.name.name, &mut found);
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section.into_iter().flatten() {
                    if export.kind == ComponentExternalKind::Instance {
                        exports.push(export.name.name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    if !component {
        return Interface::NotAComponent;
    }
    let wanted = EXPORTS.map(|export| format!("{PACKAGE}{export}"));
    let ours: Vec<&String> = exports
        .iter()
        .filter(|name| {
            name.split('@').next().is_some_and(|name| wanted.iter().any(|wanted| wanted == name))
        })
        .collect();
    if ours.is_empty() {
        let others = if exports.is_empty() {
            "nothing".to_owned()
        } else {
            format!("`{}`", exports[..exports.len().min(SHOWN_EXPORTS)].join("`, `"))
        };
        found.push((
            SuiteRule::Exports,
            format!("it exports {others} and not `{}@{}`", wanted[0], Contract::newest().version),
        ));
    } else if !ours.iter().any(|name| name.split('@').nth(1).is_some_and(is_known)) {
        found.push((
            SuiteRule::Version,
            format!("it exports `{}`; this host supports {}", ours[0], known()),
        ));
    }
    Interface::Component(found)
}

fn import_of(name: &str, found: &mut Vec<(SuiteRule, String)>) {
    let (interface, version) = name.split_once('@').unwrap_or((name, ""));
    if let Some(name_in_contract) = interface.strip_prefix(PACKAGE) {
        if !INTERFACES.contains(&name_in_contract) {
            found.push((
                SuiteRule::Imports,
                format!("it imports `{name}`, which the contract does not have"),
            ));
        } else if !is_known(version) {
            found.push((
                SuiteRule::Version,
                format!("it imports `{name}`; this host supports {}", known()),
            ));
        }
    } else if !(interface.starts_with("wasi:") && version.starts_with("0.2.")) {
        found.push((
            SuiteRule::Imports,
            format!("it imports `{name}`, which is not part of the contract"),
        ));
    }
}

/// The rules that a load error breaks; with a message if the error has one per rule.
fn rules_of(problem: &TemplateProblem) -> Vec<(SuiteRule, Option<String>)> {
    match problem {
        TemplateProblem::Unreadable(_)
        | TemplateProblem::NotAComponent(_)
        | TemplateProblem::DoesNotCompile(_) => vec![(SuiteRule::Component, None)],
        TemplateProblem::DoesNotFit { .. } => vec![(SuiteRule::Types, None)],
        TemplateProblem::Contract(_) => vec![(SuiteRule::Version, None)],
        TemplateProblem::Stated(_) => vec![(SuiteRule::Manifest, None)],
        TemplateProblem::Describe(_) | TemplateProblem::Host(_) => {
            vec![(SuiteRule::Describe, None)]
        }
        TemplateProblem::DescribeSlow(_) => vec![(SuiteRule::Quick, None)],
        TemplateProblem::Manifest(ManifestError(problems)) => problems
            .iter()
            .map(|problem| {
                let rule = if problem.starts_with("`order-schema`") {
                    SuiteRule::Schema
                } else {
                    SuiteRule::Manifest
                };
                (rule, Some(problem.clone()))
            })
            .collect(),
    }
}

/// Names what later versions of the contract offer to the template.
fn newest(template: &Template, summary: &mut Summary) {
    summary.checked(SuiteRule::Newest);
    let contract = template.target.contract;
    for (version, feature) in contract.missed() {
        let message = format!("it is built for {}; {version} has {feature}", contract.version);
        summary.add_finding(SuiteRule::Newest, Finding::plain(message));
    }
}

/// Validates the order schema against the meta-schema, because order validation ignores unknown
/// keywords.
fn draft(template: &Template, summary: &mut Summary) {
    let schema: serde_json::Value =
        serde_json::from_str(&template.manifest.order_schema_text).unwrap_or_default();
    let named = schema.get("$schema").and_then(serde_json::Value::as_str);
    if let Some(other) = named.filter(|name| !name.contains("json-schema.org/draft/2020-12/schema"))
    {
        let message =
            format!("`order-schema` declares `{other}`; the contract requires draft 2020-12");
        summary.add_finding(SuiteRule::Schema, Finding::plain(message));
    }
    if let Err(error) = jsonschema::draft202012::meta::validate(&schema) {
        let message =
            format!("`order-schema` is not valid at `{}`: {error}", error.instance_path());
        summary.add_finding(SuiteRule::Schema, Finding::plain(message));
    }
}

/// Calls `describe` twice more, each time with another clock and other random numbers.
async fn pure(template: &Template, limits: &Limits, summary: &mut Summary) {
    let mut first = None;
    let mut slowest = Duration::ZERO;
    for determinism in [
        Determinism { seed: 1, start_unix_ms: 1_768_478_400_000 },
        Determinism { seed: u64::MAX, start_unix_ms: 1_900_000_000_000 },
    ] {
        let described = match template.describe(limits, determinism).await {
            Ok(described) => described,
            Err(error) => {
                for (rule, message) in rules_of(&error) {
                    summary.add_finding(
                        rule,
                        Finding::plain(message.unwrap_or_else(|| error.to_string())),
                    );
                }
                return;
            }
        };
        slowest = slowest.max(described.cpu);
        if let Some(call) = described.calls.first() {
            let message =
                format!("`describe` calls `{call}`, and {} calls in all", described.calls.len());
            summary.add_finding(SuiteRule::Pure, Finding::plain(message));
            return;
        }
        if described.printed_bytes > 0 {
            let message = format!("`describe` prints {} bytes", described.printed_bytes);
            summary.add_finding(SuiteRule::Pure, Finding::plain(message));
            return;
        }
        let manifest = comparable(&described.manifest);
        match &first {
            None => first = Some(manifest),
            Some(before) => {
                let fields = before.as_object().into_iter().flatten();
                for (field, value) in
                    fields.filter(|(field, value)| manifest.get(field.as_str()) != Some(*value))
                {
                    let message = format!(
                        "`describe` returns a different `{field}` each time: {value} and then {}",
                        manifest.get(field).unwrap_or_default()
                    );
                    summary.add_finding(SuiteRule::Pure, Finding::plain(message));
                }
            }
        }
    }
    summary.measure(SuiteRule::Quick, millis(slowest), millis(DESCRIBE_CPU), Unit::Milliseconds);
}

fn comparable(manifest: &types::Manifest) -> serde_json::Value {
    let purposes: Vec<_> =
        manifest.ai_purposes.iter().map(|purpose| [&purpose.name, &purpose.description]).collect();
    json!({
        "name": manifest.name,
        "version": manifest.version,
        "summary": manifest.summary,
        "order-schema": manifest.order_schema,
        "ai-purposes": purposes,
        "locales": manifest.locales,
        "order-fields": manifest.order_fields,
        "copy-marks": manifest.copy_marks,
        "fallback-locale": manifest.fallback_locale,
        "site-bytes": manifest.site_bytes,
        "external-hosts": manifest.external_hosts,
        "exempt-purposes": manifest.exempt_purposes,
    })
}
