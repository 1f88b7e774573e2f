"""@@name@@: the site of a restaurant, with its menu and its opening hours."""

import json
from pathlib import Path

from sitewright import Order, Question, Template, ask, html, progress, warn, write_file

from head import description, icon, manifest

# Read while the component is built, because a template has no file system when it runs.
ASSETS = Path(__file__).parent / "assets"
STYLE = (ASSETS / "site.css").read_text("utf-8")
WORDS = json.loads((ASSETS / "words.json").read_text("utf-8"))


# The schema of the model's reply. The descriptions are sent to the model.
COPY = {
    "type": "object",
    "additionalProperties": False,
    "required": ["headline", "about"],
    "properties": {
        "headline": {"type": "string", "minLength": 1, "maxLength": 120, "description": "At most eight words."},
        "about": {
            "type": "string",
            "minLength": 40,
            "maxLength": 1000,
            "description": "Two or three sentences about the restaurant, for its guests.",
        },
    },
}


class Generator(Template):
    """The template: the attributes are its manifest, `make` makes the site of one order."""

    name = "@@name@@"
    version = "0.1.0"
    summary = "@@summary@@"
    purposes = {"copywriting": "the headline and the text below it"}
    locales = ["en", "pt-BR", "es", "fr", "de", "it", "ar", "he", "ja"]

    async def make(self, order: Order):
        progress("copy", 0, 1)
        if not order.menu:
            # The site is made all the same; the operator sees what it lacks.
            warn("no-menu", "the site shows no menu: `menu` is empty")
        reply = await ask(
            Question(
                "copywriting",
                system=(
                    "You write for restaurants: plainly, and nothing that is not in the data. Name no "
                    "dish, price or time: they stand beside your text."
                ),
                user=f"Write the copy of a website, in the language of the locale {order.locale}.",
                data={
                    "name": order.business_name,
                    "city": order.primary_city,
                    "about": order.site_description,
                    "services": order.services,
                    "sections": [part["section"] for part in order.menu if part.get("section")],
                },
                schema=COPY,
            )
        )
        progress("page", 0, 1)
        write_file("index.html", page(order, reply.value))
        write_file("assets/site.css", STYLE)
        write_file("assets/icon.svg", icon(order))
        write_file("site.webmanifest", manifest(order))


def words_of(order):
    """The template's own words in the language of the order."""
    return WORDS.get(order.locale.split("-")[0], WORDS["en"])


def dialled(number):
    """The number without blanks and brackets."""
    return "".join(each for each in number if each in "+0123456789")


def dish(item, own):
    """A dish, as the customer wrote it."""
    allergens = own["comma"].join(item.get("allergens", []))
    details = [item.get("description"), allergens and f"({allergens})"]
    text = " ".join(part for part in details if part)
    below = html(t"<br>{text}") if text else None
    price = html(t"<p>{item["price"]}</p>\n") if item.get("price") else None
    return html(t'<div class="dish">\n<p><strong>{item["name"]}</strong>{below}</p>\n{price}</div>\n')


def section(part, own):
    """A section of the menu."""
    heading = html(t"<h3>{part["section"]}</h3>\n") if part.get("section") else None
    return html(t"{heading}{[dish(item, own) for item in part["items"]]}")


def hours(day, own):
    """A day and its times. A day that is not listed has hours that nobody knows."""
    times = own["comma"].join(times.replace("-", " – ") for times in day["ranges"])
    return html(t"<dt>{own["days"][day["day"]]}</dt>\n<dd>{times or own["closed"]}</dd>\n")


def page(order, copy):
    """The page. `html` escapes inserted text."""
    own = words_of(order)
    style = f"--brand: {order.primary_color}" if order.primary_color else ""
    chat = order.whatsapp_phone and "https://wa.me/" + dialled(order.whatsapp_phone).lstrip("+")
    ways = [
        ("tel:" + dialled(order.business_phone or ""), order.business_phone),
        (f"mailto:{order.business_email}", order.business_email),
        (chat, order.whatsapp_phone),
    ]
    links = [html(t'<a href="{href}" dir="ltr">{text}</a>\n') for href, text in ways if text]
    book = html(t'<p><a href="{order.booking_url}">{own["book"]}</a></p>\n')
    menu = html(t"<h2>{own["menu"]}</h2>\n{[section(part, own) for part in order.menu]}")
    days = [hours(day, own) for day in order.business_hours]
    opening = html(t"<h2>{own["hours"]}</h2>\n<dl>\n{days}</dl>\n")
    place = [order.business_name, order.business_address, order.primary_city]
    return html(
        t"""<!doctype html>
<html lang="{order.locale}" dir="{own["dir"]}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{order.business_name}</title>
<meta name="description" content="{description(copy["about"])}">
<link rel="icon" href="assets/icon.svg" type="image/svg+xml">
<link rel="manifest" href="site.webmanifest">
<link rel="stylesheet" href="assets/site.css">
</head>
<body style="{style}">
<header>
<p class="name"><bdi>{order.business_name}</bdi></p>
<h1>{copy["headline"]}</h1>
</header>
<main>
<p class="lead">{copy["about"]}</p>
{book if order.booking_url else None}{menu if order.menu else None}{opening if days else None}</main>
<footer>
<address>
{links}</address>
<p>{own["comma"].join(part for part in place if part)}</p>
</footer>
</body>
</html>
"""
    )
