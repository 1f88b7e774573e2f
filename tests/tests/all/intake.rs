//! Orders as CRMs send them: every one becomes a site in its language, or fails before its first AI
//! call; what cannot be used is in every report.

use std::collections::BTreeSet;

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

/// What the site of a real order says.
struct Expected {
    /// The numbers that its links dial or write to.
    dialled: &'static [&'static str],
    /// Days and times of opening, as search engines get them.
    hours: &'static [&'static str],
    /// What of the order is left out or shown as written, with a warning.
    warned: &'static [&'static str],
}

/// For each of [`REAL`], with every template.
const EXPECTED: [Expected; 6] = [
    Expected {
        dialled: &["15035550142"],
        hours: &[
            "Friday 10:00-19:00",
            "Saturday 09:00-17:00",
            "Thursday 10:00-20:00",
            "Tuesday 10:00-19:00",
            "Wednesday 10:00-19:00",
        ],
        warned: &[],
    },
    Expected {
        dialled: &["5531995550133"],
        hours: &[
            "Friday 05:30-22:00",
            "Monday 05:30-22:00",
            "Saturday 08:00-12:00",
            "Thursday 05:30-22:00",
            "Tuesday 05:30-22:00",
            "Wednesday 05:30-22:00",
        ],
        warned: &[],
    },
    Expected {
        dialled: &["33247550142"],
        hours: &[
            "Monday 09:00-12:30",
            "Monday 14:00-18:30",
            "Tuesday 09:00-12:30",
            "Tuesday 14:00-18:30",
        ],
        warned: &["/onboarding/business_hours/samedi"],
    },
    Expected { dialled: &[], hours: &[], warned: &["/onboarding/business_hours"] },
    Expected {
        dialled: &["966115550142"],
        hours: &[
            "Monday 06:30-16:00",
            "Sunday 06:30-16:00",
            "Thursday 06:30-16:00",
            "Tuesday 06:30-16:00",
            "Wednesday 06:30-16:00",
        ],
        warned: &[],
    },
    Expected {
        dialled: &["442920180142"],
        hours: &["Saturday 08:00-14:00"],
        warned: &[
            "/onboarding/business_hours/Fri",
            "/onboarding/business_hours/Thu",
            "/onboarding/business_hours/Tue",
            "/onboarding/business_hours/Wed",
        ],
    },
];

/// The numbers after `tel:` and `wa.me/` in links.
fn dialled(pages: &str) -> BTreeSet<String> {
    let before = ["=\"tel:", "=\"https://wa.me/"];
    let links = before.iter().flat_map(|before| pages.split(before).skip(1));
    let digits = |link: &str| -> String {
        link.trim_start_matches('+').chars().take_while(char::is_ascii_digit).collect()
    };
    links.map(digits).collect()
}

