//! What is kept of an attempt so that it can be made again.
//!
//! | what | where |
//! |---|---|
//! | the order's document | `<sites>/<order>/documents/<sha256>.json`; of an order from the queue, the database |
//! | AI replies | `<sites>/<order>/journal/<attempt>.jsonl`; of an order from the queue, the database |
//! | the recording of a failed attempt | in its record |
//! | the recording of a released one | `<sites>/<order>/attempts/<attempt>.json` |
//!
//! All of it is the customer's data, lies in the order's folder and goes with it. None of it is
//! worth failing an attempt for: what cannot be kept is logged.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::attempt::{AttemptRequest, JournalUse, Known, Services};
use super::outcome::AttemptId;
use crate::host_functions::{EndedCall, Recorded, RunTrace, Streamed};
use crate::run::recording::{AiEnd, AiOpen, Files, Marks, RECORDING_VERSION, Recording};
use sitewright_model::ai::CallId;
use sitewright_model::build::host_build;
use sitewright_model::failure::{TemplateRef, TrailEntry};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::time::now;
use sitewright_site::{OrderDir, Release, SitesRoot};

/// The folder of an order that holds its documents.
const DOCUMENTS: &str = "documents";
/// The folder of an order that holds the recordings of its released attempts.
const ATTEMPTS: &str = "attempts";

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
    sites.join(order).join(DOCUMENTS).join(format!("{sha256}.json"))
}

/// Where a released attempt is kept.
pub fn attempt_file(sites: &Path, order: &str, attempt: AttemptId) -> PathBuf {
    sites.join(order).join(ATTEMPTS).join(format!("{attempt}.json"))
}

/// The recording of an attempt as far as it went; nothing when it keeps no replies.
pub(super) fn recording(
    host: &Services,
    request: &AttemptRequest,
    log: &RunTrace,
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
    let stored = known.staging.as_ref().map(sitewright_site::Staging::stored).unwrap_or_default();
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

/// Keeps the document.
pub(super) async fn document(host: &Services, order: &str, sha256: &str, document: &[u8]) {
    let (sites, folder, name) = (host.sites.clone(), order.to_owned(), format!("{sha256}.json"));
    let document = document.to_owned();
    // Named after its content: the same document of a further attempt is there already.
    let written =
        tokio::task::spawn_blocking(move || keep(&sites, &folder, DOCUMENTS, &name, &document))
            .await;
    let result = written.unwrap_or_else(|error| Err(message!("writing it did not end: {error}")));
    if let Err(error) = result {
        tracing::warn!(order, %error, "the order's document could not be kept: this attempt cannot be replayed");
    }
}

fn keep(
    sites: &SitesRoot,
    order: &str,
    folder: &str,
    name: &str,
    content: &[u8],
) -> Result<(), Message> {
    let order =
        OrderDir::new(order).map_err(|error| message!("the order's id is no folder: {error}"))?;
    sites
        .archive(&order, folder, name, content)
        .map_err(|error| message!("the file is not there: {error}"))
}

/// Keeps what a replay of a released attempt needs.
pub(super) async fn released(
    host: &Services,
    request: &AttemptRequest,
    log: &RunTrace,
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
        host_build: host_build().to_owned(),
        config_version: host.config_version.clone(),
        release: release.manifest.id.to_string(),
        trail: log.trail(),
        recording: recording.clone(),
    };
    let (sites, order, name) =
        (host.sites.clone(), known.order.clone(), format!("{}.json", request.id));
    let written = tokio::task::spawn_blocking(move || {
        let text = serde_json::to_vec(&kept)
            .map_err(|error| message!("the recording cannot be written as JSON: {error}"))?;
        keep(&sites, &order, ATTEMPTS, &name, &text)
    });
    let result =
        written.await.unwrap_or_else(|error| Err(message!("writing it did not end: {error}")));
    if let Err(error) = result {
        tracing::warn!(order = known.order, %error, "the attempt could not be kept: it cannot be replayed");
    }
}
