//! Requeuing and cancelling many orders at once.

use super::*;

on_both!(
    d5_many_orders_are_requeued_by_what_they_failed_of,
    d5_a_batch_does_what_the_single_commands_do,
    d5_an_order_that_left_the_selection_is_not_changed,
);

mod tests {
    use super::*;

    fn selected(states: &[OrderState]) -> Selection {
        Selection { states: states.to_vec(), ..Selection::default() }
    }

    pub(super) async fn d5_many_orders_are_requeued_by_what_they_failed_of(place: Place) {
        let database = place.open().await;
        for (id, template, message) in [
            ("a", "bakery", "no dish 1"),
            ("b", "bakery", "no dish 2"),
            ("c", "florist", "no rose"),
        ] {
            fail(&database, id, whole(id, template, message)).await;
        }
        database.enqueue(NewOrder::new("d", "bakery", "{}")).await.unwrap();
        let groups = database.failure_groups(&ListedFailures::default()).await.unwrap();
        let bakery = groups.iter().find(|group| group.template == "bakery").unwrap();
        let failed = [OrderState::Failed, OrderState::Dead];
        for (selection, ids) in [
            (selected(&failed), &["a", "b", "c"][..]),
            (selected(&[OrderState::Queued]), &["d"]),
            (selected(&[OrderState::Cancelled]), &[]),
            (selected(&[]), &[]),
            (
                Selection { kind: Some("template_error".to_owned()), ..selected(&failed) },
                &["a", "b", "c"],
            ),
            (Selection { kind: Some("trap".to_owned()), ..selected(&failed) }, &[]),
            (
                Selection {
                    fingerprint: Some(bakery.fingerprint[..8].to_uppercase()),
                    ..selected(&failed)
                },
                &["a", "b"],
            ),
            (
                Selection { fingerprint: Some(bakery.fingerprint.clone()), ..selected(&failed) },
                &["a", "b"],
            ),
            (
                Selection {
                    fingerprint: Some(format!("{}0", bakery.fingerprint)),
                    ..selected(&failed)
                },
                &[],
            ),
            (Selection { fingerprint: Some(String::new()), ..selected(&failed) }, &["a", "b", "c"]),
            (Selection { since: Some(i64::MAX), ..selected(&failed) }, &[]),
            (Selection { limit: Some(2), ..selected(&failed) }, &["a", "b"]),
            (Selection { text: Some("B".to_owned()), ..selected(&failed) }, &["b"]),
            (Selection { until: Some(0), ..selected(&failed) }, &[]),
            (Selection { tenant: Some("acme".to_owned()), ..selected(&failed) }, &[]),
        ] {
            let counts = database.count_selected(&selection).await.unwrap();
            let found: i64 = counts.iter().map(|(_, orders)| orders).sum();
            if selection.limit.is_none() {
                assert_eq!(usize::try_from(found).unwrap(), ids.len(), "{selection:?}");
            }
            assert_eq!(database.select(&selection).await.unwrap(), ids, "{selection:?}");
        }
        // The template of an order, which is a file, is not the name in its failure.
        let by_template = Selection { template: Some("nobody".to_owned()), ..selected(&failed) };
        assert_eq!(database.select(&by_template).await.unwrap(), Vec::<String>::new());
    }

    pub(super) async fn d5_a_batch_does_what_the_single_commands_do(place: Place) {
        let database = place.open().await;
        for id in ["a", "b"] {
            fail(&database, id, failure("template_error", "no dish")).await;
        }
        database.enqueue(NewOrder::new("q", "bakery", "{}")).await.unwrap();
        let ids = ["b", "none", "q", "a"].map(str::to_owned);
        let outcomes = database.reopen_all(&ids, &[], Some("c2")).await.unwrap();
        let [
            BulkOutcome::Queued { job: first },
            no_such,
            not_ended,
            BulkOutcome::Queued { job: second },
        ] = outcomes.as_slice()
        else {
            panic!("{outcomes:?}");
        };
        assert_eq!(*no_such, BulkOutcome::NoSuchOrder);
        assert_eq!(*not_ended, BulkOutcome::NotEnded { state: OrderState::Queued });
        assert!(first < second, "in the order in which they were named");
        for (id, job) in [("b", first), ("a", second)] {
            let order = database.order(id).await.unwrap();
            assert_eq!((order.state, order.job_id), (OrderState::Queued, Some(*job)));
            assert_eq!((order.attempts, order.config_version.as_deref()), (0, Some("c2")));
            assert_eq!(order.finished_at, None);
        }
        // Each has one job that a worker can claim.
        let worker = WorkerId { client: "w".to_owned(), config_version: None };
        let claim = database.claim("b", *first, &worker, Ulid::generate()).await.unwrap();
        assert!(matches!(claim, Claim::Claimed(..)), "{claim:?}");

        let outcomes = database.cancel_all(&ids, &[]).await.unwrap();
        assert_eq!(
            outcomes,
            [
                BulkOutcome::Stopping,
                BulkOutcome::NoSuchOrder,
                BulkOutcome::Cancelled,
                BulkOutcome::Cancelled
            ]
        );
        let again = database.cancel_all(&ids[3..], &[]).await.unwrap();
        assert_eq!(again, [BulkOutcome::AlreadyEnded { state: OrderState::Cancelled }]);
        assert_eq!(database.reopen_all(&[], &[], None).await.unwrap(), []);
        let too_many: Vec<String> = (0..=BULK_BATCH).map(|number| number.to_string()).collect();
        assert!(database.reopen_all(&too_many, &[], None).await.is_err());
    }

    pub(super) async fn d5_an_order_that_left_the_selection_is_not_changed(place: Place) {
        let database = place.open().await;
        fail(&database, "a", failure("template_error", "no dish")).await;
        let ids = ["a".to_owned()];
        // Selected as dead, and failed by now.
        let outcomes = database.reopen_all(&ids, &[OrderState::Dead], None).await.unwrap();
        assert_eq!(outcomes, [BulkOutcome::Changed { state: OrderState::Failed }]);
        assert_eq!(database.order("a").await.unwrap().state, OrderState::Failed);
        let outcomes =
            database.reopen_all(&ids, &[OrderState::Failed, OrderState::Dead], None).await.unwrap();
        assert!(matches!(outcomes.as_slice(), [BulkOutcome::Queued { .. }]), "{outcomes:?}");
        let outcomes = database.cancel_all(&ids, &[OrderState::Waiting]).await.unwrap();
        assert_eq!(outcomes, [BulkOutcome::Changed { state: OrderState::Queued }]);
        assert_eq!(database.order("a").await.unwrap().state, OrderState::Queued);
    }
}
