"""A single page for a local business.

    order ──> four concurrent AI calls ──> copy ──> the page and the files beside it

- `texts`: the AI requests, and how their replies are cleaned
- `files`: all files. `page`: the HTML. `style.css`: its style. `legal`: the legal pages
- `app_icons`, `art`, `card`, `colours`, `contact`, `content`, `hours`, `structured`, `title`: parts
  of them
- `words`: the wording in each language
"""

from sitewright import Order, Template, progress, warn, write_file

from contact import contact
from files import files
from legal import legal_pages
from texts import PURPOSE, write
from words import language


class Generator(Template):
    name = "landing-py"
    version = "0.1.0"
    summary = (
        "A single page for a local business, in nine languages and in its own colours. "
        "Written in Python."
    )
    purposes = {PURPOSE: "the texts of the page: four concurrent calls"}
    locales = ["pt-BR", "en", "es", "fr", "de", "it", "ar", "he", "ja"]

    async def make(self, order: Order):
        lang = language(order.locale)
        progress("copy", 0, 2)
        copy = await write(order, lang)

        progress("page", 1, 2)
        contacts = contact(order, lang)
        for code, message in contacts.notes + legal_pages(order, lang).notes:
            warn(code, message)
        for path, content in files(order, copy, contacts, lang):
            write_file(path, content)
