//! Rescue of orders whose worker has died, and of orders without a job.

use super::*;

on_both!(
    d2_d3_a_silent_workers_orders_are_done_by_another,
    c7_the_second_crash_is_the_last,
    c7_whoever_kills_at_random_makes_no_order_dead,
    c7_only_orders_whose_code_ran_are_suspected,
    d2_a_worker_on_this_machine_is_rescued_at_once,
    d2_nothing_is_remembered_between_workers_that_live_for_moments,
    d2_a_live_worker_is_never_rescued_by_a_new_one,
    d3_an_order_without_a_job_gets_one,
    a_job_cancelled_in_the_queue_cancels_its_order,
    draining_gives_orders_back_uncounted,
    a_handler_that_does_not_listen_loses_its_order_to_the_line,
    d3_d4_a_job_that_nobody_would_take_is_found,
);

/// Short intervals, and marks in the folder of this test.
async fn marked(place: &Place) -> WorkerSettings {
    let marks = Marks::create(marks_of(place)).await.unwrap();
    WorkerSettings { marks: Some(Arc::new(marks)), ..quick() }
}

fn marks_of(place: &Place) -> std::path::PathBuf {
    place.folder.path().join("marks")
}

/// A process of this machine that was killed while code of these attempts ran, alone or not.
async fn killed(place: &Place, worker: &str, inside: &[(Ulid, bool)]) {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    killed_on(place, boot.trim(), worker, inside).await;
}

