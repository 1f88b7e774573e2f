//! What CRMs, form plugins and spreadsheets do to an order: the family of each habit as a table.

use crate::support::{crm, notices, read, read_strictly};
use serde_json::{Map, Value, json};
use sitewright_order::{Day, Order, Phone, check_id, folder_id, read_id};

/// A flat order with these fields.
fn order(fields: &Value) -> Order {
    let mut document =
        json!({"id": 7, "locale": "en", "business_name": "Alpha", "business_email": "a@alpha.fr"});
    for (name, value) in fields.as_object().unwrap() {
        document[name] = value.clone();
    }
    read(&document).unwrap_or_else(|problems| panic!("{document}: {problems:#?}"))
}

/// A value of a phone field, the number that is dialled (empty if none is), and what is said to be
/// left out.
#[test]
fn numbers_with_words_beside_them() {
    let table: &[(Value, &str, &str)] = &[
        (json!("050-123-4567 (יוסי)"), "0501234567", "יוסי"),
        (json!("020 7946 0123 (office) or 07700 900123 (mobile)"), "02079460123", "07700 900123"),
        (json!("+44 (0)20 7946 0123 – ask for Ann"), "+442079460123", "ask for Ann"),
        (json!("(19) 98765-4321 WhatsApp"), "19987654321", "WhatsApp"),
        (json!("Tfno: 91 123 45 67"), "911234567", "Tfno"),
        (json!("Tel. 06 6982 1234 - cell. 333 1234567"), "0669821234", "333 1234567"),
        (json!("Fax 06 6982 1235 Tel 06 6982 1234"), "0669821234", "06 6982 1235"),
        (json!("Fax: 06 6982 1235"), "", "Fax: 06 6982 1235"),
        (json!("12O 555 0123"), "", "12O 555 0123"),
        (json!("call 5 to 9"), "", "call 5 to 9"),
        (json!("(212) 555-0123\n(212) 555-0124"), "2125550123", "(212) 555-0124"),
        (json!("212-555-0123 24/7"), "2125550123", "24/7"),
        (json!("212-555-0123 (24 hours)"), "2125550123", "24 hours"),
        (json!("'+442079460123"), "+442079460123", ""),
        (json!("=+442079460123"), "+442079460123", ""),
        (json!("tel:+442079460123"), "+442079460123", ""),
        (json!("(0xx19) 3555-0100"), "01935550100", ""),
        (json!("5.519987654321E+12"), "5519987654321", ""),
        (json!("5,519987654321E+12"), "5519987654321", ""),
        (json!("5.51998765432E+12"), "", "5.51998765432E+12"),
        (json!("1-800-FLOWERS"), "+18003569377", ""),
        (json!("+1 (888) PET-FOOD"), "+18887383663", ""),
        (json!("+52 1 55 1234 5678"), "+525512345678", ""),
        (json!("000-000-0000"), "", "000-000-0000"),
        (json!("1234567890"), "", "1234567890"),
        (json!({"number": "020 7946 0123", "type": "work"}), "02079460123", "`type` left out"),
        (
            json!({"country_code": "+44", "number": "020 7946 0123"}),
            "+442079460123",
            "read as `+44 20 7946 0123`",
        ),
        (
            json!([{"number": "020 7946 0123"}, {"number": "07700 900123"}]),
            "02079460123",
            "1 more are left out",
        ),
    ];
    for (written, dialled, left_out) in table {
        let order = order(&json!({ "business_phone": written }));
        let phone = order.business_phone.as_ref().map(Phone::dial).unwrap_or_default();
        assert_eq!(phone, *dialled, "{written}: {:?}", order.notices);
        let said = notices(&order).join("\n");
        assert_eq!(said.is_empty(), left_out.is_empty(), "{written}: {said}");
        assert!(said.contains(left_out), "{written}: {said}");
    }
}

