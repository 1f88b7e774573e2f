//! What comes after the run: the checks of the site, and its release.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sitewright_confined::{Budget, ConfinedError};
use sitewright_order::Locale;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::attempt::Attempt;
use super::classify::{Classified, classify};
use super::end::{RunEnd, RunError};
use super::outcome::Totals;
use super::prepare::Prepared;
use super::request::Publication;
use super::stage::Stage;
use super::state::{AttemptError, CheckUse};
use super::witness::Witnessed;
use crate::host_functions::RunTrace;
use crate::plugin::{Limits, Manifest, Template};
use sitewright_model::ai::Usage;
use sitewright_model::build::host_build;
use sitewright_model::failure::{Diagnostic, FailureKind, Problem, Severity, TrailOutcome};
use sitewright_model::message;
use sitewright_model::time::millis;
use sitewright_site::{
    CheckStopped, Checked, OrderDir, PublishOutcome, QuickCheck, Release, ReleaseInfo,
    ReleaseTemplate, SiteLimit, SitePolicy, SitesRoot, StagedSite, Verdict, VerifiedSite,
    VerifyError, VerifyOptions, ViewedSite, Viewer, discard, publish_prepared,
};

impl Attempt<'_> {
    /// The release of a run that went well; otherwise why there is none.
    pub(super) async fn finish(
        &mut self,
        prepared: Box<Prepared>,
        result: Result<(), RunError>,
        mut end: RunEnd,
    ) -> Result<Box<Release>, Box<AttemptError>> {
        let (stderr, stopped_at) = (end.stderr.0.clone(), end.stopped_at.take());
        let memory_peak = end.memory_peak;
        self.state.run = Some(end);
        if let Err(error) = result {
            let classified =
                classify(error, &self.trace, &stderr, &self.services.limits, memory_peak);
            let classified = match stopped_at {
                Some(at) => classified.stopped_at(*at),
                None => classified,
            };
            return Err(Box::new(unpublishable(classified)));
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
        self.warn_of_refused_writes();
        self.warn_of_size(&prepared);
        let totals = self.measure();
        self.warn_of_unsaid_ends(&totals);
        let info = self.release_info(&prepared, &totals);
        self.state.totals = Some(totals);
        let checks = Arc::new(Mutex::new(CheckUse::default()));
        let gate = Gate::default();
        let policy = prepared.template.manifest.policy(&self.services.checks);
        let finish = Finish {
            prepared: *prepared,
            info,
            publication: self.request.publication.clone(),
            keep_releases: self.services.keep_releases,
            policy,
            viewer: self.services.viewer.clone(),
            year: self.request.id.year(),
            limits: self.services.limits.clone(),
            deadline: self.deadline,
            trace: self.trace.clone(),
            checks: checks.clone(),
            gate: gate.clone(),
            witnessed: self.witnessed.clone(),
        };
        let (root, order) = (finish.prepared.staging.root().clone(), self.state.order.clone());
        let result = self.unless_too_late(Box::pin(finish.release()), &gate, root, order).await;
        self.state.checks = *checks.lock();
        self.state.stage = gate.stage();
        if let Some(measured) =
            self.state.totals.as_mut().and_then(|totals| totals.limits.get_mut(Totals::CHECKS))
        {
            measured.used = self.state.checks.ms;
        }
        if result.is_err() {
            // Measured again for the record, with what the checks used.
            self.state.totals = None;
        }
        result
    }

    /// What `release` returns, unless the attempt is cancelled or its deadline passes before the
    /// release has begun. A release that has begun ends within [`RELEASE_GRACE`], or is given up.
    async fn unless_too_late(
        &self,
        mut release: ReleaseFuture,
        gate: &Gate,
        root: SitesRoot,
        order: String,
    ) -> Result<Box<Release>, Box<AttemptError>> {
        let stopped = tokio::select! {
            biased;
            released = &mut release => return released,
            () = self.request.cancel.cancelled() => match self.trace.cursor() {
                // A replay reproduces a passed deadline by cancelling.
                Some(cursor) if cursor.is_out_of_time() => RunError::Deadline,
                _ => RunError::Cancelled,
            },
            () = tokio::time::sleep_until(self.deadline) => RunError::Deadline,
        };
        if !gate.stop() {
            // Half a release helps nobody, and the other half takes milliseconds on a healthy disk.
            if let Ok(released) = tokio::time::timeout(RELEASE_GRACE, &mut release).await {
                return released;
            }
            let placed = matches!(self.request.publication, Publication::Place(_));
            tokio::spawn(async move {
                if let Ok(late) = release.await {
                    discard_late(root, order, late, placed).await;
                }
            });
        }
        Err(Box::new(classify(stopped, &self.trace, "", &self.services.limits, 0).into()))
    }

    /// Adds a warning for each of the first refused writes of a run that ended as if there were
    /// none, unless the template reported it: the site may lack a file that it meant to write.
    fn warn_of_refused_writes(&self) {
        let refused = self.trace.refused_writes();
        if refused.is_empty() {
            return;
        }
        let reported = self.trace.diagnostics().0;
        let is_reported = |why: &str| reported.iter().any(|one| one.message.as_str().contains(why));
        for entry in refused.into_iter().take(MAX_REFUSED) {
            let why = match entry.outcome {
                TrailOutcome::Error(why) if !is_reported(&why) => why,
                _ => continue,
            };
            self.trace.notice(Diagnostic {
                seq: None,
                at_ms: entry.at_ms,
                severity: Severity::Warning,
                code: "write-refused".to_owned(),
                message: message!(
                    "the file {} was refused, and the template went on without it: {why}",
                    entry.args
                ),
                causes: Vec::new(),
                location: None,
                attributes: BTreeMap::new(),
            });
        }
    }

    /// Adds a warning for a site that is larger than its template's manifest says.
    fn warn_of_size(&self, prepared: &Prepared) {
        let Manifest { name, site_bytes, .. } = &prepared.template.manifest;
        let used = prepared.staging.usage().total_bytes.used;
        let Some(expected) = site_bytes.filter(|expected| used > *expected) else { return };
        self.trace.notice(Diagnostic {
            seq: None,
            at_ms: self.trace.now_ms(),
            severity: Severity::Warning,
            code: "site-bytes".to_owned(),
            message: message!(
                "the site has {used} bytes; its template `{name}` says at most {expected} \
                 (`site-bytes` of the manifest): visitors wait longer than its author meant"
            ),
            causes: Vec::new(),
            location: None,
            attributes: BTreeMap::new(),
        });
    }

    /// Adds a warning for the texts of which nothing shows that they are whole: a sentence on the
    /// site may be cut.
    fn warn_of_unsaid_ends(&self, totals: &Totals) {
        let unsaid = totals.ai_calls.iter().filter(|call| call.end_unsaid);
        let mut providers: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for call in unsaid {
            let calls = providers.entry((&call.provider, &call.model)).or_default();
            calls.push(&call.call_id);
        }
        for ((provider, model), calls) in providers {
            let more = match calls.len().saturating_sub(MAX_UNSAID) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let calls = calls[..calls.len().min(MAX_UNSAID)].join(", ");
            self.trace.notice(Diagnostic {
                seq: None,
                at_ms: self.trace.now_ms(),
                severity: Severity::Warning,
                code: "ai-end-unsaid".to_owned(),
                message: message!(
                    "the provider `{provider}` did not say why its model `{model}` stopped \
                     ({calls}{more}), so nothing shows whether these texts are whole: read them, \
                     or have the provider send the finish reason"
                ),
                causes: Vec::new(),
                location: None,
                attributes: BTreeMap::new(),
            });
        }
    }

    /// What the release says of its making.
    fn release_info(&self, prepared: &Prepared, totals: &Totals) -> ReleaseInfo {
        let Prepared { template, locale, .. } = prepared;
        let calls = &totals.ai_calls;
        let tokens = |count: fn(&Usage) -> Option<u64>| {
            let paid = calls.iter().filter(|call| !call.cached);
            paid.filter_map(|call| count(&call.usage)).fold(0, u64::saturating_add)
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
                "cache_read_tokens": tokens(|usage| usage.cache_read_tokens),
                "saved": totals.saved(),
                "hedged": totals.hedged(),
                "by_call": calls,
            }),
            usage: serde_json::json!({
                "duration_ms": totals.duration_ms,
                "limits": totals.limits,
            }),
            locale: Some(locale.to_string()),
            warnings: Vec::new(),
            diagnostics: Vec::new(),
            revision: self.request.revision,
            created_at: OffsetDateTime::from_unix_timestamp(i64::try_from(start_s).unwrap_or(0))
                .unwrap_or(OffsetDateTime::UNIX_EPOCH),
        }
    }
}

