"""What a worker class is: the contract between the master and whatever serves in its children.

A class is named by its dotted path (``--worker-class package.module.Class``).  It is imported in the child,
or with ``--preload`` in the master.  Then, in this order:

    patch()          before the application is imported; in the child, or with --preload in the master
    __init__(link)   in the child
    run()            in the child; returns the exit status

`run` opens its logs, loads the application (``link.load_application()``, which becomes the user that serves
before), serves on ``link.listeners`` (non-blocking sockets of the module `_socket`), and says
``link.ready()`` when requests can be answered.  From then on it calls
``link.beat()`` more often than once in ``link.config.timeout`` seconds, from where it would show that nothing
can be answered any more, until it calls ``link.rest()``.  It ends

- gracefully on SIGTERM, and when ``link.master_gone`` becomes readable; within ``graceful_timeout``.  What
  waits in the queue of the sockets is for others if ``link.has_successor()``, and to be served if not;
- at once on SIGQUIT.

It asks for a successor with ``link.ask_for_replacement()``; TERM comes when that is ready.  On SIGUSR1 it
opens its logs again, and calls ``link.reopen_log()``, which is all that happens where it has no handler.
SIGINT, which a terminal sends to all processes, reaches a handler that does nothing, and SIGABRT one that
writes stacks; both are set before the class is made.  An exception that `run` raises before it is ready is
reported by the master: a `GreenserveError` as one message, everything else with its traceback.  Nothing of
this needs gevent.  docs/signals.md has an example that is whole.
"""

from __future__ import annotations

import os
from typing import Any

from greenserve.process.link import Link


class Worker:
    """The base of all worker classes, with the attributes that hooks look at."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.cfg = link.config
        self.hooks = link.hooks
        self.age = link.age
        self.pid = os.getpid()
        self.ppid = os.getppid()
        self.alive = True
        self.booted = False
        self.aborted = False
        self.nr = 0
        self.wsgi: Any = None
        self.log: Any = link.server.log
        self.sockets = link.listeners

    @staticmethod
    def patch() -> None:
        """Prepare the process for the application's import."""

    def run(self) -> int:
        """Serve until it is time to end; return the exit status."""
        raise NotImplementedError

    def note_abort(self) -> None:
        """SIGABRT has come: it has shown no sign of life for too long, and is about to be killed."""

    def note_end(self) -> None:
        """`run` has returned, and the hook `worker_exit`: this is the last call."""

    def __str__(self) -> str:
        return f"<{type(self).__name__} {self.pid}>"
