//! Text is readable for any colours of an order.
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use local_business::palette::{Palette, READABLE, VISIBLE, contrast};
use proptest::prelude::*;
use sitewright_sdk::order::Color;

fn check(palette: &Palette) -> Result<(), TestCaseError> {
    check_one(palette)?;
    check_one(&palette.dark())
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
