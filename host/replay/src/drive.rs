//! Makes a recorded attempt again and says what came of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::answers::Answers;
use super::judge::Judge;
use super::report::ReplayReport;
use super::subject::{Ended, NotReplayable, Subject};
use sitewright_ai::{Gateway, RunJournal};
use sitewright_http::Client;
use sitewright_intake::Locale;
use sitewright_model::failure::FailureKind;
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_runtime::host_functions::{Pace, ReplayCursor, RunProgress};
use sitewright_runtime::plugin::{Cache, Catalogue, Engine, Limits, Loader};
use sitewright_runtime::run::recording::Recording;
use sitewright_runtime::run::{
    AttemptRequest, JournalUse, Publication, Replaying, Services, attempt,
};
use sitewright_site::{SitesRoot, SyncBatcher};

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
    pub client: Client,
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
        let path =
            std::env::temp_dir().join(format!("sitewright-replay-{}", ulid::Ulid::generate()));
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
    let follow = Arc::new(ReplayCursor::new(recording, pace, how.trap_on_report, stop.clone()));
    let answers = Answers {
        subject: subject.clone(),
        follow: follow.clone(),
        exact,
        live: how.live.is_some(),
    };
    let asked = how.template.clone().or_else(|| subject.wasm.clone());
    let request = AttemptRequest {
        document: subject.document.clone(),
        template: asked
            .map_or_else(|| recording.template.clone(), |path| path.display().to_string()),
        id: subject.attempt,
        job: match &subject.ended {
            Ended::Failed(record) => record.job.clone(),
            Ended::Released(_) | Ended::Unknown => None,
        },
        journal: JournalUse::Replay(Replaying {
            journal: Arc::new(RunJournal::new(Arc::new(answers))),
            follow: follow.clone(),
        }),
        publication: Publication::Place(SyncBatcher::default()),
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

/// Ends a run that has come to where the recorded one was ended from outside, or that waits for
/// what never came.
fn look(
    subject: &Subject,
    follow: &ReplayCursor,
    stop: &CancellationToken,
    exact: bool,
    recording: &Recording,
) {
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
        version: sitewright_runtime::run::recording::RECORDING_VERSION,
        document: String::new(),
        template: subject.template.name.clone(),
        limits: subject.limits.clone(),
        default_locale: subject.default_locale.clone(),
        routes: subject.routes.clone(),
        calls: sitewright_runtime::run::recording::Marks::default(),
        calls_total: 0,
        ai: Vec::new(),
        open: Vec::new(),
        files: sitewright_runtime::run::recording::Files::default(),
    }
}

fn host(
    subject: &Subject,
    how: &How,
    recording: &Recording,
    scratch: &Path,
) -> Result<Services, ReplayError> {
    let cannot =
        |what: String| ReplayError::Host(message!("the replay cannot be prepared: {what}"));
    let limits = how.live.as_ref().map_or(&recording.limits, |live| &live.limits).clone();
    let engine = Engine::new(&limits, 1).map_err(|error| cannot(error.to_string()))?;
    let cache = how.cache.as_deref().map_or_else(Cache::off, Cache::open);
    let loader =
        Loader::new(engine, cache, limits.clone()).map_err(|error| cannot(format!("{error:#}")))?;
    let sites =
        SitesRoot::open(&scratch.join("sites")).map_err(|error| cannot(error.to_string()))?;
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
    // No template is looked up by its name: the one with the recorded digest was found before, or
    // there was none then either.
    let catalogue = Catalogue::new(scratch.to_owned(), loader);
    Ok(Services {
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
        ReplayError::Host(message!(
            "the template {} cannot be read (--template): {error}",
            file.display()
        ))
    })
}
