//! What an attempt reports: its totals, and its release or its failure record.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ulid::Ulid;

use super::attempt::Attempt;
use super::end::CoreDump;
use super::outcome::{Outcome, Printed, Released, Totals};
use super::stage::Stage;
use super::state::AttemptError;
use sitewright_ai::Redactor;
use sitewright_failure::from_folder;
use sitewright_model::Measure;
use sitewright_model::build::host_build;
use sitewright_model::failure::{
    CoreDumpRecord, FailureKind, FailureRecord, Frame, LogTail, RECORD_VERSION, TrapRecord,
};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::time::{millis, now};
use sitewright_site::{OrderDir, Release, SitesRoot};

impl Attempt<'_> {
    /// The one outcome. A failed attempt also stores its failure record.
    pub(super) async fn report(
        self: Box<Self>,
        result: Result<Box<Release>, Box<AttemptError>>,
    ) -> Outcome {
        self.trace.leave_stages();
        let span = self.span;
        let outcome = match result {
            Ok(release) => self.released(release).await,
            Err(error) => self.failed(*error).await,
        };
        match &outcome {
            Outcome::Released(released) => {
                tracing::record_all!(
                    span,
                    template = released.template.name.as_str(),
                    outcome = "released",
                );
            }
            Outcome::Failed { record, .. } => {
                let is_cancelled = record.kind == FailureKind::Cancelled;
                let ended = if is_cancelled { "cancelled" } else { "failed" };
                tracing::record_all!(
                    span,
                    template = record.template.name.as_str(),
                    outcome = ended,
                    error.type = record.kind.as_str(),
                    fingerprint = record.fingerprint.as_deref(),
                );
            }
        }
        outcome
    }

    async fn released(mut self: Box<Self>, release: Box<Release>) -> Outcome {
        let totals = self.take_totals();
        tracing::info!(
            template = self.state.template.name,
            release = %release.manifest.id,
            duration_ms = totals.duration_ms,
            "released"
        );
        let recording = match self.recording() {
            Some(recording) => Some(self.archive_release(&release, recording).await),
            None => None,
        };
        let printed = self.printed();
        Outcome::Released(Box::new(Released {
            release: *release,
            recording,
            template: self.state.template,
            order: self.state.order,
            diagnostics: self.trace.diagnostics().0,
            printed,
            totals,
        }))
    }

    /// What the run printed and logged.
    fn printed(&self) -> Printed {
        let redactor = Redactor::of_process();
        let clean = |text: &str| redactor.redact(text).into_owned();
        let log = self.trace.log_tail().0;
        let (stdout, stderr) =
            self.state.run.as_ref().map_or(("", ""), |end| (&end.stdout.0, &end.stderr.0));
        Printed {
            log: LogTail { text: clean(&log.text), ..log },
            stdout: clean(stdout),
            stderr: clean(stderr),
        }
    }

    async fn failed(mut self: Box<Self>, error: AttemptError) -> Outcome {
        let totals = self.take_totals();
        let refused = error.classified.refused;
        let record = self.record(error, &totals).await;
        if let Some(staging) = self.state.staging.take() {
            staging.abandon();
        }
        let stored = if record.kind == FailureKind::Cancelled && self.is_returned() {
            // Nothing has happened to the order: another worker makes its site.
            Err(message!("the order goes back to the queue, so its record is not stored"))
        } else if self.is_unrecorded(&record) {
            Err(message!("the order waits as if it had not been attempted: no record is stored"))
        } else {
            let stored = store(self.services.sites.clone(), record.clone()).await;
            sitewright_failure::emit(&record);
            stored
        };
        Outcome::Failed { record: Box::new(record), stored, refused, totals }
    }

    /// The totals at the end of the attempt. Those measured after the run are still right but for
    /// the time that checks and release took.
    fn take_totals(&mut self) -> Totals {
        let totals = self.state.totals.take();
        totals.unwrap_or_else(|| self.measure()).at(self.trace.now_ms())
    }

    /// Each limit with its usage, and the AI calls.
    pub(super) fn measure(&self) -> Totals {
        let (limits, trace, state) = (&self.services.limits, &self.trace, &self.state);
        let (cpu, memory, stderr) = state.run.as_ref().map_or((Duration::ZERO, 0, 0), |end| {
            (end.cpu, end.memory_peak, end.stderr.1.max(end.stdout.1))
        });
        let mut measures = BTreeMap::new();
        let mut measure = |name: &str, max: u64, used: u64| {
            measures.insert(name.to_owned(), Measure { max, used });
        };
        measure("order_bytes", limits.order_bytes, state.order_bytes);
        measure("memory_bytes", limits.memory_bytes, memory);
        measure("cpu_ms", limits.cpu_ms, millis(cpu));
        measure(Totals::DEADLINE, limits.deadline_ms, trace.now_ms());
        measure("ai_calls", limits.ai_calls, trace.ai_call_count());
        measure("log_bytes", limits.log_bytes, trace.log_bytes());
        measure("stderr_bytes", limits.stderr_bytes, stderr);
        measure("diagnostics", limits.diagnostics, trace.diagnostics_total());
        if let Some((name, max)) = state.compile_limit {
            measure(name, max, max);
        }
        measure(Totals::CHECKS, limits.check_ms, state.checks.ms);
        if state.checks.all_memory {
            measure("check_memory_bytes", limits.check_memory_bytes, limits.check_memory_bytes);
        }
        let unspent;
        let budget = match &state.run {
            Some(end) => &end.budget,
            None => {
                let spent = self.request.journal.spent();
                unspent = self.services.gateway.order_budget_after(spent).measures();
                &unspent
            }
        };
        for (name, max, used) in budget {
            measure(name, *max, *used);
        }
        match &state.staging {
            Some(staging) => {
                for (limit, used) in staging.usage().entries() {
                    measure(limit.name(), used.max, used.used);
                }
                if let Some(hit) = staging.last_limit_hit() {
                    measure(hit.limit.name(), hit.max, hit.would_be);
                }
            }
            None => {
                measure("files", limits.files, 0);
                measure("file_bytes", limits.file_bytes, 0);
                measure("total_bytes", limits.total_bytes, 0);
                measure("path_bytes", limits.path_bytes, 0);
            }
        }
        Totals {
            attempt: self.request.id,
            duration_ms: trace.now_ms(),
            limits: measures,
            ai_calls: trace.ai_calls(),
            unusable: trace.unusable_replies(),
        }
    }

    /// The failure record.
    async fn record(&mut self, error: AttemptError, totals: &Totals) -> FailureRecord {
        let AttemptError { classified, problems } = error;
        let hint = super::hint::hint(&classified, &self.services.gateway);
        let id = Ulid::generate().to_string();
        let coredump = self.write_coredump(&id).await;
        let mut source = None;
        let trap = match (classified.trap, &self.state.loaded) {
            (Some(stopped), Some(template)) => {
                let symbolized = template.symbolize(stopped.frames).await;
                // The frames of an interpreted language come first; the engine's frames below them
                // are those of its interpreter, which are nobody's own code.
                let interpreted = !stopped.language_frames.is_empty();
                let symbols_missing = symbolized.missing.filter(|_| !interpreted);
                source = stopped.source.or(symbolized.source);
                let engine = symbolized.frames.into_iter();
                let engine = engine.map(|frame| Frame { own: frame.own && !interpreted, ..frame });
                Some(TrapRecord {
                    code: stopped.code,
                    message: stopped.message,
                    frames: stopped.language_frames.into_iter().chain(engine).collect(),
                    symbols_missing,
                })
            }
            _ => None,
        };
        let (state, trace) = (&self.state, &self.trace);
        // The template's own stage says more than `run`.
        let progress = trace.progress();
        let running = state.stage == Stage::Run;
        let stage = match running && !progress.stage.is_empty() {
            true => progress.stage.clone(),
            false => state.stage.as_str().to_owned(),
        };
        let record = without_keys(FailureRecord {
            version: RECORD_VERSION,
            id,
            time: now(),
            order: state.order.clone(),
            job: self.request.job.clone(),
            attempt: self.request.id.to_string(),
            trace_id: self.trace_id.clone(),
            template: state.template.clone(),
            host_build: host_build().to_owned(),
            config_version: self.services.config_version.clone(),
            fingerprint: None,
            kind: classified.kind,
            message: classified.message,
            causes: classified.causes,
            hint,
            code: classified.code,
            location: classified.location,
            attributes: classified.attributes,
            stage,
            progress: (running && progress.total > 0).then(|| progress.into()),
            trap,
            panic: classified.panic,
            ai: classified.ai,
            blamed_calls: classified.blamed_calls,
            problems,
            source,
            coredump,
            trail: trace.trail(),
            calls: Some(trace.calls()),
            ai_calls: trace.ai_tries(),
            diagnostics: trace.diagnostics().0,
            log: trace.log_tail().0,
            stderr: state.run.as_ref().map(|end| end.stderr.0.clone()).unwrap_or_default(),
            stdout: state.run.as_ref().map(|end| end.stdout.0.clone()).unwrap_or_default(),
            limits: totals.limits.clone(),
            recording: self.recording().and_then(|recording| recording.to_record()),
        });
        // The fingerprint is made of the cleaned record: a key in a message would give each of its
        // failures a group of its own.
        sitewright_failure::fingerprint::stamped(self.with_source(record).await)
    }

    /// Writes the core dump of the guest; `None` if no dump is wanted.
    async fn write_coredump(&mut self, id: &str) -> Option<CoreDumpRecord> {
        let dump = match std::mem::take(&mut self.state.run.as_mut()?.coredump) {
            CoreDump::NotWanted => return None,
            CoreDump::Missing(why) => return Some(CoreDumpRecord::missing(why)),
            CoreDump::Taken(dump) => dump,
        };
        let keep = self.state.loaded.as_ref()?.coredump()?.keep;
        let (sites, id) = (self.services.sites.path().to_owned(), id.to_owned());
        let bytes = dump.len() as u64;
        let written = tokio::task::spawn_blocking(move || {
            sitewright_failure::coredump::write(&sites, &id, &dump, keep)
        });
        let missing = |error: &dyn std::fmt::Display| {
            CoreDumpRecord::missing(format!("it could not be written: {error}"))
        };
        Some(match written.await {
            Ok(Ok(path)) => CoreDumpRecord {
                path: Some(path.display().to_string()),
                bytes: Some(bytes),
                missing: None,
            },
            Ok(Err(error)) => missing(&error),
            Err(error) => missing(&error),
        })
    }

    /// The record with the source lines around its location, if the template's source is known.
    async fn with_source(&self, record: FailureRecord) -> FailureRecord {
        let Some(folder) = self.state.loaded.as_ref().and_then(|template| template.source()) else {
            return record;
        };
        let with = record.clone();
        let found = tokio::task::spawn_blocking(move || from_folder(&folder, &with)).await;
        FailureRecord { source: found.ok().flatten().or(record.source), ..record }
    }
}

