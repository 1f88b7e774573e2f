//! A database that is unavailable, locked, full or cut off.

use super::*;

/// A lock that is held longer than SQLite's busy timeout: writes fail meanwhile, and no order is
/// affected.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_locked_by_another_process_is_waited_for() {
    logged();
    let place = Place::sqlite();
    let database = place.open().await;
    let handler = Scripted::new(|claimed, _| match claimed.order.as_str() {
        "slow" => Do::Sleep(Duration::from_millis(500)),
        _ => Do::CompleteAttempt(Resolution::Succeeded { release: "r".to_owned() }),
    });
    // No heartbeat can be written for longer than the stale limit, and no worker counts as dead.
    let settings = WorkerSettings { stale_after: Duration::from_secs(2), ..quick() };
    let second = start(place.open().await, settings.clone(), handler.clone()).await.unwrap();
    let mut serving = start(database.clone(), settings, handler.clone()).await.unwrap();
    database.enqueue(new_order("slow")).await.unwrap();
    until("it runs", || async { handler.busy.load(Ordering::SeqCst) == 1 }).await;
    let mut other = sqlx::SqliteConnection::connect(&place.url).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let begin = Instant::now();
    let enqueued = tokio::spawn({
        let database = database.clone();
        async move { database.enqueue(new_order("new")).await }
    });
    // Readers are not blocked.
    assert_eq!(database.order("slow").await.unwrap().state, OrderState::Running);
    tokio::time::sleep(Duration::from_secs(6)).await;
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    match enqueued.await.unwrap() {
        Ok(_) => {}
        Err(error) => {
            assert!(error.is_transient(), "{error:?}");
            database.enqueue(new_order("new")).await.unwrap();
        }
    }
    in_time(async { serving.until_empty().await.unwrap() }).await;
    eprintln!("all done {:?} after the lock was set", begin.elapsed());
    assert_eq!(handler.runs(), HashMap::from([("slow".to_owned(), 1), ("new".to_owned(), 1)]));
    for id in ["slow", "new"] {
        let order = database.order(id).await.unwrap();
        assert_eq!((order.state, order.crashes), (OrderState::Succeeded, 0), "{order:?}");
    }
    second.drain(GRACE).await.unwrap();
    serving.drain(GRACE).await.unwrap();
}

/// The server is restarted while orders run: none is lost, none runs twice.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_may_be_away_while_orders_run() {
    logged();
    // A separate cluster, because the other tests use theirs meanwhile.
    let Some(cluster) = postgres::Cluster::start() else { return };
    let place = Place { url: cluster.url("postgres"), folder: tempfile::tempdir().unwrap() };
    let database = place.open().await;
    let handler = Scripted::new(|_, _| Do::Sleep(Duration::from_millis(1_500)));
    // It is unavailable for longer than the stale limit, with three workers: none counts the others
    // as dead.
    let settings =
        WorkerSettings { stale_after: Duration::from_secs(2), max_orders: 20, ..quick() };
    let second = start(place.open().await, settings.clone(), handler.clone()).await.unwrap();
    let third = start(place.open().await, settings.clone(), handler.clone()).await.unwrap();
    let mut serving = start(database.clone(), settings, handler.clone()).await.unwrap();
    database.enqueue_all((0..40).map(|n| new_order(&format!("o{n}"))).collect()).await.unwrap();
    until("all run", || async { handler.busy.load(Ordering::SeqCst) == 40 }).await;
    cluster.stop();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(database.ping().await.is_err());
    cluster.start_again();
    in_time(async { serving.until_empty().await.unwrap() }).await;
    assert!(handler.runs().len() == 40 && handler.total() == 40, "{:?}", handler.runs());
    let stats = database.stats().await.unwrap();
    assert_eq!(stats.count(OrderState::Succeeded), 40);
    for n in 0..40 {
        assert_eq!(database.order(&format!("o{n}")).await.unwrap().crashes, 0);
    }
    for other in [second, third] {
        other.drain(GRACE).await.unwrap();
    }
    serving.drain(GRACE).await.unwrap();
    drop(place.folder);
}

