//! All orders that fit what somebody looks for: how many, and which, a batch at a time. For changes
//! of many orders that go on while the orders change: nothing is kept between two batches, and each
//! order is come by once.

use super::database::Database;
use super::driver::{Row, Value, args};
use super::error::Error;
use super::model::OrderState;

/// Which orders. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matching {
    pub template: Option<String>,
    /// The kind of the order's last failure.
    pub kind: Option<String>,
    /// A part of the id, in upper or lower case.
    pub text: Option<String>,
    /// Only orders whose state has not changed since then, in milliseconds since the Unix epoch.
    pub until: i64,
}

/// Where the next batch begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MatchingCursor {
    updated_at: i64,
    id: String,
}

macro_rules! matching {
    ($select:literal, $position:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $select,
            " FROM sitewright_orders WHERE state = $1 AND updated_at <= $2
                AND ($3 IS NULL OR template = $3)
                AND ($4 IS NULL OR EXISTS (SELECT 1 FROM sitewright_failures f
                    WHERE f.id = last_failure AND f.kind = $4))
                AND ($5 IS NULL OR ",
            $position,
            "(lower(id), $5) > 0) ",
            $rest
        )
    };
}

macro_rules! batch {
    ($position:literal) => {
        matching!(
            "id, updated_at",
            $position,
            "AND updated_at >= $6 AND (updated_at > $6 OR id > $7)
             ORDER BY updated_at, id LIMIT $8"
        )
    };
}

impl Database {
    /// The number of orders in a state that fit.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_matching(
        &self,
        state: OrderState,
        matching: &Matching,
    ) -> Result<i64, Error> {
        let doing = "counting the orders that fit";
        let failed = |error| Error::database(doing, error);
        let sql = self.pool().pick(
            matching!("count(*) AS orders", "instr", ""),
            matching!("count(*) AS orders", "strpos", ""),
        );
        let rows = self.read(doing, sql, self.conditions(state, matching)).await?;
        let row = rows.first().ok_or_else(|| failed(sqlx::Error::RowNotFound))?;
        row.int("orders").map_err(failed)
    }

    /// The next orders in a state that fit, at most `limit`, those first whose state changed first;
    /// and where the batch after it begins.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn next_matching(
        &self,
        state: OrderState,
        matching: &Matching,
        after: &MatchingCursor,
        limit: usize,
    ) -> Result<(Vec<String>, MatchingCursor), Error> {
        let doing = "selecting the orders that fit";
        let mut values = self.conditions(state, matching);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        values.extend(args![after.updated_at, &after.id, limit]);
        let sql = self.pool().pick(batch!("instr"), batch!("strpos"));
        let rows = self.read(doing, sql, values).await?;
        let read = |row: &Row| -> Result<MatchingCursor, sqlx::Error> {
            Ok(MatchingCursor { updated_at: row.int("updated_at")?, id: row.text("id")? })
        };
        let found: Result<Vec<MatchingCursor>, _> = rows.iter().map(read).collect();
        let found = found.map_err(|error| Error::database(doing, error))?;
        let next = found.last().cloned().unwrap_or_else(|| after.clone());
        Ok((found.into_iter().map(|order| order.id).collect(), next))
    }

    fn conditions(&self, state: OrderState, matching: &Matching) -> Vec<Value> {
        // As `lower` of each database does it: SQLite knows ASCII only.
        let text = matching.text.as_ref().map(|text| match self.is_embedded() {
            true => text.to_ascii_lowercase(),
            false => text.to_lowercase(),
        });
        args![state.as_str(), matching.until, &matching.template, &matching.kind, &text]
    }
}
