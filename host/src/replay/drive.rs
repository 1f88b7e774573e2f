//! Makes a recorded attempt again and says what came of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::Digest as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::answers::Answers;
use super::compare;
use super::report::{ReplayReport, Verdict};
use super::subject::{Ended, NotReplayable, Subject};
use crate::ai::{Gateway, RunJournal};
use crate::failure::{FailureKind, FailureRecord, Recording, TemplateRef};
use crate::interface::{Follow, Happened, Pace, RunProgress};
use crate::message;
use crate::message::Message;
use crate::order::Locale;
use crate::plugin::{Cache, Catalogue, Engine, Limits, Loader};
use crate::run::{AttemptRequest, Host, JournalUse, Outcome, Publication, Replaying, attempt};
use crate::site::SitesRoot;

/// How often a replay is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long nothing has happened when what was ended by time is at its end.
const QUIET: Duration = Duration::from_millis(300);

/// How an attempt is made again.
pub struct How {
    /// With this file instead of the recorded template.
    pub template: Option<PathBuf>,
    /// Stopped by the first error diagnostic.
    pub trap_on_report: bool,
    /// With models that are asked, instead of the recorded answers.
    pub live: Option<Live>,
    /// Where compiled templates are kept.
    pub cache: Option<PathBuf>,
    /// The HTTP client, which is asked only in a live replay.
    pub client: reqwest::Client,
}

/// What a live replay goes by: the configuration of today.
pub struct Live {
    /// Answers the AI calls.
    pub gateway: Arc<Gateway>,
    /// What the run may use.
    pub limits: Limits,
}

/// Why a replay could not be made, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Something is missing.
    #[error(transparent)]
    NotReplayable(#[from] NotReplayable),
    /// The host cannot do its part.
    #[error("{0}")]
    Host(Message),
}

/// A folder that is gone when the replay is.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, ReplayError> {
        let path = std::env::temp_dir().join(format!("sitewright-replay-{}", ulid::Ulid::generate()));
        std::fs::create_dir(&path).map_err(|error| {
            ReplayError::Host(message!(
                "the folder {} for the replay cannot be made: {error}",
                path.display()
            ))
        })?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "the replay's folder stays");
        }
    }
}

/// Makes the attempt again. Offline, unless `how` says otherwise.
///
/// # Errors
/// When something is missing, all of it; or when the host cannot do its part.
pub async fn replay(subject: Subject, how: How) -> Result<ReplayReport, ReplayError> {
    let missing = subject.missing(how.template.is_some(), how.live.is_some());
    if !missing.is_empty() {
        return Err(NotReplayable { attempt: subject.attempt.to_string(), missing }.into());
    }
    let same_template = match &how.template {
        None => true,
        Some(file) => digest_of(file).await? == subject.template.digest,
    };
    let subject = Arc::new(subject);
    let exact = same_template && how.live.is_none() && subject.recording.is_some();
    let pace = match (exact, subject.scrubbed) {
        (false, _) => Pace::Free,
        (true, true) => Pace::Calls,
        (true, false) => Pace::Exact,
    };
    let none;
    let recording = match &subject.recording {
        Some(recording) => recording,
        None => {
            none = nothing(&subject);
            &none
        }
    };
    let scratch = Scratch::new()?;
    let host = host(&subject, &how, recording, &scratch.0)?;
    let stop = CancellationToken::new();
    let follow = Arc::new(Follow::new(recording, pace, how.trap_on_report, stop.clone()));
    let answers =
        Answers { subject: subject.clone(), follow: follow.clone(), exact, live: how.live.is_some() };
    let asked = how.template.clone().or_else(|| subject.wasm.clone());
    let request = AttemptRequest {
        document: subject.document.clone(),
        template: asked.map_or_else(|| recording.template.clone(), |path| path.display().to_string()),
        id: subject.attempt,
        job: match &subject.ended {
            Ended::Failed(record) => record.job.clone(),
            Ended::Released(_) | Ended::Unknown => None,
        },
        journal: JournalUse::Replay(Replaying {
            journal: Arc::new(RunJournal::new(Arc::new(answers))),
            follow: follow.clone(),
        }),
        publication: Publication::Place,
        cancel: stop.clone(),
        progress: watch::Sender::new(RunProgress::default()),
    };
    let mut made = Box::pin(attempt(&host, request));
    let outcome = loop {
        tokio::select! {
            outcome = &mut made => break outcome,
            () = tokio::time::sleep(LOOK_EVERY) => look(&subject, &follow, &stop, exact, recording),
        }
    };
    let happened = follow.happened();
    let mut report = Judge { subject: &subject, how: &how, exact, happened }.report(outcome);
    report.live = how.live.is_some();
    drop(scratch);
    Ok(report)
}

