//! Completing attempts: retries, limits, replies, results that cannot be stored.

use super::*;

on_both!(
    retries_use_attempts_and_then_the_order_is_dead,
    d4_waiting_for_a_limit_uses_no_attempt,
    d4_an_order_that_is_put_off_for_weeks_stays_takeable,
    retries_at_once_are_never_done_twice,
    a_panic_of_the_host_is_a_failure_of_one_attempt,
    d4_replies_are_kept_and_asked_again_when_blamed,
    many_orders_at_once_are_done_as_each_alone,
    b6_a_stage_called_success_ends_nothing,
    a_result_that_cannot_be_stored_leaves_no_order_standing,
    b7_a_text_that_a_database_cannot_store_settles_its_order_all_the_same,
);

mod tests {
    use super::*;

    pub(super) async fn retries_use_attempts_and_then_the_order_is_dead(place: Place) {
        let database = place.open().await;
        let handler = Scripted::new(|claimed, run| {
            assert_eq!(claimed.attempts_used + 1, i64::from(run));
            if claimed.order == "well" && run == 3 {
                return Do::CompleteAttempt(Resolution::Succeeded { release: "r".to_owned() });
            }
            let after = Duration::from_millis(if run == 1 { 300 } else { 0 });
            Do::CompleteAttempt(Resolution::Retry {
                failure: failure("ai", "502 Bad Gateway"),
                after,
            })
        });
        database.enqueue(new_order("well")).await.unwrap();
        database.enqueue(new_order("ill")).await.unwrap();
        let mut serving = worker(&database, &handler).await;
        serving.until_empty().await.unwrap();
        let well = database.order("well").await.unwrap();
        assert_eq!((well.state, well.attempts, well.runs), (OrderState::Succeeded, 3, 3));
        let ill = database.order("ill").await.unwrap();
        assert_eq!((ill.state, ill.attempts, ill.crashes), (OrderState::Dead, 5, 0));
        assert_eq!(handler.runs()["ill"], 5);
        let attempts = database.attempts("ill").await.unwrap();
        let outcomes: Vec<_> = attempts.iter().filter_map(|attempt| attempt.outcome).collect();
        use AttemptEnd::{Dead, Retry};
        assert_eq!(outcomes, [Retry, Retry, Retry, Retry, Dead]);
        let failures = database.failures("ill").await.unwrap();
        assert_eq!(failures.len(), 5);
        assert_eq!(ill.last_failure.as_ref(), Some(&failures[4].id));
        assert!(attempts[1].started_at >= attempts[0].ended_at.unwrap() + 300, "the wait was kept");
        serving.drain(GRACE).await.unwrap();
    }

    pub(super) async fn d4_waiting_for_a_limit_uses_no_attempt(place: Place) {
        let database = place.open().await;
        let handler = Scripted::new(|_, run| {
            Do::CompleteAttempt(if run <= 8 {
                Resolution::Snooze {
                    failure: failure("ai", "429"),
                    after: Duration::from_millis(1),
                }
            } else {
                Resolution::Succeeded { release: "r".to_owned() }
            })
        });
        database.enqueue(new_order("24")).await.unwrap();
        let mut serving = worker(&database, &handler).await;
        serving.until_empty().await.unwrap();
        let order = database.order("24").await.unwrap();
        assert_eq!((order.state, order.attempts, order.runs), (OrderState::Succeeded, 1, 9));
        serving.drain(GRACE).await.unwrap();

        database.enqueue(new_order("far")).await.unwrap();
        let claimed = taken_by(&database, "far", "w").await;
        let resolution =
            Resolution::Snooze { failure: failure("ai", "429"), after: Duration::from_secs(3_600) };
        database.complete(&claimed, &resolution, AttemptLimits::default()).await.unwrap();
        let far = database.order("far").await.unwrap();
        assert_eq!(far.state, OrderState::Waiting);
        assert_eq!(far.waiting_reason.as_deref(), Some("ai: it failed: 429"));
        assert!(far.next_attempt_at.unwrap() > far.updated_at + 3_500_000);
        let early =
            database.claim("far", claimed.job, &ghost("w"), Ulid::generate()).await.unwrap();
        assert_eq!(early, Claim::NotThisJob, "only the job of its next attempt may take it");

        database.enqueue(new_order("rejected")).await.unwrap();
        let claimed = taken_by(&database, "rejected", "w").await;
        let reason = message!("ai: nothing was sent");
        let resolution = Resolution::AwaitBreaker { reason, after: Duration::from_secs(3_600) };
        database.complete(&claimed, &resolution, AttemptLimits::default()).await.unwrap();
        let rejected = database.order("rejected").await.unwrap();
        assert_eq!((rejected.state, rejected.attempts), (OrderState::Waiting, 0));
        assert_eq!(rejected.waiting_reason.as_deref(), Some("ai: nothing was sent"));
        assert!(rejected.next_attempt_at.unwrap() > rejected.updated_at + 3_500_000);
        assert!(database.failures("rejected").await.unwrap().is_empty(), "nothing is recorded");
    }

