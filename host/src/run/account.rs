//! The account of an attempt: what it used, and the record of its failure.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ulid::Ulid;

use super::attempt::{AttemptRequest, Ended, Host, Known};
use super::outcome::Totals;
use crate::ai::Redactor;
use crate::build::BUILD;
use crate::failure::{FailureRecord, LogTail, RECORD_VERSION, TrapRecord, millis, now};
use crate::interface::RunLog;
use crate::message;
use crate::message::Message;
use crate::plugin::Measure;

/// Each limit beside what was used, and the AI calls.
pub(super) fn totals(host: &Host, request: &AttemptRequest, log: &RunLog, known: &Known) -> Totals {
    let limits = &host.limits;
    let (cpu, memory, stderr) = known
        .end
        .as_ref()
        .map_or((Duration::ZERO, 0, 0), |end| (end.cpu, end.memory_peak, end.stderr.1.max(end.stdout.1)));
    let mut measures = BTreeMap::new();
    let mut measure =
        |name: &str, max: u64, used: u64| measures.insert(name.to_owned(), Measure { max, used });
    measure("order_bytes", limits.order_bytes, known.order_bytes);
    measure("memory_bytes", limits.memory_bytes, memory);
    measure("cpu_ms", limits.cpu_ms, millis(cpu));
    measure("deadline_ms", limits.deadline_ms, log.now_ms());
    measure("ai_calls", limits.ai_calls, log.ai_call_count());
    measure("log_bytes", limits.log_bytes, log.log_tail().1);
    measure("stderr_bytes", limits.stderr_bytes, stderr);
    measure("diagnostics", limits.diagnostics, log.diagnostics().1);
    match &known.staging {
        Some(staging) => {
            for (limit, used) in staging.usage().entries() {
                measure(limit.name(), used.max, used.used);
            }
            if let Some(hit) = staging.last_limit_hit() {
                measure(hit.limit.name(), hit.max, hit.would_be);
            }
        }
        None => {
            for (name, max) in [
                ("files", limits.files),
                ("file_bytes", limits.file_bytes),
                ("total_bytes", limits.total_bytes),
                ("path_bytes", limits.path_bytes),
            ] {
                measure(name, max, 0);
            }
        }
    }
    Totals { attempt: request.id, duration_ms: log.now_ms(), limits: measures, ai_calls: log.ai_calls() }
}

/// The record of an attempt that ended badly.
pub(super) async fn record(
    host: &Host,
    request: &AttemptRequest,
    log: &RunLog,
    known: &Known,
    totals: &Totals,
    ended: Ended,
) -> FailureRecord {
    let Ended { classified, problems } = ended;
    let trap = match (classified.trap, &known.loaded) {
        (Some(stopped), Some(template)) => {
            let (frames, symbols_missing) = template.symbolize(stopped.frames).await;
            Some(TrapRecord { code: stopped.code, message: stopped.message, frames, symbols_missing })
        }
        _ => None,
    };
    let progress = log.progress();
    let running = known.stage == "run";
    without_keys(FailureRecord {
        version: RECORD_VERSION,
        id: Ulid::generate().to_string(),
        time: now(),
        order: known.order.clone(),
        job: request.job.clone(),
        attempt: request.id.to_string(),
        trace_id: request.id.trace_id(),
        template: known.template.clone(),
        host_build: BUILD.to_owned(),
        config_version: host.config_version.clone(),
        kind: classified.kind,
        message: classified.message,
        causes: classified.causes,
        advice: Message::or(classified.kind.advice(), message!("see `sitewright doctor`")),
        code: classified.code,
        location: classified.location,
        attributes: classified.attributes,
        stage: if running && !progress.stage.is_empty() {
            progress.stage.clone()
        } else {
            known.stage.to_owned()
        },
        progress: (running && progress.total > 0).then(|| progress.into()),
        trap,
        panic: classified.panic,
        ai: classified.ai,
        blamed_calls: classified.blamed_calls,
        problems,
        trail: log.trail(),
        diagnostics: log.diagnostics().0,
        log: log.log_tail().0,
        stderr: known.end.as_ref().map(|end| end.stderr.0.clone()).unwrap_or_default(),
        stdout: known.end.as_ref().map(|end| end.stdout.0.clone()).unwrap_or_default(),
        limits: totals.limits.clone(),
        recording: super::keep::recording(host, request, log, known).map(Box::new),
    })
}

/// The record without any key. What the gateway says has none; what a template logs or returns may have one, when a provider echoed it in
/// a reply (catalogue A8).
fn without_keys(record: FailureRecord) -> FailureRecord {
    let redactor = Redactor::of_process();
    let Ok(mut value) = serde_json::to_value(&record) else { return record };
    if !redactor.redact_values(&mut value) {
        return record;
    }
    match serde_json::from_value(value) {
        Ok(clean) => clean,
        Err(error) => {
            // Only texts were changed, and texts are texts; should a type ever refuse one, the record is told without what it holds.
            tracing::error!(%error, "a record could not be cleaned of a key");
            let message = message!("the record held a provider's key and was withheld; see the log");
            FailureRecord {
                message,
                causes: Vec::new(),
                attributes: BTreeMap::new(),
                panic: None,
                ai: None,
                problems: Vec::new(),
                trail: Vec::new(),
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

/// Stores a record; a failure to do so is told beside the record and never replaces it.
pub(super) async fn store(host: &Host, record: &FailureRecord) -> Result<PathBuf, Message> {
    let folder = host.sites.path().join(&record.order);
    let copy = record.clone();
    let stored = tokio::task::spawn_blocking(move || crate::failure::store::write(&folder, &copy)).await;
    match stored {
        Ok(Ok(path)) => Ok(path),
        Ok(Err(error)) => Err(message!("the failure record could not be stored: {error}")),
        Err(error) => Err(message!("the failure record could not be stored: {error}")),
    }
}
