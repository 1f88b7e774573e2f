//! `/v1/orders` from an order's first request to its erasure.

on_both!(
    an_order_is_added_once_and_shown,
    an_order_goes_through_its_life,
    an_order_waits_for_its_due_time,
    lists_are_complete_page_by_page,
    lists_have_what_fits_every_filter,
    what_cannot_be_done_says_why,
    a_language_that_the_template_does_not_write_is_refused_at_once,
    an_id_that_names_no_folder_is_found_as_it_was_sent,
);

mod tests {
    use crate::*;

    pub(super) async fn an_order_is_added_once_and_shown(place: Place) {
        let api = place.serve().await;
        let path = "/v1/orders?template=flora&priority=1";
        let dry = api.send(Method::POST, &format!("{path}&dry_run=true"), &document("24")).await;
        assert_eq!((dry.status, &dry.body["outcome"]), (StatusCode::OK, &json!("valid")));
        assert_eq!(api.get("/v1/orders/24").await.status, StatusCode::NOT_FOUND);

        let added = api.send(Method::POST, path, &document("24")).await;
        assert_eq!(added.status, StatusCode::ACCEPTED, "{added:?}");
        assert_eq!(added.header("location"), "/v1/orders/24");
        assert_eq!(added.body["outcome"], "new");
        assert!(added.body["job"].is_i64(), "{added:?}");

        let again = api.send(Method::POST, path, &document("24")).await;
        assert_eq!(
            (again.status, &again.body["outcome"]),
            (StatusCode::OK, &json!("already_queued"))
        );
        assert_eq!(again.header("location"), "/v1/orders/24");

        let mut other = document("24");
        other["business_name"] = json!("Flora II");
        let differs = api.send(Method::POST, path, &other).await;
        differs.is_problem(409, "order_differs");
        assert_eq!(differs.body["differs"], "document");
        assert_eq!(differs.body["fields"], json!(["/business_name"]), "{differs:?}");

        let shown = api.get("/v1/orders/24").await;
        assert_eq!(shown.status, StatusCode::OK);
        assert_eq!(shown.body["order"]["state"], "queued");
        assert_eq!(shown.body["order"]["priority"], 1);
        let stored = api.get("/v1/orders/24/document").await;
        assert_eq!(stored.body["business_name"], "Flora");

        let revised = api.send(Method::POST, &format!("{path}&revise=true"), &other).await;
        assert_eq!((revised.status, &revised.body["revision"]), (StatusCode::ACCEPTED, &json!(2)));
        let stored = api.get("/v1/orders/24/document").await;
        assert_eq!(stored.body["business_name"], "Flora II");
    }

    pub(super) async fn an_order_waits_for_its_due_time(place: Place) {
        let api = place.serve().await;
        let add = async |due: &str, dry: bool| {
            let path = format!("/v1/orders?template=flora&due={due}&dry_run={dry}");
            api.send(Method::POST, &path, &document("24")).await
        };
        for wrong in ["tomorrow", "2026-12-24", "1764403200000", "9999-01-01T00:00:00Z", "2h"] {
            for dry in [true, false] {
                let refused = add(wrong, dry).await;
                refused.is_problem(422, "order_refused");
                let detail = refused.body["detail"].as_str().unwrap();
                assert!(detail.contains("`due`") && detail.contains(wrong), "{detail}");
            }
        }
        let in_an_hour = time::OffsetDateTime::now_utc() + time::Duration::hours(1);
        let due = in_an_hour.replace_nanosecond(0).unwrap();
        let text = due.format(&time::format_description::well_known::Rfc3339).unwrap();
        let added = add(text.as_str(), false).await;
        assert_eq!(added.status, StatusCode::ACCEPTED, "{added:?}");
        let ms = json!(due.unix_timestamp() * 1_000);
        assert_eq!((&added.body["state"], &added.body["due_at"]), (&json!("waiting"), &ms));
        let shown = api.get("/v1/orders/24").await.body["order"].clone();
        assert_eq!(shown["state"], "waiting");
        assert_eq!((&shown["due_at"], &shown["next_attempt_at"]), (&ms, &ms));
        assert!(shown["waiting_reason"].as_str().unwrap().contains("due time"), "{shown}");
        // It keeps what it has, and one that is past means nothing.
        assert_eq!(add("2020-01-01T00:00:00Z", false).await.body["outcome"], "already_queued");
        assert_eq!(api.get("/v1/orders/24").await.body["order"]["due_at"], ms);
        let past = "/v1/orders?template=flora&due=2020-01-01T00:00:00%2B01:00";
        let queued = api.send(Method::POST, past, &document("25")).await;
        assert_eq!(
            (&queued.body["state"], &queued.body["due_at"]),
            (&json!("queued"), &Value::Null)
        );
    }

