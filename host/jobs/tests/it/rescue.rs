//! Rescue of orders whose worker has died, and of orders without a job.

use super::*;

on_both!(
    d2_d3_a_silent_workers_orders_are_done_by_another,
    c7_the_second_crash_is_the_last,
    d3_an_order_without_a_job_gets_one,
    a_job_cancelled_in_the_queue_cancels_its_order,
    draining_gives_orders_back_uncounted,
    a_handler_that_does_not_listen_loses_its_order_to_the_line,
    d3_d4_a_job_that_nobody_would_take_is_found,
);

mod tests {
    use super::*;

    pub(super) async fn d2_d3_a_silent_workers_orders_are_done_by_another(place: Place) {
        let database = place.open().await;
        for n in 0..20 {
            let id = format!("o{n}");
            database.enqueue(new_order(&id)).await.unwrap();
            taken_by(&database, &id, "dead").await;
        }
        let handler = Scripted::all_succeed();
        let mut serving = worker(&database, &handler).await;
        serving.until_empty().await.unwrap();
        for n in 0..20 {
            let order = database.order(&format!("o{n}")).await.unwrap();
            assert_eq!((order.state, order.crashes, order.attempts), (OrderState::Succeeded, 1, 1));
            assert_eq!(
                order.config_version.as_deref(),
                Some("c1"),
                "the configuration of the first attempt stays"
            );
        }
        assert_eq!(handler.total(), 20);
        // The order of a live worker is left alone, however long it takes.
        database.enqueue(new_order("slow")).await.unwrap();
        let slow = Scripted::new(|_, _| Do::Sleep(Duration::from_secs(3)));
        serving.drain(GRACE).await.unwrap();
        let (one, two) = (worker(&database, &slow).await, worker(&place.open().await, &slow).await);
        until_state(&database, "slow", OrderState::Succeeded).await;
        assert_eq!(database.order("slow").await.unwrap().runs, 1);
        one.drain(GRACE).await.unwrap();
        two.drain(GRACE).await.unwrap();
    }

    pub(super) async fn c7_the_second_crash_is_the_last(place: Place) {
        let database = place.open().await;
        database.pause().await.unwrap();
        database.enqueue(new_order("poison")).await.unwrap();
        let rescuer = worker(&database, &Scripted::all_succeed()).await;
        for crash in 1..=2 {
            let worker = format!("victim-{crash}");
            let claimed = taken_by(&database, "poison", &worker).await;
            let attempt = claimed.attempt.to_string();
            let event = NewEvent {
                order: "poison".to_owned(),
                attempt: Some(attempt.clone()),
                stage: format!("copy-{crash}"),
                done: Some(3),
                total: Some(8),
                message: None,
            };
            database.record_events(vec![event]).await.unwrap();
            database.keep_reply("poison", &attempt, reply("q", crash)).await.unwrap();
            rescued(&database, "poison").await;
            let order = database.order("poison").await.unwrap();
            let wanted = if crash == 2 { OrderState::Dead } else { OrderState::Queued };
            assert_eq!((order.state, order.crashes, order.attempts), (wanted, i64::from(crash), 0));
        }
        let failures = database.failures("poison").await.unwrap();
        assert_eq!(failures.len(), 2);
        let last = &failures[1];
        assert_eq!(
            database.order("poison").await.unwrap().last_failure.as_deref(),
            Some(&*last.id)
        );
        assert_eq!(last.kind, "crashed");
        assert!(
            last.message.contains("victim-2") && last.message.contains("copy-2"),
            "{}",
            last.message
        );
        assert!(last.message.contains("after 2 crashes"), "{}", last.message);
        // The record has the same type as all others, so that one renderer serves all.
        let record: FailureRecord = serde_json::from_value(last.record.clone()).unwrap();
        assert_eq!(
            (record.kind, &*record.stage, &*record.template.name),
            (FailureKind::Crashed, "copy-2", "flora")
        );
        assert_eq!(record.progress.map(|steps| (steps.done, steps.total)), Some((3, 8)));
        let calls: Vec<(&str, &str)> = record
            .trail
            .iter()
            .map(|entry| (&*entry.call, entry.args.split(':').next().unwrap()))
            .collect();
        assert!(calls.contains(&("diagnostics.progress", "copy-2 3/8")), "{calls:?}");
        assert!(calls.contains(&("ai.complete", "copywriting")), "{calls:?}");
        assert_eq!(record.attributes["worker"], "victim-2");
        assert!(
            !record.trace_id.is_empty()
                && !record.host_build.is_empty()
                && !record.config_version.is_empty()
        );
        assert_eq!(
            database.attempts("poison").await.unwrap()[1].last_stage.as_deref(),
            Some("copy-2")
        );
        rescuer.drain(GRACE).await.unwrap();
    }

