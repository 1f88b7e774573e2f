"""Template strings for interpreters older than Python 3.14, so that tests run in them.

Components run on 3.14. A module that does not compile here is compiled again with its template
strings as f-strings, whose parts are then taken apart. Python 3.12 is needed: older ones do not
parse nested quotes.
"""

import ast
import builtins
import importlib
import importlib.util
import io
import sys
import tokenize
import types
from dataclasses import dataclass
from typing import Any

_PREFIXES = ("t", "rt", "tr")


@dataclass(frozen=True)
class Interpolation:
    value: Any
    expression: str
    conversion: str | None = None
    format_spec: str = ""


class Template:
    """As `string.templatelib.Template`."""

    def __init__(self, *parts):
        strings = [""]
        interpolations = []
        for part in parts:
            if isinstance(part, str):
                strings[-1] += part
            else:
                interpolations.append(part)
                strings.append("")
        self.strings = tuple(strings)
        self.interpolations = tuple(interpolations)

    @property
    def values(self):
        return tuple(each.value for each in self.interpolations)

    def __iter__(self):
        for at, text in enumerate(self.strings):
            if text:
                yield text
            if at < len(self.interpolations):
                yield self.interpolations[at]


def install():
    """Makes modules with template strings importable. Does nothing in Python 3.14."""
    if sys.version_info >= (3, 14):
        return
    if sys.version_info < (3, 12):
        found = ".".join(map(str, sys.version_info[:2]))
        raise ImportError(f"tests of templates need Python 3.12 or newer; this is {found}")
    library = types.ModuleType("string.templatelib")
    library.Template, library.Interpolation = Template, Interpolation
    sys.modules["string.templatelib"] = library
    builtins.__sitewright_template__ = Template
    builtins.__sitewright_interpolation__ = Interpolation
    loader = importlib._bootstrap_external.SourceLoader
    compile_plainly = loader.source_to_code

    def source_to_code(self, data, path, **options):
        try:
            return compile_plainly(self, data, path, **options)
        except SyntaxError:
            if not isinstance(data, bytes):
                raise
            return compiled(data, path)

    loader.source_to_code = source_to_code


def compiled(data, path):
    """The code of a module that may have template strings, from its bytes."""
    try:
        return compile(data, path, "exec", dont_inherit=True)
    except SyntaxError:
        tree = None
        if sys.version_info < (3, 14):
            tree = _parsed(importlib.util.decode_source(data), path)
        if tree is None:
            raise
    return compile(tree, path, "exec", dont_inherit=True)


def _parsed(source, path):
    """The tree of a module with template strings; `None` if it has none."""
    lines = source.splitlines(keepends=True)
    places = set()
    while (found := _first_prefix(lines)) is not None:
        row, column, prefix = found
        line = lines[row - 1]
        as_f = prefix.replace("t", "f").replace("T", "f")
        lines[row - 1] = line[:column] + as_f + line[column + len(prefix) :]
        places.add((row, len(line[:column].encode())))
    if not places:
        return None
    changed = "".join(lines)
    tree = ast.parse(changed, path)
    return ast.fix_missing_locations(_Templates(places, changed).visit(tree))


def _first_prefix(lines):
    """Row, column and text of the first prefix of a template string. Everything before it is
    tokenized as it is meant.
    """
    try:
        for token in tokenize.generate_tokens(io.StringIO("".join(lines)).readline):
            if token.type == tokenize.NAME and token.string.lower() in _PREFIXES:
                row, column = token.end
                if lines[row - 1][column : column + 1] in ("'", '"'):
                    return row, token.start[1], token.string
    except (tokenize.TokenError, SyntaxError):
        # The parser says what is wrong.
        pass
    return None


class _Templates(ast.NodeTransformer):
    def __init__(self, places, source):
        self._places = places
        self._source = source

    def visit_JoinedStr(self, node):
        self.generic_visit(node)
        if (node.lineno, node.col_offset) not in self._places:
            return node
        parts = [
            self._interpolation(part) if isinstance(part, ast.FormattedValue) else part
            for part in node.values
        ]
        return ast.copy_location(_call("__sitewright_template__", parts), node)

    def _interpolation(self, part):
        # The source, not the tree: expressions may have been changed.
        expression = ast.get_source_segment(self._source, part.value) or ""
        conversion = None if part.conversion < 0 else chr(part.conversion)
        spec = part.format_spec or ast.Constant("")
        return _call(
            "__sitewright_interpolation__",
            [part.value, ast.Constant(expression), ast.Constant(conversion), spec],
        )


def _call(name, arguments):
    return ast.Call(ast.Name(name, ast.Load()), arguments, [])
