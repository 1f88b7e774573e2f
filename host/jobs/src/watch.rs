//! What happens to orders, for those who watch them: progress events over all orders, and changes
//! of state.

use serde::Serialize;
use serde_json::json;

use super::coalesced::{json_rows, over_json};
use super::database::Database;
use super::driver::{Row, args, sql};
use super::error::Error;
use super::events::Event;
use super::model::{OrderState, waiting_reason};

/// A progress event with the order that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct OrderEvent {
    pub order: String,
    #[serde(flatten)]
    pub event: Event,
}

impl OrderEvent {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(OrderEvent { order: row.text("order_id")?, event: Event::read(row)? })
    }
}

/// The state of an order, and since when it is so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct OrderChange {
    pub order: String,
    pub state: OrderState,
    /// When its row changed, in milliseconds since the Unix epoch.
    pub at: i64,
    /// The current release.
    pub release: Option<String>,
    /// The failure record of the last attempt that did not succeed.
    pub failure: Option<String>,
    /// Why it waits. Of a hold, its id, cause and group only: its reason is for operators.
    pub waiting_reason: Option<String>,
}

impl OrderChange {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(OrderChange {
            order: row.text("id")?,
            state: row.parsed("state")?,
            at: row.int("updated_at")?,
            release: row.opt_text("current_release")?,
            failure: row.opt_text("last_failure")?,
            waiting_reason: waiting_reason(row)?,
        })
    }
}

impl Database {
    /// Progress events of all orders with an id above `after`, by id; at most `limit`. On
    /// PostgreSQL an event with a lower id may appear after one with a higher id: ids are given
    /// when a transaction writes, not when it commits.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn all_events(&self, after: i64, limit: u32) -> Result<Vec<OrderEvent>, Error> {
        let doing = "reading the progress of all orders";
        let sql = "SELECT id, order_id, attempt_id, at, stage, done, total, message
             FROM sitewright_events WHERE id > $1 ORDER BY id LIMIT $2";
        let rows = self.read(doing, sql, args![after, i64::from(limit)]).await?;
        let events = rows.iter().map(OrderEvent::read).collect::<Result<_, _>>();
        events.map_err(|error| Error::database(doing, error))
    }

    /// Those of these progress events that exist, by id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn events_of_ids(&self, ids: &[i64]) -> Result<Vec<OrderEvent>, Error> {
        let doing = "reading late progress events";
        let list = json_rows(ids.iter().map(|id| vec![json!(id)]));
        let sql = over_json!(
            self.pool(),
            "SELECT e.id AS id, e.order_id AS order_id, e.attempt_id AS attempt_id, e.at AS at,
                e.stage AS stage, e.done AS done, e.total AS total, e.message AS message FROM ",
            " JOIN sitewright_events e ON e.id = CAST(t.value ->> 0 AS BIGINT) ORDER BY e.id"
        );
        let rows = self.read(doing, sql, args![&list]).await?;
        let events = rows.iter().map(OrderEvent::read).collect::<Result<_, _>>();
        events.map_err(|error| Error::database(doing, error))
    }

    /// Progress events of one order with an id above `after`, by id; at most `limit`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn events_page(
        &self,
        order: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<OrderEvent>, Error> {
        let doing = "reading progress";
        let sql = "SELECT id, order_id, attempt_id, at, stage, done, total, message
             FROM sitewright_events WHERE order_id = $1 AND id > $2 ORDER BY id LIMIT $3";
        let rows = self.read(doing, sql, args![order, after, i64::from(limit)]).await?;
        let events = rows.iter().map(OrderEvent::read).collect::<Result<_, _>>();
        events.map_err(|error| Error::database(doing, error))
    }

    /// The highest id of a progress event; 0 if there is none.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn last_event(&self) -> Result<i64, Error> {
        let doing = "reading the last progress event";
        let sql = "SELECT coalesce(max(id), 0) AS id FROM sitewright_events";
        let rows = self.read(doing, sql, vec![]).await?;
        let id = rows.first().map_or(Ok(0), |row| row.int("id"));
        id.map_err(|error| Error::database(doing, error))
    }

    /// The states of those of these orders that exist.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn states(&self, orders: &[String]) -> Result<Vec<OrderChange>, Error> {
        let doing = "reading the states of orders";
        let list = json_rows(orders.iter().map(|order| vec![json!(order)]));
        let sql = over_json!(
            self.pool(),
            "SELECT o.id AS id, o.state AS state, o.updated_at AS updated_at,
                o.current_release AS current_release, o.last_failure AS last_failure,
                o.waiting_reason AS waiting_reason, o.held_by AS held_by, h.cause AS hold_cause,
                h.reason AS hold_reason, h.fingerprint AS hold_fingerprint FROM ",
            " JOIN sitewright_orders o ON o.id = t.value ->> 0
                LEFT JOIN sitewright_holds h ON h.id = o.held_by AND h.released_at IS NULL"
        );
        let rows = self.read(doing, sql, args![&list]).await?;
        let changes = rows.iter().map(OrderChange::read).collect::<Result<_, _>>();
        changes.map_err(|error| Error::database(doing, error))
    }

    /// Orders whose row changed at or after this time, in milliseconds since the Unix epoch, the
    /// earliest change first; at most `limit`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn changes(&self, since: i64, limit: u32) -> Result<Vec<OrderChange>, Error> {
        let doing = "reading which orders changed";
        // Every state is named, so that the index on state and time is used.
        let sql = sql!(
            "SELECT o.id AS id, o.state AS state, o.updated_at AS updated_at,
                o.current_release AS current_release, o.last_failure AS last_failure,
                o.waiting_reason AS waiting_reason, o.held_by AS held_by, h.cause AS hold_cause,
                h.reason AS hold_reason, h.fingerprint AS hold_fingerprint
             FROM sitewright_orders o
                LEFT JOIN sitewright_holds h ON h.id = o.held_by AND h.released_at IS NULL
             WHERE (o.state IN {unfinished} OR o.state IN {ended}) AND o.updated_at >= $1
             ORDER BY o.updated_at, o.id LIMIT $2"
        );
        let rows = self.read(doing, sql, args![since, i64::from(limit)]).await?;
        let changes = rows.iter().map(OrderChange::read).collect::<Result<_, _>>();
        changes.map_err(|error| Error::database(doing, error))
    }
}
