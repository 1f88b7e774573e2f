//! What the suite found, and its five faces.

pub mod github;
pub mod junit;
pub mod tap;
pub mod text;

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::rule::{Level, Rule};
use super::suite;
use super::summary::{Finding, Measured, RuleSummary};
use sitewright_model::build::host_build;
use sitewright_model::failure::TemplateRef;
use sitewright_runtime::plugin::Template;

/// The version of the report's shape.
pub const REPORT_VERSION: u32 = 2;

/// The JSON Schema of a [`Report`], as it is published:
/// `host/schema/conformance-report.schema.json`.
pub const REPORT_SCHEMA: &str = include_str!("../../../schema/conformance-report.schema.json");

/// The schema that the types say. A test holds it against the published one.
pub fn generated_schema() -> serde_json::Value {
    schemars::schema_for!(Report).to_value()
}

/// The whole report.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Report {
    /// The version of the shape; 2.
    #[schemars(extend("const" = REPORT_VERSION))]
    pub version: u32,
    /// The version of the contract that the suite is for.
    pub suite: &'static str,
    /// Version and commit of the host.
    pub host_build: &'static str,
    /// Whether every rule holds for every template.
    pub passed: bool,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The templates.
    pub templates: Vec<TemplateReport>,
}

/// One template.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TemplateReport {
    /// Its file.
    pub file: String,
    /// Name, version and digest; missing when it cannot be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateRef>,
    /// Whether every rule holds.
    pub passed: bool,
    /// Orders made.
    pub test_cases: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Every rule that was asked for.
    pub rules: Vec<RuleReport>,
}

/// How a rule fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// It could not be tried.
    Skipped,
}

/// One rule.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RuleReport {
    /// Its id.
    pub rule: Rule,
    /// The part of the suite it belongs to.
    pub level: Level,
    /// What it demands.
    pub demand: String,
    /// How it fared.
    pub verdict: Verdict,
    /// Trials that were held against it.
    pub test_cases: u64,
    /// Why it could not be tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// What was used beside what is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// Where it is broken.
    pub findings: Vec<Finding>,
    /// How many more places there are.
    pub more: u64,
    /// What to do, where it is broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<&'static str>,
}

impl Report {
    /// All templates together.
    pub fn new(templates: Vec<TemplateReport>, duration_ms: u64) -> Self {
        Report {
            version: REPORT_VERSION,
            suite: suite::VERSION,
            host_build: host_build(),
            passed: templates.iter().all(|template| template.passed),
            duration_ms,
            templates,
        }
    }
}

impl TemplateReport {
    pub(super) fn new(file: &Path, template: Option<&Template>) -> Self {
        TemplateReport {
            file: file.display().to_string(),
            template: template.map(Template::reference),
            passed: false,
            test_cases: 0,
            duration_ms: 0,
            rules: Vec::new(),
        }
    }

    pub(super) fn settle(&mut self) {
        self.passed = self.rules.iter().all(|rule| rule.verdict != Verdict::Failed);
    }

    /// How many rules fared so.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.rules.iter().filter(|rule| rule.verdict == verdict).count()
    }

    /// For people: the template's name, or its file's.
    pub fn name(&self) -> &str {
        let file = || {
            Path::new(&self.file).file_stem().and_then(|stem| stem.to_str()).unwrap_or(&self.file)
        };
        self.template.as_ref().map_or_else(file, |template| template.name.as_str())
    }
}

impl RuleReport {
    pub(super) fn new(rule: Rule, of: RuleSummary) -> Self {
        let RuleSummary { checked, findings, more, measured, skipped, .. } = of;
        let verdict = match (findings.is_empty(), checked) {
            (false, _) => Verdict::Failed,
            (true, 0) => Verdict::Skipped,
            (true, _) => Verdict::Passed,
        };
        RuleReport {
            rule,
            level: rule.level(),
            demand: rule.demand().into_owned(),
            verdict,
            test_cases: checked,
            skipped: skipped.filter(|_| verdict == Verdict::Skipped),
            measured,
            findings,
            more,
            hint: (verdict == Verdict::Failed).then(|| rule.hint()),
        }
    }
}

/// Where and what, in one line.
pub(super) fn place(finding: &Finding) -> String {
    let file = finding.file.as_ref().map(|file| match finding.line {
        Some(line) => format!("{file}:{line}"),
        None => file.clone(),
    });
    let parts: Vec<String> = finding.case.iter().cloned().chain(file).collect();
    parts.join(" · ")
}
