"""The rules of the house, read from the source: who may import whom, and how big a thing gets.

Each rule is a function that returns what breaks it, as lines for a person to read.  The rules are
explained in docs/architecture.md and applied in test_architecture.py.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = "greenserve"

# Imports go down these numbers only; inside one part they are free, as long as they make no cycle.
# Parts with the same number do not know each other.
LAYERS = {
    "errors": 0,
    "version": 0,
    "protocol": 1,
    "wsgi": 2,
    "net": 2,
    "observe": 2,
    "server": 3,
    "process": 4,
    "cli": 5,
    "contrib": 5,
    "gunicorn": 5,
    "__init__": 5,  # the public names
    "__main__": 6,
}
# Beside the layers: they know the errors only, and only these parts know them.
BESIDE = {
    "config": {"server", "process", "cli", "contrib", "gunicorn", "__init__"},
    "importer": {"process", "cli", "gunicorn"},
    "patching": {"process", "cli", "contrib", "gunicorn"},
}

GEVENT = {"gevent", "greenlet"}
GEVENT_PLACES = ("net/", "server/", "process/serving.py", "process/worker.py", "gunicorn.py", "patching.py")
NOT_IN_PROTOCOL = GEVENT | {"_socket", "logging", "os", "select", "selectors", "socket", "ssl", "time"}
# A library that not everybody has installed is imported in one place, and from there only when it is wanted.
OPTIONAL = {
    "click": "contrib/flask.py",
    "django": "contrib/django/",
    "flask": "contrib/flask.py",
    "gunicorn": "gunicorn.py",
    "h2": "protocol/http2.py",
    "wsproto": "protocol/websocket.py",
    "prometheus_client": "observe/metrics.py",
    "setproctitle": "process/title.py",
}

FILE_LINES = 400
FUNCTION_LINES = 80
# The hot path may be dense.
LONG_FUNCTIONS = {("protocol/head.py", "parse_head"): 100, ("server/http1.py", "serve"): 100}


@dataclass(frozen=True)
class Import:
    """One imported name: the dotted module `target`, and the `name` that is taken from it, if one is."""

    target: str
    line: int
    at_import: bool  # not in a function, not for the type checker only
    name: str = ""

    @property
    def top(self) -> str:
        return self.target.partition(".")[0]


@dataclass(frozen=True)
class Module:
    """A file of the package: `path` is relative to it, such as ``net/tls.py``."""

    path: str
    source: str

    @property
    def name(self) -> str:
        return self.path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")

    @property
    def part(self) -> str:
        return self.name.partition(".")[0]

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.source, self.path)

    def imports(self) -> Iterator[Import]:
        """Yield every import, those in functions and under TYPE_CHECKING too."""
        yield from self._imports_below(self.tree, at_import=True)

    def _imports_below(self, node: ast.AST, at_import: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, child.lineno, at_import)
            elif isinstance(child, ast.ImportFrom):
                origin = self._origin_of(child)
                for alias in child.names:
                    yield Import(origin, child.lineno, at_import, alias.name)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                yield from self._imports_below(ast.Module(child.body, []), at_import=False)
                yield from self._imports_below(ast.Module(child.orelse, []), at_import)
            else:
                inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from self._imports_below(child, at_import and not inside)

    def _origin_of(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        folders = [PACKAGE, *self.path.split("/")[:-1]]
        base = folders[: len(folders) - node.level + 1]
        return ".".join([*base, node.module] if node.module else base)


class House:
    """All modules of the package, and what they import from each other."""

    def __init__(self, modules: Iterable[Module]) -> None:
        self.modules = {module.name: module for module in modules}

    def own_imports(self, module: Module) -> Iterator[tuple[str, Import]]:
        """Yield the module of ours that each import of `module` reaches, and the import."""
        for each in module.imports():
            if each.top != PACKAGE:
                continue
            target = each.target.partition(".")[2]
            inside = f"{target}.{each.name}".lstrip(".")
            yield (inside if inside in self.modules else target or "__init__"), each


def breaches_of_direction(house: House) -> list[str]:
    """Imports that go up, or sideways into a part that is none of their business."""
    return [
        f"{module.path}:{each.line} imports {target}"
        for module in house.modules.values()
        for target, each in house.own_imports(module)
        if each.name != "__version__" and not may_import(module.part, target.partition(".")[0])
    ]


def may_import(part: str, other: str) -> bool:
    """Whether `part` may import `other`; a part that the tables do not name may not, until they do."""
    if part == other:
        return True
    if other in BESIDE:
        return part in BESIDE[other] or part == "__main__"
    if part in BESIDE:
        return other == "errors"
    return part in LAYERS and other in LAYERS and LAYERS[part] > LAYERS[other]


def unplaced_modules(house: House) -> list[str]:
    """Files that neither table places."""
    return [module.path for module in house.modules.values() if module.part not in {*LAYERS, *BESIDE}]


def cycle_of(house: House) -> list[str]:
    """The modules of one import cycle, empty when there is none.

    Counted is what runs while a module is imported.  That an import of `greenserve.net.tls` runs
    `greenserve` and `greenserve.net` first is no edge: every package would be one with its content.
    """
    graph = {
        module.name: {
            target
            for target, each in house.own_imports(module)
            if each.at_import and target in house.modules and target != module.name
        }
        for module in house.modules.values()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def misplaced_libraries(house: House) -> list[str]:
    """Imports of gevent, of optional libraries and of strangers, each where it does not belong."""
    found = []
    for module in house.modules.values():
        for each in module.imports():
            if each.top in GEVENT:
                allowed = module.path.startswith(GEVENT_PLACES)
            elif each.top in OPTIONAL:
                allowed = module.path.startswith(OPTIONAL[each.top])
            else:
                allowed = each.top == PACKAGE or each.top in sys.stdlib_module_names
            if not allowed:
                found.append(f"{module.path}:{each.line} imports {each.target}")
    return found


def impurities_of_protocol(house: House) -> list[str]:
    """What protocol/ imports although it does no input, no output and reads no clock."""
    return [
        f"{module.path}:{each.line} imports {each.target}"
        for module in house.modules.values()
        if module.part == "protocol"
        for each in module.imports()
        if each.top in NOT_IN_PROTOCOL
    ]


def long_files(modules: Iterable[Module]) -> list[str]:
    """Files above `FILE_LINES`."""
    counted = ((module.path, len(module.source.splitlines())) for module in modules)
    return [f"{path} has {lines} lines" for path, lines in counted if lines > FILE_LINES]


def long_functions(modules: Iterable[Module]) -> list[str]:
    """Functions above `FUNCTION_LINES`, or above what `LONG_FUNCTIONS` allows them."""
    found = []
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > LONG_FUNCTIONS.get((module.path, node.name), FUNCTION_LINES):
                    found.append(f"{module.path}:{node.lineno} {node.name}() has {lines} lines")
    return found


def bare_excepts(modules: Iterable[Module]) -> list[str]:
    """Handlers that do not say what they handle."""
    return [
        f"{module.path}:{node.lineno} bare except"
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]


def read_modules(folder: Path) -> list[Module]:
    """Return the Python files below `folder`."""
    paths = sorted(path for path in folder.rglob("*.py"))
    return [Module(path.relative_to(folder).as_posix(), path.read_text("utf-8")) for path in paths]