/// The record with every provider key removed. A template may log or return a key that a provider
/// echoed in a reply (catalogue A8).
fn without_keys(record: FailureRecord) -> FailureRecord {
    let redactor = Redactor::of_process();
    let Ok(mut value) = serde_json::to_value(&record) else { return record };
    if !redactor.redact_values(&mut value) {
        return record;
    }
    match serde_json::from_value(value) {
        Ok(clean) => clean,
        Err(error) => {
            // Only texts change, so every type still accepts its own. If one ever does not, the
            // record goes without all its texts.
            tracing::error!(%error, "a record could not be cleaned of a key");
            let message =
                message!("the record held a provider's key and was withheld; see the log");
            FailureRecord {
                message,
                causes: Vec::new(),
                attributes: BTreeMap::new(),
                panic: None,
                ai: None,
                problems: Vec::new(),
                source: None,
                trail: Vec::new(),
                ai_calls: Vec::new(),
                diagnostics: Vec::new(),
                log: LogTail::default(),
                stderr: String::new(),
                stdout: String::new(),
                recording: None,
                ..record
            }
        }
    }
}

/// Stores a record. An error is reported beside the record and never replaces it.
async fn store(sites: SitesRoot, record: FailureRecord) -> Result<PathBuf, Message> {
    let store = move || {
        let order = OrderDir::new(&record.order).map_err(|error| error.to_string())?;
        let folder = sites.ensure_order(&order).map_err(|error| error.to_string())?;
        let written = sitewright_failure::store::write(&folder, &sites.order_path(&order), &record)
            .map_err(|error| error.to_string())?;
        // A record of the queue is in the database too, and found there.
        if record.job.is_none()
            && let Err(error) =
                sitewright_failure::records::add(sites.path(), order.as_str(), &record.id)
        {
            tracing::warn!(
                order = order.as_str(),
                failure = record.id,
                %error,
                "lists show this failure with `--no-database` only"
            );
        }
        Ok(written)
    };
    tokio::task::spawn_blocking(store)
        .await
        .unwrap_or_else(|error| Err(error.to_string()))
        .map_err(|error| message!("the failure record could not be stored: {error}"))
}
