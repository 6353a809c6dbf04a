"""The run: every server once, then again, and what becomes of each.

run -> call_the_roll -> for each step: Server -> check -> measure
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Protocol

from benchmarks.applications.plain import FILE_VARIABLE
from benchmarks.client import WrongAnswer, ask_once, check
from benchmarks.cores import Cores, find_cores
from benchmarks.measure import Terms, measure
from benchmarks.options import Options
from benchmarks.peer import Certificate, Launch, Peer
from benchmarks.plan import Step, build_plan
from benchmarks.results import Results, empty_results
from benchmarks.sample import Cell, Sample
from benchmarks.server import NotStarted, Server, free_port
from benchmarks.workload import Method, Workload
from benchmarks.workloads import DOWNLOAD, WORKLOADS

#: What a method cannot do without.
TOOLS = {Method.WRK: "wrk", Method.H2LOAD: "h2load", Method.USED_MEMORY: "wrk"}


class Observer(Protocol):
    """Hears what happens while it happens."""

    def on_entrant(self, peer: Peer, failure: str) -> None: ...

    def on_step(self, step: Step) -> None: ...

    def on_cell(self, step: Step, cell: Cell, sample: Sample | None) -> None: ...


class Run:
    """One run of the suite; `results` are complete at any time, as far as it has come."""

    def __init__(self, options: Options, observer: Observer) -> None:
        self.options = options
        self.observer = observer
        self.cores: Cores = find_cores()
        self.terms = Terms(options.seconds, options.warm_up, options.patience, self.cores)
        rounds = {workload.name: options.rounds_of(workload) for workload in options.workloads}
        self.results: Results = empty_results(options.peers, options.workloads, rounds)
        self.certificate: Certificate | None = None

    def run(self, failures: dict[str, str]) -> Results:
        """Measure everything; `failures` are peers that could not be installed, and why.

        An interrupt ends it early: what has been measured until then is returned.
        """
        started = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as name:
            self.folder = Path(name)
            try:
                with self.cores.ourselves_pinned():
                    self.prepare()
                    self.call_the_roll(failures)
                    for step in build_plan(self.options):
                        self.take(step)
            except KeyboardInterrupt:
                self.results.interrupted = True
        self.results.seconds = time.perf_counter() - started
        return self.results

    def prepare(self) -> None:
        """Make what the workloads need: a file to download, a certificate."""
        if any(workload.request.answer == DOWNLOAD for workload in self.options.workloads):
            path = self.folder / "download"
            with path.open("wb") as file:
                file.writelines(DOWNLOAD.blocks())
            os.environ[FILE_VARIABLE] = str(path)
        if any(workload.tls for workload in self.options.workloads):
            self.certificate = make_certificate(self.folder)

    def call_the_roll(self, failures: dict[str, str]) -> None:
        """Start every peer once, before anything is measured: who does not answer fails in all workloads."""
        for peer in self.options.peers:
            entrant = self.results.entrants[peer.name]
            entrant.failure = failures.get(peer.name, "") or self.try_to_start(peer)
            self.observer.on_entrant(peer, entrant.failure)
            for workload in self.options.workloads:
                self.results.cell(peer.name, workload.name).failure = entrant.failure

    def try_to_start(self, peer: Peer) -> str:
        """Return why `peer` does not answer, empty if it does."""
        launch = self.launch_for(WORKLOADS["hello"])
        self.results.entrants[peer.name].command = told_command(peer, launch)
        try:
            with Server(peer, launch, self.cores.pin_server) as server:
                server.wait(lambda: ask_once(server.port, launch.workload.request))
        except (NotStarted, WrongAnswer, OSError) as error:
            return str(error)
        return ""

    def launch_for(self, workload: Workload) -> Launch:
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        certificate = self.certificate if workload.tls else None
        return Launch(self.options.python, free_port(), workload, folder, certificate)

    def take(self, step: Step) -> None:
        """Measure, and write down what came of it."""
        cell = self.results.cell(step.peer.name, step.workload.name)
        self.observer.on_step(step)
        sample = None
        if not cell.failure:
            try:
                sample = self.measure(step, cell)
                cell.samples[step.round] = sample
            except (NotStarted, WrongAnswer, OSError) as error:
                cell.failure = str(error)
            except Exception as error:  # whatever it is: the others are to be measured
                cell.failure = f"{type(error).__name__}: {error}"
        self.observer.on_cell(step, cell, sample)

    def measure(self, step: Step, cell: Cell) -> Sample:
        """Return the sample of a new server.  Raises NotStarted, WrongAnswer, OSError."""
        workload = step.workload
        if workload.tls and self.certificate is None:
            raise NotStarted("openssl is not installed: there is no certificate")
        if (tool := TOOLS.get(workload.method)) and shutil.which(tool) is None:
            raise NotStarted(f"{tool} is not installed")
        launch = self.launch_for(workload)
        try:
            with Server(step.peer, launch, self.cores.pin_server) as server:
                server.wait(lambda: ask_once(server.port, workload.request, workload.tls))
                server.note = cell.note = check(server.port, workload)
                return measure(server, workload, self.terms)
        finally:
            shutil.rmtree(launch.folder, ignore_errors=True)


def told_command(peer: Peer, launch: Launch) -> list[str]:
    """Return the command as it is told: nothing in it is of this machine or this run."""
    told = {launch.python: "python", launch.program("uwsgi"): "uwsgi", str(launch.canned): "ANSWER"}
    port = str(launch.port)
    return [told.get(word, word).replace(port, "PORT") for word in peer.command(launch)]


def make_certificate(folder: Path) -> Certificate | None:
    """Return a new certificate, signed by itself; None where openssl is missing."""
    if shutil.which("openssl") is None:
        return None
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-newkey", "ec"]
    command += ["-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-keyout", str(made.keyfile), "-out", str(made.certfile)]
    subprocess.run(command, check=True, capture_output=True)
    return made
