"""Runs of the benchmark suite, with servers in processes of their own.  How fast they are does not matter."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.bystanders import TICKS, Bystanders, busy_seconds, group_seconds
from benchmarks.cores import Cores
from benchmarks.load import LoadReport
from benchmarks.measure import METHODS, Void
from benchmarks.options import Options
from benchmarks.peer import Peer
from benchmarks.peers import PEERS
from benchmarks.report import all_tables, workload_table
from benchmarks.results import Results
from benchmarks.runner import Run
from benchmarks.sample import Cell, Sample, State
from benchmarks.server import Server
from benchmarks.workload import Method
from benchmarks.workloads import WORKLOADS
from tests.tools import require_tool

ROOT = Path(__file__).resolve().parent.parent.parent
CORES = os.sched_getaffinity(0)  # before a run has pinned this process
HELLO = WORKLOADS["hello"]
LIMIT = 10.0  # seconds; nothing that is waited for here takes a tenth of that


class Log:
    """Remembers what a run tells; an `Observer`."""

    def __init__(self, interrupt: bool = False) -> None:
        self.interrupt = interrupt
        self.entrants: dict[str, str] = {}
        self.measured: list[tuple[str, Sample | None]] = []

    def on_entrant(self, peer: Peer, failure: str) -> None:
        self.entrants[peer.name] = failure

    def on_step(self, step: Any) -> None:
        if self.interrupt:
            raise KeyboardInterrupt

    def on_cell(self, step: Any, cell: Cell, sample: Sample | None) -> None:
        self.measured.append((step.peer.name, sample))


def run_with(*peers: Peer, log: Log | None = None, **failures: str) -> Results:
    options = Options(peers, (HELLO,), rounds=1, seconds=0.2, warm_up=0.2, python=sys.executable)
    return Run(options, log or Log()).run(failures)


def python_peer(name: str, *arguments: str) -> Peer:
    """Return a peer that runs Python; the word PORT becomes the port."""

    def command(launch: Any) -> list[str]:
        return [launch.python, *(word.replace("PORT", str(launch.port)) for word in arguments)]

    return Peer(name, name, command)


SILENT = python_peer("silent", "-c", "raise SystemExit('error: there is no such server')")
OTHER = python_peer("other", "-m", "http.server", "PORT", "--bind", "127.0.0.1")


def test_a_peer_that_does_not_start_is_reported_with_the_reason():
    log = Log()
    results = run_with(SILENT, log=log)
    cell = results.cell("silent", "hello")
    assert (cell.state, cell.reason) == (State.FAILED, "failed to start: error: there is no such server")
    assert log.entrants == {"silent": cell.reason}
    assert workload_table(results, results.subjects["hello"]).rows[0][-1] == cell.reason
    assert [row[-1] for row in all_tables(results)[0].rows] == [cell.reason]


def test_a_peer_that_could_not_be_installed_is_reported_and_not_started():
    assert run_with(SILENT, silent="not installed: no compiler").cell("silent", "hello").reason == (
        "not installed: no compiler"
    )


def test_a_server_that_answers_something_else_is_not_measured():
    cell = run_with(OTHER).cell("other", "hello")
    assert cell.state is State.FAILED
    assert cell.reason.startswith("Content-Length")


def test_an_interrupt_leaves_what_there_is():
    results = run_with(SILENT, PEERS["raw"], log=Log(interrupt=True))
    assert results.interrupted
    assert results.cell("raw", "hello").state is State.NOT_REACHED
    assert os.sched_getaffinity(0) == CORES


def test_the_raw_loop_and_greenserve_are_measured(monkeypatch):
    require_tool("wrk")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    results = run_with(PEERS["raw"], PEERS["greenserve"])
    cells = results.row("hello")
    assert [(cell.state, cell.reason) for cell in cells] == [(State.MEASURED, "")] * 2
    sample = cells[1].samples[0]
    assert sample.figure is not None and sample.figure > 0
    assert sample.p50_ms is not None and sample.p99_ms is not None and sample.p50_ms <= sample.p99_ms
    assert sample.details["answers"] > 0
    assert cells[1].ratio_to(cells[0])
    assert len(all_tables(results)) == 2


def test_every_process_of_a_server_is_ended(tmp_path):
    # A process that starts another one, as a master does.
    forking = "import os, time; print(os.fork(), flush=True); time.sleep(600)"
    master = python_peer("master", "-c", forking)
    run = Run(Options((master,), (HELLO,), python=sys.executable), Log())
    run.folder = tmp_path

    def both_are_there() -> None:
        if server.output.read_text().count("\n") < 2:
            raise BlockingIOError("not yet")

    with Server(master, run.launch_for(HELLO), list) as server:
        server.wait(both_are_there)
        worker = os.pidfd_open(max(map(int, server.output.read_text().split())))
    assert server.process.returncode == -9
    assert select.select([worker], [], [], LIMIT)[0], "the worker lives on"
    os.close(worker)


def test_each_round_has_its_sample_and_an_error_ends_one_cell_only(monkeypatch):
    outcomes = [Sample(1.0), Sample(2.0), ZeroDivisionError("nobody thought of it"), Sample(4.0)]

    def measure(*arguments: object) -> Sample:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr("benchmarks.runner.measure", measure)
    other = replace(PEERS["raw"], name="other")
    options = Options((PEERS["raw"], other), (HELLO,), rounds=2, python=sys.executable)
    results = Run(options, Log()).run({})
    assert results.cell("raw", "hello").samples == {0: Sample(1.0)}
    assert results.cell("raw", "hello").reason == "then failed: ZeroDivisionError: nobody thought of it"
    assert results.cell("other", "hello").samples == {0: Sample(2.0), 1: Sample(4.0)}


def test_what_is_left_of_the_warming_up_is_over_before_the_clock_starts(monkeypatch, tmp_path):
    done: list[object] = []

    def run_wrk(workload: object, port: int, seconds: float, *arguments: object) -> LoadReport:
        done.append(seconds)
        return LoadReport(100, 50.0, 10_000.0)

    monkeypatch.setattr("benchmarks.measure.run_wrk", run_wrk)
    monkeypatch.setattr("benchmarks.measure.ask_once", lambda *arguments: done.append("answered"))
    run = Run(Options((PEERS["raw"],), (HELLO,), seconds=1.5, warm_up=0.3), Log())
    run.folder = tmp_path
    with Server(SILENT, run.launch_for(HELLO), list) as server:
        assert METHODS[Method.WRK](server, HELLO, run.terms).figure == 50.0
    assert done == [0.3, "answered", 1.5]


STAT = """cpu  9 9 9 9 9 9 9 9 9 9
cpu0 100 200 300 9000 9000 50 250 100 0 0
cpu10 1 1 1 1 1 1 1 1 0 0
"""


def test_a_core_is_busy_when_it_is_neither_idle_nor_waits():
    assert busy_seconds(STAT, 0) == 1000 / TICKS
    assert busy_seconds(STAT, 1) == busy_seconds(STAT, None) == 0.0


def test_what_a_group_has_computed_is_counted():
    program = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True)\ninput()\n"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program], start_new_session=True, **pipes) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert group_seconds(process.pid) >= 0.15
        assert group_seconds(process.pid + (1 << 22)) == 0.0  # no process has such a number
        process.communicate(b"\n")


def test_the_part_that_others_had_is_that_of_the_worse_core(monkeypatch):
    readings, times = [(10.0, 50.0), (11.0, 53.0)], [100.0, 104.0]
    monkeypatch.setattr(Bystanders, "others", lambda self: readings.pop(0))
    monkeypatch.setattr("benchmarks.bystanders.time.perf_counter", lambda: times.pop(0))
    assert Bystanders(Cores(), 1).share() == 0.75


def test_others_are_told_when_they_had_much(monkeypatch):
    monkeypatch.setattr(Bystanders, "share", lambda self: 0.36)
    monkeypatch.setitem(METHODS, Method.WRK, lambda *arguments: Sample(1.0))
    results = run_with(PEERS["raw"])
    assert results.cell("raw", "hello").samples[0].others == 0.36
    row = workload_table(results, results.subjects["hello"]).rows[0]
    assert row[-1] == "others had up to 36 % of a core"


def test_a_run_with_errors_is_void(monkeypatch):
    def with_errors(*arguments: object) -> Sample:
        raise Void("7 read errors")

    monkeypatch.setitem(METHODS, Method.WRK, with_errors)
    cell = run_with(PEERS["raw"]).cell("raw", "hello")
    assert (cell.state, cell.reason) == (State.VOID, "void in 1 of 1 rounds: 7 read errors")


def test_the_figure_of_a_server_that_ended_is_void(monkeypatch):
    def ended(server: Server, *arguments: object) -> Sample:
        server.kill()
        return Sample(1.0)

    monkeypatch.setitem(METHODS, Method.WRK, ended)
    cell = run_with(PEERS["raw"]).cell("raw", "hello")
    assert (cell.state, cell.median) == (State.VOID, None)
    assert "the server ended: it said nothing and ended with status -9" in cell.reason
