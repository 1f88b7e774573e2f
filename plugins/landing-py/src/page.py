"""The pages. `html` escapes every interpolated value."""

from sitewright import html, json_for_script

from art import hero
from colours import hex_of
from contact import Link, tel
from content import identifiers, isolated, locations, notes, photos, posts, team
from hours import rows
from structured import business
from texts import services
from title import title


def page(order, copy, contacts, lang, legal, address, image, shades):
    words = lang.words
    offered = services(order)
    data = json_for_script(business(order, copy, contacts, offered, address))
    heading = title(order.business_name, copy.title)
    return html(t"""<!doctype html>
<html lang="{lang.tag}"{direction(lang)}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{heading}</title>
<meta name="description" content="{copy.description}">
<meta property="og:type" content="website">
<meta property="og:title" content="{heading}">
<meta property="og:description" content="{copy.description}">
<meta property="og:site_name" content="{order.business_name}">
<meta property="og:locale" content="{lang.tag.replace("-", "_")}">
{image and html(t'<meta property="og:image" content="{image}">')}
{address and html(t'<meta property="og:url" content="{address}">')}
{address and html(t'<link rel="canonical" href="{address}">')}
{head_links(shades)}<script type="application/ld+json">{data}</script>
</head>
<body>
<a class="skip" href="#content">{words.skip}</a>
<header class="top">
  <p class="name"><bdi>{order.business_name}</bdi></p>
  <nav aria-label="{words.sections}">
    <ul>
      <li><a href="#services">{words.services}</a></li>
      <li><a href="#about">{words.about}</a></li>
      <li><a href="#contact">{words.contact}</a></li>
    </ul>
  </nav>
</header>
<main id="content">
  <section class="opening">
    <div>
      <h1>{copy.headline}</h1>
      {copy.lead and html(t'<p class="lead">{copy.lead}</p>')}
      {actions(contacts)}
      {more_actions(contacts)}
    </div>
    {hero(order)}
  </section>
  <section id="services">
    <h2>{copy.services_heading or words.services}</h2>
    {copy.services_lead and html(t"<p>{copy.services_lead}</p>")}
    <ul class="cards">{cards(order, offered, copy.services, words)}</ul>
  </section>
  {prices(order, offered, words)}
  {menu(order, words)}
  <section id="about" class="tinted">
    <h2>{copy.about_heading or words.about}</h2>
    {[html(t"<p>{paragraph}</p>") for paragraph in copy.about]}
    {years(order, words)}
  </section>
  {team(order, words)}
  {photos(order, words)}
  {posts(order, lang)}
  {testimonials(order, lang)}
  {questions(copy, words)}
  {locations(order, lang)}
  {form(contacts, words)}
  <section id="contact" class="deep">
    <h2>{words.contact}</h2>
    {actions(contacts)}
    <div class="columns">{details(order, contacts, words)}{hours(order, lang)}</div>
  </section>
</main>
<footer>
  <p>{isolated([part for part in [order.business_name, contacts.place] if part], " · ")}</p>
  {social(contacts)}
  {identifiers(order, words)}
  {legal_links(legal)}
</footer>
</body>
</html>
""")


def direction(lang):
    return lang.right_to_left and html(t' dir="rtl"')


def head_links(shades, top=""):
    """The style sheet, the icons and the colour of browsers around the page. `top` is where the
    files at the top of the site are.
    """
    return html(t"""<meta name="theme-color" content="{hex_of(shades["brand"])}">
<link rel="icon" href="{top}icon-192.png" type="image/png" sizes="192x192">
<link rel="icon" href="{top}favicon.svg" type="image/svg+xml">
<link rel="apple-touch-icon" href="{top}apple-touch-icon.png">
<link rel="manifest" href="{top}site.webmanifest">
<link rel="stylesheet" href="{top}style.css">
""")


def home_link(order):
    return html(
        t'<p class="name"><a href="index.html"><bdi>{order.business_name}</bdi></a></p>'
    )


def legal_links(legal):
    links = [html(t'<li><a href="{link.href}">{link.label}</a></li>') for link in legal.links]
    return links and html(t"<ul>{links}</ul>")


