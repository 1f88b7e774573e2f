//! What is known about one order.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use sitewright_failure::store;
use sitewright_intake::Notice;
use sitewright_jobs::{Attempt, BatchItem, Callback, Cost, Database, Failure, Order, OrderState};
use sitewright_model::Measure;
use sitewright_model::failure::{Diagnostic, FailureRecord};
use sitewright_site::{Manifest, OrderDir, SiteProblem, SitesRoot, list_releases};

use super::document::{Document, Reading, read};
use super::error::Error;

/// An order with its attempts, its cost and what was remarked about it.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct OrderDetail {
    pub order: Order,
    /// The oldest first.
    pub attempts: Vec<Attempt>,
    pub cost: Cost,
    /// AI calls that went through batches, or wait for one; the oldest first.
    pub batch_items: Vec<BatchItem>,
    /// The URL that is told of the order beside the webhooks.
    pub callback: Option<Callback>,
    pub last_failure: Option<LastFailure>,
    /// What the last attempt used of its limits: from its failure record, or from the release's
    /// manifest if the sites are on this machine.
    pub limits: BTreeMap<String, Measure>,
    /// What was left out of the order's document or read for what it means.
    pub warnings: Vec<Notice>,
    /// What the checks of the current release warn of, if the sites are on this machine.
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub site_warnings: Vec<SiteProblem>,
    /// What the template reported beside it.
    pub template_warnings: Vec<Diagnostic>,
    /// The record of the last failure, if it can be read.
    #[serde(skip)]
    pub record: Option<FailureRecord>,
}

/// The last failure of an order, without its record.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct LastFailure {
    pub id: String,
    pub kind: String,
    pub message: String,
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    pub attempt: Option<String>,
}

impl From<&Failure> for LastFailure {
    fn from(failure: &Failure) -> Self {
        LastFailure {
            id: failure.id.clone(),
            kind: failure.kind.clone(),
            message: failure.message.clone(),
            at: failure.at,
            attempt: failure.attempt.clone(),
        }
    }
}

impl OrderDetail {
    /// Reads everything about an order. `sites` is the sites folder, which may be another
    /// machine's.
    ///
    /// # Errors
    /// If there is no such order, or the database fails.
    pub async fn of(
        database: &Database,
        sites: &Path,
        reading: &Reading,
        id: &str,
    ) -> Result<Self, Error> {
        let order = database.order(id).await?;
        let warnings = warnings(database, reading, id).await?;
        let attempts = database.attempts(id).await?;
        let cost = database.cost(id).await?;
        let batch_items = if order.batch { database.batch_items(id).await? } else { Vec::new() };
        let callback = database.callback(id).await?;
        let failure = match &order.last_failure {
            Some(failure) => database.failure(failure).await?,
            None => None,
        };
        let last_failure = failure.as_ref().map(LastFailure::from);
        let record = failure.and_then(|failure| {
            store::parse(failure.record, Path::new(&failure.id))
                .map_err(|error| {
                    tracing::warn!(order = order.id, %error, "the failure record cannot be read");
                })
                .ok()
        });
        let manifest = match &order.current_release {
            Some(release) => manifest(sites, &order.id, release).await,
            None => None,
        };
        let limits = match (&record, &manifest) {
            (_, Some(manifest)) if order.state == OrderState::Succeeded => used(manifest),
            (Some(record), _) => record.limits.clone(),
            _ => BTreeMap::new(),
        };
        let (site_warnings, template_warnings) =
            manifest.map(|manifest| (manifest.warnings, manifest.diagnostics)).unwrap_or_default();
        Ok(OrderDetail {
            order,
            attempts,
            cost,
            batch_items,
            callback,
            last_failure,
            limits,
            warnings,
            site_warnings,
            template_warnings,
            record,
        })
    }
}

async fn warnings(database: &Database, reading: &Reading, id: &str) -> Result<Vec<Notice>, Error> {
    let document = database.document(id).await?;
    let tolerant = Reading { strict: false, ..reading.clone() };
    Ok(match read(document.into_bytes(), &tolerant).await? {
        Document::Order(order) => order.order().notices.clone(),
        // The failure of an order that cannot be read says why.
        Document::Invalid(_) => Vec::new(),
    })
}

/// Usage of the run that made a release.
fn used(manifest: &Manifest) -> BTreeMap<String, Measure> {
    serde_json::from_value(manifest.usage["limits"].clone()).unwrap_or_default()
}

/// The manifest of a release. `None` if the release is not in `sites` of this machine.
async fn manifest(sites: &Path, order: &str, release: &str) -> Option<Manifest> {
    let (sites, order, id) = (sites.to_owned(), order.to_owned(), release.to_owned());
    let found = tokio::task::spawn_blocking(move || {
        // Read only: `SitesRoot::open` would create the folder.
        let root = sites.is_dir().then(|| SitesRoot::open(&sites).ok()).flatten()?;
        let releases = list_releases(&root, &OrderDir::new(&order).ok()?).ok()?;
        releases.into_iter().find(|release| release.id.to_string() == id)?.manifest.ok()
    });
    found.await.ok().flatten()
}
