//! Decides which rules the result of a test case breaks.

use std::collections::BTreeMap;

use super::case::{Case, ExpectedOutcome, Fault, NamedFault};
use super::harness::{FinishedSite, TestOutcome, TestRun};
use super::page_checks::{self, PageFindings};
use super::plan::PlannedCase;
use super::rule::{Level, LimitRule, SuiteRule};
use super::snapshot;
use super::summary::{Finding, Summary, Unit};
use scraper::Html;
use sitewright_model::Measure;
use sitewright_model::ai::AiErrorKind;
use sitewright_model::failure::{FailureKind, FailureRecord};
use sitewright_model::message::Message;
use sitewright_model::time::millis;
use sitewright_site::{SitePath, SiteProblem};

/// What results are compared with.
pub(super) struct Judge<'a> {
    /// The baseline's site; `None` if no order became a site.
    pub(super) baseline: Option<&'a FinishedSite>,
    /// What a browser found in the site; `None` if it was not looked at.
    pub(super) viewed: Option<&'a [SiteProblem]>,
    /// Whether snapshots are replaced.
    pub(super) update: bool,
}

impl Judge<'_> {
    /// Adds the findings of one test case to `summary`. Blocking: parses pages, reads and writes
    /// snapshots.
    ///
    /// # Errors
    /// If a snapshot cannot be read or written.
    pub(super) fn judge(
        &self,
        planned: &PlannedCase,
        made: TestRun,
        summary: &mut Summary,
    ) -> Result<(), Message> {
        let took = made.took;
        self.judge_run(planned, made, summary)?;
        if planned.folder.is_some() {
            summary.add_case(&planned.label, millis(took));
        }
        Ok(())
    }

    fn judge_run(
        &self,
        planned: &PlannedCase,
        made: TestRun,
        summary: &mut Summary,
    ) -> Result<(), Message> {
        summary.test_cases += 1;
        match &made.ended {
            // The finding is one of another rule, and this one does not hold because of that.
            TestOutcome::Failed { record, .. } if self.breaks_another_rule(planned, record) => {
                summary.skip(planned.rule, "its order became no site: another rule is broken");
            }
            _ => summary.checked(planned.rule),
        }
        let level = planned.rule.level();
        match made.ended {
            TestOutcome::Site(site) => {
                if matches!(level, Level::Behaviour | Level::Author) {
                    self.limits(planned, &site.limits, summary);
                    self.pages(planned, &site, summary);
                    self.purposes(planned, &site, made.asked.len(), summary);
                }
                self.site(planned, &site, summary)
            }
            TestOutcome::Failed { record, limits } => {
                if level == Level::Behaviour {
                    self.limits(planned, &limits, summary);
                }
                self.failed(planned, record, summary);
                Ok(())
            }
            TestOutcome::Stopped { left } => {
                if let Some(first) = left.first() {
                    let message =
                        format!("{} files remain of the run; the first is `{first}`", left.len());
                    summary.add_finding(planned.rule, finding(planned, message));
                }
                Ok(())
            }
        }
    }

    fn site(
        &self,
        planned: &PlannedCase,
        site: &FinishedSite,
        summary: &mut Summary,
    ) -> Result<(), Message> {
        let (case, rule) = (&planned.case, planned.rule);
        match case.expect.outcome {
            ExpectedOutcome::Nothing => {
                let message = "it released a site although one of its AI calls never got a reply";
                summary.add_finding(rule, finding(planned, message));
            }
            ExpectedOutcome::Failure => summary
                .add_finding(rule, finding(planned, "it became a site; a failure was expected")),
            ExpectedOutcome::Site | ExpectedOutcome::SiteOrFailure => {}
        }
        if matches!(rule, SuiteRule::Hostile | SuiteRule::Escaped) {
            for element in page_checks::unescaped_elements(&site.files) {
                let message = format!("{element} is an element of the page: it is not escaped");
                summary.add_finding(rule, finding(planned, message));
            }
        }
        if let Some(baseline) = self.baseline {
            if rule.level() == Level::Ai
                && rule != SuiteRule::Escaped
                && rule != SuiteRule::Smallest
            {
                let missing: Vec<&str> = baseline
                    .files
                    .keys()
                    .filter(|path| !site.files.contains_key(*path))
                    .map(String::as_str)
                    .collect();
                if !missing.is_empty() {
                    let message = format!(
                        "incomplete site: it has no `{}`, which it has without the fault",
                        missing.join("`, `")
                    );
                    summary.add_finding(rule, finding(planned, message));
                    return Ok(());
                }
            }
            if case.expect.same {
                compare_sites(planned, &baseline.files, &site.files, summary);
            }
            if case.expect.other_pages {
                compare_pages(planned, &baseline.files, &site.files, summary);
            }
        }
        expected(planned, site, summary);
        self.snapshot(planned, site, summary)
    }

    /// Compares the site with the author's snapshot, or replaces the snapshot.
    fn snapshot(
        &self,
        planned: &PlannedCase,
        site: &FinishedSite,
        summary: &mut Summary,
    ) -> Result<(), Message> {
        let Some(folder) = &planned.folder else { return Ok(()) };
        let exists = snapshot::exists(folder);
        if self.update {
            summary.checked(SuiteRule::Snapshot);
            return snapshot::update(folder, &site.files);
        }
        if !exists {
            return Ok(());
        }
        summary.checked(SuiteRule::Snapshot);
        for difference in snapshot::compare(folder, &site.files)? {
            let mut finding = finding(planned, difference.message);
            finding.file = Some(difference.file);
            finding.difference = difference.lines;
            finding.order = None;
            summary.add_finding(SuiteRule::Snapshot, finding);
        }
        Ok(())
    }

    fn limits(
        &self,
        planned: &PlannedCase,
        limits: &BTreeMap<String, Measure>,
        summary: &mut Summary,
    ) {
        for rule in SuiteRule::all() {
            let SuiteRule::Limit(limit) = rule else { continue };
            let Some(Measure { max, used }) = limits.get(limit.key()).copied() else { continue };
            let unit = match limit.key() {
                key if key.ends_with("_bytes") => Unit::Bytes,
                key if key.ends_with("_ms") => Unit::Milliseconds,
                _ => Unit::Count,
            };
            if summary.measure(rule, used, max, unit) {
                summary.set_peak_case(rule, &planned.label);
            }
        }
    }

    fn pages(&self, planned: &PlannedCase, site: &FinishedSite, summary: &mut Summary) {
        for rule in SuiteRule::all() {
            let is_checked = match rule {
                SuiteRule::Site(rule) => self.viewed.is_some() || !rule.needs_browser(),
                SuiteRule::Page(_) => true,
                _ => false,
            };
            if is_checked {
                summary.checked(rule);
            }
        }
        let PageFindings { problems, heaviest } = page_checks::check_pages(&site.files);
        let weight = SuiteRule::Page(super::rule::PageRule::Weight);
        summary.measure(weight, heaviest, page_checks::MAX_WEIGHT, Unit::Bytes);
        for warning in site.warnings.iter().chain(self.viewed.unwrap_or_default()) {
            let (rule, file) = (SuiteRule::Site(warning.rule), warning.file.as_str());
            if summary.has_finding(rule, file, warning.message.as_str()) {
                continue;
            }
            let mut finding = finding(planned, warning.message.to_string());
            (finding.file, finding.line) = (Some(file.to_owned()), warning.line);
            summary.add_finding(rule, finding);
        }
        for problem in problems {
            let rule = SuiteRule::Page(problem.rule);
            // The same problem in several orders is reported once.
            if summary.has_finding(rule, &problem.file, &problem.message) {
                continue;
            }
            let mut finding = finding(planned, problem.message);
            (finding.file, finding.line) = (Some(problem.file), problem.line);
            summary.add_finding(rule, finding);
        }
    }

    /// Finds AI calls that the host rejected before sending a request.
    fn purposes(
        &self,
        planned: &PlannedCase,
        site: &FinishedSite,
        asked: usize,
        summary: &mut Summary,
    ) {
        let called = site.limits.get("ai_calls").map_or(0, |measure| measure.used);
        if asked > 0 || called > 0 {
            summary.checked(SuiteRule::Purposes);
        }
        let refused = called.saturating_sub(asked as u64);
        if refused > 0 {
            let message = format!(
                "{refused} of its {called} AI calls were rejected before a request was sent: their \
                 purpose is not declared, or the request is invalid"
            );
            summary.add_finding(SuiteRule::Purposes, finding(planned, message));
        }
    }

    /// Whether the failure is a finding of other rules than that of the test case.
    fn breaks_another_rule(&self, planned: &PlannedCase, record: &FailureRecord) -> bool {
        is_undeclared(record)
            || (planned.rule.level() == Level::Behaviour
                && (limit_of(record).is_some() || self.breaks_site_rules(record)))
    }

    /// Whether no order becomes a site because of rules of the site, which are broken in place of
    /// the rule of an order.
    fn breaks_site_rules(&self, record: &FailureRecord) -> bool {
        self.baseline.is_none()
            && record.kind == FailureKind::OutputRejected
            && !record.problems.is_empty()
    }

    fn failed(&self, planned: &PlannedCase, record: Box<FailureRecord>, summary: &mut Summary) {
        let case = &planned.case;
        let own = planned.rule;
        let mut add = |rule: SuiteRule, message: String| {
            let mut finding = finding(planned, message);
            finding.failure = Some(record.clone());
            summary.add_finding(rule, finding);
        };
        let ending = format!("{}: {}", record.kind, record.message);
        let typed = matches!(record.kind, FailureKind::TemplateError | FailureKind::Ai);
        if is_undeclared(&record) {
            return add(SuiteRule::Purposes, ending);
        }
        match own.level() {
            Level::Behaviour => match limit_of(&record) {
                Some(limit) => add(SuiteRule::Limit(limit), ending),
                None if self.breaks_site_rules(&record) => {
                    for problem in &record.problems {
                        let check = problem
                            .rule
                            .as_deref()
                            .and_then(|rule| format!("site/{rule}").parse().ok());
                        let mut finding = finding(planned, problem.message.to_string());
                        finding.file = Some(problem.at.clone());
                        summary.add_finding(check.unwrap_or(own), finding);
                    }
                }
                None => add(own, ending),
            },
            Level::Ai => {
                let faulty = matches!(own, SuiteRule::Whole);
                match record.kind {
                    _ if typed && case.expect.outcome == ExpectedOutcome::Site => add(own, ending),
                    FailureKind::TemplateError
                        if record.ai.is_none() && record.blamed_calls.is_empty() =>
                    {
                        add(SuiteRule::Blame, ending);
                    }
                    _ if typed => summary.checked(SuiteRule::Blame),
                    FailureKind::OutputRejected if faulty => {
                        add(
                            SuiteRule::Whole,
                            format!(
                                "incomplete site, which failed the site checks: {}",
                                record.message
                            ),
                        );
                    }
                    FailureKind::OutputRejected => add(own, ending),
                    _ if faulty => add(SuiteRule::Stops, ending),
                    _ => add(own, ending),
                }
            }
            Level::Author => {
                let wanted = case.expect.outcome != ExpectedOutcome::Site;
                // A recorded run may have ended with any kind of failure, and the author expects
                // the same one.
                if !(wanted && (typed || case.expect.kind == Some(record.kind))) {
                    return add(own, ending);
                }
                let kind = case.expect.kind.filter(|kind| *kind != record.kind);
                if let Some(kind) = kind {
                    add(
                        own,
                        format!(
                            "it ended with {ending}; a failure of the kind {kind} was expected"
                        ),
                    );
                }
                if let Some(code) =
                    case.expect.code.as_ref().filter(|code| record.code.as_ref() != Some(code))
                {
                    let found = record.code.as_deref().unwrap_or("none");
                    add(own, format!("its code is `{found}`; `{code}` was expected"));
                }
                let says = |text: &String| {
                    record.message.as_str().contains(text.as_str())
                        || record.causes.iter().any(|cause| cause.as_str().contains(text.as_str()))
                };
                if let Some(text) = case.expect.says.as_ref().filter(|text| !says(text)) {
                    add(
                        own,
                        format!(
                            "neither its message nor a cause says {text:?}; it ended with \
                             {ending}"
                        ),
                    );
                }
            }
            // A run that failed before it was dropped has left no site either.
            Level::Cancel => {}
            Level::Contract | Level::Limits | Level::Site => add(own, ending),
        }
        // A failed call without a trap covers this rule.
        if own == SuiteRule::Whole {
            summary.checked(SuiteRule::Stops);
        }
    }
}

