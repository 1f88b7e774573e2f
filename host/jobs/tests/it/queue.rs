//! Adding, reading, cancelling and requeuing orders; pause; statistics.

use super::*;

on_both!(
    c5_the_same_order_is_put_in_line_once,
    c5_many_clicks_at_once_make_one_order,
    d1_an_order_that_has_ended_stays_as_it_is,
    d7_an_order_begun_again_keeps_its_attempts_and_its_release,
    a_cancelled_order_ends_wherever_it_is,
    an_order_does_not_begin_before_its_due_time,
    a_worker_that_is_asked_to_drain_claims_nothing,
    open_breakers_are_those_of_workers_that_there_are,
    a_search_that_looks_through_many_orders_finds_each_once,
    pause_stops_the_line,
    b3_orders_that_wait_hold_no_connection,
    d3_a_job_that_a_producer_inserted_stays_the_only_one,
    a_release_that_is_not_visible_is_found,
    b4_b7_everything_is_listed_and_exported,
    g4_an_operator_sees_the_queue,
    a_search_looks_through_a_bounded_part_of_large_documents,
    f1_ids_that_differ_only_in_case_are_refused,
);

mod tests {
    use super::*;

    pub(super) async fn c5_the_same_order_is_put_in_line_once(place: Place) {
        let database = place.open().await;
        let keyed =
            |id: &str| NewOrder { idempotency_key: Some("click-1".to_owned()), ..new_order(id) };
        let first = database.enqueue(keyed("24")).await.unwrap();
        assert!(matches!(&first, Enqueued::New { order, .. } if order == "24"), "{first:?}");
        let queued = Enqueued::AlreadyQueued { order: "24".to_owned() };
        assert_eq!(database.enqueue(new_order("24")).await.unwrap(), queued, "the same id");
        assert_eq!(
            database.enqueue(keyed("25")).await.unwrap(),
            queued,
            "the same key under another id"
        );

        let claimed = taken_by(&database, "24", "w").await;
        let running = Enqueued::AlreadyRunning { order: "24".to_owned() };
        assert_eq!(database.enqueue(new_order("24")).await.unwrap(), running);
        assert_eq!(
            release(&database, &claimed, "r1").await,
            ended(AttemptEnd::Succeeded, OrderState::Succeeded)
        );
        let done = Enqueued::AlreadyDone {
            order: "24".to_owned(),
            state: OrderState::Succeeded,
            release: Some("r1".to_owned()),
        };
        assert_eq!(database.enqueue(keyed("24")).await.unwrap(), done);
        assert_eq!(place.number("SELECT count(*) FROM river_job").await, 1);
        assert_eq!(place.number("SELECT count(*) FROM sitewright_orders").await, 1);

        for (bad, field) in [
            (new_order(" "), "`id`"),
            (NewOrder::new("x", "", "{}"), "`template`"),
            (
                NewOrder { idempotency_key: Some(String::new()), ..new_order("x") },
                "`idempotency_key`",
            ),
            (NewOrder { tenant: Some(" ".to_owned()), ..new_order("x") }, "`tenant`"),
            (NewOrder { tenant: Some("a\nb".to_owned()), ..new_order("x") }, "`tenant`"),
            (NewOrder { tenant: Some("é".repeat(101)), ..new_order("x") }, "`tenant`"),
            (NewOrder::new("x", "flora", "\0"), "NUL"),
        ] {
            let error = database.enqueue(bad).await.unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
        assert!(matches!(database.order("25").await, Err(Error::NoSuchOrder { .. })));

        // Whoever an order is for is known to those who claim it, one or many at once.
        let of = |id: &str, tenant: Option<String>| NewOrder { tenant, ..new_order(id) };
        let label = "é".repeat(100);
        database.enqueue(of("t1", Some(label.clone()))).await.unwrap();
        database.enqueue(of("t2", None)).await.unwrap();
        let (one, two) =
            tokio::join!(taken_by(&database, "t1", "w"), taken_by(&database, "t2", "w"));
        assert_eq!((one.tenant.as_ref(), two.tenant), (Some(&label), None));
        assert_eq!(database.order("t1").await.unwrap().tenant, Some(label));
    }

    pub(super) async fn c5_many_clicks_at_once_make_one_order(place: Place) {
        let (one, two) = (place.open().await, place.open().await);
        let clicks = (0..40).map(|click| {
            let database = if click % 2 == 0 { one.clone() } else { two.clone() };
            tokio::spawn(async move { database.enqueue(new_order("24")).await.unwrap() })
        });
        let answers = futures::future::join_all(clicks).await;
        let new =
            answers.iter().filter(|answer| matches!(answer, Ok(Enqueued::New { .. }))).count();
        assert_eq!(new, 1, "{answers:?}");
        assert_eq!(place.number("SELECT count(*) FROM river_job").await, 1);

        let orders = (0..100).map(|id| new_order(&format!("bulk-{id}"))).collect();
        let answers = one.enqueue_all(orders).await.unwrap();
        assert!(answers.iter().all(|answer| matches!(answer, Enqueued::New { .. })));
        assert_eq!(place.number("SELECT count(*) FROM river_job").await, 101);
    }

    pub(super) async fn an_order_does_not_begin_before_its_due_time(place: Place) {
        let database = place.open().await;
        let now = sitewright_model::time::now_ms();
        let (soon, tomorrow) = (now + 1_000, now + 86_400_000);
        let of = |id: &str, due: i64| NewOrder { due_at: Some(due), ..new_order(id) };
        let shown = async |id: &str| {
            let order = database.order(id).await.unwrap();
            (order.state, order.due_at, order.next_attempt_at)
        };
        let waits = |due: i64| (OrderState::Waiting, Some(due), Some(due));
        let at_once = (OrderState::Queued, None, None);
        database.enqueue_all(vec![of("soon", soon), of("past", now - 1)]).await.unwrap();
        database.enqueue(of("later", tomorrow)).await.unwrap();
        assert_eq!(shown("soon").await, waits(soon));
        assert_eq!(shown("past").await, at_once);
        assert_eq!(shown("later").await, waits(tomorrow));
        let reason = database.order("later").await.unwrap().waiting_reason.unwrap();
        assert!(reason.contains("due time"), "{reason}");
        // Sent again, and with another document.
        assert!(matches!(
            database.enqueue(of("later", soon)).await.unwrap(),
            Enqueued::AlreadyQueued { .. }
        ));
        database.revise("later", r#"{"v":2}"#, None, None).await.unwrap();
        assert_eq!(shown("later").await, waits(tomorrow));
        // One that was cancelled before is due at once when it is requeued, alone or among many.
        for (id, many) in [("one", false), ("many", true)] {
            database.enqueue(of(id, tomorrow)).await.unwrap();
            database.cancel(id).await.unwrap();
            if many {
                database.reopen_all(&[id.to_owned()], &[], None).await.unwrap();
            } else {
                database.reopen(id, None).await.unwrap();
            }
            assert_eq!(shown(id).await, at_once, "{id}");
        }
        let error = database.enqueue(of("slip", now * 1_000)).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
        assert!(error.to_string().contains("five years"), "{error}");

        // A producer that writes only the order, and what it likes: SQLite stores it.
        let text = if place.is_sqlite() { "'tomorrow'" } else { "0" };
        place
            .sql(&format!(
                "INSERT INTO sitewright_orders (id, document, template, due_at, updated_at)
                 VALUES ('row', '{{}}', 'flora', {tomorrow}, 1),
                    ('part', '{{}}', 'flora', {tomorrow}.25, 1),
                    ('text', '{{}}', 'flora', {text}, 1),
                    ('never', '{{}}', 'flora', {}, 1)",
                i64::MAX
            ))
            .await;
        let worker = worker(&database, &Scripted::all_succeed()).await;
        for id in ["past", "one", "many", "soon", "text"] {
            until_state(&database, id, OrderState::Succeeded).await;
        }
        let attempts = database.attempts("soon").await.unwrap();
        assert!(attempts[0].started_at >= soon, "{attempts:?}");
        for (id, due) in [("row", tomorrow), ("part", tomorrow), ("never", i64::MAX)] {
            until_state(&database, id, OrderState::Waiting).await;
            assert_eq!(shown(id).await, waits(due), "{id}");
        }
        assert_eq!(shown("later").await, waits(tomorrow));
        worker.drain(GRACE).await.unwrap();
    }

    pub(super) async fn a_worker_that_is_asked_to_drain_claims_nothing(place: Place) {
        let database = place.open().await;
        let wait = Scripted::new(|claimed, _| match claimed.order.as_str() {
            "long" => Do::Sleep(Duration::from_millis(700)),
            _ => Do::CompleteAttempt(Resolution::Succeeded { release: "r".to_owned() }),
        });
        database.enqueue(new_order("long")).await.unwrap();
        let worker = worker(&database, &wait).await;
        let id = worker.client_id().to_owned();
        until_state(&database, "long", OrderState::Running).await;
        let ask = async |drain: bool| database.set_drain(&id, drain).await.unwrap();
        assert_eq!(ask(false).await, DrainAnswer::Unchanged);
        assert_eq!(ask(true).await, DrainAnswer::Changed);
        assert_eq!(ask(true).await, DrainAnswer::Unchanged);
        let known = database.stats().await.unwrap().workers.remove(0);
        assert!(known.draining);
        let program = sitewright_model::build::host_build();
        assert_eq!(
            (known.program.as_deref(), known.contract.as_deref()),
            (Some(program), Some("0.9.0"))
        );
        let drained = worker.drained();
        drained.cancelled().await;
        assert_eq!(database.order("long").await.unwrap().state, OrderState::Succeeded);
        // Other workers delete the row of one that seems to be dead, and give it one without a
        // request if it owns orders. Neither takes the request back.
        for sql in [
            "DELETE FROM sitewright_workers",
            "UPDATE sitewright_workers SET beats = 0, drain_requested_at = NULL",
        ] {
            place.sql(sql).await;
            let heard = "SELECT count(*) FROM sitewright_workers WHERE beats > 0";
            until("the worker is heard of", || async { place.number(heard).await == 1 }).await;
            assert!(database.stats().await.unwrap().workers[0].draining, "{sql}");
        }
        database.enqueue(new_order("next")).await.unwrap();
        assert_eq!(ask(false).await, DrainAnswer::Changed, "too late, but it is there");
        assert!(worker.drain(GRACE).await.unwrap().in_time);
        assert_eq!(database.order("next").await.unwrap().state, OrderState::Queued);
        assert_eq!(ask(true).await, DrainAnswer::NoSuchWorker);
    }

    pub(super) async fn open_breakers_are_those_of_workers_that_there_are(place: Place) {
        let database = place.open().await;
        let worker = worker(&database, &Scripted::all_succeed()).await;
        let id = worker.client_id().to_owned();
        let scope = sitewright_jobs::BreakerScope::Tenant { tenant: Some("acme".to_owned()) };
        let open = |model: Option<&str>, failures| sitewright_jobs::NewBreaker {
            provider: "openrouter".to_owned(),
            model: model.map(str::to_owned),
            routes: vec!["code".to_owned(), "copywriting".to_owned()],
            failures,
            kind: "overloaded",
            status: Some(503),
            next_probe_at: None,
            scope: scope.clone(),
        };
        database.publish_breakers("gone", vec![open(None, 9)]).await.unwrap();
        assert!(database.breakers().await.unwrap().is_empty());
        database.publish_breakers(&id, vec![open(Some("large"), 3)]).await.unwrap();
        let first = database.stats().await.unwrap().breakers.remove(0);
        assert_eq!((first.worker.as_str(), first.model.as_deref()), (id.as_str(), Some("large")));
        assert_eq!((first.failures, first.status, first.next_probe_at), (3, Some(503), None));
        assert_eq!(first.routes, ["code", "copywriting"]);
        assert_eq!(first.scope.as_ref(), Some(&scope));
        // As workers of an earlier and of a later version store it: never as that of all.
        for sql in [
            "UPDATE sitewright_breakers SET scope = NULL",
            "UPDATE sitewright_breakers SET scope = '{\"of\": \"region\"}'",
        ] {
            place.sql(sql).await;
            let read = database.breakers().await.unwrap();
            assert_eq!((read.len(), &read[0].scope), (1, &None), "{sql}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        let both = vec![open(None, 1), open(Some("large"), 4)];
        database.publish_breakers(&id, both).await.unwrap();
        let now = database.breakers().await.unwrap();
        let known: Vec<_> = now.iter().map(|one| (one.model.as_deref(), one.failures)).collect();
        assert_eq!(known, [(None, 1), (Some("large"), 4)]);
        assert_eq!(now[1].since, first.since, "it has been open all the time");
        assert!(now[0].since > first.since, "{now:?}");
        assert_eq!(database.release_breakers("another").await.unwrap(), 0);
        let claimed = async |worker: &str| database.claim_breaker_releases(worker).await.unwrap();
        assert!(claimed(id.as_str()).await.is_empty());
        let minute = Duration::from_secs(60);
        for route in ["copywriting", "images"] {
            let hold = sitewright_jobs::NewHold {
                id: sitewright_jobs::HoldId::new(sitewright_jobs::HoldKind::Route, route),
                cause: sitewright_jobs::HoldCause::Auth,
                reason: message!("the provider refused its key"),
                fingerprint: None,
                probing: sitewright_jobs::Probing::Every {
                    first: minute,
                    longest: minute,
                    not_before: Duration::ZERO,
                },
            };
            assert!(database.hold(hold).await.unwrap());
        }
        assert_eq!(database.release_breakers("openrouter").await.unwrap(), 2);
        for hold in database.holds().await.unwrap() {
            let is_due = hold.next_probe_at.unwrap() <= sitewright_model::time::now_ms();
            assert_eq!(is_due, hold.name == "copywriting", "only the breakers' routes: {hold:?}");
        }
        assert!(claimed("gone").await.is_empty());
        // What the worker stores before it reads that does not undo it.
        database.publish_breakers(&id, vec![open(None, 1), open(Some("large"), 5)]).await.unwrap();
        assert_eq!(claimed(id.as_str()).await.into_iter().collect::<Vec<_>>(), ["openrouter"]);
        assert!(claimed(id.as_str()).await.is_empty(), "it is done once");
        database.publish_breakers(&id, vec![open(None, 1), open(Some("large"), 6)]).await.unwrap();
        assert!(claimed(id.as_str()).await.is_empty());
        let rows = "SELECT count(*) FROM sitewright_breakers";
        assert_eq!(place.number(rows).await, 2, "nothing is left of what has ended");
        worker.drain(GRACE).await.unwrap();
        assert_eq!(place.number(rows).await, 0);
    }

    pub(super) async fn a_search_that_looks_through_many_orders_finds_each_once(place: Place) {
        let database = place.open().await;
        // Ten came in each millisecond, also where the first page ends.
        place
            .sql(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4500)
                 INSERT INTO sitewright_orders (id, document, template, created_at, updated_at)
                 SELECT 'o' || i, CASE WHEN i % 1500 = 7 OR i BETWEEN 2495 AND 2510
                        THEN '{\"a\":\"100% Flora\"}' ELSE '{}' END, 'flora', i / 10, 1
                 FROM n",
            )
            .await;
        let mut search = sitewright_jobs::Search {
            filter: Filter { limit: 50, ..Filter::default() },
            text: None,
            in_document: Some("% FLORA".to_owned()),
        };
        let (mut ids, mut cuts) = (Vec::new(), Vec::new());
        loop {
            let found = database.search(&search).await.unwrap();
            ids.extend(found.orders.into_iter().map(|order| order.id));
            cuts.push(found.cut_after);
            search.filter.after = found.next;
            if search.filter.after.is_none() {
                break;
            }
        }
        let most = Some(sitewright_jobs::DOCUMENTS_LOOKED_THROUGH);
        assert_eq!(cuts, [most, most, None]);
        ids.sort();
        let mut wanted: Vec<String> =
            [7, 1507, 3007].into_iter().chain(2495..=2510).map(|i| format!("o{i}")).collect();
        wanted.sort();
        assert_eq!(ids, wanted);
    }

    pub(super) async fn a_search_looks_through_a_bounded_part_of_large_documents(place: Place) {
        let database = place.open().await;
        // Two have more than the bytes that a page looks through.
        for id in ["one", "two", "three"] {
            let document = format!("{{\"a\":\"Flora {}\"}}", "x".repeat(33 << 20));
            database.enqueue(NewOrder::new(id, "flora", document)).await.unwrap();
        }
        let filter = Filter { limit: 50, ..Filter::default() };
        let in_document = Some("flora".to_owned());
        let mut search = sitewright_jobs::Search { filter, text: None, in_document };
        let mut found = Vec::new();
        for expected in [Some(2), None] {
            let page = database.search(&search).await.unwrap();
            assert_eq!(page.cut_after, expected);
            assert_eq!(page.next.is_some(), expected.is_some());
            found.extend(page.orders.into_iter().map(|order| order.id));
            search.filter.after = page.next;
        }
        found.sort();
        assert_eq!(found, ["one", "three", "two"]);
    }

    pub(super) async fn f1_ids_that_differ_only_in_case_are_refused(place: Place) {
        let database = place.open().await;
        database.enqueue(new_order("Flora-1b")).await.unwrap();
        for twin in ["flora-1b", "FLORA-1B"] {
            let error = database.enqueue(new_order(twin)).await.unwrap_err();
            assert!(matches!(&error, Error::Invalid { order, .. } if order == twin), "{error:?}");
            assert!(error.to_string().contains("\"Flora-1b\""), "{error}");
        }
        // All or none, also within one call.
        for orders in [["new", "flora-1B"], ["Twin", "tWin"]] {
            let error = database.enqueue_all(orders.map(new_order).into()).await.unwrap_err();
            assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
        }
        assert_eq!(place.number("SELECT count(*) FROM sitewright_orders").await, 1);
        assert_eq!(place.number("SELECT count(*) FROM river_job").await, 1);
        let queued = Enqueued::AlreadyQueued { order: "Flora-1b".to_owned() };
        assert_eq!(database.enqueue(new_order("Flora-1b")).await.unwrap(), queued);
    }

    pub(super) async fn d1_an_order_that_has_ended_stays_as_it_is(place: Place) {
        let database = place.open().await;
        let resolutions = [
            (Resolution::Succeeded { release: "r".to_owned() }, OrderState::Succeeded, "completed"),
            (Resolution::Failed { failure: failure("trap", "x") }, OrderState::Failed, "discarded"),
            (Resolution::Dead { failure: failure("ai", "x") }, OrderState::Dead, "discarded"),
            (Resolution::Cancelled { failure: None }, OrderState::Cancelled, "cancelled"),
        ];
        for (resolution, state, job_state) in resolutions {
            let id = state.as_str();
            let Enqueued::New { job, .. } = database.enqueue(new_order(id)).await.unwrap() else {
                panic!("new")
            };
            let claimed = taken_by(&database, id, "w").await;
            database.complete(&claimed, &resolution, AttemptLimits::default()).await.unwrap();
            let order = database.order(id).await.unwrap();
            assert_eq!(order.state, state);
            assert!(order.finished_at.is_some() && order.owner_attempt.is_none(), "{order:?}");
            let ended = if place.is_sqlite() {
                format!(
                    "UPDATE river_job SET queue = queue WHERE id = {job} AND state = '{job_state}'"
                )
            } else {
                format!(
                    "UPDATE river_job SET queue = queue WHERE id = {job} AND state = \
                     '{job_state}'::river_job_state"
                )
            };
            assert_eq!(
                place.sql(&ended).await,
                1,
                "the job of an order that is {state} is {job_state}"
            );
            // Nothing changes its state: no claim, no resolution of another owner, no cancellation.
            let take = database.claim(id, job, &ghost("late"), Ulid::generate()).await.unwrap();
            assert_eq!(take, Claim::AlreadyEnded(state));
            let stranger = Claimed { attempt: Ulid::generate(), ..claimed.clone() };
            assert_eq!(release(&database, &stranger, "other").await, CompleteOutcome::LeaseLost);
            assert_eq!(database.cancel(id).await.unwrap(), CancelAnswer::AlreadyEnded(state));
            assert_eq!(database.order(id).await.unwrap(), order);
        }
    }

    pub(super) async fn d7_an_order_begun_again_keeps_its_attempts_and_its_release(place: Place) {
        let database = place.open().await;
        database.enqueue(new_order("24")).await.unwrap();
        assert!(matches!(database.reopen("24", None).await, Err(Error::NotEnded { .. })));
        assert!(matches!(database.reopen("25", None).await, Err(Error::NoSuchOrder { .. })));
        let claimed = taken_by(&database, "24", "w").await;
        assert_eq!(claimed.config_version.as_deref(), Some("c1"));
        release(&database, &claimed, "r1").await;
        database.reopen("24", None).await.unwrap();
        let again = database.order("24").await.unwrap();
        assert_eq!(
            (again.state, again.current_release.as_deref()),
            (OrderState::Queued, Some("r1"))
        );
        let claimed = taken_by(&database, "24", "w").await;
        assert_eq!((claimed.number, claimed.attempts_used), (2, 0));
        let resolution = Resolution::Failed { failure: failure("output_rejected", "a dead link") };
        database.complete(&claimed, &resolution, AttemptLimits::default()).await.unwrap();
        let failed = database.order("24").await.unwrap();
        assert_eq!(
            (failed.state, failed.current_release.as_deref()),
            (OrderState::Failed, Some("r1"))
        );
        let attempts = database.attempts("24").await.unwrap();
        let ends: Vec<_> =
            attempts.iter().map(|attempt| (attempt.number, attempt.outcome)).collect();
        assert_eq!(ends, [(1, Some(AttemptEnd::Succeeded)), (2, Some(AttemptEnd::Failed))]);
        assert_eq!(attempts[0].release.as_deref(), Some("r1"));
        assert_eq!(attempts[1].failure, failed.last_failure);
    }

    pub(super) async fn a_cancelled_order_ends_wherever_it_is(place: Place) {
        let (database, other) = (place.open().await, place.open().await);
        database.enqueue(new_order("queued")).await.unwrap();
        assert_eq!(other.cancel("queued").await.unwrap(), CancelAnswer::Cancelled);
        assert_eq!(
            other.cancel("queued").await.unwrap(),
            CancelAnswer::AlreadyEnded(OrderState::Cancelled)
        );
        assert!(matches!(other.cancel("nobody").await, Err(Error::NoSuchOrder { .. })));

        let handler = Scripted::new(|_, _| Do::Wait);
        let serving = worker(&database, &handler).await;
        database.enqueue(new_order("running")).await.unwrap();
        until("it runs", || async { handler.busy.load(Ordering::SeqCst) == 1 }).await;
        let asked = Instant::now();
        assert_eq!(other.cancel("running").await.unwrap(), CancelAnswer::Stopping);
        until_state(&database, "running", OrderState::Cancelled).await;
        eprintln!("cancelled from another process after {:?}", asked.elapsed());
        assert_eq!(
            *handler.stopped.lock().unwrap(),
            [("running".to_owned(), StopReason::OrderCancelled)]
        );
        assert_eq!(database.failures("running").await.unwrap()[0].kind, "cancelled");
        serving.drain(GRACE).await.unwrap();

        // A waiting order, and one whose worker requests another attempt.
        for id in ["waiting", "again"] {
            database.enqueue(new_order(id)).await.unwrap();
            let claimed = taken_by(&database, id, "w").await;
            if id == "again" {
                assert_eq!(other.cancel(id).await.unwrap(), CancelAnswer::Stopping);
            }
            let resolution =
                Resolution::Retry { failure: failure("ai", "x"), after: Duration::from_secs(60) };
            database.complete(&claimed, &resolution, AttemptLimits::default()).await.unwrap();
            if id == "waiting" {
                assert_eq!(other.cancel(id).await.unwrap(), CancelAnswer::Cancelled);
            }
            assert_eq!(database.order(id).await.unwrap().state, OrderState::Cancelled);
        }
        // An order whose worker has stopped.
        database.enqueue(new_order("gone")).await.unwrap();
        taken_by(&database, "gone", "dead").await;
        other.cancel("gone").await.unwrap();
        let serving = worker(&database, &handler).await;
        until_state(&database, "gone", OrderState::Cancelled).await;
        serving.drain(GRACE).await.unwrap();
        assert_eq!(
            place.number("SELECT count(*) FROM river_job WHERE finalized_at IS NULL").await,
            0
        );
    }

    pub(super) async fn pause_stops_the_line(place: Place) {
        let database = place.open().await;
        database.pause().await.unwrap();
        assert!(database.stats().await.unwrap().paused);
        let handler = Scripted::all_succeed();
        let mut serving = worker(&database, &handler).await;
        database.enqueue(new_order("24")).await.unwrap();
        // Longer than the polling interval of these settings.
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(handler.total(), 0);
        place.open().await.resume().await.unwrap();
        serving.until_empty().await.unwrap();
        assert!(!database.stats().await.unwrap().paused);
        serving.drain(GRACE).await.unwrap();
    }

    pub(super) async fn b3_orders_that_wait_hold_no_connection(place: Place) {
        let database = place.open().await;
        let handler = Scripted::new(|_, _| Do::Wait);
        let serving = worker(&database, &handler).await;
        database.enqueue_all((0..50).map(|n| new_order(&format!("o{n}"))).collect()).await.unwrap();
        // Many more than the connections of the pool.
        until("all of them wait", || async { handler.busy.load(Ordering::SeqCst) == 50 }).await;
        let asked = (0..50).map(|n| {
            let database = database.clone();
            async move { database.order(&format!("o{n}")).await.unwrap().state }
        });
        let states = futures::future::join_all(asked).await;
        assert!(states.iter().all(|state| *state == OrderState::Running), "{states:?}");
        serving.stop_now().await.unwrap();
    }

    pub(super) async fn d3_a_job_that_a_producer_inserted_stays_the_only_one(place: Place) {
        let database = place.open().await;
        database.pause().await.unwrap();
        for id in ["foreign", "plain", "elsewhere"] {
            let row = format!(
                "INSERT INTO sitewright_orders (id, document, template) VALUES ('{id}', '{{}}', \
                 'flora')"
            );
            place.sql(&row).await;
        }
        // The second one is in a queue without workers.
        for (id, queue) in [("foreign", "default"), ("elsewhere", "sites")] {
            let args = format!("'{{\"order\":\"{id}\"}}'");
            let args = if place.is_sqlite() { format!("jsonb({args})") } else { args };
            let job = format!(
                "INSERT INTO river_job (args, kind, max_attempts, queue) VALUES ({args}, \
                 'sitewright_order', 5, '{queue}')"
            );
            place.sql(&job).await;
        }
        let handler = Scripted::all_succeed();
        let mut serving = worker(&database, &handler).await;
        let known = "SELECT count(*) FROM sitewright_orders WHERE job_id IS NOT NULL";
        until("all have a job", || async { place.number(known).await == 3 }).await;
        assert_eq!(place.number("SELECT count(*) FROM river_job WHERE queue = 'default'").await, 3);
        database.resume().await.unwrap();
        serving.until_empty().await.unwrap();
        let once = ["foreign", "plain", "elsewhere"].map(|id| (id.to_owned(), 1));
        assert_eq!(handler.runs(), HashMap::from(once));
        serving.drain(GRACE).await.unwrap();
    }

    pub(super) async fn a_release_that_is_not_visible_is_found(place: Place) {
        let database = place.open().await;
        database.enqueue_all(vec![new_order("24"), new_order("25")]).await.unwrap();
        let pending = |age| {
            let database = database.clone();
            async move { database.pending_activations(age).await.unwrap() }
        };
        assert!(pending(0).await.is_empty(), "nothing was released");
        let claimed = taken_by(&database, "24", "w").await;
        release(&database, &claimed, "r1").await;
        let found = pending(0).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((&*found[0].order, &*found[0].release), ("24", "r1"));
        let made_by =
            (Some(claimed.attempt.to_string()), Some(claimed.job), Some(claimed.trace_id));
        assert_eq!((found[0].attempt.clone(), found[0].job, found[0].trace_id.clone()), made_by);
        assert!(pending(60_000).await.is_empty(), "its worker may be about to show it");
        database.mark_activated("24", "another").await.unwrap();
        assert_eq!(pending(0).await.len(), 1, "another release is not this one");
        database.mark_activated("24", "r1").await.unwrap();
        assert!(pending(0).await.is_empty());
    }

    pub(super) async fn b4_b7_everything_is_listed_and_exported(place: Place) {
        let database = place.open().await;
        for n in 0..5 {
            let order = NewOrder { template: format!("t{}", n % 2), ..new_order(&format!("o{n}")) };
            database.enqueue(order).await.unwrap();
        }
        let of = |state, template: Option<&str>, limit| Filter {
            state,
            template: template.map(str::to_owned),
            limit,
            ..Filter::default()
        };
        let list = |filter: Filter| {
            let database = database.clone();
            async move { database.orders(&filter).await.unwrap().len() }
        };
        assert_eq!(list(of(None, None, 0)).await, 5);
        assert_eq!(list(of(None, None, 2)).await, 2);
        assert_eq!(list(of(Some(OrderState::Queued), Some("t1"), 0)).await, 2);
        assert_eq!(list(of(Some(OrderState::Dead), None, 0)).await, 0);

        let claimed = taken_by(&database, "o0", "w").await;
        let attempt = claimed.attempt.to_string();
        let event = |stage: &str| NewEvent {
            order: "o0".to_owned(),
            attempt: Some(attempt.clone()),
            stage: stage.to_owned(),
            done: None,
            total: Some(4),
            message: Some("with a word".to_owned()),
        };
        database.record_events(vec![event("begin"), event("end")]).await.unwrap();
        let events = database.events("o0", 0).await.unwrap();
        assert_eq!(events.len(), 2);
        assert_eq!(database.events("o0", events[0].id).await.unwrap(), [events[1].clone()]);
        database.keep_reply("o0", &attempt, reply("q", 0)).await.unwrap();
        let record = NewFailure {
            record: json!({ "why": "unreachable", "stage": "own" }),
            ..failure("trap", "unreachable")
        };
        let resolution = Resolution::Failed { failure: record.clone() };
        database.complete(&claimed, &resolution, AttemptLimits::default()).await.unwrap();
        let export = serde_json::to_value(database.export("o0").await.unwrap()).unwrap();
        assert_eq!(export["order"]["state"], "failed");
        assert_eq!(
            export["failures"][0]["record"]["why"], "unreachable",
            "no JSON in a text in JSON"
        );
        assert_eq!(export["ai_calls"][0]["entry"]["content"], "answer 0");
        assert_eq!(export["attempts"][0]["last_stage"], "own");
        assert_eq!(export["document"], json!({ "customer": "o0" }).to_string());
        assert_eq!(database.failure(&record.id).await.unwrap().unwrap().record, record.record);
        assert_eq!(database.failure("none").await.unwrap(), None);

        // "Empty" and "cannot be read" are different results.
        database.close().await;
        assert!(database.orders(&Filter::default()).await.is_err());
        assert!(database.enqueue(new_order("late")).await.is_err());
    }

    pub(super) async fn g4_an_operator_sees_the_queue(place: Place) {
        let database = place.open().await;
        let handler = Scripted::new(|_, _| Do::Wait);
        let settings = WorkerSettings { max_orders: 2, ..quick() };
        let serving = start(database.clone(), settings, handler.clone()).await.unwrap();
        database.enqueue_all((0..5).map(|n| new_order(&format!("o{n}"))).collect()).await.unwrap();
        until("two run", || async { handler.busy.load(Ordering::SeqCst) == 2 }).await;
        let stats = database.stats().await.unwrap();
        assert_eq!((stats.count(OrderState::Running), stats.count(OrderState::Queued)), (2, 3));
        assert_eq!(stats.orders.len(), 7, "a state without orders is reported too");
        assert!(stats.oldest_queued_ms.is_some() && stats.oldest_running_ms.is_some());
        let [worker] = &stats.workers[..] else { panic!("{stats:?}") };
        assert_eq!(
            (worker.running, worker.max_orders, worker.pid),
            (2, 2, i64::from(std::process::id()))
        );
        assert_eq!(worker.client_id, serving.client_id());
        assert!(worker.silent_ms < 60_000);
        assert_eq!(serving.running(), 2);
        serving.stop_now().await.unwrap();
        assert_eq!(database.unfinished().await.unwrap(), 5);
    }
}
