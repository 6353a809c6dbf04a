"""What the signals mean, where no process is needed to tell."""

from __future__ import annotations

import errno
import os
import signal
from types import SimpleNamespace

import pytest

from greenserve.config import Config
from greenserve.config.hooks import Hooks
from greenserve.process import upgrade
from greenserve.process.commands import Commands
from greenserve.process.reload import MOST_WORKERS, Generation
from tests.process.trees import descriptors


class Log:
    def __init__(self):
        self.lines = []

    def info(self, message, *args, text=""):
        self.lines.append(message % args)

    error = info


@pytest.fixture
def master():
    """Return what of a master the commands look at."""
    crew = SimpleNamespace(
        is_asleep=False,
        current=Generation(1, Config(), Hooks(), "/", 1),
        coming=None,
        fill=lambda now: None,
        of=lambda generation: [],
    )
    return SimpleNamespace(
        pid=os.getpid(),
        log=Log(),
        hooks=Hooks(),
        crew=crew,
        listeners=SimpleNamespace(open=lambda count: None),
        upgrade=None,
        heritage=SimpleNamespace(predecessor=None),
        source=SimpleNamespace(environ={}),
    )


def test_no_more_workers_are_wanted_than_there_are_seats_for(master):
    commands = Commands(master)
    for start, difference, expected in ((1, -1, 1), (1, +1, 2), (MOST_WORKERS, +1, MOST_WORKERS)):
        master.crew.current.wanted = start
        commands.change_wanted(difference)
        assert master.crew.current.wanted == expected


def test_without_a_process_for_it_there_is_no_upgrade_and_the_master_goes_on(master, monkeypatch):
    def refuse():
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(upgrade, "_fork", refuse)
    mask, open_before = signal.pthread_sigmask(signal.SIG_BLOCK, ()), descriptors(os.getpid())
    Commands(master).start_upgrade()
    assert master.upgrade is None
    assert master.log.lines[-1] == "no upgrade: [Errno 11] Resource temporarily unavailable"
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
    assert descriptors(os.getpid()) == open_before
