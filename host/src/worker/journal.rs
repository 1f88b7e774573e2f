//! The AI replies of an order, in the database: there before the template sees them, so that no later attempt pays again.

use std::fmt;

use async_trait::async_trait;

use crate::ai::{Journal, JournalEntry, JournalKey};
use crate::jobs::{Database, NewAiCall};
use crate::message;
use crate::message::Message;

/// The journal of one attempt at one order.
pub(super) struct OrderJournal {
    database: Database,
    order: String,
    attempt: String,
}

impl OrderJournal {
    /// For an attempt that begins now.
    pub(super) fn new(database: Database, order: &str, attempt: &str) -> Self {
        OrderJournal { database, order: order.to_owned(), attempt: attempt.to_owned() }
    }
}

impl fmt::Debug for OrderJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderJournal").field("order", &self.order).field("attempt", &self.attempt).finish()
    }
}

#[async_trait]
impl Journal for OrderJournal {
    async fn lookup(&self, key: &JournalKey) -> Option<JournalEntry> {
        let found = self.database.reply(&self.order, &key.request, key.occurrence).await;
        let call = match found {
            Ok(call) => call?,
            Err(error) => {
                tracing::warn!(
                    order = self.order,
                    %error,
                    "it cannot be told whether this AI call was paid for before, so it is made again"
                );
                return None;
            }
        };
        match serde_json::from_value(call.call.entry) {
            Ok(entry) => Some(entry),
            Err(error) => {
                tracing::warn!(order = self.order, %error, "a reply in the database cannot be read, so its AI call is made again");
                None
            }
        }
    }

    async fn store(&self, entry: &JournalEntry) -> Result<(), Message> {
        let failed = |error: &dyn fmt::Display| {
            message!("the AI reply of order {:?} could not be kept in the database: {error}", self.order)
        };
        let call = NewAiCall {
            request: entry.key.request.clone(),
            occurrence: entry.key.occurrence,
            purpose: entry.purpose.clone(),
            provider: entry.provider.clone(),
            model: entry.model.clone(),
            cost_nano_usd: entry.cost_usd.map(|cost| cost.nanos()),
            input_tokens: entry.usage.input_tokens,
            output_tokens: entry.usage.output_tokens,
            entry: serde_json::to_value(entry).map_err(|error| failed(&error))?,
        };
        self.database
            .keep_reply(&self.order, &self.attempt, call)
            .await
            .map(drop)
            .map_err(|error| failed(&error))
    }
}
