"""The text that names an application leads to it, or to a message that says where it stopped."""

from __future__ import annotations

import os
import sys
from textwrap import dedent

import pytest

from greenserve.errors import AppImportError
from greenserve.importer import load_application

HERE = os.path.dirname(load_application.__code__.co_filename)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Return the current folder, first in sys.path; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("FLASK_APP", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def write(path, source):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(source))
    return path


def refusal(target=None):
    with pytest.raises(AppImportError) as refused:
        load_application(target)
    assert "\n" not in str(refused.value)
    assert HERE not in refused.value.origin
    assert "importlib" not in refused.value.origin
    return refused.value


APP = """
    def app(environ, start_response):
        return [b"app"]
"""
BOTH = """
    def app(environ, start_response):
        return [b"app"]

    def application(environ, start_response):
        return [b"application"]
"""
NESTED = """
    class Site:
        def wsgi(self, environ, start_response):
            return [b"nested"]

        @property
        def broken(self):
            return self.missing

        @property
        def failing(self):
            raise LookupError("no configuration")

    site = Site()
    settings = {}
"""
FACTORY = """
    class Site:
        def __init__(self, *args, **kwargs):
            self.arguments = args, kwargs

        def __call__(self, environ, start_response):
            return [b"made"]

    def make(name="", count=0, *, debug=False):
        return Site(name, count, debug=debug)

    def nothing():
        pass

    def failing():
        raise ValueError("no database\\nanywhere")

    text = "make"
"""


def answer(application):
    return b"".join(application({}, None))


# -- what is found


def test_a_module_gives_its_application_before_its_app(folder):
    write(folder / "both.py", BOTH)
    write(folder / "single.py", APP)
    assert answer(load_application("both")) == b"application"
    assert answer(load_application("single")) == b"app"


def test_a_module_in_a_package_is_found(folder):
    write(folder / "site_a/__init__.py", "")
    write(folder / "site_a/web/__init__.py", "")
    write(folder / "site_a/web/wsgi.py", "from . import __name__ as above\n" + dedent(APP))
    assert answer(load_application("site_a.web.wsgi:app")) == b"app"
    assert sys.modules["site_a.web.wsgi"].above == "site_a.web"


def test_an_attribute_of_an_attribute_is_found(folder):
    write(folder / "nested.py", NESTED)
    assert answer(load_application("nested:site.wsgi")) == b"nested"


def test_a_submodule_called_app_does_not_hide_the_application(folder):
    write(folder / "hiding/__init__.py", "from hiding import application\n" + dedent(APP))
    write(folder / "hiding/application.py", "")
    assert answer(load_application("hiding")) == b"app"


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("make()", (("", 0), {"debug": False})),
        ("make('x', -3, debug=True)", (("x", -3), {"debug": True})),
        ("make([1, {'a': None}], (2,))", (([1, {"a": None}], (2,)), {"debug": False})),
        (" make( count = 1 ) ", (("", 1), {"debug": False})),
    ],
)
def test_a_factory_is_called_with_literals(folder, call, arguments):
    write(folder / "factory.py", FACTORY)
    assert load_application(f"factory:{call}").arguments == arguments


def test_a_class_may_be_the_application(folder):
    write(folder / "klass.py", "class App:\n    def __init__(self, environ, start_response): pass\n")
    assert load_application("klass:App") is sys.modules["klass"].App


def test_a_decorator_may_take_other_arguments_than_what_it_wraps(folder):
    write(
        folder / "wrapped.py",
        """
        from functools import wraps

        def responder(view):
            @wraps(view)
            def application(*args):
                return [view(args[0])]
            return application

        @responder
        def app(request):
            return b"wrapped"
        """,
    )
    assert answer(load_application("wrapped:app")) == b"wrapped"


# -- files


def test_a_file_is_imported_from_its_folder(folder):
    write(folder / "deep/down/hello.py", "from neighbour import app\n")
    write(folder / "deep/down/neighbour.py", APP)
    assert answer(load_application("deep/down/hello.py")) == b"app"
    assert answer(load_application(f"{folder}/deep/down/hello.py:app")) == b"app"
    assert sys.path[0] == str(folder / "deep/down")
    assert sys.path.count(sys.path[0]) == 1


