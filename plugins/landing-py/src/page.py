"""The page. `html` escapes every interpolated value."""

from sitewright import html, json_for_script

from colours import hex_of
from hours import rows
from structured import business
from texts import services


def page(order, copy, contacts, lang):
    words = lang.words
    offered = services(order)
    data = json_for_script(business(order, copy, contacts, offered))
    return html(t"""<!doctype html>
<html lang="{lang.tag}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{copy.title} · {order.business_name}</title>
<meta name="description" content="{copy.description}">
<link rel="icon" href="favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="style.css">
<script type="application/ld+json">{data}</script>
</head>
<body>
<a class="skip" href="#content">{words.skip}</a>
<header class="top">
  <p class="name">{order.business_name}</p>
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
    <h1>{copy.headline}</h1>
    {copy.lead and html(t'<p class="lead">{copy.lead}</p>')}
    {actions(contacts)}
  </section>
  <section id="services">
    <h2>{copy.services_heading or words.services}</h2>
    {copy.services_lead and html(t"<p>{copy.services_lead}</p>")}
    <ul class="cards">{cards(offered, copy.services)}</ul>
  </section>
  <section id="about" class="tinted">
    <h2>{copy.about_heading or words.about}</h2>
    {[html(t"<p>{paragraph}</p>") for paragraph in copy.about]}
    {years(order, words)}
  </section>
  {testimonials(order, words)}
  {questions(copy, words)}
  <section id="contact" class="deep">
    <h2>{words.contact}</h2>
    {actions(contacts)}
    <div class="columns">{details(order, contacts, words)}{hours(order, lang)}</div>
  </section>
</main>
<footer>
  <p>{' · '.join(part for part in [order.business_name, contacts.place] if part)}</p>
  {social(contacts)}
</footer>
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


def cards(names, texts):
    texts = texts + [""] * len(names)
    return [
        html(t"<li><h3>{name}</h3>{text and html(t'<p>{text}</p>')}</li>")
        for name, text in zip(names, texts)
    ]


def years(order, words):
    if not order.years_in_business:
        return None
    count = order.years_in_business
    text = words.year if count == 1 else words.years.format(count)
    return html(t'<p class="years">{text}</p>')


def testimonials(order, words):
    if not order.testimonials:
        return None

    def caption(testimonial):
        role = f", {testimonial.role}" if testimonial.role else ""
        stars = f" · {words.stars.format(f'{testimonial.rating:g}')}" if testimonial.rating else ""
        return f"{testimonial.name or words.customer}{role}{stars}"

    entries = [
        html(t"""<li><figure>
      <blockquote><p>{testimonial.text}</p></blockquote>
      <figcaption>{caption(testimonial)}</figcaption>
    </figure></li>""")
        for testimonial in order.testimonials
    ]
    return html(
        t'<section id="said"><h2>{words.testimonials}</h2><ul class="cards">{entries}</ul></section>'
    )


def questions(copy, words):
    if not copy.questions:
        return None
    entries = [
        html(t"<details><summary>{question}</summary><p>{answer}</p></details>")
        for question, answer in copy.questions
    ]
    return html(t'<section id="questions"><h2>{words.questions}</h2>{entries}</section>')


def details(order, contacts, words):
    lines = [line for line in [*contacts.address, contacts.place] if line]
    address = [html(t"{at > 0 and html(t'<br>')}{line}") for at, line in enumerate(lines)]
    names = ", ".join(order.service_areas)
    areas = order.service_areas and html(t"<dt>{words.areas}</dt><dd>{names}</dd>")
    return html(t"""<div><dl>
    {way(words.phone, contacts.phone, order.business_phone)}
    {way("WhatsApp", order.whatsapp_phone and contacts.whatsapp, order.whatsapp_phone)}
    {way(words.email, contacts.email, order.business_email)}
    {lines and html(t"<dt>{words.address}</dt><dd>{address}</dd>")}
    {areas}
  </dl></div>""")


def way(name, link, text):
    return link and html(t'<dt>{name}</dt><dd><a href="{link.href}">{text}</a></dd>')


def hours(order, lang):
    if not order.business_hours:
        return None
    words = lang.words
    lines = [
        html(t'<tr><th scope="row">{day}</th><td>{times}</td></tr>')
        for day, times in rows(order.business_hours, lang)
    ]
    return html(t"""<table>
      <caption>{words.hours}</caption>
      <thead><tr><th scope="col">{words.day}</th><th scope="col">{words.time}</th></tr></thead>
      <tbody>{lines}</tbody>
    </table>""")


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
