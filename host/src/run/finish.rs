//! From a run's files to a verified site, and what its release says.

use time::OffsetDateTime;

use super::attempt::{AttemptRequest, Ended};
use super::outcome::Totals;
use crate::build::BUILD;
use crate::failure::{FailureKind, Problem};
use crate::interface::RunLog;
use crate::message;
use crate::order::OrderSnapshot;
use crate::plugin::Template;
use crate::site::{ReleaseInfo, ReleaseTemplate, StagedSite, VerifiedSite, VerifyError, VerifyOptions};

/// Checks a site against the order it was made for.
pub(super) async fn check(
    staged: StagedSite,
    snapshot: &OrderSnapshot,
    document: &serde_json::Value,
    template: &Template,
) -> Result<VerifiedSite, Box<Ended>> {
    let wanted = &snapshot.order().locale;
    // A template that does not write the order's language decides itself which of its own it takes.
    let speaks = template.manifest.locales.iter().any(|locale| locale.language() == wanted.language());
    let languages = if speaks { vec![wanted.clone()] } else { template.manifest.locales.clone() };
    staged.verify_async(VerifyOptions::for_order(document, languages)).await.map_err(|error| match error {
        VerifyError::Rejected(verdict) => {
            let message = message!("the site was rejected: {verdict}");
            let problems = verdict
                .problems
                .into_iter()
                .map(|problem| Problem {
                    at: match problem.line {
                        Some(line) => format!("{}:{line}", problem.file),
                        None => problem.file.to_string(),
                    },
                    rule: Some(problem.rule.to_string()),
                    message: match problem.excerpt {
                        Some(excerpt) => format!("{}: {excerpt}", problem.message),
                        None => problem.message.to_string(),
                    },
                })
                .collect();
            Box::new(Ended { problems, ..Ended::new(FailureKind::OutputRejected, message, Vec::new()) })
        }
        VerifyError::Storage(error) => {
            Box::new(Ended::refused(message!("the site could not be read back: {error}"), &error))
        }
    })
}

/// What the release says of itself.
pub(super) fn release_info(
    request: &AttemptRequest,
    log: &RunLog,
    totals: &Totals,
    snapshot: &OrderSnapshot,
    template: &Template,
) -> ReleaseInfo {
    let calls = log.ai_calls();
    ReleaseInfo {
        id: None,
        template: ReleaseTemplate {
            name: template.manifest.name.clone(),
            version: template.manifest.version.clone(),
            digest: template.digest(),
        },
        host_build: BUILD.to_owned(),
        ai: serde_json::json!({
            "calls": calls.len(),
            "input_tokens": calls.iter().filter_map(|call| call.usage.input_tokens).sum::<u64>(),
            "output_tokens": calls.iter().filter_map(|call| call.usage.output_tokens).sum::<u64>(),
            "by_call": calls,
        }),
        usage: serde_json::json!({ "duration_ms": totals.duration_ms, "limits": totals.limits }),
        locale: Some(snapshot.order().locale.to_string()),
        created_at: OffsetDateTime::from_unix_timestamp(
            i64::try_from(request.id.determinism().start_unix_ms / 1_000).unwrap_or(0),
        )
        .unwrap_or(OffsetDateTime::UNIX_EPOCH),
    }
}
