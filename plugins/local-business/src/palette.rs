//! The colours of the site, derived from the brand's colours with the contrast that WCAG requires.
//!
//! [`Palette::pairs`] lists every pair of text and background that the stylesheet uses; each of
//! them reaches [`READABLE`] for any colours of the order.

use csscolorparser::Color as Css;
use sitewright_order::{Color, Niche, Order};

/// Minimum contrast ratio of text of any size: WCAG 2.x, level AA, criterion 1.4.3.
pub const READABLE: f64 = 4.5;

/// Minimum contrast ratio of the outline of a control: WCAG 2.x, criterion 1.4.11.
pub const VISIBLE: f64 = 3.0;

/// Contrast ratio with white of the large areas of a drawing, least and most. The other shades of
/// a drawing are lighter or darker, so that its shapes can be told apart in any brand's colours.
const DRAWN_AREA: (f64, f64) = (3.0, 8.0);
/// The same of the dark parts of a drawing: 1.5 times that of the darkest area, without an upper
/// limit (that of black is 21).
const DRAWN_DARK: (f64, f64) = (12.0, 22.0);
/// The same of an accent beside an area that it does not contrast with.
const DRAWN_BRIGHT: (f64, f64) = (1.5, 2.0);
/// Minimum contrast ratio of the shapes of a drawing that touch.
pub const DRAWN: f64 = 1.5;
/// The number of steps in which a colour of a drawing becomes lighter or darker.
const STEPS: u16 = 40;

/// Every colour of the site. `on_x` is the colour of text on `x`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Palette {
    /// Background of the page.
    pub paper: Color,
    /// Background of a lightly tinted section.
    pub tint: Color,
    /// Background of cards and fields.
    pub card: Color,
    /// Text on `paper`, `tint` and `card`.
    pub ink: Color,
    /// Less prominent text on `paper`, `tint` and `card`.
    pub muted: Color,
    /// Decorative lines.
    pub line: Color,
    /// Outlines of fields.
    pub outline: Color,
    /// The primary colour unchanged: buttons, large areas.
    pub brand: Color,
    /// The border of what is filled with `brand`: `brand` itself if it is visible on `paper`,
    /// `tint` and `card`, otherwise a shade of it that is, so that a white button does not vanish.
    pub edge: Color,
    /// Text on `brand`.
    pub on_brand: Color,
    /// A button while the pointer is over it.
    pub brand_hover: Color,
    /// Text on `brand_hover`.
    pub on_brand_hover: Color,
    /// The primary colour as text: links, small headings.
    pub brand_text: Color,
    /// A pale tint of the primary colour: badges, background of icons.
    pub brand_soft: Color,
    /// Dark background of the footer and of dark sections, from the secondary colour.
    pub deep: Color,
    /// Text on `deep`.
    pub on_deep: Color,
    /// Less prominent text on `deep`.
    pub on_deep_muted: Color,
    /// A slightly lighter `deep`: background of cards in dark sections.
    pub deep_raised: Color,
    /// The accent colour unchanged.
    pub accent: Color,
    /// Text on `accent`.
    pub on_accent: Color,
    /// The accent colour as text on `deep`.
    pub accent_on_deep: Color,
    /// A pale tint of the accent colour, for illustrations.
    pub accent_soft: Color,
    /// The secondary colour unchanged, for illustrations.
    pub second: Color,
}

impl Palette {
    /// The palette of an order. A missing primary colour comes from the trade, the other two from
    /// the primary colour.
    pub fn of(order: &Order) -> Palette {
        Palette::from_colors(
            order.primary_color.unwrap_or_else(|| default_color(order.niche)),
            order.secondary_color,
            order.accent_color,
        )
    }