/// Maximum warnings of refused writes in a report.
const MAX_REFUSED: usize = 10;

/// Maximum calls that a warning of a report names.
const MAX_UNSAID: usize = 10;

/// How long a release may still take that has begun when its attempt must end. 5 s.
const RELEASE_GRACE: Duration = Duration::from_secs(5);

type ReleaseFuture = Pin<Box<dyn Future<Output = Result<Box<Release>, Box<AttemptError>>> + Send>>;

/// Decides between the release of a site and the end of its attempt by deadline or cancellation:
/// whichever comes first.
#[derive(Debug, Clone, Default)]
struct Gate(Arc<AtomicU8>);

impl Gate {
    const OPEN: u8 = 0;
    const RELEASING: u8 = 1;
    const STOPPED: u8 = 2;

    fn decide(&self, for_what: u8) -> bool {
        let (acquire, relaxed) = (Ordering::AcqRel, Ordering::Acquire);
        self.0.compare_exchange(Gate::OPEN, for_what, acquire, relaxed).is_ok()
    }

    /// Whether the release may begin.
    fn begin_release(&self) -> bool {
        self.decide(Gate::RELEASING)
    }

    /// Whether the attempt may end without a release.
    fn stop(&self) -> bool {
        self.decide(Gate::STOPPED)
    }