#[test]
fn the_same_number_on_whatsapp() {
    for written in ["same", "Same as above", "o mesmo", "mesmo número acima", "idem", "le même"] {
        let order =
            order(&json!({"business_phone": "+44 20 7946 0123", "whatsapp_number": written}));
        assert!(order.has_whatsapp && order.whatsapp_phone.is_none(), "{written}: {order:#?}");
        assert_eq!(notices(&order), Vec::<String>::new(), "{written}");
    }
    let wrapped = json!({"business_phone": "+44 20 7946 0123",
        "whatsapp": {"enabled": true, "number": "+44 7700 900123"}});
    let number = order(&wrapped).whatsapp_phone.map(|phone| phone.dial());
    assert_eq!(number.as_deref(), Some("+447700900123"));
}

#[test]
fn flags_in_the_words_of_forms_and_spreadsheets() {
    let yes = [
        json!("WAHR"),
        json!("vrai"),
        json!("VERDADEIRO"),
        json!("Yes, same number"),
        json!("✓"),
        json!("x"),
        json!(["on"]),
        json!({"checked": true}),
        json!({"value": "1"}),
        json!("1"),
    ];
    let no = [json!("FALSCH"), json!("faux"), json!("No, calls only"), json!("✗"), json!(["off"])];
    let unknown = [json!("Note: later"), json!("maybe"), json!(["on", "off"]), json!({"a": true})];
    for (values, expected, count) in [(&yes[..], true, 0), (&no, false, 0), (&unknown, false, 1)] {
        for value in values {
            let order =
                order(&json!({"business_phone": "+44 20 7946 0123", "has_whatsapp": value}));
            assert_eq!(order.has_whatsapp, expected, "{value}");
            // An object that only wraps the value is nothing to speak of.
            let is_plain = value.is_string() || value.get("value").is_some();
            let count = if is_plain { count } else { 1 };
            assert_eq!(order.notices.len(), count, "{value}: {:?}", order.notices);
        }
    }
}

/// A document, and the pointer at which its fields are.
#[test]
fn an_order_in_envelopes_is_found() {
    let inner = json!({"id": 7, "business_name": "Alpha", "business_email": "x"});
    let pair = |name: &str, value: &str| json!({"name": name, "value": value});
    let table = [
        (json!({"data": inner}), "/data"),
        (json!({"event": "order.created", "payload": inner}), "/payload"),
        (json!({"event": {"data": {"object": inner}}}), "/event/data/object"),
        (json!([inner]), "/0"),
        (json!({"data": [inner]}), "/data/0"),
        (json!({"order": inner}), "/order"),
        (
            json!({"data": {"order": {"id": 7}, "onboarding": {"business_name": "Alpha",
                "business_email": "x"}}}),
            "/data/onboarding",
        ),
        (
            json!({"id": 7, "properties": {"business_name": "Alpha", "business_email": "x"}}),
            "/properties",
        ),
        (json!({"order_id": 7, "business_name": "Alpha", "business_email": "x"}), ""),
        (
            json!({"id": "7", "fields": [
                pair("business_name", "Alpha"), pair("business_email", "x"),
            ]}),
            "/fields",
        ),
        (
            json!({"id": 7, "form_response": {"answers": [pair("Business Name", "Alpha"),
                pair("business_email", "x")]}}),
            "/form_response/answers",
        ),
    ];
    for (document, at) in table {
        // The one problem is the only way to reach the business, which cannot be used.
        let problems = read(&document).unwrap_err();
        let pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
        let expected = ["business_email", "business_phone"].map(|name| format!("{at}/{name}"));
        assert_eq!(pointers, expected, "{document}");
        assert_eq!(read_id(&document).as_deref(), Ok("7"), "{document}");
        let whole = document.to_string().replace("\"x\"", "\"a@alpha.fr\"");
        let order = read(&serde_json::from_str(&whole).unwrap()).unwrap();
        assert_eq!(order.business_name, "Alpha", "{document}");
        assert_eq!(read(&serde_json::to_value(&order).unwrap()), Ok(order), "{document}");
    }
    // Nothing in them is an order.
    for document in [json!({"data": {"a": 1}}), json!({"data": {"data": []}}), json!([[], 1])] {
        let problems = read(&document).unwrap_err();
        assert!(matches!(problems[0].pointer.as_str(), "" | "/id"), "{document}: {problems:?}");
    }
}

