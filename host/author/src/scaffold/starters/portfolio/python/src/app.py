"""@@name@@: a portfolio, with the work of the business and what its clients say."""

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
        "headline": {
            "type": "string",
            "minLength": 1,
            "maxLength": 120,
            "description": "At most eight words.",
        },
        "about": {
            "type": "string",
            "minLength": 40,
            "maxLength": 1000,
            "description": "Two or three sentences about the work, for those who may order it.",
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
        if not order.photos:
            # The site is made all the same; the operator sees what it lacks.
            warn("no-work", "the site shows no work: `photos` is empty")
        reply = await ask(
            Question(
                "copywriting",
                system="You write for people who show their work: plainly, and nothing that is not "
                "in the data.",
                user="Write the copy of a portfolio, in the language of the locale "
                f"{order.locale}.",
                data={
                    "name": order.business_name,
                    "city": order.primary_city,
                    "about": order.site_description,
                    "owner": order.about_owner,
                    "services": order.services,
                    "photos": [photo.alt for photo in order.photos if photo.alt],
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


def work(photo, number, own):
    """A link to a photo: the page loads nothing from other sites."""
    text = photo.alt or own["photo"].replace("{}", str(number))
    return html(t'<li><a href="{photo.url}">{text}</a></li>\n')


def words(said, own):
    """What a client says, as the customer wrote it."""
    who = own["comma"].join(part for part in [said.name, said.role] if part)
    by = html(t"<p>– {who}</p>\n") if who else None
    return html(t'<blockquote>\n<p dir="auto">{said.text}</p>\n{by}</blockquote>\n')


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
    owner = html(t"<p>{order.about_owner}</p>\n")
    photos = [work(photo, number, own) for number, photo in enumerate(order.photos, 1)]
    work_list = html(t'<h2>{own["work"]}</h2>\n<ul class="tiles">\n{photos}</ul>\n')
    services = [html(t"<li>{service}</li>\n") for service in order.services]
    service_list = html(t"<h2>{own["services"]}</h2>\n<ul>\n{services}</ul>\n")
    said = [words(each, own) for each in order.testimonials]
    said_list = html(t"<h2>{own["testimonials"]}</h2>\n{said}")
    parts = [
        owner if order.about_owner else None,
        work_list if photos else None,
        service_list if services else None,
        said_list if said else None,
    ]
    known = [part for part in [order.business_name, order.primary_city] if part]
    place = own["comma"].join(known)
    first = [
        html(t'<meta property="og:image" content="{photo.url}">\n') for photo in order.photos[:1]
    ]
    return html(
        t"""<!doctype html>
<html lang="{order.locale}" dir="{own["dir"]}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{order.business_name}</title>
<meta name="description" content="{description(copy["about"])}">
{first}<link rel="icon" href="assets/icon.svg" type="image/svg+xml">
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
{parts}</main>
<footer>
<address>
{links}</address>
<p>{place}</p>
</footer>
</body>
</html>
"""
    )