def test_a_file_in_a_package_can_import_relatively(folder):
    write(folder / "src/site_b/__init__.py", "")
    write(folder / "src/site_b/wsgi.py", "from .parts import app\n")
    write(folder / "src/site_b/parts.py", APP)
    assert answer(load_application("src/site_b/wsgi.py")) == b"app"
    assert "site_b.wsgi" in sys.modules


def test_a_package_is_named_by_its_init_file(folder):
    write(folder / "src/site_c/__init__.py", APP)
    assert answer(load_application("src/site_c/__init__.py:app")) == b"app"
    assert "site_c" in sys.modules


def test_a_file_need_not_be_named_like_an_identifier(folder):
    write(folder / "my-app.py", APP)
    assert answer(load_application("my-app.py")) == b"app"


def test_a_file_that_is_not_there_is_named_with_its_neighbours(folder):
    write(folder / "hello.py", APP)
    assert str(refusal("hallo.py:app")) == f"there is no file {folder}/hallo.py; did you mean 'hello.py'?"
    assert str(refusal("no/where.py")) == f"there is no file {folder}/no/where.py"


def test_a_file_cannot_have_the_name_of_another_module(folder):
    write(folder / "time.py", APP)
    assert str(refusal("time.py")).startswith(f"{folder}/time.py cannot be imported as 'time': ")


def test_a_file_name_with_a_dot_is_no_module(folder):
    write(folder / "my.app.py", APP)
    assert "no module has a dot in its name" in str(refusal("my.app.py"))


# -- the target


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("", "neither a module name nor the path of a .py file"),
        ("path/to/file", "neither a module name nor the path of a .py file"),
        (".relative", "neither a module name"),
        (":app", "neither a module name"),
        ("single:", "not the name of an attribute"),
        ("single:class", "not the name of an attribute"),
        ("single:app:app", "not the name of an attribute"),
        ("single:app + 1", "neither an attribute nor the call of one"),
        ("single:app()()", "neither an attribute nor the call of one"),
        ("single:[app][0]", "neither an attribute nor the call of one"),
        ("single:make(app)", "have to be literals"),
        ("single:make(open('x'))", "have to be literals"),
        ("single:make(*[1])", "have to be literals"),
        ("single:make(**{})", "have to be literals"),
    ],
)
def test_a_target_of_another_form_is_refused(target, reason):
    error = refusal(target)
    assert str(error).startswith(repr(target))
    assert reason in str(error)


# -- what is missing


def test_a_missing_module_is_named_with_its_neighbours(folder):
    write(folder / "hello.py", APP)
    error = refusal("helo:app")
    expected = f"there is no module 'helo' in {folder} or elsewhere on sys.path; did you mean 'hello'?"
    assert (str(error), error.origin) == (expected, "")


def test_the_missing_part_of_a_dotted_name_is_named(folder):
    write(folder / "site_d/__init__.py", "")
    write(folder / "site_d/views.py", "")
    expected = (
        f"there is no module 'view' in package 'site_d' ({folder}/site_d/__init__.py); did you mean 'views'?"
    )
    assert str(refusal("site_d.view.wsgi:app")) == expected


def test_a_module_is_not_a_package(folder):
    write(folder / "single.py", APP)
    expected = (
        f"there is no module 'app' in module 'single' ({folder}/single.py), which is not a package; "
        "did you mean single:app?"
    )
    assert str(refusal("single.app")) == expected
    assert "did you mean" not in str(refusal("single.other"))


def test_a_missing_attribute_is_named_with_its_neighbours(folder):
    write(folder / "both.py", BOTH)
    error = refusal("both:aplication")
    expected = f"module 'both' ({folder}/both.py) has no attribute 'aplication'; did you mean 'application'?"
    assert (str(error), error.origin) == (expected, "")


def test_the_place_where_a_dotted_attribute_stops_is_named(folder):
    write(folder / "nested.py", NESTED)
    assert str(refusal("nested:site.wsgy")) == (
        "'nested:site' (Site) has no attribute 'wsgy'; did you mean 'wsgi'?"
    )
    assert str(refusal("nested:site.wsgi.x")) == "'nested:site.wsgi' (method) has no attribute 'x'"


def test_a_module_without_application_and_app_offers_its_factories(folder):
    write(folder / "plain.py", "")
    write(folder / "factories.py", "def create_app(): pass\n")
    assert str(refusal("plain")).endswith("has no attribute application or app; name another: plain:NAME")
    assert str(refusal("factories")).endswith("; did you mean factories:create_app()?")


