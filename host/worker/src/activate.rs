//! Activating releases: what visitors see follows what the database says.
//!
//! A release is stored, then completed in the database, and only then activated. So a worker that
//! was paused and lost its order changes nothing that visitors see, and if one dies between the
//! last two steps, the database shows which release any worker has to activate.

use async_trait::async_trait;
use tracing::Instrument as _;

use sitewright_control::{activate_release, parse_ids};
use sitewright_jobs::{Claimed, Database, PendingRelease, Publisher};
use sitewright_model::message::Message;
use sitewright_site::SiteStore;

/// A release that was completed this many milliseconds ago and is not active has lost its worker.
pub(super) const LOST_AFTER_MS: i64 = 5_000;

/// Publishes releases from a site store.
#[derive(Clone)]
pub(super) struct Releases {
    pub(super) database: Database,
    pub(super) store: SiteStore,
    /// The number of releases of an order that are kept.
    pub(super) keep: usize,
}

#[async_trait]
impl Publisher for Releases {
    async fn activate(&self, claimed: &Claimed, release: &str) -> Result<(), Message> {
        self.activate_release(&claimed.order, release).await
    }

    async fn discard(&self, claimed: &Claimed, release: &str) -> Result<(), Message> {
        let (folder, id) = parse_ids(&claimed.order, release)?;
        Ok(self.store.discard(&folder, id).await?)
    }
}

impl Releases {
    /// Activates the order's completed release.
    async fn activate_release(&self, order: &str, release: &str) -> Result<(), Message> {
        Ok(activate_release(&self.database, &self.store, order, release, self.keep).await?)
    }

    /// Activates releases whose worker died before it could: those completed at least this many
    /// milliseconds ago. Called at start, periodically, and at the end. The number of releases.
    ///
    /// # Errors
    /// If the database fails. A release that cannot be activated is logged and tried again the next
    /// time.
    pub(super) async fn reconcile(
        &self,
        completed_for_ms: i64,
    ) -> Result<usize, sitewright_jobs::Error> {
        let pending = self.database.pending_activations(completed_for_ms).await?;
        let count = pending.len();
        for PendingRelease { order, release, attempt, job, trace_id } in pending {
            // No attempt runs, but one made the release (failure catalogue B8).
            let span = tracing::info_span!("activate", order, job, attempt, trace_id, release);
            let activated = self.activate_release(&order, &release).instrument(span.clone()).await;
            span.in_scope(|| match activated {
                Ok(()) => tracing::info!("the release is active now"),
                Err(message) => {
                    tracing::error!(
                        "the order is done, but its release cannot be activated yet: {message}"
                    );
                }
            });
        }
        Ok(count)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test has a runtime of its own")]
mod tests {
    use serde_json::json;
    use ulid::Ulid;

    use super::*;
    use sitewright_jobs::{AttemptLimits, Claim, NewOrder, Resolution, WorkerId};
    use sitewright_site::{
        OrderDir, ReleaseInfo, ReleaseTemplate, SiteLimits, SitesRoot, Staging, VerifyOptions,
        place,
    };

    const PAGE: &[u8] =
        b"<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Bakery</title>\
        <meta name=\"description\" content=\"Real bread\">\
        <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"></head>\
        <body><main><p>Sourdough, fresh every morning.</p></main></body></html>";

    /// Stores a release of order 24 that is not active.
    fn placed(root: &SitesRoot, attempt: &str) -> String {
        let order = OrderDir::new("24").unwrap();
        let staging =
            Staging::new(root, order, OrderDir::new(attempt).unwrap(), SiteLimits::default());
        staging.write("index.html", PAGE).unwrap();
        let options =
            VerifyOptions { languages: vec!["en".parse().unwrap()], ..VerifyOptions::default() };
        let info = ReleaseInfo {
            id: None,
            usage: json!(null),
            template: ReleaseTemplate {
                name: "flora".into(),
                version: "1.0.0".into(),
                digest: "sha256:0".into(),
            },
            host_build: "test".into(),
            ai: json!({}),
            warnings: Vec::new(),
            diagnostics: Vec::new(),
            locale: None,
            revision: None,
            created_at: time::OffsetDateTime::UNIX_EPOCH,
        };
        let release = place(staging.seal().unwrap().verify(&options).unwrap(), info).unwrap();
        release.manifest.id.to_string()
    }

    /// Completes order 24 with this release.
    async fn completed(database: &Database, release: &str) {
        let job = database.order("24").await.unwrap().job_id.unwrap();
        let worker = WorkerId { client: "w".to_owned(), config_version: None };
        let Claim::Claimed(claimed, _) =
            database.claim("24", job, &worker, Ulid::generate()).await.unwrap()
        else {
            panic!("not claimed");
        };
        let resolution = Resolution::Succeeded { release: release.to_owned() };
        database.complete(&claimed, &resolution, AttemptLimits::default()).await.unwrap();
    }

    #[tokio::test]
    async fn d1_a_release_that_is_shown_too_late_is_followed_by_the_current_one() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&format!("sqlite://{}/orders.db", folder.path().display()))
            .await
            .unwrap();
        database.migrate().await.unwrap();
        let root = SitesRoot::open(&folder.path().join("sites")).unwrap();
        let store = SiteStore::folder(&root);
        let current = async || {
            store.current(&OrderDir::new("24").unwrap()).await.unwrap().unwrap().to_string()
        };
        let releases = Releases { database: database.clone(), store: store.clone(), keep: 5 };
        let (first, second) = (placed(&root, "one"), placed(&root, "two"));
        database.enqueue(NewOrder::new("24", "flora", "{}".to_owned())).await.unwrap();
        completed(&database, &first).await;
        releases.activate_release("24", &first).await.unwrap();
        assert_eq!(current().await, first);

        // The order is requeued, and another worker is faster than the first one's activation.
        database.reopen("24", None).await.unwrap();
        completed(&database, &second).await;
        releases.activate_release("24", &second).await.unwrap();
        releases.activate_release("24", &first).await.unwrap();
        assert_eq!(current().await, second);
        assert_eq!(releases.reconcile(0).await.unwrap(), 0, "nothing is left to do");
    }
}
