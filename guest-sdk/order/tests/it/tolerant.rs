//! Tolerant reading: what is left out, what is read for what it means, and what is said about it.
#![allow(clippy::unwrap_used, reason = "a test's helper functions fail the test")]

use crate::support::{crm, flat, notices, read, read_strictly, set, shipped};
use serde_json::{Value, json};
use sitewright_order::{Day, MAX_NOTICES, Niche, NoticeLevel, Order, Phone, Post};

/// Reads an order with one field changed.
fn with(field: &str, value: Value) -> Order {
    let mut document = crm();
    document["onboarding"][field] = value;
    read(&document).unwrap()
}

#[test]
fn an_order_needs_an_id_a_name_and_one_way_to_reach_the_business() {
    let ways = [
        ("business_email", json!("a@example.com")),
        ("business_phone", json!("+44 20 7946 0123")),
        ("whatsapp_number", json!("+55 31 99555-0133")),
    ];
    for (field, value) in ways {
        let mut document = json!({"id": 1, "business_name": "Joe's"});
        document[field] = value;
        let order = read(&document).unwrap();
        assert_eq!((order.niche, order.services.len()), (Niche::General, 0), "{field}");
        assert_eq!(notices(&order), Vec::<String>::new(), "{field}");
        assert!(read_strictly(&document).is_err(), "{field}: strict reading wants more");
    }
    let problems = read(&json!({})).unwrap_err();
    let pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
    assert_eq!(pointers, ["/id", "/business_name", "/business_phone"]);
    // What was dropped is the reason if nothing else is left.
    let document = json!({"id": 1, "business_name": "x", "business_email": "nobody", "tone": "?"});
    let problems = read(&document).unwrap_err();
    let pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
    assert_eq!(pointers, ["/business_email", "/business_phone"]);
    // That each was left out does not say why there is no order.
    let document = json!({"id": 1, "business_name": "x", "business_email": "nobody",
        "business_phone": "call me"});
    let problems = read(&document).unwrap_err();
    let pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
    assert_eq!(pointers, ["/business_email", "/business_phone", "/business_phone"]);
    assert!(problems[2].message.contains("no way to reach the business is left"), "{problems:?}");
}

/// A field, a value, and what is said about it: the level, the pointer if it is below the field,
/// and parts of the message. The field is then absent.
#[test]
fn a_value_that_cannot_be_used_is_left_out_and_named() {
    let table: &[(&str, Value, &str, &[&str])] = &[
        ("business_phone", json!("call me"), "", &["`call me`", "write it like"]),
        ("business_phone", json!("4.42E+11"), "", &["4.42E+11"]),
        ("business_email", json!("joe at example"), "", &["joe at example", "office@example.com"]),
        ("custom_niche", json!(true), "", &["must be a text", "true"]),
        ("primary_color", json!("bleu"), "", &["`bleu`", "#1b4332"]),
        ("accent_color", json!("transparent"), "", &["fully transparent"]),
        ("social_facebook", json!("javascript:alert(1)"), "", &["javascript:alert(1)", "https:"]),
        ("social_linkedin", json!("@joe"), "", &["a name alone"]),
        ("logo_url", json!("/img/logo.png"), "", &["/img/logo.png"]),
        ("years_in_business", json!("since 2016"), "", &["since 2016"]),
        ("business_address", json!("N/A"), "", &["N/A", "says nothing"]),
        ("cta_text", json!("undefined"), "", &["undefined", "says nothing"]),
        ("about_owner", json!("TBD"), "", &["TBD"]),
        ("custom_niche", json!(" - "), "", &["says nothing"]),
        ("social_instagram", json!("None"), "", &["None"]),
        ("country", json!("Atlantis"), "", &["`Atlantis`", "`BR`"]),
        ("site_url", json!("localhost"), "", &["localhost"]),
        ("extra", json!([1]), "", &["an object of further fields"]),
    ];
    for (field, value, below, parts) in table {
        let order = with(field, value.clone());
        let written = serde_json::to_value(&order).unwrap();
        assert!(written.get(*field).is_none(), "{field} = {value}: {written:#}");
        let pointer = format!("/onboarding/{field}{below}");
        let said: Vec<_> =
            order.notices.iter().filter(|notice| notice.pointer == pointer).collect();
        assert!(
            matches!(said.as_slice(), [one] if one.level == NoticeLevel::Warning
                && parts.iter().all(|part| one.message.contains(part))),
            "{field} = {value}: {:#?}",
            order.notices
        );
    }
}

