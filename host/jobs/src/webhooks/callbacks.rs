//! The callbacks of single orders: which address is told of an order, and whether it wants that.

use std::sync::Arc;

use serde::Serialize;
use sitewright_model::time::now_ms;
use url::Url;

use super::CALLBACK;
use crate::database::Database;
use crate::driver::{Row, Tx, args};
use crate::error::Error;
use crate::model::is_callback;

/// The callback of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Callback {
    /// The host, with scheme and port: its path may be a key.
    pub url: String,
    /// Since when the order has it, in milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Since when nothing is sent to it, in milliseconds since the Unix epoch; null if it is
    /// enabled.
    pub disabled_at: Option<i64>,
}

impl Callback {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Callback {
            url: shown(&row.text("url")?),
            created_at: row.int("created_at")?,
            disabled_at: row.opt_int("disabled_at")?,
        })
    }
}

/// What of a URL may be shown. One of a producer that writes into the tables may be none.
fn shown(url: &str) -> String {
    let parsed = Url::parse(url).ok();
    let parts = parsed.as_ref().and_then(|url| Some((url.scheme(), url.host_str()?, url.port())));
    match parts {
        Some((scheme, host, Some(port))) => format!("{scheme}://{host}:{port}/"),
        Some((scheme, host, None)) => format!("{scheme}://{host}/"),
        None => "not a URL".to_owned(),
    }
}

/// Whether two addresses are the same. A producer that writes into the tables may write it
/// differently.
fn is_same(known: &str, url: &str) -> bool {
    known == url || Url::parse(known).ok().is_some_and(|known| Url::parse(url) == Ok(known))
}

impl Database {
    /// The callback of an order; `None` if it has none.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn callback(&self, order: &str) -> Result<Option<Callback>, Error> {
        let doing = "reading the callback of an order";
        let sql = "SELECT url, created_at, disabled_at FROM sitewright_callbacks
             WHERE order_id = $1";
        let rows = self.read(doing, sql, args![order]).await?;
        let found = rows.first().map(Callback::read).transpose();
        found.map_err(|error| Error::database(doing, error))
    }

    /// Whether an order has this callback, enabled or not.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn has_callback(&self, order: &str, url: &str) -> Result<bool, Error> {
        let doing = "comparing the callback of an order";
        let sql = "SELECT url FROM sitewright_callbacks WHERE order_id = $1";
        let rows = self.read(doing, sql, args![order]).await?;
        let known = rows.first().map(|row| row.text("url")).transpose();
        let known = known.map_err(|error| Error::database(doing, error))?;
        Ok(known.is_some_and(|known| is_same(&known, url)))
    }

    /// Gives an order another callback, which is enabled. Events that happened before are told to
    /// the one that it had then. Returns whether this changed something: not if the order has this
    /// callback already, and it is enabled.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::NoSuchOrder`]; or the database fails.
    pub async fn set_callback(&self, order: &str, url: &str) -> Result<bool, Error> {
        check_callback(order, url)?;
        let what = Arc::new((order.to_owned(), url.to_owned()));
        let set = self.write("changing the callback of an order", move |tx| {
            let what = what.clone();
            Box::pin(async move {
                if !is_order(tx, &what.0).await? {
                    return Ok(None);
                }
                set_callback_in(tx, &what.0, &what.1).await.map(Some)
            })
        });
        set.await?.ok_or_else(|| Error::NoSuchOrder { order: order.to_owned() })
    }

    /// Removes the callback of an order, and gives up what is pending for it. An attempt that is
    /// under way is not stopped. Returns whether the order had one.
    ///
    /// # Errors
    /// [`Error::NoSuchOrder`]; or the database fails.
    pub async fn remove_callback(&self, order: &str) -> Result<bool, Error> {
        let id = order.to_owned();
        let removed = self.write("removing the callback of an order", move |tx| {
            let id = id.clone();
            Box::pin(async move {
                if !is_order(tx, &id).await? {
                    return Ok(None);
                }
                give_up_in(tx, &id, None).await?;
                let sql = "DELETE FROM sitewright_callbacks WHERE order_id = $1";
                Ok(Some(tx.execute(sql, args![&id]).await? > 0))
            })
        });
        removed.await?.ok_or_else(|| Error::NoSuchOrder { order: order.to_owned() })
    }

    /// Enables callbacks that their receivers disabled: that of an order, or all. Their number.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn enable_callbacks(&self, order: Option<&str>) -> Result<u64, Error> {
        let order = order.map(str::to_owned);
        self.write("enabling callbacks", move |tx| {
            let order = order.clone();
            Box::pin(async move { enable_callbacks_in(tx, order.as_deref()).await })
        })
        .await
    }
}

/// # Errors
/// [`Error::Invalid`] if it is no URL that can be stored.
pub(crate) fn check_callback(order: &str, url: &str) -> Result<(), Error> {
    if is_callback(url) {
        return Ok(());
    }
    let why = "`callback` must be a URL of at most 2000 characters".to_owned();
    Err(Error::Invalid { order: order.to_owned(), why })
}

async fn is_order(tx: &mut Tx, id: &str) -> Result<bool, sqlx::Error> {
    let sql = "SELECT id FROM sitewright_orders WHERE id = $1";
    Ok(tx.optional(sql, args![id]).await?.is_some())
}

/// Stores the callback of an order in the place of the one that it has. Returns whether this
/// changed something.
pub(crate) async fn set_callback_in(
    tx: &mut Tx,
    order: &str,
    url: &str,
) -> Result<bool, sqlx::Error> {
    let sql = "INSERT INTO sitewright_callbacks (order_id, url, created_at)
         VALUES ($1, $2, $3) ON CONFLICT (order_id) DO UPDATE
         SET url = excluded.url, disabled_at = NULL,
            created_at = CASE WHEN sitewright_callbacks.url = excluded.url
                THEN sitewright_callbacks.created_at ELSE excluded.created_at END
         WHERE sitewright_callbacks.url <> excluded.url
            OR sitewright_callbacks.disabled_at IS NOT NULL";
    Ok(tx.execute(sql, args![order, url, now_ms()]).await? > 0)
}

/// Gives up what is pending for the callbacks of an order: for the one with this address, or for
/// all that it had.
pub(super) async fn give_up_in(
    tx: &mut Tx,
    order: &str,
    url: Option<&str>,
) -> Result<(), sqlx::Error> {
    let sql = "UPDATE sitewright_deliveries
         SET state = 'given_up', next_at = NULL, lease = NULL, ended_at = $2
         WHERE order_id = $1 AND webhook = $3 AND state = 'pending'
            AND ($4 IS NULL OR url = $4)";
    tx.execute(sql, args![order, now_ms(), CALLBACK, url]).await.map(drop)
}

pub(super) async fn enable_callbacks_in(
    tx: &mut Tx,
    order: Option<&str>,
) -> Result<u64, sqlx::Error> {
    let sql = "UPDATE sitewright_callbacks SET disabled_at = NULL
         WHERE disabled_at IS NOT NULL AND ($1 IS NULL OR order_id = $1)";
    tx.execute(sql, args![order]).await
}
