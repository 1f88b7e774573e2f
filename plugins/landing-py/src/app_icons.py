"""The icons of the site on home screens and in tabs, and the web app manifest that lists them.

`icons.bin` has a drawing for each letter, which `plugins/local-business/art/icons.py` makes. An
icon is the drawing with the brand's colours as its palette.
"""

import json
from pathlib import Path

from card import recoloured
from colours import hex_of, mix

# Read at build time: a component has no file system at run time.
ICONS = (Path(__file__).parent / "icons.bin").read_bytes()

FILES = {"apple-touch-icon.png": 180, "icon-192.png": 192, "icon-512.png": 512}
"""Paths of the icons, and their sides in pixels."""

MANIFEST = "site.webmanifest"

SHADES = 16
"""Number of colours of a drawing, from the background to the letter."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
MARK = " "
"""Stands for names without a Latin letter and digit."""

PLAIN = str.maketrans("ÁÀÂÃÄÅÇÉÈÊËÍÌÎÏÑÓÒÔÕÖØÚÙÛÜŞŠŽČŁ", "AAAAAACEEEEIIIINOOOOOOUUUUSSZCL")
"""Letters without their accents."""


def app_icons(order, shades, lang) -> list[tuple[str, str | bytes]]:
    """Path and content of each icon and of the manifest."""
    ends = shades["brand"], shades["on_brand"]
    palette = [mix(*ends, shade / (SHADES - 1)) for shade in range(SHADES)]
    letter = letter_of(order.business_name)
    icons = [(path, recoloured(drawing(letter, side), palette)) for path, side in FILES.items()]
    return [*icons, (MANIFEST, manifest(order, shades, lang))]


def letter_of(name: str) -> str:
    """The letter or digit that stands for a name: that of its favicon, without an accent."""
    first = next((character for character in name if character.isalnum()), MARK)
    plain = first.upper().translate(PLAIN)
    return plain if len(plain) == 1 and plain in LETTERS else MARK


def drawing(letter: str, side: int) -> bytes:
    """The drawing of a letter. The file has letter, side, length and PNG of each."""
    at = 0
    while at < len(ICONS):
        length = int.from_bytes(ICONS[at + 3 : at + 7])
        png = ICONS[at + 7 : at + 7 + length]
        if ICONS[at] == ord(letter) and int.from_bytes(ICONS[at + 1 : at + 3]) == side:
            return png
        at += 7 + length
    raise KeyError(f"there is no drawing of {letter!r} with {side} pixels")


def manifest(order, shades, lang) -> str:
    """The web app manifest as JSON."""
    large = {"src": "icon-512.png", "sizes": "512x512", "type": "image/png"}
    app = {
        "name": order.business_name,
        "lang": lang.tag,
        "dir": "rtl" if lang.right_to_left else "ltr",
        "start_url": "index.html",
        "display": "minimal-ui",
        "background_color": hex_of(shades["paper"]),
        "theme_color": hex_of(shades["brand"]),
        "icons": [
            {"src": "favicon.svg", "sizes": "any", "type": "image/svg+xml"},
            {"src": "icon-192.png", "sizes": "192x192", "type": "image/png"},
            large,
            # Launchers may cut it to a circle: the letter is within.
            {**large, "purpose": "maskable"},
        ],
    }
    return json.dumps(app, ensure_ascii=False, indent=2) + "\n"
