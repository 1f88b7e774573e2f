//! What an OpenTelemetry collector receives of real processes, what providers get to know of a
//! trace, and that a collector can delay or fail no order.

use std::collections::BTreeMap;

use serde_json::json;
use sitewright_jobs::{NewOrder, OrderState};
use sitewright_tests::chat_server::{Answer, ChatServer, ClosedPort, TOKENS};
use sitewright_tests::factory::{Base, Factory, Model, calls_in_turn, good, named, until};
use sitewright_tests::otlp_server::{
    Attributes, OtlpServer, ReceivedPoint, ReceivedSpan, Receives,
};
use sitewright_tests::{ANY_ANSWER, Done, Workbench, faulty, guest};

use crate::serve::Listening;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const METRICS_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";

/// The span of a CRM, in which it sends an order.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "b7ad6b7169203331";

const KEY: &str = "sk-a-key-that-nobody-must-see-0123456789";

fn below<'a>(spans: &'a [ReceivedSpan], parent: &ReceivedSpan) -> Vec<&'a ReceivedSpan> {
    let mut below: Vec<&ReceivedSpan> =
        spans.iter().filter(|span| span.parent == parent.id).collect();
    below.sort_by_key(|span| span.time);
    for span in &below {
        assert_eq!(span.trace, parent.trace, "{span:?}");
        assert!(span.time.0 >= parent.time.0 && span.time.1 <= parent.time.1, "{span:?}");
    }
    below
}

