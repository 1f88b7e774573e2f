//! Sites of the five test orders: files, HTML, links, escaping and fallbacks.
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod common;

use std::collections::HashSet;

use common::{ORDERS, order, real_order, site_of};
use local_business::LocalBusiness;
use local_business::drawing::Drawing;
use local_business::language::Language;
use scraper::{Html, Selector};
use sitewright_sdk::ai::Role;
use sitewright_sdk::order::{Hours, HoursNote, MenuItem, MenuSection, Niche, Photo, Price};
use sitewright_sdk::testing::{Harness, Run};

fn all(html: &Html, selector: &str) -> Vec<scraper::ElementRef<'static>> {
    // Leaked, because the elements borrow from the document.
    let html: &'static Html = Box::leak(Box::new(html.clone()));
    html.select(&Selector::parse(selector).unwrap()).collect()
}

fn text(html: &str, selector: &str) -> String {
    let html = Html::parse_document(html);
    all(&html, selector)
        .into_iter()
        .map(|element| element.text().collect::<String>())
        .collect::<Vec<_>>()
        .join("\n")
}

fn pages(run: &Run) -> Vec<(&str, &str)> {
    run.files
        .keys()
        .filter(|path| path.ends_with(".html"))
        .map(|path| (path.as_str(), run.text(path)))
        .collect()
}

#[test]
fn every_order_gives_the_expected_files() {
    let expected: [&[&str]; 5] = [
        &["index", "sobre/index", "cardapio/index", "contato/index", "depoimentos/index"],
        &["index", "about/index", "services/index", "faq/index", "contact/index"],
        &["index", "about/index", "services/index", "contact/index", "faq/index", "pricing/index"],
        &["index", "blog-news/index", "faq/index", "contact/index"],
        &["index", "sobre/index", "servicos/index", "perguntas-frequentes/index", "contato/index"],
    ];
    for ((name, locale), expected) in ORDERS.into_iter().zip(expected) {
        let run = site_of(&order(name, locale));
        let mut files: HashSet<String> =
            expected.iter().map(|page| format!("{page}.html")).collect();
        for other in [
            "404.html",
            "assets/site.css",
            "favicon.svg",
            "apple-touch-icon.png",
            "icon-192.png",
            "icon-512.png",
            "site.webmanifest",
        ] {
            files.insert(other.to_owned());
        }
        assert_eq!(run.files.keys().cloned().collect::<HashSet<_>>(), files, "{name}");
    }
}

#[test]
fn hours_that_are_shown_as_written_are_not_reported_as_missing() {
    let mut order = order("02-dentist-us-minimal", "en");
    order.business_hours = Hours::default();
    let appointment =
        HoursNote { days: Vec::new(), label: None, text: "by appointment".to_owned() };
    for (notes, is_reported) in [(Vec::new(), true), (vec![appointment], false)] {
        order.hours_notes = notes;
        let run = site_of(&order);
        let reported = run.reports.iter().any(|report| report.code == "no-opening-hours");
        assert_eq!(reported, is_reported, "{:?}", order.hours_notes);
    }
}

#[test]
fn a_site_with_an_address_has_canonical_links_and_files_for_search_engines() {
    let mut order = order("02-dentist-us-minimal", "en");
    let run = site_of(&order);
    assert!(run.reports.iter().any(|report| report.code == "no-site-address"));
    for absent in ["canonical", "og:url", "og:image"] {
        assert!(!run.text("index.html").contains(absent), "{absent}");
    }
    order.site_url = Some("https://brightoak.test/".to_owned());
    let run = site_of(&order);
    let sitemap = run.text("sitemap.xml");
    for (path, source) in pages(&run).into_iter().filter(|(path, _)| *path != "404.html") {
        let address = format!("https://brightoak.test/{}", path.trim_start_matches("index.html"));
        let html = Html::parse_document(source);
        let link = all(&html, "link[rel=canonical]").remove(0);
        assert_eq!(link.attr("href"), Some(address.as_str()));
        assert_eq!(meta(&html, "og:url"), address);
        assert!(sitemap.contains(&format!("<loc>{address}</loc>")), "{sitemap}");
        assert_eq!(meta(&html, "og:image"), "https://brightoak.test/assets/card.png");
        assert!(!meta(&html, "og:title").is_empty() && !meta(&html, "og:description").is_empty());
    }
    assert!(run.text("404.html").contains("href=\"https://brightoak.test/\""));
    assert!(run.text("robots.txt").contains("https://brightoak.test/sitemap.xml"));
    assert!(run.files["assets/card.png"].starts_with(b"\x89PNG"));
    let url = "https://img.test/oak.jpg".to_owned();
    order.photos = vec![Photo { url: url.clone(), alt: None }];
    let html = Html::parse_document(site_of(&order).text("index.html"));
    assert_eq!(meta(&html, "og:image"), url);
}