def not_found(order, contacts, lang, address, top, shades):
    """The page for addresses that lead nowhere. A web server sends it for addresses at any depth:
    its links are whole, if the site's address is known.
    """
    words = lang.words
    phone = contacts.phone and html(t' · <bdi dir="ltr">{order.business_phone}</bdi>')
    return html(t"""<!doctype html>
<html lang="{lang.tag}"{direction(lang)}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{title(order.business_name, words.lost)}</title>
<meta name="description" content="{words.lost_text}">
{head_links(shades, top)}</head>
<body>
<main class="lost">
  <h1>{words.lost}</h1>
  <p>{words.lost_text}</p>
  <p class="actions"><a class="button" href="{address or "index.html"}">{words.lost_back}</a></p>
  <p><bdi>{order.business_name}</bdi>{phone}</p>
</main>
</body>
</html>
""")


def actions(contacts):
    first, second = contacts.first, contacts.second
    other = second and html(t'<a class="button quiet" href="{second.href}">{second.label}</a>')
    return html(
        t'<p class="actions"><a class="button" href="{first.href}">{first.label}</a> '
        t'{other}</p>'
    )


def more_actions(contacts):
    buttons = [
        html(t'<a class="button quiet" href="{link.href}" rel="noopener">{link.label}</a> ')
        for link in contacts.links
    ]
    return buttons and html(t'<p class="actions">{buttons}</p>')


def is_same(one, other):
    return one.strip().lower() == other.strip().lower()


def cards(order, names, texts, words):
    texts = texts + [""] * len(names)
    return [
        html(
            t"<li><h3><bdi>{name}</bdi></h3>{text and html(t'<p>{text}</p>')}"
            t"{card_price(order, name, words)}</li>"
        )
        for name, text in zip(names, texts)
    ]


def card_price(order, name, words):
    known = (each for each in order.prices if each.price and is_same(each.name, name))
    price = next(known, None)
    if not price:
        return None
    more = price_details(price, words)
    small = more and html(t"<p><small><bdi>{more}</bdi></small></p>")
    return html(t'<p class="price"><bdi>{price.price}</bdi></p>{small}')


def price_details(price, words):
    more = [price.duration, price.description, words.comma.join(price.includes)]
    return " · ".join(filter(None, more))


def prices(order, offered, words):
    """The prices that no card of a service shows."""
    lines = []
    for each in order.prices:
        if each.price and not any(is_same(each.name, name) for name in offered):
            lines.append(price_line(each.name, price_details(each, words), each.price))
    if not lines:
        return None
    return html(
        t'<section id="prices"><h2>{words.prices}</h2><ul class="prices">{lines}</ul></section>'
    )


def menu(order, words):
    if not order.menu:
        return None

    def line(item):
        allergens = item.get("allergens")
        more = [item.get("description"), allergens and f"({words.comma.join(allergens)})"]
        return price_line(item["name"], " ".join(filter(None, more)), item.get("price"))

    parts = [
        html(t"""{part.get("section") and html(t"<h3><bdi>{part["section"]}</bdi></h3>")}
    <ul class="prices">{[line(item) for item in part["items"]]}</ul>""")
        for part in order.menu
    ]
    return html(t'<section id="menu"><h2>{words.menu}</h2>{parts}</section>')


def price_line(name, more, price):
    small = more and html(t"<small><bdi>{more}</bdi></small>")
    written = price and html(t'<span class="price"><bdi>{price}</bdi></span>')
    return html(t"<li><span><bdi>{name}</bdi>{small}</span>{written}</li>")


def years(order, words):
    if not order.years_in_business:
        return None
    count = order.years_in_business
    text = words.year if count == 1 else words.years.format(count)
    return html(t'<p class="years">{text}</p>')


def testimonials(order, lang):
    if not order.testimonials:
        return None
    words = lang.words

    def caption(testimonial):
        parts = filter(None, [testimonial.name or words.customer, testimonial.role])
        rating = testimonial.rating
        stars = rating and f" · {words.stars.format(lang.decimal(rating))}"
        return [*isolated(list(parts), words.comma), stars or None]

    entries = [
        html(t"""<li><figure>
      <blockquote><p dir="auto">{testimonial.text}</p></blockquote>
      <figcaption>{caption(testimonial)}</figcaption>
    </figure></li>""")
        for testimonial in order.testimonials
    ]
    cards = html(t'<ul class="cards">{entries}</ul>')
    return html(t'<section id="said"><h2>{words.testimonials}</h2>{cards}</section>')


