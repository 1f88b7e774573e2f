//! Sums of hours that are over: of AI replies, and of orders that have ended. Pages about months add
//! up some rows for each hour instead of each reply or order.
//!
//! A row of `sitewright_summed_hours` announces that an hour is about to be summed up. From then on
//! whoever changes a row of that hour takes it out again, by a trigger, with the sums that there are.
//! So sums are those of the rows, or there are none, and then the rows are read: of the present hour,
//! of one that has just changed, and after an upgrade of all that were not summed up yet. Sums have
//! no personal data, and go with the rows that are erased or have expired.
//!
//! To add up a busy hour takes seconds, so it is done outside of the transaction that stores the
//! sums, which others share: if the row is still the one that was announced before, no row of the
//! hour has changed since. Each announcement has an id, because a process that is slow may find
//! that of another one.
//!
//! The macro `gaps` is what a statement begins with that adds up both.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde_json::{Value as Json, json};
use sitewright_model::time::now_ms;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use ulid::Ulid;

use super::coalesced::{json_rows, over_json};
use super::database::Database;
use super::driver::{Row, Tx, args, sql};
use super::error::Error;
use super::spend::sums;

/// Milliseconds of an hour.
pub(super) const HOUR_MS: i64 = 3_600_000;
/// Hours before are not summed up: 367 days, one more than costs are added up for.
const SUMMED_MS: i64 = 367 * 24 * HOUR_MS;
/// How long an hour has been over before it is summed up: clocks of workers differ, and each row
/// that comes late has its hour summed up once more.
const SETTLED_MS: i64 = 5 * 60_000;
/// Hours that are summed up at a time, of each subject.
const HOURS_AT_ONCE: usize = 500;
/// Time between two looks for hours that are over.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How long those are waited for who may not have seen that hours are announced.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

/// What fails when an hour cannot be summed up.
const SUMMING: &str = "summing up an hour that is over";

/// What is summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
enum Subject {
    /// AI replies, by when they were stored.
    Ai,
    /// Orders that have ended, by when they did.
    Ended,
}

impl Subject {
    const ALL: [Subject; 2] = [Subject::Ai, Subject::Ended];

    /// As the database has it.
    fn as_str(self) -> &'static str {
        self.into()
    }
}

/// An hour that is announced and not summed up.
struct Announced {
    /// When it began.
    hour: i64,
    /// The id of its announcement.
    announcement: String,
}

/// The sums of an hour: rows of its tables, each list a JSON text.
#[derive(Clone)]
enum Sums {
    Ai(ReplySums),
    Ended(String),
}

/// The sums of the AI replies of an hour.
#[derive(Clone)]
struct ReplySums {
    by_template: String,
    by_tenant: String,
    by_label: String,
}

/// What the AI replies of an hour sum up to, of one label.
struct LabelSums {
    /// Purpose, provider, model and template.
    key: [Option<String>; 4],
    tenant: Option<String>,
    sums: [i64; 5],
}

impl LabelSums {
    fn row(&self) -> Vec<Json> {
        let columns = self.key.iter().chain([&self.tenant]).map(|column| json!(column));
        columns.chain(self.sums.map(Json::from)).collect()
    }
}

