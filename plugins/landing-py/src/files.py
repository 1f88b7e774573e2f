"""The files of the site. Pure: the same input gives the same files."""

import re
from pathlib import Path

from app_icons import app_icons
from card import card
from colours import colours, dark_colours, drawn_colours, properties
from contact import safe_url
from legal import imprint_page, legal_pages, privacy_page
from page import icon, not_found, page

# Read at build time: a component has no file system at run time.
STYLE = (Path(__file__).parent / "style.css").read_text()

CARD = "card.png"


def files(order, copy, contacts, lang) -> list[tuple[str, str | bytes]]:
    """Path and content of each file. A site with a `site_url` also has a sitemap, `robots.txt` and
    a picture for previews of links; the legal pages are those that the order asks for.
    """
    shades = colours(order)
    address = site_address(order)
    photos = (safe_url(photo.url) for photo in order.photos)
    image = next(filter(None, photos), None) or (address and f"{address}{CARD}")
    legal = legal_pages(order, lang)
    made = [
        ("index.html", page(order, copy, contacts, lang, legal, address, image, shades)),
        ("style.css", style_sheet(shades)),
        ("404.html", not_found(order, contacts, lang, address, top_of(address), shades)),
        ("favicon.svg", icon(order, shades)),
        *app_icons(order, shades, lang),
    ]
    for link, make in [(legal.imprint, imprint_page), (legal.privacy, privacy_page)]:
        if link:
            made.append((link.href, make(order, contacts, lang, legal, address, shades)))
    if address:
        made += [
            ("sitemap.xml", sitemap(address, ["", *(link.href for link in legal.links)])),
            ("robots.txt", f"User-agent: *\nAllow: /\n\nSitemap: {address}sitemap.xml\n"),
            (CARD, card(shades)),
        ]
    return made


def style_sheet(shades):
    dark = properties(dark_colours(shades))
    drawn = properties(drawn_colours(shades))
    return (
        f":root {{\n  color-scheme: light dark;\n{properties(shades)}}}\n"
        f"@media (prefers-color-scheme: dark) {{\n:root {{\n{dark}}}\n}}\n"
        f".art {{\n{drawn}}}\n{STYLE}"
    )


def site_address(order) -> str | None:
    """Public URL of the site with a trailing slash; `None` if the order has none."""
    plain = re.sub(r"^https?://", "", (order.site_url or "").strip())
    shape = r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:\d+)?(/[A-Za-z0-9._~/-]*)?"
    return f"https://{plain.rstrip('/')}/" if re.fullmatch(shape, plain) else None


def top_of(address) -> str:
    """Where `404.html` finds the files at the top of the site, whose address may be unknown."""
    if not address:
        return ""
    # The first is also right for a preview of the site at another host.
    return "/" if address.count("/") == 3 else address


def sitemap(address, paths):
    pages = "".join(f"  <url><loc>{address}{path}</loc></url>\n" for path in paths)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
{pages}</urlset>
"""