/// A finding of this test case.
fn finding(planned: &PlannedCase, message: impl Into<String>) -> Finding {
    Finding::plain(message).of_case(&planned.label, &planned.test_case.document)
}

/// Whether an AI call had a purpose that the manifest does not have.
fn is_undeclared(record: &FailureRecord) -> bool {
    record.ai.as_ref().is_some_and(|ai| {
        ai.kind == AiErrorKind::InvalidRequest
            && ai.attempts.is_empty()
            && ai.message.as_str().contains("not declared")
    })
}

/// The limit that ended a run; `None` for other failures.
fn limit_of(record: &FailureRecord) -> Option<LimitRule> {
    Some(match record.kind {
        FailureKind::CpuLimit => LimitRule::Cpu,
        FailureKind::MemoryLimit => LimitRule::Memory,
        FailureKind::CallLimit => LimitRule::AiCalls,
        FailureKind::OutputLimit => {
            let over = |limit: &LimitRule| {
                record.limits.get(limit.key()).is_some_and(|measure| measure.used > measure.max)
            };
            let limits = [
                LimitRule::Files,
                LimitRule::FileBytes,
                LimitRule::TotalBytes,
                LimitRule::PathBytes,
            ];
            limits.into_iter().find(over).unwrap_or(LimitRule::TotalBytes)
        }
        _ => return None,
    })
}

