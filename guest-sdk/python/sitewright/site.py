"""Files of the site, progress and diagnostics."""

from componentize_py_types import Err
from wit_world.imports import diagnostics, site

from .failure import Failure


def write_file(path: str, content: str | bytes) -> None:
    """Writes a file of the site. A file can be written once.

    Args:
        path: A relative path with `/` between its parts: `about/index.html`.
        content: Text, which is encoded as UTF-8, or bytes.

    Raises:
        Failure: the path is invalid or taken, a limit is exceeded (default: 2,000 files, 8 MiB in
            one file, 64 MiB in all files), or the host could not store the file.
    """
    try:
        site.write(path, content if isinstance(content, bytes) else content.encode())
    except Err as rejected:
        kind = rejected.value.kind.name.lower().replace("_", "-")
        message = rejected.value.message
        raise Failure(f"write-{kind}", message, attributes={"path": path}) from None


def progress(stage: str, done: int, total: int) -> None:
    """Reports the stage of the run and that `done` of `total` steps are complete. `total` is 0 if
    it is not known.
    """
    diagnostics.progress(stage, done, total)


def warn(code: str, message: str) -> None:
    """Adds a warning to the order's report. The run continues.

    Args:
        code: A short, stable code for programs: `no-opening-hours`.
        message: The text for people.
    """
    severity = diagnostics.Severity.WARNING
    diagnostics.report(diagnostics.Diagnostic(severity, code, message, [], None, []))
