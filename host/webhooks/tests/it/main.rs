//! Tests of deliveries: real receivers over real connections, from an outbox on SQLite and on
//! PostgreSQL; if that is not installed, its half is reported as skipped.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test's helper functions fail the test, and say what was skipped"
)]
#![allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]

/// Defines a test on both databases.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                crate::in_time(super::tests::$name(crate::Place::sqlite())).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                if let Some(place) = crate::Place::postgres() {
                    crate::in_time(super::tests::$name(place)).await;
                }
            }
        }
    )*};
}

// Shared with the end-to-end tests, on which this crate cannot depend.
#[path = "../../../../tests/src/postgres.rs"]
#[allow(unreachable_pub, dead_code, reason = "it is public for the end-to-end tests")]
mod postgres;

mod deliver;
mod refuse;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use sitewright_jobs::{
    CALLBACK, Database, Delivery, DeliveryAttempt, DeliveryFilter, DeliveryState, NewOrder,
    WebhookEvent,
};
use sitewright_model::backoff::Backoff;
use sitewright_webhooks::{CallbackConfig, Dispatch, Pace, Redact, WebhookConfig, Webhooks};

/// The secret of receivers of the tests, and one that it replaces.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

/// A database for one test.
struct Place {
    url: String,
    _folder: tempfile::TempDir,
}

impl Place {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Place { url: format!("sqlite://{}/orders.db", folder.path().display()), _folder: folder }
    }

    fn postgres() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let cluster = postgres::shared();
        if cluster.is_none() {
            eprintln!("SKIPPED: PostgreSQL is not installed");
        }
        let name = format!("webhooks{}", NEXT.fetch_add(1, Ordering::Relaxed));
        Some(Place { url: cluster?.create(&name), _folder: tempfile::tempdir().unwrap() })
    }

    async fn database(&self) -> Database {
        let database = Database::open(&self.url).await.unwrap();
        database.migrate().await.unwrap();
        database
    }
}

/// Short times, so that no test takes long.
fn pace() -> Pace {
    Pace {
        look_every: Duration::from_millis(20),
        backoff: Backoff { base: Duration::from_millis(40), cap: Duration::from_millis(200) },
    }
}

/// A receiver on this machine.
fn config(address: SocketAddr) -> WebhookConfig {
    WebhookConfig {
        url: format!("http://{address}/hook"),
        events: WebhookEvent::OF_ORDERS.to_vec(),
        secret_env: Some("SECRET".to_owned()),
        secret_file: None,
        allow_private: true,
        // A receiver that answers is not asked twice because the machine is slow.
        timeout_ms: 20_000,
    }
}

fn callbacks() -> CallbackConfig {
    CallbackConfig {
        secret_env: Some("SECRET".to_owned()),
        secret_file: None,
        allow_private: true,
        timeout_ms: 1_000,
    }
}

fn read<const N: usize>(
    webhooks: [(&str, WebhookConfig); N],
    callbacks: Option<&CallbackConfig>,
) -> Webhooks {
    let webhooks: BTreeMap<String, WebhookConfig> =
        webhooks.into_iter().map(|(name, config)| (name.to_owned(), config)).collect();
    let env = |_: &str| Some(format!("{SECRET} {OLD_SECRET}").into());
    Webhooks::read(&webhooks, callbacks, Path::new("."), &env).unwrap()
}

async fn dispatch(database: &Database, webhooks: Webhooks) -> Dispatch {
    let client = sitewright_http::client().unwrap();
    let redact = Redact::new(|text| text.replace("api-key-1", "[key removed]"));
    Dispatch::start(database.clone(), webhooks, &client, redact, pace()).await.unwrap()
}

/// A request as a receiver got it.
#[derive(Debug, Clone)]
struct Got {
    id: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Got {
    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// As a receiver checks it that has this secret.
    fn is_signed_by(&self, secret: &str) -> bool {
        let header = |name: &str| self.headers[name].to_str().unwrap().to_owned();
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let body = String::from_utf8(self.body.to_vec()).unwrap();
        let signed = format!("{}.{}.{body}", header("webhook-id"), header("webhook-timestamp"));
        let wanted = format!("v1,{}", STANDARD.encode(hmac::sign(&key, signed.as_bytes())));
        header("webhook-signature").split(' ').any(|signature| signature == wanted)
    }
}

/// A receiver that answers what a function says, which gets the number of the request, from 0.
#[derive(Clone)]
struct Receiving {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Receiving {
    async fn start<F, A>(answer: F) -> Self
    where
        F: Fn(usize) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Response> + Send + 'static,
    {
        let got: Arc<Mutex<Vec<Got>>> = Arc::default();
        let noted = Arc::clone(&got);
        let handler = move |headers: HeaderMap, body: Bytes| {
            let (noted, answer) = (Arc::clone(&noted), answer.clone());
            async move {
                let number = {
                    let mut noted = noted.lock().unwrap();
                    let id = headers.get("webhook-id").map(|id| id.to_str().unwrap().to_owned());
                    noted.push(Got { id: id.unwrap_or_default(), headers, body });
                    noted.len() - 1
                };
                answer(number).await
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().fallback(handler);
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Receiving { address, got }
    }

    /// Accepts everything.
    async fn willing() -> Self {
        Receiving::start(|_| async { StatusCode::NO_CONTENT.into_response() }).await
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

/// Enqueues an order and cancels it, which is one event.
async fn cancelled(database: &Database, order: &str) {
    cancelled_with(database, order, None).await;
}

async fn cancelled_with(database: &Database, order: &str, callback: Option<String>) {
    let order = NewOrder { callback, ..NewOrder::new(order, "flora", "{\"secret\":1}") };
    database.enqueue(order.clone()).await.unwrap();
    database.cancel(&order.id).await.unwrap();
}

async fn only_delivery(database: &Database) -> (Delivery, Vec<DeliveryAttempt>) {
    let all = database.deliveries(&DeliveryFilter::default()).await.unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    database.delivery(&all[0].id).await.unwrap().unwrap()
}

async fn until_all(database: &Database, state: DeliveryState) {
    until(&format!("all are {state}"), || async {
        let all = database.deliveries(&DeliveryFilter::default()).await.unwrap();
        !all.is_empty() && all.iter().all(|one| one.state == state)
    })
    .await;
}

async fn in_time(test: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(120), test)
        .await
        .expect("the test did not end within two minutes");
}

/// Waits for a condition, at most half a minute.
async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let begin = Instant::now();
    while !so().await {
        assert!(begin.elapsed() < Duration::from_secs(30), "waited half a minute for: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
