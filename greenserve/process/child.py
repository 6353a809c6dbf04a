"""What happens in a child of the master before its worker class takes over, and after that."""

from __future__ import annotations

import atexit
import os
import signal
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from greenserve.errors import ConfigError
from greenserve.process import privileges
from greenserve.process.contract import Worker
from greenserve.process.failure import Failure
from greenserve.process.link import FAILED, Link
from greenserve.process.stack import StackWriter
from greenserve.process.title import set_title, title_of

if TYPE_CHECKING:
    from greenserve.process.reload import Generation

#: What is for the master alone.  Not ignored, which programs that a worker runs would inherit.
NOT_FOR_WORKERS = (
    signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGWINCH, signal.SIGTTIN, signal.SIGTTOU,
)  # fmt: skip


def run_worker(link: Link, worker_class: Any = None) -> int:
    """Be a worker until the end; return the exit status.  What keeps it from serving is told the master."""
    worker: Worker | None = None
    try:
        reset_signals(link)
        set_title(title_of(f"worker {link.age}", link.config.proc_name or link.config.application))
        stacks = StackWriter(link.reports)
        stacks.install()
        if worker_class is None:
            worker_class = find_class(link.config.worker_class)
            worker_class.patch()
        worker = worker_class(link)
        stacks.on_abort = partial(abort, link, worker)
        link.hooks.post_fork(link.server, worker)
        if not link.config.preload:
            link.hooks.post_patch(worker)
        return worker.run()
    except Exception as error:
        failure = Failure.of(error.renamed(link.names) if isinstance(error, ConfigError) else error)
        link.say(FAILED, failure.to_text())
        return failure.status
    finally:
        if worker is not None and worker.pid == os.getpid():
            worker.alive = False
            link.hooks.worker_exit(link.server, worker)
            worker.note_end()  # its logs are open until then: the hook may use them


def abort(link: Link, worker: Worker) -> None:
    """Have a worker that is about to be killed do what it still can."""
    worker.note_abort()
    link.hooks.worker_abort(worker)


def reset_signals(link: Link) -> None:
    """Have the signals mean what they mean to a program, before a worker class says otherwise."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGUSR1, lambda *_: link.reopen_log())
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    for number in NOT_FOR_WORKERS:
        signal.signal(number, ignore)
    # An interpreter that ends has the default for it: a supervisor tells all processes, and the master tells
    # each worker once more.  Last of all, when no program is started any more that would inherit it.
    atexit.register(signal.signal, signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def ignore(number: int, frame: object) -> None:
    """Do nothing."""


def find_class(path: str) -> Any:
    """Return the worker class at a dotted path.  Raises ConfigError."""
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, ValueError) as error:
        raise ConfigError("worker_class", path, f"it cannot be imported: {error}") from error
    except AttributeError:
        raise ConfigError("worker_class", path, f"{module} has no {name}") from None
    if not (isinstance(found, type) and hasattr(found, "run") and hasattr(found, "patch")):
        raise ConfigError("worker_class", path, "it is no worker class")
    return found


def load_as_user(generation: Generation) -> Any:
    """Return the application; become the user that serves before it is imported.

    Here, so that no worker class can forget it.  Logs are to be open by then.
    """
    config = generation.config
    privileges.drop(config.user, config.group, config.umask)
    return generation.load()
