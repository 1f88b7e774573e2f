//! SVG illustrations in the brand's colours: a drawing of the trade inside a mosaic of shapes.
//!
//! All SVG is built from constants and numbers. No text from an order or a model enters it, so
//! pages insert it unescaped. Colours are classes of the stylesheet, so no function here needs a
//! palette.

use std::fmt::Write;

use crate::drawing::Drawing;

/// Illustration of the home page: the trade's drawing, framed by a mosaic that depends on `seed`.
pub fn hero(drawing: Drawing, seed: &str) -> String {
    let mut rng = SeededRng::new(seed);
    let mut svg = open(480, 560, "art art-hero");
    for row in 0..7 {
        for column in 0..6 {
            let inside = (1..5).contains(&column) && (1..5).contains(&row);
            if !inside {
                tile(&mut svg, &mut rng, column * 80, row * 80);
            }
        }
    }
    push(
        &mut svg,
        format_args!("<g transform=\"translate(80 80)\">{}</g></svg>", drawing.svg().trim()),
    );
    svg
}

/// The trade's drawing without a frame.
pub fn portrait(drawing: Drawing) -> String {
    format!("{}{}</svg>", open(320, 320, "art art-portrait"), drawing.svg().trim())
}

/// Mosaic of 6 by 3 tiles for the page header.
pub fn band(seed: &str) -> String {
    mosaic(seed, 6, 3, "art art-band")
}

/// Mosaic of 4 by 3 tiles for an entry of the gallery.
pub fn picture(seed: &str) -> String {
    mosaic(seed, 4, 3, "art art-picture")
}

/// Mosaic of 2 by 2 tiles for a service.
pub fn sign(seed: &str) -> String {
    mosaic(seed, 2, 2, "art art-sign")
}

fn mosaic(seed: &str, columns: u32, rows: u32, class: &str) -> String {
    let mut rng = SeededRng::new(seed);
    let mut svg = open(columns * 80, rows * 80, class);
    for row in 0..rows {
        for column in 0..columns {
            tile(&mut svg, &mut rng, column * 80, row * 80);
        }
    }
    svg.push_str("</svg>");
    svg
}

fn open(width: u32, height: u32, class: &str) -> String {
    format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" aria-hidden=\"true\" \
         focusable=\"false\" preserveAspectRatio=\"xMidYMid slice\">"
    )
}

/// Background and shape colours that are easy to tell apart.
const PAIRS: [(&str, &str); 9] = [
    ("brand", "accent"),
    ("brand", "brand-soft"),
    ("second", "accent"),
    ("second", "brand-soft"),
    ("accent", "brand"),
    ("accent-soft", "brand"),
    ("brand-soft", "second"),
    ("brand-soft", "brand"),
    ("accent-soft", "second"),
];

/// Appends one tile of 80 by 80 units whose top left corner is at `x`, `y`.
fn tile(svg: &mut String, rng: &mut SeededRng, x: u32, y: u32) {
    let (background, shape) = PAIRS[rng.below(PAIRS.len())];
    let rotation = rng.below(4) * 90;
    let (x, y) = (x + 40, y + 40);
    // Slightly larger than 80 by 80: some browsers show the page between tiles that only touch.
    push(
        svg,
        format_args!(
            "<g transform=\"translate({x} {y}) rotate({rotation}) scale(1.012) translate(-40 \
             -40)\"><rect class=\"f-{background}\" width=\"80\" height=\"80\"/>"
        ),
    );
    let shapes = match rng.below(9) {
        0 => format!("<path class=\"f-{shape}\" d=\"M0 0h80a80 80 0 0 1-80 80z\"/>"),
        1 => format!(
            "<path class=\"f-{shape}\" d=\"M0 40a40 40 0 0 1 80 0z\"/><path class=\"f-{shape}\" \
             d=\"M0 80a40 40 0 0 1 80 0z\"/>"
        ),
        2 => format!("<path class=\"f-{shape}\" d=\"M0 0a80 80 0 0 1 80 80A80 80 0 0 1 0 0z\"/>"),
        3 => format!("<circle class=\"f-{shape}\" cx=\"40\" cy=\"40\" r=\"27\"/>"),
        4 => format!(
            "<g class=\"s-{shape}\" fill=\"none\" stroke-width=\"9\"><path d=\"M0 58a22 22 0 0 1 \
             22 22\"/><path d=\"M0 36a44 44 0 0 1 44 44\"/><path d=\"M0 14a66 66 0 0 1 66 \
             66\"/></g>"
        ),
        5 => format!("<path class=\"f-{shape}\" d=\"M0 0h80L0 80z\"/>"),
        6 => format!(
            "<path class=\"f-{shape}\" d=\"M10 0h14v80H10zM34 0h14v80H34zM58 0h14v80H58z\"/>"
        ),
        7 => format!(
            "<g class=\"f-{shape}\"><circle cx=\"20\" cy=\"20\" r=\"8\"/><circle cx=\"60\" \
             cy=\"20\" r=\"8\"/><circle cx=\"20\" cy=\"60\" r=\"8\"/><circle cx=\"60\" cy=\"60\" \
             r=\"8\"/></g>"
        ),
        _ => format!(
            "<path class=\"f-{shape}\" d=\"M40 0a40 40 0 0 1-40 40V0zM80 40a40 40 0 0 0-40 \
             40h40z\"/>"
        ),
    };
    svg.push_str(&shapes);
    svg.push_str("</g>");
}

fn push(into: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _written = into.write_fmt(text);
}

/// Pseudo-random numbers that depend only on the seed, so that generating an order again gives the
/// same site.
struct SeededRng(u64);

impl SeededRng {
    fn new(seed: &str) -> SeededRng {
        // FNV-1a.
        SeededRng(seed.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    }

    /// SplitMix64.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end.max(1) as u64).unwrap_or_default()
    }
}
