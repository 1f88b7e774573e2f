//! Which release of an order is the current one, if an operator chooses.

use std::sync::Arc;

use sitewright_model::time::now_ms;

use super::database::Database;
use super::driver::{Tx, args};
use super::error::Error;

/// The stage of the event that tells of it.
const STAGE: &str = "release chosen";

/// The answer to choosing a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseChoice {
    /// It is the current one from now on. It has to be activated.
    Chosen {
        /// The one that was current before.
        before: Option<String>,
    },
    /// It was the current one already.
    Unchanged,
    /// Another one is current than the caller expected, and stays.
    Moved { current: Option<String> },
}

struct Choice {
    order: String,
    release: String,
    expected: Option<String>,
}

impl Database {
    /// Makes a release of an order its current one, whatever state the order is in: the next one
    /// that is made replaces it. `expected` is the one that the caller takes for the current one;
    /// without it, any is replaced. What visitors see follows with [`Database::mark_activated`].
    ///
    /// # Errors
    /// [`Error::NoSuchOrder`]; or the database fails.
    pub async fn choose_release(
        &self,
        order: &str,
        release: &str,
        expected: Option<&str>,
    ) -> Result<ReleaseChoice, Error> {
        let choice = Arc::new(Choice {
            order: order.to_owned(),
            release: release.to_owned(),
            expected: expected.map(str::to_owned),
        });
        let chosen = self.write(format!("choosing a release of order {order:?}"), move |tx| {
            let choice = Arc::clone(&choice);
            Box::pin(async move { choose_in(tx, &choice).await })
        });
        chosen.await?.ok_or_else(|| Error::NoSuchOrder { order: order.to_owned() })
    }
}

async fn choose_in(tx: &mut Tx, choice: &Choice) -> Result<Option<ReleaseChoice>, sqlx::Error> {
    let Choice { order, release, expected } = choice;
    let sql = "SELECT current_release FROM sitewright_orders WHERE id = $1";
    let Some(row) = tx.optional(sql, args![order]).await? else { return Ok(None) };
    let before = row.opt_text("current_release")?;
    if before.as_ref() == Some(release) {
        return Ok(Some(ReleaseChoice::Unchanged));
    }
    if expected.is_some() && before != *expected {
        return Ok(Some(ReleaseChoice::Moved { current: before }));
    }
    // A worker may complete the order at this moment: its release is newer, and stays.
    //
    // The time of the row stays as well: an order that has ended ended then.
    let sql = "UPDATE sitewright_orders SET current_release = $2
         WHERE id = $1 AND (current_release = $3 OR ($3 IS NULL AND current_release IS NULL))";
    if tx.execute(sql, args![order, release, &before]).await? == 0 {
        let sql = "SELECT current_release FROM sitewright_orders WHERE id = $1";
        let Some(row) = tx.optional(sql, args![order]).await? else { return Ok(None) };
        return Ok(Some(ReleaseChoice::Moved { current: row.opt_text("current_release")? }));
    }
    let message = match &before {
        Some(before) => format!("an operator made {release} current; before, it was {before}"),
        None => format!("an operator made {release} current"),
    };
    let sql = "INSERT INTO sitewright_events (order_id, at, stage, message)
         VALUES ($1, $2, $3, $4)";
    tx.execute(sql, args![order, now_ms(), STAGE, &message]).await?;
    Ok(Some(ReleaseChoice::Chosen { before }))
}