#[test]
fn names_of_fields_are_read_as_they_are_meant() {
    let table = [
        ("businessPhone", json!("+44 20 7946 0123"), "/business_phone"),
        ("Business Phone", json!("+44 20 7946 0123"), "/business_phone"),
        ("BUSINESS-PHONE", json!("+44 20 7946 0123"), "/business_phone"),
        ("WhatsApp Number", json!("+44 7700 900123"), "/whatsapp_phone"),
        ("primaryColour", json!("#1b4332"), "/primary_color"),
        ("siteUrl", json!("https://alpha.fr"), "/site_url"),
        ("LinkedIn", json!("https://www.linkedin.com/company/alpha"), "/social_linkedin"),
        ("YouTube URL", json!("https://www.youtube.com/@alpha"), "/social_youtube"),
        ("yearsInBusiness", json!(12), "/years_in_business"),
        ("vatId", json!("DE123456789"), "/legal/vat_id"),
        ("twitterhandle", json!("@alpha"), "/social_x"),
        ("Land", json!("Deutschland"), "/country"),
        ("Kraj", json!("Polska"), "/country"),
        ("Branche", json!("Bäckerei"), "/custom_niche"),
        ("Ramo", json!("oficina mecânica"), "/custom_niche"),
        ("Preise", json!([{"Name": "Breze", "Preis": "0,95 €"}]), "/prices/0/price"),
        ("Preços", json!("Óleo: R$ 180,00; Freios: R$ 1.250,90"), "/prices/1/price"),
        ("Farbe", json!("#1b4332"), "/primary_color"),
        ("Cor", json!("#111"), "/primary_color"),
        ("USt-IdNr", json!("DE123456789"), "/legal/vat_id"),
        ("P.IVA", json!("01234567890"), "/legal/vat_id"),
        ("KvK", json!("12345678"), "/legal/company_number"),
        ("CNPJ", json!("12.345.678/0001-95"), "/legal/tax_id"),
    ];
    for (name, value, pointer) in table {
        let document = serde_json::to_value(order(&json!({ name: value }))).unwrap();
        assert!(document.pointer(pointer).is_some(), "{name}: {document:#}");
        assert!(document.get("extra").is_none(), "{name}: {document:#}");
    }
    // The name as it was written is the one in a message, and an exact name counts more.
    let said = notices(&order(&json!({ "siteUrl": "localhost" })));
    assert!(said[0].starts_with("warning /siteUrl: "), "{said:?}");
    let both = order(&json!({"primary_city": "Bath", "primaryCity": "Bristol"}));
    assert_eq!(both.primary_city.as_deref(), Some("Bath"));
    assert_eq!(both.extra.get("primaryCity"), Some(&json!("Bristol")));
    let named = read(&json!({"id": 1, "name": "Alpha", "E-Mail": "a@alpha.fr"})).unwrap();
    assert_eq!(named.business_name, "Alpha");
}

