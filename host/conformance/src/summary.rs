//! What was found, rule by rule.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::rule::Rule;
use sitewright_model::failure::FailureRecord;

/// Most findings kept of one rule.
const KEPT: usize = 20;
/// How much of a limit may be used, in percent.
pub(super) const HEAD_ROOM: u64 = 80;

/// One place where a rule is broken.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Finding {
    /// The case, and which of its test_cases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// The site's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// What happened.
    pub message: String,
    /// The difference to what was kept, line by line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<String>,
    /// The record of the failure that should not have been.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Box<FailureRecord>>,
    /// The order, to try it by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Value>,
}

impl Finding {
    /// What happened, and nothing else.
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

/// The unit of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema, strum::Display)]
pub enum Unit {
    #[serde(rename = "bytes")]
    #[strum(serialize = "bytes")]
    Bytes,
    #[serde(rename = "ms")]
    #[strum(serialize = "ms")]
    Milliseconds,
    /// A number of things; written as an empty text.
    #[serde(rename = "")]
    #[strum(serialize = "")]
    Count,
}

/// What was used beside what is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Measured {
    /// What was used, at most, over all test_cases.
    pub used: u64,
    /// What is allowed.
    pub max: u64,
    pub unit: Unit,
}

/// All about one rule.
#[derive(Debug, Clone, Default)]
pub(super) struct RuleSummary {
    /// How many test_cases were held against it.
    pub(super) checked: u64,
    pub(super) findings: Vec<Finding>,
    /// Findings that were not kept.
    pub(super) more: u64,
    pub(super) measured: Option<Measured>,
    /// The case in which the most was used.
    pub(super) peak_case: Option<String>,
    /// Why it could not be tried.
    pub(super) skipped: Option<String>,
}

/// All rules.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) rules: BTreeMap<Rule, RuleSummary>,
    pub(super) test_cases: u64,
    /// Rules of cases that were asked for by their names.
    pub(super) named: BTreeSet<Rule>,
}

impl Summary {
    pub(super) fn checked(&mut self, rule: Rule) {
        self.rules.entry(rule).or_default().checked += 1;
    }

    pub(super) fn add_finding(&mut self, rule: Rule, finding: Finding) {
        let of = self.rules.entry(rule).or_default();
        of.checked = of.checked.max(1);
        if of.findings.len() < KEPT {
            of.findings.push(finding);
        } else {
            of.more += 1;
        }
    }

    /// Keeps the most that was used.
    pub(super) fn measure(&mut self, rule: Rule, used: u64, max: u64, unit: Unit) -> bool {
        let of = self.rules.entry(rule).or_default();
        of.checked += 1;
        let most = of.measured.is_none_or(|before| before.used < used);
        if most {
            of.measured = Some(Measured { used, max, unit });
        }
        most
    }

    /// Where the most was used.
    pub(super) fn set_peak_case(&mut self, rule: Rule, case: &str) {
        self.rules.entry(rule).or_default().peak_case = Some(case.to_owned());
    }

    /// Whether this was found before.
    pub(super) fn has_finding(&self, rule: Rule, file: &str, message: &str) -> bool {
        self.rules.get(&rule).is_some_and(|of| {
            of.findings
                .iter()
                .any(|found| found.message == message && found.file.as_deref() == Some(file))
        })
    }

    pub(super) fn skip(&mut self, rule: Rule, why: impl Into<String>) {
        let of = self.rules.entry(rule).or_default();
        if of.checked == 0 {
            of.skipped.get_or_insert_with(|| why.into());
        }
    }

    pub(super) fn failed(&self, rule: Rule) -> bool {
        self.rules.get(&rule).is_some_and(|of| !of.findings.is_empty())
    }

    /// Holds what was used against what should be left.
    pub(super) fn settle(&mut self) {
        for (rule, of) in &mut self.rules {
            let Some(Measured { used, max, unit }) = of.measured else { continue };
            let head_room = matches!(rule, Rule::Limit(_) | Rule::Quick);
            if head_room
                && of.findings.is_empty()
                && used.saturating_mul(100) > max.saturating_mul(HEAD_ROOM)
            {
                let space = if unit == Unit::Count { "" } else { " " };
                let message =
                    format!("it used {used}{space}{unit} of {max}; {HEAD_ROOM} % are good");
                of.findings.push(Finding { case: of.peak_case.clone(), ..Finding::plain(message) });
            }
        }
    }
}
