//! Judges the text of AI replies by what the order says.

use std::sync::{Arc, OnceLock};

use sitewright_ai::{ReplyJudge, ToJudge};
use sitewright_copy::{CopyCheck, Facts, Finding};
use sitewright_model::failure::Problem;
use sitewright_order::Locale;
use sitewright_site::{Level, Rule, SitePolicy};

/// Larger orders are read once for an attempt, on a blocking thread. 32 KiB: real orders have less
/// than 10.
const LARGE: usize = 32 << 10;

/// Judges the replies of one attempt.
///
/// Thousands of attempts wait for replies: what a small order says is read again for each of them,
/// which takes less than a thousandth of the time that a model takes.
#[derive(Debug)]
pub(super) struct CopyJudge {
    document: Arc<str>,
    locale: Locale,
    /// The current year, which a text may name.
    year: u16,
    policy: SitePolicy,
    /// What a large order says.
    facts: OnceLock<Facts>,
}

impl CopyJudge {
    pub(super) fn new(document: Arc<str>, locale: Locale, year: u16, policy: SitePolicy) -> Self {
        CopyJudge { document, locale, year, policy, facts: OnceLock::new() }
    }

    fn findings(&self, to: ToJudge<'_>) -> Vec<(String, Finding)> {
        if self.policy.exempt_purposes.iter().any(|purpose| purpose == to.purpose) {
            return Vec::new();
        }
        // The host wrote the document itself.
        let read = || Facts::of_order(&self.document).unwrap_or_default();
        let own;
        let facts = match self.is_slow() {
            true => self.facts.get_or_init(read),
            false => {
                own = read();
                &own
            }
        };
        let words = self.policy.forbidden_words.iter().map(String::as_str);
        let check =
            CopyCheck::new(facts, self.year).language(Some(self.locale.language())).forbid(words);
        let mut findings = check.check_reply(to.reply, to.is_json);
        findings.retain(|(_, finding)| self.policy.levels.of_reply(finding.rule) == Level::Error);
        findings
    }
}

impl ReplyJudge for CopyJudge {
    fn is_slow(&self) -> bool {
        self.document.len() > LARGE
    }

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