/// Fields, a pointer into the order, and what is there.
#[test]
fn values_in_objects_lists_and_texts() {
    let table = [
        (
            json!({"business_email": ["ann@alpha.fr", "bob@alpha.fr"]}),
            "/business_email",
            json!("ann@alpha.fr"),
        ),
        (
            json!({"business_email": {"address": "ann@alpha.fr"}}),
            "/business_email",
            json!("ann@alpha.fr"),
        ),
        (
            json!({"business_email": "\"Smith, Ann\" <ann@alpha.fr>"}),
            "/business_email",
            json!("ann@alpha.fr"),
        ),
        (
            json!({"business_email": "E-mail: ann@alpha.fr / bob@alpha.fr"}),
            "/business_email",
            json!("ann@alpha.fr"),
        ),
        (
            json!({"business_email": "ann [at] alpha [dot] fr"}),
            "/business_email",
            json!("ann@alpha.fr"),
        ),
        (
            json!({"business_email": "[ann@alpha.fr](mailto:ann@alpha.fr)"}),
            "/business_email",
            json!("ann@alpha.fr"),
        ),
        (json!({"country": {"code": "DE", "name": "Germany"}}), "/country", json!("DE")),
        (json!({"accent_color": {"hex": "#ff8800"}}), "/accent_color", json!("#ff8800")),
        (json!({"accent_color": "0xFF8800"}), "/accent_color", json!("#ff8800")),
        (json!({"accent_color": "255, 136, 0"}), "/accent_color", json!("#ff8800")),
        (json!({"accent_color": "#ff8800;"}), "/accent_color", json!("#ff8800")),
        (json!({"accent_color": "Dark Green"}), "/accent_color", json!("#006400")),
        (json!({"accent_color": "light-sky-blue"}), "/accent_color", json!("#87cefa")),
        (
            json!({"logo": {"url": "https://alpha.fr/l.png", "width": 80}}),
            "/logo_url",
            json!("https://alpha.fr/l.png"),
        ),
        (json!({"about_owner": ["One.", "Two."]}), "/about_owner", json!("One.\nTwo.")),
        (
            json!({"address": {"street": "1 High St", "city": "Bath", "postcode": "BS1 1AA",
            "country": "GB"}}),
            "/business_address",
            json!("1 High St"),
        ),
        (
            json!({"address": {"line1": "1 High St", "line2": "Flat 2", "city": "Bath"}}),
            "/primary_city",
            json!("Bath"),
        ),
        (
            json!({"address": {"line1": "1 High St", "line2": "Flat 2", "city": "Bath"}}),
            "/business_address",
            json!("1 High St, Flat 2"),
        ),
        (
            json!({"address": {"streetAddress": "Rua A", "number": 12, "postalCode": "01000-000"}}),
            "/postal_code",
            json!("01000-000"),
        ),
        (
            json!({"locations": [{
                "name": "Bath", "address": {"street": "1 High St", "city": "Bath"},
                "phone": {"number": "01225 123456"},
            }]}),
            "/locations/0/address",
            json!("1 High St"),
        ),
        (json!({"services": "[\"Cut\", \"Colour\"]"}), "/services", json!(["Cut", "Colour"])),
        (
            json!({"services": {"Cut": "$20", "Colour": "$80"}}),
            "/services",
            json!(["Cut", "Colour"]),
        ),
        (json!({"services": {"Cut": "$20", "Colour": "$80"}}), "/prices/1/price", json!("$80")),
        (
            json!({"services": [{"nome": "Corte", "preco": "R$ 20"}]}),
            "/prices/0/price",
            json!("R$ 20"),
        ),
        (
            json!({"business_hours": "{\"monday\": \"9:00-17:00\"}"}),
            "/business_hours/0/day",
            json!("monday"),
        ),
        (
            json!({"photos": {"hero": "https://alpha.fr/1.jpg", "gallery":
            ["https://alpha.fr/2.jpg"]}}),
            "/photos/1/url",
            json!("https://alpha.fr/2.jpg"),
        ),
        (
            json!({"prices": [{"name": "Wash", "price": {"value": 10, "currency_code": "EUR"}}]}),
            "/prices/0/price",
            json!("10 EUR"),
        ),
        (json!({"site_description": "[Open] daily"}), "/site_description", json!("[Open] daily")),
        // Objects that wrap a value, at each level.
        (
            json!({"address": {"value": "<p>77 Main St<br>Suite 2</p>"}}),
            "/business_address",
            json!("77 Main St\nSuite 2"),
        ),
        (
            json!({"address": {"answer": {
                "street": {"val": "1 High St"}, "city": {"text": "Bath"},
            }}}),
            "/primary_city",
            json!("Bath"),
        ),
        (
            json!({"services": {"value": "Roofs;Gutters;Skylights &amp; domes"}}),
            "/services",
            json!(["Roofs", "Gutters", "Skylights & domes"]),
        ),
        (json!({"services": {"value": ["Cut", "Dye"]}}), "/services", json!(["Cut", "Dye"])),
        (
            json!({"services": {"label": "Services", "value": "[\"Cut\", \"Dye\"]"}}),
            "/services/1",
            json!("Dye"),
        ),
        (
            json!({"business_hours": {"value": "Mon 9:00-17:00, Sun closed"}}),
            "/business_hours/1/day",
            json!("sunday"),
        ),
        (
            json!({"business_hours": {"monday": {"value": "9:00-17:00"}}}),
            "/business_hours/0/ranges/0",
            json!("09:00-17:00"),
        ),
        (
            json!({"prices": [{"name": {"value": "Cut"}, "price": {"value": "$9"}}]}),
            "/prices/0/price",
            json!("$9"),
        ),
        (json!({"prices": [{"label": "Cut", "value": "$9"}]}), "/prices/0/name", json!("Cut")),
        (json!({"testimonials": [{"text": "Great"}]}), "/testimonials/0/text", json!("Great")),
        (json!({"extra": {"a": {"value": 1}}}), "/extra/a/value", json!(1)),
        // Lists in a text.
        (
            json!({"services": "Vinyasa • Yin • Prenatal"}),
            "/services",
            json!(["Vinyasa", "Yin", "Prenatal"]),
        ),
        (json!({"services": "• Cut, wash\n• Dye"}), "/services", json!(["Cut, wash", "Dye"])),
        (json!({"years_in_business": "١٥"}), "/years_in_business", json!(15)),
        (json!({"years_in_business": "１２年"}), "/years_in_business", json!(12)),
    ];
    for (fields, pointer, expected) in table {
        let order = order(&fields);
        let document = serde_json::to_value(&order).unwrap();
        assert_eq!(document.pointer(pointer), Some(&expected), "{fields}: {document:#}");
        assert_eq!(read(&document), Ok(order), "{fields}");
    }
}

