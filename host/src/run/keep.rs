//! What is kept of an attempt so that it can be made again.
//!
//! | what | where |
//! |---|---|
//! | the order's document | `<sites>/<order>/documents/<sha256>.json`; of an order from the queue, the database |
//! | AI replies | `<sites>/<order>/journal/<attempt>.jsonl`; of an order from the queue, the database |
//! | the recording of a failed attempt | in its record |
//! | the recording of a released one | `<sites>/<order>/attempts/<attempt>.json` |
//!
//! All of it is the customer's data, lies in the order's folder and goes with it. None of it is worth failing an attempt for: what
//! cannot be kept is logged.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::attempt::{AttemptRequest, Host, JournalUse, Known};
use super::outcome::AttemptId;
use crate::ai::CallId;
use crate::build::BUILD;
use crate::failure::{
    AiEnd, AiOpen, Files, Marks, RECORDING_VERSION, Recording, TemplateRef, TrailEntry, now,
};
use crate::interface::{EndedCall, Recorded, RunLog, Streamed};
use crate::site::Release;

/// A released attempt, as it is kept for replays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptRelease {
    /// The shape: that of its recording.
    pub version: u32,
    /// The attempt.
    pub attempt: String,
    /// The order.
    pub order: String,
    /// When it ended, RFC 3339 in UTC.
    pub time: String,
    /// The job in the queue, when there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The template.
    pub template: TemplateRef,
    /// Version and commit of the host.
    pub host_build: String,
    /// Identifies the configuration.
    pub config_version: String,
    /// The release it made.
    pub release: String,
    /// The last host calls, oldest first.
    pub trail: Vec<TrailEntry>,
    /// The rest.
    pub recording: Recording,
}

/// Where the document of an order is kept.
pub fn document_file(sites: &Path, order: &str, sha256: &str) -> PathBuf {
    sites.join(order).join("documents").join(format!("{sha256}.json"))
}

/// Where a released attempt is kept.
pub fn attempt_file(sites: &Path, order: &str, attempt: AttemptId) -> PathBuf {
    sites.join(order).join("attempts").join(format!("{attempt}.json"))
}

/// The recording of an attempt as far as it went; nothing when it keeps no replies.
pub(super) fn recording(
    host: &Host,
    request: &AttemptRequest,
    log: &RunLog,
    known: &Known,
) -> Option<Recording> {
    if matches!(request.journal, JournalUse::Off) {
        return None;
    }
    let Recorded { marks, total, ends, open } = log.recorded();
    let end = |end: EndedCall| AiEnd {
        key: known.journal.as_ref().and_then(|journal| journal.key_of(end.call_id)),
        call_id: end.call_id,
        after: end.after,
        reply: end.reply,
        error: end.error,
        pieces: end.streamed.pieces,
        text: end.streamed.text,
    };
    let still_open =
        |(call_id, Streamed { text, pieces }): (CallId, Streamed)| AiOpen { call_id, text, pieces };
    let stored = known.staging.as_ref().map(crate::site::Staging::stored).unwrap_or_default();
    Some(Recording {
        version: RECORDING_VERSION,
        document: known.document.clone(),
        template: request.template.clone(),
        limits: (*host.limits).clone(),
        default_locale: host.default_locale.to_string(),
        routes: host.gateway.routes().into_iter().map(|route| route.name).collect(),
        calls: Marks(marks),
        calls_total: total,
        ai: ends.into_iter().map(end).collect(),
        open: open.into_iter().map(still_open).collect(),
        files: Files::new(stored.iter().map(|(path, file)| (path.as_str(), file.sha256.as_str()))),
    })
}

/// Keeps the document, and gives it back.
pub(super) async fn document(host: &Host, order: &str, sha256: &str, document: Vec<u8>) -> Vec<u8> {
    let path = document_file(host.sites.path(), order, sha256);
    let shown = path.clone();
    let written = tokio::task::spawn_blocking(move || {
        // Named after its content: the same document of a further attempt is there already.
        let result = if path.exists() { Ok(()) } else { write(&path, &document) };
        (document, result)
    });
    match written.await {
        Ok((document, result)) => {
            if let Err(error) = result {
                tracing::warn!(file = %shown.display(), %error, "the order's document could not be kept: this attempt cannot be replayed");
            }
            document
        }
        Err(error) => {
            tracing::warn!(%error, "the order's document could not be kept: this attempt cannot be replayed");
            Vec::new()
        }
    }
}

/// Keeps what a replay of a released attempt needs.
pub(super) async fn released(
    host: &Host,
    request: &AttemptRequest,
    log: &RunLog,
    known: &Known,
    release: &Release,
    recording: &Recording,
) {
    if matches!(request.journal, JournalUse::Replay(_)) {
        return;
    }
    let kept = KeptRelease {
        version: RECORDING_VERSION,
        attempt: request.id.to_string(),
        order: known.order.clone(),
        time: now(),
        job: request.job.clone(),
        template: known.template.clone(),
        host_build: BUILD.to_owned(),
        config_version: host.config_version.clone(),
        release: release.manifest.id.to_string(),
        trail: log.trail(),
        recording: recording.clone(),
    };
    let path = attempt_file(host.sites.path(), &known.order, request.id);
    let shown = path.clone();
    let written = tokio::task::spawn_blocking(move || {
        let text = serde_json::to_vec(&kept).map_err(std::io::Error::other)?;
        // Nobody looks for it before the attempt has ended, and its name is its own: it need not be put in place in one step.
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, &text)
    });
    let result = written.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    if let Err(error) = result {
        tracing::warn!(file = %shown.display(), %error, "the attempt could not be kept: it cannot be replayed");
    }
}

/// Writes a file, whole or not at all. Nothing waits for the disk: after a power cut it may be missing.
fn write(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}.tmp", ulid::Ulid::generate()));
    let written = std::fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(content))
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        drop(std::fs::remove_file(&temporary));
    }
    written
}
