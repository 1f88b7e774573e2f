//! The files of an order in the sites folder that are removed with it.

use std::path::Path;

use sitewright_failure::{coredump, records, store};
use sitewright_jobs::RemovalCause;
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_site::{OrderDir, PRIVATE_FOLDERS, SitesRoot};

/// Removes the files of an order in the sites folder: all of them if it was erased; if it has
/// expired, those that have nothing to do with its site. `false` if there were none. Blocking.
///
/// # Errors
/// If a file system call fails.
pub fn remove_order_files(
    sites: &SitesRoot,
    order: &OrderDir,
    cause: RemovalCause,
) -> Result<bool, Message> {
    let failed = |error: &dyn std::fmt::Display| {
        message!("the files of order {order} cannot be removed: {error}")
    };
    remove_failures(sites.path(), order).map_err(|error| failed(&error))?;
    let had = match cause {
        RemovalCause::Erased => sites.remove_order(order),
        RemovalCause::Expired => {
            let exist =
                PRIVATE_FOLDERS.iter().any(|folder| sites.order_path(order).join(folder).exists());
            if !exist {
                return Ok(false);
            }
            sites.remove_private(order, &PRIVATE_FOLDERS)
        }
    };
    had.map_err(|error| failed(&error))
}

/// Removes the core dumps of an order's failures, and the memory of their records.
/// Blocking.
///
/// # Errors
/// If a file system call fails.
pub fn remove_failures(sites: &Path, order: &OrderDir) -> Result<(), Message> {
    let files = store::files_of(sites, order.as_str())
        .map_err(|error| message!("its failure records cannot be listed: {error}"))?;
    for file in files {
        if let Some(id) = file.file_stem().map(|id| id.to_string_lossy().into_owned()) {
            coredump::remove(sites, &id).and_then(|()| records::remove(sites, &id)).map_err(
                |error| message!("what belongs to {} cannot be removed: {error}", file.display()),
            )?;
        }
    }
    Ok(())
}
