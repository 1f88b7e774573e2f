//! From the outbox to receivers that answer well, late, wrongly or not at all.

on_both!(
    a_delivery_is_signed_and_sent_once,
    a_receiver_that_fails_gets_it_again_under_the_same_id,
    a_receiver_that_stalls_holds_up_no_other_one,
    callbacks_to_one_host_hold_up_no_other_one,
    hosts_that_stall_hold_up_none_that_answers,
    many_processes_send_each_delivery_once,
    what_a_process_leaves_another_one_sends,
);

mod tests {
    use std::collections::BTreeSet;

    use crate::*;

    pub(super) async fn a_delivery_is_signed_and_sent_once(place: Place) {
        let database = place.database().await;
        let receiver = Receiving::willing().await;
        let started = dispatch(&database, read([("crm", config(receiver.address))], None)).await;
        cancelled(&database, "1").await;
        until_all(&database, DeliveryState::Delivered).await;
        started.stop().await;
        let got = receiver.got();
        assert_eq!(got.len(), 1, "{got:?}");
        let one = &got[0];
        assert!(one.is_signed_by(SECRET) && one.is_signed_by(OLD_SECRET), "{one:?}");
        assert!(!one.is_signed_by("whsec_BAECAwQFBgcICQoLDA0ODxAREhMUFRYX"));
        assert_eq!(one.headers["content-type"], "application/json");
        let body = one.json();
        assert_eq!(
            (&body["type"], &body["data"]["order"]),
            (&"order.cancelled".into(), &"1".into())
        );
        assert!(!body.to_string().contains("secret"), "{body}");
        let (delivery, attempts) = only_delivery(&database).await;
        assert_eq!((&delivery.id, delivery.attempts), (&one.id, 1));
        assert_eq!(attempts[0].status, Some(204));
    }

    pub(super) async fn a_receiver_that_fails_gets_it_again_under_the_same_id(place: Place) {
        let database = place.database().await;
        // The first connection is cut in the middle.
        let receiver = Receiving::start(|number| async move {
            match number {
                0 => {
                    (StatusCode::INTERNAL_SERVER_ERROR, "bad api-key-1 \u{1b}[31m").into_response()
                }
                1 => (StatusCode::BAD_REQUEST, format!("no: {SECRET}")).into_response(),
                2 => (StatusCode::OK, "x".repeat(100_000)).into_response(),
                _ => StatusCode::IM_A_TEAPOT.into_response(),
            }
        })
        .await;
        let started = dispatch(&database, read([("crm", config(receiver.address))], None)).await;
        cancelled(&database, "1").await;
        until_all(&database, DeliveryState::Delivered).await;
        started.stop().await;
        let got = receiver.got();
        assert_eq!(got.len(), 3);
        assert!(got.iter().all(|one| one.id == got[0].id && one.body == got[0].body), "{got:?}");
        assert!(got.iter().all(|one| one.is_signed_by(SECRET)));
        let (_, attempts) = only_delivery(&database).await;
        let statuses: Vec<_> = attempts.iter().map(|attempt| attempt.status).collect();
        assert_eq!(statuses, [Some(500), Some(400), Some(200)]);
        let bodies: Vec<&str> = attempts.iter().map(|one| one.body.as_deref().unwrap()).collect();
        assert_eq!(bodies[0], "bad [key removed] \u{fffd}[31m");
        assert_eq!(bodies[1], "no: whsec_[secret removed]");
        assert_eq!(bodies[2].len(), 4_096);
        assert_eq!(
            attempts[0].error.as_deref(),
            Some("the receiver answered 500 Internal Server Error")
        );
        assert_eq!(attempts[2].error, None);
    }

    /// It has more deliveries than slots, and each of them lasts until its timeout.
    pub(super) async fn a_receiver_that_stalls_holds_up_no_other_one(place: Place) {
        let database = place.database().await;
        let stalling = Receiving::start(|_| std::future::pending()).await;
        let willing = Receiving::willing().await;
        let slow = WebhookConfig { timeout_ms: 1_500, ..config(stalling.address) };
        let webhooks = read([("a-slow", slow), ("crm", config(willing.address))], None);
        database_with_backlog(&database, &webhooks, 40).await;
        let started = dispatch(&database, webhooks).await;
        until("the other one has all", || async { willing.got().len() == 40 }).await;
        let of = |webhook: &str, state| DeliveryFilter {
            webhook: Some(webhook.to_owned()),
            state: Some(state),
            ..DeliveryFilter::default()
        };
        let slow = of("a-slow", DeliveryState::Pending);
        assert_eq!(database.deliveries(&slow).await.unwrap().len(), 40);
        until("an attempt is recorded", || async {
            let slow = database.deliveries(&slow).await.unwrap();
            slow.iter().any(|one| one.last_error.as_deref() == Some("no answer within 1500 ms"))
        })
        .await;
        started.stop().await;
    }

