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
use sitewright_order::{
    Color, Cta, Day, DayHours, Hours, HoursNote, Legal, MenuItem, MenuSection, Niche, Order,
    Person, Photo, Place, Post, Price, Range, Testimonial, Tone,
};

/// Texts that are not blank, with many characters that break templates.
fn text() -> impl Strategy<Value = String> {
    let hostile = prop::sample::select(vec![
        "<",
        "</script>",
        "<b>",
        "</p>",
        "<br/>",
        "<!--",
        "-->",
        "&lt;p&gt;",
        "&amp;amp;",
        "&#60;",
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

fn hours_note() -> impl Strategy<Value = HoursNote> {
    (option::of(text()), text()).prop_map(|(label, text)| HoursNote {
        days: vec![Day::Friday],
        label,
        text,
    })
}

fn posts() -> impl Strategy<Value = Vec<Post>> {
    let post = (text(), text(), option::of(text()), option::of("2026-0[1-9]-2[0-8]"));
    vec(post, 0..3).prop_map(|posts| {
        let posts = posts.into_iter().enumerate();
        let post = |(at, (title, text, summary, date))| Post {
            title,
            slug: format!("post-{at}"),
            date,
            summary,
            text,
            image_url: Some("https://example.com/a.jpg".to_owned()),
            image_alt: None,
        };
        posts.map(post).collect()
    })
}

fn content() -> impl Strategy<Value = (Vec<Price>, Vec<MenuSection>, Vec<Photo>, Vec<Person>)> {
    let entry = (text(), option::of(text()), option::of(text()));
    vec(entry, 0..3).prop_map(|entries| {
        let prices = entries.iter().cloned().map(|(name, price, description)| Price {
            name,
            price,
            description,
            group: Some("plans".to_owned()),
            ..Price::default()
        });
        let items: Vec<_> = entries
            .iter()
            .cloned()
            .map(|(name, price, description)| MenuItem {
                name,
                price,
                description,
                allergens: vec!["gluten".to_owned()],
            })
            .collect();
        let menu = if items.is_empty() {
            Vec::new()
        } else {
            vec![MenuSection { section: Some("Bread".to_owned()), items }]
        };
        let photos = entries
            .iter()
            .cloned()
            .map(|(_, alt, _)| Photo { url: "https://example.com/a.jpg".to_owned(), alt });
        let team = entries.iter().cloned().map(|(name, role, bio)| Person {
            name,
            role,
            bio,
            photo_url: None,
        });
        (prices.collect(), menu, photos.collect(), team.collect())
    })
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
        hours_notes in vec(hours_note(), 0..3),
        (prices, menu, photos, team) in content(),
        posts in posts(),
        testimonials in vec(testimonial(), 0..3),
        years_in_business in option::of(1u32..=1_500),
        extra in extra(),
    ) -> Order {
        let color = color.map(|[r, g, b]| Color { r, g, b });
        Order {
            id,
            locale: locale.parse().unwrap(),
            business_name,
            business_email: Some("joe@example.com".to_owned()),
            business_phone: Some(phone.parse().unwrap()),
            has_whatsapp,
            whatsapp_phone: None,
            emergency_phone: None,
            business_address,
            niche,
            custom_niche,
            primary_city: Some(primary_city),
            neighborhood: None,
            state: Some(state),
            postal_code: None,
            country: Some("BR".to_owned()),
            service_areas,
            services,
            primary_service: Some(primary_service),
            prices,
            menu,
            posts,
            site_objective,
            site_description,
            site_url: link.clone(),
            selected_pages,
            tone,
            primary_cta,
            cta_text,
            booking_url: link.clone(),
            order_url: None,
            donation_url: None,
            menu_url: None,
            gift_card_url: None,
            form_endpoint: None,
            primary_color: color,
            secondary_color: None,
            accent_color: color,
            logo_url: link.clone(),
            photos,
            reference_sites,
            design_notes,
            business_hours: business_hours.clone(),
            hours_notes,
            locations: vec![Place {
                name: Some("Roath".to_owned()),
                hours: business_hours,
                ..Place::default()
            }],
            social_facebook: link.clone(),
            social_instagram: None,
            social_linkedin: link.clone(),
            social_youtube: None,
            social_tiktok: link.clone(),
            social_x: None,
            social_threads: None,
            social_pinterest: None,
            social_telegram: None,
            social_tripadvisor: None,
            social_yelp: None,
            testimonials,
            google_reviews_link: link,
            about_owner,
            team,
            years_in_business,
            legal: Legal { vat_id: Some("DE123456789".to_owned()), ..Legal::default() },
            extra,
            notices: Vec::new(),
        }
    }
}

proptest! {
    /// The hostile characters of the generator (NUL, marks that nobody sees) are removed by the
    /// first reading; what it makes is read again unchanged, byte for byte.
    #[test]
    fn c2_the_json_of_an_order_parses_as_the_same_order(generated in order()) {
        let json = serde_json::to_value(&generated).unwrap();
        prop_assert_eq!(serde_json::from_value::<Order>(json.clone()).unwrap(), generated.clone());
        let order = crate::support::read(&json).unwrap();
        if order.notices.is_empty() {
            prop_assert_eq!(&order, &generated);
        }
        let json = serde_json::to_value(&order).unwrap();
        prop_assert_eq!(crate::support::read(&json), Ok(order.clone()));
        prop_assert_eq!(serde_json::from_value::<Order>(json).unwrap(), order);
    }
}