#[test]
fn the_language_in_other_fields_and_forms() {
    let table = [
        (json!({"locale": {"code": "fr"}}), "fr"),
        (json!({"locale": ["fr", "en"]}), "fr"),
        (json!({"locale": "iw"}), "he"),
        (json!({"locale": null, "language": "French"}), "fr"),
        (json!({"locale": "", "lang": "de-AT"}), "de-AT"),
        (json!({"locale": null, "language": "English and Welsh, spoken by all"}), "en"),
    ];
    for (fields, expected) in table {
        let order = order(&fields);
        assert_eq!(order.locale.as_str(), expected, "{fields}");
        let is_used = expected != "en";
        assert!(!is_used || order.extra.is_empty(), "{fields}: {:?}", order.extra);
    }
}

/// A value of `business_hours` in a language, and the hours of the order.
#[test]
fn hours_of_programs_and_people() {
    let table = [
        ("en", json!({"monday": {"open": "0900", "close": "1700"}}), "monday 09:00-17:00"),
        ("en", json!({"monday": {"isOpen": false}}), "monday"),
        (
            "en",
            json!({"monday": {"enabled": true, "from": "9:00", "to": "17:00"}}),
            "monday 09:00-17:00",
        ),
        ("en", json!({"monday": ["09:00", "17:00"]}), "monday 09:00-17:00"),
        (
            "en",
            json!({"monday": ["09:00", "12:00", "13:00", "17:00"]}),
            "monday 09:00-12:00 13:00-17:00",
        ),
        (
            "en",
            json!({"mon_open": "09:00", "mon_close": "17:00", "tue_open": "",
            "tue_close": ""}),
            "monday 09:00-17:00",
        ),
        ("en", json!({"0": "Mon 9:00-17:00", "1": "Tue closed"}), "monday 09:00-17:00, tuesday"),
        ("en", json!({"1": "9:00-17:00", "0": "closed"}), "monday 09:00-17:00, sunday"),
        (
            "en",
            json!([["Monday", "9am", "5pm"], ["Tuesday", "closed"]]),
            "monday 09:00-17:00, tuesday",
        ),
        (
            "en",
            json!({"weekday_text": ["Monday: 9:00 AM – 5:00 PM"], "periods": []}),
            "monday 09:00-17:00",
        ),
        (
            "en",
            json!({"periods": [{"open": {"day": 1, "time": "0900"},
            "close": {"day": 1, "time": "1700"}}]}),
            "monday 09:00-17:00",
        ),
        (
            "en",
            json!({"periods": [{"open": {"day": 5, "hour": 18, "minute": 30},
            "close": {"day": 6, "hour": 2}}]}),
            "friday 18:30-02:00",
        ),
        (
            "en",
            json!({"monday": {"opens_at": "9:00", "closes_at": "17:00",
            "lunch": {"from": "12:00", "to": "13:00"}}}),
            "monday 09:00-12:00 13:00-17:00",
        ),
        ("en", json!({"monday": "0.375-0.75"}), "monday 09:00-18:00"),
        ("en", json!({"monday": {"open": 0.375, "close": 0.75}}), "monday 09:00-18:00"),
        ("en", json!({"monday": "0.30-1.15"}), "monday 00:30-01:15"),
        ("pt", json!("Sábado das 8h ao meio-dia"), "saturday 08:00-12:00"),
        ("pt", json!({"Domingos": "não abrimos"}), "sunday"),
        (
            "fr",
            json!("Ouvert du mardi au mercredi de 9h à 19h sans interruption"),
            "tuesday 09:00-19:00, wednesday 09:00-19:00",
        ),
        ("ja", json!({"月": "午前10時から午後7時まで"}), "monday 10:00-19:00"),
        ("ar", json!({"السبت": "من ١٠ صباحاً حتى ٢ ظهراً"}), "saturday 10:00-14:00"),
        ("en", json!("Mo 09:00-17:00; PH off"), "monday 09:00-17:00"),
        // The other days of the table say what a short name means.
        ("en", json!({"Di": "10-19", "Mi": "Ruhetag"}), "tuesday 10:00-19:00, wednesday"),
        ("en", json!({"Di": "10-19", "Ve": "10-20"}), "friday 10:00-20:00, sunday 10:00-19:00"),
        ("en", json!("za 10-16 uur, zo gesloten"), "saturday 10:00-16:00, sunday"),
        (
            "de",
            json!([{"day": "Montag", "open": "08:00", "close": "12:00"},
                {"day": "Freitag", "open": "geschlossen"}]),
            "monday 08:00-12:00, friday",
        ),
        ("it", json!({"domenica": {"open": "chiuso", "close": "chiuso"}}), "sunday"),
        (
            "nl",
            json!("ma t/m di 9.00-17.30 uur, za 10-16 uur"),
            "monday 09:00-17:30, tuesday 09:00-17:30, saturday 10:00-16:00",
        ),
        (
            "en",
            json!("pon-wt 8-16, sob 9-13"),
            "monday 08:00-16:00, tuesday 08:00-16:00, saturday 09:00-13:00",
        ),
    ];
    for (language, hours, expected) in table {
        let order = order(&json!({"locale": language, "business_hours": hours}));
        let days = order.business_hours.0.iter().map(|day| {
            let name = day.day.to_string().to_lowercase();
            let ranges = day.ranges.iter().map(|range| format!(" {range}"));
            format!("{name}{}", ranges.collect::<String>())
        });
        let read_as = days.collect::<Vec<_>>().join(", ");
        assert_eq!(read_as, expected, "{hours}: {:?} {:?}", order.notices, order.hours_notes);
        let warned = order.notices.iter().filter(|notice| notice.is_warning()).count();
        assert_eq!(warned, 0, "{hours}: {:?}", order.notices);
        assert_eq!(read(&serde_json::to_value(&order).unwrap()), Ok(order), "{hours}");
    }
    // What cannot be read is not shown under the name of a field.
    let order = order(&json!({"business_hours": {"winter_season": "by arrangement"}}));
    assert_eq!(order.hours_notes[0].label.as_deref(), Some("winter season"));
}

