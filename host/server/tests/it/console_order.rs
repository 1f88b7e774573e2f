//! One order at the console: its releases, and another document for it.

use sitewright_jobs::OrderState;
use sitewright_site::{
    OrderDir, ReleaseInfo, ReleaseTemplate, SiteLimits, SiteStore, SitesRoot, Staging,
    VerifyOptions, place,
};

use crate::visitor::{Browser, is_secure};
use crate::*;

/// A page of a site that breaks no rule.
fn html(text: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Bakery</title>\n\
         <meta name=\"description\" content=\"Real bread\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"></head>\n\
         <body><main><p>\n{text}\n</p>\n\
         <p>Baked every night in the middle of the town.</p></main></body></html>\n"
    )
}

/// Completes an order with a release of these words, as a worker does. Its id.
pub(crate) async fn publish(api: &Api, place_: &Place, id: &str, text: &str, more: bool) -> String {
    let claimed = api.claim(id).await;
    let root = SitesRoot::open(&place_.sites()).unwrap();
    let order = OrderDir::new(id).unwrap();
    let attempt = OrderDir::new(&claimed.attempt.to_string()).unwrap();
    let staging = Staging::new(&root, order.clone(), attempt, SiteLimits::default());
    staging.write("index.html", html(text).as_bytes()).unwrap();
    if more {
        staging.write("robots.txt", b"User-agent: *\nAllow: /\n").unwrap();
    }
    let options =
        VerifyOptions { languages: vec!["en".parse().unwrap()], ..VerifyOptions::default() };
    let info = ReleaseInfo {
        id: None,
        usage: json!(null),
        template: ReleaseTemplate {
            name: "flora".into(),
            version: "1.0.0".into(),
            digest: "sha256:0".into(),
        },
        host_build: "test".into(),
        ai: json!({}),
        warnings: Vec::new(),
        diagnostics: Vec::new(),
        locale: None,
        revision: Some(claimed_revision(api, id).await),
        created_at: time::OffsetDateTime::UNIX_EPOCH,
    };
    let release = place(staging.seal().unwrap().verify(&options).unwrap(), info).unwrap();
    let release = release.manifest.id;
    let resolution = Resolution::Succeeded { release: release.to_string() };
    api.complete(&claimed, resolution).await;
    let store = SiteStore::folder(&root);
    store.activate(&order, release, 5).await.unwrap();
    assert!(api.database.mark_activated(id, &release.to_string()).await.unwrap());
    release.to_string()
}

async fn claimed_revision(api: &Api, id: &str) -> i64 {
    api.database.order(id).await.unwrap().revision
}

async fn seen(place: &Place, id: &str) -> String {
    let root = SitesRoot::open(&place.sites()).unwrap();
    let current = SiteStore::folder(&root).current(&OrderDir::new(id).unwrap()).await.unwrap();
    current.unwrap().to_string()
}

on_both!(
    an_order_that_is_erased_meanwhile_is_not_there,
    two_releases_are_compared_and_one_is_made_current,
    an_order_gets_another_document_after_it_was_checked,
    what_follows_from_a_document_follows_from_the_new_one,
);

mod tests {
    use super::*;

    pub(super) async fn an_order_that_is_erased_meanwhile_is_not_there(place: Place) {
        let api = place.serve().await;
        let browser = Browser::new(&api);
        let csrf = browser.any_secret().await.unwrap();
        for round in 0..8 {
            let id = format!("e{round}");
            api.add(&id).await;
            let first = publish(&api, &place, &id, "Rye bread", true).await;
            api.database.reopen(&id, None).await.unwrap();
            publish(&api, &place, &id, "Sourdough", false).await;
            let path = format!("/console/orders/{id}/use");
            let fields = [("csrf", csrf.as_str()), ("release", first.as_str())];
            let erased = async {
                tokio::time::sleep(Duration::from_millis(round)).await;
                send(api.request(Method::DELETE, &format!("/v1/orders/{id}"))).await
            };
            let (chosen, erased) = tokio::join!(browser.form(&path, &fields), erased);
            assert!(matches!(chosen.status.as_u16(), 303 | 404), "{round}: {chosen:?}");
            assert_eq!(erased.status, StatusCode::OK, "{round}: {erased:?}");
        }
    }

