//! Collects findings and measurements by rule.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::rule::SuiteRule;
use sitewright_model::failure::FailureRecord;

/// Maximum number of findings that are kept per rule.
const KEPT: usize = 20;
/// The part of a limit that a template may use, in percent.
pub(super) const HEAD_ROOM: u64 = 80;

/// One place that breaks a rule.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Finding {
    /// The case, with the detail that identifies the test case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// The file of the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in `file`, starting at 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    pub message: String,
    /// The difference to the expected content, as a unified diff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<String>,
    /// The record of the unexpected failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Box<FailureRecord>>,
    /// The order, to reproduce the finding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Value>,
}

impl Finding {
    /// A finding with a message and no location.
    pub(super) fn plain(message: impl Into<String>) -> Self {
        Finding {
            case: None,
            file: None,
            line: None,
            message: message.into(),
            difference: None,
            failure: None,
            order: None,
        }
    }

    pub(super) fn of_case(mut self, case: &str, order: &Value) -> Self {
        self.case = Some(case.to_owned());
        self.order = Some(order.clone());
        self
    }
}

/// The unit of a measurement; empty for a number of things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema, strum::Display)]
pub enum Unit {
    #[serde(rename = "bytes")]
    #[strum(serialize = "bytes")]
    Bytes,
    #[serde(rename = "ms")]
    #[strum(serialize = "ms")]
    Milliseconds,
    #[serde(rename = "")]
    #[strum(serialize = "")]
    Count,
}

/// A measurement and its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Measured {
    /// The maximum over all test cases.
    pub used: u64,
    /// The limit.
    pub max: u64,
    pub unit: Unit,
}

/// The results of one rule.
#[derive(Debug, Clone, Default)]
pub(super) struct RuleSummary {
    /// The number of test cases that checked the rule.
    pub(super) checked: u64,
    pub(super) findings: Vec<Finding>,
    /// The number of findings above the maximum that is kept.
    pub(super) more: u64,
    pub(super) measured: Option<Measured>,
    /// The case with the highest measurement.
    pub(super) peak_case: Option<String>,
    /// Why no test case checked the rule.
    pub(super) skipped: Option<String>,
}

/// A rule that an author's case breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BrokenRule {
    pub rule: SuiteRule,
    pub message: String,
}

/// The result of one of the author's cases.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CaseReport {
    /// The name of its folder, or of the case in it.
    pub name: String,
    pub passed: bool,
    /// Duration of its run in milliseconds.
    pub duration_ms: u64,
    /// What it breaks, without warnings.
    pub broken: Vec<BrokenRule>,
}

/// The results of all rules.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// The results of the author's cases.
    pub(super) cases: Vec<CaseReport>,
    pub(super) rules: BTreeMap<SuiteRule, RuleSummary>,
    pub(super) test_cases: u64,
    /// Rules of cases whose names match the filter.
    pub(super) named: BTreeSet<SuiteRule>,
}

impl Summary {
    /// Adds the result of an author's case, all of whose findings are there.
    pub(super) fn add_case(&mut self, name: &str, duration_ms: u64) {
        let of_case = |(rule, of): (&SuiteRule, &RuleSummary)| {
            let (rule, findings) = (*rule, of.findings.clone());
            findings
                .into_iter()
                .filter(|found| found.case.as_deref() == Some(name))
                .map(move |found| BrokenRule { rule, message: found.message })
        };
        let broken: Vec<BrokenRule> =
            self.rules.iter().filter(|(rule, _)| !rule.only_warns()).flat_map(of_case).collect();
        let passed = broken.is_empty();
        self.cases.push(CaseReport { name: name.to_owned(), passed, duration_ms, broken });
    }

    pub(super) fn checked(&mut self, rule: SuiteRule) {
        self.rules.entry(rule).or_default().checked += 1;
    }

    pub(super) fn add_finding(&mut self, rule: SuiteRule, finding: Finding) {
        let of = self.rules.entry(rule).or_default();
        of.checked = of.checked.max(1);
        if of.findings.len() < KEPT {
            of.findings.push(finding);
        } else {
            of.more += 1;
        }
    }

    /// Keeps the highest measurement; returns whether this is the highest.
    pub(super) fn measure(&mut self, rule: SuiteRule, used: u64, max: u64, unit: Unit) -> bool {
        let of = self.rules.entry(rule).or_default();
        of.checked += 1;
        let most = of.measured.is_none_or(|before| before.used < used);
        if most {
            of.measured = Some(Measured { used, max, unit });
        }
        most
    }

    /// Sets the case with the highest measurement.
    pub(super) fn set_peak_case(&mut self, rule: SuiteRule, case: &str) {
        self.rules.entry(rule).or_default().peak_case = Some(case.to_owned());
    }

    /// Whether the same finding in the same file exists already.
    pub(super) fn has_finding(&self, rule: SuiteRule, file: &str, message: &str) -> bool {
        self.rules.get(&rule).is_some_and(|of| {
            of.findings
                .iter()
                .any(|found| found.message == message && found.file.as_deref() == Some(file))
        })
    }

    pub(super) fn skip(&mut self, rule: SuiteRule, why: impl Into<String>) {
        let of = self.rules.entry(rule).or_default();
        if of.checked == 0 {
            of.skipped.get_or_insert_with(|| why.into());
        }
    }

    pub(super) fn failed(&self, rule: SuiteRule) -> bool {
        self.rules.get(&rule).is_some_and(|of| !of.findings.is_empty())
    }

    /// Adds a finding for each measurement above [`HEAD_ROOM`] percent of its limit.
    pub(super) fn check_head_room(&mut self) {
        for (rule, of) in &mut self.rules {
            let Some(Measured { used, max, unit }) = of.measured else { continue };
            let head_room = matches!(rule, SuiteRule::Limit(_) | SuiteRule::Quick);
            if head_room
                && of.findings.is_empty()
                && used.saturating_mul(100) > max.saturating_mul(HEAD_ROOM)
            {
                let space = if unit == Unit::Count { "" } else { " " };
                let message =
                    format!("it used {used}{space}{unit} of {max}; use at most {HEAD_ROOM} %");
                of.findings.push(Finding { case: of.peak_case.clone(), ..Finding::plain(message) });
            }
        }
    }
}