/// Fields, and a part of what is said about them.
#[test]
fn messages_count_and_name_days_in_the_language_of_the_order() {
    let table = [
        (json!({"services": "Cut"}), "read as 1 entry"),
        (json!({"services": "Cut, Dye"}), "read as 2 entries"),
        (json!({"custom_niche": {"a": true}}), "is an object of 1 field: left out"),
        (json!({"locale": "de", "hours": {"Tag": "9-17"}}), "like `montag`, `freitag`"),
        (json!({"locale": "fr", "hours": {"jour": "9-17"}}), "like `lundi`, `vendredi`"),
    ];
    for (fields, part) in table {
        let said = notices(&order(&fields)).join("\n");
        assert!(said.contains(part), "{fields}: {said}");
    }
}

/// An order without a locale, and the first day of its hours.
#[test]
fn short_names_of_days_are_those_of_the_country_or_of_the_names_of_the_fields() {
    let table = [
        (json!({"country": "España", "hours": "X-J 9:30-20:00"}), Some(Day::Wednesday)),
        (json!({"Land": "Deutschland", "hours": {"Di": "9-17"}}), Some(Day::Tuesday)),
        (json!({"pays": "France", "hours": {"di": "9-17"}}), Some(Day::Sunday)),
        (json!({"Branche": "x", "Anschrift": "y", "hours": {"Di": "9-17"}}), Some(Day::Tuesday)),
        (json!({"hours": {"Di": "9-17"}}), None),
    ];
    for (mut fields, day) in table {
        fields["locale"] = Value::Null;
        let order = order(&fields);
        let found = order.business_hours.0.first().map(|hours| hours.day);
        assert_eq!(found, day, "{fields}: {:?}", order.notices);
    }
}

