"""A target that leads nowhere is refused with what was looked for, and where it stopped."""

from __future__ import annotations

import pytest

from tests.importing import APP, BOTH, FACTORY, NESTED, refusal, write


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
