"""What the author of a Sitewright template in Python depends on.

- `Template`: what a template is, and how it becomes a component
- `Order`: what the customer wants
- `ask`, `ask_all`, `stream`: asking models, for a purpose, one or several at once, or reading along
- `html`, `json_for_script`: text that enters a page is escaped
- `write_file`, `progress`, `warn`: the site, and telling what goes on
- `Failure`: failing, with everything that led to it

See README.md beside this package.
"""

from .ai import Question, Reply, ask, ask_all, stream
from .failure import Failure
from .html import Html, html, json_for_script
from .order import Order, Testimonial
from .site import progress, warn, write_file
from .template import Template

__all__ = [
    "Failure", "Html", "Order", "Question", "Reply", "Template", "Testimonial",
    "ask", "ask_all", "html", "json_for_script", "progress", "stream", "warn", "write_file",
]