    fn stage(&self) -> Stage {
        match self.0.load(Ordering::Acquire) {
            Gate::RELEASING => Stage::Release,
            _ => Stage::Checks,
        }
    }
}

/// Removes a placed release whose attempt has ended as failed in the meantime.
async fn discard_late(root: SitesRoot, order: String, late: Box<Release>, placed: bool) {
    let id = late.manifest.id;
    if !placed {
        tracing::warn!(order, release = %id, "a release was published after its deadline");
        return;
    }
    let discarded = tokio::task::spawn_blocking(move || {
        let order = OrderDir::new(&order).map_err(|error| error.to_string())?;
        discard(&root, &order, id).map_err(|error| error.to_string())
    });
    let discarded = discarded.await.unwrap_or_else(|error| Err(error.to_string()));
    if let Err(error) = discarded {
        tracing::warn!(release = %id, error, "a release that came too late was not removed");
    }
}

/// Checks and release of one site.
///
/// A small site is checked and released in one go on the blocking pool: thousands of sites are
/// finished at the same time, and each change of threads costs what a small file does. All others
/// are checked in a child process first.
struct Finish {
    prepared: Prepared,
    info: ReleaseInfo,
    publication: Publication,
    keep_releases: usize,
    policy: SitePolicy,
    viewer: Option<Arc<dyn Viewer>>,
    /// The current year, which a text may name.
    year: u16,
    limits: Arc<Limits>,
    deadline: Instant,
    /// Receives each stage when it begins.
    trace: Arc<RunTrace>,
    /// Receives what the checks use.
    checks: Arc<Mutex<CheckUse>>,
    gate: Gate,
    witnessed: Witnessed,
}