    pub(super) async fn two_releases_are_compared_and_one_is_made_current(place: Place) {
        let mut api = place.serve().await;
        api.add("1").await;
        // Not a page of an order without one.
        let browser = Browser::new(&api);
        let html = browser.page("/console/orders/1/releases").await;
        assert!(html.contains("not where the workers keep releases"), "{html}");
        let nowhere = api.get("/v1/orders/1/releases").await;
        assert_eq!(nowhere.body, json!({ "order": "1", "releases": null }), "{nowhere:?}");
        let nothing = api.get("/v1/orders/nothing/releases").await;
        nothing.is_problem(404, "no_such_order");
        let evil = "Sourdough &amp; rye";
        let first = publish(&api, &place, "1", "Rye bread", true).await;
        api.database.reopen("1", None).await.unwrap();
        let second = publish(&api, &place, "1", evil, false).await;
        assert_ne!(first, second);
        api.log_in(&[Scope::Admin]).await;
        // The API has the same list.
        let listed = api.get("/v1/orders/1/releases").await.body;
        let releases = listed["releases"].as_array().unwrap();
        let ids: Vec<_> = releases.iter().map(|one| (&one["id"], &one["current"])).collect();
        let (first_id, second_id) = (json!(first), json!(second));
        assert_eq!(ids, [(&second_id, &json!(true)), (&first_id, &json!(false))], "{listed}");
        let made = &releases[0]["made"];
        assert_eq!(
            (&made["template"], &made["template_version"]),
            (&json!("flora"), &json!("1.0.0"))
        );
        assert!(made["files"].as_u64() >= Some(1) && made["bytes"].as_u64() >= Some(1), "{made}");
        let token = api.token.clone().unwrap();
        let browser = Browser::new(&api);
        browser.log_in(&token).await;

        assert!(browser.page("/console/orders/1").await.contains("/console/orders/1/releases"));
        let list = browser.page("/console/orders/1/releases").await;
        for says in [first.as_str(), second.as_str(), "visitors see it", "Compare them"] {
            assert!(list.contains(says), "{says}: {list}");
        }
        let address = format!("/console/orders/1/compare?before={first}&after={second}");
        let diff = browser.page(&address).await;
        // A file that is gone, and a line that is another: as text.
        for says in [
            "1 changed, 0 added, 1 removed",
            "robots.txt",
            "removed: </span>Rye bread",
            "added: </span>Sourdough &#38;amp; rye",
        ] {
            assert!(diff.contains(says), "{says}: {diff}");
        }
        let same = format!("/console/orders/1/compare?before={first}&after={first}");
        assert!(browser.page(&same).await.contains("the same files"));

        let ask = format!("/console/orders/1/use?release={first}");
        let asked = browser.page(&ask).await;
        for says in ["Make it current", second.as_str(), "Nothing is made again"] {
            assert!(asked.contains(says), "{says}: {asked}");
        }
        // Not if another one has become current since.
        let fields = [("release", first.as_str()), ("expected", first.as_str())];
        let to = browser.act("/console/orders/1/use", &fields).await;
        assert_eq!(to, "/console/orders/1/releases?did=moved");
        assert_eq!(seen(&place, "1").await, second);
        let fields = [("release", first.as_str()), ("expected", second.as_str())];
        let to = browser.act("/console/orders/1/use", &fields).await;
        assert_eq!(to, "/console/orders/1/releases?did=chosen");
        assert!(browser.page(&to).await.contains("It is the current release"));
        assert_eq!(seen(&place, "1").await, first);
        let order = api.database.order("1").await.unwrap();
        assert_eq!(order.current_release.as_deref(), Some(first.as_str()));
        assert_eq!(order.state, OrderState::Succeeded);
        assert!(api.database.pending_activations(0).await.unwrap().is_empty());
        assert!(browser.page("/console/orders/1").await.contains("an operator made"));
        let to = browser.act("/console/orders/1/use", &[("release", first.as_str())]).await;
        assert!(to.ends_with("did=chosen_before"), "{to}");
        // What visitors see already is not asked about.
        let asked = browser.page(&ask).await;
        assert!(asked.contains("It is the current release already"), "{asked}");
        assert!(!asked.contains("Make it current") && !asked.contains("within seconds"), "{asked}");

        // What there is not.
        let other = Ulid::generate().to_string();
        for (path, status) in [
            (format!("/console/orders/1/use?release={other}"), 404),
            ("/console/orders/1/use?release=../../etc/passwd".to_owned(), 404),
            ("/console/orders/1/use".to_owned(), 400),
            (format!("/console/orders/1/compare?before={first}&after={other}"), 404),
            (format!("/console/orders/nothing/use?release={first}"), 404),
            ("/console/orders/nothing/releases".to_owned(), 404),
        ] {
            let answer = browser.get(&path).await;
            assert_eq!(answer.status.as_u16(), status, "{path}: {answer:?}");
            is_secure(&path, &answer);
        }
        let log = api.database.audit_log(i64::MAX, 100).await.unwrap();
        let chosen: Vec<_> = log.iter().filter(|entry| entry.action == "order.release").collect();
        assert_eq!(chosen.len(), 1, "{log:?}");
        assert_eq!(chosen[0].target.as_deref(), Some(format!("1 {first}").as_str()));

        // The next one that is made takes its place.
        api.database.reopen("1", None).await.unwrap();
        let third = publish(&api, &place, "1", "Baguettes", false).await;
        assert_eq!(seen(&place, "1").await, third);
    }

