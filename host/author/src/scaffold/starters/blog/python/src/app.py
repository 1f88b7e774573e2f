"""@@name@@: a blog, with the articles of the order, or articles about its services."""

import json
from pathlib import Path

from sitewright import Order, Post, Question, Template, ask_all, html, progress, warn, write_file

from head import description, icon, manifest

# Read while the component is built, because a template has no file system when it runs.
ASSETS = Path(__file__).parent / "assets"
STYLE = (ASSETS / "site.css").read_text("utf-8")
WORDS = json.loads((ASSETS / "words.json").read_text("utf-8"))

# Maximum number of articles that are written about services: each is one AI call.
MAX_WRITTEN = 3


def text(least, most, description):
    """The schema of a text."""
    return {"type": "string", "minLength": least, "maxLength": most, "description": description}


def schema_of(**properties):
    """The schema of a reply. The descriptions are sent to the model."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }


HOME = schema_of(
    headline=text(1, 120, "At most eight words."),
    about=text(40, 1000, "Two or three sentences about the business, for its readers."),
)
ARTICLE = schema_of(
    title=text(1, 120, "At most ten words, without a full stop."),
    summary=text(40, 300, "One sentence that says what the reader learns."),
    paragraphs={
        "type": "array",
        "minItems": 3,
        "maxItems": 6,
        "items": text(80, 1200, "A paragraph."),
    },
)


class Generator(Template):
    """The template: the attributes are its manifest, `make` makes the site of one order."""

    name = "@@name@@"
    version = "0.1.0"
    summary = "@@summary@@"
    purposes = {"copywriting": "the text of the home page, and articles if the order has none"}
    locales = ["en", "pt-BR", "es", "fr", "de", "it", "ar", "he", "ja"]

    async def make(self, order: Order):
        progress("copy", 0, 1)
        topics = [] if order.posts else order.services[:MAX_WRITTEN]
        if not order.posts:
            # The site is made all the same; the operator sees what it lacks.
            warn(
                "no-posts",
                "the order has no `posts`: the articles are about its services, undated",
            )
        replies = await ask_all(questions(order, topics))
        posts = newest_first(order.posts)
        for number in range(1, len(topics) + 1):
            reply = replies[f"article {number}"].value
            paragraphs = "\n".join(reply["paragraphs"])
            posts.append(Post(reply["title"], str(number), paragraphs, summary=reply["summary"]))

        own = words_of(order)
        for done, post in enumerate(posts):
            progress("pages", done, len(posts) + 1)
            write_file(f"posts/{post.slug}/index.html", article(order, own, post))
        write_file("index.html", home(order, own, replies["home"].value, posts))
        write_file("assets/site.css", STYLE)
        write_file("assets/icon.svg", icon(order))
        write_file("site.webmanifest", manifest(order))


def words_of(order):
    """The template's own words in the language of the order."""
    return WORDS.get(order.locale.split("-")[0], WORDS["en"])


def questions(order, topics):
    language = f"in the language of the locale {order.locale}"

    def question(user, schema, **more):
        return Question(
            "copywriting",
            system=(
                "You write for small businesses: plainly, and nothing that is not in the data. No "
                "prices, numbers, dates, names or promises of your own."
            ),
            user=user,
            data={"name": order.business_name, "city": order.primary_city, **more},
            schema=schema,
        )

    about = f"page: home\nWrite the beginning of a blog, {language}."
    asked = {"home": question(about, HOME, services=order.services, about=order.site_description)}
    for number, service in enumerate(topics, 1):
        user = (
            "page: article\nWrite an article that helps customers to decide about the service, "
            f"{language}."
        )
        asked[f"article {number}"] = question(user, ARTICLE, service=service)
    return asked


def newest_first(posts):
    """Those without a day come last, in the order of the customer."""
    return sorted(posts, key=lambda post: post.date or "", reverse=True)


def date_of(post):
    return html(t'<p><time datetime="{post.date}">{post.date}</time></p>\n') if post.date else None


def home(order, own, copy, posts):
    """The page with the list of articles."""
    entries = []
    for post in posts:
        summary = html(t"<p>{post.summary}</p>\n") if post.summary else None
        entries.append(
            html(t"""<li>
<h3><a href="posts/{post.slug}/">{post.title}</a></h3>
{date_of(post)}{summary}</li>
""")
        )
    post_list = html(t'<h2>{own["posts"]}</h2>\n<ul class="tiles">\n{entries}</ul>\n')
    services = [html(t"<li>{service}</li>\n") for service in order.services]
    service_list = html(t"<h2>{own["services"]}</h2>\n<ul>\n{services}</ul>\n")
    main = html(t"""<h1>{copy["headline"]}</h1>
<p class="lead">{copy["about"]}</p>
{post_list if entries else None}{service_list if services else None}""")
    return page(order, own, order.business_name, description(copy["about"]), "", main)


def article(order, own, post):
    """The page of an article. It leads to its picture: pages load nothing from other sites."""
    paragraphs = [html(t"<p>{line}</p>\n") for line in post.text.split("\n") if line.strip()]
    shown = post.image_alt or own["photo"]
    image = html(t'<p><a href="{post.image_url}">{shown}</a></p>\n') if post.image_url else None
    main = html(t"""<article>
<h1>{post.title}</h1>
{date_of(post)}{paragraphs}{image}</article>
<p><a href="../../">{own["all_posts"]}</a></p>
""")
    title = f"{post.title} · {order.business_name}"
    return page(order, own, title, description(post.summary or post.text), "../../", main)


def dialled(number):
    """The number without blanks and brackets."""
    return "".join(each for each in number if each in "+0123456789")


def page(order, own, title, about, root, main):
    """A page. `html` escapes inserted text."""
    style = f"--brand: {order.primary_color}" if order.primary_color else ""
    chat = order.whatsapp_phone and "https://wa.me/" + dialled(order.whatsapp_phone).lstrip("+")
    ways = [
        ("tel:" + dialled(order.business_phone or ""), order.business_phone),
        (f"mailto:{order.business_email}", order.business_email),
        (chat, order.whatsapp_phone),
    ]
    links = [html(t'<a href="{href}" dir="ltr">{text}</a>\n') for href, text in ways if text]
    known = [part for part in [order.business_name, order.primary_city] if part]
    place = own["comma"].join(known)
    return html(
        t"""<!doctype html>
<html lang="{order.locale}" dir="{own["dir"]}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<meta name="description" content="{about}">
<link rel="icon" href="{root}assets/icon.svg" type="image/svg+xml">
<link rel="manifest" href="{root}site.webmanifest">
<link rel="stylesheet" href="{root}assets/site.css">
</head>
<body style="{style}">
<header>
<p class="name"><a href="{root or "./"}"><bdi>{order.business_name}</bdi></a></p>
</header>
<main>
{main}</main>
<footer>
<address>
{links}</address>
<p>{place}</p>
</footer>
</body>
</html>
"""
    )