fn meta(html: &Html, property: &str) -> String {
    let found = all(html, &format!("meta[property=\"{property}\"]"));
    found[0].attr("content").unwrap().to_owned()
}

#[test]
fn every_language_gives_a_site_of_its_own() {
    let english = Language::English.words();
    for (locale, language, headline) in [
        ("ar-SA", Language::Arabic, "بالقرب منكم، ومعنا وقت للاستماع"),
        ("de-DE", Language::German, "In Ihrer Nähe, mit Zeit zum Zuhören"),
        ("es-MX", Language::Spanish, "Cerca de ti, con tiempo para escuchar"),
        ("fr-FR", Language::French, "Près de chez vous, avec le temps d’écouter"),
        ("he-IL", Language::Hebrew, "קרוב אליכם, עם זמן להקשיב"),
        ("it-IT", Language::Italian, "Vicino a te, con il tempo di ascoltare"),
        ("ja-JP", Language::Japanese, "身近な場所で、じっくりお話を伺います"),
        ("pt-PT", Language::Portuguese, "Perto de você, com tempo para ouvir"),
    ] {
        let mut order = order("03-plumber-us-premium", locale);
        order.id = "7100".to_owned();
        order.selected_pages =
            ["about", "services", "gallery", "faq", "pricing", "reviews", "Blog"]
                .map(str::to_owned)
                .into();
        let run = site_of(&order);
        assert!(run.reports.iter().all(|report| report.code != "locale-unsupported"), "{locale}");
        assert_eq!(text(run.text("index.html"), "h1"), headline);
        let words = language.words();
        for (path, source) in pages(&run) {
            let at = format!("{locale}/{path}");
            let html = Html::parse_document(source);
            assert!(html.errors.is_empty(), "{at}: {:?}", html.errors);
            let root = all(&html, "html").remove(0);
            assert_eq!(root.attr("lang"), Some(locale), "{at}");
            let direction = language.is_right_to_left().then_some("rtl");
            assert_eq!(root.attr("dir"), direction, "{at}");
            let body = text(source, "body");
            for (field, other) in english.texts() {
                let own = words.texts().into_iter().find(|(name, _)| *name == field).unwrap().1;
                // Short words of English are parts of other words, or of what the order says.
                let is_english = own != other && other.len() > 12 && body.contains(other);
                assert!(!is_english, "{at}: {field}: {other}");
            }
            for link in all(&html, "a[href^='tel:'], a[href^='mailto:']") {
                let shown = link.text().collect::<String>();
                if shown.contains(['@', '+']) {
                    let inner = link.first_child().unwrap().value().as_element().unwrap();
                    assert_eq!((inner.name(), inner.attr("dir")), ("bdi", Some("ltr")), "{at}");
                }
            }
        }
        for call in &run.ai_calls {
            let asked = format!("Language: {} ({locale}).", language.name());
            assert!(call.request.messages[1].content.contains(&asked), "{locale}");
        }
    }
}

