//! The icons of the site in tabs, bookmarks and on home screens, and the web app manifest that
//! lists them.
//!
//! `assets/icons.bin` has a drawing for each letter; an icon is the drawing with the brand's
//! colours as its palette. So no picture is drawn or compressed while an order is made.

use serde_json::{Value, json};
use sitewright_order::Color;

use crate::palette::Palette;

/// Path of the icon that iOS and iPadOS put on a home screen.
pub const TOUCH: &str = "apple-touch-icon.png";
/// Path of the icon for browsers that show no drawings in tabs, and for home screens.
pub const SMALL: &str = "icon-192.png";
/// Path of the icon for splash screens. Launchers may cut it to a circle: the letter is within.
pub const LARGE: &str = "icon-512.png";
/// Path of the web app manifest.
pub const MANIFEST: &str = "site.webmanifest";

/// Paths of the icons and their sides in pixels.
pub const FILES: [(&str, u16); 3] = [(TOUCH, 180), (SMALL, 192), (LARGE, 512)];

/// The drawings, as `art/icons.py` writes them.
const ICONS: &[u8] = include_bytes!("../assets/icons.bin");
/// Stands for names without a Latin letter and digit.
const MARK: u8 = b' ';
/// Number of colours of a drawing.
const SHADES: u8 = 16;

/// What the web app manifest says beside the icons.
#[derive(Debug, Clone, Copy)]
pub struct App<'a> {
    /// Name of the business.
    pub name: &'a str,
    /// Language tag of the site.
    pub lang: &'a str,
    /// Whether the language is written from right to left.
    pub right_to_left: bool,
}

/// The icon of `side` pixels with the first of these initials, as PNG. Empty if there is no drawing
/// of that size: a bug in this template.
pub fn icon(initials: &str, palette: &Palette, side: u16) -> Vec<u8> {
    let original = drawing(letter(initials), side).unwrap_or_default();
    let (from, to) = (palette.brand, palette.on_brand);
    let shades: Vec<Color> = (0..SHADES).map(|shade| mix(from, to, shade)).collect();
    recolored(original, &shades)
}

/// The web app manifest as JSON.
///
/// # Errors
/// If it cannot be written: a bug in this template.
pub fn manifest(app: App<'_>, palette: &Palette) -> Result<String, serde_json::Error> {
    let icon =
        |path: &str, sizes: &str, kind: &str| json!({ "src": path, "sizes": sizes, "type": kind });
    let mut maskable = icon(LARGE, "512x512", "image/png");
    if let Value::Object(fields) = &mut maskable {
        fields.insert("purpose".to_owned(), Value::from("maskable"));
    }
    let manifest = json!({
        "name": app.name,
        "lang": app.lang,
        "dir": if app.right_to_left { "rtl" } else { "ltr" },
        "start_url": "index.html",
        "display": "minimal-ui",
        "background_color": palette.paper.to_string(),
        "theme_color": palette.brand.to_string(),
        "icons": [
            icon("favicon.svg", "any", "image/svg+xml"),
            icon(SMALL, "192x192", "image/png"),
            icon(LARGE, "512x512", "image/png"),
            maskable,
        ],
    });
    serde_json::to_string_pretty(&manifest)
}

/// A PNG with other colours. The chunk of its palette, with as many colours, follows its signature
/// and the chunk of its size.
pub fn recolored(original: &[u8], colors: &[Color]) -> Vec<u8> {
    const PALETTE: usize = 33;
    let mut chunk = b"PLTE".to_vec();
    chunk.extend(colors.iter().flat_map(|Color { r, g, b }| [*r, *g, *b]));
    chunk.extend(crc(&chunk).to_be_bytes());
    let (Some(before), Some(after)) =
        (original.get(..PALETTE + 4), original.get(PALETTE + 4 + chunk.len()..))
    else {
        return Vec::new();
    };
    [before, &chunk, after].concat()
}

/// CRC-32 as PNG has it.
pub(crate) fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

/// The letter or digit that stands for the initials: capital, without an accent.
fn letter(initials: &str) -> u8 {
    let first = initials.chars().next().and_then(plain_latin).unwrap_or(MARK);
    if first.is_ascii_alphanumeric() { first.to_ascii_uppercase() } else { MARK }
}

/// The letter without its accent; `None` if it is of another script.
fn plain_latin(c: char) -> Option<u8> {
    let is_latin = c.is_ascii() || matches!(c, '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}');
    let plain = deunicode::deunicode_char(c).filter(|_| is_latin)?;
    plain.bytes().next()
}

/// The drawing of a letter; `None` if there is none of this size.
fn drawing(letter: u8, side: u16) -> Option<&'static [u8]> {
    const HEAD: usize = 7;
    let mut rest = ICONS;
    loop {
        let (head, behind) = rest.split_at_checked(HEAD)?;
        let [of, high, low, length @ ..] = head else { return None };
        let length = u32::from_be_bytes(length.try_into().ok()?);
        let (png, next) = behind.split_at_checked(usize::try_from(length).ok()?)?;
        if (*of, u16::from_be_bytes([*high, *low])) == (letter, side) {
            return Some(png);
        }
        rest = next;
    }
}

/// The colour between two others, of which `shade` 0 is the first and the last shade the second.
fn mix(from: Color, to: Color, shade: u8) -> Color {
    let last = u16::from(SHADES - 1);
    let channel = |from: u8, to: u8| {
        let (to_part, from_part) = (u16::from(shade), last - u16::from(shade));
        let sum = u16::from(from) * from_part + u16::from(to) * to_part;
        u8::try_from((sum + last / 2) / last).unwrap_or(u8::MAX)
    };
    Color { r: channel(from.r, to.r), g: channel(from.g, to.g), b: channel(from.b, to.b) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn color(text: &str) -> Color {
        text.parse().unwrap()
    }

    #[test]
    fn every_letter_and_the_mark_have_icons_of_all_sizes_in_the_colours_of_the_brand() {
        let palette = Palette::from_colors(color("#a63a24"), None, None);
        let names = ('A'..='Z').chain('0'..='9').map(String::from).chain(["💾".to_owned()]);
        for name in names {
            for (path, side) in FILES {
                let png = icon(&name, &palette, side);
                let at = format!("{name} {path}");
                let side = u32::from(side).to_be_bytes();
                assert_eq!((&png[16..20], &png[20..24]), (&side[..], &side[..]), "{at}");
                let Color { r, g, b } = palette.brand;
                assert_eq!(png[41..44], [r, g, b], "{at}");
                let Color { r, g, b } = palette.on_brand;
                assert_eq!(png[86..89], [r, g, b], "{at}");
                assert_eq!(png[89..93], crc(&png[37..89]).to_be_bytes(), "{at}");
                assert!(png.ends_with(&[b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82]), "{at}");
            }
        }
    }

    #[test]
    fn the_single_pages_have_the_same_icons_and_preview() {
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for file in ["icons.bin", "card.png"] {
            let own = fs::read(plugins.join("local-business/assets").join(file)).unwrap();
            for template in ["landing-js", "landing-py"] {
                let copy = fs::read(plugins.join(template).join("src").join(file)).unwrap();
                assert!(copy == own, "{template}: copy {file} from local-business");
            }
        }
    }

    #[test]
    fn the_letter_is_the_first_one_without_its_accent() {
        for (initials, expected) in [
            ("CV", b'C'),
            ("é", b'E'),
            ("ø", b'O'),
            ("7", b'7'),
            ("", b' '),
            ("東", b' '),
            ("ح", b' '),
        ] {
            assert_eq!(letter(initials), expected, "{initials}");
        }
    }
}
