//! Removing everything of an order, for a customer who wants that.

use std::path::Path;
use std::time::{Duration, Instant};

use sitewright_jobs::{Database, Error as DatabaseError, OrderState, RemovalCause, RemovedRows};
use sitewright_model::message;
use sitewright_site::{OrderDir, PUBLIC, SitesRoot};

use super::error::Error;
use super::files::remove_order_files;

/// Time between two looks whether a running order has stopped.
const LOOK: Duration = Duration::from_millis(200);

/// What was removed of an order.
#[derive(Debug, Clone, Copy)]
pub struct Erased {
    pub rows: RemovedRows,
    /// Whether there were files in the sites folder.
    pub files: bool,
}

/// Erases an order in the database and in the sites folder, if that is on this machine. A running
/// order is cancelled first. Releases in an object store are removed by the caller, who knows it,
/// and files on other machines by their workers.
///
/// # Errors
/// If there is and was no such order; [`Error::StillRunning`] if its worker does not stop it within
/// `stops_within`; or database or file system fail.
pub async fn erase(
    database: &Database,
    sites: &Path,
    id: &str,
    stops_within: Duration,
) -> Result<Erased, Error> {
    let folder = OrderDir::new(id).ok();
    let known = match database.order(id).await {
        Ok(order) => Some(order),
        Err(DatabaseError::NoSuchOrder { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let erased_before = database.erased_at(id).await?;
    if known.is_none() && erased_before.is_none() && !has_files(sites, folder.as_ref()).await {
        return Err(DatabaseError::NoSuchOrder { order: id.to_owned() }.into());
    }
    if known.is_some_and(|order| order.state == OrderState::Running) {
        stop(database, id, stops_within).await?;
    }
    let rows = database.erase(id).await?;
    let files = match folder {
        Some(folder) => remove_files(sites, folder).await?,
        None => false,
    };
    Ok(Erased { rows, files })
}

async fn has_files(sites: &Path, folder: Option<&OrderDir>) -> bool {
    let Some(folder) = folder else { return false };
    for path in [sites.join(folder.as_str()), sites.join(PUBLIC).join(folder.as_str())] {
        if tokio::fs::try_exists(path).await.unwrap_or(false) {
            return true;
        }
    }
    false
}

async fn remove_files(sites: &Path, folder: OrderDir) -> Result<bool, Error> {
    let path = sites.to_owned();
    let removed = tokio::task::spawn_blocking(move || {
        // `SitesRoot::open` would create the folder.
        if !path.is_dir() {
            return Ok(false);
        }
        let sites = SitesRoot::open(&path)?;
        remove_order_files(&sites, &folder, RemovalCause::Erased).map_err(Error::Host)
    });
    removed.await.unwrap_or_else(|error| {
        Err(Error::Host(message!("removing the files did not end: {error}")))
    })
}

/// Cancels a running order and waits until its worker has stopped it.
async fn stop(database: &Database, id: &str, within: Duration) -> Result<(), Error> {
    database.cancel(id).await?;
    let begin = Instant::now();
    while database.order(id).await?.state == OrderState::Running {
        if begin.elapsed() > within {
            return Err(Error::StillRunning { order: id.to_owned(), waited: within });
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