#[test]
fn real_orders_give_sites_in_their_own_language() {
    for (name, lang, prices) in [
        ("n01-hair-salon-en", "en", &["$"][..]),
        ("n02-gym-ptbr", "pt", &["R$"]),
        ("n04-realestate-fr", "fr", &[]),
        ("n05-photographer-de", "de", &["ab 590 €", "ab 2.190 €"]),
        ("n07-daycare-ar", "ar", &["1,800 ر.س شهرياً"]),
        ("n09-bakery-engb", "en", &["£"]),
    ] {
        let run = site_of(&real_order(name));
        let found = pages(&run);
        let mut titles = HashSet::new();
        for (path, source) in &found {
            let at = format!("{name}/{path}");
            let html = Html::parse_document(source);
            assert!(html.errors.is_empty(), "{at}: {:?}", html.errors);
            let root = all(&html, "html").remove(0);
            assert!(root.attr("lang").unwrap().starts_with(lang), "{at}");
            let title = text(source, "title");
            assert!(title.chars().count() < 60 && titles.insert(title.clone()), "{at}: {title}");
        }
        for price in prices {
            assert!(found.iter().any(|(_, page)| text(page, "main").contains(price)), "{name}");
        }
    }
}

#[test]
fn names_of_pages_are_understood_in_every_language() {
    for (locale, typed, slugs) in [
        (
            "ar-SA",
            &["الرئيسية", "برامجنا", "الرسوم", "الأسئلة الشائعة", "فريقنا", "اتصل بنا"][..],
            &["", "services", "pricing", "faq", "fryqn", "contact"][..],
        ),
        (
            "fr-FR",
            &["Accueil", "Nos biens", "L'agence", "Honoraires", "Contact"],
            &["", "nos-biens", "a-propos", "tarifs", "contact"],
        ),
        (
            "de-DE",
            &["Startseite", "Portfolio", "Pakete & Preise", "Über mich", "Kontakt"],
            &["", "galerie", "preise", "ueber-uns", "kontakt"],
        ),
        (
            "he-IL",
            &["דף הבית", "השירותים שלנו", "מחירון", "המלצות", "יצירת קשר"],
            &["", "services", "pricing", "testimonials", "contact"],
        ),
        (
            "ja-JP",
            &["ホーム", "サービス紹介", "料金表", "よくある質問", "会社概要", "お問い合わせ"],
            &["", "services", "pricing", "faq", "about", "contact"],
        ),
        (
            "es",
            &["Inicio", "Quiénes somos", "Tarifas"],
            &["", "nosotros", "presupuesto", "contacto"],
        ),
        ("it", &["Home", "Chi siamo", "Listino"], &["", "chi-siamo", "preventivo", "contatti"]),
    ] {
        let mut order = order("01-restaurant-ptbr-full", locale);
        order.niche = Niche::General;
        order.selected_pages = typed.iter().map(|name| (*name).to_owned()).collect();
        let plan = local_business::pages::Plan::of(&order);
        let planned: Vec<&str> = plan.pages.iter().map(|page| page.slug.as_str()).collect();
        assert_eq!(planned, slugs, "{locale}");
    }
    for name in
        ["Allgemeine Geschäftsbedingungen (AGB)", "CGV", "شروط الاستخدام", "תקנון האתר", "利用規約"]
    {
        let mut order = order("01-restaurant-ptbr-full", "en");
        order.selected_pages = vec![name.to_owned()];
        let plan = local_business::pages::Plan::of(&order);
        assert_eq!(plan.notes[0].code, "page-unknown", "{name}");
    }
}

#[test]
fn every_page_has_a_short_title_of_its_own_and_begins_with_its_charset() {
    for (name, locale) in ORDERS {
        let run = site_of(&order(name, locale));
        let mut titles = HashSet::new();
        for (path, source) in pages(&run) {
            let at = format!("{name}/{path}");
            let title = text(source, "title");
            assert!(title.chars().count() < 60, "{at}: {title}");
            assert!(titles.insert(title.clone()), "{at}: {title}");
            let head = source.split_once("<head>").unwrap().1.trim_start();
            assert!(head.starts_with("<meta charset=\"utf-8\">"), "{at}");
        }
    }
}

