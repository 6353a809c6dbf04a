"""wrk and h2load: their command lines, and what their output says."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path

from benchmarks.cores import Cores
from benchmarks.request import HOST
from benchmarks.sample import percentile
from benchmarks.workload import Workload

#: Seconds after which a request counts as failed.  A server that takes one request after the other has
#: to sleep through all those before it.
TIMEOUT = 30
#: Seconds that a client may need beyond what it was asked for.
GRACE = 15.0

#: wrk's name for a connection that ended where it expected octets.
READ_ERRORS = "read errors"
TIME_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6}  # in ms
SIZE_UNITS = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}


@dataclass(frozen=True)
class LoadReport:
    """What a load generator said.  `errors` has a number for each kind of error that there was."""

    answers: int
    per_second: float
    received: float  # octets
    seconds: float = 0.0  # by its own clock, where it has told
    errors: dict[str, int] = field(default_factory=dict)
    p50_ms: float | None = None
    p99_ms: float | None = None

    def fault(self, content: int) -> str:
        """Return why the figure is void, empty when it is not; answers have so many octets of content."""
        if self.errors:
            return ", ".join(f"{number} {kind}" for kind, number in self.errors.items())
        if not self.answers:
            return "no answer in the time of the run"
        if self.received < 0.98 * self.answers * content:
            return f"{self.received:.0f} octets are too few for {self.answers} answers of {content}"
        return ""

    def excusing_ends(self) -> LoadReport:
        """Return the same without the read errors of connections that ended behind an answer, unannounced.

        An answer explains one of them at most.
        """
        if self.errors.get(READ_ERRORS, 0) > self.answers:
            return self
        return replace(
            self, errors={kind: count for kind, count in self.errors.items() if kind != READ_ERRORS}
        )


class Unreadable(Exception):
    """A load generator failed, or printed something else than it usually does; the text is what."""


def lua_script(workload: Workload) -> str:
    """Return what tells wrk to send the requests of `workload`, empty where its command line says it all."""
    request = workload.request
    if request.varies:
        return varying_script(request.template)
    lines = []
    if request.content:
        lines.append('wrk.method = "POST"')
        lines.append(f'wrk.body = string.rep("x", {request.content})')
    for name, value in request.sent_fields:
        if name not in {"Host", "Content-Length"}:  # wrk's own affair
            lines.append(f'wrk.headers["{name}"] = "{value}"')
    if workload.pipelined > 1:
        lines.append(f"init = function() batch = string.rep(wrk.format(), {workload.pipelined}) end")
        lines.append("request = function() return batch end")
    return "".join(f"{line}\n" for line in lines)


def varying_script(template: str) -> str:
    """Return a script that puts another number into the template in each request."""
    literals = [f'"{part}"'.replace("\r\n", "\\r\\n") for part in template.split("{number}")]
    return (
        "local number = 0\n"
        "request = function()\n"
        "  number = number + 1\n"
        f"  return {' .. number .. '.join(literals)}\n"
        "end\n"
    )


def run_wrk(workload: Workload, port: int, seconds: float, cores: Cores, folder: Path) -> LoadReport:
    """Run wrk and return what it says.  Raises Unreadable."""
    # wrk takes whole seconds; an interrupt ends it earlier, and it tells how long it was.
    command = ["wrk", "-t", "1", "-c", str(workload.connections), "-d", f"{ceil(seconds)}s"]
    command += ["--latency", "--timeout", f"{TIMEOUT}s"]
    if script := lua_script(workload):
        path = folder / "requests.lua"
        path.write_text(script)
        command += ["-s", str(path)]
    scheme = "https" if workload.tls else "http"
    command.append(f"{scheme}://{HOST}:{port}{workload.request.path if not workload.request.varies else '/'}")
    interrupt = seconds if seconds != ceil(seconds) else None
    report = parse_wrk(run_client(cores.pin_client(command), seconds, interrupt))
    check_clock(report.seconds, seconds)
    return report


def check_clock(told: float, asked: float) -> None:
    """Raise Unreadable where a run was much longer or shorter than it was asked to be: its rate is none."""
    if abs(told - asked) > max(0.5, asked / 2):
        raise Unreadable(f"the run took {told:.2f} s, not {asked:g}")


def run_h2load(
    workload: Workload, port: int, seconds: float, warm_up: float, cores: Cores, folder: Path
) -> LoadReport:
    """Run h2load and return what it says: its clock starts behind the warm-up, in which it connects.

    Raises Unreadable.
    """
    log = folder / "latencies.log"
    log.unlink(missing_ok=True)
    command = ["h2load", "--h1", "-t", "1", "-c", str(workload.connections), f"--log-file={log}"]
    command += ["-D", f"{round(seconds * 1000)}ms", f"--warm-up-time={round(warm_up * 1000)}ms"]
    command.append(f"http://{HOST}:{port}{workload.request.path}")
    output = run_client(cores.pin_client(command), seconds + warm_up)
    latencies = parse_latencies(log.read_text()) if log.exists() else []
    return parse_h2load(output, latencies)


def run_client(
    command: list[str], seconds: float, interrupt: float | None = None, cwd: Path | None = None
) -> str:
    """Run a command that ends by itself, or at an interrupt after so many seconds; return what it prints.

    Raises Unreadable.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd)
    try:
        if interrupt is not None:
            wait_for_handler(process)
            time.sleep(interrupt)
            process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=seconds + GRACE)
    except subprocess.TimeoutExpired:
        raise Unreadable(f"the client did not end in {seconds + GRACE:.0f} s") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode:
        last = output.strip().splitlines()[-1:] or ["nothing"]
        raise Unreadable(f"the client ended with status {process.returncode}: {last[0]}")
    return output


