"""Without a target, FLASK_APP, wsgi.py and app.py are tried."""

from __future__ import annotations

import sys

import pytest

from greenserve.importer import load_application
from tests.importing import APP, BOTH, answer, frames_of, refusal, write


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
