"""Tests of the template without a host: `python3.14 -m unittest discover plugins/landing-py/tests`.

The modules that only a component has are replaced by ones that do nothing.
"""

import json
import re
import sys
import unittest
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

TEMPLATE = Path(__file__).parents[1]
sys.path[:0] = [str(TEMPLATE / "src"), str(TEMPLATE.parents[1] / "guest-sdk/python")]
for name in ["componentize_py_types", "wit_world", "wit_world.imports", "wit_world.exports",
             "wit_world.exports.generator"]:
    sys.modules[name] = MagicMock()
sys.modules["componentize_py_types"].Err = type("Err", (Exception,), {})
sys.modules["wit_world"].exports = SimpleNamespace(Generator=object)

from sitewright import Order, Person, Photo, Post, Price, Testimonial  # noqa: E402

from app_icons import ICONS, LETTERS, MARK, app_icons, drawing, letter_of  # noqa: E402
from art import DRAWINGS, drawing_of  # noqa: E402
from card import crc  # noqa: E402
from colours import (  # noqa: E402
    DRAWN,
    colours,
    contrast,
    dark_colours,
    drawn_colours,
    hex_of,
    parse,
)
from contact import contact  # noqa: E402
from files import files, top_of  # noqa: E402
from hours import rows  # noqa: E402
from legal import legal_pages  # noqa: E402
from texts import Copy  # noqa: E402
from title import MAX_TITLE, title  # noqa: E402
from words import LANGUAGES, language  # noqa: E402

WORKDAYS = [{"day": day, "ranges": ["09:00-17:30"]} for day in ["monday", "tuesday", "wednesday"]]
COPY = Copy(
    title="Plumbers", description="Plumbers in Tampa.", headline="Dry again today", lead="",
    services_heading="", services_lead="", services=[], about_heading="", about=["We listen."],
    questions=[],
)
LIKE_ENGLISH = {
    "pt comma", "pt colon", "es comma", "es colon", "fr comma", "fr form_message", "fr services", "fr contact",
    "fr photo", "fr photos", "de comma", "de colon", "de form_name", "it comma", "it colon", "it email", "it menu", "ar colon", "he comma",
    "he colon",
}
"""Texts that are the same as in English: language and name."""


def site(locale, **change):
    order = Order(
        id="1", locale=locale, business_name="Webb & Sons (Plumbing)",
        business_email="office@example.com", business_phone="+1 (555) 010-3301", niche="plumber",
        primary_city="Tampa", state="FL", services=["Drain cleaning", "Leak detection"],
        service_areas=["Tampa", "Brandon"], years_in_business=31,
        business_hours=[*WORKDAYS, {"day": "saturday", "ranges": []}],
        hours_notes=[{"label": "Sundays", "text": "emergencies only"}],
        testimonials=[Testimonial("On time.", "Ana", 4.5, "Neighbour")],
        prices=[Price("drain cleaning", "from $75"), Price("Camera", "$120", "30 min")],
        menu=[{"section": "Extras", "items": [
            {"name": "Tea", "price": "$2.50", "allergens": ["milk"]},
        ]}],
    )
    for name, value in change.items():
        setattr(order, name, value)
    lang = language(locale)
    return dict(files(order, COPY, contact(order, lang), lang))