    /// The palette for a primary colour; missing colours are derived from it.
    pub fn from_colors(brand: Color, secondary: Option<Color>, accent: Option<Color>) -> Palette {
        let [_, chroma, hue] = lch(brand);
        let grey = chroma < 0.02;
        let tinted = |amount: f32| if grey { 0.0 } else { amount };
        let second = secondary.unwrap_or_else(|| from_lch(0.30, tinted(0.06), hue));
        let accent = accent
            .unwrap_or_else(|| from_lch(0.80, 0.14, if grey { 80.0 } else { accent_hue(hue) }));

        let paper = from_lch(0.987, tinted(0.006), hue);
        let tint = from_lch(0.958, tinted(0.018), hue);
        let card = Color { r: 255, g: 255, b: 255 };
        let light = [paper, tint, card, from_lch(0.93, tinted(0.035), hue)];
        let [second_light, second_chroma, second_hue] = lch(second);
        let ink = readable(from_lch(0.24, second_chroma.min(0.04), second_hue), &light, 10.0);
        let muted = readable(from_lch(0.45, second_chroma.min(0.03), second_hue), &light, 5.5);

        // White text is unreadable on a light secondary colour, so a darker shade replaces it.
        let deep = if second_light <= 0.42 {
            second
        } else {
            from_lch(0.30, second_chroma.min(0.09), second_hue)
        };
        let [deep_light, deep_chroma, deep_hue] = lch(deep);
        let deep_raised = from_lch((deep_light + 0.055).clamp(0.22, 0.46), deep_chroma, deep_hue);
        let dark = [deep, deep_raised];
        let on_deep = readable(from_lch(0.975, second_chroma.min(0.012), second_hue), &dark, 7.0);
        let on_deep_muted =
            readable(from_lch(0.86, second_chroma.min(0.03), second_hue), &dark, 5.0);

        let [light_brand, ..] = lch(brand);
        let brand_hover = from_lch(
            if light_brand > 0.5 { light_brand - 0.07 } else { light_brand + 0.07 },
            chroma,
            hue,
        );
        Palette {
            paper,
            tint,
            card,
            ink,
            muted,
            line: from_lch(0.89, tinted(0.02), hue),
            outline: readable(from_lch(0.62, tinted(0.03), hue), &light, VISIBLE + 0.3),
            brand,
            edge: readable(brand, &light, VISIBLE + 0.1),
            on_brand: on(brand),
            brand_hover,
            on_brand_hover: on(brand_hover),
            brand_text: readable(brand, &light, 4.8),
            brand_soft: light[3],
            deep,
            on_deep,
            on_deep_muted,
            deep_raised,
            accent,
            on_accent: on(accent),
            accent_on_deep: readable(accent, &dark, 4.8),
            accent_soft: {
                let [light, chroma, hue] = lch(accent);
                from_lch(light.max(0.92), chroma.min(0.05), hue)
            },
            second,
        }
    }

    /// The palette for readers who prefer a dark screen: dark backgrounds and light text; the
    /// colours of the brand and the dark sections stay.
    pub fn dark(&self) -> Palette {
        let [_, chroma, hue] = lch(self.brand);
        let tinted = |amount: f32| if chroma < 0.02 { 0.0 } else { amount };
        let paper = from_lch(0.185, tinted(0.010), hue);
        let tint = from_lch(0.225, tinted(0.014), hue);
        let card = from_lch(0.245, tinted(0.014), hue);
        let brand_soft = from_lch(0.30, tinted(0.035), hue);
        let dark = [paper, tint, card, brand_soft];
        let accent_chroma = lch(self.accent)[1].min(0.05);
        Palette {
            paper,
            tint,
            card,
            ink: readable(from_lch(0.95, tinted(0.008), hue), &dark, 10.0),
            muted: readable(from_lch(0.78, tinted(0.015), hue), &dark, 5.5),
            line: from_lch(0.36, tinted(0.02), hue),
            outline: readable(from_lch(0.60, tinted(0.03), hue), &dark, VISIBLE + 0.3),
            edge: readable(self.brand, &dark, VISIBLE + 0.1),
            brand_text: readable(self.brand, &dark, 4.8),
            brand_soft,
            accent_soft: from_lch(0.32, accent_chroma, lch(self.accent)[2]),
            ..self.clone()
        }
    }