/// A read-only database: a standby after a failover, or a host that denies writes when the disk is
/// full.
#[tokio::test(flavor = "multi_thread")]
async fn d2_a_database_that_only_reads_is_waited_for() {
    let Some(cluster) = postgres::Cluster::start() else { return };
    let place = Place { url: cluster.url("postgres"), folder: tempfile::tempdir().unwrap() };
    let database = place.open().await;
    let handler = Scripted::new(|_, _| Do::Sleep(Duration::from_millis(500)));
    let mut serving = start(database.clone(), quick(), handler.clone()).await.unwrap();
    database.enqueue_all((0..20).map(|n| new_order(&format!("o{n}"))).collect()).await.unwrap();
    until("all run", || async { handler.busy.load(Ordering::SeqCst) == 20 }).await;
    let mut operator = sqlx::PgConnection::connect(&place.url).await.unwrap();
    // Connections keep their settings, so each is closed and the next one has those of the
    // database.
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
    for only_reads in ["on", "off"] {
        let change =
            format!("ALTER DATABASE postgres SET default_transaction_read_only = {only_reads}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(change)).execute(&mut operator).await.unwrap();
        sqlx::raw_sql(others).execute(&mut operator).await.unwrap();
        if only_reads == "on" {
            // All twenty have ended by then and wait for completion.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let stats = database.stats().await.unwrap();
            assert_eq!(
                stats.count(OrderState::Running),
                20,
                "it reads, and nothing could be written"
            );
        }
    }
    in_time(async { serving.until_empty().await.unwrap() }).await;
    assert!(handler.runs().len() == 20 && handler.total() == 20, "{:?}", handler.runs());
    assert_eq!(database.stats().await.unwrap().count(OrderState::Succeeded), 20);
    serving.drain(GRACE).await.unwrap();
    drop(place.folder);
}

/// A host that loses power closes no connection: requests time out, and continue with the server
/// that has the address then.
#[tokio::test(flavor = "multi_thread")]
async fn d2_connections_that_are_lost_without_a_word_are_given_up() {
    logged();
    let Some(place) = Place::postgres().await else { return };
    let outside = place.open().await;
    let (network, url) = place.across_a_network().await;
    let database = Database::open_answering(&url, Duration::from_secs(2)).await.unwrap();
    let handler = Scripted::new(|_, _| Do::Sleep(Duration::from_millis(500)));
    let settings = WorkerSettings { stall_after: Duration::from_secs(3), ..quick() };
    let mut serving = start(database.clone(), settings.clone(), handler.clone()).await.unwrap();
    // While idle, in the middle of a transaction, and when it is unknown whether the commit
    // arrived.
    // An order's id is in every statement that completes it. The statement's own text is sent only
    // by a connection that has not prepared it yet.
    let cases = [None, Some("round2-"), Some("COMMIT")];
    for (round, lost_for) in (1..).zip(cases) {
        let ids = |from: usize| {
            (from..from + 10).map(move |n| new_order(&format!("round{round}-{n}"))).collect()
        };
        outside.enqueue_all(ids(0)).await.unwrap();
        until("all run", || async { handler.busy.load(Ordering::SeqCst) == 20 * round - 10 }).await;
        match lost_for {
            None => network.lose_all(),
            Some(words) => {
                network.lose_for(words);
                until("they were said", || async { network.has_lost() }).await;
            }
        }
        outside.enqueue_all(ids(10)).await.unwrap();
        serving = tokio::time::timeout(Duration::from_secs(60), async {
            // Like a supervisor of the worker: River's poll of the queue may be lost too.
            while let Err(error) = serving.until_empty().await {
                assert!(matches!(error, Error::Stalled { .. }), "{error:?}");
                serving.drain(GRACE).await.unwrap();
                serving = start(database.clone(), settings.clone(), handler.clone()).await.unwrap();
            }
            serving
        })
        .await
        .unwrap_or_else(|_| panic!("orders were left when this was lost: {lost_for:?}"));
        assert_eq!(handler.total() as usize, 20 * round, "{lost_for:?}: {:?}", handler.runs());
        assert_eq!(outside.stats().await.unwrap().count(OrderState::Succeeded), 20 * round as i64);
    }
    serving.drain(GRACE).await.unwrap();
}

/// River's poll of the queue has no timeout. A worker that it blocks stops and reports it.
#[tokio::test(flavor = "multi_thread")]
async fn d2_a_worker_that_would_take_nothing_any_more_ends() {
    logged();
    let Some(place) = Place::postgres().await else { return };
    let outside = place.open().await;
    let (network, url) = place.across_a_network().await;
    let database = Database::open_answering(&url, Duration::from_secs(2)).await.unwrap();
    let handler = Scripted::all_succeed();
    let settings = WorkerSettings { stall_after: Duration::from_secs(3), ..quick() };
    // The first claim, which does not reach the server.
    network.lose_for("SET state = 'running', attempt = job.attempt + 1");
    let mut serving = start(database.clone(), settings.clone(), handler.clone()).await.unwrap();
    until("the claim is lost", || async { network.has_lost() }).await;
    outside.enqueue(new_order("24")).await.unwrap();
    in_time(async {
        let error = serving.until_empty().await.unwrap_err();
        assert!(matches!(error, Error::Stalled { .. }), "{error:?}");
        assert!(!error.is_transient() && !error.is_usage(), "a supervisor restarts the worker");
        let begin = Instant::now();
        let drained = serving.drain(GRACE).await.unwrap();
        assert!(drained.in_time && drained.running == 0, "{drained:?}");
        assert!(begin.elapsed() < GRACE, "it waited for River all the grace time");
    })
    .await;
    assert_eq!(handler.total(), 0);
    let mut next = start(database, settings, handler.clone()).await.unwrap();
    in_time(async { next.until_empty().await.unwrap() }).await;
    assert_eq!(handler.runs(), HashMap::from([("24".to_owned(), 1)]));
    next.drain(GRACE).await.unwrap();
}

/// A worker that is full, paused or without a writable database claims nothing either, and is not
/// stalled.
#[tokio::test(flavor = "multi_thread")]
async fn d2_a_worker_that_can_take_nothing_does_not_end() {
    logged();
    let Some(place) = Place::postgres().await else { return };
    let database = place.open().await;
    let handler = Scripted::new(|claimed, _| match claimed.order.as_str() {
        "first" => Do::Wait,
        _ => Do::CompleteAttempt(Resolution::Succeeded { release: "r".to_owned() }),
    });
    // At the end it claims what has waited for an hour within this time, on a slow machine too.
    let settings =
        WorkerSettings { max_orders: 1, stall_after: Duration::from_millis(1_500), ..quick() };
    let mut serving = start(database.clone(), settings, handler.clone()).await.unwrap();
    let mut goes_on = async |what: &str| {
        let on = tokio::time::timeout(Duration::from_secs(3), serving.until_empty()).await;
        assert!(on.is_err(), "{what}: {on:?}");
    };
    database.enqueue(new_order("first")).await.unwrap();
    until("the first runs", || async { handler.busy.load(Ordering::SeqCst) == 1 }).await;
    database.enqueue(new_order("second")).await.unwrap();
    // A job must have been unclaimed for ten seconds.
    let long_ago =
        "UPDATE river_job SET scheduled_at = now() - interval '1 hour' WHERE state = 'available'";
    assert_eq!(place.sql(long_ago).await, 1);
    goes_on("without room").await;

    database.pause().await.unwrap();
    database.cancel("first").await.unwrap();
    until_state(&database, "first", OrderState::Cancelled).await;
    goes_on("in a pause").await;

    // As while an index is built: rows can be read but not changed.
    let mut other = sqlx::PgConnection::connect(&place.url).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE river_job IN SHARE MODE").execute(&mut other).await.unwrap();
    database.resume().await.unwrap();
    goes_on("while its table is locked").await;
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    in_time(async { serving.until_empty().await.unwrap() }).await;
    assert_eq!(handler.runs(), HashMap::from([("first".to_owned(), 1), ("second".to_owned(), 1)]));
    serving.drain(GRACE).await.unwrap();
}
