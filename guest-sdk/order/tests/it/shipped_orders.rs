//! The five example orders of `tests/orders`.

use crate::support::{read, shipped};
use serde_json::json;
use sitewright_order::{Cta, Day, Niche, Range, Tone};

#[test]
fn the_full_restaurant_order() {
    let order = read(&shipped("01-restaurant-ptbr-full")).unwrap();
    assert_eq!((order.id.as_str(), order.locale.as_str()), ("101", "en"));
    assert_eq!(order.business_phone.as_ref().unwrap().dial(), "+5519955501011");
    assert_eq!(
        (order.niche, order.tone, order.primary_cta),
        (Niche::Restaurant, Tone::Friendly, Cta::Whatsapp)
    );
    assert_eq!(order.primary_color.unwrap().to_string(), "#b3261e");
    assert_eq!(order.years_in_business, Some(22));
    let days: Vec<_> =
        order.business_hours.0.iter().map(|day| (day.day, day.ranges.len())).collect();
    assert_eq!(
        days,
        [(Day::Tuesday, 2), (Day::Wednesday, 2), (Day::Saturday, 1), (Day::Sunday, 1)]
    );
    assert_eq!(order.business_hours.0[0].ranges[1], Range { open: 1110, close: 1380 });
    assert_eq!(order.testimonials.len(), 2);
    assert_eq!((order.testimonials[0].rating, order.testimonials[1].rating), (Some(5.0), None));
    assert_eq!(order.testimonials[1].role.as_deref(), Some("Cliente"));
}

#[test]
fn the_minimal_dentist_order_gets_the_defaults() {
    let order = read(&shipped("02-dentist-us-minimal")).unwrap();
    assert_eq!(
        (order.tone, order.primary_cta, order.has_whatsapp),
        (Tone::Professional, Cta::Call, false)
    );
    assert_eq!(order.services, ["Cleanings"]);
    assert!(
        order.business_hours.0.is_empty()
            && order.testimonials.is_empty()
            && order.extra.is_empty()
    );
}

#[test]
fn the_premium_plumber_order() {
    let order = read(&shipped("03-plumber-us-premium")).unwrap();
    assert_eq!(order.business_name, "Webb & Sons Plumbing");
    let hours: Vec<_> =
        order.business_hours.0.iter().map(|day| (day.day, day.ranges.as_slice())).collect();
    let all_day: &[Range] = &[Range::ALL_DAY];
    assert_eq!(hours, [(Day::Monday, all_day), (Day::Tuesday, all_day), (Day::Sunday, all_day)]);
    assert!(order.testimonials.is_empty());
}

#[test]
fn f6_hostile_text_survives_byte_for_byte() {
    let document = shipped("04-other-hostile-text");
    let order = read(&document).unwrap();
    let onboarding = &document["onboarding"];
    assert_eq!(json!(order.business_name), onboarding["business_name"]);
    assert_eq!(json!(order.business_address), onboarding["business_address"]);
    assert_eq!(json!(order.custom_niche), onboarding["custom_niche"]);
    assert_eq!(json!(order.primary_city), onboarding["primary_city"]);
    assert_eq!(json!(order.services), onboarding["services"]);
    assert_eq!(json!(order.selected_pages), onboarding["selected_pages"]);
    assert_eq!(json!(order.site_description), onboarding["site_description"]);
    assert_eq!(order.testimonials.len(), 1, "the empty one is dropped");
    assert_eq!(json!(order.testimonials[0].text), onboarding["testimonials"][0]["text"]);
    assert_eq!(
        (order.about_owner, order.years_in_business),
        (None, None),
        "blank and 0 count as absent"
    );
}

#[test]
fn f6_colours_are_a_type() {
    let order = read(&shipped("05-lawyer-bad-colours")).unwrap();
    let colors = [order.primary_color, order.secondary_color, order.accent_color];
    assert_eq!(colors.map(|color| color.unwrap().to_string()), ["#0000ff", "#aabbcc", "#000000"]);
}

#[test]
fn payment_data_and_secrets_are_removed() {
    for name in [
        "01-restaurant-ptbr-full",
        "02-dentist-us-minimal",
        "03-plumber-us-premium",
        "05-lawyer-bad-colours",
    ] {
        let order = read(&shipped(name)).unwrap();
        let text = serde_json::to_string(&order).unwrap();
        for secret in [
            "stripe",
            "cs_test",
            "cus_T",
            "pi_T",
            "password",
            "price",
            "admin_notes",
            "customer_",
            "is_complete",
        ] {
            assert!(!text.contains(secret), "{name} holds {secret}: {text}");
        }
    }
}

#[test]
fn a_normalized_order_parses_as_the_same_order() {
    for name in [
        "01-restaurant-ptbr-full",
        "02-dentist-us-minimal",
        "03-plumber-us-premium",
        "04-other-hostile-text",
        "05-lawyer-bad-colours",
    ] {
        let order = read(&shipped(name)).unwrap();
        assert_eq!(read(&serde_json::to_value(&order).unwrap()), Ok(order));
    }
}
