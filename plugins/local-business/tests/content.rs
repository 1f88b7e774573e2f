//! What an order says beside the copy, in every language: places, people, photos, identifiers, the
//! page that says who is responsible.
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod common;

use common::{order, site_of};
use local_business::language::Language;
use local_business::pages::Plan;
use scraper::{Html, Selector};
use sitewright_sdk::order::{Niche, Order, read};
use sitewright_sdk::testing::Run;

/// The first test order with all typed content.
fn full(locale: &str) -> Order {
    let path = common::repository().join("tests/orders/01-restaurant-ptbr-full.json");
    let mut document: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let content = serde_json::json!({
        "locale": locale, "niche": "general", "primary_cta": "call",
        "business_address": "Rua A, 12", "postal_code": "13300-000", "primary_city": "Itu",
        "emergency_phone": "+55 11 95550-0199",
        "booking_url": "https://book.example/", "order_url": "https://order.example/",
        "menu_url": "https://menu.example/", "gift_card_url": "https://gift.example/",
        "donation_url": "https://give.example/", "logo_url": "https://img.example/logo.png",
        "google_reviews_link": "https://reviews.example/",
        "photos": [
            { "url": "https://img.example/1.jpg", "alt": "Forno & lenha" },
            { "url": "https://img.example/2.jpg" },
        ],
        "team": [{
            "name": "Ana <Bia>", "role": "Padeira", "bio": "Desde menina.",
            "photo_url": "https://img.example/ana.jpg",
        }],
        "locations": [{
            "name": "Roath", "address": "1 Albany Rd", "city": "Cardiff",
            "phone": "+44 29 2018 0142", "email": "roath@example.com",
            "hours": { "monday": "08:00-12:00", "saturday": "till sold out" },
        }],
        "prices": [{ "name": "Kit", "price": "R$ 45", "duration": "60 min" }],
        "neighborhood": "Vila Nova",
        "posts": [{
            "title": "Casa aberta", "text": "Primeira linha.\nSegunda linha.",
            "date": "2026-03-09", "image_url": "https://img.example/casa.jpg",
        }],
        "legal": {
            "legal_name": "Forno Ltda", "representative": "Ana Lima", "vat_id": "VAT-1",
            "tax_id": "TAX-2", "siret": "SIRET-3", "siren": "SIREN-4", "ein": "EIN-5",
            "company_number": "HRB-6", "license_number": "LIC-7",
        },
    });
    for (name, value) in content.as_object().unwrap() {
        document["onboarding"][name] = value.clone();
    }
    read(&document, &"en".parse().unwrap()).unwrap()
}

fn text(html: &str) -> String {
    let html = Html::parse_document(html);
    let body = Selector::parse("body").unwrap();
    html.select(&body).flat_map(|element| element.text()).collect::<Vec<_>>().join(" ")
}

fn whole(run: &Run) -> (String, String) {
    let pages = run.files.keys().filter(|path| path.ends_with(".html") && *path != "404.html");
    let sources: Vec<&str> = pages.map(|path| run.text(path)).collect();
    let shown = sources.iter().map(|source| text(source)).collect::<Vec<_>>().join("\n");
    (sources.join("\n"), shown)
}