/// Ends a run that has come to where the recorded one was ended from outside, or that waits for what never came.
fn look(subject: &Subject, follow: &Follow, stop: &CancellationToken, exact: bool, recording: &Recording) {
    let happened = follow.happened();
    if !exact || stop.is_cancelled() {
        return;
    }
    let computing = Duration::from_millis(recording.limits.cpu_ms) + Duration::from_secs(10);
    if happened.at_end && happened.quiet > QUIET && subject.ended.by_time() {
        match subject.ended.kind() {
            Some(FailureKind::Deadline) => follow.run_out_of_time(),
            _ => stop.cancel(),
        }
    } else if happened.quiet > computing {
        // It waits for an answer that it did not get then: the recording is not whole.
        follow.give_up_now();
        stop.cancel();
    }
}

/// What a replay goes by when nothing was recorded.
fn nothing(subject: &Subject) -> Recording {
    Recording {
        version: crate::failure::RECORDING_VERSION,
        document: String::new(),
        template: subject.template.name.clone(),
        limits: subject.limits.clone(),
        default_locale: subject.default_locale.clone(),
        routes: subject.routes.clone(),
        calls: crate::failure::Marks::default(),
        calls_total: 0,
        ai: Vec::new(),
        open: Vec::new(),
        files: crate::failure::Files::default(),
    }
}

fn host(subject: &Subject, how: &How, recording: &Recording, scratch: &Path) -> Result<Host, ReplayError> {
    let cannot = |what: String| ReplayError::Host(message!("the replay cannot be prepared: {what}"));
    let limits = how.live.as_ref().map_or(&recording.limits, |live| &live.limits).clone();
    let engine = Engine::new(&limits, 1).map_err(|error| cannot(error.to_string()))?;
    let cache = how.cache.as_deref().map_or_else(Cache::off, Cache::open);
    let loader = Loader::new(engine, cache, limits.clone()).map_err(|error| cannot(format!("{error:#}")))?;
    let sites = SitesRoot::open(&scratch.join("sites")).map_err(|error| cannot(error.to_string()))?;
    let default_locale: Locale = recording
        .default_locale
        .parse()
        .map_err(|_| cannot(format!("{:?} is no language", recording.default_locale)))?;
    let gateway = match &how.live {
        Some(live) => live.gateway.clone(),
        None => Arc::new(Gateway::offline(recording.routes.iter().cloned(), how.client.clone())),
    };
    let config_version = match &subject.ended {
        Ended::Failed(record) => record.config_version.clone(),
        Ended::Released(kept) => kept.config_version.clone(),
        Ended::Unknown => String::new(),
    };
    // No template is looked up by its name: the one with the recorded digest was found before, or there was none then either.
    let catalogue = Catalogue::new(scratch.to_owned(), loader);
    Ok(Host {
        catalogue,
        gateway,
        sites,
        limits: Arc::new(limits),
        default_locale,
        keep_releases: 1,
        config_version,
    })
}

/// `sha256:` and the digest of a file.
async fn digest_of(file: &Path) -> Result<String, ReplayError> {
    let path = file.to_owned();
    let read = tokio::task::spawn_blocking(move || super::find::digest(&path)).await;
    let read = read.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    read.map_err(|error| {
        ReplayError::Host(message!("the template {} cannot be read (--template): {error}", file.display()))
    })
}

/// From what came of a replay to a verdict.
struct Judge<'a> {
    subject: &'a Subject,
    how: &'a How,
    exact: bool,
    happened: Happened,
}

/// What a replay came to.
struct Now {
    template: TemplateRef,
    recording: Option<Recording>,
    failure: Option<Box<FailureRecord>>,
}

