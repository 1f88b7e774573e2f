//! Tolerant parsing: documents that deviate from the normalized form.

use crate::support::{crm, flat, read, set};
use proptest::prelude::*;
use serde_json::{Value, json};
use sitewright_order::{Color, Day, Locale, read_ranges, web_address};

#[test]
fn hours_in_common_notations() {
    let table: [(&str, &[&str]); 52] = [
        ("11:30-15:00, 18:30-23:00", &["11:30-15:00", "18:30-23:00"]),
        ("18:30-23:00; 11:30-15:00", &["18:30-23:00", "11:30-15:00"]),
        ("24h", &["00:00-24:00"]),
        ("24 horas", &["00:00-24:00"]),
        ("24/7", &["00:00-24:00"]),
        ("closed", &[]),
        (" Fechado ", &[]),
        ("9:00-18:00", &["09:00-18:00"]),
        ("9am - 5pm", &["09:00-17:00"]),
        ("9:30 A.M. – 5 p.m.", &["09:30-17:00"]),
        ("12pm-12am", &["12:00-24:00"]),
        ("12am-12pm", &["00:00-12:00"]),
        ("09:00–18:00", &["09:00-18:00"]),
        ("09:00 — 18:00", &["09:00-18:00"]),
        ("9h-18h", &["09:00-18:00"]),
        ("9-18h", &["09:00-18:00"]),
        ("9h30 às 18h45", &["09:30-18:45"]),
        ("9h00min - 18h00min", &["09:00-18:00"]),
        ("9.30-18.00", &["09:30-18:00"]),
        ("9am to 5pm", &["09:00-17:00"]),
        ("22:00-02:00", &["22:00-02:00"]),
        ("18:00-00:00", &["18:00-24:00"]),
        // A half of the day that is written once.
        ("5:00 – 8:00 PM", &["17:00-20:00"]),
        ("11:00 am – 3:00 pm, 5:00 – 8:00 pm", &["11:00-15:00", "17:00-20:00"]),
        ("12:00 – 6:00 AM", &["00:00-06:00"]),
        ("11:00 – 3:00 PM", &["11:00-15:00"]),
        ("10:00 – 2:00 AM", &["22:00-02:00"]),
        ("9-5pm", &["09:00-17:00"]),
        ("9am-5", &["09:00-17:00"]),
        ("6pm-11:30", &["18:00-23:30"]),
        ("9-18", &["09:00-18:00"]),
        ("9-12", &["09:00-12:00"]),
        ("22-4", &["22:00-04:00"]),
        ("entre 9h e 18h", &["09:00-18:00"]),
        ("between 9am and 5pm", &["09:00-17:00"]),
        ("noon - midnight", &["12:00-24:00"]),
        ("8:00 to 24:00", &["08:00-24:00"]),
        // Other languages.
        ("9 Uhr bis 18 Uhr", &["09:00-18:00"]),
        ("9.30-12.30 Uhr und 14-18 Uhr", &["09:30-12:30", "14:00-18:00"]),
        ("9h-12h30, 14h-18h30", &["09:00-12:30", "14:00-18:30"]),
        ("de 9h à 18h", &["09:00-18:00"]),
        ("dalle 9:00 alle 18:00", &["09:00-18:00"]),
        ("9:00 a. m. - 5:00 p. m.", &["09:00-17:00"]),
        ("van 9.00 tot 17.30 uur", &["09:00-17:30"]),
        ("od 8:00 do 16:00", &["08:00-16:00"]),
        ("9時〜18時半", &["09:00-18:30"]),
        ("午前10時～午後7時", &["10:00-19:00"]),
        ("上午9:00至下午5:30", &["09:00-17:30"]),
        ("٩:٠٠ - ١٧:٠٠", &["09:00-17:00"]),
        ("9:00 ص - 5:00 م", &["09:00-17:00"]),
        ("geschlossen", &[]),
        ("סגור", &[]),
    ];
    for (text, expected) in table {
        let ranges: Vec<_> = read_ranges(text).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(ranges, expected, "{text}");
    }
    for text in [
        "",
        "9",
        "9-5",
        // Two times at which something begins, as churches and theatres write them.
        "9h e 18h",
        "9 e 18",
        "9am and 6pm",
        "9h et 18h",
        "9 y 18 h",
        "9 und 18 Uhr",
        "9am-11",
        "13pm-14pm",
        "0am-5am",
        "+9:00-10:00",
        "9:0-10:00",
        "9:60-10:00",
        "24:00-25:00",
        "a-b",
        ",",
    ] {
        assert!(read_ranges(text).is_err(), "{text}");
    }
}

