//! Tests of the HTTP API: a real server on a real database, over real connections. Behaviour that
//! depends on the database runs on SQLite and on PostgreSQL; if that is not installed, its half is
//! reported as skipped.
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

// The same.
#[path = "../../../../tests/src/standins.rs"]
#[allow(unreachable_pub, dead_code, reason = "it is public for the end-to-end tests")]
mod standins;

mod abuse;
mod access;
mod api_client;
mod browser;
mod bulk;
mod console;
mod console_doors;
mod console_many;
mod console_order;
mod cost;
mod deploy;
mod events;
mod failures;
mod fastapi;
mod hooks;
mod hostile;
mod identity_provider;
mod oidc;
mod orders;
mod queries;
mod rates;
mod replays;
mod status;
mod tenants;
mod visitor;
mod webhooks;

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sitewright_control::{
    Conformance, ConformanceRemark, ConformanceRules, Languages, Reading, TemplateLanguages,
};
use sitewright_jobs::{
    AttemptLimits, Claim, Claimed, Database, NewFailure, NewToken, Resolution, Scope, WorkerId,
};
use sitewright_model::failure::OfAttempt;
use sitewright_model::message;
use sitewright_server::{
    ConfigurationKey, Server, ServerConfig, ServerError, ServerParts, Surface,
};
use sitewright_webhooks::CallbackRules;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

/// An attempt of an order for the template `flora`, whose failure a test records.
fn of_attempt(order: &str, attempt: &str) -> OfAttempt {
    OfAttempt {
        order: order.to_owned(),
        job: None,
        attempt: attempt.to_owned(),
        trace_id: "0".repeat(32),
        template: "flora".to_owned(),
        config_version: "c1".to_owned(),
    }
}

/// A database for one test.
struct Place {
    url: String,
    folder: tempfile::TempDir,
}

impl Place {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Place { url: format!("sqlite://{}/orders.db", folder.path().display()), folder }
    }

    fn postgres() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let cluster = postgres::shared();
        if cluster.is_none() {
            eprintln!("SKIPPED: PostgreSQL is not installed");
        }
        let name = format!("server{}", NEXT.fetch_add(1, Ordering::Relaxed));
        Some(Place { url: cluster?.create(&name), folder: tempfile::tempdir().unwrap() })
    }

    async fn database(&self) -> Database {
        let database = Database::open(&self.url).await.unwrap();
        database.migrate().await.unwrap();
        database
    }

    fn sites(&self) -> PathBuf {
        self.folder.path().join("sites")
    }

    fn parts(&self, database: Database, settings: ServerConfig) -> ServerParts {
        ServerParts {
            database,
            sites: self.sites(),
            store: None,
            keep_releases: 5,
            reading: Reading {
                max_bytes: 1 << 20,
                default_locale: "en".parse().unwrap(),
                strict: false,
            },
            config_version: "c1".to_owned(),
            configuration: [("sites", Some("/etc/sitewright.toml")), ("keep_releases", None)]
                .map(|(key, source)| ConfigurationKey {
                    key: key.to_owned(),
                    value: "5".to_owned(),
                    source: source.map(str::to_owned),
                })
                .into(),
            routes: vec!["default".to_owned()],
            providers: vec!["openrouter".to_owned()],
            templates: Arc::new(|| Box::pin(async { Ok(vec!["flora".to_owned()]) })),
            conformance: Arc::new(|name| {
                Box::pin(async move {
                    match name.as_str() {
                        "flora" => Ok(Some(conformance())),
                        _ => Err(message!("the conformance report of {name} is damaged")),
                    }
                })
            }),
            languages: Languages {
                find: Arc::new(|_| {
                    let locales = ["en", "pt-BR"].map(|tag| tag.parse().unwrap()).to_vec();
                    let writes = TemplateLanguages { locales, fallback: None };
                    Box::pin(async move { Some(writes) })
                }),
                fallback: None,
            },
            expired: Arc::new(|| Box::pin(async { Ok(vec![("failed orders".to_owned(), 7)]) })),
            replay: Arc::new(|record, _| {
                Box::pin(async move { Ok(json!({ "verdict": "reproduced", "attempt": record })) })
            }),
            export: Arc::new(|record, _| {
                let bundle = replays::bundle(&format!("bundle of {record}"));
                Box::pin(async move { Ok(bundle) })
            }),
            callbacks: Some(CallbackRules { allow_private: false }),
            hooks: hooks::hooks(),
            oidc: None,
            alive: Arc::new(|| Ok(())),
            settings,
            surface: Surface::Api,
        }
    }

    /// A server on a free port of the loopback interface.
    async fn serve(&self) -> Api {
        self.serve_with(settings()).await
    }

    async fn serve_with(&self, settings: ServerConfig) -> Api {
        let database = self.database().await;
        Api::start(self.parts(database.clone(), settings), database).await
    }
}

/// What the conformance suite said of flora: a rule is broken.
fn conformance() -> Conformance {
    Conformance {
        passed: false,
        suite: "0.2.0".to_owned(),
        host_build: "0.1.0+1a2b".to_owned(),
        version: "1.2.0".to_owned(),
        digest: "sha256:of-another-file".to_owned(),
        at: 1,
        test_cases: 57,
        rules: ConformanceRules { passed: 105, warned: 0, failed: 1, skipped: 1 },
        remarks: vec![ConformanceRemark {
            rule: "ai/escaped".to_owned(),
            is_broken: true,
            demand: "What a model writes is text.".to_owned(),
            findings: 9,
            message: Some("<script>alert(1)</script> is markup".to_owned()),
            hint: Some("escape it".to_owned()),
        }],
    }
}