def wait_for_handler(process: subprocess.Popen[str]) -> None:
    """Wait until the process has a handler for interrupts, or has ended: before, one would kill it.

    Raises Unreadable when neither comes.
    """
    ends = time.monotonic() + GRACE
    while process.poll() is None and not catches_interrupts(process.pid):
        if time.monotonic() > ends:
            raise Unreadable(f"the client did not begin in {GRACE:.0f} s")
        time.sleep(0.002)


def catches_interrupts(pid: int) -> bool:
    """Return whether a signal handler is installed, as /proc tells it (proc(5), SigCgt)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = re.search(r"^SigCgt:\s+([0-9a-f]+)$", status, re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) & 1 << (signal.SIGINT - 1))


def parse_wrk(output: str) -> LoadReport:
    """Return what wrk printed.  Raises Unreadable."""
    total = re.search(r"(\d+) requests in ([\d.]+)(\w+), ([\d.]+)([KMGT]?B) read", output)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if total is None or rate is None:
        raise Unreadable(f"wrk printed {output[-200:]!r}")
    errors = {}
    if found := re.search(r"Socket errors: (.*)", output):
        errors = {f"{kind} errors": int(number) for kind, number in re.findall(r"(\w+) (\d+)", found[1])}
    if found := re.search(r"Non-2xx or 3xx responses: (\d+)", output):
        errors["answers with another status"] = int(found[1])
    return LoadReport(
        int(total[1]),
        float(rate[1]),
        float(total[4]) * SIZE_UNITS[total[5]],
        float(total[2]) * TIME_UNITS[total[3]] / 1000,
        nonzero(errors),
        parse_percentile(output, 50),
        parse_percentile(output, 99),
    )


def parse_percentile(output: str, part: int) -> float | None:
    """Return a latency in ms from what wrk printed, None where it printed none."""
    found = re.search(rf"^\s+{part}%\s+([\d.]+)(us|ms|s|m|h)$", output, re.MULTILINE)
    return None if found is None else float(found[1]) * TIME_UNITS[found[2]]


def parse_h2load(output: str, latencies: list[float]) -> LoadReport:
    """Return what h2load printed and logged.  Raises Unreadable."""
    finished = re.search(r"^finished in .*?, ([\d.]+) req/s", output, re.MULTILINE)
    counts = re.search(r"^requests: .*? (\d+) succeeded, (.*)$", output, re.MULTILINE)
    traffic = re.search(r"^traffic: [^(]*\((\d+)\) total", output, re.MULTILINE)
    status = re.search(r"^status codes: (.*)$", output, re.MULTILINE)
    if finished is None or counts is None or traffic is None or status is None:
        raise Unreadable(f"h2load printed {output[-200:]!r}")
    errors = {kind: int(number) for number, kind in re.findall(r"(\d+) (failed|errored|timeout)", counts[2])}
    errors |= {f"{kind} answers": int(number) for number, kind in re.findall(r"(\d+) ([345]xx)", status[1])}
    return LoadReport(
        int(counts[1]),
        float(finished[1]),
        float(traffic[1]),
        0.0,
        nonzero(errors),
        percentile(latencies, 0.5),
        percentile(latencies, 0.99),
    )


def parse_latencies(log: str) -> list[float]:
    """Return the latencies in ms from h2load's log: start, status and microseconds, a line each."""
    return [int(line.rpartition("\t")[2]) / 1000 for line in log.splitlines()]


def nonzero(counts: dict[str, int]) -> dict[str, int]:
    return {kind: number for kind, number in counts.items() if number}
