//! All kinds of invalid input, as a table: what is changed, where the problem is reported, and its
//! message.

use crate::support::{crm, flat, read, read_strictly, set, shipped};
use serde_json::{Value, json};

/// The pointer and value of a change to a valid CRM document, and a part of the message of the only
/// problem. The problem's pointer is that of the change unless the last element is another one.
fn table() -> Vec<(&'static str, Value, &'static str, Option<&'static str>)> {
    let many = |entry: Value| Value::Array(vec![entry; 201]);
    let name = |length: usize| json!("é".repeat(length));
    let row = |at, value, message| (at, value, message, None);
    vec![
        row("/order", json!("x"), "must be an object"),
        row("/onboarding", json!(null), "is missing"),
        row("/onboarding", json!([]), "but is a list of 0"),
        row("/order/id", json!(1.5), "must be a whole number or a text"),
        row("/order/id", json!(""), "it is empty"),
        row("/order/id", json!("../etc"), "other characters"),
        row("/order/id", json!(".hidden"), "begins with `.`"),
        row("/order/id", json!("a."), "ends with `.`"),
        row("/order/id", json!("--help"), "begins with `-`"),
        row("/order/id", json!(-1), "begins with `-`"),
        row("/order/id", json!("unknown"), "reserved"),
        row("/order/id", json!("Public"), "reserved"),
        row("/order/id", json!("NUL"), "Windows device"),
        row("/order/id", json!("com1.txt"), "Windows device"),
        row("/order/id", json!("a".repeat(65)), "longer than 64"),
        row("/order/id", json!("ação"), "other characters"),
        row("/order/id", json!(null), "is missing"),
        row("/onboarding/locale", json!("klingonish"), "`pt-BR` or `en`"),
        row("/onboarding/locale", json!(5), "must be a language tag"),
        row("/order/locale", json!("p"), "`pt-BR` or `en`"),
        row("/locale", json!("en-"), "`pt-BR` or `en`"),
        row("/onboarding/business_name", json!(null), "is missing; it must be the business's name"),
        row("/onboarding/business_name", json!(" \t\u{200b}"), "is blank"),
        row("/onboarding/business_name", json!([1, 2]), "must be a text, but is a list of 2"),
        row("/onboarding/business_name", name(301), "has 301 characters; at most 300"),
        row("/onboarding/business_email", json!("joe"), "office@example.com"),
        row("/onboarding/business_email", json!("a@b"), "not an e-mail address"),
        row("/onboarding/business_email", json!("a@b@example.com"), "not an e-mail address"),
        row("/onboarding/business_email", json!("a b@example.com"), "not an e-mail address"),
        row("/onboarding/business_email", json!("a@example.com?bcc=x"), "not an e-mail address"),
        row("/onboarding/business_phone", json!("call me"), "6 to 15 digits"),
        row("/onboarding/business_phone", json!("12345"), "6 to 15 digits"),
        row("/onboarding/business_phone", json!(12345), "6 to 15 digits"),
        row("/onboarding/business_phone", json!(5550102.5), "as a text"),
        row("/onboarding/business_phone", json!("1234567890123456"), "6 to 15 digits"),
        row("/onboarding/has_whatsapp", json!("maybe"), "`true` or `false`"),
        row("/onboarding/niche", json!("bakery"), "one of `restaurant`, `lawyer`, `dentist`"),
        row("/onboarding/niche", json!(null), "it must be one of `restaurant`"),
        row("/onboarding/tone", json!("angry"), "one of `professional`, `friendly`, `premium`"),
        row(
            "/onboarding/primary_cta",
            json!("sms"),
            "one of `call`, `whatsapp`, `form`, `book_online`",
        ),
        row("/onboarding/services", json!(null), "it may be empty"),
        row("/onboarding/services", json!("x"), "must be a list, but is `x`"),
        row("/onboarding/services", many(json!("a")), "has 201 entries; at most 200"),
        row("/onboarding/service_areas", many(json!("a")), "has 201 entries; at most 200"),
        row("/onboarding/selected_pages", many(json!("a")), "has 201 entries; at most 200"),
        row("/onboarding/testimonials", many(json!({"text": "a"})), "has 201 entries; at most 200"),
        (
            "/onboarding/services",
            json!(["a", true]),
            "must be a text",
            Some("/onboarding/services/1"),
        ),
        (
            "/onboarding/services",
            json!(["a".repeat(301)]),
            "at most 300",
            Some("/onboarding/services/0"),
        ),
        row("/onboarding/site_description", name(20_001), "has 20001 characters; at most 20000"),
        row(
            "/onboarding/primary_color",
            json!("bleu"),
            "not a CSS colour; write it like `#1b4332`",
        ),
        row("/onboarding/primary_color", json!("#12345"), "not a CSS colour"),
        row("/onboarding/primary_color", json!("1b4332"), "with `#` it is one: `#1b4332`"),
        row("/onboarding/primary_color", json!("hsv(1, 1%, 1%)"), "not a CSS colour"),
        row("/onboarding/primary_color", json!("red; background: url(x)"), "not a CSS colour"),
        row("/onboarding/secondary_color", json!("transparent"), "fully transparent"),
        row("/onboarding/accent_color", json!("#12345600"), "fully transparent"),
        row("/onboarding/accent_color", json!(0), "must be a text"),
        row("/onboarding/business_hours", json!(9), "an object of days"),
        row("/onboarding/business_hours", json!("whenever"), "shown as written"),
        (
            "/onboarding/business_hours",
            json!({"mon": "late"}),
            "`late` is not an opening time",
            Some("/onboarding/business_hours/mon"),
        ),
        (
            "/onboarding/business_hours",
            json!({"mon": "9-5"}),
            "not an opening time",
            Some("/onboarding/business_hours/mon"),
        ),
        (
            "/onboarding/business_hours",
            json!({"mon": "25:00-26:00"}),
            "not an opening time",
            Some("/onboarding/business_hours/mon"),
        ),
        (
            "/onboarding/business_hours",
            json!({"mon": "9:00-9:00"}),
            "not an opening time",
            Some("/onboarding/business_hours/mon"),
        ),
        (
            "/onboarding/business_hours",
            json!({"mon": "9:00-12:00, 11:00-13:00"}),
            "overlap",
            Some("/onboarding/business_hours/mon"),
        ),
        (
            "/onboarding/business_hours",
            json!({"mon": 9}),
            "must be a text like",
            Some("/onboarding/business_hours/mon"),
        ),
        (
            "/onboarding/business_hours",
            json!({"a/b~": "24h"}),
            "is not a day",
            Some("/onboarding/business_hours/a~1b~0"),
        ),
        (
            "/onboarding/business_hours",
            json!({"mon": "24h", "Segunda": "closed"}),
            "Monday is given twice",
            Some("/onboarding/business_hours/Segunda"),
        ),
        (
            "/onboarding/business_hours",
            json!([{"day": "monday"}]),
            "must be like",
            Some("/onboarding/business_hours/0"),
        ),
        row(
            "/onboarding/social_facebook",
            json!("javascript:alert(1)"),
            "only `https:` and `http:`",
        ),
        row("/onboarding/social_linkedin", json!("@cantina"), "a name alone"),
        row("/onboarding/social_linkedin", json!("my page"), "blanks"),
        row("/onboarding/google_reviews_link", json!("youtube"), "no host with a dot"),
        row("/onboarding/social_youtube", json!("https://user@example.com"), "user name"),
        row("/onboarding/social_youtube", json!("https:example.com"), "`//` is missing"),
        row(
            "/onboarding/social_youtube",
            json!("https://example.com/\"><script>"),
            "percent-encoded",
        ),
        row(
            "/onboarding/google_reviews_link",
            json!("data:text/html,x"),
            "only `https:` and `http:`",
        ),
        row(
            "/onboarding/google_reviews_link",
            json!(format!("example.com/{}", "a".repeat(2_048))),
            "longer than 2,048",
        ),
        (
            "/onboarding/testimonials",
            json!([5]),
            "must be an object with `text`",
            Some("/onboarding/testimonials/0"),
        ),
        (
            "/onboarding/testimonials",
            json!([{"text": {"de": "x"}}]),
            "must be a text",
            Some("/onboarding/testimonials/0/text"),
        ),
        (
            "/onboarding/testimonials",
            json!([{"text": "a", "rating": 6}]),
            "0 to 5",
            Some("/onboarding/testimonials/0/rating"),
        ),
        row("/onboarding/years_in_business", json!(-1), "0 to 1500, but is `-1`"),
        row("/onboarding/years_in_business", json!(1_501), "0 to 1500"),
        row("/onboarding/years_in_business", json!("many"), "0 to 1500, but is `many`"),
        row("/onboarding/years_in_business", json!(2.5), "a whole number"),
        row("/onboarding/extra", json!([1]), "must be an object of further fields"),
    ]
}

