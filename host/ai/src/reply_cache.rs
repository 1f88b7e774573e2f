//! Replies that answer equal requests of several orders, where a route allows it.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};

use super::config::RouteConfig;
use super::journal::{JournalEntry, JournalKey};
use sitewright_model::message::Message;

/// Identifies a reply by everything that it depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CacheKey {
    /// SHA-256 in hex of the route with its candidates, the request, and how often the run made the
    /// same request before.
    pub digest: String,
    /// The call in the journal of the order that asks.
    pub call: JournalKey,
}

/// Storage for replies that several orders share. One that fails costs a call, and fails none.
#[async_trait]
pub trait ReplyCache: fmt::Debug + Send + Sync {
    /// The reply to an equal request, unless it has expired.
    async fn lookup(&self, key: &CacheKey) -> Option<JournalEntry>;

    /// Stores a reply for this time, in place of an earlier one.
    ///
    /// # Errors
    /// The reply could not be stored.
    async fn store(
        &self,
        key: &CacheKey,
        entry: &JournalEntry,
        keep: Duration,
    ) -> Result<(), Message>;
}

/// What a route allows.
#[derive(Debug)]
pub(super) struct CacheRule {
    pub(super) keep: Duration,
    /// The route and its candidates: with another model the same request is another one.
    digest: String,
}

impl CacheRule {
    /// The rule of a route; `None` if it shares no replies. `locations` are those of its candidates.
    pub(super) fn of(name: &str, route: &RouteConfig, locations: &[String]) -> Option<Self> {
        let keep = route.cache?.duration();
        // How texts of the configuration that are read from elsewhere are referred to, not they
        // themselves.
        let canonical = serde_json::json!([name, route.candidates, locations]);
        let digest = hex::encode(Sha256::digest(canonical.to_string()));
        Some(CacheRule { keep, digest })
    }

    pub(super) fn key(&self, call: &JournalKey) -> CacheKey {
        let canonical = serde_json::json!([self.digest, call.request, call.occurrence]);
        let digest = hex::encode(Sha256::digest(canonical.to_string()));
        CacheKey { digest, call: call.clone() }
    }
}