    pub(super) async fn d4_an_order_that_is_put_off_for_weeks_stays_takeable(place: Place) {
        let database = place.open().await;
        let handler = Scripted::new(|claimed, run| {
            Do::CompleteAttempt(if claimed.order == "old" && run <= 3 {
                Resolution::Snooze {
                    failure: failure("ai", "429"),
                    after: Duration::from_millis(1),
                }
            } else {
                Resolution::Succeeded { release: "r".to_owned() }
            })
        });
        database.pause().await.unwrap();
        database.enqueue_all(vec![new_order("old"), new_order("next")]).await.unwrap();
        // The state of the queue's row after a provider's limit has delayed the order a thousand
        // times.
        let error = r#"{"at":"2026-11-23T00:00:00Z","attempt":1,"error":"429","trace":""}"#;
        let aged = if place.is_sqlite() {
            format!(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
                 UPDATE river_job SET attempt = 999, errors = (SELECT \
                 jsonb_group_array(json('{error}')) FROM n)
                 WHERE id = (SELECT job_id FROM sitewright_orders WHERE id = 'old')"
            )
        } else {
            format!(
                "UPDATE river_job SET attempt = 999, errors = array_fill('{error}'::jsonb, \
                 ARRAY[100])
                 WHERE id = (SELECT job_id FROM sitewright_orders WHERE id = 'old')"
            )
        };
        assert_eq!(place.sql(&aged).await, 1);
        database.resume().await.unwrap();
        let mut serving = worker(&database, &handler).await;
        serving.until_empty().await.unwrap();
        serving.drain(GRACE).await.unwrap();
        for order in ["old", "next"] {
            assert_eq!(database.order(order).await.unwrap().state, OrderState::Succeeded);
        }
        let of_old = |what: &str| {
            format!(
                "SELECT {what} FROM river_job WHERE id = (SELECT job_id FROM sitewright_orders \
                 WHERE id = 'old')"
            )
        };
        let errors = if place.is_sqlite() {
            "json_array_length(errors)"
        } else {
            "cardinality(errors)::bigint"
        };
        assert_eq!(place.number(&of_old(errors)).await, 100);
        assert_eq!(place.number(&of_old("CAST(attempt AS BIGINT)")).await, 1_000);
    }

    pub(super) async fn retries_at_once_are_never_done_twice(place: Place) {
        let (one, two) = (place.open().await, place.open().await);
        let orders = (0..200).map(|n| new_order(&format!("o{n}"))).collect();
        one.enqueue_all(orders).await.unwrap();
        let handler = Scripted::new(|claimed, run| {
            Do::CompleteAttempt(if run == 1 {
                Resolution::Retry { failure: failure("ai", "reset"), after: Duration::ZERO }
            } else {
                Resolution::Succeeded { release: claimed.attempt.to_string() }
            })
        });
        let mut first = worker(&one, &handler).await;
        let second = worker(&two, &handler).await;
        first.until_empty().await.unwrap();
        assert!(handler.runs().values().all(|runs| *runs == 2), "{:?}", handler.runs());
        first.drain(GRACE).await.unwrap();
        second.drain(GRACE).await.unwrap();
        assert_eq!(one.stats().await.unwrap().count(OrderState::Succeeded), 200);
        assert_eq!(
            place.number("SELECT count(*) FROM river_job WHERE finalized_at IS NULL").await,
            0
        );
        assert_eq!(place.number("SELECT count(*) FROM sitewright_attempts").await, 400);
    }

