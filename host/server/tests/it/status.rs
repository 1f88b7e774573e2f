//! Health, metrics, the description of the API, and the end of a server.

use crate::*;

on_both!(metrics_count_what_is_there);

mod tests {
    use crate::*;

    pub(super) async fn metrics_count_what_is_there(place: Place) {
        let api = place.serve().await;
        for id in ["1", "2", "3"] {
            api.add(id).await;
        }
        let claimed = api.claim("1").await;
        let hold = json!({ "reason": "a \"quoted\" reason" });
        api.send(Method::PUT, "/v1/holds/template:flora", &hold).await;
        let metrics = api.get("/metrics").await;
        assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
        for line in [
            "sitewright_orders{state=\"queued\"} 2",
            "sitewright_orders{state=\"running\"} 1",
            "sitewright_orders{state=\"dead\"} 0",
            "sitewright_unfinished_orders{template=\"flora\",state=\"queued\"} 2",
            "sitewright_held_orders{hold=\"template:flora\",cause=\"operator\"} 0",
            "sitewright_holds 1",
            "sitewright_queue_paused 0",
            "sitewright_batch_items 0",
            "sitewright_workers{state=\"alive\"} 0",
            "sitewright_oldest_heartbeat_seconds 0.0",
            "# EOF",
        ] {
            assert!(metrics.text.lines().any(|found| found == line), "{line}: {}", metrics.text);
        }
        drop(claimed);
    }
}

/// Prometheus asks for OpenMetrics first, other programs for text, and people for anything.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_read_only_text_get_metrics_as_text() {
    let place = Place::sqlite();
    let api = place.serve().await;
    let took = Duration::from_millis(1_500);
    api.database.attempt_counts().add(sitewright_jobs::AttemptEnd::Dead, Some("trap"), took);
    let open = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = "text/plain; version=0.0.4; charset=utf-8";
    for (accept, kind) in [
        ("*/*", open),
        ("text/html,*/*;q=0.8", open),
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5", open),
        ("text/plain;version=0.0.4;q=1,*/*;q=0.1", text),
        ("Text/Plain", text),
    ] {
        let metrics = send(api.request(Method::GET, "/metrics").header("accept", accept)).await;
        assert_eq!(metrics.header("content-type"), kind, "{accept}");
        let family = if kind == text { "attempts_total" } else { "attempts" };
        for line in [
            format!("# TYPE sitewright_{family} counter"),
            "sitewright_attempts_total{outcome=\"dead\",kind=\"trap\"} 1".to_owned(),
            "# TYPE sitewright_attempt_duration_seconds histogram".to_owned(),
            "sitewright_holds 0".to_owned(),
        ] {
            assert!(metrics.text.lines().any(|found| found == line), "{line}: {}", metrics.text);
        }
        let described = format!("# HELP sitewright_{family} Attempts of this process");
        assert!(metrics.text.contains(&described), "{described}: {}", metrics.text);
        assert_eq!(metrics.text.ends_with("# EOF\n"), kind == open, "{accept}");
    }
}

/// What an alert counts is there before it happens, so that the first failure is an increase.
#[tokio::test(flavor = "multi_thread")]
async fn the_attempts_of_a_worker_are_counted_from_0() {
    let place = Place::sqlite();
    let api = place.serve().await;
    let counted = async || {
        let metrics = api.get("/metrics").await.text;
        let lines = metrics.lines().filter(|line| line.starts_with("sitewright_attempts_total{"));
        lines.map(str::to_owned).collect::<Vec<String>>()
    };
    assert!(counted().await.is_empty(), "a server makes no attempts");
    let counts = api.database.attempt_counts();
    counts.begin();
    let begun = counted().await;
    assert_eq!(begun.len(), 1 + 3 * sitewright_model::failure::FailureKind::ALL.len(), "{begun:?}");
    assert!(begun.iter().all(|line| line.ends_with("} 0")), "{begun:?}");
    let took = Duration::from_millis(1_500);
    counts.add(sitewright_jobs::AttemptEnd::Succeeded, None, took);
    counts.add(sitewright_jobs::AttemptEnd::Failed, Some("template_error"), took);
    counts.add(sitewright_jobs::AttemptEnd::Dead, Some("ai"), took);
    counts.add(sitewright_jobs::AttemptEnd::Retry, Some("host"), took);
    // A worker that is started again in this process.
    counts.begin();
    let counted = counted().await;
    assert_eq!(counted.len(), begun.len(), "{counted:?}");
    for labels in [
        "outcome=\"succeeded\",kind=\"\"",
        "outcome=\"failed\",kind=\"template_error\"",
        "outcome=\"dead\",kind=\"ai\"",
        "outcome=\"retry\",kind=\"host\"",
    ] {
        let line = format!("sitewright_attempts_total{{{labels}}} 1");
        assert!(counted.contains(&line), "{line}: {counted:?}");
    }
}

