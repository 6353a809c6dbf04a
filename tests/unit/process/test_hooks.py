"""A hook that fails is logged, and what it was called for goes on."""

from __future__ import annotations

from io import StringIO

import pytest

from greenserve.config.hooks import ARGUMENTS
from greenserve.observe.logs import StreamLog
from greenserve.process.hooks import Hooks, guarded

GUARDED = [name for name in ARGUMENTS if name not in ("pre_request", "ssl_context")]


def failing(*arguments):
    raise RuntimeError(f"no more than {len(arguments)}")


@pytest.mark.parametrize("name", GUARDED)
def test_an_exception_is_logged_with_its_traceback_and_ends_nothing(name):
    log = StringIO()
    hook = getattr(guarded(Hooks(**{name: failing}), StreamLog(log)), name)
    assert hook(1, 2) is None
    first, *traceback = log.getvalue().splitlines()
    assert first.endswith(f"[error] the hook {name} failed")
    assert traceback[0] == "Traceback (most recent call last):"
    assert "in failing" in log.getvalue()
    assert traceback[-1] == "RuntimeError: no more than 2"


def test_a_hook_gets_its_arguments():
    seen = []
    hooks = guarded(Hooks(nworkers_changed=lambda *arguments: seen.append(arguments)), StreamLog(StringIO()))
    hooks.nworkers_changed("server", 3, 2)
    assert seen == [("server", 3, 2)]


def test_what_was_not_given_stays_as_it_was():
    assert guarded(Hooks(), StreamLog(StringIO())) == Hooks()


@pytest.mark.parametrize("name", ["pre_request", "ssl_context"])
def test_a_hook_whose_result_or_exception_has_a_meaning_is_left_alone(name):
    hooks = guarded(Hooks(**{name: failing}), StreamLog(StringIO()))
    assert getattr(hooks, name) is failing


def test_a_hook_may_end_its_process():
    def leave(server):
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        guarded(Hooks(on_starting=leave), StreamLog(StringIO())).on_starting(None)