#[test]
fn all_notices_of_a_document_and_of_one_field_come_at_once() {
    let mut document = shipped("01-restaurant-ptbr-full");
    set(&mut document, "/onboarding/niche", json!("bakery"));
    set(&mut document, "/onboarding/primary_color", json!("bleu"));
    set(&mut document, "/onboarding/business_hours", json!({"monday": "x", "someday": "24h"}));
    set(&mut document, "/onboarding/testimonials", json!([{"text": "a", "rating": 9}, 5]));
    let order = read(&document).unwrap();
    let pointers: Vec<_> = order.notices.iter().map(|notice| notice.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/onboarding/niche",
            "/onboarding/primary_color",
            "/onboarding/business_hours/monday",
            "/onboarding/business_hours/someday",
            "/onboarding/testimonials/0/rating",
            "/onboarding/testimonials/1",
        ]
    );
    assert_eq!((order.niche, order.custom_niche.as_deref()), (Niche::Other, Some("bakery")));
    // Reading the normalized document again keeps them, and adds none.
    let json = serde_json::to_value(&order).unwrap();
    assert_eq!(read(&json), Ok(order.clone()));
    assert_eq!(read_strictly(&json).map(|order| order.notices), Ok(order.notices));
}

#[test]
fn there_are_never_more_notices_than_the_limit() {
    let many: Vec<Value> = (0..190).map(|_| json!(true)).collect();
    let mut document = flat();
    document["services"] = json!(many);
    document["service_areas"] = json!(many);
    let order = read(&document).unwrap();
    assert_eq!(order.notices.len(), MAX_NOTICES);
    assert!(order.notices[MAX_NOTICES - 1].message.starts_with("181 more"), "{order:?}");
}

#[test]
fn phones_as_people_and_spreadsheets_write_them() {
    // What is written, the number that is dialled, and what is left out.
    let table: &[(Value, &str, &str)] = &[
        (json!("+44 (0)20 7946 0123"), "+442079460123", ""),
        (json!("(19) 3555-0100/0101"), "1935550100", "0101"),
        (json!("(19) 3555-0100 / 3555-0101"), "1935550100", "3555-0101"),
        (json!("030/1234567"), "0301234567", ""),
        (json!("+49 6221/123456"), "+496221123456", ""),
        (json!("442079460123.0"), "442079460123", ""),
        (json!(442079460123.0), "442079460123", ""),
        (json!(442079460123u64), "442079460123", ""),
        (json!("0044 20 7946 0123"), "+442079460123", ""),
        (json!("\u{202a}+44 20 7946 0123\u{202c}"), "+442079460123", ""),
        (json!("+33\u{202f}1\u{202f}99\u{202f}00\u{202f}12\u{202f}34"), "+33199001234", ""),
        (json!("Tel.: 020 7946 0123"), "02079460123", ""),
        (json!("020 7946 0123 ext. 12"), "02079460123", "ext. 12"),
        (json!("(503) 555-0142 x204"), "5035550142", "x204"),
        (json!("+55 11 3555-0100 ramal 7"), "+551135550100", "ramal 7"),
        (json!("020 7946 0123 or 020 7946 0124"), "02079460123", "020 7946 0124"),
        (json!("+44 20 7946 0123, +44 20 7946 0124"), "+442079460123", "+44 20 7946 0124"),
        (json!("+44 20 7946 0123 +44 20 7946 0124"), "+442079460123", "+44 20 7946 0124"),
        (json!("٠٢٠ ٧٩٤٦ ٠١٢٣"), "02079460123", ""),
        (json!("０３-１２３４-５６７８"), "0312345678", ""),
        (json!("(+44) 20 7946 0123"), "+442079460123", ""),
        (json!("+39 (0)6 6982 1234"), "+390669821234", ""),
        (json!("+39(0)2 1234567"), "+39021234567", ""),
        (json!("+49 [0] 30 901820"), "+4930901820", ""),
        (json!("01 99 00 12 34 - 06 12 34 56 78"), "0199001234", "06 12 34 56 78"),
        (json!("020 7946 0123 & 020 7946 0124"), "02079460123", "020 7946 0124"),
        (json!("030 1234567 - 0"), "03012345670", ""),
        (json!("Fax 06 6982 1235 - Tel 06 6982 1234"), "0669821234", "06 6982 1235"),
        (json!(["020 7946 0123", "020 7946 0124"]), "02079460123", "1 more"),
    ];
    for (written, dialled, left_out) in table {
        let order = with("business_phone", written.clone());
        let phone = order.business_phone.as_ref().map(Phone::dial);
        assert_eq!(phone.as_deref(), Some(*dialled), "{written}: {:?}", order.notices);
        let said = notices(&order).join("\n");
        assert_eq!(said.is_empty(), left_out.is_empty(), "{written}: {said}");
        assert!(said.contains(left_out), "{written}: {said}");
    }
}

