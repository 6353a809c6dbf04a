"""A target leads to its application, as a module or as a file."""

from __future__ import annotations

import sys
from textwrap import dedent

import pytest

from greenserve.importer import load_application
from tests.importing import APP, BOTH, FACTORY, NESTED, answer, refusal, write


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
