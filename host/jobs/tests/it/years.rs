//! What an operator needs after the first year: orders erased, expired, revised, backed up, and
//! lists that stay fast.

use std::time::Instant;

use sitewright_jobs::{RemovalCause, RemovedOrder};
use sitewright_model::ai::{BatchedEnd, JournalKey, NewBatchCall};

use super::*;

on_both!(
    d10_an_erased_order_leaves_its_id_only,
    d10_what_was_replaced_before_an_erasure_is_overwritten,
    d10_a_running_order_is_not_erased,
    d10_expired_orders_are_removed_in_small_batches,
    d10_rows_of_ended_orders_expire_once,
    d10_a_sweep_is_claimed_by_one_worker,
    d10_jobs_that_no_order_has_are_removed,
    a_revision_replaces_the_document_and_keeps_what_was_paid,
    cached_replies_belong_to_the_orders_that_asked,
    cached_replies_are_bounded,
    d16_lists_read_an_index,
);

/// A reply that answers equal requests of other orders.
fn cached(key: &str, request: &str, text: &str, keep: Duration) -> NewCachedReply {
    NewCachedReply {
        key: key.to_owned(),
        request: request.to_owned(),
        occurrence: 0,
        entry: json!({ "content": text }),
        keep,
    }
}

/// All that a worker writes about one order.
async fn whole_life(database: &Database, order: &str) {
    fail(database, order, whole(order, "bakery", "a marker named rosebud")).await;
    let attempt = database.attempts(order).await.unwrap().pop().unwrap().id;
    database.keep_reply(order, &attempt, reply("r1", 0)).await.unwrap();
    let event = NewEvent {
        order: order.to_owned(),
        attempt: Some(attempt),
        stage: "baking".to_owned(),
        done: None,
        total: None,
        message: Some("rosebud".to_owned()),
    };
    database.record_events(vec![event]).await.unwrap();
}

/// Rows in each table that name an order.
async fn rows_of(place: &Place, order: &str) -> Vec<i64> {
    let mut counts = Vec::new();
    for table in ["attempts", "failures", "ai_calls", "events", "revisions"] {
        let sql = format!("SELECT count(*) FROM sitewright_{table} WHERE order_id = '{order}'");
        counts.push(place.number(&sql).await);
    }
    let sql = format!("SELECT count(*) FROM sitewright_orders WHERE id = '{order}'");
    counts.push(place.number(&sql).await);
    counts
}

/// All orders that are removed and not there again.
async fn all_removed(database: &Database) -> Vec<RemovedOrder> {
    let mut all = Vec::new();
    for cause in [RemovalCause::Erased, RemovalCause::Expired] {
        let mut next = Some(SweepCursor::default());
        while let Some(from) = next {
            let (orders, after) = database.removed_orders(cause, &from, i64::MAX, 2).await.unwrap();
            all.extend(orders);
            next = after;
        }
    }
    all
}

mod tests {
    use super::*;

