"""Tests of the template in this interpreter: no WebAssembly, no host, no network.

Run them with `sitewright template test --native`.
"""

import json
import unittest
from html import unescape
from pathlib import Path

# First: in Python before 3.14, it makes modules with t-strings importable.
from sitewright.testing import Harness, sample_order

import app

PROJECT = Path(__file__).parent.parent
SCRIPT = (PROJECT / "ai.toml").read_text()


class Orders(unittest.TestCase):
    def test_the_sample_order_becomes_a_page(self):
        order = json.loads((PROJECT / "order.json").read_text())
        run = Harness.scripted(SCRIPT).run(app.Generator, order).ok()
        page = run.text("index.html")
        # As visitors read it: a name may have characters that the page escapes.
        self.assertIn(order["business_name"], unescape(page))
        for service in order["services"]:
            self.assertIn(f"<li>{service}</li>", unescape(page))
        self.assertIn(f'<html lang="{order["locale"]}">', page)
        self.assertIn("assets/site.css", run.files)
        manifest = json.loads(run.text("site.webmanifest"))
        self.assertEqual(manifest["name"], order["business_name"])

    def test_markup_in_an_order_is_escaped(self):
        order = sample_order() | {"business_name": "<script>alert(1)</script>"}
        run = Harness.scripted(SCRIPT).run(app.Generator, order).ok()
        self.assertNotIn("<script>", run.text("index.html"))
        self.assertIn(">&#60;</text>", run.text("assets/icon.svg"))
        # The prompt contains order texts as data.
        self.assertIn("alert(1)", run.ai_calls[0].prompt)

    def test_a_failed_ai_call_fails_the_run_and_is_blamed(self):
        script = "[[rule]]\nanswer = { fault = { status = 503 } }\n"
        failure = Harness.scripted(script).run(app.Generator, sample_order()).failure
        self.assertEqual(failure.code, "ai-overloaded")
        self.assertEqual(failure.ai_calls, ["call-1"])


if __name__ == "__main__":
    unittest.main()
