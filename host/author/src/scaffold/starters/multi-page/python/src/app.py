"""@@name@@: a site of four pages, whose texts are asked for at the same time."""

import json
from pathlib import Path

from sitewright import Order, Question, Template, ask_all, html, progress, write_file

from head import description, icon, manifest

# Read while the component is built, because a template has no file system when it runs.
ASSETS = Path(__file__).parent / "assets"
STYLE = (ASSETS / "site.css").read_text("utf-8")
WORDS = json.loads((ASSETS / "words.json").read_text("utf-8"))

# The pages: the folder in the site, and what the model is asked to write about.
PAGES = {
    "home": ("", "the business, for somebody who does not know it"),
    "services": ("services/", "its services, as an introduction to their list"),
    "about": ("about/", "the people of the business"),
    "contact": ("contact/", "how to get in touch with the business"),
}

# The schema of the model's replies. The descriptions are sent to the model.
COPY = {
    "type": "object",
    "additionalProperties": False,
    "required": ["heading", "text"],
    "properties": {
        "heading": {"type": "string", "minLength": 1, "maxLength": 120, "description": "At most eight words."},
        "text": {"type": "string", "minLength": 40, "maxLength": 1000, "description": "Two or three sentences."},
    },
}


class Generator(Template):
    """The template: the attributes are its manifest, `make` makes the site of one order."""

    name = "@@name@@"
    version = "0.1.0"
    summary = "@@summary@@"
    purposes = {"copywriting": "the texts of a page"}
    locales = ["en", "pt-BR", "es", "fr", "de", "it", "ar", "he", "ja"]

    async def make(self, order: Order):
        progress("copy", 0, len(PAGES))
        replies = await ask_all({name: question(name, order) for name in PAGES})
        copy = {name: reply.value for name, reply in replies.items()}

        for done, (name, (folder, _)) in enumerate(PAGES.items()):
            progress("pages", done, len(PAGES))
            write_file(f"{folder}index.html", page(order, copy, name))
        write_file("assets/site.css", STYLE)
        write_file("assets/icon.svg", icon(order))
        write_file("site.webmanifest", manifest(order))


def question(name, order):
    """The question for the texts of a page."""
    _, about = PAGES[name]
    return Question(
        "copywriting",
        system="You write for small businesses: plainly, and nothing that is not in the data.",
        user=f"page: {name}\nWrite about {about}, in the language of the locale {order.locale}.",
        data={
            "name": order.business_name,
            "city": order.primary_city,
            "services": order.services,
            "owner": order.about_owner,
        },
        schema=COPY,
    )


def words_of(order):
    """The template's own words in the language of the order."""
    return WORDS.get(order.locale.split("-")[0], WORDS["en"])


def dialled(number):
    """The number without blanks and brackets."""
    return "".join(each for each in number if each in "+0123456789")


def address(order):
    """The ways to the business."""
    chat = order.whatsapp_phone and "https://wa.me/" + dialled(order.whatsapp_phone).lstrip("+")
    ways = [
        ("tel:" + dialled(order.business_phone or ""), order.business_phone),
        (f"mailto:{order.business_email}", order.business_email),
        (chat, order.whatsapp_phone),
    ]
    links = [html(t'<a href="{href}" dir="ltr">{text}</a>\n') for href, text in ways if text]
    return html(t"<address>\n{links}</address>\n")


def part(order, name):
    """What is on a page besides its text."""
    if name == "services" and order.services:
        return html(t"<ul>\n{[html(t"<li>{service}</li>\n") for service in order.services]}</ul>\n")
    if name == "about" and order.about_owner:
        return html(t"<p>{order.about_owner}</p>\n")
    return address(order) if name == "contact" else None


def page(order, copy, current):
    """A page. `html` escapes inserted text."""
    # Relative addresses work wherever the site is served.
    root = "" if current == "home" else "../"
    text = copy[current]
    own = words_of(order)
    menu = []
    for name, (folder, _) in PAGES.items():
        here = html(t' aria-current="page"') if name == current else None
        href = root + folder or "./"
        menu.append(html(t'<li><a href="{href}"{here}>{own[name]}</a></li>\n'))
    title = order.business_name
    if current != "home":
        title = f"{own[current]} · {title}"
    style = f"--brand: {order.primary_color}" if order.primary_color else ""
    known = [part for part in [order.business_name, order.primary_city] if part]
    place = own["comma"].join(known)
    return html(
        t"""<!doctype html>
<html lang="{order.locale}" dir="{own["dir"]}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<meta name="description" content="{description(text["text"])}">
<link rel="icon" href="{root}assets/icon.svg" type="image/svg+xml">
<link rel="manifest" href="{root}site.webmanifest">
<link rel="stylesheet" href="{root}assets/site.css">
</head>
<body style="{style}">
<header>
<p class="name"><bdi>{order.business_name}</bdi></p>
<nav>
<ul>
{menu}</ul>
</nav>
</header>
<main>
<h1>{text["heading"]}</h1>
<p class="lead">{text["text"]}</p>
{part(order, current)}</main>
<footer>
{address(order) if current != "contact" else None}<p>{place}</p>
</footer>
</body>
</html>
"""
    )