#[test]
fn a_number_on_whatsapp_is_a_way_to_reach_the_business() {
    for (written, dialled) in [
        (json!("+55 31 99555-0133"), "+5531995550133"),
        (json!("https://wa.me/5531995550133"), "+5531995550133"),
        (json!("wa.me/+5531995550133"), "+5531995550133"),
    ] {
        let document = json!({"id": 1, "business_name": "x", "business_phone": "",
            "whatsapp_number": written});
        let order = read(&document).unwrap();
        assert_eq!(order.whatsapp_phone.map(|phone| phone.dial()).as_deref(), Some(dialled));
        assert!(order.has_whatsapp && order.business_phone.is_none());
    }
    let order = with("whatsapp", json!("sim"));
    assert!(order.has_whatsapp && order.whatsapp_phone.is_none());
}

#[test]
fn links_to_networks() {
    let table = [
        ("social_instagram", "@cantina", "https://www.instagram.com/cantina"),
        ("social_instagram", "lenavogt.foto", "https://www.instagram.com/lenavogt.foto"),
        ("social_instagram", "instagram.com/lenavogt.foto", "https://instagram.com/lenavogt.foto"),
        ("social_tiktok", "copperandrye", "https://www.tiktok.com/@copperandrye"),
        ("social_youtube", "@joe", "https://www.youtube.com/@joe"),
        ("social_x", "@joe", "https://x.com/joe"),
        ("social_facebook", "https://facebook.com/a\u{200b}", "https://facebook.com/a"),
        ("social_facebook", "joes.example", "https://joes.example"),
    ];
    for (field, written, expected) in table {
        let order = serde_json::to_value(with(field, json!(written))).unwrap();
        assert_eq!(order[field], json!(expected), "{field} = {written}");
    }
}

#[test]
fn texts_lose_what_nobody_can_see_and_keep_the_rest() {
    // A text, what it becomes, and what is said.
    let table = [
        ("a\u{200b}b", "ab", "note /onboarding/business_name: had 1 invisible"),
        ("\u{202e}evil\u{202c}", "evil", "note /onboarding/business_name: had 2 invisible"),
        ("a\u{0}b", "ab", "warning /onboarding/business_name: had 1 control"),
        ("a\r\nb", "a\nb", ""),
        ("👩\u{200d}🔧", "👩\u{200d}🔧", ""),
        ("حضانة\u{200f} براعم", "حضانة\u{200f} براعم", ""),
        ("Joe&#039;s &amp; Sons", "Joe's & Sons", "warning /onboarding/business_name: had HTML"),
        (
            "Br&ecirc;ad &#8211; daily",
            "Brêad – daily",
            "warning /onboarding/business_name: had HTML",
        ),
        ("AT&T &nothing; &amp", "AT&T &nothing; &amp", ""),
        (
            "CafÃ© Central",
            "CafÃ© Central",
            "warning /onboarding/business_name: `CafÃ© Central` was",
        ),
        ("Donâ€™t", "Donâ€™t", "warning /onboarding/business_name: `Donâ€™t` was decoded"),
        ("São João d'Aliança É»", "São João d'Aliança É»", ""),
        ("AÇÃO", "AÇÃO", ""),
        ("a\u{fffd}b", "a\u{fffd}b", "warning /onboarding/business_name: `a\u{fffd}b` has a"),
    ];
    for (written, expected, said) in table {
        let order = with("business_name", json!(written));
        assert_eq!(order.business_name, expected, "{written:?}");
        let notices = notices(&order);
        assert_eq!(notices.len(), usize::from(!said.is_empty()), "{written:?}: {notices:?}");
        assert!(notices.iter().all(|notice| notice.starts_with(said)), "{written:?}: {notices:?}");
    }
    let said = notices(&with("business_name", json!("CafÃ© Central")));
    assert!(said[0].contains("`Café Central`"), "{said:?}");
    // Entities are decoded once, and not again when the normalized document is read.
    let order = with("business_name", json!("a &amp;lt; b"));
    assert_eq!(order.business_name, "a &lt; b");
    assert_eq!(read(&serde_json::to_value(&order).unwrap()), Ok(order));
}

