//! The report as Markdown: the summary of a job on GitHub, and for an issue.

use std::fmt::Write as _;

use super::{Report, RuleReport, TemplateReport, Verdict, place};
use sitewright_failure::render;

/// Maximum number of findings that are shown per rule.
const SHOWN: usize = 3;
/// Maximum length of one text in a cell, in characters: the summary of a step has at most 1 MiB.
const MAX_CELL: usize = 300;

/// The report: a heading for each template, and a table of the rules that are broken or warn.
pub fn markdown(report: &Report) -> String {
    let mut out = String::new();
    for template in &report.templates {
        #[allow(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
        let _ = write_template(&mut out, template);
    }
    out
}

fn write_template(out: &mut String, template: &TemplateReport) -> std::fmt::Result {
    let mark = if template.passed { "✅" } else { "❌" };
    let version =
        template.template.as_ref().map(|template| template.version.as_str()).unwrap_or_default();
    writeln!(out, "## {mark} {} {}\n", cell(template.name()), cell(version))?;
    // That of the template, and not that of the suite: the same cases check all versions.
    let contract = template.contract.map(|version| format!("@{version}")).unwrap_or_default();
    writeln!(
        out,
        "Conformance with `sitewright:template{contract}`: {} rules hold, {} warn, {} are broken, \
         {} were not tested; {} orders in {}.\n",
        template.count(Verdict::Passed),
        template.count(Verdict::Warned),
        template.count(Verdict::Failed),
        template.count(Verdict::Skipped),
        template.test_cases,
        render::duration(template.duration_ms.saturating_mul(1_000)),
    )?;
    let told: Vec<&RuleReport> = template
        .rules
        .iter()
        .filter(|rule| matches!(rule.verdict, Verdict::Failed | Verdict::Warned))
        .collect();
    if told.is_empty() {
        return Ok(());
    }
    writeln!(out, "| | rule | where | what |\n|---|---|---|---|")?;
    for rule in told {
        let mark = if rule.verdict == Verdict::Failed { "❌" } else { "⚠️" };
        for finding in rule.findings.iter().take(SHOWN) {
            let (place, what) = (cell(&place(finding)), cell(&finding.message));
            writeln!(out, "| {mark} | {} | {place} | {what} |", cell(&rule.rule.id()))?;
        }
        let more = rule.more + rule.findings.len().saturating_sub(SHOWN) as u64;
        if more > 0 {
            writeln!(out, "| | | | and {more} more |")?;
        }
        writeln!(out, "| | | | → {} |", cell(rule.hint.unwrap_or_default()))?;
    }
    writeln!(out)
}

/// One line in which nothing is markup: what a template says is not ours.
fn cell(text: &str) -> String {
    let mut out = String::new();
    let line = text.replace(['\r', '\n'], " ");
    for character in render::clean(&line).chars().take(MAX_CELL) {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // ASCII punctuation may be escaped in Markdown.
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' | '~' | '@' => {
                out.push('\\');
                out.push(character);
            }
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_is_that_of_the_template() {
        let mut template = TemplateReport::new(std::path::Path::new("dist/a.wasm"), None);
        let says = |template: &TemplateReport, part: &str| {
            let mut out = String::new();
            write_template(&mut out, template).unwrap();
            assert!(out.contains(part), "{part:?} is missing in {out}");
        };
        says(&template, "Conformance with `sitewright:template`: 0 rules hold");
        template.contract = Some("0.2.0");
        says(&template, "Conformance with `sitewright:template@0.2.0`: 0 rules hold");
    }

    #[test]
    fn nothing_in_a_text_is_markup() {
        let shown = cell("<img src=x> | [a](javascript:b) `c`\n# d\u{1b}[31m");
        assert!(!shown.contains(['\n', '<', '\u{1b}']), "{shown}");
        assert!(shown.contains("\\| \\[a\\](javascript:b) \\`c\\` \\# d"), "{shown}");
        assert_eq!(cell(&"x".repeat(1_000)).len(), MAX_CELL);
    }
}