#[tokio::test(flavor = "multi_thread")]
async fn b8_an_order_is_a_part_of_the_trace_of_the_request_that_added_it() {
    let collector = OtlpServer::start(Receives::All);
    // The first attempt fails, with a body that repeats the key.
    let model = Model::start(|asked| match asked.times {
        1 => {
            let body = json!({ "error": { "message": format!("{KEY} is busy") } }).to_string();
            Answer::Http { status: 503, headers: &[], body }
        }
        _ => good(asked),
    });
    let mut factory = Factory::new(Base::Sqlite, &model)
        .await
        .with("ai.providers.local.api_key_env", "THE_KEY")
        .with("ai.providers.local.propagate_trace", true);
    factory.set_env("THE_KEY", KEY);
    factory.set_env(ENDPOINT, collector.endpoint());
    factory.set_env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test");
    let mut order = calls_in_turn("24", 1);
    order["onboarding"]["prompt"] = json!("secret words of a customer [[24]] ");

    let client = sitewright_http::client().unwrap();
    let listen = ["--json", "serve", "--listen", "127.0.0.1:0"];
    let server = Listening::start(factory.command(&listen));
    let add = client.first().post(server.url("/v1/orders?template=faulty"));
    let header = format!("00-{TRACE}-{SPAN}-01");
    let added = add.header("traceparent", header).json(&order).send().await.unwrap();
    assert_eq!(added.status(), 202);
    assert_eq!(server.stop(), Some(0));
    let log = factory.drain().await;
    let export = factory.database.export("24").await.unwrap();
    assert_eq!(export.order.state, OrderState::Succeeded, "{log}");
    assert!(export.attempts.iter().all(|attempt| attempt.trace_id == TRACE), "{export:?}");

    let spans = collector.spans();
    let mut attempts: Vec<&ReceivedSpan> =
        spans.iter().filter(|span| span.name == "sitewright.attempt").collect();
    attempts.sort_by_key(|span| span.time);
    let [first, second] = attempts[..] else { panic!("{attempts:?}") };
    for (number, (span, of)) in (1..).zip(attempts.iter().zip(&export.attempts)) {
        assert_eq!((span.trace.as_str(), span.parent.as_str()), (TRACE, SPAN), "{span:?}");
        assert_eq!(span.resource["service.name"], "sitewright");
        assert_eq!(span.resource["deployment.environment.name"], "test");
        assert!(span.resource["service.version"].is_string());
        assert_eq!(span.attributes["sitewright.order.id"], "24");
        assert_eq!(span.attributes["sitewright.attempt.id"], json!(of.id));
        assert_eq!(span.attributes["sitewright.attempt.number"], json!(number));
        assert_eq!(span.attributes["sitewright.template.name"], "faulty");
    }
    let failure = &export.failures[0];
    assert_eq!(first.attributes["sitewright.attempt.outcome"], "failed");
    assert_eq!(first.attributes["error.type"], json!(failure.kind));
    assert!(first.failed && first.attributes["sitewright.failure.fingerprint"].is_string());
    assert_eq!(second.attributes["sitewright.attempt.outcome"], "released");
    assert!(!second.failed && !second.attributes.contains_key("error.type"), "{second:?}");

    let names = |attempt| -> Vec<String> {
        below(&spans, attempt).iter().map(|span| span.name.clone()).collect()
    };
    let [order, template, run, checks, release] = ["order", "template", "run", "checks", "release"]
        .map(|it| format!("sitewright.stage.{it}"));
    let begun = [order, template, run, "chat m".to_owned()];
    assert_eq!(names(first), begun);
    assert_eq!(names(second), [&begun[..], &[checks, release]].concat());

    let calls = model.server.calls();
    let calls = calls.iter().filter(|call| call.contains("[[24]]"));
    let mut asked = 0;
    for (attempt, call) in [first, second].into_iter().zip(calls) {
        let chat = below(&spans, attempt).into_iter().find(|span| span.name == "chat m").unwrap();
        assert_eq!(chat.kind, 3, "{chat:?}");
        for (name, value) in [
            ("gen_ai.operation.name", json!("chat")),
            ("gen_ai.provider.name", json!("openai")),
            ("gen_ai.request.model", json!("m")),
            ("server.address", json!("127.0.0.1")),
            ("sitewright.ai.provider", json!("local")),
            ("sitewright.ai.route", json!("default")),
            ("sitewright.ai.call.id", json!("call-1")),
        ] {
            assert_eq!(chat.attributes[name], value, "{chat:?}");
        }
        let header = format!("00-{TRACE}-{}-01", chat.id);
        assert_eq!(call.traceparent.as_deref(), Some(header.as_str()));
        asked += 1;
    }
    assert_eq!(asked, 2);
    let chat = |attempt| below(&spans, attempt).into_iter().find(|span| span.kind == 3).unwrap();
    assert_eq!(chat(first).attributes["error.type"], "overloaded");
    assert!(chat(first).failed);
    for (name, value) in [
        ("gen_ai.response.model", json!("m")),
        ("gen_ai.response.finish_reasons", json!(["stop"])),
        ("gen_ai.usage.input_tokens", json!(TOKENS.0)),
        ("gen_ai.usage.output_tokens", json!(TOKENS.1)),
    ] {
        assert_eq!(chat(second).attributes[name], value);
    }

    let lines = collector.lines();
    let released = lines.iter().find(|line| line.body == "\"released\"").unwrap();
    assert_eq!((&*released.trace, &released.span), (TRACE, &second.id), "{released:?}");
    assert_eq!(
        (&*released.severity, &released.attributes["sitewright.order.id"]),
        ("INFO", &json!("24"))
    );
    assert!(lines.iter().any(|line| line.body.contains("an AI attempt failed")), "{lines:?}");

    assert!(
        collector.has_received("sitewright.order.id"),
        "texts can be found in what is received"
    );
    for secret in [KEY, "secret words", "a reply to", "nobody-must-see"] {
        assert!(!collector.has_received(secret), "{secret}");
    }
}

/// Runs an order with `generate` that makes one AI call and then fails.
fn generate(variables: &[(&str, String)], configuration: &str) -> (Done, ChatServer) {
    let server = ChatServer::start(ANY_ANSWER, |_| Answer::Good);
    let bench = Workbench::configured(&format!(
        "[ai.providers.local]\nkind = \"openai\"\nbase_url = \"{}\"\n{configuration}\n\
         [ai.routes.default]\ntry = [{{ provider = \"local\", model = \"m\" }}]\n",
        server.base_url()
    ));
    let wish = json!({ "prompt": "words", "then_fail": true });
    let order = bench.write("order.json", faulty("ai-error", wish).to_string());
    let (template, order) = (guest("guest-faulty"), order.display().to_string());
    let template = template.display().to_string();
    let arguments = ["--json", "generate", "--template", &template, "--order", &order];
    let mut command = bench.command(&arguments);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    (command.output().unwrap().into(), server)
}

