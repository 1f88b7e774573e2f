//! The places for connections: at most `server.connections`, of which one client cannot have all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One address may have all places but this part of them: the rest is for probes and operators.
const RESERVED_PART: u32 = 8;

/// All places of a server.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    /// Maximum connections of one address.
    max_of_client: u32,
    of_clients: Mutex<HashMap<IpAddr, u32>>,
}

/// A place for a connection whose client is not known yet.
#[derive(Debug)]
pub(crate) struct FreePlace {
    _permit: Option<OwnedSemaphorePermit>,
}

/// The place of a connection. Dropping it frees it.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    client: IpAddr,
    _free: FreePlace,
}

impl Places {
    pub(crate) fn new(connections: u32) -> Arc<Self> {
        Arc::new(Places {
            free: Arc::new(Semaphore::new(connections as usize)),
            max_of_client: connections.saturating_sub(connections / RESERVED_PART),
            of_clients: Mutex::default(),
        })
    }

    /// Waits until a place is free.
    pub(crate) async fn free(&self) -> FreePlace {
        // The semaphore is never closed.
        FreePlace { _permit: Arc::clone(&self.free).acquire_owned().await.ok() }
    }

    /// Gives the place to this client.
    ///
    /// # Errors
    /// The place, if the client has too many already.
    pub(crate) fn take(
        self: &Arc<Self>,
        free: FreePlace,
        client: IpAddr,
    ) -> Result<Place, FreePlace> {
        let client = client.to_canonical();
        let mut of_clients = self.of_clients.lock();
        let has = of_clients.entry(client).or_default();
        if *has >= self.max_of_client {
            return Err(free);
        }
        *has += 1;
        Ok(Place { places: Arc::clone(self), client, _free: free })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut of_clients = self.places.of_clients.lock();
        if let Some(has) = of_clients.get_mut(&self.client) {
            *has = has.saturating_sub(1);
            if *has == 0 {
                of_clients.remove(&self.client);
            }
        }
    }
}