/// Names of templates are a producer's; the number of time series is bounded whatever it writes.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_bounded_cardinality() {
    let place = Place::sqlite();
    let api = place.serve().await;
    let orders = (0..300).map(|n| {
        let template = format!("t\"{n}\\\n");
        sitewright_jobs::NewOrder::new(format!("o{n}"), template, "{}")
    });
    api.database.enqueue_all(orders.collect()).await.unwrap();
    let metrics = api.get("/metrics").await;
    let series: Vec<&str> = metrics
        .text
        .lines()
        .filter(|line| line.starts_with("sitewright_unfinished_orders{"))
        .collect();
    assert_eq!(series.len(), 101, "{series:?}");
    let others = "sitewright_unfinished_orders{template=\"other\",state=\"queued\"} 200";
    assert!(series.contains(&others), "{series:?}");
    assert!(series.iter().all(|line| line.contains("\\\\\\n\"") || line.contains("other")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_ready_when_its_tables_are() {
    let place = Place::sqlite();
    let database = Database::open(&place.url).await.unwrap();
    let api = Api::start(place.parts(database.clone(), settings()), database.clone()).await;
    assert_eq!(api.get("/healthz").await.body["status"], "alive");
    let missing = api.get("/readyz").await;
    assert_eq!(missing.status, StatusCode::SERVICE_UNAVAILABLE, "{missing:?}");
    assert_eq!(missing.body["status"], "schema_missing");
    assert!(missing.body["hint"].as_str().unwrap().contains("sitewright migrate"));
    database.migrate().await.unwrap();
    until("ready", || async { api.get("/readyz").await.status == StatusCode::OK }).await;
    database.close().await;
    until("away", || async { api.get("/readyz").await.body["status"] == "database_away" }).await;
    assert_eq!(api.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_ready_with_a_template_and_a_folder_for_sites() {
    let place = Place::sqlite();
    let database = place.database().await;
    for (template, has_sites, status, says) in [
        (Some("flora"), false, StatusCode::SERVICE_UNAVAILABLE, "sites_unwritable"),
        (None, true, StatusCode::SERVICE_UNAVAILABLE, "no_template"),
        (Some("flora"), true, StatusCode::OK, "ready"),
    ] {
        if has_sites {
            std::fs::create_dir_all(place.sites()).unwrap();
        }
        for (surface, of_api) in
            [(Surface::Status, StatusCode::NOT_FOUND), (Surface::Worker, StatusCode::OK)]
        {
            let names: Vec<String> = template.map(str::to_owned).into_iter().collect();
            let parts = ServerParts {
                surface,
                templates: Arc::new(move || {
                    let names = names.clone();
                    Box::pin(async move { Ok(names) })
                }),
                ..place.parts(database.clone(), settings())
            };
            let api = Api::start(parts, database.clone()).await;
            let answer = api.get("/readyz").await;
            assert_eq!((answer.status, answer.body["status"].as_str()), (status, Some(says)));
            assert_eq!(answer.body["hint"].is_null(), status == StatusCode::OK, "{answer:?}");
            assert_eq!(api.get("/v1/stats").await.status, of_api, "{surface:?}");
            // What is no sites folder is not made one.
            assert_eq!(place.sites().is_dir(), has_sites);
        }
    }
}

/// The status of a worker: probes by everybody, metrics with a token, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_server_has_no_api() {
    let place = Place::sqlite();
    std::fs::create_dir(place.sites()).unwrap();
    let database = place.database().await;
    let stuck = || Err(message!("the heartbeats are stuck"));
    let listen = "0.0.0.0:0".parse().unwrap();
    let parts = ServerParts {
        surface: Surface::Status,
        alive: Arc::new(stuck),
        ..place.parts(database.clone(), ServerConfig { listen, ..settings() })
    };
    let mut api = Api::start(parts, database).await;
    api.address = SocketAddr::from(([127, 0, 0, 1], api.address.port()));
    assert_eq!(api.get("/readyz").await.status, StatusCode::OK);
    let health = api.get("/healthz").await;
    assert_eq!(health.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(health.body["hint"], "the heartbeats are stuck");
    api.get("/metrics").await.is_problem(401, "unauthorized");
    api.get("/v1/stats").await.is_problem(404, "no_such_path");
    api.log_in(&[Scope::Read]).await;
    assert_eq!(api.get("/metrics").await.status, StatusCode::OK);
    api.get("/v1/stats").await.is_problem(404, "no_such_path");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_has_every_route() {
    let place = Place::sqlite();
    let api = place.serve().await;
    let description = api.get("/v1/openapi.json").await.body;
    assert_eq!(description["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for route in sitewright_server::routes(Surface::Api) {
        let method = route.method.as_str().to_lowercase();
        let operation = &description["paths"][route.path][&method];
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{}", route.path));
        assert!(ids.insert(id.to_owned()), "{id} is there twice");
        assert_eq!(operation["summary"], route.summary);
        for name in route.path.split('/').filter_map(|part| part.strip_prefix('{')) {
            let name = name.trim_end_matches('}');
            let parameters = operation["parameters"].as_array().unwrap();
            assert!(
                parameters.iter().any(|one| one["name"] == name && one["in"] == "path"),
                "{id}"
            );
        }
    }
    // Generators of clients need both.
    let types = &description["components"]["schemas"];
    assert_eq!(types["OrderState"]["type"], "string", "{}", types["OrderState"]);
    assert_eq!(types["OrderState"]["enum"][0], "queued", "{}", types["OrderState"]);
    for (name, schema) in types.as_object().unwrap() {
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            assert!(schema.is_object(), "{name}.{field} is {schema}");
        }
    }
    let add = &description["paths"]["/v1/orders"]["post"]["parameters"];
    let template = add.as_array().unwrap().iter().find(|one| one["name"] == "template").unwrap();
    assert_eq!((&template["in"], &template["required"]), (&json!("query"), &json!(true)));
    let kinds = &description["components"]["schemas"]["Problem"]["properties"]["kind"]["enum"];
    assert!(kinds.as_array().unwrap().contains(&json!("order_differs")), "{kinds}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_api_has_all_of_the_description() {
    let place = Place::sqlite();
    let api = place.serve().await;
    let description = api.get("/v1/openapi.json").await.body;
    let page = api.get("/v1/openapi.html").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    crate::visitor::is_secure("/v1/openapi.html", &page);
    let html = &page.text;
    assert_eq!(html.matches("<script").count(), 1, "no script in the page");
    assert!(html.contains("prefers-color-scheme") || html.contains("color-scheme\" content"));
    let mut operations = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations += 1;
            let id = operation["operationId"].as_str().unwrap();
            let article = html.split(&format!("<article id=\"{id}\">")).nth(1).unwrap_or_default();
            let article = article.split("</article>").next().unwrap();
            let summary = operation["summary"].as_str().unwrap();
            let mut wanted = vec![method.to_uppercase(), path.clone(), summary.to_owned()];
            if let Some(scope) = operation["security"][0]["token"][0].as_str() {
                wanted.push(format!("<span class=\"tag good\">{scope}</span>"));
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                wanted.push(format!("<code>{}</code>", parameter["name"].as_str().unwrap()));
            }
            for (status, answer) in operation["responses"].as_object().unwrap() {
                if status != "default" {
                    wanted.push(format!("<code>{status}</code>"));
                    wanted.push(answer["description"].as_str().unwrap().replace('`', "&#96;"));
                }
            }
            for part in wanted {
                assert!(article.contains(&part.replace('\'', "&#39;")), "{id}: {part}\n{article}");
            }
        }
    }
    assert!(operations >= 40, "{operations}");
    for name in description["components"]["schemas"].as_object().unwrap().keys() {
        assert!(html.contains(&format!("<article id=\"type-{name}\">")), "{name}");
    }
    // An example that a client can send, and one of what comes back.
    assert!(html.contains("&#34;business_name&#34;: &#34;Flora&#34;"), "{html}");
    assert!(html.contains("&#34;state&#34;: &#34;queued&#34;"), "{html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_answers_what_it_has_begun() {
    let place = Place::sqlite();
    let api = place.serve().await;
    let body = document("1").to_string();
    let (first, rest) = body.split_at(5);
    let mut stream = TcpStream::connect(api.address).await.unwrap();
    let head = format!(
        "POST /v1/orders?template=flora HTTP/1.1\r\nHost: localhost\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\n\r\n{first}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // An idle connection does not delay the end.
    let _idle = TcpStream::connect(api.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    api.stop.cancel();
    until("no connection is accepted any more", || async {
        TcpStream::connect(api.address).await.is_err()
    })
    .await;
    stream.write_all(rest.as_bytes()).await.unwrap();
    let answer = read_until_closed(&mut stream, Duration::from_secs(30)).await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert!(api.serving.await.unwrap(), "in time");
    assert_eq!(api.database.order("1").await.unwrap().id, "1");
}
