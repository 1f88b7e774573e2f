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
    def test_the_sample_order_becomes_four_pages_that_lead_to_each_other(self):
        order = json.loads((PROJECT / "order.json").read_text())
        run = Harness.scripted(SCRIPT).run(app.Generator, order).ok()
        self.assertEqual(run.most_calls_at_once, 4)
        for page, expected in [
            ("services/index.html", "<li>Lawn care</li>"),
            ("about/index.html", "Maria Gate"),
            ("contact/index.html", 'href="../services/"'),
            ("index.html", 'href="contact/"'),
        ]:
            self.assertIn(expected, run.text(page))

    def test_a_page_in_hebrew_is_written_from_right_to_left_in_hebrew_words(self):
        order = sample_order() | {"locale": "he"}
        page = Harness.scripted(SCRIPT).run(app.Generator, order).ok().text("index.html")
        self.assertIn('<html lang="he" dir="rtl">', page)
        self.assertIn(">יצירת קשר</a>", page)

    def test_markup_in_an_order_is_escaped(self):
        order = sample_order() | {"business_name": "<script>alert(1)</script>"}
        run = Harness.scripted(SCRIPT).run(app.Generator, order).ok()
        # Files such as the manifest are JSON, which has no markup.
        pages = [path for path in run.files if path.endswith((".html", ".svg", ".xml"))]
        self.assertIn("index.html", pages)
        for path in pages:
            self.assertNotIn("<script>", run.text(path), path)

    def test_all_failed_ai_calls_are_blamed(self):
        script = "[[rule]]\nanswer = { fault = { status = 503 } }\n"
        failure = Harness.scripted(script).run(app.Generator, sample_order()).failure
        self.assertEqual(failure.code, "ai-overloaded")
        self.assertEqual(len(failure.ai_calls), 4)


if __name__ == "__main__":
    unittest.main()
