//! The account of an attempt: what it used, and the record of its failure.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ulid::Ulid;

use super::attempt::{AttemptRequest, Ended, Known, Services};
use super::outcome::Totals;
use crate::host_functions::RunTrace;
use sitewright_ai::Redactor;
use sitewright_failure::from_folder;
use sitewright_model::Measure;
use sitewright_model::build::host_build;
use sitewright_model::failure::CoreDumpRecord;
use sitewright_model::failure::{FailureRecord, Frame, LogTail, RECORD_VERSION, TrapRecord};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::time::{millis, now};
use sitewright_site::OrderDir;

/// Each limit beside what was used, and the AI calls.
pub(super) fn totals(
    host: &Services,
    request: &AttemptRequest,
    log: &RunTrace,
    known: &Known,
) -> Totals {
    let limits = &host.limits;
    let (cpu, memory, stderr) = known.end.as_ref().map_or((Duration::ZERO, 0, 0), |end| {
        (end.cpu, end.memory_peak, end.stderr.1.max(end.stdout.1))
    });
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
    if let Some((name, max)) = known.compile_limit {
        measure(name, max, max);
    }
    let unspent;
    let budget = match &known.end {
        Some(end) => &end.budget,
        None => {
            unspent = host.gateway.order_budget().measures();
            &unspent
        }
    };
    for (name, max, used) in budget {
        measure(name, *max, *used);
    }
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
    Totals {
        attempt: request.id,
        duration_ms: log.now_ms(),
        limits: measures,
        ai_calls: log.ai_calls(),
    }
}

/// The record of an attempt that ended badly.
pub(super) async fn record(
    host: &Services,
    request: &AttemptRequest,
    log: &RunTrace,
    known: &mut Known,
    totals: &Totals,
    ended: Ended,
) -> FailureRecord {
    let Ended { classified, problems } = ended;
    let mut source = None;
    let trap = match (classified.trap, &known.loaded) {
        (Some(stopped), Some(template)) => {
            let symbolized = template.symbolize(stopped.frames).await;
            // What the language itself told comes first; the engine's frames below it are its
            // interpreter.
            let symbols_missing = symbolized.missing.filter(|_| stopped.told.is_empty());
            source = stopped.source.or(symbolized.source);
            let told = !stopped.told.is_empty();
            let engine = symbolized.frames.into_iter();
            let engine = engine.map(|frame| Frame { own: frame.own && !told, ..frame });
            let frames = stopped.told.into_iter().chain(engine).collect();
            Some(TrapRecord {
                code: stopped.code,
                message: stopped.message,
                frames,
                symbols_missing,
            })
        }
        _ => None,
    };
    let progress = log.progress();
    let running = known.stage == "run";
    let id = Ulid::generate().to_string();
    let coredump = coredump(host, known, &id).await;
    let record = without_keys(FailureRecord {
        version: RECORD_VERSION,
        id,
        time: now(),
        order: known.order.clone(),
        job: request.job.clone(),
        attempt: request.id.to_string(),
        trace_id: request.id.trace_id(),
        template: known.template.clone(),
        host_build: host_build().to_owned(),
        config_version: host.config_version.clone(),
        fingerprint: None,
        kind: classified.kind,
        message: classified.message,
        causes: classified.causes,
        hint: Message::or(classified.kind.hint(), message!("see `sitewright doctor`")),
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
        source,
        coredump,
        trail: log.trail(),
        calls: Some(log.calls()),
        ai_calls: log.ai_tries(),
        diagnostics: log.diagnostics().0,
        log: log.log_tail().0,
        stderr: known.end.as_ref().map(|end| end.stderr.0.clone()).unwrap_or_default(),
        stdout: known.end.as_ref().map(|end| end.stdout.0.clone()).unwrap_or_default(),
        limits: totals.limits.clone(),
        recording: super::archive::recording(host, request, log, known)
            .and_then(|recording| recording.to_record()),
    });
    // Of what is left: a key in a message would make two failures of one.
    sitewright_failure::fingerprint::stamped(with_source(record, known).await)
}

/// Writes the guest's dump, when there is one.
async fn coredump(host: &Services, known: &mut Known, id: &str) -> Option<CoreDumpRecord> {
    let dump = match known.end.as_mut()?.coredump.take()? {
        Ok(dump) => dump,
        Err(why) => return Some(CoreDumpRecord::missing(why)),
    };
    let keep = known.loaded.as_ref()?.coredump()?.keep;
    let (sites, id, bytes) = (host.sites.path().to_owned(), id.to_owned(), dump.len() as u64);
    let written = tokio::task::spawn_blocking(move || {
        sitewright_failure::coredump::write(&sites, &id, &dump, keep)
    })
    .await;
    Some(match written {
        Ok(Ok(path)) => CoreDumpRecord {
            path: Some(path.display().to_string()),
            bytes: Some(bytes),
            missing: None,
        },
        Ok(Err(error)) => CoreDumpRecord::missing(format!("it could not be written: {error}")),
        Err(error) => CoreDumpRecord::missing(format!("it could not be written: {error}")),
    })
}

/// The record with the lines around its place in the source, where the source is at hand.
async fn with_source(record: FailureRecord, known: &Known) -> FailureRecord {
    let Some(folder) = known.loaded.as_ref().and_then(|template| template.source()) else {
        return record;
    };
    let with = record.clone();
    let found = tokio::task::spawn_blocking(move || from_folder(&folder, &with)).await;
    FailureRecord { source: found.ok().flatten().or(record.source), ..record }
}

/// The record without any key. What the gateway says has none; what a template logs or returns may
/// have one, when a provider echoed it in a reply (catalogue A8).
fn without_keys(record: FailureRecord) -> FailureRecord {
    let redactor = Redactor::of_process();
    let Ok(mut value) = serde_json::to_value(&record) else { return record };
    if !redactor.redact_values(&mut value) {
        return record;
    }
    match serde_json::from_value(value) {
        Ok(clean) => clean,
        Err(error) => {
            // Only texts were changed, and texts are texts; should a type ever refuse one, the
            // record is told without what it holds.
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

/// Stores a record; a failure to do so is told beside the record and never replaces it.
pub(super) async fn store(host: &Services, record: &FailureRecord) -> Result<PathBuf, Message> {
    let (sites, copy) = (host.sites.clone(), record.clone());
    let stored = tokio::task::spawn_blocking(
        move || -> Result<PathBuf, Box<dyn std::error::Error + Send + Sync>> {
            let order = OrderDir::new(&copy.order)?;
            let folder = sites.ensure_order(&order)?;
            Ok(sitewright_failure::store::write(&folder, &sites.order_path(&order), &copy)?)
        },
    )
    .await;
    match stored {
        Ok(Ok(path)) => Ok(path),
        Ok(Err(error)) => Err(message!("the failure record could not be stored: {error}")),
        Err(error) => Err(message!("the failure record could not be stored: {error}")),
    }
}
