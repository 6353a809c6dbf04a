"""The settings of the master and its workers: the section that only the command reads."""

from __future__ import annotations

from dataclasses import dataclass

from greenserve.config import convert
from greenserve.config.convert import number, optional, seconds, size, switch, text
from greenserve.config.option import option


@dataclass(frozen=True, kw_only=True)
class Processes:
    """Processes.

    They are for the command: a library call serves in the process that makes it.  Without workers the
    command serves in its own process, where only the user, the group, the umask, the pid file, the
    name, the delay of a stop and the configuration file have a meaning.
    """

    config: str | None = option(
        None,
        optional(convert.path),
        "Python file with settings and hooks, each setting under its name; the environment and the command "
        "line win over it; not given: none.",
        flags=("-c",),
    )
    workers: int | str | None = option(
        None,
        optional(convert.workers),
        "Processes that serve, below a master that keeps them running: a number, or auto for the CPUs that "
        "this process may really use; not given: one process without a master.",
        flags=("-w",),
    )
    worker_class: str = option(
        "greenserve.process.worker.GeventWorker",
        text,
        "Class of the workers, as module.Class.",
        metavar="CLASS",
    )
    reuse_port: bool = option(
        False,
        switch,
        "Give each worker listening sockets of its own (SO_REUSEPORT), between which the kernel spreads "
        "connections, instead of sharing one set.",
    )
    preload: bool = option(
        False,
        switch,
        "Import the application in the master, before the workers are forked from it, so that they share "
        "its memory; a reload then starts workers with the same code.",
    )
    max_requests: int = option(
        0, number(), "Requests after which a worker is replaced by a new one; 0: no limit."
    )
    max_requests_jitter: int = option(
        0,
        number(),
        "Largest random number that is added to max_requests, for each worker another one, so that they are "
        "not replaced at the same time.",
    )
    max_worker_age: float = option(
        0.0, seconds, "Seconds after which a worker is replaced by a new one; 0: no limit."
    )
    max_worker_memory: int = option(
        0,
        size(),
        "Octets of resident memory from which a worker is replaced by a new one; 0: no limit.",
    )
    timeout: float = option(
        30.0,
        seconds,
        "Seconds that a worker's event loop may stand still; past them its stack is logged, and it is "
        "killed and replaced; 0: as long as it likes.",
    )
    boot_timeout: float = option(
        60.0,
        seconds,
        "Seconds from the start of a worker until it is ready to serve; past them it is killed; 0: as long "
        "as it takes.",
    )
    shutdown_delay: float = option(
        0.0,
        seconds,
        "Seconds at a stop in which connections are still accepted and requests served, while load "
        "balancers learn of it; 0: none.",
    )
    warmup_path: str | None = option(
        None,
        optional(convert.warmup_path),
        "Target of a GET request that each worker has the application answer before it is ready, such as "
        "/health; not given: none.",
        metavar="TARGET",
    )
    user: str | None = option(
        None,
        optional(convert.account),
        "User, by name or number, that serves once the sockets are bound; not given: who runs it.",
        metavar="USER",
    )
    group: str | None = option(
        None,
        optional(convert.account),
        "Group, by name or number, that serves; not given: that of the user.",
        metavar="GROUP",
    )
    umask: int | None = option(
        None,
        optional(convert.mode),
        "Permissions in octal digits that new files do not get, such as 027; not given: who runs it decides.",
    )
    pidfile: str | None = option(
        None,
        optional(convert.path),
        "File that holds the number of the process to send signals to; one that a dead process left is "
        "replaced; not given: none.",
    )
    proc_name: str | None = option(
        None,
        optional(text),
        "Name in the titles of the processes, which need the package setproctitle; not given: the "
        "application.",
        metavar="NAME",
    )