/// Days and times of opening in the structured data of a page, without closed days.
fn opening_hours(page: &str) -> BTreeSet<String> {
    let scripts = page.split("<script type=\"application/ld+json\">").skip(1);
    let scripts = scripts.map(|script| script.split("</script>").next().unwrap());
    let data = scripts.map(|script| serde_json::from_str::<Value>(script).unwrap());
    let lists = data.map(|data| data["openingHoursSpecification"].clone());
    let times = lists.flat_map(|list| list.as_array().cloned().unwrap_or_default());
    let open = times.filter(|time| time["opens"] != time["closes"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    open.map(|time| {
        let [day, opens, closes] = ["dayOfWeek", "opens", "closes"].map(|name| text(&time[name]));
        format!("{day} {opens}-{closes}")
    })
    .collect()
}

/// The language that the text of a page's `<main>` is detected to be in: that of an order that has
/// the text as its description, and names no language and no country.
fn detected(page: &str) -> String {
    let main = page.split_once("<main").unwrap().1.split("</main>").next().unwrap();
    let texts = main.split('<').filter_map(|part| part.split_once('>'));
    let text: Vec<&str> = texts.map(|(_, text)| text).collect();
    let text: String = text.join(" ").chars().take(3_000).collect();
    let order = json!({ "id": 1, "business_name": "B", "business_email": "b@example.com",
        "site_description": text });
    let other = "fi".parse().unwrap();
    let order = sitewright_intake::load(order.to_string().as_bytes(), 1 << 20, &other).unwrap();
    order.order().locale.language().to_owned()
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

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
        for (order, expected) in REAL.iter().zip(&EXPECTED) {
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
                let read =
                    |path: &str| std::fs::read_to_string(format!("{current}/{path}")).unwrap();
                let page = read("index.html");
                assert!(page.contains(&format!("<html lang=\"{language}")), "{name}, {order}");
                assert_eq!(detected(&page), language, "{name}, {order}");
                assert_eq!(opening_hours(&page), set(expected.hours), "{name}, {order}");
                let files = report["files"].as_array().unwrap().iter();
                let paths = files.map(|file| file["path"].as_str().unwrap());
                let pages: String =
                    paths.filter(|path| path.ends_with(".html")).map(read).collect();
                assert_eq!(dialled(&pages), set(expected.dialled), "{name}, {order}");
                let warnings = said(&done, "order-value");
                let at = |text: &String| {
                    text.trim_start_matches("the order: ").split(": ").next().unwrap().to_owned()
                };
                let warned: BTreeSet<String> = warnings.iter().map(at).collect();
                assert_eq!(warned, set(expected.warned), "{name}, {order}: {warnings:?}");
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

/// A field and its value, the number that is dialled, the opening hours, and what a page has. Each
/// with the next of the templates.
#[test]
fn what_forms_and_spreadsheets_make_of_a_value_is_read_for_what_it_means() {
    const TEST: &str = "what_forms_and_spreadsheets_make_of_a_value_is_read_for_what_it_means";
    type Row<'a> = (&'a str, Value, &'a str, &'a [&'a str], &'a str);
    let phone = |written: &str| json!(written);
    let hours = |written: &str| json!({ "Monday": written });
    let (uk, chat) = ("442079460123", "https://wa.me/442079460123");
    let monday = &["Monday 09:00-17:00"][..];
    let rows: [Row<'_>; 14] = [
        ("business_phone", phone("+44 (0)20 7946 0123"), uk, monday, chat),
        ("business_phone", phone("(19) 3555-0100/0101"), "1935550100", monday, ""),
        ("business_phone", phone("442079460123.0"), uk, monday, ""),
        ("business_phone", phone("+55 (019) 95550-1011"), "5519955501011", monday, ""),
        ("business_phone", phone("0044 20 7946 0123"), uk, monday, chat),
        ("business_phone", phone("\u{202a}+44 20 7946 0123\u{202c}"), uk, monday, chat),
        (
            "business_phone",
            phone("+33\u{202f}1\u{202f}99\u{202f}00\u{202f}12\u{202f}34"),
            "33199001234",
            monday,
            "",
        ),
        (
            "social_facebook",
            json!("https://facebook.com/harbour-light-bakery-example\u{200b}"),
            uk,
            monday,
            "\"https://facebook.com/harbour-light-bakery-example\"",
        ),
        ("business_hours", hours("5:00 – 8:00 PM"), uk, &["Monday 17:00-20:00"], ""),
        (
            "business_hours",
            hours("11:00 am – 3:00 pm, 5:00 – 8:00 pm"),
            uk,
            &["Monday 11:00-15:00", "Monday 17:00-20:00"],
            "",
        ),
        ("business_hours", hours("12:00 – 6:00 AM"), uk, &["Monday 00:00-06:00"], ""),
        ("business_name", json!("Joe&#039;s &amp; Sons"), uk, monday, "Joe's & Sons"),
        ("business_hours", json!(""), uk, &[], ""),
        ("has_whatsapp", json!("1"), uk, monday, chat),
    ];
    let made = |name: &&str| Some((plugin(name, TEST)?, bench(name, "")));
    let templates: Vec<_> = TEMPLATES.iter().filter_map(made).collect();
    for ((field, value, number, times, says), (file, bench)) in
        rows.iter().zip(templates.iter().cycle())
    {
        let mut document = json!({ "order": { "id": 7001, "locale": "en" }, "onboarding": {
            "business_name": "Harbour Light Bakery", "business_email": "hello@example.com",
            "business_phone": "+44 20 7946 0123", "has_whatsapp": true,
            "business_address": "12 Quay Street", "niche": "restaurant", "primary_city": "Bristol",
            "state": "England", "services": ["Bread", "Cakes"], "primary_service": "Bread",
            "selected_pages": ["home", "contact"], "business_hours": { "monday": "9am - 5pm" } } });
        document["onboarding"][*field] = value.clone();
        let at = format!("{field} = {value}, {}", file.display());
        let done = bench.generate(file, &document);
        assert_eq!(done.code, 0, "{at}: {}", done.stdout);
        let report = done.json();
        let current = report["release"]["current"].as_str().unwrap();
        let page = std::fs::read_to_string(format!("{current}/index.html")).unwrap();
        assert_eq!(opening_hours(&page), set(times), "{at}");
        let files = report["files"].as_array().unwrap().iter();
        let paths = files.map(|file| file["path"].as_str().unwrap());
        let pages = paths.filter(|path| path.ends_with(".html"));
        let read = |path: &str| std::fs::read_to_string(format!("{current}/{path}")).unwrap();
        let pages: String = pages.map(read).collect();
        assert_eq!(dialled(&pages), set(&[*number]), "{at}");
        let marks = [("&#38;", "&"), ("&amp;", "&"), ("&#39;", "'"), ("&#x27;", "'")];
        let plain = marks.iter().fold(pages, |text, (mark, c)| text.replace(mark, c));
        assert!(plain.contains(*says) && !plain.contains('\u{200b}'), "{at}: {says}");
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
    let report = done.json();
    let attempt = report["usage"]["attempt"].as_str().unwrap();
    let again = bench.run(&["--json", "replay", attempt]);
    assert_eq!(again.json()["verdict"], "reproduced", "{}", again.stdout);
}

/// An order's own address, that of the configuration, and where the form of its site posts to. A
/// replay has the same pages.
#[test]
fn forms_post_to_the_address_of_the_order_or_of_the_configuration() {
    let (own, all) = ("https://forms.example.com/own", "https://forms.example.com/all");
    let bench = bench("local-business", &format!("[forms]\nendpoint = \"{all}\"\n"));
    for (sent, expected) in [(None, all), (Some(own), own)] {
        let mut document = real("n05-photographer-de");
        document["onboarding"]["form_endpoint"] = json!(sent);
        let done = bench.generate(&template("local-business"), &document);
        assert_eq!(done.code, 0, "{}", done.stdout);
        let report = done.json();
        let current = report["release"]["current"].as_str().unwrap();
        let files = report["files"].as_array().unwrap().iter();
        let paths = files.map(|file| file["path"].as_str().unwrap());
        let pages = paths.filter(|path| path.ends_with(".html"));
        let action = format!("<form action=\"{expected}\"");
        let posts = |path: &str| {
            let page = std::fs::read_to_string(format!("{current}/{path}")).unwrap();
            page.contains(&action)
        };
        assert!(pages.into_iter().any(posts), "{sent:?}: {}", done.stdout);
        let attempt = report["usage"]["attempt"].as_str().unwrap();
        let again = bench.run(&["--json", "replay", attempt]);
        assert_eq!(again.json()["verdict"], "reproduced", "{sent:?}: {}", again.stdout);
    }
    // A site without a form lacks what the order names, and nothing else.
    for (parameters, is_missed) in [(json!({}), false), (json!({ "form_endpoint": own }), true)] {
        let done = bench.generate(&guest("guest-faulty"), &faulty("ok", parameters));
        assert_eq!(done.code, 0, "{}", done.stdout);
        let warnings = done.json()["release"]["warnings"].to_string();
        assert_eq!(warnings.contains("/form_endpoint"), is_missed, "{warnings}");
    }
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
