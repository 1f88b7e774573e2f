//! Replays and bundles of failure records: who may ask for one, how many at a time, and what is
//! answered.

on_both!(the_attempt_of_a_record_is_replayed, the_attempt_of_a_record_is_exported);

use std::io::{Seek as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use sitewright_model::failure::{FailureKind, FailureRecord, OfAttempt};
use sitewright_server::{Bundle, BundleExport, Replay, ReplayError};

use crate::visitor::Browser;
use crate::*;

/// A bundle that has these bytes, in a file without a name.
pub(crate) fn bundle(text: &str) -> Bundle {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    Bundle { file: tokio::fs::File::from_std(file), bytes: text.len() as u64 }
}

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

    pub(super) async fn the_attempt_of_a_record_is_exported(place: Place) {
        let mut api = place.serve().await;
        let record = failed(&api, "1").await;
        let path = format!("/v1/failures/records/{record}/bundle");
        let reader = api.log_in(&[Scope::Read]).await;
        api.get(&path).await.is_problem(403, "forbidden");
        let token = api.log_in(&[Scope::Operate]).await;
        let is_it = |answer: &Answer| {
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            assert_eq!(answer.text, format!("bundle of {record}"));
            let name = format!("attachment; filename=\"failure-{record}.tar\"");
            let length = answer.text.len().to_string();
            for (header, value) in [
                ("content-type", "application/x-tar"),
                ("content-disposition", name.as_str()),
                ("content-length", length.as_str()),
                ("x-content-type-options", "nosniff"),
                ("cache-control", "no-store"),
            ] {
                assert_eq!(answer.header(header), value, "{answer:?}");
            }
        };
        // Asking for the headers exports nothing: the audit log below has no entry of it.
        let headers = send(api.request(Method::HEAD, &path)).await;
        assert_eq!((headers.status, headers.text.as_str()), (StatusCode::OK, ""), "{headers:?}");
        assert_eq!(headers.header("content-type"), "application/x-tar", "{headers:?}");
        assert_eq!(headers.headers.get("content-length"), None, "{headers:?}");
        is_it(&api.get(&path).await);
        api.get("/v1/failures/records/nothing/bundle").await.is_problem(404, "no_such_failure");

        let browser = Browser::new(&api);
        browser.log_in(&token).await;
        let page = browser.page(&format!("/console/records/{record}")).await;
        assert!(page.contains("Export bundle (scrubbed)"), "{page}");
        let csrf = crate::visitor::secret(&page).unwrap();
        let path = format!("/console/records/{record}/bundle");
        is_it(&browser.form(&path, &[("csrf", &csrf)]).await);
        let without = browser.form(&path, &[]).await;
        assert_eq!(without.status, StatusCode::FORBIDDEN, "{without:?}");

        let browser = Browser::new(&api);
        browser.log_in(&reader).await;
        let page = browser.page(&format!("/console/records/{record}")).await;
        assert!(!page.contains("Export bundle"), "{page}");
        let log = api.database.audit_log(i64::MAX, 20).await.unwrap();
        let exports = log.iter().filter(|entry| entry.action == "failure.export");
        let mut exports: Vec<(i64, Option<&str>)> =
            exports.map(|entry| (entry.status, entry.target.as_deref())).collect();
        exports.sort_unstable();
        let one = Some(record.as_str());
        let all = [(200, one), (200, one), (403, one), (403, one), (404, Some("nothing"))];
        assert_eq!(exports, all, "{log:?}");
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

/// A bundle is on the disk until it was downloaded, so that there is only one.
#[tokio::test(flavor = "multi_thread")]
async fn one_bundle_is_made_and_downloaded_at_a_time() {
    let place = Place::sqlite();
    let database = place.database().await;
    let export: BundleExport = Arc::new(|_, _| {
        // More than what the connection takes before somebody reads.
        let bundle = bundle(&"x".repeat(32 << 20));
        Box::pin(async move { Ok(bundle) })
    });
    let parts = ServerParts { export, ..place.parts(database.clone(), settings()) };
    let api = Api::start(parts, database).await;
    let record = failed(&api, "1").await;
    let path = format!("/v1/failures/records/{record}/bundle");
    let first = api.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(first.status(), StatusCode::OK);
    api.get(&path).await.is_problem(429, "too_many_exports");
    assert_eq!(first.bytes().await.unwrap().len(), 32 << 20);
    until("the next one may", async || {
        let answer = api.request(Method::GET, &path).send().await.unwrap();
        answer.status() == StatusCode::OK
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_fails_or_is_late_says_so() {
    let place = Place::sqlite();
    for (error, status, kind, says) in [
        (ReplayError::Late, 503, "timeout", "within 3600 ms"),
        (ReplayError::Host(message!("no disk")), 500, "internal", "not exported: no disk"),
    ] {
        let export: BundleExport = Arc::new(move |_, within| {
            assert_eq!(within, Duration::from_millis(3_600));
            let error = error.clone();
            Box::pin(async move { Err(error) })
        });
        let database = place.database().await;
        let settings = ServerConfig { request_ms: 4_000, ..settings() };
        let parts = ServerParts { export, ..place.parts(database.clone(), settings) };
        let api = Api::start(parts, database).await;
        let record = failed(&api, kind).await;
        for _ in 0..2 {
            let answer = api.get(&format!("/v1/failures/records/{record}/bundle")).await;
            answer.is_problem(status, kind);
            assert!(answer.body["detail"].as_str().unwrap().contains(says), "{answer:?}");
        }
    }
}