    pub(super) async fn a_panic_of_the_host_is_a_failure_of_one_attempt(place: Place) {
        let database = place.open().await;
        let handler = Scripted::new(|_, run| match run {
            1 => Do::Panic,
            _ => Do::CompleteAttempt(Resolution::Succeeded { release: "r".to_owned() }),
        });
        database.enqueue(new_order("24")).await.unwrap();
        let mut serving = worker(&database, &handler).await;
        serving.until_empty().await.unwrap();
        assert_eq!(database.order("24").await.unwrap().state, OrderState::Succeeded);
        let failure = &database.failures("24").await.unwrap()[0];
        assert_eq!(failure.kind, "host");
        assert!(failure.message.contains("a bug in the host"), "{}", failure.message);
        serving.drain(GRACE).await.unwrap();
    }

    pub(super) async fn d4_replies_are_kept_and_asked_again_when_blamed(place: Place) {
        let database = place.open().await;
        database.enqueue(new_order("24")).await.unwrap();
        assert_eq!(database.reply("24", "q", 0).await.unwrap(), None);
        assert!(database.keep_reply("24", "a1", reply("q", 0)).await.unwrap());
        assert!(database.keep_reply("24", "a1", reply("q", 1)).await.unwrap());
        let first = database.reply("24", "q", 0).await.unwrap().unwrap();
        assert_eq!((first.attempt.as_deref(), &first.call), (Some("a1"), &reply("q", 0)));
        // A worker that lost its lease brings a second reply: it is paid for, but the first one
        // counts.
        let other = NewAiCall { entry: json!("other"), ..reply("q", 0) };
        assert!(!database.keep_reply("24", "a2", other).await.unwrap());
        assert_eq!(database.reply("24", "q", 0).await.unwrap().unwrap(), first);
        assert_eq!(database.cost("24").await.unwrap().calls, 3);
        assert_eq!(database.cost("24").await.unwrap().nano_usd, 3_000);

        assert_eq!(database.ask_again("24", Some(vec![("q".to_owned(), 0)])).await.unwrap(), 1);
        assert_eq!(database.reply("24", "q", 0).await.unwrap(), None);
        assert!(database.reply("24", "q", 1).await.unwrap().is_some());
        assert!(database.keep_reply("24", "a3", reply("q", 0)).await.unwrap());
        assert_eq!(database.ask_again("24", None).await.unwrap(), 2);
        assert_eq!(database.reply("24", "q", 1).await.unwrap(), None);
        let calls = database.ai_calls("24").await.unwrap();
        assert_eq!(calls.len(), 4, "what was paid for stays in the ledger");
        assert!(calls.iter().all(|call| !call.current));
        assert_eq!(calls.iter().filter(|call| call.asked_again_at.is_some()).count(), 3);

        // A provider may report any number of tokens.
        for n in 2..5 {
            let most = NewAiCall {
                cost_nano_usd: Some(u64::MAX),
                input_tokens: Some(u64::MAX),
                output_tokens: Some(u64::MAX),
                ..reply("q", n)
            };
            assert!(database.keep_reply("24", "a4", most).await.unwrap());
        }
        let cost = database.cost("24").await.unwrap();
        assert!(cost.nano_usd > 1 << 50 && cost.input_tokens > 1 << 50, "{cost:?}");
        assert!(cost.output_tokens > 1 << 50, "{cost:?}");
    }

