"""Failures of a template."""

import os
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from wit_world.imports import types


class Failure(Exception):
    """Why the template could not generate the site. Raise it to fail the run; the operator sees it
    in the failure record.

        raise Failure("missing-service", "the order has no services, which this template requires")

    Causes are added with `raise Failure(...) from error`. Any other exception is treated as a bug,
    and its traceback is in the failure record.

    Args:
        code: A short, stable code for programs.
        message: What happened and what to do about it, for the operator.
        ai_calls: Ids of the AI calls that caused the failure. A retry of the order sends these
            calls again and replays all others.
        attributes: Further information by name, at most 32 entries.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        ai_calls: Iterable[str] = (),
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.ai_calls = list(ai_calls)
        self.attributes = attributes or {}

    def record(self):
        """The failure as the record of the contract."""
        return types.Failure(
            code=self.code,
            message=str(self),
            causes=list(causes(self)),
            location=location(self),
            ai_calls=self.ai_calls,
            attributes=[
                types.Attribute(name, str(value)) for name, value in self.attributes.items()
            ],
        )


def causes(error):
    """The messages of at most 16 causes, outermost first."""
    for _ in range(16):
        error = error.__cause__
        if error is None:
            return
        yield str(error) or type(error).__name__


# Folders of code that is not the author's: this package, the interpreter's library, the bindings.
_FOREIGN = tuple(file.rsplit("/", 1)[0] + "/" for file in (__file__, os.__file__)) + (
    "/python/", "/bundled/", "/world/", "<",
)


# Where the author's modules are: in the first of the numbered folders of the build. A test has them
# in the folder in which it runs.
folder = "/0/"


def location(error):
    """The innermost line of the author's code at which an exception was raised; `None` if its
    traceback has none.
    """
    found = None
    step = error.__traceback__
    while step is not None:
        if file := _own(step.tb_frame.f_code.co_filename):
            found = types.SourceLocation(file, step.tb_lineno, None)
        step = step.tb_next
    return found


def here():
    """The innermost line of the author's code that runs; `None` if there is none."""
    frame = sys._getframe(1)
    while frame is not None:
        if file := _own(frame.f_code.co_filename):
            return types.SourceLocation(file, frame.f_lineno, None)
        frame = frame.f_back
    return None


def _own(file):
    """The path of a file of the author, below the folder of the modules; `None` for another."""
    if file.startswith(_FOREIGN) or re.match(r"/[1-9][0-9]*/", file):
        return None
    return file.removeprefix(folder).lstrip("/")
