//! Bulk actions that servers run: which orders, how far each is, and whether somebody wants it to
//! stop. They are rows of the database, so that any server goes on with one whose server has ended.
//! The orders themselves are changed by `bulk`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sitewright_model::time::now_ms;
use ulid::Ulid;

use super::bulk::{BULK_BATCH, Selection, SelectionCursor, cancel_all_in, reopen_all_in};
use super::database::Database;
use super::driver::{Row, Tx, args, river};
use super::error::Error;
use super::locks::{bulk_lock, try_bulk_lock};
use super::model::OrderState;
use super::tokens::{NewAuditEntry, audit_in};

/// Maximum number of runs that have not ended.
pub const MAX_BULK_RUNS: i64 = 20;

/// Maximum number of them of the orders of one tenant.
pub const MAX_BULK_RUNS_OF_TENANT: i64 = 5;

/// Maximum number of runs of one tenant that are made at the same time, by all servers: the places
/// of one server are more.
const AT_ONCE_OF_TENANT: i64 = 2;

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
    /// Its server has ended without a word. The next server that looks goes on with it.
    Lost,
}

/// A bulk action to be begun.
#[derive(Debug, Clone)]
pub struct NewBulkRun {
    pub action: BulkAction,
    pub selection: Selection,
    /// Maximum number of orders: what was counted, and agreed to.
    pub selected: usize,
    /// Id of the token of whoever begins it.
    pub token: Option<String>,
    /// Who begins it, as the audit log calls them.
    pub actor: String,
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
    /// What became of the orders so far: `queued`, `cancelled`, `stopping`, `not_ended`,
    /// `already_ended`, `changed` or `no_such_order`, with the number of orders.
    pub outcomes: BTreeMap<String, i64>,
    /// Which orders; null if a version of before began it.
    pub selection: Option<Selection>,
    /// Who began it.
    pub actor: Option<String>,
    /// When it last recorded how far it is.
    pub seen_at: i64,
    pub ended_at: Option<i64>,
    /// Why it did not look at all orders.
    pub reason: Option<String>,
}

macro_rules! select_runs {
    ($rest:literal) => {
        concat!(
            "SELECT id, action, state, at, selected, changed, unchanged, seen_at, ended_at, reason,
                selection, actor, position, outcomes
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
            outcomes: json(row, "outcomes")?.unwrap_or_default(),
            selection: json(row, "selection")?,
            actor: row.opt_text("actor")?,
            seen_at,
            ended_at: row.opt_int("ended_at")?,
            reason: row.opt_text("reason")?,
        })
    }

    /// Orders that were looked at.
    pub fn done(&self) -> i64 {
        self.changed.saturating_add(self.unchanged)
    }
}

/// The id of the oldest run that can be claimed: nobody else has recorded anything of it since
/// `$1`, and fewer than `$2` of its tenant are being made.
macro_rules! select_claimable {
    () => {
        "SELECT b.id AS id FROM sitewright_bulk_runs b
             WHERE b.state = 'running' AND b.selection IS NOT NULL
                AND (b.owner IS NULL OR b.seen_at < $1)
                AND (b.tenant IS NULL OR (SELECT count(*) FROM sitewright_bulk_runs r
                    WHERE r.tenant = b.tenant AND r.state = 'running' AND r.owner IS NOT NULL
                        AND r.seen_at >= $1) < $2)
             ORDER BY b.at, b.id LIMIT 1"
    };
}

/// A column with a JSON text.
fn json<T: serde::de::DeserializeOwned>(row: &Row, column: &str) -> Result<Option<T>, sqlx::Error> {
    let Some(text) = row.opt_text(column)? else { return Ok(None) };
    let read = serde_json::from_str(&text);
    read.map(Some).map_err(|error| sqlx::Error::Decode(format!("`{column}`: {error}").into()))
}