/// Why a site is not ready for its release.
enum Unready {
    /// It must be checked in a child process.
    Undecided(Box<(StagedSite, VerifyOptions, Finish)>),
    Failed(Box<AttemptError>),
    /// The attempt has ended in the meantime.
    Stopped,
}

impl Finish {
    /// The release.
    async fn release(self) -> Result<Box<Release>, Box<AttemptError>> {
        let (publication, keep) = (self.publication.clone(), self.keep_releases);
        let witnessed = self.witnessed.clone();
        let quick = move || witnessed.blocking(|| self.check_quickly());
        let (staged, options, finish) = match publish(&publication, keep, quick).await? {
            Published::Released(release) => return Ok(release),
            Published::Unready(Unready::Undecided(undecided)) => *undecided,
            Published::Unready(unready) => return Err(unready.into()),
        };
        let site = finish.check_confined(staged, options).await?;
        let site = finish.view(site).await?;
        let checked = move || finish.ready(site);
        match publish(&publication, keep, checked).await? {
            Published::Released(release) => Ok(release),
            Published::Unready(unready) => Err(unready.into()),
        }
    }

    /// Checks the site if it is small. Blocking.
    fn check_quickly(self) -> Result<(VerifiedSite, ReleaseInfo), Unready> {
        self.trace.enter(Stage::Checks);
        let Prepared { document, locale, template, staging, judge, forms_of_operator } =
            &self.prepared;
        let staged = staging.clone().seal().map_err(|error| {
            let message = message!("the site could not be read back: {error}");
            Unready::Failed(Box::new(AttemptError::refused(message, &error)))
        })?;
        let options = options(document, locale, template).map_err(Unready::Failed)?;
        let mut options = options.with(&self.policy, self.year);
        options.forms_of_operator = *forms_of_operator;
        if let (Some(copy), Some(judge)) = (&mut options.copy, judge) {
            copy.facts = judge.known_facts();
        }
        if self.viewer.is_some() {
            // The browser is waited for, and nothing may wait here.
            return Err(Unready::Undecided(Box::new((staged, options, self))));
        }
        let Checked { cpu, result } = staged.verify_quickly(&options);
        self.used(cpu);
        match result {
            Ok(QuickCheck::Verified(site)) => self.ready(site),
            Ok(QuickCheck::Undecided(staged)) => {
                Err(Unready::Undecided(Box::new((staged, options, self))))
            }
            Err(error) => Err(Unready::Failed(self.failed(error))),
        }
    }

    async fn check_confined(
        &self,
        staged: StagedSite,
        options: VerifyOptions,
    ) -> Result<VerifiedSite, Box<AttemptError>> {
        let template = &self.prepared.template;
        let budget = Budget {
            cpu: Duration::from_millis(self.limits.check_ms),
            memory_bytes: self.limits.check_memory_bytes,
            deadline: Some(self.deadline.into_std()),
        };
        let (confined, lane) = (template.confined(), template.name());
        let checked = staged.verify_confined(options, confined, &lane, budget).await;
        self.used(checked.cpu);
        checked.result.map_err(|error| self.failed(error))
    }

    /// The site, with what a browser finds in it if there is one.
    async fn view(&self, site: VerifiedSite) -> Result<VerifiedSite, Box<AttemptError>> {
        let Some(viewer) = &self.viewer else { return Ok(site) };
        let read = tokio::task::spawn_blocking(move || (site.read_files(), site)).await;
        let (files, site) = read.map_err(|error| {
            let message = message!("reading the site for the browser did not end: {error}");
            Box::new(AttemptError::new(FailureKind::Host, message))
        })?;
        let files = files.map_err(|error| self.failed(error.into()))?;
        let SitePolicy { levels, clean_urls, .. } = &self.policy;
        let viewed = ViewedSite {
            files,
            clean_urls: *clean_urls,
            levels: levels.clone(),
            ..ViewedSite::default()
        };
        let found = viewer.view(viewed).await.map_err(|error| {
            let message = message!("the site could not be looked at in a browser: {error}");
            Box::new(AttemptError::new(FailureKind::Host, message))
        })?;
        site.with_findings(found, levels).map_err(|error| self.failed(error))
    }

