"""One measurement of one server, by each of the methods.

A server is started anew for each of them, has given a right answer before, and is killed afterwards.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import IO, Any

from benchmarks.bystanders import Bystanders
from benchmarks.client import UNANNOUNCED, ask_once, read_process
from benchmarks.clients.idle import PATIENCE as OPENING_PATIENCE
from benchmarks.cores import Cores
from benchmarks.load import GRACE, LoadReport, Unreadable, run_client, run_h2load, run_wrk
from benchmarks.memory import OTHER_DESCRIPTORS, raise_descriptor_limit, resident
from benchmarks.sample import Sample, percentile
from benchmarks.server import ROOT, Server
from benchmarks.workload import HELLO, Method, Workload

#: How fast connections are opened at least: h2load's warm-up lasts until all are there.
CONNECTIONS_PER_SECOND = 4000
#: Requests that a server has answered before its memory counts as that of an idle one.
REQUESTS_BEFORE_IDLE = 50
#: Seconds in which a server may do what it does when nothing comes any more.
SETTLING = 0.3
#: wrk looks at its clock ten times a second.
SHORTEST = 0.1
MEGABYTE = 1_000_000
PATCHED_PYTHON = "from gevent import monkey; monkey.patch_all()"


class Void(Exception):
    """The run gave no figure that means anything; the text is the reason."""


@dataclass(frozen=True)
class Terms:
    """How long, and on which cores.  `patience` bounds what is counted in requests; 0: no bound."""

    seconds: float
    warm_up: float
    patience: float
    cores: Cores


def measure(server: Server, workload: Workload, terms: Terms) -> Sample:
    """Return what the workload's method finds, void with its reason where that means nothing."""
    bystanders = Bystanders(terms.cores, server.process.pid)
    try:
        sample = METHODS[workload.method](server, workload, terms)
    except (Void, Unreadable, subprocess.SubprocessError) as error:
        return Sample(void=str(error))
    if server.process.poll() is not None:
        return Sample(void=f"the server ended: {server.last_words()}")
    return replace(sample, others=bystanders.share())


def by_wrk(server: Server, workload: Workload, terms: Terms) -> Sample:
    folder = server.launch.folder
    # The requests of a client that has gone wait before those that count: few, where each takes its time.
    few = min(workload.connections, 4) if workload.pause else workload.connections
    run_wrk(replace(workload, connections=few), server.port, terms.warm_up, terms.cores, folder)
    ask_once(server.port, workload.request, workload.tls)  # answered behind them
    lines = count_lines(server)
    report = run_wrk(workload, server.port, terms.seconds, terms.cores, folder)
    if workload.request.closes and server.note == UNANNOUNCED:
        report = report.excusing_ends()
    if workload.access_log and not server.peer.canned:
        check_log(count_lines(server) - lines, report.answers)
    return as_sample(report, workload)


def count_lines(server: Server) -> int:
    """Return how many lines the server has logged, to the file it was given or to its output."""
    log = server.launch.access_log
    if log is None:
        return 0
    return sum(path.read_bytes().count(b"\n") for path in (log, server.output) if path.exists())


def check_log(lines: int, answers: int) -> None:
    """Raise Void where there are not nearly as many lines as answers; some may still be on their way."""
    if lines < 0.5 * answers:
        raise Void(f"{lines} lines in the access log for {answers} answers")


def by_h2load(server: Server, workload: Workload, terms: Terms) -> Sample:
    warm_up = max(terms.warm_up, workload.connections / CONNECTIONS_PER_SECOND)
    report = run_h2load(workload, server.port, terms.seconds, warm_up, terms.cores, server.launch.folder)
    return as_sample(report, workload)


def raise_fault(report: LoadReport, workload: Workload) -> None:
    """Raise Void when there were errors."""
    if fault := report.fault(len(workload.request.answer)):
        raise Void(fault)


def as_sample(report: LoadReport, workload: Workload) -> Sample:
    """Return the figure.  Raises Void when there were errors."""
    raise_fault(report, workload)
    figure = workload.in_unit(report.per_second)
    return Sample(figure, p50_ms=report.p50_ms, p99_ms=report.p99_ms, details={"answers": report.answers})


def by_download(server: Server, workload: Workload, terms: Terms) -> Sample:
    seen = run_own_client(
        "download", server, workload, terms, workload.request.path, "--connections", str(workload.connections)
    )
    if not seen["octets"]:
        raise Void("nothing arrived in the time of the run")
    return sample_of(seen, seen["octets"] / seen["seconds"] / MEGABYTE)


def by_crowd(server: Server, workload: Workload, terms: Terms) -> Sample:
    check_descriptors(workload.connections)
    length = str(len(workload.request.answer))
    seen = run_own_client("crowd", server, workload, terms, str(workload.connections), "--length", length)
    if not seen["latencies"]:
        raise Void("no answer in the time of the run")
    return sample_of(seen, len(seen["latencies"]) / seen["seconds"], answered=seen["answered"])