    pub(super) async fn d10_an_erased_order_leaves_its_id_only(place: Place) {
        let database = place.open().await;
        let document = r#"{"owner":"rosebud"}"#;
        database.enqueue(NewOrder::new("a", "bakery", document)).await.unwrap();
        database.cancel("a").await.unwrap();
        database.revise("a", r#"{"owner":"rosebud 2"}"#, None, None).await.unwrap();
        database.cancel("a").await.unwrap();
        for order in ["a", "b"] {
            whole_life(&database, order).await;
        }
        assert!(rows_of(&place, "a").await.iter().all(|rows| *rows > 0));
        let of_b = rows_of(&place, "b").await;
        let jobs_before = place.number("SELECT count(*) FROM river_job").await;
        let removed = database.erase("a").await.unwrap();
        assert_eq!((removed.orders, removed.ai_calls, removed.events), (1, 1, 1), "{removed:?}");
        assert_eq!(rows_of(&place, "a").await, [0; 6]);
        assert_eq!(rows_of(&place, "b").await, of_b, "another order is not touched");
        let jobs = place.number("SELECT count(*) FROM river_job").await;
        assert_eq!(jobs, 1, "of {jobs_before}: the job of the other order");

        // It is not made again, and what a slow worker writes is removed.
        let error = database.enqueue(new_order("a")).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
        assert!(error.to_string().contains("was erased on 2"), "{error}");
        let tombstones = all_removed(&database).await;
        assert_eq!(tombstones.len(), 1);
        assert_eq!((tombstones[0].order.as_str(), tombstones[0].cause.as_str()), ("a", "erased"));
        assert_eq!(database.erased_at("a").await.unwrap(), Some(tombstones[0].at));
        assert_eq!(database.erased_at("b").await.unwrap(), None);
        database.keep_reply("a", "late", reply("r2", 0)).await.unwrap();
        assert_eq!(database.remove_late_rows(&["a".to_owned()], 0).await.unwrap(), 1);
        assert_eq!(rows_of(&place, "a").await, [0; 6]);
        database.erase("a").await.unwrap();

        database.erase("b").await.unwrap();
        if place.is_sqlite() {
            database.close().await;
            for entry in std::fs::read_dir(place.folder.path()).unwrap() {
                let bytes = std::fs::read(entry.unwrap().path()).unwrap();
                let found = bytes.windows(7).any(|part| part == b"rosebud");
                assert!(!found, "the bytes are overwritten");
            }
        }
    }

    pub(super) async fn cached_replies_belong_to_the_orders_that_asked(place: Place) {
        let day = Duration::from_secs(86_400);
        let database = place.open().await;
        for order in ["a", "b", "c", "d"] {
            whole_life(&database, order).await;
        }
        let kept = |order: &'static str, key: &'static str, request: &'static str| {
            let database = database.clone();
            async move { database.cache_reply(order, cached(key, request, "bread", day)).await }
        };
        let found = async |key: &str| database.cached_reply(key).await.unwrap().is_some();
        // What `a` paid for and `b` got, and what only `c` asked.
        assert!(kept("a", "k1", "q1").await.unwrap());
        assert!(kept("c", "k2", "q2").await.unwrap());
        database.keep_reply("b", "x", reply("q1", 0)).await.unwrap();
        assert_eq!(database.cached_reply("k1").await.unwrap(), Some(json!({ "content": "bread" })));
        // A newer one takes its place.
        database.cache_reply("a", cached("k1", "q1", "cake", day)).await.unwrap();
        assert_eq!(database.cached_reply("k1").await.unwrap(), Some(json!({ "content": "cake" })));
        // With one of the orders the reply goes, whoever of them paid for it.
        assert_eq!(
            database.rows_of("b").await.unwrap().ai_calls,
            3,
            "two of its own, and the shared"
        );
        assert_eq!(database.erase("b").await.unwrap().ai_calls, 3);
        assert!(!found("k1").await && found("k2").await);
        assert_eq!(database.erase("c").await.unwrap().ai_calls, 2);
        assert!(!found("k2").await);
        assert!(!kept("c", "k2", "q2").await.unwrap(), "a slow worker keeps nothing of it");
        assert!(!found("k2").await);
        // Nor does a reply stay that its order blames for a failure.
        for key in ["k3", "k4"] {
            kept("d", key, if key == "k3" { "q3" } else { "q4" }).await.unwrap();
        }
        database.keep_reply("d", "x", reply("q4", 0)).await.unwrap();
        database.ask_again("d", Some(vec![("q3".to_owned(), 0)])).await.unwrap();
        assert!(!found("k3").await && found("k4").await);
        database.ask_again("d", None).await.unwrap();
        assert!(!found("k4").await);
        // The texts of an order's replies expire with those in the cache.
        kept("a", "k5", "q5").await.unwrap();
        let attempt = json!({
            "provider": "p", "model": "m", "started_at": 1, "took_ms": 2, "status": 429,
            "outcome": "rate_limited", "sent": true, "message": "words of a customer",
        });
        let tries = vec![serde_json::from_value(attempt).unwrap()];
        database.keep_reply("a", "x", NewAiCall { tries, ..reply("q6", 0) }).await.unwrap();
        let texts = "SELECT count(*) FROM sitewright_ai_calls WHERE tries IS NOT NULL";
        assert_eq!(place.number(texts).await, 1);
        let (replies, failed) = (ExpiredRows::Replies, OrderState::Failed);
        let from = SweepCursor::default();
        database.expire_rows(replies, failed, i64::MAX / 4, &from, 10, false).await.unwrap();
        assert!(!found("k5").await);
        assert_eq!(place.number(texts).await, 0);
    }

