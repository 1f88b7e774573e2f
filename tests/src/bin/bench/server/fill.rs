//! Fills the tables by SQL that makes many rows in one statement.
//!
//! Everything follows from the number of an order, so that both databases have the same rows. The
//! newest hundredth of the orders has not ended; of the others 95 % have succeeded. Numbers that
//! have no common divisor spread states, templates, tenants and causes over each other.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use sitewright_model::time::now_ms;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

/// Orders of one transaction.
const CHUNK: i64 = 50_000;
/// Days over which the orders are spread.
const DAYS: i64 = 90;
const DAY_MS: i64 = 24 * 3_600_000;
/// Stands for an order's id in the texts of which each order gets a copy.
const MARKER: &str = "order-that-is-copied";
/// Only the file is needed after this, not what a crash leaves of it.
const SQLITE: &str = "PRAGMA synchronous = OFF; PRAGMA cache_size = -262144; ";

/// The texts that orders and failures get copies of.
#[derive(Debug, Clone)]
pub(super) struct Texts {
    /// A document as the queue keeps it.
    document: String,
    record: String,
    /// Id of the record.
    record_id: String,
}

impl Texts {
    /// Normalises a test order, and makes a real record of a trap.
    pub(super) async fn make() -> anyhow::Result<Texts> {
        let mut order = sitewright_tests::order("03-plumber-us-premium");
        order["order"]["id"] = json!(MARKER);
        let snapshot = sitewright_intake::load(
            order.to_string().as_bytes(),
            sitewright_intake::MAX_BYTES,
            &"en".parse().context("a locale")?,
        )?;
        let record: Value = tokio::task::spawn_blocking(|| {
            let bench = sitewright_tests::Workbench::scripted(sitewright_tests::ANY_ANSWER, "");
            let mut order = sitewright_tests::faulty("oob", json!({}));
            order["order"]["id"] = json!(MARKER);
            bench.generate(&sitewright_tests::guest("guest-faulty"), &order).failure()
        })
        .await?;
        let record_id = record["id"].as_str().context("the record has no id")?.to_owned();
        Ok(Texts {
            document: snapshot.document().to_string(),
            record: record.to_string(),
            record_id,
        })
    }

    /// The document with this id.
    pub(super) fn of(&self, id: &str) -> String {
        self.document.replace(MARKER, id)
    }
}

/// The rows of a number of orders.
#[derive(Debug, Clone)]
pub(super) struct Fill {
    orders: i64,
    now: i64,
    /// When the order 0 would have been created.
    begin: i64,
    /// Milliseconds between two orders.
    step: i64,
}

impl Fill {
    pub(super) fn new(orders: u32) -> Self {
        let (orders, now) = (i64::from(orders), now_ms());
        let step = (DAYS * DAY_MS / orders.max(1)).max(1);
        Fill { orders, now, begin: now - step * orders, step }
    }

    /// Id of an order, and when it was created.
    pub(super) fn order(&self, number: i64) -> (String, i64) {
        let id = format!("shop{}-{number:09}", number * 7_919 % 49);
        (id, self.begin + self.step * number)
    }

    /// Id of a delivery of a webhook, if there are at least ten orders.
    pub(super) fn delivery() -> String {
        format!("msg_01KD0000000000000{:09}", 10)
    }

