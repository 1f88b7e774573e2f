//! What an attempt gets: the services that all attempts share, and a request of its own.

use std::sync::Arc;

use sitewright_order::Locale;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::outcome::AttemptId;
use crate::host_functions::{ReplayCursor, RunProgress};
use crate::plugin::{Catalogue, Limits};
use sitewright_ai::{Gateway, RunJournal};
use sitewright_site::{SitesRoot, SyncBatcher};

/// What all attempts share. Made once at start and never changed while an attempt runs (catalogue
/// C1, E13).
#[derive(Clone)]
pub struct Services {
    pub catalogue: Catalogue,
    /// Answers AI calls.
    pub gateway: Arc<Gateway>,
    /// The folder of sites and failure records.
    pub sites: SitesRoot,
    /// Limits of each run.
    pub limits: Arc<Limits>,
    /// The language of orders that name none.
    pub default_locale: Locale,
    /// Releases kept of each order, the newest first.
    pub keep_releases: usize,
    /// Version of the configuration, as failure records show it.
    pub config_version: String,
}

/// One try of one order.
pub struct AttemptRequest {
    /// The order document as it came.
    pub document: Vec<u8>,
    /// A template's name, or the path of a `.wasm` file.
    pub template: String,
    pub id: AttemptId,
    /// The job in the queue; `None` for an order that did not come from the queue.
    pub job: Option<String>,
    pub journal: JournalUse,
    pub publication: Publication,
    /// Cancelling it ends the attempt with a failure record.
    pub cancel: CancellationToken,
    /// Receives each stage, the host's and the template's.
    pub progress: watch::Sender<RunProgress>,
}

/// Where an attempt's AI replies come from, and whether they are kept.
#[derive(Debug, Clone, Default)]
pub enum JournalUse {
    /// Every reply is requested, and none is kept.
    Off,
    /// New replies are kept in `<sites>/<order>/journal/<attempt>.jsonl`.
    #[default]
    Keep,
    /// As [`JournalUse::Keep`], and the replies of this earlier attempt at the order are reused.
    Resume(AttemptId),
    /// The caller's own journal.
    Of(Arc<RunJournal>),
    /// Every reply comes from a recording, and nothing is kept.
    Replay(ReplayInput),
}

/// What makes an attempt a replay.
#[derive(Debug, Clone)]
pub struct ReplayInput {
    /// Answers the AI calls from the recording.
    pub journal: Arc<RunJournal>,
    /// Compares the host calls with the recording, and decides when each AI call ends.
    pub cursor: Arc<ReplayCursor>,
}

/// What becomes of a verified site.
#[derive(Debug, Clone, Default)]
pub enum Publication {
    /// It becomes the order's current release.
    #[default]
    Publish,
    /// It becomes a release that is not current; the caller activates it
    /// ([`SiteStore::activate`](sitewright_site::SiteStore::activate)) or not.
    Place(SyncBatcher),
}
