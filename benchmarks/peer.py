"""A peer: a server that takes part, how it is installed and started, and what it cannot do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.workload import Workload


@dataclass(frozen=True)
class Certificate:
    """The files of a certificate and its key, in PEM."""

    certfile: Path
    keyfile: Path


@dataclass(frozen=True)
class Launch:
    """What one server is started for, and with."""

    python: str
    port: int
    workload: Workload
    folder: Path  # its own: working directory, logs
    certificate: Certificate | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def application(self) -> str:
        return self.workload.application

    @property
    def access_log(self) -> Path | None:
        return self.folder / "access.log" if self.workload.access_log else None

    @property
    def canned(self) -> Path:
        """The file that tells the raw loop what to send."""
        return self.folder / "canned.json"

    def program(self, name: str) -> str:
        """Return the path of a program that was installed beside the interpreter."""
        return str(Path(self.python).parent / name)


Command = Callable[[Launch], list[str]]


@dataclass(frozen=True)
class Peer:
    """`requirements` are what pip installs; `cannot` gives a reason for each workload that is not its own.

    `canned` marks the loop without HTTP, which answers everything with the same octets.
    """

    name: str
    title: str
    command: Command
    requirements: tuple[str, ...] = ()
    distributions: tuple[str, ...] = ()  # whose versions are told
    cannot: Mapping[str, str] = field(default_factory=dict)
    canned: bool = False
