//! Marks whose code runs in this process, for the worker that rescues its orders.

use std::sync::Arc;

use ulid::Ulid;

use sitewright_jobs::Marks;
use sitewright_runtime::run::{Record, Witness};
use sitewright_site::SitesRoot;

/// The folder of the marks of all workers of one machine, in the folder of sites: it is there
/// wherever a worker can make sites, it outlives a process and its container, and only the user of
/// the workers can read it.
const FOLDER: &str = ".workers";

struct Marked(Arc<Marks>);

impl Record for Marked {
    fn enter(&self, attempt: Ulid, alone: bool) -> usize {
        self.0.enter(attempt, alone)
    }

    fn no_longer_alone(&self, slot: usize) {
        self.0.no_longer_alone(slot);
    }

    fn leave(&self, slot: usize) {
        self.0.leave(slot);
    }
}

/// The marks of this process; `None` if they cannot be written, which is logged.
pub(super) async fn create(sites: &SitesRoot) -> Option<Arc<Marks>> {
    let folder = sites.path().join(FOLDER);
    match Marks::create(folder.clone()).await {
        Ok(marks) => Some(Arc::new(marks)),
        Err(error) => {
            tracing::error!(
                folder = %folder.display(),
                %error,
                "it cannot be marked which order's code runs, so an order that ends this worker's \
                 process is not recognized: make the folder of sites writable, on a file system \
                 with locks"
            );
            None
        }
    }
}

/// Lets the code of attempts run, and marks it.
pub(super) fn witness(marks: &Arc<Marks>) -> Witness {
    Witness::new(Marked(marks.clone()))
}