    pub(super) async fn an_order_gets_another_document_after_it_was_checked(place: Place) {
        let mut api = place.serve().await;
        api.add("1").await;
        api.log_in(&[Scope::Admin]).await;
        let token = api.token.clone().unwrap();
        let browser = Browser::new(&api);
        browser.log_in(&token).await;
        let path = "/console/orders/1/revise";
        let form = browser.page(path).await;
        assert!(form.contains("&#34;business_name&#34;: &#34;Flora&#34;"), "{form}");
        assert!(form.contains("name=\"revision\" value=\"1\""), "{form}");
        let csrf = browser.any_secret().await.unwrap();
        let send = async |fields: &[(&str, &str)]| {
            let fields: Vec<(&str, &str)> =
                fields.iter().copied().chain([("csrf", csrf.as_str())]).collect();
            browser.form(path, &fields).await
        };
        let revision = async || api.database.order("1").await.unwrap().revision;
        let evil = "Fauna \u{202e}<script>alert(1)</script>";
        let new = json!({
            "id": "1", "business_name": evil, "business_email": "hello@flora.example",
            "business_phone": "no number",
        });
        let new = new.to_string();
        let other = document("2").to_string();

        // What is no order, or another one, changes nothing and is still in the form.
        for (typed, says) in [
            ("{", "Nothing was changed"),
            ("[]", "Nothing was changed"),
            ("{\"id\": \"1\"}", "business_name"),
            (other.as_str(), "The document is that of order &#34;2&#34;."),
        ] {
            let fields = [("document", typed), ("revision", "1"), ("step", "send")];
            let answer = send(&fields).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{typed}: {answer:?}");
            assert!(answer.text.contains(says), "{typed}: {}", answer.text);
            is_secure(path, &answer);
        }
        for (fields, says) in [
            (vec![("document", new.as_str())], "open it again"),
            (
                vec![("document", new.as_str()), ("revision", "1"), ("template", "nothing")],
                "there is no template",
            ),
        ] {
            let answer = send(&fields).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{fields:?}: {answer:?}");
            assert!(answer.text.contains(says), "{says}: {}", answer.text);
        }
        // What is wrong has a subject, also if it is all of it.
        for (document, says) in [
            ("", "the document is empty"),
            ("  ", "the document is empty"),
            ("{", "is not JSON"),
            ("[1]", ""),
        ] {
            let answer =
                send(&[("document", document), ("revision", "1"), ("step", "check")]).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{document:?}: {answer:?}");
            let subject = answer.text.contains("<code>the document</code> ");
            assert!(subject && answer.text.contains(says), "{document:?}: {}", answer.text);
        }
        assert_eq!(revision().await, 1);

        // The page before says what would happen, with the warnings of the intake.
        let checked =
            send(&[("document", new.as_str()), ("revision", "1"), ("step", "check")]).await;
        assert_eq!(checked.status, StatusCode::OK, "{checked:?}");
        for says in ["What will happen", "/business_name", "/business_phone", "Queue it"] {
            assert!(checked.text.contains(says), "{says}: {}", checked.text);
        }
        assert!(!checked.text.contains("<script>alert"), "{}", checked.text);
        assert!(!checked.text.contains('\u{202e}'), "{}", checked.text);
        assert_eq!(revision().await, 1, "checking changes nothing");
        let fields = [("document", new.as_str()), ("revision", "1"), ("step", "edit")];
        assert!(send(&fields).await.text.contains("Check it"));
        // As the browser sends what the page had.
        let kept = checked.text.split("<textarea").nth(1).unwrap();
        let kept = kept.split_once('>').unwrap().1.split("</textarea>").next().unwrap();
        let kept = kept.replace("&#34;", "\"").replace("&#60;", "<").replace("&#62;", ">");
        let fields = [("document", kept.as_str()), ("revision", "1"), ("step", "send")];
        let answer = send(&fields).await;
        assert_eq!(answer.header("location"), "/console/orders/1?did=revised", "{answer:?}");
        assert_eq!(revision().await, 2);
        let stored: Value =
            serde_json::from_str(&api.database.document("1").await.unwrap()).unwrap();
        let name = stored["business_name"].as_str().unwrap();
        assert!(name.starts_with("Fauna") && !name.contains('\u{202e}'), "{stored}");

        // The same once more is nothing new, and an old form is refused.
        let fields = [("document", kept.as_str()), ("revision", "2"), ("step", "send")];
        let answer = send(&fields).await;
        assert_eq!(answer.header("location"), "/console/orders/1?did=revised_same");
        let fields = [("document", kept.as_str()), ("revision", "1"), ("step", "send")];
        assert_eq!(send(&fields).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        // A worker that makes it is not disturbed.
        let claimed = api.claim("1").await;
        assert!(claimed.attempt.to_string().len() == 26);
        let old = document("1").to_string();
        let answer = send(&[("document", old.as_str()), ("revision", "2")]).await;
        assert!(answer.text.contains("A worker makes it at the moment"), "{}", answer.text);
        let fields = [("document", old.as_str()), ("revision", "2"), ("step", "send")];
        assert_eq!(send(&fields).await.status, StatusCode::CONFLICT);

        let log = api.database.audit_log(i64::MAX, 100).await.unwrap();
        let mut revised: Vec<i64> = log
            .iter()
            .filter(|entry| entry.action == "order.revise")
            .map(|entry| entry.status)
            .collect();
        revised.sort_unstable();
        assert_eq!(revised, [303, 303, 409], "only what was done, or refused at the end");
    }

    /// The form has neither what the first reading remarked nor what it derived: both are made anew
    /// of what is changed.
    pub(super) async fn what_follows_from_a_document_follows_from_the_new_one(place: Place) {
        let mut api = place.serve().await;
        let sent = json!({
            "id": "1", "business_name": "Flora", "business_email": "hello@flora.example",
            "services": ["Bouquets", "Weddings"], "years_in_business": "many",
            "business_phone": "+49 30 901820", "locale": "en",
        });
        let added = api.send(Method::POST, "/v1/orders?template=flora", &sent).await;
        assert_eq!(added.status, StatusCode::ACCEPTED, "{added:?}");
        let stored: Value =
            serde_json::from_str(&api.database.document("1").await.unwrap()).unwrap();
        assert_eq!(
            (&stored["primary_service"], &stored["country"]),
            (&json!("Bouquets"), &json!("DE"))
        );
        assert!(stored["notices"].to_string().contains("/years_in_business"), "{stored}");
        api.log_in(&[Scope::Admin]).await;
        let token = api.token.clone().unwrap();
        let browser = Browser::new(&api);
        browser.log_in(&token).await;
        let path = "/console/orders/1/revise";
        let form = browser.page(path).await;
        let typed = form.split("<textarea").nth(1).unwrap().split_once('>').unwrap().1;
        let typed = typed.split("</textarea>").next().unwrap().replace("&#34;", "\"");
        let mut typed: Value = serde_json::from_str(&typed).unwrap();
        for derived in ["notices", "primary_service", "country"] {
            assert!(typed.get(derived).is_none(), "{derived}: {typed}");
        }
        assert_eq!(typed["services"], stored["services"], "{typed}");
        assert_eq!(typed["locale"], stored["locale"], "a language does not change by itself");

        let csrf = browser.any_secret().await.unwrap();
        let send = async |typed: &Value, step: &str| {
            let typed = typed.to_string();
            let fields =
                [("document", &*typed), ("revision", "1"), ("step", step), ("csrf", &*csrf)];
            browser.form(path, &fields).await
        };
        // As it is, it means the same.
        let same = send(&typed, "check").await;
        assert!(same.text.contains("It says the same"), "{}", same.text);
        typed["business_name"] = json!("Fauna");
        typed["services"] = json!(["Dog walks"]);
        typed["business_phone"] = json!("+33 1 42 68 53 00");
        let checked = send(&typed, "check").await;
        for says in ["/business_name", "/services/0", "/primary_service", "/country"] {
            assert!(checked.text.contains(says), "{says}: {}", checked.text);
        }
        let answer = send(&typed, "send").await;
        assert_eq!(answer.header("location"), "/console/orders/1?did=revised", "{answer:?}");
        let stored: Value =
            serde_json::from_str(&api.database.document("1").await.unwrap()).unwrap();
        assert_eq!(
            (&stored["primary_service"], &stored["country"]),
            (&json!("Dog walks"), &json!("FR"))
        );
        let shown = api.get("/v1/orders/1").await;
        assert!(!shown.body["warnings"].to_string().contains("years_in_business"), "{shown:?}");
    }
}
