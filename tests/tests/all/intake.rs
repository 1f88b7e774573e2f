//! Orders as CRMs send them: every one becomes a site in its language, or fails before its first AI
//! call; what cannot be used is in every report.

use serde_json::{Value, json};
use sitewright_tests::languages::plugin;
use sitewright_tests::{ANY_ANSWER, Done, Workbench, faulty, guest, order, root, template};

const TEMPLATES: [&str; 3] = ["local-business", "landing-py", "landing-js"];
/// The orders of `tests/orders-real`.
pub(crate) const REAL: [&str; 6] = [
    "n01-hair-salon-en",
    "n02-gym-ptbr",
    "n04-realestate-fr",
    "n05-photographer-de",
    "n07-daycare-ar",
    "n09-bakery-engb",
];

pub(crate) fn real(name: &str) -> Value {
    let path = root().join(format!("tests/orders-real/{name}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn bench(template: &str, more: &str) -> Workbench {
    let demo = root().join(format!("plugins/{template}/demo/ai.toml"));
    Workbench::scripted(&std::fs::read_to_string(demo).unwrap(), more)
}

/// The messages of the diagnostics with this code.
fn said(done: &Done, code: &str) -> Vec<String> {
    let report = done.json();
    let diagnostics = match report["release"].is_object() {
        true => &report["release"]["diagnostics"],
        false => &report["failure"]["diagnostics"],
    };
    let of_code = diagnostics.as_array().into_iter().flatten().filter(|said| said["code"] == code);
    of_code.map(|said| said["message"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn real_orders_become_sites_in_their_language_or_fail_before_the_first_ai_call() {
    const TEST: &str =
        "real_orders_become_sites_in_their_language_or_fail_before_the_first_ai_call";
    for name in TEMPLATES {
        let Some(file) = plugin(name, TEST) else { continue };
        let bench = bench(name, "");
        let inspected = bench.run(&["--json", "template", "inspect", &file.to_string_lossy()]);
        let locales = inspected.json()["locales"].clone();
        for order in REAL {
            let document = real(order);
            let locale = document["onboarding"]["locale"].as_str().unwrap().to_owned();
            let language = locale.split('-').next().unwrap();
            let speaks = locales
                .as_array()
                .unwrap()
                .iter()
                .any(|known| known.as_str().unwrap().split('-').next() == Some(language));
            let done = bench.generate(&file, &document);
            let report = done.json();
            if speaks {
                assert_eq!(done.code, 0, "{name}, {order}: {}", done.stdout);
                let current = report["release"]["current"].as_str().unwrap();
                let page = std::fs::read_to_string(format!("{current}/index.html")).unwrap();
                assert!(page.contains(&format!("<html lang=\"{language}")), "{name}, {order}");
            } else {
                assert_eq!(done.code, 3, "{name}, {order}: {}", done.stdout);
                assert_eq!(report["failure"]["kind"], "invalid_order", "{name}, {order}");
                assert_eq!(report["ai"]["calls"], 0, "{name}, {order}: nothing is paid");
                let message = report["failure"]["message"].as_str().unwrap();
                assert!(message.contains(&format!("does not write `{locale}`")), "{message}");
            }
        }
    }
}

#[test]
fn the_fallback_language_is_used_with_a_warning() {
    let bench = bench("local-business", "[orders]\nfallback_locale = \"en\"\n");
    let mut document = real("n05-photographer-de");
    document["onboarding"]["locale"] = json!("fi");
    let done = bench.generate(&template("local-business"), &document);
    assert_eq!(done.code, 0, "{}", done.stdout);
    assert_eq!(done.json()["release"]["locale"], "en");
    let said = said(&done, "order-value");
    assert!(said.iter().any(|text| text.contains("does not write `fi`")), "{said:?}");
}

#[test]
fn what_is_left_out_is_in_the_report_of_the_release_and_in_the_record() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let parameters = json!({ "niche": "bakery", "primary_color": "bleu",
        "social_instagram": "@joes" });
    let done = bench.generate(&guest("guest-faulty"), &faulty("ok", parameters.clone()));
    assert_eq!(done.code, 0, "{}", done.stdout);
    let warnings = said(&done, "order-value");
    assert!(
        matches!(warnings.as_slice(), [niche, color]
            if niche.contains("/onboarding/niche: `bakery`")
            && color.contains("/onboarding/primary_color: `bleu`")),
        "{warnings:?}"
    );
    assert!(said(&done, "order-note")[0].contains("instagram.com/joes"), "{}", done.stdout);
    let done = bench.generate(&guest("guest-faulty"), &faulty("error", parameters));
    assert_eq!(said(&done, "order-value"), warnings, "{}", done.stdout);
}

#[test]
fn strict_reading_refuses_what_would_be_left_out() {
    let bench = Workbench::scripted(ANY_ANSWER, "[orders]\nstrict = true\n");
    let done = bench.generate(&guest("guest-faulty"), &order("02-dentist-us-minimal"));
    assert_ne!(done.code, 3, "{}", done.stdout);
    let parameters = json!({ "niche": "bakery", "primary_color": "bleu" });
    let done = bench.generate(&guest("guest-faulty"), &faulty("ok", parameters));
    assert_eq!(done.code, 3, "{}", done.stdout);
    let problems = done.failure()["problems"].clone();
    let at: Vec<_> = problems.as_array().unwrap().iter().map(|problem| &problem["at"]).collect();
    assert_eq!(at, [&json!("/onboarding/niche"), &json!("/onboarding/primary_color")]);
}

/// Before the template was loaded nobody knows its languages; afterwards adding an order in another
/// one is refused, or made in the operator's language with a warning.
#[test]
fn an_order_in_a_language_of_no_use_is_refused_when_it_is_added() {
    for fallback in [None, Some("en")] {
        let orders = fallback.map(|tag| format!("[orders]\nfallback_locale = \"{tag}\"\n"));
        let more = format!("templates = \"templates\"\n{}", orders.unwrap_or_default());
        let bench = bench("local-business", &more);
        let folder = bench.path().join("templates");
        std::fs::create_dir(&folder).unwrap();
        std::fs::copy(template("local-business"), folder.join("local-business.wasm")).unwrap();
        // Of its own: other tests load this template from other folders.
        let cache = bench.path().join("cache");
        let run = |args: &[&str]| {
            Done::from(bench.command(args).env("SITEWRIGHT_CACHE", &cache).output().unwrap())
        };
        let add = |id: &str, locale: &str| {
            let mut document = order("02-dentist-us-minimal");
            document["order"]["id"] = json!(id);
            document["onboarding"]["locale"] = json!(locale);
            let file = bench.path().join(format!("{id}.json"));
            std::fs::write(&file, document.to_string()).unwrap();
            let file = file.to_string_lossy().into_owned();
            run(&["--json", "order", "add", &file, "--template", "local-business"])
        };
        assert_eq!(add("early", "fi").code, 0);
        let inspected = run(&["--json", "template", "inspect", "local-business"]);
        assert_eq!(inspected.code, 0, "{}", inspected.stdout);
        assert_eq!(add("good", "pt-PT").code, 0);
        let late = add("late", "fi");
        let told = &late.json()["orders"][0];
        let (list, code) = if fallback.is_some() { ("warnings", 0) } else { ("problems", 3) };
        assert_eq!(late.code, code, "{}", late.stdout);
        let found = told[list].as_array().unwrap();
        let about = found.iter().filter(|one| one.to_string().contains("does not write `fi`"));
        assert_eq!(about.count(), 1, "{}", late.stdout);
        let is_there = run(&["--json", "order", "show", "late"]).code == 0;
        assert_eq!(is_there, fallback.is_some());
    }
}
