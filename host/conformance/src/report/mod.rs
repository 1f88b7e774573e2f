//! The report of the suite as types, and its renderings: text, JSON, JUnit, TAP, Markdown, GitHub.

pub mod github;
pub mod junit;
pub mod markdown;
pub mod tap;
pub mod text;

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::rule::{Level, SuiteRule};
use super::suite;
use super::summary::{CaseReport, Finding, Measured, RuleSummary};
use sitewright_model::build::host_build;
use sitewright_model::failure::TemplateRef;
use sitewright_runtime::plugin::Template;

/// The version of the report's schema. 2: `trials` became `test_cases`, `advice` became `hint`.
pub const REPORT_VERSION: u32 = 2;

/// The published JSON Schema of a [`Report`]: `host/schema/conformance-report.schema.json`.
pub const REPORT_SCHEMA: &str = include_str!("../../../schema/conformance-report.schema.json");

/// The schema generated from the types. A test compares it with [`REPORT_SCHEMA`].
pub fn generated_schema() -> serde_json::Value {
    schemars::schema_for!(Report).to_value()
}

/// The report of a run of the suite.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Report {
    /// The version of this schema.
    #[schemars(extend("const" = REPORT_VERSION))]
    pub version: u32,
    /// The version of the contract that the suite checks.
    pub suite: &'static str,
    /// Version and commit of the host.
    pub host_build: &'static str,
    /// Whether no rule of any template is broken.
    pub passed: bool,
    /// Duration in milliseconds.
    pub duration_ms: u64,
    pub templates: Vec<TemplateReport>,
}

/// The results of one template.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TemplateReport {
    /// The path of the `.wasm` file.
    pub file: String,
    /// Name, version and digest; missing if the file cannot be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateRef>,
    /// The version of the contract that it was built for; not in the JSON report.
    #[serde(skip)]
    pub contract: Option<&'static str>,
    /// Whether no rule is broken. Warnings do not count.
    pub passed: bool,
    /// The number of orders that ran.
    pub test_cases: u64,
    /// Duration in milliseconds.
    pub duration_ms: u64,
    /// The author's cases.
    pub cases: Vec<CaseReport>,
    /// Every rule that the filter selects.
    pub rules: Vec<RuleReport>,
}

/// The result of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The rule holds.
    Passed,
    /// The rule is broken, and sites are published all the same: it is a warning.
    Warned,
    /// The rule is broken.
    Failed,
    /// No test case checked the rule.
    Skipped,
}

/// The result of one rule.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RuleReport {
    pub rule: SuiteRule,
    pub level: Level,
    /// One sentence that says what the rule demands.
    pub demand: String,
    pub verdict: Verdict,
    /// The number of test cases that checked the rule.
    pub test_cases: u64,
    /// Why no test case checked the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// The highest use of a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// Where the rule is broken; at most 20.
    pub findings: Vec<Finding>,
    /// The number of further findings.
    pub more: u64,
    /// What to do if the rule is broken or warns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<&'static str>,
}

impl Report {
    /// The report of all templates.
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
            contract: template.map(|template| template.target.contract.version),
            passed: false,
            test_cases: 0,
            duration_ms: 0,
            cases: Vec::new(),
            rules: Vec::new(),
        }
    }

    pub(super) fn set_passed(&mut self) {
        self.passed = self.rules.iter().all(|rule| rule.verdict != Verdict::Failed);
    }

    /// The number of rules with this result.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.rules.iter().filter(|rule| rule.verdict == verdict).count()
    }

    /// The template's name; the file's name if the template cannot be loaded.
    pub fn name(&self) -> &str {
        let file = || {
            Path::new(&self.file).file_stem().and_then(|stem| stem.to_str()).unwrap_or(&self.file)
        };
        self.template.as_ref().map_or_else(file, |template| template.name.as_str())
    }
}

impl RuleReport {
    pub(super) fn new(rule: SuiteRule, of: RuleSummary) -> Self {
        let RuleSummary { checked, findings, more, measured, skipped, .. } = of;
        let verdict = match (findings.is_empty(), checked) {
            (false, _) if rule.only_warns() => Verdict::Warned,
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
            hint: matches!(verdict, Verdict::Failed | Verdict::Warned).then(|| rule.hint()),
        }
    }
}

/// The finding's location in one line: case and file.
pub(super) fn place(finding: &Finding) -> String {
    let file = finding.file.as_ref().map(|file| match finding.line {
        Some(line) => format!("{file}:{line}"),
        None => file.clone(),
    });
    let parts: Vec<String> = finding.case.iter().cloned().chain(file).collect();
    parts.join(" · ")
}
