"""The peers: each with one worker, the same application, a backlog of 2 048, no access log unless that is
what is measured, and its limits raised where it would turn away what a workload brings.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.peer import Command, Launch, Peer
from benchmarks.servers.arguments import BACKLOG, MOST_CONNECTIONS
from benchmarks.workload import Method, Workload
from benchmarks.workloads import WORKLOADS


def workloads_where(holds: Callable[[Workload], bool]) -> dict[str, Workload]:
    """Return the workloads for which `holds` is true."""
    return {name: workload for name, workload in WORKLOADS.items() if holds(workload)}


WITH_LOG = workloads_where(lambda workload: workload.access_log)
WITH_TLS = workloads_where(lambda workload: workload.tls)
PERSISTENT = workloads_where(lambda workload: workload.pipelined > 1 or workload.method is Method.IDLE)
CROWDED = workloads_where(lambda workload: workload.method in {Method.H2LOAD, Method.CROWD})
MANY = workloads_where(lambda workload: workload.connections >= 8000)
SLEEPING = workloads_where(lambda workload: workload.pause > 0)
STREAMED = workloads_where(lambda workload: workload.request.path == "/stream")


def launcher(name: str, *flags: str) -> Command:
    """Return the command of a program in benchmarks/servers/."""

    def command(launch: Launch) -> list[str]:
        target = str(launch.canned) if name == "raw" else launch.application
        arguments = [launch.python, "-m", f"benchmarks.servers.{name}", target, str(launch.port), *flags]
        if launch.certificate is not None:
            arguments += ["--certfile", str(launch.certificate.certfile)]
            arguments += ["--keyfile", str(launch.certificate.keyfile)]
        if launch.access_log is not None and name != "raw":
            arguments += ["--access-log", str(launch.access_log)]
        return arguments

    return command


def greenserve(launch: Launch) -> list[str]:
    log = str(launch.access_log or "none")
    arguments = [launch.python, "-m", "greenserve", launch.application]
    arguments += ["--bind", launch.address, "--backlog", str(BACKLOG), "--access-log", log]
    if launch.certificate is not None:
        arguments += ["--certfile", str(launch.certificate.certfile)]
        arguments += ["--keyfile", str(launch.certificate.keyfile)]
    return arguments


def gunicorn(worker: str, *flags: str) -> Command:
    """Return the command of gunicorn with a worker class."""

    def command(launch: Launch) -> list[str]:
        arguments = [launch.python, "-m", "gunicorn", "-k", worker, "--workers", "1", *flags]
        arguments += ["--bind", launch.address, "--backlog", str(BACKLOG), "--no-control-socket"]
        # Two seconds, the default, would close idle connections while others are opened.
        arguments += ["--worker-connections", str(MOST_CONNECTIONS), "--keep-alive", "75"]
        arguments += ["--log-level", "warning"]
        if launch.certificate is not None:
            arguments += ["--certfile", str(launch.certificate.certfile)]
            arguments += ["--keyfile", str(launch.certificate.keyfile)]
        if launch.access_log is not None:
            arguments += ["--access-logfile", str(launch.access_log)]
        return [*arguments, launch.application]

    return command


def granian(launch: Launch) -> list[str]:
    host, _, port = launch.address.partition(":")
    arguments = [launch.python, "-m", "granian", "--interface", "wsgi", "--http", "1", "--no-ws"]
    arguments += ["--host", host, "--port", port, "--workers", "1", "--backlog", str(BACKLOG)]
    arguments += ["--log-level", "warning"]
    if not launch.workload.pause:
        # With its default, a thread for each two places of the backlog, they fight for the interpreter's
        # lock: a burst of requests costs it nine tenths of its speed for as long as the threads live.
        arguments += ["--blocking-threads", "1", "--backpressure", str(MOST_CONNECTIONS)]
    if launch.certificate is not None:
        arguments += ["--ssl-certificate", str(launch.certificate.certfile)]
        arguments += ["--ssl-keyfile", str(launch.certificate.keyfile)]
    if launch.access_log is not None:
        arguments += ["--access-log"]  # to the standard output, which is a file
    return [*arguments, launch.application]


def uwsgi(launch: Launch) -> list[str]:
    arguments = [launch.program("uwsgi"), "--gevent", "1000", "--gevent-monkey-patch", "--need-app"]
    arguments += ["--module", launch.application, "--listen", str(min(BACKLOG, longest_queue()))]
    # --http11-socket, which would keep connections, answers one request and then none under --gevent.
    arguments += ["--add-header", "Connection: close"]
    if launch.certificate is not None:
        files = f"{launch.certificate.certfile},{launch.certificate.keyfile}"
        arguments += ["--https-socket", f"{launch.address},{files}"]
    else:
        arguments += ["--http-socket", launch.address]
    if launch.access_log is not None:
        return [*arguments, "--logto", str(launch.access_log)]
    return [*arguments, "--disable-logging"]


def longest_queue() -> int:
    """Return the longest accept queue that the system allows: uWSGI refuses to ask for more."""
    try:
        return int(Path("/proc/sys/net/core/somaxconn").read_text())
    except OSError:
        return 128


def cannot(reason: str, workloads: dict[str, Workload]) -> dict[str, str]:
    return dict.fromkeys(workloads, reason)


GUNICORN = "gunicorn -k gevent"

ALL = (
    Peer("raw", "raw gevent", launcher("raw"), ("gevent",), ("gevent",), canned=True),
    Peer("greenserve", "greenserve", greenserve, (), ("greenserve", "gevent")),
    Peer(
        "greenserve-gunicorn",
        "gunicorn -k greenserve",
        gunicorn("greenserve.gunicorn.Worker"),
        ("gunicorn",),
        ("gunicorn", "greenserve", "gevent"),
    ),
    Peer("pywsgi", "gevent.pywsgi", launcher("pywsgi"), ("gevent",), ("gevent",)),
    Peer(
        "pywsgi-nodelay",
        "gevent.pywsgi, TCP_NODELAY",
        launcher("pywsgi", "--nodelay"),
        ("gevent",),
        ("gevent",),
    ),
    Peer(
        "gunicorn",
        GUNICORN,
        gunicorn("gevent", "--http-parser", "python"),
        ("gunicorn", "gevent", "packaging"),
        ("gunicorn", "gevent"),
    ),
    Peer(
        "gunicorn-fast",
        f"{GUNICORN}, C parser",
        gunicorn("gevent", "--http-parser", "fast"),
        ("gunicorn", "gevent", "packaging", "gunicorn_h1c"),
        ("gunicorn", "gunicorn_h1c", "gevent"),
    ),
    Peer("granian", "granian --interface wsgi", granian, ("granian",), ("granian",)),
    Peer(
        "uwsgi",
        "uWSGI --gevent",
        uwsgi,
        ("uwsgi", "gevent"),
        ("uwsgi", "gevent"),
        cannot("closes the connection after each answer", PERSISTENT)
        | cannot("closes the connection after each answer: there are never so many", CROWDED)
        | cannot("sends no chunks: the end of the connection ends the answer, an error for wrk", STREAMED),
    ),
    Peer(
        "waitress",
        "waitress",
        launcher("waitress"),
        ("waitress",),
        ("waitress",),
        cannot("has no TLS", WITH_TLS)
        | cannot("has no access log", WITH_LOG)
        | cannot("looks at every connection for each request: to open so many takes minutes", MANY),
    ),
    Peer(
        "cheroot",
        "cheroot",
        launcher("cheroot"),
        ("cheroot",),
        ("cheroot",),
        cannot("has no access log", WITH_LOG),
    ),
    Peer(
        "bjoern",
        "bjoern",
        launcher("bjoern"),
        ("bjoern",),
        ("bjoern",),
        cannot("has no TLS", WITH_TLS)
        | cannot("has no access log", WITH_LOG)
        | cannot("sleeps through all 512 requests before it sends the first answer", SLEEPING),
    ),
)

PEERS = {peer.name: peer for peer in ALL}

#: What every figure is compared with.
REFERENCE = "raw"
#: Whose figures are compared with each of the others.
OURS = "greenserve"

QUICK = ("raw", "greenserve", "pywsgi-nodelay", "gunicorn")