class Words(unittest.TestCase):
    def test_every_language_has_every_text_and_none_of_another(self):
        english = vars(language("en").words)
        for code in LANGUAGES:
            words = vars(language(code).words)
            self.assertEqual(words.keys(), english.keys(), code)
            self.assertEqual(len(set(words["days"].values())), 7, code)
            self.assertEqual(len(set(words["months"])), 12, code)
            for name, text in words.items():
                if name in ("days", "months"):
                    continue
                at = f"{code} {name}"
                self.assertTrue(text.strip(), at)
                if not name.startswith("year"):
                    self.assertEqual(text.count("{}"), english[name].count("{}"), at)
                if code != "en":
                    self.assertEqual(text == english[name], at in LIKE_ENGLISH, at)

    def test_a_locale_has_the_language_of_its_first_part_else_english(self):
        for locale, code, tag in [
            ("ar-SA", "ar", "ar-SA"), ("ja", "ja", "ja"), ("pt-PT", "pt", "pt-PT"),
            ("fi", "en", "en"),
        ]:
            lang = language(locale)
            self.assertEqual((lang.code, lang.tag), (code, tag))

    def test_days_and_times_are_written_as_each_language_does(self):
        shown = {code: rows(WORKDAYS, language(code)) for code in LANGUAGES}
        self.assertEqual(shown, {
            "pt": [("Segunda a quarta", ["09:00 – 17:30"])],
            "en": [("Monday to Wednesday", ["9 am – 5:30 pm"])],
            "es": [("De lunes a miércoles", ["09:00 – 17:30"])],
            "fr": [("Du lundi au mercredi", ["09:00 – 17:30"])],
            "de": [("Montag bis Mittwoch", ["09:00 – 17:30"])],
            "it": [("Da lunedì a mercoledì", ["09:00 – 17:30"])],
            "ar": [("من الاثنين إلى الأربعاء", ["09:00 – 17:30"])],
            "he": [("יום שני עד יום רביעי", ["09:00 – 17:30"])],
            "ja": [("月曜日～水曜日", ["9:00～17:30"])],
        })
        week = [{"day": day, "ranges": []} for day in ["monday", "saturday", "sunday"]]
        days = [day for day, _ in rows(week, language("he"))]
        self.assertEqual(days, ["יום ראשון ויום שני", "יום שבת"])
        days = [day for day, _ in rows(week, language("de"))]
        self.assertEqual(days, ["Montag", "Samstag und Sonntag"])

    def test_numbers_and_places_are_written_as_each_language_does(self):
        self.assertEqual(language("fr").decimal(4.5), "4,5")
        self.assertEqual(language("en").decimal(5.0), "5")
        for tag, day, expected in [
            ("en", "2026-03-09", "March 9, 2026"), ("en-GB", "2026-03-09", "9 March 2026"),
            ("pt-BR", "2026-03-09", "9 de março de 2026"), ("fr", "2026-03-01", "1er mars 2026"),
            ("de", "2026-03-09", "9. März 2026"), ("ja", "2026-03-09", "2026年3月9日"),
            ("he", "2026-03-09", "9 במרץ 2026"), ("it", "2026-12-31", "31 dicembre 2026"),
        ]:
            self.assertEqual(language(tag).date(day), expected)
        self.assertEqual(language("ja").place("渋谷区", "東京都"), "東京都渋谷区")
        self.assertEqual(
            language("ar").place("الرياض", "منطقة الرياض"), "الرياض، منطقة الرياض"
        )
        self.assertEqual(language("ar").place("Tampa", "FL"), "Tampa, FL")