#[test]
fn a_price_that_was_sent_is_shown_on_every_plan_of_pages() {
    let mut order = order("02-dentist-us-minimal", "en");
    let price = |name: &str, written: &str| Price {
        name: name.to_owned(),
        price: Some(written.to_owned()),
        ..Price::default()
    };
    let first = order.services[0].to_uppercase();
    order.prices = vec![price(&first, "from $75"), price("Night guard", "$310")];
    order.menu = vec![MenuSection {
        section: Some("Extras".to_owned()),
        items: vec![MenuItem {
            name: "Tea".to_owned(),
            description: None,
            price: Some("$2.50".to_owned()),
            allergens: vec!["milk".to_owned()],
        }],
    }];
    for selected in [&["services"][..], &["pricing"], &["faq"], &["services", "pricing"]] {
        order.selected_pages = selected.iter().map(|name| (*name).to_owned()).collect();
        let run = site_of(&order);
        let all = pages(&run).iter().map(|(_, page)| text(page, "main")).collect::<String>();
        for written in ["from $75", "$310", "$2.50"] {
            assert!(all.contains(written), "{selected:?}: {written}");
        }
        if run.files.contains_key("pricing/index.html") {
            let lines = text(run.text("pricing/index.html"), ".price-list li");
            let line = |name: &str| lines.lines().find(|line| line.starts_with(name)).unwrap();
            assert!(!line(&first).contains("On request"), "{lines}");
        }
    }
}

#[test]
fn the_style_has_dark_print_calm_and_mirrored_rules() {
    let run = site_of(&order("02-dentist-us-minimal", "en"));
    let css = run.text("assets/site.css");
    for rule in [
        "@media (prefers-color-scheme: dark)",
        "@media print",
        "@media (prefers-reduced-motion: reduce)",
        "[dir=\"rtl\"] .flip",
    ] {
        assert!(css.contains(rule), "{rule}");
    }
    for physical in [
        "margin-left",
        "margin-right",
        "padding-left",
        "padding-right",
        "border-left",
        "border-right",
        "text-align: left",
        "text-align: right",
        " left: ",
        " right: ",
    ] {
        assert!(!css.contains(physical), "{physical}");
    }
    assert!(css.contains(".page-lost"));
}

/// A policy such as `default-src 'self'` refuses styles in a page.
#[test]
fn the_page_for_lost_visitors_has_its_style_at_any_depth() {
    for (address, top) in [
        (None, ""),
        (Some("https://brightoak.test"), "/"),
        (Some("https://sites.test/oak/"), "https://sites.test/oak/"),
    ] {
        let mut order = order("02-dentist-us-minimal", "en");
        order.site_url = address.map(str::to_owned);
        let run = site_of(&order);
        let page = run.text("404.html");
        for path in ["assets/site.css", "favicon.svg", "apple-touch-icon.png"] {
            assert!(page.contains(&format!("href=\"{top}{path}\"")), "{address:?}: {path}");
        }
        assert!(!page.contains("<style") && !page.contains(" style="), "{address:?}");
    }
}

#[test]
fn every_page_names_the_icons_and_the_manifest_lists_them() {
    for (name, locale) in [("02-dentist-us-minimal", "en"), ("04-other-hostile-text", "en")] {
        let order = order(name, locale);
        let run = site_of(&order);
        for (path, source) in pages(&run).into_iter().filter(|(path, _)| *path != "404.html") {
            let html = Html::parse_document(source);
            for link in ["link[rel=apple-touch-icon]", "link[rel=manifest]", "link[sizes]"] {
                assert_eq!(all(&html, link).len(), 1, "{name} {path}: {link}");
            }
        }
        let manifest: serde_json::Value =
            serde_json::from_str(run.text("site.webmanifest")).unwrap();
        assert_eq!(manifest["name"], order.business_name, "{name}");
        assert_eq!(manifest["lang"], locale, "{name}");
        assert_eq!(manifest["start_url"], "index.html", "{name}");
        let icons = manifest["icons"].as_array().unwrap();
        for icon in icons {
            let path = icon["src"].as_str().unwrap();
            assert!(run.file(path).is_some_and(|bytes| !bytes.is_empty()), "{name}: {path}");
        }
        for wanted in ["192x192", "512x512", "any"] {
            assert!(icons.iter().any(|icon| icon["sizes"] == wanted), "{name}: {wanted}");
        }
        assert!(icons.iter().any(|icon| icon["purpose"] == "maskable"), "{name}");
    }
}