    fn used(&self, cpu: Duration) {
        self.checks.lock().ms += millis(cpu);
    }

    /// The site for its release, unless the attempt has ended in the meantime.
    fn ready(mut self, site: VerifiedSite) -> Result<(VerifiedSite, ReleaseInfo), Unready> {
        if !self.gate.begin_release() {
            return Err(Unready::Stopped);
        }
        self.trace.enter(Stage::Release);
        self.info.usage["limits"][Totals::CHECKS]["used"] = self.checks.lock().ms.into();
        self.info.warnings = site.verdict().warnings.clone();
        let mut reported = self.trace.diagnostics().0;
        reported.retain(|diagnostic| diagnostic.severity != Severity::Info);
        self.info.diagnostics = reported;
        Ok((site, self.info))
    }

    fn failed(&self, error: VerifyError) -> Box<AttemptError> {
        match error {
            VerifyError::Rejected(verdict) => rejected(verdict),
            VerifyError::Stopped(stopped) => self.stopped(*stopped),
            VerifyError::Storage(error) => {
                let message = message!("the site could not be read back: {error}");
                Box::new(AttemptError::refused(message, &error))
            }
        }
    }

    /// The checks did not end.
    fn stopped(&self, stopped: CheckStopped) -> Box<AttemptError> {
        let largest = match &stopped.largest {
            Some((file, bytes)) => format!("the largest file is `{file}` with {bytes} bytes"),
            None => "no file has text".to_owned(),
        };
        let (limit, message) = match stopped.error {
            ConfinedError::Cpu { limit_ms } => (
                Some("check_ms"),
                message!(
                    "the checks of the site took more processor time than the limit `check_ms` of \
                     {limit_ms} ms; {largest}: make the site smaller or simpler, or raise the limit"
                ),
            ),
            ConfinedError::Memory { limit_bytes } => {
                self.checks.lock().all_memory = true;
                (
                    Some("check_memory_bytes"),
                    message!(
                        "the checks of the site took more memory than the limit \
                         `check_memory_bytes` of {limit_bytes} bytes; {largest}: make the site \
                         smaller or simpler, or raise the limit"
                    ),
                )
            }
            ConfinedError::Crashed(why) => (
                None,
                message!(
                    "the checks of the site crashed: {why}; {largest}: a script in it nests too \
                     deep, or this is a bug in Sitewright; make the site simpler, or report it \
                     with the site"
                ),
            ),
            ConfinedError::Deadline => {
                return Box::new(
                    classify(RunError::Deadline, &self.trace, "", &self.limits, 0).into(),
                );
            }
            ConfinedError::Refused { code, why } => {
                let message = message!("the site could not be checked: {why}");
                let refused = std::io::Error::from_raw_os_error(code);
                return Box::new(AttemptError::refused(message, &refused));
            }
            ConfinedError::Host(why) => {
                let message = message!("the site could not be checked: {why}; see the log");
                return Box::new(AttemptError::new(FailureKind::Host, message));
            }
        };
        let problems = stopped.largest.into_iter().map(|(file, bytes)| Problem {
            at: file.to_string(),
            rule: limit.map(str::to_owned),
            message: format!("the largest file of the site: {bytes} bytes"),
        });
        let rejected = AttemptError::new(FailureKind::OutputRejected, message);
        Box::new(rejected.with_problems(problems.collect()))
    }
}

/// What became of a site that is prepared on the blocking pool.
enum Published {
    Released(Box<Release>),
    Unready(Unready),
}

