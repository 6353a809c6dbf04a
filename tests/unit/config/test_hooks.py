"""Hooks: gunicorn's names and arities, checked when they are read."""

from __future__ import annotations

from dataclasses import fields

import pytest

from greenserve.config.hooks import ARGUMENTS, Hooks, nothing, read_hooks

#: As many as gunicorn gives to each, and what is ours.
COUNTS = {
    "on_starting": 1,
    "on_reload": 1,
    "when_ready": 1,
    "pre_fork": 2,
    "post_fork": 2,
    "post_patch": 1,
    "post_worker_init": 1,
    "worker_int": 1,
    "worker_abort": 1,
    "worker_exit": 2,
    "child_exit": 2,
    "pre_exec": 1,
    "nworkers_changed": 3,
    "on_exit": 1,
    "pre_request": 2,
    "post_request": 4,
    "ssl_context": 2,
}


def function(count):
    """Return a function that takes `count` arguments and returns them."""
    names = ", ".join("abcdef"[:count])
    return eval(f"lambda {names}: [{names}]")


def test_there_is_a_place_for_every_name():
    assert [each.name for each in fields(Hooks)] == list(ARGUMENTS) == list(COUNTS)


def test_a_hook_that_is_not_given_does_nothing_and_a_request_does_not_even_look():
    hooks = Hooks()
    assert hooks.pre_fork("server", "worker") is None
    assert (hooks.pre_request, hooks.post_request, hooks.ssl_context) == (None, None, None)
    assert hooks.given() == {}


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_each_takes_as_many_arguments_as_gunicorn_gives(name, count):
    hook = getattr(read_hooks({name: function(count)}), name)
    assert hook(*range(count)) == list(range(count))
    for wrong in (count - 1, count + 1) if name != "post_request" else (1, 5):
        with pytest.raises(ValueError, match=f"^{name}: a function that takes .* is wanted$"):
            read_hooks({name: function(wrong)})


@pytest.mark.parametrize("count", [2, 3, 4])
def test_post_request_gets_as_much_as_it_takes(count):
    hook = read_hooks({"post_request": function(count)}).post_request
    assert hook is not None
    assert hook("worker", "req", "environ", "resp") == ["worker", "req", "environ", "resp"][:count]


def test_defaults_stars_and_methods_count():
    class Turns:
        def pre_fork(self, server, worker, more=None):
            return server, worker

    assert read_hooks({"pre_fork": Turns().pre_fork}).pre_fork(1, 2) == (1, 2)
    assert read_hooks({"pre_fork": lambda *arguments: arguments}).pre_fork(1, 2) == (1, 2)
    with pytest.raises(ValueError, match="^pre_fork: "):
        read_hooks({"pre_fork": lambda server, worker, *, word: None})


def test_a_function_in_c_may_say_nothing_about_its_arguments():
    assert read_hooks({"on_exit": iter}).on_exit is iter


def test_none_is_a_hook_that_is_not_given():
    assert read_hooks({"on_exit": None, "post_request": None}) == Hooks()
    assert Hooks().on_exit is nothing


@pytest.mark.parametrize("value", [5, "path.to.function", [print]])
def test_what_cannot_be_called_is_refused(value):
    with pytest.raises(ValueError, match="^when_ready: not a function$"):
        read_hooks({"when_ready": value})
