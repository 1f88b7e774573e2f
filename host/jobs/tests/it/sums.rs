//! Sums of hours that are over are those of the rows, whatever happens to these.

use std::collections::BTreeMap;

use sitewright_jobs::CostBy;
use sitewright_model::time::now_ms;

use super::*;

on_both!(
    sums_of_hours_are_those_of_the_rows,
    a_row_of_somebody_who_is_slow_is_summed_up,
    sums_are_not_stored_for_a_later_announcement,
    a_temporary_table_of_a_producer_keeps_no_sums,
);

const HOUR_MS: i64 = 3_600_000;
const HALF_MS: i64 = HOUR_MS / 2;
/// Hours in which something happens.
const HOURS: i64 = 12;

/// Numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        i64::try_from(self.0 >> 33).unwrap() % most
    }
}

/// Sums up all hours that are over. Others, in other databases, may hold it up on PostgreSQL.
async fn sum_all(place: &Place, database: &Database) {
    let begin = Instant::now();
    loop {
        database.sum_hours().await.unwrap();
        let left = "SELECT count(*) FROM sitewright_summed_hours
             WHERE built = 0 OR (subject = 'ai' AND labelled = 0)";
        if place.number(left).await == 0 {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "hours are left");
    }
}

async fn built(place: &Place) -> i64 {
    place.number("SELECT count(*) FROM sitewright_summed_hours WHERE built = 1").await
}

/// Makes the sums those of a program that does not know of sums by label: its announcements have an
/// id, or none.
async fn of_earlier_programs(place: &Place, has_ids: bool) {
    place.sql("DELETE FROM sitewright_ai_label_sums").await;
    let id = if has_ids { "announcement" } else { "''" };
    let sql = format!("UPDATE sitewright_summed_hours SET labelled = 0, announcement = {id}");
    place.sql(&sql).await;
}

async fn add_call(place: &Place, order: &str, numbers: &mut Numbers, at: i64) {
    let (request, purpose, cost) = (numbers.below(1 << 30), numbers.below(2), numbers.below(90));
    let cost = match cost {
        0..10 => "NULL".to_owned(),
        // More than a reply can cost.
        10..15 => (1_i64 << 50).to_string(),
        cost => cost.to_string(),
    };
    place
        .sql(&format!(
            "INSERT INTO sitewright_ai_calls (order_id, request, occurrence, current, purpose,
                provider, model, cost_nano_usd, input_tokens, entry, created_at)
             VALUES ('{order}', 'r{request}', 0, 0, 'p{purpose}', 'openai', 'm', {cost}, 7, '{{}}',
                {at})"
        ))
        .await;
}

/// A statement that adds a reply.
fn one_call(order: &str, at: i64) -> String {
    format!(
        "INSERT INTO sitewright_ai_calls (order_id, request, occurrence, purpose, provider, model,
            cost_nano_usd, entry, created_at)
         VALUES ('{order}', 'r', 0, 'p', 'openai', 'm', 5, '{{}}', {at})"
    )
}

/// A session of PostgreSQL that has run statements.
async fn session(place: &Place, sql: String) -> sqlx::PgConnection {
    let mut session = sqlx::PgConnection::connect(&place.url).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut session).await.unwrap();
    session
}

/// Compares what is added up from sums of hours with the same from rows.
async fn check(database: &Database, place: &Place, since: i64, after: &str) {
    // Half hours are read from rows.
    type Sum = (i64, String, String, Option<String>);
    let mut labelled = 0;
    for tenant in [None, Some("t1"), Some("t2"), Some("nobody")] {
        let mut spends: [BTreeMap<Sum, [i64; 4]>; 2] = Default::default();
        for (sums, (span_ms, spans)) in spends.iter_mut().zip([(HOUR_MS, 1), (HALF_MS, 2)]) {
            for spend in database.spend_since(since, span_ms, tenant).await.unwrap() {
                let key = (spend.span / spans, spend.purpose, spend.model, spend.template);
                let sum = sums.entry(key).or_default();
                let cost = spend.cost;
                let more = [cost.calls, cost.nano_usd, cost.input_tokens, spend.unpriced];
                *sum = std::array::from_fn(|at| sum[at] + more[at]);
            }
        }
        assert_eq!(spends[0], spends[1], "of {tenant:?} after {after}");
        if tenant.is_some() {
            labelled += spends[0].values().map(|sum| sum[0]).sum::<i64>();
        }
    }
    let mut ends: [BTreeMap<(i64, OrderState), i64>; 2] = Default::default();
    for (sums, (span_ms, spans)) in ends.iter_mut().zip([(HOUR_MS, 1), (HALF_MS, 2)]) {
        for ended in database.ended_since(since, span_ms).await.unwrap() {
            *sums.entry((ended.span / spans, ended.state)).or_default() += ended.orders;
        }
    }
    assert_eq!(ends[0], ends[1], "after {after}");
    let all = [CostBy::Day, CostBy::Purpose, CostBy::Template, CostBy::Tenant];
    let (rows, total) = database.costs(since, i64::MAX, &all, None).await.unwrap();
    let (_, summed) = database.costs(since, i64::MAX, &all[..3], None).await.unwrap();
    assert_eq!(summed, total, "after {after}");
    let recent = database.cost_since(since).await.unwrap();
    assert_eq!(recent.nano_usd, total.nano_usd, "after {after}");
    let mut tenants: BTreeMap<String, i64> = BTreeMap::new();
    for row in rows {
        *tenants.entry(row.tenant.unwrap_or_default()).or_default() += row.cost.calls;
    }
    let by_tenant = database.spend_by_tenant(since, 100).await.unwrap();
    let by_tenant: BTreeMap<String, i64> = by_tenant
        .into_iter()
        .map(|spend| (spend.tenant.unwrap_or_default(), spend.cost.calls))
        .collect();
    assert_eq!(by_tenant, tenants, "after {after}");
    tenants.remove("");
    assert_eq!(labelled, tenants.values().sum::<i64>(), "after {after}");
    let stats = database.stats().await.unwrap();
    for state in [OrderState::Queued, OrderState::Failed, OrderState::Succeeded] {
        let counted = format!("SELECT count(*) FROM sitewright_orders WHERE state = '{state}'");
        assert_eq!(stats.count(state), place.number(&counted).await, "{state} after {after}");
    }
}