    /// Makes all rows, with what SQLite and PostgreSQL gather about them for their plans. The
    /// duration.
    pub(super) async fn run(&self, url: &str, texts: &Texts) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let mut first = 1;
        while first <= self.orders {
            let last = self.orders.min(first + CHUNK - 1);
            let rows = self.rows(texts, first, last);
            run(url, format!("BEGIN; {rows} COMMIT;"))
                .await
                .with_context(|| format!("the rows of the orders {first} to {last}"))?;
            eprintln!(
                "  {last} of {} orders after {:.0} s",
                self.orders,
                began.elapsed().as_secs()
            );
            first = last + 1;
        }
        run(url, self.workers()).await.context("the rows of workers")?;
        let gather = if is_sqlite(url) { "ANALYZE" } else { "VACUUM (ANALYZE)" };
        run(url, gather.to_owned()).await.context("gathering statistics")?;
        Ok(began.elapsed())
    }

    /// The orders of these numbers, as a table `o` of a statement.
    fn shape(&self, first: i64, last: i64) -> String {
        let Fill { begin, step, orders, .. } = self;
        let unfinished = orders - orders / 100;
        format!(
            "(SELECT i, substr(CAST(1000000000 + i AS TEXT), 2) AS number,
                'shop' || (i * 7919 % 49) || '-' || substr(CAST(1000000000 + i AS TEXT), 2) AS id,
                CASE WHEN i * 7919 % 100 < 60 THEN 'local-business'
                    WHEN i * 7919 % 100 < 85 THEN 'landing-py'
                    WHEN i * 7919 % 100 < 97 THEN 'landing-js' ELSE 'guest-one-page' END
                    AS template,
                CASE WHEN i > {unfinished} THEN
                    CASE WHEN i % 10 < 7 THEN 'queued' WHEN i % 10 < 9 THEN 'running'
                        ELSE 'waiting' END
                    WHEN i * 104729 % 101 < 3 THEN 'failed'
                    WHEN i * 104729 % 101 = 3 THEN 'dead'
                    WHEN i * 104729 % 101 = 4 THEN 'cancelled' ELSE 'succeeded' END AS state,
                {begin} + i * {step} AS at
             FROM (WITH RECURSIVE n(i) AS (SELECT CAST({first} AS BIGINT)
                UNION ALL SELECT i + 1 FROM n WHERE i < {last}) SELECT i FROM n) AS t) AS o"
        )
    }

    fn rows(&self, texts: &Texts, first: i64, last: i64) -> String {
        let shape = self.shape(first, last);
        let (document, record) = (quoted(&texts.document), quoted(&texts.record));
        let record_id = &texts.record_id;
        let soon = self.now + DAY_MS;
        // Events are kept for a while only.
        let recent = self.orders - self.orders / 10;
        let ended = "('succeeded', 'failed', 'dead', 'cancelled')";
        format!(
            "INSERT INTO sitewright_orders (id, document, template, priority, state,
                owner_attempt, owner_worker, runs, attempts, current_release, visible_release,
                last_failure, waiting_reason, next_attempt_at, created_at, updated_at,
                finished_at, tenant)
             SELECT id, replace({document}, '{MARKER}', id), template, 1 + i % 4, state,
                CASE WHEN state = 'running' THEN '01KA0000000000000' || number END,
                CASE WHEN state = 'running' THEN 'bench-worker-' || (i % 4) END,
                1, 1,
                CASE WHEN state = 'succeeded' THEN '01KR0000000000000' || number END,
                CASE WHEN state = 'succeeded' THEN '01KR0000000000000' || number END,
                CASE WHEN state IN ('failed', 'dead') THEN '01KF0000000000000' || number END,
                CASE WHEN state = 'waiting' THEN 'the provider asks to wait' END,
                CASE WHEN state = 'waiting' THEN {soon} END,
                at, at + 30000, CASE WHEN state IN {ended} THEN at + 30000 END,
                CASE WHEN i % 3 > 0 THEN 'tenant-' || (i % 23) END
             FROM {shape};
             INSERT INTO sitewright_attempts (id, order_id, number, worker, trace_id, started_at,
                ended_at, outcome, release, failure_id, last_stage)
             SELECT '01KA0000000000000' || number, id, 1, 'bench-worker-' || (i % 4),
                '00000000000000000000000' || number, at + 1000,
                CASE WHEN state IN {ended} THEN at + 30000 END,
                CASE WHEN state IN {ended} THEN state END,
                CASE WHEN state = 'succeeded' THEN '01KR0000000000000' || number END,
                CASE WHEN state IN ('failed', 'dead') THEN '01KF0000000000000' || number END,
                'release'
             FROM {shape} WHERE state NOT IN ('queued', 'waiting');
             INSERT INTO sitewright_failures (id, order_id, attempt_id, kind, message, record,
                created_at, fingerprint, template, frame)
             SELECT '01KF0000000000000' || number, id, '01KA0000000000000' || number,
                CASE i % 199 % 4 WHEN 0 THEN 'trap' WHEN 1 THEN 'ai' WHEN 2 THEN 'template_error'
                    ELSE 'cpu_limit' END,
                'a failure of the cause ' || (i % 199),
                replace(replace({record}, '{MARKER}', id), '{record_id}',
                    '01KF0000000000000' || number),
                at + 30000, substr(CAST(10000000000000000 + i % 199 AS TEXT), 2), template,
                'src/page.rs:' || (i % 199)
             FROM {shape} WHERE state IN ('failed', 'dead');
             INSERT INTO sitewright_ai_calls (order_id, attempt_id, request, occurrence, purpose,
                provider, model, cost_nano_usd, input_tokens, output_tokens, entry, created_at,
                took_ms)
             SELECT id, '01KA0000000000000' || number,
                '000000000000000000000000000000000000000000000000000000' || k || number, 0,
                CASE k WHEN 0 THEN 'copywriting' ELSE 'seo' END,
                CASE WHEN i % 3 = 0 THEN 'anthropic' ELSE 'openai' END,
                CASE i % 3 WHEN 0 THEN 'claude-haiku' WHEN 1 THEN 'gpt-mini' ELSE 'gpt' END,
                100000 * (1 + i * 31 % 97), 400 + i % 300, 200 + i * 17 % 900,
                '{{\"content\": \"Bright rooms, honest prices, and somebody who comes when they \
             say so.\", \"finish_reason\": \"stop\"}}', at + 5000 + k * 3000,
                600 + i * 37 % 4000
             FROM {shape} CROSS JOIN (SELECT 0 AS k UNION ALL SELECT 1) AS calls
             WHERE state IN ('succeeded', 'failed', 'dead');
             INSERT INTO sitewright_events (order_id, attempt_id, at, stage, done, total)
             SELECT id, '01KA0000000000000' || number, at + 1000 * (k + 1),
                CASE k WHEN 0 THEN 'order' WHEN 1 THEN 'template' WHEN 2 THEN 'checks'
                    ELSE 'release' END, k + 1, 4
             FROM {shape} CROSS JOIN (SELECT 0 AS k UNION ALL SELECT 1 UNION ALL SELECT 2
                UNION ALL SELECT 3) AS stages
             WHERE state IN {ended} AND i > {recent};
             INSERT INTO sitewright_audit (at, actor, action, target, status, client)
             SELECT at, 'crm', 'order.add', id, 202, '10.0.0.7'
             FROM {shape} WHERE i % 10 = 0;
             INSERT INTO sitewright_deliveries (id, webhook, event, order_id, at, template,
                revision, state, attempts, first_attempt_at, ended_at)
             SELECT 'msg_01KD0000000000000' || number, 'crm', 'order.' || state, id, at + 30000,
                template, 1, 'delivered', 1, at + 30100, at + 30200
             FROM {shape} WHERE i % 10 = 0 AND state IN {ended};
             INSERT INTO sitewright_delivery_attempts (delivery_id, number, at, took_ms, status)
             SELECT 'msg_01KD0000000000000' || number, 1, at + 30100, 80 + i % 100, 200
             FROM {shape} WHERE i % 10 = 0 AND state IN {ended};
             INSERT INTO sitewright_hook_deliveries (id, hook, event_id, at, state, due_at,
                ended_at, order_id, bytes, body)
             SELECT '01KH0000000000000' || number, 'crm', 'event-' || number, at, 'accepted', at,
                at + 100, id, length({document}), replace({document}, '{MARKER}', id)
             FROM {shape} WHERE i % 10 = 0;"
        )
    }

    /// Four workers, which stay live while the benchmark runs, and failed AI calls of each hour.
    fn workers(&self) -> String {
        let later = self.now + DAY_MS;
        let workers = "(SELECT 0 AS w UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3)";
        format!(
            "INSERT INTO sitewright_workers (client_id, boot_id, host, pid, max_orders, started_at,
                last_seen, beats)
             SELECT 'bench-worker-' || w, 'boot', 'machine-' || w, 100 + w, 5000, {begin}, {later},
                1
             FROM {workers} AS workers;
             INSERT INTO sitewright_templates (worker, template, digest)
             SELECT 'bench-worker-' || w, template, '{digest}'
             FROM {workers} AS workers CROSS JOIN (SELECT 'local-business' AS template
                UNION ALL SELECT 'landing-py' UNION ALL SELECT 'landing-js'
                UNION ALL SELECT 'guest-one-page') AS templates;
             INSERT INTO sitewright_ai_errors (hour, provider, model, kind, failures)
             SELECT {hour} + 3600000 * h, 'openai', model, kind, 1 + h % 7
             FROM (WITH RECURSIVE n(h) AS (SELECT CAST(0 AS BIGINT)
                UNION ALL SELECT h + 1 FROM n WHERE h < 24 * {DAYS}) SELECT h FROM n) AS hours
             CROSS JOIN (SELECT 'gpt' AS model UNION ALL SELECT 'gpt-mini') AS models
             CROSS JOIN (SELECT 'rate_limited' AS kind UNION ALL SELECT 'timeout') AS kinds;",
            begin = self.begin,
            digest = "0".repeat(64),
            hour = self.begin / 3_600_000 * 3_600_000,
        )
    }
}

/// A text as SQL writes it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

pub(super) fn is_sqlite(url: &str) -> bool {
    url.starts_with("sqlite:")
}

/// Runs statements on a connection of their own.
pub(super) async fn run(url: &str, sql: String) -> anyhow::Result<()> {
    if is_sqlite(url) {
        let mut connection = SqliteConnection::connect(url).await?;
        let sql = AssertSqlSafe(format!("{SQLITE}{sql}"));
        sqlx::raw_sql(sql).execute(&mut connection).await?;
        connection.close().await?;
    } else {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
        connection.close().await?;
    }
    Ok(())
}
