//! The releases of an order: which there are, and which of them visitors see.
//!
//! `compare` says what differs between two.

mod compare;

use std::path::Path;

use sitewright_jobs::{Database, Error as DatabaseError, ReleaseChoice};
use sitewright_model::message;
use sitewright_site::{OrderDir, ReleaseId, SiteStore, SitesRoot, StoredRelease};

pub use compare::{DiffLine, FileChange, FileDiff, FileNote, LineChange, ReleaseDiff, compare};

use super::error::Error;

/// Where the releases of orders are: `objects` if there is an object store, otherwise the sites
/// folder. `None` if that is not on this machine.
///
/// # Errors
/// If the sites folder cannot be opened.
pub async fn release_store(
    sites: &Path,
    objects: Option<&SiteStore>,
) -> Result<Option<SiteStore>, Error> {
    if let Some(store) = objects {
        return Ok(Some(store.clone()));
    }
    let sites = sites.to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        // `SitesRoot::open` would create the folder.
        if !sites.is_dir() {
            return Ok(None);
        }
        Ok(Some(SiteStore::folder(&SitesRoot::open(&sites)?)))
    });
    opened.await.unwrap_or_else(|error| {
        Err(Error::Host(message!("opening the sites folder did not end: {error}")))
    })
}

/// The releases of an order, the newest first.
///
/// # Errors
/// If there is no such order, or database or store fail.
pub async fn releases(
    database: &Database,
    store: &SiteStore,
    order: &str,
) -> Result<Vec<StoredRelease>, Error> {
    let order = database.order(order).await?.id;
    // An order whose id names no folder never had a release.
    let Ok(folder) = OrderDir::new(&order) else { return Ok(Vec::new()) };
    Ok(store.releases(&folder).await?)
}

/// A release of an order, by its id.
///
/// # Errors
/// [`Error::NoSuchRelease`]; or database or store fail.
pub async fn release(
    database: &Database,
    store: &SiteStore,
    order: &str,
    id: &str,
) -> Result<StoredRelease, Error> {
    let all = releases(database, store, order).await?;
    all.into_iter()
        .find(|release| release.id.to_string().eq_ignore_ascii_case(id))
        .ok_or_else(|| Error::NoSuchRelease { order: order.to_owned(), release: id.to_owned() })
}

/// Makes a release of an order the one that visitors see, until the next one is made: first in the
/// database, then where releases are. `expected` is the one that the caller takes for the current
/// one; without it, any is replaced. `keep` is the number of releases of an order that are kept.
///
/// # Errors
/// If there is no such order, or it is erased meanwhile; [`Error::NoSuchRelease`]; or database or
/// store fail. If the store fails, the database has the choice, and a worker follows it.
pub async fn choose_release(
    database: &Database,
    store: &SiteStore,
    order: &str,
    id: &str,
    expected: Option<&str>,
    keep: usize,
) -> Result<ReleaseChoice, Error> {
    let failed = match choose(database, store, order, id, expected, keep).await {
        Ok(choice) => return Ok(choice),
        Err(error) => error,
    };
    // An order that is erased meanwhile loses its files in the middle of this.
    match database.order(order).await {
        Err(gone @ DatabaseError::NoSuchOrder { .. }) => Err(gone.into()),
        _ => Err(failed),
    }
}

async fn choose(
    database: &Database,
    store: &SiteStore,
    order: &str,
    id: &str,
    expected: Option<&str>,
    keep: usize,
) -> Result<ReleaseChoice, Error> {
    let chosen = release(database, store, order, id).await?;
    if let Err(why) = &chosen.manifest {
        return Err(Error::Host(message!(
            "the release {id} of order {order:?} is not made current, because its manifest cannot \
             be read: {why}"
        )));
    }
    let id = chosen.id.to_string();
    let answer = database.choose_release(order, &id, expected).await?;
    match answer {
        ReleaseChoice::Chosen { .. } | ReleaseChoice::Unchanged => {
            activate_release(database, store, order, &id, keep).await?;
        }
        ReleaseChoice::Moved { .. } => {}
    }
    Ok(answer)
}

/// Activates the order's current release: `release`, or the one that has replaced it meanwhile.
///
/// # Errors
/// If database or store fail. What visitors see is then unchanged, or not recorded.
pub async fn activate_release(
    database: &Database,
    store: &SiteStore,
    order: &str,
    release: &str,
    keep: usize,
) -> Result<(), Error> {
    let unknown = |error: DatabaseError| {
        Error::Host(message!("the release is active, but that could not be recorded: {error}"))
    };
    let mut release = release.to_owned();
    loop {
        let (folder, id) = parse_ids(order, &release)?;
        store.activate(&folder, id, keep).await?;
        if database.mark_activated(order, &release).await.map_err(unknown)? {
            return Ok(());
        }
        // This process was slow, and the order has another release: visitors must not be left with
        // this one.
        let current = database.order(order).await.map_err(unknown)?.current_release;
        match current.filter(|current| *current != release) {
            Some(current) => {
                tracing::warn!(
                    order,
                    release,
                    current,
                    "the release was activated too late; the order's current one is activated"
                );
                release = current;
            }
            None => return Ok(()),
        }
    }
}

/// The folder of an order, and the id of a release.
///
/// # Errors
/// If they are none.
pub fn parse_ids(order: &str, release: &str) -> Result<(OrderDir, ReleaseId), Error> {
    let folder = OrderDir::new(order)
        .map_err(|error| Error::Host(message!("the order's id cannot name a folder: {error}")))?;
    let id = release.parse().map_err(|error| {
        Error::Host(message!("the text {release:?} is not the id of a release: {error}"))
    })?;
    Ok((folder, id))
}