#[test]
fn every_page_is_valid_and_accessible() {
    for (name, locale) in ORDERS {
        let order = order(name, locale);
        let run = site_of(&order);
        for (path, source) in pages(&run) {
            let at = format!("{name}/{path}");
            let html = Html::parse_document(source);
            assert_eq!(html.errors, Vec::<std::borrow::Cow<'static, str>>::new(), "{at}");
            assert_eq!(all(&html, "html")[0].attr("lang"), Some(locale), "{at}");
            assert_eq!(all(&html, "h1").len(), 1, "{at}");
            assert_eq!(all(&html, "main").len(), 1, "{at}");
            for meta in ["meta[name=description]", "meta[name=viewport]"] {
                assert!(
                    !all(&html, meta)[0].attr("content").unwrap().trim().is_empty(),
                    "{at} {meta}"
                );
            }
            let name: String = order.business_name.chars().take(20).collect();
            assert!(text(source, "title").contains(&name), "{at}");
            let levels: Vec<u8> = all(&html, "h1,h2,h3,h4")
                .iter()
                .map(|h| h.value().name().as_bytes()[1] - b'0')
                .collect();
            assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{at} {levels:?}");
            let ids: Vec<&str> =
                all(&html, "[id]").iter().filter_map(|element| element.attr("id")).collect();
            assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "{at} {ids:?}");
            for field in all(&html, "input,select,textarea") {
                let label = format!("label[for={}]", field.attr("id").unwrap());
                assert_eq!(all(&html, &label).len(), 1, "{at} {label}");
            }
        }
    }
}

#[test]
fn f5_internal_links_resolve_and_pages_load_no_external_files() {
    for (name, locale) in ORDERS {
        let run = site_of(&order(name, locale));
        for (path, source) in pages(&run) {
            let at = format!("{name}/{path}");
            let html = Html::parse_document(source);
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            for link in all(&html, "a[href],link[href]") {
                let href = link.attr("href").unwrap();
                if ["tel:", "mailto:", "https://"].iter().any(|scheme| href.starts_with(scheme)) {
                    assert_eq!(link.value().name(), "a", "{at} {href}");
                    continue;
                }
                let (file, anchor) = href.split_once('#').unwrap_or((href, ""));
                let target = match (file, file.strip_prefix("../")) {
                    ("", _) => path.to_owned(),
                    (_, Some(up)) => up.to_owned(),
                    (file, None) if folder.is_empty() => file.to_owned(),
                    (file, None) => format!("{folder}/{file}"),
                };
                assert!(run.files.contains_key(&target), "{at} links to {href}, which is {target}");
                if !anchor.is_empty() {
                    let there = Html::parse_document(run.text(&target));
                    assert_eq!(all(&there, &format!("#{anchor}")).len(), 1, "{at} links to {href}");
                }
            }
            assert!(
                all(
                    &html,
                    "img,iframe,video,audio,object,embed,script[src],base,[style],[onclick]"
                )
                .is_empty(),
                "{at}"
            );
            for script in all(&html, "script") {
                assert_eq!(script.attr("type"), Some("application/ld+json"), "{at}");
                let json: serde_json::Value = serde_json::from_str(&script.inner_html()).unwrap();
                assert_eq!(json["@context"], "https://schema.org", "{at}");
            }
        }
        let css = run.text("assets/site.css");
        assert!(!css.contains("url(") && !css.contains("@import"), "{name}");
    }
}

