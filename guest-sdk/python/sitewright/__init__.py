"""The SDK for Sitewright templates in Python.

- `Template`: the base class of a template
- `Order`, `Person`, `Photo`, `Post`, `Price`, `Testimonial`: the order
- `ask`, `ask_all`, `stream`: AI calls, one, several concurrently, or streamed
- `html`, `json_for_script`: HTML with escaped values
- `write_file`, `FileWriter`, `file_exists`: files of the site, whole or in chunks
- `progress`, `warn`: progress, diagnostics
- `Failure`: an error with its causes
- `testing`: runs a template in a test, without a component

See README.md and GUIDE.md next to this package.
"""

try:
    import componentize_py_types as _bindings
except ModuleNotFoundError:
    _bindings = None
if _bindings is None:
    # This is no component and none is being built: a test runs the template.
    from . import _native

    _native.install()

from .ai import Question, Reply, ask, ask_all, stream
from .failure import Failure
from .html import Html, html, json_for_script
from .order import Order, Person, Photo, Post, Price, Testimonial
from .site import FileWriter, file_exists, progress, warn, write_file
from .template import Template

__all__ = [
    "Failure", "FileWriter", "Html", "Order", "Person", "Photo", "Post", "Price", "Question",
    "Reply", "Template", "Testimonial",
    "ask", "ask_all", "file_exists", "html", "json_for_script", "progress", "stream", "warn",
    "write_file",
]
