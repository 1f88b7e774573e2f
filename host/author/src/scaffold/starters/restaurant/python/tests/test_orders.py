"""Tests of the template in this interpreter: no WebAssembly, no host, no network.

Run them with `sitewright template test --native`.
"""

import json
import unittest
from pathlib import Path

# First: in Python before 3.14, it makes modules with t-strings importable.
from sitewright.testing import Harness, sample_order

import app

PROJECT = Path(__file__).parent.parent
SCRIPT = (PROJECT / "ai.toml").read_text()


class Orders(unittest.TestCase):
    def test_the_sample_order_becomes_a_page_with_menu_and_hours(self):
        order = json.loads((PROJECT / "order.json").read_text())
        run = Harness.scripted(SCRIPT).run(app.Generator, order).ok()
        page = run.text("index.html")
        for expected in [
            "<h3>Soups</h3>",
            "<strong>Corn chowder</strong><br>(milk)",
            "<dt>Friday</dt>\n<dd>11:30 – 15:00, 18:00 – 22:00</dd>",
            "<dt>Monday</dt>\n<dd>Closed</dd>",
            'href="https://booking.example.com/copper-ladle"',
        ]:
            self.assertIn(expected, page)

    def test_a_restaurant_without_a_menu_has_a_site_and_its_operator_a_warning(self):
        run = Harness.scripted(SCRIPT).run(app.Generator, sample_order()).ok()
        self.assertEqual(run.reports[0].code, "no-menu")
        self.assertNotIn("Cardápio</h2>", run.text("index.html"))

    def test_a_page_in_hebrew_is_written_from_right_to_left_in_hebrew_words(self):
        order = sample_order() | {"locale": "he", "business_hours": [{"day": "monday", "ranges": []}]}
        page = Harness.scripted(SCRIPT).run(app.Generator, order).ok().text("index.html")
        self.assertIn('<html lang="he" dir="rtl">', page)
        self.assertIn("<dd>סגור</dd>", page)

    def test_the_times_of_a_day_are_joined_as_the_language_does(self):
        hours = [{"day": "monday", "ranges": ["11:00-14:00", "18:00-21:00"]}]
        order = sample_order() | {"locale": "ja", "business_hours": hours}
        page = Harness.scripted(SCRIPT).run(app.Generator, order).ok().text("index.html")
        self.assertIn("<dd>11:00 – 14:00、18:00 – 21:00</dd>", page)

    def test_markup_in_an_order_is_escaped(self):
        menu = [{"section": "<b>", "items": [{"name": "<script>alert(1)</script>"}]}]
        run = Harness.scripted(SCRIPT).run(app.Generator, sample_order() | {"menu": menu}).ok()
        self.assertNotIn("<script>", run.text("index.html"))


if __name__ == "__main__":
    unittest.main()