#[test]
fn hours_of_groups_of_days() {
    type Expected<'a> = &'a [(Day, &'a str)];
    let weekdays =
        |times: &'static str| Day::ALL[..5].iter().map(|day| (*day, times)).collect::<Vec<_>>();
    type Row<'a> = (&'a str, Value, Vec<(Day, &'a str)>, &'a [&'a str]);
    let table: Vec<Row<'_>> = vec![
        (
            "pt",
            json!({"segunda a sexta": "5h30 às 22h", "sábado": "8h-12h", "domingo": "fechado",
                "feriados": "9h-12h"}),
            [weekdays("05:30-22:00"), vec![(Day::Saturday, "08:00-12:00"), (Day::Sunday, "")]]
                .concat(),
            &["feriados: 9h-12h"],
        ),
        ("pt", json!({"Segunda-feira a sexta-feira": "9-18h"}), weekdays("09:00-18:00"), &[]),
        (
            "fr",
            json!({"lundi": "9h-12h30, 14h-18h30", "samedi": "sur rendez-vous"}),
            vec![(Day::Monday, "09:00-12:30, 14:00-18:30")],
            &["samedi: sur rendez-vous"],
        ),
        ("de", json!("nach Vereinbarung"), vec![], &["nach Vereinbarung"]),
        (
            "en",
            json!({"Tue": "8am till sold out", "Sat": "8am - 2pm", "Sun": "Closed"}),
            vec![(Day::Saturday, "08:00-14:00"), (Day::Sunday, "")],
            &["Tue: 8am till sold out"],
        ),
        (
            "en",
            json!({"weekdays": "9-5pm", "Sunday": "emergencies only"}),
            weekdays("09:00-17:00"),
            &["Sunday: emergencies only"],
        ),
        (
            "en",
            json!("Mon-Fri 9am-5pm, Sat 10:00-14:00; Sun closed"),
            [weekdays("09:00-17:00"), vec![(Day::Saturday, "10:00-14:00"), (Day::Sunday, "")]]
                .concat(),
            &[],
        ),
        ("en", json!(["Monday to Friday: 9:00 – 17:00"]), weekdays("09:00-17:00"), &[]),
        (
            "en",
            json!({"mon-sun": "9:00-18:00", "wednesday": "closed"}),
            Day::ALL
                .iter()
                .map(|day| (*day, if *day == Day::Wednesday { "" } else { "09:00-18:00" }))
                .collect(),
            &[],
        ),
        (
            "en",
            json!({"monday": {"open": "09:00", "close": "18:00"}, "tuesday": {"closed": true},
                "wednesday": false, "thursday": "-"}),
            vec![(Day::Monday, "09:00-18:00"), (Day::Tuesday, ""), (Day::Wednesday, "")],
            &[],
        ),
        (
            "en",
            json!([{"days": ["Monday", "Tuesday"], "opens": "09:00:00", "closes": "17:00:00"}]),
            vec![(Day::Monday, "09:00-17:00"), (Day::Tuesday, "09:00-17:00")],
            &[],
        ),
        (
            "ja",
            json!({"月〜金": "9時〜18時", "土日祝": "休み"}),
            [weekdays("09:00-18:00"), vec![(Day::Saturday, ""), (Day::Sunday, "")]].concat(),
            &["土日祝: 休み"],
        ),
        ("zh", json!({"周一至周五": "9:00-18:00"}), weekdays("09:00-18:00"), &[]),
        (
            "ar",
            json!({"الأحد - الخميس": "9 ص - 5 م", "الجمعة": "مغلق"}),
            vec![
                (Day::Monday, "09:00-17:00"),
                (Day::Tuesday, "09:00-17:00"),
                (Day::Wednesday, "09:00-17:00"),
                (Day::Thursday, "09:00-17:00"),
                (Day::Friday, ""),
                (Day::Sunday, "09:00-17:00"),
            ],
            &[],
        ),
        (
            "he",
            json!({"א-ה": "9:00-17:00", "שבת": "סגור"}),
            vec![
                (Day::Monday, "09:00-17:00"),
                (Day::Tuesday, "09:00-17:00"),
                (Day::Wednesday, "09:00-17:00"),
                (Day::Thursday, "09:00-17:00"),
                (Day::Saturday, ""),
                (Day::Sunday, "09:00-17:00"),
            ],
            &[],
        ),
        (
            "nl",
            json!({"ma t/m vr": "9.00-17.30 uur", "zo": "gesloten"}),
            [weekdays("09:00-17:30"), vec![(Day::Sunday, "")]].concat(),
            &[],
        ),
        (
            "pl",
            json!({"od poniedziałku do piątku": "8:00 do 16:00", "so": "9-13:00"}),
            [weekdays("08:00-16:00"), vec![(Day::Saturday, "09:00-13:00")]].concat(),
            &[],
        ),
        (
            "de",
            json!({"Mo-Fr": "9-18 Uhr", "So": "Ruhetag"}),
            [weekdays("09:00-18:00"), vec![(Day::Sunday, "")]].concat(),
            &[],
        ),
        ("it", json!({"lun-ven": "9:00-18:00"}), weekdays("09:00-18:00"), &[]),
        ("es", json!({"L-V": "9:00-18:00"}), weekdays("09:00-18:00"), &[]),
        ("en", json!("24/7"), Day::ALL.iter().map(|day| (*day, "00:00-24:00")).collect(), &[]),
    ];
    for (locale, hours, expected, notes) in table {
        let mut document = crm();
        document["onboarding"]["locale"] = json!(locale);
        document["onboarding"]["business_hours"] = hours.clone();
        let order = read(&document).unwrap();
        let days: Vec<(Day, String)> = order
            .business_hours
            .0
            .iter()
            .map(|day| {
                let ranges: Vec<_> = day.ranges.iter().map(ToString::to_string).collect();
                (day.day, ranges.join(", "))
            })
            .collect();
        let days: Vec<_> = days.iter().map(|(day, times)| (*day, times.as_str())).collect();
        assert_eq!(days.as_slice(), expected.as_slice() as Expected<'_>, "{hours}: {order:#?}");
        let said: Vec<String> = order
            .hours_notes
            .iter()
            .map(|note| match &note.label {
                Some(label) => format!("{label}: {}", note.text),
                None => note.text.clone(),
            })
            .collect();
        assert_eq!(said, notes, "{hours}");
        let json = serde_json::to_value(&order).unwrap();
        assert_eq!(read(&json), Ok(order), "{hours}: read again");
    }
}

#[test]
fn the_content_of_a_business_is_typed() {
    let mut document = crm();
    let fields = json!({
        "services": ["Cut", {"name": "Colour", "price": "$90", "duration": "2 h"}],
        "service_prices": [{"name": "Cut", "price": "from $75"}],
        "plans": {"Mensal": "R$ 189/mês"},
        "packages": [{"name": "Day", "price": 2190, "currency": "EUR", "hours": 10}],
        "menu": [{"section": "Bread", "items": [
            {"name": "Rye", "price": "£4", "allergens": "gluten, milk"},
        ]}],
        "team": ["Jae Lim", {"name": "Simone", "role": "Owner"}],
        "photos": ["https://example.com/1.jpg", {"url": "example.com/2.jpg", "alt": "Two"}],
        "portfolio": [{"url": "https://example.com/3.jpg", "title": "Three"}],
        "locations": [
            {"name": "Pontcanna", "address": "5 Street", "hours": {"saturday": "8am - 1pm"}},
        ],
        "vat_id": "DE123456789", "siret": "812 345 678 00019", "licence_number": "CPI 3701",
        "booking_url": "book.example.com", "forms": {"endpoint": "https://forms.example.com/x"},
        "domain": "example.com", "country": "Deutschland", "postcode": "560001",
        "emergency_phone": "+44 20 7946 0199",
    });
    for (name, value) in fields.as_object().unwrap() {
        document["onboarding"][name] = value.clone();
    }
    let order = read(&document).unwrap();
    assert_eq!(notices(&order), Vec::<String>::new());
    let prices: Vec<_> = order
        .prices
        .iter()
        .map(|price| {
            let (group, written) = (price.group.as_deref(), price.price.as_deref());
            (group.unwrap_or_default(), price.name.as_str(), written.unwrap_or_default())
        })
        .collect();
    assert_eq!(
        prices,
        [
            ("services", "Cut", "from $75"),
            ("plans", "Mensal", "R$ 189/mês"),
            ("packages", "Day", "2190 EUR"),
            ("services", "Colour", "$90"),
        ]
    );
    assert_eq!(order.services, ["Cut", "Colour"]);
    assert_eq!(order.menu[0].items[0].allergens, ["gluten", "milk"]);
    assert_eq!(order.team[1].role.as_deref(), Some("Owner"));
    assert_eq!(order.photos.len(), 3);
    assert_eq!(order.locations[0].hours.0[0].day, Day::Saturday);
    assert_eq!(order.legal.license_number.as_deref(), Some("CPI 3701"));
    assert_eq!(order.site_url.as_deref(), Some("https://example.com"));
    assert_eq!(order.form_endpoint.as_deref(), Some("https://forms.example.com/x"));
    assert_eq!(order.country.as_deref(), Some("DE"));
    assert_eq!(order.postal_code.as_deref(), Some("560001"));
    assert!(order.extra.is_empty(), "{:?}", order.extra);
    assert_eq!(read(&serde_json::to_value(&order).unwrap()), Ok(order));
}

#[test]
fn posts_are_read_from_what_content_systems_send() {
    // (posts, title | slug | date | text of each that is read, parts of the notices)
    let rows = [
        (
            json!([{
                "title": "Pão & Café: às 7h!",
                "date": "2026-03-09T08:00:00Z",
                "text": "<p>One.</p><p>Two.</p>",
            }]),
            vec!["Pão & Café: às 7h!|pao-cafe-as-7h|2026-03-09|One.\nTwo."],
            vec!["had HTML tags"],
        ),
        (
            json!([
                {"headline": "A", "content": "x", "slug": "news", "published_at": "9.3.2026"},
                {"name": "B", "body": "y", "slug": "news", "published": "2024/02/29"},
                {"title": "パン", "text": "z", "published": true},
                {"title": "Con", "excerpt": "w", "image": {"src": "example.com/a.jpg", "alt": "A"}},
            ]),
            vec!["A|news|2026-03-09|x", "B|news-2|2024-02-29|y", "パン|post-3||z", "Con|post-4||w"],
            vec!["it is `news-2`"],
        ),
        (
            json!([
                {"title": "D", "text": "x", "status": "Draft"},
                {"title": "E", "text": "x", "published": false},
                {"title": "F", "text": "x", "date": "03/09/2026"},
                {"title": "G", "text": "x", "date": "2026-02-30"},
                {"title": "H", "text": "x", "date": "13/03/2026"},
                {"title": "I"},
                {"text": "x"},
                "words",
            ]),
            vec!["F|f||x", "G|g||x", "H|h|2026-03-13|x"],
            vec![
                "not published yet",
                "not published yet",
                "may be two dates",
                "no day of the calendar",
                "has no `text`",
                "has no `title`",
                "has no `title`",
            ],
        ),
        (json!({"One": "x"}), vec!["One|one||x"], vec![]),
    ];
    for (posts, expected, said) in rows {
        let order = with("posts", posts.clone());
        let read_posts: Vec<_> = order
            .posts
            .iter()
            .map(|post| {
                let date = post.date.as_deref().unwrap_or_default();
                format!("{}|{}|{date}|{}", post.title, post.slug, post.text)
            })
            .collect();
        assert_eq!(read_posts, expected, "{posts}");
        let notices = notices(&order);
        assert_eq!(notices.len(), said.len(), "{posts}: {notices:?}");
        for (notice, part) in notices.iter().zip(said) {
            assert!(notice.contains(part), "{posts}: {part:?} is missing in {notice}");
        }
        assert_eq!(read(&serde_json::to_value(&order).unwrap()), Ok(order), "{posts}: read again");
    }
    let image = json!({"url": "example.com/a.jpg", "alt": "A cart"});
    for more in [json!({ "image": image }), json!({"cover": image["url"], "image_alt": "A cart"})] {
        let mut post = json!({"title": "A", "text": "x"});
        post.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let order = with("posts", json!([post]));
        let Post { image_url, image_alt, .. } = &order.posts[0];
        assert_eq!(image_url.as_deref(), Some("https://example.com/a.jpg"), "{more}");
        assert_eq!(image_alt.as_deref(), Some("A cart"), "{more}");
    }
    // Lists of other names are posts, and a text is what it was before.
    assert_eq!(with("articles", json!([{"title": "A", "text": "x"}])).posts.len(), 1);
    let order = with("news", json!("We moved."));
    assert!(order.posts.is_empty() && order.extra["news"] == "We moved.");
}

#[test]
fn a_field_that_an_entry_does_not_have_is_named() {
    let order = with("team", json!([{"name": "Jae", "shoe_size": 43}]));
    let said = notices(&order);
    let start = "warning /onboarding/team/0/shoe_size: `43`";
    assert!(matches!(said.as_slice(), [one] if one.starts_with(start)), "{said:?}");
}

#[test]
fn a_secret_that_is_dropped_is_named_without_its_value() {
    let order = with("client_secret", json!("abc123"));
    let said = notices(&order);
    assert!(
        matches!(said.as_slice(), [one] if one.starts_with("note /onboarding/client_secret: ")),
        "{said:?}"
    );
    assert!(!said[0].contains("abc123"));
}

#[test]
fn the_language_may_be_a_name() {
    let table = [
        ("English", "en"),
        ("português", "pt"),
        ("Portuguese (Brazil)", "pt-BR"),
        ("Deutsch", "de"),
        ("pt_BR.UTF-8", "pt-BR"),
        ("日本語", "ja"),
        ("klingonish", "en"),
    ];
    for (written, expected) in table {
        let mut document = crm();
        document["onboarding"]["locale"] = json!(written);
        assert_eq!(read(&document).unwrap().locale.as_str(), expected, "{written}");
    }
}

/// The orders of `tests/orders-real`: what is said about each, exactly.
#[test]
fn real_orders_are_read_and_every_dropped_value_is_named() {
    let table: &[(&str, &[&str])] = &[
        (
            "n01-hair-salon-en",
            &["note /onboarding/social_instagram: `@copperandrye` is read as \
                 https://www.instagram.com/copperandrye"],
        ),
        ("n02-gym-ptbr", &["note /onboarding/business_hours/feriados: `feriados` has no place"]),
        ("n04-realestate-fr", &["warning /onboarding/business_hours/samedi: `sur rendez-vous`"]),
        ("n05-photographer-de", &["warning /onboarding/business_hours: `nach Vereinbarung`"]),
        ("n07-daycare-ar", &[]),
        (
            "n09-bakery-engb",
            &[
                "warning /onboarding/business_hours/Tue: `8am till sold out`",
                "warning /onboarding/business_hours/Wed: `8am till sold out`",
                "warning /onboarding/business_hours/Thu: `8am till sold out`",
                "warning /onboarding/business_hours/Fri: `8am till sold out`",
            ],
        ),
    ];
    for (name, expected) in table {
        let order = read(&shipped(&format!("../orders-real/{name}"))).unwrap();
        let said = notices(&order);
        assert_eq!(said.len(), expected.len(), "{name}: {said:#?}");
        for (said, expected) in said.iter().zip(*expected) {
            assert!(said.starts_with(expected), "{name}: {said}");
        }
        assert_eq!(read(&serde_json::to_value(&order).unwrap()), Ok(order), "{name}");
    }
    let salon = read(&shipped("../orders-real/n01-hair-salon-en")).unwrap();
    assert_eq!((salon.prices.len(), salon.photos.len(), salon.team.len()), (5, 2, 2));
    let gym = read(&shipped("../orders-real/n02-gym-ptbr")).unwrap();
    assert_eq!(gym.whatsapp_phone.as_ref().map(Phone::digits).as_deref(), Some("5531995550133"));
    let agency = read(&shipped("../orders-real/n04-realestate-fr")).unwrap();
    assert_eq!(agency.legal.siret.as_deref(), Some("812 345 678 00019"));
    let bakery = read(&shipped("../orders-real/n09-bakery-engb")).unwrap();
    assert_eq!((bakery.menu.len(), bakery.locations.len()), (2, 2));
    assert_eq!(bakery.site_url.as_deref(), Some("https://crwstcrumb.example"));
}

/// The names of days of `cldr-days.json` (Unicode CLDR by way of Babel 2.19): wide, abbreviated and
/// short, from Monday. Each names its day in an order of its language.
#[test]
fn the_names_of_days_are_those_of_the_cldr() {
    let cldr: Value = serde_json::from_str(include_str!("../cldr-days.json")).unwrap();
    for (language, days) in cldr.as_object().unwrap() {
        for (day, names) in Day::ALL.iter().zip(days.as_array().unwrap()) {
            for name in names.as_array().unwrap().iter().map(|name| name.as_str().unwrap()) {
                let mut document = crm();
                document["onboarding"]["locale"] = json!(language);
                document["onboarding"]["business_hours"] = json!({ name: "09:00-18:00" });
                let order = read(&document).unwrap();
                let found: Vec<_> = order.business_hours.0.iter().map(|hours| hours.day).collect();
                assert_eq!(found, [*day], "{name} in {language}");
            }
        }
    }
}

#[test]
fn a_profile_in_the_field_of_another_network_is_used_as_what_it_is() {
    let facebook = "https://www.facebook.com/nightowl";
    let mut document = crm();
    for field in ["social_facebook", "social_instagram", "social_x"] {
        document["onboarding"][field] = Value::Null;
    }
    document["onboarding"]["social_instagram"] = json!(facebook);
    let order = read(&document).unwrap();
    let links = (order.social_facebook.as_deref(), order.social_instagram.as_deref());
    assert_eq!(links, (Some(facebook), None));
    // A second one has no place.
    document["onboarding"]["social_facebook"] = json!("facebook.com/first");
    let order = read(&document).unwrap();
    assert_eq!(order.social_facebook.as_deref(), Some("https://facebook.com/first"));
    assert_eq!(order.social_instagram, None);
    let said = notices(&order).join("\n");
    assert!(said.contains("warning /onboarding/social_instagram") && said.contains("left out"));
}

#[test]
fn what_spreadsheets_make_of_codes_and_prices_is_mended_or_said() {
    for zip in [json!(10001.0), json!("10001.0"), json!(10001), json!("10001")] {
        let order = with("zip", zip.clone());
        assert_eq!(order.postal_code.as_deref(), Some("10001"), "{zip}");
    }
    let prices = json!({
        "Cut": 45, "Colour": { "amount": 90, "currency": "EUR" }, "Wash": null, "Style": "€20"
    });
    let order = with("prices", prices);
    let read: Vec<_> =
        order.prices.iter().map(|one| (one.name.as_str(), one.price.as_deref())).collect();
    let expected = [("Cut", Some("45")), ("Colour", Some("90 EUR")), ("Style", Some("€20"))];
    assert_eq!(read, expected);
    let said = notices(&order);
    let about = |field: &str| said.iter().filter(|one| one.contains(field)).count();
    assert_eq!(
        (about("prices/Cut: `45` has no currency"), about("prices/Wash")),
        (1, 1),
        "{said:?}"
    );
}

#[test]
fn days_are_read_with_their_dots_and_wide_dashes() {
    for (name, days) in [("pon.-pt.", 5), ("pon. - pt.", 5), ("月～金", 5), ("月～金曜日", 5)]
    {
        let mut document = crm();
        document["onboarding"]["locale"] = json!(if name.is_ascii() { "pl" } else { "ja" });
        document["onboarding"]["business_hours"] = json!({ name: "9:00-17:00" });
        let order = read(&document).unwrap();
        assert_eq!(order.business_hours.0.len(), days, "{name}: {:?}", notices(&order));
    }
}

#[test]
fn doubtful_hours_are_asked_about_once() {
    let order = with("business_hours", json!({ "monday": "1pm-12pm" }));
    let said = notices(&order).join("\n");
    assert!(said.contains("`13:00-12:00` is 23 hours long"), "{said}");
    let twice = json!({ "mon-fri": "9:00-17:00", "mon-thu": "8:00-12:00", "tue-fri": "closed" });
    let said = notices(&with("business_hours", twice));
    assert_eq!(said.iter().filter(|one| one.contains("given twice")).count(), 2, "{said:?}");
}

#[test]
fn unknown_fields_have_room_for_what_forms_send() {
    let many = json!((0..6_000).collect::<Vec<_>>());
    let order = with("zzz", many);
    assert!(!order.extra.contains_key("zzz"));
    let said = notices(&order).join("\n");
    assert!(said.contains("warning /onboarding/zzz: is left out with 0 more"), "{said}");
    assert!(with("zzz", json!((0..4_000).collect::<Vec<_>>())).extra.contains_key("zzz"));
}

/// A text, what is read, and part of what is said about it; empty if nothing is.
#[test]
fn html_of_an_editor_is_read_as_the_text_that_it_shows() {
    let table = [
        ("<b>Pizza</b>", "Pizza", "HTML tags"),
        ("<p>Rua A, 12<br>Centro</p>", "Rua A, 12\nCentro", "HTML tags"),
        ("<p>One.</p>\r\n<p class=\"x\">Two.</p>", "One.\nTwo.", "HTML tags"),
        ("One<br /><br />Two", "One\n\nTwo", "HTML tags"),
        ("<UL><LI>Bread</LI><LI>Cake</LI></UL>", "Bread\nCake", "HTML tags"),
        ("<table><tr><td>Cut</td><td>$45</td></tr></table>", "Cut $45", "HTML tags"),
        ("<a href='https://a.example/?a=1&b=2'>Our shop</a>", "Our shop", "HTML tags"),
        ("<!-- x --><o:p></o:p>Word", "Word", "HTML tags"),
        ("<style>p { color: red }</style>Text", "Text", "HTML tags"),
        ("Fish &amp; Chips", "Fish & Chips", "entities"),
        ("&amp;amp;", "&amp;", "entities"),
        ("&lt;p&gt;Escaped&lt;/p&gt;", "Escaped", "HTML tags"),
        ("<p>Love &lt;3</p>", "Love <3", "HTML tags"),
        ("<p>Write &lt;b&gt;</p>", "Write <b>", "HTML tags"),
        ("<b>a</b> < <i>b</i>", "a < b", "HTML tags"),
        ("a < b", "a < b", ""),
        ("a <b or c> d", "a <b or c> d", ""),
        ("<3", "<3", ""),
        ("a<b", "a<b", ""),
        ("a <b", "a <b", ""),
        ("<Your Name>", "<Your Name>", ""),
        ("Joe <joe@example.com>", "Joe <joe@example.com>", ""),
        ("<b-3>", "<b-3>", ""),
        ("x <!-- y", "x <!-- y", ""),
    ];
    for (written, expected, said) in table {
        let order = with("about_owner", json!(written));
        assert_eq!(order.about_owner.as_deref(), Some(expected), "{written}");
        let notices = notices(&order);
        assert!(
            if said.is_empty() { notices.is_empty() } else { notices[0].contains(said) },
            "{written}: {notices:?}"
        );
        let json = serde_json::to_value(&order).unwrap();
        assert_eq!(read(&json), Ok(order), "{written}: reading again changes nothing");
    }
    let order = with("services", json!(["<p> </p>", "<i>Bread</i>"]));
    assert_eq!(order.services, ["Bread"]);
    assert!(notices(&order)[0].contains("no text; left out"), "{:?}", order.notices);
    let order = with("business_hours", json!({"monday": "<p>9:00 &ndash; 18:00</p>"}));
    assert_eq!(order.business_hours.0[0].ranges[0].to_string(), "09:00-18:00");
    let order = with("booking_url", json!("https://a.example/?a=1&amp;b=2"));
    assert_eq!(order.booking_url.as_deref(), Some("https://a.example/?a=1&b=2"));
}

/// A language as forms send it, and the order's; empty if it is none.
#[test]
fn a_language_that_does_not_exist_is_left_out() {
    let table = [
        ("pt-BR", "pt-BR"),
        ("por", "pt"),
        ("eng-GB", "en-GB"),
        ("fil", "fil"),
        ("xx-klingon", ""),
        ("qq", ""),
        ("und", ""),
        ("qaa", ""),
    ];
    for (written, expected) in table {
        let order = with("locale", json!(written));
        let default = read(&crm()).unwrap().locale;
        let is_dropped = order
            .notices
            .iter()
            .any(|notice| notice.level == NoticeLevel::Warning && notice.message.contains(written));
        assert_eq!(is_dropped, expected.is_empty(), "{written}: {:?}", order.notices);
        let expected = if expected.is_empty() { default.as_str() } else { expected };
        assert_eq!(order.locale.as_str(), expected, "{written}");
    }
}
