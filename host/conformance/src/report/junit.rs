//! JUnit XML, as the CI systems read it: a suite for each template, a case for each rule.

use quick_xml::escape::escape;

use super::{Report, RuleReport, TemplateReport, Verdict, place};
use sitewright_failure::render;

/// The report.
pub fn junit(report: &Report) -> String {
    let sum = |count: &dyn Fn(&TemplateReport) -> usize| {
        report.templates.iter().map(count).sum::<usize>()
    };
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"sitewright conformance\" \
         tests=\"{}\" failures=\"{}\" errors=\"0\" time=\"{}\">\n",
        sum(&|template| template.rules.len()),
        sum(&|template| template.count(Verdict::Failed)),
        seconds(report.duration_ms),
    );
    for template in &report.templates {
        suite(&mut out, template);
    }
    out.push_str("</testsuites>\n");
    out
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1_000, milliseconds % 1_000)
}

fn suite(out: &mut String, template: &TemplateReport) {
    out.push_str(&format!(
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" \
         time=\"{}\">\n    <properties>\n",
        clean(template.name()),
        template.rules.len(),
        template.count(Verdict::Failed),
        template.count(Verdict::Skipped),
        seconds(template.duration_ms),
    ));
    let mut property = |name: &str, value: &str| {
        out.push_str(&format!(
            "      <property name=\"{}\" value=\"{}\"/>\n",
            clean(name),
            clean(value)
        ));
    };
    property("file", &template.file);
    property("orders", &template.trials.to_string());
    if let Some(reference) = &template.template {
        property("version", &reference.version);
        property("digest", &reference.digest);
    }
    for rule in &template.rules {
        if let Some(measured) = rule.measured {
            let value = format!("{} of {} {}", measured.used, measured.max, measured.unit);
            property(&rule.rule.id(), value.trim_end());
        }
    }
    out.push_str("    </properties>\n");
    for rule in &template.rules {
        case(out, template, rule);
    }
    out.push_str("  </testsuite>\n");
}

fn case(out: &mut String, template: &TemplateReport, rule: &RuleReport) {
    let class = format!("{}.{}", template.name(), rule.level.as_str());
    // What one rule took is not known: its trials count for several.
    let head = format!(
        "    <testcase name=\"{}\" classname=\"{}\" time=\"0.000\"",
        clean(&rule.rule.id()),
        clean(&class)
    );
    match rule.verdict {
        Verdict::Passed => out.push_str(&format!("{head}/>\n")),
        Verdict::Skipped => {
            let why = rule.skipped.as_deref().unwrap_or("it could not be tried");
            out.push_str(&format!(
                "{head}>\n      <skipped message=\"{}\"/>\n    </testcase>\n",
                clean(why)
            ));
        }
        Verdict::Failed => {
            let first =
                rule.findings.first().map(|finding| finding.message.as_str()).unwrap_or_default();
            out.push_str(&format!(
                "{head}>\n      <failure message=\"{}\" type=\"{}\">{}</failure>\n    \
                 </testcase>\n",
                clean(first),
                clean(&rule.rule.id()),
                clean(&told(rule)),
            ));
        }
    }
}

fn told(rule: &RuleReport) -> String {
    let mut text = format!("{}\n", rule.demand);
    for finding in &rule.findings {
        text.push_str(&format!("\n{}\n{}\n", place(finding), finding.message));
        text.extend(finding.difference.iter().map(|difference| format!("{difference}\n")));
        if let Some(failure) = &finding.failure {
            text.push_str(
                &anstream::adapter::strip_str(&render::terminal(failure, 100)).to_string(),
            );
        }
    }
    if rule.more > 0 {
        text.push_str(&format!("\nand {} more like it\n", rule.more));
    }
    text.push_str(&format!("\n{}\n", rule.advice.unwrap_or_default()));
    text
}

/// A text that may stand in XML 1.0.
fn clean(text: &str) -> String {
    let allowed = |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    escape(text.chars().filter(allowed).collect::<String>()).into_owned()
}