    /// Waiting resolutions share one statement, and a special case has the same outcome as alone.
    pub(super) async fn many_orders_at_once_are_done_as_each_alone(place: Place) {
        let database = place.open().await;
        let id = |n: usize| format!("o{n}");
        database.enqueue_all((0..40).map(|n| new_order(&id(n))).collect()).await.unwrap();
        let mut jobs = Vec::new();
        for n in 0..40 {
            jobs.push(database.order(&id(n)).await.unwrap().job_id.unwrap());
        }
        // Order 7 is claimed by two attempts, order 8 twice by the same attempt, and order 99 does
        // not exist.
        let same = Ulid::generate();
        let wanted =
            (0..40).map(|n| (id(n), jobs[n], if n == 8 { same } else { Ulid::generate() }));
        let wanted: Vec<_> = wanted
            .chain([
                (id(7), jobs[7], Ulid::generate()),
                (id(8), jobs[8], same),
                (id(99), 1, Ulid::generate()),
            ])
            .collect();
        let worker = ghost("w\u{0}");
        let takes = wanted
            .iter()
            .map(|(order, job, attempt)| database.claim(order, *job, &worker, *attempt));
        let mut claimed: Vec<Claimed> = Vec::new();
        let mut others = Vec::new();
        for take in futures::future::join_all(takes).await {
            match take.unwrap() {
                Claim::Claimed(one, document) => {
                    assert_eq!(document, json!({ "customer": one.order }).to_string());
                    claimed.push(*one);
                }
                other => others.push(other),
            }
        }
        assert_eq!(others.len(), 2, "{others:?}");
        assert!(
            others.contains(&Claim::NotThisJob) && others.contains(&Claim::NoSuchOrder),
            "{others:?}"
        );
        assert_eq!(claimed.len(), 41, "order 8 is given to the same attempt as often as it asks");
        claimed.sort_by(|a, b| (&a.order, a.attempt).cmp(&(&b.order, b.attempt)));
        claimed.dedup();
        assert_eq!(claimed.len(), 40);
        for one in &claimed {
            assert_eq!((one.number, one.attempts_used, &*one.template), (1, 0, "flora"));
            let attempts = database.attempts(&one.order).await.unwrap();
            assert_eq!(attempts.len(), 1, "{attempts:?}");
            assert_eq!(
                (&attempts[0].id, attempts[0].job),
                (&one.attempt.to_string(), Some(one.job))
            );
            assert_eq!((&attempts[0].trace_id, &*attempts[0].worker), (&one.trace_id, "w\u{fffd}"));
            assert_eq!(attempts[0].config_version.as_deref(), Some("c1"));
        }

        // Each has two replies, and a late attempt at order 3 brings one that does not count.
        let keeps = claimed.iter().flat_map(|one| {
            let attempt = one.attempt.to_string();
            [0, 1].map(|n| {
                    let (database, attempt) = (&database, attempt.clone());
                    async move {
                        database.keep_reply(&one.order, &attempt, reply("q", n)).await.unwrap()
                    }
                })
        });
        let counted = futures::future::join_all(keeps).await;
        assert!(counted.iter().all(|counts| *counts));
        let again = ["o3", "o4"].map(|order| database.keep_reply(order, "late", reply("q", 1)));
        for counts in futures::future::join_all(again).await {
            assert!(!counts.unwrap());
        }
        for one in &claimed {
            let kept = database.reply(&one.order, "q", 1).await.unwrap().unwrap();
            assert_eq!(kept.call, reply("q", 1));
            assert_eq!(kept.attempt, Some(one.attempt.to_string()));
            let late = i64::from(one.order == "o3" || one.order == "o4");
            assert_eq!(database.cost(&one.order).await.unwrap().calls, 2 + late);
        }
        let told = |one: &Claimed, stage: &str| NewEvent {
            order: one.order.clone(),
            attempt: Some(one.attempt.to_string()),
            stage: stage.to_owned(),
            done: Some(1),
            total: None,
            message: None,
        };
        let events =
            claimed.iter().flat_map(|one| [told(one, "first"), told(one, "last \u{0}")]).collect();
        database.record_events(events).await.unwrap();

        // Order 5 fails, order 6 is completed twice, and order 9 has another owner by now.
        let stranger = Claimed {
            attempt: Ulid::generate(),
            ..claimed.iter().find(|one| one.order == "o9").unwrap().clone()
        };
        let six = claimed.iter().find(|one| one.order == "o6").unwrap();
        // A late attempt at order 7 arrives just before the one that owns it.
        let late = Claimed {
            attempt: Ulid::generate(),
            ..claimed.iter().find(|one| one.order == "o7").unwrap().clone()
        };
        let owners = claimed.iter().filter(|one| one.order != "o9");
        let attempts =
            owners.flat_map(|one| if one.order == "o7" { vec![&late, one] } else { vec![one] });
        let attempts = attempts.chain([six, &stranger]);
        let completions = attempts.map(|one| {
            let resolution = match &*one.order {
                "o5" => Resolution::Failed {
                    failure: NewFailure {
                        record: json!({ "stage": "own \u{0}" }),
                        ..failure("trap", "it trapped")
                    },
                },
                _ if one.attempt == late.attempt => {
                    Resolution::Succeeded { release: "r-late".to_owned() }
                }
                _ => Resolution::Succeeded { release: format!("r-{}", one.order) },
            };
            let attempt = one.attempt;
            let database = &database;
            async move {
                (
                    one.order.clone(),
                    attempt,
                    database.complete(one, &resolution, AttemptLimits::default()).await.unwrap(),
                )
            }
        });
        for (order, attempt, outcome) in futures::future::join_all(completions).await {
            let wanted = match &*order {
                _ if attempt == late.attempt => CompleteOutcome::LeaseLost,
                "o5" => ended(AttemptEnd::Failed, OrderState::Failed),
                "o9" => CompleteOutcome::LeaseLost,
                _ => ended(AttemptEnd::Succeeded, OrderState::Succeeded),
            };
            assert_eq!(outcome, wanted, "{order}");
        }
        let seen = claimed.iter().map(|one| database.mark_activated(&one.order, "r-o1"));
        let seen = futures::future::join_all(seen).await;
        assert_eq!(seen.into_iter().filter(|seen| *seen.as_ref().unwrap()).count(), 1);
        for one in &claimed {
            let order = database.order(&one.order).await.unwrap();
            let attempt = database.attempts(&one.order).await.unwrap().remove(0);
            if one.order == "o9" {
                assert_eq!((order.state, attempt.outcome), (OrderState::Running, None));
                continue;
            }
            assert_eq!((order.attempts, order.owner_attempt, order.owner_worker), (1, None, None));
            assert!(order.finished_at.is_some() && attempt.ended_at == order.finished_at);
            // That of its record, not the last one that was stored for watchers.
            let stage = (one.order == "o5").then_some("own \u{fffd}");
            assert_eq!(attempt.last_stage.as_deref(), stage);
            let release = (one.order != "o5").then(|| format!("r-{}", one.order));
            assert_eq!((order.current_release, attempt.release), (release.clone(), release));
        }
        let pending = database.pending_activations(0).await.unwrap();
        assert_eq!(pending.len(), 37, "only the release that was named is marked: {pending:?}");
    }

