//! The console: every page and form over HTTP, who may see and do what, and that nothing a stranger
//! wrote is more than text.

use std::collections::BTreeMap;

use sitewright_jobs::{NewAiCall, NewEvent, NewOrder, OrderState};
use sitewright_model::Measure;
use sitewright_model::ai::{AiError, AiErrorKind, Attempt, AttemptOutcome};
use sitewright_model::failure::{
    Diagnostic, FailureKind, FailureRecord, Frame, LogTail, Problem, Severity, SourceExcerpt,
    TrailEntry, TrailOutcome, TrapCode, TrapRecord,
};
use sitewright_server::{Access, pages};
use strum::VariantArray as _;

use crate::visitor::{Browser, field, is_secure, secret};
use crate::*;

/// What strangers write into everything that they can write.
const EVIL: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>`${7*7}`{{7*7}}\
                    \u{202e}\u{1b}[31m\u{200b}\u{7f}&amp;";

/// A record that has all that a record can have, with this text in it.
fn record(order: &str, attempt: &str, text: &str) -> FailureRecord {
    let of = of_attempt(order, attempt);
    let frame = |own| Frame {
        function: format!("render_menu {text}"),
        file: Some(format!("src/menu.rs {text}")),
        line: Some(41),
        column: None,
        own,
        inlined: false,
        offset: None,
    };
    let tried: Attempt = serde_json::from_value(json!({
        "provider": text, "model": text, "started_ms": 1, "status": 503, "request_id": text,
        "body_excerpt": text, "duration_ms": 12, "outcome": "overloaded", "message": text,
    }))
    .unwrap();
    assert!(matches!(tried.outcome, AttemptOutcome::Failed(_)));
    FailureRecord {
        causes: vec![message!("a cause {text}")],
        attributes: BTreeMap::from([(text.to_owned(), text.to_owned())]),
        code: Some(text.to_owned()),
        stage: text.to_owned(),
        trap: Some(TrapRecord {
            code: TrapCode::Unreachable,
            message: text.to_owned(),
            frames: vec![frame(true), frame(false)],
            symbols_missing: Some(text.to_owned()),
        }),
        ai: Some(AiError {
            kind: AiErrorKind::Overloaded,
            message: message!("the provider said {text}"),
            call_id: None,
            purpose: text.to_owned(),
            http: None,
            attempts: vec![tried],
            causes: Vec::new(),
            retryable: true,
            retry_after_ms: None,
        }),
        problems: vec![Problem {
            at: text.to_owned(),
            rule: Some(text.to_owned()),
            message: text.to_owned(),
        }],
        source: Some(SourceExcerpt {
            file: text.to_owned(),
            line: 41,
            first: 40,
            lines: vec![text.to_owned(), text.to_owned()],
        }),
        trail: vec![TrailEntry {
            seq: 1,
            at_ms: 3,
            call: text.to_owned(),
            args: text.to_owned(),
            bytes: None,
            reply_bytes: None,
            digest: None,
            count: 1,
            duration_us: Some(1_000),
            until: None,
            waited_ms: 0,
            outcome: TrailOutcome::Error(text.to_owned()),
            call_id: None,
        }],
        diagnostics: vec![Diagnostic {
            seq: None,
            at_ms: 1,
            severity: Severity::Warning,
            code: text.to_owned(),
            message: message!("reported {text}"),
            causes: Vec::new(),
            location: None,
            attributes: BTreeMap::new(),
        }],
        log: LogTail { text: format!("INFO {text}\nWARN {text}"), dropped_bytes: 0 },
        stderr: text.to_owned(),
        limits: BTreeMap::from([
            ("memory_bytes".to_owned(), Measure { max: 100, used: 90 }),
            (text.to_owned(), Measure { max: 10, used: 11 }),
        ]),
        ..FailureRecord::without_run(FailureKind::Panic, message!("it said {text}"), of)
    }
}

/// Adds an order and lets it fail with this text in its record. The record's id.
async fn fail(api: &Api, id: &str, text: &str) -> String {
    api.add(id).await;
    let claimed = api.claim(id).await;
    let record = record(id, &claimed.attempt.to_string(), text);
    let record = sitewright_failure::fingerprint::stamped(record);
    api.complete(&claimed, Resolution::Failed { failure: NewFailure::from(&record) }).await;
    record.id
}

async fn fingerprint(api: &Api, record: &str) -> String {
    let failure = api.database.failure(record).await.unwrap().unwrap();
    failure.record["fingerprint"].as_str().unwrap().to_owned()
}

on_both!(
    every_page_is_shown_and_every_form_does_what_it_says,
    what_strangers_write_is_text_on_every_page,
    orders_are_found_by_all_filters,
    all_orders_of_a_cause_are_retried_and_no_others,
);

mod tests {
    use super::*;

    pub(super) async fn every_page_is_shown_and_every_form_does_what_it_says(place: Place) {
        let mut api = place.serve().await;
        api.add("1").await;
        let record = fail(&api, "2", "the menu has no price").await;
        let fingerprint = fingerprint(&api, &record).await;
        api.log_in(&[Scope::Admin]).await;
        let token = api.token.clone().unwrap();
        let browser = Browser::new(&api);
        let answer = browser.log_in(&token).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/console"));

        for (path, says) in [
            ("/console".to_owned(), "No worker runs: 1 order is not made."),
            ("/console".to_owned(), "Ended per hour, the last 24 hours"),
            ("/console?per=minute".to_owned(), "Ended per minute, the last 60 minutes"),
            ("/console?per=minute".to_owned(), "in the last 60 minutes: 0 succeeded, 1 failed"),
            ("/console/orders".to_owned(), "href=\"/console/orders/2\""),
            ("/console/orders/1".to_owned(), "It waits for a worker with room."),
            ("/console/orders/2".to_owned(), "It failed for good"),
            ("/console/orders/1/erase".to_owned(), "This cannot be undone"),
            ("/console/orders/1/cancel".to_owned(), "It is not made."),
            ("/console/orders/1/retry".to_owned(), "it is queued."),
            ("/console/orders/2/retry".to_owned(), "with all its attempts, behind 1 order."),
            ("/console/orders/2/retry".to_owned(), "No AI reply has been paid for so far."),
            ("/console/orders/2/cancel".to_owned(), "there is nothing to cancel"),
            ("/console/queue/resume".to_owned(), "The queue is not paused."),
            ("/console/failures".to_owned(), "the menu has no price"),
            (format!("/console/failures/{fingerprint}"), "Retry this order…"),
            (format!("/console/failures/{fingerprint}/retry"), "1 order is queued again"),
            (format!("/console/records/{record}"), "render_menu"),
            ("/console/templates".to_owned(), "href=\"/console/templates/flora\""),
            ("/console/templates/flora".to_owned(), "No worker has it: its orders wait for one."),
            ("/console/templates/flora".to_owned(), "105 hold, 1 are broken, 1 were not checked."),
            ("/console/templates/flora".to_owned(), "ai/escaped"),
            ("/console/templates/flora".to_owned(), "with 57 orders, by 0.1.0+1a2b."),
            ("/console/templates/flora".to_owned(), "Failures: 1 in 24 h"),
            ("/console/settings".to_owned(), "session.begin"),
            ("/console/settings".to_owned(), "<span class=\"sub\">/etc/sitewright.toml</span>"),
            ("/console/settings".to_owned(), "<span class=\"sub\">default</span>"),
            ("/console/audit".to_owned(), "session.begin"),
        ] {
            let html = browser.page(&path).await;
            assert!(html.contains(says), "{path}: {says}\n{html}");
            assert!(!html.contains("style=") && !html.contains("<style"), "{path}");
            assert_eq!(html.matches("<script").count(), 1, "{path}");
            assert!(html.contains("name=\"csrf\""), "{path}: the form that logs out");
        }
        let markdown = browser.get(&format!("/console/records/{record}/markdown")).await;
        assert_eq!(markdown.header("content-type"), "text/plain; charset=utf-8");
        assert!(markdown.text.starts_with("# `panic`"), "{}", markdown.text);
        is_secure("markdown", &markdown);
        let sent = browser.get("/console/orders/1/document").await;
        assert_eq!(sent.body["id"], "1");
        let home = browser.get("/").await;
        assert_eq!((home.status.as_u16(), home.header("location")), (303, "/console"));

        // Style, script and icon: those that the pages name, and for ever.
        let html = browser.page("/console").await;
        let names: Vec<&str> =
            html.split(['"']).filter(|text| text.starts_with("/console/assets/")).collect();
        assert_eq!(names.len(), 4, "{names:?}");
        for name in names {
            let file = browser.get(name).await;
            assert_eq!(file.status, StatusCode::OK, "{name}");
            assert!(file.header("cache-control").contains("immutable"), "{name}");
            assert!(!file.header("content-type").contains("html"), "{name}");
        }
        assert_eq!(browser.get("/console/assets/style.css").await.status, StatusCode::NOT_FOUND);

        let state = async |id: &str| api.database.order(id).await.unwrap().state.to_string();
        let to = browser.act("/console/queue/pause", &[]).await;
        assert_eq!(
            (to.as_str(), api.database.is_paused().await.unwrap()),
            ("/console?did=paused", true)
        );
        assert!(browser.page(&to).await.contains("The queue is paused."));
        let asked = browser.page("/console/queue/resume").await;
        assert!(asked.contains("1 order is queued: workers claim them at once"), "{asked}");
        assert!(api.database.is_paused().await.unwrap(), "a question changes nothing");
        browser.act("/console/queue/resume", &[]).await;
        assert!(!api.database.is_paused().await.unwrap());
        let fields = [("hold", "template:flora"), ("reason", "a new version")];
        let to = browser.act("/console/holds/set", &fields).await;
        assert_eq!(to, "/console/templates?did=held");
        assert_eq!(api.database.holds().await.unwrap().len(), 1);
        assert!(browser.page(&to).await.contains("held by an operator: a new version"));
        let question = "/console/holds/release?hold=template%3Aflora";
        assert!(browser.page(&to).await.contains(&format!("href=\"{question}\"")));
        let asked = browser.page(question).await;
        for says in ["Release template:flora?", "a new version", "0 orders wait for it"] {
            assert!(asked.contains(says), "{says}: {asked}");
        }
        assert_eq!(api.database.holds().await.unwrap().len(), 1, "a question changes nothing");
        let to = browser.act("/console/holds/release", &[("hold", "template:flora")]).await;
        assert_eq!(to, "/console/templates?did=released");
        assert!(browser.page(question).await.contains("there is nothing to release"));
        let to = browser.act("/console/holds/release", &[("hold", "template:flora")]).await;
        assert_eq!(to, "/console/templates?did=not_held");
        let to = browser.act("/console/orders/1/cancel", &[]).await;
        assert_eq!(
            (to.as_str(), state("1").await.as_str()),
            ("/console/orders/1?did=cancelled", "cancelled")
        );
        assert!(browser.page(&to).await.contains("The order is cancelled."));
        let to = browser.act("/console/orders/1/retry", &[]).await;
        assert_eq!(
            (to.as_str(), state("1").await.as_str()),
            ("/console/orders/1?did=queued", "queued")
        );
        let path = format!("/console/failures/{fingerprint}/retry");
        let counted = field(&browser.page(&path).await, "until");
        let to = browser.act(&path, &[("until", &counted), ("most", "1")]).await;
        let run = to.strip_prefix("/console/bulk/").unwrap().to_owned();
        until("it is done", async || browser.page(&to).await.contains("It is done")).await;
        assert_eq!(state("2").await, "queued");
        assert!(browser.page(&to).await.contains("1 queued again"));
        assert!(browser.page(&path).await.contains("There is nothing to retry"));

        // Erasing wants the id.
        let csrf = browser.any_secret().await.unwrap();
        let wrong = [("csrf", csrf.as_str()), ("confirm", "2")];
        let answer = browser.form("/console/orders/1/erase", &wrong).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.text.contains("Nothing was erased"), "{}", answer.text);
        assert_eq!(state("1").await, "queued");
        let to = browser.act("/console/orders/1/erase", &[("confirm", "1")]).await;
        assert_eq!(to, "/console/orders?did=erased");
        let gone = browser.get("/console/orders/1").await;
        assert_eq!(gone.status, StatusCode::NOT_FOUND);
        assert!(gone.text.contains("<h1>There is no such order</h1>"), "{}", gone.text);
        is_secure("a page that is not there", &gone);
        let unknown = browser.get("/console/nothing").await;
        assert_eq!(unknown.status, StatusCode::NOT_FOUND);
        assert!(unknown.text.contains("<h1>There is no such path</h1>"), "{}", unknown.text);

        let to = browser.act("/console/logout", &[]).await;
        assert_eq!(to, "/console/login");
        let log = api.database.audit_log(i64::MAX, 100).await.unwrap();
        let mut log: Vec<(String, Option<String>, i64)> = log
            .into_iter()
            // The server writes it, whenever the change has ended.
            .filter(|entry| entry.action != "bulk.end")
            .map(|entry| {
                assert!(entry.client.starts_with("127.0.0.1:"), "{entry:?}");
                let is_local = entry.action == "order.add";
                assert_eq!(entry.actor, if is_local { "local" } else { "{admin}" });
                (entry.action, entry.target, entry.status)
            })
            .collect();
        log.reverse();
        let hold = Some("template:flora");
        let begun = format!("{run}: retry, 1 orders, state failed or dead, cause {fingerprint}");
        let wanted = [
            ("order.add", Some("1"), 202),
            ("order.add", Some("2"), 202),
            ("session.begin", None, 303),
            ("queue.pause", None, 303),
            ("queue.resume", None, 303),
            ("hold.set", hold, 303),
            ("hold.release", hold, 303),
            ("hold.release", hold, 303),
            ("order.cancel", Some("1"), 303),
            ("order.retry", Some("1"), 303),
            ("bulk.start", Some(begun.as_str()), 303),
            ("order.erase", Some("1"), 400),
            ("order.erase", Some("1"), 303),
            ("session.end", None, 303),
        ];
        let wanted = wanted
            .map(|(action, target, status)| (action.to_owned(), target.map(str::to_owned), status));
        assert_eq!(log, wanted);
    }

    pub(super) async fn what_strangers_write_is_text_on_every_page(place: Place) {
        let mut api = place.serve().await;
        let id: String = EVIL.chars().filter(|c| *c != '\0').take(150).collect();
        let document = json!({ "id": id, "business_name": EVIL }).to_string();
        let order = NewOrder {
            idempotency_key: Some(EVIL.to_owned()),
            ..NewOrder::new(&id, EVIL, document)
        };
        api.database.enqueue(order).await.unwrap();
        let claimed = api.claim(&id).await;
        let attempt = claimed.attempt.to_string();
        let event = NewEvent {
            order: id.clone(),
            attempt: Some(attempt.clone()),
            stage: EVIL.to_owned(),
            done: Some(1),
            total: Some(2),
            message: Some(EVIL.to_owned()),
        };
        api.database.record_events(vec![event]).await.unwrap();
        let call = NewAiCall {
            request: "0".repeat(64),
            occurrence: 0,
            purpose: EVIL.to_owned(),
            provider: EVIL.to_owned(),
            model: EVIL.to_owned(),
            cost_nano_usd: Some(1_000),
            input_tokens: Some(1),
            output_tokens: Some(2),
            took_ms: None,
            tries: Vec::new(),
            entry: json!({}),
        };
        api.database.keep_reply(&id, &attempt, call).await.unwrap();
        let mut evil = record(&id, &attempt, EVIL);
        evil.template.name = EVIL.to_owned();
        let evil = sitewright_failure::fingerprint::stamped(evil);
        let fingerprint = evil.fingerprint.clone().unwrap();
        api.complete(&claimed, Resolution::Failed { failure: NewFailure::from(&evil) }).await;
        api.log_in(&[Scope::Admin]).await;
        let browser = Browser::new(&api);
        let name = EVIL.chars().take(90).collect::<String>();
        let secret = sitewright_control::new_token().unwrap();
        let digest = sitewright_control::digest_of(&secret).unwrap();
        let scopes = BTreeSet::from([Scope::Admin]);
        let token = NewToken { name, digest, scopes, expires_at: None, tenant: None };
        api.database.add_token(token).await.unwrap();
        use secrecy::ExposeSecret as _;
        browser.log_in(secret.expose_secret()).await;
        let hold = format!("template:{EVIL}");
        let hold = sitewright_jobs::HoldId::named(&hold).unwrap();
        let hold = sitewright_jobs::NewHold::by_operator(hold, Some(EVIL));
        assert!(api.database.hold(hold).await.unwrap());
        // The digest of a version, beside the share of orders that failed with it.
        api.database.count_end("flora", EVIL, OrderState::Failed);
        api.database.store_ends().await.unwrap();

        let encoded =
            percent_encoding::utf8_percent_encode(&id, percent_encoding::NON_ALPHANUMERIC);
        let evil_query =
            percent_encoding::utf8_percent_encode(EVIL, percent_encoding::NON_ALPHANUMERIC);
        let mut seen = 0;
        for path in [
            "/console".to_owned(),
            "/console/orders".to_owned(),
            format!("/console/orders/{encoded}"),
            format!("/console/orders/{encoded}/erase"),
            format!("/console/orders/{encoded}/retry"),
            format!("/console/orders/{encoded}/cancel"),
            format!("/console/holds/release?hold=template%3A{evil_query}"),
            format!("/console/orders/{encoded}/releases"),
            format!("/console/orders/{encoded}/revise"),
            format!("/console/bulk?do=retry&template={evil_query}"),
            "/console/ai?since=month".to_owned(),
            format!("/console/webhooks?order={evil_query}"),
            format!("/console/hooks?order={evil_query}&hook={evil_query}"),
            "/console/failures?since=ever".to_owned(),
            format!("/console/failures/{fingerprint}"),
            format!("/console/failures/{fingerprint}/retry"),
            format!("/console/records/{}", evil.id),
            "/console/templates".to_owned(),
            "/console/settings".to_owned(),
            "/console/audit".to_owned(),
            format!("/console/orders?text=x{evil_query}&template={evil_query}"),
            format!("/console/failures?template={evil_query}"),
        ] {
            let html = browser.page(&path).await;
            is_text(&path, &html);
            seen += html.matches("alert(1)").count();
        }
        assert!(seen >= 40, "{seen}");
        // A change of many orders: its page, and where it is named.
        let now = sitewright_model::time::now_ms().to_string();
        let fields = [("do", "retry"), ("template", EVIL), ("until", now.as_str()), ("most", "1")];
        let change = browser.act("/console/bulk", &fields).await;
        assert!(change.starts_with("/console/bulk/"), "{change}");
        for path in [change.as_str(), "/console/orders", "/console/audit"] {
            is_text(path, &browser.page(path).await);
        }
        for path in [
            format!("/console/orders?state={evil_query}"),
            format!("/console/orders?kind={evil_query}"),
            format!("/console/orders?cursor={evil_query}"),
            format!("/console/failures?since={evil_query}"),
            format!("/console?per={evil_query}"),
            format!("/console/templates/{evil_query}"),
            format!("/console/failures/{evil_query}"),
            format!("/console/records/{evil_query}"),
            format!("/console/orders/{evil_query}x"),
            format!("/console/orders/{encoded}/use?release={evil_query}"),
            format!("/console/orders/{encoded}/compare?before={evil_query}&after=x"),
            format!("/console/bulk?do={evil_query}"),
            format!("/console/bulk/{evil_query}"),
            format!("/console/ai?since={evil_query}"),
            format!("/console/webhooks?state={evil_query}"),
            format!("/console/hooks?state={evil_query}"),
            format!("/console/deliveries/{evil_query}"),
            format!("/console/audit?before={evil_query}"),
            format!("/console/assets/{evil_query}"),
            format!("/console/{evil_query}"),
        ] {
            let answer = browser.get(&path).await;
            assert!(answer.status.is_client_error(), "{path}: {answer:?}");
            assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{path}");
            is_secure(&path, &answer);
            is_text(&path, &answer.text);
        }
    }

    /// Nothing of [`EVIL`] is an element, an attribute, or a character that is obeyed.
    #[track_caller]
    fn is_text(path: &str, html: &str) {
        assert_eq!(html.matches("<script").count(), 1, "{path}");
        assert_eq!(
            html.matches("<img").count(),
            usize::from(html.contains("class=\"brand\"")),
            "{path}"
        );
        let obeyed = html.chars().find(|c| *c != '\n' && sitewright_failure::render::is_obeyed(*c));
        assert_eq!(obeyed, None, "{path}");
        // Each attribute is in double quotes, so it ends where its value does.
        for tag in html.split('<').skip(1) {
            let tag = tag.split('>').next().unwrap();
            assert!(!tag.contains("onerror=") || !tag.ends_with("alert(2)"), "{path}: <{tag}>");
            assert_eq!(tag.matches('"').count() % 2, 0, "{path}: <{tag}>");
            assert!(!tag.contains('\'') && !tag.contains('`'), "{path}: <{tag}>");
        }
    }

    pub(super) async fn orders_are_found_by_all_filters(place: Place) {
        let api = place.serve().await;
        for number in 0..45 {
            api.add(&format!("Shop-{number:02}")).await;
        }
        fail(&api, "other-1", "x").await;
        let browser = Browser::new(&api);
        let ids = |html: &str| -> Vec<String> {
            html.split("<th scope=\"row\"><a href=\"/console/orders/")
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap().to_owned())
                .collect()
        };
        let found =
            async |query: &str| ids(&browser.page(&format!("/console/orders?{query}")).await);
        assert_eq!(found("text=OTHER").await, ["other-1"]);
        assert_eq!(found("kind=panic").await, ["other-1"]);
        assert_eq!(found("kind=panic&text=shop").await, [""; 0]);
        assert_eq!(found("state=failed&template=flora&kind=panic&text=-1").await, ["other-1"]);
        assert_eq!(found("state=queued&text=-1&template=").await.len(), 10);
        assert_eq!(found("template=nothing").await, [""; 0]);
        assert_eq!(found("text=%25").await, [""; 0], "no wildcard");
        assert_eq!(found("text=_").await, [""; 0]);
        let record = api.database.order("other-1").await.unwrap().last_failure.unwrap();
        let cause = fingerprint(&api, &record).await;
        let of_cause = format!("cause={}", &cause[..6]);
        assert_eq!(found(of_cause.as_str()).await, ["other-1"]);
        assert_eq!(found("contains=FLORA&kind=panic").await, ["other-1"]);
        assert_eq!(found("contains=fauna").await, [""; 0]);
        assert_eq!(found("from=2026-01-01&to=2999-01-01&kind=panic").await, ["other-1"]);
        assert_eq!(found("to=2026-01-01").await, [""; 0]);
        // Conditions in the search are those of the other fields.
        let typed = browser.get("/console/orders?text=state%3Afailed+other&template=").await;
        let page = "/console/orders?state=failed&text=other";
        assert_eq!((typed.status.as_u16(), typed.header("location")), (303, page));
        assert_eq!(found("state=failed&text=other").await, ["other-1"]);
        let typed = browser.get("/console/orders?text=state%3Anothing").await;
        let answer = browser.get(typed.header("location")).await;
        assert_eq!(answer.status.as_u16(), 400, "{answer:?}");
        let list = browser.page("/console/orders").await;
        for says in
            ["value=\"state:failed\"", "value=\"kind:panic\"", "What the search understands"]
        {
            assert!(list.contains(says), "{says}: {list}");
        }
        for wrong in ["cause=x", "from=7d", "to=yesterday"] {
            let answer = browser.get(&format!("/console/orders?{wrong}")).await;
            assert_eq!(answer.status.as_u16(), 400, "{wrong}");
        }
        // What a change of many orders does not know leads to none.
        let list = browser.page(&format!("/console/orders?cause={cause}")).await;
        assert!(list.contains(&format!("/console/bulk?do=retry&#38;cause={cause}")), "{list}");
        assert!(!browser.page("/console/orders?contains=flora").await.contains("/console/bulk?"));
        // Pages: each order once.
        for query in ["", "text=shop", "state=queued&text=shop", "state=queued"] {
            let html = browser.page(&format!("/console/orders?{query}")).await;
            let mut all = ids(&html);
            let next =
                html.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap();
            let html = browser.page(&next.replace("&#38;", "&")).await;
            assert!(!html.contains("rel=\"next\""), "{query}");
            all.extend(ids(&html));
            let wanted = if query.is_empty() { 46 } else { 45 };
            assert_eq!(all.len(), wanted, "{query}");
            all.sort();
            all.dedup();
            assert_eq!(all.len(), wanted, "{query}");
        }
        // A whole id leads to its order.
        let answer = browser.get("/console/orders?text=Shop-07").await;
        assert_eq!(answer.header("location"), "/console/orders/Shop-07");
    }

    pub(super) async fn all_orders_of_a_cause_are_retried_and_no_others(place: Place) {
        let api = place.serve().await;
        let mut record = String::new();
        // More than one batch.
        for number in 0..205 {
            record = fail(&api, &format!("same-{number}"), "same").await;
        }
        let cause = fingerprint(&api, &record).await;
        api.add("queued").await;
        let other = failure("trap");
        api.add("other").await;
        let claimed = api.claim("other").await;
        api.complete(&claimed, Resolution::Failed { failure: other }).await;
        // One that has been made again since, and one that was cancelled.
        api.database.reopen("same-0", None).await.unwrap();
        let browser = Browser::new(&api);
        let html = browser.page(&format!("/console/failures/{cause}/retry")).await;
        assert!(html.contains("Retry 204 orders?"), "{html}");
        assert!(html.contains("1 others that failed this way are left alone"), "{html}");
        let path = format!("/console/failures/{cause}/retry");
        let (counted, most) = (field(&html, "until"), field(&html, "most"));
        assert_eq!(most, "204");
        // One that fails after the page was shown is left alone.
        until_later(&counted).await;
        fail(&api, "same-late", "same").await;
        // Not more than somebody agreed to, and those first that failed first.
        let to = browser.act(&path, &[("until", &counted), ("most", "3")]).await;
        until("it is done", async || browser.page(&to).await.contains("3 of 3")).await;
        assert_eq!(api.database.stats().await.unwrap().count(OrderState::Queued), 5);
        let to = browser.act(&path, &[("until", &counted), ("most", &most)]).await;
        until("it is done", async || browser.page(&to).await.contains("It is done")).await;
        let html = browser.page(&to).await;
        assert!(html.contains("201 queued again"), "{html}");
        assert!(html.contains(&format!("state failed or dead, cause {cause}")), "{html}");
        for id in ["other", "same-late"] {
            assert_eq!(api.database.order(id).await.unwrap().state.as_str(), "failed", "{id}");
        }
        assert_eq!(api.database.stats().await.unwrap().count(OrderState::Queued), 206);
        // It is a bulk action of the API as all others.
        let id = to.strip_prefix("/console/bulk/").unwrap();
        let run = api.get(&format!("/v1/bulk/{id}")).await.body;
        assert_eq!((&run["action"], &run["changed"]), (&json!("retry"), &json!(201)), "{run}");
        assert_eq!(run["selection"]["fingerprint"], json!(cause), "{run}");
        // The beginning of a fingerprint is no fingerprint.
        let beginning = format!("/console/failures/{}/retry", &cause[..4]);
        assert_eq!(browser.get(&beginning).await.status, StatusCode::NOT_FOUND);
        let csrf = browser.any_secret().await.unwrap();
        for (path, fields, status) in [
            (&beginning, &[("until", counted.as_str()), ("most", "9")][..], 404),
            (&path, &[("most", "9")], 400),
            (&path, &[("until", counted.as_str())], 400),
        ] {
            let fields: Vec<(&str, &str)> =
                [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
            let answer = browser.form(path, &fields).await;
            assert_eq!(answer.status.as_u16(), status, "{path} {fields:?}: {answer:?}");
        }
    }
}

