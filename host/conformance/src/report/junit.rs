//! The report as JUnit XML, as CI systems read it: one suite per template, one test case
//! for each rule and for each of the author's cases.

use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use sitewright_failure::render;
use sitewright_model::message;
use sitewright_model::message::Message;

use super::{Report, RuleReport, TemplateReport, Verdict, place};
use crate::summary::CaseReport;

/// The report as a JUnit document.
///
/// # Errors
/// If the document cannot be serialized.
pub fn junit(report: &Report) -> Result<String, Message> {
    let mut document = quick_junit::Report::new("sitewright conformance");
    document.set_time(Duration::from_millis(report.duration_ms));
    document.add_test_suites(report.templates.iter().map(suite));
    document.to_string().map_err(|error| message!("the JUnit report cannot be serialized: {error}"))
}

fn suite(template: &TemplateReport) -> TestSuite {
    let mut suite = TestSuite::new(xml_text(template.name()));
    suite.set_time(Duration::from_millis(template.duration_ms));
    suite.add_property(("file".to_owned(), xml_text(&template.file)));
    suite.add_property(("orders".to_owned(), template.test_cases.to_string()));
    if let Some(reference) = &template.template {
        suite.add_property(("version".to_owned(), xml_text(&reference.version)));
        suite.add_property(("digest".to_owned(), reference.digest.to_string()));
    }
    for rule in &template.rules {
        if let Some(measured) = rule.measured {
            let value = format!("{} of {} {}", measured.used, measured.max, measured.unit);
            suite.add_property((rule.rule.id(), value.trim_end().to_owned()));
        }
    }
    suite.add_test_cases(template.rules.iter().map(|rule| test_case(template, rule)));
    suite.add_test_cases(template.cases.iter().map(|case| authors_case(template, case)));
    suite
}

/// A row for one of the author's cases. What it breaks is in the rows of the rules too.
fn authors_case(template: &TemplateReport, case: &CaseReport) -> TestCase {
    let status = match case.broken.first() {
        None => TestCaseStatus::success(),
        Some(first) => {
            let all: String = case
                .broken
                .iter()
                .map(|broken| format!("{}: {}\n", broken.rule.id(), broken.message))
                .collect();
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status
                .set_message(xml_text(&first.message))
                .set_type(first.rule.id())
                .set_description(xml_text(&all));
            status
        }
    };
    let mut row = TestCase::new(xml_text(&case.name), status);
    row.set_classname(xml_text(&format!("{}.case", template.name())));
    row.set_time(Duration::from_millis(case.duration_ms));
    row
}

fn test_case(template: &TemplateReport, rule: &RuleReport) -> TestCase {
    let mut case = TestCase::new(rule.rule.id(), status(rule));
    case.set_classname(xml_text(&format!("{}.{}", template.name(), rule.level.as_str())));
    // One run of the template counts for several rules, so a rule has no duration of its own.
    case.set_time(Duration::ZERO);
    case
}

fn status(rule: &RuleReport) -> TestCaseStatus {
    match rule.verdict {
        Verdict::Passed | Verdict::Warned => TestCaseStatus::success(),
        Verdict::Skipped => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(xml_text(
                rule.skipped.as_deref().unwrap_or("no test case covers this rule"),
            ));
            status
        }
        Verdict::Failed => {
            let first = rule.findings.first().map_or("", |finding| finding.message.as_str());
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status
                .set_message(xml_text(first))
                .set_type(rule.rule.id())
                .set_description(xml_text(&description(rule)));
            status
        }
    }
}

fn description(rule: &RuleReport) -> String {
    let mut text = format!("{}\n", rule.demand);
    for finding in &rule.findings {
        text.push_str(&format!("\n{}\n{}\n", place(finding), finding.message));
        text.extend(finding.difference.iter().map(|difference| format!("{difference}\n")));
        if let Some(failure) = &finding.failure {
            text.push_str(&render::terminal(failure, 100));
        }
    }
    if rule.more > 0 {
        let findings = if rule.more == 1 { "finding" } else { "findings" };
        text.push_str(&format!("\nand {} more {findings} of this rule\n", rule.more));
    }
    text.push_str(&format!("\n{}\n", rule.hint.unwrap_or_default()));
    text
}

/// The text without the two noncharacters that XML 1.0 forbids and `quick-junit` lets through;
/// it removes control characters and ANSI escapes itself.
fn xml_text(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_xml_forbids_is_removed() {
        let report = Report::new(
            vec![TemplateReport::new(
                std::path::Path::new("<&\u{1}\u{fffe}\u{1b}[31mred.wasm"),
                None,
            )],
            1_500,
        );
        let xml = junit(&report).unwrap();
        assert!(
            xml.contains("value=\"&lt;&amp;red.wasm\"") && xml.contains("time=\"1.500\""),
            "{xml}"
        );
    }
}