class Pages(unittest.TestCase):
    def test_text_from_right_to_left_is_marked_and_what_is_not_is_isolated(self):
        for code in LANGUAGES:
            page = site(code)["index.html"]
            direction = ' dir="rtl"' if code in ("ar", "he") else ""
            self.assertIn(f'<html lang="{code}"{direction}>', page)
            for part in ["+1 (555) 010-3301", "office@example.com"]:
                self.assertIn(f'<bdi dir="ltr">{part}</bdi>', page, code)
            for part in ["from &#36;75", "&#36;120", "&#36;2.50", "Webb &#38; Sons (Plumbing)"]:
                self.assertIn(f"<bdi>{part}</bdi>", page, code)
            self.assertRegex(page, '<head>\n<meta charset="utf-8">')
            self.assertIn("emergencies only", page)
            self.assertNotRegex(page, r"\bNone\b|\bFalse\b")

    def test_a_form_posts_to_the_address_of_the_order_or_else_opens_a_mail_program(self):
        endpoint = "https://forms.example.com/f/17?a=1&b=2"
        mail = "mailto:office@example.com"
        for change, action, by_mail in [
            ({"form_endpoint": endpoint}, endpoint, False),
            ({"form_endpoint": endpoint, "business_email": None}, endpoint, False),
            ({}, mail, True),
            ({"form_endpoint": "javascript:alert(1)"}, mail, True),
            ({"business_email": None}, None, False),
        ]:
            for code in LANGUAGES:
                words = language(code).words
                page = unescape(site(code, primary_cta="form", **change)["index.html"])
                written = re.search('<form action="([^"]*)"', page)
                self.assertEqual(written and written[1], action, code)
                self.assertEqual('enctype="text/plain"' in page, by_mail, code)
                self.assertEqual('href="#write"' in page, action is not None, code)
                lead = words.form_lead if by_mail else words.form_lead_post
                self.assertEqual(lead in page, action is not None, code)
                for name in re.findall('<label for="([^"]*)"', page):
                    self.assertIn(f'id="{name}"', page, code)

    def test_the_style_has_no_sides_and_all_media(self):
        style = site("en")["style.css"]
        sides = r"(margin|padding|border)-(left|right)|text-align: (left|right)|[ {](left|right):"
        self.assertIsNone(re.search(sides, style))
        for media in ["prefers-color-scheme: dark", "print", "prefers-reduced-motion: reduce"]:
            self.assertIn(media, style)

    def test_a_title_has_less_than_60_characters_and_begins_with_the_name(self):
        for name, own, expected in [
            ("Bright Oak Dental", "What we offer", "Bright Oak Dental · What we offer"),
            ("Zum Löwen", "Willkommen im Zum Löwen", "Willkommen im Zum Löwen"),
            (
                "Ferraz Advocacia",
                "Advocacia de família, contratos e sucessões em Campinas",
                "Ferraz Advocacia · Advocacia de família, contratos e…",
            ),
            (
                "Cabinet d'Aubigné-Lefèvre & Associés — Transactions, Location et Gestion",
                "Honoraires",
                "Cabinet d'Aubigné-Lefèvre & Associés… · Honoraires",
            ),
            (
                "Cabinet d'Aubigné-Lefèvre & Associés, Transactions",
                "Agence immobilière de caractère à Tours et en Touraine",
                "Cabinet d'Aubigné-Lefèvre & Associés, Transactions",
            ),
        ]:
            self.assertEqual(title(name, own), expected)
        for name in [1, 30, 50, 55, 56, 57, 59, 60, 200]:
            for own in [1, 10, 80]:
                made = title(("ab " * name)[:name], "語" * own)
                self.assertTrue(0 < len(made) <= MAX_TITLE, made)

    def test_a_site_with_an_address_has_canonical_links_and_files_for_search_engines(self):
        without = site("en")
        self.assertEqual(list(without), [
            "index.html", "style.css", "404.html", "favicon.svg", "apple-touch-icon.png",
            "icon-192.png", "icon-512.png", "site.webmanifest",
        ])
        self.assertNotRegex(without["index.html"], "canonical|og:url|og:image")
        made = site("en", site_url="https://webb.test/")
        page = made["index.html"]
        for part in [
            '<link rel="canonical" href="https://webb.test/">',
            '<meta property="og:url" content="https://webb.test/">',
            '<meta property="og:image" content="https://webb.test/card.png">',
            '<meta property="og:title"',
            '<meta property="og:description"',
        ]:
            self.assertIn(part, page)
        self.assertIn("<loc>https://webb.test/</loc>", made["sitemap.xml"])
        self.assertIn("https://webb.test/sitemap.xml", made["robots.txt"])
        self.assertIn('href="https://webb.test/"', made["404.html"])
        brand = colours(Order(id="1", locale="en", business_name="x", niche="plumber"))["brand"]
        self.assertEqual(tuple(made["card.png"][41:44]), brand)
        photo = Photo("https://img.test/a.jpg")
        self.assertIn('content="https://img.test/a.jpg"', site("en", photos=[photo])["index.html"])
        self.assertNotIn("sitemap.xml", site("en", site_url="javascript:alert(1)"))

    def test_the_page_for_lost_visitors_has_its_style_at_any_depth(self):
        for url, top in [
            (None, ""),
            ("https://webb.test", "/"),
            ("https://sites.test/webb/", "https://sites.test/webb/"),
        ]:
            page = site("en", site_url=url)["404.html"]
            for path in ["style.css", "favicon.svg", "apple-touch-icon.png"]:
                self.assertIn(f'href="{top}{path}"', page, url)
            self.assertNotRegex(page, "<style| style=")
        self.assertEqual(top_of(None), "")

    def test_every_page_names_the_icons_and_the_manifest_lists_them(self):
        made = site("he", business_name="Éclair & Söhne", primary_color="#a63a24")
        for part in ["apple-touch-icon", "manifest", "icon"]:
            self.assertIn(f'<link rel="{part}"', made["index.html"])
        manifest = json.loads(made["site.webmanifest"])
        self.assertEqual((manifest["name"], manifest["dir"]), ("Éclair & Söhne", "rtl"))
        for icon in manifest["icons"]:
            self.assertIn(icon["src"], made)
        self.assertIn("maskable", [icon.get("purpose") for icon in manifest["icons"]])
        for path, side in [("apple-touch-icon.png", 180), ("icon-512.png", 512)]:
            png = made[path]
            self.assertEqual(png[16:24], side.to_bytes(4) * 2)
            self.assertEqual(png[41:44], bytes([0xA6, 0x3A, 0x24]))
            self.assertEqual(png[89:93], crc(png[37:89]).to_bytes(4))

    def test_every_letter_has_a_drawing_of_each_size(self):
        for letter in [*LETTERS, MARK]:
            for side in [180, 192, 512]:
                self.assertTrue(drawing(letter, side).startswith(b"\x89PNG"))
        for name, letter in [("Ørsted", "O"), ("(7 Days)", "7"), ("東京庭園", MARK), ("💾", MARK)]:
            self.assertEqual(letter_of(name), letter)
        self.assertGreater(len(ICONS), 100_000)
        order = Order(id="1", locale="en", business_name="x")
        again = [app_icons(order, colours(order), language("en")) for _ in range(2)]
        self.assertEqual(*again)

    def test_the_drawing_is_that_of_the_trade_and_no_text_of_the_order_is_in_it(self):
        for niche, custom, expected in [
            ("landscaping", "Hair salon", "landscaping"), ("real_estate", None, "real-estate"),
            ("other", "Bakery & café", "bakery"), ("general", "Hochzeitsfotografin", "photo"),
            ("other", "Academia de treino funcional", "gym"), ("other", "حضانة أطفال", "school"),
            ("other", "Veterinary clinic", "pets"), ("other", "KFZ-Meisterbetrieb", "car"),
            ("other", "Jardin d’enfants", "school"), ("other", "Zahnärztin", "dentist"),
            ("other", "عيادة أسنان", "dentist"), ("other", "נדל״ן", "real-estate"),
            ("restaurant", "Bakery & café", "bakery"), ("restaurant", "Music bar", "restaurant"),
            ("other", "Yoga studio", "yoga"), ("other", "Music school", "music"),
            ("other", "Roofing", "real-estate"), ("other", "Taco truck", "restaurant"),
            ("other", "中華料理・寿司", "restaurant"), ("other", "Carpentry", "general"),
            ("other", "Retro-computing repair — 💾", "general"), ("general", None, "general"),
        ]:
            order = Order(
                id="1", locale="en", business_name="x", niche=niche, custom_niche=custom
            )
            self.assertEqual(drawing_of(order), expected, custom)
        page = site("ar", niche="other", custom_niche="<b>Flowers</b>")["index.html"]
        art = re.search('<svg class="art"(.*?)</svg>', page, re.DOTALL)[1]
        self.assertIn('aria-hidden="true"', art)
        self.assertIn('width="320" height="320"', art)
        self.assertNotRegex(art, r"<b>|&|href|style=|url\(")
        # A size, and a colour of its own, for each class of a drawing.
        style = site("en")["style.css"]
        for svg in DRAWINGS["svg"].values():
            for name in re.findall('class="([^"]*)"', svg):
                self.assertRegex(style, rf"\.{name}[, {{]")
        drawn = re.search(r"\n\.art \{\n([^}]*)\}", style)[1]
        for name in re.findall(r"(?:fill|stroke): var\((--[a-z-]*)\)", style):
            self.assertIn(f"  {name}: #", drawn)
        self.assertRegex(style, r"\.art \{[^}]*max-width: 16rem")

    def test_the_shapes_of_a_drawing_can_be_told_apart_in_any_colours(self):
        # The same rows as in the tests of the other templates: primary, secondary, accent of the
        # order, and of the drawing.
        for given, expected in [
            (("#000000", "#000000", "#000000"), ("#535353", "#000000", "#bababa")),
            (("#ffffff", "#ffffff", "#ffffff"), ("#939393", "#333333", "#d2d2d2")),
            (("#1b4332", "#f4a261", "#b3261e"), ("#385b4c", "#49311d", "#e3aeab")),
            (("#0b5fff", "#0a2540", "#ffb703"), ("#0b5fff", "#0a2540", "#ffb703")),
            (("#ffeb3b", "#777777", "#ffffff"), ("#9f9325", "#363636", "#d2d2d2")),
            (("#0f1424", "#101010", "#fde047"), ("#515560", "#101010", "#eacf42")),
        ]:
            primary, secondary, accent = given
            order = Order(
                id="1",
                locale="en",
                business_name="x",
                primary_color=primary,
                secondary_color=secondary,
                accent_color=accent,
            )
            drawn = drawn_colours(colours(order))
            names = ("brand", "second", "accent")
            self.assertEqual(tuple(hex_of(drawn[name]) for name in names), expected)
            for one, other in [
                ("brand", "paper"), ("brand", "brand_soft"), ("accent", "brand"),
                ("accent", "paper"), ("accent", "deep"), ("second", "brand"), ("deep", "brand"),
                ("second", "accent"), ("second", "paper"),
            ]:
                at = f"{given}: {one} on {other}"
                self.assertGreaterEqual(contrast(drawn[one], drawn[other]), DRAWN, at)

    def test_text_is_readable_and_a_button_visible_in_any_colour_light_and_dark(self):
        for primary in ["#ffffff", "#000000", "#ffff00", "#0b5fff", "#777777", "#b3261e"]:
            order = Order(id="1", locale="en", business_name="x", primary_color=primary)
            light = colours(order)
            self.assertEqual(light["brand"], parse(primary))
            for shades in [light, dark_colours(light)]:
                for background in [shades["paper"], shades["tint"]]:
                    for text in ["ink", "muted", "brand_text"]:
                        self.assertGreaterEqual(contrast(shades[text], background), 4.5, primary)
                    self.assertGreaterEqual(contrast(shades["edge"], background), 3, primary)
                self.assertGreaterEqual(contrast(shades["on_brand"], shades["brand"]), 4.5)
                for text in ["on_deep", "accent_on_deep"]:
                    self.assertGreaterEqual(contrast(shades[text], shades["deep"]), 4.5, primary)