fn written(value: &impl Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// A run that this process goes on with, until it loses it to another one.
#[derive(Debug)]
pub struct ClaimedBulk {
    id: String,
    /// The claim: nobody else records anything of the run as long as its row has it.
    owner: String,
    action: BulkAction,
    selection: Selection,
    cursor: SelectionCursor,
    /// Orders that may still be looked at.
    left: usize,
}

impl ClaimedBulk {
    /// Id of the run.
    pub fn id(&self) -> &str {
        &self.id
    }

    fn read(row: &Row, owner: String) -> Result<Self, sqlx::Error> {
        let left = row.int("selected")? - row.int("changed")? - row.int("unchanged")?;
        Ok(ClaimedBulk {
            id: row.text("id")?,
            owner,
            action: row.parsed("action")?,
            // Never all orders because nothing says which.
            selection: json(row, "selection")?
                .ok_or_else(|| sqlx::Error::ColumnNotFound("selection".to_owned()))?,
            cursor: json(row, "position")?.unwrap_or_default(),
            left: usize::try_from(left).unwrap_or_default(),
        })
    }
}

impl Database {
    /// Begins a run, which [`Database::claim_bulk`] returns next, and forgets old ones. `None` if
    /// [`MAX_BULK_RUNS`] have not ended, or [`MAX_BULK_RUNS_OF_TENANT`] of its tenant.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn begin_bulk(&self, run: NewBulkRun) -> Result<Option<BulkRun>, Error> {
        let id = Ulid::generate().to_string();
        self.write("recording a bulk action", move |tx| {
            let (id, run) = (id.clone(), run.clone());
            Box::pin(async move {
                bulk_lock(tx).await?;
                let now = now_ms();
                let sql = "DELETE FROM sitewright_bulk_runs WHERE seen_at < $1";
                tx.execute(sql, args![now - FORGET_AFTER_MS]).await?;
                let sql = "SELECT count(*) AS runs,
                        CAST(coalesce(sum(CASE WHEN tenant = $1 THEN 1 ELSE 0 END), 0) AS BIGINT)
                            AS own
                     FROM sitewright_bulk_runs
                     WHERE state = 'running' AND selection IS NOT NULL";
                let of_tenant = args![&run.selection.tenant];
                let row = tx.optional(sql, of_tenant).await?.ok_or(sqlx::Error::RowNotFound)?;
                let is_full =
                    row.int("runs")? >= MAX_BULK_RUNS || row.int("own")? >= MAX_BULK_RUNS_OF_TENANT;
                if is_full {
                    return Ok(None);
                }
                let NewBulkRun { action, selection, selected, token, actor } = run;
                let tenant = selection.tenant.clone();
                let name: &'static str = action.into();
                let selected = i64::try_from(selected).unwrap_or(i64::MAX);
                let sql = "INSERT INTO sitewright_bulk_runs
                        (id, action, at, seen_at, selected, selection, token_id, actor, tenant)
                     VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8)";
                let selection = written(&selection)?;
                let values = args![&id, name, now, selected, &selection, &token, &actor, &tenant];
                tx.execute(sql, values).await?;
                let row = tx.optional(select_runs!("WHERE id = $1"), args![&id]).await?;
                BulkRun::read(&row.ok_or(sqlx::Error::RowNotFound)?).map(Some)
            })
        })
        .await
    }

    /// The oldest run that no process goes on with, for this one. `None` if there is none, or only
    /// those of tenants of which two are being made, or if another process claims one right now.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn claim_bulk(&self) -> Result<Option<ClaimedBulk>, Error> {
        let doing = "looking for bulk actions";
        // Most looks find nothing, and write nothing.
        let args = args![now_ms() - LOST_AFTER_MS, AT_ONCE_OF_TENANT];
        if self.read(doing, select_claimable!(), args).await?.is_empty() {
            return Ok(None);
        }
        self.write("claiming a bulk action", move |tx| {
            let owner = Ulid::generate().to_string();
            Box::pin(async move {
                if !try_bulk_lock(tx).await? {
                    return Ok(None);
                }
                // Whoever had it may have recorded something since it was selected.
                let sql = concat!(
                    "UPDATE sitewright_bulk_runs SET owner = $3, seen_at = $4
                     WHERE id = (",
                    select_claimable!(),
                    ") AND state = 'running' AND (owner IS NULL OR seen_at < $1)
                     RETURNING id, action, selected, changed, unchanged, selection, position"
                );
                let now = now_ms();
                let values = args![now - LOST_AFTER_MS, AT_ONCE_OF_TENANT, &owner, now];
                let row = tx.optional(sql, values).await?;
                row.map(|row| ClaimedBulk::read(&row, owner)).transpose()
            })
        })
        .await
    }

    /// Changes the next orders of a run, at most [`BULK_BATCH`], and records that in the same
    /// transaction. Whether the run goes on: it does not if it has ended, if somebody has stopped
    /// it, or if another process has claimed it.
    ///
    /// # Errors
    /// If the database fails: then none of these orders was changed.
    pub async fn step_bulk(
        &self,
        run: &mut ClaimedBulk,
        config_version: Option<&str>,
    ) -> Result<bool, Error> {
        let limit = run.left.min(BULK_BATCH);
        let (orders, cursor) = match limit {
            0 => (Vec::new(), run.cursor.clone()),
            _ => self.next_selected(&run.selection, &run.cursor, limit).await?,
        };
        let count = orders.len();
        let step = Arc::new(Step {
            id: run.id.clone(),
            owner: run.owner.clone(),
            action: run.action,
            only: run.selection.states.clone(),
            orders,
            cursor: cursor.clone(),
            config: config_version.map(str::to_owned),
        });
        let river = self.river().clone();
        let doing = format!("changing {count} orders of a bulk action");
        let goes_on = self
            .write(doing, move |tx| {
                let (step, river) = (step.clone(), river.clone());
                Box::pin(async move { step.make(tx, &river).await })
            })
            .await?;
        run.cursor = cursor;
        run.left = run.left.saturating_sub(count);
        Ok(goes_on)
    }

    /// Gives a run back, so that another process goes on with it at once.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn release_bulk(&self, run: &ClaimedBulk) -> Result<(), Error> {
        let (id, owner) = (run.id.clone(), run.owner.clone());
        self.write("giving a bulk action back", move |tx| {
            let (id, owner) = (id.clone(), owner.clone());
            Box::pin(async move {
                let sql = "UPDATE sitewright_bulk_runs SET owner = NULL, seen_at = $3
                     WHERE id = $1 AND owner = $2 AND state = 'running'";
                tx.execute(sql, args![&id, &owner, now_ms()]).await.map(drop)
            })
        })
        .await
    }

    /// Records that a run cannot go on, and why.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn fail_bulk(&self, run: &ClaimedBulk, reason: &str) -> Result<(), Error> {
        let (id, owner, reason) = (run.id.clone(), run.owner.clone(), reason.to_owned());
        self.write("recording how a bulk action ended", move |tx| {
            let (id, owner, reason) = (id.clone(), owner.clone(), reason.clone());
            Box::pin(async move { end_in(tx, &id, &owner, BulkState::Failed, Some(&reason)).await })
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

    /// The newest runs, the newest first; with a tenant, only those of its orders.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn bulk_runs(&self, tenant: Option<&str>, limit: u32) -> Result<Vec<BulkRun>, Error> {
        let doing = "reading the bulk actions";
        let sql =
            select_runs!("WHERE ($1 IS NULL OR tenant = $1) ORDER BY at DESC, id DESC LIMIT $2");
        let rows = self.read(doing, sql, args![tenant, i64::from(limit)]).await?;
        let runs = rows.iter().map(BulkRun::read).collect::<Result<_, _>>();
        runs.map_err(|error| Error::database(doing, error))
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

/// A batch of a run.
struct Step {
    id: String,
    owner: String,
    action: BulkAction,
    only: Vec<OrderState>,
    orders: Vec<String>,
    /// Behind these orders.
    cursor: SelectionCursor,
    config: Option<String>,
}

impl Step {
    /// Whether the run goes on.
    async fn make(&self, tx: &mut Tx, river: &river::JobClient) -> Result<bool, sqlx::Error> {
        let Step { id, owner, action, only, orders, cursor, config } = self;
        let sql = "UPDATE sitewright_bulk_runs SET seen_at = $3
             WHERE id = $1 AND owner = $2 AND state = 'running'
             RETURNING stop_requested_at, outcomes";
        let Some(row) = tx.optional(sql, args![id, owner, now_ms()]).await? else {
            return Ok(false);
        };
        if row.opt_int("stop_requested_at")?.is_some() {
            let reason = Some("somebody stopped it");
            end_in(tx, id, owner, BulkState::Stopped, reason).await?;
            return Ok(false);
        }
        if orders.is_empty() {
            end_in(tx, id, owner, BulkState::Done, None).await?;
            return Ok(false);
        }
        let done = match action {
            BulkAction::Retry => reopen_all_in(tx, river, orders, only, config.as_deref()).await?,
            BulkAction::Cancel => cancel_all_in(tx, river, orders, only).await?,
        };
        let mut outcomes: BTreeMap<String, i64> = json(&row, "outcomes")?.unwrap_or_default();
        let (mut changed, mut unchanged) = (0_i64, 0_i64);
        for outcome in done {
            *outcomes.entry(outcome.name().to_owned()).or_default() += 1;
            match outcome.has_changed() {
                true => changed += 1,
                false => unchanged += 1,
            }
        }
        let sql = "UPDATE sitewright_bulk_runs SET changed = changed + $2,
                unchanged = unchanged + $3, outcomes = $4, position = $5 WHERE id = $1";
        let (outcomes, position) = (written(&outcomes)?, written(cursor)?);
        tx.execute(sql, args![id, changed, unchanged, &outcomes, &position]).await?;
        Ok(true)
    }
}

/// Records how a run ended, also in the audit log.
async fn end_in(
    tx: &mut Tx,
    id: &str,
    owner: &str,
    state: BulkState,
    reason: Option<&str>,
) -> Result<(), sqlx::Error> {
    let name: &'static str = state.into();
    let sql = "UPDATE sitewright_bulk_runs
         SET state = $3, reason = $4, ended_at = $5, seen_at = $5
         WHERE id = $1 AND owner = $2 AND state = 'running'
         RETURNING action, selected, changed + unchanged AS done, actor, token_id";
    let row = tx.optional(sql, args![id, owner, name, reason, now_ms()]).await?;
    let Some(row) = row else { return Ok(()) };
    let (action, selected) = (row.text("action")?, row.int("selected")?);
    let entry = NewAuditEntry {
        token: row.opt_text("token_id")?,
        actor: row.opt_text("actor")?.unwrap_or_default(),
        action: "bulk.end".to_owned(),
        target: Some(format!("{id}: {action}, {} of {selected} orders", row.int("done")?)),
        status: if state == BulkState::Failed { 500 } else { 200 },
        client: String::new(),
    };
    audit_in(tx, &entry).await
}
