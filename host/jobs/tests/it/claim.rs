//! Claims: the owner of an order, and late workers.

use super::*;

on_both!(
    an_order_is_taken_by_one,
    taking_and_settling_may_be_asked_twice,
    attempts_are_a_part_of_the_trace_of_their_order,
    a_worker_that_wakes_up_late_changes_nothing,
    a_late_write_of_the_queue_meets_no_job,
    two_workers_share_a_database,
);

mod tests {
    use super::*;

    pub(super) async fn an_order_is_taken_by_one(place: Place) {
        let (one, two) = (place.open().await, place.open().await);
        let Enqueued::New { job, .. } = one.enqueue(new_order("24")).await.unwrap() else {
            panic!("new")
        };
        let takes = (0..20).map(|n| {
            let database = if n % 2 == 0 { one.clone() } else { two.clone() };
            tokio::spawn(async move {
                database.claim("24", job, &ghost(&format!("w{n}")), Ulid::generate()).await.unwrap()
            })
        });
        let takes = futures::future::join_all(takes).await;
        let count = |wanted: fn(&Claim) -> bool| {
            takes.iter().filter(|take| wanted(take.as_ref().unwrap())).count()
        };
        assert_eq!(count(|take| matches!(take, Claim::Claimed(..))), 1);
        assert_eq!(count(|take| *take == Claim::NotThisJob), 19);
        assert_eq!(one.attempts("24").await.unwrap().len(), 1);
        assert_eq!(
            one.claim("nobody", job, &ghost("w"), Ulid::generate()).await.unwrap(),
            Claim::NoSuchOrder
        );
    }

    pub(super) async fn taking_and_settling_may_be_asked_twice(place: Place) {
        let database = place.open().await;
        let Enqueued::New { job, .. } = database.enqueue(new_order("24")).await.unwrap() else {
            panic!("new")
        };
        let attempt = Ulid::generate();
        let first = database.claim("24", job, &ghost("w"), attempt).await.unwrap();
        assert_eq!(database.claim("24", job, &ghost("w"), attempt).await.unwrap(), first);
        let Claim::Claimed(claimed, _) = first else { panic!("{first:?}") };
        assert_eq!(claimed.trace_id.len(), 32);
        let resolution =
            Resolution::Snooze { failure: failure("ai", "429"), after: Duration::from_secs(60) };
        let first =
            database.complete(&claimed, &resolution, AttemptLimits::default()).await.unwrap();
        let again =
            database.complete(&claimed, &resolution, AttemptLimits::default()).await.unwrap();
        assert_eq!(first, again);
        assert_eq!(database.attempts("24").await.unwrap()[0].lease_lost_at, None);
        assert_eq!(database.failures("24").await.unwrap().len(), 1);
    }

    pub(super) async fn attempts_are_a_part_of_the_trace_of_their_order(place: Place) {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        let database = place.open().await;
        let header = format!("00-{TRACE}-b7ad6b7169203331-01");
        let traceparent = Some(header.parse().unwrap());
        database.enqueue(NewOrder { traceparent, ..new_order("24") }).await.unwrap();
        let first = taken_by(&database, "24", "w").await;
        let read = first.traceparent.as_ref().map(ToString::to_string);
        assert_eq!((&*first.trace_id, read), (TRACE, Some(header)));
        assert_eq!(database.attempts("24").await.unwrap()[0].trace_id, TRACE);
        // Producers of other programs write what they like.
        database.enqueue(new_order("25")).await.unwrap();
        let sql = "UPDATE sitewright_orders SET traceparent = 'no trace' WHERE id = '25'";
        place.sql(sql).await;
        let other = taken_by(&database, "25", "w").await;
        assert_eq!((other.trace_id.len(), other.traceparent), (32, None));
    }

