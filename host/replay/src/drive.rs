//! Replays a recorded attempt and reports the result.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::answers::RecordedAnswers;
use super::judge::Judge;
use super::limits::{self, ReplayLimits};
use super::scratch::Scratch;
use super::subject::{NotReplayable, Origin, RecordedAttempt, RecordedEnd, ReplyIndex};
use sitewright_ai::{Gateway, RunJournal};
use sitewright_confined::Confined;
use sitewright_http::Client;
use sitewright_intake::Locale;
use sitewright_model::failure::FailureKind;
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::replay::ReplayReport;
use sitewright_runtime::host_functions::{CursorMode, ReplayCursor, RunProgress};
use sitewright_runtime::plugin::{
    Cache, Catalogue, Compiler, Engine, Limits, Loader, TemplateSettings,
};
use sitewright_runtime::run::recording::Recording;
use sitewright_runtime::run::{
    AttemptRequest, JournalUse, OrderReading, Publication, ReplayInput, Services, Stage, attempt,
};
use sitewright_site::{SitePolicy, SitesRoot, SyncBatcher};

/// Interval at which the position of a replay is checked.
const CHECK_EVERY: Duration = Duration::from_millis(20);
/// Idle time after which a replay at the end of its recording is ended, if the recorded attempt was
/// ended by time.
const IDLE: Duration = Duration::from_millis(300);

/// How an attempt is replayed.
pub struct ReplayOptions {
    /// Runs this file instead of the recorded template.
    pub template: Option<PathBuf>,
    /// Stops the template at its first error diagnostic.
    pub trap_on_report: bool,
    /// Asks these models instead of using the recorded answers.
    pub live: Option<Arc<Gateway>>,
    /// The operator's limits. They bound attempts that somebody else recorded, and are those of a
    /// replay with live models.
    pub limits: Limits,
    /// The operator's rules for sites. Those of the recording are not known: another configuration
    /// may judge its site in another way.
    pub checks: SitePolicy,
    /// Compiles the template.
    pub compiler: Compiler,
    /// Reads the template's debug information.
    pub confined: Confined,
    /// The cache of compiled templates. The template of a bundle is never kept there.
    pub cache: Cache,
    /// Used only if models are asked.
    pub client: Client,
}

/// Why an attempt could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    NotReplayable(#[from] NotReplayable),
    /// The host failed.
    #[error("{0}")]
    Host(Message),
}

/// Replays the attempt: offline, unless `options.live` is set.
///
/// # Errors
/// Everything that is missing; or what failed in the host.
pub async fn replay(
    subject: RecordedAttempt,
    options: ReplayOptions,
) -> Result<ReplayReport, ReplayError> {
    let (subject, replies) =
        indexed(subject, options.template.is_some(), options.live.is_some()).await?;
    let same_template = match &options.template {
        None => true,
        Some(file) => digest_of(file).await? == subject.template.digest,
    };
    let exact = same_template && options.live.is_none() && subject.recording.is_some();
    let mode = match (exact, subject.scrubbed) {
        (false, _) => CursorMode::Free,
        (true, true) => CursorMode::Calls,
        (true, false) => CursorMode::Exact,
    };
    let none;
    let recording = match &subject.recording {
        Some(recording) => recording,
        None => {
            none = empty_recording(&subject);
            &none
        }
    };
    let ReplayLimits { limits, note } = match &options.live {
        Some(_) => ReplayLimits { limits: options.limits.clone(), note: None },
        None => limits::of_replay(&recording.limits, &options.limits, subject.origin)
            .map_err(ReplayError::Host)?,
    };
    // Time that the template may take between two host calls.
    let computing = limits.cpu().saturating_add(Duration::from_secs(10));
    let scratch = Scratch::create().await.map_err(ReplayError::Host)?;
    let services = services(&subject, &options, recording, limits, scratch.path())?;
    let stop = CancellationToken::new();
    let cursor = Arc::new(ReplayCursor::new(recording, mode, options.trap_on_report, stop.clone()));
    let answers = RecordedAnswers {
        subject: subject.clone(),
        replies,
        cursor: cursor.clone(),
        exact,
        live: options.live.is_some(),
    };
    let asked = options.template.clone().or_else(|| subject.wasm.clone());
    let progress = watch::Sender::new(RunProgress::default());
    let mut run = RunWatch { stages: progress.subscribe(), since: None };
    let request = AttemptRequest {
        document: subject.document.clone(),
        template: match (asked, subject.origin) {
            (Some(path), _) => path.display().to_string(),
            (None, Origin::Host) => recording.template.clone(),
            // A path that somebody else wrote. This name is in no catalogue.
            (None, Origin::RecordFile | Origin::Bundle) => "missing".to_owned(),
        },
        id: subject.attempt,
        job: match &subject.ended {
            RecordedEnd::Failed(record) => record.job.clone(),
            RecordedEnd::Released(_) | RecordedEnd::Unknown => None,
        },
        revision: None,
        journal: JournalUse::Replay(ReplayInput {
            journal: Arc::new(RunJournal::new(Arc::new(answers))),
            cursor: cursor.clone(),
        }),
        publication: Publication::Place(SyncBatcher::default()),
        cancel: stop.clone(),
        progress,
    };
    let mut made = Box::pin(attempt(&services, request));
    let outcome = loop {
        tokio::select! {
            outcome = &mut made => break outcome,
            () = tokio::time::sleep(CHECK_EVERY) => {
                let running = run.duration(&cursor);
                check(&subject, &cursor, &stop, exact, (running, computing));
            }
        }
    };
    let position = cursor.position();
    let mut report =
        Judge { subject: &subject, options: &options, exact, position }.report(outcome);
    report.live = options.live.is_some();
    report.notes.extend(note);
    drop(scratch);
    Ok(report)
}