#[test]
fn all_typed_content_is_shown_in_every_language_with_any_pages() {
    let selections: [&[&str]; 3] = [
        &["Home", "Contact"],
        &["Home", "Sobre", "Serviços", "Galeria", "Depoimentos", "Preços", "FAQ"],
        &[],
    ];
    for language in Language::ALL {
        for selected in selections {
            let mut order = full(language.code());
            order.selected_pages = selected.iter().map(|name| (*name).to_owned()).collect();
            let (source, shown) = whole(&site_of(&order));
            let at = format!("{} with {selected:?}", language.code());
            let links = [
                "https://book.example/",
                "https://order.example/",
                "https://menu.example/",
                "https://gift.example/",
                "https://give.example/",
                "https://reviews.example/",
                "https://img.example/1.jpg",
                "https://img.example/2.jpg",
                "https://img.example/ana.jpg",
                "https://img.example/casa.jpg",
                "tel:+5511955500199",
                "tel:+442920180142",
                "mailto:roath@example.com",
            ];
            for link in links {
                assert!(source.contains(&format!("href=\"{link}\"")), "{at}: {link}");
            }
            for rest in source.split("/maps/search/").skip(1) {
                let query = rest.split('"').next().unwrap_or_default();
                assert!(query.matches("Itu").count() < 2, "{at}: {query}");
            }
            let words = language.words();
            let texts = [
                "Forno & lenha",
                "Ana <Bia>",
                "Padeira",
                "Desde menina.",
                "Roath",
                "1 Albany Rd",
                "Cardiff",
                "till sold out",
                "R$ 45",
                "60 min",
                "13300-000",
                "Forno Ltda",
                "Ana Lima",
                "VAT-1",
                "TAX-2",
                "SIRET-3",
                "SIREN-4",
                "EIN-5",
                "HRB-6",
                "LIC-7",
                "Vila Nova",
                "Casa aberta",
                "Primeira linha.",
                "Segunda linha.",
                words.news,
                words.team,
                words.locations,
                words.emergency,
                words.imprint,
                words.responsible,
                words.order_online,
                words.donate,
                words.gift_cards,
            ];
            for part in texts {
                assert!(shown.contains(part), "{at}: {part}");
            }
            let day = language.date(&order.locale, "2026-03-09").unwrap();
            assert!(shown.contains(&day), "{at}: {day}");
            assert!(source.contains("https://img.example/logo.png"), "{at}: for search engines");
            for service in &order.services {
                assert!(shown.contains(service.as_str()), "{at}: {service}");
            }
            for testimonial in &order.testimonials {
                assert!(shown.contains(testimonial.text.trim()), "{at}: {}", testimonial.text);
            }
            assert!(!source.contains("<Bia>") && !source.contains("<img"), "{at}");
        }
    }
}

/// Names of pages, whether the order has an address and identifiers, and whether the page of who is
/// responsible is there.
#[test]
fn who_is_responsible_is_said_by_form_if_the_data_is_there() {
    let rows = [
        ("de", "Impressum", true, false, true),
        ("de", "Impressum", false, false, false),
        ("de", "Kontakt", true, true, true),
        ("de", "Kontakt", true, false, false),
        ("fr", "Mentions légales", true, false, true),
        ("es", "Aviso legal", true, false, true),
        ("it", "Note legali", true, false, true),
        ("en", "Legal notice", true, false, true),
        ("en", "Terms of use", true, false, false),
        ("fr", "CGV", true, false, false),
    ];
    for (locale, page, has_address, has_legal, is_there) in rows {
        let mut order = order("02-dentist-us-minimal", locale);
        order.locale = locale.parse().unwrap();
        order.selected_pages = vec![page.to_owned()];
        order.business_address = has_address.then(|| "Gasse 1\n04109 Leipzig".to_owned());
        order.legal.vat_id = has_legal.then(|| "DE123456789".to_owned());
        let plan = Plan::of(&order);
        assert_eq!(plan.imprint.is_some(), is_there, "{page}");
        let is_kept = is_there || page == "Kontakt";
        assert_eq!(plan.notes.is_empty(), is_kept, "{page}: {:?}", plan.notes);
        assert_eq!(plan.pages.len(), 2, "{page}: home and contact");
        let Some(imprint) = plan.imprint else { continue };
        let run = site_of(&order);
        let source = run.text(&imprint.path());
        let shown = text(source);
        for part in [order.business_name.as_str(), "Gasse 1", "04109 Leipzig", "010-2200"] {
            assert!(shown.contains(part), "{page}: {part}");
        }
        assert_eq!(shown.contains("DE123456789"), has_legal, "{page}");
        let home = run.text("index.html");
        assert!(home.contains(&format!("href=\"{}\"", imprint.path())), "{page}: linked");
        assert!(run.ai_calls.iter().all(|call| !call.prompt().contains(imprint.label.as_str())));
    }
}