    pub(super) async fn an_order_goes_through_its_life(place: Place) {
        let api = place.serve().await;
        api.add("7").await;
        let put = |body: Value| {
            let api = &api;
            async move { api.send(Method::PUT, "/v1/orders/7/document", &body).await }
        };
        assert_eq!(put(document("7")).await.body["outcome"], "unchanged");
        let mut changed = document("7");
        changed["business_name"] = json!("Fauna");
        let revised = put(changed.clone()).await;
        assert_eq!(
            (revised.status, &revised.body["outcome"]),
            (StatusCode::ACCEPTED, &json!("queued"))
        );

        let claimed = api.claim("7").await;
        let mut third = document("7");
        third["business_name"] = json!("Fungi");
        put(third).await.is_problem(409, "not_ended");
        let stopping = api.post("/v1/orders/7/cancel").await;
        assert_eq!(
            (stopping.status, &stopping.body["outcome"]),
            (StatusCode::ACCEPTED, &json!("stopping"))
        );
        api.post("/v1/orders/7/retry").await.is_problem(409, "not_ended");
        api.complete(&claimed, Resolution::Failed { failure: failure("trap") }).await;

        let ended = api.get("/v1/orders/7").await;
        assert_eq!(ended.body["attempts"].as_array().unwrap().len(), 1, "{ended:?}");
        let retried = api.post("/v1/orders/7/retry").await;
        assert_eq!(retried.status, StatusCode::ACCEPTED, "{retried:?}");
        assert_eq!(retried.header("location"), "/v1/orders/7");
        let cancelled = api.post("/v1/orders/7/cancel").await;
        assert_eq!(cancelled.body["outcome"], "cancelled");
        assert_eq!(api.post("/v1/orders/7/cancel").await.body["outcome"], "already_ended");

        let erased = send(api.request(Method::DELETE, "/v1/orders/7")).await;
        assert_eq!((erased.status, &erased.body["rows"]["orders"]), (StatusCode::OK, &json!(1)));
        api.get("/v1/orders/7").await.is_problem(404, "no_such_order");
        let refused = api.send(Method::POST, "/v1/orders?template=flora", &document("7")).await;
        refused.is_problem(422, "order_refused");
        assert!(refused.body["detail"].as_str().unwrap().contains("erased"), "{refused:?}");
    }

