//! Tokens of a tenant: every route with an order of somebody else.

on_both!(
    no_route_shows_or_changes_an_order_of_another_tenant,
    a_tenant_adds_lists_counts_and_changes_its_own_orders,
    a_tenant_follows_only_its_own_orders,
);

mod tests {
    use sitewright_jobs::{
        BulkAction, HoldCause, HoldId, HoldKind, NewAiCall, NewBulkRun, NewHold, NewOrder,
        OrderState, Probing, Selection,
    };
    use sitewright_model::failure::{FailureKind, FailureRecord, OfAttempt};
    use sitewright_server::{Access, Route, pages, routes};

    use crate::events::tests::Stream;
    use crate::visitor::{Browser, secret};
    use crate::*;

    /// In everything that belongs to the other tenant.
    const FOREIGN: &str = "foreign";

    struct Foreign {
        record: String,
        fingerprint: String,
        bulk: String,
    }

    /// An order of this tenant that has failed, and has paid for a reply.
    async fn failed(api: &Api, id: &str, tenant: &str) -> String {
        let document = document(id).to_string();
        let order = NewOrder {
            tenant: Some(tenant.to_owned()),
            ..NewOrder::new(id, format!("{tenant}-template"), document)
        };
        api.database.enqueue(order).await.unwrap();
        let claimed = api.claim(id).await;
        let call = NewAiCall {
            request: format!("{id:0>64}"),
            occurrence: 0,
            purpose: format!("{tenant}-purpose"),
            provider: "openrouter".to_owned(),
            model: format!("{tenant}-model"),
            cost_nano_usd: Some(1_000),
            input_tokens: Some(10),
            output_tokens: Some(10),
            took_ms: None,
            tries: Vec::new(),
            entry: json!({}),
        };
        api.database.keep_reply(id, &claimed.attempt.to_string(), call).await.unwrap();
        let (kind, of) = (FailureKind::OutputRejected, OfAttempt::from(&claimed));
        let record = FailureRecord::without_run(kind, message!("there is no page of {tenant}"), of);
        let failure = NewFailure::from(&record);
        let record = failure.id.clone();
        api.complete(&claimed, Resolution::Failed { failure }).await;
        record
    }

    async fn foreign(api: &Api) -> Foreign {
        let record = failed(api, "foreign-1", FOREIGN).await;
        let groups = api.get("/v1/failures").await.body["groups"].clone();
        let fingerprint = groups[0]["fingerprint"].as_str().unwrap().to_owned();
        let run = NewBulkRun {
            action: BulkAction::Cancel,
            selection: Selection { tenant: Some(FOREIGN.to_owned()), ..Selection::default() },
            selected: 0,
            token: None,
            actor: FOREIGN.to_owned(),
        };
        let bulk = api.database.begin_bulk(run).await.unwrap().unwrap().id;
        Foreign { record, fingerprint, bulk }
    }

    /// The path of a route, to what belongs to the other tenant.
    fn path(route: &Route, foreign: &Foreign) -> String {
        let id = match route.path {
            path if path.contains("/records/") => foreign.record.as_str(),
            path if path.contains("/bulk/") => foreign.bulk.as_str(),
            _ => "foreign-1",
        };
        route.path.replace("{id}", id).replace("{fingerprint}", &foreign.fingerprint)
    }

    fn is_scoped(route: &&'static Route) -> bool {
        matches!(route.access, Access::Scope(_))
    }

    /// What an answer may say of the other tenant: nothing but what was asked for.
    #[track_caller]
    fn hides(route: &Route, path: &str, answer: &Answer) {
        let what = format!("{} {path}: {answer:?}", route.method);
        let shown = answer.text.replace("foreign-1", "");
        assert!(!shown.contains(FOREIGN), "{what}");
        if route.path.contains('{') {
            assert!(matches!(answer.status.as_u16(), 403 | 404), "{what}");
        }
    }

