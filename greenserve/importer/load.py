"""The text that names an application -> the application.

    load_application                the one function through which every application passes
        parse_target                target.py: the module or file, the attributes, the literal arguments
        import_source               says which part of a dotted name is missing
        follow                      the attributes, one by one
        call_factory                when the target ends in a call
        require_application         what is served can be called with (environ, start_response)
        discover                    when there is no target: FLASK_APP, wsgi.py, app.py

Whatever goes wrong is an AppImportError.  What the application itself raised comes with its own
traceback, in which there are neither our frames nor those of importlib.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from difflib import get_close_matches
from types import FunctionType, ModuleType
from typing import Any

from greenserve.errors import AppImportError
from greenserve.importer.origin import has_own_frames, running
from greenserve.importer.target import FactoryCall, Target, parse_target

Application = Callable[..., Any]

DEFAULT_NAMES = ("application", "app")
# Without a target, Flask's rules hold for Flask's users and everybody else.
DEFAULT_FILES = ("wsgi.py", "app.py")
DISCOVERED_NAMES = ("app", "application")
DISCOVERED_FACTORIES = ("create_app", "make_app")


def load_application(target: str | None = None) -> Application:
    """Return the application that `target` names, importing its module.

    The forms are ``module`` (its attribute ``application``, else ``app``), ``module:name.name``,
    ``module:factory("literal", 3, debug=True)``, and ``path/to/file.py`` in place of the module.
    Without a target, FLASK_APP is honoured, then wsgi.py and app.py in the current folder are tried.
    Raises AppImportError.
    """
    if target is None:
        return discover()
    parsed = parse_target(target)
    module = import_source(parsed)
    return named_application(module, parsed) if parsed.names else default_application(module)


def named_application(module: ModuleType, target: Target) -> Application:
    """Return what the names of `target` lead to, called if it says so."""
    found = follow(module, target.names)
    if target.call is not None:
        found = call_factory(found, target.call, label(module, target.names))
    return require_application(found, label(module, target.names, target.call))


def default_application(module: ModuleType) -> Application:
    """Return the attribute ``application`` of a module, else its ``app``."""
    found = {name: value for name in DEFAULT_NAMES if (value := attribute(module, name)) is not None}
    if found:
        # A package called `app` may hold a module called `application`, or the other way round.
        name = next((name for name, value in found.items() if callable(value)), next(iter(found)))
        return require_application(found[name], label(module, [name]))
    factories = [f"{module.__name__}:{name}()" for name in DISCOVERED_FACTORIES if attribute(module, name)]
    hint = f"did you mean {' or '.join(factories)}?" if factories else f"name another: {module.__name__}:NAME"
    raise AppImportError(f"{described(module)} has no attribute {' or '.join(DEFAULT_NAMES)}; {hint}")


# -- the module


def import_source(target: Target) -> ModuleType:
    """Return the module of a target.  Raises AppImportError."""
    # A file may be newer than what the import system remembers of its folder.
    importlib.invalidate_caches()
    return import_file(target.source) if target.is_file else import_module(target.source, repr(target.source))


def import_module(name: str, shown: str) -> ModuleType:
    """Return the module with this dotted name.  Raises AppImportError."""
    with running(f"importing {shown}"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            missing = error.name or ""
            # The application may miss a module of the same name: then the import has frames of its own.
            if f"{name}.".startswith(f"{missing}.") and not has_own_frames(error):
                raise AppImportError(missing_module(name, missing)) from error
            raise


def missing_module(name: str, missing: str) -> str:
    """Return which part of the dotted name is missing, and from where."""
    above, _, last = missing.rpartition(".")
    if not above:
        folder = os.getcwd()
        hint = near(last, modules_in([folder]))
        return f"there is no module {last!r} in {folder} or elsewhere on sys.path{hint}"
    package = sys.modules[above]
    if hasattr(package, "__path__"):
        hint = near(last, modules_in(package.__path__))
        return f"there is no module {last!r} in {described(package)}{hint}"
    rest = name[len(above) + 1 :]
    hint = f"; did you mean {above}:{rest}?" if hasattr(package, last) else ""
    return f"there is no module {last!r} in {described(package)}, which is not a package{hint}"


def import_file(source: str) -> ModuleType:
    """Return the module in a file, imported under the name that it has in its package.

    The folder that it is imported from comes first in sys.path, as for a script.  Raises AppImportError.
    """
    path = os.path.abspath(source)
    folder, file = os.path.split(path)
    if not os.path.isfile(path):
        files = os.listdir(folder) if os.path.isdir(folder) else []
        raise AppImportError(f"there is no file {path}{near(file, files)}")
    root, name = place_of(path)
    if "." in file.removesuffix(".py"):
        raise AppImportError(f"{path} cannot be imported: no module has a dot in its name")
    sys.path[:] = [root, *(entry for entry in sys.path if entry != root)]
    module = import_module(name, path)
    if (taken := file_of(module)) != path and not (os.path.exists(taken) and os.path.samefile(taken, path)):
        raise AppImportError(f"{path} cannot be imported as {name!r}: this module is {taken} already")
    return module


def place_of(path: str) -> tuple[str, str]:
    """Return the folder to import a file from and its dotted name, the packages that it is in included."""
    folder, file = os.path.split(path)
    names = [] if file == "__init__.py" else [file.removesuffix(".py")]
    while os.path.isfile(os.path.join(folder, "__init__.py")) and os.path.basename(folder):
        folder, package = os.path.split(folder)
        names.insert(0, package)
    return folder, ".".join(names)


# -- the attribute


def attribute(module: ModuleType, name: str) -> Any:
    """Return an attribute of a module, None if it has no such attribute."""
    with running(f"getting {label(module, [name])}"):
        return getattr(module, name, None)


def follow(module: ModuleType, names: tuple[str, ...]) -> Any:
    """Return what the dotted names lead to.  Raises AppImportError that says where they stop."""
    found: Any = module
    holder = described(module)
    for depth, name in enumerate(names, start=1):
        here = label(module, names[:depth])
        with running(f"getting {here}"):
            try:
                found = getattr(found, name)
            except AttributeError as error:
                if error.name != name:
                    raise  # a property of the application that failed for a reason of its own
                hint = near(name, dir(found))
                raise AppImportError(f"{holder} has no attribute {name!r}{hint}") from error
        holder = f"{here} ({type(found).__name__})"
    return found


def call_factory(factory: Any, call: FactoryCall, name: str) -> Any:
    """Return what a factory returns.  Raises AppImportError if it cannot be called in this way, or raises."""
    if not callable(factory):
        raise AppImportError(f"{name} cannot be called: it is of the type {type(factory).__name__}")
    if reason := mismatch(factory, call):
        raise AppImportError(f"{name} cannot be called with {call}: {reason}")
    with running(f"calling {name} with {call}"):
        return factory(*call.args, **dict(call.kwargs))


def mismatch(function: Application, call: FactoryCall) -> str:
    """Return why a call does not fit the signature of a function; "" if it does, or if nobody knows."""
    try:
        # A decorator may take other arguments than what it wraps.
        signature = inspect.signature(function, follow_wrapped=False)
    except (ValueError, TypeError):
        return ""
    try:
        signature.bind(*call.args, **dict(call.kwargs))
    except TypeError as error:
        return f"{error}; it takes {signature}"
    return ""


def is_factory(found: Any) -> bool:
    """Whether it is a function that can be called without arguments."""
    return isinstance(found, FunctionType) and not mismatch(found, FactoryCall())


def require_application(found: Any, name: str) -> Application:
    """Return `found`.  Raises AppImportError if it cannot be called with (environ, start_response)."""
    if not callable(found):
        raise AppImportError(f"{name} is not callable: it is of the type {type(found).__name__}")
    if inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(type(found).__call__):
        raise AppImportError(f"{name} is asynchronous, an ASGI application perhaps; only WSGI is served")
    if isinstance(found, FunctionType) and (reason := mismatch(found, FactoryCall(({}, None)))):
        hint = "; if it is a factory, write () behind it" if is_factory(found) else ""
        raise AppImportError(f"{name} cannot be called with (environ, start_response): {reason}{hint}")
    return found  # type: ignore[no-any-return]  # whether it is an application shows when it is called


# -- without a target


def discover() -> Application:
    """Return the application in FLASK_APP, wsgi.py or app.py.  Raises AppImportError."""
    if named := os.environ.get("FLASK_APP"):
        try:
            target = parse_target(named)
            module = import_source(target)
            if not target.names:
                return best_of(module)
            if target.call is None and is_factory(follow(module, target.names)):
                target = replace(target, call=FactoryCall())
            return named_application(module, target)
        except AppImportError as error:
            raise AppImportError(f"FLASK_APP is {named!r}: {error}", error.origin) from error
    for file in DEFAULT_FILES:
        if os.path.isfile(file):
            return best_of(import_source(Target(file)))
    files = f"{' nor '.join(DEFAULT_FILES)} is in {os.getcwd()}"
    raise AppImportError(f"no application was named: FLASK_APP is not set, and neither {files}")


def best_of(module: ModuleType) -> Application:
    """Return what is most likely the application of a module.  Raises AppImportError that names them."""
    for name in DISCOVERED_NAMES:
        if callable(found := attribute(module, name)):
            return require_application(found, label(module, [name]))
    instances = flask_instances(module)
    if len(instances) == 1:
        return next(iter(instances.values()))
    if instances:
        several = ", ".join(instances)
        raise AppImportError(f"{described(module)} has several Flask applications: {several}; name one")
    for name in DISCOVERED_FACTORIES:
        if callable(attribute(module, name)):
            return named_application(module, Target(module.__name__, (name,), FactoryCall()))
    looked_for = [*DISCOVERED_NAMES, "a Flask instance", *(f"{name}()" for name in DISCOVERED_FACTORIES)]
    raise AppImportError(f"{described(module)} has none of what was looked for: {', '.join(looked_for)}")


def flask_instances(module: ModuleType) -> dict[str, Application]:
    """Return name -> Flask application, each application once.  Flask is not imported for this."""
    flask = getattr(sys.modules.get("flask"), "Flask", None)
    if flask is None:
        return {}
    found = {id(value): name for name, value in vars(module).items() if issubclass(type(value), flask)}
    return {name: getattr(module, name) for name in found.values()}


# -- words


def label(module: ModuleType, names: Iterable[str], call: FactoryCall | None = None) -> str:
    """Return the target that leads to an attribute."""
    return f"'{module.__name__}:{'.'.join(names)}{'' if call is None else call}'"


def described(module: ModuleType) -> str:
    """Return the name of a module and the file that was searched."""
    return f"{'package' if hasattr(module, '__path__') else 'module'} {module.__name__!r} ({file_of(module)})"


def file_of(module: ModuleType) -> str:
    """Return the file or the folder of a module."""
    return getattr(module, "__file__", None) or ", ".join(getattr(module, "__path__", ["built in"]))


def near(name: str, names: Iterable[str]) -> str:
    """Return a question that offers the names near `name`; "" if there is none."""
    found = get_close_matches(name, names, n=3, cutoff=0.7)
    return f"; did you mean {' or '.join(map(repr, found))}?" if found else ""


def modules_in(folders: Iterable[str]) -> list[str]:
    """Return the names of the modules in some folders."""
    return [module.name for module in pkgutil.iter_modules(list(folders))]