# -- what is no application


@pytest.mark.parametrize(
    ("target", "kind"),
    [("nested:settings", "dict"), ("factory:nothing()", "NoneType"), ("os:path", "module")],
)
def test_what_is_not_callable_is_refused_with_its_type(folder, target, kind):
    write(folder / "nested.py", NESTED)
    write(folder / "factory.py", FACTORY)
    assert str(refusal(target)) == f"{target!r} is not callable: it is of the type {kind}"


def test_an_app_that_is_not_callable_is_refused(folder):
    write(folder / "text.py", "app = 'app'\n")
    assert str(refusal("text")) == "'text:app' is not callable: it is of the type str"


def test_a_factory_that_is_not_called_is_found_out(folder):
    write(folder / "factory.py", FACTORY)
    message = str(refusal("factory:failing"))
    assert message.startswith("'factory:failing' cannot be called with (environ, start_response): ")
    assert message.endswith("; if it is a factory, write () behind it")


def test_an_asynchronous_application_is_refused(folder):
    write(
        folder / "later.py",
        """
        async def app(scope, receive, send):
            pass

        class Site:
            async def __call__(self, scope, receive, send):
                pass

        site = Site()
        """,
    )
    assert "only WSGI is served" in str(refusal("later:app"))
    assert "only WSGI is served" in str(refusal("later:site"))


def test_arguments_that_do_not_fit_a_factory_are_refused(folder):
    write(folder / "factory.py", FACTORY)
    error = refusal("factory:make(1, 2, 3)")
    assert str(error) == (
        "'factory:make' cannot be called with (1, 2, 3): too many positional arguments; "
        "it takes (name='', count=0, *, debug=False)"
    )
    assert "unexpected keyword argument 'colour'" in str(refusal("factory:make(colour='red')"))
    assert str(refusal("factory:text()")) == "'factory:text' cannot be called: it is of the type str"


# -- what the application raises


def frames_of(error):
    return [line.split('"')[1] for line in error.origin.splitlines() if line.startswith('  File "')]


def test_an_import_error_inside_the_application_comes_with_its_traceback(folder):
    write(folder / "outer.py", "import inner\n")
    write(folder / "inner.py", "import not_installed\n")
    error = refusal("outer:app")
    assert str(error) == "importing 'outer' failed: ModuleNotFoundError: No module named 'not_installed'"
    assert error.origin.startswith("Traceback (most recent call last):\n")
    assert frames_of(error) == [f"{folder}/outer.py", f"{folder}/inner.py"]


def test_a_package_that_misses_a_part_of_itself_is_not_mistaken_for_a_wrong_target(folder):
    write(folder / "site_e/__init__.py", "import site_e.wsgi\n")
    error = refusal("site_e.wsgi")
    assert str(error).startswith("importing 'site_e.wsgi' failed: ModuleNotFoundError")
    assert frames_of(error) == [f"{folder}/site_e/__init__.py"]


def test_causes_are_shown_without_our_frames_too(folder):
    write(
        folder / "chain.py",
        """
        try:
            import not_installed
        except ImportError as error:
            raise RuntimeError("cannot start") from error
        """,
    )
    error = refusal("chain")
    assert str(error) == "importing 'chain' failed: RuntimeError: cannot start"
    assert "direct cause" in error.origin
    assert frames_of(error) == [f"{folder}/chain.py"] * 2


def test_a_syntax_error_is_shown_with_its_line(folder):
    write(folder / "broken.py", "x = 1\ndef f(:\n    pass\n")
    error = refusal("broken")
    assert str(error).startswith(f"importing 'broken' failed: syntax error in {folder}/broken.py, line 2: ")
    assert frames_of(error) == [f"{folder}/broken.py"]
    assert "    def f(:\n          ^\n" in error.origin
    assert not error.origin.startswith("Traceback")


def test_a_syntax_error_further_down_is_shown_with_the_way_to_it(folder):
    write(folder / "above.py", "import broken_below\n")
    write(folder / "broken_below.py", "def f(:\n")
    error = refusal("above")
    assert "syntax error in" in str(error)
    assert frames_of(error) == [f"{folder}/above.py", f"{folder}/broken_below.py"]