/// When the template began to run. Before that it is compiled, which has limits of its own: on a busy
/// machine it takes longer than a template may compute.
struct RunWatch {
    stages: watch::Receiver<RunProgress>,
    since: Option<Instant>,
}

impl RunWatch {
    /// How long the template has run so far.
    fn duration(&mut self, cursor: &ReplayCursor) -> Duration {
        if self.since.is_none() {
            let before_run = [Stage::Order.as_str(), Stage::Template.as_str(), ""];
            let begun = !before_run.contains(&self.stages.borrow().stage.as_str());
            if begun || cursor.position().begun > 0 {
                self.since = Some(Instant::now());
            }
        }
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// Ends a run that has reached the point where the recorded one was ended from outside, or that
/// waits for an answer that the recorded one never got.
fn check(
    subject: &RecordedAttempt,
    cursor: &ReplayCursor,
    stop: &CancellationToken,
    exact: bool,
    (running, computing): (Duration, Duration),
) {
    let position = cursor.position();
    if !exact || stop.is_cancelled() {
        return;
    }
    if position.at_end && position.idle > IDLE && subject.ended.by_time() {
        match subject.ended.kind() {
            Some(FailureKind::Deadline) => cursor.run_out_of_time(),
            _ => stop.cancel(),
        }
    } else if running.min(position.idle) > computing {
        // It waits for an answer that the recording lacks.
        cursor.give_up_now();
        stop.cancel();
    }
}

/// The recording of an attempt of which nothing was recorded.
fn empty_recording(subject: &RecordedAttempt) -> Recording {
    Recording {
        version: sitewright_runtime::run::recording::RECORDING_VERSION,
        document: String::new(),
        template: subject.template.name.clone(),
        limits: subject.limits.clone(),
        default_locale: subject.default_locale.clone(),
        fallback_locale: None,
        form_endpoint: None,
        routes: subject.routes.clone(),
        calls: sitewright_runtime::run::recording::Marks::default(),
        calls_total: 0,
        ai: Vec::new(),
        open: Vec::new(),
        files: sitewright_runtime::run::recording::Files::default(),
    }
}

fn services(
    subject: &RecordedAttempt,
    options: &ReplayOptions,
    recording: &Recording,
    limits: Limits,
    scratch: &Path,
) -> Result<Services, ReplayError> {
    let cannot =
        |what: String| ReplayError::Host(message!("the replay cannot be prepared: {what}"));
    let engine = Engine::new(&limits, 1).map_err(|error| cannot(error.to_string()))?;
    let of_bundle = subject.origin == Origin::Bundle && options.template.is_none();
    let cache = if of_bundle { Cache::off() } else { options.cache.clone() };
    let loader = Loader::new(engine, cache, limits.clone())
        .map_err(|error| cannot(format!("{error:#}")))?
        .with_settings(TemplateSettings { read_stacks: true, ..TemplateSettings::default() })
        .with_compiler(options.compiler.clone())
        .with_confined(options.confined.clone());
    let sites =
        SitesRoot::open(&scratch.join("sites")).map_err(|error| cannot(error.to_string()))?;
    let default_locale: Locale = recording
        .default_locale
        .parse()
        .map_err(|_| cannot(format!("{:?} is no language", recording.default_locale)))?;
    // Strict reading is not recorded: an order that passed it is read the same without.
    let orders = OrderReading {
        strict: false,
        fallback_locale: recording.fallback_locale.as_deref().and_then(|tag| tag.parse().ok()),
        form_endpoint: recording.form_endpoint.clone(),
    };
    let gateway = match &options.live {
        Some(live) => live.clone(),
        None => {
            Arc::new(Gateway::offline(recording.routes.iter().cloned(), options.client.clone()))
        }
    };
    let config_version = match &subject.ended {
        RecordedEnd::Failed(record) => record.config_version.clone(),
        RecordedEnd::Released(kept) => kept.config_version.clone(),
        RecordedEnd::Unknown => String::new(),
    };
    // An empty folder: the template is named by its file, or the recorded attempt found none.
    let catalogue = Catalogue::new(scratch.to_owned(), loader);
    Ok(Services {
        catalogue,
        gateway,
        sites,
        limits: Arc::new(limits),
        orders,
        default_locale,
        checks: options.checks.clone(),
        viewer: None,
        keep_releases: 1,
        config_version,
    })
}

/// The attempt and the index of its replies, if nothing is missing. Hashes every reply.
async fn indexed(
    subject: RecordedAttempt,
    other_template: bool,
    live: bool,
) -> Result<(Arc<RecordedAttempt>, ReplyIndex), ReplayError> {
    let work = move || {
        let missing = subject.missing(other_template, live);
        if !missing.is_empty() {
            return Err(NotReplayable { attempt: subject.attempt.to_string(), missing });
        }
        let replies = ReplyIndex::new(&subject.replies);
        Ok((Arc::new(subject), replies))
    };
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| {
        ReplayError::Host(message!("looking for the attempt's replies failed: {error}"))
    })?;
    Ok(done?)
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
