//! The alert rules, the dashboard and the configuration for scraping, with a real Prometheus that
//! scrapes a real server and worker.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sitewright_jobs::OrderState;
use sitewright_tests::chat_server::{Answer, WAIT_TIMEOUT};
use sitewright_tests::factory::{
    Base, Factory, Model, RecordedCall, calls_in_turn, good, named, until,
};
use sitewright_tests::prometheus::{MISSING, Prometheus, promtool};
use sitewright_tests::{Done, faulty, root, standins};

use crate::deploy_tools::samples;
use crate::serve::Listening;

const RULES: &str = "deploy/prometheus/sitewright.rules.yml";
/// Cases of the alert rules, in the form of promtool.
const CASES: &str = "tests/standins/alerts.yml";

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

#[test]
fn every_alert_comes_when_it_must_and_only_then() {
    let (rules, cases) = (read(RULES), read(CASES));
    let alerts: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 10, "{alerts:?}");
    for alert in alerts {
        let (silent, alerting) = (
            format!("- {{ alertname: {alert}, eval_time: "),
            format!("- alertname: {alert}\n        eval_time: "),
        );
        assert!(cases.contains(&silent) && cases.contains(&alerting), "{alert} has no cases");
    }
    let Some(done) = promtool(&root(), &["test", "rules", CASES], "") else {
        return standins::skipped("every_alert_comes_when_it_must_and_only_then", MISSING);
    };
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
}

/// Also of the collector, whose part for Prometheus has the same form.
#[test]
fn prometheus_accepts_the_configurations_of_the_documentation() {
    let folder = tempfile::tempdir().unwrap();
    let mut found = 0;
    for (page, sample) in samples("yaml") {
        if !sample.contains("scrape_configs:") {
            continue;
        }
        found += 1;
        let whole: Value = serde_saphyr::from_str(&sample).unwrap();
        let collector = &whole["receivers"]["prometheus"]["config"];
        let own = if collector.is_object() { collector } else { &whole };
        // JSON is YAML.
        std::fs::write(folder.path().join("prometheus.yml"), own.to_string()).unwrap();
        let arguments = ["check", "config", "--syntax-only", "prometheus.yml"];
        let Some(done) = promtool(folder.path(), &arguments, "") else {
            return standins::skipped(
                "prometheus_accepts_the_configurations_of_the_documentation",
                MISSING,
            );
        };
        assert_eq!(done.code, 0, "{page}: {}{}", done.stdout, done.stderr);
    }
    assert!(found >= 2, "the documentation shows how Prometheus and a collector scrape");
}

/// The expressions of the dashboard, with what Grafana puts into them, and their legends.
fn panels() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/sitewright.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let text = |target: &Value, name: &str| target[name].as_str().unwrap().to_owned();
    let panels: Vec<(String, String)> = targets
        .map(|target| {
            let expression = text(target, "expr").replace("$__rate_interval", "1m");
            assert!(!expression.contains('$'), "{expression}");
            (expression, text(target, "legendFormat"))
        })
        .collect();
    assert!(panels.len() >= 15, "{panels:?}");
    panels
}

/// The labels that a legend names: `{{state}}`.
fn labels(legend: &str) -> Vec<&str> {
    let parts = legend.split("{{").skip(1);
    parts.filter_map(|part| part.split("}}").next()).map(str::trim).collect()
}

/// The metrics that an expression names, each with what it says of their labels.
fn selectors(expression: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = expression.match_indices("sitewright_").map(|(begin, _)| &expression[begin..]);
    let selectors = begins.map(|rest| {
        let name = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        let matchers = rest[name..].strip_prefix('{').and_then(|rest| rest.find('}'));
        let end = name + matchers.map_or(0, |length| length + 2);
        rest[..end].to_owned()
    });
    selectors.collect()
}