    pub(super) async fn d3_an_order_without_a_job_gets_one(place: Place) {
        let database = place.open().await;
        // A producer in another language that does not know the queue: three columns.
        place
            .sql(
                "INSERT INTO sitewright_orders (id, document, template) VALUES ('foreign', '{}', \
                 'flora')",
            )
            .await;
        // One whose job was lost, and one whose job was deleted while it waited.
        database.enqueue(new_order("lost")).await.unwrap();
        place.sql("DELETE FROM river_job").await;
        let handler = Scripted::all_succeed();
        let mut serving = worker(&database, &handler).await;
        serving.until_empty().await.unwrap();
        assert_eq!(
            handler.runs(),
            HashMap::from([("foreign".to_owned(), 1), ("lost".to_owned(), 1)])
        );
        assert_eq!(
            database.order("foreign").await.unwrap().config_version.as_deref(),
            Some("worker")
        );

        // A producer that inserts the job without updating the order; and a second job for the
        // order.
        let insert = |id: &str| {
            let args = if place.is_sqlite() {
                format!("jsonb('{{\"order\":\"{id}\"}}')")
            } else {
                format!("'{{\"order\":\"{id}\"}}'")
            };
            format!(
                "INSERT INTO river_job (args, kind, max_attempts) VALUES ({args}, \
                 'sitewright_order', 5)"
            )
        };
        place
            .sql(
                "INSERT INTO sitewright_orders (id, document, template) VALUES ('both', '{}', \
                 'flora')",
            )
            .await;
        place.sql(&insert("both")).await;
        place.sql(&insert("both")).await;
        place.sql(&insert("nobody")).await;
        serving.until_empty().await.unwrap();
        let open = "SELECT count(*) FROM river_job WHERE finalized_at IS NULL";
        until("all jobs have ended", || async { place.number(open).await == 0 }).await;
        assert_eq!(handler.runs()["both"], 1);
        serving.drain(GRACE).await.unwrap();
    }

    pub(super) async fn a_job_cancelled_in_the_queue_cancels_its_order(place: Place) {
        let database = place.open().await;
        database.pause().await.unwrap();
        database.enqueue(new_order("24")).await.unwrap();
        place
            .sql("UPDATE river_job SET state = 'cancelled', finalized_at = CURRENT_TIMESTAMP")
            .await;
        let serving = worker(&database, &Scripted::all_succeed()).await;
        until_state(&database, "24", OrderState::Cancelled).await;
        serving.drain(GRACE).await.unwrap();
    }

    pub(super) async fn draining_gives_orders_back_uncounted(place: Place) {
        let database = place.open().await;
        let orders = (0..30).map(|n| new_order(&format!("o{n}"))).collect();
        database.enqueue_all(orders).await.unwrap();
        let handler = Scripted::new(|_, _| Do::Wait);
        let serving = worker(&database, &handler).await;
        until("all run", || async { handler.busy.load(Ordering::SeqCst) == 30 }).await;
        let drained = serving.drain(Duration::from_millis(100)).await.unwrap();
        assert_eq!((drained.running, drained.in_time), (30, false));
        assert!(
            handler
                .stopped
                .lock()
                .unwrap()
                .iter()
                .all(|(_, reason)| *reason == StopReason::WorkerShutdown)
        );
        for order in database.orders(&Filter::default()).await.unwrap() {
            assert_eq!(
                (order.state, order.attempts, order.crashes),
                (OrderState::Queued, 0, 0),
                "{order:?}"
            );
            let attempts = database.attempts(&order.id).await.unwrap();
            assert_eq!(attempts[0].outcome, Some(AttemptEnd::Returned));
        }
        let stats = database.stats().await.unwrap();
        assert_eq!(stats.workers, [], "it has claimed itself off the list");

        let handler = Scripted::all_succeed();
        let mut serving = worker(&database, &handler).await;
        serving.until_empty().await.unwrap();
        assert_eq!(handler.total(), 30);
        // With enough time, running orders end by themselves, and a second signal ends the wait.
        let slow =
            Scripted::new(
                |_, run| if run == 1 { Do::Sleep(Duration::from_millis(300)) } else { Do::Wait },
            );
        serving.drain(GRACE).await.unwrap();
        let serving = worker(&database, &slow).await;
        database.enqueue(new_order("slow")).await.unwrap();
        until("it runs", || async { slow.busy.load(Ordering::SeqCst) == 1 }).await;
        assert!(serving.drain(GRACE).await.unwrap().in_time);
        assert_eq!(database.order("slow").await.unwrap().state, OrderState::Succeeded);
        database.reopen("slow", None).await.unwrap();
        let serving = worker(&database, &slow).await;
        until("it runs", || async { slow.busy.load(Ordering::SeqCst) == 2 }).await;
        let stopper = serving.stopper();
        let draining = tokio::spawn(serving.drain(GRACE));
        stopper.stop_now();
        assert!(!draining.await.unwrap().unwrap().in_time);
        assert_eq!(database.order("slow").await.unwrap().state, OrderState::Queued);
    }

