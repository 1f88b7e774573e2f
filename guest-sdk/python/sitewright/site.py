"""The site, and telling what goes on."""

from componentize_py_types import Err
from wit_world.imports import diagnostics, site

from .failure import Failure


def write_file(path: str, content: str | bytes):
    """Writes one file of the site; each path once. The path is relative, `/` between its parts: `about/index.html`."""
    try:
        site.write(path, content if isinstance(content, bytes) else content.encode())
    except Err as refused:
        kind = refused.value.kind.name.lower().replace("_", "-")
        raise Failure(f"write-{kind}", refused.value.message, attributes={"path": path}) from None


def progress(stage: str, done: int, total: int):
    """The stage the run is in, with `done` of `total` steps; 0 for an unknown total."""
    diagnostics.progress(stage, done, total)


def warn(code: str, message: str):
    """A line in the order's report that stops nothing. `code` is for machines: `no-opening-hours`."""
    diagnostics.report(diagnostics.Diagnostic(diagnostics.Severity.WARNING, code, message, [], None, []))