/// Every page and form with every scope, and without a session.
#[tokio::test(flavor = "multi_thread")]
async fn every_page_and_form_with_every_scope() {
    let place = Place::sqlite();
    let api = place.serve().await;
    api.add("1").await;
    let mut browsers = Vec::new();
    for scope in Scope::VARIANTS {
        let token = new_token(&api.database, &[*scope], None).await;
        let browser = Browser::new(&api);
        let answer = browser.log_in(&token).await;
        let may_enter = scope.includes(Scope::Read);
        assert_eq!(answer.status == StatusCode::SEE_OTHER, may_enter, "{scope}: {answer:?}");
        if may_enter {
            let csrf = browser.any_secret().await.unwrap();
            browsers.push((*scope, browser, csrf));
        } else {
            assert!(answer.text.contains("This token may not read"), "{}", answer.text);
        }
    }
    let stranger = Browser::new(&api);
    let mut tried = 0;
    for route in pages(Surface::Api) {
        if route.path.ends_with("/events") || route.path.ends_with("/logout") {
            continue;
        }
        let path = route.path.replace("{id}", "nothing").replace("{fingerprint}", "nothing");
        let path = path.replace("{name}", "nothing");
        let is_form = route.method == "POST";
        let anonymous = match is_form {
            true => stranger.form(&path, &[("csrf", &"0".repeat(64))]).await,
            false => stranger.get(&path).await,
        };
        is_secure_unless_asset(&path, &anonymous);
        let Access::Scope(wanted) = route.access else { continue };
        let location = anonymous.header("location");
        assert_eq!(anonymous.status, StatusCode::SEE_OTHER, "{path}");
        assert!(location.starts_with("/console/login"), "{path}: {location}");
        for (scope, browser, csrf) in &browsers {
            let answer = match is_form {
                true => browser.form(&path, &[("csrf", csrf)]).await,
                false => browser.get(&path).await,
            };
            let name = format!("{} {path} as {scope}: {}", route.method, answer.status);
            let is_refused = answer.status == StatusCode::FORBIDDEN;
            assert_eq!(is_refused, !scope.includes(wanted), "{name}");
            assert!(!answer.status.is_server_error(), "{name}");
            tried += 1;
        }
    }
    assert!(tried >= 60, "{tried}");
    // What somebody may not do is not offered.
    let (_, reader, _) = &browsers[0];
    let html = reader.page("/console/orders/1").await;
    assert!(html.contains("read only"), "{html}");
    for offered in ["/cancel\"", "/retry\"", "/erase\""] {
        assert!(!html.contains(offered), "{offered}");
    }
    let html = reader.page("/console/templates").await;
    assert!(!html.contains("/console/holds/") && !html.contains("/console/queue/"), "{html}");
    let log = api.database.audit_log(i64::MAX, 1_000).await.unwrap();
    assert!(log.iter().any(|entry| entry.status == 403 && entry.actor == "{read}"), "{log:?}");
}