/// The beginning of a statement: the table `summed` has the hours of a subject within a period whose
/// sums are right, by a condition if it is another one than that there are any, and `gaps` what is
/// between them, from `begins` to before `ends`.
macro_rules! gaps {
    ($subject:literal, $since:literal, $until:literal) => {
        gaps!($subject, $since, $until, "built = 1")
    };
    ($subject:literal, $since:literal, $until:literal, $right:literal) => {
        concat!(
            "WITH summed AS (SELECT hour FROM sitewright_summed_hours
                WHERE subject = '",
            $subject,
            "' AND ",
            $right,
            " AND hour >= ",
            $since,
            " AND hour + 3600000 <= ",
            $until,
            "), gaps AS (
                SELECT begins, coalesce(lead(hour) OVER (ORDER BY begins), ",
            $until,
            ") AS ends
                FROM (SELECT CAST(NULL AS BIGINT) AS hour, CAST(",
            $since,
            " AS BIGINT) AS begins
                    UNION ALL SELECT hour, hour + 3600000 FROM summed) AS edges) "
        )
    };
}
pub(super) use gaps;

/// Whether sums of hours fit a period whose spans begin at `origin` and last `span_ms` milliseconds.
pub(super) fn fit(origin: i64, span_ms: i64) -> bool {
    span_ms >= HOUR_MS && span_ms % HOUR_MS == 0 && origin % HOUR_MS == 0
}

impl Database {
    /// Sums up the hours that are over, every minute, until this is dropped. Any number of processes
    /// may do so. What fails is left to the next minute: pages read the rows meanwhile.
    pub async fn sum_hours_regularly(&self) {
        let mut ticks = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // After an upgrade there are more hours than one step sums up.
            loop {
                match self.sum_hours().await {
                    Ok(hours) if hours >= HOURS_AT_ONCE => {}
                    Ok(_) => break,
                    Err(error) => {
                        tracing::debug!(%error, "hours that are over are summed up later");
                        break;
                    }
                }
            }
        }
    }

    /// Sums up hours that are over and have no sums, the newest first: at most 500 of AI replies and
    /// 500 of orders that have ended. Adds what is missing to at most 500 hours that a program of
    /// an earlier version has summed up. Their number.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sum_hours(&self) -> Result<usize, Error> {
        let mut summed = self.label_hours().await?;
        let mut announced = Vec::new();
        for subject in Subject::ALL {
            for hour in self.announce_hours(subject).await? {
                announced.push((subject, hour));
            }
        }
        if announced.is_empty() || !self.all_have_seen().await? {
            return Ok(summed);
        }
        for (subject, hour) in &announced {
            summed += usize::from(self.sum_hour(*subject, hour).await?);
        }
        Ok(summed)
    }

    /// Announces hours that are over, and takes those out that have no rows any more, because they
    /// are long past. The hours that are announced and not summed up.
    async fn announce_hours(&self, subject: Subject) -> Result<Vec<Announced>, Error> {
        let doing = "looking for hours that are over";
        let failed = |error| Error::database(doing, error);
        let now = now_ms();
        let first = match subject {
            Subject::Ai => {
                "SELECT min(created_at) AS first_at FROM sitewright_ai_calls WHERE created_at >= $1"
            }
            // Each is read from the end of an index.
            Subject::Ended => {
                "SELECT min(first_at) AS first_at FROM (
                    SELECT min(updated_at) AS first_at FROM sitewright_orders
                        WHERE state = 'succeeded' AND updated_at >= $1
                    UNION ALL SELECT min(updated_at) FROM sitewright_orders
                        WHERE state = 'failed' AND updated_at >= $1
                    UNION ALL SELECT min(updated_at) FROM sitewright_orders
                        WHERE state = 'dead' AND updated_at >= $1
                    UNION ALL SELECT min(updated_at) FROM sitewright_orders
                        WHERE state = 'cancelled' AND updated_at >= $1) AS firsts"
            }
        };
        let rows = self.read(doing, first, args![hour_of(now - SUMMED_MS)]).await?;
        let first = rows.first().map_or(Ok(None), |row| row.opt_int("first_at")).map_err(failed)?;
        let first = first.map_or(i64::MAX, hour_of);
        let end = hour_of(now - SETTLED_MS);
        let known = "SELECT hour, built, announcement FROM sitewright_summed_hours
             WHERE subject = $1";
        let (mut known_hours, mut waiting, mut has_past) = (HashSet::new(), Vec::new(), false);
        for row in self.read(doing, known, args![subject.as_str()]).await? {
            let hour = row.int("hour").map_err(failed)?;
            known_hours.insert(hour);
            has_past |= hour < first;
            if hour >= first && row.int("built").map_err(failed)? == 0 {
                let announcement = row.text("announcement").map_err(failed)?;
                waiting.push(Announced { hour, announcement });
            }
        }
        waiting.sort_unstable_by_key(|announced| Reverse(announced.hour));
        waiting.truncate(HOURS_AT_ONCE);
        let mut new = Vec::new();
        let mut hour = end.saturating_sub(HOUR_MS);
        while hour >= first && waiting.len() + new.len() < HOURS_AT_ONCE {
            if !known_hours.contains(&hour) {
                new.push(hour);
            }
            hour -= HOUR_MS;
        }
        let announcement = Ulid::generate().to_string();
        if has_past || !new.is_empty() {
            let list = json_rows(new.iter().map(|hour| vec![json!(hour)]));
            let id = announcement.clone();
            self.write(doing, move |tx| {
                let (list, id) = (list.clone(), id.clone());
                Box::pin(async move {
                    let past = "DELETE FROM sitewright_summed_hours
                         WHERE subject = $1 AND hour < $2";
                    tx.execute(past, args![subject.as_str(), first]).await?;
                    // `WHERE true`: SQLite would take `ON CONFLICT` for a join otherwise.
                    let announce = over_json!(
                        tx,
                        "INSERT INTO sitewright_summed_hours (subject, hour, announcement)
                         SELECT CAST($2 AS TEXT), CAST(t.value ->> 0 AS BIGINT),
                            CAST($3 AS TEXT) FROM ",
                        " WHERE true ON CONFLICT (subject, hour) DO NOTHING"
                    );
                    tx.execute(announce, args![&list, subject.as_str(), &id]).await.map(drop)
                })
            })
            .await?;
        }
        // Those that another process has announced meanwhile have another id, and are left to it.
        let announced = |hour| Announced { hour, announcement: announcement.clone() };
        waiting.extend(new.into_iter().map(announced));
        Ok(waiting)
    }

    /// Waits until nobody writes any more who has begun before the hours were announced, and whose
    /// triggers may not have seen it. `false` if somebody takes too long. On SQLite one writes at a
    /// time.
    async fn all_have_seen(&self) -> Result<bool, Error> {
        if self.is_embedded() {
            return Ok(true);
        }
        // All transactions before this one have begun, and those from the other one on have not ended.
        let begun = "SELECT txid_snapshot_xmax(txid_current_snapshot()) AS number";
        let open = "SELECT txid_snapshot_xmin(txid_current_snapshot()) AS number";
        let begun = self.transaction_number(begun).await?;
        let until = Instant::now() + SEEN_WITHIN;
        while self.transaction_number(open).await? < begun {
            if Instant::now() >= until {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(true)
    }

    async fn transaction_number(&self, sql: &'static str) -> Result<i64, Error> {
        let doing = "waiting for those who write";
        let rows = self.read(doing, sql, vec![]).await?;
        let number = rows.first().map_or(Ok(0), |row| row.int("number"));
        number.map_err(|error| Error::database(doing, error))
    }

    /// Sums up an hour that is announced. `false` if a row of it has changed since, or another
    /// process has summed it up.
    async fn sum_hour(&self, subject: Subject, announced: &Announced) -> Result<bool, Error> {
        let (hour, announcement) = (announced.hour, announced.announcement.clone());
        let sums = match subject {
            Subject::Ai => Sums::Ai(self.sums_of_replies(hour).await?),
            Subject::Ended => self.sums_of_ended_orders(hour).await?,
        };
        self.write(SUMMING, move |tx| {
            let (sums, announcement) = (sums.clone(), announcement.clone());
            Box::pin(async move {
                // Whoever changes a row of the hour from now on waits, and then takes it out.
                let built = "UPDATE sitewright_summed_hours SET built = 1, labelled = 1
                     WHERE subject = $1 AND hour = $2 AND built = 0 AND announcement = $3";
                if tx.execute(built, args![subject.as_str(), hour, &announcement]).await? == 0 {
                    return Ok(false);
                }
                match &sums {
                    Sums::Ai(ReplySums { by_template, by_tenant, by_label }) => {
                        let insert = over_json!(
                            tx,
                            "INSERT INTO sitewright_ai_sums (hour, purpose, provider, model,
                                template, calls, nano_usd, input_tokens, output_tokens, unpriced)
                             SELECT CAST($2 AS BIGINT), t.value ->> 0, t.value ->> 1,
                                t.value ->> 2, t.value ->> 3, CAST(t.value ->> 4 AS BIGINT),
                                CAST(t.value ->> 5 AS BIGINT), CAST(t.value ->> 6 AS BIGINT),
                                CAST(t.value ->> 7 AS BIGINT), CAST(t.value ->> 8 AS BIGINT)
                             FROM ",
                            ""
                        );
                        tx.execute(insert, args![by_template, hour]).await?;
                        let insert = over_json!(
                            tx,
                            "INSERT INTO sitewright_ai_tenant_sums (hour, tenant, calls, nano_usd,
                                input_tokens, output_tokens)
                             SELECT CAST($2 AS BIGINT), t.value ->> 0,
                                CAST(t.value ->> 1 AS BIGINT), CAST(t.value ->> 2 AS BIGINT),
                                CAST(t.value ->> 3 AS BIGINT), CAST(t.value ->> 4 AS BIGINT)
                             FROM ",
                            ""
                        );
                        tx.execute(insert, args![by_tenant, hour]).await?;
                        store_labels(tx, by_label, hour).await?;
                    }
                    Sums::Ended(by_state) => {
                        let insert = over_json!(
                            tx,
                            "INSERT INTO sitewright_ended_sums (hour, state, orders)
                             SELECT CAST($2 AS BIGINT), t.value ->> 0,
                                CAST(t.value ->> 1 AS BIGINT) FROM ",
                            ""
                        );
                        tx.execute(insert, args![by_state, hour]).await?;
                    }
                }
                Ok(true)
            })
        })
        .await
    }

    /// Adds the sums by label to hours of AI replies that have none, because a program of an
    /// earlier version has summed them up: the newest first, at most 500. Their number.
    async fn label_hours(&self) -> Result<usize, Error> {
        let failed = |error| Error::database(SUMMING, error);
        let unlabelled = "SELECT hour, announcement FROM sitewright_summed_hours
             WHERE subject = 'ai' AND built = 1 AND labelled = 0 ORDER BY hour DESC LIMIT $1";
        let most = i64::try_from(HOURS_AT_ONCE).unwrap_or(i64::MAX);
        let mut labelled = 0;
        for row in self.read(SUMMING, unlabelled, args![most]).await? {
            let announcement = row.text("announcement").map_err(failed)?;
            let hour = Announced { hour: row.int("hour").map_err(failed)?, announcement };
            labelled += usize::from(self.label_hour(&hour).await?);
        }
        Ok(labelled)
    }

    /// Adds the sums by label to an hour. `false` if a row of it has changed since, or another
    /// process has done so.
    async fn label_hour(&self, announced: &Announced) -> Result<bool, Error> {
        let (hour, announcement) = (announced.hour, announced.announcement.clone());
        // An announcement without an id, as programs of version 25 make them, may be a later one
        // meanwhile. The hour is announced anew.
        if announcement.is_empty() {
            return self
                .write(SUMMING, move |tx| {
                    Box::pin(async move {
                        let sql = "DELETE FROM sitewright_summed_hours WHERE subject = 'ai'
                             AND hour = $1 AND announcement = '' AND labelled = 0";
                        Ok(tx.execute(sql, args![hour]).await? > 0)
                    })
                })
                .await;
        }
        let by_label = json_rows(self.sums_by_label(hour).await?.iter().map(LabelSums::row));
        self.write(SUMMING, move |tx| {
            let (by_label, announcement) = (by_label.clone(), announcement.clone());
            Box::pin(async move {
                // As when the hour was built: a change of one of its rows waits from now on, and
                // then takes the hour out, with these sums.
                let sql = "UPDATE sitewright_summed_hours SET labelled = 1 WHERE subject = 'ai'
                     AND hour = $1 AND built = 1 AND labelled = 0 AND announcement = $2";
                if tx.execute(sql, args![hour, &announcement]).await? == 0 {
                    return Ok(false);
                }
                store_labels(tx, &by_label, hour).await?;
                Ok(true)
            })
        })
        .await
    }

    /// Adds up the AI replies of an hour, for each label.
    async fn sums_by_label(&self, hour: i64) -> Result<Vec<LabelSums>, Error> {
        macro_rules! by_label {
            ($orders:literal) => {
                concat!(
                    "SELECT c.purpose AS purpose, c.provider AS provider, c.model AS model,
                        o.template AS template, o.tenant AS tenant, ",
                    sums!(),
                    ", count(*) - count(c.cost_nano_usd) AS unpriced
                     FROM sitewright_ai_calls c LEFT JOIN ",
                    $orders,
                    " ON o.id = c.order_id WHERE c.created_at >= $1 AND c.created_at < $2
                     GROUP BY c.purpose, c.provider, c.model, o.template, o.tenant"
                )
            };
        }
        let failed = |error| Error::database(SUMMING, error);
        let until = hour.saturating_add(HOUR_MS);
        // What is read of orders is in an index, which SQLite would not take.
        let sql = self.pool().pick(
            by_label!("sitewright_orders o INDEXED BY sitewright_orders_named"),
            by_label!("sitewright_orders o"),
        );
        let mut by_label = Vec::new();
        for row in self.read(SUMMING, sql, args![hour, until]).await? {
            let key = [
                Some(row.text("purpose").map_err(failed)?),
                Some(row.text("provider").map_err(failed)?),
                Some(row.text("model").map_err(failed)?),
                row.opt_text("template").map_err(failed)?,
            ];
            let tenant = row.opt_text("tenant").map_err(failed)?;
            let sums = sums_of(&row).map_err(failed)?;
            by_label.push(LabelSums { key, tenant, sums });
        }
        Ok(by_label)
    }

    /// Adds up the AI replies of an hour, for each of its tables.
    async fn sums_of_replies(&self, hour: i64) -> Result<ReplySums, Error> {
        let all = self.sums_by_label(hour).await?;
        let by_label = json_rows(all.iter().map(LabelSums::row));
        let mut by_template: BTreeMap<[Option<String>; 4], [i64; 5]> = BTreeMap::new();
        let mut by_tenant: BTreeMap<Option<String>, [i64; 5]> = BTreeMap::new();
        for LabelSums { key, tenant, sums } in all {
            add(by_template.entry(key).or_default(), sums);
            add(by_tenant.entry(tenant).or_default(), sums);
        }
        let by_template = by_template.into_iter().map(|(key, sums)| {
            key.iter().map(|column| json!(column)).chain(sums.map(Json::from)).collect()
        });
        // The last of the sums is not stored by tenant.
        let by_tenant =
            by_tenant.into_iter().map(|(tenant, [calls, nano_usd, input, output, _])| {
                vec![json!(tenant), json!(calls), json!(nano_usd), json!(input), json!(output)]
            });
        Ok(ReplySums {
            by_template: json_rows(by_template),
            by_tenant: json_rows(by_tenant),
            by_label,
        })
    }

    /// Counts the orders that ended in an hour.
    async fn sums_of_ended_orders(&self, hour: i64) -> Result<Sums, Error> {
        let failed = |error| Error::database(SUMMING, error);
        let sql = sql!(
            "SELECT state, count(*) AS orders FROM sitewright_orders
             WHERE state IN {ended} AND updated_at >= $1 AND updated_at < $2 GROUP BY state"
        );
        let mut by_state = Vec::new();
        for row in self.read(SUMMING, sql, args![hour, hour.saturating_add(HOUR_MS)]).await? {
            let state = json!(row.text("state").map_err(failed)?);
            by_state.push(vec![state, json!(row.int("orders").map_err(failed)?)]);
        }
        Ok(Sums::Ended(json_rows(by_state.into_iter())))
    }
}