#[test]
fn f6_hostile_text_is_shown_literally_and_injects_nothing() {
    let order = order("04-other-hostile-text", "en");
    let run = site_of(&order);
    for (path, source) in pages(&run) {
        for left_over in ["{{", "}}", "${", "<script>", "<Bytes>", "alert(1)</script>"] {
            assert!(!source.replace("}\n}", "").contains(left_over), "{path} has {left_over}");
        }
        assert!(text(source, "body").contains(order.business_name.as_str()), "{path}");
    }
    let home = run.text("index.html");
    let cards = text(home, ".card h3");
    assert_eq!(cards.lines().next(), Some("Not in the list above"));
    for service in [
        "It's a service",
        "A \"quoted\" one",
        "</script><script>alert(1)</script>",
        "```json\n{\"files\":[]}\n```",
        "🛠️ reparo",
    ] {
        assert!(cards.contains(service), "{service} in {cards}");
    }
    assert!(text(home, "blockquote").contains("It's {{#SERVICES}} ok"));
    assert!(
        text(home, ".eyebrow").contains("Retro-computing repair — 💾 · São João d'Aliança, GO")
    );
    assert!(text(run.text("contact/index.html"), "address").contains("1 LineTwo Lines\\three"));
    let json = text(home, "script");
    let data: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(data["name"], order.business_name.as_str());
    assert!(run.files.keys().all(|path| !path.contains("..") && !path.contains("passwd")));
    assert_eq!(run.reports.iter().filter(|report| report.code == "page-unknown").count(), 1);
}

#[test]
fn f6_text_of_the_model_is_escaped() {
    let evil = "<img src=x onerror=alert(1)>{{X}}${Y}</script>";
    let script = common::script().replace("Close by, and with time to listen", evil).replace(
        "A local business that listens first, explains clearly and does what was agreed.",
        evil,
    );
    let run = Harness::scripted(&script).run::<LocalBusiness>(order("02-dentist-us-minimal", "en"));
    run.result.as_ref().unwrap();
    let home = run.text("index.html");
    assert_eq!(text(home, "h1"), evil);
    assert!(all(&Html::parse_document(home), "img").is_empty());
    assert!(!home.contains("{{") && !home.contains("${"));
}

/// What follows the closing delimiter; `part` begins with the mark of the opening one.
fn closed(part: &str) -> &str {
    let Some((mark, data)) = part.split_once(' ') else { return "" };
    data.split_once(&format!("</data-{mark}>")).map_or("", |(_, after)| after)
}

#[test]
fn e14_text_of_the_customer_reaches_the_model_as_marked_data_only() {
    let run = site_of(&order("04-other-hostile-text", "en"));
    assert_eq!(run.ai_calls.len(), 5);
    for call in &run.ai_calls {
        for message in &call.request.messages {
            let outside: String = message
                .content
                .split("<data-")
                .enumerate()
                .map(|(at, part)| if at == 0 { part } else { closed(part) })
                .collect();
            for words in ["Ignore all previous", "Joe's", "alert(1)", "Blog"] {
                assert!(!outside.contains(words), "{words} in {outside}");
            }
            assert!(message.role != Role::System || !message.content.contains("label=\"order\""));
        }
    }
}

#[test]
fn the_strategy_comes_first_and_all_pages_are_written_at_once() {
    let run = site_of(&order("03-plumber-us-premium", "en"));
    let purposes: Vec<&str> =
        run.ai_calls.iter().map(|call| call.request.purpose.as_str()).collect();
    assert_eq!(
        purposes,
        [
            "strategy",
            "copywriting",
            "copywriting",
            "copywriting",
            "copywriting",
            "copywriting",
            "copywriting"
        ]
    );
    assert_eq!(run.most_calls_at_once, 6);
}

#[test]
fn e7_a_page_without_copy_fails_the_order_and_blames_its_call() {
    let start = "[[rule]]\npurpose = \"copywriting\"\ncontains = [\"page: faq\\n\"]\nanswer = { \
                 json = { questions = [], intro = { title = \"\", description = \"\", headline = \
                 \"\", lead = \"\" } } }\n\n";
    let run = Harness::scripted(&format!("{start}{}", common::script()))
        .run::<LocalBusiness>(order("02-dentist-us-minimal", "en"));
    let error = run.result.unwrap_err();
    assert_eq!(error.code(), "empty-copy");
    assert!(error.message().contains("`FAQ`") && error.message().contains("questions"), "{error}");
    assert_eq!(error.ai_calls().len(), 1);
}

