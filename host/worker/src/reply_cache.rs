//! The AI replies that orders share, in the database.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use sitewright_ai::{CacheKey, JournalEntry, ReplyCache};
use sitewright_jobs::{Claimed, Database, NewCachedReply};
use sitewright_model::message;
use sitewright_model::message::Message;

/// The shared replies, for one order. An error costs a call and fails none.
pub(super) struct SharedReplies {
    database: Database,
    order: String,
    /// Replies are shared among the orders of a tenant, and among those without one.
    tenant: Option<String>,
}

impl SharedReplies {
    pub(super) fn new(database: Database, claimed: &Claimed) -> Self {
        let (order, tenant) = (claimed.order.clone(), claimed.tenant.clone());
        SharedReplies { database, order, tenant }
    }

    /// The key in the database.
    fn key(&self, key: &CacheKey) -> String {
        let tenant = self.tenant.as_deref().unwrap_or_default();
        format!("{}/{tenant}", key.digest)
    }
}

impl fmt::Debug for SharedReplies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedReplies").field("order", &self.order).finish_non_exhaustive()
    }
}

#[async_trait]
impl ReplyCache for SharedReplies {
    async fn lookup(&self, key: &CacheKey) -> Option<JournalEntry> {
        let entry = match self.database.cached_reply(&self.key(key)).await {
            Ok(entry) => entry?,
            Err(error) => {
                tracing::warn!(
                    order = self.order,
                    %error,
                    "it cannot be read whether another order got this AI reply, so a model is asked"
                );
                return None;
            }
        };
        match serde_json::from_value(entry) {
            Ok(entry) => Some(entry),
            Err(error) => {
                tracing::warn!(
                    order = self.order,
                    %error,
                    "a reply that orders share cannot be read, so a model is asked"
                );
                None
            }
        }
    }

    async fn store(
        &self,
        key: &CacheKey,
        entry: &JournalEntry,
        keep: Duration,
    ) -> Result<(), Message> {
        let failed = |error: &dyn fmt::Display| {
            message!(
                "the AI reply of order {:?} could not be kept for equal requests of other orders: \
                 {error}",
                self.order
            )
        };
        let reply = NewCachedReply {
            key: self.key(key),
            request: key.call.request.clone(),
            occurrence: key.call.occurrence,
            entry: serde_json::to_value(entry).map_err(|error| failed(&error))?,
            keep,
        };
        let kept = self.database.cache_reply(&self.order, reply).await;
        if !kept.map_err(|error| failed(&error))? {
            tracing::debug!(order = self.order, "a reply is too large for other orders");
        }
        Ok(())
    }
}
