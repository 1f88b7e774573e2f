"""The colours of the page, derived from the brand's with the contrast that WCAG 2 requires."""

WHITE = (255, 255, 255)
BLACK = (0, 0, 0)
READABLE = 4.6
"""Minimum contrast ratio of text: WCAG 2 level AA (4.5) with a margin for rounding."""

VISIBLE = 3.1
"""Minimum contrast ratio of the border of a button: WCAG 2, criterion 1.4.11, with a margin."""

# Contrast ratios with white, least and most, as in `palette.rs` of `local-business`.
DRAWN_AREA = (3, 8)
DRAWN_DARK = (12, 22)
DRAWN_BRIGHT = (1.5, 2)
DRAWN = 1.5
"""Minimum contrast ratio of the shapes of a drawing that touch."""
STEPS = 40

DEFAULTS = {
    "restaurant": "#a63a24",
    "lawyer": "#1f3a5f",
    "dentist": "#0f766e",
    "real_estate": "#2b4c7e",
    "plumber": "#0b5fa5",
    "electrician": "#b45309",
    "landscaping": "#3f6b2c",
    "cleaning": "#0e7490",
}
"""Primary colour by trade, for orders without one."""


def colours(order):
    """Every colour of the page. `on_x` is the colour of text on `x`."""
    brand = parse(order.primary_color or DEFAULTS.get(order.niche, "#4b3f8f"))
    second = parse(order.secondary_color) or mix(brand, BLACK, 0.6)
    accent = parse(order.accent_color) or mix(brand, WHITE, 0.55)
    # A tint of a colour that is almost white would not be visible.
    tint = (245, 245, 247) if contrast(brand, WHITE) < 1.2 else mix(brand, WHITE, 0.93)
    deep = readable(second, WHITE, 9)
    return {
        "paper": WHITE,
        "tint": tint,
        "ink": readable(mix(second, BLACK, 0.7), tint, 10),
        "muted": readable(mix(second, (120, 120, 120), 0.6), tint, READABLE + 1),
        "line": readable(mix(brand, WHITE, 0.8), WHITE, 1.25),
        "brand": brand,
        # The border of what is filled with `brand`, so that a white button does not vanish.
        "edge": readable(readable(brand, tint, VISIBLE), WHITE, VISIBLE),
        "on_brand": on(brand),
        "brand_text": readable(brand, tint, READABLE),
        "deep": deep,
        "on_deep": WHITE,
        "accent": accent,
        "accent_on_deep": readable(accent, deep, READABLE),
        "second": second,
    }


def drawn_colours(shades):
    """The colours of the drawing, in light and dark: the brand's, lighter or darker until shapes
    that touch can be told apart. A drawing in black alone would be a black square.
    """
    brand = within(shades["brand"], DRAWN_AREA)
    accent = within(shades["accent"], (DRAWN_BRIGHT[0], DRAWN_AREA[1]))
    if contrast(accent, brand) < DRAWN:
        accent = within(accent, DRAWN_BRIGHT)
    return {
        "brand": brand,
        "second": within(shades["second"], DRAWN_DARK),
        "deep": within(shades["deep"], DRAWN_DARK),
        "accent": accent,
        "brand_soft": mix(brand, WHITE, 0.85),
        "accent_soft": mix(accent, WHITE, 0.7),
        "paper": WHITE,
    }


def dark_colours(shades):
    """The colours for readers who prefer a dark screen; those of the brand stay."""
    paper = mix(shades["brand"], (18, 18, 20), 0.94)
    tint = mix(shades["brand"], (30, 30, 33), 0.9)

    def both(colour, ratio):
        return readable(readable(colour, tint, ratio), paper, ratio)

    return shades | {
        "paper": paper,
        "tint": tint,
        "ink": both((236, 236, 240), 10),
        "muted": both((178, 178, 186), READABLE + 1),
        "line": mix(shades["brand"], (64, 64, 70), 0.8),
        "edge": both(shades["brand"], VISIBLE),
        "brand_text": both(shades["brand"], READABLE),
    }


def properties(shades):
    """The colours as CSS custom properties."""
    return "".join(
        f"  --{name.replace('_', '-')}: {hex_of(colour)};\n" for name, colour in shades.items()
    )


def hex_of(colour):
    return "#" + "".join(f"{channel:02x}" for channel in colour)


def contrast(one, other):
    """The contrast ratio of two colours, 1 to 21."""
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    values = [channel / 255 for channel in colour]
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def readable(colour, background, ratio):
    """Mixes the colour with black or white until it reaches the ratio on the background."""
    end = on(background)
    for step in range(21):
        shade = mix(colour, end, step / 20)
        if contrast(shade, background) >= ratio:
            return shade
    return end


def within(colour, limits):
    """Mixes the colour with black or white until its contrast ratio with white is in the range."""
    least, most = limits
    is_pale = contrast(colour, WHITE) < least
    for step in range(STEPS + 1):
        shade = mixed(colour, 0 if is_pale else 255, step)
        ratio = contrast(shade, WHITE)
        if ratio >= least if is_pale else ratio <= most:
            return shade
    return colour


def mixed(colour, end, step):
    """The colour with a part of black (0) or white (255); every language rounds it alike."""
    return tuple((one * (STEPS - step) + end * step + STEPS // 2) // STEPS for one in colour)


def on(background):
    """Text colour for a background: white or black.

    One of them is always readable: the product of their contrast ratios is 21.
    """
    return WHITE if contrast(WHITE, background) >= READABLE else BLACK


def mix(colour, other, part):
    return tuple(round(one * (1 - part) + two * part) for one, two in zip(colour, other))


def parse(text):
    return text and tuple(int(text[at : at + 2], 16) for at in (1, 3, 5))
