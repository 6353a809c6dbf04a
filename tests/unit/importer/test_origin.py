"""What the application raises is shown with its own frames only."""

from __future__ import annotations

import pytest

from greenserve.importer import load_application
from tests.importing import FACTORY, NESTED, frames_of, refusal, write


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