class Contact(unittest.TestCase):
    def test_the_address_names_each_place_once(self):
        for address, city, state, expected in [
            ("Müllerstr. 12, 80469 München", "München", None, ["Müllerstr. 12, 80469 München"]),
            ("MÜLLERSTR. 12, MÜNCHEN", "München", "Bayern", ["MÜLLERSTR. 12, MÜNCHEN", "Bayern"]),
            ("Floor 2, 12 Quay St", "Tampa", "FL", ["Floor 2, 12 Quay St", "Tampa, FL"]),
            ("12 Quay St\nTampa, FL 33602", "Tampa", "FL", ["12 Quay St", "Tampa, FL 33602"]),
            ("東京都渋谷区1-2", "渋谷区", "東京都", ["東京都渋谷区1-2"]),
            (None, "Tampa", "FL", ["Tampa, FL"]),
        ]:
            order = Order(
                id="1",
                locale="en",
                business_name="x",
                business_phone="+1 (555) 010-3301",
                business_address=address,
                primary_city=city,
                state=state,
            )
            self.assertEqual(contact(order, language("en")).address, expected)

    def test_the_label_of_a_button_is_cut_at_a_word(self):
        for text, expected in [
            (" Call  us ", "Call us"),
            ("x" * 40, "x" * 40),
            (
                "Agende sua avaliação gratuita com a nossa equipe",
                "Agende sua avaliação gratuita com a…",
            ),
            ("  ", language("en").words.call),
        ]:
            order = Order(
                id="1",
                locale="en",
                business_name="x",
                business_phone="+1 (555) 010-3301",
                cta_text=text,
            )
            self.assertEqual(contact(order, language("en")).first.label, expected)


