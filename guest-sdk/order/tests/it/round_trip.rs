//! The JSON of an order is an order document that parses as the same order.

#![allow(
    clippy::unwrap_used,
    reason = "a generator of invalid locales or phone numbers fails the test"
)]

use proptest::array::{uniform3, uniform4};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sitewright_order::{Color, Cta, Day, DayHours, Hours, Niche, Order, Range, Testimonial, Tone};

/// Texts that are not blank, with many characters that break templates.
fn text() -> impl Strategy<Value = String> {
    let hostile = prop::sample::select(vec![
        "<",
        "</script>",
        "\"",
        "'",
        "`",
        "{{X}}",
        "${x}",
        "\\",
        "\n",
        "\u{0}",
        "💾",
        "é",
        "..",
        "/",
    ]);
    let part = prop_oneof![hostile.prop_map(str::to_owned), "\\PC{0,8}"];
    (vec(part, 0..6), "[a-z]").prop_map(|(parts, letter)| parts.concat() + &letter)
}

fn hours() -> impl Strategy<Value = Hours> {
    let range = (0u16..700, 1u16..740, 1440u16..1800, 1u16..300);
    let ranges = prop_oneof![
        Just(Vec::new()),
        Just(vec![Range::ALL_DAY]),
        range.prop_map(|(open, length, second, more)| vec![
            Range { open, close: open + length.min(1_439 - open) },
            Range { open: 1_439, close: second.min(1_439 + more) },
        ]),
    ];
    vec(option::of(ranges), 7).prop_map(|days| {
        let known = Day::ALL.into_iter().zip(days);
        Hours(known.filter_map(|(day, ranges)| Some(DayHours { day, ranges: ranges? })).collect())
    })
}

fn testimonial() -> impl Strategy<Value = Testimonial> {
    (option::of(text()), text(), option::of(0.0..=5.0), option::of(text()))
        .prop_map(|(name, text, rating, role)| Testimonial { name, text, rating, role })
}

fn extra() -> impl Strategy<Value = Map<String, Value>> {
    let value = prop_oneof![
        text().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(json!({"a": [null, true]}))
    ];
    vec(("x_[a-z]{1,3}", value), 0..4).prop_map(|fields| {
        let harmless = |name: &str| {
            !["key", "pin", "pwd", "cvc", "cvv"].iter().any(|word| name.contains(word))
        };
        fields.into_iter().filter(|(name, _)| harmless(name)).collect()
    })
}

prop_compose! {
    fn order()(
        id in "[a-z0-9][a-z0-9_-]{3,8}",
        [business_name, primary_city, state, primary_service] in uniform4(text()),
        [business_address, custom_niche, site_objective] in uniform3(option::of(text())),
        [site_description, cta_text, design_notes] in uniform3(option::of(text())),
        about_owner in option::of(text()),
        [service_areas, services, selected_pages, reference_sites] in uniform4(vec(text(), 0..4)),
        (niche, tone, primary_cta) in (
            prop::sample::select(vec![Niche::Restaurant, Niche::RealEstate, Niche::Other]),
            prop::sample::select(vec![Tone::Professional, Tone::Friendly, Tone::Premium]),
            prop::sample::select(vec![Cta::Call, Cta::Whatsapp, Cta::Form, Cta::BookOnline]),
        ),
        locale in prop::sample::select(vec!["en", "pt-BR", "zh-Hant-TW", "es-419"]),
        phone in "\\+?[0-9]{6,15}",
        has_whatsapp in any::<bool>(),
        color in option::of(any::<[u8; 3]>()),
        link in option::of("https?://[a-z]{1,8}\\.example/[a-z]{0,5}"),
        business_hours in hours(),
        testimonials in vec(testimonial(), 0..3),
        years_in_business in option::of(1u32..=1_500),
        extra in extra(),
    ) -> Order {
        let color = color.map(|[r, g, b]| Color { r, g, b });
        Order {
            id,
            locale: locale.parse().unwrap(),
            business_name,
            business_email: "joe@example.com".to_owned(),
            business_phone: phone.parse().unwrap(),
            has_whatsapp,
            business_address,
            niche,
            custom_niche,
            primary_city,
            state,
            service_areas,
            services,
            primary_service,
            site_objective,
            site_description,
            selected_pages,
            tone,
            primary_cta,
            cta_text,
            primary_color: color,
            secondary_color: None,
            accent_color: color,
            reference_sites,
            design_notes,
            business_hours,
            social_facebook: link.clone(),
            social_instagram: None,
            social_linkedin: link.clone(),
            social_youtube: None,
            testimonials,
            google_reviews_link: link,
            about_owner,
            years_in_business,
            extra,
        }
    }
}

proptest! {
    #[test]
    fn c2_the_json_of_an_order_parses_as_the_same_order(order in order()) {
        let json = serde_json::to_value(&order).unwrap();
        prop_assert_eq!(crate::support::read(&json), Ok(order.clone()));
        prop_assert_eq!(serde_json::from_value::<Order>(json).unwrap(), order);
    }
}
