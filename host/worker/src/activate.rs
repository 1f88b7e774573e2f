//! The last step of a release: what visitors see follows what the database says.
//!
//! A release is placed, then settled in the database, and only then made visible. So a worker that
//! was paused and lost its order changes nothing that anybody sees, and one that dies between the
//! last two steps leaves a mark in the database by which any worker makes the step up.

use tracing::Instrument as _;

use sitewright_jobs::{Database, PendingRelease};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_site::{OrderDir, ReleaseId, SiteStore};

/// Milliseconds after which a release that was settled and is not visible has lost its worker.
pub(super) const LOST_AFTER_MS: i64 = 5_000;

/// Makes the order's settled release the one that visitors see.
pub(super) async fn show(
    database: &Database,
    store: &SiteStore,
    keep: usize,
    order: &str,
    release: &str,
) -> Result<(), Message> {
    let mut release = release.to_owned();
    loop {
        let (folder, id) = named(order, &release)?;
        store.activate(&folder, id, keep).await?;
        let unknown =
            |error| message!("the release is visible, but that could not be written down: {error}");
        if database.mark_visible(order, &release).await.map_err(unknown)? {
            return Ok(());
        }
        // This worker was slow, and the order has had another release since: visitors must not be
        // left with the old one.
        let current = database.order(order).await.map_err(unknown)?.current_release;
        match current.filter(|current| *current != release) {
            Some(current) => {
                tracing::warn!(
                    order,
                    release,
                    current,
                    "the release was shown too late and is followed by the current one"
                );
                release = current;
            }
            None => return Ok(()),
        }
    }
}

/// Throws a release away whose attempt did not count.
pub(super) async fn discard(store: &SiteStore, order: &str, release: &str) -> Result<(), Message> {
    let (folder, id) = named(order, release)?;
    Ok(store.discard(&folder, id).await?)
}

/// Makes up for the step that a process which died could not make: every release that was settled
/// so many milliseconds ago is made visible. Called at start, now and then, and at the end. How
/// many there were.
///
/// # Errors
/// When the database fails. An order whose release cannot be shown is told in the log and tried
/// again the next time.
pub(super) async fn show_pending(
    database: &Database,
    store: &SiteStore,
    keep: usize,
    settled_for_ms: i64,
) -> Result<usize, sitewright_jobs::Error> {
    let pending = database.pending_visible(settled_for_ms).await?;
    let count = pending.len();
    for PendingRelease { order, release, attempt, job, trace_id } in pending {
        // No attempt is under way, but one made it (catalogue B8).
        let span = tracing::info_span!("show", order, job, attempt, trace_id, release);
        let shown = show(database, store, keep, &order, &release).instrument(span.clone()).await;
        span.in_scope(|| match shown {
            Ok(()) => tracing::info!("the release is visible now"),
            Err(message) => {
                tracing::error!(
                    "the order is done, but its release cannot be shown yet: {message}"
                );
            }
        });
    }
    Ok(count)
}

fn named(order: &str, release: &str) -> Result<(OrderDir, ReleaseId), Message> {
    let folder = OrderDir::new(order)
        .map_err(|error| message!("the order's id cannot name a folder: {error}"))?;
    let id = release
        .parse()
        .map_err(|error| message!("the text {release:?} is no id of a release: {error}"))?;
    Ok((folder, id))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test has a runtime of its own")]
mod tests {
    use serde_json::json;
    use ulid::Ulid;

    use super::*;
    use sitewright_jobs::{AttemptLimits, Claim, NewOrder, Resolution, WorkerId};
    use sitewright_site::{
        ReleaseInfo, ReleaseTemplate, SiteLimits, SitesRoot, Staging, VerifyOptions, place,
    };

    const PAGE: &[u8] =
        b"<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Bakery</title>\
        <meta name=\"description\" content=\"Real bread\">\
        <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"></head>\
        <body><main><p>Sourdough, fresh every morning.</p></main></body></html>";

    /// Places a release of order 24 that nobody sees yet.
    fn placed(root: &SitesRoot, attempt: &str) -> String {
        let order = OrderDir::new("24").unwrap();
        let staging =
            Staging::new(root, order, OrderDir::new(attempt).unwrap(), SiteLimits::default());
        staging.write("index.html", PAGE).unwrap();
        let options =
            VerifyOptions { languages: vec!["en".parse().unwrap()], literal_texts: Vec::new() };
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
            locale: None,
            created_at: time::OffsetDateTime::UNIX_EPOCH,
        };
        let release = place(staging.seal().unwrap().verify(&options).unwrap(), info).unwrap();
        release.manifest.id.to_string()
    }

    /// Has order 24 done with this release.
    async fn settled(database: &Database, release: &str) {
        let job = database.order("24").await.unwrap().job_id.unwrap();
        let worker = WorkerId { client: "w".to_owned(), config_version: None };
        let Claim::Claimed(taken, _) =
            database.take("24", job, &worker, Ulid::generate()).await.unwrap()
        else {
            panic!("not taken");
        };
        let settlement = Resolution::Succeeded { release: release.to_owned() };
        database.settle(&taken, &settlement, AttemptLimits::default()).await.unwrap();
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
        let (first, second) = (placed(&root, "one"), placed(&root, "two"));
        database.enqueue(NewOrder::new("24", "flora", "{}".to_owned())).await.unwrap();
        settled(&database, &first).await;
        show(&database, &store, 5, "24", &first).await.unwrap();
        assert_eq!(current().await, first);

        // The order is begun again and another worker is faster than what the first one still has
        // to do.
        database.reopen("24", None).await.unwrap();
        settled(&database, &second).await;
        show(&database, &store, 5, "24", &second).await.unwrap();
        show(&database, &store, 5, "24", &first).await.unwrap();
        assert_eq!(current().await, second);
        assert_eq!(
            show_pending(&database, &store, 5, 0).await.unwrap(),
            0,
            "nothing is left to do"
        );
    }
}
