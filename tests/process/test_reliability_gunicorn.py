"""No request is lost under gunicorn with greenserve's worker class."""

from __future__ import annotations

from tests.process import gunicorns
from tests.process.fronting import behind_nginx


def test_reloads(tmp_path):
    gunicorns.reload(tmp_path, 2).check()


def test_reloads_behind_a_front_end(tmp_path):
    gunicorns.reload(tmp_path, 2, front=behind_nginx).check()


def test_upgrades(tmp_path):
    outcome = gunicorns.upgrade(tmp_path, 2)
    outcome.check()
    assert outcome.workers == 6


def test_an_upgrade_onto_a_syntax_error(tmp_path):
    gunicorns.upgrade_broken(tmp_path, 2).check()


def test_killed_workers(tmp_path):
    gunicorns.crash(tmp_path, 3, interval=0.5).check()


def test_more_and_fewer_workers(tmp_path):
    gunicorns.more_and_fewer(tmp_path, 2).check()


def test_workers_that_have_served_enough(tmp_path):
    gunicorns.serve_some_each(tmp_path, 3, requests=400).check()


def test_the_end(tmp_path):
    outcome = gunicorns.stop(tmp_path)
    outcome.check()
    assert outcome.refused
