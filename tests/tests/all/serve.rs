//! `sitewright serve`, `token` and `worker --listen` as processes: an order goes from a request to
//! a site, probes and metrics answer, and signals end them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sitewright_jobs::{DeliveryFilter, DeliveryState, OrderState};
use sitewright_tests::bouncer::{Bouncer, MISSING};
use sitewright_tests::factory::{Base, Factory, Model, calls_in_turn, until};
use sitewright_tests::{faulty, standins};
use sqlx::{Connection as _, PgConnection};

/// A process whose first line says where it listens.
pub(crate) struct Listening {
    child: Child,
    address: SocketAddr,
    _stdout: BufReader<ChildStdout>,
}

impl Listening {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"));
        assert_eq!(ready["event"], "ready");
        let address = ready["address"].as_str().unwrap().parse().unwrap();
        Listening { child, address, _stdout: stdout }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Ends it with SIGKILL.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM and returns the exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

fn order(id: &str) -> Value {
    order_with("ok", id)
}

fn order_with(fault: &str, id: &str) -> Value {
    let mut order = faulty(fault, json!({}));
    order["order"]["id"] = json!(id);
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_from_a_request_to_a_site() {
    let model = Model::slow(10);
    let factory = Factory::new(Base::Sqlite, &model).await;
    let client = sitewright_http::client().unwrap();
    let client = client.first();
    let listen = ["--json", "serve", "--listen", "127.0.0.1:0"];
    let server = Listening::start(factory.command(&listen));
    let mut command = factory.command(&["--json"]);
    command.args(["worker", "--listen", "127.0.0.1:0"]);
    let worker = Listening::start(command);

    let add = client.post(server.url("/v1/orders?template=faulty")).json(&order("24"));
    let added = add.send().await.unwrap();
    assert_eq!(added.status(), 202);
    let location = added.headers()["location"].to_str().unwrap().to_owned();
    // The stream ends with the order.
    let events = client.get(server.url(&format!("{location}/events"))).send().await.unwrap();
    let events = events.text().await.unwrap();
    assert!(
        events.contains("event: end\ndata: {\"order\":\"24\",\"state\":\"succeeded\""),
        "{events}"
    );
    factory.until_state("24", OrderState::Succeeded).await;
    let shown: Value =
        client.get(server.url(&location)).send().await.unwrap().json().await.unwrap();
    assert!(shown["order"]["current_release"].is_string(), "{shown}");
    let by_command = factory.command(&["--json", "order", "show", "24"]).output().unwrap();
    let by_command: Value = serde_json::from_slice(&by_command.stdout).unwrap();
    assert_eq!(by_command, shown, "the command line says the same");

    for path in ["/healthz", "/readyz"] {
        for process in [&server, &worker] {
            assert_eq!(client.get(process.url(path)).send().await.unwrap().status(), 200, "{path}");
        }
    }
    let metrics = client.get(worker.url("/metrics")).send().await.unwrap().text().await.unwrap();
    let counted = "sitewright_attempts_total{outcome=\"succeeded\",kind=\"\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    let begun = "sitewright_attempts_total{outcome=\"dead\",kind=\"ai\"} 0";
    assert!(metrics.contains(begun), "{metrics}");
    let bytes =
        metrics.lines().find_map(|line| line.strip_prefix("sitewright_release_bytes_total "));
    assert!(bytes.is_some_and(|bytes| bytes != "0"), "{metrics}");
    assert_eq!(client.get(worker.url("/v1/stats")).send().await.unwrap().status(), 404);

    // What was left out of a document, and what template, host and checks warn of.
    let mut warned = faulty("big-file", json!({ "n": 1_100_000 }));
    warned["order"]["id"] = json!("26");
    warned["onboarding"]["social_instagram"] = json!("javascript:alert(1)");
    factory.enqueue_all([warned]).await;
    factory.until_state("26", OrderState::Succeeded).await;
    let shown = factory.command(&["order", "show", "26"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let parts =
        ["\n  document\n", "social_instagram", "\n  template\n", "! site-bytes:", "\n  site\n"];
    for part in parts {
        assert!(shown.contains(part), "{part:?} is missing in {shown}");
    }
    let shown = factory.command(&["--json", "order", "show", "26"]).output().unwrap();
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    for list in ["warnings", "template_warnings", "site_warnings"] {
        assert!(shown[list].as_array().is_some_and(|all| !all.is_empty()), "{list}: {shown}");
    }

    // A failed attempt is repeated by a process of its own.
    let add = client.post(server.url("/v1/orders?template=faulty"));
    let added = add.json(&order_with("error", "25")).send().await.unwrap();
    assert_eq!(added.status(), 202);
    factory.until_state("25", OrderState::Failed).await;
    let failures = client.get(server.url("/v1/failures?flat=true&order=25")).send().await.unwrap();
    let failures: Value = failures.json().await.unwrap();
    let record = failures["failures"][0]["id"].as_str().unwrap();
    let path = format!("/v1/failures/records/{record}/replay");
    let replayed = client.post(server.url(&path)).send().await.unwrap();
    let (status, report): (_, Value) = (replayed.status(), replayed.json().await.unwrap());
    assert_eq!((status.as_u16(), &report["verdict"]), (200, &json!("reproduced")), "{report}");
    assert_eq!(report["order"], "25", "{report}");
    is_as_described(&server, client, "/v1/failures/records/{id}/replay", "post", &report).await;

    // And exported by another one, without the customer's texts, to be repeated elsewhere.
    let path = format!("/v1/failures/records/{record}/bundle");
    let exported = client.get(server.url(&path)).send().await.unwrap();
    assert_eq!(exported.status(), 200);
    let bundle = exported.bytes().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bundle.tar");
    std::fs::write(&file, &bundle).unwrap();
    let replayed = factory.command(&["--json", "replay"]).arg(&file).output().unwrap();
    let report: Value = serde_json::from_slice(&replayed.stdout).unwrap();
    assert_eq!(report["order"], "25", "{report}");
    let scrubbed = b"\"scrubbed\": true";
    assert!(bundle.windows(scrubbed.len()).any(|part| part == scrubbed));

    // With the first token, both ask for one at once.
    let made = factory.command(&["token", "create", "crm", "--scope", "read"]).output().unwrap();
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    assert!(token.starts_with("sitewright_"), "{token}");
    for process in [server.url("/v1/stats"), worker.url("/metrics")] {
        assert_eq!(client.get(&process).send().await.unwrap().status(), 401, "{process}");
        let answer = client.get(&process).bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{process}");
    }
    let erase = client.delete(server.url(&location)).bearer_auth(&token).send().await.unwrap();
    assert_eq!(erase.status(), 403);
    let listed = factory.command(&["--json", "token", "list"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(!listed.contains(&token), "{listed}");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let id = listed["tokens"][0]["id"].as_str().unwrap();
    let revoked = factory.command(&["token", "revoke", id]).output().unwrap();
    assert_eq!(revoked.status.code(), Some(0));
    let answer = client.get(server.url("/v1/stats")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(answer.status(), 401);

    assert_eq!(server.stop(), Some(0));
    assert_eq!(worker.stop(), Some(0));
}

/// One process is enough if it is wanted: it takes the order, makes its site and answers probes.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_has_the_api_if_it_is_wanted() {
    let model = Model::slow(10);
    let factory = Factory::new(Base::Sqlite, &model).await;
    let client = sitewright_http::client().unwrap();
    let client = client.first();
    let listen = ["--json", "worker", "--listen", "127.0.0.1:0", "--api"];
    let worker = Listening::start(factory.command(&listen));
    let add = client.post(worker.url("/v1/orders?template=faulty")).json(&order("24"));
    let added = add.send().await.unwrap();
    assert_eq!(added.status(), 202);
    let location = added.headers()["location"].to_str().unwrap().to_owned();
    factory.until_state("24", OrderState::Succeeded).await;
    for path in [location.as_str(), "/readyz", "/metrics", "/v1/openapi.html"] {
        let answer = client.get(worker.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    assert_eq!(worker.stop(), Some(0));
    // Without an address there is nothing to answer on.
    let refused = factory.command(&["worker", "--api"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}

/// What a receiver of webhooks has got: the id of each delivery and its order.
type Deliveries = Arc<Mutex<Vec<(String, String)>>>;

/// A receiver of webhooks that never answers the first one.
fn receiver() -> (SocketAddr, Deliveries) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let got = Deliveries::default();
    let noted = Arc::clone(&got);
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let delivery = read_delivery(&mut stream);
            let is_first = {
                let mut noted = noted.lock().unwrap();
                noted.push(delivery);
                noted.len() == 1
            };
            if is_first {
                held.push(stream);
            } else {
                let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
                stream.write_all(answer).unwrap();
            }
        }
    });
    (address, got)
}

fn read_delivery(stream: &mut TcpStream) -> (String, String) {
    let mut reader = BufReader::new(stream);
    let (mut id, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim().split_once(": ") {
            Some(("webhook-id", value)) => id = value.to_owned(),
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(_) => {}
            None if line.trim().is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    (id, body["data"]["order"].as_str().unwrap().to_owned())
}

/// One delivery is being sent when its server is killed, and one is in the outbox only: the next
/// server sends both, the first one again under its id.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_server_was_to_deliver_the_next_one_delivers() {
    let model = Model::slow(10);
    let (address, got) = receiver();
    let mut factory = Factory::new(Base::Sqlite, &model).await;
    factory.set("webhooks.crm.url", format!("http://{address}/"));
    factory.set("webhooks.crm.secret_env", "CRM_SECRET");
    factory.set("webhooks.crm.allow_private", true);
    factory.set_env("CRM_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let listen = ["--json", "serve", "--listen", "127.0.0.1:0"];
    let server = Listening::start(factory.command(&listen));
    factory.enqueue_all([order("1"), order("2")]).await;
    factory.database.cancel("1").await.unwrap();
    until("a delivery is being sent", || async { got.lock().unwrap().len() == 1 }).await;
    server.kill();
    factory.database.cancel("2").await.unwrap();
    // As if its lease had ended.
    crate::databases::sql(&factory.url, "UPDATE sitewright_deliveries SET next_at = 1").await;
    let server = Listening::start(factory.command(&listen));
    until("both are delivered", || async {
        let all = factory.database.deliveries(&DeliveryFilter::default()).await.unwrap();
        all.len() == 2 && all.iter().all(|one| one.state == DeliveryState::Delivered)
    })
    .await;
    assert_eq!(server.stop(), Some(0));
    let got = got.lock().unwrap().clone();
    let ids = |order: &str| -> Vec<&str> {
        got.iter().filter(|(_, of)| of == order).map(|(id, _)| id.as_str()).collect()
    };
    let (first, second) = (ids("1"), ids("2"));
    assert_eq!((first.len(), second.len()), (2, 1), "{got:?}");
    assert_eq!(first[0], first[1], "a receiver that knows ids has it once");
    assert_ne!(first[0], second[0]);
}

/// The budget that a worker has used up, and a route that somebody holds from outside of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_stops_many_orders_is_in_the_outbox() {
    let model = Model::slow(10);
    let mut factory = Factory::new(Base::Sqlite, &model).await;
    for (key, value) in [
        ("webhooks.pager.url", "http://127.0.0.1:9/"),
        ("webhooks.pager.secret_env", "PAGER_SECRET"),
        ("webhooks.pager.allow_private", "true"),
        ("webhooks.pager.events", "[\"budget.reached\", \"route.held\"]"),
        ("ai.budget.day_tokens", "1"),
    ] {
        factory.set(key, value);
    }
    factory.set_env("PAGER_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let mut worker = factory.worker(&[]);
    factory.enqueue_all([calls_in_turn("a", 1)]).await;
    let told = |event: &'static str| {
        let database = factory.database.clone();
        async move {
            let all = database.deliveries(&DeliveryFilter::default()).await.unwrap();
            all.iter().filter(|one| one.event.as_str() == event).count()
        }
    };
    until("the budget is used up", || async { told("budget.reached").await > 0 }).await;
    let held = factory.command(&["route", "hold", "default"]).output().unwrap();
    assert_eq!(held.status.code(), Some(0));
    assert_eq!((told("budget.reached").await, told("route.held").await), (1, 1));
    worker.signal(Signal::TERM);
    assert_eq!(worker.exit().await, 0, "{}", worker.log());
}

/// Asserts that an answer has the form that the description of the API says.
async fn is_as_described(
    server: &Listening,
    client: &reqwest::Client,
    path: &str,
    method: &str,
    answer: &Value,
) {
    let description = client.get(server.url("/v1/openapi.json")).send().await.unwrap();
    let description: Value = description.json().await.unwrap();
    let answers = &description["paths"][path][method]["responses"];
    let mut schema = answers["200"]["content"]["application/json"]["schema"].clone();
    assert!(schema["anyOf"].is_array(), "{answers}");
    schema["components"] = description["components"].clone();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let wrong: Vec<String> = validator
        .iter_errors(answer)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(wrong, Vec::<String>::new(), "{answer}");
    // Not because anything fits.
    assert!(!validator.is_valid(&json!({ "verdict": "reproduced" })));
}

/// With a session of its own PostgreSQL tells the server of changes; behind a pooler that gives
/// each transaction another one it looks for them, or says at the start why it cannot be used.
#[tokio::test(flavor = "multi_thread")]
async fn d8_a_server_behind_a_pooler_streams_what_happens_or_says_why_not() {
    const NAME: &str = "d8_a_server_behind_a_pooler_streams_what_happens_or_says_why_not";
    let Some(base) = Base::postgres(NAME) else { return };
    let model = Model::slow(10);
    let factory = Factory::new(base, &model).await;
    let client = sitewright_http::client().unwrap();
    let client = client.first();
    for mode in ["session", "transaction"] {
        let Some(pooler) = Bouncer::start(&factory.url, mode, 30).await else {
            return standins::skipped(NAME, MISSING);
        };
        let mut command = factory.command(&["--json", "serve", "--listen", "127.0.0.1:0"]);
        command.env("SITEWRIGHT_DATABASE__URL", &pooler.url);
        if mode == "transaction" && !pooler.keeps_statements {
            let refused = command.output().unwrap();
            let stderr = String::from_utf8_lossy(&refused.stderr);
            assert_eq!(refused.status.code(), Some(1), "{stderr}");
            for part in ["pool_mode = session", "max_prepared_statements"] {
                assert!(stderr.contains(part), "{part}: {stderr}");
            }
            continue;
        }
        let server = Listening::start(command);
        let add = client.post(server.url("/v1/orders?template=faulty")).json(&order(mode));
        assert_eq!(add.send().await.unwrap().status(), 202, "{mode}");
        let path = format!("/v1/orders/{mode}/events");
        let events = client.get(server.url(&path)).send().await.unwrap();
        let ends = async {
            let begin = Instant::now();
            // Whoever listens says so.
            while mode == "session" && watchers(&factory.url).await == 0 {
                assert!(begin.elapsed() < Duration::from_secs(60), "the server does not listen");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            factory.database.cancel(mode).await.unwrap();
        };
        let (events, ()) =
            tokio::join!(tokio::time::timeout(Duration::from_secs(90), events.text()), ends);
        let events = events.expect("the stream ends with the order").unwrap();
        let end = format!("event: end\ndata: {{\"order\":\"{mode}\",\"state\":\"cancelled\"");
        assert!(events.contains(&end), "{mode}: {events}");
        assert_eq!(watchers(&factory.url).await > 0, mode == "session", "{mode}");
        assert_eq!(server.stop(), Some(0));
        let mut connection = PgConnection::connect(&factory.url).await.unwrap();
        sqlx::raw_sql("DELETE FROM sitewright_watchers").execute(&mut connection).await.unwrap();
    }
}

/// The number of connections on which PostgreSQL tells somebody of changes.
async fn watchers(url: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let sql = "SELECT count(*) FROM sitewright_watchers";
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_served_says_why() {
    let model = Model::slow(10);
    let factory = Factory::new(Base::Sqlite, &model).await;
    for (arguments, code, says) in [
        (&["serve", "--listen", "0.0.0.0:0"][..], 2, "sitewright token create NAME --scope admin"),
        (&["serve", "--listen", "localhost"], 2, "invalid"),
        (&["serve", "--listen", "192.0.2.1:80"], 2, "there is no token"),
        (&["token", "create", "x"], 2, "--scope"),
        (&["token", "create", "x", "--scope", "all"], 2, "submit, read, operate and admin"),
        (&["token", "create", " ", "--scope", "read"], 2, "between 1 and 100 characters"),
        (&["token", "create", "x", "--scope", "read", "--expires", "2020-01-01"], 2, "is past"),
        (&["token", "create", "x", "--scope", "read", "--tenant", " "], 2, "its tenant must be"),
        (&["token", "revoke", "x"], 2, "sitewright token list"),
    ] {
        let done = factory.command(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(says), "{arguments:?}: {stderr}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let done = factory.command(&["serve", "--listen", &address]).output().unwrap();
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&address) && stderr.contains("server.listen"), "{stderr}");
}