#[test]
fn nothing_is_sent_that_nobody_asked_for() {
    let collector = OtlpServer::start(Receives::All);
    let endpoint = || (ENDPOINT, collector.endpoint());
    for variables in [
        vec![("OTEL_SERVICE_NAME", "x".to_owned())],
        vec![endpoint(), ("OTEL_SDK_DISABLED", "true".to_owned())],
        vec![
            endpoint(),
            ("OTEL_TRACES_EXPORTER", "none".to_owned()),
            ("OTEL_LOGS_EXPORTER", "none".to_owned()),
        ],
        // One order has no metrics.
        vec![(METRICS_ENDPOINT, format!("{}/v1/metrics", collector.endpoint()))],
    ] {
        let (done, server) = generate(&variables, "propagate_trace = true");
        done.failure();
        assert_eq!(collector.requests(), 0, "{variables:?}");
        assert!(server.calls().iter().all(|call| call.traceparent.is_none()), "{variables:?}");
    }

    // Of an order that nobody sent with a trace, the attempt is one: that of its failure record.
    // The log selects nothing, and the provider is not told.
    let name = ("OTEL_SERVICE_NAME", "sites".to_owned());
    let (done, server) = generate(&[endpoint(), name], "");
    let spans = collector.spans();
    let attempt = spans.iter().find(|span| span.name == "sitewright.attempt").unwrap();
    let trace = done.failure()["trace_id"].clone();
    assert_eq!((json!(attempt.trace), attempt.parent.trim_matches('0')), (trace, ""));
    assert_eq!(attempt.resource["service.name"], "sites");
    assert!(below(&spans, attempt).iter().any(|span| span.name == "chat m"), "{spans:?}");
    assert!(server.calls().iter().all(|call| call.traceparent.is_none()));

    // A sampler that keeps nothing.
    let before = collector.spans().len();
    let sampler = ("OTEL_TRACES_SAMPLER", "always_off".to_owned());
    generate(&[endpoint(), sampler], "").0.failure();
    assert_eq!(collector.spans().len(), before);
}