    pub(super) async fn b6_a_stage_called_success_ends_nothing(place: Place) {
        let database = place.open().await;
        database.enqueue(new_order("24")).await.unwrap();
        let claimed = taken_by(&database, "24", "w").await;
        let step = |stage: &str| NewEvent {
            order: "24".to_owned(),
            attempt: Some(claimed.attempt.to_string()),
            stage: stage.to_owned(),
            done: Some(4),
            total: Some(4),
            message: None,
        };
        database
            .record_events(vec![step("success"), step("succeeded"), step("failed")])
            .await
            .unwrap();
        let order = database.order("24").await.unwrap();
        assert_eq!((order.state, order.finished_at), (OrderState::Running, None));
        release(&database, &claimed, "r1").await;
        assert_eq!(database.order("24").await.unwrap().state, OrderState::Succeeded);
    }

    pub(super) async fn a_result_that_cannot_be_stored_leaves_no_order_standing(place: Place) {
        let database = place.open().await;
        let handler = Scripted::new(|_, _| {
            Do::CompleteAttempt(Resolution::Failed {
                failure: NewFailure { kind: String::new(), ..failure("x", "x") },
            })
        });
        database.enqueue(new_order("24")).await.unwrap();
        let mut serving = worker(&database, &handler).await;
        serving.until_empty().await.unwrap();
        assert_eq!(database.order("24").await.unwrap().state, OrderState::Failed);
        let failure = &database.failures("24").await.unwrap()[0];
        assert!(failure.message.contains("could not be stored"), "{}", failure.message);
        serving.drain(GRACE).await.unwrap();
    }