mod tests {
    use super::*;

    pub(super) async fn sums_of_hours_are_those_of_the_rows(place: Place) {
        let database = place.open().await;
        let mut numbers = Numbers(7);
        let mut orders = 0;
        let first = (now_ms() / HOUR_MS - HOURS) * HOUR_MS;
        for step in 0..120 {
            let at = first + numbers.below(HOURS * HOUR_MS);
            let order = format!("o{}", numbers.below(orders.max(1)));
            let tenant = match numbers.below(3) {
                0 => "NULL".to_owned(),
                number => format!("'t{number}'"),
            };
            let state = ["failed", "succeeded"][usize::try_from(numbers.below(2)).unwrap()];
            // At first there must be something, and no reply is older than its order.
            let what = match step {
                0 => 0,
                1..30 => numbers.below(2),
                _ => numbers.below(9),
            };
            let after = format!("step {step}, {what} of {order} at {at}");
            match what {
                0 => {
                    place
                        .sql(&format!(
                            "INSERT INTO sitewright_orders (id, document, template, tenant, state,
                                updated_at, finished_at)
                             VALUES ('o{orders}', '{{}}', 'flora', {tenant}, '{state}', {at}, {at})"
                        ))
                        .await;
                    orders += 1;
                }
                1 | 2 => add_call(&place, &order, &mut numbers, at).await,
                3 => {
                    // Not while it is attempted, which none is.
                    database.erase(&order).await.unwrap();
                }
                4 => {
                    let sql = format!(
                        "UPDATE sitewright_orders SET template = 'u' || {}, tenant = {tenant}
                         WHERE id = '{order}'",
                        numbers.below(3)
                    );
                    place.sql(&sql).await;
                }
                5 => {
                    let sql = match numbers.below(2) {
                        0 => format!("state = 'queued', finished_at = NULL, updated_at = {at}"),
                        _ => format!("state = '{state}', finished_at = {at}, updated_at = {at}"),
                    };
                    let sql = format!("UPDATE sitewright_orders SET {sql} WHERE id = '{order}'");
                    place.sql(&sql).await;
                }
                6 => {
                    database.expire_orders(OrderState::Failed, at, 3).await.unwrap();
                }
                7 => {
                    // Of one that has expired there may be replies that came late.
                    let added = NewOrder::new(order, "back", "{}");
                    match database.enqueue(added).await {
                        Ok(_) | Err(Error::Invalid { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                _ => {
                    let sql = format!(
                        "UPDATE sitewright_ai_calls SET created_at = {at}
                         WHERE order_id = '{order}'"
                    );
                    place.sql(&sql).await;
                }
            }
            if step % 4 == 0 {
                sum_all(&place, &database).await;
            }
            if step % 12 == 0 {
                // As if programs of earlier versions had summed them up.
                of_earlier_programs(&place, numbers.below(2) == 0).await;
            }
            let since = first + numbers.below(HOURS / 2) * HOUR_MS;
            check(&database, &place, since, &after).await;
        }
        sum_all(&place, &database).await;
        assert!(built(&place).await > 6);
        // They are read: wrong ones are noticed. A change of the hour repairs them.
        let before = database.cost_since(first).await.unwrap();
        place.sql("UPDATE sitewright_ai_sums SET unpriced = unpriced + 1000").await;
        let wrong = database.cost_since(first).await.unwrap();
        assert!(wrong.unpriced >= before.unpriced + 1_000, "{wrong:?}, {before:?}");
        let of_tenants = async || {
            let by = [CostBy::Tenant];
            database.costs(first, i64::MAX, &by, None).await.unwrap().1.calls
        };
        let calls = of_tenants().await;
        place.sql("UPDATE sitewright_ai_label_sums SET calls = calls + 1000").await;
        assert!(of_tenants().await >= calls + 1_000);
        // Those of an earlier program stay, and are completed.
        for (has_ids, kept) in [(true, built(&place).await), (false, 0)] {
            of_earlier_programs(&place, has_ids).await;
            assert_eq!(of_tenants().await, calls, "each reply is read");
            let sums = "SELECT count(*) FROM sitewright_summed_hours WHERE subject = 'ai'
                 AND labelled = 1";
            database.sum_hours().await.unwrap();
            assert!(built(&place).await >= kept, "{has_ids}");
            sum_all(&place, &database).await;
            assert!(place.number(sums).await > 0, "{has_ids}");
            place.sql("UPDATE sitewright_ai_label_sums SET calls = calls + 1000").await;
            assert!(of_tenants().await >= calls + 1_000, "{has_ids}");
        }
        place.sql("DELETE FROM sitewright_summed_hours").await;
        assert_eq!(database.cost_since(first).await.unwrap(), before);
        assert_eq!(of_tenants().await, calls);
        for table in ["ai_sums", "ai_tenant_sums", "ai_label_sums", "ended_sums"] {
            let left = format!("SELECT count(*) FROM sitewright_{table}");
            assert_eq!(place.number(&left).await, 0, "{table}");
        }
        // Nothing is left of hours whose rows are all gone.
        sum_all(&place, &database).await;
        for number in 0..orders {
            database.erase(&format!("o{number}")).await.unwrap();
        }
        assert_eq!(place.number("SELECT count(*) FROM sitewright_ai_calls").await, 0);
        sum_all(&place, &database).await;
        assert_eq!(built(&place).await, 0);
    }

    pub(super) async fn a_row_of_somebody_who_is_slow_is_summed_up(place: Place) {
        if place.is_sqlite() {
            // One writes at a time.
            return;
        }
        let database = place.open().await;
        let first = (now_ms() / HOUR_MS - 3) * HOUR_MS;
        add_call(&place, "a", &mut Numbers(1), first).await;
        let mut slow = session(&place, format!("BEGIN; {}", one_call("b", first))).await;
        let summing = {
            let database = database.clone();
            tokio::spawn(async move { database.sum_hours().await })
        };
        let announced = "SELECT count(*) FROM sitewright_summed_hours WHERE subject = 'ai'";
        while place.number(announced).await == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(built(&place).await, 0, "its row is not there yet");
        sqlx::raw_sql("COMMIT").execute(&mut slow).await.unwrap();
        summing.await.unwrap().unwrap();
        sum_all(&place, &database).await;
        let calls = "SELECT CAST(sum(calls) AS BIGINT) FROM sitewright_ai_sums";
        assert_eq!(place.number(calls).await, 2);
        check(&database, &place, first, "the slow one").await;
    }

    pub(super) async fn sums_are_not_stored_for_a_later_announcement(place: Place) {
        if place.is_sqlite() {
            // Whoever writes has seen each announcement.
            return;
        }
        let database = place.open().await;
        let first = (now_ms() / HOUR_MS - 3) * HOUR_MS;
        place.sql(&one_call("a", first)).await;
        let mut slow = session(&place, "BEGIN; SELECT txid_current()".to_owned()).await;
        let summing = {
            let database = database.clone();
            tokio::spawn(async move { database.sum_hours().await })
        };
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND query LIKE 'SELECT txid_snapshot_xmin%'";
        while place.number(waits).await == 0 {
            tokio::task::yield_now().await;
        }
        // A row has changed, another one changes while the hour is not announced, and then another
        // process announces it.
        place.sql("DELETE FROM sitewright_summed_hours").await;
        let mut late = session(&place, format!("BEGIN; {}", one_call("b", first))).await;
        let announce = format!(
            "INSERT INTO sitewright_summed_hours (subject, hour, announcement)
             VALUES ('ai', {first}, 'another')"
        );
        place.sql(&announce).await;
        sqlx::raw_sql("COMMIT").execute(&mut slow).await.unwrap();
        summing.await.unwrap().unwrap();
        assert_eq!(built(&place).await, 0, "a row of it is not there yet");
        sqlx::raw_sql("COMMIT").execute(&mut late).await.unwrap();
        sum_all(&place, &database).await;
        check(&database, &place, first, "the late one").await;
    }

    pub(super) async fn a_temporary_table_of_a_producer_keeps_no_sums(place: Place) {
        if place.is_sqlite() {
            // Its triggers see no temporary table.
            return;
        }
        let database = place.open().await;
        let first = (now_ms() / HOUR_MS - 3) * HOUR_MS;
        place.sql(&one_call("a", first)).await;
        sum_all(&place, &database).await;
        let table = "CREATE TEMPORARY TABLE sitewright_summed_hours (subject TEXT, hour BIGINT)";
        drop(session(&place, format!("{table}; {}", one_call("b", first))).await);
        check(&database, &place, first, "the temporary table").await;
        // Nor does one that announces watchers of changes.
        let searched = "SELECT count(*) FROM pg_proc WHERE prosecdef
            AND proname LIKE 'sitewright%'
            AND coalesce(array_to_string(proconfig, ''), '') NOT LIKE '%pg_temp%'";
        assert_eq!(place.number(searched).await, 0, "functions look for temporary tables first");
    }
}