    pub(super) async fn no_route_shows_or_changes_an_order_of_another_tenant(place: Place) {
        let mut api = place.serve().await;
        let foreign = foreign(&api).await;
        let before = api.database.order("foreign-1").await.unwrap();
        let token = token_of(&api.database, &[Scope::Admin], None, Some("acme")).await;
        api.token = Some(token.clone());
        for route in routes(Surface::Api).filter(is_scoped) {
            let mut path = path(route, &foreign);
            if path.ends_with("/v1/events") {
                continue;
            }
            let body = match (route.method.as_str(), route.path) {
                ("POST", "/v1/orders") => {
                    path.push_str("?template=flora&revise=true");
                    document("foreign-1")
                }
                ("POST", "/v1/bulk") => {
                    let filter = json!({ "states": ["failed"] });
                    json!({ "action": "retry", "filter": filter, "dry_run": true })
                }
                _ => document("foreign-1"),
            };
            let answer = api.send(route.method.clone(), &path, &body).await;
            hides(route, &path, &answer);
            match (route.method.as_str(), route.path) {
                ("POST", "/v1/orders") => answer.is_problem(409, "id_in_use"),
                ("POST", "/v1/bulk") => assert_eq!(answer.body["selected"], 0, "{answer:?}"),
                ("GET", "/v1/stats") => assert_eq!(answer.body["orders"]["failed"], 0),
                ("GET", "/v1/cost") => assert_eq!(answer.body["total"]["calls"], 0),
                ("GET", "/v1/orders/{id}") => answer.is_problem(404, "no_such_order"),
                ("GET", "/v1/bulk/{id}") => answer.is_problem(404, "no_such_bulk"),
                ("GET", "/v1/failures/{fingerprint}") => answer.is_problem(404, "no_such_failure"),
                ("GET", "/v1/audit" | "/metrics") | ("POST", "/v1/queue/pause") => {
                    answer.is_problem(403, "forbidden");
                }
                _ => {}
            }
        }
        for path in ["/v1/orders?tenant=foreign", "/v1/orders?template=flora&tenant=foreign"] {
            let method = if path.contains("template") { Method::POST } else { Method::GET };
            let answer = api.send(method, path, &document("new-1")).await;
            answer.is_problem(403, "forbidden");
        }
        let filter = json!({ "action": "cancel", "filter": { "tenant": FOREIGN } });
        let answer = api.send(Method::POST, "/v1/bulk", &filter).await;
        answer.is_problem(403, "forbidden");
        assert!(answer.body["hint"].as_str().unwrap().contains("of tenant \"acme\""), "{answer:?}");

        let browser = Browser::new(&api);
        browser.log_in(&token).await;
        let home = browser.get("/console").await;
        assert_eq!(home.header("location"), "/console/orders");
        let list = browser.page("/console/orders?text=foreign-1").await;
        assert!(list.contains("No order fits"), "{list}");
        let csrf = secret(&list).unwrap();
        for page in pages(Surface::Api).filter(is_scoped) {
            let mut path = path(page, &foreign);
            if path == "/console/events" || path == "/console/logout" {
                continue;
            }
            let answer = if page.method == "GET" {
                if path == "/console/bulk" {
                    path.push_str("?do=retry&state=failed");
                }
                browser.get(&path).await
            } else {
                // Fields that a form does not have are refused before it does anything.
                let own: &[(&str, &str)] = match page.path {
                    "/console/bulk" => {
                        &[("do", "retry"), ("state", "dead"), ("until", "0"), ("most", "9")]
                    }
                    "/console/orders/{id}/erase" => &[("confirm", "foreign-1")],
                    "/console/failures/{fingerprint}/retry" => &[("until", "0"), ("most", "9")],
                    "/console/holds/set" | "/console/holds/release" => &[("hold", "route:default")],
                    _ => &[],
                };
                let csrf = [("csrf", csrf.as_str())];
                let fields: Vec<(&str, &str)> = csrf.iter().chain(own).copied().collect();
                browser.form(&path, &fields).await
            };
            hides(page, &path, &answer);
        }
        let after = api.database.order("foreign-1").await.unwrap();
        assert_eq!(before, after);
        assert!(!api.database.is_paused().await.unwrap());
        assert_eq!(api.database.holds().await.unwrap(), []);
        let run = api.database.bulk_run(&foreign.bulk).await.unwrap().unwrap();
        assert_ne!(run.reason.as_deref(), Some("somebody stopped it"));
    }

