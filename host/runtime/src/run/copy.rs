//! Judges the text of AI replies by what the order says.

use std::sync::Arc;

use sitewright_ai::{ReplyJudge, ToJudge};
use sitewright_copy::{CopyCheck, Facts, Finding};
use sitewright_model::failure::Problem;
use sitewright_order::Locale;
use sitewright_site::{Level, Rule, SitePolicy};

/// Judges the replies of one attempt.
///
/// Thousands of attempts wait for replies: what the order says is read again for each of them, which
/// takes less than a thousandth of the time that a model takes.
#[derive(Debug)]
pub(super) struct CopyJudge {
    document: Arc<str>,
    locale: Locale,
    /// The current year, which a text may name.
    year: u16,
    policy: SitePolicy,
}

impl CopyJudge {
    pub(super) fn new(document: Arc<str>, locale: Locale, year: u16, policy: SitePolicy) -> Self {
        CopyJudge { document, locale, year, policy }
    }

    fn findings(&self, to: ToJudge<'_>) -> Vec<(String, Finding)> {
        if self.policy.exempt_purposes.iter().any(|purpose| purpose == to.purpose) {
            return Vec::new();
        }
        // The host wrote the document itself.
        let Ok(facts) = Facts::of_order(&self.document) else { return Vec::new() };
        let words = self.policy.forbidden_words.iter().map(String::as_str);
        let check =
            CopyCheck::new(&facts, self.year).language(Some(self.locale.language())).forbid(words);
        let mut findings = check.check_reply(to.reply, to.is_json);
        findings.retain(|(_, finding)| self.policy.levels.of_reply(finding.rule) == Level::Error);
        findings
    }
}

impl ReplyJudge for CopyJudge {
    fn judge(&self, to: ToJudge<'_>) -> Result<(), Vec<Problem>> {
        let problem = |(pointer, finding): (String, Finding)| Problem {
            at: format!("{}{pointer}", to.call_id),
            rule: Some(Rule::of_copy(finding.rule).to_string()),
            message: format!("{}: {}", finding.message, finding.excerpt),
        };
        let problems: Vec<Problem> = self.findings(to).into_iter().map(problem).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}