#[test]
fn e7_a_strategy_that_says_nothing_fails_before_any_page_is_paid_for() {
    let script = common::script().replace(
        "A local business that listens first, explains clearly and does what was agreed.",
        " ",
    );
    let run = Harness::scripted(&script).run::<LocalBusiness>(order("02-dentist-us-minimal", "en"));
    let error = run.result.unwrap_err();
    assert_eq!(
        (error.code(), error.ai_calls().len(), run.ai_calls.len()),
        ("empty-copy", 1, 1),
        "{error}"
    );
}

#[test]
fn empty_copy_falls_back_to_default_wording_on_the_home_page() {
    let blank = "[[rule]]\npurpose = \"copywriting\"\ncontains = [\"page: \
                 home\\n\"]\n[rule.answer.json]\nabout_heading = \"\"\nabout_text = \
                 \"\"\nservices_heading = \"\"\nservices_lead = \"\"\nservices = []\nreasons = \
                 []\nclosing_heading = \"\"\nclosing_text = \"\"\nintro = { title = \"\", \
                 description = \"\", headline = \"\", lead = \"\" }\n\n";
    let run = Harness::scripted(&format!("{blank}{}", common::script()))
        .run::<LocalBusiness>(order("02-dentist-us-minimal", "en"));
    run.result.as_ref().unwrap();
    let home = run.text("index.html");
    assert_eq!(text(home, "h1"), "Bright Oak Dental");
    assert_eq!(text(home, "title"), "Bright Oak Dental");
    let html = Html::parse_document(home);
    for element in all(&html, "h1,h2,h3,p,a,li") {
        assert!(!element.text().collect::<String>().trim().is_empty(), "{}", element.html());
    }
}

#[test]
fn an_unsupported_language_falls_back_to_english_with_a_warning() {
    let run = site_of(&order("02-dentist-us-minimal", "fi-FI"));
    assert!(run.text("index.html").contains("<html lang=\"en\">"));
    assert!(run.reports.iter().any(|report| report.code == "locale-unsupported"));
}

#[test]
fn calls_to_action_go_where_the_order_says() {
    for (name, locale, href, label) in [
        ("01-restaurant-ptbr-full", "pt-BR", "https://wa.me/5519955501011", "Reserve sua mesa"),
        ("02-dentist-us-minimal", "en", "tel:5550102200", "Call now"),
        ("03-plumber-us-premium", "en", "tel:+15550103301", "Call now"),
        ("04-other-hostile-text", "en", "contact/index.html#form", "Book it"),
        ("05-lawyer-bad-colours", "pt-BR", "contato/index.html#form", "Enviar mensagem"),
    ] {
        let run = site_of(&order(name, locale));
        let html = Html::parse_document(run.text("index.html"));
        let button = all(&html, ".hero .button").remove(0);
        assert_eq!(
            (button.attr("href"), button.text().collect::<String>().as_str()),
            (Some(href), label),
            "{name}"
        );
    }
}

#[test]
fn opening_hours_are_shown_or_their_absence_is_reported() {
    let run = site_of(&order("01-restaurant-ptbr-full", "pt-BR"));
    let table = text(run.text("contato/index.html"), ".hours tbody tr");
    assert_eq!(
        table.lines().collect::<Vec<_>>(),
        ["Terça e quarta11:30 – 15:0018:30 – 23:00", "Sábado12:00 – 23:30", "Domingo12:00 – 16:00"]
    );
    let run = site_of(&order("02-dentist-us-minimal", "en"));
    assert!(all(&Html::parse_document(run.text("contact/index.html")), ".hours").is_empty());
    assert!(run.reports.iter().any(|report| report.code == "no-opening-hours"));
}

