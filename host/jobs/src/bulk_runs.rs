//! Bulk actions that run in a server: how far each is, and whether somebody wants it to stop. The
//! orders themselves are changed by `bulk`.

use serde::{Deserialize, Serialize};
use sitewright_model::time::now_ms;
use ulid::Ulid;

use super::database::Database;
use super::driver::{Row, args};
use super::error::Error;

/// A run that has recorded nothing for this long has lost its process: 60 s.
const LOST_AFTER_MS: i64 = 60_000;
/// Runs are forgotten this long after they ended: 30 days.
const FORGET_AFTER_MS: i64 = 30 * 24 * 3_600_000;

/// What is done with many orders.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum BulkAction {
    /// Queue orders again that have ended.
    Retry,
    /// Cancel orders that have not ended.
    Cancel,
}

/// How far a run is.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum BulkState {
    Running,
    /// All orders were looked at.
    Done,
    /// Somebody stopped it, or the server stopped. What it has changed stays changed.
    Stopped,
    /// The database refused a change.
    Failed,
    /// Its process ended without a word; it does not go on.
    Lost,
}

/// A bulk action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct BulkRun {
    pub id: String,
    pub action: BulkAction,
    pub state: BulkState,
    /// When it began, in milliseconds since the Unix epoch, like all times here.
    pub at: i64,
    /// The number of orders that were selected.
    pub selected: i64,
    /// Orders that were queued again or cancelled.
    pub changed: i64,
    /// Orders that had left the selected states meanwhile, or were gone.
    pub unchanged: i64,
    /// When it last recorded how far it is.
    pub seen_at: i64,
    pub ended_at: Option<i64>,
    /// Why it did not look at all orders.
    pub reason: Option<String>,
}

macro_rules! select_runs {
    ($rest:literal) => {
        concat!(
            "SELECT id, action, state, at, selected, changed, unchanged, seen_at, ended_at, reason
             FROM sitewright_bulk_runs ",
            $rest
        )
    };
}

impl BulkRun {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        let (state, seen_at) = (row.parsed("state")?, row.int("seen_at")?);
        let is_lost = state == BulkState::Running && now_ms() - seen_at > LOST_AFTER_MS;
        Ok(BulkRun {
            id: row.text("id")?,
            action: row.parsed("action")?,
            state: if is_lost { BulkState::Lost } else { state },
            at: row.int("at")?,
            selected: row.int("selected")?,
            changed: row.int("changed")?,
            unchanged: row.int("unchanged")?,
            seen_at,
            ended_at: row.opt_int("ended_at")?,
            reason: row.opt_text("reason")?,
        })
    }
}

impl Database {
    /// Records that a run begins with this number of orders, and forgets old ones.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn begin_bulk(&self, action: BulkAction, selected: usize) -> Result<BulkRun, Error> {
        let id = Ulid::generate().to_string();
        let selected = i64::try_from(selected).unwrap_or(i64::MAX);
        self.write("recording a bulk action", move |tx| {
            let id = id.clone();
            Box::pin(async move {
                let now = now_ms();
                let sql = "DELETE FROM sitewright_bulk_runs WHERE seen_at < $1";
                tx.execute(sql, args![now - FORGET_AFTER_MS]).await?;
                let name: &'static str = action.into();
                let sql = "INSERT INTO sitewright_bulk_runs (id, action, at, seen_at, selected)
                     VALUES ($1, $2, $3, $3, $4)";
                tx.execute(sql, args![&id, name, now, selected]).await?;
                let row = tx.optional(select_runs!("WHERE id = $1"), args![&id]).await?;
                BulkRun::read(&row.ok_or(sqlx::Error::RowNotFound)?)
            })
        })
        .await
    }

    /// A run; `None` if there is none with this id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn bulk_run(&self, id: &str) -> Result<Option<BulkRun>, Error> {
        let doing = "reading how far a bulk action is";
        let rows = self.read(doing, select_runs!("WHERE id = $1"), args![id]).await?;
        let run = rows.first().map(BulkRun::read).transpose();
        run.map_err(|error| Error::database(doing, error))
    }

    /// Records what was done with some more orders. Whether somebody wants the run to stop.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn record_bulk(
        &self,
        id: &str,
        changed: usize,
        unchanged: usize,
    ) -> Result<bool, Error> {
        let id = id.to_owned();
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (changed, unchanged) = (number(changed), number(unchanged));
        self.write("recording how far a bulk action is", move |tx| {
            let id = id.clone();
            Box::pin(async move {
                let sql = "UPDATE sitewright_bulk_runs SET changed = changed + $2,
                        unchanged = unchanged + $3, seen_at = $4
                     WHERE id = $1 RETURNING stop_requested_at";
                let row = tx.optional(sql, args![&id, changed, unchanged, now_ms()]).await?;
                let wanted = row.map_or(Ok(None), |row| row.opt_int("stop_requested_at"))?;
                Ok(wanted.is_some())
            })
        })
        .await
    }

    /// Records how a run ended.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn end_bulk(
        &self,
        id: &str,
        state: BulkState,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        let (id, reason) = (id.to_owned(), reason.map(str::to_owned));
        self.write("recording how a bulk action ended", move |tx| {
            let (id, reason) = (id.clone(), reason.clone());
            Box::pin(async move {
                let name: &'static str = state.into();
                let sql = "UPDATE sitewright_bulk_runs
                     SET state = $2, reason = $3, ended_at = $4, seen_at = $4 WHERE id = $1";
                tx.execute(sql, args![&id, name, &reason, now_ms()]).await.map(drop)
            })
        })
        .await
    }

    /// Asks a run to stop; one that has ended stays as it is. `None` if there is none with this id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn stop_bulk(&self, id: &str) -> Result<Option<BulkRun>, Error> {
        let id = id.to_owned();
        self.write("stopping a bulk action", move |tx| {
            let id = id.clone();
            Box::pin(async move {
                let sql = "UPDATE sitewright_bulk_runs
                     SET stop_requested_at = coalesce(stop_requested_at, $2)
                     WHERE id = $1 AND state = 'running'";
                tx.execute(sql, args![&id, now_ms()]).await?;
                let row = tx.optional(select_runs!("WHERE id = $1"), args![&id]).await?;
                row.as_ref().map(BulkRun::read).transpose()
            })
        })
        .await
    }
}
