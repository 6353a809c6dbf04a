"""What a process that serves needs: its logs."""

from __future__ import annotations

import logging

import gevent
import pytest

from greenserve.config import Config
from greenserve.process.serving import Logs


@pytest.fixture
def logger(monkeypatch):
    """The logger of the error log, given back as it was found."""
    logger = logging.getLogger("greenserve.error")
    for name in ("handlers", "level", "propagate", "disabled"):
        monkeypatch.setattr(logger, name, getattr(logger, name))
    logger.handlers = []


def test_nobody_else_runs_while_the_logs_are_closed(tmp_path, logger):
    """What is answered meanwhile would have no line."""
    access, errors = tmp_path / "access.log", tmp_path / "errors.log"
    logs = Logs(Config.from_keywords(access_log=str(access), error_log=str(errors)))
    ran = []
    gevent.spawn(ran.append, "another greenlet")
    logs.access.write("a line\n")
    logs.errors.write("another line\n")
    logs.close()
    assert (access.read_text(), errors.read_text()) == ("a line\n", "another line\n")
    assert ran == []
    logs.close()  # once more does nothing