    pub(super) async fn a_worker_that_wakes_up_late_changes_nothing(place: Place) {
        let database = place.open().await;
        database.pause().await.unwrap();
        database.enqueue(new_order("24")).await.unwrap();
        let late = taken_by(&database, "24", "sleeper").await;
        let rescuer = worker(&database, &Scripted::all_succeed()).await;
        rescued(&database, "24").await;
        rescuer.drain(GRACE).await.unwrap();
        let second = taken_by(&database, "24", "second").await;
        assert_ne!(second.job, late.job, "each attempt has a job of its own");

        // While the other worker still runs, every resolution is fenced.
        for resolution in [
            Resolution::Succeeded { release: "late".to_owned() },
            Resolution::Failed { failure: failure("trap", "late") },
            Resolution::Retry { failure: failure("ai", "late"), after: Duration::ZERO },
            Resolution::Cancelled { failure: None },
            Resolution::ReturnToQueue,
        ] {
            let outcome =
                database.complete(&late, &resolution, AttemptLimits::default()).await.unwrap();
            assert_eq!(outcome, CompleteOutcome::LeaseLost);
        }
        assert_eq!(
            release(&database, &second, "r2").await,
            ended(AttemptEnd::Succeeded, OrderState::Succeeded)
        );
        assert_eq!(release(&database, &late, "late").await, CompleteOutcome::LeaseLost);
        let order = database.order("24").await.unwrap();
        assert_eq!(
            (order.state, order.current_release.as_deref()),
            (OrderState::Succeeded, Some("r2"))
        );
        let attempts = database.attempts("24").await.unwrap();
        assert_eq!(attempts[0].outcome, Some(AttemptEnd::Crashed));
        assert!(attempts[0].lease_lost_at.is_some(), "that the lease was lost is recorded");
        assert_eq!(
            (attempts[1].outcome, attempts[1].lease_lost_at),
            (Some(AttemptEnd::Succeeded), None)
        );
    }

    pub(super) async fn a_late_write_of_the_queue_meets_no_job(place: Place) {
        let database = place.open().await;
        database.pause().await.unwrap();
        let Enqueued::New { job, .. } = database.enqueue(new_order("24")).await.unwrap() else {
            panic!("new")
        };
        // Like River's client in a worker that fetched the job and was suspended, once before and
        // once after it claimed the order.
        let fetched = if place.is_sqlite() {
            "state = 'running', attempt = 1, attempted_by = jsonb('[\"other\",\"sleeper\"]')"
        } else {
            "state = 'running', attempt = 1, attempted_by = ARRAY['other', 'sleeper']"
        };
        place.sql(&format!("UPDATE river_job SET {fetched} WHERE id = {job}")).await;
        let rescuer = worker(&database, &Scripted::all_succeed()).await;
        until("the fetched job is replaced", || async {
            database.order("24").await.unwrap().job_id != Some(job)
        })
        .await;
        assert_eq!(database.order("24").await.unwrap().crashes, 0, "nothing had begun");
        let claimed = taken_by(&database, "24", "sleeper").await;
        let old = claimed.job;
        place.sql(&format!("UPDATE river_job SET {fetched} WHERE id = {old}")).await;
        rescued(&database, "24").await;
        let new = database.order("24").await.unwrap().job_id.unwrap();
        for late in [job, old] {
            let completes = format!("UPDATE river_job SET priority = 4 WHERE id = {late}");
            assert_eq!(place.sql(&completes).await, 0, "job {late} is gone");
        }
        let carried = if place.is_sqlite() {
            "SELECT json_array_length(errors) FROM river_job WHERE attempt = 1 AND state = \
             'available'"
        } else {
            "SELECT array_length(errors, 1)::bigint FROM river_job WHERE attempt = 1 AND state = \
             'available'"
        };
        assert_eq!(place.number(carried).await, 1, "job {new} carries the error of the one before");
        database.resume().await.unwrap();
        until_state(&database, "24", OrderState::Succeeded).await;
        rescuer.drain(GRACE).await.unwrap();
    }

    pub(super) async fn two_workers_share_a_database(place: Place) {
        let (one, two) = (place.open().await, place.open().await);
        let handler = Scripted::all_succeed();
        let mut first = worker(&one, &handler).await;
        let second = worker(&two, &handler).await;
        let feeds = (0..300).map(|n| {
            let database = if n % 2 == 0 { one.clone() } else { two.clone() };
            tokio::spawn(
                async move { database.enqueue(new_order(&format!("o{n}"))).await.unwrap() },
            )
        });
        futures::future::join_all(feeds).await;
        first.until_empty().await.unwrap();
        assert!(handler.runs().len() == 300 && handler.total() == 300);
        assert_eq!(one.stats().await.unwrap().workers.len(), 2);
        first.drain(GRACE).await.unwrap();
        second.drain(GRACE).await.unwrap();
    }
}
