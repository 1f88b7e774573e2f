//! What is archived of an attempt, so that it can be replayed.
//!
//! | what | where, in `<sites>/<order>/` |
//! |---|---|
//! | the order document | `documents/<sha256>.json` |
//! | AI replies | `journal/<attempt>.jsonl` |
//! | the recording of a released attempt | `attempts/<attempt>.json` |
//! | the recording of a failed attempt | in its failure record |
//!
//! Documents and replies of orders from the queue are in the database instead. All of it is the
//! customer's data and is deleted with the order. An attempt never fails because something cannot
//! be archived: that is logged.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::attempt::Attempt;
use super::outcome::AttemptId;
use super::request::JournalUse;
use crate::host_functions::{EndedCall, Recorded, Streamed};
use crate::run::recording::{AiEnd, AiOpen, Files, Marks, RECORDING_VERSION, Recording};
use sitewright_model::ai::CallId;
use sitewright_model::build::host_build;
use sitewright_model::failure::{TemplateRef, TrailEntry};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::time::now;
use sitewright_site::{OrderDir, Release, Staging};

/// The folder of an order that holds its documents.
const DOCUMENTS: &str = "documents";
/// The folder of an order that holds the recordings of its released attempts.
const ATTEMPTS: &str = "attempts";

/// A released attempt as it is archived for replays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArchivedRelease {
    /// [`RECORDING_VERSION`].
    pub version: u32,
    pub attempt: String,
    pub order: String,
    /// When the attempt ended, RFC 3339 in UTC.
    pub time: String,
    /// The job in the queue; missing for an order that did not come from the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    pub template: TemplateRef,
    /// Version and commit of the host.
    pub host_build: String,
    pub config_version: String,
    /// Id of the release.
    pub release: String,
    /// The last host calls, oldest first.
    pub trail: Vec<TrailEntry>,
    pub recording: Recording,
}

/// The file of an order document.
pub fn document_file(sites: &Path, order: &str, sha256: &str) -> PathBuf {
    sites.join(order).join(DOCUMENTS).join(format!("{sha256}.json"))
}

/// The file of a released attempt.
pub fn attempt_file(sites: &Path, order: &str, attempt: AttemptId) -> PathBuf {
    sites.join(order).join(ATTEMPTS).join(format!("{attempt}.json"))
}

impl Attempt<'_> {
    /// The recording of the attempt so far; `None` if the attempt keeps no replies.
    pub(super) fn recording(&self) -> Option<Recording> {
        if matches!(self.request.journal, JournalUse::Off) {
            return None;
        }
        let (services, state) = (self.services, &self.state);
        let Recorded { marks, total, ends, open } = self.trace.recorded();
        let end = |end: EndedCall| AiEnd {
            key: state.journal.as_ref().and_then(|journal| journal.key_of(end.call_id)),
            call_id: end.call_id,
            after: end.after,
            reply: end.reply,
            error: end.error,
            pieces: end.streamed.pieces,
            text: end.streamed.text,
        };
        let still_open = |(call_id, Streamed { text, pieces }): (CallId, Streamed)| AiOpen {
            call_id,
            text,
            pieces,
        };
        let stored = state.staging.as_ref().map(Staging::stored).unwrap_or_default();
        Some(Recording {
            version: RECORDING_VERSION,
            document: state.document_sha256.clone(),
            template: self.request.template.clone(),
            limits: (*services.limits).clone(),
            default_locale: services.default_locale.to_string(),
            fallback_locale: services.orders.fallback_locale.as_ref().map(ToString::to_string),
            form_endpoint: services.orders.form_endpoint.clone(),
            routes: services.gateway.routes().into_iter().map(|route| route.name).collect(),
            calls: Marks(marks),
            calls_total: total,
            ai: ends.into_iter().map(end).collect(),
            open: open.into_iter().map(still_open).collect(),
            files: Files::new(
                stored.iter().map(|(path, file)| (path.as_str(), file.sha256.as_str())),
            ),
        })
    }

    /// Archives the order document. Its file is named after its content, so that further attempts
    /// with the same document write nothing.
    pub(super) async fn archive_document(&self, document: Vec<u8>) {
        let name = format!("{}.json", self.state.document_sha256);
        if let Err(error) = self.archive(DOCUMENTS, name, document).await {
            let order = self.state.order.as_str();
            tracing::warn!(
                order,
                %error,
                "the order document could not be archived: this attempt cannot be replayed"
            );
        }
    }

    /// Archives what a replay of a released attempt needs, and gives it back. A replay is not
    /// archived.
    pub(super) async fn archive_release(
        &self,
        release: &Release,
        recording: Recording,
    ) -> Recording {
        if matches!(self.request.journal, JournalUse::Replay(_)) {
            return recording;
        }
        let archived = ArchivedRelease {
            version: RECORDING_VERSION,
            attempt: self.request.id.to_string(),
            order: self.state.order.clone(),
            time: now(),
            job: self.request.job.clone(),
            template: self.state.template.clone(),
            host_build: host_build().to_owned(),
            config_version: self.services.config_version.clone(),
            release: release.manifest.id.to_string(),
            trail: self.trace.trail(),
            recording,
        };
        let written = match serde_json::to_vec(&archived) {
            Ok(json) => self.archive(ATTEMPTS, format!("{}.json", self.request.id), json).await,
            Err(error) => Err(message!("the recording cannot be written as JSON: {error}")),
        };
        if let Err(error) = written {
            let order = self.state.order.as_str();
            tracing::warn!(
                order,
                %error,
                "the released attempt could not be archived: it cannot be replayed"
            );
        }
        archived.recording
    }

    async fn archive(
        &self,
        folder: &'static str,
        name: String,
        content: Vec<u8>,
    ) -> Result<(), Message> {
        let order = OrderDir::new(&self.state.order)
            .map_err(|error| message!("the order's id cannot name a folder: {error}"))?;
        let sites = self.services.sites.clone();
        tokio::task::spawn_blocking(move || sites.archive(&order, folder, &name, &content))
            .await
            .map_err(|error| message!("writing it did not end: {error}"))?
            .map_err(|error| message!("the file could not be written: {error}"))
    }
}
