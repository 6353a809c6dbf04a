"""argv -> Options -> install -> Run -> tables, JSON, pictures.

The exit status is 0 when it ran to its end, 1 when greenserve or the raw loop has no figure somewhere,
2 for wrong arguments or missing tools, 130 after an interrupt.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from benchmarks.environment import Environment, NotInstalled, describe_checkout
from benchmarks.machine import PACKAGES, describe_machine, missing_tools, tool_versions
from benchmarks.memory import raise_descriptor_limit
from benchmarks.options import Options, parse
from benchmarks.peers import OURS, REFERENCE
from benchmarks.plan import START, build_plan, estimate
from benchmarks.results import Results
from benchmarks.runner import Run
from benchmarks.sample import State


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers are to be ended, too
    options = parse(sys.argv[1:])
    missing = missing_tools()
    if "wrk" in missing or "h2load" in missing:
        packages = " ".join(PACKAGES[tool] for tool in missing)
        print(f"missing: {', '.join(missing)}; on Debian: apt-get install {packages}", file=sys.stderr)
        return 2
    raise_descriptor_limit()
    environment = Environment(options.python)
    failures = install(environment, options) if options.install else {}
    return measure(environment, options, failures)


def install(environment: Environment, options: Options) -> dict[str, str]:
    """Install greenserve, the peers and the frameworks; return why a peer could not be, by its name."""
    os.environ.pop("PYTHONPATH", None)  # what is installed is to be measured, and not what lies there
    print(f"installing into the environment of {options.python}", flush=True)
    try:
        environment.install_checkout()
        return environment.install_peers(options.peers, options.upgrade)
    except NotInstalled as error:
        raise SystemExit(f"greenserve and what the suite needs: {error}") from None


def measure(environment: Environment, options: Options, failures: dict[str, str]) -> int:
    from benchmarks.console import Terminal  # behind the installation of rich

    terminal = Terminal(options)
    run = Run(options, terminal)
    results = run.results
    describe(results, run, environment, options)
    steps = build_plan(options)
    seconds = estimate(steps, options)
    minutes = (seconds + START * len(options.peers)) / 60
    terminal.say(f"{len(steps)} measurements, about {minutes:.1f} minutes")
    if run.cores.server is None:
        terminal.say(
            "nothing is pinned: that needs taskset and two cores; server and client disturb each other"
        )
    terminal.begin(results, seconds)
    try:
        run.run(failures)
    finally:
        terminal.end()
    terminal.report(results)
    save(results, options, terminal)
    if results.interrupted:
        return 130
    ours = [cell for cell in results.cells.values() if cell.peer in {OURS, REFERENCE}]
    return 0 if all(cell.state is State.MEASURED for cell in ours) else 1


def describe(results: Results, run: Run, environment: Environment, options: Options) -> None:
    """Write into the results how and where it is measured, and which versions."""
    versions = environment.versions()
    results.machine = describe_machine(run.cores)
    results.settings = {
        "command": options.command,
        "commit": describe_checkout(),
        "python": environment.ask("import platform; print(platform.python_version())"),
        "load generators": ", ".join(f"{name} {version}" for name, version in tool_versions().items()),
        "runs": f"{options.rounds} rounds of {options.seconds:g} s, {options.warm_up:g} s before to warm up",
        "smoke": options.smoke,
        "packages": versions,
    }
    for peer in options.peers:
        told = {
            name: versions[name.replace("_", "-")]
            for name in peer.distributions
            if name.replace("_", "-") in versions
        }
        results.entrants[peer.name].versions = told


def save(results: Results, options: Options, terminal: Any) -> None:
    """Write JSON, pictures and the page with both."""
    from benchmarks.markdown import as_markdown
    from benchmarks.plot import save_plots

    results.save(options.out / "latest.json")
    plots = save_plots(results, options.out)
    (options.out / "benchmarks.md").write_text(as_markdown(results, plots))
    terminal.say(f"written: latest.json, benchmarks.md, {', '.join(plots)} in {options.out}")


if __name__ == "__main__":
    sys.exit(main())