#[test]
fn each_problem_names_the_field_and_a_valid_value() {
    for (place, value, message, pointer) in table() {
        let mut document = crm();
        set(&mut document, place, value.clone());
        let problems = read_strictly(&document).expect_err(&format!("{place} = {value}"));
        let pointer = pointer.unwrap_or(place);
        let expected =
            problems.iter().filter(|problem| problem.pointer == pointer).collect::<Vec<_>>();
        assert!(
            matches!(expected.as_slice(), [one] if one.message.contains(message)),
            "{place} = {value}: {problems:#?}"
        );
        let derived = place == "/order";
        assert!(problems.len() == 1 || derived, "{place} = {value}: {problems:#?}");
    }
}

#[test]
fn the_flat_shape_has_the_same_problems_with_its_own_pointers() {
    for (place, value, message, pointer) in table() {
        let Some(field) = place.strip_prefix("/onboarding/") else { continue };
        let mut document = flat();
        set(&mut document, &format!("/{field}"), value.clone());
        let problems = read_strictly(&document).expect_err(&format!("{field} = {value}"));
        let pointer = pointer.unwrap_or(place).strip_prefix("/onboarding").unwrap();
        assert!(
            matches!(
                problems.as_slice(),
                [one] if one.pointer == pointer && one.message.contains(message)
            ),
            "{field} = {value}: {problems:#?}"
        );
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let mut document = shipped("01-restaurant-ptbr-full");
    set(&mut document, "/order/id", json!("a/b"));
    set(&mut document, "/onboarding/business_name", json!(""));
    set(&mut document, "/onboarding/niche", json!("bakery"));
    set(&mut document, "/onboarding/primary_color", json!("bleu"));
    set(&mut document, "/onboarding/business_hours", json!({"monday": "x", "someday": "24h"}));
    set(&mut document, "/onboarding/testimonials", json!([{"text": "a", "rating": 9}, 5]));
    set(&mut document, "/onboarding/years_in_business", json!(-3));
    let pointers: Vec<_> =
        read_strictly(&document).unwrap_err().into_iter().map(|problem| problem.pointer).collect();
    assert_eq!(
        pointers,
        [
            "/order/id",
            "/onboarding/business_name",
            "/onboarding/niche",
            "/onboarding/primary_color",
            "/onboarding/business_hours/monday",
            "/onboarding/business_hours/someday",
            "/onboarding/testimonials/0/rating",
            "/onboarding/testimonials/1",
            "/onboarding/years_in_business",
        ]
    );
}

#[test]
fn a_document_that_is_not_an_object_is_one_problem() {
    for document in [json!(null), json!([]), json!("x"), json!(5)] {
        let problems = read(&document).unwrap_err();
        assert!(
            matches!(
                problems.as_slice(),
                [one] if one.pointer.is_empty() && one.message.contains("JSON object")
            ),
            "{problems:#?}"
        );
    }
}

#[test]
fn an_empty_object_lacks_every_required_field() {
    let pointers: Vec<_> =
        read_strictly(&json!({})).unwrap_err().into_iter().map(|problem| problem.pointer).collect();
    let required = [
        "/id",
        "/business_name",
        "/business_email",
        "/business_phone",
        "/niche",
        "/primary_city",
        "/state",
        "/services",
        "/primary_service",
    ];
    assert_eq!(pointers, required);
}