    /// Every pair of text and background that the pages use: name of the background, text,
    /// background.
    pub fn pairs(&self) -> Vec<(&'static str, Color, Color)> {
        let mut pairs = Vec::new();
        for (name, background) in [
            ("paper", self.paper),
            ("tint", self.tint),
            ("card", self.card),
            ("brand-soft", self.brand_soft),
        ] {
            pairs.extend([
                (name, self.ink, background),
                (name, self.muted, background),
                (name, self.brand_text, background),
            ]);
        }
        for (name, background) in [("deep", self.deep), ("deep-raised", self.deep_raised)] {
            pairs
                .extend([(name, self.on_deep, background), (name, self.on_deep_muted, background)]);
            pairs.push((name, self.accent_on_deep, background));
        }
        pairs.push(("brand", self.on_brand, self.brand));
        pairs.push(("brand-hover", self.on_brand_hover, self.brand_hover));
        pairs.push(("accent", self.on_accent, self.accent));
        pairs
    }

    /// Custom properties of drawings, as in [`properties`](Self::properties). A drawing keeps its
    /// colours for readers who prefer a dark screen.
    ///
    /// The brand's colours are made lighter or darker until the shapes that touch can be told
    /// apart (contrast [`DRAWN`]): a drawing in black alone would be a black square. `landing-js`
    /// and `landing-py` have the same rules.
    pub fn drawn(&self) -> [(&'static str, Color); 8] {
        let brand = within(self.brand, DRAWN_AREA);
        let accent = within(self.accent, (DRAWN_BRIGHT.0, DRAWN_AREA.1));
        let accent =
            if contrast(accent, brand) < DRAWN { within(accent, DRAWN_BRIGHT) } else { accent };
        [
            ("brand", brand),
            ("second", within(self.second, DRAWN_DARK)),
            ("deep", within(self.deep, DRAWN_DARK)),
            ("accent", accent),
            ("brand-soft", self.brand_soft),
            ("accent-soft", self.accent_soft),
            ("card", self.card),
            ("paper", self.paper),
        ]
    }

    /// Custom properties of the stylesheet: name without the leading `--`, and colour.
    pub fn properties(&self) -> [(&'static str, Color); 23] {
        [
            ("paper", self.paper),
            ("tint", self.tint),
            ("card", self.card),
            ("ink", self.ink),
            ("muted", self.muted),
            ("line", self.line),
            ("outline", self.outline),
            ("brand", self.brand),
            ("edge", self.edge),
            ("on-brand", self.on_brand),
            ("brand-hover", self.brand_hover),
            ("on-brand-hover", self.on_brand_hover),
            ("brand-text", self.brand_text),
            ("brand-soft", self.brand_soft),
            ("deep", self.deep),
            ("on-deep", self.on_deep),
            ("on-deep-muted", self.on_deep_muted),
            ("deep-raised", self.deep_raised),
            ("accent", self.accent),
            ("on-accent", self.on_accent),
            ("accent-on-deep", self.accent_on_deep),
            ("accent-soft", self.accent_soft),
            ("second", self.second),
        ]
    }
}

/// Primary colour of an order that has none.
fn default_color(niche: Niche) -> Color {
    let (r, g, b) = match niche {
        Niche::Restaurant => (0xa6, 0x3a, 0x24),
        Niche::Lawyer => (0x1f, 0x3a, 0x5f),
        Niche::Dentist => (0x0f, 0x76, 0x6e),
        Niche::RealEstate => (0x2b, 0x4c, 0x7e),
        Niche::Plumber => (0x0b, 0x5f, 0xa5),
        Niche::Electrician => (0xb4, 0x53, 0x09),
        Niche::Landscaping => (0x3f, 0x6b, 0x2c),
        Niche::Cleaning => (0x0e, 0x74, 0x90),
        Niche::General | Niche::Other => (0x4b, 0x3f, 0x8f),
    };
    Color { r, g, b }
}

/// Hue of the accent colour: between orange and yellow, or opposite if the brand has such a hue.
fn accent_hue(hue: f32) -> f32 {
    if (40.0..=100.0).contains(&hue) { hue + 140.0 } else { 75.0 }
}

/// The contrast ratio of WCAG 2.x, 1 to 21.
pub fn contrast(a: Color, b: Color) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn luminance(color: Color) -> f64 {
    let channel = |value: u8| {
        let value = f64::from(value) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(color.r) + 0.7152 * channel(color.g) + 0.0722 * channel(color.b)
}

/// Text colour for a background: white if it is readable there, else a dark shade of the
/// background, else black. One of white and black is always readable: the product of their
/// contrasts is 21.
fn on(background: Color) -> Color {
    let white = Color { r: 255, g: 255, b: 255 };
    let black = Color { r: 0, g: 0, b: 0 };
    let [_, chroma, hue] = lch(background);
    let dark = from_lch(0.22, chroma.min(0.05), hue);
    [white, dark, black]
        .into_iter()
        .find(|text| contrast(*text, background) >= READABLE)
        .unwrap_or(black)
}

/// Changes the lightness of the colour until it reaches the ratio on all backgrounds, which must be
/// either all light or all dark.
fn readable(color: Color, backgrounds: &[Color], ratio: f64) -> Color {
    let enough =
        |color: Color| backgrounds.iter().all(|background| contrast(color, *background) >= ratio);
    let dark_backgrounds = backgrounds.iter().map(|background| luminance(*background)).sum::<f64>()
        < 0.18 * backgrounds.len() as f64;
    let [mut light, mut chroma, hue] = lch(color);
    let mut shade = color;
    while !enough(shade) {
        light += if dark_backgrounds { 0.01 } else { -0.01 };
        if !(0.0..=1.0).contains(&light) {
            return if dark_backgrounds {
                Color { r: 255, g: 255, b: 255 }
            } else {
                Color { r: 0, g: 0, b: 0 }
            };
        }
        // sRGB holds less chroma near black and white.
        chroma *= 0.995;
        shade = from_lch(light, chroma, hue);
    }
    shade
}

/// Mixes the colour with black or white until its contrast ratio with white is in the range.
fn within(color: Color, (least, most): (f64, f64)) -> Color {
    let white = Color { r: 255, g: 255, b: 255 };
    let is_pale = contrast(color, white) < least;
    let fits = |shade: &Color| {
        let ratio = contrast(*shade, white);
        if is_pale { ratio >= least } else { ratio <= most }
    };
    let end = if is_pale { 0 } else { 255 };
    (0..=STEPS).map(|step| mixed(color, end, step)).find(fits).unwrap_or(color)
}

/// The colour with a part of black (0) or white (255), in [`STEPS`]. In whole numbers, so that the
/// other languages round alike.
fn mixed(color: Color, end: u16, step: u16) -> Color {
    let mix = |channel: u8| {
        let sum = u16::from(channel) * (STEPS - step) + end * step;
        u8::try_from((sum + STEPS / 2) / STEPS).unwrap_or(u8::MAX)
    };
    Color { r: mix(color.r), g: mix(color.g), b: mix(color.b) }
}

/// Lightness (0 to 1), chroma and hue (degrees) in OKLCH, in which equal steps look equal.
fn lch(color: Color) -> [f32; 3] {
    let [light, chroma, hue, _] = Css::from_rgba8(color.r, color.g, color.b, 255).to_oklcha();
    [light, chroma, if hue.is_finite() { hue.to_degrees().rem_euclid(360.0) } else { 0.0 }]
}

/// The colour of this lightness and hue, with the chroma reduced to what sRGB can show.
fn from_lch(light: f32, chroma: f32, hue: f32) -> Color {
    let mut chroma = chroma;
    loop {
        let color = Css::from_oklcha(light, chroma, hue.to_radians(), 1.0);
        let inside =
            [color.r, color.g, color.b].iter().all(|value| (-0.002..=1.002).contains(value));
        if inside || chroma < 0.004 {
            let [r, g, b, _] = color.to_rgba8();
            return Color { r, g, b };
        }
        chroma *= 0.92;
    }
}
