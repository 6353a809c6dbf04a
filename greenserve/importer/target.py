"""The text that names an application, taken apart; nothing is imported here.

module                        module:attribute.attribute
path/to/file.py               path/to/file.py:factory("literal", 3, debug=True)
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

from greenserve.errors import AppImportError


@dataclass(frozen=True)
class FactoryCall:
    """The arguments of a factory, all of them literals."""

    args: tuple[Any, ...] = ()
    kwargs: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        arguments = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs)]
        return f"({', '.join(arguments)})"


@dataclass(frozen=True)
class Target:
    """`source` is a dotted module name or the path of a file, `names` lead from there to the attribute."""

    source: str
    names: tuple[str, ...] = ()
    call: FactoryCall | None = None

    @property
    def is_file(self) -> bool:
        """Whether the source is the path of a file."""
        return self.source.endswith(".py")


def parse_target(target: str) -> Target:
    """Return the parts of `target`.  Raises AppImportError when it has none of the forms."""
    before, extension, behind = target.partition(".py:")
    if extension:
        return Target(f"{before}.py", *parse_expression(behind, target))
    if target.endswith(".py"):
        return Target(target)
    source, colon, expression = target.partition(":")
    if not all(part.isidentifier() for part in source.split(".")):
        raise AppImportError(f"{target!r}: {source!r} is neither a module name nor the path of a .py file")
    return Target(source, *parse_expression(expression, target)) if colon else Target(source)


def parse_expression(expression: str, target: str) -> tuple[tuple[str, ...], FactoryCall | None]:
    """Return the names before the call, and the call if there is one.  Raises AppImportError."""
    try:
        node = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        raise AppImportError(f"{target!r}: {expression!r} is not the name of an attribute") from None
    call = None
    if isinstance(node, ast.Call):
        call = literal_call(node, target)
        node = node.func
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise AppImportError(f"{target!r}: {expression!r} is neither an attribute nor the call of one")
    return (node.id, *names), call


def literal_call(node: ast.Call, target: str) -> FactoryCall:
    """Return the arguments of a call.  Raises AppImportError if one is no literal: nothing is evaluated."""
    try:
        args = tuple(ast.literal_eval(argument) for argument in node.args)
        kwargs = tuple((str(keyword.arg), ast.literal_eval(keyword.value)) for keyword in node.keywords)
    except (ValueError, TypeError, MemoryError, RecursionError):
        raise AppImportError(f"{target!r}: the arguments of a factory have to be literals") from None
    if any(keyword.arg is None for keyword in node.keywords):
        raise AppImportError(f"{target!r}: the arguments of a factory have to be literals, without **")
    return FactoryCall(args, kwargs)
