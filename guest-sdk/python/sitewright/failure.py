"""Failing."""

from wit_world.exports import generator
from wit_world.imports import types


class Failure(Exception):
    """Why no site was made. Raise one, and the operator reads all of it in the order's failure record.

    `code` is short and stable, for machines; the message is for the operator: what happened, and what would be right.
    `ai_calls` are ids of the AI calls it comes from: a retry of the order asks those again and pays for no other.

        raise Failure("missing-service", "the order names no service, and this template lists services")

    Causes come from `raise Failure(...) from error`. Any other exception is a bug, and its traceback goes into the record.
    """

    def __init__(self, code, message, *, ai_calls=(), attributes=None):
        super().__init__(message)
        self.code = code
        self.ai_calls = list(ai_calls)
        self.attributes = attributes or {}

    def record(self):
        """The record that the contract wants."""
        return generator.Failure(
            code=self.code,
            message=str(self),
            causes=list(causes(self)),
            location=place(self),
            ai_calls=self.ai_calls,
            attributes=[types.Attribute(name, str(value)) for name, value in self.attributes.items()],
        )


def causes(error):
    """The messages of all causes, from the outermost to the root."""
    for _ in range(16):
        error = error.__cause__
        if error is None:
            return
        yield str(error) or type(error).__name__


def place(error):
    """Where an exception was raised."""
    step = error.__traceback__
    if step is None:
        return None
    while step.tb_next is not None:
        step = step.tb_next
    # The folder it was built in says nothing to anybody.
    return types.SourceLocation(step.tb_frame.f_code.co_filename.rsplit("/", 1)[-1], step.tb_lineno, None)