#[test]
fn ids_that_name_no_folder_get_one_that_does() {
    let table = [
        (json!("2026/117"), "2026-117-"),
        (json!("gid://shopify/Order/12345"), "gid-shopify-Order-12345-"),
        (json!("ünï #7"), "n-7-"),
        (json!("../../etc/passwd"), "etc-passwd-"),
        (json!("--help"), "help-"),
        (json!("public"), "public-"),
        (json!("NUL"), "NUL-"),
        (json!(".hidden"), "hidden-"),
        (json!("注文"), "order-"),
        (json!(-1), "1-"),
        (json!("a".repeat(65)), "aaaa"),
    ];
    for (id, begins) in table {
        let mut document = crm();
        document["order"]["id"] = id.clone();
        let order = read(&document).unwrap();
        assert!(order.id.starts_with(begins), "{id}: {}", order.id);
        assert_eq!(check_id(&order.id), Ok(()), "{id}");
        assert_eq!(folder_id(&order.id).as_deref(), Ok(order.id.as_str()), "{id}: twice");
        let text = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        assert_eq!(folder_id(&text).as_deref(), Ok(order.id.as_str()), "{id}: commands find it");
        let said = notices(&order);
        assert!(said[0].starts_with("note /order/id: ") && said[0].contains(&order.id), "{said:?}");
        assert_eq!(read_strictly(&document).unwrap_err()[0].pointer, "/order/id", "{id}");
    }
    for (id, kept) in [(json!(17.0), "17"), (json!("  x10 "), "x10"), (json!("a.b"), "a.b")] {
        let mut document = crm();
        document["order"]["id"] = id.clone();
        assert_eq!(read(&document).unwrap().id, kept, "{id}");
    }
    assert_ne!(folder_id("a/b").unwrap(), folder_id("a-b").unwrap());
    assert_ne!(folder_id("a/b").unwrap(), folder_id("a b").unwrap());
    assert!(folder_id(" ").is_err() && folder_id(&"a".repeat(501)).is_err());
}