/// Short times, so that no test takes long.
fn settings() -> ServerConfig {
    ServerConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        heartbeat_ms: 200,
        // For requests that end by themselves, on a slow machine too.
        grace_ms: 20_000,
        ..ServerConfig::default()
    }
}

/// A running server.
struct Api {
    database: Database,
    address: SocketAddr,
    client: reqwest::Client,
    token: Option<String>,
    stop: CancellationToken,
    serving: JoinHandle<bool>,
}

impl Api {
    async fn start(parts: ServerParts, database: Database) -> Self {
        Self::of(Server::bind(parts).await.unwrap(), database)
    }

    /// Lets a server answer that is bound.
    fn of(server: Server, database: Database) -> Self {
        let (address, stop) = (server.address(), CancellationToken::new());
        let serving = tokio::spawn(server.serve(stop.clone()));
        let client = sitewright_http::client().unwrap().first().clone();
        Api { database, address, client, token: None, stop, serving }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("http://{}{path}", self.address));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    async fn post(&self, path: &str) -> Answer {
        send(self.request(Method::POST, path)).await
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Answer {
        send(self.request(method, path).json(body)).await
    }

    /// Adds an order that must be new.
    async fn add(&self, id: &str) {
        let answer = self.send(Method::POST, "/v1/orders?template=flora", &document(id)).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{:?}", answer.body);
    }

    /// Makes a token with these scopes, and uses it from now on.
    async fn log_in(&mut self, scopes: &[Scope]) -> String {
        let token = new_token(&self.database, scopes, None).await;
        self.token = Some(token.clone());
        token
    }

    /// Begins an attempt at an order, as a worker does.
    async fn claim(&self, order: &str) -> Claimed {
        let job = self.database.order(order).await.unwrap().job_id.unwrap();
        let worker = WorkerId { client: "w1".to_owned(), config_version: None };
        match self.database.claim(order, job, &worker, Ulid::generate()).await.unwrap() {
            Claim::Claimed(claimed, _) => *claimed,
            other => panic!("{order} was not claimed: {other:?}"),
        }
    }

    async fn complete(&self, claimed: &Claimed, resolution: Resolution) {
        let limits = AttemptLimits::default();
        self.database.complete(claimed, &resolution, limits).await.unwrap();
    }

    /// Sends these bytes on a new connection, and reads until the server closes it or `within` has
    /// passed.
    async fn raw(&self, bytes: &[u8], within: Duration) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may close before all is sent.
        stream.write_all(bytes).await.ok();
        read_until_closed(&mut stream, within).await
    }
}

async fn read_until_closed(stream: &mut TcpStream, within: Duration) -> String {
    let mut all = Vec::new();
    let mut chunk = [0; 8_192];
    let read = async {
        while let Ok(length @ 1..) = stream.read(&mut chunk).await {
            all.extend_from_slice(&chunk[..length]);
        }
    };
    tokio::time::timeout(within, read).await.ok();
    String::from_utf8_lossy(&all).into_owned()
}

/// An answer that was read as a whole.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: reqwest::header::HeaderMap,
    text: String,
    /// Null if it is not JSON.
    body: Value,
}

impl Answer {
    /// Asserts that it is a problem of this kind.
    #[track_caller]
    fn is_problem(&self, status: u16, kind: &str) {
        assert_eq!(
            (self.status.as_u16(), self.body["kind"].as_str()),
            (status, Some(kind)),
            "{self:?}"
        );
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], status, "{self:?}");
        for member in ["type", "title", "detail", "hint"] {
            assert!(self.body[member].as_str().is_some_and(|text| !text.is_empty()), "{self:?}");
        }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or_default();
    Answer { status, headers, text, body }
}

async fn new_token(database: &Database, scopes: &[Scope], expires_at: Option<i64>) -> String {
    token_of(database, scopes, expires_at, None).await
}

/// A token, for the orders of a tenant if one is named.
async fn token_of(
    database: &Database,
    scopes: &[Scope],
    expires_at: Option<i64>,
    tenant: Option<&str>,
) -> String {
    use secrecy::ExposeSecret as _;
    let secret = sitewright_control::new_token().unwrap();
    let digest = sitewright_control::digest_of(&secret).unwrap();
    let scopes: BTreeSet<Scope> = scopes.iter().copied().collect();
    let name = format!("{scopes:?}").to_lowercase();
    database
        .add_token(NewToken { name, digest, scopes, expires_at, tenant: tenant.map(str::to_owned) })
        .await
        .unwrap();
    secret.expose_secret().to_owned()
}

/// The folder of the repository.
fn root() -> &'static std::path::Path {
    std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// An order document with this id.
fn document(id: &str) -> Value {
    json!({ "id": id, "business_name": "Flora", "business_email": "hello@flora.example" })
}

fn failure(kind: &str) -> NewFailure {
    NewFailure {
        id: Ulid::generate().to_string(),
        kind: kind.to_owned(),
        message: message!("it failed"),
        record: json!({ "kind": kind }),
    }
}

async fn in_time(test: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(120), test)
        .await
        .expect("the test did not end within two minutes");
}

/// Waits until the clock has gone on.
async fn until_later(ms: &str) {
    let ms: i64 = ms.parse().unwrap();
    until("a millisecond has passed", async || sitewright_model::time::now_ms() > ms).await;
}

/// Waits for a condition, at most half a minute.
async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let begin = Instant::now();
    while !so().await {
        assert!(begin.elapsed() < Duration::from_secs(30), "waited half a minute for: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