CONTENT = {
    "emergency_phone": "+1 (555) 010-9999",
    "postal_code": "33602",
    "neighborhood": "Old Town",
    "posts": [Post("Open house", "open-house", "First line.\nSecond line.", "2026-03-09",
                   image_url="https://img.test/p.jpg")],
    "business_address": "12 Quay St",
    "booking_url": "https://book.test/",
    "order_url": "https://order.test/",
    "menu_url": "https://menu.test/",
    "gift_card_url": "https://gift.test/",
    "donation_url": "https://give.test/",
    "social_tiktok": "https://tiktok.test/w",
    "social_yelp": "https://yelp.test/w",
    "photos": [Photo("https://img.test/a.jpg", "A <van>"), Photo("https://img.test/b.jpg")],
    "team": [Person("Ann & Bo", "Owners", "Two", "https://img.test/t.jpg")],
    "locations": [{
        "name": "Roath", "address": "1 Albany Rd", "city": "Cardiff", "phone": "+44 29 2018 0142",
        "email": "roath@example.com", "hours": [{"day": "monday", "ranges": ["08:00-12:00"]}],
        "hours_notes": [{"label": "Sat", "text": "till sold out"}],
    }],
    "legal": {
        "legal_name": "Webb LLC", "representative": "Ann Webb", "vat_id": "DE123",
        "tax_id": "99-1", "siret": "812 345", "siren": "812", "ein": "55-5",
        "company_number": "HRB 7", "license_number": "CFC 1",
    },
}
"""What an order may have beside the copy."""
SHOWN = [
    "Old Town", "Open house", "<p dir=\"auto\">Second line.</p>", 'datetime="2026-03-09"',
    'href="https://img.test/p.jpg"', 'href="tel:+15550109999"', "33602", 'href="https://book.test/"', 'href="https://order.test/"',
    'href="https://menu.test/"', 'href="https://gift.test/"', 'href="https://give.test/"',
    'href="https://tiktok.test/w"', 'href="https://yelp.test/w"', 'href="https://img.test/a.jpg"',
    "A &#60;van&#62;", 'href="https://img.test/b.jpg"', "Ann &#38; Bo", "Owners", "Two",
    'href="https://img.test/t.jpg"', "Roath", "1 Albany Rd", "Cardiff",
    'href="tel:+442920180142"', 'href="mailto:roath@example.com"', "till sold out", "Webb LLC",
    "Ann Webb", "DE123", "99-1", "812 345", "55-5", "HRB 7", "CFC 1",
]
"""The texts and links that pages of it must have."""


