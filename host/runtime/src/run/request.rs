//! What an attempt gets: the services that all attempts share, and a request of its own.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sitewright_order::Locale;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::outcome::AttemptId;
use super::witness::Witness;
use crate::host_functions::{ReplayCursor, RunProgress};
use crate::plugin::{Catalogue, Limits};
use sitewright_ai::{Gateway, RunJournal, Spent};
use sitewright_model::failure::FailureRecord;
use sitewright_model::trace::TraceParent;
use sitewright_site::{SitePolicy, SitesRoot, SyncBatcher, Viewer};

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
    /// How orders are read.
    pub orders: OrderReading,
    /// The language of orders that name none, if nothing else says which one.
    pub default_locale: Locale,
    /// What the operator says about the checks of sites.
    pub checks: SitePolicy,
    /// Looks at each site before its release. Default: `None`, the rules that need a browser are
    /// not checked.
    pub viewer: Option<Arc<dyn Viewer>>,
    /// Releases kept of each order, the newest first.
    pub keep_releases: usize,
    /// Version of the configuration, as failure records show it.
    pub config_version: String,
}

/// How orders are read.
#[derive(Debug, Clone, Default)]
pub struct OrderReading {
    /// Whether an order is refused if a value of it cannot be used. Default: `false`, it is left
    /// out with a warning.
    pub strict: bool,
    /// The language of sites whose own language the template does not write. Default: `None`, such
    /// an order fails before its first AI call.
    pub fallback_locale: Option<Locale>,
    /// Where the forms of orders that name no address post to. Default: `None`, templates use the
    /// business's mailbox.
    pub form_endpoint: Option<String>,
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
    /// Counts the documents that the order had, from 1; `None` for an order that did not come from
    /// the queue. The release names it.
    pub revision: Option<i64>,
    pub journal: JournalUse,
    pub publication: Publication,
    /// Cancelling it ends the attempt with a failure record.
    pub cancel: CancellationToken,
    /// Receives each stage, the host's and the template's.
    pub progress: watch::Sender<RunProgress>,
}

/// What a worker adds to an attempt. By default nothing.
#[derive(Debug, Clone, Default)]
pub struct Supervision {
    /// Records when code of the attempt runs.
    pub witness: Option<Witness>,
    /// The order is suspected of ending processes: no other attempt's code runs beside its own.
    pub on_trial: bool,
    /// Whether an attempt that is cancelled now goes back to its queue. Then nothing has happened
    /// to the order, and no failure record is stored.
    pub shutting_down: Arc<AtomicBool>,
    /// The same of an attempt that is cancelled because its AI calls wait for batches.
    pub waits: Arc<AtomicBool>,
    /// Whether a failure is one that the order waits for as if it had not been attempted. Then no
    /// failure record is stored or logged.
    pub unrecorded: Option<fn(&FailureRecord) -> bool>,
    /// Counts the order's attempts, from 1.
    pub number: Option<i64>,
    /// The trace that the order is a part of. Without one, the attempt is a trace of its own.
    pub traceparent: Option<TraceParent>,
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

impl JournalUse {
    /// What earlier attempts of the order have used of its budget.
    pub(super) fn spent(&self) -> Spent {
        match self {
            JournalUse::Of(journal) => journal.spent(),
            _ => Spent::default(),
        }
    }
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