def questions(copy, words):
    if not copy.questions:
        return None
    entries = [
        html(t"<details><summary>{question}</summary><p>{answer}</p></details>")
        for question, answer in copy.questions
    ]
    return html(t'<section id="questions"><h2>{words.questions}</h2>{entries}</section>')


def form(contacts, words):
    """A form that posts to the order's address, or else opens a message in a mail program."""
    if not contacts.form:
        return None
    by_mail = contacts.form.startswith("mailto:")
    kind = by_mail and html(t' enctype="text/plain"')
    needed = html(t" <small>({words.required})</small>")
    return html(t"""<section id="write">
    <h2>{words.form_title}</h2>
    <p>{words.form_lead if by_mail else words.form_lead_post}</p>
    <form action="{contacts.form}" method="post"{kind}>
      <p><label for="field-name">{words.form_name}{needed}</label>
      <input id="field-name" name="{words.form_name}" type="text" autocomplete="name" required></p>
      <p><label for="field-email">{words.email}{needed}</label>
      <input id="field-email" name="{words.email}" type="email" autocomplete="email" required></p>
      <p><label for="field-phone">{words.phone}</label>
      <input id="field-phone" name="{words.phone}" type="tel" autocomplete="tel"></p>
      <p><label for="field-message">{words.form_message}{needed}</label>
      <textarea id="field-message" name="{words.form_message}" rows="5" required></textarea></p>
      <p><button class="button" type="submit">{words.form_send}</button></p>
    </form>
  </section>""")


def details(order, contacts, words):
    lines = contacts.address
    address = isolated(lines, html(t"<br>"))
    names = isolated(order.service_areas, words.comma)
    areas = order.service_areas and html(t"<dt>{words.areas}</dt><dd>{names}</dd>")
    number = order.emergency_phone
    emergency = number and Link(tel(number), words.emergency)
    return html(t"""<div><dl>
    {way(words.phone, contacts.phone, order.business_phone)}
    {way("WhatsApp", order.whatsapp_phone and contacts.whatsapp, order.whatsapp_phone)}
    {way(words.email, contacts.email, order.business_email)}
    {way(words.emergency, emergency, order.emergency_phone)}
    {lines and html(t"<dt>{words.address}</dt><dd>{address}</dd>")}
    {areas}
  </dl></div>""")


def way(name, link, text):
    shown = html(t'<bdi dir="ltr">{text}</bdi>')
    return link and html(t'<dt>{name}</dt><dd><a href="{link.href}">{shown}</a></dd>')


def hours(order, lang):
    words = lang.words
    said = notes(order.hours_notes, words)
    if not order.business_hours:
        heading = html(t'<p class="heading">{words.hours}</p>')
        return said and html(t"<div>{heading}{said}</div>")
    lines = [
        html(t'<tr><th scope="row">{days}</th><td>{[clock(time) for time in times]}</td></tr>')
        for days, times in rows(order.business_hours, lang)
    ]
    return html(t"""<div><table>
      <caption>{words.hours}</caption>
      <thead><tr><th scope="col">{words.day}</th><th scope="col">{words.time}</th></tr></thead>
      <tbody>{lines}</tbody>
    </table>{said}</div>""")


def clock(time):
    return html(t"<span><bdi>{time}</bdi></span>")


def social(contacts):
    links = [
        html(t'<li><a href="{link.href}" rel="noopener">{link.label}</a></li>')
        for link in contacts.social
    ]
    return links and html(t"<ul>{links}</ul>")


def icon(order, shades):
    """The favicon: the first letter of the name on the brand's colour."""
    letters = (character for character in order.business_name if character.isalnum())
    letter = next(letters, "•").upper()
    brand, ink = hex_of(shades["brand"]), hex_of(shades["on_brand"])
    return html(
        t'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">'
        t'<rect width="64" height="64" rx="14" fill="{brand}"/>'
        t'<text x="32" y="45" font-family="sans-serif" font-size="38" font-weight="700" '
        t'text-anchor="middle" fill="{ink}">{letter}</text></svg>\n'
    )