/// Adds a finding if two sites differ.
fn compare_sites(
    planned: &PlannedCase,
    one: &BTreeMap<String, Vec<u8>>,
    other: &BTreeMap<String, Vec<u8>>,
    summary: &mut Summary,
) {
    let different =
        one.keys().chain(other.keys()).filter(|path| one.get(*path) != other.get(*path));
    let mut paths: Vec<&str> = different.map(String::as_str).collect();
    paths.sort_unstable();
    paths.dedup();
    let Some(path) = paths.first() else { return };
    let message =
        format!("{} of its files differ from the baseline; the first is `{path}`", paths.len());
    let mut finding = finding(planned, message);
    finding.file = Some((*path).to_owned());
    if let (Some(one), Some(other)) = (one.get(*path), other.get(*path)) {
        finding.difference = snapshot::difference(one, other, ["baseline", "this run"]);
    }
    summary.add_finding(planned.rule, finding);
}

/// Pages that servers show in place of another one. They need not say whose site it is.
const SHOWN_INSTEAD: [&str; 4] = ["404", "403", "500", "offline"];

/// Pages with fewer words stand beside a site and speak of nobody: a map for a frame, the thanks
/// after a form.
const MANY_WORDS: usize = 40;

/// Whether a page has as many words as one that speaks of a business.
fn says_much(page: &[u8]) -> bool {
    let page = Html::parse_document(&String::from_utf8_lossy(page));
    let words = page.tree.root().descendants().map(|node| {
        let element = node.parent().and_then(|parent| parent.value().as_element());
        let is_shown = element.is_some_and(|element| {
            !matches!(element.name(), "script" | "style" | "template" | "title")
        });
        let text = node.value().as_text().filter(|_| is_shown);
        text.map_or(0, |text| text.split_whitespace().count())
    });
    words.sum::<usize>() >= MANY_WORDS
}

