"""@@name@@: the site of a restaurant, with its menu and its opening hours."""

from pathlib import Path

from sitewright import Order, Question, Template, ask, html, progress, warn, write_file

# Read while the component is built, because a template has no file system when it runs.
ASSETS = Path(__file__).parent / "assets"
STYLE = (ASSETS / "site.css").read_text()
ICON = (ASSETS / "icon.svg").read_text()


def short(description):
    """The schema of a few words."""
    return {"type": "string", "minLength": 1, "maxLength": 60, "description": description}


# The schema of the model's reply. The descriptions are sent to the model.
COPY = {
    "type": "object",
    "additionalProperties": False,
    "required": ["headline", "about", "menu_heading", "hours_heading", "closed", "book"],
    "properties": {
        "headline": {"type": "string", "minLength": 1, "maxLength": 120, "description": "At most eight words."},
        "about": {
            "type": "string",
            "minLength": 40,
            "maxLength": 1000,
            "description": "Two or three sentences about the restaurant, for its guests.",
        },
        "menu_heading": short("The heading above the menu."),
        "hours_heading": short("The heading above the opening hours."),
        "closed": short("What stands beside a day on which it is closed: one word."),
        "book": short("The link to book a table: a few words."),
    },
}

# Names of the days, by the language of `locales`.
DAYS = {
    "en": {
        "monday": "Monday",
        "tuesday": "Tuesday",
        "wednesday": "Wednesday",
        "thursday": "Thursday",
        "friday": "Friday",
        "saturday": "Saturday",
        "sunday": "Sunday",
    },
    "pt": {
        "monday": "segunda-feira",
        "tuesday": "terça-feira",
        "wednesday": "quarta-feira",
        "thursday": "quinta-feira",
        "friday": "sexta-feira",
        "saturday": "sábado",
        "sunday": "domingo",
    },
}


class Generator(Template):
    """The template: the attributes are its manifest, `make` makes the site of one order."""

    name = "@@name@@"
    version = "0.1.0"
    summary = "@@summary@@"
    purposes = {"copywriting": "the headline, the text below it, and the headings"}
    locales = ["en", "pt-BR"]

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
        write_file("assets/icon.svg", ICON)


def dialled(number):
    """The number without blanks and brackets."""
    return "".join(each for each in number if each in "+0123456789")


def dish(item):
    """A dish, as the customer wrote it."""
    allergens = ", ".join(item.get("allergens", []))
    details = [item.get("description"), allergens and f"({allergens})"]
    text = " ".join(part for part in details if part)
    below = html(t"<br>{text}") if text else None
    price = html(t"<p>{item["price"]}</p>\n") if item.get("price") else None
    return html(t'<div class="dish">\n<p><strong>{item["name"]}</strong>{below}</p>\n{price}</div>\n')


def section(part):
    """A section of the menu."""
    heading = html(t"<h3>{part["section"]}</h3>\n") if part.get("section") else None
    return html(t"{heading}{[dish(item) for item in part["items"]]}")


def hours(day, order, closed):
    """A day and its times. A day that is not listed has hours that nobody knows."""
    names = DAYS.get(order.locale.split("-")[0], DAYS["en"])
    times = ", ".join(times.replace("-", " – ") for times in day["ranges"])
    return html(t"<dt>{names[day["day"]]}</dt>\n<dd>{times or closed}</dd>\n")


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
    book = html(t'<p><a href="{order.booking_url}">{copy["book"]}</a></p>\n')
    menu = html(t"<h2>{copy["menu_heading"]}</h2>\n{[section(part) for part in order.menu]}")
    days = [hours(day, order, copy["closed"]) for day in order.business_hours]
    opening = html(t"<h2>{copy["hours_heading"]}</h2>\n<dl>\n{days}</dl>\n")
    place = [order.business_name, order.business_address, order.primary_city]
    return html(
        t"""<!doctype html>
<html lang="{order.locale}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{order.business_name}</title>
<meta name="description" content="{copy["headline"]}">
<link rel="icon" href="assets/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="assets/site.css">
</head>
<body style="{style}">
<header>
<p class="name">{order.business_name}</p>
<h1>{copy["headline"]}</h1>
</header>
<main>
<p class="lead">{copy["about"]}</p>
{book if order.booking_url else None}{menu if order.menu else None}{opening if days else None}</main>
<footer>
<address>
{links}</address>
<p>{", ".join(part for part in place if part)}</p>
</footer>
</body>
</html>
"""
    )
