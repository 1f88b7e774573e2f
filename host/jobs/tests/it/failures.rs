//! Searching and counting failure records.

use super::*;

on_both!(
    failures_are_counted_by_what_they_have_in_common,
    orders_that_end_are_counted_by_the_version_of_their_template,
);

mod tests {
    use super::*;

    pub(super) async fn failures_are_counted_by_what_they_have_in_common(place: Place) {
        let database = place.open().await;
        // Two causes; the first affects three orders, one of them twice.
        for (order, template, message) in [
            ("a", "bakery", "no dish 1 of \"Soup\""),
            ("b", "bakery", "no dish 22 of \"Cake\""),
            ("b", "bakery", "no dish 3 of \"Tea\""),
            ("c", "bakery", "no dish 4 of \"Tea\""),
            ("a", "bakery", "the oven is cold"),
            ("d", "florist", "no dish 1 of \"Soup\""),
        ] {
            fail(&database, order, whole(order, template, message)).await;
        }
        let all = ListedFailures::default();
        let groups = database.failure_groups(&all).await.unwrap();
        let mut counted: Vec<_> = groups
            .iter()
            .map(|group| (&*group.template, &*group.message, group.count, group.orders))
            .collect();
        counted.sort();
        // The message is that of the newest failure.
        assert_eq!(
            counted,
            [
                ("bakery", "no dish 4 of \"Tea\"", 4, 3),
                ("bakery", "the oven is cold", 1, 1),
                ("florist", "no dish 1 of \"Soup\"", 1, 1),
            ]
        );
        let many = groups.iter().find(|group| group.count == 4).unwrap();
        assert!(many.first_at < many.last_at, "{many:?}");
        assert_eq!(many.newest, database.failures("c").await.unwrap()[0].id);
        assert_eq!(many.kind, "template_error");

        let only = |change: fn(&mut ListedFailures)| {
            let mut filter = ListedFailures::default();
            change(&mut filter);
            filter
        };
        for (filter, count) in [
            (only(|filter| filter.template = Some("florist".to_owned())), 1),
            (only(|filter| filter.kind = Some("template_error".to_owned())), 6),
            (only(|filter| filter.kind = Some("trap".to_owned())), 0),
            (only(|filter| filter.order = Some("a".to_owned())), 2),
            (ListedFailures { since: Some(many.last_at), ..all.clone() }, 3),
            (ListedFailures { since: Some(many.last_at + 3_600_000), ..all.clone() }, 0),
        ] {
            let groups = database.failure_groups(&filter).await.unwrap();
            assert_eq!(groups.iter().map(|group| group.count).sum::<u64>(), count, "{filter:?}");
            let briefs = database.failures_in_brief(&filter, 100).await.unwrap();
            assert_eq!(briefs.len() as u64, count, "{filter:?}");
            assert!(
                briefs.is_sorted_by(|a, b| a.id > b.id)
                    && briefs.iter().all(|brief| filter.fits(brief))
            );
        }
        assert_eq!(database.failures_in_brief(&all, 2).await.unwrap().len(), 2);
        assert_eq!(
            database.orders_of_failures(&many.fingerprint, None).await.unwrap(),
            ["c", "b", "a"]
        );
        assert_eq!(
            database.fingerprints_like(&many.fingerprint[..6]).await.unwrap(),
            std::slice::from_ref(&many.fingerprint)
        );
        assert_eq!(database.failures_of(&many.fingerprint, None, 3).await.unwrap().len(), 3);
        let ids = [many.newest.clone(), "none".to_owned()];
        assert_eq!(database.known_failures(&ids).await.unwrap(), [many.newest.clone()].into());
        let attempts = database.attempts_by_template(&all).await.unwrap();
        assert_eq!(
            attempts.into_iter().collect::<Vec<_>>(),
            [("florist".to_owned(), 6)],
            "by the name in its records"
        );

        // The newest of four comes in the second hour, and that of another cause after the time
        // that is asked for.
        let oven = groups.iter().find(|group| group.message.contains("oven")).unwrap();
        for (id, later) in [(&many.newest, 3_600_000), (&oven.newest, 9 * 3_600_000)] {
            place
                .sql(&format!(
                    "UPDATE sitewright_failures SET created_at = created_at + {later}
                     WHERE id = '{id}'"
                ))
                .await;
        }
        let since = ListedFailures { since: Some(many.first_at), ..all.clone() };
        let both = [many.fingerprint.as_str(), oven.fingerprint.as_str()];
        let trend = async |filter: &ListedFailures, tenant: Option<&str>, spans: usize| {
            let found = database.failure_trends(filter, tenant, &both, 3_600_000, spans).await;
            let found = found.unwrap();
            both.map(|fingerprint| found.get(fingerprint).cloned().unwrap_or_default())
        };
        assert_eq!(trend(&since, None, 3).await, [vec![3, 1, 0], vec![0, 0, 1]]);
        assert_eq!(trend(&since, None, 1).await, [vec![4], vec![1]]);
        let none = [Vec::<u64>::new(), Vec::new()];
        assert_eq!(trend(&since, Some("acme"), 3).await, none);
        let florist = ListedFailures { template: Some("florist".to_owned()), ..since };
        assert_eq!(trend(&florist, None, 3).await, none);
    }

    pub(super) async fn orders_that_end_are_counted_by_the_version_of_their_template(place: Place) {
        let database = place.open().await;
        for order in ["good", "again", "bad", "dead", "cancelled"] {
            database.enqueue(new_order(order)).await.unwrap();
        }
        let unknown = NewOrder::new("other", "of no file", "{}".to_owned());
        database.enqueue(unknown).await.unwrap();
        let script = Scripted::new(|claimed, run| {
            let failure = || failure("template_error", "x");
            Do::CompleteAttempt(match (claimed.order.as_str(), run) {
                ("again", 1) => {
                    Resolution::Retry { failure: failure(), after: Duration::from_millis(1) }
                }
                ("bad", _) => Resolution::Failed { failure: failure() },
                ("dead", _) => Resolution::Dead { failure: failure() },
                ("cancelled", _) => Resolution::Cancelled { failure: None },
                _ => Resolution::Succeeded { release: claimed.attempt.to_string() },
            })
        });
        let before = sitewright_model::time::now_ms();
        let mut serving = worker(&database, &script).await;
        serving.until_empty().await.unwrap();
        serving.drain(GRACE).await.unwrap();
        database.store_ends().await.unwrap();
        // What is stored is not stored again, and what comes later is added to it.
        database.store_ends().await.unwrap();
        database.count_end("flora", "sha256:1", OrderState::Succeeded);
        database.count_end("flora", "sha256:1", OrderState::Waiting);
        database.store_ends().await.unwrap();
        let versions = database.template_versions(0).await.unwrap();
        let names: Vec<&String> = versions.keys().collect();
        assert_eq!(names, ["flora"], "a template without a file has no version");
        let [version] = &versions["flora"][..] else { panic!("{versions:?}") };
        assert_eq!((version.ended, version.failed), (5, 2), "{version:?}");
        assert_eq!(version.failed_share, Some(0.4));
        assert!(before <= version.since.unwrap() && version.since < version.last_at, "{version:?}");
        // Before the hour of the counts there was none.
        let later = before + 2 * 3_600_000;
        assert_eq!(database.template_versions(later).await.unwrap().len(), 0);
    }
}
