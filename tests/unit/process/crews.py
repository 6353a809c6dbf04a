"""A crew whose workers are numbers: no process is made."""

from __future__ import annotations

import signal
from collections import deque

from greenserve.config import Config
from greenserve.config.hooks import Hooks
from greenserve.observe.logs import NoLog
from greenserve.process import crew as module
from greenserve.process import handle
from greenserve.process.crew import Crew
from greenserve.process.flight import FlightRecorder
from greenserve.process.reload import Generation

KILLED, FINE = signal.SIGKILL, 0


class FakeLog(NoLog):
    def __init__(self):
        self.errors = []

    def error(self, message, /, *args, text=""):
        self.errors.append(message % args + ("\n" + text if text else ""))


class FakeMaster:
    """A master whose workers are numbers; `signals` are those that were sent, `dead` what is to be reaped."""

    def __init__(self, monkeypatch):
        self.log, self.hooks = FakeLog(), Hooks()
        self.signals, self.dead = [], deque()
        self.ended = []
        self.next_pid = 1000
        monkeypatch.setattr(handle.os, "kill", lambda pid, number: self.signals.append((pid, number)))
        monkeypatch.setattr(handle, "memory_kills", lambda: 0)
        monkeypatch.setattr(module, "_waitpid", self.waitpid)

    def fork(self, worker):
        self.next_pid += 1
        worker.pid = self.next_pid
        worker.recorder = FlightRecorder(4, 100)

    def waitpid(self, pid, options):
        return self.dead.popleft() if self.dead else (0, 0)

    def lose_child(self, pid, status):
        self.ended.append(pid)

    def end_reload(self, message):
        self.ended.append(message)


def generation(number=1, wanted=2, **settings):
    return Generation(number, Config.from_keywords(**settings), Hooks(), "/", wanted)


def made(master, wanted=2, **settings):
    """Return a crew all of whose workers are ready."""
    crew = Crew(master, generation(1, wanted, **settings))
    crew.fill(0.0)
    be_ready(crew)
    crew.is_started = True
    return crew


def be_ready(crew, now=1.0):
    for worker in crew.workers.values():
        worker.become_ready(now)


def die(crew, worker, status=KILLED, now=2.0):
    crew.master.dead.append((worker.pid, int(status)))
    crew.reap(now)
