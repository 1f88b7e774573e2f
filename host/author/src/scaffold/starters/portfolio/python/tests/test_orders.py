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
    def test_the_sample_order_becomes_a_page_with_work_and_words(self):
        order = json.loads((PROJECT / "order.json").read_text())
        run = Harness.scripted(SCRIPT).run(app.Generator, order).ok()
        page = run.text("index.html")
        for expected in [
            '<a href="https://photos.example.com/wedding.jpg">A wedding at the lake</a>',
            '<a href="https://photos.example.com/ridge.jpg">Photo 2</a>',
            "<li>Portraits</li>",
            '<p dir="auto">She saw what we would have missed.</p>\n<p>– Ada and Tom, Newlyweds</p>',
        ]:
            self.assertIn(expected, page)

    def test_a_business_without_photos_has_a_site_and_its_operator_a_warning(self):
        order = sample_order() | {"photos": []}
        run = Harness.scripted(SCRIPT).run(app.Generator, order).ok()
        self.assertEqual(run.reports[0].code, "no-work")
        self.assertNotIn("Fotos</h2>", run.text("index.html"))

    def test_a_page_in_hebrew_is_written_from_right_to_left_in_hebrew_words(self):
        order = sample_order() | {"locale": "he", "photos": [{"url": "https://example.com/a.jpg"}]}
        page = Harness.scripted(SCRIPT).run(app.Generator, order).ok().text("index.html")
        self.assertIn('<html lang="he" dir="rtl">', page)
        self.assertIn("תמונה 1</a>", page)

    def test_markup_in_an_order_is_escaped(self):
        said = [{"text": "<script>alert(1)</script>"}]
        run = Harness.scripted(SCRIPT).run(app.Generator, sample_order() | {"testimonials": said})
        self.assertNotIn("<script>", run.ok().text("index.html"))


if __name__ == "__main__":
    unittest.main()
