//! Replays of failure records: who may ask for one, how many at a time, and what is answered.

on_both!(the_attempt_of_a_record_is_replayed);

use std::sync::atomic::{AtomicBool, Ordering};

use sitewright_model::failure::{FailureKind, FailureRecord, OfAttempt};
use sitewright_server::{Replay, ReplayError};

use crate::visitor::Browser;
use crate::*;

/// The record of an order that has failed.
async fn failed(api: &Api, id: &str) -> String {
    api.add(id).await;
    let claimed = api.claim(id).await;
    let (kind, of) = (FailureKind::OutputRejected, OfAttempt::from(&claimed));
    let record = FailureRecord::without_run(kind, message!("it has no page"), of);
    let failure = NewFailure::from(&record);
    let record = failure.id.clone();
    api.complete(&claimed, Resolution::Failed { failure }).await;
    record
}

mod tests {
    use super::*;

    pub(super) async fn the_attempt_of_a_record_is_replayed(place: Place) {
        let mut api = place.serve().await;
        let record = failed(&api, "1").await;
        let path = format!("/v1/failures/records/{record}/replay");
        api.log_in(&[Scope::Read]).await;
        api.post(&path).await.is_problem(403, "forbidden");
        let token = api.log_in(&[Scope::Operate]).await;
        let answer = api.post(&path).await;
        assert_eq!(
            (answer.status, &answer.body["verdict"]),
            (StatusCode::OK, &json!("reproduced"))
        );
        assert_eq!(answer.body["attempt"], record);
        api.post("/v1/failures/records/nothing/replay").await.is_problem(404, "no_such_failure");
        let log = api.database.audit_log(i64::MAX, 10).await.unwrap();
        let of = |status| {
            let is_it = |entry: &&sitewright_jobs::AuditEntry| {
                entry.action == "failure.replay" && entry.status == status
            };
            log.iter().filter(is_it).count()
        };
        assert_eq!((of(200), of(403), of(404)), (1, 1, 1), "{log:?}");

        let browser = Browser::new(&api);
        browser.log_in(&token).await;
        let page = browser.page(&format!("/console/records/{record}")).await;
        assert!(page.contains("Replay here"), "{page}");
        let csrf = crate::visitor::secret(&page).unwrap();
        let path = format!("/console/records/{record}/replay");
        let replayed = browser.form(&path, &[("csrf", &csrf)]).await;
        assert_eq!(replayed.status, StatusCode::OK, "{replayed:?}");
        assert!(replayed.text.contains("reproduced"), "{}", replayed.text);
        crate::visitor::is_secure(&path, &replayed);
    }
}

async fn serve(place: &Place, request_ms: u64, replay: Replay) -> Api {
    let database = place.database().await;
    let settings = ServerConfig { request_ms, ..settings() };
    let parts = ServerParts { replay, ..place.parts(database.clone(), settings) };
    Api::start(parts, database).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replay_is_made_at_a_time() {
    let place = Place::sqlite();
    let (begun, may_end) = (Arc::new(AtomicBool::new(false)), Arc::new(tokio::sync::Notify::new()));
    let (has_begun, end) = (begun.clone(), may_end.clone());
    let replay: Replay = Arc::new(move |_, _| {
        let (begun, end) = (has_begun.clone(), end.clone());
        Box::pin(async move {
            begun.store(true, Ordering::SeqCst);
            end.notified().await;
            Ok(json!({ "verdict": "diverged" }))
        })
    });
    let api = serve(&place, 30_000, replay).await;
    let record = failed(&api, "1").await;
    let path = format!("/v1/failures/records/{record}/replay");
    let (first, second) = tokio::join!(api.post(&path), async {
        until("the first has begun", async || begun.load(Ordering::SeqCst)).await;
        let second = api.post(&path).await;
        may_end.notify_one();
        second
    });
    assert_eq!(first.body["verdict"], "diverged", "{first:?}");
    second.is_problem(429, "too_many_replays");
    may_end.notify_one();
    assert_eq!(api.post(&path).await.status, StatusCode::OK, "the next one may");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_fails_or_is_late_says_so() {
    let place = Place::sqlite();
    for (error, status, kind, says) in [
        (ReplayError::Late, 503, "timeout", "within 3600 ms"),
        (ReplayError::Host(message!("no template")), 500, "internal", "not replayed: no template"),
    ] {
        let replay: Replay = Arc::new(move |_, within| {
            assert_eq!(within, Duration::from_millis(3_600));
            let error = error.clone();
            Box::pin(async move { Err(error) })
        });
        let api = serve(&place, 4_000, replay).await;
        let record = failed(&api, kind).await;
        let answer = api.post(&format!("/v1/failures/records/{record}/replay")).await;
        answer.is_problem(status, kind);
        assert!(answer.body["detail"].as_str().unwrap().contains(says), "{answer:?}");
    }
}