/// Whether a rule waits for its `for`, on this process if one is named.
fn is_pending(rules: &Value, alert: &str, instance: Option<&str>) -> bool {
    let groups = rules["groups"].as_array().into_iter().flatten();
    let mut all = groups.filter_map(|group| group["rules"].as_array()).flatten();
    all.any(|rule| {
        assert_ne!(rule["health"], "err", "{rule:#}");
        let alerts = rule["alerts"].as_array().into_iter().flatten();
        rule["name"] == alert
            && rule["state"] == "pending"
            && alerts.map(|one| one["labels"]["instance"].as_str()).any(|one| one == instance)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_has_all_that_dashboard_and_alerts_ask_for() {
    const NAME: &str = "prometheus_has_all_that_dashboard_and_alerts_ask_for";
    if promtool(&root(), &["--version"], "").is_none() {
        return standins::skipped(NAME, MISSING);
    }
    let reply = |content: &str| Answer::Reply { content: content.to_owned(), finish: "stop" };
    let model = Model::start(move |asked: &RecordedCall| match (&*asked.order, asked.times) {
        ("flaky", 1) => Answer::Http { status: 503, headers: &[], body: "{}".to_owned() },
        ("unreadable", 1) => reply("this is no JSON"),
        ("unreadable", _) => reply("\"fine\""),
        _ => good(asked),
    });
    let factory = Factory::new(Base::Sqlite, &model).await;
    let token = factory.command(&["token", "create", "prometheus", "--scope", "read"]).output();
    let token = Done::from(token.unwrap()).stdout.trim().to_owned();
    let token_file = factory.bench.write("prometheus.token", &token);
    let listen = |command| {
        Listening::start(factory.command(&["--json", command, "--listen", "127.0.0.1:0"]))
    };
    let (server, worker) = (listen("serve"), listen("worker"));
    let addresses = [server.address().to_string(), worker.address().to_string()];

    // As the documentation shows it, for these two processes.
    let samples = samples("yaml");
    let sample = samples.iter().find(|(_, sample)| sample.starts_with("scrape_configs:"));
    let mut scrape = sample.expect("the documentation shows how to scrape").1.clone();
    for (shown, actual) in [
        ("/etc/prometheus/sitewright.token", token_file.to_str().unwrap()),
        ("127.0.0.1:8080", addresses[0].as_str()),
        ("127.0.0.1:9100", addresses[1].as_str()),
    ] {
        assert!(scrape.contains(shown), "{shown}: {scrape}");
        scrape = scrape.replace(shown, actual);
    }
    let often = "{ scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms }";
    let rules = root().join(RULES).display().to_string();
    let configuration = format!("global: {often}\nrule_files: [{rules:?}]\n{scrape}");
    let file = factory.bench.write("prometheus.yml", &configuration);
    let arguments = ["check", "config", file.to_str().unwrap()];
    let checked = promtool(&root(), &arguments, "").unwrap();
    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
    let prometheus = Prometheus::start(&configuration);

    // One of each event that has a series of its own: attempts that succeed, fail and are
    // repeated, a request to a model that fails, a reply that is no JSON, an order that is held.
    factory
        .enqueue_all([
            named("plain", faulty("ok", json!({}))),
            named("failing", faulty("error", json!({}))),
            calls_in_turn("flaky", 1),
            named("unreadable", faulty("ai-unreadable", json!({ "prompt": "[[unreadable]] " }))),
        ])
        .await;
    for id in ["plain", "flaky", "unreadable"] {
        factory.until_state(id, OrderState::Succeeded).await;
    }
    factory.until_state("failing", OrderState::Failed).await;
    let held = factory.command(&["route", "hold", "default", "--reason", "a new key"]).output();
    let held = Done::from(held.unwrap());
    assert_eq!(held.code, 0, "{}{}", held.stdout, held.stderr);
    // A worker learns of a hold with its next sweep: an order that is begun before is not held.
    for number in 1.. {
        let id = format!("held-{number}");
        factory.enqueue_all([calls_in_turn(&id, 1)]).await;
        let state = loop {
            let state = factory.database.order(&id).await.unwrap().state;
            if state == OrderState::Waiting || state.has_ended() {
                break state;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        if state == OrderState::Waiting {
            break;
        }
        assert!(number < 100, "no order is held");
    }

    until("both processes are scraped", || async {
        let targets = prometheus.ask("targets", &[("state", "active")]).await;
        let targets = targets["activeTargets"].as_array().cloned().unwrap_or_default();
        let up = |address: &String| {
            targets.iter().any(|target| {
                target["labels"]["instance"] == address.as_str()
                    && target["labels"]["job"] == "sitewright"
                    && target["health"] == "up"
            })
        };
        addresses.iter().all(up)
    })
    .await;

    let panels = panels();
    let mut expressions: Vec<(String, Vec<&str>)> =
        panels.iter().map(|(one, legend)| (one.clone(), labels(legend))).collect();
    let rules = read(RULES);
    expressions.extend(selectors(&rules).into_iter().map(|selector| (selector, Vec::new())));
    let begin = Instant::now();
    loop {
        let mut missing = Vec::new();
        for (expression, labels) in &expressions {
            let series = prometheus.query(expression).await;
            let has = |label: &&str| series.iter().any(|one| one["metric"][*label].is_string());
            if series.is_empty() || !labels.iter().all(has) {
                missing.push((expression, series));
            }
        }
        if missing.is_empty() {
            break;
        }
        assert!(begin.elapsed() < WAIT_TIMEOUT, "Prometheus has no series of {missing:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    // The query for KEDA: what is held needs no worker.
    let queries = crate::deploy_tools::samples("promql");
    let [(_, query)] = queries.as_slice() else { panic!("{queries:?}") };
    until("no order needs a worker", || async {
        let series = prometheus.query(query).await;
        assert_eq!(series.len(), 1, "a scaler needs one number: {series:?}");
        series[0]["value"][1] == "0"
    })
    .await;

    // Both formats are read: Prometheus has asked for OpenMetrics, promtool reads the other one.
    let client = sitewright_http::client().unwrap();
    for process in [&server, &worker] {
        let request = client.first().get(process.url("/metrics")).bearer_auth(&token);
        let metrics = request.header("accept", "text/plain").send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        let checked = promtool(&root(), &["check", "metrics"], &metrics).unwrap();
        let says = format!("{}{}", checked.stdout, checked.stderr);
        assert_eq!((checked.code, &*says), (0, ""), "{metrics}");
    }

    until("the alert about the hold is pending", || async {
        is_pending(&prometheus.ask("rules", &[]).await, "SitewrightOrdersAreHeld", None)
    })
    .await;
    assert_eq!(worker.stop(), Some(0));
    until("the alerts about the worker are pending", || async {
        let rules = prometheus.ask("rules", &[]).await;
        is_pending(&rules, "SitewrightDown", Some(addresses[1].as_str()))
            && is_pending(&rules, "SitewrightNoWorker", None)
    })
    .await;
    assert!(!is_pending(
        &prometheus.ask("rules", &[]).await,
        "SitewrightDown",
        Some(addresses[0].as_str())
    ));
    assert_eq!(server.stop(), Some(0));
}