    pub(super) async fn cached_replies_are_bounded(place: Place) {
        let day = Duration::from_secs(86_400);
        let database = place.open().await;
        database.enqueue(new_order("a")).await.unwrap();
        let found = async |key: &str| database.cached_reply(key).await.unwrap().is_some();
        // In time.
        let soon = Duration::from_millis(1);
        database.cache_reply("a", cached("soon", "q", "bread", soon)).await.unwrap();
        database.cache_reply("a", cached("late", "q", "bread", day)).await.unwrap();
        while found("soon").await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(database.expire_cached_replies(10, true).await.unwrap(), 1);
        assert_eq!(database.expire_cached_replies(10, false).await.unwrap(), 1);
        assert_eq!(database.expire_cached_replies(10, false).await.unwrap(), 0);
        assert!(found("late").await);
        // In size.
        let large = "x".repeat(MAX_CACHED_REPLY_BYTES);
        let kept = database.cache_reply("a", cached("large", "q", &large, day)).await.unwrap();
        assert!(!kept && !found("large").await);
        let rows = "SELECT count(*) FROM sitewright_cached_replies";
        let most = i64::try_from(MAX_CACHED_BYTES).unwrap();
        place.sql(&format!("UPDATE sitewright_cached_replies SET bytes = {most}")).await;
        database.cache_reply("a", cached("next", "q", "bread", day)).await.unwrap();
        assert!(!found("late").await && found("next").await, "the oldest goes");
        // In number.
        let digits = "(VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9))";
        let digit = |name: &str| format!("(SELECT column1 AS n FROM {digits} AS v) AS {name}");
        place
            .sql(&format!(
                "INSERT INTO sitewright_cached_replies (key, request, occurrence, order_id, entry, \
                 bytes, created_at, expires_at) SELECT 'old' || (a.n * 1000 + b.n * 100 + c.n * 10 \
                 + d.n), 'q', 0, 'a', '{{}}', 2, 1, {} FROM {}, {}, {}, {}",
                i64::MAX,
                digit("a"),
                digit("b"),
                digit("c"),
                digit("d"),
            ))
            .await;
        assert_eq!(place.number(rows).await, 10_001);
        database.cache_reply("a", cached("last", "q", "bread", day)).await.unwrap();
        assert_eq!(place.number(rows).await, i64::from(MAX_CACHED_REPLIES));
        assert!(found("next").await && found("last").await);
    }