    pub(super) async fn lists_are_complete_page_by_page(place: Place) {
        let api = place.serve().await;
        let ids: Vec<String> = (0..23).map(|n| format!("o{n}")).collect();
        let orders = ids.iter().map(|id| {
            sitewright_jobs::NewOrder::new(id.as_str(), "flora", document(id).to_string())
        });
        // In one transaction, so that most have the same time.
        api.database.enqueue_all(orders.collect()).await.unwrap();
        api.post("/v1/orders/o3/cancel").await;
        for (query, count) in [
            ("", 23),
            ("&state=queued", 22),
            ("&template=flora&state=cancelled", 1),
            ("&template=x", 0),
        ] {
            let mut found = Vec::new();
            let mut cursor = String::new();
            loop {
                let page = api.get(&format!("/v1/orders?limit=5{query}{cursor}")).await;
                assert_eq!(page.status, StatusCode::OK, "{page:?}");
                let orders = page.body["orders"].as_array().unwrap();
                found.extend(orders.iter().map(|order| order["id"].as_str().unwrap().to_owned()));
                match page.body["next"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(found.len(), count, "{query}: {found:?}");
            let different: BTreeSet<&String> = found.iter().collect();
            assert_eq!(different.len(), count, "{query}: {found:?}");
        }
    }

    pub(super) async fn lists_have_what_fits_every_filter(place: Place) {
        let api = place.serve().await;
        for number in 0..12 {
            let id = format!("o{number:02}");
            let mut body = document(&id);
            if number == 3 {
                body["business_name"] = json!("100% \"Flör_a\"");
            }
            let added = api.send(Method::POST, "/v1/orders?template=flora", &body).await;
            assert_eq!(added.status, StatusCode::ACCEPTED, "{added:?}");
        }
        for (id, kind) in [("o01", "trap"), ("o02", "ai"), ("o05", "trap")] {
            let claimed = api.claim(id).await;
            api.complete(&claimed, Resolution::Failed { failure: failure(kind) }).await;
        }
        let failures = api.get("/v1/failures?flat=true&kind=trap").await;
        let cause = failures.body["failures"][0]["fingerprint"].as_str().unwrap().to_owned();
        let of_cause = format!("fingerprint={}", cause[..8].to_ascii_uppercase());
        let others = "o00 o03 o04 o06 o07 o08 o09 o10 o11";
        let all = "o00 o01 o02 o03 o04 o05 o06 o07 o08 o09 o10 o11";
        for (query, wanted) in [
            ("kind=trap", "o01 o05"),
            ("kind=ai&state=failed", "o02"),
            ("kind=ai&state=queued", ""),
            ("kind=deadline", ""),
            (of_cause.as_str(), "o01 o05"),
            ("fingerprint=00000000", ""),
            // A text is no pattern, and quotes of it are found although JSON escapes them.
            ("text=100%25", "o03"),
            ("text=%25+%22fl", "o03"),
            ("text=R_A", "o03"),
            ("text=Fl%25a", ""),
            ("text=F_ora", ""),
            ("text=fLORA&kind=trap", "o01 o05"),
            ("created_after=1h", all),
            ("created_after=1h&created_before=2999-01-01", all),
            ("created_before=1h", ""),
            ("ended_after=1h", "o01 o02 o05"),
            ("ended_after=1h&state=queued", ""),
            ("ended_before=1h", ""),
            ("created_after=1h&state=queued", others),
        ] {
            let (mut found, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = api.get(&format!("/v1/orders?limit=2&{query}{cursor}")).await;
                assert_eq!(page.status, StatusCode::OK, "{query}: {page:?}");
                let orders = page.body["orders"].as_array().unwrap();
                found.extend(orders.iter().map(|order| order["id"].as_str().unwrap().to_owned()));
                match page.body["next"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            // The newest is the first; some came within the same millisecond.
            found.sort();
            assert_eq!(found.join(" "), wanted, "{query}");
        }
    }

    /// The template writes English and Portuguese. A language, the operator's fallback, and what is
    /// said: empty if the order is taken without a word.
    pub(super) async fn a_language_that_the_template_does_not_write_is_refused_at_once(
        place: Place,
    ) {
        let table = [
            ("en-GB", None, 202, ""),
            ("pt", None, 202, ""),
            ("fi", None, 422, "does not write `fi`"),
            ("fi", Some("fr"), 422, "does not write `fi`"),
            ("fi", Some("en"), 202, "is made in `en`"),
        ];
        let database = place.database().await;
        for (at, (locale, fallback, status, said)) in table.into_iter().enumerate() {
            let mut parts = place.parts(database.clone(), settings());
            parts.languages.fallback = fallback.map(|tag| tag.parse().unwrap());
            let api = Api::start(parts, database.clone()).await;
            let mut body = document(&format!("l{at}"));
            body["locale"] = json!(locale);
            for dry in [true, false] {
                let path = format!("/v1/orders?template=flora&dry_run={dry}");
                let answer = api.send(Method::POST, &path, &body).await;
                let expected = if dry && status == 202 { 200 } else { status };
                assert_eq!(answer.status.as_u16(), expected, "{locale} {dry}: {answer:?}");
                let list = if status == 202 { "warnings" } else { "problems" };
                let found = answer.body[list].as_array().cloned().unwrap_or_default();
                let about: Vec<_> =
                    found.iter().filter(|one| one["pointer"] == "/locale").collect();
                assert_eq!(about.len(), usize::from(!said.is_empty()), "{locale}: {answer:?}");
                assert!(
                    about.iter().all(|one| one["message"].as_str().unwrap().contains(said)),
                    "{locale}: {answer:?}"
                );
            }
            let path = format!("/v1/orders/l{at}");
            let is_there = api.get(&path).await.status == StatusCode::OK;
            assert_eq!(is_there, status == 202, "{locale}");
        }
        // Another document of an order that is there.
        let api = place.serve().await;
        let mut body = document("l0");
        body["locale"] = json!("fi");
        let revised = api.send(Method::PUT, "/v1/orders/l0/document", &body).await;
        revised.is_problem(422, "invalid_order");
    }

    pub(super) async fn an_id_that_names_no_folder_is_found_as_it_was_sent(place: Place) {
        let api = place.serve().await;
        let added =
            api.send(Method::POST, "/v1/orders?template=flora", &document("2026/117")).await;
        assert_eq!(added.status, StatusCode::ACCEPTED, "{added:?}");
        let kept = added.body["order"].as_str().unwrap().to_owned();
        assert!(kept.starts_with("2026-117-"), "{kept}");
        for id in [kept.as_str(), "2026%2F117"] {
            let shown = api.get(&format!("/v1/orders/{id}")).await;
            assert_eq!(shown.body["order"]["id"], json!(kept), "{id}: {shown:?}");
        }
    }

    pub(super) async fn what_cannot_be_done_says_why(place: Place) {
        let api = place.serve().await;
        api.add("1").await;
        let post = |query: &'static str, body: Value| {
            let api = &api;
            async move { api.send(Method::POST, &format!("/v1/orders{query}"), &body).await }
        };
        let body = json!({ "id": "2", "primary_color": "very blue" });
        let invalid = post("?template=flora", body).await;
        invalid.is_problem(422, "invalid_order");
        let problems = invalid.body["problems"].as_array().unwrap();
        assert!(!problems.is_empty() && problems.iter().all(|one| one["pointer"].is_string()));
        assert_eq!(invalid.body["order"], "2");
        let warnings = invalid.body["warnings"].as_array().unwrap();
        let warned: Vec<_> =
            warnings.iter().map(|one| (one["pointer"].as_str(), one["level"].as_str())).collect();
        assert!(warned.contains(&(Some("/primary_color"), Some("warning"))), "{invalid:?}");
        let unknown = post("?template=fauna", document("2")).await;
        unknown.is_problem(422, "no_such_template");
        assert_eq!(unknown.body["templates"], json!(["flora"]));
        for query in [
            "",
            "?template=flora&priority=9",
            "?template=flora&colour=red",
            "?template=flora&dry_run=x",
        ] {
            post(query, document("2")).await.is_problem(400, "bad_request");
        }
        for path in [
            "/v1/orders?state=lost",
            "/v1/orders?limit=0",
            "/v1/orders?limit=1001",
            "/v1/orders?cursor=x",
            "/v1/orders?kind=bad",
            "/v1/orders?fingerprint=xyz",
            "/v1/orders?text=",
            "/v1/orders?created_after=yesterday",
            "/v1/orders?ended_before=2026-13-01",
            "/v1/failures?kind=bad",
            "/v1/failures?since=yesterday",
        ] {
            api.get(path).await.is_problem(400, "bad_request");
        }
        let text = api.request(Method::POST, "/v1/orders?template=flora").body("{}");
        send(text).await.is_problem(415, "unsupported_media_type");
        let mine = document("2");
        let foreign = api.send(Method::PUT, "/v1/orders/1/document", &mine).await;
        foreign.is_problem(400, "other_order");
        api.send(Method::PUT, "/v1/orders/2/document", &mine)
            .await
            .is_problem(404, "no_such_order");
        for (method, path) in [
            (Method::GET, "/v1/orders/2"),
            (Method::GET, "/v1/orders/2/document"),
            (Method::GET, "/v1/orders/2/events"),
            (Method::POST, "/v1/orders/2/cancel"),
            (Method::POST, "/v1/orders/2/retry"),
            (Method::DELETE, "/v1/orders/2"),
        ] {
            send(api.request(method, path)).await.is_problem(404, "no_such_order");
        }
        api.get("/v1/failures/abc").await.is_problem(404, "no_such_failure");
        api.get("/v1/failures/records/abc").await.is_problem(404, "no_such_failure");
        api.get("/v2/orders").await.is_problem(404, "no_such_path");
        let wrong = send(api.request(Method::PATCH, "/v1/orders/1")).await;
        wrong.is_problem(405, "method_not_allowed");
        let mut allowed: Vec<&str> = wrong.header("allow").split(", ").collect();
        allowed.sort_unstable();
        assert_eq!(allowed, ["DELETE", "GET"]);

        let keyed = |id: &'static str| {
            api.request(Method::POST, "/v1/orders?template=flora")
                .header("idempotency-key", "k1")
                .json(&document(id))
        };
        assert_eq!(send(keyed("3")).await.status, StatusCode::ACCEPTED);
        let used = send(keyed("4")).await;
        used.is_problem(409, "key_in_use");
        assert_eq!(used.body["order"], "3");
    }
}