    /// Deliveries that nobody has sent yet.
    async fn database_with_backlog(database: &Database, webhooks: &Webhooks, orders: usize) {
        let seen = webhooks.names().into_iter().map(|name| sitewright_jobs::Seen {
            url: webhooks.receiver(&name).unwrap().url.clone().unwrap().to_string(),
            events: WebhookEvent::OF_ORDERS.to_vec(),
            name,
        });
        database.see_webhooks(seen.collect()).await.unwrap();
        for order in 0..orders {
            cancelled(database, &order.to_string()).await;
        }
    }

    /// Each of them has its own name, as whoever has a domain can give to any number.
    pub(super) async fn hosts_that_stall_hold_up_none_that_answers(place: Place) {
        const STALLING: usize = 300;
        let database = place.database().await;
        let stalling = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = stalling.local_addr().unwrap().port();
        let (accepted, has_accepted) = tokio::sync::watch::channel(0);
        tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                open.push(stalling.accept().await.unwrap());
                accepted.send_replace(open.len());
            }
        });
        let willing = Receiving::willing().await;
        let url = Some(format!("http://{}/", willing.address));
        let rules = CallbackConfig { timeout_ms: 60_000, ..callbacks() };
        let started = dispatch(&database, read([], Some(&rules))).await;
        cancelled_with(&database, "before", url.clone()).await;
        until("it has answered", || async { willing.got().len() == 1 }).await;
        for order in 0..STALLING {
            let url = format!("http://127.0.{}.{}:{port}/", 1 + order / 200, 1 + order % 200);
            cancelled_with(&database, &format!("stalls-{order}"), Some(url)).await;
        }
        // No slot is left for hosts that have not answered.
        let mut has_accepted = has_accepted;
        has_accepted.wait_for(|open| *open >= 192).await.unwrap();
        cancelled_with(&database, "after", url).await;
        until("it is told beside them", || async { willing.got().len() == 2 }).await;
        assert_eq!(*has_accepted.borrow(), 192);
        started.stop().await;
    }

    pub(super) async fn callbacks_to_one_host_hold_up_no_other_one(place: Place) {
        let database = place.database().await;
        let stalling = Receiving::start(|_| std::future::pending()).await;
        let willing = Receiving::willing().await;
        for order in 0..100 {
            let url = format!("http://{}/{order}", stalling.address);
            cancelled_with(&database, &format!("slow-{order}"), Some(url)).await;
        }
        // The same machine by another name.
        let port = willing.address.port();
        cancelled_with(&database, "1", Some(format!("http://localhost:{port}/1?a=b"))).await;
        let started = dispatch(&database, read([], Some(&callbacks()))).await;
        until("the other host is told", || async { !willing.got().is_empty() }).await;
        assert!(stalling.got().len() <= 4, "{}", stalling.got().len());
        started.stop().await;
        let one = &willing.got()[0];
        assert!(one.is_signed_by(SECRET));
        assert_eq!(one.json()["data"]["order"], "1");
    }

    pub(super) async fn many_processes_send_each_delivery_once(place: Place) {
        let receiver = Receiving::willing().await;
        let mut processes = Vec::new();
        for _ in 0..3 {
            let database = place.database().await;
            let webhooks = read([("crm", config(receiver.address))], None);
            processes.push((dispatch(&database, webhooks).await, database));
        }
        for order in 0..100 {
            cancelled(&processes[0].1, &order.to_string()).await;
        }
        until("all are sent", || async { receiver.got().len() >= 100 }).await;
        until_all(&processes[0].1, DeliveryState::Delivered).await;
        let ids: BTreeSet<String> = receiver.got().into_iter().map(|one| one.id).collect();
        assert_eq!((receiver.got().len(), ids.len()), (100, 100));
        for (process, _) in processes {
            process.stop().await;
        }
    }

    /// One ends before it sends anything; `host/cli` kills one while it waits for an answer.
    pub(super) async fn what_a_process_leaves_another_one_sends(place: Place) {
        let receiver = Receiving::willing().await;
        let webhooks = || read([("crm", config(receiver.address))], None);
        let database = place.database().await;
        database_with_backlog(&database, &webhooks(), 1).await;
        // The lease of a process that is gone.
        let lease = Duration::from_millis(500);
        assert_eq!(database.claim_deliveries("crm", 10, lease).await.unwrap().len(), 1);
        let started = dispatch(&database, webhooks()).await;
        until_all(&database, DeliveryState::Delivered).await;
        started.stop().await;
        assert_eq!(receiver.got().len(), 1);
    }
}
