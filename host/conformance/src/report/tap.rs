//! The report as TAP 14: one subtest per template, one test point per rule.

use std::fmt::Write as _;

use sitewright_model::text::one_line;

use super::{Report, RuleReport, TemplateReport, Verdict, place};

/// The report as a TAP 14 stream.
pub fn tap(report: &Report) -> String {
    let mut out = String::new();
    #[allow(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
    let _ = write_report(&mut out, report);
    out
}

fn write_report(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(out, "TAP version 14\n1..{}", report.templates.len())?;
    for (at, template) in report.templates.iter().enumerate() {
        writeln!(out, "# Subtest: {}", escaped(template.name()))?;
        write_template(out, template)?;
        let ok = if template.passed { "ok" } else { "not ok" };
        writeln!(out, "{ok} {} - {}", at + 1, escaped(template.name()))?;
    }
    Ok(())
}

fn write_template(out: &mut String, template: &TemplateReport) -> std::fmt::Result {
    writeln!(out, "    1..{}", template.rules.len())?;
    for (at, rule) in template.rules.iter().enumerate() {
        let ok = if rule.verdict == Verdict::Failed { "not ok" } else { "ok" };
        let skip = match &rule.skipped {
            Some(why) => format!(" # SKIP {}", escaped(&one_line(why))),
            None => String::new(),
        };
        writeln!(out, "    {ok} {} - {}: {}{skip}", at + 1, rule.rule, escaped(&rule.demand))?;
        match rule.verdict {
            Verdict::Failed => write_findings(out, rule, "fail")?,
            Verdict::Warned => write_findings(out, rule, "comment")?,
            Verdict::Passed | Verdict::Skipped => {}
        }
    }
    Ok(())
}

/// Writes findings as a YAML block. JSON strings are valid YAML.
fn write_findings(out: &mut String, rule: &RuleReport, severity: &str) -> std::fmt::Result {
    let json = |text: &str| serde_json::Value::from(text).to_string();
    writeln!(
        out,
        "      ---\n      severity: {severity}\n      hint: {}",
        json(rule.hint.unwrap_or_default())
    )?;
    writeln!(out, "      findings:")?;
    for finding in &rule.findings {
        writeln!(
            out,
            "        - at: {}\n          message: {}",
            json(&place(finding)),
            json(&finding.message)
        )?;
    }
    writeln!(out, "      ...")
}

/// Escapes characters that TAP reads as a directive.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('#', "\\#")
}