/// Adds a finding for each page that two sites have alike.
fn compare_pages(
    planned: &PlannedCase,
    one: &BTreeMap<String, Vec<u8>>,
    other: &BTreeMap<String, Vec<u8>>,
    summary: &mut Summary,
) {
    for path in same_pages(one, other) {
        let message = "the page is the same, byte for byte, as that of the baseline, whose order \
                       is of another business";
        let mut finding = finding(planned, message);
        finding.file = Some(path.to_owned());
        summary.add_finding(planned.rule, finding);
    }
}

/// The paths of the pages that two sites have alike.
fn same_pages<'a>(
    one: &'a BTreeMap<String, Vec<u8>>,
    other: &BTreeMap<String, Vec<u8>>,
) -> Vec<&'a str> {
    let is_compared = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let stem = name.strip_suffix(".html").or_else(|| name.strip_suffix(".htm"));
        stem.is_some_and(|stem| !SHOWN_INSTEAD.contains(&stem))
    };
    let is_entry = |path: &str| path == SitePath::entry_page().as_str();
    let same = one.iter().filter(|(path, page)| {
        other.get(*path) == Some(*page) && is_compared(path) && (is_entry(path) || says_much(page))
    });
    same.map(|(path, _)| path.as_str()).collect()
}

/// Checks the site against the case's `expect`.
fn expected(planned: &PlannedCase, site: &FinishedSite, summary: &mut Summary) {
    let Case { expect, .. } = &planned.case;
    let mut wrong = Vec::new();
    for file in expect.files.iter().filter(|file| !site.files.contains_key(*file)) {
        wrong.push((file, "the site has no such file".to_owned()));
    }
    for (texts, wanted) in [(&expect.contains, true), (&expect.lacks, false)] {
        for (file, texts) in texts {
            let Some(bytes) = site.files.get(file) else {
                wrong.push((file, "the site has no such file".to_owned()));
                continue;
            };
            let content = String::from_utf8_lossy(bytes);
            for text in texts.iter().filter(|text| content.contains(text.as_str()) != wanted) {
                let message = if wanted { "does not contain" } else { "contains" };
                wrong.push((file, format!("the file {message} {text:?}")));
            }
        }
    }
    for (file, message) in wrong {
        let mut finding = finding(planned, message);
        finding.file = Some(file.clone());
        summary.add_finding(planned.rule, finding);
    }
    if let Some(calls) = expect.ai_calls.filter(|calls| *calls != site.ai_calls) {
        let message = format!("{} AI calls were answered; {calls} were expected", site.ai_calls);
        summary.add_finding(planned.rule, finding(planned, message));
    }
    if planned.rule == SuiteRule::Whole
        && !matches!(planned.case.ai.fault, Some(Fault::Named(NamedFault::Drop)))
    {
        summary.checked(SuiteRule::Stops);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_two_businesses_is_compared_unless_servers_show_it_instead() {
        let site = |name: &str| -> BTreeMap<String, Vec<u8>> {
            let long = |text: &str| format!("<p>{}", text.repeat(20));
            let files = [
                ("index.html", name.to_owned()),
                ("about/index.html", long("about us ")),
                ("terms.htm", long("our terms ")),
                ("contact.html", name.to_owned()),
                ("map.html", format!("<title>{0}</title><script>{0}</script>", long("a b "))),
                ("thanks.html", "<h1>Thank you</h1><p>We will call back soon.".to_owned()),
                ("404.html", long("lost here ")),
                ("assets/site.css", long("p {} ")),
            ];
            files.into_iter().map(|(path, text)| (path.to_owned(), text.into_bytes())).collect()
        };
        let (one, mut other) = (site("One"), site("Other"));
        assert_eq!(same_pages(&one, &other), ["about/index.html", "terms.htm"]);
        other.remove("terms.htm");
        assert_eq!(same_pages(&one, &other), ["about/index.html"]);
        assert_eq!(same_pages(&one, &site("One")), ["about/index.html", "index.html", "terms.htm"]);
    }
}