/// Stores the sums by label of an hour.
async fn store_labels(tx: &mut Tx, by_label: &str, hour: i64) -> Result<(), sqlx::Error> {
    let insert = over_json!(
        tx,
        "INSERT INTO sitewright_ai_label_sums (hour, purpose, provider, model, template, tenant,
            calls, nano_usd, input_tokens, output_tokens, unpriced)
         SELECT CAST($2 AS BIGINT), t.value ->> 0, t.value ->> 1, t.value ->> 2, t.value ->> 3,
            t.value ->> 4, CAST(t.value ->> 5 AS BIGINT), CAST(t.value ->> 6 AS BIGINT),
            CAST(t.value ->> 7 AS BIGINT), CAST(t.value ->> 8 AS BIGINT),
            CAST(t.value ->> 9 AS BIGINT)
         FROM ",
        ""
    );
    tx.execute(insert, args![by_label, hour]).await.map(drop)
}

/// The four sums of `sums`, and the number of replies without a price.
fn sums_of(row: &Row) -> Result<[i64; 5], sqlx::Error> {
    Ok([
        row.int("calls")?,
        row.int("nano_usd")?,
        row.int("input_tokens")?,
        row.int("output_tokens")?,
        row.int("unpriced")?,
    ])
}

fn add(sums: &mut [i64; 5], more: [i64; 5]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum = sum.saturating_add(more);
    }
}

/// When the hour of a time began.
fn hour_of(at: i64) -> i64 {
    at.div_euclid(HOUR_MS).saturating_mul(HOUR_MS)
}
