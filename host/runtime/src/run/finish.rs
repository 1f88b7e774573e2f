//! From a run's files to a verified site, and what its release says.

use std::sync::Arc;

use sitewright_order::Locale;
use time::OffsetDateTime;

use super::attempt::{AttemptRequest, Ended, Publication};
use super::outcome::Totals;
use crate::host_functions::RunTrace;
use crate::plugin::Template;
use sitewright_model::build::host_build;
use sitewright_model::failure::{FailureKind, Problem};
use sitewright_model::message;
use sitewright_site::{
    PublishOutcome, Release, ReleaseInfo, ReleaseTemplate, StagedSite, Staging, VerifiedSite,
    VerifyError, VerifyOptions, publish_prepared,
};

/// The stage in which a site is checked.
const CHECKS: &str = "checks";
/// The stage in which it becomes a release.
const RELEASE: &str = "release";

/// What comes after a run that went well, in one go on the blocking pool: thousands of sites are
/// finished at the same time, and each change of threads costs what a small file does.
pub(super) struct Finish {
    pub(super) staging: Staging,
    /// The normalised order.
    pub(super) document: Arc<str>,
    /// Its language.
    pub(super) locale: Locale,
    pub(super) template: Arc<Template>,
    pub(super) info: ReleaseInfo,
    pub(super) publication: Publication,
    pub(super) keep_releases: usize,
}

impl Finish {
    /// The release, or in which stage it failed. `entered` is told of each stage when it begins.
    pub(super) async fn finished(
        self,
        entered: impl Fn(&'static str) + Send + 'static,
    ) -> Result<Release, (&'static str, Box<Ended>)> {
        let (publication, keep) = (self.publication.clone(), self.keep_releases);
        let prepare = move || {
            entered(CHECKS);
            let verified = self.checked().map_err(|ended| (CHECKS, ended))?;
            entered(RELEASE);
            Ok((verified, self.info))
        };
        let outcome = match publication {
            Publication::Publish => publish_prepared(prepare, keep).await,
            Publication::Place(batcher) => batcher.place_prepared(prepare).await,
        };
        match outcome {
            PublishOutcome::Released(release) => Ok(release),
            PublishOutcome::Unprepared(ended) => Err(ended),
            PublishOutcome::Failed(error) => {
                let message = message!("the site could not be released: {error}");
                Err((RELEASE, Box::new(Ended::refused(message, &error))))
            }
            PublishOutcome::Lost => {
                let message = message!(
                    "checking and releasing the site did not end, which is a bug in Sitewright"
                );
                Err((CHECKS, Box::new(Ended::new(FailureKind::Host, message, Vec::new()))))
            }
        }
    }

    fn checked(&self) -> Result<VerifiedSite, Box<Ended>> {
        let staged = self.staging.clone().seal().map_err(|error| {
            Ended::refused(message!("the site could not be read back: {error}"), &error)
        })?;
        check(staged, &self.locale, &read_back(&self.document)?, &self.template)
    }
}

/// The normalised order as a tree, which is many times its text.
pub(super) fn read_back(document: &str) -> Result<serde_json::Value, Box<Ended>> {
    serde_json::from_str(document).map_err(|error| {
        Box::new(Ended::new(
            FailureKind::Host,
            message!("the normalised order cannot be read back: {error}"),
            Vec::new(),
        ))
    })
}

/// Checks a site against the order it was made for.
fn check(
    staged: StagedSite,
    wanted: &Locale,
    document: &serde_json::Value,
    template: &Template,
) -> Result<VerifiedSite, Box<Ended>> {
    // A template that does not write the order's language decides itself which of its own it takes.
    let speaks =
        template.manifest.locales.iter().any(|locale| locale.language() == wanted.language());
    let languages = if speaks { vec![wanted.clone()] } else { template.manifest.locales.clone() };
    staged.verify(&VerifyOptions::for_order(document, languages)).map_err(|error| match error {
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
            Box::new(Ended {
                problems,
                ..Ended::new(FailureKind::OutputRejected, message, Vec::new())
            })
        }
        VerifyError::Storage(error) => {
            Box::new(Ended::refused(message!("the site could not be read back: {error}"), &error))
        }
    })
}

/// What the release says of itself.
pub(super) fn release_info(
    request: &AttemptRequest,
    log: &RunTrace,
    totals: &Totals,
    locale: &Locale,
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
        host_build: host_build().to_owned(),
        ai: serde_json::json!({
            "calls": calls.len(),
            "input_tokens": calls.iter().filter_map(|call| call.usage.input_tokens).sum::<u64>(),
            "output_tokens": calls.iter().filter_map(|call| call.usage.output_tokens).sum::<u64>(),
            "by_call": calls,
        }),
        usage: serde_json::json!({ "duration_ms": totals.duration_ms, "limits": totals.limits }),
        locale: Some(locale.to_string()),
        created_at: OffsetDateTime::from_unix_timestamp(
            i64::try_from(request.id.determinism().start_unix_ms / 1_000).unwrap_or(0),
        )
        .unwrap_or(OffsetDateTime::UNIX_EPOCH),
    }
}