class Content(unittest.TestCase):
    def test_what_the_order_says_beside_the_copy_is_shown_in_every_language(self):
        for code in LANGUAGES:
            page = str(site(code, **CONTENT)["index.html"])
            for part in SHOWN:
                self.assertIn(part, page, code)
            words = language(code).words
            for word in ["news", "team", "locations", "photos", "vat", "responsible", "emergency"]:
                self.assertIn(getattr(words, word), page, code)
            self.assertNotRegex(page, r"<img|None|False", code)
            ids = re.findall(r' id="([^"]*)"', page)
            self.assertEqual(len(set(ids)), len(ids), code)
        page = str(site("en", **CONTENT, primary_cta="book_online")["index.html"])
        self.assertEqual(page.count("https://book.test/"), 2, "both buttons, and no third one")



ADDRESS = "Gasse 1\n04109 Leipzig"


class Legal(unittest.TestCase):
    def test_legal_pages_are_made_by_form_if_the_data_is_there(self):
        vat = {"vat_id": "DE123456789"}
        for code, name, address, legal, expected in [
            ("de", "Impressum", ADDRESS, {}, ["impressum.html"]),
            ("de", "Impressum", None, {}, []),
            ("de", "Kontakt", ADDRESS, vat, ["impressum.html"]),
            ("de", "Kontakt", None, vat, []),
            ("de", "Datenschutzerklärung", ADDRESS, {}, ["datenschutz.html"]),
            ("fr", "Mentions légales", ADDRESS, {}, ["mentions-legales.html"]),
            ("fr", "Politique de confidentialité", ADDRESS, {}, ["confidentialite.html"]),
            ("es", "Aviso legal", ADDRESS, {}, ["aviso-legal.html"]),
            ("it", "Note legali", ADDRESS, {}, ["note-legali.html"]),
            ("it", "Informativa sulla privacy", ADDRESS, {}, ["privacy.html"]),
            ("pt", "Política de Privacidade", ADDRESS, {}, ["privacidade.html"]),
            ("en", "Legal notice", ADDRESS, {}, ["legal-notice.html"]),
            ("ar", "سياسة الخصوصية", ADDRESS, {}, ["privacy.html"]),
            ("he", "מדיניות הפרטיות", ADDRESS, {}, ["privacy.html"]),
            ("ja", "プライバシーポリシー", ADDRESS, {}, ["privacy.html"]),
            ("en", "Terms of use", ADDRESS, {}, []),
            ("fr", "CGV", ADDRESS, {}, []),
        ]:
            at = f"{code} {name}"
            made = site(code, selected_pages=[name], business_address=address, legal=legal)
            pages = [path for path in made if path.endswith(".html")]
            self.assertEqual(sorted(pages), sorted(["index.html", "404.html", *expected]), at)
            order = Order(
                id="1", locale=code, business_name="x", selected_pages=[name],
                business_address=address, legal=legal,
            )
            notes = legal_pages(order, language(code)).notes
            self.assertEqual(bool(notes), not expected and name != "Kontakt", at)
            for path in expected:
                page = unescape(made[path])
                for part in ["Webb & Sons", "Gasse 1", "04109 Leipzig", "(555) 010-3301"]:
                    self.assertIn(part, page, at)
                self.assertEqual("DE123456789" in page, bool(legal), at)
                self.assertIn(f'href="{path}"', made["index.html"], at)
                self.assertNotRegex(page, r"\bNone\b|\bFalse\b|<style")

    def test_what_a_law_firm_offers_is_no_legal_notice(self):
        for niche, name, is_notice in [
            ("lawyer", "Legal advice", False), ("lawyer", "Asesoría legal", False),
            ("lawyer", "Consulenze legali", False), ("lawyer", "ייעוץ משפטי", False),
            ("lawyer", "Legal", True), ("lawyer", "Legal notice", True),
            ("lawyer", "Mentions légales", True), ("plumber", "Legal advice", True),
        ]:
            order = Order(
                id="1", locale="en", business_name="x", niche=niche, selected_pages=[name],
                business_address=ADDRESS,
            )
            self.assertEqual(bool(legal_pages(order, language("en")).links), is_notice, name)

    def test_the_page_about_data_says_where_the_form_sends_it(self):
        for code in LANGUAGES:
            words = language(code).words
            for endpoint in [None, "https://forms.alpha.test/17?a=b"]:
                made = site(
                    code, selected_pages=["Privacy"], business_address=ADDRESS,
                    form_endpoint=endpoint, site_url="https://webb.test/",
                )
                path = next(path for path in made if path.startswith(("priv", "conf", "daten")))
                page = unescape(made[path])
                self.assertEqual(words.privacy_mail in page, endpoint is None, code)
                self.assertEqual("forms.alpha.test" in page, endpoint is not None, code)
                self.assertIn(words.privacy_rights, page)
                self.assertIn(f"https://webb.test/{path}", page)
                self.assertIn(f"<loc>https://webb.test/{path}</loc>", made["sitemap.xml"])


if __name__ == "__main__":
    unittest.main()