/// Other programs of the machine may need it.
#[test]
fn a_variable_that_cannot_be_followed_is_named_and_stops_nothing() {
    let variables = [
        (ENDPOINT, "http://localhost:4317".to_owned()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc".to_owned()),
    ];
    let (done, server) = generate(&variables, "");
    done.failure();
    assert_eq!(server.calls().len(), 1, "{}", done.stderr);
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let mut command = bench.command(&["doctor", "--offline"]);
    command.envs(variables.clone());
    let doctor: Done = command.output().unwrap().into();
    assert_eq!(doctor.code, 2, "{}", doctor.stdout);
    for says in ["OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "4318"] {
        assert!(done.stderr.contains(says), "{}", done.stderr);
        assert!(doctor.stdout.contains(says), "{}", doctor.stdout);
    }
    let mut command = bench.command(&["route", "list"]);
    command.envs(variables);
    let done: Done = command.output().unwrap().into();
    assert!(!done.stderr.contains("OTEL"), "{}", done.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_does_not_answer_delays_and_fails_no_order() {
    let silent = OtlpServer::start(Receives::Silently);
    let closed = ClosedPort::take();
    let model = Model::start(good);
    let mut factory = Factory::new(Base::Sqlite, &model).await;
    factory
        .set_env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/v1/traces", silent.endpoint()));
    factory.set_env("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", format!("{}/v1/logs", closed.origin()));
    factory.set_env("OTEL_BSP_SCHEDULE_DELAY", 10);
    // Room for the spans of less than one order: most are dropped.
    factory.set_env("OTEL_BSP_MAX_QUEUE_SIZE", 2);
    factory.set_env("OTEL_EXPORTER_OTLP_TIMEOUT", 600_000);
    let metrics = OtlpServer::start(Receives::Silently);
    factory.set_env(METRICS_ENDPOINT, format!("{}/v1/metrics", metrics.endpoint()));
    factory.set_env("OTEL_METRIC_EXPORT_INTERVAL", 10);
    factory.set_env("OTEL_METRIC_EXPORT_TIMEOUT", 600_000);
    factory.enqueue_all([calls_in_turn("first", 1)]).await;
    let mut worker = factory.worker(&[]);
    until("the collector has a request", || async { silent.requests() > 0 }).await;
    // It has one from now on, and answers none of them.
    factory.enqueue_all((0..20).map(|n| calls_in_turn(&format!("o{n}"), 2))).await;
    factory.until_count(OrderState::Succeeded, 21).await;
    assert_eq!(silent.requests(), 1, "a batch waits for the one before");
    assert_eq!(metrics.requests(), 1, "so do metrics");
    worker.signal(rustix::process::Signal::TERM);
    assert_eq!(worker.exit().await, 0, "{}", worker.log());
    let says = "the OpenTelemetry collector does not answer";
    assert!(worker.log().contains(says), "{}", worker.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_collector_refuses_is_counted_in_the_log() {
    let collector = OtlpServer::start(Receives::Nothing(400));
    let model = Model::start(good);
    let mut factory = Factory::new(Base::Sqlite, &model).await;
    factory.set_env(ENDPOINT, collector.endpoint());
    let trace = format!("00-{TRACE}-{SPAN}-00").parse().unwrap();
    let document = named("24", faulty("ok", json!({}))).to_string();
    let order = NewOrder { traceparent: Some(trace), ..NewOrder::new("24", "faulty", document) };
    factory.database.enqueue(order).await.unwrap();
    let log = factory.drain().await;
    factory.until_state("24", OrderState::Succeeded).await;
    assert!(log.contains("did not reach the OpenTelemetry collector"), "{log}");
    assert!(log.contains("it answers with status 400"), "{log}");
    // The sender of the order does not record its trace, so nobody else does.
    assert!(!collector.has_received("sitewright.stage.run"), "{log}");
}

/// Numbers by the names and labels of their points.
type Numbers = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// What Prometheus reads in `/metrics`. Of a histogram, its sum.
fn scraped(text: &str) -> Numbers {
    let mut numbers = Numbers::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, number) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        if name.ends_with("_bucket") || name.ends_with("_count") {
            continue;
        }
        let name = name.strip_suffix("_sum").unwrap_or(name).to_owned();
        let labels = labels.strip_suffix("\"}").unwrap_or_default().split("\",");
        let labels = labels.filter(|label| !label.is_empty()).map(|label| {
            let (name, value) = label.split_once("=\"").unwrap();
            (name.to_owned(), value.to_owned())
        });
        let before = numbers.insert((name, labels.collect()), number.parse().unwrap());
        assert_eq!(before, None, "{line} is there twice");
    }
    numbers
}

fn exported(points: &[ReceivedPoint]) -> Numbers {
    let labels = |labels: &Attributes| {
        let labels = labels.iter();
        labels.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
    };
    points.iter().map(|one| ((one.name.clone(), labels(&one.labels)), one.value)).collect()
}

/// The number of attempts that have succeeded.
fn succeeded(points: &[ReceivedPoint]) -> f64 {
    let of = |point: &&ReceivedPoint| {
        point.name == "sitewright_attempts_total" && point.labels["outcome"] == "succeeded"
    };
    points.iter().find(of).map_or(0.0, |point| point.value)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_the_metrics_that_prometheus_scrapes() {
    let places = [("sqlite", Some(Base::Sqlite)), ("postgres", Base::postgres("otlp_metrics"))];
    for (place, base) in places.into_iter().filter_map(|(place, base)| Some((place, base?))) {
        let collector = OtlpServer::start(Receives::All);
        let model = Model::start(good);
        let mut factory = Factory::new(base, &model).await;
        factory.set_env(METRICS_ENDPOINT, format!("{}/v1/metrics", collector.endpoint()));
        factory.set_env("OTEL_METRIC_EXPORT_INTERVAL", 100);
        factory.set_env("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "authorization=Bearer%20x");
        factory.enqueue_all([calls_in_turn("24", 1)]).await;
        let mut command = factory.command(&["--json"]);
        command.args(["worker", "--listen", "127.0.0.1:0"]);
        let worker = Listening::start(command);
        until("the attempt is counted", || async {
            collector.exports().last().is_some_and(|points| succeeded(points) == 1.0)
        })
        .await;
        let client = sitewright_http::client().unwrap();
        let scrape = client.first().get(worker.url("/metrics")).send().await.unwrap();
        let scrape = scraped(&scrape.text().await.unwrap());
        let before = collector.exports().len();
        until("an export is newer", || async { collector.exports().len() > before + 1 }).await;
        assert_eq!(worker.stop(), Some(0), "{place}");

        let exports = collector.exports();
        let export = exported(&exports[before + 1]);
        let names = |numbers: &Numbers| numbers.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&export), names(&scrape), "{place}");
        let counted = |(key, _): &(&(String, BTreeMap<String, String>), &f64)| {
            key.0.ends_with("_total") || key.0.ends_with("_duration_seconds")
        };
        assert!(scrape.iter().filter(counted).eq(export.iter().filter(counted)), "{export:?}");
        let orders = |state: &str| {
            let state = BTreeMap::from([("state".to_owned(), state.to_owned())]);
            export[&("sitewright_orders".to_owned(), state)]
        };
        assert_eq!((orders("succeeded"), orders("queued")), (1.0, 0.0), "{place}");
        assert_eq!(collector.authorization().as_deref(), Some("Bearer x"));
        assert!(collector.spans().is_empty() && collector.lines().is_empty());

        // Counters begin with the process, and the resource says which one it is.
        let first = &exports[0][0];
        assert_eq!(first.resource["service.name"], "sitewright");
        let instance = first.resource["service.instance.id"].as_str().unwrap();
        assert_eq!(instance.len(), 36, "{instance}");
        let mut begun = None;
        for point in exports.iter().flatten() {
            assert_eq!(point.resource, first.resource);
            let (from, to) = point.time;
            match point.name.as_str() {
                name if name.ends_with("_total") || !point.buckets.1.is_empty() => {
                    assert_eq!(*begun.get_or_insert(from), from, "{point:?}");
                    assert!(from > 0 && to > from, "{point:?}");
                }
                _ => assert_eq!(from, 0, "{point:?}"),
            }
            assert_eq!(point.unit == "s", point.name.ends_with("_seconds"), "{point:?}");
        }
    }
}

/// A worker without a listener, which ends long before the first interval does.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_export_has_what_a_short_process_did() {
    let collector = OtlpServer::start(Receives::All);
    let model = Model::start(good);
    let mut factory = Factory::new(Base::Sqlite, &model).await;
    factory.set_env(METRICS_ENDPOINT, format!("{}/v1/metrics", collector.endpoint()));
    for (id, count) in [("first", 1), ("second", 2)] {
        factory.enqueue_all([calls_in_turn(id, 1)]).await;
        let log = factory.drain().await;
        let exports = collector.exports();
        assert_eq!(exports.len(), count, "{log}");
        assert_eq!(succeeded(exports.last().unwrap()), 1.0, "of this process: {log}");
    }
    let instances = collector.exports();
    let instances = instances.iter().map(|points| &points[0].resource["service.instance.id"]);
    let instances: Vec<_> = instances.collect();
    assert_ne!(instances[0], instances[1]);

    // `OTEL_METRICS_EXPORTER` turns off metrics alone.
    factory.set_env(ENDPOINT, collector.endpoint());
    factory.set_env("OTEL_METRICS_EXPORTER", "none");
    factory.enqueue_all([calls_in_turn("third", 1)]).await;
    let log = factory.drain().await;
    assert_eq!(collector.exports().len(), 2, "{log}");
    assert!(!collector.spans().is_empty(), "{log}");
}

/// A collector may have no pipeline for metrics.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_exports_and_logs_a_refusal_once() {
    let collector = OtlpServer::start(Receives::AllAfter(4));
    let model = Model::start(good);
    let mut factory = Factory::new(Base::Sqlite, &model).await;
    factory.set_env(METRICS_ENDPOINT, format!("{}/v1/metrics", collector.endpoint()));
    factory.set_env("OTEL_METRIC_EXPORT_INTERVAL", 50);
    let log = factory.bench.path().join("serve.log");
    let mut command = factory.command(&["--json", "serve", "--listen", "127.0.0.1:0"]);
    command.stderr(std::fs::File::create(&log).unwrap());
    let server = Listening::start(command);
    until("metrics arrive", || async { !collector.exports().is_empty() }).await;
    assert_eq!(server.stop(), Some(0));
    let names: Vec<String> =
        collector.exports()[0].iter().map(|point| point.name.clone()).collect();
    for name in ["sitewright_build_info", "sitewright_orders", "sitewright_event_listeners"] {
        assert!(names.iter().any(|one| one == name), "{name}: {names:?}");
    }
    let log = std::fs::read_to_string(log).unwrap();
    assert_eq!(log.matches("metrics did not reach").count(), 1, "{log}");
    assert!(log.contains("it answers with status 404"), "{log}");
    assert_eq!(log.matches("metrics reach the OpenTelemetry collector again").count(), 1, "{log}");
}