#[test]
fn days_in_many_languages() {
    let table = [
        ("MONDAY", Day::Monday),
        ("mon", Day::Monday),
        ("Segunda-feira", Day::Monday),
        ("seg.", Day::Monday),
        ("TERÇA", Day::Tuesday),
        ("terc\u{327}a", Day::Tuesday),
        ("terca feira", Day::Tuesday),
        ("Weds", Day::Wednesday),
        ("quarta", Day::Wednesday),
        ("Thurs", Day::Thursday),
        ("qui", Day::Thursday),
        ("sexta", Day::Friday),
        ("Sábado", Day::Saturday),
        ("sab", Day::Saturday),
        ("domingo", Day::Sunday),
        ("miércoles", Day::Wednesday),
        ("lundi", Day::Monday),
        ("Donnerstags", Day::Thursday),
        ("venerdì", Day::Friday),
        ("zaterdag", Day::Saturday),
        ("środa", Day::Wednesday),
        ("火曜日", Day::Tuesday),
        ("星期四", Day::Thursday),
        ("الأحد", Day::Sunday),
        ("الإثنين", Day::Monday),
        ("יום שלישי", Day::Tuesday),
    ];
    for (text, day) in table {
        assert_eq!(text.parse::<Day>(), Ok(day), "{text}");
    }
}

#[test]
fn hours_come_in_three_forms() {
    let normalized = json!([
        {"day": "monday", "ranges": ["09:00-12:00", "13:00-18:00"]},
        {"day": "sunday", "ranges": []},
    ]);
    let forms = [
        json!({"dom": "fechado", "seg": "13h-18h, 9h-12h", "ter": null, "qua": ""}),
        json!({"Sunday": [], "Monday": ["9:00-12:00", "1pm-6pm"]}),
        normalized.clone(),
    ];
    for form in forms {
        let mut document = crm();
        document["onboarding"]["business_hours"] = form.clone();
        assert_eq!(json!(read(&document).unwrap().business_hours), normalized, "{form}");
    }
}

#[test]
fn colours_as_css_has_them() {
    let table = [
        ("#ABC", "#aabbcc"),
        ("#1b4332", "#1b4332"),
        (" DarkGreen ", "#006400"),
        ("rebeccapurple", "#663399"),
        ("rgb(27 67 50)", "#1b4332"),
        ("rgba(27, 67, 50, 0.5)", "#1b4332"),
        ("hsl(120deg 100% 25%)", "#008000"),
        ("hwb(120 0% 50%)", "#008000"),
        ("oklch(1 0 0)", "#ffffff"),
    ];
    for (text, expected) in table {
        assert_eq!(text.parse::<Color>().unwrap().to_string(), expected, "{text}");
    }
}

