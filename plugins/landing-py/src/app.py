"""A single page for a local business.

    order ──> four questions to the model, all at once ──> copy ──> one page, its style and an icon

- `texts`: what the model is asked, and what it may answer
- `page`: the HTML. `style.css`: how it looks
- `colours`, `contact`, `hours`, `structured`, `words`: one question each
"""

from pathlib import Path

from sitewright import Order, Template, progress, warn, write_file

from colours import colours, properties
from contact import contact
from page import icon, page
from texts import PURPOSE, write
from words import language

# Read while the component is built: a template has no files when it runs.
STYLE = (Path(__file__).parent / "style.css").read_text()


class Generator(Template):
    name = "landing-py"
    version = "0.1.0"
    summary = "A single page for a local business, in Portuguese, English or Spanish, in its own colours. Written in Python."
    purposes = {PURPOSE: "the texts of the page: four calls, all at once"}
    locales = ["pt-BR", "en", "es"]

    async def make(self, order: Order):
        speaks = language(order.locale)
        progress("copy", 0, 2)
        copy = await write(order, speaks)

        progress("page", 1, 2)
        ways = contact(order, speaks.words)
        for code, message in ways.notes:
            warn(code, message)
        shades = colours(order)
        write_file("index.html", page(order, copy, ways, speaks))
        write_file("style.css", f":root {{\n{properties(shades)}}}\n{STYLE}")
        write_file("favicon.svg", icon(order, shades))
