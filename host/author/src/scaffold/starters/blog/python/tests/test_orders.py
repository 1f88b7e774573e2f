"""Tests of the template in this interpreter: no WebAssembly, no host, no network.

Run them with `sitewright template test --native`.
"""

import json
import re
import unittest
from pathlib import Path

# First: in Python before 3.14, it makes modules with t-strings importable.
from sitewright.testing import Harness, sample_order

import app

PROJECT = Path(__file__).parent.parent
SCRIPT = (PROJECT / "ai.toml").read_text("utf-8")


class Orders(unittest.TestCase):
    def test_each_post_is_a_page_and_the_home_page_lists_the_newest_first(self):
        order = json.loads((PROJECT / "order.json").read_text("utf-8"))
        run = Harness.scripted(SCRIPT).run(app.Generator, order).ok()
        self.assertEqual(len(run.ai_calls), 1)
        links = re.findall(r'href="(posts/[^"]*)"', run.text("index.html"))
        self.assertEqual(
            links,
            [
                "posts/the-stand-in-the-yard-is-open-again/",
                "posts/why-your-chain-skips/",
                "posts/how-we-build-a-wheel/",
            ],
        )
        page = run.text("posts/the-stand-in-the-yard-is-open-again/index.html")
        for expected in [
            '<time datetime="2026-05-02">2026-05-02</time>',
            '<a href="https://photos.example.com/stand.jpg">The repair stand in the yard</a>',
            '<a href="../../">All articles</a>',
        ]:
            self.assertIn(expected, page)

    def test_without_posts_articles_about_the_services_have_no_date(self):
        run = Harness.scripted(SCRIPT).run(app.Generator, sample_order()).ok()
        self.assertEqual(run.reports[0].code, "no-posts")
        self.assertEqual(run.most_calls_at_once, 3)
        self.assertIn("What to ask before you order", run.text("posts/2/index.html"))
        self.assertNotIn("<time", run.text("posts/2/index.html"))

    def test_a_page_in_hebrew_is_written_from_right_to_left_in_hebrew_words(self):
        order = sample_order() | {"locale": "he", "posts": [{"title": "x", "text": "y"}]}
        page = Harness.scripted(SCRIPT).run(app.Generator, order).ok().text("index.html")
        self.assertIn('<html lang="he" dir="rtl">', page)
        self.assertIn("<h2>מאמרים</h2>", page)

    def test_markup_in_an_order_is_escaped(self):
        posts = [{"title": "<script>", "text": "<script>alert(1)</script>"}]
        run = Harness.scripted(SCRIPT).run(app.Generator, sample_order() | {"posts": posts}).ok()
        # Files such as the manifest are JSON, which has no markup.
        pages = [path for path in run.files if path.endswith((".html", ".svg", ".xml"))]
        self.assertIn("index.html", pages)
        for path in pages:
            self.assertNotIn("<script>", run.text(path), path)


if __name__ == "__main__":
    unittest.main()
