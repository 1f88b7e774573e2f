//! Searching for orders by what no index has: a part of the id, and the kind of the last failure.
//! So that a search stays fast however many orders there are, each page looks through a bounded
//! number of orders, the newest first, and says where to go on.

use super::database::Database;
use super::driver::{Row, args};
use super::error::Error;
use super::model::{Filter, Order, OrderCursor, OrderState};
use super::order::select_orders;

/// Maximum number of orders that one page of a search looks through.
pub const LOOKED_THROUGH: u32 = 10_000;

/// Which orders to look for. All conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct Search {
    pub state: Option<OrderState>,
    pub template: Option<String>,
    /// The kind of the order's last failure.
    pub kind: Option<String>,
    /// A part of the id, in upper or lower case.
    pub text: Option<String>,
    /// The label of whoever the orders are for.
    pub tenant: Option<String>,
    /// Only orders behind this one: [`Found::next`] of the page before.
    pub after: Option<OrderCursor>,
    /// Maximum number of orders of a page.
    pub limit: u32,
}

/// A page of a search, the newest order first.
#[derive(Debug, Clone)]
pub struct Found {
    pub orders: Vec<Order>,
    /// Where the next page begins; `None` if there is nothing behind.
    pub next: Option<OrderCursor>,
    /// Whether the page ends because it looked through [`LOOKED_THROUGH`] orders.
    pub is_cut: bool,
}

/// The orders that a page looks through: all behind `$1` and `$2`, those in a state, or those of a
/// tenant, which may be in a state. On SQLite the state is looked up in its index, as in
/// [`Database::orders`].
macro_rules! candidates {
    (any $($rest:tt)+) => {
        concat!(
            "FROM sitewright_orders WHERE created_at <= $1 AND (created_at < $1 OR id < $2)
             ORDER BY created_at DESC, id DESC ",
            $($rest)+
        )
    };
    (sqlite $state:literal $($rest:tt)+) => {
        concat!(
            "FROM sitewright_orders WHERE created_at <= $1 AND (created_at < $1 OR id < $2)
             AND +rowid IN (SELECT rowid FROM sitewright_orders WHERE state = ", $state, ")
             ORDER BY created_at DESC, id DESC ",
            $($rest)+
        )
    };
    (tenant $tenant:literal $state:literal $($rest:tt)+) => {
        concat!(
            "FROM sitewright_orders WHERE created_at <= $1 AND (created_at < $1 OR id < $2)
             AND tenant = ", $tenant, " AND (", $state, " IS NULL OR state = ", $state, ")
             ORDER BY created_at DESC, id DESC ",
            $($rest)+
        )
    };
    (postgres $state:literal $($rest:tt)+) => {
        concat!(
            "FROM sitewright_orders WHERE created_at <= $1 AND (created_at < $1 OR id < $2)
             AND state = ", $state, " ORDER BY created_at DESC, id DESC ",
            $($rest)+
        )
    };
}

macro_rules! found {
    ($position:literal, $($candidates:tt)+) => {
        select_orders!(concat!(
            "WHERE id IN (SELECT w.id FROM (
                SELECT id, created_at, template, last_failure ",
            candidates!($($candidates)+ "LIMIT $3"),
            ") AS w WHERE ($4 IS NULL OR w.template = $4)
                AND ($5 IS NULL OR EXISTS (SELECT 1 FROM sitewright_failures f
                    WHERE f.id = w.last_failure AND f.kind = $5))
                AND ($6 IS NULL OR ", $position, "(lower(w.id), $6) > 0)
                ORDER BY w.created_at DESC, w.id DESC LIMIT $7)
             ORDER BY created_at DESC, id DESC"
        ))
    };
}

/// The last order that a page looks through, if there are as many.
macro_rules! last {
    ($($candidates:tt)+) => {
        concat!("SELECT created_at, id ", candidates!($($candidates)+ "LIMIT 1 OFFSET $3"))
    };
}

impl Database {
    /// Looks for orders.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn search(&self, search: &Search) -> Result<Found, Error> {
        let limit = usize::try_from(search.limit).unwrap_or(usize::MAX);
        let is_indexed = search.kind.is_none() && search.text.is_none();
        // One more, to know whether there is a next page.
        let mut orders = if is_indexed {
            let filter = Filter {
                state: search.state,
                template: search.template.clone(),
                tenant: search.tenant.clone(),
                after: search.after.clone(),
                limit: search.limit.saturating_add(1),
            };
            self.orders(&filter).await?
        } else {
            self.look_through(search).await?
        };
        if orders.len() > limit {
            orders.truncate(limit);
            let next = orders.last().map(OrderCursor::from);
            return Ok(Found { orders, next, is_cut: false });
        }
        let next = if is_indexed { None } else { self.looked_until(search).await? };
        Ok(Found { orders, is_cut: next.is_some(), next })
    }

    async fn look_through(&self, search: &Search) -> Result<Vec<Order>, Error> {
        let (created_at, id) = begin(search);
        // As `lower` of each database does it: SQLite knows ASCII only.
        let text = search.text.as_ref().map(|text| match self.is_embedded() {
            true => text.to_ascii_lowercase(),
            false => text.to_lowercase(),
        });
        let mut values = args![
            created_at,
            id,
            i64::from(LOOKED_THROUGH),
            &search.template,
            &search.kind,
            &text,
            i64::from(search.limit).saturating_add(1)
        ];
        let sql = match search.state {
            state if search.tenant.is_some() => {
                values.extend(args![&search.tenant, state.map(OrderState::as_str)]);
                let sqlite = found!("instr", tenant "$8" "$9");
                self.pool().pick(sqlite, found!("strpos", tenant "$8" "$9"))
            }
            None => self.pool().pick(found!("instr", any), found!("strpos", any)),
            Some(state) => {
                values.extend(args![state.as_str()]);
                self.pool().pick(found!("instr", sqlite "$8"), found!("strpos", postgres "$8"))
            }
        };
        self.read("searching for orders", sql, values).await?.iter().map(Order::read).collect()
    }

    async fn looked_until(&self, search: &Search) -> Result<Option<OrderCursor>, Error> {
        let doing = "searching for orders";
        let (created_at, id) = begin(search);
        let mut values = args![created_at, id, i64::from(LOOKED_THROUGH) - 1];
        let sql = match search.state {
            state if search.tenant.is_some() => {
                values.extend(args![&search.tenant, state.map(OrderState::as_str)]);
                last!(tenant "$4" "$5")
            }
            None => last!(any),
            Some(state) => {
                values.extend(args![state.as_str()]);
                self.pool().pick(last!(sqlite "$4"), last!(postgres "$4"))
            }
        };
        let rows = self.read(doing, sql, values).await?;
        let cursor = |row: &Row| -> Result<OrderCursor, sqlx::Error> {
            Ok(OrderCursor { created_at: row.int("created_at")?, id: row.text("id")? })
        };
        let cursor = rows.first().map(cursor).transpose();
        cursor.map_err(|error| Error::database(doing, error))
    }
}

/// No order comes before all others: every id has a character.
fn begin(search: &Search) -> (i64, &str) {
    match &search.after {
        Some(cursor) => (cursor.created_at, cursor.id.as_str()),
        None => (i64::MAX, ""),
    }
}
