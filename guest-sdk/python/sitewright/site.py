"""Files of the site, progress and diagnostics."""

import contextlib

from componentize_py_types import Err
from wit_world.imports import diagnostics, site

from .failure import Failure, here


def write_file(path: str, content: str | bytes) -> None:
    """Writes a file of the site. A file can be written once.

    Args:
        path: A relative path with `/` between its parts: `about/index.html`.
        content: Text, which is encoded as UTF-8, or bytes.

    Raises:
        Failure: the path is invalid or taken, a limit is exceeded (default: 2,000 files, 8 MiB in
            one file, 64 MiB in all files), or the host could not store the file.
        TypeError: the path is not text, or the content is neither text nor bytes.
    """
    is_text("a path", path)
    with _refusals(path):
        site.write(path, _bytes(content))


def file_exists(path: str) -> bool:
    """Whether the run has written a file with exactly this path."""
    is_text("a path", path)
    return site.exists(path)


class FileWriter:
    """A file that is written in chunks, so that a large one need not be in memory at once.

        with FileWriter("sitemap.txt") as file:
            for page in pages:
                file.append(f"{page}\\n")

    At the end of the block the file is written, unless the block ends with an exception.

    Raises:
        Failure: as `write_file`. The path is checked at once.
    """

    def __init__(self, path: str):
        is_text("a path", path)
        self.path = path
        with _refusals(path):
            self._writer = site.Writer.create(path)

    def append(self, content: str | bytes):
        """Adds text, which is encoded as UTF-8, or bytes at the end."""
        if self._writer is None:
            raise ValueError(f"the file {self.path!r} is finished already")
        with _refusals(self.path):
            self._writer.append(_bytes(content))

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        # The host stops a template that uses a writer it has given back.
        writer, self._writer = self._writer, None
        if error is None:
            with _refusals(self.path):
                site.Writer.finish(writer)
        else:
            writer.__exit__(None, None, None)


def is_text(what, value):
    """Raises a TypeError if a value is not text. The bindings would abort, without the line of the
    author.
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} is text, not {type(value).__name__}")


def _bytes(content):
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, (bytes, bytearray, memoryview)):
        return bytes(content)
    raise TypeError(f"a file is text or bytes, not {type(content).__name__}")


@contextlib.contextmanager
def _refusals(path):
    try:
        yield
    except Err as rejected:
        kind = rejected.value.kind.name.lower().replace("_", "-")
        message = rejected.value.message
        raise Failure(f"write-{kind}", message, attributes={"path": path}) from None


def progress(stage: str, done: int, total: int) -> None:
    """Reports the stage of the run and that `done` of `total` steps are complete. `total` is 0 if
    it is not known.
    """
    is_text("a stage", stage)
    diagnostics.progress(stage, done, total)


def warn(code: str, message: str) -> None:
    """Adds a warning to the order's report, with the line of the call. The run continues.

    Args:
        code: A short, stable code for programs: `no-opening-hours`.
        message: The text for people.
    """
    is_text("the code of a warning", code)
    is_text("the message of a warning", message)
    severity = diagnostics.Severity.WARNING
    diagnostics.report(diagnostics.Diagnostic(severity, code, message, [], here(), []))
