"""Lets Bluetooth events strike inside main's code, as they do on the chip.

On the chip a handler may run between any two steps of the main program. The interpreter here only
takes events where it waits, so code that is wrong in between would pass. What `preempt(seed)`
returns puts a call before every simple statement of every function, and on the board `_preempt`
then delivers what has arrived at points chosen by the seed. Lines keep their numbers, so
tracebacks stay true.

    board = world.new_board(transform=preempt(7))
"""

from __future__ import annotations

import ast
from collections.abc import Callable

_CALL = b"_pt();"
_INSTRUMENTED = ("lib/homing/", "main.py")
_SIMPLE = (
    ast.AnnAssign,
    ast.Assert,
    ast.Assign,
    ast.AugAssign,
    ast.Break,
    ast.Continue,
    ast.Delete,
    ast.Expr,
    ast.Import,
    ast.ImportFrom,
    ast.Pass,
    ast.Raise,
    ast.Return,
)


def preempt(seed: int) -> Callable[[str, str], str | None]:
    """A transform for World.new_board: instruments the project's own sources, no others."""

    def transform(path: str, text: str) -> str | None:
        if not path.lstrip("/").startswith(_INSTRUMENTED):
            return None
        return instrument(text, seed)

    return transform


def instrument(text: str, seed: int) -> str:
    """Put a point before every simple statement inside functions."""
    tree = ast.parse(text)
    inserts: list[tuple[int, int, bytes]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            _points(node.body, inserts, docstring=True)
    if not inserts:
        return text
    lines = text.encode().split(b"\n")
    _import(tree, lines, inserts, b"import _preempt; _pt = _preempt.seeded(%d)" % seed)
    # From the end, so that earlier columns stay where they were.
    for line, column, code in sorted(set(inserts), reverse=True):
        row = lines[line - 1]
        lines[line - 1] = row[:column] + code + row[column:]
    return b"\n".join(lines).decode()


def _points(body: list[ast.stmt], inserts: list[tuple[int, int, bytes]], docstring: bool) -> None:
    for position, node in enumerate(body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue  # ast.walk comes by
        if isinstance(node, _SIMPLE):
            if not (docstring and position == 0 and _is_text(node)):
                inserts.append((node.lineno, node.col_offset, _CALL))
            continue
        for name in ("body", "orelse", "finalbody"):
            inner = getattr(node, name, [])
            # An elif is an If where a statement cannot be put before; its body is still reached.
            _points(inner, inserts, docstring=False)
        for handler in getattr(node, "handlers", []):
            _points(handler.body, inserts, docstring=False)


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _import(
    tree: ast.Module, lines: list[bytes], inserts: list[tuple[int, int, bytes]], code: bytes
) -> None:
    first = next(n for n in tree.body if not _is_text(n))
    if isinstance(first, _SIMPLE):
        inserts.append((first.lineno, first.col_offset, code + b";"))
        return
    # A compound statement comes first: use the line above it.
    decorators = getattr(first, "decorator_list", None)
    above = (decorators[0].lineno if decorators else first.lineno) - 2
    row = lines[above].strip() if above >= 0 else b"?"
    if not row or row.startswith(b"#"):
        lines[above] = code
    elif first is not tree.body[0] and tree.body[0].end_lineno == above + 1:
        lines[above] += b"; " + code  # the module's docstring ends there
    elif isinstance(first, ast.Try | ast.If) and isinstance(first.body[0], _SIMPLE):
        inserts.append((first.body[0].lineno, first.body[0].col_offset, code + b";"))
    else:
        # At the end, which is early enough unless the module calls its functions on import.
        lines.append(code)
