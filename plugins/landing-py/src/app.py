"""A single page for a local business.

    order ──> four concurrent AI calls ──> copy ──> a page, a stylesheet and an icon

- `texts`: the AI requests, and how their replies are cleaned
- `page`: the HTML. `style.css`: its style
- `colours`, `contact`, `hours`, `structured`, `words`: parts of the page
"""

from pathlib import Path

from sitewright import Order, Template, progress, warn, write_file

from colours import colours, properties
from contact import contact
from page import icon, page
from texts import PURPOSE, write
from words import language

# Read at build time: a component has no file system at run time.
STYLE = (Path(__file__).parent / "style.css").read_text()


class Generator(Template):
    name = "landing-py"
    version = "0.1.0"
    summary = (
        "A single page for a local business, in Portuguese, English or Spanish, "
        "in its own colours. Written in Python."
    )
    purposes = {PURPOSE: "the texts of the page: four concurrent calls"}
    locales = ["pt-BR", "en", "es"]

    async def make(self, order: Order):
        lang = language(order.locale)
        progress("copy", 0, 2)
        copy = await write(order, lang)

        progress("page", 1, 2)
        contacts = contact(order, lang.words)
        for code, message in contacts.notes:
            warn(code, message)
        shades = colours(order)
        write_file("index.html", page(order, copy, contacts, lang))
        write_file("style.css", f":root {{\n{properties(shades)}}}\n{STYLE}")
        write_file("favicon.svg", icon(order, shades))