    pub(super) async fn b7_a_text_that_a_database_cannot_store_settles_its_order_all_the_same(
        place: Place,
    ) {
        let database = place.open().await;
        database.enqueue(new_order("24")).await.unwrap();
        let claimed = taken_by(&database, "24", "w").await;
        let event = NewEvent {
            order: "24".to_owned(),
            attempt: Some(claimed.attempt.to_string()),
            stage: "a\0stage".to_owned(),
            done: None,
            total: None,
            message: Some("\0".to_owned()),
        };
        database.record_events(vec![event]).await.unwrap();
        let failure = NewFailure::from(&whole_record("24", "a\0template", "a\0message"));
        let retry = Resolution::Retry { failure, after: Duration::ZERO };
        let outcome = database.complete(&claimed, &retry, AttemptLimits::default()).await.unwrap();
        assert!(
            matches!(outcome, CompleteOutcome::Done { order: OrderState::Waiting, .. }),
            "{outcome:?}"
        );
        let failure = &database.failures("24").await.unwrap()[0];
        assert_eq!(failure.message, "a\u{fffd}message");
        assert_eq!(failure.record["message"], "a\0message", "the record has it as it was");
        let group = &database.failure_groups(&ListedFailures::default()).await.unwrap()[0];
        assert_eq!(group.template, "a\u{fffd}template");
    }
}