    pub(super) async fn a_handler_that_does_not_listen_loses_its_order_to_the_line(place: Place) {
        let database = place.open().await;
        let handler = Scripted::new(|_, _| Do::Sleep(Duration::from_secs(600)));
        let settings = WorkerSettings { stop_within: Duration::from_millis(200), ..quick() };
        let serving = start(database.clone(), settings.clone(), handler.clone()).await.unwrap();
        database.enqueue(new_order("24")).await.unwrap();
        until("it runs", || async { handler.busy.load(Ordering::SeqCst) == 1 }).await;
        serving.stop_now().await.unwrap();
        let order = database.order("24").await.unwrap();
        assert_eq!((order.state, order.crashes), (OrderState::Queued, 0));

        // The worker lives, but its task was dropped: nobody works on the order, and it is rescued
        // as crashed.
        let serving = start(database.clone(), settings, handler.clone()).await.unwrap();
        until("it runs", || async { handler.busy.load(Ordering::SeqCst) == 2 }).await;
        database.cancel("24").await.unwrap();
        until_state(&database, "24", OrderState::Cancelled).await;
        let attempts = database.attempts("24").await.unwrap();
        assert_eq!(attempts[1].outcome, Some(AttemptEnd::Crashed));
        serving.stop_now().await.unwrap();
    }

    /// The connection breaks after the queue gave a worker its jobs and before the worker got them;
    /// a clock is set back after orders were promoted in the queue. Both recover without an
    /// operator.
    pub(super) async fn d3_d4_a_job_that_nobody_would_take_is_found(place: Place) {
        let database = place.open().await;
        database.pause().await.unwrap();
        database.enqueue_all(vec![new_order("unheard"), new_order("ahead")]).await.unwrap();
        let handler = Scripted::all_succeed();
        let mut serving = worker(&database, &handler).await;
        let (me, ahead) = (
            serving.client_id().to_owned(),
            "(SELECT job_id FROM sitewright_orders WHERE id = 'ahead')",
        );
        let change = if place.is_sqlite() {
            format!(
                "UPDATE river_job SET state = 'running', attempt = 1, attempted_by = \
                 jsonb_array('{me}'),
                    attempted_at = strftime('%Y-%m-%d %H:%M:%f', 'now') WHERE id <> {ahead};
                 UPDATE river_job SET scheduled_at = strftime('%Y-%m-%d %H:%M:%f', 'now', '1 \
                 hour') WHERE id = {ahead}"
            )
        } else {
            format!(
                "UPDATE river_job SET state = 'running', attempt = 1, attempted_by = \
                 ARRAY['{me}'], attempted_at = now()
                    WHERE id <> {ahead};
                 UPDATE river_job SET scheduled_at = now() + interval '1 hour' WHERE id = {ahead}"
            )
        };
        place.sql(&change).await;
        database.resume().await.unwrap();
        serving.until_empty().await.unwrap();
        assert_eq!(
            handler.runs(),
            HashMap::from([("unheard".to_owned(), 1), ("ahead".to_owned(), 1)])
        );
        assert_eq!(database.order("unheard").await.unwrap().crashes, 0);
        serving.drain(GRACE).await.unwrap();
    }
}

