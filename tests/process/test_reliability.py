"""No request is lost, whatever happens to the workers.

Reloads, upgrades and kills happen as often as docs/reliability.md says; where a second configuration goes the
same way, and where each time takes long, a few times have to do here and `make reliability` does the rest.

Each trial fails on a lost or wrong answer, and on what is left afterwards: a process, a zombie, a descriptor,
a greenlet (`tests.process.trials`).
"""

from __future__ import annotations

import pytest

from tests.process import scenarios
from tests.process.fronting import behind_nginx
from tests.process.load import VISITORS
from tests.process.wrk import CONNECTIONS

sockets = pytest.mark.parametrize("arguments", [(), ("--reuse-port",)], ids=["shared", "reuse_port"])


@pytest.mark.parametrize(
    ("times", "arguments"), [(20, ()), (4, ("--reuse-port",))], ids=["shared", "reuse_port"]
)
def test_reloads(tmp_path, times, arguments):
    outcome = scenarios.reload(tmp_path, times, *arguments)
    outcome.check()
    assert outcome.workers > times + 1  # those of the generations between have served as well


def test_upgrades(tmp_path):
    outcome = scenarios.upgrade(tmp_path, 5)
    outcome.check()
    assert outcome.workers == 12


@sockets
def test_more_and_fewer_workers(tmp_path, arguments):
    scenarios.more_and_fewer(tmp_path, 4, *arguments).check()


def test_workers_that_have_served_enough(tmp_path):
    outcome = scenarios.serve_some_each(tmp_path, 4)
    outcome.check()
    assert outcome.events <= (outcome.answered + outcome.sent_by_wrk) // 500 + 1


def test_workers_that_grow(tmp_path):
    scenarios.grow(tmp_path, 2).check()


@sockets
def test_workers_that_are_killed(tmp_path, arguments):
    """Those requests may be lost that were sent on a connection of the worker's, and no other."""
    outcome = scenarios.crash(tmp_path, 20, *arguments)
    outcome.check()
    # Each visitor has one connection at a time.
    assert outcome.killed <= (VISITORS + CONNECTIONS) * outcome.events


def test_broken_deploys(tmp_path):
    scenarios.deploy_broken(tmp_path, 2).check()


@sockets
def test_the_end(tmp_path, arguments):
    outcome = scenarios.stop(tmp_path, *arguments)
    outcome.check()
    assert outcome.refused


def test_reloads_behind_nginx(tmp_path):
    scenarios.reload(tmp_path, 4, front=behind_nginx).check()


def test_workers_that_have_served_enough_behind_nginx(tmp_path):
    scenarios.serve_some_each(tmp_path, 3, requests=300, front=behind_nginx).check()