def test_a_file_that_is_no_text_is_refused(folder):
    (folder / "binary.py").write_bytes(b"\0\xff\n")
    assert str(refusal("binary.py")).startswith(f"importing {folder}/binary.py failed: ")


def test_an_application_that_exits_does_not_end_the_server(folder):
    write(folder / "leaving.py", "import sys\nsys.exit('set DATABASE_URL')\n")
    error = refusal("leaving")
    assert str(error) == "importing 'leaving' failed: SystemExit: set DATABASE_URL"
    assert frames_of(error) == [f"{folder}/leaving.py"]


def test_an_interrupt_stays_an_interrupt(folder):
    write(folder / "interrupted.py", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_application("interrupted")


def test_a_failing_factory_comes_with_its_traceback(folder):
    write(folder / "factory.py", FACTORY)
    error = refusal("factory:failing()")
    assert str(error) == "calling 'factory:failing' with () failed: ValueError: no database"
    assert frames_of(error) == [f"{folder}/factory.py"]
    assert error.origin.endswith("ValueError: no database\nanywhere\n")


def test_a_failing_property_is_not_mistaken_for_a_missing_one(folder):
    write(folder / "nested.py", NESTED)
    for name, kind in (("broken", "AttributeError"), ("failing", "LookupError")):
        error = refusal(f"nested:site.{name}")
        assert str(error).startswith(f"getting 'nested:site.{name}' failed: {kind}: ")
        assert frames_of(error) == [f"{folder}/nested.py"]


# -- without a target


def test_wsgi_py_comes_before_app_py(folder):
    write(folder / "app.py", APP)
    assert answer(load_application()) == b"app"
    write(folder / "wsgi.py", "def application(environ, start_response):\n    return [b'wsgi']\n")
    assert answer(load_application()) == b"wsgi"


def test_app_comes_before_application(folder):
    write(folder / "wsgi.py", BOTH)
    assert answer(load_application()) == b"app"


def test_flask_app_comes_first(folder, monkeypatch):
    write(folder / "wsgi.py", APP)
    write(folder / "other/site_f.py", BOTH)
    monkeypatch.setenv("FLASK_APP", "other/site_f.py:application")
    assert answer(load_application()) == b"application"
    assert answer(load_application("wsgi")) == b"app"


@pytest.mark.parametrize("named", ["maker:create_app", "maker:create_app()", "maker", "maker.py"])
def test_a_factory_in_flask_app_is_called(folder, monkeypatch, named):
    write(
        folder / "maker.py",
        """
        def create_app(answer=b"made"):
            def application(environ, start_response):
                return [answer]
            return application
        """,
    )
    monkeypatch.setenv("FLASK_APP", named)
    assert answer(load_application()) == b"made"


def test_an_application_in_flask_app_is_not_called(folder, monkeypatch):
    write(folder / "both.py", BOTH)
    monkeypatch.setenv("FLASK_APP", "both:application")
    assert answer(load_application()) == b"application"


def test_the_single_flask_instance_is_found(folder):
    pytest.importorskip("flask")
    write(folder / "wsgi.py", "from flask import Flask\nsite = same = Flask(__name__)\n")
    assert load_application() is sys.modules["wsgi"].site


def test_one_of_several_flask_instances_has_to_be_named(folder):
    pytest.importorskip("flask")
    write(folder / "wsgi.py", "from flask import Flask\none = Flask('a')\ntwo = Flask('b')\n")
    assert str(refusal()).endswith(" has several Flask applications: one, two; name one")


def test_all_that_was_looked_for_is_named(folder, monkeypatch):
    assert str(refusal()) == (
        f"no application was named: FLASK_APP is not set, and neither wsgi.py nor app.py is in {folder}"
    )
    write(folder / "app.py", "def main(): pass\n")
    searched = "has none of what was looked for: app, application, a Flask instance, create_app(), make_app()"
    assert str(refusal()) == f"module 'app' ({folder}/app.py) {searched}"
    monkeypatch.setenv("FLASK_APP", "app")
    assert str(refusal()) == f"FLASK_APP is 'app': module 'app' ({folder}/app.py) {searched}"


def test_an_error_in_what_flask_app_names_keeps_its_traceback(folder, monkeypatch):
    write(folder / "failing.py", "1 / 0\n")
    monkeypatch.setenv("FLASK_APP", "failing")
    assert frames_of(refusal()) == [f"{folder}/failing.py"]
