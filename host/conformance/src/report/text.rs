//! The report as text for a terminal.

use std::fmt::Write as _;

use super::{Report, RuleReport, TemplateReport, Verdict, place};
use crate::rule::Level;
use crate::summary::Unit;
use sitewright_failure::render;

/// Maximum number of findings that are shown per rule.
const SHOWN: usize = 3;

/// The report with ANSI colours, wrapped at about `width` columns.
pub fn text(report: &Report, width: usize) -> String {
    let mut out = String::new();
    for template in &report.templates {
        #[allow(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
        let _ = write_template(&mut out, template, width);
    }
    out
}

fn write_template(out: &mut String, template: &TemplateReport, width: usize) -> std::fmt::Result {
    let (bold, dim) = (anstyle::Style::new().bold(), anstyle::Style::new().dimmed());
    let good = anstyle::AnsiColor::Green.on_default();
    let bad = anstyle::AnsiColor::Red.on_default().bold();
    let version =
        template.template.as_ref().map(|template| template.version.as_str()).unwrap_or_default();
    writeln!(
        out,
        "{bold}{} {version}{bold:#} {dim}{}{dim:#}",
        render::clean(template.name()),
        template.file
    )?;
    for &level in Level::ALL {
        let rules: Vec<&RuleReport> =
            template.rules.iter().filter(|rule| rule.level == level).collect();
        if rules.is_empty() {
            continue;
        }
        writeln!(out, "\n  {bold}{}{bold:#}", level.as_str())?;
        for rule in rules {
            write_rule(out, rule)?;
        }
    }
    for rule in &template.rules {
        let (style, mark) = match rule.verdict {
            Verdict::Failed => (bad, "✗"),
            Verdict::Warned => (anstyle::AnsiColor::Yellow.on_default(), "!"),
            Verdict::Passed | Verdict::Skipped => continue,
        };
        writeln!(out, "\n  {style}{mark} {}{style:#} {}", rule.rule, rule.demand)?;
        for finding in rule.findings.iter().take(SHOWN) {
            let place = place(finding);
            if !place.is_empty() {
                writeln!(out, "    {dim}{}{dim:#}", render::clean(&place))?;
            }
            out.push_str(&render::paragraph(&finding.message, "    ", width));
            for line in finding.difference.iter().flat_map(|difference| difference.lines()) {
                writeln!(out, "      {}", render::clean(line))?;
            }
            if let Some(failure) = &finding.failure {
                for line in render::terminal(failure, width.saturating_sub(6)).lines() {
                    writeln!(out, "      {line}")?;
                }
            }
        }
        let more = rule.more + rule.findings.len().saturating_sub(SHOWN) as u64;
        if more > 0 {
            let (findings, them) = if more == 1 { ("finding", "it") } else { ("findings", "them") };
            writeln!(out, "    {dim}and {more} more {findings}; use --json to see {them}{dim:#}")?;
        }
        out.push_str(&render::paragraph(
            &format!("→ {}", rule.hint.unwrap_or_default()),
            "    ",
            width,
        ));
    }
    let warned = match template.count(Verdict::Warned) {
        0 => String::new(),
        warned => format!("{warned} warn, "),
    };
    let counts = format!(
        "{} rules hold, {warned}{} are broken, {} were not tested · {} orders in {}",
        template.count(Verdict::Passed),
        template.count(Verdict::Failed),
        template.count(Verdict::Skipped),
        template.test_cases,
        render::duration(template.duration_ms.saturating_mul(1_000)),
    );
    let (style, mark) = if template.passed { (good, "✓") } else { (bad, "✗") };
    writeln!(out, "\n{style}{mark} {}{style:#} {counts}\n", template.name())
}

fn write_rule(out: &mut String, rule: &RuleReport) -> std::fmt::Result {
    let dim = anstyle::Style::new().dimmed();
    let (style, mark) = match rule.verdict {
        Verdict::Passed => (anstyle::AnsiColor::Green.on_default(), "✓"),
        Verdict::Warned => (anstyle::AnsiColor::Yellow.on_default(), "!"),
        Verdict::Failed => (anstyle::AnsiColor::Red.on_default().bold(), "✗"),
        Verdict::Skipped => (dim, "-"),
    };
    let note = match (&rule.skipped, rule.measured) {
        (Some(why), _) => format!("  {dim}{}{dim:#}", render::clean(why)),
        (None, Some(measured)) => {
            let shown = |amount: u64| match measured.unit {
                Unit::Bytes => render::bytes(amount),
                Unit::Milliseconds => render::duration(amount.saturating_mul(1_000)),
                Unit::Count => amount.to_string(),
            };
            format!("  {dim}{} of {}{dim:#}", shown(measured.used), shown(measured.max))
        }
        (None, None) if rule.test_cases > 1 => format!("  {dim}{} times{dim:#}", rule.test_cases),
        (None, None) => String::new(),
    };
    let id = rule.rule.id();
    writeln!(out, "  {style}{mark}{style:#} {id:<28}{note}")
}