async fn killed_on(place: &Place, boot: &str, worker: &str, inside: &[(Ulid, bool)]) {
    let files = || {
        let files = std::fs::read_dir(marks_of(place)).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.collect::<std::collections::BTreeSet<String>>()
    };
    std::fs::create_dir_all(marks_of(place)).unwrap();
    let before = files();
    let marks = Marks::create(marks_of(place)).await.unwrap();
    let name = files().difference(&before).next().unwrap().clone();
    for (attempt, alone) in inside {
        marks.enter(*attempt, *alone);
    }
    // Its row may be one that the rescuer has added already.
    let now = if place.is_sqlite() {
        "(CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER))"
    } else {
        "(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)"
    };
    let row = format!(
        "INSERT INTO sitewright_workers (client_id, boot_id, host, pid, max_orders, started_at, \
         last_seen, beats, marks)
         VALUES ('{worker}', '{boot}', 'host', 1, 1, {now}, {now}, 1, '{name}')
         ON CONFLICT (client_id) DO UPDATE SET boot_id = '{boot}', marks = '{name}'"
    );
    place.sql(&row).await;
    drop(marks);
}

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
            assert_eq!((order.state, order.crashes, order.attempts), (OrderState::Succeeded, 0, 1));
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
        let rescuer = start(database.clone(), marked(&place).await, Scripted::all_succeed());
        let rescuer = rescuer.await.unwrap();
        // Of the first process nobody knows whose fault its end was.
        for crash in 0..=2 {
            let worker = format!("victim-{crash}");
            let claimed = taken_by(&database, "poison", &worker).await;
            assert_eq!(claimed.suspected, crash > 0);
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
            killed(&place, &worker, &[(claimed.attempt, crash > 0)]).await;
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
            database.attempts("poison").await.unwrap()[2].last_stage.as_deref(),
            Some("copy-2")
        );
        rescuer.drain(GRACE).await.unwrap();
    }

    /// Where processes end although no order's code runs in them, somebody else ends them, and an
    /// order on trial is hit by chance: it is allowed as many crashes more.
    pub(super) async fn c7_whoever_kills_at_random_makes_no_order_dead(place: Place) {
        let database = place.open().await;
        database.pause().await.unwrap();
        for id in ["innocent", "bystander"] {
            database.enqueue(new_order(id)).await.unwrap();
        }
        let rescuer = start(database.clone(), marked(&place).await, Scripted::all_succeed());
        let rescuer = rescuer.await.unwrap();
        let mut wanted = Vec::new();
        for death in 0..5 {
            // Before the third and the fourth end of a process with its code, one without any.
            if death == 2 || death == 3 {
                let worker = format!("unlucky-{death}");
                taken_by(&database, "bystander", &worker).await;
                killed(&place, &worker, &[]).await;
                rescued(&database, "bystander").await;
            }
            let worker = format!("victim-{death}");
            let claimed = taken_by(&database, "innocent", &worker).await;
            killed(&place, &worker, &[(claimed.attempt, death > 0)]).await;
            rescued(&database, "innocent").await;
            let order = database.order("innocent").await.unwrap();
            wanted.push((order.state, order.crashes));
        }
        let queued = |crashes| (OrderState::Queued, crashes);
        let last = (OrderState::Dead, 4);
        assert_eq!(wanted, [queued(0), queued(1), queued(2), queued(3), last]);
        let failures = database.failures("innocent").await.unwrap();
        let counted: Vec<_> = failures
            .iter()
            .map(|failure| failure.record["attributes"]["crashes"].as_str().unwrap())
            .collect();
        let of = |crash: &str| format!("{crash}, after which it is given up");
        assert_eq!(counted, [of("1 of 2"), of("2 of 3"), of("3 of 4"), of("4 of 4")]);
        rescuer.drain(GRACE).await.unwrap();
    }

    /// Of the orders in a process only those are suspected whose code ran when it ended, and only
    /// one that ran alone, on trial, is charged with it.
    pub(super) async fn c7_only_orders_whose_code_ran_are_suspected(place: Place) {
        let database = place.open().await;
        database.pause().await.unwrap();
        let mut claimed = HashMap::new();
        for id in ["waits", "one", "two", "on-trial", "not-alone", "asked-to-stop"] {
            database.enqueue(new_order(id)).await.unwrap();
            claimed.insert(id, taken_by(&database, id, "victim").await.attempt);
        }
        place
            .sql(
                "UPDATE sitewright_orders SET suspected_at = 7
                 WHERE id IN ('on-trial', 'not-alone', 'asked-to-stop')",
            )
            .await;
        database.cancel("asked-to-stop").await.unwrap();
        let settings = marked(&place).await;
        let inside = ["one", "two", "not-alone"].map(|id| (claimed[id], false));
        killed(&place, "victim", &inside).await;
        let rescuer = start(database.clone(), settings, Scripted::all_succeed()).await.unwrap();
        for (id, suspected) in [("waits", false), ("one", true), ("two", true), ("not-alone", true)]
        {
            rescued(&database, id).await;
            let order = database.order(id).await.unwrap();
            assert_eq!(
                (order.state, order.crashes, order.attempts),
                (OrderState::Queued, 0, 0),
                "{order:?}"
            );
            assert_eq!(order.last_failure, None, "{id}: nothing has happened to it");
            assert_eq!(database.failures(id).await.unwrap(), []);
            let attempts = database.attempts(id).await.unwrap();
            assert_eq!(attempts[0].outcome, Some(AttemptEnd::Crashed), "its process has ended");
            let events = database.events(id, 0).await.unwrap();
            let said = events.last().unwrap().message.clone().unwrap();
            assert_eq!(said.contains("no other order's code"), suspected, "{said}");
            assert_eq!(taken_by(&database, id, "next").await.suspected, suspected, "{id}");
        }
        until_state(&database, "asked-to-stop", OrderState::Cancelled).await;
        // A trial is over when the attempt has come to an end, whichever.
        let job = database.order("on-trial").await.unwrap().job_id.unwrap();
        let again =
            database.claim("on-trial", job, &ghost("later"), Ulid::generate()).await.unwrap();
        let Claim::Claimed(again, _) = again else { panic!("{again:?}") };
        assert!(again.suspected);
        let resolution = Resolution::Retry {
            failure: failure("ai", "another time"),
            after: Duration::from_millis(1),
        };
        database.complete(&again, &resolution, AttemptLimits::default()).await.unwrap();
        let cleared = "SELECT count(*) FROM sitewright_orders
             WHERE id = 'on-trial' AND suspected_at IS NULL";
        assert_eq!(place.number(cleared).await, 1);
        rescuer.drain(GRACE).await.unwrap();
    }

    /// The lock of a process tells that it has ended: nobody waits for its heartbeat to be late.
    pub(super) async fn d2_a_worker_on_this_machine_is_rescued_at_once(place: Place) {
        let database = place.open().await;
        database.pause().await.unwrap();
        let settings =
            WorkerSettings { stale_after: Duration::from_secs(3_600), ..marked(&place).await };
        let handler = Scripted::all_succeed();
        let other = start(place.open().await, settings, handler).await.unwrap();
        database.enqueue(new_order("24")).await.unwrap();
        let claimed = taken_by(&database, "24", "victim").await;
        assert_eq!(database.order("24").await.unwrap().state, OrderState::Running);
        killed(&place, "victim", &[(claimed.attempt, false)]).await;
        rescued(&database, "24").await;
        let begin = Instant::now();
        until("its row is gone", || async {
            let stats = database.stats().await.unwrap();
            stats.workers.iter().all(|worker| worker.client_id != "victim")
        })
        .await;
        assert!(begin.elapsed() < Duration::from_secs(30));
        // One of another machine, and one from before this machine was started again, may live.
        for (worker, boot) in [("elsewhere", "another-boot"), ("unreadable", "unknown")] {
            let id = format!("of-{worker}");
            database.enqueue(new_order(&id)).await.unwrap();
            let claimed = taken_by(&database, &id, worker).await;
            killed_on(&place, boot, worker, &[(claimed.attempt, true)]).await;
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
        for id in ["of-elsewhere", "of-unreadable"] {
            assert_eq!(database.order(id).await.unwrap().state, OrderState::Running, "{id}");
        }
        other.drain(GRACE).await.unwrap();
    }

    /// Each worker lives shorter than a heartbeat may be late, and its successor goes on where it
    /// has stopped.
    pub(super) async fn d2_nothing_is_remembered_between_workers_that_live_for_moments(
        place: Place,
    ) {
        let database = place.open().await;
        database.enqueue(new_order("24")).await.unwrap();
        taken_by(&database, "24", "elsewhere").await;
        let settings = WorkerSettings { stale_after: Duration::from_millis(1_200), ..quick() };
        let handler = Scripted::all_succeed();
        // Keeps SQLite's workers from being alone.
        let idle = Scripted::new(|_, _| Do::Wait);
        database.pause().await.unwrap();
        let begin = Instant::now();
        let mut lives = 0;
        while database.order("24").await.unwrap().owner_attempt.is_some() {
            assert!(begin.elapsed() < Duration::from_secs(60));
            let one = start(place.open().await, settings.clone(), idle.clone()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
            // Another one starts before it ends, so that there is always one.
            let next = start(place.open().await, settings.clone(), idle.clone()).await.unwrap();
            drop(one);
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(next);
            lives += 2;
        }
        assert!(place.is_sqlite() || lives >= 4, "{lives}");
        database.resume().await.unwrap();
        let mut last = start(database.clone(), settings, handler.clone()).await.unwrap();
        last.until_empty().await.unwrap();
        assert_eq!((handler.total(), database.order("24").await.unwrap().crashes), (1, 0));
        last.drain(GRACE).await.unwrap();
    }

    /// After an outage, or when the clock of the database is set, the heartbeats of all workers are
    /// old. A worker that starts then finds them so and takes nobody's orders.
    pub(super) async fn d2_a_live_worker_is_never_rescued_by_a_new_one(place: Place) {
        let database = place.open().await;
        database.enqueue(new_order("24")).await.unwrap();
        let handler = Scripted::new(|_, _| Do::Wait);
        let alive = worker(&database, &handler).await;
        until("it runs", || async { handler.busy.load(Ordering::SeqCst) == 1 }).await;
        for seen in [0, i64::MAX / 2] {
            for _ in 0..5 {
                place.sql(&format!("UPDATE sitewright_workers SET last_seen = {seen}")).await;
                let new = worker(&place.open().await, &Scripted::all_succeed()).await;
                tokio::time::sleep(Duration::from_millis(60)).await;
                drop(new);
            }
        }
        let order = database.order("24").await.unwrap();
        assert_eq!((order.state, order.runs), (OrderState::Running, 1), "{order:?}");
        assert_eq!(order.owner_worker.as_deref(), Some(alive.client_id()));
        alive.stop_now().await.unwrap();
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
    assert_eq!(database.order("24").await.unwrap().crashes, 0);

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
        (OrderState::Succeeded, 0, 1),
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
