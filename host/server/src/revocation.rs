//! Ends answers that last, streams of events, when their token was revoked or has expired.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sitewright_jobs::Database;
use sitewright_model::time::now_ms;

/// The id of the token that a request was admitted with.
#[derive(Debug, Clone)]
pub(crate) struct TokenId(pub(crate) String);

/// Whether tokens are still valid. Many streams of one token ask the database once.
#[derive(Debug)]
pub(crate) struct Revocations {
    database: Database,
    /// Time between two looks at a token.
    every: Duration,
    seen: Mutex<HashMap<String, (Instant, bool)>>,
}

impl Revocations {
    pub(crate) fn new(database: Database, every: Duration) -> Self {
        Revocations { database, every, seen: Mutex::default() }
    }

    /// Waits until the token is not valid any more; for ever without one.
    pub(crate) async fn ended(&self, token: Option<&TokenId>) {
        let Some(TokenId(id)) = token else { return std::future::pending().await };
        loop {
            tokio::time::sleep(self.every).await;
            if !self.is_valid(id).await {
                return;
            }
        }
    }

    async fn is_valid(&self, id: &str) -> bool {
        let now = Instant::now();
        let known = {
            let mut seen = self.seen.lock();
            seen.retain(|_, (at, _)| now.duration_since(*at) < self.every / 2);
            seen.get(id).map(|(_, is_valid)| *is_valid)
        };
        if let Some(is_valid) = known {
            return is_valid;
        }
        match self.database.token(id).await {
            Ok(token) => {
                let is_valid = token.is_some_and(|token| token.is_valid_at(now_ms()));
                self.seen.lock().insert(id.to_owned(), (now, is_valid));
                is_valid
            }
            Err(error) => {
                tracing::debug!(%error, id, "a token cannot be looked at; it is tried again");
                true
            }
        }
    }
}
