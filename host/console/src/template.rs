//! One template: who has it, how its orders end, and what the conformance suite says of it.

use askama::Template as _;
use sitewright_control::{Conformance, ConformanceRemark};
use sitewright_jobs::{Hold, HoldScope};

use super::address;
use super::frame::{Frame, Level};
use super::now::{HoldRow, one_hold};
use super::templates::{TemplateFacts, VersionCells, digest, held_tenants};
use super::text::{When, count_of, counted, short};

/// What the page is made of.
#[derive(Debug)]
pub struct TemplatePageFacts {
    pub template: TemplateFacts,
    /// Its holds: that of all orders, and those of single tenants.
    pub holds: Vec<Hold>,
    /// Failures of the last 24 hours.
    pub failures: u64,
    /// What the conformance suite said of it; `None` if there is no report. Why that cannot be read.
    pub conformance: Result<Option<Conformance>, String>,
}

#[derive(askama::Template)]
#[template(path = "template.html")]
struct Page<'a> {
    f: &'a Frame,
    name: &'a str,
    level: Level,
    what: String,
    digests: Vec<(String, String)>,
    orders: String,
    failures: String,
    failures_href: String,
    hold: String,
    release: String,
    is_held: bool,
    holds: Vec<HoldRow>,
    report: Option<Report>,
    error: Option<&'a str>,
    /// Its last two versions, the current one first.
    versions: Vec<VersionCells>,
}

struct Report {
    at: When,
    verdict: &'static str,
    class: &'static str,
    counts: String,
    checked: String,
    /// Why it is not about what workers have.
    other: Option<String>,
    remarks: Vec<Remark>,
}

struct Remark {
    rule: String,
    verdict: &'static str,
    class: &'static str,
    demand: String,
    message: String,
    hint: String,
    findings: String,
}

/// One template.
///
/// # Errors
/// Never, as far as is known.
pub fn template(frame: &Frame, facts: &TemplatePageFacts) -> Result<String, askama::Error> {
    let TemplatePageFacts { template, holds, failures, conformance } = facts;
    let name = template.name.as_str();
    let workers = counted(template.workers, "worker has", "workers have");
    let is_held = holds.iter().any(|hold| hold.id.scope == HoldScope::All);
    let tenants = held_tenants(holds, name);
    let (level, what) = match (is_held, template.workers) {
        (true, _) => (Level::Warning, format!("It is paused: its orders wait. {workers} it.")),
        (false, 0) => (Level::Warning, "No worker has it: its orders wait for one.".to_owned()),
        (false, _) if !tenants.is_empty() => (
            Level::Warning,
            format!("It is paused for {tenants}: their orders wait. {workers} it."),
        ),
        (false, _) => (Level::Good, format!("{workers} it.")),
    };
    let hold = format!("template:{name}");
    Page {
        f: frame,
        name,
        level,
        what,
        digests: template.digests.iter().take(4).map(|one| digest(one)).collect(),
        orders: address::with("/console/orders", &[("template", Some(name))]),
        failures: if *failures == 0 { String::new() } else { count_of(*failures) },
        failures_href: address::with("/console/failures", &[("template", Some(name))]),
        release: address::release_hold(&hold),
        hold,
        is_held,
        holds: holds.iter().map(|hold| one_hold(hold, frame.now)).collect(),
        report: conformance
            .as_ref()
            .ok()
            .and_then(Option::as_ref)
            .map(|one| report(one, &template.digests, frame.now)),
        error: conformance.as_ref().err().map(String::as_str),
        versions: template.versions.iter().map(|one| VersionCells::of(one, frame.now)).collect(),
    }
    .render()
}

fn report(of: &Conformance, live: &[String], now: i64) -> Report {
    let rules = of.rules;
    let counts = [
        (rules.passed, "hold"),
        (rules.warned, "warn"),
        (rules.failed, "are broken"),
        (rules.skipped, "were not checked"),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(rules, _)| *rules > 0)
        .map(|(rules, what)| format!("{} {what}", count_of(rules)))
        .collect();
    let (checked, _) = digest(&of.digest);
    let is_other = !live.is_empty() && !live.contains(&of.digest);
    Report {
        at: When::new(of.at, now),
        verdict: if of.passed { "passed" } else { "failed" },
        class: if of.passed { "good" } else { "bad" },
        counts: format!("Of its rules {}.", counts.join(", ")),
        checked: format!(
            "Version {} ({checked}) against the contract {}, with {} orders, by {}.",
            short(if of.version.is_empty() { "unknown" } else { of.version.as_str() }, 40),
            short(&of.suite, 20),
            count_of(of.test_cases),
            short(&of.host_build, 60)
        ),
        other: is_other.then(|| {
            "Workers have another file of this template: the report says nothing of what they run."
                .to_owned()
        }),
        remarks: of.remarks.iter().map(remark).collect(),
    }
}

fn remark(of: &ConformanceRemark) -> Remark {
    let text =
        |text: &Option<String>| text.as_deref().map(|text| short(text, 200)).unwrap_or_default();
    Remark {
        rule: short(&of.rule, 60),
        verdict: if of.is_broken { "broken" } else { "warns" },
        class: if of.is_broken { "bad" } else { "warn" },
        demand: short(&of.demand, 200),
        message: text(&of.message),
        hint: text(&of.hint),
        findings: count_of(of.findings),
    }
}