impl Judge<'_> {
    fn report(self, outcome: Outcome) -> ReplayReport {
        let now = match outcome {
            Outcome::Released(released) => {
                Now { template: released.template, recording: released.recording, failure: None }
            }
            Outcome::Failed { mut record, .. } => {
                let recording = record.recording.take().map(|recording| *recording);
                Now { template: record.template.clone(), recording, failure: Some(record) }
            }
        };
        let subject = self.subject;
        let recorded = subject.recording.as_ref();
        let first_call = match self.exact {
            true => compare::call_difference(
                self.happened.difference.clone(),
                recorded,
                subject.ended.trail(),
                self.happened.begun,
            ),
            false => None,
        };
        let mut differences = Vec::new();
        // What follows from a question that nobody answers says nothing of its own.
        if self.exact && !subject.ended.by_time() && self.happened.unanswered.is_none() {
            if let (Ended::Failed(then), Some(is)) = (&subject.ended, &now.failure) {
                differences = compare::failures(then, is, subject.scrubbed);
            }
            if let (Some(then), Some(is)) = (recorded, &now.recording) {
                let stopped = subject.ended.kind() == Some(FailureKind::CpuLimit);
                if !stopped {
                    differences.extend(compare::files(&then.files, &is.files, subject.scrubbed));
                }
            }
        }
        let calls = now.recording.as_ref().map(|recording| recording.calls_total);
        let files = now.recording.as_ref().map(|recording| recording.files.count);
        let end = match &now.failure {
            Some(record) => compare::failed(record, calls, files),
            None => compare::released(calls, files),
        };
        let recorded_end = compare::recorded_end(&subject.ended, recorded);
        let first_call = self.stopped_by_purpose(&now).then_some(None).unwrap_or(first_call);
        let differs = first_call.is_some() || !differences.is_empty();
        let (verdict, summary) = self.verdict(&now, differs, first_call.as_ref().map(|call| call.number));
        let mut notes = subject.notes.clone();
        if let Some(recording) = recorded
            && recording.document != crate::plugin::hex(&sha2::Sha256::digest(&subject.document))
        {
            notes.push("The order's document is not the recorded one: it was changed since.".to_owned());
        }
        if subject.scrubbed && verdict == Verdict::Diverged {
            notes.push(
                "The texts of this bundle are placeholders: a failure that depends on what the customer wrote, or on what a model \
                 answered, does not come again. Ask for a bundle without --scrub."
                    .to_owned(),
            );
        }
        if self.how.trap_on_report && verdict != Verdict::StoppedAtReport {
            notes.push("The template reported no error, so nothing stopped it at one.".to_owned());
        }
        ReplayReport {
            verdict,
            summary,
            attempt: subject.attempt.to_string(),
            order: subject.order.clone(),
            live: false,
            template_recorded: subject.template.clone(),
            template: now.template,
            recorded: recorded_end,
            now: end,
            first_call,
            differences: if verdict == Verdict::StoppedAtReport { Vec::new() } else { differences },
            notes,
            failure: now.failure,
        }
    }

    /// Whether the first error diagnostic stopped it, as was asked.
    fn stopped_by_purpose(&self, now: &Now) -> bool {
        self.how.trap_on_report
            && now.failure.as_ref().is_some_and(|record| {
                record.trail.last().is_some_and(|last| {
                    last.call == "diagnostics.report"
                        && matches!(&last.outcome, crate::failure::TrailOutcome::Error(_))
                })
            })
    }

    fn verdict(&self, now: &Now, differs: bool, call: Option<u64>) -> (Verdict, String) {
        let subject = self.subject;
        let order = &subject.order;
        let how =
            |record: &FailureRecord| format!("{}: {}", record.kind, first_line(record.message.as_str()));
        if self.stopped_by_purpose(now) {
            let what =
                now.failure.as_ref().map(|record| first_line(record.message.as_str())).unwrap_or_default();
            return (Verdict::StoppedAtReport, format!("stopped at the first error diagnostic: {what}"));
        }
        if let Some(unanswered) = self.happened.unanswered.filter(|_| !self.exact) {
            return match () {
                () if subject.recording.is_none() && self.how.template.is_none() => (
                    Verdict::ReproducedUpToTheEnd,
                    format!(
                        "order {order} was replayed up to host call {}: {unanswered} had no answer when its process ended",
                        self.happened.begun
                    ),
                ),
                () => (
                    Verdict::Unanswered,
                    format!(
                        "it cannot be told whether the failure is fixed: {unanswered} asks a model what was not asked then; \
                         --against-live asks it"
                    ),
                ),
            };
        }
        if !self.exact {
            return self.other(now);
        }
        if subject.ended.by_time() {
            let kind = subject.ended.kind().map_or("unknown", FailureKind::as_str);
            if let Some(number) = call {
                return (
                    Verdict::Diverged,
                    format!("order {order} goes another way from host call {number} on"),
                );
            }
            let begun = self.happened.begun;
            let ended = match subject.ended.kind() {
                Some(FailureKind::Deadline) => "that its deadline passed there depends on time",
                Some(FailureKind::Cancelled) => "there it was cancelled",
                Some(FailureKind::Host) => "what the host was refused there cannot be made again",
                _ => "there its process ended",
            };
            return (
                Verdict::ReproducedUpToTheEnd,
                format!("order {order} is the same up to its last host call, the {begun}.; {ended} ({kind})"),
            );
        }
        match (&subject.ended, &now.failure) {
            _ if differs => {
                let summary = match call {
                    Some(number) => format!("order {order} goes another way from host call {number} on"),
                    None => format!("order {order} makes the same host calls and comes to something else"),
                };
                (Verdict::Diverged, summary)
            }
            (Ended::Failed(then), Some(_)) if then.kind == FailureKind::CpuLimit => (
                Verdict::Reproduced,
                format!(
                    "reproduced: order {order} uses up its processor time again; where exactly it is stopped depends on the machine: {}",
                    how(then)
                ),
            ),
            (Ended::Failed(then), Some(_)) => (
                Verdict::Reproduced,
                format!("reproduced: order {order} fails again as it did: {}", how(then)),
            ),
            (Ended::Released(_), None) => {
                let files = now.recording.as_ref().map_or(0, |recording| recording.files.count);
                let same = if subject.scrubbed {
                    "the same files, as far as placeholders allow"
                } else {
                    "the same bytes"
                };
                (
                    Verdict::Reproduced,
                    format!("reproduced: order {order} becomes the same site again: {files} files, {same}"),
                )
            }
            (Ended::Failed(then), None) => (
                Verdict::Diverged,
                format!("order {order} does not fail any more; recorded was {}", how(then)),
            ),
            (_, Some(is)) => {
                (Verdict::Diverged, format!("order {order} was released then and fails now: {}", how(is)))
            }
            (Ended::Unknown, None) => {
                (Verdict::ReproducedUpToTheEnd, format!("order {order} is released now"))
            }
        }
    }

    /// Of another template, of models that were asked, or of an attempt without a recording.
    fn other(&self, now: &Now) -> (Verdict, String) {
        let order = &self.subject.order;
        let how =
            |record: &FailureRecord| format!("{}: {}", record.kind, first_line(record.message.as_str()));
        match (&self.subject.ended, &now.failure) {
            (Ended::Failed(then), None) if !self.subject.ended.by_time() => {
                (Verdict::Fixed, format!("fixed: order {order} becomes a site; it was {}", how(then)))
            }
            (Ended::Failed(then), Some(is)) if compare::same_failure(then, is) => {
                (Verdict::SameFailure, format!("same failure: order {order} still fails: {}", how(is)))
            }
            (Ended::Failed(then), Some(is)) => (
                Verdict::AnotherFailure,
                format!("another failure: order {order} was {}; it is {}", how(then), how(is)),
            ),
            (Ended::Unknown | Ended::Failed(_), None) => (
                Verdict::ReproducedUpToTheEnd,
                format!("order {order} becomes a site now; nothing it did ended the process then"),
            ),
            (Ended::Unknown, Some(is)) => (
                Verdict::AnotherFailure,
                format!("nobody knows how order {order} ended then; now it fails: {}", how(is)),
            ),
            (Ended::Released(_), None) => {
                let same = match (&self.subject.recording, &now.recording) {
                    (Some(then), Some(is)) => then.files.sha256 == is.files.sha256,
                    _ => false,
                };
                match same {
                    true => (
                        Verdict::Reproduced,
                        format!("reproduced: order {order} becomes the same site, byte for byte"),
                    ),
                    false => (Verdict::Diverged, format!("order {order} becomes another site")),
                }
            }
            (Ended::Released(_), Some(is)) => (
                Verdict::AnotherFailure,
                format!("another failure: order {order} was released then and fails now: {}", how(is)),
            ),
        }
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
