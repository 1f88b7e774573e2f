"""@@name@@: a site of one page."""

from pathlib import Path

from sitewright import Order, Question, Template, ask, html, progress, write_file

from head import description, icon, manifest

# Read while the component is built, because a template has no file system when it runs.
ASSETS = Path(__file__).parent / "assets"
STYLE = (ASSETS / "site.css").read_text()

# The schema of the model's reply. The descriptions are sent to the model.
COPY = {
    "type": "object",
    "additionalProperties": False,
    "required": ["headline", "about", "services_heading"],
    "properties": {
        "headline": {"type": "string", "minLength": 1, "maxLength": 120, "description": "At most eight words."},
        "about": {
            "type": "string",
            "minLength": 40,
            "maxLength": 1000,
            "description": "Two or three sentences about the business, for its customers.",
        },
        "services_heading": {
            "type": "string",
            "minLength": 1,
            "maxLength": 60,
            "description": "The heading above the list of services: one or two words.",
        },
    },
}


class Generator(Template):
    """The template: the attributes are its manifest, `make` makes the site of one order."""

    name = "@@name@@"
    version = "0.1.0"
    summary = "A site of one page."
    purposes = {"copywriting": "the headline and the text below it"}
    locales = ["en", "pt-BR"]

    async def make(self, order: Order):
        progress("copy", 0, 1)
        reply = await ask(
            Question(
                "copywriting",
                system="You write for small businesses: plainly, and nothing that is not in the data.",
                user=f"Write the copy of a one-page website, in the language of the locale {order.locale}.",
                data={"name": order.business_name, "city": order.primary_city, "services": order.services},
                schema=COPY,
            )
        )
        progress("page", 0, 1)
        write_file("index.html", page(order, reply.value))
        write_file("assets/site.css", STYLE)
        write_file("assets/icon.svg", icon(order))
        write_file("site.webmanifest", manifest(order))


def dialled(number):
    """The number without blanks and brackets."""
    return "".join(each for each in number if each in "+0123456789")


def page(order, copy):
    """The page. `html` escapes inserted text."""
    style = f"--brand: {order.primary_color}" if order.primary_color else ""
    chat = order.whatsapp_phone and "https://wa.me/" + dialled(order.whatsapp_phone).lstrip("+")
    ways = [
        ("tel:" + dialled(order.business_phone or ""), order.business_phone),
        (f"mailto:{order.business_email}", order.business_email),
        (chat, order.whatsapp_phone),
    ]
    links = [html(t'<a href="{href}">{text}</a>\n') for href, text in ways if text]
    place = ", ".join(part for part in [order.business_name, order.primary_city] if part)
    services = html(
        t"""<h2>{copy["services_heading"]}</h2>
<ul>
{[html(t"<li>{service}</li>\n") for service in order.services]}</ul>
"""
    )
    return html(
        t"""<!doctype html>
<html lang="{order.locale}">
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
<p class="name">{order.business_name}</p>
<h1>{copy["headline"]}</h1>
</header>
<main>
<p class="lead">{copy["about"]}</p>
{services if order.services else None}</main>
<footer>
<address>
{links}</address>
<p>{place}</p>
</footer>
</body>
</html>
"""
    )