#[test]
fn d4_each_failure_has_its_class() {
    let limited = |after| RetryClass::Limited { after };
    let transient = RetryClass::Transient { at_least: None };
    let permanent = RetryClass::Permanent;
    let second = Duration::from_secs(1);
    let table = [
        (FailureKind::InvalidOrder, None, None, permanent),
        (FailureKind::TemplateLoad, None, None, permanent),
        (FailureKind::TemplateError, None, None, permanent),
        (FailureKind::TemplateError, None, Some(true), transient),
        (FailureKind::Panic, None, Some(true), permanent),
        (FailureKind::Trap, None, None, permanent),
        (FailureKind::CpuLimit, None, None, permanent),
        (FailureKind::MemoryLimit, None, None, permanent),
        (FailureKind::OutputLimit, None, None, permanent),
        (FailureKind::CallLimit, None, None, permanent),
        (FailureKind::Deadline, None, None, transient),
        (FailureKind::Cancelled, None, None, permanent),
        (FailureKind::OutputRejected, None, None, permanent),
        (FailureKind::Crashed, None, None, transient),
        (FailureKind::Host, None, None, transient),
        (FailureKind::Ai, Some(AiErrorKind::RateLimited), None, limited(None)),
        (FailureKind::Ai, Some(AiErrorKind::Overloaded), None, transient),
        (FailureKind::Ai, Some(AiErrorKind::Timeout), Some(false), transient),
        (FailureKind::Ai, Some(AiErrorKind::Connection), None, transient),
        (FailureKind::Ai, Some(AiErrorKind::Protocol), None, transient),
        (FailureKind::Ai, Some(AiErrorKind::Empty), None, transient),
        (FailureKind::Ai, Some(AiErrorKind::Malformed), None, transient),
        (FailureKind::Ai, Some(AiErrorKind::SchemaMismatch), None, transient),
        (FailureKind::Ai, Some(AiErrorKind::SchemaMismatch), Some(false), permanent),
        (FailureKind::Ai, Some(AiErrorKind::Cancelled), None, transient),
        (FailureKind::Ai, Some(AiErrorKind::Auth), Some(true), permanent),
        (FailureKind::Ai, Some(AiErrorKind::Permission), None, permanent),
        (FailureKind::Ai, Some(AiErrorKind::NotFound), None, permanent),
        (FailureKind::Ai, Some(AiErrorKind::InvalidRequest), None, permanent),
        (FailureKind::Ai, Some(AiErrorKind::ContextTooLong), None, permanent),
        (FailureKind::Ai, Some(AiErrorKind::QuotaExhausted), Some(true), permanent),
        (FailureKind::Ai, Some(AiErrorKind::Truncated), None, permanent),
        (FailureKind::Ai, Some(AiErrorKind::Truncated), Some(false), permanent),
        (FailureKind::Ai, Some(AiErrorKind::Truncated), Some(true), transient),
        (FailureKind::Ai, Some(AiErrorKind::ContentFiltered), None, permanent),
        (FailureKind::Ai, Some(AiErrorKind::BudgetExceeded), None, permanent),
        (FailureKind::Ai, Some(AiErrorKind::NoRoute), None, permanent),
        (FailureKind::Ai, Some(AiErrorKind::Other), None, permanent),
        (FailureKind::Ai, Some(AiErrorKind::Other), Some(true), transient),
        (FailureKind::Ai, None, None, permanent),
    ];
    for kind in FailureKind::ALL {
        assert!(table.iter().any(|row| row.0 == kind), "{kind} is not in the table");
    }
    for kind in AiErrorKind::ALL {
        assert!(table.iter().any(|row| row.1 == Some(kind)), "{kind} is not in the table");
    }
    for (kind, ai_kind, retryable, wanted) in table {
        assert_eq!(
            class(kind, ai_kind, retryable, None),
            wanted,
            "{kind} {ai_kind:?} {retryable:?}"
        );
    }
    assert_eq!(
        class(FailureKind::Ai, Some(AiErrorKind::RateLimited), None, Some(second)),
        limited(Some(second))
    );
    let overloaded = class(FailureKind::Ai, Some(AiErrorKind::Overloaded), None, Some(second));
    assert_eq!(overloaded, RetryClass::Transient { at_least: Some(second) });
}

#[test]
fn waits_grow_and_are_capped() {
    let backoff = Backoff::default();
    let most = |used| backoff.wait(used, 1.0).as_secs_f64();
    assert_eq!([1, 2, 3, 8, 9, 40].map(most), [2.0, 4.0, 8.0, 256.0, 300.0, 300.0]);
    assert_eq!(backoff.wait(5, 0.0), Duration::ZERO);
    assert_eq!(backoff.wait(2, 0.5), Duration::from_secs(2));
    let after = |class, used| match backoff.resolution(class, failure("ai", "x"), used, 1.0) {
        Resolution::Retry { after, .. } | Resolution::Snooze { after, .. } => Some(after),
        _ => None,
    };
    let minute = Duration::from_secs(60);
    assert_eq!(after(RetryClass::Permanent, 0), None);
    assert_eq!(after(RetryClass::Transient { at_least: None }, 0), Some(Duration::from_secs(2)));
    assert_eq!(
        after(RetryClass::Transient { at_least: Some(minute) }, 0),
        Some(Duration::from_secs(62))
    );
    assert_eq!(
        after(RetryClass::Limited { after: Some(minute) }, 3),
        Some(Duration::from_secs(66))
    );
    assert_eq!(after(RetryClass::Limited { after: None }, 3), Some(Duration::from_secs(33)));
    // "At once" would repeat for ever.
    assert_eq!(
        after(RetryClass::Limited { after: Some(Duration::ZERO) }, 3),
        Some(Duration::from_millis(2_200))
    );
    assert!(
        after(RetryClass::Limited { after: Some(Duration::MAX) }, 3)
            < Some(Duration::from_secs(7 * 3_600))
    );
}
