//! Text is readable for any colours of an order.
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::collections::HashMap;

use local_business::palette::{DRAWN, Palette, READABLE, VISIBLE, contrast};
use proptest::prelude::*;
use sitewright_sdk::order::Color;

fn check(palette: &Palette) -> Result<(), TestCaseError> {
    check_one(palette)?;
    check_drawn(palette)?;
    check_one(&palette.dark())
}

/// Shapes of drawings that touch can be told apart.
fn check_drawn(palette: &Palette) -> Result<(), TestCaseError> {
    let drawn: HashMap<&str, Color> = palette.drawn().into_iter().collect();
    for (one, other) in [
        ("brand", "card"),
        ("brand", "brand-soft"),
        ("accent", "brand"),
        ("accent", "card"),
        ("accent", "deep"),
        ("second", "brand"),
        ("deep", "brand"),
        ("second", "accent"),
        ("second", "card"),
    ] {
        let ratio = contrast(drawn[one], drawn[other]);
        prop_assert!(
            ratio >= DRAWN,
            "{one} {} on {other} {}: contrast {ratio:.2}",
            drawn[one],
            drawn[other]
        );
    }
    Ok(())
}

fn check_one(palette: &Palette) -> Result<(), TestCaseError> {
    for (name, text, background) in palette.pairs() {
        let ratio = contrast(text, background);
        prop_assert!(ratio >= READABLE, "{text} on {name} {background}: contrast {ratio:.2}");
    }
    for background in [palette.paper, palette.card] {
        prop_assert!(
            contrast(palette.outline, background) >= VISIBLE,
            "{} on {background}",
            palette.outline
        );
    }
    for background in [palette.paper, palette.tint, palette.card] {
        prop_assert!(
            contrast(palette.edge, background) >= VISIBLE,
            "a button with the border {} on {background}",
            palette.edge
        );
    }
    Ok(())
}

fn color() -> impl Strategy<Value = Color> {
    prop_oneof![
        (any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(r, g, b)| Color { r, g, b }),
        any::<u8>().prop_map(|grey| Color { r: grey, g: grey, b: grey }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_colours_give_readable_text(
        brand in color(),
        second in proptest::option::of(color()),
        accent in proptest::option::of(color()),
    ) {
        check(&Palette::from_colors(brand, second, accent))?;
    }
}

#[test]
fn colours_of_the_order_are_kept_and_text_is_readable() {
    let color = |text: &str| text.parse::<Color>().unwrap();
    for (brand, second, accent) in [
        ("#b3261e", "#1b4332", "#f4a261"),
        ("#0b5fff", "#0a2540", "#ffb703"),
        ("#abcdef", "#000000", "#ffffff"),
        ("blue", "#abc", "rgb(0,0,0)"),
        ("#777777", "#777777", "#777777"),
        ("white", "white", "white"),
        ("black", "black", "black"),
        ("yellow", "cyan", "magenta"),
    ] {
        let palette = Palette::from_colors(color(brand), Some(color(second)), Some(color(accent)));
        check(&palette).unwrap();
        assert_eq!(
            (palette.brand, palette.second, palette.accent),
            (color(brand), color(second), color(accent))
        );
    }
}

/// `landing-js` and `landing-py` have these rows too: primary, secondary, accent of the order, and
/// of the drawing.
#[test]
fn a_drawing_has_colours_of_its_own() {
    for (given, expected) in [
        (["#000000", "#000000", "#000000"], ["#535353", "#000000", "#bababa"]),
        (["#ffffff", "#ffffff", "#ffffff"], ["#939393", "#333333", "#d2d2d2"]),
        (["#1b4332", "#f4a261", "#b3261e"], ["#385b4c", "#49311d", "#e3aeab"]),
        (["#0b5fff", "#0a2540", "#ffb703"], ["#0b5fff", "#0a2540", "#ffb703"]),
        (["#ffeb3b", "#777777", "#ffffff"], ["#9f9325", "#363636", "#d2d2d2"]),
        (["#0f1424", "#101010", "#fde047"], ["#515560", "#101010", "#eacf42"]),
    ] {
        let [brand, second, accent] = given.map(|text| text.parse::<Color>().unwrap());
        let palette = Palette::from_colors(brand, Some(second), Some(accent));
        let drawn: HashMap<&str, Color> = palette.drawn().into_iter().collect();
        let shades = ["brand", "second", "accent"].map(|name| drawn[name].to_string());
        assert_eq!(shades, expected);
    }
}

#[test]
fn a_white_and_a_black_button_are_visible() {
    for brand in ["#ffffff", "#000000"] {
        let brand: Color = brand.parse().unwrap();
        let palette = Palette::from_colors(brand, None, None);
        for palette in [&palette, &palette.dark()] {
            check_one(palette).unwrap();
            assert_eq!(palette.brand, brand);
            let label = contrast(palette.on_brand, palette.brand);
            assert!(label >= READABLE, "{} on {brand}", palette.on_brand);
        }
        assert_eq!(palette.edge == brand, brand.r == 0, "{}", palette.edge);
    }
}
