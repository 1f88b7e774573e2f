//! What comes after the run: the checks of the site, and its release.

use std::sync::Arc;

use sitewright_order::Locale;
use time::OffsetDateTime;

use super::attempt::Attempt;
use super::classify::classify;
use super::end::{RunEnd, RunError};
use super::outcome::Totals;
use super::prepare::{Prepared, read_back};
use super::request::Publication;
use super::stage::Stage;
use super::state::AttemptError;
use crate::host_functions::RunTrace;
use crate::plugin::Template;
use sitewright_model::ai::Usage;
use sitewright_model::build::host_build;
use sitewright_model::failure::{FailureKind, Problem};
use sitewright_model::message;
use sitewright_site::{
    PublishOutcome, Release, ReleaseInfo, ReleaseTemplate, SiteLimit, StagedSite, VerifiedSite,
    VerifyError, VerifyOptions, publish_prepared,
};

impl Attempt<'_> {
    /// The release of a run that went well; otherwise why there is none.
    pub(super) async fn finish(
        &mut self,
        prepared: Box<Prepared>,
        result: Result<(), RunError>,
        end: RunEnd,
    ) -> Result<Box<Release>, Box<AttemptError>> {
        let stderr = end.stderr.0.clone();
        self.state.run = Some(end);
        if let Err(error) = result {
            let classified = classify(error, &self.trace, &stderr, &self.services.limits);
            return Err(Box::new(classified.into()));
        }
        let refused = self.trace.output_limit();
        if let Some(limit) = refused.filter(|refused| refused.limit != SiteLimit::PathBytes) {
            // A file whose path is too long can be written again under a shorter one; one file or
            // byte too many cannot. The template went on although a file was refused: the site is
            // not the one it meant (catalogue A7).
            let message = message!(
                "a file was refused and the template ended as if it had not been: {}",
                limit.message
            );
            return Err(Box::new(AttemptError::new(FailureKind::OutputLimit, message)));
        }
        let totals = self.measure();
        let info = self.release_info(&prepared, &totals);
        self.state.totals = Some(totals);
        let finish = Finish {
            prepared: *prepared,
            info,
            publication: self.request.publication.clone(),
            keep_releases: self.services.keep_releases,
        };
        match finish.release(self.trace.clone()).await {
            Ok(release) => Ok(Box::new(release)),
            Err(FinishError { stage, error }) => {
                self.state.stage = stage;
                Err(error)
            }
        }
    }

    /// What the release says of its making.
    fn release_info(&self, prepared: &Prepared, totals: &Totals) -> ReleaseInfo {
        let Prepared { template, locale, .. } = prepared;
        let calls = &totals.ai_calls;
        let tokens = |count: fn(&Usage) -> Option<u64>| {
            let counts = calls.iter().filter_map(|call| count(&call.usage));
            counts.fold(0, u64::saturating_add)
        };
        let start_s = self.request.id.determinism().start_unix_ms / 1_000;
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
                "input_tokens": tokens(|usage| usage.input_tokens),
                "output_tokens": tokens(|usage| usage.output_tokens),
                "by_call": calls,
            }),
            usage: serde_json::json!({
                "duration_ms": totals.duration_ms,
                "limits": totals.limits,
            }),
            locale: Some(locale.to_string()),
            created_at: OffsetDateTime::from_unix_timestamp(i64::try_from(start_s).unwrap_or(0))
                .unwrap_or(OffsetDateTime::UNIX_EPOCH),
        }
    }
}

/// Checks and release of one site, in one go on the blocking pool: thousands of sites are finished
/// at the same time, and each change of threads costs what a small file does.
struct Finish {
    prepared: Prepared,
    info: ReleaseInfo,
    publication: Publication,
    keep_releases: usize,
}

/// Why a site did not become a release, and in which stage.
struct FinishError {
    stage: Stage,
    error: Box<AttemptError>,
}

impl Finish {
    /// The release. `trace` receives each stage when it begins.
    async fn release(self, trace: Arc<RunTrace>) -> Result<Release, FinishError> {
        let (publication, keep) = (self.publication.clone(), self.keep_releases);
        let prepare = move || {
            trace.set_progress(Stage::Checks.into());
            let verified =
                self.verify().map_err(|error| FinishError { stage: Stage::Checks, error })?;
            trace.set_progress(Stage::Release.into());
            Ok((verified, self.info))
        };
        let outcome = match publication {
            Publication::Publish => publish_prepared(prepare, keep).await,
            Publication::Place(batcher) => batcher.place_prepared(prepare).await,
        };
        match outcome {
            PublishOutcome::Released(release) => Ok(release),
            PublishOutcome::Unprepared(error) => Err(error),
            PublishOutcome::Failed(error) => {
                let message = message!("the site could not be released: {error}");
                let error = Box::new(AttemptError::refused(message, &error));
                Err(FinishError { stage: Stage::Release, error })
            }
            PublishOutcome::Lost => {
                let message = message!(
                    "checking and releasing the site did not end, which is a bug in Sitewright"
                );
                let error = Box::new(AttemptError::new(FailureKind::Host, message));
                Err(FinishError { stage: Stage::Checks, error })
            }
        }
    }

    fn verify(&self) -> Result<VerifiedSite, Box<AttemptError>> {
        let Prepared { document, locale, template, staging } = &self.prepared;
        let staged = staging.clone().seal().map_err(|error| {
            AttemptError::refused(message!("the site could not be read back: {error}"), &error)
        })?;
        check(staged, locale, &read_back(document)?, template)
    }
}

/// Checks a site against the order it was made for.
fn check(
    staged: StagedSite,
    wanted: &Locale,
    document: &serde_json::Value,
    template: &Template,
) -> Result<VerifiedSite, Box<AttemptError>> {
    // A template that does not write the order's language chooses one of its own.
    let offered =
        template.manifest.locales.iter().any(|locale| locale.language() == wanted.language());
    let languages = if offered { vec![wanted.clone()] } else { template.manifest.locales.clone() };
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
            let rejected = AttemptError::new(FailureKind::OutputRejected, message);
            Box::new(rejected.with_problems(problems))
        }
        VerifyError::Storage(error) => {
            let message = message!("the site could not be read back: {error}");
            Box::new(AttemptError::refused(message, &error))
        }
    })
}
