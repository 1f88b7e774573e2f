/** The colours of the page, derived from the brand's with the contrast that WCAG 2 requires. */

const WHITE = [255, 255, 255];
const BLACK = [0, 0, 0];
/** Minimum contrast ratio of text: WCAG 2 level AA (4.5) with a margin for rounding. */
const READABLE = 4.6;

/** Minimum contrast ratio of the border of a button: WCAG 2, criterion 1.4.11, with a margin. */
const VISIBLE = 3.1;

/** Contrast ratios with white, least and most, as in `palette.rs` of `local-business`. */
const DRAWN_AREA = [3, 8];
const DRAWN_DARK = [12, 22];
const DRAWN_BRIGHT = [1.5, 2];
/** Minimum contrast ratio of the shapes of a drawing that touch. */
export const DRAWN = 1.5;
const STEPS = 40;

/** Primary colour by trade, for orders without one. */
const DEFAULTS = {
  restaurant: '#a63a24',
  lawyer: '#1f3a5f',
  dentist: '#0f766e',
  real_estate: '#2b4c7e',
  plumber: '#0b5fa5',
  electrician: '#b45309',
  landscaping: '#3f6b2c',
  cleaning: '#0e7490',
};

/** Every colour of the page. `onX` is the colour of text on `x`. */
export function colours(order) {
  const brand = parse(order.primary_color ?? DEFAULTS[order.niche] ?? '#4b3f8f');
  const second = parse(order.secondary_color) ?? mix(brand, BLACK, 0.6);
  const accent = parse(order.accent_color) ?? mix(brand, WHITE, 0.55);
  // A tint of a colour that is almost white would not be visible.
  const tint = contrast(brand, WHITE) < 1.2 ? [245, 245, 247] : mix(brand, WHITE, 0.93);
  const deep = readable(second, WHITE, 9);
  return {
    paper: WHITE,
    tint,
    ink: readable(mix(second, BLACK, 0.7), tint, 10),
    muted: readable(mix(second, [120, 120, 120], 0.6), tint, READABLE + 1),
    line: readable(mix(brand, WHITE, 0.8), WHITE, 1.25),
    brand,
    // The border of what is filled with `brand`, so that a white button does not vanish.
    edge: readable(readable(brand, tint, VISIBLE), WHITE, VISIBLE),
    onBrand: on(brand),
    brandText: readable(brand, tint, READABLE),
    deep,
    onDeep: WHITE,
    accent,
    accentOnDeep: readable(accent, deep, READABLE),
    second,
  };
}

/**
 * The colours of the drawing, in light and dark: the brand's, lighter or darker until shapes that
 * touch can be told apart. A drawing in black alone would be a black square.
 */
export function drawnColours(shades) {
  const brand = within(shades.brand, DRAWN_AREA);
  let accent = within(shades.accent, [DRAWN_BRIGHT[0], DRAWN_AREA[1]]);
  if (contrast(accent, brand) < DRAWN) accent = within(accent, DRAWN_BRIGHT);
  return {
    brand,
    second: within(shades.second, DRAWN_DARK),
    deep: within(shades.deep, DRAWN_DARK),
    accent,
    brandSoft: mix(brand, WHITE, 0.85),
    accentSoft: mix(accent, WHITE, 0.7),
    paper: WHITE,
  };
}

/** The colours for readers who prefer a dark screen; those of the brand stay. */
export function darkColours(shades) {
  const paper = mix(shades.brand, [18, 18, 20], 0.94);
  const tint = mix(shades.brand, [30, 30, 33], 0.9);
  const both = (colour, ratio) => readable(readable(colour, tint, ratio), paper, ratio);
  return {
    ...shades,
    paper,
    tint,
    ink: both([236, 236, 240], 10),
    muted: both([178, 178, 186], READABLE + 1),
    line: mix(shades.brand, [64, 64, 70], 0.8),
    edge: both(shades.brand, VISIBLE),
    brandText: both(shades.brand, READABLE),
  };
}

/** The colours as CSS custom properties. */
export function properties(shades) {
  const name = (key) => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return Object.entries(shades)
    .map(([key, colour]) => `  --${name(key)}: ${hex(colour)};\n`)
    .join('');
}

export function hex(colour) {
  return `#${colour.map((channel) => channel.toString(16).padStart(2, '0')).join('')}`;
}

/** The contrast ratio of two colours, 1 to 21. */
export function contrast(one, other) {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

function luminance(colour) {
  const [red, green, blue] = colour.map((channel) => {
    const value = channel / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Mixes the colour with black or white until it reaches the ratio on the background. */
function readable(colour, background, ratio) {
  const end = on(background) === WHITE ? WHITE : BLACK;
  for (let step = 0; step <= 20; step += 1) {
    const shade = mix(colour, end, step / 20);
    if (contrast(shade, background) >= ratio) return shade;
  }
  return end;
}

/** Mixes the colour with black or white until its contrast ratio with white is in the range. */
function within(colour, [least, most]) {
  const isPale = contrast(colour, WHITE) < least;
  for (let step = 0; step <= STEPS; step += 1) {
    const shade = mixed(colour, isPale ? 0 : 255, step);
    const ratio = contrast(shade, WHITE);
    if (isPale ? ratio >= least : ratio <= most) return shade;
  }
  return colour;
}

/** The colour with a part of black (0) or white (255); every language rounds it alike. */
function mixed(colour, end, step) {
  return colour.map((channel) =>
    Math.floor((channel * (STEPS - step) + end * step + STEPS / 2) / STEPS),
  );
}

/**
 * Text colour for a background: white or black. One of them is always readable: the product of
 * their contrast ratios is 21.
 */
function on(background) {
  return contrast(WHITE, background) >= READABLE ? WHITE : BLACK;
}

export function mix(colour, other, part) {
  return colour.map((channel, at) => Math.round(channel * (1 - part) + other[at] * part));
}

function parse(text) {
  return text && [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
}