async fn publish(
    publication: &Publication,
    keep: usize,
    prepare: impl FnOnce() -> Result<(VerifiedSite, ReleaseInfo), Unready> + Send + 'static,
) -> Result<Published, Box<AttemptError>> {
    let outcome = match publication {
        Publication::Publish => publish_prepared(prepare, keep).await,
        Publication::Place(batcher) => batcher.place_prepared(prepare).await,
    };
    match outcome {
        PublishOutcome::Released(release) => Ok(Published::Released(Box::new(release))),
        PublishOutcome::Unprepared(unready) => Ok(Published::Unready(unready)),
        PublishOutcome::Failed(error) => {
            let message = message!("the site could not be released: {error}");
            Err(Box::new(AttemptError::refused(message, &error)))
        }
        PublishOutcome::Lost => {
            let message = message!(
                "checking and releasing the site did not end, which is a bug in Sitewright"
            );
            Err(Box::new(AttemptError::new(FailureKind::Host, message)))
        }
    }
}

impl From<Unready> for Box<AttemptError> {
    fn from(unready: Unready) -> Self {
        match unready {
            Unready::Failed(error) => error,
            Unready::Stopped | Unready::Undecided(_) => {
                let message = message!("the attempt ended before its site was released");
                Box::new(AttemptError::new(FailureKind::Host, message))
            }
        }
    }
}

/// The failure of a run. If it ended for an AI reply whose text cannot be published, that is its
/// kind: the template did what it can, and the provider answered.
fn unpublishable(classified: Classified) -> AttemptError {
    let last = classified.ai.as_ref().and_then(|ai| ai.attempts.last());
    let problems = last.map(|attempt| attempt.problems.clone()).unwrap_or_default();
    if problems.is_empty() {
        return classified.into();
    }
    let classified = Classified { kind: FailureKind::OutputRejected, ..classified };
    AttemptError::from(classified).with_problems(problems)
}

/// What the checks need of the order that a site was made for.
fn options(
    document: &str,
    wanted: &Locale,
    template: &Template,
) -> Result<VerifyOptions, Box<AttemptError>> {
    // A template that does not write the order's language chooses one of its own.
    let offered =
        template.manifest.locales.iter().any(|locale| locale.language() == wanted.language());
    let languages = if offered { vec![wanted.clone()] } else { template.manifest.locales.clone() };
    VerifyOptions::for_order(document, languages).map_err(|error| {
        let message = message!("the normalised order cannot be read back: {error}");
        Box::new(AttemptError::new(FailureKind::Host, message))
    })
}

fn rejected(verdict: Verdict) -> Box<AttemptError> {
    let message = message!("the site was rejected: {verdict}");
    let problems = verdict.problems.into_iter().map(|problem| Problem {
        at: match problem.line {
            Some(line) => format!("{}:{line}", problem.file),
            None => problem.file.to_string(),
        },
        rule: Some(problem.rule.to_string()),
        message: match problem.excerpt {
            // Some messages quote it themselves.
            Some(excerpt) if !problem.message.as_str().contains(&format!("`{excerpt}`")) => {
                format!("{}: {excerpt}", problem.message)
            }
            Some(_) | None => problem.message.to_string(),
        },
    });
    let rejected = AttemptError::new(FailureKind::OutputRejected, message);
    Box::new(rejected.with_problems(problems.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_ends_with_its_release_or_without_one_and_never_both() {
        let gate = Gate::default();
        assert_eq!(gate.stage(), Stage::Checks);
        assert!(gate.begin_release());
        assert!(!gate.stop(), "a release that has begun is not taken back");
        assert_eq!(gate.stage(), Stage::Release);

        let gate = Gate::default();
        assert!(gate.stop());
        assert!(!gate.begin_release(), "nothing is released after the deadline");
        assert_eq!(gate.stage(), Stage::Checks);
    }
}