#[track_caller]
fn is_secure_unless_asset(path: &str, answer: &Answer) {
    if !path.starts_with("/console/assets") {
        is_secure(path, answer);
    }
}

/// A page that changes something is in the audit log, and one that reads is not.
#[test]
fn what_a_form_changes_has_an_action() {
    for route in pages(Surface::Api) {
        let is_form = route.method == "POST";
        assert_eq!(is_form, route.action.is_some(), "{} {}", route.method, route.path);
    }
    assert_eq!(pages(Surface::Status).count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_page_does_nothing() {
    let place = Place::sqlite();
    let mut api = place.serve().await;
    for with_token in [false, true] {
        let browser = Browser::new(&api);
        if with_token {
            let token = new_token(&api.database, &[Scope::Admin], None).await;
            browser.log_in(&token).await;
        }
        let csrf = browser.any_secret().await.unwrap();
        let url = format!("http://{}/console/queue/pause", api.address);
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let right = format!("csrf={csrf}");
        let other = format!("csrf={}", "0".repeat(64));
        let same = ("sec-fetch-site", "same-origin");
        for (headers, body, status) in [
            (vec![kind, same], other.as_str(), 403),
            (vec![kind, same], "", 403),
            (vec![kind, same], "csrf=", 403),
            (vec![kind, ("sec-fetch-site", "cross-site")], right.as_str(), 403),
            (vec![kind, ("sec-fetch-site", "same-site")], right.as_str(), 403),
            (vec![kind, ("origin", "http://evil.example")], right.as_str(), 403),
            (vec![kind, ("origin", "null")], right.as_str(), 403),
            (vec![("content-type", "text/plain"), same], right.as_str(), 415),
            (vec![("content-type", "application/json"), same], "{}", 415),
        ] {
            let mut request = api.client.post(&url).body(body.to_owned());
            for (name, value) in &headers {
                request = request.header(*name, *value);
            }
            let answer = browser.send(request).await;
            assert_eq!(answer.status.as_u16(), status, "{headers:?} {body}: {answer:?}");
            is_secure("a form of another page", &answer);
        }
        // The secret of one session is none of another, and an address is no form.
        let answer = browser.get(&format!("/console/queue/pause?csrf={csrf}")).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        assert!(!api.database.is_paused().await.unwrap());
        if with_token {
            let token = new_token(&api.database, &[Scope::Admin], None).await;
            let another = Browser::new(&api);
            another.log_in(&token).await;
            let answer = another.form("/console/queue/pause", &[("csrf", &csrf)]).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN);
            assert!(!api.database.is_paused().await.unwrap());
        }
        // A browser that says nothing of where a form comes from names the origin.
        let own = format!("http://{}", api.address);
        let request = api.client.post(&url).body(right.clone()).header("origin", own);
        let answer = browser.send(request.header(kind.0, kind.1)).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{answer:?}");
        assert!(api.database.is_paused().await.unwrap());
        api.database.resume().await.unwrap();
    }
    // A token in a header opens no page: a session is what forms are bound to.
    api.log_in(&[Scope::Admin]).await;
    assert_eq!(api.get("/console").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_begins_with_a_valid_token_and_ends_with_it() {
    let place = Place::sqlite();
    let api = place.serve().await;
    let browser = Browser::new(&api);
    // Without tokens nobody logs in.
    assert_eq!(browser.get("/console/login").await.header("location"), "/console");
    assert!(browser.page("/console").await.contains("this machine"));

    let token = new_token(&api.database, &[Scope::Operate], None).await;
    let expired = new_token(&api.database, &[Scope::Admin], Some(1)).await;
    let lead = browser.get("/console/orders?state=failed").await;
    let location = lead.header("location").to_owned();
    assert_eq!(location, "/console/login?next=%2Fconsole%2Forders%3Fstate%3Dfailed");
    assert!(browser.page(&location).await.contains("value=\"/console/orders?state=failed\""));
    let upper = token.to_uppercase();
    for wrong in ["", " ", "sitewright_", "x", expired.as_str(), upper.as_str()] {
        let answer = browser.log_in(wrong).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{wrong:?}");
        assert!(answer.text.contains("not known, has expired or was revoked"), "{}", answer.text);
        assert!(!answer.text.contains(expired.as_str()), "the page has the token");
        is_secure("login", &answer);
    }
    // Not with a form that this browser did not get.
    let csrf = secret(&Browser::new(&api).page("/console/login").await).unwrap();
    let fields = [("csrf", csrf.as_str()), ("token", token.as_str())];
    assert_eq!(browser.form("/console/login", &fields).await.status, StatusCode::FORBIDDEN);
    assert_eq!(
        Browser::new(&api).form("/console/login", &fields).await.status,
        StatusCode::FORBIDDEN
    );

    // Nowhere but to the console.
    for (next, to) in [
        ("/console/orders?state=failed", "/console/orders?state=failed"),
        ("https://evil.example/", "/console"),
        ("//evil.example", "/console"),
        ("/\\evil.example", "/console"),
        ("/console//evil.example", "/console"),
        ("/console@evil.example", "/console"),
        ("/v1/stats", "/console"),
        ("javascript:alert(1)", "/console"),
        ("/console/\r\nSet-Cookie: a=b", "/console"),
    ] {
        let browser = Browser::new(&api);
        let page = browser.page("/console/login").await;
        let csrf = secret(&page).unwrap();
        let fields = [("csrf", csrf.as_str()), ("token", token.as_str()), ("next", next)];
        let answer = browser.form("/console/login", &fields).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, to), "{next}");
    }

    let answer = browser.log_in(&token).await;
    let cookies: Vec<&str> =
        answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    let session = cookies.iter().find(|text| text.starts_with("sitewright_session=")).unwrap();
    assert!(session.contains("Path=/console;") && !session.contains("Secure"), "{session}");
    assert!(!session.contains(&token), "{session}");
    assert!(browser.page("/console").await.contains("{operate}"));
    // Behind TLS.
    let url = format!("http://{}/console/login", api.address);
    let answer = send(api.client.get(url).header("x-forwarded-proto", "https")).await;
    assert!(answer.header("set-cookie").ends_with("; Secure"), "{answer:?}");

    // Logging out ends the session in the server, not only in the browser.
    let kept = browser.cookies.borrow().clone();
    browser.act("/console/logout", &[]).await;
    assert!(browser.cookies.borrow().is_empty());
    *browser.cookies.borrow_mut() = kept;
    assert_eq!(browser.get("/console").await.status, StatusCode::SEE_OTHER);
    browser.cookies.borrow_mut().clear();

    browser.log_in(&token).await;
    browser.page("/console").await;
    for token in api.database.tokens().await.unwrap() {
        api.database.revoke_token(&token.id).await.unwrap();
    }
    let answer = browser.get("/console").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "a revoked token ends its sessions");
    // A cookie that is none.
    for cookie in ["sitewright_session=", "sitewright_session=x", "sitewright_session=a; b; =c"] {
        let url = format!("http://{}/console", api.address);
        let answer = send(api.client.get(url).header("cookie", cookie)).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{cookie}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tokens_the_console_is_for_this_machine_only() {
    let place = Place::sqlite();
    let api = place.serve().await;
    for (headers, status) in [
        ("Host: 127.0.0.1", 200),
        ("Host: localhost:9\r\nSec-Fetch-Site: none", 200),
        ("Host: evil.example", 421),
        ("Host: 127.0.0.1\r\nSec-Fetch-Site: cross-site", 403),
        ("Host: 127.0.0.1\r\nOrigin: http://evil.example", 403),
        ("Host: localhost\r\nHost: evil.example", 400),
    ] {
        let head = format!("GET /console HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n");
        let answer = api.raw(head.as_bytes(), Duration::from_secs(5)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{headers}: {answer}");
        assert!(answer.contains("<!doctype html>"), "{headers}: {answer}");
        assert!(answer.contains("x-frame-options: DENY"), "{headers}: {answer}");
    }
}

/// The streams that pages listen to are those of the API, for a session.
#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_the_events_of_orders() {
    let place = Place::sqlite();
    let api = place.serve().await;
    api.add("1").await;
    api.database.cancel("1").await.unwrap();
    let browser = Browser::new(&api);
    let html = browser.page("/console/orders/1").await;
    assert!(html.contains("data-events=\"/console/orders/1/events\""), "{html}");
    let events = browser.get("/console/orders/1/events").await;
    assert_eq!(events.header("content-type"), "text/event-stream");
    assert!(events.text.contains("event: end"), "{}", events.text);
    new_token(&api.database, &[Scope::Read], None).await;
    assert_eq!(browser.get("/console/orders/1/events").await.status, StatusCode::SEE_OTHER);
}