    /// Larger than a page of SQLite, so that it has pages of its own.
    fn large(text: &str) -> String {
        format!(r#"{{"owner":"{}"}}"#, text.repeat(1_000))
    }

    pub(super) async fn d10_what_was_replaced_before_an_erasure_is_overwritten(place: Place) {
        let database = place.open().await;
        database.enqueue(NewOrder::new("a", "bakery", large("rosebud 1 "))).await.unwrap();
        database.revise("a", &large("rosebud 2 "), None, None).await.unwrap();
        let key = JournalKey { request: "q".to_owned(), occurrence: 0 };
        let call = NewBatchCall {
            key: key.clone(),
            purpose: "copywriting".to_owned(),
            route: "default".to_owned(),
            provider: "p".to_owned(),
            model: "m".to_owned(),
            body: large("rosebud 3 "),
        };
        database.add_batch_item("a", call).await.unwrap();
        let end = BatchedEnd::Direct("no answer".to_owned());
        database.end_batch_item("a", &key, end).await.unwrap();
        assert_eq!(database.erase("a").await.unwrap().orders, 1);
        database.close().await;
        // PostgreSQL's vacuum does that, in its own time.
        for suffix in ["", "-wal"].into_iter().filter(|_| place.is_sqlite()) {
            let file = place.folder.path().join(format!("orders.db{suffix}"));
            let bytes = std::fs::read(&file).unwrap_or_default();
            let found = bytes.windows(7).any(|part| part == b"rosebud");
            assert!(!found, "{}", file.display());
        }
    }

    pub(super) async fn d10_a_running_order_is_not_erased(place: Place) {
        let database = place.open().await;
        database.enqueue(new_order("a")).await.unwrap();
        let claimed = taken_by(&database, "a", "w").await;
        let error = database.erase("a").await.unwrap_err();
        assert!(matches!(error, Error::NotEnded { state: OrderState::Running, .. }), "{error:?}");
        assert_eq!(database.erased_at("a").await.unwrap(), None);
        release(&database, &claimed, "r1").await;
        assert_eq!(database.erase("a").await.unwrap().orders, 1);
        assert_eq!(database.erase("none").await.unwrap().orders, 0);
    }

    pub(super) async fn d10_expired_orders_are_removed_in_small_batches(place: Place) {
        let database = place.open().await;
        for order in ["a", "b", "c"] {
            whole_life(&database, order).await;
        }
        database.enqueue(new_order("queued")).await.unwrap();
        let now = i64::MAX / 4;
        let failed = OrderState::Failed;
        assert_eq!(database.count_expired(failed, now).await.unwrap(), 3);
        assert_eq!(database.count_expired(failed, 1).await.unwrap(), 0);
        assert_eq!(database.expire_orders(failed, 1, 10).await.unwrap().0, Vec::<String>::new());
        let (first, rows) = database.expire_orders(failed, now, 2).await.unwrap();
        assert_eq!(first, ["a", "b"], "the oldest first");
        assert_eq!((rows.orders, rows.failures, rows.jobs), (2, 2, 2));
        assert_eq!(database.expire_orders(failed, now, 2).await.unwrap().0, ["c"]);
        // One that has not ended never expires, whatever a caller asks for.
        let queued = database.expire_orders(OrderState::Queued, now, 2).await.unwrap();
        assert_eq!(queued.0, Vec::<String>::new());
        assert_eq!(database.count_expired(OrderState::Queued, now).await.unwrap(), 0);
        assert_eq!(database.order("queued").await.unwrap().state, OrderState::Queued);
        // The same id may be ordered again, and is forgotten then.
        assert_eq!(all_removed(&database).await.len(), 3);
        assert!(matches!(database.enqueue(new_order("a")).await, Ok(Enqueued::New { .. })));
        assert_eq!(all_removed(&database).await.len(), 2);
        // Nothing is removed of one that a producer wrote into the tables.
        let written = "INSERT INTO sitewright_orders (id, document, template)
             VALUES ('b', '{}', 'bakery')";
        place.sql(written).await;
        database.keep_reply("b", "new", reply("r1", 0)).await.unwrap();
        assert_eq!(database.remove_late_rows(&["b".to_owned()], 0).await.unwrap(), 0);
        assert_eq!(all_removed(&database).await.len(), 1);
        database.remove_late_rows(&[], now).await.unwrap();
        assert_eq!(all_removed(&database).await.len(), 0);
    }

    pub(super) async fn d10_rows_of_ended_orders_expire_once(place: Place) {
        let database = place.open().await;
        for order in ["a", "b", "c"] {
            whole_life(&database, order).await;
        }
        let (failed, now) = (OrderState::Failed, i64::MAX / 4);
        let begin = SweepCursor::default();
        for what in [ExpiredRows::Events, ExpiredRows::Replies, ExpiredRows::Failures] {
            let dry = database.expire_rows(what, failed, now, &begin, 10, true);
            assert_eq!(dry.await.unwrap().rows, 3, "{what}");
            let from = database.sweep_cursor(what, failed).await.unwrap();
            let step = database.expire_rows(what, failed, now, &from, 2, false).await.unwrap();
            assert_eq!((step.rows, step.orders), (2, vec!["a".to_owned(), "b".to_owned()]));
            let next = step.next.unwrap();
            let step = database.expire_rows(what, failed, now, &next, 2, false).await.unwrap();
            assert_eq!((step.rows, step.next), (1, None), "{what}");
            // The next sweep begins where this one ended.
            let from = database.sweep_cursor(what, failed).await.unwrap();
            let step = database.expire_rows(what, failed, now, &from, 10, false).await.unwrap();
            assert_eq!((step.rows, step.orders.len()), (0, 1), "{what}");
        }
        assert_eq!(place.number("SELECT count(*) FROM sitewright_events").await, 0);
        assert_eq!(place.number("SELECT count(*) FROM sitewright_failures").await, 0);
        // A reply's text goes, its cost stays, and a retry asks again.
        let cost = database.cost("a").await.unwrap();
        assert_eq!((cost.calls, cost.nano_usd), (1, 1_000));
        assert_eq!(database.reply("a", "r1", 0).await.unwrap(), None);
        let not_ended =
            database.expire_rows(ExpiredRows::Events, OrderState::Queued, now, &begin, 10, false);
        assert_eq!(not_ended.await.unwrap().orders, Vec::<String>::new());
    }

    pub(super) async fn d10_a_sweep_is_claimed_by_one_worker(place: Place) {
        let (first, second) = (place.open().await, place.open().await);
        let claims = [first.claim_sweep(60_000).await, second.claim_sweep(60_000).await];
        let claimed: Vec<bool> = claims.map(Result::unwrap).to_vec();
        assert_eq!(claimed, [true, false]);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(second.claim_sweep(10).await.unwrap(), "it is due again");
        // A clock that was set back must not end the sweeps.
        place.sql("UPDATE sitewright_sweeps SET begun_at = 9000000000000").await;
        assert!(first.claim_sweep(60_000).await.unwrap());
    }

    pub(super) async fn d10_jobs_that_no_order_has_are_removed(place: Place) {
        let database = place.open().await;
        for order in ["a", "b"] {
            whole_life(&database, order).await;
        }
        // Requeued, cancelled and requeued: the cancelled job is left.
        database.reopen("a", None).await.unwrap();
        database.cancel("a").await.unwrap();
        database.reopen("a", None).await.unwrap();
        let jobs = || place.number("SELECT count(*) FROM river_job");
        let before = jobs().await;
        let (removed, next) = database.remove_leftover_jobs(1, 0).await.unwrap();
        assert_eq!((removed, next), (0, None), "they ended just now");
        let (removed, next) = database.remove_leftover_jobs(4_000_000_000_000, 0).await.unwrap();
        assert_eq!(jobs().await, before - removed as i64);
        assert_eq!(removed, 2, "the failed one and the cancelled one of order a");
        assert_eq!(
            database.remove_leftover_jobs(i64::MAX / 1_000_000, next.unwrap()).await.unwrap(),
            (0, None)
        );
        let job = database.order("a").await.unwrap().job_id.unwrap();
        let worker = ghost("w");
        let claim = database.claim("a", job, &worker, Ulid::generate()).await.unwrap();
        assert!(matches!(claim, Claim::Claimed(..)), "the job of the queued order is there");
    }

    pub(super) async fn a_revision_replaces_the_document_and_keeps_what_was_paid(place: Place) {
        let database = place.open().await;
        database.enqueue(NewOrder::new("a", "bakery", "{\"v\":1}")).await.unwrap();
        let first_job = database.order("a").await.unwrap().job_id.unwrap();
        // While it is queued.
        let revised = database.revise("a", "{\"v\":2}", None, None).await.unwrap();
        let Revised::Queued { revision: 2, job } = revised else { panic!("{revised:?}") };
        assert_ne!(job, first_job, "what a worker fetched of the old job matches no row");
        let worker = ghost("w");
        let claim = database.claim("a", job, &worker, Ulid::generate()).await.unwrap();
        let Claim::Claimed(claimed, document) = claim else { panic!("{claim:?}") };
        assert_eq!(document, "{\"v\":2}");
        database.keep_reply("a", &claimed.attempt.to_string(), reply("r1", 0)).await.unwrap();
        // While it runs.
        let error = database.revise("a", "{\"v\":3}", None, None).await.unwrap_err();
        assert!(matches!(error, Error::NotEnded { state: OrderState::Running, .. }), "{error:?}");
        release(&database, &claimed, "rel-2").await;
        // When it has ended.
        let same = database.revise("a", "{\"v\":2}", Some("bakery"), None).await.unwrap();
        assert_eq!(same, Revised::Unchanged { revision: 2 });
        assert_eq!(database.order("a").await.unwrap().state, OrderState::Succeeded);
        let revised = database.revise("a", "{\"v\":2}", Some("florist"), Some("c9")).await.unwrap();
        assert!(matches!(revised, Revised::Queued { revision: 3, .. }), "{revised:?}");
        let order = database.order("a").await.unwrap();
        assert_eq!((order.state, order.revision), (OrderState::Queued, 3));
        assert_eq!(
            (order.template.as_str(), order.config_version.as_deref()),
            ("florist", Some("c9"))
        );
        assert_eq!(order.current_release.as_deref(), Some("rel-2"), "visitors see it until then");
        assert!(database.reply("a", "r1", 0).await.unwrap().is_some(), "it is not paid for again");
        let documents = database.documents("a").await.unwrap();
        assert_eq!(documents, ["{\"v\":2}", "{\"v\":2}", "{\"v\":1}"]);
        let old = database.old_revisions("a").await.unwrap();
        let old: Vec<_> = old.iter().map(|old| (old.revision, old.template.as_str())).collect();
        assert_eq!(old, [(1, "bakery"), (2, "bakery")]);
        let error = database.revise("none", "{}", None, None).await.unwrap_err();
        assert!(matches!(error, Error::NoSuchOrder { .. }), "{error:?}");
        // It is claimed once, and by the new job.
        let claimed = taken_by(&database, "a", "w").await;
        assert_eq!(claimed.template, "florist");
    }

    /// A document and a record are larger than a page of SQLite, as those of real orders are.
    pub(super) async fn d16_lists_read_an_index(place: Place) {
        let database = place.open().await;
        let orders = 20_000;
        let (series, pad) = if place.is_sqlite() {
            (
                format!(
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {orders})"
                ),
                "printf('%.*c', 9000, 'x')",
            )
        } else {
            (
                format!("WITH n(i) AS (SELECT * FROM generate_series(1, {orders}))"),
                "repeat('x', 9000)",
            )
        };
        let id = |prefix: &str| match place.is_sqlite() {
            true => format!("printf('{prefix}%08d', i)"),
            false => format!("'{prefix}' || lpad(i::text, 8, '0')"),
        };
        let (order, failure) = (id("o"), id("F"));
        place
            .sql(&format!(
                "INSERT INTO sitewright_orders (id, document, template, state, created_at,
                    updated_at, finished_at, last_failure)
                 {series} SELECT {order}, {pad}, CASE WHEN i % 1000 = 0 THEN 'rare' ELSE 't' END,
                    CASE WHEN i % 500 = 0 THEN 'dead' WHEN i % 2 = 0 THEN 'failed'
                        ELSE 'succeeded' END,
                    i, i, i, {failure} FROM n"
            ))
            .await;
        place
            .sql(&format!(
                "INSERT INTO sitewright_failures (id, order_id, kind, message, record, created_at,
                    fingerprint, template)
                 {series} SELECT {failure}, {order}, CASE WHEN i % 500 = 0 THEN 'trap' ELSE 'ai' END,
                    'm', '{{\"x\":\"' || {pad} || '\"}}', i, 'f' || (i % 50), 't' FROM n"
            ))
            .await;
        let mut slowest = Duration::ZERO;
        for (state, template) in [
            (None, None),
            (Some(OrderState::Dead), None),
            (Some(OrderState::Failed), None),
            (Some(OrderState::Cancelled), None),
            (None, Some("rare")),
            (Some(OrderState::Dead), Some("rare")),
            (Some(OrderState::Cancelled), Some("t")),
        ] {
            let template = template.map(str::to_owned);
            let filter = Filter { state, template, limit: 50, ..Filter::default() };
            let begin = Instant::now();
            let listed = database.orders(&filter).await.unwrap();
            slowest = slowest.max(begin.elapsed());
            let newest = listed.windows(2).all(|two| two[0].created_at > two[1].created_at);
            assert!(newest && listed.len() <= 50, "{filter:?}");
            for order in &listed {
                assert!(state.is_none_or(|state| order.state == state), "{filter:?}");
                let fits = filter.template.as_ref().is_none_or(|name| order.template == *name);
                assert!(fits, "{filter:?}");
            }
            let expected = match (state, filter.template.as_deref()) {
                (Some(OrderState::Cancelled), _) => 0,
                (Some(OrderState::Dead), None) => 40,
                (_, Some("rare")) => 20,
                _ => 50,
            };
            assert_eq!(listed.len(), expected, "{filter:?}");
        }
        let of = Filter { limit: 50, ..Filter::default() };
        let kind = |kind: &str| Filter { kind: Some(kind.to_owned()), ..of.clone() };
        let cause = |text: &str| Filter { fingerprint: Some(text.to_owned()), ..of.clone() };
        for (filter, expected) in [
            (kind("trap"), 40),
            (kind("ai"), 50),
            (kind("none"), 0),
            (cause("f49"), 50),
            (cause("f5"), 50),
            (cause("f50"), 0),
            (Filter { fingerprint: Some("f0".to_owned()), ..kind("trap") }, 40),
            (Filter { fingerprint: Some("f1".to_owned()), ..kind("trap") }, 0),
            (Filter { state: Some(OrderState::Dead), ..kind("trap") }, 40),
            (Filter { state: Some(OrderState::Failed), ..kind("trap") }, 0),
            (Filter { template: Some("rare".to_owned()), ..kind("trap") }, 20),
            (Filter { created_after: Some(orders - 9), ..of.clone() }, 10),
            (Filter { created_before: Some(11), ..of.clone() }, 10),
            (Filter { ended_after: Some(orders - 4), ..of.clone() }, 5),
            (Filter { ended_before: Some(3), ..kind("ai") }, 2),
            (Filter { created_after: Some(5), ended_before: Some(8), ..of.clone() }, 3),
        ] {
            let begin = Instant::now();
            let listed = database.orders(&filter).await.unwrap();
            slowest = slowest.max(begin.elapsed());
            assert_eq!(listed.len(), expected, "{filter:?}");
            let newest = listed.windows(2).all(|two| two[0].created_at > two[1].created_at);
            assert!(newest, "{filter:?}");
        }
        // A page behind another one has the same filters.
        let first = database.orders(&Filter { limit: 25, ..kind("trap") }).await.unwrap();
        let after = first.last().map(sitewright_jobs::OrderCursor::from);
        let rest = database.orders(&Filter { after, ..kind("trap") }).await.unwrap();
        assert_eq!((first.len(), rest.len()), (25, 15));
        assert!(rest.iter().all(|order| order.created_at < first[24].created_at));
        for filter in [
            ListedFailures::default(),
            ListedFailures { kind: Some("trap".to_owned()), ..ListedFailures::default() },
            ListedFailures { template: Some("none".to_owned()), ..ListedFailures::default() },
            ListedFailures { since: Some(orders - 10), ..ListedFailures::default() },
        ] {
            let begin = Instant::now();
            let briefs = database.failures_in_brief(&filter, 50).await.unwrap();
            let groups = database.failure_groups(&filter).await.unwrap();
            slowest = slowest.max(begin.elapsed());
            assert!(briefs.windows(2).all(|two| two[0].id > two[1].id), "{filter:?}");
            assert_eq!(briefs.is_empty(), groups.is_empty(), "{filter:?}");
        }
        let begin = Instant::now();
        let since = Selection {
            states: vec![OrderState::Failed, OrderState::Dead],
            kind: Some("trap".to_owned()),
            ..Selection::default()
        };
        assert_eq!(database.select(&since).await.unwrap().len(), 40);
        eprintln!("slowest list {slowest:?}, selection {:?}", begin.elapsed());
        // Not a benchmark: reading each row takes several times as long, and no machine is slow for
        // the one and not for the other.
        let begin = Instant::now();
        let none = "SELECT count(*) FROM sitewright_failures WHERE record LIKE '%nowhere%'";
        assert_eq!(place.number(none).await, 0);
        let most = begin.elapsed().max(Duration::from_secs(2));
        assert!(slowest < most, "{slowest:?}, {most:?} for all");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_made_while_orders_are_added_is_restored() {
    let place = Place::sqlite();
    let database = place.open().await;
    for number in 0..200 {
        database.enqueue(new_order(&format!("before-{number}"))).await.unwrap();
    }
    let adding = {
        let database = database.clone();
        tokio::spawn(async move {
            for number in 0..200 {
                database.enqueue(new_order(&format!("during-{number}"))).await.unwrap();
            }
        })
    };
    let file = place.folder.path().join("a 100%? back#up.db");
    let backup = database.backup(&file).await.unwrap();
    adding.await.unwrap();
    assert!((200..=400).contains(&backup.orders), "{backup:?}");
    assert_eq!((backup.schema, &backup.file), (SCHEMA_VERSION, &file));
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let names: Vec<_> = std::fs::read_dir(place.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert!(!names.iter().any(|name| name.contains(".partial")), "{names:?}");
    let error = database.backup(&file).await.unwrap_err();
    assert!(error.to_string().contains("exists already") && error.is_usage(), "{error}");
    let nowhere = place.folder.path().join("none/backup.db");
    assert!(database.backup(&nowhere).await.is_err());
    // One that fails leaves nothing, of itself or of one that was killed before.
    use std::os::unix::ffi::OsStrExt as _;
    let failed = tempfile::tempdir().unwrap();
    let name = |suffix: &str| [&b"\xff.db"[..], suffix.as_bytes()].concat();
    for suffix in [".partial", ".partial-journal", ".partial-wal", ".partial-shm"] {
        let name = name(suffix);
        let left = failed.path().join(std::ffi::OsStr::from_bytes(&name));
        std::fs::write(left, "pages").unwrap();
    }
    let name = name("");
    let unusable = failed.path().join(std::ffi::OsStr::from_bytes(&name));
    let error = database.backup(&unusable).await.unwrap_err();
    assert!(error.to_string().contains("not UTF-8"), "{error}");
    assert_eq!(std::fs::read_dir(failed.path()).unwrap().count(), 0);
    database.close().await;

    // Restored as the page says.
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(&file, folder.path().join("orders.db")).unwrap();
    let url = format!("sqlite://{}/orders.db", folder.path().display());
    let restored = Database::open(&url).await.unwrap();
    restored.check_schema().await.unwrap();
    restored.migrate().await.unwrap();
    assert_eq!(restored.unfinished().await.unwrap(), backup.orders);
    let claimed = taken_by(&restored, "before-0", "w").await;
    release(&restored, &claimed, "r1").await;
    assert!(matches!(
        restored.enqueue(new_order("before-1")).await.unwrap(),
        Enqueued::AlreadyQueued { .. }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_backed_up_by_its_own_tool() {
    let Some(place) = Place::postgres().await else { return };
    let database = place.open().await;
    let error = database.backup(&place.folder.path().join("b.db")).await.unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("pg_dump"), "{error}");
}
