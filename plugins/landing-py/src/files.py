"""The files of the site. Pure: the same input gives the same files."""

import re
from pathlib import Path

from card import card
from colours import colours, dark_colours, properties
from contact import safe_url
from page import icon, not_found, page

# Read at build time: a component has no file system at run time.
STYLE = (Path(__file__).parent / "style.css").read_text()

CARD = "card.png"


def files(order, copy, contacts, lang) -> list[tuple[str, str | bytes]]:
    """Path and content of each file. A site with a `site_url` also has a sitemap, `robots.txt` and
    a picture for previews of links.
    """
    shades = colours(order)
    address = site_address(order)
    photos = (safe_url(photo.url) for photo in order.photos)
    image = next(filter(None, photos), None) or (address and f"{address}{CARD}")
    style = style_sheet(shades)
    made = [
        ("index.html", page(order, copy, contacts, lang, address, image, shades)),
        ("style.css", style),
        ("404.html", not_found(order, contacts, lang, address, style)),
        ("favicon.svg", icon(order, shades)),
    ]
    if address:
        made += [
            ("sitemap.xml", sitemap(address)),
            ("robots.txt", f"User-agent: *\nAllow: /\n\nSitemap: {address}sitemap.xml\n"),
            (CARD, card(shades)),
        ]
    return made


def style_sheet(shades):
    dark = properties(dark_colours(shades))
    return (
        f":root {{\n  color-scheme: light dark;\n{properties(shades)}}}\n"
        f"@media (prefers-color-scheme: dark) {{\n:root {{\n{dark}}}\n}}\n{STYLE}"
    )


def site_address(order) -> str | None:
    """Public URL of the site with a trailing slash; `None` if the order has none."""
    plain = re.sub(r"^https?://", "", (order.site_url or "").strip())
    shape = r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:\d+)?(/[A-Za-z0-9._~/-]*)?"
    return f"https://{plain.rstrip('/')}/" if re.fullmatch(shape, plain) else None


def sitemap(address):
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
  <url><loc>{address}</loc></url>
</urlset>
"""