// -------------------------------------------------------------------------------------------
// Tests of one database only.

/// The first worker on an SQLite file knows that all earlier owners have stopped: it does not wait
/// for their heartbeats to become stale.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_worker_on_a_file_rescues_at_once() {
    logged();
    let place = Place::sqlite();
    let database = place.open().await;
    database.enqueue(new_order("24")).await.unwrap();
    taken_by(&database, "24", "dead").await;
    let settings = WorkerSettings { stale_after: Duration::from_secs(3_600), ..quick() };
    let handler = Scripted::all_succeed();
    let mut first = start(database.clone(), settings.clone(), handler.clone()).await.unwrap();
    in_time(async { first.until_empty().await.unwrap() }).await;
    assert_eq!(database.order("24").await.unwrap().crashes, 1);

    // The second one is not alone: it waits until the others are stale.
    // The first one must not take the order before `elsewhere` does.
    database.pause().await.unwrap();
    database.enqueue(new_order("25")).await.unwrap();
    taken_by(&database, "25", "elsewhere").await;
    database.resume().await.unwrap();
    let second = start(place.open().await, settings.clone(), handler.clone()).await.unwrap();
    assert_eq!(database.order("25").await.unwrap().state, OrderState::Running);
    // When both have stopped, the next one is alone again.
    first.drain(GRACE).await.unwrap();
    second.drain(GRACE).await.unwrap();
    let mut third = start(database.clone(), settings, handler).await.unwrap();
    in_time(async { third.until_empty().await.unwrap() }).await;
    third.drain(GRACE).await.unwrap();
}

/// A worker whose machine dies in the middle of a transaction leaves a session that holds the lock
/// on the order's row and the rescue lock until PostgreSQL notices: two hours by TCP's defaults.
#[tokio::test(flavor = "multi_thread")]
async fn d3_a_lost_workers_locks_do_not_keep_its_orders_from_rescue() {
    logged();
    let Some(place) = Place::postgres().await else { return };
    let outside = place.open().await;
    let (network, url) = place.across_a_network().await;
    let lost = Database::open_answering(&url, Duration::from_secs(9)).await.unwrap();
    outside.enqueue(new_order("24")).await.unwrap();
    let claimed = taken_by(&lost, "24", "lost").await;
    // Its last transaction waits for the row, and gets it when its client is gone.
    let mut holds = sqlx::PgConnection::connect(&place.url).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT 1 FROM sitewright_orders WHERE id = '24' FOR UPDATE")
        .execute(&mut holds)
        .await
        .unwrap();
    let settling = tokio::spawn({
        let (lost, claimed) = (lost.clone(), claimed.clone());
        async move {
            let resolution = Resolution::Succeeded { release: "late".to_owned() };
            lost.complete(&claimed, &resolution, AttemptLimits::default()).await
        }
    });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND \
                   datname = current_database()";
    until("it waits for the row", || async { place.number(waiting).await == 1 }).await;
    network.lose_all();
    sqlx::raw_sql("COMMIT").execute(&mut holds).await.unwrap();
    let idle = "SELECT count(*) FROM pg_stat_activity
         WHERE state = 'idle in transaction' AND datname = current_database()";
    until("its session holds the row", || async { place.number(idle).await == 1 }).await;

    let handler = Scripted::all_succeed();
    let mut serving = start(outside.clone(), quick(), handler.clone()).await.unwrap();
    in_time(async { serving.until_empty().await.unwrap() }).await;
    let order = outside.order("24").await.unwrap();
    assert_eq!(
        (order.state, order.crashes, handler.total()),
        (OrderState::Succeeded, 1, 1),
        "{order:?}"
    );
    // The lost worker gets an error first; when it retries, the lease is lost.
    let unheard = settling.await.unwrap().unwrap_err();
    assert!(
        unheard.is_transient() && unheard.to_string().contains("has not answered for 9 s"),
        "{unheard}"
    );
    assert_eq!(release(&lost, &claimed, "late").await, CompleteOutcome::LeaseLost);
    assert_ne!(order.current_release.as_deref(), Some("late"));
    serving.drain(GRACE).await.unwrap();
}
