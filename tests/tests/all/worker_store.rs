//! The worker with its releases in an object store, on a real S3 server.

#[path = "../../../host/site/tests/it/s3_server/mod.rs"]
mod s3_server;

use std::ffi::OsString;

use s3_server::S3Server;
use sitewright_jobs::OrderState;
use sitewright_site::{OrderDir, SiteStore, SitesRoot, StoreLimits};
use sitewright_tests::factory::{Base, Factory, Model, calls_in_turn, good};

const URL: &str = "s3://sites/websites";

fn env(origin: &str) -> Vec<(OsString, OsString)> {
    [
        ("AWS_ACCESS_KEY_ID", "AKIDANYONE"),
        ("AWS_SECRET_ACCESS_KEY", "planted-secret-77"),
        ("AWS_ENDPOINT", origin),
        ("AWS_ALLOW_HTTP", "true"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .to_vec()
}

#[tokio::test]
async fn f4_a_release_in_an_object_store_is_what_the_database_says() {
    let Some(server) = S3Server::start("a worker on an S3 server", &[]).await else { return };
    let model = Model::start(good);
    let factory = Factory::new(Base::Sqlite, &model).await.with("sites.store", URL);
    let orders = ["one", "two", "three"];
    factory.enqueue_all(orders.map(|id| calls_in_turn(id, 2))).await;
    let mut worker = factory.worker_command(&["--drain"]);
    worker.env("SITEWRIGHT_LOG_FORMAT", "json");
    let done = tokio::task::spawn_blocking({
        let origin = server.origin().to_owned();
        move || worker.envs(env(&origin)).output().unwrap()
    })
    .await
    .unwrap();
    let log = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{log}");
    assert!(!log.contains("planted-secret-77"), "{log}");
    assert!(log.lines().all(|line| line.starts_with('{')), "{log}");

    let temp = tempfile::tempdir().unwrap();
    let root = SitesRoot::open(temp.path()).unwrap();
    let client = sitewright_http::client().unwrap();
    let open = SiteStore::open(
        Some(URL),
        &root,
        env(server.origin()),
        client.first(),
        StoreLimits::default(),
    );
    let store = open.await.unwrap();
    for id in orders {
        let order = factory.order(id).await;
        assert_eq!(order.state, OrderState::Succeeded, "{id}: {log}");
        let shown = store.current(&OrderDir::new(id).unwrap()).await.unwrap();
        assert_eq!(shown.map(|release| release.to_string()), order.current_release, "{id}");
        assert!(factory.active_release(id).is_none(), "the folder is only where sites are made");
    }
}

#[tokio::test]
async fn a_worker_whose_store_cannot_be_written_does_not_start() {
    let model = Model::start(good);
    let factory =
        Factory::new(Base::Sqlite, &model).await.with("sites.store", "s3://sites/websites");
    let mut worker = factory.worker_command(&["--drain"]);
    let done = tokio::task::spawn_blocking(move || {
        // Port 1 has no listener.
        worker.envs(env("http://127.0.0.1:1")).output().unwrap()
    })
    .await
    .unwrap();
    let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
    // Not 2, after which systemd does not restart it: the store may come back.
    assert_eq!(done.status.code(), Some(1), "{stderr}");
    for part in [URL, "AWS_ENDPOINT", "refused"] {
        assert!(stderr.contains(part), "{part:?} is missing: {stderr}");
    }
    assert!(!stderr.contains("planted-secret-77"), "{stderr}");
}