#[test]
fn links_get_a_scheme() {
    let table = [
        ("facebook.com/x", "https://facebook.com/x"),
        ("//facebook.com/x", "https://facebook.com/x"),
        ("HTTP://facebook.com/x?a=b#c", "http://facebook.com/x?a=b#c"),
        ("example.com:8080/x", "https://example.com:8080/x"),
        (" https://münchen.example/ä ", "https://münchen.example/ä"),
    ];
    for (text, expected) in table {
        assert_eq!(web_address(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn the_locale_can_be_in_three_locations() {
    let default: Locale = "en".parse().unwrap();
    let table: [(&[(&str, &str)], &str); 6] = [
        (&[], "en"),
        (&[("/locale", "pt_br")], "pt-BR"),
        (&[("/order/locale", "es-419")], "es-419"),
        (&[("/onboarding/locale", "ZH-hant-tw")], "zh-Hant-TW"),
        (&[("/onboarding/locale", "pt-BR"), ("/order/locale", "de"), ("/locale", "fr")], "pt-BR"),
        (&[("/onboarding/locale", " "), ("/locale", "fr")], "fr"),
    ];
    for (given, expected) in table {
        let mut document = crm();
        given.iter().for_each(|(pointer, locale)| set(&mut document, pointer, json!(locale)));
        assert_eq!(
            sitewright_order::read(&document, &default).unwrap().locale.as_str(),
            expected,
            "{given:?}"
        );
    }
}

#[test]
fn numbers_texts_and_flags_of_other_types() {
    let table = [
        ("years_in_business", json!("22"), json!(22)),
        ("years_in_business", json!(22.0), json!(22)),
        ("years_in_business", json!(0), Value::Null),
        ("years_in_business", json!(""), Value::Null),
        ("years_in_business", json!(1_500), json!(1_500)),
        ("has_whatsapp", json!("true"), json!(true)),
        ("has_whatsapp", json!(1), json!(true)),
        ("has_whatsapp", Value::Null, json!(false)),
        ("has_whatsapp", json!("1"), json!(true)),
        ("has_whatsapp", json!("Yes"), json!(true)),
        ("has_whatsapp", json!("on"), json!(true)),
        ("has_whatsapp", json!("SIM"), json!(true)),
        ("has_whatsapp", json!("off"), json!(false)),
        ("has_whatsapp", json!([]), json!(false)),
        ("tone", json!("Premium"), json!("premium")),
        ("primary_cta", json!("Book online"), json!("book_online")),
        ("years_in_business", json!("10+ years"), json!(10)),
        ("business_name", json!(1909), json!("1909")),
        ("selected_pages", json!(""), json!([])),
        ("testimonials", json!({}), json!([])),
        ("business_phone", json!(5550102200u64), json!("5550102200")),
        (
            "business_phone",
            json!(" +1 555\u{2011}010\u{2011}2200 "),
            json!("+1 555\u{2011}010\u{2011}2200"),
        ),
        ("business_email", json!(" joe@example.com "), json!("joe@example.com")),
        ("business_name", json!(" x "), json!(" x ")),
        ("site_description", json!(" \n"), Value::Null),
        ("site_description", json!("é".repeat(20_000)), json!("é".repeat(20_000))),
        ("business_name", json!("é".repeat(300)), json!("é".repeat(300))),
        ("services", json!(["a", "", null, " b "]), json!(["a", " b "])),
        ("services", Value::Array(vec![json!("a"); 200]), Value::Array(vec![json!("a"); 200])),
        ("tone", json!(""), json!("professional")),
        (
            "testimonials",
            json!([null, {}, {"text": " "}, {"text": "a", "rating": "4.5"}]),
            json!([{"text": "a", "rating": 4.5}]),
        ),
    ];
    for (field, given, expected) in table {
        let mut document = crm();
        document["onboarding"][field] = given.clone();
        let order = serde_json::to_value(read(&document).unwrap()).unwrap();
        assert_eq!(order.get(field).unwrap_or(&Value::Null), &expected, "{field} = {given}");
    }
}

#[test]
fn unknown_fields_are_kept_without_secrets() {
    let given = json!({
        "total_pages": 5, "seo_keywords": ["a"], "nothing": null,
        "key_services": ["a"], "secretary_name": "a", "customer_types": ["a"], "currency": "BRL",
        "payment_methods": ["pix"], "accepts_payments": true, "auth_dealer": "a", "card": "a",
        "members": "4111 1111 1111 1111", "webhook": "whsec_0123456789abcdef",
        "delivery": {"radius": 5, "api_token": "x", "zones": [{"accessKey": 1, "name": "z"}]},
        "password": "x", "Password_Hash": "x", "userSecret": "x", "apiKey": "x", "key": "x",
        "stripe_session_id": "x", "senha": "x", "api-token": "x", "customer_email": "x",
        "base_price": 1, "total_price": 1, "admin_notes": "x", "completed_steps": 1,
        "is_complete": true, "status": "x", "payment_intent": "x",
    });
    let kept = json!({
        "total_pages": 5,
        "seo_keywords": ["a"],
        "key_services": ["a"], "secretary_name": "a", "customer_types": ["a"], "currency": "BRL",
        "payment_methods": ["pix"], "accepts_payments": true, "auth_dealer": "a", "card": "a",
        "delivery": {"radius": 5, "zones": [{"name": "z"}]},
    });
    let with = |mut document: Value, section: &str| {
        for (name, value) in given.as_object().unwrap() {
            set(&mut document, &format!("{section}/{name}"), value.clone());
        }
        Value::Object(read(&document).unwrap().extra)
    };
    assert_eq!(with(crm(), "/onboarding"), kept);
    assert_eq!(with(flat(), ""), kept);
    let mut document = flat();
    document["extra"] = given.clone();
    assert_eq!(Value::Object(read(&document).unwrap().extra), kept);
}

#[test]
fn ids_are_numbers_or_texts() {
    for (given, expected) in [
        (json!(7), "7"),
        (json!(u64::MAX), "18446744073709551615"),
        (json!("A-b_c.9"), "A-b_c.9"),
        (json!("nulls"), "nulls"),
    ] {
        let mut document = crm();
        document["order"]["id"] = given;
        assert_eq!(read(&document).unwrap().id, expected);
    }
    let mut beside = crm();
    beside["order"] = Value::Null;
    beside["id"] = json!("x1");
    assert_eq!(read(&beside).unwrap().id, "x1");
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(
        text in "\\PC{0,40}|[rgbhslacoktvmix#(),%/. 0-9-]{0,40}|[0-9aphm:., -]{0,12}",
    ) {
        drop(text.parse::<Color>());
        drop(read_ranges(&text));
        drop(text.parse::<Day>());
        drop(text.parse::<Locale>());
        drop(text.parse::<sitewright_order::Phone>());
        drop(sitewright_order::email_address(&text).map(str::to_owned));
        if let Ok(address) = web_address(&text) {
            prop_assert_eq!(web_address(&address), Ok(address));
        }
    }
}