def run_own_client(
    name: str, server: Server, workload: Workload, terms: Terms, *arguments: str
) -> dict[str, Any]:
    """Return what a program of `benchmarks.clients` says.  Raises Void for its error, Unreadable."""
    command = [sys.executable, "-m", f"benchmarks.clients.{name}", str(server.port), *arguments]
    command += ["--warm-up", str(terms.warm_up), "--seconds", str(terms.seconds)]
    seconds = terms.seconds + terms.warm_up + OPENING_PATIENCE
    values: dict[str, Any] = json.loads(run_client(terms.cores.pin_client(command), seconds, cwd=ROOT))
    if values["error"]:
        raise Void(values["error"])
    return values


def sample_of(seen: dict[str, Any], figure: float, **details: Any) -> Sample:
    """Return the figure with what a client of ours saw."""
    latencies = [latency * 1000 for latency in seen["latencies"]]
    return Sample(
        figure,
        p50_ms=percentile(latencies, 0.5),
        p99_ms=percentile(latencies, 0.99),
        details={"answers": len(latencies), **details},
    )


def check_descriptors(connections: int) -> None:
    """Raise Void where a process may not have so many."""
    if connections + OTHER_DESCRIPTORS > (limit := raise_descriptor_limit()):
        raise Void(f"a process may have {limit} descriptors here, too few for {connections} connections")


def worker_of(server: Server) -> int:
    """Return the number of the process that serves."""
    return server.process.pid if server.peer.canned else read_process(server.port)


def by_idle(server: Server, workload: Workload, terms: Terms) -> Sample:
    count = workload.connections
    check_descriptors(count)
    for _ in range(REQUESTS_BEFORE_IDLE):
        ask_once(server.port, HELLO)
    worker = worker_of(server)
    time.sleep(SETTLING)
    before = resident(worker)
    command = [sys.executable, "-m", "benchmarks.clients.idle", str(server.port), str(count)]
    command += ["--length", str(len(HELLO.answer))]
    with subprocess.Popen(
        terms.cores.pin_client(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as client:
        try:
            opened = read_line(client.stdout)
            time.sleep(SETTLING)
            after = resident(worker)
            left, _ = client.communicate(timeout=GRACE)
            still = json.loads(left)["open"]
        finally:
            client.kill()
    if opened["error"] or still < count:
        raise Void(opened["error"] or f"{still} of {count} connections stayed open")
    return Sample((after - before) / count, details={"resident_before": before, "resident_after": after})


def read_line(stream: IO[str] | None) -> dict[str, Any]:
    """Return the JSON on the next line of a client.  Raises Void where there is none."""
    line = stream.readline() if stream is not None else ""
    if not line:
        raise Void("the client ended early")
    values: dict[str, Any] = json.loads(line)
    return values


def by_start_up(server: Server, workload: Workload, terms: Terms) -> Sample:
    """Return how long the first answer took, beside Python with gevent's patch and nothing else."""
    command = [server.launch.python, "-c", PATCHED_PYTHON]
    starts = time.perf_counter()
    subprocess.run(terms.cores.pin_server(command), cwd=server.launch.folder, check=True)
    baseline = (time.perf_counter() - starts) * 1000
    return Sample(server.ready_after * 1000, baseline=baseline, details={"patched_python_ms": baseline})


def fresh_memory(server: Server, workload: Workload, terms: Terms) -> Sample:
    return Sample(resident(worker_of(server)) / MEGABYTE)


def used_memory(server: Server, workload: Workload, terms: Terms) -> Sample:
    """Return the memory after so many requests, or after those that the patience allows."""
    worker = worker_of(server)
    fresh = resident(worker)
    folder = server.launch.folder
    ends = time.monotonic() + (terms.patience or float("inf"))
    seconds, answers = terms.warm_up, 0
    while answers < workload.requests and time.monotonic() < ends:
        report = run_wrk(workload, server.port, seconds, terms.cores, folder)
        raise_fault(report, workload)
        answers += report.answers
        wanted = (workload.requests - answers) / report.per_second
        seconds = max(SHORTEST, min(wanted, ends - time.monotonic()))
    after = resident(worker)
    return Sample(
        after / MEGABYTE,
        details={"requests": answers, "resident_fresh": fresh, "resident_after": after},
    )


METHODS: dict[Method, Callable[[Server, Workload, Terms], Sample]] = {
    Method.WRK: by_wrk,
    Method.H2LOAD: by_h2load,
    Method.CROWD: by_crowd,
    Method.DOWNLOAD: by_download,
    Method.IDLE: by_idle,
    Method.START_UP: by_start_up,
    Method.FRESH_MEMORY: fresh_memory,
    Method.USED_MEMORY: used_memory,
}
