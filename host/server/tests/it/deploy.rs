//! The files in `deploy/` that name metrics: each of them is one that the program exposes.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use sitewright_jobs::{AiFailureSeries, AttemptEnd, BreakerSeries, NewAiCall, ProblemLevel};

use crate::*;

const FILES: [&str; 2] =
    ["deploy/grafana/sitewright.json", "deploy/prometheus/sitewright.rules.yml"];

/// The names with the prefix in a text.
fn names(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_part(c));
    words.filter(|word| word.starts_with("sitewright_")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_dashboard_and_alerts_is_exposed() {
    let place = Place::sqlite();
    let api = place.serve().await;
    // One of each, so that there is a series of each.
    api.add("1").await;
    api.send(Method::PUT, "/v1/holds/template:flora", &json!({})).await;
    let call = NewAiCall {
        request: "r".to_owned(),
        occurrence: 0,
        purpose: "copywriting".to_owned(),
        provider: "openai".to_owned(),
        model: "small".to_owned(),
        cost_nano_usd: Some(1_500_000_000),
        input_tokens: Some(7),
        output_tokens: Some(8),
        took_ms: Some(1_500),
        tries: Vec::new(),
        entry: json!({}),
    };
    api.database.keep_reply("1", "a", call.clone()).await.unwrap();
    api.database.keep_unusable("1", "a", call).await.unwrap();
    let took = Duration::from_millis(1_500);
    api.database.attempt_counts().add(AttemptEnd::Dead, Some("trap"), took);
    api.database.attempt_counts().add_of_template("flora", AttemptEnd::Dead);
    api.database.attempt_counts().add_release(1_234);
    api.database.attempt_counts().add_wait(Duration::from_secs(20));
    api.database.ai_counts().add_failure(AiFailureSeries {
        provider: "openai".to_owned(),
        model: "small".to_owned(),
        kind: "rate_limited",
        sent: true,
    });
    let counts = api.database.attempt_counts();
    counts.begin_checks(["title".to_owned()]);
    for _ in 0..2 {
        counts.add_problems("broken-reference", ProblemLevel::Error, 1);
    }
    counts.add_problems("title-length", ProblemLevel::Warning, 3);
    // More than there are checks.
    (0..300).for_each(|n| counts.add_problems(&format!("x{n}"), ProblemLevel::Error, 1));
    let candidate = |model: &str| BreakerSeries {
        route: "default".to_owned(),
        provider: "openai".to_owned(),
        model: model.to_owned(),
    };
    let breakers = BTreeMap::from([(candidate("small"), true), (candidate("large"), false)]);
    api.database.ai_counts().set_breakers(breakers);
    let metrics = api.get("/metrics").await;
    for line in [
        "sitewright_ai_breaker_open{route=\"default\",provider=\"openai\",model=\"small\"} 1",
        "sitewright_ai_breaker_open{route=\"default\",provider=\"openai\",model=\"large\"} 0",
        "sitewright_site_problems_total{check=\"title\",level=\"error\"} 0",
        "sitewright_site_problems_total{check=\"broken-reference\",level=\"error\"} 2",
        "sitewright_site_problems_total{check=\"title-length\",level=\"warning\"} 3",
        "sitewright_site_problems_total{check=\"other\",level=\"error\"} 103",
        "sitewright_attempt_duration_seconds_bucket{le=\"1.0\",outcome=\"dead\"} 0",
        "sitewright_attempt_duration_seconds_bucket{le=\"2.0\",outcome=\"dead\"} 1",
        "sitewright_attempt_duration_seconds_bucket{le=\"+Inf\",outcome=\"dead\"} 1",
        "sitewright_attempt_duration_seconds_sum{outcome=\"dead\"} 1.5",
        "sitewright_template_attempts_total{template=\"flora\",outcome=\"dead\"} 1",
        "sitewright_database_errors_total{transient=\"true\"} 0",
        "sitewright_release_bytes_total 1234",
        "sitewright_ai_reply_duration_seconds_count{provider=\"openai\",model=\"small\",\
         outcome=\"used\"} 1",
        "sitewright_ai_reply_duration_seconds_sum{provider=\"openai\",model=\"small\",\
         outcome=\"unusable\"} 1.5",
        "sitewright_queue_wait_seconds_bucket{le=\"15.0\"} 0",
        "sitewright_queue_wait_seconds_count 1",
        "sitewright_ai_replies_total{provider=\"openai\",model=\"small\",outcome=\"used\"} 1",
        "sitewright_ai_replies_total{provider=\"openai\",model=\"small\",outcome=\"unusable\"} 1",
        "sitewright_ai_tokens_total{provider=\"openai\",model=\"small\",kind=\"input\"} 14",
        "sitewright_ai_failures_total{provider=\"openai\",model=\"small\",kind=\"rate_limited\",\
         sent=\"true\"} 1",
        "sitewright_ai_cost_usd_total{provider=\"openai\",model=\"small\",outcome=\"used\"} 1.5",
    ] {
        assert!(metrics.text.lines().any(|found| found == line), "{line}: {}", metrics.text);
    }
    let exposed: BTreeSet<String> = metrics
        .text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .map(str::to_owned)
        .collect();
    for file in FILES {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let named = names(&text);
        assert!(named.len() >= 7, "{file}: {named:?}");
        let unknown: Vec<_> = named.difference(&exposed).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}; exposed: {exposed:?}");
    }
    let dashboard = std::fs::read_to_string(root().join(FILES[0])).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() >= 12);
    // And the documentation has all of them.
    let api = std::fs::read_to_string(root().join("docs/src/operate/api.md")).unwrap();
    let documented = names(&api);
    for name in &exposed {
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name);
        assert!(documented.contains(base), "{base} is not in docs/src/operate/api.md");
    }
}

#[test]
fn promtool_accepts_the_alert_rules() {
    let checked =
        Command::new("promtool").args(["check", "rules"]).arg(root().join(FILES[1])).output();
    match checked {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            standins::skipped("promtool_accepts_the_alert_rules", "promtool is not installed");
        }
        checked => {
            let checked = checked.unwrap();
            assert!(checked.status.success(), "{checked:?}");
        }
    }
}