/// Pages that a trade has with words of the legal pages in their names.
#[test]
fn what_a_trade_offers_is_no_legal_page() {
    let rows = [
        (Niche::Lawyer, "", "es", "Asesoría legal", true),
        (Niche::Lawyer, "", "it", "Consulenze legali", true),
        (Niche::Lawyer, "", "pt", "Pareceres legais", true),
        (Niche::Lawyer, "", "he", "ייעוץ משפטי", true),
        (Niche::Other, "Law firm", "en", "Legal advice", true),
        (Niche::Lawyer, "", "en", "Legal notice", false),
        (Niche::Lawyer, "", "en", "Legal", false),
        (Niche::Lawyer, "", "es", "Información legal", false),
        (Niche::Lawyer, "", "fr", "Mentions légales", false),
        (Niche::Dentist, "", "en", "Legal advice", false),
        (Niche::Other, "Bakery", "en", "Cookies & cakes", true),
        (Niche::Other, "Bakery", "en", "Privacy and cookies", false),
        (Niche::Dentist, "", "en", "Cookies", false),
    ];
    for (niche, trade, locale, page, is_page) in rows {
        let mut order = order("02-dentist-us-minimal", locale);
        order.locale = locale.parse().unwrap();
        (order.niche, order.custom_niche) = (niche, Some(trade.to_owned()));
        order.selected_pages = vec![page.to_owned()];
        order.business_address = Some("Gasse 1\n04109 Leipzig".to_owned());
        let plan = Plan::of(&order);
        let pages: Vec<&str> = plan.pages.iter().map(|page| page.label.as_str()).collect();
        assert_eq!(pages.contains(&page), is_page, "{page}: {pages:?}");
        let is_legal = plan.imprint.is_some() || plan.privacy.is_some() || !plan.notes.is_empty();
        assert_eq!(is_legal, !is_page, "{page}: {:?}", plan.notes);
    }
}

/// Names of pages in the language of each template, and whether the page about data is there.
#[test]
fn the_page_about_data_is_made_by_form_if_the_data_is_there() {
    let rows = [
        ("de", "Datenschutzerklärung", true),
        ("de", "Datenschutz", false),
        ("en", "Privacy notice", true),
        ("en", "GDPR", true),
        ("fr", "Politique de confidentialité", true),
        ("es", "Aviso de privacidad", true),
        ("it", "Informativa sulla privacy", true),
        ("pt", "Política de Privacidade", true),
        ("ar", "سياسة الخصوصية", true),
        ("he", "מדיניות פרטיות", true),
        ("ja", "プライバシーポリシー", true),
    ];
    for (locale, page, has_address) in rows {
        for endpoint in [None, Some("https://forms.alpha.fr/17?a=b")] {
            let mut order = order("02-dentist-us-minimal", locale);
            order.locale = locale.parse().unwrap();
            order.selected_pages = vec![page.to_owned()];
            order.business_address = has_address.then(|| "Gasse 1\n04109 Leipzig".to_owned());
            order.business_email = Some("office@alpha.fr".to_owned());
            order.form_endpoint = endpoint.map(str::to_owned);
            let plan = Plan::of(&order);
            assert_eq!(plan.privacy.is_some(), has_address, "{page}");
            assert_eq!(plan.notes.is_empty(), has_address, "{page}: {:?}", plan.notes);
            assert_eq!(plan.pages.len(), 2, "{page}: home and contact");
            let Some(privacy) = plan.privacy else { continue };
            let run = site_of(&order);
            let shown = text(run.text(&privacy.path()));
            let words = Language::of(&order.locale).words();
            for part in [order.business_name.as_str(), "Gasse 1", "010-2200", words.privacy_site] {
                assert!(shown.contains(part), "{page}: {part}");
            }
            assert_eq!(shown.contains(words.privacy_mail), endpoint.is_none(), "{page}");
            assert_eq!(shown.contains("forms.alpha.fr"), endpoint.is_some(), "{page}");
            let home = run.text("index.html");
            assert!(home.contains(&format!("href=\"{}\"", privacy.path())), "{page}: linked");
            assert!(run.ai_calls.iter().all(|call| !call.prompt().contains(words.privacy)));
        }
    }
}