/// A document of many envelopes is read in bounded time.
#[test]
fn envelopes_are_bounded() {
    let mut document = json!({"id": 1, "business_name": "Alpha"});
    for _ in 0..60 {
        document = json!({"data": document, "payload": {}, "body": {}});
    }
    assert!(read(&document).is_err());
    let wide: Map<String, Value> =
        (0..2_000).map(|at| (format!("Field {at}"), json!("x"))).collect();
    let mut document = Value::Object(wide);
    document["id"] = json!(1);
    document["Business Name"] = json!("Alpha");
    document["email"] = json!("a@alpha.fr");
    assert_eq!(read(&document).unwrap().business_name, "Alpha");
}

/// Documents of `forms.json`, in the shapes in which CRMs, form builders and databases send them:
/// values of the order by pointer, notices by their beginning or a part, and pointers at which
/// nothing is.
#[test]
fn orders_of_many_programs_are_read_as_they_are_meant() {
    let cases: Value = serde_json::from_str(include_str!("../forms.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let order =
            read(&case["document"]).unwrap_or_else(|problems| panic!("{name}: {problems:#?}"));
        let document = serde_json::to_value(&order).unwrap();
        for (pointer, expected) in case["order"].as_object().unwrap() {
            assert_eq!(document.pointer(pointer), Some(expected), "{name}{pointer}: {document:#}");
        }
        for pointer in case["absent"].as_array().into_iter().flatten() {
            let found = document.pointer(pointer.as_str().unwrap());
            assert_eq!(found, None, "{name}: {document:#}");
        }
        let said = notices(&order).join("\n");
        for notice in case["notices"].as_array().into_iter().flatten() {
            assert!(said.contains(notice.as_str().unwrap()), "{name}: {notice} in {said}");
        }
        assert!(!said.contains("DE8937"), "{name}: {said}");
        assert_eq!(read(&document), Ok(order), "{name}");
    }
}

/// The lists of one field have the limit of one list together, so that the order is read again as
/// it is.
#[test]
fn lists_of_several_names_have_one_limit() {
    let posts = json!(vec![json!({"title": "A", "text": "x"}); 150]);
    let group = |name: &str| {
        let items: Vec<_> = (0..150).map(|at| format!("{name} {at}: $9")).collect();
        json!({"category": name, "items": items})
    };
    let services = [group("Cut"), group("Nail")];
    let order = order(&json!({"posts": posts, "articles": posts, "services": services}));
    assert_eq!((order.posts.len(), order.services.len()), (200, 200));
    let said = notices(&order);
    for place in ["/posts", "/services"] {
        let message = format!("warning {place}: has 300 entries; at most 200 are allowed");
        assert!(said.iter().any(|notice| notice.starts_with(&message)), "{said:?}");
    }
    assert_eq!(read(&serde_json::to_value(&order).unwrap()), Ok(order));
}

#[test]
fn a_number_in_a_section_is_blamed_where_it_was_sent() {
    let document = json!({
        "id": 7, "locale": "en", "business_name": "Alpha", "contact": {"phone": "call us"},
    });
    let problems = read(&document).unwrap_err();
    let pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
    // The number, and that it was the only way to reach the business.
    assert_eq!(pointers, ["/contact/phone", "/contact/phone"]);
    assert!(problems[1].message.contains("no way to reach the business is left"), "{problems:?}");
}
