"""What the head of every page leads to: a description, the icon, the web app manifest."""

import json
import re

from sitewright import html

# The colour of businesses that have none: that of `assets/site.css`.
BRAND = "#2f6f4f"

# Maximum length of a description in characters: search results show no more.
LONGEST = 160


def description(text):
    """The first sentences of a text for search results; if they are too long, its first words."""
    if len(text) <= LONGEST:
        return text
    start = text[: LONGEST - 1]
    sentences = re.match(r"[\s\S]{39,}(?:[。！？]|[.!?؟](?=\s))", start)
    return sentences[0] if sentences else re.sub(r"\s+\S*\Z", "", start) + "…"


def icon(order):
    """The icon: the first letter of the name, on white in a frame, so that any colour will do."""
    brand = order.primary_color or BRAND
    letter = order.business_name[:1].upper()
    frame = html(t'fill="#fff" stroke="{brand}" stroke-width="8"')
    font = html(t'fill="#1d2320" font-family="sans-serif" font-size="32" font-weight="700"')
    return html(
        t"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">
<rect x="4" y="4" width="56" height="56" rx="12" {frame}/>
<text x="32" y="43" text-anchor="middle" {font}>{letter}</text>
</svg>
"""
    )


def manifest(order):
    """The manifest: name, colour and icon on home screens.

    iPhones want a PNG: to give them one, write it beside the icon, and link to it with
    `rel="apple-touch-icon"`.
    """
    app = {
        "name": order.business_name,
        "lang": order.locale,
        "start_url": "index.html",
        "display": "minimal-ui",
        "background_color": "#ffffff",
        "theme_color": order.primary_color or BRAND,
        "icons": [{"src": "assets/icon.svg", "sizes": "any", "type": "image/svg+xml"}],
    }
    return json.dumps(app, ensure_ascii=False, indent=2) + "\n"