    pub(super) async fn a_tenant_adds_lists_counts_and_changes_its_own_orders(place: Place) {
        let mut api = place.serve().await;
        foreign(&api).await;
        let record = failed(&api, "own-1", "acme").await;
        let token = token_of(&api.database, &[Scope::Admin], None, Some("acme")).await;
        api.token = Some(token.clone());
        // A bundle has the template and the models of all tenants in it.
        let bundle = format!("/v1/failures/records/{record}/bundle");
        api.get(&bundle).await.is_problem(403, "forbidden");
        let browser = Browser::new(&api);
        browser.log_in(&token).await;
        let page = browser.page(&format!("/console/records/{record}")).await;
        assert!(page.contains("Replay here") && !page.contains("Export bundle"), "{page}");
        // The reason of a hold may quote a failure of another tenant.
        let hold = NewHold::by_operator(HoldId::new(HoldKind::Route, "default"), Some(FOREIGN));
        api.database.hold(hold).await.unwrap();
        let own = api.get("/v1/failures").await.body["groups"][0]["fingerprint"].clone();
        for path in [
            "/console/orders/own-1/retry".to_owned(),
            format!("/console/failures/{}/retry", own.as_str().unwrap()),
            "/console/bulk?do=retry&state=failed".to_owned(),
            "/console/ai".to_owned(),
        ] {
            let page = browser.page(&path).await;
            assert!(!page.contains(FOREIGN), "{path}: {page}");
            // It neither says that no order waits, nor offers what is forbidden.
            assert!(!page.contains("waits for a hold") && !page.contains("Hold a route"), "{path}");
        }
        let released = api.database.release_hold(&HoldId::new(HoldKind::Route, "default")).await;
        assert!(released.unwrap());
        api.add("own-2").await;
        assert_eq!(api.database.order("own-2").await.unwrap().tenant.as_deref(), Some("acme"));
        let listed = |answer: Answer| -> Vec<String> {
            let orders = answer.body["orders"].as_array().unwrap();
            orders.iter().map(|order| order["id"].as_str().unwrap().to_owned()).collect()
        };
        for (query, ids) in [
            ("", &["own-2", "own-1"][..]),
            ("?state=failed", &["own-1"]),
            ("?template=flora&tenant=acme", &["own-2"]),
            ("?state=queued&template=acme-template", &[]),
        ] {
            assert_eq!(listed(api.get(&format!("/v1/orders{query}")).await), ids, "{query}");
        }
        let page = api.get("/v1/orders?limit=1").await;
        let next = page.body["next"].as_str().unwrap();
        let next = api.get(&format!("/v1/orders?limit=1&cursor={next}")).await;
        assert_eq!(listed(next), ["own-1"]);
        let stats = api.get("/v1/stats").await.body;
        assert_eq!(
            (&stats["orders"]["failed"], &stats["orders"]["queued"]),
            (&json!(1), &json!(1))
        );
        let cost = api.get("/v1/cost?by=model").await.body;
        assert_eq!(
            (&cost["total"]["calls"], &cost["rows"][0]["model"]),
            (&json!(1), &json!("acme-model"))
        );
        assert_eq!(api.get("/v1/failures").await.body["groups"][0]["orders"], 1);
        assert_eq!(api.get("/v1/failures?flat=true").await.body["failures"][0]["order"], "own-1");

        let body = json!({ "action": "retry", "filter": { "states": ["failed"] } });
        let started = api.send(Method::POST, "/v1/bulk", &body).await;
        let path = format!("/v1/bulk/{}", started.body["run"]["id"].as_str().unwrap());
        until("it has ended", || async { api.get(&path).await.body["state"] == "done" }).await;
        assert_eq!(api.get(&path).await.body["changed"], 1);
        let foreign = api.database.order("foreign-1").await.unwrap();
        assert_eq!(foreign.state, OrderState::Failed);
        let answer = api.post("/v1/orders/own-1/cancel").await;
        assert_eq!(answer.body["outcome"], "cancelled", "{answer:?}");
        // Its order waits for a hold that an order of another tenant caused.
        let hold = NewHold {
            id: HoldId::new(HoldKind::Template, "flora"),
            cause: HoldCause::Circuit,
            reason: message!("the last page said {FOREIGN}"),
            fingerprint: Some("5f1c".to_owned()),
            probing: Probing::Never,
        };
        let claimed = api.claim("own-2").await;
        api.complete(&claimed, Resolution::Hold { failure: None, hold: Box::new(hold) }).await;
        let order = api.get("/v1/orders/own-2").await.body.to_string();
        let page = browser.page("/console/orders/own-2").await;
        for shown in [order, page] {
            assert!(shown.contains("group 5f1c") && !shown.contains(FOREIGN), "{shown}");
        }
        // Without its tenant, the same token's orders are those of everybody.
        api.token = Some(new_token(&api.database, &[Scope::Read], None).await);
        assert_eq!(listed(api.get("/v1/orders").await).len(), 3);
    }

    pub(super) async fn a_tenant_follows_only_its_own_orders(place: Place) {
        let mut api = place.serve().await;
        let token = token_of(&api.database, &[Scope::Read], None, Some("acme")).await;
        api.token = Some(token);
        // Also what was before.
        failed(&api, "foreign-1", FOREIGN).await;
        let mut live = Stream::open(&api, "/v1/events", Some(0)).await;
        for (id, tenant) in [("foreign-2", FOREIGN), ("own-1", "acme")] {
            failed(&api, id, tenant).await;
        }
        let seen = live.next().await.unwrap();
        assert_eq!(seen.data["order"], "own-1", "{seen:?}");
    }
}
