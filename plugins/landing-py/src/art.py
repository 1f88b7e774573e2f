"""The drawing beside the headline: that of the order's niche, or the one that the customer's own
words for the trade name.

`drawings.json` has the drawings of the template `local-business` and the words for trades of its
`drawing.rs`, whose tests compare it. Its colours are classes of the style sheet.
"""

import json
from pathlib import Path

from sitewright import Html, html

from fold import fold

# Read at build time: a component has no file system at run time.
DRAWINGS = json.loads((Path(__file__).parent / "drawings.json").read_text("utf-8"))

GENERAL = "general"
"""The drawing of a shop, for all trades that have none of their own."""


def hero(order) -> Html:
    """The drawing as SVG. No text of an order is in it, so it is inserted as it is."""
    drawing = Html(DRAWINGS["svg"][drawing_of(order)])
    size = html(t'viewBox="0 0 320 320" width="320" height="320"')
    return html(
        t'<svg class="art" {size} aria-hidden="true" focusable="false">{drawing}</svg>'
    )


def drawing_of(order) -> str:
    """The name of the drawing of an order."""
    # The niche that is nearest to a bakery or a café.
    if order.niche == "restaurant" and named(order.custom_niche) == "bakery":
        return "bakery"
    if order.niche not in ("general", "other"):
        name = order.niche.replace("_", "-")
        return name if name in DRAWINGS["svg"] else GENERAL
    return named(order.custom_niche)


def named(own) -> str:
    """The name of the drawing that the customer's own words for the trade name."""
    folded = fold(own or "")
    typed = folded.split(" ")

    def has(word):
        # A short Latin word is a part of many others.
        is_whole = word.isascii() and len(word) < 5
        return word in (typed if is_whole else folded)

    found = (trade["drawing"] for trade in DRAWINGS["trades"] if any(map(has, trade["words"])))
    return next(found, GENERAL)
