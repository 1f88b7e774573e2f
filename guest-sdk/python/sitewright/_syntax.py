"""Finds errors of syntax before a component is built: `python -m sitewright._syntax src`.

A component is built by an interpreter of its own, Python 3.14, which takes a while to start. This
one may be older; what it does not know is left to the other.
"""

import sys
import traceback
from pathlib import Path

from . import _template_strings

# Of an older interpreter: these are no errors in Python 3.14.
_NEWER_SYNTAX = ("multiple exception types must be parenthesized",)


def wrong(folder):
    """The errors of the modules below a folder."""
    for file in sorted(folder.rglob("*.py")):
        try:
            _template_strings.compiled(file.read_bytes(), str(file))
        except SyntaxError as error:
            if error.msg not in _NEWER_SYNTAX:
                yield error


if __name__ == "__main__":
    errors = list(wrong(Path(sys.argv[1])))
    for error in errors:
        print("".join(traceback.format_exception_only(error)), end="", file=sys.stderr)
    sys.exit(bool(errors))
