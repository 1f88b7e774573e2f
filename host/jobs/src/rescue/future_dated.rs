//! Unclaimed orders that are dated in the future, since the clock was set back.

use sitewright_model::time::now_ms;

use super::{CHUNK, Rescued, Rescuer};
use crate::driver::river;
use crate::driver::{Tx, args};
use crate::error::Error;
use crate::locks::try_rescue_lock;

/// Clocks of several machines may differ by this much, in milliseconds. An order that is further
/// ahead was written before the clock was set back.
const CLOCK_TOLERANCE_MS: i64 = 30_000;

impl Rescuer {
    /// Dates orders back that would wait for as long as the clock was set back. They keep what was
    /// left of their wait.
    pub(crate) async fn future_dated(&mut self) -> Result<Rescued, Error> {
        let doing = "looking for future-dated orders";
        let failed = |error| Error::database(doing, error);
        let sql = self.database.pool().queries().future_dated.as_str();
        let beyond = now_ms().saturating_add(CLOCK_TOLERANCE_MS);
        let rows = self.database.read(doing, sql, args![beyond]).await?;
        let found: Vec<String> =
            rows.iter().map(|row| row.text("id")).collect::<Result<_, _>>().map_err(failed)?;
        let mut rescued = Rescued::default();
        for chunk in found.chunks(CHUNK) {
            let (river, chunk) = (self.database.river().clone(), chunk.to_vec());
            let done = self.database.write(doing.to_owned(), move |tx| {
                let (river, chunk) = (river.clone(), chunk.clone());
                Box::pin(async move {
                    let mut dated = Vec::new();
                    if try_rescue_lock(tx).await? {
                        for order in chunk {
                            if date_back(tx, &river, &order, beyond).await? {
                                dated.push(order);
                            }
                        }
                    }
                    Ok(dated)
                })
            });
            for order in done.await? {
                tracing::warn!(
                    order,
                    "the order was future-dated because the clock was set back: its date is corrected"
                );
                rescued.requeued.push(order);
            }
        }
        Ok(rescued)
    }
}

/// `false` if the order is not future-dated any more. `beyond` is the latest plausible time.
async fn date_back(
    tx: &mut Tx,
    river: &river::JobClient,
    order: &str,
    beyond: i64,
) -> Result<bool, sqlx::Error> {
    let now = now_ms();
    let back = &tx.queries().date_back;
    let dated = tx.optional(back, args![order, now, beyond]).await?;
    let Some(row) = dated else { return Ok(false) };
    let due = row.opt_int("next_attempt_at")?;
    let new =
        river::replace(river, tx, order, row.int("priority")?, row.opt_int("job_id")?, None, due)
            .await?;
    tx.execute("UPDATE sitewright_orders SET job_id = $2 WHERE id = $1", args![order, new]).await?;
    Ok(true)
}
