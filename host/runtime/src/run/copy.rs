//! Judges the text of AI replies by what the order says.

use std::sync::{Arc, OnceLock};

use sitewright_ai::{ReplyJudge, ToJudge};
use sitewright_copy::{CopyCheck, Facts, Finding, ForbiddenWords};
use sitewright_model::failure::Problem;
use sitewright_order::Locale;
use sitewright_site::{Level, Rule, SitePolicy};

/// Larger orders are read on a blocking thread. 32 KiB: real orders have less than 10.
const LARGE: usize = 32 << 10;

/// Judges the replies of one attempt.
///
/// What the order says is read for the first reply, for all replies and for the checks of the site:
/// thousands of attempts wait for their first one.
#[derive(Debug)]
pub(super) struct CopyJudge {
    document: Arc<str>,
    locale: Locale,
    /// The current year, which a text may name.
    year: u16,
    policy: SitePolicy,
    facts: OnceLock<Arc<Facts>>,
    forbidden: OnceLock<ForbiddenWords>,
}

impl CopyJudge {
    pub(super) fn new(document: Arc<str>, locale: Locale, year: u16, policy: SitePolicy) -> Self {
        let (facts, forbidden) = (OnceLock::new(), OnceLock::new());
        CopyJudge { document, locale, year, policy, facts, forbidden }
    }

    /// What the order says, if a reply was judged.
    pub(super) fn known_facts(&self) -> Option<Arc<Facts>> {
        self.facts.get().cloned()
    }

    fn findings(&self, to: ToJudge<'_>) -> Vec<(String, Finding)> {
        if self.policy.exempt_purposes.iter().any(|purpose| purpose == to.purpose) {
            return Vec::new();
        }
        // The host wrote the document itself.
        let read = || Arc::new(Facts::of_order(&self.document).unwrap_or_default());
        let words = || ForbiddenWords::new(self.policy.forbidden_words.iter().map(String::as_str));
        let check = CopyCheck::new(self.facts.get_or_init(read), self.year)
            .language(Some(self.locale.language()))
            .forbid_all(self.forbidden.get_or_init(words).clone());
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