#[test]
fn services_are_not_limited_and_pages_are() {
    let mut order = order("03-plumber-us-premium", "en");
    order.services = (1..=200).map(|number| format!("Service number {number}")).collect();
    order.selected_pages = (1..=199).map(|number| format!("Page number {number}")).collect();
    order.selected_pages.push("services".to_owned());
    order.selected_pages.rotate_right(1);
    let run = site_of(&order);
    let services = run.text("services/index.html");
    assert!(services.contains("Service number 200"));
    assert_eq!(run.ai_calls.len(), 1 + local_business::pages::MAX_PAGES);
    assert!(run.reports.iter().any(|report| report.code == "page-limit"));
}

#[test]
fn page_names_are_recognized_in_both_languages() {
    let mut order = order("01-restaurant-ptbr-full", "pt-BR");
    for (locale, typed, slugs) in [
        (
            "pt-BR",
            [
                "INÍCIO",
                "Quem somos",
                "Serviços",
                "Galeria de fotos",
                "Avaliações",
                "Dúvidas",
                "Preços",
                "Fale conosco",
                "Nossa adega",
            ],
            [
                "",
                "sobre",
                "cardapio",
                "galeria",
                "depoimentos",
                "perguntas-frequentes",
                "orcamento",
                "nossa-adega",
                "contato",
            ],
        ),
        (
            "en",
            [
                "homepage",
                "Our story",
                "menu",
                "Portfolio",
                "reviews",
                "Questions",
                "prices",
                "Contact us",
                "Our cellar",
            ],
            [
                "",
                "about",
                "menu",
                "gallery",
                "testimonials",
                "faq",
                "pricing",
                "our-cellar",
                "contact",
            ],
        ),
    ] {
        order.locale = locale.parse().unwrap();
        order.selected_pages = typed.iter().map(|name| (*name).to_owned()).collect();
        let plan = local_business::pages::Plan::of(&order);
        let planned: Vec<&str> = plan.pages.iter().map(|page| page.slug.as_str()).collect();
        assert_eq!(planned, slugs, "{locale}");
        let run = site_of(&order);
        assert_eq!(pages(&run).len(), slugs.len() + 1, "{locale}");
    }
}

#[test]
fn f1_no_typed_page_name_becomes_an_unsafe_path() {
    let mut order = order("02-dentist-us-minimal", "en");
    for name in
        ["../../etc/passwd", "a/b", "C:\\x", "<b>", "{{X}}", "..", "\u{0}", "💾", "Terms of use"]
    {
        order.selected_pages = vec![name.to_owned()];
        let plan = local_business::pages::Plan::of(&order);
        assert_eq!(plan.pages.len(), 2, "{name}");
        assert_eq!(plan.notes[0].code, "page-unknown", "{name}");
    }
    for (name, slug) in [
        ("CON", "con-page"),
        ("Assets & more", "assets-more"),
        ("  Ação São João! ", "acao-sao-joao"),
        ("Żółć i łosoś", "zolc-i-losos"),
        ("Smørrebrød, Øl & Æbler", "smorrebrod-ol-aebler"),
        ("Đặt bàn", "dat-ban"),
        ("Spaß", "spass"),
        ("Меню", "meniu"),
        ("Ελλάδα", "ellada"),
        ("北京", "bei-jing"),
    ] {
        order.selected_pages = vec![name.to_owned()];
        assert_eq!(local_business::pages::Plan::of(&order).pages[1].slug, slug);
    }
}

#[test]
fn the_same_order_gives_the_same_bytes() {
    let order = order("01-restaurant-ptbr-full", "pt-BR");
    assert_eq!(site_of(&order).files, site_of(&order).files);
}

#[test]
fn a_bakery_with_the_niche_of_a_restaurant_has_its_own_drawing() {
    for (order, expected) in [
        (real_order("n09-bakery-engb"), Drawing::Bakery),
        (order("01-restaurant-ptbr-full", "pt-BR"), Drawing::Restaurant),
    ] {
        assert_eq!(Drawing::of(&order), expected, "{}", order.business_name);
    }
}
