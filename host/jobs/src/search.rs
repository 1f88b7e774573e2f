//! Searching for orders by what no index has: a part of the id, and a text in the document. So that
//! a search stays fast however many orders there are, each page looks through a bounded number of
//! orders, the newest first, and says where to go on.
//!
//! A text is compared as it is: no character of it is a wildcard. Upper and lower case are the same,
//! as `lower` of the database has it: SQLite knows those of ASCII only. Documents are stored as
//! JSON, so the text that is looked for in them is escaped as JSON escapes it; it is found in values
//! and in names of fields.

use super::database::Database;
use super::driver::{Row, args};
use super::error::Error;
use super::listing::Conditions;
use super::model::{Filter, Order, OrderCursor};
use super::order::select_orders;

/// Maximum number of orders that one page of a search by id looks through.
pub const LOOKED_THROUGH: u32 = 10_000;
/// Maximum number of orders whose documents one page of a search looks through.
pub const DOCUMENTS_LOOKED_THROUGH: u32 = 2_000;
/// Maximum bytes of these documents together, and one document more. 64 MiB: real orders have less
/// than 20 MB in all, and whoever adds orders of a mebibyte must not keep the database busy for
/// seconds with each page.
const DOCUMENT_BYTES: i64 = 64 << 20;

/// Which orders to look for. All conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// What an index has; where the page begins; and its length, at least 1.
    pub filter: Filter,
    /// A part of the id, in upper or lower case.
    pub text: Option<String>,
    /// A text in the document, in upper or lower case.
    pub in_document: Option<String>,
}

/// A page of a search, the newest order first.
#[derive(Debug, Clone)]
pub struct Found {
    pub orders: Vec<Order>,
    /// Where the next page begins; `None` if there is nothing behind.
    pub next: Option<OrderCursor>,
    /// The number of orders that the page looked through, if it ends because of that.
    pub cut_after: Option<u32>,
}

impl Search {
    /// The number of orders that a page looks through; `None` if an index has what is wanted.
    fn looks_through(&self) -> Option<u32> {
        match (&self.text, &self.in_document) {
            (None, None) => None,
            (Some(_), None) => Some(LOOKED_THROUGH),
            (_, Some(_)) => Some(DOCUMENTS_LOOKED_THROUGH),
        }
    }
}

impl Database {
    /// Looks for orders.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn search(&self, search: &Search) -> Result<Found, Error> {
        let limit = usize::try_from(search.filter.limit).unwrap_or(usize::MAX);
        let looks_through = search.looks_through();
        // One more, to know whether there is a next page.
        let limit_and_one = search.filter.limit.saturating_add(1);
        let (mut orders, until) = match looks_through {
            None => {
                let filter = Filter { limit: limit_and_one, ..search.filter.clone() };
                (self.orders(&filter).await?, None)
            }
            Some(most) => {
                // First, so that an order that comes, or fits no more, while the page looks moves
                // none behind the place where the next page begins.
                let until = self.looked_until(search, most).await?;
                let last = until.as_ref().map(|(last, _)| last);
                let orders = self.look_through(search, most, limit_and_one, last).await?;
                (orders, until)
            }
        };
        if orders.len() > limit {
            orders.truncate(limit);
            let next = orders.last().map(OrderCursor::from);
            return Ok(Found { orders, next, cut_after: None });
        }
        let (next, cut_after) = until.unzip();
        Ok(Found { orders, next, cut_after })
    }

    /// The orders that fit, at most `limit`, among those that an index finds: not behind `until`,
    /// which is the last of the first `most` if there are as many.
    async fn look_through(
        &self,
        search: &Search,
        most: u32,
        limit: u32,
        until: Option<&OrderCursor>,
    ) -> Result<Vec<Order>, Error> {
        let mut wanted = Conditions::of(&search.filter, self.pool());
        if let Some(OrderCursor { created_at, id }) = until {
            wanted.and(
                "created_at >= ? AND (created_at > ? OR id >= ?)",
                args![*created_at, *created_at, id],
            );
        }
        // Others may have come since `until` was found.
        let most = wanted.value(i64::from(most).saturating_mul(2));
        let position = self.pool().pick("instr", "strpos");
        // Whoever looks for an id reads no document.
        let document = if search.in_document.is_some() { ", document" } else { "" };
        let candidates = format!(
            "SELECT id, created_at{document} FROM sitewright_orders WHERE {}
             ORDER BY created_at DESC, id DESC LIMIT {most}",
            wanted.sql()
        );
        let mut fits = Vec::new();
        if let Some(text) = &search.text {
            let text = wanted.value(text);
            fits.push(format!("{position}(lower(w.id), lower({text})) > 0"));
        }
        if let Some(text) = &search.in_document {
            let text = wanted.value(&in_json(text));
            fits.push(format!("{position}(lower(w.document), lower({text})) > 0"));
        }
        let limit = wanted.value(i64::from(limit));
        let sql = format!(
            "{} WHERE id IN (SELECT w.id FROM ({candidates}) AS w WHERE {}
                ORDER BY w.created_at DESC, w.id DESC LIMIT {limit})
             ORDER BY created_at DESC, id DESC",
            select_orders!(""),
            fits.join(" AND ")
        );
        let rows = self.read_composed("searching for orders", sql, wanted.into_values()).await?;
        rows.iter().map(Order::read).collect()
    }

    /// The last order that a page looks through, if there are as many, and its place among them.
    async fn looked_until(
        &self,
        search: &Search,
        most: u32,
    ) -> Result<Option<(OrderCursor, u32)>, Error> {
        let doing = "searching for orders";
        let mut wanted = Conditions::of(&search.filter, self.pool());
        let last = wanted.value(i64::from(most));
        let sql = if search.in_document.is_some() {
            let bytes = wanted.value(DOCUMENT_BYTES);
            format!(
                "SELECT created_at, id, place FROM (
                    SELECT created_at, id,
                        row_number() OVER (ORDER BY created_at DESC, id DESC) AS place,
                        sum(own) OVER (ORDER BY created_at DESC, id DESC) AS bytes
                    FROM (SELECT created_at, id, octet_length(document) AS own
                        FROM sitewright_orders WHERE {}
                        ORDER BY created_at DESC, id DESC LIMIT {last}) AS newest) AS counted
                 WHERE place = {last} OR bytes >= {bytes}
                 ORDER BY created_at DESC, id DESC LIMIT 1",
                wanted.sql()
            )
        } else {
            // Whoever looks for an id reads no document.
            format!(
                "SELECT created_at, id, CAST({last} AS BIGINT) AS place FROM sitewright_orders
                 WHERE {} ORDER BY created_at DESC, id DESC
                 LIMIT 1 OFFSET CAST({last} AS BIGINT) - 1",
                wanted.sql()
            )
        };
        let rows = self.read_composed(doing, sql, wanted.into_values()).await?;
        let found = |row: &Row| -> Result<(OrderCursor, u32), sqlx::Error> {
            let last = OrderCursor { created_at: row.int("created_at")?, id: row.text("id")? };
            Ok((last, u32::try_from(row.int("place")?).unwrap_or(most)))
        };
        rows.first().map(found).transpose().map_err(|error| Error::database(doing, error))
    }
}

/// A text as JSON has it inside of quotation marks.
fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}
