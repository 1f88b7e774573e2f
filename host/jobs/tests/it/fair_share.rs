//! Fair share of the queue among templates and tenants.

use super::*;

on_both!(
    a_template_with_many_orders_does_not_keep_those_of_others_waiting,
    a_tenant_with_many_orders_does_not_keep_those_of_others_waiting,
    orders_that_stand_back_move_up_before_others_come,
    orders_that_waited_together_stand_back_too,
);

mod tests {
    use super::*;

    pub(super) async fn a_template_with_many_orders_does_not_keep_those_of_others_waiting(
        place: Place,
    ) {
        let database = place.open().await;
        let of = |template: &str, n: usize| NewOrder {
            template: template.to_owned(),
            ..new_order(&format!("{template}-{n}"))
        };
        database.enqueue_all((0..900).map(|n| of("flood", n)).collect()).await.unwrap();
        database.enqueue_all((0..10).map(|n| of("small", n)).collect()).await.unwrap();
        let handler = Scripted::all_succeed();
        let mut serving = worker(&database, &handler).await;
        serving.until_empty().await.unwrap();
        serving.drain(Duration::from_secs(5)).await.unwrap();
        let ended: Vec<String> = handler.published.lock().unwrap().clone();
        let last = ended.iter().rposition(|order| order.starts_with("small")).unwrap();
        assert_eq!(ended.len(), 910);
        assert!(
            last < 700,
            "the last of ten was number {last} of 910, though they came behind 900"
        );
    }

    pub(super) async fn a_tenant_with_many_orders_does_not_keep_those_of_others_waiting(
        place: Place,
    ) {
        let database = place.open().await;
        database.pause().await.unwrap();
        let of = |tenant: Option<&str>, count: usize| -> Vec<NewOrder> {
            let new = |number: usize| NewOrder {
                tenant: tenant.map(str::to_owned),
                ..new_order(&format!("{}-{number}", tenant.unwrap_or("none")))
            };
            (0..count).map(new).collect()
        };
        // All of one template.
        for (tenant, count) in [(Some("flood"), 900), (Some("small"), 10), (None, 10)] {
            database.enqueue_all(of(tenant, count)).await.unwrap();
        }
        let demoted = async |tenant: &str| {
            let sql = format!(
                "SELECT count(*) FROM river_job j JOIN sitewright_orders o ON o.job_id = j.id
                 WHERE j.priority > o.priority AND coalesce(o.tenant, 'none') = '{tenant}'"
            );
            place.number(&sql).await
        };
        assert_eq!((demoted("flood").await, demoted("small").await), (400, 0));
        let serving = worker(&database, &Scripted::all_succeed()).await;
        until("those without a tenant have their share", || async { demoted("none").await == 0 })
            .await;
        assert_eq!((demoted("flood").await, demoted("small").await), (400, 0));
        // As when many of its retries become due at once.
        place
            .sql(
                "UPDATE river_job SET priority = 2 WHERE id IN
                    (SELECT job_id FROM sitewright_orders WHERE tenant = 'flood')",
            )
            .await;
        until("its newest are demoted again", || async { demoted("flood").await == 400 }).await;
        assert_eq!((demoted("none").await, demoted("small").await), (0, 0));
        serving.drain(GRACE).await.unwrap();
    }

    pub(super) async fn orders_that_stand_back_move_up_before_others_come(place: Place) {
        let database = place.open().await;
        database.pause().await.unwrap();
        let orders = (0..700).map(|n| new_order(&n.to_string())).collect();
        database.enqueue_all(orders).await.unwrap();
        let back = "SELECT count(*) FROM river_job WHERE state = 'available' AND priority = 3";
        assert_eq!(place.number(back).await, 200);
        let cancelled = (0..300).map(|n| {
            let (database, id) = (database.clone(), n.to_string());
            async move { database.cancel(&id).await }
        });
        futures::future::try_join_all(cancelled).await.unwrap();
        let handler = Scripted::all_succeed();
        let mut serving = worker(&database, &handler).await;
        until("they have moved up", || async { place.number(back).await == 0 }).await;
        database.enqueue(new_order("late")).await.unwrap();
        database.resume().await.unwrap();
        serving.until_empty().await.unwrap();
        serving.drain(GRACE).await.unwrap();
        let ended: Vec<String> = handler.published.lock().unwrap().clone();
        let late = ended.iter().position(|order| order == "late").unwrap();
        // A worker with these settings runs fifty orders at once, which end in any sequence.
        assert!(late >= 350, "it came last of {} and was done as number {late}", ended.len());
        let stood = ended.iter().position(|order| order == "300").unwrap();
        assert!(
            stood < 100,
            "who moves up comes behind those who stood there; the first of them was number {stood}"
        );
    }

    /// Orders that become due at the same time, after an outage of a provider, share the queue
    /// fairly too.
    pub(super) async fn orders_that_waited_together_stand_back_too(place: Place) {
        let database = place.open().await;
        database.pause().await.unwrap();
        let orders = (0..700).map(|n| new_order(&n.to_string())).collect();
        database.enqueue_all(orders).await.unwrap();
        place
            .sql(
                "UPDATE sitewright_orders SET state = 'waiting', waiting_reason = 'ai: 503', \
                 next_attempt_at = updated_at",
            )
            .await;
        place.sql("UPDATE river_job SET priority = 2").await;
        let serving = worker(&database, &Scripted::all_succeed()).await;
        let back = "SELECT count(*) FROM river_job WHERE state = 'available' AND priority = 3";
        until("the newest are demoted", || async { place.number(back).await == 200 }).await;
        let newest = "SELECT count(*) FROM river_job WHERE priority = 3 AND id > (SELECT max(id) \
                      - 200 FROM river_job)";
        assert_eq!(place.number(newest).await, 200);
        serving.drain(GRACE).await.unwrap();
    }
}
