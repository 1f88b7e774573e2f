//! The last step of a release: what visitors see follows what the database says.
//!
//! A release is placed, then settled in the database, and only then made visible. So a worker that was paused and lost its order
//! changes nothing that anybody sees, and one that dies between the last two steps leaves a mark in the database by which any worker
//! makes the step up.

use tracing::Instrument as _;

use crate::jobs::{Database, PendingRelease};
use crate::message;
use crate::message::Message;
use crate::site::{OrderDir, ReleaseId, SiteStore};

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
        let unknown = |error| message!("the release is visible, but that could not be written down: {error}");
        if database.mark_visible(order, &release).await.map_err(unknown)? {
            return Ok(());
        }
        // This worker was slow, and the order has had another release since: visitors must not be left with the old one.
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

/// Makes up for the step that a process which died could not make: every release that was settled so many milliseconds ago is made
/// visible. Called at start, now and then, and at the end. How many there were.
///
/// # Errors
/// When the database fails. An order whose release cannot be shown is told in the log and tried again the next time.
pub(super) async fn show_pending(
    database: &Database,
    store: &SiteStore,
    keep: usize,
    settled_for_ms: i64,
) -> Result<usize, crate::jobs::Error> {
    let pending = database.pending_visible(settled_for_ms).await?;
    let count = pending.len();
    for PendingRelease { order, release, attempt, job, trace_id } in pending {
        // No attempt is under way, but one made it (catalogue B8).
        let span = tracing::info_span!("show", order, job, attempt, trace_id, release);
        let shown = show(database, store, keep, &order, &release).instrument(span.clone()).await;
        span.in_scope(|| match shown {
            Ok(()) => tracing::info!("the release is visible now"),
            Err(message) => {
                tracing::error!("the order is done, but its release cannot be shown yet: {message}");
            }
        });
    }
    Ok(count)
}

fn named(order: &str, release: &str) -> Result<(OrderDir, ReleaseId), Message> {
    let folder =
        OrderDir::new(order).map_err(|error| message!("the order's id cannot name a folder: {error}"))?;
    let id =
        release.parse().map_err(|error| message!("the text {release:?} is no id of a release: {error}"))?;
    Ok((folder, id))
}
